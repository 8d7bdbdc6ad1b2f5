/*
 * test_events_publish.c - events published, the jobs that bindings make of them, what a stream
 * remembers, and what happens when others have written to its keys.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/streams.h"

/* ---- publishing -------------------------------------------------------------------------- */

static void numbers_events_and_stores_them(void **state)
{
    (void)state;
    const ox_new_event event = { .type = "car.posted",
        .json = "{ \"car\" : 17 }",
        .id = "a",
        .source = "/cars",
        .subject = "17",
        .time_ms = 1700000000123 };
    ox_published first = publish(&event), second = publish_type("car.sold");
    assert_int_equal(number_of(first.position), 1);
    assert_int_equal(number_of(second.position), 2);
    assert_int_equal(first.jobs, 0);
    assert_false(first.duplicate);
    g_autofree char *line = test_redis_text(
        redis, "EVAL %s 1 " E "log", "return redis.call('XRANGE', KEYS[1], '-', '+')[1][2][2]");
    assert_string_equal(line,
        "{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"/cars\",\"type\":\"car.posted\","
        "\"time\":\"2023-11-14T22:13:20.123Z\",\"datacontenttype\":\"application/json\","
        "\"subject\":\"17\",\"data\":{\"car\":17}}");
    expect_field(E "info", "n", "2");
    expect_field(E "info", "layout", "1");
    assert_int_equal(test_redis_int(redis, "SISMEMBER bull::ox:streams events"), 1);
    char **names;
    size_t count;
    struct test_queue *q = *state;
    test_ok(ox_client_streams(q->client, NULL, &names, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_string_equal(names[0], "events");
    ox_list_free(names);
}

static void many_are_packed_and_numbered(void **state)
{
    (void)state;
    enum { COUNT = 1050 };
    g_autofree ox_new_event *events = g_new0(ox_new_event, COUNT);
    g_autofree ox_published *out = g_new0(ox_published, COUNT);
    for (int i = 0; i < COUNT; i++)
        events[i] = (ox_new_event){ .type = "click", .json = "1" };
    test_ok(ox_stream_publish_many(stream, events, COUNT, out, &err), &err);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(number_of(out[i].position), i + 1);
    ox_stream_info info;
    test_ok(ox_stream_info_get(stream, &info, &err), &err);
    assert_int_equal(info.events, COUNT);
    assert_int_equal(info.published, COUNT);
    assert_true(info.entries > 10 && info.entries < COUNT / 5);
    assert_string_equal(info.first, out[0].position);
    assert_string_equal(info.last, out[COUNT - 1].position);
    assert_true(info.bytes > 0);
}

static void bad_event_among_many_sends_nothing(void **state)
{
    (void)state;
    const ox_new_event events[] = { { .type = "a" }, { .type = "a b" }, { .type = "a" } };
    ox_published out[3];
    assert_int_equal(ox_stream_publish_many(stream, events, 3, out, &err), OX_EINVAL);
    assert_non_null(strstr(err.text, "event 2 of 3: event type \"a b\""));
    assert_string_equal(out[0].position, "");
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
}

static void rejects_event_beyond_limit(void **state)
{
    (void)state;
    g_autofree char *fill = g_strnfill(300000, 'x');
    g_autofree char *large = g_strdup_printf("\"%s\"", fill);
    const ox_new_event event = { .type = "a", .json = large };
    assert_int_equal(ox_stream_publish(stream, &event, NULL, &err), OX_EINVAL);
    assert_string_equal(err.text,
        "stream events: the event is larger than 262144 bytes, the stream's max_event");
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
    const ox_stream_settings more = { .max_event = 400000 };
    test_ok(ox_stream_settings_set(stream, &more, OX_SET_MAX_EVENT, &err), &err);
    assert_int_equal(ox_stream_publish(stream, &event, NULL, &err), 1);
}

static void set_deflate(bool on)
{
    const ox_stream_settings settings = { .deflate = on };
    test_ok(ox_stream_settings_set(stream, &settings, OX_SET_DEFLATE, &err), &err);
}

/* How many entries have that field. */
static long long entries_with(const char *field)
{
    return test_redis_int(redis, "EVAL %s 1 " E "log %s",
        "local n = 0 for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do "
        "n = n + (entry[2][1] == ARGV[1] and 1 or 0) end return n",
        field);
}

/* Reads the stream from its start: `count` events of these ids, without a gap. */
static void expect_ids(int count, const char *prefix)
{
    ox_tail *tail;
    const ox_tail_options options = { .from = "start" };
    ox_stream_event event;
    test_ok(ox_tail_new(&tail, stream, &options, &err), &err);
    for (int i = 0; i < count; i++) {
        g_autofree char *id = g_strdup_printf("%s%d", prefix, i);
        assert_int_equal(ox_tail_next(tail, 5000, &event, &err), 1);
        assert_string_equal(event.id, id);
        assert_int_equal(event.number, i + 1);
    }
    ox_tail_free(tail);
}

static void publish_ids(int from, int count, const char *prefix, ox_published *out)
{
    g_autofree ox_new_event *events = g_new0(ox_new_event, count);
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    for (int i = 0; i < count; i++) {
        g_ptr_array_add(ids, g_strdup_printf("%s%d", prefix, from + i));
        events[i] = (ox_new_event){ .type = "car.posted", .id = ids->pdata[i] };
    }
    test_ok(ox_stream_publish_many(stream, events, (size_t)count, out, &err), &err);
}

static void deflates_when_it_is_told(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    g_autofree ox_published *out = g_new0(ox_published, COUNT);
    set_deflate(true);
    publish_ids(0, COUNT, "x", out);
    assert_int_equal(entries_with("e"), 0);
    assert_in_range(entries_with("z"), 8, COUNT / 40);
    assert_int_equal(number_of(out[COUNT - 1].position), COUNT);
    expect_ids(COUNT, "x");
    /* A duplicate among others: these are stored plainly. */
    publish_ids(COUNT - 1, 3, "x", out);
    assert_true(out[0].duplicate && !out[1].duplicate);
    assert_int_equal(number_of(out[2].position), COUNT + 2);
    assert_int_equal(entries_with("e"), 1);
    expect_ids(COUNT + 2, "x");
    set_deflate(false);
    publish_ids(COUNT + 2, 100, "x", NULL); /* the call was formed before this was known */
    publish_ids(COUNT + 102, 100, "x", NULL);
    assert_true(entries_with("e") > 2);
    expect_ids(COUNT + 202, "x");
}

/* Jobs get their data from deflated packs too. */
static void deflated_events_make_jobs(void **state)
{
    struct test_queue *q = *state;
    ox_published out[50];
    set_deflate(true);
    bind_queue("car.*", "q");
    publish_ids(0, 50, "y", out);
    assert_int_equal(entries_with("z"), 1);
    assert_int_equal(out[49].jobs, 1);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 50);
    g_autofree char *id = test_take(q->queue);
    g_autofree char *key = g_strconcat("bull:q:", id, NULL);
    g_autofree char *data = test_redis_text(redis, "HGET %s data", key);
    assert_non_null(strstr(data, "\"id\":\"y0\""));
}

/* A handle that has seen a stream without bindings sends no keys; it does when there are some.
 */
static void keys_are_sent_once_they_are_needed(void **state)
{
    struct test_queue *q = *state;
    enum { COUNT = 1000 };
    ox_stream *other;
    g_autofree ox_new_event *events = g_new0(ox_new_event, COUNT);
    g_autofree ox_published *out = g_new0(ox_published, COUNT);
    for (int i = 0; i < COUNT; i++)
        events[i] = (ox_new_event){ .type = i % 2 ? "car.posted" : "car.sold" };
    test_ok(ox_stream_new(&other, q->client, NULL, NULL, &err), &err);
    test_ok(ox_stream_publish_many(other, events, COUNT, out, &err), &err);
    assert_int_equal(out[1].jobs, 0);
    bind_queue("car.posted", "q");
    set_deflate(true);
    test_ok(ox_stream_publish_many(other, events, COUNT, out, &err), &err);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(out[i].jobs, i % 2);
        assert_int_equal(number_of(out[i].position), COUNT + i + 1);
    }
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), COUNT / 2);
    const ox_stream_settings all = { .dedup_all = true };
    assert_int_equal(ox_stream_unbind(stream, "car.posted", "q", &err), 1);
    test_ok(ox_stream_publish_many(other, events, COUNT, out, &err), &err);
    test_ok(ox_stream_settings_set(stream, &all, OX_SET_DEDUP_ALL, &err), &err);
    test_ok(ox_stream_publish_many(other, events, COUNT, out, &err), &err);
    assert_int_equal(
        test_redis_int(redis, "HLEN " E "seen0") + test_redis_int(redis, "HLEN " E "seen1"),
        COUNT);
    ox_stream_free(other);
}

