/*
 * link.c - drives a connection from a libuv loop.
 *
 * libuv reports when the socket is ready, when time is over, and the addresses of a name; the
 * connection (conn.c) decides what follows. A broken connection is closed at once and
 * ox__conn_closed() called from libuv's close callback, so no `done` runs inside
 * ox__link_send(); the next try begins after that, so there is one socket at a time.
 */
#include "wire/link.h"

#include "base/clock.h"
#include "base/error.h"
#include "wire/socket.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ox__link {
    uv_loop_t *loop;
    struct ox__conn conn;
    uv_poll_t poll;
    int events;     /* that are polled for */
    bool open;      /* the poll handle is libuv's */
    bool closing;   /* its close callback comes */
    bool resolving; /* `resolve` is libuv's */
    bool reading; /* replies are being handled; requests sent meanwhile are written together */
    uv_getaddrinfo_t resolve;
    uv_timer_t timer;
    int64_t timer_ms; /* when it fires, if it is active */
    bool timer_closed;
    void (*closed)(void *arg);
    void *closed_arg;
    struct ox__socket socket;
};

static void start_try(struct ox__link *link);

static void maybe_free(struct ox__link *link)
{
    if (link->open || link->resolving || !link->timer_closed) {
        return;
    }
    ox__conn_closed(&link->conn, ox__steady_ms());
    void (*closed)(void *arg) = link->closed;
    void *arg = link->closed_arg;
    ox__link_free(link);
    closed(arg);
}

/* ---- time -------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

/* A timer that fires too early is only set again, so requests need no timer work of their own.
 */
static void watch_time(struct ox__link *link)
{
    int64_t wake_ms = ox__conn_wake_ms(&link->conn);
    bool active = uv_is_active((uv_handle_t *)&link->timer);
    if (wake_ms == OX__NEVER || (active && link->timer_ms <= wake_ms)) {
        return;
    }
    int64_t left = wake_ms - ox__steady_ms();
    link->timer_ms = wake_ms;
    uv_timer_start(&link->timer, on_timer, left > 0 ? (uint64_t)left : 0, 0);
}

/* ---- the socket -------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct ox__link *link = handle->data;
    link->open = link->closing = false;
    if (link->conn.stopped) {
        maybe_free(link);
        return;
    }
    ox__conn_closed(&link->conn, ox__steady_ms());
    watch_time(link);
}

static void drop(struct ox__link *link)
{
    if (link->resolving) {
        uv_cancel((uv_req_t *)&link->resolve);
    }
    if (link->open && !link->closing) {
        link->closing = true;
        uv_close((uv_handle_t *)&link->poll, on_closed);
        ox__socket_close(&link->socket);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch_socket(struct ox__link *link)
{
    if (!link->open || link->closing) {
        return;
    }
    short wants = ox__socket_wants(&link->socket, &link->conn);
    int events =
        ((wants & POLLIN) != 0 ? UV_READABLE : 0) | ((wants & POLLOUT) != 0 ? UV_WRITABLE : 0);
    if (events == link->events) {
        return;
    }
    link->events = events;
    int rc = uv_poll_start(&link->poll, events, on_poll);
    if (rc < 0) {
        ox__conn_break(&link->conn, OX_ECONNECT, uv_strerror(rc));
    }
}

/* After anything that concerned the connection. */
static void look(struct ox__link *link)
{
    watch_socket(link);
    if (link->conn.broken || link->conn.stopped) {
        drop(link);
    } else {
        watch_time(link);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct ox__link *link = poll->data;
    int64_t now_ms = ox__steady_ms();
    if (!link->socket.connected) {
        ox__socket_connected(&link->socket, &link->conn, now_ms);
        look(link);
        return;
    }
    if (status < 0 || (events & UV_READABLE) != 0) {
        link->reading = true;
        ox__socket_read(&link->socket, &link->conn, status < 0, now_ms);
        link->reading = false;
    }
    if (!link->conn.broken && !link->conn.stopped) {
        ox__socket_write(&link->socket, &link->conn, now_ms);
    }
    look(link);
}

/* ---- connecting -------------------------------------------------------------------------- */

/* A failed try. */
static void fail_try(struct ox__link *link, const char *why)
{
    ox__conn_break(&link->conn, OX_ECONNECT, why);
    ox__conn_closed(&link->conn, ox__steady_ms());
    watch_time(link);
}

static void connect_to(struct ox__link *link, const struct sockaddr *address, socklen_t size)
{
    int rc = address != NULL ? ox__socket_open(&link->socket, address, size)
                             : ox__socket_open_unix(&link->socket, link->conn.url.socket);
    if (rc < 0) {
        fail_try(link, strerror(-rc));
        return;
    }
    rc = uv_poll_init(link->loop, &link->poll, link->socket.fd);
    if (rc < 0) {
        ox__socket_close(&link->socket);
        fail_try(link, uv_strerror(rc));
        return;
    }
    link->poll.data = link;
    link->open = true;
    link->events = 0;
    look(link);
}

/* A name may have several addresses: each try takes the next one. */
static const struct addrinfo *choose(const struct addrinfo *found, uint32_t tries)
{
    size_t count = 0;
    for (const struct addrinfo *a = found; a != NULL; a = a->ai_next) {
        count++;
    }
    for (size_t i = tries % count; i > 0; i--) {
        found = found->ai_next;
    }
    return found;
}

static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *found)
{
    struct ox__link *link = resolve->data;
    link->resolving = false;
    if (link->conn.stopped) {
        maybe_free(link);
    } else if (link->conn.broken || status < 0 || found == NULL) {
        char why[128];
        snprintf(why, sizeof(why), "cannot find the host: %s", uv_strerror(status));
        fail_try(link, why);
    } else {
        const struct addrinfo *choice = choose(found, link->conn.tries);
        connect_to(link, choice->ai_addr, choice->ai_addrlen);
    }
    uv_freeaddrinfo(found);
}

