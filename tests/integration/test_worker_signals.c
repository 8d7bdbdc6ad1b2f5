/*
 * test_worker_signals.c - ox-worker while it is told to stop: by signals, by its terminal, and
 * beside BullMQ 5.x; and children that do not start. The handlers are those of rogue.c, which
 * this very program runs when ox-worker starts it as its program of handlers.
 */
#include "../support/check.h"

#include <errno.h>
#include <glib.h>
#include <ox.h>
#include <signal.h>
#include <string.h>

#include "../support/daemon_bench.h"
#include "../support/files.h"
#include "../support/process.h"
#include "../support/redis.h"
#include "../support/rogue.h"
#include "../support/worker.h"
#include "worker/serve.h"

struct text_wait {
    const char *path, *text;
};

static bool file_says(void *arg)
{
    const struct text_wait *wait = arg;
    g_autofree char *text = test_read(wait->path, NULL);
    return text && strstr(text, wait->text);
}

/* ---- Children that do not start ---------------------------------------------------------- */

static void a_failed_start_costs_no_attempt(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "open");
    g_autofree char *handler = g_strconcat("fickle:", path, NULL);
    g_autofree char *wanted = g_strdup_printf("\"%s 1 do 1 2\"", bench->name);
    struct test_process *worker = start_rogue(bench, handler, "--concurrency 2");
    char *id = add(bench, "{}", 1), *second = add(bench, "{}", 1);
    test_worker_says(worker, "reason=\"the file is not there\" retry_ms=1000");
    await_state(bench, id, OX_WAITING);
    test_write(path, "", 0);
    await_state(bench, id, OX_COMPLETED);
    await_state(bench, second, OX_COMPLETED);
    assert_field(bench, id, "returnvalue", wanted);
    assert_field(bench, id, "atm", "1");
    ox_free(id);
    ox_free(second);
    test_worker_stop(worker);
    g_autofree char *err = test_process_err(worker);
    assert_int_equal(count_of(err, "event=start-failed"), 1);
}

/* The only child is on its way out, and takes its time; the next one could not be started, and
 * that is tried again in a second. When the pool closes meanwhile there is nothing that would
 * send a new child home, and the drain would not end. */
static void drain_starts_no_child(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "children");
    g_autofree char *handler = g_strconcat("second:", path, NULL);
    struct test_process *worker =
        start_rogue(bench, handler, "--concurrency 1 --recycle 1 --grace 3s");
    char *id = add(bench, "{}", 1), *second = add(bench, "{}", 1);
    test_worker_says(worker, "event=start-failed");
    test_worker_stop(worker);
    g_autofree char *children = test_read(path, NULL);
    assert_string_equal(children, "xx");
    ox_free(id);
    ox_free(second);
}

/* ---- Signals ----------------------------------------------------------------------------- */

static void drain_finishes_active_jobs(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "go"), *json = quoted(path);
    g_autofree char *begun = g_strconcat(path, ".begun", NULL);
    struct test_process *worker = start_rogue(bench, "until", "--concurrency 1");
    char *running = add(bench, json, 1), *waiting = add(bench, json, 1);
    await_file(begun);
    test_process_signal(worker, SIGTERM);
    test_worker_says(worker, "event=draining reason=SIGTERM running=1");
    assert_int_equal(test_process_wait(worker, 100), TEST_STILL_RUNNING);
    test_write(path, "", 0);
    test_worker_ends(worker, 0);
    assert_int_equal(ox_queue_job_state(bench->queue, running, NULL), OX_COMPLETED);
    assert_int_equal(ox_queue_job_state(bench->queue, waiting, NULL), OX_WAITING);
    g_autofree char *err = test_process_err(worker);
    assert_non_null(strstr(err, "event=stopped"));
    ox_free(running);
    ox_free(waiting);
}

static void moves_job_to_wait_after_grace(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "pids"), *json = quoted(path);
    struct test_process *worker = start_rogue(bench, "hang", "--grace 200ms");
    char *id = add(bench, json, 1);
    await_file(path);
    test_process_signal(worker, SIGINT);
    test_worker_ends(worker, 0);
    assert_dead(path);
    assert_int_equal(ox_queue_job_state(bench->queue, id, NULL), OX_WAITING);
    assert_field(bench, id, "atm", NULL);
    assert_int_equal(
        test_redis_int(bench->redis, "EXISTS bull:%s:%s:lock", bench->name, id), 0);
    ox_free(id);
}

static void a_second_signal_does_not_wait(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "pids"), *json = quoted(path);
    struct test_process *worker = start_rogue(bench, "hang", "--grace 1h");
    char *id = add(bench, json, 1);
    await_file(path);
    test_process_signal(worker, SIGTERM);
    test_worker_says(worker, "event=draining");
    test_process_signal(worker, SIGTERM);
    test_worker_ends(worker, 1);
    assert_dead(path);
    ox_free(id);
}

static bool all_completed(void *bench)
{
    return count(bench, OX_WAITING) + count(bench, OX_ACTIVE) == 0;
}

static void sigterm_stops_taking(void **state)
{
    struct bench *bench = *state;
    struct test_process *worker = start_rogue(bench, "tell", "");
    char *first = add(bench, "{}", 1);
    await_state(bench, first, OX_COMPLETED);
    test_process_signal(worker, SIGTSTP);
    test_worker_says(worker, "event=held");
    char *second = add(bench, "{}", 1);
    assert_false(test_wait_for(300, all_completed, bench));
    test_process_signal(worker, SIGCONT);
    await_state(bench, second, OX_COMPLETED);
    ox_free(first);
    ox_free(second);
    test_worker_stop(worker);
}

