/*
 * test_lib_read.c - looking at jobs and queues: counts, lists, one job and its state, logs,
 * children, settings, metrics, workers, queues.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/jobs.h"

/* One job in each state, and two in `wait`. */
static void fill(struct test_queue *q)
{
    const ox_job_options later = { .delay_ms = 3600000 }, low = { .priority = 3 };
    g_free(test_add_completed(q->queue, "1"));
    g_free(test_add_failed(q->queue, "no"));
    g_free(test_add(q->queue, "run", NULL));
    g_free(test_take(q->queue));
    g_free(test_add(q->queue, "wait", NULL));
    g_free(test_add(q->queue, "wait", NULL));
    g_free(test_add(q->queue, "later", &later));
    g_free(test_add(q->queue, "low", &low));
    run("HSET bull:q:8 name parent data {}");
    run("ZADD bull:q:waiting-children 1 8");
    run("HSET bull:q:9 name parked data {}");
    run("RPUSH bull:q:paused 9");
}

static void counts_every_state(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    ox_counts counts;
    fill(q);
    test_ok(ox_queue_counts(q->queue, &counts, &err), &err);
    const int64_t expected[OX_STATE_COUNT] = { [OX_COMPLETED] = 1,
        [OX_FAILED] = 1,
        [OX_DELAYED] = 1,
        [OX_PRIORITIZED] = 1,
        [OX_ACTIVE] = 1,
        [OX_WAITING] = 2,
        [OX_PAUSED] = 1,
        [OX_WAITING_CHILDREN] = 1 };
    for (int i = 0; i < OX_STATE_COUNT; i++)
        if (counts.of[i] != expected[i])
            test_fatal("%s: %lld", ox_state_name(i), (long long)counts.of[i]);
}

static void empty_queue_has_zero_counts(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    ox_counts counts;
    ox_job **jobs = NULL;
    size_t count = 9;
    test_ok(ox_queue_counts(q->queue, &counts, &err), &err);
    for (int i = 0; i < OX_STATE_COUNT; i++)
        assert_int_equal(counts.of[i], 0);
    test_ok(ox_queue_jobs(q->queue, OX_WAITING, 0, -1, true, &jobs, &count, &err), &err);
    assert_int_equal(count, 0);
    ox_list_free(jobs);
    assert_int_equal(ox_queue_job_state(q->queue, "1", &err), OX_UNKNOWN);
    assert_int_equal(ox_queue_remove(q->queue, "1", true, &err), 0);
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
}

static void counts_waiting_jobs_by_priority(void **state)
{
    struct test_queue *q = *state;
    const uint32_t asked[] = { 0, 1, 3, 2097151 };
    int64_t counts[4];
    ox_error err = { 0 };
    const ox_job_options last = { .priority = 2097151 }, first = { .priority = 1 };
    fill(q);
    g_free(test_add(q->queue, "last", &last));
    g_free(test_add(q->queue, "first", &first));
    g_free(test_add(q->queue, "first", &first));
    test_ok(ox_queue_counts_by_priority(q->queue, asked, 4, counts, &err), &err);
    assert_int_equal(counts[0], 3);
    assert_int_equal(counts[1], 2);
    assert_int_equal(counts[2], 1);
    assert_int_equal(counts[3], 1);
}

/* The ids of a range, joined. */
static char *list(ox_queue *queue, int job_state, int64_t from, int64_t to, bool ascending)
{
    ox_job **jobs = NULL;
    size_t count = 0;
    ox_error err = { 0 };
    GString *out = g_string_new(NULL);
    test_ok(ox_queue_jobs(queue, job_state, from, to, ascending, &jobs, &count, &err), &err);
    for (size_t i = 0; i < count; i++)
        g_string_append_printf(out, "%s%s", i ? "," : "", ox_job_id(jobs[i]));
    ox_list_free(jobs);
    return g_string_free(out, FALSE);
}

static void expect_list(ox_queue *queue, int job_state, int64_t from, int64_t to,
    bool ascending, const char *expected)
{
    g_autofree char *ids = list(queue, job_state, from, to, ascending);
    assert_string_equal(ids, expected);
}

