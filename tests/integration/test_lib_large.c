/*
 * test_lib_large.c - jobs with large data or options, which scripts do not handle: see
 * engine/fetch.h.
 */
#include "../support/check.h"

#include "../support/engine.h"

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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, engine_up, engine_down)
    const struct CMUnitTest tests[] = {
        TEST(test_large_jobs_come_whole),
    };
    return cmocka_run_group_tests_name("large jobs", tests, NULL, NULL);
}
