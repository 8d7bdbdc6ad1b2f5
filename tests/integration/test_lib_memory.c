/*
 * test_lib_memory.c - libox when memory is out: every operation is made again and again, and
 * each time another of its allocations fails, alone or with all that follow.
 *
 * The program is linked so that libox asks here for memory (see WRAP in the Makefile), and so
 * does jansson. GLib, hiredis and libuv are left alone: two of them end the program when they
 * get none. What leaks, the sanitizers tell.
 */
#include "../support/check.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../support/engine.h"
#include "../support/jobs.h"

/* ---- memory ------------------------------------------------------------------------------ */

static struct {
    bool armed, alone; /* alone: the next ones are served again */
    long left;         /* so many are served before */
    long failed;
} memory;

static bool is_out(void)
{
    if (!memory.armed || memory.left-- > 0)
        return false;
    memory.armed = !memory.alone;
    memory.failed++;
    errno = ENOMEM;
    return true;
}

static void arm(long served, bool alone)
{
    memory.left = served;
    memory.alone = alone;
    memory.failed = 0;
    memory.armed = true;
}

/* Returns whether any allocation failed. */
static bool disarm(void)
{
    memory.armed = false;
    return memory.failed > 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);

void *__wrap_malloc(size_t size)
{
    return is_out() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_out() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_out() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return is_out() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
    return is_out() ? NULL : __real_strndup(text, size);
}

/* ---- blocking operations ----------------------------------------------------------------- */

static struct test_queue *q;

/* What an operation hands over is freed here, whatever came. */

static int64_t connect_and_add(ox_error *err)
{
    const ox_client_options to = { .url = test_redis_url(redis) };
    const ox_queue_options options = { .prefix = "other" };
    ox_client *client = NULL;
    ox_queue *queue = NULL;
    char *id = NULL;
    int rc = ox_client_new(&client, &to, err);
    if (rc == 0)
        rc = ox_queue_new(&queue, client, "r", &options, err);
    if (rc == 0)
        rc = ox_queue_add(queue, "first", "{}", NULL, &id, err);
    ox_free(id);
    ox_queue_free(queue);
    ox_client_free(client);
    return rc;
}

static int64_t add_with_everything(ox_error *err)
{
    const ox_job_options options = { .priority = 3,
        .delay_ms = 5,
        .attempts = 4,
        .backoff = { .type = "fixed", .delay_ms = 1, .jitter = 0.25 },
        .remove_on_fail = { .mode = OX_KEEP_SOME, .age_s = 5 },
        .parent = { .id = "9", .queue = "bull:q" },
        .on_failure = OX_CHILD_FAIL_PARENT,
        .telemetry = "t",
        .json = "{\"mine\":[1,{\"a\":\"b\"}],\"keepLogs\":3}" };
    char *id = NULL;
    int rc = ox_queue_add(q->queue, "n", "{\"a\":1}", &options, &id, err);
    ox_free(id);
    return rc;
}

/* All of a stream: bound, published to, listed, followed, replayed. */
static int64_t publish_and_follow(ox_error *err)
{
    const ox_job_options twice = { .attempts = 2 };
    const ox_binding binding = { .pattern = "a.*", .queue = "q", .job = &twice };
    const ox_new_event events[] = { { .type = "a.b", .json = "[1]", .subject = "s" },
        { .id = "1", .event = "{\"type\":\"a.c\",\"ext\":true,\"data\":{ }}" } };
    const ox_tail_options from = { .from = "start", .pattern = "a.>" };
    const ox_replay_options again = { .queue = "again", .holes = true, .job = &twice };
    ox_stream *stream = NULL;
    ox_tail *tail = NULL;
    ox_binding **bindings = NULL;
    char **names = NULL;
    ox_stream_event event;
    int rc = ox_stream_new(&stream, q->client, NULL, NULL, err);
    if (rc == 0)
        rc = ox_stream_bind(stream, &binding, err) < 0 ? err->code : 0;
    if (rc == 0)
        rc = ox_stream_publish_many(stream, events, 2, NULL, err);
    if (rc == 0)
        rc = ox_stream_bindings(stream, &bindings, NULL, err);
    if (rc == 0)
        rc = ox_client_streams(q->client, NULL, &names, NULL, err);
    if (rc == 0)
        rc = ox_tail_new(&tail, stream, &from, err);
    for (int i = 0; rc >= 0 && i < 2; i++)
        rc = ox_tail_next(tail, 1000, &event, err);
    if (rc >= 0)
        rc = ox_stream_replay(stream, &again, NULL, err);
    ox_list_free(bindings);
    ox_list_free(names);
    ox_tail_free(tail);
    ox_stream_free(stream);
    return rc;
}

