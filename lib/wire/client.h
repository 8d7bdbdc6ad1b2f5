/* client.h - the blocking transport: one connection, calls that wait. */
#ifndef OX_LIB_CLIENT_H
#define OX_LIB_CLIENT_H

#include "wire/op.h"
#include "wire/url.h"

#include <sys/types.h>

struct ox_client {
    struct ox__url url;
    uint32_t connect_timeout_ms, command_timeout_ms, connect_tries;
    uint32_t more_ms;    /* patience beyond command_timeout_ms, for blocking commands */
    redisContext *redis; /* NULL while there is no connection */
    pid_t pid;           /* of the process that made it */
    uint32_t connection; /* how many there have been */
    size_t in_flight;    /* posted and not reaped */
    struct ox__op op;    /* scratch for one call at a time */
};

/* Another client with the same settings and a connection of its own. */
int ox__client_clone(ox_client **out, const ox_client *from, ox_error *err);

/* Sends one operation and waits for its answer. An error reply is a failure (OX_ESERVER);
 * `*reply` is the caller's, to be freed with freeReplyObject(). Nothing else may be in
 * flight. OX_ELOST and OX_ETIMEOUT mean that it may have happened. */
int ox__call(ox_client *client, struct ox__op *op, redisReply **reply, ox_error *err);

/* For pipelines: post without waiting, then reap in the same order. A reaped reply may be an
 * error reply, NOSCRIPT among them; ox__reply_check() tells. */
int ox__post(ox_client *client, struct ox__op *op, ox_error *err);
int ox__reap(ox_client *client, redisReply **reply, ox_error *err);
/* Posts a script call with the source, for transactions: they cannot answer NOSCRIPT in time.
 */
int ox__post_source(ox_client *client, struct ox__op *op, ox_error *err);

/* Allows answers `more_ms` beyond the client's time-out, for commands that block that long;
 * 0 takes it back. Redis ends a block up to 100 ms late. */
void ox__client_patience(ox_client *client, uint32_t more_ms);
/* Drops the connection; the next call makes a new one. */
void ox__client_drop(ox_client *client);

/* Drops the connection after an answer that cannot be the call's: whose answers come next is
 * not known. `who` begins the text. Returns OX_EREPLY. */
int ox__client_out_of_step(ox_client *client, const char *who, ox_error *err);

/* 0, or the failure that an error reply stands for. */
int ox__reply_check(const redisReply *reply, ox_error *err);
/* For OX__AUTO. */
void ox__free_reply(redisReply **reply);

/* How long to wait before try `n` (from 0) to connect: 50 ms doubling up to 5 s, with some
 * chance in it so that a fleet does not return as one. */
uint32_t ox__backoff_ms(uint32_t n);

#endif /* OX_LIB_CLIENT_H */
