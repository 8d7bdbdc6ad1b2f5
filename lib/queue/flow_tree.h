/*
 * flow_tree.h - the JSON of a flow, cut into its jobs.
 *
 * Invariants: a parent stands before its children, and a whole subtree before the next
 * sibling, so the order is the one in which the jobs are added.
 */
#ifndef OX_LIB_FLOW_TREE_H
#define OX_LIB_FLOW_TREE_H

#include <ox.h>

/* A flow is one transaction, and Redis serves nobody else meanwhile, so larger ones are
 * refused. */
#define OX__FLOW_NODES 10000
#define OX__FLOW_LEVELS 200

#define OX__FLOW_ROOT SIZE_MAX

/* One job. Its texts are owned, NULL where the flow has none. `data` is the JSON as it was
 * given, byte for byte. */
struct ox__flow_node {
    char *name, *queue, *prefix, *data, *opts;
    size_t parent; /* place in the list, or OX__FLOW_ROOT */
    size_t index;  /* among its siblings */
    size_t level;  /* 0: a root */
    bool has_children;
};

struct ox__flow_tree {
    struct ox__flow_node *nodes;
    size_t count, cap;
    bool many; /* an array of trees */
};

/* Reads a tree or an array of trees. Returns 0, OX_EINVAL or OX_ENOMEM; on failure there is
 * nothing to be freed. */
int ox__flow_parse(struct ox__flow_tree *tree, const char *json, ox_error *err);
void ox__flow_done(struct ox__flow_tree *tree);

/* Fails with a text that names the place: "flow: children[2].children[0]: ...". */
int ox__flow_fail(const struct ox__flow_tree *tree, size_t node, int code, const char *problem,
    ox_error *err);

#endif /* OX_LIB_FLOW_TREE_H */
