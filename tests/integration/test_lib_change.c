/*
 * test_lib_change.c - retry, promote, remove, data, progress.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/jobs.h"

static void forget_events(void)
{
    run("DEL bull:q:events");
}

static bool has_field(const char *id, const char *field)
{
    return test_redis_int(redis, "HEXISTS bull:q:%s %s", id, field) == 1;
}

/* ---- retry ------------------------------------------------------------------------------- */

static void retries_a_failed_job(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    g_autofree char *id = test_add_failed(q->queue, "no");
    run("DEL bull:q:marker");
    forget_events();
    test_ok(ox_queue_retry(q->queue, id, OX_FAILED, 0, &err), &err);
    expect_members("bull:q:wait", id);
    expect_members("bull:q:failed", "");
    expect_members("bull:q:marker", "0");
    assert_false(has_field(id, "finishedOn"));
    assert_false(has_field(id, "processedOn"));
    assert_false(has_field(id, "failedReason"));
    assert_true(has_field(id, "stacktrace"));
    assert_int_equal(test_redis_int(redis, "HGET bull:q:%s atm", id), 1);
    assert_int_equal(test_redis_int(redis, "HGET bull:q:%s ats", id), 1);
    expect_events("waiting 1 prev=failed");
    g_autofree char *again = test_take(q->queue);
    assert_string_equal(again, id);
}

static void retries_a_completed_job_and_forgets_its_attempts(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    g_autofree char *id = test_add_completed(q->queue, "1");
    test_ok(ox_queue_retry(q->queue, id, OX_COMPLETED,
                OX_RESET_ATTEMPTS_MADE | OX_RESET_ATTEMPTS_STARTED, &err),
        &err);
    expect_members("bull:q:wait", id);
    assert_false(has_field(id, "returnvalue"));
    assert_false(has_field(id, "atm"));
    assert_false(has_field(id, "ats"));
}

static void retry_rejects_job_in_other_state(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    g_autofree char *id = test_add_failed(q->queue, "no");
    assert_int_equal(ox_queue_retry(q->queue, id, OX_COMPLETED, 0, &err), OX_ESTATE);
    assert_non_null(strstr(err.text, "queue q, job 1"));
    assert_int_equal(ox_queue_retry(q->queue, "9", OX_FAILED, 0, &err), OX_ENOTFOUND);
    assert_int_equal(ox_queue_retry(q->queue, id, OX_WAITING, 0, &err), OX_EINVAL);
    expect_members("bull:q:failed", id);
}

/* BullMQ's bulk retry pushes every job to the list. */
static void retry_keeps_priority_and_lifo(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options low = { .priority = 5 }, next = { .lifo = true };
    ox_error err = { 0 };
    for (int i = 0; i < 3; i++) {
        g_free(test_add(q->queue, "job", i == 0 ? &low : i == 1 ? &next : NULL));
        g_autofree char *taken = test_take(q->queue);
        test_fail(q->queue, taken, "no");
    }
    assert_int_equal(ox_queue_retry_all(q->queue, OX_FAILED, 0, &err), 3);
    expect_members("bull:q:prioritized", "1");
    expect_members("bull:q:wait", "3,2");
    assert_int_equal(
        test_redis_int(redis, "ZCOUNT bull:q:prioritized %s (%s", "21474836480", "25769803776"),
        1);
}

static void retry_of_a_child_holds_its_parent_again(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    for (int i = 0; i < 3; i++)
        g_free(i < 2 ? test_add_failed(q->queue, "no") : test_add_completed(q->queue, "1"));
    run("HSET bull:p:1 name parent");
    for (int i = 1; i <= 3; i++)
        run("HSET bull:q:%d parentKey bull:p:1", i);
    run("ZADD bull:p:1:unsuccessful 1 bull:q:1");
    run("HSET bull:p:1:failed bull:q:2 no");
    run("HSET bull:p:1:processed bull:q:3 1");
    test_ok(ox_queue_retry(q->queue, "1", OX_FAILED, 0, &err), &err);
    assert_int_equal(ox_queue_retry_all(q->queue, OX_FAILED, 0, &err), 1);
    test_ok(ox_queue_retry(q->queue, "3", OX_COMPLETED, 0, &err), &err);
    assert_int_equal(test_redis_int(redis, "SCARD bull:p:1:dependencies"), 3);
    assert_int_equal(test_redis_int(redis, "EXISTS bull:p:1:unsuccessful bull:p:1:failed "
                                           "bull:p:1:processed"),
        0);
}

