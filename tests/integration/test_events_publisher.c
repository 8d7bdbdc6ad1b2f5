/*
 * test_events_publisher.c - events that are published from a loop: each has one outcome, in
 * order, whatever happens to the connection and the server, and none is published twice.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>
#include <uv.h>

#include "../support/proxy.h"
#include "../support/streams.h"

#define DEADLINE_MS 60000

static uv_loop_t loop;
static ox_publisher *publisher;
static ox_publisher_options options;
static GArray *told; /* of struct outcome */
static int errors, drained;
static bool closed;

struct outcome {
    size_t data;
    ox_published published;
    int code;
    char text[128];
};

static void on_published(
    void *arg, void *data, const ox_published *published, const ox_error *why)
{
    struct outcome outcome = { .data = GPOINTER_TO_SIZE(data), .code = why ? why->code : 0 };
    assert_ptr_equal(arg, &loop);
    assert_true((published == NULL) != (why == NULL));
    if (published)
        outcome.published = *published;
    else
        g_strlcpy(outcome.text, why->text, sizeof(outcome.text));
    g_array_append_val(told, outcome);
}

static void on_error(ox_publisher *of, const ox_error *why, void *arg)
{
    assert_ptr_equal(of, publisher);
    assert_ptr_equal(arg, &loop);
    assert_true(why->code < 0);
    errors++;
}

static void on_drained(ox_publisher *of, void *arg)
{
    assert_ptr_equal(of, publisher);
    assert_ptr_equal(arg, &loop);
    drained++;
}

static void on_closed(void *arg)
{
    assert_false(closed);
    closed = true;
    publisher = NULL;
    *(bool *)arg = true;
}

static int up(void **state)
{
    memset(&options, 0, sizeof(options));
    options.error = on_error;
    options.drained = on_drained;
    errors = drained = 0;
    closed = false;
    told = g_array_new(FALSE, FALSE, sizeof(struct outcome));
    uv_loop_init(&loop);
    return test_stream_up(state);
}

static int down(void **state)
{
    int rc = uv_loop_close(&loop); /* nothing is left in it */
    g_array_free(told, TRUE);
    return rc != 0 ? -1 : test_stream_down(state);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, up, down)

static void open_publisher(ox_stream *of)
{
    closed = false;
    test_ok(ox_publisher_new(&publisher, &loop, of, &options, on_published, &loop, &err), &err);
}

