/*
 * steer.c - a queue as a whole: pause, limits, and taking jobs out of it.
 *
 * Long operations are done in bounded script calls, so that Redis serves others in between; one
 * that fails half way can be repeated. Jobs that are kept (a scheduler's next one, those too
 * young) are skipped by rank: ranks can shift while others work on the queue, so lists are
 * walked from the end where a shift only means that a job is examined twice.
 */
#include "base/clock.h"
#include "base/error.h"
#include "queue/operations.h"
#include "queue/queue.h"
#include "scripts.h"

#define PER_CALL 500       /* jobs that one script call removes */
#define MOVE_PER_CALL 1000 /* ids that one call moves from list to list */

/* ---- pause ------------------------------------------------------------------------------- */

/* Repeats until the script has moved all; the first call tells the others. */
struct move {
    const struct ox__script *script;
    int64_t left; /* -1: not begun */
};

static int next_move(void *steps, struct ox__query *query, ox_error *err)
{
    struct move *move = steps;
    (void)err;
    if (move->left == 0) {
        return 0;
    }
    ox__query_script(query, query->at, move->script);
    ox__op_int(&query->op, "limit", MOVE_PER_CALL);
    ox__op_int(&query->op, "quiet", move->left < 0 ? 0 : 1);
    ox__query_number(query, &move->left);
    return 1;
}

static int begin_move(struct ox__query *query, const struct ox__queue_at *at,
    const struct ox__script *script, ox_error *err)
{
    struct move *move = ox__query_steps(query, at, sizeof(*move), next_move, NULL, err);
    if (move == NULL) {
        return OX_ENOMEM;
    }
    move->script = script;
    move->left = -1;
    return 0;
}

int ox__pause_query(struct ox__query *query, const struct ox__queue_at *at, ox_error *err)
{
    return begin_move(query, at, &ox__script_pause, err);
}

int ox_queue_pause(ox_queue *queue, ox_error *err)
{
    OX__NEED(queue, err);
    return ox__queue_run(queue, ox__pause_query(&queue->query, &queue->at, err), err);
}

int ox__resume_query(struct ox__query *query, const struct ox__queue_at *at, ox_error *err)
{
    return begin_move(query, at, &ox__script_resume, err);
}

int ox_queue_resume(ox_queue *queue, ox_error *err)
{
    OX__NEED(queue, err);
    return ox__queue_run(queue, ox__resume_query(&queue->query, &queue->at, err), err);
}

int ox__is_paused_query(struct ox__query *query, const struct ox__queue_at *at)
{
    ox__query_command(query, at, "HEXISTS");
    ox__op_key(&query->op, at->base, "meta");
    ox__op_text(&query->op, "field", "paused");
    ox__query_flag(query);
    return 0;
}

int ox_queue_is_paused(ox_queue *queue, ox_error *err)
{
    OX__NEED(queue, err);
    return ox__queue_run(queue, ox__is_paused_query(&queue->query, &queue->at), err);
}

/* ---- limits ------------------------------------------------------------------------------ */

/* Zero deletes the field. */
static void put_setting(struct ox__op *op, const char *field, int64_t value)
{
    ox__op_text(op, "field", field);
    if (value > 0) {
        ox__op_int(op, "value", value);
    } else {
        ox__op_text(op, "value", "");
    }
}

int ox__set_concurrency_query(
    struct ox__query *query, const struct ox__queue_at *at, uint32_t max)
{
    ox__query_script(query, at, &ox__script_set_limits);
    put_setting(&query->op, "concurrency", max);
    ox__query_number(query, NULL);
    return 0;
}

int ox_queue_set_concurrency(ox_queue *queue, uint32_t max, ox_error *err)
{
    OX__NEED(queue, err);
    return ox__queue_run(queue, ox__set_concurrency_query(&queue->query, &queue->at, max), err);
}

int ox__set_rate_query(struct ox__query *query, const struct ox__queue_at *at, uint32_t max,
    int64_t duration_ms, ox_error *err)
{
    if (max > 0 && duration_ms <= 0) {
        return ox__fail(err, OX_EINVAL, "queue %s: rate window must be 1 ms or more", at->name);
    }
    ox__query_script(query, at, &ox__script_set_limits);
    put_setting(&query->op, "max", max);
    put_setting(&query->op, "duration", max > 0 ? duration_ms : 0);
    ox__query_number(query, NULL);
    return 0;
}

int ox_queue_set_rate(ox_queue *queue, uint32_t max, int64_t duration_ms, ox_error *err)
{
    OX__NEED(queue, err);
    return ox__queue_run(
        queue, ox__set_rate_query(&queue->query, &queue->at, max, duration_ms, err), err);
}