/* ---- duplicates -------------------------------------------------------------------------- */

static void same_id_is_a_duplicate(void **state)
{
    (void)state;
    bind_queue("car.*", "q");
    const ox_new_event event = { .type = "car.posted", .id = "1", .source = "/a" };
    const ox_new_event other = { .type = "car.posted", .id = "1", .source = "/b" };
    ox_published first = publish(&event), again = publish(&event), elsewhere = publish(&other);
    assert_int_equal(first.jobs, 1);
    assert_true(again.duplicate);
    assert_int_equal(again.jobs, 0);
    assert_string_equal(again.position, first.position);
    assert_false(elsewhere.duplicate);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 2);
    assert_int_equal(ox_stream_publish(stream, &event, NULL, &err), 0);
    ox_stream_info info;
    test_ok(ox_stream_info_get(stream, &info, &err), &err);
    assert_int_equal(info.duplicates, 2);
    assert_int_equal(info.published, 2);
    assert_int_equal(info.jobs, 2);
}

static void repeats_within_a_call_are_duplicates(void **state)
{
    (void)state;
    const ox_new_event events[] = { { .type = "a", .id = "1" }, { .type = "a", .id = "2" },
        { .type = "a", .id = "1" }, { .type = "a" }, { .type = "a" } };
    ox_published out[5];
    test_ok(ox_stream_publish_many(stream, events, 5, out, &err), &err);
    assert_true(out[2].duplicate);
    assert_string_equal(out[2].position, out[0].position);
    assert_int_equal(number_of(out[4].position), 4);
}

