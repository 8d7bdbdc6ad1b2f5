/*
 * test_lib_steer.c - a queue as a whole: pause and resume, limits, drain, clean, obliterate.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/jobs.h"

static const ox_queue_options legacy = { .legacy_pause = true };
static const ox_job_options later = { .delay_ms = 3600000 }, low = { .priority = 3 };

static int start_legacy(void **state)
{
    *state = test_queue_new(redis, &legacy);
    return 0;
}

static void add_jobs(ox_queue *queue, int count, const ox_job_options *options)
{
    for (int i = 0; i < count; i++)
        g_free(test_add(queue, "job", options));
}

static bool exists(const char *key)
{
    return test_redis_int(redis, "EXISTS %s", key) == 1;
}

/* ---- pause ------------------------------------------------------------------------------- */

static void pauses_and_resumes(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    add_jobs(q->queue, 2, NULL);
    run("DEL bull:q:events");
    assert_int_equal(ox_queue_is_paused(q->queue, &err), 0);
    test_ok(ox_queue_pause(q->queue, &err), &err);
    assert_int_equal(ox_queue_is_paused(q->queue, &err), 1);
    assert_int_equal(test_redis_int(redis, "HGET bull:q:meta paused"), 1);
    expect_members("bull:q:wait", "2,1");
    expect_members("bull:q:marker", "");
    g_autofree char *none = test_take(q->queue);
    assert_null(none);
    add_jobs(q->queue, 1, NULL);
    expect_members("bull:q:marker", "");
    test_ok(ox_queue_resume(q->queue, &err), &err);
    assert_int_equal(ox_queue_is_paused(q->queue, &err), 0);
    expect_members("bull:q:marker", "0");
    expect_events("paused,added 3,waiting 3,resumed");
    g_autofree char *first = test_take(q->queue);
    assert_string_equal(first, "1");
}

static void resuming_marks_what_is_delayed(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    add_jobs(q->queue, 1, &later);
    test_ok(ox_queue_pause(q->queue, &err), &err);
    expect_members("bull:q:marker", "");
    test_ok(ox_queue_resume(q->queue, &err), &err);
    expect_members("bull:q:marker", "1");
    assert_int_equal(test_redis_int(redis, "ZSCORE bull:q:marker 1"),
        test_redis_int(redis, "ZSCORE bull:q:delayed 1") / 4096);
    add_jobs(q->queue, 1, &low);
    test_ok(ox_queue_pause(q->queue, &err), &err);
    test_ok(ox_queue_resume(q->queue, &err), &err);
    expect_members("bull:q:marker", "0,1");
}

/* What BullMQ 5.x parked runs first: it is older. */
static void resuming_merges_the_parked_list(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    run("EVAL %s 0", "for i = 1, 2500 do redis.call('LPUSH', 'bull:q:paused', i) end");
    run("HSET bull:q:meta paused 1");
    run("LPUSH bull:q:wait new");
    test_ok(ox_queue_resume(q->queue, &err), &err);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 2501);
    assert_false(exists("bull:q:paused"));
    assert_int_equal(test_redis_int(redis, "LINDEX bull:q:wait -1"), 1);
    assert_int_equal(test_redis_int(redis, "LINDEX bull:q:wait 1"), 2500);
    g_autofree char *head = test_redis_text(redis, "LINDEX bull:q:wait 0");
    assert_string_equal(head, "new");
    expect_events("resumed");
    run("RENAME bull:q:wait bull:q:paused");
    test_ok(ox_queue_resume(q->queue, &err), &err);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 2501);
    assert_int_equal(test_redis_int(redis, "LINDEX bull:q:wait -1"), 1);
}

static void legacy_pause_parks_the_waiting_jobs(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    add_jobs(q->queue, 2, NULL);
    test_ok(ox_queue_pause(q->queue, &err), &err);
    expect_members("bull:q:paused", "2,1");
    assert_false(exists("bull:q:wait"));
    add_jobs(q->queue, 1, NULL);
    expect_members("bull:q:paused", "3,2,1");
    /* A 6.x producer adds to `wait` all the same. */
    run("LPUSH bull:q:wait six");
    test_ok(ox_queue_resume(q->queue, &err), &err);
    expect_members("bull:q:wait", "six,3,2,1");
    assert_false(exists("bull:q:paused"));
}

