/*
 * json.c - see json.h.
 *
 * The layout functions walk over text that jansson has accepted, so they need no errors of
 * their own: a quote begins a string that ends at the next quote without a backslash before
 * it, and white space outside of strings means nothing.
 */
#include "json.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool json_valid(const char *text, size_t length, char **problem)
{
    /* Integers of any size are JSON; read as reals they do not overflow. */
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    json_error_t error;
    json_t *value = json_loadb(text, length, flags, &error);
    if (value) {
        json_decref(value);
        return true;
    }
    if (problem)
        *problem = g_strdup_printf("%s at byte %d", error.text, error.position);
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

const char *json_skip_space(const char *p)
{
    while (is_space(*p))
        p++;
    return p;
}

/* The closing quote of the string at `p`, or the end of the text. */
static const char *closing_quote(const char *p)
{
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\' && p[1])
            p++;
    return p;
}

/* Behind the string at `p`, or at the end of the text. */
static const char *string_end(const char *p)
{
    p = closing_quote(p);
    return *p ? p + 1 : p;
}

static const char *skip_brackets(const char *p)
{
    size_t depth = 0;
    while (*p) {
        depth += *p == '{' || *p == '[';
        depth -= *p == '}' || *p == ']';
        p = *p == '"' ? string_end(p) : p + 1;
        if (!depth)
            return p;
    }
    return NULL;
}

const char *json_skip_value(const char *p)
{
    if (*p == '"') {
        const char *quote = closing_quote(p);
        return *quote ? quote + 1 : NULL;
    }
    if (*p == '{' || *p == '[')
        return skip_brackets(p);
    size_t length = strcspn(p, ",:{}[]\" \t\r\n");
    return length ? p + length : NULL;
}

void json_compact(GString *to, const char *text)
{
    for (const char *p = json_skip_space(text); *p; p = json_skip_space(p)) {
        const char *end = *p == '"' ? string_end(p) : p + 1;
        g_string_append_len(to, p, end - p);
        p = end;
    }
}

/* ---- for people -------------------------------------------------------------------------- */

/* Compact text up to this many bytes is not broken into lines. */
#define SHORT_BYTES 64

struct pretty {
    GString *to;
    const struct out *out;
    int indent, depth;
    bool flat; /* all in one line */
};

static void new_line(const struct pretty *pretty)
{
    if (pretty->flat)
        return;
    g_string_append_printf(pretty->to, "\n%*s", pretty->indent + 2 * pretty->depth, "");
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
    const char *end = string_end(p);
    bool is_key = *json_skip_space(end) == ':';
    append_tinted(pretty, p, end, is_key ? TINT_CYAN : TINT_GREEN);
    return end;
}

static const char *pretty_scalar(const struct pretty *pretty, const char *p)
{
    const char *end = p;
    while (*end && !is_space(*end) && !strchr(",:[]{}\"", *end))
        end++;
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
    if (*p == ',')
        new_line(pretty);
    if (*p == ':' || (*p == ',' && pretty->flat))
        g_string_append_c(pretty->to, ' ');
    return p + 1;
}

void json_pretty(GString *to, const char *text, int indent, const struct out *out)
{
    g_autoptr(GString) flat = g_string_new(NULL);
    json_compact(flat, text);
    struct pretty pretty = { to, out, indent, 0, flat->len <= SHORT_BYTES };
    for (const char *p = json_skip_space(text); *p; p = json_skip_space(p)) {
        if (*p == '"')
            p = pretty_string(&pretty, p);
        else if (*p == '{' || *p == '[')
            p = pretty_open(&pretty, p);
        else if (strchr(",:]}", *p))
            p = pretty_mark(&pretty, p);
        else
            p = pretty_scalar(&pretty, p);
    }
}

/* ---- objects ----------------------------------------------------------------------------- */

void json_append_string(GString *to, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    json_t *string = json_string(valid);
    char *quoted = json_dumps(string, JSON_ENCODE_ANY);
    json_decref(string);
    g_assert(quoted);
    g_string_append(to, quoted);
    free(quoted);
}

static void append_key(struct obj *obj, const char *key)
{
    if (obj->text->len > 1)
        g_string_append_c(obj->text, ',');
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
    if (value)
        json_append_string(obj->text, value);
    else
        g_string_append(obj->text, "null");
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
    if (!value || !json_valid(value, strlen(value), NULL)) {
        obj_text(obj, key, value);
        return;
    }
    append_key(obj, key);
    json_compact(obj->text, value);
}

void obj_raw(struct obj *obj, const char *key, const char *json)
{
    append_key(obj, key);
    g_string_append(obj->text, json);
}

char *obj_take(struct obj *obj)
{
    g_string_append_c(obj->text, '}');
    char *text = g_string_free(obj->text, FALSE);
    obj->text = NULL;
    return text;
}

void obj_print(struct obj *obj)
{
    g_autofree char *text = obj_take(obj);
    puts(text);
}
