/*
 * Lines out of a stream, however its bytes are cut.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "worker/linebuf.h"

static void take(void *arg, const char *line)
{
    g_string_append_printf(arg, "[%s]", line);
}

static void feed(struct linebuf *lines, const char *bytes, size_t count, GString *seen)
{
    while (count > 0) {
        char *at;
        size_t room = linebuf_room(lines, &at), part = MIN(room, count);
        assert_true(room > 0);
        memcpy(at, bytes, part);
        linebuf_filled(lines, part, take, seen);
        bytes += part;
        count -= part;
    }
}

static void any_cut_gives_the_same_lines(void **state)
{
    static const char text[] = "one\n\ntwo\0three\nrest";
    const size_t count = sizeof text - 1;
    (void)state;
    for (size_t cut = 0; cut <= count; cut++) {
        struct linebuf lines = { 0 };
        g_autoptr(GString) seen = g_string_new(NULL);
        feed(&lines, text, cut, seen);
        feed(&lines, text + cut, count - cut, seen);
        assert_string_equal(seen->str, "[one][][two three]");
        linebuf_end(&lines, take, seen);
        linebuf_end(&lines, take, seen);
        assert_string_equal(seen->str, "[one][][two three][rest]");
    }
}

/* All pieces but the last keep back one character, of which more might come. */
static void a_long_line_comes_in_pieces(void **state)
{
    (void)state;
    struct linebuf lines = { 0 };
    g_autofree char *text = g_strnfill(LINEBUF_BYTES + 100, 'x');
    g_autofree char *first = g_strnfill(LINEBUF_BYTES - 1, 'x');
    g_autofree char *second = g_strnfill(101, 'x');
    g_autofree char *wanted = g_strdup_printf("[%s][%s]", first, second);
    g_autoptr(GString) seen = g_string_new(NULL);
    feed(&lines, text, strlen(text), seen);
    feed(&lines, "\n", 1, seen);
    assert_string_equal(seen->str, wanted);
}

static void no_piece_ends_inside_a_character(void **state)
{
    (void)state;
    static const char *const letters[] = { "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x8e\x82" };
    for (size_t i = 0; i < G_N_ELEMENTS(letters); i++)
        for (size_t shift = 0; shift < 4; shift++) {
            struct linebuf lines = { 0 };
            g_autoptr(GString) text = g_string_new(NULL);
            g_autoptr(GString) seen = g_string_new(NULL);
            while (text->len < shift)
                g_string_append_c(text, 'x');
            while (text->len < 3 * LINEBUF_BYTES)
                g_string_append(text, letters[i]);
            feed(&lines, text->str, text->len, seen);
            linebuf_end(&lines, take, seen);
            g_auto(GStrv) pieces = g_strsplit(seen->str, "][", -1);
            g_autofree char *joined = g_strjoinv("", pieces);
            assert_true(g_strv_length(pieces) > 2);
            for (char **piece = pieces; *piece; piece++)
                assert_true(g_utf8_validate(*piece, -1, NULL));
            assert_int_equal(strlen(joined), text->len + 2);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut_gives_the_same_lines),
        cmocka_unit_test(a_long_line_comes_in_pieces),
        cmocka_unit_test(no_piece_ends_inside_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
