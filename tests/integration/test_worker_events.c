/*
 * test_worker_events.c - the handlers enqueue and publish, each in this process: what they
 * write of a batch of events, what a repeat changes, and which events they refuse.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/jobs.h"
#undef run /* handlers have a member of that name */
#include "base/options.h"
#include "worker/batch.h"
#include "worker/handler.h"

extern const struct handler enqueue_handler, publish_handler;

#define EVENT(type, id)                                                                        \
    "{\"specversion\":\"1.0\",\"id\":\"" id "\",\"source\":\"/cars\",\"type\":\"" type         \
    "\",\"time\":\"2026-01-01T00:00:00Z\",\"data\":{\"n\":1}}"

/* What became of the last batch. */
static struct {
    GString *out, *rows;
} ran;

static struct handler_config config;
static struct handler_server server;
static ox_stream *stream; /* "cars", whose batches they get */
static ox_error err;

static int up(void **state)
{
    if (test_queue_up(state) != 0)
        return -1;
    struct test_queue *q = *state;
    server = (struct handler_server){ .redis = test_redis_url(redis), .prefix = "bull" };
    ran.out = g_string_new(NULL);
    ran.rows = g_string_new(NULL);
    return ox_stream_new(&stream, q->client, "cars", NULL, &err);
}

static int down(void **state)
{
    g_string_free(ran.out, TRUE);
    g_string_free(ran.rows, TRUE);
    ox_stream_free(stream);
    return test_queue_down(state);
}

/* Starts a handler with these words; what is wrong (g_free), or NULL. */
static char *start(const struct handler *handler, const char *arg, const char *word)
{
    static GStringChunk *strings;
    char *given[] = { (char[]){ "x" }, (char *)(uintptr_t)word, NULL };
    char **words = g_strdupv(given), *problem = NULL;
    if (!strings)
        strings = g_string_chunk_new(256);
    void *options = g_malloc0(handler->options_size + 1);
    const struct opt_target target = { handler->opts, options };
    g_free((void *)(uintptr_t)config.options);
    config = (struct handler_config){
        .arg = arg, .options = options, .stream = "cars", .server = &server
    };
    if (!ox__options_init(&target, 1, strings, &problem) ||
        !ox__options_parse(&words, &target, 1, false, strings, &problem))
        test_fatal("%s", problem);
    g_strfreev(words);
    if (handler->init(&config, false, &problem))
        return NULL;
    assert_non_null(problem);
    return problem;
}

static void begin(const struct handler *handler, const char *arg, const char *word)
{
    g_autofree char *problem = start(handler, arg, word);
    if (problem)
        test_fatal("%s", problem);
}

static void expect_refused(
    const struct handler *handler, const char *arg, const char *word, const char *says)
{
    g_autofree char *problem = start(handler, arg, word);
    assert_non_null(problem);
    assert_string_equal(problem, says);
}

static void note_row(void *arg, const char *row)
{
    (void)arg;
    g_string_append_printf(ran.rows, "%s;", row);
}

/* Runs these events, ended by NULL, whose positions are 1700000000123-1, -2 .. */
static enum handler_result run_events(const struct handler *handler, const char *const *events)
{
    const struct handler_io io = { .log = note_row };
    g_autoptr(GString) text = g_string_new(NULL);
    size_t count = 0;
    for (; events[count]; count++) {
        g_autofree char *position = g_strdup_printf("1700000000123-%zu", count + 1);
        batch_put(text, events[count], strlen(events[count]), position);
    }
    batch_end(text);
    const struct handler_job job = { .queue = "cars",
        .id = "1700000000123-1",
        .name = "g",
        .name_len = 1,
        .data = text->str,
        .data_len = text->len,
        .events = count,
        .attempt = 1,
        .deadline_ms = g_get_real_time() / 1000 + 60000 };
    g_string_truncate(ran.out, 0);
    g_string_truncate(ran.rows, 0);
    return handler->run(&job, &config, &io, ran.out);
}

#define RUN(handler, ...) run_events(handler, (const char *const[]){ __VA_ARGS__, NULL })

