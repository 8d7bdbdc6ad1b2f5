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

/* So long after its loss a take may still be run: the longest sleep, and as much again. */
#define LATEST_MS 20000

void ox__take_lost(ox_worker *worker, const char *token)
{
    ox__lost_takes_add(
        &worker->lost.takes, token, ox__boot_ms() + LATEST_MS + worker->options.lock_ms);
}

/* The second reply to a take that was sent twice has brought jobs of the same token. */
static void put_known(ox_worker *worker, const struct ox__task_list *list)
{
    for (const struct ox_task *task = list->head; task != NULL; task = task->next) {
        if (ox__lost_takes_have(&worker->lost.takes, task->token)) {
            worker->backend->return_not(&worker->lost.request.op, &task->job->id);
        }
    }
}

static void look(ox_worker *worker, int64_t skip)
{
    struct ox__op *op = &worker->lost.request.op;
    const struct ox__lost_takes *lost = &worker->lost.takes;
    worker->backend->return_lost(op, &worker->at, skip, lost->count);
    for (uint32_t i = 0; i < lost->count; i++) {
        worker->backend->return_token(op, lost->takes[i].token);
    }
    put_known(worker, &worker->running);
    put_known(worker, &worker->ended);
    put_known(worker, &worker->doubted);
    for (uint32_t i = 0; i < worker->options.calls; i++) {
        put_known(worker, &worker->calls[i].tasks);
    }
    if (ox__op_seal(op, NULL) == 0) {
        worker->lost.looking = true;
        ox__link_send(worker->link, &worker->lost.request);
    }
}

static bool fits(const struct ox__request *request, const redisReply *reply)
{
    const ox_worker *worker = request->arg;
    return worker->backend->return_fits(reply);
}

static void on_recovered(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    ox_worker *worker = request->arg;
    worker->lost.looking = false;
    if (worker->aborted) {
        return;
    }
    if (err != NULL && !ox__worker_lost(err)) {
        ox__worker_error(worker, NULL, err);
    }
    if (reply == NULL || !fits(request, reply)) {
        return;
    }
    int64_t skip = worker->backend->return_next(reply);
    struct ox__found found;
    size_t i = 0;
    while (!worker->aborted && worker->backend->returned(reply, &i, &found)) {
        ox__notify(worker, found.notice, found.id);
    }
    if (i > 0) {
        ox__idle_work_waits(worker);
    }
    if (skip >= 0 && !worker->aborted && ox__link_is_up(worker->link)) {
        look(worker, skip);
    }
}

void ox__recover(ox_worker *worker)
{
    if (worker->lost.takes.count == 0 || worker->lost.looking || worker->aborted ||
        !ox__link_is_up(worker->link)) {
        return;
    }
    ox__lost_takes_forget_old(&worker->lost.takes, ox__boot_ms());
    if (worker->lost.takes.count > 0) {
        look(worker, 0);
    }
}

void ox__recover_init(ox_worker *worker)
{
    worker->lost.request.done = on_recovered;
    worker->lost.request.arg = worker;
    worker->lost.request.fits = fits;
}
