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
#include "settings.h"

#define START_TIMEOUT_MS 30000
#define REST_FIRST_MS 1000
#define REST_MAX_MS 30000

/* What becomes of a task whose child dies. */
enum ending {
    END_FAIL,    /* an attempt is spent: it crashed, or hung */
    END_RELEASE, /* none is: it was taken away from the child */
    END_DROP     /* it is not ours any more */
};

struct seat {
    struct pool *pool;
    struct child *child;
    ox_task *task;
    enum ending ending;
    bool unknown_backoff; /* so its end was for good, although it had attempts left */
    uint64_t started_ns;
    uint32_t jobs; /* given to this child so far */
    bool ready;    /* it was, at least once */
};

struct pool {
    uv_loop_t *loop;
    const struct queue_settings *queue;
    struct child_settings settings;
    ox_worker *worker;
    GPtrArray *seats;
    GPtrArray *idle;    /* seats of children that wait; the last one is the warmest */
    GPtrArray *pending; /* tasks that wait, in order */
    uint32_t starting;  /* seats whose child is not ready */
    uint32_t busy;      /* seats with a task */
    uint32_t rest_ms;   /* the wait after the next failed start */
    uv_timer_t rest;
    bool resting; /* no child could be started */
    bool held;
    bool giving_back; /* tasks are released as they come */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

static void serve_pending(struct pool *pool);

/* ---- Log --------------------------------------------------------------------------------- */

/* What a line says of a task. How it ends is known only once it is ended, and then the task is
 * gone, so the texts are copies. */
struct label {
    char *id, *name;
    uint32_t attempt;
};

static struct label label_new(const ox_task *task)
{
    const ox_job *job = ox_task_job(task);
    return (struct label){ .id = g_strdup(ox_job_id(job)),
        .name = g_strdup(ox_job_text(job, OX_JOB_NAME)),
        .attempt = ox_task_attempt(task) };
}

static void label_done(struct label *label)
{
    g_free(label->id);
    g_free(label->name);
}

static void log_label(const struct pool *pool, const struct label *label)
{
    log_text("queue", pool->queue->queue);
    log_text("id", label->id);
    log_text("name", label->name);
    log_number("attempt", label->attempt);
}

static void log_end_of_task(const struct seat *seat, const struct label *label,
    enum log_level level, const char *event, const char *reason)
{
    log_begin(level, event);
    log_label(seat->pool, label);
    log_elapsed("ms", uv_hrtime() - seat->started_ns);
    log_text("reason", reason);
    log_end();
}

static void log_child(const struct pool *pool, enum log_level level, const char *event,
    pid_t pid, const char *reason)
{
    log_begin(level, event);
    log_text("queue", pool->queue->queue);
    log_number("pid", pid);
    log_text("reason", reason);
    log_end();
}

/* ---- Ends of tasks ----------------------------------------------------------------------- */

/* Called from within ox_task_fail(). */
int64_t pool_backoff(ox_task *task, const char *type, uint32_t made, void *arg)
{
    struct seat *seat = ox_task_data(task);
    (void)type, (void)made, (void)arg;
    seat->unknown_backoff = true;
    return -2;
}

static void fail_task(
    struct seat *seat, const struct label *label, const char *reason, bool fatal)
{
    g_autofree char *stack = g_strdup_printf(
        "%s\n    at %s (attempt %u)", reason, seat->pool->queue->handler, label->attempt);
    const ox_failure failure = { .reason = reason, .stack = stack, .unrecoverable = fatal };
    bool last = fatal || label->attempt >= ox_job_attempts(ox_task_job(seat->task));
    seat->unknown_backoff = false;
    ox_task_fail(seat->task, &failure);
    last = last || seat->unknown_backoff;
    log_end_of_task(seat, label, LOG_WARN, last ? "failed" : "retried", reason);
}

static void complete_task(struct seat *seat, const struct label *label, const char *json)
{
    if (ox_task_complete(seat->task, json) < 0)
        log_end_of_task(
            seat, label, LOG_WARN, "failed", "the handler's return value is not JSON");
    else
        log_end_of_task(seat, label, LOG_INFO, "completed", NULL);
}

static void end_task(struct seat *seat, enum handler_result result, const char *text)
{
    struct label label = label_new(seat->task);
    if (result == HANDLER_DONE)
        complete_task(seat, &label, *text ? text : NULL);
    else
        fail_task(seat, &label, *text ? text : "failed", result == HANDLER_FATAL);
    label_done(&label);
}

static void bury_task(struct seat *seat, const char *reason)
{
    struct label label = label_new(seat->task);
    if (seat->ending == END_FAIL) {
        fail_task(seat, &label, reason ? reason : "handler exited", false);
    } else {
        ox_task_release(seat->task);
        log_end_of_task(
            seat, &label, LOG_WARN, seat->ending == END_DROP ? "dropped" : "released", reason);
    }
    label_done(&label);
}

static void leave_task(struct seat *seat)
{
    seat->task = NULL;
    seat->pool->busy--;
}

/* ---- Children ---------------------------------------------------------------------------- */

static void start_task(struct seat *seat, ox_task *task)
{
    const ox_job *job = ox_task_job(task);
    const char *name = ox_job_text(job, OX_JOB_NAME), *data = ox_job_text(job, OX_JOB_DATA);
    const struct frame_job out = {
        .id = ox_job_id(job),
        .id_len = strlen(ox_job_id(job)),
        .name = name ? name : "",
        .name_len = name ? ox_job_length(job, OX_JOB_NAME) : 0,
        .data = data ? data : "{}",
        .data_len = data ? ox_job_length(job, OX_JOB_DATA) : 2,
        .attempt = ox_task_attempt(task),
    };
    seat->task = task;
    seat->ending = END_FAIL;
    seat->started_ns = uv_hrtime();
    seat->jobs++;
    seat->pool->busy++;
    ox_task_set_data(task, seat);
    child_run(seat->child, &out);
}

static void when_ready(void *owner)
{
    struct seat *seat = owner;
    struct pool *pool = seat->pool;
    seat->ready = true;
    pool->starting--;
    pool->rest_ms = REST_FIRST_MS;
    log_child(pool, LOG_DEBUG, "child-ready", child_pid(seat->child), NULL);
    g_ptr_array_add(pool->idle, seat);
    serve_pending(pool);
}

static void when_progress(void *owner, const char *json)
{
    struct seat *seat = owner;
    if (ox_task_progress(seat->task, json) >= 0)
        return;
    struct label label = label_new(seat->task);
    log_begin(LOG_WARN, "bad-progress");
    log_label(seat->pool, &label);
    log_end();
    label_done(&label);
}

static void when_log(void *owner, const char *row)
{
    struct seat *seat = owner;
    ox_task_log(seat->task, row);
}

static void when_result(void *owner, enum handler_result result, const char *text)
{
    struct seat *seat = owner;
    struct pool *pool = seat->pool;
    end_task(seat, result, text);
    leave_task(seat);
    if (!child_usable(seat->child))
        return;
    if (pool->queue->recycle > 0 && seat->jobs >= pool->queue->recycle)
        child_retire(seat->child);
    else
        g_ptr_array_add(pool->idle, seat);
    serve_pending(pool);
}

static void set_resting(struct pool *pool, bool resting)
{
    pool->resting = resting;
    if (!pool->worker)
        return;
    if (pool->resting || pool->held)
        ox_worker_pause(pool->worker);
    else
        ox_worker_resume(pool->worker);
}

static void release_pending(struct pool *pool)
{
    for (guint i = 0; i < pool->pending->len; i++)
        ox_task_release(g_ptr_array_index(pool->pending, i));
    g_ptr_array_set_size(pool->pending, 0);
}

static uint32_t usable_children(const struct pool *pool)
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
    if (pool->giving_back)
        return; /* no child is of use any more */
    if (pool->resting)
        start_child(pool); /* the taking goes on when it is ready */
    else
        serve_pending(pool);
}