static void start_try(struct ox__link *link)
{
    const struct ox__url *url = &link->conn.url;
    ox__conn_opening(&link->conn, ox__steady_ms());
    if (url->socket != NULL) {
        connect_to(link, NULL, 0);
        return;
    }
    char port[12];
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    snprintf(port, sizeof(port), "%d", url->port);
    link->resolve.data = link;
    int rc = uv_getaddrinfo(link->loop, &link->resolve, on_resolved, url->host, port, &hints);
    link->resolving = rc == 0;
    if (rc < 0) {
        fail_try(link, uv_strerror(rc));
    } else {
        watch_time(link);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct ox__link *link = timer->data;
    int64_t now_ms = ox__steady_ms();
    if (link->conn.stopped) {
        return;
    }
    if (link->conn.state == OX__RESTING && now_ms >= ox__conn_wake_ms(&link->conn)) {
        start_try(link);
        return;
    }
    ox__conn_tick(&link->conn, now_ms);
    look(link);
}

/* ---- life -------------------------------------------------------------------------------- */

void ox__link_free(struct ox__link *link)
{
    if (link != NULL) {
        ox__socket_done(&link->socket);
        ox__conn_done(&link->conn);
        free(link);
    }
}

int ox__link_new(struct ox__link **out, uv_loop_t *loop, const struct ox__link_options *options,
    ox_error *err)
{
    struct ox__link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        return ox__fail_memory(err);
    }
    const struct ox__conn_options conn = { .url = options->url,
        .connect_timeout_ms = options->connect_timeout_ms,
        .command_timeout_ms = options->command_timeout_ms,
        .client_name = options->client_name,
        .base = options->base,
        .steady = true,
        .chance = (uint32_t)(ox__boot_us() ^ (int64_t)(uintptr_t)link),
        .up = options->up,
        .down = options->down,
        .arg = options->arg };
    int rc = ox__socket_init(&link->socket, options->url, err);
    if (rc == 0) {
        rc = ox__conn_init(&link->conn, &conn, err);
    }
    if (rc < 0) {
        ox__link_free(link);
        return rc;
    }
    link->loop = loop;
    *out = link;
    return 0;
}

void ox__link_start(struct ox__link *link)
{
    uv_timer_init(link->loop, &link->timer);
    link->timer.data = link;
    link->timer_ms = 0;
    uv_timer_start(&link->timer, on_timer, 0, 0);
}

void ox__link_send(struct ox__link *link, struct ox__request *request)
{
    int64_t now_ms = ox__steady_ms();
    ox__conn_send(&link->conn, request, now_ms);
    if (!link->reading && ox__conn_is_up(&link->conn)) {
        ox__socket_write(&link->socket, &link->conn, now_ms);
        look(link);
    }
}

redisReply *ox__link_keep_reply(struct ox__link *link)
{
    return ox__replies_keep(link->conn.replies);
}

bool ox__link_is_up(const struct ox__link *link)
{
    return ox__conn_is_up(&link->conn);
}

void ox__link_renew(struct ox__link *link)
{
    int64_t now_ms = ox__steady_ms();
    if (ox__conn_is_up(&link->conn)) {
        ox__conn_leave(&link->conn, now_ms);
        ox__socket_write(&link->socket, &link->conn, now_ms);
        look(link);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct ox__link *link = handle->data;
    link->timer_closed = true;
    maybe_free(link);
}

void ox__link_close(struct ox__link *link, void (*closed)(void *arg), void *arg)
{
    if (link->conn.stopped) {
        return;
    }
    ox__conn_stop(&link->conn);
    link->closed = closed;
    link->closed_arg = arg;
    uv_close((uv_handle_t *)&link->timer, on_timer_closed);
    drop(link);
}
