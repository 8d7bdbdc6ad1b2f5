/*
 * test_cli.c - the real ox against a real Redis: what is stored, what is printed, what is
 * refused and with which exit status.
 *
 * What ox stores is judged by looking into Redis. Jobs are worked by this very program, run
 * again as `test_cli work URL QUEUE`: a worker on libox whose jobs do what their names say.
 */
#include "../support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <jansson.h>
#include <ox.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/redis.h"

#define DEADLINE_MS 20000

static struct test_redis *redis;
static char *dir;

/* What the last call of ox() left. */
static int status;
static char *out, *err;

/* Runs ox with words; they end with NULL. */
static int ox_with(const char *input, const char *const *words)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, (gpointer) "ox");
    for (const char *const *word = words; *word; word++)
        g_ptr_array_add(argv, (gpointer)*word);
    g_ptr_array_add(argv, NULL);
    g_clear_pointer(&out, g_free);
    g_clear_pointer(&err, g_free);
    status = test_run((const char *const *)argv->pdata, input, &out, &err);
    return status;
}

#define WORDS(...)                                                                             \
    (const char *const[])                                                                      \
    {                                                                                          \
        __VA_ARGS__, NULL                                                                      \
    }
#define ox(...) ox_with(NULL, WORDS(__VA_ARGS__))

static void told(void)
{
    test_fatal("exit status %d\nstdout: %.2000s\nstderr: %.2000s", status, out, err);
}

/* The last call ended well and said nothing but its result. */
static void expect_done(const char *result)
{
    if (status || strcmp(out, result) || *err)
        told();
}

/* The last call failed with this status, told why in one line, and printed no result. */
static void expect_refusal(int expected, const char *why)
{
    const char *end = strchr(err, '\n');
    if (status != expected || *out || !strstr(err, why) || !end || end[1])
        told();
}

static void expect_field(
    const char *queue, const char *id, const char *field, const char *expected)
{
    g_autofree char *text = test_redis_text(redis, "HGET bull:%s:%s %s", queue, id, field);
    if (g_strcmp0(text, expected))
        test_fatal("%s of job %s is %s", field, id, text ? text : "not there");
}

static long long length(const char *queue, const char *list)
{
    bool is_list = !strcmp(list, "wait") || !strcmp(list, "active");
    return test_redis_int(redis, is_list ? "LLEN bull:%s:%s" : "ZCARD bull:%s:%s", queue, list);
}

/* ---- a worker ------------------------------------------------------------------------------
 */

static void work_on(ox_task *task, void *arg)
{
    (void)arg;
    const char *name = ox_job_text(ox_task_job(task), OX_JOB_NAME);
    const char *data = ox_job_text(ox_task_job(task), OX_JOB_DATA);
    if (!strcmp(name, "bad")) {
        const ox_failure failure = { .reason = "it went wrong",
            .stack = "Error: it went wrong\n    at there" };
        ox_task_log(task, "just before");
        ox_task_fail(task, &failure);
    } else if (strcmp(name, "stuck") != 0) {
        ox_task_progress(task, "50");
        ox_task_log(task, "first row");
        ox_task_log(task, "second row");
        ox_task_complete(task, data);
    }
}

static void stop_working(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

static void ready(ox_worker *worker, void *arg)
{
    (void)worker;
    (void)arg;
    puts("ready");
    fflush(stdout);
}

static int work(const char *url, const char *name)
{
    const ox_client_options client_options = { .url = url };
    const ox_worker_options options = { .name = "tester", .concurrency = 4, .ready = ready };
    ox_client *client = NULL;
    ox_queue *queue = NULL;
    ox_worker *worker = NULL;
    uv_signal_t stop;
    uv_loop_t *loop = uv_default_loop();
    if (ox_client_new(&client, &client_options, NULL) < 0 ||
        ox_queue_new(&queue, client, name, NULL, NULL) < 0 ||
        ox_worker_new(&worker, loop, queue, &options, work_on, NULL, NULL) < 0)
        return 1;
    uv_signal_init(loop, &stop);
    uv_signal_start(&stop, stop_working, SIGTERM);
    uv_run(loop, UV_RUN_DEFAULT);
    _exit(0);
}

static struct test_process *start_worker(const char *queue)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    const char *const argv[] = { self, "work", test_redis_url(redis), queue, NULL };
    struct test_process *worker = test_start(argv, NULL);
    if (!test_process_says(worker, "ready", DEADLINE_MS))
        test_fatal("the worker is not ready");
    return worker;
}

struct level {
    const char *queue, *list;
    long long count;
};

static bool is_reached(void *arg)
{
    const struct level *level = arg;
    return length(level->queue, level->list) == level->count;
}

static void await_level(const char *queue, const char *list, long long count)
{
    struct level level = { queue, list, count };
    if (!test_wait_for(DEADLINE_MS, is_reached, &level))
        test_fatal("%s of %s has %lld", list, queue, length(queue, list));
}

