/*
 * test_lib_stored.c - the worker engine of libox when what is stored, or what it is told, is
 * odd: jobs that are gone or broken, numbers that are none, times at the ends of their ranges.
 */
#include "../support/check.h"

#include "../support/engine.h"
#include "../support/jobs.h"
#include "lib/engine/jobs.h"

#include <stdlib.h>
#include <string.h>

/* Reason, stack trace and the only row of the job's log are one text. */
static void expect_story(const char *id, const char *reason)
{
    g_autofree char *traces = g_strdup_printf("[\"%s\"]", reason);
    engine_expect_field(id, "failedReason", reason);
    engine_expect_field(id, "stacktrace", traces);
    g_autofree char *row = test_redis_text(engine->redis, "LINDEX bull:q:%s:logs 0", id);
    assert_int_equal(test_redis_int(engine->redis, "LLEN bull:q:%s:logs", id), 1);
    assert_string_equal(row, reason);
}

static void test_bad_stored_values_fail_the_job(void **state)
{
    (void)state;
    g_autofree char *data = engine_add("ok", NULL);
    g_autofree char *opts = engine_add("ok", NULL);
    g_autofree char *value = engine_add("bad", NULL);
    test_redis_int(engine->redis, "HSET bull:q:%s data {oops", data);
    test_redis_int(engine->redis, "HSET bull:q:%s opts [1", opts);
    engine_add_many("ok", 1, NULL);
    engine_start();
    engine_wait_completed(1);
    engine_wait_failed(3);
    expect_story(data, "the job's stored data is not JSON");
    expect_story(opts, "the job's stored options are not a JSON object");
    expect_story(value, "the handler's return value is not JSON");
    engine_expect_clean();
    engine_close();
}

static void test_a_vanished_job_leaves_no_ghost(void **state)
{
    (void)state;
    g_autofree char *id = engine_add("ok", NULL);
    engine_add_many("ok", 1, NULL);
    test_redis_int(engine->redis, "DEL bull:q:%s", id);
    engine_start();
    engine_wait_completed(1);
    engine_close();
    assert_int_equal(test_redis_int(engine->redis, "EXISTS bull:q:%s", id), 0);
    engine_expect_clean();
}

static void test_a_job_deleted_while_it_runs(void **state)
{
    (void)state;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    test_redis_int(engine->redis, "DEL bull:q:%s", id);
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    engine_close();
    assert_int_equal(engine->errors, 1);
    assert_non_null(strstr(engine->last_error, "the job does not exist"));
    assert_int_equal(test_redis_int(engine->redis, "EXISTS bull:q:%s", id), 0);
    engine_expect_clean();
}

/* What others stored as numbers may be none. */
static void test_accepts_odd_counts(void **state)
{
    (void)state;
    g_autofree char *text = engine_add("ok", NULL);
    g_autofree char *negative = engine_add("ok", NULL);
    g_autofree char *huge = engine_add("fail", NULL);
    test_redis_int(engine->redis, "HSET bull:q:%s ats x atm 1", text);
    test_redis_int(engine->redis, "HSET bull:q:%s ats -3 atm -3", negative);
    test_redis_int(engine->redis, "HSET bull:q:%s ats 1e30 atm 9e17", huge);
    engine_start();
    engine_wait_completed(2);
    engine_wait_failed(1);
    assert_int_equal(engine->attempt, UINT32_MAX);
    engine_expect_field(text, "ats", "1");
    engine_expect_clean();
    engine_close();
}

/* Jobs that an older version lost: who never ran does, and who ended is told of, once. */
static void test_jobs_without_a_state_are_restored(void **state)
{
    (void)state;
    engine->options.stalled_interval_ms = 50;
    engine_add_many("ok", 3, NULL);
    test_redis_do(engine->redis, "DEL bull:q:wait");
    test_redis_int(engine->redis, "HSET bull:q:2 processedOn 5 ats 1");
    test_redis_int(engine->redis, "HSET bull:q:3 processedOn 5 finishedOn 6");
    engine_start();
    engine_wait_noticed("1 5");
    engine_wait_noticed("2 5");
    engine_wait_noticed("3 6");
    engine_wait_completed(2);
    g_string_truncate(engine->noticed, 0);
    int64_t end = test_now_ms() + 400;
    while (test_now_ms() < end) {
        uv_run(&engine->loop, UV_RUN_NOWAIT);
    }
    assert_string_equal(engine->noticed->str, "");
    engine_expect_field("2", "stc", "1");
    assert_int_equal(engine->started, 2);
    engine_close();
}

