/*
 * flow.c - flows: trees of jobs, added in one transaction.
 *
 * Everything is checked before anything is sent: a flow with one bad job adds none. Ids are
 * chosen here, so that children can name their parents. Parents come first, then their
 * children, depth first, each through the script that adds all jobs; consecutive jobs of one
 * queue share a call. A parent starts out waiting for its children. A parent with a child that
 * existed before, and may have finished, is checked when the whole flow is added: it may have
 * nothing to wait for.
 *
 * A transaction cannot resend a script after NOSCRIPT, so the first call of each script carries
 * its source; the others find it cached.
 */
#include "base/clock.h"
#include "base/error.h"
#include "queue/flow_tree.h"
#include "queue/job_in.h"
#include "queue/operations.h"
#include "scripts.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define CALL_JOBS 50          /* in one call at most */
#define CALL_BYTES (1u << 20) /* a call is sent when it has as much */

/* ---- the jobs ---------------------------------------------------------------------------- */

/* A job, checked. `given` and `id` are borrowed by `in`. */
struct item {
    struct ox__queue_at at;
    char *queue_key; /* "prefix:name" */
    ox_job_options given;
    struct ox__job_in in;
    char *id;
    bool own_id; /* given, so the job may already exist */
};

/* The jobs that one call has. */
struct call {
    size_t first, count;
};

struct flow {
    struct ox__flow_tree tree;
    struct item *items; /* one for each node */
    /* Calls that add jobs come first in the transaction, then those that release parents. */
    struct call *adds;
    size_t add_count, release_count;
    char **id; /* out, or NULL */
};

static void flow_done(void *steps)
{
    struct flow *flow = steps;
    for (size_t i = 0; flow->items != NULL && i < flow->tree.count; i++) {
        struct item *item = &flow->items[i];
        ox__queue_at_done(&item->at);
        ox__job_in_done(&item->in);
        free(item->queue_key);
        free(item->id);
    }
    free(flow->items);
    free(flow->adds);
    ox__flow_done(&flow->tree);
}

/* Checks what flows forbid beyond the rules for all jobs. */
static int check_place(const struct ox__flow_node *node, const struct item *item, ox_error *err)
{
    const json_t *parent = json_object_get(item->in.options.json, "parent");
    if (node->parent != OX__FLOW_ROOT && parent != NULL && !json_is_null(parent)) {
        return ox__fail(err, OX_EINVAL, "a child in a flow must not name a parent of its own");
    }
    if (node->has_children && item->in.options.set.dedup.id != NULL) {
        return ox__fail(err, OX_EINVAL, "a job with children cannot be deduplicated");
    }
    return 0;
}

static int choose_id(struct item *item, ox_error *err)
{
    const char *own = item->in.options.set.id;
    item->own_id = own != NULL;
    item->id = own != NULL ? strdup(own) : g_uuid_string_random();
    return item->id == NULL ? ox__fail_memory(err) : 0;
}

/* Checks one job, whose parent has been checked. */
static int prepare(struct flow *flow, size_t i, const ox_queue_options *options,
    const char *queue, ox_error *err)
{
    const struct ox__flow_node *node = &flow->tree.nodes[i];
    struct item *item = &flow->items[i];
    const char *prefix = node->prefix != NULL ? node->prefix : options->prefix;
    queue = node->queue != NULL ? node->queue : queue;
    if (queue == NULL) {
        return ox__fail(err, OX_EINVAL, "queueName is missing");
    }
    int rc = ox__queue_at_init(&item->at, prefix, queue, options, err);
    if (rc < 0) {
        return rc;
    }
    item->queue_key = strndup(item->at.base, strlen(item->at.base) - 1);
    if (item->queue_key == NULL) {
        return ox__fail_memory(err);
    }
    item->given.json = node->opts;
    if (node->parent != OX__FLOW_ROOT) {
        item->given.parent.id = flow->items[node->parent].id;
        item->given.parent.queue = flow->items[node->parent].queue_key;
    }
    const ox_new_job job = { .name = node->name, .json = node->data, .options = &item->given };
    rc = ox__job_in_init(&item->in, &job, err);
    if (rc == 0) {
        rc = check_place(node, item, err);
    }
    return rc < 0 ? rc : choose_id(item, err);
}

