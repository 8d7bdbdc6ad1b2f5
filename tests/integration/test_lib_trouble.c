/*
 * test_lib_trouble.c - the worker engine of libox when the server refuses a call, and when a
 * worker is closed or gives its jobs back in the midst of things. See test_lib_stored.c for
 * what is stored, test_lib_outage.c for servers that are away.
 */
#include "../support/check.h"

#include "../support/engine.h"
#include "../support/jobs.h"
#include "lib/engine/jobs.h"

#include <stdlib.h>
#include <string.h>

/* Jobs that are handed back together come back in the order in which they were taken. */
static void test_released_jobs_keep_their_order(void **state)
{
    (void)state;
    engine->options.concurrency = 5;
    engine_add_many("hold", 5, NULL);
    engine_start();
    engine_wait_started(5);
    for (guint i = 0; i < 5; i++) {
        ox_task_release(g_ptr_array_index(engine->held, i));
    }
    engine_wait_started(10);
    assert_string_equal(engine->order->str, "hold:1 hold:2 hold:3 hold:4 hold:5 "
                                            "hold:1 hold:2 hold:3 hold:4 hold:5 ");
    engine_abort();
}

static long long waiting;

static bool waits(void)
{
    return engine_size("LLEN", "wait") == waiting;
}

/* Also when they go out in calls of their own, as when the children of a daemon are stopped one
 * after another, or are more than a call takes. */
static void test_jobs_released_in_turn_keep_their_order(void **state)
{
    g_autoptr(GString) expected = g_string_new(NULL);
    (void)state;
    engine->options.concurrency = 120;
    engine_add_many("hold", 120, NULL);
    engine_start();
    engine_wait_started(120);
    ox_worker_pause(engine->worker);
    for (guint i = 0; i < 120; i++) {
        ox_task_release(g_ptr_array_index(engine->held, i));
        if (i < 3) {
            waiting = i + 1;
            assert_true(engine_turn_until(waits, ENGINE_DEADLINE_MS));
        }
        g_string_append_printf(expected, "%s%u", i > 0 ? " " : "", 120 - i);
    }
    waiting = 120;
    assert_true(engine_turn_until(waits, ENGINE_DEADLINE_MS));
    g_autofree char *order = test_redis_text(engine->redis, "EVAL %s 0",
        "return table.concat(redis.call('LRANGE', 'bull:q:wait', 0, -1), ' ')");
    assert_string_equal(order, expected->str);
    engine_close();
}

static void expect_waiting(const char *order)
{
    g_autofree char *found = test_redis_text(engine->redis, "EVAL %s 0",
        "return table.concat(redis.call('LRANGE', 'bull:q:wait', 0, -1), ' ')");
    assert_string_equal(found, order);
}

static void release_and_wait(guint held, long long size)
{
    ox_task_release(g_ptr_array_index(engine->held, held));
    waiting = size;
    assert_true(engine_turn_until(waits, ENGINE_DEADLINE_MS));
}

/* As when some are given back that were taken ahead, and much later the one that ran. */
static void test_a_job_taken_before_those_released_goes_to_the_front(void **state)
{
    (void)state;
    engine->options.concurrency = 4;
    engine_add_many("hold", 4, NULL);
    engine_start();
    engine_wait_started(4);
    ox_worker_pause(engine->worker);
    release_and_wait(1, 1);
    release_and_wait(2, 2);
    release_and_wait(0, 3);
    release_and_wait(3, 4);
    expect_waiting("4 3 2 1");
    engine_close();
}

/* It was released, taken again, and tried again behind the others. */
static void test_a_job_does_not_follow_one_that_is_retried(void **state)
{
    const ox_failure failure = { .reason = "no" };
    const ox_job_options options = { .attempts = 2 };
    (void)state;
    engine_add_many("hold", 2, &options);
    engine_start();
    engine_wait_started(1);
    ox_task_release(g_ptr_array_index(engine->held, 0)); /* 1 */
    engine_wait_started(2);
    ox_task_fail(g_ptr_array_index(engine->held, 1), &failure); /* 1 again: it waits behind 2 */
    engine_wait_started(3);
    engine_add_many("hold", 1, NULL);
    ox_worker_pause(engine->worker);
    release_and_wait(2, 3); /* 2 */
    expect_waiting("3 1 2");
    engine_close();
}

