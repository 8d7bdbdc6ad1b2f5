/*
 * test_engine_found.c - a worker's engine without a server: the jobs that it finds in no state
 * or under the lock of a lost take, what a close waits for, and how much goes into a call
 * beside others; see engine_rig.h.
 */
#include "engine_rig.h"

#include <inttypes.h>

#define NOW "*3\r\n$1\r\nk\r\n$1\r\n0\r\n$1\r\n0\r\n"

static ox_task *nth(guint i)
{
    return g_ptr_array_index(t.tasks, i);
}

static void complete(guint i)
{
    ox_task_complete(nth(i), NULL);
    turn();
}

/* How many requests of a script are on their way. */
static int on_the_way(const char *name)
{
    int count = 0;
    for (GList *at = t.scripts->requests.head; at != NULL; at = at->next) {
        const struct ox__request *request = at->data;
        const struct ox__script *script = request->op.script;
        count += script != NULL && strcmp(script->name, name) == 0;
    }
    return count;
}

/* ---- jobs in no state -------------------------------------------------------------------- */

/* Of a check that found nothing stalled, which is followed by a look at one page of jobs. */
static struct ox__request *page(void)
{
    answer(sent(t.scripts, "check_stalled"), "*1\r\n:-1\r\n");
    return sent(t.scripts, "restore_jobs");
}

static void reports_what_it_restores_and_once_what_it_cannot(void **state)
{
    static const char found[] = "*9\r\n$1\r\n0\r\n$1\r\n5\r\n:2\r\n$1\r\n6\r\n:3\r\n"
                                "$1\r\n7\r\n$3\r\nwhy\r\n$1\r\n8\r\n:9\r\n";
    (void)state;
    start();
    turn();
    answer(page(), found);
    g_autofree char *first = g_strdup_printf("notice 5 %d\nnotice 6 %d\nerror 7 %d\n",
        OX_NOTICE_RESTORED, OX_NOTICE_NO_STATE, OX_ESERVER);
    expect_told(first);
    pass(t.options.stalled_interval_ms);
    answer(page(), found);
    g_autofree char *again = g_strdup_printf("notice 5 %d\n", OX_NOTICE_RESTORED);
    expect_told(again);
}

static void reports_a_page_that_failed_once_and_begins_anew(void **state)
{
    (void)state;
    start();
    turn();
    answer(page(), "*1\r\n$2\r\n17\r\n");
    pass(t.options.stalled_interval_ms);
    struct ox__request *request = page();
    expect_arg(request, "cursor", "17");
    fail_request(request, OX_ELOST);
    expect_told("");
    pass(t.options.stalled_interval_ms);
    request = page();
    expect_arg(request, "cursor", "17");
    fail_request(request, OX_ESERVER);
    g_autofree char *expected = g_strdup_printf("error - %d\n", OX_ESERVER);
    expect_told(expected);
    pass(t.options.stalled_interval_ms);
    request = page();
    expect_arg(request, "cursor", "0");
    fail_request(request, OX_ESERVER);
    expect_told("");
}

static void looks_at_one_page_at_a_time(void **state)
{
    (void)state;
    start();
    turn();
    struct ox__request *slow = page();
    assert_non_null(slow);
    pass(t.options.stalled_interval_ms);
    assert_null(page());
    answer(slow, "*1\r\n$1\r\n0\r\n");
}

static void a_closing_worker_checks_no_more(void **state)
{
    (void)state;
    run_one();
    struct ox__request *check = sent(t.scripts, "check_stalled");
    ox_worker_close(t.worker, on_closed, NULL);
    answer(check, "*1\r\n:-1\r\n");
    assert_null(sent(t.scripts, "restore_jobs"));
    pass(2 * t.options.stalled_interval_ms);
    assert_null(sent(t.scripts, "check_stalled"));
    complete(0);
}

static void reports_a_check_that_failed_but_no_loss(void **state)
{
    (void)state;
    start();
    turn();
    fail_request(sent(t.scripts, "check_stalled"), OX_ELOST);
    expect_told("");
    pass(t.options.stalled_interval_ms);
    fail_request(sent(t.scripts, "check_stalled"), OX_ESERVER);
    g_autofree char *expected = g_strdup_printf("error - %d\n", OX_ESERVER);
    expect_told(expected);
}

/* ---- lost takes -------------------------------------------------------------------------- */

