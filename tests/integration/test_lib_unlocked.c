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

struct open_run {
    char *token; /* as its worker says it until the run has a lock */
    bool late;
    int64_t starts, started_ms;
    int attempt;
};

static char *open_text(const struct open_run *run, int late, const char *token)
{
    return g_strdup_printf("@%d:%" PRId64 ":%" PRId64 ":%d:%s", late, run->started_ms,
        run->started_ms + WINDOW_MS, run->attempt, token);
}

/* Takes the job, by a worker whose runs are late if they can be. */
static struct open_run take_open(ox_queue *q, const char *token, bool late)
{
    ox_error err = { 0 };
    redisReply *reply = NULL;
    ox__query_script(&q->query, &q->at, &ox__script_take_jobs);
    test_put_worker(&q->query.op, token, late ? -1 : 0, 1);
    test_ok(ox__call(q->client, &q->query.op, &reply, &err), &err);
    assert_int_equal(reply->element[0]->integer, 1);
    struct open_run run = { .late = late,
        .started_ms = g_ascii_strtoll(reply->element[3]->str, NULL, 10) / 1000 };
    const redisReply *ats = reply->element[11], *atm = reply->element[12];
    run.starts = ats->type == REDIS_REPLY_STRING ? g_ascii_strtoll(ats->str, NULL, 10) + 1 : 1;
    run.attempt =
        atm->type == REDIS_REPLY_STRING ? (int)g_ascii_strtoll(atm->str, NULL, 10) + 1 : 1;
    run.late = late && ats->type != REDIS_REPLY_STRING;
    ox__free_reply(&reply);
    run.token = open_text(&run, run.late, token);
    return run;
}

/* Why the end that was put was refused; 0 when it was accepted. */
static long long send_end(ox_queue *q)
{
    ox_error err = { 0 };
    redisReply *reply = NULL;
    test_ok(ox__call(q->client, &q->query.op, &reply, &err), &err);
    const redisReply *refused = reply->element[0];
    long long code = refused->elements > 0 ? refused->element[1]->integer : 0;
    ox__free_reply(&reply);
    return code;
}

/* Ends the run; returns why not, 0 when it was accepted. */
static long long end_open(ox_queue *q, const char *open, const char *kind, bool late)
{
    struct ox__op *op = &q->query.op;
    ox__query_script(&q->query, &q->at, &ox__script_end_jobs);
    test_put_worker(op, "none", late ? -1 : 0, 0);
    ox__op_int(op, "metrics_points", 0);
    ox__op_text(op, "kind", kind);
    ox__op_text(op, "keep", "");
    ox__op_text(op, "job_token", open);
    ox__op_text(op, "job_id", "1");
    ox__op_text(op, "value", "");
    if (*kind != 'c') {
        ox__op_text(op, "stack", "[]");
        ox__op_text(op, "number", "1");
        ox__op_text(op, "telemetry", "");
    }
    return send_end(q);
}

/* The same by the script for first runs that complete. */
static long long complete_open(ox_queue *q, const char *open, bool late)
{
    struct ox__op *op = &q->query.op;
    ox__query_script(&q->query, &q->at, &ox__script_complete_jobs);
    test_put_worker(op, "none", late ? -1 : 0, 0);
    ox__op_int(op, "metrics_points", 0);
    ox__op_text(op, "keep", "");
    ox__op_text(op, "parents", "0");
    ox__op_int(op, "count", 1);
    ox__op_text(op, "token", open);
    ox__op_text(op, "job_id", "1");
    ox__op_text(op, "value", "");
    return send_end(q);
}

/* What the worker asks when that end was refused, and may have been stored before. */
static long long claim_ended(ox_queue *q, const struct open_run *run, const char *kind)
{
    ox_error err = { 0 };
    redisReply *reply = NULL;
    struct ox__op *op = &q->query.op;
    ox__query_script(&q->query, &q->at, &ox__script_claim_runs);
    ox__op_int(op, "lock_ms", 30000);
    ox__op_text(op, "name", "");
    ox__op_text(op, "job_id", "1");
    ox__op_text(op, "token", run->token);
    ox__op_int(op, "ats", run->starts);
    ox__op_int(op, "processed_on", run->started_ms);
    ox__op_text(op, "kind", kind);
    ox__op_int(op, "made", 1);
    test_ok(ox__call(q->client, &q->query.op, &reply, &err), &err);
    long long verdict = reply->element[0]->integer;
    ox__free_reply(&reply);
    return verdict;
}