static bool has_swept(void)
{
    g_autofree char *stats = test_redis_text(engine->redis, "INFO commandstats");
    const char *calls = strstr(stats, "cmdstat_evalsha:calls=");
    return calls && strtol(strchr(calls, '=') + 1, NULL, 10) >= 3;
}

/* An idle worker, and its stop, bring no queue back that was removed. */
static void test_a_removed_queue_stays_away(void **state)
{
    (void)state;
    engine->options.stalled_interval_ms = 50;
    engine_add_many("ok", 1, NULL);
    engine_start();
    engine_wait_completed(1);
    test_redis_do(engine->redis, "FLUSHALL");
    test_redis_do(engine->redis, "CONFIG RESETSTAT");
    assert_true(engine_turn_until(has_swept, ENGINE_DEADLINE_MS));
    engine_close();
    assert_int_equal(test_redis_int(engine->redis, "DBSIZE"), 0);
}

static bool has_failed_unrun(void)
{
    return strstr(engine->noticed->str, "2 2\n") != NULL;
}

/* A stall counts against a job's attempts: one that has some left runs again, one that has none
 * fails. It is not written as one, so the run has the number of the one that stalled. */
static void test_stalls_count_against_attempts(void **state)
{
    const ox_job_options thrice = { .attempts = 3 };
    (void)state;
    engine_add_many("ok", 1, &thrice);
    engine_add_many("ok", 1, NULL);
    test_redis_int(engine->redis, "DEL bull:q:wait");
    test_redis_int(engine->redis, "LPUSH bull:q:active 1 2");
    test_redis_int(engine->redis, "SADD bull:q:stalled 1 2");
    test_redis_int(engine->redis, "HSET bull:q:1 stc 1");
    test_redis_int(engine->redis, "HSET bull:q:2 stc 1");
    engine_start();
    assert_true(engine_turn_until(has_failed_unrun, ENGINE_DEADLINE_MS));
    engine_wait_told("1 completed");
    engine_wait_told("2 failed unrun job stalled more than allowable limit");
    engine_wait_noticed("1 1");
    assert_int_equal(engine->attempt, 1);
    engine_expect_field("1", "atm", "1");
    engine_close();
}

static void test_a_broken_key_is_reported_and_survived(void **state)
{
    (void)state;
    test_redis_do(engine->redis, "SET bull:q:wait text");
    engine_start();
    assert_true(engine_turn_until(engine_is_ready, ENGINE_DEADLINE_MS));
    int64_t end = test_now_ms() + ENGINE_DEADLINE_MS;
    while (engine->errors == 0 && test_now_ms() < end) {
        uv_run(&engine->loop, UV_RUN_ONCE);
    }
    assert_non_null(strstr(engine->last_error, "WRONGTYPE"));
    test_redis_int(engine->redis, "DEL bull:q:wait");
    engine_add_many("ok", 1, NULL);
    engine_wait_completed(1);
    engine_close();
}

/* Ends job 1 of three that end together: it has a parent whose children cannot be read. */
static void check_end_with_broken_parent(const char *breaks, const char *told)
{
    engine_add_many("hold", 3, NULL);
    test_redis_do(engine->redis, "HSET bull:q:1 parentKey bull:evil:1 parent {}");
    engine->options.concurrency = 3;
    engine_start();
    engine_wait_started(3);
    test_redis_do(engine->redis, breaks, NULL);
    for (guint i = 0; i < engine->held->len; i++) {
        ox_task_complete(g_ptr_array_index(engine->held, i), "1");
    }
    engine_wait_completed(2);
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    assert_non_null(strstr(engine->last_error, told));
    assert_int_equal(engine_size("LLEN", "active"), 1);
    g_autofree char *active = test_redis_text(engine->redis, "LINDEX bull:q:active 0");
    assert_string_equal(active, "1");
    test_redis_do(engine->redis, "ACL SETUSER default allkeys");
    test_redis_do(engine->redis, "DEL bull:evil:1:dependencies");
    engine_abort();
}

static void test_a_broken_parent_costs_no_other_job(void **state)
{
    (void)state;
    check_end_with_broken_parent("HSET bull:evil:1:dependencies not set", "WRONGTYPE");
}

