/* queue.h - what the library's files share about a queue. */
#ifndef OX_LIB_QUEUE_H
#define OX_LIB_QUEUE_H

#include "wire/client.h"

/* Where the keys of a queue are and how its scripts are to behave; shared by the blocking
 * queue and the worker. */
struct ox__queue_at {
    char *prefix, *name;
    char *base;    /* "prefix:name:" */
    char flags[4]; /* for the scripts: 'e' events, 'l' legacy pause */
    uint32_t max_events;
};

struct ox_queue {
    ox_client *client; /* borrowed */
    struct ox__queue_at at;
    ox_queue_options options; /* its texts are not kept */
    struct ox__op op;         /* scratch for one call at a time */
};

int ox__queue_at_init(struct ox__queue_at *at, const char *prefix, const char *name,
    const ox_queue_options *options, ox_error *err);
int ox__queue_at_copy(struct ox__queue_at *to, const struct ox__queue_at *from, ox_error *err);
void ox__queue_at_done(struct ox__queue_at *at);

/* 0, or OX_ENOTFOUND when no job can have that id (OX_EINVAL for NULL): it would name another
 * key of the queue. Every operation on one job starts with it. */
int ox__queue_id_check(const ox_queue *queue, const char *id, ox_error *err);

/* Begins a script call and puts what the script takes first of `base`, `flags` and
 * `max_events`, which come in this order. */
void ox__op_at(
    struct ox__op *op, const struct ox__script *script, const struct ox__queue_at *at);
/* The same in the queue's scratch operation. */
struct ox__op *ox__queue_op(ox_queue *queue, const struct ox__script *script);
/* The same for an operation on one job: checks the id, then puts it, with `now` before it where
 * the script takes that. */
int ox__queue_job_op(
    ox_queue *queue, const struct ox__script *script, const char *id, ox_error *err);
/* Sends the scratch operation. `id` (may be NULL) is for the error text. */
int ox__queue_call(ox_queue *queue, const char *id, redisReply **reply, ox_error *err);
/* The same for scripts that answer with a number: refusals (< 0) become errors, others are
 * returned through `value` (may be NULL). */
int ox__queue_number(ox_queue *queue, const char *id, int64_t *value, ox_error *err);
/* The same for scripts that answer with exactly `count` numbers, none of them negative. */
int ox__queue_numbers(ox_queue *queue, int64_t *out, size_t count, ox_error *err);
/* A reply that cannot be the call's. The connection is dropped. */
int ox__queue_odd(const ox_queue *queue, const char *id, const char *what, ox_error *err);

/* 0, or OX_EINVAL when `json` is no JSON; `what` names it in the text. */
int ox__json_check(const char *json, const char *what, ox_error *err);

#endif /* OX_LIB_QUEUE_H */
