/*
 * jobline.c - see jobline.h.
 *
 * A line is scanned once, without building a tree or copying values, so the data is stored as
 * it was written. Only the object's own level is read here (members, commas, colons); inside a
 * value just strings and the depth of brackets are followed, to find its end.
 */
#include "jobline.h"
#include "base/stored.h"
#include <glib.h>
#include <jansson.h>
#include <string.h>

enum member { MEMBER_NAME, MEMBER_DATA, MEMBER_OPTS, MEMBER_COUNT };
static const char *const member_names[MEMBER_COUNT] = { "name", "data", "opts" };

static int find_member(struct ox__slice key)
{
    for (int i = 0; i < MEMBER_COUNT; i++) {
        if (ox__slice_is(key, member_names[i])) {
            return i;
        }
    }
    return -1;
}

static bool read_members(const char *line, size_t length, struct ox__slice *members, char **why)
{
    struct ox__slice object, key, value;
    if (ox__stored_value(&object, line, length) < 0) {
        g_error("out of memory");
    }
    if (object.at == NULL || *object.at != '{') {
        return false;
    }
    for (const char *p = NULL; ox__slice_member(object, &p, &key, &value);) {
        int member = find_member(key);
        if (member < 0 || members[member].at != NULL) {
            *why = g_strdup_printf("%.*s %s", (int)MIN(key.end - key.at, 40), key.at,
                member < 0 ? "is not one of \"name\", \"data\", \"opts\"" : "is duplicated");
            return false;
        }
        members[member] = value;
    }
    return true;
}

/* A JSON string's content (heap), or NULL. */
static char *decode_string(struct ox__slice slice)
{
    size_t length = (size_t)(slice.end - slice.at);
    json_t *value = json_loadb(slice.at, length, JSON_DECODE_ANY, NULL);
    char *text = g_strdup(json_string_value(value));
    json_decref(value);
    return text;
}

/* The value as a text of its own: what stands behind it in the line is gone. */
static char *terminated(char *line, struct ox__slice slice)
{
    if (slice.at == NULL) {
        return NULL;
    }
    line[slice.end - line] = '\0';
    return line + (slice.at - line);
}

bool jobline_read(char *line, size_t length, struct jobline *out, char **why)
{
    struct ox__slice members[MEMBER_COUNT] = { 0 };
    *why = NULL;
    if (strlen(line) != length || !read_members(line, length, members, why)) {
        if (*why == NULL) {
            *why = g_strdup("not a JSON object {\"name\", \"data\", \"opts\"}");
        }
        return false;
    }
    if (members[MEMBER_NAME].at == NULL) {
        *why = g_strdup("\"name\" is missing");
        return false;
    }
    out->name = decode_string(members[MEMBER_NAME]);
    if (out->name == NULL) {
        *why = g_strdup("\"name\" is not a JSON string");
        return false;
    }
    out->data = terminated(line, members[MEMBER_DATA]);
    out->opts = terminated(line, members[MEMBER_OPTS]);
    return true;
}

void jobline_done(struct jobline *line)
{
    g_free(line->name);
    line->name = NULL;
}
