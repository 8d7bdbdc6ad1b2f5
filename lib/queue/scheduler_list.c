/*
 * scheduler_list.c - the job schedulers of a queue, as they are stored.
 *
 * The ids come in one command, by time; the templates in calls of many. A scheduler that is
 * removed in between is left out.
 */
#include "base/error.h"
#include "queue/list.h"
#include "queue/operations.h"
#include "queue/queue.h"
#include "scripts.h"

#include <glib.h>
#include <stddef.h>

#define READ_AT_ONCE 200 /* schedulers in one reading call */
#define FIELDS 11        /* of one, as read_schedulers answers */

/* How far the reading is. */
struct reading {
    int64_t start, end;
    ox_scheduler ***out;
    size_t *count;
    redisReply *ids;   /* of ZRANGE: id, score, .. */
    size_t done, page; /* schedulers that were read, and that are read now */
    struct ox__list list;
};

/* Numbers stored by other programs may have fractions, or be missing. */
static int64_t to_number(const redisReply *text)
{
    double value = text->type == REDIS_REPLY_STRING ? g_ascii_strtod(text->str, NULL) : 0;
    return value > -9e18 && value < 9e18 ? (int64_t)value : 0;
}

/* Appends a scheduler, unless it is gone. */
static int add_row(struct ox__list *list, const redisReply *id, const redisReply *score,
    const redisReply *row, ox_error *err)
{
    static const size_t texts[] = { offsetof(ox_scheduler, id), offsetof(ox_scheduler, name),
        offsetof(ox_scheduler, pattern), offsetof(ox_scheduler, tz),
        offsetof(ox_scheduler, data), offsetof(ox_scheduler, opts) };
    redisReply *const *f = row->element;
    if (f[0]->type != REDIS_REPLY_STRING) {
        return 0;
    }
    const ox_scheduler scheduler = { .id = id->str,
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
    return ox__list_add(list,
        ox__list_item(&scheduler, sizeof(scheduler), texts, sizeof(texts) / sizeof(texts[0])),
        err);
}

static int decode_page(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct reading *reading = query->out;
    redisReply *const *ids = reading->ids->element;
    const redisReply *page = *reply;
    bool good = page->type == REDIS_REPLY_ARRAY && page->elements == reading->page;
    for (size_t i = 0; good && i < reading->page; i++) {
        const redisReply *row = page->element[i];
        good = row->type == REDIS_REPLY_ARRAY && row->elements == FIELDS;
    }
    if (!good) {
        return ox__query_misfit(query, err);
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < reading->page; i++) {
        size_t at = 2 * (reading->done + i);
        rc = add_row(&reading->list, ids[at], ids[at + 1], page->element[i], err);
    }
    reading->done += reading->page;
    return rc;
}

static int decode_ids(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct reading *reading = query->out;
    if ((*reply)->type != REDIS_REPLY_ARRAY || (*reply)->elements % 2 != 0) {
        return ox__query_misfit(query, err);
    }
    reading->ids = OX__STEAL(*reply);
    return 0;
}

static int next_page(void *steps, struct ox__query *query, ox_error *err)
{
    struct reading *reading = steps;
    const redisReply *ids = reading->ids;
    if (ids == NULL) {
        ox__query_command(query, query->at, "ZRANGE");
        ox__op_key(&query->op, query->at->base, "repeat");
        ox__op_int(&query->op, "start", reading->start);
        ox__op_int(&query->op, "end", reading->end);
        ox__op_text(&query->op, "scores", "WITHSCORES");
        ox__query_into(query, decode_ids, reading);
        return 1;
    }
    size_t left = ids->elements / 2 - reading->done;
    reading->page = left < READ_AT_ONCE ? left : READ_AT_ONCE;
    if (reading->page == 0) {
        return ox__list_take(&reading->list, reading->out, reading->count, err);
    }
    ox__query_script(query, query->at, &ox__script_read_schedulers);
    for (size_t i = 0; i < reading->page; i++) {
        const redisReply *id = ids->element[2 * (reading->done + i)];
        ox__op_bytes(&query->op, "scheduler", id->str, id->len);
    }
    ox__query_into(query, decode_page, reading);
    return 1;
}

static void reading_done(void *steps)
{
    struct reading *reading = steps;
    ox__free_reply(&reading->ids);
    ox__list_done(&reading->list);
}

int ox__schedulers_query(struct ox__query *query, const struct ox__queue_at *at, int64_t start,
    int64_t end, ox_scheduler ***schedulers, size_t *count, ox_error *err)
{
    struct reading *reading =
        ox__query_steps(query, at, sizeof(*reading), next_page, reading_done, err);
    if (reading == NULL) {
        return OX_ENOMEM;
    }
    *reading =
        (struct reading){ .start = start, .end = end, .out = schedulers, .count = count };
    return 0;
}

int ox_queue_schedulers(ox_queue *queue, int64_t start, int64_t end, ox_scheduler ***schedulers,
    size_t *count, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(schedulers, err);
    return ox__queue_run(queue,
        ox__schedulers_query(&queue->query, &queue->at, start, end, schedulers, count, err),
        err);
}