/* Sent by log rotation or "systemctl reload": it kills nothing, and is told. */
static void a_hangup_without_a_terminal_is_ignored(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "go"), *json = quoted(path);
    g_autofree char *begun = g_strconcat(path, ".begun", NULL);
    struct test_process *worker = start_rogue(bench, "until", "--concurrency 1");
    char *id = add(bench, json, 1);
    await_file(begun);
    test_process_signal(worker, SIGHUP);
    test_worker_says(worker, "event=ignored text=\"SIGHUP");
    test_write(path, "", 0);
    await_state(bench, id, OX_COMPLETED);
    test_worker_stop(worker);
    ox_free(id);
}

/* script(1) runs the worker on a terminal of its own; when it dies, that is closed. */
static void a_closed_terminal_drains(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "go"), *json = quoted(path);
    g_autofree char *begun = g_strconcat(path, ".begun", NULL);
    g_autofree char *log = in_folder(bench, "log");
    g_autofree char *program = test_program("ox-worker");
    g_autofree char *command = g_strdup_printf("exec %s --redis %s --handler-program %s "
                                               "--concurrency 1 %s=until 2>%s",
        program, bench->redis->url, bench_program, bench->name, log);
    const char *const argv[] = { "script", "-qec", command, "/dev/null", NULL };
    struct test_process *terminal = test_start(argv, NULL);
    g_ptr_array_add(bench->workers, terminal);
    char *running = add(bench, json, 1), *waiting = add(bench, json, 1);
    await_file(begun);
    test_process_signal(terminal, SIGKILL);
    struct text_wait draining = { log, "event=draining reason=\"SIGHUP: the terminal" };
    if (!test_wait_for(BENCH_DEADLINE_MS, file_says, &draining)) {
        g_autofree char *text = test_read(log, NULL);
        test_fatal("it did not drain, but: %s", text);
    }
    test_write(path, "", 0);
    await_state(bench, running, OX_COMPLETED);
    struct text_wait stopped = { log, "event=stopped" };
    assert_true(test_wait_for(BENCH_DEADLINE_MS, file_says, &stopped));
    assert_int_equal(ox_queue_job_state(bench->queue, waiting, NULL), OX_WAITING);
    ox_free(running);
    ox_free(waiting);
}

/* ---- Beside BullMQ 5.x ------------------------------------------------------------------- */

static bool four_are_parked(void *arg)
{
    struct bench *bench = arg;
    return test_redis_int(bench->redis, "LLEN bull:%s:paused", bench->name) == 4;
}

static bool four_are_completed(void *arg)
{
    return count(arg, OX_COMPLETED) == 4;
}

/* 5.x pauses by renaming `wait` to `paused` and resumes by renaming it back, over whatever was
 * pushed to `wait` meanwhile: by a retry, by a promotion, by a stalled check. */
static void released_jobs_are_parked_for_5x(void **state)
{
    struct bench *bench = *state;
    struct test_redis *server = bench->redis;
    const char *name = bench->name;
    g_autofree char *path = in_folder(bench, "go"), *json = quoted(path);
    g_autofree char *begun = in_folder(bench, "go.begun");
    struct test_process *worker =
        start_rogue(bench, "waver", "--legacy-pause --concurrency 1 --lock 1s");
    ox_free(add(bench, json, 2));
    await_file(begun);
    ox_free(add(bench, json, 2));
    test_redis_do(server, "HSET bull:%s:meta paused 1", name);
    test_redis_do(server, "RENAME bull:%s:wait bull:%s:paused", name, name);
    test_redis_do(server, "DEL bull:%s:marker", name);

    const ox_job_options soon = { .attempts = 2, .delay_ms = 1 };
    ox_error err = { 0 };
    if (ox_queue_add(bench->queue, "do", json, &soon, NULL, &err) < 0)
        test_fatal("%s", err.text);
    test_redis_do(
        server, "HSET bull:%s:s name do data %s opts {\"attempts\":2} timestamp 1", name, json);
    test_redis_do(server, "LPUSH bull:%s:active s", name);
    test_write(path, "", 0);
    if (!test_wait_for(BENCH_DEADLINE_MS, four_are_parked, bench))
        test_fatal("%lld are parked, %lld wait",
            test_redis_int(server, "LLEN bull:%s:paused", name),
            test_redis_int(server, "LLEN bull:%s:wait", name));
    assert_int_equal(test_redis_int(server, "EXISTS bull:%s:wait", name), 0);

    test_redis_do(server, "HDEL bull:%s:meta paused", name);
    test_redis_do(server, "RENAME bull:%s:paused bull:%s:wait", name, name);
    test_redis_do(server, "ZADD bull:%s:marker 0 0", name);
    assert_true(test_wait_for(BENCH_DEADLINE_MS, four_are_completed, bench));
    test_worker_stop(worker);
}

int main(int argc, char **argv)
{
    if (rogue_wanted(argc, argv))
        return serve_main(argc, argv, rogue_handlers);
    bench_program = g_canonicalize_filename(argv[0], NULL);
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)
    const struct CMUnitTest tests[] = {
        TEST(a_failed_start_costs_no_attempt),
        TEST(drain_starts_no_child),
        TEST(drain_finishes_active_jobs),
        TEST(moves_job_to_wait_after_grace),
        TEST(a_second_signal_does_not_wait),
        TEST(sigterm_stops_taking),
        TEST(a_hangup_without_a_terminal_is_ignored),
        TEST(a_closed_terminal_drains),
        TEST(released_jobs_are_parked_for_5x),
    };
    int status = cmocka_run_group_tests(tests, bench_begin, bench_end);
    g_free(bench_program);
    return status;
}
