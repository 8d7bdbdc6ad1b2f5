/*
 * test_lib_send.c - operations sent from a loop, several of them on the way at a time.
 * (test_lib_operations.c compares each of them with the blocking call.)
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>
#include <uv.h>

#include "../support/jobs.h"
#include "lib/queue/operations.h"
#include "lib/queue/queue.h"
#include "lib/queue/send.h"
#include "lib/wire/url.h"

struct loop {
    uv_loop_t uv;
    struct ox__link *link;
    int open; /* sendings without their `done` */
    char order[16];
};

static void on_link_closed(void *arg)
{
    *(bool *)arg = true;
}

static void loop_start(struct loop *loop)
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

static void loop_stop(struct loop *loop)
{
    bool closed = false;
    ox__link_close(loop->link, on_link_closed, &closed);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    assert_true(closed);
    assert_int_equal(uv_loop_close(&loop->uv), 0);
}

struct sent {
    struct ox__sending sending;
    struct loop *loop;
    char letter;
    int rc;
    ox_error err;
};

static void on_sent(struct ox__sending *sending, int rc, const ox_error *err)
{
    struct sent *sent = sending->arg;
    size_t len = strlen(sent->loop->order);
    sent->rc = rc;
    if (err != NULL)
        sent->err = *err;
    sent->loop->order[len] = sent->letter;
    sent->loop->open--;
}

static void prepare(struct sent *sent, struct loop *loop, char letter)
{
    sent->sending.done = on_sent;
    sent->sending.arg = sent;
    sent->loop = loop;
    sent->letter = letter;
}

static void post(struct sent *sent)
{
    ox_error err = { 0 };
    assert_int_equal(ox__send(sent->loop->link, &sent->sending, &err), 1);
    sent->loop->open++;
}

static void finish(struct loop *loop)
{
    while (loop->open > 0)
        uv_run(&loop->uv, UV_RUN_ONCE);
}

static void pipelines_reads_and_changes(void **state)
{
    struct test_queue *q = *state;
    struct loop loop;
    struct sent counts = { 0 }, retry = { 0 }, read = { 0 }, after = { 0 };
    ox_counts before = { { 0 } }, now = { { 0 } };
    ox_job *job = NULL;
    int where = -1;
    ox_error err = { 0 };
    const struct ox__queue_at *at = &q->queue->at;
    g_free(test_add(q->queue, "job", NULL));
    run("LREM bull:q:wait 1 1");
    run("ZADD bull:q:failed 5 1");
    run("HSET bull:q:1 finishedOn 5 failedReason no");

    loop_start(&loop);
    prepare(&counts, &loop, 'c');
    prepare(&retry, &loop, 'r');
    prepare(&read, &loop, 'j');
    prepare(&after, &loop, 'a');
    ox__counts_query(&counts.sending.query, at, &before);
    test_ok(ox__retry_query(&retry.sending.query, at, "1", OX_FAILED, 0, &err), &err);
    test_ok(ox__job_query(&read.sending.query, at, "1", &job, &where, &err), &err);
    ox__counts_query(&after.sending.query, at, &now);
    post(&counts);
    post(&retry);
    post(&read);
    post(&after);
    assert_string_equal(loop.order, ""); /* never inside the call */
    finish(&loop);

    assert_int_equal(strlen(loop.order), 4);
    test_ok(counts.rc, &counts.err);
    test_ok(retry.rc, &retry.err);
    test_ok(read.rc, &read.err);
    test_ok(after.rc, &after.err);
    assert_int_equal(before.of[OX_FAILED] + before.of[OX_WAITING], 1);
    assert_string_equal(ox_job_id(job), "1");
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 1);
    ox_job_free(job);
    job = NULL;

    /* The scripts are known to the server now, so nothing overtakes. */
    memset(loop.order, 0, sizeof(loop.order));
    run("LREM bull:q:wait 1 1");
    run("ZADD bull:q:failed 5 1");
    ox__counts_query(&counts.sending.query, at, &before);
    test_ok(ox__retry_query(&retry.sending.query, at, "1", OX_FAILED, 0, &err), &err);
    test_ok(ox__job_query(&read.sending.query, at, "1", &job, &where, &err), &err);
    ox__counts_query(&after.sending.query, at, &now);
    post(&counts);
    post(&retry);
    post(&read);
    post(&after);
    finish(&loop);
    assert_string_equal(loop.order, "crja");
    assert_int_equal(before.of[OX_FAILED], 1);
    assert_int_equal(where, OX_WAITING);
    assert_int_equal(now.of[OX_FAILED], 0);
    assert_int_equal(now.of[OX_WAITING], 1);
    ox_job_free(job);
    loop_stop(&loop);
    ox__sending_done(&counts.sending);
    ox__sending_done(&retry.sending);
    ox__sending_done(&read.sending);
    ox__sending_done(&after.sending);
}

