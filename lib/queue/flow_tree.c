/*
 * flow_tree.c - the JSON of a flow, cut into its jobs.
 *
 * Data must reach the job as it was given, so it is cut out of the text and never parsed and
 * printed again. The text as a whole is validated first; the code that walks over it afterwards
 * relies on that, and only looks for the ends of values. Names and other short texts are parsed
 * by jansson.
 */
#include "queue/flow_tree.h"

#include "base/error.h"
#include "base/json.h"
#include "base/stored.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE " \t\r\n"

/* From past a name to its value. */
static const char *behind_colon(const char *p)
{
    p += strspn(p, SPACE) + 1;
    return p + strspn(p, SPACE);
}

static bool is_null(struct ox__slice value)
{
    return *value.at == 'n';
}

/* The text of a JSON string (owned by the caller); NULL when the value is not a string, or
 * contains a NUL. */
static char *text_of(struct ox__slice value)
{
    json_t *json = json_loadb(value.at, (size_t)(value.end - value.at), JSON_DECODE_ANY, NULL);
    char *text = json_is_string(json) ? strdup(json_string_value(json)) : NULL;
    json_decref(json);
    return text;
}

/* ---- the members of a job ---------------------------------------------------------------- */

enum member { NAME, QUEUE, PREFIX, DATA, OPTS, CHILDREN, MEMBERS };

static const char *const member_names[MEMBERS] = { [NAME] = "name",
    [QUEUE] = "queueName",
    [PREFIX] = "prefix",
    [DATA] = "data",
    [OPTS] = "opts",
    [CHILDREN] = "children" };

