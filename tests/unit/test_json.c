/*
 * test_json.c - the JSON checker and string writer, held against jansson where that agrees
 * with RFC 8259.
 */
#include "../support/check.h"

#include <glib.h>
#include <jansson.h>
#include <string.h>

#include "lib/base/json.h"

static bool valid(const char *text)
{
    return ox__json_valid(text, strlen(text));
}

static const char *const good[] = { "0", "-0", "12", "-1.5", "1e5", "1E+5", "1.25e-10", "true",
    "false", "null", "\"\"", "\"a\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"\\u00e9\\uD83D\\uDE00\"", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", "[]", "{}", "[ ]",
    "{ }", " [1 , 2] ", "\t{\"a\" :\r\n1}\n", "[[],{},[{}]]",
    "{\"a\":{\"b\":[1,{\"c\":null}]},\"d\":\"e\"}", "{\"\":1}", "\"\x7f\"", "\"\xef\xbf\xbf\"",
    "\"\xf4\x8f\xbf\xbf\"", "123456789012345678901", "1e400" };

static const char *const bad[] = { "", " ", "tru", "nul", "truee", "True", "NaN", "Infinity",
    "-Infinity", "undefined", "01", "-", "-a", "+1", ".5", "1.", "1.e5", "1e", "1e+", "0x10",
    "1 2", "[1 2]", "[1,]", "[,1]", "[", "]", "[1", "{", "}", "{\"a\"}", "{\"a\":}",
    "{\"a\" 1}", "{\"a\":1,}", "{,}", "{a:1}", "{'a':1}", "{1:1}", "{\"a\":1", "[}", "{]",
    "[1}", "{\"a\":1]", "\"", "\"a", "a\"", "'a'", "\"\n\"", "\"\t\"", "\"\\x\"", "\"\\\"",
    "\"\\u12\"", "\"\\u12g4\"", "\"\\u\"", "// c\n1", "/**/1", "1,", "[1]]", "{}{}",
    "\xef\xbb\xbf{}",
    /* What is no UTF-8: alone, overlong, surrogate, too high, cut off. */
    "\"\x80\"", "\"\xff\"", "\"\xc0\xaf\"", "\"\xc1\xbf\"", "\"\xe0\x80\xaf\"",
    "\"\xed\xa0\x80\"", "\"\xf0\x80\x80\xaf\"", "\"\xf4\x90\x80\x80\"",
    "\"\xf8\x88\x80\x80\x80\"", "\"\xc3\"", "\"\xe2\x82\"", "\"\xf0\x9f\x98\"", "\xc3\xa9" };

static void accepts_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
        if (!valid(good[i]))
            test_fatal("refused: %s", good[i]);
}

static void rejects_invalid_input(void **state)
{
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        if (valid(bad[i]))
            test_fatal("taken: %s", bad[i]);
}

/* Strings are read eight bytes at a time: each byte at each place of such a group. */
static void checks_each_byte_at_each_offset(void **state)
{
    (void)state;
    for (size_t place = 1; place <= 17; place++) {
        for (unsigned c = 0; c < 256; c++) {
            char text[] = "\"aaaaaaaaaaaaaaaaa\"";
            text[place] = (char)c;
            bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
            assert_int_equal(ox__json_valid(text, sizeof(text) - 1), plain);
        }
    }
}

/* The length counts, not a NUL; a NUL is no JSON. */
static void respects_length(void **state)
{
    (void)state;
    assert_true(ox__json_valid("1x", 1));
    assert_true(ox__json_valid("[1]]", 3));
    assert_false(ox__json_valid("1\0", 2));
    assert_false(ox__json_valid("\"a\0b\"", 5));
    assert_false(ox__json_valid("", 0));
    /* A value that is cut off anywhere is none, and nothing behind it is read. */
    static const char whole[] = "{\"a\":[1.5e-3,true,\"\\u00e9\xc3\xa9\",null]}";
    for (size_t len = 0; len + 1 < sizeof(whole); len++) {
        char *part = g_memdup2(whole, len + 1);
        char *exact = g_malloc(len ? len : 1);
        memcpy(exact, part, len);
        assert_false(ox__json_valid(exact, len));
        g_free(exact);
        g_free(part);
    }
    assert_true(ox__json_valid(whole, sizeof(whole) - 1));
}

