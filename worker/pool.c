/*
 * pool.c - gives tasks to children and takes their ends back; see pool.h.
 *
 * A seat is what one child sits on: the child, the task that it runs, and what is to become
 * of that task should the child die. A seat exists exactly as long as its child, until `gone`.
 * Tasks that find no free child wait in `pending`; since a worker never holds more tasks than
 * `concurrency`, that list is short, and empty in the steady state.
 *
 * A task is only ended once its child answered or its whole process group is dead, because
 * from then on the job may run elsewhere, and the two runs must not overlap.
 */
#include "pool.h"

#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "log.h"
#include "run.h"
#include "settings.h"
#include "usage.h"

#define START_TIMEOUT_MS 30000
#define REST_FIRST_MS 1000
#define REST_MAX_MS 30000
#define LOCK_LOST "the job's lock was lost"
#define UNANSWERED_MAX 64 /* what a job may have on its way to the server before it waits */

/* What becomes of a task whose child dies. */
enum ending {
    END_FAIL,   /* an attempt is spent: it crashed, or hung */
    END_RELEASE /* none is: it was taken away from the child */
};

struct seat {
    struct pool *pool;
    struct child *child;
    ox_task *task;
    struct run *run; /* of the task */
    enum ending ending;
    uint32_t jobs; /* given to this child so far */
    bool ready;    /* it was, at least once */
};

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
    GPtrArray *pending; /* tasks that wait, in order */
    uint32_t starting;  /* seats whose child is not ready */
    uint32_t busy;      /* seats with a task */
    uint32_t rest_ms;   /* the wait after the next failed start */
    uv_timer_t rest;
    char *problem;    /* why the last start failed, as it was logged; NULL: it did not */
    bool resting;     /* no child could be started */
    bool giving_back; /* tasks are released as they come */
    bool retired;     /* closes with its last task */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

static void serve_pending(struct pool *pool);
static void close_if_done(struct pool *pool);

/* ---- Log --------------------------------------------------------------------------------- */

static void log_child(const struct pool *pool, enum log_level level, const char *event,
    pid_t pid, const char *reason)
{
    log_begin(level, event);
    log_text("queue", pool->route->queue);
    log_number("pid", pid);
    log_text("reason", reason);
    log_end();
}

/* Once for each reason, however often it is tried. */
static void log_failed_start(struct pool *pool, const char *reason)
{
    if (g_strcmp0(reason, pool->problem) == 0) {
        return;
    }
    g_free(pool->problem);
    pool->problem = g_strdup(reason);
    log_begin(LOG_ERROR, "start-failed");
    log_text("queue", pool->route->queue);
    log_text("route", pool->route->job);
    log_text("handler", pool->route->handler);
    log_text("reason", reason);
    log_number("retry_ms", pool->rest_ms);
    log_end();
}

static void log_start(struct pool *pool, pid_t pid)
{
    log_child(pool, LOG_DEBUG, "child-ready", pid, NULL);
    if (pool->problem == NULL) {
        return;
    }
    g_clear_pointer(&pool->problem, g_free);
    log_begin(LOG_INFO, "started-again");
    log_text("queue", pool->route->queue);
    log_text("route", pool->route->job);
    log_text("handler", pool->route->handler);
    log_end();
}

/* ---- Ends of tasks ----------------------------------------------------------------------- */

/* Nothing in the job's log tells of a failure that is not the handler's own. */
static void fail_task(struct seat *seat, const char *reason, bool fatal)
{
    if (seat->run->kind != FAILURE_NONE) {
        ox_task_log(seat->task, reason);
    }
    g_autofree char *stack = g_strdup_printf("%s\n    at %s (attempt %u)", reason,
        seat->pool->route->handler, ox_task_attempt(seat->task));
    const ox_failure failure = { .reason = reason,
        .stack = stack,
        .unrecoverable = fatal,
        .min_delay_ms = seat->run->retry_after_ms };
    ox_task_fail(seat->task, &failure);
}

static void end_task(struct seat *seat, enum handler_result result, const char *text)
{
    seat->run->ended_ns = uv_hrtime();
    if (result == HANDLER_DONE) {
        int status = ox_task_complete(seat->task, *text ? text : NULL);
        seat->run->kind = status < 0 ? FAILURE_BAD_OUTPUT : FAILURE_NONE;
    } else {
        fail_task(seat, *text ? text : "failed", result == HANDLER_FATAL);
    }
}

