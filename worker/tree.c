/*
 * tree.c - see tree.h.
 *
 * Who is tied to whom: the keeper to ox-worker by its parent-death signal, init to the keeper
 * by the same, the rest of a namespace to init by the kernel; without a namespace the handler
 * to the keeper by the signal, and the rest to the keeper's diligence. A signal asked for too
 * late never comes, so each asks and then looks whether the other is still there: by getppid(),
 * which says 0 across namespaces, and so init by a pipe.
 *
 * Only the handler works; keeper and init are forks of a small program, before anything is
 * loaded, and block all signals.
 */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc.h"

#define REST_FIRST_US 200 /* between looks at what still dies.. */
#define REST_MAX_US 20000 /* ..at most */

static enum tree_kind kind_inside;

/* ---- Namespaces -------------------------------------------------------------------------- */

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t length = (ssize_t)strlen(text);
    bool good = fd >= 0 && write(fd, text, (size_t)length) == length;
    int error = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = error;
    return good;
}

/* Everybody stays who they are; ids of others show as nobody's. */
static bool map_ids(uid_t uid, gid_t gid)
{
    char uids[48], gids[48];
    snprintf(uids, sizeof uids, "%u %u 1", (unsigned)uid, (unsigned)uid);
    snprintf(gids, sizeof gids, "%u %u 1", (unsigned)gid, (unsigned)gid);
    return write_file("/proc/self/setgroups", "deny") &&
           write_file("/proc/self/uid_map", uids) && write_file("/proc/self/gid_map", gids);
}

/* For the processes that this one starts from now on. *rights: it has rights in a user
 * namespace that it did not have before. */
static bool enter_namespaces(bool *rights)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    *rights = false;
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) == 0) {
        return true;
    }
    *rights = true;
    return unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS) == 0 && map_ids(uid, gid);
}

static void drop_rights(void)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
    if (syscall(SYS_capset, &head, none) < 0) {
        _exit(EXIT_FAILURE);
    }
}

/* ---- Init: pid 1 of a namespace ---------------------------------------------------------- */

/* What loses its parent becomes its child, and who ignores SIGCHLD has no zombies. Mounts of
 * the system still appear in the tree, but none of the tree outside it. */
static void G_GNUC_NORETURN run_init(int ready)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "ox-init");
    signal(SIGCHLD, SIG_IGN);
    setsid();
    char own_proc = mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) == 0 &&
                    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0;
    if (write(ready, &own_proc, 1) != 1) {
        _exit(EXIT_FAILURE); /* the keeper went before it could take this one with it */
    }
    closefrom(0);
    for (;;) {
        pause();
    }
}

/* Its pid, once the namespace can be used, or a negative errno. */
static pid_t start_init(char *own_proc)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return -errno;
    }
    pid_t init = fork();
    int error = errno;
    if (init == 0) {
        close(ends[0]);
        run_init(ends[1]);
    }
    close(ends[1]);
    ssize_t got = init > 0 ? read(ends[0], own_proc, 1) : -1;
    close(ends[0]);
    return init < 0 ? -error : got == 1 ? init : -ECHILD;
}

/* Signals that the parent ignores or handles are not the tree's matter. */
static void block_signals(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, before);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
}

static void G_GNUC_NORETURN probe_namespace(int out)
{
    struct tree_probe result = { .kind = TREE_SUBREAPER };
    sigset_t before;
    bool rights;
    char own_proc = 0;
    block_signals(&before);
    pid_t init = enter_namespaces(&rights) ? start_init(&own_proc) : -errno;
    if (init > 0) {
        result.kind = TREE_NAMESPACE;
        result.own_proc = own_proc;
        kill(init, SIGKILL);
        waitpid(init, NULL, 0);
    } else {
        result.error = -init;
    }
    _exit(write(out, &result, sizeof result) == sizeof result ? 0 : EXIT_FAILURE);
}

void tree_probe(struct tree_probe *out)
{
    int ends[2];
    *out = (struct tree_probe){ .kind = TREE_SUBREAPER };
    if (pipe2(ends, O_CLOEXEC) < 0) {
        out->error = errno;
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        probe_namespace(ends[1]);
    }
    close(ends[1]);
    if (pid < 0 || read(ends[0], out, sizeof *out) != sizeof *out) {
        *out = (struct tree_probe){ .kind = TREE_SUBREAPER, .error = EAGAIN };
    }
    close(ends[0]);
    if (pid > 0) {
        waitpid(pid, NULL, 0);
    }
}

/* ---- Below a subreaper ------------------------------------------------------------------- */

/* A signal to a group misses nobody, however fast they fork. The groups of a tree are its own:
 * the handler leads a session. */
static void kill_with_group(pid_t pid, pid_t kept)
{
    pid_t group = getpgid(pid);
    kill(pid, SIGKILL);
    if (group > 1 && group != getpgrp() && (kept == 0 || group != getpgid(kept))) {
        kill(-group, SIGKILL);
    }
}

/* Kills the children of a process, and then what these leave, which becomes the children of the
 * same or of this one. All but `kept`. Returns how many there were. */
