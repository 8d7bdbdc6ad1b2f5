/*
 * test_events_keep.c - what a stream keeps: its settings, trimming, removal.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/streams.h"

/* ---- retention --------------------------------------------------------------------------- */

static void keeps_as_many_as_it_is_told(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    g_autofree ox_new_event *events = g_new0(ox_new_event, COUNT);
    const ox_stream_settings few = { .keep_events = 300 };
    test_ok(ox_stream_settings_set(stream, &few, OX_SET_KEEP_EVENTS, &err), &err);
    for (int i = 0; i < COUNT; i++)
        events[i] = (ox_new_event){ .type = "a" };
    for (int i = 0; i < 3; i++)
        test_ok(ox_stream_publish_many(stream, events, COUNT, NULL, &err), &err);
    ox_stream_info info;
    test_ok(ox_stream_info_get(stream, &info, &err), &err);
    assert_in_range(info.events, 300, 300 + 100); /* trimmed when 100 more are there */
    assert_int_equal(info.published, 3 * COUNT);
}

static void keeps_as_many_bytes_as_it_is_told(void **state)
{
    (void)state;
    g_autofree char *fill = g_strnfill(30000, 'x');
    g_autofree char *large = g_strdup_printf("\"%s\"", fill);
    const ox_new_event event = { .type = "a", .json = large };
    const ox_stream_settings few = { .keep_bytes = 1000000 };
    ox_new_event events[100];
    for (size_t i = 0; i < 100; i++)
        events[i] = event;
    test_ok(ox_stream_settings_set(stream, &few, OX_SET_KEEP_BYTES, &err), &err);
    test_ok(ox_stream_publish_many(stream, events, 100, NULL, &err), &err);
    ox_stream_info info;
    test_ok(ox_stream_info_get(stream, &info, &err), &err);
    /* Redis says about how large a log is. */
    assert_in_range(info.bytes, 800000, 1100000);
    assert_in_range(info.events, 1000000 / 30000 * 2 / 3, 1000000 / 30000 + 3);
}

static void keeps_as_long_as_it_is_told(void **state)
{
    (void)state;
    run("XADD " E "log 1000-1 e {}");
    run("XADD " E "log 2000-3 e {}\n{} c 2");
    run("HSET " E "info layout 1 n 3 ms 2000 floor_ms 1000");
    publish_type("a");
    ox_stream_info info;
    test_ok(ox_stream_info_get(stream, &info, &err), &err);
    assert_int_equal(info.events, 1);
    assert_int_equal(number_of(info.first), 4);
}

static void trims_to_the_event(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    for (int i = 0; i < COUNT; i++)
        publish_type("a");
    assert_int_equal(ox_stream_trim(stream, 30, 0, &err), 70);
    assert_int_equal(ox_stream_trim(stream, 30, 0, &err), 0);
    ox_stream_info info;
    test_ok(ox_stream_info_get(stream, &info, &err), &err);
    assert_int_equal(info.events, 30);
    assert_int_equal(number_of(info.first), 71);
    int64_t middle = g_ascii_strtoll(info.last, NULL, 10) + 1;
    assert_int_equal(ox_stream_trim(stream, -1, middle, &err), 30);
    assert_int_equal(ox_stream_trim(stream, 0, 0, &err), 0);
    assert_int_equal(number_of(publish_type("a").position), COUNT + 1);
}

static void publish_many(int count)
{
    g_autofree ox_new_event *events = g_new0(ox_new_event, count);
    for (int i = 0; i < count; i++)
        events[i] = (ox_new_event){ .type = "a" };
    test_ok(ox_stream_publish_many(stream, events, (size_t)count, NULL, &err), &err);
}

/* With Redis' memory full nothing can be published, but room can be made. */
static void trims_when_memory_is_full(void **state)
{
    (void)state;
    publish_many(500);
    run("XGROUP CREATE " E "log slow 0");
    run("XREADGROUP GROUP slow m COUNT 1 STREAMS " E "log >");
    run("CONFIG SET maxmemory 1");
    int refused = ox_stream_publish(stream, &(const ox_new_event){ .type = "a" }, NULL, &err);
    int64_t trimmed = ox_stream_trim(stream, 100, 0, &err);
    run("CONFIG SET maxmemory 0");
    assert_int_equal(refused, OX_ESERVER);
    assert_int_equal(trimmed, 400);
    publish_many(1);
    ox_stream_info info;
    test_ok(ox_stream_info_get(stream, &info, &err), &err);
    assert_int_equal(info.events, 101);
    assert_int_equal(number_of(info.first), 401);
}

static ox_stream_info info_now(void)
{
    ox_stream_info info;
    test_ok(ox_stream_info_get(stream, &info, &err), &err);
    return info;
}

