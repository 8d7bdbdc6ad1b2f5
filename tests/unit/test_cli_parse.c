/*
 * test_cli_parse.c - the readers for what people type: whole strings, ranges, messages.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "base/units.h"
#include "cli/parse.h"

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } cases[] = {
        { "0", 0 },
        { "500ms", 500 },
        { "10s", 10000 },
        { "5m", 300000 },
        { "2h", 7200000 },
        { "1d", 86400000 },
        { "0s", 0 },
        { "36500d", OX__MAX_DURATION_MS },
        { "36501d", -1 },
        { "5", -1 },
        { "", -1 },
        { "s", -1 },
        { "-5s", -1 },
        { "+5s", -1 },
        { " 5s", -1 },
        { "5s ", -1 },
        { "5 s", -1 },
        { "1.5s", -1 },
        { "1h30m", -1 },
        { "5S", -1 },
        { "5sec", -1 },
        { "99999999999999999999s", -1 },
        { "999999999999999d", -1 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *why = NULL;
        int64_t ms = -7;
        bool good = ox__parse_duration(cases[i].text, 0, 0, &ms, &why);
        if (good != (cases[i].ms >= 0) || (good && ms != cases[i].ms))
            test_fatal("\"%s\" gave %d, %lld", cases[i].text, good, (long long)ms);
        if (!good) {
            assert_int_equal(ms, -7);
            assert_non_null(strstr(why, cases[i].text));
        }
    }
}

static void durations_keep_their_range(void **state)
{
    (void)state;
    g_autofree char *low = NULL;
    g_autofree char *high = NULL;
    int64_t ms;
    assert_false(ox__parse_duration("0", 1, 0, &ms, &low));
    assert_non_null(low);
    assert_false(ox__parse_duration("2s", 0, 1999, &ms, &high));
    assert_non_null(high);
    g_autofree char *none = NULL;
    assert_true(ox__parse_duration("2s", 0, 2000, &ms, &none));
    assert_null(none);
}

static void counts(void **state)
{
    (void)state;
    static const char *const bad[] = { "", " 1", "1 ", "1.0", "0x10", "1e3", "+1", "11", "-2",
        "99999999999999999999", "one" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *why = NULL;
        int64_t number = -7;
        if (ox__parse_count(bad[i], -1, 10, &number, &why))
            test_fatal("\"%s\" was taken for %lld", bad[i], (long long)number);
        assert_non_null(why);
    }
    g_autofree char *why = NULL;
    int64_t number;
    assert_true(ox__parse_count("-1", -1, 10, &number, &why));
    assert_int_equal(number, -1);
    assert_true(ox__parse_count("10", -1, 10, &number, &why));
    assert_int_equal(number, 10);
}

static void times(void **state)
{
    (void)state;
    int64_t ms;
    g_autofree char *why = NULL;
    char unix_ms[] = "1700000000123", iso[] = "2026-01-31T12:00:00.250Z",
         zone[] = "2026-01-31T13:00:00+01:00", local[] = "2026-01-31T12:00:00",
         words[] = "tomorrow", negative[] = "-5";
    assert_true(ox__parse_instant(unix_ms, &ms, &why));
    assert_int_equal(ms, 1700000000123);
    assert_true(ox__parse_instant(iso, &ms, &why));
    assert_int_equal(ms, 1769860800250);
    assert_true(ox__parse_instant(zone, &ms, &why));
    assert_int_equal(ms, 1769860800000);
    int64_t now_ms = g_get_real_time() / 1000;
    char from_now[] = "10m";
    assert_true(ox__parse_instant(from_now, &ms, &why));
    assert_in_range(ms, now_ms + 600000, now_ms + 660000);
    assert_null(why);
    char *const bad[] = { local, words, negative };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *told = NULL;
        assert_false(ox__parse_instant(bad[i], &ms, &told));
        assert_non_null(strstr(told, bad[i]));
    }
}

static void backoffs(void **state)
{
    (void)state;
    ox_backoff backoff = { 0 };
    g_autofree char *why = NULL;
    char jitter[] = "exponential:1s:jitter=0.5", fixed[] = "fixed:200ms", own[] = "mine:0";
    assert_true(ox__parse_backoff(jitter, &backoff, &why));
    assert_string_equal(backoff.type, "exponential");
    assert_int_equal(backoff.delay_ms, 1000);
    assert_float_equal(backoff.jitter, 0.5, 1e-9);
    backoff = (ox_backoff){ 0 };
    assert_true(ox__parse_backoff(fixed, &backoff, &why));
    assert_string_equal(backoff.type, "fixed");
    assert_int_equal(backoff.delay_ms, 200);
    assert_float_equal(backoff.jitter, 0, 0);
    assert_true(ox__parse_backoff(own, &backoff, &why));
    assert_string_equal(backoff.type, "mine");
    assert_null(why);

    static const char *const bad[] = { "", "fixed", "fixed:", ":1s", "fixed:1", "fixed:1s:x",
        "fixed:1s:jitter", "fixed:1s:jitter=", "fixed:1s:jitter=2", "fixed:1s:jitter=-0.1",
        "fixed:1s:jitter=0.5x", "fixed:1s:jitter=nan", "fixed:1s:" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *text = g_strdup(bad[i]);
        g_autofree char *told = NULL;
        if (ox__parse_backoff(text, &backoff, &told))
            test_fatal("\"%s\" was taken", bad[i]);
        assert_non_null(told);
    }
}

static void deduplications(void **state)
{
    (void)state;
    ox_dedup dedup = { 0 };
    g_autofree char *why = NULL;
    char plain[] = "user-5", all[] = "user-5:ttl=5s:extend:replace:keep-last:reschedule";
    assert_true(parse_dedup(plain, &dedup, &why));
    assert_string_equal(dedup.id, "user-5");
    assert_int_equal(dedup.ttl_ms, 0);
    assert_false(
        dedup.extend || dedup.replace || dedup.reschedule || dedup.keep_last_if_active);
    assert_true(parse_dedup(all, &dedup, &why));
    assert_string_equal(dedup.id, "user-5");
    assert_int_equal(dedup.ttl_ms, 5000);
    assert_true(dedup.extend && dedup.replace && dedup.reschedule && dedup.keep_last_if_active);
    assert_null(why);
    static const char *const bad[] = { "", ":ttl=5s", "a:", "a:ttl", "a:ttl=", "a:ttl=5",
        "a:ttl=0", "a:extend=1", "a:extent", "a:b:c" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *text = g_strdup(bad[i]);
        g_autofree char *told = NULL;
        if (parse_dedup(text, &dedup, &told))
            test_fatal("\"%s\" was taken", bad[i]);
        assert_non_null(told);
    }
}

static void parents(void **state)
{
    static const char *const good[][3] = {
        { "photos:5", "photos", "5" },
        { "bull:photos:x-1", "bull:photos", "x-1" },
        { "photos:repeat:nightly:170", "photos", "repeat:nightly:170" },
        { "bull:photos:repeat:a:b:170", "bull:photos", "repeat:a:b:170" },
    };
    static const char *const bad[] = { "", "5", ":5", "photos:" };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autofree char *text = g_strdup(good[i][0]);
        g_autofree char *why = NULL;
        ox_parent parent = { 0 };
        assert_true(parse_parent(text, &parent, &why));
        assert_string_equal(parent.queue, good[i][1]);
        assert_string_equal(parent.id, good[i][2]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *text = g_strdup(bad[i]);
        g_autofree char *why = NULL;
        ox_parent parent = { 0 };
        assert_false(parse_parent(text, &parent, &why));
        assert_non_null(strstr(why, "is not QUEUE:ID"));
    }
}

static void stack_trace_limits(void **state)
{
    char none[] = "0", some[] = "7", bad[] = "-1";
    g_autofree char *why = NULL;
    int32_t limit = 0;
    (void)state;
    assert_true(parse_stack_trace_limit(none, &limit, &why));
    assert_int_equal(limit, -1);
    assert_true(parse_stack_trace_limit(some, &limit, &why));
    assert_int_equal(limit, 7);
    assert_false(parse_stack_trace_limit(bad, &limit, &why));
}

static ox_keep keep_of(const char *given)
{
    g_autofree char *text = g_strdup(given);
    g_autofree char *why = NULL;
    ox_keep keep = { 0 };
    if (!ox__parse_keep(text, &keep, &why))
        test_fatal("\"%s\" was refused: %s", given, why);
    return keep;
}

static void keeps(void **state)
{
    (void)state;
    assert_int_equal(keep_of(NULL).mode, OX_KEEP_NONE);
    assert_int_equal(keep_of("true").mode, OX_KEEP_NONE);
    assert_int_equal(keep_of("0").mode, OX_KEEP_NONE);
    assert_int_equal(keep_of("false").mode, OX_KEEP_ALL);
    ox_keep keep = keep_of("100");
    assert_int_equal(keep.mode, OX_KEEP_SOME);
    assert_int_equal(keep.count, 100);
    keep = keep_of("1d");
    assert_int_equal(keep.mode, OX_KEEP_SOME);
    assert_int_equal(keep.age_s, 86400);
    assert_int_equal(keep.count, 0);
    keep = keep_of("count=5,age=1d,limit=7");
    assert_int_equal(keep.mode, OX_KEEP_SOME);
    assert_int_equal(keep.count, 5);
    assert_int_equal(keep.age_s, 86400);
    assert_int_equal(keep.limit, 7);
    static const char *const bad[] = { "", "yes", "-1", "1.5", "count=", "count=0", "age=1",
        "age=10ms", "limit=5", "count=1,", "count=1;age=1s", "count=5,count=6",
        "age=1d,count=5,age=1d", "99999999999999999999" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *text = g_strdup(bad[i]);
        g_autofree char *why = NULL;
        if (ox__parse_keep(text, &keep, &why))
            test_fatal("\"%s\" was taken", bad[i]);
        assert_non_null(why);
    }
}

static void tells_which_part_of_a_keep_is_wrong(void **state)
{
    static const char *const bad[][2] = {
        { "count=5,count=6", "count is given twice" },
        { "count=1,", "a part is empty; it must be one of count=N, age=TIME, limit=N" },
        { "size=1", "\"size=1\" is not one of count=N, age=TIME, limit=N" },
        { "count=1,limit=5", "limit requires age" },
    };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *text = g_strdup(bad[i][0]);
        g_autofree char *why = NULL;
        ox_keep keep;
        assert_false(ox__parse_keep(text, &keep, &why));
        assert_string_equal(why, bad[i][1]);
    }
}

static void rates_and_patience(void **state)
{
    (void)state;
    struct ox__rate rate = { 0 };
    struct patience patience = { 0 };
    g_autofree char *why = NULL;
    char good[] = "100/1s", forever[] = "90s";
    assert_true(ox__parse_rate(good, &rate, &why));
    assert_int_equal(rate.max, 100);
    assert_int_equal(rate.duration_ms, 1000);
    assert_true(parse_patience(NULL, &patience, &why));
    assert_true(patience.given);
    assert_int_equal(patience.timeout_ms, 0);
    assert_true(parse_patience(forever, &patience, &why));
    assert_int_equal(patience.timeout_ms, 90000);
    assert_null(why);
    static const char *const bad[] = { "", "100", "/1s", "100/", "0/1s", "100/0", "1/2/3s" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *text = g_strdup(bad[i]);
        g_autofree char *told = NULL;
        if (ox__parse_rate(text, &rate, &told))
            test_fatal("\"%s\" was taken", bad[i]);
        assert_non_null(told);
    }
}

static void sizes_and_texts(void **state)
{
    (void)state;
    int64_t bytes = 0;
    char text[24];
    g_autofree char *why = NULL;
    assert_true(ox__parse_bytes("3G", 0, 0, &bytes, &why) && bytes == INT64_C(3) << 30);
    assert_string_equal(ox__bytes_text(bytes, text), "3G");
    assert_true(ox__parse_bytes("0", 0, 0, &bytes, &why) && bytes == 0);
    assert_string_equal(ox__bytes_text(1025, text), "1025");
    assert_null(why);
    static const char *const bad[] = { "", "K", "1k", "-1", "1.5M", "17179869184G", "2K" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *told = NULL;
        if (ox__parse_bytes(bad[i], 0, 2047, &bytes, &told))
            test_fatal("\"%s\" was taken", bad[i]);
        assert_non_null(told);
    }
    assert_string_equal(ox__duration_text(1500, text), "1500ms");
    assert_string_equal(ox__duration_text(INT64_C(49) * 86400000, text), "49d");
    assert_string_equal(ox__duration_text(60000, text), "1m");
    assert_string_equal(ox__duration_text(90000, text), "90s");
    assert_string_equal(ox__duration_text(0, text), "0s");
}

static void child_failures(void **state)
{
    (void)state;
    int what = -1;
    g_autofree char *why = NULL;
    char good[] = "ignore", bad[] = "explode";
    assert_true(parse_child_failure(good, &what, &why));
    assert_int_equal(what, OX_CHILD_IGNORE);
    assert_null(why);
    assert_false(parse_child_failure(bad, &what, &why));
    assert_non_null(strstr(why, "explode"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(durations_keep_their_range),
        cmocka_unit_test(counts),
        cmocka_unit_test(times),
        cmocka_unit_test(backoffs),
        cmocka_unit_test(deduplications),
        cmocka_unit_test(parents),
        cmocka_unit_test(stack_trace_limits),
        cmocka_unit_test(keeps),
        cmocka_unit_test(tells_which_part_of_a_keep_is_wrong),
        cmocka_unit_test(rates_and_patience),
        cmocka_unit_test(sizes_and_texts),
        cmocka_unit_test(child_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
