/*
 * test_lib_worker.c - the worker engine of libox on a real Redis: what it does when all is well
 * with the server and with what is stored. See test_lib_stored.c, test_lib_outage.c and
 * test_lib_trouble.c for the rest.
 */
#include "../support/check.h"

#include "../support/engine.h"

#include <stdlib.h>
#include <string.h>

static void test_runs_in_order(void **state)
{
    (void)state;
    engine_add_many("ok", 5, NULL);
    engine_start();
    engine_wait_completed(5);
    assert_string_equal(engine->order->str, "ok:1 ok:2 ok:3 ok:4 ok:5 ");
    engine_expect_field("3", "returnvalue", "{\"ok\":true}");
    engine_expect_field("3", "atm", "1");
    engine_expect_field("3", "ats", "1");
    g_autofree char *finished = test_redis_text(engine->redis, "HGET bull:q:3 finishedOn");
    g_autofree char *score = test_redis_text(engine->redis, "ZSCORE bull:q:completed 3");
    assert_string_equal(finished, score);
    engine_expect_clean();
    engine_close();
    assert_int_equal(engine->errors, 0);
}

/* The program is told of each end when it is stored, and of those that it had no part in. */
static void test_reports_finishes_once_stored(void **state)
{
    const ox_job_options twice = { .attempts = 2 };
    (void)state;
    engine_add_many("ok", 1, NULL);
    engine_add_many("fail", 1, &twice);
    engine_add_many("back", 1, NULL);
    engine_add_many("later", 1, NULL);
    engine_add_many("ok", 1, NULL);
    engine_add_many("ok", 1, NULL);
    test_redis_int(engine->redis, "HSET bull:q:5 data {nonsense");
    engine_start();
    engine_wait_told("1 completed");
    engine_expect_field("1", "returnvalue", "{\"ok\":true}");
    engine_wait_told("2 retried no good");
    engine_wait_told("2 failed no good");
    engine_wait_told("3 released");
    engine_wait_told("3 completed");
    engine_wait_told("4 delayed");
    engine_wait_told("5 failed unrun the job's stored data is not JSON");
    engine_wait_told("6 completed");
    engine_wait_told("4 completed");
    g_auto(GStrv) lines = g_strsplit(engine->told->str, "\n", -1);
    assert_int_equal(g_strv_length(lines) - 1, 9); /* each once */
    engine_close();
    assert_int_equal(engine->errors, 0);
}

static void test_runs_at_most_concurrency(void **state)
{
    (void)state;
    engine->options.concurrency = 7;
    engine_add_many("slow", 100, NULL);
    engine_start();
    engine_wait_completed(100);
    assert_int_equal(engine->started, 100);
    assert_in_range(engine->most_running, 1, 7);
    engine_close();
    engine_expect_clean();
}

static void test_many_jobs_once_each(void **state)
{
    (void)state;
    ox_new_job *jobs = g_new0(ox_new_job, 5000);
    ox_error err = { 0 };
    for (size_t i = 0; i < 5000; i++) {
        jobs[i].name = "ok";
    }
    assert_int_equal(ox_queue_add_bulk(engine->queue, jobs, 5000, NULL, &err), 0);
    g_free(jobs);
    engine->options.concurrency = 100;
    engine_start();
    engine_wait_completed(5000);
    assert_int_equal(engine->started, 5000);
    assert_int_equal(engine_size("LLEN", "wait"), 0);
    engine_close();
    engine_expect_clean();
}

static void test_a_mixed_batch_ends_each_its_way(void **state)
{
    const ox_job_options gone = { .remove_on_complete = { .mode = OX_KEEP_NONE } };
    const ox_job_options twice = { .attempts = 2 };
    (void)state;
    engine->options.concurrency = 50;
    for (int i = 0; i < 20; i++) {
        engine_add_many("ok", 1, NULL);
        engine_add_many("ok", 1, &gone);
        engine_add_many("fail", 1, &twice);
        engine_add_many("never", 1, &twice);
    }
    engine_start();
    engine_wait_failed(40);
    engine_wait_completed(20);
    engine_close();
    assert_int_equal(engine->started, 20 + 20 + 40 + 20);
    assert_int_equal(test_redis_int(engine->redis, "EXISTS bull:q:2"), 0);
    engine_expect_clean();
}

