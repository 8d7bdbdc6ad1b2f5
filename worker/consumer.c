/*
 * consumer.c - see consumer.h. It tells the log of the connection and of what the worker finds;
 * the ends of jobs are told by their pools.
 */
#include "consumer.h"

#include <glib.h>
#include <string.h>

#include "base/text.h"
#include "log.h"
#include "run.h"
#include "seat.h"

#define OUTAGE_LINE_MS 60000 /* between lines of one kind about a lost connection.. */
#define ERROR_LINE_MS 1000   /* ..and about jobs */
#define STEADY_MS 1000       /* a connection that breaks sooner was none */
#define START_MS 1000        /* for a child to start, or not to */
#define APART_MS 5           /* between jobs of a resting route that come back */
#define SHOWN_NAME_BYTES 200

/* An error that was logged: the same one is left out for a while, and counted. */
struct told {
    int code; /* 0: none */
    uint64_t at_ns, left_out;
};

/* The pool of one route. */
struct crew {
    struct consumer *consumer;
    const struct route_settings *route; /* of the consumer's settings, or of the pool's */
    struct pool *pool;
    bool resting;
    bool retired;     /* gets no more jobs */
    uint64_t back_ms; /* when the job that was put off last comes back, by the loop's clock */
};

struct consumer {
    uv_loop_t *loop;
    const struct consumer_hooks *hooks;
    void *owner;
    struct settings *settings; /* held */
    const struct queue_settings *queue;
    ox_worker *worker; /* NULL once closed */
    GPtrArray *crews;
    bool held, closing;
    bool paused;       /* what the worker was told last */
    bool connected;    /* it was, at least once */
    bool quiet;        /* the last line about the connection said that it is there */
    uint64_t ready_ns; /* since when it is there; 0: it is not */
    struct told outage, job_error;
};

/* ---- Crews ------------------------------------------------------------------------------- */

static struct crew *crew_at(const struct consumer *consumer, guint index)
{
    return g_ptr_array_index(consumer->crews, index);
}

/* Whether each route rests that gets jobs. */
static bool all_rest(const struct consumer *consumer)
{
    bool resting = false;
    for (guint i = 0; i < consumer->crews->len; i++) {
        const struct crew *crew = crew_at(consumer, i);
        if (!crew->retired && !crew->resting) {
            return false;
        }
        resting = resting || !crew->retired;
    }
    return resting;
}

/* What is taken while all routes rest could only be given back, again and again. */
static void pause_if_needed(struct consumer *consumer)
{
    bool pause = consumer->held || all_rest(consumer);
    if (pause == consumer->paused || consumer->worker == NULL) {
        return;
    }
    consumer->paused = pause;
    if (pause) {
        ox_worker_pause(consumer->worker);
    } else {
        ox_worker_resume(consumer->worker);
    }
}

static void on_rest(void *owner, bool resting)
{
    struct crew *crew = owner;
    crew->resting = resting;
    pause_if_needed(crew->consumer);
}

/* When all routes rest, other workers may have the job. When one does, its jobs are delayed, or
 * they would be taken instead of those behind them, again and again. They come back once its
 * next start has succeeded or failed: each of them once in a retry, and all together no faster
 * than one in APART_MS, so that a long queue of them costs the server little, and a worker
 * whose route is well gets at them in between. */
static void on_turn_away(void *owner, struct run *run)
{
    struct crew *crew = owner;
    uint32_t retry_ms;
    if (crew->consumer->paused || crew->retired) {
        run->type->decline(run, 0);
        return;
    }
    pool_resting(crew->pool, &retry_ms);
    uint64_t now_ms = uv_now(crew->consumer->loop);
    crew->back_ms = MAX(crew->back_ms + APART_MS, now_ms + retry_ms + START_MS);
    run->type->decline(run, g_get_real_time() / 1000 + (int64_t)(crew->back_ms - now_ms));
}

