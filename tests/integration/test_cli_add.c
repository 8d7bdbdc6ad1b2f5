/*
 * test_cli_add.c - ox add and ox import: what is stored, what is printed, what is refused and
 * with which exit status. What ox stores is judged by looking into Redis.
 */
#include "../support/check.h"

#include <glib.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/ran.h"
#include "../support/redis.h"
#include "../support/simple_worker.h"

#define DEADLINE_MS 20000

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

static struct test_process *start_worker(const char *queue)
{
    return simple_worker_start(test_redis_url(redis), queue);
}

/* It printed `out`, and on stderr one line that ends with `err`. */
static void expect_told(int status, const char *out, const char *err)
{
    const char *end = strchr(ran.err, '\n');
    if (ran.status != status || strcmp(ran.out, out) || !strstr(ran.err, err) || !end || end[1])
        told();
}

/* ---- add -----------------------------------------------------------------------------------
 */

static void stores_data_unchanged(void **state)
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

static void rejects_invalid_data(void **state)
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
    expect_refusal(2, "not valid UTF-8");
    ox("add", "none", "n", "--id", "12");
    expect_refusal(2, "12");
    ox("add", "none", "n", "--id", "a:b");
    expect_refusal(2, "a:b");
    ox("add", "none", "n", "--parent", "none:5");
    expect_refusal(3, "parent job bull:none:5 does not exist");
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
    assert_string_equal(ran.out, "own\n");
    expect_field("opts", "own", "name", "n");
    ox("add", "opts", "n", "--id", "aged", "--remove-on-complete=1d", "--remove-on-fail=false");
    expect_field("opts", "aged", "opts",
        "{\"attempts\":0,\"jobId\":\"aged\",\"removeOnComplete\":{\"age\":86400},"
        "\"removeOnFail\":false}");
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
    assert_true(g_str_has_prefix(ran.out, "{\"id\":\"4\""));
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
    assert_int_equal(ran.status, 1);
    assert_string_equal(ran.out, "{\"id\":\"4\",\"state\":\"failed\",\"failedReason\":"
                                 "\"it went wrong\"}\n");
    ox("add", "waits", "stuck", "--wait=300ms");
    expect_refusal(1, "timed out after 300 ms; job 5 of queue waits is still active");
    /* What has ended already is told at once. */
    ox("add", "waits", "good", "1", "--id", "mine", "--wait");
    expect_done("1\n");
    ox("add", "waits", "good", "2", "--id", "mine", "--wait");
    expect_told(0, "1\n", "not added: job mine exists already\n");
    test_process_free(worker);
}

/* Whoever ran it writes no events, and nothing of the job is kept. */
static void wait_reports_job_gone_without_event(void **state)
{
    (void)state;
    const char *const argv[] = { "ox", "add", "silent", "n", "--wait", NULL };
    const char *const follow[] = { "ox", "job", "silent", "1", "--follow", NULL };
    struct test_process *adder = test_start(argv, NULL);
    int64_t deadline = test_now_ms() + DEADLINE_MS;
    while (length("silent", "wait") == 0 && test_now_ms() < deadline)
        g_usleep(1000);
    struct test_process *follower = test_start(follow, NULL);
    assert_true(test_process_says(follower, "state\twaiting", DEADLINE_MS));
    test_redis_do(redis, "DEL bull:silent:1 bull:silent:wait");
    struct test_process *const both[] = { adder, follower };
    for (size_t i = 0; i < G_N_ELEMENTS(both); i++) {
        assert_int_equal(test_process_wait(both[i], DEADLINE_MS), 1);
        g_autofree char *err = test_process_err(both[i]);
        if (!strstr(err,
                "job 1 of queue silent no longer exists, and no event tells how it finished"))
            test_fatal("%s", err);
        test_process_free(both[i]);
    }
}

