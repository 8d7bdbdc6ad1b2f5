/* conn.c - one connection to Redis as a state machine; see conn.h for what it promises. */
#include "wire/conn.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A connection that lasted this long resets the backoff. Replies of a server that refuses
 * writes do not count. */
#define STEADY_MS 10000
#define REST_MIN_MS 50u
#define REST_MAX_MS 5000u
#define QUERY_LIMIT_MIN ((size_t)1024 * 1024) /* the least client-query-buffer-limit */
#define TLS_ALERT 0x15                        /* the first byte of one */

/* ---- requests ---------------------------------------------------------------------------- */

static bool is_greeting(const struct ox__conn *conn, const struct ox__request *request)
{
    return request >= conn->greeting && request < conn->greeting + OX__GREETINGS;
}

static void end_request(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    request->resent = request->resent && reply != NULL;
    request->done(request, reply, err);
}

/* ---- deadlines --------------------------------------------------------------------------- */

/* How long the server may be silent. */
static int64_t limit_of(const struct ox__conn *conn, const struct ox__request *request)
{
    uint32_t limit =
        request->timeout_ms != 0 ? request->timeout_ms : conn->options.command_timeout_ms;
    bool less = conn->leaving && limit > conn->options.command_timeout_ms;
    return less ? conn->options.command_timeout_ms : limit;
}

/* A large reply may take longer, as long as bytes keep arriving. */
static int64_t deadline_of(const struct ox__conn *conn, const struct ox__request *request)
{
    int64_t heard = conn->heard_ms + limit_of(conn, request);
    return heard > request->deadline_ms ? heard : request->deadline_ms;
}

int64_t ox__conn_wake_ms(const struct ox__conn *conn)
{
    if (conn->broken || conn->stopped) {
        return OX__NEVER;
    }
    if (conn->state == OX__RESTING || conn->state == OX__OPENING) {
        return conn->until_ms;
    }
    return conn->sent.head != NULL ? deadline_of(conn, conn->sent.head) : OX__NEVER;
}

void ox__conn_tick(struct ox__conn *conn, int64_t now_ms)
{
    if (conn->state == OX__RESTING || now_ms < ox__conn_wake_ms(conn)) {
        return;
    }
    bool opening = conn->state == OX__OPENING;
    ox__conn_break(conn, opening ? OX_ECONNECT : OX_ETIMEOUT,
        opening && conn->url.tls ? "timed out (does the server speak TLS on that port?)"
                                 : "timed out");
}

/* ---- losing it --------------------------------------------------------------------------- */

/* "HOW Redis at WHERE: WHAT". */
static void break_with(struct ox__conn *conn, int code, const char *how, const char *what)
{
    char where[128];
    if (conn->broken || conn->stopped) {
        return;
    }
    ox__url_where(&conn->url, where, sizeof(where));
    ox__fail(&conn->why, code, "%s Redis at %s: %s", how, where, what);
    conn->broken = true;
}

void ox__conn_break(struct ox__conn *conn, int code, const char *what)
{
    char more[160];
    if (conn->state == OX__GREETING && code == OX_ELOST && conn->silent && !conn->url.tls &&
        conn->url.socket == NULL) {
        snprintf(more, sizeof(more), "%s (does it require TLS, a rediss:// URL?)", what);
        what = more;
    }
    break_with(conn, code,
        conn->state == OX__UP ? "lost the connection to" : "cannot connect to", what);
}

void ox__conn_end(struct ox__conn *conn)
{
    conn->left = conn->leaving;
    ox__conn_break(conn, OX_ELOST, "the server closed it");
}

static size_t wire_bytes(const struct ox__request *request)
{
    char head[OX__WIRE_HEAD];
    struct ox__op_wire wire;
    size_t total = 0;
    ox__op_wire(&request->op, request->source, head, &wire);
    for (int i = 0; i < wire.count; i++) {
        total += wire.len[i];
    }
    return total;
}

/* The server does nothing before it has all of a request. */
static void explain_unsent(
    const struct ox__conn *conn, const struct ox__request *request, ox_error *err)
{
    bool large = conn->written >= QUERY_LIMIT_MIN;
    ox__fail(err, OX_ECONNECT,
        "%s; nothing was done, since it had %zu of the request's %zu bytes%s", conn->why.text,
        conn->written, wire_bytes(request),
        large ? " (is that its client-query-buffer-limit?)" : "");
}

/* Resets the state: requests that may be repeated wait, the others end. From `unsent` on they
 * are not sent, or in part. */