/* The window ends with the time of the position, whichever half has the key. */
static void window_ends(void **state)
{
    (void)state;
    const ox_stream_settings quick = { .dedup_ms = 1000 };
    const ox_new_event event = { .type = "a", .id = "1" };
    test_ok(ox_stream_settings_set(stream, &quick, OX_SET_DEDUP_MS, &err), &err);
    publish(&event);
    assert_true(publish(&event).duplicate);
    run("EVAL %s 2 " E "seen0 " E "seen1",
        "for _, key in ipairs(KEYS) do for _, f in ipairs(redis.call('HKEYS', key)) do "
        "redis.call('HSET', key, f, '1000-1') end end");
    assert_false(publish(&event).duplicate);
    assert_int_equal(test_redis_int(redis, "XLEN " E "log"), 2);
}

static void dedup_all_remembers_every_id(void **state)
{
    (void)state;
    publish_type("a");
    assert_int_equal(test_redis_int(redis, "EXISTS " E "seen0 " E "seen1"), 0);
    const ox_stream_settings all = { .dedup_all = true };
    test_ok(ox_stream_settings_set(stream, &all, OX_SET_DEDUP_ALL, &err), &err);
    publish_type("a");
    assert_int_equal(test_redis_int(redis, "EXISTS " E "seen0 " E "seen1"), 1);
}

/* Of publishers that race with the same ids, each id has one winner, and its job. */
static void racing_publishers_make_one_job(void **state)
{
    enum { PROCESSES = 4, IDS = 100 };
    struct test_queue *q = *state;
    pid_t children[PROCESSES];
    bind_queue(">", "q");
    for (int p = 0; p < PROCESSES; p++) {
        children[p] = fork();
        if (children[p] == 0) {
            int published = 0;
            for (int i = 0; i < IDS; i++) {
                g_autofree char *id = g_strdup_printf("%d", i);
                const ox_new_event event = { .type = "a", .id = id, .source = "/s" };
                int rc = ox_stream_publish(stream, &event, NULL, NULL);
                if (rc < 0)
                    _exit(255);
                published += rc;
            }
            _exit(published);
        }
    }
    int sum = 0;
    for (int p = 0; p < PROCESSES; p++) {
        int status = -1;
        assert_int_equal(waitpid(children[p], &status, 0), children[p]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= IDS);
        sum += WEXITSTATUS(status);
    }
    assert_int_equal(sum, IDS);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), IDS);
    (void)q;
}

