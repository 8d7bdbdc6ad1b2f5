/*
 * link.c - a connection on the loop; see link.h for what it promises.
 *
 * The protocol is hiredis' reader (reply.c); the socket is libuv's. (hiredis' own asynchronous
 * mode resolves names with a blocking call and, in the version that Debian 12 has, knows no
 * time-outs.) Each try to connect is a `struct wire` of its own, which frees itself in its
 * close callback; the link lets go of it at once and starts the next try from there, so two
 * wires of one link never live together.
 *
 *   WAITING -> RESOLVING -> CONNECTING -> GREETING -> UP
 *      ^---------------- any failure, with backoff -----'
 *
 * A server that answers "not now" to everybody (it loads its data, it became a replica, its
 * disk is full) is treated as one that is away: the requests wait, and each further try comes
 * later.
 *
 * Writes go out at once, so a request has no write pending when its answer comes; what the
 * socket does not take is copied and written behind. The first write is ours, because libuv's
 * raises SIGPIPE when the server has just gone. (Those behind it wait for the socket, where the
 * loss is read first.)
 */
#include "link.h"

#include "client.h"
#include "clock.h"
#include "error.h"
#include "reply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define READ_BYTES (64 * 1024)

enum state { WAITING, RESOLVING, CONNECTING, GREETING, UP, CLOSING };

struct queue {
    struct ox__request *head, **tail;
};

struct wire {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } io;
    uv_connect_t connect;
    uv_shutdown_t shutdown;
    struct ox__link *link;
    struct ox__replies *replies;
    bool leaving; /* nothing is written any more, what comes is read */
    bool left;    /* and all that came was */
    bool closing;
};

struct ox__link {
    uv_loop_t *loop;
    struct ox__url url;
    uint32_t connect_timeout_ms, command_timeout_ms;
    char *client_name;
    void (*on_up)(void *arg);
    void (*on_down)(void *arg, const ox_error *err);
    void *arg;

    enum state state;
    struct wire *wire; /* NULL between tries */
    uv_getaddrinfo_t resolve;
    bool resolving;   /* the request above is in libuv's hands */
    uv_timer_t timer; /* backoff, connect time-out, or the deadline of the oldest request */
    uint32_t tries;   /* since the last good answer */
    ox_error why;     /* why the wire is being closed */
    size_t greetings_left;
    struct ox__request greeting[3]; /* AUTH, SELECT, SETNAME */

    struct queue sent;    /* on the way, oldest first */
    struct queue waiting; /* for a connection */
    void (*closed)(void *arg);
    void *closed_arg;
    bool timer_closed;
    char read_buffer[READ_BYTES];
};

static void queue_init(struct queue *queue)
{
    queue->head = NULL;
    queue->tail = &queue->head;
}

static void queue_push_front(struct queue *queue, struct ox__request *request)
{
    request->next = queue->head;
    queue->head = request;
    if (request->next == NULL) {
        queue->tail = &request->next;
    }
}

static void queue_push(struct queue *queue, struct ox__request *request)
{
    request->next = NULL;
    *queue->tail = request;
    queue->tail = &request->next;
}

static struct ox__request *queue_pop(struct queue *queue)
{
    struct ox__request *request = queue->head;
    if (request != NULL) {
        queue->head = request->next;
        if (queue->head == NULL) {
            queue->tail = &queue->head;
        }
    }
    return request;
}

static void start_try(struct ox__link *link);
static void break_wire(struct ox__link *link, int code, const char *what);
static void maybe_free(struct ox__link *link);

/* ---- the timer --------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static void arm(struct ox__link *link, uint64_t ms)
{
    uv_timer_start(&link->timer, on_timer, ms, 0);
}

/* Sees to it that the oldest request's deadline is noticed. A timer that fires too early only
 * looks and is set again, so nothing is done for each request. */
