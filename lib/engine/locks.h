/*
 * locks.h - the locks of running runs: when they are written, renewed, and when a run is
 * stopped because the connection is lost.
 *
 * A lock is renewed from a loop that runs no handler, so it is short: when this process dies,
 * its jobs run elsewhere within about two stalled checks. A renewal that is lost with the
 * connection is not sent again; the next one comes soon.
 *
 * With `lock_after_ms` a run is open at first: it has no lock, and may end so for
 * ox__locks_open_ms() after its take, by the server's clock. In that time no check can take it
 * for stalled: that needs two checks that see it active, and they are further apart. One that
 * lasts for lock_after_ms comes into doubt then, and the claim (claim.h) writes its lock; so
 * does one whose end comes too late.
 */
#ifndef OX_LIB_LOCKS_H
#define OX_LIB_LOCKS_H

#include "engine/setup.h"

struct ox__locks_events {
    /* It is time for renewals, and for claims and searches. */
    void (*due)(void *arg);
    /* Some runs may be in doubt now. */
    void (*doubted)(void *arg);
    /* The run is cut off; `lock.fenced` and `lost` are set. False: the owner has stopped. */
    bool (*cut_off)(void *arg, struct ox__run *run);
};

struct ox__locks {
    const struct ox__setup *setup;
    const struct ox__locks_events *on;
    void *arg;
    const struct ox__run_list *running; /* the owner's */
    int64_t renew_at_ms;                /* boot clock, as all of them; OX__NEVER */
    int64_t open_at_ms;                 /* when the next open run is to get its lock */
    int64_t brief_at_ms;                /* for the first, short locks of what a sleep brought */
    int64_t fence_at_ms;
};

void ox__locks_init(struct ox__locks *locks, const struct ox__setup *setup,
    const struct ox__run_list *running, const struct ox__locks_events *on, void *arg);
/* The connection is up. */
void ox__locks_start(struct ox__locks *locks);
/* A run came whose first lock lasts for ox__locks_brief_ms(). */
void ox__locks_renew_brief(struct ox__locks *locks);
/* An open run came. */
void ox__locks_note_open(struct ox__locks *locks, const struct ox__run *run);
/* When ox__locks_tick() is to be called next, by the boot clock. */
int64_t ox__locks_wake_ms(const struct ox__locks *locks);
void ox__locks_tick(struct ox__locks *locks, int64_t now_ms);

/* A lock this young lasts until the next renewal, and for a while. */
int64_t ox__locks_young_ms(const struct ox__setup *setup);
/* How long after its take a run may end without a lock. */
uint32_t ox__locks_open_ms(const struct ox__setup *setup);
/* Whether the lock of a run, or the time that it needs none, may be over by now. */
bool ox__locks_are_over(const struct ox__setup *setup, const struct ox__run *run);
/* How long the first lock of a run lasts that was taken behind a sleep. */
uint32_t ox__locks_brief_ms(const struct ox__setup *setup);

#endif /* OX_LIB_LOCKS_H */
