/*
 * worker.c - a worker as a whole: its options, its connections, what it says beside its calls,
 * how it is closed.
 *
 * A close waits, in this order, for running tasks, for their ends to be stored, for calls and
 * side requests in flight; then handles and links close, and when the last of them is gone the
 * worker is freed and `closed` called. An abort goes straight to the handles.
 */
#include "engine/worker.h"

#include "base/clock.h"
#include "base/error.h"
#include "scripts.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define DEFAULT_CALLS 4

void ox__worker_error(ox_worker *worker, const char *job_id, const ox_error *err)
{
    if (worker->options.error != NULL) {
        worker->options.error(worker, job_id, err, worker->arg);
    }
}

bool ox__worker_lost(const ox_error *err)
{
    return err != NULL &&
           (err->code == OX_ELOST || err->code == OX_ECLOSED || err->code == OX_ETIMEOUT);
}

/* ---- side requests ----------------------------------------------------------------------- */

void ox__side_free(struct ox__side *side)
{
    if (side != NULL) {
        ox__op_done(&side->request.op);
        free(side->job_id);
        free(side);
    }
}

static void side_done(struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct ox__side *side = request->arg;
    ox_worker *worker = side->worker;
    if (side->answered != NULL) {
        side->answered(side, reply, err);
    } else if (err != NULL && err->code != OX_ECLOSED) {
        ox__worker_error(worker, side->job_id, err);
    } else if (reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer < 0) {
        ox_error refusal;
        ox__script_refusal(reply->integer, worker->at.name, side->job_id, &refusal);
        ox__worker_error(worker, side->job_id, &refusal);
    }
    if (side->talk != NULL) {
        ox__talk_answered(side);
    }
    ox__side_free(side);
    worker->sides--;
    ox__worker_finish_close(worker);
}

static bool is_number(const struct ox__request *request, const redisReply *reply)
{
    (void)request;
    return reply->type == REDIS_REPLY_INTEGER;
}

struct ox__side *ox__side_new(ox_worker *worker, const char *job_id)
{
    struct ox__side *side = calloc(1, sizeof(*side));
    char *id = job_id != NULL ? strdup(job_id) : NULL;
    if (side == NULL || (job_id != NULL && id == NULL)) {
        ox_error err;
        free(side);
        free(id);
        ox__fail_memory(&err);
        ox__worker_error(worker, job_id, &err);
        return NULL;
    }
    side->worker = worker;
    side->job_id = id;
    side->request.done = side_done;
    side->request.arg = side;
    side->request.fits = is_number;
    side->request.keep = true;
    return side;
}

int ox__worker_send(ox_worker *worker, struct ox__request *request, ox_error *err)
{
    int rc = ox__op_seal(&request->op, err);
    if (rc == 0) {
        ox__link_send(worker->link, request);
    }
    return rc;
}

void ox__side_send(struct ox__side *side)
{
    ox_worker *worker = side->worker;
    ox_error err;
    worker->sides++;
    if (ox__worker_send(worker, &side->request, &err) < 0) {
        side_done(&side->request, NULL, &err);
    }
}

/* ---- life -------------------------------------------------------------------------------- */

static bool is_digest(const struct ox__request *request, const redisReply *reply)
{
    (void)request;
    return reply->type == REDIS_REPLY_STRING && reply->len == 40;
}

static void whatever(struct ox__side *side, const redisReply *reply, const ox_error *err)
{
    (void)side;
    (void)reply;
    (void)err;
}

/* What a job says is sent at once and its end behind it. A script that the server does not have
 * is sent a second time, and then the end would be first; so it gets these before any job. One
 * that refuses them loses no more than that order. */
static void load_scripts(ox_worker *worker)
{
    static const struct ox__script *const scripts[] = { &ox__script_update_progress,
        &ox__script_add_log, &ox__script_update_data };
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        struct ox__side *side = ox__side_new(worker, NULL);
        if (side != NULL) {
            side->answered = whatever;
            side->request.fits = is_digest;
            side->request.keep = false;
            ox__op_command(&side->request.op, "SCRIPT");
            ox__op_text(&side->request.op, "subcommand", "LOAD");
            ox__op_bytes(&side->request.op, "script", scripts[i]->source, scripts[i]->len);
            ox__side_send(side);
        }
    }
}

static void on_up(void *arg)
{
    ox_worker *worker = arg;
    worker->idle.drained = false;
    load_scripts(worker);
    ox__locks_start(worker);
    ox__stalled_start(worker);
    ox__recover(worker);
    if (worker->options.ready != NULL) {
        worker->options.ready(worker, worker->arg);
    }
    ox__worker_pump(worker);
}

