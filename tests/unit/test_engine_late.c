/*
 * test_engine_late.c - a worker's engine without a server: what it still does, and what it must
 * not do any more, when a callback aborts it, when runs end late, and when answers come late;
 * see engine_rig.h.
 */
#include "engine_rig.h"

static ox_task *nth(guint i)
{
    return g_ptr_array_index(t.tasks, i);
}

static void complete(guint i)
{
    ox_task_complete(nth(i), NULL);
    turn();
}

/* Two runs, of the jobs 1 and 2. */
static void run_two(void)
{
    start();
    turn();
    answer_take("take_jobs", 1, 2);
    assert_int_equal(t.tasks->len, 2);
}

static void doubt_both(void)
{
    run_two();
    pass(RENEW_MS);
    answer(sent(t.scripts, "renew_locks"), "*2\r\n:1\r\n:2\r\n");
}

/* A call that carries two ends; the answer refuses both. */
static void refuse(int first, int second)
{
    t.options.calls = 1;
    run_two();
    ox_task_complete(nth(0), NULL);
    complete(1);
    struct ox__request *request = sent(t.scripts, "complete_jobs");
    g_autofree char *rest = taken(request, 0, 0, 0, "0");
    g_autofree char *resp =
        g_strdup_printf("*2\r\n*4\r\n:1\r\n:%d\r\n:2\r\n:%d\r\n%s", first, second, rest);
    answer(request, resp);
}

/* What a close waits for beside runs: scripts that are loaded, markers that are put back. */
static void end_others(void)
{
    struct ox__request *other;
    while ((other = sent(t.scripts, NULL)) != NULL ||
           (other = sent(t.scripts, "give_marker")) != NULL) {
        fail_request(other, OX_ELOST);
    }
}

/* The connections end, and with them the engine. */
static void finish(void)
{
    for (int i = 0; i < 3 && !t.closed; i++) {
        settle(&t.scripts);
        settle(&t.sleep);
        turn();
    }
    assert_true(t.closed);
}

/* ---- aborted by a callback: nothing follows ---------------------------------------------- */

static void an_abort_begins_no_other_job_of_the_take(void **state)
{
    (void)state;
    t.abort_in = "process";
    start();
    answer_take("take_jobs", 1, 2);
    assert_int_equal(t.tasks->len, 1);
}

static void an_abort_begins_no_other_late_job(void **state)
{
    (void)state;
    t.abort_in = "process";
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    ((struct ox__call *)request->arg)->sent_us -= (int64_t)t.options.lock_ms * 1000;
    g_autofree char *resp = taken(request, 1, 2, 0, "0");
    answer(request, resp);
    answer(sent(t.scripts, "claim_runs"), "*2\r\n:1\r\n:1\r\n");
    assert_int_equal(t.tasks->len, 1);
}

static void an_abort_reports_no_other_lost_lock(void **state)
{
    (void)state;
    t.abort_in = "error";
    doubt_both();
    answer(sent(t.scripts, "claim_runs"), "*2\r\n:-6\r\n:-6\r\n");
    g_autofree char *expected = g_strdup_printf("error 1 %d\n", OX_ELOCK);
    expect_told(expected);
}

static void an_abort_reports_no_other_lock_that_is_back(void **state)
{
    (void)state;
    t.abort_in = "notice";
    doubt_both();
    answer(sent(t.scripts, "claim_runs"), "*2\r\n:1\r\n:1\r\n");
    g_autofree char *expected = g_strdup_printf("notice 1 %d\n", OX_NOTICE_LOCKED_AGAIN);
    expect_told(expected);
}

static void an_abort_cuts_off_no_other_run(void **state)
{
    (void)state;
    t.abort_in = "error";
    t.options.on_disconnect = OX_DISCONNECT_KILL;
    run_two();
    pass(t.options.lock_ms);
    g_autofree char *expected = g_strdup_printf("error 1 %d\n", OX_ELOCK);
    expect_told(expected);
}

