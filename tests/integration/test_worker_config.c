/*
 * test_worker_config.c - ox-worker with a settings file: routes by job name, settings that are
 * read again while jobs run, what it tells when asked, and what it tells systemd.
 *
 * Real processes and a real Redis. The handlers are those of rogue.c, which this very program
 * runs when ox-worker starts it as its program of handlers.
 */
#include "../support/check.h"

#include <glib.h>
#include <ox.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/rogue.h"
#include "../support/server.h"
#include "../support/worker.h"
#include "worker/serve.h"

#define DEADLINE_MS 30000

static char *self;
static ox_client *client;

/* What a test has: a folder with the settings file, and a worker that it started. */
static struct {
    char *folder, *conf;
    struct test_process *worker;
    size_t seen; /* of what it logged: where await_line() goes on */
} bench;

static int open_bench(void **state)
{
    (void)state;
    bench.folder = test_dir_new();
    bench.conf = g_build_filename(bench.folder, "ox.conf", NULL);
    bench.worker = NULL;
    bench.seen = 0;
    test_redis_do(redis, "FLUSHALL");
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    test_process_free(bench.worker);
    test_remove(bench.folder);
    g_free(bench.folder);
    g_free(bench.conf);
    return 0;
}

/* ---- the worker ----------------------------------------------------------------------------
 */

/* The file: the server, the program of handlers, a fast end; then `text`. */
static void write_conf(const char *more, const char *text)
{
    g_autofree char *whole = g_strdup_printf("[worker]\nredis = %s\nhandler-program = %s\n%s%s",
        test_redis_url(redis), self, more, text);
    test_write(bench.conf, whole, -1);
}

struct line_wait {
    const char *text;
};

static bool is_logged(void *arg)
{
    const struct line_wait *wait = arg;
    g_autofree char *err = test_process_err(bench.worker);
    const char *at = strlen(err) > bench.seen ? strstr(err + bench.seen, wait->text) : NULL;
    if (at)
        bench.seen = (size_t)(at - err) + strlen(wait->text);
    return at != NULL;
}

/* Waits for a line behind the one that was waited for last. */
static void await_line(const char *text)
{
    struct line_wait wait = { text };
    if (!test_wait_for(DEADLINE_MS, is_logged, &wait)) {
        g_autofree char *err = test_process_err(bench.worker);
        test_fatal("'%s' was not logged, but: %s", text, err);
    }
}

static void start(const char *text)
{
    write_conf("", text);
    const char *const argv[] = { "ox-worker", "--config", bench.conf, NULL };
    bench.worker = test_start(argv, NULL);
    await_line("event=connected");
}

static void reload(const char *text)
{
    write_conf("", text);
    test_process_signal(bench.worker, SIGHUP);
}

static void stop(void)
{
    test_worker_stop(bench.worker);
}

/* ---- jobs ----------------------------------------------------------------------------------
 */

static char *add(const char *queue_name, const char *name, const char *json)
{
    ox_queue *queue = NULL;
    ox_error err = { 0 };
    char *id = NULL;
    const ox_job_options options = { .attempts = 3 };
    if (ox_queue_new(&queue, client, queue_name, NULL, &err) < 0 ||
        ox_queue_add(queue, name, json, &options, &id, &err) < 0)
        test_fatal("%s", err.text);
    ox_queue_free(queue);
    return id;
}

static void await_state(const char *queue_name, const char *id, int state)
{
    ox_queue *queue = NULL;
    assert_int_equal(ox_queue_new(&queue, client, queue_name, NULL, NULL), 0);
    test_job_is(queue, id, state, bench.worker);
    ox_queue_free(queue);
}

static void expect_field_of(
    const char *queue_name, const char *id, const char *field, const char *wanted)
{
    g_autofree char *text = test_redis_text(redis, "HGET bull:%s:%s %s", queue_name, id, field);
    if (g_strcmp0(text, wanted) != 0)
        test_fatal("%s %s: %s is %s, not %s", queue_name, id, field, text, wanted);
}

static void run_and_expect(const char *queue_name, const char *name, const char *returns)
{
    char *id = add(queue_name, name, "{\"a\":1}");
    await_state(queue_name, id, OX_COMPLETED);
    expect_field_of(queue_name, id, "returnvalue", returns);
    ox_free(id);
}

