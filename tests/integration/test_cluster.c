/*
 * test_cluster.c - queues and streams on a server of a Redis Cluster: with a hash tag in the
 * prefix all works; without one a queue's keys are in several slots, which is refused before
 * anything is written.
 */
#include "../support/check.h"

#include <glib.h>
#include <ox.h>
#include <string.h>
#include <uv.h>

#include "../support/jobs.h"

#define WAIT_MS 20000
/* Data of so many bytes does not go through the script, see queue/add_large.h. */
#define LARGE 100000

static ox_client *client;

/* One node that has all slots. */
static int up(void **state)
{
    static const char *const args[] = { "--cluster-enabled", "yes", NULL };
    (void)state;
    ox_error err = { 0 };
    redis = test_redis_start(args);
    test_redis_do(redis, "CLUSTER ADDSLOTSRANGE 0 16383");
    const ox_client_options options = { .url = redis->url };
    test_ok(ox_client_new(&client, &options, &err), &err);
    int64_t end_us = g_get_monotonic_time() + WAIT_MS * 1000;
    bool is_up = false;
    while (!is_up && g_get_monotonic_time() < end_us) {
        g_autofree char *info = test_redis_text(redis, "CLUSTER INFO");
        is_up = strstr(info, "cluster_state:ok") != NULL;
    }
    assert_true(is_up);
    return 0;
}

static int down(void **state)
{
    (void)state;
    ox_client_free(client);
    test_redis_stop(redis);
    return 0;
}

static int empty(void **state)
{
    (void)state;
    test_redis_do(redis, "FLUSHALL");
    return 0;
}

static ox_queue *queue_of(const char *prefix)
{
    const ox_queue_options options = { .prefix = prefix };
    ox_queue *queue = NULL;
    ox_error err = { 0 };
    test_ok(ox_queue_new(&queue, client, "q", &options, &err), &err);
    return queue;
}

static ox_stream *stream_of(const char *prefix)
{
    const ox_stream_options options = { .prefix = prefix };
    ox_stream *stream = NULL;
    ox_error err = { 0 };
    test_ok(ox_stream_new(&stream, client, "events", &options, &err), &err);
    return stream;
}

static char *large_data(void)
{
    g_autofree char *text = g_strnfill(LARGE, 'x');
    return g_strdup_printf("{\"text\":\"%s\"}", text);
}

/* ---- queues ------------------------------------------------------------------------------ */

/* Ways to add that each have a script, or commands, of their own. */
static int add_so(ox_queue *queue, int way, ox_error *err)
{
    const ox_job_options later = { .delay_ms = 3600000 };
    const ox_new_job many[] = { { .name = "a", .json = "{}" }, { .name = "a", .json = "[]" } };
    char *ids[G_N_ELEMENTS(many)] = { NULL };
    g_autofree char *large = large_data();
    if (way == 0)
        return ox_queue_add(queue, "a", "{}", NULL, NULL, err);
    if (way == 1)
        return ox_queue_add(queue, "a", large, NULL, NULL, err);
    if (way == 2)
        return ox_queue_add(queue, "a", "{}", &later, NULL, err);
    int rc = ox_queue_add_bulk(queue, many, G_N_ELEMENTS(many), ids, err);
    for (size_t i = 0; i < G_N_ELEMENTS(many); i++)
        ox_free(ids[i]);
    return rc;
}
#define WAYS 4

static void without_a_tag_nothing_is_added(void **state)
{
    (void)state;
    ox_queue *queue = queue_of("bull");
    for (int way = 0; way < WAYS; way++) {
        ox_error err = { 0 };
        assert_int_equal(add_so(queue, way, &err), OX_ESERVER);
        assert_non_null(strstr(err.text, "CROSSSLOT"));
        assert_non_null(strstr(err.text, "a prefix with a hash tag, such as {bull}"));
        assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
    }
    ox_queue_free(queue);
}

static void on_ran(ox_task *task, void *arg)
{
    ++*(int *)arg;
    ox_task_complete(task, "{}");
}