/* Though a check is due at the same time as the look at the locks. */
static void an_abort_by_a_run_that_is_cut_off_checks_nothing(void **state)
{
    (void)state;
    uint32_t step = t.options.lock_ms / 20 + 1;
    t.abort_in = "error";
    t.options.on_disconnect = OX_DISCONNECT_KILL;
    t.options.stalled_interval_ms = t.options.lock_ms / step * step;
    run_two();
    answer(sent(t.scripts, "check_stalled"), "*1\r\n:-2\r\n");
    pass(t.options.stalled_interval_ms - 1);
    expect_told("");
    pass(1);
    assert_non_null(t.scripts->closed);
    assert_null(sent(t.scripts, "check_stalled"));
}

static void an_abort_asks_for_no_wait_for_children(void **state)
{
    (void)state;
    t.abort_in = "notice";
    run_one();
    ox_task_wait_children(nth(0), NULL, NULL);
    answer(sent(t.scripts, "wait_children"), ":-2\r\n");
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    assert_non_null(t.scripts->closed);
    assert_null(sent(t.scripts, "wait_children"));
}

static void an_abort_reports_nothing_else_that_was_found(void **state)
{
    (void)state;
    t.abort_in = "notice";
    start();
    turn();
    answer(sent(t.scripts, "check_stalled"), "*5\r\n:-1\r\n$1\r\n8\r\n:0\r\n$1\r\n9\r\n:0\r\n");
    g_autofree char *expected = g_strdup_printf("notice 8 %d\n", OX_NOTICE_STALLED);
    expect_told(expected);
}

static void an_abort_reports_no_other_job_that_cannot_start(void **state)
{
    (void)state;
    t.abort_in = "error";
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    const struct ox__call *call = request->arg;
    g_autofree char *resp =
        g_strdup_printf("*9\r\n:0\r\n:0\r\n$1\r\n0\r\n$1\r\n0\r\n$%zu\r\n%s\r\n"
                        "$1\r\n5\r\n-WRONGTYPE x\r\n$1\r\n6\r\n-WRONGTYPE x\r\n",
            strlen(call->token), call->token);
    answer(request, resp);
    g_autofree char *expected = g_strdup_printf("error 5 %d\n", OX_ESERVER);
    expect_told(expected);
}

/* Of the second the outcome is not known. */
static void an_abort_between_refused_ends_says_that_the_worker_closed(void **state)
{
    (void)state;
    t.abort_in = "run_ended";
    refuse(-3, -3);
    g_autofree char *expected =
        g_strdup_printf("end 1 1 %d\nend 2 1 %d\n", OX_ESTATE, OX_ECLOSED);
    expect_told(expected);
}

static void an_abort_asks_about_no_end(void **state)
{
    (void)state;
    t.abort_in = "run_ended";
    refuse(-2, -3);
    assert_non_null(t.scripts->closed);
    assert_null(sent(t.scripts, "claim_runs"));
}

static void an_abort_between_claimed_ends_says_that_the_worker_closed(void **state)
{
    (void)state;
    t.abort_in = "run_ended";
    refuse(-2, -2);
    answer(sent(t.scripts, "claim_runs"), "*2\r\n:2\r\n:2\r\n");
    expect_told("end 1 1 0\n");
    finish();
    g_autofree char *expected = g_strdup_printf("end 2 1 %d\n", OX_ECLOSED);
    expect_told(expected);
}

static void an_abort_between_ends_that_others_have_says_that_the_worker_closed(void **state)
{
    (void)state;
    t.abort_in = "run_ended";
    refuse(-2, -2);
    answer(sent(t.scripts, "claim_runs"), "*2\r\n:-6\r\n:-6\r\n");
    g_autofree char *first = g_strdup_printf("end 1 1 %d\n", OX_ELOCK);
    expect_told(first);
    finish();
    g_autofree char *second = g_strdup_printf("end 2 1 %d\n", OX_ECLOSED);
    expect_told(second);
}

static void an_abort_tells_of_what_had_ended(void **state)
{
    (void)state;
    doubt_both();
    answer(sent(t.scripts, "claim_runs"), "*2\r\n:1\r\n:-6\r\n");
    g_string_truncate(t.told, 0);
    ox_task_complete(nth(0), NULL);
    ox_task_complete(nth(1), NULL);
    ox_worker_abort(t.worker, on_closed, NULL);
    finish();
    g_autofree char *expected =
        g_strdup_printf("end 1 1 %d\nend 2 1 %d\n", OX_ECLOSED, OX_ELOCK);
    expect_told(expected);
}

