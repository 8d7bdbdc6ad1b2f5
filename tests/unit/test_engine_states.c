/*
 * test_engine_states.c - a worker's engine without a server: sleeping and waking by the clock,
 * a connection that goes and comes, and pause, close and abort in every state; see
 * engine_rig.h.
 */
#include "engine_rig.h"

#define NOW "*3\r\n$1\r\nk\r\n$1\r\n0\r\n$1\r\n0\r\n"

static int64_t server_ms(void)
{
    return (t.now_us + AHEAD_US) / 1000;
}

/* The marker that says when a delayed job is due. */
static void answer_due(struct ox__request *request, int64_t due_ms)
{
    g_autofree char *score = g_strdup_printf("%lld", (long long)due_ms);
    GString *resp = g_string_new("*3\r\n$1\r\nk\r\n$1\r\n1\r\n");
    put_bulk(resp, score);
    answer(request, resp->str);
    g_string_free(resp, TRUE);
}

/* ---- sleeping and waking ----------------------------------------------------------------- */

static void a_take_stands_behind_a_sleep(void **state)
{
    (void)state;
    start();
    learn_clock();
    struct ox__request *wait = sent(t.sleep, NULL), *take = sent(t.sleep, "take_jobs");
    expect_arg(take, "want", "1");
    expect_arg(take, "popped", "?");
    expect_arg(take, "lock_ms", "2000");
    answer(wait, NOW);
    assert_null(sent(t.scripts, "take_jobs")); /* that one acts */
    t.server_us = t.now_us + AHEAD_US;
    g_autofree char *job = taken(take, 1, 1, 0, "0");
    answer(take, job);
    assert_int_equal(t.tasks->len, 1);
}

/* The first lock of a job that came behind a sleep is short, and renewed soon. */
static void renews_short_lock_soon(void **state)
{
    (void)state;
    a_take_stands_behind_a_sleep(state);
    pass(499);
    assert_null(sent(t.scripts, "renew_locks"));
    pass(1);
    struct ox__request *request = sent(t.scripts, "renew_locks");
    expect_arg(request, "lock_ms", "60000");
    answer(request, "*0\r\n");
    pass(RENEW_MS / 2);
    assert_null(sent(t.scripts, "renew_locks"));
}

static void delay_marker_wakes_in_time(void **state)
{
    (void)state;
    start();
    learn_clock();
    struct ox__request *wait = sent(t.sleep, NULL), *take = sent(t.sleep, "take_jobs");
    answer_due(wait, server_ms() + 300);
    g_autofree char *none = taken(take, 0, 0, 0, "0");
    answer(take, none);
    pass(299);
    assert_null(sent(t.scripts, "take_jobs"));
    pass(1);
    struct ox__request *request = sent(t.scripts, "take_jobs");
    expect_arg(request, "popped", "1"); /* so that it is put back */
    g_queue_push_tail(&t.scripts->requests, request);
}

static void late_waker_leaves_marker_to_others(void **state)
{
    (void)state;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    t.server_us = t.now_us + AHEAD_US;
    g_autofree char *due = g_strdup_printf("%lld", (long long)server_ms() + 300);
    g_autofree char *none = taken(request, 0, 0, 0, due);
    answer(request, none);
    pass(300 + 19);
    assert_null(sent(t.scripts, "take_jobs"));
    pass(81);
    request = sent(t.scripts, "take_jobs");
    expect_arg(request, "popped", "0");
    g_queue_push_tail(&t.scripts->requests, request);
}

static void polls_when_sleep_fails(void **state)
{
    (void)state;
    t.options.drain_delay_ms = 700;
    start();
    answer_take("take_jobs", 0, 0);
    fail_request(sent(t.sleep, NULL), OX_ESERVER);
    g_autofree char *expected = g_strdup_printf("error - %d\n", OX_ESERVER);
    expect_told(expected);
    pass(700 - 1);
    assert_null(sent(t.scripts, "take_jobs"));
    pass(101);
    answer_take("take_jobs", 1, 1);
}

static void polls_without_blocking_commands(void **state)
{
    (void)state;
    t.options.drain_delay_ms = 700;
    make();
    t.sleep->down = true;
    come_back(t.scripts);
    answer_take("take_jobs", 0, 0);
    assert_null(sent(t.sleep, NULL));
    pass(700 + 100);
    answer_take("take_jobs", 1, 1);
}

