/*
 * test_cli_jobline.c - the lines of `ox import`: what is taken, what is refused and why.
 */
#include "../support/check.h"

#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "../support/files.h"
#include "cli/jobline.h"
#include "cli/lines.h"

static void expect(const char *text, const char *name, const char *data, const char *opts)
{
    g_autofree char *line = g_strdup(text);
    g_autofree char *why = NULL;
    struct jobline parts = { 0 };
    if (!jobline_read(line, strlen(line), &parts, &why))
        test_fatal("%s was refused: %s", text, why);
    assert_string_equal(parts.name, name);
    if (g_strcmp0(parts.data, data) || g_strcmp0(parts.opts, opts))
        test_fatal("%s gave %s and %s", text, parts.data, parts.opts);
    jobline_done(&parts);
}

static void good_lines(void **state)
{
    (void)state;
    expect("{\"name\":\"a\"}", "a", NULL, NULL);
    expect("{\"name\":\"a\",\"data\":{\"x\":[1,{\"}\":\"]\"}]},\"opts\":{\"delay\":5}}", "a",
        "{\"x\":[1,{\"}\":\"]\"}]}", "{\"delay\":5}");
    expect("  { \"data\" : 0.1 , \"name\" : \"\\u00e9\\\"\" }  ", "é\"", "0.1", NULL);
    expect("{\"data\":\"a\\\\\\\"b\",\"name\":\"x\"}", "x", "\"a\\\\\\\"b\"", NULL);
    expect("{\"data\":null,\"name\":\"\"}", "", "null", NULL);
    /* Numbers are carried as text: nothing is rounded. */
    expect("{\"name\":\"n\",\"data\":123456789012345678901234567890}", "n",
        "123456789012345678901234567890", NULL);
}

static void bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        { "", "not a JSON object" },
        { "[]", "not a JSON object" },
        { "hello", "not a JSON object" },
        { "{\"name\":\"a\"", "not a JSON object" },
        { "{\"name\":\"a\"} x", "not a JSON object" },
        { "{\"name\":\"a\",}", "not a JSON object" },
        { "{\"name\" \"a\"}", "not a JSON object" },
        { "{\"name\":\"a\" \"data\":1}", "not a JSON object" },
        { "{\"name\":}", "not a JSON object" },
        { "{\"name\":\"a}", "not a JSON object" },
        { "{\"name\":\"a\\\"", "not a JSON object" },
        { "{\"name\":\"a\",\"data\":{\"x\":1}", "not a JSON object" },
        { "{\"name\":\"a\",\"data\":[\"x]}", "not a JSON object" },
        { "{\"data\":1}", "\"name\" is missing" },
        { "{}", "\"name\" is missing" },
        { "{\"name\":5}", "not a JSON string" },
        { "{\"name\":\"a\\x\"}", "not a JSON object" },
        { "{\"name\":\"a\",\"datta\":1}", "\"datta\" is not one of" },
        { "{\"name\":\"a\",\"name\":\"b\"}", "\"name\" is duplicated" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *line = g_strdup(cases[i].text);
        g_autofree char *why = NULL;
        struct jobline parts = { 0 };
        if (jobline_read(line, strlen(line), &parts, &why))
            test_fatal("%s was taken", cases[i].text);
        if (!strstr(why, cases[i].why))
            test_fatal("%s: \"%s\"", cases[i].text, why);
        jobline_done(&parts);
    }
}

static void rejects_nul_byte(void **state)
{
    (void)state;
    char line[] = "{\"name\":\"a\"}\0{}";
    g_autofree char *why = NULL;
    struct jobline parts = { 0 };
    assert_false(jobline_read(line, sizeof line - 1, &parts, &why));
    assert_non_null(why);
}

static int open_text(const char *dir, const char *text, size_t length)
{
    g_autofree char *path = g_build_filename(dir, "lines", NULL);
    test_write(path, text, (long)length);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static void lines_of_a_file(void **state)
{
    (void)state;
    g_autofree char *dir = test_dir_new();
    static const char text[] = "one\n\ntwo\r\nlast";
    int fd = open_text(dir, text, sizeof text - 1);
    struct lines lines;
    lines_init(&lines, fd);
    static const char *const expected[] = { "one", "", "two", "last" };
    char *line;
    size_t length;
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        assert_int_equal(lines_next(&lines, &line, &length), LINES_LINE);
        assert_string_equal(line, expected[i]);
        assert_int_equal(length, strlen(expected[i]));
        assert_int_equal(lines.number, i + 1);
    }
    assert_int_equal(lines_next(&lines, &line, &length), LINES_END);
    assert_int_equal(lines.bytes, sizeof text - 1);
    lines_done(&lines);
    close(fd);
}

/* Longer than what is read at once, so that a line lies across several reads. */
static void long_lines(void **state)
{
    (void)state;
    g_autofree char *dir = test_dir_new();
    g_autoptr(GString) text = g_string_new(NULL);
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 300000; j++)
            g_string_append_c(text, (char)('a' + (i + j) % 26));
        g_string_append_c(text, '\n');
    }
    int fd = open_text(dir, text->str, text->len);
    struct lines lines;
    lines_init(&lines, fd);
    char *line;
    size_t length;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(lines_next(&lines, &line, &length), LINES_LINE);
        assert_int_equal(length, 300000);
        assert_memory_equal(line, text->str + (size_t)i * 300001, length);
    }
    assert_int_equal(lines_next(&lines, &line, &length), LINES_END);
    lines_done(&lines);
    close(fd);
}

static void rejects_too_long_line(void **state)
{
    (void)state;
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    struct lines lines;
    lines_init(&lines, fd);
    char *line;
    size_t length;
    assert_int_equal(lines_next(&lines, &line, &length), LINES_TOO_LONG);
    assert_int_equal(lines.number, 0);
    lines_done(&lines);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lines),
        cmocka_unit_test(bad_lines),
        cmocka_unit_test(rejects_nul_byte),
        cmocka_unit_test(lines_of_a_file),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(rejects_too_long_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
