/*
 * publish.c - publishing events: one, or an array of them in calls that are in flight together.
 */
#include "base/error.h"
#include "events/operations.h"
#include "events/stream.h"
#include "scripts.h"

#include "base/clock.h"

#include <string.h>

#define IN_FLIGHT 4           /* calls in flight at most */
#define CALL_BYTES (1u << 20) /* a call is sent when it has as much */

/* ---- a call ------------------------------------------------------------------------------ */

int ox__publish_query(struct ox__query *query, const struct ox__queue_at *at)
{
    ox__stream_script(query, at, &ox__script_publish_events);
    ox__op_text(&query->op, "prefix", at->prefix);
    ox__op_text(&query->op, "stream", at->name);
    ox__op_int(&query->op, "now", ox__now_ms());
    return 0;
}

void ox__publish_put(struct ox__query *query, const struct ox__event_in *event)
{
    ox__op_text(&query->op, "type", event->type);
    ox__op_text(&query->op, "key", event->key);
    ox__op_text(&query->op, "known", event->known ? "1" : "0");
    ox__op_bytes(&query->op, "event", event->json.data, event->json.len);
    query->count++;
}

static bool is_number(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_INTEGER;
}

/* Reads the outcome of an event. Returns 1 when it was published, 0 for a duplicate, or -1. */
static int read_one(const redisReply *answer, ox_published *out)
{
    if (answer->type != REDIS_REPLY_ARRAY || answer->elements != 2 ||
        answer->element[0]->type != REDIS_REPLY_STRING ||
        answer->element[0]->len >= OX_POSITION_SIZE || !is_number(answer->element[1])) {
        return -1;
    }
    long long jobs = answer->element[1]->integer;
    memset(out, 0, sizeof(*out));
    memcpy(out->position, answer->element[0]->str, answer->element[0]->len);
    out->duplicate = jobs == OX__PUBLISHED_DUPLICATE;
    out->jobs = jobs > 0 ? (uint32_t)jobs : 0;
    return !out->duplicate;
}

static int too_large(const struct ox__query *query, const redisReply *answer, ox_error *err)
{
    long long index = answer->element[1]->integer, limit = answer->element[2]->integer;
    if (query->count == 1) {
        return ox__fail(err, OX_EINVAL,
            "the event is larger than %lld bytes, the stream's max_event", limit);
    }
    return ox__fail(err, OX_EINVAL,
        "event %lld of %zu in one call is larger than %lld bytes, the stream's max_event",
        index + 1, query->count, limit);
}

static int decode(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    ox_published *out = query->out, none;
    const redisReply *all = *reply;
    int published = 0;
    if (is_number(all)) {
        return ox__query_refusal(query, all->integer, err);
    }
    if (all->type == REDIS_REPLY_ARRAY && all->elements == 1 &&
        all->element[0]->type == REDIS_REPLY_ARRAY && all->element[0]->elements == 3 &&
        is_number(all->element[0]->element[0]) && is_number(all->element[0]->element[1]) &&
        is_number(all->element[0]->element[2])) {
        return too_large(query, all->element[0], err);
    }
    if (all->type != REDIS_REPLY_ARRAY || all->elements != query->count) {
        return ox__query_misfit(query, err);
    }
    for (size_t i = 0; i < query->count; i++) {
        int one = read_one(all->element[i], out != NULL ? &out[i] : &none);
        if (one < 0) {
            return ox__query_misfit(query, err);
        }
        published += one;
    }
    return published;
}

void ox__publish_into(struct ox__query *query, ox_published *out)
{
    query->decode = decode;
    query->out = out;
}

int ox_stream_publish(
    ox_stream *stream, const ox_new_event *event, ox_published *out, ox_error *err)
{
    struct ox__event_in in;
    OX__NEED(stream, err);
    OX__NEED(event, err);
    int rc = ox__event_in_init(&in, event, stream->source, err);
    if (rc < 0) {
        return rc;
    }
    ox__publish_query(&stream->query, &stream->at);
    ox__publish_put(&stream->query, &in);
    ox__publish_into(&stream->query, out);
    ox__event_in_done(&in);
    return ox__stream_run(stream, 0, err);
}

