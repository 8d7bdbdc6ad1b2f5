/*
 * steer.c - a queue as a whole: pause, limits, and emptying it.
 *
 * What may be long is done in bounded script calls, so that Redis serves others in between; a
 * call that fails half way can be made again. Passing over jobs that stay (a scheduler's next
 * one, those too young) is done by rank: ranks can shift while others work on the queue, so
 * the walks go from the end where that only means to look at a job twice.
 */
#include "base/clock.h"
#include "base/error.h"
#include "queue/queue.h"
#include "queue/scan.h"
#include "scripts.h"

#include <stdlib.h>
#include <string.h>

#define PER_CALL 500       /* jobs that one script call removes */
#define MOVE_PER_CALL 1000 /* ids that one call moves from list to list */
#define ROUNDS 100         /* times that a queue is emptied while others fill it */

/* ---- pause ------------------------------------------------------------------------------- */

/* Repeats until the script has moved all; the first call tells the others. */
static int move_all(ox_queue *queue, const struct ox__script *script, ox_error *err)
{
    int64_t left = 0;
    int quiet = 0;
    do {
        struct ox__op *op = ox__queue_op(queue, script);
        ox__op_int(op, "limit", MOVE_PER_CALL);
        ox__op_int(op, "quiet", quiet);
        int rc = ox__queue_number(queue, NULL, &left, err);
        if (rc < 0) {
            return rc;
        }
        quiet = 1;
    } while (left > 0);
    return 0;
}

int ox_queue_pause(ox_queue *queue, ox_error *err)
{
    OX__NEED(queue, err);
    return move_all(queue, &ox__script_pause, err);
}

int ox_queue_resume(ox_queue *queue, ox_error *err)
{
    OX__NEED(queue, err);
    return move_all(queue, &ox__script_resume, err);
}

int ox_queue_is_paused(ox_queue *queue, ox_error *err)
{
    OX__NEED(queue, err);
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    struct ox__op *op = &queue->op;
    ox__op_command(op, "HEXISTS");
    ox__op_key(op, queue->at.base, "meta");
    ox__op_text(op, "field", "paused");
    int rc = ox__queue_call(queue, NULL, &reply, err);
    if (rc < 0) {
        return rc;
    }
    return reply->type == REDIS_REPLY_INTEGER ? reply->integer == 1
                                              : ox__queue_odd(queue, NULL, "HEXISTS", err);
}

/* ---- limits ------------------------------------------------------------------------------ */

/* Zero takes the field away. */
static void put_setting(struct ox__op *op, const char *field, int64_t value)
{
    ox__op_text(op, "field", field);
    if (value > 0) {
        ox__op_int(op, "value", value);
    } else {
        ox__op_text(op, "value", "");
    }
}

int ox_queue_set_concurrency(ox_queue *queue, uint32_t max, ox_error *err)
{
    OX__NEED(queue, err);
    struct ox__op *op = ox__queue_op(queue, &ox__script_set_limits);
    put_setting(op, "concurrency", max);
    return ox__queue_number(queue, NULL, NULL, err);
}

int ox_queue_set_rate(ox_queue *queue, uint32_t max, int64_t duration_ms, ox_error *err)
{
    OX__NEED(queue, err);
    if (max > 0 && duration_ms <= 0) {
        return ox__fail(
            err, OX_EINVAL, "queue %s: a rate needs a window of 1 ms or more", queue->at.name);
    }
    struct ox__op *op = ox__queue_op(queue, &ox__script_set_limits);
    put_setting(op, "max", max);
    put_setting(op, "duration", max > 0 ? duration_ms : 0);
    return ox__queue_number(queue, NULL, NULL, err);
}

