/*
 * run.c - how the end of a run is told; see run.h.
 */
#include "run.h"

#include <glib.h>

#include "log.h"

void run_free(struct run *run)
{
    if (run != NULL) {
        g_free(run->reason);
    }
    g_free(run);
}

void run_log_job(const char *queue, const ox_job *job, uint32_t attempt)
{
    log_text("queue", queue);
    log_text("id", ox_job_id(job));
    log_text("name", ox_job_text(job, OX_JOB_NAME));
    log_number("attempt", attempt);
}

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
 * lost or was done twice; but for a job that was cancelled, whose work is not wanted. */
static void begin_line(const ox_run_end *end)
{
    if (end->err == NULL) {
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

void run_ended(const ox_run_end *end, const char *queue)
{
    struct run *run = end->data;
    const char *event = outcomes[end->outcome].event;
    const char *why = run != NULL && run->reason != NULL ? run->reason
                      : end->err != NULL                 ? end->err->text
                                                         : end->reason;
    begin_line(end);
    run_log_job(queue, end->job, end->attempt);
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
