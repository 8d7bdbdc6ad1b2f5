/* calls.c - the calls of an engine in flight; see calls.h. */
#include "engine/calls.h"

#include "base/error.h"
#include "engine/locks.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* A call that asks for as many is one of a busy engine, when more wait. */
#define BUSY_WANT 8

/* ---- what came --------------------------------------------------------------------------- */

static void note_refusals(struct ox__call *call, const redisReply *reply)
{
    struct ox__refusal refusal;
    size_t i = 0;
    while (
        call->calls->setup->backend->refused(call->calls->setup->self, reply, &i, &refusal)) {
        struct ox__run *run = call->ends.head;
        for (long long j = 1; j < refusal.index && run != NULL; j++) {
            run = run->next;
        }
        if (run != NULL) {
            run->end.refusal = refusal.number;
            run->end.refused = refusal.reply;
        }
    }
}

/* Reports each run that the call carried. False when the owner has stopped. */
static bool tell_ends(struct ox__call *call)
{
    struct ox__calls *calls = call->calls;
    bool on = true;
    while (on && call->ends.head != NULL) {
        struct ox__run *run = call->ends.head;
        ox__run_list_remove(&call->ends, run);
        on = calls->on->answered(calls->arg, call, run);
    }
    return on;
}

/* Learns the server's clock, unless the server did something else between the sending and the
 * take. Returns the time that it gave to the runs that it started. */
static int64_t learn_clock(const struct ox__call *call, int64_t server_us)
{
    struct ox__server_clock *clock = call->calls->setup->clock;
    if (server_us <= 0) {
        return call->server_ms; /* it was not asked for its time, or may not be */
    }
    if (call != &call->calls->behind && !call->request.resent) {
        ox__server_clock_sample(clock, call->sent_us, clock->boot_us(), server_us);
    } else {
        ox__server_clock_told(clock, server_us);
    }
    return server_us / 1000;
}

/* Records what is known of the lock of a run that was just taken. The reply may have been read
 * late, by a process that was stopped or a machine that slept: a lock that may have run out by
 * now is in doubt, and the run starts once it is known to be ours; see claim.h. */
static void note_lock(
    const struct ox__call *call, struct ox__run *run, int64_t now_ms, int64_t started_ms)
{
    const struct ox__setup *setup = call->calls->setup;
    memcpy(run->token, call->token, sizeof(run->token));
    run->lock.held_ms = run->lock.renewed_ms = call->sent_us / 1000;
    if (call == &call->calls->behind) { /* renewed soon, if the run lasts so long */
        run->lock.renewed_ms = OX__NOT_RENEWED;
        run->lock.held_ms = ox__server_clock_boot_ms(setup->clock, started_ms * 1000) +
                            call->lock_ms - setup->lock_ms;
    }
    int64_t lasts_ms = setup->lock_ms;
    if (call->lock_ms == 0) {
        lasts_ms = ox__locks_open_ms(setup);
        run->lock.open = true;
        run->lock.until_ms = started_ms + lasts_ms;
    }
    run->lock.doubt = run->lock.starts = now_ms - run->lock.held_ms >= lasts_ms;
}

/* Reports the runs that were taken: no more than there are slots for, however many the reply
 * has. Returns 0 or OX_EREPLY. */
static int tell_taken(struct ox__call *call, const redisReply *reply, int64_t started_ms)
{
    struct ox__calls *calls = call->calls;
    const struct ox__setup *setup = calls->setup;
    int64_t now_ms = ox__clock_boot_ms(setup->clock);
    bool ends = call->request.keep;
    struct ox__taking at = { .left = call->want };
    struct ox__taken taken;
    int rc;
    while (
        (rc = setup->backend->taken(setup->self, reply, ends, &at, started_ms, &taken)) > 0) {
        if (taken.run == NULL) {
            if (!setup->report.error(setup->report.arg, taken.id, &taken.err)) {
                return 0;
            }
            continue;
        }
        note_lock(call, taken.run, now_ms, started_ms);
        if (!calls->on->taken(calls->arg, call, taken.run)) {
            return 0;
        }
    }
    return rc;
}

