/*
 * test_lib_batch.c - jobs that end together, when something befell some of them meanwhile.
 *
 * Plain completions go out as one batch, whose script looks at all of them at once, and at each
 * only if that shows something odd. So here every oddity meets good neighbours: whatever is
 * refused, the others must end as if they were alone.
 */
#include "../support/check.h"
#include "../support/engine.h"
#include "../support/jobs.h"

#include <string.h>

#define TEST(name) cmocka_unit_test_setup_teardown(name, engine_up, engine_down)
#define JOBS 14
#define FIRST_TAKE 9 /* so many are taken together, the others later */

/* What befalls the job of that number while it runs. */
static const struct oddity {
    int job;
    const char *suffix, *command, *error;
    bool stays;        /* in `active` */
    const char *fails; /* instead of completing, for this reason */
} oddities[] = {
    { 2, "", "DEL %s", "the job does not exist", false, NULL },
    { 4, ":lock", "SET %s another", "the job's lock is held by another worker", true, NULL },
    /* Started by another worker, whose lock ran out as well. */
    { 5, ":lock", "EVAL redis.call('DEL',KEYS[1])redis.call('HSET','bull:q:5','ats','2') 1 %s",
        "the job's lock is gone", true, NULL },
    { 7, ":dependencies", "SADD %s bull:q:child", NULL, false,
        "Job 7 has pending dependencies" },
    { 8, ":unsuccessful", "ZADD %s 1 bull:q:child", NULL, false,
        "Cannot complete job 8 because it has at least one failed child" },
    { 10, "", "SET %s text", "the job does not exist", false, NULL },
    { 11, NULL, "LREM bull:q:active 0 11", "the job is not in a state that allows this", false,
        NULL },
};

static const struct oddity *oddity_of(int job)
{
    for (size_t i = 0; i < G_N_ELEMENTS(oddities); i++) {
        if (oddities[i].job == job)
            return &oddities[i];
    }
    return NULL;
}

static void befall(const struct oddity *oddity)
{
    g_autofree char *key =
        g_strdup_printf("bull:q:%d%s", oddity->job, oddity->suffix ? oddity->suffix : "");
    freeReplyObject(test_redis_command(engine->redis, oddity->command, key));
}

static size_t n_odd, n_stay; /* of the running test */

static bool all_ended(void)
{
    return engine->errors >= n_odd && engine_size("LLEN", "active") == (long long)n_stay;
}

/* Starts all jobs, lets `odd` befall them, and ends all in one turn. */
static void run_batch(
    const struct oddity *odd, size_t count, const ox_job_options *options, bool backwards)
{
    n_odd = n_stay = 0;
    engine->options.concurrency = JOBS;
    engine_add_many("hold", FIRST_TAKE, options);
    engine_start();
    engine_wait_started(FIRST_TAKE);
    engine_add_many("hold", JOBS - FIRST_TAKE, options);
    engine_wait_started(JOBS);
    for (size_t i = 0; i < count; i++) {
        befall(&odd[i]);
        n_stay += odd[i].stays ? 1 : 0;
        n_odd += odd[i].error ? 1 : 0;
    }
    for (guint i = 0; i < JOBS; i++) {
        ox_task *task = g_ptr_array_index(engine->held, backwards ? JOBS - 1 - i : i);
        assert_int_equal(ox_task_complete(task, "7"), 0);
    }
    assert_true(engine_turn_until(all_ended, ENGINE_DEADLINE_MS));
    assert_int_equal(engine->errors, n_odd);
}

static void expect_good_end(int job, bool dropped)
{
    g_autofree char *id = g_strdup_printf("%d", job);
    if (dropped) {
        assert_int_equal(test_redis_int(engine->redis,
                             "EXISTS bull:q:%d bull:q:%d:logs bull:q:%d:lock", job, job, job),
            0);
        return;
    }
    engine_expect_field(id, "returnvalue", "7");
    engine_expect_field(id, "atm", "1");
    assert_int_equal(test_redis_int(engine->redis, "EXISTS bull:q:%d:lock", job), 0);
    assert_true(test_redis_int(engine->redis, "ZSCORE bull:q:completed %d", job) > 0);
}

