/*
 * conn.h - one connection to Redis as a state machine: no socket, no clock, no memory of what
 * comes beyond the reply at hand.
 *
 * A driver (client.c waits, link.c is for a loop) opens sockets, moves bytes and tells the
 * time; everything that both must do alike stands here: the greeting, requests in order with
 * their deadlines, what error replies mean, scripts that the server does not have, what is sent
 * again after a loss, how long to rest before the next try, and leaving in good order.
 *
 *   RESTING -> OPENING -> GREETING -> UP
 *      ^---- any failure, with backoff ---'
 *
 * Requests are answered in the order in which they were sent. A request belongs to whoever sent
 * it and must stay in place, with its bytes, until its `done` has been called: exactly once, in
 * ox__conn_in() or ox__conn_closed(), never in ox__conn_send().
 *
 * A script that the server does not have (NOSCRIPT) is sent again with its source, behind what
 * is on the way. Requests behind it come back the same way and keep their order; one that is
 * sent before they are all answered may overtake them.
 *
 * A transaction (op.h) is one request with a reply for each of its commands. Those before the
 * last say that a command is queued, or why not; then EXEC fails, and the request ends with
 * that reason.
 *
 * While there is no connection requests wait. When one is lost, those on the way are sent again
 * if they say `keep`, else they end: what they ask for may have happened. A connection that is
 * `steady` counts a server that says "not now" (it loads, it is a replica, it is out of memory)
 * as lost, and asks it again before anything else is sent: it is up only while writes are
 * taken. Its requests end with OX_ELOST, whatever the loss was.
 *
 * An answer that does not fit its request means that answers and requests are out of step: one
 * of them was lost on the way. Then whose answer is whose is not known, so the connection is
 * lost as well. A request whose second answer does not fit either ends with OX_EREPLY. One that
 * the server says it cannot read ends with that, as it would break each connection.
 */
#ifndef OX_LIB_CONN_H
#define OX_LIB_CONN_H

#include "wire/op.h"
#include "wire/reply.h"
#include "wire/url.h"

#include <sys/uio.h>

#define OX__NEVER INT64_MAX

struct ox__request;
/* Either `reply` or `err` is given; both are borrowed. */
typedef void ox__done_fn(
    struct ox__request *request, const redisReply *reply, const ox_error *err);

struct ox__request {
    struct ox__op op;
    ox__done_fn *done;
    void *arg;
    /* Whether an answer (no error) can be this request's. NULL: any can. */
    bool (*fits)(const struct ox__request *request, const redisReply *reply);
    bool keep;           /* send again after a lost connection */
    bool takes_errors;   /* error replies are its answers; else they are given as `err` */
    uint32_t timeout_ms; /* of silence, for the answer; 0: the connection's */
    /* The connection's own: */
    bool resent;         /* may have been applied before: sent again after a loss */
    bool source;         /* sent as EVAL */
    bool misfit;         /* an answer did not fit */
    size_t replies_left; /* of a transaction more than one */
    int64_t deadline_ms;
    struct ox__request *next;
};

struct ox__queue_of_requests {
    struct ox__request *head, **tail;
};

struct ox__conn_options {
    const struct ox__url *url; /* copied */
    uint32_t connect_timeout_ms, command_timeout_ms;
    const char *client_name; /* for CLIENT SETNAME, or NULL; copied */
    /* "prefix:queue:" of the keys that are written, to ask whether writes are taken; copied.
     * NULL: no such question. */
    const char *base;
    bool steady;     /* see above */
    uint32_t chance; /* where the random part of its rests begins */
    /* May be NULL. */
    void (*up)(void *arg);
    /* A connection was lost or could not be made; the next try comes by itself. Told once for
     * each reason, until the connection was up again. */
    void (*down)(void *arg, const ox_error *err);
    void *arg;
};

enum ox__conn_state { OX__RESTING, OX__OPENING, OX__GREETING, OX__UP };
/* AUTH, SELECT, SETNAME, and the question whether commands (or writes) are taken. */
enum ox__greeting { OX__LOGIN, OX__DATABASE, OX__NAME, OX__READY, OX__GREETINGS };

