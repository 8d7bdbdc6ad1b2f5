/* scan.c - scans the keys of a server; see scan.h. */
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

int ox__scan_init(struct ox__scan *scan, const char *prefix, const char *rest, ox_error *err)
{
    memset(scan, 0, sizeof(*scan));
    scan->prefix = strdup(prefix);
    scan->pattern = pattern_of(prefix, rest);
    return scan->prefix == NULL || scan->pattern == NULL ? ox__fail_memory(err) : 0;
}

void ox__scan_done(struct ox__scan *scan)
{
    free(scan->prefix);
    free(scan->pattern);
    ox__free_reply(&scan->page);
    memset(scan, 0, sizeof(*scan));
}

static int decode_page(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct ox__scan *scan = query->out;
    if (!is_page(*reply, scan->prefix)) {
        return ox__query_misfit(query, err);
    }
    memcpy(scan->cursor, (*reply)->element[0]->str, (*reply)->element[0]->len + 1);
    scan->page = OX__STEAL(*reply);
    return 0;
}

int ox__scan_next(struct ox__scan *scan, struct ox__query *query)
{
    ox__free_reply(&scan->page);
    if (strcmp(scan->cursor, "0") == 0) {
        return 0;
    }
    ox__query_command(query, query->at, "SCAN");
    ox__op_text(&query->op, "cursor", *scan->cursor != '\0' ? scan->cursor : "0");
    ox__op_text(&query->op, "", "MATCH");
    ox__op_text(&query->op, "pattern", scan->pattern);
    ox__op_text(&query->op, "", "COUNT");
    ox__op_text(&query->op, "count", PER_PAGE);
    ox__query_into(query, decode_page, scan);
    return 1;
}
