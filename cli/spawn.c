/*
 * spawn.c - see spawn.h. Signals come through a signalfd, so nothing happens in a handler.
 */
#include "spawn.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* As nohup(1) leaves SIGHUP; a signalfd would get it anyway. */
static bool is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int spawn_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (!is_ignored(SIGHUP)) {
        sigaddset(&set, SIGHUP);
    }
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void point_streams(bool quiet)
{
    int null = open("/dev/null", O_RDWR);
    if (null < 0) {
        return;
    }
    dup2(null, STDIN_FILENO);
    dup2(quiet ? null : STDERR_FILENO, STDOUT_FILENO);
    if (null > STDERR_FILENO) {
        close(null);
    }
}

/* In the child, between fork and exec. */
static void become(
    const char *const *argv, bool quiet, int keep_fd, pid_t parent, int report_fd)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(127);
    }
    point_streams(quiet);
    if (keep_fd >= 0) {
        fcntl(keep_fd, F_SETFD, 0);
    }
    execv(argv[0], (char *const *)(const void *)argv);
    int failure = errno;
    ssize_t written = write(report_fd, &failure, sizeof failure);
    _exit(written > 0 ? 127 : 126);
}

bool spawn_start(struct spawn *child, const char *const *argv, bool quiet, int keep_fd)
{
    /* exec closes the pipe; if it fails, its errno comes through. */
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0) {
        return false;
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        become(argv, quiet, keep_fd, parent, report[1]);
    }
    int failure = pid < 0 ? errno : 0;
    close(report[1]);
    if (pid > 0 && read(report[0], &failure, sizeof failure) == sizeof failure) {
        waitpid(pid, NULL, 0);
    }
    close(report[0]);
    errno = failure;
    if (failure) {
        return false;
    }
    child->pid = pid;
    child->ended = false;
    return true;
}

static int read_signals(int signal_fd)
{
    int asked = 0;
    struct signalfd_siginfo info;
    while (read(signal_fd, &info, sizeof info) == sizeof info) {
        asked += info.ssi_signo != SIGCHLD;
    }
    return asked;
}

static void reap(struct spawn *child)
{
    if (child->pid && waitpid(child->pid, &child->status, WNOHANG) == child->pid) {
        child->pid = 0;
        child->ended = true;
    }
}

int spawn_wait(int signal_fd, struct spawn *const *children, size_t count, int timeout_ms)
{
    struct pollfd fd = { .fd = signal_fd, .events = POLLIN };
    poll(&fd, 1, timeout_ms);
    int asked = read_signals(signal_fd);
    for (size_t i = 0; i < count; i++) {
        reap(children[i]);
    }
    return asked;
}

void spawn_signal(const struct spawn *child, int number)
{
    if (child->pid) {
        kill(child->pid, number);
    }
}

char *spawn_fate(const struct spawn *child)
{
    if (WIFSIGNALED(child->status)) {
        return g_strdup_printf("was ended by signal %d (%s)", WTERMSIG(child->status),
            g_strsignal(WTERMSIG(child->status)));
    }
    return g_strdup_printf("ended with exit status %d", WEXITSTATUS(child->status));
}
