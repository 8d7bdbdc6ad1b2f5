/*
 * test_bounds.c - no script holds Redis for long, however much there is: each operation is made
 * on little and on ten times as much, and a call may then cost about what it cost before.
 *
 * What a call costs is the server's time on the processor, divided by the calls; the longest
 * one is what it spent between two answers. (SLOWLOG would count the time in which a busy
 * machine did not let it run.) A processor that others share is slower, so an operation that
 * took too long is tried again.
 */
#include "../support/check.h"

#include <glib.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "../support/jobs.h"
#include "lib/base/error.h"
#include "lib/queue/queue.h"
#include "scripts.h"

#define LITTLE 1000
#define MUCH 10000
#define TRIES 8
#define LONGEST_US 60000 /* on the processor, of one call */
#define SPARE_NS 8000000 /* what a call may cost beyond its share, so as not to be chance */

static int server_up(void **state)
{
    (void)state;
    redis = test_redis_start(NULL);
    return 0;
}

/* ---- what is there ----------------------------------------------------------------------- */

/* For the scripts that fill a queue: K is its base, job() makes a hash, child() one of
 * `parent`, and so on. Their ids look like those that most jobs of flows have. */
static const char PRELUDE[] =
    "local K, n, r = 'bull:q:', tonumber(ARGV[1]), redis.call\n"
    "local function id(i) return string.format('%08d-0000-4000-8000-000000000000', i) end\n"
    "local function job(id, ...)\n"
    "  r('HSET', K .. id, 'name', 'j', 'data', '{}', 'opts', '{}', 'timestamp', '1', 'delay',\n"
    "    '0', 'priority', '0', ...)\n"
    "end\n"
    "local function child(id, parent)\n"
    "  job(id, 'parentKey', K .. parent, 'parent',\n"
    "    '{\"id\":\"' .. parent .. '\",\"queueKey\":\"bull:q\"}')\n"
    "end\n";

static void fill(const char *body, long n)
{
    g_autofree char *script = g_strconcat(PRELUDE, body, NULL);
    run("HSET bull:q:meta version x");
    run("EVAL %s 0 %ld", script, n);
}

static long count(const char *format, ...) G_GNUC_PRINTF(1, 2);
static long count(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *command = g_strdup_vprintf(format, args);
    va_end(args);
    return (long)test_redis_int(redis, command);
}

/* ---- what is done ------------------------------------------------------------------------ */

static ox_error err;

static struct ox__op *begin(ox_queue *queue, const struct ox__script *script)
{
    ox__query_script(&queue->query, &queue->at, script);
    return &queue->query.op;
}

static int64_t call(ox_queue *queue, redisReply **reply)
{
    redisReply *own = NULL;
    test_ok(ox__call(queue->client, &queue->query.op, &own, &err), &err);
    int64_t first = own->type == REDIS_REPLY_ARRAY && own->elements > 0
                        ? own->element[0]->integer
                        : own->integer;
    if (reply)
        *reply = own;
    else
        ox__free_reply(&own);
    return first;
}

static void check_for_stalled(ox_queue *queue)
{
    int64_t skip = OX__CHECK_BEGIN;
    run("DEL bull:q:stalled-check");
    do {
        struct ox__op *op = begin(queue, &ox__script_check_stalled);
        ox__op_int(op, "now", test_unix_ms());
        ox__op_int(op, "every_ms", 60000);
        ox__op_int(op, "late_ms", 60000);
        ox__op_int(op, "max_stalled", 1);
        ox__op_int(op, "skip", skip);
        skip = call(queue, NULL);
    } while (skip >= 0);
}

static void take(ox_queue *queue, int want)
{
    test_put_worker(begin(queue, &ox__script_take_jobs), "token", 30000, want);
    assert_int_equal(call(queue, NULL), want);
}

/* ---- the operations ---------------------------------------------------------------------- */

static void trim_log(ox_queue *queue, long n)
{
    ox_stream *stream = NULL;
    test_ok(ox_stream_new(&stream, queue->client, NULL, NULL, &err), &err);
    assert_int_equal(ox_stream_trim(stream, n / 2, 0, &err), n - n / 2);
    assert_int_equal(ox_stream_trim(stream, n / 4, 0, &err), n / 2 - n / 4);
    ox_stream_free(stream);
}

