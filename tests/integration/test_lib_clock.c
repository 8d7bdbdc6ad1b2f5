/*
 * test_lib_clock.c - the worker engine when somebody sets the clock while it runs.
 *
 * The program is linked so that libox asks here for the time (see WRAP in the Makefile). Only
 * the wall clock can be set; the steady one and those of libuv and Redis go on.
 */
#include "../support/check.h"

#include <time.h>

#include "../support/engine.h"
#include "../support/jobs.h"
#include "lib/engine/jobs.h"
#include "lib/queue/queue.h"
#include "scripts.h"

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

/* What the server's clock says. */
static int64_t true_ms(void)
{
    struct timespec now;
    __real_clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int up(void **state)
{
    ahead_s = 0;
    return engine_up(state);
}

static int64_t field(const char *id, const char *name)
{
    g_autofree char *text = test_redis_text(engine->redis, "HGET bull:q:%s %s", id, name);
    return text ? g_ascii_strtoll(text, NULL, 10) : -1;
}

static bool is_limited(void)
{
    return engine->worker->engine.idle.limited_until_ms != 0;
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

static void test_handler_rate_limit_ends(void **state)
{
    (void)state;
    engine_add_many("limit", 1, NULL);
    engine_start();
    engine_wait_started(1);
    ahead_s = -HOUR_S;
    engine_wait_completed(1);
    engine_close();
}

/* The server's clock decides what is due. */
static void test_a_clock_ahead_starts_no_job_early(void **state)
{
    const ox_job_options later = { .delay_ms = HOUR_S * 1000 - 60000 };
    (void)state;
    engine->options.drain_delay_ms = 100;
    engine_start();
    assert_true(engine_turn_until(engine_is_ready, ENGINE_DEADLINE_MS));
    engine_add_many("ok", 1, &later);
    ahead_s = HOUR_S;
    for (int i = 1; i <= 3; i++) {
        test_redis_do(engine->redis, "HSET bull:q:plain%d name ok data {} opts {}", i);
        test_redis_do(engine->redis, "LPUSH bull:q:wait plain%d", i);
        test_redis_do(engine->redis, "ZADD bull:q:marker 0 0");
        engine_wait_completed(i);
    }
    assert_int_equal(engine_size("ZCARD", "delayed"), 1);
    engine_close();
}

/* A take by a worker that says what time it is, and by how much it may be wrong. */
static redisReply *take_at(int64_t now_ms, int error_ms)
{
    ox_queue *queue = engine->queue;
    redisReply *reply = NULL;
    ox_error err = { 0 };
    ox__query_script(&queue->query, &queue->at, &ox__script_take_jobs);
    struct ox__op *op = &queue->query.op;
    ox__op_int(op, "now", now_ms);
    ox__op_int(op, "want", 1);
    ox__op_text(op, "token", "token");
    ox__op_int(op, "lock_ms", 30000);
    ox__op_text(op, "name", "");
    ox__op_int(op, "limit_max", 0);
    ox__op_int(op, "limit_ms", 0);
    ox__op_text(op, "popped", "0");
    ox__op_text(op, "look", "1");
    ox__op_int(op, "error_ms", error_ms);
    ox__op_text(op, "apart", "0");
    test_ok(ox__call(queue->client, op, &reply, &err), &err);
    return reply;
}

/* The worker's time is good for what has started, but not for what may be due. */
static void test_a_guess_starts_no_job_early(void **state)
{
    const ox_job_options later = { .delay_ms = 60000 };
    (void)state;
    g_autofree char *plain = engine_add("ok", NULL);
    g_autofree char *delayed = engine_add("ok", &later);
    int64_t due_ms = field(delayed, "timestamp") + 60000, guess_ms = due_ms - 50000;
    redisReply *reply = take_at(guess_ms, 1000);
    assert_int_equal(reply->element[0]->integer, 1);
    assert_string_equal(reply->element[3]->str, "0"); /* nobody looked at a clock */
    assert_int_equal(field(plain, "processedOn"), guess_ms);
    ox__free_reply(&reply);
    for (int late_ms = -900; late_ms <= 900; late_ms += 1800) {
        reply = take_at(due_ms + late_ms, 1000);
        assert_int_equal(reply->element[0]->integer, 0);
        assert_in_range(g_ascii_strtoll(reply->element[3]->str, NULL, 10) / 1000,
            true_ms() - 10000, true_ms());
        ox__free_reply(&reply);
        assert_int_equal(engine_size("ZCARD", "delayed"), 1);
    }
}

static void test_a_clock_behind_keeps_no_job_back(void **state)
{
    const ox_job_options soon = { .delay_ms = 300 };
    (void)state;
    engine_start();
    assert_true(engine_turn_until(engine_is_ready, ENGINE_DEADLINE_MS));
    engine_add_many("ok", 1, &soon);
    ahead_s = -HOUR_S;
    engine_wait_completed(1);
    engine_close();
}

/* Of a job that is tried again the server's clock says when, too. */
static void test_a_retry_comes_when_it_is_due_by_the_server(void **state)
{
    const ox_job_options twice = { .attempts = 2,
        .backoff = { .type = "fixed", .delay_ms = 50 } };
    (void)state;
    ahead_s = -HOUR_S;
    engine_add_many("fail", 1, &twice);
    ahead_s = HOUR_S;
    engine_start();
    engine_wait_failed(1);
    engine_close();
}

/* The times of one job go forward, whoever wrote them. */
static void times_go_forward(time_t producer_s, time_t worker_s)
{
    const ox_job_options twice = { .attempts = 2 };
    int64_t before = true_ms();
    ahead_s = producer_s;
    engine->options.concurrency = 3;
    g_autofree char *good = engine_add("ok", NULL);
    g_autofree char *bad = engine_add("never", NULL);
    g_autofree char *again = engine_add("fail", &twice);
    const char *const ids[] = { good, bad, again };
    ahead_s = worker_s;
    engine_start();
    engine_wait_completed(1);
    engine_wait_failed(2);
    engine_close();
    for (size_t i = 0; i < 3; i++) {
        int64_t made = field(ids[i], "timestamp"), started = field(ids[i], "processedOn"),
                done = field(ids[i], "finishedOn");
        assert_true(made <= started);
        assert_true(started <= done);
        if (producer_s <= 0) { /* the server's clock, not the worker's */
            assert_in_range(done, before, true_ms() + 1000);
        }
    }
}

static void test_times_go_forward_in_a_worker_behind(void **state)
{
    (void)state;
    times_go_forward(0, -HOUR_S);
}

static void test_times_go_forward_in_a_worker_ahead(void **state)
{
    (void)state;
    times_go_forward(0, HOUR_S);
}

static void test_times_go_forward_from_a_producer_ahead(void **state)
{
    (void)state;
    times_go_forward(HOUR_S, 0);
}

static int64_t first_of(const char *key)
{
    redisReply *reply =
        test_redis_command(engine->redis, "ZRANGE bull:q:%s 0 0 WITHSCORES", key);
    int64_t score =
        reply->elements == 2 ? g_ascii_strtoll(reply->element[1]->str, NULL, 10) : 0;
    freeReplyObject(reply);
    return score;
}

/* The next job of a schedule comes an interval after this one, not an hour later. */
static void test_a_clock_ahead_stops_no_scheduler(void **state)
{
    const ox_schedule often = { .every_ms = 100 };
    const ox_schedule by_pattern = { .pattern = "* * * * * *" };
    const ox_new_job job = { .name = "ok" };
    ox_error err = { 0 };
    (void)state;
    assert_int_equal(ox_scheduler_set(engine->queue, "often", &often, &job, NULL, &err), 0);
    assert_int_equal(
        ox_scheduler_set(engine->queue, "pattern", &by_pattern, &job, NULL, &err), 0);
    ahead_s = HOUR_S;
    engine_start();
    engine_wait_completed(20); /* both go on: one of ten a second, one of one */
    assert_in_range(first_of("repeat"), true_ms() - 2000, true_ms() + 2000);
    engine_close();
}

static bool has_renewed(void)
{
    static int64_t since;
    since = since != 0 ? since : test_now_ms();
    return test_now_ms() - since > 1000;
}

static void test_locks_ignore_wall_clock(void **state)
{
    (void)state;
    engine->options.lock_ms = 400;
    engine->options.stalled_interval_ms = 100;
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
        TEST(test_handler_rate_limit_ends),
        TEST(test_a_clock_ahead_starts_no_job_early),
        TEST(test_a_guess_starts_no_job_early),
        TEST(test_a_clock_behind_keeps_no_job_back),
        TEST(test_a_retry_comes_when_it_is_due_by_the_server),
        TEST(test_times_go_forward_in_a_worker_behind),
        TEST(test_times_go_forward_in_a_worker_ahead),
        TEST(test_times_go_forward_from_a_producer_ahead),
        TEST(test_a_clock_ahead_stops_no_scheduler),
        TEST(test_locks_ignore_wall_clock),
    };
    return cmocka_run_group_tests_name("lib clock", tests, NULL, NULL);
}
