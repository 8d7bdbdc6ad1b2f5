/*
 * binding.c - which queues get a job of an event: bindings made, removed, listed, tried.
 *
 * A binding is stored as JSON, with what the script that publishes needs to add a job and would
 * have to work out for each event: the options as they are stored in a job, and what follows
 * from them for its place.
 */
#include "base/error.h"
#include "base/json.h"
#include "base/stored.h"
#include "events/operations.h"
#include "events/pattern.h"
#include "events/stream.h"
#include "queue/job_in.h"
#include "queue/list.h"
#include "scripts.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* ---- bind, unbind ------------------------------------------------------------------------ */

static void put_text(struct ox__buf *out, const char *name, const char *text, size_t len)
{
    ox__buf_text(out, out->len > 0 ? ",\"" : "\"");
    ox__buf_text(out, name);
    ox__buf_text(out, "\":");
    ox__json_string(out, text, len);
}

static void put_number(struct ox__buf *out, const char *name, int64_t number)
{
    if (number != 0) {
        ox__buf_text(out, ",\"");
        ox__buf_text(out, name);
        ox__buf_text(out, "\":");
        ox__buf_int(out, number);
    }
}

static int check_queue(const char *queue, ox_error *err)
{
    struct ox__queue_at at;
    int rc = ox__queue_at_init(&at, NULL, queue, NULL, err);
    if (rc == 0) {
        ox__queue_at_done(&at);
    }
    return rc;
}

static int check_options(const ox_job_options *set, const char *whose, ox_error *err)
{
    const char *name = set->id != NULL          ? "jobId"
                       : set->parent.id != NULL ? "parent"
                       : set->dedup.id != NULL  ? "deduplication"
                       : set->timestamp_ms != 0 ? "timestamp"
                                                : NULL;
    return name == NULL ? 0
                        : ox__fail(err, OX_EINVAL,
                              "a %s must not have the job option %s: it comes from the event",
                              whose, name);
}

int ox__event_job_init(struct ox__job_in *in, ox_job_options *options, const char *json,
    const ox_job_options *job, const char *name, const char *whose, ox_error *err)
{
    const ox_new_job made = { .name = name != NULL ? name : "", .options = options };
    *options = (ox_job_options){ .json = json };
    if (job != NULL && job->json != NULL && json != NULL) {
        return ox__fail(err, OX_EINVAL, "a %s has options, and job options with `json`", whose);
    }
    if (job != NULL) {
        *options = *job;
        options->json = json != NULL ? json : job->json;
    }
    int rc = ox__job_in_init(in, &made, err);
    if (rc == 0) {
        rc = check_options(&in->options.set, whose, err);
        if (rc < 0) {
            ox__job_in_done(in);
        }
    }
    return rc;
}

/* All but the number, which the script puts before it. */
static void write_binding(
    struct ox__buf *out, const ox_binding *binding, const struct ox__job_in *job)
{
    const ox_job_options *set = &job->options.set;
    put_text(out, "pattern", binding->pattern, strlen(binding->pattern));
    put_text(out, "queue", binding->queue, strlen(binding->queue));
    if (binding->job_name != NULL) {
        put_text(out, "name", binding->job_name, strlen(binding->job_name));
    }
    put_text(out, "opts", job->opts.data, job->opts.len);
    put_number(out, "delay", set->delay_ms);
    put_number(out, "priority", set->priority);
    put_number(out, "lifo", set->lifo);
    ox__buf_char(out, '}');
}

static void put_field(struct ox__op *op, const char *pattern, const char *queue)
{
    struct ox__buf field = { 0 };
    ox__buf_text(&field, pattern);
    ox__buf_char(&field, ' ');
    ox__buf_text(&field, queue);
    op->bytes.failed = op->bytes.failed || field.failed;
    ox__op_bytes(op, "field", field.data, field.len);
    ox__buf_done(&field);
}

