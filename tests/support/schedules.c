/* schedules.c - see schedules.h. */
#include "check.h"

#include <glib.h>
#include <jansson.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/queue/job.h"
#include "lib/queue/queue.h"
#include "lib/queue/scheduler.h"
#include "schedules.h"
#define SCORE 4096 /* of the set `delayed`, for each ms */

int64_t schedule_set(
    struct test_queue *q, const char *id, const ox_schedule *schedule, const ox_new_job *job)
{
    ox_error err = { 0 };
    char *job_id = NULL;
    test_ok(ox_scheduler_set(q->queue, id, schedule, job, &job_id, &err), &err);
    g_autofree char *head = g_strdup_printf("repeat:%s:", id);
    assert_true(g_str_has_prefix(job_id, head));
    int64_t time = g_ascii_strtoll(job_id + strlen(head), NULL, 10);
    assert_int_equal(time, test_redis_int(redis, "ZSCORE bull:q:repeat %s", id));
    ox_free(job_id);
    return time;
}

int64_t schedule_every(struct test_queue *q, const char *id, int64_t ms)
{
    const ox_schedule schedule = { .every_ms = ms };
    return schedule_set(q, id, &schedule, NULL);
}

char *schedule_job_id(const char *scheduler, int64_t time)
{
    return g_strdup_printf("repeat:%s:%" G_GINT64_FORMAT, scheduler, time);
}

char *schedule_field(const char *key, const char *name)
{
    return test_redis_text(redis, "HGET bull:q:%s %s", key, name);
}

void expect_stored(const char *key, const char *name, const char *expected)
{
    g_autofree char *value = schedule_field(key, name);
    if (g_strcmp0(value, expected) != 0)
        test_fatal("%s of %s is %s, not %s", name, key, value ? value : "missing",
            expected ? expected : "missing");
}

void expect_ids(const char *key, const char *expected)
{
    g_autofree char *full = g_strconcat("bull:q:", key, NULL);
    g_autofree char *members = test_members(redis, full);
    assert_string_equal(members, expected);
}

json_t *opts_of(const char *id)
{
    g_autofree char *text = schedule_field(id, "opts");
    json_t *json = json_loads(text, 0, NULL);
    if (!json)
        test_fatal("the options of %s are no JSON: %s", id, text);
    return json;
}

void expect_opts(const char *id, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    json_t *expected = json_loads(text, 0, NULL), *opts = opts_of(id);
    assert_non_null(expected);
    json_object_del(opts, "timestamp");
    if (!json_equal(opts, expected)) {
        char *found = json_dumps(opts, 0);
        test_fatal("options of %s: %s, not %s", id, found, text);
    }
    json_decref(opts);
    json_decref(expected);
}

void expect_due(const char *id, int64_t time)
{
    assert_int_equal(test_redis_int(redis, "ZSCORE bull:q:delayed %s", id), time * SCORE);
}

int schedule_jobs_of(const char *scheduler)
{
    int count = 0;
    redisReply *reply = test_redis_command(redis, "KEYS bull:q:repeat:%s:*", scheduler);
    for (size_t i = 0; i < reply->elements; i++)
        count += g_ascii_isdigit(reply->element[i]->str[reply->element[i]->len - 1]);
    freeReplyObject(reply);
    return count;
}

int schedule_iterate(struct test_queue *q, const char *id, ox_error *err)
{
    ox_job *job = NULL;
    redisReply *reply = NULL;
    test_ok(ox_queue_job(q->queue, id, &job, NULL, err), err);
    assert_true(ox__iteration_due(job));
    int rc = ox__iteration_build(&q->queue->query.op, &q->queue->at, job, test_unix_ms(), err);
    if (rc > 0) {
        test_ok(ox__call(q->client, &q->queue->query.op, &reply, err), err);
        rc = ox__iteration_reply(reply, &q->queue->at, job, err);
        ox__free_reply(&reply);
    }
    ox_job_free(job);
    return rc;
}

void schedule_occupy(const char *scheduler, int64_t time)
{
    g_autofree char *id = schedule_job_id(scheduler, time);
    run("HSET bull:q:%s name old", id);
}

int64_t schedule_in_the_past(const char *scheduler, int64_t time, int64_t past)
{
    g_autofree char *id = schedule_job_id(scheduler, time);
    run("DEL bull:q:%s bull:q:delayed", id);
    run("ZADD bull:q:repeat %lld %s", past, scheduler);
    return past;
}

char *redis_snapshot(void)
{
    return test_redis_text(redis, "EVAL %s 0",
        "local keys = redis.call('KEYS', '*') table.sort(keys) local all = {} "
        "for _, key in ipairs(keys) do all[#all + 1] = key .. '=' .. "
        "redis.sha1hex(redis.call('DUMP', key)) end return table.concat(all, ' ')");
}
