/*
 * scheduler_list.c - the job schedulers of a queue, as they are stored.
 *
 * The ids come in one command, by time; the templates in calls of many. A scheduler that is
 * removed in between is left out. Nothing is copied: the rows point into the answers, which
 * live as long as the list.
 */
#include "base/error.h"
#include "queue/queue.h"
#include "scripts.h"

#include <glib.h>
#include <stdlib.h>

#define READ_AT_ONCE 200 /* schedulers in one reading call */
#define FIELDS 11        /* of one, as read_schedulers answers */

struct ox_scheduler_list {
    ox_scheduler *rows;
    size_t count;
    redisReply *ids;   /* of ZRANGE: id, score, .. */
    redisReply **read; /* one for each READ_AT_ONCE ids */
    size_t read_count;
};

void ox_scheduler_list_free(ox_scheduler_list *list)
{
    if (list == NULL) {
        return;
    }
    for (size_t i = 0; i < list->read_count; i++) {
        ox__free_reply(&list->read[i]);
    }
    ox__free_reply(&list->ids);
    free(list->read);
    free(list->rows);
    free(list);
}

size_t ox_scheduler_list_count(const ox_scheduler_list *list)
{
    if (list == NULL) {
        return 0;
    }
    return list->count;
}

const ox_scheduler *ox_scheduler_list_at(const ox_scheduler_list *list, size_t index)
{
    if (list == NULL) {
        return NULL;
    }
    return index < list->count ? &list->rows[index] : NULL;
}

/* Numbers that other programs stored may have fractions, or be none. */
static int64_t to_number(const redisReply *text)
{
    double value = text->type == REDIS_REPLY_STRING ? g_ascii_strtod(text->str, NULL) : 0;
    return value > -9e18 && value < 9e18 ? (int64_t)value : 0;
}

/* Appends a scheduler, unless it is gone. */
static bool add_row(ox_scheduler_list *list, const redisReply *id, const redisReply *score,
    const redisReply *row)
{
    if (row->type != REDIS_REPLY_ARRAY || row->elements != FIELDS) {
        return false;
    }
    redisReply *const *f = row->element;
    if (f[0]->type == REDIS_REPLY_STRING) {
        list->rows[list->count++] = (ox_scheduler){ .id = id->str,
            .name = f[0]->str,
            .pattern = f[1]->str,
            .tz = f[2]->str,
            .data = f[3]->str,
            .opts = f[4]->str,
            .every_ms = to_number(f[5]),
            .offset_ms = to_number(f[6]),
            .start_ms = to_number(f[7]),
            .end_ms = to_number(f[8]),
            .limit = to_number(f[9]),
            .iterations = to_number(f[10]),
            .next_ms = to_number(score) };
    }
    return true;
}

/* Reads the schedulers from place `from` in the list of ids on; returns how many. */
static int read_some(ox_queue *queue, ox_scheduler_list *list, size_t from, ox_error *err)
{
    redisReply *const *ids = list->ids->element;
    size_t count = list->ids->elements / 2 - from;
    count = count < READ_AT_ONCE ? count : READ_AT_ONCE;
    struct ox__op *op = ox__queue_op(queue, &ox__script_read_schedulers);
    for (size_t i = 0; i < count; i++) {
        const redisReply *id = ids[2 * (from + i)];
        ox__op_bytes(op, "scheduler", id->str, id->len);
    }
    redisReply **reply = &list->read[list->read_count];
    int rc = ox__queue_call(queue, NULL, reply, err);
    if (rc < 0) {
        return rc;
    }
    list->read_count++;
    bool good = (*reply)->type == REDIS_REPLY_ARRAY && (*reply)->elements == count;
    for (size_t i = 0; good && i < count; i++) {
        size_t at = 2 * (from + i);
        good = add_row(list, ids[at], ids[at + 1], (*reply)->element[i]);
    }
    return good ? (int)count : ox__queue_odd(queue, NULL, "read_schedulers", err);
}

static int read_all(
    ox_queue *queue, ox_scheduler_list *list, int64_t start, int64_t end, ox_error *err)
{
    struct ox__op *op = &queue->op;
    ox__op_command(op, "ZRANGE");
    ox__op_key(op, queue->at.base, "repeat");
    ox__op_int(op, "start", start);
    ox__op_int(op, "end", end);
    ox__op_text(op, "scores", "WITHSCORES");
    int rc = ox__queue_call(queue, NULL, &list->ids, err);
    if (rc < 0) {
        return rc;
    }
    if (list->ids->type != REDIS_REPLY_ARRAY || list->ids->elements % 2 != 0) {
        return ox__queue_odd(queue, NULL, "schedulers", err);
    }
    size_t count = list->ids->elements / 2;
    list->rows = calloc(count + 1, sizeof(*list->rows));
    list->read = calloc(count / READ_AT_ONCE + 1, sizeof(redisReply *));
    if (list->rows == NULL || list->read == NULL) {
        return ox__fail_memory(err);
    }
    for (size_t from = 0; from < count && rc >= 0; from += READ_AT_ONCE) {
        rc = read_some(queue, list, from, err);
    }
    return rc < 0 ? rc : 0;
}

int ox_scheduler_list_get(
    ox_queue *queue, int64_t start, int64_t end, ox_scheduler_list **out, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(out, err);
    ox_scheduler_list *list = calloc(1, sizeof(*list));
    int rc = list != NULL ? read_all(queue, list, start, end, err) : ox__fail_memory(err);
    if (rc < 0) {
        ox_scheduler_list_free(list);
        return rc;
    }
    *out = list;
    return 0;
}
