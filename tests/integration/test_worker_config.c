/*
 * test_worker_config.c - what ox-worker says of a settings file that it only checks, and of its
 * handlers: no server, no jobs. Runs from the top folder of the source.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/files.h"
#include "../support/process.h"

/* Of the test that runs; `conf` is in the folder. */
static char *folder, *conf;

static int up(void **state)
{
    (void)state;
    folder = test_dir_new();
    conf = g_build_filename(folder, "ox.conf", NULL);
    return 0;
}

static int down(void **state)
{
    (void)state;
    test_remove(folder);
    g_free(folder);
    g_free(conf);
    return 0;
}

static void settings_are_checked_without_a_server(void **state)
{
    (void)state;
    g_autofree char *out = NULL, *err = NULL, *none = NULL, *wrong = NULL;
    test_write(conf,
        "[worker]\nredis = redis://127.0.0.1:1\n[handler q/x]\nrun = echo\n"
        "[handler q/*]\nrun = noop\n",
        -1);
    assert_int_equal(
        test_run_words(&out, &err, "ox-worker", "--check-config", "--config", conf, NULL), 0);
    assert_string_equal(out, "q/x: echo\nq/*: noop\n");
    assert_string_equal(err, "");
    test_write(conf, "[worker]\ngrace = 5\n[handler q/x]\nrun = ecko\n", -1);
    assert_int_equal(
        test_run_words(&none, &wrong, "ox-worker", "--check-config", "--config", conf, NULL),
        2);
    g_autofree char *first = g_strdup_printf("ox-worker: %s:2: grace: ", conf);
    g_autofree char *second = g_strdup_printf(
        "ox-worker: %s:4: no handler is called ecko; did you mean echo? ", conf);
    assert_string_equal(none, "");
    assert_true(g_str_has_prefix(wrong, first));
    assert_non_null(strstr(wrong, second));
    g_auto(GStrv) lines = g_strsplit(wrong, "\n", -1);
    assert_int_equal(g_strv_length(lines), 2 + 1); /* the last one is empty */
}

/* What people type who have not read the manual; %s is the file, the handlers are the real
 * ones. */
