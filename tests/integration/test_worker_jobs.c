/*
 * test_worker_jobs.c - what is said of single jobs to ox-worker: that one is cancelled, how
 * long it may run, until when it may start, and how its failures are told. ox-worker runs
 * programs for jobs of a real Redis; `ox` and what is in Redis judge it.
 */
#include "../support/check.h"

#include <glib.h>
#include <ox.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/ran.h"
#include "../support/redis.h"
#include "../support/worker.h"

#define DEADLINE_MS 30000

static struct test_process *worker;
static char *queue; /* of the test that runs */

/* ---- worker ------------------------------------------------------------------------------ */

static int open_test(void **state)
{
    static int count;
    (void)state;
    worker = NULL;
    queue = g_strdup_printf("q%d", ++count);
    return 0;
}

static int close_test(void **state)
{
    (void)state;
    test_process_free(worker);
    g_free(queue);
    return 0;
}

/* Starts ox-worker on the queue; its jobs are a shell script that gets their data as $n. */
static void start(const char *script, const char *options)
{
    g_autofree char *path = g_build_filename(dir, queue, NULL);
    g_autofree char *text = g_strconcat("#!/bin/sh\nread -r n\n", script, "\n", NULL);
    g_autofree char *word = g_strdup_printf("%s=exec:%s", queue, path);
    test_write(path, text, -1);
    chmod(path, 0755);
    worker =
        test_worker_start(test_redis_url(redis), options, TEST_WORDS("--concurrency=1", word));
    test_worker_connects(worker);
}

static void stop(void)
{
    test_worker_stop(worker);
    test_process_free(worker);
    worker = NULL; /* the test may start another one */
}

/* ---- jobs -------------------------------------------------------------------------------- */

struct level {
    const char *state, *id;
};

static bool is_in(void *arg)
{
    const struct level *level = arg;
    return test_redis_int(redis, "EXISTS bull:%s:%s", queue, level->id) == 1 &&
           (!strcmp(level->state, "active")
                   ? test_redis_int(redis, "LLEN bull:%s:active", queue) == 1
                   : test_redis_int(redis, "ZCARD bull:%s:%s", queue, level->state) >=
                         strtol(level->id, NULL, 10));
}

/* Waits until as many jobs as the id says are in that state, of which this is the last one. */
static void await_state(const char *id, const char *state)
{
    struct level level = { state, id };
    if (!test_wait_for(DEADLINE_MS, is_in, &level)) {
        g_autofree char *err = worker ? test_process_err(worker) : g_strdup("");
        test_fatal("job %s is not %s: %s", id, state, err);
    }
}

static void expect_field(const char *id, const char *name, const char *wanted)
{
    g_autofree char *text = test_redis_text(redis, "HGET bull:%s:%s %s", queue, id, name);
    if (g_strcmp0(text, wanted) != 0)
        test_fatal("job %s: %s is %s, not %s", id, name, text ? text : "(nil)", wanted);
}

/* Reason, first line of the newest stack trace and the last log row are one story. */
static void expect_story(const char *id, const char *reason)
{
    expect_field(id, "failedReason", reason);
    g_autofree char *traces = test_redis_text(redis, "HGET bull:%s:%s stacktrace", queue, id);
    const char *last = traces ? g_strrstr(traces, "\",\"") : NULL;
    if (!traces || !g_str_has_prefix(last ? last + 3 : traces + 2, reason))
        test_fatal("job %s: its stack trace is %s", id, traces ? traces : "(nil)");
    g_autofree char *row = test_redis_text(redis, "LINDEX bull:%s:%s:logs -1", queue, id);
    if (g_strcmp0(row, reason) != 0)
        test_fatal("job %s: its last row is %s", id, row ? row : "(nil)");
}

static void await_line(const char *text)
{
    test_worker_says(worker, text);
}

/* ---- cancel ------------------------------------------------------------------------------ */

static bool has_row(void *id)
{
    return test_redis_int(redis, "LLEN bull:%s:%s:logs", queue, id) > 0;
}

/* Its own id of a process is one in its namespace, so it is known by what it runs. */
static bool runs_script(const char *process, const char *path)
{
    g_autofree char *file = g_build_filename("/proc", process, "cmdline", NULL), *text = NULL;
    gsize length, first;
    if (!g_file_get_contents(file, &text, &length, NULL))
        return false;
    first = strlen(text) + 1;
    return first < length && strcmp(text, "/bin/sh") == 0 && strcmp(text + first, path) == 0;
}

static bool is_dead(void *arg)
{
    g_autofree char *path = g_build_filename(dir, queue, NULL);
    g_autoptr(GDir) processes = g_dir_open("/proc", 0, NULL);
    const char *name;
    (void)arg;
    while ((name = g_dir_read_name(processes)))
        if (runs_script(name, path))
            return false;
    return true;
}

