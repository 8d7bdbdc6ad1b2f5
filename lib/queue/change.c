/*
 * change.c - changing single jobs and batches of them: retry, promote, data, progress, logs,
 * priority, delay, dependencies.
 *
 * Each call is one script. Those that move batches are bounded and repeated; the first reply
 * has the number of jobs at the start, and no more than those are moved, so that jobs which
 * fail again at once cannot keep the caller busy for ever.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "queue/operations.h"
#include "queue/options.h"
#include "queue/queue.h"
#include "scripts.h"

#define PER_CALL 500 /* jobs that one script call moves */

/* ---- finished and delayed jobs run again ------------------------------------------------- */

static int check_finished(const struct ox__queue_at *at, int state, ox_error *err)
{
    return state == OX_COMPLETED || state == OX_FAILED
               ? 0
               : ox__fail(err, OX_EINVAL,
                     "queue %s: only completed and failed jobs can be retried", at->name);
}

int ox__retry_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    int state, unsigned flags, ox_error *err)
{
    int rc = check_finished(at, state, err);
    rc = rc < 0 ? rc : ox__query_job(query, at, &ox__script_retry_job, id, err);
    if (rc < 0) {
        return rc;
    }
    char forget[3] = "";
    size_t n = 0;
    if ((flags & OX_RESET_ATTEMPTS_MADE) != 0) {
        forget[n++] = OX__FORGET_MADE;
    }
    if ((flags & OX_RESET_ATTEMPTS_STARTED) != 0) {
        forget[n++] = OX__FORGET_STARTED;
    }
    ox__op_text(&query->op, "state", ox_state_name(state));
    ox__op_bytes(&query->op, "forget", forget, n);
    ox__query_number(query, NULL);
    return 0;
}

int ox_queue_retry(ox_queue *queue, const char *id, int state, unsigned flags, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    return ox__queue_run(
        queue, ox__retry_query(&queue->query, &queue->at, id, state, flags, err), err);
}

/* The reply of a script that moves a batch: ids that were moved, those of them that are jobs,
 * and ids that remain. */
enum { IDS, JOBS, LEFT, ANSWERS };

/* Moves batches until as many as there were at first have moved. */
struct move {
    const struct ox__script *script;
    int state;         /* for retry_jobs */
    int64_t before_ms; /* the same */
    int64_t *moved;
    int64_t jobs, todo;
    bool over;
};

static int decode_batch(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct move *move = query->out;
    int64_t moved[ANSWERS];
    int rc = ox__query_read_numbers(query, *reply, moved, ANSWERS, err);
    if (rc < 0) {
        return rc;
    }
    move->todo = (move->todo < 0 ? moved[IDS] + moved[LEFT] : move->todo) - moved[IDS];
    move->jobs += moved[JOBS];
    move->over = move->todo <= 0 || moved[IDS] <= 0 || moved[LEFT] <= 0;
    return 0;
}

static int next_batch(void *steps, struct ox__query *query, ox_error *err)
{
    struct move *move = steps;
    (void)err;
    if (move->over) {
        *move->moved = move->jobs;
        return 0;
    }
    ox__query_script(query, query->at, move->script);
    if (move->script == &ox__script_retry_jobs) {
        ox__op_text(&query->op, "state", ox_state_name(move->state));
        if (move->before_ms > 0) {
            ox__op_int(&query->op, "before", move->before_ms);
        } else {
            ox__op_text(&query->op, "before", "+inf");
        }
    }
    ox__op_int(&query->op, "limit", PER_CALL);
    ox__query_into(query, decode_batch, move);
    return 1;
}

static int begin_move(struct ox__query *query, const struct ox__queue_at *at,
    const struct move *how, ox_error *err)
{
    struct move *move = ox__query_steps(query, at, sizeof(*move), next_batch, NULL, err);
    if (move == NULL) {
        return OX_ENOMEM;
    }
    *move = *how;
    move->todo = -1;
    return 0;
}

int ox__retry_all_query(struct ox__query *query, const struct ox__queue_at *at, int state,
    int64_t before_ms, int64_t *moved, ox_error *err)
{
    const struct move how = {
        .script = &ox__script_retry_jobs, .state = state, .before_ms = before_ms, .moved = moved
    };
    int rc = check_finished(at, state, err);
    return rc < 0 ? rc : begin_move(query, at, &how, err);
}

int64_t ox_queue_retry_all(ox_queue *queue, int state, int64_t before_ms, ox_error *err)
{
    int64_t moved = 0;
    OX__NEED(queue, err);
    int rc = ox__queue_run(queue,
        ox__retry_all_query(&queue->query, &queue->at, state, before_ms, &moved, err), err);
    return rc < 0 ? rc : moved;
}

int ox__promote_query(
    struct ox__query *query, const struct ox__queue_at *at, const char *id, ox_error *err)
{
    int rc = ox__query_job(query, at, &ox__script_promote_job, id, err);
    ox__query_number(query, NULL);
    return rc;
}

int ox_queue_promote(ox_queue *queue, const char *id, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    return ox__queue_run(queue, ox__promote_query(&queue->query, &queue->at, id, err), err);
}

int ox__promote_all_query(
    struct ox__query *query, const struct ox__queue_at *at, int64_t *moved, ox_error *err)
{
    const struct move how = { .script = &ox__script_promote_jobs, .moved = moved };
    return begin_move(query, at, &how, err);
}

int64_t ox_queue_promote_all(ox_queue *queue, ox_error *err)
{
    int64_t moved = 0;
    OX__NEED(queue, err);
    int rc = ox__queue_run(
        queue, ox__promote_all_query(&queue->query, &queue->at, &moved, err), err);
    return rc < 0 ? rc : moved;
}