/* A child died before it was ready, or was not even born. As long as others live they do the
 * work; without any, the jobs go back. */
static void on_failed_start(struct pool *pool, const char *reason)
{
    log_begin(LOG_ERROR, "start-failed");
    log_text("queue", pool->queue->queue);
    log_text("handler", pool->queue->handler);
    log_text("reason", reason);
    log_number("retry_ms", pool->rest_ms);
    log_end();
    uv_timer_start(&pool->rest, on_rested, pool->rest_ms, 0);
    pool->rest_ms = MIN(pool->rest_ms * 2, REST_MAX_MS);
    if (usable_children(pool) == 0) {
        set_resting(pool, true);
        release_pending(pool);
    }
}

static void finish_close(struct pool *pool);

static void when_gone(void *owner, const char *reason)
{
    struct seat *seat = owner;
    struct pool *pool = seat->pool;
    bool failed_start = !seat->ready && !pool->closing;
    g_ptr_array_remove_fast(pool->seats, seat);
    g_ptr_array_remove(pool->idle, seat);
    if (reason && seat->ready && !pool->closing)
        log_child(pool, LOG_WARN, "child-died", child_pid(seat->child), reason);
    else
        log_child(pool, LOG_DEBUG, "child-gone", child_pid(seat->child), reason);
    if (!seat->ready)
        pool->starting--;
    if (seat->task) {
        bury_task(seat, reason);
        leave_task(seat);
    }
    g_free(seat);
    if (failed_start)
        on_failed_start(pool, reason);
    else if (pool->closing)
        finish_close(pool);
    else
        serve_pending(pool);
}

