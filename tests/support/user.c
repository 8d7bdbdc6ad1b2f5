/*
 * user.c - see user.h.
 */
#include "user.h"

#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

/* Who changes its user is closed to that user's debuggers and /proc; not so who was started as
 * it. */
static int run_as(uid_t uid, int (*run)(void))
{
    if (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0)
        return 1;
    prctl(PR_SET_DUMPABLE, 1);
    if (access("/proc/self/exe", X_OK) < 0) {
        printf("(not run as a plain user, who cannot reach this program)\n");
        return 0;
    }
    if (getenv("TMPDIR") != NULL && access(getenv("TMPDIR"), W_OK | X_OK) < 0)
        setenv("TMPDIR", "/tmp", 1);
    setenv("HOME", "/nonexistent", 1);
    return run();
}

int test_as_user(uid_t uid, int (*run)(void))
{
    int status;
    if (geteuid() != 0)
        return 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int failed = run_as(uid, run);
        fflush(stdout);
        exit(failed);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                           : 1;
}

int test_as_plain_user(int (*run)(void))
{
    return test_as_user(NOBODY, run);
}
