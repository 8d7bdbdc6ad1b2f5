/*
 * idle.h - sleeps on an empty queue, and wakes.
 *
 * An engine that found too little sleeps in one BZPOPMIN on the queue's marker, over a
 * connection of its own. Two members can be there: "0" says that work waits, "1" when the
 * earliest delayed job is due. Popping hides the marker from the other workers, so the one that
 * popped it must act: take at once, keep the time (and tell the next take, which puts the
 * marker back for the others), or, with no free slot, put the marker back.
 *
 * On the same connection a take stands behind the wait: the server runs it as soon as the wait
 * ends, so an idle worker has a new job one round trip after it was added, not two. It asks for
 * one job, under a lock that is short at first: if the reply is never read, no more than that
 * job is held up, and not for long. What else waits is taken by the next call. What is due is
 * decided by the server's clock; see server_clock.h. A worker that is paused or closed ends the
 * connection half: what the server did before it saw that still comes, and nothing after it.
 *
 * Delayed jobs start by a timer of the loop, at their time, not at the next poll. The worker
 * that holds the marker fires on time; those that learned the time from an empty take fire a
 * little later, with jitter, so that ten idle workers do not all ask at once. In addition,
 * every worker polls once in drain_delay_ms: that repairs every lost wake-up.
 */
#ifndef OX_LIB_IDLE_H
#define OX_LIB_IDLE_H

#include "engine/setup.h"

struct ox__idle_events {
    /* A marker was popped. True: this engine acts on it; else the owner has put it back. */
    bool (*popped)(void *arg, const struct ox__marker *marker);
    /* Whether a take stands behind the sleep that is not answered. */
    bool (*take_behind)(void *arg);
};

struct ox__idle {
    const struct ox__setup *setup;
    const struct ox__idle_events *on;
    void *arg;
    struct ox__request wait;
    bool waiting;      /* `wait` is on its way */
    bool drained;      /* the last take found too little */
    uint64_t wakes;    /* counts markers; a reply to an earlier request is outdated */
    uint64_t limits;   /* the same for changes of the limiter */
    bool holds_marker; /* we popped the delay marker: nobody else knows the time */
    int64_t looked_ms; /* when a take last looked for delayed jobs */
    int64_t due_ms;    /* server's clock: when the next delayed job is due; 0: not known */
    int64_t limited_until_ms; /* 0: not limited */
    int64_t wake_at_ms;       /* OX__NEVER */
};

/* What to do when the time has come. */
enum ox__idle_due {
    OX__IDLE_NOTHING,
    OX__IDLE_TAKE,
    OX__IDLE_PROMOTE /* only let the server promote the delayed jobs that are due */
};

void ox__idle_init(struct ox__idle *idle, const struct ox__setup *setup,
    const struct ox__idle_events *on, void *arg);
void ox__idle_done(struct ox__idle *idle);

/* Sleeps on the marker, unless it does so, or there is more to take, or the connection is down.
 * The owner has free slots, and no take behind a sleep. Returns for how many ms, if a take is
 * to be sent behind it; else 0. */
uint32_t ox__idle_sleep(struct ox__idle *idle);
/* There is work that no take has seen. */
void ox__idle_look(struct ox__idle *idle);
/* The limiter is another one now: what is known of the old one is forgotten. */
void ox__idle_forget_limit(struct ox__idle *idle);
/* What a take learned about the time to come. */
void ox__idle_learn(struct ox__idle *idle, bool drained, int64_t limit_ms, int64_t due_ms);
/* Fills what a take that is sent now for `want` runs has to say of markers, and notes that it
 * looks. */
void ox__idle_put_take(struct ox__idle *idle, struct ox__take *take, int64_t now_ms);
/* Whether a rate limit, of the queue or of a handler, forbids to take now. */
bool ox__idle_is_limited(const struct ox__idle *idle);

/* When ox__idle_tick() is to be called next, by the boot clock. */
int64_t ox__idle_wake_ms(const struct ox__idle *idle);
enum ox__idle_due ox__idle_tick(struct ox__idle *idle, int64_t now_ms);

#endif /* OX_LIB_IDLE_H */
