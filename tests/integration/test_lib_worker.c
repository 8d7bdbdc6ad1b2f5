/*
 * test_lib_worker.c - the worker engine of libox on a real Redis.
 *
 * Each test has a server, a queue and a loop of its own. The processor does what the name of
 * the job says ("ok", "fail", "hold", ...); the tests look at Redis directly.
 */
#include "check.h"
#include "redis.h"

#include <ox.h>

#include <glib.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define DEADLINE_MS 20000

struct fix {
    struct test_redis *redis;
    ox_client *client;
    ox_queue *queue;
    uv_loop_t loop;
    ox_worker *worker;
    ox_worker_options options;
    uint32_t started, attempt, most_running, lost, errors, ready, went_on;
    GString *order;  /* names and ids of started jobs */
    GPtrArray *held; /* tasks that a test ends by itself */
    bool closed;
    int64_t last_start_ms;
    char last_error[256];
};

static struct fix *fix; /* the running test's */

/* ---- the loop ---------------------------------------------------------------------------- */

static void on_tick(uv_timer_t *timer)
{
    (void)timer; /* only ends uv_run(ONCE) now and then */
}

/* Turns the loop until `is_so` or the deadline. */
static bool turn_until(bool (*is_so)(void), int64_t deadline_ms)
{
    int64_t end = test_now_ms() + deadline_ms;
    uv_timer_t timer;
    uv_timer_init(&fix->loop, &timer);
    uv_timer_start(&timer, on_tick, 5, 5);
    bool so = is_so();
    while (!so && test_now_ms() < end) {
        uv_run(&fix->loop, UV_RUN_ONCE);
        so = is_so();
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&fix->loop, UV_RUN_NOWAIT);
    return so;
}

static bool is_closed(void)
{
    return fix->closed;
}

static void on_closed(void *arg)
{
    struct fix *f = arg;
    f->closed = true;
    f->worker = NULL;
}

static void close_worker(void)
{
    fix->closed = false;
    ox_worker_close(fix->worker, on_closed, fix);
    assert_true(turn_until(is_closed, DEADLINE_MS));
}

/* ---- the processor ----------------------------------------------------------------------- */

static void go_on(ox_task *task, void *arg)
{
    (void)arg;
    fix->went_on++;
    ox_task_complete(task, "\"went on\"");
}

static void end_held(uv_timer_t *timer)
{
    ox_task_complete(timer->data, "1");
    uv_close((uv_handle_t *)timer, (uv_close_cb)free);
}

static void hold_for(ox_task *task, uint64_t ms)
{
    uv_timer_t *timer = malloc(sizeof(*timer));
    uv_timer_init(&fix->loop, timer);
    timer->data = task;
    uv_timer_start(timer, end_held, ms, 0);
}

static void process(ox_task *task, void *arg)
{
    const ox_job *job = ox_task_job(task);
    const char *name = ox_job_text(job, OX_JOB_NAME);
    const ox_failure failure = { .reason = "no good" };
    const ox_failure final = { .reason = "never", .unrecoverable = true };
    uint32_t running = ox_worker_running(ox_task_worker(task));
    bool first = ox_job_number(job, OX_JOB_ATTEMPTS_STARTED, 0) == 0;
    (void)arg;
    fix->started++;
    fix->attempt = ox_task_attempt(task);
    fix->last_start_ms = test_unix_ms();
    fix->most_running = running > fix->most_running ? running : fix->most_running;
    g_string_append_printf(fix->order, "%s:%s ", name, ox_job_id(job));
    if (strcmp(name, "fail") == 0) {
        ox_task_fail(task, &failure);
    } else if (strcmp(name, "never") == 0) {
        ox_task_fail(task, &final);
    } else if (strcmp(name, "hold") == 0) {
        g_ptr_array_add(fix->held, task);
    } else if (strcmp(name, "slow") == 0) {
        hold_for(task, 20);
    } else if (strcmp(name, "bad") == 0) {
        assert_int_equal(ox_task_complete(task, "{nonsense"), OX_EINVAL);
    } else if (strcmp(name, "talk") == 0) {
        assert_int_equal(ox_task_progress(task, "{\"done\":5}"), 0);
        assert_int_equal(ox_task_progress(task, "{nonsense"), OX_EINVAL);
        assert_int_equal(ox_task_log(task, "a row"), 0);
        assert_int_equal(ox_task_update_data(task, "[1]"), 0);
        assert_int_equal(ox_task_complete(task, NULL), 0);
    } else if (strcmp(name, "later") == 0 && first) {
        ox_task_delay(task, test_unix_ms() + 50);
    } else if (strcmp(name, "back") == 0 && first) {
        ox_task_release(task);
    } else if (strcmp(name, "limit") == 0 && first) {
        ox_task_rate_limited(task, 150);
    } else if (strcmp(name, "children") == 0) {
        ox_task_wait_children(task, go_on, NULL);
    } else {
        ox_task_complete(task, "{\"ok\":true}");
    }
}

