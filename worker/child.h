/*
 * child.h - one process that runs handlers, as the parent sees it.
 *
 * A child is started, gets ready, runs jobs one after the other, and goes: because it was
 * retired, killed, or by itself. Whatever it does, `gone` is called exactly once, from the
 * loop, when nothing of its process tree can run any more and all its descriptors are closed;
 * the child is freed after that call. Between child_run() and `result` or `gone` it is busy.
 *
 *     child_new .. ready -> child_run .. result -> child_run .. result -> child_retire .. gone
 *
 * What a child sends is never trusted. A frame that breaks the rules, or answers what was not
 * asked, gets it killed.
 */
#ifndef OX_WORKER_CHILD_H
#define OX_WORKER_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "failure.h"
#include "frame.h"
#include "handler.h"
#include "log.h"

struct child;

/* How to start children of one kind. Borrowed for as long as they live. */
struct child_settings {
    uv_loop_t *loop;
    const char *program; /* path of ox-handler */
    char **argv;         /* ended by NULL */
    char **env;          /* the same */
    char **words;        /* the same: what only the child is to see, see private_words.h */
    uint32_t start_timeout_ms; /* until it is ready */
    int64_t memory_bytes;      /* that the processes of a job may hold; 0: any */
    int64_t max_processes;     /* 0: any */
    struct log_place place;    /* for the log */
};

/* Text is borrowed for the time of the call. */
struct child_hooks {
    void (*ready)(void *owner);
    void (*progress)(void *owner, const char *json);
    void (*log)(void *owner, const char *row);
    /* If the job fails, it is not to run again before so many ms (0 or more) are over. */
    void (*retry_after)(void *owner, int64_t ms);
    /* If the job fails, that is of this kind; else it is FAILURE_FAILED. */
    void (*failure)(void *owner, enum failure kind);
    /* The job has ended. The child takes the next one if child_usable(). `text` is the
     * return value (empty: null) or the reason. */
    void (*result)(void *owner, enum handler_result result, const char *text);
    /* It did not begin the job, and is of no use for another one; a new child can run it. */
    void (*outdated)(void *owner);
    /* `reason` says why it died, NULL when it was retired. If it was busy, that is what
     * became of its job; if it never got ready, that is why. `kind` is FAILURE_NONE without a
     * reason. */
    void (*gone)(void *owner, enum failure kind, const char *reason);
};

/* Starts a process. NULL, and a message in *problem (g_free), when that fails; then no hook
 * is ever called. */
struct child *child_new(const struct child_settings *settings, const struct child_hooks *hooks,
    void *owner, char **problem);

/* Gives a job to a child that is ready and not busy, and kills it after so long (0: never). The
 * strings stay where they are until `result` or `gone`. */
void child_run(struct child *child, const struct frame_job *job, uint32_t timeout_ms);
/* Reads no more of what it says, until told otherwise, because nobody can take it; such time
 * does not count for its job's timeout. From within a hook as well. */
void child_hold(struct child *child, bool hold);
/* Nothing has ended it so far. */
bool child_usable(const struct child *child);
pid_t child_pid(const struct child *child);
/* How long its job may run on; -1: for ever. */
int64_t child_left_ms(const struct child *child);

/* Kills its process tree at once. The first reason given is the one that `gone` gets. */
void child_kill(struct child *child, enum failure kind, const char *reason);
/* Lets a child that is not busy go by itself; it is killed when it does not. */
void child_retire(struct child *child);

#endif /* OX_WORKER_CHILD_H */
