/*
 * requests.h - a consumer, and what it asks of the server: to take entries, end them, renew its
 * claims on them, wait for more, and leave. What follows from the answers is done here as well,
 * but for the beginning of batches; when to ask is decided in serve.c.
 *
 * There is at most one request of each kind in flight. They go over one link in the order in
 * which they were sent, so that a take does not see what an end before it gave back as still
 * held, and a renewal knows all that takes before it brought.
 *
 * The wait for more has a link of its own, and takes nothing: what a dead connection was told
 * is lost, what it took would be held. A reply to a take that was lost is made good by the next
 * renewal, which names entries that this member has and does not know; they are given back.
 */
#ifndef OX_LIB_EVENTS_REQUESTS_H
#define OX_LIB_EVENTS_REQUESTS_H

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
    int64_t strays_ms; /* when ends that were refused are given back, or INT64_MAX */
    struct ox__link *link, *sleeper;
    struct ox__server_clock clock;
    struct ox__turn turn;
    uint32_t command_timeout_ms;
    uint32_t open; /* handles and links that are not closed yet */
    void (*closed)(void *arg);
    void *closed_arg;
};

void ox__asks_init(ox_consumer *consumer);
/* Frees all entries, too. */
void ox__asks_done(ox_consumer *consumer);

/* Has serve.c look at all at the end of this turn of the loop. */
void ox__consumer_soon(ox_consumer *consumer);
/* Reports a failure, with the stream and group, unless it is the last one again. */
void ox__consumer_report(ox_consumer *consumer, const ox_error *why);
/* Tells the program, see ox_consumer_options. */
void ox__consumer_notice(
    ox_consumer *consumer, int what, const char *position, const char *reason, int64_t count);
/* Gives back all that does not run. */
void ox__consumer_give_back(ox_consumer *consumer);
/* Entries that are lost end without a word to the server. */
void ox__drop_lost(ox_consumer *consumer);

/* All that this member has: an entry more, one less (freed), whether it has one. */
void ox__entry_hold(ox_consumer *consumer, struct ox__held *held);
void ox__entry_let_go(ox_consumer *consumer, struct ox__held *held);
const struct ox__held *ox__entry_find(const ox_consumer *consumer, bool again, const char *id);
/* Takes over what a take has brought, and its reply. */
void ox__entries_admit(ox_consumer *consumer, const struct ox__take_answer *answer);

void ox__ask_take(ox_consumer *consumer, int64_t events);
void ox__ask_end(ox_consumer *consumer);
void ox__ask_renew(ox_consumer *consumer);
void ox__ask_sleep(ox_consumer *consumer);
void ox__ask_leave(ox_consumer *consumer);

#endif /* OX_LIB_EVENTS_REQUESTS_H */
