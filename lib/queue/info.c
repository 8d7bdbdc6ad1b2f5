/*
 * info.c - a queue as a whole: its settings and leftovers of other versions, its metrics, and
 * its workers.
 */
#include "base/clock.h"
#include "base/error.h"
#include "queue/job.h"
#include "queue/list.h"
#include "queue/operations.h"
#include "queue/queue.h"
#include "scripts.h"

#include <glib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A number as other programs may write it: truncated to an integer in range, `missing` when it
 * is not a number. */
static int64_t number_of(const redisReply *reply, int64_t missing)
{
    if (reply->type == REDIS_REPLY_INTEGER) {
        return ox__bounded(reply->integer);
    }
    char *end = NULL;
    double value = reply->type == REDIS_REPLY_STRING ? g_ascii_strtod(reply->str, &end) : NAN;
    bool good = end != NULL && end != reply->str && *end == '\0' && fabs(value) < 9.2e18;
    return good ? ox__bounded((int64_t)value) : missing;
}

static uint32_t count_of(const redisReply *reply)
{
    int64_t value = number_of(reply, 0);
    return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

/* ---- settings ---------------------------------------------------------------------------- */

/* Elements of the reply of read_info. */
enum {
    VERSION,
    CONCURRENCY,
    MAX,
    DURATION,
    MAX_EVENTS,
    NEXT_ID,
    PAUSED,
    TTL,
    STRAY,
    MARKERS,
    LEGACY,
    ANSWERS
};

static int decode_info(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    if ((*reply)->type != REDIS_REPLY_ARRAY || (*reply)->elements != ANSWERS) {
        return ox__query_misfit(query, err);
    }
    redisReply **at = (*reply)->element;
    ox_queue_info found = { .paused = number_of(at[PAUSED], 0) != 0,
        .concurrency = count_of(at[CONCURRENCY]),
        .rate_max = count_of(at[MAX]),
        .rate_duration_ms = number_of(at[DURATION], 0),
        .rate_ttl_ms = number_of(at[TTL], 0),
        .max_events = number_of(at[MAX_EVENTS], 0),
        .next_id = number_of(at[NEXT_ID], 0),
        .stray_paused_list = number_of(at[STRAY], 0) != 0,
        .obsolete_markers = number_of(at[MARKERS], 0) != 0,
        .legacy_repeatables = number_of(at[LEGACY], 0) != 0 };
    struct ox__field version = ox__field_of(at[VERSION]);
    snprintf(
        found.version, sizeof(found.version), "%s", version.text != NULL ? version.text : "");
    *(ox_queue_info *)query->out = found;
    return 0;
}

int ox__info_query(struct ox__query *query, const struct ox__queue_at *at, ox_queue_info *info)
{
    ox__query_script(query, at, &ox__script_read_info);
    ox__query_into(query, decode_info, info);
    return 0;
}

int ox_queue_info_get(ox_queue *queue, ox_queue_info *info, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(info, err);
    return ox__queue_run(queue, ox__info_query(&queue->query, &queue->at, info), err);
}

/* ---- metrics ----------------------------------------------------------------------------- */

static int decode_metrics(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    redisReply **at = (*reply)->element;
    if ((*reply)->type != REDIS_REPLY_ARRAY || (*reply)->elements != 3 ||
        at[2]->type != REDIS_REPLY_ARRAY) {
        return ox__query_misfit(query, err);
    }
    const redisReply *stored = at[2];
    ox_metrics *metrics = malloc(sizeof(*metrics) + stored->elements * sizeof(int64_t));
    if (metrics == NULL) {
        return ox__fail_memory(err);
    }
    int64_t *points = (int64_t *)(metrics + 1);
    *metrics = (ox_metrics){ .count = number_of(at[0], 0),
        .previous_ms = number_of(at[1], 0),
        .points = points,
        .point_count = stored->elements };
    for (size_t i = 0; i < stored->elements; i++) {
        points[i] = number_of(stored->element[i], 0);
    }
    *(ox_metrics **)query->out = metrics;
    return 0;
}

int ox__metrics_query(struct ox__query *query, const struct ox__queue_at *at, int state,
    ox_metrics **metrics, ox_error *err)
{
    if (state != OX_COMPLETED && state != OX_FAILED) {
        return ox__fail(
            err, OX_EINVAL, "queue %s: only completed and failed have metrics", at->name);
    }
    ox__query_script(query, at, &ox__script_read_metrics);
    ox__op_text(&query->op, "state", ox_state_name(state));
    ox__query_into(query, decode_metrics, metrics);
    return 0;
}

int ox_queue_metrics(ox_queue *queue, int state, ox_metrics **out, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(out, err);
    return ox__queue_run(
        queue, ox__metrics_query(&queue->query, &queue->at, state, out, err), err);
}

/* ---- workers ----------------------------------------------------------------------------- */

/* The value of `field` ("name=") in a line of CLIENT LIST, which ends at `end`. */
static bool find_field(
    const char *line, const char *end, const char *field, const char **value, size_t *len)
{
    size_t field_len = strlen(field);
    for (const char *at = line; at < end;) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        const char *stop = space != NULL ? space : end;
        if ((size_t)(stop - at) >= field_len && memcmp(at, field, field_len) == 0) {
            *value = at + field_len;
            *len = (size_t)(stop - *value);
            return true;
        }
        at = stop + 1;
    }
    return false;
}

