/*
 * socket.c - bytes between a connection and a socket.
 *
 * Not through hiredis' or libuv's own streams: they copy, and they write with write(), which
 * raises SIGPIPE in a program that never asked for it; sendmsg() can be told not to. Bytes go
 * out straight from where the requests have them, as many as the socket takes.
 */
#include "wire/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define KEEPALIVE_S 30
#define PIECES 16

/* ---- opening ----------------------------------------------------------------------------- */

int ox__socket_open(struct ox__socket *s, const struct sockaddr *address, socklen_t size)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    if (address->sa_family != AF_UNIX) {
        const int on = 1, idle_s = KEEPALIVE_S;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    }
    if (connect(fd, address, size) < 0 && errno != EINPROGRESS && errno != EINTR) {
        int problem = errno;
        close(fd);
        return -problem;
    }
    s->fd = fd;
    s->shut = false;
    return 0;
}

int ox__socket_open_unix(struct ox__socket *s, const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    return ox__socket_open(s, (struct sockaddr *)&address, sizeof(address));
}

void ox__socket_close(struct ox__socket *s)
{
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
}

void ox__socket_opened(struct ox__socket *s, struct ox__conn *conn, int64_t now_ms)
{
    int problem = 0;
    socklen_t size = sizeof(problem);
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &problem, &size) < 0) {
        problem = errno;
    }
    if (problem != 0) {
        ox__conn_break(conn, OX_ECONNECT, strerror(problem));
        return;
    }
    ox__conn_opened(conn, now_ms);
    ox__socket_write(s, conn, now_ms);
}

/* ---- bytes ------------------------------------------------------------------------------- */

/* How many bytes the socket took, or a negative errno; 0 when it takes none now. */
static ssize_t send_some(const struct ox__socket *s, struct iovec *pieces, int count)
{
    struct msghdr message = { .msg_iov = pieces, .msg_iovlen = (size_t)count };
    ssize_t n;
    do {
        n = sendmsg(s->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
    }
    return n;
}

void ox__socket_write(struct ox__socket *s, struct ox__conn *conn, int64_t now_ms)
{
    struct iovec pieces[PIECES];
    int count;
    while ((count = ox__conn_out(conn, pieces, PIECES)) > 0) {
        ssize_t n = send_some(s, pieces, count);
        if (n < 0) {
            ox__conn_break(conn, OX_ELOST, strerror((int)-n));
            return;
        }
        if (n == 0) {
            return;
        }
        ox__conn_written(conn, (size_t)n, now_ms);
    }
    if (!s->shut && ox__conn_has_left(conn)) {
        s->shut = true;
        shutdown(s->fd, SHUT_WR);
    }
}

bool ox__socket_wants_write(const struct ox__socket *s, const struct ox__conn *conn)
{
    (void)s;
    return conn->unsent != NULL;
}

void ox__socket_read(struct ox__socket *s, struct ox__conn *conn, bool trouble, int64_t now_ms)
{
    ssize_t n;
    do {
        n = recv(s->fd, s->buffer, sizeof(s->buffer), MSG_DONTWAIT);
        if (n > 0) {
            ox__conn_in(conn, s->buffer, (size_t)n, now_ms);
        }
    } while (!conn->broken && !conn->stopped &&
             (n == sizeof(s->buffer) || (n > 0 && trouble) || (n < 0 && errno == EINTR)));
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && !trouble)) {
        return;
    }
    if (n == 0) {
        ox__conn_end(conn);
    } else {
        ox__conn_break(conn, OX_ELOST, strerror(errno));
    }
}
