/*
 * test_lib_large.c - jobs with large data or options, which scripts do not handle: see
 * engine/fetch.h.
 */
#include "../support/check.h"

#include "../support/engine.h"
#include "../support/jobs.h"

#include <stdlib.h>
#include <string.h>

static uint32_t whole; /* jobs that came as they were added */

/* A job of `large_job()` has its size as its name. */
static char *large_data(size_t size)
{
    g_autofree char *text = g_strnfill(size, 'x');
    return g_strdup_printf("{\"size\":%zu,\"text\":\"%s\",\"e\":1}", size, text);
}

static void check_large(ox_task *task)
{
    const ox_job *job = ox_task_job(task);
    g_autofree char *data = large_data(strtoul(ox_job_text(job, OX_JOB_NAME), NULL, 10));
    if (strcmp(ox_job_text(job, OX_JOB_DATA), data) == 0 &&
        ox_job_length(job, OX_JOB_DATA) == strlen(data)) {
        whole++;
    }
    assert_int_equal(ox_job_attempts(job), 2);
    ox_task_complete(task, NULL);
}

/* What is large is read by itself, and begins as the others do; also with large options. */
static void test_large_jobs_come_whole(void **state)
{
    static const size_t sizes[] = { 10, 100000, 4000, 4200, 10, 3000000, 5000, 10, 20000,
        4096 };
    const ox_job_options twice = { .attempts = 2 };
    ox_error err = { 0 };
    (void)state;
    whole = 0;
    for (size_t i = 0; i < 60; i++) {
        size_t size = sizes[i % G_N_ELEMENTS(sizes)];
        g_autofree char *name = g_strdup_printf("%zu", size), *data = large_data(size);
        test_ok(ox_queue_add(engine->queue, name, data, &twice, NULL, &err), &err);
    }
    g_autofree char *pad = g_strnfill(9000, 'p');
    for (int id = 1; id <= 60; id += 7) {
        g_autofree char *set =
            g_strdup_printf("HSET bull:q:%d opts {\"attempts\":2,\"pad\":\"%s\"}", id, pad);
        test_redis_int(engine->redis, set);
    }
    engine->options.concurrency = 8;
    engine->process = check_large;
    engine_start();
    engine_wait_completed(60);
    assert_int_equal(whole, 60);
    engine_close();
    engine_expect_clean();
    assert_int_equal(engine->errors, 0);
}

static void add_large(size_t size)
{
    g_autofree char *name = g_strdup_printf("%zu", size), *data = large_data(size);
    const ox_job_options twice = { .attempts = 2 };
    ox_error err = { 0 };
    test_ok(ox_queue_add(engine->queue, name, data, &twice, NULL, &err), &err);
}

/* What is written before the script runs. */
static void expect_no_key_apart(void)
{
    redisReply *keys = test_redis_command(engine->redis, "KEYS bull:q::*");
    assert_int_equal(keys->elements, 0);
    freeReplyObject(keys);
}

/* All ways to add, in turn; each job has the same fields, and nothing else is left. */
static void test_large_adds_are_jobs_like_others(void **state)
{
    static const size_t sizes[] = { 200000, 10, 10, 60000, 70000, 10, 49152, 49000, 2000000 };
    const ox_job_options twice = { .attempts = 2 }, own = { .attempts = 2, .id = "own" };
    ox_new_job jobs[G_N_ELEMENTS(sizes)] = { 0 };
    char *ids[G_N_ELEMENTS(sizes)];
    ox_error err = { 0 };
    (void)state;
    whole = 0;
    add_large(100000);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        jobs[i].name = g_strdup_printf("%zu", sizes[i]);
        jobs[i].json = large_data(sizes[i]);
        jobs[i].options = &twice;
    }
    test_ok(ox_queue_add_bulk(engine->queue, jobs, G_N_ELEMENTS(sizes), ids, &err), &err);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *id = g_strdup_printf("%zu", i + 2);
        assert_string_equal(ids[i], id);
        free(ids[i]);
    }
    g_autofree char *data = large_data(100000);
    test_ok(ox_queue_add(engine->queue, "100000", data, &own, NULL, &err), &err);
    assert_int_equal(test_redis_int(engine->redis, "LLEN bull:q:wait"), 11);
    assert_int_equal(test_redis_int(engine->redis, "HLEN bull:q:1"), 6);
    assert_int_equal(test_redis_int(engine->redis, "HLEN bull:q:3"), 6);
    expect_no_key_apart();
    /* Two for each: `added` and `waiting`. */
    assert_int_equal(test_redis_int(engine->redis, "XLEN bull:q:events"), 22);
    engine->process = check_large;
    engine_start();
    engine_wait_completed(11);
    assert_int_equal(whole, 11);
    engine_close();
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_free((char *)jobs[i].name);
        g_free((char *)jobs[i].json);
    }
}

