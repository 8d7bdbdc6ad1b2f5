/*
 * event.c - events that are to be published, as CloudEvents 1.0 want them.
 *
 * One comes as members of ox_new_event, as structured JSON, or as both: then the members
 * override. Attributes that Ox knows are read, checked and written anew; other ones are
 * extensions, which are checked for what CloudEvents allow and copied, as the data is, without
 * white space around values, so that the whole is one line.
 */
#include "events/event.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/stored.h"
#include "events/pattern.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- attributes -------------------------------------------------------------------------- */

enum { ID, SOURCE, TYPE, TIME, CONTENT_TYPE, SUBJECT, PARTITION_KEY, TRACE_PARENT, ATTRIBUTES };

static const char *const attribute_names[ATTRIBUTES] = { "id", "source", "type", "time",
    "datacontenttype", "subject", "partitionkey", "traceparent" };

struct attributes {
    const char *text[ATTRIBUTES]; /* NULL: it has none */
    char *owned[ATTRIBUTES];      /* those that are copies */
    char id[37], time[40];        /* those that are made here */
};

static void attributes_done(struct attributes *all)
{
    for (size_t i = 0; i < ATTRIBUTES; i++) {
        free(all->owned[i]);
    }
}

static int missing(const char *name, ox_error *err)
{
    return ox__fail(err, OX_EINVAL, "event %s must be a string that is not empty", name);
}

/* Text of an attribute: some, UTF-8, without control characters. */
static int check_text(const char *name, const char *text, ox_error *err)
{
    bool plain = true;
    if (*text == '\0') {
        return missing(name, err);
    }
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            return ox__fail(
                err, OX_EINVAL, "event %s must not contain control characters", name);
        }
        plain &= (unsigned char)*p < 0x80;
    }
    return plain || ox__utf8_valid(text)
               ? 0
               : ox__fail(err, OX_EINVAL, "event %s is not valid UTF-8", name);
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~:/?#[]@!$&'()*+,;=", c) != NULL);
}

int ox__source_check(const char *source, ox_error *err)
{
    static const char hex[] = "0123456789abcdefABCDEF";
    for (const char *p = source; *p != '\0';) {
        if (is_plain(*p)) {
            p++;
            continue;
        }
        if (*p != '%' || p[1] == '\0' || strchr(hex, p[1]) == NULL || p[2] == '\0' ||
            strchr(hex, p[2]) == NULL) {
            return ox__fail(err, OX_EINVAL,
                "event source \"%.80s\" is not a URI reference, such as /cars/api", source);
        }
        p += 3;
    }
    return *source != '\0' ? 0 : missing("source", err);
}

/* The number of two digits. */
static int two(const char *digits)
{
    return (digits[0] - '0') * 10 + digits[1] - '0';
}

/* Whether a text has the form: d is a digit, others stand for themselves in either case. */
static bool has_form(const char *text, const char *form)
{
    size_t i = 0;
    for (; form[i] != '\0'; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (form[i] == 'd' ? !digit : text[i] != form[i] && text[i] != (form[i] | 0x20)) {
            return false;
        }
    }
    return true;
}

/* "Z", or an offset such as "+01:00". */
static bool is_offset(const char *text)
{
    if (*text == 'Z' || *text == 'z') {
        return text[1] == '\0';
    }
    return (*text == '+' || *text == '-') && has_form(text + 1, "dd:dd") && text[6] == '\0' &&
           two(text + 1) <= 23 && two(text + 4) <= 59;
}

/* A time of RFC 3339: "2026-11-29T08:50:00.123Z". */
static bool is_time(const char *text)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd";
    static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (!has_form(text, form)) {
        return false;
    }
    int month = two(text + 5), day = two(text + 8);
    const char *rest = text + sizeof(form) - 1;
    if (*rest == '.') {
        size_t digits = strspn(rest + 1, "0123456789");
        if (digits == 0) {
            return false;
        }
        rest += 1 + digits;
    }
    return is_offset(rest) && month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] &&
           two(text + 11) <= 23 && two(text + 14) <= 59 && two(text + 17) <= 60;
}

/* Most events are of the same second as the one before. */
static int set_time(
    struct attributes *all, struct ox__event_maker *maker, int64_t ms, ox_error *err)
{
    struct tm tm;
    time_t second = ms / 1000;
    /* To the end of the year 9999. */
    if (ms < 0 || ms > INT64_C(253402300799999)) {
        return ox__fail(err, OX_EINVAL, "event time must be 0..253402300799999 ms");
    }
    if (maker->date[0] == '\0' || maker->second != second) {
        gmtime_r(&second, &tm);
        strftime(maker->date, sizeof(maker->date), "%Y-%m-%dT%H:%M:%S", &tm);
        maker->second = second;
    }
    const char rest[] = { '.', (char)('0' + ms / 100 % 10), (char)('0' + ms / 10 % 10),
        (char)('0' + ms % 10), 'Z', '\0' };
    memcpy(all->time, maker->date, sizeof(maker->date) - 1);
    memcpy(all->time + sizeof(maker->date) - 1, rest, sizeof(rest));
    all->text[TIME] = all->time;
    return 0;
}

