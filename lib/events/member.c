/* member.c - what a member of a group says to the server, and hears from it; see member.h. */
#include "events/member.h"

#include "base/error.h"
#include "scripts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of an entry: many small ones cost a member one more read, once. */
#define SIZE_AT_FIRST 65536

void ox__member_done(struct ox__member *member)
{
    ox__queue_at_done(&member->at);
    free(member->group);
    free(member->name);
    free(member->from);
}

/* Begins a call; all scripts here take these. */
static void begin(
    const struct ox__member *member, struct ox__op *op, const struct ox__script *script)
{
    ox__op_script(op, script, member->at.base);
    ox__op_text(op, "base", member->at.base);
}

static bool is_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING;
}

static bool is_number(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_INTEGER;
}

static bool is_array(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY;
}

/* ---- take -------------------------------------------------------------------------------- */

void ox__member_take(
    const struct ox__member *member, struct ox__op *op, const struct ox__take_wish *wish)
{
    begin(member, op, &ox__script_take_events);
    ox__op_text(op, "prefix", member->at.prefix);
    ox__op_text(op, "stream", member->at.name);
    ox__op_text(op, "group", member->group);
    ox__op_text(op, "member", member->name);
    ox__place_put(op, &member->place);
    ox__op_text(op, "known", member->seen);
    ox__op_int(op, "want", wish->events);
    ox__op_int(op, "bytes", wish->bytes);
    ox__op_int(op, "per", member->per > 1 ? (int64_t)member->per : 1);
    ox__op_int(op, "size", member->size > 0 ? (int64_t)member->size + 1 : SIZE_AT_FIRST);
    ox__op_int(op, "idle_ms", wish->idle_ms);
    ox__op_int(op, "lease_ms", member->ordered ? member->claim_ms : 0);
    ox__op_int(op, "most", member->max_deliveries);
}

enum { OWNER, PLACE, RUNG, LOST, MORE, ENTRIES, GONE, ERRORS, FIELDS };

bool ox__member_take_fits(const struct ox__request *request, const redisReply *reply)
{
    (void)request;
    redisReply *const *field = reply->element;
    return is_number(reply) ||
           (is_array(reply) && reply->elements == FIELDS && is_number(field[OWNER]) &&
               is_text(field[PLACE]) && field[PLACE]->len < OX_POSITION_SIZE &&
               is_text(field[RUNG]) && field[RUNG]->len < OX_POSITION_SIZE &&
               is_number(field[LOST]) && is_number(field[MORE]) && is_array(field[ENTRIES]) &&
               is_array(field[GONE]) && is_array(field[ERRORS]));
}

int ox__member_taken(struct ox__member *member, const redisReply *reply,
    struct ox__take_answer *answer, ox_error *err)
{
    if (is_number(reply)) {
        return ox__script_refusal(reply->integer, NULL, NULL, err);
    }
    redisReply *const *field = reply->element;
    memcpy(member->seen, field[PLACE]->str, field[PLACE]->len + 1);
    memcpy(member->rung, field[RUNG]->str, field[RUNG]->len + 1);
    *answer = (struct ox__take_answer){ .owner = field[OWNER]->integer > 0,
        .look_ms = field[OWNER]->integer < 0 ? -field[OWNER]->integer : 0,
        .lost = field[LOST]->integer,
        .more = field[MORE]->integer != 0,
        .more_old = field[MORE]->integer > 1,
        .entries = field[ENTRIES],
        .errors = field[ERRORS] };
    return 0;
}

/* ---- read -------------------------------------------------------------------------------- */

void ox__member_read(const struct ox__member *member, struct ox__op *op, int64_t count)
{
    OX__AUTO(ox__op_done) struct ox__op part = { .argc = 0 };
    ox__op_transaction(op);
    begin(member, &part, &ox__script_check_group);
    ox__op_text(&part, "group", member->group);
    ox__op_int(&part, "count", count);
    int rc = ox__op_add(op, &part, true, NULL);
    ox__op_command(&part, "XREADGROUP");
    ox__op_text(&part, "", "GROUP");
    ox__op_text(&part, "group", member->group);
    ox__op_text(&part, "member", member->name);
    ox__op_text(&part, "", "COUNT");
    ox__op_int(&part, "count", count);
    ox__op_text(&part, "", "STREAMS");
    ox__op_key(&part, member->at.base, "log");
    ox__op_text(&part, "id", ">");
    rc = rc < 0 ? rc : ox__op_add(op, &part, false, NULL);
    ox__op_exec(op);
    op->bytes.failed = op->bytes.failed || rc < 0;
}

enum { CHECK, READ, READ_PARTS };
enum { CHECK_PLACE, CHECK_RUNG, CHECK_LOST, CHECK_FIELDS };

static bool is_error(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR;
}

