/*
 * jobs_take.h - the part of the jobs' backend that takes: functions of backend.h, whose `self`
 * is a struct ox__jobs.
 */
#ifndef OX_LIB_JOBS_TAKE_H
#define OX_LIB_JOBS_TAKE_H

#include "engine/backend.h"
#include "engine/task.h"
#include "queue/queue_at.h"

/* The `self` of the backend. */
struct ox__jobs {
    ox_worker *worker; /* for its tasks */
    const struct ox__queue_at *at;
    const char *name; /* of the worker, or NULL */
    bool late_start;  /* a run without a lock has no start written either */
    uint32_t limiter_max;
    int64_t limiter_duration_ms;
    uint32_t metrics_points;
    int32_t max_stalled;
    /* So many of the next jobs are.. */
    uint32_t look;   /* ..read apart, since one was large lately */
    uint32_t ahead;  /* ..not read apart, since one was made in the future lately */
    uint32_t reruns; /* ..started by the script, since one had run before lately */
    struct ox__task_pool pool;
};

/* When a delayed job is due by its score as text, at most 2^53; 0 if it is no time. */
int64_t ox__jobs_ms(const char *score);
/* The arguments of a take alone, for a call that first ends other runs. */
void ox__jobs_put_take(void *self, struct ox__op *op, const struct ox__take *take);
void ox__jobs_take(void *self, struct ox__op *op, const struct ox__take *take);
bool ox__jobs_call_fits(void *self, const redisReply *reply, bool ends, const char *token);
int ox__jobs_takings(
    void *self, const redisReply *reply, bool ends, struct ox__takings *takings, ox_error *err);
int ox__jobs_taken(void *self, const redisReply *whole, bool ends, struct ox__taking *at,
    int64_t now_ms, struct ox__taken *taken);
void ox__jobs_fetch(void *self, struct ox__op *op, const struct ox__run *run);
bool ox__jobs_fetch_fits(void *self, const struct ox__run *run, const redisReply *reply);
int ox__jobs_fetched(void *self, struct ox__run *run, const redisReply *reply,
    struct ox__link *link, ox_error *err);

#endif /* OX_LIB_JOBS_TAKE_H */
