/*
 * consumer_state.h - a consumer: what it is to do, what it has, what is on its way; and what of
 * it the program is told. entries.h, requests.h and serve.h work on it.
 */
#ifndef OX_LIB_EVENTS_CONSUMER_STATE_H
#define OX_LIB_EVENTS_CONSUMER_STATE_H

#include "engine/turn.h"
#include "events/batch.h"
#include "events/member.h"
#include "wire/link.h"

enum ox__serve_state {
    OX__SERVE_RUNNING,
    OX__SERVE_PAUSED,
    OX__SERVE_DRAINING,
    OX__SERVE_CLOSED
};

/* A kind of request. */
struct ox__ask {
    struct ox__request request;
    bool busy;
};

struct ox_consumer {
    ox_consumer_options options;
    ox_batch_fn *process;
    void *arg;
    struct ox__member member;
    struct ox__batches batches;
    enum ox__serve_state state;
    bool left;
    bool owner;    /* of an ordered group */
    bool recover;  /* a take may be lost: nothing is taken before a renewal */
    bool more;     /* something may be there to take */
    bool in_vain;  /* the last take brought nothing */
    bool sweep;    /* the next take looks for others' entries */
    bool whole;    /* the next take is no mere read */
    int64_t count; /* entries that the read in flight asks for */
    ox_error told; /* the last failure that was reported, so that it is once */

    struct ox__held *held; /* all that this member has */
    size_t held_count;
    struct ox__held_queue ready; /* taken, not begun; the first may be begun in part */
    size_t ready_events, ready_bytes;
    int64_t full_ms;            /* when what is ready is not waited for any more; boot clock */
    struct ox__held_queue sent; /* ends in flight */
    uint32_t most;              /* ends in one call */

    struct ox__ask take, end, renew, sleep, leave;
    int64_t sweep_ms, renew_ms, retry_ms; /* when they are due; boot clock */
    int64_t reads_ms;                     /* before that no take is a mere read; boot clock */
    int64_t sleep_ms;  /* before that it does not wait for more; boot clock */
    int64_t strays_ms; /* when ends that were refused are given back, or INT64_MAX */
    struct ox__link *link, *sleeper;
    struct ox__server_clock clock;
    struct ox__turn turn;
    uint32_t command_timeout_ms;
    uint32_t open; /* handles and links that are not closed yet */
    void (*closed)(void *arg);
    void *closed_arg;
};

/* Has serve.c look at all at the end of this turn of the loop. */
void ox__consumer_soon(ox_consumer *consumer);
/* Reports a failure, with the stream and group, unless it is the last one again. */
void ox__consumer_report(ox_consumer *consumer, const ox_error *why);
/* Tells the program, see ox_consumer_options. */
void ox__consumer_notice(
    ox_consumer *consumer, int what, const char *position, const char *reason, int64_t count);

#endif /* OX_LIB_EVENTS_CONSUMER_STATE_H */
