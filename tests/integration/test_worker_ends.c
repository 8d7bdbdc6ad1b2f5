/*
 * test_worker_ends.c - what becomes of jobs in ox-worker: real processes, a real Redis, and
 * handlers that return, fail, crash, hang and lie (rogue.c), which this very program runs when
 * ox-worker starts it as its program of handlers.
 *
 * What became of a job is read from Redis directly, in the words of the layout.
 */
#include "../support/check.h"

#include <errno.h>
#include <glib.h>
#include <jansson.h>
#include <ox.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/daemon_bench.h"
#include "../support/files.h"
#include "../support/process.h"
#include "../support/redis.h"
#include "../support/rogue.h"
#include "../support/worker.h"
#include "worker/serve.h"

/* ---- The handlers that come with it ------------------------------------------------------ */

static void echo_returns_the_data(void **state)
{
    struct bench *bench = *state;
    g_autofree char *words = g_strdup_printf("%s=echo", bench->name);
    struct test_process *worker = start_words(bench, words);
    char *id = add(bench, "{\"a\":[1,\"\\u00fc\"]}", 1);
    await_state(bench, id, OX_COMPLETED);
    assert_field(bench, id, "returnvalue", "{\"a\":[1,\"\\u00fc\"]}");
    assert_field(bench, id, "atm", "1");
    ox_free(id);
    test_worker_stop(worker);
}

static bool all_completed(void *arg)
{
    struct bench *bench = arg;
    return count(bench, OX_COMPLETED) == 2000;
}

static void many_jobs_through_few_children(void **state)
{
    struct bench *bench = *state;
    g_autofree char *words =
        g_strdup_printf("--concurrency 2 --log-level debug %s=noop", bench->name);
    for (int i = 0; i < 2000; i++)
        ox_free(add(bench, "{}", 1));
    struct test_process *worker = start_words(bench, words);
    assert_true(test_wait_for(BENCH_DEADLINE_MS, all_completed, bench));
    test_worker_stop(worker);
    g_autofree char *err = test_process_err(worker);
    assert_int_equal(count_of(err, "event=completed"), 2000);
    int children = count_of(err, "event=child-started");
    assert_true(children == 1 || children == 2);
    assert_int_equal(count_of(err, "event=child-gone"), children);
    assert_int_equal(count(bench, OX_ACTIVE), 0);
}

/* The parent runs no handler and must not carry what they need. */
static void parent_is_not_linked_with_libvips(void **state)
{
    struct bench *bench = *state;
    g_autofree char *words = g_strdup_printf("%s=noop", bench->name);
    struct test_process *worker = start_words(bench, words);
    test_worker_says(worker, "event=connected");
    g_autofree char *path = g_strdup_printf("/proc/%d/maps", (int)worker->pid);
    g_autofree char *maps = NULL;
    assert_true(g_file_get_contents(path, &maps, NULL, NULL));
    assert_non_null(strstr(maps, "libuv"));
    assert_null(strstr(maps, "libvips"));
    test_worker_stop(worker);
}

/* ---- Ends of jobs ------------------------------------------------------------------------ */

static void handlers_know_their_job(void **state)
{
    struct bench *bench = *state;
    g_autofree char *wanted = g_strdup_printf("\"%s 1 do 1 9\"", bench->name);
    struct test_process *worker = start_rogue(bench, "tell", "");
    char *id = add(bench, "{\"a\":100}", 1);
    await_state(bench, id, OX_COMPLETED);
    assert_field(bench, id, "returnvalue", wanted);
    ox_free(id);
    test_worker_stop(worker);
}

static void a_failure_spends_attempts(void **state)
{
    struct bench *bench = *state;
    struct test_process *worker = start_rogue(bench, "retry", "");
    char *id = add(bench, "{}", 2);
    await_state(bench, id, OX_FAILED);
    assert_field(bench, id, "failedReason", "not today");
    assert_field(bench, id, "atm", "2");
    assert_field(bench, id, "stacktrace",
        "[\"not today\\n    at retry (attempt 1)\",\"not today\\n    at retry (attempt 2)\"]");
    test_worker_stop(worker);
    g_autofree char *err = test_process_err(worker);
    assert_int_equal(count_of(err, "event=retried"), 1);
    assert_int_equal(count_of(err, "event=failed"), 1);
    ox_free(id);
}

