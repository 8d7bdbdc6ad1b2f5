/*
 * test_engine_calls.c - the calls of a worker's engine without a server: what goes into one,
 * how many there are, and what each answer means; see engine_rig.h.
 */
#include "engine_rig.h"

#include <inttypes.h>

#define MARKER "*3\r\n$1\r\nk\r\n$1\r\n0\r\n$1\r\n0\r\n"

static ox_task *nth(guint i)
{
    return g_ptr_array_index(t.tasks, i);
}

static const char *token_of(guint i)
{
    return nth(i)->run.token;
}

/* ---- how much, and when ------------------------------------------------------------------ */

static void batches_finishes_while_a_call_is_in_flight(void **state)
{
    (void)state;
    t.options.concurrency = 4;
    t.options.calls = 1;
    start();
    answer_take("take_jobs", 1, 4);
    for (guint i = 0; i < 3; i++) {
        ox_task_complete(nth(i), "1");
        turn();
    }
    struct ox__request *first = sent(t.scripts, "complete_jobs");
    g_autofree char *expected = g_strdup_printf("1 %s 1 1", token_of(0));
    g_autofree char *carried = rest(first);
    assert_string_equal(carried, expected);
    expect_arg(first, "want", "1");
    assert_null(sent(t.scripts, "complete_jobs"));
    g_autofree char *none = taken(first, 0, 0, 0, "0");
    g_autofree char *resp = g_strdup_printf("*2\r\n*0\r\n%s", none);
    answer(first, resp);
    struct ox__request *second = sent(t.scripts, "complete_jobs");
    g_autofree char *both = rest(second);
    g_autofree char *expected_both = g_strdup_printf("2 %s 2 1 3 1", token_of(1));
    assert_string_equal(both, expected_both);
    expect_arg(second, "want", "3");
    g_queue_push_tail(&t.scripts->requests, second);
}

/* Four short runs of a queue in which more wait, of which the first has ended. */
static struct ox__request *end_first_of_four(int64_t took_us)
{
    t.options.concurrency = 4;
    t.options.calls = 1;
    start();
    struct ox__request *take = sent(t.scripts, "take_jobs");
    g_autofree char *resp = taken(take, 1, 4, 0, "?");
    answer(take, resp);
    assert_int_equal(t.tasks->len, 4);
    t.now_us += took_us;
    ox_task_complete(nth(0), "1");
    turn();
    return sent(t.scripts, "complete_jobs");
}

static void the_end_of_a_short_run_waits_for_the_next(void **state)
{
    (void)state;
    assert_null(end_first_of_four(100));
    ox_task_complete(nth(1), "1");
    turn();
    struct ox__request *both = sent(t.scripts, "complete_jobs");
    assert_non_null(both);
    expect_arg(both, "want", "2");
    g_queue_push_tail(&t.scripts->requests, both);
}

static void but_not_for_long(void **state)
{
    (void)state;
    assert_null(end_first_of_four(100));
    pass(2);
    struct ox__request *one = sent(t.scripts, "complete_jobs");
    assert_non_null(one);
    expect_arg(one, "want", "1");
    g_queue_push_tail(&t.scripts->requests, one);
}

static void nor_for_long_runs(void **state)
{
    (void)state;
    struct ox__request *one = end_first_of_four(20000);
    assert_non_null(one);
    g_queue_push_tail(&t.scripts->requests, one);
}

static void a_single_run_waits_for_nobody(void **state)
{
    (void)state;
    t.options.concurrency = 1;
    start();
    struct ox__request *take = sent(t.scripts, "take_jobs");
    g_autofree char *resp = taken(take, 1, 1, 0, "?");
    answer(take, resp);
    t.now_us += 100;
    ox_task_complete(nth(0), "1");
    turn();
    struct ox__request *one = sent(t.scripts, "complete_jobs");
    assert_non_null(one);
    g_queue_push_tail(&t.scripts->requests, one);
}

static void a_batch_bounds_a_take(void **state)
{
    (void)state;
    t.batch = 2;
    t.options.concurrency = 5;
    start();
    struct ox__request *first = sent(t.scripts, "take_jobs");
    struct ox__request *second = sent(t.scripts, "take_jobs");
    expect_arg(first, "want", "2");
    expect_arg(second, "want", "2");
    assert_null(sent(t.scripts, "take_jobs")); /* for one slot it is not worth it */
    g_autofree char *two = taken(first, 1, 2, 0, "0");
    answer(first, two);
    assert_int_equal(t.tasks->len, 2);
    g_autofree char *more = taken(second, 3, 2, 0, "0");
    answer(second, more);
    assert_int_equal(t.tasks->len, 4);
}

