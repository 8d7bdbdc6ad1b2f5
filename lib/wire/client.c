/*
 * client.c - the blocking transport, on hiredis.
 *
 * A call either has its answer, or failed before anything was sent, or is lost with its fate
 * unknown; the three are kept apart because a caller may repeat only the second. A connection
 * that died while idle (the server was restarted) is noticed by a look at the socket before
 * sending, so it costs a reconnect and no error.
 *
 * hiredis 0.14 has no connect options: time-outs are set with the calls it has.
 */
#include "wire/client.h"

#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct timeval to_timeval(uint32_t ms)
{
    struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 };
    return tv;
}

/* How long an answer may take. */
static struct timeval patience(const ox_client *client)
{
    uint64_t ms = (uint64_t)client->command_timeout_ms + client->more_ms;
    return to_timeval(ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms);
}

uint32_t ox__backoff_ms(uint32_t n)
{
    uint32_t base = n < 7 ? 50u << n : 5000;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint32_t chance = (uint32_t)(now.tv_nsec / 1000);
    return base - base / 4 + chance % (base / 2 + 1);
}

void ox__free_reply(redisReply **reply)
{
    if (*reply != NULL) {
        freeReplyObject(*reply);
    }
}

static bool starts(const redisReply *reply, const char *prefix)
{
    return strncmp(reply->str, prefix, strlen(prefix)) == 0;
}

/* Redis says behind some errors where in which script they came up; that is of no use to those
 * who read them, and its 70 bytes push out what is. */
static int without_script(const char *text)
{
    const char *script = strstr(text, " script: ");
    size_t len = script != NULL ? (size_t)(script - text) : strlen(text);
    bool sentence = script != NULL && len > 0 && text[len - 1] == '.';
    return (int)(sentence ? len - 1 : len);
}

int ox__reply_check(const redisReply *reply, ox_error *err)
{
    if (reply->type != REDIS_REPLY_ERROR) {
        return 0;
    }
    int len = without_script(reply->str);
    if (starts(reply, "NOAUTH") || starts(reply, "WRONGPASS") ||
        starts(reply, "ERR invalid password") || starts(reply, "ERR AUTH")) {
        return ox__fail(err, OX_EAUTH, "Redis refused the credentials: %.*s", len, reply->str);
    }
    int code = starts(reply, "NOPERM") ? OX_EAUTH : OX_ESERVER;
    return ox__fail(err, code, "Redis: %.*s", len, reply->str);
}

int ox__client_out_of_step(ox_client *client, const char *who, ox_error *err)
{
    ox__client_drop(client);
    return ox__fail(err, OX_EREPLY, "%s: unexpected reply type", who);
}

void ox__client_drop(ox_client *client)
{
    if (client->redis != NULL) {
        redisFree(client->redis);
        client->redis = NULL;
    }
    client->in_flight = 0;
}

/* The failure of the connection itself; the connection is dropped. */
static int broken(ox_client *client, ox_error *err)
{
    char where[128];
    ox__url_where(&client->url, where, sizeof(where));
    int code = OX_ELOST;
    if (client->redis->err == REDIS_ERR_IO && (errno == EAGAIN || errno == ETIMEDOUT)) {
        code = ox__fail(err, OX_ETIMEOUT, "no answer from Redis at %s in time", where);
    } else if (client->redis->err == REDIS_ERR_PROTOCOL) {
        code = ox__fail(err, OX_EREPLY, "what answers at %s is not Redis", where);
    } else {
        ox__fail(err, code, "connection to Redis at %s lost: %s", where, client->redis->errstr);
    }
    ox__client_drop(client);
    return code;
}

/* Writes all pieces. Not through hiredis' own buffer: that copies, and its write() raises
 * SIGPIPE in a program that never asked for it. */
static int write_wire(ox_client *client, struct ox__op_wire *wire, ox_error *err)
{
    for (int i = 0; i < wire->count; i++) {
        while (wire->len[i] > 0) {
            int more = i + 1 < wire->count ? MSG_MORE : 0;
            ssize_t n =
                send(client->redis->fd, wire->piece[i], wire->len[i], MSG_NOSIGNAL | more);
            if (n < 0 && errno == EINTR) {
                continue;
            }
            if (n < 0) {
                client->redis->err = REDIS_ERR_IO;
                snprintf(client->redis->errstr, sizeof(client->redis->errstr), "%s",
                    strerror(errno));
                return broken(client, err);
            }
            wire->piece[i] += n;
            wire->len[i] -= (size_t)n;
        }
    }
    return 0;
}

