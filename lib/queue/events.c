/*
 * events.c - following a queue's event stream, and waiting for one job on top of it.
 *
 * A reader has a connection of its own, because XREAD blocks it. It remembers the id of the
 * last event it handed out, so a lost connection costs nothing: the next call goes on from
 * there. One command blocks for a few seconds at most, so that a dead server is noticed.
 *
 * Waiting for a job notes where the stream stands, then looks at the job, then follows: an end
 * between the two is seen. Jobs that end without an event (events are off, the job was removed
 * in bulk) are found by looking again whenever the stream is silent.
 */
#include "base/clock.h"
#include "base/error.h"
#include "queue/queue.h"
#include "scripts.h"

#include <stdlib.h>
#include <string.h>

#define PER_READ "100" /* events in one answer */
#define SLICE_MS 5000  /* the longest that one command blocks */
#define LOOK_MS 2000   /* a silent stream lets a waiter look at its job this often */
#define LOOK_BACK 1000 /* newest events that are searched for the end of a job that is gone */

struct ox_events {
    ox_client *client; /* owned */
    struct ox__queue_at at;
    struct ox__op op;
    char last[48]; /* id of the last event that was handed out, "ms-seq" */
    redisReply *reply;
    const redisReply *entries; /* of `reply`; NULL when there are none */
    size_t next;
    const char **fields;
    size_t room;
};

static bool is_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING;
}

/* An entry is its id and an even list of texts. */
static bool is_entry(const redisReply *entry)
{
    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
        !is_text(entry->element[0]) || entry->element[1]->type != REDIS_REPLY_ARRAY ||
        entry->element[1]->elements % 2 != 0) {
        return false;
    }
    for (size_t i = 0; i < entry->element[1]->elements; i++) {
        if (!is_text(entry->element[1]->element[i])) {
            return false;
        }
    }
    return true;
}

static const char *field_of(const redisReply *entry, const char *name)
{
    redisReply **pair = entry->element[1]->element;
    for (size_t i = 0; i < entry->element[1]->elements; i += 2) {
        if (strcmp(pair[i]->str, name) == 0) {
            return pair[i + 1]->str;
        }
    }
    return NULL;
}

/* ---- reader ------------------------------------------------------------------------------ */

static int set_last(ox_events *events, const char *id, ox_error *err)
{
    size_t len = strlen(id);
    if (len == 0 || len >= sizeof(events->last) || strspn(id, "0123456789-") != len) {
        return ox__fail(
            err, OX_EINVAL, "queue %s, events: %.60s is no stream id", events->at.name, id);
    }
    memcpy(events->last, id, len + 1);
    return 0;
}

static int out_of_step(ox_events *events, ox_error *err)
{
    ox_error problem;
    int rc = ox__client_out_of_step(events->client, "events", &problem);
    return ox__fail(err, rc, "queue %s, %s", events->at.name, problem.text);
}

/* Where the stream stands now: new events come behind it. */
static int note_end(ox_events *events, ox_error *err)
{
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    ox__op_script(&events->op, &ox__script_last_event, events->at.base);
    int rc = ox__call(events->client, &events->op, &reply, err);
    if (rc < 0) {
        return rc;
    }
    return is_text(reply) ? set_last(events, reply->str, err) : out_of_step(events, err);
}

int ox_events_new(ox_events **out, ox_queue *queue, const char *from, ox_error *err)
{
    OX__NEED(out, err);
    OX__NEED(queue, err);
    ox_events *events = calloc(1, sizeof(*events));
    if (events == NULL) {
        return ox__fail_memory(err);
    }
    int rc = ox__queue_at_copy(&events->at, &queue->at, err);
    if (rc == 0) {
        rc = ox__client_clone(&events->client, queue->client, err);
    }
    if (rc == 0) {
        ox__client_patience(events->client, SLICE_MS + 1000);
        rc = from != NULL ? set_last(events, from, err) : note_end(events, err);
    }
    if (rc < 0) {
        ox_events_free(events);
        return rc;
    }
    *out = events;
    return 0;
}

void ox_events_free(ox_events *events)
{
    if (events != NULL) {
        ox_client_free(events->client);
        ox__queue_at_done(&events->at);
        ox__op_done(&events->op);
        ox__free_reply(&events->reply);
        free(events->fields);
        free(events);
    }
}