/* A path in the folder as JSON, for the handler `until`: it runs until the file is there. */
static char *gate(const char *name)
{
    return g_strdup_printf("\"%s/%s\"", bench.folder, name);
}

static bool file_is_there(void *path)
{
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void await_begun(const char *name)
{
    g_autofree char *path = g_strdup_printf("%s/%s.begun", bench.folder, name);
    if (!test_wait_for(DEADLINE_MS, file_is_there, path)) {
        g_autofree char *err = test_process_err(bench.worker);
        test_fatal("%s did not begin: %s", name, err);
    }
}

static void open_gate(const char *name)
{
    g_autofree char *path = g_build_filename(bench.folder, name, NULL);
    test_write(path, "", 0);
}

static bool has_begun(const char *name)
{
    g_autofree char *path = g_strdup_printf("%s/%s.begun", bench.folder, name);
    return file_is_there(path);
}

/* ---- routes --------------------------------------------------------------------------------
 */

static void jobs_are_routed_by_name(void **state)
{
    (void)state;
    start("[handler q/one]\nrun = tell\n[handler q/two]\nrun = copy\n");
    run_and_expect("q", "one", "\"q 1 one 1 7\"");
    run_and_expect("q", "two", "{\"a\":1}");
    char *id = add("q", "three", "{}");
    await_state("q", id, OX_FAILED);
    expect_field_of("q", id, "failedReason",
        "no handler for jobs named three; the queue q has one for one, two");
    expect_field_of("q", id, "atm", "1");
    await_line(
        "event=failed queue=q id=3 name=three attempt=1 type=no-handler reason=\"no handler "
        "for jobs named three; the queue q has one for one, two\"");
    ox_free(id);
    stop();
}

static void the_star_takes_the_rest(void **state)
{
    (void)state;
    start("[handler q/*]\nrun = copy\n[handler q/one]\nrun = tell\n");
    run_and_expect("q", "one", "\"q 1 one 1 7\"");
    run_and_expect("q", "other", "{\"a\":1}");
    stop();
}

/* How many jobs run at once is the queue's, whichever routes they take. */
static void concurrency_is_the_queues(void **state)
{
    (void)state;
    start(
        "[queue q]\nconcurrency = 2\n[handler q/x]\nrun = until\n[handler q/y]\nrun = until\n");
    g_autofree char *one = gate("1"), *two = gate("2"), *three = gate("3");
    ox_free(add("q", "x", one));
    ox_free(add("q", "y", two));
    char *last = add("q", "x", three);
    await_begun("1");
    await_begun("2");
    await_state("q", last, OX_WAITING);
    assert_false(has_begun("3"));
    open_gate("1");
    await_begun("3");
    open_gate("2");
    open_gate("3");
    await_state("q", last, OX_COMPLETED);
    ox_free(last);
    stop();
}

static int count_of(const char *text, const char *what)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        count++;
    return count;
}

/* What it logs when it is asked for its state. */
static char *ask_status(void)
{
    size_t before = bench.seen;
    g_autofree char *logged = test_process_err(bench.worker);
    size_t from = bench.seen = strlen(logged);
    test_process_signal(bench.worker, SIGUSR1);
    await_line("event=status");
    await_line("rss=");
    g_autofree char *err = test_process_err(bench.worker);
    bench.seen = before;
    return g_strdup(err + from);
}

static bool has_few_children(void *arg)
{
    (void)arg;
    g_autofree char *status = ask_status();
    return count_of(status, "event=slot") <= 4;
}

/* Children that wait for jobs of other names do not add up: besides those for the jobs that run
 * at once, each further route keeps one at most. */
static void idle_children_are_few(void **state)
{
    (void)state;
    start("[queue q]\nconcurrency = 2\n[handler q/x]\nrun = until\n[handler q/y]\nrun = until\n"
          "[handler q/z]\nrun = until\n");
    for (const char *name = "x\0y\0z\0"; *name; name += 2) {
        g_autofree char *first = g_strconcat(name, "1", NULL), *one = gate(first);
        g_autofree char *second = g_strconcat(name, "2", NULL), *two = gate(second);
        char *ids[] = { add("q", name, one), add("q", name, two) };
        await_begun(first);
        await_begun(second);
        open_gate(first);
        open_gate(second);
        for (int i = 0; i < 2; i++) {
            await_state("q", ids[i], OX_COMPLETED);
            ox_free(ids[i]);
        }
    }
    assert_true(test_wait_for(DEADLINE_MS, has_few_children, NULL));
    stop();
}

