/*
 * server.c - queries about the server as a whole: its clock, durability of writes, its queues.
 */
#include "base/clock.h"
#include "base/error.h"
#include "queue/list.h"
#include "queue/operations.h"
#include "queue/scan.h"

#include <stdlib.h>
#include <string.h>

/* ---- queues ------------------------------------------------------------------------------ */

struct names {
    struct ox__scan scan;
    size_t prefix_len;
    struct ox__list list;
    char ***out;
    size_t *count;
};

/* Keys are "prefix:name:meta". Those of longer prefixes look alike, but for a ':' inside. Names
 * with a NUL are skipped: they could not be used. */
static int take_names(struct names *names, const redisReply *keys, ox_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < keys->elements; i++) {
        const redisReply *key = keys->element[i];
        size_t around = names->prefix_len + strlen(":") + strlen(":meta");
        const char *name = key->str + names->prefix_len + 1;
        if (key->len > around && memchr(name, ':', key->len - around) == NULL &&
            memchr(name, '\0', key->len - around) == NULL) {
            rc = ox__list_add(&names->list, strndup(name, key->len - around), err);
        }
    }
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A scan may show a key twice. */
static void sort_names(struct ox__list *list)
{
    size_t kept = 0;
    if (list->count > 0) {
        qsort(list->items, list->count, sizeof(void *), by_name);
    }
    for (size_t i = 0; i < list->count; i++) {
        if (kept > 0 && strcmp(list->items[kept - 1], list->items[i]) == 0) {
            free(list->items[i]);
        } else {
            list->items[kept++] = list->items[i];
        }
    }
    if (list->count > 0) {
        list->items[kept] = NULL;
    }
    list->count = kept;
}

static int next_names(void *steps, struct ox__query *query, ox_error *err)
{
    struct names *names = steps;
    const redisReply *page = names->scan.page;
    int rc = page != NULL ? take_names(names, page->element[1], err) : 0;
    if (rc < 0 || ox__scan_next(&names->scan, query) > 0) {
        return rc < 0 ? rc : 1;
    }
    sort_names(&names->list);
    return ox__list_take(&names->list, names->out, names->count, err);
}

static void names_done(void *steps)
{
    struct names *names = steps;
    ox__scan_done(&names->scan);
    ox__list_done(&names->list);
}

int ox__queues_query(
    struct ox__query *query, const char *prefix, char ***out, size_t *count, ox_error *err)
{
    struct names *names =
        ox__query_steps(query, NULL, sizeof(*names), next_names, names_done, err);
    prefix = prefix != NULL ? prefix : "bull";
    if (names == NULL) {
        return OX_ENOMEM;
    }
    names->prefix_len = strlen(prefix);
    names->out = out;
    names->count = count;
    return ox__scan_init(&names->scan, prefix, ":*:meta", err);
}

/* Ends a call of a client, which has no query at hand. */
static int run(ox_client *client, struct ox__query *query, int encoded, ox_error *err)
{
    int rc = encoded < 0 ? encoded : ox__run(client, query, err);
    ox__query_done(query);
    return rc;
}

int ox_client_queues(
    ox_client *client, const char *prefix, char ***names, size_t *count, ox_error *err)
{
    struct ox__query query = { .at = NULL };
    OX__NEED(client, err);
    OX__NEED(names, err);
    return run(client, &query, ox__queues_query(&query, prefix, names, count, err), err);
}

/* ---- clock ------------------------------------------------------------------------------- */

static int decode_time(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    redisReply **at = (*reply)->element;
    if ((*reply)->type != REDIS_REPLY_ARRAY || (*reply)->elements != 2 ||
        at[0]->type != REDIS_REPLY_STRING || at[1]->type != REDIS_REPLY_STRING) {
        return ox__query_misfit(query, err);
    }
    int64_t seconds = strtoll(at[0]->str, NULL, 10);
    if (seconds < 0 || seconds > OX__MAX_MS / 1000) {
        return ox__query_misfit(query, err);
    }
    *(int64_t *)query->out = seconds * 1000 + strtoll(at[1]->str, NULL, 10) / 1000;
    return 0;
}

int ox__time_query(struct ox__query *query, int64_t *now_ms)
{
    ox__query_command(query, NULL, "TIME");
    ox__query_into(query, decode_time, now_ms);
    return 0;
}

int ox_client_time(ox_client *client, int64_t *now_ms, ox_error *err)
{
    struct ox__query query = { .at = NULL };
    OX__NEED(client, err);
    OX__NEED(now_ms, err);
    return run(client, &query, ox__time_query(&query, now_ms), err);
}

/* ---- durability -------------------------------------------------------------------------- */

static int decode_reached(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    int *reached = query->out;
    redisReply **at = (*reply)->element;
    if (query->count == 1 && (*reply)->type == REDIS_REPLY_INTEGER) {
        reached[1] = (int)(*reply)->integer;
        return 0;
    }
    if (query->count == 1 || (*reply)->type != REDIS_REPLY_ARRAY || (*reply)->elements != 2 ||
        at[0]->type != REDIS_REPLY_INTEGER || at[1]->type != REDIS_REPLY_INTEGER) {
        return ox__query_misfit(query, err);
    }
    reached[0] = (int)at[0]->integer;
    reached[1] = (int)at[1]->integer;
    return 0;
}

int ox__wait_durable_query(
    struct ox__query *query, bool disk, uint32_t want, int64_t ms, int reached[2])
{
    ox__query_command(query, NULL, disk ? "WAITAOF" : "WAIT");
    if (disk) {
        ox__op_int(&query->op, "local", 1);
    }
    ox__op_int(&query->op, "replicas", want);
    ox__op_int(&query->op, "ms", ms);
    ox__query_into(query, decode_reached, reached);
    query->count = disk ? 2 : 1;
    return 0;
}

static int wait_for(
    ox_client *client, bool disk, uint32_t want, int64_t end_ms, int reached[2], ox_error *err)
{
    for (;;) {
        struct ox__query query = { .at = NULL };
        int rc = run(client, &query,
            ox__wait_durable_query(&query, disk, want, ox__block_ms(end_ms), reached), err);
        bool done = (!disk || reached[0] > 0) && reached[1] >= (int)want;
        if (rc < 0 || done || (end_ms != 0 && ox__steady_ms() >= end_ms)) {
            return rc;
        }
    }
}

int ox_client_wait_durable(ox_client *client, uint32_t want_replicas, uint32_t timeout_ms,
    int *local, int *replicas, ox_error *err)
{
    OX__NEED(client, err);
    OX__NEED(local, err);
    OX__NEED(replicas, err);
    int64_t end_ms = timeout_ms > 0 ? ox__steady_ms() + timeout_ms : 0;
    int reached[2] = { 0, 0 };
    ox_error why = { 0 };
    uint32_t connection = client->connection;
    ox__client_blocks(client, true);
    int rc = wait_for(client, true, want_replicas, end_ms, reached, &why);
    if (rc == OX_ESERVER) {
        int waited = wait_for(client, false, want_replicas, end_ms, reached, err);
        rc = waited < 0 ? waited : ox__fail(err, rc, "%s", why.text);
    } else if (rc < 0) {
        ox__fail(err, rc, "%s", why.text);
    }
    ox__client_blocks(client, false);
    if (connection != client->connection) {
        /* The server knows what a connection wrote; this one wrote nothing. */
        return ox__fail(err, OX_ELOST,
            "the connection was lost; its writes may not be stored or replicated");
    }
    *local = reached[0];
    *replicas = reached[1];
    return rc;
}
