/*
 * send.c - sends queries over a link.
 *
 * A reply is decoded when the connection asks whether it fits: an unexpected type breaks the
 * connection, like any reply that does not fit its request (conn.h).
 */
#include "queue/send.h"

#include "base/error.h"

bool ox__sending_again(const struct ox__sending *sending)
{
    return sending->request.source;
}

void ox__sending_done(struct ox__sending *sending)
{
    ox__query_done(&sending->query);
}

static bool decode(const struct ox__request *request, const redisReply *reply)
{
    struct ox__sending *sending = request->arg;
    (void)reply;
    ox__free_reply(&sending->reply);
    sending->reply = ox__link_keep_reply(sending->link);
    sending->rc = sending->reply == NULL
                      ? ox__fail_memory(&sending->err)
                      : ox__query_decode(&sending->query, &sending->reply, &sending->err);
    return sending->rc != OX_EREPLY;
}

static void on_done(
    struct ox__request *request, const redisReply *reply, const ox_error *problem);

/* Sends the next command. 1, 0 at the end of the operation, or a failure. */
static int send_next(struct ox__sending *sending, ox_error *err)
{
    int rc = ox__query_next(&sending->query, err);
    if (rc > 0 && ox__op_seal(&sending->query.op, err) < 0) {
        rc = OX_ENOMEM;
    }
    if (rc > 0) {
        sending->request = (struct ox__request){ .op = sending->query.op, /* borrowed */
            .done = on_done,
            .arg = sending,
            .fits = decode,
            .keep = sending->keep };
        ox__link_send(sending->link, &sending->request);
    }
    return rc;
}

static void on_done(
    struct ox__request *request, const redisReply *reply, const ox_error *problem)
{
    struct ox__sending *sending = request->arg;
    (void)reply; /* decoded */
    if (problem != NULL) {
        sending->rc = ox__query_failure(&sending->query, problem, &sending->err);
    }
    ox__free_reply(&sending->reply);
    int more = sending->rc < 0 ? 0 : send_next(sending, &sending->err);
    if (more <= 0) {
        int rc = more < 0 ? more : sending->rc;
        ox__query_end(&sending->query);
        sending->done(sending, rc, rc < 0 ? &sending->err : NULL);
    }
}

int ox__send(struct ox__link *link, struct ox__sending *sending, ox_error *err)
{
    sending->link = link;
    sending->rc = 0;
    int rc = send_next(sending, err);
    if (rc <= 0) {
        ox__query_end(&sending->query);
    }
    return rc;
}
