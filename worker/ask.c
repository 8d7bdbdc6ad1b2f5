/*
 * ask.c - see ask.h.
 *
 * The program runs below a keeper (tree.h), as handlers do: it kills the whole tree when the
 * program ends, when it is told to and when this process is gone. The keeper is a fork of this
 * process, so it closes all descriptors but the three of the program first. While it is there,
 * the pipes that the program prints to are open; their end is the end of the tree.
 */
#include "ask.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "tree.h"

#define TEXT_MAX_BYTES ((gsize)1 << 20)
#define KILL_MS 3000 /* for the keeper to kill its tree: a process may hang in the kernel */

enum { OUT, ERR, STOP, SIGNALS, FD_COUNT };

/* One that runs. */
struct run {
    pid_t keeper;
    struct pollfd fds[FD_COUNT]; /* fd -1: at its end */
    GString *said[2];            /* on OUT and ERR */
    int64_t until_ms;            /* monotonic */
    int end;                     /* enum ask_end, once it is killed by us */
};

static int64_t now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

/* ---- To stop ----------------------------------------------------------------------------- */

/* Readable once it is told to. */
static int stop_fd(void)
{
    static gsize fd_plus_two; /* eventfd() may fail, and says -1 then */
    if (g_once_init_enter(&fd_plus_two)) {
        g_once_init_leave(&fd_plus_two, (gsize)(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) + 2));
    }
    return (int)fd_plus_two - 2;
}

void ask_stop(void)
{
    eventfd_write(stop_fd(), 1);
}

/* Readable while one of the signals is pending; -1 when this thread blocks none of them. */
static int open_signals(void)
{
    sigset_t blocked, wanted;
    sigemptyset(&wanted);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    static const int numbers[] = { SIGTERM, SIGINT };
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (sigismember(&blocked, numbers[i]) == 1) {
            sigaddset(&wanted, numbers[i]);
        }
    }
    return sigisemptyset(&wanted) ? -1 : signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* ---- The program ------------------------------------------------------------------------- */

/* In the new process, which has all signals blocked and becomes the keeper and the program's.
 */
