/*
 * tail.c - follows a stream from a position of its own.
 *
 * A tail has a connection of its own, because XREAD blocks it, and always reads from a
 * position, never from `$`: between two reads that would miss events. It remembers the last
 * event that it read, so a lost connection loses none; and because numbers have no gaps, it
 * knows exactly how many are missing. One command blocks for a few seconds at most, so that a
 * dead server is noticed. One with an end does not block: it ends there, or where the log does.
 */
#include "events/tail.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/stored.h"
#include "events/operations.h"
#include "events/pack.h"
#include "events/pattern.h"
#include "events/stream.h"
#include "queue/xread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ox_tail {
    ox_client *client; /* owned */
    struct ox__queue_at at;
    struct ox__query query;
    char *pattern, *subject; /* owned, or NULL */
    int64_t ms, number;      /* of the last event that was read */
    bool counted;            /* `number` is that of an event, so what follows it is known */
    int64_t before;          /* once counted: number of the event before the first one */
    bool bounded;            /* it has an end: the last event that it hands out, and ... */
    int64_t to_ms, to_number;
    bool over;    /* ... whether it has passed that */
    int64_t lost; /* since the last event that was handed out; -1: not known */
    char position[OX_POSITION_SIZE];
    redisReply *reply;
    redisReply *entries; /* of `reply`; NULL when there are none */
    size_t next;
    struct ox__pack pack;
    char *texts[4]; /* owned: of the event that was handed out */
};

/* ---- reading ----------------------------------------------------------------------------- */

int ox__log_query(struct ox__query *query, const struct ox__queue_at *at, const char *last,
    int64_t block_ms, redisReply **reply)
{
    const struct ox__xread_at log = { NULL, at->base, "log" };
    ox__xread_query(query, &log, last, block_ms, reply);
    return 0;
}

int ox__newest_entry_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *until, redisReply **reply)
{
    const struct ox__xread_at log = { NULL, at->base, "log" };
    ox__xrevrange_query(query, &log, until, 1, reply);
    return 0;
}

static int run(ox_tail *tail, ox_error *err)
{
    ox_error why = { 0 };
    int rc = ox__run(tail->client, &tail->query, &why);
    return rc < 0 ? ox__stream_failed(&tail->at, &why, err) : rc;
}

static void set_position(ox_tail *tail, int64_t ms, int64_t number)
{
    tail->ms = ms;
    tail->number = number;
    snprintf(
        tail->position, sizeof(tail->position), "%lld-%lld", (long long)ms, (long long)number);
}

static int read_some(ox_tail *tail, int64_t block_ms, ox_error *err)
{
    ox__free_reply(&tail->reply);
    tail->entries = NULL;
    tail->next = 0;
    ox__log_query(&tail->query, &tail->at, tail->position, block_ms, &tail->reply);
    int rc = run(tail, err);
    if (rc == 0) {
        tail->entries = ox__xread_entries(tail->reply);
    }
    return rc;
}

/* ---- where it begins --------------------------------------------------------------------- */

/* The position of the newest entry up to an id, "+" for any; zeros when there is none. */
static int find_newest(
    ox_tail *tail, const char *until, int64_t *ms, int64_t *number, ox_error *err)
{
    OX__AUTO(ox__free_reply) redisReply *newest = NULL;
    *ms = *number = 0;
    ox__newest_entry_query(&tail->query, &tail->at, until, &newest);
    int rc = run(tail, err);
    if (rc == 0 && newest->elements > 0) {
        const redisReply *entry = newest->element[0];
        bool good = entry->type == REDIS_REPLY_ARRAY && entry->elements > 0 &&
                    entry->element[0]->type == REDIS_REPLY_STRING &&
                    ox__position_read(entry->element[0]->str, ms, number);
        if (!good) {
            return ox__fail(err, OX_EDATA,
                "stream %s: the newest entry's id has numbers beyond 2^53", tail->at.name);
        }
    }
    return rc;
}

static int start_at_end(ox_tail *tail, ox_error *err)
{
    int64_t ms, number;
    int rc = find_newest(tail, "+", &ms, &number, err);
    if (rc == 0) {
        tail->counted = number > 0;
        set_position(tail, ms, number);
    }
    return rc;
}

static int bad_place(const ox_tail *tail, const char *place, const char *word, ox_error *err)
{
    return ox__fail(err, OX_EINVAL,
        "stream %s: \"%.60s\" is not a place in a stream: %send, a position such as "
        "1700000000000-42, or Unix ms",
        tail->at.name, place, word);
}

