/*
 * jobs_backend.h - the jobs of a queue, as an engine takes and ends them: by the scripts of
 * lib/lua. Only this file and job_ops.h know these.
 */
#ifndef OX_LIB_JOBS_BACKEND_H
#define OX_LIB_JOBS_BACKEND_H

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
    uint32_t look; /* so many of the next jobs are looked at before they are read, since one
                      was large lately */
    struct ox__task_pool pool;
};

extern const struct ox__backend ox__jobs_backend;

#endif /* OX_LIB_JOBS_BACKEND_H */
