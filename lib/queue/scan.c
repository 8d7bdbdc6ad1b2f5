/* scan.c - walking over the keys of a server; see scan.h. */
#include "queue/scan.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define PER_PAGE "1000" /* keys that Redis looks at in one step */

static char *pattern_of(const char *prefix, const char *rest)
{
    struct ox__buf out = { 0 };
    for (; *prefix != '\0'; prefix++) {
        if (strchr("*?[]\\", *prefix) != NULL) {
            ox__buf_char(&out, '\\');
        }
        ox__buf_char(&out, *prefix);
    }
    ox__buf_text(&out, rest);
    return ox__buf_steal(&out);
}

/* Callers cut the prefix off every key. */
static bool is_page(const redisReply *reply, const char *prefix)
{
    size_t prefix_len = strlen(prefix);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING || reply->element[0]->len >= 24 ||
        reply->element[1]->type != REDIS_REPLY_ARRAY) {
        return false;
    }
    const redisReply *keys = reply->element[1];
    for (size_t i = 0; i < keys->elements; i++) {
        const redisReply *key = keys->element[i];
        if (key->type != REDIS_REPLY_STRING || key->len < prefix_len ||
            memcmp(key->str, prefix, prefix_len) != 0) {
            return false;
        }
    }
    return true;
}

/* How far a scan is. Pages are shown between two queries, so that they may use the client. */
struct scan {
    struct ox__step step;
    const char *prefix, *pattern;
    ox__page_fn *page;
    void *arg;
    char cursor[24];  /* empty: not begun */
    redisReply *keys; /* reply with a page that is to be shown */
};

static int decode_page(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct scan *scan = query->out;
    if (!is_page(*reply, scan->prefix)) {
        return ox__query_misfit(query, err);
    }
    memcpy(scan->cursor, (*reply)->element[0]->str, (*reply)->element[0]->len + 1);
    scan->keys = OX__STEAL(*reply);
    return 0;
}

static int next_page(struct ox__step *step, struct ox__query *query, ox_error *err)
{
    struct scan *scan = (struct scan *)step;
    int rc = scan->keys != NULL ? scan->page(scan->arg, scan->keys->element[1], err) : 0;
    ox__free_reply(&scan->keys);
    if (rc < 0 || strcmp(scan->cursor, "0") == 0) {
        return rc;
    }
    ox__query_command(query, NULL, "SCAN");
    ox__op_text(&query->op, "cursor", *scan->cursor != '\0' ? scan->cursor : "0");
    ox__op_text(&query->op, "", "MATCH");
    ox__op_text(&query->op, "pattern", scan->pattern);
    ox__op_text(&query->op, "", "COUNT");
    ox__op_text(&query->op, "count", PER_PAGE);
    ox__query_into(query, decode_page, scan);
    return 1;
}

int ox__scan(ox_client *client, const char *prefix, const char *rest, ox__page_fn *page,
    void *arg, ox_error *err)
{
    OX__AUTO(ox__free_text) char *pattern = pattern_of(prefix, rest);
    OX__AUTO(ox__query_done) struct ox__query query = { .at = NULL };
    struct scan scan = {
        .step = { next_page }, .prefix = prefix, .pattern = pattern, .page = page, .arg = arg
    };
    if (pattern == NULL) {
        return ox__fail_memory(err);
    }
    return ox__run_steps(client, &query, &scan.step, err);
}