static int start_at(ox_tail *tail, const char *from, ox_error *err)
{
    int64_t ms, number;
    set_position(tail, 0, 0);
    if (from == NULL || strcmp(from, "end") == 0) {
        return start_at_end(tail, err);
    }
    if (strcmp(from, "start") == 0) {
        return 0;
    }
    if (!ox__position_read(from, &ms, &number)) {
        return bad_place(tail, from, "start, ", err);
    }
    tail->counted = strchr(from, '-') != NULL;
    if (tail->counted) {
        set_position(tail, ms, number);
    } else if (ms > 0) {
        set_position(tail, ms - 1, OX__MAX_MS);
    }
    return 0;
}

/* An end that is a time becomes the position of the last event up to it. */
static int end_at(ox_tail *tail, const char *to, ox_error *err)
{
    int64_t ms, number;
    bool is_end = strcmp(to, "end") == 0;
    if (!is_end && !ox__position_read(to, &ms, &number)) {
        return bad_place(tail, to, "", err);
    }
    tail->bounded = true;
    if (!is_end && strchr(to, '-') != NULL) {
        tail->to_ms = ms;
        tail->to_number = number;
        return 0;
    }
    return find_newest(tail, is_end ? "+" : to, &tail->to_ms, &tail->to_number, err);
}

static int copy(char **out, const char *text, ox_error *err)
{
    *out = text != NULL ? strdup(text) : NULL;
    return text == NULL || *out != NULL ? 0 : ox__fail_memory(err);
}

static int init(ox_tail *tail, ox_stream *stream, const ox_tail_options *options, ox_error *err)
{
    int rc = OX__RESERVED(ox_tail_options, options, err);
    if (rc == 0 && options->pattern != NULL) {
        rc = ox__pattern_check(options->pattern, err);
    }
    rc = rc < 0 ? rc : copy(&tail->pattern, options->pattern, err);
    rc = rc < 0 ? rc : copy(&tail->subject, options->subject, err);
    rc = rc < 0 ? rc : copy(&tail->at.name, stream->at.name, err);
    rc = rc < 0 ? rc : copy(&tail->at.base, stream->at.base, err);
    rc = rc < 0 ? rc : ox__client_clone(&tail->client, stream->client, err);
    if (rc == 0) {
        ox__client_blocks(tail->client, true);
        rc = start_at(tail, options->from, err);
    }
    if (rc == 0 && options->to != NULL) {
        rc = end_at(tail, options->to, err);
    }
    tail->before = tail->number;
    return rc;
}

int ox_tail_new(ox_tail **out, ox_stream *stream, const ox_tail_options *options, ox_error *err)
{
    static const ox_tail_options none;
    OX__NEED(out, err);
    OX__NEED(stream, err);
    ox_tail *tail = calloc(1, sizeof(*tail));
    if (tail == NULL) {
        return ox__fail_memory(err);
    }
    int rc = init(tail, stream, options != NULL ? options : &none, err);
    if (rc < 0) {
        ox_tail_free(tail);
        return rc;
    }
    *out = tail;
    return 0;
}

static void free_texts(ox_tail *tail)
{
    for (size_t i = 0; i < 4; i++) {
        free(tail->texts[i]);
        tail->texts[i] = NULL;
    }
}

void ox_tail_free(ox_tail *tail)
{
    if (tail != NULL) {
        ox_client_free(tail->client);
        ox__queue_at_done(&tail->at);
        ox__query_done(&tail->query);
        ox__free_reply(&tail->reply);
        ox__pack_done(&tail->pack);
        free_texts(tail);
        free(tail->pattern);
        free(tail->subject);
        free(tail);
    }
}

const char *ox_tail_position(const ox_tail *tail)
{
    return tail != NULL ? tail->position : NULL;
}

/* ---- events ------------------------------------------------------------------------------ */

static bool is_beyond(const ox_tail *tail, int64_t ms, int64_t number)
{
    return tail->bounded &&
           (ms > tail->to_ms || (ms == tail->to_ms && number > tail->to_number));
}

/* Counts what lies between the last event and this one, which becomes the last. */
static void advance(ox_tail *tail, int64_t ms, int64_t first, int64_t number)
{
    int64_t between = tail->counted ? first - tail->number - 1 : 0;
    tail->before = tail->counted ? tail->before : first - 1;
    tail->before +=
        between < 0 ? between : 0; /* numbers went back: it counts what it has read */
    tail->lost = tail->lost < 0 || between < 0 ? -1 : tail->lost + between;
    tail->counted = true;
    tail->over = tail->bounded && ms == tail->to_ms && number == tail->to_number;
    set_position(tail, ms, number);
}