static void finish_dead_task(struct seat *seat, enum failure kind, const char *reason)
{
    seat->run->ended_ns = uv_hrtime();
    seat->run->kind = kind;
    if (seat->ending == END_FAIL) {
        fail_task(seat, reason != NULL ? reason : "handler exited", false);
    } else {
        seat->run->reason = g_strdup(reason);
        ox_task_release(seat->task);
    }
}

/* The run is its end's from now on. */
static void leave_task(struct seat *seat)
{
    seat->run->seat = NULL;
    seat->run = NULL;
    seat->task = NULL;
    seat->pool->busy--;
}

/* ---- Children ---------------------------------------------------------------------------- */

/* For how long a job may run: the shorter one of the route's time and its own; 0: for ever. */
static uint32_t timeout_ms(const struct pool *pool, const ox_task *task)
{
    int64_t own = ox_task_timeout_ms(task), most = pool->route->timeout_ms;
    int64_t least = own > 0 && (most == 0 || own < most) ? own : most;
    return (uint32_t)MIN(least, UINT32_MAX);
}

static void start_task(struct seat *seat, ox_task *task)
{
    const ox_job *job = ox_task_job(task);
    const char *name = ox_job_text(job, OX_JOB_NAME), *data = ox_job_text(job, OX_JOB_DATA);
    const uint32_t timeout = timeout_ms(seat->pool, task);
    const struct frame_job out = {
        .id = ox_job_id(job),
        .id_len = strlen(ox_job_id(job)),
        .name = name != NULL ? name : "",
        .name_len = name != NULL ? ox_job_length(job, OX_JOB_NAME) : 0,
        .data = data != NULL ? data : "{}",
        .data_len = data != NULL ? ox_job_length(job, OX_JOB_DATA) : 2,
        .attempt = ox_task_attempt(task),
        .deadline_ms = timeout > 0 ? g_get_real_time() / 1000 + timeout : 0,
        .timestamp_ms = ox_job_number(job, OX_JOB_TIMESTAMP, 0),
    };
    seat->task = task;
    seat->ending = END_FAIL;
    seat->run = g_new0(struct run, 1);
    seat->run->seat = seat;
    seat->run->started_ns = uv_hrtime();
    seat->jobs++;
    seat->pool->busy++;
    ox_task_set_data(task, seat->run);
    child_run(seat->child, &out, timeout);
}

static void when_ready(void *owner)
{
    struct seat *seat = owner;
    struct pool *pool = seat->pool;
    seat->ready = true;
    pool->starting--;
    pool->rest_ms = REST_FIRST_MS;
    log_start(pool, child_pid(seat->child));
    g_ptr_array_add(pool->idle, seat);
    serve_pending(pool);
}

static void when_progress(void *owner, const char *json)
{
    struct seat *seat = owner;
    if (ox_task_progress(seat->task, json) >= 0) {
        return;
    }
    log_begin(LOG_WARN, "bad-progress");
    run_log_job(seat->pool->route->queue, ox_task_job(seat->task), ox_task_attempt(seat->task));
    log_end();
}

/* A child that says more than the server takes waits for it. */
static void when_log(void *owner, const char *row)
{
    struct seat *seat = owner;
    ox_task_log(seat->task, row);
    if (ox_task_pending_updates(seat->task) >= UNANSWERED_MAX) {
        child_hold(seat->child, true);
    }
}

static void when_retry_after(void *owner, int64_t ms)
{
    struct seat *seat = owner;
    seat->run->retry_after_ms = ms;
}

static void when_failure(void *owner, enum failure kind)
{
    struct seat *seat = owner;
    seat->run->kind = kind;
}

void pool_said(ox_task *task)
{
    struct run *run = ox_task_data(task);
    if (run != NULL && run->seat != NULL) {
        child_hold(run->seat->child, false);
    }
}

static bool is_worn(const struct seat *seat)
{
    const struct route_settings *route = seat->pool->route;
    return (route->recycle > 0 && seat->jobs >= route->recycle) ||
           (route->recycle_bytes > 0 &&
               usage_is_above(child_pid(seat->child), route->recycle_bytes));
}