static void settle_requests(struct ox__conn *conn, const struct ox__request *unsent)
{
    struct ox__requests again, others, ended, waiting;
    struct ox__request *request;
    bool behind = false;
    ox__requests_init(&again);
    ox__requests_init(&others);
    ox__requests_init(&ended);
    while ((request = ox__requests_pop(&conn->sent)) != NULL) {
        bool keep = request->keep && !conn->stopped;
        if (is_greeting(conn, request)) {
            continue;
        }
        /* One that went again with its source was sent first before those ahead of it. */
        ox__requests_push(!keep ? &ended : request->source ? &again : &others, request);
        if (keep) {
            request->resent = true;
            request->source = false;
        }
    }
    while ((request = ox__requests_pop(&others)) != NULL) {
        ox__requests_push(&again, request);
    }
    ox__requests_take(&waiting, &conn->waiting);
    while ((request = ox__requests_pop(&waiting)) != NULL) {
        ox__requests_push(conn->stopped ? &ended : &again, request);
    }
    ox__requests_take(&conn->waiting, &again);
    ox_error err = conn->why;
    err.code = conn->stopped ? OX_ECLOSED : conn->options.steady ? OX_ELOST : err.code;
    while ((request = ox__requests_pop(&ended)) != NULL) {
        ox_error nothing_done = err;
        behind = behind || request == unsent;
        if (behind && err.code == OX_ELOST && !conn->options.steady && !request->resent) {
            explain_unsent(conn, request, &nothing_done);
            conn->written = 0; /* of those behind it */
        }
        end_request(request, NULL, &nothing_done);
    }
}

/* 50 ms doubling up to 5 s, with jitter so that a fleet does not reconnect at once. */
static uint32_t rest_ms(struct ox__conn *conn)
{
    uint32_t base = conn->tries < 7 ? REST_MIN_MS << conn->tries : REST_MAX_MS;
    conn->chance = conn->chance * 1664525u + 1013904223u;
    conn->tries++;
    return base - base / 4 + (conn->chance >> 8) % (base / 2 + 1);
}

void ox__conn_closed(struct ox__conn *conn, int64_t now_ms)
{
    ox_error why = conn->why;
    bool lasted = conn->state == OX__UP && now_ms - conn->up_ms >= STEADY_MS;
    bool left = conn->left;
    ox__replies_free(conn->replies);
    conn->replies = NULL;
    conn->state =
        OX__RESTING; /* before any callback: it may send, or ask if the connection is up */
    conn->broken = conn->leaving = conn->left = false;
    const struct ox__request *unsent = conn->unsent;
    conn->unsent = NULL;
    conn->tries = lasted ? 0 : conn->tries;
    conn->until_ms = left ? now_ms : now_ms + rest_ms(conn);
    settle_requests(conn, unsent);
    /* The same reason is not reported again. */
    if (!conn->stopped && !left && strcmp(conn->told.text, why.text) != 0) {
        conn->told = why;
        if (conn->options.down != NULL) {
            conn->options.down(conn->options.arg, &why);
        }
    }
}

/* ---- writing ----------------------------------------------------------------------------- */

static void transmit(struct ox__conn *conn, struct ox__request *request, int64_t now_ms)
{
    request->deadline_ms = now_ms + limit_of(conn, request);
    request->replies_left = request->op.commands > 0 ? request->op.commands : 1;
    ox__requests_push(&conn->sent, request);
    if (conn->unsent == NULL) {
        conn->unsent = request;
        conn->written = 0;
    }
}

void ox__conn_send(struct ox__conn *conn, struct ox__request *request, int64_t now_ms)
{
    request->resent = false;
    request->misfit = false;
    request->source = false;
    if (ox__conn_is_up(conn)) {
        transmit(conn, request, now_ms);
    } else {
        ox__requests_push(&conn->waiting, request);
    }
}

/* Pieces from byte `skip` on. Returns how many. */
static int pieces_of(const struct ox__op_wire *wire, size_t skip, struct iovec *pieces)
{
    int n = 0;
    for (int i = 0; i < wire->count; i++) {
        size_t done = skip < wire->len[i] ? skip : wire->len[i];
        skip -= done;
        if (done < wire->len[i]) {
            pieces[n].iov_base = (char *)(uintptr_t)(wire->piece[i] + done);
            pieces[n].iov_len = wire->len[i] - done;
            n++;
        }
    }
    return n;
}

