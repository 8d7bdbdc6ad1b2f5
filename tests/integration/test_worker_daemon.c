/*
 * test_worker_daemon.c - ox-worker as an operator sees it: real processes, a real Redis, and
 * handlers that crash, hang and lie (rogue.c), which this very program runs when ox-worker
 * starts it as its program of handlers.
 *
 * What became of a job is read from Redis directly, in the words of the layout.
 */
#include "../support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <jansson.h>
#include <ox.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/redis.h"
#include "../support/rogue.h"
#include "worker/serve.h"

#define DEADLINE_MS 30000

static char *self;

/* A queue of its own for each test, on one server for all. */
struct bench {
    struct test_redis *redis;
    ox_client *client;
    ox_queue *queue;
    char *name;
    char *folder;
    GPtrArray *workers; /* struct test_process */
};

static struct test_redis *shared_redis;

static int start_redis(void **state)
{
    (void)state;
    shared_redis = test_redis_start(NULL);
    return 0;
}

static int stop_redis(void **state)
{
    (void)state;
    test_redis_stop(shared_redis);
    return 0;
}

static void open_queue(struct bench *bench)
{
    const ox_client_options options = { .url = test_redis_url(bench->redis) };
    ox_error err = { 0 };
    if (ox_client_new(&bench->client, &options, &err) < 0 ||
        ox_queue_new(&bench->queue, bench->client, bench->name, NULL, &err) < 0)
        test_fatal("%s", err.text);
}

static void close_queue(struct bench *bench)
{
    ox_queue_free(bench->queue);
    ox_client_free(bench->client);
    bench->queue = NULL;
    bench->client = NULL;
}

static int open_bench(void **state)
{
    static int count;
    struct bench *bench = g_new0(struct bench, 1);
    bench->redis = shared_redis;
    bench->name = g_strdup_printf("q%d", ++count);
    bench->folder = test_dir_new();
    bench->workers = g_ptr_array_new_with_free_func((GDestroyNotify)test_process_free);
    open_queue(bench);
    *state = bench;
    return 0;
}

static int close_bench(void **state)
{
    struct bench *bench = *state;
    g_ptr_array_free(bench->workers, TRUE);
    close_queue(bench);
    test_remove(bench->folder);
    g_free(bench->folder);
    g_free(bench->name);
    g_free(bench);
    return 0;
}

/* ---- Workers ----------------------------------------------------------------------------- */

/* Starts ox-worker with these words behind the server's URL. */
static struct test_process *start_words(struct bench *bench, const char *words)
{
    g_auto(GStrv) list = g_strsplit(words, " ", -1);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, (char *)(uintptr_t) "ox-worker");
    g_ptr_array_add(argv, (char *)(uintptr_t) "--redis");
    g_ptr_array_add(argv, bench->redis->url);
    for (char **word = list; *word; word++)
        g_ptr_array_add(argv, *word);
    g_ptr_array_add(argv, NULL);
    struct test_process *worker = test_start((const char *const *)argv->pdata, NULL);
    g_ptr_array_add(bench->workers, worker);
    return worker;
}

/* Starts a worker on the queue with a handler of rogue.c, and waits until it takes jobs. */
static struct test_process *start_rogue(
    struct bench *bench, const char *handler, const char *options)
{
    g_autofree char *words = g_strdup_printf("--handler-program %s --log-level debug %s%s%s=%s",
        self, options, *options ? " " : "", bench->name, handler);
    struct test_process *worker = start_words(bench, words);
    if (!test_process_says(worker, "event=connected", DEADLINE_MS)) {
        g_autofree char *err = test_process_err(worker);
        test_fatal("the worker did not connect: %s", err);
    }
    return worker;
}

static void await_line(struct test_process *worker, const char *text)
{
    if (!test_process_says(worker, text, DEADLINE_MS)) {
        g_autofree char *err = test_process_err(worker);
        test_fatal("'%s' was not logged, but: %s", text, err);
    }
}

static void assert_exit(struct test_process *worker, int status)
{
    int got = test_process_wait(worker, DEADLINE_MS);
    g_autofree char *err = test_process_err(worker);
    if (got != status)
        test_fatal("exit status %d instead of %d; stderr: %s", got, status, err);
}

