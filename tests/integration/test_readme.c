/*
 * test_readme.c - a newcomer installs Ox and types in what README.md and docs/events.md show.
 *
 * The library is installed into a temporary folder, the C program is cut out of README.md,
 * compiled by what pkg-config says and run against a private Redis, where its job must be. The
 * installed worker must find what was installed with it. The two handlers of docs/events.md are
 * cut out likewise, and get events.
 * Runs from the top folder of the source.
 */
#include "../support/check.h"

#include <glib.h>
#include <signal.h>
#include <string.h>

#include "../support/files.h"
#include "../support/install.h"
#include "../support/process.h"
#include "../support/redis.h"

static struct test_redis *redis;

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

    redis = test_redis_start(NULL);
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

/* Runs a command in a shell in `dir`, with the server of the test; what it prints is the
 * caller's. */
static char *shell(const char *dir, const char *command)
{
    char *out = NULL;
    g_autofree char *err = NULL;
    g_autofree char *line =
        g_strdup_printf("cd '%s' && export OX_REDIS_URL='%s' PATH=\"%s:$PATH\" && %s", dir,
            test_redis_url(redis), test_build_dir(), command);
    if (test_run_words(&out, &err, "sh", "-c", line, NULL))
        test_fatal("%s: %s%s", command, out, err);
    return out;
}

static bool is_stored(void *arg)
{
    g_autofree char *out = shell(arg, "ox group ls --stream clicks");
    return strstr(out, "\t0\t-\t0\t0\t0\t0\t1\t") != NULL;
}

/* Has 1,000 clicks stored by a worker as the page starts it. */
static void store_clicks(const char *dir, const char *options)
{
    g_autofree char *line = g_strdup_printf("cd '%s' && exec '%s/ox-worker' --redis '%s' %s",
        dir, test_build_dir(), test_redis_url(redis), options);
    const char *const words[] = { "sh", "-c", line, NULL };
    g_free(shell(dir, "seq 1000 | ox publish click --stream clicks --lines"));
    g_free(shell(dir, "ox group seek warehouse start --stream clicks --create"));
    struct test_process *worker = test_start(words, NULL);
    if (!test_wait_for(30000, is_stored, (void *)dir)) {
        g_autofree char *err = test_process_err(worker);
        test_fatal("ox-worker %s: %s", options, err);
    }
    test_process_signal(worker, SIGTERM);
    assert_int_equal(test_process_wait(worker, 30000), 0);
    test_process_free(worker);
    g_free(shell(dir, "ox stream rm clicks --yes"));
}

/* The block of docs/events.md that begins with `begin`, as a file in `dir`. */
static void cut_out(const char *dir, const char *name, const char *begin)
{
    g_autofree char *text = test_read("docs/events.md", NULL);
    const char *start = strstr(text, begin);
    if (start == NULL)
        test_fatal("docs/events.md has no block that begins with %s", begin);
    g_autofree char *block = g_strndup(start, strcspn(start, "`"));
    g_autofree char *path = g_build_filename(dir, name, NULL);
    test_write(path, block, -1);
}

static void the_handlers_of_the_events_page_store(void **state)
{
    (void)state;
    g_autofree char *dir = test_dir_new();
    redis = test_redis_start(NULL);
    cut_out(dir, "store", "#!/bin/sh\ncat >>clicks.jsonl");
    g_free(shell(dir, "chmod +x store"));
    store_clicks(dir, "'clicks@warehouse=exec:./store'");
    g_autofree char *lines = shell(dir, "wc -l <clicks.jsonl");
    assert_string_equal(lines, "1000\n");

    cut_out(dir, "schema.sql", "PRAGMA journal_mode");
    cut_out(dir, "store.sql", "INSERT INTO clicks");
    g_free(shell(dir, "sqlite3 clicks.db <schema.sql"));
    store_clicks(dir, "--db sqlite:clicks.db 'clicks@warehouse=sql:store.sql'");
    g_autofree char *rows =
        shell(dir, "sqlite3 clicks.db 'SELECT count(*), sum(data) FROM clicks'");
    assert_string_equal(rows, "1000|500500\n");
    test_redis_stop(redis);
    test_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_c_program_adds_a_job),
        cmocka_unit_test(the_installed_worker_finds_its_handlers),
        cmocka_unit_test(the_handlers_of_the_events_page_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