static int post(ox_client *client, const struct ox__op *op, bool source, ox_error *err)
{
    char head[96];
    struct ox__op_wire wire;
    ox__op_wire(op, source, head, &wire);
    int rc = write_wire(client, &wire, err);
    client->in_flight += rc == 0 ? 1 : 0;
    return rc;
}

/* After a fork the connection is the parent's: of the child it is a copy, to be closed. */
static void leave_to_parent(ox_client *client)
{
    if (client->redis != NULL && client->pid != getpid()) {
        ox__client_drop(client);
    }
}

int ox__reap(ox_client *client, redisReply **reply, ox_error *err)
{
    leave_to_parent(client);
    if (client->redis == NULL || client->in_flight == 0) {
        return ox__fail(err, OX_ELOST, "connection to Redis lost with calls on the way");
    }
    *reply = NULL;
    if (redisGetReply(client->redis, (void **)reply) != REDIS_OK) {
        return broken(client, err);
    }
    client->in_flight--;
    return 0;
}

/* ---- connecting -------------------------------------------------------------------------- */

static int greet_with(ox_client *client, struct ox__op *op, ox_error *err)
{
    int rc = ox__op_seal(op, err);
    return rc < 0 ? rc : post(client, op, false, err);
}

/* AUTH, SELECT and a PING that shows whether commands are taken. */
static int greet(ox_client *client, struct ox__op *op, ox_error *err)
{
    const struct ox__url *url = &client->url;
    int rc = 0;
    if (url->password != NULL) {
        ox__op_command(op, "AUTH");
        if (url->user != NULL) {
            ox__op_text(op, "user", url->user);
        }
        ox__op_text(op, "password", url->password);
        rc = greet_with(client, op, err);
    }
    if (rc == 0 && url->db != 0) {
        ox__op_command(op, "SELECT");
        ox__op_int(op, "db", url->db);
        rc = greet_with(client, op, err);
    }
    if (rc == 0) {
        ox__op_command(op, "PING");
        rc = greet_with(client, op, err);
    }
    return rc;
}

/* All of the greeting in one round trip. */
static int handshake(ox_client *client, ox_error *err)
{
    struct ox__op op = { .argc = 0 };
    int refused = 0;
    int rc = greet(client, &op, err);
    while (rc == 0 && client->in_flight > 0) {
        OX__AUTO(ox__free_reply) redisReply *reply = NULL;
        rc = ox__reap(client, &reply, err);
        const char *not_now = rc == 0 ? ox__reply_not_now(reply) : NULL;
        if (not_now != NULL) {
            char where[128];
            ox__url_where(&client->url, where, sizeof(where));
            refused = ox__fail(
                err, OX_ECONNECT, "cannot use Redis at %s for now: %s", where, not_now);
        } else if (rc == 0 && refused == 0) {
            refused = ox__reply_check(reply, err);
        }
    }
    ox__op_done(&op);
    return rc < 0 ? rc : refused;
}

/* One try. */
static int connect_once(ox_client *client, ox_error *err)
{
    const struct ox__url *url = &client->url;
    struct timeval limit = to_timeval(client->connect_timeout_ms);
    redisContext *redis = url->socket != NULL
                              ? redisConnectUnixWithTimeout(url->socket, limit)
                              : redisConnectWithTimeout(url->host, url->port, limit);
    if (redis == NULL) {
        return ox__fail_memory(err);
    }
    if (redis->err != 0) {
        char where[128];
        ox__url_where(url, where, sizeof(where));
        ox__fail(err, OX_ECONNECT, "cannot connect to Redis at %s: %s", where, redis->errstr);
        redisFree(redis);
        return OX_ECONNECT;
    }
    client->redis = redis;
    client->pid = getpid();
    client->connection++;
    redisSetTimeout(redis, limit); /* whoever does not even answer PING is not there */
    ox_error problem;
    int rc = handshake(client, &problem);
    if (rc < 0) {
        ox__client_drop(client);
        /* Nothing of the caller's was sent: it is not lost. */
        rc = rc == OX_ELOST ? OX_ECONNECT : rc;
        return ox__fail(err, rc, "%s", problem.text);
    }
    redisSetTimeout(redis, patience(client));
    return 0;
}

