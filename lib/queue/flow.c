/*
 * flow.c - flows: trees of jobs, added in one transaction.
 *
 * Everything is checked before anything is sent: a flow with one bad job adds none. Ids are
 * chosen here, so that children can name their parents. Parents come first, then their
 * children, depth first, each through the script that adds all jobs; neighbours of one queue
 * share a call. A parent starts out waiting for its children. One with a child that was there
 * before, and may have ended, is looked at when the whole flow is in: it may have nothing to
 * wait for.
 *
 * A transaction cannot send a script again that the server has forgotten, so the first call of
 * each script carries its source; the others find it cached.
 */
#include "base/clock.h"
#include "base/error.h"
#include "queue/flow_tree.h"
#include "queue/job_in.h"
#include "queue/queue.h"
#include "scripts.h"
#include "wire/client.h"

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
    bool own_id; /* given, so the job may be there already */
};

struct flow {
    struct ox__flow_tree tree;
    struct item *items; /* one for each node */
};

static void flow_done(struct flow *flow)
{
    for (size_t i = 0; flow->items != NULL && i < flow->tree.count; i++) {
        struct item *item = &flow->items[i];
        ox__queue_at_done(&item->at);
        ox__job_in_done(&item->in);
        free(item->queue_key);
        free(item->id);
    }
    free(flow->items);
    ox__flow_done(&flow->tree);
}

/* What a flow does not allow beyond the rules for all jobs. */
static int check_place(const struct ox__flow_node *node, const struct item *item, ox_error *err)
{
    const json_t *parent = json_object_get(item->in.options.json, "parent");
    if (node->parent != OX__FLOW_ROOT && parent != NULL && !json_is_null(parent)) {
        return ox__fail(err, OX_EINVAL, "a child has no other parent than its flow gives it");
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

/* Checks one job; its parent is done. */
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

/* One job cannot stand in two places of a tree. */
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
    memset(flow, 0, sizeof(*flow));
    int rc = ox__flow_parse(&flow->tree, json, err);
    if (rc < 0) {
        return rc;
    }
    flow->items = calloc(flow->tree.count, sizeof(*flow->items));
    rc = flow->items == NULL ? ox__fail_memory(err) : 0;
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

/* The jobs that one call has. */
struct call {
    size_t first, count;
};

/* Calls that add jobs come first, those that release parents behind them. */
struct transaction {
    ox_client *client;
    struct ox__op op;
    struct call *adds;
    size_t add_count;
    size_t calls; /* of both kinds */
};

static int post_command(struct transaction *t, const char *name, ox_error *err)
{
    ox__op_command(&t->op, name);
    return ox__post_queued(t->client, &t->op, false, err);
}

static int post_call(struct transaction *t, bool first_of_script, ox_error *err)
{
    t->calls++;
    return ox__post_queued(t->client, &t->op, first_of_script, err);
}

static bool same_queue(const struct item *a, const struct item *b)
{
    return strcmp(a->at.base, b->at.base) == 0;
}

/* Posts the jobs from `first` on that go into one call. Returns how many. */
static int post_jobs(
    struct transaction *t, const struct flow *flow, size_t first, ox_error *err)
{
    const struct item *item = &flow->items[first];
    struct ox__op *op = &t->op;
    int n = 0;
    ox__op_at(op, &ox__script_add_jobs, &item->at);
    ox__op_int(op, "now", ox__now_ms());
    do {
        const char *kind = flow->tree.nodes[first + (size_t)n].has_children ? "fw" : "f";
        ox__job_in_put(op, &item[n].in, kind, item[n].id);
        n++;
    } while (first + (size_t)n < flow->tree.count && n < CALL_JOBS &&
             op->bytes.len < CALL_BYTES && same_queue(item, &item[n]));
    t->adds[t->add_count] = (struct call){ .first = first, .count = (size_t)n };
    int rc = post_call(t, t->add_count == 0, err);
    t->add_count++;
    return rc < 0 ? rc : n;
}

/* All queues of a flow have the same flags, so those of the child are those of its parent. */
static int post_release(
    struct transaction *t, const struct item *child, bool first, ox_error *err)
{
    const ox_parent *parent = &child->in.options.set.parent;
    g_autofree char *base = g_strconcat(parent->queue, ":", NULL);
    ox__op_script(&t->op, &ox__script_release_parents, base);
    ox__op_text(&t->op, "base", base);
    ox__op_text(&t->op, "flags", child->at.flags);
    ox__op_int(&t->op, "now", ox__now_ms());
    ox__op_text(&t->op, "parent", parent->id);
    return post_call(t, first, err);
}

/* Each parent of a job that may have been there already, once. */
static int post_releases(struct transaction *t, const struct flow *flow, ox_error *err)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < flow->tree.count; i++) {
        const struct item *item = &flow->items[i];
        const ox_parent *parent = &item->in.options.set.parent;
        if (item->own_id && parent->id != NULL &&
            g_hash_table_add(seen, g_strconcat(parent->queue, ":", parent->id, NULL))) {
            rc = post_release(t, item, g_hash_table_size(seen) == 1, err);
        }
    }
    return rc;
}