static void when_result(void *owner, enum handler_result result, const char *text)
{
    struct seat *seat = owner;
    struct pool *pool = seat->pool;
    end_task(seat, result, text);
    leave_task(seat);
    if (!child_usable(seat->child)) {
        close_if_done(pool);
        return;
    }
    bool extra =
        pool->pending->len == 0 && (pool->retired || pool_children(pool) > pool->concurrency);
    if (extra || is_worn(seat)) {
        child_retire(seat->child);
    } else {
        g_ptr_array_add(pool->idle, seat);
    }
    serve_pending(pool);
    close_if_done(pool);
}

/* The run did not begin; the job's next child is younger than the change. */
static void when_outdated(void *owner)
{
    struct seat *seat = owner;
    struct pool *pool = seat->pool;
    log_child(pool, LOG_DEBUG, "child-outdated", child_pid(seat->child),
        "a file that it may read was replaced");
    ox_task_set_data(seat->task, NULL);
    g_ptr_array_insert(pool->pending, 0, seat->task);
    run_free(seat->run);
    seat->run = NULL;
    seat->task = NULL;
    pool->busy--;
    child_retire(seat->child);
    serve_pending(pool);
}

static void set_resting(struct pool *pool, bool resting)
{
    if (resting != pool->resting) {
        pool->resting = resting;
        pool->hooks->rest(pool->owner, resting);
    }
}

