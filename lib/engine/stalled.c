/*
 * stalled.c - jobs whose worker has gone, and jobs that are in no state.
 *
 * A stalled check goes through the active jobs in steps, and returns those that have no lock at
 * the second check that sees them so.
 *
 * Of a job in no state the hash is there, but the id is in no list, so nobody would ever run
 * it. The stalled check finds those that it has marked; for all others the worker looks through
 * the keys of the server, a page after each check that it made. The script that finds a job
 * also moves it, so no job is seen between two states. See lua/inc/orphans.lua for what is
 * taken for a job.
 */
#include "engine/worker.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of more than so many a worker does not remember that it told of them, and says no more. */
#define TOLD_MAX 1000
/* The steps of a check are not further apart, else it ends. */
#define CHECK_LEAST_MS 50

/* ---- jobs without a state ---------------------------------------------------------------- */

static bool restore_fits(const struct ox__request *request, const redisReply *reply)
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
        worker->stalled.told = calloc(TOLD_MAX + 1, sizeof(*worker->stalled.told));
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
    if (reply == NULL || !restore_fits(request, reply)) {
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

static void restore_page(ox_worker *worker)
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

/* ---- stalled jobs ------------------------------------------------------------------------ */

/* A little less than the timer's time: else a check would often find that this worker itself
 * made one a moment less than one interval ago, and every other one be lost. */
static int64_t every_ms(const ox_worker *worker)
{
    int64_t ms = (int64_t)worker->options.sweep_ms * 9 / 10 + 1;
    return ms > CHECK_LEAST_MS ? ms : CHECK_LEAST_MS;
}

/* A step of a check: the first has a `skip` of -1, and begins one only when it is time. While
 * the server is stopped all locks may run out; so no step is made that was long on its way. */
static void send_check(ox_worker *worker, int64_t skip)
{
    struct ox__op *op = &worker->stalled.check.op;
    if (worker->stalled.checking || worker->closing || !ox__link_is_up(worker->link)) {
        return;
    }
    const struct ox__check check = { .now_ms = ox__server_now_ms(&worker->clock),
        .every_ms = every_ms(worker),
        .late_ms = ox__lock_young_ms(worker),
        .max_stalled = worker->options.max_stalled,
        .skip = skip };
    worker->backend->check(op, &worker->at, &check);
    if (ox__op_seal(op, NULL) == 0) {
        worker->stalled.checking = true;
        worker->stalled.sent_ms = ox__boot_ms();
        ox__link_send(worker->link, &worker->stalled.check);
    }
}

/* How long an answer may take by the network alone. When the server was away for so long that
 * locks ran out, the first step that waited was sent within `sweep_ms`. */
static int64_t patience_ms(const ox_worker *worker)
{
    const ox_worker_options *o = &worker->options;
    int64_t spare_ms = (int64_t)o->lock_ms - o->renew_ms;
    int64_t patience = spare_ms - o->sweep_ms, least = o->lock_ms / 20 + 1;
    return patience > spare_ms / 2 ? spare_ms / 2 : patience > least ? patience : least;
}

static bool check_fits(const struct ox__request *request, const redisReply *reply)
{
    const ox_worker *worker = request->arg;
    return worker->backend->check_fits(reply);
}

static void on_check_timer(uv_timer_t *timer)
{
    send_check(timer->data, -1);
}

/* Checks from time to time, after a rest: when others were cut off as well, they have one lock
 * time to take their locks again, before their jobs are taken for stalled. */
static void start_checks(ox_worker *worker, uint32_t rest_ms)
{
    uv_timer_start(&worker->stalled.timer, on_check_timer, rest_ms, worker->options.sweep_ms);
}

/* A late answer tells that the server was away: all have to renew their locks first, and to
 * take again those that ran out. */
static void on_checked(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    ox_worker *worker = request->arg;
    worker->stalled.checking = false;
    if (worker->aborted) {
        return;
    }
    if (err != NULL && !ox__worker_lost(err)) {
        ox__worker_error(worker, NULL, err);
    }
    if (reply == NULL || !check_fits(request, reply)) {
        return;
    }
    int64_t skip = worker->backend->check_next(reply);
    struct ox__found found;
    size_t i = 0;
    while (!worker->aborted && worker->backend->checked(reply, &i, &found)) {
        ox__notify(worker, found.notice, found.id);
    }
    if (i > 0) {
        ox__idle_work_waits(worker);
    }
    if (!worker->closing && ox__boot_ms() - worker->stalled.sent_ms > patience_ms(worker)) {
        start_checks(worker, worker->options.lock_ms);
    } else if (skip >= 0) {
        send_check(worker, skip);
    } else if (skip == -1) {
        restore_page(worker); /* what a queue costs grows not with its workers */
    }
}

/* ---- start ------------------------------------------------------------------------------- */

void ox__stalled_init(ox_worker *worker)
{
    struct ox__stalled *stalled = &worker->stalled;
    uv_timer_init(worker->loop, &stalled->timer);
    stalled->timer.data = worker;
    worker->handles_open++;
    stalled->check.done = on_checked;
    stalled->check.fits = check_fits;
    stalled->check.arg = worker;
    stalled->restore.done = on_restored;
    stalled->restore.fits = restore_fits;
    stalled->restore.arg = worker;
    memcpy(stalled->cursor, "0", 2);
}

void ox__stalled_start(ox_worker *worker)
{
    /* Who starts and is connected at once checks at once, so that a worker that was started
     * again finds its jobs soon: it cannot know that the server was away just before. */
    uint32_t rest_ms = worker->stalled.was_cut_off ? worker->options.lock_ms : 0;
    worker->stalled.was_cut_off = false;
    start_checks(worker, rest_ms);
}

void ox__stalled_done(ox_worker *worker)
{
    ox__op_done(&worker->stalled.check.op);
    ox__op_done(&worker->stalled.restore.op);
    ox_list_free(worker->stalled.told);
}