int ox__bind_query(struct ox__query *query, const struct ox__queue_at *at,
    const ox_binding *binding, ox_error *err)
{
    ox_job_options options;
    struct ox__job_in in;
    struct ox__buf rest = { 0 };
    int rc = OX__RESERVED(ox_binding, binding, err);
    rc = rc < 0 ? rc : ox__pattern_check(binding->pattern, err);
    rc = rc < 0 ? rc : check_queue(binding->queue, err);
    rc = rc < 0 ? rc
                : ox__event_job_init(&in, &options, binding->options, binding->job,
                      binding->job_name, "binding", err);
    if (rc < 0) {
        return rc;
    }
    write_binding(&rest, binding, &in);
    ox__stream_script(query, at, &ox__script_bind_queue);
    ox__op_text(&query->op, "prefix", at->prefix);
    ox__op_text(&query->op, "stream", at->name);
    put_field(&query->op, binding->pattern, binding->queue);
    ox__op_bytes(&query->op, "rest", rest.data, rest.len);
    ox__query_flag(query);
    rc = rest.failed ? ox__fail_memory(err) : 0;
    ox__buf_done(&rest);
    ox__job_in_done(&in);
    return rc;
}

int ox__unbind_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *pattern, const char *queue, ox_error *err)
{
    int rc = ox__pattern_check(pattern, err);
    rc = rc < 0 ? rc : check_queue(queue, err);
    if (rc == 0) {
        ox__stream_script(query, at, &ox__script_unbind_queue);
        put_field(&query->op, pattern, queue);
        ox__query_flag(query);
    }
    return rc;
}

int ox_stream_bind(ox_stream *stream, const ox_binding *binding, ox_error *err)
{
    OX__NEED(stream, err);
    OX__NEED(binding, err);
    return ox__stream_run(
        stream, ox__bind_query(&stream->query, &stream->at, binding, err), err);
}

int ox_stream_unbind(ox_stream *stream, const char *pattern, const char *queue, ox_error *err)
{
    OX__NEED(stream, err);
    OX__NEED(pattern, err);
    OX__NEED(queue, err);
    return ox__stream_run(
        stream, ox__unbind_query(&stream->query, &stream->at, pattern, queue, err), err);
}

/* ---- lists ------------------------------------------------------------------------------- */

/* A binding as it is stored, with its age. */
struct stored {
    double number;
    char *pattern, *queue, *job_name, *options; /* owned */
};

static void stored_done(struct stored *stored)
{
    free(stored->pattern);
    free(stored->queue);
    free(stored->job_name);
    free(stored->options);
}

/* The same that the script asks of a stored binding. */
static bool is_queue_name(const char *queue)
{
    return queue != NULL && *queue != '\0' && strchr(queue, ':') == NULL;
}

/* Of a field of the hash and its value. Returns 0, OX_EDATA, OX_ENOMEM. */
static int read_stored(
    struct stored *out, const redisReply *field, const redisReply *text, ox_error *err)
{
    struct ox__slice all = { NULL, NULL };
    memset(out, 0, sizeof(*out));
    if (text->type == REDIS_REPLY_STRING && ox__stored_value(&all, text->str, text->len) < 0) {
        return ox__fail_memory(err);
    }
    if (all.at != NULL && *all.at == '{') {
        struct ox__slice number = ox__slice_get(all, "n");
        out->number = number.at != NULL ? ox__slice_number(number) : 0;
        out->pattern = ox__slice_text(ox__slice_get(all, "pattern"));
        out->queue = ox__slice_text(ox__slice_get(all, "queue"));
        out->job_name = ox__slice_text(ox__slice_get(all, "name"));
        out->options = ox__slice_text(ox__slice_get(all, "opts"));
    }
    if (out->pattern == NULL || !is_queue_name(out->queue)) {
        return ox__fail(err, OX_EDATA,
            "the stored binding \"%.60s\" has no pattern or no valid queue: %.60s (HDEL of "
            "that field in the stream's key \"binds\" removes it)",
            field->type == REDIS_REPLY_STRING ? field->str : "",
            text->type == REDIS_REPLY_STRING ? text->str : "");
    }
    return 0;
}