static void newcomers_are_told_what_is_right(void **state)
{
    (void)state;
    static const struct {
        const char *text, *faults;
    } rows[] = {
        { "[handler q/*]\nrun = sql\n",
            "ox-worker: %s:2: sql needs a statement: run = sql:FILE, or statement = SQL; and "
            "sql "
            "needs a database: db = postgresql://[USER@]HOST/DATABASE, db = sqlite:PATH, OX_DB "
            "or DATABASE_URL\n" },
        { "[handler q/*]\nrun = exec\n",
            "ox-worker: %s:2: exec needs a command: run = exec:PROGRAM ARG..., or command = "
            "COMMAND\n" },
        { "[handler q/*]\nrun = webhook\n",
            "ox-worker: %s:2: webhook needs a URL: run = webhook:https://HOST/PATH, or url = "
            "URL\n" },
        { "[handler q/*]\nrun = image\n",
            "ox-worker: %s:2: image needs a root: root = DIR, the only folder whose files jobs "
            "may name\n" },
        { "[handler q/*]\nrun = echo:x\n",
            "ox-worker: %s:2: echo takes no argument; write echo instead of echo:x\n" },
        { "[handler q/*]\nrun = noop:\n",
            "ox-worker: %s:2: noop takes no argument; write noop instead of noop:\n" },
        { "[handler q/*]\nrun = image:fast\nroot = /\n",
            "ox-worker: %s:2: image takes no argument; write image instead of image:fast\n" },
        { "[handler q/*]\nrun = ./send-mail --now\n",
            "ox-worker: %s:2: no handler is called ./send-mail --now; did you mean "
            "exec:./send-mail --now? there are: echo, exec, noop, enqueue, image, publish, "
            "sql, webhook\n" },
        { "[handler q/*]\nrun = exec cat\n",
            "ox-worker: %s:2: no handler is called exec cat; did you mean exec:cat? there are: "
            "echo, exec, noop, enqueue, image, publish, sql, webhook\n" },
        { "[handler q/*]\nrun = echo\nroot = /srv\n",
            "ox-worker: %s:3: root is an option of the handler exec or image, and belongs into "
            "a [handler QUEUE/NAME] or [stream STREAM] that runs it\n" },
        { "[handler q/*]\nrun = echo\njob-name = x\n",
            "ox-worker: %s:3: job-name is an option of the handler enqueue, and belongs into a "
            "[stream STREAM] that runs it\n" },
        { "[handler q/*]\nrun = sql\ndb = sqlite:/x\nstatement = \"select 1\"\n",
            "ox-worker: %s:2: sql needs a statement: run = sql:FILE, or statement = SQL\n"
            "ox-worker: %s:4: statement: values are not quoted; write statement = select 1\n" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_auto(GStrv) parts = g_strsplit(rows[i].faults, "%s", -1);
        g_autofree char *faults = g_strjoinv(conf, parts), *err = NULL;
        test_write(conf, rows[i].text, -1);
        assert_int_equal(
            test_run_words(NULL, &err, "ox-worker", "--check-config", "--config", conf, NULL),
            2);
        assert_string_equal(err, faults);
    }
    /* A command is split like a shell does it, so it may be quoted. */
    test_write(conf, "[handler q/*]\nrun = exec\ncommand = \"cat\"\n", -1);
    assert_int_equal(
        test_run_words(NULL, NULL, "ox-worker", "--check-config", "--config", conf, NULL), 0);
}

/* A flag or a variable holds for all handlers of a file, and no line of it is to blame. */
static void flags_and_variables_are_blamed_once(void **state)
{
    (void)state;
    static const char text[] = "is not one of cpu=TIME, file-size=SIZE, open-files=N\n";
    g_autofree char *flag = g_strconcat("ox-worker: --rlimit: \"x=1\" ", text, NULL);
    g_autofree char *variable = g_strconcat("ox-worker: OX_RLIMIT: \"y\" ", text, NULL);
    g_autofree char *by_flag = NULL, *by_variable = NULL;
    test_write(
        conf, "[handler a/*]\nrun = echo\n[handler b/*]\nrun = noop\nrlimit = cpu=1s\n", -1);
    assert_int_equal(test_run_words(NULL, &by_flag, "ox-worker", "--check-config", "--config",
                         conf, "--rlimit=x=1", NULL),
        2);
    assert_string_equal(by_flag, flag);
    g_setenv("OX_RLIMIT", "y", TRUE);
    int status = test_run_words(
        NULL, &by_variable, "ox-worker", "--check-config", "--config", conf, NULL);
    g_unsetenv("OX_RLIMIT");
    assert_int_equal(status, 2);
    assert_string_equal(by_variable, variable);
}

static void the_example_is_good(void **state)
{
    (void)state;
    g_autofree char *example = test_read("docs/examples/ox-worker.conf", NULL);
    assert_non_null(example);
    g_autoptr(GRegex) roots = g_regex_new("/srv/[a-z]+", 0, 0, NULL);
    g_autofree char *here = g_regex_replace_literal(roots, example, -1, 0, folder, 0, NULL);
    g_autofree char *err = NULL;
    test_write(conf, here, -1);
    int status =
        test_run_words(NULL, &err, "ox-worker", "--check-config", "--config", conf, NULL);
    if (status != 0)
        test_fatal("exit status %d: %s", status, err);
}

/* That of the manual, too. */
static void the_manuals_example_is_good(void **state)
{
    (void)state;
    g_autofree char *manual = test_read("docs/ox-worker.1", NULL);
    const char *section = strstr(manual, ".SH SETTINGS FILE");
    assert_non_null(section);
    const char *start_of = strstr(section, ".nf\n") + 4;
    g_autofree char *text = g_strndup(start_of, (gsize)(strstr(start_of, ".fi\n") - start_of));
    g_autofree char *url = g_build_filename(folder, "url", NULL);
    test_write(url, "redis://127.0.0.1:6379\n", -1);
    static const char *const names[] = { "\\-", "/srv/photos", "/etc/ox/redis-url" };
    const char *const here[] = { "-", folder, url };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_auto(GStrv) parts = g_strsplit(text, names[i], -1);
        g_free(text);
        text = g_strjoinv(here[i], parts);
    }
    g_autofree char *err = NULL;
    test_write(conf, text, -1);
    int status =
        test_run_words(NULL, &err, "ox-worker", "--check-config", "--config", conf, NULL);
    if (status != 0)
        test_fatal("exit status %d: %s", status, err);
}

static void handlers_are_listed(void **state)
{
    (void)state;
    g_autofree char *out = NULL, *err = NULL;
    assert_int_equal(test_run_words(&out, &err, "ox-worker", "--handlers", NULL), 0);
    assert_string_equal(err, "");
    assert_non_null(strstr(out, "  echo "));
    assert_non_null(strstr(out, "Options of image:\n  --root DIR"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        TEST(settings_are_checked_without_a_server),
        TEST(newcomers_are_told_what_is_right),
        TEST(flags_and_variables_are_blamed_once),
        TEST(the_example_is_good),
        TEST(the_manuals_example_is_good),
        TEST(handlers_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