static void stop_waiting(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Runs the loop until it is so. */
static void run_until(bool (*is_so)(const void *arg), const void *arg)
{
    bool late = false;
    uv_timer_t timer;
    uv_timer_init(&loop, &timer);
    timer.data = &late;
    uv_timer_start(&timer, stop_waiting, DEADLINE_MS, 0);
    while (!is_so(arg) && !late)
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
    if (!is_so(arg))
        test_fatal("it is not so after %d ms; %u events have an outcome, %d errors, %s",
            DEADLINE_MS, told->len, errors, closed ? "closed" : "not closed");
}

static bool is_told(const void *count)
{
    return told->len >= *(const size_t *)count;
}

/* So many events have an outcome. */
static void wait_told(size_t count)
{
    run_until(is_told, &count);
}

static bool is_set(const void *flag)
{
    return *(const bool *)flag;
}

static bool has_failed(const void *arg)
{
    (void)arg;
    return errors > 0;
}

static void close_publisher(void)
{
    bool done = false;
    ox_publisher_close(publisher, on_closed, &done);
    run_until(is_set, &done);
}

static int put_of(const char *type, const char *id, const char *json, size_t data)
{
    const ox_new_event event = { .type = type, .id = id, .json = json, .source = "/s" };
    return ox_publisher_put(publisher, &event, GSIZE_TO_POINTER(data), &err);
}

static void put(const char *id, size_t data)
{
    test_ok(put_of("a.b", id, NULL, data), &err);
}

static struct outcome outcome_of(size_t i)
{
    assert_true(i < told->len);
    return g_array_index(told, struct outcome, i);
}

/* Outcomes from..count were told in order, and have consecutive numbers from `number` on. */
static void expect_published(size_t from, size_t count, long long number)
{
    for (size_t i = from; i < count; i++) {
        struct outcome outcome = outcome_of(i);
        if (outcome.code != 0)
            test_fatal("event %zu: %s", i, outcome.text);
        assert_int_equal(outcome.data, i);
        assert_int_equal(number_of(outcome.published.position), number + (long long)(i - from));
        assert_false(outcome.published.duplicate);
    }
}

static long long published_ever(void)
{
    ox_stream_info info;
    test_ok(ox_stream_info_get(stream, &info, &err), &err);
    assert_int_equal(info.events, info.published);
    return info.published;
}

/* ---- outcomes ---------------------------------------------------------------------------- */

static void each_event_has_one_outcome_in_order(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    open_publisher(stream);
    for (size_t i = 0; i < COUNT; i++) {
        put(NULL, i);
        if (i % 500 == 0)
            uv_run(&loop, UV_RUN_NOWAIT);
    }
    assert_true(ox_publisher_held(publisher) > 0);
    wait_told(COUNT);
    assert_int_equal(ox_publisher_held(publisher), 0);
    expect_published(0, COUNT, 1);
    assert_int_equal(published_ever(), COUNT);
    close_publisher();
    assert_int_equal(told->len, COUNT);
    assert_int_equal(errors, 0);
}

/* What was taken before a close has its outcome before it is closed. */
static void close_waits_for_all(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    open_publisher(stream);
    for (size_t i = 0; i < COUNT; i++)
        put(NULL, i);
    assert_int_equal(told->len, 0); /* never inside a call */
    close_publisher();
    expect_published(0, COUNT, 1);
    assert_int_equal(told->len, COUNT);
    open_publisher(stream);
    close_publisher();
}

static void bad_events_are_not_taken(void **state)
{
    (void)state;
    open_publisher(stream);
    assert_int_equal(put_of("a b", NULL, NULL, 0), OX_EINVAL);
    assert_non_null(strstr(err.text, "event type \"a b\""));
    put(NULL, 0);
    assert_int_equal(put_of("a", NULL, "{", 0), OX_EINVAL);
    put(NULL, 1);
    wait_told(2);
    expect_published(0, 2, 1);
    /* As the first of a call, which then has none. */
    assert_int_equal(put_of("a b", NULL, NULL, 0), OX_EINVAL);
    close_publisher();
    assert_int_equal(told->len, 2);
    static const ox_publisher_options bad[] = { { .pack_events = 1001 },
        { .pack_bytes = 2 << 20 }, { .calls = 17 }, { .reserved = { 1 } } };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_int_equal(
            ox_publisher_new(&publisher, &loop, stream, &bad[i], on_published, &loop, &err),
            OX_EINVAL);
    publisher = NULL;
}

static void takes_no_more_when_it_is_full(void **state)
{
    (void)state;
    options.most = 100;
    open_publisher(stream);
    for (size_t i = 0; i < 100; i++)
        put(NULL, i);
    assert_int_equal(put_of("a", NULL, NULL, 0), OX_ESTATE);
    assert_string_equal(err.text, "stream events: 100 events wait to be published");
    assert_int_equal(drained, 0);
    wait_told(100);
    assert_int_equal(drained, 1);
    put(NULL, 100);
    wait_told(101);
    assert_int_equal(drained, 1);
    expect_published(0, 101, 1);
    close_publisher();
}

static void duplicates_and_jobs_are_told(void **state)
{
    (void)state;
    bind_queue("a.*", "q");
    open_publisher(stream);
    for (size_t i = 0; i < 10; i++) {
        g_autofree char *id = g_strdup_printf("%zu", i % 5);
        put(id, i);
    }
    wait_told(10);
    expect_published(0, 5, 1);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(outcome_of(i).published.duplicate, i >= 5);
        assert_int_equal(outcome_of(i).published.jobs, i < 5);
        assert_string_equal(
            outcome_of(i).published.position, outcome_of(i % 5).published.position);
    }
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 5);
    close_publisher();
}