/* One XREAD that blocks for at most `ms`. The answer is nil, or one stream with entries. */
static int read_some(ox_events *events, int64_t ms, ox_error *err)
{
    struct ox__op *op = &events->op;
    ox__free_reply(&events->reply);
    events->reply = NULL;
    events->entries = NULL;
    events->next = 0;
    ox__op_command(op, "XREAD");
    ox__op_text(op, "", "COUNT");
    ox__op_text(op, "count", PER_READ);
    ox__op_text(op, "", "BLOCK");
    ox__op_int(op, "ms", ms);
    ox__op_text(op, "", "STREAMS");
    ox__op_key(op, events->at.base, "events");
    ox__op_text(op, "id", events->last);
    ox_error problem = { 0 };
    int rc = ox__call(events->client, op, &events->reply, &problem);
    if (rc < 0) {
        return ox__fail(err, rc, "queue %s, events: %s", events->at.name, problem.text);
    }
    const redisReply *reply = events->reply;
    if (reply->type == REDIS_REPLY_NIL) {
        return 0;
    }
    bool good = reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 &&
                reply->element[0]->type == REDIS_REPLY_ARRAY &&
                reply->element[0]->elements == 2 &&
                reply->element[0]->element[1]->type == REDIS_REPLY_ARRAY;
    if (!good) {
        return out_of_step(events, err);
    }
    events->entries = reply->element[0]->element[1];
    return 0;
}

static int fill(ox_events *events, const redisReply *entry, ox_event *out, ox_error *err)
{
    const redisReply *pairs = entry->element[1];
    if (pairs->elements > events->room) {
        const char **fields = realloc(events->fields, pairs->elements * sizeof(char *));
        if (fields == NULL) {
            return ox__fail_memory(err);
        }
        events->fields = fields;
        events->room = pairs->elements;
    }
    *out = (ox_event){ .stream_id = entry->element[0]->str, .fields = events->fields };
    for (size_t i = 0; i < pairs->elements; i += 2) {
        const char *name = pairs->element[i]->str, *value = pairs->element[i + 1]->str;
        if (out->name == NULL && strcmp(name, "event") == 0) {
            out->name = value;
        } else if (out->job_id == NULL && strcmp(name, "jobId") == 0) {
            out->job_id = value;
        } else {
            events->fields[out->field_count++] = name;
            events->fields[out->field_count++] = value;
        }
    }
    return 0;
}

/* The next entry of the answer at hand that is an event. 1, or 0 when there is none. */
static int next_here(ox_events *events, ox_event *out, ox_error *err)
{
    while (events->entries != NULL && events->next < events->entries->elements) {
        const redisReply *entry = events->entries->element[events->next];
        if (!is_entry(entry)) {
            return ox__fail(err, OX_EREPLY, "queue %s, events: unexpected type of an entry",
                events->at.name);
        }
        int rc = set_last(events, entry->element[0]->str, err);
        if (rc < 0) {
            return rc;
        }
        events->next++;
        if (field_of(entry, "event") != NULL) {
            rc = fill(events, entry, out, err);
            return rc < 0 ? rc : 1;
        }
    }
    return 0;
}

/* How long the next block may be; `end_ms` 0: no end. */
static int64_t slice_ms(int64_t end_ms)
{
    int64_t left = end_ms - ox__steady_ms();
    return end_ms == 0 || left > SLICE_MS ? SLICE_MS : left > 0 ? left : 1;
}

int ox_events_next(ox_events *events, uint32_t timeout_ms, ox_event *event, ox_error *err)
{
    OX__NEED(events, err);
    OX__NEED(event, err);
    int64_t end_ms = timeout_ms > 0 ? ox__steady_ms() + timeout_ms : 0;
    for (;;) {
        int rc = next_here(events, event, err);
        if (rc != 0) {
            return rc;
        }
        if (end_ms != 0 && ox__steady_ms() >= end_ms) {
            return 0;
        }
        rc = read_some(events, slice_ms(end_ms), err);
        if (rc < 0) {
            return rc;
        }
    }
}

/* ---- waiting for a job ------------------------------------------------------------------- */

/* Every function here returns 1 when the job has ended well, 0 when it has not ended, or a
 * failure: OX_EFAILED for a job that failed. */

static int completed(const char *value, char **json, ox_error *err)
{
    if (json != NULL) {
        *json = strdup(value);
        if (*json == NULL) {
            return ox__fail_memory(err);
        }
    }
    return 1;
}

static int failed(const char *reason, ox_error *err)
{
    return ox__fail(err, OX_EFAILED, "%s", reason);
}

static int missing(const ox_queue *queue, const char *id, ox_error *err)
{
    return ox__script_refusal(-1, queue->at.name, id, err);
}

