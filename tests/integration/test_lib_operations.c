/*
 * test_lib_operations.c - every operation once through the driver that waits and once through
 * that of a loop, each on the same queue: they answer the same, and leave the same behind.
 *
 * The header of the operations says which there are; one that is in no row fails the test.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>
#include <uv.h>

#include "../support/files.h"
#include "../support/jobs.h"
#include "lib/events/operations.h"
#include "lib/events/stream.h"
#include "lib/queue/operations.h"
#include "lib/queue/queue.h"
#include "lib/queue/send.h"
#include "lib/wire/url.h"

/* What operations fill. */
static struct out {
    int64_t number, numbers[2];
    int small, pair[2], results[4];
    char *text;
    void *list; /* of texts, jobs .. */
    size_t count;
    ox_job *job;
    ox_dead *letter;
    ox_counts counts;
    ox_place place;
    ox_queue_info info;
    ox_metrics *metrics;
    ox_stream_settings settings;
    ox_stream_info stream;
    ox_group_moved moved;
    redisReply *reply;
    GString *ids; /* that were told */
} out;

static void removed(void *arg, const char *id)
{
    (void)arg;
    g_string_append_printf(out.ids, "%s,", id);
}

#define FLOW                                                                                   \
    "{\"name\":\"n\",\"opts\":{\"jobId\":\"top\"},\"children\":[{\"name\":\"n\",\"opts\":{"    \
    "\"jobId\":\"low\"}}]}"

/* Of which all times are far away, so that they are the same in both runs. */
#define FAR_MS 4000000000000
static const ox_schedule schedule = { .every_ms = 3600000, .start_ms = FAR_MS };
static const ox_new_job plain = { .name = "n", .json = "{\"a\":1}" };
static const ox_job_options late_options = { .id = "late", .delay_ms = 3600000 };
static const ox_new_job late = { .name = "n", .options = &late_options };
static const uint32_t priorities[] = { 0, 1 };
static const char *const ids[] = { "1", "none", "meta", "4" };

static ox_stream *stream;
static const ox_binding bound = {
    .pattern = "a.*", .queue = "q", .options = "{\"attempts\":2}"
};
static const char *const letters[] = { "1-2", "1-9" };
static const ox_stream_settings changed = { .keep_events = 7 };

/* The stream needs more of it than it has at first. */
static struct ox__publish_call *publish_call(void)
{
    static struct ox__lines lines;
    static struct ox__call_form form;
    static struct ox__publish_call call;
    const ox_new_event event = { .type = "c" };
    struct ox__event_maker maker = { .source = "/s" };
    ox__lines_done(&lines);
    ox__deflater_done(&form.deflater);
    form.needs = 0;
    assert_int_equal(ox__lines_add(&lines, &maker, &event, NULL), 0);
    call = (struct ox__publish_call){ .lines = &lines, .form = &form, .count = 1 };
    return &call;
}

