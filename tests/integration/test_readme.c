/*
 * test_readme.c - a newcomer installs Ox and types in the README's C program.
 *
 * The library is installed into a temporary folder, the program is cut out of README.md,
 * compiled by what pkg-config says and run against a private Redis, where its job must be.
 * Runs from the top folder of the source.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/redis.h"

/* A program that uses a library built with a sanitizer needs it as well. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZE "-fsanitize=address,undefined "
#else
#define SANITIZE ""
#endif

/* The first block of a language in a Markdown file. */
static char *block_of(const char *path, const char *language)
{
    g_autofree char *text = test_read(path, NULL);
    g_autofree char *fence = g_strdup_printf("\n```%s\n", language);
    if (!text)
        test_fatal("no %s: run this from the top folder", path);
    char *start = strstr(text, fence);
    assert_non_null(start);
    start += strlen(fence);
    char *end = strstr(start, "\n```");
    assert_non_null(end);
    return g_strndup(start, (gsize)(end + 1 - start));
}

static void run_shell(const char *script)
{
    g_autofree char *err = NULL;
    int status = test_run_words(NULL, &err, "sh", "-ec", script, NULL);
    if (status)
        test_fatal("%s: exit %d: %s", script, status, err);
}

static void the_c_program_adds_a_job(void **state)
{
    (void)state;
    g_autofree char *dir = test_dir_new();
    g_autofree char *program = block_of("README.md", "c");
    g_autofree char *source = g_build_filename(dir, "add.c", NULL);
    test_write(source, program, -1);

    /* A make of its own: that which runs the tests has left its flags behind. */
    const char *cc = g_getenv("CC");
    g_autofree char *install = g_strdup_printf(
        "unset MAKEFLAGS MFLAGS MAKELEVEL; make -s install BUILD='%s' PREFIX='%s/usr'",
        test_build_dir(), dir);
    g_autofree char *compile =
        g_strdup_printf("export PKG_CONFIG_PATH='%s/usr/lib/pkgconfig'; cd '%s'; "
                        "%s -std=c11 -Wall -Wextra -Wpedantic -Werror " SANITIZE
                        "-o add add.c $(pkg-config --cflags --libs ox)",
            dir, dir, cc && *cc ? cc : "cc");
    run_shell(install);
    run_shell(compile);

    struct test_redis *redis = test_redis_start(NULL);
    g_autofree char *run =
        g_strdup_printf("LD_LIBRARY_PATH='%s/usr/lib' REDIS_URL='%s' '%s/add'", dir,
            test_redis_url(redis), dir);
    run_shell(run);
    assert_int_equal(test_redis_int(redis, "LLEN bull:images:wait"), 1);
    g_autofree char *name = test_redis_text(redis, "HGET bull:images:1 name");
    assert_string_equal(name, "compress");
    test_redis_stop(redis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_c_program_adds_a_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
