/*
 * rogue.c - handlers that misbehave, each in one way.
 *
 * Where a handler needs a number or a path, that is the job's data, with or without quotes.
 */
#include "rogue.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/frame.h"
#include "worker/sandbox.h"
#include "worker/serve.h"

/* The options of the handlers `take` and `wrong`. */
struct options {
    const char *root;
    int64_t depth;
    bool deep;
};

static const struct opt rows[] = {
    { .name = "root",
        .kind = OPT_TEXT,
        .offset = offsetof(struct options, root),
        .arg = "DIR",
        .help = "a folder" },
    { .name = "depth",
        .kind = OPT_COUNT,
        .offset = offsetof(struct options, depth),
        .max = 9,
        .arg = "N",
        .standard = "3",
        .help = "a number" },
    { .name = "deep",
        .kind = OPT_FLAG,
        .offset = offsetof(struct options, deep),
        .help = "so" },
    { 0 },
};

#define RUN(name)                                                                              \
    static enum handler_result name(const struct handler_job *job,                             \
        const struct handler_config *config, const struct handler_io *io, GString *out)

#define UNUSED_ARGUMENTS (void)job, (void)config, (void)io, (void)out

static void G_GNUC_NORETURN wait_for_ever(void)
{
    for (;;)
        pause();
}

/* The data without quotes; the caller's. */
static char *plain(const struct handler_job *job)
{
    size_t quoted = job->data_len > 1 && job->data[0] == '"';
    return g_strndup(job->data + quoted, job->data_len - 2 * quoted);
}

/* Returns id, name, attempt and data. */
RUN(run_tell)
{
    UNUSED_ARGUMENTS;
    g_string_append_printf(out, "\"%s %s %s %u %zu\"", job->queue, job->id, job->name,
        job->attempt, job->data_len);
    return HANDLER_DONE;
}

RUN(run_copy)
{
    UNUSED_ARGUMENTS;
    g_string_append_len(out, job->data, (gssize)job->data_len);
    return HANDLER_DONE;
}

RUN(run_notjson)
{
    UNUSED_ARGUMENTS;
    g_string_append(out, "{not json");
    return HANDLER_DONE;
}

RUN(run_retry)
{
    UNUSED_ARGUMENTS;
    if (g_ascii_isdigit(*job->data))
        io->retry_after(io->arg, g_ascii_strtoll(job->data, NULL, 10));
    g_string_append(out, "not today");
    return HANDLER_RETRY;
}

RUN(run_fatal)
{
    UNUSED_ARGUMENTS;
    g_string_append(out, "never");
    return HANDLER_FATAL;
}

RUN(run_talk)
{
    UNUSED_ARGUMENTS;
    io->log(io->arg, "first");
    io->progress(io->arg, "50");
    io->log(io->arg, "bad utf-8: \xff");
    printf("on stdout\n");
    fflush(stdout);
    fprintf(stderr, "on stderr");
    return HANDLER_DONE;
}

/* Tells of its progress so many times, then writes a row for each. */
RUN(run_flood)
{
    UNUSED_ARGUMENTS;
    int count = (int)strtol(job->data, NULL, 10);
    for (int i = 1; i <= count; i++) {
        g_autofree char *json = g_strdup_printf("%d", i);
        io->progress(io->arg, json);
    }
    for (int i = 1; i <= count; i++)
        io->log(io->arg, "");
    return HANDLER_DONE;
}

/* Prints so many lines, all numbered. */
RUN(run_print)
{
    UNUSED_ARGUMENTS;
    for (int i = 1, count = (int)strtol(job->data, NULL, 10); i <= count; i++)
        fprintf(stderr, "line %d of a handler that prints a lot\n", i);
    return HANDLER_DONE;
}

/* Says so many megabytes. */
RUN(run_chatter)
{
    UNUSED_ARGUMENTS;
    g_autofree char *row = g_strnfill(1024, 'x');
    for (int left = 1024 * (int)strtol(job->data, NULL, 10); left > 0; left--)
        io->log(io->arg, row);
    return HANDLER_DONE;
}