/* A group with a dead letter: listed, read, run again, removed. */
static int64_t bury_and_retry(ox_error *err)
{
    ox_stream *stream = NULL;
    ox_group_info **groups = NULL;
    ox_dead **all = NULL, *one = NULL;
    int64_t rc = ox_stream_new(&stream, q->client, NULL, NULL, err);
    test_redis_do(redis, "XADD bull::ox:{events}:g:dead * e {\"type\":\"a\"} p 1-1 r why");
    if (rc == 0)
        rc = ox_group_create(stream, "g", "start", err);
    if (rc >= 0)
        rc = ox_group_list(stream, &groups, NULL, err);
    if (rc == 0)
        rc = ox_dead_list(stream, "g", NULL, 0, &all, NULL, err);
    if (rc == 0)
        rc = ox_dead_get(stream, "g", all[0]->id, &one, err);
    if (rc == 0)
        rc = ox_dead_retry(stream, "g", NULL, 0, err);
    if (rc >= 0)
        rc = ox_dead_remove(stream, "g", NULL, 0, err);
    ox_list_free(groups);
    ox_list_free(all);
    ox_free(one);
    ox_stream_free(stream);
    return rc;
}

static int64_t add_many(ox_error *err)
{
    const ox_job_options held = { .dedup = { .id = "d", .ttl_ms = 5 } };
    ox_new_job jobs[130];
    char *ids[130] = { NULL };
    for (size_t i = 0; i < G_N_ELEMENTS(jobs); i++)
        jobs[i] = (ox_new_job){ .name = "n", .options = i % 100 == 7 ? &held : NULL };
    int rc = ox_queue_add_bulk(q->queue, jobs, G_N_ELEMENTS(jobs), ids, err);
    for (size_t i = 0; i < G_N_ELEMENTS(jobs); i++)
        ox_free(ids[i]);
    return rc;
}

static int64_t add_flow(ox_error *err)
{
    char *id = NULL;
    int rc = ox_flow_add(q->client, NULL, "q",
        "{\"name\":\"top\",\"children\":[{\"name\":\"a\",\"opts\":{\"jobId\":\"own\"}},"
        "{\"name\":\"b\",\"data\":[1],\"opts\":{\"attempts\":2,\"x\":1},"
        "\"children\":[{\"name\":\"c\",\"queueName\":\"r\"}]}]}",
        &id, err);
    ox_free(id);
    return rc;
}

static int64_t schedule(ox_error *err)
{
    const ox_schedule cron = { .pattern = "0 * * * *", .tz = "Europe/Berlin" };
    const ox_new_job job = { .name = "n", .json = "[1]" };
    ox_scheduler **list = NULL;
    char *id = NULL;
    int rc = ox_scheduler_set(q->queue, "s", &cron, &job, &id, err);
    if (rc == 0)
        rc = ox_queue_schedulers(q->queue, 0, -1, &list, NULL, err);
    ox_list_free(list);
    ox_free(id);
    return rc < 0 ? rc : ox_scheduler_remove(q->queue, "s", err);
}

static int64_t read_one(ox_error *err)
{
    ox_job *job = NULL;
    char **rows = NULL;
    ox_child **children = NULL;
    size_t count = 0;
    int64_t total = 0;
    int rc = ox_queue_job(q->queue, "1", &job, NULL, err);
    if (rc == 0)
        rc = ox_job_attempts(job) > 0 ? 0 : OX_EDATA;
    if (rc == 0)
        rc = ox_queue_logs(q->queue, "1", 0, -1, &rows, &count, &total, err);
    if (rc == 0)
        rc = ox_queue_children(q->queue, "1", &children, NULL, err);
    ox_job_free(job);
    ox_list_free(rows);
    ox_list_free(children);
    return rc;
}

static int64_t read_many(ox_error *err)
{
    ox_job **jobs = NULL;
    ox_counts counts;
    size_t count = 0;
    int rc = ox_queue_jobs(q->queue, OX_WAITING, 0, -1, true, &jobs, &count, err);
    ox_list_free(jobs);
    return rc < 0 ? rc : ox_queue_counts(q->queue, &counts, err);
}