static void remove_with_children(ox_queue *queue, long n)
{
    (void)n;
    test_ok(ox_queue_remove(queue, "P", true, &err), &err);
    assert_int_equal(count("EXISTS bull:q:P bull:q:P:dependencies"), 0);
}

/* In the order of a list, in that of none, and some that are not there. */
static void remove_many(ox_queue *queue, long n)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    g_autofree int *results = g_new(int, (gsize)n);
    for (long i = 0; i < n; i++)
        g_ptr_array_add(ids, i % 100 == 0
                                 ? g_strdup_printf("none%ld", i)
                                 : g_strdup_printf("%08ld-0000-4000-8000-000000000000", i));
    test_ok(
        ox_queue_remove_many(queue, (const char *const *)ids->pdata, ids->len, results, &err),
        &err);
    for (long i = 0; i < n; i++)
        assert_int_equal(results[i], i % 100 != 0);
    assert_int_equal(count("LLEN bull:q:wait"), 3 * n + n / 100);
}

static void check_dead(ox_queue *queue, long n)
{
    check_for_stalled(queue);
    assert_int_equal(count("LLEN bull:q:wait"), n);
    assert_int_equal(count("EXISTS bull:q:active bull:q:stalled"), 0);
}

static void check_alive(ox_queue *queue, long n)
{
    check_for_stalled(queue);
    check_for_stalled(queue);
    assert_int_equal(count("LLEN bull:q:active"), n);
    assert_int_equal(count("SCARD bull:q:stalled"), n);
}

/* Beside long lists a call looks up a few, so more than one round may be needed. */
static void restore(ox_queue *queue, long n)
{
    g_autofree char *cursor = g_strdup("0");
    int rounds = 0;
    do {
        redisReply *reply = NULL;
        struct ox__op *op = begin(queue, &ox__script_restore_jobs);
        ox__op_int(op, "now", test_unix_ms());
        ox__op_int(op, "max_stalled", 1);
        ox__op_text(op, "cursor", cursor);
        call(queue, &reply);
        g_free(cursor);
        cursor = g_strdup(reply->element[0]->str);
        ox__free_reply(&reply);
        rounds += strcmp(cursor, "0") == 0;
    } while (count("LLEN bull:q:wait") < 4 * n + n / 100 && rounds < 50);
    assert_int_equal(count("LLEN bull:q:wait"), 4 * n + n / 100);
}

/* Every child of a removed one is released by its key alone. */
static void remove_child(ox_queue *queue, long n)
{
    (void)n;
    assert_int_equal(ox_queue_remove(queue, "c", false, &err), 1);
}

static void clean_all(ox_queue *queue, long n)
{
    (void)n;
    for (int state = 0; state < OX_WAITING_CHILDREN; state++)
        test_ok(ox_queue_clean(queue, state, 0, 0, NULL, NULL, &err), &err);
    for (int state = 0; state < OX_WAITING_CHILDREN; state++)
        if (state != OX_WAITING)
            assert_int_equal(count("EXISTS bull:q:%s", ox_state_name(state)), 0);
    assert_int_equal(count("EXISTS bull:q:wait"), 0);
}

static void clean_lots_of_parents(ox_queue *queue, long n)
{
    (void)n;
    test_ok(ox_queue_clean(queue, OX_WAITING, 0, 0, NULL, NULL, &err), &err);
    /* The first parents went along, one waits again, and nothing is held by what is gone. */
    assert_in_range(count("EXISTS bull:q:1"), 0, 1);
}

static void drain(ox_queue *queue, long n)
{
    test_ok(ox_queue_drain(queue, true, &err), &err);
    assert_int_equal(count("LLEN bull:q:wait"), n / 2);
    assert_int_equal(count("EXISTS bull:q:delayed"), 0);
}

static void obliterate(ox_queue *queue, long n)
{
    (void)n;
    test_ok(ox_queue_obliterate(queue, true, &err), &err);
    assert_int_equal(count("DBSIZE"), 0);
}

static void leave_foreign(ox_queue *queue, long n)
{
    (void)n;
    test_ok(ox_queue_obliterate(queue, true, &err), &err);
}

