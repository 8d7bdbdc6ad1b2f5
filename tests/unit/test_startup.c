/*
 * What the programs do first: passwords leave the command line, a URL may stand in a file.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>
#include <sys/stat.h>

#include "../support/files.h"
#include "lib/base/startup.h"

static void assert_shown(const char *given, const char *shown)
{
    g_autofree char *word = g_strdup(given);
    size_t size = strlen(given);
    char *argv[] = { word, NULL };
    g_auto(GStrv) copy = ox__startup_take_arguments(1, argv);
    assert_string_equal(copy[0], given);
    assert_null(copy[1]);
    assert_string_equal(word, shown);
    for (size_t i = strlen(word); i < size; i++)
        assert_int_equal(word[i], '\0');
}

static void passwords_are_overwritten(void **state)
{
    (void)state;
    assert_shown("redis://:secret@host:1/2", "redis://:***@host:1/2");
    assert_shown("--redis=rediss://me:s@cr:et/@host", "--redis=rediss://me:***@host");
    assert_shown("redis://me:pw@host", "redis://me:**@host");
    assert_shown("redis://:@host", "redis://:@host");
    assert_shown("redis://me@host", "redis://me@host");
    assert_shown("redis://host:6379", "redis://host:6379");
    assert_shown("unix:///tmp/a:b@c", "unix:///tmp/a:*@c");
    assert_shown("a@b", "a@b");
    assert_shown("", "");
}

static char *folder;

static int make_folder(void **state)
{
    (void)state;
    folder = test_dir_new();
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    test_remove(folder);
    g_free(folder);
    return 0;
}

/* Writes the text to a file of that mode; returns "@FILE". */
static char *file_of(const char *text, mode_t mode)
{
    g_autofree char *path = g_build_filename(folder, "url", NULL);
    test_write(path, text, -1);
    assert_int_equal(chmod(path, mode), 0);
    return g_strconcat("@", path, NULL);
}

static void assert_url(const char *text, mode_t mode, const char *wanted, bool wanted_exposed)
{
    g_autofree char *given = file_of(text, mode), *url = NULL, *problem = NULL;
    bool exposed;
    assert_true(ox__startup_read_url(given, &url, &exposed, &problem));
    assert_string_equal(url, wanted);
    assert_null(problem);
    assert_int_equal(exposed, wanted_exposed);
}

static void assert_no_url(const char *given, const char *why)
{
    g_autofree char *url = NULL, *problem = NULL;
    bool exposed;
    assert_false(ox__startup_read_url(given, &url, &exposed, &problem));
    assert_null(url);
    if (!strstr(problem, why))
        test_fatal("%s", problem);
}

static void url_stands_in_a_file(void **state)
{
    (void)state;
    assert_url("redis://:secret@host\n", 0600, "redis://:secret@host", false);
    assert_url("  redis://host  \r\nmore\n", 0640, "redis://host", false);
    assert_url("redis://host", 0604, "redis://host", true);
}

static void text_without_at_is_the_url(void **state)
{
    (void)state;
    g_autofree char *url = NULL, *problem = NULL;
    bool exposed;
    assert_true(ox__startup_read_url("redis://host", &url, &exposed, &problem));
    assert_string_equal(url, "redis://host");
}

static void bad_files_are_named(void **state)
{
    (void)state;
    g_autofree char *empty = file_of("\nredis://host\n", 0600);
    assert_no_url(empty, "url is empty; it is a URL");
    g_autofree char *other = file_of("@elsewhere\n", 0600);
    assert_no_url(other, "url is not a URL");
    g_autofree char *text = g_strnfill(5000, 'x'), *large = file_of(text, 0600);
    assert_no_url(large, "url is not a URL");
    assert_no_url("@/nowhere", "cannot read /nowhere: No such file or directory");
    assert_no_url("@", "cannot read : No such file or directory");
    assert_no_url("@/", "cannot read /: Is a directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_are_overwritten),
        cmocka_unit_test(url_stands_in_a_file),
        cmocka_unit_test(text_without_at_is_the_url),
        cmocka_unit_test(bad_files_are_named),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