/* What no group has read or is done with stays, though it is too old and too many. */
static void keeps_what_is_unread(void **state)
{
    (void)state;
    const ox_stream_settings few = { .keep_events = 100, .keep_ms = 1, .keep_unread = true };
    test_ok(ox_stream_settings_set(
                stream, &few, OX_SET_KEEP_EVENTS | OX_SET_KEEP_MS | OX_SET_KEEP_UNREAD, &err),
        &err);
    publish_type("a");
    run("XGROUP CREATE " E "log fast 0");
    run("XGROUP CREATE " E "log slow 0");
    publish_many(1000);
    assert_int_equal(info_now().events, 1001);
    run("XREADGROUP GROUP fast x COUNT 100000 NOACK STREAMS " E "log >");
    publish_many(1000);
    assert_int_equal(info_now().events, 2001);
    /* It reads 22 entries, of which two are not acknowledged. */
    run("XREADGROUP GROUP slow x COUNT 20 NOACK STREAMS " E "log >");
    run("XREADGROUP GROUP slow x COUNT 2 STREAMS " E "log >");
    g_autofree char *oldest = test_redis_text(
        redis, "EVAL %s 1 " E "log", "return redis.call('XPENDING', KEYS[1], 'slow')[2]");
    publish_type("a");
    ox_stream_info info = info_now();
    long long number = number_of(oldest);
    assert_true(number_of(info.first) > number - 100 && number_of(info.first) <= number);
    assert_int_equal(test_redis_int(redis, "XLEN " E "log") - info.entries, 0);
    /* Without the slow one that of the fast one counts; the newest 1000 are unread by it. */
    run("XGROUP DESTROY " E "log slow");
    publish_type("a");
    assert_true(info_now().events >= 1002 && info_now().events < 1100);
    run("XGROUP DESTROY " E "log fast");
    publish_type("a");
    assert_true(info_now().events < 100 + 30); /* an entry goes as a whole */
}

/* Up to the bound in bytes. */
static void unread_goes_beyond_the_bytes(void **state)
{
    (void)state;
    const ox_stream_settings few = { .keep_bytes = 100000, .keep_unread = true };
    test_ok(ox_stream_settings_set(stream, &few, OX_SET_KEEP_BYTES | OX_SET_KEEP_UNREAD, &err),
        &err);
    publish_type("a");
    run("XGROUP CREATE " E "log slow 0");
    for (int i = 0; i < 5; i++)
        publish_many(1000);
    ox_stream_info info = info_now();
    assert_true(info.bytes < 200000 && info.events > 250 && info.events < 1500);
    const ox_stream_settings none = { .keep_bytes = 0 };
    assert_int_equal(ox_stream_settings_set(stream, &none, OX_SET_KEEP_BYTES, &err), OX_EINVAL);
    assert_string_equal(err.text,
        "stream events: what groups have not read can be kept only up "
        "to a size, so keep_bytes must not be 0");
    const ox_stream_settings off = { .keep_bytes = 0, .keep_unread = false };
    test_ok(ox_stream_settings_set(stream, &off, OX_SET_KEEP_BYTES | OX_SET_KEEP_UNREAD, &err),
        &err);
}

/* Entries of others have numbers that mean nothing: what is kept, and counted, are events. */
static void others_entries_do_not_shorten_what_is_kept(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        publish_many(100);
        run("XADD " E "log * odd 1");
    }
    run("XGROUP CREATE " E "log slow 0");
    ox_stream_info info = info_now();
    assert_int_equal(info.events, 2000);
    assert_int_equal(info.last_minute, 2000);
    assert_int_equal(number_of(info.last), 2000);
    assert_int_equal(ox_stream_trim(stream, 1000, 0, &err), 1000);
    assert_int_equal(info_now().events, 1000);
    const ox_stream_settings few = { .keep_events = 100 };
    test_ok(ox_stream_settings_set(stream, &few, OX_SET_KEEP_EVENTS, &err), &err);
    run("XADD " E "log * odd 1");
    publish_many(100);
    info = info_now();
    assert_true(info.events >= 100 && info.events < 200);
    assert_int_equal(ox_stream_trim(stream, 0, 0, &err), info.events);
    run("XADD " E "log * odd 1");
    info = info_now();
    assert_int_equal(info.events, 0);
    assert_string_equal(info.last, "");
    assert_int_equal(ox_stream_trim(stream, 0, 0, &err), 0);
}