/* One source at a time, since there is room for one head. */
int ox__conn_out(struct ox__conn *conn, struct iovec *pieces, int max)
{
    struct ox__op_wire wire;
    size_t skip = conn->written;
    bool source = false;
    int n = 0;
    for (struct ox__request *r = conn->unsent;
         r != NULL && n + 3 <= max && !(source && r->source) && !conn->broken; r = r->next) {
        source = source || r->source;
        ox__op_wire(&r->op, r->source, conn->head, &wire);
        n += pieces_of(&wire, skip, pieces + n);
        skip = 0;
    }
    return n;
}

void ox__conn_written(struct ox__conn *conn, size_t len, int64_t now_ms)
{
    conn->heard_ms = now_ms;
    conn->written += len;
    while (conn->unsent != NULL) {
        size_t whole = wire_bytes(conn->unsent);
        if (conn->written < whole) {
            return;
        }
        conn->written -= whole;
        conn->unsent = conn->unsent->next;
    }
}

/* ---- the greeting ------------------------------------------------------------------------ */

static void go_up(struct ox__conn *conn, int64_t now_ms)
{
    struct ox__requests waiting;
    struct ox__request *request;
    ox__requests_take(&waiting, &conn->waiting);
    conn->state = OX__UP;
    conn->up_ms = now_ms;
    conn->told.text[0] = '\0';
    while ((request = ox__requests_pop(&waiting)) != NULL) {
        transmit(conn, request, now_ms);
    }
    if (conn->options.up != NULL) {
        conn->options.up(conn->options.arg);
    }
}

/* CLIENT SETNAME and the test write are optional. */
static void on_greeted(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct ox__conn *conn = request->arg;
    enum ox__greeting which = (enum ox__greeting)(request - conn->greeting);
    bool needed = which != OX__NAME && !(which == OX__READY && conn->base != NULL);
    (void)reply;
    if (err != NULL && needed) {
        ox__conn_break(conn, err->code, err->text);
    } else if (--conn->greetings_left == 0) {
        go_up(conn, conn->heard_ms);
    }
}

static void greet_with(struct ox__conn *conn, enum ox__greeting which, int64_t now_ms)
{
    struct ox__request *request = &conn->greeting[which];
    request->done = on_greeted;
    request->arg = conn;
    request->source = false;
    request->timeout_ms = conn->options.connect_timeout_ms;
    if (ox__op_seal(&request->op, NULL) < 0) {
        ox__conn_break(conn, OX_ENOMEM, "out of memory");
        return;
    }
    conn->greetings_left++;
    transmit(conn, request, now_ms);
}

/* Without a key to write: tests whether commands are accepted. Else sets the score of a member
 * that is never there, if it is there: a write that changes nothing, and is refused like all
 * writes by a server that loads, is a replica or is out of memory. */
static void ask_if_ready(struct ox__conn *conn, struct ox__op *op)
{
    if (conn->base == NULL) {
        ox__op_command(op, "PING");
        return;
    }
    ox__op_command(op, "ZADD");
    ox__op_key(op, conn->base, "marker");
    ox__op_text(op, "", "XX");
    ox__op_text(op, "score", "0");
    ox__op_text(op, "member", "");
}

/* All in one round trip. A steady connection always needs the reply to one command before the
 * optional ones, so that it learns why the server refuses connections. */
static void greet(struct ox__conn *conn, int64_t now_ms)
{
    struct ox__op *login = &conn->greeting[OX__LOGIN].op;
    struct ox__op *database = &conn->greeting[OX__DATABASE].op;
    struct ox__op *name = &conn->greeting[OX__NAME].op;
    conn->greetings_left = 0;
    if (conn->url.password != NULL) {
        ox__op_command(login, "AUTH");
        if (conn->url.user != NULL) {
            ox__op_text(login, "user", conn->url.user);
        }
        ox__op_text(login, "password", conn->url.password);
        greet_with(conn, OX__LOGIN, now_ms);
    }
    if (conn->url.db != 0 || conn->base != NULL) {
        ox__op_command(database, "SELECT");
        ox__op_int(database, "db", conn->url.db);
        greet_with(conn, OX__DATABASE, now_ms);
    }
    if (conn->client_name != NULL) {
        ox__op_command(name, "CLIENT");
        ox__op_text(name, "setname", "SETNAME");
        ox__op_text(name, "name", conn->client_name);
        greet_with(conn, OX__NAME, now_ms);
    }
    ask_if_ready(conn, &conn->greeting[OX__READY].op);
    greet_with(conn, OX__READY, now_ms);
}

