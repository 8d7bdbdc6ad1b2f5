/*
 * children.c - the children of a job, by what became of them.
 *
 * They are read page by page, because a job may have very many, and by plain commands, because
 * their return values may be large. Others end meanwhile: a child
 * that was pending on one page may have a value on a later one; it is not pending then. A page
 * may repeat children of an earlier one.
 */
#include "base/buf.h"
#include "base/error.h"
#include "codes.h"
#include "queue/list.h"
#include "queue/operations.h"
#include "queue/queue.h"
#include "wire/reply.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The lists of children, in the order of reading: pending ones come first, because a child that
 * ends while the pages are read is then met twice rather than never. */
static const struct {
    const char *command, *suffix; /* reads a page of that key of the job */
    const char *count;            /* about so many on a page */
    int kind;
    bool with_value;
    bool with_text; /* their text is returned */
    int rank;       /* in the list */
} parts[] = {
    { "SSCAN", ":dependencies", "500", OX_CHILD_PENDING, false, false, 1 },
    { "HSCAN", ":processed", "100", OX_CHILD_PROCESSED, true, true, 0 },
    { "HSCAN", ":failed", "100", OX_CHILD_IGNORED, true, true, 2 },
    { "ZSCAN", ":unsuccessful", "500", OX_CHILD_FAILED, true, false, 3 },
};
#define PARTS (sizeof(parts) / sizeof(parts[0]))
/* What comes behind them. */
#define CHECK PARTS /* is there such a job? */
#define END (PARTS + 1)

struct child {
    ox_child child;
    int rank;
    size_t seen; /* counts up */
};

/* How far the reading is. */
struct reading {
    const char *id;
    ox_child ***out;
    size_t *count;
    size_t part;
    char *cursor;       /* NULL: the first */
    redisReply **pages; /* own all text */
    size_t page_count, page_room;
    struct child *found;
    size_t found_count, found_room;
};

/* ---- reading ----------------------------------------------------------------------------- */

/* Grows the array for `more` elements of `size` bytes behind `count`. False when out of memory.
 */
static bool reserve(void **array, size_t *room, size_t count, size_t more, size_t size)
{
    if (count + more <= *room) {
        return true;
    }
    size_t wanted = (count + more) * 2;
    void *grown = realloc(*array, wanted * size);
    if (grown == NULL) {
        return false;
    }
    *array = grown;
    *room = wanted;
    return true;
}

static bool is_page(const redisReply *reply, bool with_value)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_ARRAY) {
        return false;
    }
    const redisReply *page = reply->element[1];
    bool good = !with_value || page->elements % 2 == 0;
    for (size_t i = 0; good && i < page->elements; i++) {
        good = page->element[i]->type == REDIS_REPLY_STRING;
    }
    return good;
}

/* Records the children of a page, whose reply it then owns. */
static int add_page(struct reading *reading, redisReply **reply, ox_error *err)
{
    size_t part = reading->part;
    const redisReply *page = (*reply)->element[1];
    size_t step = parts[part].with_value ? 2 : 1;
    if (!reserve((void **)&reading->pages, &reading->page_room, reading->page_count, 1,
            sizeof(redisReply *)) ||
        !reserve((void **)&reading->found, &reading->found_room, reading->found_count,
            page->elements, sizeof(*reading->found))) {
        return ox__fail_memory(err);
    }
    for (size_t i = 0; i < page->elements; i += step) {
        bool text = parts[part].with_text;
        reading->found[reading->found_count] = (struct child){
            .child = { .key = page->element[i]->str,
                .text = text ? page->element[i + 1]->str : NULL,
                .kind = parts[part].kind },
            .rank = parts[part].rank,
            .seen = reading->found_count,
        };
        reading->found_count++;
    }
    reading->pages[reading->page_count++] = OX__STEAL(*reply);
    return 0;
}

/* Records a page and moves on to the next. */
static int decode_page(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct reading *reading = query->out;
    if (!is_page(*reply, parts[reading->part].with_value)) {
        return ox__query_misfit(query, err);
    }
    const char *cursor = (*reply)->element[0]->str;
    size_t next = reading->part + (strcmp(cursor, "0") == 0 ? 1 : 0);
    free(reading->cursor);
    reading->cursor = strdup(cursor);
    int rc = reading->cursor == NULL ? ox__fail_memory(err) : add_page(reading, reply, err);
    reading->part = next;
    return rc;
}