/* One that the stream does not take fails alone. */
static void large_event_fails_alone(void **state)
{
    (void)state;
    g_autofree char *fill = g_strnfill(300000, 'x');
    g_autofree char *large = g_strdup_printf("\"%s\"", fill);
    options.pack_bytes = 1 << 20;
    open_publisher(stream);
    put(NULL, 0);
    test_ok(put_of("a", NULL, large, 1), &err);
    put(NULL, 2);
    wait_told(3);
    assert_int_equal(outcome_of(1).code, OX_EINVAL);
    assert_int_equal(outcome_of(1).data, 1);
    assert_string_equal(outcome_of(1).text,
        "stream events: the event is larger than 262144 bytes, the stream's max_event");
    assert_int_equal(number_of(outcome_of(0).published.position), 1);
    assert_int_equal(number_of(outcome_of(2).published.position), 2);
    test_ok(put_of("a", NULL, large, 3), &err); /* and alone */
    wait_told(4);
    assert_int_equal(outcome_of(3).code, OX_EINVAL);
    assert_int_equal(published_ever(), 2);
    close_publisher();
}

/* What the server refuses is told of each event of the call; later ones are fine. */
static void refusals_are_told(void **state)
{
    (void)state;
    bind_queue("a.*", "q");
    run("SET bull:q:wait x");
    open_publisher(stream);
    for (size_t i = 0; i < 50; i++)
        put(NULL, i);
    wait_told(50);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(outcome_of(i).code, OX_ESERVER);
        assert_non_null(strstr(outcome_of(i).text,
            "stream events: Redis: WRONGTYPE bull:q:wait is a string, not a list"));
    }
    run("DEL bull:q:wait");
    put(NULL, 50);
    wait_told(51);
    expect_published(50, 51, 1);
    close_publisher();
}

/* Bindings and settings that come while calls are in flight: all get what they ask for, and the
 * order stays. */
static void order_stays_when_settings_change(void **state)
{
    (void)state;
    enum { COUNT = 6000 };
    options.pack_events = 50;
    open_publisher(stream);
    for (size_t i = 0; i < COUNT; i++) {
        if (i == 2000)
            bind_queue("a.*", "q");
        if (i == 4000) {
            const ox_stream_settings deflate = { .deflate = true };
            test_ok(ox_stream_settings_set(stream, &deflate, OX_SET_DEFLATE, &err), &err);
        }
        put(NULL, i);
        if (i % 100 == 0)
            uv_run(&loop, UV_RUN_NOWAIT);
    }
    close_publisher();
    assert_int_equal(told->len, COUNT);
    expect_published(0, COUNT, 1);
    long long jobs = 0;
    for (size_t i = 0; i < COUNT; i++)
        jobs += outcome_of(i).published.jobs;
    assert_true(jobs >= COUNT - 2000);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), jobs);
}

/* ---- faults ------------------------------------------------------------------------------ */

/* The server has published, and the answer is lost: it is not published again, and the answer
 * is the same. */
static void lost_answers_publish_nothing_twice(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    struct test_proxy *proxy = test_proxy_start(redis);
    const ox_client_options to = { .url = test_proxy_url(proxy) };
    ox_client *client;
    ox_stream *far;
    bind_queue("a.*", "q");
    test_ok(ox_client_new(&client, &to, &err), &err);
    test_ok(ox_stream_new(&far, client, NULL, NULL, &err), &err);
    options.pack_events = 100;
    open_publisher(far);
    put(NULL, 0);
    wait_told(1);
    test_proxy_lose(proxy, 6, 5);
    for (size_t i = 1; i < COUNT; i++)
        put(NULL, i);
    wait_told(COUNT);
    expect_published(0, COUNT, 1);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(outcome_of(i).published.jobs, 1);
    assert_int_equal(published_ever(), COUNT);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), COUNT);
    assert_int_equal(test_proxy_lost(proxy), 5);
    assert_int_equal(errors, 5);
    close_publisher();
    ox_stream_free(far);
    ox_client_free(client);
    test_proxy_stop(proxy);
}