static void lists_in_the_order_in_which_jobs_run(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options next = { .lifo = true };
    for (int i = 0; i < 4; i++)
        g_free(test_add(q->queue, "job", NULL));
    g_free(test_add(q->queue, "next", &next));
    expect_list(q->queue, OX_WAITING, 0, -1, true, "5,1,2,3,4");
    expect_list(q->queue, OX_WAITING, 0, -1, false, "4,3,2,1,5");
    expect_list(q->queue, OX_WAITING, 0, 1, true, "5,1");
    expect_list(q->queue, OX_WAITING, 1, 2, true, "1,2");
    expect_list(q->queue, OX_WAITING, -2, -1, true, "3,4");
    expect_list(q->queue, OX_WAITING, 1, 2, false, "3,2");
    expect_list(q->queue, OX_WAITING, 7, 9, true, "");
    expect_list(q->queue, OX_WAITING, 0, INT64_MAX, true, "5,1,2,3,4");
    expect_list(q->queue, OX_WAITING, INT64_MAX, -1, true, "");
    /* Taking shows that the order is true. */
    g_autofree char *first = test_take(q->queue);
    g_autofree char *second = test_take(q->queue);
    assert_string_equal(first, "5");
    assert_string_equal(second, "1");
}

static void lists_sets_by_score(void **state)
{
    struct test_queue *q = *state;
    ox_job_options o = { .delay_ms = 9000000 };
    g_free(test_add(q->queue, "far", &o));
    o.delay_ms = 5000000;
    g_free(test_add(q->queue, "near", &o));
    expect_list(q->queue, OX_DELAYED, 0, -1, true, "2,1");
    expect_list(q->queue, OX_DELAYED, 0, -1, false, "1,2");
    expect_list(q->queue, OX_DELAYED, 0, 0, true, "2");
}

static void lists_more_jobs_than_fit_one_answer(void **state)
{
    struct test_queue *q = *state;
    ox_job **jobs = NULL;
    size_t count = 0;
    ox_error err = { 0 };
    for (int i = 0; i < 250; i++)
        g_free(test_add(q->queue, "job", NULL));
    test_ok(ox_queue_jobs(q->queue, OX_WAITING, 0, -1, true, &jobs, &count, &err), &err);
    assert_int_equal(count, 250);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(g_ascii_strtoll(ox_job_id(jobs[i]), NULL, 10), (long long)i + 1);
    ox_list_free(jobs);
}

static void reads_numbers_as_others_write_them(void **state)
{
    struct test_queue *q = *state;
    static const struct {
        const char *text;
        int64_t number;
    } cases[] = { { "0", 0 }, { "7", 7 }, { "007", 7 }, { "-7", -7 }, { "7.9", 7 },
        { "1e3", 1000 }, { " 7", 7 }, { "999999999999999", 999999999999999 },
        { "1000000000000000", 1000000000000000 }, { "9007199254740993", 9007199254740991 },
        { "1e18", 9007199254740991 }, { "1e19", -5 }, { "", -5 }, { "7x", -5 }, { "x", -5 } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        ox_error err = { 0 };
        ox_job *job = NULL;
        run("HSET bull:q:n name n timestamp %s", cases[i].text);
        test_ok(ox_queue_job(q->queue, "n", &job, NULL, &err), &err);
        assert_int_equal(ox_job_number(job, OX_JOB_TIMESTAMP, -5), cases[i].number);
        ox_job_free(job);
    }
}

/* Other programs write what they like. */
static void skips_ids_without_a_job(void **state)
{
    struct test_queue *q = *state;
    run("RPUSH bull:q:wait ghost");
    run("RPUSH bull:q:wait text");
    run("SET bull:q:text %s", "not a hash");
    run("RPUSH bull:q:wait real");
    run("HSET bull:q:real name n data {broken opts [ timestamp x");
    run("RPUSH bull:q:wait 0:5");
    expect_list(q->queue, OX_WAITING, 0, -1, true, "real");

    ox_error err = { 0 };
    ox_job *job = NULL;
    int where = -1;
    test_ok(ox_queue_job(q->queue, "real", &job, &where, &err), &err);
    assert_string_equal(ox_job_text(job, OX_JOB_DATA), "{broken");
    assert_int_equal(ox_job_number(job, OX_JOB_TIMESTAMP, -5), -5);
    assert_int_equal(ox_job_attempts(job), 1);
    assert_null(ox_job_text(job, OX_JOB_RETURN_VALUE));
    ox_job_free(job);
    assert_int_equal(ox_queue_job(q->queue, "text", &job, NULL, &err), OX_ENOTFOUND);
    ox_counts counts;
    test_ok(ox_queue_counts(q->queue, &counts, &err), &err);
    assert_int_equal(counts.of[OX_WAITING], 3);
}