/* RENAME over a list that is there would lose it. */
static void legacy_pause_keeps_parked_jobs(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    run("RPUSH bull:q:paused b a");
    run("EVAL %s 0", "for i = 1, 2500 do redis.call('LPUSH', 'bull:q:wait', i) end");
    test_ok(ox_queue_pause(q->queue, &err), &err);
    assert_false(exists("bull:q:wait"));
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:paused"), 2502);
    g_autofree char *next = test_redis_text(redis, "LINDEX bull:q:paused -1");
    assert_string_equal(next, "a");
    assert_int_equal(test_redis_int(redis, "LINDEX bull:q:paused -3"), 1);
    assert_int_equal(test_redis_int(redis, "LINDEX bull:q:paused 0"), 2500);
    expect_events("paused");
}

static void legacy_pause_parks_every_push(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    g_autofree char *failed = test_add_failed(q->queue, "no");
    g_autofree char *delayed = test_add(q->queue, "job", &later);
    g_autofree char *urgent = test_add(q->queue, "job", &low);
    test_ok(ox_queue_pause(q->queue, &err), &err);
    test_ok(ox_queue_retry(q->queue, failed, OX_FAILED, 0, &err), &err);
    test_ok(ox_queue_promote(q->queue, delayed, &err), &err);
    test_ok(ox_queue_change_priority(q->queue, urgent, 0, false, &err), &err);
    expect_members("bull:q:paused", "3,2,1");
    assert_false(exists("bull:q:wait"));
    assert_int_equal(ox_queue_remove(q->queue, "2", false, &err), 1);
    expect_members("bull:q:paused", "3,1");
    assert_int_equal(ox_queue_drain(q->queue, false, &err), 2);
    assert_false(exists("bull:q:paused"));
}

/* ---- limits ------------------------------------------------------------------------------ */

static void sets_and_clears_limits(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    ox_queue_info info;
    test_ok(ox_queue_set_concurrency(q->queue, 7, &err), &err);
    test_ok(ox_queue_set_rate(q->queue, 5, 1000, &err), &err);
    assert_int_equal(test_redis_int(redis, "HGET bull:q:meta concurrency"), 7);
    assert_int_equal(test_redis_int(redis, "HGET bull:q:meta max"), 5);
    assert_int_equal(test_redis_int(redis, "HGET bull:q:meta duration"), 1000);
    test_ok(ox_queue_info_get(q->queue, &info, &err), &err);
    assert_int_equal(info.concurrency, 7);
    assert_int_equal(info.rate_max, 5);
    assert_int_equal(info.rate_duration_ms, 1000);
    assert_int_equal(info.rate_ttl_ms, 0);
    test_ok(ox_queue_set_concurrency(q->queue, 0, &err), &err);
    test_ok(ox_queue_set_rate(q->queue, 0, 0, &err), &err);
    assert_int_equal(test_redis_int(redis, "EXISTS bull:q:meta"), 0);
    assert_int_equal(ox_queue_set_rate(q->queue, 5, 0, &err), OX_EINVAL);
    assert_int_equal(ox_queue_set_rate(q->queue, 5, -1, &err), OX_EINVAL);
}

/* A queue that was full may have work to start now. */
static void a_higher_limit_wakes_a_worker(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    test_ok(ox_queue_set_concurrency(q->queue, 1, &err), &err);
    add_jobs(q->queue, 2, NULL);
    g_free(test_take(q->queue));
    run("DEL bull:q:marker");
    test_ok(ox_queue_set_concurrency(q->queue, 1, &err), &err);
    expect_members("bull:q:marker", "");
    test_ok(ox_queue_set_concurrency(q->queue, 2, &err), &err);
    expect_members("bull:q:marker", "0");
}

static void sets_and_clears_rate_limit(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    ox_queue_info info;
    test_ok(ox_queue_set_rate(q->queue, 100, 1000, &err), &err);
    test_ok(ox_queue_rate_limit(q->queue, 60000, &err), &err);
    assert_in_range(test_redis_int(redis, "PTTL bull:q:limiter"), 50000, 60000);
    add_jobs(q->queue, 1, NULL);
    assert_null(test_take(q->queue));
    test_ok(ox_queue_info_get(q->queue, &info, &err), &err);
    assert_in_range(info.rate_ttl_ms, 50000, 60000);
    test_ok(ox_queue_rate_limit(q->queue, 0, &err), &err);
    assert_false(exists("bull:q:limiter"));
    g_autofree char *id = test_take(q->queue);
    assert_string_equal(id, "1");
    /* One start of a hundred: the window runs, but it is open. */
    test_ok(ox_queue_info_get(q->queue, &info, &err), &err);
    assert_int_equal(info.rate_ttl_ms, 0);
    assert_int_equal(ox_queue_rate_limit(q->queue, -5, &err), OX_EINVAL);
    assert_int_equal(ox_queue_rate_limit(q->queue, INT64_MAX, &err), OX_EINVAL);
}

