/*
 * failure.h - the kinds of failures: the words of `type=` in the log, stable for whoever counts
 * them or is woken by them. docs/ox-worker.1 says what each means.
 */
#ifndef OX_WORKER_FAILURE_H
#define OX_WORKER_FAILURE_H

#include <stdbool.h>
#include <stdint.h>

/* its name, its word, whether a handler may say it of its own job */
#define FAILURES(XX)                                                                           \
    XX(FAILED, "failed", false)                                                                \
    XX(CRASHED, "crashed", true)                                                               \
    XX(EXITED, "exited", false)                                                                \
    XX(TIMEOUT, "timeout", false)                                                              \
    XX(MEMORY, "memory", false)                                                                \
    XX(PROCESSES, "processes", false)                                                          \
    XX(CPU, "cpu", true)                                                                       \
    XX(BAD_OUTPUT, "bad-output", true)                                                         \
    XX(INVALID, "invalid", false)                                                              \
    XX(NO_HANDLER, "no-handler", false)                                                        \
    XX(EXPIRED, "expired", false)                                                              \
    XX(STARTED_TOO_OFTEN, "started-too-often", false)                                          \
    XX(STALLED_TOO_OFTEN, "stalled-too-often", false)                                          \
    XX(CHILD_FAILED, "child-failed", false)                                                    \
    XX(CANCELLED, "cancelled", false)                                                          \
    XX(LOCK_LOST, "lock-lost", false)                                                          \
    XX(REMOVED, "removed", false)                                                              \
    XX(MOVED, "moved", false)                                                                  \
    XX(NOT_STORED, "not-stored", false)                                                        \
    XX(STOPPED, "stopped", false)

enum failure {
    FAILURE_NONE,
#define FAILURE_ENUM(name, word, by_handler) FAILURE_##name,
    FAILURES(FAILURE_ENUM)
#undef FAILURE_ENUM
};

/* NULL for FAILURE_NONE. */
const char *failure_word(enum failure kind);
/* Finds a word that a handler may say; false: it is none. */
bool failure_said(const char *word, enum failure *out);

/* Of a process that ended by itself, as waitpid() has it: its kind, and the reason (g_free). */
char *failure_of_death(int64_t status, int signal_number, enum failure *kind);

#endif /* OX_WORKER_FAILURE_H */