static void retries_in_batches_up_to_a_time(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    run("EVAL %s 0",
        "for i = 1, 1200 do redis.call('HSET', 'bull:q:' .. i, 'name', 'n', 'failedReason', "
        "'x') "
        "redis.call('ZADD', 'bull:q:failed', i, i) end redis.call('DEL', 'bull:q:7')");
    assert_int_equal(ox_queue_retry_all(q->queue, OX_FAILED, 1100, &err), 1099);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 1099);
    assert_int_equal(test_redis_int(redis, "ZCARD bull:q:failed"), 100);
    assert_int_equal(test_redis_int(redis, "EXISTS bull:q:7"), 0);
    assert_false(has_field("1", "failedReason"));
    assert_true(has_field("1200", "failedReason"));
    /* The oldest runs first. */
    assert_int_equal(test_redis_int(redis, "LINDEX bull:q:wait -1"), 1);
    assert_int_equal(ox_queue_retry_all(q->queue, OX_COMPLETED, 0, &err), 0);
    assert_int_equal(ox_queue_retry_all(q->queue, OX_DELAYED, 0, &err), OX_EINVAL);
}

static void a_paused_queue_gets_no_marker(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    g_autofree char *id = test_add_failed(q->queue, "no");
    run("HSET bull:q:meta paused 1");
    run("DEL bull:q:marker");
    test_ok(ox_queue_retry(q->queue, id, OX_FAILED, 0, &err), &err);
    expect_members("bull:q:marker", "");
    expect_members("bull:q:wait", id);
}

/* ---- promote ----------------------------------------------------------------------------- */

static void promotes_a_delayed_job(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options later = { .delay_ms = 3600000 };
    ox_error err = { 0 };
    g_autofree char *id = test_add(q->queue, "job", &later);
    run("DEL bull:q:marker");
    forget_events();
    test_ok(ox_queue_promote(q->queue, id, &err), &err);
    expect_members("bull:q:wait", id);
    expect_members("bull:q:delayed", "");
    expect_members("bull:q:marker", "0");
    assert_int_equal(test_redis_int(redis, "HGET bull:q:%s delay", id), 0);
    expect_events("waiting 1 prev=delayed");
    assert_int_equal(ox_queue_promote(q->queue, id, &err), OX_ESTATE);
    assert_int_equal(ox_queue_promote(q->queue, "9", &err), OX_ENOTFOUND);
}

/* BullMQ's own leaves the delay in the hash, and forgets priorities. */
static void promotes_all_with_priority_and_without_delay(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options low = { .delay_ms = 3600000, .priority = 2 };
    ox_job_options plain = { .delay_ms = 7200000 };
    ox_error err = { 0 };
    g_free(test_add(q->queue, "low", &low));
    g_free(test_add(q->queue, "far", &plain));
    plain.delay_ms = 1800000;
    g_free(test_add(q->queue, "near", &plain));
    run("ZADD bull:q:delayed 1 ghost");
    assert_int_equal(ox_queue_promote_all(q->queue, &err), 3);
    expect_members("bull:q:delayed", "");
    expect_members("bull:q:prioritized", "1");
    expect_members("bull:q:wait", "2,3");
    for (int i = 1; i <= 3; i++)
        assert_int_equal(test_redis_int(redis, "HGET bull:q:%d delay", i), 0);
    assert_int_equal(test_redis_int(redis, "EXISTS bull:q:ghost"), 0);
    assert_int_equal(ox_queue_promote_all(q->queue, &err), 0);
}

static void promotes_in_batches(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    run("EVAL %s 0", "for i = 1, 1200 do redis.call('HSET', 'bull:q:' .. i, 'name', 'n') "
                     "redis.call('ZADD', 'bull:q:delayed', 9e15, i) end");
    assert_int_equal(ox_queue_promote_all(q->queue, &err), 1200);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 1200);
}

/* ---- remove ------------------------------------------------------------------------------ */

