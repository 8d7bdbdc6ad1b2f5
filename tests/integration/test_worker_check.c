/*
 * test_worker_check.c - a program of handlers that hangs when it is asked: ox-worker ends at
 * once when it is told to, and nothing of the program is left in any case. (How long it waits
 * for an answer is in test_worker_ask.c.)
 *
 * What hangs is a shell script and a process that has left its session. Both hold a lock; so it
 * is known when they are gone.
 */
#include "../support/check.h"

#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/rogue.h"

#define DEADLINE_MS 50000

static char *file; /* what rogue_is_gone() asks for */
static struct test_process *worker;

static bool file_is_there(void *path)
{
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* Starts ox-worker with a program that hangs when it is asked `question`, once there is a file
 * of that name beside it. */
static void start(const char *question, const char *config)
{
    g_autofree char *script = g_strconcat(file, ".sh", NULL);
    g_autofree char *real = test_program("ox-handler");
    g_autofree char *held = g_strconcat(file, ".held", NULL);
    g_autofree char *hangs = g_strconcat(file, ".hangs", NULL);
    g_autofree char *text = g_strdup_printf("#!/bin/sh\n"
                                            "case \" $* \" in *' %s '*)\n"
                                            "  [ ! -e '%s' ] || {\n"
                                            "    exec 9>'%s'; flock 9\n"
                                            "    setsid sleep 1000 &\n"
                                            "    : >'%s'\n"
                                            "    sleep 1000; exit 1; };;\n"
                                            "esac\n"
                                            "exec '%s' \"$@\"\n",
        question, hangs, held, file, real);
    test_write(script, text, -1);
    assert_int_equal(chmod(script, 0755), 0);
    const char *const argv[] = { "ox-worker", "--redis", "unix:///nowhere/socket",
        "--handler-program", script, config ? "--config" : "q=noop", config, NULL };
    worker = test_start(argv, NULL);
}

static void hang(void)
{
    g_autofree char *hangs = g_strconcat(file, ".hangs", NULL);
    test_write(hangs, "", -1);
}

static void expect_end(int status, const char *said)
{
    int got = test_process_wait(worker, DEADLINE_MS);
    g_autofree char *err = test_process_err(worker);
    if (got != status || !strstr(err, said))
        test_fatal("exit status %d instead of %d, stderr: %s", got, status, err);
}

/* One that fails without a word is told of by how it ended. */
static void a_silent_end_is_told(void **state)
{
    (void)state;
    g_autofree char *script = g_strconcat(file, ".sh", NULL);
    const char *const argv[] = { "ox-worker", "--handler-program", script, "q=noop", NULL };
    test_write(script, "#!/bin/sh\nexit 9\n", -1);
    assert_int_equal(chmod(script, 0755), 0);
    worker = test_start(argv, NULL);
    expect_end(2, ".sh does not list its handlers: it ended with status 9");
}

/* What may pass has another exit status than wrong settings, after which nobody starts it
 * again; unless they are wrong as well. */
static void a_killed_program_may_pass(void **state)
{
    (void)state;
    static const char killed[] = ": it was killed by SIGKILL, as the kernel does when memory "
                                 "runs out; try again";
    static const struct {
        const char *question, *words[3], *said;
        int status;
    } rows[] = {
        { "--list", { "q=noop" }, ".sh --list", 1 },
        { "--list", { "q=noop", "--depth", "3" }, ".sh --list", 1 }, /* an image's option */
        { "--list", { "q=noop", "a:b=noop" }, "'a:b' has a colon", 2 },
        { "--check", { "q=noop" },
            "ox-worker: q=noop: the handler noop of q/* could not be "
            "checked: ",
            1 },
        { "--check", { "s@g=noop", "p=noop" }, "s@g=noop: the handler noop of s@g could not",
            1 },
        { "--check", { "q=noop", "p=none" }, "no handler is called none", 2 },
    };
    g_autofree char *script = g_strconcat(file, ".sh", NULL);
    g_autofree char *real = test_program("ox-handler");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *
            text = g_strdup_printf(
               "#!/bin/sh\ncase \" $* \" in *' %s '*) kill -KILL $$;; esac\nexec '%s' \"$@\"\n",
               rows[i].question, real),
           *err = NULL;
        test_write(script, text, -1);
        assert_int_equal(chmod(script, 0755), 0);
        int status = test_run_words(NULL, &err, "ox-worker", "--handler-program", script,
            rows[i].words[0], rows[i].words[1], rows[i].words[2], NULL);
        if (status != rows[i].status || strstr(err, rows[i].said) == NULL ||
            strstr(err, killed) == NULL)
            test_fatal("row %zu: exit status %d, stderr: %s", i, status, err);
    }
}

static void an_empty_program_is_none(void **state)
{
    (void)state;
    g_autofree char *err = NULL;
    assert_int_equal(
        test_run_words(NULL, &err, "ox-worker", "--handler-program=", "q=noop", NULL), 2);
    assert_non_null(strstr(err, "ox-worker: --handler-program: is empty"));
}

static void a_signal_ends_the_check(void **state)
{
    (void)state;
    static const char *const questions[] = { "--check", "--list" };
    static const int numbers[] = { SIGTERM, SIGINT };
    for (size_t i = 0; i < 2; i++) {
        test_remove(file);
        hang();
        start(questions[i], NULL);
        assert_true(test_wait_for(DEADLINE_MS, file_is_there, file));
        int64_t start_ms = test_now_ms();
        test_process_signal(worker, numbers[i]);
        expect_end(128 + numbers[i], i == 0 ? "stopped by SIGTERM" : "stopped by SIGINT");
        assert_true(test_now_ms() - start_ms < 8000);
        assert_true(rogue_is_gone(file));
        test_process_free(worker);
        worker = NULL;
    }
}

static void nothing_outlives_a_killed_worker(void **state)
{
    (void)state;
    hang();
    start("--check", NULL);
    assert_true(test_wait_for(DEADLINE_MS, file_is_there, file));
    test_process_signal(worker, SIGKILL);
    assert_true(test_wait_for(DEADLINE_MS, rogue_is_gone, file));
}

/* Settings are read again by a thread, while the worker works. */
static void a_stop_does_not_wait_for_other_settings(void **state)
{
    (void)state;
    g_autofree char *config = g_strconcat(file, ".conf", NULL);
    test_write(config, "[handler q/*]\nrun = noop\n", -1);
    start("--check", config);
    assert_true(test_process_says(worker, "event=start ", DEADLINE_MS));
    hang();
    test_process_signal(worker, SIGHUP);
    assert_true(test_wait_for(DEADLINE_MS, file_is_there, file));
    int64_t start_ms = test_now_ms();
    test_process_signal(worker, SIGTERM);
    expect_end(0, "event=stopped");
    assert_true(test_now_ms() - start_ms < 8000);
    assert_true(rogue_is_gone(file));
}

static int set_up(void **state)
{
    (void)state;
    g_autofree char *folder = test_dir_new();
    file = g_build_filename(folder, "f", NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_process_free(worker);
    worker = NULL;
    g_clear_pointer(&file, g_free);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_silent_end_is_told),
        TEST(a_killed_program_may_pass),
        TEST(an_empty_program_is_none),
        TEST(a_signal_ends_the_check),
        TEST(nothing_outlives_a_killed_worker),
        TEST(a_stop_does_not_wait_for_other_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
