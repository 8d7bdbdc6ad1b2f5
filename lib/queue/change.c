/*
 * change.c - changing single jobs and crowds of them: retry, promote, data, progress, logs,
 * priority, delay, bonds.
 *
 * Each call is one script. Those that move crowds are bounded and repeated; the first answer
 * says how many there were at the start, and no more than those are moved, so that jobs which
 * fail again at once cannot keep the caller busy for ever.
 */
#include "base/clock.h"
#include "base/error.h"
#include "queue/options.h"
#include "queue/queue.h"
#include "scripts.h"

#define PER_CALL 500 /* jobs that one script call moves */

/* ---- finished and delayed jobs run again ------------------------------------------------- */

static int check_finished(const ox_queue *queue, int state, ox_error *err)
{
    return state == OX_COMPLETED || state == OX_FAILED
               ? 0
               : ox__fail(err, OX_EINVAL,
                     "queue %s: only completed and failed jobs can be retried", queue->at.name);
}

int ox_queue_retry(ox_queue *queue, const char *id, int state, unsigned flags, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    int rc = check_finished(queue, state, err);
    rc = rc < 0 ? rc : ox__queue_job_op(queue, &ox__script_retry_job, id, err);
    if (rc < 0) {
        return rc;
    }
    char forget[3] = "";
    size_t n = 0;
    if ((flags & OX_RESET_ATTEMPTS_MADE) != 0) {
        forget[n++] = 'm';
    }
    if ((flags & OX_RESET_ATTEMPTS_STARTED) != 0) {
        forget[n++] = 's';
    }
    ox__op_text(&queue->op, "state", ox_state_name(state));
    ox__op_bytes(&queue->op, "forget", forget, n);
    return ox__queue_number(queue, id, NULL, err);
}

/* What a script that moves a crowd answers: ids that left, those of them that are jobs, and ids
 * that are left. */
enum { IDS, JOBS, LEFT, ANSWERS };

/* Repeats the call that `build` makes until what was there at first has moved. */
static int64_t move_crowd(ox_queue *queue, void (*build)(ox_queue *queue, const void *arg),
    const void *arg, ox_error *err)
{
    int64_t jobs = 0, todo = -1, moved[ANSWERS];
    do {
        build(queue, arg);
        int rc = ox__queue_numbers(queue, moved, ANSWERS, err);
        if (rc < 0) {
            return rc;
        }
        todo = (todo < 0 ? moved[IDS] + moved[LEFT] : todo) - moved[IDS];
        jobs += moved[JOBS];
    } while (todo > 0 && moved[IDS] > 0 && moved[LEFT] > 0);
    return jobs;
}

struct retry_all {
    int state;
    int64_t before_ms;
};

static void build_retry(ox_queue *queue, const void *arg)
{
    const struct retry_all *all = arg;
    struct ox__op *op = ox__queue_op(queue, &ox__script_retry_jobs);
    ox__op_text(op, "state", ox_state_name(all->state));
    if (all->before_ms > 0) {
        ox__op_int(op, "before", all->before_ms);
    } else {
        ox__op_text(op, "before", "+inf");
    }
    ox__op_int(op, "limit", PER_CALL);
}

int64_t ox_queue_retry_all(ox_queue *queue, int state, int64_t before_ms, ox_error *err)
{
    OX__NEED(queue, err);
    const struct retry_all all = { .state = state, .before_ms = before_ms };
    int rc = check_finished(queue, state, err);
    return rc < 0 ? rc : move_crowd(queue, build_retry, &all, err);
}

int ox_queue_promote(ox_queue *queue, const char *id, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    int rc = ox__queue_job_op(queue, &ox__script_promote_job, id, err);
    return rc < 0 ? rc : ox__queue_number(queue, id, NULL, err);
}

static void build_promote(ox_queue *queue, const void *arg)
{
    struct ox__op *op = ox__queue_op(queue, &ox__script_promote_jobs);
    (void)arg;
    ox__op_int(op, "limit", PER_CALL);
}

int64_t ox_queue_promote_all(ox_queue *queue, ox_error *err)
{
    OX__NEED(queue, err);
    return move_crowd(queue, build_promote, NULL, err);
}