/* ---- routes that rest ----------------------------------------------------------------------
 */

/* Each route has a file without which its children do not start. */
static void start_fickle(const char *more)
{
    g_autofree char *text = g_strdup_printf("[queue q]\nconcurrency = 2\n"
                                            "[handler q/x]\nrun = fickle:%s/x\n%s",
        bench.folder, more);
    start(text);
}

static bool was_taken_thrice(void *id)
{
    /* No field counts it: each start was given back. */
    static const char count[] = "local n = 0 for _, e in ipairs(redis.call('XRANGE', KEYS[1], "
                                "'-', '+')) do local f = table.concat(e[2], ' ') if "
                                "f:find('event active jobId ' .. ARGV[1] .. ' ', 1, true) then "
                                "n = n + 1 end end return n";
    return test_redis_int(redis, "EVAL %s 1 bull:q:events %s", count, (const char *)id) >= 3;
}

/* Jobs of a route that cannot start come and go, at no cost; those of the other one run. */
static void a_route_rests_alone(void **state)
{
    (void)state;
    start_fickle("[handler q/y]\nrun = tell\n");
    char *ids[3];
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
        ids[i] = add("q", "x", "{}");
    await_line("event=start-failed queue=q route=x handler=fickle "
               "reason=\"the file is not there\" retry_ms=1000");
    run_and_expect("q", "y", "\"q 4 y 1 7\"");
    await_state("q", ids[0], OX_DELAYED);
    g_autofree char *status = ask_status();
    if (!strstr(status, "event=resting queue=q route=x handler=fickle "
                        "reason=\"the file is not there\" retry_ms=") ||
        !strstr(status, " busy=0 resting=1 "))
        test_fatal("%s", status);
    assert_true(test_wait_for(DEADLINE_MS, was_taken_thrice, ids[2]));
    run_and_expect("q", "y", "\"q 5 y 1 7\"");
    open_gate("x");
    await_line("event=started-again queue=q route=x handler=fickle");
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_autofree char *returns = g_strdup_printf("\"q %s x 1 2\"", ids[i]);
        await_state("q", ids[i], OX_COMPLETED);
        expect_field_of("q", ids[i], "returnvalue", returns);
        expect_field_of("q", ids[i], "atm", "1");
        expect_field_of("q", ids[i], "ats", "1");
        ox_free(ids[i]);
    }
    g_autofree char *after = ask_status();
    assert_null(strstr(after, "event=resting"));
    stop();
    g_autofree char *err = test_process_err(bench.worker);
    assert_int_equal(count_of(err, "event=start-failed"), 1);
    assert_int_equal(count_of(err, "event=started-again"), 1);
    assert_int_equal(count_of(err, "event=released"), 0);
    assert_int_equal(count_of(err, "event=delayed"), 0);
}

/* Nothing is taken then, so that other workers have the jobs; one route that is back is enough.
 */
static void all_routes_rest_as_one(void **state)
{
    (void)state;
    g_autofree char *other =
        g_strdup_printf("[handler q/y]\nrun = fickle:%s/y\n", bench.folder);
    start_fickle(other);
    char *x = add("q", "x", "{}");
    await_line("event=start-failed queue=q route=x");
    char *y = add("q", "y", "{}");
    await_line("event=start-failed queue=q route=y");
    await_state("q", y, OX_WAITING);
    g_autofree char *status = ask_status();
    assert_non_null(strstr(status, " resting=2 "));
    char *later = add("q", "x", "{}");
    open_gate("y");
    await_state("q", y, OX_COMPLETED);
    await_state("q", later, OX_DELAYED);
    open_gate("x");
    await_state("q", x, OX_COMPLETED);
    await_state("q", later, OX_COMPLETED);
    ox_free(x);
    ox_free(y);
    ox_free(later);
    stop();
}

#define MANY 300