/* Each route may keep a child for its next job, but not as many as its busiest time took:
 * else every route would have `concurrency` of them in the end. */
static void on_grow(void *owner)
{
    struct consumer *consumer = ((struct crew *)owner)->consumer;
    struct crew *most = NULL;
    uint32_t children = 0, routes = 0;
    for (guint i = 0; i < consumer->crews->len; i++) {
        struct crew *crew = crew_at(consumer, i);
        children += pool_children(crew->pool);
        routes += !crew->retired;
        if (most == NULL || pool_idle(crew->pool) > pool_idle(most->pool)) {
            most = crew;
        }
    }
    if (children + 1 >= consumer->queue->concurrency + routes) {
        pool_shrink(most->pool);
    }
}

static const struct pool_hooks pool_hooks = {
    .rest = on_rest, .turn_away = on_turn_away, .grow = on_grow
};

static void finish_close(struct consumer *consumer)
{
    if (consumer->crews->len > 0 || consumer->worker != NULL || !consumer->closing) {
        return;
    }
    consumer->hooks->closed(consumer->owner, consumer);
    g_ptr_array_free(consumer->crews, TRUE);
    settings_unref(consumer->settings);
    g_free(consumer);
}

static void on_pool_closed(void *arg)
{
    struct crew *crew = arg;
    struct consumer *consumer = crew->consumer;
    g_ptr_array_remove_fast(consumer->crews, crew);
    g_free(crew);
    finish_close(consumer);
}

static void close_crews(struct consumer *consumer)
{
    for (guint i = 0; i < consumer->crews->len; i++) {
        struct crew *crew = crew_at(consumer, i);
        if (!crew->retired) {
            crew->retired = true;
            pool_close(crew->pool, on_pool_closed, crew);
        }
    }
    finish_close(consumer);
}

static void add_crew(struct consumer *consumer, const struct route_settings *route)
{
    struct crew *crew = g_new0(struct crew, 1);
    crew->consumer = consumer;
    crew->route = route;
    crew->pool = pool_new(consumer->loop, consumer->settings, route, &pool_hooks, crew);
    g_ptr_array_add(consumer->crews, crew);
}

static struct crew *find_crew(
    const struct consumer *consumer, const struct route_settings *route)
{
    for (guint i = 0; i < consumer->crews->len; i++) {
        struct crew *crew = crew_at(consumer, i);
        if (!crew->retired && crew->route == route) {
            return crew;
        }
    }
    return NULL;
}

/* ---- What the worker tells --------------------------------------------------------------- */

/* It cannot pass by itself, and each attempt would only wait for an operator. */
static void refuse_name(const struct consumer *consumer, ox_task *task, const char *name)
{
    const struct queue_settings *queue = consumer->queue;
    g_autofree char *shown = g_strndup(name, ox__utf8_truncate(name, SHOWN_NAME_BYTES));
    g_autoptr(GString) reason = g_string_new(NULL);
    g_string_append_printf(
        reason, "no handler for jobs named %s; the queue %s has one for ", shown, queue->queue);
    for (size_t i = 0; i < queue->route_count; i++) {
        g_string_append_printf(reason, "%s%s", i > 0 ? ", " : "", queue->routes[i].job);
    }
    const ox_failure failure = { .reason = reason->str, .unrecoverable = true };
    ox_task_log(task, reason->str);
    ox_task_fail(task, &failure);
}

static void process(ox_task *task, void *arg)
{
    struct consumer *consumer = arg;
    const char *name = ox_job_text(ox_task_job(task), OX_JOB_NAME);
    const struct route_settings *route =
        settings_route(consumer->queue, name != NULL ? name : "");
    if (route != NULL) {
        pool_process(find_crew(consumer, route)->pool, run_job_new(task));
    } else {
        refuse_name(consumer, task, name != NULL ? name : "");
    }
}