static void removes_a_job_from_every_state(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options later = { .delay_ms = 3600000 }, low = { .priority = 3 };
    ox_error err = { 0 };
    g_free(test_add_completed(q->queue, "1"));
    g_free(test_add_failed(q->queue, "no"));
    g_free(test_add(q->queue, "wait", NULL));
    g_free(test_add(q->queue, "later", &later));
    g_free(test_add(q->queue, "low", &low));
    run("HSET bull:q:6 name n");
    run("RPUSH bull:q:paused 6");
    run("HSET bull:q:7 name n");
    run("ZADD bull:q:waiting-children 1 7");
    run("HSET bull:q:8 name n");
    run("RPUSH bull:q:active 8");
    run("SADD bull:q:stalled 8");
    run("HSET bull:q:9 name %s", "in no state");
    run("RPUSH bull:q:3:logs row");
    forget_events();
    for (int i = 1; i <= 9; i++) {
        char id[2] = { (char)('0' + i), '\0' };
        assert_int_equal(ox_queue_remove(q->queue, id, false, &err), 1);
        assert_int_equal(ox_queue_remove(q->queue, id, false, &err), 0);
    }
    expect_events("removed 1 prev=completed,removed 2 prev=failed,removed 3 prev=wait,"
                  "removed 4 prev=delayed,removed 5 prev=prioritized,removed 6 prev=paused,"
                  "removed 7 prev=waiting-children,removed 8 prev=active,"
                  "removed 9 prev=unknown");
    run("DEL bull:q:meta bull:q:id bull:q:marker "
        "bull:q:pc bull:q:metrics:completed "
        "bull:q:metrics:failed bull:q:stalled-check");
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
}

static void keeps_active_job(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    g_free(test_add(q->queue, "job", NULL));
    g_autofree char *id = test_take(q->queue);
    assert_int_equal(ox_queue_remove(q->queue, id, false, &err), OX_ELOCK);
    assert_non_null(strstr(err.text, "queue q, job 1"));
    expect_members("bull:q:active", id);
    assert_true(has_field(id, "name"));
}

static void keeps_next_scheduler_job(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    run("ZADD bull:q:repeat 1700000000000 s:1");
    run("HSET bull:q:repeat:s:1:1700000000000 name n rjk s:1");
    run("ZADD bull:q:delayed 1 repeat:s:1:1700000000000");
    run("HSET bull:q:repeat:s:1:1600000000000 name n rjk s:1");
    run("RPUSH bull:q:wait repeat:s:1:1600000000000");
    assert_int_equal(
        ox_queue_remove(q->queue, "repeat:s:1:1700000000000", false, &err), OX_ESCHEDULED);
    assert_int_equal(ox_queue_remove(q->queue, "repeat:s:1:1600000000000", false, &err), 1);
    expect_members("bull:q:delayed", "repeat:s:1:1700000000000");
    expect_members("bull:q:wait", "");
}

static void a_removed_job_frees_its_deduplication_id(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options o = { .dedup = { .id = "d" } };
    ox_error err = { 0 };
    g_autofree char *id = test_add(q->queue, "job", &o);
    run("HSET bull:q:dn:d name next");
    assert_int_equal(ox_queue_remove(q->queue, id, false, &err), 1);
    assert_int_equal(test_redis_int(redis, "EXISTS bull:q:de:d bull:q:dn:d"), 0);
    /* One that another job holds stays. */
    g_free(test_add(q->queue, "job", &o));
    run("HSET bull:q:other name n deid d");
    assert_int_equal(ox_queue_remove(q->queue, "other", false, &err), 1);
    assert_int_equal(test_redis_int(redis, "EXISTS bull:q:de:d"), 1);
}

static void make_parent(const char *parent, const char *fields)
{
    g_autofree char *set = g_strdup_printf("HSET bull:p:%s name n %s", parent, fields);
    g_autofree char *wait = g_strdup_printf("ZADD bull:p:waiting-children 1 %s", parent);
    run(set, NULL);
    run(wait, NULL);
    run("HSET bull:p:meta version x");
}

static void make_child(const char *id, const char *parent)
{
    run("HSET bull:q:%s name n parentKey bull:p:%s parent "
        "{\"id\":\"%s\",\"queueKey\":\"bull:p\"}",
        id, parent, parent);
    run("SADD bull:p:%s:dependencies bull:q:%s", parent, id);
    run("LPUSH bull:q:wait %s", id);
}