static void a_fatal_failure_ends_it_at_once(void **state)
{
    struct bench *bench = *state;
    struct test_process *worker = start_rogue(bench, "fatal", "");
    char *id = add(bench, "{}", 5);
    await_state(bench, id, OX_FAILED);
    assert_field(bench, id, "failedReason", "never");
    assert_field(bench, id, "atm", "1");
    ox_free(id);
    test_worker_stop(worker);
}

static void a_return_value_that_is_no_json_fails_the_job(void **state)
{
    struct bench *bench = *state;
    struct test_process *worker = start_rogue(bench, "notjson", "");
    char *id = add(bench, "{}", 1);
    await_state(bench, id, OX_FAILED);
    assert_field(bench, id, "failedReason", "the handler's return value is not JSON");
    assert_field(bench, id, "stacktrace", "[\"the handler's return value is not JSON\"]");
    g_autofree char *row =
        test_redis_text(bench->redis, "LINDEX bull:%s:%s:logs -1", bench->name, id);
    assert_string_equal(row, "the handler's return value is not JSON");
    test_worker_says(worker, "type=bad-output");
    ox_free(id);
    test_worker_stop(worker);
    g_autofree char *err = test_process_err(worker);
    assert_int_equal(count_of(err, "event=failed"), 1);
    assert_int_equal(count_of(err, "reason=\"the handler's return value is not JSON\""), 1);
    assert_int_equal(count_of(err, "event=completed"), 0);
}

/* The log's line, what the job has and its own log tell the same. */
static void failures_have_a_type(void **state)
{
    struct bench *bench = *state;
    static const struct {
        const char *handler, *data, *reason, *type;
    } rows[] = {
        { "segv", "{}", "handler crashed: SIGSEGV", "crashed" },
        { "exit", "3", "handler exited with status 3", "exited" },
        { "garbage", "{}", "handler killed: malformed frame (unknown type)", "bad-output" },
        { "large", "17000000", "the return value is over the limit of 16 MB", "bad-output" },
        { "retry", "{}", "not today", "failed" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct test_process *worker = start_rogue(bench, rows[i].handler, "");
        char *id = add(bench, rows[i].data, 1);
        await_state(bench, id, OX_FAILED);
        assert_field(bench, id, "failedReason", rows[i].reason);
        g_autofree char *trace = g_strdup_printf(
            "[\"%s\\n    at %s (attempt 1)\"]", rows[i].reason, rows[i].handler);
        assert_field(bench, id, "stacktrace", trace);
        g_autofree char *row =
            test_redis_text(bench->redis, "LINDEX bull:%s:%s:logs -1", bench->name, id);
        bool is_own = strcmp(rows[i].type, "failed") == 0;
        if (g_strcmp0(row, is_own ? NULL : rows[i].reason) != 0)
            test_fatal("%s: its last row is %s", rows[i].reason, row ? row : "(nil)");
        g_autofree char *line =
            g_strdup_printf(" type=%s reason=\"%s\"\n", rows[i].type, rows[i].reason);
        test_worker_says(worker, line);
        ox_free(id);
        test_worker_stop(worker);
    }
}

/* No later attempt comes, although the job has some left: the log must not promise one. */
static void an_unknown_backoff_fails_the_job(void **state)
{
    struct bench *bench = *state;
    const ox_job_options options = { .attempts = 3, .backoff = { .type = "lunar" } };
    ox_error err = { 0 };
    char *id = NULL;
    struct test_process *worker = start_rogue(bench, "retry", "");
    if (ox_queue_add(bench->queue, "do", "{}", &options, &id, &err) < 0)
        test_fatal("%s", err.text);
    await_state(bench, id, OX_FAILED);
    assert_field(bench, id, "failedReason",
        "not today (the job's backoff type is unknown to this worker: lunar)");
    assert_field(bench, id, "atm", "1");
    ox_free(id);
    test_worker_stop(worker);
    g_autofree char *said = test_process_err(worker);
    assert_int_equal(count_of(said, "event=failed"), 1);
    assert_int_equal(count_of(said, "event=retried"), 0);
}

static void progress_and_logs_are_stored(void **state)
{
    struct bench *bench = *state;
    struct test_process *worker = start_rogue(bench, "talk", "");
    char *id = add(bench, "{}", 1);
    await_state(bench, id, OX_COMPLETED);
    assert_field(bench, id, "progress", "50");
    g_autofree char *first =
        test_redis_text(bench->redis, "LINDEX bull:%s:%s:logs 0", bench->name, id);
    g_autofree char *second =
        test_redis_text(bench->redis, "LINDEX bull:%s:%s:logs 1", bench->name, id);
    assert_string_equal(first, "first");
    assert_string_equal(second, "bad utf-8: \xef\xbf\xbd");
    test_worker_stop(worker);
    test_worker_says(worker, "event=output");
    test_worker_says(worker, "text=\"on stderr\"");
    ox_free(id);
}

/* Also on a server that has never seen the scripts of what is said: it is asked again with
 * their text, and meanwhile an end that was sent behind them could overtake them. */
static void sends_updates_before_finish(void **state)
{
    struct bench *bench = *state;
    test_redis_do(bench->redis, "SCRIPT FLUSH");
    struct test_process *silent = start_rogue(bench, "copy", "");
    char *id = add(bench, "{}", 1);
    await_state(bench, id, OX_COMPLETED); /* now it knows the script that ends jobs */
    ox_free(id);
    test_worker_stop(silent);
    struct test_process *worker = start_rogue(bench, "talk", "");
    id = add(bench, "{}", 1);
    await_state(bench, id, OX_COMPLETED);
    test_worker_stop(worker);
    redisReply *events =
        test_redis_command(bench->redis, "XREVRANGE bull:%s:events + - COUNT 3", bench->name);
    g_autoptr(GString) names = g_string_new(NULL);
    for (size_t i = 0; i < events->elements; i++)
        g_string_append_printf(names, "%s ", events->element[i]->element[1]->element[1]->str);
    freeReplyObject(events);
    assert_string_equal(names->str, "drained completed progress ");
    ox_free(id);
}

/* What AddressSanitizer keeps of freed memory is much, and says nothing of what is held. */
#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_IS_TOLD false
#else
#define MEMORY_IS_TOLD true
#endif

static long resident_kb(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)pid);
    g_autofree char *text = test_read(path, NULL);
    const char *line = text ? strstr(text, "VmRSS:") : NULL;
    return line ? strtol(line + 6, NULL, 10) : 0;
}

