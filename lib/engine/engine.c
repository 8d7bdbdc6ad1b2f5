/* engine.c - the owner of an engine's state; see engine.h. */
#include "engine/engine.h"

#include "base/error.h"

/* ---- closing ----------------------------------------------------------------------------- */

static void on_part_closed(void *arg)
{
    struct ox__engine *engine = arg;
    if (--engine->open == 0) {
        engine->on->closed(engine->arg);
    }
}

static void close_everything(struct ox__engine *engine)
{
    engine->state = OX__ENGINE_CLOSED; /* from here on no part may look at a link */
    ox__turn_close(&engine->turn);
    ox__link_close(engine->setup.sleep, on_part_closed, engine);
    ox__link_close(engine->setup.link, on_part_closed, engine);
}

static bool is_drained(const struct ox__engine *engine)
{
    return engine->running.count == 0 && engine->ends.runs.count == 0 &&
           engine->claims.ended.count == 0 && engine->gone.count == 0 &&
           engine->calls.busy == 0 && !engine->calls.behind.busy && engine->claims.out == 0 &&
           engine->sides.out == 0;
}

/* Sends the backend's last request. False when it has none. */
static bool leave(struct ox__engine *engine)
{
    const struct ox__setup *setup = &engine->setup;
    bool can = setup->backend->leave != NULL && !engine->left && ox__link_is_up(setup->link);
    engine->left = true;
    struct ox__side *side = can ? ox__side_new(&engine->sides, NULL) : NULL;
    if (side != NULL) {
        setup->backend->leave(setup->self, &side->request.op);
        side->request.keep = false;
        ox__side_send(side);
    }
    return side != NULL;
}

/* Continues a close when nothing is left to wait for. */
static void finish_close(struct ox__engine *engine)
{
    if (engine->state == OX__ENGINE_DRAINING && is_drained(engine) && !leave(engine)) {
        close_everything(engine);
    }
}

/* ---- when to look ------------------------------------------------------------------------ */

static void pump(struct ox__engine *engine);

/* Schedules a check at the end of this turn of the loop. */
static void soon(void *arg)
{
    struct ox__engine *engine = arg;
    if (engine->state != OX__ENGINE_CLOSED) {
        ox__turn_soon(&engine->turn);
    }
}

/* Tells of the runs that ended without an end to send. */
static void tell_gone(struct ox__engine *engine)
{
    struct ox__run_list gone = engine->gone;
    engine->gone = (struct ox__run_list){ 0 };
    while (gone.head != NULL) {
        struct ox__run *run = gone.head;
        ox__run_list_remove(&gone, run);
        engine->on->dropped(engine->arg, run);
        engine->on->release(engine->arg, run);
    }
}

