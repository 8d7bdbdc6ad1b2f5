/*
 * read.c - looking at jobs: one, a list, counts, logs.
 *
 * Other programs write to the same queue, so reading is lenient: an id without a job is
 * skipped, an unknown field is dropped, text that should be JSON is returned as text. Only an
 * unexpected reply type is an error.
 */
#include "base/error.h"
#include "queue/job.h"
#include "queue/list.h"
#include "queue/operations.h"
#include "queue/queue.h"
#include "scripts.h"

#include <stdlib.h>
#include <string.h>

#define PER_CALL 100 /* hashes in one reply; each may be large */

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

static int decode_job(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    const redisReply *found = *reply;
    ox_job *job = NULL;
    if (!is_array(found, 3) || !is_text(found->element[0])) {
        return ox__query_misfit(query, err);
    }
    int rc = ox__job_from_hash(&job, query->id, strlen(query->id), found->element[1], NULL);
    if (rc < 0) {
        return rc == OX_ENOTFOUND ? ox__query_refusal(query, OX__NO_JOB, err)
               : rc == OX_ENOMEM  ? ox__fail_memory(err)
                                  : ox__query_misfit(query, err);
    }
    ox__job_set_due(job, found->element[2]);
    if (query->out2 != NULL) {
        *(int *)query->out2 = state_of(found->element[0]);
    }
    *(ox_job **)query->out = job;
    return 0;
}

int ox__job_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    ox_job **job, int *state, ox_error *err)
{
    int rc = ox__query_job(query, at, &ox__script_read_job, id, err);
    ox__query_into(query, decode_job, job);
    query->out2 = state;
    return rc;
}

int ox_queue_job(ox_queue *queue, const char *id, ox_job **out, int *state, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    OX__NEED(out, err);
    return ox__queue_run(
        queue, ox__job_query(&queue->query, &queue->at, id, out, state, err), err);
}

static int decode_state(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    return is_text(*reply) ? state_of(*reply) : ox__query_misfit(query, err);
}

int ox__job_state_query(
    struct ox__query *query, const struct ox__queue_at *at, const char *id, ox_error *err)
{
    int rc = ox__query_job(query, at, &ox__script_read_state, id, err);
    ox__query_into(query, decode_state, NULL);
    return rc;
}

