/*
 * test_reply.c - answers read into memory that is used again: they equal what hiredis makes of
 * them, however the bytes come, and are good until the next.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "lib/wire/reply.h"

static void same(const redisReply *a, const redisReply *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->integer, b->integer);
    assert_int_equal(a->len, b->len);
    assert_int_equal(a->elements, b->elements);
    assert_true((a->str == NULL) == (b->str == NULL));
    if (a->str)
        assert_memory_equal(a->str, b->str, a->len + 1);
    for (size_t i = 0; i < a->elements; i++) {
        same(a->element[i], b->element[i]);
    }
}

static void expect_same(struct ox__replies *replies, const char *bytes, size_t len, size_t step)
{
    redisReader *reader = redisReaderCreate();
    redisReaderFeed(reader, bytes, len);
    for (size_t at = 0; at < len; at += step) {
        const redisReply *reply;
        ox__replies_feed(replies, bytes + at, MIN(step, len - at));
        for (;;) {
            void *other = NULL;
            assert_int_equal(ox__replies_next(replies, &reply, NULL), 0);
            if (!reply)
                break;
            assert_int_equal(redisReaderGetReply(reader, &other), REDIS_OK);
            assert_non_null(other);
            same(reply, other);
            freeReplyObject(other);
        }
    }
    void *rest = NULL;
    assert_int_equal(redisReaderGetReply(reader, &rest), REDIS_OK);
    assert_null(rest);
    redisReaderFree(reader);
}

#define ALL                                                                                    \
    "+OK\r\n-ERR no\r\n:-17\r\n$-1\r\n*-1\r\n$0\r\n\r\n*0\r\n$3\r\na\0b\r\n"                   \
    "*5\r\n:1\r\n*2\r\n$1\r\nx\r\n*1\r\n+y\r\n$-1\r\n-no\r\n$2\r\nzz\r\n:3\r\n"

static void reads_what_hiredis_reads(void **state)
{
    static const char bytes[] = ALL ALL ALL;
    (void)state;
    for (size_t step = 1; step < sizeof(bytes); step++) {
        struct ox__replies *replies = ox__replies_new();
        expect_same(replies, bytes, sizeof(bytes) - 1, step);
        ox__replies_free(replies);
    }
}

/* Large and small ones in turn, by pieces that end anywhere. */
static void reads_replies_of_all_sizes(void **state)
{
    static const size_t sizes[] = { 1, 100, 5000, 70000, 3, 1000000, 10, 300000, 2, 100 };
    (void)state;
    struct ox__replies *replies = ox__replies_new();
    g_autoptr(GString) bytes = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        size_t half = sizes[i] / 2 + 1;
        g_string_append_printf(bytes, "*%zu\r\n", half);
        for (size_t j = 0; j < half; j++) {
            g_string_append_printf(bytes, ":%zu\r\n", j);
        }
        g_string_append_printf(bytes, "$%zu\r\n", sizes[i]);
        for (size_t j = 0; j < sizes[i]; j++) {
            g_string_append_c(bytes, (char)('a' + j % 26));
        }
        g_string_append(bytes, "\r\n");
    }
    expect_same(replies, bytes->str, bytes->len, 64 * 1024 - 1);
    expect_same(replies, bytes->str, bytes->len, bytes->len);
    ox__replies_free(replies);
}

static void drops_unfinished_reply(void **state)
{
    const redisReply *reply;
    (void)state;
    struct ox__replies *replies = ox__replies_new();
    ox__replies_feed(replies, "*3\r\n$1\r\na\r\n", 11);
    assert_int_equal(ox__replies_next(replies, &reply, NULL), 0);
    assert_null(reply);
    ox__replies_free(replies);
    ox__replies_free(NULL);
}

static void protocol_error_is_permanent(void **state)
{
    static const char *const bad[] = { "what\r\n", "*3\r\n:1\r\n?\r\n", "$x\r\n",
        "*1048577\r\n", "*2147483647\r\n", "*1\r\n*99999999\r\n",
        /* The types of RESP3, alone and inside others. */
        ",1.5\r\n", "#t\r\n", "_\r\n", "(12345678901234567890\r\n", "=7\r\ntxt:abc\r\n",
        "%1\r\n:1\r\n:2\r\n", "~1\r\n:1\r\n", ">2\r\n+message\r\n+x\r\n", "|1\r\n:1\r\n:2\r\n",
        "*2\r\n:1\r\n,inf\r\n", "*1\r\n#f\r\n", "*1\r\n_\r\n", "*1\r\n%1\r\n+a\r\n,0\r\n" };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        const redisReply *reply;
        struct ox__replies *replies = ox__replies_new();
        ox__replies_feed(replies, bad[i], strlen(bad[i]));
        assert_int_equal(ox__replies_next(replies, &reply, NULL), OX_EREPLY);
        assert_null(reply);
        ox__replies_feed(replies, "+OK\r\n", 5);
        assert_int_equal(ox__replies_next(replies, &reply, NULL), OX_EREPLY);
        assert_null(reply);
        ox__replies_free(replies);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_hiredis_reads),
        cmocka_unit_test(reads_replies_of_all_sizes),
        cmocka_unit_test(drops_unfinished_reply),
        cmocka_unit_test(protocol_error_is_permanent),
    };
    return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
