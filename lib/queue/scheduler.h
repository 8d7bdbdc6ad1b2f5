/*
 * scheduler.h - the next job of a scheduler, for whoever runs jobs.
 *
 * A scheduler has one pending job at a time. The worker that takes it makes the one after it,
 * before it runs the job: a worker that does not would end the schedule.
 */
#ifndef OX_LIB_SCHEDULER_H
#define OX_LIB_SCHEDULER_H

#include "queue/queue_at.h"
#include "wire/op.h"
#include "wire/reply.h"

/* True when a scheduler made the job, and its next one is to be made. */
bool ox__iteration_due(const ox_job *job);

/* Builds the call that makes the job after `job`. Harmless to send twice, or for a job that is
 * run again: it does nothing unless `job` is the scheduler's current one. Returns 1; 0 when the
 * schedule has ended and nothing is to be sent; or OX_EDATA, OX_EINVAL when the job's options
 * lack a valid schedule, OX_ENOMEM. `now_ms` is by the server's clock.
 */
int ox__iteration_build(struct ox__op *op, const struct ox__queue_at *at, const ox_job *job,
    int64_t now_ms, ox_error *err);

/* Decodes its reply: 1 when the next job was added, 0 when there was none to add, or a failure:
 * OX_ESLOT when all next times are taken, OX_ESERVER, OX_EREPLY. */
int ox__iteration_reply(
    const redisReply *reply, const struct ox__queue_at *at, const ox_job *job, ox_error *err);

#endif /* OX_LIB_SCHEDULER_H */