/* It stops well, and its children had nothing to complain of either. */
static void stop(struct test_process *worker)
{
    test_process_signal(worker, SIGTERM);
    assert_exit(worker, 0);
    g_autofree char *err = test_process_err(worker);
    if (strstr(err, "Sanitizer") || strstr(err, "runtime error"))
        test_fatal("stderr: %s", err);
}

static int count_of(const char *text, const char *what)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        count++;
    return count;
}

/* ---- Jobs -------------------------------------------------------------------------------- */

static char *add(struct bench *bench, const char *json, uint32_t attempts)
{
    const ox_job_options options = { .attempts = attempts };
    ox_error err = { 0 };
    char *id = NULL;
    if (ox_queue_add(bench->queue, "do", json, &options, &id, &err) < 0)
        test_fatal("%s", err.text);
    return id;
}

/* The data is a path in the bench's folder, as JSON; handlers take the bare text. */
static char *in_folder(const struct bench *bench, const char *name)
{
    return g_build_filename(bench->folder, name, NULL);
}

static char *quoted(const char *text)
{
    return g_strdup_printf("\"%s\"", text);
}

struct state_wait {
    struct bench *bench;
    const char *id;
    int state;
};

static bool has_state(void *arg)
{
    const struct state_wait *wait = arg;
    return ox_queue_job_state(wait->bench->queue, wait->id, NULL) == wait->state;
}

static void await_state(struct bench *bench, const char *id, int state)
{
    struct state_wait wait = { bench, id, state };
    if (!test_wait_for(DEADLINE_MS, has_state, &wait)) {
        int now = ox_queue_job_state(bench->queue, id, NULL);
        g_autoptr(GString) logs = g_string_new(NULL);
        for (guint i = 0; i < bench->workers->len; i++) {
            g_autofree char *err = test_process_err(g_ptr_array_index(bench->workers, i));
            g_string_append(logs, err);
        }
        if (logs->len > 700)
            g_string_erase(logs, 0, (gssize)logs->len - 700);
        test_fatal("job %s is %s, not %s: ..%s", id, ox_state_name(now < 0 ? OX_UNKNOWN : now),
            ox_state_name(state), logs->str);
    }
}

static void assert_field(
    struct bench *bench, const char *id, const char *field, const char *wanted)
{
    g_autofree char *text =
        test_redis_text(bench->redis, "HGET bull:%s:%s %s", bench->name, id, field);
    if (g_strcmp0(text, wanted) != 0)
        test_fatal("job %s: %s is %s, not %s", id, field, text ? text : "(nil)", wanted);
}

static int64_t count(struct bench *bench, int state)
{
    ox_counts counts;
    ox_error err = { 0 };
    if (ox_queue_counts(bench->queue, &counts, &err) < 0)
        test_fatal("%s", err.text);
    return counts.of[state];
}

