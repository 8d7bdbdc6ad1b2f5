/*
 * idle.c - sleeping on an empty queue, and waking.
 *
 * A worker that found too little sleeps in one BZPOPMIN on the queue's marker, over a
 * connection of its own. Two members can be there: "0" says that work waits, "1" when the
 * earliest delayed job is due. Popping takes the news away from the other workers, so who pops
 * must act: take at once, keep the time (and tell the next take, which puts the marker back
 * for the others), or, with no free slot, put the marker back.
 *
 * On the same connection a take stands behind the wait: the server runs it as soon as the wait
 * ends, so an idle worker has a new job one round trip after it was added, not two. It asks for
 * one job, under a lock that is short at first: should nobody be there any more to read the
 * reply, no more than that is lost, and not for long. What else waits is taken by the next
 * call. What is due is decided by the server's clock; see server_clock.h. A worker that is
 * paused or closed ends the connection half: what the server did before it saw that still
 * comes, and nothing after it.
 *
 * Delayed jobs start by a timer of the loop, at their time, not at the next poll. The worker
 * that holds the marker fires on time; those that learned the time from an empty take come a
 * little later, each by chance, so that ten idle workers do not all ask at once. Besides, every
 * worker looks once in drain_delay_ms: that heals every lost wake-up.
 */
#include "engine/worker.h"

#include "base/clock.h"
#include "base/error.h"
#include "scripts.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longest single sleep: the layout's own bound. */
#define SLEEP_MAX_MS 10000
/* The rate limiter's pause is cut into pieces, so that delayed jobs are promoted meanwhile. */
#define LIMIT_SLEEP_MAX_MS 30000
/* Workers that do not hold the marker come this much later, at least and by chance. */
#define LATE_MS 20
#define LATE_CHANCE_MS 80
#define TICK_MS 2

static void wake(ox_worker *worker)
{
    worker->idle.drained = false;
    worker->idle.wakes++;
    worker->idle.due_ms = 0;
    ox__worker_soon(worker);
}

static void set_timer(ox_worker *worker);

static void on_wake(uv_timer_t *timer)
{
    ox_worker *worker = timer->data;
    /* Clocks may differ by a tick: what is about to end has ended. */
    if (worker->idle.limited_until_ms > ox__steady_ms() + TICK_MS) {
        ox__worker_promote(worker);
        set_timer(worker);
        return;
    }
    worker->idle.limited_until_ms = 0;
    wake(worker);
}

/* Sets the timer for the next thing that is known to come. */
static void set_timer(ox_worker *worker)
{
    int64_t wait;
    if (worker->idle.limited_until_ms != 0) {
        wait = worker->idle.limited_until_ms - ox__steady_ms();
        wait = wait < LIMIT_SLEEP_MAX_MS ? wait : LIMIT_SLEEP_MAX_MS;
    } else if (worker->idle.due_ms != 0) {
        wait = worker->idle.due_ms - ox__server_now_ms(&worker->clock);
        if (!worker->idle.holds_marker) {
            wait +=
                LATE_MS + (int64_t)(ox__steady_ms() + (intptr_t)worker / 64) % LATE_CHANCE_MS;
        }
    } else {
        uv_timer_stop(&worker->idle.timer);
        return;
    }
    uv_update_time(worker->loop);
    uv_timer_start(&worker->idle.timer, on_wake, wait > 0 ? (uint64_t)wait : 0, 0);
}

/* For a worker that cannot sleep on the marker: it looks for jobs now and then. */
static void look_later(ox_worker *worker)
{
    int64_t at = ox__server_now_ms(&worker->clock) + worker->options.drain_delay_ms;
    if (worker->idle.due_ms == 0 || worker->idle.due_ms > at) {
        worker->idle.due_ms = at;
        set_timer(worker);
    }
}

void ox__idle_learn(ox_worker *worker, bool drained, int64_t limit_ms, int64_t due_ms)
{
    worker->idle.drained = drained;
    if (limit_ms > 0) {
        limit_ms = limit_ms < OX__MAX_MS ? limit_ms : OX__MAX_MS;
        worker->idle.limited_until_ms = ox__steady_ms() + limit_ms;
    }
    if (due_ms > 0 && !worker->idle.holds_marker) {
        worker->idle.due_ms = due_ms;
    }
    if (limit_ms > 0 || due_ms > 0) {
        set_timer(worker);
    }
}

void ox__idle_return_marker(ox_worker *worker, const char *member, const char *score)
{
    /* A close must not wait for a lost server; without the marker the others poll. */
    struct ox__side *side = ox__link_is_up(worker->link) ? ox__side_new(worker, NULL) : NULL;
    if (side != NULL) {
        ox__op_at(&side->request.op, &ox__script_give_marker, &worker->at);
        ox__op_text(&side->request.op, "score", score);
        ox__op_text(&side->request.op, "member", member);
        side->request.keep = false;
        ox__side_send(side);
    }
}

int64_t ox__due_of(const char *score)
{
    double at = g_ascii_strtod(score, NULL);
    return at >= (double)OX__MAX_MS ? OX__MAX_MS : at >= 0 ? (int64_t)at : 0;
}