/* BullMQ's own pushes every such parent to the list. */
static void the_last_child_removed_releases_its_parent_as_it_should_run(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    make_parent("plain", "priority 0 delay 0");
    make_parent("low", "priority 7 delay 0");
    make_parent("later", "priority 0 delay 3600000");
    make_child("c1", "plain");
    make_child("c2", "plain");
    make_child("c3", "low");
    make_child("c4", "later");
    assert_int_equal(ox_queue_remove(q->queue, "c1", false, &err), 1);
    expect_members("bull:p:wait", "");
    assert_int_equal(ox_queue_remove(q->queue, "c2", false, &err), 1);
    expect_members("bull:p:wait", "plain");
    assert_int_equal(ox_queue_remove(q->queue, "c3", false, &err), 1);
    expect_members("bull:p:prioritized", "low");
    assert_int_equal(ox_queue_remove(q->queue, "c4", false, &err), 1);
    expect_members("bull:p:delayed", "later");
    expect_members("bull:p:wait", "plain");
    expect_members("bull:p:marker", "0,1");
    g_autofree char *events = test_events(redis, "bull:p:");
    assert_true(g_str_has_prefix(events, "waiting plain prev=waiting-children,"
                                         "waiting low prev=waiting-children,delayed later "));
}

/* A call does no more than it should: here it comes to three children, and to the job without a
 * parent, which was named first, only in the next one. */
static void removes_many_from_a_long_list_in_steps(void **state)
{
    static const char *const ids[] = { "plain", "c1", "c2", "c3", "c4", "c5", "none", "c1",
        "held" };
    static const int expected[] = { 1, 1, 1, 1, 1, 1, 0, 0, OX_ELOCK };
    struct test_queue *q = *state;
    ox_error err = { 0 };
    int results[9];
    make_parent("P", "priority 0 delay 0");
    for (int i = 1; i <= 5; i++) {
        make_child(ids[i], "P");
    }
    run("HSET bull:q:plain name n");
    run("HSET bull:q:held name n");
    run("SET bull:q:held:lock x");
    run("LPUSH bull:q:wait held plain");
    run("EVAL %s 1 bull:q:wait",
        "for i = 1, 150000 do redis.call('RPUSH', KEYS[1], 'other') end");
    test_ok(ox_queue_remove_many(q->queue, ids, 9, results, &err), &err);
    assert_memory_equal(results, expected, sizeof(expected));
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 150001);
    assert_int_equal(
        test_redis_int(redis, "EXISTS bull:q:plain bull:q:c1 bull:q:c3 bull:q:c5"), 0);
    expect_members("bull:p:wait", "P");
}

/* BullMQ's own looks for the parent behind the last colon. */
static void a_parent_with_colons_in_its_id_is_found(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    make_parent("repeat:s:1700000000000", "priority 0");
    make_parent("a:b:c", "priority 0");
    make_parent("x:y:z", "priority 0");
    make_child("c1", "repeat:s:1700000000000");
    make_child("c2", "a:b:c");
    make_child("c3", "x:y:z");
    run("HSET bull:q:c3 parent %s", "{no JSON");
    assert_int_equal(ox_queue_remove(q->queue, "c1", false, &err), 1);
    assert_int_equal(ox_queue_remove(q->queue, "c2", false, &err), 1);
    assert_int_equal(ox_queue_remove(q->queue, "c3", false, &err), 1);
    expect_members("bull:p:waiting-children", "");
    expect_members("bull:p:wait", "repeat:s:1700000000000,a:b:c,x:y:z");
}

/* A tree: root has a (pending), b (processed), c (unsuccessful), d (ignored); a has e. */
static void make_tree(void)
{
    static const char *const child_of[][2] = { { "a", "root" }, { "b", "root" },
        { "c", "root" }, { "d", "root" }, { "e", "a" } };
    run("HSET bull:q:meta version x");
    run("HSET bull:q:root name n");
    run("ZADD bull:q:waiting-children 1 root");
    for (size_t i = 0; i < G_N_ELEMENTS(child_of); i++)
        run("HSET bull:q:%s name n parentKey bull:q:%s parent "
            "{\"id\":\"%s\",\"queueKey\":\"bull:q\"}",
            child_of[i][0], child_of[i][1], child_of[i][1]);
    run("SADD bull:q:root:dependencies bull:q:a");
    run("SADD bull:q:a:dependencies bull:q:e");
    run("HSET bull:q:root:processed bull:q:b 1");
    run("ZADD bull:q:root:unsuccessful 1 bull:q:c");
    run("HSET bull:q:root:failed bull:q:d why");
    run("ZADD bull:q:waiting-children 1 a");
    run("ZADD bull:q:completed 1 b");
    run("ZADD bull:q:failed 1 c");
    run("ZADD bull:q:failed 1 d");
    run("LPUSH bull:q:wait e");
}