static void lock_lost(ox_task *task, void *arg)
{
    struct consumer *consumer = arg;
    struct run *run = ox_task_data(task);
    bool found = run == NULL || seat_lock_lost(run);
    for (guint i = 0; !found && i < consumer->crews->len; i++) {
        found = pool_lock_lost(crew_at(consumer, i)->pool, run);
    }
}

static void updates_done(ox_task *task, void *arg)
{
    const struct run *run = ox_task_data(task);
    (void)arg;
    if (run != NULL) {
        seat_said(run);
    }
}

static void on_run_ended(ox_worker *worker, const ox_run_end *end, void *arg)
{
    const struct consumer *consumer = arg;
    (void)worker;
    run_job_ended(end, &consumer->queue->routes[0].place);
    consumer->hooks->run_ended(consumer->owner);
}

static const struct {
    enum log_level level;
    const char *event, *reason;
} notices[] = {
    [OX_NOTICE_STALLED] = { LOG_WARN, "stalled",
        "the job's worker lost its lock or died; the job runs again" },
    [OX_NOTICE_STALLED_TOO_OFTEN] = { LOG_WARN, "stalled",
        "the job's worker lost its lock or died, once more than max-stalled allows; the job "
        "fails" },
    [OX_NOTICE_TAKE_LOST] = { LOG_WARN, "take-lost",
        "the reply with the job was lost; the job waits again" },
    [OX_NOTICE_LOCKED_AGAIN] = { LOG_WARN, "locked-again",
        "the job's lock expired and no other worker had it; the run goes on" },
    [OX_NOTICE_RESTORED] = { LOG_WARN, "restored", "the job was in no state; it waits again" },
    [OX_NOTICE_NO_STATE] = { LOG_WARN, "no-state",
        "the job has finished, but is in no state; it was not changed" },
};

static void on_notice(ox_worker *worker, int notice, const char *job_id, void *arg)
{
    const struct consumer *consumer = arg;
    (void)worker;
    log_begin(notices[notice].level, notices[notice].event);
    log_text("queue", consumer->queue->queue);
    log_text("id", job_id);
    log_text("reason", notices[notice].reason);
    log_end();
}

/* ---- The connection ---------------------------------------------------------------------- */

static bool is_news(struct told *told, int code, uint64_t rest_ms)
{
    uint64_t now = uv_hrtime();
    if (told->code == code && now - told->at_ns < rest_ms * 1000000) {
        told->left_out++;
        return false;
    }
    told->code = code;
    told->at_ns = now;
    return true;
}

/* Whether waiting may mend it: the server is not there yet, or loads its data. */
static bool may_pass(int code)
{
    return code == OX_ECONNECT || code == OX_ETIMEOUT || code == OX_ELOST;
}

/* One line when the connection is lost, one when it is back, however often both are tried; a
 * connection that was good for a while makes the next loss news. A server that is away is
 * waited for, but no waiting mends a wrong password. */
static void on_error(ox_worker *worker, const char *job_id, const ox_error *error, void *arg)
{
    struct consumer *consumer = arg;
    (void)worker;
    if (error->code == OX_ECANCELLED) {
        return; /* the end of the run is told */
    }
    if (!may_pass(error->code) && !consumer->connected && !consumer->closing) {
        consumer->hooks->refused(consumer->owner, error);
        if (consumer->closing) {
            return;
        }
    }
    consumer->hooks->telling(consumer->owner);
    if (job_id == NULL && consumer->ready_ns > 0 &&
        uv_hrtime() - consumer->ready_ns > STEADY_MS * 1000000ull) {
        consumer->outage.code = 0;
    }
    if (job_id == NULL) {
        consumer->ready_ns = 0;
    }
    struct told *told = job_id != NULL ? &consumer->job_error : &consumer->outage;
    if (!is_news(told, error->code, job_id != NULL ? ERROR_LINE_MS : OUTAGE_LINE_MS)) {
        return;
    }
    log_begin(LOG_ERROR, "error");
    log_text("queue", consumer->queue->queue);
    log_text("id", job_id);
    log_text("reason", error->text);
    if (told->left_out > 0) {
        log_number("left_out", (int64_t)told->left_out);
    }
    log_end();
    told->left_out = 0;
    consumer->quiet = consumer->quiet && job_id != NULL;
}