/* So many random bytes, at most 16: a system call for each event would cost as much as all
 * else that is done with one. */
static const unsigned char *take_random(struct ox__event_maker *maker, size_t count)
{
    size_t size = sizeof(maker->random), have = 0;
    while (maker->random_left < count && have < size) {
        ssize_t got = getrandom(maker->random + have, size - have, 0);
        have += got > 0 ? (size_t)got : 0;
        maker->random_left = have == size ? size : 0;
    }
    maker->random_left -= count;
    return maker->random + size - maker->random_left - count;
}

static char *put_hex(char *out, const unsigned char *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    return out;
}

void ox__uuid7(struct ox__event_maker *maker, char out[37], int64_t now_ms)
{
    static const size_t parts[] = { 4, 2, 2, 2, 6 };
    unsigned char bytes[16];
    for (int i = 0; i < 6; i++) {
        bytes[i] = (unsigned char)(now_ms >> (8 * (5 - i)));
    }
    memcpy(bytes + 6, take_random(maker, 10), 10);
    bytes[6] = (unsigned char)(0x70 | (bytes[6] & 0x0f));
    bytes[8] = (unsigned char)(0x80 | (bytes[8] & 0x3f));
    const unsigned char *p = bytes;
    for (size_t i = 0; i < 5; i++) {
        out = put_hex(out, p, parts[i]);
        *out++ = i < 4 ? '-' : '\0';
        p += parts[i];
    }
}

/* Of the JSON: what the members do not override. */
static int read_whole(struct attributes *all, struct ox__slice whole, ox_error *err)
{
    for (size_t i = 0; i < ATTRIBUTES; i++) {
        struct ox__slice value = ox__slice_get(whole, attribute_names[i]);
        if (all->text[i] != NULL || value.at == NULL) {
            continue;
        }
        if (*value.at != '"') {
            return missing(attribute_names[i], err);
        }
        all->text[i] = all->owned[i] = ox__slice_text(value);
        if (all->text[i] == NULL) {
            return ox__fail_memory(err);
        }
    }
    return 0;
}

/* What an event without it gets. */
static int fill(
    struct attributes *all, struct ox__event_maker *maker, bool binary, ox_error *err)
{
    int64_t now_ms = ox__now_ms();
    if (all->text[ID] == NULL) {
        ox__uuid7(maker, all->id, now_ms);
        all->text[ID] = all->id;
    }
    if (all->text[SOURCE] == NULL) {
        all->text[SOURCE] = maker->source;
    }
    if (all->text[CONTENT_TYPE] == NULL && !binary) {
        all->text[CONTENT_TYPE] = "application/json";
    }
    return all->text[TIME] == NULL ? set_time(all, maker, now_ms, err) : 0;
}

/* What was made here needs no check, and the source of the maker had one. */
static int check_all(
    const struct attributes *all, const struct ox__event_maker *maker, ox_error *err)
{
    bool own[ATTRIBUTES] = { [ID] = all->text[ID] == all->id,
        [TYPE] = true, /* its check allows less */
        [SOURCE] = all->text[SOURCE] == maker->source,
        [TIME] = all->text[TIME] == all->time };
    int rc = ox__type_check(all->text[TYPE], err);
    for (size_t i = 0; rc == 0 && i < ATTRIBUTES; i++) {
        rc = all->text[i] != NULL && !own[i] ? check_text(attribute_names[i], all->text[i], err)
                                             : 0;
    }
    if (rc == 0 && !own[SOURCE]) {
        rc = ox__source_check(all->text[SOURCE], err);
    }
    if (rc == 0 && !own[TIME] && !is_time(all->text[TIME])) {
        rc = ox__fail(err, OX_EINVAL,
            "event time \"%.60s\" is not a time such as 2026-11-29T08:50:00Z", all->text[TIME]);
    }
    return rc;
}

/* ---- the line ---------------------------------------------------------------------------- */

/* Copies valid JSON without the white space around its values. */
static void put_compact(struct ox__buf *out, const char *at, const char *end)
{
    bool inside = false;
    const char *from = at;
    for (; at < end; at++) {
        if (*at == '"') {
            inside = !inside;
        } else if (inside) {
            at += *at == '\\';
        } else if (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r') {
            ox__buf_put(out, from, (size_t)(at - from));
            from = at + 1;
        }
    }
    ox__buf_put(out, from, (size_t)(end - from));
}

