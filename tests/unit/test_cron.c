/*
 * test_cron.c - cron patterns and time zone names: what is read, what is refused and with
 * which words, and the next times, first of all where clocks change.
 *
 * Whether the times are also BullMQ's is for tests/interop/cron_parity.test.mjs to say.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>
#include <time.h>

#include "lib/cron/cron.h"

static int64_t ms_of(const char *iso)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(iso, NULL);
    if (!time)
        test_fatal("no time: %s", iso);
    return g_date_time_to_unix(time) * 1000 + g_date_time_get_microsecond(time) / 1000;
}

static void expect_next(
    const char *pattern, const char *tz, const char *after, const char *next)
{
    ox_error err = { 0 };
    int64_t next_ms = 0;
    int rc = ox_cron_next(pattern, tz, ms_of(after), &next_ms, &err);
    if (rc != 0)
        test_fatal("\"%s\" after %s: %d, %s", pattern, after, rc, err.text);
    if (next_ms != ms_of(next))
        test_fatal("\"%s\" %s after %s: %lld, wanted %s", pattern, tz, after,
            (long long)next_ms, next);
}

struct next {
    const char *pattern, *tz, *after, *next;
};

static void expect_all(const struct next *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect_next(cases[i].pattern, cases[i].tz, cases[i].after, cases[i].next);
}

static void next_times(void **state)
{
    (void)state;
    static const char *now = "2026-02-27T10:20:30Z"; /* a Friday */
    const struct next cases[] = {
        { "* * * * *", "UTC", "2026-02-27T10:20:30.500Z", "2026-02-27T10:21:00Z" },
        { "* * * * * *", "UTC", "2026-02-27T10:20:30.500Z", "2026-02-27T10:20:31Z" },
        { "* * * * * *", "UTC", now, "2026-02-27T10:20:31Z" },
        { "30 20 10 * * *", "UTC", now, "2026-02-28T10:20:30Z" },
        { "30 9 * * MON-FRI", "UTC", now, "2026-03-02T09:30:00Z" },
        { "0 15 3 * * *", "Europe/Berlin", now, "2026-02-28T02:15:00Z" },
        { "0 0 L * *", "UTC", "2028-02-27T10:20:30Z", "2028-02-29T00:00:00Z" },
        { "0 0 15,L * *", "UTC", now, "2026-02-28T00:00:00Z" },
        { "0 0 * * 5L", "UTC", now, "2026-03-27T00:00:00Z" },
        { "0 0 * * FRI#3", "UTC", now, "2026-03-20T00:00:00Z" },
        { "0 0 * * 7#1", "UTC", now, "2026-03-01T00:00:00Z" },
        { "0 0 13 * 5", "UTC", now, "2026-03-06T00:00:00Z" },
        { "0 0 ? * 1", "UTC", now, "2026-03-02T00:00:00Z" },
        { "0 0 13 * ?", "UTC", now, "2026-03-13T00:00:00Z" },
        { "0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z" },
        { "@weekly", "UTC", now, "2026-03-01T00:00:00Z" },
        { "5", "UTC", "2026-02-27T23:59:00Z", "2026-03-06T00:00:00Z" },
        { "0 0 1 JAN *", "UTC+5:30", now, "2026-12-31T18:30:00Z" },
        { "*/20 8-10/2 * * *", "America/New_York", now, "2026-02-27T13:00:00Z" },
        { "59 59 23 31 12 *", "Asia/Kolkata", now, "2026-12-31T18:29:59Z" },
        { "0 0 1 1 *", "UTC", "1969-06-01T00:00:00Z", "1970-01-01T00:00:00Z" },
        { "0 12 * * *", "+02:00", now, "2026-02-28T10:00:00Z" },
    };
    expect_all(cases, G_N_ELEMENTS(cases));
}

static void clocks_that_go_forward(void **state)
{
    (void)state;
    static const struct next cases[] = {
        { "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z" },
        { "30 2 * * *", "Europe/Berlin", "2060-03-27T12:00:00Z", "2060-03-28T01:30:00Z" },
        { "0 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", "2026-03-08T07:00:00Z" },
        { "*/15 2 * * *", "Europe/Berlin", "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z" },
        { "30 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z" },
        { "30 1 * * *", "Antarctica/Troll", "2026-03-28T09:00:00Z", "2026-03-29T01:30:00Z" },
        /* Midnight that is left out counts for the day after only. */
        { "0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z", "2026-04-24T21:00:00Z" },
        /* So does half an hour. */
        { "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-04T15:15:00Z" },
        /* A whole day. */
        { "0 12 30 12 *", "Pacific/Apia", "2011-12-28T00:00:00Z", "2012-12-29T22:00:00Z" },
    };
    expect_all(cases, G_N_ELEMENTS(cases));
}