static void test_a_denied_parent_costs_no_other_job(void **state)
{
    (void)state;
    check_end_with_broken_parent("ACL SETUSER default resetkeys ~bull:q:*", "job 1");
}

/* A stored follow-up may name a parent in a queue that its author may not write to. */
static void test_a_stored_follower_gets_no_foreign_parent(void **state)
{
    (void)state;
    const ox_job_options options = { .dedup = { .id = "d" } };
    g_autofree char *id = engine_add("hold", &options);
    engine_start();
    engine_wait_started(1);
    test_redis_do(engine->redis, "HSET bull:b:p name n timestamp 1");
    test_redis_do(engine->redis,
        "HSET bull:q:dn:d name ok data {} opts {} jid follower pk bull:b:p pd {}");
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    engine_wait_completed(2);
    assert_int_equal(test_redis_int(engine->redis, "EXISTS bull:q:follower"), 1);
    assert_int_equal(test_redis_int(engine->redis,
                         "EXISTS bull:b:p:dependencies bull:b:p:processed bull:b:wait"),
        0);
    engine_expect_field("follower", "parentKey", NULL);
    engine_close();
}

/* One job that the user may not touch keeps no other from running: it goes behind them, is
 * told, and runs when it may. */
static void test_skips_denied_job(void **state)
{
    (void)state;
    engine_add_many("ok", 3, NULL);
    test_redis_do(engine->redis, "ACL SETUSER default resetkeys ~bull:q:[^2]*");
    engine->last_error[0] = '\0';
    engine_start();
    engine_wait_completed(2);
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    assert_non_null(strstr(engine->last_error, "job 2"));
    g_autofree char *waits = test_redis_text(engine->redis, "LINDEX bull:q:wait 0");
    assert_string_equal(waits, "2");
    assert_int_equal(engine_size("LLEN", "active"), 0);
    test_redis_do(engine->redis, "ACL SETUSER default allkeys");
    engine_add_many("ok", 1, NULL);
    engine_wait_completed(4);
    engine_close();
    engine_expect_clean();
}

/* Jobs that end are stored by the call that takes the next ones. Those that are removed then
 * cannot be brought back, so they have ended, whatever becomes of the take. */
static void check_end_with_failing_take(const char *dedup_id)
{
    const ox_job_options options = { .remove_on_complete = { .mode = OX_KEEP_NONE },
        .dedup = { .id = dedup_id } };
    g_autofree char *id = engine_add("hold", &options);
    engine_start();
    engine_wait_started(1);
    test_redis_do(engine->redis, "SET bull:q:prioritized text");
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    assert_non_null(strstr(engine->last_error, "WRONGTYPE"));
    test_redis_int(engine->redis, "DEL bull:q:prioritized");
    engine_close();
    assert_int_equal(test_redis_int(engine->redis, "EXISTS bull:q:%s", id), 0);
    g_autofree char *event = test_redis_text(engine->redis, "EVAL %s 1 bull:q:events",
        "for _, e in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do "
        "if e[2][2] == 'completed' then return e[2][4] end end return 'none'");
    assert_string_equal(event, id);
    engine_expect_clean();
}

static void test_finishes_hold_when_following_take_fails(void **state)
{
    (void)state;
    check_end_with_failing_take(NULL); /* complete_jobs */
}

static void test_rare_finishes_hold_when_following_take_fails(void **state)
{
    (void)state;
    check_end_with_failing_take("d"); /* end_jobs */
}

/* Closing after each number of turns meets every state of connecting, taking and sleeping. */
static void test_close_at_every_step(void **state)
{
    (void)state;
    engine->options.concurrency = 3;
    for (int turns = 0; turns < 40; turns++) {
        engine_add_many("slow", 2, NULL);
        engine_start();
        for (int i = 0; i < turns; i++) {
            uv_run(&engine->loop, UV_RUN_NOWAIT);
        }
        engine_close();
        assert_int_equal(engine_size("LLEN", "active"), 0);
    }
    engine_start();
    engine_wait_completed(80);
    engine_close();
    engine_expect_clean();
}

static void test_abort_at_every_step(void **state)
{
    (void)state;
    for (int turns = 0; turns < 40; turns++) {
        engine_add_many("ok", 2, NULL);
        engine_start();
        for (int i = 0; i < turns; i++) {
            uv_run(&engine->loop, UV_RUN_NOWAIT);
        }
        engine_abort();
    }
}

