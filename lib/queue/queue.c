/*
 * queue.c - a queue: its name, its keys, and the call that every blocking operation ends in.
 */
#include "queue/queue.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "queue/options.h"

#include <stdlib.h>
#include <string.h>

static int check_name(const char *name, ox_error *err)
{
    if (name == NULL || *name == '\0') {
        return ox__fail(err, OX_EINVAL, "a queue needs a name");
    }
    if (strchr(name, ':') != NULL) {
        return ox__fail(err, OX_EINVAL, "queue name %.80s: a name cannot have a ':'", name);
    }
    if (!ox__utf8_valid(name)) {
        return ox__fail(err, OX_EINVAL, "queue name %.80s: a name is UTF-8", name);
    }
    return 0;
}

int ox__queue_at_init(struct ox__queue_at *at, const char *prefix, const char *name,
    const ox_queue_options *options, ox_error *err)
{
    memset(at, 0, sizeof(*at));
    int rc = check_name(name, err);
    if (rc < 0) {
        return rc;
    }
    prefix = prefix != NULL ? prefix : "bull";
    if (*prefix == '\0') {
        return ox__fail(err, OX_EINVAL, "the prefix is empty");
    }
    struct ox__buf base = { 0 };
    ox__buf_text(&base, prefix);
    ox__buf_char(&base, ':');
    ox__buf_text(&base, name);
    ox__buf_char(&base, ':');
    at->base = ox__buf_steal(&base);
    at->prefix = strdup(prefix);
    at->name = strdup(name);
    if (at->base == NULL || at->prefix == NULL || at->name == NULL) {
        ox__queue_at_done(at);
        return ox__fail_memory(err);
    }
    size_t n = 0;
    if (options == NULL || !options->no_events) {
        at->flags[n++] = 'e';
    }
    if (options != NULL && options->legacy_pause) {
        at->flags[n++] = 'l';
    }
    at->max_events = options != NULL && options->max_events > 0 ? options->max_events : 10000;
    return 0;
}

int ox__queue_at_copy(struct ox__queue_at *to, const struct ox__queue_at *from, ox_error *err)
{
    int rc = ox__queue_at_init(to, from->prefix, from->name, NULL, err);
    if (rc == 0) {
        memcpy(to->flags, from->flags, sizeof(to->flags));
        to->max_events = from->max_events;
    }
    return rc;
}

void ox__queue_at_done(struct ox__queue_at *at)
{
    free(at->prefix);
    free(at->name);
    free(at->base);
    memset(at, 0, sizeof(*at));
}

int ox_queue_new(ox_queue **out, ox_client *client, const char *name,
    const ox_queue_options *options, ox_error *err)
{
    OX__NEED(out, err);
    OX__NEED(client, err);
    OX__NEED(name, err);
    ox_queue *queue = calloc(1, sizeof(*queue));
    if (queue == NULL) {
        return ox__fail_memory(err);
    }
    int rc = ox__queue_at_init(
        &queue->at, options != NULL ? options->prefix : NULL, name, options, err);
    if (rc == 0 && options != NULL && options->batch > 500) {
        rc = ox__fail(err, OX_EINVAL, "a batch has at most 500 jobs");
    }
    if (rc < 0) {
        ox_queue_free(queue);
        return rc;
    }
    queue->client = client;
    if (options != NULL) {
        queue->options = *options;
        queue->options.prefix = NULL;
    }
    if (queue->options.batch == 0) {
        queue->options.batch = 50;
    }
    *out = queue;
    return 0;
}

void ox_queue_free(ox_queue *queue)
{
    if (queue != NULL) {
        ox__queue_at_done(&queue->at);
        ox__op_done(&queue->op);
        free(queue);
    }
}

const char *ox_queue_name(const ox_queue *queue)
{
    if (queue == NULL) {
        return NULL;
    }
    return queue->at.name;
}

const char *ox_queue_prefix(const ox_queue *queue)
{
    if (queue == NULL) {
        return NULL;
    }
    return queue->at.prefix;
}

