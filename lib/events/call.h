/*
 * call.h - a call of the script that publishes: events, the packs that they go in, the answer.
 *
 * What a call has to have depends on the stream: packs are deflated or not, and keys of events
 * are sent only where bindings or the dedup window need them. Each answer says so for the next
 * call. One that lacks something has published nothing, and is to be sent again.
 */
#ifndef OX_LIB_EVENTS_CALL_H
#define OX_LIB_EVENTS_CALL_H

#include "events/event.h"
#include "events/pack.h"
#include "queue/query.h"

enum {
    OX__CALL_BYTES = 1 << 20 /* of events in a call, beyond which none is added */
};

/* What publishers of a stream keep from call to call. Zeros, and what is known of the stream:
 * at first OX__NEEDS_KEYS. */
struct ox__call_form {
    unsigned needs; /* OX__NEEDS_... */
    struct ox__deflater deflater;
};

struct ox__publish_call {
    struct ox__lines *lines; /* borrowed, as `form` and `out` are */
    struct ox__call_form *form;
    size_t from, count; /* of the lines; those that are left out are not sent */
    ox_published *out;  /* NULL, or `count` of them; those of events left out are not written */
    const char *id;     /* of a call that may be sent again; NULL: none */
    /* Of the answer: */
    bool again;        /* nothing was published: it has to be encoded and sent again */
    unsigned tries;    /* how often it was encoded */
    int64_t max_event; /* nothing was published: events are larger than this; else 0 */
};

/* Publishes, again until the call has what the stream needs. The result is how many were
 * published, without duplicates. */
int ox__publish_query(struct ox__query *query, const struct ox__queue_at *at,
    struct ox__publish_call *call, ox_error *err);

#endif /* OX_LIB_EVENTS_CALL_H */
