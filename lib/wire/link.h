/*
 * link.h - the loop's transport: one connection that comes back by itself.
 *
 * Requests are answered in the order in which they were sent. A request belongs to whoever
 * sent it and must stay in place until its `done` has been called, which happens exactly once,
 * from the loop and never inside ox__link_send().
 *
 * While there is no connection requests wait. When one is lost, those on the way are sent
 * again if they say `keep`, else they end with OX_ELOST: what they ask for may have happened.
 * A server that says "not now" (it loads, it is a replica, it is out of memory) counts as lost,
 * and is asked again before anything else is sent; the link is up only while writes are taken.
 *
 * An answer that does not fit its request means that answers and requests are out of step: one
 * of them was lost on the way. Then whose answer is whose is not known, so the connection is
 * lost as well. A request whose second answer does not fit either ends with OX_EREPLY.
 */
#ifndef OX_LIB_LINK_H
#define OX_LIB_LINK_H

#include "wire/op.h"
#include "wire/url.h"

#include <uv.h>

struct ox__request;
/* Either `reply` (never an error reply) or `err` is given; both are borrowed. */
typedef void ox__done_fn(
    struct ox__request *request, const redisReply *reply, const ox_error *err);

struct ox__request {
    struct ox__op op;
    ox__done_fn *done;
    void *arg;
    /* Whether an answer (no error) can be this request's. NULL: any can. */
    bool (*fits)(const struct ox__request *request, const redisReply *reply);
    bool keep;           /* send again after a lost connection */
    uint32_t timeout_ms; /* for the answer; 0: the link's */
    /* The link's own: */
    bool resent; /* may have been applied before: sent again after a loss */
    bool source; /* sent as EVAL */
    bool misfit; /* an answer did not fit */
    int64_t deadline_ms;
    struct ox__request *next;
};

struct ox__link_options {
    const struct ox__url *url; /* copied */
    uint32_t connect_timeout_ms, command_timeout_ms;
    const char *client_name; /* for CLIENT SETNAME, or NULL; copied */
    /* "prefix:queue:" of the keys that are written, to ask whether writes are taken; copied */
    const char *base;
    void (*up)(void *arg);
    /* A connection was lost or could not be made; the next try comes by itself. Told once for
     * each reason, until the link was up again. */
    void (*down)(void *arg, const ox_error *err);
    void *arg;
};

struct ox__link;
/* Takes all the memory it needs; does nothing before it is started. */
int ox__link_new(struct ox__link **out, uv_loop_t *loop, const struct ox__link_options *options,
    ox_error *err);
void ox__link_start(struct ox__link *link);
/* For one that was not started. NULL is fine. */
void ox__link_free(struct ox__link *link);
/* Takes over a sealed operation in `request->op`. The request may be reused after `done`. */
void ox__link_send(struct ox__link *link, struct ox__request *request);
bool ox__link_is_up(const struct ox__link *link);
/* Ends this connection in good order, and makes another: what the server did before it learned
 * of that is answered; for the rest the connection is lost. Is no news to `down`. */
void ox__link_renew(struct ox__link *link);
/* Closes; requests still there end with OX_ECLOSED, then `closed` is called and the link is
 * gone. */
void ox__link_close(struct ox__link *link, void (*closed)(void *arg), void *arg);

#endif /* OX_LIB_LINK_H */
