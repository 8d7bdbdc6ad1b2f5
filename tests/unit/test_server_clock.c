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

static void an_old_sample_gives_way(void **state)
{
    struct ox__server_clock clock;
    (void)state;
    ox__server_clock_init(&clock);
    sample(&clock, 0, 2 * MS, 1 * MS);
    sample(&clock, 60000 * (int64_t)MS, 20 * MS, 12 * MS); /* after a minute 30 ms of drift */
    assert_int_equal(clock.ahead_us, SERVER_US + 2 * MS);
}

static void says_our_own_time_until_it_knows(void **state)
{
    struct ox__server_clock clock;
    (void)state;
    ox__server_clock_init(&clock);
    int64_t before = test_unix_ms();
    assert_in_range(ox__server_now_ms(&clock), before, test_unix_ms());
    assert_int_equal(ox__server_clock_boot_ms(&clock, SERVER_US), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_shortest_round_trip),
        cmocka_unit_test(follows_a_server_clock_that_was_set),
        cmocka_unit_test(an_old_sample_gives_way),
        cmocka_unit_test(says_our_own_time_until_it_knows),
    };
    return cmocka_run_group_tests_name("server clock", tests, NULL, NULL);
}
