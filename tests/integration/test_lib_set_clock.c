/*
 * test_lib_set_clock.c - the clock of the server is set back by an hour: what keeps jobs from
 * starting for a while, or a check for stalled jobs from beginning, is over as soon as ever.
 * (Redis lets keys end at a time of day.)
 */
#include "../support/check.h"

#include <glib.h>

#include "../support/jobs.h"
#include "lib/queue/queue.h"
#include "scripts.h"

#define LIMIT_MS 10000
#define HOUR_MS (3600 * 1000)

static int server_up(void **state)
{
    (void)state;
    redis = test_redis_start_clocked(NULL);
    return 0;
}

static int up(void **state)
{
    int rc = test_queue_up(state);
    test_redis_set_clock(redis, 0);
    return rc;
}

static bool takes_one(void *arg)
{
    g_autofree char *id = test_take(((struct test_queue *)arg)->queue);
    return id != NULL;
}

static void a_rate_limited_queue_goes_on(void **state)
{
    struct test_queue *q = *state;
    for (int i = 0; i < 4; i++)
        g_free(test_add(q->queue, "job", NULL));
    run("HSET bull:q:meta max 2 duration 300");
    assert_true(takes_one(q));
    assert_true(takes_one(q));
    test_redis_set_clock(redis, -HOUR_MS);
    assert_false(takes_one(q));
    assert_true(test_wait_for(LIMIT_MS, takes_one, q));
}

/* However long that is beside the window. */
static void what_a_handler_asked_for_stays(void **state)
{
    struct test_queue *q = *state;
    g_free(test_add(q->queue, "job", NULL));
    run("HSET bull:q:meta max 2 duration 300");
    run("SET bull:q:limiter 9007199254740991 PX 60000");
    assert_false(takes_one(q));
    assert_in_range(test_redis_int(redis, "PTTL bull:q:limiter"), 40000, 60000);
}

static bool begins_check(void *arg)
{
    ox_queue *queue = ((struct test_queue *)arg)->queue;
    struct ox__op *op = &queue->query.op;
    ox_error err = { 0 };
    redisReply *reply = NULL;
    ox__query_script(&queue->query, &queue->at, &ox__script_check_stalled);
    ox__op_int(op, "now", test_unix_ms());
    ox__op_int(op, "every_ms", 300);
    ox__op_int(op, "late_ms", 5000);
    ox__op_int(op, "max_stalled", 1);
    ox__op_int(op, "skip", OX__CHECK_BEGIN);
    test_ok(ox__call(queue->client, op, &reply, &err), &err);
    bool begins = reply->element[0]->integer != OX__CHECK_NONE;
    ox__free_reply(&reply);
    return begins;
}

static void stalled_checks_go_on(void **state)
{
    struct test_queue *q = *state;
    g_free(test_add(q->queue, "job", NULL));
    assert_true(takes_one(q));
    assert_true(begins_check(q));
    assert_false(begins_check(q));
    test_redis_set_clock(redis, -HOUR_MS);
    assert_false(begins_check(q));
    assert_true(test_wait_for(LIMIT_MS, begins_check, q));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, up, test_queue_down)
    const struct CMUnitTest tests[] = {
        TEST(a_rate_limited_queue_goes_on),
        TEST(what_a_handler_asked_for_stays),
        TEST(stalled_checks_go_on),
    };
    return cmocka_run_group_tests(tests, server_up, test_server_down);
}
