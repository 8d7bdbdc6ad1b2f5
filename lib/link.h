/*
 * link.h - the loop's transport: one connection that comes back by itself.
 *
 * Requests are answered in the order in which they were sent. A request belongs to whoever
 * sent it and must stay in place until its `done` has been called, which happens exactly once,
 * from the loop and never inside ox__link_send().
 *
 * While there is no connection requests wait. When one is lost, those on the way are sent
 * again if they say `keep`, else they end with OX_ELOST: what they ask for may have happened.
 * A server that says "not now" (it loads, it is a replica) counts as lost.
 */
#ifndef OX_LIB_LINK_H
#define OX_LIB_LINK_H

#include "op.h"
#include "url.h"

#include <uv.h>

struct ox__request;
/* Either `reply` (never an error reply) or `err` is given; both are borrowed. */
typedef void ox__done_fn(
    struct ox__request *request, const redisReply *reply, const ox_error *err);

struct ox__request {
    struct ox__op op;
    ox__done_fn *done;
    void *arg;
    bool keep;           /* send again after a lost connection */
    uint32_t timeout_ms; /* for the answer; 0: the link's */
    /* The link's own: */
    bool resent; /* may have been applied before: sent again after a loss */
    bool source; /* sent as EVAL */
    int64_t deadline_ms;
    struct ox__request *next;
};

struct ox__link_options {
    const struct ox__url *url; /* copied */
    uint32_t connect_timeout_ms, command_timeout_ms;
    const char *client_name; /* for CLIENT SETNAME, or NULL; copied */
    void (*up)(void *arg);
    /* A connection was lost or could not be made; the next try comes by itself. */
    void (*down)(void *arg, const ox_error *err);
    void *arg;
};

struct ox__link;
int ox__link_new(struct ox__link **out, uv_loop_t *loop, const struct ox__link_options *options,
    ox_error *err);
/* Takes over a built operation in `request->op`. The request may be reused after `done`. */
void ox__link_send(struct ox__link *link, struct ox__request *request);
bool ox__link_is_up(const struct ox__link *link);
/* Ends this connection in good order, and makes another: what the server did before it learned
 * of that is answered; for the rest the connection is lost. Is no news to `down`. */
void ox__link_renew(struct ox__link *link);
/* Closes; requests still there end with OX_ECLOSED, then `closed` is called and the link is
 * gone. */
void ox__link_close(struct ox__link *link, void (*closed)(void *arg), void *arg);

#endif /* OX_LIB_LINK_H */