/* What others stored as numbers may be none; one such job must not stop those that end with
 * it, nor get lost itself. */
static void test_attempts_that_are_no_number(void **state)
{
    (void)state;
    engine->options.concurrency = 10;
    g_autofree char *odd = engine_add("hold", NULL);
    g_autofree char *failing = engine_add("hold", NULL);
    g_autofree char *good = engine_add("hold", NULL);
    test_redis_int(engine->redis, "HSET bull:q:%s atm many", odd);
    test_redis_int(engine->redis, "HSET bull:q:%s atm many", failing);
    engine_start();
    engine_wait_started(3);
    const ox_failure failure = { .reason = "no good" };
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    ox_task_fail(g_ptr_array_index(engine->held, 1), &failure);
    ox_task_complete(g_ptr_array_index(engine->held, 2), "3");
    engine_wait_completed(2);
    engine_wait_failed(1);
    engine_expect_field(odd, "atm", "1");
    engine_expect_field(failing, "atm", "1");
    engine_expect_field(good, "returnvalue", "3");
    engine_expect_clean();
    engine_close();
    assert_int_equal(engine->errors, 0);
}

/* A retry counts as well. */
static void test_a_retry_with_attempts_that_are_no_number(void **state)
{
    const ox_job_options twice = { .attempts = 2,
        .backoff = { .type = "fixed", .delay_ms = 5 } };
    (void)state;
    g_autofree char *id = engine_add("fail", &twice);
    test_redis_int(engine->redis, "HSET bull:q:%s atm many", id);
    engine_start();
    engine_wait_failed(1);
    engine_expect_field(id, "atm", "2");
    engine_expect_clean();
    engine_close();
}

/* Something else has the key of a job that waits, or is due. */
static void test_a_strange_key_costs_no_other_job(void **state)
{
    const ox_job_options later = { .delay_ms = 1 };
    (void)state;
    engine->options.concurrency = 10;
    for (int i = 0; i < 3; i++) {
        g_autofree char *id = engine_add("ok", i == 1 ? NULL : &later);
        engine_add_many("ok", 1, i == 1 ? NULL : &later);
        test_redis_do(engine->redis, "SET bull:q:%s text", id);
    }
    engine_start();
    engine_wait_completed(3);
    engine_close();
    assert_int_equal(engine_size("LLEN", "wait"), 0);
    assert_int_equal(engine_size("ZCARD", "delayed"), 0);
    engine_expect_clean();
}

/* What a stalled check finds may be no job either. */
static void test_stalled_check_survives_odd_jobs(void **state)
{
    (void)state;
    engine->options.stalled_interval_ms = 50;
    for (int i = 0; i < 4; i++) {
        ox_free(engine_add("ok", NULL));
    }
    test_redis_int(engine->redis, "HSET bull:q:1 stc often");
    test_redis_do(engine->redis, "SET bull:q:2 text");
    test_redis_int(engine->redis, "DEL bull:q:wait");
    test_redis_int(engine->redis, "RPUSH bull:q:active 1 2 3 4");
    engine_start();
    engine_wait_completed(3);
    engine_close();
    engine_expect_field("3", "stc", "1");
    engine_expect_field("1", "stc", "1");
    engine_expect_clean();
    assert_int_equal(engine->errors, 0);
}

static void test_settings_that_are_no_numbers(void **state)
{
    (void)state;
    test_redis_int(engine->redis,
        "HSET bull:q:meta concurrency few opts.maxLenEvents many max x duration x");
    test_redis_do(engine->redis, "SET bull:q:limiter x");
    engine->options.limiter_max = 100;
    engine->options.limiter_duration_ms = 1000;
    const ox_job_options options = { .priority = 3 };
    engine_add_many("ok", 3, NULL);
    engine_add_many("ok", 3, &options);
    engine_start();
    engine_wait_completed(6);
    engine_close();
    engine_expect_clean();
    assert_int_equal(engine->errors, 0);
}

/* Times beyond all reason are long, and no reason to lose a job. */
static void delay_for_ever(ox_task *task)
{
    ox_task_delay(task, INT64_MAX);
}