int ox_queue_rate_limit(ox_queue *queue, int64_t duration_ms, ox_error *err)
{
    OX__NEED(queue, err);
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    struct ox__op *op = &queue->op;
    if (duration_ms < 0) {
        return ox__fail(
            err, OX_EINVAL, "queue %s: a duration cannot be negative", queue->at.name);
    }
    ox__op_command(op, duration_ms > 0 ? "SET" : "DEL");
    ox__op_key(op, queue->at.base, "limiter");
    if (duration_ms > 0) {
        /* More starts than any limit allows. */
        ox__op_text(op, "starts", "9007199254740991");
        ox__op_text(op, "", "PX");
        ox__op_int(op, "duration", duration_ms);
    }
    return ox__queue_call(queue, NULL, &reply, err);
}

/* ---- drain ------------------------------------------------------------------------------- */

/* Empties one state, but for jobs that must stay; returns how many went. What is added
 * meanwhile is not waited for. */
static int64_t drain_state(ox_queue *queue, const char *state, ox_error *err)
{
    int64_t removed = 0, skip = 0, todo = -1, number[3];
    do {
        struct ox__op *op = ox__queue_op(queue, &ox__script_drain_jobs);
        ox__op_int(op, "now", ox__now_ms());
        ox__op_text(op, "state", state);
        ox__op_int(op, "skip", skip);
        ox__op_int(op, "limit", PER_CALL);
        int rc = ox__queue_numbers(queue, number, 3, err);
        if (rc < 0) {
            return rc;
        }
        todo = todo < 0 ? number[0] + number[2] : todo;
        todo -= number[0] + number[1];
        removed += number[0];
        skip += number[1];
    } while (todo > 0 && number[0] + number[1] == PER_CALL);
    return removed;
}

int64_t ox_queue_drain(ox_queue *queue, bool delayed, ox_error *err)
{
    OX__NEED(queue, err);
    static const char *const states[] = { "wait", "paused", "prioritized", "delayed" };
    int64_t removed = 0;
    for (size_t i = 0; i < (delayed ? 4 : 3); i++) {
        int64_t some = drain_state(queue, states[i], err);
        if (some < 0) {
            return some;
        }
        removed += some;
    }
    return removed;
}

/* ---- clean ------------------------------------------------------------------------------- */

struct clean {
    int64_t before_ms, left; /* `left`: how many more may go */
    void (*removed)(void *arg, const char *id);
    void *arg;
};

/* One call: `looked` at, and how many went. */
static int64_t clean_some(ox_queue *queue, const char *state, int64_t skip, int64_t limit,
    const struct clean *clean, int64_t *looked, ox_error *err)
{
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    struct ox__op *op = ox__queue_op(queue, &ox__script_clean_jobs);
    ox__op_int(op, "now", ox__now_ms());
    ox__op_text(op, "state", state);
    ox__op_int(op, "before", clean->before_ms);
    ox__op_int(op, "skip", skip);
    ox__op_int(op, "limit", limit);
    int rc = ox__queue_call(queue, NULL, &reply, err);
    if (rc < 0) {
        return rc;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_INTEGER ||
        reply->element[1]->type != REDIS_REPLY_ARRAY) {
        return ox__queue_odd(queue, NULL, "clean_jobs", err);
    }
    const redisReply *ids = reply->element[1];
    for (size_t i = 0; clean->removed != NULL && i < ids->elements; i++) {
        if (ids->element[i]->type == REDIS_REPLY_STRING) {
            clean->removed(clean->arg, ids->element[i]->str);
        }
    }
    *looked = reply->element[0]->integer;
    return (int64_t)ids->elements;
}

static int64_t clean_state(
    ox_queue *queue, const char *state, struct clean *clean, ox_error *err)
{
    int64_t total = 0, skip = 0, limit, looked = 0;
    do {
        limit = clean->left < PER_CALL ? clean->left : PER_CALL;
        int64_t some = clean_some(queue, state, skip, limit, clean, &looked, err);
        if (some < 0) {
            return some;
        }
        total += some;
        skip += looked - some;
        clean->left -= some;
    } while (looked == limit && clean->left > 0);
    return total;
}