static int read_answer(struct ox__call *call, const redisReply *reply)
{
    struct ox__calls *calls = call->calls;
    const struct ox__setup *setup = calls->setup;
    bool ends = call->request.keep;
    struct ox__takings takings;
    ox_error err;
    if (ends) {
        note_refusals(call, reply);
        if (!tell_ends(call)) {
            return 0;
        }
    }
    if (setup->backend->takings(setup->self, reply, ends, &takings, &err) < 0) {
        /* Behind ends that were stored. */
        ox__report(setup, NULL, &err);
        ox__idle_learn(calls->idle, true, 0, 0);
        return 0;
    }
    int64_t started_ms = learn_clock(call, takings.server_us);
    if (call->want > 0) {
        calls->backlog = takings.unsure;
        /* Work that was announced while the call was on its way may have come too late for
         * it: then "nothing there" is no reason to sleep. */
        bool limit_changed = call->limits != calls->idle->limits;
        bool drained = !takings.unsure && call->wakes == calls->idle->wakes && !limit_changed;
        ox__idle_learn(
            calls->idle, drained, limit_changed ? 0 : takings.limit_ms, takings.due_ms);
    }
    return tell_taken(call, reply, started_ms);
}

/* ---- calls ------------------------------------------------------------------------------- */

/* The reply has the token of its call: else the runs of one call could run under the lock of
 * another. */
static bool call_fits(const struct ox__request *request, const redisReply *reply)
{
    const struct ox__call *call = request->arg;
    return call->calls->setup->backend->call_fits(
        call->calls->setup->self, reply, request->keep, call->token);
}

static void on_call_done(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct ox__call *call = request->arg;
    struct ox__calls *calls = call->calls;
    bool behind = call == &calls->behind;
    ox_error odd;
    calls->wanted -= call->want;
    calls->busy -= behind ? 0 : 1;
    if (reply != NULL && (!call_fits(request, reply) || read_answer(call, reply) < 0)) {
        ox__misfit(calls->setup, &request->op, &odd);
        ox__report(calls->setup, NULL, &odd);
        ox__idle_learn(calls->idle, true, 0, 0);
        calls->on->unknown(calls->arg, &call->ends, &odd);
    } else if (err != NULL && err->code != OX_ECLOSED && err->code != OX_ELOST) {
        ox__report(calls->setup, NULL, err);
        /* The server cannot do it now; the call is retried, but not in a tight loop. */
        ox__idle_learn(calls->idle, true, 0, 0);
    } else if (err != NULL && behind) {
        calls->on->sleep_lost(calls->arg);
    }
    if (call->want > 0 && (err != NULL ? ox__is_loss(err) : request->resent)) {
        calls->on->take_lost(calls->arg, call->token);
    }
    calls->on->unknown(calls->arg, &call->ends, err);
    call->busy = false;
    calls->on->over(calls->arg);
}

/* Fills what a call asks for, and notes when. */
static void begin(struct ox__call *call, struct ox__take *take)
{
    struct ox__calls *calls = call->calls;
    const struct ox__setup *setup = calls->setup;
    bool behind = call == &calls->behind;
    int error_ms;
    snprintf(call->token, sizeof(call->token), "%s:%llu", calls->uuid,
        (unsigned long long)++calls->takes);
    call->sent_us = setup->clock->boot_us();
    call->server_ms = ox__server_clock_give_ms(setup->clock, &error_ms);
    call->wakes = calls->idle->wakes;
    call->limits = calls->idle->limits;
    call->lock_ms = behind                     ? ox__locks_brief_ms(setup)
                    : setup->lock_after_ms > 0 ? 0
                                               : setup->lock_ms;
    /* With nothing to do there is time to ask; a take behind a sleep comes later; and whether
     * a run may end without a lock is for the server to say. */
    bool sure = !behind && !calls->idle->drained && setup->lock_after_ms == 0;
    *take = (struct ox__take){ .now_ms = call->server_ms,
        .error_ms = sure ? error_ms : -1,
        .want = call->want,
        .token = call->token,
        .lock_ms = call->lock_ms,
        .popped = OX__POPPED_UNKNOWN,
        .look = true,
        .busy = calls->backlog && call->want >= BUSY_WANT };
    if (!behind) {
        ox__idle_put_take(calls->idle, take, call->sent_us / 1000);
    }
}

static struct ox__call *free_call(struct ox__calls *calls)
{
    for (uint32_t i = 0; i < calls->setup->calls; i++) {
        if (!calls->call[i].busy) {
            return &calls->call[i];
        }
    }
    return NULL;
}