static guint kill_children(pid_t of, pid_t kept)
{
    g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
    guint count = 0;
    proc_add_children(pids, of);
    for (guint i = 0; i < pids->len; i++) {
        pid_t pid = g_array_index(pids, pid_t, i);
        if (pid != kept) {
            kill_with_group(pid, kept);
            waitpid(pid, NULL, WNOHANG);
            count++;
        }
    }
    return count;
}

/* For those that were killed to be gone; longer each time. */
static void rest(useconds_t *us)
{
    usleep(*us);
    *us = MIN(*us * 2, REST_MAX_US);
}

/* Only children are signalled, whose ids nobody else can have before they are reaped here; what
 * is below them comes up when they die. Rests are short as long as some do, since others may be
 * born meanwhile. A /proc of other ids, or none, tells of no child of this process. */
static void kill_below_subreaper(void)
{
    useconds_t rest_us = REST_FIRST_US;
    bool own_proc = proc_is_own();
    pid_t ended;
    while ((ended = waitpid(-1, NULL, WNOHANG)) >= 0) {
        if (own_proc) {
            kill_children(getpid(), 0);
        }
        if (ended > 0) {
            rest_us = REST_FIRST_US;
        }
        rest(&rest_us);
    }
}

/* ---- The keeper -------------------------------------------------------------------------- */

/* So that ox-worker sees what became of the handler. */
static void G_GNUC_NORETURN end_as(int status)
{
    static const struct rlimit no_core = { 0, 0 };
    if (WIFSIGNALED(status)) {
        sigset_t none;
        setrlimit(RLIMIT_CORE, &no_core);
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

/* Pid 1 can be reaped when all others of its namespace are. `handler` is 0 once that is reaped.
 */
static void kill_tree(pid_t handler, pid_t init)
{
    if (handler > 0) {
        kill(handler, SIGKILL);
    }
    if (init > 0) {
        kill(init, SIGKILL);
        while (waitpid(-1, NULL, 0) > 0) {
        }
    } else {
        kill_below_subreaper();
    }
}

static void G_GNUC_NORETURN keep(pid_t handler, pid_t init)
{
    sigset_t awaited;
    int status = SIGTERM; /* as if it had died of that */
    pid_t pid = -1;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    sigaddset(&awaited, SIGTERM);
    while (pid != handler && sigwaitinfo(&awaited, NULL) != SIGTERM) {
        do {
            int ended;
            pid = waitpid(-1, &ended, WNOHANG);
            status = pid == handler ? ended : status;
        } while (pid > 0 && pid != handler);
    }
    kill_tree(pid == handler ? 0 : handler, init);
    end_as(status);
}

/* ---- Entering ---------------------------------------------------------------------------- */

/* In the handler's process. */
static void become_handler(
    enum tree_kind kind, pid_t keeper, bool rights, const sigset_t *signals)
{
    setsid();
    if (rights) {
        drop_rights();
    }
    if (kind == TREE_SUBREAPER) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != keeper) {
            _exit(EXIT_FAILURE);
        }
    }
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, signals, NULL);
}

bool tree_enter(enum tree_kind kind, pid_t parent, int handler_fd, char **problem)
{
    sigset_t before;
    bool rights = false;
    char own_proc;
    pid_t init = 0, keeper = getpid();
    block_signals(&before);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(EXIT_FAILURE);
    }
    if (kind == TREE_NAMESPACE) {
        init = enter_namespaces(&rights) ? start_init(&own_proc) : -errno;
    } else {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    }
    prctl(PR_SET_DUMPABLE, 0); /* not before the ids are mapped, which root does then */
    pid_t handler = init >= 0 ? fork() : -1;
    if (handler == 0) {
        become_handler(kind, keeper, rights, &before);
        return true;
    }
    if (handler < 0) {
        *problem = g_strdup_printf(
            "cannot start a tree of processes: %s", g_strerror(init < 0 ? -init : errno));
        return false;
    }
    prctl(PR_SET_NAME, "ox-keeper");
    close(handler_fd);
    keep(handler, init);
}

void tree_inside(enum tree_kind kind)
{
    kind_inside = kind;
}

/* In a namespace, what has lost its parent is a child of init. */
static void kill_all_but(pid_t kept)
{
    bool in_namespace = kind_inside == TREE_NAMESPACE;
    useconds_t rest_us = REST_FIRST_US;
    if (in_namespace && !proc_is_own()) {
        return;
    }
    while (kill_children(getpid(), kept) + (in_namespace ? kill_children(1, kept) : 0) > 0) {
        rest(&rest_us);
    }
}

/* In a namespace -1 is everybody but init and the caller, whose parent is outside. */
void tree_kill_rest(pid_t kept)
{
    useconds_t rest_us = REST_FIRST_US;
    if (kept > 0) {
        kill_all_but(kept);
        return;
    }
    if (kind_inside != TREE_NAMESPACE || getppid() != 0) {
        kill_below_subreaper();
        return;
    }
    while (kill(-1, SIGKILL) == 0) {
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
        rest(&rest_us);
    }
}
