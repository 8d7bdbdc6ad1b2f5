/*
 * notify.c - what a worker tells its program of the jobs: how a run ended once the server has
 * said so, and what the library decided or found out alone.
 *
 * A task whose end was written goes from list to list (`ended`, then a call's `tasks`) until
 * ox__notify_end() is called for it, once, with the server's verdict; then it is freed.
 */
#include "engine/worker.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

/* The kinds of ends are those of lua/end_jobs.lua. */
static int outcome_of(char kind)
{
    switch (kind) {
    case 'c':
        return OX_RUN_COMPLETED;
    case 'f':
        return OX_RUN_FAILED;
    case 'm':
        return OX_RUN_DELAYED;
    case 'r':
    case 'l':
        return OX_RUN_RELEASED;
    case OX__KIND_WAITS:
        return OX_RUN_WAITS;
    default:
        return OX_RUN_RETRIED;
    }
}

void ox__task_note_end(struct ox_task *task, char kind, const char *reason, size_t len)
{
    bool failed = outcome_of(kind) == OX_RUN_FAILED || outcome_of(kind) == OX_RUN_RETRIED;
    task->end.kind = kind;
    free(task->end.reason);
    /* Without memory for it, the log does without it. */
    task->end.reason =
        failed && task->worker->options.run_ended != NULL ? strndup(reason, len) : NULL;
}

void ox__notify_end(struct ox_task *task, const ox_error *err)
{
    ox_worker *worker = task->worker;
    if (worker->options.run_ended == NULL) {
        if (err != NULL && err->code != OX_ECLOSED) {
            ox__worker_error(worker, ox_job_id(task->job), err);
        }
        return;
    }
    const ox_run_end end = { .job = task->job,
        .attempt = ox_task_attempt(task),
        .outcome = outcome_of(task->end.kind),
        .unrun = task->end.unrun,
        .reason = task->end.reason,
        .data = task->data,
        .err = err };
    worker->options.run_ended(worker, &end, worker->arg);
}

void ox__notify_ends(struct ox__task_list *list, const ox_error *err)
{
    if (list->head == NULL || list->head->worker->options.run_ended == NULL) {
        return;
    }
    for (struct ox_task *task = list->head; task != NULL; task = task->next) {
        ox__notify_end(task, err);
    }
}

void ox__notify(ox_worker *worker, int notice, const char *job_id)
{
    if (worker->options.notice != NULL) {
        worker->options.notice(worker, notice, job_id, worker->arg);
    }
}