/* ---- bindings ---------------------------------------------------------------------------- */

static void each_bound_queue_gets_a_job(void **state)
{
    struct test_queue *q = *state;
    const ox_binding named = { .pattern = "car.*",
        .queue = "mail",
        .job_name = "notify",
        .options = "{\"attempts\":3,\"delay\":5000}" };
    bind_queue("car.posted", "q");
    assert_int_equal(ox_stream_bind(stream, &named, &err), 1);
    const ox_new_event event = {
        .type = "car.posted", .json = "[1]", .id = "x", .source = "/s"
    };
    ox_published out = publish(&event);
    assert_int_equal(out.jobs, 2);
    g_autofree char *key =
        g_compute_checksum_for_data(G_CHECKSUM_SHA1, (const guchar *)"/s\0x", 4);
    g_autofree char *id = g_strconcat("ev-", key, NULL);
    expect_members("bull:q:wait", id);
    expect_members("bull:mail:delayed", id);
    g_autofree char *wants = g_strdup_printf("added %s,waiting %s", id, id);
    expect_events(wants);
    ox_job *job;
    int job_state;
    test_ok(ox_queue_job(q->queue, id, &job, &job_state, &err), &err);
    assert_string_equal(ox_job_text(job, OX_JOB_NAME), "car.posted");
    assert_non_null(strstr(ox_job_text(job, OX_JOB_DATA), "\"data\":[1]"));
    ox_job_free(job);
    g_autofree char *mail = g_strconcat("bull:mail:", id, NULL);
    expect_field(mail, "name", "notify");
    expect_field(mail, "opts", "{\"attempts\":3,\"delay\":5000}");
    g_autofree char *taken = test_take(q->queue);
    assert_string_equal(taken, id);
    assert_int_equal(test_redis_int(redis, "ZCARD bull:q:marker"), 1);
}

static void oldest_binding_of_a_queue_counts(void **state)
{
    (void)state;
    const ox_binding rows[] = { { .pattern = "car.>", .queue = "q", .job_name = "first" },
        { .pattern = "car.posted", .queue = "q", .job_name = "second" },
        { .pattern = "*.posted", .queue = "r" } };
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(ox_stream_bind(stream, &rows[i], &err), 1);
    assert_int_equal(publish_type("car.posted").jobs, 2);
    /* A change keeps the age. */
    const ox_binding changed = { .pattern = "car.>", .queue = "q", .job_name = "new" };
    assert_int_equal(ox_stream_bind(stream, &changed, &err), 0);
    ox_binding **found;
    size_t count;
    test_ok(ox_stream_route(stream, "car.posted", &found, &count, &err), &err);
    assert_int_equal(count, 2);
    assert_string_equal(found[0]->job_name, "new");
    assert_string_equal(found[1]->queue, "r");
    assert_null(found[1]->job_name);
    ox_list_free(found);
    ox_published out = publish_type("car.posted");
    assert_int_equal(out.jobs, 2);
    g_autofree char *newest = test_redis_text(redis, "LINDEX bull:q:wait 0");
    g_autofree char *key = g_strconcat("bull:q:", newest, NULL);
    expect_field(key, "name", "new");
    assert_int_equal(ox_stream_unbind(stream, "car.>", "q", &err), 1);
    assert_int_equal(ox_stream_unbind(stream, "car.>", "q", &err), 0);
    test_ok(ox_stream_bindings(stream, &found, &count, &err), &err);
    assert_int_equal(count, 2);
    assert_string_equal(found[0]->job_name, "second");
    ox_list_free(found);
}