static bool all_are_delayed(void *arg)
{
    (void)arg;
    return test_redis_int(redis, "ZCARD bull:q:delayed") == MANY;
}

/* When the job is due that stands there among the delayed ones, in ms; -1: the last. */
static double due_at(int rank)
{
    redisReply *reply =
        test_redis_command(redis, "ZRANGE bull:q:delayed %d %d WITHSCORES", rank, rank);
    double due = g_ascii_strtod(reply->element[1]->str, NULL) / 4096;
    freeReplyObject(reply);
    return due;
}

/* They do not come back in one crowd: 5 ms lie between two. */
static void many_jobs_come_back_one_by_one(void **state)
{
    (void)state;
    start_fickle("[handler q/y]\nrun = tell\n");
    for (int i = 0; i < MANY; i++)
        ox_free(add("q", "x", "{}"));
    char *behind = add("q", "y", "{}");
    await_state("q", behind, OX_COMPLETED);
    assert_true(test_wait_for(DEADLINE_MS, all_are_delayed, NULL));
    double took_ms = due_at(-1) - due_at(0);
    if (took_ms < MANY * 5 * 0.8)
        test_fatal("all %d are back within %.0f ms", MANY, took_ms);
    ox_free(behind);
    stop();
}

/* ---- other settings ------------------------------------------------------------------------
 */

static void concurrency_and_limiter_change(void **state)
{
    (void)state;
    start("[queue q]\nconcurrency = 1\n[handler q/*]\nrun = until\n");
    g_autofree char *one = gate("1"), *two = gate("2"), *three = gate("3");
    ox_free(add("q", "x", one));
    ox_free(add("q", "x", two));
    await_begun("1");
    assert_false(has_begun("2"));
    reload("[queue q]\nconcurrency = 2\n[handler q/*]\nrun = until\n");
    await_begun("2"); /* while the first one runs on, in its old child */
    await_line("event=reloaded");
    reload("[queue q]\nconcurrency = 2\nlimiter = 1/1h\n[handler q/*]\nrun = until\n");
    await_line("event=reloaded");
    open_gate("1");
    open_gate("2");
    await_state("q", "1", OX_COMPLETED);
    await_state("q", "2", OX_COMPLETED);
    open_gate("3");
    char *third = add("q", "x", three), *fourth = add("q", "x", three);
    await_state("q", third, OX_COMPLETED); /* the one of this hour */
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 1);
    reload("[queue q]\nconcurrency = 2\n[handler q/*]\nrun = until\n");
    await_state("q", fourth, OX_COMPLETED);
    ox_free(third);
    ox_free(fourth);
    stop();
    g_autofree char *err = test_process_err(bench.worker);
    assert_int_equal(count_of(err, "event=dropped"), 0);
}

/* A job ends in the child in which it began, and the next one meets the new handler. */
static void routes_change_beside_running_jobs(void **state)
{
    (void)state;
    start("[queue q]\nconcurrency = 2\n[handler q/*]\nrun = until\n");
    g_autofree char *one = gate("1");
    char *running = add("q", "x", one);
    await_begun("1");
    reload(
        "[queue q]\nconcurrency = 2\n[handler q/*]\nrun = copy\n[handler q/t]\nrun = tell\n");
    await_line("event=reloaded");
    run_and_expect("q", "x", "{\"a\":1}");
    run_and_expect("q", "t", "\"q 3 t 1 7\"");
    await_state("q", running, OX_ACTIVE);
    open_gate("1");
    await_state("q", running, OX_COMPLETED);
    reload("[queue q]\nconcurrency = 2\n[handler q/t]\nrun = tell\n");
    await_line("event=reloaded");
    char *refused = add("q", "x", "{}");
    await_state("q", refused, OX_FAILED);
    ox_free(running);
    ox_free(refused);
    stop();
}

/* Who ran the first slot's job, or would run its next one; 0: no child. */
static int first_pid(void)
{
    g_autofree char *status = ask_status();
    const char *slot = strstr(status, "event=slot"), *pid = slot ? strstr(slot, "pid=") : NULL;
    return pid ? (int)g_ascii_strtoll(pid + strlen("pid="), NULL, 10) : 0;
}

/* Secrets, statements and programs are files that a child has read: it goes, too, when nothing
 * in the settings has changed. */