static void removes_a_tree_whole(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    make_tree();
    assert_int_equal(ox_queue_remove(q->queue, "root", true, &err), 1);
    /* No parent is set free on the way: it goes itself. */
    expect_events("removed e prev=wait,removed a prev=waiting-children,"
                  "removed b prev=completed,removed d prev=failed,removed c prev=failed,"
                  "removed root prev=waiting-children");
    run("DEL bull:q:meta");
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
}

static void keeps_tree_with_active_job(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    make_tree();
    run("SET bull:q:e:lock token");
    long long before = test_redis_int(redis, "DBSIZE");
    assert_int_equal(ox_queue_remove(q->queue, "root", true, &err), OX_ELOCK);
    assert_int_equal(test_redis_int(redis, "DBSIZE"), before);
    expect_members("bull:q:waiting-children", "a,root");
    /* Alone, the root can go; its children stay. */
    assert_int_equal(ox_queue_remove(q->queue, "root", false, &err), 1);
    assert_true(has_field("a", "name"));
    assert_true(has_field("b", "name"));
}

/* A custom id that was removed and used again, below another parent. */
static void a_child_of_another_parent_is_not_removed(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    make_tree();
    run("HSET bull:q:b parentKey bull:q:elsewhere");
    assert_int_equal(ox_queue_remove(q->queue, "root", true, &err), 1);
    assert_true(has_field("b", "name"));
    expect_members("bull:q:completed", "b");
    assert_false(has_field("c", "name"));
}

static void a_slot_freed_in_a_full_queue_wakes_a_worker(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    run("HSET bull:q:meta concurrency 1");
    g_free(test_add(q->queue, "job", NULL));
    g_free(test_add(q->queue, "job", NULL));
    g_autofree char *id = test_take(q->queue);
    run("DEL bull:q:1:lock");
    run("DEL bull:q:marker");
    assert_int_equal(ox_queue_remove(q->queue, id, false, &err), 1);
    expect_members("bull:q:marker", "0");
}

/* ---- place ------------------------------------------------------------------------------- */

static void changes_the_priority_of_a_waiting_job(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    for (int i = 0; i < 3; i++)
        g_free(test_add(q->queue, "job", NULL));
    run("DEL bull:q:marker");
    test_ok(ox_queue_change_priority(q->queue, "2", 5, false, &err), &err);
    expect_members("bull:q:wait", "3,1");
    expect_members("bull:q:prioritized", "2");
    expect_members("bull:q:marker", "0");
    assert_int_equal(test_redis_int(redis, "HGET bull:q:2 priority"), 5);
    test_ok(ox_queue_change_priority(q->queue, "1", 5, false, &err), &err);
    expect_members("bull:q:prioritized", "2,1");
    /* BullMQ leaves no marker here. */
    run("DEL bull:q:marker");
    test_ok(ox_queue_change_priority(q->queue, "3", 5, true, &err), &err);
    expect_members("bull:q:prioritized", "3,2,1");
    expect_members("bull:q:marker", "0");
    assert_int_equal(test_redis_int(redis, "ZSCORE bull:q:prioritized 3"), 5LL << 32);
    test_ok(ox_queue_change_priority(q->queue, "1", 0, false, &err), &err);
    test_ok(ox_queue_change_priority(q->queue, "2", 0, true, &err), &err);
    expect_members("bull:q:wait", "1,2");
}

static void changes_the_priority_of_jobs_that_do_not_wait(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options later = { .delay_ms = 3600000 };
    ox_error err = { 0 };
    g_free(test_add(q->queue, "job", &later));
    test_ok(ox_queue_change_priority(q->queue, "1", 9, false, &err), &err);
    expect_members("bull:q:delayed", "1");
    test_ok(ox_queue_promote(q->queue, "1", &err), &err);
    expect_members("bull:q:prioritized", "1");
    /* One that BullMQ 5.x has parked keeps its place to wait. */
    run("HSET bull:q:meta paused 1");
    run("HSET bull:q:p name n");
    run("RPUSH bull:q:paused p x");
    test_ok(ox_queue_change_priority(q->queue, "p", 0, true, &err), &err);
    expect_members("bull:q:paused", "x,p");
    expect_members("bull:q:wait", "");
    assert_int_equal(ox_queue_change_priority(q->queue, "9", 1, false, &err), OX_ENOTFOUND);
    assert_int_equal(ox_queue_change_priority(q->queue, "1", 2097152, false, &err), OX_EINVAL);
}