static void on_ready(ox_worker *worker, void *arg)
{
    struct consumer *consumer = arg;
    (void)worker;
    consumer->hooks->telling(consumer->owner);
    consumer->ready_ns = uv_hrtime();
    if (!consumer->quiet) {
        log_begin(LOG_INFO, "connected");
        log_text("queue", consumer->queue->queue);
        log_end();
    }
    consumer->quiet = true;
    if (!consumer->connected) {
        consumer->connected = true;
        consumer->hooks->connected(consumer->owner);
    }
}

/* ---- Life -------------------------------------------------------------------------------- */

static int start_worker(struct consumer *consumer, ox_client *client, ox_error *err)
{
    const struct settings *settings = consumer->settings;
    const ox_queue_options queue_options = {
        .prefix = settings->prefix,
        .no_events = settings->events != 0,
        .legacy_pause = settings->legacy_pause,
        .batch = (uint32_t)settings->batch,
    };
    /* A short lock is for finding the dead soon. */
    int64_t stalled_interval_ms = settings->stalled_interval_ms > 0
                                      ? settings->stalled_interval_ms
                                      : settings->lock_ms / 2;
    const ox_worker_options worker_options = {
        .name = settings->name,
        .concurrency = (uint32_t)consumer->queue->concurrency,
        .lock_ms = (uint32_t)settings->lock_ms,
        .stalled_interval_ms = (uint32_t)stalled_interval_ms,
        .max_stalled = (int32_t)settings->max_stalled,
        .max_started = (uint32_t)MAX(settings->max_started, 0),
        .on_disconnect = (int)settings->on_disconnect,
        .calls = (uint32_t)settings->calls,
        .remove_on_complete = settings->remove_on_complete,
        .remove_on_fail = settings->remove_on_fail,
        .limiter_max = (uint32_t)consumer->queue->limit.max,
        .limiter_duration_ms = consumer->queue->limit.duration_ms,
        .metrics_points = (uint32_t)settings->metrics,
        .lock_lost = lock_lost,
        .error = on_error,
        .run_ended = on_run_ended,
        .notice = on_notice,
        .updates_done = updates_done,
        .ready = on_ready,
    };
    ox_queue *queue = NULL;
    int status = ox_queue_new(&queue, client, consumer->queue->queue, &queue_options, err);
    if (status >= 0) {
        status = ox_worker_new(
            &consumer->worker, consumer->loop, queue, &worker_options, process, consumer, err);
    }
    ox_queue_free(queue);
    return status;
}

int consumer_new(struct consumer **out, uv_loop_t *loop, ox_client *client,
    struct settings *settings, const struct queue_settings *queue,
    const struct consumer_hooks *hooks, void *owner, ox_error *err)
{
    struct consumer *consumer = g_new0(struct consumer, 1);
    consumer->loop = loop;
    consumer->hooks = hooks;
    consumer->owner = owner;
    consumer->settings = settings_ref(settings);
    consumer->queue = queue;
    consumer->crews = g_ptr_array_new();
    for (size_t i = 0; i < queue->route_count; i++) {
        add_crew(consumer, &queue->routes[i]);
    }
    *out = consumer;
    int status = start_worker(consumer, client, err);
    if (status < 0) {
        consumer->closing = true;
        close_crews(consumer);
    }
    return status;
}

static void use_limits(struct consumer *consumer, const struct queue_settings *queue)
{
    const struct queue_settings *before = consumer->queue;
    if (queue->concurrency != before->concurrency) {
        ox_worker_set_concurrency(consumer->worker, (uint32_t)queue->concurrency);
    }
    if (queue->limit.max != before->limit.max ||
        queue->limit.duration_ms != before->limit.duration_ms) {
        ox_worker_set_limiter(
            consumer->worker, (uint32_t)queue->limit.max, queue->limit.duration_ms, NULL);
    }
}

