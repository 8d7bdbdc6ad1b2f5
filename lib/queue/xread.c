/* xread.c - see xread.h. */
#include "queue/xread.h"

#include "base/error.h"

#define PER_READ 100 /* entries in one reply */

/* Nil, or one stream with entries. */
static int decode_entries(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    const redisReply *found = *reply;
    if (found->type != REDIS_REPLY_NIL &&
        (found->type != REDIS_REPLY_ARRAY || found->elements != 1 ||
            found->element[0]->type != REDIS_REPLY_ARRAY || found->element[0]->elements != 2 ||
            found->element[0]->element[1]->type != REDIS_REPLY_ARRAY)) {
        return ox__query_misfit(query, err);
    }
    *(redisReply **)query->out = OX__STEAL(*reply);
    return 0;
}

void ox__xread_query(struct ox__query *query, const struct ox__xread_at *at, const char *last,
    int64_t block_ms, redisReply **reply)
{
    ox__query_command(query, at->queue, "XREAD");
    ox__op_text(&query->op, "", "COUNT");
    ox__op_int(&query->op, "count", PER_READ);
    if (block_ms > 0) {
        ox__op_text(&query->op, "", "BLOCK");
        ox__op_int(&query->op, "ms", block_ms);
    }
    ox__op_text(&query->op, "", "STREAMS");
    ox__op_key(&query->op, at->base, at->key);
    ox__op_text(&query->op, "id", last);
    ox__query_into(query, decode_entries, reply);
}

redisReply *ox__xread_entries(const redisReply *reply)
{
    return reply->type != REDIS_REPLY_NIL ? reply->element[0]->element[1] : NULL;
}

static int decode_newest(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    if ((*reply)->type != REDIS_REPLY_ARRAY) {
        return ox__query_misfit(query, err);
    }
    *(redisReply **)query->out = OX__STEAL(*reply);
    return 0;
}

void ox__xrevrange_query(struct ox__query *query, const struct ox__xread_at *at,
    const char *until, int64_t count, redisReply **entries)
{
    ox__query_command(query, at->queue, "XREVRANGE");
    ox__op_key(&query->op, at->base, at->key);
    ox__op_text(&query->op, "from", until);
    ox__op_text(&query->op, "to", "-");
    ox__op_text(&query->op, "", "COUNT");
    ox__op_int(&query->op, "count", count);
    ox__query_into(query, decode_newest, entries);
}
