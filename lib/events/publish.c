/*
 * publish.c - publishing events and waiting for it: one, or an array of them in calls that are
 * in flight together.
 */
#include "base/error.h"
#include "events/call.h"
#include "events/stream.h"

#include <string.h>

#define IN_FLIGHT 4 /* calls in flight at most */

int ox_stream_publish(
    ox_stream *stream, const ox_new_event *event, ox_published *out, ox_error *err)
{
    OX__NEED(stream, err);
    OX__NEED(event, err);
    struct ox__lines lines = { .count = 0 };
    struct ox__event_maker maker = { .source = stream->source };
    struct ox__publish_call call = {
        .lines = &lines, .form = &stream->form, .count = 1, .out = out
    };
    int rc = ox__lines_add(&lines, &maker, event, err);
    if (rc == 0) {
        rc = ox__stream_run(
            stream, ox__publish_query(&stream->query, &stream->at, &call, err), err);
    }
    ox__lines_done(&lines);
    return rc;
}

/* ---- many -------------------------------------------------------------------------------- */

struct call {
    struct ox__query query;
    struct ox__publish_call call;
};

/* Calls in flight: `posted` of the ring, from `head` on. One that has to be sent again goes to
 * the end, behind which no new one is sent before: so the order is kept. */
struct batch {
    ox_stream *stream;
    struct call calls[IN_FLIGHT], *ring[IN_FLIGHT];
    size_t head, posted;
    ox_error first; /* the first failure */
};

static struct call **ring_at(struct batch *batch, size_t i)
{
    return &batch->ring[(batch->head + i) % IN_FLIGHT];
}

static void note_failure(struct batch *batch, const ox_error *why)
{
    if (batch->first.code == 0) {
        ox__stream_failed(&batch->stream->at, why, &batch->first);
    }
}

/* Posts the next command of a call behind those in flight, if it has one. */
static void post(struct batch *batch, struct call *call)
{
    ox_error why = { 0 };
    int rc = ox__query_next(&call->query, &why);
    if (rc > 0 && ox__post(batch->stream->client, &call->query.op, &why) < 0) {
        batch->posted = 0; /* those in flight are lost */
        rc = why.code;
    }
    if (rc < 0) {
        note_failure(batch, &why);
    }
    batch->posted += rc > 0;
}

/* Reads the reply of the oldest call. When it is lost, those behind it are lost as well. */
static void reap(struct batch *batch)
{
    struct call *call = *ring_at(batch, 0);
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    ox_error why = { 0 };
    int rc = ox__reap(batch->stream->client, &reply, &why);
    bool lost = rc < 0;
    if (rc == 0) {
        rc = ox__reply_check(reply, &why);
        rc = rc < 0 ? rc : ox__query_decode(&call->query, &reply, &why);
        lost = rc == OX_EREPLY;
    }
    if (rc < 0) {
        note_failure(batch, &why);
    }
    batch->head = (batch->head + 1) % IN_FLIGHT;
    batch->posted--;
    if (lost) {
        ox__client_drop(batch->stream->client);
        batch->posted = 0;
    } else if (call->call.again && batch->first.code == 0) {
        struct call **last = ring_at(batch, batch->posted);
        *ring_at(batch, IN_FLIGHT - 1) = *last; /* where this one was */
        *last = call;
        post(batch, call);
    }
}

/* How many events go into the call that begins at `from`. */
static size_t call_size(const ox_stream *stream, const struct ox__lines *lines, size_t from)
{
    size_t end = from + 1;
    while (end < lines->count && end - from < stream->batch &&
           lines->rows[end].at - lines->rows[from].at < OX__CALL_BYTES) {
        end++;
    }
    return end - from;
}

/* Sends all, until a call has failed. */
static void publish(struct batch *batch, struct ox__lines *lines, ox_published *out)
{
    for (size_t i = 0, size; i < lines->count && batch->first.code == 0; i += size) {
        struct call *call = *ring_at(batch, batch->posted);
        ox_error why = { 0 };
        size = call_size(batch->stream, lines, i);
        call->call = (struct ox__publish_call){ .lines = lines,
            .form = &batch->stream->form,
            .from = i,
            .count = size,
            .out = out != NULL ? out + i : NULL };
        if (ox__publish_query(&call->query, &batch->stream->at, &call->call, &why) < 0) {
            note_failure(batch, &why);
            break;
        }
        post(batch, call);
        while (batch->posted == IN_FLIGHT) {
            reap(batch);
        }
    }
    while (batch->posted > 0) {
        reap(batch);
    }
}

static int make_lines(struct ox__lines *lines, const ox_stream *stream,
    const ox_new_event *events, size_t count, ox_error *err)
{
    struct ox__event_maker maker = { .source = stream->source };
    for (size_t i = 0; i < count; i++) {
        ox_error why = { 0 };
        int rc = ox__lines_add(lines, &maker, &events[i], &why);
        if (rc < 0) {
            return ox__fail(err, rc, "event %zu of %zu: %s", i + 1, count, why.text);
        }
    }
    return 0;
}

int ox_stream_publish_many(ox_stream *stream, const ox_new_event *events, size_t count,
    ox_published *out, ox_error *err)
{
    OX__NEED(stream, err);
    OX__NEED(events, err);
    struct batch batch = { .stream = stream };
    struct ox__lines lines = { .count = 0 };
    if (out != NULL) {
        memset(out, 0, count * sizeof(*out));
    }
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        batch.ring[i] = &batch.calls[i];
    }
    int rc = make_lines(&lines, stream, events, count, err);
    if (rc == 0) {
        publish(&batch, &lines, out);
        rc = batch.first.code < 0 ? ox__fail(err, batch.first.code, "%s", batch.first.text) : 0;
    }
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        ox__query_done(&batch.calls[i].query);
    }
    ox__lines_done(&lines);
    return rc;
}