int ox_queue_job_state(ox_queue *queue, const char *id, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    int rc = ox__job_state_query(&queue->query, &queue->at, id, err);
    return rc == OX_ENOTFOUND ? OX_UNKNOWN : ox__queue_run(queue, rc, err);
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

/* Reads the ids of a range, then the hashes of their jobs in pages. */
struct range {
    int state;
    int64_t start, end;
    bool ascending;
    redisReply *ids; /* NULL: not read yet */
    size_t done;     /* ids whose jobs were read */
    size_t page;     /* ids of the page that is read now */
    struct ox__list jobs;
    ox_job ***out;
    size_t *count;
};

static void reverse(redisReply *ids)
{
    for (size_t i = 0, j = ids->elements; i + 1 < j; i++) {
        redisReply *other = ids->element[--j];
        ids->element[j] = ids->element[i];
        ids->element[i] = other;
    }
}

static int decode_ids(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct range *range = query->out;
    bool good = (*reply)->type == REDIS_REPLY_ARRAY;
    for (size_t i = 0; good && i < (*reply)->elements; i++) {
        good = is_text((*reply)->element[i]);
    }
    if (!good) {
        return ox__query_misfit(query, err);
    }
    range->ids = OX__STEAL(*reply);
    if (places[range->state].list && range->ascending) {
        reverse(range->ids);
    }
    return 0;
}

/* In the order of the stored range: of a list that is to be read from its tail the ranks are
 * mirrored, and the ids are reversed. */
static void encode_ids(struct range *range, struct ox__query *query)
{
    bool list = places[range->state].list, mirror = list && range->ascending;
    ox__query_command(query, query->at,
        list               ? "LRANGE"
        : range->ascending ? "ZRANGE"
                           : "ZREVRANGE");
    query->what = places[range->state].suffix;
    ox__op_key(&query->op, query->at->base, places[range->state].suffix);
    ox__op_int(&query->op, "start", mirror ? -1 - range->end : range->start);
    ox__op_int(&query->op, "end", mirror ? -1 - range->start : range->end);
    ox__query_into(query, decode_ids, range);
}

/* Appends the jobs that are there. */
static int decode_page(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct range *range = query->out;
    bool good = is_array(*reply, range->page);
    for (size_t i = 0; good && i < range->page; i++) {
        good = is_array((*reply)->element[i], 2);
    }
    if (!good) {
        return ox__query_misfit(query, err);
    }
    for (size_t i = 0; i < range->page; i++) {
        const redisReply *id = range->ids->element[range->done + i];
        const redisReply *pair = (*reply)->element[i];
        ox_job *job = NULL;
        int rc = ox__job_from_hash(&job, id->str, id->len, pair->element[0], NULL);
        if (rc == 0) {
            ox__job_set_due(job, pair->element[1]);
            rc = ox__list_add(&range->jobs, job, err);
        }
        if (rc == OX_ENOMEM) {
            return ox__fail_memory(err);
        }
    }
    range->done += range->page;
    return 0;
}

static int next_page(void *steps, struct ox__query *query, ox_error *err)
{
    struct range *range = steps;
    if (range->ids == NULL) {
        encode_ids(range, query);
        return 1;
    }
    size_t left = range->ids->elements - range->done;
    range->page = left < PER_CALL ? left : PER_CALL;
    if (range->page == 0) {
        return ox__list_take(&range->jobs, range->out, range->count, err);
    }
    ox__query_script(query, query->at, &ox__script_read_jobs);
    for (size_t i = 0; i < range->page; i++) {
        const redisReply *id = range->ids->element[range->done + i];
        ox__op_bytes(&query->op, "id", id->str, id->len);
    }
    ox__query_into(query, decode_page, range);
    return 1;
}

static void range_done(void *steps)
{
    struct range *range = steps;
    ox__free_reply(&range->ids);
    ox__list_done(&range->jobs);
}

int ox__jobs_query(struct ox__query *query, const struct ox__queue_at *at, int state,
    int64_t start, int64_t end, bool ascending, ox_job ***jobs, size_t *count, ox_error *err)
{
    if (state < 0 || state >= OX_UNKNOWN) {
        return ox__fail(err, OX_EINVAL, "queue %s: unknown job state %d", at->name, state);
    }
    struct range *range =
        ox__query_steps(query, at, sizeof(*range), next_page, range_done, err);
    if (range == NULL) {
        return OX_ENOMEM;
    }
    *range = (struct range){ .state = state,
        .start = start,
        .end = end,
        .ascending = ascending,
        .out = jobs,
        .count = count };
    return 0;
}

int ox_queue_jobs(ox_queue *queue, int state, int64_t start, int64_t end, bool ascending,
    ox_job ***jobs, size_t *count, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(jobs, err);
    return ox__queue_run(queue,
        ox__jobs_query(
            &queue->query, &queue->at, state, start, end, ascending, jobs, count, err),
        err);
}

/* ---- counts ------------------------------------------------------------------------------ */

static int decode_counts(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    ox_counts found = { { 0 } };
    int rc = ox__query_read_numbers(query, *reply, found.of, OX_UNKNOWN, err);
    if (rc == 0) {
        *(ox_counts *)query->out = found;
    }
    return rc;
}

int ox__counts_query(struct ox__query *query, const struct ox__queue_at *at, ox_counts *counts)
{
    ox__query_script(query, at, &ox__script_count_jobs);
    ox__query_into(query, decode_counts, counts);
    return 0;
}

int ox_queue_counts(ox_queue *queue, ox_counts *counts, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(counts, err);
    return ox__queue_run(queue, ox__counts_query(&queue->query, &queue->at, counts), err);
}

struct priorities {
    const uint32_t *priorities;
    size_t count, done;
    int64_t *out;
};

static int next_priorities(void *steps, struct ox__query *query, ox_error *err)
{
    struct priorities *all = steps;
    size_t left = all->count - all->done, some = left < PER_CALL ? left : PER_CALL;
    (void)err;
    if (some == 0) {
        return 0;
    }
    ox__query_script(query, query->at, &ox__script_count_priorities);
    for (size_t i = 0; i < some; i++) {
        ox__op_int(&query->op, "priority", all->priorities[all->done + i]);
    }
    ox__query_numbers(query, all->out + all->done, some);
    all->done += some;
    return 1;
}

int ox__counts_by_priority_query(struct ox__query *query, const struct ox__queue_at *at,
    const uint32_t *priorities, size_t count, int64_t *out, ox_error *err)
{
    struct priorities *all =
        ox__query_steps(query, at, sizeof(*all), next_priorities, NULL, err);
    if (all == NULL) {
        return OX_ENOMEM;
    }
    *all = (struct priorities){ .priorities = priorities, .count = count, .out = out };
    return 0;
}

int ox_queue_counts_by_priority(
    ox_queue *queue, const uint32_t *priorities, size_t count, int64_t *out, ox_error *err)
{
    OX__NEED(queue, err);
    if (count > 0) {
        OX__NEED(priorities, err);
        OX__NEED(out, err);
    }
    return ox__queue_run(queue,
        ox__counts_by_priority_query(&queue->query, &queue->at, priorities, count, out, err),
        err);
}

/* ---- logs -------------------------------------------------------------------------------- */

static int copy_list(const redisReply *from, char ***out, size_t *count, ox_error *err)
{
    struct ox__list list = { 0 };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < from->elements; i++) {
        rc = ox__list_add(
            &list, strdup(is_text(from->element[i]) ? from->element[i]->str : ""), err);
    }
    rc = rc < 0 ? rc : ox__list_take(&list, out, count, err);
    ox__list_done(&list);
    return rc;
}

static int decode_logs(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    const redisReply *found = *reply;
    if (found->type == REDIS_REPLY_INTEGER) {
        return ox__query_refusal(query, found->integer, err);
    }
    if (!is_array(found, 2) || found->element[0]->type != REDIS_REPLY_INTEGER ||
        found->element[1]->type != REDIS_REPLY_ARRAY) {
        return ox__query_misfit(query, err);
    }
    if (query->out3 != NULL) {
        *(int64_t *)query->out3 = found->element[0]->integer;
    }
    return copy_list(found->element[1], query->out, query->out2, err);
}

int ox__logs_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    int64_t start, int64_t end, char ***rows, size_t *count, int64_t *total, ox_error *err)
{
    int rc = ox__query_job(query, at, &ox__script_read_logs, id, err);
    if (rc == 0) {
        ox__op_int(&query->op, "start", start);
        ox__op_int(&query->op, "stop", end);
        ox__query_into(query, decode_logs, rows);
        query->out2 = count;
        query->out3 = total;
    }
    return rc;
}

int ox_queue_logs(ox_queue *queue, const char *id, int64_t start, int64_t end, char ***rows,
    size_t *count, int64_t *total, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    OX__NEED(rows, err);
    return ox__queue_run(queue,
        ox__logs_query(&queue->query, &queue->at, id, start, end, rows, count, total, err),
        err);
}
