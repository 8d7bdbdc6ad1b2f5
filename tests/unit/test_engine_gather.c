/*
 * test_engine_gather.c - a worker's engine without a server: ends that wait for others, so that
 * a call carries several, and how long they do; see engine_rig.h and lib/engine/gather.h.
 */
#include "engine_rig.h"

#define RUN_US INT64_C(100)
#define WAIT_US ((int64_t)OX__GATHER_US)

static ox_task *nth(guint i)
{
    return g_ptr_array_index(t.tasks, i);
}

static void complete(guint i)
{
    ox_task_complete(nth(i), NULL);
    turn();
}

/* The call that carries ends is on the way; with so many, and room for as many more. */
static void expect_call(const char *ends, const char *want)
{
    struct ox__request *call = sent(t.scripts, "complete_jobs");
    assert_non_null(call);
    g_autofree char *carried = rest(call);
    g_auto(GStrv) words = g_strsplit(carried, " ", 2);
    assert_string_equal(words[0], ends);
    expect_arg(call, "want", want);
    g_queue_push_tail(&t.scripts->requests, call);
}

static void expect_none(void)
{
    assert_null(sent(t.scripts, "complete_jobs"));
}

/* Answers the call with ends: all are stored, and jobs came, behind which more wait. */
static void answer_call(int first, int jobs)
{
    struct ox__request *call = sent(t.scripts, "complete_jobs");
    assert_non_null(call);
    g_autofree char *more = taken(call, first, jobs, 0, "?");
    g_autofree char *resp = g_strdup_printf("*2\r\n*0\r\n%s", more);
    answer(call, resp);
}

/* As many runs as there are slots, of a queue in which more wait. */
static void start_full(int slots)
{
    t.options.concurrency = (uint32_t)slots;
    t.options.calls = 1;
    start();
    struct ox__request *take = sent(t.scripts, "take_jobs");
    g_autofree char *resp = taken(take, 1, slots, 0, "?");
    answer(take, resp);
    assert_int_equal(t.tasks->len, slots);
    t.now_us += RUN_US;
}

/* ---- how long ---------------------------------------------------------------------------- */

/* All others last longer than that. */
static void an_end_waits_for_400_us_at_most(void **state)
{
    (void)state;
    start_full(8);
    complete(0);
    pass_us(WAIT_US - 1);
    expect_none();
    pass_us(1);
    expect_call("1", "1");
}

/* The time is that of the first end, whatever joins it. */
static void it_is_not_prolonged_by_the_next(void **state)
{
    (void)state;
    start_full(8);
    complete(0);
    pass_us(WAIT_US / 2);
    complete(1);
    pass_us(WAIT_US / 2 - 1);
    expect_none();
    pass_us(1);
    expect_call("2", "2");
}

/* Half of the slots are enough. */
static void enough_of_them_wait_no_more(void **state)
{
    (void)state;
    start_full(8);
    for (guint i = 0; i < 3; i++) {
        complete(i);
        expect_none();
    }
    complete(3);
    expect_call("4", "4");
}

/* What was sent since others had come leaves nothing behind: the next waits as long. */
static void each_wait_has_its_whole_time(void **state)
{
    (void)state;
    start_full(4);
    complete(0);
    pass_us(WAIT_US / 2);
    complete(1);
    expect_call("2", "2");
    answer_call(5, 2);
    pass_us(RUN_US);
    complete(4);
    pass_us(WAIT_US - 1);
    expect_none();
    pass_us(1);
    expect_call("1", "1");
}

/* No run began lately: those that there are may last for long. */
static void nothing_waits_for_runs_that_began_long_ago(void **state)
{
    (void)state;
    start_full(8);
    pass_us(WAIT_US);
    complete(0);
    expect_call("1", "1");
}

/* One that runs for long is the oldest; the others began just now. */
static void one_slow_run_makes_no_difference(void **state)
{
    (void)state;
    start_full(4);
    complete(1);
    complete(2);
    pass_us(5000);
    answer_call(5, 2);
    pass_us(50);
    complete(4);
    expect_none();
    complete(5);
    expect_call("2", "2");
}

/* ---- what is usual ----------------------------------------------------------------------- */

static bool waits(struct ox__gather *gather, const struct ox__run *newest, int64_t now_us)
{
    bool wait = ox__gather_wait(gather, 1, 4, newest, now_us);
    assert_true((ox__gather_wake_us(gather) != OX__NEVER) == wait);
    ox__gather_stop(gather);
    assert_true(ox__gather_wake_us(gather) == OX__NEVER);
    return wait;
}

