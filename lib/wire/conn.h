/*
 * conn.h - one connection to Redis as a state machine: no socket, no clock, no buffering beyond
 * the present reply.
 *
 * A driver (client.c blocks, link.c is for a loop) opens sockets, moves bytes and supplies the
 * time; everything that both must do alike is here: the greeting, requests in order with their
 * deadlines, the meaning of error replies, NOSCRIPT, resending after a loss, the backoff before
 * the next try, and an orderly close.
 *
 *   RESTING -> OPENING -> GREETING -> UP
 *      ^---- any failure, with backoff ---'
 *
 * Requests are answered in the order in which they were sent. A request belongs to its sender
 * and must stay in place, with its bytes, until its `done` has been called: exactly once, in
 * ox__conn_in() or ox__conn_closed(), never in ox__conn_send().
 *
 * A script that the server does not have (NOSCRIPT) is resent with its source, after the
 * requests in flight. Those with the same error are resent in the same way and keep their
 * order; a request sent before all of them are answered may overtake them.
 *
 * A transaction (op.h) is one request with a reply for each of its commands. The replies before
 * the last are QUEUED or an error; after an error EXEC fails, and the request ends with that
 * error. They may come while it is still being written.
 *
 * While there is no connection requests wait. When it is lost, those in flight are resent if
 * they have `keep`, else they end: they may have been applied. A connection that is `steady`
 * counts a server that says "not now" (it loads, it is a replica, it is out of memory) as lost,
 * and asks it again before anything else is sent: it is up only while writes are taken. Its
 * requests end with OX_ELOST, whatever the loss was.
 *
 * A reply that does not fit its request may belong to another one: a reply was lost, or came
 * twice. Then no reply can be matched with its request any more, so the connection is lost as
 * well. A request whose second answer does not fit either ends with OX_EREPLY. One that
 * the server says it cannot read ends with that, as it would break each connection.
 */
#ifndef OX_LIB_CONN_H
#define OX_LIB_CONN_H

#include "wire/reply.h"
#include "wire/request.h"
#include "wire/url.h"

#include <sys/uio.h>

#define OX__NEVER INT64_MAX

struct ox__conn_options {
    const struct ox__url *url; /* copied */
    uint32_t connect_timeout_ms, command_timeout_ms;
    const char *client_name; /* for CLIENT SETNAME, or NULL; copied */
    /* "prefix:queue:" of the keys that are written, for the test whether writes are accepted;
     * copied. NULL: no test. */
    const char *base;
    bool steady;     /* see above */
    uint32_t chance; /* seed of the backoff's jitter */
    /* May be NULL. */
    void (*up)(void *arg);
    /* A connection was lost or could not be made; the next try follows automatically. Called
     * once for each reason, until the connection is up again. */
    void (*down)(void *arg, const ox_error *err);
    void *arg;
};

enum ox__conn_state { OX__RESTING, OX__OPENING, OX__GREETING, OX__UP };
/* AUTH, SELECT, SETNAME, and the test whether commands (or writes) are accepted. */
enum ox__greeting { OX__LOGIN, OX__DATABASE, OX__NAME, OX__READY, OX__GREETINGS };

struct ox__conn {
    struct ox__url url;
    struct ox__conn_options options; /* with copies of its texts */
    char *client_name, *base;

    enum ox__conn_state state;
    bool broken;  /* the driver must close its socket and call ox__conn_closed() */
    bool leaving; /* nothing more is sent; replies are still read */
    bool stopped; /* for good */
    bool silent;  /* nothing came since it was opened */
    bool left;    /* the server closed after we had left */
    uint32_t tries, chance;
    int64_t until_ms; /* end of the backoff, or of the opening */
    int64_t up_ms;    /* since when it is up */
    int64_t heard_ms; /* when bytes went or came */
    ox_error why;     /* it broke */
    ox_error refused; /* error of the first refused command of a transaction; code 0: none */
    bool unbegun;     /* that was MULTI */
    ox_error told;    /* the last reason reported to `down` since it was up */

    struct ox__replies *replies;
    struct ox__request greeting[OX__GREETINGS];
    size_t greetings_left;

    struct ox__requests sent; /* oldest first; from `unsent` on not written, or in part */
    struct ox__request *unsent;
    size_t written;              /* bytes of `unsent` */
    struct ox__requests waiting; /* for a connection */
    char head[OX__WIRE_HEAD];    /* of the script source that is being written */
};

int ox__conn_init(struct ox__conn *conn, const struct ox__conn_options *options, ox_error *err);
/* Requests still there are forgotten. One of zeros is fine. */
void ox__conn_done(struct ox__conn *conn);

/* Takes over a sealed operation in `request->op`. The request may be reused after `done`. */
void ox__conn_send(struct ox__conn *conn, struct ox__request *request, int64_t now_ms);
bool ox__conn_is_up(const struct ox__conn *conn);
/* Closes this connection in an orderly way: replies to requests that the server ran before are
 * still read; for the others the connection is lost. The driver ends its side when
 * ox__conn_has_left(). Does not call `down`, and needs no backoff. */
void ox__conn_leave(struct ox__conn *conn, int64_t now_ms);
/* Gives up `steady` state for good: nothing is sent or answered any more, and ox__conn_closed()
 * ends all requests with OX_ECLOSED. */
void ox__conn_stop(struct ox__conn *conn);

/* ---- for drivers ------------------------------------------------------------------------- */

/* A try begins; a name may have to be resolved first. */
void ox__conn_opening(struct ox__conn *conn, int64_t now_ms);
/* Bytes can go both ways. */
void ox__conn_opened(struct ox__conn *conn, int64_t now_ms);
/* What is to be written, in at most `max` (3 or more) pieces; returns how many. Valid until any
 * other call. */
int ox__conn_out(struct ox__conn *conn, struct iovec *pieces, int max);
/* So many of these bytes were written. */
void ox__conn_written(struct ox__conn *conn, size_t len, int64_t now_ms);
/* All is written, and nothing more will be. */
bool ox__conn_has_left(const struct ox__conn *conn);
/* Bytes that came. Requests are answered from here. */
void ox__conn_in(struct ox__conn *conn, const char *bytes, size_t len, int64_t now_ms);
/* The server closed. */
void ox__conn_end(struct ox__conn *conn);
/* Marks the connection as broken. Only the first reason counts. */
void ox__conn_break(struct ox__conn *conn, int code, const char *what);
/* The driver has closed its socket, or could not open one. Requests that do not wait end in
 * this call, and `down` is called. */
void ox__conn_closed(struct ox__conn *conn, int64_t now_ms);
/* When ox__conn_tick() is to be called next, or OX__NEVER: resting, the next try is due then.
 */
int64_t ox__conn_wake_ms(const struct ox__conn *conn);
/* Looks at the deadlines. */
void ox__conn_tick(struct ox__conn *conn, int64_t now_ms);

#endif /* OX_LIB_CONN_H */