static void G_GNUC_NORETURN become_program(
    const struct ask *ask, pid_t parent, const int theirs[3])
{
    sigset_t none;
    g_autofree char *problem = NULL;
    setsid(); /* Ctrl-C is for ox-worker */
    for (int fd = 0; fd < 3; fd++) {
        if (dup2(theirs[fd], fd) < 0) {
            _exit(127);
        }
    }
    close_range(3, ~0u, 0); /* where there is none, these only stay open until the end */
    if (!tree_enter(TREE_SUBREAPER, parent, -1, &problem)) {
        dprintf(STDERR_FILENO, "%s\n", problem);
        _exit(EX_TEMPFAIL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvpe(ask->program, ask->argv, ask->env != NULL ? ask->env : environ);
    bool passing = errno == EAGAIN || errno == ENOMEM || errno == ENFILE || errno == ETXTBSY;
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", ask->program, g_strerror(errno));
    _exit(passing ? EX_TEMPFAIL : 127);
}

/* Signals are blocked until the new process is the keeper: it shares handlers with this one,
 * and the pipe that these write to. */
static pid_t fork_program(const struct ask *ask, const int theirs[3])
{
    sigset_t all, before;
    pid_t parent = getpid();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    int error = errno;
    if (pid == 0) {
        become_program(ask, parent, theirs);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return pid;
}

/* Descriptors 0 to 2 are open in ox-worker, so none of these is one of them. */
static int start(struct run *run, const struct ask *ask)
{
    int out[2] = { -1, -1 }, err[2] = { -1, -1 }, error = 0;
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0) {
        error = errno;
    } else {
        const int theirs[] = { ask->stdin_fd >= 0 ? ask->stdin_fd : nothing, out[1], err[1] };
        run->keeper = fork_program(ask, theirs);
        error = errno;
    }
    int ours[] = { nothing, out[1], err[1] };
    for (size_t i = 0; i < G_N_ELEMENTS(ours); i++) {
        if (ours[i] >= 0) {
            close(ours[i]);
        }
    }
    run->fds[OUT].fd = out[0];
    run->fds[ERR].fd = err[0];
    return run->keeper > 0 ? 0 : -error;
}

/* ---- Waiting for it ---------------------------------------------------------------------- */

static void close_fd(struct pollfd *fd)
{
    if (fd->fd >= 0) {
        close(fd->fd);
    }
    fd->fd = -1;
}

static void take_said(struct run *run, int which)
{
    char piece[4096];
    ssize_t got = read(run->fds[which].fd, piece, sizeof piece);
    if (got > 0 && run->said[which]->len < TEXT_MAX_BYTES) {
        g_string_append_len(run->said[which], piece, got);
    } else if (got == 0 || (got < 0 && errno != EINTR)) {
        close_fd(&run->fds[which]);
    }
}

/* The second time, its keeper has not killed it. */
static void give_up(struct run *run, int end)
{
    bool again = run->end >= 0;
    kill(run->keeper, again ? SIGKILL : SIGTERM);
    if (again) {
        close_fd(&run->fds[OUT]);
        close_fd(&run->fds[ERR]);
        return;
    }
    run->end = end;
    run->until_ms = now_ms() + KILL_MS;
    run->fds[STOP].events = run->fds[SIGNALS].events = 0;
}

static void turn(struct run *run)
{
    int64_t left = CLAMP(run->until_ms - now_ms(), 0, G_MAXINT);
    int ready = left > 0 ? poll(run->fds, FD_COUNT, (int)left) : 0;
    if (ready == 0) {
        give_up(run, ASK_LATE);
        return;
    }
    for (int i = OUT; ready > 0 && i <= ERR; i++) {
        if (run->fds[i].revents != 0) {
            take_said(run, i);
        }
    }
    if (ready > 0 && (run->fds[STOP].revents != 0 || run->fds[SIGNALS].revents != 0)) {
        give_up(run, ASK_STOPPED);
    }
}

/* Who is killed, or fails without a word, is told of by how it ended. */
static void say_end(GString *said, int status)
{
    g_autofree char *end = NULL;
    if (WIFSIGNALED(status)) {
        int number = WTERMSIG(status);
        end = g_strdup_printf("it was killed by SIG%s%s%s", sigabbrev_np(number),
            number == SIGKILL ? ", as the kernel does when memory runs out" : "",
            said->len > 0 ? ": " : "\n");
    } else if (said->len == 0) {
        end = g_strdup_printf("it ended with status %d\n", WEXITSTATUS(status));
    }
    g_string_prepend(said, end != NULL ? end : "");
}

static int wait_end(const struct run *run)
{
    int status;
    pid_t pid;
    do {
        pid = waitpid(run->keeper, &status, 0);
    } while (pid < 0 && errno == EINTR);
    if (run->end >= 0) {
        return run->end;
    }
    if (pid < 0) {
        return -errno;
    }
    if (status == 0) {
        return ASK_DONE;
    }
    say_end(run->said[ERR], status);
    return WIFSIGNALED(status) || WEXITSTATUS(status) == EX_TEMPFAIL ? ASK_PASSING : ASK_FAILED;
}

int ask_run(const struct ask *ask, char **out, char **err)
{
    struct run run = {
        .fds = { [STOP] = { .fd = stop_fd(), .events = POLLIN },
            [SIGNALS] = { .fd = open_signals(), .events = POLLIN },
            [OUT] = { .fd = -1, .events = POLLIN },
            [ERR] = { .fd = -1, .events = POLLIN } },
        .said = { g_string_new(NULL), g_string_new(NULL) },
        .until_ms = now_ms() + ask->deadline_ms,
        .end = -1,
    };
    int result = start(&run, ask);
    while (result == 0 && (run.fds[OUT].fd >= 0 || run.fds[ERR].fd >= 0)) {
        turn(&run);
    }
    result = result == 0 ? wait_end(&run) : result;
    close_fd(&run.fds[OUT]);
    close_fd(&run.fds[ERR]);
    close_fd(&run.fds[SIGNALS]);
    *out = g_string_free(run.said[OUT], FALSE);
    *err = g_string_free(run.said[ERR], FALSE);
    return result;
}
