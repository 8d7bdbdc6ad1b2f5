/*
 * test_worker_ask.c - a program that is run for what it prints: its end is told with the right
 * word, it is killed in time, and nothing that it started is left in any case.
 *
 * What hangs is a shell and a process that has left its session. Both hold a lock; so it is
 * known when they are gone.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/rogue.h"
#include "worker/ask.h"

#define DEADLINE_MS 30000
#define KILLED_MS 8000 /* for a busy machine; the keeper has three seconds */

/* As rogue_is_gone() wants it; "$0" is the file. */
#define HANG                                                                                   \
    "trap '' TERM; exec 9>\"$0.held\"; flock 9; setsid sleep 1000 & echo hangs; "              \
    ": >\"$0\"; exec >&- 2>&-; while :; do sleep 1000; done"

struct answer {
    int end;
    char *out, *err;
};

static void run(const char *script, const char *file, int64_t deadline_ms, struct answer *out)
{
    const char *const argv[] = { "sh", "-c", script, file, NULL };
    const struct ask ask = {
        .program = "/bin/sh",
        .argv = (char **)(uintptr_t)argv,
        .stdin_fd = -1,
        .deadline_ms = deadline_ms,
    };
    out->end = ask_run(&ask, &out->out, &out->err);
}

static void clear(struct answer *answer)
{
    g_clear_pointer(&answer->out, g_free);
    g_clear_pointer(&answer->err, g_free);
}

static void expect(const char *script, int end, const char *out, const char *err)
{
    struct answer got = { 0 };
    run(script, "-", DEADLINE_MS, &got);
    if (got.end != end || strcmp(got.out, out) != 0 || strcmp(got.err, err) != 0)
        test_fatal("%s: %d, \"%s\", \"%s\"", script, got.end, got.out, got.err);
    clear(&got);
}

static void an_end_is_told(void **state)
{
    (void)state;
    expect("echo out; echo err >&2", ASK_DONE, "out\n", "err\n");
    expect("cat", ASK_DONE, "", ""); /* there is nothing on its stdin */
    expect("echo why >&2; exit 3", ASK_FAILED, "", "why\n");
    expect("exit 3", ASK_FAILED, "", "it ended with status 3\n");
    expect("kill -SEGV $$", ASK_PASSING, "", "it was killed by SIGSEGV\n");
    expect("echo why >&2; kill -KILL $$", ASK_PASSING, "",
        "it was killed by SIGKILL, as the kernel does when memory runs out: why\n");
    expect("echo no process >&2; exit 75", ASK_PASSING, "", "no process\n");
}

static void what_is_no_program_is_told(void **state)
{
    (void)state;
    char *argv[] = { (char[]){ "none" }, NULL };
    const struct ask ask = {
        .program = "/nowhere/none", .argv = argv, .stdin_fd = -1, .deadline_ms = DEADLINE_MS
    };
    struct answer got = { 0 };
    assert_int_equal(ask_run(&ask, &got.out, &got.err), ASK_FAILED);
    assert_string_equal(got.err, "cannot run /nowhere/none: No such file or directory\n");
    clear(&got);
}

static void a_megabyte_is_kept(void **state)
{
    (void)state;
    struct answer got = { 0 };
    run("head -c 3000000 /dev/zero | tr '\\0' x", "-", DEADLINE_MS, &got);
    assert_int_equal(got.end, ASK_DONE);
    assert_in_range(strlen(got.out), 1 << 20, (1 << 20) + 4096);
    clear(&got);
}

static bool is_there(void *path)
{
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* Also one that has closed what it printed to, and minds no SIGTERM. The deadline grows until
 * the shell gets so far in time. */
static void who_is_late_is_killed(void **state)
{
    (void)state;
    g_autofree char *folder = test_dir_new(), *file = g_build_filename(folder, "f", NULL);
    for (int64_t deadline_ms = 250; !is_there(file); deadline_ms *= 2) {
        struct answer got = { 0 };
        int64_t start_ms = test_now_ms();
        assert_true(deadline_ms <= DEADLINE_MS);
        run(HANG, file, deadline_ms, &got);
        int64_t took_ms = test_now_ms() - start_ms;
        assert_int_equal(got.end, ASK_LATE);
        assert_in_range(took_ms, deadline_ms, deadline_ms + KILLED_MS);
        if (is_there(file))
            assert_string_equal(got.out, "hangs\n");
        clear(&got);
    }
    assert_true(rogue_is_gone(file));
}

static gpointer ask_in_thread(gpointer file)
{
    struct answer got = { 0 };
    run(HANG, file, DEADLINE_MS, &got);
    clear(&got);
    return GINT_TO_POINTER(got.end);
}

/* The last test: from then on, each is stopped. */
static void a_stop_ends_it(void **state)
{
    (void)state;
    g_autofree char *folder = test_dir_new(), *file = g_build_filename(folder, "f", NULL);
    GThread *thread = g_thread_new("ask", ask_in_thread, file);
    assert_true(test_wait_for(DEADLINE_MS, is_there, file));
    int64_t start_ms = test_now_ms();
    ask_stop();
    assert_int_equal(GPOINTER_TO_INT(g_thread_join(thread)), ASK_STOPPED);
    assert_true(rogue_is_gone(file));
    assert_int_equal(GPOINTER_TO_INT(ask_in_thread(file)), ASK_STOPPED);
    assert_true(test_now_ms() - start_ms < 2 * KILLED_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_is_told),
        cmocka_unit_test(what_is_no_program_is_told),
        cmocka_unit_test(a_megabyte_is_kept),
        cmocka_unit_test(who_is_late_is_killed),
        cmocka_unit_test(a_stop_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
