/*
 * test_worker_breaks.c - ox-worker while something breaks: a lock that is lost, a result that
 * is refused, a worker that is killed, a server that goes away. The handlers are those of
 * rogue.c, which this very program runs when ox-worker starts it as its program of handlers.
 */
#include "../support/check.h"

#include <errno.h>
#include <glib.h>
#include <ox.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "../support/daemon_bench.h"
#include "../support/files.h"
#include "../support/process.h"
#include "../support/redis.h"
#include "../support/rogue.h"
#include "../support/worker.h"
#include "worker/serve.h"

/* ---- Things that break ------------------------------------------------------------------- */

static void a_lost_lock_kills_the_child(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "pids"), *json = quoted(path);
    struct test_process *worker = start_rogue(bench, "hang", "--lock 1s --concurrency 1");
    char *id = add(bench, json, 3);
    await_file(path);
    g_free(
        test_redis_text(bench->redis, "SET bull:%s:%s:lock another PX 60000", bench->name, id));
    assert_dead(path);
    test_worker_says(worker, "event=dropped");
    test_worker_says(worker, "type=lock-lost");
    g_autofree char *row =
        test_redis_text(bench->redis, "LINDEX bull:%s:%s:logs -1", bench->name, id);
    assert_string_equal(row, "the job's lock was lost");
    assert_field(bench, id, "atm", NULL);
    assert_field(bench, id, "failedReason", NULL);
    assert_int_equal(ox_queue_job_state(bench->queue, id, NULL), OX_ACTIVE);
    ox_free(id);
    test_worker_stop(worker);
}