static char *nested(size_t depth, const char *open, const char *middle, const char *close)
{
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < depth; i++)
        g_string_append(text, open);
    g_string_append(text, middle);
    for (size_t i = 0; i < depth; i++)
        g_string_append(text, close);
    return g_string_free(text, FALSE);
}

static void limits_nesting(void **state)
{
    (void)state;
    g_autofree char *deep = nested(OX__JSON_DEPTH, "[", "1", "]");
    g_autofree char *deeper = nested(OX__JSON_DEPTH + 1, "[", "1", "]");
    g_autofree char *objects = nested(OX__JSON_DEPTH, "{\"a\":", "1", "}");
    g_autofree char *empty = nested(OX__JSON_DEPTH - 1, "[", "[]", "]");
    g_autofree char *abyss = nested(200000, "[", "", "");
    assert_true(valid(deep));
    assert_false(valid(deeper));
    assert_true(valid(objects));
    assert_true(valid(empty));
    assert_false(valid(abyss));
}

/* Random changes of good texts: both judge alike. Jansson is stricter in three things that the
 * changes can make: numbers too large, the escape for NUL, and lone surrogates. */
static void agrees_with_jansson(void **state)
{
    (void)state;
    static const char alphabet[] = "{}[]\",:\\/ \n0123456789.eE+-truefalsn\x01\x80\xc3\xa9";
    g_autoptr(GRand) rand = g_rand_new_with_seed(20240229);
    unsigned taken = 0;
    for (int round = 0; round < 40000; round++) {
        size_t pick = (size_t)g_rand_int_range(rand, 0, G_N_ELEMENTS(good));
        g_autoptr(GString) text = g_string_new(good[pick]);
        for (int n = g_rand_int_range(rand, 1, 4); n > 0; n--) {
            gssize at = g_rand_int_range(rand, 0, (gint32)text->len + 1);
            if (g_rand_boolean(rand) && (gsize)at < text->len)
                g_string_erase(text, at, 1);
            else
                g_string_insert_c(text, at,
                    alphabet[g_rand_int_range(rand, 0, (gint32)sizeof(alphabet) - 1)]);
        }
        json_error_t err;
        json_t *value = json_loadb(text->str, text->len, JSON_DECODE_ANY, &err);
        bool stricter = json_error_code(&err) == json_error_numeric_overflow ||
                        strstr(text->str, "\\u") != NULL;
        bool ours = ox__json_valid(text->str, text->len);
        if (ours != (value != NULL) && !(ours && stricter))
            test_fatal("%s: we say %d, jansson: %s", text->str, ours, err.text);
        taken += ours;
        json_decref(value);
    }
    assert_true(taken > 1000);
}

static void expect_written(const char *text, size_t len, const char *expected)
{
    struct ox__buf out = { 0 };
    ox__json_string(&out, text, len);
    g_autofree char *found = g_strndup(out.data, out.len);
    assert_string_equal(found, expected);
    assert_true(ox__json_valid(out.data, out.len));
    ox__buf_done(&out);
}

static void writes_strings(void **state)
{
    (void)state;
    expect_written("", 0, "\"\"");
    expect_written("plain", 5, "\"plain\"");
    expect_written("a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\"");
    expect_written("\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"");
    expect_written("a\0b\x1f", 4, "\"a\\u0000b\\u001f\"");
    expect_written("\xc3\xa9\xf0\x9f\x98\x80", 6, "\"\xc3\xa9\xf0\x9f\x98\x80\"");
}

static void writes_replacement_character_for_invalid_utf8(void **state)
{
    (void)state;
    expect_written("a\xff", 2, "\"a\xef\xbf\xbd\"");
    expect_written("\xc3", 1, "\"\xef\xbf\xbd\"");
    expect_written("\x80z\xe2\x82", 4, "\"\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\"");
    expect_written("\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_json),
        cmocka_unit_test(rejects_invalid_input),
        cmocka_unit_test(checks_each_byte_at_each_offset),
        cmocka_unit_test(respects_length),
        cmocka_unit_test(limits_nesting),
        cmocka_unit_test(agrees_with_jansson),
        cmocka_unit_test(writes_strings),
        cmocka_unit_test(writes_replacement_character_for_invalid_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
