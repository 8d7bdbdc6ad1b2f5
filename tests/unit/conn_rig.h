/*
 * conn_rig.h - one connection, driven with bytes and a clock: no server, no socket. What was
 * asked of it keeps what became of it.
 */
#ifndef TEST_CONN_RIG_H
#define TEST_CONN_RIG_H

#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "lib/wire/conn.h"

#define CONNECT_MS 100
#define COMMAND_MS 1000

struct ask {
    struct ox__request request;
    int answers; /* how often it was done */
    int code;    /* of the last; 0 for a reply */
    char text[252];
    char reply[64];
};

static struct {
    struct ox__conn conn;
    int64_t now_ms;
    int ups, downs;
    ox_error down;
    GString *order; /* names of the requests, as they were done */
} t;

static const struct ox__script script = { .name = "a_script",
    .source = "return 1",
    .len = 8,
    .sha = "0123456789012345678901234567890123456789" };

/* ---- driving ----------------------------------------------------------------------------- */

static inline void on_up(void *arg)
{
    (void)arg;
    t.ups++;
}

static inline void on_down(void *arg, const ox_error *err)
{
    (void)arg;
    t.downs++;
    t.down = *err;
}

static inline void on_done(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct ask *ask = request->arg;
    ask->answers++;
    ask->code = err ? err->code : 0;
    g_strlcpy(ask->text, err ? err->text : "", sizeof(ask->text));
    g_strlcpy(ask->reply, reply && reply->str ? reply->str : "", sizeof(ask->reply));
    g_string_append(t.order, ask->reply);
}

static inline void begin(const char *url_text, const char *base, const char *name, bool steady)
{
    struct ox__url url;
    memset(&t, 0, sizeof(t));
    t.now_ms = 1000000;
    t.order = g_string_new(NULL);
    assert_int_equal(ox__url_parse(&url, url_text, NULL), 0);
    const struct ox__conn_options options = { .url = &url,
        .connect_timeout_ms = CONNECT_MS,
        .command_timeout_ms = COMMAND_MS,
        .client_name = name,
        .base = base,
        .steady = steady,
        .chance = 7,
        .up = on_up,
        .down = on_down };
    assert_int_equal(ox__conn_init(&t.conn, &options, NULL), 0);
    ox__url_done(&url);
}

static inline void end(void)
{
    ox__conn_done(&t.conn);
    g_string_free(t.order, TRUE);
}

static inline void ask(struct ask *ask)
{
    ask->request.done = on_done;
    ask->request.arg = ask;
    ox__conn_send(&t.conn, &ask->request, t.now_ms);
}

static inline void make_command(struct ask *ask, const char *name)
{
    ox__op_command(&ask->request.op, name);
    assert_int_equal(ox__op_seal(&ask->request.op, NULL), 0);
}

static inline void make_call(struct ask *ask)
{
    ox__op_script(&ask->request.op, &script, "b:");
    assert_int_equal(ox__op_seal(&ask->request.op, NULL), 0);
}

/* All that it wants to write, a piece of at most `step` bytes at a time. */
static inline char *written_by(size_t step)
{
    struct iovec pieces[4];
    GString *all = g_string_new(NULL);
    while (ox__conn_out(&t.conn, pieces, G_N_ELEMENTS(pieces)) > 0) {
        size_t n = MIN(step, pieces[0].iov_len);
        g_string_append_len(all, pieces[0].iov_base, (gssize)n);
        ox__conn_written(&t.conn, n, t.now_ms);
    }
    return g_string_free(all, FALSE);
}

static inline void expect_written(const char *expected)
{
    g_autofree char *text = written_by(SIZE_MAX);
    assert_string_equal(text, expected);
}

static inline void let_write(void)
{
    g_free(written_by(SIZE_MAX));
}

static inline void in(const char *bytes)
{
    ox__conn_in(&t.conn, bytes, strlen(bytes), t.now_ms);
}

static inline void pass(int64_t ms)
{
    t.now_ms += ms;
    ox__conn_tick(&t.conn, t.now_ms);
}

/* What a driver does with one that is broken. Returns for how long it rests. */
static inline int64_t close_it(void)
{
    assert_true(t.conn.broken);
    ox__conn_closed(&t.conn, t.now_ms);
    assert_int_equal(t.conn.state, OX__RESTING);
    return ox__conn_wake_ms(&t.conn) - t.now_ms;
}

static inline void open_it(void)
{
    ox__conn_opening(&t.conn, t.now_ms);
    ox__conn_opened(&t.conn, t.now_ms);
}

static inline void go_up(void)
{
    open_it();
    let_write();
    while (t.conn.state == OX__GREETING && !t.conn.broken)
        in("+OK\r\n");
    assert_true(ox__conn_is_up(&t.conn));
}

static inline void expect_done(const struct ask *ask, int answers, int code, const char *text)
{
    assert_int_equal(ask->answers, answers);
    assert_int_equal(ask->code, code);
    if (!strstr(code ? ask->text : ask->reply, text))
        test_fatal("\"%s\" in place of \"%s\"", code ? ask->text : ask->reply, text);
}

static inline void expect_broken(int code, const char *text)
{
    assert_true(t.conn.broken);
    assert_int_equal(t.conn.why.code, code);
    if (!strstr(t.conn.why.text, text))
        test_fatal("\"%s\" in place of \"%s\"", t.conn.why.text, text);
}

/* How a call of the script is written: by its SHA-1, and with its source. */
#define EVALSHA                                                                                \
    "*3\r\n$7\r\nEVALSHA\r\n$40\r\n0123456789012345678901234567890123456789\r\n$1\r\n0\r\n"
#define EVAL "*3\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n0\r\n"

#endif /* TEST_CONN_RIG_H */
