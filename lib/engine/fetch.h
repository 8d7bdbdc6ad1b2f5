/*
 * fetch.h - what is large of runs that were taken, read by plain commands of its own: all that
 * a script reads is copied into Lua and out of it, which costs a server four times as much.
 *
 * A take tells only the sizes of such parts; when its reply has come, they are asked for, those
 * of all its runs in one write. The run is `apart` until its reply is there: it is on the list
 * of running runs, its lock is renewed, but it has not begun, and nobody may free it.
 */
#ifndef OX_LIB_FETCH_H
#define OX_LIB_FETCH_H

#include "engine/run.h"
#include "engine/setup.h"

struct ox__fetches {
    const struct ox__setup *setup;
    /* A run is whole; or the rest of it was not `fetched`: it is gone, or `err` says why. */
    void (*fetched)(void *arg, struct ox__run *run, bool fetched, const ox_error *err);
    void *arg;
};

/* Asks for what is apart of a run. */
void ox__fetches_send(struct ox__fetches *fetches, struct ox__run *run);

#endif /* OX_LIB_FETCH_H */
