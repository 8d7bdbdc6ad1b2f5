/*
 * test_conn.c - a connection that opens, breaks, comes back and is left: its states, its
 * deadlines, and what becomes of requests when it is lost.
 */
#include "conn_rig.h"

/* ---- the greeting ------------------------------------------------------------------------ */

static void greets_with_auth_select_and_name(void **state)
{
    (void)state;
    begin("redis://u:p@h/3", "b:q:", "me", true);
    open_it();
    expect_written(
        "*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$1\r\np\r\n"
        "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
        "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$2\r\nme\r\n"
        "*5\r\n$4\r\nZADD\r\n$10\r\nb:q:marker\r\n$2\r\nXX\r\n$1\r\n0\r\n$0\r\n\r\n");
    in("+OK\r\n+OK\r\n-ERR no such command\r\n");
    assert_int_equal(t.ups, 0);
    in("-WRONGTYPE of the marker\r\n");
    assert_int_equal(t.ups, 1);
    assert_true(ox__conn_is_up(&t.conn));
    end();
    begin("redis://h", NULL, NULL, false);
    open_it();
    expect_written("*1\r\n$4\r\nPING\r\n");
    in("+PONG\r\n");
    assert_true(ox__conn_is_up(&t.conn));
    end();
}

static void reports_why_login_was_refused(void **state)
{
    static const struct {
        bool steady;
        const char *answers;
        int code;
        const char *text;
    } rows[] = {
        { false, "-WRONGPASS bad\r\n", OX_EAUTH,
            "Redis refused the credentials: WRONGPASS bad" },
        { true, "-WRONGPASS bad\r\n", OX_EAUTH,
            "cannot connect to Redis at h:6379: Redis ref" },
        { false, "+OK\r\n-ERR DB index is out of range\r\n", OX_ESERVER, "out of range" },
        { true, "-ERR max number of clients reached\r\n", OX_ESERVER, "max number of clients" },
        { false, "+OK\r\n+OK\r\n-LOADING it\r\n", OX_ECONNECT, "it is loading its data" },
        { true, "+OK\r\n+OK\r\n-LOADING it\r\n", OX_ELOST,
            "cannot use Redis at h:6379: it is l" },
        { true, "+OK\r\n+OK\r\n-READONLY it\r\n", OX_ELOST, "read-only replica" },
        { false, "+OK\r\n+OK\r\n-NOPERM it\r\n", OX_EAUTH, "NOPERM it" },
        { false, "HTTP/1.1 400 Bad Request\r\n", OX_EREPLY, "not Redis" },
        { true, "\x15\x03\x03", OX_EREPLY, "requires TLS" },
    };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        begin("redis://:p@h/1", rows[i].steady ? "b:q:" : NULL, NULL, rows[i].steady);
        open_it();
        let_write();
        in(rows[i].answers);
        expect_broken(rows[i].code, rows[i].text);
        close_it();
        assert_int_equal(t.downs, 1);
        assert_int_equal(t.ups, 0);
        end();
    }
}

/* A server that hangs up on what it cannot read may speak TLS, which is worth a hint only where
 * it can be so: nothing was heard, over TCP, by the server's doing. */
static void suggests_tls_where_it_may_help(void **state)
{
    static const struct {
        const char *url, *heard;
        int code; /* of the loss; 0: the server hung up */
        bool hint;
    } rows[] = {
        { "redis://h", "", 0, true },
        { "redis://h", "+OK\r\n", 0, false },
        { "redis://h", "", OX_ENOMEM, false },
        { "rediss://h", "", 0, false },
        { "unix:///h", "", 0, false },
        { "redis://h", "\x15", 0, true },
    };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        begin(rows[i].url, NULL, "me", true);
        open_it();
        let_write();
        in(rows[i].heard);
        if (rows[i].code != 0)
            ox__conn_break(&t.conn, rows[i].code, "mine");
        else
            ox__conn_end(&t.conn);
        assert_true(t.conn.broken);
        if ((strstr(t.conn.why.text, "TLS") != NULL) != rows[i].hint)
            test_fatal("%zu: %s", i, t.conn.why.text);
        /* The first reason stands. */
        ox__conn_break(&t.conn, OX_ETIMEOUT, "later");
        assert_null(strstr(t.conn.why.text, "later"));
        end();
    }
    begin("redis://h", NULL, NULL, true);
    go_up();
    in("\x15");
    assert_true(t.conn.broken);
    assert_null(strstr(t.conn.why.text, "TLS"));
    close_it();
    go_up();
    ox__conn_end(&t.conn);
    assert_null(strstr(t.conn.why.text, "TLS"));
    end();
}

