/* end.c - how the run of a job ends; see end.h. */
#include "engine/end.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "codes.h"
#include "engine/job_ops.h"
#include "engine/notify.h"
#include "engine/say.h"
#include "queue/retry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Jobs that are released together may go out in different calls; so each says behind which
 * other it waits. One that was taken before that other goes to the front. */
static void put_released(
    struct ox__ends *ends, struct ox_task *task, const struct ox__job_end *end)
{
    ox_worker *worker = task->worker;
    struct ox__job_end behind = *end;
    bool follows = worker->released == NULL || task->taken > worker->released_taken;
    behind.value = worker->released != NULL && follows ? worker->released : "";
    behind.value_len = strlen(behind.value);
    ox__jobs_put_end(ends, task, &behind);
    if (follows) {
        free(worker->released);
        worker->released = strdup(ox_job_id(task->job)); /* else the next has no order */
        worker->released_taken = task->taken;
    }
}

/* Writes the end and frees the task. A task whose lock is lost is only freed. */
static void end_task(struct ox_task *task, const struct ox__job_end *end)
{
    static const struct ox__job_end released = {
        .kind = OX__END_RELEASED, .value = "", .keep = "", .stack = ""
    };
    struct ox__engine *engine = &task->worker->engine;
    ox__say_rest(task);
    end = task->run.lock.fenced ? &released : end;
    ox__notify_note_end(task, end->kind, end->value, end->value_len);
    struct ox__ends *ends = ox__engine_end(engine, &task->run);
    if (ends == NULL) {
        return;
    }
    if (end->kind == OX__END_RELEASED || end->kind == OX__END_LIMITED ||
        end->kind == OX__END_DECLINED) {
        put_released(ends, task, end);
    } else {
        ox__jobs_put_end(ends, task, end);
    }
    ox__engine_end_written(engine, &task->run);
}

/* ---- failing ----------------------------------------------------------------------------- */

/* The delay before the next attempt, after `made` attempts; -1: do not retry, -2: the type of
 * backoff is unknown. */
static int64_t backoff_ms(struct ox_task *task, uint32_t made)
{
    const ox_backoff *backoff = &task->stored->options.set.backoff;
    ox_worker *worker = task->worker;
    int64_t wait_ms = ox__backoff_ms(backoff, made, (uint64_t)worker->engine.clock.boot_us());
    if (wait_ms != OX__BACKOFF_UNKNOWN) {
        return wait_ms;
    }
    return worker->options.backoff != NULL
               ? worker->options.backoff(task, backoff->type, made, worker->arg)
               : -2;
}

static uint32_t tries_allowed(const struct ox_task *task)
{
    uint32_t attempts = task->stored->options.set.attempts;
    return attempts > 0 ? attempts : 1;
}

static void fail_for_good(
    struct ox_task *task, const char *reason, const char *traces, const char *telemetry)
{
    char keep[80];
    ox__keep_spec(&task->stored->options.set.remove_on_fail,
        &task->worker->options.remove_on_fail, keep, sizeof(keep));
    const struct ox__job_end end = { .kind = OX__END_FAILED,
        .value = reason,
        .value_len = ox__utf8_truncate(reason, OX__TEXT_MAX),
        .keep = keep,
        .stack = traces,
        .number = tries_allowed(task),
        .telemetry = telemetry };
    end_task(task, &end);
}

static int64_t within(int64_t ms, int64_t least)
{
    return ms < least ? least : ms > OX__MAX_MS ? OX__MAX_MS : ms;
}

/* Retries if the job's options allow it. Returns false when it must fail instead; `why` then
 * may have another reason. */
static bool try_again(struct ox_task *task, const char *reason, const char *traces,
    const ox_failure *failure, const char **why)
{
    uint32_t made = ox_task_attempt(task); /* with this one */
    int64_t wait = made < tries_allowed(task) ? backoff_ms(task, made) : -1;
    if (wait < 0) {
        *why = wait == -2 ? "the job's backoff type is unknown to this worker" : NULL;
        return false;
    }
    wait = within(failure->min_delay_ms, wait);
    struct ox__job_end end = { .kind = OX__END_RETRY_LATER,
        .value = reason,
        .value_len = ox__utf8_truncate(reason, OX__TEXT_MAX),
        .keep = "",
        .stack = traces,
        .number = wait,
        .telemetry = failure->telemetry };
    if (wait == 0) {
        end.kind = task->stored->options.set.lifo ? OX__END_RETRY_FIRST : OX__END_RETRY;
    }
    end_task(task, &end);
    return true;
}

