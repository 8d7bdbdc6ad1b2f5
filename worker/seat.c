/*
 * seat.c - a child and the task that it runs; see seat.h.
 *
 * A task is only ended once its child answered or its whole process tree is dead, because
 * from then on the job may run elsewhere, and the two runs must not overlap.
 */
#include "seat.h"

#include <glib.h>
#include <string.h>

#include "child.h"
#include "run.h"
#include "settings.h"
#include "usage.h"

#define LOCK_LOST "the job's lock was lost"
#define LEFT_TOO_OFTEN "handler killed: each new child left the job to the next one"
#define UNANSWERED_MAX 64 /* what a job may have on its way to the server before it waits */
/* Files may be replaced while a child starts, but not each time: of the children that were
 * started after one had left a task, this one must not leave it, too, or the task would never
 * end. */
#define LEFT_MAX 3

struct seat {
    const struct route_settings *route; /* of the pool */
    const struct seat_hooks *hooks;
    void *owner;
    struct child *child;
    ox_task *task;   /* NULL: it does nothing */
    struct run *run; /* of the task */
    bool taken;      /* the task was taken away from the child: no attempt is spent */
    bool ready;      /* it was, at least once */
    uint32_t jobs;   /* given to this child so far */
    uint64_t started_ns;
};

void seat_log(
    const struct seat *seat, enum log_level level, const char *event, const char *reason)
{
    log_begin(level, event);
    log_text("queue", seat->route->queue);
    log_number("pid", child_pid(seat->child));
    log_text("reason", reason);
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
        seat->route->handler, ox_task_attempt(seat->task));
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
    if (!seat->taken) {
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
}

/* It did not run: of its run only that is kept. */
static ox_task *give_up_task(struct seat *seat)
{
    ox_task *task = seat->task;
    *seat->run = (struct run){ .left_ns = seat->run->left_ns, .left = seat->run->left };
    leave_task(seat);
    return task;
}

/* ---- What the child tells ---------------------------------------------------------------- */

static void when_ready(void *owner)
{
    struct seat *seat = owner;
    seat->ready = true;
    seat_log(seat, LOG_DEBUG, "child-ready", NULL);
    seat->hooks->ready(seat->owner, seat);
}