static void children_are_replaced(void **state)
{
    (void)state;
    start("[handler q/*]\nrun = tell\n");
    run_and_expect("q", "x", "\"q 1 x 1 7\"");
    int before = first_pid();
    assert_int_not_equal(before, 0);
    reload("[handler q/*]\nrun = tell\n");
    await_line("event=reloaded");
    run_and_expect("q", "x", "\"q 2 x 1 7\"");
    assert_int_not_equal(first_pid(), before);
    stop();
}

static bool has_one_child(void *arg)
{
    (void)arg;
    g_autofree char *status = ask_status();
    return count_of(status, "event=slot") == 1;
}

/* A job that runs on keeps its own child, and no other, of the settings before. */
static void old_children_go_with_their_jobs(void **state)
{
    (void)state;
    start("[queue q]\nconcurrency = 2\n[handler q/*]\nrun = until\n");
    g_autofree char *one = gate("1"), *two = gate("2");
    char *ended = add("q", "x", one), *stuck = add("q", "x", two);
    await_begun("1");
    await_begun("2");
    reload("[queue q]\nconcurrency = 2\n[handler q/*]\nrun = copy\n");
    await_line("event=reloaded");
    open_gate("1");
    await_state("q", ended, OX_COMPLETED);
    assert_true(test_wait_for(DEADLINE_MS, has_one_child, NULL));
    await_state("q", stuck, OX_ACTIVE);
    open_gate("2");
    await_state("q", stuck, OX_COMPLETED);
    ox_free(ended);
    ox_free(stuck);
    stop();
}

static void the_timeout_changes(void **state)
{
    (void)state;
    start("[handler q/*]\nrun = until\ntimeout = 1h\n");
    g_autofree char *one = gate("1"), *two = gate("2");
    ox_free(add("q", "x", one));
    await_begun("1");
    open_gate("1");
    await_state("q", "1", OX_COMPLETED);
    reload("[handler q/*]\nrun = until\ntimeout = 200ms\n");
    await_line("event=reloaded");
    char *id = add("q", "x", two);
    await_state("q", id, OX_FAILED);
    expect_field_of("q", id, "failedReason", "handler killed: timeout after 200ms");
    ox_free(id);
    stop();
}

static void queues_come_and_go(void **state)
{
    (void)state;
    start("[handler a/*]\nrun = until\n[handler b/*]\nrun = tell\n");
    g_autofree char *one = gate("1");
    char *running = add("a", "x", one), *waiting = NULL;
    await_begun("1");
    reload("[handler b/*]\nrun = tell\n[handler c/*]\nrun = tell\n");
    await_line("event=queue-removed queue=a running=1");
    await_line("event=start ");
    await_line("event=reloaded");
    run_and_expect("c", "x", "\"c 1 x 1 7\"");
    waiting = add("a", "x", one);
    open_gate("1");
    await_state("a", running, OX_COMPLETED);
    await_state("a", waiting, OX_WAITING);
    reload("[handler a/*]\nrun = until\n[handler b/*]\nrun = tell\n");
    await_state("a", waiting, OX_COMPLETED);
    run_and_expect("b", "x", "\"b 1 x 1 7\"");
    ox_free(running);
    ox_free(waiting);
    stop();
}

static void bad_settings_change_nothing(void **state)
{
    (void)state;
    start("[handler q/*]\nrun = tell\n");
    reload("[handler q/*]\nrun = copy\ntimeout = soon\n[queue none]\n");
    g_autofree char *first = g_strdup_printf("event=bad-settings reason=\"%s:6: timeout: "
                                             "\\\"soon\\\" is not a duration",
        bench.conf);
    g_autofree char *second = g_strdup_printf(
        "event=bad-settings reason=\"%s:7: the queue none has no handler", bench.conf);
    await_line(first);
    await_line(second);
    await_line("event=not-reloaded");
    run_and_expect("q", "x", "\"q 1 x 1 7\"");
    reload("[handler q/*]\nrun = copy\n");
    await_line("event=reloaded");
    run_and_expect("q", "x", "{\"a\":1}");
    stop();
}

