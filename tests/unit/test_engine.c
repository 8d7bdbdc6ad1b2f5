/* test_engine.c - the worker's engine without a server: takes, locks, ends; see engine_rig.h.
 */
#include "engine_rig.h"

/* ---- taking and sleeping ----------------------------------------------------------------- */

static void a_take_fills_the_slots(void **state)
{
    (void)state;
    start();
    answer_take("take_jobs", 1, 2);
    assert_int_equal(t.tasks->len, 2);
    assert_int_equal(ox_worker_running(t.worker), 2);
    assert_null(sent(t.scripts, "take_jobs"));
    assert_null(sent(t.sleep, NULL));
}

static void sleeps_until_marker(void **state)
{
    (void)state;
    start();
    answer_take("take_jobs", 0, 0);
    assert_null(sent(t.scripts, "take_jobs"));
    answer(sent(t.sleep, NULL), "*3\r\n$1\r\nk\r\n$1\r\n0\r\n$1\r\n0\r\n");
    answer_take("take_jobs", 1, 1);
    assert_int_equal(t.tasks->len, 1);
}

/* How long the server may hold the sleep, as it was asked. */
static void expect_sleep(const char *seconds)
{
    answer_take("take_jobs", 0, 0);
    struct ox__request *request = sent(t.sleep, NULL);
    assert_non_null(request);
    g_autofree char *end = g_strdup_printf("\r\n$5\r\n%s\r\n", seconds);
    assert_non_null(memmem(request->op.bytes.data, request->op.bytes.len, end, strlen(end)));
    answer(request, "*-1\r\n");
}

static void a_sleep_is_shorter_than_a_lock(void **state)
{
    (void)state;
    t.options.lock_ms = 3000;
    start();
    expect_sleep("1.500");
}

static void a_sleep_lasts_for_the_drain_delay(void **state)
{
    (void)state;
    start();
    expect_sleep("5.000");
}

static void puts_marker_back_when_nothing_is_taken(void **state)
{
    (void)state;
    start();
    answer_take("take_jobs", 0, 0);
    ox_worker_pause(t.worker);
    answer(sent(t.sleep, NULL), "*3\r\n$1\r\nk\r\n$1\r\n0\r\n$1\r\n0\r\n");
    answer(sent(t.scripts, "give_marker"), ":1\r\n");
    assert_null(sent(t.scripts, "take_jobs"));
}

static void waits_for_rate_limit(void **state)
{
    (void)state;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    g_autofree char *resp = taken(request, 0, 0, 50000, "0");
    answer(request, resp);
    assert_null(sent(t.sleep, NULL));
    pass(30000 - 100);
    assert_null(sent(t.scripts, "take_jobs"));
    pass(100); /* only lets delayed jobs be promoted */
    request = sent(t.scripts, "take_jobs");
    assert_non_null(request);
    assert_int_equal(((struct ox__call *)request->arg)->want, 0);
    g_autofree char *none = taken(request, 0, 0, 0, "0");
    answer(request, none);
    pass(20000 - 100);
    assert_null(sent(t.scripts, "take_jobs"));
    pass(100);
    answer_take("take_jobs", 1, 1);
}

static void recovers_lost_take(void **state)
{
    (void)state;
    start();
    lose_and_return(t.scripts);
    answer(sent(t.scripts, "return_lost"), "*2\r\n:-1\r\n$1\r\n7\r\n");
    assert_true(g_str_has_suffix(t.told->str, "notice 7 3\n"));
}

/* ---- locks ------------------------------------------------------------------------------- */

static void lose_lock(const char *verdict)
{
    pass(RENEW_MS);
    answer(sent(t.scripts, "renew_locks"), "*1\r\n:1\r\n");
    answer(sent(t.scripts, "claim_runs"), verdict);
}

static void expired_lock_is_taken_again(void **state)
{
    (void)state;
    run_one();
    lose_lock("*1\r\n:1\r\n");
    expect_told("notice 1 4\n");
    assert_false(task()->run.lock.lost);
}

static void lock_held_by_another_is_lost(void **state)
{
    (void)state;
    run_one();
    lose_lock("*1\r\n:-6\r\n");
    assert_non_null(strstr(t.told->str, "lost 1\n"));
    assert_int_equal(ox_task_complete(task(), NULL), 0);
    turn();
    assert_null(sent(t.scripts, "complete_jobs"));
    assert_non_null(strstr(t.told->str, "end 1 "));
}

