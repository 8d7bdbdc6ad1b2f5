/* daemon_bench.c - see daemon_bench.h. */
#include "check.h"

#include <errno.h>
#include <glib.h>
#include <ox.h>
#include <signal.h>
#include <string.h>

#include "daemon_bench.h"
#include "files.h"
#include "process.h"
#include "rogue.h"
#include "worker.h"

char *bench_program;
struct test_redis *bench_redis;

int bench_begin(void **state)
{
    (void)state;
    bench_redis = test_redis_start(NULL);
    return 0;
}

int bench_end(void **state)
{
    (void)state;
    test_redis_stop(bench_redis);
    return 0;
}

void bench_open_queue(struct bench *bench)
{
    const ox_client_options options = { .url = test_redis_url(bench->redis) };
    ox_error err = { 0 };
    if (ox_client_new(&bench->client, &options, &err) < 0 ||
        ox_queue_new(&bench->queue, bench->client, bench->name, NULL, &err) < 0)
        test_fatal("%s", err.text);
}

void bench_close_queue(struct bench *bench)
{
    ox_queue_free(bench->queue);
    ox_client_free(bench->client);
    bench->queue = NULL;
    bench->client = NULL;
}

int bench_open(void **state)
{
    static int number;
    struct bench *bench = g_new0(struct bench, 1);
    bench->redis = bench_redis;
    bench->name = g_strdup_printf("q%d", ++number);
    bench->folder = test_dir_new();
    bench->workers = g_ptr_array_new_with_free_func((GDestroyNotify)test_process_free);
    bench_open_queue(bench);
    *state = bench;
    return 0;
}

int bench_close(void **state)
{
    struct bench *bench = *state;
    g_ptr_array_free(bench->workers, TRUE);
    bench_close_queue(bench);
    test_remove(bench->folder);
    g_free(bench->folder);
    g_free(bench->name);
    g_free(bench);
    return 0;
}

/* ---- Workers ----------------------------------------------------------------------------- */

struct test_process *start_words(struct bench *bench, const char *words)
{
    const char *const none[] = { NULL };
    struct test_process *worker = test_worker_start(bench->redis->url, words, none);
    g_ptr_array_add(bench->workers, worker);
    return worker;
}

struct test_process *start_rogue(struct bench *bench, const char *handler, const char *options)
{
    g_autofree char *words = g_strdup_printf("--handler-program %s --log-level debug %s%s%s=%s",
        bench_program, options, *options ? " " : "", bench->name, handler);
    struct test_process *worker = start_words(bench, words);
    test_worker_connects(worker);
    return worker;
}

int count_of(const char *text, const char *what)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        count++;
    return count;
}

/* ---- Jobs -------------------------------------------------------------------------------- */

char *add(struct bench *bench, const char *json, uint32_t attempts)
{
    const ox_job_options options = { .attempts = attempts };
    ox_error err = { 0 };
    char *id = NULL;
    if (ox_queue_add(bench->queue, "do", json, &options, &id, &err) < 0)
        test_fatal("%s", err.text);
    return id;
}

char *in_folder(const struct bench *bench, const char *name)
{
    return g_build_filename(bench->folder, name, NULL);
}

char *quoted(const char *text)
{
    return g_strdup_printf("\"%s\"", text);
}

void await_state(struct bench *bench, const char *id, int state)
{
    guint count = bench->workers->len;
    const struct test_process *newest =
        count > 0 ? g_ptr_array_index(bench->workers, count - 1) : NULL;
    test_job_is(bench->queue, id, state, newest);
}

void assert_field(struct bench *bench, const char *id, const char *field, const char *wanted)
{
    g_autofree char *text =
        test_redis_text(bench->redis, "HGET bull:%s:%s %s", bench->name, id, field);
    if (g_strcmp0(text, wanted) != 0)
        test_fatal("job %s: %s is %s, not %s", id, field, text ? text : "(nil)", wanted);
}

int64_t count(struct bench *bench, int state)
{
    ox_counts counts;
    ox_error err = { 0 };
    if (ox_queue_counts(bench->queue, &counts, &err) < 0)
        test_fatal("%s", err.text);
    return counts.of[state];
}

bool file_is_there(void *path)
{
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

void await_file(char *path)
{
    if (!test_wait_for(BENCH_DEADLINE_MS, file_is_there, path))
        test_fatal("%s did not come", path);
}

void assert_dead(char *path)
{
    if (!test_wait_for(BENCH_DEADLINE_MS, rogue_is_gone, path))
        test_fatal("processes of a job are left");
}