static void copy_field(
    char *out, size_t size, const char *line, const char *end, const char *field)
{
    const char *value = NULL;
    size_t len = 0;
    out[0] = '\0';
    if (find_field(line, end, field, &value, &len)) {
        len = len < size ? len : size - 1;
        memcpy(out, value, len);
        out[len] = '\0';
    }
}

/* Connections of workers are named "prefix:<base64 of the queue>", and ":w:<name>" behind it
 * when the worker has a name. False for other clients. */
static bool take_worker(
    const char *line, const char *end, const char *named, ox_worker_info *out)
{
    const char *name = NULL;
    size_t len = 0, named_len = strlen(named);
    char text[24];
    if (!find_field(line, end, "name=", &name, &len) || len < named_len ||
        memcmp(name, named, named_len) != 0) {
        return false;
    }
    name += named_len;
    len -= named_len;
    if (len > 0 && (len < 3 || memcmp(name, ":w:", 3) != 0)) {
        return false;
    }
    size_t shown = len > 3 ? len - 3 : 0;
    shown = shown < sizeof(out->name) ? shown : sizeof(out->name) - 1;
    memset(out, 0, sizeof(*out));
    if (shown > 0) {
        memcpy(out->name, name + 3, shown);
    }
    copy_field(out->address, sizeof(out->address), line, end, "addr=");
    copy_field(text, sizeof(text), line, end, "age=");
    out->age_s = ox__bounded(strtoll(text, NULL, 10));
    copy_field(text, sizeof(text), line, end, "idle=");
    out->idle_s = ox__bounded(strtoll(text, NULL, 10));
    return true;
}

/* Whose names begin with `named`. */
static int list_workers(const redisReply *reply, const char *named, ox_worker_info ***out,
    size_t *count, ox_error *err)
{
    const char *end = reply->str + reply->len;
    struct ox__list list = { 0 };
    int rc = 0;
    for (const char *line = reply->str; rc == 0 && line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        ox_worker_info worker;
        stop = stop != NULL ? stop : end;
        if (take_worker(line, stop, named, &worker)) {
            rc = ox__list_add(&list, ox__list_item(&worker, sizeof(worker), NULL, 0), err);
        }
        line = stop + 1;
    }
    rc = rc < 0 ? rc : ox__list_take(&list, out, count, err);
    ox__list_done(&list);
    return rc;
}

static int decode_workers(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    if ((*reply)->type != REDIS_REPLY_STRING) {
        return ox__query_misfit(query, err);
    }
    g_autofree char *name =
        g_base64_encode((const guchar *)query->at->name, strlen(query->at->name));
    g_autofree char *named = g_strconcat(query->at->prefix, ":", name, NULL);
    return list_workers(*reply, named, query->out, query->out2, err);
}

int ox__workers_query(struct ox__query *query, const struct ox__queue_at *at,
    ox_worker_info ***workers, size_t *count)
{
    ox__query_command(query, at, "CLIENT");
    ox__op_text(&query->op, "", "LIST");
    query->what = "CLIENT LIST";
    ox__query_into(query, decode_workers, workers);
    query->out2 = count;
    return 0;
}

int ox_queue_workers(ox_queue *queue, ox_worker_info ***workers, size_t *count, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(workers, err);
    return ox__queue_run(
        queue, ox__workers_query(&queue->query, &queue->at, workers, count), err);
}