/* A take that was sent twice may have taken twice; what runs of it is not to be returned. */
static void jobs_that_run_of_a_lost_take_are_not_returned(void **state)
{
    (void)state;
    run_one();
    complete(0);
    lose_and_return(t.scripts);
    struct ox__request *request = sent(t.scripts, "complete_jobs");
    const struct ox__call *call = request->arg;
    g_autofree char *expected = g_strdup_printf("%s 2", call->token);
    t.server_us = t.now_us;
    g_autofree char *two = taken(request, 2, 1, 0, "0");
    g_autofree char *resp = g_strdup_printf("*2\r\n*0\r\n%s", two);
    answer(request, resp);
    assert_int_equal(t.tasks->len, 2);
    request = sent(t.scripts, "return_lost");
    g_autofree char *asked = rest(request);
    assert_string_equal(asked, expected);
    answer(request, "*1\r\n:-1\r\n");
    /* Nor does it tell the time: it may have been done long before it was read. */
    assert_false(t.worker->engine.clock.known);
}

static void looks_for_lost_takes_once_at_a_time(void **state)
{
    (void)state;
    start();
    g_string_truncate(t.told, 0);
    lose_and_return(t.scripts);
    assert_int_equal(on_the_way("return_lost"), 1);
    pass(RENEW_MS);
    assert_int_equal(on_the_way("return_lost"), 1);
    g_string_truncate(t.told, 0);
    fail_request(sent(t.scripts, "return_lost"), OX_ELOST);
    expect_told("");
    pass(RENEW_MS);
    fail_request(sent(t.scripts, "return_lost"), OX_ESERVER);
    g_autofree char *expected = g_strdup_printf("error - %d\n", OX_ESERVER);
    expect_told(expected);
}

/* ---- locks in doubt ---------------------------------------------------------------------- */

static void doubt(void)
{
    pass(RENEW_MS);
    answer(sent(t.scripts, "renew_locks"), "*1\r\n:1\r\n");
    assert_int_equal(on_the_way("claim_runs"), 1);
}

static void asks_about_a_lock_once_at_a_time(void **state)
{
    (void)state;
    run_one();
    doubt();
    pass(RENEW_MS);
    assert_int_equal(on_the_way("claim_runs"), 1);
    assert_int_equal(on_the_way("renew_locks"), 0);
}

static void renews_no_lock_that_is_lost(void **state)
{
    (void)state;
    run_one();
    doubt();
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:-6\r\n");
    pass(RENEW_MS);
    assert_int_equal(on_the_way("renew_locks"), 0);
}

/* ---- what a close waits for -------------------------------------------------------------- */

/* Scripts that are loaded, and markers that are put back, are not what is waited for here. */
static void drop_others(void)
{
    struct ox__request *other;
    while ((other = sent(t.scripts, NULL)) != NULL ||
           (other = sent(t.scripts, "give_marker")) != NULL) {
        fail_request(other, OX_ELOST);
    }
}

static void begin_close(void)
{
    ox_worker_close(t.worker, on_closed, NULL);
    turn();
    drop_others();
    assert_null(t.scripts->closed);
}

static void expect_closing(void)
{
    drop_others();
    assert_non_null(t.scripts->closed);
    assert_non_null(t.sleep->closed);
}

static void a_close_waits_for_an_end_that_cannot_be_sent(void **state)
{
    (void)state;
    run_one();
    t.scripts->down = true;
    complete(0);
    begin_close();
    come_back(t.scripts);
    answer_ends("complete_jobs", 0);
    expect_closing();
}

static void a_close_waits_for_an_end_in_doubt(void **state)
{
    (void)state;
    run_one();
    complete(0);
    answer_ends("complete_jobs", -2);
    begin_close();
    fail_request(sent(t.scripts, "claim_runs"), OX_ELOST);
    assert_null(t.scripts->closed);
    pass(RENEW_MS);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:-6\r\n");
    expect_closing();
}

static void a_close_waits_for_a_claim_of_a_run_that_has_ended(void **state)
{
    (void)state;
    run_one();
    doubt();
    complete(0);
    answer_ends("complete_jobs", 0);
    begin_close();
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    expect_closing();
}

static void a_close_waits_for_what_jobs_said(void **state)
{
    (void)state;
    run_one();
    assert_int_equal(ox_task_progress(nth(0), "1"), 0);
    complete(0);
    answer_ends("complete_jobs", 0);
    begin_close();
    answer(sent(t.scripts, "update_progress"), ":0\r\n");
    expect_closing();
}

static void a_close_breaks_a_sleep_and_waits_for_the_take_behind_it(void **state)
{
    (void)state;
    start();
    t.server_us = t.now_us + INT64_C(1700000000000000);
    answer_take("take_jobs", 0, 0);
    begin_close();
    assert_true(t.sleep->down); /* so that the server runs that take now, or never */
    fail_request(sent(t.sleep, NULL), OX_ELOST);
    assert_null(t.scripts->closed);
    fail_request(sent(t.sleep, "take_jobs"), OX_ELOST);
    expect_closing();
}

