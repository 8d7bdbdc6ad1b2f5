/*
 * calls.h - the calls of an engine in flight: each finishes runs, takes new ones, or both.
 *
 * Batches form by themselves. While calls are in flight, ended runs are collected; when a reply
 * comes, all of them go out as one call, which also takes new runs for the free slots. So on an
 * idle queue each call is sent at once, and a busy one needs one script call per batch. A
 * further call is sent beside those in flight only when it is worth it: with a batch's share of
 * ends or free slots.
 *
 * A slot is taken by a running run and by every one that a call in flight has asked for, so
 * there never run more than `concurrency`. A call holds the runs whose ends it carries until
 * the server has answered.
 *
 * No reply stops it: a refused run is reported and dropped, a lost call is sent again (its runs
 * may have been finished already, then the second reply is a refusal that is ignored), a lost
 * take leaves runs whose locks run out (see lost.h).
 */
#ifndef OX_LIB_CALLS_H
#define OX_LIB_CALLS_H

#include "engine/idle.h"

#define OX__CALLS_MAX 16

struct ox__calls;

/* One take or end-and-take. */
struct ox__call {
    struct ox__request request;
    struct ox__calls *calls;
    bool busy;
    uint32_t want, lock_ms;
    int64_t sent_us;           /* boot clock */
    int64_t server_ms;         /* the server's time as it was sent to it */
    uint64_t wakes, limits;    /* of `idle`, when it was sent */
    char token[OX__TOKEN_MAX]; /* of the runs that it takes */
    struct ox__run_list ends;  /* the runs whose ends it carries */
};

struct ox__calls_events {
    /* The server's word on a run that a call carried, which is on no list now: `end.refusal` is
     * 0 when its end is stored. False: the owner has stopped. */
    bool (*answered)(void *arg, struct ox__call *call, struct ox__run *run);
    /* A run was taken, and is on no list. False: the owner has stopped. */
    bool (*taken)(void *arg, struct ox__call *call, struct ox__run *run);
    /* A call with ends failed for good: whether they are stored is not known. */
    void (*unknown)(void *arg, struct ox__run_list *runs, const ox_error *err);
    /* The reply to a take was lost, or may have been. */
    void (*take_lost)(void *arg, const char *token);
    /* The take behind a sleep was lost, and with it maybe a marker. */
    void (*sleep_lost)(void *arg);
    /* A call is over, and all of it was reported. */
    void (*over)(void *arg);
};

struct ox__calls {
    const struct ox__setup *setup;
    const struct ox__calls_events *on;
    void *arg;
    struct ox__idle *idle; /* learns what a take has found */
    struct ox__call call[OX__CALLS_MAX];
    struct ox__call behind; /* a sleep: it waits for the server to run it */
    uint32_t busy, wanted;  /* calls in flight (not that one); runs that all asked for */
    bool backlog;           /* the last take brought all that it asked for, and more waits */
    uint64_t takes;         /* makes tokens differ */
    char uuid[40];
};

void ox__calls_init(struct ox__calls *calls, const struct ox__setup *setup,
    struct ox__idle *idle, const struct ox__calls_events *on, void *arg);
void ox__calls_done(struct ox__calls *calls);

/* How many ends, or slots, make a further call beside others worth it. */
uint32_t ox__calls_share(const struct ox__setup *setup);
/* How much a call that is sent now is to ask for, when there are so many `ends` and free slots;
 * -1: none is to be sent. */
int64_t ox__calls_worth(const struct ox__calls *calls, uint32_t ends, uint32_t free_slots);
/* Sends a call, if fewer than `calls` are in flight and the connection is up: with ends, a
 * batch of them. */
void ox__calls_send(struct ox__calls *calls, struct ox__ends *ends, uint32_t want);
/* Sends a take behind the sleep of at most `sleep_ms` that was just sent: the server runs it
 * when that ends. */
void ox__calls_send_behind(struct ox__calls *calls, uint32_t sleep_ms);
/* Copies the end of a run that the call carries into the run. Without memory, nothing. */
void ox__calls_keep_end(const struct ox__call *call, struct ox__run *run);

#endif /* OX_LIB_CALLS_H */
