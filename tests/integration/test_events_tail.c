/*
 * test_events_tail.c - following a stream: from where, what is told of gaps, and what others
 * have put into the log.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>
#include <zlib.h>

#include "../support/streams.h"

#define WAIT_MS 5000

static ox_tail *tail;

static int down(void **state)
{
    ox_tail_free(tail);
    tail = NULL;
    return test_stream_down(state);
}

#define WITH_TAIL(test) cmocka_unit_test_setup_teardown(test, test_stream_up, down)

static void publish_of(const char *type, const char *subject)
{
    publish(&(ox_new_event){ .type = type, .subject = subject, .source = "/s" });
}

static void open_tail(const char *from)
{
    const ox_tail_options options = { .from = from };
    ox_tail_free(tail);
    tail = NULL;
    test_ok(ox_tail_new(&tail, stream, &options, &err), &err);
}

static ox_stream_event next(void)
{
    ox_stream_event event;
    int rc = ox_tail_next(tail, WAIT_MS, &event, &err);
    test_ok(rc, &err);
    assert_int_equal(rc, 1);
    return event;
}

static void expect_end(void)
{
    ox_stream_event event;
    assert_int_equal(ox_tail_next(tail, 1, &event, &err), 0);
}

static void expect_bad(const char *why)
{
    ox_stream_event event;
    assert_int_equal(ox_tail_next(tail, WAIT_MS, &event, &err), OX_EDATA);
    if (!strstr(err.text, why))
        test_fatal("%s", err.text);
}

static void begins_where_it_is_told(void **state)
{
    (void)state;
    publish_of("a", NULL);
    publish_of("b", "17");
    open_tail("end");
    open_tail("start");
    ox_stream_event event = next();
    assert_string_equal(event.type, "a");
    assert_int_equal(event.number, 1);
    assert_int_equal(event.lost, 0);
    assert_null(event.subject);
    assert_int_equal(event.length, strlen(event.json));
    g_autofree char *position = g_strdup(event.position);
    event = next();
    assert_string_equal(event.subject, "17");
    assert_string_equal(event.source, "/s");
    assert_non_null(event.id);
    expect_end();
    assert_string_equal(ox_tail_position(tail), event.position);

    open_tail(position);
    assert_string_equal(next().type, "b");
    open_tail(NULL);
    expect_end();
    publish_of("c", NULL);
    event = next();
    assert_string_equal(event.type, "c");
    assert_int_equal(event.lost, 0);
}

static void begins_at_a_time(void **state)
{
    (void)state;
    run("XADD " E "log 1000-1 e {\"type\":\"a\"}");
    run("XADD " E "log 2000-2 e {\"type\":\"b\"}");
    open_tail("2000");
    ox_stream_event event = next();
    assert_string_equal(event.type, "b");
    assert_int_equal(event.lost, 0);
    open_tail("1001");
    assert_string_equal(next().type, "b");
    open_tail("0");
    assert_string_equal(next().type, "a");
}

static void begins_inside_an_entry(void **state)
{
    (void)state;
    run("XADD " E "log 1000-5 e {\"type\":\"a\"}\n{\"type\":\"b\"}\n{\"type\":\"c\"} c 3");
    open_tail("1000-4");
    ox_stream_event event = next();
    assert_string_equal(event.type, "c");
    assert_string_equal(event.position, "1000-5");
    open_tail("1000-1");
    event = next();
    assert_int_equal(event.number, 3);
    assert_int_equal(event.lost, 1);
}

static void tells_gaps(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        publish_of("a", NULL);
    open_tail("start");
    next();
    g_autofree char *first = g_strdup(ox_tail_position(tail));
    test_ok(ox_stream_trim(stream, 3, 0, &err), &err);
    open_tail(first);
    ox_stream_event event = next();
    assert_int_equal(event.number, 8);
    assert_int_equal(event.lost, 6);
    assert_int_equal(next().lost, 0);
    /* "start" is where the log begins. */
    open_tail("start");
    assert_int_equal(next().lost, 0);
    /* Redis has forgotten what the reader knows. */
    run("XADD " E "log 99999999999999-9 e {}");
    open_tail("99999999999998-30");
    assert_int_equal(next().lost, -1);
}

static void filters_by_type_and_subject(void **state)
{
    (void)state;
    publish_of("car.posted", "1");
    publish_of("car.posted", "2");
    publish_of("user.left", "2");
    const ox_tail_options options = { .from = "start", .pattern = "car.*", .subject = "2" };
    test_ok(ox_tail_new(&tail, stream, &options, &err), &err);
    ox_stream_event event = next();
    assert_int_equal(event.number, 2);
    expect_end();
    assert_true(g_str_has_suffix(ox_tail_position(tail), "-3"));
}