static void clocks_that_go_back(void **state)
{
    (void)state;
    static const struct next cases[] = {
        { "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z" },
        { "30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z" },
        { "*/30 2-4 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z" },
        /* With every hour asked for, the one that comes twice counts twice. */
        { "30 * * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z" },
        { "0 0 * * *", "America/Havana", "2026-10-31T12:00:00Z", "2026-11-01T05:00:00Z" },
        { "0 0 1 11 *", "America/Havana", "2026-10-20T04:30:00Z", "2026-11-01T05:00:00Z" },
        /* By half an hour, and at half past. */
        { "0 5 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", "2026-04-04T18:30:00Z" },
        { "10 * * * *", "Australia/Lord_Howe", "2026-04-04T14:15:00Z", "2026-04-04T15:40:00Z" },
        { "0 */2 * * *", "Asia/Bishkek", "2004-10-30T19:35:00Z", "2004-10-30T20:00:00Z" },
    };
    expect_all(cases, G_N_ELEMENTS(cases));
}

/* Every second of some days in UTC, against the sets themselves. */
static void agrees_with_brute_force(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "* * * * * *",
        "17,48 */7 * * * *",
        "0 5-50/9 3,4,22 * * *",
        "59 59 23 * * *",
        "30 0 0 28-31 * *",
        "0 1/13 8-20/5 * 2,3 1-5",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(patterns); i++) {
        struct ox__cron cron;
        assert_int_equal(ox__cron_parse(&cron, patterns[i], NULL), 0);
        int64_t start_s = ms_of("2024-02-27T00:00:00Z") / 1000;
        int64_t last_s = start_s;
        for (int64_t at_s = start_s + 1; at_s < start_s + 4 * 86400; at_s++) {
            struct tm tm;
            gmtime_r(&(time_t){ at_s }, &tm);
            if (!(cron.set[OX__CRON_SECOND] >> tm.tm_sec & 1) ||
                !(cron.set[OX__CRON_MINUTE] >> tm.tm_min & 1) ||
                !(cron.set[OX__CRON_HOUR] >> tm.tm_hour & 1) ||
                !(cron.set[OX__CRON_DAY] >> tm.tm_mday & 1) ||
                !(cron.set[OX__CRON_MONTH] >> (tm.tm_mon + 1) & 1) ||
                !(cron.set[OX__CRON_WEEKDAY] >> tm.tm_wday & 1))
                continue;
            int64_t next_ms = 0;
            assert_int_equal(
                ox_cron_next(patterns[i], "UTC", last_s * 1000, &next_ms, NULL), 0);
            assert_int_equal(next_ms, at_s * 1000);
            last_s = at_s;
        }
        assert_true(last_s > start_s);
    }
}

static uint64_t values(int first, int last)
{
    uint64_t set = 0;
    for (int value = first; value <= last; value++)
        set |= UINT64_C(1) << value;
    return set;
}

static void reads_fields(void **state)
{
    (void)state;
    struct ox__cron cron;

    assert_int_equal(ox__cron_parse(&cron, "1,5-7 */20 22/1 L,3 JAN,mar-4 5L,SAT", NULL), 0);
    assert_int_equal(cron.set[OX__CRON_SECOND], values(1, 1) | values(5, 7));
    assert_int_equal(cron.set[OX__CRON_MINUTE], values(0, 0) | values(20, 20) | values(40, 40));
    assert_int_equal(cron.set[OX__CRON_HOUR], values(22, 23));
    assert_int_equal(cron.set[OX__CRON_DAY], values(3, 3));
    assert_int_equal(cron.set[OX__CRON_MONTH], values(1, 1) | values(3, 4));
    assert_int_equal(cron.set[OX__CRON_WEEKDAY], values(6, 6));
    assert_int_equal(cron.last_weekdays, 1u << 5);
    assert_true(cron.last_day);
    assert_false(cron.any_day);
    assert_false(cron.any_weekday);
    assert_int_equal(cron.nth, 0);

    assert_int_equal(ox__cron_parse(&cron, "* ? * 7#5", NULL), 0);
    assert_int_equal(cron.set[OX__CRON_SECOND], values(0, 0));
    assert_int_equal(cron.set[OX__CRON_MINUTE], values(0, 59));
    assert_int_equal(cron.set[OX__CRON_DAY], values(1, 31));
    assert_int_equal(cron.set[OX__CRON_WEEKDAY], values(0, 0));
    assert_int_equal(cron.nth, 5);
    assert_true(cron.any_day);
    assert_false(cron.any_weekday);
    assert_false(cron.last_day);
}

