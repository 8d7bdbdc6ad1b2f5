/*
 * test_engine_open.c - a worker's engine without a server, whose runs get their lock only when
 * they last; see engine_rig.h and lib/engine/locks.h.
 */
#include "engine_rig.h"

#define AFTER_MS 20

static ox_task *nth(guint i)
{
    return g_ptr_array_index(t.tasks, i);
}

/* Takes job 1 as a worker does that is busy: not behind a sleep. */
static void run_open(bool late)
{
    t.options.concurrency = 1;
    t.options.lock_after_ms = AFTER_MS;
    t.options.late_start = late;
    start();
    t.server_us = t.now_us + AHEAD_US;
    struct ox__request *take = sent(t.scripts, "take_jobs");
    expect_arg(take, "lock_ms", late ? "-1" : "0");
    expect_arg(take, "error_ms", "-1"); /* the server's clock decides */
    g_queue_push_tail(&t.scripts->requests, take);
    answer_take("take_jobs", 1, 1);
    assert_int_equal(t.tasks->len, 1);
}

/* What the scripts are told of the run's token. */
static char *open_token(bool late)
{
    long long started_ms = t.server_us / 1000, until_ms = started_ms + 2LL * AFTER_MS;
    return g_strdup_printf("@%d:%lld:%lld:1:%s", late, started_ms, until_ms, nth(0)->run.token);
}

static void ends_without_a_lock(void **state)
{
    (void)state;
    run_open(true);
    pass(AFTER_MS / 2);
    assert_null(sent(t.scripts, "claim_runs"));
    ox_task_complete(nth(0), "1");
    turn();
    struct ox__request *end = sent(t.scripts, "complete_jobs");
    g_autofree char *token = open_token(true);
    g_autofree char *expected = g_strdup_printf("1 %s 1 1", token);
    g_autofree char *carried = rest(end);
    assert_string_equal(carried, expected);
    expect_arg(end, "error_ms", "-1");
    g_queue_push_tail(&t.scripts->requests, end);
    answer_ends("complete_jobs", 0);
    expect_told("end 1 1 0\n");
    pass(10 * AFTER_MS);
    assert_null(sent(t.scripts, "claim_runs"));
}

static void a_run_that_lasts_is_locked(void **state)
{
    (void)state;
    run_open(false);
    pass(AFTER_MS);
    struct ox__request *claim = sent(t.scripts, "claim_runs");
    g_autofree char *asked = rest(claim), *token = open_token(false);
    g_autofree char *expected =
        g_strdup_printf("1 %s 1 %lld  1", token, (long long)nth(0)->started_ms);
    assert_string_equal(asked, expected);
    expect_arg(claim, "lock_ms", "60000");
    answer(claim, "*1\r\n:1\r\n");
    expect_told(""); /* no news */
    pass(RENEW_MS);
    struct ox__request *renewal = sent(t.scripts, "renew_locks");
    g_autofree char *renewed = rest(renewal);
    answer(renewal, "*0\r\n");
    g_autofree char *plain = g_strdup_printf("1 %s", nth(0)->run.token);
    assert_string_equal(renewed, plain);
    ox_task_complete(nth(0), "1");
    turn();
    struct ox__request *end = sent(t.scripts, "complete_jobs");
    g_autofree char *carried = rest(end);
    g_autofree char *locked = g_strdup_printf("1 %s 1 1", nth(0)->run.token);
    assert_string_equal(carried, locked);
    g_queue_push_tail(&t.scripts->requests, end);
}

/* It is locked, and its end sent again: as that of a run whose lock ran out. */
static void an_end_that_is_late_claims_its_lock(void **state)
{
    (void)state;
    run_open(true);
    ox_task_complete(nth(0), "1");
    turn();
    g_autofree char *token = open_token(true);
    answer_ends("complete_jobs", -2);
    struct ox__request *claim = sent(t.scripts, "claim_runs");
    g_autofree char *asked = rest(claim);
    assert_non_null(strstr(asked, token));
    answer(claim, "*1\r\n:1\r\n");
    struct ox__request *again = sent(t.scripts, "complete_jobs");
    g_autofree char *carried = rest(again);
    g_autofree char *expected = g_strdup_printf("1 %s 1 1", token);
    assert_string_equal(carried, expected);
    g_queue_push_tail(&t.scripts->requests, again);
    answer_ends("complete_jobs", 0);
    expect_told("end 1 1 0\n");
}

static void a_run_that_was_taken_away_is_lost(void **state)
{
    (void)state;
    run_open(false);
    pass(AFTER_MS);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:-1\r\n");
    g_autofree char *expected = g_strdup_printf("error 1 %d\nlost 1\n", OX_ELOCK);
    expect_told(expected);
}