/* A server that takes no writes for now (a replica after a failover, a full disk): what ended
 * meanwhile waits, as it does for one that is away. */
static void test_results_wait_for_a_server_that_refuses(void **state)
{
    (void)state;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    test_redis_do(engine->redis, "REPLICAOF 127.0.0.1 1");
    ox_task_complete(g_ptr_array_index(engine->held, 0), "\"kept\"");
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    test_redis_do(engine->redis, "REPLICAOF NO ONE");
    engine_wait_completed(1);
    engine_expect_field(id, "returnvalue", "\"kept\"");
    assert_int_equal(engine->started, 1);
    engine_add_many("ok", 3, NULL);
    engine_wait_completed(4);
    engine_close();
    engine_expect_clean();
}

static bool never(void)
{
    return false;
}

/* A user that may not wait for the marker: the queue is looked at now and then, not in a loop
 * as tight as the server can refuse. */
static void test_refused_wait_is_not_retried_in_a_loop(void **state)
{
    (void)state;
    test_redis_do(engine->redis, "ACL SETUSER default -bzpopmin");
    engine->options.drain_delay_ms = 100;
    engine_start();
    engine_turn_until(never, 1000);
    assert_non_null(strstr(engine->last_error, "NOPERM"));
    assert_true(engine->errors <= 40);
    engine_add_many("ok", 1, NULL);
    engine_wait_completed(1);
    engine_close();
}

/* The job that comes next is made before the current one runs. When the server refuses that
 * for now, the current one has to wait, or the schedule would end with it. */
static void test_a_schedule_outlives_a_refusal(void **state)
{
    (void)state;
    const ox_schedule schedule = { .every_ms = 200 };
    const ox_new_job job = { .name = "ok" };
    ox_error err;
    test_ok(ox_scheduler_set(engine->queue, "s", &schedule, &job, NULL, &err), &err);
    test_redis_do(engine->redis, "ACL SETUSER default -incr");
    engine_start();
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    assert_int_equal(engine->started, 0);
    test_redis_do(engine->redis, "ACL SETUSER default +incr");
    engine_wait_started(3);
    engine_close();
}

static size_t most_bytes;

static void watch_ends(ox_task *task)
{
    most_bytes = MAX(most_bytes, engine->worker->engine.ends.bytes.len);
    if (strcmp(ox_job_text(ox_task_job(task), OX_JOB_NAME), "hold") == 0) {
        g_ptr_array_add(engine->held, task);
    } else {
        ox_task_complete(task, "{\"ok\":true}");
    }
}

/* When ends come faster than calls carry them, for however long, they take no more memory than
 * those that wait. */
static void test_a_lasting_backlog_does_not_grow(void **state)
{
    const ox_queue_options few = { .batch = 2 };
    ox_error err = { 0 };
    (void)state;
    ox_queue_free(engine->queue);
    assert_int_equal(ox_queue_new(&engine->queue, engine->client, "q", &few, &err), 0);
    engine->options.concurrency = 100;
    engine->process = watch_ends;
    most_bytes = 0;
    engine_add_many("hold", 100, NULL);
    engine_start();
    engine_wait_started(100);
    engine_add_many("ok", 5000, NULL);
    for (guint i = 0; i < engine->held->len; i++) {
        ox_task_complete(g_ptr_array_index(engine->held, i), "1");
    }
    engine_wait_completed(5100);
    assert_true(most_bytes > 0);
    assert_in_range(most_bytes, 1, 200000);
    engine_close();
    engine_expect_clean();
}

static void abort_at_once(ox_task *task)
{
    ox_worker_abort(ox_task_worker(task), engine_on_closed, NULL);
}

static void test_no_job_starts_after_an_abort(void **state)
{
    (void)state;
    engine->options.concurrency = 5;
    engine->process = abort_at_once;
    engine_add_many("ok", 5, NULL);
    engine_start();
    engine_wait_started(1);
    assert_true(engine_turn_until(engine_is_closed, ENGINE_DEADLINE_MS));
    assert_int_equal(engine->started, 1);
    assert_int_equal(engine->errors, 0);
}