/* ---- wrong usage ---------------------------------------------------------------------------
 */

/* None of these may reach a server, so there is none. */
static void wrong_usage_is_told_without_a_server(void **state)
{
    (void)state;
    static const struct {
        const char *line, *why;
    } cases[] = {
        { "cuonts q", "did you mean counts?" },
        { "schedule st q", "did you mean set?" },
        { "--jsn queues", "unknown option --jsn; did you mean --json?" },
        { "add", "QUEUE is missing" },
        { "add q", "NAME is missing" },
        { "add q n 1 2", "\"2\" is one argument too many" },
        { "add q n hello", "a string keeps its own quotes ('\"hello\"'), a file is @FILE" },
        { "add q n {\"a\":", "data is not JSON: {\"a\":" },
        { "add q:r n", "a queue's name has no colon" },
        { "add q n --delay 5", "--delay: \"5\" is not a duration" },
        { "add q n --priority 2097152", "not a whole number from 0 to 2097151" },
        { "add q n --prio 3", "did you mean --priority?" },
        { "add q n --backoff fixed", "has no delay" },
        { "add q n --opts [1]", "--opts: not a JSON object" },
        { "add q n --parent 5", "--parent: \"5\" is not QUEUE:ID" },
        { "add q n --on-failure fail", "--on-failure needs --parent" },
        { "add q n --wait=soon", "--wait: \"soon\" is not a duration" },
        { "jobs q --state lost", "--state: \"lost\" is no state here" },
        { "retry q", "which jobs?" },
        { "retry q 1 --all", "exclude each other" },
        { "retry q 1 --state delayed", "is no state here; it is one of completed, failed" },
        { "promote q", "which jobs?" },
        { "rm q", "which jobs?" },
        { "rm q 1 2", "this would remove 2 jobs from queue q; --yes does it" },
        { "rm q -", "--yes does it without asking" },
        { "clean q", "--yes does it without asking" },
        { "obliterate q", "--yes does it without asking" },
        { "update q 1", "nothing to change" },
        { "limit q --rate 5", "\"5\" is not MAX/DURATION" },
        { "limit q --clear --concurrency 2", "--clear goes without" },
        { "schedule set q s", "give either --every or --cron" },
        { "dev --redis redis://h", "it runs a server of its own" },
        { "completion powershell", "none of bash, zsh, fish, man" },
        { "counts q --redis nonsense", "bad Redis URL" },
        { "counts q --redis http://h", "bad Redis URL" },
    };
    g_setenv("OX_REDIS_URL", "unix:///nowhere/at/all", TRUE);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) words = g_strsplit(cases[i].line, " ", -1);
        ox_with(NULL, (const char *const *)words);
        const char *end = strchr(err, '\n');
        if (status != 2 || *out || !strstr(err, cases[i].why) || !end || end[1])
            test_fatal("ox %s: exit status %d\nstdout: %s\nstderr: %s", cases[i].line, status,
                out, err);
    }
}

static void help_is_no_failure(void **state)
{
    (void)state;
    ox("--help");
    if (status || *err || !strstr(out, "obliterate"))
        told();
    ox("help", "add");
    if (status || *err || !strstr(out, "--backoff"))
        told();
    ox("schedule", "--help");
    if (status || *err || !strstr(out, "schedule set"))
        told();
    assert_int_equal(ox("--version"), 0);
    assert_true(g_str_has_prefix(out, "ox "));
    ox_with(NULL, (const char *const[]){ NULL });
    if (status != 2 || *out || !strstr(err, "Usage: ox"))
        told();
}

/* ---- the server ----------------------------------------------------------------------------
 */

static void a_server_that_is_not_there(void **state)
{
    (void)state;
    g_autofree char *nowhere = g_strdup_printf("unix://%s/none", dir);
    ox("counts", "q", "--redis", nowhere);
    expect_refusal(1, "cannot connect");
    ox("add", "q", "n", "--redis", "redis://127.0.0.1:1");
    expect_refusal(1, "cannot connect");
}

static void a_wrong_password(void **state)
{
    (void)state;
    const char *const args[] = { "--requirepass", "sesame", NULL };
    struct test_redis *locked = test_redis_start(args);
    g_autofree char *wrong = g_strdup_printf("unix://:guess@%s", locked->socket);
    g_autofree char *right = g_strdup_printf("unix://:sesame@%s", locked->socket);
    ox("counts", "q", "--redis", wrong);
    expect_refusal(1, "");
    assert_null(strstr(err, "guess"));
    ox("counts", "q", "--redis", test_redis_url(locked));
    expect_refusal(1, "");
    ox("add", "q", "n", "--redis", right);
    expect_done("1\n");
    test_redis_stop(locked);
}