/* Kills of a server that writes before it answers. */
static void kills_lose_and_repeat_nothing(void **state)
{
    (void)state;
    enum { COUNT = 6000, KILLS = 3 };
    static const char *const words[] = { "--appendonly", "yes", "--appendfsync", "always",
        NULL };
    struct test_redis *own = test_redis_start(words);
    const ox_client_options to = { .url = test_redis_url(own) };
    ox_client *client;
    ox_stream *safe;
    test_ok(ox_client_new(&client, &to, &err), &err);
    test_ok(ox_stream_new(&safe, client, NULL, NULL, &err), &err);
    options.pack_events = 20;
    open_publisher(safe);
    for (size_t i = 0; i < COUNT; i++)
        put(NULL, i);
    for (size_t i = 1; i <= KILLS; i++) {
        wait_told(i * COUNT / 5);
        test_redis_kill(own);
        test_redis_revive(own);
    }
    wait_told(COUNT);
    expect_published(0, COUNT, 1);
    close_publisher();
    assert_int_equal(told->len, COUNT);
    assert_int_equal(test_redis_int(own, "HGET " E "info n"), COUNT);
    ox_stream_free(safe);
    ox_client_free(client);
    test_redis_stop(own);
}

/* While the server is away events are taken and wait. */
static void outage_is_waited_for(void **state)
{
    (void)state;
    open_publisher(stream);
    put(NULL, 0);
    wait_told(1);
    test_redis_kill(redis);
    for (size_t i = 1; i < 1000; i++)
        put(NULL, i);
    run_until(has_failed, NULL);
    test_redis_revive(redis); /* it has kept nothing: numbers begin anew */
    wait_told(1000);
    expect_published(1, 1000, 1);
    close_publisher();
}

static void abort_tells_what_is_not_known(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    bool done = false;
    open_publisher(stream);
    for (size_t i = 0; i < COUNT; i++)
        put(NULL, i);
    uv_run(&loop, UV_RUN_NOWAIT);
    ox_publisher_abort(publisher, on_closed, &done);
    assert_int_equal(put_of("a", NULL, NULL, 0), OX_ECLOSED);
    run_until(is_set, &done);
    assert_int_equal(told->len, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(outcome_of(i).data, i);
        assert_true(outcome_of(i).code == 0 || outcome_of(i).code == OX_ECLOSED);
    }
    assert_int_equal(outcome_of(COUNT - 1).code, OX_ECLOSED);
}

/* An abort ends a close that cannot end. */
static void abort_ends_a_close(void **state)
{
    (void)state;
    bool never = false, done = false;
    open_publisher(stream);
    put(NULL, 0);
    test_redis_kill(redis);
    ox_publisher_close(publisher, on_closed, &never);
    for (int i = 0; i < 5; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    ox_publisher_abort(publisher, on_closed, &done);
    run_until(is_set, &done);
    assert_false(never);
    assert_int_equal(told->len, 1);
    assert_int_equal(outcome_of(0).code, OX_ECLOSED);
    test_redis_revive(redis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(each_event_has_one_outcome_in_order),
        WITH_LOOP(close_waits_for_all),
        WITH_LOOP(bad_events_are_not_taken),
        WITH_LOOP(takes_no_more_when_it_is_full),
        WITH_LOOP(duplicates_and_jobs_are_told),
        WITH_LOOP(large_event_fails_alone),
        WITH_LOOP(refusals_are_told),
        WITH_LOOP(order_stays_when_settings_change),
        WITH_LOOP(lost_answers_publish_nothing_twice),
        WITH_LOOP(kills_lose_and_repeat_nothing),
        WITH_LOOP(outage_is_waited_for),
        WITH_LOOP(abort_tells_what_is_not_known),
        WITH_LOOP(abort_ends_a_close),
    };
    return cmocka_run_group_tests_name(
        "events publisher", tests, test_server_up, test_server_down);
}