static void retry_and_promote(ox_queue *queue, long n)
{
    assert_int_equal(ox_queue_retry_all(queue, OX_FAILED, 0, &err), n);
    assert_int_equal(ox_queue_retry_all(queue, OX_COMPLETED, 0, &err), n);
    assert_int_equal(ox_queue_promote_all(queue, &err), n);
    assert_int_equal(count("LLEN bull:q:wait"), 3 * n);
}

static void promote_due(ox_queue *queue, long n)
{
    for (long left = n; left > 0; left -= 1000)
        take(queue, 10);
    assert_int_equal(count("EXISTS bull:q:delayed"), 0);
}

static void pause_and_resume(ox_queue *queue, long n)
{
    test_ok(ox_queue_pause(queue, &err), &err);
    run("EVAL %s 0", "for i = 1, 3000 do redis.call('LPUSH', 'bull:q:wait', 'n' .. i) end");
    test_ok(ox_queue_pause(queue, &err), &err);
    run("LPUSH bull:q:wait new");
    test_ok(ox_queue_resume(queue, &err), &err);
    assert_int_equal(count("LLEN bull:q:wait"), n + 3001);
}

/* Five hundred runs end, each with another rule for what to keep. */
static void retain(ox_queue *queue, long n)
{
    redisReply *reply = NULL;
    take(queue, 500);
    struct ox__op *op = begin(queue, &ox__script_end_jobs);
    test_put_worker(op, "token", 30000, 0);
    ox__op_int(op, "metrics_points", 0);
    for (int i = 1; i <= 500; i++) {
        g_autofree char *keep = g_strdup_printf("%d::", i + 5);
        g_autofree char *id = g_strdup_printf("%08d-0000-4000-8000-000000000000", i);
        ox__op_text(op, "kind", "c");
        ox__op_text(op, "keep", keep);
        ox__op_text(op, "job_token", "token");
        ox__op_text(op, "job_id", id);
        ox__op_text(op, "value", "1");
    }
    call(queue, &reply);
    assert_int_equal(reply->element[0]->elements, 0);
    ox__free_reply(&reply);
    assert_in_range(count("ZCARD bull:q:completed"), n - 500, n);
}

/* Jobs end that stand all over the list of active ones. */
static void end_scattered(ox_queue *queue, long n)
{
    redisReply *reply = NULL;
    struct ox__op *op = begin(queue, &ox__script_end_jobs);
    test_put_worker(op, "token", 30000, 0);
    ox__op_int(op, "metrics_points", 0);
    for (int i = 1; i <= 200; i++) {
        g_autofree char *id =
            g_strdup_printf("%08ld-0000-4000-8000-000000000000", i * (n / 200));
        ox__op_text(op, "kind", "c");
        ox__op_text(op, "keep", "");
        ox__op_text(op, "job_token", "token");
        ox__op_text(op, "job_id", id);
        ox__op_text(op, "value", "1");
    }
    call(queue, &reply);
    assert_int_equal(reply->element[0]->elements, 0);
    ox__free_reply(&reply);
    assert_int_equal(count("LLEN bull:q:active"), n - 200);
}

/* A worker comes back after an outage, and locks its jobs again. */
static void claim_runs(ox_queue *queue, long n)
{
    redisReply *reply = NULL;
    struct ox__op *op = begin(queue, &ox__script_claim_runs);
    ox__op_int(op, "lock_ms", 30000);
    ox__op_text(op, "name", "");
    for (int i = 1; i <= 400; i++) {
        g_autofree char *id =
            g_strdup_printf("%08ld-0000-4000-8000-000000000000", i * (n / 400));
        ox__op_text(op, "job_id", id);
        ox__op_text(op, "token", "token");
        ox__op_text(op, "ats", "1");
        ox__op_text(op, "processed_on", "5");
        ox__op_text(op, "kind", i % 2 ? "" : "m");
        ox__op_text(op, "made", "0");
    }
    call(queue, &reply);
    for (size_t i = 0; i < reply->elements; i++)
        assert_int_equal(reply->element[i]->integer, OX__CLAIM_LOCKED);
    ox__free_reply(&reply);
}

