/*
 * run.h - one run of a job, or of a batch of events: what a pool gives to its children, and
 * what the log says of its end.
 *
 * A consumer makes a run of what it was given; the pool ends it, exactly once, by one of the
 * calls of its type. It lives on until the server has stored its end or refused it.
 */
#ifndef OX_WORKER_RUN_H
#define OX_WORKER_RUN_H

#include <glib.h>
#include <ox.h>
#include <stdbool.h>
#include <stdint.h>

#include "failure.h"
#include "frame.h"
#include "log.h"

struct run;
struct seat;

/* What is run, as pools and seats see it. */
struct run_type {
    /* What its child is sent, but for the deadline. The strings stay until it is ended. */
    void (*write)(struct run *run, struct frame_job *out);
    /* How long it may take by its own settings; 0: for ever. */
    int64_t (*timeout_ms)(const struct run *run);
    uint32_t (*attempt)(const struct run *run);
    /* Progress; false when it is not JSON. */
    bool (*progress)(struct run *run, const char *json);
    /* A row of its log. True when the server has to take what was said before more is. */
    bool (*log)(struct run *run, const char *row);
    /* Somebody does not want it any more. */
    bool (*cancelled)(const struct run *run);
    /* Each ends it. `text` is the return value, empty: null; false when it is not JSON. */
    bool (*complete)(struct run *run, const char *text);
    void (*fail)(struct run *run, const ox_failure *failure);
    /* Its child was taken away; no attempt is spent. */
    void (*release)(struct run *run);
    /* It was not begun, and runs again at `at_ms`, or at once: 0. */
    void (*decline)(struct run *run, int64_t at_ms);
    /* Which one it is, as fields of a line of the log. */
    void (*describe)(const struct run *run);
    const char *lock_lost; /* the reason of its end when its lock was lost */
};

struct run {
    const struct run_type *type;
    void *of;                  /* ox_task, ox_batch */
    GString *text;             /* of a batch, made for its child; else NULL */
    char id[OX_POSITION_SIZE]; /* of a batch: where it begins */
    struct seat *seat; /* of the pool; NULL once it is ended, and while no child has it */
    uint64_t started_ns, ended_ns; /* started 0: it was not begun */
    uint64_t waits_ms;             /* since when it waits for a child, by the loop's clock */
    uint64_t left_ns;       /* when a child first left it to a younger one; 0: none did */
    uint32_t left;          /* how many of those that are younger did so, too */
    int64_t retry_after_ms; /* if it fails; 0: when its backoff says */
    char *reason;           /* why it was taken from its child, or NULL */
    enum failure kind;      /* of its failure, or why it was taken away */
};

struct run *run_new(const struct run_type *type, void *of);
void run_free(struct run *run);

/* ---- jobs: run_job.c --------------------------------------------------------------------- */

/* The run of a task, whose data it becomes. */
struct run *run_job_new(ox_task *task);
/* The server has stored the end of a run, or refused it: logs that, and frees the run. */
void run_job_ended(const ox_run_end *end, const struct log_place *place);

/* ---- batches: run_batch.c ---------------------------------------------------------------- */

struct run *run_batch_new(ox_batch *batch);
/* The same of a batch. */
void run_batch_ended(const ox_batch_end *end, const struct log_place *place);

#endif /* OX_WORKER_RUN_H */
