/*
 * socket.c - bytes between a connection and a socket.
 *
 * Not through hiredis' or libuv's own streams: they copy, and they write with write(), which
 * raises SIGPIPE in the calling program; sendmsg() has MSG_NOSIGNAL. Bytes are written directly
 * from the requests, as many as the socket takes.
 */
#include "wire/socket.h"

#include "base/error.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define KEEPALIVE_S 30
#define PIECES 16
#define TLS_BYTES (17 * 1024) /* a TLS record with its overhead */

int ox__socket_init(struct ox__socket *s, const struct ox__url *url, ox_error *err)
{
    s->fd = -1;
    if (!url->tls) {
        return 0;
    }
    s->out = malloc(TLS_BYTES);
    return s->out == NULL ? ox__fail_memory(err) : ox__tls_new(&s->tls, url, err);
}

void ox__socket_done(struct ox__socket *s)
{
    ox__socket_close(s);
    ox__tls_free(s->tls);
    free(s->out);
    s->tls = NULL;
    s->out = NULL;
}

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
    s->connected = s->left = s->shut = s->shaken = false;
    s->out_len = s->out_sent = 0;
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
    ox__tls_close(s->stream);
    s->stream = NULL;
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
}

/* ---- bytes ------------------------------------------------------------------------------- */

/* Number of bytes written, or a negative errno; 0 when the socket is full. */
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

/* What the server said before it closed is the better reason: the last TLS alert, or that it
 * refuses the request that is being written. */
static void break_write(
    struct ox__socket *s, struct ox__conn *conn, int problem, int64_t now_ms)
{
    if (conn->state != OX__UP || problem == EPIPE || problem == ECONNRESET) {
        ox__socket_read(s, conn, true, now_ms);
    }
    ox__conn_break(conn, OX_ELOST, strerror(problem));
}

/* Writes TLS' pending output. True when all of it is written. */
static bool flush(struct ox__socket *s, struct ox__conn *conn, int64_t now_ms)
{
    for (;;) {
        if (s->out_sent == s->out_len) {
            s->out_sent = 0;
            s->out_len = ox__tls_out(s->stream, s->out, TLS_BYTES);
            if (s->out_len == 0) {
                return true;
            }
        }
        struct iovec piece = { .iov_base = s->out + s->out_sent,
            .iov_len = s->out_len - s->out_sent };
        ssize_t n = send_some(s, &piece, 1);
        if (n < 0) {
            break_write(s, conn, (int)-n, now_ms);
        }
        if (n <= 0) {
            return false;
        }
        s->out_sent += (size_t)n;
    }
}

static void write_tls(struct ox__socket *s, struct ox__conn *conn, int64_t now_ms)
{
    struct iovec pieces[3];
    while (!conn->broken && flush(s, conn, now_ms) && s->shaken &&
           ox__conn_out(conn, pieces, 3) > 0) {
        ox_error err;
        ssize_t n = ox__tls_write(s->stream, pieces[0].iov_base, pieces[0].iov_len, &err);
        if (n <= 0) {
            ox__conn_break(conn, OX_ELOST, n < 0 ? err.text : "TLS wants to read first");
            return;
        }
        ox__conn_written(conn, (size_t)n, now_ms);
    }
}

static void write_plain(struct ox__socket *s, struct ox__conn *conn, int64_t now_ms)
{
    struct iovec pieces[PIECES];
    int count;
    while ((count = ox__conn_out(conn, pieces, PIECES)) > 0) {
        ssize_t n = send_some(s, pieces, count);
        if (n < 0) {
            break_write(s, conn, (int)-n, now_ms);
        }
        if (n <= 0) {
            return;
        }
        ox__conn_written(conn, (size_t)n, now_ms);
    }
}

void ox__socket_write(struct ox__socket *s, struct ox__conn *conn, int64_t now_ms)
{
    if (s->stream == NULL) {
        write_plain(s, conn, now_ms);
    } else {
        write_tls(s, conn, now_ms);
    }
    if (conn->broken || !ox__conn_has_left(conn) || s->shut) {
        return;
    }
    if (s->stream != NULL && !s->left) {
        ox__tls_leave(s->stream);
    }
    s->left = true;
    if (s->stream == NULL || flush(s, conn, now_ms)) {
        s->shut = true;
        shutdown(s->fd, SHUT_WR);
    }
}

/* Continues the handshake; the greeting follows at once. */
static void shake(struct ox__socket *s, struct ox__conn *conn, int64_t now_ms)
{
    ox_error err;
    int rc = ox__tls_shake(s->stream, &err);
    s->shaken = rc == 1;
    if (rc < 0) {
        flush(s, conn, now_ms); /* so that the server can log the reason */
        ox__conn_break(conn, OX_ETLS, err.text);
        return;
    }
    if (s->shaken) {
        ox__conn_opened(conn, now_ms);
    }
    ox__socket_write(s, conn, now_ms);
}

/* Bytes that came over TLS. */
static void take_tls(struct ox__socket *s, struct ox__conn *conn, size_t len, int64_t now_ms)
{
    char text[TLS_BYTES];
    ox_error err;
    if (ox__tls_feed(s->stream, s->buffer, len, &err) < 0) {
        ox__conn_break(conn, conn->state == OX__UP ? OX_ELOST : OX_ENOMEM, err.text);
        return;
    }
    if (!s->shaken) {
        shake(s, conn, now_ms);
    }
    while (s->shaken && !conn->broken && !conn->stopped) {
        ssize_t n = ox__tls_read(s->stream, text, sizeof(text), &err);
        if (n > 0) {
            ox__conn_in(conn, text, (size_t)n, now_ms);
        } else if (n == OX_ECLOSED) {
            ox__conn_end(conn);
        } else if (n < 0) {
            ox__conn_break(conn, conn->state == OX__UP ? OX_ELOST : OX_ETLS, err.text);
        } else {
            return;
        }
    }
}

void ox__socket_read(struct ox__socket *s, struct ox__conn *conn, bool trouble, int64_t now_ms)
{
    ssize_t n;
    do {
        n = recv(s->fd, s->buffer, sizeof(s->buffer), MSG_DONTWAIT);
        if (n > 0 && s->stream != NULL) {
            take_tls(s, conn, (size_t)n, now_ms);
        } else if (n > 0) {
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

short ox__socket_wants(const struct ox__socket *s, const struct ox__conn *conn)
{
    bool more = s->shaken || s->stream == NULL ? conn->unsent != NULL : false;
    if (!s->connected) {
        return POLLOUT;
    }
    return more || s->out_sent < s->out_len ? POLLIN | POLLOUT : POLLIN;
}

void ox__socket_connected(struct ox__socket *s, struct ox__conn *conn, int64_t now_ms)
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
    s->connected = true;
    if (s->tls == NULL) {
        ox__conn_opened(conn, now_ms);
        ox__socket_write(s, conn, now_ms);
        return;
    }
    s->stream = ox__tls_open(s->tls);
    if (s->stream == NULL) {
        ox__conn_break(conn, OX_ENOMEM, "out of memory");
        return;
    }
    shake(s, conn, now_ms);
}
