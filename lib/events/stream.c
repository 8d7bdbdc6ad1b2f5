/*
 * stream.c - a stream of a client: the public handle, and the names of all that there are.
 *
 * A stream's keys begin with "prefix::ox:{name}:", which no queue's do, because the second
 * segment is empty. Its place is kept as that of a queue is, so that scripts are called alike.
 */
#include "events/stream.h"

#include "base/buf.h"
#include "base/error.h"
#include "codes.h"
#include "events/event.h"
#include "events/operations.h"
#include "queue/list.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_NAME 64
#define DEFAULT_BATCH 100
#define MAX_BATCH 1000

int ox__stream_name_check(const char *of, const char *name, ox_error *err)
{
    size_t len = strlen(name);
    if (len == 0 || len > MAX_NAME ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != len) {
        return ox__fail(err, OX_EINVAL,
            "%s name \"%.80s\" must be 1..%d of a-z, 0-9, '_' and '-'", of, name, MAX_NAME);
    }
    return 0;
}

/* "/ox/<host>", with what a URI does not have left out. */
static char *default_source(void)
{
    char host[256] = "";
    struct ox__buf source = { 0 };
    if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0') {
        memcpy(host, "localhost", sizeof("localhost"));
    }
    ox__buf_text(&source, "/ox/");
    for (const char *p = host; *p != '\0'; p++) {
        bool good = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                    (*p >= '0' && *p <= '9') || *p == '.' || *p == '-' || *p == '_';
        ox__buf_char(&source, good ? *p : '-');
    }
    return ox__buf_steal(&source);
}

/* The place of the keys, by way of that of a queue, whose base is then replaced. */
static int init_at(
    ox_stream *stream, const char *name, const ox_stream_options *options, ox_error *err)
{
    const ox_queue_options queues = { .legacy_pause = options->legacy_pause };
    struct ox__buf base = { 0 };
    int rc = ox__queue_at_init(&stream->at, options->prefix, name, &queues, err);
    if (rc < 0) {
        return rc;
    }
    ox__buf_text(&base, stream->at.prefix);
    ox__buf_text(&base, "::ox:{");
    ox__buf_text(&base, name);
    ox__buf_text(&base, "}:");
    free(stream->at.base);
    stream->at.base = ox__buf_steal(&base);
    return stream->at.base != NULL ? 0 : ox__fail_memory(err);
}

static int init(
    ox_stream *stream, const char *name, const ox_stream_options *options, ox_error *err)
{
    int rc = ox__stream_name_check("stream", name, err);
    rc = rc < 0 ? rc : OX__RESERVED(ox_stream_options, options, err);
    if (rc == 0 && options->batch > MAX_BATCH) {
        rc = ox__fail(err, OX_EINVAL, "batch must be 0..%d", MAX_BATCH);
    }
    if (rc == 0 && options->source != NULL) {
        rc = ox__source_check(options->source, err);
    }
    rc = rc < 0 ? rc : init_at(stream, name, options, err);
    if (rc == 0) {
        stream->batch = options->batch > 0 ? options->batch : DEFAULT_BATCH;
        stream->source = options->source != NULL ? strdup(options->source) : default_source();
        rc = stream->source != NULL ? 0 : ox__fail_memory(err);
    }
    return rc;
}

int ox_stream_new(ox_stream **out, ox_client *client, const char *name,
    const ox_stream_options *options, ox_error *err)
{
    static const ox_stream_options none;
    OX__NEED(out, err);
    OX__NEED(client, err);
    ox_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL) {
        return ox__fail_memory(err);
    }
    int rc =
        init(stream, name != NULL ? name : "events", options != NULL ? options : &none, err);
    if (rc < 0) {
        ox_stream_free(stream);
        return rc;
    }
    stream->client = client;
    stream->form.needs = OX__NEEDS_KEYS; /* until it is known */
    *out = stream;
    return 0;
}

void ox_stream_free(ox_stream *stream)
{
    if (stream != NULL) {
        ox__queue_at_done(&stream->at);
        ox__query_done(&stream->query);
        ox__deflater_done(&stream->form.deflater);
        free(stream->source);
        free(stream);
    }
}

const char *ox_stream_name(const ox_stream *stream)
{
    return stream != NULL ? stream->at.name : NULL;
}

const char *ox_stream_prefix(const ox_stream *stream)
{
    return stream != NULL ? stream->at.prefix : NULL;
}

/* ---- calls ------------------------------------------------------------------------------- */

void ox__stream_script(
    struct ox__query *query, const struct ox__queue_at *at, const struct ox__script *script)
{
    ox__query_script(query, at, script);
    query->at = NULL;
}

int ox__stream_failed(const struct ox__queue_at *at, const ox_error *why, ox_error *err)
{
    return ox__fail(err, why->code, "stream %s: %s", at->name, why->text);
}

int ox__stream_run(ox_stream *stream, int encoded, ox_error *err)
{
    ox_error why = { 0 };
    if (encoded < 0) {
        return encoded;
    }
    int rc = ox__run(stream->client, &stream->query, &why);
    bool ours = rc != OX_ECONNECT && rc != OX_EAUTH && rc != OX_ETLS;
    return rc >= 0 ? rc
           : ours  ? ox__stream_failed(&stream->at, &why, err)
                   : ox__fail(err, rc, "%s", why.text);
}

/* ---- names ------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int decode_names(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct ox__list list = { 0 };
    int rc = 0;
    if ((*reply)->type != REDIS_REPLY_ARRAY) {
        return ox__query_misfit(query, err);
    }
    for (size_t i = 0; rc == 0 && i < (*reply)->elements; i++) {
        const redisReply *name = (*reply)->element[i];
        if (name->type == REDIS_REPLY_STRING &&
            ox__stream_name_check("", name->str, NULL) == 0) {
            rc = ox__list_add(&list, strdup(name->str), err);
        }
    }
    if (rc == 0 && list.count > 0) {
        qsort(list.items, list.count, sizeof(void *), by_name);
    }
    rc = rc < 0 ? rc : ox__list_take(&list, query->out, query->out2, err);
    ox__list_done(&list);
    return rc;
}

int ox__streams_query(
    struct ox__query *query, const char *prefix, char ***names, size_t *count, ox_error *err)
{
    prefix = prefix != NULL ? prefix : "bull";
    if (*prefix == '\0') {
        return ox__fail(err, OX_EINVAL, "the prefix is empty");
    }
    ox__query_command(query, NULL, "SMEMBERS");
    ox__op_key(&query->op, prefix, "::ox:streams");
    ox__query_into(query, decode_names, names);
    query->out2 = count;
    return 0;
}

int ox_client_streams(
    ox_client *client, const char *prefix, char ***names, size_t *count, ox_error *err)
{
    struct ox__query query = { .at = NULL };
    OX__NEED(client, err);
    OX__NEED(names, err);
    int rc = ox__streams_query(&query, prefix, names, count, err);
    rc = rc < 0 ? rc : ox__run(client, &query, err);
    ox__query_done(&query);
    return rc;
}
