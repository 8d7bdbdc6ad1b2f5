/*
 * fetch.h - runs that were taken without what they are about, which plain commands read: all
 * that a script reads is copied into Lua and out of it, which costs a server more than a
 * command of its own does, and for what is large four times as much.
 *
 * When the reply to such a take has come, its runs are read, all in one write. A run is `apart`
 * until its reply is there: it is on the list of running runs, its lock is renewed, but it has
 * not begun, nobody may free it, and nothing is claimed for it, since what names it may not be
 * known.
 */
#ifndef OX_LIB_FETCH_H
#define OX_LIB_FETCH_H

#include "engine/run.h"
#include "engine/setup.h"

struct ox__fetch;

struct ox__fetches {
    const struct ox__setup *setup;
    /* A run is whole; or it was not `fetched`: it is gone, or `err` says why. */
    void (*fetched)(void *arg, struct ox__run *run, bool fetched, const ox_error *err);
    void *arg;
    struct ox__fetch *spare; /* to use again, a list */
};

/* Asks for a run that is apart. */
void ox__fetches_send(struct ox__fetches *fetches, struct ox__run *run);
void ox__fetches_done(struct ox__fetches *fetches);

#endif /* OX_LIB_FETCH_H */