/* One job cannot be in a tree twice. */
static int check_ids(const struct flow *flow, ox_error *err)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (size_t i = 0; i < flow->tree.count; i++) {
        const struct item *item = &flow->items[i];
        if (item->own_id &&
            !g_hash_table_add(seen, g_strconcat(item->at.base, item->id, NULL))) {
            return ox__flow_fail(
                &flow->tree, i, OX_EINVAL, "the flow has another job with this id", err);
        }
    }
    return 0;
}

static int flow_init(struct flow *flow, const ox_queue_options *options, const char *queue,
    const char *json, ox_error *err)
{
    int rc = ox__flow_parse(&flow->tree, json, err);
    if (rc < 0) {
        return rc;
    }
    flow->items = calloc(flow->tree.count, sizeof(*flow->items));
    flow->adds = calloc(flow->tree.count, sizeof(*flow->adds));
    rc = flow->items == NULL || flow->adds == NULL ? ox__fail_memory(err) : 0;
    for (size_t i = 0; rc == 0 && i < flow->tree.count; i++) {
        ox_error problem = { 0 };
        rc = prepare(flow, i, options, queue, &problem);
        if (rc < 0) {
            ox__flow_fail(&flow->tree, i, rc, problem.text, err);
        }
    }
    return rc == 0 ? check_ids(flow, err) : rc;
}

/* ---- the transaction --------------------------------------------------------------------- */

static bool same_queue(const struct item *a, const struct item *b)
{
    return strcmp(a->at.base, b->at.base) == 0;
}

/* Adds a call with the jobs from `first` on that go into one. */
static int put_jobs(
    struct flow *flow, struct ox__op *all, struct ox__op *op, size_t first, ox_error *err)
{
    const struct item *item = &flow->items[first];
    size_t n = 0;
    ox__op_at(op, &ox__script_add_jobs, &item->at);
    ox__op_int(op, "now", ox__now_ms());
    do {
        bool waits = flow->tree.nodes[first + n].has_children;
        const char kind[] = { OX__ADD_FLOW, waits ? OX__ADD_WAITS : '\0', '\0' };
        ox__job_in_put(op, &item[n].in, kind, item[n].id);
        n++;
    } while (first + n < flow->tree.count && n < CALL_JOBS && op->bytes.len < CALL_BYTES &&
             same_queue(item, &item[n]));
    bool source = flow->add_count == 0;
    flow->adds[flow->add_count++] = (struct call){ .first = first, .count = n };
    return ox__op_add(all, op, source, err);
}

/* All queues of a flow have the same flags, so those of the child are those of its parent. */
static int put_release(struct flow *flow, struct ox__op *all, struct ox__op *op,
    const struct item *child, ox_error *err)
{
    const ox_parent *parent = &child->in.options.set.parent;
    g_autofree char *base = g_strconcat(parent->queue, ":", NULL);
    ox__op_script(op, &ox__script_release_parents, base);
    ox__op_text(op, "base", base);
    ox__op_text(op, "flags", child->at.flags);
    ox__op_int(op, "now", ox__now_ms());
    ox__op_text(op, "parent", parent->id);
    return ox__op_add(all, op, flow->release_count++ == 0, err);
}

/* Each parent of a job that may have existed before, once. */
static int put_releases(struct flow *flow, struct ox__op *all, struct ox__op *op, ox_error *err)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < flow->tree.count; i++) {
        const struct item *item = &flow->items[i];
        const ox_parent *parent = &item->in.options.set.parent;
        if (item->own_id && parent->id != NULL &&
            g_hash_table_add(seen, g_strconcat(parent->queue, ":", parent->id, NULL))) {
            rc = put_release(flow, all, op, item, err);
        }
    }
    return rc;
}

static int put_all(struct flow *flow, struct ox__op *all, ox_error *err)
{
    OX__AUTO(ox__op_done) struct ox__op op = { .argc = 0 };
    int rc = 0;
    ox__op_transaction(all);
    for (size_t done = 0; rc == 0 && done < flow->tree.count;) {
        rc = put_jobs(flow, all, &op, done, err);
        done += flow->adds[flow->add_count - 1].count;
    }
    rc = rc < 0 ? rc : put_releases(flow, all, &op, err);
    ox__op_exec(all);
    return rc;
}