/* A hash that is there already keeps its other fields, as with a small job. */
static void test_a_large_add_meets_a_hash(void **state)
{
    (void)state;
    whole = 0;
    test_redis_int(engine->redis, "HSET bull:q:1 other 7");
    add_large(100000);
    assert_int_equal(test_redis_int(engine->redis, "HLEN bull:q:1"), 7);
    expect_no_key_apart();
    engine->process = check_large;
    engine_start();
    engine_wait_completed(1);
    assert_int_equal(whole, 1);
    engine_close();
}

/* An add that fails leaves neither job nor data, whatever it meets. */
static void test_a_large_add_that_fails_leaves_nothing(void **state)
{
    static const char *const met[][2] = {
        { "LPUSH bull:q:events x", "DEL bull:q:events" },
        { "RPUSH bull:q:id x", "DEL bull:q:id" },
        { "HSET bull:q:wait x 1", "DEL bull:q:wait" },
        { "LPUSH bull:q:1 x", "DEL bull:q:1" },
    };
    g_autofree char *data = large_data(100000);
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(met); i++) {
        ox_error err = { 0 };
        test_redis_int(engine->redis, met[i][0]);
        assert_int_equal(ox_queue_add(engine->queue, "x", data, NULL, NULL, &err), OX_ESERVER);
        assert_non_null(strstr(err.text, "queue q: "));
        test_redis_int(engine->redis, met[i][1]);
        expect_no_key_apart();
        assert_int_equal(test_redis_int(engine->redis, "EXISTS bull:q:1"), 0);
        assert_int_equal(test_redis_int(engine->redis, "LLEN bull:q:wait"), 0);
        test_redis_do(engine->redis, "DEL bull:q:id bull:q:marker");
    }
    add_large(100000);
    assert_int_equal(test_redis_int(engine->redis, "HLEN bull:q:1"), 6);
}

static gpointer add_in_turn(gpointer name)
{
    g_autofree char *url = g_strdup_printf("unix://u:pw@%s", engine->redis->socket);
    const ox_client_options options = { .url = url };
    ox_client *client = NULL;
    ox_queue *queue = NULL;
    ox_error err = { 0 };
    g_autofree char *text = g_strnfill(300000, 'x');
    g_autofree char *data =
        g_strdup_printf("{\"name\":\"%s\",\"text\":\"%s\"}", (char *)name, text);
    long refused = 0;
    if (ox_client_new(&client, &options, &err) == 0 &&
        ox_queue_new(&queue, client, "q", NULL, &err) == 0) {
        for (int i = 0; i < 15; i++) {
            refused += ox_queue_add(queue, name, data, NULL, NULL, &err) < 0 &&
                       strstr(err.text, "without MULTI") != NULL;
        }
    }
    ox_queue_free(queue);
    ox_client_free(client);
    return GINT_TO_POINTER(refused);
}

/* Without MULTI the commands of several clients mix: no job gets the data of another. */
static void test_large_adds_without_a_transaction(void **state)
{
    static const char *const names[] = { "a", "b", "c" };
    GThread *threads[G_N_ELEMENTS(names)];
    (void)state;
    test_redis_do(engine->redis, "ACL SETUSER u on >pw ~* &* +@all -multi");
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        threads[i] = g_thread_new(names[i], add_in_turn, (gpointer)names[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        assert_int_equal(GPOINTER_TO_INT(g_thread_join(threads[i])), 15);
    }
    long long count = test_redis_int(engine->redis, "GET bull:q:id");
    assert_int_equal(count, 45);
    for (int id = 1; id <= count; id++) {
        g_autofree char *name = test_redis_text(engine->redis, "HGET bull:q:%d name", id);
        g_autofree char *data = test_redis_text(engine->redis, "HGET bull:q:%d data", id);
        g_autofree char *expected = g_strdup_printf("{\"name\":\"%s\"", name);
        assert_true(g_str_has_prefix(data, expected));
    }
    expect_no_key_apart();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, engine_up, engine_down)
    const struct CMUnitTest tests[] = {
        TEST(test_large_jobs_come_whole),
        TEST(test_large_adds_are_jobs_like_others),
        TEST(test_a_large_add_meets_a_hash),
        TEST(test_a_large_add_that_fails_leaves_nothing),
        TEST(test_large_adds_without_a_transaction),
    };
    return cmocka_run_group_tests_name("large jobs", tests, NULL, NULL);
}