static void the_server_is_chosen_in_order(void **state)
{
    (void)state;
    const char *here = test_redis_url(redis);
    g_setenv("REDIS_URL", "unix:///nowhere/at/all", TRUE);
    ox("add", "order", "n");
    expect_done("1\n");
    g_setenv("OX_REDIS_URL", "", TRUE);
    ox("add", "order", "n");
    expect_refusal(1, "cannot connect");
    g_setenv("REDIS_URL", here, TRUE);
    ox("add", "order", "n");
    expect_done("2\n");
    g_setenv("OX_REDIS_URL", "unix:///nowhere/at/all", TRUE);
    ox("--redis", here, "add", "order", "n");
    expect_done("3\n");
}

static void a_prefix_of_ones_own(void **state)
{
    (void)state;
    ox("--prefix", "{mine}", "add", "q", "n");
    expect_done("1\n");
    assert_int_equal(test_redis_int(redis, "EXISTS {mine}:q:1"), 1);
    ox("queues", "--prefix", "{mine}");
    expect_done("q\t1\t0\t0\t0\t0\t0\t0\t\n");
}

/* ---- add -----------------------------------------------------------------------------------
 */

static void data_arrives_as_it_was_given(void **state)
{
    (void)state;
    static const char json[] =
        "{\"n\": 0.10, \"big\":123456789012345678901234567890, \"s\":\"a/\\u00e9é\"}";
    ox("add", "data", "n", json);
    expect_done("1\n");
    expect_field("data", "1", "data", json);
    expect_field("data", "1", "name", "n");

    g_autofree char *path = g_build_filename(dir, "data.json", NULL);
    g_autofree char *at = g_strconcat("@", path, NULL);
    test_write(path, "\n [1,\n2] \n", -1);
    ox("add", "data", "n", at);
    expect_done("2\n");
    expect_field("data", "2", "data", "[1,\n2]");
    ox_with("\"in\"\n", WORDS("add", "data", "n", "-", "--json"));
    expect_done("{\"id\":\"3\"}\n");
    expect_field("data", "3", "data", "\"in\"");
    ox("add", "data", "a name", "--", "-5");
    expect_done("4\n");
    expect_field("data", "4", "data", "-5");
    expect_field("data", "4", "name", "a name");
    ox("add", "data", "n");
    expect_done("5\n");
    expect_field("data", "5", "data", "{}");
}

static void bad_data_adds_nothing(void **state)
{
    (void)state;
    g_autofree char *path = g_build_filename(dir, "bad.json", NULL);
    g_autofree char *at = g_strconcat("@", path, NULL);
    test_write(path, "{\"a\":1", -1);
    ox("add", "none", "n", at);
    expect_refusal(2, path);
    ox_with("hello", WORDS("add", "none", "n", "-"));
    expect_refusal(2, "standard input is not JSON");
    ox_with("", WORDS("add", "none", "n", "-"));
    expect_refusal(2, "is not JSON");
    test_remove(path);
    ox("add", "none", "n", at);
    expect_refusal(1, "No such file");
    ox("add", "none", "n\xff");
    expect_refusal(2, "not UTF-8");
    ox("add", "none", "n", "--id", "12");
    expect_refusal(2, "12");
    ox("add", "none", "n", "--id", "a:b");
    expect_refusal(2, "a:b");
    ox("add", "none", "n", "--parent", "none:5");
    expect_refusal(1, "parent");
    assert_int_equal(test_redis_int(redis, "EXISTS bull:none:wait bull:none:1"), 0);
}

static void options_reach_the_job(void **state)
{
    (void)state;
    ox("add", "opts", "n", "--id", "own", "--attempts", "3", "--backoff",
        "exponential:1s:jitter=0.5", "--remove-on-complete=count=5,age=1h", "--remove-on-fail",
        "--keep-logs", "7", "--opts", "{\"mine\":[1]}");
    expect_done("own\n");
    g_autofree char *text = test_redis_text(redis, "HGET bull:opts:own opts");
    json_t *opts = json_loads(text, 0, NULL);
    json_t *expected =
        json_pack("{s:i, s:{s:s,s:i,s:f}, s:{s:i,s:i}, s:b, s:i, s:s, s:[i]}", "attempts", 3,
            "backoff", "type", "exponential", "delay", 1000, "jitter", 0.5, "removeOnComplete",
            "count", 5, "age", 3600, "removeOnFail", 1, "kl", 7, "jobId", "own", "mine", 1);
    if (!json_equal(opts, expected))
        test_fatal("the options are %s", text);
    json_decref(opts);
    json_decref(expected);
    ox("add", "opts", "again", "--id", "own");
    expect_done("own\n");
    expect_field("opts", "own", "name", "n");
}

