/* idle.c - sleeps on an empty queue, and wakes; see idle.h. */
#include "engine/idle.h"

#include "base/clock.h"
#include "base/error.h"

/* Longest single sleep: the layout's own bound. */
#define SLEEP_MAX_MS 10000
/* The rate limiter's pause is cut into pieces, so that delayed jobs are promoted meanwhile. */
#define LIMIT_SLEEP_MAX_MS 30000
/* Workers that do not hold the marker wake this much later: minimum and random part. */
#define LATE_MS 20
#define LATE_CHANCE_MS 80
#define TICK_MS 2

/* ---- times ------------------------------------------------------------------------------- */

/* Sets the time of the next thing that is known to come. */
static void set_wake(struct ox__idle *idle)
{
    const struct ox__server_clock *clock = idle->setup->clock;
    int64_t now_ms = ox__clock_boot_ms(clock), wait_ms;
    if (idle->limited_until_ms != 0) {
        wait_ms = idle->limited_until_ms - now_ms;
        wait_ms = wait_ms < LIMIT_SLEEP_MAX_MS ? wait_ms : LIMIT_SLEEP_MAX_MS;
    } else if (idle->due_ms != 0) {
        wait_ms = idle->due_ms - ox__server_now_ms(clock);
        if (!idle->holds_marker) {
            wait_ms += LATE_MS + (int64_t)(now_ms + (intptr_t)idle / 64) % LATE_CHANCE_MS;
        }
    } else {
        idle->wake_at_ms = OX__NEVER;
        return;
    }
    idle->wake_at_ms = now_ms + (wait_ms > 0 ? wait_ms : 0);
    idle->setup->report.soon(idle->setup->report.arg);
}

static void wake(struct ox__idle *idle)
{
    idle->drained = false;
    idle->wakes++;
    idle->due_ms = 0;
    idle->setup->report.soon(idle->setup->report.arg);
}

int64_t ox__idle_wake_ms(const struct ox__idle *idle)
{
    return idle->wake_at_ms;
}

enum ox__idle_due ox__idle_tick(struct ox__idle *idle, int64_t now_ms)
{
    if (idle->wake_at_ms > now_ms) {
        return OX__IDLE_NOTHING;
    }
    idle->wake_at_ms = OX__NEVER;
    /* Clocks may differ by a tick: what is about to end has ended. */
    if (idle->limited_until_ms > now_ms + TICK_MS) {
        set_wake(idle);
        return OX__IDLE_PROMOTE;
    }
    idle->limited_until_ms = 0;
    wake(idle);
    return OX__IDLE_TAKE;
}

bool ox__idle_is_limited(const struct ox__idle *idle)
{
    return idle->limited_until_ms != 0 &&
           ox__clock_boot_ms(idle->setup->clock) < idle->limited_until_ms;
}

void ox__idle_look(struct ox__idle *idle)
{
    idle->drained = false;
}

void ox__idle_forget_limit(struct ox__idle *idle)
{
    idle->limited_until_ms = 0;
    idle->limits++;
}

void ox__idle_learn(struct ox__idle *idle, bool drained, int64_t limit_ms, int64_t due_ms)
{
    idle->drained = drained;
    if (limit_ms > 0) {
        limit_ms = limit_ms < OX__MAX_MS ? limit_ms : OX__MAX_MS;
        idle->limited_until_ms = ox__clock_boot_ms(idle->setup->clock) + limit_ms;
    }
    if (due_ms > 0 && !idle->holds_marker) {
        idle->due_ms = due_ms;
    }
    if (limit_ms > 0 || due_ms > 0) {
        set_wake(idle);
    }
}

void ox__idle_put_take(struct ox__idle *idle, struct ox__take *take, int64_t now_ms)
{
    bool takes = take->want > 0;
    take->popped = takes && idle->holds_marker ? OX__POPPED_YES : OX__POPPED_NO;
    /* A call that takes nothing looks only if it was sent for that. */
    take->look = !takes || now_ms != idle->looked_ms;
    if (takes) {
        idle->holds_marker = false;
        idle->looked_ms = now_ms;
    }
}

/* ---- sleeping ---------------------------------------------------------------------------- */

static void due_at(struct ox__idle *idle, int64_t due_ms)
{
    idle->due_ms = idle->due_ms != 0 && idle->due_ms < due_ms ? idle->due_ms : due_ms;
    set_wake(idle);
}

