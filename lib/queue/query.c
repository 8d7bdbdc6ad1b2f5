/* query.c - encodes queries, decodes common replies, and runs queries for blocking callers. */
#include "queue/query.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

/* ---- encoding ---------------------------------------------------------------------------- */

void ox__query_end(struct ox__query *query)
{
    void *steps = OX__STEAL(query->steps);
    query->ready = false;
    if (steps != NULL && query->steps_done != NULL) {
        query->steps_done(steps);
    }
    free(steps);
}

void ox__query_done(struct ox__query *query)
{
    ox__query_end(query);
    ox__op_done(&query->op);
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

static void begin(struct ox__query *query, const struct ox__queue_at *at, const char *what)
{
    ox__query_end(query); /* drops a command that was begun and never sent */
    query->ready = true;
    query->at = at;
    query->id = NULL;
    query->what = what;
    query->decode = NULL;
    query->out = query->out2 = query->out3 = NULL;
    query->count = 0;
}

void ox__query_command(
    struct ox__query *query, const struct ox__queue_at *at, const char *command)
{
    begin(query, at, command);
    ox__op_command(&query->op, command);
}

void ox__query_script(
    struct ox__query *query, const struct ox__queue_at *at, const struct ox__script *script)
{
    begin(query, at, script->name);
    ox__op_at(&query->op, script, at);
}

int ox__query_job(struct ox__query *query, const struct ox__queue_at *at,
    const struct ox__script *script, const char *id, ox_error *err)
{
    int rc = ox__queue_id_check(at, id, err);
    if (rc < 0) {
        return rc;
    }
    ox__query_script(query, at, script);
    query->id = id;
    if (takes_next(&query->op, "now")) {
        ox__op_int(&query->op, "now", ox__now_ms());
    }
    ox__op_id(&query->op, "id", id);
    return 0;
}

void *ox__query_steps(struct ox__query *query, const struct ox__queue_at *at, size_t size,
    ox__next_fn *next, void (*done)(void *steps), ox_error *err)
{
    begin(query, at, "");
    query->ready = false;
    query->steps = calloc(1, size);
    query->next = next;
    query->steps_done = done;
    query->goes_on = NULL;
    if (query->steps == NULL) {
        ox__fail_memory(err);
    }
    return query->steps;
}

/* ---- decoding ---------------------------------------------------------------------------- */

int ox__query_misfit(const struct ox__query *query, ox_error *err)
{
    if (query->at == NULL) {
        return ox__fail(err, OX_EREPLY, "%s: unexpected reply type", query->what);
    }
    return ox__fail(err, OX_EREPLY, "queue %s%s%s: %s: unexpected reply type", query->at->name,
        query->id != NULL ? ", job " : "", query->id != NULL ? query->id : "", query->what);
}

int ox__query_refusal(const struct ox__query *query, long long number, ox_error *err)
{
    return ox__script_refusal(
        number, query->at != NULL ? query->at->name : NULL, query->id, err);
}

int ox__query_failure(const struct ox__query *query, const ox_error *problem, ox_error *err)
{
    if (query->steps != NULL && query->goes_on != NULL &&
        query->goes_on(query->steps, problem->code)) {
        return 0;
    }
    if (problem->code != OX_ESERVER || query->at == NULL) {
        return ox__fail(err, problem->code, "%s", problem->text);
    }
    return ox__fail(err, problem->code, "queue %s%s%s: %s", query->at->name,
        query->id != NULL ? ", job " : "", query->id != NULL ? query->id : "", problem->text);
}

int ox__query_decode(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    return query->decode != NULL ? query->decode(query, reply, err) : 0;
}

void ox__query_into(struct ox__query *query, ox__decode_fn *decode, void *out)
{
    query->decode = decode;
    query->out = out;
}

static int decode_number(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    if ((*reply)->type != REDIS_REPLY_INTEGER) {
        return ox__query_misfit(query, err);
    }
    if ((*reply)->integer < 0) {
        return ox__query_refusal(query, (*reply)->integer, err);
    }
    if (query->out != NULL) {
        *(int64_t *)query->out = (*reply)->integer;
    }
    return 0;
}

void ox__query_number(struct ox__query *query, int64_t *value)
{
    ox__query_into(query, decode_number, value);
}

static int decode_flag(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    int rc = decode_number(query, reply, err);
    return rc < 0 ? rc : (*reply)->integer > 0;
}

void ox__query_flag(struct ox__query *query)
{
    ox__query_into(query, decode_flag, NULL);
}

int ox__query_read_numbers(const struct ox__query *query, const redisReply *reply, int64_t *out,
    size_t count, ox_error *err)
{
    bool good = reply->type == REDIS_REPLY_ARRAY && reply->elements == count;
    for (size_t i = 0; good && i < count; i++) {
        good =
            reply->element[i]->type == REDIS_REPLY_INTEGER && reply->element[i]->integer >= 0;
    }
    for (size_t i = 0; good && i < count; i++) {
        out[i] = reply->element[i]->integer;
    }
    return good ? 0 : ox__query_misfit(query, err);
}

static int decode_numbers(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    return ox__query_read_numbers(query, *reply, query->out, query->count, err);
}

void ox__query_numbers(struct ox__query *query, int64_t *out, size_t count)
{
    ox__query_into(query, decode_numbers, out);
    query->count = count;
}

/* ---- driving ----------------------------------------------------------------------------- */

/* The state is taken out of the query while `next` runs, because it begins commands. */
int ox__query_next(struct ox__query *query, ox_error *err)
{
    int rc = query->ready;
    if (!query->ready && query->steps != NULL) {
        void *steps = OX__STEAL(query->steps);
        rc = query->next(steps, query, err);
        query->steps = steps;
    }
    query->ready = false;
    return rc;
}

static int call(ox_client *client, struct ox__query *query, ox_error *err)
{
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    ox_error problem = { 0 };
    if (ox__call(client, &query->op, &reply, &problem) < 0) {
        return ox__query_failure(query, &problem, err);
    }
    int rc = ox__query_decode(query, &reply, err);
    if (rc == OX_EREPLY) {
        ox__client_drop(client); /* which reply comes next is not known */
    }
    return rc;
}

int ox__run(ox_client *client, struct ox__query *query, ox_error *err)
{
    int more, rc = 0;
    while ((more = ox__query_next(query, err)) > 0) {
        rc = call(client, query, err);
        if (rc < 0) {
            break;
        }
    }
    ox__query_end(query);
    return more < 0 ? more : rc;
}
