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

int ox__scan(ox_client *client, const char *prefix, const char *rest, ox__page_fn *page,
    void *arg, ox_error *err)
{
    OX__AUTO(ox__free_text) char *pattern = pattern_of(prefix, rest);
    char cursor[24] = "0";
    int rc = pattern == NULL ? ox__fail_memory(err) : 0;
    bool over = false;
    while (rc == 0 && !over) {
        OX__AUTO(ox__free_reply) redisReply *reply = NULL;
        ox__op_command(&client->op, "SCAN");
        ox__op_text(&client->op, "cursor", cursor);
        ox__op_text(&client->op, "", "MATCH");
        ox__op_text(&client->op, "pattern", pattern);
        ox__op_text(&client->op, "", "COUNT");
        ox__op_text(&client->op, "count", PER_PAGE);
        rc = ox__call(client, &client->op, &reply, err);
        if (rc == 0 && !is_page(reply, prefix)) {
            rc = ox__client_out_of_step(client, "SCAN", err);
        }
        if (rc == 0) {
            memcpy(cursor, reply->element[0]->str, reply->element[0]->len + 1);
            over = strcmp(cursor, "0") == 0;
            rc = page(arg, reply->element[1], err);
        }
    }
    return rc;
}
