/* locks.c - the locks of running runs; see locks.h. */
#include "engine/locks.h"

#include <stdlib.h>

#define RENEW_BATCH 500
/* The first lock of a run that came behind a sleep lasts so long; a quarter of it later, it is
 * renewed. */
#define BRIEF_LOCK_MS 2000

/* ---- renewing ---------------------------------------------------------------------------- */

/* The runs of one renewal: they may end before the reply comes. */
struct renewal {
    struct ox__request request;
    struct ox__locks *locks;
    int64_t sent_ms; /* boot clock */
    size_t count;
    struct ox__run_ref runs[RENEW_BATCH];
};

/* Makes the next renewal renew all: whether this one was applied is not known. */
static void forget_renewals(struct ox__locks *locks)
{
    for (struct ox__run *run = locks->running->head; run != NULL; run = run->next) {
        run->lock.renewed_ms = OX__NOT_RENEWED;
    }
}

static bool renewal_fits(const struct ox__request *request, const redisReply *reply)
{
    const struct renewal *renewal = request->arg;
    return renewal->locks->setup->backend->renew_fits(renewal->locks->setup->self, reply);
}

static void note_doubts(const struct renewal *renewal, const redisReply *reply)
{
    const struct ox__locks *locks = renewal->locks;
    size_t index = 0;
    for (size_t i = 0; locks->setup->backend->renew_lost(locks->setup->self, reply, i, &index);
         i++) {
        struct ox__run *run =
            index < renewal->count ? ox__run_find(locks->running, &renewal->runs[index]) : NULL;
        if (run != NULL && !run->lock.lost) {
            run->lock.doubt = true;
        }
    }
}

/* The locks of the others last until so long after the renewal was sent, at least. */
static void note_locked(const struct renewal *renewal)
{
    for (size_t i = 0; i < renewal->count; i++) {
        struct ox__run *run = ox__run_find(renewal->locks->running, &renewal->runs[i]);
        if (run != NULL && !run->lock.doubt) {
            run->lock.held_ms = renewal->sent_ms;
        }
    }
}

static void on_renewed(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct renewal *renewal = request->arg;
    struct ox__locks *locks = renewal->locks;
    (void)err; /* the next renewal comes soon */
    if (reply == NULL) {
        forget_renewals(locks);
    } else {
        note_doubts(renewal, reply);
        if (locks->setup->fence) {
            note_locked(renewal);
        }
    }
    locks->on->doubted(locks->arg);
    ox__op_done(&request->op);
    free(renewal);
}

static void send_renewal(struct renewal *renewal)
{
    const struct ox__setup *setup = renewal->locks->setup;
    struct ox__op *op = &renewal->request.op;
    setup->backend->renew(setup->self, op, setup->lock_ms);
    for (size_t i = 0; i < renewal->count; i++) {
        setup->backend->renew_run(setup->self, op, renewal->runs[i].run);
    }
    ox_error err;
    renewal->sent_ms = ox__clock_boot_ms(setup->clock);
    if (ox__op_seal(op, &err) < 0) {
        on_renewed(&renewal->request, NULL, &err);
        return;
    }
    ox__link_send(setup->link, &renewal->request);
}

static struct renewal *new_renewal(struct ox__locks *locks)
{
    struct renewal *renewal = calloc(1, sizeof(*renewal));
    if (renewal != NULL) {
        renewal->locks = locks;
        renewal->request.done = on_renewed;
        renewal->request.fits = renewal_fits;
        renewal->request.arg = renewal;
    }
    return renewal;
}

static void renew(struct ox__locks *locks, int64_t now_ms)
{
    int64_t older_than = now_ms - ox__locks_young_ms(locks->setup);
    struct renewal *renewal = NULL;
    if (!ox__link_is_up(locks->setup->link)) {
        return;
    }
    locks->on->due(locks->arg);
    for (struct ox__run *run = locks->running->head; run != NULL; run = run->next) {
        if (run->lock.lost || run->lock.doubt || run->lock.open ||
            run->lock.renewed_ms > older_than) {
            continue;
        }
        if (renewal == NULL) {
            renewal = new_renewal(locks);
        }
        if (renewal == NULL) {
            return;
        }
        renewal->runs[renewal->count] = ox__run_refer(run);
        run->lock.renewed_ms = now_ms;
        if (++renewal->count == RENEW_BATCH) {
            send_renewal(renewal);
            renewal = NULL;
        }
    }
    if (renewal != NULL) {
        send_renewal(renewal);
    }
}

/* ---- open runs ----------------------------------------------------------------------------
 */

/* Lets those that have lasted for so long be locked, together with those that are about to. */
static void close_open(struct ox__locks *locks, int64_t now_ms)
{
    int64_t after_ms = locks->setup->lock_after_ms, next_ms = OX__NEVER;
    bool any = false;
    for (struct ox__run *run = locks->running->head; run != NULL; run = run->next) {
        if (!run->lock.open || run->lock.doubt || run->lock.lost) {
            continue;
        }
        int64_t at_ms = run->lock.held_ms + after_ms;
        if (at_ms <= now_ms + after_ms / 8) {
            run->lock.doubt = any = true;
        } else if (at_ms < next_ms) {
            next_ms = at_ms;
        }
    }
    locks->open_at_ms = next_ms;
    if (any) {
        locks->on->doubted(locks->arg);
    }
}