static void on_lost(ox_task *task, void *arg)
{
    (void)task;
    (void)arg;
    fix->lost++;
}

static void on_error(ox_worker *worker, const char *job_id, const ox_error *error, void *arg)
{
    (void)worker;
    (void)job_id;
    (void)arg;
    fix->errors++;
    snprintf(fix->last_error, sizeof(fix->last_error), "%s", error->text);
}

static void on_ready(ox_worker *worker, void *arg)
{
    (void)worker;
    (void)arg;
    fix->ready++;
}

static ox_worker *start_worker(void)
{
    ox_error err = { 0 };
    ox_worker *worker = NULL;
    fix->options.lock_lost = on_lost;
    fix->options.error = on_error;
    fix->options.ready = on_ready;
    if (ox_worker_new(&worker, &fix->loop, fix->queue, &fix->options, process, NULL, &err) <
        0) {
        test_fatal("%s", err.text);
    }
    return worker;
}

static char *add(const char *name, const ox_job_options *options)
{
    char *id = NULL;
    ox_error err = { 0 };
    if (ox_queue_add(fix->queue, name, NULL, options, &id, &err) < 0) {
        test_fatal("%s", err.text);
    }
    return id;
}

static void add_many(const char *name, size_t count, const ox_job_options *options)
{
    for (size_t i = 0; i < count; i++) {
        ox_free(add(name, options));
    }
}

static long long size_of(const char *command, const char *suffix)
{
    return test_redis_int(fix->redis, "%s bull:q:%s", command, suffix);
}

static void expect_field(const char *id, const char *field, const char *value)
{
    g_autofree char *text = test_redis_text(fix->redis, "HGET bull:q:%s %s", id, field);
    if (value == NULL) {
        assert_null(text);
    } else {
        assert_non_null(text);
        assert_string_equal(text, value);
    }
}

static void expect_clean(void)
{
    assert_int_equal(size_of("LLEN", "active"), 0);
    redisReply *locks = test_redis_command(fix->redis, "KEYS bull:q:*:lock");
    assert_int_equal(locks->elements, 0);
    freeReplyObject(locks);
}

/* ---- states that tests wait for ---------------------------------------------------------- */

static long long want_completed, want_failed, want_started;

static bool completed(void)
{
    return size_of("ZCARD", "completed") >= want_completed;
}

static bool failed(void)
{
    return size_of("ZCARD", "failed") >= want_failed;
}

static bool started(void)
{
    return fix->started >= want_started;
}

static bool has_lost(void)
{
    return fix->lost > 0;
}

static bool is_ready(void)
{
    return fix->ready > 0;
}

static void wait_completed(long long count)
{
    want_completed = count;
    assert_true(turn_until(completed, DEADLINE_MS));
}

static void wait_failed(long long count)
{
    want_failed = count;
    assert_true(turn_until(failed, DEADLINE_MS));
}

