/*
 * test_lib_unlocked.c - ends of runs that have no lock yet (lua/inc/open_run.lua), at the level
 * of the scripts: what a worker sends twice around a lost connection.
 */
#include "../support/check.h"

#include <glib.h>
#include <inttypes.h>
#include <string.h>

#include "../support/jobs.h"
#include "codes.h"
#include "lib/queue/queue.h"
#include "lib/wire/client.h"
#include "scripts.h"

#define WINDOW_MS 60000

/* Takes the job; returns the token as its worker says it until the run has a lock. */
static char *take_open(ox_queue *q, const char *token, bool late)
{
    ox_error err = { 0 };
    redisReply *reply = NULL;
    ox__query_script(&q->query, &q->at, &ox__script_take_jobs);
    test_put_worker(&q->query.op, token, late ? -1 : 0, 1);
    test_ok(ox__call(q->client, &q->query.op, &reply, &err), &err);
    assert_int_equal(reply->element[0]->integer, 1);
    int64_t now_ms = g_ascii_strtoll(reply->element[3]->str, NULL, 10) / 1000;
    ox__free_reply(&reply);
    return g_strdup_printf(
        "@%d:%" PRId64 ":%" PRId64 ":0:%s", late, now_ms, now_ms + WINDOW_MS, token);
}

/* Ends the run; returns why not, 0 when it was accepted. */
static long long end_open(ox_queue *q, const char *open, const char *kind, bool late)
{
    ox_error err = { 0 };
    redisReply *reply = NULL;
    struct ox__op *op = &q->query.op;
    ox__query_script(&q->query, &q->at, &ox__script_end_jobs);
    test_put_worker(op, "none", late ? -1 : 0, 0);
    ox__op_int(op, "metrics_points", 0);
    ox__op_text(op, "kind", kind);
    ox__op_text(op, "keep", "");
    ox__op_text(op, "job_token", open);
    ox__op_text(op, "job_id", "1");
    ox__op_text(op, "value", "");
    ox__op_text(op, "stack", "[]");
    ox__op_text(op, "number", "0");
    ox__op_text(op, "telemetry", "");
    test_ok(ox__call(q->client, &q->query.op, &reply, &err), &err);
    const redisReply *refused = reply->element[0];
    long long code = refused->elements > 0 ? refused->element[1]->integer : 0;
    ox__free_reply(&reply);
    return code;
}

/* The next start has another time. */
static void next_ms(void)
{
    int64_t now_ms = test_unix_ms();
    while (test_unix_ms() <= now_ms + 1) {
        g_usleep(200);
    }
}

/* The job runs again elsewhere, without a lock as well: an end that is sent once more is not
 * taken for that run's. */
static void ends_twice(ox_queue *q, const char *kind, bool late)
{
    g_autofree char *id = test_add(q, "job", NULL);
    g_autofree char *mine = take_open(q, "mine", late);
    assert_int_equal(end_open(q, mine, kind, late), 0);
    next_ms();
    g_autofree char *other = take_open(q, "other", late);
    assert_int_equal(end_open(q, mine, kind, late), OX__NO_LOCK);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:active"), 1);
    assert_int_equal(end_open(q, other, kind, late), 0);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:active"), 0);
    assert_int_equal(test_redis_int(redis, "HGET bull:q:1 ats"), 2);
}

static void an_end_sent_twice_spares_the_next_run(void **state)
{
    static const char *const kinds[] = { "w", "W", "r", "d", "m" };
    ox_queue *q = ((struct test_queue *)*state)->queue;
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(kinds); i++) {
        run("FLUSHALL");
        ends_twice(q, kinds[i / 2], i % 2 == 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(an_end_sent_twice_spares_the_next_run),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
