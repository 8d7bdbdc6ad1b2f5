/*
 * event.c - an event that is to be published, as CloudEvents 1.0 want it.
 *
 * It comes as members of ox_new_event, as structured JSON, or as both: then the members
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
    char *text[ATTRIBUTES]; /* owned; NULL: it has none */
};

static void attributes_done(struct attributes *all)
{
    for (size_t i = 0; i < ATTRIBUTES; i++) {
        free(all->text[i]);
    }
}

static int missing(const char *name, ox_error *err)
{
    return ox__fail(err, OX_EINVAL, "event %s must be a text that is not empty", name);
}

/* Text of an attribute: some, UTF-8, without control characters. */
static int check_text(const char *name, const char *text, ox_error *err)
{
    if (*text == '\0') {
        return missing(name, err);
    }
    if (!ox__utf8_valid(text)) {
        return ox__fail(err, OX_EINVAL, "event %s is not valid UTF-8", name);
    }
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            return ox__fail(
                err, OX_EINVAL, "event %s must not contain control characters", name);
        }
    }
    return 0;
}

int ox__source_check(const char *source, ox_error *err)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "-._~:/?#[]@!$&'()*+,;=";
    static const char hex[] = "0123456789abcdefABCDEF";
    for (const char *p = source + strspn(source, plain); *p != '\0'; p += strspn(p, plain)) {
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

static int set_time(char **out, int64_t ms, ox_error *err)
{
    char text[40];
    struct tm tm;
    time_t seconds = ms / 1000;
    /* To the end of the year 9999. */
    if (ms < 0 || ms > INT64_C(253402300799999) || gmtime_r(&seconds, &tm) == NULL) {
        return ox__fail(err, OX_EINVAL, "event time must be 0..253402300799999 ms");
    }
    size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + len, sizeof(text) - len, ".%03dZ", (int)(ms % 1000));
    *out = strdup(text);
    return *out != NULL ? 0 : ox__fail_memory(err);
}

static int set_text(char **out, const char *text, ox_error *err)
{
    *out = strdup(text);
    return *out != NULL ? 0 : ox__fail_memory(err);
}

void ox__uuid7(char out[37], int64_t now_ms)
{
    unsigned char b[16];
    size_t have = 0;
    while (have < sizeof(b)) {
        ssize_t got = getrandom(b + have, sizeof(b) - have, 0);
        have += got > 0 ? (size_t)got : 0;
    }
    for (int i = 0; i < 6; i++) {
        b[i] = (unsigned char)(now_ms >> (8 * (5 - i)));
    }
    b[6] = (unsigned char)(0x70 | (b[6] & 0x0f));
    b[8] = (unsigned char)(0x80 | (b[8] & 0x3f));
    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
        b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
        b[14], b[15]);
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
        all->text[i] = ox__slice_text(value);
        if (all->text[i] == NULL) {
            return ox__fail_memory(err);
        }
    }
    return 0;
}

/* What an event without it gets. */
static int fill(struct attributes *all, const char *source, bool binary, ox_error *err)
{
    int64_t now_ms = ox__now_ms();
    char id[37];
    int rc = 0;
    if (all->text[ID] == NULL) {
        ox__uuid7(id, now_ms);
        rc = set_text(&all->text[ID], id, err);
    }
    if (rc == 0 && all->text[SOURCE] == NULL) {
        rc = set_text(&all->text[SOURCE], source, err);
    }
    if (rc == 0 && all->text[TIME] == NULL) {
        rc = set_time(&all->text[TIME], now_ms, err);
    }
    if (rc == 0 && all->text[CONTENT_TYPE] == NULL && !binary) {
        rc = set_text(&all->text[CONTENT_TYPE], "application/json", err);
    }
    return rc;
}

