/*
 * backend.h - how the engine asks the server about the runs that it has: as encoders of what is
 * sent and decoders of what is answered. Locks, the stalled check and lost takes know neither
 * scripts nor what a reply is made of; jobs_backend.c does, for the jobs of a queue.
 *
 * An encoder begins an operation and is followed by one call for each run or token that it is
 * about. A decoder is called only with a reply that `fits`.
 */
#ifndef OX_LIB_BACKEND_H
#define OX_LIB_BACKEND_H

#include "queue/job.h"
#include "queue/query.h"
#include "queue/queue.h"

/* A run, as the server can tell it from others of the same job. */
struct ox__run {
    const struct ox__field *id;
    const char *token;
    int64_t starts, started_ms;
    uint32_t made; /* attempts, with this one */
    char kind;     /* of the end that may have been stored already, or NUL */
};

/* What is known of a run whose lock was gone. */
enum ox__verdict {
    OX__RUN_LOCKED = 1, /* the lock is taken again */
    OX__RUN_STORED = 2  /* its end is stored; all else is a refusal */
};

/* A step of the check for stalled jobs. */
struct ox__check {
    int64_t now_ms, every_ms, late_ms;
    int32_t max_stalled;
    int64_t skip; /* -1: begin one */
};

/* What a check or a search has found. */
struct ox__found {
    const char *id;
    int notice;      /* an enum ox_notice, or 0 */
    const char *why; /* what is wrong with it, when there is no notice; else NULL */
};

struct ox__backend {
    void (*renew)(struct ox__op *op, const struct ox__queue_at *at, uint32_t lock_ms);
    void (*renew_run)(struct ox__op *op, const struct ox__run *run);
    bool (*renew_fits)(const redisReply *reply);
    /* The `i`th run whose lock is gone, counted from 0 as they were sent. False: no more. */
    bool (*renew_lost)(const redisReply *reply, size_t i, size_t *run);

    void (*claim)(struct ox__op *op, const struct ox__queue_at *at, uint32_t lock_ms);
    void (*claim_run)(struct ox__op *op, const struct ox__run *run);
    bool (*claim_fits)(const redisReply *reply, size_t runs);
    int64_t (*claim_verdict)(const redisReply *reply, size_t run);

    void (*check)(
        struct ox__op *op, const struct ox__queue_at *at, const struct ox__check *check);
    bool (*check_fits)(const redisReply *reply);
    /* `skip` of the next step; -1: there is none, -2: there was none. */
    int64_t (*check_next)(const redisReply *reply);

    /* A page of the search for jobs without a state. A cursor has up to 23 bytes. */
    void (*restore)(struct ox__op *op, const struct ox__queue_at *at, int64_t now_ms,
        int32_t max_stalled, const char *cursor);
    bool (*restore_fits)(const redisReply *reply);
    const char *(*restore_next)(const redisReply *reply);

    /* Looks for the jobs of `count` takes; then come their tokens, and ids to pass over. */
    void (*return_lost)(
        struct ox__op *op, const struct ox__queue_at *at, int64_t skip, size_t count);
    void (*return_token)(struct ox__op *op, const char *token);
    void (*return_not)(struct ox__op *op, const struct ox__field *id);
    bool (*return_fits)(const redisReply *reply);
    /* `skip` of the next page, or -1. */
    int64_t (*return_next)(const redisReply *reply);

    /* What the three above found, one after another; `i` begins at 0. False: no more. */
    bool (*checked)(const redisReply *reply, size_t *i, struct ox__found *found);
    bool (*restored)(const redisReply *reply, size_t *i, struct ox__found *found);
    bool (*returned)(const redisReply *reply, size_t *i, struct ox__found *found);
};

/* The jobs of a queue, by BullMQ's layout. */
extern const struct ox__backend ox__jobs_backend;

#endif /* OX_LIB_BACKEND_H */