int ox__rate_limit_query(
    struct ox__query *query, const struct ox__queue_at *at, int64_t duration_ms, ox_error *err)
{
    if (duration_ms < 0 || duration_ms > OX__MAX_MS) {
        return ox__fail(
            err, OX_EINVAL, "queue %s: duration must be 0..9007199254740991 ms", at->name);
    }
    ox__query_command(query, at, duration_ms > 0 ? "SET" : "DEL");
    ox__op_key(&query->op, at->base, "limiter");
    if (duration_ms > 0) {
        /* More starts than any limit allows. */
        ox__op_text(&query->op, "starts", "9007199254740991");
        ox__op_text(&query->op, "", "PX");
        ox__op_int(&query->op, "duration", duration_ms);
    }
    return 0;
}

int ox_queue_rate_limit(ox_queue *queue, int64_t duration_ms, ox_error *err)
{
    OX__NEED(queue, err);
    return ox__queue_run(
        queue, ox__rate_limit_query(&queue->query, &queue->at, duration_ms, err), err);
}

/* ---- drain ------------------------------------------------------------------------------- */

/* Empties one state after the other, except for jobs that are kept. Jobs added meanwhile are
 * left. */
struct drain {
    size_t state, states;
    int64_t removed, *out;
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

static int next_drain(void *steps, struct ox__query *query, ox_error *err)
{
    static const char *const states[] = { "wait", "paused", "prioritized", "delayed" };
    struct drain *drain = steps;
    (void)err;
    if (drain->state == drain->states) {
        *drain->out = drain->removed;
        return 0;
    }
    ox__query_script(query, query->at, &ox__script_drain_jobs);
    ox__op_int(&query->op, "now", ox__now_ms());
    ox__op_text(&query->op, "state", states[drain->state]);
    ox__op_int(&query->op, "skip", drain->skip);
    ox__op_int(&query->op, "limit", PER_CALL);
    ox__query_into(query, decode_drain, drain);
    return 1;
}

int ox__drain_query(struct ox__query *query, const struct ox__queue_at *at, bool delayed,
    int64_t *removed, ox_error *err)
{
    struct drain *drain = ox__query_steps(query, at, sizeof(*drain), next_drain, NULL, err);
    if (drain == NULL) {
        return OX_ENOMEM;
    }
    *drain = (struct drain){ .states = delayed ? 4 : 3, .out = removed, .todo = -1 };
    return 0;
}

int64_t ox_queue_drain(ox_queue *queue, bool delayed, ox_error *err)
{
    int64_t removed = 0;
    OX__NEED(queue, err);
    int rc = ox__queue_run(
        queue, ox__drain_query(&queue->query, &queue->at, delayed, &removed, err), err);
    return rc < 0 ? rc : removed;
}

/* ---- clean ------------------------------------------------------------------------------- */

struct clean {
    const char *states[2]; /* NULL: none */
    size_t state;
    int64_t before_ms;
    int64_t left; /* how many more may go */
    int64_t skip; /* in this state */
    int64_t total, *out;
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

static int next_clean(void *steps, struct ox__query *query, ox_error *err)
{
    struct clean *clean = steps;
    (void)err;
    if (clean->left <= 0 || clean->state == 2 || clean->states[clean->state] == NULL) {
        *clean->out = clean->total;
        return 0;
    }
    ox__query_script(query, query->at, &ox__script_clean_jobs);
    ox__op_int(&query->op, "now", ox__now_ms());
    ox__op_text(&query->op, "state", clean->states[clean->state]);
    ox__op_int(&query->op, "before", clean->before_ms);
    ox__op_int(&query->op, "skip", clean->skip);
    ox__op_int(&query->op, "limit", clean_limit(clean));
    ox__query_into(query, decode_clean, clean);
    return 1;
}

int ox__clean_query(struct ox__query *query, const struct ox__queue_at *at, int state,
    int64_t grace_ms, uint32_t limit, void (*removed)(void *arg, const char *id), void *arg,
    int64_t *count, ox_error *err)
{
    bool waiting = state == OX_WAITING;
    if (state < 0 || state >= OX_WAITING_CHILDREN) {
        return ox__fail(err, OX_EINVAL, "queue %s: %s jobs cannot be cleaned", at->name,
            ox_state_name(state));
    }
    if (grace_ms < 0) {
        return ox__fail(err, OX_EINVAL, "queue %s: age must be 0 ms or more", at->name);
    }
    struct clean *clean = ox__query_steps(query, at, sizeof(*clean), next_clean, NULL, err);
    if (clean == NULL) {
        return OX_ENOMEM;
    }
    *clean = (struct clean){ .states = { waiting ? "wait" : ox_state_name(state),
                                 waiting ? "paused" : NULL },
        .before_ms = ox__now_ms() - grace_ms,
        .left = limit > 0 ? limit : INT64_MAX,
        .out = count,
        .removed = removed,
        .arg = arg };
    return 0;
}

int64_t ox_queue_clean(ox_queue *queue, int state, int64_t grace_ms, uint32_t limit,
    void (*removed)(void *arg, const char *id), void *arg, ox_error *err)
{
    int64_t count = 0;
    OX__NEED(queue, err);
    int rc = ox__queue_run(queue,
        ox__clean_query(
            &queue->query, &queue->at, state, grace_ms, limit, removed, arg, &count, err),
        err);
    return rc < 0 ? rc : count;
}
