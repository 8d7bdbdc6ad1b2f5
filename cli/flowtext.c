/*
 * flowtext.c - see flowtext.h.
 */
#include "flowtext.h"
#include "json.h"
#include <string.h>

/* Whether the object at `p` has "queueName". */
static bool has_queue(const char *p)
{
    static const char name[] = "\"queueName\"";
    for (p = json_skip_space(p + 1); *p != '}'; p = json_skip_space(p)) {
        if (!strncmp(p, name, sizeof name - 1))
            return true;
        p = json_skip_space(json_skip_value(p)); /* the colon */
        p = json_skip_space(json_skip_value(json_skip_space(p + 1)));
        p += *p == ',';
    }
    return false;
}

static const char *copy_nodes(GString *to, const char *p, const char *queue);

static const char *copy_object(GString *to, const char *p, const char *queue)
{
    bool named = has_queue(p);
    g_string_append_c(to, '{');
    p = json_skip_space(p + 1);
    if (!named)
        g_string_append_printf(to, "\"queueName\":%s%s", queue, *p == '}' ? "" : ",");
    while (*p != '}') {
        const char *colon = json_skip_space(json_skip_value(p));
        const char *value = json_skip_space(colon + 1);
        bool children = !strncmp(p, "\"children\"", strlen("\"children\""));
        const char *end = children ? value : json_skip_value(value);
        g_string_append_len(to, p, end - p);
        p = json_skip_space(children ? copy_nodes(to, value, queue) : end);
        if (*p == ',')
            g_string_append_c(to, ',');
        p = json_skip_space(p + (*p == ','));
    }
    g_string_append_c(to, '}');
    return p + 1;
}

/* Copies a node, or an array of them, with the queue's name (a JSON string) where one has
 * none. The text is valid JSON; how deep it goes, jansson has bounded. Returns its end. */
static const char *copy_nodes(GString *to, const char *p, const char *queue)
{
    if (*p == '{')
        return copy_object(to, p, queue);
    if (*p != '[') {
        const char *end = json_skip_value(p);
        g_string_append_len(to, p, end - p);
        return end;
    }
    g_string_append_c(to, '[');
    for (p = json_skip_space(p + 1); *p != ']'; p = json_skip_space(p)) {
        p = json_skip_space(copy_nodes(to, p, queue));
        if (*p == ',')
            g_string_append_c(to, *p++);
    }
    g_string_append_c(to, ']');
    return p + 1;
}

char *flow_with_queue(const char *text, const char *queue)
{
    g_autoptr(GString) quoted = g_string_new(NULL);
    GString *filled = g_string_new(NULL);
    json_append_string(quoted, queue);
    copy_nodes(filled, json_skip_space(text), quoted->str);
    return g_string_free(filled, FALSE);
}