static const struct child_hooks hooks = {
    .ready = when_ready,
    .progress = when_progress,
    .log = when_log,
    .result = when_result,
    .gone = when_gone,
};

static bool start_child(struct pool *pool)
{
    g_autofree char *problem = NULL;
    struct seat *seat = g_new0(struct seat, 1);
    seat->pool = pool;
    seat->child = child_new(&pool->settings, &hooks, seat, &problem);
    if (!seat->child) {
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
        if (child_usable(seat->child))
            return seat;
    }
    return NULL;
}

/* Gives waiting tasks to idle children, and starts as many children as are missing. A failed
 * start is tried again by the timer, not by whatever happens next. */
static void serve_pending(struct pool *pool)
{
    struct seat *seat;
    if (pool->resting && pool->idle->len > 0)
        set_resting(pool, false);
    while (pool->pending->len > 0 && (seat = take_idle(pool)))
        start_task(seat, g_ptr_array_steal_index(pool->pending, 0));
    while (pool->pending->len > pool->starting && !uv_is_active((uv_handle_t *)&pool->rest) &&
           usable_children(pool) < pool->queue->concurrency)
        if (!start_child(pool))
            break;
}

void pool_process(ox_task *task, void *arg)
{
    struct pool *pool = arg;
    struct seat *seat = pool->pending->len == 0 ? take_idle(pool) : NULL;
    if (pool->giving_back || (pool->resting && !seat)) {
        ox_task_release(task); /* it was on its way when the taking stopped */
    } else if (seat) {
        start_task(seat, task);
    } else {
        g_ptr_array_add(pool->pending, task);
        serve_pending(pool);
    }
}

void pool_lock_lost(ox_task *task, void *arg)
{
    struct pool *pool = arg;
    struct seat *seat = ox_task_data(task);
    if (seat) {
        seat->ending = END_DROP;
        child_kill(seat->child, "the job's lock was lost");
    } else {
        g_ptr_array_remove(pool->pending, task);
        ox_task_release(task);
    }
}

/* ---- Life -------------------------------------------------------------------------------- */

struct pool *pool_new(
    uv_loop_t *loop, const struct settings *settings, const struct queue_settings *queue)
{
    struct pool *pool = g_new0(struct pool, 1);
    pool->loop = loop;
    pool->queue = queue;
    pool->seats = g_ptr_array_new();
    pool->idle = g_ptr_array_new();
    pool->pending = g_ptr_array_new();
    pool->rest_ms = REST_FIRST_MS;
    uv_timer_init(loop, &pool->rest);
    pool->rest.data = pool;
    pool->settings = (struct child_settings){
        .loop = loop,
        .program = settings->handler_program,
        .argv = settings_child_argv(queue, getpid()),
        .env = settings_child_env(),
        .start_timeout_ms = START_TIMEOUT_MS,
        .job_timeout_ms = queue->timeout_ms,
        .queue = queue->queue,
    };
    return pool;
}

void pool_attach(struct pool *pool, ox_worker *worker)
{
    pool->worker = worker;
}

void pool_hold(struct pool *pool, bool hold)
{
    pool->held = hold;
    set_resting(pool, pool->resting);
}

void pool_give_back(struct pool *pool)
{
    pool->giving_back = true;
    release_pending(pool);
    for (guint i = 0; i < pool->seats->len; i++) {
        struct seat *seat = g_ptr_array_index(pool->seats, i);
        if (seat->task && seat->ending == END_FAIL)
            seat->ending = END_RELEASE;
        if (seat->task)
            child_kill(seat->child, "the worker stops");
    }
}

void pool_abandon(struct pool *pool)
{
    g_ptr_array_set_size(pool->pending, 0);
    for (guint i = 0; i < pool->seats->len; i++) {
        struct seat *seat = g_ptr_array_index(pool->seats, i);
        child_kill(seat->child, "the worker stops");
        if (seat->task)
            leave_task(seat);
    }
}

uint32_t pool_running(const struct pool *pool)
{
    return pool->busy + pool->pending->len;
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
    g_free(pool);
}

static void finish_close(struct pool *pool)
{
    if (pool->seats->len == 0)
        uv_close((uv_handle_t *)&pool->rest, on_timer_closed);
}

void pool_close(struct pool *pool, void (*closed)(void *arg), void *arg)
{
    pool->closing = true;
    pool->worker = NULL;
    pool->closed = closed;
    pool->closed_arg = arg;
    uv_timer_stop(&pool->rest); /* it would start a child that nobody sends home */
    for (guint i = 0; i < pool->seats->len; i++) {
        struct seat *seat = g_ptr_array_index(pool->seats, i);
        child_retire(seat->child);
    }
    finish_close(pool);
}