/* One job says 40,000 things while the server takes nothing, and what is held for it is
 * bounded: the newest progress, some rows, and the rest is not read. All is there in the end,
 * as far as a job may say things. */
static void limits_output_of_a_flood(void **state)
{
    struct bench *bench = *state;
    struct test_process *worker = start_rogue(bench, "flood", "--concurrency 1");
    char *first = add(bench, "1", 1);
    await_state(bench, first, OX_COMPLETED);
    long before = resident_kb(worker->pid);
    test_redis_do(bench->redis, "CLIENT PAUSE 2000 WRITE");
    char *id = add(bench, "20000", 1);
    await_state(bench, id, OX_COMPLETED);
    long after = resident_kb(worker->pid);
    if (MEMORY_IS_TOLD && after > before + 3000)
        test_fatal("%ld kB of memory became %ld kB", before, after);
    assert_field(bench, id, "progress", "20000");
    assert_int_equal(
        test_redis_int(bench->redis, "LLEN bull:%s:%s:logs", bench->name, id), 20000);
    ox_free(first);
    ox_free(id);
    test_worker_stop(worker);
}

/* Errors of one kind about jobs: a line a second, which counts those that had none. */
static void errors_about_jobs_are_bounded(void **state)
{
    struct bench *bench = *state;
    for (int id = 1; id <= 2; id++)
        test_redis_do(bench->redis, "SET bull:%s:%d:logs broken", bench->name, id);
    struct test_process *worker = start_rogue(bench, "flood", "--concurrency 1");
    char *first = add(bench, "500", 1);
    await_state(bench, first, OX_COMPLETED);
    assert_int_equal(test_process_wait(worker, 1100), TEST_STILL_RUNNING);
    char *second = add(bench, "1", 1);
    await_state(bench, second, OX_COMPLETED);
    test_worker_says(worker, "left_out=");
    test_worker_stop(worker);
    g_autofree char *err = test_process_err(worker);
    int told = count_of(err, "event=error"), left_out = 0, some = 0;
    for (const char *at = err; (at = strstr(at, "left_out=")); at++)
        left_out += sscanf(at, "left_out=%d", &some) == 1 ? some : 0;
    if (told + left_out != 501 || told > 20)
        test_fatal("%d lines of 501 errors and %d left out: %s", told, left_out, err);
    ox_free(first);
    ox_free(second);
}