/* One job among many, in each of the ways in which one can be named. */
static void change_one(ox_queue *queue, long n)
{
    ox_counts counts;
    (void)n;
    for (int i = 0; i < 20; i++) {
        test_ok(ox_queue_change_priority(queue, "w", (uint32_t)i % 2, false, &err), &err);
        test_ok(ox_queue_change_delay(queue, "d", 1000 + i, &err), &err);
        test_ok(ox_queue_promote(queue, "d", &err), &err);
        run("LREM bull:q:wait 1 d");
        run("ZADD bull:q:delayed 9 d");
        test_ok(ox_queue_retry(queue, "f", OX_FAILED, 0, &err), &err);
        run("LREM bull:q:wait 1 f");
        run("ZADD bull:q:failed 1 f");
        run("LPUSH bull:q:active r");
        assert_true(ox_queue_cancel(queue, "r", NULL, &err) >= 0);
        run("ZREM bull:q:failed r");
        test_ok(ox_queue_counts(queue, &counts, &err), &err);
        assert_int_equal(
            ox_queue_job_state(queue, "w", &err), i % 2 ? OX_PRIORITIZED : OX_WAITING);
        test_ok(ox_queue_remove(queue, "a", false, &err), &err);
    }
}

static void set_schedulers(ox_queue *queue, long n)
{
    ox_schedule every = { .every_ms = 3600000 };
    ox_scheduler **list = NULL;
    (void)n;
    for (int i = 0; i < 20; i++) {
        test_ok(ox_scheduler_set(queue, "mine", &every, NULL, NULL, &err), &err);
        test_ok(ox_scheduler_set(queue, "mine", &every, NULL, NULL, &err), &err);
        test_ok(ox_scheduler_remove(queue, "mine", &err), &err);
    }
    test_ok(ox_queue_schedulers(queue, 0, -1, &list, NULL, &err), &err);
    ox_list_free(list);
}

/* Each holder of a deduplication id is looked for among the active jobs. */
static void add_deduplicated(ox_queue *queue, long n)
{
    enum { BATCH = 400 };
    ox_new_job jobs[BATCH];
    ox_job_options options[BATCH] = { { .delay_ms = 0 } };
    char *dedup[BATCH], *ids[BATCH];
    for (int i = 0; i < BATCH; i++) {
        dedup[i] = g_strdup_printf("%ld", (i + 1) * (n / BATCH));
        options[i].dedup.id = dedup[i];
        options[i].dedup.keep_last_if_active = true;
        jobs[i] = (ox_new_job){ .name = "n", .json = "{}", .options = &options[i] };
    }
    test_ok(ox_queue_add_bulk(queue, jobs, BATCH, ids, &err), &err);
    for (int i = 0; i < BATCH; i++) {
        assert_int_equal(count("EXISTS bull:q:dn:%s", dedup[i]), 1);
        ox_free(ids[i]);
        g_free(dedup[i]);
    }
}

