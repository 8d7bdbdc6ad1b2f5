/*
 * test_lib_trouble.c - the worker engine of libox when something is wrong: with what is stored,
 * with the server, with the connection, or with the moment at which it is closed.
 */
#include "../support/check.h"

#include "../support/engine.h"
#include "../support/jobs.h"
#include "lib/engine/jobs.h"

#include <signal.h>
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

static void test_reports_lost_lock(void **state)
{
    (void)state;
    engine->options.lock_ms = 300;
    engine->options.renew_ms = 50;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    test_redis_do(engine->redis, "SET bull:q:%s:lock another", id);
    assert_true(engine_turn_until(engine_has_lost, ENGINE_DEADLINE_MS));
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    engine_close();
    engine_expect_field(id, "returnvalue", NULL);
    engine_expect_field(id, "finishedOn", NULL);
}

static void add_held(void)
{
    g_ptr_array_set_size(engine->held, 0);
    engine->options.concurrency = 4;
    engine_add_many("hold", 2, NULL);
    engine_start();
    engine_wait_started(2);
}

/* The locks ran out while the server could not be reached, and others saw it meanwhile. */
static void lose_locks(void)
{
    test_redis_kill(engine->redis);
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    test_redis_revive(engine->redis);
    test_redis_do(engine->redis, "DEL bull:q:1:lock bull:q:2:lock");
    test_redis_do(engine->redis, "SADD bull:q:stalled 1 2");
}

/* An outage runs nothing twice: the locks are taken again, and the runs go on. */
static void test_locks_are_taken_again_after_an_outage(void **state)
{
    (void)state;
    engine->options.stalled_interval_ms = 50;
    add_held();
    lose_locks();
    engine_wait_noticed("1 4");
    engine_wait_noticed("2 4");
    assert_int_equal(engine->n_lost, 0);
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    ox_task_complete(g_ptr_array_index(engine->held, 1), "1");
    engine_wait_told("1 completed");
    engine_wait_told("2 completed");
    engine_wait_completed(2);
    assert_int_equal(engine->started, 2);
    engine_expect_field("1", "stc", NULL);
    engine_expect_clean();
    engine_close();
}

/* So are results that come late: here the ends are sent before the locks are asked for. */
static void test_results_after_an_outage_are_stored(void **state)
{
    (void)state;
    engine->options.stalled_interval_ms = 50;
    add_held();
    test_redis_kill(engine->redis);
    ox_task_complete(g_ptr_array_index(engine->held, 0), "\"late\"");
    ox_task_fail(g_ptr_array_index(engine->held, 1), NULL);
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    test_redis_revive(engine->redis);
    test_redis_do(engine->redis, "DEL bull:q:1:lock bull:q:2:lock");
    engine_wait_told("1 completed");
    engine_wait_told("2 failed failed");
    engine_expect_field("1", "returnvalue", "\"late\"");
    assert_int_equal(engine->started, 2);
    engine_expect_clean();
    engine_close();
}

/* A worker that had to wait for the server gives others the time to take their locks again. */
static void test_a_start_that_waits_checks_later(void **state)
{
    (void)state;
    engine->options.lock_ms = 2000;
    engine->options.stalled_interval_ms = 50;
    g_free(engine_add("ok", NULL));
    test_redis_do(engine->redis, "RPOPLPUSH bull:q:wait bull:q:active");
    test_redis_do(engine->redis, "SADD bull:q:stalled 1");
    test_redis_kill(engine->redis);
    engine_start();
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    int64_t before_ms = test_now_ms();
    test_redis_revive(engine->redis);
    engine_wait_noticed("1 1");
    assert_true(test_now_ms() - before_ms >= 2000);
    engine_wait_completed(1);
    engine_close();
}

/* Cut off for as long as the lock lasts, the run ends, and no attempt is spent. */
static void test_a_run_that_is_cut_off_may_be_ended(void **state)
{
    (void)state;
    engine->options.lock_ms = 600;
    engine->options.on_disconnect = OX_DISCONNECT_KILL;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    test_redis_kill(engine->redis);
    assert_true(engine_turn_until(engine_has_lost, ENGINE_DEADLINE_MS));
    assert_non_null(
        strstr(engine->last_error, "no connection to Redis until the lock expired"));
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    test_redis_revive(engine->redis);
    engine_wait_told("1 released");
    engine_wait_started(2);
    engine_expect_field(id, "stc", NULL);
    engine_expect_field(id, "atm", NULL);
    engine_expect_field(id, "returnvalue", NULL);
    engine_abort();
}