static void on_turn_ended(void *arg)
{
    struct ox__engine *engine = arg;
    tell_gone(engine);
    if (engine->claims.ask_soon && engine->state != OX__ENGINE_CLOSED) {
        ox__claims_ask(&engine->claims);
    }
    pump(engine);
    finish_close(engine);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void set_alarm(struct ox__engine *engine)
{
    int64_t at_ms =
        least(ox__locks_wake_ms(&engine->locks), ox__stalled_wake_ms(&engine->stalled));
    int64_t fine_us = ox__gather_wake_us(&engine->gather);
    if (!ox__turn_fine_alarm(&engine->turn, fine_us)) {
        at_ms = least(at_ms, fine_us / 1000 + 1);
    }
    ox__turn_alarm(&engine->turn, least(at_ms, ox__idle_wake_ms(&engine->idle)));
}

static void on_due(void *arg)
{
    struct ox__engine *engine = arg;
    int64_t now_ms = ox__clock_boot_ms(&engine->clock);
    ox__locks_tick(&engine->locks, now_ms);
    if (engine->state == OX__ENGINE_CLOSED) {
        return;
    }
    ox__stalled_tick(&engine->stalled, now_ms);
    if (ox__idle_tick(&engine->idle, now_ms) == OX__IDLE_PROMOTE) {
        ox__calls_send(&engine->calls, &engine->ends, 0);
    }
    pump(engine);
}

/* ---- taking ------------------------------------------------------------------------------ */

static bool takes(const struct ox__engine *engine)
{
    return engine->state == OX__ENGINE_RUNNING && !ox__idle_is_limited(&engine->idle);
}

static uint32_t free_slots(const struct ox__engine *engine)
{
    uint32_t used = engine->running.count + engine->calls.wanted;
    return used < engine->setup.concurrency ? engine->setup.concurrency - used : 0;
}

/* Ensures that the engine wakes: sleeps on the marker when there is nothing to do. */
static void sleep_if_idle(struct ox__engine *engine)
{
    if (engine->calls.behind.busy || !takes(engine) || free_slots(engine) == 0) {
        return;
    }
    uint32_t sleep_ms = ox__idle_sleep(&engine->idle);
    if (sleep_ms > 0) {
        ox__calls_send_behind(&engine->calls, sleep_ms);
    }
}

/* Whether the ends that wait are to wait for more: not when the call could also take more than
 * they make room for, nor when nothing waits to be taken. */
static bool gathers(struct ox__engine *engine, uint32_t slots)
{
    uint32_t ends = engine->ends.runs.count;
    bool busy = !engine->idle.drained && slots == ends;
    return ox__gather_wait(&engine->gather, busy ? ends : 0, ox__calls_share(&engine->setup),
        engine->running.tail, engine->clock.boot_us());
}

/* Sends the calls that are worth it now, and ensures that the engine wakes for the rest. */
static void pump(struct ox__engine *engine)
{
    bool waits = false;
    while (engine->state != OX__ENGINE_CLOSED && ox__link_is_up(engine->setup.link)) {
        uint32_t slots = takes(engine) ? free_slots(engine) : 0;
        int64_t want = ox__calls_worth(&engine->calls, engine->ends.runs.count, slots);
        waits = want >= 0 && gathers(engine, slots);
        if (want < 0 || waits) {
            break;
        }
        ox__calls_send(&engine->calls, &engine->ends, (uint32_t)want);
    }
    if (!waits) { /* what cannot be sent now needs no alarm */
        ox__gather_stop(&engine->gather);
    }
    sleep_if_idle(engine);
    set_alarm(engine);
}

/* This engine cannot act on the marker: puts it back for another one, so that none sleeps while
 * an item waits. */
static void return_marker(struct ox__engine *engine, const struct ox__marker *marker)
{
    const struct ox__setup *setup = &engine->setup;
    /* A close must not wait for a lost server; without the marker the other engines poll. */
    bool can = setup->backend->return_marker != NULL && ox__link_is_up(setup->link);
    struct ox__side *side = can ? ox__side_new(&engine->sides, NULL) : NULL;
    if (side != NULL) {
        setup->backend->return_marker(setup->self, &side->request.op, marker);
        side->request.keep = false;
        ox__side_send(side);
    }
}

static bool on_popped(void *arg, const struct ox__marker *marker)
{
    struct ox__engine *engine = arg;
    bool behind = engine->calls.behind.busy;
    if (behind && marker->now) {
        return true;
    }
    if (takes(engine) && (behind || free_slots(engine) > 0)) {
        return true;
    }
    return_marker(engine, marker);
    return false;
}

static bool is_take_behind(void *arg)
{
    const struct ox__engine *engine = arg;
    return engine->calls.behind.busy;
}

static void on_sleep_lost(void *arg)
{
    struct ox__engine *engine = arg;
    ox__idle_look(&engine->idle);
    if (engine->state != OX__ENGINE_CLOSED && !takes(engine)) {
        return_marker(engine, NULL);
    }
}

/* Ends a sleep and the take behind it, which the server will not run unless it has already.
 * False: there is no such sleep. */
static bool break_sleep(struct ox__engine *engine)
{
    if (engine->calls.behind.busy) {
        ox__link_renew(engine->setup.sleep);
    }
    return engine->calls.behind.busy;
}

static void begin(struct ox__engine *engine, struct ox__run *run)
{
    run->begun_us = engine->clock.boot_us();
    engine->on->begin(engine->arg, run);
}

static bool on_taken(void *arg, struct ox__call *call, struct ox__run *run)
{
    struct ox__engine *engine = arg;
    if (call == &engine->calls.behind) {
        ox__locks_renew_brief(&engine->locks);
    }
    if (run->lock.open) {
        ox__locks_note_open(&engine->locks, run);
    }
    ox__run_list_push(&engine->running, run);
    if (run->lock.starts) {
        engine->claims.ask_soon = true;
    }
    if (run->apart) {
        ox__fetches_send(&engine->fetches, run);
    } else if (!run->lock.starts) {
        begin(engine, run);
    }
    return engine->state != OX__ENGINE_CLOSED;
}

/* A run was read, maybe much later than it was taken, over another connection: then its lock is
 * in doubt. One that could not be read is dropped without an end; its lock runs out, and the
 * stalled check finds it. */
static void on_fetched(void *arg, struct ox__run *run, bool fetched, const ox_error *err)
{
    struct ox__engine *engine = arg;
    if (engine->state == OX__ENGINE_CLOSED) {
        return;
    }
    if (!fetched) {
        engine->on->unread(engine->arg, run, err);
    } else if (run->lock.doubt || ox__locks_are_over(&engine->setup, run)) {
        run->lock.doubt = run->lock.starts = true; /* once that is known, of all in one call */
        engine->claims.ask_soon = true;
        soon(engine);
    } else {
        begin(engine, run);
    }
}

static void on_take_lost(void *arg, const char *token)
{
    struct ox__engine *engine = arg;
    if (engine->state != OX__ENGINE_CLOSED) {
        ox__lost_add(&engine->lost, token);
        ox__lost_look(&engine->lost);
    }
}

static void on_pass_over(void *arg, struct ox__lost *lost)
{
    const struct ox__engine *engine = arg;
    ox__lost_pass_over(lost, &engine->running);
    ox__lost_pass_over(lost, &engine->ends.runs);
    ox__lost_pass_over(lost, &engine->claims.ended);
    for (uint32_t i = 0; i < engine->setup.calls; i++) {
        ox__lost_pass_over(lost, &engine->calls.call[i].ends);
    }
}

/* ---- ends -------------------------------------------------------------------------------- */

static void tell_stored(
    struct ox__engine *engine, struct ox__run *run, const ox_error *err, bool own)
{
    engine->on->stored(engine->arg, run, err, own);
    engine->on->release(engine->arg, run);
}

static void tell_all(struct ox__engine *engine, struct ox__run_list *list, const ox_error *err)
{
    ox_error closed;
    if (err == NULL && list->head != NULL) {
        ox__fail(&closed, OX_ECLOSED, "%s %s: the worker was closed",
            engine->setup.backend->words.source, engine->setup.name);
        err = &closed;
    }
    while (list->head != NULL) {
        struct ox__run *run = list->head;
        ox__run_list_remove(list, run);
        tell_stored(engine, run, err, false);
    }
}

static void on_unknown(void *arg, struct ox__run_list *runs, const ox_error *err)
{
    tell_all(arg, runs, err);
}

static void release_all(struct ox__engine *engine, struct ox__run_list *list)
{
    while (list->head != NULL) {
        struct ox__run *run = list->head;
        ox__run_list_remove(list, run);
        engine->on->release(engine->arg, run);
    }
}

static bool on_answered(void *arg, struct ox__call *call, struct ox__run *run)
{
    struct ox__engine *engine = arg;
    const struct ox__setup *setup = &engine->setup;
    bool resent = call->request.resent;
    int refusal = run->end.refusal;
    ox_error err;
    if (refusal == 0) {
        tell_stored(engine, run, NULL, true);
        return engine->state != OX__ENGINE_CLOSED;
    }
    if (engine->on->refused(engine->arg, run)) {
        return engine->state != OX__ENGINE_CLOSED;
    }
    setup->backend->explain(setup->self, run->id_text, refusal, run->end.refused, &err);
    if (setup->backend->in_doubt(setup->self, refusal, resent)) {
        ox__calls_keep_end(call, run);
        if (ox__claims_add_ended(&engine->claims, run, resent)) {
            return true;
        }
    }
    tell_stored(engine, run, &err, true);
    return engine->state != OX__ENGINE_CLOSED;
}

static void on_call_over(void *arg)
{
    struct ox__engine *engine = arg;
    if (engine->state == OX__ENGINE_CLOSED) {
        return;
    }
    if (engine->claims.ask_soon) {
        ox__claims_ask(&engine->claims);
    }
    pump(engine);
    finish_close(engine);
}

static void let_go(struct ox__engine *engine, struct ox__run *run)
{
    if (engine->state == OX__ENGINE_CLOSED) {
        engine->on->release(engine->arg, run);
    } else {
        ox__run_list_push(&engine->gone, run);
        soon(engine);
    }
}

struct ox__ends *ox__engine_end(struct ox__engine *engine, struct ox__run *run)
{
    run->theirs = run->lock.claiming = false;
    ox__gather_note(&engine->gather, run->begun_us, engine->clock.boot_us());
    ox__run_list_remove(&engine->running, run);
    if ((run->lock.lost && !run->lock.fenced) || engine->state == OX__ENGINE_CLOSED) {
        let_go(engine, run);
        return NULL;
    }
    ox__ends_begin(&engine->ends, run);
    return &engine->ends;
}

void ox__engine_end_written(struct ox__engine *engine, struct ox__run *run)
{
    if (ox__ends_commit(&engine->ends, run)) {
        soon(engine);
        return;
    }
    ox_error err;
    ox__fail_memory(&err);
    engine->on->error(engine->arg, run->id_text, &err);
    let_go(engine, run);
}

void ox__engine_drop(struct ox__engine *engine, struct ox__run *run)
{
    ox__run_list_remove(&engine->running, run);
    let_go(engine, run);
}

void ox__engine_reopen(struct ox__engine *engine, struct ox__run *run)
{
    run->end.refusal = 0;
    ox__run_list_push(&engine->running, run);
}

void ox__engine_limit(struct ox__engine *engine, int64_t duration_ms)
{
    ox__idle_learn(&engine->idle, true, duration_ms, 0);
}

/* ---- locks ------------------------------------------------------------------------------- */

/* The lock is lost for good: the run is to be stopped. What the backend says of it is told when
 * that is more than that another has the lock. */
static void lose(struct ox__engine *engine, struct ox__run *run)
{
    const struct ox__setup *setup = &engine->setup;
    const struct ox__words *words = &setup->backend->words;
    ox_error err;
    run->lock.lost = true;
    if (run->lock.fenced) {
        ox__fail(&err, OX_ELOCK,
            "%s %s, %s %s: no connection to Redis until the %s expired; the run is stopped",
            words->source, setup->name, words->item, run->id_text, words->lock);
    } else {
        setup->backend->explain(setup->self, run->id_text, run->lock.verdict, NULL, &err);
        if (err.code != OX_ECANCELLED) {
            ox__fail(&err, OX_ELOCK, "%s %s, %s %s: the %s was lost; it may run elsewhere",
                words->source, setup->name, words->item, run->id_text, words->lock);
        }
    }
    engine->on->error(engine->arg, run->id_text, &err);
    if (run->theirs && engine->state != OX__ENGINE_CLOSED) {
        engine->on->lock_lost(engine->arg, run);
    }
}

static bool on_claimed_running(void *arg, struct ox__run *run, int64_t verdict, int64_t sent_ms)
{
    struct ox__engine *engine = arg;
    if (verdict == OX__RUN_LOCKED) {
        run->lock.renewed_ms = ox__clock_boot_ms(&engine->clock);
        run->lock.held_ms = sent_ms;
        bool first = run->lock.open;
        run->lock.open = false;
        if (run->lock.starts) {
            run->lock.starts = false;
            begin(engine, run);
            return engine->state != OX__ENGINE_CLOSED;
        }
        if (!first) {
            engine->on->notice(engine->arg, OX_NOTICE_LOCKED_AGAIN, run->id_text);
        }
    } else if (verdict != OX__RUN_STORED) {
        run->lock.verdict = verdict;
        lose(engine, run);
    }
    if (engine->state != OX__ENGINE_CLOSED) {
        engine->on->claimed(engine->arg, run, verdict);
    }
    return engine->state != OX__ENGINE_CLOSED;
}

static bool on_claimed_ended(void *arg, struct ox__run *run, int64_t verdict)
{
    struct ox__engine *engine = arg;
    const struct ox__setup *setup = &engine->setup;
    ox_error err;
    if (verdict == OX__RUN_LOCKED && ox__ends_again(&engine->ends, run)) {
        return true; /* it is sent at the end of this turn */
    }
    if (verdict == OX__RUN_STORED) {
        tell_stored(engine, run, NULL, true);
        return engine->state != OX__ENGINE_CLOSED;
    }
    if (verdict == OX__RUN_LOCKED) {
        ox__fail_memory(&err);
    } else {
        setup->backend->explain(setup->self, run->id_text, verdict, NULL, &err);
    }
    tell_stored(engine, run, &err, true);
    return engine->state != OX__ENGINE_CLOSED;
}

static void on_locks_due(void *arg)
{
    struct ox__engine *engine = arg;
    ox__claims_ask(&engine->claims); /* what was lost of that on the way */
    ox__lost_look(&engine->lost);
}

static void on_doubted(void *arg)
{
    struct ox__engine *engine = arg;
    if (engine->state != OX__ENGINE_CLOSED) {
        ox__claims_ask(&engine->claims);
    }
}

static bool on_cut_off(void *arg, struct ox__run *run)
{
    struct ox__engine *engine = arg;
    lose(engine, run);
    return engine->state != OX__ENGINE_CLOSED;
}

void ox__engine_doubt(struct ox__engine *engine, struct ox__run *run)
{
    run->lock.doubt = true;
    ox__claims_ask(&engine->claims);
}

/* ---- reports of the parts ---------------------------------------------------------------- */

static bool on_error(void *arg, const char *id, const ox_error *err)
{
    struct ox__engine *engine = arg;
    engine->on->error(engine->arg, id, err);
    return engine->state != OX__ENGINE_CLOSED;
}

static bool on_notice(void *arg, int notice, const char *id)
{
    struct ox__engine *engine = arg;
    engine->on->notice(engine->arg, notice, id);
    return engine->state != OX__ENGINE_CLOSED;
}

static void on_work_waits(void *arg)
{
    struct ox__engine *engine = arg;
    ox__idle_look(&engine->idle);
    soon(engine);
}

static void on_up(void *arg)
{
    struct ox__engine *engine = arg;
    ox__idle_look(&engine->idle);
    engine->on->up(engine->arg);
    ox__locks_start(&engine->locks);
    ox__stalled_start(&engine->stalled);
    pump(engine);
}

static void on_down(void *arg, const ox_error *err)
{
    struct ox__engine *engine = arg;
    ox__stalled_cut_off(&engine->stalled);
    ox__server_clock_doubt(&engine->clock); /* the next server may be another one */
    engine->on->error(engine->arg, NULL, err);
}

/* The blocking connection is lost and restored with the other one, so it is not reported. */
static void on_sleep_up(void *arg)
{
    sleep_if_idle(arg);
}

static void on_sleep_down(void *arg, const ox_error *err)
{
    (void)arg;
    (void)err;
}

/* ---- life -------------------------------------------------------------------------------- */

static const struct ox__idle_events idle_events = { on_popped, is_take_behind };
static const struct ox__locks_events locks_events = { on_locks_due, on_doubted, on_cut_off };
static const struct ox__claims_events claims_events = { on_claimed_running, on_claimed_ended };
static const struct ox__calls_events calls_events = { .answered = on_answered,
    .taken = on_taken,
    .unknown = on_unknown,
    .take_lost = on_take_lost,
    .sleep_lost = on_sleep_lost,
    .over = on_call_over };

static void init_parts(struct ox__engine *engine)
{
    struct ox__setup *setup = &engine->setup;
    setup->clock = &engine->clock;
    setup->report = (struct ox__reports){ .error = on_error,
        .notice = on_notice,
        .work_waits = on_work_waits,
        .soon = soon,
        .arg = engine };
    ox__idle_init(&engine->idle, setup, &idle_events, engine);
    ox__calls_init(&engine->calls, setup, &engine->idle, &calls_events, engine);
    ox__locks_init(&engine->locks, setup, &engine->running, &locks_events, engine);
    ox__claims_init(&engine->claims, setup, &engine->running, &claims_events, engine);
    ox__lost_init(&engine->lost, setup, on_pass_over, engine);
    engine->fetches =
        (struct ox__fetches){ .setup = setup, .fetched = on_fetched, .arg = engine };
    ox__gather_init(&engine->gather);
    ox__stalled_init(&engine->stalled, setup);
    ox__sides_init(&engine->sides, setup);
}

/* Nothing of this can fail. */
static void start(struct ox__engine *engine)
{
    ox__turn_start(&engine->turn);
    engine->open = OX__TURN_HANDLES + 2;
    ox__link_start(engine->setup.link);
    ox__link_start(engine->setup.sleep);
}

int ox__engine_init(struct ox__engine *engine, uv_loop_t *loop,
    const struct ox__link_options *link, const char *sleep_name,
    const struct ox__engine_events *on, void *arg, ox_error *err)
{
    struct ox__link_options options = *link;
    engine->turn = (struct ox__turn){ .clock = &engine->clock,
        .ended = on_turn_ended,
        .due = on_due,
        .closed = on_part_closed,
        .arg = engine,
        .loop = loop };
    engine->on = on;
    engine->arg = arg;
    ox__server_clock_init(&engine->clock);
    init_parts(engine);
    options.up = on_up;
    options.down = on_down;
    options.arg = engine;
    int rc = ox__link_new(&engine->setup.link, loop, &options, err);
    if (rc < 0) {
        return rc;
    }
    options.client_name = sleep_name;
    options.up = on_sleep_up;
    options.down = on_sleep_down;
    rc = ox__link_new(&engine->setup.sleep, loop, &options, err);
    if (rc < 0) {
        ox__link_free(engine->setup.link);
        return rc;
    }
    start(engine);
    return 0;
}

void ox__engine_done(struct ox__engine *engine)
{
    tell_all(engine, &engine->ends.runs, NULL);
    tell_all(engine, &engine->claims.ended, NULL);
    tell_gone(engine);
    release_all(engine, &engine->running);
    ox__calls_done(&engine->calls);
    ox__ends_done(&engine->ends);
    ox__idle_done(&engine->idle);
    ox__lost_done(&engine->lost);
    ox__fetches_done(&engine->fetches);
    ox__stalled_done(&engine->stalled);
}

void ox__engine_pause(struct ox__engine *engine)
{
    if (engine->state == OX__ENGINE_RUNNING) {
        engine->state = OX__ENGINE_PAUSED;
        break_sleep(engine);
    }
}

void ox__engine_resume(struct ox__engine *engine)
{
    if (engine->state == OX__ENGINE_PAUSED) {
        engine->state = OX__ENGINE_RUNNING;
        on_work_waits(engine);
    }
}

void ox__engine_set_concurrency(struct ox__engine *engine, uint32_t concurrency)
{
    engine->setup.concurrency = concurrency;
    on_work_waits(engine);
}

void ox__engine_limit_changed(struct ox__engine *engine)
{
    ox__idle_forget_limit(&engine->idle);
    on_work_waits(engine);
}

uint32_t ox__engine_unstored(const struct ox__engine *engine)
{
    uint32_t count = engine->ends.runs.count + engine->claims.ended.count + engine->gone.count;
    for (uint32_t i = 0; i < engine->setup.calls; i++) {
        count += engine->calls.call[i].ends.count;
    }
    return count;
}

bool ox__engine_close(struct ox__engine *engine)
{
    if (engine->state == OX__ENGINE_DRAINING || engine->state == OX__ENGINE_CLOSED) {
        return false;
    }
    engine->state = OX__ENGINE_DRAINING;
    ox__stalled_stop(&engine->stalled);
    if (!break_sleep(engine) && engine->idle.waiting) {
        /* We may be popping a marker that nobody here will act on. */
        return_marker(engine, NULL);
    }
    soon(engine);
    return true;
}

bool ox__engine_abort(struct ox__engine *engine)
{
    if (engine->state == OX__ENGINE_CLOSED) {
        return false;
    }
    close_everything(engine);
    return true;
}
