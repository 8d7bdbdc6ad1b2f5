/*
 * client.c - drives a connection for blocking calls, with poll().
 *
 * A call either has its reply, or failed before anything was sent, or is lost with its outcome
 * unknown; the three are distinguished because a caller may repeat only the second. A
 * connection that died while idle (the server was restarted) is noticed by checking the socket
 * before sending, so it costs a reconnect and no error.
 *
 * A call can look for its answer for a while before it sleeps in poll() (`spin_us`): a thread
 * that sleeps is woken by another processor, which takes a virtual machine some ten
 * microseconds.
 *
 * Replies are read only while a call waits for one. So pipelined calls reach the server in
 * order even after NOSCRIPT: all such errors are read, and their calls resent in order, before
 * anything more is posted.
 */
#include "wire/client.h"

#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_MS 5000 /* the longest that a command blocks */
#define LATE_MS 1000  /* Redis ends a block up to 100 ms late */
#define SPIN_MOST_US 1000
#define SPIN_RARELY 64u /* one call of that many looks, when answers come later */

struct ox__posted {
    struct ox__request request;
    ox_client *client;
    bool done;
    redisReply *reply; /* when done; NULL: see `err` */
    ox_error err;
    struct ox__posted *next;
};

/* ---- what is posted ---------------------------------------------------------------------- */

static void on_done(struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct ox__posted *posted = request->arg;
    posted->done = true;
    if (reply == NULL) {
        posted->err = *err;
        return;
    }
    posted->reply = ox__replies_keep(posted->client->conn.replies);
    if (posted->reply == NULL) {
        ox__fail_memory(&posted->err);
    }
}

static struct ox__posted *new_posted(ox_client *client)
{
    struct ox__posted *posted = client->spare;
    if (posted != NULL) {
        client->spare = posted->next;
    } else if ((posted = malloc(sizeof(*posted))) == NULL) {
        return NULL;
    }
    memset(&posted->request, 0, sizeof(posted->request));
    posted->request.done = on_done;
    posted->request.arg = posted;
    posted->request.takes_errors = true;
    posted->client = client;
    posted->done = false;
    posted->reply = NULL;
    posted->next = NULL;
    *client->newest = posted;
    client->newest = &posted->next;
    return posted;
}

/* Frees the oldest, which is done. */
static void release(ox_client *client)
{
    struct ox__posted *posted = client->oldest;
    client->oldest = posted->next;
    if (client->oldest == NULL) {
        client->newest = &client->oldest;
    }
    ox__free_reply(&posted->reply);
    posted->next = client->spare;
    client->spare = posted;
}

/* ---- the connection ---------------------------------------------------------------------- */

/* Closes the socket of a broken connection; all posted requests are then done. */
static void close_broken(ox_client *client)
{
    if (client->conn.broken) {
        ox__socket_close(&client->socket);
        ox__conn_closed(&client->conn, ox__steady_ms());
    }
}

void ox__client_drop(ox_client *client)
{
    if (client->conn.state != OX__RESTING) {
        ox__conn_break(&client->conn, OX_ELOST, "the connection was dropped");
        close_broken(client);
    }
    while (client->oldest != NULL) {
        release(client);
    }
}

/* After a fork the connection belongs to the parent: the child closes its copy. */
static void leave_to_parent(ox_client *client)
{
    if (client->conn.state != OX__RESTING && client->pid != getpid()) {
        ox__client_drop(client);
    }
}

/* Waits until the socket can be written, or (`reads`) read as well, or time is over; then reads
 * and writes what is possible. */
static void turn(ox_client *client, bool reads)
{
    struct ox__conn *conn = &client->conn;
    short wants = ox__socket_wants(&client->socket, conn);
    struct pollfd wait = { .fd = client->socket.fd,
        .events = reads ? wants : (short)(wants & POLLOUT) };
    int64_t left = ox__conn_wake_ms(conn) - ox__steady_ms();
    int ready = poll(&wait, 1, left < 0 ? 0 : left < INT32_MAX ? (int)left : INT32_MAX);
    int64_t now_ms = ox__steady_ms();
    if (ready > 0 && !client->socket.connected) {
        ox__socket_connected(&client->socket, conn, now_ms);
    } else if (ready > 0) {
        if (reads && (wait.revents & ~POLLOUT) != 0) {
            ox__socket_read(&client->socket, conn, false, now_ms);
        }
        if (!conn->broken) {
            ox__socket_write(&client->socket, conn, now_ms);
        }
    }
    ox__conn_tick(conn, now_ms);
    close_broken(client);
}

/* Looks for the reply for a while. What cannot be written at once, it leaves to poll(). */
static void spin(ox_client *client, const struct ox__posted *posted)
{
    struct ox__conn *conn = &client->conn;
    if (client->more_ms > 0 || ++client->spin_calls < client->spin_every) {
        return;
    }
    client->spin_calls = 0;
    int64_t now_us = ox__steady_us(), end_us = now_us + client->spin_us;
    while (!posted->done && conn->state == OX__UP && conn->unsent == NULL && now_us < end_us) {
        sched_yield(); /* to whoever else wants this processor, maybe the server */
        now_us = ox__steady_us();
        ox__socket_read(&client->socket, conn, false, now_us / 1000);
        close_broken(client);
    }
    if (posted->done) {
        client->spin_every = 1;
    } else if (client->spin_every < SPIN_RARELY) {
        client->spin_every *= 2;
    }
}