static int post_all(struct transaction *t, const struct flow *flow, ox_error *err)
{
    int rc = post_command(t, "MULTI", err);
    size_t done = 0;
    while (rc >= 0 && done < flow->tree.count) {
        rc = post_jobs(t, flow, done, err);
        done += rc > 0 ? (size_t)rc : 0;
    }
    if (rc >= 0) {
        rc = post_releases(t, flow, err);
    }
    return rc;
}

/* The answers to MULTI and to each call: that it is queued. The first that says otherwise is
 * the reason why EXEC will fail. */
static int reap_queued(struct transaction *t, ox_error *refused, ox_error *err)
{
    for (size_t i = 0; i < t->calls + 1; i++) {
        OX__AUTO(ox__free_reply) redisReply *reply = NULL;
        int rc = ox__reap(t->client, &reply, err);
        if (rc < 0) {
            return rc;
        }
        if (refused->code == 0) {
            ox__reply_check(reply, refused);
        }
    }
    return 0;
}

/* Looks at what became of every job. The first refusal is told, with where it happened. */
static int check_jobs(const struct transaction *t, const struct flow *flow,
    const redisReply *results, ox_error *err)
{
    ox_error problem = { 0 };
    size_t refused = 0, where = 0;
    for (size_t i = 0; i < t->add_count; i++) {
        for (size_t j = 0; j < t->adds[i].count; j++) {
            const struct item *item = &flow->items[t->adds[i].first + j];
            const char *id;
            ox_error one;
            if (ox__job_in_answer(
                    results->element[i]->element[j], item->at.name, item->id, &id, &one) < 0 &&
                refused++ == 0) {
                where = t->adds[i].first + j;
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

static int check_results(const struct transaction *t, const redisReply *results, ox_error *err)
{
    if (results->type != REDIS_REPLY_ARRAY || results->elements != t->calls) {
        return ox__client_out_of_step(t->client, "flow", err);
    }
    for (size_t i = 0; i < t->calls; i++) {
        const redisReply *one = results->element[i];
        int rc = ox__reply_check(one, err);
        if (rc < 0) {
            return rc;
        }
        if (i < t->add_count &&
            (one->type != REDIS_REPLY_ARRAY || one->elements != t->adds[i].count)) {
            return ox__client_out_of_step(t->client, "flow", err);
        }
    }
    return 0;
}

static int execute(struct transaction *t, redisReply **results, ox_error *err)
{
    ox_error refused = { 0 };
    int rc = post_command(t, "EXEC", err);
    if (rc == 0) {
        rc = reap_queued(t, &refused, err);
    }
    if (rc == 0) {
        rc = ox__reap(t->client, results, err);
    }
    if (rc == 0 && refused.code != 0) {
        bool nothing = (*results)->type == REDIS_REPLY_ERROR &&
                       g_str_has_prefix((*results)->str, "EXECABORT");
        rc = ox__fail(err, refused.code, "flow: %s%s", refused.text,
            nothing ? "; nothing was added" : "");
    }
    return rc < 0 ? rc : ox__reply_check(*results, err);
}

static int run(
    struct transaction *t, const struct flow *flow, redisReply **results, ox_error *err)
{
    ox_error problem = { 0 };
    int rc = post_all(t, flow, &problem);
    if (rc < 0) {
        /* Without EXEC the server forgets what it had. */
        ox__client_drop(t->client);
        return ox__fail(err, rc, "flow: %s; nothing was added", problem.text);
    }
    rc = execute(t, results, err);
    if (rc == 0) {
        rc = check_results(t, *results, err);
    }
    return rc == 0 ? check_jobs(t, flow, *results, err) : rc;
}

static int flow_send(ox_client *client, const struct flow *flow, char **id, ox_error *err)
{
    OX__AUTO(ox__free_reply) redisReply *results = NULL;
    struct transaction t = { .client = client };
    t.adds = calloc(flow->tree.count, sizeof(*t.adds));
    if (t.adds == NULL) {
        return ox__fail_memory(err);
    }
    int rc = run(&t, flow, &results, err);
    ox__op_done(&t.op);
    free(t.adds);
    if (rc < 0) {
        return rc;
    }
    const char *root;
    rc = ox__job_in_answer(
        results->element[0]->element[0], flow->items[0].at.name, NULL, &root, err);
    if (id != NULL) {
        *id = strdup(root);
        rc = *id == NULL ? ox__fail_memory(err) : rc;
    }
    return rc;
}

int ox_flow_add_with(ox_client *client, const ox_queue_options *options, const char *queue,
    const char *json, char **id, ox_error *err)
{
    const ox_queue_options defaults = { 0 };
    struct flow flow;
    if (id != NULL) {
        *id = NULL;
    }
    OX__NEED(client, err);
    OX__NEED(json, err);
    int rc = flow_init(&flow, options != NULL ? options : &defaults, queue, json, err);
    if (rc == 0) {
        rc = flow_send(client, &flow, id, err);
    }
    flow_done(&flow);
    return rc;
}

int ox_flow_add(ox_client *client, const char *prefix, const char *queue, const char *json,
    char **id, ox_error *err)
{
    const ox_queue_options options = { .prefix = prefix };
    return ox_flow_add_with(client, &options, queue, json, id, err);
}