/* ---- drain ------------------------------------------------------------------------------- */

static void drains_waiting_jobs(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    g_free(test_add_completed(q->queue, "1"));
    add_jobs(q->queue, 1, NULL);
    g_free(test_take(q->queue));
    add_jobs(q->queue, 2, NULL);
    add_jobs(q->queue, 2, &low);
    add_jobs(q->queue, 1, &later);
    run("HSET bull:q:parked name n");
    run("RPUSH bull:q:paused parked");
    run("DEL bull:q:events");
    assert_int_equal(ox_queue_drain(q->queue, false, &err), 5);
    expect_members("bull:q:wait", "");
    expect_members("bull:q:paused", "");
    expect_members("bull:q:prioritized", "");
    expect_members("bull:q:active", "2");
    expect_members("bull:q:completed", "1");
    expect_members("bull:q:delayed", "7");
    assert_false(exists("bull:q:3"));
    assert_false(exists("bull:q:5"));
    assert_false(exists("bull:q:parked"));
    assert_true(exists("bull:q:7"));
    expect_events("");
    assert_int_equal(ox_queue_drain(q->queue, true, &err), 1);
    assert_false(exists("bull:q:7"));
}

/* BullMQ's own keeps as many ids as stay, but the wrong ones: the schedule was dead. */
static void drain_keeps_scheduler_jobs(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    run("ZADD bull:q:repeat 1700000000000 s 1800000000000 t");
    run("HSET bull:q:repeat:s:1700000000000 name n rjk s");
    run("HSET bull:q:repeat:t:1800000000000 name n rjk t");
    add_jobs(q->queue, 1, NULL);
    run("LPUSH bull:q:wait repeat:s:1700000000000");
    add_jobs(q->queue, 1, NULL);
    run("ZADD bull:q:delayed 1 repeat:t:1800000000000");
    add_jobs(q->queue, 1, &later);
    assert_int_equal(ox_queue_drain(q->queue, true, &err), 3);
    expect_members("bull:q:wait", "repeat:s:1700000000000");
    expect_members("bull:q:delayed", "repeat:t:1800000000000");
    assert_true(exists("bull:q:repeat:s:1700000000000"));
    assert_true(exists("bull:q:repeat:t:1800000000000"));
    assert_false(exists("bull:q:1"));
    assert_false(exists("bull:q:2"));
    assert_int_equal(ox_queue_drain(q->queue, true, &err), 0);
}

/* More than one call can look at, with some that stay among them. */
static void drains_in_batches(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    run("EVAL %s 0", "for i = 1, 2300 do local id = 'j' .. i "
                     "if i % 100 == 0 then id = 'repeat:s' .. i .. ':5' "
                     "redis.call('ZADD', 'bull:q:repeat', 5, 's' .. i) end "
                     "redis.call('HSET', 'bull:q:' .. id, 'name', 'n', 'rjk', 's' .. i) "
                     "redis.call('LPUSH', 'bull:q:wait', id) redis.call('ZADD', "
                     "'bull:q:prioritized', i, id) "
                     "end");
    assert_int_equal(ox_queue_drain(q->queue, false, &err), 2 * (2300 - 23));
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 23);
    assert_int_equal(test_redis_int(redis, "ZCARD bull:q:prioritized"), 23);
    g_autofree char *first = test_redis_text(redis, "LINDEX bull:q:wait -1");
    assert_string_equal(first, "repeat:s100:5");
    /* 23 hashes, the list, two sets. */
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 26);
}

static void make_family(const char *parent_queue, const char *id)
{
    run("HSET bull:%s:%s name n deid pd", parent_queue, id);
    run("ZADD bull:%s:waiting-children 1 %s", parent_queue, id);
    run("HSET bull:%s:meta version x", parent_queue);
    run("HSET bull:q:of-%s name n parentKey bull:%s:%s parent "
        "{\"id\":\"%s\",\"queueKey\":\"bull:%s\"}",
        id, parent_queue, id, id, parent_queue);
    run("SADD bull:%s:%s:dependencies bull:q:of-%s", parent_queue, id, id);
    run("LPUSH bull:q:wait of-%s", id);
}

