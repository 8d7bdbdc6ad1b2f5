/*
 * events.c - following a queue's event stream.
 *
 * A reader has a connection of its own, because XREAD blocks it. It remembers the id of the
 * last event it handed out, so a lost connection loses no event: the next call goes on from
 * there. One command blocks for a few seconds at most, so that a dead server is noticed.
 */
#include "queue/events.h"
#include "base/clock.h"
#include "base/error.h"
#include "queue/operations.h"
#include "queue/xread.h"
#include "scripts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ox_events {
    ox_client *client; /* owned */
    struct ox__queue_at at;
    struct ox__query query;
    char last[48]; /* id of the last event that was handed out, "ms-seq" */
    redisReply *reply;
    const redisReply *entries; /* of `reply`; NULL when there are none */
    size_t next;
    struct ox__event_fields fields;
};

static bool is_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING;
}

bool ox__is_entry(const redisReply *entry)
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

int ox__event_read(
    const redisReply *entry, struct ox__event_fields *fields, ox_event *out, ox_error *err)
{
    const redisReply *pairs = entry->element[1];
    if (pairs->elements > fields->room) {
        const char **list = realloc(fields->list, pairs->elements * sizeof(char *));
        if (list == NULL) {
            return ox__fail_memory(err);
        }
        fields->list = list;
        fields->room = pairs->elements;
    }
    *out = (ox_event){ .stream_id = entry->element[0]->str, .fields = fields->list };
    for (size_t i = 0; i < pairs->elements; i += 2) {
        const char *name = pairs->element[i]->str, *value = pairs->element[i + 1]->str;
        if (out->name == NULL && strcmp(name, "event") == 0) {
            out->name = value;
        } else if (out->job_id == NULL && strcmp(name, "jobId") == 0) {
            out->job_id = value;
        } else {
            fields->list[out->field_count++] = name;
            fields->list[out->field_count++] = value;
        }
    }
    return out->name != NULL;
}

const char *ox__event_field(const ox_event *event, const char *name)
{
    for (size_t i = 0; i + 1 < event->field_count; i += 2) {
        if (strcmp(event->fields[i], name) == 0) {
            return event->fields[i + 1];
        }
    }
    return NULL;
}

/* ---- reader ------------------------------------------------------------------------------ */

/* Skips a number of a stream id: unsigned, 64 bits. */
static bool skip_number(const char **text)
{
    char *end;
    if (**text < '0' || **text > '9') {
        return false;
    }
    errno = 0;
    strtoull(*text, &end, 10);
    *text = end;
    return errno == 0;
}

static bool is_stream_id(const char *id)
{
    bool good = skip_number(&id);
    if (good && *id == '-') {
        id++;
        good = skip_number(&id);
    }
    return good && *id == '\0';
}

static int set_last(ox_events *events, const char *id, ox_error *err)
{
    size_t len = strlen(id);
    if (len >= sizeof(events->last) || !is_stream_id(id)) {
        return ox__fail(err, OX_EINVAL,
            "queue %s, events: \"%.60s\" is not a stream id: milliseconds, or "
            "milliseconds-number, such as 1700000000000-0",
            events->at.name, id);
    }
    memcpy(events->last, id, len + 1);
    return 0;
}

static int decode_last(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    if (!is_text(*reply)) {
        return ox__query_misfit(query, err);
    }
    *(redisReply **)query->out = OX__STEAL(*reply);
    return 0;
}

int ox__last_event_query(
    struct ox__query *query, const struct ox__queue_at *at, redisReply **id)
{
    ox__query_script(query, at, &ox__script_last_event);
    ox__query_into(query, decode_last, id);
    return 0;
}

/* Reads the last id of the stream: new events follow it. */
static int note_end(ox_events *events, ox_error *err)
{
    OX__AUTO(ox__free_reply) redisReply *id = NULL;
    ox__last_event_query(&events->query, &events->at, &id);
    int rc = ox__run(events->client, &events->query, err);
    return rc < 0 ? rc : set_last(events, id->str, err);
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
        ox__client_blocks(events->client, true);
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
        ox__query_done(&events->query);
        ox__free_reply(&events->reply);
        free(events->fields.list);
        free(events);
    }
}

int ox__events_query(struct ox__query *query, const struct ox__queue_at *at, const char *last,
    int64_t block_ms, redisReply **reply)
{
    const struct ox__xread_at events = { at, at->base, "events" };
    ox__xread_query(query, &events, last, block_ms, reply);
    return 0;
}

int ox__newest_events_query(
    struct ox__query *query, const struct ox__queue_at *at, int64_t count, redisReply **entries)
{
    const struct ox__xread_at events = { at, at->base, "events" };
    ox__xrevrange_query(query, &events, "+", count, entries);
    return 0;
}

static int read_some(ox_events *events, int64_t ms, ox_error *err)
{
    ox__free_reply(&events->reply);
    events->entries = NULL;
    events->next = 0;
    ox__events_query(&events->query, &events->at, events->last, ms, &events->reply);
    int rc = ox__run(events->client, &events->query, err);
    if (rc == 0) {
        events->entries = ox__xread_entries(events->reply);
    }
    return rc;
}

/* The next entry of the present reply that is an event. 1, or 0 when there is none. */
static int next_here(ox_events *events, ox_event *out, ox_error *err)
{
    while (events->entries != NULL && events->next < events->entries->elements) {
        const redisReply *entry = events->entries->element[events->next];
        if (!ox__is_entry(entry)) {
            return ox__fail(err, OX_EREPLY, "queue %s, events: unexpected type of an entry",
                events->at.name);
        }
        int rc = set_last(events, entry->element[0]->str, err);
        if (rc < 0) {
            return rc;
        }
        events->next++;
        rc = ox__event_read(entry, &events->fields, out, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int ox__events_now(ox_events *events, ox_event *event, ox_error *err)
{
    int rc = next_here(events, event, err);
    if (rc == 0) {
        rc = read_some(events, 0, err);
    }
    return rc == 0 ? next_here(events, event, err) : rc;
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
        rc = read_some(events, ox__block_ms(end_ms), err);
        if (rc < 0) {
            return rc;
        }
    }
}
