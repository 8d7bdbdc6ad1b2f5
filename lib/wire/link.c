/*
 * link.c - a connection on the loop; see link.h for what it promises.
 *
 * The protocol is hiredis' reader (reply.c); the socket is ours and libuv says when it is
 * ready. (hiredis' own asynchronous mode resolves names with a blocking call and, in the
 * version that Debian 12 has, knows no time-outs. libuv's streams write with write(), which
 * raises SIGPIPE in a program that never asked for it; sendmsg() can be told not to.) Each try
 * to connect is a `struct wire` of its own, which frees itself in its close callback; the link
 * lets go of it at once and starts the next try from there, so two wires of one link never live
 * together.
 *
 *   WAITING -> RESOLVING -> CONNECTING -> GREETING -> UP
 *      ^---------------- any failure, with backoff -----'
 *
 * A server that answers "not now" to everybody (it loads its data, it became a replica, its
 * disk is full) is treated as one that is away: the requests wait, and each further try comes
 * later. The greeting ends with a write that changes nothing, so while writes are refused the
 * link does not come up. Only a connection that lasted makes the next wait short again: what
 * a server answers that refuses writes is no sign of health.
 *
 * Writes go out at once; what the socket does not take is copied and sent when it is writable.
 */
#include "wire/link.h"

#include "base/clock.h"
#include "base/error.h"
#include "wire/client.h"
#include "wire/reply.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_BYTES (64 * 1024)
#define KEEP_BYTES ((size_t)64 * 1024)
#define STEADY_MS 10000 /* a connection that lasted as long was a good one */
#define KEEPALIVE_S 30

enum state { WAITING, RESOLVING, CONNECTING, GREETING, UP, CLOSING };

struct queue {
    struct ox__request *head, **tail;
};

struct wire {
    uv_poll_t poll;
    int fd;
    struct ox__link *link;
    struct ox__replies *replies;
    struct ox__buf out; /* what the socket did not take yet.. */
    size_t sent;        /* ..but for so much of it */
    bool leaving;       /* nothing is written any more, what comes is read */
    bool left;          /* and all that came was */
    bool closing;
};

/* AUTH, SELECT, SETNAME, and the question whether writes are taken. */
enum greeting { LOGIN, DATABASE, NAME, WRITES, GREETINGS };

struct ox__link {
    uv_loop_t *loop;
    struct ox__url url;
    uint32_t connect_timeout_ms, command_timeout_ms;
    char *client_name, *base;
    void (*on_up)(void *arg);
    void (*on_down)(void *arg, const ox_error *err);
    void *arg;