static bool file_is_there(void *path)
{
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void await_file(char *path)
{
    if (!test_wait_for(DEADLINE_MS, file_is_there, path))
        test_fatal("%s did not come", path);
}

struct text_wait {
    const char *path, *text;
};

static bool file_says(void *arg)
{
    const struct text_wait *wait = arg;
    g_autofree char *text = test_read(wait->path, NULL);
    return text && strstr(text, wait->text);
}

/* All processes of the handler `hang` that was given this path. */
static void assert_dead(char *path)
{
    if (!test_wait_for(DEADLINE_MS, rogue_is_gone, path))
        test_fatal("processes of a job are left");
}

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
    stop(worker);
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
    assert_true(test_wait_for(DEADLINE_MS, all_completed, bench));
    stop(worker);
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
    await_line(worker, "event=connected");
    g_autofree char *path = g_strdup_printf("/proc/%d/maps", (int)worker->pid);
    g_autofree char *maps = NULL;
    assert_true(g_file_get_contents(path, &maps, NULL, NULL));
    assert_non_null(strstr(maps, "libuv"));
    assert_null(strstr(maps, "libvips"));
    stop(worker);
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
    stop(worker);
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
    stop(worker);
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
    stop(worker);
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
    await_line(worker, "type=bad-output");
    ox_free(id);
    stop(worker);
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
        await_line(worker, line);
        ox_free(id);
        stop(worker);
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
    stop(worker);
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
    stop(worker);
    await_line(worker, "event=output");
    await_line(worker, "text=\"on stderr\"");
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
    stop(silent);
    struct test_process *worker = start_rogue(bench, "talk", "");
    id = add(bench, "{}", 1);
    await_state(bench, id, OX_COMPLETED);
    stop(worker);
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
    stop(worker);
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
    await_line(worker, "left_out=");
    stop(worker);
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
    await_line(worker, "text=\"line 100 of");
    char *many = add(bench, "100000", 1);
    await_state(bench, many, OX_COMPLETED);
    stop(worker);
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
    stop(worker);
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
    await_line(worker, line);
    ox_free(id);
    stop(worker);
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
    assert_exit(dead, 128 + SIGKILL);
    struct test_process *worker = start_rogue(bench, "until", "--lock 1s");
    g_autofree char *line =
        g_strdup_printf("event=stalled queue=%s id=%s reason=", bench->name, id);
    await_line(worker, line);
    test_write(path, "", 0);
    await_state(bench, id, OX_COMPLETED);
    ox_free(id);
    stop(worker);
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
    stop(worker);
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
    assert_true(test_wait_for(DEADLINE_MS, both_begun, bench));
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
    stop(worker);
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
    stop(worker);
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
    stop(worker);
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
    await_line(worker, "reason=\"the file is not there\" retry_ms=1000");
    await_state(bench, id, OX_WAITING);
    test_write(path, "", 0);
    await_state(bench, id, OX_COMPLETED);
    await_state(bench, second, OX_COMPLETED);
    assert_field(bench, id, "returnvalue", wanted);
    assert_field(bench, id, "atm", "1");
    ox_free(id);
    ox_free(second);
    stop(worker);
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
    await_line(worker, "event=start-failed");
    stop(worker);
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
    await_line(worker, "event=draining reason=SIGTERM running=1");
    assert_int_equal(test_process_wait(worker, 100), TEST_STILL_RUNNING);
    test_write(path, "", 0);
    assert_exit(worker, 0);
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
    assert_exit(worker, 0);
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
    await_line(worker, "event=draining");
    test_process_signal(worker, SIGTERM);
    assert_exit(worker, 1);
    assert_dead(path);
    ox_free(id);
}