/* Opens a socket to `address`, or to the URL's path, and greets. */
static void open_and_greet(ox_client *client, const struct addrinfo *address)
{
    struct ox__conn *conn = &client->conn;
    ox__conn_opening(conn, ox__steady_ms());
    client->pid = getpid();
    client->connection++;
    int rc = address != NULL
                 ? ox__socket_open(&client->socket, address->ai_addr, address->ai_addrlen)
                 : ox__socket_open_unix(&client->socket, conn->url.socket);
    if (rc < 0) {
        ox__conn_break(conn, OX_ECONNECT, strerror(-rc));
        close_broken(client);
    }
    while (conn->state != OX__UP && conn->state != OX__RESTING) {
        turn(client, true);
    }
}

/* Tries all addresses of a name until one accepts, or refuses for a reason that holds for all.
 */
static void open_by_name(ox_client *client)
{
    struct ox__conn *conn = &client->conn;
    char port[12];
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    snprintf(port, sizeof(port), "%d", conn->url.port);
    int rc = getaddrinfo(conn->url.host, port, &hints, &found);
    if (rc != 0) {
        char why[128];
        snprintf(why, sizeof(why), "cannot find the host: %s", gai_strerror(rc));
        ox__conn_break(conn, OX_ECONNECT, why);
        close_broken(client);
        return;
    }
    const struct addrinfo *address = found;
    do {
        open_and_greet(client, address);
        address = address->ai_next;
    } while (address != NULL && conn->state != OX__UP && conn->why.code == OX_ECONNECT);
    freeaddrinfo(found);
}

/* One try. */
static int connect_once(ox_client *client, ox_error *err)
{
    struct ox__conn *conn = &client->conn;
    if (conn->url.socket != NULL) {
        open_and_greet(client, NULL);
    } else {
        open_by_name(client);
    }
    if (conn->state == OX__UP) {
        return 0;
    }
    /* Nothing of the caller's was sent, so it is not lost. */
    int code = conn->why.code == OX_ELOST ? OX_ECONNECT : conn->why.code;
    return ox__fail(err, code, "%s", conn->why.text);
}

static void rest(const ox_client *client)
{
    int64_t left;
    while ((left = ox__conn_wake_ms(&client->conn) - ox__steady_ms()) > 0) {
        poll(NULL, 0, (int)left);
    }
}

static int connect_with_backoff(ox_client *client, ox_error *err)
{
    ox_error problem;
    for (uint32_t n = 1;; n++) {
        int rc = connect_once(client, &problem);
        if (rc >= 0) {
            return rc;
        }
        if (rc == OX_EAUTH || rc == OX_ETLS || rc == OX_ENOMEM || n >= client->connect_tries) {
            return ox__fail(err, rc, "%s", problem.text);
        }
        rest(client);
    }
}

/* With nothing in flight a healthy connection has nothing to read. */
static int ensure_connected(ox_client *client, ox_error *err)
{
    if (client->conn.state == OX__UP) {
        ox__socket_read(&client->socket, &client->conn, false, ox__steady_ms());
        close_broken(client);
    }
    return client->conn.state == OX__UP ? 0 : connect_with_backoff(client, err);
}

/* ---- calls ------------------------------------------------------------------------------- */

/* Sends all its bytes. */
static int post(ox_client *client, struct ox__posted *posted)
{
    int64_t now_ms = ox__steady_ms();
    ox__conn_send(&client->conn, &posted->request, now_ms);
    ox__socket_write(&client->socket, &client->conn, now_ms);
    close_broken(client);
    while (client->conn.state == OX__UP &&
           (ox__socket_wants(&client->socket, &client->conn) & POLLOUT) != 0) {
        turn(client, false);
    }
    return client->conn.state == OX__UP ? 0 : -1;
}

/* The connection broke while this one was written. */
static int fail_posted(const struct ox__posted *posted, ox_error *err)
{
    return ox__fail(err, posted->err.code, "%s", posted->err.text);
}

/* The connection broke with posted requests. */
static int fail_lost(const ox_client *client, ox_error *err)
{
    return ox__fail(err, client->conn.why.code, "%s", client->conn.why.text);
}

static int try_post(ox_client *client, struct ox__op *op, ox_error *err)
{
    int rc = ox__op_seal(op, err);
    if (rc == 0 && client->oldest == NULL) {
        rc = ensure_connected(client, err);
    } else if (rc == 0 && client->conn.state != OX__UP) {
        rc = fail_lost(client, err);
    }
    if (rc < 0) {
        return rc;
    }
    struct ox__posted *posted = new_posted(client);
    if (posted == NULL) {
        return ox__fail_memory(err);
    }
    posted->request.op = *op; /* borrowed */
    posted->request.timeout_ms = client->command_timeout_ms + client->more_ms;
    if (post(client, posted) >= 0) {
        return 0;
    }
    return posted->done && posted->reply == NULL ? fail_posted(posted, err)
                                                 : fail_lost(client, err);
}

