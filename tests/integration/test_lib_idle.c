/*
 * test_lib_idle.c - a worker that sleeps with a take behind its wait.
 *
 * The server runs that take as soon as news come, without asking the worker again, so whatever
 * the worker decides meanwhile has to reach the server first. Each test lets the worker fall
 * asleep so, which the server shows as a blocked client with more in its query buffer.
 */
#include "../support/check.h"
#include "../support/engine.h"

#include <stdlib.h>
#include <string.h>

/* Much sooner than a sleep ends by itself. */
#define SLEEP_MS 10000
#define SOON_MS 4000

#define TEST(name) cmocka_unit_test_setup_teardown(name, engine_up, engine_down)

/* How many clients sleep on a marker, with a take behind it. */
static unsigned asleep(void)
{
    g_autofree char *list = test_redis_text(engine->redis, "CLIENT LIST TYPE normal");
    g_auto(GStrv) lines = g_strsplit(list, "\n", -1);
    unsigned count = 0;
    for (char **line = lines; *line; line++) {
        const char *waiting = strstr(*line, " qbuf=");
        if (strstr(*line, "cmd=bzpopmin") && waiting && strtol(waiting + 6, NULL, 10) > 0)
            count++;
    }
    return count;
}

static bool is_asleep(void)
{
    return asleep() == 1;
}

static bool is_awake(void)
{
    return asleep() == 0;
}

static bool has_started(void)
{
    return engine->started > 0;
}

static void fall_asleep(void)
{
    engine->options.drain_delay_ms = SLEEP_MS;
    engine_start();
    if (!engine_turn_until(is_asleep, ENGINE_DEADLINE_MS))
        test_fatal("the worker does not sleep with a take behind its wait");
}

static void test_jobs_are_taken_where_the_worker_sleeps(void **state)
{
    (void)state;
    engine->options.concurrency = 3;
    fall_asleep();
    for (int round = 1; round <= 3; round++) {
        int64_t before = test_unix_ms();
        g_autofree char *id = engine_add("ok", NULL);
        engine_wait_completed(round);
        long long at = test_redis_int(engine->redis, "HGET bull:q:%s processedOn", id);
        /* The server's clock, put right by what the worker knew of it. */
        assert_in_range(at, before - 1, test_unix_ms() + 1);
        engine_expect_field(id, "ats", "1");
        assert_true(engine_turn_until(is_asleep, ENGINE_DEADLINE_MS));
    }
    engine_close();
    engine_expect_clean();
}

static bool one_is_active(void *arg)
{
    (void)arg;
    return engine_size("LLEN", "active") == 1;
}

/* Should the worker be gone, no more than one job is lost to the take behind its sleep, and not
 * for long. If it is there, it takes the others at once. */
static void test_a_sleeping_worker_takes_one_job_at_first(void **state)
{
    (void)state;
    engine->options.concurrency = 3;
    fall_asleep();
    engine_add_many("hold", 3, NULL);
    assert_true(test_wait_for(SOON_MS, one_is_active, NULL)); /* the loop stands still */
    assert_in_range(test_redis_int(engine->redis, "PTTL bull:q:1:lock"), 0, 2000);
    assert_int_equal(engine_size("LLEN", "active"), 1);
    engine_wait_started(3);
    for (guint i = 0; i < 3; i++)
        ox_task_complete(g_ptr_array_index(engine->held, i), "1");
    engine_wait_completed(3);
    engine_close();
}

static bool has_long_lock(void)
{
    return test_redis_int(engine->redis, "PTTL bull:q:1:lock") > 5000;
}

static void test_a_short_first_lock_is_renewed(void **state)
{
    (void)state;
    fall_asleep();
    engine_add_many("hold", 1, NULL);
    engine_wait_started(1);
    assert_true(engine_turn_until(has_long_lock, ENGINE_DEADLINE_MS));
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    engine_wait_completed(1);
    engine_close();
}

/* Delayed jobs, due so much from now, and a marker that says that one has long been due. */
static void add_delayed(const char *name, int64_t first_ms, int64_t second_ms)
{
    const char *script =
        "for i = 1, 2 do "
        "redis.call('HSET', 'bull:q:d' .. i, 'name', ARGV[1], 'data', '{}', 'opts', '{}', "
        "'timestamp', ARGV[1 + i], 'delay', 1) "
        "redis.call('ZADD', 'bull:q:delayed', ARGV[1 + i] * 4096, 'd' .. i) end "
        "return redis.call('ZADD', 'bull:q:marker', 1, '1')";
    long long now = test_unix_ms();
    test_redis_int(
        engine->redis, "EVAL %s 0 %s %lld %lld", script, name, now + first_ms, now + second_ms);
}