static void a_batch_bounds_ends(void **state)
{
    (void)state;
    t.batch = 2;
    t.options.concurrency = 4;
    t.options.calls = 1;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    g_autofree char *two = taken(request, 1, 2, 0, "?"); /* there may be more */
    answer(request, two);
    answer_take("take_jobs", 3, 2);
    for (guint i = 0; i < 4; i++) {
        ox_task_complete(nth(i), "1");
    }
    assert_int_equal(ox_worker_unstored(t.worker), 4);
    turn();
    answer_ends("complete_jobs", 0);
    assert_int_equal(ox_worker_unstored(t.worker), 2);
    answer_ends("complete_jobs", 0);
    assert_int_equal(ox_worker_unstored(t.worker), 0);
    expect_told("end 1 1 0\nend 2 1 0\nend 3 1 0\nend 4 1 0\n");
}

static void separates_runs_of_two_takes(void **state)
{
    (void)state;
    start();
    answer_take("take_jobs", 1, 1); /* one slot stays free: it asks again */
    answer(sent(t.sleep, NULL), MARKER);
    answer_take("take_jobs", 2, 1);
    ox_task_complete(nth(0), "1");
    ox_task_complete(nth(1), "2");
    turn();
    struct ox__request *request = sent(t.scripts, "complete_jobs");
    g_autofree char *expected = g_strdup_printf("1 %s 1 1 1 %s 2 2", token_of(0), token_of(1));
    g_autofree char *carried = rest(request);
    assert_string_equal(carried, expected);
    g_queue_push_tail(&t.scripts->requests, request);
}

static void batches_different_finishes(void **state)
{
    const ox_failure failure = { .reason = "no" };
    (void)state;
    start();
    answer_take("take_jobs", 1, 2);
    ox_task_complete(nth(0), "1");
    ox_task_fail(nth(1), &failure);
    turn();
    struct ox__request *request = sent(t.scripts, "end_jobs");
    g_autofree char *expected =
        g_strdup_printf("c  %s 1 1 f  %s 2 no [\"no\"] 1 ", token_of(0), token_of(1));
    g_autofree char *carried = rest(request);
    assert_string_equal(carried, expected);
    g_queue_push_tail(&t.scripts->requests, request);
}

static void released_jobs_keep_their_order(void **state)
{
    (void)state;
    start();
    answer_take("take_jobs", 1, 2);
    ox_task_release(nth(0));
    ox_task_release(nth(1));
    turn();
    struct ox__request *request = sent(t.scripts, "end_jobs");
    g_autofree char *expected =
        g_strdup_printf("r  %s 1   0  r  %s 2 1  0 ", token_of(0), token_of(1));
    g_autofree char *carried = rest(request);
    assert_string_equal(carried, expected);
    g_queue_push_tail(&t.scripts->requests, request);
}

static void renewals_come_in_batches(void **state)
{
    static const guint sizes[] = { 500, 400 };
    (void)state;
    t.batch = 500;
    t.options.concurrency = 900;
    t.options.calls = 1;
    start();
    struct ox__request *take = sent(t.scripts, "take_jobs");
    g_autofree char *most = taken(take, 1, 500, 0, "?"); /* there may be more */
    answer(take, most);
    answer_take("take_jobs", 501, 400);
    pass(RENEW_MS);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        struct ox__request *request = sent(t.scripts, "renew_locks");
        assert_non_null(request);
        g_autoptr(GPtrArray) all = arguments(request);
        assert_int_equal(all->len - place(request, ""), 2 * sizes[i]);
        expect_arg(request, "lock_ms", "60000");
        answer(request, "*0\r\n");
    }
    assert_null(sent(t.scripts, "renew_locks"));
    pass(RENEW_MS - 1); /* they are young now */
    assert_null(sent(t.scripts, "renew_locks"));
}

static void a_renewal_that_was_lost_is_made_again(void **state)
{
    (void)state;
    run_one();
    pass(RENEW_MS);
    fail_request(sent(t.scripts, "renew_locks"), OX_ETIMEOUT);
    assert_null(sent(t.scripts, "renew_locks"));
    pass(RENEW_MS);
    answer(sent(t.scripts, "renew_locks"), "*0\r\n");
    expect_told("");
}

/* ---- what an answer means ---------------------------------------------------------------- */

