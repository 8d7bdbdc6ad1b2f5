/*
 * test_worker_daemon.c - ox-worker as an operator starts it: what it refuses, what it waits for
 * at its start, what it logs, what its manual says, and what it tells systemd.
 */
#include "../support/check.h"

#include <errno.h>
#include <glib.h>
#include <jansson.h>
#include <ox.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/daemon_bench.h"
#include "../support/files.h"
#include "../support/process.h"
#include "../support/redis.h"
#include "../support/rogue.h"
#include "../support/worker.h"
#include "worker/serve.h"

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
    test_worker_says(worker, "event=connected");
    test_worker_says(worker, "redis=unix://:***@");
    test_redis_kill(bench->redis);
    test_worker_says(worker, "event=error");
    test_process_signal(worker, SIGTERM);
    test_worker_ends(worker, 0);
    g_autofree char *err = test_process_err(worker);
    assert_null(strstr(err, "s3cr3t"));
    test_redis_stop(bench->redis);
    bench->redis = bench_redis;
}

/* A server of the test's own that is not there yet, and a worker that was started before it. */
static struct test_process *start_before_redis(struct bench *bench, const char *const *args)
{
    bench->redis = test_redis_start(args);
    test_redis_kill(bench->redis);
    g_autofree char *words =
        g_strdup_printf("--handler-program %s %s=tell", bench_program, bench->name);
    struct test_process *worker = start_words(bench, words);
    test_worker_says(worker, "event=error");
    test_worker_says(worker, "cannot connect to Redis at ");
    return worker;
}

static void stop_own_redis(struct bench *bench)
{
    bench_close_queue(bench);
    test_redis_stop(bench->redis);
    bench->redis = bench_redis;
}

/* However long it takes, and says so once: also when the reason changes, from a socket at which
 * nobody listens to none at all. */
static void waits_for_redis_at_start(void **state)
{
    struct bench *bench = *state;
    bench_close_queue(bench);
    struct test_process *worker = start_before_redis(bench, NULL);
    unlink(bench->redis->socket);
    assert_int_equal(test_process_wait(worker, 700), TEST_STILL_RUNNING);
    test_redis_revive(bench->redis);
    test_worker_says(worker, "event=connected");
    bench_open_queue(bench);
    char *id = add(bench, "{}", 1);
    await_state(bench, id, OX_COMPLETED);
    test_worker_stop(worker);
    g_autofree char *err = test_process_err(worker);
    if (count_of(err, "event=error") != 1)
        test_fatal("not one line for the wait: %s", err);
    ox_free(id);
    stop_own_redis(bench);
}

static void stops_while_waiting_for_redis(void **state)
{
    struct bench *bench = *state;
    bench_close_queue(bench);
    struct test_process *worker = start_before_redis(bench, NULL);
    test_process_signal(worker, SIGTERM);
    test_worker_ends(worker, 0);
    stop_own_redis(bench);
}

/* What the server says when it is there at last decides: no waiting mends a password. */
static void a_password_that_turns_out_wrong_ends_it(void **state)
{
    struct bench *bench = *state;
    static const char *const secret[] = { "--requirepass", "s3cr3t", NULL };
    bench_close_queue(bench);
    struct test_process *worker = start_before_redis(bench, secret);
    test_redis_revive(bench->redis);
    test_worker_ends(worker, 1);
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
    bench_close_queue(bench);
    bench->redis = test_redis_start(args);
    test_redis_do(bench->redis, "DEBUG POPULATE 200 filler 200");
    test_redis_do(bench->redis, "CONFIG SET key-load-delay 5000");
    redisContext *other = redisConnectUnix(bench->redis->socket);
    int sent = 0;
    redisAppendCommand(other, "DEBUG RELOAD");
    while (!sent)
        assert_int_equal(redisBufferWrite(other, &sent), REDIS_OK);
    g_autofree char *words =
        g_strdup_printf("--handler-program %s %s=tell", bench_program, bench->name);
    struct test_process *worker = start_words(bench, words);
    test_worker_says(worker, "it is loading its data (LOADING)");
    redisReply *reply = NULL;
    assert_int_equal(redisGetReply(other, (void **)&reply), REDIS_OK);
    freeReplyObject(reply);
    redisFree(other);
    test_worker_says(worker, "event=connected");
    test_worker_stop(worker);
    stop_own_redis(bench);
}

/* While writes are refused: a line at the beginning, and one when they are taken again. */
static void refused_writes_are_logged_once(void **state)
{
    struct bench *bench = *state;
    bench_close_queue(bench);
    bench->redis = test_redis_start(NULL);
    g_autofree char *words = g_strdup_printf(
        "--handler-program %s --lock 300ms %s=tell", bench_program, bench->name);
    struct test_process *worker = start_words(bench, words);
    test_worker_says(worker, "event=connected");
    test_redis_do(bench->redis, "CONFIG SET min-replicas-to-write 1");
    test_worker_says(worker, "it has too few replicas (NOREPLICAS)");
    assert_int_equal(test_process_wait(worker, 1500), TEST_STILL_RUNNING);
    test_redis_do(bench->redis, "CONFIG SET min-replicas-to-write 0");
    bench_open_queue(bench);
    char *id = add(bench, "{}", 1);
    await_state(bench, id, OX_COMPLETED);
    test_worker_stop(worker);
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
    test_worker_stop(worker);
    g_autofree char *words = g_strdup_printf(
        "--handler-program %s --log-format json %s=talk", bench_program, bench->name);
    worker = start_words(bench, words);
    char *id = add(bench, "{}", 1);
    await_state(bench, id, OX_COMPLETED);
    test_worker_stop(worker);
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
    int fd = test_notify_socket(path);
    g_setenv("NOTIFY_SOCKET", path, TRUE);
    struct test_process *worker = start_rogue(bench, "tell", "");
    g_unsetenv("NOTIFY_SOCKET");
    expect_told(fd, "READY=1");
    test_worker_stop(worker);
    expect_told(fd, "STOPPING=1");
    close(fd);
}

int main(int argc, char **argv)
{
    if (rogue_wanted(argc, argv))
        return serve_main(argc, argv, rogue_handlers);
    bench_program = g_canonicalize_filename(argv[0], NULL);
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)
    const struct CMUnitTest tests[] = {
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
    int status = cmocka_run_group_tests(tests, bench_begin, bench_end);
    g_free(bench_program);
    return status;
}
