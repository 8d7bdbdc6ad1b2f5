/*
 * test_worker_failure.c - the words for kinds of failures, `type=` in the log: the manual page
 * and the page on handlers have those of failure.h, no others, and in that order, since they
 * speak of "from crashed to lock-lost".
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/files.h"
#include "worker/failure.h"

/* Every word of the code, a space behind each. */
static char *words_of_code(void)
{
    GString *words = g_string_new(NULL);
#define ADD_WORD(name, word, by_handler)                                                       \
    g_string_append_printf(words, "%s ", failure_word(FAILURE_##name));
    FAILURES(ADD_WORD)
#undef ADD_WORD
    return g_string_free(words, FALSE);
}

/* What lies between the two texts, the first of them being the first in `text`. */
static char *between(const char *text, const char *begin, const char *end)
{
    const char *from = strstr(text, begin);
    if (!from)
        test_fatal("no '%s'", begin);
    from += strlen(begin);
    const char *to = strstr(from, end);
    if (!to)
        test_fatal("no '%s' behind '%s'", end, begin);
    return g_strndup(from, (gsize)(to - from));
}

/* Each match's first group, a space behind each. */
static void add_matches(GString *words, const char *text, const char *pattern)
{
    g_autoptr(GRegex) regex = g_regex_new(pattern, G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    for (g_regex_match(regex, text, 0, &match); g_match_info_matches(match);
         g_match_info_next(match, NULL)) {
        g_autofree char *word = g_match_info_fetch(match, 1);
        g_string_append_printf(words, "%s ", word);
    }
}

/* Headings of the section: .B bad\-output, or .BR removed ", " moved. */
static void manual_explains_each(void **state)
{
    (void)state;
    g_autofree char *code = words_of_code(), *page = test_read("docs/ox-worker.1", NULL);
    g_autofree char *section = between(page, "\n.SH REASONS\n", "\n.SH ");
    g_auto(GStrv) lines = g_strsplit(section, "\n", -1);
    g_autoptr(GString) words = g_string_new(NULL);
    for (char **line = lines; *line; line++) {
        if (strcmp(*line, ".TP") != 0)
            continue;
        g_auto(GStrv) plain = g_strsplit(line[1] + strcspn(line[1], " "), "\\", -1);
        g_autofree char *heading = g_strjoinv("", plain);
        add_matches(words, heading, "([a-z][a-z-]*)");
    }
    assert_string_equal(words->str, code);
}

/* First cells of the table: | `memory`, `processes`, `cpu` | ... */
static void table_of_handlers_has_each(void **state)
{
    (void)state;
    g_autofree char *code = words_of_code(), *page = test_read("docs/handlers.md", NULL);
    g_autofree char *table =
        between(page, "\n| `type=` | what happened |\n|---|---|\n", "\n\n");
    g_auto(GStrv) lines = g_strsplit(table, "\n", -1);
    g_autoptr(GString) words = g_string_new(NULL);
    for (char **line = lines; *line; line++) {
        g_autofree char *cell = between(*line, "| ", " |");
        add_matches(words, cell, "`([a-z-]+)`");
    }
    assert_string_equal(words->str, code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manual_explains_each),
        cmocka_unit_test(table_of_handlers_has_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