static bool counts(const char *kind)
{
    return strchr("wWd", *kind) != NULL;
}

/* The next start has another time. */
static void next_ms(void)
{
    int64_t now_ms = test_unix_ms();
    while (test_unix_ms() <= now_ms + 2) {
        g_usleep(200);
    }
}

/* The job runs again elsewhere, once or more, each time without a lock as well: an end that is
 * sent once more is not taken for that run's. */
static void ends_twice(ox_queue *q, const char *kind, bool late, const char *others)
{
    g_autofree char *id = test_add(q, "job", NULL);
    struct open_run mine = take_open(q, "mine", late);
    assert_int_equal(end_open(q, mine.token, kind, late), 0);
    for (; *others != '\0'; others++) {
        next_ms();
        struct open_run other = take_open(q, "other", *others == 'l');
        assert_int_equal(end_open(q, mine.token, kind, late), OX__NO_LOCK);
        assert_int_equal(
            claim_ended(q, &mine, kind), counts(kind) ? OX__CLAIM_STORED : OX__NO_LOCK);
        assert_int_equal(test_redis_int(redis, "EXISTS bull:q:1:lock"), 0);
        assert_int_equal(test_redis_int(redis, "LLEN bull:q:active"), 1);
        assert_int_equal(end_open(q, other.token, kind, other.late), 0);
        g_free(other.token);
    }
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:active"), 0);
    g_free(mine.token);
}

static void an_end_sent_twice_spares_the_next_run(void **state)
{
    static const char *const kinds[] = { "w", "W", "r", "l", "d", "m", "R", "M" };
    static const char *const others[] = { "l", "n", "ll", "ln", "nl", "nn", "lll" };
    ox_queue *q = ((struct test_queue *)*state)->queue;
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(kinds); i++) {
        for (size_t o = 0; o < G_N_ELEMENTS(others); o++) {
            run("FLUSHALL");
            ends_twice(q, kinds[i / 2], i % 2 == 1, others[o]);
        }
    }
}

/* Nor is it called lost when that run is over: it was stored. */
static void an_end_sent_twice_was_stored(void **state)
{
    static const char *const kinds[] = { "w", "W", "r", "l", "d", "m", "R", "M" };
    ox_queue *q = ((struct test_queue *)*state)->queue;
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(kinds); i++) {
        const char *kind = kinds[i / 2];
        bool late = i % 2 == 1;
        run("FLUSHALL");
        g_free(test_add(q, "job", NULL));
        struct open_run mine = take_open(q, "mine", late);
        assert_int_equal(end_open(q, mine.token, kind, late), 0);
        next_ms();
        struct open_run other = take_open(q, "other", late);
        assert_int_equal(end_open(q, other.token, "c", late), 0);
        assert_int_equal(end_open(q, mine.token, kind, late), OX__NO_LOCK);
        assert_int_equal(claim_ended(q, &mine, kind), OX__CLAIM_STORED);
        assert_int_equal(test_redis_int(redis, "ZCARD bull:q:completed"), 1);
        g_free(mine.token);
        g_free(other.token);
    }
}

struct meanwhile {
    const char *command; /* what another does */
    int64_t over_ms;     /* the window is over since */
    long long code;
    bool locked; /* by this run: it has written its start */
};