void ox__calls_send(struct ox__calls *calls, struct ox__ends *ends, uint32_t want)
{
    const struct ox__setup *setup = calls->setup;
    struct ox__call *call = ox__link_is_up(setup->link) ? free_call(calls) : NULL;
    struct ox__take take;
    if (call == NULL) {
        return;
    }
    call->busy = true;
    call->want = want;
    call->request.keep = ends->runs.count > 0;
    begin(call, &take);
    if (call->request.keep) {
        setup->backend->end(
            setup->self, &call->request.op, &take, ends, setup->batch, &call->ends);
    } else {
        setup->backend->take(setup->self, &call->request.op, &take);
    }
    calls->wanted += want;
    calls->busy++;
    ox_error err;
    if (ox__op_seal(&call->request.op, &err) < 0) {
        on_call_done(&call->request, NULL, &err);
        return;
    }
    ox__link_send(setup->link, &call->request);
}

void ox__calls_send_behind(struct ox__calls *calls, uint32_t sleep_ms)
{
    const struct ox__setup *setup = calls->setup;
    struct ox__call *call = &calls->behind;
    struct ox__take take;
    call->want = 1;
    begin(call, &take);
    setup->backend->take(setup->self, &call->request.op, &take);
    if (ox__op_seal(&call->request.op, NULL) < 0) {
        return; /* without it, the engine takes when it is awake */
    }
    call->busy = true;
    uint64_t patience_ms = (uint64_t)sleep_ms + setup->command_timeout_ms;
    call->request.timeout_ms = patience_ms < UINT32_MAX ? (uint32_t)patience_ms : UINT32_MAX;
    calls->wanted += call->want;
    ox__link_send(setup->sleep, &call->request);
}

void ox__calls_keep_end(const struct ox__call *call, struct ox__run *run)
{
    const struct ox__setup *setup = call->calls->setup;
    struct ox__buf *out = &run->end.kept;
    ox__buf_done(out);
    if (run->end.skipped > 0) {
        setup->backend->end_head(setup->self, out, run);
    }
    ox__buf_put(
        out, call->request.op.bytes.data + run->end.sent_at, run->end.len - run->end.skipped);
    assert(out->failed || out->len == run->end.len);
    if (out->failed) {
        ox__buf_done(out);
    }
}

/* ---- when, and how much ------------------------------------------------------------------ */

/* The size from which a further call in parallel is worth it: calls share the slots. */
uint32_t ox__calls_share(const struct ox__setup *setup)
{
    uint32_t part = setup->concurrency / 2;
    part = part > setup->batch ? setup->batch : part;
    return part > 0 ? part : 1;
}

int64_t ox__calls_worth(const struct ox__calls *calls, uint32_t ends, uint32_t free_slots)
{
    const struct ox__setup *setup = calls->setup;
    uint32_t want = free_slots > setup->batch ? setup->batch : free_slots;
    if (calls->busy >= setup->calls || (ends == 0 && (want == 0 || calls->idle->drained))) {
        return -1;
    }
    if (calls->busy > 0) {
        if ((ends > 0 ? ends : want) < ox__calls_share(setup)) {
            return -1;
        }
        want = want > ox__calls_share(setup) ? ox__calls_share(setup) : want;
    }
    return want;
}

/* ---- start ------------------------------------------------------------------------------- */

static void make_uuid(struct ox__calls *calls)
{
    unsigned char bytes[16];
    size_t n = (size_t)snprintf(calls->uuid, sizeof(calls->uuid), OX__TOKEN_PREFIX);
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        int64_t seed[2] = { calls->setup->clock->wall_us(), (int64_t)(uintptr_t)calls };
        memcpy(bytes, seed, sizeof(bytes));
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        n += (size_t)snprintf(calls->uuid + n, sizeof(calls->uuid) - n, "%02x", bytes[i]);
    }
}

static void init_call(struct ox__calls *calls, struct ox__call *call)
{
    call->calls = calls;
    call->request.done = on_call_done;
    call->request.fits = call_fits;
    call->request.arg = call;
}

void ox__calls_init(struct ox__calls *calls, const struct ox__setup *setup,
    struct ox__idle *idle, const struct ox__calls_events *on, void *arg)
{
    calls->setup = setup;
    calls->idle = idle;
    calls->on = on;
    calls->arg = arg;
    make_uuid(calls);
    for (size_t i = 0; i < OX__CALLS_MAX; i++) {
        init_call(calls, &calls->call[i]);
    }
    init_call(calls, &calls->behind);
}

void ox__calls_done(struct ox__calls *calls)
{
    for (size_t i = 0; i < OX__CALLS_MAX; i++) {
        ox__op_done(&calls->call[i].request.op);
    }
    ox__op_done(&calls->behind.request.op);
}