static void wait_started(long long count)
{
    want_started = count;
    assert_true(turn_until(started, DEADLINE_MS));
}

/* ---- set up ------------------------------------------------------------------------------ */

static int set_up_with(void **state, const char *const *args)
{
    ox_error err = { 0 };
    fix = g_new0(struct fix, 1);
    *state = fix;
    fix->redis = test_redis_start(args);
    fix->order = g_string_new(NULL);
    fix->held = g_ptr_array_new();
    const ox_client_options options = { .url = test_redis_url(fix->redis) };
    uv_loop_init(&fix->loop);
    if (ox_client_new(&fix->client, &options, &err) < 0 ||
        ox_queue_new(&fix->queue, fix->client, "q", NULL, &err) < 0) {
        test_fatal("%s", err.text);
    }
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, NULL);
}

static int set_up_durable(void **state)
{
    static const char *const args[] = { "--appendonly", "yes", "--appendfsync", "always",
        NULL };
    return set_up_with(state, args);
}

static int tear_down(void **state)
{
    (void)state;
    if (fix->worker != NULL) {
        ox_worker_abort(fix->worker, on_closed, fix);
        turn_until(is_closed, DEADLINE_MS);
    }
    uv_run(&fix->loop, UV_RUN_NOWAIT);
    assert_int_equal(uv_loop_close(&fix->loop), 0);
    ox_queue_free(fix->queue);
    ox_client_free(fix->client);
    test_redis_stop(fix->redis);
    g_string_free(fix->order, TRUE);
    g_ptr_array_free(fix->held, TRUE);
    g_free(fix);
    return 0;
}

/* ---- tests ------------------------------------------------------------------------------- */

static void test_runs_in_order(void **state)
{
    (void)state;
    add_many("ok", 5, NULL);
    fix->worker = start_worker();
    wait_completed(5);
    assert_string_equal(fix->order->str, "ok:1 ok:2 ok:3 ok:4 ok:5 ");
    expect_field("3", "returnvalue", "{\"ok\":true}");
    expect_field("3", "atm", "1");
    expect_field("3", "ats", "1");
    g_autofree char *finished = test_redis_text(fix->redis, "HGET bull:q:3 finishedOn");
    g_autofree char *score = test_redis_text(fix->redis, "ZSCORE bull:q:completed 3");
    assert_string_equal(finished, score);
    expect_clean();
    close_worker();
    assert_int_equal(fix->errors, 0);
}

static void test_never_more_than_its_slots(void **state)
{
    (void)state;
    fix->options.concurrency = 7;
    add_many("slow", 100, NULL);
    fix->worker = start_worker();
    wait_completed(100);
    assert_int_equal(fix->started, 100);
    assert_in_range(fix->most_running, 1, 7);
    close_worker();
    expect_clean();
}

static void test_many_jobs_once_each(void **state)
{
    (void)state;
    ox_new_job *jobs = g_new0(ox_new_job, 5000);
    ox_error err = { 0 };
    for (size_t i = 0; i < 5000; i++) {
        jobs[i].name = "ok";
    }
    assert_int_equal(ox_queue_add_bulk(fix->queue, jobs, 5000, NULL, &err), 0);
    g_free(jobs);
    fix->options.concurrency = 100;
    fix->worker = start_worker();
    wait_completed(5000);
    assert_int_equal(fix->started, 5000);
    assert_int_equal(size_of("LLEN", "wait"), 0);
    close_worker();
    expect_clean();
}

static void test_a_mixed_batch_ends_each_its_way(void **state)
{
    const ox_job_options gone = { .remove_on_complete = { .mode = OX_KEEP_NONE } };
    const ox_job_options twice = { .attempts = 2 };
    (void)state;
    fix->options.concurrency = 50;
    for (int i = 0; i < 20; i++) {
        add_many("ok", 1, NULL);
        add_many("ok", 1, &gone);
        add_many("fail", 1, &twice);
        add_many("never", 1, &twice);
    }
    fix->worker = start_worker();
    wait_failed(40);
    wait_completed(20);
    close_worker();
    assert_int_equal(fix->started, 20 + 20 + 40 + 20);
    assert_int_equal(test_redis_int(fix->redis, "EXISTS bull:q:2"), 0);
    expect_clean();
}

