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
struct move {
    struct ox__step step;
    const struct ox__queue_at *at;
    const struct ox__script *script;
    int64_t left; /* -1: not begun */
};

static int next_move(struct ox__step *step, struct ox__query *query, ox_error *err)
{
    struct move *move = (struct move *)step;
    (void)err;
    if (move->left == 0) {
        return 0;
    }
    ox__query_script(query, move->at, move->script);
    ox__op_int(&query->op, "limit", MOVE_PER_CALL);
    ox__op_int(&query->op, "quiet", move->left < 0 ? 0 : 1);
    ox__query_number(query, &move->left);
    return 1;
}

static int move_all(ox_queue *queue, const struct ox__script *script, ox_error *err)
{
    struct move move = {
        .step = { next_move }, .at = &queue->at, .script = script, .left = -1
    };
    return ox__run_steps(queue->client, &queue->query, &move.step, err);
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
    struct ox__query *query = &queue->query;
    ox__query_command(query, &queue->at, "HEXISTS");
    ox__op_key(&query->op, queue->at.base, "meta");
    ox__op_text(&query->op, "field", "paused");
    ox__query_flag(query);
    return ox__run(queue->client, query, err);
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
    struct ox__query *query = &queue->query;
    ox__query_script(query, &queue->at, &ox__script_set_limits);
    put_setting(&query->op, "concurrency", max);
    ox__query_number(query, NULL);
    return ox__run(queue->client, query, err);
}

int ox_queue_set_rate(ox_queue *queue, uint32_t max, int64_t duration_ms, ox_error *err)
{
    OX__NEED(queue, err);
    if (max > 0 && duration_ms <= 0) {
        return ox__fail(
            err, OX_EINVAL, "queue %s: rate window must be 1 ms or more", queue->at.name);
    }
    struct ox__query *query = &queue->query;
    ox__query_script(query, &queue->at, &ox__script_set_limits);
    put_setting(&query->op, "max", max);
    put_setting(&query->op, "duration", max > 0 ? duration_ms : 0);
    ox__query_number(query, NULL);
    return ox__run(queue->client, query, err);
}

int ox_queue_rate_limit(ox_queue *queue, int64_t duration_ms, ox_error *err)
{
    OX__NEED(queue, err);
    struct ox__query *query = &queue->query;
    struct ox__op *op = &query->op;
    if (duration_ms < 0 || duration_ms > OX__MAX_MS) {
        return ox__fail(err, OX_EINVAL, "queue %s: duration must be 0..9007199254740991 ms",
            queue->at.name);
    }
    ox__query_command(query, &queue->at, duration_ms > 0 ? "SET" : "DEL");
    ox__op_key(op, queue->at.base, "limiter");
    if (duration_ms > 0) {
        /* More starts than any limit allows. */
        ox__op_text(op, "starts", "9007199254740991");
        ox__op_text(op, "", "PX");
        ox__op_int(op, "duration", duration_ms);
    }
    return ox__run(queue->client, query, err);
}

/* ---- drain ------------------------------------------------------------------------------- */

/* Empties states one after the other, but for jobs that must stay. What is added meanwhile is
 * not waited for. */
struct drain {
    struct ox__step step;
    const struct ox__queue_at *at;
    size_t state, states;
    int64_t removed;
    int64_t skip, todo; /* of this state; todo is -1 before its first call */
};

static int decode_drain(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    enum { REMOVED, KEPT, LEFT, NUMBERS };
    struct drain *drain = query->out;
    int64_t number[NUMBERS];
    int rc = ox__query_read_numbers(query, *reply, number, NUMBERS, err);
    if (rc < 0) {
        return rc;
    }
    drain->todo = drain->todo < 0 ? number[REMOVED] + number[LEFT] : drain->todo;
    drain->todo -= number[REMOVED] + number[KEPT];
    drain->removed += number[REMOVED];
    drain->skip += number[KEPT];
    if (drain->todo <= 0 || number[REMOVED] + number[KEPT] != PER_CALL) {
        drain->state++;
        drain->skip = 0;
        drain->todo = -1;
    }
    return 0;
}

static int next_drain(struct ox__step *step, struct ox__query *query, ox_error *err)
{
    static const char *const states[] = { "wait", "paused", "prioritized", "delayed" };
    struct drain *drain = (struct drain *)step;
    (void)err;
    if (drain->state == drain->states) {
        return 0;
    }
    ox__query_script(query, drain->at, &ox__script_drain_jobs);
    ox__op_int(&query->op, "now", ox__now_ms());
    ox__op_text(&query->op, "state", states[drain->state]);
    ox__op_int(&query->op, "skip", drain->skip);
    ox__op_int(&query->op, "limit", PER_CALL);
    ox__query_into(query, decode_drain, drain);
    return 1;
}

int64_t ox_queue_drain(ox_queue *queue, bool delayed, ox_error *err)
{
    OX__NEED(queue, err);
    struct drain drain = {
        .step = { next_drain }, .at = &queue->at, .states = delayed ? 4 : 3, .todo = -1
    };
    int rc = ox__run_steps(queue->client, &queue->query, &drain.step, err);
    return rc < 0 ? rc : drain.removed;
}

/* ---- clean ------------------------------------------------------------------------------- */

