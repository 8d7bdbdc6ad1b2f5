/*
 * test_lib_stalled.c - the check for stalled jobs, step by step: what it gives back, what it
 * notes, and how often a job may stall; and jobs that are in no state.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/jobs.h"
#include "lib/queue/queue.h"
#include "scripts.h"

/* One step; its answer is what the next one skips. */
static int64_t step(ox_queue *queue, int64_t skip, int max_stalled)
{
    ox_error err = { 0 };
    redisReply *reply = NULL;
    struct ox__op *op = &queue->query.op;
    ox__query_script(&queue->query, &queue->at, &ox__script_check_stalled);
    ox__op_int(op, "now", test_unix_ms());
    ox__op_int(op, "every_ms", 60000);
    ox__op_int(op, "late_ms", 5000);
    ox__op_int(op, "max_stalled", max_stalled);
    ox__op_int(op, "skip", skip);
    test_ok(ox__call(queue->client, &queue->query.op, &reply, &err), &err);
    int64_t next = reply->element[0]->integer;
    ox__free_reply(&reply);
    return next;
}

/* A whole check, though there was one a moment ago. Answers with how often it looked. */
static int check(ox_queue *queue, int max_stalled)
{
    int steps = 0;
    run("DEL bull:q:stalled-check");
    for (int64_t skip = step(queue, OX__CHECK_BEGIN, max_stalled); skip >= 0; steps++)
        skip = step(queue, skip, max_stalled);
    return steps;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Looks for jobs without a state among all keys: "id" and what was found, in the order of the
 * ids. */
static void expect_restored(ox_queue *queue, const char *expected)
{
    static const char *const words[] = { [OX__FOUND_STALLED] = "stalled",
        [OX__FOUND_TOO_OFTEN] = "too often",
        [OX__FOUND_RESTORED] = "restored",
        [OX__FOUND_ENDED] = "ended" };
    ox_error err = { 0 };
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *cursor = g_strdup("0"), *all = NULL;
    do {
        redisReply *reply = NULL;
        struct ox__op *op = &queue->query.op;
        ox__query_script(&queue->query, &queue->at, &ox__script_restore_jobs);
        ox__op_int(op, "now", test_unix_ms());
        ox__op_int(op, "max_stalled", 1);
        ox__op_text(op, "cursor", cursor);
        test_ok(ox__call(queue->client, &queue->query.op, &reply, &err), &err);
        g_free(cursor);
        cursor = g_strdup(reply->element[0]->str);
        for (size_t i = 1; i < reply->elements; i += 2)
            g_ptr_array_add(found, g_strdup_printf("%s %s", reply->element[i]->str,
                                       reply->element[i + 1]->type == REDIS_REPLY_STRING
                                           ? "error"
                                           : words[reply->element[i + 1]->integer]));
        ox__free_reply(&reply);
    } while (strcmp(cursor, "0"));
    g_ptr_array_sort(found, by_text);
    g_ptr_array_add(found, NULL);
    all = g_strjoinv(",", (char **)found->pdata);
    assert_string_equal(all, expected);
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

static void one_stalled_check_per_interval(void **state)
{
    struct test_queue *q = *state;
    g_free(test_add(q->queue, "job", NULL));
    g_free(test_take(q->queue));
    run("DEL bull:q:1:lock");
    assert_int_equal(step(q->queue, OX__CHECK_BEGIN, 1), 0);
    assert_int_equal(step(q->queue, OX__CHECK_BEGIN, 1), OX__CHECK_NONE);
    expect_members("bull:q:active", "1");
}

/* While the server was away, locks ran out that will be renewed. */
static void late_step_ends_stalled_check(void **state)
{
    struct test_queue *q = *state;
    g_free(test_add(q->queue, "job", NULL));
    g_free(test_take(q->queue));
    run("DEL bull:q:1:lock");
    run("SADD bull:q:stalled 1");
    assert_int_equal(step(q->queue, OX__CHECK_BEGIN, 1), 0);
    run("PEXPIRE bull:q:stalled-check 54000"); /* as after 6 s: more than late_ms */
    assert_int_equal(step(q->queue, 0, 1), OX__CHECK_NONE);
    run("DEL bull:q:stalled-check");
    assert_int_equal(step(q->queue, 0, 1), OX__CHECK_NONE);
    expect_members("bull:q:active", "1");
    assert_int_equal(check(q->queue, 1), 1);
    expect_members("bull:q:wait", "1");
}

static void obliterated_queue_stays_gone(void **state)
{
    struct test_queue *q = *state;
    assert_int_equal(step(q->queue, OX__CHECK_BEGIN, 1), OX__CHECK_NONE);
    expect_restored(q->queue, "");
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
}

/* More than one step: each looks at what the last has not seen. */
static void stalled_check_of_many_jobs_goes_in_steps(void **state)
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

/* A finish that failed half way took a whole batch out of `active`: the marks still know it. */
static void marked_jobs_without_a_state_come_back(void **state)
{
    struct test_queue *q = *state;
    for (int i = 0; i < 6; i++)
        g_free(test_add(q->queue, "job", NULL));
    for (int i = 0; i < 5; i++)
        g_free(test_take(q->queue));
    check(q->queue, 1);
    run("DEL bull:q:active bull:q:1:lock bull:q:2:lock bull:q:4:lock bull:q:5:lock bull:q:4");
    run("HSET bull:q:5 finishedOn 7");
    run("DEL bull:q:events");
    check(q->queue, 1);
    /* 3 has a lock, 4 was removed, and 5 has ended. */
    expect_members("bull:q:wait", "6,2,1");
    expect_events("waiting 2 prev=active,stalled 2,waiting 1 prev=active,stalled 1");
    expect_field("bull:q:1", "stc", "1");
    assert_int_equal(test_redis_int(redis, "EXISTS bull:q:stalled bull:q:4"), 0);
    g_free(test_take(q->queue));
    expect_members("bull:q:active", "1");
}

/* Though a whole page was lost takes, there is a next one. */
static void a_page_of_lost_takes_is_not_the_last(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    run("EVAL %s 0",
        "for i = 1, 1500 do local k = 'bull:q:' .. i redis.call('HSET', k, 'name', 'n') "
        "redis.call('LPUSH', 'bull:q:active', i) redis.call('SET', k .. ':lock', 'T') end");
    for (int64_t skip = 0; skip >= 0;) {
        redisReply *reply = NULL;
        struct ox__op *op = &q->queue->query.op;
        ox__query_script(&q->queue->query, &q->queue->at, &ox__script_return_lost);
        ox__op_int(op, "skip", skip);
        ox__op_int(op, "count", 1);
        ox__op_text(op, "token_or_id", "T");
        test_ok(ox__call(q->queue->client, &q->queue->query.op, &reply, &err), &err);
        skip = reply->element[0]->integer;
        ox__free_reply(&reply);
    }
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 1500);
}

#define JOB "name n data {} opts {} timestamp 1 delay 0 priority 0"

static void jobs_without_a_state_are_found_among_all_keys(void **state)
{
    struct test_queue *q = *state;
    run("HSET bull:q:meta opts.maxLenEvents 10000");
    run("HSET bull:q:never " JOB);
    run("HSET bull:q:ran " JOB " processedOn 2");
    run("HSET bull:q:often " JOB " processedOn 2 stc 1");
    run("HSET bull:q:ended " JOB " processedOn 2 finishedOn 3");
    run("HSET bull:q:late " JOB " delay 9000000000000");
    run("HSET bull:q:ranked " JOB " priority 2");
    run("HSET bull:q:parent " JOB);
    run("SADD bull:q:parent:dependencies bull:q:child");
    run("HSET bull:q:repeat:a:b:7 " JOB " rjk a:b");
    run("HSET bull:q:bad " JOB " priority 3");
    run("SET bull:q:pc text");
    expect_restored(q->queue, "bad error,ended ended,late restored,never restored,"
                              "often too often,parent restored,ran restored,ranked error,"
                              "repeat:a:b:7 restored");
    run("DEL bull:q:pc");
    run("DEL bull:q:bad");
    expect_restored(q->queue, "ended ended,ranked restored");
    expect_restored(q->queue, "ended ended");
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 4);
    expect_field("bull:q:ran", "stc", "1");
    expect_field("bull:q:often", "defa", "job stalled more than allowable limit");
    expect_field("bull:q:never", "stc", NULL);
    assert_int_equal(ox_queue_job_state(q->queue, "late", NULL), OX_DELAYED);
    assert_int_equal(ox_queue_job_state(q->queue, "ranked", NULL), OX_PRIORITIZED);
    assert_int_equal(ox_queue_job_state(q->queue, "parent", NULL), OX_WAITING_CHILDREN);
    assert_int_equal(ox_queue_job_state(q->queue, "ended", NULL), OX_UNKNOWN);
    assert_int_equal(test_redis_int(redis, "EXISTS bull:q:marker"), 1);
}