static void what_needs_a_restart_is_told(void **state)
{
    (void)state;
    start("[handler q/*]\nrun = tell\n");
    write_conf("prefix = other\nlock = 7s\nlog-level = warn\n", "[handler q/*]\nrun = copy\n");
    test_process_signal(bench.worker, SIGHUP);
    await_line("event=needs-restart settings=\"prefix, lock\"");
    run_and_expect("q", "x", "{\"a\":1}"); /* on the queue of the old prefix */
    stop();
    g_autofree char *err = test_process_err(bench.worker);
    assert_int_equal(count_of(err, "event=completed"), 0); /* since the level is another one */
}

/* The second one waits for the first to be read. */
static void settings_are_read_as_often_as_asked(void **state)
{
    (void)state;
    start("[handler q/*]\nrun = tell\n");
    for (int i = 0; i < 5; i++)
        test_process_signal(bench.worker, SIGHUP);
    reload("[handler q/*]\nrun = copy\n");
    await_line("event=reloaded");
    struct line_wait again = { "event=reloaded" };
    test_wait_for(3000, is_logged, &again); /* one or two, as the signals came */
    run_and_expect("q", "x", "{\"a\":1}");
    test_process_signal(bench.worker, SIGHUP);
    stop(); /* while they are read */
}

/* ---- what it tells -------------------------------------------------------------------------
 */

static void every_slot_is_told(void **state)
{
    (void)state;
    start("[queue q]\nconcurrency = 2\n[handler q/x]\nrun = until\ntimeout = 1h\n"
          "[handler q/y]\nrun = tell\n");
    g_autofree char *one = gate("secret-data");
    run_and_expect("q", "y", "\"q 1 y 1 7\"");
    char *id = add("q", "x", one);
    await_begun("secret-data");
    g_autofree char *status = ask_status();
    if (!strstr(status, "event=slot queue=q handler=tell pid=") ||
        !strstr(status, " state=idle rss=") ||
        !strstr(status, "event=slot queue=q handler=until pid=") ||
        !strstr(status, " state=busy id=2 name=x attempt=1 ms=") ||
        !strstr(status, " left_ms=3") ||
        !strstr(status, "event=status state=working queues=1 slots=2 busy=1 resting=0 pid="))
        test_fatal("%s", status);
    open_gate("secret-data");
    await_state("q", id, OX_COMPLETED);
    ox_free(id);
    test_process_signal(bench.worker, SIGTSTP);
    await_line("event=held");
    g_autofree char *held = ask_status();
    assert_non_null(strstr(held, "event=status state=held queues=1 slots=2 busy=0"));
    stop();
    /* And nothing of the data, at any time. */
    g_autofree char *err = test_process_err(bench.worker);
    assert_null(strstr(err, "secret-data"));
}

static int open_socket(const char *path)
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

/* Reads what is told until something begins like this. */
static void await_told(int fd, const char *state)
{
    char text[256] = "";
    g_autoptr(GString) all = g_string_new(NULL);
    while (!g_str_has_prefix(text, state)) {
        ssize_t got = read(fd, text, sizeof text - 1);
        if (got <= 0)
            test_fatal("'%s' was not told, but: %s", state, all->str);
        text[got] = '\0';
        g_string_append_printf(all, "%s; ", text);
    }
}

static void systemd_is_told_of_everything(void **state)
{
    (void)state;
    g_autofree char *path = g_build_filename(bench.folder, "notify", NULL);
    int fd = open_socket(path);
    g_setenv("NOTIFY_SOCKET", path, TRUE);
    g_setenv("WATCHDOG_USEC", "400000", TRUE);
    start("[queue q]\nconcurrency = 3\n[handler q/*]\nrun = until\n[queue r]\nconcurrency = 2\n"
          "[handler r/*]\nrun = inherit\n");
    g_unsetenv("NOTIFY_SOCKET");
    g_unsetenv("WATCHDOG_USEC");
    await_told(fd, "STATUS=connecting to Redis");
    await_told(fd, "READY=1");
    await_told(fd, "STATUS=2 queues, 0 of 5 slots busy");
    g_autofree char *one = gate("1");
    char *id = add("q", "x", one);
    await_told(fd, "STATUS=2 queues, 1 of 5 slots busy");
    await_told(fd, "WATCHDOG=1");
    await_told(fd, "WATCHDOG=1");
    reload("[queue q]\nconcurrency = 4\n[handler q/*]\nrun = until\n");
    await_told(fd, "RELOADING=1\nMONOTONIC_USEC=");
    await_told(fd, "READY=1");
    await_told(fd, "STATUS=1 queue, 1 of 4 slots busy");
    test_process_signal(bench.worker, SIGTERM);
    await_told(fd, "STOPPING=1");
    await_told(fd, "STATUS=draining: 1 queue, 1 of 4 slots busy");
    await_told(fd, "WATCHDOG=1");
    open_gate("1");
    test_worker_ends(bench.worker, 0);
    await_state("q", id, OX_COMPLETED);
    ox_free(id);
    close(fd);
}

