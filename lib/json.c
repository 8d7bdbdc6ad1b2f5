/* json.c - a JSON checker and string writer; see json.h for why there is one. */
#include "json.h"

#include <stdint.h>
#include <string.h>

struct scan {
    const unsigned char *at, *end;
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

/* From the opening quote to past the closing one. */
static bool scan_string(struct scan *s)
{
    s->at++;
    while (s->at < s->end) {
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
            if (len == 0) {
                return false;
            }
            s->at += len;
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

/* In an object, what stands before the value: "name" : */
static bool scan_name(struct scan *s)
{
    skip_space(s);
    if (s->at >= s->end || *s->at != '"' || !scan_string(s)) {
        return false;
    }
    skip_space(s);
    return s->at < s->end && *s->at == ':' && s->at++ != NULL;
}

/* Opens a container: true with *empty when it closes at once. */
static bool scan_open(struct scan *s, bool object, bool *empty)
{
    s->at++;
    skip_space(s);
    *empty = s->at < s->end && *s->at == (object ? '}' : ']');
    if (*empty) {
        s->at++;
        return true;
    }
    return !object || scan_name(s);
}

/* One value, without recursion: `open` remembers for each level whether it is an object. */
static bool scan_value(struct scan *s)
{
    bool open[OX__JSON_DEPTH];
    size_t depth = 0;
    for (;;) {
        bool empty = true;
        skip_space(s);
        if (s->at >= s->end) {
            return false;
        }
        if (*s->at == '{' || *s->at == '[') {
            bool object = *s->at == '{';
            if (depth == OX__JSON_DEPTH || !scan_open(s, object, &empty)) {
                return false;
            }
            if (!empty) {
                open[depth++] = object;
                continue;
            }
        } else if (!scan_scalar(s)) {
            return false;
        }
        /* A value is complete: close what ends here, or go on behind a comma. */
        for (;;) {
            if (depth == 0) {
                return true;
            }
            skip_space(s);
            if (s->at >= s->end) {
                return false;
            }
            if (*s->at == ',') {
                s->at++;
                if (open[depth - 1] && !scan_name(s)) {
                    return false;
                }
                break;
            }
            if (*s->at != (open[depth - 1] ? '}' : ']')) {
                return false;
            }
            s->at++;
            depth--;
        }
    }
}

bool ox__json_valid(const char *text, size_t len)
{
    struct scan s = { .at = (const unsigned char *)text };
    s.end = s.at + len;
    if (!scan_value(&s)) {
        return false;
    }
    skip_space(&s);
    return s.at == s.end;
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

void ox__json_string(struct ox__buf *out, const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + len;
    ox__buf_char(out, '"');
    while (p < end) {
        const unsigned char *run = p;
        size_t step = 1;
        while (p < end && *p >= 0x20 && *p != '"' && *p != '\\' &&
               (step = utf8_length(p, end)) > 0) {
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
    ox__buf_char(out, '"');
}
