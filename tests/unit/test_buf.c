/*
 * test_buf.c - bytes that grow: contents, numbers, and failure that is remembered.
 */
#include "../support/check.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"

static void grows_and_keeps_its_bytes(void **state)
{
    (void)state;
    struct ox__buf buf = { 0 };
    g_autoptr(GString) expected = g_string_new(NULL);
    for (int i = 0; i < 5000; i++) {
        ox__buf_int(&buf, i);
        ox__buf_char(&buf, '\0');
        ox__buf_text(&buf, "ab");
        ox__buf_put(&buf, NULL, 0);
        g_string_append_printf(expected, "%d%cab", i, '\0');
    }
    assert_false(buf.failed);
    assert_int_equal(buf.len, expected->len);
    assert_memory_equal(buf.data, expected->str, buf.len);
    assert_true(buf.cap >= buf.len);
    ox__buf_done(&buf);
    assert_null(buf.data);
    ox__buf_done(&buf);
}

static void writes_numbers(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *text;
    } rows[] = { { 0, "0" }, { 7, "7" }, { -7, "-7" }, { 10, "10" },
        { INT64_MAX, "9223372036854775807" }, { INT64_MIN, "-9223372036854775808" },
        { 9007199254740993, "9007199254740993" } };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char text[22];
        text[ox__int_text(text, rows[i].value)] = '\0';
        assert_string_equal(text, rows[i].text);
    }
}

static void reset_frees_large_memory(void **state)
{
    (void)state;
    struct ox__buf buf = { 0 };
    ox__buf_text(&buf, "abc");
    const char *memory = buf.data;
    ox__buf_reset(&buf, 4096);
    assert_int_equal(buf.len, 0);
    assert_ptr_equal(buf.data, memory);
    assert_non_null(ox__buf_room(&buf, 10000));
    ox__buf_reset(&buf, 4096);
    assert_null(buf.data);
    assert_int_equal(buf.cap, 0);
    ox__buf_text(&buf, "again");
    assert_int_equal(buf.len, 5);
    ox__buf_done(&buf);
}

/* What does not fit is dropped, and so is all that follows: no message with a hole. */
static void remembers_failure(void **state)
{
    (void)state;
    struct ox__buf buf = { 0 };
    ox__buf_text(&buf, "abc");
    assert_null(ox__buf_room(&buf, OX__BUF_MAX));
    assert_true(buf.failed);
    ox__buf_text(&buf, "def");
    ox__buf_int(&buf, 1);
    assert_int_equal(buf.len, 3);
    assert_null(ox__buf_steal(&buf));
    assert_null(buf.data);
    assert_false(buf.failed);

    ox__buf_text(&buf, "abc");
    assert_null(ox__buf_room(&buf, SIZE_MAX));
    assert_true(buf.failed);
    ox__buf_reset(&buf, 4096);
    ox__buf_text(&buf, "ok");
    assert_false(buf.failed);
    assert_int_equal(buf.len, 2);
    ox__buf_done(&buf);
}

static void steals_text(void **state)
{
    (void)state;
    struct ox__buf buf = { 0 };
    char *empty = ox__buf_steal(&buf);
    assert_string_equal(empty, "");
    free(empty);
    ox__buf_text(&buf, "text");
    char *text = ox__buf_steal(&buf);
    assert_string_equal(text, "text");
    assert_int_equal(buf.len + buf.cap, 0);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_keeps_its_bytes),
        cmocka_unit_test(writes_numbers),
        cmocka_unit_test(reset_frees_large_memory),
        cmocka_unit_test(remembers_failure),
        cmocka_unit_test(steals_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