static void test_retries_with_backoff(void **state)
{
    const ox_job_options options = { .attempts = 3,
        .backoff = { .type = "fixed", .delay_ms = 60 } };
    (void)state;
    g_autofree char *id = add("fail", &options);
    fix->worker = start_worker();
    int64_t begin = test_now_ms();
    wait_failed(1);
    assert_true(test_now_ms() - begin >= 120);
    expect_field(id, "atm", "3");
    expect_field(id, "failedReason", "no good");
    expect_field(id, "delay", "0");
    expect_field(id, "stacktrace", "[\"no good\",\"no good\",\"no good\"]");
    close_worker();
}

static void test_stack_traces_are_limited(void **state)
{
    const ox_job_options one = { .attempts = 3, .stack_trace_limit = 1 };
    const ox_job_options none = { .attempts = 3, .stack_trace_limit = -1 };
    (void)state;
    g_autofree char *a = add("fail", &one);
    g_autofree char *b = add("fail", &none);
    fix->worker = start_worker();
    wait_failed(2);
    expect_field(a, "stacktrace", "[\"no good\"]");
    expect_field(b, "stacktrace", "[]");
    close_worker();
}

static void test_unknown_backoff_fails_with_a_reason(void **state)
{
    const ox_job_options options = { .attempts = 3, .backoff = { .type = "lunar" } };
    (void)state;
    g_autofree char *id = add("fail", &options);
    fix->worker = start_worker();
    wait_failed(1);
    expect_field(id, "failedReason",
        "no good (the job's backoff type is unknown to this worker: lunar)");
    expect_clean();
    close_worker();
}

static void test_bad_stored_values_fail_the_job(void **state)
{
    (void)state;
    g_autofree char *data = add("ok", NULL);
    g_autofree char *opts = add("ok", NULL);
    g_autofree char *value = add("bad", NULL);
    test_redis_int(fix->redis, "HSET bull:q:%s data {oops", data);
    test_redis_int(fix->redis, "HSET bull:q:%s opts [1]", opts);
    add_many("ok", 1, NULL);
    fix->worker = start_worker();
    wait_completed(1);
    wait_failed(3);
    expect_field(data, "failedReason", "the job's stored data is not JSON");
    expect_field(opts, "failedReason", "the job's stored options are not a JSON object");
    expect_field(value, "failedReason", "the handler's return value is not JSON");
    expect_clean();
    close_worker();
}

static void test_a_vanished_job_leaves_no_ghost(void **state)
{
    (void)state;
    g_autofree char *id = add("ok", NULL);
    add_many("ok", 1, NULL);
    test_redis_int(fix->redis, "DEL bull:q:%s", id);
    fix->worker = start_worker();
    wait_completed(1);
    close_worker();
    assert_int_equal(test_redis_int(fix->redis, "EXISTS bull:q:%s", id), 0);
    expect_clean();
}

static void test_a_job_deleted_while_it_runs(void **state)
{
    (void)state;
    g_autofree char *id = add("hold", NULL);
    fix->worker = start_worker();
    wait_started(1);
    test_redis_int(fix->redis, "DEL bull:q:%s", id);
    ox_task_complete(g_ptr_array_index(fix->held, 0), "1");
    close_worker();
    assert_int_equal(fix->errors, 1);
    assert_non_null(strstr(fix->last_error, "there is no such job"));
    assert_int_equal(test_redis_int(fix->redis, "EXISTS bull:q:%s", id), 0);
    expect_clean();
}