static void expect_refusal(const struct oddity *odd)
{
    g_autofree char *type = test_redis_text(engine->redis, "TYPE bull:q:%d", odd->job);
    assert_string_equal(type, odd->job == 2 ? "none" : odd->job == 10 ? "string" : "hash");
    if (strcmp(type, "hash") == 0)
        assert_int_equal(
            test_redis_int(engine->redis, "HEXISTS bull:q:%d returnvalue", odd->job), 0);
    g_autofree char *score =
        test_redis_text(engine->redis, "ZSCORE bull:q:completed %d", odd->job);
    assert_null(score);
    if (odd->fails) {
        g_autofree char *id = g_strdup_printf("%d", odd->job);
        engine_expect_field(id, "failedReason", odd->fails);
        assert_true(test_redis_int(engine->redis, "ZSCORE bull:q:failed %s", id) > 0);
    }
    assert_int_equal(
        test_redis_int(engine->redis, "LREM bull:q:active 0 %d", odd->job), odd->stays ? 1 : 0);
}

static void expect_each_its_end(bool dropped)
{
    for (int job = 1; job <= JOBS; job++) {
        const struct oddity *odd = oddity_of(job);
        if (odd) {
            expect_refusal(odd);
        } else {
            expect_good_end(job, dropped);
        }
    }
    assert_int_equal(engine_size("LLEN", "active"), 0);
    assert_int_equal(test_redis_int(engine->redis, "SCARD bull:q:7:dependencies"), 1);
    assert_int_equal(test_redis_int(engine->redis, "ZCARD bull:q:8:unsuccessful"), 1);
}

static void test_reports_each_oddity(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(oddities); i++) {
        g_autofree char *text =
            g_strdup_printf("queue q, job %d: %s", oddities[i].job, oddities[i].error);
        run_batch(&oddities[i], 1, NULL, false);
        if (oddities[i].error)
            assert_string_equal(engine->last_error, text);
        engine_abort();
        engine_down(state);
        engine_up(state);
    }
}

static void test_neighbours_end_and_are_kept(void **state)
{
    (void)state;
    run_batch(oddities, G_N_ELEMENTS(oddities), NULL, false);
    expect_each_its_end(false);
}

static void test_neighbours_end_in_any_order(void **state)
{
    (void)state;
    run_batch(oddities, G_N_ELEMENTS(oddities), NULL, true);
    expect_each_its_end(false);
}

static void test_neighbours_end_and_are_dropped(void **state)
{
    const ox_job_options gone = { .remove_on_complete = { .mode = OX_KEEP_NONE } };
    (void)state;
    test_redis_int(engine->redis, "RPUSH bull:q:1:logs row");
    run_batch(oddities, G_N_ELEMENTS(oddities), &gone, false);
    expect_each_its_end(true);
}

/* A stalled check marks active jobs until their locks are renewed. A finish takes its own mark
 * along, and others' marks are no reason to look at each job. */
static void test_finish_removes_stalled_marks(void **state)
{
    for (int odd = 0; odd < 2; odd++) {
        /* as if another worker had just checked */
        g_autofree char *checked =
            test_redis_text(engine->redis, "SET bull:q:stalled-check 1 PX 600000");
        assert_string_equal(checked, "OK");
        test_redis_int(engine->redis, "SADD bull:q:stalled another 1 2 3 4 12");
        run_batch(&oddities[1], (size_t)odd, NULL, false);
        assert_int_equal(test_redis_int(engine->redis, "SISMEMBER bull:q:stalled another"), 1);
        assert_int_equal(engine_size("SCARD", "stalled"), odd ? 2 : 1);
        engine_abort();
        engine_down(state);
        engine_up(state);
    }
}