static void ends_after(ox_queue *q, const struct meanwhile *what, bool plain)
{
    for (int late = 0; late < 2; late++) {
        run("FLUSHALL");
        g_free(test_add(q, "job", NULL));
        struct open_run mine = take_open(q, "mine", late);
        g_autofree char *started = g_strdup_printf("%" PRId64, mine.started_ms);
        g_autofree char *open =
            g_strdup_printf("@%d:%" PRId64 ":%" PRId64 ":1:mine", late, mine.started_ms,
                mine.started_ms + (what->over_ms > 0 ? -what->over_ms : WINDOW_MS));
        if (what->command != NULL) {
            run(what->command);
        }
        bool is_active = test_redis_int(redis, "LLEN bull:q:active") == 1;
        bool is_there = test_redis_int(redis, "EXISTS bull:q:1") == 1;
        long long code = plain ? complete_open(q, open, late) : end_open(q, open, "c", late);
        assert_int_equal(code, what->code);
        bool is_stored = what->code == 0;
        assert_int_equal(test_redis_int(redis, "ZCARD bull:q:completed"), is_stored ? 1 : 0);
        assert_int_equal(test_redis_int(redis, "EXISTS bull:q:1"), is_there ? 1 : 0);
        if (is_stored) {
            bool has_start = !late || !what->locked;
            expect_field("bull:q:1", "ats", has_start ? "1" : NULL);
            expect_field("bull:q:1", "processedOn", has_start ? started : NULL);
            assert_int_equal(test_redis_int(redis, "EXISTS bull:q:1:lock bull:q:stalled"), 0);
        } else if (is_there) {
            expect_field("bull:q:1", "ats", late ? NULL : "1");
            expect_field("bull:q:1", "finishedOn", NULL);
        }
        assert_int_equal(test_redis_int(redis, "LLEN bull:q:active"),
            is_active && is_there && !is_stored ? 1 : 0);
        g_free(mine.token);
    }
}

/* What another does before the end comes decides whether it is accepted. */
static void an_end_without_a_lock_is_judged(void **state)
{
    static const struct meanwhile rows[] = {
        { NULL, 0, 0, false },
        { NULL, 1, OX__NO_LOCK, false },
        { "SET bull:q:1:lock other", 0, OX__OTHER_LOCK, false },
        { "SET bull:q:1:lock mine", 0, 0, true },
        { "SADD bull:q:stalled 1", 0, 0, false },
        { "LREM bull:q:active 0 1", 0, OX__NO_LOCK, false },
        { "DEL bull:q:1", 0, OX__NO_JOB, false },
    };
    ox_queue *q = ((struct test_queue *)*state)->queue;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        ends_after(q, &rows[i], true);
        ends_after(q, &rows[i], false);
    }
}

/* A run that lasts is locked, and its start is written, unless another has the job, had it
 * since, or it is active no more. `late`, `early`: the verdict where the start was to be
 * written late, and where it was written by the take. */
static void a_claim_without_a_lock_is_judged(void **state)
{
    static const struct {
        const char *command;
        long long late, early;
    } rows[] = {
        { NULL, OX__CLAIM_LOCKED, OX__CLAIM_LOCKED },
        { "SADD bull:q:stalled 1", OX__CLAIM_LOCKED, OX__CLAIM_LOCKED },
        { "SET bull:q:1:lock mine", OX__CLAIM_LOCKED, OX__CLAIM_LOCKED },
        { "SET bull:q:1:lock other", OX__OTHER_LOCK, OX__OTHER_LOCK },
        { "LREM bull:q:active 0 1", OX__WRONG_STATE, OX__WRONG_STATE },
        { "DEL bull:q:1", OX__NO_JOB, OX__NO_JOB },
        { "HINCRBY bull:q:1 ats 1", OX__NO_LOCK, OX__NO_LOCK },
        { "HSET bull:q:1 processedOn 5 ats 1", OX__NO_LOCK, OX__NO_LOCK },
        { "HSET bull:q:1 stc 1", OX__NO_LOCK, OX__CLAIM_LOCKED },
        { "HSET bull:q:1 atm 1", OX__NO_LOCK, OX__CLAIM_LOCKED },
    };
    ox_queue *q = ((struct test_queue *)*state)->queue;
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(rows); i++) {
        bool late = i % 2 == 1;
        const char *command = rows[i / 2].command;
        long long verdict = late ? rows[i / 2].late : rows[i / 2].early;
        run("FLUSHALL");
        g_free(test_add(q, "job", NULL));
        struct open_run mine = take_open(q, "mine", late);
        g_autofree char *started = g_strdup_printf("%" PRId64, mine.started_ms);
        if (command != NULL) {
            run(command);
        }
        long long there = test_redis_int(redis, "EXISTS bull:q:1 bull:q:1:lock");
        bool had_lock = test_redis_int(redis, "EXISTS bull:q:1:lock") == 1;
        assert_int_equal(claim_ended(q, &mine, ""), verdict);
        if (verdict != OX__CLAIM_LOCKED) { /* nothing is written */
            assert_int_equal(test_redis_int(redis, "EXISTS bull:q:1 bull:q:1:lock"), there);
        } else {
            g_autofree char *token = test_redis_text(redis, "GET bull:q:1:lock");
            assert_string_equal(token, "mine");
            expect_field("bull:q:1", "ats", late && had_lock ? NULL : "1");
            expect_field("bull:q:1", "processedOn", late && had_lock ? NULL : started);
            assert_int_equal(test_redis_int(redis, "EXISTS bull:q:stalled"), 0);
        }
        g_free(mine.token);
    }
}