static int64_t read_queue(ox_error *err)
{
    ox_queue_info info;
    ox_metrics *metrics = NULL;
    ox_worker_info **workers = NULL;
    char **names = NULL;
    size_t count = 0, workers_count = 0;
    int rc = ox_queue_info_get(q->queue, &info, err);
    if (rc == 0)
        rc = ox_queue_metrics(q->queue, OX_COMPLETED, &metrics, err);
    if (rc == 0)
        rc = ox_queue_workers(q->queue, &workers, &workers_count, err);
    if (rc == 0)
        rc = ox_client_queues(q->client, NULL, &names, &count, err);
    ox_free(metrics);
    ox_list_free(workers);
    ox_list_free(names);
    return rc;
}

static int64_t follow(ox_error *err)
{
    ox_events *events = NULL;
    ox_event event;
    int rc = ox_events_new(&events, q->queue, "0", err);
    for (int i = 0; rc >= 0 && i < 3; i++)
        rc = ox_events_next(events, 10, &event, err);
    ox_events_free(events);
    return rc;
}

static int64_t wait_for_one(ox_error *err)
{
    char *json = NULL;
    int rc = ox_queue_wait(q->queue, "1", 0, &json, err);
    ox_free(json);
    return rc;
}

static int64_t change(ox_error *err)
{
    int64_t rc = ox_queue_retry(q->queue, "1", OX_COMPLETED, 0, err);
    if (rc == 0)
        rc = ox_queue_change_priority(q->queue, "1", 4, false, err);
    if (rc == 0)
        rc = ox_queue_update_data(q->queue, "1", "{}", err);
    if (rc == 0)
        rc = ox_queue_add_log(q->queue, "1", "row", 0, err);
    return rc < 0 ? rc : ox_queue_remove(q->queue, "1", true, err);
}

static int64_t steer(ox_error *err)
{
    int64_t rc = ox_queue_pause(q->queue, err);
    if (rc == 0)
        rc = ox_queue_clean(q->queue, OX_WAITING, 0, 0, NULL, NULL, err);
    return rc < 0 ? rc : ox_queue_obliterate(q->queue, true, err);
}

/* Job 1 has ended; 2 to 4 wait; 9 is somebody's parent. */
static void fill(void)
{
    g_free(test_add_completed(q->queue, "[1]"));
    for (int i = 0; i < 3; i++)
        g_free(test_add(q->queue, "n", NULL));
    test_redis_do(redis, "RPUSH bull:q:1:logs a b");
    test_redis_do(redis, "HSET bull:q:1:processed bull:q:5 1");
    test_redis_do(redis, "HSET bull:q:9 name parent data {} opts {}");
}

static void expect_told(const char *name, int64_t rc, const ox_error *err, long served)
{
    if (rc < 0 && (err->code != rc || strlen(err->text) == 0))
        test_fatal("%s, %ld served: %lld without a text", name, served, (long long)rc);
}

/* True when the operation did not get as far as to an allocation that fails. */
static bool tried(
    const char *name, int64_t (*operation)(ox_error *err), long served, bool alone)
{
    ox_error err = { 0 };
    ox_counts counts;
    q = test_queue_new(redis, NULL); /* none has memory left from the last time */
    fill();
    ox_queue_free(q->queue);
    test_ok(ox_queue_new(&q->queue, q->client, "q", NULL, &err), &err);
    arm(served, alone);
    int64_t rc = operation(&err);
    bool failed = disarm();
    expect_told(name, rc, &err, served);
    if (!failed && rc < 0)
        test_fatal("%s: %s", name, err.text);
    if (failed && rc >= 0 && !alone)
        test_fatal("%s, %ld served: well without memory", name, served);
    /* It can all be used as before. */
    test_ok(ox_queue_counts(q->queue, &counts, &err), &err);
    test_queue_free(q);
    return !failed;
}

static void torture(const char *name, int64_t (*operation)(ox_error *err))
{
    for (int alone = 0; alone < 2; alone++) {
        long served = 0;
        while (!tried(name, operation, served, alone == 1))
            served++;
        assert_true(served > 0);
    }
}

