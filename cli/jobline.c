/*
 * jobline.c - see jobline.h.
 *
 * A line is scanned once and its values are left where they are: no tree is built, and the
 * data reaches Redis as it was written. Only the object's own level is read here (members,
 * commas, colons); inside a value just strings and the depth of brackets are followed, to find
 * its end.
 */
#include "jobline.h"
#include "json.h"
#include <glib.h>
#include <jansson.h>
#include <string.h>

enum member { MEMBER_NAME, MEMBER_DATA, MEMBER_OPTS, MEMBER_COUNT };
static const char *const member_names[MEMBER_COUNT] = { "name", "data", "opts" };

struct span {
    char *begin; /* NULL: not there */
    char *end;
};

static char *skip_space(char *p)
{
    return p + (json_skip_space(p) - p);
}

static char *skip_value(char *p)
{
    const char *end = json_skip_value(p);
    return end != NULL ? p + (end - p) : NULL;
}

static int find_member(const struct span *key)
{
    size_t length = (size_t)(key->end - key->begin) - 2;
    for (int i = 0; i < MEMBER_COUNT; i++) {
        if (strlen(member_names[i]) == length &&
            !memcmp(key->begin + 1, member_names[i], length)) {
            return i;
        }
    }
    return -1;
}

/* Reads `"key": value` at `p` into the span of that member. Returns its end, or NULL. */
static char *read_member(char *p, struct span *members, char **why)
{
    struct span key = { p, *p == '"' ? skip_value(p) : NULL };
    if (key.end == NULL) {
        return NULL;
    }
    int member = find_member(&key);
    if (member < 0 || members[member].begin != NULL) {
        *why = g_strdup_printf("%.*s %s", (int)MIN(key.end - key.begin, 40), key.begin,
            member < 0 ? "is none of \"name\", \"data\", \"opts\"" : "is there twice");
        return NULL;
    }
    p = skip_space(key.end);
    if (*p != ':') {
        return NULL;
    }
    struct span value = { .begin = skip_space(p + 1) };
    value.end = skip_value(value.begin);
    members[member] = value;
    return value.end;
}

static bool read_members(char *line, struct span *members, char **why)
{
    char *p = skip_space(line);
    if (*p != '{') {
        return false;
    }
    p = skip_space(p + 1);
    while (*p && *p != '}') {
        p = read_member(p, members, why);
        if (p == NULL) {
            return false;
        }
        p = skip_space(p);
        if (*p == ',' && *skip_space(p + 1) == '}') {
            return false;
        }
        if (*p == ',') {
            p = skip_space(p + 1);
        } else if (*p != '}') {
            return false;
        }
    }
    return *p == '}' && !*skip_space(p + 1);
}

/* A JSON string's content (heap), or NULL. */
static char *decode_string(const struct span *span)
{
    size_t length = (size_t)(span->end - span->begin);
    json_t *value = json_loadb(span->begin, length, JSON_DECODE_ANY, NULL);
    char *text = g_strdup(json_string_value(value));
    json_decref(value);
    return text;
}

static char *terminated(const struct span *span)
{
    if (span->begin != NULL) {
        *span->end = '\0';
    }
    return span->begin;
}

bool jobline_read(char *line, size_t length, struct jobline *out, char **why)
{
    struct span members[MEMBER_COUNT] = { 0 };
    *why = NULL;
    if (strlen(line) != length || !read_members(line, members, why)) {
        if (*why == NULL) {
            *why = g_strdup("not a JSON object {\"name\", \"data\", \"opts\"}");
        }
        return false;
    }
    if (members[MEMBER_NAME].begin == NULL) {
        *why = g_strdup("it has no \"name\"");
        return false;
    }
    out->name = decode_string(&members[MEMBER_NAME]);
    if (out->name == NULL) {
        *why = g_strdup("\"name\" is not a JSON string");
        return false;
    }
    out->data = terminated(&members[MEMBER_DATA]);
    out->opts = terminated(&members[MEMBER_OPTS]);
    return true;
}

void jobline_done(struct jobline *line)
{
    g_free(line->name);
    line->name = NULL;
}