static void nothing_is_told_of_a_run_that_ends_behind_an_abort(void **state)
{
    (void)state;
    run_two();
    ox_worker_abort(t.worker, on_closed, NULL);
    complete(0);
    finish();
    expect_told("");
}

/* ---- closing ----------------------------------------------------------------------------- */

static void a_close_is_not_undone(void **state)
{
    (void)state;
    run_one();
    ox_worker_close(t.worker, on_closed, NULL);
    ox_worker_pause(t.worker);
    ox_worker_resume(t.worker);
    complete(0);
    struct ox__request *request = sent(t.scripts, "complete_jobs");
    expect_arg(request, "want", "0");
    g_autofree char *none = taken(request, 0, 0, 0, "0");
    g_autofree char *resp = g_strdup_printf("*2\r\n*0\r\n%s", none);
    answer(request, resp);
    end_others();
    assert_non_null(t.scripts->closed);
    ox_worker_pause(t.worker);
    ox_worker_resume(t.worker);
    assert_int_equal(t.worker->engine.state, OX__ENGINE_CLOSED);
}

static void a_close_tells_first_of_runs_without_a_lock(void **state)
{
    (void)state;
    t.options.calls = 1;
    doubt_both();
    answer(sent(t.scripts, "claim_runs"), "*2\r\n:1\r\n:-6\r\n");
    complete(0);
    ox_worker_close(t.worker, on_closed, NULL);
    turn();
    end_others();
    g_string_truncate(t.told, 0);
    ox_task_complete(nth(1), NULL);
    answer_ends("complete_jobs", 0);
    g_autofree char *expected = g_strdup_printf("end 1 1 0\nend 2 1 %d\n", OX_ELOCK);
    expect_told(expected);
    assert_non_null(t.scripts->closed);
}

static void a_marker_is_returned_once_or_not_at_all(void **state)
{
    (void)state;
    start();
    answer_take("take_jobs", 0, 0);
    ox_worker_pause(t.worker);
    assert_false(t.sleep->down); /* a sleep without a take behind it goes on */
    answer(sent(t.sleep, NULL), "*3\r\n$1\r\nk\r\n$1\r\n0\r\n$1\r\n0\r\n");
    lose(t.scripts);
    assert_null(sent(t.scripts, "give_marker"));
}

/* It may be popping one that nobody here will act on. */
static void a_close_returns_a_marker_for_its_sleep(void **state)
{
    (void)state;
    start();
    answer_take("take_jobs", 0, 0);
    assert_true(t.worker->engine.idle.waiting);
    ox_worker_close(t.worker, on_closed, NULL);
    answer(sent(t.scripts, "give_marker"), ":1\r\n");
}

/* The take behind the sleep acts on it, though it has the only slot. */
static void a_take_behind_a_sleep_keeps_the_marker_of_a_delayed_job(void **state)
{
    (void)state;
    t.options.concurrency = 1;
    start();
    learn_clock();
    answer(sent(t.sleep, NULL), "*3\r\n$1\r\nk\r\n$1\r\n1\r\n$13\r\n9000000000000\r\n");
    assert_null(sent(t.scripts, "give_marker"));
}

static void counts_all_that_is_not_stored(void **state)
{
    (void)state;
    refuse(-2, -2);
    assert_int_equal(ox_worker_unstored(t.worker), 2); /* in doubt */
    answer(sent(t.scripts, "claim_runs"), "*2\r\n:1\r\n:1\r\n");
    assert_int_equal(ox_worker_unstored(t.worker), 2); /* sent again */
    answer_ends("complete_jobs", 0);
    assert_int_equal(ox_worker_unstored(t.worker), 0);
    expect_told("end 1 1 0\nend 2 1 0\n");
}

static void counts_runs_whose_end_is_not_sent(void **state)
{
    (void)state;
    doubt_both();
    answer(sent(t.scripts, "claim_runs"), "*2\r\n:1\r\n:-6\r\n");
    ox_task_complete(nth(1), NULL);
    assert_int_equal(ox_worker_unstored(t.worker), 1);
    turn();
    assert_int_equal(ox_worker_unstored(t.worker), 0);
}

