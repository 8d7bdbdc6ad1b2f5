/* json.c - a JSON checker and string writer; see json.h for why there is one. */
#include "base/json.h"

#include "base/error.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS_BYTES (OX__JSON_DEPTH / 8)

struct scan {
    const unsigned char *at, *end;
    unsigned rules;
    /* A bit for each open container: 1 for an object. `levels` is `near` or heap memory. */
    size_t depth, room_bytes;
    unsigned char *levels, near[LEVELS_BYTES];
    bool no_memory;
};

static void skip_space(struct scan *s)
{
    while (s->at < s->end &&
           (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r')) {
        s->at++;
    }
}

/* Length of the UTF-8 sequence at `p`, 0 when it is none (overlong, surrogate, cut off). */
static size_t utf8_length(const unsigned char *p, const unsigned char *end)
{
    size_t left = (size_t)(end - p);
    unsigned char c = p[0];
    if (c < 0x80) {
        return 1;
    }
    if (c >= 0xc2 && c <= 0xdf) {
        return left > 1 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    }
    if (c >= 0xe0 && c <= 0xef) {
        bool ok = left > 2 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80;
        ok = ok && !(c == 0xe0 && p[1] < 0xa0) && !(c == 0xed && p[1] > 0x9f);
        return ok ? 3 : 0;
    }
    if (c >= 0xf0 && c <= 0xf4) {
        bool ok =
            left > 3 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80 && (p[3] & 0xc0) == 0x80;
        ok = ok && !(c == 0xf0 && p[1] < 0x90) && !(c == 0xf4 && p[1] > 0x8f);
        return ok ? 4 : 0;
    }
    return 0;
}

bool ox__utf8_valid(const char *text)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + strlen(text);
    size_t step = 1;
    while (p < end && (step = utf8_length(p, end)) > 0) {
        p += step;
    }
    return step > 0;
}

static bool is_hex(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool scan_escape(struct scan *s)
{
    if (++s->at >= s->end) {
        return false;
    }
    if (*s->at != 'u') {
        return memchr("\"\\/bfnrt", *s->at, 8) != NULL && s->at++ != NULL;
    }
    for (int i = 0; i < 4; i++) {
        if (++s->at >= s->end || !is_hex(*s->at)) {
            return false;
        }
    }
    s->at++;
    return true;
}

/* Skips to the first byte that is not plain: a quote, a backslash, a control character or
 * beyond ASCII. Most bytes are plain, so eight are tested together: a top bit of `odd` is set
 * when some byte of `word` is not plain. */
static const unsigned char *skip_plain(const unsigned char *p, const unsigned char *end)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        uint64_t odd = word | (word - each * 0x20) | ((word ^ (each * '"')) - each) |
                       ((word ^ (each * '\\')) - each);
        if (odd & (each * 0x80)) {
            break;
        }
        p += sizeof(word);
    }
    while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') {
        p++;
    }
    return p;
}

/* From the opening quote to past the closing one. */
static bool scan_string(struct scan *s)
{
    s->at++;
    while ((s->at = skip_plain(s->at, s->end)) < s->end) {
        unsigned char c = *s->at;
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c < 0x20 || (c == '\\' && !scan_escape(s))) {
            return false;
        }
        if (c != '\\') {
            size_t len = utf8_length(s->at, s->end);
            if (len == 0 && !(s->rules & OX__JSON_BYTES)) {
                return false;
            }
            s->at += len > 0 ? len : 1;
        }
    }
    return false;
}

static bool scan_digits(struct scan *s)
{
    const unsigned char *start = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9') {
        s->at++;
    }
    return s->at > start;
}

static bool scan_number(struct scan *s)
{
    if (*s->at == '-') {
        s->at++;
    }
    if (s->at < s->end && *s->at == '0') {
        s->at++;
    } else if (!scan_digits(s)) {
        return false;
    }
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (!scan_digits(s)) {
            return false;
        }
    }
    if (s->at < s->end && (*s->at | 0x20) == 'e') {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-')) {
            s->at++;
        }
        return scan_digits(s);
    }
    return true;
}

static bool scan_word(struct scan *s, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0) {
        return false;
    }
    s->at += len;
    return true;
}

static bool scan_scalar(struct scan *s)
{
    switch (*s->at) {
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        return scan_number(s);
    }
}

/* In an object, the part before the value: "name" : */
static bool scan_name(struct scan *s)
{
    skip_space(s);
    if (s->at >= s->end || *s->at != '"' || !scan_string(s)) {
        return false;
    }
    skip_space(s);
    return s->at < s->end && *s->at == ':' && s->at++ != NULL;
}

