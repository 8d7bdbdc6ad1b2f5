/*
 * fuzz_flow.c - the JSON of flows.
 *
 * Input: the flow. The tree that is cut out of the text has the jobs that jansson finds in it,
 * parents before their children, and the data of each is JSON still.
 */
#include "fuzz.h"

#include <jansson.h>

#include "lib/base/json.h"
#include "lib/queue/flow_tree.h"

static size_t count_jobs(const json_t *json)
{
    size_t count = json_is_object(json) ? 1 : 0, index;
    const json_t *one;
    json_array_foreach (json, index, one) {
        count += count_jobs(one);
    }
    return json_is_object(json) ? count + count_jobs(json_object_get(json, "children")) : count;
}

static void check_node(const struct ox__flow_tree *tree, size_t i)
{
    const struct ox__flow_node *node = &tree->nodes[i];
    ox_error err = { 0 };
    expect(node->parent == OX__FLOW_ROOT ? node->level == 0 : node->parent < i);
    if (node->parent != OX__FLOW_ROOT) {
        expect(tree->nodes[node->parent].has_children);
        expect(tree->nodes[node->parent].level + 1 == node->level);
    }
    expect(node->data == NULL || ox__json_valid(node->data, strlen(node->data)));
    expect(node->opts == NULL || ox__json_valid(node->opts, strlen(node->opts)));
    expect(ox__flow_fail(tree, i, OX_EINVAL, "here", &err) == OX_EINVAL);
    expect(strstr(err.text, "here") != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    struct ox__flow_tree tree;
    ox_error err = { 0 };
    int rc = ox__flow_parse(&tree, text, &err);
    if (rc == 0) {
        json_t *json = json_loads(text, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
        expect(json == NULL || count_jobs(json) == tree.count);
        json_decref(json);
        expect(tree.count > 0);
        for (size_t i = 0; i < tree.count; i++) {
            check_node(&tree, i);
        }
        ox__flow_done(&tree);
    } else {
        fuzz_failure(&err, OX_EINVAL);
    }
    free(text);
    return 0;
}
