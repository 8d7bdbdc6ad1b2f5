/* stored.c - reading JSON that other programs stored; see stored.h. */
#include "base/stored.h"

#include "base/error.h"
#include "base/json.h"

#include <float.h>
#include <glib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- where values stand ------------------------------------------------------------------ */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static const char *skip_space(const char *p)
{
    while (is_space(*p)) {
        p++;
    }
    return p;
}

static bool ends_word(char c)
{
    return c == ',' || c == ']' || c == '}' || c == '\0' || is_space(c);
}

/* From the opening quote to past the closing one. */
static const char *string_end(const char *p)
{
    for (p++; *p != '"'; p++) {
        p += *p == '\\' ? 1 : 0;
    }
    return p + 1;
}

struct ox__slice ox__slice_at(const char *p)
{
    struct ox__slice value = { .at = p = skip_space(p) };
    size_t depth = 0;
    do {
        if (*p == '"') {
            p = string_end(p);
            continue;
        }
        if (*p == '{' || *p == '[') {
            depth++;
        } else if (*p == '}' || *p == ']') {
            depth--;
        } else if (depth == 0) {
            while (!ends_word(p[1])) {
                p++;
            }
        }
        p++;
    } while (depth > 0);
    value.end = p;
    return value;
}

int ox__stored_value(struct ox__slice *out, const char *text, size_t len)
{
    int valid = ox__json_scan(text, len, OX__JSON_STORED);
    *out = valid > 0 ? ox__slice_at(text) : (struct ox__slice){ NULL, NULL };
    return valid < 0 ? valid : 0;
}

bool ox__slice_next(const char **p)
{
    *p = skip_space(*p);
    if (**p == ',') {
        *p = skip_space(*p + 1);
    }
    return **p != ']' && **p != '}';
}

bool ox__slice_element(struct ox__slice array, const char **p, struct ox__slice *element)
{
    *p = *p == NULL ? array.at + 1 : *p;
    if (!ox__slice_next(p)) {
        return false;
    }
    *element = ox__slice_at(*p);
    *p = element->end;
    return true;
}

bool ox__slice_member(
    struct ox__slice object, const char **p, struct ox__slice *name, struct ox__slice *value)
{
    if (!ox__slice_element(object, p, name)) {
        return false;
    }
    *value = ox__slice_at(skip_space(name->end) + 1);
    *p = value->end;
    return true;
}

/* ---- what they mean ---------------------------------------------------------------------- */

static unsigned hex4(const char *p)
{
    unsigned code = 0;
    for (int i = 0; i < 4; i++) {
        code = code << 4 | (unsigned)g_ascii_xdigit_value(p[i]);
    }
    return code;
}

/* Reads the escape at `p`, a backslash, into UTF-8; returns its end. */
static const char *read_escape(const char *p, char bytes[6], size_t *count)
{
    static const char letters[] = "bfnrt", plain[] = "\b\f\n\r\t";
    const char *found = strchr(letters, p[1]);
    *count = 1;
    if (p[1] != 'u') {
        bytes[0] = found != NULL ? plain[found - letters] : p[1];
        return p + 2;
    }
    unsigned code = hex4(p + 2);
    p += 6;
    if (code >= 0xd800 && code < 0xdc00 && p[0] == '\\' && p[1] == 'u' &&
        hex4(p + 2) >= 0xdc00 && hex4(p + 2) < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (hex4(p + 2) - 0xdc00);
        p += 6;
    } else if (code == 0 || (code >= 0xd800 && code < 0xe000)) {
        code = 0xfffd;
    }
    *count = (size_t)g_unichar_to_utf8(code, bytes);
    return p;
}

bool ox__slice_is(struct ox__slice string, const char *text)
{
    if (*string.at != '"') {
        return false;
    }
    const char *p = string.at + 1, *end = string.end - 1;
    while (p < end) {
        char bytes[6] = { *p };
        size_t count = 1;
        p = *p == '\\' ? read_escape(p, bytes, &count) : p + 1;
        if (strncmp(text, bytes, count) != 0) {
            return false;
        }
        text += count;
    }
    return *text == '\0';
}

/* Appends the text of a string. */
static void put_text(struct ox__buf *out, struct ox__slice string)
{
    const char *p = string.at + 1, *end = string.end - 1;
    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        ox__json_copy(out, p, (size_t)((escape != NULL ? escape : end) - p));
        p = end;
        if (escape != NULL) {
            char bytes[6];
            size_t count;
            p = read_escape(escape, bytes, &count);
            ox__buf_put(out, bytes, count);
        }
    }
}

struct ox__slice ox__slice_get(struct ox__slice object, const char *name)
{
    const struct ox__slice none = { NULL, NULL };
    struct ox__slice found = none, key, value;
    const char *p = NULL;
    while (
        object.at != NULL && *object.at == '{' && ox__slice_member(object, &p, &key, &value)) {
        if (ox__slice_is(key, name)) {
            found = value;
        }
    }
    return found.at != NULL && *found.at == 'n' ? none : found;
}

char *ox__slice_text(struct ox__slice string)
{
    struct ox__buf out = { 0 };
    if (string.at == NULL || *string.at != '"') {
        return NULL;
    }
    put_text(&out, string);
    return ox__buf_steal(&out);
}

double ox__slice_number(struct ox__slice number)
{
    if (number.at == NULL || (*number.at != '-' && !g_ascii_isdigit(*number.at))) {
        return NAN;
    }
    return fmax(-DBL_MAX, fmin(DBL_MAX, g_ascii_strtod(number.at, NULL)));
}

static json_t *load_string(struct ox__slice value)
{
    char *text = ox__slice_text(value);
    json_t *string = text != NULL ? json_string_nocheck(text) : NULL;
    free(text);
    return string;
}

static json_t *load_scalar(struct ox__slice value)
{
    switch (*value.at) {
    case '"':
        return load_string(value);
    case 't':
    case 'f':
        return json_boolean(*value.at == 't');
    case 'n':
        return json_null();
    case '{':
    case '[':
        return json_array();
    default:
        return json_real(ox__slice_number(value));
    }
}

json_t *ox__slice_load(struct ox__slice value)
{
    if (*value.at != '{') {
        return load_scalar(value);
    }
    json_t *object = json_object();
    struct ox__slice name, member;
    const char *p = NULL;
    while (object != NULL && ox__slice_member(value, &p, &name, &member)) {
        char *key = ox__slice_text(name);
        if (key == NULL || json_object_set_new_nocheck(object, key, load_scalar(member)) < 0) {
            json_decref(object);
            object = NULL;
        }
        free(key);
    }
    return object;
}
