/*
 * stalled.h - stalled checks, and restoring jobs that are in no state.
 *
 * A stalled check goes through the active runs in steps, and returns those that have no lock at
 * the second check that sees them so.
 *
 * Of a job in no state the hash is there, but the id is in no list, so nobody would ever run
 * it. The stalled check finds those that it has marked; for all others the keys of the server
 * are looked through, a page after each check that was made. The script that finds a job also
 * moves it, so no job is seen between two states. See lua/inc/orphans.lua for what is taken for
 * a job.
 */
#ifndef OX_LIB_STALLED_H
#define OX_LIB_STALLED_H

#include "engine/setup.h"

struct ox__stalled {
    const struct ox__setup *setup;
    int64_t check_at_ms; /* boot clock; OX__NEVER */
    struct ox__request check;
    bool checking;    /* `check` is on its way */
    int64_t sent_ms;  /* when it was sent; boot clock */
    bool was_cut_off; /* since the connection was up before */
    bool stopped;
    struct ox__request restore;
    bool restoring;  /* `restore` is on its way */
    char cursor[24]; /* of its next page */
    char **told;     /* ids that were reported and left as they are */
    size_t told_count;
};

void ox__stalled_init(struct ox__stalled *stalled, const struct ox__setup *setup);
void ox__stalled_done(struct ox__stalled *stalled);
/* The connection is up; was lost. */
void ox__stalled_start(struct ox__stalled *stalled);
void ox__stalled_cut_off(struct ox__stalled *stalled);
/* No more checks. */
void ox__stalled_stop(struct ox__stalled *stalled);
/* When ox__stalled_tick() is to be called next, by the boot clock. */
int64_t ox__stalled_wake_ms(const struct ox__stalled *stalled);
void ox__stalled_tick(struct ox__stalled *stalled, int64_t now_ms);

#endif /* OX_LIB_STALLED_H */