static void reports_duplicates(void **state)
{
    (void)state;
    ox("add", "twice", "n", "1", "--id", "mine");
    expect_done("mine\n");
    ox("add", "twice", "n", "2", "--id", "mine");
    expect_told(0, "mine\n", "not added: job mine exists already\n");
    ox("add", "twice", "n", "2", "--id", "mine", "--json");
    expect_told(0, "{\"id\":\"mine\",\"added\":false,\"reason\":\"duplicated\"}\n", "mine");
    ox("add", "twice", "n", "--dedup", "D", "--id", "holder");
    expect_done("holder\n");
    ox("add", "twice", "n", "--dedup", "D");
    expect_told(0, "holder\n", "not added: job holder holds the deduplication id D\n");
    ox("add", "twice", "n", "--dedup", "D", "--json", "--durable");
    if (ran.status != 1 || !strstr(ran.out, "\"added\":false,\"reason\":\"deduplicated\""))
        told();
    assert_int_equal(length("twice", "wait"), 2);
    static const char tree[] = "{\"name\":\"top\",\"opts\":{\"jobId\":\"top\"}}";
    ox_with(tree, WORDS("flow", "twice"));
    expect_done("top\n");
    ox_with(tree, WORDS("flow", "twice", "--json"));
    expect_told(0, "{\"id\":\"top\",\"added\":false,\"reason\":\"duplicated\"}\n", "top");
}

static void a_scheduler_job_can_be_the_parent(void **state)
{
    (void)state;
    ox("schedule", "set", "tree", "a:b", "--every", "1h");
    assert_int_equal(ran.status, 0);
    g_autofree char *id = g_strndup(ran.out, strlen(ran.out) - 1);
    g_autofree char *near = g_strconcat("tree:", id, NULL);
    g_autofree char *full = g_strconcat("bull:tree:", id, NULL);
    ox("add", "leaf", "n", "--parent", near);
    expect_done("1\n");
    expect_field("leaf", "1", "parentKey", full);
    ox("add", "leaf", "n", "--parent", full);
    expect_done("2\n");
    expect_field("leaf", "2", "parentKey", full);
    /* A queue of that name, and a job that is none of a scheduler. */
    ox("add", "repeat", "n");
    ox("add", "leaf", "n", "--parent", "bull:repeat:1");
    expect_done("3\n");
    expect_field("leaf", "3", "parentKey", "bull:repeat:1");
}

static bool both_are_waiting(void *arg)
{
    (void)arg;
    g_autofree char *list = test_redis_text(redis, "CLIENT LIST TYPE normal");
    const char *first = strstr(list, "cmd=xread");
    return first && strstr(first + 1, "cmd=xread");
}

/* A server that restarts, or drops its connections, is no reason to wait no longer. */
static void wait_survives_lost_connection(void **state)
{
    (void)state;
    struct test_process *adding =
        test_start(WORDS("ox", "add", "outage", "good", "[1]", "--wait=60s"), NULL);
    struct test_process *watching = test_start(
        WORDS("ox", "events", "outage", "--event", "completed", "--limit", "1"), NULL);
    assert_true(test_wait_for(DEADLINE_MS, both_are_waiting, NULL));
    test_redis_int(redis, "CLIENT KILL TYPE normal");
    struct test_process *worker = start_worker("outage");
    assert_int_equal(test_process_wait(adding, DEADLINE_MS), 0);
    assert_int_equal(test_process_wait(watching, DEADLINE_MS), 0);
    g_autofree char *value = test_process_out(adding), *said = test_process_err(adding);
    g_autofree char *event = test_process_out(watching);
    assert_string_equal(value, "[1]\n");
    assert_string_equal(said, "");
    assert_non_null(strstr(event, "returnvalue=[1]"));
    test_process_free(adding);
    test_process_free(watching);
    test_process_free(worker);
}

/* Redis 7.0 cannot tell about its disk; 7.2 without an append-only file cannot either. */
static void reports_missing_durability(void **state)
{
    (void)state;
    ox("add", "safe", "n", "--durable");
    if (ran.status != 1 || strcmp(ran.out, "1\n") || !strstr(ran.err, "job 1 was added"))
        told();
    assert_int_equal(length("safe", "wait"), 1);
}