/* A job that is cancelled before its start was written: its worker learns why it ended, and
 * writes the start, but only where nobody else began it since. */
static void a_cancelled_job_gets_its_start(void **state)
{
    static const struct {
        const char *then;
        long long verdict;
        const char *ats;
    } rows[] = {
        { NULL, OX__CANCELLED, "1" },
        { "HSET bull:q:1 stc 1", OX__NO_LOCK, NULL },
        { "HSET bull:q:1 ats 4", OX__NO_LOCK, "4" },
        { "HSET bull:q:1 processedOn 5", OX__NO_LOCK, NULL },
        { "HSET bull:q:1 failedReason other", OX__NO_LOCK, NULL },
        { "HDEL bull:q:1 finishedOn", OX__NO_LOCK, NULL },
    };
    ox_queue *q = ((struct test_queue *)*state)->queue;
    ox_error err = { 0 };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        run("FLUSHALL");
        g_free(test_add(q, "job", NULL));
        struct open_run mine = take_open(q, "mine", true);
        test_ok(ox_queue_cancel(q, "1", "no", &err), &err);
        if (rows[i].then != NULL) {
            run(rows[i].then);
        }
        assert_int_equal(end_open(q, mine.token, "f", true), OX__NO_LOCK);
        assert_int_equal(claim_ended(q, &mine, ""), rows[i].verdict);
        expect_field("bull:q:1", "ats", rows[i].ats);
        assert_int_equal(test_redis_int(redis, "ZCARD bull:q:failed"), 1);
        assert_int_equal(test_redis_int(redis, "EXISTS bull:q:1:lock"), 0);
        g_free(mine.token);
    }
}

/* A step of a check for stalled jobs; the first is CHECK_BEGIN. */
static void check_stalled(ox_queue *q, int64_t skip)
{
    ox_error err = { 0 };
    redisReply *reply = NULL;
    struct ox__op *op = &q->query.op;
    ox__query_script(&q->query, &q->at, &ox__script_check_stalled);
    ox__op_int(op, "now", test_unix_ms());
    ox__op_int(op, "every_ms", 30000);
    ox__op_int(op, "late_ms", 30000);
    ox__op_int(op, "max_stalled", 1);
    ox__op_int(op, "skip", skip);
    test_ok(ox__call(q->client, &q->query.op, &reply, &err), &err);
    assert_int_equal(reply->element[0]->integer, skip == OX__CHECK_BEGIN ? 0 : OX__LAST_STEP);
    ox__free_reply(&reply);
}

