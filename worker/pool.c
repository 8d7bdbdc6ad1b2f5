/*
 * pool.c - gives runs to children and takes them back; see pool.h.
 *
 * Each child has a seat (seat.h), which has one at a time. Those that find no free one wait in
 * `pending`; since a consumer never holds more than `concurrency`, and what is taken ahead,
 * that list is short, and empty in the steady state without the latter.
 */
#include "pool.h"

#include <glib.h>
#include <unistd.h>

#include "child.h"
#include "log.h"
#include "run.h"
#include "seat.h"
#include "settings.h"

#define START_TIMEOUT_MS 30000
#define REST_FIRST_MS 1000
#define REST_MAX_MS 30000
#define AHEAD_MS 20 /* as long as a run that was taken ahead may wait.. */
#define LOOK_MS 1   /* ..and no child took one meanwhile */

struct pool {
    uv_loop_t *loop;
    struct settings *held; /* `route` is theirs */
    const struct route_settings *route;
    struct child_settings settings;
    const struct pool_hooks *hooks;
    void *owner;
    uint32_t concurrency;
    GPtrArray *seats;
    GPtrArray *idle;    /* seats of children that wait; the last one is the warmest */
    GPtrArray *pending; /* runs that wait, in order */
    uint32_t starting;  /* seats whose child is not ready */
    uint32_t rest_ms;   /* the wait after the next failed start */
    uv_timer_t rest;
    bool ahead;       /* runs may come that were taken ahead of a child.. */
    uv_timer_t wait;  /* ..then: till the oldest of `pending` has waited too long */
    uint32_t served;  /* runs that waited and got a child.. */
    uint32_t seen;    /* ..when that was looked at last */
    char *problem;    /* why the last start failed, as it was logged; NULL: it did not */
    bool resting;     /* no child could be started */
    bool giving_back; /* runs are declined as they come */
    bool retired;     /* closes with its last run */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

static void serve_pending(struct pool *pool);
static void close_if_done(struct pool *pool);

/* ---- Log --------------------------------------------------------------------------------- */

/* Once for each reason, however often it is tried. */
static void log_failed_start(struct pool *pool, const char *reason)
{
    if (g_strcmp0(reason, pool->problem) == 0) {
        return;
    }
    g_free(pool->problem);
    pool->problem = g_strdup(reason);
    log_begin(LOG_ERROR, "start-failed");
    log_place(&pool->route->place);
    log_text("route", pool->route->job);
    log_text("handler", pool->route->handler);
    log_text("reason", reason);
    log_number("retry_ms", pool->rest_ms);
    log_end();
}

static void log_start(struct pool *pool)
{
    if (pool->problem == NULL) {
        return;
    }
    g_clear_pointer(&pool->problem, g_free);
    log_begin(LOG_INFO, "started-again");
    log_place(&pool->route->place);
    log_text("route", pool->route->job);
    log_text("handler", pool->route->handler);
    log_end();
}

/* ---- Seats ------------------------------------------------------------------------------- */

static void when_ready(void *owner, struct seat *seat)
{
    struct pool *pool = owner;
    pool->starting--;
    pool->rest_ms = REST_FIRST_MS;
    log_start(pool);
    g_ptr_array_add(pool->idle, seat);
    serve_pending(pool);
}

static void when_ended(void *owner, struct seat *seat)
{
    struct pool *pool = owner;
    if (!seat_usable(seat)) {
        close_if_done(pool);
        return;
    }
    bool extra =
        pool->pending->len == 0 && (pool->retired || pool_children(pool) > pool->concurrency);
    if (extra || seat_is_worn(seat)) {
        seat_retire(seat);
    } else {
        g_ptr_array_add(pool->idle, seat);
    }
    serve_pending(pool);
    close_if_done(pool);
}

/* Its next child is younger than the change. */
static void when_outdated(void *owner, struct seat *seat, struct run *run)
{
    struct pool *pool = owner;
    run->waits_ms = uv_now(pool->loop);
    g_ptr_array_insert(pool->pending, 0, run);
    seat_retire(seat);
    serve_pending(pool);
}

static void set_resting(struct pool *pool, bool resting)
{
    if (resting != pool->resting) {
        pool->resting = resting;
        pool->hooks->rest(pool->owner, resting);
    }
}

static void decline(struct pool *pool, struct run *run)
{
    if (pool->giving_back) {
        run->type->decline(run, 0);
    } else {
        pool->hooks->turn_away(pool->owner, run);
    }
}

static void decline_pending(struct pool *pool)
{
    for (guint i = 0; i < pool->pending->len; i++) {
        decline(pool, g_ptr_array_index(pool->pending, i));
    }
    g_ptr_array_set_size(pool->pending, 0);
    close_if_done(pool);
}

uint32_t pool_children(const struct pool *pool)
{
    uint32_t count = 0;
    for (guint i = 0; i < pool->seats->len; i++) {
        const struct seat *seat = g_ptr_array_index(pool->seats, i);
        count += seat_usable(seat);
    }
    return count;
}

static bool start_child(struct pool *pool);

static void on_rested(uv_timer_t *timer)
{
    struct pool *pool = timer->data;
    if (pool->giving_back) {
        return; /* no child is of use any more */
    }
    if (pool->resting) {
        start_child(pool); /* runs are taken in again when it is ready */
    } else {
        serve_pending(pool);
    }
}

/* A child died before it was ready, or was not even born. As long as others live they do the
 * work; without any, the route rests. */
static void on_failed_start(struct pool *pool, const char *reason)
{
    log_failed_start(pool, reason != NULL ? reason : "handler exited");
    uv_timer_start(&pool->rest, on_rested, pool->rest_ms, 0);
    pool->rest_ms = MIN(pool->rest_ms * 2, REST_MAX_MS);
    if (pool_children(pool) == 0) {
        set_resting(pool, true);
        decline_pending(pool);
    }
}

static void finish_close(struct pool *pool);

static void when_gone(void *owner, struct seat *seat, const char *reason)
{
    struct pool *pool = owner;
    bool was_ready = seat_was_ready(seat);
    g_ptr_array_remove_fast(pool->seats, seat);
    g_ptr_array_remove(pool->idle, seat);
    if (reason != NULL && was_ready && !pool->closing) {
        seat_log(seat, LOG_WARN, "child-died", reason);
    } else {
        seat_log(seat, LOG_DEBUG, "child-gone", reason);
    }
    if (!was_ready) {
        pool->starting--;
    }
    if (pool->closing) {
        finish_close(pool);
        return;
    }
    if (was_ready) {
        serve_pending(pool);
    } else {
        on_failed_start(pool, reason);
    }
    close_if_done(pool);
}

static const struct seat_hooks seat_hooks = {
    .ready = when_ready, .ended = when_ended, .outdated = when_outdated, .gone = when_gone
};

static bool start_child(struct pool *pool)
{
    g_autofree char *problem = NULL;
    struct seat *seat = seat_new(&pool->settings, pool->route, &seat_hooks, pool, &problem);
    if (seat == NULL) {
        on_failed_start(pool, problem);
        return false;
    }
    g_ptr_array_add(pool->seats, seat);
    pool->starting++;
    return true;
}

/* ---- Runs that wait ---------------------------------------------------------------------- */

static struct seat *take_idle(struct pool *pool)
{
    while (pool->idle->len > 0) {
        struct seat *seat = g_ptr_array_steal_index(pool->idle, pool->idle->len - 1);
        if (seat_usable(seat)) {
            return seat;
        }
    }
    return NULL;
}

/* Gives waiting runs to idle children, and starts as many children as are missing. A failed
 * start is tried again by the timer, not by whatever happens next. */
static void serve_pending(struct pool *pool)
{
    struct seat *seat;
    if (pool->resting && pool->idle->len > 0) {
        set_resting(pool, false);
    }
    while (pool->pending->len > 0 && (seat = take_idle(pool)) != NULL) {
        seat_start(seat, g_ptr_array_steal_index(pool->pending, 0));
        pool->served++;
    }
    while (pool->pending->len > pool->starting && !uv_is_active((uv_handle_t *)&pool->rest) &&
           pool_children(pool) < pool->concurrency) {
        pool->hooks->grow(pool->owner);
        if (!start_child(pool)) {
            break;
        }
    }
}

uint32_t pool_ahead(const struct pool *pool)
{
    const uint32_t running = pool_running(pool);
    return running > pool->concurrency ? MIN(running - pool->concurrency, pool->pending->len)
                                       : 0;
}

/* The oldest first: so they keep their order. Others that wait have children that start. */
static void send_back(struct pool *pool)
{
    GPtrArray *pending = pool->pending;
    const guint kept = pending->len - pool_ahead(pool);
    if (kept == pending->len) {
        return;
    }
    pool->hooks->stuck(pool->owner);
    while (pending->len > kept) {
        struct run *run = g_ptr_array_steal_index(pending, kept);
        run->reason = g_strdup("it was taken ahead, and no child was free for it");
        run->type->decline(run, 0);
    }
    close_if_done(pool);
}

/* Not before there is a child, nor while the children get on: if this process or the machine
 * stood still, their answers are yet to be read. */
static void on_waited(uv_timer_t *timer)
{
    struct pool *pool = timer->data;
    if (pool->pending->len == 0) {
        return;
    }
    const struct run *oldest = g_ptr_array_index(pool->pending, 0);
    uint64_t waited_ms = uv_now(pool->loop) - oldest->waits_ms;
    bool starts = pool->starting > 0 && pool->starting == pool->seats->len;
    if (starts || waited_ms < AHEAD_MS) {
        uv_timer_start(timer, on_waited, starts ? AHEAD_MS : AHEAD_MS - waited_ms, 0);
    } else if (pool->served != pool->seen) {
        pool->seen = pool->served;
        uv_timer_start(timer, on_waited, LOOK_MS, 0);
    } else {
        send_back(pool);
    }
}

void pool_process(struct pool *pool, struct run *run)
{
    struct seat *seat = pool->pending->len == 0 ? take_idle(pool) : NULL;
    if (pool->giving_back || (pool->resting && seat == NULL)) {
        decline(pool, run);
    } else if (seat != NULL) {
        seat_start(seat, run);
    } else {
        g_ptr_array_add(pool->pending, run);
        run->waits_ms = uv_now(pool->loop);
        serve_pending(pool);
        if (pool->ahead && !uv_is_active((uv_handle_t *)&pool->wait)) {
            uv_timer_start(&pool->wait, on_waited, AHEAD_MS, 0);
        }
    }
}

bool pool_lock_lost(struct pool *pool, struct run *run)
{
    if (!g_ptr_array_remove(pool->pending, run)) {
        return false;
    }
    run->type->decline(run, 0);
    close_if_done(pool);
    return true;
}

/* ---- Life -------------------------------------------------------------------------------- */

struct pool *pool_new(uv_loop_t *loop, struct settings *settings,
    const struct route_settings *route, const struct pool_hooks *hooks, void *owner)
{
    struct pool *pool = g_new0(struct pool, 1);
    pool->loop = loop;
    pool->hooks = hooks;
    pool->owner = owner;
    pool->seats = g_ptr_array_new();
    pool->idle = g_ptr_array_new();
    pool->pending = g_ptr_array_new();
    pool->rest_ms = REST_FIRST_MS;
    pool->held = settings_ref(settings);
    pool->route = route;
    const struct queue_settings *queue = settings_queue(settings, route->queue, route->group);
    pool->concurrency = (uint32_t)queue->concurrency;
    pool->ahead = queue->ahead > 0;
    uv_timer_init(loop, &pool->rest);
    uv_timer_init(loop, &pool->wait);
    pool->rest.data = pool->wait.data = pool;
    pool->settings = (struct child_settings){
        .loop = loop,
        .argv = settings_child_argv(route, getpid()),
        .env = settings_child_env(route),
        .words = settings_private_words(route),
        .start_timeout_ms = START_TIMEOUT_MS,
        .program = settings->handler_program,
        .memory_bytes = route->memory_bytes,
        .max_processes = route->max_processes,
        .place = route->place,
    };
    return pool;
}

void pool_shrink(struct pool *pool)
{
    if (pool->idle->len > 0) {
        struct seat *seat = g_ptr_array_steal_index(pool->idle, 0);
        seat_retire(seat);
    }
}

void pool_give_back(struct pool *pool)
{
    pool->giving_back = true;
    decline_pending(pool);
    for (guint i = 0; i < pool->seats->len; i++) {
        struct seat *seat = g_ptr_array_index(pool->seats, i);
        if (seat_is_busy(seat)) {
            seat_take_away(seat, FAILURE_STOPPED, "the worker stops");
        }
    }
}

void pool_abandon(struct pool *pool)
{
    for (guint i = 0; i < pool->pending->len; i++) {
        run_free(g_ptr_array_index(pool->pending, i));
    }
    g_ptr_array_set_size(pool->pending, 0);
    for (guint i = 0; i < pool->seats->len; i++) {
        seat_abandon(g_ptr_array_index(pool->seats, i));
    }
    close_if_done(pool);
}

const char *pool_resting(const struct pool *pool, uint32_t *retry_ms)
{
    const uv_handle_t *rest = (const uv_handle_t *)&pool->rest;
    *retry_ms = uv_is_active(rest) ? (uint32_t)uv_timer_get_due_in(&pool->rest) : pool->rest_ms;
    return pool->resting ? pool->problem : NULL;
}

uint32_t pool_running(const struct pool *pool)
{
    uint32_t count = pool->pending->len;
    for (guint i = 0; i < pool->seats->len; i++) {
        count += seat_is_busy(g_ptr_array_index(pool->seats, i));
    }
    return count;
}

uint32_t pool_idle(const struct pool *pool)
{
    return pool->idle->len;
}

void pool_visit(const struct pool *pool,
    void (*visit)(const struct route_settings *route, const struct seat_state *state))
{
    for (guint i = 0; i < pool->seats->len; i++) {
        struct seat_state state;
        seat_look(g_ptr_array_index(pool->seats, i), &state);
        visit(pool->route, &state);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct pool *pool = handle->data;
    pool->closed(pool->closed_arg);
    g_ptr_array_free(pool->seats, TRUE);
    g_ptr_array_free(pool->idle, TRUE);
    g_ptr_array_free(pool->pending, TRUE);
    g_strfreev(pool->settings.argv);
    g_strfreev(pool->settings.env);
    g_strfreev(pool->settings.words);
    settings_unref(pool->held);
    g_free(pool->problem);
    g_free(pool);
}

static void on_wait_closed(uv_handle_t *handle)
{
    struct pool *pool = handle->data;
    uv_close((uv_handle_t *)&pool->rest, on_timer_closed);
}

static void finish_close(struct pool *pool)
{
    if (pool->seats->len == 0) {
        uv_close((uv_handle_t *)&pool->wait, on_wait_closed);
    }
}

void pool_close(struct pool *pool, void (*closed)(void *arg), void *arg)
{
    pool->closing = true;
    pool->closed = closed;
    pool->closed_arg = arg;
    uv_timer_stop(&pool->rest); /* it would start a child that nobody sends home */
    for (guint i = 0; i < pool->seats->len; i++) {
        struct seat *seat = g_ptr_array_index(pool->seats, i);
        seat_retire(seat);
    }
    finish_close(pool);
}

static void close_if_done(struct pool *pool)
{
    if (pool->retired && !pool->closing && pool_running(pool) == 0) {
        pool_close(pool, pool->closed, pool->closed_arg);
    }
}

void pool_retire(struct pool *pool, void (*closed)(void *arg), void *arg)
{
    pool->retired = true;
    pool->closed = closed;
    pool->closed_arg = arg;
    while (pool->idle->len > 0) {
        pool_shrink(pool);
    }
    close_if_done(pool);
}
