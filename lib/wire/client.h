/* client.h - a connection for blocking calls. */
#ifndef OX_LIB_CLIENT_H
#define OX_LIB_CLIENT_H

#include "wire/conn.h"
#include "wire/socket.h"

#include <sys/types.h>

struct ox__posted;

struct ox_client {
    struct ox__conn conn;
    uint32_t connect_timeout_ms, command_timeout_ms, connect_tries;
    uint32_t more_ms;    /* added to command_timeout_ms, for blocking commands */
    uint32_t spin_us;    /* how long a call looks for its answer before it sleeps */
    uint32_t spin_every; /* one call of that many does, a power of two */
    uint32_t spin_calls; /* since the last that did */
    pid_t pid;           /* of the process that made the connection */
    uint32_t connection; /* how many there have been */
    /* Posted and not reaped, oldest first; and others for later use. */
    struct ox__posted *oldest, **newest, *spare;
    struct ox__socket socket;
};

/* Another client with the same settings and a connection of its own. */
int ox__client_clone(ox_client **out, const ox_client *from, ox_error *err);

/* Sends one operation and waits for its reply. An error reply is a failure (OX_ESERVER);
 * `*reply` is the caller's, to be freed with ox__free_reply(). Nothing else may be in flight.
 * After OX_ELOST and OX_ETIMEOUT it may have been applied. */
int ox__call(ox_client *client, struct ox__op *op, redisReply **reply, ox_error *err);

/* For pipelines: post without waiting, then reap in the same order. The operation's bytes stay
 * in place until it was reaped. A reaped reply may be an error reply; ox__reply_check() tells.
 * After a failure the connection and all posted operations are dropped. */
int ox__post(ox_client *client, struct ox__op *op, ox_error *err);
int ox__reap(ox_client *client, redisReply **reply, ox_error *err);

/* How long a command may block, for one that waits until `end_ms` (0: for ever) by
 * ox__steady_ms(): a few seconds at most, so that a dead server is noticed, and 1 at least. */
int64_t ox__block_ms(int64_t end_ms);
/* Whether such commands come: their replies are waited for that much longer. */
void ox__client_blocks(ox_client *client, bool blocks);
/* Drops the connection; the next call makes a new one. */
void ox__client_drop(ox_client *client);

#endif /* OX_LIB_CLIENT_H */