static void an_outage_delays_the_lock(void **state)
{
    (void)state;
    run_open(false);
    lose(t.scripts);
    g_string_truncate(t.told, 0);
    pass(5 * AFTER_MS);
    assert_null(sent(t.scripts, "claim_runs"));
    come_back(t.scripts);
    pass(1);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    expect_told("");
    assert_false(nth(0)->run.lock.open);
}

/* Its claim was lost on the way: it is asked once more, and only that lock counts. */
static void a_lost_claim_is_sent_again(void **state)
{
    (void)state;
    run_open(false);
    pass(AFTER_MS);
    lose(t.scripts);
    g_string_truncate(t.told, 0);
    assert_true(nth(0)->run.lock.open);
    come_back(t.scripts);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    expect_told("");
    assert_false(nth(0)->run.lock.open);
    pass(1);
    assert_null(sent(t.scripts, "claim_runs"));
}

/* The server did not do it: the program is told, and it is asked at the next renewal. */
static void a_refused_claim_is_told_and_sent_again(void **state)
{
    (void)state;
    run_open(false);
    pass(AFTER_MS);
    fail_request(sent(t.scripts, "claim_runs"), OX_ESERVER);
    g_autofree char *expected = g_strdup_printf("error - %d\n", OX_ESERVER);
    expect_told(expected);
    assert_true(nth(0)->run.lock.open);
    pass(RENEW_MS);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    expect_told("");
    assert_false(nth(0)->run.lock.open);
}

/* More than one call locks. */
static void many_runs_are_locked_at_once(void **state)
{
    static const int calls[] = { 200, 200, 50 };
    (void)state;
    t.options.concurrency = t.batch = 450;
    t.options.lock_after_ms = AFTER_MS;
    start();
    t.server_us = t.now_us + AHEAD_US;
    answer_take("take_jobs", 1, 450);
    assert_int_equal(t.tasks->len, 450);
    pass(AFTER_MS);
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        struct ox__request *claim = sent(t.scripts, "claim_runs");
        g_autoptr(GString) locked = g_string_new(NULL);
        g_string_append_printf(locked, "*%d\r\n", calls[i]);
        for (int n = 0; n < calls[i]; n++) {
            g_string_append(locked, ":1\r\n");
        }
        answer(claim, locked->str);
    }
    assert_null(sent(t.scripts, "claim_runs"));
    for (guint i = 0; i < t.tasks->len; i++) {
        assert_false(nth(i)->run.lock.open);
    }
    expect_told("");
}

/* The reply was read so late that the job may be another's. */
static void a_late_reply_is_claimed_before_the_run_begins(void **state)
{
    (void)state;
    t.options.concurrency = 1;
    t.options.lock_after_ms = AFTER_MS;
    start();
    t.server_us = t.now_us + AHEAD_US;
    t.now_us += INT64_C(1000) * 2 * AFTER_MS;
    answer_take("take_jobs", 1, 1);
    assert_int_equal(t.tasks->len, 0);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    assert_int_equal(t.tasks->len, 1);
}

static void rejects_options_that_do_not_go_together(void **state)
{
    (void)state;
    static const struct {
        ox_worker_options options;
        const char *why;
    } rows[] = {
        { { .lock_after_ms = 2501 },
            "lock_after_ms (2501) must be at most half of stalled_interval_ms (5000)" },
        { { .lock_after_ms = 51, .stalled_interval_ms = 100 },
            "lock_after_ms (51) must be at most half of stalled_interval_ms (100)" },
        { { .lock_after_ms = 20, .on_disconnect = OX_DISCONNECT_KILL },
            "lock_after_ms requires on_disconnect to be OX_DISCONNECT_CONTINUE" },
        { { .late_start = true }, "late_start requires lock_after_ms" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct ox_client client = { .command_timeout_ms = 1000 };
        ox_queue *queue = NULL;
        ox_worker *worker = NULL;
        ox_error err;
        assert_int_equal(ox_queue_new(&queue, &client, "q", NULL, NULL), 0);
        assert_int_equal(
            ox_worker_new(&worker, &t.loop, queue, &rows[i].options, process, NULL, &err),
            OX_EINVAL);
        assert_string_equal(err.text, rows[i].why);
        assert_null(worker);
        ox_queue_free(queue);
    }
    start(); /* for the tear-down */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ends_without_a_lock),
        TEST(a_run_that_lasts_is_locked),
        TEST(an_end_that_is_late_claims_its_lock),
        TEST(a_run_that_was_taken_away_is_lost),
        TEST(an_outage_delays_the_lock),
        TEST(a_lost_claim_is_sent_again),
        TEST(a_refused_claim_is_told_and_sent_again),
        TEST(many_runs_are_locked_at_once),
        TEST(a_late_reply_is_claimed_before_the_run_begins),
        TEST(rejects_options_that_do_not_go_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