static void delay_priority_and_lifo(void **state)
{
    (void)state;
    int64_t before_ms = test_unix_ms();
    ox("add", "when", "n", "--delay", "1h");
    expect_done("1\n");
    double due = (double)test_redis_int(redis, "ZSCORE bull:when:delayed 1") / 4096;
    assert_true(
        due >= (double)(before_ms + 3600000) && due <= (double)test_unix_ms() + 3600001);
    ox("add", "when", "n", "--priority", "5");
    expect_done("2\n");
    assert_int_equal(length("when", "prioritized"), 1);
    ox("add", "when", "n");
    ox("add", "when", "n", "--lifo");
    ox("jobs", "when", "--state", "waiting", "--json");
    assert_true(g_str_has_prefix(out, "{\"id\":\"4\""));
    ox("add", "when", "n", "--timestamp", "2020-01-01T00:00:00Z");
    expect_done("5\n");
    expect_field("when", "5", "timestamp", "1577836800000");
}

static void waiting_for_the_result(void **state)
{
    (void)state;
    struct test_process *worker = start_worker("waits");
    ox("add", "waits", "good", "{\"a\":[1,0.10]}", "--wait");
    expect_done("{\"a\":[1,0.10]}\n");
    ox("add", "waits", "good", "7", "--wait=20s", "--remove-on-complete", "--json");
    expect_done("{\"id\":\"2\",\"state\":\"completed\",\"returnvalue\":7}\n");
    assert_int_equal(test_redis_int(redis, "EXISTS bull:waits:2"), 0);
    ox("add", "waits", "bad", "--wait");
    expect_refusal(1, "job 3 failed: it went wrong");
    ox("add", "waits", "bad", "--wait", "--json", "--attempts", "2", "--remove-on-fail");
    assert_int_equal(status, 1);
    assert_string_equal(out, "{\"id\":\"4\",\"state\":\"failed\",\"failedReason\":"
                             "\"it went wrong\"}\n");
    ox("add", "waits", "stuck", "--wait=300ms");
    expect_refusal(1, "time is over; job 5 of queue waits is active");
    /* What has ended already is told at once. */
    ox("add", "waits", "good", "1", "--id", "mine", "--wait");
    expect_done("1\n");
    ox("add", "waits", "good", "2", "--id", "mine", "--wait");
    expect_done("1\n");
    test_process_free(worker);
}

/* Redis 7.0 cannot tell about its disk; 7.2 without an append-only file cannot either. */
static void durability_is_not_claimed(void **state)
{
    (void)state;
    ox("add", "safe", "n", "--durable");
    if (status != 1 || strcmp(out, "1\n") || !strstr(err, "job 1 was added"))
        told();
    assert_int_equal(length("safe", "wait"), 1);
}

/* ---- import --------------------------------------------------------------------------------
 */

static void lines_become_jobs(void **state)
{
    (void)state;
    ox_with("{\"name\":\"a\",\"data\":{\"n\":0.10}}\r\n\n"
            " {\"opts\":{\"delay\":60000,\"attempts\":2},\"name\":\"b\"} \n{\"name\":\"c\"}",
        WORDS("import", "lines", "--json", "--attempts", "4"));
    if (status || !g_str_has_prefix(out, "{\"added\":3,\"bad\":0,\"unknown\":0,\"lines\":4,"))
        told();
    assert_non_null(strstr(err, "added 3 jobs"));
    expect_field("lines", "1", "data", "{\"n\":0.10}");
    expect_field("lines", "2", "name", "b");
    g_autofree char *text = test_redis_text(redis, "HGET bull:lines:2 opts");
    json_t *opts = json_loads(text, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(opts, "delay")), 60000);
    assert_int_equal(json_integer_value(json_object_get(opts, "attempts")), 4);
    json_decref(opts);
    assert_int_equal(length("lines", "delayed"), 1);
    assert_int_equal(length("lines", "wait"), 2);
}

static void bare_lines_with_a_name(void **state)
{
    (void)state;
    g_autofree char *path = g_build_filename(dir, "numbers", NULL);
    GString *text = g_string_new(NULL);
    for (int i = 0; i < 20000; i++)
        g_string_append_printf(text, "%d\n", i);
    test_write(path, text->str, (long)text->len);
    g_string_free(text, TRUE);
    ox("import", "many", path, "--name", "square", "--ids");
    if (status || !g_str_has_prefix(out, "1\n2\n3\n") || !strstr(out, "\n20000\n"))
        told();
    assert_int_equal(length("many", "wait"), 20000);
    expect_field("many", "12346", "data", "12345");
    expect_field("many", "12346", "name", "square");
}