static void sigterm_stops_taking(void **state)
{
    struct bench *bench = *state;
    struct test_process *worker = start_rogue(bench, "tell", "");
    char *first = add(bench, "{}", 1);
    await_state(bench, first, OX_COMPLETED);
    test_process_signal(worker, SIGTSTP);
    await_line(worker, "event=held");
    char *second = add(bench, "{}", 1);
    struct state_wait wait = { bench, second, OX_COMPLETED };
    assert_false(test_wait_for(300, has_state, &wait));
    test_process_signal(worker, SIGCONT);
    await_state(bench, second, OX_COMPLETED);
    ox_free(first);
    ox_free(second);
    stop(worker);
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
    await_line(worker, "event=ignored text=\"SIGHUP");
    test_write(path, "", 0);
    await_state(bench, id, OX_COMPLETED);
    stop(worker);
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
        program, bench->redis->url, self, bench->name, log);
    const char *const argv[] = { "script", "-qec", command, "/dev/null", NULL };
    struct test_process *terminal = test_start(argv, NULL);
    g_ptr_array_add(bench->workers, terminal);
    char *running = add(bench, json, 1), *waiting = add(bench, json, 1);
    await_file(begun);
    test_process_signal(terminal, SIGKILL);
    struct text_wait draining = { log, "event=draining reason=\"SIGHUP: the terminal" };
    if (!test_wait_for(DEADLINE_MS, file_says, &draining)) {
        g_autofree char *text = test_read(log, NULL);
        test_fatal("it did not drain, but: %s", text);
    }
    test_write(path, "", 0);
    await_state(bench, running, OX_COMPLETED);
    struct text_wait stopped = { log, "event=stopped" };
    assert_true(test_wait_for(DEADLINE_MS, file_says, &stopped));
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
    if (!test_wait_for(DEADLINE_MS, four_are_parked, bench))
        test_fatal("%lld are parked, %lld wait",
            test_redis_int(server, "LLEN bull:%s:paused", name),
            test_redis_int(server, "LLEN bull:%s:wait", name));
    assert_int_equal(test_redis_int(server, "EXISTS bull:%s:wait", name), 0);

    test_redis_do(server, "HDEL bull:%s:meta paused", name);
    test_redis_do(server, "RENAME bull:%s:paused bull:%s:wait", name, name);
    test_redis_do(server, "ZADD bull:%s:marker 0 0", name);
    assert_true(test_wait_for(DEADLINE_MS, four_are_completed, bench));
    stop(worker);
}

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
    await_line(worker, "event=dropped");
    await_line(worker, "type=lock-lost");
    g_autofree char *row =
        test_redis_text(bench->redis, "LINDEX bull:%s:%s:logs -1", bench->name, id);
    assert_string_equal(row, "the job's lock was lost");
    assert_field(bench, id, "atm", NULL);
    assert_field(bench, id, "failedReason", NULL);
    assert_int_equal(ox_queue_job_state(bench->queue, id, NULL), OX_ACTIVE);
    ox_free(id);
    stop(worker);
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
    await_line(worker, line);
    await_line(worker, "result=completed");
    await_line(worker, reason);
    await_line(worker, next);
    g_autofree char *err = test_process_err(worker);
    assert_int_equal(count_of(err, "event=dropped"), 1);
    assert_null(strstr(err, "event=completed"));
    test_process_signal(worker, SIGKILL);
    test_process_wait(worker, DEADLINE_MS);
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
    assert_true(test_wait_for(DEADLINE_MS, four_are_active, bench));
    test_process_signal(victim, SIGKILL);
    assert_exit(victim, 128 + SIGKILL);
    test_write(path, "", 0);
    assert_true(test_wait_for(DEADLINE_MS, all_200_completed, bench));
    assert_int_equal(count(bench, OX_ACTIVE), 0);
    assert_int_equal(count(bench, OX_FAILED), 0);
    stop(other);
}

static void children_die_with_their_parent(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "pids"), *json = quoted(path);
    struct test_process *worker = start_rogue(bench, "hang", "");
    ox_free(add(bench, json, 1));
    await_file(path);
    test_process_signal(worker, SIGKILL);
    assert_exit(worker, 128 + SIGKILL);
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
        "--handler-program %s --concurrency 4 --lock 1s %s=hang", self, bench->name);
    for (int i = 0; i < 40; i++) {
        g_autofree char *name = g_strdup_printf("pids%d", i), *path = in_folder(bench, name);
        g_autofree char *json = quoted(path);
        ox_free(add(bench, json, 1));
    }
    for (gulong delay_ms = 0; delay_ms < 100; delay_ms += 4) {
        struct test_process *worker = start_words(bench, words);
        g_usleep(delay_ms * 1000);
        test_process_signal(worker, SIGKILL);
        assert_exit(worker, 128 + SIGKILL);
        if (!test_wait_for(DEADLINE_MS, has_no_child, bench))
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
    close_queue(bench);
    bench->redis = start_lasting_redis();
    open_queue(bench);
    struct test_process *worker = start_rogue(bench, "until", "--concurrency 1");
    char *running = add(bench, json, 1), *waiting = add(bench, json, 1);
    await_file(begun);
    test_redis_kill(bench->redis);
    await_line(worker, "event=error");
    test_write(path, "", 0); /* it ends while there is nobody to tell */
    await_file(ended);
    g_autofree char *before = test_process_err(worker);
    assert_null(strstr(before, "event=completed")); /* nobody has stored it */
    test_redis_revive(bench->redis);
    close_queue(bench);
    open_queue(bench);
    await_state(bench, running, OX_COMPLETED);
    await_state(bench, waiting, OX_COMPLETED);
    assert_field(bench, running, "atm", "1");
    stop(worker);
    g_autofree char *err = test_process_err(worker);
    assert_int_equal(count_of(err, "event=connected"), 2);
    assert_int_equal(count_of(err, "event=completed"), 2);
    ox_free(running);
    ox_free(waiting);
    test_redis_stop(bench->redis);
    bench->redis = shared_redis;
}