/* A server that answers PING and hangs up at anything else. */
static void hang_up(int listener)
{
    for (;;) {
        char command[4096];
        int fd = accept(listener, NULL, NULL);
        ssize_t got;
        while ((got = read(fd, command, sizeof command)) > 0)
            if (!g_strstr_len(command, got, "PING") || write(fd, "+PONG\r\n", 7) != 7)
                break;
        close(fd);
    }
}

static char *start_hanging_up(pid_t *pid)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    g_snprintf(address.sun_path, sizeof address.sun_path, "%s/hang-up", dir);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 4), 0);
    *pid = fork();
    if (*pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        hang_up(listener);
    }
    close(listener);
    return g_strdup_printf("unix://%s", address.sun_path);
}

/* Whether the job was added cannot be known, and that is what is said. */
static void reports_lost_reply(void **state)
{
    (void)state;
    pid_t pid;
    g_autofree char *url = start_hanging_up(&pid);
    ox("--redis", url, "add", "q", "n");
    expect_refusal(1, "the job may have been added");
    ox_with("1\n2\n", WORDS("--redis", url, "import", "q", "--name", "n"));
    expect_refusal(1, "stopped, 0 jobs were added; 2 more, from line 1 on, got no reply");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Who waits in vain still learns which job it was. */
static void wait_times_out(void **state)
{
    (void)state;
    ox("add", "nobody", "n", "--wait=50ms");
    expect_refusal(1, "timed out after 50 ms; job 1 of queue nobody is still waiting");
    ox("add", "nobody", "n", "--wait=50ms", "--json", "--delay", "1h");
    assert_int_equal(ran.status, 1);
    assert_string_equal(ran.out, "{\"id\":\"2\",\"state\":\"delayed\"}\n");
}

/* ---- import --------------------------------------------------------------------------------
 */

static void imports_lines(void **state)
{
    (void)state;
    ox_with("{\"name\":\"a\",\"data\":{\"n\":0.10}}\r\n\n"
            " {\"opts\":{\"delay\":60000,\"attempts\":2},\"name\":\"b\"} \n{\"name\":\"c\"}",
        WORDS("import", "lines", "--json", "--attempts", "4"));
    if (ran.status ||
        !g_str_has_prefix(ran.out, "{\"added\":3,\"bad\":0,\"unknown\":0,\"lines\":4,"))
        told();
    assert_non_null(strstr(ran.err, "added 3 jobs"));
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

static void imports_lines_as_data(void **state)
{
    (void)state;
    g_autofree char *path = g_build_filename(dir, "numbers", NULL);
    GString *text = g_string_new(NULL);
    for (int i = 0; i < 20000; i++)
        g_string_append_printf(text, "%d\n", i);
    test_write(path, text->str, (long)text->len);
    g_string_free(text, TRUE);
    ox("import", "many", path, "--name", "square", "--ids");
    if (ran.status || !g_str_has_prefix(ran.out, "1\n2\n3\n") || !strstr(ran.out, "\n20000\n"))
        told();
    assert_int_equal(length("many", "wait"), 20000);
    expect_field("many", "12346", "data", "12345");
    expect_field("many", "12346", "name", "square");
}

static void stops_at_bad_line(void **state)
{
    (void)state;
    static const char lines[] = "{\"name\":\"a\"}\n\n{\"name\":\"b\"}\n{\"nme\":\"c\"}\n"
                                "{\"name\":\"d\"}\n";
    ox_with(lines, WORDS("import", "stops"));
    expect_refusal(1, "line 4: \"nme\" is not one of");
    expect_refusal(1, "; stopped, 2 jobs were added\n");
    assert_int_equal(length("stops", "wait"), 2);
    /* Data and options are looked at as well as the line. */
    static const char *const bad[] = { "{\"name\":\"a\",\"data\":{\"x\":}}", "nonsense",
        "{\"name\":\"a\",\"opts\":[]}", "{\"name\":\"a\",\"opts\":{\"jobId\":\"12\"}}",
        "{\"name\":\"a\",\"opts\":{\"delay\":\"soon\"}}" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        ox_with(bad[i], WORDS("import", "refuses"));
        expect_refusal(1, "line 1: ");
    }
    assert_int_equal(test_redis_int(redis, "EXISTS bull:refuses:wait"), 0);
    ox("import", "refuses", "/no/such/file");
    expect_refusal(1, "No such file");
}

static void counts_duplicates_separately(void **state)
{
    (void)state;
    static const char lines[] =
        "{\"name\":\"a\",\"opts\":{\"jobId\":\"x\"}}\n"
        "{\"name\":\"b\",\"opts\":{\"jobId\":\"x\"}}\n"
        "{\"name\":\"c\",\"opts\":{\"deduplication\":{\"id\":\"D\"}}}\n"
        "{\"name\":\"d\",\"opts\":{\"deduplication\":{\"id\":\"D\"}}}\n";
    ox_with(lines, WORDS("import", "dropped"));
    if (ran.status || !g_str_has_prefix(ran.err, "added 2 jobs in") ||
        !strstr(ran.err, ", 1 already there (same id), 1 dropped by deduplication\n"))
        told();
    assert_int_equal(length("dropped", "wait"), 2);
    ox_with(lines, WORDS("import", "dropped", "--json"));
    if (ran.status ||
        !g_str_has_prefix(ran.out, "{\"added\":0,\"bad\":0,\"unknown\":0,\"lines\":4,"
                                   "\"duplicated\":2,\"deduplicated\":2,"))
        told();
}

static void skips_bad_lines(void **state)
{
    (void)state;
    ox_with("1\noops\n{\"a\":\n2\n", WORDS("import", "keeps", "--name", "n", "--keep-going"));
    assert_int_equal(ran.status, 1);
    if (!strstr(ran.err, "line 2: ") || !strstr(ran.err, "line 3: ") ||
        !strstr(ran.err, "added 2 jobs"))
        told();
    assert_int_equal(length("keeps", "wait"), 2);
    expect_field("keeps", "2", "data", "2");
}

/* ---- setup ---------------------------------------------------------------------------------
 */

/* The server refuses what is larger than its limits in two ways; neither adds a job, and both
 * are said to have added none. */
static void refuses_what_the_server_has_no_room_for(void **state)
{
    (void)state;
    g_autofree char *path = g_build_filename(dir, "large.json", NULL);
    g_autofree char *file = g_strconcat("@", path, NULL);
    g_autofree char *text = g_strnfill((gsize)8 * 1024 * 1024, 'x');
    text[0] = text[strlen(text) - 1] = '"';
    test_write(path, text, -1);
    test_redis_do(redis, "CONFIG SET proto-max-bulk-len 1048576");
    ox("add", "large", "n", file);
    expect_refusal(1, "(a text is longer than the server's proto-max-bulk-len)");
    assert_null(strstr(ran.err, "may have been added"));
    test_redis_do(redis, "CONFIG SET proto-max-bulk-len 536870912");
    ox("add", "large", "n", file);
    expect_done("1\n");
}

int main(int argc, char **argv)
{
    int worked = simple_worker_main(argc, argv);
    if (worked >= 0)
        return worked;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stores_data_unchanged),
        cmocka_unit_test(rejects_invalid_data),
        cmocka_unit_test(options_reach_the_job),
        cmocka_unit_test(delay_priority_and_lifo),
        cmocka_unit_test(waiting_for_the_result),
        cmocka_unit_test(wait_survives_lost_connection),
        cmocka_unit_test(wait_reports_job_gone_without_event),
        cmocka_unit_test(reports_duplicates),
        cmocka_unit_test(a_scheduler_job_can_be_the_parent),
        cmocka_unit_test(reports_missing_durability),
        cmocka_unit_test(wait_times_out),
        cmocka_unit_test(reports_lost_reply),
        cmocka_unit_test(imports_lines),
        cmocka_unit_test(imports_lines_as_data),
        cmocka_unit_test(stops_at_bad_line),
        cmocka_unit_test(counts_duplicates_separately),
        cmocka_unit_test(skips_bad_lines),
        cmocka_unit_test(refuses_what_the_server_has_no_room_for),
    };
    return cmocka_run_group_tests(tests, ran_begin, ran_end);
}
