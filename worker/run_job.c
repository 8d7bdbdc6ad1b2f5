/*
 * run_job.c - a job of a queue as a run, and how its end is told; see run.h.
 */
#include <glib.h>
#include <string.h>

#include "log.h"
#include "run.h"

#define UNANSWERED_MAX 64 /* what a job may have on its way to the server before it waits */

static void write_job(struct run *run, struct frame_job *out)
{
    const ox_job *job = ox_task_job(run->of);
    const char *name = ox_job_text(job, OX_JOB_NAME), *data = ox_job_text(job, OX_JOB_DATA);
    *out = (struct frame_job){
        .id = ox_job_id(job),
        .id_len = strlen(ox_job_id(job)),
        .name = name != NULL ? name : "",
        .name_len = name != NULL ? ox_job_length(job, OX_JOB_NAME) : 0,
        .data = data != NULL ? data : "{}",
        .data_len = data != NULL ? ox_job_length(job, OX_JOB_DATA) : 2,
        .attempt = ox_task_attempt(run->of),
        .timestamp_ms = ox_job_number(job, OX_JOB_TIMESTAMP, 0),
    };
}

static int64_t timeout_ms(const struct run *run)
{
    return ox_task_timeout_ms(run->of);
}

static uint32_t attempt(const struct run *run)
{
    return ox_task_attempt(run->of);
}

static bool progress(struct run *run, const char *json)
{
    return ox_task_progress(run->of, json) >= 0;
}

static bool log_row(struct run *run, const char *row)
{
    ox_task_log(run->of, row);
    return ox_task_pending_updates(run->of) >= UNANSWERED_MAX;
}

static bool cancelled(const struct run *run)
{
    return ox_task_cancelled(run->of);
}

static bool complete(struct run *run, const char *text)
{
    return ox_task_complete(run->of, *text ? text : NULL) >= 0;
}

static void fail(struct run *run, const ox_failure *failure)
{
    ox_task_fail(run->of, failure);
}

static void release(struct run *run)
{
    ox_task_release(run->of);
}

static void decline(struct run *run, int64_t at_ms)
{
    ox_task_decline(run->of, at_ms);
}

static void describe_job(const ox_job *job, uint32_t number)
{
    log_text("id", ox_job_id(job));
    log_text("name", ox_job_text(job, OX_JOB_NAME));
    log_number("attempt", number);
}

static void describe(const struct run *run)
{
    describe_job(ox_task_job(run->of), ox_task_attempt(run->of));
}

static const struct run_type type = {
    .write = write_job,
    .timeout_ms = timeout_ms,
    .attempt = attempt,
    .progress = progress,
    .log = log_row,
    .cancelled = cancelled,
    .complete = complete,
    .fail = fail,
    .release = release,
    .decline = decline,
    .describe = describe,
    .lock_lost = "the job's lock was lost",
};

struct run *run_job_new(ox_task *task)
{
    struct run *run = run_new(&type, task);
    ox_task_set_data(task, run);
    return run;
}

/* ---- its end ----------------------------------------------------------------------------- */

static const struct {
    enum log_level level;
    const char *event;
} outcomes[] = {
    [OX_RUN_COMPLETED] = { LOG_INFO, "completed" },
    [OX_RUN_FAILED] = { LOG_WARN, "failed" },
    [OX_RUN_RETRIED] = { LOG_WARN, "retried" },
    [OX_RUN_DELAYED] = { LOG_DEBUG, "delayed" }, /* the log told of its route */
    [OX_RUN_RELEASED] = { LOG_WARN, "released" },
    [OX_RUN_WAITS] = { LOG_INFO, "waits" },
};

/* What follows when the end of a run was not stored. */
static const char *what_follows(int code)
{
    switch (code) {
    case OX_ENOTFOUND:
        return "nothing: the job was removed";
    case OX_ECANCELLED:
        return "nothing: the job has failed for good";
    case OX_ESTATE:
        return "nothing: the job was moved and stays where it is";
    case OX_ELOCK:
        return "another worker runs the job, or has run it";
    default:
        return "the job runs again when its lock is over, and fails if it has stalled too "
               "often";
    }
}

/* A run whose end was not stored is dropped, whatever its outcome: an error, since its work is
 * lost or was done twice; but for a job that was cancelled, whose work is not wanted. One that
 * was taken ahead in vain is no news. */
static void begin_line(const ox_run_end *end, const struct run *run)
{
    bool in_vain = run != NULL && run->started_ns == 0 && run->reason != NULL;
    if (end->err == NULL && end->outcome == OX_RUN_RELEASED && in_vain) {
        log_begin(LOG_DEBUG, outcomes[end->outcome].event);
    } else if (end->err == NULL) {
        log_begin(outcomes[end->outcome].level, outcomes[end->outcome].event);
    } else if (end->err->code == OX_ECANCELLED) {
        log_begin(LOG_WARN, "cancelled");
    } else {
        log_begin(LOG_ERROR, "dropped");
    }
}

static enum failure kind_of_refusal(int code)
{
    switch (code) {
    case OX_ECANCELLED:
        return FAILURE_CANCELLED;
    case OX_ELOCK:
        return FAILURE_LOCK_LOST;
    case OX_ENOTFOUND:
        return FAILURE_REMOVED;
    case OX_ESTATE:
        return FAILURE_MOVED;
    default:
        return FAILURE_NOT_STORED;
    }
}

/* FAILURE_NONE for a run that ended well. */
static enum failure kind_of(const ox_run_end *end, const struct run *run)
{
    static const enum failure unrun[] = {
        [OX_UNRUN_INVALID] = FAILURE_INVALID,
        [OX_UNRUN_EXPIRED] = FAILURE_EXPIRED,
        [OX_UNRUN_STARTED_TOO_OFTEN] = FAILURE_STARTED_TOO_OFTEN,
        [OX_UNRUN_STALLED_TOO_OFTEN] = FAILURE_STALLED_TOO_OFTEN,
        [OX_UNRUN_CHILD_FAILED] = FAILURE_CHILD_FAILED,
        [OX_UNRUN_LOCK_LOST] = FAILURE_LOCK_LOST,
    };
    if (end->err != NULL) {
        return kind_of_refusal(end->err->code);
    }
    if (end->unrun != 0) {
        return unrun[end->unrun];
    }
    bool failed = end->outcome == OX_RUN_FAILED || end->outcome == OX_RUN_RETRIED;
    if (run != NULL && run->kind != FAILURE_NONE) {
        return failed || end->outcome == OX_RUN_RELEASED ? run->kind : FAILURE_NONE;
    }
    return !failed ? FAILURE_NONE : run != NULL ? FAILURE_FAILED : FAILURE_NO_HANDLER;
}

void run_job_ended(const ox_run_end *end, const struct log_place *place)
{
    struct run *run = end->data;
    const char *event = outcomes[end->outcome].event;
    const char *why = run != NULL && run->reason != NULL ? run->reason
                      : end->err != NULL                 ? end->err->text
                                                         : end->reason;
    begin_line(end, run);
    log_place(place);
    describe_job(end->job, end->attempt);
    if (run != NULL && run->started_ns > 0) { /* else it was not begun */
        log_elapsed("ms", run->ended_ns - run->started_ns);
    }
    if (end->unrun != 0) {
        log_true("unrun");
    }
    log_text("type", failure_word(kind_of(end, run)));
    log_text("result", end->err != NULL ? event : NULL);
    log_text("reason", why);
    log_text("next", end->err != NULL ? what_follows(end->err->code) : NULL);
    log_end();
    run_free(run);
}