/* Without an attempt; but not for ever. */
static void a_job_is_left_to_a_few_new_children(void **state)
{
    struct bench *bench = *state;
    static const struct {
        const char *handler, *children, *reason;
    } rows[] = {
        { "leave:3", "xxxx", NULL },
        { "leave:99", "xxxx", "handler killed: each new child left the job to the next one" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = in_folder(bench, rows[i].handler), *json = quoted(path);
        struct test_process *worker = start_rogue(bench, rows[i].handler, "--concurrency 1");
        char *id = add(bench, json, 1);
        await_state(bench, id, rows[i].reason ? OX_FAILED : OX_COMPLETED);
        assert_field(bench, id, "failedReason", rows[i].reason);
        assert_field(bench, id, "atm", "1");
        assert_field(bench, id, "ats", "1");
        g_autofree char *children = test_read(path, NULL);
        assert_string_equal(children, rows[i].children);
        if (rows[i].reason)
            test_worker_says(worker, "type=bad-output");
        test_process_signal(worker, SIGTERM);
        test_worker_ends(worker, 0);
        ox_free(id);
    }
}

#define OLD 5 /* more than may leave a job when they are new */

/* Children that were there before the first one left it are all as old as that one. */
static void a_job_is_left_by_all_old_children(void **state)
{
    struct bench *bench = *state;
    g_autofree char *change = in_folder(bench, "change"),
                    *handler = g_strconcat("old-hand:", change, NULL);
    struct test_process *worker = start_rogue(bench, handler, "--concurrency 5");
    char *ids[OLD], *paths[OLD];
    for (int i = 0; i < OLD; i++) {
        g_autofree char *name = g_strdup_printf("go%d", i);
        paths[i] = in_folder(bench, name);
        g_autofree char *json = quoted(paths[i]);
        ids[i] = add(bench, json, 1);
    }
    for (int i = 0; i < OLD; i++) { /* at once, so each has a child */
        g_autofree char *begun = g_strconcat(paths[i], ".begun", NULL);
        await_file(begun);
    }
    for (int i = 0; i < OLD; i++)
        test_write(paths[i], "", 0);
    for (int i = 0; i < OLD; i++) {
        await_state(bench, ids[i], OX_COMPLETED);
        ox_free(ids[i]);
    }
    test_write(change, "", 0);
    g_autofree char *json = quoted(paths[0]);
    char *id = add(bench, json, 1);
    await_state(bench, id, OX_COMPLETED);
    assert_field(bench, id, "ats", "1");
    test_process_signal(worker, SIGTERM);
    test_worker_ends(worker, 0);
    g_autofree char *err = test_process_err(worker);
    assert_int_equal(count_of(err, "event=child-outdated"), OLD);
    for (int i = 0; i < OLD; i++)
        g_free(paths[i]);
    ox_free(id);
}

static bool all_200_completed(void *arg)
{
    struct bench *bench = arg;
    return count(bench, OX_COMPLETED) == 200;
}

static bool four_are_active(void *arg)
{
    struct bench *bench = arg;
    return count(bench, OX_ACTIVE) == 4;
}

/* A job that ends when the test says so, is kept from being stored meanwhile, and has one line
 * that says all of it. */
static void assert_dropped(
    struct bench *bench, const char *breaks, const char *reason, const char *next)
{
    static int count_of_jobs;
    g_autofree char *name = g_strdup_printf("go%d", ++count_of_jobs);
    g_autofree char *path = in_folder(bench, name), *json = quoted(path);
    g_autofree char *begun = g_strconcat(path, ".begun", NULL);
    struct test_process *worker = start_rogue(bench, "until", "--concurrency 1");
    char *id = add(bench, json, 1);
    await_file(begun);
    g_autofree char *base = g_strdup_printf("bull:%s", bench->name);
    test_redis_do(bench->redis, "EVAL %s 0 %s %s", breaks, base, id);
    test_write(path, "", 0);
    g_autofree char *line = g_strdup_printf(
        "level=error event=dropped queue=%s id=%s name=do attempt=1 ms=", bench->name, id);
    test_worker_says(worker, line);
    test_worker_says(worker, "result=completed");
    test_worker_says(worker, reason);
    test_worker_says(worker, next);
    g_autofree char *err = test_process_err(worker);
    assert_int_equal(count_of(err, "event=dropped"), 1);
    assert_null(strstr(err, "event=completed"));
    test_process_signal(worker, SIGKILL);
    test_process_wait(worker, BENCH_DEADLINE_MS);
    test_redis_do(bench->redis, "FLUSHALL");
    ox_free(id);
}

#define BREAK(command) "local q, id = ARGV[1], ARGV[2] return redis.call(" command ")"

static void reports_unstored_result(void **state)
{
    struct bench *bench = *state;
    assert_dropped(bench, BREAK("'DEL', q .. ':' .. id"), "the job does not exist",
        "next=\"nothing: the job was removed\"");
    assert_dropped(bench, BREAK("'LREM', q .. ':active', 1, id"),
        "the job is not in a state that allows this", "next=\"nothing: the job was moved");
    assert_dropped(bench, BREAK("'SET', q .. ':' .. id .. ':lock', 'other'"),
        "the job's lock is held by another worker", "next=\"another worker runs the job");
    assert_dropped(bench, BREAK("'SET', q .. ':completed', 'x'"), "WRONGTYPE",
        "next=\"the job runs again when its lock is over");
}

static void a_killed_worker_loses_no_job(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "go"), *json = quoted(path);
    for (int i = 0; i < 200; i++)
        ox_free(add(bench, json, 1));
    struct test_process *victim = start_rogue(bench, "until", "--lock 1s --concurrency 2");
    struct test_process *other = start_rogue(bench, "until", "--lock 1s --concurrency 2");
    /* Both hold jobs, which end only when the file is there. */
    assert_true(test_wait_for(BENCH_DEADLINE_MS, four_are_active, bench));
    test_process_signal(victim, SIGKILL);
    test_worker_ends(victim, 128 + SIGKILL);
    test_write(path, "", 0);
    assert_true(test_wait_for(BENCH_DEADLINE_MS, all_200_completed, bench));
    assert_int_equal(count(bench, OX_ACTIVE), 0);
    assert_int_equal(count(bench, OX_FAILED), 0);
    test_worker_stop(other);
}

static void children_die_with_their_parent(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "pids"), *json = quoted(path);
    struct test_process *worker = start_rogue(bench, "hang", "");
    ox_free(add(bench, json, 1));
    await_file(path);
    test_process_signal(worker, SIGKILL);
    test_worker_ends(worker, 128 + SIGKILL);
    assert_dead(path);
}

/* Whether a process is there that serves this bench's queue. */
static bool has_child(struct bench *bench)
{
    g_autoptr(GDir) processes = g_dir_open("/proc", 0, NULL);
    g_autofree char *wanted = g_strdup_printf("--queue=%s", bench->name);
    const char *pid;
    bool found = false;
    while (!found && (pid = g_dir_read_name(processes))) {
        g_autofree char *path = g_build_filename("/proc", pid, "cmdline", NULL);
        g_autofree char *words = NULL;
        gsize length = 0;
        g_file_get_contents(path, &words, &length, NULL);
        for (gsize at = 0; !found && at < length; at += strlen(words + at) + 1)
            found = strcmp(words + at, wanted) == 0;
    }
    return found;
}