/* X(operation, its arguments); `query`, `at`, that of the stream and `err` are at hand. */
#define OPERATIONS(X)                                                                          \
    X(streams, (query, NULL, (char ***)&out.list, &out.count, err))                            \
    X(install, (query))                                                                        \
    X(publish, (query, &stream->at, publish_call(), err))                                      \
    X(bind, (query, &stream->at, &bound, err))                                                 \
    X(bind, (query, &stream->at, &(ox_binding){ .pattern = "." }, err))                        \
    X(unbind, (query, &stream->at, "b", "q", err))                                             \
    X(bindings, (query, &stream->at, "b", (ox_binding ***)&out.list, &out.count, err))         \
    X(bindings, (query, &stream->at, NULL, (ox_binding ***)&out.list, &out.count, err))        \
    X(stream_settings, (query, &stream->at, &out.settings))                                    \
    X(stream_set, (query, &stream->at, &changed, OX_SET_KEEP_EVENTS, err))                     \
    X(stream_set, (query, &stream->at, &changed, OX_SET_MAX_EVENT, err))                       \
    X(stream_info, (query, &stream->at, &out.stream))                                          \
    X(stream_trim, (query, &stream->at, 1, 0, &out.number, err))                               \
    X(group_create, (query, &stream->at, "h", "start", err))                                   \
    X(group_create, (query, &stream->at, "h", "1-9", err))                                     \
    X(group_create, (query, &stream->at, "h", "x", err))                                       \
    X(group_seek, (query, &stream->at, "g", "start", &out.moved, err))                         \
    X(group_seek, (query, &stream->at, "none", "start", NULL, err))                            \
    X(group_members,                                                                           \
        (query, &stream->at, "g", (ox_group_member ***)&out.list, &out.count, err))            \
    X(group_members, (query, &stream->at, "none", (ox_group_member ***)&out.list, NULL, err))  \
    X(group_list, (query, &stream->at, (ox_group_info ***)&out.list, &out.count))              \
    X(dead_list, (query, &stream->at, "g", NULL, 0, (ox_dead ***)&out.list, &out.count, err))  \
    X(dead_list, (query, &stream->at, "g", "x", 0, (ox_dead ***)&out.list, NULL, err))         \
    X(dead_get, (query, &stream->at, "g", "1-2", &out.letter, err))                            \
    X(dead_get, (query, &stream->at, "g", "1-9", &out.letter, err))                            \
    X(dead_retry, (query, &stream->at, "g", NULL, 0, &out.number, err))                        \
    X(dead_retry, (query, &stream->at, "g", letters, 2, &out.number, err))                     \
    X(replay, (query, &stream->at, "g"))                                                       \
    X(dead_remove, (query, &stream->at, "g", NULL, 0, &out.number, err))                       \
    X(dead_remove, (query, &stream->at, "g", letters, 2, &out.number, err))                    \
    X(group_remove, (query, &stream->at, "g", false, err))                                     \
    X(stream_remove, (query, &stream->at, false, err))                                         \
    X(log, (query, &stream->at, "0", 1, &out.reply))                                           \
    X(newest_entry, (query, &stream->at, "+", &out.reply))                                     \
    X(existing, (query, at, "1", &out.number))                                                 \
    X(existing, (query, at, "none", &out.number))                                              \
    X(queues, (query, NULL, (char ***)&out.list, &out.count, err))                             \
    X(queues, (query, "other", (char ***)&out.list, &out.count, err))                          \
    X(time, (query, &out.numbers[0]))                                                          \
    X(wait_durable, (query, false, 0, 1, out.pair))                                            \
    X(add, (query, at, &plain, &out.text, err))                                                \
    X(add, (query, at, &late, &out.text, err))                                                 \
    X(add, (query, at, &(ox_new_job){ .name = NULL }, &out.text, err))                         \
    X(flow, (query, NULL, "q", FLOW, &out.text, err))                                          \
    X(flow, (query, NULL, NULL, FLOW, &out.text, err))                                         \
    X(scheduler_set, (query, at, "new", &schedule, NULL, &out.text, err))                      \
    X(job, (query, at, "2", &out.job, &out.small, err))                                        \
    X(job, (query, at, "none", &out.job, NULL, err))                                           \
    X(job_state, (query, at, "4", err))                                                        \
    X(place, (query, at, "2", &out.place, err))                                                \
    X(jobs, (query, at, OX_WAITING, 0, -1, true, (ox_job ***)&out.list, &out.count, err))      \
    X(jobs, (query, at, OX_FAILED, 0, -1, false, (ox_job ***)&out.list, &out.count, err))      \
    X(jobs, (query, at, 77, 0, -1, false, (ox_job ***)&out.list, &out.count, err))             \
    X(counts, (query, at, &out.counts))                                                        \
    X(counts_by_priority, (query, at, priorities, 2, out.numbers, err))                        \
    X(logs, (query, at, "4", 0, -1, (char ***)&out.list, &out.count, &out.number, err))        \
    X(logs, (query, at, "9", 0, -1, (char ***)&out.list, NULL, NULL, err))                     \
    X(children, (query, at, "p", (ox_child ***)&out.list, &out.count, err))                    \
    X(info, (query, at, &out.info))                                                            \
    X(metrics, (query, at, OX_COMPLETED, &out.metrics, err))                                   \
    X(workers, (query, at, (ox_worker_info ***)&out.list, &out.count))                         \
    X(schedulers, (query, at, 0, -1, (ox_scheduler ***)&out.list, &out.count, err))            \
    X(retry, (query, at, "4", OX_FAILED, OX_RESET_ATTEMPTS_MADE, err))                         \
    X(retry, (query, at, "3", OX_FAILED, 0, err))                                              \
    X(retry_all, (query, at, OX_COMPLETED, 0, &out.number, err))                               \
    X(promote, (query, at, "3", err))                                                          \
    X(promote, (query, at, "1", err))                                                          \
    X(promote_all, (query, at, &out.number, err))                                              \
    X(remove, (query, at, "1", false, err))                                                    \
    X(remove, (query, at, "p", true, err))                                                     \
    X(remove, (query, at, "none", true, err))                                                  \
    X(remove_many, (query, at, ids, 4, out.results, &out.number, err))                         \
    X(cancel, (query, at, "6", "why", err))                                                    \
    X(cancel, (query, at, "1", NULL, err))                                                     \
    X(update_data, (query, at, "1", "[1]", err))                                               \
    X(update_progress, (query, at, "1", "50", err))                                            \
    X(add_log, (query, at, "4", "row", 2, &out.number, err))                                   \
    X(clear_logs, (query, at, "4", 1, err))                                                    \
    X(change_priority, (query, at, "1", 7, false, err))                                        \
    X(change_delay, (query, at, "3", 7200000, err))                                            \
    X(change_delay, (query, at, "1", 1, err))                                                  \
    X(remove_child_dependency, (query, at, "c", err))                                          \
    X(remove_dedup, (query, at, "d", err))                                                     \
    X(pause, (query, at, err))                                                                 \
    X(resume, (query, at, err))                                                                \
    X(is_paused, (query, at))                                                                  \
    X(set_concurrency, (query, at, 3))                                                         \
    X(set_rate, (query, at, 3, 1000, err))                                                     \
    X(rate_limit, (query, at, 3600000, err))                                                   \
    X(drain, (query, at, true, &out.number, err))                                              \
    X(clean, (query, at, OX_FAILED, 0, 0, removed, NULL, &out.number, err))                    \
    X(obliterate, (query, at, false, err))                                                     \
    X(scheduler_remove, (query, at, "s", err))                                                 \
    X(job_end, (query, at, "4", &out.text, err))                                               \
    X(job_end, (query, at, "none", &out.text, err))                                            \
    X(last_event, (query, at, &out.reply))                                                     \
    X(events, (query, at, "0", 1, &out.reply))                                                 \
    X(newest_events, (query, at, 5, &out.reply))