void ox__conn_opening(struct ox__conn *conn, int64_t now_ms)
{
    conn->state = OX__OPENING;
    conn->until_ms = now_ms + conn->options.connect_timeout_ms;
    conn->heard_ms = now_ms;
}

void ox__conn_opened(struct ox__conn *conn, int64_t now_ms)
{
    conn->state = OX__GREETING;
    conn->heard_ms = now_ms;
    conn->silent = true;
    conn->replies = ox__replies_new();
    if (conn->replies == NULL) {
        ox__conn_break(conn, OX_ENOMEM, "out of memory");
        return;
    }
    greet(conn, now_ms);
}

/* ---- reading ----------------------------------------------------------------------------- */

/* The reply belongs to another request. */
static void break_on_misfit(struct ox__conn *conn, struct ox__request *request)
{
    ox_error err;
    const char *name = request->op.script != NULL ? request->op.script->name : "a command";
    char what[128];
    snprintf(what, sizeof(what),
        "unexpected reply type to %s; the reply may belong to another command", name);
    ox__conn_break(conn, OX_EREPLY, what);
    if (!request->misfit) {
        request->misfit = true;
        ox__requests_push_front(&conn->sent, request);
        return;
    }
    ox__fail(&err, OX_EREPLY, "unexpected reply type to %s", name);
    end_request(request, NULL, &err);
}

/* The server refuses all commands at present. */
static void lose_for_now(
    struct ox__conn *conn, struct ox__request *request, const char *refusal)
{
    ox__requests_push_front(&conn->sent, request);
    if (conn->options.steady) {
        break_with(conn, OX_ELOST, "cannot use", refusal);
    } else {
        char what[96];
        snprintf(what, sizeof(what), "unavailable: %s", refusal);
        ox__conn_break(conn, OX_ECONNECT, what);
    }
}

/* It did not run. */
static void resend_with_source(
    struct ox__conn *conn, struct ox__request *request, int64_t now_ms)
{
    request->source = true;
    if (conn->leaving) {
        ox__requests_push(&conn->waiting, request);
    } else {
        transmit(conn, request, now_ms);
    }
}

/* A reply to a command of a transaction before EXEC. */
static void note_queued(
    struct ox__conn *conn, struct ox__request *request, const redisReply *reply)
{
    if (request->replies_left == request->op.commands) {
        conn->refused.code = 0;
        conn->unbegun = reply->type == REDIS_REPLY_ERROR;
    }
    if (conn->refused.code == 0) {
        ox__reply_check(reply, &conn->refused);
    }
    request->replies_left--;
    ox__requests_push_front(&conn->sent, request);
}

/* The error of EXEC is only that an earlier command was refused. If that was MULTI, the others
 * ran one by one. */
static void end_refused(struct ox__conn *conn, struct ox__request *request)
{
    ox_error err;
    ox__fail(&err, conn->refused.code, "%s; %s", conn->refused.text,
        conn->unbegun
            ? "without MULTI, which the user needs, the other commands ran one by one "
              "and may have done all of it"
            : "nothing was done");
    end_request(request, NULL, &err);
}

static void answer(
    struct ox__conn *conn, struct ox__request *request, const redisReply *reply, int64_t now_ms)
{
    ox_error err;
    bool waits = conn->options.steady || conn->state != OX__UP;
    const char *refusal = waits ? ox__reply_not_now(reply) : NULL;
    if (request->replies_left > 1) {
        note_queued(conn, request, reply);
    } else if (request->op.commands > 0 && conn->refused.code != 0 &&
               reply->type == REDIS_REPLY_ERROR) {
        end_refused(conn, request);
    } else if (request->op.script != NULL && !request->source && ox__reply_is_noscript(reply)) {
        resend_with_source(conn, request, now_ms);
    } else if (refusal != NULL) {
        lose_for_now(conn, request, refusal);
    } else if (!request->takes_errors && ox__op_check(&request->op, reply, &err) < 0) {
        end_request(request, NULL, &err);
    } else if (request->fits != NULL && !request->fits(request, reply)) {
        break_on_misfit(conn, request);
    } else {
        end_request(request, reply, NULL);
    }
}

/* What the server cannot read, such as a value that is larger than it takes, it would not read
 * the next time either, and all else would wait behind it. */
static void give_up_unreadable(struct ox__conn *conn, const ox_error *err)
{
    if (conn->state == OX__UP && conn->sent.head != NULL &&
        strstr(err->text, "Protocol error") != NULL) {
        end_request(ox__requests_pop(&conn->sent), NULL, err);
    }
}

