/*
 * socket.h - bytes between a connection (conn.h) and a socket that never blocks, with TLS
 * between them or without.
 *
 * What both drivers do alike once they know that the socket is ready. How they wait for that is
 * their own.
 */
#ifndef OX_LIB_SOCKET_H
#define OX_LIB_SOCKET_H

#include "wire/conn.h"
#include "wire/tls.h"

#include <sys/socket.h>

#define OX__READ_BYTES (64 * 1024)

struct ox__socket {
    int fd;         /* -1: none */
    bool connected; /* bytes can go */
    bool left;      /* nothing is written any more */
    bool shut;      /* and the far end was told */
    /* NULL without TLS: */
    struct ox__tls *tls;
    struct ox__tls_stream *stream; /* of this connection */
    bool shaken;                   /* its handshake is done */
    char *out;                     /* what TLS wants to send: */
    size_t out_len, out_sent;
    char buffer[OX__READ_BYTES];
};

/* One of zeros is made ready for what the URL asks. 0, OX_EINVAL or OX_ENOMEM. */
int ox__socket_init(struct ox__socket *s, const struct ox__url *url, ox_error *err);
void ox__socket_done(struct ox__socket *s);

/* A socket that is on its way to `address`. 0 or a negative errno. */
int ox__socket_open(struct ox__socket *s, const struct sockaddr *address, socklen_t size);
/* To the path of a URL. */
int ox__socket_open_unix(struct ox__socket *s, const char *path);
void ox__socket_close(struct ox__socket *s);
/* While not `connected`: the socket is writable, or in trouble. */
void ox__socket_connected(struct ox__socket *s, struct ox__conn *conn, int64_t now_ms);
/* Reads what is there. A socket in `trouble` gives what came before that, then breaks. */
void ox__socket_read(struct ox__socket *s, struct ox__conn *conn, bool trouble, int64_t now_ms);
/* Writes what can be written, and ends our side when the connection has left. */
void ox__socket_write(struct ox__socket *s, struct ox__conn *conn, int64_t now_ms);
/* What to wait for, as of poll(): POLLIN, POLLOUT or both. */
short ox__socket_wants(const struct ox__socket *s, const struct ox__conn *conn);

#endif /* OX_LIB_SOCKET_H */