/* Returns a string of so many bytes. */
RUN(run_large)
{
    UNUSED_ARGUMENTS;
    g_autofree char *text = g_strnfill((gsize)strtol(job->data, NULL, 10), 'x');
    g_string_append_printf(out, "\"%s\"", text);
    return HANDLER_DONE;
}

RUN(run_segv)
{
    UNUSED_ARGUMENTS;
    signal(SIGSEGV, SIG_DFL); /* not a sanitizer's */
    raise(SIGSEGV);
    return HANDLER_DONE;
}

RUN(run_exit)
{
    UNUSED_ARGUMENTS;
    _exit((int)strtol(job->data, NULL, 10));
}

/* A process that has left the handler's session and does not want to go; should it outlive a
 * failing test, then not for long. */
static void start_stray(void)
{
    if (fork() == 0) {
        setsid();
        signal(SIGTERM, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        alarm(60);
        if (fork() == 0)
            alarm(60);
        wait_for_ever();
    }
}

/* Starts processes of its own and never ends. The file is there once they run, and it is locked
 * as long as one of them is alive. */
RUN(run_hang)
{
    UNUSED_ARGUMENTS;
    g_autofree char *path = plain(job), *held = g_strconcat(path, ".held", NULL);
    int fd = open(held, O_WRONLY | O_CREAT, 0600);
    if (fd < 0 || flock(fd, LOCK_SH) < 0)
        _exit(1);
    start_stray();
    g_file_set_contents(path, "", 0, NULL);
    wait_for_ever();
}

/* Stops the keeper, which is out of sight in a namespace, and hangs with the others. */
RUN(run_freeze)
{
    if (getppid() > 0)
        kill(getppid(), SIGSTOP);
    return run_hang(job, config, io, out);
}

/* Leaves processes behind, the file being as above. */
RUN(run_stray)
{
    UNUSED_ARGUMENTS;
    g_autofree char *path = plain(job), *held = g_strconcat(path, ".held", NULL);
    int fd = open(held, O_WRONLY | O_CREAT, 0600);
    if (fd < 0 || flock(fd, LOCK_SH) < 0)
        _exit(1);
    start_stray();
    close(fd);
    return HANDLER_DONE;
}

/* Fills so many megabytes and holds them; below 0 a stray process does it; at 0 there is
 * nothing to do. */
RUN(run_eat)
{
    UNUSED_ARGUMENTS;
    long megabytes = strtol(job->data, NULL, 10);
    if (megabytes == 0)
        return HANDLER_DONE;
    if (megabytes < 0 && fork() > 0)
        wait_for_ever();
    if (megabytes < 0)
        setsid();
    for (long i = labs(megabytes); i > 0; i--)
        memset(g_malloc(1 << 20), 'x', 1 << 20);
    wait_for_ever();
}

/* Starts so many processes; unless there are none, it never ends. */
RUN(run_family)
{
    UNUSED_ARGUMENTS;
    long count = strtol(job->data, NULL, 10);
    for (long i = 0; i < count; i++)
        if (fork() == 0)
            wait_for_ever();
    if (count > 0)
        wait_for_ever();
    return HANDLER_DONE;
}

/* Leaves so many dead children that nobody waits for, and as many whose parent is gone. */
RUN(run_zombies)
{
    UNUSED_ARGUMENTS;
    for (long i = strtol(job->data, NULL, 10); i > 0; i--) {
        pid_t pid = fork();
        if (pid < 0)
            g_string_append(out, "-");
        if (pid == 0) {
            fork();
            _exit(0);
        }
    }
    return HANDLER_DONE;
}

/* Computes for ever, or not at all. */
RUN(run_burn)
{
    UNUSED_ARGUMENTS;
    for (volatile bool burns = job->data[0] == '1'; burns;) {
    }
    return HANDLER_DONE;
}

/* Tries what its data says, and fails with what came of it. */
RUN(run_caged)
{
    UNUSED_ARGUMENTS;
    g_autofree char *what = plain(job);
    errno = 0;
    if (strcmp(what, "socket") == 0)
        socket(AF_INET, SOCK_STREAM, 0);
    else if (strcmp(what, "exec") == 0)
        execl("/bin/true", "true", (char *)NULL);
    else if (*what == '/')
        open(what, O_RDONLY | O_CLOEXEC);
    if (errno == 0)
        return HANDLER_DONE;
    g_string_append_printf(out, "%s: %s", what, g_strerror(errno));
    return HANDLER_FATAL;
}

static void needs_nothing(const struct handler_config *config, struct sandbox_needs *out)
{
    (void)config;
    *out = (struct sandbox_needs){ .confined = true };
}

/* The same, but one process of its own serves the next job, too. */
static pid_t kept;

static pid_t keeps(void)
{
    return kept;
}

RUN(run_keep)
{
    if (kept == 0 && (kept = fork()) == 0)
        wait_for_ever();
    run_stray(job, config, io, out);
    g_string_append_printf(out, "%d", kill(kept, 0) == 0 && waitpid(kept, NULL, WNOHANG) == 0);
    return HANDLER_DONE;
}

bool rogue_is_gone(void *path)
{
    g_autofree char *held = g_strconcat(path, ".held", NULL);
    int fd = open(held, O_WRONLY | O_CLOEXEC);
    bool gone = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0)
        close(fd);
    return gone;
}