/* The run is killed within a renewal, which comes every 3 s, and the slot is free again. */
static void a_run_is_cancelled(void **state)
{
    (void)state;
    start("[ \"$n\" = '\"hang\"' ] || exit 0; echo runs >&2; sleep 600", "");
    ox("add", queue, "n", "\"hang\"", "--attempts", "5");
    assert_true(test_wait_for(DEADLINE_MS, has_row, (void *)(uintptr_t) "1"));
    assert_false(is_dead(NULL));
    ox("cancel", queue, "1", "--reason", "wrong photo", "--json");
    expect_done("{\"id\":\"1\",\"cancelled\":true,\"handler_stops\":true}\n");
    expect_story("1", "cancelled: wrong photo");
    assert_int_equal(test_redis_int(redis, "ZCARD bull:%s:failed", queue), 1);
    assert_true(test_wait_for(DEADLINE_MS, is_dead, NULL));
    await_line("event=cancelled");
    await_line("type=cancelled");
    assert_int_equal(test_redis_int(redis, "LLEN bull:%s:1:logs", queue), 2);
    ox("add", queue, "n", "1", "--wait");
    expect_done("null\n");
    g_autofree char *err = test_process_err(worker);
    if (strstr(err, "event=error") || strstr(err, "event=dropped"))
        test_fatal("it told more than that: %s", err);
    ox("retry", queue, "1");
    await_state("1", "active");
    ox("cancel", queue, "1");
    expect_done("1\n");
    expect_field("1", "failedReason", "cancelled");
    stop();
}

static void only_active_jobs_are_cancelled(void **state)
{
    (void)state;
    ox("add", queue, "n");
    ox("cancel", queue, "1");
    expect_refusal(
        1, "only active jobs can be cancelled, this one is waiting (ox rm removes it)");
    ox("cancel", queue, "9");
    expect_refusal(3, "9");
    ox("cancel", queue);
    expect_refusal(2, "");
    assert_int_equal(test_redis_int(redis, "LLEN bull:%s:wait", queue), 1);
    assert_int_equal(test_redis_int(redis, "EXISTS bull:%s:1:lock", queue), 0);
}

/* A worker that is gone, and one of which nothing is known. */
static void a_run_without_a_lock_is_cancelled(void **state)
{
    (void)state;
    for (int i = 1; i <= 2; i++) {
        g_autofree char *id = g_strdup_printf("%d", i);
        ox("add", queue, "n", i == 2 ? "--remove-on-fail" : "--remove-on-fail=false");
        test_redis_do(redis, "RPOPLPUSH bull:%s:wait bull:%s:active", queue, queue);
        if (i == 2)
            test_redis_do(redis, "SET bull:%s:2:lock 5f0c:1 PX 60000", queue);
        ox("cancel", queue, id);
        if (ran.status || !strstr(ran.err, "its handler may run on"))
            told();
        assert_int_equal(test_redis_int(redis, "LLEN bull:%s:active", queue), 0);
        assert_int_equal(test_redis_int(redis, "EXISTS bull:%s:%s:lock", queue, id), 0);
    }
    expect_story("1", "cancelled");
    assert_int_equal(test_redis_int(redis, "EXISTS bull:%s:2 bull:%s:2:logs", queue, queue), 0);
}

/* ---- timeout and expire ------------------------------------------------------------------ */

/* The shorter one of the job's time and the worker's. */
static void a_job_has_a_timeout_of_its_own(void **state)
{
    (void)state;
    start("sleep 600", "--timeout 2s --log-format json");
    ox("add", queue, "n", "1", "--timeout", "300ms", "--wait");
    expect_refusal(1, "handler killed: timeout after 300ms");
    expect_story("1", "handler killed: timeout after 300ms");
    await_line("\"type\":\"timeout\",\"reason\":\"handler killed: timeout after 300ms\"");
    ox("add", queue, "n", "1", "--timeout", "1h", "--wait");
    expect_refusal(1, "handler killed: timeout after 2s");
    g_autofree char *opts = test_redis_text(redis, "HGET bull:%s:1 opts", queue);
    assert_non_null(strstr(opts, "\"timeout\":300"));
    stop();
}

static void a_job_has_a_timeout_where_its_route_has_none(void **state)
{
    (void)state;
    start("sleep 600", "--timeout 0");
    ox("add", queue, "n", "1", "--timeout", "300ms", "--wait");
    expect_refusal(1, "handler killed: timeout after 300ms");
    stop();
    /* Without one there is no deadline, and nothing to print. */
    start("printenv OX_DEADLINE", "--timeout 0");
    ox("add", queue, "n", "1", "--wait");
    expect_refusal(1, "status 1");
    stop();
}