static void on_down(void *arg, const ox_error *err)
{
    ox_worker *worker = arg;
    worker->stalled.was_cut_off = true;
    ox__worker_error(worker, NULL, err);
}

/* The blocking connection comes and goes with the other one; it is not news. */
static void on_sleep_up(void *arg)
{
    ox__idle_sleep(arg);
}

static void on_sleep_down(void *arg, const ox_error *err)
{
    (void)arg;
    (void)err;
}

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

/* All memory that links need; nothing is asked of the loop. */
static int new_links(ox_worker *worker, const ox_client *client, ox_error *err)
{
    OX__AUTO(ox__free_text) char *name = client_name(worker);
    struct ox__link_options options = { .url = &client->conn.url,
        .connect_timeout_ms = client->connect_timeout_ms,
        .command_timeout_ms = client->command_timeout_ms,
        .base = worker->at.base,
        .up = on_up,
        .down = on_down,
        .arg = worker };
    worker->command_timeout_ms = client->command_timeout_ms;
    int rc = name == NULL ? ox__fail_memory(err)
                          : ox__link_new(&worker->link, worker->loop, &options, err);
    if (rc < 0) {
        return rc;
    }
    options.client_name = name;
    options.up = on_sleep_up;
    options.down = on_sleep_down;
    return ox__link_new(&worker->sleep, worker->loop, &options, err);
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

/* What Redis takes for the name of a client; a worker without one is in no list of workers. */
static bool is_client_name(const char *name)
{
    const char *end = name;
    while (*end > ' ' && *end <= '~') {
        end++;
    }
    return end > name && *end == '\0';
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
    o->concurrency = or_default(o->concurrency, 1);
    o->lock_ms = or_default(o->lock_ms, 10000);
    o->renew_ms = or_default(o->renew_ms, (uint32_t)((uint64_t)o->lock_ms * 3 / 10 + 1));
    o->sweep_ms = or_default(o->sweep_ms, 5000);
    o->max_stalled = o->max_stalled == 0 ? 1 : o->max_stalled;
    o->drain_delay_ms = or_default(o->drain_delay_ms, 5000);
    o->calls = or_default(o->calls, DEFAULT_CALLS);
    o->calls = o->calls > OX__CALLS_MAX ? OX__CALLS_MAX : o->calls;
    if (o->renew_ms >= o->lock_ms) {
        return ox__fail(err, OX_EINVAL, "locks of %u ms renewed every %u ms would run out",
            o->lock_ms, o->renew_ms);
    }
    if (o->limiter_max > 0 && o->limiter_duration_ms <= 0) {
        return ox__fail(err, OX_EINVAL, "a limiter needs a duration");
    }
    if (o->name != NULL && !is_client_name(o->name)) {
        return ox__fail(err, OX_EINVAL,
            "a worker's name is of letters, digits and signs of ASCII, without spaces");
    }
    worker->name = o->name != NULL ? strdup(o->name) : NULL;
    o->name = NULL;
    return given != NULL && given->name != NULL && worker->name == NULL ? ox__fail_memory(err)
                                                                        : 0;
}

static void make_uuid(ox_worker *worker)
{
    unsigned char bytes[16];
    size_t n = 0;
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        int64_t seed[2] = { ox__clock_ms(CLOCK_REALTIME), (int64_t)(uintptr_t)worker };
        memcpy(bytes, seed, sizeof(bytes));
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        n += (size_t)snprintf(worker->uuid + n, sizeof(worker->uuid) - n, "%02x", bytes[i]);
    }
}

/* From here on the worker is the loop's: nothing can fail. */
static void start(ox_worker *worker)
{
    ox__idle_init(worker);
    ox__locks_init(worker);
    ox__recover_init(worker);
    ox__stalled_init(worker);
    ox__calls_init(worker);
    ox__link_start(worker->link);
    ox__link_start(worker->sleep);
    worker->handles_open += 2;
}

/* Undoes what a worker that was not started has. */
static void discard(ox_worker *worker)
{
    ox__link_free(worker->link);
    ox__link_free(worker->sleep);
    ox__queue_at_done(&worker->at);
    free(worker->name);
    free(worker);
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
    worker->loop = loop;
    worker->process = process;
    worker->backend = &ox__jobs_backend;
    worker->arg = arg;
    worker->batch = queue->options.batch;
    int rc = ox__queue_at_copy(&worker->at, &queue->at, err);
    if (rc == 0) {
        rc = set_options(worker, options, err);
    }
    if (rc == 0) {
        rc = new_links(worker, queue->client, err);
    }
    if (rc < 0) {
        discard(worker);
        return rc;
    }
    make_uuid(worker);
    start(worker);
    *out = worker;
    return 0;
}