struct ox__conn {
    struct ox__url url;
    struct ox__conn_options options; /* with copies of its texts */
    char *client_name, *base;

    enum ox__conn_state state;
    bool broken;  /* the driver is to close what it has, and to say so */
    bool leaving; /* nothing more is sent; what comes is read */
    bool stopped; /* for good */
    bool silent;  /* nothing came since it was opened */
    bool left;    /* the far end closed in good order, after we had left */
    uint32_t tries, chance;
    int64_t until_ms; /* end of the rest, or of the opening */
    int64_t up_ms;    /* since when it is up */
    int64_t heard_ms; /* when bytes went or came */
    ox_error why;     /* it broke */
    ox_error
        refused;   /* what the first refused command of a transaction got; code 0: none was */
    ox_error told; /* the last that `down` was told since it was up */

    struct ox__replies *replies;
    struct ox__request greeting[OX__GREETINGS];
    size_t greetings_left;

    struct ox__queue_of_requests
        sent; /* oldest first; from `unsent` on not written, or in part */
    struct ox__request *unsent;
    size_t written;                       /* bytes of `unsent` */
    struct ox__queue_of_requests waiting; /* for a connection */
    char head[OX__WIRE_HEAD];             /* of the script source that is being written */
};

int ox__conn_init(struct ox__conn *conn, const struct ox__conn_options *options, ox_error *err);
/* Requests still there are forgotten. One of zeros is fine. */
void ox__conn_done(struct ox__conn *conn);

/* Takes over a sealed operation in `request->op`. The request may be reused after `done`. */
void ox__conn_send(struct ox__conn *conn, struct ox__request *request, int64_t now_ms);
bool ox__conn_is_up(const struct ox__conn *conn);
/* Ends this connection in good order: what the server did before it learned of that is
 * answered; for the rest the connection is lost. The driver ends its side when
 * ox__conn_has_left(). Is no news to `down`, and needs no rest. */
void ox__conn_leave(struct ox__conn *conn, int64_t now_ms);
/* Gives up `steady` state for good: nothing is sent or answered any more, and ox__conn_closed()
 * ends all requests with OX_ECLOSED. */
void ox__conn_stop(struct ox__conn *conn);

/* ---- for drivers ------------------------------------------------------------------------- */

/* A try begins; a name may have to be found first. */
void ox__conn_opening(struct ox__conn *conn, int64_t now_ms);
/* Bytes can go both ways. */
void ox__conn_opened(struct ox__conn *conn, int64_t now_ms);
/* What is to be written, in at most `max` (3 or more) pieces; returns how many. Good until any
 * other call. */
int ox__conn_out(struct ox__conn *conn, struct iovec *pieces, int max);
/* So many bytes of that were taken. */
void ox__conn_written(struct ox__conn *conn, size_t len, int64_t now_ms);
/* All is written, and nothing more will be. */
bool ox__conn_has_left(const struct ox__conn *conn);
/* Bytes that came. Requests are answered from here. */
void ox__conn_in(struct ox__conn *conn, const char *bytes, size_t len, int64_t now_ms);
/* The far end closed. */
void ox__conn_end(struct ox__conn *conn);
/* It cannot go on: `broken` from here on. Only the first reason counts. */
void ox__conn_break(struct ox__conn *conn, int code, const char *what);
/* The driver has closed what it had, or could not open anything. Requests that do not wait end
 * from here, `down` is told. */
void ox__conn_closed(struct ox__conn *conn, int64_t now_ms);
/* When ox__conn_tick() is to be called next, or OX__NEVER: resting, the next try is due then.
 */
int64_t ox__conn_wake_ms(const struct ox__conn *conn);
/* Looks at the deadlines. */
void ox__conn_tick(struct ox__conn *conn, int64_t now_ms);

#endif /* OX_LIB_CONN_H */