static void fences_disconnected_run(void **state)
{
    (void)state;
    t.options.on_disconnect = OX_DISCONNECT_KILL;
    run_one();
    pass(t.options.lock_ms - 2 * (t.options.lock_ms / 20 + 1));
    assert_false(task()->run.lock.fenced);
    pass(2 * (t.options.lock_ms / 20 + 1));
    assert_true(task()->run.lock.fenced);
    assert_non_null(strstr(t.told->str, "lost 1\n"));
    ox_task_complete(task(), NULL); /* can only be released now */
    turn();
    g_string_truncate(t.told, 0);
    answer_ends("end_jobs", 0);
    expect_told("end 1 5 0\n");
}

/* A take whose reply is read when the locks that it gave may have run out: by a process that
 * was stopped, on a machine that slept. */
static void take_late(int64_t late_ms)
{
    t.options.concurrency = 1;
    start();
    turn();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    assert_non_null(request);
    ((struct ox__call *)request->arg)->sent_us -= late_ms * 1000;
    g_autofree char *resp = taken(request, 1, 1, 0, "0");
    answer(request, resp);
}

static void late_job_starts_after_claim(void **state)
{
    (void)state;
    take_late(t.options.lock_ms);
    assert_int_equal(t.tasks->len, 0);
    assert_int_equal(ox_worker_running(t.worker), 1);
    fail_request(sent(t.scripts, "claim_runs"), OX_ELOST);
    assert_int_equal(t.tasks->len, 0);
    pass(RENEW_MS); /* asks again */
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    assert_int_equal(t.tasks->len, 1);
    expect_told(""); /* the lock need not have run out */
    ox_task_complete(task(), NULL);
    turn();
    answer_ends("complete_jobs", 0);
    expect_told("end 1 1 0\n");
}

static void late_job_locked_by_others_is_not_started(void **state)
{
    (void)state;
    take_late(t.options.lock_ms);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:-6\r\n");
    assert_int_equal(t.tasks->len, 0);
    assert_int_equal(ox_worker_running(t.worker), 0);
    g_autofree char *expected =
        g_strdup_printf("error 1 %d\nend 1 %d %d\n", OX_ELOCK, OX_RUN_RETRIED, OX_ELOCK);
    expect_told(expected);
    answer(sent(t.sleep, NULL), "*3\r\n$1\r\nk\r\n$1\r\n0\r\n$1\r\n0\r\n");
    answer_take("take_jobs", 2, 1); /* its slot is free */
    assert_int_equal(t.tasks->len, 1);
}

static void job_in_time_starts_at_once(void **state)
{
    (void)state;
    take_late(t.options.lock_ms / 2);
    assert_int_equal(t.tasks->len, 1);
    pass(RENEW_MS); /* its lock is not as young as the reply */
    answer(sent(t.scripts, "renew_locks"), "*0\r\n");
}

/* ---- ends -------------------------------------------------------------------------------- */

static void reports_finish_once_stored(void **state)
{
    (void)state;
    run_one();
    ox_task_complete(task(), NULL);
    turn();
    expect_told("");
    answer_ends("complete_jobs", 0);
    expect_told("end 1 1 0\n");
}

static void reports_refused_finish(void **state)
{
    static const int refusals[] = { -1, -3, -6 };
    (void)state;
    run_one();
    for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
        ox_task_complete(task(), NULL);
        g_ptr_array_set_size(t.tasks, 0);
        turn();
        answer_ends("complete_jobs", refusals[i]);
        assert_true(g_str_has_prefix(t.told->str, "end 1 1 -"));
        g_string_truncate(t.told, 0);
        answer(sent(t.sleep, NULL), "*3\r\n$1\r\nk\r\n$1\r\n0\r\n$1\r\n0\r\n");
        answer_take("take_jobs", 1, 1);
    }
}

static void resends_finish_after_claim(void **state)
{
    (void)state;
    run_one();
    ox_task_complete(task(), NULL);
    turn();
    answer_ends("complete_jobs", -2);
    expect_told("");
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    answer_ends("complete_jobs", 0);
    expect_told("end 1 1 0\n");
}

static void finish_stored_before_is_not_an_error(void **state)
{
    (void)state;
    run_one();
    ox_task_complete(task(), NULL);
    turn();
    answer_ends("complete_jobs", -2);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:2\r\n");
    expect_told("end 1 1 0\n");
}

static void a_parent_with_pending_children_fails(void **state)
{
    (void)state;
    run_one();
    ox_task_complete(task(), NULL);
    turn();
    answer_ends("complete_jobs", -4);
    answer_ends("end_jobs", 0);
    assert_true(g_str_has_prefix(t.told->str, "end 1 2 0"));
}

/* ---- the stalled check ------------------------------------------------------------------- */

