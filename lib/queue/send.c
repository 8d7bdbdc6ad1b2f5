/*
 * send.c - sends queries over a link.
 *
 * A reply is decoded when the connection asks whether it fits: one that does not breaks the
 * connection, like any that is out of step (conn.h).
 */
#include "queue/send.h"

#include "base/error.h"

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

/* The next query of an operation. True when it was sent. */
static bool go_on(struct ox__sending *sending)
{
    if (sending->step == NULL || sending->rc < 0) {
        return false;
    }
    sending->rc = sending->step->next(sending->step, &sending->query, &sending->err);
    if (sending->rc > 0) {
        sending->rc = ox__send(sending->link, sending, &sending->err);
        return sending->rc == 0;
    }
    return false;
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
    if (!go_on(sending)) {
        sending->done(sending, sending->rc, sending->rc < 0 ? &sending->err : NULL);
    }
}

int ox__send(struct ox__link *link, struct ox__sending *sending, ox_error *err)
{
    int rc = ox__op_seal(&sending->query.op, err);
    if (rc < 0) {
        return rc;
    }
    sending->link = link;
    sending->rc = 0;
    sending->request = (struct ox__request){ .op = sending->query.op, /* borrowed */
        .done = on_done,
        .arg = sending,
        .fits = decode,
        .keep = sending->keep };
    ox__link_send(link, &sending->request);
    return 0;
}

int ox__send_steps(
    struct ox__link *link, struct ox__sending *sending, struct ox__step *step, ox_error *err)
{
    int rc = step->next(step, &sending->query, err);
    if (rc > 0) {
        sending->step = step;
        rc = ox__send(link, sending, err);
        return rc < 0 ? rc : 1;
    }
    return rc;
}