static void changes_a_delay(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options later = { .delay_ms = 3600000 };
    ox_error err = { 0 };
    g_free(test_add(q->queue, "job", &later));
    g_free(test_add(q->queue, "waits", NULL));
    forget_events();
    int64_t before = test_unix_ms();
    test_ok(ox_queue_change_delay(q->queue, "1", 60000, &err), &err);
    int64_t due = test_redis_int(redis, "ZSCORE bull:q:delayed 1") / 4096;
    assert_in_range(due, before + 60000, test_unix_ms() + 60000);
    assert_int_equal(test_redis_int(redis, "ZSCORE bull:q:marker 1"), due);
    assert_int_equal(test_redis_int(redis, "HGET bull:q:1 delay"), 60000);
    g_autofree char *event = g_strdup_printf("delayed 1 delay=%" G_GINT64_FORMAT, due);
    expect_events(event);
    assert_int_equal(ox_queue_change_delay(q->queue, "2", 1, &err), OX_ESTATE);
    assert_int_equal(ox_queue_change_delay(q->queue, "9", 1, &err), OX_ENOTFOUND);
    assert_int_equal(ox_queue_change_delay(q->queue, "1", -1, &err), OX_EINVAL);
}

/* ---- bonds ------------------------------------------------------------------------------- */

static void removes_child_dependency(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    make_parent("a:b:c", "priority 4");
    make_child("c1", "a:b:c");
    make_child("c2", "a:b:c");
    assert_int_equal(ox_queue_remove_child_dependency(q->queue, "c1", &err), 1);
    expect_members("bull:p:waiting-children", "a:b:c");
    assert_false(has_field("c1", "parentKey"));
    assert_false(has_field("c1", "parent"));
    assert_int_equal(ox_queue_remove_child_dependency(q->queue, "c1", &err), 0);
    assert_int_equal(ox_queue_remove_child_dependency(q->queue, "c2", &err), 1);
    expect_members("bull:p:prioritized", "a:b:c");
    expect_members("bull:p:marker", "0");
    assert_int_equal(ox_queue_remove_child_dependency(q->queue, "9", &err), OX_ENOTFOUND);
    run("HSET bull:q:c1 parentKey bull:p:gone");
    assert_int_equal(ox_queue_remove_child_dependency(q->queue, "c1", &err), OX_EPARENT);
}

static void frees_a_deduplication_id(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options o = { .dedup = { .id = "d:1" } };
    ox_error err = { 0 };
    g_autofree char *first = test_add(q->queue, "job", &o);
    g_autofree char *same = test_add(q->queue, "job", &o);
    assert_string_equal(first, same);
    assert_int_equal(ox_queue_remove_dedup(q->queue, "d:1", &err), 1);
    assert_int_equal(ox_queue_remove_dedup(q->queue, "d:1", &err), 0);
    assert_int_equal(ox_queue_remove_dedup(q->queue, "", &err), OX_EINVAL);
    g_autofree char *other = test_add(q->queue, "job", &o);
    assert_string_not_equal(first, other);
}

/* What another program stored must not leave the job half ended. */
static void finishes_jobs_with_odd_json(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options o = { .dedup = { .id = "d" } };
    g_autofree char *id = test_add(q->queue, "job", &o);
    run("HSET bull:p:1 name parent");
    run("SADD bull:p:1:dependencies bull:q:1");
    run("HSET bull:q:1 parentKey bull:p:1 parent [");
    run("HSET bull:q:dn:d jid next opts {");
    g_autofree char *taken = test_take(q->queue);
    test_complete(q->queue, taken, "1");
    expect_members("bull:q:completed", id);
    expect_members("bull:q:active", "");
    expect_members("bull:q:wait", "next");
    assert_int_equal(test_redis_int(redis, "HGET bull:p:1:processed bull:q:1"), 1);
    assert_int_equal(test_redis_int(redis, "EXISTS bull:q:dn:d"), 0);
}

/* ---- data, progress ---------------------------------------------------------------------- */

