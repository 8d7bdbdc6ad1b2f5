/*
 * flow_tree.c - the JSON of a flow, cut into its jobs.
 *
 * Data must reach the job as it was given, so it is cut out of the text and never parsed and
 * printed again. The text as a whole is checked first; what walks over it afterwards can rely
 * on its grammar, and only looks for the ends of values. Names and other short texts are
 * jansson's to read.
 */
#include "flow_tree.h"

#include "error.h"
#include "json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A value in the text, from its first byte to past its last. Empty: there is none. */
struct slice {
    const char *at, *end;
};

static const char *skip_space(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

/* From the opening quote to past the closing one. */
static const char *string_end(const char *p)
{
    for (p++; *p != '"'; p++) {
        p += *p == '\\' ? 1 : 0;
    }
    return p + 1;
}

static struct slice value_at(const char *p)
{
    struct slice value = { .at = skip_space(p) };
    size_t depth = 0;
    p = value.at;
    do {
        if (*p == '"') {
            p = string_end(p);
        } else if (*p == '{' || *p == '[') {
            depth++;
            p++;
        } else if (*p == '}' || *p == ']') {
            depth--;
            p++;
        } else if (depth > 0) {
            p++;
        } else {
            p += strcspn(p, ",]} \t\r\n");
        }
    } while (depth > 0);
    value.end = p;
    return value;
}

/* From past a value, or past the opening bracket, to the next one. False at the end. */
static bool next_value(const char **p)
{
    *p = skip_space(*p);
    if (**p == ',') {
        *p = skip_space(*p + 1);
    }
    return **p != ']' && **p != '}';
}

static bool is_null(struct slice value)
{
    return value.at == value.end || *value.at == 'n';
}

/* The text of a JSON string, the caller's; NULL when the value is no string, or has a NUL. */
static char *text_of(struct slice value)
{
    json_t *json = json_loadb(value.at, (size_t)(value.end - value.at), JSON_DECODE_ANY, NULL);
    char *text = json_is_string(json) ? strdup(json_string_value(json)) : NULL;
    json_decref(json);
    return text;
}

/* ---- one job ----------------------------------------------------------------------------- */

enum member { NAME, QUEUE, PREFIX, DATA, OPTS, CHILDREN, MEMBERS };

static const char *const member_names[MEMBERS] = { [NAME] = "name",
    [QUEUE] = "queueName",
    [PREFIX] = "prefix",
    [DATA] = "data",
    [OPTS] = "opts",
    [CHILDREN] = "children" };

static int member_of(struct slice name)
{
    OX__AUTO(ox__free_text) char *text = text_of(name);
    for (int i = 0; i < MEMBERS; i++) {
        if (text != NULL && strcmp(text, member_names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static int fail(
    const struct ox__flow_tree *tree, size_t node, const char *problem, ox_error *err)
{
    return ox__flow_fail(tree, node, OX_EINVAL, problem, err);
}

/* Finds the members of an object. A name that a flow does not have is refused: behind it
 * might be children that would be lost without a word. */
static int find_members(const struct ox__flow_tree *tree, size_t node, struct slice object,
    struct slice found[MEMBERS], ox_error *err)
{
    const char *p = object.at + 1;
    while (next_value(&p)) {
        struct slice name = value_at(p);
        struct slice value = value_at(strchr(name.end, ':') + 1);
        int member = member_of(name);
        if (member < 0) {
            char problem[100];
            snprintf(problem, sizeof(problem), "a job of a flow has no %.*s",
                (int)(name.end - name.at > 60 ? 60 : name.end - name.at), name.at);
            return fail(tree, node, problem, err);
        }
        found[member] = value;
        p = value.end;
    }
    return 0;
}

static int take_text(const struct ox__flow_tree *tree, size_t node, enum member member,
    struct slice value, char **text, ox_error *err)
{
    if (is_null(value)) {
        return 0;
    }
    *text = text_of(value);
    if (*text == NULL) {
        char problem[64];
        snprintf(problem, sizeof(problem), "%s is not a string", member_names[member]);
        return fail(tree, node, problem, err);
    }
    return 0;
}

static int take_json(const struct slice *value, char **text, ox_error *err)
{
    if (value->at < value->end) {
        *text = strndup(value->at, (size_t)(value->end - value->at));
        return *text == NULL ? ox__fail_memory(err) : 0;
    }
    return 0;
}

/* Fills a node with its members. */
static int fill(
    struct ox__flow_tree *tree, size_t place, const struct slice found[MEMBERS], ox_error *err)
{
    struct ox__flow_node *node = &tree->nodes[place];
    if (!is_null(found[OPTS]) && *found[OPTS].at != '{') {
        return fail(tree, place, "opts is not an object", err);
    }
    if (!is_null(found[CHILDREN]) && *found[CHILDREN].at != '[') {
        return fail(tree, place, "children is not an array", err);
    }
    int rc = take_text(tree, place, NAME, found[NAME], &node->name, err);
    if (rc == 0) {
        rc = take_text(tree, place, QUEUE, found[QUEUE], &node->queue, err);
    }
    if (rc == 0) {
        rc = take_text(tree, place, PREFIX, found[PREFIX], &node->prefix, err);
    }
    if (rc == 0) {
        rc = take_json(&found[DATA], &node->data, err);
    }
    if (rc == 0 && !is_null(found[OPTS])) {
        rc = take_json(&found[OPTS], &node->opts, err);
    }
    return rc;
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

static int add_array(
    struct ox__flow_tree *tree, struct slice array, size_t parent, size_t level, ox_error *err);

static int add_node(struct ox__flow_tree *tree, struct slice value, size_t parent, size_t index,
    size_t level, ox_error *err)
{
    if (tree->count == OX__FLOW_NODES) {
        return ox__fail(err, OX_EINVAL, "flow: more than %d jobs", OX__FLOW_NODES);
    }
    struct ox__flow_node *node = append(tree);
    struct slice found[MEMBERS] = { { NULL, NULL } };
    size_t place = tree->count - 1;
    if (node == NULL) {
        return ox__fail_memory(err);
    }
    node->parent = parent;
    node->index = index;
    node->level = level;
    if (level == OX__FLOW_LEVELS) {
        return fail(tree, place, "the flow is nested too deeply", err);
    }
    if (*value.at != '{') {
        return fail(tree, place, "a job of a flow is an object", err);
    }
    int rc = find_members(tree, place, value, found, err);
    if (rc == 0) {
        rc = fill(tree, place, found, err);
    }
    if (rc == 0 && !is_null(found[CHILDREN])) {
        size_t before = tree->count;
        rc = add_array(tree, found[CHILDREN], place, level + 1, err);
        tree->nodes[place].has_children = tree->count > before;
    }
    return rc;
}

static int add_array(
    struct ox__flow_tree *tree, struct slice array, size_t parent, size_t level, ox_error *err)
{
    const char *p = array.at + 1;
    int rc = 0;
    for (size_t index = 0; rc == 0 && next_value(&p); index++) {
        struct slice value = value_at(p);
        rc = add_node(tree, value, parent, index, level, err);
        p = value.end;
    }
    return rc;
}

int ox__flow_parse(struct ox__flow_tree *tree, const char *json, ox_error *err)
{
    memset(tree, 0, sizeof(*tree));
    if (!ox__json_valid(json, strlen(json))) {
        return ox__fail(err, OX_EINVAL, "the flow is not JSON, or is nested too deeply");
    }
    struct slice all = value_at(json);
    tree->many = *all.at == '[';
    int rc = tree->many ? add_array(tree, all, OX__FLOW_ROOT, 0, err)
                        : add_node(tree, all, OX__FLOW_ROOT, 0, 0, err);
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

/* Writes the way from the root to a node; a long one loses its beginning. */
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
