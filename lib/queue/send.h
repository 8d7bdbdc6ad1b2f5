/*
 * send.h - operations sent from a loop: the queries of query.h over a link.
 *
 * Several may be in flight; replies come in the order of sending. The struct is the caller's
 * and must stay in place until `done`.
 */
#ifndef OX_LIB_QUEUE_SEND_H
#define OX_LIB_QUEUE_SEND_H

#include "queue/query.h"
#include "wire/link.h"

struct ox__sending;
/* `rc` is the operation's result, or a failure, of which `err` (else NULL) tells. */
typedef void ox__sent_fn(struct ox__sending *sending, int rc, const ox_error *err);

/* Zeros, and a query that is encoded. It may be used for another after `done`. */
struct ox__sending {
    struct ox__query query;
    ox__sent_fn *done;
    void *arg;
    bool keep; /* may be sent again after a lost connection: reads */
    /* Private: */
    struct ox__request request;
    struct ox__link *link;
    redisReply *reply;
    int rc;
    ox_error err;
};

void ox__sending_done(struct ox__sending *sending);
/* Does the operation `sending->query`. `done` is called once, from the loop. Returns 1; 0 when
 * there is nothing to send, or a failure: then `done` is not called. */
int ox__send(struct ox__link *link, struct ox__sending *sending, ox_error *err);

/* Whether it was sent once more because the server did not have its script, and so behind what
 * was sent meanwhile. */
bool ox__sending_again(const struct ox__sending *sending);

#endif /* OX_LIB_QUEUE_SEND_H */