/* What is in a state, not a job, or not this queue's stays as it is. */
static void leaves_other_active_jobs_alone(void **state)
{
    static const char *const states[] = { "wait", "active", "paused", "delayed", "prioritized",
        "waiting-children", "completed", "failed" };
    struct test_queue *q = *state;
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        run("HSET bull:q:in-%s " JOB, states[i]);
        run(i < 3 ? "LPUSH bull:q:%s in-%s" : "ZADD bull:q:%s 9000000000000000 in-%s",
            states[i], states[i]);
    }
    run("HSET bull:q:locked " JOB " processedOn 2");
    run("SET bull:q:locked:lock token");
    run("HSET bull:q:group " JOB " gid g"); /* of BullMQ Pro */
    run("HSET bull:q:nameless timestamp 1");
    run("HSET bull:q:timeless name n");
    run("HSET bull:q:ghost stc 1");
    run("HSET bull:q:repeat:s " JOB);
    run("HSET bull:q:repeat:s:5 " JOB); /* a scheduler "s:5" */
    run("HSET bull:q:dn:d " JOB);
    run("HSET bull:q:metrics:completed " JOB);
    run("HSET bull:q:1:processed " JOB);
    run("HSET bull:q:other:7 " JOB); /* queue "other" with the prefix "bull:q" */
    run("HSET bull:q2:7 " JOB);
    run("SET bull:q:text 1");
    g_autofree char *before = test_redis_text(redis, "EVAL %s 0",
        "local k = redis.call('KEYS', '*') table.sort(k) return table.concat(k, ' ')");
    run("HSET bull:q:meta opts.maxLenEvents 10000");
    expect_restored(q->queue, "");
    run("DEL bull:q:meta");
    g_autofree char *after = test_redis_text(redis, "EVAL %s 0",
        "local k = redis.call('KEYS', '*') table.sort(k) return table.concat(k, ' ')");
    assert_string_equal(before, after);
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
        assert_int_equal(
            test_redis_int(redis, i < 3 ? "LLEN bull:q:%s" : "ZCARD bull:q:%s", states[i]), 1);
    /* Nor does a queue come back that was removed. */
    run("HSET bull:q:left " JOB);
    expect_restored(q->queue, "");
}