static void test_talks_while_it_runs(void **state)
{
    (void)state;
    g_autofree char *id = add("talk", NULL);
    fix->worker = start_worker();
    wait_completed(1);
    close_worker();
    expect_field(id, "progress", "{\"done\":5}");
    expect_field(id, "data", "[1]");
    expect_field(id, "returnvalue", "null");
    g_autofree char *row = test_redis_text(fix->redis, "LINDEX bull:q:%s:logs 0", id);
    assert_string_equal(row, "a row");
}

static void test_moves_cost_no_attempt(void **state)
{
    (void)state;
    g_autofree char *later = add("later", NULL);
    g_autofree char *back = add("back", NULL);
    fix->worker = start_worker();
    wait_completed(2);
    expect_field(later, "atm", "1");
    expect_field(later, "ats", "2");
    expect_field(back, "atm", "1");
    expect_field(back, "ats", "2");
    assert_int_equal(fix->attempt, 1);
    close_worker();
}

/* A failed job that is to run again may have its starts forgotten, and its attempts not. */
static void test_attempts_are_counted_without_starts(void **state)
{
    const ox_job_options options = { .attempts = 2 };
    ox_error err = { 0 };
    (void)state;
    g_autofree char *id = add("fail", &options);
    fix->worker = start_worker();
    wait_failed(1);
    assert_int_equal(fix->attempt, 2);
    assert_int_equal(
        ox_queue_retry(fix->queue, id, OX_FAILED, OX_RESET_ATTEMPTS_STARTED, &err), 0);
    wait_started(3);
    wait_failed(1);
    assert_int_equal(fix->attempt, 3);
    expect_field(id, "ats", "1");
    expect_field(id, "atm", "3");
    test_redis_int(fix->redis, "HSET bull:q:%s name ok", id);
    assert_int_equal(
        ox_queue_retry(fix->queue, id, OX_FAILED, OX_RESET_ATTEMPTS_STARTED, &err), 0);
    wait_completed(1);
    expect_field(id, "atm", "4");
    close_worker();
}

static void test_starts_are_bounded(void **state)
{
    const ox_job_options options = { .attempts = 5 };
    (void)state;
    g_autofree char *id = add("fail", &options);
    fix->options.max_started = 2;
    fix->worker = start_worker();
    wait_failed(1);
    assert_int_equal(fix->started, 2);
    expect_field(id, "failedReason", "job started more than allowable limit");
    close_worker();
}

/* What others stored as numbers may be none. */
static void test_odd_counts_are_no_obstacle(void **state)
{
    (void)state;
    g_autofree char *text = add("ok", NULL);
    g_autofree char *negative = add("ok", NULL);
    g_autofree char *huge = add("fail", NULL);
    test_redis_int(fix->redis, "HSET bull:q:%s ats x atm 1", text);
    test_redis_int(fix->redis, "HSET bull:q:%s ats -3 atm -3", negative);
    test_redis_int(fix->redis, "HSET bull:q:%s ats 1e30 atm 9e17", huge);
    fix->worker = start_worker();
    wait_completed(2);
    wait_failed(1);
    assert_int_equal(fix->attempt, UINT32_MAX);
    expect_field(text, "ats", "1");
    expect_clean();
    close_worker();
}

static void test_a_handler_meets_a_rate_limit(void **state)
{
    (void)state;
    g_autofree char *id = add("limit", NULL);
    fix->worker = start_worker();
    wait_started(1);
    int64_t first = test_unix_ms();
    wait_completed(1);
    assert_true(fix->last_start_ms - first >= 140);
    expect_field(id, "atm", "1");
    close_worker();
}

static void test_limiter_bounds_starts(void **state)
{
    (void)state;
    fix->options.concurrency = 10;
    fix->options.limiter_max = 2;
    fix->options.limiter_duration_ms = 200;
    add_many("ok", 7, NULL);
    int64_t begin = test_now_ms();
    fix->worker = start_worker();
    wait_completed(7);
    /* Seven starts need four windows; three of them have passed. */
    assert_true(test_now_ms() - begin >= 580);
    close_worker();
}

