/*
 * worker.c - the public worker: its options, the callbacks of its engine, and its close.
 */
#include "engine/jobs.h"

#include "base/error.h"
#include "codes.h"
#include "engine/begin.h"
#include "engine/end.h"
#include "engine/notify.h"
#include "engine/say.h"
#include "queue/queue.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CALLS 4

/* ---- what the engine tells --------------------------------------------------------------- */

static void on_up(void *arg)
{
    ox_worker *worker = arg;
    ox__say_load_scripts(worker);
    if (worker->options.ready != NULL) {
        worker->options.ready(worker, worker->arg);
    }
}

static void on_begin(void *arg, struct ox__run *run)
{
    (void)arg;
    ox__begin(ox__task_of(run));
}

static void on_unread(void *arg, struct ox__run *run, const ox_error *err)
{
    ox__end_unread(arg, ox__task_of(run), err);
}

static void on_lock_lost(void *arg, struct ox__run *run)
{
    const ox_worker *worker = arg;
    if (worker->options.lock_lost != NULL) {
        worker->options.lock_lost(ox__task_of(run), worker->arg);
    }
}

static void on_claimed(void *arg, struct ox__run *run, int64_t verdict)
{
    (void)arg;
    ox__begin_claimed(ox__task_of(run), verdict);
}

static bool on_refused(void *arg, struct ox__run *run)
{
    (void)arg;
    return ox__end_refused(ox__task_of(run));
}

static void on_stored(void *arg, struct ox__run *run, const ox_error *err, bool own)
{
    const ox_worker *worker = arg;
    if (ox__task_of(run)->unread && err != NULL && err->code == OX_ENOTFOUND) {
        return; /* as if it had been gone when it was taken */
    }
    if (own || worker->options.run_ended != NULL) {
        ox__notify_end(ox__task_of(run), err);
    }
}

/* A run that ended without an end to send: it waits for its children, its lock is lost, or
 * memory was out, which was reported. */
static void on_dropped(void *arg, struct ox__run *run)
{
    const ox_worker *worker = arg;
    struct ox_task *task = ox__task_of(run);
    if (task->unread) { /* which was reported, too */
        return;
    }
    if (task->end.kind == OX__KIND_WAITS && !run->lock.lost) {
        ox__notify_end(task, NULL);
    } else if (worker->options.run_ended != NULL) { /* else it was reported already */
        ox_error err;
        ox__fail_memory(&err);
        if (run->lock.lost) {
            ox__script_refusal(
                run->lock.verdict == OX__CANCELLED ? OX__CANCELLED : OX__OTHER_LOCK,
                worker->at.name, run->id_text, &err);
        }
        ox__notify_end(task, &err);
    }
}

static void on_release(void *arg, struct ox__run *run)
{
    ox_worker *worker = arg;
    struct ox_task *task = ox__task_of(run);
    ox__say_hush(task);
    ox__task_free(&worker->jobs.pool, task);
}

static void on_error(void *arg, const char *id, const ox_error *err)
{
    ox__notify_error(arg, id, err);
}

static void on_notice(void *arg, int notice, const char *id)
{
    ox_worker *worker = arg;
    if (worker->options.notice != NULL) {
        worker->options.notice(worker, notice, id, worker->arg);
    }
}

/* Frees what a worker has beside its engine. */
static void free_worker(ox_worker *worker)
{
    ox__task_pool_done(&worker->jobs.pool);
    ox__queue_at_done(&worker->at);
    free(worker->released);
    free(worker->name);
    free(worker);
}

static void on_closed(void *arg)
{
    ox_worker *worker = arg;
    void (*closed)(void *arg) = worker->closed;
    void *closed_arg = worker->closed_arg;
    ox__engine_done(&worker->engine);
    free_worker(worker);
    if (closed != NULL) {
        closed(closed_arg);
    }
}

/* ---- options ----------------------------------------------------------------------------- */

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

/* The characters that Redis accepts in a client's name; a worker without a name is in no list
 * of workers. */
static bool is_client_name(const char *name)
{
    const char *end = name;
    while (*end > ' ' && *end <= '~') {
        end++;
    }
    return end > name && *end == '\0';
}

static int check_limiter(uint32_t max, int64_t duration_ms, ox_error *err)
{
    return max > 0 && duration_ms <= 0
               ? ox__fail(err, OX_EINVAL, "a limiter requires a duration")
               : 0;
}