static void pause_for(uint32_t ms)
{
    struct timespec rest = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {
    }
}

static int connect_with_backoff(ox_client *client, ox_error *err)
{
    ox_error problem;
    for (uint32_t n = 0;; n++) {
        int rc = connect_once(client, &problem);
        if (rc >= 0) {
            return rc;
        }
        if (rc == OX_EAUTH || rc == OX_ENOMEM || n + 1 >= client->connect_tries) {
            return ox__fail(err, rc, "%s", problem.text);
        }
        pause_for(ox__backoff_ms(n));
    }
}

/* With nothing in flight a healthy socket has nothing to read, nor is anything left of what was
 * read. */
static bool went_away(const redisContext *redis)
{
    char byte;
    if (redis->reader->pos < redis->reader->len) {
        return true;
    }
    ssize_t n = recv(redis->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

static int ensure_connected(ox_client *client, ox_error *err)
{
    if (client->redis != NULL && client->in_flight == 0 && went_away(client->redis)) {
        ox__client_drop(client);
    }
    return client->redis != NULL ? 0 : connect_with_backoff(client, err);
}

/* ---- calls ------------------------------------------------------------------------------- */

static int seal_and_post(ox_client *client, struct ox__op *op, bool source, ox_error *err)
{
    int rc = ox__op_seal(op, err);
    leave_to_parent(client);
    if (rc == 0) {
        rc = client->in_flight > 0 ? 0 : ensure_connected(client, err);
    }
    return rc < 0 ? rc : post(client, op, source, err);
}

int ox__post(ox_client *client, struct ox__op *op, ox_error *err)
{
    return seal_and_post(client, op, false, err);
}

int ox__post_source(ox_client *client, struct ox__op *op, ox_error *err)
{
    return seal_and_post(client, op, true, err);
}

int ox__call(ox_client *client, struct ox__op *op, redisReply **out, ox_error *err)
{
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    int rc = ox__post(client, op, err);
    if (rc == 0) {
        rc = ox__reap(client, &reply, err);
    }
    if (rc == 0 && op->script != NULL && ox__reply_is_noscript(reply)) {
        freeReplyObject(OX__STEAL(reply));
        rc = post(client, op, true, err);
        if (rc == 0) {
            rc = ox__reap(client, &reply, err);
        }
    }
    if (rc == 0) {
        rc = ox__reply_check(reply, err);
    }
    if (rc == 0) {
        *out = OX__STEAL(reply);
    }
    return rc;
}

void ox__client_patience(ox_client *client, uint32_t more_ms)
{
    client->more_ms = more_ms;
    if (client->redis != NULL) {
        redisSetTimeout(client->redis, patience(client));
    }
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static int client_with(
    ox_client **out, struct ox__url *url, const ox_client_options *options, ox_error *err)
{
    ox_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        ox__url_done(url);
        return ox__fail_memory(err);
    }
    client->url = *url;
    client->connect_timeout_ms = or_default(options->connect_timeout_ms, 5000);
    client->command_timeout_ms = or_default(options->command_timeout_ms, 30000);
    client->connect_tries = or_default(options->connect_tries, 3);
    int rc = options->connect_later ? 0 : connect_with_backoff(client, err);
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
    int rc = ox__url_parse(&url, options->url, err);
    return rc < 0 ? rc : client_with(out, &url, options, err);
}

int ox__client_clone(ox_client **out, const ox_client *from, ox_error *err)
{
    const ox_client_options options = { .connect_timeout_ms = from->connect_timeout_ms,
        .command_timeout_ms = from->command_timeout_ms,
        .connect_tries = from->connect_tries };
    struct ox__url url;
    int rc = ox__url_copy(&url, &from->url, err);
    return rc < 0 ? rc : client_with(out, &url, &options, err);
}

void ox_client_free(ox_client *client)
{
    if (client != NULL) {
        ox__client_drop(client);
        ox__url_done(&client->url);
        ox__op_done(&client->op);
        free(client);
    }
}