static void watch_deadline(struct ox__link *link)
{
    if (link->state >= GREETING && link->state != CLOSING && link->sent.head != NULL &&
        !uv_is_active((uv_handle_t *)&link->timer)) {
        int64_t left = link->sent.head->deadline_ms - ox__steady_ms();
        arm(link, left > 0 ? (uint64_t)left : 0);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct ox__link *link = timer->data;
    switch (link->state) {
    case WAITING:
        start_try(link);
        break;
    case RESOLVING:
        uv_cancel((uv_req_t *)&link->resolve);
        break;
    case CONNECTING:
        break_wire(link, OX_ECONNECT, "no answer in time");
        break;
    case GREETING:
    case UP:
        if (link->sent.head != NULL && link->sent.head->deadline_ms <= ox__steady_ms()) {
            break_wire(link, OX_ETIMEOUT, "no answer in time");
        } else {
            watch_deadline(link);
        }
        break;
    case CLOSING:
        break;
    }
}

/* ---- losing a connection ----------------------------------------------------------------- */

static void end_request(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    request->resent = request->resent && reply != NULL;
    request->done(request, reply, err);
}

/* Back to a clean state: what may be repeated waits, the rest ends. */
static void settle_requests(struct ox__link *link)
{
    struct queue again, ended;
    struct ox__request *request;
    queue_init(&again);
    queue_init(&ended);
    while ((request = queue_pop(&link->sent)) != NULL) {
        bool own = request >= link->greeting && request < link->greeting + 3;
        if (!own && request->keep && link->state != CLOSING) {
            request->resent = true;
            request->source = false;
            queue_push(&again, request);
        } else if (!own) {
            queue_push(&ended, request);
        }
    }
    while ((request = queue_pop(&link->waiting)) != NULL) {
        queue_push(link->state != CLOSING ? &again : &ended, request);
    }
    link->waiting = again;
    if (again.head == NULL) {
        queue_init(&link->waiting);
    }
    ox_error err = link->why;
    err.code = link->state == CLOSING ? OX_ECLOSED : OX_ELOST;
    while ((request = queue_pop(&ended)) != NULL) {
        end_request(request, NULL, &err);
    }
}

static void wait_for_next_try(struct ox__link *link)
{
    link->state = WAITING;
    arm(link, ox__backoff_ms(link->tries++));
}

static void on_wire_closed(uv_handle_t *handle)
{
    struct wire *wire = handle->data;
    struct ox__link *link = wire->link;
    bool left = wire->left;
    ox__replies_free(wire->replies);
    free(wire);
    link->wire = NULL;
    ox_error why = link->why;
    if (link->state != CLOSING) {
        link->state = WAITING; /* before anybody is told: they may send, or ask if we are up */
    }
    settle_requests(link);
    if (link->state == CLOSING) {
        maybe_free(link);
        return;
    }
    if (left) {
        arm(link, 0);
        return;
    }
    wait_for_next_try(link);
    link->on_down(link->arg, &why);
}

static void close_wire(struct ox__link *link)
{
    if (link->wire != NULL && !link->wire->closing) {
        link->wire->closing = true;
        uv_close(&link->wire->io.handle, on_wire_closed);
    }
}

/* Takes the connection down; `how` says what happened to it. */
static void take_down(struct ox__link *link, int code, const char *how, const char *what)
{
    char where[128];
    if (link->wire == NULL || link->wire->closing || link->state == CLOSING) {
        return;
    }
    ox__url_where(&link->url, where, sizeof(where));
    ox__fail(&link->why, code, "%s Redis at %s: %s", how, where, what);
    uv_timer_stop(&link->timer);
    close_wire(link);
}

static void break_wire(struct ox__link *link, int code, const char *what)
{
    take_down(
        link, code, link->state < UP ? "cannot connect to" : "lost the connection to", what);
}

/* ---- sending ----------------------------------------------------------------------------- */

struct leftover {
    uv_write_t write;
    char bytes[];
};

static void on_written(uv_write_t *write, int status)
{
    struct wire *wire = write->handle->data;
    free(write->data);
    if (status < 0 && status != UV_ECANCELED) {
        break_wire(wire->link, OX_ELOST, uv_strerror(status));
    }
}

static size_t bytes_of(const struct ox__op_wire *pieces)
{
    size_t total = 0;
    for (int i = 0; i < pieces->count; i++) {
        total += pieces->len[i];
    }
    return total;
}

/* How many bytes the socket took, or a failure of libuv's. */
static ssize_t write_now(struct wire *wire, const struct ox__op_wire *pieces)
{
    struct iovec parts[3];
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = (size_t)pieces->count };
    uv_os_fd_t fd;
    ssize_t n;
    int rc = uv_fileno(&wire->io.handle, &fd);
    if (rc < 0 || uv_stream_get_write_queue_size(&wire->io.stream) > 0) {
        return rc < 0 ? rc : 0; /* behind what waits */
    }
    for (int i = 0; i < pieces->count; i++) {
        parts[i].iov_base = (char *)(uintptr_t)pieces->piece[i];
        parts[i].iov_len = pieces->len[i];
    }
    do {
        n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : uv_translate_sys_error(errno);
    }
    return n;
}