static void add_deflated(const char *id, const char *text, const char *count)
{
    Bytef z[512];
    uLongf len = sizeof(z);
    assert_int_equal(compress(z, &len, (const Bytef *)text, strlen(text)), Z_OK);
    run("XADD " E "log %s z %b c %s", id, z, (size_t)len, count);
}

static void reads_deflated_entries(void **state)
{
    (void)state;
    add_deflated("1000-2", "{\"type\":\"a\"}\n{\"type\":\"b\"}", "2");
    open_tail("start");
    assert_string_equal(next().type, "a");
    ox_stream_event event = next();
    assert_string_equal(event.type, "b");
    assert_string_equal(event.position, "1000-2");
}

/* Each is told once, and what follows is read. */
static void odd_entries_are_told_and_passed(void **state)
{
    (void)state;
    run("XADD " E "log 1000-0 x y");
    run("XADD " E "log 1000-1 x y");
    run("XADD " E "log 1000-2 z nothing");
    run("XADD " E "log 1000-3 e {} c 2");
    run("XADD " E "log 1000-4 e {} c many");
    run("XADD " E "log 1000-5 e not-json");
    run("XADD " E "log 1000-6 e [1]");
    run("XADD " E "log 1000-8 e {\"type\":7}\n{\"type\":\"b\"} c 2");
    run("XADD " E "log 18446744073709551614-1 e {}");
    open_tail("start");
    expect_bad("entry 1000-0 is no event: its id has no number");
    expect_bad("entry 1000-1 is no event: it has neither field e nor z");
    expect_bad("entry 1000-2 is no event: field z does not inflate");
    expect_bad("entry 1000-3 is no event: its events are not as many as its field c says");
    expect_bad("entry 1000-4 is no event: its events are not as many as its field c says");
    expect_bad("event 1000-5 is not a JSON object");
    expect_bad("event 1000-6 is not a JSON object");
    ox_stream_event event = next();
    assert_null(event.type);
    assert_int_equal(event.number, 7);
    assert_string_equal(next().type, "b");
    expect_bad("entry 18446744073709551614-1 is no event");
    expect_end();
}

static void survives_a_restart(void **state)
{
    (void)state;
    ox_stream_event event;
    publish_of("a", NULL);
    open_tail("start");
    next();
    test_redis_kill(redis);
    assert_true(ox_tail_next(tail, 100, &event, &err) < 0);
    test_redis_revive(redis); /* keeps nothing: numbers begin again */
    publish_of("b", NULL);
    event = next();
    assert_string_equal(event.type, "b");
    assert_int_equal(event.lost, -1);
}

static void rejects_bad_places(void **state)
{
    static const char *const places[] = { "", "x", "1-", "-1", "1-2-3", "99999999999999999999",
        "1 ", "end " };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        const ox_tail_options options = { .from = places[i] };
        assert_int_equal(ox_tail_new(&tail, stream, &options, &err), OX_EINVAL);
        assert_non_null(strstr(err.text, "is not a place in a stream: start, end, a position"));
    }
    const ox_tail_options bad = { .pattern = "a..b" }, reserve = { .reserved = { 1 } };
    assert_int_equal(ox_tail_new(&tail, stream, &bad, &err), OX_EINVAL);
    assert_int_equal(ox_tail_new(&tail, stream, &reserve, &err), OX_EINVAL);
    run("SET " E "log x");
    const ox_tail_options end = { .from = "end" };
    assert_int_equal(ox_tail_new(&tail, stream, &end, &err), OX_ESERVER);
    assert_non_null(strstr(err.text, "stream events: Redis: WRONGTYPE " E "log: Operation"));
    tail = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TAIL(begins_where_it_is_told),
        WITH_TAIL(begins_at_a_time),
        WITH_TAIL(begins_inside_an_entry),
        WITH_TAIL(tells_gaps),
        WITH_TAIL(filters_by_type_and_subject),
        WITH_TAIL(reads_deflated_entries),
        WITH_TAIL(odd_entries_are_told_and_passed),
        WITH_TAIL(survives_a_restart),
        WITH_TAIL(rejects_bad_places),
    };
    return cmocka_run_group_tests_name("events tail", tests, test_server_up, test_server_down);
}