/* Of an end that was sent once: what the program is told, or who is asked. */
static void refusals_have_their_codes(void **state)
{
    static const struct {
        int refusal, code;
        const char *asked; /* the script, when that is not the last word */
    } cases[] = { { -1, OX_ENOTFOUND, NULL }, { -2, 0, "claim_runs" }, { -3, OX_ESTATE, NULL },
        { -4, 0, "end_jobs" }, { -6, OX_ELOCK, NULL }, { -9, 0, "end_jobs" } };
    (void)state;
    t.options.concurrency = 1;
    start();
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        answer_take("take_jobs", 1, 1);
        ox_task_complete(nth((guint)i), NULL);
        turn();
        answer_ends("complete_jobs", cases[i].refusal);
        if (cases[i].asked == NULL) {
            g_autofree char *expected = g_strdup_printf("end 1 1 %d\n", cases[i].code);
            expect_told(expected);
        } else if (strcmp(cases[i].asked, "end_jobs") == 0) {
            expect_told("");
            answer_ends("end_jobs", 0); /* as failed */
            expect_told("end 1 2 0\n");
        } else {
            expect_told("");
            answer(sent(t.scripts, cases[i].asked), "*1\r\n:-6\r\n");
            g_autofree char *expected = g_strdup_printf("end 1 1 %d\n", OX_ELOCK);
            expect_told(expected);
        }
        answer(sent(t.sleep, NULL), MARKER);
    }
}

static void refused_resend_is_verified(void **state)
{
    static const int refusals[] = { -1, -2, -3, -6 };
    (void)state;
    t.options.concurrency = 1;
    start();
    for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
        answer_take("take_jobs", 1, 1);
        ox_task_complete(nth((guint)i), NULL);
        turn();
        lose_and_return(t.scripts);
        g_string_truncate(t.told, 0);
        answer_ends("complete_jobs", refusals[i]);
        struct ox__request *claim = sent(t.scripts, "claim_runs");
        g_autofree char *asked = rest(claim);
        assert_true(g_str_has_suffix(asked, " c 1")); /* the kind, and the attempt */
        answer(claim, "*1\r\n:2\r\n");                /* it was stored the first time */
        expect_told("end 1 1 0\n");
        while (sent(t.scripts, "return_lost") != NULL) {
        }
        t.worker->engine.lost.looking = false;
        t.worker->engine.lost.count = 0;
        answer(sent(t.sleep, NULL), MARKER);
    }
}

static void claims_lock_three_times_to_finish(void **state)
{
    (void)state;
    run_one();
    ox_task_complete(task(), NULL);
    turn();
    for (int i = 0; i < 3; i++) {
        answer_ends("complete_jobs", -2);
        answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    }
    expect_told("");
    answer_ends("complete_jobs", -2);
    g_autofree char *expected = g_strdup_printf("end 1 1 %d\n", OX_ELOCK);
    expect_told(expected);
}

/* An answer that was read belongs to another call, or is none. */
static void reports_unexpected_reply(void **state)
{
    (void)state;
    run_one();
    ox_task_complete(task(), NULL);
    turn();
    struct ox__request *request = sent(t.scripts, "complete_jobs");
    const redisReply *reply = NULL;
    ox__replies_feed(t.replies, "+OK\r\n", 5);
    assert_int_equal(ox__replies_next(t.replies, &reply, NULL), 0);
    assert_false(request->fits(request, reply));
    request->done(request, reply, NULL);
    turn();
    g_autofree char *expected =
        g_strdup_printf("error - %d\nend 1 1 %d\n", OX_EREPLY, OX_EREPLY);
    expect_told(expected);
    assert_non_null(sent(t.sleep, NULL)); /* in no tight loop */
    t.worker->engine.idle.waiting = false;
}

static void rejects_take_of_another_token(void **state)
{
    (void)state;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    const redisReply *reply = NULL;
    static const char other[] = "*5\r\n:0\r\n:0\r\n$1\r\n0\r\n$1\r\n0\r\n$1\r\nx\r\n";
    ox__replies_feed(t.replies, other, strlen(other));
    assert_int_equal(ox__replies_next(t.replies, &reply, NULL), 0);
    assert_false(request->fits(request, reply));
    g_queue_push_tail(&t.scripts->requests, request);
}

