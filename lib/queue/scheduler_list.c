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

/* How far the reading is. */
struct reading {
    struct ox__step step;
    const struct ox__queue_at *at;
    int64_t start, end;
    ox_scheduler_list *list;
    size_t done, page; /* schedulers that were read, and that are read now */
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

static int decode_page(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct reading *reading = query->out;
    ox_scheduler_list *list = reading->list;
    redisReply *const *ids = list->ids->element;
    const redisReply *page = *reply;
    bool good = page->type == REDIS_REPLY_ARRAY && page->elements == reading->page;
    list->read[list->read_count++] = OX__STEAL(*reply);
    for (size_t i = 0; good && i < reading->page; i++) {
        size_t at = 2 * (reading->done + i);
        good = add_row(list, ids[at], ids[at + 1], page->element[i]);
    }
    reading->done += reading->page;
    return good ? 0 : ox__query_misfit(query, err);
}

static int decode_ids(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    ox_scheduler_list *list = query->out;
    if ((*reply)->type != REDIS_REPLY_ARRAY || (*reply)->elements % 2 != 0) {
        return ox__query_misfit(query, err);
    }
    size_t count = (*reply)->elements / 2;
    list->ids = OX__STEAL(*reply);
    list->rows = calloc(count + 1, sizeof(*list->rows));
    list->read = calloc(count / READ_AT_ONCE + 1, sizeof(redisReply *));
    return list->rows == NULL || list->read == NULL ? ox__fail_memory(err) : 0;
}

static int next_page(struct ox__step *step, struct ox__query *query, ox_error *err)
{
    struct reading *reading = (struct reading *)step;
    const redisReply *ids = reading->list->ids;
    (void)err;
    if (ids == NULL) {
        ox__query_command(query, reading->at, "ZRANGE");
        ox__op_key(&query->op, reading->at->base, "repeat");
        ox__op_int(&query->op, "start", reading->start);
        ox__op_int(&query->op, "end", reading->end);
        ox__op_text(&query->op, "scores", "WITHSCORES");
        ox__query_into(query, decode_ids, reading->list);
        return 1;
    }
    size_t left = ids->elements / 2 - reading->done;
    reading->page = left < READ_AT_ONCE ? left : READ_AT_ONCE;
    if (reading->page == 0) {
        return 0;
    }
    ox__query_script(query, reading->at, &ox__script_read_schedulers);
    for (size_t i = 0; i < reading->page; i++) {
        const redisReply *id = ids->element[2 * (reading->done + i)];
        ox__op_bytes(&query->op, "scheduler", id->str, id->len);
    }
    ox__query_into(query, decode_page, reading);
    return 1;
}

int ox_scheduler_list_get(
    ox_queue *queue, int64_t start, int64_t end, ox_scheduler_list **out, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(out, err);
    ox_scheduler_list *list = calloc(1, sizeof(*list));
    struct reading reading = {
        .step = { next_page }, .at = &queue->at, .start = start, .end = end, .list = list
    };
    int rc = list != NULL ? ox__run_steps(queue->client, &queue->query, &reading.step, err)
                          : ox__fail_memory(err);
    if (rc < 0) {
        ox_scheduler_list_free(list);
        return rc;
    }
    *out = list;
    return 0;
}