int ox__post(ox_client *client, struct ox__op *op, ox_error *err)
{
    leave_to_parent(client);
    int rc = try_post(client, op, err);
    if (rc < 0 && client->oldest != NULL) {
        ox__client_drop(client);
    }
    return rc;
}

static int reap(ox_client *client, redisReply **reply, ox_error *err)
{
    *reply = NULL;
    struct ox__posted *posted = client->oldest;
    if (posted == NULL) {
        return ox__fail(
            err, OX_ELOST, "the connection to Redis was lost while calls waited for replies");
    }
    while (!posted->done) {
        turn(client, true);
    }
    if (posted->reply == NULL) {
        int rc = ox__fail(err, posted->err.code, "%s", posted->err.text);
        if (client->conn.state == OX__UP) {
            release(client); /* an error reply: replies of the others are still to come */
        } else {
            ox__client_drop(client);
        }
        return rc;
    }
    *reply = OX__STEAL(posted->reply);
    release(client);
    return 0;
}

int ox__reap(ox_client *client, redisReply **reply, ox_error *err)
{
    leave_to_parent(client);
    return reap(client, reply, err);
}

int ox__call(ox_client *client, struct ox__op *op, redisReply **out, ox_error *err)
{
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    int rc = ox__post(client, op, err);
    if (rc == 0 && client->spin_us > 0) {
        spin(client, client->oldest);
    }
    if (rc == 0) {
        rc = reap(client, &reply, err);
    }
    if (rc == 0) {
        rc = ox__op_check(op, reply, err);
    }
    if (rc == 0) {
        *out = OX__STEAL(reply);
    }
    return rc;
}

int64_t ox__block_ms(int64_t end_ms)
{
    int64_t left = end_ms - ox__steady_ms();
    return end_ms == 0 || left > BLOCK_MS ? BLOCK_MS : left > 0 ? left : 1;
}

void ox__client_blocks(ox_client *client, bool blocks)
{
    client->more_ms = blocks ? BLOCK_MS + LATE_MS : 0;
}

/* ---- life -------------------------------------------------------------------------------- */

/* On its only processor a thread would keep the server from answering. */
static bool has_one_processor(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) == 1;
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static int client_with(
    ox_client **out, const struct ox__url *url, const ox_client_options *options, ox_error *err)
{
    ox_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return ox__fail_memory(err);
    }
    client->newest = &client->oldest;
    client->connect_timeout_ms = or_default(options->connect_timeout_ms, 5000);
    client->command_timeout_ms = or_default(options->command_timeout_ms, 30000);
    client->connect_tries = or_default(options->connect_tries, 3);
    client->spin_us = options->spin_us == 0 || has_one_processor() ? 0 : options->spin_us;
    client->spin_every = 1;
    const struct ox__conn_options conn = { .url = url,
        .connect_timeout_ms = client->connect_timeout_ms,
        .command_timeout_ms = client->command_timeout_ms,
        .chance = (uint32_t)(ox__boot_us() ^ (int64_t)getpid() << 16) };
    int rc = ox__socket_init(&client->socket, url, err);
    if (rc == 0) {
        rc = ox__conn_init(&client->conn, &conn, err);
    }
    if (rc == 0 && !options->connect_later) {
        rc = connect_with_backoff(client, err);
    }
    if (rc < 0) {
        ox_client_free(client);
        return rc;
    }
    *out = client;
    return 0;
}

int ox_client_new(ox_client **out, const ox_client_options *options, ox_error *err)
{
    OX__NEED(out, err);
    static const ox_client_options defaults;
    struct ox__url url;
    options = options != NULL ? options : &defaults;
    int rc = OX__RESERVED(ox_client_options, options, err);
    if (rc == 0 && options->spin_us > SPIN_MOST_US) {
        rc = ox__fail(err, OX_EINVAL, "spin_us must be 0..%d", SPIN_MOST_US);
    }
    if (rc < 0) {
        return rc;
    }
    rc = ox__url_parse(&url, options->url, err);
    if (rc < 0) {
        return rc;
    }
    rc = ox__url_set_tls(&url, options, err);
    if (rc == 0) {
        rc = client_with(out, &url, options, err);
    }
    ox__url_done(&url);
    return rc;
}

int ox__client_clone(ox_client **out, const ox_client *from, ox_error *err)
{
    const ox_client_options options = { .connect_timeout_ms = from->connect_timeout_ms,
        .command_timeout_ms = from->command_timeout_ms,
        .connect_tries = from->connect_tries,
        .spin_us = from->spin_us };
    return client_with(out, &from->conn.url, &options, err);
}

void ox_client_free(ox_client *client)
{
    if (client == NULL) {
        return;
    }
    ox__client_drop(client);
    while (client->spare != NULL) {
        struct ox__posted *next = client->spare->next;
        free(client->spare);
        client->spare = next;
    }
    ox__socket_done(&client->socket);
    ox__conn_done(&client->conn);
    free(client);
}
