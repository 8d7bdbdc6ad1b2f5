/* reply.h - the server's replies, decoded into memory that is reused for the next. */
#ifndef OX_LIB_REPLY_H
#define OX_LIB_REPLY_H

#include <hiredis/hiredis.h>
#include <ox.h>
#include <stdbool.h>

struct ox__replies;
/* NULL when memory is out. */
struct ox__replies *ox__replies_new(void);
void ox__replies_free(struct ox__replies *replies);
/* Appends bytes of the connection, which are copied. */
void ox__replies_feed(struct ox__replies *replies, const char *bytes, size_t len);
/* The next complete reply, valid until the next call; `*out` is NULL when more bytes are
 * needed. Returns 0, or OX_EREPLY or OX_ENOMEM, then for all further calls. */
int ox__replies_next(struct ox__replies *replies, const redisReply **out, ox_error *err);
/* Moves the latest reply to the caller, to be freed with ox__free_reply(). NULL when out of
 * memory. */
redisReply *ox__replies_keep(struct ox__replies *replies);
/* Frees one that was kept, for OX__AUTO too; then it is NULL. */
void ox__free_reply(redisReply **reply);

/* 0, or the failure that an error reply means. */
int ox__reply_check(const redisReply *reply, ox_error *err);
/* True when the server could not read what it was sent, and closes. */
bool ox__reply_is_unreadable(const redisReply *reply);
/* True for NOSCRIPT: the server does not have the script. */
bool ox__reply_is_noscript(const redisReply *reply);
/* The reason of a transient error that does not depend on the command (LOADING, READONLY, OOM,
 * ..); else NULL. Nothing was done then: a script also gets such an error at its first write or
 * not at all. */
const char *ox__reply_not_now(const redisReply *reply);

#endif /* OX_LIB_REPLY_H */