static void decline(struct pool *pool, ox_task *task)
{
    if (pool->giving_back) {
        ox_task_release(task);
    } else {
        pool->hooks->turn_away(pool->owner, task);
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
        count += child_usable(seat->child);
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
        start_child(pool); /* tasks are taken in again when it is ready */
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

static void when_gone(void *owner, enum failure kind, const char *reason)
{
    struct seat *seat = owner;
    struct pool *pool = seat->pool;
    bool failed_start = !seat->ready && !pool->closing;
    g_ptr_array_remove_fast(pool->seats, seat);
    g_ptr_array_remove(pool->idle, seat);
    if (reason != NULL && seat->ready && !pool->closing) {
        log_child(pool, LOG_WARN, "child-died", child_pid(seat->child), reason);
    } else {
        log_child(pool, LOG_DEBUG, "child-gone", child_pid(seat->child), reason);
    }
    if (!seat->ready) {
        pool->starting--;
    }
    if (seat->task != NULL) {
        finish_dead_task(seat, kind, reason);
        leave_task(seat);
    }
    g_free(seat);
    if (failed_start) {
        on_failed_start(pool, reason);
    } else if (pool->closing) {
        finish_close(pool);
        return;
    } else {
        serve_pending(pool);
    }
    close_if_done(pool);
}

static const struct child_hooks child_hooks = {
    .ready = when_ready,
    .progress = when_progress,
    .log = when_log,
    .retry_after = when_retry_after,
    .failure = when_failure,
    .result = when_result,
    .outdated = when_outdated,
    .gone = when_gone,
};

static bool start_child(struct pool *pool)
{
    g_autofree char *problem = NULL;
    struct seat *seat = g_new0(struct seat, 1);
    seat->pool = pool;
    seat->child = child_new(&pool->settings, &child_hooks, seat, &problem);
    if (seat->child == NULL) {
        g_free(seat);
        on_failed_start(pool, problem);
        return false;
    }
    g_ptr_array_add(pool->seats, seat);
    pool->starting++;
    log_child(pool, LOG_DEBUG, "child-started", child_pid(seat->child), NULL);
    return true;
}

/* ---- Tasks that wait --------------------------------------------------------------------- */

static struct seat *take_idle(struct pool *pool)
{
    while (pool->idle->len > 0) {
        struct seat *seat = g_ptr_array_steal_index(pool->idle, pool->idle->len - 1);
        if (child_usable(seat->child)) {
            return seat;
        }
    }
    return NULL;
}

/* Gives waiting tasks to idle children, and starts as many children as are missing. A failed
 * start is tried again by the timer, not by whatever happens next. */
static void serve_pending(struct pool *pool)
{
    struct seat *seat;
    if (pool->resting && pool->idle->len > 0) {
        set_resting(pool, false);
    }
    while (pool->pending->len > 0 && (seat = take_idle(pool)) != NULL) {
        start_task(seat, g_ptr_array_steal_index(pool->pending, 0));
    }
    while (pool->pending->len > pool->starting && !uv_is_active((uv_handle_t *)&pool->rest) &&
           pool_children(pool) < pool->concurrency) {
        pool->hooks->grow(pool->owner);
        if (!start_child(pool)) {
            break;
        }
    }
}

void pool_process(struct pool *pool, ox_task *task)
{
    struct seat *seat = pool->pending->len == 0 ? take_idle(pool) : NULL;
    if (pool->giving_back || (pool->resting && seat == NULL)) {
        decline(pool, task);
    } else if (seat != NULL) {
        start_task(seat, task);
    } else {
        g_ptr_array_add(pool->pending, task);
        serve_pending(pool);
    }
}

bool pool_lock_lost(struct pool *pool, ox_task *task)
{
    struct run *run = ox_task_data(task);
    if (run != NULL && run->seat != NULL) {
        run->seat->ending = END_RELEASE;
        if (ox_task_cancelled(task)) { /* who did it wrote a row */
            child_kill(run->seat->child, FAILURE_CANCELLED, "the job was cancelled");
        } else {
            ox_task_log(task, LOCK_LOST);
            child_kill(run->seat->child, FAILURE_LOCK_LOST, LOCK_LOST);
        }
        return true;
    }
    if (!g_ptr_array_remove(pool->pending, task)) {
        return false;
    }
    ox_task_release(task);
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
    pool->concurrency = (uint32_t)settings_queue(settings, route->queue)->concurrency;
    uv_timer_init(loop, &pool->rest);
    pool->rest.data = pool;
    pool->settings = (struct child_settings){
        .loop = loop,
        .argv = settings_child_argv(route, getpid()),
        .env = settings_child_env(route),
        .words = settings_private_words(route),
        .start_timeout_ms = START_TIMEOUT_MS,
        .program = settings->handler_program,
        .memory_bytes = route->memory_bytes,
        .max_processes = route->max_processes,
        .queue = route->queue,
    };
    return pool;
}

void pool_shrink(struct pool *pool)
{
    if (pool->idle->len > 0) {
        struct seat *seat = g_ptr_array_steal_index(pool->idle, 0);
        child_retire(seat->child);
    }
}

void pool_give_back(struct pool *pool)
{
    pool->giving_back = true;
    decline_pending(pool);
    for (guint i = 0; i < pool->seats->len; i++) {
        struct seat *seat = g_ptr_array_index(pool->seats, i);
        if (seat->task != NULL && seat->ending == END_FAIL) {
            seat->ending = END_RELEASE;
        }
        if (seat->task != NULL) {
            child_kill(seat->child, FAILURE_STOPPED, "the worker stops");
        }
    }
}

void pool_abandon(struct pool *pool)
{
    g_ptr_array_set_size(pool->pending, 0);
    for (guint i = 0; i < pool->seats->len; i++) {
        struct seat *seat = g_ptr_array_index(pool->seats, i);
        child_kill(seat->child, FAILURE_STOPPED, "the worker stops");
        if (seat->task != NULL) {
            run_free(seat->run); /* nobody is told of its end */
            seat->run = NULL;
            seat->task = NULL;
            pool->busy--;
        }
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
    return pool->busy + pool->pending->len;
}

uint32_t pool_idle(const struct pool *pool)
{
    return pool->idle->len;
}

void pool_visit(const struct pool *pool,
    void (*visit)(const struct route_settings *route, const struct pool_slot *slot))
{
    uint64_t now_ns = uv_hrtime();
    for (guint i = 0; i < pool->seats->len; i++) {
        const struct seat *seat = g_ptr_array_index(pool->seats, i);
        struct pool_slot slot = { .pid = child_pid(seat->child), .ready = seat->ready };
        if (seat->task != NULL) {
            slot.job = ox_task_job(seat->task);
            slot.attempt = ox_task_attempt(seat->task);
            slot.running_ns = now_ns - seat->run->started_ns;
            slot.left_ms = child_left_ms(seat->child);
        }
        visit(pool->route, &slot);
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

static void finish_close(struct pool *pool)
{
    if (pool->seats->len == 0) {
        uv_close((uv_handle_t *)&pool->rest, on_timer_closed);
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
        child_retire(seat->child);
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