static void test_global_concurrency(void **state)
{
    (void)state;
    test_redis_int(fix->redis, "HSET bull:q:meta concurrency 1");
    fix->options.concurrency = 5;
    add_many("slow", 5, NULL);
    fix->worker = start_worker();
    wait_completed(5);
    assert_int_equal(fix->most_running, 1);
    close_worker();
}

static void test_priorities(void **state)
{
    const ox_job_options low = { .priority = 9 }, high = { .priority = 1 };
    (void)state;
    ox_free(add("ok", &low));
    ox_free(add("ok", &high));
    ox_free(add("ok", NULL));
    fix->worker = start_worker();
    wait_completed(3);
    assert_string_equal(fix->order->str, "ok:3 ok:2 ok:1 ");
    close_worker();
}

static void test_wakes_for_a_delayed_job(void **state)
{
    const ox_job_options options = { .delay_ms = 300 };
    (void)state;
    fix->worker = start_worker();
    assert_true(turn_until(is_ready, DEADLINE_MS));
    int64_t due = test_unix_ms() + 300;
    add_many("ok", 1, &options);
    wait_completed(1);
    assert_true(fix->last_start_ms >= due - 1);
    /* Far below the five seconds of the next poll. */
    assert_true(fix->last_start_ms < due + 2000);
    close_worker();
}

/* Jobs become due all the time while takes are on their way: no wake-up may be lost to an
 * older answer, which would leave the rest to the next poll in five seconds. */
static void test_no_news_is_lost_to_an_older_answer(void **state)
{
    ox_adder *adder = NULL;
    ox_error err = { 0 };
    (void)state;
    fix->options.concurrency = 100;
    assert_int_equal(ox_adder_new(&adder, fix->queue, NULL, NULL, &err), 0);
    for (int i = 0; i < 3000; i++) {
        const ox_job_options options = { .delay_ms = 200 + i / 5 };
        const ox_new_job job = { "ok", NULL, &options };
        assert_int_equal(ox_adder_put(adder, &job, &err), 0);
    }
    assert_int_equal(ox_adder_flush(adder, &err), 0);
    ox_adder_free(adder);
    int64_t last_due = test_unix_ms() + 800;
    fix->worker = start_worker();
    wait_completed(3000);
    assert_true(fix->last_start_ms < last_due + 2000);
    close_worker();
}

static void test_pause_and_resume(void **state)
{
    (void)state;
    test_redis_int(fix->redis, "HSET bull:q:meta paused 1");
    add_many("ok", 3, NULL);
    fix->worker = start_worker();
    assert_true(turn_until(is_ready, DEADLINE_MS));
    test_redis_int(fix->redis, "HDEL bull:q:meta paused");
    assert_int_equal(fix->started, 0);
    test_redis_int(fix->redis, "ZADD bull:q:marker 0 0");
    wait_completed(3);
    close_worker();
}

static void test_a_lost_lease_is_told(void **state)
{
    (void)state;
    fix->options.lock_ms = 300;
    fix->options.renew_ms = 50;
    g_autofree char *id = add("hold", NULL);
    fix->worker = start_worker();
    wait_started(1);
    test_redis_int(fix->redis, "DEL bull:q:%s:lock", id);
    assert_true(turn_until(has_lost, DEADLINE_MS));
    ox_task_complete(g_ptr_array_index(fix->held, 0), "1");
    close_worker();
    expect_field(id, "returnvalue", NULL);
    expect_field(id, "finishedOn", NULL);
}

static void test_leases_are_renewed(void **state)
{
    (void)state;
    fix->options.lock_ms = 300;
    fix->options.sweep_ms = 100;
    g_autofree char *id = add("hold", NULL);
    fix->worker = start_worker();
    wait_started(1);
    int64_t until = test_now_ms() + 1200;
    while (test_now_ms() < until) {
        uv_run(&fix->loop, UV_RUN_ONCE);
        assert_int_equal(test_redis_int(fix->redis, "EXISTS bull:q:%s:lock", id), 1);
    }
    ox_task_complete(g_ptr_array_index(fix->held, 0), "1");
    wait_completed(1);
    expect_field(id, "stc", NULL);
    assert_int_equal(fix->lost, 0);
    close_worker();
}

