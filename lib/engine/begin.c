/* begin.c - how the run of a job begins, and waits for its children; see begin.h. */
#include "engine/begin.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "codes.h"
#include "engine/end.h"
#include "engine/job_ops.h"
#include "engine/notify.h"
#include "engine/say.h"
#include "queue/scheduler.h"

#include <stdlib.h>
#include <string.h>

/* A scheduler's job is delayed for so long when the next one could not be added. */
#define ITERATION_REST_MS 1000

/* ---- waiting for children ---------------------------------------------------------------- */

static void fail_waiting(struct ox_task *task, long long code, const ox_error *err)
{
    ox_error refusal;
    if (err != NULL) {
        refusal = *err;
    } else {
        ox__script_refusal(code, task->worker->at.name, ox_job_id(task->job), &refusal);
    }
    const ox_failure failure = { .reason = refusal.text,
        .unrecoverable = refusal.code == OX_EFAILEDCHILD };
    ox_task_fail(task, &failure);
}

/* It waits for its children: the run is over. */
static void drop_waiting(struct ox_task *task)
{
    ox__notify_note_end(task, OX__KIND_WAITS, "", 0);
    ox__engine_drop(&task->worker->engine, &task->run);
}

static void on_wait_answered(
    struct ox__side *side, const redisReply *reply, const ox_error *err)
{
    struct ox_task *task = side->arg;
    struct ox__engine *engine = &task->worker->engine;
    struct ox__run_lock *lock = &task->run.lock;
    bool resent = side->request.resent;
    long long code = reply != NULL && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -99;
    if (engine->state == OX__ENGINE_CLOSED) {
        return;
    }
    if (code == 0 || lock->lost) {
        drop_waiting(task);
    } else if (code == OX__NO_CHILD_PENDING && !lock->doubt) {
        task->run.theirs = true;
        task->wait.go_on(task, task->wait.arg);
    } else if (code == OX__NO_LOCK || code == OX__NO_CHILD_PENDING ||
               (resent &&
                   (code == OX__NO_JOB || code == OX__WRONG_STATE || code == OX__OTHER_LOCK))) {
        task->run.end.resent = resent;
        task->wait.doubted = true;
        ox__engine_doubt(engine, &task->run);
    } else {
        fail_waiting(task, code, err);
    }
}

void ox_task_wait_children(ox_task *task, void (*go_on)(ox_task *task, void *arg), void *arg)
{
    if (task == NULL) {
        return;
    }
    ox_worker *worker = task->worker;
    struct ox__side *side = ox__side_new(&worker->engine.sides, ox_job_id(task->job));
    if (side == NULL) {
        const ox_failure failure = { .reason = "out of memory" };
        ox_task_fail(task, &failure);
        return;
    }
    ox__say_rest(task);
    task->run.theirs = false;
    task->wait.go_on = go_on;
    task->wait.arg = arg;
    side->arg = task;
    side->answered = on_wait_answered;
    ox__jobs_wait_children(
        &worker->jobs, &side->request.op, &task->run, ox__server_now_ms(&worker->engine.clock));
    ox__side_send(side);
}

void ox__begin_claimed(struct ox_task *task, int64_t verdict)
{
    bool waits = task->wait.doubted;
    task->wait.doubted = false;
    if (verdict == OX__RUN_LOCKED) {
        if (waits) { /* its wait for children is requested again */
            ox_task_wait_children(task, task->wait.go_on, task->wait.arg);
        }
    } else if (verdict == OX__RUN_STORED || waits) {
        /* It already waits since the first request, or its lock is lost. */
        drop_waiting(task);
    } else if (task->run.lock.starts) { /* nothing of it was run */
        task->end.unrun = OX_UNRUN_LOCK_LOST;
        ox__engine_drop(&task->worker->engine, &task->run);
    }
}

/* ---- beginning --------------------------------------------------------------------------- */

/* Makes the data valid JSON for the handler: empty data becomes {}, as in BullMQ, and bytes
 * that are not UTF-8 are replaced, as in Node. Out of memory, the data stays as it is stored.
 * False when it is not JSON. */
static bool repair_data(struct ox_task *task)
{
    struct ox__field *data = &task->job->field[OX_JOB_DATA];
    if (data->text == NULL || ox__json_scan(data->text, data->len, OX__JSON_DEEP) == 1) {
        return true;
    }
    struct ox__buf text = { 0 };
    struct ox__field old = *data;
    ox__json_copy(&text, data->text, data->len);
    *data = data->len == 0 ? (struct ox__field){ "{}", 2 }
                           : (struct ox__field){ text.data, text.len };
    ox_job *job = text.failed ? NULL : ox__job_new(&task->job->id, task->job->field);
    *data = old;
    if (job != NULL) {
        job->due_ms = task->job->due_ms;
        ox__task_set_job(task, job);
    }
    ox__buf_done(&text);
    data = &task->job->field[OX_JOB_DATA];
    return ox__json_scan(data->text, data->len, OX__JSON_STORED) != 0;
}

