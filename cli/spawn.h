/*
 * spawn.h - the programs that `ox dev` runs, and its signals.
 *
 * A child has a process group of its own, so Ctrl-C reaches ox alone, which stops them in
 * order; and it gets SIGTERM when ox dies in any way.
 */
#ifndef OX_CLI_SPAWN_H
#define OX_CLI_SPAWN_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct spawn {
    const char *name; /* in messages: "Redis" */
    pid_t pid;        /* 0: not started, or ended */
    bool ended;
    int status; /* of waitpid; defined once ended */
};

/* Blocks the signals of interest and returns an fd that delivers them, or -1 with errno. To be
 * called before the first child is started. */
int spawn_signals(void);

/*
 * Starts a program.
 * @param quiet    its stdout is /dev/null; else our stderr, since stdout is for results. stderr
 *                 is ours.
 * @param keep_fd  stays open in it; -1: none
 * @return false with errno
 */
bool spawn_start(struct spawn *child, const char *const *argv, bool quiet, int keep_fd);

/*
 * Waits until something happens, at most `timeout_ms` (-1: no limit).
 * @return how many of SIGINT, SIGTERM and SIGHUP came; children that ended are marked
 */
int spawn_wait(int signal_fd, struct spawn *const *children, size_t count, int timeout_ms);

/* Sends a signal if it runs. */
void spawn_signal(const struct spawn *child, int number);

/* "ended with exit status 2", "was ended by signal 9 (Killed)". Heap. */
char *spawn_fate(const struct spawn *child);

#endif /* OX_CLI_SPAWN_H */
