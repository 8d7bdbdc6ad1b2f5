/*
 * test_worker_poison.c - programs under the exec handler that do what they can against their
 * worker: each ends as the failure that it should, nothing of it is left, the next job on the
 * same slot succeeds, and the worker is no larger after many of them.
 */
#include "../support/check.h"

#include <glib.h>
#include <ox.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/files.h"
#include "../support/jobs.h"
#include "../support/process.h"
#include "../support/worker.h"
#include "worker/proc.h"

#define DEADLINE_MS 20000
#define ROUNDS 200

static struct test_process *worker; /* of the running test; a failed one leaves it */
static char *folder;
static bool small_disk; /* the root has a file system of its own, with room for 4 MB */

/* $1 is the root. The sleep of a stray has a time of its own to be known by. The bomb would
 * have thousands of processes, but not without end. */
static const char script[] =
    "#!/bin/sh\n"
    "read what\n"
    "bomb() { [ $1 -gt 10 ] || { bomb $(($1+1)) & bomb $(($1+1)) & }; sleep 61; }\n"
    "rm -f \"$1\"/*\n"
    "case $what in\n"
    "\\\"crash\\\") kill -SEGV $$;;\n"
    "\\\"fork\\\") n=0; while [ $n -lt 150 ]; do sleep 61 & n=$((n+1)); done; wait;;\n"
    "\\\"bomb\\\") bomb 0;;\n"
    "\\\"full\\\") for n in 1 2 3 4 5; do head -c 900000 /dev/zero >\"$1/$n\" || exit 1; "
    "done;;\n"
    "\\\"memory\\\") exec python3 -c 'import time; x = b\"x\" * 300000000; time.sleep(60)';;\n"
    "\\\"disk\\\") exec head -c 20000000 /dev/zero >\"$1/big\";;\n"
    "\\\"print\\\") exec head -c 1000000000 /dev/zero;;\n"
    "\\\"deaf\\\") trap '' TERM INT HUP; sleep 61; sleep 61;;\n"
    "\\\"socket\\\") exec python3 -c 'import socket; socket.socket()';;\n"
    "\\\"stray\\\") setsid sh -c 'sleep 61.25 & sleep 61.25' </dev/null >/dev/null 2>&1 &\n"
    "    echo 1;;\n"
    "*) echo 0;;\n"
    "esac\n";

static int set_up(void **state)
{
    worker = NULL;
    folder = test_dir_new();
    return test_queue_up(state);
}

static int tear_down(void **state)
{
    test_process_free(worker);
    if (small_disk) {
        g_autofree char *root = g_build_filename(folder, "root", NULL);
        assert_int_equal(umount2(root, MNT_DETACH), 0);
        small_disk = false;
    }
    test_remove(folder);
    g_free(folder);
    return test_queue_down(state);
}

static void start(const char *text, const char *options)
{
    g_autofree char *root = g_build_filename(folder, "root", NULL);
    g_autofree char *path = g_build_filename(folder, "poison", NULL);
    g_autofree char *queue = g_strdup_printf("q=exec:%s %s", path, root);
    assert_int_equal(mkdir(root, 0700), 0);
    small_disk = geteuid() == 0 && mount("none", root, "tmpfs", 0, "size=4m") == 0;
    test_write(path, text, -1);
    chmod(path, 0755);
    worker = test_worker_start(
        redis->url, options, TEST_WORDS("--concurrency=1", "--root", root, queue));
    test_worker_connects(worker);
}

static void stop(void)
{
    test_worker_stop(worker);
}

/* All places tell of a failure alike. The row of a failure of the job's own is the program's.
 */
static void expect_story(const char *id, const char *reason, const char *type)
{
    g_autofree char *traces = test_redis_text(redis, "HGET bull:q:%s stacktrace", id);
    g_autofree char *first = g_strconcat("[\"", reason, "\\n", NULL);
    if (!traces || !g_str_has_prefix(traces, first))
        test_fatal("%s: its stack trace is %s", reason, traces ? traces : "(nil)");
    g_autofree char *row = test_redis_text(redis, "LINDEX bull:q:%s:logs -1", id);
    if (g_strcmp0(type, "failed") != 0 && g_strcmp0(row, reason) != 0)
        test_fatal("%s: its last row is %s", reason, row ? row : "(nil)");
    g_autofree char *line = g_strdup_printf(" type=%s reason=\"%s\"\n", type, reason);
    test_worker_says(worker, line);
}

