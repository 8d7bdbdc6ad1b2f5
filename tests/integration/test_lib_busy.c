/*
 * test_lib_busy.c - a worker with a backlog reads its jobs by plain commands beside the script
 * that takes them (engine/fetch.h): whatever stands among them, each job runs as it does when
 * the script reads it.
 */
#include "../support/check.h"

#include "../support/engine.h"
#include "../support/jobs.h"

#include <stdlib.h>
#include <string.h>

#define JOBS 300
#define SLOTS 20
#define AMONG (SLOTS + SLOTS / 4)

static int64_t commands(const char *name)
{
    g_autofree char *stats = NULL;
    redisReply *reply = redisCommand(engine->redis->context, "INFO commandstats");
    assert_non_null(reply);
    stats = g_strdup(reply->str);
    freeReplyObject(reply);
    g_autofree char *row = g_strdup_printf("cmdstat_%s:calls=", name);
    const char *at = strstr(stats, row);
    return at != NULL ? g_ascii_strtoll(at + strlen(row), NULL, 10) : 0;
}

static void start_busy(void)
{
    engine->options.concurrency = SLOTS;
    engine_start();
}

/* As many as were not read by the script: all but the first few. */
static void expect_read_apart(void)
{
    assert_true(commands("hget") > JOBS / 2);
}

/* They were written with the ends, and not by the script that took the jobs: it asks for `ats`.
 */
static void expect_late_starts(void)
{
    assert_in_range(commands("hset"), 2 * JOBS - 2 * SLOTS, 2 * JOBS + 2 * SLOTS);
    assert_true(commands("hget") < JOBS / 2);
}

static void test_each_runs_once(void **state)
{
    (void)state;
    engine_add_many("ok", JOBS, NULL);
    start_busy();
    engine_wait_completed(JOBS);
    assert_int_equal(engine->started, JOBS);
    engine_close();
    engine_expect_clean();
    expect_read_apart();
    engine_expect_field("200", "ats", "1");
    engine_expect_field("200", "atm", "1");
    assert_int_equal(engine->errors, 0);
}

static void test_without_locks_too(void **state)
{
    (void)state;
    engine_add_many("ok", JOBS, NULL);
    engine->options.lock_after_ms = 50;
    start_busy();
    engine_wait_completed(JOBS);
    engine_close();
    assert_int_equal(engine->started, JOBS);
    engine_expect_clean();
    expect_read_apart();
    engine_expect_field("200", "ats", "1");
    assert_int_equal(engine->errors, 0);
}

/* What stands at the places of jobs that are gone is passed over, in whatever mode. */
static void pass_over_some(void)
{
    engine_add_many("ok", JOBS, NULL);
    for (int i = 103; i <= 180; i += 7) {
        g_autofree char *gone = g_strdup_printf("DEL bull:q:%d", i);
        g_autofree char *text = g_strdup_printf("DEL bull:q:%d", i + 1);
        g_autofree char *set = g_strdup_printf("SETEX bull:q:%d 600 x", i + 1);
        test_redis_int(engine->redis, gone);
        test_redis_int(engine->redis, text);
        test_redis_do(engine->redis, set);
    }
    start_busy();
    engine_wait_completed(JOBS - 24);
    assert_int_equal(engine->started, JOBS - 24);
    engine_close();
    engine_expect_clean();
    assert_int_equal(engine->errors, 0);
}

static void test_what_is_no_job_is_passed_over(void **state)
{
    (void)state;
    pass_over_some();
    expect_read_apart();
}

static void test_so_it_is_without_locks(void **state)
{
    (void)state;
    engine->options.lock_after_ms = 50;
    engine->options.late_start = true;
    pass_over_some();
    expect_late_starts();
}

static uint32_t whole;

static void check_again(ox_task *task)
{
    const ox_job *job = ox_task_job(task);
    const char *traces = ox_job_text(job, OX_JOB_STACK_TRACE);
    if (ox_task_attempt(task) == 2 && traces != NULL && strcmp(traces, "[\"why\"]") == 0 &&
        ox_job_number(job, OX_JOB_ATTEMPTS_STARTED, 0) == 1 &&
        strcmp(ox_job_text(job, OX_JOB_FAILED_REASON), "why") == 0) {
        whole++;
    }
    const ox_failure failure = { .reason = "why" };
    if (ox_task_attempt(task) < 3) {
        ox_task_fail(task, &failure);
    } else {
        ox_task_complete(task, NULL);
    }
}