static void close_ends_without_server(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "pids"), *json = quoted(path);
    close_queue(bench);
    bench->redis = start_lasting_redis();
    open_queue(bench);
    struct test_process *worker = start_rogue(bench, "hang", "--grace 100ms");
    ox_free(add(bench, json, 1));
    await_file(path);
    test_redis_kill(bench->redis);
    await_line(worker, "event=error");
    test_process_signal(worker, SIGTERM);
    await_line(worker, "event=giving-back");
    test_process_signal(worker, SIGTERM); /* or it would try for five seconds */
    assert_exit(worker, 1);
    assert_dead(path);
    test_redis_stop(bench->redis);
    bench->redis = shared_redis;
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
    close_queue(bench);
    bench->redis = start_lasting_redis();
    struct test_process *worker = start_rogue(bench, "tell", "--concurrency 1");
    assert_true(test_wait_for(DEADLINE_MS, worker_sleeps, bench));
    assert_int_equal(kill(bench->redis->pid, SIGSTOP), 0);
    test_process_signal(worker, SIGTERM);
    int status = test_process_wait(worker, 15000); /* the grace period is twice as long */
    kill(bench->redis->pid, SIGCONT);
    g_autofree char *err = test_process_err(worker);
    if (status != 1 || !strstr(err, "the server did not answer the last take in time"))
        test_fatal("exit status %d; stderr: %s", status, err);
    assert_null(strstr(err, "results"));
    test_redis_stop(bench->redis);
    bench->redis = shared_redis;
}

/* A result that is not stored is waited for, and told of. */
static void close_waits_for_results(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "go"), *json = quoted(path);
    g_autofree char *begun = g_strconcat(path, ".begun", NULL);
    g_autofree char *ended = g_strconcat(path, ".ended", NULL);
    close_queue(bench);
    bench->redis = start_lasting_redis();
    open_queue(bench);
    struct test_process *worker = start_rogue(bench, "until", "--concurrency 1");
    ox_free(add(bench, json, 1));
    await_file(begun);
    close_queue(bench);
    assert_int_equal(kill(bench->redis->pid, SIGSTOP), 0);
    test_write(path, "", 0);
    await_file(ended);
    test_process_signal(worker, SIGTERM);
    await_line(worker, "event=draining");
    assert_int_equal(test_process_wait(worker, 4000), TEST_STILL_RUNNING);
    test_process_signal(worker, SIGTERM); /* or it would wait for 35 seconds */
    assert_exit(worker, 1);
    kill(bench->redis->pid, SIGCONT);
    await_line(worker, "the server did not take the results in time");
    test_redis_stop(bench->redis);
    bench->redis = shared_redis;
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
            once, rows[i].name, self);
        g_autofree char *words =
            g_strdup_printf("--handler-program %s %s=tell", script, bench->name);
        test_write(script, text, -1);
        assert_int_equal(chmod(script, 0755), 0);
        struct test_process *worker = start_words(bench, words);
        if (rows[i].status == 0) { /* nobody closed a terminal */
            await_line(worker, "event=ignored");
            test_process_signal(worker, SIGTERM);
        } else {
            await_line(worker, "ox-worker: stopped by SIG");
        }
        assert_exit(worker, rows[i].status);
    }
}

/* ---- Words ------------------------------------------------------------------------------- */

static void assert_refused(const char *words, int status, const char *said)
{
    g_autofree char *line = g_strdup_printf("ox-worker %s", words);
    g_auto(GStrv) argv = g_strsplit(line, " ", -1);
    g_autofree char *out = NULL, *err = NULL;
    int got = test_run((const char *const *)argv, NULL, &out, &err);
    if (got != status || !strstr(err, said) || count_of(err, "\n") != 1 || *out)
        test_fatal("%s: exit status %d; stderr: %s", words, got, err);
}

