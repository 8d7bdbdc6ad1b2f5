/*
 * socket.h - bytes between a connection (conn.h) and a socket that never blocks.
 *
 * What both drivers do alike once they know that the socket is ready. How they wait for that is
 * their own.
 */
#ifndef OX_LIB_SOCKET_H
#define OX_LIB_SOCKET_H

#include "wire/conn.h"

#include <sys/socket.h>

#define OX__READ_BYTES (64 * 1024)

struct ox__socket {
    int fd; /* -1: none */
    bool shut;
    char buffer[OX__READ_BYTES];
};

/* A socket that is on its way to `address`. 0 or a negative errno. */
int ox__socket_open(struct ox__socket *s, const struct sockaddr *address, socklen_t size);
/* To the path of a URL. */
int ox__socket_open_unix(struct ox__socket *s, const char *path);
void ox__socket_close(struct ox__socket *s);
/* The socket is writable for the first time, or in trouble: what became of the connecting. */
void ox__socket_opened(struct ox__socket *s, struct ox__conn *conn, int64_t now_ms);
/* Reads what is there. A socket in `trouble` gives what came before that, then breaks. */
void ox__socket_read(struct ox__socket *s, struct ox__conn *conn, bool trouble, int64_t now_ms);
/* Writes what can be written, and ends our side when the connection has left. */
void ox__socket_write(struct ox__socket *s, struct ox__conn *conn, int64_t now_ms);
/* There is more to write when the socket is writable. */
bool ox__socket_wants_write(const struct ox__socket *s, const struct ox__conn *conn);

#endif /* OX_LIB_SOCKET_H */