/* Ended, as an event tells. */
static int ended_by_event(
    const ox_queue *queue, const char *id, const redisReply *entry, char **json, ox_error *err)
{
    const char *name = field_of(entry, "event"), *job = field_of(entry, "jobId");
    if (name == NULL || job == NULL || strcmp(job, id) != 0) {
        return 0;
    }
    if (strcmp(name, "completed") == 0) {
        const char *value = field_of(entry, "returnvalue");
        return completed(value != NULL ? value : "null", json, err);
    }
    if (strcmp(name, "failed") == 0) {
        const char *reason = field_of(entry, "failedReason");
        return failed(reason != NULL ? reason : "", err);
    }
    return strcmp(name, "removed") == 0 ? missing(queue, id, err) : 0;
}

/* A job that is gone may have ended a moment ago, with options that keep nothing of it. */
static int ended_lately(ox_queue *queue, const char *id, char **json, ox_error *err)
{
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    struct ox__op *op = &queue->op;
    ox__op_command(op, "XREVRANGE");
    ox__op_key(op, queue->at.base, "events");
    ox__op_text(op, "from", "+");
    ox__op_text(op, "to", "-");
    ox__op_text(op, "", "COUNT");
    ox__op_int(op, "count", LOOK_BACK);
    int rc = ox__queue_call(queue, id, &reply, err);
    if (rc == 0 && reply->type != REDIS_REPLY_ARRAY) {
        rc = ox__queue_odd(queue, id, "events", err);
    }
    for (size_t i = 0; rc == 0 && i < reply->elements; i++) {
        if (is_entry(reply->element[i])) {
            rc = ended_by_event(queue, id, reply->element[i], json, err);
        }
    }
    return rc == 0 ? missing(queue, id, err) : rc;
}

/* Looks at the job itself. */
static int look(ox_queue *queue, const char *id, char **json, ox_error *err)
{
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    struct ox__op *op = ox__queue_op(queue, &ox__script_read_end);
    ox__op_id(op, "id", id);
    int rc = ox__queue_call(queue, id, &reply, err);
    if (rc < 0) {
        return rc;
    }
    if (reply->type == REDIS_REPLY_INTEGER) {
        return ended_lately(queue, id, json, err);
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 ||
        reply->element[0]->type != REDIS_REPLY_INTEGER) {
        return ox__queue_odd(queue, id, "read_end", err);
    }
    if (reply->element[0]->integer == 0) {
        return 0;
    }
    if (reply->elements != 2 || !is_text(reply->element[1])) {
        return ox__queue_odd(queue, id, "read_end", err);
    }
    const char *text = reply->element[1]->str;
    return reply->element[0]->integer == 1 ? completed(text, json, err) : failed(text, err);
}

/* Follows the events for `ms`. A connection that was lost is made again by the next call. */
static int follow(ox_events *events, const ox_queue *queue, const char *id, int64_t ms,
    char **json, ox_error *err)
{
    int64_t end_ms = ox__steady_ms() + ms;
    for (;;) {
        ox_event event;
        int rc = next_here(events, &event, err);
        if (rc == 1) {
            const redisReply *entry = events->entries->element[events->next - 1];
            rc = ended_by_event(queue, id, entry, json, err);
        } else if (rc == 0 && ox__steady_ms() >= end_ms) {
            return 0;
        } else if (rc == 0) {
            rc = read_some(events, slice_ms(end_ms), err);
            rc = rc == OX_ELOST ? 0 : rc;
        }
        if (rc != 0) {
            return rc;
        }
    }
}

int ox_queue_wait(
    ox_queue *queue, const char *id, uint32_t timeout_ms, char **json, ox_error *err)
{
    int64_t end_ms = timeout_ms > 0 ? ox__steady_ms() + timeout_ms : INT64_MAX;
    ox_events *events = NULL;
    if (json != NULL) {
        *json = NULL;
    }
    OX__NEED(queue, err);
    OX__NEED(id, err);
    int rc = ox__queue_id_check(queue, id, err);
    if (rc == 0) {
        rc = ox_events_new(&events, queue, NULL, err);
    }
    while (rc == 0) {
        rc = look(queue, id, json, err);
        int64_t left = end_ms - ox__steady_ms();
        if (rc == 0 && left <= 0) {
            rc = ox__fail(err, OX_ETIMEOUT, "queue %s, job %s: not ended after %u ms",
                queue->at.name, id, timeout_ms);
        }
        if (rc == 0) {
            rc = follow(events, queue, id, left < LOOK_MS ? left : LOOK_MS, json, err);
        }
    }
    ox_events_free(events);
    return rc == 1 ? 0 : rc;
}