/* Encodes the row of that number. */
static int encode(
    int row, struct ox__query *query, const struct ox__queue_at *at, ox_error *err)
{
    int i = 0;
#define TRY(name, arguments)                                                                   \
    if (i++ == row)                                                                            \
        return ox__##name##_query arguments;
    OPERATIONS(TRY)
    return OX_EINVAL;
}

static const char *const names[] = {
#define NAME(name, arguments) #name,
    OPERATIONS(NAME)
};

/* ---- the queue --------------------------------------------------------------------------- */

/* Jobs 1 and 2 wait, 3 is delayed, 4 has failed, 5 has completed, 6 is active, p waits for its
 * child c. */
static void fill(struct test_queue *q)
{
    const ox_job_options delayed = { .delay_ms = 3600000 };
    const ox_job_options dedup = { .dedup = { .id = "d" } };
    ox_error err = { 0 };
    run("FLUSHALL");
    g_free(test_add(q->queue, "one", NULL));
    g_free(test_add(q->queue, "two", &dedup));
    g_free(test_add(q->queue, "three", &delayed));
    g_free(test_add_failed(q->queue, "why"));
    g_free(test_add_completed(q->queue, "[1]"));
    test_ok(ox_queue_add_log(q->queue, "4", "a", 0, &err), &err);
    test_ok(ox_queue_add_log(q->queue, "4", "b", 0, &err), &err);
    test_ok(ox_flow_add(q->client, NULL, "q",
                "{\"name\":\"n\",\"opts\":{\"jobId\":\"p\"},\"children\":[{\"name\":\"n\","
                "\"opts\":{\"jobId\":\"c\"}}]}",
                NULL, &err),
        &err);
    g_free(test_add(q->queue, "six", NULL));
    run("LREM bull:q:wait 1 6");
    run("LPUSH bull:q:active 6");
    test_ok(ox_stream_publish(stream, &(ox_new_event){ .type = "b" }, NULL, &err), &err);
    test_ok(ox_stream_publish(stream, &(ox_new_event){ .type = "b" }, NULL, &err), &err);
    test_ok(ox_stream_bind(stream, &(ox_binding){ .pattern = "b", .queue = "q" }, &err), &err);
    test_ok(ox_group_create(stream, "g", NULL, &err), &err);
    run("XGROUP CREATECONSUMER bull::ox:{events}:log g m");
    run("XADD bull::ox:{events}:g:dead 1-1 e {} p 1-1 r why");
    run("XADD bull::ox:{events}:g:dead 1-2 e {} p 1-2 r why");
    test_ok(ox_scheduler_set(q->queue, "s", &schedule, NULL, NULL, &err), &err);
}