/* Runs a job; `reason` NULL: it completes. */
static void expect_end(
    struct test_queue *q, const char *json, const char *reason, const char *type)
{
    ox_error err = { 0 };
    char *id = NULL;
    test_ok(ox_queue_add(q->queue, "do", json, NULL, &id, &err), &err);
    test_job_ends(q->queue, id, worker);
    g_autofree char *got = test_redis_text(redis, "HGET bull:q:%s failedReason", id);
    if (g_strcmp0(got, reason) != 0)
        test_fatal("%s: '%s' instead of '%s'", json, got ? got : "(completed)",
            reason ? reason : "(completed)");
    if (reason)
        expect_story(id, reason, type);
    ox_free(id);
}

static void each_ends_as_its_own_failure(void **state)
{
    static const struct {
        const char *json, *reason, *type;
    } rows[] = {
        { "\"crash\"", "exec: poison: killed by SIGSEGV", "crashed" },
        { "\"fork\"", "process limit 60 exceeded", "processes" },
        { "\"bomb\"", "process limit 60 exceeded", "processes" },
#if !defined(__SANITIZE_ADDRESS__)
        { "\"memory\"", "memory limit 200M exceeded", "memory" },
#endif
        { "\"disk\"", "exec: poison: killed by SIGXFSZ", "crashed" },
        { "\"print\"", "bad output: more than 16 MB on stdout", "bad-output" },
        { "\"deaf\"", "handler killed: timeout after 4s", "timeout" },
        { "\"socket\"", "exec: poison: PermissionError: [Errno 1] Operation not permitted",
            "failed" },
    };
    struct test_queue *q = *state;
    start(script, "--processes 60 --memory 200M --timeout 4s --rlimit file-size=1M");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        expect_end(q, rows[i].json, rows[i].reason, rows[i].type);
        expect_end(q, "0", NULL, NULL);
    }
    stop();
}

static void a_full_disk_is_told_by_the_program(void **state)
{
    struct test_queue *q = *state;
    start(script, "--rlimit file-size=1M");
    if (!small_disk) { /* only root may mount one, and not in every container */
        stop();
        skip();
    }
    expect_end(q, "\"full\"",
        "exec: poison: head: error writing 'standard output': No space left on device",
        "failed");
    expect_end(q, "0", NULL, NULL);
    stop();
}

static void bad_lines_of_a_stream_are_a_failure(void **state)
{
    struct test_queue *q = *state;
    start("#!/bin/sh\nread -r job\ncase $job in\n*bad*) echo '{what';;\n"
          "*) id=${job#*\\\"id\\\":\\\"}; echo "
          "\"{\\\"id\\\":\\\"${id%%\\\"*}\\\",\\\"result\\\":1}\";;\n"
          "esac\nread -r rest\n",
        "--mode stream");
    expect_end(q, "\"bad\"", "bad output: not a JSON object: {what", "bad-output");
    expect_end(q, "0", NULL, NULL);
    stop();
}

static int count_descriptors(void)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd", worker->pid);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    int count = 0;
    while (g_dir_read_name(dir))
        count++;
    return count;
}

static bool has_no_stray(void *unused)
{
    (void)unused;
    g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename("/proc", name, "cmdline", NULL), *text = NULL;
        gsize length;
        if (g_file_get_contents(path, &text, &length, NULL) && length > 7 &&
            strcmp(text, "sleep") == 0 && strcmp(text + 6, "61.25") == 0)
            return false;
    }
    return true;
}

static void the_worker_stays_as_it_is(void **state)
{
    struct test_queue *q = *state;
    int descriptors = 0;
    int64_t resident G_GNUC_UNUSED = 0;
    start(script, "--timeout 20s");
    for (int i = 0; i < ROUNDS; i++) {
        expect_end(q, "\"crash\"", "exec: poison: killed by SIGSEGV", "crashed");
        expect_end(q, "\"stray\"", NULL, NULL);
        assert_true(has_no_stray(NULL));
        if (i == ROUNDS / 4) {
            descriptors = count_descriptors();
            resident = proc_resident(worker->pid);
        }
    }
    assert_int_equal(count_descriptors(), descriptors);
#if !defined(__SANITIZE_ADDRESS__) /* which keeps what is freed, to see who still uses it */
    assert_true(proc_resident(worker->pid) < resident + (2 << 20));
#endif
    stop();
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_ends_as_its_own_failure),
        TEST(a_full_disk_is_told_by_the_program),
        TEST(bad_lines_of_a_stream_are_a_failure),
        TEST(the_worker_stays_as_it_is),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
