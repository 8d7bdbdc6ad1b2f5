/*
 * operations.h - operations on a queue as queries, for those who send them from a loop; each
 * public call of ox.h with that name sends the same one and waits.
 *
 * Arguments and what is filled are those of the public call.
 */
#ifndef OX_LIB_QUEUE_OPERATIONS_H
#define OX_LIB_QUEUE_OPERATIONS_H

#include "queue/queue.h"

/* What ox_queue_job() fills. */
struct ox__job_read {
    ox_job **job;
    int *state; /* or NULL */
};

void ox__counts_query(
    struct ox__query *query, const struct ox__queue_at *at, ox_counts *counts);
int ox__job_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    struct ox__job_read *read, ox_error *err);
int ox__retry_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    int state, unsigned flags, ox_error *err);

#endif /* OX_LIB_QUEUE_OPERATIONS_H */