/* Three runs of each, without a delay between them: what the runs before left is there. */
static void test_reruns_know_what_was_before(void **state)
{
    const ox_job_options thrice = { .attempts = 3 };
    (void)state;
    whole = 0;
    engine_add_many("x", JOBS, &thrice);
    engine->process = check_again;
    start_busy();
    engine_wait_completed(JOBS);
    engine_close();
    assert_int_equal(engine->started, 3 * JOBS);
    assert_int_equal(whole, JOBS);
    engine_expect_field("200", "ats", "3");
    engine_expect_field("200", "atm", "3");
    expect_read_apart();
}

static uint32_t counted;

/* What the server has as the number of starts, while it runs. */
static void check_counted(ox_task *task)
{
    g_autofree char *ats = g_strdup_printf("HGET bull:q:%s ats", ox_job_id(ox_task_job(task)));
    redisReply *reply = redisCommand(engine->redis->context, ats);
    assert_non_null(reply);
    int64_t starts = reply->str != NULL ? g_ascii_strtoll(reply->str, NULL, 10) : 0;
    freeReplyObject(reply);
    counted += starts == ox_task_attempt(task) ? 1 : 0;
    check_again(task);
}

/* Only the first start of a job is late: each one after it counts when it begins, so that a job
 * that kills its worker does not begin for ever. */
static void test_reruns_are_not_late(void **state)
{
    const ox_job_options thrice = { .attempts = 3 };
    (void)state;
    whole = counted = 0;
    engine_add_many("x", JOBS, &thrice);
    engine->process = check_counted;
    engine->options.lock_after_ms = 2000;
    engine->options.late_start = true;
    start_busy();
    engine_wait_completed(JOBS);
    engine_close();
    assert_int_equal(engine->started, 3 * JOBS);
    assert_int_equal(whole, JOBS);
    assert_int_equal(counted, 2 * JOBS);
    engine_expect_field("200", "ats", "3");
    engine_expect_field("200", "atm", "3");
    engine_expect_clean();
    assert_int_equal(engine->errors, 0);
}

/* Other programs may leave any text for the number of starts: the job begins all the same. */
static void test_odd_numbers_of_starts_are_no_hindrance(void **state)
{
    static const struct {
        const char *text, *then;
    } cases[] = { { "x", "1" }, { "", "1" }, { "-1", "0" }, { "1e3", "1001" }, { "7.9", "8" },
        { "-7.9", "-6" }, { " 7", "8" }, { "7 ", "1" }, { "0x10", "17" }, { "1e19", "1" },
        { "1152921504606846976", "9007199254740992" },
        { "-1152921504606846976", "-9007199254740990" }, { "inf", "1" }, { "nan", "1" } };
    (void)state;
    engine->options.lock_after_ms = 2000;
    engine->options.late_start = true;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        test_redis_do(engine->redis, "FLUSHALL");
        engine_add_many("ok", 3 * SLOTS, NULL);
        freeReplyObject(redisCommand(
            engine->redis->context, "HSET bull:q:%d ats %s", 2 * SLOTS, cases[i].text));
        engine->closed = false;
        start_busy();
        engine_wait_completed(3 * SLOTS);
        engine_close();
        engine_expect_field("40", "ats", cases[i].then);
        engine_expect_field("40", "atm", "1");
    }
    assert_int_equal(engine->errors, 0);
}

/* Jobs that ran before are locked together before they begin: one that the user may not write
 * is not begun, and is told; the others are. */
static void test_a_denied_job_holds_up_no_other(void **state)
{
    const ox_job_options denied = { .id = "z" };
    (void)state;
    engine_add_many("ok", AMONG, NULL); /* it is among the first that the worker reads itself */
    g_free(engine_add("ok", &denied));
    engine_add_many("ok", JOBS - AMONG, NULL);
    test_redis_int(engine->redis, "HSET bull:q:z ats 1");
    for (int i = 1; i <= JOBS; i++) {
        g_autofree char *ran = g_strdup_printf("HSET bull:q:%d ats 1", i <= AMONG ? i : i + 1);
        test_redis_int(engine->redis, ran);
    }
    test_redis_do(engine->redis, "ACL SETUSER default resetkeys %%R~* ~bull:q:[^z]*");
    engine->options.lock_after_ms = 2000;
    engine->options.late_start = true;
    start_busy();
    engine_wait_completed(JOBS);
    assert_int_equal(engine->started, JOBS);
    engine_close();
    test_redis_do(engine->redis, "ACL SETUSER default allkeys");
    assert_true(engine->errors > 0);
    assert_int_equal(test_redis_int(engine->redis, "HGET bull:q:z ats"), 1);
}

