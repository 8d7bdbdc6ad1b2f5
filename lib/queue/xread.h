/*
 * xread.h - reads of a Redis stream, for files that follow one: a queue's events, or the log of
 * a stream of events.
 */
#ifndef OX_LIB_QUEUE_XREAD_H
#define OX_LIB_QUEUE_XREAD_H

#include "queue/query.h"

/* What is read: the stream that is `key` behind `base`. Errors name `queue`; NULL: none. */
struct ox__xread_at {
    const struct ox__queue_at *queue;
    const char *base, *key;
};

/* Up to 100 entries behind the id `last`.
 *  @param block_ms  how long to wait for the first; 0: not at all
 *  @param reply     the caller's; see ox__xread_entries() */
void ox__xread_query(struct ox__query *query, const struct ox__xread_at *at, const char *last,
    int64_t block_ms, redisReply **reply);
/* The entries of such a reply; NULL when there are none. */
redisReply *ox__xread_entries(const redisReply *reply);
/* The newest entries up to the id `until` ("+": all), the newest first: an array. */
void ox__xrevrange_query(struct ox__query *query, const struct ox__xread_at *at,
    const char *until, int64_t count, redisReply **entries);

#endif /* OX_LIB_QUEUE_XREAD_H */
