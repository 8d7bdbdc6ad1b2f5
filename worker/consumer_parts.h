/*
 * consumer_parts.h - what the parts of a consumer share.
 *
 *   consumer.c        its life, and what its routes' pools tell
 *   consumer_link.c   the connection, as the log tells of it
 *   consumer_jobs.c   jobs of a queue: a worker of libox
 *   consumer_stream.c batches of events: a member of a stream's group
 *
 * Where its work comes from is a feed: the table of calls below, and what libox gave for it.
 */
#ifndef OX_WORKER_CONSUMER_PARTS_H
#define OX_WORKER_CONSUMER_PARTS_H

#include <glib.h>

#include "ahead.h"
#include "consumer.h"
#include "run.h"

/* Calls of a feed that is open, but for `open`. */
struct feed_type {
    /* Fills consumer->feed; else a negative code. */
    int (*open)(struct consumer *consumer, ox_client *client, ox_error *err);
    void (*pause)(void *feed);
    void (*resume)(void *feed);
    /* The consumer's settings have changed from these. */
    void (*change)(struct consumer *consumer, const struct queue_settings *before);
    /* Runs at once from now on. NULL: none of them may be taken ahead. */
    void (*set_slots)(void *feed, uint32_t slots);
    /* Runs that it waits for, and ends that the server has not stored. */
    uint32_t (*open_runs)(const void *feed);
    void (*close)(void *feed, void (*closed)(void *arg), void *arg);
    void (*abort)(void *feed, void (*closed)(void *arg), void *arg);
};

extern const struct feed_type feed_of_jobs, feed_of_events;

/* An error that was logged: the same one is left out for a while, and counted. */
struct told {
    int code; /* 0: none */
    uint64_t at_ns, left_out;
};

/* The pool of one route. */
struct crew {
    struct consumer *consumer;
    const struct route_settings *route; /* of the consumer's settings, or of the pool's */
    struct pool *pool;
    bool resting;
    bool retired;     /* gets no more jobs */
    uint64_t back_ms; /* when the job that was put off last comes back, by the loop's clock */
};

struct consumer {
    uv_loop_t *loop;
    const struct consumer_hooks *hooks;
    void *owner;
    struct settings *settings; /* held */
    const struct queue_settings *queue;
    const struct feed_type *type;
    void *feed; /* NULL once closed */
    GPtrArray *crews;
    struct ahead *ahead; /* NULL: nothing is taken ahead */
    bool held, closing;
    bool paused;       /* what the feed was told last */
    bool connected;    /* it was, at least once */
    bool quiet;        /* the last line about the connection said that it is there */
    uint64_t ready_ns; /* since when it is there; 0: it is not */
    struct told outage, job_error;
};

/* ---- consumer.c -------------------------------------------------------------------------- */

/* What its lines in the log are about. */
const struct log_place *consumer_place(const struct consumer *consumer);
/* Gives a run to the children of a route of the consumer's settings. */
void consumer_process(
    struct consumer *consumer, const struct route_settings *route, struct run *run);
/* The lock of a run was lost: its child is killed. */
void consumer_lock_lost(struct consumer *consumer, struct run *run);

/* ---- consumer_link.c --------------------------------------------------------------------- */

/* An error that the feed survives: of the connection, or of the job `id`. */
void consumer_tell_error(struct consumer *consumer, const char *id, const ox_error *error);
/* The connection is there. */
void consumer_tell_ready(struct consumer *consumer);

#endif /* OX_WORKER_CONSUMER_PARTS_H */
