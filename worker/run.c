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
    [OX_RUN_DELAYED] = { LOG_INFO, "delayed" },
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

void run_ended(const ox_run_end *end, const char *queue)
{
    struct run *run = end->data;
    const char *event = outcomes[end->outcome].event;
    const char *why = run != NULL && run->reason != NULL ? run->reason
                      : end->err != NULL                 ? end->err->text
                                                         : end->reason;
    begin_line(end);
    run_log_job(queue, end->job, end->attempt);
    if (run != NULL) {
        log_elapsed("ms", run->ended_ns - run->started_ns);
    }
    if (end->unrun) {
        log_text("unrun", "true");
    }
    log_text("result", end->err != NULL ? event : NULL);
    log_text("reason", why);
    log_text("next", end->err != NULL ? what_follows(end->err->code) : NULL);
    log_end();
    run_free(run);
}