/* By default it goes on, for however long. */
static void test_a_run_that_is_cut_off_goes_on(void **state)
{
    (void)state;
    engine->options.lock_ms = 300;
    engine_add_many("hold", 1, NULL);
    engine_start();
    engine_wait_started(1);
    test_redis_kill(engine->redis);
    int64_t end = test_now_ms() + 900;
    while (test_now_ms() < end) {
        uv_run(&engine->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(engine->n_lost, 0);
    test_redis_revive(engine->redis);
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    engine_wait_told("1 completed");
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

static void turn_for(int64_t ms)
{
    int64_t end = test_now_ms() + ms;
    while (test_now_ms() < end) {
        uv_run(&engine->loop, UV_RUN_NOWAIT);
    }
}

/* A take whose reply was lost left a job under its token: it waits again, without a stall. */
static void test_a_lost_take_is_returned(void **state)
{
    (void)state;
    engine_start();
    assert_true(engine_turn_until(engine_is_ready, ENGINE_DEADLINE_MS));
    test_redis_int(engine->redis, "HSET bull:q:1 name ok data {} opts {} ats 1 processedOn 5");
    test_redis_int(engine->redis, "HSET bull:q:2 name ok data {} opts {} ats 1 processedOn 5");
    test_redis_do(engine->redis, "SET bull:q:1:lock ours:7 PX 60000");
    test_redis_do(engine->redis, "SET bull:q:2:lock theirs:7 PX 60000");
    test_redis_int(engine->redis, "LPUSH bull:q:active 1 2");
    char token[OX__TOKEN_MAX] = "ours:7";
    ox__lost_add(&engine->worker->engine.lost, token);
    ox__lost_look(&engine->worker->engine.lost);
    engine_wait_noticed("1 3");
    engine_wait_told("1 completed");
    engine_expect_field("1", "stc", NULL);
    engine_expect_field("1", "ats", "1");
    assert_int_equal(engine->started, 1);
    assert_int_equal(test_redis_int(engine->redis, "EXISTS bull:q:2:lock"), 1);
    engine_close();
}

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

/* Another worker was given the job meanwhile: ours has lost it, whether it has a lock or not.
 */
static void test_a_job_that_others_had_meanwhile_is_lost(void **state)
{
    (void)state;
    engine->options.renew_ms = 50;
    add_held();
    test_redis_do(engine->redis, "DEL bull:q:1:lock bull:q:2:lock");
    test_redis_int(engine->redis, "HSET bull:q:1 ats 2");
    test_redis_int(engine->redis, "LREM bull:q:active 1 2");
    test_redis_int(engine->redis, "ZADD bull:q:delayed 9000000000000000 2");
    assert_true(engine_turn_until(engine_has_lost, ENGINE_DEADLINE_MS));
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    ox_task_complete(g_ptr_array_index(engine->held, 1), "1");
    engine_close();
    engine_expect_field("1", "returnvalue", NULL);
    engine_expect_field("2", "returnvalue", NULL);
    assert_null(strstr(engine->noticed->str, "4"));
}

static void test_scripts_flushed_under_load(void **state)
{
    (void)state;
    engine->options.concurrency = 20;
    engine_start();
    for (int i = 0; i < 50; i++) {
        engine_add_many("ok", 20, NULL);
        test_redis_do(engine->redis, "SCRIPT FLUSH");
        uv_run(&engine->loop, UV_RUN_NOWAIT);
    }
    engine_wait_completed(1000);
    assert_int_equal(engine->started, 1000);
    assert_int_equal(engine->errors, 0);
    engine_close();
    engine_expect_clean();
}

static void test_survives_a_restart_of_the_server(void **state)
{
    (void)state;
    engine->options.lock_ms = 10000;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    test_redis_kill(engine->redis);
    ox_task_complete(g_ptr_array_index(engine->held, 0), "\"kept\"");
    uv_run(&engine->loop, UV_RUN_ONCE);
    test_redis_revive(engine->redis);
    engine_wait_completed(1);
    engine_expect_field(id, "returnvalue", "\"kept\"");
    assert_true(engine->errors > 0); /* the loss was told */
    engine_add_many("ok", 3, NULL);
    engine_wait_completed(4);
    engine_close();
    engine_expect_clean();
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

static int loading_up(void **state)
{
    static const char *const args[] = { "--enable-debug-command", "yes",
        "--loading-process-events-interval-bytes", "1024", NULL };
    (void)state;
    return engine_up_with(args);
}

static bool is_loading(void *arg)
{
    (void)arg;
    redisReply *reply = test_redis_command(engine->redis, "PING");
    bool loading = reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "LOADING");
    freeReplyObject(reply);
    return loading;
}

static void test_results_wait_for_a_server_that_loads(void **state)
{
    (void)state;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    test_redis_do(engine->redis, "DEBUG POPULATE 200 filler 200");
    test_redis_do(engine->redis, "CONFIG SET key-load-delay 5000");
    redisContext *other = redisConnectUnix(engine->redis->socket);
    int sent = 0;
    redisAppendCommand(other, "DEBUG RELOAD");
    while (!sent) {
        assert_int_equal(redisBufferWrite(other, &sent), REDIS_OK);
    }
    assert_true(test_wait_for(ENGINE_DEADLINE_MS, is_loading, NULL));
    ox_task_complete(g_ptr_array_index(engine->held, 0), "\"kept\"");
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    assert_non_null(strstr(engine->last_error, "LOADING"));
    redisReply *reply = NULL;
    assert_int_equal(redisGetReply(other, (void **)&reply), REDIS_OK);
    assert_string_equal(reply->str, "OK");
    freeReplyObject(reply);
    redisFree(other);
    engine_wait_completed(1);
    engine_expect_field(id, "returnvalue", "\"kept\"");
    assert_int_equal(engine->started, 1);
    engine_close();
    engine_expect_clean();
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

static void end_it(ox_task *task)
{
    ox_task_complete(task, NULL);
}

static bool nothing_runs(void)
{
    return ox_worker_running(engine->worker) == 0;
}

static void must_not_go_on(ox_task *task, void *arg)
{
    (void)task;
    (void)arg;
    test_fatal("a task went on that was lost");
}

/* The lease is lost while the task waits for its children: it is not the user's then. */
static void test_lock_lost_while_waiting_for_children(void **state)
{
    (void)state;
    engine->options.renew_ms = 20;
    engine->lost = end_it;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    test_redis_do(engine->redis, "SET bull:q:%s:lock another", id);
    test_redis_do(engine->redis, "CLIENT PAUSE 300 ALL");
    turn_for(100); /* a renewal is on its way */
    ox_task_wait_children(g_ptr_array_index(engine->held, 0), must_not_go_on, NULL);
    assert_true(engine_turn_until(nothing_runs, ENGINE_DEADLINE_MS));
    assert_int_equal(engine->n_lost, 0);
    assert_int_equal(engine->errors, 2);
    engine_close();
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
    turn_for(100);
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
    turn_for(100);
    assert_int_equal(times_closed, 0);
    ox_worker_close(engine->worker, count_closed, NULL);
    ox_worker_abort(engine->worker, engine_on_closed, NULL);
    ox_worker_abort(engine->worker, count_closed, NULL);
    ox_worker_close(engine->worker, count_closed, NULL);
    assert_true(engine_turn_until(engine_is_closed, ENGINE_DEADLINE_MS));
    assert_int_equal(times_closed, 0);
    test_redis_revive(engine->redis);
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

/* A result that the server does not take: it hangs up while the rest of it is being sent. (What
 * is written after a hangup, which would raise SIGPIPE, is the matter of test_lib_hangup.c.) */
static void test_a_server_that_hangs_up_on_a_large_result(void **state)
{
    (void)state;
    g_autofree char *id = engine_add("hold", NULL);
    g_autofree char *large = g_strnfill(8000002, 'x');
    large[0] = large[8000001] = '"';
    engine_start();
    engine_wait_started(1);
    test_redis_do(engine->redis, "CONFIG SET proto-max-bulk-len 1mb");
    ox_task_complete(g_ptr_array_index(engine->held, 0), large);
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    test_redis_do(engine->redis, "CONFIG SET proto-max-bulk-len 512mb");
    engine_add_many("ok", 1, NULL);
    engine_wait_completed(1);
    engine_close();
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
        turn_for(50);
    }
    test_redis_do(engine->redis, "CONFIG RESETSTAT");
    turn_for(500);
    g_autofree char *stats = test_redis_text(engine->redis, "INFO commandstats");
    const char *calls = strstr(stats, "cmdstat_evalsha:calls=");
    assert_true(
        calls == NULL || strtol(calls + strlen("cmdstat_evalsha:calls="), NULL, 10) < 5);
    assert_int_equal(engine->started, 0);
    engine_close();
}

/* However near to the lease the renewals are, and whenever a job starts between them. */
static void test_locks_outlive_late_renewals(void **state)
{
    (void)state;
    engine->options.concurrency = 10;
    engine->options.lock_ms = 600;
    engine->options.renew_ms = 500;
    engine_start();
    assert_true(engine_turn_until(engine_is_ready, ENGINE_DEADLINE_MS));
    for (int i = 0; i < 5; i++) {
        engine_add_many("hold", 1, NULL);
        turn_for(100);
    }
    engine_wait_started(5);
    turn_for(1500);
    assert_int_equal(engine->n_lost, 0);
    for (guint i = 0; i < engine->held->len; i++) {
        ox_task_complete(g_ptr_array_index(engine->held, i), "1");
    }
    engine_wait_completed(5);
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

/* A server that hangs is one that is away: calls end in time, and come again. */
static void test_survives_a_server_that_hangs(void **state)
{
    const ox_client_options hasty = { .url = test_redis_url(engine->redis),
        .connect_timeout_ms = 100,
        .command_timeout_ms = 100 };
    ox_error err = { 0 };
    (void)state;
    ox_queue_free(engine->queue);
    ox_client_free(engine->client);
    test_ok(ox_client_new(&engine->client, &hasty, &err), &err);
    test_ok(ox_queue_new(&engine->queue, engine->client, "q", NULL, &err), &err);
    engine->options.drain_delay_ms = 100;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    kill(engine->redis->pid, SIGSTOP);
    ox_task_complete(g_ptr_array_index(engine->held, 0), "\"kept\"");
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    turn_for(500);
    kill(engine->redis->pid, SIGCONT);
    engine_wait_completed(1);
    engine_expect_field(id, "returnvalue", "\"kept\"");
    assert_int_equal(engine->started, 1);
    engine_add_many("ok", 3, NULL);
    engine_wait_completed(4);
    engine_close();
    engine_expect_clean();
}

/* No connection breaks when a server is stopped, but locks run out. Checks for stalled jobs
 * that were sent meanwhile give back nothing that runs. */
static bool is_noted(void)
{
    return engine_size("SCARD", "stalled") == 1;
}

static void test_a_stopped_server_makes_nothing_stall(void **state)
{
    (void)state;
    engine->options.lock_ms = 2500;
    engine->options.stalled_interval_ms = 100;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    assert_true(engine_turn_until(is_noted, ENGINE_DEADLINE_MS));
    kill(engine->redis->pid, SIGSTOP);
    turn_for(2700);
    kill(engine->redis->pid, SIGCONT);
    turn_for(500); /* renewals, and what would be checks */
    assert_int_equal(engine->started, 1);
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    engine_wait_completed(1);
    engine_close();
    engine_expect_clean();
}

/* With nothing to store there is nothing to wait for. */
static void test_an_idle_worker_closes_without_a_server(void **state)
{
    (void)state;
    test_redis_kill(engine->redis);
    engine_start();
    turn_for(200);
    assert_true(engine->errors > 0);
    assert_int_equal(engine->ready, 0);
    engine_close();
    test_redis_revive(engine->redis);
    engine_start();
    assert_true(engine_turn_until(engine_is_ready, ENGINE_DEADLINE_MS));
    test_redis_kill(engine->redis);
    turn_for(50);
    engine_close();
    test_redis_revive(engine->redis);
}

/* A server that has what it answered for after a crash. */
static int durable_up(void **state)
{
    static const char *const args[] = { "--appendonly", "yes", "--appendfsync", "always",
        NULL };
    (void)state;
    return engine_up_with(args);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, engine_up, engine_down)
    const struct CMUnitTest tests[] = {
        TEST(test_bad_stored_values_fail_the_job),
        TEST(test_a_vanished_job_leaves_no_ghost),
        TEST(test_a_job_deleted_while_it_runs),
        TEST(test_accepts_odd_counts),
        TEST(test_reports_lost_lock),
        cmocka_unit_test_setup_teardown(
            test_locks_are_taken_again_after_an_outage, durable_up, engine_down),
        cmocka_unit_test_setup_teardown(
            test_results_after_an_outage_are_stored, durable_up, engine_down),
        cmocka_unit_test_setup_teardown(
            test_a_start_that_waits_checks_later, durable_up, engine_down),
        TEST(test_a_job_that_others_had_meanwhile_is_lost),
        cmocka_unit_test_setup_teardown(
            test_a_run_that_is_cut_off_may_be_ended, durable_up, engine_down),
        cmocka_unit_test_setup_teardown(
            test_a_run_that_is_cut_off_goes_on, durable_up, engine_down),
        TEST(test_a_lost_take_is_returned),
        TEST(test_released_jobs_keep_their_order),
        TEST(test_jobs_released_in_turn_keep_their_order),
        TEST(test_a_removed_queue_stays_away),
        TEST(test_stalls_count_against_attempts),
        TEST(test_scripts_flushed_under_load),
        cmocka_unit_test_setup_teardown(
            test_survives_a_restart_of_the_server, durable_up, engine_down),
        TEST(test_a_broken_key_is_reported_and_survived),
        TEST(test_skips_denied_job),
        TEST(test_a_broken_parent_costs_no_other_job),
        TEST(test_a_denied_parent_costs_no_other_job),
        TEST(test_a_stored_follower_gets_no_foreign_parent),
        TEST(test_finishes_hold_when_following_take_fails),
        TEST(test_rare_finishes_hold_when_following_take_fails),
        TEST(test_close_at_every_step),
        TEST(test_abort_at_every_step),
        TEST(test_attempts_that_are_no_number),
        TEST(test_a_retry_with_attempts_that_are_no_number),
        TEST(test_a_strange_key_costs_no_other_job),
        TEST(test_stalled_check_survives_odd_jobs),
        TEST(test_settings_that_are_no_numbers),
        TEST(test_times_out_of_range),
        TEST(test_rate_windows_out_of_range),
        TEST(test_skips_obsolete_markers),
        TEST(test_results_wait_for_a_server_that_refuses),
        TEST(test_refused_wait_is_not_retried_in_a_loop),
        TEST(test_a_schedule_outlives_a_refusal),
        cmocka_unit_test_setup_teardown(
            test_results_wait_for_a_server_that_loads, loading_up, engine_down),
        TEST(test_a_lasting_backlog_does_not_grow),
        TEST(test_lock_lost_while_waiting_for_children),
        TEST(test_no_job_starts_after_an_abort),
        TEST(test_a_worker_that_cannot_sleep_polls),
        TEST(test_an_abort_ends_a_close_that_waits),
        TEST(test_accepts_odd_metrics),
        TEST(test_the_shortest_times_work),
        TEST(test_the_longest_locks_are_renewed_seldom),
        TEST(test_a_server_that_hangs_up_on_a_large_result),
        TEST(test_a_result_that_the_server_cannot_read_costs_no_other_job),
        TEST(test_jobs_without_a_state_are_restored),
        TEST(test_sleeps_through_far_times),
        TEST(test_locks_outlive_late_renewals),
        TEST(test_limits_stack_traces),
        TEST(test_survives_a_server_that_hangs),
        TEST(test_a_stopped_server_makes_nothing_stall),
        TEST(test_an_idle_worker_closes_without_a_server),
    };
    return cmocka_run_group_tests_name("lib trouble", tests, NULL, NULL);
}