static void delay_into_the_past(ox_task *task)
{
    if (engine->started == 1) {
        ox_task_delay(task, INT64_MIN);
    } else {
        ox_task_complete(task, NULL);
    }
}

static void limit_for_ever(ox_task *task)
{
    ox_task_rate_limited(task, INT64_MAX);
}

static bool is_delayed(void)
{
    return engine_size("ZCARD", "delayed") == 1;
}

static bool is_waiting_again(void)
{
    return engine->started > 0 && engine_size("LLEN", "wait") == 1;
}

static void test_times_out_of_range(void **state)
{
    (void)state;
    engine_add_many("x", 1, NULL);
    engine->process = delay_for_ever;
    engine_start();
    assert_true(engine_turn_until(is_delayed, ENGINE_DEADLINE_MS));
    engine_close();
    test_redis_do(engine->redis, "FLUSHALL");

    engine_add_many("x", 1, NULL);
    engine->started = 0;
    engine->process = delay_into_the_past;
    engine_start();
    engine_wait_completed(1);
    engine_close();
    test_redis_do(engine->redis, "FLUSHALL");

    engine_add_many("x", 1, NULL);
    engine->started = 0;
    engine->process = limit_for_ever;
    engine_start();
    assert_true(engine_turn_until(is_waiting_again, ENGINE_DEADLINE_MS));
    engine_close();
    engine_expect_clean();
    assert_int_equal(engine->errors, 0);
}

static void test_rate_windows_out_of_range(void **state)
{
    (void)state;
    engine->options.limiter_max = 100;
    engine->options.limiter_duration_ms = INT64_MAX;
    engine->options.remove_on_complete = (ox_keep){ .mode = OX_KEEP_SOME, .count = INT64_MAX };
    engine->options.remove_on_fail = (ox_keep){ .mode = OX_KEEP_SOME, .age_s = INT64_MAX };
    engine_add_many("ok", 3, NULL);
    engine_add_many("never", 3, NULL);
    engine_start();
    engine_wait_completed(3);
    engine_wait_failed(3);
    engine_close();
    engine_expect_clean();
    assert_int_equal(engine->errors, 0);
    test_redis_int(engine->redis, "HSET bull:q:meta max 50 duration 1e300");
    engine->options.limiter_max = 0;
    engine->options.limiter_duration_ms = 0;
    test_redis_int(engine->redis, "DEL bull:q:limiter");
    engine_add_many("ok", 3, NULL);
    engine_start();
    engine_wait_completed(6);
    engine_close();
    assert_int_equal(engine->errors, 0);
}

/* BullMQ before 5.0 left markers in the list of ids. */
static void test_skips_obsolete_markers(void **state)
{
    (void)state;
    engine_add_many("ok", 2, NULL);
    for (int i = 0; i < 5; i++) {
        test_redis_int(engine->redis, "RPUSH bull:q:wait 0:%d", i);
    }
    engine_start();
    engine_wait_completed(2);
    engine_close();
    assert_int_equal(engine_size("LLEN", "wait"), 0);
}

/* Metrics that another program wrote, or that nobody has touched for a long time. */
static void test_accepts_odd_metrics(void **state)
{
    (void)state;
    engine->options.metrics_points = 5000;
    test_redis_int(
        engine->redis, "HSET bull:q:metrics:completed count few prevTS never prevCount x");
    test_redis_int(engine->redis, "HSET bull:q:metrics:failed count 7 prevTS 0 prevCount 4");
    engine_add_many("ok", 1, NULL);
    engine_add_many("never", 1, NULL);
    engine_start();
    engine_wait_completed(1);
    engine_wait_failed(1);
    engine_close();
    assert_int_equal(engine->errors, 0);
    assert_int_equal(test_redis_int(engine->redis, "HGET bull:q:metrics:completed count"), 1);
    assert_int_equal(test_redis_int(engine->redis, "HGET bull:q:metrics:failed count"), 8);
    assert_int_equal(test_redis_int(engine->redis, "HGET bull:q:metrics:failed prevCount"), 7);
    assert_int_equal(engine_size("LLEN", "metrics:failed:data"), 5000);
}

static void test_the_shortest_times_work(void **state)
{
    (void)state;
    engine->options.stalled_interval_ms = 1;
    engine->options.drain_delay_ms = 1;
    engine_start();
    assert_true(engine_turn_until(engine_is_ready, ENGINE_DEADLINE_MS));
    engine_add_many("ok", 3, NULL);
    engine_wait_completed(3);
    engine_close();
    assert_int_equal(engine->errors, 0);
}

