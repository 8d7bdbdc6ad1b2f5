/*
 * query.h - one operation on a queue: a command, and how its reply is read.
 *
 * Every operation is an encoder, which fills a query, and a decoder, which the query names.
 * Neither knows whether anyone waits: ox__run() below sends a query and waits, ox__send()
 * (send.h) sends it from a loop, many of them in a pipeline if wanted. An operation that needs
 * several calls is a struct that begins with a step: it holds how far the operation is, makes
 * one query after the other, and both transports go through it alike.
 *
 * A query borrows: the queue's `at`, the id and the place that the decoder fills must outlive
 * it. A decoder writes there only on success.
 */
#ifndef OX_LIB_QUEUE_QUERY_H
#define OX_LIB_QUEUE_QUERY_H

#include "queue/queue_at.h"
#include "wire/client.h"

struct ox__query;

/* Reads a reply, which is not an error reply. It may take the reply over (OX__STEAL); else the
 * caller frees it. Returns 0 or more, the operation's result, or what went wrong: a reply that
 * cannot be this query's is ox__query_misfit(). */
typedef int ox__decode_fn(const struct ox__query *query, redisReply **reply, ox_error *err);

struct ox__query {
    struct ox__op op;
    const struct ox__queue_at *at; /* named in errors; NULL: the server as a whole is asked */
    const char *id;                /* of the job, for errors; or NULL */
    const char *what;              /* the script or command, for errors */
    ox__decode_fn *decode;         /* NULL: any reply is fine */
    void *out;                     /* for the decoder */
    size_t count;                  /* the same: elements wanted */
};

void ox__query_done(struct ox__query *query);

/* Begins a script call in an operation and puts what the script takes first of `base`, `flags`
 * and `max_events`, which come in this order. */
void ox__op_at(
    struct ox__op *op, const struct ox__script *script, const struct ox__queue_at *at);

/* Begins a plain command. */
void ox__query_command(
    struct ox__query *query, const struct ox__queue_at *at, const char *command);
/* Begins a script call, as ox__op_at() does. */
void ox__query_script(
    struct ox__query *query, const struct ox__queue_at *at, const struct ox__script *script);
/* The same for an operation on one job: checks the id (OX_ENOTFOUND), then puts it, with `now`
 * before it where the script takes that. */
int ox__query_job(struct ox__query *query, const struct ox__queue_at *at,
    const struct ox__script *script, const char *id, ox_error *err);

/* Names the decoder, and what it fills. */
void ox__query_into(struct ox__query *query, ox__decode_fn *decode, void *out);
/* The decoder of scripts that answer with a number: refusals (< 0) become errors, others are
 * stored in `value` (may be NULL). The result is 0. */
void ox__query_number(struct ox__query *query, int64_t *value);
/* The same, but the result is 1 for a number over 0, else 0. */
void ox__query_flag(struct ox__query *query);
/* The decoder of scripts that answer with exactly `count` numbers, none of them negative. */
void ox__query_numbers(struct ox__query *query, int64_t *out, size_t count);
/* For decoders of their own: reads such an answer. */
int ox__query_read_numbers(const struct ox__query *query, const redisReply *reply, int64_t *out,
    size_t count, ox_error *err);
/* The decoder that hands the reply over. */
void ox__query_reply(struct ox__query *query, redisReply **out);

/* What a decoder returns for a reply that cannot be the query's: OX_EREPLY. Whose replies come
 * next is not known then, so the connection is dropped. */
int ox__query_misfit(const struct ox__query *query, ox_error *err);
/* What a script's refusal, a negative number, stands for. */
int ox__query_refusal(const struct ox__query *query, long long number, ox_error *err);
/* A failure to get a reply, told with the queue and job where the server said it. */
int ox__query_failure(const struct ox__query *query, const ox_error *problem, ox_error *err);
int ox__query_decode(const struct ox__query *query, redisReply **reply, ox_error *err);

/* An operation of several queries. */
struct ox__step {
    /* Makes the next query, whose decoder notes in the operation how far it came. Returns 1, 0
     * when nothing is left to be sent, or a failure. */
    int (*next)(struct ox__step *step, struct ox__query *query, ox_error *err);
};

/* Sends the query, waits and decodes. */
int ox__run(ox_client *client, struct ox__query *query, ox_error *err);
/* Goes through all queries of an operation. Returns 0 or the first failure. */
int ox__run_steps(
    ox_client *client, struct ox__query *query, struct ox__step *step, ox_error *err);

#endif /* OX_LIB_QUEUE_QUERY_H */
