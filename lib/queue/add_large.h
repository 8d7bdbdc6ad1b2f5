/*
 * add_large.h - adds a plain job with large data, which is not to go through Lua: a script
 * copies what it is given into Lua and out of it, which costs the server four times as much.
 *
 * The data is written by HSET to a hash of its own, of which the script makes the job's by
 * renaming it; what is left of that hash when the script fails is deleted. All three are one
 * transaction, so nobody ever sees that hash. A user who may not call MULTI gets an error,
 * though all of it may be done; so the hash has a key of its own, lest the job gets another
 * one's data.
 *
 * A script within a transaction is sent with its source, hence only plain jobs: theirs is
 * small.
 */
#ifndef OX_LIB_QUEUE_ADD_LARGE_H
#define OX_LIB_QUEUE_ADD_LARGE_H

#include "queue/job_in.h"
#include "queue/query.h"

bool ox__add_is_large(const struct ox__job_in *in);
/* Encodes the add. Without memory the operation's bytes have `failed`. */
void ox__add_large(
    struct ox__query *query, const struct ox__queue_at *at, const struct ox__job_in *in);
/* For its decoder: puts the reply of the script in the place of that of the transaction.
 * Returns 0 or the error that the script met. */
int ox__add_large_reply(const struct ox__query *query, const redisReply **reply, ox_error *err);

#endif /* OX_LIB_QUEUE_ADD_LARGE_H */
