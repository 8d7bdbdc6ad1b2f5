/*
 * restore.c - jobs that are in no state.
 *
 * Their hash is there, but their id is in no list, so nobody would ever run them. The stalled
 * check finds those that it has marked; for all others the worker looks through the keys of the
 * server, a page after each check that it made. The script that finds a job also moves it, so
 * no job is seen between two states. See lua/inc/orphans.lua for what is taken for a job.
 */
#include "engine/worker.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of more than so many a worker does not remember that it told of them, and says no more. */
#define TOLD_MAX 1000

static bool fits(const struct ox__request *request, const redisReply *reply)
{
    const ox_worker *worker = request->arg;
    return worker->backend->restore_fits(reply);
}

/* True the first time; without memory to remember it, each time. */
static bool is_news(ox_worker *worker, const char *id)
{
    size_t count = worker->stalled.told_count;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(worker->stalled.told[i], id) == 0) {
            return false;
        }
    }
    if (count == TOLD_MAX) {
        return false;
    }
    if (worker->stalled.told == NULL) {
        worker->stalled.told = calloc(TOLD_MAX, sizeof(*worker->stalled.told));
    }
    char *copy = worker->stalled.told != NULL ? strdup(id) : NULL;
    if (copy != NULL) {
        worker->stalled.told[worker->stalled.told_count++] = copy;
    }
    return true;
}

static void tell(ox_worker *worker, const struct ox__found *found)
{
    ox_error err;
    if (found->why != NULL) {
        if (is_news(worker, found->id)) {
            ox__fail(&err, OX_ESERVER, "queue %s, job %s: it is in no state, and stays so: %s",
                worker->at.name, found->id, found->why);
            ox__worker_error(worker, found->id, &err);
        }
        return;
    }
    if (found->notice != OX_NOTICE_NO_STATE) {
        ox__idle_work_waits(worker);
    } else if (!is_news(worker, found->id)) {
        return;
    }
    ox__notify(worker, found->notice, found->id);
}

static void on_restored(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    ox_worker *worker = request->arg;
    worker->stalled.restoring = false;
    if (worker->aborted) {
        return;
    }
    if (err != NULL && !ox__worker_lost(err)) {
        if (is_news(worker, "")) {
            ox__worker_error(worker, NULL, err);
        }
        memcpy(worker->stalled.cursor, "0", 2);
    }
    if (reply == NULL || !fits(request, reply)) {
        return;
    }
    snprintf(worker->stalled.cursor, sizeof(worker->stalled.cursor), "%s",
        worker->backend->restore_next(reply));
    struct ox__found found;
    size_t i = 0;
    while (!worker->aborted && worker->backend->restored(reply, &i, &found)) {
        if (found.notice != 0 || found.why != NULL) {
            tell(worker, &found);
        }
    }
}

void ox__restore(ox_worker *worker)
{
    struct ox__op *op = &worker->stalled.restore.op;
    if (worker->stalled.restoring || worker->closing || worker->aborted ||
        !ox__link_is_up(worker->link)) {
        return;
    }
    worker->backend->restore(op, &worker->at, ox__server_now_ms(&worker->clock),
        worker->options.max_stalled, worker->stalled.cursor);
    if (ox__op_seal(op, NULL) == 0) {
        worker->stalled.restoring = true;
        ox__link_send(worker->link, &worker->stalled.restore);
    }
}

void ox__restore_init(ox_worker *worker)
{
    worker->stalled.restore.done = on_restored;
    worker->stalled.restore.arg = worker;
    worker->stalled.restore.fits = fits;
    memcpy(worker->stalled.cursor, "0", 2);
}

void ox__restore_done(ox_worker *worker)
{
    ox__op_done(&worker->stalled.restore.op);
    ox_free_list(worker->stalled.told, worker->stalled.told_count);
}
