/*
 * fuzz_events.c - events that somebody publishes, entries that somebody wrote to a log, and
 * patterns of types.
 *
 * Input: a letter, then
 *   e  an event as JSON: one that is taken is a line, and taken again as it is;
 *   p  an entry of the log: id, names and values, with a byte 1f between; a value of z is all
 *      the rest. Its events are as many as it says, and have the numbers up to that of the id;
 *   z  the events of an entry, which are deflated first: they come out as they went in;
 *   m  a pattern and a type, with a byte 1f between: they match as the rules say.
 */
#include "fuzz.h"

#include <hiredis/hiredis.h>
#include <zlib.h>

#include "lib/events/event.h"
#include "lib/events/pack.h"
#include "lib/events/pattern.h"

#define SEPARATOR 0x1f
#define MAX_PARTS 16

/* ---- an event ---------------------------------------------------------------------------- */

static void publish(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    const ox_new_event event = { .event = text };
    struct ox__lines lines = { .count = 0 };
    struct ox__event_maker maker = { .source = "/fuzz" }, other = { .source = "/other" };
    ox_error err = { 0 };
    int rc = ox__lines_add(&lines, &maker, &event, &err);
    free(text);
    if (rc < 0) {
        expect(lines.count == 0 && lines.text.len == 0);
        ox__lines_done(&lines);
        fuzz_failure(&err, rc);
        return;
    }
    const struct ox__event_row row = lines.rows[0];
    char *line = fuzz_text((const uint8_t *)lines.text.data, row.len);
    expect(strlen(line) == row.len && strchr(line, '\n') == NULL);
    expect(ox_json_valid(line, row.len));
    char *type = fuzz_text((const uint8_t *)line + row.type_at, row.type_len);
    expect(ox__type_check(type, NULL) == 0);
    free(type);
    const ox_new_event same = { .event = line };
    expect(ox__lines_add(&lines, &other, &same, &err) == 0);
    const struct ox__event_row *again = &lines.rows[1];
    expect(again->known && strlen(again->key) == 40);
    expect(again->len == row.len && memcmp(lines.text.data + again->at, line, again->len) == 0);
    /* The key that is made of the line is the one that was made of the attributes. */
    char key[41];
    memcpy(key, again->key, sizeof(key));
    expect(ox__lines_key(&lines, 0, &err) == 0 && strcmp(lines.rows[0].key, key) == 0);
    ox__lines_done(&lines);
    free(line);
}

/* ---- an entry ---------------------------------------------------------------------------- */

static redisReply *new_text(const uint8_t *data, size_t size)
{
    redisReply *reply = calloc(1, sizeof(*reply));
    expect(reply != NULL);
    reply->type = REDIS_REPLY_STRING;
    reply->str = fuzz_text(data, size);
    reply->len = size;
    return reply;
}

static redisReply *new_array(redisReply **elements, size_t count)
{
    redisReply *reply = calloc(1, sizeof(*reply));
    expect(reply != NULL);
    reply->type = REDIS_REPLY_ARRAY;
    reply->element = calloc(count + 1, sizeof(*elements));
    expect(reply->element != NULL);
    memcpy(reply->element, elements, count * sizeof(*elements));
    reply->elements = count;
    return reply;
}

/* An entry of these parts, the id first. */
static redisReply *new_entry(redisReply **parts, size_t count)
{
    redisReply *both[2] = { parts[0], new_array(parts + 1, count - 1) };
    return new_array(both, 2);
}

static void free_reply(redisReply *reply)
{
    for (size_t i = 0; i < reply->elements; i++) {
        free_reply(reply->element[i]);
    }
    free(reply->element);
    free(reply->str);
    free(reply);
}