/* What others run stays where it is, in its order: before, between and behind ours. */
static void test_the_jobs_of_others_keep_their_order(void **state)
{
    static const int others[] = { 0, 3, 40, 200 };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        g_autoptr(GString) expected = g_string_new(NULL);
        engine->options.concurrency = JOBS;
        engine_add_many("hold", JOBS, NULL);
        engine_start();
        engine_wait_started(JOBS);
        for (int n = 0; n < 2 * others[i]; n++) {
            g_string_append_printf(expected, "%so%d", n > 0 ? "," : "", n);
        }
        for (int n = 0; n < others[i]; n++) {
            test_redis_int(engine->redis, "LPUSH bull:q:active o%d", others[i] - 1 - n);
            test_redis_int(engine->redis, "RPUSH bull:q:active o%d", others[i] + n);
        }
        for (int job = 2; others[i] > 0 && job < JOBS; job += 5) {
            g_autofree char *name = g_strdup_printf("between%d", job);
            test_redis_int(engine->redis, "LINSERT bull:q:active BEFORE %d %s", job, name);
        }
        for (guint k = 0; k < JOBS; k++) {
            ox_task_complete(g_ptr_array_index(engine->held, i % 2 ? k : JOBS - 1 - k), "7");
        }
        engine_wait_completed(JOBS);
        assert_int_equal(engine->errors, 0);
        for (int job = 2; others[i] > 0 && job < JOBS; job += 5) {
            assert_int_equal(
                test_redis_int(engine->redis, "LREM bull:q:active 0 between%d", job), 1);
        }
        g_autofree char *found = test_members(engine->redis, "bull:q:active");
        assert_string_equal(found, expected->str);
        engine_abort();
        engine_down(state);
        engine_up(state);
    }
}

static void test_all_finishes_refused(void **state)
{
    (void)state;
    engine->options.concurrency = 3;
    engine_add_many("hold", 3, NULL);
    engine_start();
    engine_wait_started(3);
    test_redis_do(engine->redis, "MSET bull:q:1:lock a bull:q:2:lock another bull:q:3:lock b");
    for (guint i = 0; i < 3; i++) {
        ox_task_complete(g_ptr_array_index(engine->held, i), "7");
    }
    engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS);
    assert_int_equal(engine->errors, 3);
    assert_int_equal(engine_size("LLEN", "active"), 3);
    assert_int_equal(engine_size("ZCARD", "completed"), 0);
}

/* Ids that were chosen can be added again, as the child of a parent; ids that the queue counted
 * up cannot. */
static void test_parent_added_meanwhile_is_notified(void **state)
{
    const ox_job_options chosen = { .id = "chosen" };
    (void)state;
    engine->options.concurrency = 3;
    engine_add_many("hold", 2, NULL);
    engine_add_many("hold", 1, &chosen);
    engine_start();
    engine_wait_started(3);
    ox_error err = { 0 };
    int rc = ox_flow_add(engine->client, NULL, NULL,
        "{\"name\":\"p\",\"queueName\":\"p\",\"opts\":{\"jobId\":\"p\"},\"children\":["
        "{\"name\":\"hold\",\"queueName\":\"q\",\"opts\":{\"jobId\":\"chosen\"}}]}",
        NULL, &err);
    assert_int_equal(rc, 0);
    for (guint i = 0; i < 3; i++) {
        ox_task_complete(g_ptr_array_index(engine->held, i), "7");
    }
    engine_wait_completed(3);
    g_autofree char *value =
        test_redis_text(engine->redis, "HGET bull:p:p:processed bull:q:chosen");
    assert_string_equal(value, "7");
    assert_int_equal(test_redis_int(engine->redis, "LLEN bull:p:wait"), 1);
    engine_close();
    engine_expect_clean();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reports_each_oddity),
        TEST(test_neighbours_end_and_are_kept),
        TEST(test_neighbours_end_in_any_order),
        TEST(test_neighbours_end_and_are_dropped),
        TEST(test_finish_removes_stalled_marks),
        TEST(test_the_jobs_of_others_keep_their_order),
        TEST(test_all_finishes_refused),
        TEST(test_parent_added_meanwhile_is_notified),
    };
    return cmocka_run_group_tests_name("lib batch", tests, NULL, NULL);
}
