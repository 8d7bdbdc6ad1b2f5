/*
 * test_op.c - commands as bytes, and the rows of the scripts.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "lib/wire/op.h"
#include "lib/wire/reply.h"
#include "scripts.h"

/* All pieces of the wire as one text. */
static char *wire_text(struct ox__op *op, bool source)
{
    char head[96];
    struct ox__op_wire wire;
    GString *text = g_string_new(NULL);
    ox__op_wire(op, source, head, &wire);
    for (int i = 0; i < wire.count; i++)
        g_string_append_len(text, wire.piece[i], (gssize)wire.len[i]);
    return g_string_free(text, FALSE);
}

static const char *const one_key[] = { "wait", NULL };
static const char *const two_args[] = { "base", "n", NULL };
static const struct ox__script script = { .name = "s",
    .source = "return 1",
    .len = 8,
    .sha = "0123456789012345678901234567890123456789",
    .keys = one_key,
    .args = two_args,
    .key_count = 1,
    .arg_count = 2 };

static void encodes_command_as_array_of_bulks(void **state)
{
    (void)state;
    struct ox__op op = { 0 };
    ox__op_command(&op, "SET");
    ox__op_key(&op, "bull:q:", "id");
    ox__op_bytes(&op, "value", "a\0b", 3);
    ox__op_text(&op, "", "");
    ox__op_int(&op, "n", -12);
    assert_int_equal(ox__op_seal(&op, NULL), 0);
    char head[96];
    struct ox__op_wire wire;
    ox__op_wire(&op, false, head, &wire);
    static const char expected[] =
        "*5\r\n$3\r\nSET\r\n$9\r\nbull:q:id\r\n$3\r\na\0b\r\n$0\r\n\r\n$3\r\n-12\r\n";
    assert_int_equal(wire.count, 1);
    assert_int_equal(wire.len[0], sizeof(expected) - 1);
    assert_memory_equal(wire.piece[0], expected, wire.len[0]);
    ox__op_done(&op);
}

static void encodes_evalsha_or_eval(void **state)
{
    (void)state;
    struct ox__op op = { 0 };
    ox__op_script(&op, &script, "b:");
    ox__op_text(&op, "base", "b:");
    ox__op_int(&op, "n", 5);
    ox__op_text(&op, "more", "x");
    assert_int_equal(ox__op_seal(&op, NULL), 0);
    g_autofree char *digest = wire_text(&op, false);
    assert_string_equal(digest,
        "*7\r\n$7\r\nEVALSHA\r\n$40\r\n0123456789012345678901234567890123456789\r\n"
        "$1\r\n1\r\n$6\r\nb:wait\r\n$2\r\nb:\r\n$1\r\n5\r\n$1\r\nx\r\n");
    /* The same arguments again, when the server has forgotten it. */
    g_autofree char *whole = wire_text(&op, true);
    assert_string_equal(whole, "*7\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n"
                               "$1\r\n1\r\n$6\r\nb:wait\r\n$2\r\nb:\r\n$1\r\n5\r\n$1\r\nx\r\n");
    ox__op_done(&op);
}

static void reuses_operation(void **state)
{
    (void)state;
    struct ox__op op = { 0 };
    ox__op_command(&op, "GET");
    for (int i = 0; i < 3000; i++)
        ox__op_text(&op, "key", "k");
    assert_int_equal(ox__op_seal(&op, NULL), 0);
    g_autofree char *many = wire_text(&op, false);
    assert_true(g_str_has_prefix(many, "*3001\r\n$3\r\nGET\r\n"));
    ox__op_command(&op, "PING");
    assert_int_equal(ox__op_seal(&op, NULL), 0);
    g_autofree char *ping = wire_text(&op, false);
    assert_string_equal(ping, "*1\r\n$4\r\nPING\r\n");
    ox__op_done(&op);
}

static void seal_rejects_too_large_command(void **state)
{
    (void)state;
    struct ox__op op = { 0 };
    ox_error err = { 0 };
    ox__op_command(&op, "SET");
    op.bytes.failed = true; /* as after an argument that did not fit */
    ox__op_text(&op, "key", "k");
    assert_int_equal(ox__op_seal(&op, &err), OX_ENOMEM);
    assert_true(strlen(err.text) > 0);
    ox__op_command(&op, "PING");
    assert_int_equal(ox__op_seal(&op, &err), 0);
    ox__op_done(&op);
}