static void test_a_dead_workers_job_runs_again(void **state)
{
    (void)state;
    fix->options.lock_ms = 200;
    fix->options.sweep_ms = 100;
    g_autofree char *id = add("hold", NULL);
    fix->worker = start_worker();
    wait_started(1);
    ox_worker_abort(fix->worker, on_closed, fix);
    assert_true(turn_until(is_closed, DEADLINE_MS));
    g_ptr_array_set_size(fix->held, 0);
    fix->worker = start_worker();
    wait_started(2);
    ox_task_complete(g_ptr_array_index(fix->held, 0), "2");
    wait_completed(1);
    expect_field(id, "stc", "1");
    expect_field(id, "returnvalue", "2");
    close_worker();
    expect_clean();
}

static void test_stalled_too_often_fails_unrun(void **state)
{
    (void)state;
    g_autofree char *id = add("ok", NULL);
    test_redis_int(fix->redis, "HSET bull:q:%s defa why", id);
    fix->worker = start_worker();
    wait_failed(1);
    expect_field(id, "failedReason", "why");
    expect_field(id, "defa", NULL);
    assert_int_equal(fix->started, 0);
    close_worker();
}

static void test_waits_for_children(void **state)
{
    (void)state;
    g_autofree char *alone = add("children", NULL);
    fix->worker = start_worker();
    wait_completed(1);
    assert_int_equal(fix->went_on, 1);
    expect_field(alone, "returnvalue", "\"went on\"");
    ox_worker_pause(fix->worker);
    g_autofree char *parent = add("children", NULL);
    test_redis_int(fix->redis, "SADD bull:q:%s:dependencies bull:q:kid", parent);
    const ox_job_options kid = { .id = "kid", .parent = { .id = parent, .queue = "bull:q" } };
    ox_free(add("ok", &kid));
    ox_worker_resume(fix->worker);
    wait_completed(3);
    assert_int_equal(fix->went_on, 2);
    g_autofree char *value =
        test_redis_text(fix->redis, "HGET bull:q:%s:processed bull:q:kid", parent);
    assert_string_equal(value, "{\"ok\":true}");
    close_worker();
    expect_clean();
}

static void test_scripts_flushed_under_load(void **state)
{
    (void)state;
    fix->options.concurrency = 20;
    fix->worker = start_worker();
    for (int i = 0; i < 50; i++) {
        add_many("ok", 20, NULL);
        freeReplyObject(test_redis_command(fix->redis, "SCRIPT FLUSH"));
        uv_run(&fix->loop, UV_RUN_NOWAIT);
    }
    wait_completed(1000);
    assert_int_equal(fix->started, 1000);
    assert_int_equal(fix->errors, 0);
    close_worker();
    expect_clean();
}

static void test_survives_a_restart_of_the_server(void **state)
{
    (void)state;
    fix->options.lock_ms = 10000;
    g_autofree char *id = add("hold", NULL);
    fix->worker = start_worker();
    wait_started(1);
    test_redis_kill(fix->redis);
    ox_task_complete(g_ptr_array_index(fix->held, 0), "\"kept\"");
    uv_run(&fix->loop, UV_RUN_ONCE);
    test_redis_revive(fix->redis);
    wait_completed(1);
    expect_field(id, "returnvalue", "\"kept\"");
    assert_true(fix->errors > 0); /* the loss was told */
    add_many("ok", 3, NULL);
    wait_completed(4);
    close_worker();
    expect_clean();
}