static void opening_and_greeting_time_out(void **state)
{
    (void)state;
    begin("redis://h", "b:", NULL, true);
    assert_true(ox__conn_wake_ms(&t.conn) <= t.now_ms);
    ox__conn_opening(&t.conn, t.now_ms);
    assert_int_equal(ox__conn_wake_ms(&t.conn), t.now_ms + CONNECT_MS);
    pass(CONNECT_MS - 1);
    assert_false(t.conn.broken);
    pass(1);
    expect_broken(OX_ECONNECT, "cannot connect to Redis at h:6379: timed out");
    assert_int_equal(ox__conn_wake_ms(&t.conn), OX__NEVER);
    close_it();
    open_it();
    let_write();
    pass(CONNECT_MS - 1);
    assert_false(t.conn.broken);
    pass(1);
    expect_broken(OX_ETIMEOUT, "timed out");
    end();
}

/* ---- losing it --------------------------------------------------------------------------- */

/* The first of three goes again with its source, behind the others, when all are lost. */
static void resends_in_the_first_order(void **state)
{
    struct ask asks[3] = { 0 };
    (void)state;
    begin("redis://h", "b:", NULL, true);
    go_up();
    for (size_t i = 0; i < G_N_ELEMENTS(asks); i++) {
        make_call(&asks[i]);
        asks[i].request.keep = true;
        ask(&asks[i]);
    }
    expect_written(EVALSHA EVALSHA EVALSHA);
    in("-NOSCRIPT No matching script\r\n");
    expect_written(EVAL);
    ox__conn_break(&t.conn, OX_ECONNECT, "Connection reset by peer");
    close_it();
    go_up();
    expect_written(EVALSHA EVALSHA EVALSHA);
    in("+a\r\n+b\r\n+c\r\n");
    expect_done(&asks[0], 1, 0, "a");
    expect_done(&asks[1], 1, 0, "b");
    expect_done(&asks[2], 1, 0, "c");
    for (size_t i = 0; i < G_N_ELEMENTS(asks); i++)
        ox__op_done(&asks[i].request.op);
    end();
}

static void resends_kept_requests_after_loss(void **state)
{
    struct ask kept = { 0 }, lost = { 0 }, late = { 0 };
    (void)state;
    begin("redis://h", "b:", NULL, true);
    go_up();
    make_call(&kept);
    make_command(&lost, "GET");
    make_command(&late, "SET");
    kept.request.keep = true;
    ask(&kept);
    ask(&lost);
    let_write();
    in("-NOSCRIPT No matching script\r\n");
    ox__conn_break(&t.conn, OX_ECONNECT, "Connection reset by peer");
    ask(&late);
    in("+nobody reads this\r\n");
    assert_int_equal(kept.answers + lost.answers + late.answers, 0);
    close_it();
    expect_done(&lost, 1, OX_ELOST, "lost the connection to Redis at h:6379: Connection reset");
    assert_int_equal(t.downs, 1);
    go_up();
    expect_written(EVALSHA "*1\r\n$3\r\nSET\r\n");
    assert_true(kept.request.resent);
    in("+k\r\n+l\r\n");
    assert_true(kept.request.resent);
    assert_false(late.request.resent);
    assert_string_equal(t.order->str, "kl");
    ox__op_done(&kept.request.op);
    ox__op_done(&lost.request.op);
    ox__op_done(&late.request.op);
    end();
}

/* What a server says that takes no writes for now concerns everybody. */
static void waits_while_writes_are_refused(void **state)
{
    struct ask one = { 0 };
    (void)state;
    begin("redis://h", "b:", NULL, true);
    go_up();
    make_command(&one, "SET");
    one.request.keep = true;
    ask(&one);
    let_write();
    in("-OOM command not allowed\r\n");
    expect_broken(OX_ELOST, "cannot use Redis at h:6379: it is out of memory");
    close_it();
    open_it();
    let_write();
    in("+OK\r\n-OOM command not allowed\r\n");
    expect_broken(OX_ELOST, "out of memory");
    close_it();
    assert_int_equal(t.downs, 1); /* the same reason is no news */
    assert_int_equal(one.answers, 0);
    go_up();
    let_write();
    in("+OK\r\n");
    expect_done(&one, 1, 0, "OK");
    /* One that waits for answers is told. */
    end();
    begin("redis://h", NULL, NULL, false);
    go_up();
    ask(&one);
    let_write();
    in("-OOM command not allowed\r\n");
    expect_done(&one, 2, OX_ESERVER, "Redis: OOM command not allowed");
    assert_false(t.conn.broken);
    ox__op_done(&one.request.op);
    end();
}

