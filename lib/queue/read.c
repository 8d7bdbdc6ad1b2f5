/*
 * read.c - looking at jobs: one, a list, counts, logs.
 *
 * Other programs write to the same queue, so a reader takes what it finds: an id without a job
 * is passed over, a field of an unknown name is dropped, text that should be JSON is handed on
 * as text. Only an answer of a kind that no version of the layout has is an error.
 */
#include "base/error.h"
#include "queue/job.h"
#include "queue/queue.h"
#include "scripts.h"

#include <stdlib.h>
#include <string.h>

#define PER_CALL 100 /* hashes in one answer; each may be large */

static bool is_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING;
}

static bool is_array(const redisReply *reply, size_t elements)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == elements;
}

/* ---- one job ----------------------------------------------------------------------------- */

/* From a key's suffix. The list `paused` holds waiting jobs of a paused queue. */
static int state_of(const redisReply *suffix)
{
    int state = suffix->len > 0 ? ox_state_parse(suffix->str) : OX_UNKNOWN;
    return state < 0 ? OX_UNKNOWN : state == OX_PAUSED ? OX_WAITING : state;
}

int ox_queue_job(ox_queue *queue, const char *id, ox_job **out, int *state, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    OX__NEED(out, err);
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    int rc = ox__queue_job_op(queue, &ox__script_read_job, id, err);
    rc = rc < 0 ? rc : ox__queue_call(queue, id, &reply, err);
    if (rc < 0) {
        return rc;
    }
    if (!is_array(reply, 3) || !is_text(reply->element[0])) {
        return ox__queue_odd(queue, id, "read_job", err);
    }
    rc = ox__job_from_hash(out, id, strlen(id), reply->element[1], NULL);
    if (rc == OX_ENOTFOUND) {
        return ox__script_refusal(-1, queue->at.name, id, err);
    }
    if (rc < 0) {
        return rc == OX_ENOMEM ? ox__fail_memory(err)
                               : ox__queue_odd(queue, id, "read_job", err);
    }
    ox__job_set_due(*out, reply->element[2]);
    if (state != NULL) {
        *state = state_of(reply->element[0]);
    }
    return 0;
}

int ox_queue_job_state(ox_queue *queue, const char *id, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    int rc = ox__queue_job_op(queue, &ox__script_read_state, id, err);
    if (rc < 0) {
        return rc == OX_ENOTFOUND ? OX_UNKNOWN : rc;
    }
    rc = ox__queue_call(queue, id, &reply, err);
    if (rc < 0) {
        return rc;
    }
    return is_text(reply) ? state_of(reply) : ox__queue_odd(queue, id, "read_state", err);
}

/* ---- lists of jobs ----------------------------------------------------------------------- */

static const struct {
    const char *suffix;
    bool list; /* newest first, and the last one runs next; else ordered by score */
} places[OX_UNKNOWN] = {
    [OX_COMPLETED] = { "completed", false },
    [OX_FAILED] = { "failed", false },
    [OX_DELAYED] = { "delayed", false },
    [OX_PRIORITIZED] = { "prioritized", false },
    [OX_ACTIVE] = { "active", true },
    [OX_WAITING] = { "wait", true },
    [OX_PAUSED] = { "paused", true },
    [OX_WAITING_CHILDREN] = { "waiting-children", false },
};

/* The ids of a range, in the order of the stored range: for a list that is to be read from its
 * tail the ranks are mirrored, and the caller turns the ids round. */
static int read_ids(ox_queue *queue, int state, int64_t start, int64_t end, bool ascending,
    redisReply **ids, ox_error *err)
{
    bool list = places[state].list;
    struct ox__op *op = &queue->op;
    ox__op_command(op, list ? "LRANGE" : ascending ? "ZRANGE" : "ZREVRANGE");
    ox__op_key(op, queue->at.base, places[state].suffix);
    ox__op_int(op, "start", list && ascending ? -1 - end : start);
    ox__op_int(op, "end", list && ascending ? -1 - start : end);
    int rc = ox__queue_call(queue, NULL, ids, err);
    if (rc == 0 && (*ids)->type != REDIS_REPLY_ARRAY) {
        rc = ox__queue_odd(queue, NULL, places[state].suffix, err);
    }
    for (size_t i = 0; rc == 0 && i < (*ids)->elements; i++) {
        if (!is_text((*ids)->element[i])) {
            rc = ox__queue_odd(queue, NULL, places[state].suffix, err);
        }
    }
    return rc;
}

static void turn_round(redisReply *ids)
{
    for (size_t i = 0, j = ids->elements; i + 1 < j; i++) {
        redisReply *other = ids->element[--j];
        ids->element[j] = ids->element[i];
        ids->element[i] = other;
    }
}

