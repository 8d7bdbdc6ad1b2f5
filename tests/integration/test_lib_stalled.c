/*
 * test_lib_stalled.c - the check for stalled jobs, step by step: what it gives back, what it
 * notes, and how often a job may stall.
 */
#include "../support/check.h"

#include <glib.h>

#include "../support/jobs.h"
#include "lib/queue/queue.h"
#include "scripts.h"

/* One step; its answer is what the next one skips. */
static int64_t step(ox_queue *queue, int64_t skip, int max_stalled)
{
    ox_error err = { 0 };
    redisReply *reply = NULL;
    struct ox__op *op = ox__queue_op(queue, &ox__script_sweep_stalled);
    ox__op_int(op, "now", test_unix_ms());
    ox__op_int(op, "every_ms", 60000);
    ox__op_int(op, "max_stalled", max_stalled);
    ox__op_int(op, "skip", skip);
    test_ok(ox__queue_call(queue, NULL, &reply, &err), &err);
    int64_t next = reply->element[0]->integer;
    freeReplyObject(reply);
    return next;
}

/* A whole check, though there was one a moment ago. Answers with its steps. */
static int check(ox_queue *queue, int max_stalled)
{
    int steps = 0;
    run("DEL bull:q:stalled-check");
    for (int64_t skip = -1; steps == 0 || skip >= 0; steps++)
        skip = step(queue, skip, max_stalled);
    return steps;
}

static void jobs_come_back_in_their_order(void **state)
{
    struct test_queue *q = *state;
    for (int i = 0; i < 5; i++)
        g_free(test_add(q->queue, "job", NULL));
    for (int i = 0; i < 4; i++)
        g_free(test_take(q->queue));
    run("DEL bull:q:1:lock bull:q:3:lock bull:q:4:lock bull:q:4");
    assert_int_equal(check(q->queue, 1), 1);
    expect_members("bull:q:active", "4,3,2,1");
    run("DEL bull:q:events");
    assert_int_equal(check(q->queue, 1), 1);
    /* The oldest is next, the one whose job is gone has gone, and who has a lock stays. */
    expect_members("bull:q:wait", "5,3,1");
    expect_members("bull:q:active", "2");
    expect_events("waiting 3 prev=active,stalled 3,waiting 1 prev=active,stalled 1");
    assert_int_equal(test_redis_int(redis, "SCARD bull:q:stalled"), 1);
    expect_field("bull:q:1", "stc", "1");
}

static void a_check_is_made_once_in_its_time(void **state)
{
    struct test_queue *q = *state;
    g_free(test_add(q->queue, "job", NULL));
    g_free(test_take(q->queue));
    run("DEL bull:q:1:lock");
    assert_int_equal(step(q->queue, -1, 1), -1);
    assert_int_equal(step(q->queue, -1, 1), -1);
    expect_members("bull:q:active", "1");
}

/* More than one step: each looks at what the last has not seen. */
static void a_check_of_many_goes_in_steps(void **state)
{
    struct test_queue *q = *state;
    run("EVAL %s 0",
        "for i = 1, 5000 do local k = 'bull:q:' .. i redis.call('HSET', k, 'name', "
        "'n') redis.call('LPUSH', 'bull:q:active', i) "
        "if i % 2 == 0 then redis.call('SET', k .. ':lock', 't') end end "
        "redis.call('SADD', 'bull:q:stalled', 'gone')");
    assert_int_equal(check(q->queue, 1), 3);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:active"), 5000);
    assert_int_equal(test_redis_int(redis, "SCARD bull:q:stalled"), 5001);
    check(q->queue, 1);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:active"), 2500);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 2500);
    assert_int_equal(test_redis_int(redis, "LINDEX bull:q:active -1"), 2);
    assert_int_equal(test_redis_int(redis, "LINDEX bull:q:active 0"), 5000);
    /* Marks of what is not active go when one step sees all that is. */
    run("LTRIM bull:q:active 0 9");
    assert_int_equal(check(q->queue, 1), 1);
    assert_int_equal(test_redis_int(redis, "SCARD bull:q:stalled"), 10);
}

/* An iteration whose run kills its worker does not do so for ever, while the scheduler lives.
 */
static void a_schedulers_job_stalls_no_more_than_others(void **state)
{
    struct test_queue *q = *state;
    run("ZADD bull:q:repeat 2000 s");
    run("HSET bull:q:repeat:s:1000 name n timestamp 1 rjk s stc 1");
    run("HSET bull:q:repeat:s:2000 name n timestamp 1 rjk s");
    run("LPUSH bull:q:active repeat:s:1000 repeat:s:2000");
    check(q->queue, 1);
    check(q->queue, 1);
    expect_members("bull:q:wait", "repeat:s:2000,repeat:s:1000");
    expect_field("bull:q:repeat:s:1000", "defa", "job stalled more than allowable limit");
    expect_field("bull:q:repeat:s:2000", "defa", NULL);
    expect_field("bull:q:repeat:s:2000", "stc", "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(jobs_come_back_in_their_order),
        WITH_QUEUE(a_check_is_made_once_in_its_time),
        WITH_QUEUE(a_check_of_many_goes_in_steps),
        WITH_QUEUE(a_schedulers_job_stalls_no_more_than_others),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
