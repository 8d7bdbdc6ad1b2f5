/*
 * test_conn_requests.c - requests on a connection that is up: replies as they come in, calls of
 * scripts, transactions, and how long an answer may take.
 */
#include "conn_rig.h"

static void decodes_replies_byte_by_byte(void **state)
{
    static const char bytes[] = "$1\r\na\r\n$2\r\nbc\r\n-ERR no\r\n-ERR mine\r\n";
    struct ask asks[4] = { 0 };
    (void)state;
    begin("redis://h", NULL, NULL, false);
    go_up();
    for (size_t i = 0; i < 4; i++) {
        make_command(&asks[i], "GET");
        asks[i].request.takes_errors = i == 3;
        ask(&asks[i]);
    }
    g_autofree char *text = written_by(1);
    assert_string_equal(text, "*1\r\n$3\r\nGET\r\n*1\r\n$3\r\nGET\r\n*1\r\n$3\r\nGET\r\n"
                              "*1\r\n$3\r\nGET\r\n");
    for (size_t i = 0; bytes[i]; i++)
        ox__conn_in(&t.conn, bytes + i, 1, t.now_ms);
    expect_done(&asks[0], 1, 0, "a");
    expect_done(&asks[1], 1, 0, "bc");
    expect_done(&asks[2], 1, OX_ESERVER, "Redis: ERR no");
    expect_done(&asks[3], 1, 0, "ERR mine");
    assert_false(t.conn.broken);
    for (size_t i = 0; i < 4; i++)
        ox__op_done(&asks[i].request.op);
    end();
}

static void requests_wait_for_a_connection(void **state)
{
    struct ask one = { 0 };
    (void)state;
    begin("redis://h", "b:", NULL, true);
    make_command(&one, "GET");
    ask(&one);
    open_it();
    let_write();
    in("+OK\r\n");
    assert_int_equal(t.ups, 0);
    in(":0\r\n");
    expect_written("*1\r\n$3\r\nGET\r\n");
    in("+v\r\n");
    expect_done(&one, 1, 0, "v");
    ox__op_done(&one.request.op);
    end();
}

static void noscript_sends_source(void **state)
{
    struct ask asks[3] = { 0 };
    (void)state;
    begin("redis://h", NULL, NULL, false);
    go_up();
    for (size_t i = 0; i < 3; i++) {
        make_call(&asks[i]);
        ask(&asks[i]);
    }
    g_autofree char *first = written_by(7);
    assert_string_equal(first, EVALSHA EVALSHA EVALSHA);
    in("-NOSCRIPT No matching script\r\n-NOSCRIPT No matching script\r\n+3");
    g_autofree char *second = written_by(5);
    assert_string_equal(second, EVAL EVAL);
    in("\r\n+1\r\n-NOSCRIPT for ever\r\n");
    assert_string_equal(t.order->str, "31");
    expect_done(&asks[1], 1, OX_ESERVER, "NOSCRIPT");
    ask(&asks[0]); /* once more: by its SHA-1 again */
    expect_written(EVALSHA);
    for (size_t i = 0; i < 3; i++)
        ox__op_done(&asks[i].request.op);
    end();
}

/* MULTI, a call with its source, one without, EXEC. */
static void make_transaction(struct ask *asked)
{
    struct ask one = { 0 };
    ox_error err;
    make_command(asked, "GET"); /* who is called */
    ox__op_transaction(&asked->request.op);
    make_call(&one);
    assert_int_equal(ox__op_add(&asked->request.op, &one.request.op, true, &err), 0);
    assert_int_equal(ox__op_add(&asked->request.op, &one.request.op, false, &err), 0);
    ox__op_exec(&asked->request.op);
    assert_int_equal(ox__op_seal(&asked->request.op, &err), 0);
    ox__op_done(&one.request.op);
}

static void transaction_has_one_reply(void **state)
{
    struct ask all = { 0 }, behind = { 0 };
    (void)state;
    begin("redis://h", NULL, NULL, false);
    go_up();
    make_transaction(&all);
    make_command(&behind, "GET");
    ask(&all);
    ask(&behind);
    expect_written("*1\r\n$5\r\nMULTI\r\n" EVAL EVALSHA "*1\r\n$4\r\nEXEC\r\n"
                   "*1\r\n$3\r\nGET\r\n");
    in("+OK\r\n+QUEUED\r\n+QUEUED\r\n");
    assert_int_equal(all.answers, 0);
    in("+done\r\n+v\r\n");
    expect_done(&all, 1, 0, "done");
    expect_done(&behind, 1, 0, "v");

    /* What was refused first is the reason, not that EXEC was. */
    ask(&all);
    ask(&behind);
    let_write();
    in("+OK\r\n-OOM no room\r\n-ERR other\r\n-EXECABORT because of previous errors\r\n+w\r\n");
    expect_done(&all, 2, OX_ESERVER, "OOM no room; nothing was done");
    expect_done(&behind, 2, 0, "w");

    /* Lost half way: the whole is. */
    ask(&all);
    let_write();
    in("+OK\r\n+QUEUED\r\n");
    ox__conn_end(&t.conn);
    close_it();
    expect_done(&all, 3, OX_ELOST, "the server closed it");
    ox__op_done(&all.request.op);
    ox__op_done(&behind.request.op);
    end();
}

