/*
 * query.h - an operation: commands, and how their replies are read.
 *
 * Every operation on a queue is an encoder, which fills a query (operations.h names them all),
 * and a decoder, which the query names. Neither knows whether a caller blocks: ox__run() below
 * sends and waits, ox__send() (send.h) sends from a loop, many in a pipeline if wanted. The
 * call of ox.h of that name checks for NULL and does the former.
 *
 * An operation of several commands also has state: how far it is. Its `next` encodes one
 * command after the other, for both drivers alike.
 *
 * A query borrows: the queue's `at`, the id and the outputs must outlive it. Outputs are
 * written only on success.
 */
#ifndef OX_LIB_QUEUE_QUERY_H
#define OX_LIB_QUEUE_QUERY_H

#include "queue/queue_at.h"
#include "wire/client.h"

struct ox__query;

/* Reads a reply, which is not an error reply. It may take the reply over (OX__STEAL); else the
 * caller frees it. Returns 0 or more, the operation's result, or a failure: ox__query_misfit()
 * for a reply of an unexpected type. */
typedef int ox__decode_fn(const struct ox__query *query, redisReply **reply, ox_error *err);
/* Encodes the next command, whose decoder records in `steps` how far the operation is. Returns
 * 1, 0 when no command is left, or a failure. The last decoder's result is the operation's. */
typedef int ox__next_fn(void *steps, struct ox__query *query, ox_error *err);

struct ox__query {
    struct ox__op op;
    const struct ox__queue_at
        *at;               /* named in errors; NULL: the query concerns the server as a whole */
    const char *id;        /* of the job, for errors; or NULL */
    const char *what;      /* the script, the command or the like, for errors */
    ox__decode_fn *decode; /* NULL: any reply is accepted */
    void *out, *out2, *out3; /* for the decoder */
    size_t count;            /* the same: elements wanted */
    /* Private: */
    bool ready;  /* a command is encoded and not sent */
    void *steps; /* owned; of an operation of several commands */
    ox__next_fn *next;
    void (*steps_done)(void *steps);
    bool (*goes_on)(void *steps, int code); /* see ox__query_failure(); NULL: it never does */
};

/* Accepts one of zeros. */
void ox__query_done(struct ox__query *query);

/* ---- for encoders ------------------------------------------------------------------------ */

/* Begins a script call in an operation and puts those of `base`, `flags` and `max_events` that
 * the script takes, in this order. */
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
/* Begins an operation of several commands: returns `size` zeros for its state, which `done` (or
 * NULL) empties at the end, also after a failure; the block is then freed. NULL when out of
 * memory. */
void *ox__query_steps(struct ox__query *query, const struct ox__queue_at *at, size_t size,
    ox__next_fn *next, void (*done)(void *steps), ox_error *err);

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

/* ---- for decoders ------------------------------------------------------------------------ */

/* Result of a decoder for an unexpected reply type: OX_EREPLY. Which reply comes next is not
 * known then, so the connection is dropped. */
int ox__query_misfit(const struct ox__query *query, ox_error *err);
/* The error for a script's refusal, a negative number. */
int ox__query_refusal(const struct ox__query *query, long long number, ox_error *err);

/* ---- for drivers ------------------------------------------------------------------------- */

/* Whether there is a command to be sent: 1, 0 at the end of the operation, or a failure. */
int ox__query_next(struct ox__query *query, ox_error *err);
/* Completes the error of a failed command; error replies get the queue's and the job's name.
 * Returns its code, or 0 when the operation continues nevertheless, as decided by the `goes_on`
 * that an encoder has set after ox__query_steps(). */
int ox__query_failure(const struct ox__query *query, const ox_error *problem, ox_error *err);
int ox__query_decode(const struct ox__query *query, redisReply **reply, ox_error *err);
/* Ends the operation, done or not: frees its state. The memory of `op` is kept. */
void ox__query_end(struct ox__query *query);

/* Runs the operation to its end, and waits. Returns its result, or the first failure. */
int ox__run(ox_client *client, struct ox__query *query, ox_error *err);

#endif /* OX_LIB_QUEUE_QUERY_H */
