/*
 * dead.c - dead letters of a group: listed, read, run again, removed.
 *
 * They are a stream of Redis, an entry each. The consumer writes them, in the step that
 * acknowledges the event (end_events.lua). What runs again moves to the group's stream `again`.
 */
#include "base/error.h"
#include "base/stored.h"
#include "events/operations.h"
#include "events/pack.h"
#include "events/stream.h"
#include "queue/list.h"
#include "scripts.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_LIMIT 100
#define PER_CALL 100 /* ids */

static int check_id(const char *id, ox_error *err)
{
    int64_t ms, number;
    return ox__position_read(id, &ms, &number)
               ? 0
               : ox__fail(err, OX_EINVAL,
                     "\"%.60s\" is not the id of a dead letter, such as 1700000000000-0", id);
}

/* `E:<group>:dead` as an argument. */
static void put_key(struct ox__op *op, const struct ox__queue_at *at, const char *group)
{
    char suffix[128];
    snprintf(suffix, sizeof(suffix), "%s:dead", group);
    ox__op_key(op, at->base, suffix);
}

/* ---- list, get --------------------------------------------------------------------------- */

/* The text of a field, or NULL. */
static const char *field(const redisReply *fields, const char *name)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        if (fields->element[i]->type == REDIS_REPLY_STRING &&
            fields->element[i + 1]->type == REDIS_REPLY_STRING &&
            strcmp(fields->element[i]->str, name) == 0) {
            return fields->element[i + 1]->str;
        }
    }
    return NULL;
}

static uint32_t number_of(const char *text)
{
    int64_t number = 0, none;
    bool good = text != NULL && ox__position_read(text, &number, &none);
    return good && number <= UINT32_MAX ? (uint32_t)number : 0;
}

/* A block of its own; NULL when memory is out. */
static ox_dead *read_letter(const redisReply *entry)
{
    static const size_t texts[] = { offsetof(ox_dead, id), offsetof(ox_dead, position),
        offsetof(ox_dead, reason), offsetof(ox_dead, json), offsetof(ox_dead, type) };
    const redisReply *fields = entry->element[1];
    struct ox__slice all = { NULL, NULL };
    int64_t ms = 0, none;
    ox__position_read(entry->element[0]->str, &ms, &none);
    const char *json = field(fields, "e"), *position = field(fields, "p"),
               *reason = field(fields, "r");
    if (json != NULL && ox__stored_value(&all, json, strlen(json)) < 0) {
        return NULL;
    }
    bool good = all.at != NULL && *all.at == '{';
    OX__AUTO(ox__free_text)
    char *type = good ? ox__slice_text(ox__slice_get(all, "type")) : NULL;
    const ox_dead letter = { .id = entry->element[0]->str,
        .position = position != NULL ? position : "",
        .reason = reason != NULL ? reason : "",
        .json = json != NULL ? json : "",
        .type = type,
        .at_ms = ms,
        .attempts = number_of(field(fields, "a")),
        .deliveries = number_of(field(fields, "d")) };
    return ox__list_item(&letter, sizeof(letter), texts, sizeof(texts) / sizeof(texts[0]));
}

static bool is_entry(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
           reply->element[0]->type == REDIS_REPLY_STRING &&
           reply->element[1]->type == REDIS_REPLY_ARRAY;
}

static int decode_list(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct ox__list list = { 0 };
    int rc = 0;
    if ((*reply)->type != REDIS_REPLY_ARRAY) {
        return ox__query_misfit(query, err);
    }
    for (size_t i = 0; rc == 0 && i < (*reply)->elements; i++) {
        const redisReply *entry = (*reply)->element[i];
        rc = is_entry(entry) ? ox__list_add(&list, read_letter(entry), err)
                             : ox__query_misfit(query, err);
    }
    rc = rc < 0 ? rc : ox__list_take(&list, query->out, query->out2, err);
    ox__list_done(&list);
    return rc;
}

static int decode_one(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    const redisReply *all = *reply;
    if (all->type != REDIS_REPLY_ARRAY || (all->elements > 0 && !is_entry(all->element[0]))) {
        return ox__query_misfit(query, err);
    }
    if (all->elements == 0) {
        return ox__fail(err, OX_ENOTFOUND, "there is no dead letter of that id");
    }
    ox_dead *letter = read_letter(all->element[0]);
    if (letter == NULL) {
        return ox__fail_memory(err);
    }
    *(ox_dead **)query->out = letter;
    return 0;
}

int ox__dead_list_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *group, const char *after, uint32_t limit, ox_dead ***dead, size_t *count,
    ox_error *err)
{
    char from[64];
    int rc = ox__stream_name_check("group", group, err);
    if (rc == 0 && after != NULL) {
        rc = check_id(after, err);
    }
    if (rc == 0) {
        snprintf(from, sizeof(from), "%s%.60s", after != NULL ? "(" : "-",
            after != NULL ? after : "");
        ox__query_command(query, NULL, "XRANGE");
        put_key(&query->op, at, group);
        ox__op_text(&query->op, "from", from);
        ox__op_text(&query->op, "to", "+");
        ox__op_text(&query->op, "", "COUNT");
        ox__op_int(&query->op, "limit", limit > 0 ? limit : DEFAULT_LIMIT);
        ox__query_into(query, decode_list, dead);
        query->out2 = count;
    }
    return rc;
}

int ox__dead_get_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *group, const char *id, ox_dead **dead, ox_error *err)
{
    int rc = ox__stream_name_check("group", group, err);
    rc = rc < 0 ? rc : check_id(id, err);
    if (rc == 0) {
        ox__query_command(query, NULL, "XRANGE");
        put_key(&query->op, at, group);
        ox__op_text(&query->op, "from", id);
        ox__op_text(&query->op, "to", id);
        ox__query_into(query, decode_one, dead);
    }
    return rc;
}

