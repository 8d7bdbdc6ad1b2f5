/*
 * test_examples.c - the examples of docs/examples, as a reader of docs/libox.md would take
 * them: compiled against the installed library by what pkg-config says, and run together on a
 * private Redis. Runs from the top folder of the source.
 */
#include "../support/check.h"

#include <glib.h>
#include <signal.h>
#include <string.h>

#include "../support/files.h"
#include "../support/install.h"
#include "../support/process.h"
#include "../support/redis.h"

#define DEADLINE_MS 30000
#define EXAMPLES "docs/examples/"

static struct test_redis *redis;
static char *producer, *worker, *operator, * watcher;

/* ---- the programs ------------------------------------------------------------------------ */

static int compile_all(void **state)
{
    (void)state;
    g_autofree char *dir = test_install();
    producer = test_compile(dir, EXAMPLES "producer.c", "ox");
    worker = test_compile(dir, EXAMPLES "worker.c", "ox libuv");
    operator= test_compile(dir, EXAMPLES "operator.c", "ox");
    watcher = test_compile(dir, EXAMPLES "watcher.c", "ox");
    redis = test_redis_start(NULL);
    test_use_installed(dir);
    g_setenv("REDIS_URL", test_redis_url(redis), TRUE);
    return 0;
}

static int end_all(void **state)
{
    (void)state;
    test_redis_stop(redis);
    g_free(producer);
    g_free(worker);
    g_free(operator);
    g_free(watcher);
    return 0;
}

static void expect_line(const char *output, const char *line)
{
    g_autofree char *whole = g_strdup_printf("\n%s\n", line);
    g_autofree char *text = g_strconcat("\n", output, NULL);
    if (!strstr(text, whole))
        test_fatal("no line \"%s\" in:\n%s", line, output);
}

/* Runs a program to its end; what it says is the caller's (g_free). */
static char *run(const char *program, const char *argument)
{
    char *out = NULL;
    g_autofree char *err = NULL;
    int status = test_run_words(&out, &err, program, argument, NULL);
    if (status || *err)
        test_fatal("%s: exit %d: %s", program, status, err);
    return out;
}

static bool has_completed(void *arg)
{
    return test_redis_int(redis, "ZCARD bull:mail:completed") == GPOINTER_TO_INT(arg);
}

static bool has_failed(void *arg)
{
    (void)arg;
    return test_redis_int(redis, "ZCARD bull:mail:failed") == 1;
}

/* ---- tests ------------------------------------------------------------------------------- */

static void they_work_together(void **state)
{
    (void)state;
    const char *const work[] = { worker, NULL }, *const watch[] = { watcher, "103", NULL };
    struct test_process *working = test_start(work, NULL);
    struct test_process *watching = test_start(watch, NULL);

    g_autofree char *produced = run(producer, "100");
    expect_line(produced, "reminder is job 2");
    expect_line(produced, "no address in job 3");
    expect_line(produced, "added 100 letters");
    expect_line(produced, "welcome: {\"delivered\": true}");
    assert_true(test_wait_for(DEADLINE_MS, has_completed, GINT_TO_POINTER(101)));
    assert_true(test_wait_for(DEADLINE_MS, has_failed, NULL));

    g_autofree char *seen = run(operator, NULL);
    expect_line(seen, "completed        101");
    expect_line(seen, "failed           1");
    expect_line(seen, "delayed          1");
    expect_line(seen, "job 3 failed after 2 attempts: there is no such address");
    g_autofree char *log = test_redis_text(redis, "LINDEX bull:mail:3:logs 0");
    assert_string_equal(log, "the address has no @");

    g_autofree char *mended = run(operator, "bob@example.com");
    expect_line(mended, "promoted 1");
    assert_true(test_wait_for(DEADLINE_MS, has_completed, GINT_TO_POINTER(103)));
    g_autofree char *value = test_redis_text(redis, "HGET bull:mail:3 returnvalue");
    assert_string_equal(value, "{\"delivered\": true}");

    assert_int_equal(test_process_wait(watching, DEADLINE_MS), 0);
    g_autofree char *events = test_process_out(watching);
    assert_non_null(strstr(events, " added welcome-ann name=welcome\n"));
    assert_non_null(strstr(events, " failed 3 failedReason=there is no such address prev=act"));
    assert_non_null(
        strstr(events, " completed 2 returnvalue={\"delivered\": true} prev=active\n"));

    test_process_signal(working, SIGTERM);
    assert_int_equal(test_process_wait(working, DEADLINE_MS), 0);
    g_autofree char *worked = test_process_out(working);
    expect_line(worked, "welcome welcome-ann, attempt 1");
    expect_line(worked, "welcome 3, attempt 2");
    expect_line(worked, "closed");
    assert_int_equal(test_redis_int(redis, "LLEN bull:mail:active"), 0);
    test_process_free(working);
    test_process_free(watching);
}

/* Without a server each says so in one line, and soon. */
static void they_say_what_is_wrong(void **state)
{
    (void)state;
    const char *const programs[] = { producer, worker, operator, watcher };
    g_setenv("REDIS_URL", "unix:///no/such/socket", TRUE);
    for (size_t i = 0; i < G_N_ELEMENTS(programs); i++) {
        g_autofree char *out = NULL, *err = NULL;
        g_autofree char *name = g_path_get_basename(programs[i]);
        g_autofree char *says = g_strdup_printf("%s: cannot connect to Redis at", name);
        assert_int_equal(test_run_words(&out, &err, programs[i], NULL), 1);
        assert_string_equal(out, "");
        assert_true(g_str_has_prefix(err, says));
        assert_ptr_equal(strchr(err, '\n'), err + strlen(err) - 1);
    }
    g_setenv("REDIS_URL", test_redis_url(redis), TRUE);
}

/* Each piece of C in the page stands in one of the examples, letter for letter. */
static void the_page_quotes_them(void **state)
{
    (void)state;
    static const char *const files[] = { "producer.c", "worker.c", "operator.c", "watcher.c" };
    g_autofree char *page = test_read("docs/libox.md", NULL);
    g_autoptr(GString) all = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_strconcat(EXAMPLES, files[i], NULL);
        g_autofree char *source = test_read(path, NULL);
        g_string_append(all, source);
    }
    int pieces = 0;
    for (const char *at = page; (at = strstr(at, "\n```c\n")); pieces++) {
        at += strlen("\n```c\n");
        const char *end = strstr(at, "```\n");
        assert_non_null(end);
        g_autofree char *piece = g_strndup(at, (gsize)(end - at));
        if (!strstr(all->str, piece))
            test_fatal("docs/libox.md quotes what no example has:\n%s", piece);
    }
    assert_true(pieces > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_work_together),
        cmocka_unit_test(they_say_what_is_wrong),
        cmocka_unit_test(the_page_quotes_them),
    };
    return cmocka_run_group_tests_name("examples", tests, compile_all, end_all);
}
