/*
 * socket.h - bytes between a connection (conn.h) and a socket that never blocks, with TLS
 * between them or without.
 *
 * Shared by both drivers, which differ only in how they wait until the socket is ready.
 */
#ifndef OX_LIB_SOCKET_H
#define OX_LIB_SOCKET_H

#include "wire/conn.h"
#include "wire/tls.h"

#include <sys/socket.h>

#define OX__READ_BYTES (64 * 1024)

struct ox__socket {
    int fd;         /* -1: none */
    bool connected; /* bytes can be written */
    bool left;      /* nothing is written any more */
    bool shut;      /* and TLS sent close_notify */
    /* NULL without TLS: */
    struct ox__tls *tls;
    struct ox__tls_stream *stream; /* of this connection */
    bool shaken;                   /* its handshake is done */
    char *out;                     /* TLS' pending output: */
    size_t out_len, out_sent;
    char buffer[OX__READ_BYTES];
};

/* Prepares one of zeros for a URL. 0, OX_EINVAL or OX_ENOMEM. */
int ox__socket_init(struct ox__socket *s, const struct ox__url *url, ox_error *err);
void ox__socket_done(struct ox__socket *s);

/* Starts connecting a socket to `address`. 0 or a negative errno. */
int ox__socket_open(struct ox__socket *s, const struct sockaddr *address, socklen_t size);
/* To the path of a URL. */
int ox__socket_open_unix(struct ox__socket *s, const char *path);
void ox__socket_close(struct ox__socket *s);
/* While not `connected`: the socket is writable, or in trouble. */
void ox__socket_connected(struct ox__socket *s, struct ox__conn *conn, int64_t now_ms);
/* Reads what is available. A socket in `trouble` first yields the bytes received before, then
 * breaks. */
void ox__socket_read(struct ox__socket *s, struct ox__conn *conn, bool trouble, int64_t now_ms);
/* Writes what can be written, and shuts our side down when the connection has left. */
void ox__socket_write(struct ox__socket *s, struct ox__conn *conn, int64_t now_ms);
/* What to wait for, as of poll(): POLLIN, POLLOUT or both. */
short ox__socket_wants(const struct ox__socket *s, const struct ox__conn *conn);

#endif /* OX_LIB_SOCKET_H */
