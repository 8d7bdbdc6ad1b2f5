/* held.c - entries that a consumer has; see held.h. */
#include "events/held.h"

#include "base/buf.h"
#include "base/error.h"
#include "wire/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ox__held_queue_init(struct ox__held_queue *queue)
{
    *queue = (struct ox__held_queue){ .tail = &queue->head };
}

void ox__held_queue_push(struct ox__held_queue *queue, struct ox__held *held)
{
    held->queue_next = NULL;
    *queue->tail = held;
    queue->tail = &held->queue_next;
    queue->count++;
}

struct ox__held *ox__held_queue_pop(struct ox__held_queue *queue)
{
    struct ox__held *held = queue->head;
    if (held != NULL) {
        queue->head = held->queue_next;
        queue->tail = queue->head != NULL ? queue->tail : &queue->head;
        queue->count--;
    }
    return held;
}

void ox__load_release(struct ox__load *load)
{
    if (load != NULL && --load->refs == 0) {
        ox__free_reply(&load->reply);
        free(load);
    }
}

void ox__held_free(struct ox__held *held)
{
    if (held == NULL) {
        return;
    }
    for (size_t i = 0; i < held->count; i++) {
        free(held->events[i].reason);
    }
    free(held->inflated);
    ox__load_release(held->load);
    free(held);
}

static struct ox__held *make(const char *id, bool again, size_t count)
{
    struct ox__held *held = calloc(1, sizeof(*held) + count * sizeof(held->events[0]));
    if (held != NULL) {
        snprintf(held->id, sizeof(held->id), "%s", id);
        held->again = again;
        held->count = held->open = count;
    }
    return held;
}

struct ox__held *ox__held_stub(const char *id, bool again)
{
    return make(id, again, 0);
}

/* ---- what a take has brought ------------------------------------------------------------- */

static void set_event(struct ox__held *held, size_t i, int64_t number, const char *json)
{
    held->events[i] = (struct ox__event_held){
        .entry = held, .json = json, .length = strlen(json), .number = number
    };
}

/* Whether a line begins and ends as an object does: to read it is left to who uses it. */
static bool is_object(const char *line, size_t length)
{
    while (length > 0 && strchr(" \t\r", line[length - 1]) != NULL) {
        length--;
    }
    return length > 1 && *line == '{' && line[length - 1] == '}';
}

static bool are_objects(const struct ox__pack *pack)
{
    const char *line = pack->line;
    bool good = true;
    for (int64_t number = pack->next; good && number <= pack->number; number++) {
        size_t length = strlen(line);
        good = is_object(line, length);
        line += length + 1;
    }
    return good;
}

/* An entry of the log. */
static struct ox__held *read_log_entry(redisReply *entry, ox_error *why, ox_error *err)
{
    struct ox__pack pack = { 0 };
    int rc = ox__pack_read(&pack, entry, why);
    if (rc == OX_ENOMEM) {
        ox__fail_memory(err);
        return NULL;
    }
    if (rc == 0 && !are_objects(&pack)) {
        rc = ox__fail(why, OX_EDATA,
            "entry %.48s is no event: it is not JSON objects, one a line",
            entry->element[0]->str);
    }
    size_t count = rc == 0 ? (size_t)(pack.number - pack.next + 1) : 0, i = 0;
    struct ox__held *held = make(entry->element[0]->str, false, count);
    char *json;
    int64_t number;
    if (held == NULL) {
        ox__pack_done(&pack);
        ox__fail_memory(err);
        return NULL;
    }
    held->ms = pack.ms;
    held->skipped = rc < 0;
    while (i < count && ox__pack_next(&pack, &number, &json)) {
        set_event(held, i++, number, json);
    }
    held->inflated = OX__STEAL(pack.inflated);
    ox__pack_done(&pack);
    return held;
}

/* An entry of the stream `again`: an event with its position. */
static struct ox__held *read_again(const redisReply *entry, ox_error *why, ox_error *err)
{
    const redisReply *fields = entry->element[1];
    const char *json = NULL, *position = "", *id = entry->element[0]->str;
    int64_t ms = 0, number = 0;
    bool alone = false;
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        const redisReply *key = fields->element[i], *value = fields->element[i + 1];
        if (key->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING) {
            continue;
        }
        json = strcmp(key->str, "e") == 0 ? value->str : json;
        position = strcmp(key->str, "p") == 0 ? value->str : position;
        alone = alone || strcmp(key->str, "a") == 0;
    }
    bool good = json != NULL && ox__position_read(position, &ms, &number);
    if (!good) {
        ox__fail(why, OX_EDATA,
            "entry %.48s of `again` is no event: it needs the fields e and p", id);
    }
    struct ox__held *held = make(id, true, good ? 1 : 0);
    if (held == NULL) {
        ox__fail_memory(err);
        return NULL;
    }
    held->ms = ms;
    held->alone = alone;
    held->skipped = !good;
    if (good) {
        set_event(held, 0, number, json);
    }
    return held;
}

static bool is_row(const redisReply *row)
{
    return row->type == REDIS_REPLY_ARRAY && row->elements == 4 &&
           row->element[0]->type == REDIS_REPLY_STRING &&
           row->element[1]->type == REDIS_REPLY_STRING &&
           row->element[1]->len < OX_POSITION_SIZE &&
           row->element[2]->type == REDIS_REPLY_ARRAY &&
           row->element[3]->type == REDIS_REPLY_INTEGER;
}

struct ox__held *ox__held_new(
    struct ox__load *load, redisReply *row, ox_error *why, ox_error *err)
{
    if (!is_row(row)) {
        ox__fail(err, OX_EREPLY, "unexpected reply type");
        return NULL;
    }
    redisReply entry = {
        .type = REDIS_REPLY_ARRAY, .elements = 2, .element = row->element + 1
    };
    struct ox__held *held = row->element[0]->str[0] == 'a' ? read_again(&entry, why, err)
                                                           : read_log_entry(&entry, why, err);
    if (held != NULL) {
        long long deliveries = row->element[3]->integer;
        held->deliveries = deliveries > 0 ? (uint32_t)deliveries : 1;
        held->load = load;
        load->refs++;
    }
    return held;
}

static bool is_entry(const redisReply *entry)
{
    return entry->type == REDIS_REPLY_ARRAY && entry->elements == 2 &&
           entry->element[0]->type == REDIS_REPLY_STRING &&
           entry->element[0]->len < OX_POSITION_SIZE &&
           entry->element[1]->type == REDIS_REPLY_ARRAY;
}

struct ox__held *ox__held_new_read(
    struct ox__load *load, redisReply *entry, ox_error *why, ox_error *err)
{
    if (!is_entry(entry)) {
        ox__fail(err, OX_EREPLY, "unexpected reply type");
        return NULL;
    }
    struct ox__held *held = read_log_entry(entry, why, err);
    if (held != NULL) {
        held->deliveries = 1;
        held->load = load;
        load->refs++;
    }
    return held;
}

void ox__held_position(const struct ox__event_held *event, char out[OX_POSITION_SIZE])
{
    size_t len = ox__int_text(out, event->entry->ms);
    out[len++] = '-';
    len += ox__int_text(out + len, event->number);
    out[len] = '\0';
}