static void expect_done(enum handler_result result, const char *out)
{
    if (result != HANDLER_DONE || strcmp(ran.out->str, out) != 0)
        test_fatal("%d: %s; not %s", (int)result, ran.out->str, out);
}

static void bind(const char *pattern, const char *queue, const char *options)
{
    const ox_binding binding = { .pattern = pattern, .queue = queue, .options = options };
    test_ok(ox_stream_bind(stream, &binding, &err), &err);
}

static void expect_waiting(const char *queue, int count)
{
    assert_int_equal(test_redis_int(redis, "LLEN bull:%s:wait", queue), count);
}

/* ---- enqueue ----------------------------------------------------------------------------- */

static void makes_the_jobs_that_publishing_makes(void **state)
{
    (void)state;
    bind("car.*", "images", "{\"attempts\":3,\"keepLogs\":5}");
    bind("car.sold", "mail", NULL);
    const ox_new_event event = { .event = EVENT("car.posted", "a") };
    test_ok(ox_stream_publish(stream, &event, NULL, &err), &err);
    expect_waiting("images", 1);
    begin(&enqueue_handler, NULL, NULL);
    expect_done(RUN(&enqueue_handler, EVENT("car.posted", "a"), EVENT("car.sold", "b"),
                    EVENT("user.left", "c")),
        "");
    expect_waiting("images", 2);
    expect_waiting("mail", 1);
    expect_done(RUN(&enqueue_handler, EVENT("car.sold", "b")), "");
    expect_waiting("images", 2);
    expect_waiting("mail", 1);
    g_autofree char *first = test_redis_text(redis, "LINDEX bull:images:wait 1");
    g_autofree char *second = test_redis_text(redis, "LINDEX bull:images:wait 0");
    g_autofree char *sum =
        g_compute_checksum_for_data(G_CHECKSUM_SHA1, (const guchar *)"/cars\0b", 7);
    g_autofree char *wanted = g_strconcat("ev-", sum, NULL);
    assert_string_equal(second, wanted);
    g_autofree char *opts = test_redis_text(redis, "HGET bull:images:%s opts", first);
    g_autofree char *own = test_redis_text(redis, "HGET bull:images:%s opts", second);
    g_autofree char *data = test_redis_text(redis, "HGET bull:images:%s data", second);
    g_autofree char *name = test_redis_text(redis, "HGET bull:images:%s name", second);
    assert_true(strstr(opts, "\"attempts\":3") && strstr(opts, "\"kl\":5"));
    assert_true(strstr(own, "\"attempts\":3") && strstr(own, "\"kl\":5"));
    assert_string_equal(data, EVENT("car.sold", "b"));
    assert_string_equal(name, "car.sold");
    assert_int_equal(
        test_redis_int(redis, "HGET bull:images:%s timestamp", second), 1700000000123);
    enqueue_handler.done();
}

static void a_queue_may_be_named(void **state)
{
    (void)state;
    bind("car.*", "images", NULL);
    begin(&enqueue_handler, "orders", "--job-options={\"attempts\":7}");
    expect_done(RUN(&enqueue_handler, EVENT("car.sold", "a"), EVENT("user.left", "b"),
                    EVENT("car.sold", "a")),
        "");
    expect_waiting("orders", 2);
    expect_waiting("images", 0);
    g_autofree char *id = test_redis_text(redis, "LINDEX bull:orders:wait 0");
    g_autofree char *opts = test_redis_text(redis, "HGET bull:orders:%s opts", id);
    assert_non_null(strstr(opts, "\"attempts\":7"));
    enqueue_handler.done();
    begin(&enqueue_handler, "orders", "--job-name=note");
    expect_done(RUN(&enqueue_handler, EVENT("user.left", "c")), "");
    g_autofree char *noted = test_redis_text(redis, "LINDEX bull:orders:wait 0");
    g_autofree char *name = test_redis_text(redis, "HGET bull:orders:%s name", noted);
    assert_string_equal(name, "note");
    enqueue_handler.done();
}