/* How many runs of that length it takes until ends wait, or do so no more. */
static int runs_until(struct ox__gather *gather, bool wait, int64_t took_us)
{
    struct ox__run newest = { .begun_us = gather->last_us + 1000000 };
    int runs = 0;
    for (; runs < 1000 && waits(gather, &newest, newest.begun_us + 1) != wait; runs++) {
        ox__gather_note(gather, newest.begun_us, newest.begun_us + took_us);
        newest.begun_us += took_us + 1000;
    }
    return runs;
}

static void ends_of_long_runs_do_not_wait(void **state)
{
    struct ox__gather gather;
    (void)state;
    ox__gather_init(&gather);
    assert_in_range(runs_until(&gather, false, OX__GATHER_SHORT_US + 200), 5, 20);
    assert_in_range(runs_until(&gather, true, OX__GATHER_SHORT_US / 2), 1, 20);
    assert_int_equal(runs_until(&gather, false, OX__GATHER_SHORT_US), 1000);
}

static void one_run_of_an_hour_is_forgotten_after_some(void **state)
{
    struct ox__gather gather;
    (void)state;
    ox__gather_init(&gather);
    for (int i = 0; i < 3; i++) {
        ox__gather_note(&gather, 1000000, 1000000 + 3600 * INT64_C(1000000));
    }
    assert_in_range(runs_until(&gather, true, 100), 2, 20);
}

/* A job that was gone before it could be read, for example. */
static void what_never_began_took_no_time(void **state)
{
    struct ox__gather gather;
    (void)state;
    ox__gather_init(&gather);
    for (int i = 0; i < 3; i++) {
        ox__gather_note(&gather, 0, 3600 * INT64_C(1000000));
    }
    assert_int_equal(runs_until(&gather, true, 100), 0);
}

/* Ends so far apart of runs that all began long ago; whether the next one waits for others. */
static bool waits_in_flow(struct ox__gather *gather, int64_t apart_us)
{
    const struct ox__run newest = { .begun_us = 1000000 };
    int64_t now_us = MAX(gather->last_us, 1000000 + 1000 * 1000);
    for (int i = 0; i < 12; i++) {
        now_us += apart_us;
        ox__gather_note(gather, newest.begun_us, now_us);
    }
    assert_false(waits(gather, NULL, now_us));
    return waits(gather, &newest, now_us);
}

/* With more runs than are done at once, none begins while their ends trickle in. */
static void ends_close_to_each_other_wait_whenever_their_runs_began(void **state)
{
    struct ox__gather gather;
    (void)state;
    ox__gather_init(&gather);
    assert_true(waits_in_flow(&gather, 90));
    assert_false(waits_in_flow(&gather, 110));
    assert_true(waits_in_flow(&gather, 10));
    const struct ox__run newest = { .begun_us = 1000000 };
    ox__gather_note(&gather, 1000000, gather.last_us + 10000); /* one pause is none */
    assert_true(waits(&gather, &newest, gather.last_us));
}

/* Of many that could share a call, some are well worth it. */
static void a_wait_for_many_is_worth_it_for_four(void **state)
{
    const struct ox__run newest = { .begun_us = 1000000 };
    struct ox__gather gather;
    (void)state;
    ox__gather_init(&gather);
    assert_true(ox__gather_wait(&gather, 1, 16, &newest, 1000100));
    assert_false(ox__gather_wait(&gather, 4, 16, &newest, 1000100 + WAIT_US));
    assert_int_equal(gather.patience_us, WAIT_US);
    assert_true(ox__gather_wait(&gather, 1, 16, &newest, 1000100));
    assert_false(ox__gather_wait(&gather, 3, 16, &newest, 1000100 + WAIT_US));
    assert_int_equal(gather.patience_us, WAIT_US / 2);
}

static void nothing_waits_without_a_run_to_wait_for(void **state)
{
    struct ox__gather gather;
    const struct ox__run newest = { .begun_us = 1000000 };
    (void)state;
    ox__gather_init(&gather);
    assert_false(waits(&gather, NULL, 1000000));
    assert_true(waits(&gather, &newest, 1000000));
    assert_false(ox__gather_wait(&gather, 0, 4, &newest, 1000000));
    assert_false(ox__gather_wait(&gather, 4, 4, &newest, 1000000));
}

/* Others may begin meanwhile that were read late: that is no reason to go on waiting. */
static void the_wait_ends_whatever_begins(void **state)
{
    struct ox__gather gather;
    struct ox__run newest = { .begun_us = 1000000 };
    (void)state;
    ox__gather_init(&gather);
    assert_true(ox__gather_wait(&gather, 1, 4, &newest, 1000000));
    assert_true(ox__gather_wake_us(&gather) == 1000000 + WAIT_US);
    newest.begun_us += WAIT_US;
    assert_false(ox__gather_wait(&gather, 1, 4, &newest, 1000000 + WAIT_US));
}

/* ---- patience ---------------------------------------------------------------------------- */

#define START_US 1000000

