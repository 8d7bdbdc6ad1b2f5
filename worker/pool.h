/*
 * pool.h - the children of one route, and what they run.
 *
 * The pool stands between a consumer, which makes runs of what it takes, and children, which
 * do the work. Every run that it is given ends, exactly once: when its child answers, when its
 * child is gone, or at once when there can be no child for it.
 *
 * Children are started when there is work for them, at most `concurrency`, and kept. When
 * none can be started the route rests: its runs are turned away, and a start is tried again
 * after a while; the wait doubles up to half a minute. The log tells the reason once, and once
 * that a child has started again.
 */
#ifndef OX_WORKER_POOL_H
#define OX_WORKER_POOL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct settings;
struct route_settings;
struct run;
struct seat_state;
struct pool;

/* What a pool asks of its owner. */
struct pool_hooks {
    /* No child can be started, or one can again. */
    void (*rest)(void *owner, bool resting);
    /* This one has no child, because none can be started. The owner ends it. */
    void (*turn_away)(void *owner, struct run *run);
    /* A child is about to be started. */
    void (*grow)(void *owner);
    /* A run has waited for a child as long as one that was taken ahead may; such ones are
     * given back now. */
    void (*stuck)(void *owner);
};

/* `settings` are held until the pool is closed; `route` is theirs. Never NULL. */
struct pool *pool_new(uv_loop_t *loop, struct settings *settings,
    const struct route_settings *route, const struct pool_hooks *hooks, void *owner);

void pool_process(struct pool *pool, struct run *run);
/* The lock of a run that has no child was lost; false when it is not this pool's. */
bool pool_lock_lost(struct pool *pool, struct run *run);

/* Kills the children that run jobs and releases those jobs, and all that still come: they run
 * again elsewhere. */
void pool_give_back(struct pool *pool);
/* Kills all children and forgets their runs, because their worker is aborted. */
void pool_abandon(struct pool *pool);

/* Why its route rests (borrowed), or NULL; and in how many ms the next start is known to have
 * failed or not: at the soonest, if one is under way. */
const char *pool_resting(const struct pool *pool, uint32_t *retry_ms);
/* How many runs are not ended. */
uint32_t pool_running(const struct pool *pool);
/* Those of them that wait for a child beyond as many as it may have: they were taken ahead. */
uint32_t pool_ahead(const struct pool *pool);
/* Children that can run jobs, or soon can; and those of them that do nothing. */
uint32_t pool_children(const struct pool *pool);
uint32_t pool_idle(const struct pool *pool);
/* Sends the child home that has been idle for longest. */
void pool_shrink(struct pool *pool);

void pool_visit(const struct pool *pool,
    void (*visit)(const struct route_settings *route, const struct seat_state *state));

/* Gets no more runs: closes when those that it has are ended. */
void pool_retire(struct pool *pool, void (*closed)(void *arg), void *arg);
/* When all its runs are ended: sends the children home and calls `closed` from the loop; then
 * the pool is freed. */
void pool_close(struct pool *pool, void (*closed)(void *arg), void *arg);

#endif /* OX_WORKER_POOL_H */