/* A job whose worker died before it wrote the start has been started once, as has any other. */
static void a_stall_counts_the_start(void **state)
{
    ox_queue *q = ((struct test_queue *)*state)->queue;
    for (int late = 0; late < 2; late++) {
        run("FLUSHALL");
        g_free(test_add(q, "job", NULL));
        struct open_run mine = take_open(q, "mine", late);
        for (int i = 0; i < 2; i++) {
            run("DEL bull:q:stalled-check");
            check_stalled(q, OX__CHECK_BEGIN);
            check_stalled(q, 0);
        }
        expect_members("bull:q:wait", "1");
        expect_field("bull:q:1", "stc", "1");
        expect_field("bull:q:1", "ats", "1");
        assert_int_equal(claim_ended(q, &mine, ""), late ? OX__NO_LOCK : OX__WRONG_STATE);
        struct open_run second = take_open(q, "second", late);
        assert_int_equal(second.starts, 2);
        assert_false(second.late);
        assert_int_equal(claim_ended(q, &mine, ""), OX__NO_LOCK);
        assert_int_equal(end_open(q, second.token, "f", late), 0);
        expect_field("bull:q:1", "ats", "2");
        g_free(mine.token);
        g_free(second.token);
    }
}

/* Takes the job, which has run before, by a busy worker: that reads it itself, and begins when
 * it has its lock, so the start is not written yet. */
static struct open_run take_unread(ox_queue *q, const char *token)
{
    ox_error err = { 0 };
    redisReply *reply = NULL;
    struct ox__op *op = &q->query.op;
    ox__query_script(&q->query, &q->at, &ox__script_take_jobs);
    test_put_take(op, token, -1, 1, "1");
    test_ok(ox__call(q->client, op, &reply, &err), &err);
    assert_int_equal(reply->element[0]->integer, 1);
    assert_int_equal(reply->elements, 7);
    assert_int_equal(reply->element[6]->integer, 0);
    struct open_run run = { .late = true, .starts = 2, .attempt = 2 };
    run.started_ms = g_ascii_strtoll(reply->element[3]->str, NULL, 10) / 1000;
    ox__free_reply(&reply);
    run.token = open_text(&run, 2, token);
    return run;
}

/* The attempt of an end that is sent twice is counted once, and the next run gets its lock
 * once. */
static void so_it_spares_one_that_waits_for_its_lock(void **state)
{
    static const char *const kinds[] = { "w", "W", "d" };
    ox_queue *q = ((struct test_queue *)*state)->queue;
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(kinds); i++) {
        const char *kind = kinds[i / 2];
        bool late = i % 2 == 1;
        run("FLUSHALL");
        g_free(test_add(q, "job", NULL));
        struct open_run mine = take_open(q, "mine", late);
        assert_int_equal(end_open(q, mine.token, kind, late), 0);
        next_ms();
        struct open_run next = take_unread(q, "next"), other = next;
        assert_int_equal(end_open(q, mine.token, kind, late), OX__NO_LOCK);
        assert_int_equal(test_redis_int(redis, "HGET bull:q:1 ats"), 1);
        assert_int_equal(claim_ended(q, &next, ""), OX__CLAIM_LOCKED);
        assert_int_equal(test_redis_int(redis, "HGET bull:q:1 ats"), 2);
        assert_int_equal(test_redis_int(redis, "HGET bull:q:1 atm"), 1);
        assert_int_equal(test_redis_int(redis, "LLEN bull:q:active"), 1);
        other.token = open_text(&other, 2, "other");
        assert_int_equal(claim_ended(q, &other, ""), OX__OTHER_LOCK);
        run("DEL bull:q:1:lock");
        other.started_ms++;
        assert_int_equal(claim_ended(q, &other, ""), OX__NO_LOCK);
        g_free(mine.token);
        g_free(next.token);
        g_free(other.token);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(an_end_sent_twice_spares_the_next_run),
        WITH_QUEUE(an_end_sent_twice_was_stored),
        WITH_QUEUE(an_end_without_a_lock_is_judged),
        WITH_QUEUE(a_claim_without_a_lock_is_judged),
        WITH_QUEUE(a_stall_counts_the_start),
        WITH_QUEUE(a_cancelled_job_gets_its_start),
        WITH_QUEUE(so_it_spares_one_that_waits_for_its_lock),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