/* The script and the library match alike. */
static void script_and_library_match_alike(void **state)
{
    static const char *const patterns[] = { "a", "a.b", "*", "a.*", "*.b", "a.>", ">", "*.>",
        "a-b.c", "a_b", "*.*", "a.*.c", "A.b" };
    static const char *const types[] = { "a", "a.b", "a.b.c", "b", "b.b", "a-b.c", "axb.c",
        "a_b", "A.b", "a.x.c", "aa.b" };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(patterns); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(types); j++) {
            run("FLUSHALL");
            bind_queue(patterns[i], "q");
            ox_binding **found;
            size_t count;
            test_ok(ox_stream_route(stream, types[j], &found, &count, &err), &err);
            ox_list_free(found);
            if (publish_type(types[j]).jobs != count)
                test_fatal("%s, %s: the library says %zu", patterns[i], types[j], count);
        }
    }
}

static void rejects_bad_bindings(void **state)
{
    static const struct {
        ox_binding binding;
        const char *why;
    } rows[] = {
        { { .pattern = "a..b", .queue = "q" }, "pattern \"a..b\" must be segments" },
        { { .pattern = "a.>.b", .queue = "q" }, "pattern \"a.>.b\" must be segments" },
        { { .pattern = "", .queue = "q" }, "pattern is empty" },
        { { .pattern = "a*", .queue = "q" }, "pattern \"a*\"" },
        { { .pattern = "a", .queue = "" }, "queue name is empty" },
        { { .pattern = "a", .queue = "b:c" }, "must not contain ':'" },
        { { .pattern = "a", .queue = "q", .options = "[]" }, "not a JSON object" },
        { { .pattern = "a", .queue = "q", .options = "{\"jobId\":\"x\"}" },
            "must not have the job option jobId" },
        { { .pattern = "a", .queue = "q", .options = "{\"deduplication\":{\"id\":\"x\"}}" },
            "must not have the job option deduplication" },
        { { .pattern = "a", .queue = "q", .reserved = { 1 } }, "reserved must be zero" },
    };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        int rc = ox_stream_bind(stream, &rows[i].binding, &err);
        if (rc != OX_EINVAL || !strstr(err.text, rows[i].why))
            test_fatal("row %zu: %d, %s", i, rc, err.text);
    }
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
}

/* ---- keys of others ---------------------------------------------------------------------- */

/* All keys, each with what it holds; but for marks that only wake a worker, the default cap of
 * an event stream, and event streams that are empty. */
static char *dump(void)
{
    return test_redis_text(redis, "EVAL %s 0",
        "local all = redis.call('KEYS', '*') table.sort(all) local text = '' "
        "for _, key in ipairs(all) do if not string.find(key, ':marker$') and "
        "not string.find(key, ':meta$') and redis.pcall('XLEN', key) ~= 0 then "
        "text = text .. key .. ' ' .. redis.sha1hex(redis.call('DUMP', key)) .. '\\n' end end "
        "return text");
}

static void key_of_another_type_publishes_nothing(void **state)
{
    static const char *const keys[] = { "bull:q:wait", "bull:r:delayed", "bull:q:id",
        "bull:q:meta", "bull:q:events", E "log", E "info", E "binds", E "routes", E "seen0",
        "bull::ox:streams" };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        const ox_binding late = {
            .pattern = "a", .queue = "r", .options = "{\"delay\":60000}"
        };
        const ox_new_event events[] = { { .type = "a", .id = "2" },
            { .type = "a", .id = "3" } };
        run("FLUSHALL");
        bind_queue("a", "q");
        test_ok(ox_stream_bind(stream, &late, &err), &err);
        if (strcmp(keys[i], "bull::ox:streams") == 0)
            run("DEL " E "info");
        run("DEL %s", keys[i]);
        if (strcmp(keys[i], "bull:q:events") == 0 || strcmp(keys[i], E "log") == 0 ||
            strcmp(keys[i], "bull:q:id") == 0)
            run("SADD %s x", keys[i]);
        else
            run("SET %s x", keys[i]);
        g_autofree char *wrong = g_strdup_printf("Redis: WRONGTYPE %s is a s", keys[i]);
        g_autofree char *before = dump();
        ox_published out[2];
        int rc = ox_stream_publish_many(stream, events, 2, out, &err);
        g_autofree char *after = dump();
        if (rc != OX_ESERVER || !strstr(err.text, wrong))
            test_fatal("%s: %d, %s", keys[i], rc, err.text);
        if (strcmp(before, after) != 0)
            test_fatal("%s: before\n%s, after\n%s", keys[i], before, after);
        assert_string_equal(out[0].position, "");
        /* When it is whole again, the same call does all. */
        run("DEL %s", keys[i]);
        test_ok(ox_stream_publish_many(stream, events, 2, out, &err), &err);
        assert_int_equal(test_redis_int(redis, "XLEN " E "log"), 1);
    }
}