static void names_events_that_make_no_job(void **state)
{
    (void)state;
    begin(&enqueue_handler, "orders", NULL);
    expect_done(RUN(&enqueue_handler, EVENT("car.sold", "a"), "{\"type\":\"x\"}",
                    EVENT("car.sold", "b")),
        "{\"batchItemFailures\":[{\"itemIdentifier\":\"1700000000123-2\"}]}");
    assert_string_equal(ran.rows->str, "1700000000123-2: the event has no type, source or id;");
    expect_waiting("orders", 2);
    enqueue_handler.done();
}

static void a_refusal_of_the_server_is_tried_again(void **state)
{
    (void)state;
    test_redis_do(redis, "SET bull:orders:wait x");
    begin(&enqueue_handler, "orders", NULL);
    assert_int_equal(RUN(&enqueue_handler, EVENT("car.sold", "a")), HANDLER_RETRY);
    assert_non_null(strstr(ran.out->str, "WRONGTYPE"));
    enqueue_handler.done();
    test_redis_do(redis, "DEL bull:orders:wait");
}

/* ---- publish ----------------------------------------------------------------------------- */

static void publishes_events_as_they_are(void **state)
{
    struct test_queue *q = *state;
    ox_stream *other = NULL;
    ox_stream_info info;
    ox_tail *tail = NULL;
    ox_stream_event event;
    const ox_tail_options from_start = { .from = "start" };
    begin(&publish_handler, "all", NULL);
    expect_done(RUN(&publish_handler, EVENT("car.sold", "a"), EVENT("user.left", "b")), "");
    expect_done(RUN(&publish_handler, EVENT("user.left", "b"), EVENT("user.left", "c")), "");
    test_ok(ox_stream_new(&other, q->client, "all", NULL, &err), &err);
    test_ok(ox_stream_info_get(other, &info, &err), &err);
    assert_int_equal(info.published, 3);
    assert_int_equal(info.duplicates, 1);
    test_ok(ox_tail_new(&tail, other, &from_start, &err), &err);
    assert_int_equal(ox_tail_next(tail, 5000, &event, &err), 1);
    assert_string_equal(event.id, "a");
    assert_string_equal(event.source, "/cars");
    assert_null(strstr(event.json, "position"));
    ox_tail_free(tail);
    ox_stream_free(other);
    publish_handler.done();
}

static void names_events_that_cannot_be_published(void **state)
{
    (void)state;
    begin(&publish_handler, "all", NULL);
    expect_done(RUN(&publish_handler, EVENT("car.sold", "a"), EVENT("*", "b")),
        "{\"batchItemFailures\":[{\"itemIdentifier\":\"1700000000123-2\"}]}");
    assert_true(g_str_has_prefix(ran.rows->str, "1700000000123-2: "));
    publish_handler.done();
}

static void wrong_targets_are_refused(void **state)
{
    (void)state;
    expect_refused(
        &publish_handler, NULL, NULL, "publish needs a stream: STREAM@GROUP=publish:STREAM");
    expect_refused(&publish_handler, "cars", NULL,
        "publish:cars publishes the events of cars into itself, without end");
    g_autofree char *bad = start(&publish_handler, "No", NULL);
    assert_true(g_str_has_prefix(bad, "publish:No: "));
    expect_refused(
        &enqueue_handler, "a:b", NULL, "enqueue: queue name a:b must not contain ':'");
    expect_refused(&enqueue_handler, "orders", "--job-options=[1]",
        "--job-options: not a JSON object, such as {\"attempts\":3}: [1]");
    expect_refused(&enqueue_handler, NULL, "--job-name=x",
        "--job-name: only with a queue, enqueue:QUEUE; a binding has its own");
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(makes_the_jobs_that_publishing_makes),
        WITH_SERVER(a_queue_may_be_named),
        WITH_SERVER(names_events_that_make_no_job),
        WITH_SERVER(a_refusal_of_the_server_is_tried_again),
        WITH_SERVER(publishes_events_as_they_are),
        WITH_SERVER(names_events_that_cannot_be_published),
        WITH_SERVER(wrong_targets_are_refused),
    };
    return cmocka_run_group_tests_name("events", tests, test_server_up, test_server_down);
}