static int check_all(const struct attributes *all, ox_error *err)
{
    int rc = ox__type_check(all->text[TYPE], err);
    for (size_t i = 0; rc == 0 && i < ATTRIBUTES; i++) {
        rc = all->text[i] != NULL ? check_text(attribute_names[i], all->text[i], err) : 0;
    }
    if (rc == 0) {
        rc = ox__source_check(all->text[SOURCE], err);
    }
    if (rc == 0 && !is_time(all->text[TIME])) {
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

static void put_name(struct ox__buf *out, const char *name)
{
    ox__buf_text(out, ",\"");
    ox__buf_text(out, name);
    ox__buf_text(out, "\":");
}

static void put_attributes(struct ox__buf *out, const struct attributes *all)
{
    ox__buf_text(out, "{\"specversion\":\"1.0\"");
    for (size_t i = 0; i < ATTRIBUTES; i++) {
        if (all->text[i] != NULL) {
            put_name(out, attribute_names[i]);
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
                "event attribute %.*s: a name has a-z and 0-9 alone; other data belongs into "
                "\"data\"",
                (int)(len > 58 ? 60 : len + 2), name.at);
        }
        if (!is_simple(value)) {
            return ox__fail(err, OX_EINVAL,
                "event attribute %.*s must be a text, a boolean or a whole number of 32 bits",
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
    struct ox__buf bytes = { 0 };
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    ox__buf_put(&bytes, source, strlen(source) + 1);
    ox__buf_text(&bytes, id);
    bool good =
        !bytes.failed && EVP_Digest(bytes.data, bytes.len, sum, &size, EVP_sha1(), NULL) == 1;
    ox__buf_done(&bytes);
    for (unsigned i = 0; good && i < 20; i++) {
        snprintf(out + (size_t)2 * i, 3, "%02x", sum[i]);
    }
    return good ? 0 : ox__fail_memory(err);
}

static int read_overrides(struct attributes *all, const ox_new_event *event, ox_error *err)
{
    const char *const given[ATTRIBUTES] = { [ID] = event->id,
        [SOURCE] = event->source,
        [TYPE] = event->type,
        [SUBJECT] = event->subject,
        [PARTITION_KEY] = event->partition_key,
        [TRACE_PARENT] = event->trace_parent };
    int rc = event->time_ms != 0 ? set_time(&all->text[TIME], event->time_ms, err) : 0;
    for (size_t i = 0; rc == 0 && i < ATTRIBUTES; i++) {
        rc = given[i] != NULL ? set_text(&all->text[i], given[i], err) : 0;
    }
    return rc;
}

/* The event as JSON, an object; no slice when it is none. */
static int read_event(const char *text, struct ox__slice *whole, ox_error *err)
{
    int rc = ox__json_check(text, "event", err);
    if (rc == 0) {
        rc = ox__stored_value(whole, text, strlen(text));
    }
    if (rc < 0) {
        return rc == OX_ENOMEM ? ox__fail_memory(err) : rc;
    }
    if (whole->at == NULL || *whole->at != '{') {
        return ox__fail(err, OX_EINVAL, "event must be a JSON object");
    }
    struct ox__slice version = ox__slice_get(*whole, "specversion");
    if (version.at != NULL && !ox__slice_is(version, "1.0")) {
        return ox__fail(err, OX_EINVAL, "event specversion must be \"1.0\"");
    }
    return 0;
}

static int build(struct ox__event_in *in, struct attributes *all, const ox_new_event *event,
    const char *source, ox_error *err)
{
    struct ox__slice whole = { NULL, NULL };
    int rc = read_overrides(all, event, err);
    if (rc == 0 && event->json != NULL) {
        rc = ox__json_check(event->json, "event data", err);
    }
    if (rc == 0 && event->event != NULL) {
        rc = read_event(event->event, &whole, err);
        rc = rc < 0 ? rc : read_whole(all, whole, err);
    }
    in->known = all->text[ID] != NULL;
    bool binary = event->json == NULL && ox__slice_get(whole, "data_base64").at != NULL;
    if (rc < 0 || (rc = fill(all, source, binary, err)) < 0 || (rc = check_all(all, err)) < 0 ||
        (rc = ox__event_key(all->text[SOURCE], all->text[ID], in->key, err)) < 0) {
        return rc;
    }
    put_attributes(&in->json, all);
    rc = whole.at != NULL ? put_extensions(&in->json, whole, err) : 0;
    rc = rc < 0 ? rc : put_data(&in->json, event->json, whole, err);
    ox__buf_char(&in->json, '}');
    in->type = OX__STEAL(all->text[TYPE]);
    return rc < 0 ? rc : in->json.failed ? ox__fail_memory(err) : 0;
}

int ox__event_in_init(
    struct ox__event_in *in, const ox_new_event *event, const char *source, ox_error *err)
{
    struct attributes all = { { NULL } };
    memset(in, 0, sizeof(*in));
    int rc = OX__RESERVED(ox_new_event, event, err);
    if (rc == 0) {
        rc = build(in, &all, event, source, err);
    }
    attributes_done(&all);
    if (rc < 0) {
        ox__event_in_done(in);
    }
    return rc;
}

void ox__event_in_done(struct ox__event_in *in)
{
    free(in->type);
    ox__buf_done(&in->json);
    in->type = NULL;
}
