/* reply.h - the server's answers, read into memory that is used again for the next. */
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
/* The next whole answer, good until the next call; `*out` is NULL when more bytes are needed.
 * Returns 0, or for good (as long as `replies`) OX_EREPLY or OX_ENOMEM. */
int ox__replies_next(struct ox__replies *replies, const redisReply **out, ox_error *err);
/* Hands the latest answer over, to be freed with ox__free_reply(). NULL when memory is out. */
redisReply *ox__replies_keep(struct ox__replies *replies);
/* Frees one that was kept, for OX__AUTO too; then it is NULL. */
void ox__free_reply(redisReply **reply);

/* 0, or the failure that an error reply stands for. */
int ox__reply_check(const redisReply *reply, ox_error *err);
/* True when the reply says that the server does not have the script. */
bool ox__reply_is_noscript(const redisReply *reply);
/* Why the server refuses, for a reason that passes and that has nothing to do with what was
 * asked; else NULL. Nothing was done then: also a script meets such a refusal at its first
 * write or not at all. */
const char *ox__reply_not_now(const redisReply *reply);

#endif /* OX_LIB_REPLY_H */