/* Where many wait, those that were started are looked for first. */
static void long_lists_cost_few_scans_per_call(void **state)
{
    struct test_queue *q = *state;
    run("HSET bull:q:meta opts.maxLenEvents 10000");
    run("EVAL %s 0",
        "for i = 1, 600 do redis.call('HSET', 'bull:q:j' .. i, 'name', 'n', 'timestamp', '1') "
        "redis.call('LPUSH', 'bull:q:wait', 'j' .. i) end "
        "for i = 1, 60000 do redis.call('LPUSH', 'bull:q:wait', 'x') end");
    run("HSET bull:q:ran " JOB " processedOn 2");
    expect_restored(q->queue, "ran restored");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(jobs_come_back_in_their_order),
        WITH_QUEUE(one_stalled_check_per_interval),
        WITH_QUEUE(late_step_ends_stalled_check),
        WITH_QUEUE(obliterated_queue_stays_gone),
        WITH_QUEUE(stalled_check_of_many_jobs_goes_in_steps),
        WITH_QUEUE(a_schedulers_job_stalls_no_more_than_others),
        WITH_QUEUE(marked_jobs_without_a_state_come_back),
        WITH_QUEUE(a_page_of_lost_takes_is_not_the_last),
        WITH_QUEUE(jobs_without_a_state_are_found_among_all_keys),
        WITH_QUEUE(leaves_other_active_jobs_alone),
        WITH_QUEUE(long_lists_cost_few_scans_per_call),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
