/*
 * batch.c - see batch.h.
 */
#include "batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/stored.h"

static const char position_name[] = ",\"position\":\"";

/* ---- making one -------------------------------------------------------------------------- */

void batch_put(GString *out, const char *json, size_t length, const char *position)
{
    while (length > 0 && json[length - 1] != '}') { /* white space */
        length--;
    }
    g_string_append(out, out->len > 0 ? ",\n" : "[");
    g_string_append_len(out, json, length > 0 ? (gssize)length - 1 : 0);
    bool empty = length > 1 && strspn(json + 1, " \t\r") == length - 2;
    g_string_append(out, empty ? position_name + 1 : position_name);
    g_string_append(out, position);
    g_string_append(out, "\"}");
}

void batch_end(GString *out)
{
    g_string_append(out, out->len > 0 ? "]" : "[]");
}

/* ---- reading one ------------------------------------------------------------------------- */

bool batch_next(const char **at, struct batch_event *event)
{
    const char *start = *at + (**at == '[');
    const char *line_end = strchr(start, '\n');
    const char *end = line_end != NULL ? line_end - 1 : start + strlen(start) - 1;
    if (end <= start || end[-1] != '}') {
        return false;
    }
    const char *position_end = end - 2, *position = position_end;
    while (position > start && position[-1] != '"') {
        position--;
    }
    size_t before = strlen(position_name);
    if ((size_t)(position - start) < before) {
        return false;
    }
    *event = (struct batch_event){
        .json = start,
        .length = (size_t)(end - start),
        .bare_length = MAX((size_t)(position - start) - before, 1), /* 1: it was {} */
        .position = position,
        .position_length = (size_t)(position_end - position),
    };
    *at = line_end != NULL ? line_end + 1 : end + 1;
    return true;
}

char *batch_lines(const char *text, size_t *length)
{
    GString *lines = g_string_sized_new(strlen(text) + 1);
    struct batch_event event;
    while (batch_next(&text, &event)) {
        g_string_append_len(lines, event.json, (gssize)event.length);
        g_string_append_c(lines, '\n');
    }
    *length = lines->len;
    return g_string_free(lines, FALSE);
}

/* ---- which of its events failed ---------------------------------------------------------- */

/* Positions as keys, and the place of each, counted from 1. */
static GHashTable *find_places(const char *text)
{
    GHashTable *places = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct batch_event event;
    for (guint place = 1; batch_next(&text, &event); place++) {
        g_hash_table_insert(
            places, g_strndup(event.position, event.position_length), GUINT_TO_POINTER(place));
    }
    return places;
}

static bool read_item(GHashTable *places, struct ox__slice item, GArray *failed, char **problem)
{
    char *name = ox__slice_text(ox__slice_get(item, "itemIdentifier"));
    guint place = name != NULL ? GPOINTER_TO_UINT(g_hash_table_lookup(places, name)) : 0;
    if (name == NULL) {
        *problem = g_strdup("bad output: an item of batchItemFailures is not "
                            "{\"itemIdentifier\":\"POSITION\"}");
    } else if (place == 0) {
        *problem =
            g_strdup_printf("bad output: batchItemFailures names \"%.60s\", which is not "
                            "the position of an event of the batch",
                name);
    } else {
        guint32 index = place - 1;
        g_array_append_val(failed, index);
    }
    free(name);
    return *problem == NULL;
}

static gint by_number(gconstpointer a, gconstpointer b)
{
    guint32 one = *(const guint32 *)a, other = *(const guint32 *)b;
    return one < other ? -1 : one > other;
}

static void sort_once(GArray *places)
{
    guint kept = 0;
    g_array_sort(places, by_number);
    for (guint i = 0; i < places->len; i++) {
        guint32 place = g_array_index(places, guint32, i);
        if (kept == 0 || g_array_index(places, guint32, kept - 1) != place) {
            g_array_index(places, guint32, kept++) = place;
        }
    }
    g_array_set_size(places, kept);
}

/* What it returned has no such member, but the member's name somewhere else, with its quotes:
 * the answer was cut off, or printed among other text, which is a JSON string by now, or
 * wrapped, as gateways do it: {"statusCode":200,"body":"{\"batchItemFailures\":..."}. Nobody
 * knows which events failed then, and to take none for failed would lose them. */
static bool names_hidden(const char *returned)
{
    static const char name[] = "batchItemFailures",
                      escape[] = "\\u0022"; /* .NET's of a quote */
    for (const char *at = returned; (at = strstr(at, name)) != NULL; at += strlen(name)) {
        const char *end = at + strlen(name);
        size_t before = (size_t)(at - returned);
        bool opened =
            (before > 0 && at[-1] == '"') ||
            (before >= strlen(escape) && g_str_has_prefix(at - strlen(escape), escape));
        end += strspn(end, "\\");
        if (opened && (*end == '"' || g_str_has_prefix(end - 1, escape))) {
            return true;
        }
    }
    return false;
}

/* Whether the object has the member, null as well. */
static bool has_member(struct ox__slice object)
{
    struct ox__slice key, value;
    const char *at = NULL;
    bool found = false;
    while (!found && ox__slice_member(object, &at, &key, &value)) {
        found = ox__slice_is(key, "batchItemFailures");
    }
    return found;
}

bool batch_read_failures(const char *text, const char *returned, GArray *failed, char **problem)
{
    struct ox__slice item, list = { NULL, NULL };
    const char *at = NULL;
    if (strstr(returned, "batchItemFailures") == NULL) {
        return true;
    }
    if (returned[strspn(returned, " \t\r\n")] == '{' &&
        ox__json_valid(returned, strlen(returned)) && has_member(ox__slice_at(returned))) {
        list = ox__slice_get(ox__slice_at(returned), "batchItemFailures");
    } else if (names_hidden(returned)) {
        *problem =
            g_strdup("bad output: batchItemFailures is in it, but not as a member of one "
                     "JSON object that is all of it");
        return false;
    }
    if (list.at == NULL) {
        return true;
    }
    if (*list.at != '[') {
        *problem = g_strdup("bad output: batchItemFailures is not an array");
        return false;
    }
    g_autoptr(GHashTable) places = find_places(text);
    bool good = true;
    while (good && ox__slice_element(list, &at, &item)) {
        good = read_item(places, item, failed, problem);
    }
    sort_once(failed);
    return good;
}

void batch_write_places(const GArray *places, GString *out)
{
    for (guint i = 0; i < places->len; i++) {
        g_string_append_printf(
            out, "%s%u", i > 0 ? " " : "", g_array_index(places, guint32, i));
    }
}

bool batch_read_places(const char *text, size_t count, GArray *places)
{
    while (*text != '\0') {
        char *end;
        guint64 place = g_ascii_strtoull(text, &end, 10);
        bool good = g_ascii_isdigit(*text) && place < count && places->len < count &&
                    (*end == '\0' || (*end == ' ' && end[1] != '\0'));
        if (!good) {
            return false;
        }
        guint32 index = (guint32)place;
        g_array_append_val(places, index);
        text = *end == ' ' ? end + 1 : end;
    }
    return true;
}