/* Ends once the file is there. Files beside it tell when it has begun and ended. */
RUN(run_until)
{
    UNUSED_ARGUMENTS;
    g_autofree char *path = plain(job), *begun = g_strconcat(path, ".begun", NULL);
    g_autofree char *ended = g_strconcat(path, ".ended", NULL);
    g_file_set_contents(begun, "", 0, NULL);
    while (access(path, F_OK) != 0)
        g_usleep(2000);
    g_file_set_contents(ended, "", 0, NULL);
    return HANDLER_DONE;
}

/* The same, but at the first attempt it fails. */
RUN(run_waver)
{
    run_until(job, config, io, out);
    if (job->attempt > 1)
        return HANDLER_DONE;
    g_string_append(out, "not yet");
    return HANDLER_RETRY;
}

/* Frames made by hand carry the attempt as their serial, so they fit when the first job of a
 * child is at its first attempt, the second at its second, and so on. */
static void put(const void *bytes, size_t count)
{
    while (count > 0) {
        ssize_t sent = send(SERVE_FD, bytes, count, MSG_NOSIGNAL);
        if (sent < 0)
            _exit(1);
        bytes = (const char *)bytes + sent;
        count -= (size_t)sent;
    }
}

RUN(run_garbage)
{
    UNUSED_ARGUMENTS;
    put("this is no frame", 16);
    wait_for_ever();
}

/* Asks for a wait that is none. */
RUN(run_wait)
{
    UNUSED_ARGUMENTS;
    const struct frame_head head = { 4, FRAME_RETRY_AFTER, 1 };
    put(&head, sizeof head);
    put("-1s", 4);
    wait_for_ever();
}

/* Says of its job what only the parent can know. */
RUN(run_claim)
{
    UNUSED_ARGUMENTS;
    io->failure(io->arg, FAILURE_CANCELLED);
    wait_for_ever();
}

/* Announces a frame of 4 GB. */
RUN(run_huge)
{
    UNUSED_ARGUMENTS;
    const struct frame_head head = { UINT32_MAX, FRAME_LOG, 1 };
    put(&head, sizeof head);
    wait_for_ever();
}

/* Answers twice. */
RUN(run_twice)
{
    UNUSED_ARGUMENTS;
    const struct frame_head head = { 2, FRAME_DONE, job->attempt };
    put(&head, sizeof head);
    put("1", 2);
    g_string_append(out, "2");
    return HANDLER_DONE;
}

/* `number`: of this job among those of this child. */
static void G_GNUC_NORETURN leave(uint32_t number)
{
    const struct frame_head head = { 1, FRAME_OUTDATED, number };
    put(&head, sizeof head);
    put("", 1);
    wait_for_ever();
}