/* ---- locks that were in doubt ------------------------------------------------------------ */

static void a_cancelled_run_is_told_so(void **state)
{
    (void)state;
    doubt_both();
    answer(sent(t.scripts, "claim_runs"), "*2\r\n:1\r\n:-13\r\n");
    g_autofree char *expected = g_strdup_printf(
        "notice 1 %d\nerror 2 %d\nlost 2\n", OX_NOTICE_LOCKED_AGAIN, OX_ECANCELLED);
    expect_told(expected);
    assert_true(ox_task_cancelled(nth(1)));
    assert_false(ox_task_cancelled(nth(0)));
}

/* Its lock is as young as the answer. */
static void a_lock_that_is_back_is_not_renewed_at_once(void **state)
{
    (void)state;
    doubt_both();
    pass(RENEW_MS - 1);
    answer(sent(t.scripts, "claim_runs"), "*2\r\n:1\r\n:1\r\n");
    pass(1);
    assert_null(sent(t.scripts, "renew_locks"));
    pass(RENEW_MS);
    answer(sent(t.scripts, "renew_locks"), "*0\r\n");
}

static void a_lock_that_is_back_lasts_from_its_claim_on(void **state)
{
    (void)state;
    int64_t step = t.options.lock_ms / 20 + 1;
    t.options.on_disconnect = OX_DISCONNECT_KILL;
    doubt_both();
    answer(sent(t.scripts, "claim_runs"), "*2\r\n:1\r\n:1\r\n");
    lose(t.scripts);
    pass(t.options.lock_ms - 2 * step);
    assert_false(nth(0)->run.lock.fenced);
    pass(2 * step);
    assert_true(nth(0)->run.lock.fenced);
}

static void a_late_job_begins_once(void **state)
{
    (void)state;
    t.options.concurrency = 1;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    ((struct ox__call *)request->arg)->sent_us -= (int64_t)t.options.lock_ms * 1000;
    g_autofree char *resp = taken(request, 1, 1, 0, "0");
    answer(request, resp);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    pass(RENEW_MS);
    answer(sent(t.scripts, "renew_locks"), "*1\r\n:1\r\n");
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    assert_int_equal(t.tasks->len, 1);
    g_autofree char *expected = g_strdup_printf("notice 1 %d\n", OX_NOTICE_LOCKED_AGAIN);
    expect_told(expected);
}

/* The question about the run is answered for nobody, when that has ended meanwhile. */
static void an_end_is_asked_about_though_its_run_was(void **state)
{
    (void)state;
    doubt_both();
    complete(0);
    struct ox__request *old = sent(t.scripts, "claim_runs");
    answer_ends("complete_jobs", -2);
    struct ox__request *request = sent(t.scripts, "claim_runs");
    assert_non_null(request);
    answer(old, "*2\r\n:1\r\n:1\r\n");
    answer(request, "*1\r\n:2\r\n");
    assert_true(g_str_has_suffix(t.told->str, "end 1 1 0\n"));
}

/* A claim that was lost waits for the next renewal; else each call would bring it along. */
static void a_lost_claim_is_not_repeated_by_a_call(void **state)
{
    (void)state;
    doubt_both();
    fail_request(sent(t.scripts, "claim_runs"), OX_ESERVER);
    nth(0)->run.lock.doubt = false;
    complete(0);
    answer_ends("complete_jobs", 0);
    assert_null(sent(t.scripts, "claim_runs"));
}

/* ---- takes whose reply was lost ---------------------------------------------------------- */

/* What was taken by such a call and has ended since is not to be returned, wherever its end is:
 * jobs 2 to 4 came by a call that was sent twice. */