static void failed_call_is_not_retried_in_a_loop(void **state)
{
    (void)state;
    start();
    fail_request(sent(t.scripts, "take_jobs"), OX_ESERVER);
    g_autofree char *expected = g_strdup_printf("error - %d\n", OX_ESERVER);
    expect_told(expected);
    assert_null(sent(t.scripts, "take_jobs"));
    answer(sent(t.sleep, NULL), "*-1\r\n");
    answer_take("take_jobs", 1, 1);
}

/* More jobs than were asked for: those that there are slots for run, and it is said. */
static void runs_at_most_concurrency(void **state)
{
    (void)state;
    start();
    answer_take("take_jobs", 1, 3);
    assert_int_equal(t.tasks->len, 2);
    g_autofree char *expected = g_strdup_printf("error - %d\n", OX_EREPLY);
    expect_told(expected);
}

static void reports_jobs_that_cannot_be_started(void **state)
{
    (void)state;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    const struct ox__call *call = request->arg;
    GString *resp = g_string_new("*9\r\n:0\r\n:0\r\n$1\r\n0\r\n$1\r\n0\r\n");
    put_bulk(resp, call->token);
    put_bulk(resp, "5");
    g_string_append(resp, "-WRONGTYPE of it\r\n");
    put_bulk(resp, "6");
    g_string_append(resp, "-WRONGTYPE of it\r\n");
    answer(request, resp->str);
    g_string_free(resp, TRUE);
    g_autofree char *expected =
        g_strdup_printf("error 5 %d\nerror 6 %d\n", OX_ESERVER, OX_ESERVER);
    expect_told(expected);
}

/* ---- calls that end without an answer, or late ------------------------------------------- */

static void an_abort_between_two_ends_says_that_the_worker_closed(void **state)
{
    (void)state;
    t.abort_in = "run_ended";
    t.options.calls = 1;
    start();
    answer_take("take_jobs", 1, 2);
    ox_task_complete(nth(0), "1");
    ox_task_complete(nth(1), "1");
    turn();
    answer_ends("complete_jobs", 0);
    g_autofree char *expected = g_strdup_printf("end 1 1 0\nend 2 1 %d\n", OX_ECLOSED);
    expect_told(expected);
}

static void a_call_that_a_close_ends_is_no_error(void **state)
{
    (void)state;
    start();
    ox_worker_abort(t.worker, on_closed, NULL);
    fail_request(sent(t.scripts, "take_jobs"), OX_ECLOSED);
    expect_told("");
}

/* The token of a call that took nothing is not looked for. */
static void a_call_without_take_leaves_nothing_to_recover(void **state)
{
    (void)state;
    run_one();
    ox_worker_pause(t.worker);
    ox_task_complete(task(), "1");
    turn();
    lose_and_return(t.scripts);
    answer_ends("complete_jobs", 0);
    assert_null(sent(t.scripts, "return_lost"));
}

/* The reply of a take behind a sleep may take as long as that, and as any. */
static void a_take_behind_a_sleep_may_take_as_long(void **state)
{
    (void)state;
    start();
    learn_clock();
    struct ox__request *wait = sent(t.sleep, NULL), *take = sent(t.sleep, "take_jobs");
    assert_int_equal(take->timeout_ms, 5000 + 1000);
    g_queue_push_tail(&t.sleep->requests, wait);
    g_queue_push_tail(&t.sleep->requests, take);
}

/* It came over another connection, whose server may be the one that was there before. */
static void a_take_behind_a_sleep_does_not_restore_trust_in_the_clock(void **state)
{
    (void)state;
    start();
    learn_clock();
    struct ox__request *wait = sent(t.sleep, NULL), *take = sent(t.sleep, "take_jobs");
    lose_and_return(t.scripts);
    answer(wait, MARKER);
    g_autofree char *none = taken(take, 0, 0, 0, "0");
    answer(take, none);
    assert_true(t.worker->engine.clock.doubt);
    learn_clock();
    assert_false(t.worker->engine.clock.doubt);
}

/* ---- sleeps ------------------------------------------------------------------------------ */

/* While the take behind a sleep is on its way there is no second one. */
static void sleeps_once_at_a_time(void **state)
{
    (void)state;
    start();
    learn_clock();
    struct ox__request *take = sent(t.sleep, "take_jobs");
    answer(sent(t.sleep, NULL), "*-1\r\n");
    ox_worker_set_concurrency(t.worker, 3); /* it looks at once */
    turn();
    answer_take("take_jobs", 0, 0);
    assert_null(sent(t.sleep, NULL));
    g_autofree char *none = taken(take, 0, 0, 0, "0");
    answer(take, none);
    answer_take("take_jobs", 0, 0);
    assert_non_null(sent(t.sleep, NULL));
    t.worker->engine.idle.waiting = false;
}