static void test_retries_with_backoff(void **state)
{
    const ox_job_options options = { .attempts = 3,
        .backoff = { .type = "fixed", .delay_ms = 60 } };
    (void)state;
    g_autofree char *id = engine_add("fail", &options);
    engine_start();
    int64_t begin = test_now_ms();
    engine_wait_failed(1);
    assert_true(test_now_ms() - begin >= 120);
    engine_expect_field(id, "atm", "3");
    engine_expect_field(id, "failedReason", "no good");
    engine_expect_field(id, "delay", "0");
    engine_expect_field(id, "stacktrace", "[\"no good\",\"no good\",\"no good\"]");
    engine_close();
}

static int64_t asked_ms; /* of fail_asking_for() */

static void fail_asking_for(ox_task *task)
{
    const ox_failure failure = { .reason = "busy", .min_delay_ms = asked_ms };
    ox_task_fail(task, &failure);
}

/* The longer of the job's backoff and what the failure asks for; an attempt is spent. */
static void test_a_failure_asks_for_a_longer_wait(void **state)
{
    static const struct {
        int64_t asked_ms, backoff_ms, from_ms, to_ms;
    } rows[] = {
        { 60000, 0, 60000, 60000 },
        { 60000, 20000, 60000, 60000 },
        { 20000, 60000, 60000, 60000 },
        { -5, 60000, 60000, 60000 },
        { INT64_MAX, 0, INT64_C(1) << 52, INT64_MAX },
    };
    (void)state;
    engine->process = fail_asking_for;
    engine_start();
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const ox_job_options options = { .attempts = 2,
            .backoff = { .type = "fixed", .delay_ms = rows[i].backoff_ms } };
        asked_ms = rows[i].asked_ms;
        g_autofree char *told = g_strdup_printf("%zu retried busy", i + 1);
        g_autofree char *id = engine_add("any", &options);
        engine_wait_told(told);
        g_autofree char *delay = test_redis_text(engine->redis, "HGET bull:q:%s delay", id);
        assert_in_range(g_ascii_strtoll(delay, NULL, 10), rows[i].from_ms, rows[i].to_ms);
        engine_expect_field(id, "atm", "1");
        assert_int_equal(engine_size("ZCARD", "delayed"), i + 1);
    }
    engine_close();
    engine_expect_clean();
}

static void test_stack_traces_are_limited(void **state)
{
    const ox_job_options one = { .attempts = 3, .stack_trace_limit = 1 };
    const ox_job_options none = { .attempts = 3, .stack_trace_limit = -1 };
    (void)state;
    g_autofree char *a = engine_add("fail", &one);
    g_autofree char *b = engine_add("fail", &none);
    engine_start();
    engine_wait_failed(2);
    engine_expect_field(a, "stacktrace", "[\"no good\"]");
    engine_expect_field(b, "stacktrace", "[]");
    engine_close();
}

static void test_unknown_backoff_fails_with_a_reason(void **state)
{
    const ox_job_options options = { .attempts = 3, .backoff = { .type = "lunar" } };
    (void)state;
    g_autofree char *id = engine_add("fail", &options);
    engine_start();
    engine_wait_failed(1);
    engine_expect_field(id, "failedReason",
        "no good (the job's backoff type is unknown to this worker: lunar)");
    engine_expect_clean();
    engine_close();
}

static void test_updates_of_running_job(void **state)
{
    (void)state;
    g_autofree char *id = engine_add("talk", NULL);
    engine_start();
    engine_wait_completed(1);
    engine_close();
    engine_expect_field(id, "progress", "{\"done\":5}");
    engine_expect_field(id, "data", "[1]");
    engine_expect_field(id, "returnvalue", "null");
    g_autofree char *row = test_redis_text(engine->redis, "LINDEX bull:q:%s:logs 0", id);
    assert_string_equal(row, "a row");
}

static bool has_said(void)
{
    return engine->updates_done > 0;
}

static void tell_progress(ox_task *task, int from, int to)
{
    for (int i = from; i <= to; i++) {
        g_autofree char *json = g_strdup_printf("%d", i);
        assert_int_equal(ox_task_progress(task, json), 0);
    }
}

