/* notify.c - calls the program's callbacks; see notify.h. */
#include "engine/notify.h"
#include "codes.h"

#include <stdlib.h>
#include <string.h>

void ox__notify_error(ox_worker *worker, const char *job_id, const ox_error *err)
{
    if (worker->options.error != NULL) {
        worker->options.error(worker, job_id, err, worker->arg);
    }
}

/* The kinds of ends are those of lua/end_jobs.lua. */
static int outcome_of(char kind)
{
    switch (kind) {
    case OX__END_COMPLETED:
        return OX_RUN_COMPLETED;
    case OX__END_FAILED:
        return OX_RUN_FAILED;
    case OX__END_MOVED:
    case OX__END_PUT_OFF:
        return OX_RUN_DELAYED;
    case OX__END_RELEASED:
    case OX__END_DECLINED:
    case OX__END_LIMITED:
        return OX_RUN_RELEASED;
    case OX__KIND_WAITS:
        return OX_RUN_WAITS;
    default:
        return OX_RUN_RETRIED;
    }
}

void ox__notify_note_end(struct ox_task *task, char kind, const char *reason, size_t len)
{
    bool failed = outcome_of(kind) == OX_RUN_FAILED || outcome_of(kind) == OX_RUN_RETRIED;
    task->end.kind = kind;
    free(task->end.reason);
    /* Out of memory, the report has no reason. */
    task->end.reason =
        failed && task->worker->options.run_ended != NULL ? strndup(reason, len) : NULL;
}

void ox__notify_end(struct ox_task *task, const ox_error *err)
{
    ox_worker *worker = task->worker;
    if (worker->options.run_ended == NULL) {
        if (err != NULL && err->code != OX_ECLOSED) {
            ox__notify_error(worker, ox_job_id(task->job), err);
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