    enum state state;
    struct wire *wire; /* NULL between tries */
    uv_getaddrinfo_t resolve;
    bool resolving;   /* the request above is in libuv's hands */
    uv_timer_t timer; /* backoff, connect time-out, or the deadline of the oldest request */
    uint32_t tries;   /* since the last connection that lasted */
    int64_t up_ms;    /* steady clock: when it came up */
    ox_error why;     /* why the wire is being closed */
    ox_error told;    /* the last that on_down was told since it was up */
    size_t greetings_left;
    struct ox__request greeting[GREETINGS];

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
        bool own = request >= link->greeting && request < link->greeting + GREETINGS;
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

/* The same reason again is no news. */
static void wait_for_next_try(struct ox__link *link, const ox_error *why)
{
    link->state = WAITING;
    arm(link, ox__backoff_ms(link->tries++));
    if (strcmp(link->told.text, why->text) != 0) {
        link->told = *why;
        link->on_down(link->arg, why);
    }
}

static void free_wire(struct wire *wire)
{
    ox__replies_free(wire->replies);
    ox__buf_done(&wire->out);
    free(wire);
}

static void on_wire_closed(uv_handle_t *handle)
{
    struct wire *wire = handle->data;
    struct ox__link *link = wire->link;
    bool left = wire->left;
    free_wire(wire);
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
    wait_for_next_try(link, &why);
}

static void close_wire(struct ox__link *link)
{
    struct wire *wire = link->wire;
    if (wire != NULL && !wire->closing) {
        wire->closing = true;
        uv_close((uv_handle_t *)&wire->poll, on_wire_closed);
        close(wire->fd);
    }
}

/* "HOW Redis at WHERE: WHAT". */
static int fail_at(
    const struct ox__link *link, ox_error *err, int code, const char *how, const char *what)
{
    char where[128];
    ox__url_where(&link->url, where, sizeof(where));
    return ox__fail(err, code, "%s Redis at %s: %s", how, where, what);
}

/* Takes the connection down; `how` says what happened to it. */
static void take_down(struct ox__link *link, int code, const char *how, const char *what)
{
    if (link->wire == NULL || link->wire->closing || link->state == CLOSING) {
        return;
    }
    fail_at(link, &link->why, code, how, what);
    if (link->state == UP && ox__steady_ms() - link->up_ms >= STEADY_MS) {
        link->tries = 0;
    }
    uv_timer_stop(&link->timer);
    close_wire(link);
}

static void break_wire(struct ox__link *link, int code, const char *what)
{
    take_down(
        link, code, link->state < UP ? "cannot connect to" : "lost the connection to", what);
}

/* ---- sending ----------------------------------------------------------------------------- */

static size_t bytes_of(const struct ox__op_wire *pieces)
{
    size_t total = 0;
    for (int i = 0; i < pieces->count; i++) {
        total += pieces->len[i];
    }
    return total;
}

/* How many bytes the socket took, or a negative errno. */
static ssize_t send_some(const struct wire *wire, struct iovec *parts, size_t count)
{
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = count };
    ssize_t n;
    do {
        n = sendmsg(wire->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
    }
    return n;
}

static ssize_t write_now(struct wire *wire, const struct ox__op_wire *pieces)
{
    struct iovec parts[3];
    if (wire->out.len > 0) {
        return 0; /* behind what waits */
    }
    for (int i = 0; i < pieces->count; i++) {
        parts[i].iov_base = (char *)(uintptr_t)pieces->piece[i];
        parts[i].iov_len = pieces->len[i];
    }
    return send_some(wire, parts, (size_t)pieces->count);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct wire *wire)
{
    int events = UV_READABLE | (wire->out.len > 0 ? UV_WRITABLE : 0);
    int rc = uv_poll_start(&wire->poll, events, on_poll);
    if (rc < 0) {
        break_wire(wire->link, OX_ELOST, uv_strerror(rc));
    }
}

/* Copies what the socket did not take, for when it is writable. */
static int write_later(struct wire *wire, const struct ox__op_wire *pieces, size_t done)
{
    bool watched = wire->out.len > 0;
    for (int i = 0; i < pieces->count; i++) {
        size_t skip = done < pieces->len[i] ? done : pieces->len[i];
        ox__buf_put(&wire->out, pieces->piece[i] + skip, pieces->len[i] - skip);
        done -= skip;
    }
    if (wire->out.failed) {
        return -ENOMEM;
    }
    if (!watched) {
        watch(wire);
    }
    return 0;
}

static void shut_if_leaving(struct wire *wire)
{
    if (wire->leaving && wire->out.len == 0 && shutdown(wire->fd, SHUT_WR) < 0) {
        break_wire(wire->link, OX_ELOST, strerror(errno));
    }
}

/* Sends what waits; what was sent is dropped when that is worth it. */
static void write_out(struct wire *wire)
{
    struct ox__buf *out = &wire->out;
    struct iovec part = { .iov_base = out->data + wire->sent,
        .iov_len = out->len - wire->sent };
    ssize_t n = send_some(wire, &part, 1);
    if (n < 0) {
        break_wire(wire->link, OX_ELOST, strerror((int)-n));
        return;
    }
    wire->sent += (size_t)n;
    if (wire->sent == out->len) {
        ox__buf_reset(out, KEEP_BYTES);
        wire->sent = 0;
        watch(wire);
        shut_if_leaving(wire);
    } else if (wire->sent > out->len / 2) {
        memmove(out->data, out->data + wire->sent, out->len - wire->sent);
        out->len -= wire->sent;
        wire->sent = 0;
    }
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
        n = write_later(link->wire, &pieces, (size_t)n);
    }
    if (n < 0) {
        break_wire(link, OX_ELOST, strerror((int)-n));
    }
    watch_deadline(link);
}

void ox__link_send(struct ox__link *link, struct ox__request *request)
{
    request->resent = false;
    request->source = false;
    request->misfit = false;
    if (ox__link_is_up(link)) {
        transmit(link, request);
    } else {
        queue_push(&link->waiting, request);
    }
}

/* ---- receiving --------------------------------------------------------------------------- */

/* The answer is some other request's. */
static void lose_step(struct ox__link *link, struct ox__request *request)
{
    ox_error err;
    const char *name = request->op.script != NULL ? request->op.script->name : "a command";
    char what[96];
    snprintf(what, sizeof(what), "unexpected reply type to %s: replies are out of step", name);
    take_down(link, OX_EREPLY, "lost the connection to", what);
    if (!request->misfit) {
        request->misfit = true;
        queue_push_front(&link->sent, request);
        return;
    }
    ox__fail(&err, OX_EREPLY, "unexpected reply type to %s", name);
    end_request(request, NULL, &err);
}