/* Copies what the socket did not take and writes it behind. */
static int write_behind(struct wire *wire, const struct ox__op_wire *pieces, size_t done)
{
    size_t at = 0;
    struct leftover *left = malloc(sizeof(*left) + bytes_of(pieces) - done);
    if (left == NULL) {
        return UV_ENOMEM;
    }
    for (int i = 0; i < pieces->count; i++) {
        size_t skip = done < pieces->len[i] ? done : pieces->len[i];
        memcpy(left->bytes + at, pieces->piece[i] + skip, pieces->len[i] - skip);
        at += pieces->len[i] - skip;
        done -= skip;
    }
    uv_buf_t buf = uv_buf_init(left->bytes, (unsigned)at);
    left->write.data = left;
    int rc = uv_write(&left->write, &wire->io.stream, &buf, 1, on_written);
    if (rc < 0) {
        free(left);
    }
    return rc;
}

static void transmit(struct ox__link *link, struct ox__request *request)
{
    char head[96];
    struct ox__op_wire pieces;
    ox__op_wire(&request->op, request->source, head, &pieces);
    uint32_t limit = request->timeout_ms != 0 ? request->timeout_ms : link->command_timeout_ms;
    request->deadline_ms = ox__steady_ms() + limit;
    queue_push(&link->sent, request);
    ssize_t n = write_now(link->wire, &pieces);
    if (n >= 0 && (size_t)n < bytes_of(&pieces)) {
        n = write_behind(link->wire, &pieces, (size_t)n);
    }
    if (n < 0) {
        break_wire(link, OX_ELOST, uv_strerror((int)n));
    }
    watch_deadline(link);
}

void ox__link_send(struct ox__link *link, struct ox__request *request)
{
    request->resent = false;
    request->source = false;
    if (ox__link_is_up(link)) {
        transmit(link, request);
    } else {
        queue_push(&link->waiting, request);
    }
}

/* ---- receiving --------------------------------------------------------------------------- */