/* Reads the hashes of `n` ids and appends the jobs there are. */
static int read_hashes(ox_queue *queue, redisReply *const *ids, size_t n, ox_job **jobs,
    size_t *count, ox_error *err)
{
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    struct ox__op *op = ox__queue_op(queue, &ox__script_read_jobs);
    for (size_t i = 0; i < n; i++) {
        ox__op_bytes(op, "id", ids[i]->str, ids[i]->len);
    }
    int rc = ox__queue_call(queue, NULL, &reply, err);
    if (rc < 0) {
        return rc;
    }
    if (!is_array(reply, n)) {
        return ox__queue_odd(queue, NULL, "read_jobs", err);
    }
    for (size_t i = 0; i < n; i++) {
        const redisReply *pair = reply->element[i];
        if (!is_array(pair, 2)) {
            return ox__queue_odd(queue, NULL, "read_jobs", err);
        }
        rc = ox__job_from_hash(&jobs[*count], ids[i]->str, ids[i]->len, pair->element[0], NULL);
        if (rc == 0) {
            ox__job_set_due(jobs[(*count)++], pair->element[1]);
        } else if (rc == OX_ENOMEM) {
            return ox__fail_memory(err);
        }
    }
    return 0;
}

static int read_range(
    ox_queue *queue, const redisReply *ids, ox_job ***out, size_t *count, ox_error *err)
{
    size_t n = ids->elements, found = 0;
    ox_job **jobs = calloc(n + 1, sizeof(ox_job *));
    int rc = jobs == NULL ? ox__fail_memory(err) : 0;
    for (size_t at = 0; at < n && rc == 0; at += PER_CALL) {
        size_t some = n - at < PER_CALL ? n - at : PER_CALL;
        rc = read_hashes(queue, ids->element + at, some, jobs, &found, err);
    }
    if (rc < 0) {
        ox_jobs_free(jobs, found);
        return rc;
    }
    *out = jobs;
    *count = found;
    return 0;
}

int ox_queue_jobs(ox_queue *queue, int state, int64_t start, int64_t end, bool ascending,
    ox_job ***jobs, size_t *count, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(jobs, err);
    OX__NEED(count, err);
    OX__AUTO(ox__free_reply) redisReply *ids = NULL;
    if (state < 0 || state >= OX_UNKNOWN) {
        return ox__fail(err, OX_EINVAL, "queue %s: jobs are listed by a state they can be in",
            queue->at.name);
    }
    int rc = read_ids(queue, state, start, end, ascending, &ids, err);
    if (rc < 0) {
        return rc;
    }
    if (places[state].list && ascending) {
        turn_round(ids);
    }
    return read_range(queue, ids, jobs, count, err);
}

/* ---- counts ------------------------------------------------------------------------------ */

int ox_queue_counts(ox_queue *queue, ox_counts *counts, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(counts, err);
    ox_counts found = { { 0 } };
    ox__queue_op(queue, &ox__script_count_jobs);
    int rc = ox__queue_numbers(queue, found.of, OX_UNKNOWN, err);
    if (rc == 0) {
        *counts = found;
    }
    return rc;
}

int ox_queue_counts_by_priority(
    ox_queue *queue, const uint32_t *priorities, size_t count, int64_t *out, ox_error *err)
{
    OX__NEED(queue, err);
    if (count > 0) {
        OX__NEED(priorities, err);
        OX__NEED(out, err);
    }
    for (size_t at = 0; at < count; at += PER_CALL) {
        size_t some = count - at < PER_CALL ? count - at : PER_CALL;
        struct ox__op *op = ox__queue_op(queue, &ox__script_count_priorities);
        for (size_t i = 0; i < some; i++) {
            ox__op_int(op, "priority", priorities[at + i]);
        }
        int rc = ox__queue_numbers(queue, out + at, some, err);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- logs -------------------------------------------------------------------------------- */

/* Copies an array of texts. */
static int copy_list(const redisReply *from, char ***out, size_t *count, ox_error *err)
{
    char **list = calloc(from->elements + 1, sizeof(char *));
    for (size_t i = 0; list != NULL && i < from->elements; i++) {
        list[i] = strdup(is_text(from->element[i]) ? from->element[i]->str : "");
        if (list[i] == NULL) {
            ox_free_list(list, i);
            list = NULL;
        }
    }
    if (list == NULL) {
        return ox__fail_memory(err);
    }
    *out = list;
    *count = from->elements;
    return 0;
}

int ox_queue_logs(ox_queue *queue, const char *id, int64_t start, int64_t end, char ***rows,
    size_t *count, int64_t *total, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    OX__NEED(rows, err);
    OX__NEED(count, err);
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    int rc = ox__queue_job_op(queue, &ox__script_read_logs, id, err);
    if (rc < 0) {
        return rc;
    }
    ox__op_int(&queue->op, "start", start);
    ox__op_int(&queue->op, "stop", end);
    rc = ox__queue_call(queue, id, &reply, err);
    if (rc < 0) {
        return rc;
    }
    if (reply->type == REDIS_REPLY_INTEGER) {
        return ox__script_refusal(reply->integer, queue->at.name, id, err);
    }
    if (!is_array(reply, 2) || reply->element[0]->type != REDIS_REPLY_INTEGER ||
        reply->element[1]->type != REDIS_REPLY_ARRAY) {
        return ox__queue_odd(queue, id, "read_logs", err);
    }
    if (total != NULL) {
        *total = reply->element[0]->integer;
    }
    return copy_list(reply->element[1], rows, count, err);
}