/* An open run may end without a lock for twice as long, in which no check for stalled jobs may
 * come twice; and nothing runs out at which it could be stopped. */
static int check_lock_after(const ox_worker_options *o, ox_error *err)
{
    if (o->lock_after_ms > o->stalled_interval_ms / 2) {
        return ox__fail(err, OX_EINVAL,
            "lock_after_ms (%u) must be at most half of stalled_interval_ms (%u)",
            o->lock_after_ms, o->stalled_interval_ms);
    }
    if (o->lock_after_ms > 0 && o->on_disconnect == OX_DISCONNECT_KILL) {
        return ox__fail(err, OX_EINVAL,
            "lock_after_ms requires on_disconnect to be OX_DISCONNECT_CONTINUE");
    }
    if (o->late_start && o->lock_after_ms == 0) {
        return ox__fail(err, OX_EINVAL, "late_start requires lock_after_ms");
    }
    return 0;
}

static int set_options(ox_worker *worker, const ox_worker_options *given, ox_error *err)
{
    ox_worker_options *o = &worker->options;
    int rc = OX__RESERVED(ox_worker_options, given, err);
    if (rc < 0) {
        return rc;
    }
    if (given != NULL) {
        *o = *given;
    }
    rc = OX__RESERVED_IN(ox_keep, o->remove_on_complete, err);
    rc = rc < 0 ? rc : OX__RESERVED_IN(ox_keep, o->remove_on_fail, err);
    if (rc < 0) {
        return rc;
    }
    o->concurrency = or_default(o->concurrency, 1);
    o->lock_ms = or_default(o->lock_ms, 10000);
    o->renew_ms = or_default(o->renew_ms, (uint32_t)((uint64_t)o->lock_ms * 3 / 10 + 1));
    o->stalled_interval_ms = or_default(o->stalled_interval_ms, 5000);
    o->max_stalled = o->max_stalled == 0 ? 1 : o->max_stalled;
    o->drain_delay_ms = or_default(o->drain_delay_ms, 5000);
    o->calls = or_default(o->calls, DEFAULT_CALLS);
    o->calls = o->calls > OX__CALLS_MAX ? OX__CALLS_MAX : o->calls;
    if (o->renew_ms >= o->lock_ms) {
        return ox__fail(err, OX_EINVAL, "renew_ms (%u) must be less than lock_ms (%u)",
            o->renew_ms, o->lock_ms);
    }
    rc = check_lock_after(o, err);
    rc = rc < 0 ? rc : check_limiter(o->limiter_max, o->limiter_duration_ms, err);
    if (rc < 0) {
        return rc;
    }
    if (o->name != NULL && !is_client_name(o->name)) {
        return ox__fail(err, OX_EINVAL, "worker name must be visible ASCII without spaces");
    }
    worker->name = o->name != NULL ? strdup(o->name) : NULL;
    o->name = NULL;
    return given != NULL && given->name != NULL && worker->name == NULL ? ox__fail_memory(err)
                                                                        : 0;
}

/* What the engine and its backend take of the options. */
static void set_up(ox_worker *worker, const ox_queue *queue)
{
    const ox_worker_options *o = &worker->options;
    worker->jobs = (struct ox__jobs){ .worker = worker,
        .at = &worker->at,
        .name = worker->name,
        .late_start = o->late_start,
        .limiter_max = o->limiter_max,
        .limiter_duration_ms = o->limiter_duration_ms,
        .metrics_points = o->metrics_points,
        .max_stalled = o->max_stalled };
    worker->engine.setup = (struct ox__setup){ .name = worker->at.name,
        .backend = &ox__jobs_backend,
        .self = &worker->jobs,
        .concurrency = o->concurrency,
        .batch = queue->options.batch,
        .calls = o->calls,
        .lock_after_ms = o->lock_after_ms,
        .lock_ms = o->lock_ms,
        .renew_ms = o->renew_ms,
        .stalled_interval_ms = o->stalled_interval_ms,
        .drain_delay_ms = o->drain_delay_ms,
        .command_timeout_ms = queue->client->command_timeout_ms,
        .fence = o->on_disconnect == OX_DISCONNECT_KILL };
}

/* ---- life -------------------------------------------------------------------------------- */