static void reconnects_with_backoff(void **state)
{
    int64_t least = 37, most = 75;
    (void)state;
    begin("redis://h", "b:", NULL, true);
    for (int i = 0; i < 12; i++) {
        ox__conn_opening(&t.conn, t.now_ms);
        ox__conn_break(&t.conn, OX_ECONNECT, i < 3 ? "Connection refused" : "no route");
        int64_t rest = close_it();
        assert_true(rest >= least && rest <= most);
        assert_int_equal(ox__conn_wake_ms(&t.conn), t.now_ms + rest);
        pass(rest);
        assert_false(t.conn.broken);
        least = MIN(least * 2, 3749);
        most = MIN(most * 2, 6250) + 1;
    }
    assert_int_equal(t.downs, 2);
    /* One that came up and went at once is no sign of health; one that lasted is. */
    go_up();
    ox__conn_end(&t.conn);
    assert_true(close_it() > 3000);
    go_up();
    t.now_ms += 10000;
    ox__conn_end(&t.conn);
    assert_true(close_it() <= 75);
    end();
}

static bool fits_text(const struct ox__request *request, const redisReply *reply)
{
    (void)request;
    return reply->type == REDIS_REPLY_STATUS;
}

static void reply_out_of_step_breaks_connection(void **state)
{
    struct ask one = { 0 }, two = { 0 };
    (void)state;
    begin("redis://h", "b:", NULL, true);
    go_up();
    make_call(&one);
    make_command(&two, "GET");
    one.request.fits = fits_text;
    one.request.keep = true;
    ask(&one);
    ask(&two);
    let_write();
    in(":1\r\n+two\r\n");
    expect_broken(OX_EREPLY,
        "unexpected reply type to a_script; the reply may belong to another command");
    close_it();
    expect_done(&two, 1, OX_ELOST, "another command");
    assert_int_equal(one.answers, 0);
    go_up();
    let_write();
    in(":1\r\n");
    expect_done(&one, 1, OX_EREPLY, "unexpected reply type to a_script");
    assert_true(t.conn.broken);
    close_it();
    ox__op_done(&one.request.op);
    ox__op_done(&two.request.op);
    end();
}

static void reports_unrequested_replies(void **state)
{
    struct ask one = { 0 };
    (void)state;
    begin("redis://h", NULL, NULL, false);
    go_up();
    in("+hello\r\n");
    expect_broken(OX_EREPLY, "a reply without a request");
    close_it();
    go_up();
    in("-ERR you are idle\r\n");
    expect_broken(OX_ELOST, "Redis: ERR you are idle");
    close_it();
    go_up();
    make_command(&one, "GET"); /* the server has a part of it */
    ask(&one);
    ox__conn_written(&t.conn, 3, t.now_ms);
    in("+early\r\n");
    expect_broken(OX_EREPLY, "a reply without a request");
    close_it();
    expect_done(&one, 1, OX_EREPLY, "without a request");
    ox__op_done(&one.request.op);
    end();
}

/* The server does nothing before it has all of a request; of one that it has, nobody knows. */
static void a_part_of_a_request_does_nothing(void **state)
{
    struct ask whole = { 0 }, part = { 0 }, none = { 0 };
    (void)state;
    begin("redis://h", NULL, NULL, false);
    go_up();
    make_command(&whole, "INCR");
    make_command(&part, "INCR");
    make_command(&none, "INCR");
    ask(&whole);
    let_write();
    ask(&part);
    ask(&none);
    ox__conn_written(&t.conn, 3, t.now_ms);
    ox__conn_end(&t.conn);
    close_it();
    expect_done(&whole, 1, OX_ELOST, "the server closed it");
    expect_done(&part, 1, OX_ECONNECT, "; nothing was done, since it had 3 of the request's ");
    expect_done(&none, 1, OX_ECONNECT, "; nothing was done, since it had 0 of the request's ");
    ox__op_done(&whole.request.op);
    ox__op_done(&part.request.op);
    ox__op_done(&none.request.op);
    end();
}