/* All keys with their types and sizes, and the events. */
static char *describe_server(void)
{
    static const char *const script =
        "local all = redis.call('KEYS', '*') table.sort(all) local text = '' "
        "local size = { list = 'LLEN', hash = 'HLEN', set = 'SCARD', zset = 'ZCARD', "
        "stream = 'XLEN', string = 'STRLEN' } "
        "for _, key in ipairs(all) do local kind = redis.call('TYPE', key).ok "
        "text = text .. key .. ' ' .. kind .. ' ' .. redis.call(size[kind], key) .. '\\n' end "
        "return text";
    g_autofree char *keys = test_redis_text(redis, "EVAL %s 0", script);
    g_autofree char *events = test_events(redis, "bull:q:");
    g_autoptr(GRegex) due = g_regex_new("delay=\\d+", 0, 0, NULL);
    g_autofree char *timeless = g_regex_replace_literal(due, events, -1, 0, "", 0, NULL);
    return g_strconcat(keys, timeless, NULL);
}

/* ---- what was answered ------------------------------------------------------------------- */

static void describe_reply(GString *text, const redisReply *reply)
{
    g_string_append_printf(text, "reply %d:%zu;", reply->type, reply->elements);
}

static void describe_job(GString *text, const ox_job *job)
{
    g_string_append_printf(text, "job %s %s;", ox_job_id(job), ox_job_text(job, OX_JOB_NAME));
}

static void describe_list(GString *text, const char *name)
{
    for (size_t i = 0; i < out.count; i++) {
        void *item = ((void **)out.list)[i];
        if (!strcmp(name, "jobs"))
            describe_job(text, item);
        else if (!strcmp(name, "children"))
            g_string_append_printf(text, "child %s;", ((ox_child *)item)->key);
        else if (!strcmp(name, "schedulers"))
            g_string_append_printf(text, "scheduler %s %" G_GINT64_FORMAT ";",
                ((ox_scheduler *)item)->id, ((ox_scheduler *)item)->next_ms);
        else if (!strcmp(name, "bindings"))
            g_string_append_printf(
                text, "%s %s;", ((ox_binding *)item)->pattern, ((ox_binding *)item)->queue);
        else if (!strcmp(name, "dead_list"))
            g_string_append_printf(
                text, "%s: %s;", ((ox_dead *)item)->id, ((ox_dead *)item)->reason);
        else if (!strcmp(name, "group_list"))
            g_string_append_printf(text, "%s lag %d;", ((ox_group_info *)item)->name,
                (int)((ox_group_info *)item)->lag);
        else if (!strcmp(name, "group_members"))
            g_string_append_printf(text, "%s has %d;", ((ox_group_member *)item)->name,
                (int)((ox_group_member *)item)->pending);
        else if (strcmp(name, "workers") != 0)
            g_string_append_printf(text, "%s;", (char *)item);
    }
    assert_null(((void **)out.list)[out.count]);
}