static void answer(struct ox__link *link, struct ox__request *request, const redisReply *reply)
{
    ox_error err;
    const char *refusal;
    if (request->op.script != NULL && !request->source && ox__reply_is_noscript(reply)) {
        request->source = true;
        transmit(link, request);
    } else if ((refusal = ox__reply_not_now(reply)) != NULL) {
        queue_push_front(&link->sent, request);
        take_down(link, OX_ELOST, "waiting for", refusal);
    } else if (ox__reply_check(reply, &err) < 0) {
        end_request(request, NULL, &err);
    } else if (request->fits != NULL && !request->fits(request, reply)) {
        lose_step(link, request);
    } else {
        end_request(request, reply, NULL);
    }
}

/* Answers all that is whole. */
static void take_answers(struct wire *wire)
{
    struct ox__link *link = wire->link;
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
            break_wire(link, OX_EREPLY, "a reply that nobody asked for");
        } else {
            answer(link, request, reply);
        }
    }
}

/* Reads what is there. A socket in trouble first gives what came before that. */
static void read_in(struct wire *wire, bool trouble)
{
    struct ox__link *link = wire->link;
    ssize_t n;
    do {
        n = recv(wire->fd, link->read_buffer, READ_BYTES, MSG_DONTWAIT);
        if (n > 0) {
            ox__replies_feed(wire->replies, link->read_buffer, (size_t)n);
            take_answers(wire);
        }
    } while (
        !wire->closing && (n == READ_BYTES || (n > 0 && trouble) || (n < 0 && errno == EINTR)));
    if (wire->closing || n > 0) {
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && !trouble) {
        return;
    }
    wire->left = wire->leaving && n == 0;
    break_wire(link, OX_ELOST, n == 0 ? "the server closed it" : strerror(errno));
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
    link->up_ms = ox__steady_ms();
    link->told.text[0] = '\0';
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

/* A name, and the right to try a write, are not needed to work. */
static void on_greeted(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct ox__link *link = request->arg;
    bool needed = request == &link->greeting[LOGIN] || request == &link->greeting[DATABASE];
    (void)reply;
    if (err != NULL && needed) {
        break_wire(link, err->code, err->text);
        return;
    }
    if (--link->greetings_left == 0) {
        go_up(link);
    }
}

static void greet_with(struct ox__link *link, enum greeting which)
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

static void greet_with_login(struct ox__link *link)
{
    struct ox__op *op = &link->greeting[LOGIN].op;
    ox__op_command(op, "AUTH");
    if (link->url.user != NULL) {
        ox__op_text(op, "user", link->url.user);
    }
    ox__op_text(op, "password", link->url.password);
    greet_with(link, LOGIN);
}

/* Sets the score of a member that is never there, if it is there: a write that changes nothing,
 * and is refused like all writes by a server that loads, is a replica or is out of memory. */
static void greet_with_write(struct ox__link *link)
{
    struct ox__op *op = &link->greeting[WRITES].op;
    ox__op_command(op, "ZADD");
    ox__op_key(op, link->base, "marker");
    ox__op_text(op, "", "XX");
    ox__op_text(op, "score", "0");
    ox__op_text(op, "member", "");
    greet_with(link, WRITES);
}

/* All in one round trip. */
static void greet(struct ox__link *link)
{
    struct ox__op *select = &link->greeting[DATABASE].op;
    struct ox__op *name = &link->greeting[NAME].op;
    link->state = GREETING;
    uv_timer_stop(&link->timer);
    bool login = link->url.password != NULL, named = link->client_name != NULL;
    link->greetings_left = 2 + (login ? 1 : 0) + (named ? 1 : 0);
    if (login) {
        greet_with_login(link);
    }
    ox__op_command(select, "SELECT");
    ox__op_int(select, "db", link->url.db);
    greet_with(link, DATABASE);
    if (named) {
        ox__op_command(name, "CLIENT");
        ox__op_text(name, "setname", "SETNAME");
        ox__op_text(name, "name", link->client_name);
        greet_with(link, NAME);
    }
    greet_with_write(link);
}

/* What became of the connecting. */
static void on_connected(struct wire *wire)
{
    struct ox__link *link = wire->link;
    int problem = 0;
    socklen_t size = sizeof(problem);
    if (getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &problem, &size) < 0) {
        problem = errno;
    }
    if (problem != 0) {
        break_wire(link, OX_ECONNECT, strerror(problem));
        return;
    }
    watch(wire);
    if (!wire->closing) {
        greet(link);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct wire *wire = poll->data;
    if (wire->link->state == CONNECTING) {
        on_connected(wire);
        return;
    }
    if (status < 0 || (events & UV_READABLE) != 0) {
        read_in(wire, status < 0);
    }
    if (!wire->closing && (events & UV_WRITABLE) != 0 && wire->out.len > 0) {
        write_out(wire);
    }
}

/* A socket that is on its way to the server, or a negative errno. */
static int open_socket(const struct sockaddr *address, socklen_t size)
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
    return fd;
}