/* What is done to what, and the scripts that this is for. */
static const struct row {
    const char *name, *scripts, *fill;
    void (*operation)(ox_queue *queue, long n);
    long little, much;
} rows[] = {
    { "children among others in a list", "remove_children remove_jobs",
        "job('P') r('ZADD', K .. 'waiting-children', 1, 'P')\n"
        "for i = 1, n do\n"
        "  child(id(i), 'P') r('SADD', K .. 'P:dependencies', K .. id(i))\n"
        "  r('LPUSH', K .. 'wait', id(i), 'x' .. i, 'y' .. i, 'z' .. i)\n"
        "end",
        remove_with_children, LITTLE, MUCH },
    { "children that have ended", "remove_children remove_jobs",
        "job('P')\n"
        "for i = 1, n do\n"
        "  child(id(i), 'P') r('HSET', K .. 'P:processed', K .. id(i), '1')\n"
        "  r('ZADD', K .. 'completed', i, id(i))\n"
        "end",
        remove_with_children, LITTLE, MUCH },
    { "jobs among others in a list", "remove_jobs",
        "for i = 0, n - 1 do\n"
        "  job(id(i)) r('LPUSH', K .. 'wait', id(i), 'x' .. i, 'y' .. i, 'z' .. i)\n"
        "end",
        remove_many, LITTLE, MUCH },
    { "children below one another", "remove_children",
        "job('P') local last = 'P'\n"
        "for i = 1, n do\n"
        "  child(id(i), last) r('SADD', K .. last .. ':dependencies', K .. id(i))\n"
        "  r('ZADD', K .. 'waiting-children', 1, id(i)) last = id(i)\n"
        "end",
        remove_with_children, 100, 1000 },
    { "active jobs without a worker", "check_stalled",
        "for i = 1, n do\n"
        "  job(id(i)) r('LPUSH', K .. 'active', id(i)) r('SADD', K .. 'stalled', id(i))\n"
        "end",
        check_dead, LITTLE, MUCH },
    { "active jobs", "check_stalled",
        "for i = 1, n do\n"
        "  job(id(i)) r('LPUSH', K .. 'active', id(i)) r('SET', K .. id(i) .. ':lock', 't')\n"
        "end",
        check_alive, LITTLE, MUCH },
    { "jobs without a state beside those that wait", "restore_jobs",
        "for i = 1, n do\n"
        "  job(id(i)) r('LPUSH', K .. 'wait', id(i), 'a' .. i, 'b' .. i, 'c' .. i)\n"
        "  if i % 100 == 0 then job('s' .. i, 'processedOn', '2') end\n"
        "end",
        restore, LITTLE, MUCH },
    { "colons in a parentKey", "remove_jobs",
        "local key = 'a' .. string.rep(':', n)\n"
        "job('c', 'parentKey', key) r('SADD', key .. ':dependencies', K .. 'c')\n"
        "r('LPUSH', K .. 'wait', 'c')",
        remove_child, 10000, 100000 },
    { "schedulers in a parentKey", "remove_jobs",
        "local key = 'a' .. string.rep(':repeat:', n)\n"
        "job('c', 'parentKey', key) r('SADD', key .. ':dependencies', K .. 'c')\n"
        "r('LPUSH', K .. 'wait', 'c')",
        remove_child, 1000, 10000 },
    { "jobs of all states to clean", "clean_jobs",
        "for i = 1, n do\n"
        "  for _, s in ipairs({ 'completed', 'failed', 'delayed', 'prioritized' }) do\n"
        "    job(s .. i) r('ZADD', K .. s, i, s .. i)\n"
        "  end\n"
        "  for _, s in ipairs({ 'active', 'wait', 'paused' }) do\n"
        "    job(s .. i) r('LPUSH', K .. s, s .. i)\n"
        "  end\n"
        "end",
        clean_all, LITTLE, MUCH },
    { "parents that go with their last child", "clean_jobs",
        "job('1') r('ZADD', K .. 'waiting-children', 1, '1')\n"
        "for i = 2, n do\n"
        "  child(i, i - 1) r('SADD', K .. (i - 1) .. ':dependencies', K .. i)\n"
        "  r(i < n and 'ZADD' or 'LPUSH', K .. (i < n and 'waiting-children' or 'wait'),\n"
        "    unpack(i < n and { '1', i } or { i }))\n"
        "end",
        clean_lots_of_parents, LITTLE, MUCH },
    { "jobs to drain, behind those of schedulers", "drain_jobs",
        "for i = 1, n / 2 do\n"
        "  local id = 'repeat:s' .. i .. ':1' r('ZADD', K .. 'repeat', 1, 's' .. i)\n"
        "  job(id, 'rjk', 's' .. i) r('RPUSH', K .. 'wait', id)\n"
        "end\n"
        "for i = 1, n do\n"
        "  job(id(i)) r('RPUSH', K .. 'wait', id(i)) r('ZADD', K .. 'delayed', i, 'd' .. i)\n"
        "end",
        drain, LITTLE, MUCH },
    { "a queue to obliterate", "obliterate_jobs obliterate_rest",
        "for i = 1, n do\n"
        "  for _, s in ipairs({ 'completed', 'delayed', 'waiting-children' }) do\n"
        "    job(s .. i) r('ZADD', K .. s, i, s .. i)\n"
        "  end\n"
        "  for _, s in ipairs({ 'active', 'wait' }) do\n"
        "    job(s .. i) r('LPUSH', K .. s, s .. i)\n"
        "  end\n"
        "  r('ZADD', K .. 'repeat', i, 's' .. i) r('HSET', K .. 'repeat:s' .. i, 'name', 'n')\n"
        "  r('XADD', K .. 'events', '*', 'event', 'waiting')\n"
        "end",
        obliterate, LITTLE, MUCH },
    { "colons in what a queue has left", "obliterate_rest",
        "r('SET', K .. string.rep('x:', n), '1')", leave_foreign, 5000, 50000 },
    { "jobs to retry and to promote", "retry_jobs promote_jobs",
        "for i = 1, n do\n"
        "  for _, s in ipairs({ 'completed', 'failed', 'delayed' }) do\n"
        "    job(s .. i) r('ZADD', K .. s, i, s .. i)\n"
        "  end\n"
        "end",
        retry_and_promote, LITTLE, MUCH },
    { "delayed jobs that are due", "take_jobs",
        "for i = 1, n do job(id(i)) r('ZADD', K .. 'delayed', i, id(i)) end", promote_due,
        LITTLE, MUCH },
    { "jobs in a list that is paused", "pause resume",
        "for i = 1, n do r('LPUSH', K .. 'wait', i) end", pause_and_resume, LITTLE, MUCH },
    { "finished jobs that are not to be kept", "end_jobs complete_jobs",
        "for i = 1, n do job('o' .. i) r('ZADD', K .. 'completed', i, 'o' .. i) end\n"
        "for i = 1, 500 do job(id(i)) r('LPUSH', K .. 'wait', id(i)) end",
        retain, LITTLE, MUCH },
    { "active jobs that end all over the list", "end_jobs complete_jobs",
        "for i = 1, n do\n"
        "  job(id(i)) r('LPUSH', K .. 'active', id(i))\n"
        "  r('SET', K .. id(i) .. ':lock', 'token')\n"
        "end",
        end_scattered, LITTLE, MUCH },
    { "active jobs without a lock", "claim_runs",
        "for i = 1, n do\n"
        "  job(id(i), 'ats', '1', 'processedOn', '5') r('LPUSH', K .. 'active', id(i))\n"
        "end",
        claim_runs, LITTLE, MUCH },
    { "jobs beside one that changes",
        "change_priority change_delay promote_job retry_job remove_jobs count_jobs read_state "
        "read_run",
        "for i = 1, n do\n"
        "  r('LPUSH', K .. 'wait', id(i)) r('ZADD', K .. 'delayed', i, id(i))\n"
        "  r('ZADD', K .. 'failed', i, id(i)) r('ZADD', K .. 'prioritized', i, id(i))\n"
        "end\n"
        "job('w') job('d') job('f') job('a') job('r')\n"
        "r('LPUSH', K .. 'wait', 'w') r('ZADD', K .. 'delayed', 9, 'd')\n"
        "r('ZADD', K .. 'failed', 1, 'f') r('ZADD', K .. 'completed', 1, 'a')",
        change_one, LITTLE, MUCH },
    { "schedulers", "set_scheduler remove_scheduler read_schedulers next_iteration",
        "for i = 1, n do\n"
        "  r('ZADD', K .. 'repeat', i, 's' .. i) r('HSET', K .. 'repeat:s' .. i, 'name', 'n')\n"
        "end",
        set_schedulers, LITTLE, MUCH },
    { "entries of a stream's log", "trim_stream",
        "for i = 1, n do\n"
        "  r('XADD', 'bull::ox:{events}:log', 10 * i .. '-' .. i, 'e', '{}')\n"
        "end",
        trim_log, LITTLE, MUCH },
    { "active jobs that hold deduplication ids", "add_jobs",
        "for i = 1, n do\n"
        "  job(id(i)) r('LPUSH', K .. 'active', id(i)) r('SET', K .. 'de:' .. i, id(i))\n"
        "end",
        add_deduplicated, LITTLE, MUCH },
};