int64_t ox_queue_clean(ox_queue *queue, int state, int64_t grace_ms, uint32_t limit,
    void (*removed)(void *arg, const char *id), void *arg, ox_error *err)
{
    OX__NEED(queue, err);
    struct clean clean = {
        .removed = removed, .arg = arg, .left = limit > 0 ? limit : INT64_MAX
    };
    if (state < 0 || state >= OX_WAITING_CHILDREN) {
        return ox__fail(err, OX_EINVAL, "queue %s: jobs that are %s cannot be cleaned",
            queue->at.name, ox_state_name(state));
    }
    if (grace_ms < 0) {
        return ox__fail(err, OX_EINVAL, "queue %s: an age cannot be negative", queue->at.name);
    }
    clean.before_ms = ox__now_ms() - grace_ms;
    if (state != OX_WAITING) {
        return clean_state(queue, ox_state_name(state), &clean, err);
    }
    int64_t total = clean_state(queue, "wait", &clean, err);
    if (total < 0 || clean.left == 0) {
        return total;
    }
    int64_t parked = clean_state(queue, "paused", &clean, err);
    return parked < 0 ? parked : total + parked;
}

/* ---- obliterate -------------------------------------------------------------------------- */

static int remove_jobs(ox_queue *queue, bool force, ox_error *err)
{
    int64_t more = 0;
    do {
        struct ox__op *op = ox__queue_op(queue, &ox__script_obliterate_jobs);
        ox__op_int(op, "now", ox__now_ms());
        ox__op_int(op, "limit", PER_CALL);
        ox__op_int(op, "force", force ? 1 : 0);
        int rc = ox__queue_number(queue, NULL, &more, err);
        if (rc < 0) {
            return rc;
        }
    } while (more > 0);
    return 0;
}

/* What a queue without jobs has left. `again` becomes true when there are jobs again. */
struct rest {
    ox_queue *queue;
    bool again;
};

static int remove_page(void *arg, const redisReply *keys, ox_error *err)
{
    struct rest *rest = arg;
    size_t base_len = strlen(rest->queue->at.base);
    int64_t again = 0;
    struct ox__op *op = ox__queue_op(rest->queue, &ox__script_obliterate_rest);
    ox__op_int(op, "last", 0);
    for (size_t i = 0; i < keys->elements; i++) {
        const redisReply *key = keys->element[i];
        ox__op_bytes(op, "suffix", key->str + base_len, key->len - base_len);
    }
    int rc = ox__queue_number(rest->queue, NULL, &again, err);
    rest->again = rest->again || again == 1;
    return rc;
}

static int remove_settings(struct rest *rest, ox_error *err)
{
    int64_t again = 0;
    struct ox__op *op = ox__queue_op(rest->queue, &ox__script_obliterate_rest);
    ox__op_int(op, "last", 1);
    ox__op_text(op, "suffix", "events");
    ox__op_text(op, "suffix", "marker");
    ox__op_text(op, "suffix", "id");
    ox__op_text(op, "suffix", "meta");
    int rc = ox__queue_number(rest->queue, NULL, &again, err);
    rest->again = rest->again || again == 1;
    return rc;
}

int ox_queue_obliterate(ox_queue *queue, bool force, ox_error *err)
{
    OX__NEED(queue, err);
    for (int round = 0; round < ROUNDS; round++) {
        struct rest rest = { .queue = queue };
        int rc = remove_jobs(queue, force, err);
        if (rc == 0) {
            rc = ox__scan(queue->client, queue->at.base, "*", remove_page, &rest, err);
        }
        if (rc == 0 && !rest.again) {
            rc = remove_settings(&rest, err);
        }
        if (rc < 0 || !rest.again) {
            return rc;
        }
    }
    return ox__fail(err, OX_EACTIVE, "queue %s: jobs are added faster than they can be removed",
        queue->at.name);
}