#define LINE_START "{\"specversion\":\"1.0\""

static void put_name(struct ox__buf *out, const char *name)
{
    ox__buf_text(out, ",\"");
    ox__buf_text(out, name);
    ox__buf_text(out, "\":");
}

static void put_attributes(
    struct ox__buf *out, const struct attributes *all, struct ox__event_row *row)
{
    ox__buf_text(out, LINE_START);
    for (size_t i = 0; i < ATTRIBUTES; i++) {
        if (all->text[i] != NULL) {
            put_name(out, attribute_names[i]);
            if (i == TYPE) {
                row->type_at = (uint32_t)(out->len + 1 - row->at);
                row->type_len = (uint8_t)strlen(all->text[i]);
            }
            ox__json_string(out, all->text[i], strlen(all->text[i]));
        }
    }
}

/* Whether the value of an extension is one that CloudEvents have: text, a boolean, a whole
 * number of 32 bits. */
static bool is_simple(struct ox__slice value)
{
    double number = ox__slice_number(value);
    return *value.at == '"' || *value.at == 't' || *value.at == 'f' ||
           (number >= -2147483648.0 && number <= 2147483647.0 && number == (double)(int)number);
}

static bool is_ours(struct ox__slice name)
{
    bool found = ox__slice_is(name, "specversion") || ox__slice_is(name, "data") ||
                 ox__slice_is(name, "data_base64");
    for (size_t i = 0; !found && i < ATTRIBUTES; i++) {
        found = ox__slice_is(name, attribute_names[i]);
    }
    return found;
}

static int put_extensions(struct ox__buf *out, struct ox__slice whole, ox_error *err)
{
    struct ox__slice name, value;
    const char *p = NULL;
    while (ox__slice_member(whole, &p, &name, &value)) {
        size_t len = (size_t)(name.end - name.at - 2);
        if (is_ours(name) || *value.at == 'n') {
            continue;
        }
        if (len == 0 || strspn(name.at + 1, "abcdefghijklmnopqrstuvwxyz0123456789") != len) {
            return ox__fail(err, OX_EINVAL,
                "event attribute %.*s: names have only a-z and 0-9; other data belongs into "
                "\"data\"",
                (int)(len > 58 ? 60 : len + 2), name.at);
        }
        if (!is_simple(value)) {
            return ox__fail(err, OX_EINVAL,
                "event attribute %.*s must be a string, a boolean or a 32-bit integer",
                (int)(len > 58 ? 60 : len + 2), name.at);
        }
        ox__buf_char(out, ',');
        ox__buf_put(out, name.at, (size_t)(name.end - name.at));
        ox__buf_char(out, ':');
        put_compact(out, value.at, value.end);
    }
    return 0;
}

static bool is_base64(struct ox__slice value)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789+/";
    if (*value.at != '"') {
        return false;
    }
    size_t len = (size_t)(value.end - value.at - 2), n = strspn(value.at + 1, letters);
    return len % 4 == 0 && len - n <= 2 && n + strspn(value.at + 1 + n, "=") == len;
}

static int put_data(
    struct ox__buf *out, const char *json, struct ox__slice whole, ox_error *err)
{
    struct ox__slice data = ox__slice_get(whole, "data");
    struct ox__slice binary = ox__slice_get(whole, "data_base64");
    if (json != NULL) {
        put_name(out, "data");
        put_compact(out, json, json + strlen(json));
        return 0;
    }
    if (binary.at != NULL && (data.at != NULL || !is_base64(binary))) {
        return ox__fail(err, OX_EINVAL,
            data.at != NULL ? "event has both data and data_base64"
                            : "event data_base64 is not base64");
    }
    if (data.at != NULL || binary.at != NULL) {
        put_name(out, data.at != NULL ? "data" : "data_base64");
        data = data.at != NULL ? data : binary;
        put_compact(out, data.at, data.end);
    }
    return 0;
}

/* The SHA-1 of source, NUL and id. */
int ox__event_key(const char *source, const char *id, char out[41], ox_error *err)
{
    unsigned char bytes[20];
    EVP_MD_CTX *sum = EVP_MD_CTX_new();
    bool good = sum != NULL && EVP_DigestInit_ex(sum, EVP_sha1(), NULL) == 1 &&
                EVP_DigestUpdate(sum, source, strlen(source) + 1) == 1 &&
                EVP_DigestUpdate(sum, id, strlen(id)) == 1 &&
                EVP_DigestFinal_ex(sum, bytes, NULL) == 1;
    EVP_MD_CTX_free(sum);
    if (good) {
        *put_hex(out, bytes, sizeof(bytes)) = '\0';
    }
    return good ? 0 : ox__fail_memory(err);
}

