/*
 * daemon_bench.h - ox-worker for a test: each has a queue of its own, on one server for all of
 * the program, and workers that run the handlers of rogue.c in this very program.
 *
 * A program of tests begins as rogue.h says, sets `bench_program` to its own path, and has
 * bench_begin() and bench_end() around its tests, bench_open() and bench_close() around each.
 */
#ifndef OX_TESTS_DAEMON_BENCH_H
#define OX_TESTS_DAEMON_BENCH_H

#include <glib.h>
#include <ox.h>

#include "process.h"
#include "redis.h"

#define BENCH_DEADLINE_MS 30000

/* A queue of its own for each test. */
struct bench {
    struct test_redis *redis;
    ox_client *client;
    ox_queue *queue;
    char *name;
    char *folder;
    GPtrArray *workers; /* struct test_process */
};

/** The path of this program. */
extern char *bench_program;
/** The server of all tests. */
extern struct test_redis *bench_redis;

int bench_begin(void **state);
int bench_end(void **state);
int bench_open(void **state);
int bench_close(void **state);
/** The test's view of its queue, to be made anew where its server is another one. */
void bench_open_queue(struct bench *bench);
void bench_close_queue(struct bench *bench);

/* ---- Workers ----------------------------------------------------------------------------- */

/** Starts ox-worker with these words behind the server's URL. */
struct test_process *start_words(struct bench *bench, const char *words);
/** Starts a worker on the queue with a handler of rogue.c, and waits until it takes jobs. */
struct test_process *start_rogue(struct bench *bench, const char *handler, const char *options);
/** How often that stands in the text. */
int count_of(const char *text, const char *what);

/* ---- Jobs -------------------------------------------------------------------------------- */

/** Adds a job; its id (ox_free). */
char *add(struct bench *bench, const char *json, uint32_t attempts);
/** A path in the bench's folder (g_free). As the data of a job it is quoted(); handlers take
 *  the bare text. */
char *in_folder(const struct bench *bench, const char *name);
char *quoted(const char *text);
/** Waits until the job is in that state. */
void await_state(struct bench *bench, const char *id, int state);
void assert_field(struct bench *bench, const char *id, const char *field, const char *wanted);
/** How many jobs are in that state. */
int64_t count(struct bench *bench, int state);
bool file_is_there(void *path);
void await_file(char *path);
/** Waits until all processes of the handler `hang` that was given this path are gone. */
void assert_dead(char *path);

#endif /* OX_TESTS_DAEMON_BENCH_H */