/* A request that is not completely sent gets no reply, but the first commands of a transaction
 * do. What the server cannot read of it is no reply to any of them. */
static bool belongs_to_head(const struct ox__conn *conn, const redisReply *reply)
{
    const struct ox__request *head = conn->sent.head;
    bool whole = head != conn->unsent;
    if (head != NULL && head->replies_left > 1 && (whole || conn->written > 0)) {
        return !ox__reply_is_unreadable(reply);
    }
    return whole;
}

/* What cannot be read, in the words of who may have mixed up the ports. */
static void break_unreadable(struct ox__conn *conn, const ox_error *err, char first)
{
    if (err->code == OX_ENOMEM) {
        ox__conn_break(conn, conn->state == OX__UP ? OX_ELOST : OX_ENOMEM, err->text);
    } else if (conn->state == OX__GREETING && first == TLS_ALERT) {
        ox__conn_break(conn, OX_EREPLY, "it requires TLS (a rediss:// URL)");
    } else {
        ox__conn_break(conn, OX_EREPLY, err->text);
    }
}

void ox__conn_in(struct ox__conn *conn, const char *bytes, size_t len, int64_t now_ms)
{
    if (conn->broken || conn->stopped || len == 0) {
        return;
    }
    conn->heard_ms = now_ms;
    conn->silent = false;
    ox__replies_feed(conn->replies, bytes, len);
    while (!conn->broken && !conn->stopped) {
        const redisReply *reply;
        ox_error err;
        if (ox__replies_next(conn->replies, &reply, &err) < 0) {
            break_unreadable(conn, &err, bytes[0]);
            return;
        }
        if (reply == NULL) {
            return;
        }
        struct ox__request *request =
            belongs_to_head(conn, reply) ? ox__requests_pop(&conn->sent) : NULL;
        if (request == NULL) {
            /* Redis sends the reason before it closes. */
            bool why = ox__reply_check(reply, &err) < 0;
            ox__conn_break(
                conn, why ? OX_ELOST : OX_EREPLY, why ? err.text : "a reply without a request");
            if (why) {
                give_up_unreadable(conn, &err);
            }
        } else {
            answer(conn, request, reply, now_ms);
        }
    }
}

/* ---- life -------------------------------------------------------------------------------- */

int ox__conn_init(struct ox__conn *conn, const struct ox__conn_options *options, ox_error *err)
{
    memset(conn, 0, sizeof(*conn));
    ox__requests_init(&conn->sent);
    ox__requests_init(&conn->waiting);
    int rc = ox__url_copy(&conn->url, options->url, err);
    if (rc < 0) {
        return rc;
    }
    conn->options = *options;
    conn->options.url = &conn->url;
    conn->chance = options->chance;
    conn->base = options->base != NULL ? strdup(options->base) : NULL;
    conn->client_name = options->client_name != NULL ? strdup(options->client_name) : NULL;
    conn->options.base = conn->base;
    conn->options.client_name = conn->client_name;
    if ((options->base != NULL && conn->base == NULL) ||
        (options->client_name != NULL && conn->client_name == NULL)) {
        ox__conn_done(conn);
        return ox__fail_memory(err);
    }
    return 0;
}

void ox__conn_done(struct ox__conn *conn)
{
    for (size_t i = 0; i < OX__GREETINGS; i++) {
        ox__op_done(&conn->greeting[i].op);
    }
    ox__replies_free(conn->replies);
    ox__url_done(&conn->url);
    free(conn->client_name);
    free(conn->base);
    memset(conn, 0, sizeof(*conn));
}

bool ox__conn_is_up(const struct ox__conn *conn)
{
    return conn->state == OX__UP && !conn->broken && !conn->leaving && !conn->stopped;
}

/* The server reads our end of stream after all that we sent, so it still replies to everything
 * before that, and then closes. */
void ox__conn_leave(struct ox__conn *conn, int64_t now_ms)
{
    if (!ox__conn_is_up(conn)) {
        return;
    }
    int64_t latest = now_ms + conn->options.command_timeout_ms;
    for (struct ox__request *r = conn->sent.head; r != NULL; r = r->next) {
        r->deadline_ms = r->deadline_ms < latest ? r->deadline_ms : latest;
    }
    conn->leaving = true;
}

bool ox__conn_has_left(const struct ox__conn *conn)
{
    return conn->leaving && conn->unsent == NULL;
}

void ox__conn_stop(struct ox__conn *conn)
{
    conn->stopped = true;
    ox__fail(&conn->why, OX_ECLOSED, "the connection was closed");
}