/* Then the commands behind MULTI were no transaction. */
static void refused_multi_leaves_in_doubt_what_was_done(void **state)
{
    struct ask all = { 0 };
    (void)state;
    begin("redis://h", NULL, NULL, false);
    go_up();
    make_transaction(&all);
    ask(&all);
    let_write();
    in("-NOPERM no 'multi'\r\n+1\r\n+2\r\n-ERR EXEC without MULTI\r\n");
    expect_done(&all, 1, OX_EAUTH, "may have done all of it");
    ask(&all);
    let_write();
    in("+OK\r\n-OOM no room\r\n+QUEUED\r\n-EXECABORT because of previous errors\r\n");
    expect_done(&all, 2, OX_ESERVER, "OOM no room; nothing was done");
    ox__op_done(&all.request.op);
    end();
}

/* The server reads on, and may answer MULTI before all behind it is written. */
static void transaction_may_be_answered_while_it_is_written(void **state)
{
    struct ask all = { 0 };
    struct iovec pieces[4];
    (void)state;
    begin("redis://h", NULL, NULL, false);
    go_up();
    make_transaction(&all);
    ask(&all);
    assert_true(ox__conn_out(&t.conn, pieces, G_N_ELEMENTS(pieces)) > 0);
    ox__conn_written(&t.conn, 20, t.now_ms);
    in("+OK\r\n");
    assert_false(t.conn.broken);
    let_write();
    in("+QUEUED\r\n+QUEUED\r\n+done\r\n");
    expect_done(&all, 1, 0, "done");

    /* What it cannot read is told by its own words. */
    ask(&all);
    ox__conn_written(&t.conn, 20, t.now_ms);
    in("+OK\r\n-ERR Protocol error: invalid bulk length\r\n");
    assert_true(t.conn.broken);
    close_it();
    expect_done(&all, 2, OX_ESERVER, "Protocol error: invalid bulk length");

    /* Also when all was written meanwhile. */
    go_up();
    ask(&all);
    let_write();
    in("+OK\r\n-ERR Protocol error: invalid bulk length\r\n");
    assert_true(t.conn.broken);
    close_it();
    expect_done(&all, 3, OX_ESERVER, "longer than the server's proto-max-bulk-len");
    ox__op_done(&all.request.op);
    end();
}

static void deadline_counts_silence_only(void **state)
{
    struct ask one = { 0 }, two = { 0 };
    (void)state;
    begin("redis://h", NULL, NULL, false);
    go_up();
    assert_int_equal(ox__conn_wake_ms(&t.conn), OX__NEVER);
    make_command(&one, "GET");
    make_command(&two, "GET");
    two.request.timeout_ms = COMMAND_MS * 3;
    ask(&one);
    ask(&two);
    let_write();
    assert_int_equal(ox__conn_wake_ms(&t.conn), t.now_ms + COMMAND_MS);
    pass(COMMAND_MS - 1);
    in("$100000\r\nbegun"); /* and goes on coming */
    pass(COMMAND_MS - 1);
    assert_false(t.conn.broken);
    pass(1);
    expect_broken(OX_ETIMEOUT, "lost the connection to Redis at h:6379: timed out");
    assert_int_equal(one.answers, 0);
    close_it();
    expect_done(&one, 1, OX_ETIMEOUT, "timed out");
    expect_done(&two, 1, OX_ETIMEOUT, "timed out");
    go_up();
    ask(&two);
    let_write();
    pass(COMMAND_MS * 3 - 1);
    assert_false(t.conn.broken);
    pass(1);
    assert_true(t.conn.broken);
    close_it();
    ox__op_done(&one.request.op);
    ox__op_done(&two.request.op);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_replies_byte_by_byte),
        cmocka_unit_test(requests_wait_for_a_connection),
        cmocka_unit_test(noscript_sends_source),
        cmocka_unit_test(transaction_has_one_reply),
        cmocka_unit_test(refused_multi_leaves_in_doubt_what_was_done),
        cmocka_unit_test(transaction_may_be_answered_while_it_is_written),
        cmocka_unit_test(deadline_counts_silence_only),
    };
    return cmocka_run_group_tests_name("conn_requests", tests, NULL, NULL);
}
