/*
 * ask.h - runs a program to its end, for what it prints, with a deadline.
 */
#ifndef OX_WORKER_ASK_H
#define OX_WORKER_ASK_H

#include <stdbool.h>
#include <stdint.h>

enum ask_end {
    ASK_DONE,    /* exit status 0 */
    ASK_FAILED,  /* another one */
    ASK_PASSING, /* a signal of others killed it, or it could not be started for want of memory
                    or processes: that may pass */
    ASK_LATE,    /* killed by us: it took too long */
    ASK_STOPPED  /* killed by us: this process was told to stop */
};

/* What is started, and when it is given up. */
struct ask {
    const char *program; /* its path */
    char **argv;         /* ended by NULL */
    char **env;          /* the same; NULL: ours */
    int stdin_fd;        /* stays the caller's; negative: /dev/null */
    int64_t deadline_ms; /* from now */
};

/* Runs it and waits. Nothing that it has started is left when this returns, also when this
 * process gets SIGKILL meanwhile. From any thread; other threads may fork.
 *
 * It is told to stop by ask_stop(), and by a SIGTERM or SIGINT that is blocked in the calling
 * thread, where it then stays pending.
 *
 * @param out, err  what it printed, at most 1 MB each; g_free. When it failed and printed no
 *   error, *err is how it ended; when a signal killed it, *err begins with that
 * @return a negative errno when it cannot be started, else enum ask_end */
int ask_run(const struct ask *ask, char **out, char **err);

/* Ends the ask_run() that runs in another thread, and all to come. */
void ask_stop(void);

#endif /* OX_WORKER_ASK_H */