static void a_key_of_the_wrong_type_is_an_error_that_names_the_queue(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    ox_counts counts;
    ox_job **jobs = NULL;
    size_t count = 0;
    run("SET bull:q:wait text");
    assert_int_equal(ox_queue_counts(q->queue, &counts, &err), OX_ESERVER);
    assert_non_null(strstr(err.text, "queue q"));
    assert_int_equal(
        ox_queue_jobs(q->queue, OX_WAITING, 0, -1, true, &jobs, &count, &err), OX_ESERVER);
    assert_non_null(strstr(err.text, "queue q"));
}

static void expect_state(ox_queue *queue, const char *id, int expected)
{
    ox_error err = { 0 };
    ox_job *job = NULL;
    int found = -1;
    assert_int_equal(ox_queue_job_state(queue, id, &err), expected);
    test_ok(ox_queue_job(queue, id, &job, &found, &err), &err);
    assert_string_equal(ox_job_id(job), id);
    assert_int_equal(found, expected);
    ox_job_free(job);
}

static void reads_job_state(void **state)
{
    struct test_queue *q = *state;
    fill(q);
    expect_state(q->queue, "1", OX_COMPLETED);
    expect_state(q->queue, "2", OX_FAILED);
    expect_state(q->queue, "3", OX_ACTIVE);
    expect_state(q->queue, "4", OX_WAITING);
    expect_state(q->queue, "6", OX_DELAYED);
    expect_state(q->queue, "7", OX_PRIORITIZED);
    expect_state(q->queue, "8", OX_WAITING_CHILDREN);
    expect_state(q->queue, "9", OX_WAITING); /* parked by BullMQ 5.x */
    run("HSET bull:q:lost name n");
    expect_state(q->queue, "lost", OX_UNKNOWN);
}

static void reads_a_job_whole(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options o = { .attempts = 3, .priority = 0 };
    ox_error err = { 0 };
    ox_job *job = NULL;
    char *id = NULL;
    test_ok(ox_queue_add(q->queue, "a name", "{\"\xc3\xa9\":[1]}", &o, &id, &err), &err);
    test_ok(ox_queue_job(q->queue, id, &job, NULL, &err), &err);
    assert_string_equal(ox_job_text(job, OX_JOB_NAME), "a name");
    assert_string_equal(ox_job_text(job, OX_JOB_DATA), "{\"\xc3\xa9\":[1]}");
    assert_int_equal(ox_job_length(job, OX_JOB_DATA), 10);
    assert_int_equal(ox_job_attempts(job), 3);
    assert_int_equal(ox_job_number(job, OX_JOB_DELAY, -1), 0);
    assert_true(ox_job_number(job, OX_JOB_TIMESTAMP, 0) > 1600000000000);
    ox_job_free(job);
    ox_free(id);
}

/* The queue's own keys look like jobs to who does not know them. */
static void keys_of_the_queue_are_no_jobs(void **state)
{
    static const char *const ids[] = { "meta", "wait", "1:logs", "1:lock", "de:x",
        "metrics:completed", "", "events", "repeat:s" };
    struct test_queue *q = *state;
    ox_error err = { 0 };
    ox_job *job = NULL;
    fill(q);
    long long before = test_redis_int(redis, "DBSIZE");
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        assert_int_equal(ox_queue_job(q->queue, ids[i], &job, NULL, &err), OX_ENOTFOUND);
        assert_int_equal(ox_queue_job_state(q->queue, ids[i], &err), OX_UNKNOWN);
        assert_int_equal(ox_queue_remove(q->queue, ids[i], false, &err), 0);
        assert_int_equal(ox_queue_update_data(q->queue, ids[i], "{}", &err), OX_ENOTFOUND);
    }
    assert_int_equal(test_redis_int(redis, "DBSIZE"), before);
    assert_int_equal(ox_queue_job(q->queue, NULL, &job, NULL, &err), OX_EINVAL);
}

static void unknown_job(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    ox_job *job = NULL;
    assert_int_equal(ox_queue_job(q->queue, "17", &job, NULL, &err), OX_ENOTFOUND);
    assert_non_null(strstr(err.text, "queue q, job 17"));
    assert_int_equal(
        ox_queue_jobs(q->queue, OX_UNKNOWN, 0, 1, true, NULL, NULL, &err), OX_EINVAL);
}