/* What the operation filled, in words; forgets it. */
static char *describe(const char *name, int rc, const ox_error *err)
{
    GString *text = g_string_new(NULL);
    g_string_append_printf(text, "%d %s;", rc, rc < 0 ? err->text : "");
    if (strcmp(name, "time") != 0)
        g_string_append_printf(
            text, "%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT ";", out.numbers[0], out.numbers[1]);
    g_string_append_printf(text,
        "%" G_GINT64_FORMAT ",%d,%d;%s;%zu;%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT ";%s;",
        out.number, out.small, out.pair[1], out.text ? out.text : "", out.count,
        out.place.ahead, out.place.lock_left_ms, out.ids->str);
    for (int i = 0; i < OX_STATE_COUNT; i++)
        g_string_append_printf(text, "%" G_GINT64_FORMAT ",", out.counts.of[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(out.results); i++)
        g_string_append_printf(text, "%d,", out.results[i]);
    g_string_append_printf(text, "info %" G_GINT64_FORMAT ";", out.info.next_id);
    g_string_append_printf(text,
        "stream %" G_GINT64_FORMAT ",%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT ";",
        out.stream.events, out.stream.published, out.settings.keep_ms);
    g_string_append_printf(text, "moved %d;", (int)out.moved.lag);
    if (out.list)
        describe_list(text, name);
    if (out.job)
        describe_job(text, out.job);
    if (out.letter)
        g_string_append_printf(text, "letter %s;", out.letter->id);
    if (out.metrics)
        g_string_append_printf(text, "metrics %" G_GINT64_FORMAT ";", out.metrics->count);
    if (out.reply)
        describe_reply(text, out.reply);
    ox_list_free(out.list);
    ox_job_free(out.job);
    ox_free(out.letter);
    ox_free(out.metrics);
    ox_free(out.text);
    ox__free_reply(&out.reply);
    g_string_free(out.ids, TRUE);
    return g_string_free(text, FALSE);
}

/* ---- both ways --------------------------------------------------------------------------- */

static void begin(struct test_queue *q)
{
    fill(q);
    memset(&out, 0, sizeof(out));
    out.ids = g_string_new(NULL);
}

static char *run_waiting(struct test_queue *q, int row)
{
    ox_error err = { 0 };
    struct ox__query query = { .at = NULL };
    begin(q);
    int rc = encode(row, &query, &q->queue->at, &err);
    rc = rc < 0 ? rc : ox__run(q->client, &query, &err);
    ox__query_done(&query);
    return describe(names[row], rc, &err);
}

struct loop {
    uv_loop_t uv;
    struct ox__link *link;
    bool done, closed;
    int rc;
    ox_error err;
};

static void on_sent(struct ox__sending *sending, int rc, const ox_error *err)
{
    struct loop *loop = sending->arg;
    loop->done = true;
    loop->rc = rc;
    if (err)
        loop->err = *err;
}

static void on_closed(void *arg)
{
    ((struct loop *)arg)->closed = true;
}

static char *run_looping(struct test_queue *q, struct loop *loop, int row)
{
    struct ox__sending sending = { .done = on_sent, .arg = loop };
    begin(q);
    loop->done = false;
    loop->rc = encode(row, &sending.query, &q->queue->at, &loop->err);
    if (loop->rc == 0) {
        assert_int_equal(ox__send(loop->link, &sending, &loop->err), 1);
        assert_false(loop->done); /* never inside the call */
        while (!loop->done)
            uv_run(&loop->uv, UV_RUN_ONCE);
    }
    ox__sending_done(&sending);
    return describe(names[row], loop->rc, &loop->err);
}

static void open_loop(struct loop *loop)
{
    ox_error err = { 0 };
    struct ox__url url;
    memset(loop, 0, sizeof(*loop));
    uv_loop_init(&loop->uv);
    test_ok(ox__url_parse(&url, test_redis_url(redis), &err), &err);
    const struct ox__link_options options = {
        .url = &url, .connect_timeout_ms = 5000, .command_timeout_ms = 5000
    };
    test_ok(ox__link_new(&loop->link, &loop->uv, &options, &err), &err);
    ox__url_done(&url);
    ox__link_start(loop->link);
}

static void close_loop(struct loop *loop)
{
    ox__link_close(loop->link, on_closed, loop);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    assert_true(loop->closed);
    assert_int_equal(uv_loop_close(&loop->uv), 0);
}

static void both_drivers_do_the_same(void **state)
{
    struct test_queue *q = *state;
    struct loop loop;
    ox_error err = { 0 };
    test_ok(ox_stream_new(&stream, q->client, NULL, NULL, &err), &err);
    open_loop(&loop);
    for (int row = 0; row < (int)G_N_ELEMENTS(names); row++) {
        g_autofree char *waited = run_waiting(q, row);
        g_autofree char *left = describe_server();
        g_autofree char *looped = run_looping(q, &loop, row);
        g_autofree char *left_too = describe_server();
        if (strcmp(waited, looped) != 0)
            test_fatal("row %d, %s: %s, but from a loop %s", row, names[row], waited, looped);
        if (strcmp(left, left_too) != 0)
            test_fatal(
                "row %d, %s: left %s, but from a loop %s", row, names[row], left, left_too);
    }
    close_loop(&loop);
    ox_stream_free(stream);
}

static size_t expect_rows_of(const char *path)
{
    g_autofree char *header = test_read(path, NULL);
    g_autoptr(GRegex) regex = g_regex_new("\\box__(\\w+)_query\\(", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    size_t operations = 0;
    assert_non_null(header);
    for (g_regex_match(regex, header, 0, &match); g_match_info_matches(match);
         g_match_info_next(match, NULL), operations++) {
        g_autofree char *name = g_match_info_fetch(match, 1);
        bool found = false;
        for (size_t i = 0; i < G_N_ELEMENTS(names) && !found; i++)
            found = strcmp(names[i], name) == 0;
        if (!found)
            test_fatal("%s of %s is in no row", name, path);
    }
    return operations;
}

static void every_operation_has_a_row(void **state)
{
    (void)state;
    assert_true(expect_rows_of("lib/queue/operations.h") > 40);
    assert_true(expect_rows_of("lib/events/operations.h") > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(both_drivers_do_the_same),
        cmocka_unit_test(every_operation_has_a_row),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
