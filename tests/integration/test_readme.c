/*
 * test_readme.c - a newcomer installs Ox and types in the README's C program.
 *
 * The library is installed into a temporary folder, the program is cut out of README.md,
 * compiled by what pkg-config says and run against a private Redis, where its job must be. The
 * installed worker must find what was installed with it.
 * Runs from the top folder of the source.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/files.h"
#include "../support/install.h"
#include "../support/process.h"
#include "../support/redis.h"

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

static void the_c_program_adds_a_job(void **state)
{
    (void)state;
    g_autofree char *dir = test_install();
    g_autofree char *text = block_of("README.md", "c");
    g_autofree char *source = g_build_filename(dir, "add.c", NULL);
    test_write(source, text, -1);
    g_autofree char *program = test_compile(dir, source, "ox");

    struct test_redis *redis = test_redis_start(NULL);
    g_autofree char *err = NULL;
    test_use_installed(dir);
    g_setenv("REDIS_URL", test_redis_url(redis), TRUE);
    assert_int_equal(test_run_words(NULL, &err, program, NULL), 0);
    assert_string_equal(err, "");
    assert_int_equal(test_redis_int(redis, "LLEN bull:images:wait"), 1);
    g_autofree char *name = test_redis_text(redis, "HGET bull:images:1 name");
    assert_string_equal(name, "compress");
    test_redis_stop(redis);
}

/* ox-worker looks beside itself and in ../libexec, wherever all of it was put. */
static void the_installed_worker_finds_its_handlers(void **state)
{
    (void)state;
    g_autofree char *dir = test_install();
    g_autofree char *worker = g_build_filename(dir, "usr", "bin", "ox-worker", NULL);
    g_autofree char *err = NULL;
    assert_int_equal(test_run_words(NULL, &err, worker, "q=nosuch", NULL), 2);
    assert_non_null(
        strstr(err, "there are: echo, exec, noop, enqueue, image, publish, sql, webhook"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_c_program_adds_a_job),
        cmocka_unit_test(the_installed_worker_finds_its_handlers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
