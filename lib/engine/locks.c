/*
 * locks.c - the locks of running jobs.
 *
 * A lock is renewed from a loop that runs no handler, so it is short: when this process dies,
 * its jobs run elsewhere within about two stalled checks. A renewal that is lost with the
 * connection is not sent again; the next one comes soon.
 */
#include "engine/worker.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define RENEW_BATCH 500
/* The first lock of a job that came behind a sleep, and when it is renewed. */
#define BRIEF_LOCK_MS 2000
#define BRIEF_RENEW_MS 500

/* ---- locks ------------------------------------------------------------------------------ */

/* The tasks of one renewal, by id and token: they may end before the answer comes. */
struct renewal {
    struct ox__request request;
    ox_worker *worker;
    int64_t sent_ms; /* boot clock */
    size_t count;
    struct {
        struct ox_task *task;
        char token[OX__TOKEN_MAX];
    } locks[];
};

/* The task, if it still runs under that lock. */
static struct ox_task *still_running(
    ox_worker *worker, const struct ox_task *task, const char *token)
{
    for (struct ox_task *t = worker->running.head; t != NULL; t = t->next) {
        if (t == task && strcmp(t->token, token) == 0) {
            return t;
        }
    }
    return NULL;
}

void ox__task_lose(struct ox_task *task)
{
    ox_worker *worker = task->worker;
    ox_error err;
    task->lock.lost = true;
    ox__fail(&err, OX_ELOCK,
        task->lock.fenced
            ? "queue %s, job %s: cut off for as long as the lock lasts; the run is stopped"
            : "queue %s, job %s: the lock was lost; the job may run elsewhere",
        worker->at.name, ox_job_id(task->job));
    ox__worker_error(worker, ox_job_id(task->job), &err);
    if (worker->options.lock_lost != NULL && task->theirs) {
        worker->options.lock_lost(task, worker->arg);
    }
}

/* Lets the next renewal take all: whether this one was done is not known. */
static void forget_renewals(ox_worker *worker)
{
    for (struct ox_task *task = worker->running.head; task != NULL; task = task->next) {
        task->lock.renewed_ms = 0;
    }
}

static bool renewal_fits(const struct ox__request *request, const redisReply *reply)
{
    const struct renewal *renewal = request->arg;
    return renewal->worker->backend->renew_fits(reply);
}

/* The locks of the others last until so long after the renewal was sent, at least. */
static void note_locked(const struct renewal *renewal)
{
    for (size_t i = 0; i < renewal->count; i++) {
        struct ox_task *task =
            still_running(renewal->worker, renewal->locks[i].task, renewal->locks[i].token);
        if (task != NULL && !task->lock.doubt) {
            task->lock.held_ms = renewal->sent_ms;
        }
    }
}

static void on_renewed(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct renewal *renewal = request->arg;
    ox_worker *worker = renewal->worker;
    (void)err; /* the next renewal comes soon */
    if (reply == NULL) {
        forget_renewals(worker);
    }
    size_t index = 0;
    for (size_t i = 0;
         reply != NULL && !worker->aborted && worker->backend->renew_lost(reply, i, &index);
         i++) {
        struct ox_task *task =
            index < renewal->count
                ? still_running(worker, renewal->locks[index].task, renewal->locks[index].token)
                : NULL;
        if (task != NULL && !task->lock.lost) {
            task->lock.doubt = true;
        }
    }
    if (!worker->aborted) {
        if (reply != NULL && worker->options.on_disconnect == OX_DISCONNECT_KILL) {
            note_locked(renewal);
        }
        ox__claim(worker);
    }
    ox__op_done(&request->op);
    free(renewal);
}

static void send_renewal(struct renewal *renewal)
{
    ox_worker *worker = renewal->worker;
    struct ox__op *op = &renewal->request.op;
    worker->backend->renew(op, &worker->at, worker->options.lock_ms);
    for (size_t i = 0; i < renewal->count; i++) {
        const struct ox__run run = { .id = &renewal->locks[i].task->job->id,
            .token = renewal->locks[i].token };
        worker->backend->renew_run(op, &run);
    }
    ox_error err;
    renewal->sent_ms = ox__boot_ms();
    if (ox__worker_send(worker, &renewal->request, &err) < 0) {
        on_renewed(&renewal->request, NULL, &err);
    }
}