/* ---- what became of it ------------------------------------------------------------------- */

/* Reads the reply for every job. The first refusal is reported with its place in the tree. */
static int check_jobs(const struct flow *flow, const redisReply *results, ox_error *err)
{
    ox_error problem = { 0 };
    size_t refused = 0, where = 0;
    for (size_t i = 0; i < flow->add_count; i++) {
        for (size_t j = 0; j < flow->adds[i].count; j++) {
            const struct item *item = &flow->items[flow->adds[i].first + j];
            const char *id;
            ox_error one;
            if (ox__job_in_answer(
                    results->element[i]->element[j], item->at.name, item->id, &id, &one) < 0 &&
                refused++ == 0) {
                where = flow->adds[i].first + j;
                problem = one;
            }
        }
    }
    if (refused == 0) {
        return 0;
    }
    g_strlcat(problem.text,
        refused == flow->tree.count ? "; nothing was added"
                                    : "; the rest of the flow was added",
        sizeof(problem.text));
    return ox__flow_fail(&flow->tree, where, problem.code, problem.text, err);
}

static int check_results(
    const struct ox__query *query, const redisReply *results, ox_error *err)
{
    const struct flow *flow = query->out;
    if (results->type != REDIS_REPLY_ARRAY ||
        results->elements != flow->add_count + flow->release_count) {
        return ox__query_misfit(query, err);
    }
    for (size_t i = 0; i < results->elements; i++) {
        const redisReply *one = results->element[i];
        int rc = ox__reply_check(one, err);
        if (rc < 0) {
            return rc;
        }
        if (i < flow->add_count &&
            (one->type != REDIS_REPLY_ARRAY || one->elements != flow->adds[i].count)) {
            return ox__query_misfit(query, err);
        }
    }
    return 0;
}

static int decode(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    const struct flow *flow = query->out;
    int rc = check_results(query, *reply, err);
    rc = rc < 0 ? rc : check_jobs(flow, *reply, err);
    if (rc < 0) {
        return rc;
    }
    const char *root;
    rc = ox__job_in_answer(
        (*reply)->element[0]->element[0], flow->items[0].at.name, NULL, &root, err);
    if (flow->id != NULL) {
        *flow->id = strdup(root);
        rc = *flow->id == NULL ? ox__fail_memory(err) : rc;
    }
    return rc;
}

static int next(void *steps, struct ox__query *query, ox_error *err)
{
    struct flow *flow = steps;
    if (flow->add_count > 0) {
        return 0; /* it was sent */
    }
    ox__query_command(query, NULL, "flow");
    ox__query_into(query, decode, flow);
    int rc = put_all(flow, &query->op, err);
    return rc < 0 ? rc : 1;
}

int ox__flow_query(struct ox__query *query, const ox_queue_options *options, const char *queue,
    const char *json, char **id, ox_error *err)
{
    static const ox_queue_options defaults;
    struct flow *flow = ox__query_steps(query, NULL, sizeof(*flow), next, flow_done, err);
    if (flow == NULL) {
        return OX_ENOMEM;
    }
    flow->id = id;
    return flow_init(flow, options != NULL ? options : &defaults, queue, json, err);
}

int ox_flow_add_with(ox_client *client, const ox_queue_options *options, const char *queue,
    const char *json, char **id, ox_error *err)
{
    OX__AUTO(ox__query_done) struct ox__query query = { .at = NULL };
    if (id != NULL) {
        *id = NULL;
    }
    OX__NEED(client, err);
    OX__NEED(json, err);
    int rc = ox__flow_query(&query, options, queue, json, id, err);
    return rc < 0 ? rc : ox__run(client, &query, err);
}

int ox_flow_add(ox_client *client, const char *prefix, const char *queue, const char *json,
    char **id, ox_error *err)
{
    const ox_queue_options options = { .prefix = prefix };
    return ox_flow_add_with(client, &options, queue, json, id, err);
}