static void test_early_marker_reschedules_sleep(void **state)
{
    (void)state;
    fall_asleep();
    int64_t begin = test_now_ms();
    add_delayed("ok", 200, 300);
    engine_wait_completed(2);
    assert_in_range(test_now_ms() - begin, 299, SOON_MS);
    engine_close();
    engine_expect_clean();
}

/* The worker has no slot left to start the next one with. */
static void test_the_delay_marker_is_put_back_for_others(void **state)
{
    (void)state;
    fall_asleep();
    add_delayed("hold", -1000, 3600000);
    engine_wait_started(1);
    assert_true(test_redis_int(engine->redis, "ZSCORE bull:q:marker 1") > 0);
    ox_task_complete(g_ptr_array_index(engine->held, 0), NULL);
    engine_wait_completed(1);
    engine_close();
}

static void test_no_job_starts_in_a_pause(void **state)
{
    (void)state;
    fall_asleep();
    ox_worker_pause(engine->worker);
    assert_true(engine_turn_until(is_awake, SOON_MS));
    g_autofree char *id = engine_add("ok", NULL);
    assert_false(engine_turn_until(has_started, 200));
    assert_int_equal(engine_size("LLEN", "wait"), 1);
    assert_int_equal(engine_size("ZCARD", "marker"), 1);
    assert_int_equal(engine->errors, 0);
    ox_worker_resume(engine->worker);
    engine_wait_completed(1);
    assert_true(engine_turn_until(is_asleep, ENGINE_DEADLINE_MS));
    engine_close();
}

/* Resumed before the old connection is gone. */
static void test_a_short_pause(void **state)
{
    int64_t begin = test_now_ms();
    (void)state;
    fall_asleep();
    for (int round = 1; round <= 20; round++) {
        ox_worker_pause(engine->worker);
        ox_worker_resume(engine->worker);
        g_free(engine_add("ok", NULL));
        engine_wait_completed(round);
    }
    engine_close();
    assert_true(test_now_ms() - begin < SLEEP_MS);
    engine_expect_clean();
    assert_int_equal(engine->errors, 0);
}

/* The server took the job before it learned that the worker closes: then it runs. */
static void test_a_job_just_before_the_close_runs(void **state)
{
    (void)state;
    for (int round = 1; round <= 10; round++) {
        fall_asleep();
        g_free(engine_add("ok", NULL));
        engine_close();
        assert_int_equal(engine_size("ZCARD", "completed"), round);
        engine_expect_clean();
    }
    assert_int_equal(engine->errors, 0);
}

/* After it, the job waits, and the others hear of it. */
static void test_a_job_just_after_the_close_waits(void **state)
{
    (void)state;
    for (int round = 1; round <= 10; round++) {
        fall_asleep();
        engine->closed = false;
        ox_worker_close(engine->worker, engine_on_closed, NULL);
        g_free(engine_add("ok", NULL));
        assert_true(engine_turn_until(engine_is_closed, SOON_MS));
        engine->worker = NULL;
        long long waiting = engine_size("LLEN", "wait");
        assert_int_equal(engine_size("ZCARD", "completed") + waiting, round);
        assert_true(waiting == 0 || engine_size("ZCARD", "marker") == 1);
        engine_expect_clean();
        fall_asleep();
        engine_wait_completed(round);
        engine_close();
    }
    assert_int_equal(engine->errors, 0);
}

/* Its connection is cut by others: no job is lost, and it sleeps again. */
static void test_a_sleep_that_is_cut_off(void **state)
{
    (void)state;
    for (int round = 1; round <= 5; round++) {
        if (round == 1)
            fall_asleep();
        g_autofree char *list = test_redis_text(engine->redis, "CLIENT LIST TYPE normal");
        g_auto(GStrv) lines = g_strsplit(list, "\n", -1);
        for (char **line = lines; *line; line++) {
            if (strstr(*line, "cmd=bzpopmin"))
                test_redis_int(
                    engine->redis, "CLIENT KILL ID %ld", strtol(*line + 3, NULL, 10));
        }
        g_free(engine_add("ok", NULL));
        engine_wait_completed(round);
        assert_true(engine_turn_until(is_asleep, ENGINE_DEADLINE_MS));
    }
    engine_close();
    engine_expect_clean();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_jobs_are_taken_where_the_worker_sleeps),
        TEST(test_a_sleeping_worker_takes_one_job_at_first),
        TEST(test_a_short_first_lock_is_renewed),
        TEST(test_early_marker_reschedules_sleep),
        TEST(test_the_delay_marker_is_put_back_for_others),
        TEST(test_no_job_starts_in_a_pause),
        TEST(test_a_short_pause),
        TEST(test_a_job_just_before_the_close_runs),
        TEST(test_a_job_just_after_the_close_waits),
        TEST(test_a_sleep_that_is_cut_off),
    };
    return cmocka_run_group_tests_name("lib idle", tests, NULL, NULL);
}