/* A parent of the same queue goes with its last child; one of another queue runs. */
static void drained_children_release_parents(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    make_family("q", "near");
    make_family("p", "far");
    run("SET bull:q:de:pd near");
    assert_int_equal(ox_queue_drain(q->queue, false, &err), 2);
    assert_false(exists("bull:q:near"));
    assert_false(exists("bull:q:near:dependencies"));
    assert_false(exists("bull:q:de:pd"));
    expect_members("bull:q:waiting-children", "");
    expect_members("bull:p:wait", "far");
    expect_members("bull:p:waiting-children", "");
    expect_members("bull:p:marker", "0");
}

static void draining_frees_deduplication_ids(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options o = { .dedup = { .id = "d", .ttl_ms = 100000 } };
    ox_error err = { 0 };
    add_jobs(q->queue, 1, &o);
    assert_int_equal(ox_queue_drain(q->queue, false, &err), 1);
    assert_false(exists("bull:q:de:d"));
}

/* ---- clean ------------------------------------------------------------------------------- */

static void note_id(void *arg, const char *id)
{
    GString *ids = arg;
    g_string_append_printf(ids, "%s%s", ids->len ? "," : "", id);
}

static void expect_clean(
    struct test_queue *q, int job_state, int64_t grace_ms, uint32_t limit, const char *expected)
{
    g_autoptr(GString) ids = g_string_new(NULL);
    g_auto(GStrv) words = g_strsplit(expected, ",", -1);
    ox_error err = { 0 };
    int64_t count = ox_queue_clean(q->queue, job_state, grace_ms, limit, note_id, ids, &err);
    test_ok(count, &err);
    assert_string_equal(ids->str, expected);
    assert_int_equal(count, g_strv_length(words));
}

static void cleans_finished_jobs_by_their_end(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    for (int i = 1; i <= 4; i++)
        g_free(test_add_completed(q->queue, "1"));
    run("ZADD bull:q:completed 1000 2 2000 1 3000 3");
    run("DEL bull:q:events");
    expect_clean(q, OX_COMPLETED, 3600000, 2, "2,1");
    expect_clean(q, OX_COMPLETED, 3600000, 0, "3");
    expect_clean(q, OX_COMPLETED, 3600000, 0, "");
    expect_members("bull:q:completed", "4");
    assert_false(exists("bull:q:1"));
    assert_true(exists("bull:q:4"));
    expect_events("cleaned count=2,cleaned count=1,cleaned count=0");
    expect_clean(q, OX_COMPLETED, 0, 0, "4");
    g_free(test_add_failed(q->queue, "no"));
    assert_int_equal(ox_queue_clean(q->queue, OX_FAILED, 0, 0, NULL, NULL, &err), 1);
}

static void set_times(const char *id, const char *timestamp, const char *processed)
{
    run("HSET bull:q:%s name n timestamp %s", id, timestamp);
    if (processed)
        run("HSET bull:q:%s processedOn %s", id, processed);
}

/* Times are numbers: "9" is before "10". Fractions happen. */
static void cleans_waiting_jobs_by_age(void **state)
{
    struct test_queue *q = *state;
    g_autofree char *now = g_strdup_printf("%" G_GINT64_FORMAT, test_unix_ms());
    set_times("old", "9", NULL);
    set_times("new", now, NULL);
    set_times("half", "1000.5", NULL);
    set_times("tried", "5", now);
    set_times("parked", "7", NULL);
    run("HSET bull:q:bad timestamp never");
    run("RPUSH bull:q:wait bad tried half new old");
    run("RPUSH bull:q:paused parked");
    expect_clean(q, OX_WAITING, 3600000, 1, "old");
    expect_clean(q, OX_WAITING, 3600000, 0, "half,bad,parked");
    expect_members("bull:q:wait", "tried,new");
    expect_members("bull:q:paused", "");
    expect_events("cleaned count=1,cleaned count=2,cleaned count=1");
}