static void handler_rate_limit_is_kept(void **state)
{
    (void)state;
    run_one();
    ox_task_rate_limited(task(), 3000);
    turn();
    struct ox__request *request = sent(t.scripts, "end_jobs");
    expect_arg(request, "want", "0");
    g_autofree char *none = taken(request, 0, 0, 0, "0");
    g_autofree char *resp = g_strdup_printf("*2\r\n*0\r\n%s", none);
    answer(request, resp);
    pass(2997);
    assert_null(sent(t.scripts, "take_jobs"));
    pass(3);
    answer_take("take_jobs", 1, 1);
}

/* ---- a connection that goes and comes ---------------------------------------------------- */

/* The stalled check rests for a lock time after an outage, the renewal does not. */
static void locks_are_renewed_first_after_a_loss(void **state)
{
    (void)state;
    run_one();
    sent(t.scripts, "check_stalled");
    t.worker->engine.stalled.checking = false;
    lose(t.scripts);
    pass(RENEW_MS);
    come_back(t.scripts);
    pass(0);
    answer(sent(t.scripts, "renew_locks"), "*0\r\n");
    assert_null(sent(t.scripts, "check_stalled"));
    pass(t.options.lock_ms - 1);
    assert_null(sent(t.scripts, "check_stalled"));
    pass(1);
    answer(sent(t.scripts, "check_stalled"), "*1\r\n:-2\r\n");
}

static void recovers_lost_takes_in_order(void **state)
{
    (void)state;
    t.options.concurrency = 3;
    start();
    answer_take("take_jobs", 1, 1);
    answer(sent(t.sleep, NULL), NOW); /* a take is on its way, */
    ox_task_complete(task(), NULL);   /* and an end waits */
    turn();
    lose(t.scripts);
    pass(RENEW_MS);
    come_back(t.scripts);
    /* The scripts of what a job says, before any job; then what was taken for nobody. */
    struct ox__request *first = g_queue_peek_head(&t.scripts->requests);
    assert_non_null(first);
    struct ox__request *look = sent(t.scripts, "return_lost");
    g_autofree char *asked = rest(look);
    assert_non_null(strstr(asked, t.worker->engine.calls.uuid));
    answer(look, "*2\r\n:-1\r\n$1\r\n9\r\n");
    assert_true(g_str_has_suffix(t.told->str, "notice 9 3\n"));
    answer_ends("complete_jobs", 0);
    assert_true(g_str_has_suffix(t.told->str, "end 1 1 0\n"));
}

static void lost_sleep_is_followed_by_recovery(void **state)
{
    (void)state;
    start();
    learn_clock();
    lose(t.sleep);
    answer_take("take_jobs", 0, 0);
    answer(sent(t.scripts, "return_lost"), "*1\r\n:-1\r\n");
    come_back(t.sleep);
    assert_non_null(sent(t.sleep, NULL));
    t.worker->engine.idle.waiting = false;
}

static void lost_claim_is_retried(void **state)
{
    (void)state;
    run_one();
    pass(RENEW_MS);
    answer(sent(t.scripts, "renew_locks"), "*1\r\n:1\r\n");
    fail_request(sent(t.scripts, "claim_runs"), OX_ELOST);
    assert_null(sent(t.scripts, "claim_runs"));
    pass(RENEW_MS);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    expect_told("notice 1 4\n");
}

/* ---- checks by the clock ----------------------------------------------------------------- */

static void stalled_checks_keep_their_interval(void **state)
{
    (void)state;
    t.options.stalled_interval_ms = 4000;
    start();
    pass(0);
    for (int i = 0; i < 3; i++) {
        answer(sent(t.scripts, "check_stalled"), "*1\r\n:-2\r\n");
        pass(4000 - 1);
        assert_null(sent(t.scripts, "check_stalled"));
        pass(1);
    }
}

static void late_stalled_check_reply_delays_next(void **state)
{
    (void)state;
    t.options.stalled_interval_ms = 4000;
    start();
    pass(0);
    struct ox__request *request = sent(t.scripts, "check_stalled");
    pass(t.options.lock_ms);
    answer(request, "*1\r\n:0\r\n");
    pass(t.options.lock_ms - 1);
    assert_null(sent(t.scripts, "check_stalled"));
    pass(1);
    answer(sent(t.scripts, "check_stalled"), "*1\r\n:-2\r\n");
}