/* Returns how many events it has, or -1 when it is no event. */
static int64_t read_entry(redisReply *entry, struct ox__pack *pack)
{
    int64_t number, count = 0, before = 0, first = 0, last = 0;
    ox_error err = { 0 };
    char *json;
    bool spans = ox__pack_span(entry, &first, &last);
    int rc = ox__pack_read(pack, entry, &err);
    if (rc < 0) {
        fuzz_failure(&err, rc);
        expect(!ox__pack_next(pack, &number, &json));
        return -1;
    }
    expect(pack->ms >= 0 && pack->number > 0);
    expect(spans && first == pack->next - 1 && last == pack->number);
    while (ox__pack_next(pack, &number, &json)) {
        expect(count == 0 || number == before + 1);
        expect(number > 0 && strchr(json, '\n') == NULL);
        before = number;
        count++;
    }
    expect(before == pack->number);
    return count;
}

static void read_parts(const uint8_t *data, size_t size)
{
    redisReply *parts[MAX_PARTS];
    struct ox__pack pack = { 0 };
    size_t count = 0;
    while (count < MAX_PARTS) {
        bool rest = count % 2 == 0 && count > 0 && strcmp(parts[count - 1]->str, "z") == 0;
        const uint8_t *end = rest || size == 0 ? NULL : memchr(data, SEPARATOR, size);
        size_t length = end != NULL ? (size_t)(end - data) : size;
        parts[count++] = new_text(data, length);
        if (end == NULL) {
            break;
        }
        data += length + 1;
        size -= length + 1;
    }
    redisReply *entry = new_entry(parts, count);
    read_entry(entry, &pack);
    ox__pack_done(&pack);
    free_reply(entry);
}

static void read_deflated(const uint8_t *data, size_t size)
{
    uLongf room = compressBound((uLong)size);
    Bytef *packed = malloc(room);
    char count[24];
    int64_t lines = 1;
    struct ox__pack pack = { 0 };
    expect(packed != NULL && compress(packed, &room, data, (uLong)size) == Z_OK);
    for (size_t i = 0; i < size; i++) {
        lines += data[i] == '\n';
    }
    int digits = snprintf(count, sizeof(count), "%lld", (long long)lines);
    redisReply *parts[] = { new_text((const uint8_t *)"1700000000000-100000", 20),
        new_text((const uint8_t *)"z", 1), new_text(packed, room),
        new_text((const uint8_t *)"c", 1), new_text((const uint8_t *)count, (size_t)digits) };
    redisReply *entry = new_entry(parts, 5);
    bool clean = size == 0 || memchr(data, '\0', size) == NULL;
    expect(read_entry(entry, &pack) == (clean ? lines : -1));
    ox__pack_done(&pack);
    free_reply(entry);
    free(packed);
}

/* ---- a pattern --------------------------------------------------------------------------- */

/* The rules, said in another way: segment by segment. */
static bool matches(const char *pattern, const char *type)
{
    g_auto(GStrv) want = g_strsplit(pattern, ".", -1);
    g_auto(GStrv) have = g_strsplit(type, ".", -1);
    guint i = 0;
    for (; want[i] != NULL && have[i] != NULL; i++) {
        if (strcmp(want[i], ">") == 0) {
            return true;
        }
        if (strcmp(want[i], "*") != 0 && strcmp(want[i], have[i]) != 0) {
            return false;
        }
    }
    return want[i] == NULL && have[i] == NULL;
}

static void match(const uint8_t *data, size_t size)
{
    char *pattern = fuzz_text(data, size);
    char *type = strchr(pattern, SEPARATOR);
    ox_error err = { 0 };
    if (type != NULL) {
        *type++ = '\0';
        int wild = ox__pattern_check(pattern, &err), plain = ox__type_check(type, NULL);
        if (wild < 0) {
            fuzz_failure(&err, wild);
        }
        bool found = ox__pattern_matches(pattern, type);
        expect(wild < 0 || plain < 0 || found == matches(pattern, type));
        expect(ox__type_check(pattern, NULL) < 0 || wild == 0);
    }
    free(pattern);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    switch (data[0]) {
    case 'e':
        publish(data + 1, size - 1);
        break;
    case 'p':
        read_parts(data + 1, size - 1);
        break;
    case 'z':
        read_deflated(data + 1, size - 1);
        break;
    case 'm':
        match(data + 1, size - 1);
        break;
    default:
        break;
    }
    return 0;
}