/* What was read was of a job, if that is still there. */
static int decode_check(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct reading *reading = query->out;
    if ((*reply)->type != REDIS_REPLY_INTEGER) {
        return ox__query_misfit(query, err);
    }
    reading->part = END;
    return (*reply)->integer == 0 ? ox__query_refusal(query, OX__NO_JOB, err) : 0;
}

/* ---- the list ---------------------------------------------------------------------------- */

/* Orders by key; entries of one child: pending last; of one kind: newest first. */
static int by_key(const void *a, const void *b)
{
    const struct child *x = a, *y = b;
    int order = strcmp(x->child.key, y->child.key);
    if (order == 0 && x->child.kind != y->child.kind) {
        bool pending = x->child.kind == OX_CHILD_PENDING;
        bool other = y->child.kind == OX_CHILD_PENDING;
        order = pending != other ? pending - other : x->rank - y->rank;
    }
    return order != 0 ? order : x->seen < y->seen ? 1 : -1;
}

/* Whether `next`, which follows `last` in that order, is a duplicate. */
static bool is_repeat(const ox_child *last, const ox_child *next)
{
    return strcmp(last->key, next->key) == 0 &&
           (last->kind == next->kind || next->kind == OX_CHILD_PENDING);
}

static int by_rank_then_seen(const void *a, const void *b)
{
    const struct child *x = a, *y = b;
    return x->rank != y->rank ? (x->rank < y->rank ? -1 : 1) : x->seen < y->seen ? -1 : 1;
}

static int make_list(struct reading *reading, ox_error *err)
{
    static const size_t texts[] = { offsetof(ox_child, key), offsetof(ox_child, text) };
    struct child *found = reading->found;
    size_t count = 0;
    struct ox__list list = { 0 };
    int rc = 0;
    if (reading->found_count > 0) {
        qsort(found, reading->found_count, sizeof(*found), by_key);
    }
    for (size_t i = 0; i < reading->found_count; i++) {
        if (count == 0 || !is_repeat(&found[count - 1].child, &found[i].child)) {
            found[count++] = found[i];
        }
    }
    if (count > 0) {
        qsort(found, count, sizeof(*found), by_rank_then_seen);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = ox__list_add(&list,
            ox__list_item(
                &found[i].child, sizeof(ox_child), texts, sizeof(texts) / sizeof(texts[0])),
            err);
    }
    rc = rc < 0 ? rc : ox__list_take(&list, reading->out, reading->count, err);
    ox__list_done(&list);
    return rc;
}

static char *key_of(const struct ox__queue_at *at, const char *id, const char *suffix)
{
    struct ox__buf text = { 0 };
    ox__buf_text(&text, at->base);
    ox__buf_text(&text, id);
    ox__buf_text(&text, suffix);
    return ox__buf_steal(&text);
}

static int next_page(void *steps, struct ox__query *query, ox_error *err)
{
    struct reading *reading = steps;
    if (reading->part == END) {
        return make_list(reading, err);
    }
    bool check = reading->part == CHECK;
    int rc = ox__queue_id_check(query->at, reading->id, err);
    OX__AUTO(ox__free_text)
    char *key = rc < 0
                    ? NULL
                    : key_of(query->at, reading->id, check ? "" : parts[reading->part].suffix);
    if (key == NULL) {
        return rc < 0 ? rc : ox__fail_memory(err);
    }
    ox__query_command(query, query->at, check ? "EXISTS" : parts[reading->part].command);
    query->id = reading->id;
    ox__op_id(&query->op, "key", key);
    if (!check) {
        ox__op_text(&query->op, "cursor", reading->cursor != NULL ? reading->cursor : "0");
        ox__op_text(&query->op, "count", "COUNT");
        ox__op_text(&query->op, "count", parts[reading->part].count);
    }
    ox__query_into(query, check ? decode_check : decode_page, reading);
    return 1;
}

static void reading_done(void *steps)
{
    struct reading *reading = steps;
    for (size_t i = 0; i < reading->page_count; i++) {
        ox__free_reply(&reading->pages[i]);
    }
    free(reading->pages);
    free(reading->found);
    free(reading->cursor);
}

int ox__children_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    ox_child ***children, size_t *count, ox_error *err)
{
    struct reading *reading =
        ox__query_steps(query, at, sizeof(*reading), next_page, reading_done, err);
    if (reading == NULL) {
        return OX_ENOMEM;
    }
    *reading = (struct reading){ .id = id, .out = children, .count = count };
    return 0;
}

int ox_queue_children(
    ox_queue *queue, const char *id, ox_child ***children, size_t *count, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    OX__NEED(children, err);
    return ox__queue_run(
        queue, ox__children_query(&queue->query, &queue->at, id, children, count, err), err);
}