/* The log is on a disk, and what handlers print has a bound that the log tells of. */
static void printed_lines_are_bounded(void **state)
{
    struct bench *bench = *state;
    struct test_process *worker = start_rogue(bench, "print", "--concurrency 1");
    char *few = add(bench, "100", 1);
    await_state(bench, few, OX_COMPLETED);
    test_worker_says(worker, "text=\"line 100 of");
    char *many = add(bench, "100000", 1);
    await_state(bench, many, OX_COMPLETED);
    test_worker_stop(worker);
    g_autofree char *err = test_process_err(worker);
    assert_non_null(strstr(err, "last=\"line 100000 of"));
    assert_int_equal(count_of(err, "\"line 1 of"), 2);
    int dropped = 0, lines = 0;
    for (const char *at = err; (at = strstr(at, "event=output-dropped")); at++)
        dropped += sscanf(strstr(at, "lines="), "lines=%d", &lines) == 1 ? lines : 0;
    assert_int_equal(dropped + count_of(err, "event=output "), 100100);
    assert_true(strlen(err) < 400000);
    ox_free(few);
    ox_free(many);
}

/* Time in which nobody takes what a job says is not the job's. */
static void backpressure_is_not_a_timeout(void **state)
{
    struct bench *bench = *state;
    struct test_process *worker = start_rogue(bench, "flood", "--concurrency 1 --timeout 1s");
    char *first = add(bench, "1", 1);
    await_state(bench, first, OX_COMPLETED);
    char *id = add(bench, "1000", 1);
    test_redis_do(bench->redis, "CLIENT PAUSE 3000 WRITE");
    await_state(bench, id, OX_COMPLETED);
    ox_free(first);
    ox_free(id);
    test_worker_stop(worker);
}

/* Jobs that fail before a handler sees them have a line as well. */
static void failed_unrun_is_logged(void **state)
{
    struct bench *bench = *state;
    char *id = add(bench, "{}", 1);
    test_redis_do(bench->redis, "HSET bull:%s:%s data {oops", bench->name, id);
    struct test_process *worker = start_rogue(bench, "tell", "");
    await_state(bench, id, OX_FAILED);
    g_autofree char *line = g_strdup_printf(
        "event=failed queue=%s id=%s name=do attempt=1 unrun=true type=invalid reason=",
        bench->name, id);
    test_worker_says(worker, line);
    ox_free(id);
    test_worker_stop(worker);
}

/* So has a job that was found without a worker. */
static void stalled_job_is_logged(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "go"), *json = quoted(path);
    g_autofree char *begun = g_strconcat(path, ".begun", NULL);
    struct test_process *dead = start_rogue(bench, "until", "--lock 1s");
    char *id = add(bench, json, 1);
    await_file(begun);
    test_process_signal(dead, SIGKILL);
    test_worker_ends(dead, 128 + SIGKILL);
    struct test_process *worker = start_rogue(bench, "until", "--lock 1s");
    g_autofree char *line =
        g_strdup_printf("event=stalled queue=%s id=%s reason=", bench->name, id);
    test_worker_says(worker, line);
    test_write(path, "", 0);
    await_state(bench, id, OX_COMPLETED);
    ox_free(id);
    test_worker_stop(worker);
}

/* A job that ends badly twice, for that reason, and a worker that lives on. */
static void assert_reason(
    struct bench *bench, const char *handler, const char *json, const char *reason)
{
    struct test_process *worker = start_rogue(bench, handler, "--timeout 500ms");
    char *id = add(bench, json, 2);
    await_state(bench, id, OX_FAILED);
    assert_field(bench, id, "failedReason", reason);
    assert_field(bench, id, "atm", "2");
    char *next = add(bench, json, 1);
    await_state(bench, next, OX_FAILED);
    assert_field(bench, next, "failedReason", reason);
    ox_free(id);
    ox_free(next);
    test_worker_stop(worker);
}

static void a_crash_costs_one_attempt(void **state)
{
    assert_reason(*state, "segv", "{}", "handler crashed: SIGSEGV");
}

static void an_exit_costs_one_attempt(void **state)
{
    assert_reason(*state, "exit", "3", "handler exited with status 3");
}

static void malformed_frame_costs_one_attempt(void **state)
{
    assert_reason(*state, "garbage", "{}", "handler killed: malformed frame (unknown type)");
}

static void a_timeout_costs_one_attempt_and_the_whole_group(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "pids"), *json = quoted(path);
    assert_reason(bench, "hang", json, "handler killed: timeout after 500ms");
    await_file(path);
    assert_dead(path);
}