/* ---- many -------------------------------------------------------------------------------- */

/* Calls in flight: ring[head..], `posted` of them, then the one that is filled. */
struct batch {
    ox_stream *stream;
    struct ox__query ring[IN_FLIGHT + 1];
    size_t head, posted;
    ox_error first; /* the first failure */
};

static struct ox__query *query_at(struct batch *batch, size_t i)
{
    return &batch->ring[(batch->head + i) % (IN_FLIGHT + 1)];
}

static void note_failure(struct batch *batch, const ox_error *why)
{
    if (batch->first.code == 0) {
        ox__stream_failed(&batch->stream->at, why, &batch->first);
    }
}

/* Reads the reply of the oldest call. When it is lost, those behind it are lost as well. */
static void reap(struct batch *batch)
{
    struct ox__query *query = query_at(batch, 0);
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    ox_error why = { 0 };
    int rc = ox__reap(batch->stream->client, &reply, &why);
    bool lost = rc < 0;
    if (rc == 0) {
        rc = ox__reply_check(reply, &why);
        rc = rc < 0 ? rc : ox__query_decode(query, &reply, &why);
        lost = rc == OX_EREPLY;
    }
    if (rc < 0) {
        note_failure(batch, &why);
    }
    query->count = 0;
    batch->head = (batch->head + 1) % (IN_FLIGHT + 1);
    batch->posted--;
    if (lost) {
        ox__client_drop(batch->stream->client);
        batch->posted = 0;
    }
}

static void send_open(struct batch *batch)
{
    struct ox__query *open = query_at(batch, batch->posted);
    ox_error why = { 0 };
    if (batch->first.code != 0) {
        return;
    }
    if (ox__post(batch->stream->client, &open->op, &why) < 0) {
        note_failure(batch, &why); /* those in flight are lost */
        batch->posted = 0;
        return;
    }
    batch->posted++;
    if (batch->posted == IN_FLIGHT) {
        reap(batch);
    }
}

/* Fills calls and sends them, until one has failed. */
static void publish(
    struct batch *batch, const ox_new_event *events, size_t count, ox_published *out)
{
    struct ox__query *open = NULL;
    for (size_t i = 0; i < count && batch->first.code == 0; i++) {
        struct ox__event_in in;
        ox_error why = { 0 };
        if (ox__event_in_init(&in, &events[i], batch->stream->source, &why) < 0) {
            note_failure(batch, &why);
            break;
        }
        if (open == NULL) {
            open = query_at(batch, batch->posted);
            ox__publish_query(open, &batch->stream->at);
            ox__publish_into(open, out != NULL ? out + i : NULL);
        }
        ox__publish_put(open, &in);
        ox__event_in_done(&in);
        if (open->count >= batch->stream->batch || open->op.bytes.len >= CALL_BYTES ||
            i + 1 == count) {
            send_open(batch);
            open = NULL;
        }
    }
    while (batch->posted > 0) {
        reap(batch);
    }
}

static int check_all(
    const ox_stream *stream, const ox_new_event *events, size_t count, ox_error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct ox__event_in in;
        ox_error why = { 0 };
        int rc = ox__event_in_init(&in, &events[i], stream->source, &why);
        if (rc < 0) {
            return ox__fail(err, rc, "event %zu of %zu: %s", i + 1, count, why.text);
        }
        ox__event_in_done(&in);
    }
    return 0;
}

int ox_stream_publish_many(ox_stream *stream, const ox_new_event *events, size_t count,
    ox_published *out, ox_error *err)
{
    OX__NEED(stream, err);
    OX__NEED(events, err);
    struct batch batch = { .stream = stream };
    if (out != NULL) {
        memset(out, 0, count * sizeof(*out));
    }
    int rc = check_all(stream, events, count, err);
    if (rc < 0) {
        return rc;
    }
    publish(&batch, events, count, out);
    for (size_t i = 0; i <= IN_FLIGHT; i++) {
        ox__query_done(&batch.ring[i]);
    }
    return batch.first.code < 0 ? ox__fail(err, batch.first.code, "%s", batch.first.text) : 0;
}