static void reads_logs(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    char **rows = NULL;
    size_t count = 0;
    int64_t total = 0;
    g_autofree char *id = test_add(q->queue, "job", NULL);
    test_ok(ox_queue_logs(q->queue, id, 0, -1, &rows, &count, &total, &err), &err);
    assert_int_equal(count, 0);
    assert_int_equal(total, 0);
    ox_list_free(rows);

    assert_int_equal(ox_queue_add_log(q->queue, id, "one", 0, &err), 1);
    assert_int_equal(ox_queue_add_log(q->queue, id, "two", 2, &err), 2);
    assert_int_equal(ox_queue_add_log(q->queue, id, "three", 2, &err), 2);
    assert_int_equal(ox_queue_add_log(q->queue, id, "", 0, &err), 3);
    test_ok(ox_queue_logs(q->queue, id, 0, 1, &rows, &count, &total, &err), &err);
    assert_int_equal(count, 2);
    assert_int_equal(total, 3);
    assert_string_equal(rows[0], "two");
    assert_string_equal(rows[1], "three");
    ox_list_free(rows);

    test_ok(ox_queue_clear_logs(q->queue, id, 1, &err), &err);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:%s:logs", id), 1);
    test_ok(ox_queue_clear_logs(q->queue, id, 0, &err), &err);
    assert_int_equal(test_redis_int(redis, "EXISTS bull:q:%s:logs", id), 0);

    assert_int_equal(
        ox_queue_logs(q->queue, "9", 0, -1, &rows, &count, NULL, &err), OX_ENOTFOUND);
    assert_non_null(strstr(err.text, "job 9"));
    assert_int_equal(ox_queue_add_log(q->queue, "9", "row", 0, &err), OX_ENOTFOUND);
    assert_int_equal(ox_queue_clear_logs(q->queue, "9", 0, &err), OX_ENOTFOUND);
    assert_int_equal(test_redis_int(redis, "EXISTS bull:q:9:logs"), 0);
}

static void expect_child(const ox_child *child, int kind, const char *key, const char *text)
{
    assert_non_null(child);
    assert_int_equal(child->kind, kind);
    assert_string_equal(child->key, key);
    if (text)
        assert_string_equal(child->text, text);
    else
        assert_null(child->text);
}

static void lists_the_children_of_a_job(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    ox_child **children = NULL;
    size_t count = 9;
    run("HSET bull:q:p name parent");
    test_ok(ox_queue_children(q->queue, "p", &children, &count, &err), &err);
    assert_int_equal(count, 0);
    assert_null(children[0]);
    ox_list_free(children);

    run("HSET bull:q:p:processed %s {\"n\":1}", "bull:q:a");
    run("SADD bull:q:p:dependencies bull:other:b");
    run("HSET bull:q:p:failed bull:q:c why");
    run("ZADD bull:q:p:unsuccessful 5 bull:q:d");
    test_ok(ox_queue_children(q->queue, "p", &children, &count, &err), &err);
    assert_int_equal(count, 4);
    expect_child(children[0], OX_CHILD_PROCESSED, "bull:q:a", "{\"n\":1}");
    expect_child(children[1], OX_CHILD_PENDING, "bull:other:b", NULL);
    expect_child(children[2], OX_CHILD_IGNORED, "bull:q:c", "why");
    expect_child(children[3], OX_CHILD_FAILED, "bull:q:d", NULL);
    ox_list_free(children);

    /* One that ended while the pages were read is met twice: it is not pending any more. */
    run("SADD bull:q:p:dependencies bull:q:a bull:q:d");
    test_ok(ox_queue_children(q->queue, "p", &children, &count, &err), &err);
    assert_int_equal(count, 4);
    expect_child(children[0], OX_CHILD_PROCESSED, "bull:q:a", "{\"n\":1}");
    expect_child(children[1], OX_CHILD_PENDING, "bull:other:b", NULL);
    expect_child(children[3], OX_CHILD_FAILED, "bull:q:d", NULL);
    ox_list_free(children);
    assert_int_equal(ox_queue_children(q->queue, "9", &children, &count, &err), OX_ENOTFOUND);
}

