/* call.c - encodes calls of the script that publishes, and reads its answers. */
#include "events/call.h"

#include "base/clock.h"
#include "base/error.h"
#include "scripts.h"

#include <stdlib.h>
#include <string.h>

/* Whatever is trimmed goes by whole entries, so these are kept small; deflated text has a
 * fourth of its size. */
#define PLAIN_BYTES 4096u
#define DEFLATED_BYTES 16384u
#define MAX_TRIES 8 /* settings that change back and forth meanwhile */

static const struct ox__event_row *row_at(const struct ox__publish_call *call, size_t i)
{
    return &call->lines->rows[call->from + i];
}

/* ---- what is sent ------------------------------------------------------------------------ */

static size_t largest(const struct ox__publish_call *call)
{
    size_t most = 0;
    for (size_t i = 0; i < call->count; i++) {
        const struct ox__event_row *row = row_at(call, i);
        most = !row->left_out && row->len > most ? row->len : most;
    }
    return most;
}

static bool is_keyed(const struct ox__publish_call *call)
{
    bool keyed = (call->form->needs & OX__NEEDS_KEYS) != 0;
    for (size_t i = 0; !keyed && i < call->count; i++) {
        keyed = row_at(call, i)->known && !row_at(call, i)->left_out;
    }
    return keyed;
}

/* Where the pack ends that begins at event `i`. */
static size_t pack_end(const struct ox__publish_call *call, size_t i, size_t most)
{
    size_t size = row_at(call, i)->len, end = i + 1;
    while (end < call->count && !row_at(call, end)->left_out &&
           size + 1 + row_at(call, end)->len <= most) {
        size += 1 + row_at(call, end)->len;
        end++;
    }
    return end;
}

static int put_keys(
    struct ox__op *op, const struct ox__publish_call *call, size_t i, size_t end, ox_error *err)
{
    struct ox__buf keys = { 0 };
    int rc = 0;
    for (; rc == 0 && i < end; i++) {
        const struct ox__event_row *row = row_at(call, i);
        rc = row->key[0] != '\0' ? 0 : ox__lines_key(call->lines, call->from + i, err);
        ox__buf_char(&keys, row->known ? '1' : '0');
        ox__buf_put(&keys, row->key, sizeof(row->key) - 1);
        ox__buf_char(&keys, ',');
    }
    op->bytes.failed |= keys.failed;
    ox__op_bytes(op, "keys", keys.data, keys.failed ? 0 : keys.len - 1);
    ox__buf_done(&keys);
    return rc;
}

/* One for all when they are alike. */
static void put_types(
    struct ox__op *op, const struct ox__publish_call *call, size_t i, size_t end)
{
    const char *text = call->lines->text.data;
    const struct ox__event_row *first = row_at(call, i);
    const char *type = text + first->at + first->type_at;
    struct ox__buf types = { 0 };
    bool alike = true;
    for (size_t j = i; j < end; j++) {
        const struct ox__event_row *row = row_at(call, j);
        const char *other = text + row->at + row->type_at;
        alike = alike && row->type_len == first->type_len &&
                memcmp(type, other, row->type_len) == 0;
        ox__buf_put(&types, other, row->type_len);
        ox__buf_char(&types, ',');
    }
    if (alike || types.failed) {
        op->bytes.failed |= types.failed;
        ox__op_bytes(op, "types", type, first->type_len);
    } else {
        ox__op_bytes(op, "types", types.data, types.len - 1);
    }
    ox__buf_done(&types);
}

static int put_pack(struct ox__op *op, const struct ox__publish_call *call, size_t i,
    size_t end, bool keyed, ox_error *err)
{
    const struct ox__event_row *last = row_at(call, end - 1);
    const char *text = call->lines->text.data + row_at(call, i)->at;
    size_t len = last->at + last->len - row_at(call, i)->at;
    int64_t packed = 0;
    int rc = 0;
    ox__op_int(op, "count", (int64_t)(end - i));
    if (keyed) {
        rc = put_keys(op, call, i, end, err);
        put_types(op, call, i, end);
    } else {
        ox__op_text(op, "keys", "");
        ox__op_text(op, "types", "");
    }
    if (call->form->needs & OX__NEEDS_DEFLATED) {
        packed = ox__deflate(&call->form->deflater, text, len, err);
    }
    ox__op_bytes(op, "text", text, packed > 0 && !keyed ? 0 : len);
    ox__op_bytes(op, "packed", call->form->deflater.out, packed > 0 ? (size_t)packed : 0);
    return rc < 0 ? rc : packed < 0 ? (int)packed : 0;
}

static int encode(struct ox__query *query, const struct ox__queue_at *at,
    struct ox__publish_call *call, ox_error *err)
{
    bool keyed = is_keyed(call), deflated = (call->form->needs & OX__NEEDS_DEFLATED) != 0;
    int rc = 0;
    ox__query_script(query, at, &ox__script_publish_events);
    query->at = NULL; /* a stream is no queue, so errors name none */
    ox__op_text(&query->op, "prefix", at->prefix);
    ox__op_text(&query->op, "stream", at->name);
    ox__op_int(&query->op, "now", ox__now_ms());
    ox__op_text(&query->op, "id", call->id != NULL ? call->id : "");
    ox__op_text(&query->op, "deflated", deflated ? "1" : "0");
    ox__op_int(&query->op, "largest", (int64_t)largest(call));
    for (size_t i = 0; rc == 0 && i < call->count;) {
        size_t end = i + 1;
        if (!row_at(call, i)->left_out) {
            end = pack_end(call, i, deflated ? DEFLATED_BYTES : PLAIN_BYTES);
            rc = put_pack(&query->op, call, i, end, keyed, err);
        }
        i = end;
    }
    return rc;
}