static int by_age(const void *a, const void *b)
{
    double x = ((const struct stored *)a)->number, y = ((const struct stored *)b)->number;
    return (x > y) - (x < y);
}

/* Whether an older one is of the same queue and matches as well. */
static bool is_hidden(const struct stored *all, size_t i, const char *type)
{
    for (size_t j = 0; j < i; j++) {
        if (strcmp(all[j].queue, all[i].queue) == 0 &&
            ox__pattern_matches(all[j].pattern, type)) {
            return true;
        }
    }
    return false;
}

static int add_stored(struct ox__list *list, const struct stored *stored, ox_error *err)
{
    static const size_t texts[] = { offsetof(ox_binding, pattern), offsetof(ox_binding, queue),
        offsetof(ox_binding, job_name), offsetof(ox_binding, options) };
    /* BullMQ stores the attempts also where none were asked for. */
    bool plain = stored->options == NULL || strcmp(stored->options, "{\"attempts\":0}") == 0;
    const ox_binding binding = { .pattern = stored->pattern,
        .queue = stored->queue,
        .job_name = stored->job_name,
        .options = plain ? NULL : stored->options };
    return ox__list_add(list,
        ox__list_item(&binding, sizeof(binding), texts, sizeof(texts) / sizeof(texts[0])), err);
}

static int decode_bindings(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    const char *type = query->out3;
    struct ox__list list = { 0 };
    size_t count = 0;
    int rc = 0;
    if ((*reply)->type != REDIS_REPLY_ARRAY) {
        return ox__query_misfit(query, err);
    }
    struct stored *all = calloc((*reply)->elements / 2 + 1, sizeof(*all));
    if (all == NULL) {
        return ox__fail_memory(err);
    }
    for (size_t i = 0; rc == 0 && i + 1 < (*reply)->elements; i += 2) {
        ox_error why = { 0 };
        rc = read_stored(&all[count], (*reply)->element[i], (*reply)->element[i + 1], &why);
        if (rc == OX_EDATA && type != NULL) { /* publishing skips it as well */
            stored_done(&all[count]);
            rc = 0;
            continue;
        }
        count++;
        rc = rc < 0 ? ox__fail(err, rc, "%s", why.text) : 0;
    }
    qsort(all, count, sizeof(*all), by_age);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (type == NULL ||
            (ox__pattern_matches(all[i].pattern, type) && !is_hidden(all, i, type))) {
            rc = add_stored(&list, &all[i], err);
        }
    }
    rc = rc < 0 ? rc : ox__list_take(&list, query->out, query->out2, err);
    ox__list_done(&list);
    for (size_t i = 0; i < count; i++) {
        stored_done(&all[i]);
    }
    free(all);
    return rc;
}

int ox__bindings_query(struct ox__query *query, const struct ox__queue_at *at, const char *type,
    ox_binding ***bindings, size_t *count, ox_error *err)
{
    int rc = type != NULL ? ox__type_check(type, err) : 0;
    if (rc == 0) {
        ox__query_command(query, NULL, "HGETALL");
        ox__op_key(&query->op, at->base, "binds");
        ox__query_into(query, decode_bindings, bindings);
        query->out2 = count;
        query->out3 = (void *)type; /* it is only read */
    }
    return rc;
}

int ox_stream_bindings(ox_stream *stream, ox_binding ***bindings, size_t *count, ox_error *err)
{
    OX__NEED(stream, err);
    OX__NEED(bindings, err);
    return ox__stream_run(stream,
        ox__bindings_query(&stream->query, &stream->at, NULL, bindings, count, err), err);
}

int ox_stream_route(
    ox_stream *stream, const char *type, ox_binding ***bindings, size_t *count, ox_error *err)
{
    OX__NEED(stream, err);
    OX__NEED(type, err);
    OX__NEED(bindings, err);
    return ox__stream_run(stream,
        ox__bindings_query(&stream->query, &stream->at, type, bindings, count, err), err);
}