/* A loop that stands still must not look alive. */
static void the_watchdog_is_of_another_process(void **state)
{
    (void)state;
    g_autofree char *path = g_build_filename(bench.folder, "notify", NULL);
    int fd = open_socket(path);
    g_setenv("NOTIFY_SOCKET", path, TRUE);
    g_setenv("WATCHDOG_USEC", "100000", TRUE);
    g_setenv("WATCHDOG_PID", "1", TRUE);
    start("[handler q/*]\nrun = tell\n");
    g_unsetenv("NOTIFY_SOCKET");
    g_unsetenv("WATCHDOG_USEC");
    g_unsetenv("WATCHDOG_PID");
    await_told(fd, "READY=1");
    run_and_expect("q", "x", "\"q 1 x 1 7\"");
    test_process_signal(bench.worker, SIGTERM);
    char text[256];
    for (bool stopping = false; !stopping;) {
        ssize_t got = read(fd, text, sizeof text - 1);
        assert_true(got > 0);
        text[got] = '\0';
        assert_false(g_str_has_prefix(text, "WATCHDOG"));
        stopping = g_str_has_prefix(text, "STOPPING");
    }
    test_worker_ends(bench.worker, 0);
    close(fd);
}

/* ---- commands ------------------------------------------------------------------------------
 */

static void settings_are_checked_without_a_server(void **state)
{
    (void)state;
    g_autofree char *out = NULL, *err = NULL, *none = NULL, *wrong = NULL;
    test_write(bench.conf,
        "[worker]\nredis = redis://127.0.0.1:1\n[handler q/x]\nrun = echo\n"
        "[handler q/*]\nrun = noop\n",
        -1);
    assert_int_equal(
        test_run_words(&out, &err, "ox-worker", "--check-config", "--config", bench.conf, NULL),
        0);
    assert_string_equal(out, "q/x: echo\nq/*: noop\n");
    assert_string_equal(err, "");
    test_write(bench.conf, "[worker]\ngrace = 5\n[handler q/x]\nrun = ecko\n", -1);
    assert_int_equal(test_run_words(&none, &wrong, "ox-worker", "--check-config", "--config",
                         bench.conf, NULL),
        2);
    g_autofree char *first = g_strdup_printf("ox-worker: %s:2: grace: ", bench.conf);
    g_autofree char *second = g_strdup_printf(
        "ox-worker: %s:4: no handler is called ecko; did you mean echo? ", bench.conf);
    assert_string_equal(none, "");
    assert_true(g_str_has_prefix(wrong, first));
    assert_non_null(strstr(wrong, second));
    assert_int_equal(count_of(wrong, "\n"), 2);
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
            "a [handler QUEUE/NAME] that runs it\n" },
        { "[handler q/*]\nrun = sql\ndb = sqlite:/x\nstatement = \"select 1\"\n",
            "ox-worker: %s:2: sql needs a statement: run = sql:FILE, or statement = SQL\n"
            "ox-worker: %s:4: statement: values are not quoted; write statement = select 1\n" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_auto(GStrv) parts = g_strsplit(rows[i].faults, "%s", -1);
        g_autofree char *faults = g_strjoinv(bench.conf, parts), *err = NULL;
        test_write(bench.conf, rows[i].text, -1);
        assert_int_equal(test_run_words(NULL, &err, "ox-worker", "--check-config", "--config",
                             bench.conf, NULL),
            2);
        assert_string_equal(err, faults);
    }
    /* A command is split like a shell does it, so it may be quoted. */
    test_write(bench.conf, "[handler q/*]\nrun = exec\ncommand = \"cat\"\n", -1);
    assert_int_equal(
        test_run_words(NULL, NULL, "ox-worker", "--check-config", "--config", bench.conf, NULL),
        0);
}