static bool both_begun(void *arg)
{
    struct bench *bench = arg;
    g_autofree char *one = in_folder(bench, "1.begun"), *two = in_folder(bench, "2.begun");
    return file_is_there(one) && file_is_there(two);
}

static void concurrency_is_a_ceiling_per_queue(void **state)
{
    struct bench *bench = *state;
    char *ids[3];
    struct test_process *worker = start_rogue(bench, "until", "--concurrency 2");
    for (int i = 0; i < 3; i++) {
        g_autofree char *name = g_strdup_printf("%d", i + 1);
        g_autofree char *path = in_folder(bench, name), *json = quoted(path);
        ids[i] = add(bench, json, 1);
    }
    assert_true(test_wait_for(BENCH_DEADLINE_MS, both_begun, bench));
    assert_int_equal(count(bench, OX_ACTIVE), 2);
    assert_int_equal(count(bench, OX_WAITING), 1);
    for (int i = 0; i < 3; i++) {
        g_autofree char *name = g_strdup_printf("%d", i + 1), *path = in_folder(bench, name);
        test_write(path, "", 0);
    }
    for (int i = 0; i < 3; i++) {
        await_state(bench, ids[i], OX_COMPLETED);
        ox_free(ids[i]);
    }
    test_worker_stop(worker);
}

static void children_are_recycled(void **state)
{
    struct bench *bench = *state;
    struct test_process *worker = start_rogue(bench, "tell", "--concurrency 1 --recycle 2");
    for (int i = 0; i < 5; i++) {
        char *id = add(bench, "{}", 1);
        await_state(bench, id, OX_COMPLETED);
        ox_free(id);
    }
    test_worker_stop(worker);
    g_autofree char *err = test_process_err(worker);
    assert_int_equal(count_of(err, "event=child-started"), 3);
    assert_int_equal(count_of(err, "event=child-gone"), 3);
    assert_int_equal(count_of(err, "event=child-died"), 0);
}

static void two_queues_have_two_pools(void **state)
{
    struct bench *bench = *state;
    g_autofree char *other = g_strconcat(bench->name, "-other", NULL);
    g_autofree char *last = g_strdup_printf("tell %s=fatal", other);
    struct test_process *worker = start_rogue(bench, last, "");
    char *good = add(bench, "{}", 1);
    ox_queue *queue = NULL;
    ox_error err = { 0 };
    char *bad = NULL;
    assert_int_equal(ox_queue_new(&queue, bench->client, other, NULL, &err), 0);
    assert_int_equal(ox_queue_add(queue, "do", NULL, NULL, &bad, &err), 0);
    await_state(bench, good, OX_COMPLETED);
    struct bench there = { .queue = queue, .workers = bench->workers };
    await_state(&there, bad, OX_FAILED);
    ox_free(good);
    ox_free(bad);
    ox_queue_free(queue);
    test_worker_stop(worker);
}

int main(int argc, char **argv)
{
    if (rogue_wanted(argc, argv))
        return serve_main(argc, argv, rogue_handlers);
    bench_program = g_canonicalize_filename(argv[0], NULL);
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)
    const struct CMUnitTest tests[] = {
        TEST(echo_returns_the_data),
        TEST(many_jobs_through_few_children),
        TEST(parent_is_not_linked_with_libvips),
        TEST(handlers_know_their_job),
        TEST(a_failure_spends_attempts),
        TEST(a_fatal_failure_ends_it_at_once),
        TEST(a_return_value_that_is_no_json_fails_the_job),
        TEST(failures_have_a_type),
        TEST(an_unknown_backoff_fails_the_job),
        TEST(progress_and_logs_are_stored),
        TEST(sends_updates_before_finish),
        TEST(limits_output_of_a_flood),
        TEST(errors_about_jobs_are_bounded),
        TEST(printed_lines_are_bounded),
        TEST(backpressure_is_not_a_timeout),
        TEST(failed_unrun_is_logged),
        TEST(stalled_job_is_logged),
        TEST(a_crash_costs_one_attempt),
        TEST(an_exit_costs_one_attempt),
        TEST(malformed_frame_costs_one_attempt),
        TEST(a_timeout_costs_one_attempt_and_the_whole_group),
        TEST(concurrency_is_a_ceiling_per_queue),
        TEST(children_are_recycled),
        TEST(two_queues_have_two_pools),
    };
    int status = cmocka_run_group_tests(tests, bench_begin, bench_end);
    g_free(bench_program);
    return status;
}