/* ---- calls beside others ----------------------------------------------------------------- */

/* Half the slots are worth a call beside another, a batch if that is less. */
static void beside(uint32_t batch, uint32_t worth)
{
    t.options.concurrency = 8;
    t.batch = batch;
    start();
    for (int i = 1; t.tasks->len < 8; i += (int)(batch != 0 ? batch : 8)) {
        answer_take("take_jobs", i, (int)(batch != 0 ? batch : 8));
    }
    ox_worker_pause(t.worker);
    complete(0);
    assert_int_equal(on_the_way("complete_jobs"), 1);
    for (guint i = 1; i < worth; i++) {
        complete(i);
    }
    assert_int_equal(on_the_way("complete_jobs"), 1);
    complete(worth);
    assert_int_equal(on_the_way("complete_jobs"), 2);
    for (guint i = worth + 1; i < 8; i++) {
        complete(i);
    }
}

static void ends_go_beside_a_call_when_half_the_slots_gathered(void **state)
{
    (void)state;
    beside(0, 4);
}

static void ends_go_beside_a_call_when_a_batch_gathered(void **state)
{
    (void)state;
    beside(2, 2);
}

/* An end waits for others that are about to come, but not with an alarm while there is no
 * connection. */
static void an_end_waits_for_others_but_not_without_a_connection(void **state)
{
    (void)state;
    t.options.concurrency = 4;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    g_autofree char *all = taken(request, 1, 4, 0, "?"); /* and more wait */
    answer(request, all);
    t.now_us += 100;
    complete(0);
    assert_int_equal(on_the_way("complete_jobs"), 0);
    assert_true(ox__gather_wake_us(&t.worker->engine.gather) != OX__NEVER);
    lose(t.scripts);
    assert_true(ox__gather_wake_us(&t.worker->engine.gather) == OX__NEVER);
    pass(10);
    come_back(t.scripts);
    assert_int_equal(on_the_way("complete_jobs"), 1);
}

static void an_end_takes_nothing_while_limited(void **state)
{
    (void)state;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    g_autofree char *one = taken(request, 1, 1, 5000, "0");
    answer(request, one);
    complete(0);
    request = sent(t.scripts, "complete_jobs");
    expect_arg(request, "want", "0");
    g_queue_push_tail(&t.scripts->requests, request);
}

/* Work that is announced while a call is on its way may have come too late for it. */
static void an_empty_answer_is_no_news_after_a_marker(void **state)
{
    (void)state;
    t.batch = 1;
    start();
    answer_take("take_jobs", 1, 1);
    answer_take("take_jobs", 0, 0);
    struct ox__request *wait = sent(t.sleep, NULL);
    complete(0);
    answer(wait, NOW);
    answer_ends("complete_jobs", 0);
    assert_true(on_the_way("take_jobs") > 0);
    assert_null(sent(t.sleep, NULL));
}

static void a_sleep_beside_a_known_time_has_no_take_behind(void **state)
{
    (void)state;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    t.server_us = t.now_us + INT64_C(1700000000000000);
    g_autofree char *due = g_strdup_printf("%" PRId64, t.server_us / 1000 + 300);
    g_autofree char *none = taken(request, 0, 0, 0, due);
    answer(request, none);
    assert_non_null(sent(t.sleep, NULL));
    assert_null(sent(t.sleep, "take_jobs"));
    t.worker->engine.idle.waiting = false;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(reports_what_it_restores_and_once_what_it_cannot),
        TEST(reports_a_page_that_failed_once_and_begins_anew),
        TEST(looks_at_one_page_at_a_time),
        TEST(a_closing_worker_checks_no_more),
        TEST(reports_a_check_that_failed_but_no_loss),
        TEST(jobs_that_run_of_a_lost_take_are_not_returned),
        TEST(looks_for_lost_takes_once_at_a_time),
        TEST(asks_about_a_lock_once_at_a_time),
        TEST(renews_no_lock_that_is_lost),
        TEST(a_close_waits_for_an_end_that_cannot_be_sent),
        TEST(a_close_waits_for_an_end_in_doubt),
        TEST(a_close_waits_for_a_claim_of_a_run_that_has_ended),
        TEST(a_close_waits_for_what_jobs_said),
        TEST(a_close_breaks_a_sleep_and_waits_for_the_take_behind_it),
        TEST(ends_go_beside_a_call_when_half_the_slots_gathered),
        TEST(ends_go_beside_a_call_when_a_batch_gathered),
        TEST(an_end_waits_for_others_but_not_without_a_connection),
        TEST(an_end_takes_nothing_while_limited),
        TEST(an_empty_answer_is_no_news_after_a_marker),
        TEST(a_sleep_beside_a_known_time_has_no_take_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