/* What C sends must be what Redis computes from the text. */
static void scripts_have_sha1(void **state)
{
    (void)state;
    size_t count = 0;
    for (const struct ox__script *const *s = ox__scripts; *s; s++, count++) {
        g_autofree char *sha = g_compute_checksum_for_data(
            G_CHECKSUM_SHA1, (const guchar *)(*s)->source, (*s)->len);
        assert_string_equal((*s)->sha, sha);
        assert_int_equal(strlen((*s)->source), (*s)->len);
        assert_null((*s)->keys[(*s)->key_count]);
        assert_null((*s)->args[(*s)->arg_count]);
    }
    assert_true(count > 20);
}

static void refusals_name_queue_and_job(void **state)
{
    (void)state;
    static const struct {
        long long number;
        int code;
    } rows[] = { { -1, OX_ENOTFOUND }, { -2, OX_ELOCK }, { -3, OX_ESTATE },
        { -4, OX_ECHILDREN }, { -5, OX_EPARENT }, { -6, OX_ELOCK }, { -7, OX_EPARENTTAKEN },
        { -8, OX_ESCHEDULED }, { -9, OX_EFAILEDCHILD }, { -10, OX_ESLOT }, { -11, OX_ESLOT },
        { -12, OX_EACTIVE }, { -99, OX_EREPLY } };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        ox_error err = { 0 };
        assert_int_equal(ox__script_refusal(rows[i].number, "q", "7", &err), rows[i].code);
        assert_int_equal(err.code, rows[i].code);
        assert_true(g_str_has_prefix(err.text, "queue q, job 7: "));
        ox__script_refusal(rows[i].number, "q", NULL, &err);
        assert_true(g_str_has_prefix(err.text, "queue q: "));
    }
}

static redisReply error_reply(const char *text)
{
    redisReply reply = { .type = REDIS_REPLY_ERROR, .str = (char *)text, .len = strlen(text) };
    return reply;
}

static void recognizes_noscript(void **state)
{
    (void)state;
    redisReply forgotten = error_reply("NOSCRIPT No matching script.");
    redisReply other = error_reply("ERR NOSCRIPT");
    redisReply fine = { .type = REDIS_REPLY_STRING, .str = (char *)"NOSCRIPT", .len = 8 };
    assert_true(ox__reply_is_noscript(&forgotten));
    assert_false(ox__reply_is_noscript(&other));
    assert_false(ox__reply_is_noscript(&fine));
}

static void recognizes_transient_errors(void **state)
{
    (void)state;
    const redisReply passing[] = { error_reply("LOADING Redis is loading the dataset"),
        error_reply("READONLY You can't write against a read only replica. script: x"),
        error_reply("ERR Error running script (call to f_1): @user_script:3: @user_script: 3: "
                    "-OOM command not allowed"),
        error_reply("BUSY Redis is busy running a script.") };
    const redisReply staying[] = { error_reply("ERR LOADING is no command"),
        error_reply("BUSYGROUP Consumer Group name already exists"),
        error_reply("WRONGTYPE Operation against a key"), error_reply(""),
        { .type = REDIS_REPLY_STRING, .str = (char *)"LOADING x", .len = 9 } };
    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
        assert_non_null(ox__reply_not_now(&passing[i]));
    }
    for (size_t i = 0; i < sizeof(staying) / sizeof(staying[0]); i++) {
        assert_null(ox__reply_not_now(&staying[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_command_as_array_of_bulks),
        cmocka_unit_test(encodes_evalsha_or_eval),
        cmocka_unit_test(reuses_operation),
        cmocka_unit_test(seal_rejects_too_large_command),
        cmocka_unit_test(scripts_have_sha1),
        cmocka_unit_test(refusals_name_queue_and_job),
        cmocka_unit_test(recognizes_noscript),
        cmocka_unit_test(recognizes_transient_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
