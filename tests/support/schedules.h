/*
 * schedules.h - job schedulers of the queue "q" for tests: set, looked at, made due.
 */
#ifndef OX_TESTS_SCHEDULES_H
#define OX_TESTS_SCHEDULES_H

#include <jansson.h>

#include "jobs.h"

#define HOUR ((int64_t)3600000)

/** Sets a scheduler; the time of its next job. */
int64_t schedule_set(
    struct test_queue *q, const char *id, const ox_schedule *schedule, const ox_new_job *job);
/** The same for an interval alone. */
int64_t schedule_every(struct test_queue *q, const char *id, int64_t ms);
/** The id of its job for that time (g_free). */
char *schedule_job_id(const char *scheduler, int64_t time);

/** Of a hash of the queue, `key` without the queue's part (g_free); NULL: missing. */
char *schedule_field(const char *key, const char *name);
void expect_stored(const char *key, const char *name, const char *expected);
/** What a list or sorted set of the queue holds. */
void expect_ids(const char *key, const char *expected);
/** The stored options of a job (json_decref). */
json_t *opts_of(const char *id);
/** They are these, `timestamp` aside. */
__attribute__((format(printf, 2, 3))) void expect_opts(const char *id, const char *format, ...);
/** A job is delayed until then. */
void expect_due(const char *id, int64_t time);

/** How many jobs of a scheduler there are. */
int schedule_jobs_of(const char *scheduler);
/** What a worker does with a job that it has taken, before it runs it: makes the next
 * one. */
int schedule_iterate(struct test_queue *q, const char *id, ox_error *err);
/** Takes a time with a job that has ended long ago, as far as its key goes. */
void schedule_occupy(const char *scheduler, int64_t time);
/** Leaves a scheduler as if its current job had been planned long ago, and is gone. */
int64_t schedule_in_the_past(const char *scheduler, int64_t time, int64_t past);
/** Copies what Redis holds, to see later that nothing has changed (g_free). */
char *redis_snapshot(void);

#endif /* OX_TESTS_SCHEDULES_H */
