/*
 * task.c - one job in a worker: how its run begins, and how it waits for its children. What it
 * says while it runs stands in say.c, how it ends in end.c.
 */
#include "engine/worker.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "queue/scheduler.h"
#include "scripts.h"

#include <string.h>

/* A scheduler's job is put off for so long when the one after it could not be made. */
#define ITERATION_REST_MS 1000

/* ---- waiting for children ---------------------------------------------------------------- */

static void on_wait_answered(
    struct ox__side *side, const redisReply *reply, const ox_error *err)
{
    struct ox_task *task = side->task;
    ox_worker *worker = side->worker;
    long long code = reply != NULL && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -99;
    if (worker->aborted) {
        return;
    }
    if (code == 0 || task->lock.lost) {
        ox__task_note_end(task, OX__KIND_WAITS, "", 0);
        ox__task_drop(task);
        return;
    }
    if (code == 1 && !task->lock.doubt) {
        task->theirs = true;
        side->go_on(task, side->go_on_arg);
        return;
    }
    if (code == -2 || code == 1 ||
        (side->request.resent && (code == -1 || code == -3 || code == -6))) {
        task->lock.doubt = true;
        task->end.resent = side->request.resent;
        task->go_on = side->go_on;
        task->go_on_arg = side->go_on_arg;
        ox__claim(worker);
        return;
    }
    ox_error refusal;
    if (err != NULL) {
        refusal = *err;
    } else {
        ox__script_refusal(code, worker->at.name, ox_job_id(task->job), &refusal);
    }
    const ox_failure failure = { .reason = refusal.text,
        .unrecoverable = refusal.code == OX_EFAILEDCHILD };
    ox_task_fail(task, &failure);
}

void ox_task_wait_children(ox_task *task, void (*go_on)(ox_task *task, void *arg), void *arg)
{
    if (task == NULL) {
        return;
    }
    ox_worker *worker = task->worker;
    struct ox__side *side = ox__side_new(worker, ox_job_id(task->job));
    if (side == NULL) {
        const ox_failure failure = { .reason = "out of memory" };
        ox_task_fail(task, &failure);
        return;
    }
    struct ox__op *op = &side->request.op;
    ox__task_say_rest(task);
    task->theirs = false;
    side->task = task;
    side->answered = on_wait_answered;
    side->go_on = go_on;
    side->go_on_arg = arg;
    ox__op_at(op, &ox__script_wait_children, &worker->at);
    ox__op_int(op, "now", ox__server_now_ms(&worker->clock));
    ox__op_bytes(op, "job_id", task->job->id.text, task->job->id.len);
    ox__op_text(op, "token", task->token);
    ox__side_send(side);
}

/* ---- beginning --------------------------------------------------------------------------- */

/* What a handler sees as data is valid JSON: nothing at all is {}, as it is to BullMQ, and
 * bytes that are not UTF-8 are replaced, as Node does when it reads them. Without memory the
 * data stays as it is stored. False when it is not JSON. */
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
        ox_job_free(task->job);
        task->job = job;
    }
    ox__buf_done(&text);
    data = &task->job->field[OX_JOB_DATA];
    return ox__json_scan(data->text, data->len, OX__JSON_STORED) != 0;
}

/* Why the job is not to be run, or NULL. `is_json`: its data is. */
static const char *refuse(const struct ox_task *task, bool is_json)
{
    const ox_job *job = task->job;
    uint32_t max = task->worker->options.max_started;
    if (job->field[OX_JOB_DEFERRED_FAILURE].text != NULL) {
        return job->field[OX_JOB_DEFERRED_FAILURE].text;
    }
    if (!task->run->readable) {
        return "the job's stored options are not a JSON object";
    }
    if (!is_json) {
        return "the job's stored data is not JSON";
    }
    if (max > 0 && ox_job_number(job, OX_JOB_ATTEMPTS_STARTED, 0) >= max) {
        return "job started more than allowable limit";
    }
    return NULL;
}

static void run(struct ox_task *task)
{
    if (task->lock.lost) {
        ox__task_drop(task);
        return;
    }
    const char *reason = refuse(task, repair_data(task));
    task->theirs = true;
    if (reason != NULL) {
        ox__task_fail_unrun(task, reason);
    } else {
        task->worker->process(task, task->worker->arg);
    }
}

/* The next job was not even tried for: run now, and nothing would ever come after this one. */
static void put_off(struct ox_task *task)
{
    ox_task_delay(task, ox__now_ms() + ITERATION_REST_MS);
}

static void on_scheduled(struct ox__side *side, const redisReply *reply, const ox_error *err)
{
    struct ox_task *task = side->task;
    ox_worker *worker = side->worker;
    ox_error problem;
    if (worker->aborted) {
        return;
    }
    if (err != NULL) {
        ox__worker_error(worker, side->job_id, err);
        put_off(task);
        return;
    }
    if (ox__iteration_reply(reply, &worker->at, task->job, &problem) < 0) {
        ox__worker_error(worker, side->job_id, &problem);
    }
    run(task);
}

/* The id of the next job, or why there is none. */
static bool is_iteration(const struct ox__request *request, const redisReply *reply)
{
    (void)request;
    return reply->type == REDIS_REPLY_INTEGER || reply->type == REDIS_REPLY_STRING;
}

/* A scheduler's job makes the one after it before it runs: else the schedule would end here.
 * When that cannot be done now (memory is out, here or there) the job is put off; when there
 * can be none (all times taken, no such pattern) that is reported, and the job runs. */
void ox__task_begin(struct ox_task *task)
{
    ox_worker *worker = task->worker;
    if (!ox__iteration_due(task->job)) {
        run(task);
        return;
    }
    struct ox__side *side = ox__side_new(worker, ox_job_id(task->job));
    ox_error err;
    int rc = side == NULL ? OX_ENOMEM
                          : ox__iteration_build(&side->request.op, &worker->at, task->job,
                                ox__server_now_ms(&worker->clock), &err);
    if (rc > 0) {
        side->task = task;
        side->answered = on_scheduled;
        side->request.fits = is_iteration;
        ox__side_send(side);
        return;
    }
    if (rc < 0 && side != NULL) {
        ox__worker_error(worker, ox_job_id(task->job), &err);
    }
    ox__side_free(side);
    if (rc == OX_ENOMEM) {
        put_off(task);
    } else {
        run(task);
    }
}

const ox_job *ox_task_job(const ox_task *task)
{
    if (task == NULL) {
        return NULL;
    }
    return task->job;
}

ox_worker *ox_task_worker(const ox_task *task)
{
    if (task == NULL) {
        return NULL;
    }
    return task->worker;
}

void ox_task_set_data(ox_task *task, void *data)
{
    if (task == NULL) {
        return;
    }
    task->data = data;
}

void *ox_task_data(const ox_task *task)
{
    if (task == NULL) {
        return NULL;
    }
    return task->data;
}