static void a_bad_line_stops_the_import(void **state)
{
    (void)state;
    static const char lines[] = "{\"name\":\"a\"}\n\n{\"name\":\"b\"}\n{\"nme\":\"c\"}\n"
                                "{\"name\":\"d\"}\n";
    ox_with(lines, WORDS("import", "stops"));
    assert_int_equal(status, 1);
    if (!strstr(err, "line 4: \"nme\"") || !strstr(err, "stopped; 2 jobs were added before"))
        told();
    assert_int_equal(length("stops", "wait"), 2);
    /* Data and options are looked at as well as the line. */
    static const char *const bad[] = { "{\"name\":\"a\",\"data\":{\"x\":}}", "nonsense",
        "{\"name\":\"a\",\"opts\":[]}", "{\"name\":\"a\",\"opts\":{\"jobId\":\"12\"}}",
        "{\"name\":\"a\",\"opts\":{\"delay\":\"soon\"}}" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        ox_with(bad[i], WORDS("import", "refuses"));
        if (status != 1 || !strstr(err, "line 1: "))
            test_fatal("%s: %d %s", bad[i], status, err);
    }
    assert_int_equal(test_redis_int(redis, "EXISTS bull:refuses:wait"), 0);
    ox("import", "refuses", "/no/such/file");
    expect_refusal(1, "No such file");
}

static void bad_lines_can_be_left_out(void **state)
{
    (void)state;
    ox_with("1\noops\n{\"a\":\n2\n", WORDS("import", "keeps", "--name", "n", "--keep-going"));
    assert_int_equal(status, 1);
    if (!strstr(err, "line 2: ") || !strstr(err, "line 3: ") || !strstr(err, "added 2 jobs"))
        told();
    assert_int_equal(length("keeps", "wait"), 2);
    expect_field("keeps", "2", "data", "2");
}

/* ---- looking -------------------------------------------------------------------------------
 */

static void queues_and_counts(void **state)
{
    (void)state;
    ox("--prefix", "look", "add", "b", "n");
    ox("--prefix", "look", "add", "a", "n", "--delay", "1h");
    ox("--prefix", "look", "add", "a", "n", "--priority", "2");
    ox("--prefix", "look", "queues");
    expect_done("a\t0\t1\t1\t0\t0\t0\t0\t\nb\t1\t0\t0\t0\t0\t0\t0\t\n");
    ox("--prefix", "look", "queues", "--json");
    assert_true(g_str_has_prefix(out, "{\"queue\":\"a\",\"paused\":false,\"waiting\":0,"
                                      "\"prioritized\":1,\"delayed\":1,"));
    ox("--prefix", "look", "counts", "a", "--json");
    expect_done("{\"active\":0,\"waiting\":0,\"prioritized\":1,\"delayed\":1,"
                "\"waiting-children\":0,\"completed\":0,\"failed\":0}\n");
    ox("--prefix", "look", "counts", "a");
    expect_done("active\t0\nwaiting\t0\nprioritized\t1\ndelayed\t1\nwaiting-children\t0\n"
                "completed\t0\nfailed\t0\n");
    ox("--prefix", "look", "counts", "a", "--by-priority", "0,2", "--json");
    expect_done("{\"0\":0,\"2\":1}\n");
    ox("--prefix", "look", "counts", "aa");
    expect_refusal(3, "there is no queue aa under the prefix look");
    ox("--prefix", "look", "jobs", "aa");
    expect_refusal(3, "there is no queue aa");
    ox("--prefix", "empty", "queues");
    expect_done("");
}

static void jobs_are_listed_and_sifted(void **state)
{
    (void)state;
    ox("add", "list", "one", "{\"k\":\"needle\"}");
    ox("add", "list", "two", "{\"a\\tb\": \"x\\\\y\"}");
    ox("add", "list", "one", "--delay", "1h");
    ox("add", "list", "one", "--priority", "1");
    ox("jobs", "list");
    g_auto(GStrv) rows = g_strsplit(out, "\n", -1);
    assert_int_equal(g_strv_length(rows), 5);
    static const char *const order[] = { "1\tone\twaiting\t", "2\ttwo\twaiting\t",
        "4\tone\tprioritized\t", "3\tone\tdelayed\t" };
    for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
        g_auto(GStrv) cells = g_strsplit(rows[i], "\t", -1);
        if (!g_str_has_prefix(rows[i], order[i]) || g_strv_length(cells) != 7)
            told();
    }
    assert_non_null(strstr(rows[1], "\t0/1\t{\"a\\tb\":\"x\\\\y\"}\t"));
    ox("jobs", "list", "--grep", "needle");
    assert_true(g_str_has_prefix(out, "1\t") && !strchr(out, '\n')[1]);
    ox("jobs", "list", "--name", "two", "--json");
    json_t *job = json_loads(out, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(job, "id")), "2");
    assert_string_equal(json_string_value(json_object_get(job, "state")), "waiting");
    assert_int_equal(json_integer_value(json_object_get(job, "attemptsMade")), 0);
    assert_true(json_is_object(json_object_get(job, "data")));
    json_decref(job);
    ox("jobs", "list", "--limit", "1");
    assert_true(g_str_has_prefix(out, "1\t") && !strchr(out, '\n')[1]);
    ox("jobs", "list", "--state", "delayed");
    assert_true(g_str_has_prefix(out, "3\t") && !strchr(out, '\n')[1]);
    ox("jobs", "list", "--state", "failed");
    expect_done("");
}