/* A flag or a variable holds for all handlers of a file, and no line of it is to blame. */
static void flags_and_variables_are_blamed_once(void **state)
{
    (void)state;
    static const char text[] = "is not one of cpu=TIME, file-size=SIZE, open-files=N\n";
    g_autofree char *flag = g_strconcat("ox-worker: --rlimit: \"x=1\" ", text, NULL);
    g_autofree char *variable = g_strconcat("ox-worker: OX_RLIMIT: \"y\" ", text, NULL);
    g_autofree char *by_flag = NULL, *by_variable = NULL;
    test_write(bench.conf,
        "[handler a/*]\nrun = echo\n[handler b/*]\nrun = noop\nrlimit = cpu=1s\n", -1);
    assert_int_equal(test_run_words(NULL, &by_flag, "ox-worker", "--check-config", "--config",
                         bench.conf, "--rlimit=x=1", NULL),
        2);
    assert_string_equal(by_flag, flag);
    g_setenv("OX_RLIMIT", "y", TRUE);
    int status = test_run_words(
        NULL, &by_variable, "ox-worker", "--check-config", "--config", bench.conf, NULL);
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
    g_autofree char *here =
        g_regex_replace_literal(roots, example, -1, 0, bench.folder, 0, NULL);
    g_autofree char *err = NULL;
    test_write(bench.conf, here, -1);
    int status =
        test_run_words(NULL, &err, "ox-worker", "--check-config", "--config", bench.conf, NULL);
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
    g_autofree char *url = g_build_filename(bench.folder, "url", NULL);
    test_write(url, "redis://127.0.0.1:6379\n", -1);
    static const char *const names[] = { "\\-", "/srv/photos", "/etc/ox/redis-url" };
    const char *const here[] = { "-", bench.folder, url };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_auto(GStrv) parts = g_strsplit(text, names[i], -1);
        g_free(text);
        text = g_strjoinv(here[i], parts);
    }
    g_autofree char *err = NULL;
    test_write(bench.conf, text, -1);
    int status =
        test_run_words(NULL, &err, "ox-worker", "--check-config", "--config", bench.conf, NULL);
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

static int begin(void **state)
{
    ox_error err = { 0 };
    int status = test_server_up(state);
    const ox_client_options options = { .url = test_redis_url(redis) };
    if (ox_client_new(&client, &options, &err) < 0)
        test_fatal("%s", err.text);
    return status;
}

static int end(void **state)
{
    ox_client_free(client);
    return test_server_down(state);
}

int main(int argc, char **argv)
{
    if (rogue_wanted(argc, argv))
        return serve_main(argc, argv, rogue_handlers);
    self = g_canonicalize_filename(argv[0], NULL);
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)
    const struct CMUnitTest tests[] = {
        TEST(jobs_are_routed_by_name),
        TEST(the_star_takes_the_rest),
        TEST(concurrency_is_the_queues),
        TEST(idle_children_are_few),
        TEST(a_route_rests_alone),
        TEST(all_routes_rest_as_one),
        TEST(many_jobs_come_back_one_by_one),
        TEST(concurrency_and_limiter_change),
        TEST(routes_change_beside_running_jobs),
        TEST(children_are_replaced),
        TEST(old_children_go_with_their_jobs),
        TEST(the_timeout_changes),
        TEST(queues_come_and_go),
        TEST(bad_settings_change_nothing),
        TEST(what_needs_a_restart_is_told),
        TEST(settings_are_read_as_often_as_asked),
        TEST(every_slot_is_told),
        TEST(systemd_is_told_of_everything),
        TEST(the_watchdog_is_of_another_process),
        TEST(settings_are_checked_without_a_server),
        TEST(newcomers_are_told_what_is_right),
        TEST(flags_and_variables_are_blamed_once),
        TEST(the_example_is_good),
        TEST(the_manuals_example_is_good),
        TEST(handlers_are_listed),
    };
    int status = cmocka_run_group_tests(tests, begin, end);
    g_free(self);
    return status;
}
