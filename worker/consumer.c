/*
 * consumer.c - the pools of a consumer, and its life; see consumer.h and consumer_parts.h.
 */
#include "consumer.h"

#include "consumer_parts.h"
#include "seat.h"

#define START_MS 1000 /* for a child to start, or not to */
#define APART_MS 5    /* between jobs of a resting route that come back */

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
    if (pause == consumer->paused || consumer->feed == NULL) {
        return;
    }
    consumer->paused = pause;
    if (pause) {
        consumer->type->pause(consumer->feed);
    } else {
        consumer->type->resume(consumer->feed);
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

/* What is given back runs elsewhere, or here once a child is free. */
static void on_stuck(void *owner)
{
    const struct consumer *consumer = ((struct crew *)owner)->consumer;
    if (consumer->ahead != NULL) {
        ahead_rest(consumer->ahead);
    }
}

static const struct pool_hooks pool_hooks = {
    .rest = on_rest, .turn_away = on_turn_away, .grow = on_grow, .stuck = on_stuck
};

/* ---- What is taken ahead ----------------------------------------------------------------- */

static void on_ahead(void *owner, bool on)
{
    const struct consumer *consumer = owner;
    int64_t slots = consumer->queue->concurrency + (on ? consumer->queue->ahead : 0);
    consumer->type->set_slots(consumer->feed, (uint32_t)slots);
}

static void start_ahead(struct consumer *consumer)
{
    if (consumer->queue->ahead > 0 && consumer->type->set_slots != NULL) {
        consumer->ahead = ahead_new(consumer->loop, on_ahead, consumer);
    }
}

static void stop_ahead(struct consumer *consumer)
{
    ahead_free(consumer->ahead);
    consumer->ahead = NULL;
}

static void finish_close(struct consumer *consumer)
{
    if (consumer->crews->len > 0 || consumer->feed != NULL || !consumer->closing) {
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

/* ---- What the feed tells ----------------------------------------------------------------- */

const struct log_place *consumer_place(const struct consumer *consumer)
{
    return &consumer->queue->routes[0].place;
}

void consumer_process(
    struct consumer *consumer, const struct route_settings *route, struct run *run)
{
    pool_process(find_crew(consumer, route)->pool, run);
}

void consumer_lock_lost(struct consumer *consumer, struct run *run)
{
    bool found = seat_lock_lost(run);
    for (guint i = 0; !found && i < consumer->crews->len; i++) {
        found = pool_lock_lost(crew_at(consumer, i)->pool, run);
    }
}

/* ---- Life -------------------------------------------------------------------------------- */

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
    consumer->type = queue->group != NULL ? &feed_of_events : &feed_of_jobs;
    consumer->crews = g_ptr_array_new();
    for (size_t i = 0; i < queue->route_count; i++) {
        add_crew(consumer, &queue->routes[i]);
    }
    *out = consumer;
    int status = consumer->type->open(consumer, client, err);
    if (status < 0) {
        consumer->closing = true;
        close_crews(consumer);
    } else {
        start_ahead(consumer);
    }
    return status;
}

static void retire(struct crew *crew)
{
    if (!crew->retired) {
        crew->retired = true;
        pool_retire(crew->pool, on_pool_closed, crew);
    }
}

bool consumer_fits(const struct consumer *consumer, const struct queue_settings *queue)
{
    return queue->group == NULL ||
           settings_same_stream(&consumer->queue->stream, &queue->stream);
}

/* All children are replaced, also where a route is as before: the files that they have read,
 * programs, statements and secrets, may be others. */
void consumer_use(struct consumer *consumer, struct settings *settings)
{
    const struct queue_settings *queue =
        settings_queue(settings, consumer->queue->queue, consumer->queue->group);
    const struct queue_settings *queue_before = consumer->queue;
    struct settings *before = consumer->settings;
    consumer->settings = settings_ref(settings);
    consumer->queue = queue;
    stop_ahead(consumer);
    consumer->type->change(consumer, queue_before);
    start_ahead(consumer);
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

static void on_feed_closed(void *arg)
{
    struct consumer *consumer = arg;
    consumer->feed = NULL;
    close_crews(consumer);
}

void consumer_drain(struct consumer *consumer)
{
    consumer->closing = true;
    stop_ahead(consumer);
    consumer->type->close(consumer->feed, on_feed_closed, consumer);
}

void consumer_give_back(struct consumer *consumer)
{
    for (guint i = 0; consumer->feed != NULL && i < consumer->crews->len; i++) {
        pool_give_back(crew_at(consumer, i)->pool);
    }
}

void consumer_abort(struct consumer *consumer)
{
    if (consumer->feed == NULL) {
        return;
    }
    consumer->closing = true;
    stop_ahead(consumer);
    for (guint i = 0; i < consumer->crews->len; i++) {
        pool_abandon(crew_at(consumer, i)->pool);
    }
    consumer->type->abort(consumer->feed, on_feed_closed, consumer);
}

/* ---- Looking ----------------------------------------------------------------------------- */

const struct queue_settings *consumer_queue(const struct consumer *consumer)
{
    return consumer->queue;
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
    return consumer->feed != NULL;
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

uint32_t consumer_ahead(const struct consumer *consumer)
{
    uint32_t count = 0;
    for (guint i = 0; i < consumer->crews->len; i++) {
        count += pool_ahead(crew_at(consumer, i)->pool);
    }
    return count;
}

uint32_t consumer_open_runs(const struct consumer *consumer)
{
    return consumer_running(consumer) +
           (consumer->feed != NULL ? consumer->type->open_runs(consumer->feed) : 0);
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
