/*
 * recover.c - takes whose reply was lost.
 *
 * The server may have run such a take, now or when it comes to it: behind a connection that is
 * dead on our side only, or behind a blocking call. Its jobs are active then, for nobody, under
 * locks that bear the take's token. So the worker keeps the tokens for a while, and looks for
 * them among the active jobs; what it finds waits again, and no stall is counted. A lock that
 * ran out before leaves the job to the stalled check.
 */
#include "engine/worker.h"

#include "base/clock.h"
#include "base/error.h"
#include "scripts.h"

#include <string.h>

/* So long after its loss a take may still be run: the longest sleep, and as much again. */
#define LATEST_MS 20000

void ox__take_lost(ox_worker *worker, const char *token)
{
    uint32_t n = worker->lost_count;
    if (n == OX__LOST_TAKES_MAX) {
        memmove(worker->lost, worker->lost + 1, (n - 1) * sizeof(worker->lost[0]));
        n--;
    }
    memcpy(worker->lost[n].token, token, OX__TOKEN_MAX);
    worker->lost[n].until_ms = ox__boot_ms() + LATEST_MS + worker->options.lock_ms;
    worker->lost_count = n + 1;
}

static void forget_old(ox_worker *worker)
{
    int64_t now = ox__boot_ms();
    uint32_t kept = 0;
    for (uint32_t i = 0; i < worker->lost_count; i++) {
        if (worker->lost[i].until_ms > now) {
            worker->lost[kept++] = worker->lost[i];
        }
    }
    worker->lost_count = kept;
}

/* The second reply to a take that was sent twice has brought jobs of the same token. */
static void put_known(ox_worker *worker, const struct ox__task_list *list)
{
    for (const struct ox_task *task = list->head; task != NULL; task = task->next) {
        for (uint32_t i = 0; i < worker->lost_count; i++) {
            if (strcmp(task->token, worker->lost[i].token) == 0) {
                ox__op_bytes(
                    &worker->recover.op, "token_or_id", task->job->id.text, task->job->id.len);
                break;
            }
        }
    }
}

static void look(ox_worker *worker, int64_t skip)
{
    struct ox__op *op = &worker->recover.op;
    ox__op_at(op, &ox__script_return_lost, &worker->at);
    ox__op_int(op, "skip", skip);
    ox__op_int(op, "count", worker->lost_count);
    for (uint32_t i = 0; i < worker->lost_count; i++) {
        ox__op_text(op, "token_or_id", worker->lost[i].token);
    }
    put_known(worker, &worker->running);
    put_known(worker, &worker->ended);
    put_known(worker, &worker->doubted);
    for (uint32_t i = 0; i < worker->options.calls; i++) {
        put_known(worker, &worker->calls[i].tasks);
    }
    if (ox__op_seal(op, NULL) == 0) {
        worker->recovering = true;
        ox__link_send(worker->link, &worker->recover);
    }
}

static bool is_ids(const struct ox__request *request, const redisReply *reply)
{
    (void)request;
    return reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
           reply->element[0]->type == REDIS_REPLY_INTEGER;
}

static void on_recovered(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    ox_worker *worker = request->arg;
    worker->recovering = false;
    if (worker->aborted) {
        return;
    }
    if (err != NULL && !ox__worker_lost(err)) {
        ox__worker_error(worker, NULL, err);
    }
    if (reply == NULL || !is_ids(request, reply)) {
        return;
    }
    int64_t skip = reply->element[0]->integer;
    for (size_t i = 1; i < reply->elements && !worker->aborted; i++) {
        if (reply->element[i]->type == REDIS_REPLY_STRING) {
            ox__notify(worker, OX_NOTICE_TAKE_LOST, reply->element[i]->str);
        }
    }
    if (reply->elements > 1) {
        worker->drained = false;
        ox__worker_soon(worker);
    }
    if (skip >= 0 && !worker->aborted && ox__link_is_up(worker->link)) {
        look(worker, skip);
    }
}

void ox__recover(ox_worker *worker)
{
    if (worker->lost_count == 0 || worker->recovering || worker->aborted ||
        !ox__link_is_up(worker->link)) {
        return;
    }
    forget_old(worker);
    if (worker->lost_count > 0) {
        look(worker, 0);
    }
}

void ox__recover_init(ox_worker *worker)
{
    worker->recover.done = on_recovered;
    worker->recover.arg = worker;
    worker->recover.fits = is_ids;
}