static void cleans_other_states_by_age(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    g_autofree char *now = g_strdup_printf("%" G_GINT64_FORMAT, test_unix_ms());
    set_times("d1", "5", NULL);
    set_times("d2", "5", now);
    set_times("p1", "5", now);
    set_times("p2", now, NULL);
    set_times("a1", "5", "6");
    set_times("a2", "5", "6");
    run("ZADD bull:q:delayed 1 d1 2 d2");
    run("ZADD bull:q:prioritized 1 p1 2 p2");
    run("RPUSH bull:q:active a2 a1");
    run("SADD bull:q:stalled a1 a2");
    run("SET bull:q:a2:lock token");
    expect_clean(q, OX_DELAYED, 3600000, 0, "d1");
    expect_clean(q, OX_PRIORITIZED, 3600000, 0, "p1");
    expect_clean(q, OX_ACTIVE, 3600000, 0, "a1");
    expect_members("bull:q:delayed", "d2");
    expect_members("bull:q:prioritized", "p2");
    expect_members("bull:q:active", "a2");
    assert_int_equal(test_redis_int(redis, "SISMEMBER bull:q:stalled a1"), 0);
    assert_int_equal(test_redis_int(redis, "SISMEMBER bull:q:stalled a2"), 1);
    assert_int_equal(
        ox_queue_clean(q->queue, OX_WAITING_CHILDREN, 0, 0, NULL, NULL, &err), OX_EINVAL);
    assert_int_equal(ox_queue_clean(q->queue, OX_WAITING, -1, 0, NULL, NULL, &err), OX_EINVAL);
    assert_int_equal(
        ox_queue_clean(q->queue, OX_WAITING, INT64_MIN, 0, NULL, NULL, &err), OX_EINVAL);
}

static void clean_keeps_scheduler_jobs(void **state)
{
    struct test_queue *q = *state;
    set_times("old", "9", NULL);
    run("ZADD bull:q:repeat 1700000000000 s");
    run("HSET bull:q:repeat:s:1700000000000 name n rjk s timestamp 5");
    run("RPUSH bull:q:wait old repeat:s:1700000000000");
    run("ZADD bull:q:delayed 1 repeat:s:1700000000000");
    expect_clean(q, OX_WAITING, 0, 0, "old");
    expect_clean(q, OX_DELAYED, 0, 0, "");
    expect_members("bull:q:wait", "repeat:s:1700000000000");
}

static void cleans_in_batches(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    run("EVAL %s 0",
        "for i = 1, 2300 do local t = i % 50 == 0 and 9e15 or i "
        "redis.call('HSET', 'bull:q:' .. i, 'name', 'n', 'timestamp', string.format('%.0f', "
        "t)) "
        "redis.call('LPUSH', 'bull:q:wait', i) redis.call('ZADD', 'bull:q:failed', i, i) end");
    assert_int_equal(ox_queue_clean(q->queue, OX_WAITING, 0, 1800, NULL, NULL, &err), 1800);
    assert_int_equal(ox_queue_clean(q->queue, OX_WAITING, 0, 0, NULL, NULL, &err), 454);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 46);
    assert_int_equal(ox_queue_clean(q->queue, OX_FAILED, 0, 2200, NULL, NULL, &err), 2200);
    assert_int_equal(test_redis_int(redis, "ZCARD bull:q:failed"), 100);
}

/* ---- obliterate -------------------------------------------------------------------------- */

/* Every state, a scheduler, limits, parts of jobs, and leavings of jobs that are gone. */
static void fill(struct test_queue *q)
{
    const ox_job_options dedup = { .dedup = { .id = "d:1", .ttl_ms = 3600000 } };
    ox_error err = { 0 };
    g_free(test_add_completed(q->queue, "1"));
    g_free(test_add_failed(q->queue, "no"));
    add_jobs(q->queue, 2, NULL);
    add_jobs(q->queue, 2, &low);
    add_jobs(q->queue, 2, &later);
    add_jobs(q->queue, 1, &dedup);
    test_ok(ox_queue_add_log(q->queue, "3", "row", 0, &err), &err);
    make_family("q", "near");
    run("HSET bull:q:near:processed bull:q:1 1");
    run("HSET bull:q:near:failed bull:q:2 why");
    run("ZADD bull:q:near:unsuccessful 1 bull:q:2");
    run("RPUSH bull:q:paused ghost");
    run("ZADD bull:q:repeat 1700000000000 s");
    run("HSET bull:q:repeat:s name n every 1000 ic 1");
    run("HSET bull:q:repeat:s:1700000000000 name n rjk s");
    run("ZADD bull:q:delayed 1 repeat:s:1700000000000");
    run("RPUSH bull:q:metrics:completed:data 1");
    test_ok(ox_queue_set_rate(q->queue, 5, 1000, &err), &err);
    test_ok(ox_queue_rate_limit(q->queue, 60000, &err), &err);
    run("SADD bull:q:stalled 9");
    run("SET bull:q:stalled-check 9");
    run("SET bull:q:priority obsolete");
    /* Leavings. */
    run("HSET bull:q:lost name %s", "in no state");
    run("RPUSH bull:q:lost:logs row");
    run("SET bull:q:gone:lock token");
    run("SET bull:q:de:old trimmed");
    run("HSET bull:q:dn:old name n");
    run("HSET bull:q:repeat:0123456789abcdef name legacy");
}

