/*
 * consumer.h - a queue, or a group of a stream, that this process works on: what takes jobs or
 * batches of events from libox, and a pool of children for each route.
 *
 * A route that cannot start its children rests. Its jobs are put off for a while, with no
 * attempt spent, and those of the others run. When all rest, nothing is taken.
 *
 * It ends in that order: the worker when every result is stored, then the pools, when their
 * children are gone; then `closed` is called, and it is freed. Other settings may replace its
 * own while it runs. A pool whose route they lack gets no more jobs, and closes when those that
 * it has are ended.
 */
#ifndef OX_WORKER_CONSUMER_H
#define OX_WORKER_CONSUMER_H

#include <ox.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "pool.h"
#include "settings.h"

struct consumer;

/* All are called from the loop. */
struct consumer_hooks {
    /* The log is about to be told of the connection. */
    void (*telling)(void *owner);
    /* For the first time. */
    void (*connected)(void *owner);
    /* It cannot work, and no waiting mends it, before it was ever connected. */
    void (*refused)(void *owner, const ox_error *error);
    /* The end of a run is stored, or was refused. */
    void (*run_ended)(void *owner);
    /* It is freed after this call. */
    void (*closed)(void *owner, struct consumer *consumer);
};

/* `settings` are held, `queue` is theirs, `client` is read during the call only.
 * @return 0, or a negative code: then it closes, and *out is as usable as any that closes */
int consumer_new(struct consumer **out, uv_loop_t *loop, ox_client *client,
    struct settings *settings, const struct queue_settings *queue,
    const struct consumer_hooks *hooks, void *owner, ox_error *err);

/* Whether it can go on with other settings of its queue. */
bool consumer_fits(const struct consumer *consumer, const struct queue_settings *queue);
/* Goes on with other settings, which have its queue and fit. */
void consumer_use(struct consumer *consumer, struct settings *settings);

/* Takes nothing until it is let go again. */
void consumer_hold(struct consumer *consumer, bool hold);
/* Takes no more, lets its jobs end, and closes. */
void consumer_drain(struct consumer *consumer);
/* While it drains: kills what runs and moves those jobs to wait. */
void consumer_give_back(struct consumer *consumer);
/* Closes without the server. */
void consumer_abort(struct consumer *consumer);

/* Which one it is of its settings. */
const struct queue_settings *consumer_queue(const struct consumer *consumer);
bool consumer_is_connected(const struct consumer *consumer); /* it was, at least once */
bool consumer_is_closing(const struct consumer *consumer);
/* Whether its worker is not closed, that is, results are not stored. */
bool consumer_has_worker(const struct consumer *consumer);
/* Jobs at once, and how many there are. */
uint32_t consumer_slots(const struct consumer *consumer);
uint32_t consumer_running(const struct consumer *consumer);
/* Those of them that were taken ahead, and wait for a child. */
uint32_t consumer_ahead(const struct consumer *consumer);
/* Runs that go on, or whose end the server has not stored. */
uint32_t consumer_open_runs(const struct consumer *consumer);
/* Each child, see pool_visit(). */
void consumer_visit(const struct consumer *consumer,
    void (*visit)(const struct route_settings *route, const struct seat_state *state));
/* Each route that rests, see pool_resting(). Returns how many; `visit` may be NULL. */
uint32_t consumer_visit_resting(const struct consumer *consumer,
    void (*visit)(const struct route_settings *route, const char *reason, uint32_t retry_ms));

#endif /* OX_WORKER_CONSUMER_H */