static void an_expired_job_fails_unrun(void **state)
{
    (void)state;
    ox("add", queue, "late", "1", "--expire", "1ms", "--attempts", "3");
    ox("add", queue, "good", "1", "--expire", "1h");
    ox("add", queue, "odd", "1", "--opts", "{\"expire\":1,\"timestamp\":5}");
    start("echo 7", "");
    await_state("2", "failed");
    assert_int_equal(test_redis_int(redis, "ZCARD bull:%s:failed", queue), 2);
    expect_story("1", "expired before start");
    expect_field("1", "atm", "1");
    expect_story("3", "expired before start");
    await_line("unrun=true type=expired");
    ox("add", queue, "never", "1", "--expire", "0", "--timeout", "0", "--wait");
    expect_field("4", "returnvalue", "7");
    ox("add", queue, "n", "1", "--expire", "-1");
    expect_refusal(2, "--expire");
    await_state("1", "completed");
    expect_field("2", "returnvalue", "7");
    stop();
}

/* Its child dies each time; attempts are left. */
static void a_job_that_starts_too_often_fails(void **state)
{
    (void)state;
    start("echo run >&2; kill -9 $PPID; sleep 60", "--max-started 2");
    ox("add", queue, "n", "1", "--attempts", "9");
    await_state("1", "failed");
    expect_story("1", "job started more than allowable limit");
    expect_field("1", "ats", "3");
    expect_field("1", "atm", "3");
    await_line("type=crashed reason=\"handler crashed: SIGKILL");
    await_line("unrun=true type=started-too-often");
    stop();
}

static bool are_given_back(void *arg)
{
    (void)arg;
    return test_redis_int(redis, "LLEN bull:%s:wait", queue) == 4 &&
           test_redis_int(redis, "LLEN bull:%s:active", queue) == 1 &&
           test_redis_int(redis, "HEXISTS bull:%s:5 ats", queue) == 1;
}

/* Jobs that were taken before a child was free go back when they have to wait, in their order,
 * as often as it takes, and their starts do not count.
 */
static void jobs_taken_ahead_do_not_wait_for_a_long_one(void **state)
{
    (void)state;
    g_autofree char *go = g_build_filename(dir, "go", NULL);
    g_autofree char *script = g_strdup_printf(
        "[ \"$n\" = 1 ] || exit 0; while [ ! -e '%s' ]; do sleep 0.02; done", go);
    start(script, "--ahead=4 --max-started=1");
    for (int i = 1; i <= 5; i++) {
        g_autofree char *data = g_strdup_printf("%d", i);
        ox("add", queue, "n", data);
    }
    assert_true(test_wait_for(DEADLINE_MS, are_given_back, NULL));
    for (int i = 2; i <= 5; i++) {
        g_autofree char *id = g_strdup_printf("%d", i);
        g_autofree char *at = test_redis_text(redis, "LINDEX bull:%s:wait %d", queue, 1 - i);
        assert_string_equal(at, id);
        expect_field(id, "ats", "0");
    }
    test_write(go, "", 0);
    await_state("5", "completed");
    for (int i = 1; i <= 5; i++) {
        g_autofree char *id = g_strdup_printf("%d", i);
        expect_field(id, "ats", "1");
        expect_field(id, "atm", "1");
    }
    stop();
}

static bool are_ranked(void *ids)
{
    g_autofree char *text = test_redis_text(redis, "EVAL %s 1 bull:%s:prioritized",
        "return table.concat(redis.call('ZRANGE', KEYS[1], 0, -1), ' ')", queue);
    return g_strcmp0(text, ids) == 0;
}

static void await_ranks(const char *ids)
{
    if (!test_wait_for(DEADLINE_MS, are_ranked, (void *)(uintptr_t)ids))
        test_fatal("the jobs with priorities are not %s", ids);
}

/* A job with a priority goes back before all others of that priority, and several of them are
 * in the order of their ids as text there: their scores say no more. */
static void jobs_taken_ahead_go_back_before_their_equals(void **state)
{
    (void)state;
    g_autofree char *go = g_build_filename(dir, "went", NULL);
    g_autofree char *script = g_strdup_printf(
        "[ \"$n\" = 1 ] || exit 0; while [ ! -e '%s' ]; do sleep 0.02; done", go);
    test_redis_do(redis, "SET bull:%s:id 7", queue);
    start(script, "--ahead=2");
    for (int i = 1; i <= 3; i++) {
        g_autofree char *data = g_strdup_printf("%d", i);
        ox("add", queue, "n", data, "--priority", "5");
    }
    await_ranks("10 9");
    ox("add", queue, "n", "4", "--priority", "5");
    ox("add", queue, "n", "5", "--priority", "1");
    await_ranks("12 10 9 11");
    test_write(go, "", 0);
    await_ranks("");
    stop();
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, open_test, close_test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_run_is_cancelled),
        TEST(only_active_jobs_are_cancelled),
        TEST(a_run_without_a_lock_is_cancelled),
        TEST(a_job_has_a_timeout_of_its_own),
        TEST(a_job_has_a_timeout_where_its_route_has_none),
        TEST(an_expired_job_fails_unrun),
        TEST(a_job_that_starts_too_often_fails),
        TEST(jobs_taken_ahead_do_not_wait_for_a_long_one),
        TEST(jobs_taken_ahead_go_back_before_their_equals),
    };
    return cmocka_run_group_tests(tests, ran_begin, ran_end);
}