static void obliterates_everything(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    fill(q);
    test_ok(ox_queue_obliterate(q->queue, false, &err), &err);
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
    /* And once more, where nothing is. */
    test_ok(ox_queue_obliterate(q->queue, false, &err), &err);
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
}

static void obliterate_needs_force_while_active(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    add_jobs(q->queue, 2, NULL);
    g_free(test_take(q->queue));
    assert_int_equal(ox_queue_obliterate(q->queue, false, &err), OX_EACTIVE);
    assert_non_null(strstr(err.text, "queue q"));
    assert_int_equal(ox_queue_is_paused(q->queue, &err), 0);
    expect_members("bull:q:wait", "2");
    test_ok(ox_queue_obliterate(q->queue, true, &err), &err);
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
}

static void obliterates_in_batches(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    run("EVAL %s 0", "for i = 1, 3000 do redis.call('HSET', 'bull:q:' .. i, 'name', 'n') "
                     "redis.call('LPUSH', 'bull:q:wait', i) "
                     "redis.call('HSET', 'bull:q:repeat:' .. i, 'name', 'n') "
                     "redis.call('ZADD', 'bull:q:repeat', i, i) "
                     "redis.call('HSET', 'bull:q:lost' .. i, 'name', 'n') end");
    test_ok(ox_queue_obliterate(q->queue, false, &err), &err);
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
}

/* Keys of other queues that look as if they lay below this one. */
static void obliterate_keeps_other_queues(void **state)
{
    static const char *const keys[] = { "bull:q2:1", "bull:q:b:5", "bull:q:b:5:logs",
        "bull:q:b:x", "bull:q:repeat:5", "bull:q:deep:er:5", "bul:q:1", "bull:[q]:1" };
    struct test_queue *q = *state;
    ox_error err = { 0 };
    fill(q);
    run("HSET bull:q:b:meta version x");
    run("HSET bull:q:deep:er:meta version x");
    run("HSET bull:q:repeat:meta version x");
    run("RPUSH bull:q:b:wait 5");
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        run("HSET %s name n", keys[i]);
    make_family("p", "far");
    test_ok(ox_queue_obliterate(q->queue, false, &err), &err);
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        if (!exists(keys[i]))
            test_fatal("%s is gone", keys[i]);
    assert_true(exists("bull:q:b:wait"));
    assert_true(exists("bull:q:deep:er:meta"));
    /* The parent elsewhere waits for nothing any more. */
    expect_members("bull:p:wait", "far");
    assert_false(exists("bull:q:meta"));
    assert_false(exists("bull:q:lost"));
}

#define WITH_LEGACY(test) cmocka_unit_test_setup_teardown(test, start_legacy, test_queue_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(pauses_and_resumes),
        WITH_QUEUE(resuming_marks_what_is_delayed),
        WITH_QUEUE(resuming_merges_the_parked_list),
        WITH_LEGACY(legacy_pause_parks_the_waiting_jobs),
        WITH_LEGACY(legacy_pause_keeps_parked_jobs),
        WITH_LEGACY(legacy_pause_parks_every_push),
        WITH_QUEUE(sets_and_clears_limits),
        WITH_QUEUE(a_higher_limit_wakes_a_worker),
        WITH_QUEUE(sets_and_clears_rate_limit),
        WITH_QUEUE(drains_waiting_jobs),
        WITH_QUEUE(drain_keeps_scheduler_jobs),
        WITH_QUEUE(drains_in_batches),
        WITH_QUEUE(drained_children_release_parents),
        WITH_QUEUE(draining_frees_deduplication_ids),
        WITH_QUEUE(cleans_finished_jobs_by_their_end),
        WITH_QUEUE(cleans_waiting_jobs_by_age),
        WITH_QUEUE(cleans_other_states_by_age),
        WITH_QUEUE(clean_keeps_scheduler_jobs),
        WITH_QUEUE(cleans_in_batches),
        WITH_QUEUE(obliterates_everything),
        WITH_QUEUE(obliterate_needs_force_while_active),
        WITH_QUEUE(obliterates_in_batches),
        WITH_QUEUE(obliterate_keeps_other_queues),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