/* More than a page, in the order in which they will run. */
static void long_lists_are_whole(void **state)
{
    (void)state;
    GString *lines = g_string_new(NULL);
    GString *expected = g_string_new(NULL);
    for (int i = 1; i <= 345; i++) {
        g_string_append_printf(lines, "%d\n", i);
        g_string_append_printf(expected, "%d\n", i);
    }
    ox_with(lines->str, WORDS("import", "pages", "--name", "n"));
    ox("jobs", "pages");
    g_autoptr(GRegex) rest = g_regex_new("\t.*", 0, 0, NULL);
    g_autofree char *ids = g_regex_replace_literal(rest, out, -1, 0, "", 0, NULL);
    assert_string_equal(ids, expected->str);
    g_string_free(lines, TRUE);
    g_string_free(expected, TRUE);
}

static const char *value_of(json_t *job, const char *key)
{
    return json_string_value(json_object_get(job, key));
}

static void one_job_with_all_it_left(void **state)
{
    (void)state;
    struct test_process *worker = start_worker("one");
    ox("add", "one", "bad", "{\"a\":1}", "--attempts", "2");
    await_level("one", "failed", 1);
    ox("job", "one", "1", "--json");
    assert_int_equal(status, 0);
    json_t *job = json_loads(out, 0, NULL);
    assert_string_equal(value_of(job, "state"), "failed");
    assert_string_equal(value_of(job, "failedReason"), "it went wrong");
    assert_string_equal(value_of(job, "processedBy"), "tester");
    assert_int_equal(json_integer_value(json_object_get(job, "attemptsMade")), 2);
    assert_int_equal(json_array_size(json_object_get(job, "stacktrace")), 2);
    assert_int_equal(json_array_size(json_object_get(job, "logs")), 2);
    json_decref(job);
    ox("job", "one", "1");
    if (status || !strstr(out, "state\tfailed\n") || !strstr(out, "log\tjust before\n") ||
        !strstr(out, "data\t{\"a\":1}\n"))
        told();
    ox("job", "one", "1", "--logs", "0");
    if (status || strstr(out, "log\t"))
        told();
    ox("jobs", "one", "--state", "failed");
    assert_non_null(strstr(out, "\t2/2\t{\"a\":1}\tit went wrong\n"));
    ox("job", "one", "77");
    expect_refusal(3, "77");
    test_process_free(worker);
}

static void a_job_is_followed_to_its_end(void **state)
{
    (void)state;
    ox("add", "follow", "good", "\"v\"");
    ox("add", "follow", "bad");
    ox("add", "follow", "good", "1", "--remove-on-complete");
    const char *const argv[] = { "ox", "job", "follow", "1", "--follow", NULL };
    const char *const removed[] = { "ox", "job", "follow", "3", "--follow", NULL };
    struct test_process *followers[] = { test_start(argv, NULL), test_start(removed, NULL) };
    for (size_t i = 0; i < 2; i++)
        assert_true(test_process_says(followers[i], "state\twaiting", DEADLINE_MS));
    struct test_process *worker = start_worker("follow");
    assert_int_equal(test_process_wait(followers[0], DEADLINE_MS), 0);
    g_autofree char *first = test_process_out(followers[0]);
    assert_non_null(strstr(first, "log\tfirst row\nlog\tsecond row\n"));
    assert_non_null(strstr(first, "returnvalue\t\"v\"\n"));
    assert_null(strstr(strstr(first, "second row") + 1, "second row"));
    assert_int_equal(test_process_wait(followers[1], DEADLINE_MS), 0);
    g_autofree char *third = test_process_out(followers[1]);
    assert_non_null(strstr(third, "returnvalue\t1\n"));
    ox("job", "follow", "2", "--follow", "--json");
    if (status != 1 || !strstr(out, "\"failedReason\":\"it went wrong\""))
        told();
    ox("job", "follow", "99", "--follow");
    expect_refusal(3, "99");
    test_process_free(followers[0]);
    test_process_free(followers[1]);
    test_process_free(worker);
}

/* ---- changing ------------------------------------------------------------------------------
 */

static void finished_jobs_run_again(void **state)
{
    (void)state;
    struct test_process *worker = start_worker("again");
    for (int i = 0; i < 3; i++)
        ox("add", "again", "bad");
    ox("add", "again", "good");
    await_level("again", "failed", 3);
    await_level("again", "completed", 1);
    test_process_signal(worker, SIGTERM);
    assert_int_equal(test_process_wait(worker, DEADLINE_MS), 0);
    test_process_free(worker);

    ox("retry", "again", "1", "4");
    expect_done("1\n4\n");
    assert_int_equal(length("again", "wait"), 2);
    ox("retry", "again", "1");
    expect_refusal(1, "job 1 is waiting; only failed and completed jobs can be retried");
    ox("retry", "again", "2", "--state", "completed");
    expect_refusal(1, "2");
    ox("retry", "again", "77");
    expect_refusal(3, "there is no job 77");
    ox("retry", "again", "77", "2", "--json");
    assert_int_equal(status, 3);
    assert_string_equal(out, "{\"id\":\"2\",\"retried\":true}\n");
    ox("retry", "again", "--all", "--older", "1h");
    expect_done("0\n");
    ox("retry", "again", "--all");
    expect_done("1\n");
    assert_int_equal(length("again", "wait"), 4);
    assert_int_equal(length("again", "failed"), 0);
}

