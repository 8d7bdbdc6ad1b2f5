/*
 * retry.h - applies a job's options to the end of a run: whether it is kept, its stack traces,
 * and the backoff.
 */
#ifndef OX_LIB_RETRY_H
#define OX_LIB_RETRY_H

#include "queue/job.h"

/* Longer stack traces, reasons and log rows are truncated: dashboards load them whole. */
#define OX__TEXT_MAX (64 * 1024)

/* What is kept of a job that has ended, by its own options or else by the worker's: "" all, "0"
 * none, "count:age:limit"; see lua/inc/retain.lua. */
void ox__keep_spec(const ox_keep *job, const ox_keep *worker, char *out, size_t size);

/* The stack traces that are stored in a job with a new one, as many as its options allow, as
 * JSON. `limit`: see ox_job_options. NULL: out of memory. */
char *ox__stack_traces(const struct ox__field *old, int32_t limit, const char *stack);

#define OX__BACKOFF_UNKNOWN INT64_MIN
/* The wait before the next attempt, after `made` of them, by the built-in types of backoff;
 * OX__BACKOFF_UNKNOWN for another type. `random` is any number. */
int64_t ox__backoff_ms(const ox_backoff *backoff, uint32_t made, uint64_t random);

#endif /* OX_LIB_RETRY_H */