static void refuses_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *words; /* part of the message */
    } cases[] = {
        { NULL, "ox_cron_next: pattern is NULL" },
        { "\xff * * * *", "is not valid UTF-8" },
        { "", "empty" },
        { " \t\n", "empty" },
        { "0 * * * * * *", "more than six fields" },
        { "60 * * * *", "minute \"60\" is not within 0-59" },
        { "* * * 13 *", "month \"13\" is not within 1-12" },
        { "* * 0-5 * *", "day of month \"0-5\" is not within 1-31" },
        { "99999999999999999999 * * * *", "is not within 0-59" },
        { "5-1 * * * *", "minute \"5-1\" begins after its end" },
        { "*/0 * * * *", "has no step above 0" },
        { "1/2/3 * * * *", "has two steps" },
        { "1,,2 * * * *", "has an empty item" },
        { "1-5,3 * * * *", "has a value twice" },
        { "* * * * 0-6,7", "has a value twice" },
        { "* * * * 5L,5L", "has a value twice" },
        { "* * L5 * *", "has more than a number before its L" },
        { "* * * * L", "lacks a weekday before its L" },
        { "* * * * 1,5#3", "# in a list" },
        { "* * * * 5#6", "no number from 1 to 5 after #" },
        { "* * * * 5#2#1", "no number from 1 to 5 after #" },
        { "* * * FOO *", "unknown name \"FOO\"" },
        { "x * * * *", "minute must not contain 'x'" },
        { "\x1b * * * *", "invalid character" },
        { "\xc3\xa4 * * * *", "invalid character" },
        { "H * * * *", "has H" },
        { "@reboot", "must not contain" },
        { "0 0 30 2 *", "days that its month never has" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        ox_error err = { 0 };
        int64_t next_ms = -7;
        int rc = ox_cron_next(cases[i].pattern, "UTC", 0, &next_ms, &err);
        if (rc != OX_EINVAL || err.code != OX_EINVAL || !strstr(err.text, cases[i].words))
            test_fatal("case %zu gave %d, %s", i, rc, err.text);
        if (strpbrk(err.text, "\n\x1b"))
            test_fatal("case %zu: the message is no clean line", i);
        assert_int_equal(next_ms, -7);
        assert_int_equal(ox_cron_next(cases[i].pattern, "UTC", 0, &next_ms, NULL), OX_EINVAL);
    }
}

static void long_patterns(void **state)
{
    (void)state;
    g_autoptr(GString) pattern = g_string_new("* * * * *");
    int64_t next_ms;
    while (pattern->len < 1024)
        g_string_append_c(pattern, ' ');
    assert_int_equal(ox_cron_next(pattern->str, "UTC", 0, &next_ms, NULL), 0);
    g_string_append_c(pattern, ' ');
    assert_int_equal(ox_cron_next(pattern->str, "UTC", 0, &next_ms, NULL), OX_EINVAL);

    /* The longest text of one field: each character grows to four. */
    g_string_assign(pattern, "");
    while (pattern->len < 1024)
        g_string_append_c(pattern, '*');
    assert_int_equal(ox_cron_next(pattern->str, "UTC", 0, &next_ms, NULL), OX_EINVAL);
}

static void patterns_that_never_fire(void **state)
{
    (void)state;
    ox_error err = { 0 };
    int64_t next_ms = -7;
    int64_t start_ms = test_now_ms();

    assert_int_equal(
        ox_cron_next("0 0 31 4,6 *", "Europe/Berlin", 0, &next_ms, &err), OX_ENOTFOUND);
    assert_int_equal(err.code, OX_ENOTFOUND);
    assert_non_null(strstr(err.text, "never fires"));
    assert_int_equal(next_ms, -7);
    assert_true(test_now_ms() - start_ms < 2000);
}

static void times_at_the_limits(void **state)
{
    (void)state;
    const int64_t last_ms = INT64_C(8640000000000000);
    int64_t next_ms = 0;

    assert_int_equal(ox_cron_next("@daily", "UTC", INT64_MAX, &next_ms, NULL), OX_EINVAL);
    assert_int_equal(ox_cron_next("@daily", "UTC", INT64_MIN, &next_ms, NULL), OX_EINVAL);
    assert_int_equal(ox_cron_next("@daily", "UTC", last_ms, &next_ms, NULL), OX_ENOTFOUND);
    assert_int_equal(ox_cron_next("@daily", "UTC", last_ms - 1, &next_ms, NULL), 0);
    assert_int_equal(next_ms, last_ms);
    assert_int_equal(ox_cron_next("@yearly", "UTC", last_ms - 1, &next_ms, NULL), OX_ENOTFOUND);
    assert_int_equal(ox_cron_next("@daily", "Europe/Berlin", -last_ms, &next_ms, NULL), 0);
    assert_true(next_ms > -last_ms && next_ms <= -last_ms + 86400000);
    expect_next("* * * * * *", "UTC", "1969-12-31T23:59:58.999Z", "1969-12-31T23:59:59Z");
}

