/*
 * test_error.c - error codes, their texts, and texts that are too long.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "lib/base/error.h"

static void codes_have_texts(void **state)
{
    (void)state;
#define EXPECT(name, value, text)                                                              \
    assert_int_equal(OX_##name, value);                                                        \
    assert_string_equal(ox_strerror(OX_##name), text);
    OX_ERRORS(EXPECT)
#undef EXPECT
    assert_string_equal(ox_strerror(0), "success");
    assert_string_equal(ox_strerror(7), "success");
    assert_string_equal(ox_strerror(-5), "unknown error");
}

static void failure_has_code_and_text(void **state)
{
    (void)state;
    ox_error err = { 0 };
    assert_int_equal(ox__fail(&err, OX_EINVAL, "job %d: %s", 7, "no"), OX_EINVAL);
    assert_int_equal(err.code, OX_EINVAL);
    assert_string_equal(err.text, "job 7: no");
    assert_int_equal(ox__fail(NULL, OX_ELOST, "nobody asks"), OX_ELOST);
    assert_int_equal(ox__fail_memory(&err), OX_ENOMEM);
    assert_int_equal(err.code, OX_ENOMEM);
}

/* A reason of a job is any text of any length. */
static void truncates_between_characters(void **state)
{
    (void)state;
    static const char *const letters[] = { "x", "\xc3\xa9", "\xe2\x82\xac",
        "\xf0\x9f\x98\x80" };
    for (size_t i = 0; i < G_N_ELEMENTS(letters); i++) {
        for (size_t before = 240; before < 256; before++) {
            g_autofree char *head = g_strnfill(before, 'a');
            g_autofree char *text = g_strconcat(head, letters[i], letters[i], letters[i], NULL);
            ox_error err = { 0 };
            ox__fail(&err, OX_EFAILED, "%s", text);
            size_t len = strlen(err.text);
            assert_true(g_utf8_validate(err.text, -1, NULL));
            assert_true(g_str_has_prefix(text, err.text));
            assert_true(len == strlen(text) || len > sizeof(err.text) - 1 - 4);
        }
    }
}

static void replaces_invalid_utf8(void **state)
{
    (void)state;
    ox_error err = { 0 };
    ox__fail(&err, OX_EFAILED, "%s", "a\xff\xc3 \xc3\xa9 \xed\xa0\x80.");
    assert_string_equal(err.text, "a?? \xc3\xa9 ???.");
    /* Half a letter, as a precision leaves it. */
    ox__fail(&err, OX_EFAILED, "%.2s|", "a\xc3\xa9");
    assert_string_equal(err.text, "a?|");
}

static void truncates_invalid_utf8(void **state)
{
    (void)state;
    for (int byte = 0x80; byte < 0x100; byte++) {
        g_autofree char *text = g_strnfill(300, (char)byte);
        ox_error err = { 0 };
        ox__fail(&err, OX_EFAILED, "%s", text);
        assert_in_range(strlen(err.text), sizeof(err.text) - 6, sizeof(err.text) - 1);
        assert_true(g_utf8_validate(err.text, -1, NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_texts),
        cmocka_unit_test(failure_has_code_and_text),
        cmocka_unit_test(truncates_between_characters),
        cmocka_unit_test(replaces_invalid_utf8),
        cmocka_unit_test(truncates_invalid_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