/* What handles as much as its caller names, and looks for none of it in a list; or one job, or
 * the settings of a queue. */
static const char *const constant[] = { "add_log", "add_plain", "clear_logs",
    "count_priorities", "give_marker", "last_event", "read_end", "read_info", "read_job",
    "read_jobs", "read_logs", "read_metrics", "read_place", "release_parents", "remove_dedup",
    "remove_dependency", "renew_locks", "return_lost", "set_limits", "update_data",
    "update_progress", "wait_children", "publish_events", "bind_queue", "unbind_queue",
    "set_stream", "read_stream", "remove_stream", "create_group", "seek_group", "read_groups",
    "read_members", "remove_group", "retry_dead", "replay_events", "take_events", "end_events",
    "renew_events", "leave_group", "check_group", "ack_events" };

/* ---- how long it takes ------------------------------------------------------------------- */

struct cost {
    long long longest_us, calls;
    double call_ns;
};

static long long script_calls(void)
{
    g_autofree char *stats = test_redis_text(redis, "INFO commandstats");
    const char *at = strstr(stats, "cmdstat_evalsha:calls=");
    return at ? g_ascii_strtoll(strchr(at, '=') + 1, NULL, 10) : 0;
}

/* The server's time between two answers: the client waits for each by poll(). */
static struct {
    bool on;
    long long last_ns, longest_ns;
} watch;