/* By the server's clock; in what others stored, the two may be any numbers. */
static bool has_expired(const struct ox_task *task)
{
    int64_t expire_ms = task->stored->options.set.expire_ms;
    return expire_ms > 0 && ox__server_now_ms(&task->worker->engine.clock) - expire_ms >
                                ox_job_number(task->job, OX_JOB_TIMESTAMP, 0);
}

/* BullMQ's stalled check writes the same. */
static enum ox_unrun deferred_kind(const char *reason)
{
    return strcmp(reason, "job stalled more than allowable limit") == 0
               ? OX_UNRUN_STALLED_TOO_OFTEN
               : OX_UNRUN_CHILD_FAILED;
}

/* Why the job is not to be run: the reason and 0 < *why, or NULL. `is_json`: its data is. */
static const char *refuse(const struct ox_task *task, bool is_json, enum ox_unrun *why)
{
    const ox_job *job = task->job;
    const char *deferred = job->field[OX_JOB_DEFERRED_FAILURE].text;
    uint32_t max = task->worker->options.max_started;
    if (deferred != NULL) {
        *why = deferred_kind(deferred);
        return deferred;
    }
    *why = OX_UNRUN_INVALID;
    if (!task->stored->readable) {
        return "the job's stored options are not a JSON object";
    }
    if (!is_json) {
        return "the job's stored data is not JSON";
    }
    if (has_expired(task)) {
        *why = OX_UNRUN_EXPIRED;
        return "expired before start";
    }
    if (max > 0 && ox_job_number(job, OX_JOB_ATTEMPTS_STARTED, 0) >= max) {
        *why = OX_UNRUN_STARTED_TOO_OFTEN;
        return "job started more than allowable limit";
    }
    return NULL;
}

static void run(struct ox_task *task)
{
    if (task->run.lock.lost) {
        ox__engine_drop(&task->worker->engine, &task->run);
        return;
    }
    enum ox_unrun why;
    const char *reason = refuse(task, repair_data(task), &why);
    task->run.theirs = true;
    if (reason != NULL) {
        ox__end_unrun(task, why, reason);
    } else {
        task->worker->process(task, task->worker->arg);
    }
}

/* The next job could not be requested: if this one ran now, the schedule would end. */
static void put_off(struct ox_task *task)
{
    ox_task_decline(task, ox__now_ms() + ITERATION_REST_MS);
}

static void on_scheduled(struct ox__side *side, const redisReply *reply, const ox_error *err)
{
    struct ox_task *task = side->arg;
    ox_worker *worker = task->worker;
    ox_error problem;
    if (worker->engine.state == OX__ENGINE_CLOSED) {
        return;
    }
    if (err != NULL) {
        ox__notify_error(worker, side->id, err);
        put_off(task);
        return;
    }
    if (ox__iteration_reply(reply, &worker->at, task->job, &problem) < 0) {
        ox__notify_error(worker, side->id, &problem);
    }
    run(task);
}

/* The id of the next job, or why there is none. */
static bool is_iteration(const struct ox__request *request, const redisReply *reply)
{
    (void)request;
    return reply->type == REDIS_REPLY_INTEGER || reply->type == REDIS_REPLY_STRING;
}

static void count(ox_worker *worker, struct ox_task *task)
{
    task->taken = ++worker->taken;
    if (worker->released != NULL && strcmp(worker->released, ox_job_id(task->job)) == 0) {
        free(worker->released); /* where it waits next says nothing of the others */
        worker->released = NULL;
    }
}

/* A scheduler's job makes the one after it before it runs: else the schedule would end here.
 * When that fails for now (out of memory, here or on the server) the job is delayed; when it
 * cannot succeed (all times taken, invalid pattern) that is reported, and the job runs. */
void ox__begin(struct ox_task *task)
{
    ox_worker *worker = task->worker;
    count(worker, task);
    if (!ox__iteration_due(task->job)) {
        run(task);
        return;
    }
    struct ox__side *side = ox__side_new(&worker->engine.sides, ox_job_id(task->job));
    ox_error err;
    int rc = side == NULL ? OX_ENOMEM
                          : ox__iteration_build(&side->request.op, &worker->at, task->job,
                                ox__server_now_ms(&worker->engine.clock), &err);
    if (rc > 0) {
        side->arg = task;
        side->answered = on_scheduled;
        side->request.fits = is_iteration;
        ox__side_send(side);
        return;
    }
    if (rc < 0 && side != NULL) {
        ox__notify_error(worker, ox_job_id(task->job), &err);
    }
    ox__side_free(side);
    if (rc == OX_ENOMEM) {
        put_off(task);
    } else {
        run(task);
    }
}