static void reports_failures_like_blocking_calls(void **state)
{
    struct test_queue *q = *state;
    struct loop loop;
    struct sent read = { 0 }, counts = { 0 };
    ox_counts found;
    ox_job *job = NULL;
    ox_error err = { 0 };
    loop_start(&loop);
    prepare(&read, &loop, 'j');
    prepare(&counts, &loop, 'c');
    test_ok(ox__job_query(&read.sending.query, &q->queue->at, "7", &job, NULL, &err), &err);
    post(&read);
    finish(&loop);
    assert_int_equal(read.rc, OX_ENOTFOUND);
    assert_int_equal(ox_queue_job(q->queue, "7", &job, NULL, &err), OX_ENOTFOUND);
    assert_string_equal(read.err.text, err.text);

    run("SET bull:q:failed x"); /* not a sorted set */
    ox__counts_query(&counts.sending.query, &q->queue->at, &found);
    post(&counts);
    finish(&loop);
    assert_int_equal(counts.rc, OX_ESERVER);
    assert_int_equal(ox_queue_counts(q->queue, &found, &err), OX_ESERVER);
    assert_string_equal(counts.err.text, err.text);
    loop_stop(&loop);
    ox__sending_done(&read.sending);
    ox__sending_done(&counts.sending);
}

/* An operation of several commands, a short one, and one of no command at all. */
static void goes_through_all_commands_of_an_operation(void **state)
{
    struct test_queue *q = *state;
    const struct ox__queue_at *at = &q->queue->at;
    struct loop loop;
    struct sent list = { 0 }, counts = { 0 }, nothing = { 0 };
    ox_counts found;
    ox_job **jobs = NULL;
    size_t count = 0;
    int64_t numbers[1];
    ox_error err = { 0 };
    for (int i = 0; i < 250; i++)
        g_free(test_add(q->queue, "job", NULL));
    loop_start(&loop);
    prepare(&list, &loop, 'l');
    prepare(&counts, &loop, 'c');
    test_ok(
        ox__jobs_query(&list.sending.query, at, OX_WAITING, 0, -1, true, &jobs, &count, &err),
        &err);
    ox__counts_query(&counts.sending.query, at, &found);
    post(&list);
    post(&counts);
    finish(&loop);
    assert_string_equal(loop.order, "cl");
    test_ok(list.rc, &list.err);
    assert_int_equal(count, 250);
    assert_string_equal(ox_job_id(jobs[249]), "250");
    ox_list_free(jobs);
    test_ok(ox__counts_by_priority_query(
                &nothing.sending.query, at, (uint32_t[]){ 0 }, 0, numbers, &err),
        &err);
    assert_int_equal(ox__send(loop.link, &nothing.sending, &err), 0);

    /* One that ends while it is on the way frees what it has. */
    jobs = NULL;
    test_ok(
        ox__jobs_query(&list.sending.query, at, OX_WAITING, 0, -1, true, &jobs, &count, &err),
        &err);
    post(&list);
    loop_stop(&loop);
    assert_int_equal(list.rc, OX_ECLOSED);
    assert_null(jobs);
    ox__sending_done(&list.sending);
    ox__sending_done(&counts.sending);
    ox__sending_done(&nothing.sending);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(pipelines_reads_and_changes),
        WITH_QUEUE(reports_failures_like_blocking_calls),
        WITH_QUEUE(goes_through_all_commands_of_an_operation),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