/* Nor is unread taken because a group stands before such an entry. */
static void others_entries_do_not_hide_what_is_unread(void **state)
{
    (void)state;
    const ox_stream_settings few = { .keep_events = 100, .keep_unread = true };
    test_ok(ox_stream_settings_set(stream, &few, OX_SET_KEEP_EVENTS | OX_SET_KEEP_UNREAD, &err),
        &err);
    run("XADD " E "log 1000-0 odd 1");
    test_ok(ox_group_create(stream, "slow", "start", &err), &err);
    publish_many(1000);
    publish_type("a");
    assert_int_equal(info_now().events, 1001);
    ox_group_info **groups;
    size_t count;
    test_ok(ox_group_list(stream, &groups, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_int_equal(groups[0]->lag, 1001);
    ox_list_free(groups);
}

/* ---- settings, removal ------------------------------------------------------------------- */

static void settings_are_kept(void **state)
{
    (void)state;
    ox_stream_settings settings;
    test_ok(ox_stream_settings_get(stream, &settings, &err), &err);
    assert_int_equal(settings.keep_ms, 7 * INT64_C(86400000));
    assert_int_equal(settings.keep_events, 1000000);
    assert_int_equal(settings.keep_bytes, 512 << 20);
    assert_int_equal(settings.dedup_ms, 120000);
    assert_int_equal(settings.max_event, 262144);
    assert_false(settings.dedup_all || settings.keep_unread || settings.deflate);
    settings = (ox_stream_settings){ .keep_ms = 5, .keep_events = 6, .dedup_all = true };
    test_ok(ox_stream_settings_set(stream, &settings, OX_SET_KEEP_MS | OX_SET_DEDUP_ALL, &err),
        &err);
    test_ok(ox_stream_settings_get(stream, &settings, &err), &err);
    assert_int_equal(settings.keep_ms, 5);
    assert_int_equal(settings.keep_events, 1000000);
    assert_true(settings.dedup_all);
    settings.max_event = 1;
    assert_int_equal(
        ox_stream_settings_set(stream, &settings, OX_SET_MAX_EVENT, &err), OX_EINVAL);
    assert_string_equal(err.text, "max_event must be 65536..16777216");
    assert_int_equal(ox_stream_settings_set(stream, &settings, 0, &err), OX_EINVAL);
    assert_int_equal(ox_stream_settings_set(stream, &settings, 1 << 20, &err), OX_EINVAL);
}

static void a_stream_is_removed_with_all_of_it(void **state)
{
    (void)state;
    ox_stream_info info;
    assert_int_equal(ox_stream_info_get(stream, &info, &err), OX_ENOTFOUND);
    assert_string_equal(err.text, "stream events: it does not exist");
    assert_int_equal(ox_stream_remove(stream, false, &err), 0);
    bind_queue("a", "q");
    const ox_new_event event = { .type = "a", .id = "1" };
    publish(&event);
    run("XGROUP CREATE " E "log g 0");
    run("SET " E "g:owner x");
    run("XREADGROUP GROUP g one STREAMS " E "log >");
    assert_int_equal(ox_stream_remove(stream, false, &err), OX_EACTIVE);
    test_ok(ox_stream_info_get(stream, &info, &err), &err);
    assert_int_equal(info.groups, 1);
    assert_int_equal(info.bindings, 1);
    assert_int_equal(ox_stream_remove(stream, true, &err), 1);
    assert_int_equal(
        test_redis_int(redis, "EVAL %s 0", "return #redis.call('KEYS', '*ox:*')"), 0);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 1);
}

static void rejects_bad_streams(void **state)
{
    struct test_queue *q = *state;
    ox_stream *other = NULL;
    static const char *const names[] = { "", "A", "a b", "a:b", "a.b",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
    const ox_stream_options rows[] = { { .source = "a b" }, { .prefix = "" }, { .batch = 1001 },
        { .reserved = { 1 } } };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        assert_int_equal(ox_stream_new(&other, q->client, names[i], NULL, &err), OX_EINVAL);
        assert_non_null(strstr(err.text, "must be 1..64 of a-z"));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        assert_int_equal(ox_stream_new(&other, q->client, NULL, &rows[i], &err), OX_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STREAM(keeps_as_many_as_it_is_told),
        WITH_STREAM(keeps_as_many_bytes_as_it_is_told),
        WITH_STREAM(keeps_as_long_as_it_is_told),
        WITH_STREAM(trims_to_the_event),
        WITH_STREAM(trims_when_memory_is_full),
        WITH_STREAM(keeps_what_is_unread),
        WITH_STREAM(unread_goes_beyond_the_bytes),
        WITH_STREAM(others_entries_do_not_shorten_what_is_kept),
        WITH_STREAM(others_entries_do_not_hide_what_is_unread),
        WITH_STREAM(settings_are_kept),
        WITH_STREAM(a_stream_is_removed_with_all_of_it),
        WITH_STREAM(rejects_bad_streams),
    };
    return cmocka_run_group_tests_name("events keep", tests, test_server_up, test_server_down);
}