/* Leaves the job to a new child, so many times as its argument says; the file counts them. */
RUN(run_leave)
{
    UNUSED_ARGUMENTS;
    g_autofree char *path = plain(job);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    bool leaves = write(fd, "x", 1) == 1 &&
                  lseek(fd, 0, SEEK_CUR) <= g_ascii_strtoll(config->arg, NULL, 10);
    close(fd);
    if (leaves)
        leave(1);
    return HANDLER_DONE;
}

/* Does as `until`, but leaves the job to a new child once the file that its argument names is
 * there, if it was not when this child began. */
static bool was_there;

static bool init_old_hand(const struct handler_config *config, bool check_only, char **problem)
{
    (void)check_only, (void)problem;
    was_there = access(config->arg, F_OK) == 0;
    return true;
}

RUN(run_old_hand)
{
    static uint32_t number;
    number++;
    if (!was_there && access(config->arg, F_OK) == 0)
        leave(number);
    return run_until(job, config, io, out);
}

/* Answers well, and is dead by the time that is read. */
RUN(run_last_words)
{
    UNUSED_ARGUMENTS;
    const struct frame_head head = { 7, FRAME_DONE, job->attempt };
    put(&head, sizeof head);
    put("\"last\"", 7);
    _exit(9);
}

RUN(run_close)
{
    UNUSED_ARGUMENTS;
    shutdown(SERVE_FD, SHUT_RDWR);
    wait_for_ever();
}

/* Tells what it inherited: how many descriptors are open, and whether it is known where the
 * queue's server is. */
RUN(run_inherit)
{
    UNUSED_ARGUMENTS;
    int open_files = 0;
    for (int fd = 0; fd < 1024; fd++)
        open_files += fcntl(fd, F_GETFD) >= 0;
    g_string_append_printf(out, "\"%d %s %d\"", open_files,
        getenv("OX_REDIS_URL") ? "url" : "none", getpgrp() == getpid());
    return HANDLER_DONE;
}

/* Tells who it is and what it may do (user, group, capabilities: effective, permitted and
 * inheritable), and whether it would leave a core dump (limit, dumpable). */
RUN(run_rights)
{
    UNUSED_ARGUMENTS;
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
    struct rlimit core;
    if (syscall(SYS_capget, &head, data) < 0 || getrlimit(RLIMIT_CORE, &core) < 0)
        _exit(1);
    g_string_append_printf(out, "\"user %d.%d rights %x.%x.%x core %d.%d\"", (int)geteuid(),
        (int)getegid(), data[0].effective | data[1].effective,
        data[0].permitted | data[1].permitted, data[0].inheritable | data[1].inheritable,
        core.rlim_max > 0, prctl(PR_GET_DUMPABLE));
    return HANDLER_DONE;
}

static bool init_refuse(const struct handler_config *config, bool check_only, char **problem)
{
    (void)config;
    if (!check_only)
        *problem = g_strdup("the moon is not right");
    return check_only;
}

/* Starts only while the file that its argument names is there. */
static bool init_fickle(const struct handler_config *config, bool check_only, char **problem)
{
    if (check_only || (config->arg && access(config->arg, F_OK) == 0))
        return true;
    *problem = g_strdup("the file is not there");
    return false;
}

/* The second child does not start, the others do, and do not go when they are told to. The
 * argument names a file that counts them. */