/* A marker for later, which the take behind a sleep does not act on: a paused worker would not
 * wake for it. */
static void a_paused_worker_returns_the_marker_of_a_delayed_job(void **state)
{
    (void)state;
    start();
    learn_clock();
    ox_worker_pause(t.worker);
    g_autofree char *due = g_strdup_printf("%" PRId64, t.server_us / 1000 + 300);
    GString *marker = g_string_new("*3\r\n$1\r\nk\r\n$1\r\n1\r\n");
    put_bulk(marker, due);
    answer(sent(t.sleep, NULL), marker->str);
    g_string_free(marker, TRUE);
    struct ox__request *give = sent(t.scripts, "give_marker");
    expect_arg(give, "score", due);
    answer(give, ":1\r\n");
}

/* The server may have popped the marker for a sleep whose take was lost: a worker that takes
 * nothing puts one back, any other looks itself. */
static void a_lost_sleep_returns_the_marker_if_nothing_is_taken(void **state)
{
    for (int paused = 0; paused < 2; paused++) {
        if (paused > 0) {
            tear_down(state);
            set_up(state);
        }
        start();
        learn_clock();
        if (paused > 0) {
            ox_worker_pause(t.worker);
        }
        fail_request(sent(t.sleep, NULL), OX_ELOST);
        fail_request(sent(t.sleep, "take_jobs"), OX_ELOST);
        struct ox__request *give = sent(t.scripts, "give_marker");
        assert_int_equal(give != NULL, paused);
        if (give != NULL) {
            answer(give, ":1\r\n");
        }
    }
}

/* A worker that lost its slots while it slept cannot act on the marker. */
static void a_full_worker_returns_the_marker(void **state)
{
    (void)state;
    start();
    answer_take("take_jobs", 1, 1);
    assert_null(sent(t.sleep, "take_jobs")); /* the server's time is not known */
    ox_worker_set_concurrency(t.worker, 1);
    answer(sent(t.sleep, NULL), MARKER);
    answer(sent(t.scripts, "give_marker"), ":1\r\n");
}

/* It would wait for the server, and a close for it; without a marker the others poll. */
static void a_marker_is_not_returned_while_the_connection_is_lost(void **state)
{
    (void)state;
    start();
    learn_clock();
    ox_worker_pause(t.worker);
    lose(t.scripts);
    fail_request(sent(t.sleep, NULL), OX_ELOST);
    fail_request(sent(t.sleep, "take_jobs"), OX_ELOST);
    assert_null(sent(t.scripts, "give_marker"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(batches_finishes_while_a_call_is_in_flight),
        TEST(the_end_of_a_short_run_waits_for_the_next),
        TEST(but_not_for_long),
        TEST(nor_for_long_runs),
        TEST(a_single_run_waits_for_nobody),
        TEST(a_batch_bounds_a_take),
        TEST(a_batch_bounds_ends),
        TEST(separates_runs_of_two_takes),
        TEST(batches_different_finishes),
        TEST(released_jobs_keep_their_order),
        TEST(renewals_come_in_batches),
        TEST(a_renewal_that_was_lost_is_made_again),
        TEST(refusals_have_their_codes),
        TEST(refused_resend_is_verified),
        TEST(claims_lock_three_times_to_finish),
        TEST(reports_unexpected_reply),
        TEST(rejects_take_of_another_token),
        TEST(failed_call_is_not_retried_in_a_loop),
        TEST(runs_at_most_concurrency),
        TEST(reports_jobs_that_cannot_be_started),
        TEST(an_abort_between_two_ends_says_that_the_worker_closed),
        TEST(a_call_that_a_close_ends_is_no_error),
        TEST(a_call_without_take_leaves_nothing_to_recover),
        TEST(a_take_behind_a_sleep_may_take_as_long),
        TEST(a_take_behind_a_sleep_does_not_restore_trust_in_the_clock),
        TEST(sleeps_once_at_a_time),
        TEST(a_paused_worker_returns_the_marker_of_a_delayed_job),
        TEST(a_lost_sleep_returns_the_marker_if_nothing_is_taken),
        TEST(a_full_worker_returns_the_marker),
        TEST(a_marker_is_not_returned_while_the_connection_is_lost),
    };
    return cmocka_run_group_tests_name("engine calls", tests, NULL, NULL);
}
