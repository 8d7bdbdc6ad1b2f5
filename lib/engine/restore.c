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
#include "scripts.h"

#include <stdlib.h>
#include <string.h>

/* Of more than so many a worker does not remember that it told of them, and says no more. */
#define TOLD_MAX 1000

static bool is_restored(const struct ox__request *request, const redisReply *reply)
{
    (void)request;
    return reply->type == REDIS_REPLY_ARRAY && reply->elements % 2 == 1 &&
           reply->element[0]->type == REDIS_REPLY_STRING &&
           reply->element[0]->len < sizeof(((ox_worker *)NULL)->restore_cursor);
}

/* True the first time; without memory to remember it, each time. */
static bool is_news(ox_worker *worker, const char *id)
{
    size_t count = worker->restore_told_count;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(worker->restore_told[i], id) == 0) {
            return false;
        }
    }
    if (count == TOLD_MAX) {
        return false;
    }
    if (worker->restore_told == NULL) {
        worker->restore_told = calloc(TOLD_MAX, sizeof(*worker->restore_told));
    }
    char *copy = worker->restore_told != NULL ? strdup(id) : NULL;
    if (copy != NULL) {
        worker->restore_told[worker->restore_told_count++] = copy;
    }
    return true;
}

/* One job, and what the script says became of it. */
static void tell(ox_worker *worker, const char *id, const redisReply *what)
{
    static const int kinds[] = { OX_NOTICE_RESTORED, OX_NOTICE_STALLED_TOO_OFTEN,
        OX_NOTICE_NO_STATE };
    ox_error err;
    if (what->type == REDIS_REPLY_STRING && is_news(worker, id)) {
        ox__fail(&err, OX_ESERVER, "queue %s, job %s: it is in no state, and stays so: %s",
            worker->at.name, id, what->str);
        ox__worker_error(worker, id, &err);
    } else if (what->type == REDIS_REPLY_INTEGER && what->integer >= 0 && what->integer <= 2) {
        if (what->integer != 2) {
            worker->drained = false;
            ox__worker_soon(worker);
        }
        if (what->integer != 2 || is_news(worker, id)) {
            ox__notify(worker, kinds[what->integer], id);
        }
    }
}

static void on_restored(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    ox_worker *worker = request->arg;
    worker->restoring = false;
    if (worker->aborted) {
        return;
    }
    if (err != NULL && !ox__worker_lost(err)) {
        if (is_news(worker, "")) {
            ox__worker_error(worker, NULL, err);
        }
        memcpy(worker->restore_cursor, "0", 2);
    }
    if (reply == NULL || !is_restored(request, reply)) {
        return;
    }
    memcpy(worker->restore_cursor, reply->element[0]->str, reply->element[0]->len + 1);
    for (size_t i = 1; i + 1 < reply->elements && !worker->aborted; i += 2) {
        if (reply->element[i]->type == REDIS_REPLY_STRING) {
            tell(worker, reply->element[i]->str, reply->element[i + 1]);
        }
    }
}

void ox__restore(ox_worker *worker)
{
    struct ox__op *op = &worker->restore.op;
    if (worker->restoring || worker->closing || worker->aborted ||
        !ox__link_is_up(worker->link)) {
        return;
    }
    ox__op_at(op, &ox__script_restore_jobs, &worker->at);
    ox__op_int(op, "now", ox__server_now_ms(&worker->clock));
    ox__op_int(op, "max_stalled", worker->options.max_stalled);
    ox__op_text(op, "cursor", worker->restore_cursor);
    if (ox__op_seal(op, NULL) == 0) {
        worker->restoring = true;
        ox__link_send(worker->link, &worker->restore);
    }
}

void ox__restore_init(ox_worker *worker)
{
    worker->restore.done = on_restored;
    worker->restore.arg = worker;
    worker->restore.fits = is_restored;
    memcpy(worker->restore_cursor, "0", 2);
}

void ox__restore_done(ox_worker *worker)
{
    ox__op_done(&worker->restore.op);
    ox_free_list(worker->restore_told, worker->restore_told_count);
}
