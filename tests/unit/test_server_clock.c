/* test_server_clock.c - what a worker makes of the server's clock; see
 * lib/engine/server_clock.h. */
#include "../support/check.h"

#include "lib/engine/server_clock.h"

#define MS 1000
#define SERVER_US INT64_C(1700000000000000)

/* The server's clock is SERVER_US ahead of ours; the answer came after `rtt`, of which `there`
 * were spent on the way to it. */
static void sample(struct ox__server_clock *clock, int64_t sent, int64_t rtt, int64_t there)
{
    ox__server_clock_sample(clock, sent, sent + rtt, SERVER_US + sent + there);
}

static void keeps_the_shortest_round_trip(void **state)
{
    struct ox__server_clock clock;
    (void)state;
    ox__server_clock_init(&clock);
    sample(&clock, 0, 50 * MS, 45 * MS); /* 20 ms wrong */
    sample(&clock, 100 * MS, 2 * MS, 1 * MS);
    assert_int_equal(clock.ahead_us, SERVER_US);
    sample(&clock, 200 * MS, 80 * MS, 75 * MS); /* 35 ms wrong */
    assert_int_equal(clock.ahead_us, SERVER_US);
}

static void follows_a_server_clock_that_was_set(void **state)
{
    struct ox__server_clock clock;
    (void)state;
    ox__server_clock_init(&clock);
    sample(&clock, 0, 2 * MS, 1 * MS);
    ox__server_clock_sample(
        &clock, 100 * MS, 180 * MS, SERVER_US + 140 * MS - 3600000 * (int64_t)MS);
    assert_int_equal(clock.ahead_us, SERVER_US - 3600000 * (int64_t)MS);
}

static void old_sample_expires(void **state)
{
    struct ox__server_clock clock;
    (void)state;
    ox__server_clock_init(&clock);
    sample(&clock, 0, 2 * MS, 1 * MS);
    sample(&clock, 60000 * (int64_t)MS, 20 * MS, 12 * MS); /* after a minute 30 ms of drift */
    assert_int_equal(clock.ahead_us, SERVER_US + 2 * MS);
}

static void local_clock_until_first_sample(void **state)
{
    struct ox__server_clock clock;
    (void)state;
    ox__server_clock_init(&clock);
    int64_t before = test_unix_ms();
    assert_in_range(ox__server_now_ms(&clock), before, test_unix_ms());
    assert_int_equal(ox__server_clock_boot_ms(&clock, SERVER_US), 0);
}

static int64_t own_us;

static int64_t own_clock(void)
{
    return own_us;
}

/* What is given to runs now, as the server's time is said to be ahead of ours. */
static int64_t given_ms(struct ox__server_clock *clock, int64_t now_us, int *error_ms)
{
    own_us = now_us;
    return ox__server_clock_give_ms(clock, error_ms) - SERVER_US / MS;
}

static void gives_runs_no_time_that_is_a_guess(void **state)
{
    struct ox__server_clock clock;
    int error_ms;
    (void)state;
    ox__server_clock_init(&clock);
    clock.boot_us = own_clock;
    ox__server_clock_give_ms(&clock, &error_ms);
    assert_int_equal(error_ms, -1); /* it knows nothing */
    sample(&clock, 0, 2 * MS, 1 * MS);
    assert_int_equal(given_ms(&clock, 3 * MS, &error_ms), 1); /* half a round trip before */
    assert_int_equal(error_ms, 3);                            /* the whole of it, rounded up */
    assert_int_equal(given_ms(&clock, 10000 * MS, &error_ms), 9994); /* 5 ms of drift more */
    assert_int_equal(error_ms, 13);
    given_ms(&clock, 30000 * MS, &error_ms);
    assert_int_equal(error_ms, -1);
    sample(&clock, 30000 * MS, 2 * MS, 1 * MS);
    given_ms(&clock, 30003 * MS, &error_ms);
    assert_int_equal(error_ms, 3);
    ox__server_clock_doubt(&clock); /* connected again */
    given_ms(&clock, 30004 * MS, &error_ms);
    assert_int_equal(error_ms, -1);
    sample(&clock, 30005 * MS, 2 * MS, 1 * MS);
    given_ms(&clock, 30008 * MS, &error_ms);
    assert_int_equal(error_ms, 3);
}

static void gives_no_time_before_one_that_was_given(void **state)
{
    struct ox__server_clock clock;
    int error_ms;
    (void)state;
    ox__server_clock_init(&clock);
    clock.boot_us = own_clock;
    sample(&clock, 0, 8 * MS, 0 * MS); /* taken for 4 ms earlier than it is */
    assert_int_equal(given_ms(&clock, 10 * MS, &error_ms), 1);
    ox__server_clock_told(&clock, SERVER_US + 11 * MS); /* the server looked itself */
    assert_int_equal(given_ms(&clock, 12 * MS, &error_ms), 11);
    sample(&clock, 20 * MS, 2 * MS, 2 * MS); /* now 1 ms later than it is */
    assert_int_equal(given_ms(&clock, 30 * MS, &error_ms), 29);
    sample(&clock, 31 * MS, 1 * MS, 0); /* contradicts by nothing */
    assert_int_equal(given_ms(&clock, 31 * MS, &error_ms), 31);
    ox__server_clock_sample(/* set back */
        &clock, 40 * MS, 42 * MS, SERVER_US + 41 * MS - 3600000 * (int64_t)MS);
    assert_int_equal(given_ms(&clock, 42 * MS, &error_ms), 41 - 3600000);
}

/* Whatever part of a round trip was spent on the way there: a script that looks at its own
 * clock behind one that was given a time finds it no later than that. */
static void gives_no_time_that_is_still_to_come(void **state)
{
    (void)state;
    for (int64_t there = 0; there <= 16; there++) {
        struct ox__server_clock clock;
        int error_ms;
        ox__server_clock_init(&clock);
        clock.boot_us = own_clock;
        sample(&clock, 0, 16 * MS, there * MS);
        int64_t given = given_ms(&clock, 20 * MS, &error_ms);
        assert_true(given <= 20);
        assert_true(given + error_ms >= 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_shortest_round_trip),
        cmocka_unit_test(follows_a_server_clock_that_was_set),
        cmocka_unit_test(old_sample_expires),
        cmocka_unit_test(local_clock_until_first_sample),
        cmocka_unit_test(gives_runs_no_time_that_is_a_guess),
        cmocka_unit_test(gives_no_time_before_one_that_was_given),
        cmocka_unit_test(gives_no_time_that_is_still_to_come),
    };
    return cmocka_run_group_tests_name("server clock", tests, NULL, NULL);
}