/* ---- data, progress, logs ---------------------------------------------------------------- */

/* A script with a JSON argument, named `name` in the script and `what` in errors. */
static int update(struct ox__query *query, const struct ox__queue_at *at,
    const struct ox__script *script, const char *id, const char *name, const char *what,
    const char *json, ox_error *err)
{
    int rc = ox__json_check(json, what, err);
    rc = rc < 0 ? rc : ox__query_job(query, at, script, id, err);
    if (rc == 0) {
        ox__op_text(&query->op, name, json);
        ox__query_number(query, NULL);
    }
    return rc;
}

int ox__update_data_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *id, const char *json, ox_error *err)
{
    return update(query, at, &ox__script_update_data, id, "data", "job data", json, err);
}

int ox_queue_update_data(ox_queue *queue, const char *id, const char *json, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    OX__NEED(json, err);
    return ox__queue_run(
        queue, ox__update_data_query(&queue->query, &queue->at, id, json, err), err);
}

int ox__update_progress_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *id, const char *json, ox_error *err)
{
    return update(
        query, at, &ox__script_update_progress, id, "progress", "progress", json, err);
}

int ox_queue_update_progress(ox_queue *queue, const char *id, const char *json, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    OX__NEED(json, err);
    return ox__queue_run(
        queue, ox__update_progress_query(&queue->query, &queue->at, id, json, err), err);
}

int ox__add_log_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    const char *row, uint32_t keep, int64_t *count, ox_error *err)
{
    int rc = ox__query_job(query, at, &ox__script_add_log, id, err);
    if (rc == 0) {
        ox__op_text(&query->op, "row", row);
        ox__op_int(&query->op, "keep", keep);
        ox__query_number(query, count);
    }
    return rc;
}

int64_t ox_queue_add_log(
    ox_queue *queue, const char *id, const char *row, uint32_t keep, ox_error *err)
{
    int64_t count = 0;
    OX__NEED(queue, err);
    OX__NEED(id, err);
    OX__NEED(row, err);
    int rc = ox__queue_run(
        queue, ox__add_log_query(&queue->query, &queue->at, id, row, keep, &count, err), err);
    return rc < 0 ? rc : count;
}

int ox__clear_logs_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    uint32_t keep, ox_error *err)
{
    int rc = ox__query_job(query, at, &ox__script_clear_logs, id, err);
    if (rc == 0) {
        ox__op_int(&query->op, "keep", keep);
        ox__query_number(query, NULL);
    }
    return rc;
}

int ox_queue_clear_logs(ox_queue *queue, const char *id, uint32_t keep, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    return ox__queue_run(
        queue, ox__clear_logs_query(&queue->query, &queue->at, id, keep, err), err);
}

/* ---- place ------------------------------------------------------------------------------- */

int ox__change_priority_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *id, uint32_t priority, bool lifo, ox_error *err)
{
    int rc = ox__query_job(query, at, &ox__script_change_priority, id, err);
    if (rc == 0 && priority > OX__PRIORITY_MAX) {
        rc = ox__fail(err, OX_EINVAL, "queue %s, job %s: priority %u exceeds the maximum of %u",
            at->name, id, priority, OX__PRIORITY_MAX);
    }
    if (rc == 0) {
        ox__op_int(&query->op, "priority", priority);
        ox__op_int(&query->op, "lifo", lifo ? 1 : 0);
        ox__query_number(query, NULL);
    }
    return rc;
}

int ox_queue_change_priority(
    ox_queue *queue, const char *id, uint32_t priority, bool lifo, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    return ox__queue_run(queue,
        ox__change_priority_query(&queue->query, &queue->at, id, priority, lifo, err), err);
}

int ox__change_delay_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *id, int64_t delay_ms, ox_error *err)
{
    int rc = ox__query_job(query, at, &ox__script_change_delay, id, err);
    if (rc == 0 && (delay_ms < 0 || delay_ms > OX__MAX_MS)) {
        rc = ox__fail(err, OX_EINVAL, "queue %s, job %s: delay must be 0..9007199254740991 ms",
            at->name, id);
    }
    if (rc == 0) {
        ox__op_int(&query->op, "delay", delay_ms);
        ox__query_number(query, NULL);
    }
    return rc;
}

int ox_queue_change_delay(ox_queue *queue, const char *id, int64_t delay_ms, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    return ox__queue_run(
        queue, ox__change_delay_query(&queue->query, &queue->at, id, delay_ms, err), err);
}

/* ---- dependencies ------------------------------------------------------------------------ */

int ox__remove_child_dependency_query(
    struct ox__query *query, const struct ox__queue_at *at, const char *id, ox_error *err)
{
    int rc = ox__query_job(query, at, &ox__script_remove_dependency, id, err);
    ox__query_flag(query);
    return rc;
}

int ox_queue_remove_child_dependency(ox_queue *queue, const char *id, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    return ox__queue_run(
        queue, ox__remove_child_dependency_query(&queue->query, &queue->at, id, err), err);
}

int ox__remove_dedup_query(
    struct ox__query *query, const struct ox__queue_at *at, const char *dedup_id, ox_error *err)
{
    if (*dedup_id == '\0') {
        return ox__fail(err, OX_EINVAL, "queue %s: deduplication id is missing", at->name);
    }
    ox__query_script(query, at, &ox__script_remove_dedup);
    ox__op_text(&query->op, "dedup_id", dedup_id);
    ox__query_flag(query);
    return 0;
}

int ox_queue_remove_dedup(ox_queue *queue, const char *dedup_id, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(dedup_id, err);
    return ox__queue_run(
        queue, ox__remove_dedup_query(&queue->query, &queue->at, dedup_id, err), err);
}
