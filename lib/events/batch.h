/*
 * batch.h - batches of events: what runs, what waits to run again, and what a run came to.
 *
 * A batch holds a slot from its beginning until its last event is done, dead or given back: a
 * failed one waits in it for its next attempt, and the halves of one that is bisected follow
 * each other in it (`then`). So a service that is down stops the group instead of letting the
 * whole log run through attempts.
 *
 *   WAITING -> RUNNING -> ENDING (its entries are being stored) -> OVER (to be reported)
 *
 * Nothing here knows the server or the loop.
 */
#ifndef OX_LIB_EVENTS_BATCH_H
#define OX_LIB_EVENTS_BATCH_H

#include "events/held.h"

enum ox__batch_state {
    OX__BATCH_WAITING,
    OX__BATCH_RUNNING,
    OX__BATCH_ENDING,
    OX__BATCH_OVER,
    OX__BATCH_STATES
};

struct ox__batches;

struct ox_batch {
    struct ox__batches *all;
    struct ox__event_held **events; /* owned array */
    size_t count;
    uint32_t attempt;
    bool last; /* a part of one whose attempts were spent: what fails is bisected on */
    enum ox__batch_state state;
    int64_t due_ms;        /* while it waits; boot clock */
    struct ox_batch *then; /* what follows in its slot */
    size_t lost_told;      /* lost events that the program knows of */
    size_t storing;        /* entries that it has ended and whose end is not stored yet */
    void *data;
    ox_batch_end end; /* of the run */
    char *reason;     /* owned, of `end` */
    char first[OX_POSITION_SIZE];
    ox_error err; /* of `end` */
    struct ox_batch *prev, *next;
    ox_stream_event shown; /* what ox_batch_event() gave */
    char shown_position[OX_POSITION_SIZE];
    char *texts[4]; /* owned: of the same */
};

struct ox__batch_list {
    struct ox_batch *head, *tail;
    size_t count;
};

/* All of a consumer. */
struct ox__batches {
    ox_consumer *consumer;
    uint32_t attempts;
    ox_backoff backoff;
    bool draining;                /* nothing runs again here: it is given back */
    size_t slots;                 /* in use */
    int64_t (*now_ms)(void *arg); /* boot clock */
    void (*soon)(void *arg);      /* something is to be sent, started or reported */
    void *arg;
    struct ox__batch_list list[OX__BATCH_STATES];
    struct ox__held_queue ends; /* entries that have ended, to be sent */
};

void ox__batches_init(struct ox__batches *all);
/* Frees all batches, whatever they do, and no entry. */
void ox__batches_done(struct ox__batches *all);

/* A new batch for a free slot, which waits to be started. `events` are copied. NULL when memory
 * is out. */
struct ox_batch *ox__batch_begin(
    struct ox__batches *all, struct ox__event_held *const *events, size_t count);
/* The next one that is due, as RUNNING; NULL when there is none. What it has lost meanwhile is
 * no part of it any more. */
struct ox_batch *ox__batch_start(struct ox__batches *all, int64_t now_ms);
/* When the next one is due, or INT64_MAX. */
int64_t ox__batches_due_ms(const struct ox__batches *all);
/* Gives back all that waits for another attempt. */
void ox__batches_give_back(struct ox__batches *all);

/* The outcome of an event that is in no batch, or at the end of its run. With its last event
 * the entry goes to `ends`, also when it is lost: then nothing of it is sent. */
void ox__event_ends(struct ox__batches *all, struct ox_batch *batch,
    struct ox__event_held *event, enum ox__outcome outcome);
/* An entry is stored, or not because of `err`. It is freed by the caller. */
void ox__held_stored(struct ox__held *held, const ox_error *err);
/* Frees a batch that is OVER. */
void ox__batch_free(struct ox_batch *batch);

#endif /* OX_LIB_EVENTS_BATCH_H */