static void test_a_broken_key_is_reported_and_survived(void **state)
{
    (void)state;
    freeReplyObject(test_redis_command(fix->redis, "SET bull:q:wait text"));
    fix->worker = start_worker();
    assert_true(turn_until(is_ready, DEADLINE_MS));
    int64_t end = test_now_ms() + DEADLINE_MS;
    while (fix->errors == 0 && test_now_ms() < end) {
        uv_run(&fix->loop, UV_RUN_ONCE);
    }
    assert_non_null(strstr(fix->last_error, "WRONGTYPE"));
    test_redis_int(fix->redis, "DEL bull:q:wait");
    add_many("ok", 1, NULL);
    wait_completed(1);
    close_worker();
}

/* Closing after each number of turns meets every state of connecting, taking and sleeping. */
static void test_close_at_every_step(void **state)
{
    (void)state;
    fix->options.concurrency = 3;
    for (int turns = 0; turns < 40; turns++) {
        add_many("slow", 2, NULL);
        fix->worker = start_worker();
        for (int i = 0; i < turns; i++) {
            uv_run(&fix->loop, UV_RUN_NOWAIT);
        }
        close_worker();
        assert_int_equal(size_of("LLEN", "active"), 0);
    }
    fix->worker = start_worker();
    wait_completed(80);
    close_worker();
    expect_clean();
}

static void test_abort_at_every_step(void **state)
{
    (void)state;
    for (int turns = 0; turns < 40; turns++) {
        add_many("ok", 2, NULL);
        fix->worker = start_worker();
        for (int i = 0; i < turns; i++) {
            uv_run(&fix->loop, UV_RUN_NOWAIT);
        }
        fix->closed = false;
        ox_worker_abort(fix->worker, on_closed, fix);
        assert_true(turn_until(is_closed, DEADLINE_MS));
    }
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
        ox_worker_new(&worker, &fix->loop, fix->queue, &leases, process, NULL, &err),
        OX_EINVAL);
    assert_int_equal(
        ox_worker_new(&worker, &fix->loop, fix->queue, &name, process, NULL, &err), OX_EINVAL);
    assert_int_equal(
        ox_worker_new(&worker, &fix->loop, fix->queue, &limiter, process, NULL, &err),
        OX_EINVAL);
    assert_null(worker);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_runs_in_order),
        TEST(test_never_more_than_its_slots),
        TEST(test_many_jobs_once_each),
        TEST(test_a_mixed_batch_ends_each_its_way),
        TEST(test_retries_with_backoff),
        TEST(test_stack_traces_are_limited),
        TEST(test_unknown_backoff_fails_with_a_reason),
        TEST(test_bad_stored_values_fail_the_job),
        TEST(test_a_vanished_job_leaves_no_ghost),
        TEST(test_a_job_deleted_while_it_runs),
        TEST(test_talks_while_it_runs),
        TEST(test_moves_cost_no_attempt),
        TEST(test_attempts_are_counted_without_starts),
        TEST(test_starts_are_bounded),
        TEST(test_odd_counts_are_no_obstacle),
        TEST(test_a_handler_meets_a_rate_limit),
        TEST(test_limiter_bounds_starts),
        TEST(test_global_concurrency),
        TEST(test_priorities),
        TEST(test_wakes_for_a_delayed_job),
        TEST(test_no_news_is_lost_to_an_older_answer),
        TEST(test_pause_and_resume),
        TEST(test_a_lost_lease_is_told),
        TEST(test_leases_are_renewed),
        TEST(test_a_dead_workers_job_runs_again),
        TEST(test_stalled_too_often_fails_unrun),
        TEST(test_waits_for_children),
        TEST(test_scripts_flushed_under_load),
        cmocka_unit_test_setup_teardown(
            test_survives_a_restart_of_the_server, set_up_durable, tear_down),
        TEST(test_a_broken_key_is_reported_and_survived),
        TEST(test_close_at_every_step),
        TEST(test_abort_at_every_step),
        TEST(test_bad_options_are_refused),
    };
    return cmocka_run_group_tests_name("lib worker", tests, NULL, NULL);
}