/* For an engine that cannot sleep on the marker: it polls. */
static void look_later(struct ox__idle *idle)
{
    int64_t at = ox__server_now_ms(idle->setup->clock) + idle->setup->drain_delay_ms;
    if (idle->due_ms == 0 || idle->due_ms > at) {
        idle->due_ms = at;
        set_wake(idle);
    }
}

/* A take that runs behind the wait acts, but the time is kept here; and it did not know that
 * the marker has to be put back for the others, which the next one does. */
static void keep_marker(struct ox__idle *idle, const struct ox__marker *marker, bool behind)
{
    bool due = marker->now || marker->due_ms <= ox__server_now_ms(idle->setup->clock);
    if (behind && marker->now) {
        return;
    }
    idle->holds_marker = idle->holds_marker || !marker->now;
    if (!due) {
        due_at(idle, marker->due_ms);
    } else if (behind) {
        idle->wakes++;
    } else {
        wake(idle);
    }
}

static void report_wait(const struct ox__idle *idle, const ox_error *err)
{
    ox_error odd;
    if (err == NULL) {
        ox__misfit(idle->setup, &idle->wait.op, &odd);
    }
    ox__report(idle->setup, NULL, err != NULL ? err : &odd);
}

static bool wait_fits(const struct ox__request *request, const redisReply *reply)
{
    const struct ox__idle *idle = request->arg;
    return idle->setup->backend->sleep_fits(idle->setup->self, reply);
}

static void on_waited(struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct ox__idle *idle = request->arg;
    bool behind = idle->on->take_behind(idle->arg);
    bool fits = reply != NULL && wait_fits(request, reply);
    struct ox__marker marker;
    idle->waiting = false;
    if (fits && idle->setup->backend->woken(idle->setup->self, reply, &marker)) {
        if (idle->on->popped(idle->arg, &marker)) {
            keep_marker(idle, &marker, behind);
        }
    } else if (behind && (fits || ox__is_loss(err))) {
        idle->wakes++; /* what the take behind it finds is not the last word */
    } else if (!fits && !ox__is_loss(err)) {
        /* A server that cannot block, a key of the wrong type, a user that may not: poll. */
        report_wait(idle, err);
        look_later(idle);
    } else {
        wake(idle);
    }
}

/* How long the server may hold a sleep. Half a lock time at most: when this worker loses its
 * connection, the take behind the sleep then runs, with nobody to read its reply, before the
 * locks of its running jobs have run out. Else it could take one of those, and a job would
 * stall twice by one loss. */
static uint32_t sleep_ms(const struct ox__setup *setup)
{
    uint32_t ms = setup->drain_delay_ms, half_lock_ms = setup->lock_ms / 2;
    ms = ms > SLEEP_MAX_MS ? SLEEP_MAX_MS : ms;
    return ms > half_lock_ms ? half_lock_ms : ms;
}

uint32_t ox__idle_sleep(struct ox__idle *idle)
{
    const struct ox__setup *setup = idle->setup;
    if (!idle->drained || idle->waiting || !ox__link_is_up(setup->link)) {
        return 0;
    }
    if (!ox__link_is_up(setup->sleep)) {
        look_later(idle);
        return 0;
    }
    uint32_t ms = sleep_ms(setup);
    setup->backend->sleep(setup->self, &idle->wait.op, ms);
    idle->wait.timeout_ms = ms + 1000;
    if (ox__op_seal(&idle->wait.op, NULL) < 0) {
        look_later(idle);
        return 0;
    }
    idle->waiting = true;
    ox__link_send(setup->sleep, &idle->wait);
    /* Not beside a timer, which needs free slots when it fires. */
    bool free = setup->clock->known && idle->due_ms == 0 && !idle->holds_marker;
    return free ? ms : 0;
}

void ox__idle_init(struct ox__idle *idle, const struct ox__setup *setup,
    const struct ox__idle_events *on, void *arg)
{
    idle->setup = setup;
    idle->on = on;
    idle->arg = arg;
    idle->wake_at_ms = OX__NEVER;
    idle->wait.done = on_waited;
    idle->wait.fits = wait_fits;
    idle->wait.arg = idle;
}

void ox__idle_done(struct ox__idle *idle)
{
    ox__op_done(&idle->wait.op);
}