static void other_layout_is_refused(void **state)
{
    (void)state;
    run("HSET " E "info layout 2");
    const ox_new_event event = { .type = "a" };
    assert_int_equal(ox_stream_publish(stream, &event, NULL, &err), OX_EDATA);
    assert_string_equal(err.text, "stream events: its layout is of another version of Ox");
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 1);
}

/* Ids of others, and a clock that went back: ours stay above. */
static void ids_stay_above_those_of_others(void **state)
{
    (void)state;
    publish_type("a");
    run("XADD " E "log 99999999999999-7 x y");
    ox_published out = publish_type("a");
    assert_string_equal(out.position, "100000000000000-2");
    assert_string_equal(publish_type("a").position, "100000000000000-3");
    run("DEL " E "info"); /* is made again of the log */
    assert_string_equal(publish_type("a").position, "100000000000000-4");
    run("DEL " E "info");
    test_ok(ox_group_create(stream, "g", "end", &err), &err);
    assert_string_equal(publish_type("a").position, "100000000000000-5");
    run("XADD " E "log 9007199254740991-9007199254740991 x y"); /* none can follow */
    assert_int_equal(
        ox_stream_publish(stream, &(ox_new_event){ .type = "a" }, NULL, &err), OX_ESERVER);
    assert_non_null(strstr(err.text, "an entry that others wrote has the largest id"));
    assert_int_equal(test_redis_int(redis, "XLEN " E "log"), 6); /* the first was too old */
    assert_int_equal(test_redis_int(redis, "HGET " E "info n"), 5);
}

static void odd_bindings_are_passed(void **state)
{
    (void)state;
    bind_queue("a", "q");
    run("HSET " E "binds one {bad two [1] three {\"n\":1,\"pattern\":7,\"queue\":\"x\"}");
    run("HSET " E "binds four {\"n\":2,\"pattern\":\"[\",\"queue\":\"x\"}");
    run("HSET " E "binds five {\"n\":3,\"pattern\":\">\",\"queue\":\"\"}");
    run("HSET " E "binds six {\"n\":4,\"pattern\":\">\",\"queue\":\"x:y\"}");
    assert_int_equal(publish_type("a").jobs, 1);
    ox_binding **found;
    size_t count;
    assert_int_equal(ox_stream_bindings(stream, &found, &count, &err), OX_EDATA);
    assert_non_null(strstr(err.text, "the stored binding \""));
    assert_non_null(strstr(err.text, "\" has no pattern or no valid queue: "));
    test_ok(ox_stream_route(stream, "a", &found, &count, &err), &err);
    assert_int_equal(count, 1);
    ox_list_free(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STREAM(numbers_events_and_stores_them),
        WITH_STREAM(many_are_packed_and_numbered),
        WITH_STREAM(bad_event_among_many_sends_nothing),
        WITH_STREAM(rejects_event_beyond_limit),
        WITH_STREAM(deflates_when_it_is_told),
        WITH_STREAM(deflated_events_make_jobs),
        WITH_STREAM(keys_are_sent_once_they_are_needed),
        WITH_STREAM(same_id_is_a_duplicate),
        WITH_STREAM(repeats_within_a_call_are_duplicates),
        WITH_STREAM(window_ends),
        WITH_STREAM(dedup_all_remembers_every_id),
        WITH_STREAM(racing_publishers_make_one_job),
        WITH_STREAM(each_bound_queue_gets_a_job),
        WITH_STREAM(oldest_binding_of_a_queue_counts),
        WITH_STREAM(script_and_library_match_alike),
        WITH_STREAM(rejects_bad_bindings),
        WITH_STREAM(key_of_another_type_publishes_nothing),
        WITH_STREAM(other_layout_is_refused),
        WITH_STREAM(ids_stay_above_those_of_others),
        WITH_STREAM(odd_bindings_are_passed),
    };
    return cmocka_run_group_tests_name(
        "events publish", tests, test_server_up, test_server_down);
}