static void time_zone_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int32_t winter_s, summer_s; /* of 2026; 1 in winter: no such zone */
    } cases[] = {
        { "Europe/Berlin", 3600, 7200 },
        { "europe/BERLIN", 3600, 7200 },
        { "America/Argentina/Buenos_Aires", -10800, -10800 },
        { "Asia/Kathmandu", 20700, 20700 },
        { "Etc/GMT+5", -18000, -18000 },
        { "pst", -28800, -25200 },
        { "BST", 21600, 21600 },
        { "UTC", 0, 0 },
        { "gmt", 0, 0 },
        { "utc-03:30", -12600, -12600 },
        { "UTC-0:45", -2700, -2700 },
        { "UTC+99", 356400, 356400 },
        { "+02", 7200, 7200 },
        { "-0330", -12600, -12600 },
        { "+05:45", 20700, 20700 },
        { "", 1, 0 },
        { "UTC+", 1, 0 },
        { "UTC+123", 1, 0 },
        { "UTC+3:5", 1, 0 },
        { "UTC+ 3", 1, 0 },
        { "+2", 1, 0 },
        { "+24:00", 1, 0 },
        { "+02:60", 1, 0 },
        { "+02:", 1, 0 },
        { "+020", 1, 0 },
        { "+02000", 1, 0 },
        { "Mars/Base", 1, 0 },
        { "Europe", 1, 0 },
        { "Europe/", 1, 0 },
        { "Europe/Berlin ", 1, 0 },
        { "../zoneinfo/Europe/Berlin", 1, 0 },
        { "/usr/share/zoneinfo/Europe/Berlin", 1, 0 },
        { "posix/Europe/Berlin", 1, 0 },
        { "right/Europe/Berlin", 1, 0 },
        { "posixrules", 1, 0 },
        { "leapseconds", 1, 0 },
        { "EST5EDT4", 1, 0 },
        { "CET-1CEST,M3.5.0,M10.5.0/3", 1, 0 },
        { "bad\nname", 1, 0 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct ox__zone zone;
        ox_error err = { 0 };
        int rc = ox__zone_init(&zone, cases[i].name, &err);
        if (cases[i].winter_s == 1) {
            if (rc != OX_EINVAL || !strstr(err.text, "time zone") || strchr(err.text, '\n'))
                test_fatal("\"%s\" gave %d, %s", cases[i].name, rc, err.text);
            continue;
        }
        if (rc != 0)
            test_fatal("\"%s\" gave %d, %s", cases[i].name, rc, err.text);
        assert_int_equal(
            ox__zone_offset_s(&zone, ms_of("2026-01-15T00:00:00Z") / 1000), cases[i].winter_s);
        assert_int_equal(
            ox__zone_offset_s(&zone, ms_of("2026-07-15T00:00:00Z") / 1000), cases[i].summer_s);
        ox__zone_done(&zone);
    }
    assert_int_equal(ox_cron_next("@daily", "Mars/Base", 0, &(int64_t){ 0 }, NULL), OX_EINVAL);
}

/* tests/interop sets TZ in a process of its own to see which zone that is. */
static void local_time_zone(void **state)
{
    (void)state;
    static const char *const names[] = { "local", "System", "DEFAULT" };
    int64_t plain_ms, named_ms;
    assert_int_equal(ox_cron_next("30 12 * * *", NULL, 0, &plain_ms, NULL), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        assert_int_equal(ox_cron_next("30 12 * * *", names[i], 0, &named_ms, NULL), 0);
        assert_int_equal(named_ms, plain_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(next_times),
        cmocka_unit_test(clocks_that_go_forward),
        cmocka_unit_test(clocks_that_go_back),
        cmocka_unit_test(agrees_with_brute_force),
        cmocka_unit_test(reads_fields),
        cmocka_unit_test(refuses_patterns),
        cmocka_unit_test(long_patterns),
        cmocka_unit_test(patterns_that_never_fire),
        cmocka_unit_test(times_at_the_limits),
        cmocka_unit_test(time_zone_names),
        cmocka_unit_test(local_time_zone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