static void run_all(ox_queue *queue, int count)
{
    const ox_worker_options options = { .concurrency = 20, .lock_after_ms = 30 };
    uv_loop_t loop;
    ox_worker *worker = NULL;
    ox_error err = { 0 };
    int ran = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    test_ok(ox_worker_new(&worker, &loop, queue, &options, on_ran, &ran, &err), &err);
    while (ran < count)
        uv_run(&loop, UV_RUN_ONCE);
    ox_worker_close(worker, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void with_a_tag_jobs_run(void **state)
{
    (void)state;
    ox_error err = { 0 };
    ox_queue *queue = queue_of("{bull}");
    for (int i = 0; i < 10; i++)
        for (int way = 0; way < WAYS; way++)
            test_ok(add_so(queue, way, &err), &err);
    run_all(queue, 40);
    assert_int_equal(test_redis_int(redis, "ZCARD {bull}:q:completed"), 40);
    assert_int_equal(test_redis_int(redis, "ZCARD {bull}:q:delayed"), 10);
    ox_queue_free(queue);
}

/* ---- streams ----------------------------------------------------------------------------- */

static void publish(ox_stream *stream, uint32_t jobs)
{
    const ox_new_event event = { .type = "car.posted", .json = "{}" };
    ox_published out = { 0 };
    ox_error err = { 0 };
    test_ok(ox_stream_publish(stream, &event, &out, &err), &err);
    assert_int_equal(out.jobs, jobs);
}

static void on_batch(ox_batch *batch, void *arg)
{
    *(size_t *)arg += ox_batch_count(batch);
    ox_batch_done(batch);
}

/* Publishes more while it reads, so that plain reads come as well as the first take. */
static void read_all(ox_stream *stream, size_t count)
{
    const ox_consumer_options options = { .from = "start" };
    uv_loop_t loop;
    ox_consumer *consumer = NULL;
    ox_error err = { 0 };
    size_t read = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    test_ok(
        ox_consumer_new(&consumer, &loop, stream, "g", &options, on_batch, &read, &err), &err);
    for (int more = 0; more < 20; more++, count++) {
        publish(stream, 0);
        uv_run(&loop, UV_RUN_ONCE);
    }
    while (read < count)
        uv_run(&loop, UV_RUN_ONCE);
    ox_consumer_close(consumer, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(read, count);
}

/* Its own keys have a tag, its name. */
static void without_a_tag_streams_work_but_bind_nothing(void **state)
{
    (void)state;
    const ox_binding binding = { .pattern = "car.*", .queue = "q" };
    ox_stream *stream = stream_of("bull");
    ox_error err = { 0 };
    publish(stream, 0);
    assert_int_equal(ox_stream_bind(stream, &binding, &err), OX_EINVAL);
    assert_non_null(strstr(err.text, "the queue is in another slot of the Redis Cluster"));
    assert_int_equal(test_redis_int(redis, "EXISTS bull::ox:{events}:binds"), 0);
    publish(stream, 0);
    read_all(stream, 2);
    assert_int_equal(test_redis_int(redis, "EXISTS bull:q:meta"), 0);
    ox_stream_free(stream);
}

static void with_a_tag_events_make_jobs(void **state)
{
    (void)state;
    const ox_binding binding = { .pattern = "car.*", .queue = "q" };
    ox_stream *stream = stream_of("{bull}");
    ox_queue *queue = queue_of("{bull}");
    ox_error err = { 0 };
    test_ok(ox_stream_bind(stream, &binding, &err), &err);
    publish(stream, 1);
    run_all(queue, 1);
    test_ok(ox_stream_unbind(stream, "car.*", "q", &err), &err);
    read_all(stream, 1);
    ox_queue_free(queue);
    ox_stream_free(stream);
}

#define ON_CLUSTER(test) cmocka_unit_test_setup(test, empty)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_CLUSTER(without_a_tag_nothing_is_added),
        ON_CLUSTER(with_a_tag_jobs_run),
        ON_CLUSTER(without_a_tag_streams_work_but_bind_nothing),
        ON_CLUSTER(with_a_tag_events_make_jobs),
    };
    return cmocka_run_group_tests(tests, up, down);
}