int ox__queue_id_check(const ox_queue *queue, const char *id, ox_error *err)
{
    if (id == NULL) {
        return ox__fail(err, OX_EINVAL, "queue %s: no job id given", queue->at.name);
    }
    return ox__job_id_possible(id) ? 0
                                   : ox__fail(err, OX_ENOTFOUND,
                                         "queue %s: there is no job %.80s", queue->at.name, id);
}

static bool takes_next(const struct ox__op *op, const char *name)
{
    return op->named < op->script->arg_count && strcmp(op->script->args[op->named], name) == 0;
}

void ox__op_at(
    struct ox__op *op, const struct ox__script *script, const struct ox__queue_at *at)
{
    ox__op_script(op, script, at->base);
    if (takes_next(op, "base")) {
        ox__op_text(op, "base", at->base);
    }
    if (takes_next(op, "flags")) {
        ox__op_text(op, "flags", at->flags);
    }
    if (takes_next(op, "max_events")) {
        ox__op_int(op, "max_events", at->max_events);
    }
}

struct ox__op *ox__queue_op(ox_queue *queue, const struct ox__script *script)
{
    ox__op_at(&queue->op, script, &queue->at);
    return &queue->op;
}

int ox__queue_job_op(
    ox_queue *queue, const struct ox__script *script, const char *id, ox_error *err)
{
    int rc = ox__queue_id_check(queue, id, err);
    if (rc < 0) {
        return rc;
    }
    struct ox__op *op = ox__queue_op(queue, script);
    if (takes_next(op, "now")) {
        ox__op_int(op, "now", ox__now_ms());
    }
    ox__op_id(op, "id", id);
    return 0;
}

int ox__queue_call(ox_queue *queue, const char *id, redisReply **reply, ox_error *err)
{
    ox_error problem = { 0 };
    int rc = ox__call(queue->client, &queue->op, reply, &problem);
    if (rc == OX_ESERVER) {
        return ox__fail(err, rc, "queue %s%s%s: %s", queue->at.name, id != NULL ? ", job " : "",
            id != NULL ? id : "", problem.text);
    }
    return rc < 0 ? ox__fail(err, rc, "%s", problem.text) : rc;
}

int ox__queue_odd(const ox_queue *queue, const char *id, const char *what, ox_error *err)
{
    ox__client_drop(queue->client); /* whose answers come next is not known */
    return ox__fail(err, OX_EREPLY, "queue %s%s%s: %s: unexpected reply type", queue->at.name,
        id != NULL ? ", job " : "", id != NULL ? id : "", what);
}

int ox__queue_number(ox_queue *queue, const char *id, int64_t *value, ox_error *err)
{
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    int rc = ox__queue_call(queue, id, &reply, err);
    if (rc < 0) {
        return rc;
    }
    if (reply->type != REDIS_REPLY_INTEGER) {
        return ox__queue_odd(queue, id, queue->op.script->name, err);
    }
    if (reply->integer < 0) {
        return ox__script_refusal(reply->integer, queue->at.name, id, err);
    }
    if (value != NULL) {
        *value = reply->integer;
    }
    return 0;
}

int ox__queue_numbers(ox_queue *queue, int64_t *out, size_t count, ox_error *err)
{
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    int rc = ox__queue_call(queue, NULL, &reply, err);
    if (rc < 0) {
        return rc;
    }
    bool good = reply->type == REDIS_REPLY_ARRAY && reply->elements == count;
    for (size_t i = 0; good && i < count; i++) {
        good =
            reply->element[i]->type == REDIS_REPLY_INTEGER && reply->element[i]->integer >= 0;
        out[i] = good ? reply->element[i]->integer : 0;
    }
    return good ? 0 : ox__queue_odd(queue, NULL, queue->op.script->name, err);
}

int ox__json_check(const char *json, const char *what, ox_error *err)
{
    if (json == NULL) {
        return ox__fail(err, OX_EINVAL, "no %s given", what);
    }
    return ox__json_valid(json, strlen(json))
               ? 0
               : ox__fail(err, OX_EINVAL, "the %s is not JSON: %.60s%s", what, json,
                     strlen(json) > 60 ? "..." : "");
}