static bool has_no_child(void *arg)
{
    return !has_child(arg);
}

/* Wherever its children are in their start: not begun, not yet tied to it, or at work. */
static void no_child_outlives_a_worker_killed_at_any_moment(void **state)
{
    struct bench *bench = *state;
    g_autofree char *words = g_strdup_printf(
        "--handler-program %s --concurrency 4 --lock 1s %s=hang", bench_program, bench->name);
    for (int i = 0; i < 40; i++) {
        g_autofree char *name = g_strdup_printf("pids%d", i), *path = in_folder(bench, name);
        g_autofree char *json = quoted(path);
        ox_free(add(bench, json, 1));
    }
    for (gulong delay_ms = 0; delay_ms < 100; delay_ms += 4) {
        struct test_process *worker = start_words(bench, words);
        g_usleep(delay_ms * 1000);
        test_process_signal(worker, SIGKILL);
        test_worker_ends(worker, 128 + SIGKILL);
        if (!test_wait_for(BENCH_DEADLINE_MS, has_no_child, bench))
            test_fatal("a child outlived its worker, killed after %lu ms", delay_ms);
    }
}

/* A server that keeps every write, for tests that end it. */
static struct test_redis *start_lasting_redis(void)
{
    static const char *const words[] = { "--appendonly", "yes", "--appendfsync", "always",
        NULL };
    return test_redis_start(words);
}

static void reconnects_to_lost_server(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "go"), *json = quoted(path);
    g_autofree char *begun = g_strconcat(path, ".begun", NULL);
    g_autofree char *ended = g_strconcat(path, ".ended", NULL);
    bench_close_queue(bench);
    bench->redis = start_lasting_redis();
    bench_open_queue(bench);
    struct test_process *worker = start_rogue(bench, "until", "--concurrency 1");
    char *running = add(bench, json, 1), *waiting = add(bench, json, 1);
    await_file(begun);
    test_redis_kill(bench->redis);
    test_worker_says(worker, "event=error");
    test_write(path, "", 0); /* it ends while there is nobody to tell */
    await_file(ended);
    g_autofree char *before = test_process_err(worker);
    assert_null(strstr(before, "event=completed")); /* nobody has stored it */
    test_redis_revive(bench->redis);
    bench_close_queue(bench);
    bench_open_queue(bench);
    await_state(bench, running, OX_COMPLETED);
    await_state(bench, waiting, OX_COMPLETED);
    assert_field(bench, running, "atm", "1");
    test_worker_stop(worker);
    g_autofree char *err = test_process_err(worker);
    assert_int_equal(count_of(err, "event=connected"), 2);
    assert_int_equal(count_of(err, "event=completed"), 2);
    ox_free(running);
    ox_free(waiting);
    test_redis_stop(bench->redis);
    bench->redis = bench_redis;
}

static void close_ends_without_server(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "pids"), *json = quoted(path);
    bench_close_queue(bench);
    bench->redis = start_lasting_redis();
    bench_open_queue(bench);
    struct test_process *worker = start_rogue(bench, "hang", "--grace 100ms");
    ox_free(add(bench, json, 1));
    await_file(path);
    test_redis_kill(bench->redis);
    test_worker_says(worker, "event=error");
    test_process_signal(worker, SIGTERM);
    test_worker_says(worker, "event=giving-back");
    test_process_signal(worker, SIGTERM); /* or it would try for five seconds */
    test_worker_ends(worker, 1);
    assert_dead(path);
    test_redis_stop(bench->redis);
    bench->redis = bench_redis;
}

static bool worker_sleeps(void *arg)
{
    struct bench *bench = arg;
    g_autofree char *info = test_redis_text(bench->redis, "INFO clients");
    return strstr(info, "blocked_clients:1\r\n") != NULL;
}