/* Watches a socket that is on its way; takes it over. Returns 0 or a negative errno. */
static int new_wire(struct ox__link *link, int fd)
{
    struct wire *wire = calloc(1, sizeof(*wire));
    struct ox__replies *replies = wire != NULL ? ox__replies_new() : NULL;
    int rc = replies == NULL ? -ENOMEM : uv_poll_init(link->loop, &wire->poll, fd);
    if (rc < 0) {
        ox__replies_free(replies);
        free(wire);
        close(fd);
        return rc;
    }
    wire->fd = fd;
    wire->link = link;
    wire->replies = replies;
    wire->poll.data = wire;
    link->wire = wire;
    link->state = CONNECTING;
    arm(link, link->connect_timeout_ms);
    rc = uv_poll_start(&wire->poll, UV_WRITABLE, on_poll);
    if (rc < 0) {
        break_wire(link, OX_ECONNECT, uv_strerror(rc));
    }
    return 0;
}

static void connect_to(struct ox__link *link, const struct sockaddr *address, socklen_t size)
{
    int fd = open_socket(address, size);
    int rc = fd < 0 ? fd : new_wire(link, fd);
    if (rc < 0) {
        ox_error err;
        fail_at(link, &err, OX_ECONNECT, "cannot connect to", strerror(-rc));
        wait_for_next_try(link, &err);
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
        wait_for_next_try(link, &err);
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
    connect_to(link, choice->ai_addr, choice->ai_addrlen);
    uv_freeaddrinfo(found);
}

static void start_try(struct ox__link *link)
{
    if (link->url.socket != NULL) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", link->url.socket);
        connect_to(link, (struct sockaddr *)&address, sizeof(address));
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
        ox_error err;
        fail_at(link, &err, OX_ECONNECT, "cannot connect to", uv_strerror(rc));
        wait_for_next_try(link, &err);
    }
}

/* ---- life -------------------------------------------------------------------------------- */

void ox__link_free(struct ox__link *link)
{
    if (link == NULL) {
        return;
    }
    for (size_t i = 0; i < GREETINGS; i++) {
        ox__op_done(&link->greeting[i].op);
    }
    ox__url_done(&link->url);
    free(link->client_name);
    free(link->base);
    free(link);
}

int ox__link_new(struct ox__link **out, uv_loop_t *loop, const struct ox__link_options *options,
    ox_error *err)
{
    struct ox__link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        return ox__fail_memory(err);
    }
    int rc = ox__url_copy(&link->url, options->url, err);
    link->base = strdup(options->base);
    link->client_name = options->client_name != NULL ? strdup(options->client_name) : NULL;
    if (rc == 0 &&
        (link->base == NULL || (options->client_name != NULL && link->client_name == NULL))) {
        rc = ox__fail_memory(err);
    }
    if (rc < 0) {
        ox__link_free(link);
        return rc;
    }
    link->loop = loop;
    link->connect_timeout_ms = options->connect_timeout_ms;
    link->command_timeout_ms = options->command_timeout_ms;
    link->on_up = options->up;
    link->on_down = options->down;
    link->arg = options->arg;
    queue_init(&link->sent);
    queue_init(&link->waiting);
    link->state = WAITING;
    *out = link;
    return 0;
}

void ox__link_start(struct ox__link *link)
{
    uv_timer_init(link->loop, &link->timer);
    link->timer.data = link;
    arm(link, 0);
}

bool ox__link_is_up(const struct ox__link *link)
{
    return link->state == UP && !link->wire->closing && !link->wire->leaving;
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
    shut_if_leaving(link->wire);
}

static void maybe_free(struct ox__link *link)
{
    if (link->wire != NULL || link->resolving || !link->timer_closed) {
        return;
    }
    settle_requests(link);
    void (*closed)(void *arg) = link->closed;
    void *arg = link->closed_arg;
    ox__link_free(link);
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
