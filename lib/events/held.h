/*
 * held.h - an entry that a consumer has: its events, and what became of each.
 *
 * Redis knows entries, programs get events. An entry ends as a whole, once all its events have:
 * that is what `open` counts. Its text stays in the reply that brought it, which is freed with
 * the last entry of it.
 */
#ifndef OX_LIB_EVENTS_HELD_H
#define OX_LIB_EVENTS_HELD_H

#include "events/pack.h"

enum ox__outcome {
    OX__EVENT_OPEN,
    OX__EVENT_DONE,
    OX__EVENT_DEAD,
    OX__EVENT_BACK, /* given back to the group */
    OX__EVENT_ALONE /* the same, to run by itself */
};

struct ox__held;

struct ox__event_held {
    struct ox__held *entry;
    const char *json;
    size_t length;
    int64_t number;
    char *reason; /* owned: of a dead one; NULL when memory was out */
    uint32_t attempts;
    uint8_t outcome; /* enum ox__outcome */
};

struct ox__load {
    redisReply *reply; /* owned */
    size_t refs;
};

struct ox__held {
    char id[OX_POSITION_SIZE];
    bool again;   /* of the group's stream `again`, else of the log */
    bool alone;   /* its one event runs by itself */
    bool lost;    /* another member may have it: nothing of it is sent */
    bool gone;    /* from the log: no other member can have it */
    bool skipped; /* it is no event, and is acknowledged */
    uint32_t deliveries;
    int64_t ms;          /* of its events' positions */
    int64_t lost_before; /* events that are missing before it */
    int64_t untold;      /* of these, those that are counted with its end */
    struct ox__load *load;
    char *inflated; /* owned */
    size_t count, open;
    long long place; /* in the renewal that is in flight */
    size_t begun;    /* events that are in batches, or were */
    struct ox_batch *ended_by;
    struct ox__held *prev, *next;   /* among all that the consumer has */
    struct ox__held *queue_next;    /* of those that are to begin, or to end */
    struct ox__event_held events[]; /* `count` of them */
};

/* Entries in order, by `queue_next`. */
struct ox__held_queue {
    struct ox__held *head, **tail;
    size_t count;
};

void ox__held_queue_init(struct ox__held_queue *queue);
void ox__held_queue_push(struct ox__held_queue *queue, struct ox__held *held);
/* NULL when there is none. */
struct ox__held *ox__held_queue_pop(struct ox__held_queue *queue);

/* Makes an entry of what a take has brought: stream, id, fields, deliveries. It keeps `load`.
 * One that is no event has none: then `why` says so. NULL when memory is out, or for a reply of
 * another form (OX_EREPLY). */
struct ox__held *ox__held_new(
    struct ox__load *load, redisReply *row, ox_error *why, ox_error *err);
/* The same of what a read has brought: id and fields. */
struct ox__held *ox__held_new_read(
    struct ox__load *load, redisReply *entry, ox_error *why, ox_error *err);
/* One of which nothing but the id is known. NULL when memory is out. */
struct ox__held *ox__held_stub(const char *id, bool again);
void ox__held_free(struct ox__held *held);
void ox__load_release(struct ox__load *load);

/* "ms-number" of an event. */
void ox__held_position(const struct ox__event_held *event, char out[OX_POSITION_SIZE]);

#endif /* OX_LIB_EVENTS_HELD_H */