static long long count_progress_events(void)
{
    return test_redis_int(engine->redis, "EVAL %s 0",
        "local n = 0 "
        "for _, e in ipairs(redis.call('XRANGE', 'bull:q:events', '-', '+')) do "
        "  if e[2][2] == 'progress' then n = n + 1 end "
        "end return n");
}

/* A job that tells of its progress without end costs 16 values on their way and one that waits,
 * and the newest one is stored, before the job's end. Fewer each have their event. */
static void test_only_the_newest_progress_waits(void **state)
{
    (void)state;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    ox_task *task = g_ptr_array_index(engine->held, 0);
    assert_int_equal(ox_task_pending_updates(task), 0);
    tell_progress(task, 1, 1000);
    assert_int_equal(ox_task_pending_updates(task), 16);
    assert_int_equal(ox_task_log(task, "a row"), 0);
    assert_int_equal(ox_task_pending_updates(task), 17);
    assert_true(engine_turn_until(has_said, ENGINE_DEADLINE_MS));
    assert_int_equal(engine->updates_done, 1);
    engine_expect_field(id, "progress", "1000");
    assert_int_equal(count_progress_events(), 17);
    tell_progress(task, 1001, 2000);
    ox_task_complete(task, NULL);
    engine_wait_completed(1);
    engine_expect_field(id, "progress", "2000");
    assert_int_equal(count_progress_events(), 34);
    engine_close();
    assert_int_equal(engine->errors, 0);
}

/* What waits goes with a worker that is aborted. */
static void test_abort_drops_pending_updates(void **state)
{
    (void)state;
    engine_add_many("hold", 1, NULL);
    engine_start();
    engine_wait_started(1);
    tell_progress(g_ptr_array_index(engine->held, 0), 1, 100);
    engine_abort();
    assert_int_equal(engine->updates_done, 0);
}

static void test_moves_cost_no_attempt(void **state)
{
    (void)state;
    g_autofree char *later = engine_add("later", NULL);
    g_autofree char *back = engine_add("back", NULL);
    engine_start();
    engine_wait_completed(2);
    engine_expect_field(later, "atm", "1");
    engine_expect_field(later, "ats", "2");
    engine_expect_field(back, "atm", "1");
    engine_expect_field(back, "ats", "2");
    assert_int_equal(engine->attempt, 1);
    engine_close();
}

/* A failed job that is to run again may have its starts forgotten, and its attempts not. */
static void test_attempts_are_counted_without_starts(void **state)
{
    const ox_job_options options = { .attempts = 2 };
    ox_error err = { 0 };
    (void)state;
    g_autofree char *id = engine_add("fail", &options);
    engine_start();
    engine_wait_failed(1);
    assert_int_equal(engine->attempt, 2);
    assert_int_equal(
        ox_queue_retry(engine->queue, id, OX_FAILED, OX_RESET_ATTEMPTS_STARTED, &err), 0);
    engine_wait_started(3);
    engine_wait_failed(1);
    assert_int_equal(engine->attempt, 3);
    engine_expect_field(id, "ats", "1");
    engine_expect_field(id, "atm", "3");
    test_redis_int(engine->redis, "HSET bull:q:%s name ok", id);
    assert_int_equal(
        ox_queue_retry(engine->queue, id, OX_FAILED, OX_RESET_ATTEMPTS_STARTED, &err), 0);
    engine_wait_completed(1);
    engine_expect_field(id, "atm", "4");
    engine_close();
}

static void test_starts_are_bounded(void **state)
{
    const ox_job_options options = { .attempts = 5 };
    (void)state;
    g_autofree char *id = engine_add("fail", &options);
    engine->options.max_started = 2;
    engine_start();
    engine_wait_failed(1);
    assert_int_equal(engine->started, 2);
    engine_expect_field(id, "failedReason", "job started more than allowable limit");
    engine_close();
}

/* What was not begun is no start: the job may still have its only one. */
static void test_declined_starts_do_not_count(void **state)
{
    (void)state;
    g_autofree char *id = engine_add("hold", NULL);
    engine->options.max_started = 1;
    engine_start();
    engine_wait_started(1);
    ox_task_decline(g_ptr_array_index(engine->held, 0), test_unix_ms() + 50);
    engine_wait_started(2);
    engine_expect_field(id, "ats", "1");
    ox_task_decline(g_ptr_array_index(engine->held, 1), 0);
    engine_wait_started(3);
    assert_int_equal(engine->attempt, 1);
    engine_expect_field(id, "ats", "1");
    ox_task_complete(g_ptr_array_index(engine->held, 2), NULL);
    engine_wait_completed(1);
    engine_expect_field(id, "atm", "1");
    engine_close();
}