int ox_dead_list(ox_stream *stream, const char *group, const char *after, uint32_t limit,
    ox_dead ***dead, size_t *count, ox_error *err)
{
    OX__NEED(stream, err);
    OX__NEED(group, err);
    OX__NEED(dead, err);
    return ox__stream_run(stream,
        ox__dead_list_query(&stream->query, &stream->at, group, after, limit, dead, count, err),
        err);
}

int ox_dead_get(
    ox_stream *stream, const char *group, const char *id, ox_dead **dead, ox_error *err)
{
    OX__NEED(stream, err);
    OX__NEED(group, err);
    OX__NEED(id, err);
    OX__NEED(dead, err);
    return ox__stream_run(
        stream, ox__dead_get_query(&stream->query, &stream->at, group, id, dead, err), err);
}

/* ---- retry, remove: several calls -------------------------------------------------------- */

struct steps {
    const struct ox__queue_at *at;
    const char *group;
    const char *const *ids; /* NULL: all */
    size_t count, next;
    char last[64]; /* of a retry of all: the newest that counts. "": no more comes */
    bool removes, over;
    int64_t *done; /* how many */
};

static int decode_retried(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct steps *steps = query->steps;
    const redisReply *all = *reply;
    if (all->type == REDIS_REPLY_INTEGER) {
        return ox__query_refusal(query, all->integer, err);
    }
    if (all->type != REDIS_REPLY_ARRAY || all->elements != 2 ||
        all->element[0]->type != REDIS_REPLY_INTEGER ||
        all->element[1]->type != REDIS_REPLY_STRING) {
        return ox__query_misfit(query, err);
    }
    *steps->done += all->element[0]->integer;
    snprintf(steps->last, sizeof(steps->last), "%.63s", all->element[1]->str);
    steps->over = steps->ids != NULL ? steps->next >= steps->count : steps->last[0] == '\0';
    return 0;
}

static int decode_removed(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct steps *steps = query->steps;
    if ((*reply)->type != REDIS_REPLY_INTEGER) {
        return ox__query_misfit(query, err);
    }
    *steps->done += (*reply)->integer;
    steps->over = steps->ids == NULL || steps->next >= steps->count;
    return 0;
}

static void put_ids(struct ox__op *op, struct steps *steps)
{
    for (size_t i = 0; steps->ids != NULL && steps->next < steps->count && i < PER_CALL; i++) {
        ox__op_text(op, "id", steps->ids[steps->next++]);
    }
}

static int next_step(void *arg, struct ox__query *query, ox_error *err)
{
    struct steps *steps = arg;
    (void)err;
    if (steps->over) {
        return 0;
    }
    if (!steps->removes) {
        ox__stream_script(query, steps->at, &ox__script_retry_dead);
        ox__op_text(&query->op, "group", steps->group);
        ox__op_text(&query->op, "last", steps->ids != NULL ? "" : steps->last);
        put_ids(&query->op, steps);
        query->decode = decode_retried;
        return 1;
    }
    ox__query_command(query, NULL, steps->ids != NULL ? "XDEL" : "XTRIM");
    put_key(&query->op, steps->at, steps->group);
    if (steps->ids == NULL) {
        ox__op_text(&query->op, "", "MAXLEN");
        ox__op_int(&query->op, "most", 0);
    }
    put_ids(&query->op, steps);
    query->decode = decode_removed;
    return 1;
}

static int begin_steps(struct ox__query *query, const struct ox__queue_at *at,
    const char *group, const char *const *ids, size_t count, bool removes, int64_t *done,
    ox_error *err)
{
    int rc = ox__stream_name_check("group", group, err);
    for (size_t i = 0; rc == 0 && ids != NULL && i < count; i++) {
        rc = ids[i] != NULL ? check_id(ids[i], err)
                            : ox__fail(err, OX_EINVAL, "id %zu is NULL", i);
    }
    if (rc < 0) {
        return rc;
    }
    struct steps *steps = ox__query_steps(query, at, sizeof(*steps), next_step, NULL, err);
    if (steps == NULL) {
        return OX_ENOMEM;
    }
    query->at = NULL;
    *done = 0;
    *steps = (struct steps){ .at = at,
        .group = group,
        .ids = ids,
        .count = count,
        .last = "+",
        .removes = removes,
        .over = ids != NULL && count == 0,
        .done = done };
    return 0;
}

int ox__dead_retry_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *group, const char *const *ids, size_t count, int64_t *done, ox_error *err)
{
    return begin_steps(query, at, group, ids, count, false, done, err);
}

int ox__dead_remove_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *group, const char *const *ids, size_t count, int64_t *done, ox_error *err)
{
    return begin_steps(query, at, group, ids, count, true, done, err);
}

int64_t ox_dead_retry(
    ox_stream *stream, const char *group, const char *const *ids, size_t count, ox_error *err)
{
    int64_t done = 0;
    OX__NEED(stream, err);
    OX__NEED(group, err);
    int rc = ox__stream_run(stream,
        ox__dead_retry_query(&stream->query, &stream->at, group, ids, count, &done, err), err);
    return rc < 0 ? rc : done;
}

int64_t ox_dead_remove(
    ox_stream *stream, const char *group, const char *const *ids, size_t count, ox_error *err)
{
    int64_t done = 0;
    OX__NEED(stream, err);
    OX__NEED(group, err);
    int rc = ox__stream_run(stream,
        ox__dead_remove_query(&stream->query, &stream->at, group, ids, count, &done, err), err);
    return rc < 0 ? rc : done;
}