static void ended_jobs_of_a_lost_take_are_not_returned(void **state)
{
    (void)state;
    t.options.concurrency = 4;
    t.options.calls = 1;
    start();
    answer_take("take_jobs", 1, 1);
    complete(0);
    lose_and_return(t.scripts);
    struct ox__request *request = sent(t.scripts, "complete_jobs");
    const struct ox__call *call = request->arg;
    g_autofree char *expected = g_strdup_printf("%s 4 2 3", call->token);
    g_autofree char *three = taken(request, 2, 3, 0, "0");
    g_autofree char *resp = g_strdup_printf("*2\r\n*0\r\n%s", three);
    answer(request, resp);
    assert_int_equal(t.tasks->len, 4);
    complete(1);
    answer_ends("complete_jobs", -2); /* 2 is in doubt */
    complete(2);                      /* 3 is on its way */
    complete(3);                      /* 4 waits for the next call */
    answer(sent(t.scripts, "return_lost"), "*1\r\n:1000\r\n");
    request = sent(t.scripts, "return_lost");
    assert_non_null(request);
    expect_arg(request, "skip", "1000");
    g_autofree char *asked = rest(request);
    assert_string_equal(asked, expected);
    answer(request, "*1\r\n:-1\r\n");
}

/* ---- and more ---------------------------------------------------------------------------- */

static int said;

static void on_updates_done(ox_task *task, void *arg)
{
    (void)task;
    (void)arg;
    said++;
}

static void an_ended_run_is_not_told_of_its_updates(void **state)
{
    (void)state;
    t.options.updates_done = on_updates_done;
    said = 0;
    run_two();
    assert_int_equal(ox_task_log(nth(0), "row"), 0);
    answer(sent(t.scripts, "add_log"), ":1\r\n");
    assert_int_equal(said, 1);
    assert_int_equal(ox_task_log(nth(0), "row"), 0);
    complete(0);
    answer(sent(t.scripts, "add_log"), ":2\r\n");
    assert_int_equal(said, 1);
}

static void another_limit_is_tried_at_once(void **state)
{
    (void)state;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    g_autofree char *none = taken(request, 0, 0, 50000, "0");
    answer(request, none);
    assert_null(sent(t.scripts, "take_jobs"));
    assert_int_equal(ox_worker_set_limiter(t.worker, 5, 1000, NULL), 0);
    turn();
    answer_take("take_jobs", 1, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_abort_begins_no_other_job_of_the_take),
        TEST(an_abort_begins_no_other_late_job),
        TEST(an_abort_reports_no_other_lost_lock),
        TEST(an_abort_reports_no_other_lock_that_is_back),
        TEST(an_abort_cuts_off_no_other_run),
        TEST(an_abort_by_a_run_that_is_cut_off_checks_nothing),
        TEST(an_abort_asks_for_no_wait_for_children),
        TEST(an_abort_reports_nothing_else_that_was_found),
        TEST(an_abort_reports_no_other_job_that_cannot_start),
        TEST(an_abort_between_refused_ends_says_that_the_worker_closed),
        TEST(an_abort_asks_about_no_end),
        TEST(an_abort_between_claimed_ends_says_that_the_worker_closed),
        TEST(an_abort_between_ends_that_others_have_says_that_the_worker_closed),
        TEST(an_abort_tells_of_what_had_ended),
        TEST(nothing_is_told_of_a_run_that_ends_behind_an_abort),
        TEST(a_close_is_not_undone),
        TEST(a_close_tells_first_of_runs_without_a_lock),
        TEST(a_marker_is_returned_once_or_not_at_all),
        TEST(a_close_returns_a_marker_for_its_sleep),
        TEST(a_take_behind_a_sleep_keeps_the_marker_of_a_delayed_job),
        TEST(counts_all_that_is_not_stored),
        TEST(counts_runs_whose_end_is_not_sent),
        TEST(a_cancelled_run_is_told_so),
        TEST(a_lock_that_is_back_is_not_renewed_at_once),
        TEST(a_lock_that_is_back_lasts_from_its_claim_on),
        TEST(a_late_job_begins_once),
        TEST(an_end_is_asked_about_though_its_run_was),
        TEST(a_lost_claim_is_not_repeated_by_a_call),
        TEST(ended_jobs_of_a_lost_take_are_not_returned),
        TEST(an_ended_run_is_not_told_of_its_updates),
        TEST(another_limit_is_tried_at_once),
    };
    return cmocka_run_group_tests_name("engine, late", tests, NULL, NULL);
}