static bool check_fits(const redisReply *check)
{
    redisReply *const *field = check->element;
    return is_error(check) || is_number(check) ||
           (is_array(check) && check->elements == CHECK_FIELDS && is_text(field[CHECK_PLACE]) &&
               field[CHECK_PLACE]->len < OX_POSITION_SIZE && is_text(field[CHECK_RUNG]) &&
               field[CHECK_RUNG]->len < OX_POSITION_SIZE && is_number(field[CHECK_LOST]));
}

/* The entries of one stream, with its name; nil when there are none. */
static bool read_fits(const redisReply *read)
{
    return is_error(read) || read->type == REDIS_REPLY_NIL ||
           (is_array(read) && read->elements == 1 && is_array(read->element[0]) &&
               read->element[0]->elements == 2 && is_array(read->element[0]->element[1]));
}

bool ox__member_read_fits(const struct ox__request *request, const redisReply *reply)
{
    (void)request;
    return is_array(reply) && reply->elements == READ_PARTS &&
           check_fits(reply->element[CHECK]) && read_fits(reply->element[READ]);
}

bool ox__member_was_read(struct ox__member *member, const redisReply *reply, int64_t count,
    struct ox__take_answer *answer)
{
    const redisReply *check = reply->element[CHECK], *read = reply->element[READ];
    if (!is_array(check) || is_error(read)) {
        return false;
    }
    redisReply *const *field = check->element;
    const redisReply *entries = is_array(read) ? read->element[0]->element[1] : NULL;
    size_t got = entries != NULL ? entries->elements : 0;
    const redisReply *last = got > 0 ? entries->element[got - 1] : NULL;
    const redisReply *place = last != NULL && is_array(last) && last->elements == 2 &&
                                      is_text(last->element[0]) &&
                                      last->element[0]->len < OX_POSITION_SIZE
                                  ? last->element[0]
                                  : field[CHECK_PLACE];
    memcpy(member->seen, place->str, place->len + 1);
    memcpy(member->rung, field[CHECK_RUNG]->str, field[CHECK_RUNG]->len + 1);
    *answer = (struct ox__take_answer){ .owner = true,
        .lost = field[CHECK_LOST]->integer,
        .more = (int64_t)got >= count,
        .read = true,
        .entries = got > 0 ? entries : NULL };
    return true;
}

bool ox__member_has_read(const redisReply *reply)
{
    return is_array(reply->element[READ]);
}

/* ---- end --------------------------------------------------------------------------------- */

void ox__member_end(const struct ox__member *member, struct ox__op *op, size_t held)
{
    begin(member, op, &ox__script_end_events);
    ox__op_text(op, "group", member->group);
    ox__op_text(op, "member", member->name);
    ox__op_int(op, "held", (int64_t)held);
}

static void put_entry(struct ox__op *op, const struct ox__held *held)
{
    ox__op_text(op, "stream", held->again ? "a" : "l");
    ox__op_text(op, "id", held->id);
}

static void put_letter(struct ox__op *op, const struct ox__event_held *event)
{
    char position[OX_POSITION_SIZE];
    bool dead = event->outcome == OX__EVENT_DEAD;
    ox__held_position(event, position);
    ox__op_text(op, "kind", dead ? "d" : event->outcome == OX__EVENT_ALONE ? "o" : "a");
    ox__op_text(op, "position", position);
    ox__op_bytes(op, "event", event->json, event->length);
    ox__op_text(op, "reason", dead && event->reason != NULL ? event->reason : "");
    ox__op_int(op, "attempts", event->attempts);
    ox__op_int(op, "deliveries", event->entry->deliveries);
}

void ox__member_end_entry(struct ox__op *op, const struct ox__held *held)
{
    size_t back = 0, letters = 0;
    for (size_t i = 0; i < held->count; i++) {
        back += held->events[i].outcome == OX__EVENT_BACK;
        letters += held->events[i].outcome != OX__EVENT_DONE;
    }
    /* One whose log entry is gone can only run again as events of their own. */
    bool whole = back == held->count && !held->gone && !held->skipped;
    char how[48] = { whole ? 'r' : held->gone ? 'g' : 'k', '\0' };
    if (held->untold > 0) {
        snprintf(how + 1, sizeof(how) - 1, "%zu+%lld", held->count, (long long)held->untold);
    } else if (held->gone) {
        snprintf(how + 1, sizeof(how) - 1, "%zu", held->count);
    }
    put_entry(op, held);
    ox__op_text(op, "how", how);
    ox__op_int(op, "letters", whole ? 0 : (int64_t)letters);
    for (size_t i = 0; !whole && i < held->count; i++) {
        if (held->events[i].outcome != OX__EVENT_DONE) {
            put_letter(op, &held->events[i]);
        }
    }
}

/* Nothing but to be acknowledged. */
static bool is_done(const struct ox__held *held)
{
    bool done = !held->again && !held->gone && held->untold == 0;
    for (size_t i = 0; done && i < held->count; i++) {
        done = held->events[i].outcome == OX__EVENT_DONE;
    }
    return done && (held->count > 0 || held->skipped);
}