static void test_handler_rate_limit(void **state)
{
    (void)state;
    g_autofree char *id = engine_add("limit", NULL);
    engine_start();
    engine_wait_started(1);
    int64_t first = test_unix_ms();
    engine_wait_completed(1);
    assert_true(engine->last_start_ms - first >= 140);
    engine_expect_field(id, "atm", "1");
    engine_close();
}

static void test_limiter_bounds_starts(void **state)
{
    (void)state;
    engine->options.concurrency = 10;
    engine->options.limiter_max = 2;
    engine->options.limiter_duration_ms = 200;
    engine_add_many("ok", 7, NULL);
    int64_t begin = test_now_ms();
    engine_start();
    engine_wait_completed(7);
    /* Seven starts need four windows; three of them have passed. */
    assert_true(test_now_ms() - begin >= 580);
    engine_close();
}

/* The queue's limit and the worker's hold both, whichever lets fewer start. */
static void test_two_limits_hold_both(void **state)
{
    (void)state;
    engine->options.concurrency = 10;
    engine->options.limiter_max = 2;
    engine->options.limiter_duration_ms = 200;
    test_redis_do(engine->redis, "HSET bull:q:meta max 5 duration 600000");
    engine_add_many("ok", 9, NULL);
    int64_t begin = test_now_ms();
    engine_start();
    engine_wait_completed(5);
    assert_true(test_now_ms() - begin >= 390); /* in the third window */
    assert_true(test_redis_int(engine->redis, "PTTL bull:q:limiter") > 500000);
    assert_true(test_redis_int(engine->redis, "PTTL bull::ox:limit:q") <= 200);
    /* Several windows of the worker later the queue's has not ended. */
    assert_false(engine_turn_until(engine_has_errors, 700));
    assert_int_equal(engine->started, 5);
    engine_close();
    /* The other way round. */
    test_redis_do(engine->redis, "DEL bull:q:limiter bull::ox:limit:q");
    test_redis_do(engine->redis, "HSET bull:q:meta max 2 duration 200");
    engine->options.limiter_max = 3;
    engine->options.limiter_duration_ms = 600000;
    begin = test_now_ms();
    engine_start();
    engine_wait_completed(8);
    assert_true(test_now_ms() - begin >= 195);
    assert_false(engine_turn_until(engine_has_errors, 700));
    assert_int_equal(engine->started, 8);
    assert_int_equal(engine_size("LLEN", "wait"), 1);
    engine_close();
}

static void test_global_concurrency(void **state)
{
    (void)state;
    test_redis_int(engine->redis, "HSET bull:q:meta concurrency 1");
    engine->options.concurrency = 5;
    engine_add_many("slow", 5, NULL);
    engine_start();
    engine_wait_completed(5);
    assert_int_equal(engine->most_running, 1);
    engine_close();
}

static void test_priorities(void **state)
{
    const ox_job_options low = { .priority = 9 }, high = { .priority = 1 };
    (void)state;
    ox_free(engine_add("ok", &low));
    ox_free(engine_add("ok", &high));
    ox_free(engine_add("ok", NULL));
    engine_start();
    engine_wait_completed(3);
    assert_string_equal(engine->order->str, "ok:3 ok:2 ok:1 ");
    engine_close();
}

static void test_wakes_for_a_delayed_job(void **state)
{
    const ox_job_options options = { .delay_ms = 300 };
    (void)state;
    engine_start();
    assert_true(engine_turn_until(engine_is_ready, ENGINE_DEADLINE_MS));
    int64_t due = test_unix_ms() + 300;
    engine_add_many("ok", 1, &options);
    engine_wait_completed(1);
    assert_true(engine->last_start_ms >= due - 1);
    /* Far below the five seconds of the next poll. */
    assert_true(engine->last_start_ms < due + 2000);
    engine_close();
}

/* Jobs become due all the time while takes are on their way: no wake-up may be lost to an
 * older answer, which would leave the rest to the next poll in five seconds. */
