/* reply.h - the server's answers, read into memory that is used again for the next. */
#ifndef OX_LIB_REPLY_H
#define OX_LIB_REPLY_H

#include <hiredis/hiredis.h>

struct ox__replies;
/* NULL when memory is out. */
struct ox__replies *ox__replies_new(void);
void ox__replies_free(struct ox__replies *replies);
/* Appends bytes of the connection, which are copied. */
void ox__replies_feed(struct ox__replies *replies, const char *bytes, size_t len);
/* The next whole answer, good until the next call; `*out` is NULL when more bytes are needed.
 * Returns NULL, or what is wrong with the bytes, for good (as long as `replies`). */
const char *ox__replies_next(struct ox__replies *replies, const redisReply **out);

#endif /* OX_LIB_REPLY_H */