/* ---- data, progress, logs ---------------------------------------------------------------- */

/* A script that takes JSON, called `name` there and `what` in a refusal. */
static int update(ox_queue *queue, const struct ox__script *script, const char *id,
    const char *name, const char *what, const char *json, ox_error *err)
{
    int rc = ox__json_check(json, what, err);
    rc = rc < 0 ? rc : ox__queue_job_op(queue, script, id, err);
    if (rc < 0) {
        return rc;
    }
    ox__op_text(&queue->op, name, json);
    return ox__queue_number(queue, id, NULL, err);
}

int ox_queue_update_data(ox_queue *queue, const char *id, const char *json, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    OX__NEED(json, err);
    return update(queue, &ox__script_update_data, id, "data", "job data", json, err);
}

int ox_queue_update_progress(ox_queue *queue, const char *id, const char *json, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    OX__NEED(json, err);
    return update(queue, &ox__script_update_progress, id, "progress", "progress", json, err);
}

int64_t ox_queue_add_log(
    ox_queue *queue, const char *id, const char *row, uint32_t keep, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    OX__NEED(row, err);
    int64_t count = 0;
    int rc = ox__queue_job_op(queue, &ox__script_add_log, id, err);
    if (rc < 0) {
        return rc;
    }
    ox__op_text(&queue->op, "row", row);
    ox__op_int(&queue->op, "keep", keep);
    rc = ox__queue_number(queue, id, &count, err);
    return rc < 0 ? rc : count;
}

int ox_queue_clear_logs(ox_queue *queue, const char *id, uint32_t keep, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    int rc = ox__queue_job_op(queue, &ox__script_clear_logs, id, err);
    if (rc < 0) {
        return rc;
    }
    ox__op_int(&queue->op, "keep", keep);
    return ox__queue_number(queue, id, NULL, err);
}

/* ---- place ------------------------------------------------------------------------------- */

int ox_queue_change_priority(
    ox_queue *queue, const char *id, uint32_t priority, bool lifo, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    int rc = ox__queue_job_op(queue, &ox__script_change_priority, id, err);
    if (rc == 0 && priority > OX__PRIORITY_MAX) {
        rc = ox__fail(err, OX_EINVAL, "queue %s, job %s: priority %u is over the highest, %u",
            queue->at.name, id, priority, OX__PRIORITY_MAX);
    }
    if (rc < 0) {
        return rc;
    }
    ox__op_int(&queue->op, "priority", priority);
    ox__op_int(&queue->op, "lifo", lifo ? 1 : 0);
    return ox__queue_number(queue, id, NULL, err);
}

int ox_queue_change_delay(ox_queue *queue, const char *id, int64_t delay_ms, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    int rc = ox__queue_job_op(queue, &ox__script_change_delay, id, err);
    if (rc == 0 && (delay_ms < 0 || delay_ms > OX__MAX_MS)) {
        rc = ox__fail(err, OX_EINVAL, "queue %s, job %s: a delay is not negative, nor huge",
            queue->at.name, id);
    }
    if (rc < 0) {
        return rc;
    }
    ox__op_int(&queue->op, "delay", delay_ms);
    return ox__queue_number(queue, id, NULL, err);
}

/* ---- bonds ------------------------------------------------------------------------------- */

int ox_queue_remove_child_dependency(ox_queue *queue, const char *id, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    int64_t held = 0;
    int rc = ox__queue_job_op(queue, &ox__script_remove_dependency, id, err);
    if (rc < 0) {
        return rc;
    }
    rc = ox__queue_number(queue, id, &held, err);
    return rc < 0 ? rc : held > 0 ? 1 : 0;
}

int ox_queue_remove_dedup(ox_queue *queue, const char *dedup_id, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(dedup_id, err);
    int64_t held = 0;
    if (dedup_id == NULL || *dedup_id == '\0') {
        return ox__fail(err, OX_EINVAL, "queue %s: no deduplication id given", queue->at.name);
    }
    struct ox__op *op = ox__queue_op(queue, &ox__script_remove_dedup);
    ox__op_text(op, "dedup_id", dedup_id);
    int rc = ox__queue_number(queue, NULL, &held, err);
    return rc < 0 ? rc : held > 0 ? 1 : 0;
}