static void reads_settings_and_leftovers(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    ox_queue_info info;
    test_ok(ox_queue_info_get(q->queue, &info, &err), &err);
    assert_string_equal(info.version, "");
    assert_false(info.paused || info.stray_paused_list || info.obsolete_markers ||
                 info.legacy_repeatables);
    assert_int_equal(info.concurrency + info.rate_max + info.next_id + info.max_events, 0);

    g_free(test_add(q->queue, "job", NULL));
    run("HSET bull:q:meta version bullmq:6.7.0");
    run("RPUSH bull:q:paused 7");
    run("RPUSH bull:q:wait 0:1700000000000");
    run("ZADD bull:q:repeat 1 good 2 old");
    run("HSET bull:q:repeat:good ic 1");
    run("HSET bull:q:repeat:old name n");
    run("SET bull:q:limiter 3 PX 60000");
    test_ok(ox_queue_info_get(q->queue, &info, &err), &err);
    assert_string_equal(info.version, "bullmq:6.7.0");
    assert_true(info.stray_paused_list && info.obsolete_markers && info.legacy_repeatables);
    assert_int_equal(info.max_events, 10000);
    assert_int_equal(info.next_id, 1);
    assert_in_range(info.rate_ttl_ms, 1, 60000);
    run("HSET bull:q:meta max 4 duration 1000 concurrency 2.5 paused 1");
    test_ok(ox_queue_info_get(q->queue, &info, &err), &err);
    assert_int_equal(info.rate_ttl_ms, 0);
    assert_int_equal(info.concurrency, 2);
    assert_true(info.paused);
    assert_false(info.stray_paused_list);
    run("HSET bull:q:meta max 3 concurrency many");
    test_ok(ox_queue_info_get(q->queue, &info, &err), &err);
    assert_in_range(info.rate_ttl_ms, 1, 60000);
    assert_int_equal(info.concurrency, 0);
}

static void reads_metrics(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    ox_metrics *metrics = NULL;
    test_ok(ox_queue_metrics(q->queue, OX_FAILED, &metrics, &err), &err);
    assert_int_equal(metrics->count + metrics->previous_ms, 0);
    assert_int_equal(metrics->point_count, 0);
    ox_free(metrics);
    g_free(test_add_completed(q->queue, "1"));
    run("HSET bull:q:metrics:completed prevTS 1700000000000");
    run("RPUSH bull:q:metrics:completed:data 5 0 what 3");
    test_ok(ox_queue_metrics(q->queue, OX_COMPLETED, &metrics, &err), &err);
    assert_int_equal(metrics->count, 1);
    assert_int_equal(metrics->previous_ms, 1700000000000);
    assert_int_equal(metrics->point_count, 4);
    assert_int_equal(metrics->points[0], 5);
    assert_int_equal(metrics->points[2], 0);
    assert_int_equal(metrics->points[3], 3);
    ox_free(metrics);
    assert_int_equal(ox_queue_metrics(q->queue, OX_ACTIVE, &metrics, &err), OX_EINVAL);
}

static redisContext *connect_as(const char *name)
{
    redisContext *context = redisConnectUnix(redis->socket);
    assert_int_equal(context->err, 0);
    redisReply *reply = redisCommand(context, "CLIENT SETNAME %s", name);
    assert_int_equal(reply->type, REDIS_REPLY_STATUS);
    freeReplyObject(reply);
    return context;
}

/* "q" is cQ== and "qq" cXE=; a QueueEvents of BullMQ ends in ":qe". */
static void lists_workers_by_their_connections(void **state)
{
    static const char *const names[] = { "bull:cQ==", "bull:cQ==:w:one", "bull:cQ==:qe",
        "bull:cXE=:w:other", "bull:q:w:plain", "bull:cQ==:w:" };
    struct test_queue *q = *state;
    ox_error err = { 0 };
    ox_worker_info **list = NULL;
    size_t count = 9;
    redisContext *contexts[G_N_ELEMENTS(names)];
    test_ok(ox_queue_workers(q->queue, &list, &count, &err), &err);
    assert_int_equal(count, 0);
    ox_list_free(list);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        contexts[i] = connect_as(names[i]);
    test_ok(ox_queue_workers(q->queue, &list, &count, &err), &err);
    assert_int_equal(count, 3);
    assert_string_equal(list[0]->name, "");
    assert_string_equal(list[1]->name, "one");
    assert_string_equal(list[2]->name, "");
    assert_true(strlen(list[0]->address) > 0);
    assert_in_range(list[0]->age_s, 0, 60);
    assert_in_range(list[0]->idle_s, 0, 60);
    ox_list_free(list);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        redisFree(contexts[i]);
}