/* A job that is to fail, since a child did or it stalled too often, is not run. */
static void test_deferred_failures_fail(void **state)
{
    (void)state;
    engine_add_many("ok", JOBS, NULL);
    for (int i = 1; i <= JOBS; i += 3) {
        g_autofree char *set = g_strdup_printf("HSET bull:q:%d defa because", i);
        test_redis_int(engine->redis, set);
    }
    start_busy();
    engine_wait_completed(JOBS - 100);
    engine_wait_failed(100);
    engine_close();
    assert_int_equal(engine->started, JOBS - 100);
    engine_expect_field("100", "failedReason", "because");
}

static void test_priorities_and_a_limit_hold(void **state)
{
    const ox_job_options first = { .priority = 1 }, last = { .priority = 9 };
    (void)state;
    engine_add_many("b", 100, &last);
    engine_add_many("a", 100, &first);
    engine->options.limiter_max = 40;
    engine->options.limiter_duration_ms = 300;
    int64_t begun_ms = test_now_ms();
    start_busy();
    engine_wait_completed(200);
    engine_close();
    assert_true(test_now_ms() - begun_ms >= 4 * 300);
    assert_true(strstr(engine->order->str, "b:") > strstr(engine->order->str, "a:200 "));
}

static void check_large(ox_task *task)
{
    const ox_job *job = ox_task_job(task);
    size_t want = strtoul(ox_job_text(job, OX_JOB_NAME), NULL, 10);
    whole += ox_job_length(job, OX_JOB_DATA) == want ? 1 : 0;
    ox_task_complete(task, NULL);
}

static void test_large_and_small_stand_together(void **state)
{
    static const size_t sizes[] = { 10, 100, 4096, 4097, 60000 };
    ox_error err = { 0 };
    (void)state;
    whole = 0;
    for (size_t i = 0; i < JOBS; i++) {
        size_t size = sizes[i % G_N_ELEMENTS(sizes)];
        g_autofree char *name = g_strdup_printf("%zu", size), *data = g_strnfill(size, '1');
        test_ok(ox_queue_add(engine->queue, name, data, NULL, NULL, &err), &err);
    }
    engine->process = check_large;
    start_busy();
    engine_wait_completed(JOBS);
    engine_close();
    assert_int_equal(whole, JOBS);
    assert_int_equal(engine->errors, 0);
}

/* A producer whose clock is ahead: no job starts before it was made, but maybe those of one
 * take, after which the worker knows. */
static void test_a_producer_ahead_is_noticed(void **state)
{
    const ox_job_options ahead = { .timestamp_ms = test_unix_ms() + 3600000 };
    (void)state;
    engine_add_many("ok", JOBS, &ahead);
    start_busy();
    engine_wait_completed(JOBS);
    engine_close();
    g_autofree char *made = g_strdup_printf("%lld", (long long)ahead.timestamp_ms);
    engine_expect_field("1", "processedOn", made);
    engine_expect_field("300", "processedOn", made);
    engine_expect_field("300", "finishedOn", made);
}

/* A close in the middle of it ends what was taken, and leaves the rest. */
static void close_soon(ox_task *task)
{
    ox_task_complete(task, NULL);
    if (engine->started == 100) {
        ox_worker_close(engine->worker, engine_on_closed, NULL);
    }
}

static void test_a_close_leaves_no_job_behind(void **state)
{
    (void)state;
    engine_add_many("ok", JOBS, NULL);
    engine->process = close_soon;
    start_busy();
    assert_true(engine_turn_until(engine_is_closed, ENGINE_DEADLINE_MS));
    engine_expect_clean();
    assert_int_equal(engine->started, engine_size("ZCARD", "completed"));
    assert_int_equal(engine->started + engine_size("LLEN", "wait"), JOBS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, engine_up, engine_down)
    const struct CMUnitTest tests[] = {
        TEST(test_each_runs_once),
        TEST(test_without_locks_too),
        TEST(test_what_is_no_job_is_passed_over),
        TEST(test_so_it_is_without_locks),
        TEST(test_reruns_know_what_was_before),
        TEST(test_reruns_are_not_late),
        TEST(test_a_denied_job_holds_up_no_other),
        TEST(test_odd_numbers_of_starts_are_no_hindrance),
        TEST(test_deferred_failures_fail),
        TEST(test_priorities_and_a_limit_hold),
        TEST(test_large_and_small_stand_together),
        TEST(test_a_producer_ahead_is_noticed),
        TEST(test_a_close_leaves_no_job_behind),
    };
    return cmocka_run_group_tests_name("busy worker", tests, NULL, NULL);
}