static void ids_come_from_a_pipe(void **state)
{
    (void)state;
    ox_with("1\n2\n3\n", WORDS("import", "pipe", "--name", "n", "--delay", "1h"));
    ox_with("2\tn\tdelayed\t\n\n3\n", WORDS("promote", "pipe", "-"));
    expect_done("2\n3\n");
    assert_int_equal(length("pipe", "delayed"), 1);
    ox_with("2\n3\n", WORDS("rm", "pipe", "-", "--yes"));
    expect_done("2\n3\n");
    assert_int_equal(length("pipe", "wait"), 0);
}

static void delayed_jobs_run_now(void **state)
{
    (void)state;
    ox_with("1\n2\n3\n", WORDS("import", "soon", "--name", "n", "--delay", "1h"));
    ox("promote", "soon", "2", "--json");
    expect_done("{\"id\":\"2\",\"promoted\":true}\n");
    ox("promote", "soon", "2");
    expect_refusal(1, "2");
    ox("promote", "soon", "9");
    expect_refusal(3, "9");
    ox("promote", "soon", "--all", "--json");
    expect_done("{\"promoted\":2}\n");
    assert_int_equal(length("soon", "wait"), 3);
}

static void jobs_are_removed(void **state)
{
    (void)state;
    ox_with("1\n2\n3\n", WORDS("import", "gone", "--name", "n"));
    ox("rm", "gone", "1");
    expect_done("1\n");
    assert_int_equal(test_redis_int(redis, "EXISTS bull:gone:1"), 0);
    ox("rm", "gone", "1");
    expect_refusal(3, "there is no job 1");
    ox("rm", "gone", "2", "3");
    expect_refusal(2, "--yes");
    assert_int_equal(length("gone", "wait"), 2);
    ox("rm", "gone", "2", "3", "--yes");
    expect_done("2\n3\n");
    assert_int_equal(length("gone", "wait"), 0);
}

static void a_running_job_stays(void **state)
{
    (void)state;
    struct test_process *worker = start_worker("busy");
    ox("add", "busy", "stuck");
    await_level("busy", "active", 1);
    ox("rm", "busy", "1");
    expect_refusal(1, "1");
    assert_int_equal(test_redis_int(redis, "EXISTS bull:busy:1"), 1);
    test_process_free(worker);
}

/* ---- pipes and terminals -------------------------------------------------------------------
 */

static void a_reader_that_goes_away(void **state)
{
    (void)state;
    ox("add", "epipe", "n");
    GString *lines = g_string_new(NULL);
    for (int i = 0; i < 3000; i++)
        g_string_append_printf(lines, "\"%064d\"\n", i);
    ox_with(lines->str, WORDS("import", "epipe", "--name", "n"));
    g_string_free(lines, TRUE);
    g_autofree char *program = test_program("ox");
    g_autofree char *line =
        g_strdup_printf("{ '%s' jobs epipe; echo \"status $?\" >&2; } | head -n 1", program);
    g_clear_pointer(&out, g_free);
    g_clear_pointer(&err, g_free);
    status = test_run(WORDS("sh", "-c", line), NULL, &out, &err);
    if (status || strcmp(err, "status 0\n") || !g_str_has_prefix(out, "1\tn\twaiting"))
        told();
    g_autofree char *full = g_strdup_printf("'%s' counts epipe >/dev/full", program);
    g_clear_pointer(&out, g_free);
    g_clear_pointer(&err, g_free);
    status = test_run(WORDS("sh", "-c", full), NULL, &out, &err);
    expect_refusal(1, "the output could not be written");
}