/* The first of eight ends: how long it waits in vain. */
static int64_t vain_us(struct ox__gather *gather)
{
    struct ox__run newest = { .begun_us = START_US };
    assert_true(ox__gather_wait(gather, 1, 4, &newest, START_US));
    int64_t due_us = ox__gather_wake_us(gather);
    newest.begun_us = due_us; /* one that was read late */
    assert_true(ox__gather_wait(gather, 1, 4, &newest, due_us - 1));
    assert_false(ox__gather_wait(gather, 1, 4, &newest, due_us));
    assert_true(ox__gather_wake_us(gather) == OX__NEVER);
    return due_us - START_US;
}

/* The same when enough come at once. */
static void meet(struct ox__gather *gather)
{
    const struct ox__run newest = { .begun_us = START_US };
    assert_true(ox__gather_wait(gather, 1, 4, &newest, START_US));
    assert_false(ox__gather_wait(gather, 4, 4, &newest, START_US));
}

static void waits_in_vain_become_short(void **state)
{
    struct ox__gather gather;
    (void)state;
    ox__gather_init(&gather);
    assert_int_equal(vain_us(&gather), WAIT_US);
    assert_int_equal(vain_us(&gather), WAIT_US / 2);
    for (int i = 0; i < 20; i++) {
        vain_us(&gather);
    }
    assert_in_range(vain_us(&gather), 1, WAIT_US / 10);
}

static void waits_that_were_worth_it_become_longer(void **state)
{
    struct ox__gather gather;
    (void)state;
    ox__gather_init(&gather);
    for (int i = 0; i < 20; i++) {
        vain_us(&gather);
    }
    for (int i = 0; i < 10; i++) {
        meet(&gather);
    }
    assert_in_range(vain_us(&gather), WAIT_US / 10 + 1, WAIT_US - 1);
    for (int i = 0; i < 200; i++) {
        meet(&gather);
    }
    assert_int_equal(vain_us(&gather), WAIT_US);
}

/* A pause, a lost connection, a queue that is empty now. */
static void what_ends_a_wait_otherwise_says_nothing(void **state)
{
    struct ox__gather gather;
    const struct ox__run newest = { .begun_us = START_US };
    (void)state;
    ox__gather_init(&gather);
    for (int i = 0; i < 20; i++) {
        assert_true(ox__gather_wait(&gather, 1, 4, &newest, START_US));
        assert_false(ox__gather_wait(&gather, 0, 4, &newest, START_US + 1));
        assert_true(ox__gather_wait(&gather, 1, 4, &newest, START_US));
        ox__gather_stop(&gather);
    }
    assert_int_equal(vain_us(&gather), WAIT_US);
}

/* ---- what else happens ------------------------------------------------------------------- */

static void a_paused_worker_waits_for_no_end(void **state)
{
    (void)state;
    start_full(8);
    ox_worker_pause(t.worker);
    complete(0);
    expect_call("1", "0");
}

static void a_pause_holds_up_no_end_that_waits(void **state)
{
    (void)state;
    start_full(8);
    complete(0);
    ox_worker_pause(t.worker);
    pass_us(WAIT_US);
    expect_call("1", "0");
}

static void a_close_sends_what_waits(void **state)
{
    (void)state;
    start_full(4);
    complete(0);
    expect_none();
    ox_worker_close(t.worker, on_closed, NULL);
    turn();
    expect_call("1", "0");
    for (guint i = 1; i < 4; i++) {
        complete(i);
    }
    answer_ends("complete_jobs", 0);
    answer_ends("complete_jobs", 0);
    settle(&t.scripts);
    settle(&t.sleep);
    turn();
    assert_true(t.closed);
    expect_told("end 1 1 0\nend 2 1 0\nend 3 1 0\nend 4 1 0\n");
}

static void an_abort_tells_what_waits(void **state)
{
    (void)state;
    start_full(4);
    complete(0);
    ox_worker_abort(t.worker, on_closed, NULL);
    settle(&t.scripts);
    settle(&t.sleep);
    turn();
    assert_true(t.closed);
    g_autofree char *told = g_strdup_printf("end 1 1 %d\n", OX_ECLOSED);
    expect_told(told);
}

/* There is room for more than what ended. */
static void more_slots_send_what_waits(void **state)
{
    (void)state;
    start_full(4);
    complete(0);
    ox_worker_set_concurrency(t.worker, 6);
    turn();
    expect_call("1", "3");
}

static void fewer_slots_send_what_waits(void **state)
{
    (void)state;
    start_full(4);
    complete(0);
    ox_worker_set_concurrency(t.worker, 2);
    turn();
    expect_call("1", "0");
}

/* When nothing more waits to be taken, no slot is the fuller for it. */
static void the_last_of_a_queue_wait_for_nobody(void **state)
{
    (void)state;
    t.options.concurrency = 4;
    start();
    answer_take("take_jobs", 1, 4);
    t.now_us += 100;
    complete(0);
    expect_call("1", "1");
}

