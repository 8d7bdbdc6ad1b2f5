/*
 * test_text.c - text that is cut between characters, and made harmless for terminals.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "lib/base/text.h"

/* Every cut of a text of all lengths of characters. */
static void truncates_between_characters(void **state)
{
    (void)state;
    static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\x82z";
    static const size_t expected[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11, 11 };
    for (size_t max = 0; max < G_N_ELEMENTS(expected); max++)
        assert_int_equal(ox__utf8_truncate(text, max), expected[max]);
}

/* What is not UTF-8 is cut all the same, and never by more than a character would be. */
static void truncates_invalid_utf8_anywhere(void **state)
{
    (void)state;
    assert_int_equal(ox__utf8_truncate("\x80\x80\x80\x80\x80\x80", 5), 5);
    assert_int_equal(ox__utf8_truncate("\x80\x80", 1), 1);
    assert_int_equal(ox__utf8_truncate("", 0), 0);
}

static void expect_clean(const char *text, const char *allowed, const char *expected)
{
    g_autofree char *clean = ox__text_clean(text, allowed);
    assert_string_equal(clean, expected);
}

static void escapes_terminal_control_characters(void **state)
{
    (void)state;
#define BAD "\xef\xbf\xbd"
    expect_clean("plain \xc3\xa9\xf0\x9f\x8e\x82", "", "plain \xc3\xa9\xf0\x9f\x8e\x82");
    expect_clean("\x1b]0;x\x07", "", "\xe2\x90\x9b]0;x\xe2\x90\x87");
    expect_clean("a\tb\nc", "\n\t", "a\tb\nc");
    expect_clean("a\tb\nc", "",
        "a\xe2\x90\x89"
        "b\xe2\x90\x8a"
        "c");
    expect_clean("\x7f|\xc2\x9b|\xc2\xad", "\n", BAD "|" BAD "|" BAD);
    /* U+202E, U+2066, U+061C, U+200B, U+2028, U+FEFF, U+E0041 */
    expect_clean("\xe2\x80\xae|\xe2\x81\xa6|\xd8\x9c|\xe2\x80\x8b|\xe2\x80\xa8|"
                 "\xef\xbb\xbf|\xf3\xa0\x81\x81",
        "", BAD "|" BAD "|" BAD "|" BAD "|" BAD "|" BAD "|" BAD);
    /* The joiners, and an Arabic number sign, which has a width. */
    expect_clean("\xe2\x80\x8c\xe2\x80\x8d\xd8\x80", "", "\xe2\x80\x8c\xe2\x80\x8d\xd8\x80");
    expect_clean("\xff\xc3", "", BAD BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncates_between_characters),
        cmocka_unit_test(truncates_invalid_utf8_anywhere),
        cmocka_unit_test(escapes_terminal_control_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