#define TORTURE(operation)                                                                     \
    static void operation##_without_memory(void **state)                                       \
    {                                                                                          \
        (void)state;                                                                           \
        torture(#operation, operation);                                                        \
    }
TORTURE(connect_and_add)
TORTURE(add_with_everything)
TORTURE(add_many)
TORTURE(publish_and_follow)
TORTURE(bury_and_retry)
TORTURE(add_flow)
TORTURE(schedule)
TORTURE(read_one)
TORTURE(read_many)
TORTURE(read_queue)
TORTURE(follow)
TORTURE(wait_for_one)
TORTURE(change)
TORTURE(steer)

/* ---- a worker ---------------------------------------------------------------------------- */

/* Those without a schedule have ended, and a schedule's job is due some time. */
static bool all_ended(void)
{
    long long ended = 0;
    for (int id = 2; id <= 5; id++)
        ended += test_redis_int(engine->redis, "HEXISTS bull:q:%d finishedOn", id);
    return ended == 4 && engine_size("LLEN", "active") == 0 &&
           engine_size("ZCARD", "delayed") == 1;
}

/* Jobs of every kind, one of them with a schedule, are run by a worker that has no memory at
 * one moment. Whatever it could not do then is done later: by it, or when the lease is over. */
static bool ran(long served)
{
    const ox_job_options again = { .attempts = 2,
        .backoff = { .type = "fixed", .delay_ms = 1 } };
    const ox_schedule often = { .every_ms = 3600000 };
    const ox_new_job job = { .name = "talk" };
    ox_error err = { 0 };
    test_redis_do(engine->redis, "FLUSHALL");
    test_ok(ox_scheduler_set(engine->queue, "s", &often, &job, NULL, &err), &err);
    engine_add_many("ok", 1, NULL);
    engine_add_many("talk", 1, NULL);
    engine_add_many("fail", 1, &again);
    engine_add_many("children", 1, NULL);
    arm(served, true);
    if (engine_try_start(&err) < 0) {
        bool failed = disarm();
        assert_true(failed);
        expect_told("worker", err.code, &err, served);
        uv_run(&engine->loop, UV_RUN_DEFAULT);
        engine->worker = NULL;
        return false;
    }
    if (!engine_turn_until(all_ended, ENGINE_DEADLINE_MS))
        test_fatal("%ld served: a job is stuck; %s", served, engine->last_error);
    engine_close();
    engine_expect_clean();
    return !disarm();
}

static void a_worker_without_memory(void **state)
{
    long served = 0;
    (void)state;
    engine->options.lock_ms = 60;
    engine->options.renew_ms = 20;
    engine->options.stalled_interval_ms = 20;
    engine->options.drain_delay_ms = 50;
    engine->options.max_stalled = -1;
    engine->options.concurrency = 5;
    while (!ran(served))
        served++;
    assert_true(served > 0);
}

static bool memory_has_failed(void)
{
    return memory.failed > 0;
}

static void an_abort_without_memory(void **state)
{
    (void)state;
    long failed = 0;
    for (long served = 0; served < 60; served += 3) {
        engine_add_many("talk", 3, NULL);
        engine_add_many("fail", 3, NULL);
        engine_start();
        arm(served, false);
        engine_turn_until(memory_has_failed, 500); /* or not: some jobs need less */
        engine_abort();
        failed += disarm();
    }
    assert_true(failed > 10);
}

static void *ask_malloc(size_t size)
{
    return malloc(size);
}

int main(void)
{
    json_set_alloc_funcs(ask_malloc, free);
#define BLOCKING(name)                                                                         \
    cmocka_unit_test_setup_teardown(name##_without_memory, test_server_up, test_server_down)
    const struct CMUnitTest tests[] = {
        BLOCKING(connect_and_add),
        BLOCKING(add_with_everything),
        BLOCKING(add_many),
        BLOCKING(publish_and_follow),
        BLOCKING(bury_and_retry),
        BLOCKING(add_flow),
        BLOCKING(schedule),
        BLOCKING(read_one),
        BLOCKING(read_many),
        BLOCKING(read_queue),
        BLOCKING(follow),
        BLOCKING(wait_for_one),
        BLOCKING(change),
        BLOCKING(steer),
        cmocka_unit_test_setup_teardown(a_worker_without_memory, engine_up, engine_down),
        cmocka_unit_test_setup_teardown(an_abort_without_memory, engine_up, engine_down),
    };
    return cmocka_run_group_tests_name("lib memory", tests, NULL, NULL);
}