static void names_the_queues_of_a_prefix(void **state)
{
    struct test_queue *q = *state;
    static const char *const keys[] = { "bull:b:meta", "bull:a b:meta", "bull:x:y:meta",
        "bull::meta", "bull:meta", "other:c:meta", "b[u]l*l:d:meta", "b[u]l*l:d:meta2" };
    ox_error err = { 0 };
    char **names = NULL;
    size_t count = 0;
    g_free(test_add(q->queue, "job", NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        run("HSET %s version 1", keys[i]);
    test_ok(ox_client_queues(q->client, NULL, &names, &count, &err), &err);
    assert_int_equal(count, 3);
    assert_string_equal(names[0], "a b");
    assert_string_equal(names[1], "b");
    assert_string_equal(names[2], "q");
    ox_list_free(names);
    test_ok(ox_client_queues(q->client, "b[u]l*l", &names, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_string_equal(names[0], "d");
    ox_list_free(names);
    test_ok(ox_client_queues(q->client, "none", &names, &count, &err), &err);
    assert_int_equal(count, 0);
    ox_list_free(names);
}

static void lists_many_queues(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    char **names = NULL;
    size_t count = 0;
    run("EVAL %s 0", "for i = 1, 3000 do redis.call('HSET', 'bull:q' .. i .. ':meta', 'a', 1) "
                     "end");
    test_ok(ox_client_queues(q->client, "bull", &names, &count, &err), &err);
    assert_int_equal(count, 3000);
    for (size_t i = 1; i < count; i++)
        assert_true(strcmp(names[i - 1], names[i]) < 0);
    ox_list_free(names);
}

static void reads_server_time(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    int64_t now = 0, before = test_unix_ms();
    test_ok(ox_client_time(q->client, &now, &err), &err);
    assert_in_range(now, before - 1, test_unix_ms() + 1);
}

/* Redis 7.0 has no WAITAOF; a newer one without AOF refuses it as well. */
static void reports_missing_durability(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    int local = 9, replicas = 9;
    g_free(test_add(q->queue, "job", NULL));
    assert_int_equal(
        ox_client_wait_durable(q->client, 1, 50, &local, &replicas, &err), OX_ESERVER);
    assert_int_equal(local, 0);
    assert_int_equal(replicas, 0);
    /* The connection is as good as before. */
    g_free(test_add(q->queue, "job", NULL));
}

/* WAIT speaks of its own connection: on a new one it would have nothing to wait for. */
static void durability_is_not_claimed_after_a_lost_connection(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    int local = 9, replicas = 9;
    g_free(test_add(q->queue, "job", NULL));
    run("CLIENT KILL TYPE normal SKIPME yes", NULL);
    assert_int_equal(
        ox_client_wait_durable(q->client, 0, 50, &local, &replicas, &err), OX_ELOST);
    assert_int_equal(local, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(counts_every_state),
        WITH_QUEUE(empty_queue_has_zero_counts),
        WITH_QUEUE(counts_waiting_jobs_by_priority),
        WITH_QUEUE(lists_in_the_order_in_which_jobs_run),
        WITH_QUEUE(lists_sets_by_score),
        WITH_QUEUE(lists_more_jobs_than_fit_one_answer),
        WITH_QUEUE(reads_numbers_as_others_write_them),
        WITH_QUEUE(skips_ids_without_a_job),
        WITH_QUEUE(a_key_of_the_wrong_type_is_an_error_that_names_the_queue),
        WITH_QUEUE(reads_job_state),
        WITH_QUEUE(reads_a_job_whole),
        WITH_QUEUE(keys_of_the_queue_are_no_jobs),
        WITH_QUEUE(unknown_job),
        WITH_QUEUE(reads_logs),
        WITH_QUEUE(lists_the_children_of_a_job),
        WITH_QUEUE(reads_settings_and_leftovers),
        WITH_QUEUE(reads_metrics),
        WITH_QUEUE(lists_workers_by_their_connections),
        WITH_QUEUE(names_the_queues_of_a_prefix),
        WITH_QUEUE(lists_many_queues),
        WITH_QUEUE(reads_server_time),
        WITH_QUEUE(reports_missing_durability),
        WITH_QUEUE(durability_is_not_claimed_after_a_lost_connection),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