static int member_of(struct ox__slice name)
{
    OX__AUTO(ox__free_text) char *text = text_of(name);
    for (int i = 0; i < MEMBERS; i++) {
        if (text != NULL && strcmp(text, member_names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

__attribute__((format(printf, 4, 5))) static int fail(
    const struct ox__flow_tree *tree, size_t node, ox_error *err, const char *format, ...)
{
    char problem[120];
    va_list args;
    va_start(args, format);
    vsnprintf(problem, sizeof(problem), format, args);
    va_end(args);
    return ox__flow_fail(tree, node, OX_EINVAL, problem, err);
}

/* Keeps the value of a member, but for children. */
static int keep(
    struct ox__flow_tree *tree, size_t place, int member, struct ox__slice value, ox_error *err)
{
    struct ox__flow_node *node = &tree->nodes[place];
    char **const to[MEMBERS] = { [NAME] = &node->name,
        [QUEUE] = &node->queue,
        [PREFIX] = &node->prefix,
        [DATA] = &node->data,
        [OPTS] = &node->opts };
    if (is_null(value) && member != DATA) {
        return 0;
    }
    if (member == OPTS && *value.at != '{') {
        return fail(tree, place, err, "opts is not an object");
    }
    if (member == DATA || member == OPTS) {
        *to[member] = strndup(value.at, (size_t)(value.end - value.at));
        return *to[member] == NULL ? ox__fail_memory(err) : 0;
    }
    *to[member] = text_of(value);
    return *to[member] == NULL
               ? fail(tree, place, err, "%s is not a string", member_names[member])
               : 0;
}

/* ---- the tree ---------------------------------------------------------------------------- */

static struct ox__flow_node *append(struct ox__flow_tree *tree)
{
    if (tree->count == tree->cap) {
        size_t cap = tree->cap > 0 ? tree->cap * 2 : 16;
        struct ox__flow_node *nodes = realloc(tree->nodes, cap * sizeof(*nodes));
        if (nodes == NULL) {
            return NULL;
        }
        tree->nodes = nodes;
        tree->cap = cap;
    }
    struct ox__flow_node *node = &tree->nodes[tree->count++];
    memset(node, 0, sizeof(*node));
    return node;
}

static int add_array(struct ox__flow_tree *tree, const char **p, size_t parent, ox_error *err);

static int add_member(
    struct ox__flow_tree *tree, size_t place, int member, const char **p, ox_error *err)
{
    if (member == CHILDREN && **p == '[') {
        return add_array(tree, p, place, err);
    }
    struct ox__slice value = ox__slice_at(*p);
    *p = value.end;
    if (member != CHILDREN) {
        return keep(tree, place, member, value, err);
    }
    return is_null(value) ? 0 : fail(tree, place, err, "children is not an array");
}

/* Reads the object at `*p`, and moves past it. Unknown members are refused: they might be
 * misspelled children that would be lost silently. */
static int add_members(struct ox__flow_tree *tree, size_t place, const char **p, ox_error *err)
{
    bool seen[MEMBERS] = { false };
    int rc = 0;
    ++*p;
    while (rc == 0 && ox__slice_next(p)) {
        struct ox__slice name = ox__slice_at(*p);
        int member = member_of(name);
        int len = name.end - name.at < 60 ? (int)(name.end - name.at) : 60;
        if (member < 0) {
            return fail(tree, place, err,
                "unknown member %.*s; a job of a flow has name, queueName, prefix, data, opts, "
                "children",
                len, name.at);
        }
        if (seen[member]) {
            return fail(tree, place, err, "duplicate member %s", member_names[member]);
        }
        seen[member] = true;
        *p = behind_colon(name.end);
        rc = add_member(tree, place, member, p, err);
    }
    ++*p;
    return rc;
}

static int add_node(
    struct ox__flow_tree *tree, const char **p, size_t parent, size_t index, ox_error *err)
{
    if (tree->count == OX__FLOW_NODES) {
        return ox__fail(err, OX_EINVAL, "flow: more than %d jobs", OX__FLOW_NODES);
    }
    struct ox__flow_node *node = append(tree);
    size_t place = tree->count - 1;
    if (node == NULL) {
        return ox__fail_memory(err);
    }
    node->parent = parent;
    node->index = index;
    node->level = parent != OX__FLOW_ROOT ? tree->nodes[parent].level + 1 : 0;
    if (node->level == OX__FLOW_LEVELS) {
        return fail(tree, place, err, "the flow is nested too deeply");
    }
    if (**p != '{') {
        return fail(tree, place, err, "a job of a flow must be an object");
    }
    return add_members(tree, place, p, err);
}

static int add_array(struct ox__flow_tree *tree, const char **p, size_t parent, ox_error *err)
{
    size_t index = 0;
    int rc = 0;
    ++*p;
    while (rc == 0 && ox__slice_next(p)) {
        rc = add_node(tree, p, parent, index, err);
        index++;
    }
    ++*p;
    if (parent != OX__FLOW_ROOT) {
        tree->nodes[parent].has_children = index > 0;
    }
    return rc;
}

int ox__flow_parse(struct ox__flow_tree *tree, const char *json, ox_error *err)
{
    memset(tree, 0, sizeof(*tree));
    if (!ox__json_valid(json, strlen(json))) {
        return ox__fail(err, OX_EINVAL, "the flow is not JSON, or is nested too deeply");
    }
    const char *p = json + strspn(json, SPACE);
    tree->many = *p == '[';
    int rc = tree->many ? add_array(tree, &p, OX__FLOW_ROOT, err)
                        : add_node(tree, &p, OX__FLOW_ROOT, 0, err);
    if (rc == 0 && tree->count == 0) {
        rc = ox__fail(err, OX_EINVAL, "the flow has no jobs");
    }
    if (rc < 0) {
        ox__flow_done(tree);
    }
    return rc;
}

void ox__flow_done(struct ox__flow_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        struct ox__flow_node *node = &tree->nodes[i];
        free(node->name);
        free(node->queue);
        free(node->prefix);
        free(node->data);
        free(node->opts);
    }
    free(tree->nodes);
    memset(tree, 0, sizeof(*tree));
}

/* Writes the path from the root to a node; a long one is cut at its beginning. */
static void write_path(const struct ox__flow_tree *tree, size_t node, char *out, size_t size)
{
    size_t at = size - 1;
    out[at] = '\0';
    for (; node != OX__FLOW_ROOT; node = tree->nodes[node].parent) {
        const struct ox__flow_node *n = &tree->nodes[node];
        char step[48] = "";
        if (n->parent != OX__FLOW_ROOT) {
            bool first = tree->nodes[n->parent].level == 0 && !tree->many;
            snprintf(step, sizeof(step), "%schildren[%zu]", first ? "" : ".", n->index);
        } else if (tree->many) {
            snprintf(step, sizeof(step), "[%zu]", n->index);
        }
        size_t len = strlen(step);
        if (len + 3 > at) {
            at += out[at] == '.' ? 1 : 0;
            at -= 3;
            memcpy(out + at, "...", 3);
            break;
        }
        at -= len;
        memcpy(out + at, step, len);
    }
    memmove(out, out + at, size - at);
}

int ox__flow_fail(
    const struct ox__flow_tree *tree, size_t node, int code, const char *problem, ox_error *err)
{
    char path[120];
    write_path(tree, node, path, sizeof(path));
    return ox__fail(err, code, "flow: %s%s%s", path, *path != '\0' ? ": " : "", problem);
}