/* ---- what is answered -------------------------------------------------------------------- */

static bool is_number(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_INTEGER;
}

static int too_large(struct ox__publish_call *call, int64_t limit, ox_error *err)
{
    call->max_event = limit;
    for (size_t i = 0; i < call->count; i++) {
        if (call->count > 1 && !row_at(call, i)->left_out && row_at(call, i)->len > limit) {
            return ox__fail(err, OX_EINVAL,
                "event %zu of %zu in one call is larger than %lld bytes, the stream's "
                "max_event",
                i + 1, call->count, (long long)limit);
        }
    }
    return ox__fail(err, OX_EINVAL,
        "the event is larger than %lld bytes, the stream's max_event", (long long)limit);
}

/* "<ms>-" in `out`; returns its length. */
static size_t put_time(char *out, int64_t ms)
{
    size_t len = ox__int_text(out, ms);
    out[len++] = '-';
    return len;
}

static size_t count_sent(const struct ox__publish_call *call)
{
    size_t sent = 0;
    for (size_t i = 0; i < call->count; i++) {
        sent += !row_at(call, i)->left_out;
    }
    return sent;
}

/* Reads the outcome of events, `items` or NULL: all are new, without jobs. Returns how many
 * were published, or -1. */
static int read_items(
    const struct ox__publish_call *call, int64_t ms, int64_t number, redisReply *const *items)
{
    ox_published none = { .jobs = 0 };
    char time[OX_POSITION_SIZE];
    size_t len = put_time(time, ms);
    int published = 0;
    for (size_t i = 0; i < call->count; i++) {
        if (row_at(call, i)->left_out) {
            continue;
        }
        const redisReply *item = items != NULL ? *items++ : NULL;
        ox_published *out = call->out != NULL ? &call->out[i] : &none;
        memset(out, 0, sizeof(*out));
        if (item != NULL && item->type == REDIS_REPLY_STRING && item->len < OX_POSITION_SIZE) {
            memcpy(out->position, item->str, item->len);
            out->duplicate = true;
            continue;
        }
        if (item != NULL && (!is_number(item) || item->integer < 0)) {
            return -1;
        }
        out->jobs = item != NULL ? (uint32_t)item->integer : 0;
        memcpy(out->position, time, len);
        out->position[len + ox__int_text(out->position + len, ++number)] = '\0';
        published++;
    }
    return published;
}

static int decode(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct ox__publish_call *call = query->out;
    const redisReply *all = *reply;
    call->again = false;
    call->max_event = 0;
    if (is_number(all)) {
        return ox__query_refusal(query, all->integer, err);
    }
    if (all->type != REDIS_REPLY_ARRAY || all->elements < 2 || !is_number(all->element[0]) ||
        !is_number(all->element[1])) {
        return ox__query_misfit(query, err);
    }
    int64_t ms = all->element[0]->integer, number = all->element[1]->integer;
    if (ms == OX__TOO_LARGE) {
        return too_large(call, number, err);
    }
    if (ms == OX__PUBLISH_AGAIN) {
        call->form->needs = (unsigned)number;
        call->again = true;
        return 0;
    }
    size_t sent = count_sent(call), items = all->elements - 3;
    if (ms < 0 || ms > OX__MAX_MS || number < 0 || number > OX__MAX_MS || all->elements < 3 ||
        !is_number(all->element[2]) || (items != 0 && items != sent)) {
        return ox__query_misfit(query, err);
    }
    call->form->needs = (unsigned)all->element[2]->integer;
    int published = read_items(call, ms, number, items > 0 ? all->element + 3 : NULL);
    return published >= 0 ? published : ox__query_misfit(query, err);
}

/* ---- the operation ----------------------------------------------------------------------- */

struct steps {
    const struct ox__queue_at *at;
    struct ox__publish_call *call;
};

static int next(void *state, struct ox__query *query, ox_error *err)
{
    struct steps *steps = state;
    struct ox__publish_call *call = steps->call;
    if (call->tries > 0 && !call->again) {
        return 0;
    }
    if (call->tries++ == MAX_TRIES) {
        return ox__fail(err, OX_ESTATE, "its settings changed %d times meanwhile", MAX_TRIES);
    }
    int rc = encode(query, steps->at, call, err);
    ox__query_into(query, decode, call);
    return rc < 0 ? rc : 1;
}

int ox__publish_query(struct ox__query *query, const struct ox__queue_at *at,
    struct ox__publish_call *call, ox_error *err)
{
    struct steps *steps = ox__query_steps(query, at, sizeof(*steps), next, NULL, err);
    if (steps == NULL) {
        return OX_ENOMEM;
    }
    *steps = (struct steps){ .at = at, .call = call };
    call->tries = 0;
    call->again = false;
    return 0;
}