static void updates_data_and_progress(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    g_autofree char *id = test_add(q->queue, "job", NULL);
    forget_events();
    test_ok(ox_queue_update_data(q->queue, id, "{\"a\":[]}", &err), &err);
    test_ok(ox_queue_update_progress(q->queue, id, "42", &err), &err);
    test_ok(ox_queue_update_progress(q->queue, id, "{\"done\":1}", &err), &err);
    g_autofree char *data = test_redis_text(redis, "HGET bull:q:%s data", id);
    g_autofree char *progress = test_redis_text(redis, "HGET bull:q:%s progress", id);
    assert_string_equal(data, "{\"a\":[]}");
    assert_string_equal(progress, "{\"done\":1}");
    expect_events("progress 1 data=42,progress 1 data={\"done\":1}");
}

static void rejects_invalid_json(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    g_autofree char *id = test_add(q->queue, "job", NULL);
    forget_events();
    assert_int_equal(ox_queue_update_data(q->queue, id, "{", &err), OX_EINVAL);
    assert_int_equal(ox_queue_update_data(q->queue, id, NULL, &err), OX_EINVAL);
    assert_int_equal(ox_queue_update_progress(q->queue, id, "NaN", &err), OX_EINVAL);
    assert_int_equal(ox_queue_update_progress(q->queue, "9", "1", &err), OX_ENOTFOUND);
    assert_int_equal(ox_queue_update_data(q->queue, "9", "1", &err), OX_ENOTFOUND);
    assert_int_equal(test_redis_int(redis, "EXISTS bull:q:9"), 0);
    expect_events("");
    g_autofree char *data = test_redis_text(redis, "HGET bull:q:%s data", id);
    assert_string_equal(data, "{}");
}

static void writes_no_events_where_there_are_none_wanted(void **state)
{
    (void)state;
    const ox_queue_options quiet = { .no_events = true };
    struct test_queue *q = test_queue_new(redis, &quiet);
    ox_error err = { 0 };
    g_autofree char *id = test_add_failed(q->queue, "no");
    test_ok(ox_queue_retry(q->queue, id, OX_FAILED, 0, &err), &err);
    test_ok(ox_queue_update_progress(q->queue, id, "1", &err), &err);
    assert_int_equal(ox_queue_remove(q->queue, id, false, &err), 1);
    assert_int_equal(test_redis_int(redis, "EXISTS bull:q:events"), 0);
    test_queue_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(retries_a_failed_job),
        WITH_QUEUE(retries_a_completed_job_and_forgets_its_attempts),
        WITH_QUEUE(retry_rejects_job_in_other_state),
        WITH_QUEUE(retry_keeps_priority_and_lifo),
        WITH_QUEUE(retry_of_a_child_holds_its_parent_again),
        WITH_QUEUE(retries_in_batches_up_to_a_time),
        WITH_QUEUE(a_paused_queue_gets_no_marker),
        WITH_QUEUE(promotes_a_delayed_job),
        WITH_QUEUE(promotes_all_with_priority_and_without_delay),
        WITH_QUEUE(promotes_in_batches),
        WITH_QUEUE(removes_a_job_from_every_state),
        WITH_QUEUE(keeps_active_job),
        WITH_QUEUE(keeps_next_scheduler_job),
        WITH_QUEUE(a_removed_job_frees_its_deduplication_id),
        WITH_QUEUE(the_last_child_removed_releases_its_parent_as_it_should_run),
        WITH_QUEUE(removes_many_from_a_long_list_in_steps),
        WITH_QUEUE(a_parent_with_colons_in_its_id_is_found),
        WITH_QUEUE(removes_a_tree_whole),
        WITH_QUEUE(keeps_tree_with_active_job),
        WITH_QUEUE(a_child_of_another_parent_is_not_removed),
        WITH_QUEUE(a_slot_freed_in_a_full_queue_wakes_a_worker),
        WITH_QUEUE(changes_the_priority_of_a_waiting_job),
        WITH_QUEUE(changes_the_priority_of_jobs_that_do_not_wait),
        WITH_QUEUE(changes_a_delay),
        WITH_QUEUE(removes_child_dependency),
        WITH_QUEUE(frees_a_deduplication_id),
        WITH_QUEUE(finishes_jobs_with_odd_json),
        WITH_QUEUE(updates_data_and_progress),
        WITH_QUEUE(rejects_invalid_json),
        cmocka_unit_test(writes_no_events_where_there_are_none_wanted),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
