/*
 * test_lib_add.c - adding jobs when something goes wrong: who is told what, how often, and in
 * which order.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/jobs.h"

/* ---- one job ----------------------------------------------------------------------------- */

static void an_id_is_null_after_a_failure(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options orphan = { .parent = { .id = "none", .queue = "bull:q" } };
    ox_error err = { 0 };
    char some = 'x', *id = &some;
    assert_int_equal(ox_queue_add(q->queue, "a", "{bad", NULL, &id, &err), OX_EINVAL);
    assert_null(id);
    id = &some;
    assert_int_equal(ox_queue_add(q->queue, "a", NULL, &orphan, &id, &err), OX_EPARENT);
    assert_null(id);
    id = &some;
    run("SET bull:q:wait text");
    assert_int_equal(ox_queue_add(q->queue, "a", NULL, NULL, &id, &err), OX_ESERVER);
    assert_null(id);
    assert_string_equal(err.text, "queue q: Redis: WRONGTYPE Operation against a key "
                                  "holding the wrong kind of value");
}

static void an_error_is_written_on_failure_only(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { .code = 7, .text = "mine" };
    test_redis_kill(redis);
    test_redis_revive(redis);
    assert_int_equal(ox_queue_add(q->queue, "a", NULL, NULL, NULL, &err), 0);
    assert_int_equal(err.code, 7);
    assert_string_equal(err.text, "mine");
}

/* ---- many -------------------------------------------------------------------------------- */

/* 120 plain jobs with a delayed one among them, for which there is no room. */
static void refused_batch_does_not_affect_others(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options later = { .delay_ms = 1000 };
    ox_error err = { 0 };
    ox_new_job jobs[121];
    char *ids[121];
    for (size_t i = 0; i < G_N_ELEMENTS(jobs); i++)
        jobs[i] = (ox_new_job){ .name = "a", .options = i == 60 ? &later : NULL };
    run("SET bull:q:delayed text");
    assert_int_equal(
        ox_queue_add_bulk(q->queue, jobs, G_N_ELEMENTS(jobs), ids, &err), OX_ESERVER);
    assert_non_null(strstr(err.text, "WRONGTYPE"));
    int added = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(jobs); i++) {
        assert_true((ids[i] == NULL) == (i == 60));
        added += ids[i] != NULL;
        ox_free(ids[i]);
    }
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), added);
    assert_int_equal(ox_queue_add(q->queue, "a", NULL, NULL, NULL, &err), 0);
}

/* What a script checks before it writes asks for nothing beyond the queue's own keys. */
static void a_user_of_the_queue_alone_may_add_and_work(void **state)
{
    (void)state;
    run("ACL SETUSER narrow on >pw ~bull:q:* +@all");
    g_autofree char *url = g_strconcat("unix://narrow:pw@", redis->socket, NULL);
    const ox_client_options options = { .url = url };
    const ox_job_options later = { .delay_ms = 3600000 }, named = { .id = "mine" };
    ox_client *client = NULL;
    ox_queue *queue = NULL;
    ox_error err = { 0 };
    test_ok(ox_client_new(&client, &options, &err), &err);
    test_ok(ox_queue_new(&queue, client, "q", NULL, &err), &err);
    test_ok(ox_queue_add(queue, "a", NULL, &named, NULL, &err), &err);
    test_ok(ox_queue_add(queue, "a", NULL, NULL, NULL, &err), &err);
    test_ok(ox_queue_add(queue, "a", NULL, &later, NULL, &err), &err);
    for (int i = 0; i < 2; i++) {
        g_autofree char *id = test_take(queue);
        assert_non_null(id);
        i == 0 ? test_complete(queue, id, "1") : test_fail(queue, id, "no");
    }
    assert_int_equal(test_redis_int(redis, "ZCARD bull:q:completed"), 1);
    assert_int_equal(test_redis_int(redis, "ZCARD bull:q:failed"), 1);
    ox_queue_free(queue);
    ox_client_free(client);
    run("ACL DELUSER narrow");
}

/* With `spin_us`, whether the answer comes at once, late, asks for the script, or not at all.
 */