static void test_old_reply_does_not_hide_marker(void **state)
{
    ox_adder *adder = NULL;
    ox_error err = { 0 };
    (void)state;
    engine->options.concurrency = 100;
    assert_int_equal(ox_adder_new(&adder, engine->queue, NULL, NULL, &err), 0);
    for (int i = 0; i < 3000; i++) {
        const ox_job_options options = { .delay_ms = 200 + i / 5 };
        const ox_new_job job = { .name = "ok", .options = &options };
        assert_int_equal(ox_adder_put(adder, &job, &err), 0);
    }
    assert_int_equal(ox_adder_flush(adder, &err), 0);
    ox_adder_free(adder);
    int64_t last_due = test_unix_ms() + 800;
    engine_start();
    engine_wait_completed(3000);
    assert_true(engine->last_start_ms < last_due + 2000);
    engine_close();
}

static void test_pause_and_resume(void **state)
{
    (void)state;
    test_redis_int(engine->redis, "HSET bull:q:meta paused 1");
    engine_add_many("ok", 3, NULL);
    engine_start();
    assert_true(engine_turn_until(engine_is_ready, ENGINE_DEADLINE_MS));
    test_redis_int(engine->redis, "HDEL bull:q:meta paused");
    assert_int_equal(engine->started, 0);
    test_redis_int(engine->redis, "ZADD bull:q:marker 0 0");
    engine_wait_completed(3);
    engine_close();
}

static void test_renews_locks(void **state)
{
    (void)state;
    engine->options.lock_ms = 300;
    engine->options.stalled_interval_ms = 100;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    int64_t until = test_now_ms() + 1200;
    while (test_now_ms() < until) {
        uv_run(&engine->loop, UV_RUN_ONCE);
        assert_int_equal(test_redis_int(engine->redis, "EXISTS bull:q:%s:lock", id), 1);
    }
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    engine_wait_completed(1);
    engine_expect_field(id, "stc", NULL);
    assert_int_equal(engine->n_lost, 0);
    engine_close();
}

static void test_a_dead_workers_job_runs_again(void **state)
{
    (void)state;
    engine->options.lock_ms = 200;
    engine->options.stalled_interval_ms = 100;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    engine_abort();
    g_ptr_array_set_size(engine->held, 0);
    engine_start();
    engine_wait_started(2);
    ox_task_complete(g_ptr_array_index(engine->held, 0), "2");
    engine_wait_completed(1);
    engine_expect_field(id, "stc", "1");
    engine_expect_field(id, "returnvalue", "2");
    engine_close();
    engine_expect_clean();
}

static void test_stalled_too_often_fails_unrun(void **state)
{
    (void)state;
    g_autofree char *id = engine_add("ok", NULL);
    test_redis_int(engine->redis, "HSET bull:q:%s defa why", id);
    engine_start();
    engine_wait_failed(1);
    engine_expect_field(id, "failedReason", "why");
    engine_expect_field(id, "defa", NULL);
    assert_int_equal(engine->started, 0);
    engine_close();
}

static void test_waits_for_children(void **state)
{
    (void)state;
    g_autofree char *alone = engine_add("children", NULL);
    engine_start();
    engine_wait_completed(1);
    assert_int_equal(engine->went_on, 1);
    engine_expect_field(alone, "returnvalue", "\"went on\"");
    ox_worker_pause(engine->worker);
    g_autofree char *parent = engine_add("children", NULL);
    test_redis_int(engine->redis, "SADD bull:q:%s:dependencies bull:q:kid", parent);
    const ox_job_options kid = { .id = "kid", .parent = { .id = parent, .queue = "bull:q" } };
    ox_free(engine_add("ok", &kid));
    ox_worker_resume(engine->worker);
    engine_wait_completed(3);
    assert_int_equal(engine->went_on, 2);
    g_autofree char *value =
        test_redis_text(engine->redis, "HGET bull:q:%s:processed bull:q:kid", parent);
    assert_string_equal(value, "{\"ok\":true}");
    engine_close();
    engine_expect_clean();
}

static void no_process(ox_task *task, void *arg)
{
    (void)task;
    (void)arg;
}

