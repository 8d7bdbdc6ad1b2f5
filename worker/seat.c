/*
 * seat.c - a child and what it runs; see seat.h.
 *
 * A run is only ended once its child answered or its whole process tree is dead, because
 * from then on the job may run elsewhere, and the two runs must not overlap.
 */
#include "seat.h"

#include <glib.h>
#include <string.h>

#include "child.h"
#include "settings.h"
#include "usage.h"

#define LEFT_TOO_OFTEN "handler killed: each new child left the job to the next one"
/* Files may be replaced while a child starts, but not each time: of the children that were
 * started after one had left a run, this one must not leave it, too, or it would never end. */
#define LEFT_MAX 3

struct seat {
    const struct route_settings *route; /* of the pool */
    const struct seat_hooks *hooks;
    void *owner;
    struct child *child;
    struct run *run; /* NULL: it does nothing */
    bool taken;      /* the run was taken away from the child: no attempt is spent */
    bool ready;      /* it was, at least once */
    uint32_t jobs;   /* given to this child so far */
    uint64_t started_ns;
};

void seat_log(
    const struct seat *seat, enum log_level level, const char *event, const char *reason)
{
    log_begin(level, event);
    log_place(&seat->route->place);
    log_number("pid", child_pid(seat->child));
    log_text("reason", reason);
    log_end();
}

/* ---- Ends of runs ------------------------------------------------------------------------ */

/* The run is its end's from now on. */
static struct run *leave_run(struct seat *seat)
{
    struct run *run = seat->run;
    run->seat = NULL;
    seat->run = NULL;
    return run;
}

/* Nothing in its log tells of a failure that is not the handler's own. */
static void fail_run(struct seat *seat, const char *reason, bool fatal)
{
    struct run *run = seat->run;
    if (run->kind != FAILURE_NONE) {
        run->type->log(run, reason);
    }
    g_autofree char *stack = g_strdup_printf(
        "%s\n    at %s (attempt %u)", reason, seat->route->handler, run->type->attempt(run));
    const ox_failure failure = { .reason = reason,
        .stack = stack,
        .unrecoverable = fatal,
        .min_delay_ms = run->retry_after_ms };
    run->type->fail(run, &failure);
}

static void end_run(struct seat *seat, enum handler_result result, const char *text)
{
    struct run *run = seat->run;
    run->ended_ns = uv_hrtime();
    if (result == HANDLER_DONE) {
        run->kind = run->type->complete(run, text) ? FAILURE_NONE : FAILURE_BAD_OUTPUT;
    } else {
        fail_run(seat, *text ? text : "failed", result == HANDLER_FATAL);
    }
    leave_run(seat);
}

static void end_dead_run(struct seat *seat, enum failure kind, const char *reason)
{
    struct run *run = seat->run;
    run->ended_ns = uv_hrtime();
    run->kind = kind;
    if (!seat->taken) {
        fail_run(seat, reason != NULL ? reason : "handler exited", false);
    } else {
        run->reason = g_strdup(reason);
        run->type->release(run);
    }
    leave_run(seat);
}

/* It did not run: of what was noted only that is kept. */
static struct run *give_up_run(struct seat *seat)
{
    struct run *run = leave_run(seat);
    run->started_ns = 0;
    run->retry_after_ms = 0;
    run->kind = FAILURE_NONE;
    return run;
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
    if (seat->run->type->progress(seat->run, json)) {
        return;
    }
    log_begin(LOG_WARN, "bad-progress");
    log_place(&seat->route->place);
    seat->run->type->describe(seat->run);
    log_end();
}

/* A child that says more than the server takes waits for it. */
static void when_log(void *owner, const char *row)
{
    struct seat *seat = owner;
    if (seat->run->type->log(seat->run, row)) {
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
    end_run(seat, result, text);
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
    seat->hooks->outdated(seat->owner, seat, give_up_run(seat));
}

static void when_gone(void *owner, enum failure kind, const char *reason)
{
    struct seat *seat = owner;
    if (seat->run != NULL) {
        end_dead_run(seat, kind, reason);
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

/* For how long it may run: the shorter one of the route's time and its own; 0: for ever. */
static uint32_t timeout_ms(const struct route_settings *route, const struct run *run)
{
    int64_t own = run->type->timeout_ms(run), most = route->timeout_ms;
    int64_t least = own > 0 && (most == 0 || own < most) ? own : most;
    return (uint32_t)MIN(least, UINT32_MAX);
}

void seat_start(struct seat *seat, struct run *run)
{
    const uint32_t timeout = timeout_ms(seat->route, run);
    struct frame_job out;
    run->type->write(run, &out);
    out.deadline_ms = timeout > 0 ? g_get_real_time() / 1000 + timeout : 0;
    seat->run = run;
    seat->taken = false;
    seat->jobs++;
    run->seat = seat;
    run->started_ns = uv_hrtime();
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
    return seat->run != NULL;
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
    if (seat->run != NULL) {
        run_free(seat->run); /* nobody is told of its end */
        seat->run = NULL;
    }
}

void seat_look(const struct seat *seat, struct seat_state *out)
{
    *out = (struct seat_state){ .pid = child_pid(seat->child), .ready = seat->ready };
    if (seat->run != NULL) {
        out->run = seat->run;
        out->running_ns = uv_hrtime() - seat->run->started_ns;
        out->left_ms = child_left_ms(seat->child);
    }
}

/* ---- What its consumer tells of a run ---------------------------------------------------- */

void seat_said(const struct run *run)
{
    if (run->seat != NULL) {
        child_hold(run->seat->child, false);
    }
}

bool seat_lock_lost(struct run *run)
{
    if (run->seat == NULL) {
        return false;
    }
    if (run->type->cancelled(run)) { /* who did it wrote a row */
        seat_take_away(run->seat, FAILURE_CANCELLED, "the job was cancelled");
    } else {
        run->type->log(run, run->type->lock_lost);
        seat_take_away(run->seat, FAILURE_LOCK_LOST, run->type->lock_lost);
    }
    return true;
}