static void retire(struct crew *crew)
{
    if (!crew->retired) {
        crew->retired = true;
        pool_retire(crew->pool, on_pool_closed, crew);
    }
}

/* All children are replaced, also where a route is as before: the files that they have read,
 * programs, statements and secrets, may be others. */
void consumer_use(struct consumer *consumer, struct settings *settings)
{
    const struct queue_settings *queue = settings_queue(settings, consumer->queue->queue);
    struct settings *before = consumer->settings;
    use_limits(consumer, queue);
    consumer->settings = settings_ref(settings);
    consumer->queue = queue;
    for (guint i = 0; i < consumer->crews->len; i++) {
        retire(crew_at(consumer, i));
    }
    for (size_t i = 0; i < queue->route_count; i++) {
        add_crew(consumer, &queue->routes[i]);
    }
    pause_if_needed(consumer);
    settings_unref(before);
}

void consumer_hold(struct consumer *consumer, bool hold)
{
    consumer->held = hold;
    pause_if_needed(consumer);
}

static void on_worker_closed(void *arg)
{
    struct consumer *consumer = arg;
    consumer->worker = NULL;
    close_crews(consumer);
}

void consumer_drain(struct consumer *consumer)
{
    consumer->closing = true;
    ox_worker_close(consumer->worker, on_worker_closed, consumer);
}

void consumer_give_back(struct consumer *consumer)
{
    for (guint i = 0; consumer->worker != NULL && i < consumer->crews->len; i++) {
        pool_give_back(crew_at(consumer, i)->pool);
    }
}

void consumer_abort(struct consumer *consumer)
{
    if (consumer->worker == NULL) {
        return;
    }
    consumer->closing = true;
    for (guint i = 0; i < consumer->crews->len; i++) {
        pool_abandon(crew_at(consumer, i)->pool);
    }
    ox_worker_abort(consumer->worker, on_worker_closed, consumer);
}

/* ---- Looking ----------------------------------------------------------------------------- */

const char *consumer_queue(const struct consumer *consumer)
{
    return consumer->queue->queue;
}

bool consumer_is_connected(const struct consumer *consumer)
{
    return consumer->connected;
}

bool consumer_is_closing(const struct consumer *consumer)
{
    return consumer->closing;
}

bool consumer_has_worker(const struct consumer *consumer)
{
    return consumer->worker != NULL;
}

uint32_t consumer_slots(const struct consumer *consumer)
{
    return (uint32_t)consumer->queue->concurrency;
}

uint32_t consumer_running(const struct consumer *consumer)
{
    uint32_t running = 0;
    for (guint i = 0; i < consumer->crews->len; i++) {
        running += pool_running(crew_at(consumer, i)->pool);
    }
    return running;
}

uint32_t consumer_open_runs(const struct consumer *consumer)
{
    return consumer_running(consumer) + ox_worker_running(consumer->worker) +
           ox_worker_unstored(consumer->worker);
}

void consumer_visit(const struct consumer *consumer,
    void (*visit)(const struct route_settings *route, const struct seat_state *state))
{
    for (guint i = 0; i < consumer->crews->len; i++) {
        pool_visit(crew_at(consumer, i)->pool, visit);
    }
}

uint32_t consumer_visit_resting(const struct consumer *consumer,
    void (*visit)(const struct route_settings *route, const char *reason, uint32_t retry_ms))
{
    uint32_t count = 0;
    for (guint i = 0; i < consumer->crews->len; i++) {
        const struct crew *crew = crew_at(consumer, i);
        uint32_t retry_ms;
        const char *reason = pool_resting(crew->pool, &retry_ms);
        if (reason == NULL || crew->retired) {
            continue;
        }
        count++;
        if (visit != NULL) {
            visit(crew->route, reason, retry_ms);
        }
    }
    return count;
}