static void reports_bad_starts_in_one_line(void **state)
{
    struct bench *bench = *state;
    static const char *const secret[] = { "--requirepass", "secret", NULL };
    struct test_redis *locked = test_redis_start(secret);
    g_autofree char *wrong = g_strdup_printf("--redis unix://:oops@%s q=noop", locked->socket);
    g_autofree char *nothing =
        g_strdup_printf("--redis unix://%s?db=99 q=noop", bench->redis->socket);
    assert_refused(nothing, 1, "ox-worker: ");
    assert_refused(wrong, 1, "ox-worker: ");
    assert_refused("--redis nonsense q=noop", 2, "--help");
    assert_refused("q", 2, "--help");
    assert_refused("a:b=noop", 2, "colon");
    assert_refused("q=nothing", 2, "there are: ");
    assert_refused("--bogus q=noop", 2, "--bogus");
    test_redis_stop(locked);
}

static void the_password_is_not_logged(void **state)
{
    struct bench *bench = *state;
    static const char *const secret[] = { "--requirepass", "s3cr3t", NULL };
    bench->redis = test_redis_start(secret);
    g_autofree char *line = g_strdup_printf(
        "ox-worker --redis unix://:s3cr3t@%s %s=noop", bench->redis->socket, bench->name);
    g_auto(GStrv) argv = g_strsplit(line, " ", -1);
    struct test_process *worker = test_start((const char *const *)argv, NULL);
    g_ptr_array_add(bench->workers, worker);
    await_line(worker, "event=connected");
    await_line(worker, "redis=unix://:***@");
    test_redis_kill(bench->redis);
    await_line(worker, "event=error");
    test_process_signal(worker, SIGTERM);
    assert_exit(worker, 0);
    g_autofree char *err = test_process_err(worker);
    assert_null(strstr(err, "s3cr3t"));
    test_redis_stop(bench->redis);
    bench->redis = shared_redis;
}

/* A server of the test's own that is not there yet, and a worker that was started before it. */
static struct test_process *start_before_redis(struct bench *bench, const char *const *args)
{
    bench->redis = test_redis_start(args);
    test_redis_kill(bench->redis);
    g_autofree char *words = g_strdup_printf("--handler-program %s %s=tell", self, bench->name);
    struct test_process *worker = start_words(bench, words);
    await_line(worker, "event=error");
    await_line(worker, "cannot connect to Redis at ");
    return worker;
}

static void stop_own_redis(struct bench *bench)
{
    close_queue(bench);
    test_redis_stop(bench->redis);
    bench->redis = shared_redis;
}

/* However long it takes, and says so once: also when the reason changes, from a socket at which
 * nobody listens to none at all. */
static void waits_for_redis_at_start(void **state)
{
    struct bench *bench = *state;
    close_queue(bench);
    struct test_process *worker = start_before_redis(bench, NULL);
    unlink(bench->redis->socket);
    assert_int_equal(test_process_wait(worker, 700), TEST_STILL_RUNNING);
    test_redis_revive(bench->redis);
    await_line(worker, "event=connected");
    open_queue(bench);
    char *id = add(bench, "{}", 1);
    await_state(bench, id, OX_COMPLETED);
    stop(worker);
    g_autofree char *err = test_process_err(worker);
    if (count_of(err, "event=error") != 1)
        test_fatal("not one line for the wait: %s", err);
    ox_free(id);
    stop_own_redis(bench);
}

static void stops_while_waiting_for_redis(void **state)
{
    struct bench *bench = *state;
    close_queue(bench);
    struct test_process *worker = start_before_redis(bench, NULL);
    test_process_signal(worker, SIGTERM);
    assert_exit(worker, 0);
    stop_own_redis(bench);
}

/* What the server says when it is there at last decides: no waiting mends a password. */
static void a_password_that_turns_out_wrong_ends_it(void **state)
{
    struct bench *bench = *state;
    static const char *const secret[] = { "--requirepass", "s3cr3t", NULL };
    close_queue(bench);
    struct test_process *worker = start_before_redis(bench, secret);
    test_redis_revive(bench->redis);
    assert_exit(worker, 1);
    g_autofree char *err = test_process_err(worker);
    assert_non_null(strstr(err, "Redis refused the credentials"));
    stop_own_redis(bench);
}