static void a_call_may_look_for_its_answer(void **state)
{
    (void)state;
    const ox_client_options longest = { .url = redis->url, .spin_us = 1000 };
    const ox_client_options longer = { .url = redis->url, .spin_us = 1001 };
    ox_client *client = NULL;
    ox_queue *queue = NULL;
    ox_error err = { 0 };
    assert_int_equal(ox_client_new(&client, &longer, &err), OX_EINVAL);
    assert_non_null(strstr(err.text, "spin_us must be 0..1000"));
    test_ok(ox_client_new(&client, &longest, &err), &err);
    test_ok(ox_queue_new(&queue, client, "spun", NULL, &err), &err);
    const char *const before[] = { "PING", "CLIENT PAUSE 5 ALL", "PING", "SCRIPT FLUSH",
        "CLIENT KILL TYPE normal SKIPME yes", "PING" };
    for (size_t i = 0; i < G_N_ELEMENTS(before); i++) {
        run(before[i]);
        for (int k = 0; k < 3; k++)
            test_ok(ox_queue_add(queue, "a", NULL, NULL, NULL, &err), &err);
    }
    assert_int_equal(test_redis_int(redis, "LLEN bull:spun:wait"), 3 * G_N_ELEMENTS(before));
    assert_int_equal(ox_queue_add(queue, "a", "{", NULL, NULL, &err), OX_EINVAL);
    ox_queue_free(queue);
    ox_client_free(client);
}

/* A job of 3 MB travels alone. */
static void large_jobs_keep_their_place(void **state)
{
    struct test_queue *q = *state;
    g_autofree char *fill = g_strnfill(3000000, 'x');
    g_autofree char *large = g_strdup_printf("\"%s\"", fill);
    const ox_new_job jobs[] = { { .name = "a", .json = "1" }, { .name = "a", .json = large },
        { .name = "a", .json = "2" }, { .name = "a", .json = large } };
    char *ids[4];
    ox_error err = { 0 };
    test_ok(ox_queue_add_bulk(q->queue, jobs, 4, ids, &err), &err);
    for (int i = 0; i < 4; i++) {
        g_autofree char *expected = g_strdup_printf("%d", i + 1);
        assert_string_equal(ids[i], expected);
        assert_int_equal(
            test_redis_int(redis, "HSTRLEN bull:q:%s data", ids[i]), strlen(jobs[i].json));
        ox_free(ids[i]);
    }
}

/* ---- adds that make no job --------------------------------------------------------------- */

static int add_with(struct test_queue *q, const ox_job_options *options, const char *expected)
{
    char *id = NULL;
    ox_error err = { 0 };
    int rc = ox_queue_add(q->queue, "a", NULL, options, &id, &err);
    test_ok(rc, &err);
    assert_string_equal(id, expected);
    ox_free(id);
    return rc;
}

static void reports_duplicate_and_deduplicated_adds(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options own = { .id = "x" }, dedup = { .dedup = { .id = "d" } };
    assert_int_equal(add_with(q, &own, "x"), OX_ADDED);
    assert_int_equal(add_with(q, &own, "x"), OX_DUPLICATED);
    assert_int_equal(add_with(q, &dedup, "3"), OX_ADDED);
    assert_int_equal(add_with(q, &dedup, "3"), OX_DEDUPLICATED);
    assert_int_equal(add_with(q, NULL, "5"), OX_ADDED);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 3);
}

static void reports_duplicate_flow_root(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    const char *flow = "{\"name\":\"p\",\"opts\":{\"jobId\":\"root\"}}";
    char *id = NULL;
    assert_int_equal(ox_flow_add(q->client, NULL, "q", flow, NULL, &err), OX_ADDED);
    assert_int_equal(ox_flow_add(q->client, NULL, "q", flow, &id, &err), OX_DUPLICATED);
    assert_string_equal(id, "root");
    ox_free(id);
}

/* ---- a stream ---------------------------------------------------------------------------- */

struct answers {
    uint64_t next, good, bad;
    int code;
};

static void answered(void *arg, uint64_t index, const char *id, int code, const ox_error *err)
{
    struct answers *answers = arg;
    assert_int_equal(index, answers->next);
    answers->next++;
    if (code < 0) {
        assert_null(id);
        assert_int_equal(err->code, code);
        answers->bad++;
        answers->code = code;
    } else {
        assert_non_null(id);
        answers->good++;
    }
}

static void count_codes(
    void *arg, uint64_t index, const char *id, int code, const ox_error *err)
{
    int *counts = arg;
    (void)index;
    assert_non_null(id);
    assert_null(err);
    assert_in_range(code, OX_ADDED, OX_DEDUPLICATED);
    counts[code]++;
}

