/*
 * test_events_replay.c - jobs made of events that are in the log: which ones, with which ids,
 * how fast, and how far it came when it did not end.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/streams.h"

#define LOG E "log"

static ox_replayed done;

/* Events a.0, a.1 .., the ids of which are their numbers, from 1. */
static void publish_some(int count)
{
    g_autofree ox_new_event *events = g_new0(ox_new_event, (gsize)count);
    for (int i = 0; i < count; i++) {
        events[i].type = i % 2 ? "a.odd" : "a.even";
        events[i].source = "/s";
        events[i].id = g_strdup_printf("%d", i + 1);
        events[i].subject = i == 3 ? "fourth" : NULL;
    }
    test_ok(ox_stream_publish_many(stream, events, (size_t)count, NULL, &err), &err);
    for (int i = 0; i < count; i++)
        g_free((char *)events[i].id);
}

static void replay(const ox_replay_options *options)
{
    test_ok(ox_stream_replay(stream, options, &done, &err), &err);
}

static int64_t waiting(const char *queue)
{
    return test_redis_int(redis, "LLEN bull:%s:wait", queue);
}

static bool ends_with(const char *position, const char *number)
{
    return g_str_has_suffix(position, number);
}

static void makes_a_new_job_of_each(void **state)
{
    (void)state;
    publish_some(5);
    replay(&(ox_replay_options){ .queue = "q" });
    assert_int_equal(done.sent, 5);
    assert_int_equal(done.read, 5);
    assert_int_equal(done.of, 5);
    assert_int_equal(done.existed + done.skipped + done.lost + done.unknown, 0);
    assert_true(ends_with(done.position, "-5"));
    assert_false(done.stopped);
    expect_members("bull:q:wait", "5,4,3,2,1");
    expect_field("bull:q:1", "name", "a.even");
    g_autofree char *data = test_redis_text(redis, "HGET bull:q:2 data");
    assert_non_null(strstr(data, "\"id\":\"2\",\"source\":\"/s\",\"type\":\"a.odd\""));
    replay(&(ox_replay_options){ .queue = "q" });
    assert_int_equal(waiting("q"), 10);
}

static void the_part_is_chosen(void **state)
{
    (void)state;
    run("XADD " LOG " 1000-1 e {\"type\":\"a\"}");
    run("XADD " LOG " 2000-2 e {\"type\":\"b\"}");
    run("XADD " LOG " 3000-5 e {\"type\":\"a\"}\n{\"type\":\"b\"}\n{\"type\":\"c\"} c 3");
    run("XADD " LOG " 4000-6 e {\"type\":\"a\"}");
    static const struct {
        const char *from, *to, *pattern;
        int sent;
        const char *position;
    } cases[] = {
        { NULL, NULL, NULL, 6, "4000-6" },
        { "2000", NULL, NULL, 5, "4000-6" },
        { "2001", "3999", NULL, 3, "3000-5" },
        { "2000-2", "3000-4", NULL, 2, "3000-4" },
        { "3000-3", "3000-5", NULL, 2, "3000-5" },
        { NULL, "3000", "a", 2, "3000-5" },
        { NULL, "999", NULL, 0, "0-0" },
        { "4000-6", NULL, NULL, 0, "4000-6" },
        { NULL, "99999999999999", NULL, 6, "4000-6" },
        { "end", NULL, NULL, 0, "4000-6" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        replay(&(ox_replay_options){ .from = cases[i].from,
            .to = cases[i].to,
            .pattern = cases[i].pattern,
            .dry_run = true });
        if (done.sent != cases[i].sent || strcmp(done.position, cases[i].position) != 0)
            test_fatal("case %zu: %d up to %s", i, (int)done.sent, done.position);
    }
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 1);
    run("DEL " LOG);
    publish_some(6);
    replay(&(ox_replay_options){ .queue = "q", .subject = "fourth", .job_name = "n" });
    assert_int_equal(done.sent, 1);
    expect_field("bull:q:1", "name", "n");
    /* Numbers went back, since the server lost its newest events: what is read counts. */
    replay(&(ox_replay_options){ .from = "1000-999", .dry_run = true });
    assert_int_equal(done.read, 6);
}

