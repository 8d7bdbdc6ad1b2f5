/*
 * engine.h - a worker of libox under test: a server, a queue and a loop for each test.
 *
 * The worker runs in the test's own process, so a test can stop its loop at any turn, end its
 * jobs when it likes and look at Redis meanwhile. What a job does is its name:
 *
 *   ok        completes with {"ok":true}, as does every name that is not here
 *   fail      fails, and may be tried again; "never" fails for good
 *   hold      waits in engine->held for the test to end it; "slow" ends after 20 ms
 *   bad       returns what is no JSON
 *   talk      says all that a job can say, and returns nothing
 *   later     is put off by 50 ms, "back" given back, "limit" meets a rate limit of 150 ms;
 *             all complete when they run again
 *   children  waits for its children, and returns "went on"
 */
#ifndef OX_TESTS_ENGINE_H
#define OX_TESTS_ENGINE_H

#include <glib.h>
#include <ox.h>
#include <uv.h>

#include "redis.h"

#define ENGINE_DEADLINE_MS 20000

struct engine {
    struct test_redis *redis;
    ox_client *client;
    ox_queue *queue; /* "q" */
    uv_loop_t loop;
    ox_worker *worker; /* NULL while there is none */
    ox_worker_options options;
    void (*process)(ox_task *task); /* NULL: what the names say */
    void (*lost)(ox_task *task);    /* told of a lost lease; may be NULL */
    uint32_t updates_done;          /* calls of that name */
    uint32_t started, attempt, most_running, n_lost, errors, ready, went_on;
    GString *order;  /* names and ids of started jobs */
    GPtrArray *held; /* tasks that a test ends by itself */
    bool closed;
    int64_t last_start_ms;
    char last_error[256];
    GString *told;    /* of run_ended: "id outcome[ unrun][ reason][: error]", a line each */
    GString *noticed; /* of notice: "id number", a line each */
};

/** The running test's. */
extern struct engine *engine;

/** Set-up and tear-down of a test. The latter aborts a worker that is left, and fails when the
 *  loop has anything left to do. */
int engine_up(void **state);
int engine_down(void **state);
/** The same on a server with more words for its command line, see test_redis_start(). */
int engine_up_with(const char *const *args);

/** Makes engine->worker with engine->options. */
void engine_start(void);
/** The same; returns what ox_worker_new() does. */
int engine_try_start(ox_error *err);
/** Closes, or aborts, the worker and waits until it is gone. */
void engine_close(void);
void engine_abort(void);
/** For calls of ox_worker_close() by a test: notes that the worker is gone. */
void engine_on_closed(void *arg);

/** Turns the loop until `is_so` or the deadline. */
bool engine_turn_until(bool (*is_so)(void), int64_t deadline_ms);
/** Turns the loop for that long. */
void engine_turn_for(int64_t ms);
bool engine_is_closed(void);
bool engine_is_ready(void);
bool engine_has_lost(void);
/** Turns the loop until a line of `told` or `noticed` is this. */
void engine_wait_told(const char *line);
void engine_wait_noticed(const char *line);
bool engine_has_errors(void);
/** Turn the loop until there are so many, or fail the test. */
void engine_wait_completed(long long count);
void engine_wait_failed(long long count);
void engine_wait_started(long long count);

/** Adds jobs without data. The id is the caller's (g_free). */
char *engine_add(const char *name, const ox_job_options *options);
void engine_add_many(const char *name, size_t count, const ox_job_options *options);

/** What a command says of a key of the queue: engine_size("LLEN", "wait"). */
long long engine_size(const char *command, const char *suffix);
/** A field of a job's hash, NULL for one that is missing. */
void engine_expect_field(const char *id, const char *field, const char *value);
/** Nothing is active, and nothing is locked. */
void engine_expect_clean(void);

#endif /* OX_TESTS_ENGINE_H */
