/*
 * jobs.h - a queue on a private server, and jobs that go through it step by step.
 *
 * A worker takes and ends jobs by its own clock; a test of everything else wants a job in a
 * state, now. These helpers send the worker's own scripts.
 */
#ifndef OX_TESTS_JOBS_H
#define OX_TESTS_JOBS_H

#include <ox.h>

#include "server.h"

/** A test that gets a struct test_queue as its state, and leaves the server empty. */
#define WITH_QUEUE(test) cmocka_unit_test_setup_teardown(test, test_queue_up, test_queue_down)
int test_queue_up(void **state);
int test_queue_down(void **state);

/** Runs a command on that server that must not be refused. */
#define run(...) test_redis_do(redis, __VA_ARGS__)

struct test_queue {
    struct test_redis *redis;
    ox_client *client;
    ox_queue *queue;
};

/** Connects and makes the queue "q" with these options (NULL: defaults). */
struct test_queue *test_queue_new(struct test_redis *redis, const ox_queue_options *options);
/** Also empties the server. NULL is fine. */
void test_queue_free(struct test_queue *q);

/** Adds a job and returns its id (g_free). Options may be NULL. */
char *test_add(ox_queue *queue, const char *name, const ox_job_options *options);
/** Starts the next job, with the lock "token"; its id (g_free), NULL when none can start. */
char *test_take(ox_queue *queue);
/** What a worker says of itself in every call of a script that takes jobs: of `want` of them.
 *  @param token    of the locks
 *  @param lock_ms  0: the runs have none yet, -1: and are late */
struct ox__op;
void test_put_worker(struct ox__op *op, const char *token, int64_t lock_ms, int want);
/** The same, of one that reads its jobs itself ("1"), or not ("0"). */
void test_put_take(
    struct ox__op *op, const char *token, int64_t lock_ms, int want, const char *apart);
/** Ends a job that was taken. `json` and `reason` as in the layout. */
void test_complete(ox_queue *queue, const char *id, const char *json);
void test_fail(ox_queue *queue, const char *id, const char *reason);
/** Adds a job, takes it and ends it. Its id (g_free). */
char *test_add_completed(ox_queue *queue, const char *json);
char *test_add_failed(ox_queue *queue, const char *reason);

/** The events of a queue from its first to its last: "added 1,waiting 1,removed 1 prev=wait";
 *  the caller's (g_free). Names and ids, then all other fields but `name`. */
char *test_events(struct test_redis *redis, const char *base);
/** What a list (from its head) or a sorted set holds, as "a,b,c"; the caller's (g_free). */
char *test_members(struct test_redis *redis, const char *key);

/** Fail the test unless it is so, on the server of the program: what a list or sorted set
 * holds; what the events of the queue "q" are, which are forgotten then; what a field of a hash
 * is (NULL: missing). */
void expect_members(const char *key, const char *expected);
void expect_events(const char *expected);
void expect_field(const char *key, const char *name, const char *expected);

/** Fails the test when `rc` is negative, with what `err` says. */
void test_ok(int64_t rc, const ox_error *err);

#endif /* OX_TESTS_JOBS_H */