static bool init_second(const struct handler_config *config, bool check_only, char **problem)
{
    if (check_only)
        return true;
    int fd = open(config->arg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    bool starts = write(fd, "x", 1) == 1 && lseek(fd, 0, SEEK_CUR) != 2;
    close(fd);
    if (starts)
        atexit(wait_for_ever);
    else
        *problem = g_strdup("the second one");
    return starts;
}

static bool init_die(const struct handler_config *config, bool check_only, char **problem)
{
    (void)config, (void)problem;
    if (!check_only)
        _exit(4);
    return true;
}

static bool init_old(const struct handler_config *config, bool check_only, char **problem)
{
    static const struct {
        struct frame_head head;
        char version[6];
    } ready = { { 6, FRAME_READY, 0 }, "0.0.0" };
    (void)config, (void)problem;
    if (!check_only)
        put(&ready, sizeof ready.head + sizeof ready.version);
    return true;
}

static bool init_slow(const struct handler_config *config, bool check_only, char **problem)
{
    (void)config, (void)problem;
    while (!check_only)
        pause();
    return true;
}

static bool init_wrong(const struct handler_config *config, bool check_only, char **problem)
{
    (void)check_only;
    const struct options *options = config->options;
    *problem = g_strdup_printf("the root is %s, with %d",
        options->root ? options->root : "missing", (int)options->depth);
    return false;
}

/* Writes an x to the file that its argument names, for each check. */
static bool init_count(const struct handler_config *config, bool check_only, char **problem)
{
    (void)problem;
    int fd = open(config->arg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    bool counted = fd >= 0 && (!check_only || write(fd, "x", 1) == 1);
    close(fd);
    return counted;
}

#define ROW(text, ...)                                                                         \
    &(const struct handler)                                                                    \
    {                                                                                          \
        .name = text, .summary = "", .argument = "TEXT", __VA_ARGS__                           \
    }

const struct handler *const rogue_handlers[] = {
    ROW("tell", .runs = HANDLER_RUNS_BOTH, .run = run_tell),
    ROW("copy", .runs = HANDLER_RUNS_BOTH, .run = run_copy),
    ROW("pack", .runs = HANDLER_RUNS_BATCHES, .run = run_tell),
    ROW("notjson", .run = run_notjson),
    ROW("retry", .run = run_retry),
    ROW("fatal", .run = run_fatal),
    ROW("talk", .run = run_talk),
    ROW("print", .run = run_print),
    ROW("flood", .run = run_flood),
    ROW("chatter", .run = run_chatter),
    ROW("large", .run = run_large),
    ROW("segv", .run = run_segv),
    ROW("exit", .run = run_exit),
    ROW("hang", .run = run_hang),
    ROW("freeze", .run = run_freeze),
    ROW("stray", .starts_programs = true, .run = run_stray),
    ROW("until", .run = run_until),
    ROW("waver", .run = run_waver),
    ROW("keep", .starts_programs = true, .keeps = keeps, .run = run_keep),
    ROW("eat", .run = run_eat),
    ROW("family", .starts_programs = true, .run = run_family),
    ROW("zombies", .starts_programs = true, .max_processes = 64, .run = run_zombies),
    ROW("burn", .run = run_burn),
    ROW("caged", .needs = needs_nothing, .run = run_caged),
    ROW("frugal", .memory_bytes = 64 << 20, .max_processes = 5, .run = run_tell),
    ROW("garbage", .run = run_garbage),
    ROW("wait", .run = run_wait),
    ROW("claim", .run = run_claim),
    ROW("huge", .run = run_huge),
    ROW("twice", .run = run_twice),
    ROW("leave", .run = run_leave),
    ROW("old-hand", .init = init_old_hand, .run = run_old_hand),
    ROW("last-words", .run = run_last_words),
    ROW("close", .run = run_close),
    ROW("inherit", .run = run_inherit),
    ROW("rights", .run = run_rights),
    ROW("refuse", .init = init_refuse, .run = run_tell),
    ROW("fickle", .init = init_fickle, .run = run_tell),
    ROW("second", .init = init_second, .run = run_tell),
    ROW("die", .init = init_die, .run = run_tell),
    ROW("old", .init = init_old, .run = run_tell),
    ROW("slow", .init = init_slow, .run = run_tell),
    ROW("count", .init = init_count, .run = run_tell),
    ROW("take", .opts = rows, .options_size = sizeof(struct options), .run = run_tell),
    ROW("wrong", .opts = rows, .options_size = sizeof(struct options), .init = init_wrong,
        .run = run_tell),
    NULL,
};

bool rogue_wanted(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (g_str_has_prefix(argv[i], "--handler=") || strcmp(argv[i], "--list") == 0)
            return true;
    return false;
}