/* "prefix:base64(name)[:w:worker]", by which BullMQ's getWorkers finds us. */
static char *client_name(const ox_worker *worker)
{
    g_autofree char *code =
        g_base64_encode((const unsigned char *)worker->at.name, strlen(worker->at.name));
    struct ox__buf text = { 0 };
    ox__buf_text(&text, worker->at.prefix);
    ox__buf_char(&text, ':');
    ox__buf_text(&text, code);
    if (worker->name != NULL) {
        ox__buf_text(&text, ":w:");
        ox__buf_text(&text, worker->name);
    }
    return ox__buf_steal(&text);
}

static int start(
    ox_worker *worker, struct uv_loop_s *loop, const ox_client *client, ox_error *err)
{
    static const struct ox__engine_events events = { .up = on_up,
        .begin = on_begin,
        .unread = on_unread,
        .lock_lost = on_lock_lost,
        .claimed = on_claimed,
        .refused = on_refused,
        .stored = on_stored,
        .dropped = on_dropped,
        .release = on_release,
        .error = on_error,
        .notice = on_notice,
        .closed = on_closed };
    OX__AUTO(ox__free_text) char *name = client_name(worker);
    const struct ox__link_options link = { .url = &client->conn.url,
        .connect_timeout_ms = client->connect_timeout_ms,
        .command_timeout_ms = client->command_timeout_ms,
        .base = worker->at.base };
    return name == NULL
               ? ox__fail_memory(err)
               : ox__engine_init(&worker->engine, loop, &link, name, &events, worker, err);
}

int ox_worker_new(ox_worker **out, struct uv_loop_s *loop, const ox_queue *queue,
    const ox_worker_options *options, ox_process_fn *process, void *arg, ox_error *err)
{
    OX__NEED(out, err);
    OX__NEED(loop, err);
    OX__NEED(queue, err);
    OX__NEED(process, err);
    ox_worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        return ox__fail_memory(err);
    }
    worker->process = process;
    worker->arg = arg;
    int rc = ox__queue_at_copy(&worker->at, &queue->at, err);
    if (rc == 0) {
        rc = set_options(worker, options, err);
    }
    if (rc == 0) {
        set_up(worker, queue);
        rc = start(worker, loop, queue->client, err);
    }
    if (rc < 0) {
        free_worker(worker);
        return rc;
    }
    *out = worker;
    return 0;
}

void ox_worker_pause(ox_worker *worker)
{
    if (worker == NULL) {
        return;
    }
    ox__engine_pause(&worker->engine);
}

void ox_worker_resume(ox_worker *worker)
{
    if (worker == NULL) {
        return;
    }
    ox__engine_resume(&worker->engine);
}

void ox_worker_set_concurrency(ox_worker *worker, uint32_t concurrency)
{
    if (worker == NULL) {
        return;
    }
    ox__engine_set_concurrency(&worker->engine, or_default(concurrency, 1));
}

/* What the old limiter had it wait for is asked again, also if that is told only later. */
int ox_worker_set_limiter(ox_worker *worker, uint32_t max, int64_t duration_ms, ox_error *err)
{
    OX__NEED(worker, err);
    int rc = check_limiter(max, duration_ms, err);
    if (rc < 0) {
        return rc;
    }
    worker->jobs.limiter_max = max;
    worker->jobs.limiter_duration_ms = duration_ms;
    ox__engine_limit_changed(&worker->engine);
    return 0;
}

uint32_t ox_worker_running(const ox_worker *worker)
{
    if (worker == NULL) {
        return 0;
    }
    return worker->engine.running.count;
}

uint32_t ox_worker_unstored(const ox_worker *worker)
{
    if (worker == NULL) {
        return 0;
    }
    return ox__engine_unstored(&worker->engine);
}

const char *ox_worker_queue_name(const ox_worker *worker)
{
    if (worker == NULL) {
        return NULL;
    }
    return worker->at.name;
}

static void note_closed(ox_worker *worker, void (*closed)(void *arg), void *arg)
{
    worker->closed = closed;
    worker->closed_arg = arg;
}

void ox_worker_close(ox_worker *worker, void (*closed)(void *arg), void *arg)
{
    if (worker == NULL) {
        return;
    }
    if (ox__engine_close(&worker->engine)) {
        note_closed(worker, closed, arg);
    }
}

void ox_worker_abort(ox_worker *worker, void (*closed)(void *arg), void *arg)
{
    if (worker == NULL) {
        return;
    }
    if (ox__engine_abort(&worker->engine)) {
        note_closed(worker, closed, arg);
    }
}