static void answer(struct ox__link *link, struct ox__request *request, const redisReply *reply)
{
    ox_error err;
    if (request->op.script != NULL && !request->source && ox__reply_is_noscript(reply)) {
        request->source = true;
        transmit(link, request);
    } else if (link->state == UP && ox__reply_is_not_now(reply)) {
        ox__reply_check(reply, &err);
        queue_push_front(&link->sent, request);
        take_down(link, OX_ELOST, "nothing can be done for now with", err.text);
    } else if (ox__reply_check(reply, &err) < 0) {
        end_request(request, NULL, &err);
    } else {
        link->tries = link->state == UP ? 0 : link->tries;
        end_request(request, reply, NULL);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct wire *wire = handle->data;
    (void)suggested;
    *buf = uv_buf_init(wire->link->read_buffer, READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct wire *wire = stream->data;
    struct ox__link *link = wire->link;
    if (n < 0) {
        wire->left = wire->leaving && n == UV_EOF;
        break_wire(link, OX_ELOST, n == UV_EOF ? "the server closed it" : uv_strerror((int)n));
        return;
    }
    ox__replies_feed(wire->replies, buf->base, (size_t)n);
    while (!wire->closing) {
        const redisReply *reply;
        const char *problem = ox__replies_next(wire->replies, &reply);
        if (problem != NULL) {
            break_wire(link, OX_EREPLY, problem);
            return;
        }
        if (reply == NULL) {
            return;
        }
        struct ox__request *request = queue_pop(&link->sent);
        if (request == NULL) {
            break_wire(link, OX_EREPLY, "an answer that nobody asked for");
        } else {
            answer(link, request, reply);
        }
    }
}

/* ---- connecting -------------------------------------------------------------------------- */

static void go_up(struct ox__link *link)
{
    struct queue waiting = link->waiting;
    if (waiting.head == NULL) {
        queue_init(&waiting);
    }
    queue_init(&link->waiting);
    link->state = UP;
    struct ox__request *request;
    while ((request = queue_pop(&waiting)) != NULL) {
        /* A write can fail on the way; the rest waits again. */
        if (link->wire->closing) {
            queue_push(&link->waiting, request);
        } else {
            transmit(link, request);
        }
    }
    if (!link->wire->closing) {
        link->on_up(link->arg);
    }
}

static void on_greeted(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct ox__link *link = request->arg;
    bool naming = request == &link->greeting[2];
    (void)reply;
    if (err != NULL && !naming) {
        break_wire(link, err->code, err->text);
        return;
    }
    if (--link->greetings_left == 0) {
        go_up(link);
    }
}

static void greet_with(struct ox__link *link, size_t which)
{
    struct ox__request *request = &link->greeting[which];
    request->done = on_greeted;
    request->arg = link;
    request->source = false;
    if (ox__op_seal(&request->op, NULL) == 0) {
        transmit(link, request);
    } else {
        break_wire(link, OX_ENOMEM, "out of memory");
    }
}

/* AUTH, SELECT and the name, in one round trip. SELECT is sent always: its answer shows that
 * commands are taken. */
static void greet(struct ox__link *link)
{
    struct ox__op *auth = &link->greeting[0].op, *select = &link->greeting[1].op;
    struct ox__op *name = &link->greeting[2].op;
    link->state = GREETING;
    uv_timer_stop(&link->timer);
    bool login = link->url.password != NULL, named = link->client_name != NULL;
    link->greetings_left = 1 + (login ? 1 : 0) + (named ? 1 : 0);
    if (login) {
        ox__op_command(auth, "AUTH");
        if (link->url.user != NULL) {
            ox__op_text(auth, "user", link->url.user);
        }
        ox__op_text(auth, "password", link->url.password);
        greet_with(link, 0);
    }
    ox__op_command(select, "SELECT");
    ox__op_int(select, "db", link->url.db);
    greet_with(link, 1);
    if (named) {
        ox__op_command(name, "CLIENT");
        ox__op_text(name, "setname", "SETNAME");
        ox__op_text(name, "name", link->client_name);
        greet_with(link, 2);
    }
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct wire *wire = connect->data;
    struct ox__link *link = wire->link;
    if (status < 0) {
        if (status != UV_ECANCELED) {
            break_wire(link, OX_ECONNECT, uv_strerror(status));
        }
        return;
    }
    if (link->url.socket == NULL) {
        uv_tcp_nodelay(&wire->io.tcp, 1);
        uv_tcp_keepalive(&wire->io.tcp, 1, 30);
    }
    if (uv_read_start(&wire->io.stream, on_alloc, on_read) < 0) {
        break_wire(link, OX_ECONNECT, "cannot read from the socket");
        return;
    }
    greet(link);
}

static struct wire *new_wire(struct ox__link *link)
{
    struct wire *wire = calloc(1, sizeof(*wire));
    struct ox__replies *replies = wire != NULL ? ox__replies_new() : NULL;
    if (replies == NULL) {
        free(wire);
        return NULL;
    }
    wire->link = link;
    wire->replies = replies;
    if (link->url.socket != NULL) {
        uv_pipe_init(link->loop, &wire->io.pipe, 0);
    } else {
        uv_tcp_init(link->loop, &wire->io.tcp);
    }
    wire->io.handle.data = wire;
    wire->connect.data = wire;
    link->wire = wire;
    return wire;
}

static void connect_to(struct ox__link *link, const struct sockaddr *address)
{
    struct wire *wire = new_wire(link);
    if (wire == NULL) {
        wait_for_next_try(link);
        return;
    }
    link->state = CONNECTING;
    arm(link, link->connect_timeout_ms);
    if (link->url.socket != NULL) {
        uv_pipe_connect(&wire->connect, &wire->io.pipe, link->url.socket, on_connected);
        return;
    }
    int rc = uv_tcp_connect(&wire->connect, &wire->io.tcp, address, on_connected);
    if (rc < 0) {
        break_wire(link, OX_ECONNECT, uv_strerror(rc));
    }
}

/* A name may have several addresses: each try takes the next one. */
static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *found)
{
    struct ox__link *link = resolve->data;
    link->resolving = false;
    if (link->state == CLOSING) {
        uv_freeaddrinfo(found);
        maybe_free(link);
        return;
    }
    uv_timer_stop(&link->timer);
    if (status < 0 || found == NULL) {
        ox_error err;
        ox__fail(&err, OX_ECONNECT, "cannot find the Redis host %s: %s", link->url.host,
            uv_strerror(status));
        wait_for_next_try(link);
        link->on_down(link->arg, &err);
        return;
    }
    size_t count = 0;
    for (struct addrinfo *a = found; a != NULL; a = a->ai_next) {
        count++;
    }
    struct addrinfo *choice = found;
    for (size_t i = link->tries % count; i > 0; i--) {
        choice = choice->ai_next;
    }
    connect_to(link, choice->ai_addr);
    uv_freeaddrinfo(found);
}

static void start_try(struct ox__link *link)
{
    if (link->url.socket != NULL) {
        connect_to(link, NULL);
        return;
    }
    char port[12];
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    snprintf(port, sizeof(port), "%d", link->url.port);
    link->state = RESOLVING;
    link->resolve.data = link;
    arm(link, link->connect_timeout_ms);
    int rc =
        uv_getaddrinfo(link->loop, &link->resolve, on_resolved, link->url.host, port, &hints);
    link->resolving = rc == 0;
    if (rc < 0) {
        wait_for_next_try(link);
    }
}

/* ---- life -------------------------------------------------------------------------------- */

int ox__link_new(struct ox__link **out, uv_loop_t *loop, const struct ox__link_options *options,
    ox_error *err)
{
    struct ox__link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        return ox__fail_memory(err);
    }
    int rc = ox__url_copy(&link->url, options->url, err);
    if (rc == 0 && options->client_name != NULL) {
        link->client_name = strdup(options->client_name);
        rc = link->client_name == NULL ? ox__fail_memory(err) : 0;
    }
    if (rc == 0 && uv_timer_init(loop, &link->timer) < 0) {
        rc = ox__fail_memory(err);
    }
    if (rc < 0) {
        ox__url_done(&link->url);
        free(link->client_name);
        free(link);
        return rc;
    }
    link->loop = loop;
    link->connect_timeout_ms = options->connect_timeout_ms;
    link->command_timeout_ms = options->command_timeout_ms;
    link->on_up = options->up;
    link->on_down = options->down;
    link->arg = options->arg;
    link->timer.data = link;
    queue_init(&link->sent);
    queue_init(&link->waiting);
    link->state = WAITING;
    arm(link, 0);
    *out = link;
    return 0;
}