/* A server that reads its data in is waited for like one that is away. */
static void waits_for_loading_server(void **state)
{
    struct bench *bench = *state;
    static const char *const args[] = { "--enable-debug-command", "yes",
        "--loading-process-events-interval-bytes", "1024", NULL };
    close_queue(bench);
    bench->redis = test_redis_start(args);
    test_redis_do(bench->redis, "DEBUG POPULATE 200 filler 200");
    test_redis_do(bench->redis, "CONFIG SET key-load-delay 5000");
    redisContext *other = redisConnectUnix(bench->redis->socket);
    int sent = 0;
    redisAppendCommand(other, "DEBUG RELOAD");
    while (!sent)
        assert_int_equal(redisBufferWrite(other, &sent), REDIS_OK);
    g_autofree char *words = g_strdup_printf("--handler-program %s %s=tell", self, bench->name);
    struct test_process *worker = start_words(bench, words);
    await_line(worker, "it is loading its data (LOADING)");
    redisReply *reply = NULL;
    assert_int_equal(redisGetReply(other, (void **)&reply), REDIS_OK);
    freeReplyObject(reply);
    redisFree(other);
    await_line(worker, "event=connected");
    stop(worker);
    stop_own_redis(bench);
}

/* While writes are refused: a line at the beginning, and one when they are taken again. */
static void refused_writes_are_logged_once(void **state)
{
    struct bench *bench = *state;
    close_queue(bench);
    bench->redis = test_redis_start(NULL);
    g_autofree char *words =
        g_strdup_printf("--handler-program %s --lock 300ms %s=tell", self, bench->name);
    struct test_process *worker = start_words(bench, words);
    await_line(worker, "event=connected");
    test_redis_do(bench->redis, "CONFIG SET min-replicas-to-write 1");
    await_line(worker, "it has too few replicas (NOREPLICAS)");
    assert_int_equal(test_process_wait(worker, 1500), TEST_STILL_RUNNING);
    test_redis_do(bench->redis, "CONFIG SET min-replicas-to-write 0");
    open_queue(bench);
    char *id = add(bench, "{}", 1);
    await_state(bench, id, OX_COMPLETED);
    stop(worker);
    g_autofree char *err = test_process_err(worker);
    if (count_of(err, "event=error") != 1 || count_of(err, "event=connected") != 2)
        test_fatal("not one line for each change: %s", err);
    ox_free(id);
    stop_own_redis(bench);
}

static void json_logs_are_json(void **state)
{
    struct bench *bench = *state;
    struct test_process *worker = start_rogue(bench, "talk", "");
    stop(worker);
    g_autofree char *words =
        g_strdup_printf("--handler-program %s --log-format json %s=talk", self, bench->name);
    worker = start_words(bench, words);
    char *id = add(bench, "{}", 1);
    await_state(bench, id, OX_COMPLETED);
    stop(worker);
    g_autofree char *err = test_process_err(worker);
    g_auto(GStrv) lines = g_strsplit(g_strchomp(err), "\n", -1);
    bool completed = false;
    for (char **line = lines; *line; line++) {
        json_t *event = json_loads(*line, 0, NULL);
        const char *name = NULL, *job = NULL;
        if (!event)
            test_fatal("no JSON: %s", *line);
        assert_int_equal(json_unpack(event, "{s:s, s?s}", "event", &name, "id", &job), 0);
        completed = completed || (strcmp(name, "completed") == 0 && strcmp(job, id) == 0);
        json_decref(event);
    }
    assert_true(completed);
    ox_free(id);
}

/* Where the manual explains "--name ARG", up to the next option. */
static char *find_section(const char *manual, const char *name, const char *arg)
{
    g_auto(GStrv) parts = g_strsplit(name, "-", -1);
    g_autofree char *escaped = g_strjoinv("\\-", parts);
    g_autofree char *head = *arg != '\0' ? g_strdup_printf(".BI \\-\\-%s= %s\n", escaped, arg)
                                         : g_strdup_printf("\\-\\-%s\n", escaped);
    const char *start = strstr(manual, head);
    if (start == NULL)
        test_fatal("docs/ox-worker.1 lacks --%s %s", name, arg);
    const char *end = strstr(start, "\n.TP");
    return g_strndup(start, end != NULL ? (gsize)(end - start) : strlen(start));
}

