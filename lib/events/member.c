/* member.c - what a member of a group says to the server, and hears from it; see member.h. */
#include "events/member.h"

#include "base/error.h"
#include "scripts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        .entries = field[ENTRIES],
        .gone = field[GONE],
        .errors = field[ERRORS] };
    return 0;
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
    char gone[24];
    snprintf(gone, sizeof(gone), "g%zu", held->count);
    put_entry(op, held);
    ox__op_text(op, "how", whole ? "r" : held->gone ? gone : "k");
    ox__op_int(op, "letters", whole ? 0 : (int64_t)letters);
    for (size_t i = 0; !whole && i < held->count; i++) {
        if (held->events[i].outcome != OX__EVENT_DONE) {
            put_letter(op, &held->events[i]);
        }
    }
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