static long long cpu_ns(void)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/schedstat", (int)redis->pid),
                    *text = NULL;
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return g_ascii_strtoll(text, NULL, 10);
}

static void note_answer(void)
{
    long long now_ns = cpu_ns();
    watch.longest_ns = MAX(watch.longest_ns, now_ns - watch.last_ns);
    watch.last_ns = now_ns;
}

int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    int ready = __real_poll(fds, count, timeout_ms);
    if (watch.on)
        note_answer();
    return ready;
}

static struct cost measure(const struct row *row, long n)
{
    struct test_queue *q = test_queue_new(
        redis, &(const ox_queue_options){
                   .legacy_pause = row->operation == pause_and_resume, .batch = 500 });
    fill(row->fill, n);
    run("CONFIG RESETSTAT");
    long long before = cpu_ns();
    watch.last_ns = before;
    watch.longest_ns = 0;
    watch.on = true;
    row->operation(q->queue, n);
    watch.on = false;
    note_answer();
    long long spent = watch.last_ns - before;
    struct cost cost = { .longest_us = watch.longest_ns / 1000, .calls = script_calls() };
    assert_true(cost.calls > 0);
    cost.call_ns = (double)spent / (double)cost.calls;
    test_queue_free(q);
    return cost;
}

static void a_call_costs_the_same(void **state)
{
    const struct row *row = *state;
    for (int try = 1;; try++) {
        struct cost little = measure(row, row->little);
        struct cost much = measure(row, row->much);
        if (g_getenv("OX_BOUNDS"))
            print_message("%-45s %5lld calls, %9.0f ns each, longest %6lld us; "
                          "%5lld calls, %9.0f ns each, longest %6lld us\n",
                row->name, little.calls, little.call_ns, little.longest_us, much.calls,
                much.call_ns, much.longest_us);
        bool flat = much.call_ns <= 3 * little.call_ns + SPARE_NS;
        if (flat && much.longest_us <= LONGEST_US)
            return;
        if (try == TRIES)
            test_fatal("%s: a call costs %.0f ns, of ten times as many %.0f ns; the longest "
                       "took %lld us",
                row->name, little.call_ns, much.call_ns, much.longest_us);
    }
}

/* ---- all scripts ------------------------------------------------------------------------- */

static bool is_named(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(constant); i++)
        if (strcmp(constant[i], name) == 0)
            return true;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_auto(GStrv) scripts = g_strsplit(rows[i].scripts, " ", -1);
        if (g_strv_contains((const char *const *)scripts, name))
            return true;
    }
    return false;
}

static void every_script_is_here(void **state)
{
    (void)state;
    for (size_t i = 0; ox__scripts[i]; i++)
        if (!is_named(ox__scripts[i]->name))
            test_fatal("%s: say here how it stays short", ox__scripts[i]->name);
}

int main(void)
{
    struct CMUnitTest tests[G_N_ELEMENTS(rows) + 1] = { cmocka_unit_test(
        every_script_is_here) };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        tests[i + 1] = (struct CMUnitTest){ .name = rows[i].name,
            .test_func = a_call_costs_the_same,
            .initial_state = (void *)&rows[i] };
    return cmocka_run_group_tests(tests, server_up, test_server_down);
}