/* Room for one more level; most texts never need more than `near`. */
static bool grow(struct scan *s)
{
    if (s->depth / 8 < s->room_bytes) {
        return true;
    }
    if (!(s->rules & OX__JSON_DEEP)) {
        return false;
    }
    unsigned char *more = malloc(s->room_bytes * 2);
    if (more == NULL) {
        s->no_memory = true;
        return false;
    }
    memcpy(more, s->levels, s->room_bytes);
    if (s->levels != s->near) {
        free(s->levels);
    }
    s->levels = more;
    s->room_bytes *= 2;
    return true;
}

static bool push(struct scan *s, bool object)
{
    if (!grow(s)) {
        return false;
    }
    unsigned char bit = (unsigned char)(1u << (s->depth % 8));
    unsigned char *byte = &s->levels[s->depth / 8];
    *byte = (unsigned char)(object ? *byte | bit : *byte & ~bit);
    s->depth++;
    return true;
}

static bool in_object(const struct scan *s)
{
    return s->levels[(s->depth - 1) / 8] >> ((s->depth - 1) % 8) & 1;
}

/* Opens a container: true with *empty when it closes at once. An empty one counts as a level
 * too. */
static bool scan_open(struct scan *s, bool object, bool *empty)
{
    if (!push(s, object)) {
        return false;
    }
    s->at++;
    skip_space(s);
    *empty = s->at < s->end && *s->at == (object ? '}' : ']');
    if (*empty) {
        s->at++;
        s->depth--;
        return true;
    }
    return !object || scan_name(s);
}

/* A value is complete: closes what ends here, or goes on behind a comma. Returns 1 when all is
 * closed, 0 when a value has to follow, -1 when it is not JSON. */
static int scan_close(struct scan *s)
{
    while (s->depth > 0) {
        skip_space(s);
        if (s->at >= s->end) {
            return -1;
        }
        if (*s->at == ',') {
            s->at++;
            return !in_object(s) || scan_name(s) ? 0 : -1;
        }
        if (*s->at != (in_object(s) ? '}' : ']')) {
            return -1;
        }
        s->at++;
        s->depth--;
    }
    return 1;
}

/* One value, without recursion. */
static bool scan_value(struct scan *s)
{
    int closed = 0;
    while (closed == 0) {
        bool empty = true;
        skip_space(s);
        if (s->at >= s->end) {
            return false;
        }
        if (*s->at == '{' || *s->at == '[') {
            if (!scan_open(s, *s->at == '{', &empty)) {
                return false;
            }
        } else if (!scan_scalar(s)) {
            return false;
        }
        closed = empty ? scan_close(s) : 0;
    }
    return closed > 0;
}

int ox__json_scan(const char *text, size_t len, unsigned rules)
{
    struct scan s = {
        .at = (const unsigned char *)text, .rules = rules, .room_bytes = LEVELS_BYTES
    };
    s.end = s.at + len;
    s.levels = s.near;
    bool valid = scan_value(&s);
    if (s.levels != s.near) {
        free(s.levels);
    }
    if (s.no_memory) {
        return OX_ENOMEM;
    }
    skip_space(&s);
    return valid && s.at == s.end;
}

bool ox__json_valid(const char *text, size_t len)
{
    return ox__json_scan(text, len, 0) == 1;
}

bool ox_json_valid(const char *text, size_t length)
{
    if (text == NULL) {
        return false;
    }
    return ox__json_scan(text, length, OX__JSON_DEEP) == 1;
}

static void put_escaped(struct ox__buf *out, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = c != 0 ? strchr(plain, c) : NULL;
    if (found != NULL) {
        char pair[2] = { '\\', letters[found - plain] };
        ox__buf_put(out, pair, 2);
        return;
    }
    char code[6] = { '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] };
    ox__buf_put(out, code, 6);
}

static bool needs_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

static void put_valid(struct ox__buf *out, const char *text, size_t len, bool escape)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + len;
    while (p < end) {
        const unsigned char *run = p;
        size_t step = 1;
        p = skip_plain(p, end);
        while (p < end && !(escape && needs_escape(*p)) && (step = utf8_length(p, end)) > 0) {
            p += step;
        }
        ox__buf_put(out, run, (size_t)(p - run));
        if (p < end) {
            if (*p >= 0x80) {
                ox__buf_text(out, "\xef\xbf\xbd");
            } else {
                put_escaped(out, *p);
            }
            p++;
        }
    }
}

void ox__json_string(struct ox__buf *out, const char *text, size_t len)
{
    ox__buf_char(out, '"');
    put_valid(out, text, len, true);
    ox__buf_char(out, '"');
}

void ox__json_copy(struct ox__buf *out, const char *text, size_t len)
{
    put_valid(out, text, len, false);
}

int ox__json_check(const char *json, const char *what, ox_error *err)
{
    if (json == NULL) {
        return ox__fail(err, OX_EINVAL, "no %s given", what);
    }
    return ox__json_valid(json, strlen(json))
               ? 0
               : ox__fail(err, OX_EINVAL, "the %s is not JSON: %.60s%s", what, json,
                     strlen(json) > 60 ? "..." : "");
}