void ox__locks_note_open(struct ox__locks *locks, const struct ox__run *run)
{
    int64_t at_ms = run->lock.held_ms + locks->setup->lock_after_ms;
    locks->open_at_ms = at_ms < locks->open_at_ms ? at_ms : locks->open_at_ms;
}

/* Twice as long as without a lock; but checks for stalled runs may be as little apart as nine
 * tenths of their interval. */
uint32_t ox__locks_open_ms(const struct ox__setup *setup)
{
    uint64_t most_ms = (uint64_t)setup->stalled_interval_ms * 3 / 4;
    uint64_t ms = (uint64_t)setup->lock_after_ms * 2;
    return (uint32_t)(ms < most_ms ? ms : most_ms);
}

bool ox__locks_are_over(const struct ox__setup *setup, const struct ox__run *run)
{
    int64_t lasts_ms = run->lock.open ? ox__locks_open_ms(setup) : setup->lock_ms;
    return ox__clock_boot_ms(setup->clock) - run->lock.held_ms >= lasts_ms;
}

/* ---- cut off ----------------------------------------------------------------------------- */

/* Interval of the check whether locks are about to run out: short, and by a clock that counts
 * sleep, since timers do not. */
static uint32_t fence_ms(const struct ox__setup *setup)
{
    return setup->lock_ms / 20 + 1;
}

static struct ox__run *first_to_fence(const struct ox__locks *locks, int64_t now_ms)
{
    int64_t over_ms = now_ms + fence_ms(locks->setup) - locks->setup->lock_ms;
    struct ox__run *run = locks->running->head;
    while (run != NULL && (run->lock.lost || !run->theirs || run->lock.held_ms > over_ms)) {
        run = run->next;
    }
    return run;
}

static void fence(struct ox__locks *locks, int64_t now_ms)
{
    struct ox__run *run;
    bool on = true;
    while (on && (run = first_to_fence(locks, now_ms)) != NULL) {
        run->lock.fenced = run->lock.lost = true;
        on = locks->on->cut_off(locks->arg, run); /* the program may end any of them now */
    }
}

/* ---- times ------------------------------------------------------------------------------- */

int64_t ox__locks_young_ms(const struct ox__setup *setup)
{
    uint32_t renew_ms = setup->renew_ms, spare_ms = setup->lock_ms - renew_ms;
    return (spare_ms < renew_ms ? spare_ms : renew_ms) / 2;
}

uint32_t ox__locks_brief_ms(const struct ox__setup *setup)
{
    return setup->lock_ms < BRIEF_LOCK_MS ? setup->lock_ms : BRIEF_LOCK_MS;
}

void ox__locks_renew_brief(struct ox__locks *locks)
{
    if (locks->brief_at_ms == OX__NEVER) {
        locks->brief_at_ms =
            ox__clock_boot_ms(locks->setup->clock) + ox__locks_brief_ms(locks->setup) / 4;
    }
}

void ox__locks_start(struct ox__locks *locks)
{
    locks->renew_at_ms = ox__clock_boot_ms(locks->setup->clock);
}

void ox__locks_init(struct ox__locks *locks, const struct ox__setup *setup,
    const struct ox__run_list *running, const struct ox__locks_events *on, void *arg)
{
    locks->setup = setup;
    locks->running = running;
    locks->on = on;
    locks->arg = arg;
    locks->renew_at_ms = locks->brief_at_ms = locks->fence_at_ms = OX__NEVER;
    locks->open_at_ms = OX__NEVER;
    if (setup->fence) {
        locks->fence_at_ms = ox__clock_boot_ms(setup->clock) + fence_ms(setup);
    }
}

int64_t ox__locks_wake_ms(const struct ox__locks *locks)
{
    int64_t at =
        locks->renew_at_ms < locks->brief_at_ms ? locks->renew_at_ms : locks->brief_at_ms;
    at = at < locks->open_at_ms ? at : locks->open_at_ms;
    return at < locks->fence_at_ms ? at : locks->fence_at_ms;
}

void ox__locks_tick(struct ox__locks *locks, int64_t now_ms)
{
    bool due = false;
    if (locks->fence_at_ms <= now_ms) {
        locks->fence_at_ms = now_ms + fence_ms(locks->setup);
        fence(locks, now_ms);
    }
    if (locks->open_at_ms <= now_ms) {
        close_open(locks, now_ms);
    }
    if (locks->brief_at_ms <= now_ms) {
        locks->brief_at_ms = OX__NEVER;
        due = true;
    }
    if (locks->renew_at_ms <= now_ms) {
        locks->renew_at_ms = now_ms + locks->setup->renew_ms;
        due = true;
    }
    if (due) {
        renew(locks, now_ms);
    }
}