static void test_bad_options_are_refused(void **state)
{
    (void)state;
    ox_worker *worker = NULL;
    ox_error err = { 0 };
    const ox_worker_options leases = { .lock_ms = 100, .renew_ms = 100 };
    const ox_worker_options name = { .name = "two words" };
    const ox_worker_options limiter = { .limiter_max = 3 };
    assert_int_equal(
        ox_worker_new(&worker, &engine->loop, engine->queue, &leases, no_process, NULL, &err),
        OX_EINVAL);
    assert_int_equal(
        ox_worker_new(&worker, &engine->loop, engine->queue, &name, no_process, NULL, &err),
        OX_EINVAL);
    assert_int_equal(
        ox_worker_new(&worker, &engine->loop, engine->queue, &limiter, no_process, NULL, &err),
        OX_EINVAL);
    assert_null(worker);
}

static bool three_are_held(void)
{
    return engine->held->len == 3;
}

/* More slots are used at once; when there are fewer, those that are taken stay. */
static void test_concurrency_changes_while_it_runs(void **state)
{
    (void)state;
    engine_add_many("hold", 5, NULL);
    engine->options.concurrency = 1;
    engine_start();
    engine_wait_started(1);
    ox_worker_set_concurrency(engine->worker, 3);
    assert_true(engine_turn_until(three_are_held, ENGINE_DEADLINE_MS));
    ox_worker_set_concurrency(engine->worker, 2);
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    engine_wait_completed(1);
    assert_int_equal(engine->started, 3);
    assert_int_equal(engine_size("LLEN", "active"), 2);
    ox_task_complete(g_ptr_array_index(engine->held, 1), "1");
    engine_wait_started(4);
    ox_task_complete(g_ptr_array_index(engine->held, 2), "1");
    engine_wait_started(5);
    ox_task_complete(g_ptr_array_index(engine->held, 3), "1");
    ox_task_complete(g_ptr_array_index(engine->held, 4), "1");
    engine_wait_completed(5);
    assert_int_equal(engine->most_running, 3);
    engine_close();
    engine_expect_clean();
}

/* A limiter of an hour is dropped: what waited for it starts. */
static void test_limiter_changes_while_it_runs(void **state)
{
    (void)state;
    ox_error err = { 0 };
    engine_add_many("ok", 5, NULL);
    engine->options.limiter_max = 2;
    engine->options.limiter_duration_ms = 3600000;
    engine_start();
    engine_wait_completed(2);
    assert_int_equal(ox_worker_set_limiter(engine->worker, 3, 0, &err), OX_EINVAL);
    assert_int_equal(ox_worker_set_limiter(engine->worker, 4, 3600000, &err), 0);
    engine_wait_completed(4);
    assert_int_equal(ox_worker_set_limiter(engine->worker, 0, 0, &err), 0);
    engine_wait_completed(5);
    engine_close();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, engine_up, engine_down)
    const struct CMUnitTest tests[] = {
        TEST(test_runs_in_order),
        TEST(test_reports_finishes_once_stored),
        TEST(test_runs_at_most_concurrency),
        TEST(test_many_jobs_once_each),
        TEST(test_a_mixed_batch_ends_each_its_way),
        TEST(test_retries_with_backoff),
        TEST(test_a_failure_asks_for_a_longer_wait),
        TEST(test_stack_traces_are_limited),
        TEST(test_unknown_backoff_fails_with_a_reason),
        TEST(test_updates_of_running_job),
        TEST(test_only_the_newest_progress_waits),
        TEST(test_abort_drops_pending_updates),
        TEST(test_moves_cost_no_attempt),
        TEST(test_attempts_are_counted_without_starts),
        TEST(test_starts_are_bounded),
        TEST(test_declined_starts_do_not_count),
        TEST(test_handler_rate_limit),
        TEST(test_limiter_bounds_starts),
        TEST(test_two_limits_hold_both),
        TEST(test_global_concurrency),
        TEST(test_priorities),
        TEST(test_wakes_for_a_delayed_job),
        TEST(test_old_reply_does_not_hide_marker),
        TEST(test_pause_and_resume),
        TEST(test_renews_locks),
        TEST(test_a_dead_workers_job_runs_again),
        TEST(test_stalled_too_often_fails_unrun),
        TEST(test_waits_for_children),
        TEST(test_bad_options_are_refused),
        TEST(test_concurrency_changes_while_it_runs),
        TEST(test_limiter_changes_while_it_runs),
    };
    return cmocka_run_group_tests_name("lib worker", tests, NULL, NULL);
}