struct clean {
    struct ox__step step;
    const struct ox__queue_at *at;
    const char *states[2]; /* NULL: none */
    size_t state;
    int64_t before_ms;
    int64_t left; /* how many more may go */
    int64_t skip; /* in this state */
    int64_t total;
    void (*removed)(void *arg, const char *id);
    void *arg;
};

static int64_t clean_limit(const struct clean *clean)
{
    return clean->left < PER_CALL ? clean->left : PER_CALL;
}

static int decode_clean(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct clean *clean = query->out;
    redisReply **at = (*reply)->element;
    if ((*reply)->type != REDIS_REPLY_ARRAY || (*reply)->elements != 2 ||
        at[0]->type != REDIS_REPLY_INTEGER || at[1]->type != REDIS_REPLY_ARRAY) {
        return ox__query_misfit(query, err);
    }
    int64_t looked = at[0]->integer, some = (int64_t)at[1]->elements;
    bool over = looked != clean_limit(clean);
    for (size_t i = 0; clean->removed != NULL && i < at[1]->elements; i++) {
        if (at[1]->element[i]->type == REDIS_REPLY_STRING) {
            clean->removed(clean->arg, at[1]->element[i]->str);
        }
    }
    clean->total += some;
    clean->left -= some;
    clean->skip = over ? 0 : clean->skip + looked - some;
    clean->state += over ? 1 : 0;
    return 0;
}

static int next_clean(struct ox__step *step, struct ox__query *query, ox_error *err)
{
    struct clean *clean = (struct clean *)step;
    (void)err;
    if (clean->left <= 0 || clean->state == 2 || clean->states[clean->state] == NULL) {
        return 0;
    }
    ox__query_script(query, clean->at, &ox__script_clean_jobs);
    ox__op_int(&query->op, "now", ox__now_ms());
    ox__op_text(&query->op, "state", clean->states[clean->state]);
    ox__op_int(&query->op, "before", clean->before_ms);
    ox__op_int(&query->op, "skip", clean->skip);
    ox__op_int(&query->op, "limit", clean_limit(clean));
    ox__query_into(query, decode_clean, clean);
    return 1;
}

int64_t ox_queue_clean(ox_queue *queue, int state, int64_t grace_ms, uint32_t limit,
    void (*removed)(void *arg, const char *id), void *arg, ox_error *err)
{
    OX__NEED(queue, err);
    bool waiting = state == OX_WAITING;
    struct clean clean = { .step = { next_clean },
        .at = &queue->at,
        .states = { waiting ? "wait" : ox_state_name(state), waiting ? "paused" : NULL },
        .left = limit > 0 ? limit : INT64_MAX,
        .removed = removed,
        .arg = arg };
    if (state < 0 || state >= OX_WAITING_CHILDREN) {
        return ox__fail(err, OX_EINVAL, "queue %s: jobs that are %s cannot be cleaned",
            queue->at.name, ox_state_name(state));
    }
    if (grace_ms < 0) {
        return ox__fail(err, OX_EINVAL, "queue %s: age must be 0 ms or more", queue->at.name);
    }
    clean.before_ms = ox__now_ms() - grace_ms;
    int rc = ox__run_steps(queue->client, &queue->query, &clean.step, err);
    return rc < 0 ? rc : clean.total;
}

/* ---- obliterate -------------------------------------------------------------------------- */

struct removal {
    struct ox__step step;
    const struct ox__queue_at *at;
    bool force;
    int64_t more;
};

static int next_removal(struct ox__step *step, struct ox__query *query, ox_error *err)
{
    struct removal *removal = (struct removal *)step;
    (void)err;
    if (removal->more == 0) {
        return 0;
    }
    ox__query_script(query, removal->at, &ox__script_obliterate_jobs);
    ox__op_int(&query->op, "now", ox__now_ms());
    ox__op_int(&query->op, "limit", PER_CALL);
    ox__op_int(&query->op, "force", removal->force ? 1 : 0);
    ox__query_number(query, &removal->more);
    return 1;
}

static int remove_jobs(ox_queue *queue, bool force, ox_error *err)
{
    struct removal removal = {
        .step = { next_removal }, .at = &queue->at, .force = force, .more = 1
    };
    return ox__run_steps(queue->client, &queue->query, &removal.step, err);
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
    struct ox__query *query = &rest->queue->query;
    struct ox__op *op = &query->op;
    ox__query_script(query, &rest->queue->at, &ox__script_obliterate_rest);
    ox__op_int(op, "last", 0);
    for (size_t i = 0; i < keys->elements; i++) {
        const redisReply *key = keys->element[i];
        ox__op_bytes(op, "suffix", key->str + base_len, key->len - base_len);
    }
    ox__query_number(query, &again);
    int rc = ox__run(rest->queue->client, query, err);
    rest->again = rest->again || again == 1;
    return rc;
}

static int remove_settings(struct rest *rest, ox_error *err)
{
    int64_t again = 0;
    struct ox__query *query = &rest->queue->query;
    struct ox__op *op = &query->op;
    ox__query_script(query, &rest->queue->at, &ox__script_obliterate_rest);
    ox__op_int(op, "last", 1);
    ox__op_text(op, "suffix", "events");
    ox__op_text(op, "suffix", "marker");
    ox__op_text(op, "suffix", "id");
    ox__op_text(op, "suffix", "meta");
    ox__query_number(query, &again);
    int rc = ox__run(rest->queue->client, query, err);
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