static void stream_reports_duplicates(void **state)
{
    struct test_queue *q = *state;
    const ox_job_options own = { .id = "x" }, dedup = { .dedup = { .id = "d" } };
    const ox_job_options *options[] = { &own, NULL, &dedup, &own, &dedup, NULL, &dedup };
    int counts[3] = { 0 };
    ox_error err = { 0 };
    ox_adder *adder = NULL;
    test_ok(ox_adder_new(&adder, q->queue, count_codes, counts, &err), &err);
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        const ox_new_job job = { .name = "a", .options = options[i] };
        test_ok(ox_adder_put(adder, &job, &err), &err);
    }
    test_ok(ox_adder_flush(adder, &err), &err);
    ox_adder_free(adder);
    assert_int_equal(counts[OX_ADDED], 4);
    assert_int_equal(counts[OX_DUPLICATED], 1);
    assert_int_equal(counts[OX_DEDUPLICATED], 2);
}

static void does_not_count_refused_job(void **state)
{
    struct test_queue *q = *state;
    struct answers answers = { 0 };
    const ox_new_job good = { .name = "a" }, bad = { .name = "a", .json = "{bad" };
    ox_adder *adder = NULL;
    ox_error err = { 0 };
    test_ok(ox_adder_new(&adder, q->queue, answered, &answers, &err), &err);
    for (int i = 0; i < 300; i++) {
        test_ok(ox_adder_put(adder, &good, &err), &err);
        assert_int_equal(ox_adder_put(adder, &bad, &err), OX_EINVAL);
    }
    test_ok(ox_adder_flush(adder, &err), &err);
    ox_adder_free(adder);
    assert_int_equal(answers.good, 300);
    assert_int_equal(answers.bad, 0);
}

/* Every job that was taken is answered once, and none is taken after a failure until all are
 * answered; then the stream can go on. */
static void stream_reports_server_loss(void **state)
{
    struct test_queue *q = *state;
    struct answers answers = { 0 };
    const ox_new_job job = { .name = "a" };
    ox_adder *adder = NULL;
    ox_error err = { 0 };
    uint64_t taken = 0;
    test_ok(ox_adder_new(&adder, q->queue, answered, &answers, &err), &err);
    for (; taken < 1000; taken++)
        test_ok(ox_adder_put(adder, &job, &err), &err);
    test_redis_kill(redis);
    int rc = 0;
    while ((rc = ox_adder_put(adder, &job, &err)) == 0)
        taken++;
    assert_int_equal(err.code, rc);
    assert_int_equal(ox_adder_put(adder, &job, &err), rc);
    assert_true(ox_adder_flush(adder, &err) < 0);
    assert_int_equal(err.code, answers.code);
    assert_int_equal(answers.next, taken);
    /* At most four calls of a hundred were on their way when 1,000 had been taken. */
    assert_true(answers.good >= 600 && answers.bad > 0);

    test_redis_revive(redis);
    test_ok(ox_adder_put(adder, &job, &err), &err);
    test_ok(ox_adder_flush(adder, &err), &err);
    assert_int_equal(answers.next, taken + 1);
    ox_adder_free(adder);
}

/* A client that is used on both sides of a fork: each has a connection of its own. */
static void a_client_outlives_a_fork(void **state)
{
    struct test_queue *q = *state;
    ox_queue *queue = q->queue;
    ox_free(test_add(queue, "before", NULL));
    pid_t child = fork();
    for (int i = 0; i < 200; i++) {
        char *id = NULL;
        ox_error err = { 0 };
        const char *name = child == 0 ? "child" : "parent";
        if (ox_queue_add(queue, name, NULL, NULL, &id, &err) < 0 || id == NULL) {
            if (child == 0)
                _exit(1);
            test_fatal("%s", err.text);
        }
        ox_job *job = NULL;
        bool own = ox_queue_job(queue, id, &job, NULL, NULL) == 0 &&
                   strcmp(ox_job_text(job, OX_JOB_NAME), name) == 0;
        ox_job_free(job);
        ox_free(id);
        if (child == 0 && !own)
            _exit(1);
        assert_true(own);
    }
    if (child == 0)
        _exit(0);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 401);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(an_id_is_null_after_a_failure),
        WITH_QUEUE(an_error_is_written_on_failure_only),
        WITH_QUEUE(refused_batch_does_not_affect_others),
        WITH_QUEUE(a_user_of_the_queue_alone_may_add_and_work),
        WITH_QUEUE(a_call_may_look_for_its_answer),
        WITH_QUEUE(large_jobs_keep_their_place),
        WITH_QUEUE(reports_duplicate_and_deduplicated_adds),
        WITH_QUEUE(reports_duplicate_flow_root),
        WITH_QUEUE(stream_reports_duplicates),
        WITH_QUEUE(does_not_count_refused_job),
        WITH_QUEUE(a_client_outlives_a_fork),
        WITH_QUEUE(stream_reports_server_loss),
    };
    return cmocka_run_group_tests_name("lib add", tests, test_server_up, test_server_down);
}