/* Reads the attributes. Returns 1, 0 for an event that is not wanted, OX_EDATA, OX_ENOMEM. */
static int read_event(ox_tail *tail, char *json, ox_stream_event *out, ox_error *err)
{
    static const char *const names[4] = { "type", "id", "source", "subject" };
    struct ox__slice all = { NULL, NULL };
    size_t length = strlen(json);
    if (ox__stored_value(&all, json, length) < 0) {
        return ox__fail_memory(err);
    }
    if (all.at == NULL || *all.at != '{') {
        return ox__fail(err, OX_EDATA, "stream %s: event %s is not a JSON object",
            tail->at.name, tail->position);
    }
    free_texts(tail);
    for (size_t i = 0; i < 4; i++) {
        struct ox__slice value = ox__slice_get(all, names[i]);
        tail->texts[i] = ox__slice_text(value);
        if (tail->texts[i] == NULL && value.at != NULL && *value.at == '"') {
            return ox__fail_memory(err);
        }
    }
    const char *type = tail->texts[0], *subject = tail->texts[3];
    if ((tail->pattern != NULL &&
            (type == NULL || !ox__pattern_matches(tail->pattern, type))) ||
        (tail->subject != NULL && (subject == NULL || strcmp(tail->subject, subject) != 0))) {
        return 0;
    }
    *out = (ox_stream_event){ .position = tail->position,
        .json = json,
        .length = length,
        .type = type,
        .id = tail->texts[1],
        .source = tail->texts[2],
        .subject = subject,
        .number = tail->number,
        .lost = tail->lost };
    tail->lost = 0;
    return 1;
}

/* The next wanted event of the entry that is read. */
static int next_in_pack(ox_tail *tail, ox_stream_event *out, ox_error *err)
{
    char *json;
    int64_t number;
    while (!tail->over && ox__pack_next(&tail->pack, &number, &json)) {
        if (tail->counted && tail->pack.ms == tail->ms && number <= tail->number) {
            continue; /* it begins inside the entry */
        }
        if (is_beyond(tail, tail->pack.ms, number)) {
            tail->over = true;
            return 0;
        }
        advance(tail, tail->pack.ms, number, number);
        int rc = read_event(tail, json, out, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* Opens the next entry of the reply. One that is no event is passed. */
static int open_entry(ox_tail *tail, ox_error *err)
{
    ox_error why = { 0 };
    redisReply *entry = tail->entries->element[tail->next];
    int rc = ox__pack_read(&tail->pack, entry, &why);
    if (rc == OX_ENOMEM) {
        return ox__fail_memory(err);
    }
    tail->next++;
    if (rc < 0 && tail->pack.number > 0) {
        advance(tail, tail->pack.ms, tail->pack.number, tail->pack.number);
        tail->lost = 0; /* it is told of this entry alone: how many it had is not known */
    } else if (rc < 0) {
        /* Another program's id: read on from there, with the number of the last event. */
        const char *id = entry->type == REDIS_REPLY_ARRAY && entry->elements > 0 &&
                                 entry->element[0]->type == REDIS_REPLY_STRING
                             ? entry->element[0]->str
                             : "";
        if (strlen(id) < sizeof(tail->position)) {
            memcpy(tail->position, id, strlen(id) + 1);
        }
    }
    return rc < 0 ? ox__stream_failed(&tail->at, &why, err) : 0;
}

static int next_here(ox_tail *tail, ox_stream_event *out, ox_error *err)
{
    for (;;) {
        int rc = next_in_pack(tail, out, err);
        if (rc != 0 || tail->over || tail->entries == NULL ||
            tail->next >= tail->entries->elements) {
            return rc;
        }
        rc = open_entry(tail, err);
        if (rc < 0) {
            return rc;
        }
    }
}

int ox__tail_step(ox_tail *tail, ox_stream_event *event, ox_error *err)
{
    int rc = next_here(tail, event, err);
    if (rc != 0 || tail->over) {
        return rc;
    }
    rc = read_some(tail, 0, err);
    if (rc < 0) {
        return rc;
    }
    tail->over = tail->entries == NULL;
    rc = next_here(tail, event, err);
    return rc != 0 || tail->over ? rc : OX__TAIL_MORE;
}

void ox__tail_span(const ox_tail *tail, int64_t *read, int64_t *of)
{
    int64_t all = tail->to_number - tail->before;
    *read = tail->counted ? tail->number - tail->before : 0;
    *of = all > *read ? all : *read;
}

int ox_tail_next(ox_tail *tail, uint32_t timeout_ms, ox_stream_event *event, ox_error *err)
{
    OX__NEED(tail, err);
    OX__NEED(event, err);
    int64_t end_ms = timeout_ms > 0 ? ox__steady_ms() + timeout_ms : 0;
    if (tail->bounded) {
        int rc = OX__TAIL_MORE;
        while (rc == OX__TAIL_MORE) {
            rc = ox__tail_step(tail, event, err);
        }
        return rc;
    }
    for (;;) {
        int rc = next_here(tail, event, err);
        if (rc != 0) {
            return rc;
        }
        if (end_ms != 0 && ox__steady_ms() >= end_ms) {
            return 0;
        }
        rc = read_some(tail, ox__block_ms(end_ms), err);
        if (rc < 0) {
            return rc;
        }
    }
}