void ox_worker_pause(ox_worker *worker)
{
    if (worker == NULL) {
        return;
    }
    worker->paused = true;
    ox__idle_break(worker);
}

void ox_worker_resume(ox_worker *worker)
{
    if (worker == NULL) {
        return;
    }
    worker->paused = false;
    ox__idle_work_waits(worker);
}

uint32_t ox_worker_running(const ox_worker *worker)
{
    if (worker == NULL) {
        return 0;
    }
    return worker->running.count;
}

uint32_t ox_worker_unstored(const ox_worker *worker)
{
    if (worker == NULL) {
        return 0;
    }
    uint32_t count = worker->ended.count + worker->doubted.count + worker->gone.count;
    for (uint32_t i = 0; i < worker->options.calls; i++) {
        count += worker->calls[i].tasks.count;
    }
    return count;
}

const char *ox_worker_queue_name(const ox_worker *worker)
{
    if (worker == NULL) {
        return NULL;
    }
    return worker->at.name;
}

static void free_worker(ox_worker *worker)
{
    void (*closed)(void *arg) = worker->closed;
    void *arg = worker->closed_arg;
    ox_error gone;
    ox__fail(&gone, OX_ECLOSED, "queue %s: the worker was closed", worker->at.name);
    ox__notify_ends(&worker->ended, &gone);
    ox__notify_ends(&worker->doubted, &gone);
    ox__tasks_forget(&worker->running);
    ox__tasks_forget(&worker->ended);
    ox__tasks_forget(&worker->doubted);
    ox__tasks_forget(&worker->gone);
    for (size_t i = 0; i < OX__CALLS_MAX; i++) {
        ox__tasks_forget(&worker->calls[i].tasks);
        ox__op_done(&worker->calls[i].request.op);
    }
    ox__op_done(&worker->wake_take.request.op);
    while (worker->spare != NULL) {
        struct ox_task *next = worker->spare->next;
        free(worker->spare);
        worker->spare = next;
    }
    ox__run_options_drop(worker->last_run);
    ox__buf_done(&worker->ends.bytes);
    free(worker->released);
    ox__op_done(&worker->idle.wait.op);
    ox__op_done(&worker->lost.request.op);
    ox__stalled_done(worker);
    ox__queue_at_done(&worker->at);
    free(worker->name);
    free(worker);
    closed(arg);
}

static void on_part_closed(void *arg)
{
    ox_worker *worker = arg;
    if (--worker->handles_open == 0) {
        free_worker(worker);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    on_part_closed(handle->data);
}

static void close_everything(ox_worker *worker)
{
    worker->aborted = true;
    uv_close((uv_handle_t *)&worker->soon_idle, on_handle_closed);
    uv_close((uv_handle_t *)&worker->soon_check, on_handle_closed);
    uv_close((uv_handle_t *)&worker->idle.timer, on_handle_closed);
    uv_close((uv_handle_t *)&worker->locks.renew_timer, on_handle_closed);
    uv_close((uv_handle_t *)&worker->stalled.timer, on_handle_closed);
    uv_close((uv_handle_t *)&worker->locks.brief_timer, on_handle_closed);
    uv_close((uv_handle_t *)&worker->locks.fence_timer, on_handle_closed);
    ox__link_close(worker->sleep, on_part_closed, worker);
    ox__link_close(worker->link, on_part_closed, worker);
}

/* Goes on with a close that waits, when nothing is left to wait for. */
void ox__worker_finish_close(ox_worker *worker)
{
    if (worker->closing && !worker->aborted && worker->running.count == 0 &&
        worker->ended.count == 0 && worker->doubted.count == 0 && worker->gone.count == 0 &&
        worker->calls_busy == 0 && !worker->wake_take.busy && worker->sides == 0) {
        close_everything(worker);
    }
}

void ox_worker_close(ox_worker *worker, void (*closed)(void *arg), void *arg)
{
    if (worker == NULL) {
        return;
    }
    if (worker->closing) {
        return;
    }
    worker->closing = true;
    worker->closed = closed;
    worker->closed_arg = arg;
    if (worker->wake_take.busy) {
        ox__idle_break(worker);
    } else if (worker->idle.waiting) {
        /* We may be popping a marker that nobody here will act on. */
        ox__idle_return_marker(worker, "0", "0");
    }
    ox__worker_soon(worker);
}

void ox_worker_abort(ox_worker *worker, void (*closed)(void *arg), void *arg)
{
    if (worker == NULL) {
        return;
    }
    if (!worker->aborted) {
        worker->closing = true;
        worker->closed = closed;
        worker->closed_arg = arg;
        close_everything(worker);
    }
}