static void jobs_have_their_options(void **state)
{
    (void)state;
    publish_some(1);
    const ox_job_options job = { .priority = 3, .attempts = 4 };
    replay(&(ox_replay_options){ .queue = "q", .job = &job, .options = "{\"delay\":1000}" });
    expect_members("bull:q:delayed", "1");
    expect_field("bull:q:1", "priority", "3");
    static const struct {
        ox_replay_options options;
        const char *why;
    } bad[] = {
        { { .queue = NULL }, "a replay needs a queue or a group" },
        { { .dry_run = true, .holes = true }, "a replay needs a queue or a group" },
        { { .queue = "q", .group = "g" }, "to a queue or to a group, not to both" },
        { { .group = "g", .holes = true }, "holes and job_name are for jobs" },
        { { .queue = "a:b" }, "must not contain ':'" },
        { { .queue = "q", .options = "{\"jobId\":\"x\"}" },
            "must not have the job option jobId" },
        { { .queue = "q", .options = "[]" }, "" },
        { { .queue = "q", .from = "x" }, "is not a place in a stream: start, end, a position" },
        { { .queue = "q", .to = "start" }, "is not a place in a stream: end, a position" },
        { { .queue = "q", .pattern = "a..b" }, "pattern \"a..b\"" },
        { { .queue = "q", .reserved = { 1 } }, "reserved" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        assert_int_equal(ox_stream_replay(stream, &bad[i].options, &done, &err), OX_EINVAL);
        if (!strstr(err.text, bad[i].why))
            test_fatal("%s", err.text);
    }
    assert_int_equal(test_redis_int(redis, "GET bull:q:id"), 1);
}

/* Holes are filled with the ids of bindings, so a second replay makes nothing. */
static void holes_alone_are_filled(void **state)
{
    const ox_binding binding = { .pattern = "a.odd", .queue = "q" };
    const ox_replay_options holes = { .queue = "q", .holes = true };
    ox_replay_options dry = { .queue = "q", .holes = true, .dry_run = true };
    (void)state;
    test_ok(ox_stream_bind(stream, &binding, &err), &err);
    publish_some(6);
    run("XADD " LOG " 99999999999999-7 e {\"type\":\"a\",\"source\":\"/s\"}");
    assert_int_equal(waiting("q"), 3);
    replay(&dry);
    assert_int_equal(done.sent, 3);
    assert_int_equal(done.existed, 3);
    assert_int_equal(done.skipped, 1);
    replay(&holes);
    assert_int_equal(done.sent, 3);
    assert_int_equal(done.existed, 3);
    assert_int_equal(done.skipped, 1); /* it has no id */
    assert_int_equal(waiting("q"), 6);
    replay(&holes);
    assert_int_equal(done.sent, 0);
    assert_int_equal(done.existed, 6);
    assert_int_equal(waiting("q"), 6);
}

static void odd_entries_are_skipped_and_lost_ones_counted(void **state)
{
    (void)state;
    run("XADD " LOG " 1000-3 e {\"type\":\"a\"}");
    run("XADD " LOG " 1000-4 x y");
    run("XADD " LOG " 1000-5 e {\"data\":1}");
    run("XADD " LOG " 1000-6 e {\"type\":\"a\",\"data\":{1}}");
    run("XADD " LOG " 1000-9 e {\"type\":\"b\"}");
    replay(&(ox_replay_options){ .queue = "q", .from = "900-1" });
    assert_int_equal(done.sent, 2);
    assert_int_equal(done.skipped, 3);
    assert_int_equal(done.lost, 3);
    assert_string_equal(done.position, "1000-9");
    expect_members("bull:q:wait", "2,1");
}

/* What a group runs again is its own, in order, and none of the log's. */
static void a_group_gets_events_again(void **state)
{
    (void)state;
    const ox_replay_options again = { .group = "g", .pattern = "a.odd" };
    ox_group_info **groups = NULL;
    size_t count = 0;
    publish_some(500);
    assert_int_equal(ox_stream_replay(stream, &again, &done, &err), OX_ENOTFOUND);
    assert_string_equal(done.position, "");
    test_ok(ox_group_create(stream, "g", "end", &err), &err);
    replay(&(ox_replay_options){ .group = "g", .dry_run = true });
    assert_int_equal(done.sent, 500);
    replay(&again);
    assert_int_equal(done.sent, 250);
    assert_true(ends_with(done.position, "-500"));
    test_ok(ox_group_list(stream, &groups, &count, &err), &err);
    assert_int_equal(groups[0]->again, 250);
    assert_int_equal(groups[0]->lag, 0);
    ox_list_free(groups);
    g_autofree char *first = test_redis_text(redis, "EVAL %s 0",
        "return redis.call('XRANGE', 'bull::ox:{events}:g:again', '-', '+', "
        "'COUNT', 1)[1][2][2]");
    assert_non_null(strstr(first, "\"id\":\"2\",\"source\":\"/s\",\"type\":\"a.odd\""));
}

struct limit {
    int64_t most;
    int calls;
};

static bool stop_at(void *arg, const ox_replayed *so_far)
{
    struct limit *limit = arg;
    limit->calls++;
    return so_far->sent < limit->most;
}

/* Stopped and continued again and again, at a rate: each job is made once. */
static void goes_on_where_it_was_stopped(void **state)
{
    (void)state;
    char from[OX_POSITION_SIZE] = "start";
    publish_some(60);
    int parts = 0;
    do {
        struct limit limit = { .most = 10 };
        const ox_replay_options part = {
            .queue = "q", .from = from, .rate = 100, .progress = stop_at, .arg = &limit
        };
        replay(&part);
        assert_true(limit.calls > 0);
        if (done.position[0])
            memcpy(from, done.position, sizeof(from));
        parts++;
    } while (done.stopped && parts < 60);
    assert_in_range(parts, 2, 7);
    assert_int_equal(waiting("q"), 60);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (int i = 1; i <= 60; i++)
        g_hash_table_add(seen, test_redis_text(redis, "HGET bull:q:%d data", i));
    assert_int_equal(g_hash_table_size(seen), 60);
}

static void a_rate_is_kept(void **state)
{
    (void)state;
    publish_some(50);
    gint64 begun = g_get_monotonic_time();
    replay(&(ox_replay_options){ .queue = "q", .rate = 100 });
    gint64 took_ms = (g_get_monotonic_time() - begun) / 1000;
    assert_int_equal(done.sent, 50);
    assert_true(took_ms >= 450);
}

static void refused_jobs_are_told(void **state)
{
    (void)state;
    publish_some(2500);
    run("SET bull:q:id 9007199254740990x");
    assert_int_equal(
        ox_stream_replay(stream, &(ox_replay_options){ .queue = "q" }, &done, &err),
        OX_ESERVER);
    assert_non_null(strstr(err.text, "queue q"));
    assert_int_equal(done.sent, 0);
    assert_string_equal(done.position, "");
    run("DEL bull:q:id");
    replay(&(ox_replay_options){ .queue = "q" });
    assert_int_equal(done.sent, 2500);
    assert_int_equal(waiting("q"), 2500);
}

static bool kill_server(void *arg, const ox_replayed *so_far)
{
    bool *killed = arg;
    if (so_far->sent >= 20 && !*killed) {
        test_redis_kill(redis);
        *killed = true;
    }
    return true;
}

static void a_lost_connection_ends_it(void **state)
{
    bool killed = false;
    (void)state;
    publish_some(100);
    const ox_replay_options options = {
        .queue = "q", .rate = 100, .progress = kill_server, .arg = &killed
    };
    int code = ox_stream_replay(stream, &options, &done, &err);
    assert_true(code == OX_ECONNECT || code == OX_ELOST);
    assert_true(killed);
    assert_true(done.sent >= 20 && done.sent < 100);
    g_autofree char *number = g_strdup_printf("-%d", (int)done.sent);
    if (!ends_with(done.position, number))
        test_fatal("%d sent, at %s: %s", (int)done.sent, done.position, err.text);
    test_redis_revive(redis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STREAM(makes_a_new_job_of_each),
        WITH_STREAM(the_part_is_chosen),
        WITH_STREAM(jobs_have_their_options),
        WITH_STREAM(holes_alone_are_filled),
        WITH_STREAM(odd_entries_are_skipped_and_lost_ones_counted),
        WITH_STREAM(a_group_gets_events_again),
        WITH_STREAM(goes_on_where_it_was_stopped),
        WITH_STREAM(a_rate_is_kept),
        WITH_STREAM(refused_jobs_are_told),
        WITH_STREAM(a_lost_connection_ends_it),
    };
    return cmocka_run_group_tests_name(
        "events replay", tests, test_server_up, test_server_down);
}
