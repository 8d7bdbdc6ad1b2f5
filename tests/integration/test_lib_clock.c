/*
 * test_lib_clock.c - the worker engine when somebody sets the clock while it runs.
 *
 * The program is linked so that libox asks here for the time (see WRAP in the Makefile). Only
 * the wall clock can be set; the steady one and those of libuv and Redis go on.
 */
#include "../support/check.h"

#include <time.h>

#include "../support/engine.h"
#include "lib/worker.h"

#define HOUR_S 3600

static time_t ahead_s; /* how far the wall clock is put forward */

int __real_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_clock_gettime(clockid_t id, struct timespec *now);

int __wrap_clock_gettime(clockid_t id, struct timespec *now)
{
    int rc = __real_clock_gettime(id, now);
    now->tv_sec += id == CLOCK_REALTIME ? ahead_s : 0;
    return rc;
}

static int up(void **state)
{
    ahead_s = 0;
    return engine_up(state);
}

static bool is_limited(void)
{
    return engine->worker->limited_until_ms != 0;
}

static void test_a_limit_ends_by_time_that_passes(void **state)
{
    (void)state;
    engine->options.limiter_max = 1;
    engine->options.limiter_duration_ms = 200;
    engine_add_many("ok", 4, NULL);
    engine_start();
    assert_true(engine_turn_until(is_limited, ENGINE_DEADLINE_MS));
    ahead_s = -HOUR_S;
    engine_wait_completed(3);
    ahead_s = HOUR_S;
    engine_wait_completed(4);
    engine_close();
}

static void test_a_handler_s_limit_ends_as_well(void **state)
{
    (void)state;
    engine_add_many("limit", 1, NULL);
    engine_start();
    engine_wait_started(1);
    ahead_s = -HOUR_S;
    engine_wait_completed(1);
    engine_close();
}

/* A job is due by the wall clock, whatever was expected of it before. */
static void test_jobs_are_due_by_the_wall(void **state)
{
    const ox_job_options later = { .delay_ms = HOUR_S * 1000 - 60000 };
    (void)state;
    engine->options.drain_delay_ms = 100;
    engine_start();
    assert_true(engine_turn_until(engine_is_ready, ENGINE_DEADLINE_MS));
    engine_add_many("ok", 1, &later);
    engine_add_many("ok", 1, NULL);
    engine_wait_completed(1);
    ahead_s = HOUR_S;
    engine_wait_completed(2);
    engine_close();
}

static void test_a_clock_put_back_keeps_no_job_for_good(void **state)
{
    const ox_job_options soon = { .delay_ms = 300 };
    (void)state;
    engine->options.drain_delay_ms = 100;
    engine_start();
    assert_true(engine_turn_until(engine_is_ready, ENGINE_DEADLINE_MS));
    engine_add_many("ok", 1, &soon);
    ahead_s = -HOUR_S;
    engine_add_many("ok", 1, NULL);
    engine_wait_completed(1);
    assert_int_equal(engine_size("ZCARD", "delayed"), 1);
    ahead_s = 0;
    engine_wait_completed(2);
    engine_close();
}

static bool has_renewed(void)
{
    static int64_t since;
    since = since != 0 ? since : test_now_ms();
    return test_now_ms() - since > 1000;
}

static void test_leases_hold_whatever_the_wall_says(void **state)
{
    (void)state;
    engine->options.lock_ms = 400;
    engine->options.sweep_ms = 100;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    ahead_s = -HOUR_S;
    assert_true(engine_turn_until(has_renewed, ENGINE_DEADLINE_MS));
    assert_int_equal(engine->n_lost, 0);
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    engine_wait_completed(1);
    engine_expect_field(id, "stc", NULL);
    engine_close();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, up, engine_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_limit_ends_by_time_that_passes),
        TEST(test_a_handler_s_limit_ends_as_well),
        TEST(test_jobs_are_due_by_the_wall),
        TEST(test_a_clock_put_back_keeps_no_job_for_good),
        TEST(test_leases_hold_whatever_the_wall_says),
    };
    return cmocka_run_group_tests_name("lib clock", tests, NULL, NULL);
}