void ox_task_fail(ox_task *task, const ox_failure *failure)
{
    if (task == NULL) {
        return;
    }
    static const ox_failure nothing_said;
    static const ox_failure refused = { .reason = "ox_failure: reserved must be zero",
        .unrecoverable = true };
    failure = failure != NULL ? failure : &nothing_said;
    failure = OX__RESERVED(ox_failure, failure, NULL) < 0 ? &refused : failure;
    const char *reason = failure->reason != NULL ? failure->reason : "failed";
    const char *stack = failure->stack != NULL ? failure->stack : reason;
    const char *why = NULL;
    OX__AUTO(ox__free_text)
    char *traces = ox__stack_traces(&task->job->field[OX_JOB_STACK_TRACE],
        task->stored->options.set.stack_trace_limit, stack);
    if (!failure->unrecoverable && traces != NULL &&
        try_again(task, reason, traces, failure, &why)) {
        return;
    }
    if (why == NULL) {
        fail_for_good(task, reason, traces != NULL ? traces : "[]", failure->telemetry);
        return;
    }
    struct ox__buf text = { 0 };
    ox__buf_text(&text, reason);
    ox__buf_text(&text, " (");
    ox__buf_text(&text, why);
    ox__buf_text(&text, ": ");
    ox__buf_text(&text, task->stored->options.set.backoff.type);
    ox__buf_text(&text, ")");
    OX__AUTO(ox__free_text) char *both = ox__buf_steal(&text);
    fail_for_good(task, both != NULL ? both : reason, traces, failure->telemetry);
}

/* A failure that the library finds: nobody else could tell the job's log of it. */
static void fail_with_row(struct ox_task *task, const char *reason, bool unrecoverable)
{
    const ox_failure failure = { .reason = reason, .unrecoverable = unrecoverable };
    ox_task_log(task, reason);
    ox_task_fail(task, &failure);
}

void ox__end_unrun(struct ox_task *task, enum ox_unrun why, const char *reason)
{
    task->end.unrun = why;
    fail_with_row(task, reason, true);
}

/* The end of a job that is gone takes it out of `active`. Without an end, its lock runs out,
 * and the stalled check finds it. So it does when there is no lock: another job may have its id
 * by now, and run without a lock, too, and that would fail. */
void ox__end_unread(ox_worker *worker, struct ox_task *task, const ox_error *err)
{
    const ox_failure failure = { .reason = "the job's data was deleted",
        .unrecoverable = true };
    task->unread = true;
    if (err != NULL) {
        ox__notify_error(worker, ox_job_id(task->job), err);
    }
    if (err != NULL || task->run.lock.open) {
        ox__engine_drop(&worker->engine, &task->run);
        return;
    }
    task->end.unrun = OX_UNRUN_INVALID;
    ox_task_fail(task, &failure);
}

/* A job that has children left cannot complete: it fails, as in BullMQ; by its attempts when
 * they are unfinished, for good when one has failed. */
bool ox__end_refused(struct ox_task *task)
{
    char reason[160];
    bool pending = task->run.end.refusal == OX__PENDING_CHILDREN;
    if (!pending && task->run.end.refusal != OX__FAILED_CHILDREN) {
        return false;
    }
    snprintf(reason, sizeof(reason),
        pending ? "Job %.80s has pending dependencies"
                : "Cannot complete job %.80s because it has at least one failed child",
        ox_job_id(task->job));
    ox__engine_reopen(&task->worker->engine, &task->run);
    fail_with_row(task, reason, !pending);
    return true;
}

/* ---- other ends -------------------------------------------------------------------------- */

int ox_task_complete(ox_task *task, const char *json)
{
    if (task == NULL) {
        return OX_EINVAL;
    }
    json = json != NULL ? json : "null";
    size_t len = strlen(json);
    char keep[80];
    if (ox__json_scan(json, len, OX__JSON_DEEP) != 1) {
        fail_with_row(task, "the handler's return value is not JSON", true);
        return OX_EINVAL;
    }
    ox__keep_spec(&task->stored->options.set.remove_on_complete,
        &task->worker->options.remove_on_complete, keep, sizeof(keep));
    const struct ox__job_end end = {
        .kind = OX__END_COMPLETED, .value = json, .value_len = len, .keep = keep
    };
    end_task(task, &end);
    return 0;
}

static void end_plainly(ox_task *task, char kind, int64_t number)
{
    const struct ox__job_end end = {
        .kind = kind, .value = "", .keep = "", .stack = "", .number = number
    };
    end_task(task, &end);
}

void ox_task_release(ox_task *task)
{
    if (task == NULL) {
        return;
    }
    end_plainly(task, OX__END_RELEASED, 0);
}

void ox_task_delay(ox_task *task, int64_t at_ms)
{
    if (task == NULL) {
        return;
    }
    int64_t now = ox__now_ms();
    end_plainly(task, OX__END_MOVED, within(at_ms, now) - now);
}

void ox_task_decline(ox_task *task, int64_t at_ms)
{
    if (task == NULL) {
        return;
    }
    int64_t now = ox__now_ms(), wait_ms = within(at_ms, now) - now;
    end_plainly(task, wait_ms > 0 ? OX__END_PUT_OFF : OX__END_DECLINED, wait_ms);
}

void ox_task_rate_limited(ox_task *task, int64_t duration_ms)
{
    if (task == NULL) {
        return;
    }
    ox_worker *worker = task->worker;
    duration_ms = within(duration_ms, 1);
    end_plainly(task, OX__END_LIMITED, duration_ms);
    ox__engine_limit(&worker->engine, duration_ms);
}
