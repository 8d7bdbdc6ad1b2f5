/*
 * request.h - an operation that waits for its reply, and requests in the order in which replies
 * come.
 *
 * A request belongs to who sends it, and may be in a part of its own struct. From
 * ox__conn_send() until `done` the connection has it.
 */
#ifndef OX_LIB_REQUEST_H
#define OX_LIB_REQUEST_H

#include "wire/op.h"

#include <ox.h>

#include <hiredis/hiredis.h>

struct ox__request;
/* Either `reply` or `err` is given; both are borrowed. */
typedef void ox__done_fn(
    struct ox__request *request, const redisReply *reply, const ox_error *err);

struct ox__request {
    struct ox__op op;
    ox__done_fn *done;
    void *arg;
    /* Whether a reply (no error) fits this request. NULL: any does. */
    bool (*fits)(const struct ox__request *request, const redisReply *reply);
    bool keep;           /* send again after a lost connection */
    bool takes_errors;   /* error replies are passed as `reply`; else as `err` */
    uint32_t timeout_ms; /* of silence before the reply; 0: the connection's */
    /* The connection's own: */
    bool resent;         /* may have been applied before: sent again after a loss */
    bool source;         /* sent as EVAL */
    bool misfit;         /* a reply did not fit */
    size_t replies_left; /* of a transaction more than one */
    int64_t deadline_ms;
    struct ox__request *next;
};

/* Requests in order. It owns none of them; a request is in one at most. */
struct ox__requests {
    struct ox__request *head, **tail;
};

void ox__requests_init(struct ox__requests *list);
void ox__requests_push(struct ox__requests *list, struct ox__request *request);
void ox__requests_push_front(struct ox__requests *list, struct ox__request *request);
/* NULL when there is none. */
struct ox__request *ox__requests_pop(struct ox__requests *list);
/* Moves all of `from` to `out`, which is initialized here. */
void ox__requests_take(struct ox__requests *out, struct ox__requests *from);

#endif /* OX_LIB_REQUEST_H */