static void stalled_check_goes_step_by_step(void **state)
{
    (void)state;
    start();
    turn();
    answer(sent(t.scripts, "check_stalled"), "*1\r\n:0\r\n");
    answer(sent(t.scripts, "check_stalled"), "*3\r\n:5\r\n$1\r\n8\r\n:0\r\n");
    answer(sent(t.scripts, "check_stalled"), "*3\r\n:-1\r\n$1\r\n9\r\n:1\r\n");
    assert_null(sent(t.scripts, "check_stalled"));
    g_autofree char *expected = g_strdup_printf(
        "notice 8 %d\nnotice 9 %d\n", OX_NOTICE_STALLED, OX_NOTICE_STALLED_TOO_OFTEN);
    expect_told(expected);
    answer(sent(t.scripts, "restore_jobs"), "*3\r\n$2\r\n17\r\n$1\r\n5\r\n:2\r\n");
    assert_string_equal(t.worker->engine.stalled.cursor, "17");
    assert_true(g_str_has_prefix(t.told->str, "notice 5 "));
}

static void late_stalled_check_ends(void **state)
{
    (void)state;
    start();
    turn();
    answer(sent(t.scripts, "check_stalled"), "*1\r\n:0\r\n");
    answer(sent(t.scripts, "check_stalled"), "*1\r\n:-2\r\n");
    assert_null(sent(t.scripts, "check_stalled"));
    assert_null(sent(t.scripts, "restore_jobs"));
}

/* Its process was stopped, or the machine slept: nothing happened while time passed. */
static void stalled_check_pauses_after_absence(void **state)
{
    (void)state;
    start();
    turn();
    answer(sent(t.scripts, "check_stalled"), "*1\r\n:-2\r\n");
    t.now_us += 1000 * ((int64_t)t.options.stalled_interval_ms + t.options.lock_ms);
    pass(t.options.lock_ms - 1);
    assert_null(sent(t.scripts, "check_stalled"));
    pass(1);
    assert_non_null(sent(t.scripts, "check_stalled"));
}

/* ---- closing ----------------------------------------------------------------------------- */

static void a_close_waits_for_runs_and_their_ends(void **state)
{
    (void)state;
    run_one();
    while (!g_queue_is_empty(&t.scripts->requests)) {
        fail_request(g_queue_pop_head(&t.scripts->requests), OX_ELOST);
    }
    ox_worker_close(t.worker, on_closed, NULL);
    turn();
    assert_null(t.scripts->closed);
    ox_task_complete(task(), NULL);
    turn();
    assert_null(t.scripts->closed);
    answer_ends("complete_jobs", 0);
    assert_non_null(t.scripts->closed);
    settle(&t.scripts);
    settle(&t.sleep);
    turn();
    assert_true(t.closed);
}

static void abort_does_not_wait(void **state)
{
    (void)state;
    run_one();
    ox_task_complete(task(), NULL);
    turn();
    ox_worker_abort(t.worker, on_closed, NULL);
    assert_non_null(t.scripts->closed);
}

static void keeps_tokens_of_lost_takes(void **state)
{
    (void)state;
    start();
    struct ox__lost *lost = &t.worker->engine.lost;
    for (int i = 0; i < OX__LOST_TAKES_MAX + 1; i++) {
        char token[8];
        g_snprintf(token, sizeof(token), "t%d", i);
        ox__lost_add(lost, token);
        pass(i == 0 ? 20000 : 0);
    }
    assert_int_equal(lost->count, OX__LOST_TAKES_MAX);
    assert_string_equal(lost->takes[0].token, "t1");
    answer(sent(t.scripts, "return_lost"), "*1\r\n:-1\r\n");
    pass(20000 + t.options.lock_ms);
    answer(sent(t.scripts, "return_lost"), "*1\r\n:-1\r\n");
    pass(RENEW_MS);
    assert_int_equal(lost->count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_take_fills_the_slots),
        TEST(sleeps_until_marker),
        TEST(a_sleep_is_shorter_than_a_lock),
        TEST(a_sleep_lasts_for_the_drain_delay),
        TEST(puts_marker_back_when_nothing_is_taken),
        TEST(waits_for_rate_limit),
        TEST(recovers_lost_take),
        TEST(expired_lock_is_taken_again),
        TEST(lock_held_by_another_is_lost),
        TEST(fences_disconnected_run),
        TEST(late_job_starts_after_claim),
        TEST(late_job_locked_by_others_is_not_started),
        TEST(job_in_time_starts_at_once),
        TEST(reports_finish_once_stored),
        TEST(reports_refused_finish),
        TEST(resends_finish_after_claim),
        TEST(finish_stored_before_is_not_an_error),
        TEST(a_parent_with_pending_children_fails),
        TEST(stalled_check_goes_step_by_step),
        TEST(late_stalled_check_ends),
        TEST(stalled_check_pauses_after_absence),
        TEST(a_close_waits_for_runs_and_their_ends),
        TEST(abort_does_not_wait),
        TEST(keeps_tokens_of_lost_takes),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
