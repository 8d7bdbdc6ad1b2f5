/*
 * job_ops.h - encodes the scripts of a running job: its updates, its questions, its end.
 */
#ifndef OX_LIB_JOB_OPS_H
#define OX_LIB_JOB_OPS_H

#include "engine/jobs_backend.h"
#include "queue/end_args.h"

/* Encodes the end of a task's run, and records its kind. */
void ox__jobs_put_end(
    struct ox__ends *ends, struct ox_task *task, const struct ox__job_end *end);

/* Updates and questions of a running job, each a call of its own. */
void ox__jobs_progress(const struct ox__jobs *jobs, struct ox__op *op,
    const struct ox__run *run, const char *json);
void ox__jobs_data(const struct ox__jobs *jobs, struct ox__op *op, const struct ox__run *run,
    const char *json);
void ox__jobs_log(const struct ox__jobs *jobs, struct ox__op *op, const struct ox__run *run,
    const char *row, size_t len, int64_t keep);
void ox__jobs_wait_children(
    const struct ox__jobs *jobs, struct ox__op *op, const struct ox__run *run, int64_t now_ms);
/* Loads the `i`th of the scripts for updates. False: there is none. */
bool ox__jobs_load(size_t i, struct ox__op *op);

#endif /* OX_LIB_JOB_OPS_H */