/* -1, 0 or 1, as ids are in order. */
static int compare_ids(const char *a, const char *b)
{
    int64_t ms[2] = { 0 }, number[2] = { 0 };
    ox__position_read(a, &ms[0], &number[0]);
    ox__position_read(b, &ms[1], &number[1]);
    return ms[0] != ms[1]           ? (ms[0] < ms[1] ? -1 : 1)
           : number[0] != number[1] ? (number[0] < number[1] ? -1 : 1)
                                    : 0;
}

size_t ox__member_ack(const struct ox__member *member, struct ox__op *op, size_t held,
    const struct ox__held_queue *queue, size_t most)
{
    const struct ox__held *entry = queue->head, *low = entry, *high = entry;
    size_t count = 0;
    for (; entry != NULL && count < most; entry = entry->queue_next, count++) {
        if (!is_done(entry)) {
            return 0;
        }
        low = compare_ids(entry->id, low->id) < 0 ? entry : low;
        high = compare_ids(entry->id, high->id) > 0 ? entry : high;
    }
    if (count == 0) {
        return 0;
    }
    begin(member, op, &ox__script_ack_events);
    ox__op_text(op, "group", member->group);
    ox__op_text(op, "member", member->name);
    ox__op_int(op, "held", (int64_t)held);
    ox__op_text(op, "low", low->id);
    ox__op_text(op, "high", high->id);
    entry = queue->head;
    for (size_t i = 0; i < count; i++, entry = entry->queue_next) {
        ox__op_text(op, "id", entry->id);
    }
    return count;
}

/* Pairs of numbers. */
bool ox__member_end_fits(const struct ox__request *request, const redisReply *reply)
{
    (void)request;
    bool good = is_array(reply) && reply->elements % 2 == 0;
    for (size_t i = 0; good && i < reply->elements; i++) {
        good = is_number(reply->element[i]);
    }
    return good;
}

/* ---- renew ------------------------------------------------------------------------------- */

void ox__member_renew(const struct ox__member *member, struct ox__op *op)
{
    begin(member, op, &ox__script_renew_events);
    ox__op_text(op, "group", member->group);
    ox__op_text(op, "member", member->name);
    ox__op_int(op, "lease_ms", member->ordered ? member->claim_ms : 0);
}

void ox__member_renew_entry(struct ox__op *op, const struct ox__held *held)
{
    put_entry(op, held);
    ox__op_int(op, "events", (int64_t)held->count);
}

static bool are(const redisReply *list, bool (*is)(const redisReply *reply))
{
    bool good = is_array(list);
    for (size_t i = 0; good && i < list->elements; i++) {
        good = is(list->element[i]);
    }
    return good;
}

bool ox__member_renew_fits(const struct ox__request *request, const redisReply *reply)
{
    (void)request;
    return is_array(reply) && reply->elements == 4 && is_number(reply->element[0]) &&
           are(reply->element[1], is_number) && are(reply->element[2], is_number) &&
           are(reply->element[3], is_text) && reply->element[3]->elements % 2 == 0;
}

/* ---- sleep, leave ------------------------------------------------------------------------ */

static void put_key(const struct ox__member *member, struct ox__op *op, const char *suffix)
{
    char key[128];
    snprintf(key, sizeof(key), "%s:%s", member->group, suffix);
    ox__op_key(op, member->at.base, key);
}

void ox__member_sleep(
    const struct ox__member *member, struct ox__op *op, uint32_t ms, bool stands_by)
{
    ox__op_command(op, "XREAD");
    ox__op_text(op, "", "COUNT");
    ox__op_int(op, "count", 1);
    ox__op_text(op, "", "BLOCK");
    ox__op_int(op, "ms", ms);
    ox__op_text(op, "", "STREAMS");
    put_key(member, op, "wake");
    if (!stands_by) {
        ox__op_key(op, member->at.base, "log");
    }
    ox__op_text(op, "id", member->rung[0] != '\0' ? member->rung : "0-0");
    if (!stands_by) {
        ox__op_text(op, "id", member->seen);
    }
}

bool ox__member_sleep_fits(const struct ox__request *request, const redisReply *reply)
{
    (void)request;
    bool good = reply->type == REDIS_REPLY_NIL || is_array(reply);
    for (size_t i = 0; good && i < reply->elements; i++) {
        const redisReply *stream = reply->element[i];
        good = is_array(stream) && stream->elements == 2 && is_text(stream->element[0]);
    }
    return good;
}

bool ox__member_was_rung(const redisReply *reply)
{
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *key = reply->element[i]->element[0];
        if (key->len > 5 && strcmp(key->str + key->len - 5, ":wake") == 0) {
            return true;
        }
    }
    return false;
}

void ox__member_leave(const struct ox__member *member, struct ox__op *op)
{
    begin(member, op, &ox__script_leave_group);
    ox__op_text(op, "group", member->group);
    ox__op_text(op, "member", member->name);
}

bool ox__member_leave_fits(const struct ox__request *request, const redisReply *reply)
{
    (void)request;
    return is_number(reply);
}