/* Sent again, it would break each connection. */
static void drops_requests_the_server_cannot_parse(void **state)
{
    struct ask one = { 0 }, two = { 0 };
    (void)state;
    begin("redis://h", "b:", NULL, true);
    go_up();
    make_call(&one);
    make_call(&two);
    one.request.keep = two.request.keep = true;
    ask(&one);
    ask(&two);
    ox__conn_written(&t.conn, 3, t.now_ms);
    in("-ERR Protocol error: invalid bulk length\r\n");
    expect_broken(OX_ELOST, "Protocol error");
    expect_done(&one, 1, OX_ESERVER, "invalid bulk length");
    close_it();
    assert_int_equal(two.answers, 0);
    go_up();
    expect_written(EVALSHA);
    in("+two\r\n");
    expect_done(&two, 1, 0, "two");
    ox__op_done(&one.request.op);
    ox__op_done(&two.request.op);
    end();
}

/* ---- leaving ----------------------------------------------------------------------------- */

static void leave_answers_requests_in_flight(void **state)
{
    struct ask first = { 0 }, second = { 0 }, third = { 0 };
    (void)state;
    begin("redis://h", "b:", NULL, true);
    go_up();
    make_command(&first, "GET");
    make_call(&second);
    make_command(&third, "SET");
    first.request.timeout_ms = COMMAND_MS * 9;
    ask(&first);
    ask(&second);
    ox__conn_leave(&t.conn, t.now_ms);
    assert_false(ox__conn_is_up(&t.conn));
    ask(&third);
    assert_false(ox__conn_has_left(&t.conn));
    let_write();
    assert_true(ox__conn_has_left(&t.conn));
    assert_int_equal(ox__conn_wake_ms(&t.conn), t.now_ms + COMMAND_MS);
    in("+f\r\n-NOSCRIPT it did not run\r\n");
    expect_written("");
    ox__conn_end(&t.conn);
    assert_int_equal(close_it(), 0);
    assert_int_equal(t.downs, 0);
    go_up();
    expect_written("*1\r\n$3\r\nSET\r\n" EVAL);
    in("+t\r\n+s\r\n");
    assert_string_equal(t.order->str, "fts");
    ox__op_done(&first.request.op);
    ox__op_done(&second.request.op);
    ox__op_done(&third.request.op);
    end();
}

static void stop_ends_all_requests(void **state)
{
    struct ask sent = { 0 }, waiting = { 0 };
    (void)state;
    begin("redis://h", "b:", NULL, true);
    go_up();
    make_command(&sent, "GET");
    make_command(&waiting, "SET");
    sent.request.keep = true;
    ask(&sent);
    let_write();
    ox__conn_stop(&t.conn);
    ask(&waiting);
    in("+late\r\n");
    pass(COMMAND_MS * 2);
    assert_int_equal(sent.answers + waiting.answers, 0);
    ox__conn_closed(&t.conn, t.now_ms);
    expect_done(&sent, 1, OX_ECLOSED, "closed");
    expect_done(&waiting, 1, OX_ECLOSED, "closed");
    assert_int_equal(t.downs, 0);
    ox__op_done(&sent.request.op);
    ox__op_done(&waiting.request.op);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greets_with_auth_select_and_name),
        cmocka_unit_test(reports_why_login_was_refused),
        cmocka_unit_test(suggests_tls_where_it_may_help),
        cmocka_unit_test(opening_and_greeting_time_out),
        cmocka_unit_test(resends_in_the_first_order),
        cmocka_unit_test(resends_kept_requests_after_loss),
        cmocka_unit_test(waits_while_writes_are_refused),
        cmocka_unit_test(reconnects_with_backoff),
        cmocka_unit_test(reply_out_of_step_breaks_connection),
        cmocka_unit_test(reports_unrequested_replies),
        cmocka_unit_test(a_part_of_a_request_does_nothing),
        cmocka_unit_test(drops_requests_the_server_cannot_parse),
        cmocka_unit_test(leave_answers_requests_in_flight),
        cmocka_unit_test(stop_ends_all_requests),
    };
    return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}