/* ---- states ------------------------------------------------------------------------------ */

static void not_up(void)
{
    make();
}

static void taking(void)
{
    start();
}

static void sleeping(void)
{
    start();
    answer_take("take_jobs", 0, 0);
}

static void sleeping_before_a_take(void)
{
    start();
    learn_clock();
}

static void running(void)
{
    run_one();
}

static void ending(void)
{
    run_one();
    ox_task_complete(task(), NULL);
}

static void sending_an_end(void)
{
    ending();
    turn();
}

static void doubting_an_end(void)
{
    sending_an_end();
    answer_ends("complete_jobs", -2);
}

static void doubting_a_run(void)
{
    run_one();
    pass(RENEW_MS);
    answer(sent(t.scripts, "renew_locks"), "*1\r\n:1\r\n");
}

static void having_lost_a_run(void)
{
    doubting_a_run();
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:-6\r\n");
}

static void saying(void)
{
    run_one();
    assert_int_equal(ox_task_progress(task(), "1"), 0);
    ox_task_complete(task(), NULL);
    turn();
    answer_ends("complete_jobs", 0);
}

static void waiting_for_children(void)
{
    run_one();
    ox_task_wait_children(task(), NULL, NULL);
}

static void cut_off(void)
{
    run_one();
    lose(t.scripts);
}

static void paused(void)
{
    run_one();
    ox_worker_pause(t.worker);
}

static void limited(void)
{
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    g_autofree char *none = taken(request, 0, 0, 50000, "0");
    answer(request, none);
}

static const struct {
    const char *name;
    void (*reach)(void);
} states[] = { { "not up", not_up }, { "taking", taking }, { "sleeping", sleeping },
    { "sleeping before a take", sleeping_before_a_take }, { "running", running },
    { "ending", ending }, { "sending an end", sending_an_end },
    { "doubting an end", doubting_an_end }, { "doubting a run", doubting_a_run },
    { "having lost a run", having_lost_a_run }, { "saying", saying },
    { "waiting for children", waiting_for_children }, { "cut off", cut_off },
    { "paused", paused }, { "limited", limited } };

/* Whatever is asked fails, as often as it takes, but for claims, which are refused; runs that
 * the program has are ended. A close waits for a server that is away, so it comes back. */
static void fail_all(void)
{
    for (int i = 0; i < 20 && !t.closed; i++) {
        if (t.scripts != NULL && t.scripts->closed == NULL && t.scripts->down) {
            come_back(t.scripts);
        }
        struct ox__request *claim = t.scripts != NULL ? sent(t.scripts, "claim_runs") : NULL;
        if (claim != NULL && t.scripts->closed == NULL) {
            answer(claim, "*1\r\n:-6\r\n");
        } else if (claim != NULL) {
            fail_request(claim, OX_ECLOSED);
        }
        if (t.scripts != NULL) {
            settle(&t.scripts);
        }
        if (t.sleep != NULL) {
            settle(&t.sleep);
        }
        for (guint k = 0; !t.closed && k < t.tasks->len; k++) {
            ox_task *one = g_ptr_array_index(t.tasks, k);
            if (one->run.theirs && t.worker->engine.state != OX__ENGINE_CLOSED) {
                ox_task_release(one);
            }
        }
        turn();
    }
}

static void each_state(void (*act)(void))
{
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        void *state = NULL;
        if (i > 0) {
            set_up(&state);
        }
        states[i].reach();
        act();
        if (!t.closed) {
            fail_all();
        }
        if (!t.closed) {
            fail_msg("not closed: %s", states[i].name);
        }
        if (i + 1 < G_N_ELEMENTS(states)) {
            tear_down(&state);
        }
    }
}

static void close_it(void)
{
    ox_worker_close(t.worker, on_closed, NULL);
    ox_worker_close(t.worker, NULL, NULL); /* is no news */
    turn();
}

static void abort_it(void)
{
    ox_worker_abort(t.worker, on_closed, NULL);
    ox_worker_abort(t.worker, NULL, NULL);
    turn();
}

static void never(void *arg)
{
    (void)arg;
    fail_msg("closed by another");
}