bool ox__link_is_up(const struct ox__link *link)
{
    return link->state == UP && !link->wire->closing && !link->wire->leaving;
}

static void on_shut(uv_shutdown_t *shutdown, int status)
{
    struct wire *wire = shutdown->handle->data;
    if (status < 0 && status != UV_ECANCELED) {
        break_wire(wire->link, OX_ELOST, uv_strerror(status));
    }
}

/* The server reads the end of our side after all that we sent, so what it does before that it
 * still answers, and its own end comes behind. */
void ox__link_renew(struct ox__link *link)
{
    if (!ox__link_is_up(link)) {
        return;
    }
    int64_t latest = ox__steady_ms() + link->command_timeout_ms;
    for (struct ox__request *r = link->sent.head; r != NULL; r = r->next) {
        r->deadline_ms = r->deadline_ms < latest ? r->deadline_ms : latest;
    }
    uv_timer_stop(&link->timer);
    watch_deadline(link);
    link->wire->leaving = true;
    int rc = uv_shutdown(&link->wire->shutdown, &link->wire->io.stream, on_shut);
    if (rc < 0) {
        break_wire(link, OX_ELOST, uv_strerror(rc));
    }
}

static void maybe_free(struct ox__link *link)
{
    if (link->wire != NULL || link->resolving || !link->timer_closed) {
        return;
    }
    settle_requests(link);
    void (*closed)(void *arg) = link->closed;
    void *arg = link->closed_arg;
    for (size_t i = 0; i < 3; i++) {
        ox__op_done(&link->greeting[i].op);
    }
    ox__url_done(&link->url);
    free(link->client_name);
    free(link);
    closed(arg);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct ox__link *link = handle->data;
    link->timer_closed = true;
    maybe_free(link);
}

void ox__link_close(struct ox__link *link, void (*closed)(void *arg), void *arg)
{
    if (link->state == CLOSING) {
        return;
    }
    link->state = CLOSING;
    link->closed = closed;
    link->closed_arg = arg;
    ox__fail(&link->why, OX_ECLOSED, "the connection was closed");
    if (link->resolving) {
        uv_cancel((uv_req_t *)&link->resolve);
    }
    uv_close((uv_handle_t *)&link->timer, on_timer_closed);
    close_wire(link);
}