/* Runs ox on a terminal of its own and types `typed`. What the terminal showed is in `out`. */
static void ox_on_terminal(const char *typed, const char *const *words)
{
    g_autofree char *program = test_program("ox");
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, program);
    for (const char *const *word = words; *word; word++)
        g_ptr_array_add(argv, (gpointer)*word);
    g_ptr_array_add(argv, NULL);
    struct winsize size = { .ws_row = 24, .ws_col = 60 };
    int terminal;
    pid_t pid = forkpty(&terminal, NULL, NULL, &size);
    if (pid == 0) {
        execv(program, (char **)argv->pdata);
        _exit(127);
    }
    assert_true(pid > 0);
    if (write(terminal, typed, strlen(typed)) < 0)
        test_fatal("the terminal takes nothing");
    GString *shown = g_string_new(NULL);
    char buffer[4096];
    ssize_t got;
    while ((got = read(terminal, buffer, sizeof buffer)) > 0)
        g_string_append_len(shown, buffer, got);
    int wait_status;
    waitpid(pid, &wait_status, 0);
    close(terminal);
    status = WEXITSTATUS(wait_status);
    g_clear_pointer(&out, g_free);
    g_clear_pointer(&err, g_free);
    out = g_string_free(shown, FALSE);
    err = g_strdup("");
}

static void tables_on_a_terminal(void **state)
{
    (void)state;
    ox("add", "tty", "evil\033[2J", "{\"long\":\"0123456789012345678901234567890123456789\"}");
    ox_on_terminal("", WORDS("jobs", "tty"));
    if (status || !strstr(out, "\033[1mID\033[0m") || strstr(out, "\033[2J") ||
        !strstr(out, "evil␛[2J") || !strstr(out, "…"))
        told();
    g_setenv("NO_COLOR", "1", TRUE);
    ox_on_terminal("", WORDS("jobs", "tty"));
    if (status || strchr(out, '\033') || !strstr(out, "ID  NAME"))
        told();
    g_auto(GStrv) lines = g_strsplit(out, "\r\n", -1);
    for (char **line = lines; *line; line++)
        assert_true(g_utf8_strlen(*line, -1) <= 60);
    ox_on_terminal("", WORDS("job", "tty", "1"));
    if (status || !strstr(out, "Job 1  evil␛[2J  waiting") || !strstr(out, "\"long\""))
        told();
    ox_on_terminal("", WORDS("jobs", "many"));
    if (status || !strstr(out, "the first 20; --limit 0 lists all"))
        told();
}

static void questions_on_a_terminal(void **state)
{
    (void)state;
    ox_with("1\n2\n", WORDS("import", "ask", "--name", "n"));
    ox_on_terminal("n\n", WORDS("rm", "ask", "1", "2"));
    if (status != 1 || !strstr(out, "This will remove 2 jobs from queue ask. Go on? [y/N]") ||
        !strstr(out, "nothing was done"))
        told();
    assert_int_equal(length("ask", "wait"), 2);
    ox_on_terminal("y\n", WORDS("rm", "ask", "1", "2"));
    if (status || !strstr(out, "removed 1\r\nremoved 2\r\n"))
        told();
    assert_int_equal(length("ask", "wait"), 0);
}

/* ---- setup ---------------------------------------------------------------------------------
 */

/* Before each test, so that one that fails half-way spoils no other. */
static int clean_environment(void **state)
{
    (void)state;
    g_unsetenv("REDIS_URL");
    g_unsetenv("NO_COLOR");
    g_setenv("TERM", "xterm", TRUE);
    g_setenv("OX_REDIS_URL", test_redis_url(redis), TRUE);
    return 0;
}

static int begin(void **state)
{
    (void)state;
    redis = test_redis_start(NULL);
    dir = test_dir_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    test_redis_stop(redis);
    test_remove(dir);
    g_free(dir);
    g_free(out);
    g_free(err);
    return 0;
}

#define cli_test(f) cmocka_unit_test_setup(f, clean_environment)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cli_test(wrong_usage_is_told_without_a_server),
        cli_test(help_is_no_failure),
        cli_test(a_server_that_is_not_there),
        cli_test(a_wrong_password),
        cli_test(the_server_is_chosen_in_order),
        cli_test(a_prefix_of_ones_own),
        cli_test(data_arrives_as_it_was_given),
        cli_test(bad_data_adds_nothing),
        cli_test(options_reach_the_job),
        cli_test(delay_priority_and_lifo),
        cli_test(waiting_for_the_result),
        cli_test(durability_is_not_claimed),
        cli_test(lines_become_jobs),
        cli_test(bare_lines_with_a_name),
        cli_test(a_bad_line_stops_the_import),
        cli_test(bad_lines_can_be_left_out),
        cli_test(queues_and_counts),
        cli_test(jobs_are_listed_and_sifted),
        cli_test(long_lists_are_whole),
        cli_test(one_job_with_all_it_left),
        cli_test(a_job_is_followed_to_its_end),
        cli_test(finished_jobs_run_again),
        cli_test(ids_come_from_a_pipe),
        cli_test(delayed_jobs_run_now),
        cli_test(jobs_are_removed),
        cli_test(a_running_job_stays),
        cli_test(a_reader_that_goes_away),
        cli_test(tables_on_a_terminal),
        cli_test(questions_on_a_terminal),
    };
    if (argc == 4 && !strcmp(argv[1], "work"))
        return work(argv[2], argv[3]);
    return cmocka_run_group_tests(tests, begin, end);
}