static void close_and_abort(void)
{
    ox_worker_close(t.worker, never, NULL);
    ox_worker_abort(t.worker, on_closed, NULL);
    turn();
}

static void pause_and_close(void)
{
    ox_worker_pause(t.worker);
    ox_worker_pause(t.worker);
    turn();
    close_it();
}

static void pause_resume_and_abort(void)
{
    ox_worker_pause(t.worker);
    turn();
    ox_worker_resume(t.worker);
    ox_worker_resume(t.worker);
    turn();
    abort_it();
}

static void a_worker_is_closed_in_every_state(void **state)
{
    (void)state;
    each_state(close_it);
}

static void a_worker_is_aborted_in_every_state(void **state)
{
    (void)state;
    each_state(abort_it);
}

static void an_abort_ends_a_close_in_every_state(void **state)
{
    (void)state;
    each_state(close_and_abort);
}

static void a_worker_is_paused_in_every_state(void **state)
{
    (void)state;
    each_state(pause_and_close);
}

static void a_worker_is_resumed_in_every_state(void **state)
{
    (void)state;
    each_state(pause_resume_and_abort);
}

static void a_paused_worker_takes_nothing_and_ends_what_runs(void **state)
{
    (void)state;
    run_one();
    ox_worker_pause(t.worker);
    ox_task_complete(task(), NULL);
    turn();
    struct ox__request *request = sent(t.scripts, "complete_jobs");
    expect_arg(request, "want", "0");
    g_autofree char *none = taken(request, 0, 0, 0, "0");
    g_autofree char *resp = g_strdup_printf("*2\r\n*0\r\n%s", none);
    answer(request, resp);
    expect_told("end 1 1 0\n");
    assert_null(sent(t.scripts, "take_jobs"));
    ox_worker_resume(t.worker);
    turn();
    answer_take("take_jobs", 2, 1);
}

/* A pause ends a sleep before a take in good order: what that has taken still runs. */
static void pause_interrupts_sleep(void **state)
{
    (void)state;
    start();
    learn_clock();
    ox_worker_pause(t.worker);
    assert_true(t.sleep->down);
    answer(sent(t.sleep, NULL), NOW);
    struct ox__request *take = sent(t.sleep, "take_jobs");
    g_autofree char *job = taken(take, 1, 1, 0, "0");
    answer(take, job);
    assert_int_equal(t.tasks->len, 1);
    assert_null(sent(t.scripts, "give_marker"));
}

static void a_worker_is_aborted_from_each_callback(void **state)
{
    static const struct {
        const char *callback;
        void (*reach)(void);
    } cases[] = { { "ready", taking }, { "process", running }, { "run_ended", saying },
        { "error", having_lost_a_run }, { "lock_lost", having_lost_a_run } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (i > 0) {
            set_up(state);
        }
        t.abort_in = cases[i].callback;
        cases[i].reach();
        assert_int_equal(t.worker->engine.state, OX__ENGINE_CLOSED);
        fail_all();
        assert_true(t.closed);
        if (i + 1 < G_N_ELEMENTS(cases)) {
            tear_down(state);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_take_stands_behind_a_sleep),
        TEST(renews_short_lock_soon),
        TEST(delay_marker_wakes_in_time),
        TEST(late_waker_leaves_marker_to_others),
        TEST(polls_when_sleep_fails),
        TEST(polls_without_blocking_commands),
        TEST(handler_rate_limit_is_kept),
        TEST(locks_are_renewed_first_after_a_loss),
        TEST(recovers_lost_takes_in_order),
        TEST(lost_sleep_is_followed_by_recovery),
        TEST(lost_claim_is_retried),
        TEST(stalled_checks_keep_their_interval),
        TEST(late_stalled_check_reply_delays_next),
        TEST(a_worker_is_closed_in_every_state),
        TEST(a_worker_is_aborted_in_every_state),
        TEST(an_abort_ends_a_close_in_every_state),
        TEST(a_worker_is_paused_in_every_state),
        TEST(a_worker_is_resumed_in_every_state),
        TEST(a_paused_worker_takes_nothing_and_ends_what_runs),
        TEST(pause_interrupts_sleep),
        TEST(a_worker_is_aborted_from_each_callback),
    };
    return cmocka_run_group_tests_name("engine states", tests, NULL, NULL);
}
