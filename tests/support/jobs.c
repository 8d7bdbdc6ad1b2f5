/*
 * jobs.c - a queue on a private server; see jobs.h.
 */
#include "jobs.h"

#include <glib.h>
#include <string.h>

#include "check.h"
#include "lib/base/error.h"
#include "lib/queue/queue.h"
#include "scripts.h"

#define TOKEN "token"
#define LOCK_MS 30000

int test_queue_up(void **state)
{
    *state = test_queue_new(redis, NULL);
    return 0;
}

int test_queue_down(void **state)
{
    test_queue_free(*state);
    return 0;
}

void test_ok(int64_t rc, const ox_error *err)
{
    if (rc < 0)
        test_fatal("%s: %s", ox_strerror((int)rc), err->text);
}

struct test_queue *test_queue_new(struct test_redis *server, const ox_queue_options *options)
{
    struct test_queue *q = g_new0(struct test_queue, 1);
    const ox_client_options to = { .url = test_redis_url(server) };
    ox_error err = { 0 };
    q->redis = server;
    test_ok(ox_client_new(&q->client, &to, &err), &err);
    test_ok(ox_queue_new(&q->queue, q->client, "q", options, &err), &err);
    return q;
}

void test_queue_free(struct test_queue *q)
{
    if (!q)
        return;
    ox_queue_free(q->queue);
    ox_client_free(q->client);
    test_redis_do(q->redis, "FLUSHALL");
    g_free(q);
}

char *test_add(ox_queue *queue, const char *name, const ox_job_options *options)
{
    ox_error err = { 0 };
    char *id = NULL;
    test_ok(ox_queue_add(queue, name, "{}", options, &id, &err), &err);
    char *copy = g_strdup(id);
    ox_free(id);
    return copy;
}

void test_put_take(
    struct ox__op *op, const char *token, int64_t lock_ms, int want, const char *apart)
{
    ox__op_int(op, "now", test_unix_ms());
    ox__op_int(op, "want", want);
    ox__op_text(op, "token", token);
    ox__op_int(op, "lock_ms", lock_ms);
    ox__op_text(op, "name", "");
    ox__op_int(op, "limit_max", 0);
    ox__op_int(op, "limit_ms", 0);
    ox__op_text(op, "popped", "0");
    ox__op_text(op, "look", "1");
    ox__op_int(op, "error_ms", -1);
    ox__op_text(op, "apart", apart);
}

void test_put_worker(struct ox__op *op, const char *token, int64_t lock_ms, int want)
{
    test_put_take(op, token, lock_ms, want, "0");
}

char *test_take(ox_queue *queue)
{
    ox_error err = { 0 };
    redisReply *reply = NULL;
    ox__query_script(&queue->query, &queue->at, &ox__script_take_jobs);
    test_put_worker(&queue->query.op, TOKEN, LOCK_MS, 1);
    test_ok(ox__call(queue->client, &queue->query.op, &reply, &err), &err);
    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    char *id = reply->element[0]->integer > 0 ? g_strdup(reply->element[5]->str) : NULL;
    ox__free_reply(&reply);
    return id;
}

static void end(ox_queue *queue, const char *kind, const char *id, const char *value)
{
    ox_error err = { 0 };
    redisReply *reply = NULL;
    struct ox__op *op = &queue->query.op;
    ox__query_script(&queue->query, &queue->at, &ox__script_end_jobs);
    test_put_worker(op, TOKEN, LOCK_MS, 0);
    ox__op_int(op, "metrics_points", 100);
    ox__op_text(op, "kind", kind);
    ox__op_text(op, "keep", "");
    ox__op_text(op, "job_token", TOKEN);
    ox__op_text(op, "job_id", id);
    ox__op_text(op, "value", value);
    if (*kind == 'f') {
        ox__op_text(op, "stack", "[\"Error\"]");
        ox__op_text(op, "attempts", "1");
        ox__op_text(op, "telemetry", "");
    }
    test_ok(ox__call(queue->client, &queue->query.op, &reply, &err), &err);
    if (reply->type != REDIS_REPLY_ARRAY || reply->element[0]->elements != 0)
        test_fatal("job %s: its end was refused", id);
    ox__free_reply(&reply);
}

void test_complete(ox_queue *queue, const char *id, const char *json)
{
    end(queue, "c", id, json);
}

void test_fail(ox_queue *queue, const char *id, const char *reason)
{
    end(queue, "f", id, reason);
}

static char *add_and_take(ox_queue *queue)
{
    const ox_job_options next = { .lifo = true };
    char *id = test_add(queue, "job", &next);
    g_autofree char *taken = test_take(queue);
    assert_non_null(taken);
    assert_string_equal(taken, id);
    return id;
}

char *test_add_completed(ox_queue *queue, const char *json)
{
    char *id = add_and_take(queue);
    test_complete(queue, id, json);
    return id;
}

char *test_add_failed(ox_queue *queue, const char *reason)
{
    char *id = add_and_take(queue);
    test_fail(queue, id, reason);
    return id;
}

static void append_event(GString *out, const redisReply *fields)
{
    const char *id = NULL;
    g_string_append_printf(out, "%s%s", out->len ? "," : "", fields->element[1]->str);
    for (size_t i = 2; i < fields->elements; i += 2) {
        const char *name = fields->element[i]->str, *value = fields->element[i + 1]->str;
        if (!id && !strcmp(name, "jobId")) {
            id = value;
            g_string_append_printf(out, " %s", id);
        } else if (strcmp(name, "name") != 0) {
            g_string_append_printf(out, " %s=%s", name, value);
        }
    }
}

char *test_events(struct test_redis *server, const char *base)
{
    GString *out = g_string_new(NULL);
    redisReply *reply = test_redis_command(server, "XRANGE %sevents - +", base);
    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    for (size_t i = 0; i < reply->elements; i++)
        append_event(out, reply->element[i]->element[1]);
    freeReplyObject(reply);
    return g_string_free(out, FALSE);
}

char *test_members(struct test_redis *server, const char *key)
{
    GString *out = g_string_new(NULL);
    g_autofree char *type = test_redis_text(server, "TYPE %s", key);
    redisReply *reply = test_redis_command(
        server, strcmp(type, "zset") ? "LRANGE %s 0 -1" : "ZRANGE %s 0 -1", key);
    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    for (size_t i = 0; i < reply->elements; i++)
        g_string_append_printf(out, "%s%s", i ? "," : "", reply->element[i]->str);
    freeReplyObject(reply);
    return g_string_free(out, FALSE);
}

void expect_members(const char *key, const char *expected)
{
    g_autofree char *members = test_members(redis, key);
    assert_string_equal(members, expected);
}

void expect_events(const char *expected)
{
    g_autofree char *events = test_events(redis, "bull:q:");
    assert_string_equal(events, expected);
    run("DEL bull:q:events");
}

void expect_field(const char *key, const char *name, const char *expected)
{
    g_autofree char *value = test_redis_text(redis, "HGET %s %s", key, name);
    if (g_strcmp0(value, expected) != 0)
        test_fatal("%s of %s is %s, not %s", name, key, value ? value : "missing",
            expected ? expected : "missing");
}