static void when_progress(void *owner, const char *json)
{
    struct seat *seat = owner;
    if (ox_task_progress(seat->task, json) >= 0) {
        return;
    }
    log_begin(LOG_WARN, "bad-progress");
    run_log_job(seat->route->queue, ox_task_job(seat->task), ox_task_attempt(seat->task));
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

static void when_result(void *owner, enum handler_result result, const char *text)
{
    struct seat *seat = owner;
    end_task(seat, result, text);
    leave_task(seat);
    seat->hooks->ended(seat->owner, seat);
}

static void when_outdated(void *owner)
{
    struct seat *seat = owner;
    struct run *run = seat->run;
    if (run->left_ns == 0) {
        run->left_ns = uv_hrtime();
    } else if (seat->started_ns > run->left_ns && ++run->left >= LEFT_MAX) {
        child_kill(seat->child, FAILURE_BAD_OUTPUT, LEFT_TOO_OFTEN);
        return;
    }
    seat_log(seat, LOG_DEBUG, "child-outdated", "a file that it may read was replaced");
    seat->hooks->outdated(seat->owner, seat, give_up_task(seat));
}

static void when_gone(void *owner, enum failure kind, const char *reason)
{
    struct seat *seat = owner;
    if (seat->task != NULL) {
        finish_dead_task(seat, kind, reason);
        leave_task(seat);
    }
    seat->hooks->gone(seat->owner, seat, reason);
    g_free(seat);
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

/* ---- What the pool does with it ---------------------------------------------------------- */

struct seat *seat_new(const struct child_settings *settings, const struct route_settings *route,
    const struct seat_hooks *hooks, void *owner, char **problem)
{
    struct seat *seat = g_new0(struct seat, 1);
    seat->route = route;
    seat->hooks = hooks;
    seat->owner = owner;
    seat->started_ns = uv_hrtime();
    seat->child = child_new(settings, &child_hooks, seat, problem);
    if (seat->child == NULL) {
        g_free(seat);
        return NULL;
    }
    seat_log(seat, LOG_DEBUG, "child-started", NULL);
    return seat;
}

/* For how long a job may run: the shorter one of the route's time and its own; 0: for ever. */
static uint32_t timeout_ms(const struct route_settings *route, const ox_task *task)
{
    int64_t own = ox_task_timeout_ms(task), most = route->timeout_ms;
    int64_t least = own > 0 && (most == 0 || own < most) ? own : most;
    return (uint32_t)MIN(least, UINT32_MAX);
}

void seat_start(struct seat *seat, ox_task *task)
{
    const ox_job *job = ox_task_job(task);
    const char *name = ox_job_text(job, OX_JOB_NAME), *data = ox_job_text(job, OX_JOB_DATA);
    const uint32_t timeout = timeout_ms(seat->route, task);
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
    seat->taken = false;
    seat->run = ox_task_data(task); /* of one that a child has left */
    if (seat->run == NULL) {
        seat->run = g_new0(struct run, 1);
    }
    seat->run->seat = seat;
    seat->run->started_ns = uv_hrtime();
    seat->jobs++;
    ox_task_set_data(task, seat->run);
    child_run(seat->child, &out, timeout);
}

bool seat_usable(const struct seat *seat)
{
    return child_usable(seat->child);
}

bool seat_was_ready(const struct seat *seat)
{
    return seat->ready;
}

bool seat_is_busy(const struct seat *seat)
{
    return seat->task != NULL;
}

bool seat_is_worn(const struct seat *seat)
{
    const struct route_settings *route = seat->route;
    return (route->recycle > 0 && seat->jobs >= route->recycle) ||
           (route->recycle_bytes > 0 &&
               usage_is_above(child_pid(seat->child), route->recycle_bytes));
}

void seat_retire(struct seat *seat)
{
    child_retire(seat->child);
}

void seat_take_away(struct seat *seat, enum failure kind, const char *reason)
{
    seat->taken = true;
    child_kill(seat->child, kind, reason);
}

void seat_abandon(struct seat *seat)
{
    child_kill(seat->child, FAILURE_STOPPED, "the worker stops");
    if (seat->task != NULL) {
        run_free(seat->run); /* nobody is told of its end */
        seat->run = NULL;
        seat->task = NULL;
    }
}

void seat_look(const struct seat *seat, struct seat_state *out)
{
    *out = (struct seat_state){ .pid = child_pid(seat->child), .ready = seat->ready };
    if (seat->task != NULL) {
        out->job = ox_task_job(seat->task);
        out->attempt = ox_task_attempt(seat->task);
        out->running_ns = uv_hrtime() - seat->run->started_ns;
        out->left_ms = child_left_ms(seat->child);
    }
}

/* ---- What the worker tells of a task ----------------------------------------------------- */

static struct seat *seat_of(const ox_task *task)
{
    const struct run *run = ox_task_data(task);
    return run != NULL ? run->seat : NULL;
}

void seat_said(const ox_task *task)
{
    const struct seat *seat = seat_of(task);
    if (seat != NULL) {
        child_hold(seat->child, false);
    }
}

bool seat_lock_lost(ox_task *task)
{
    struct seat *seat = seat_of(task);
    if (seat == NULL) {
        return false;
    }
    if (ox_task_cancelled(task)) { /* who did it wrote a row */
        seat_take_away(seat, FAILURE_CANCELLED, "the job was cancelled");
    } else {
        ox_task_log(task, LOCK_LOST);
        seat_take_away(seat, FAILURE_LOCK_LOST, LOCK_LOST);
    }
    return true;
}