static void popped(ox_worker *worker, const char *member, const char *score)
{
    int64_t due = ox__due_of(score);
    if (!ox__worker_takes(worker) || ox__worker_free_slots(worker) == 0) {
        if (!worker->aborted) {
            ox__idle_return_marker(worker, member, score);
        }
        return;
    }
    if (strcmp(member, "0") != 0 && due > ox__server_now_ms(&worker->clock)) {
        worker->idle.holds_marker = true;
        worker->idle.due_ms =
            worker->idle.due_ms != 0 && worker->idle.due_ms < due ? worker->idle.due_ms : due;
        set_timer(worker);
        ox__idle_sleep(worker);
        return;
    }
    worker->idle.holds_marker = worker->idle.holds_marker || strcmp(member, "0") != 0;
    wake(worker);
}

void ox__idle_work_waits(ox_worker *worker)
{
    worker->idle.drained = false;
    ox__worker_soon(worker);
}

void ox__idle_break(ox_worker *worker)
{
    if (worker->wake_take.busy) {
        ox__link_renew(worker->sleep);
    }
}

void ox__idle_lost(ox_worker *worker)
{
    worker->idle.drained = false;
    if (!worker->aborted && !ox__worker_takes(worker)) {
        ox__idle_return_marker(worker, "0", "0");
    }
}

/* The same when a take runs behind the wait. That one acts, but the time is kept here; and it
 * did not know that the marker has to be put back for the others, which the next one does. */
static void popped_for_take(ox_worker *worker, const char *member, const char *score)
{
    int64_t due = ox__due_of(score);
    if (strcmp(member, "0") == 0) {
        return;
    }
    if (!ox__worker_takes(worker)) {
        ox__idle_return_marker(worker, member, score);
        return;
    }
    worker->idle.holds_marker = true;
    if (due > ox__server_now_ms(&worker->clock)) {
        worker->idle.due_ms =
            worker->idle.due_ms != 0 && worker->idle.due_ms < due ? worker->idle.due_ms : due;
        set_timer(worker);
    } else {
        worker->idle.wakes++;
    }
}

static void report_wait(ox_worker *worker, const ox_error *err)
{
    ox_error odd;
    if (err == NULL) {
        ox__fail(&odd, OX_EREPLY, "queue %s: BZPOPMIN: unexpected reply type", worker->at.name);
    }
    ox__worker_error(worker, NULL, err != NULL ? err : &odd);
}

/* The key, a member and its score. */
static bool is_member(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
           reply->element[1]->type == REDIS_REPLY_STRING &&
           reply->element[2]->type == REDIS_REPLY_STRING;
}

static bool is_wake(const struct ox__request *request, const redisReply *reply)
{
    (void)request;
    return reply->type == REDIS_REPLY_NIL || is_member(reply);
}

static void on_waited(struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    ox_worker *worker = request->arg;
    worker->idle.waiting = false;
    if (worker->aborted) {
        return;
    }
    if (reply != NULL && is_member(reply)) {
        (worker->wake_take.busy ? popped_for_take : popped)(
            worker, reply->element[1]->str, reply->element[2]->str);
        return;
    }
    bool nothing_came = reply != NULL && reply->type == REDIS_REPLY_NIL;
    if (worker->wake_take.busy && (nothing_came || ox__worker_lost(err))) {
        worker->idle.wakes++; /* what the take behind it finds is not the last word */
        return;
    }
    if (!nothing_came && !ox__worker_lost(err)) {
        /* A server that cannot block, a key of the wrong type, a user that may not: poll. */
        report_wait(worker, err);
        look_later(worker);
        return;
    }
    wake(worker);
}

/* How long the server may hold a sleep. Half a lock time at most: when this worker is cut off,
 * the take behind the sleep then runs, for nobody, before the locks of its running jobs have
 * run out. Else it could take one of those, and a job would stall twice by one loss. */
static uint32_t sleep_ms(const ox_worker *worker)
{
    uint32_t ms = worker->options.drain_delay_ms, half_lock_ms = worker->options.lock_ms / 2;
    ms = ms > SLEEP_MAX_MS ? SLEEP_MAX_MS : ms;
    return ms > half_lock_ms ? half_lock_ms : ms;
}

void ox__idle_sleep(ox_worker *worker)
{
    if (!worker->idle.drained || worker->idle.waiting || worker->wake_take.busy ||
        !ox__worker_takes(worker) || ox__worker_free_slots(worker) == 0 ||
        !ox__link_is_up(worker->link)) {
        return;
    }
    if (!ox__link_is_up(worker->sleep)) {
        look_later(worker);
        return;
    }
    struct ox__op *op = &worker->idle.wait.op;
    uint32_t ms = sleep_ms(worker);
    char seconds[24];
    snprintf(seconds, sizeof(seconds), "%u.%03u", ms / 1000, ms % 1000);
    ox__op_command(op, "BZPOPMIN");
    ox__op_key(op, worker->at.base, "marker");
    ox__op_text(op, "timeout", seconds);
    worker->idle.wait.timeout_ms = ms + 1000;
    if (ox__op_seal(op, NULL) < 0) {
        look_later(worker);
        return;
    }
    worker->idle.waiting = true;
    ox__link_send(worker->sleep, &worker->idle.wait);
    /* Not beside a timer, which needs free slots when it fires. */
    if (worker->clock.known && worker->idle.due_ms == 0 && !worker->idle.holds_marker) {
        ox__worker_take_on_wake(worker, ms);
    }
}

void ox__idle_init(ox_worker *worker)
{
    uv_timer_init(worker->loop, &worker->idle.timer);
    worker->idle.timer.data = worker;
    worker->handles_open++;
    worker->idle.wait.done = on_waited;
    worker->idle.wait.fits = is_wake;
    worker->idle.wait.arg = worker;
}