/* Every option of --help stands in the manual, with its value and default, and no other. */
static void the_manual_has_the_options(void **state)
{
    (void)state;
    g_autofree char *help = NULL, *manual = test_read("docs/ox-worker.1", NULL);
    assert_int_equal(test_run_words(&help, NULL, "ox-worker", "--help", NULL), 0);
    assert_non_null(manual);
    g_autoptr(GRegex) wrapped = g_regex_new("\n {20,}", 0, 0, NULL);
    g_autoptr(GRegex) row =
        g_regex_new("^  (?:-h, )?--([a-z-]+)(?: ([^ ]+))? .*?(?:default +([^)]+)\\))?$",
            G_REGEX_MULTILINE, 0, NULL);
    g_autofree char *lines = g_regex_replace_literal(wrapped, help, -1, 0, "  ", 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    int options = 0;
    for (g_regex_match(row, lines, 0, &match); g_match_info_matches(match);
         g_match_info_next(match, NULL), options++) {
        g_autofree char *name = g_match_info_fetch(match, 1);
        g_autofree char *arg = g_match_info_fetch(match, 2);
        g_autofree char *standard = g_match_info_fetch(match, 3);
        g_autofree char *section = find_section(manual, name, arg != NULL ? arg : "");
        if (standard != NULL && strstr(section, standard) == NULL)
            test_fatal("docs/ox-worker.1: --%s does not name its default %s", name, standard);
    }
    int explained = count_of(manual, "\n.TP\n.BI \\-\\-");
    explained += count_of(manual, "\n.TP\n.B \\-\\-");
    assert_int_equal(explained, options - 1); /* help stands behind its letter */
}

static int notify_socket(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const struct timeval patience = { .tv_sec = DEADLINE_MS / 1000 };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path));
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

/* The next thing that systemd is told, but for the status. */
static void expect_told(int fd, const char *state)
{
    char text[256];
    do {
        ssize_t got = read(fd, text, sizeof text - 1);
        if (got <= 0)
            test_fatal("%s did not come", state);
        text[got] = '\0';
    } while (g_str_has_prefix(text, "STATUS="));
    assert_string_equal(text, state);
}

/* It says when it is ready, to who asked for that. */
static void notifies_systemd(void **state)
{
    struct bench *bench = *state;
    g_autofree char *path = in_folder(bench, "notify");
    int fd = notify_socket(path);
    g_setenv("NOTIFY_SOCKET", path, TRUE);
    struct test_process *worker = start_rogue(bench, "tell", "");
    g_unsetenv("NOTIFY_SOCKET");
    expect_told(fd, "READY=1");
    stop(worker);
    expect_told(fd, "STOPPING=1");
    close(fd);
}

int main(int argc, char **argv)
{
    if (rogue_wanted(argc, argv))
        return serve_main(argc, argv, rogue_handlers);
    self = g_canonicalize_filename(argv[0], NULL);
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)
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
        TEST(a_failed_start_costs_no_attempt),
        TEST(drain_starts_no_child),
        TEST(drain_finishes_active_jobs),
        TEST(moves_job_to_wait_after_grace),
        TEST(a_second_signal_does_not_wait),
        TEST(sigterm_stops_taking),
        TEST(a_hangup_without_a_terminal_is_ignored),
        TEST(a_closed_terminal_drains),
        TEST(released_jobs_are_parked_for_5x),
        TEST(a_lost_lock_kills_the_child),
        TEST(reports_unstored_result),
        TEST(a_killed_worker_loses_no_job),
        TEST(children_die_with_their_parent),
        TEST(no_child_outlives_a_worker_killed_at_any_moment),
        TEST(reconnects_to_lost_server),
        TEST(close_ends_without_server),
        TEST(an_idle_drain_does_not_wait_for_a_silent_server),
        TEST(close_waits_for_results),
        TEST(a_signal_at_the_start_is_a_stop),
        TEST(reports_bad_starts_in_one_line),
        TEST(the_password_is_not_logged),
        TEST(waits_for_redis_at_start),
        TEST(stops_while_waiting_for_redis),
        TEST(a_password_that_turns_out_wrong_ends_it),
        TEST(waits_for_loading_server),
        TEST(refused_writes_are_logged_once),
        TEST(json_logs_are_json),
        TEST(the_manual_has_the_options),
        TEST(notifies_systemd),
    };
    int status = cmocka_run_group_tests(tests, start_redis, stop_redis);
    g_free(self);
    return status;
}