/* Nothing runs and nothing is to be stored: what may be missing is said, and not waited for. */
static void an_idle_drain_does_not_wait_for_a_silent_server(void **state)
{
    struct bench *bench = *state;
    bench_close_queue(bench);
    bench->redis = start_lasting_redis();
    struct test_process *worker = start_rogue(bench, "tell", "--concurrency 1");
    assert_true(test_wait_for(BENCH_DEADLINE_MS, worker_sleeps, bench));
    assert_int_equal(kill(bench->redis->pid, SIGSTOP), 0);
    test_process_signal(worker, SIGTERM);
    int status = test_process_wait(worker, 15000); /* the grace period is twice as long */
    kill(bench->redis->pid, SIGCONT);
    g_autofree char *err = test_process_err(worker);
    if (status != 1 || !strstr(err, "the server did not answer the last take in time"))
        test_fatal("exit status %d; stderr: %s", status, err);
    assert_null(strstr(err, "results"));
    test_redis_stop(bench->redis);
    bench->redis = bench_redis;
}

/* A result that is not stored is waited for, and told of. */
static void close_waits_for_results(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "go"), *json = quoted(path);
    g_autofree char *begun = g_strconcat(path, ".begun", NULL);
    g_autofree char *ended = g_strconcat(path, ".ended", NULL);
    bench_close_queue(bench);
    bench->redis = start_lasting_redis();
    bench_open_queue(bench);
    struct test_process *worker = start_rogue(bench, "until", "--concurrency 1");
    ox_free(add(bench, json, 1));
    await_file(begun);
    bench_close_queue(bench);
    assert_int_equal(kill(bench->redis->pid, SIGSTOP), 0);
    test_write(path, "", 0);
    await_file(ended);
    test_process_signal(worker, SIGTERM);
    test_worker_says(worker, "event=draining");
    assert_int_equal(test_process_wait(worker, 4000), TEST_STILL_RUNNING);
    test_process_signal(worker, SIGTERM); /* or it would wait for 35 seconds */
    test_worker_ends(worker, 1);
    kill(bench->redis->pid, SIGCONT);
    test_worker_says(worker, "the server did not take the results in time");
    test_redis_stop(bench->redis);
    bench->redis = bench_redis;
}

/* While the program still reads what it is to do: here its list of handlers, from a program
 * whose parent is its keeper. */
static void a_signal_at_the_start_is_a_stop(void **state)
{
    struct bench *bench = *state;
    g_autofree char *script = in_folder(bench, "handlers");
    static const struct {
        const char *name;
        int status;
    } rows[] = { { "TERM", 128 + SIGTERM }, { "INT", 128 + SIGINT }, { "HUP", 0 } };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *once = g_strconcat(script, ".", rows[i].name, NULL);
        g_autofree char *text = g_strdup_printf("#!/bin/sh\nmkdir '%s' && kill -%s $(cut -d' ' "
                                                "-f4 /proc/$PPID/stat)\nexec '%s' \"$@\"\n",
            once, rows[i].name, bench_program);
        g_autofree char *words =
            g_strdup_printf("--handler-program %s %s=tell", script, bench->name);
        test_write(script, text, -1);
        assert_int_equal(chmod(script, 0755), 0);
        struct test_process *worker = start_words(bench, words);
        if (rows[i].status == 0) { /* nobody closed a terminal */
            test_worker_says(worker, "event=ignored");
            test_process_signal(worker, SIGTERM);
        } else {
            test_worker_says(worker, "ox-worker: stopped by SIG");
        }
        test_worker_ends(worker, rows[i].status);
    }
}

int main(int argc, char **argv)
{
    if (rogue_wanted(argc, argv))
        return serve_main(argc, argv, rogue_handlers);
    bench_program = g_canonicalize_filename(argv[0], NULL);
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)
    const struct CMUnitTest tests[] = {
        TEST(a_lost_lock_kills_the_child),
        TEST(a_job_is_left_to_a_few_new_children),
        TEST(a_job_is_left_by_all_old_children),
        TEST(reports_unstored_result),
        TEST(a_killed_worker_loses_no_job),
        TEST(children_die_with_their_parent),
        TEST(no_child_outlives_a_worker_killed_at_any_moment),
        TEST(reconnects_to_lost_server),
        TEST(close_ends_without_server),
        TEST(an_idle_drain_does_not_wait_for_a_silent_server),
        TEST(close_waits_for_results),
        TEST(a_signal_at_the_start_is_a_stop),
    };
    int status = cmocka_run_group_tests(tests, bench_begin, bench_end);
    g_free(bench_program);
    return status;
}
