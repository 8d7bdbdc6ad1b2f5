/*
 * engine.h - the owner: takes runs from the server, as many as there are slots, hands them to
 * the program, renews their locks, and sends their outcomes.
 *
 *   RUNNING <-> PAUSED    takes more or not; what runs goes on
 *      |          |
 *      v          v
 *       DRAINING          takes nothing more, waits for what runs
 *           |
 *           v
 *        CLOSED           all handles and links are being closed, no callbacks
 *
 * This file alone knows the state. Each of its parts has a struct of its own and returns what
 * happened: calls.h (calls on their way), ends.h (ends that wait for one), gather.h (whether
 * they wait for more), idle.h (sleeping and waking), locks.h, claim.h, lost.h, fetch.h,
 * stalled.h, side.h, turn.h. All of them ask the server through a backend, so the same engine
 * can serve anything that is taken under a lock.
 *
 * Time comes from the clock, and all that is to happen at some time from one timer: the parts
 * say when they want to be looked at, by the clock that counts sleep.
 *
 * A close waits, in this order, for running runs, for their ends to be stored, for calls and
 * other requests in flight; then handles and links close, and when the last of them is gone
 * `closed` is called. An abort goes straight to the handles.
 */
#ifndef OX_LIB_ENGINE_H
#define OX_LIB_ENGINE_H

#include "engine/calls.h"
#include "engine/claim.h"
#include "engine/ends.h"
#include "engine/fetch.h"
#include "engine/gather.h"
#include "engine/idle.h"
#include "engine/locks.h"
#include "engine/lost.h"
#include "engine/side.h"
#include "engine/stalled.h"
#include "engine/turn.h"

enum ox__engine_state {
    OX__ENGINE_RUNNING,
    OX__ENGINE_PAUSED,
    OX__ENGINE_DRAINING,
    OX__ENGINE_CLOSED
};

struct ox__engine_events {
    /* The connection is up, at the start and after each loss; nothing was sent on it yet. */
    void (*up)(void *arg);
    /* A run was taken: it begins. */
    void (*begin)(void *arg, struct ox__run *run);
    /* A run cannot begin: what it is about is gone, and it is to be ended, so that nothing of
     * it stays on the server; or, with `err`, cannot be read, and it is to be dropped. */
    void (*unread)(void *arg, struct ox__run *run, const ox_error *err);
    /* The lock of a run is gone for good; nothing of it is sent. `theirs` is true. */
    void (*lock_lost)(void *arg, struct ox__run *run);
    /* The server's verdict on a run whose lock was in doubt: an enum ox__verdict or a refusal.
     * The engine has already updated the lock and reported its loss. */
    void (*claimed)(void *arg, struct ox__run *run, int64_t verdict);
    /* The end of a run was refused; true when it was ended anew, see ox__engine_reopen(). */
    bool (*refused)(void *arg, struct ox__run *run);
    /* An end is stored, or not because of `err`. `own`: for a reason of its own, not one that
     * was reported before for many runs. */
    void (*stored)(void *arg, struct ox__run *run, const ox_error *err, bool own);
    /* The same for one that was dropped. */
    void (*dropped)(void *arg, struct ox__run *run);
    /* The engine has done with the run. */
    void (*release)(void *arg, struct ox__run *run);
    void (*error)(void *arg, const char *id, const ox_error *err);
    void (*notice)(void *arg, int notice, const char *id);
    /* The engine may be freed, after ox__engine_done(). */
    void (*closed)(void *arg);
};

struct ox__engine {
    struct ox__setup setup; /* filled by whoever makes the engine, but for what is its own */
    const struct ox__engine_events *on;
    void *arg;
    enum ox__engine_state state;
    bool left; /* the backend has sent its last request */
    struct ox__server_clock clock;

    struct ox__run_list running;
    struct ox__run_list gone; /* ended, but nothing of it is sent */
    struct ox__ends ends;
    struct ox__gather gather;
    struct ox__calls calls;
    struct ox__idle idle;
    struct ox__locks locks;
    struct ox__claims claims;
    struct ox__lost lost;
    struct ox__fetches fetches;
    struct ox__stalled stalled;
    struct ox__sides sides;

    struct ox__turn turn;
    uint32_t open; /* handles and links that are not closed yet */
};

/* Starts an engine of zeros and a setup. `link` says how to connect, and `sleep_name` names the
 * connection that sleeps. */
int ox__engine_init(struct ox__engine *engine, uv_loop_t *loop,
    const struct ox__link_options *link, const char *sleep_name,
    const struct ox__engine_events *on, void *arg, ox_error *err);
/* Reports the ends that were not stored, and frees the memory of a closed engine. */
void ox__engine_done(struct ox__engine *engine);

void ox__engine_pause(struct ox__engine *engine);
void ox__engine_resume(struct ox__engine *engine);
void ox__engine_set_concurrency(struct ox__engine *engine, uint32_t concurrency);
/* The backend has another limiter now. */
void ox__engine_limit_changed(struct ox__engine *engine);
/* Number of ended runs whose end is not known to be stored. */
uint32_t ox__engine_unstored(const struct ox__engine *engine);
/* False when it was called before. */
bool ox__engine_close(struct ox__engine *engine);
bool ox__engine_abort(struct ox__engine *engine);

/* ---- for those whose runs they are ------------------------------------------------------- */

/* The program has ended the run. Returns where its end is to be written, by ox__ends_arg() and
 * then ox__engine_end_written(); NULL when nothing of it is to be sent: it was dropped. */
struct ox__ends *ox__engine_end(struct ox__engine *engine, struct ox__run *run);
void ox__engine_end_written(struct ox__engine *engine, struct ox__run *run);
/* Frees a running run without sending an end. */
void ox__engine_drop(struct ox__engine *engine, struct ox__run *run);
/* A run whose end was refused runs again, to be ended in another way. */
void ox__engine_reopen(struct ox__engine *engine, struct ox__run *run);
/* The lock of a running run is in doubt: asks. Not when the engine is closed. */
void ox__engine_doubt(struct ox__engine *engine, struct ox__run *run);
/* Takes nothing for so long. */
void ox__engine_limit(struct ox__engine *engine, int64_t duration_ms);

#endif /* OX_LIB_ENGINE_H */
