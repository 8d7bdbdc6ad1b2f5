/*
 * settings_bench.h - ox-worker with a settings file, for tests that write the file, tell the
 * worker to read it again, and look at its jobs and its log. One worker and one folder for each
 * test, one server for each program.
 *
 * Real processes and a real Redis. The handlers are those of rogue.c: main() begins as rogue.h
 * says, so that ox-worker starts this very program as its program of handlers.
 */
#ifndef TEST_SETTINGS_BENCH_H
#define TEST_SETTINGS_BENCH_H

#include "../support/check.h"

#include <glib.h>
#include <ox.h>
#include <signal.h>
#include <string.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/rogue.h"
#include "../support/server.h"
#include "../support/worker.h"
#include "worker/serve.h"

#define DEADLINE_MS 30000

/* Of the program. */
static char *self; /* its path */
static ox_client *client;

/* What a test has: a folder with the settings file, and a worker that it started. */
static struct {
    char *folder, *conf;
    struct test_process *worker;
    size_t seen; /* of what it logged: where await_line() goes on */
} bench;

static inline int begin(void **state)
{
    ox_error err = { 0 };
    int status = test_server_up(state);
    const ox_client_options options = { .url = test_redis_url(redis) };
    if (ox_client_new(&client, &options, &err) < 0)
        test_fatal("%s", err.text);
    self = g_file_read_link("/proc/self/exe", NULL);
    return status;
}

static inline int end(void **state)
{
    ox_client_free(client);
    g_free(self);
    return test_server_down(state);
}

static inline int open_bench(void **state)
{
    (void)state;
    bench.folder = test_dir_new();
    bench.conf = g_build_filename(bench.folder, "ox.conf", NULL);
    bench.worker = NULL;
    bench.seen = 0;
    test_redis_do(redis, "FLUSHALL");
    return 0;
}

static inline int close_bench(void **state)
{
    (void)state;
    test_process_free(bench.worker);
    test_remove(bench.folder);
    g_free(bench.folder);
    g_free(bench.conf);
    return 0;
}

/** A test that has a bench. */
#define WITH_SETTINGS(test) cmocka_unit_test_setup_teardown(test, open_bench, close_bench)

/* ---- the worker -------------------------------------------------------------------------- */

/* The file: the server, the program of handlers, a fast end; then `text`. */
static inline void write_conf(const char *more, const char *text)
{
    g_autofree char *whole = g_strdup_printf("[worker]\nredis = %s\nhandler-program = %s\n%s%s",
        test_redis_url(redis), self, more, text);
    test_write(bench.conf, whole, -1);
}

struct line_wait {
    const char *text;
};

static inline bool is_logged(void *arg)
{
    const struct line_wait *wait = arg;
    g_autofree char *err = test_process_err(bench.worker);
    const char *at = strlen(err) > bench.seen ? strstr(err + bench.seen, wait->text) : NULL;
    if (at)
        bench.seen = (size_t)(at - err) + strlen(wait->text);
    return at != NULL;
}

/* Waits for a line behind the one that was waited for last. */
static inline void await_line(const char *text)
{
    struct line_wait wait = { text };
    if (!test_wait_for(DEADLINE_MS, is_logged, &wait)) {
        g_autofree char *err = test_process_err(bench.worker);
        test_fatal("'%s' was not logged, but: %s", text, err);
    }
}

static inline void start(const char *text)
{
    write_conf("", text);
    const char *const argv[] = { "ox-worker", "--config", bench.conf, NULL };
    bench.worker = test_start(argv, NULL);
    await_line("event=connected");
}

static inline void reload(const char *text)
{
    write_conf("", text);
    test_process_signal(bench.worker, SIGHUP);
}

static inline void stop(void)
{
    test_worker_stop(bench.worker);
}

static inline int count_of(const char *text, const char *what)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        count++;
    return count;
}

/* What it logs when it is asked for its state. */
static inline char *ask_status(void)
{
    size_t before = bench.seen;
    g_autofree char *logged = test_process_err(bench.worker);
    size_t from = bench.seen = strlen(logged);
    test_process_signal(bench.worker, SIGUSR1);
    await_line("event=status");
    await_line("rss=");
    g_autofree char *err = test_process_err(bench.worker);
    bench.seen = before;
    return g_strdup(err + from);
}

/* ---- jobs -------------------------------------------------------------------------------- */

static inline char *add(const char *queue_name, const char *name, const char *json)
{
    ox_queue *queue = NULL;
    ox_error err = { 0 };
    char *id = NULL;
    const ox_job_options options = { .attempts = 3 };
    if (ox_queue_new(&queue, client, queue_name, NULL, &err) < 0 ||
        ox_queue_add(queue, name, json, &options, &id, &err) < 0)
        test_fatal("%s", err.text);
    ox_queue_free(queue);
    return id;
}

static inline void await_state(const char *queue_name, const char *id, int state)
{
    ox_queue *queue = NULL;
    assert_int_equal(ox_queue_new(&queue, client, queue_name, NULL, NULL), 0);
    test_job_is(queue, id, state, bench.worker);
    ox_queue_free(queue);
}

static inline void expect_field_of(
    const char *queue_name, const char *id, const char *field, const char *wanted)
{
    g_autofree char *text = test_redis_text(redis, "HGET bull:%s:%s %s", queue_name, id, field);
    if (g_strcmp0(text, wanted) != 0)
        test_fatal("%s %s: %s is %s, not %s", queue_name, id, field, text, wanted);
}

static inline void run_and_expect(const char *queue_name, const char *name, const char *returns)
{
    char *id = add(queue_name, name, "{\"a\":1}");
    await_state(queue_name, id, OX_COMPLETED);
    expect_field_of(queue_name, id, "returnvalue", returns);
    ox_free(id);
}

/* A path in the folder as JSON, for the handler `until`: it runs until the file is there. */
static inline char *gate(const char *name)
{
    return g_strdup_printf("\"%s/%s\"", bench.folder, name);
}

static inline bool file_is_there(void *path)
{
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static inline void await_begun(const char *name)
{
    g_autofree char *path = g_strdup_printf("%s/%s.begun", bench.folder, name);
    if (!test_wait_for(DEADLINE_MS, file_is_there, path)) {
        g_autofree char *err = test_process_err(bench.worker);
        test_fatal("%s did not begin: %s", name, err);
    }
}

static inline void open_gate(const char *name)
{
    g_autofree char *path = g_build_filename(bench.folder, name, NULL);
    test_write(path, "", 0);
}

static inline bool has_begun(const char *name)
{
    g_autofree char *path = g_strdup_printf("%s/%s.begun", bench.folder, name);
    return file_is_there(path);
}

#endif /* TEST_SETTINGS_BENCH_H */