/* Three tenths of a long lock are a long time, not what is left of them in 32 bits. */
static void test_the_longest_locks_are_renewed_seldom(void **state)
{
    static const uint32_t locks_ms[] = { 1431655766, UINT32_MAX };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(locks_ms); i++) {
        engine->options.lock_ms = locks_ms[i];
        engine->ready = 0;
        engine_start();
        assert_in_range(
            engine->worker->options.renew_ms, locks_ms[i] / 10 * 3, locks_ms[i] / 10 * 3 + 4);
        assert_true(engine_turn_until(engine_is_ready, ENGINE_DEADLINE_MS));
        engine_close();
    }
}

/* Jobs of the year 2040, of the year 9999 and of no calendar: the worker sleeps. */
static void test_sleeps_through_far_times(void **state)
{
    static const int64_t far_ms[] = { INT64_C(2208988800000), INT64_C(253370764800000),
        INT64_C(9007199254740991) };
    (void)state;
    engine_start();
    assert_true(engine_turn_until(engine_is_ready, ENGINE_DEADLINE_MS));
    for (size_t i = 0; i < G_N_ELEMENTS(far_ms); i++) {
        const ox_job_options options = { .timestamp_ms = 1, .delay_ms = far_ms[i] - 1 };
        ox_error err = { 0 };
        ox_job *job = NULL;
        int job_state = 0;
        g_autofree char *id = engine_add("ok", &options);
        test_ok(ox_queue_job(engine->queue, id, &job, &job_state, &err), &err);
        assert_int_equal(job_state, OX_DELAYED);
        assert_int_equal(ox_job_due_ms(job), far_ms[i]);
        ox_job_free(job);
        engine_turn_for(50);
    }
    test_redis_do(engine->redis, "CONFIG RESETSTAT");
    engine_turn_for(500);
    g_autofree char *stats = test_redis_text(engine->redis, "INFO commandstats");
    const char *calls = strstr(stats, "cmdstat_evalsha:calls=");
    assert_true(
        calls == NULL || strtol(calls + strlen("cmdstat_evalsha:calls="), NULL, 10) < 5);
    assert_int_equal(engine->started, 0);
    engine_close();
}

static void fail_at_length(ox_task *task)
{
    static char stack[60000];
    memset(stack, 'x', sizeof(stack) - 1);
    const ox_failure failure = { .reason = "again", .stack = stack };
    ox_task_fail(task, &failure);
}

/* A job that may try for ever does not keep what every try has left: of 1.2 MB the newest MB.
 * (Each try reads and writes all that is kept, so more of them would only be more work.) */
static void test_limits_stack_traces(void **state)
{
    const ox_job_options options = { .attempts = 20 };
    (void)state;
    engine->process = fail_at_length;
    g_autofree char *id = engine_add("ok", &options);
    engine_start();
    engine_wait_failed(1);
    engine_expect_field(id, "atm", "20");
    long long bytes = test_redis_int(engine->redis, "HSTRLEN bull:q:%s stacktrace", id);
    assert_in_range(bytes, 980000, 1060000);
    engine_close();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, engine_up, engine_down)
    const struct CMUnitTest tests[] = {
        TEST(test_bad_stored_values_fail_the_job),
        TEST(test_a_vanished_job_leaves_no_ghost),
        TEST(test_a_job_deleted_while_it_runs),
        TEST(test_accepts_odd_counts),
        TEST(test_attempts_that_are_no_number),
        TEST(test_a_retry_with_attempts_that_are_no_number),
        TEST(test_a_strange_key_costs_no_other_job),
        TEST(test_stalled_check_survives_odd_jobs),
        TEST(test_settings_that_are_no_numbers),
        TEST(test_times_out_of_range),
        TEST(test_rate_windows_out_of_range),
        TEST(test_skips_obsolete_markers),
        TEST(test_accepts_odd_metrics),
        TEST(test_the_shortest_times_work),
        TEST(test_the_longest_locks_are_renewed_seldom),
        TEST(test_jobs_without_a_state_are_restored),
        TEST(test_sleeps_through_far_times),
        TEST(test_limits_stack_traces),
    };
    return cmocka_run_group_tests_name("lib stored", tests, NULL, NULL);
}