/* ---- the timer --------------------------------------------------------------------------- */

/* Where there are no descriptors left, it is a timer of the loop, in milliseconds. */
static void without_a_fine_timer_an_end_waits_a_little_longer(void **state)
{
    (void)state;
    start_full(8);
    t.worker->engine.turn.fine_fd = -1;
    complete(0);
    expect_none();
    pass_us(WAIT_US + 1000);
    expect_call("1", "1");
}

struct timing {
    struct ox__turn turn;
    struct ox__server_clock clock;
    int64_t rang_us;
    int closed;
};

static void ring(void *arg)
{
    struct timing *timing = arg;
    timing->rang_us = timing->clock.boot_us();
    uv_stop(timing->turn.loop);
}

static void note_closed(void *arg)
{
    struct timing *timing = arg;
    timing->closed++;
}

static void start_turn(struct timing *timing, uv_loop_t *loop)
{
    *timing = (struct timing){ .turn = { .clock = &timing->clock,
                                   .due = ring,
                                   .closed = note_closed,
                                   .arg = timing,
                                   .loop = loop } };
    ox__server_clock_init(&timing->clock);
    assert_int_equal(uv_loop_init(loop), 0);
    ox__turn_start(&timing->turn);
}

static void close_turn(struct timing *timing, uv_loop_t *loop)
{
    ox__turn_close(&timing->turn);
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(timing->closed, OX__TURN_HANDLES);
    assert_int_equal(uv_loop_close(loop), 0);
}

/* By the clock of the machine, and as often as it is set. */
static void the_fine_timer_rings_at_its_time(void **state)
{
    struct timing timing;
    uv_loop_t loop;
    (void)state;
    start_turn(&timing, &loop);
    for (int i = 0; i < 3; i++) {
        int64_t at_us = timing.clock.boot_us() + 300;
        timing.rang_us = 0;
        assert_true(ox__turn_fine_alarm(&timing.turn, at_us));
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_true(timing.rang_us >= at_us);
        timing.rang_us = 0;
        assert_true(ox__turn_fine_alarm(&timing.turn, at_us)); /* once more, at once */
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_true(timing.rang_us >= at_us);
    }
    close_turn(&timing, &loop);
}

static void a_fine_timer_that_is_not_needed_does_not_ring(void **state)
{
    struct timing timing;
    uv_loop_t loop;
    (void)state;
    start_turn(&timing, &loop);
    assert_true(ox__turn_fine_alarm(&timing.turn, timing.clock.boot_us() + 1));
    assert_true(ox__turn_fine_alarm(&timing.turn, OX__NEVER));
    uv_run(&loop, UV_RUN_ONCE); /* till it would have rung */
    assert_true(timing.rang_us == 0);
    assert_true(ox__turn_fine_alarm(&timing.turn, timing.clock.boot_us() + 60000000));
    close_turn(&timing, &loop);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_end_waits_for_400_us_at_most),
        TEST(it_is_not_prolonged_by_the_next),
        TEST(enough_of_them_wait_no_more),
        TEST(each_wait_has_its_whole_time),
        TEST(nothing_waits_for_runs_that_began_long_ago),
        TEST(one_slow_run_makes_no_difference),
        cmocka_unit_test(ends_of_long_runs_do_not_wait),
        cmocka_unit_test(waits_in_vain_become_short),
        cmocka_unit_test(waits_that_were_worth_it_become_longer),
        cmocka_unit_test(what_ends_a_wait_otherwise_says_nothing),
        cmocka_unit_test(one_run_of_an_hour_is_forgotten_after_some),
        cmocka_unit_test(what_never_began_took_no_time),
        cmocka_unit_test(ends_close_to_each_other_wait_whenever_their_runs_began),
        cmocka_unit_test(a_wait_for_many_is_worth_it_for_four),
        cmocka_unit_test(nothing_waits_without_a_run_to_wait_for),
        cmocka_unit_test(the_wait_ends_whatever_begins),
        TEST(a_paused_worker_waits_for_no_end),
        TEST(a_pause_holds_up_no_end_that_waits),
        TEST(a_close_sends_what_waits),
        TEST(an_abort_tells_what_waits),
        TEST(more_slots_send_what_waits),
        TEST(fewer_slots_send_what_waits),
        TEST(the_last_of_a_queue_wait_for_nobody),
        TEST(without_a_fine_timer_an_end_waits_a_little_longer),
        cmocka_unit_test(the_fine_timer_rings_at_its_time),
        cmocka_unit_test(a_fine_timer_that_is_not_needed_does_not_ring),
    };
    return cmocka_run_group_tests_name("engine gather", tests, NULL, NULL);
}
