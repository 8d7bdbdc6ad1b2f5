/*
 * pack.c - reads an entry of a stream's log, and deflates one.
 *
 * Others can write to the log, so nothing is taken for granted: the fields, the count, whether
 * it inflates, and to how much.
 */
#include "events/pack.h"

#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define MAX_INFLATED ((size_t)64 << 20)

static bool read_number(const char **text, int64_t *out)
{
    char *end;
    if (**text < '0' || **text > '9') {
        return false;
    }
    errno = 0;
    unsigned long long value = strtoull(*text, &end, 10);
    *text = end;
    *out = (int64_t)value;
    return errno == 0 && value <= (unsigned long long)OX__MAX_MS;
}

bool ox__position_read(const char *text, int64_t *ms, int64_t *number)
{
    *number = 0;
    if (!read_number(&text, ms)) {
        return false;
    }
    if (*text == '-') {
        text++;
        if (!read_number(&text, number)) {
            return false;
        }
    }
    return *text == '\0';
}

/* The text of a field, or NULL. */
static redisReply *field(const redisReply *fields, const char *name)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        const redisReply *key = fields->element[i];
        if (key->type == REDIS_REPLY_STRING && strcmp(key->str, name) == 0 &&
            fields->element[i + 1]->type == REDIS_REPLY_STRING) {
            return fields->element[i + 1];
        }
    }
    return NULL;
}

/* Inflates into a block of its own that ends in a NUL. Returns 0, OX_EDATA or OX_ENOMEM. */
static int inflate_text(const redisReply *from, char **out, size_t *len)
{
    z_stream z = { .next_in = (Bytef *)from->str, .avail_in = (uInt)from->len };
    size_t room = from->len * 6 + 256, have = 0;
    char *text = NULL;
    int rc = inflateInit(&z), code = rc == Z_OK ? 0 : OX_ENOMEM;
    while (code == 0 && rc == Z_OK) {
        room = room > MAX_INFLATED ? MAX_INFLATED : room;
        char *more = have < room ? realloc(text, room + 1) : NULL;
        if (more == NULL) {
            code = have < room ? OX_ENOMEM : OX_EDATA;
            break;
        }
        text = more;
        z.next_out = (Bytef *)text + have;
        z.avail_out = (uInt)(room - have);
        rc = inflate(&z, Z_NO_FLUSH);
        have = room - z.avail_out;
        code = rc == Z_MEM_ERROR                                        ? OX_ENOMEM
               : rc == Z_STREAM_END || (rc == Z_OK && z.avail_out == 0) ? 0
                                                                        : OX_EDATA;
        room *= 2;
    }
    inflateEnd(&z);
    if (code < 0) {
        free(text);
        return code;
    }
    text[have] = '\0';
    *out = text;
    *len = have;
    return 0;
}

/* Cuts a text at its line feeds; returns how many lines it has. */
static int64_t cut_lines(char *text, size_t len)
{
    int64_t lines = 1;
    char *end = text + len;
    while ((text = memchr(text, '\n', (size_t)(end - text))) != NULL) {
        *text++ = '\0';
        lines++;
    }
    return lines;
}

static int no_event(const char *id, const char *why, ox_error *err)
{
    return ox__fail(err, OX_EDATA, "entry %.48s is no event: %s", id, why);
}

int ox__pack_read(struct ox__pack *pack, redisReply *entry, ox_error *err)
{
    ox__pack_done(pack);
    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
        entry->element[0]->type != REDIS_REPLY_STRING) {
        return no_event("?", "it has no id", err);
    }
    const char *id = entry->element[0]->str;
    bool numbered = ox__position_read(id, &pack->ms, &pack->number) && pack->number > 0;
    pack->next = pack->number + 1;
    if (!numbered || entry->element[1]->type != REDIS_REPLY_ARRAY) {
        pack->number = numbered ? pack->number : 0;
        return no_event(id, numbered ? "it has no fields" : "its id has no number", err);
    }
    const redisReply *fields = entry->element[1], *count = field(fields, "c");
    redisReply *text = field(fields, "e"), *packed = field(fields, "z");
    char *lines = text != NULL ? text->str : NULL;
    size_t len = text != NULL ? text->len : 0;
    int rc = 0;
    if (text == NULL && packed != NULL) {
        rc = inflate_text(packed, &pack->inflated, &len);
        lines = pack->inflated;
    }
    if (rc == OX_ENOMEM) {
        return ox__fail_memory(err);
    }
    if (rc < 0 || lines == NULL) {
        return no_event(
            id, rc < 0 ? "field z does not inflate" : "it has neither field e nor z", err);
    }
    int64_t want = 1, none;
    if (memchr(lines, '\0', len) != NULL ||
        (count != NULL && (!ox__position_read(count->str, &want, &none) || none != 0)) ||
        cut_lines(lines, len) != want || want > pack->number) {
        return no_event(id, "its events are not as many as its field c says", err);
    }
    pack->next = pack->number - want + 1;
    pack->line = lines;
    return 0;
}

bool ox__pack_span(const redisReply *entry, int64_t *before, int64_t *number)
{
    const redisReply *fields = entry->element[1], *count = field(fields, "c");
    int64_t ms, events = 1, none;
    if (!ox__position_read(entry->element[0]->str, &ms, number) ||
        (field(fields, "e") == NULL && field(fields, "z") == NULL)) {
        return false;
    }
    if (count != NULL && (!ox__position_read(count->str, &events, &none) || none != 0)) {
        events = 1;
    }
    *before = *number - events;
    return events > 0 && *before >= 0;
}

bool ox__pack_next(struct ox__pack *pack, int64_t *number, char **json)
{
    if (pack->line == NULL || pack->next > pack->number) {
        return false;
    }
    *json = pack->line;
    *number = pack->next++;
    pack->line += strlen(pack->line) + 1;
    return true;
}

void ox__pack_done(struct ox__pack *pack)
{
    free(pack->inflated);
    *pack = (struct ox__pack){ .ms = 0 };
}

/* ---- deflating --------------------------------------------------------------------------- */

/* Fast rather than small, and with memory for a text of a few pages. */
static bool init_deflater(struct ox__deflater *deflater)
{
    deflater->ready =
        deflateInit2(&deflater->z, 1, Z_DEFLATED, 15, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    return deflater->ready;
}

int64_t ox__deflate(struct ox__deflater *deflater, const char *text, size_t len, ox_error *err)
{
    z_stream *z = &deflater->z;
    if (!deflater->ready && !init_deflater(deflater)) {
        return ox__fail_memory(err);
    }
    if (deflater->room < len) {
        Bytef *out = realloc(deflater->out, len);
        if (out == NULL) {
            return ox__fail_memory(err);
        }
        deflater->out = out;
        deflater->room = len;
    }
    z->next_in = (Bytef *)text;
    z->avail_in = (uInt)len;
    z->next_out = deflater->out;
    z->avail_out = (uInt)len;
    bool whole = deflate(z, Z_FINISH) == Z_STREAM_END;
    size_t size = len - z->avail_out;
    deflateReset(z);
    return whole && size < len ? (int64_t)size : 0;
}

void ox__deflater_done(struct ox__deflater *deflater)
{
    if (deflater->ready) {
        deflateEnd(&deflater->z);
    }
    free(deflater->out);
    *deflater = (struct ox__deflater){ .ready = false };
}
