/*
 * json.c - see json.h.
 *
 * The layout functions walk over text that ox_json_valid() has accepted, so they need no error
 * handling: strings are skipped by base/stored.h, and white space outside of strings is
 * dropped.
 */
#include "json.h"
#include "base/json.h"
#include "base/stored.h"
#include "base/text.h"
#include <inttypes.h>
#include <jansson.h>
#include <ox.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool json_valid(const char *text, size_t length, char **problem)
{
    if (ox_json_valid(text, length)) {
        return true;
    }
    /* jansson reports the position. Integers of any size are JSON; read as reals they do not
     * overflow.
     */
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    json_error_t error = { .text = "not one JSON value" };
    json_decref(problem != NULL ? json_loadb(text, length, flags, &error) : NULL);
    if (problem != NULL) {
        *problem = g_strdup_printf("%s at byte %d", error.text, error.position);
    }
    return false;
}

char *json_repaired(const char *text)
{
    g_autofree char *valid =
        strstr(text, "\xc0\x80") != NULL ? NULL : g_utf8_make_valid(text, -1);
    return valid != NULL && ox_json_valid(valid, strlen(valid)) ? g_steal_pointer(&valid)
                                                                : NULL;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

const char *json_skip_space(const char *p)
{
    while (is_space(*p)) {
        p++;
    }
    return p;
}

void json_compact(GString *to, const char *text)
{
    for (const char *p = json_skip_space(text); *p; p = json_skip_space(p)) {
        const char *end = *p == '"' ? ox__slice_at(p).end : p + 1;
        g_string_append_len(to, p, end - p);
        p = end;
    }
}

/* ---- on a terminal ----------------------------------------------------------------------- */

/* Compact text up to this many bytes is not broken into lines. */
#define SHORT_BYTES 64
/* Deeper levels are not indented further: the text would grow with the square of its depth. */
#define MAX_INDENTS 40

struct pretty {
    GString *to;
    const struct out *out;
    int indent, depth;
    bool flat; /* all in one line */
};

static void new_line(const struct pretty *pretty)
{
    if (pretty->flat) {
        return;
    }
    int depth = MIN(pretty->depth, MAX_INDENTS);
    g_string_append_printf(pretty->to, "\n%*s", pretty->indent + 2 * depth, "");
}

static void append_tinted(
    const struct pretty *pretty, const char *from, const char *end, enum tint tint)
{
    g_autofree char *piece = g_strndup(from, (gsize)(end - from));
    g_autofree char *cleaned = text_clean(piece);
    g_string_append_printf(
        pretty->to, "%s%s%s", tint_on(pretty->out, tint), cleaned, tint_off(pretty->out, tint));
}

static const char *pretty_string(const struct pretty *pretty, const char *p)
{
    const char *end = ox__slice_at(p).end;
    bool is_key = *json_skip_space(end) == ':';
    append_tinted(pretty, p, end, is_key ? TINT_CYAN : TINT_GREEN);
    return end;
}

static const char *pretty_scalar(const struct pretty *pretty, const char *p)
{
    const char *end = p;
    while (*end && !is_space(*end) && strchr(",:[]{}\"", *end) == NULL) {
        end++;
    }
    append_tinted(pretty, p, end, TINT_YELLOW);
    return end;
}

/* An opening bracket; an empty pair stays on its line. */
static const char *pretty_open(struct pretty *pretty, const char *p)
{
    const char *next = json_skip_space(p + 1);
    g_string_append_c(pretty->to, *p);
    if (*next == ']' || *next == '}') {
        g_string_append_c(pretty->to, *next);
        return next + 1;
    }
    pretty->depth++;
    new_line(pretty);
    return next;
}

static const char *pretty_mark(struct pretty *pretty, const char *p)
{
    if (*p == ']' || *p == '}') {
        pretty->depth--;
        new_line(pretty);
    }
    g_string_append_c(pretty->to, *p);
    if (*p == ',') {
        new_line(pretty);
    }
    if (*p == ':' || (*p == ',' && pretty->flat)) {
        g_string_append_c(pretty->to, ' ');
    }
    return p + 1;
}

void json_pretty(GString *to, const char *text, int indent, const struct out *out)
{
    g_autoptr(GString) flat = g_string_new(NULL);
    json_compact(flat, text);
    struct pretty pretty = { to, out, indent, 0, flat->len <= SHORT_BYTES };
    for (const char *p = json_skip_space(text); *p; p = json_skip_space(p)) {
        if (*p == '"') {
            p = pretty_string(&pretty, p);
        } else if (*p == '{' || *p == '[') {
            p = pretty_open(&pretty, p);
        } else if (strchr(",:]}", *p) != NULL) {
            p = pretty_mark(&pretty, p);
        } else {
            p = pretty_scalar(&pretty, p);
        }
    }
}

/* ---- objects ----------------------------------------------------------------------------- */

/* Without the quotes around it. */
static void append_escaped(GString *to, const char *text)
{
    struct ox__buf quoted = { 0 };
    ox__json_string(&quoted, text, strlen(text));
    if (quoted.failed) {
        g_error("out of memory");
    }
    g_string_append_len(to, quoted.data + 1, (gssize)quoted.len - 2);
    ox__buf_done(&quoted);
}

void json_append_string(GString *to, const char *text)
{
    g_auto(GStrv) pieces = g_strsplit(text, "\xc0\x80", -1);
    g_string_append_c(to, '"');
    for (char **piece = pieces; *piece != NULL; piece++) {
        if (piece != pieces) {
            g_string_append(to, "\\u0000");
        }
        append_escaped(to, *piece);
    }
    g_string_append_c(to, '"');
}

static void append_key(struct obj *obj, const char *key)
{
    if (obj->text->len > 1) {
        g_string_append_c(obj->text, ',');
    }
    json_append_string(obj->text, key);
    g_string_append_c(obj->text, ':');
}

void obj_begin(struct obj *obj)
{
    obj->text = g_string_new("{");
}

void obj_text(struct obj *obj, const char *key, const char *value)
{
    append_key(obj, key);
    if (value != NULL) {
        json_append_string(obj->text, value);
    } else {
        g_string_append(obj->text, "null");
    }
}

void obj_int(struct obj *obj, const char *key, int64_t value)
{
    append_key(obj, key);
    g_string_append_printf(obj->text, "%" PRId64, value);
}

void obj_bool(struct obj *obj, const char *key, bool value)
{
    append_key(obj, key);
    g_string_append(obj->text, value ? "true" : "false");
}

void obj_json(struct obj *obj, const char *key, const char *value)
{
    g_autofree char *json = value != NULL ? json_repaired(value) : NULL;
    if (json == NULL) {
        obj_text(obj, key, value);
        return;
    }
    append_key(obj, key);
    json_compact(obj->text, json);
}

void obj_raw(struct obj *obj, const char *key, const char *json)
{
    append_key(obj, key);
    g_string_append(obj->text, json);
}

void obj_members(struct obj *obj, const char *json)
{
    const char *end = json + strlen(json) - 1;
    if (end - json <= 1) {
        return; /* {} */
    }
    if (obj->text->len > 1) {
        g_string_append_c(obj->text, ',');
    }
    g_string_append_len(obj->text, json + 1, end - json - 1);
}

char *obj_take(struct obj *obj)
{
    g_string_append_c(obj->text, '}');
    char *text = g_string_free(obj->text, FALSE);
    obj->text = NULL;
    return text;
}

/* Prints JSON as a line. On a terminal control characters are printed as JSON escapes. */
static void print_line(const char *json)
{
    if (!isatty(STDOUT_FILENO)) {
        puts(json);
        return;
    }
    for (const char *p = json; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        if (!ox__is_harmful(c)) {
            fwrite(p, 1, (size_t)(g_utf8_next_char(p) - p), stdout);
        } else if (c > 0xffff) {
            printf("\\u%04x\\u%04x", 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
        } else {
            printf("\\u%04x", c);
        }
    }
    putchar('\n');
}

void obj_print(struct obj *obj)
{
    g_autofree char *text = obj_take(obj);
    print_line(text);
}