/* Where the connection for sleeping cannot be had, the worker looks for jobs now and then. */
static void test_a_worker_that_cannot_sleep_polls(void **state)
{
    (void)state;
    engine->options.drain_delay_ms = 50;
    /* The test's, the client's, and the worker's own. */
    test_redis_do(engine->redis, "CONFIG SET maxclients 3");
    engine_start();
    assert_true(engine_turn_until(engine_is_ready, ENGINE_DEADLINE_MS));
    engine_turn_for(100);
    engine_add_many("ok", 1, NULL);
    engine_wait_completed(1);
    engine_close();
}

static int times_closed;

static void count_closed(void *arg)
{
    (void)arg;
    times_closed++;
    engine->closed = true;
    engine->worker = NULL;
}

/* A close waits for the server to take the results, but no longer than one wants to. */
static void test_an_abort_ends_a_close_that_waits(void **state)
{
    (void)state;
    times_closed = 0;
    engine_add_many("hold", 1, NULL);
    engine_start();
    engine_wait_started(1);
    test_redis_kill(engine->redis);
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    ox_worker_close(engine->worker, count_closed, NULL);
    engine_turn_for(100);
    assert_int_equal(times_closed, 0);
    ox_worker_close(engine->worker, count_closed, NULL);
    ox_worker_abort(engine->worker, engine_on_closed, NULL);
    ox_worker_abort(engine->worker, count_closed, NULL);
    ox_worker_close(engine->worker, count_closed, NULL);
    assert_true(engine_turn_until(engine_is_closed, ENGINE_DEADLINE_MS));
    assert_int_equal(times_closed, 0);
    test_redis_revive(engine->redis);
}

/* One that is larger than the server takes is given up, and stops nothing else; its job stalls.
 */
static void test_a_result_that_the_server_cannot_read_costs_no_other_job(void **state)
{
    (void)state;
    g_autofree char *id = engine_add("hold", NULL);
    g_autofree char *large = g_strnfill(8000002, 'x');
    large[0] = large[8000001] = '"';
    engine->options.stalled_interval_ms = 200;
    engine->options.lock_ms = 1000;
    engine->options.concurrency = 4;
    engine_start();
    engine_wait_started(1);
    test_redis_do(engine->redis, "CONFIG SET proto-max-bulk-len 1mb");
    ox_task_complete(g_ptr_array_index(engine->held, 0), large);
    engine_add_many("ok", 5, NULL);
    engine_wait_completed(5);
    engine_wait_started(7);
    test_redis_do(engine->redis, "CONFIG SET proto-max-bulk-len 512mb");
    ox_task_complete(g_ptr_array_index(engine->held, 1), "1");
    engine_wait_completed(6);
    engine_expect_field(id, "stc", "1");
    engine_expect_clean();
    engine_close();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, engine_up, engine_down)
    const struct CMUnitTest tests[] = {
        TEST(test_released_jobs_keep_their_order),
        TEST(test_jobs_released_in_turn_keep_their_order),
        TEST(test_a_job_taken_before_those_released_goes_to_the_front),
        TEST(test_a_job_does_not_follow_one_that_is_retried),
        TEST(test_a_removed_queue_stays_away),
        TEST(test_stalls_count_against_attempts),
        TEST(test_a_broken_key_is_reported_and_survived),
        TEST(test_skips_denied_job),
        TEST(test_a_broken_parent_costs_no_other_job),
        TEST(test_a_denied_parent_costs_no_other_job),
        TEST(test_a_stored_follower_gets_no_foreign_parent),
        TEST(test_finishes_hold_when_following_take_fails),
        TEST(test_rare_finishes_hold_when_following_take_fails),
        TEST(test_close_at_every_step),
        TEST(test_abort_at_every_step),
        TEST(test_results_wait_for_a_server_that_refuses),
        TEST(test_refused_wait_is_not_retried_in_a_loop),
        TEST(test_a_schedule_outlives_a_refusal),
        TEST(test_a_lasting_backlog_does_not_grow),
        TEST(test_no_job_starts_after_an_abort),
        TEST(test_a_worker_that_cannot_sleep_polls),
        TEST(test_an_abort_ends_a_close_that_waits),
        TEST(test_a_result_that_the_server_cannot_read_costs_no_other_job),
    };
    return cmocka_run_group_tests_name("lib trouble", tests, NULL, NULL);
}