static struct renewal *new_renewal(ox_worker *worker, size_t count)
{
    struct renewal *renewal = calloc(1, sizeof(*renewal) + count * sizeof(renewal->locks[0]));
    if (renewal != NULL) {
        renewal->worker = worker;
        renewal->request.done = on_renewed;
        renewal->request.fits = renewal_fits;
        renewal->request.arg = renewal;
    }
    return renewal;
}

int64_t ox__lock_young_ms(const ox_worker *worker)
{
    uint32_t renew_ms = worker->options.renew_ms, spare_ms = worker->options.lock_ms - renew_ms;
    return (spare_ms < renew_ms ? spare_ms : renew_ms) / 2;
}

static void on_renew(uv_timer_t *timer)
{
    ox_worker *worker = timer->data;
    int64_t now = ox__steady_ms();
    int64_t older_than = now - ox__lock_young_ms(worker);
    struct renewal *renewal = NULL;
    if (!ox__link_is_up(worker->link)) {
        return;
    }
    ox__claim(worker); /* what was lost of that on the way */
    ox__recover(worker);
    for (struct ox_task *task = worker->running.head; task != NULL; task = task->next) {
        if (task->lock.lost || task->lock.doubt || task->lock.renewed_ms > older_than) {
            continue;
        }
        if (renewal == NULL) {
            renewal = new_renewal(worker, RENEW_BATCH);
        }
        if (renewal == NULL) {
            return;
        }
        renewal->locks[renewal->count].task = task;
        memcpy(renewal->locks[renewal->count].token, task->token, OX__TOKEN_MAX);
        task->lock.renewed_ms = now;
        if (++renewal->count == RENEW_BATCH) {
            send_renewal(renewal);
            renewal = NULL;
        }
    }
    if (renewal != NULL) {
        send_renewal(renewal);
    }
}

/* ---- cut off ----------------------------------------------------------------------------- */

/* For `on_disconnect`: how often it is looked whether locks are about to run out. By a short
 * timer and a clock that counts sleep, since timers do not. */
static uint32_t fence_ms(const ox_worker *worker)
{
    return worker->options.lock_ms / 20 + 1;
}

static struct ox_task *first_to_fence(const ox_worker *worker)
{
    int64_t over_ms = ox__boot_ms() + fence_ms(worker) - worker->options.lock_ms;
    struct ox_task *task = worker->running.head;
    while (task != NULL && (task->lock.lost || !task->theirs || task->lock.held_ms > over_ms)) {
        task = task->next;
    }
    return task;
}

static void on_fence(uv_timer_t *timer)
{
    ox_worker *worker = timer->data;
    struct ox_task *task;
    while (!worker->aborted && (task = first_to_fence(worker)) != NULL) {
        task->lock.fenced = true;
        ox__task_lose(task); /* the program may end any of them now */
    }
}

uint32_t ox__brief_lock_ms(const ox_worker *worker)
{
    uint32_t lock_ms = worker->options.lock_ms;
    return lock_ms < BRIEF_LOCK_MS ? lock_ms : BRIEF_LOCK_MS;
}

static void on_brief(uv_timer_t *timer)
{
    ox_worker *worker = timer->data;
    on_renew(&worker->locks.renew_timer);
}

void ox__renew_brief(ox_worker *worker)
{
    if (!uv_is_active((uv_handle_t *)&worker->locks.brief_timer) && !worker->aborted) {
        uint32_t quarter = ox__brief_lock_ms(worker) / 4;
        uv_timer_start(&worker->locks.brief_timer, on_brief,
            quarter < BRIEF_RENEW_MS ? quarter : BRIEF_RENEW_MS, 0);
    }
}

static void add_timer(ox_worker *worker, uv_timer_t *timer)
{
    uv_timer_init(worker->loop, timer);
    timer->data = worker;
    worker->handles_open++;
}

void ox__locks_init(ox_worker *worker)
{
    add_timer(worker, &worker->locks.renew_timer);
    add_timer(worker, &worker->locks.brief_timer);
    add_timer(worker, &worker->locks.fence_timer);
    if (worker->options.on_disconnect == OX_DISCONNECT_KILL) {
        uv_timer_start(
            &worker->locks.fence_timer, on_fence, fence_ms(worker), fence_ms(worker));
    }
}

void ox__locks_start(ox_worker *worker)
{
    uv_timer_start(&worker->locks.renew_timer, on_renew, 0, worker->options.renew_ms);
}