int ox__lines_key(struct ox__lines *lines, size_t i, ox_error *err)
{
    struct ox__event_row *row = &lines->rows[i];
    const char *line = lines->text.data + row->at + sizeof(LINE_START) - 1;
    struct ox__slice id = ox__slice_at(line + sizeof(",\"id\":") - 1);
    struct ox__slice source = ox__slice_at(id.end + sizeof(",\"source\":") - 1);
    OX__AUTO(ox__free_text) char *id_text = ox__slice_text(id);
    OX__AUTO(ox__free_text) char *source_text = ox__slice_text(source);
    if (id_text == NULL || source_text == NULL) {
        return ox__fail_memory(err);
    }
    return ox__event_key(source_text, id_text, row->key, err);
}

static int read_overrides(struct attributes *all, struct ox__event_maker *maker,
    const ox_new_event *event, ox_error *err)
{
    all->text[ID] = event->id;
    all->text[SOURCE] = event->source;
    all->text[TYPE] = event->type;
    all->text[SUBJECT] = event->subject;
    all->text[PARTITION_KEY] = event->partition_key;
    all->text[TRACE_PARENT] = event->trace_parent;
    return event->time_ms != 0 ? set_time(all, maker, event->time_ms, err) : 0;
}

/* The event as JSON, an object; no slice when it is none. */
static int read_event(const char *text, struct ox__slice *whole, ox_error *err)
{
    int rc = ox__json_check(text, "event", err);
    if (rc < 0) {
        return rc;
    }
    *whole = ox__slice_at(text + strspn(text, " \t\n\r"));
    if (*whole->at != '{') {
        return ox__fail(err, OX_EINVAL, "event must be a JSON object");
    }
    struct ox__slice version = ox__slice_get(*whole, "specversion");
    if (version.at != NULL && !ox__slice_is(version, "1.0")) {
        return ox__fail(err, OX_EINVAL, "event specversion must be \"1.0\"");
    }
    return 0;
}

static int build(struct ox__buf *out, struct ox__event_row *row, struct attributes *all,
    struct ox__event_maker *maker, const ox_new_event *event, ox_error *err)
{
    struct ox__slice whole = { NULL, NULL };
    int rc = read_overrides(all, maker, event, err);
    if (rc == 0 && event->json != NULL) {
        rc = ox__json_check(event->json, "event data", err);
    }
    if (rc == 0 && event->event != NULL) {
        rc = read_event(event->event, &whole, err);
        rc = rc < 0 ? rc : read_whole(all, whole, err);
    }
    row->known = all->text[ID] != NULL;
    bool binary = event->json == NULL && ox__slice_get(whole, "data_base64").at != NULL;
    if (rc < 0 || (rc = fill(all, maker, binary, err)) < 0 ||
        (rc = check_all(all, maker, err)) < 0) {
        return rc;
    }
    put_attributes(out, all, row);
    rc = whole.at != NULL ? put_extensions(out, whole, err) : 0;
    rc = rc < 0 ? rc : put_data(out, event->json, whole, err);
    ox__buf_char(out, '}');
    row->len = (uint32_t)(out->len - row->at);
    ox__buf_char(out, '\n');
    if (rc == 0 && row->known) {
        rc = ox__event_key(all->text[SOURCE], all->text[ID], row->key, err);
    }
    return rc < 0 ? rc : out->failed ? ox__fail_memory(err) : 0;
}

/* ---- lines ------------------------------------------------------------------------------- */

int ox__lines_add(struct ox__lines *lines, struct ox__event_maker *maker,
    const ox_new_event *event, ox_error *err)
{
    struct attributes all = { { NULL }, { NULL }, "", "" };
    struct ox__event_row row = { .at = lines->text.len };
    if (lines->count == lines->room) {
        size_t room = lines->room == 0 ? 64 : lines->room * 2;
        struct ox__event_row *rows = realloc(lines->rows, room * sizeof(*rows));
        if (rows == NULL) {
            return ox__fail_memory(err);
        }
        lines->rows = rows;
        lines->room = room;
    }
    int rc = OX__RESERVED(ox_new_event, event, err);
    rc = rc < 0 ? rc : build(&lines->text, &row, &all, maker, event, err);
    attributes_done(&all);
    if (rc < 0) {
        lines->text.len = row.at;
        lines->text.failed = false;
        return rc;
    }
    lines->rows[lines->count++] = row;
    return 0;
}

void ox__lines_reset(struct ox__lines *lines)
{
    ox__buf_reset(&lines->text, 1u << 20);
    lines->count = 0;
}

void ox__lines_done(struct ox__lines *lines)
{
    ox__buf_done(&lines->text);
    free(lines->rows);
    *lines = (struct ox__lines){ .count = 0 };
}
