/*
 * run.h - one run of a job, and what the log says of its end.
 *
 * A seat makes a run when a task is given to it first, and is done with it when that is ended;
 * the run lives on until the server has stored its end or refused it.
 */
#ifndef OX_WORKER_RUN_H
#define OX_WORKER_RUN_H

#include <ox.h>
#include <stdint.h>

#include "failure.h"

struct seat;

/* The data of a task. */
struct run {
    struct seat *seat; /* of the pool; NULL once the task is ended, and while no child has it */
    uint64_t started_ns, ended_ns; /* started 0: it was not begun */
    uint64_t left_ns;       /* when a child first left the task to a younger one; 0: none did */
    uint32_t left;          /* how many of those that are younger did so, too */
    int64_t retry_after_ms; /* if it fails; 0: when the job's backoff says */
    char *reason;           /* why it was taken from its child, or NULL */
    enum failure kind;      /* of its failure, or why it was taken away */
};

void run_free(struct run *run);

/* Whose run a line of the log is about. */
void run_log_job(const char *queue, const ox_job *job, uint32_t attempt);

/* The server has stored the end of a run, or refused it: logs that, and frees the run. */
void run_ended(const ox_run_end *end, const char *queue);

#endif /* OX_WORKER_RUN_H */
