/*
 * test_worker_exec.c - the exec handler as an operator has it: ox-worker runs programs for jobs
 * of a real Redis, one for each job and in stream mode, and what came of them is read there.
 * The examples of docs/examples/handlers are among them. Runs from the top folder of the
 * source.
 *
 * What a program may do, case by case, is tested without a worker in tests/unit.
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
#include "../support/redis.h"
#include "../support/worker.h"

#define DEADLINE_MS 30000
#define EXAMPLES "docs/examples/handlers/"

static struct test_redis *redis;
static ox_client *client;
static ox_queue *queue; /* "q", of the test that runs */
static char *folder;
static struct test_process *worker;

/* ---- worker ------------------------------------------------------------------------------ */

static int start_redis(void **state)
{
    (void)state;
    redis = test_redis_start(NULL);
    return 0;
}

static int stop_redis(void **state)
{
    (void)state;
    test_redis_stop(redis);
    return 0;
}

static int open_queue(void **state)
{
    (void)state;
    const ox_client_options options = { .url = test_redis_url(redis) };
    ox_error err = { 0 };
    test_redis_do(redis, "FLUSHALL");
    if (ox_client_new(&client, &options, &err) < 0 ||
        ox_queue_new(&queue, client, "q", NULL, &err) < 0)
        test_fatal("%s", err.text);
    folder = test_dir_new();
    worker = NULL;
    return 0;
}

static int close_queue(void **state)
{
    (void)state;
    test_process_free(worker);
    ox_queue_free(queue);
    ox_client_free(client);
    test_remove(folder);
    g_free(folder);
    return 0;
}

/* Starts ox-worker on the queue with this command, and options a space apart. */
static void start(const char *command, const char *options)
{
    g_autofree char *word = g_strdup_printf("q=exec:%s", command);
    worker =
        test_worker_start(test_redis_url(redis), options, TEST_WORDS("--concurrency=1", word));
    test_worker_connects(worker);
}

static void stop(void)
{
    test_worker_stop(worker);
    test_process_free(worker);
    worker = NULL;
}

/* ---- jobs -------------------------------------------------------------------------------- */

static char *add_with(const char *data, const ox_job_options *options)
{
    ox_error err = { 0 };
    char *id = NULL;
    if (ox_queue_add(queue, "do", data, options, &id, &err) < 0)
        test_fatal("%s", err.text);
    return id;
}

/* Adds a job and waits for its end; its id (ox_free). */
static char *run_with(const char *data, const ox_job_options *options)
{
    char *id = add_with(data, options);
    test_job_ends(queue, id, worker);
    return id;
}

static char *field(const char *id, const char *name)
{
    return test_redis_text(redis, "HGET bull:q:%s %s", id, name);
}

static void expect_field(const char *id, const char *name, const char *wanted)
{
    g_autofree char *text = field(id, name);
    if (g_strcmp0(text, wanted) != 0)
        test_fatal("job %s: %s is %s, not %s", id, name, text ? text : "(nil)", wanted);
}

static void expect_rows(const char *id, const char *wanted)
{
    g_autoptr(GString) rows = g_string_new(NULL);
    redisReply *reply = test_redis_command(redis, "LRANGE bull:q:%s:logs 0 -1", id);
    for (size_t i = 0; i < reply->elements; i++)
        g_string_append_printf(rows, "%s;", reply->element[i]->str);
    freeReplyObject(reply);
    assert_string_equal(rows->str, wanted);
}

static void expect_return(const char *data, const char *value)
{
    char *id = run_with(data, NULL);
    g_autofree char *reason = field(id, "failedReason");
    if (reason)
        test_fatal("%s failed: %s", data, reason);
    expect_field(id, "returnvalue", value);
    ox_free(id);
}

static void expect_reason(const char *data, const char *reason)
{
    char *id = run_with(data, NULL);
    expect_field(id, "failedReason", reason);
    ox_free(id);
}

static char *script(const char *name, const char *text)
{
    char *path = g_build_filename(folder, name, NULL);
    test_write(path, text, -1);
    chmod(path, 0755);
    return path;
}

/* ---- one program for each job ------------------------------------------------------------ */

static void everything_of_a_job(void **state)
{
    (void)state;
    g_autofree char *path =
        script("work", "#!/bin/sh\n"
                       "echo \"$1 $OX_QUEUE $OX_JOB_ID $OX_JOB_NAME $OX_ATTEMPT\" >&2\n"
                       "echo ox:progress '{\"step\":2}' >&2\n"
                       "printf 'bad \\377\\n' >&2\n"
                       "echo ${OX_REDIS_URL-none} ${#OX_DEADLINE} >&2\n"
                       "cat\n");
    g_autofree char *command = g_strdup_printf("%s 'a b'", path);
    g_setenv("OX_REDIS_URL", "redis://:secret@nowhere", TRUE);
    start(command, "--timeout 20s");
    g_unsetenv("OX_REDIS_URL");
    char *id = run_with("{\"x\": [1, 2]}", NULL);
    expect_field(id, "returnvalue", "{\"x\": [1, 2]}");
    expect_field(id, "progress", "{\"step\":2}");
    expect_rows(id, "a b q 1 do 1;bad \xef\xbf\xbd;none 13;");
    ox_free(id);
    stop();
}

static void failures_by_exit_status(void **state)
{
    (void)state;
    static const struct {
        const char *data, *reason, *made;
    } rows[] = {
        { "3", "exec: work: exited with status 3", "2" },
        { "75", "exec: work: exited with status 75", "2" },
        { "65", "exec: work: exited with status 65", "1" },
        { "\"SEGV\"", "exec: work: killed by SIGSEGV", "2" },
        { "\"KILL\"", "exec: work: killed by SIGKILL", "2" },
        { "\"reason\"", "exec: work: there is no such address", "2" },
        { "\"\\\"\"", "bad output: stdout is not UTF-8, from byte 2 on", "1" },
    };
    g_autofree char *path =
        script("work", "#!/bin/sh\n"
                       "case $(cat) in\n"
                       "'\"reason\"') echo there is no such address >&2; exit 1;;\n"
                       "'\"SEGV\"') kill -SEGV $$;;\n"
                       "'\"KILL\"') kill -KILL $$;;\n"
                       "3) exit 3;; 75) exit 75;; 65) exit 65;;\n"
                       "*) printf 'ab\\377';;\n"
                       "esac\n");
    const ox_job_options options = { .attempts = 2 };
    start(path, "");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *id = run_with(rows[i].data, &options);
        expect_field(id, "failedReason", rows[i].reason);
        expect_field(id, "atm", rows[i].made);
        ox_free(id);
    }
    stop();
}

/* The command stands for all queues that give none. */
static void the_command_may_be_an_option(void **state)
{
    (void)state;
    const char *const argv[] = { "ox-worker", "--redis", test_redis_url(redis), "--command",
        "echo of the option", "a=exec", "q=exec:echo of the queue", NULL };
    worker = test_start(argv, NULL);
    expect_return("1", "\"of the queue\"");
    ox_queue *other = NULL, *own = queue;
    ox_error err = { 0 };
    assert_int_equal(ox_queue_new(&other, client, "a", NULL, &err), 0);
    queue = other;
    char *id = run_with("1", NULL);
    g_autofree char *value = test_redis_text(redis, "HGET bull:a:%s returnvalue", id);
    assert_string_equal(value, "\"of the option\"");
    ox_free(id);
    queue = own;
    ox_queue_free(other);
    stop();
}

static void expect_refused(const char *word, const char *says)
{
    g_autofree char *err = NULL;
    int status =
        test_run_words(NULL, &err, "ox-worker", "--redis", test_redis_url(redis), word, NULL);
    if (status != 2 || !g_str_has_prefix(err, says))
        test_fatal("%s: exit %d: %s", word, status, err);
}

static void a_wrong_command_is_said_at_the_start(void **state)
{
    (void)state;
    expect_refused("q=exec", "ox-worker: q=exec: exec needs a command: ");
    expect_refused("q=exec:nosuch", "ox-worker: q=exec: nosuch: not found in PATH");
    expect_refused("q=exec:/etc/passwd", "ox-worker: q=exec: /etc/passwd: not executable");
    expect_refused(
        "q=exec:cat 'x", "ox-worker: q=exec: the command has a quote or a backslash");
}

static void large_payloads(void **state)
{
    (void)state;
    static const size_t sizes[] = { (size_t)1 << 20, (size_t)64 << 20 };
    start("wc -c", "--lock 60s");
    expect_return("{}", "2");
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *data = g_strnfill(sizes[i], 'x');
        g_autofree char *wanted = g_strdup_printf("%zu", sizes[i]);
        data[0] = data[sizes[i] - 1] = '"';
        expect_return(data, wanted);
    }
    stop();
}

static void large_results_and_floods(void **state)
{
    (void)state;
    g_autofree char *path =
        script("work", "#!/bin/sh\n"
                       "case $(cat) in\n"
                       "16) head -c 16000000 /dev/zero | tr '\\0' x;;\n"
                       "1024) head -c 1073741824 /dev/zero; echo unreachable >&2;;\n"
                       "esac\n");
    start(path, "");
    char *id = run_with("16", NULL);
    g_autofree char *value = field(id, "returnvalue");
    assert_int_equal(strlen(value), 16000002);
    ox_free(id);
    int64_t start_ms = test_now_ms();
    id = run_with("1024", NULL);
    expect_field(id, "failedReason", "bad output: more than 16 MB on stdout");
    expect_rows(id, "bad output: more than 16 MB on stdout;");
    assert_true(test_now_ms() - start_ms < 10000);
    ox_free(id);
    expect_return("0", "null");
    stop();
}

/* 10,000 rows are stored, and no more than 4 MB of them; the program goes on. */
static void a_flood_of_rows(void **state)
{
    (void)state;
    g_autofree char *path = script("work",
        "#!/bin/sh\n"
        "read n; seq 1 $n >&2; seq -f 'ox:progress %.0f' 1 2000 >&2\n"
        "[ $n = 10000 ] || head -c 8000000 /dev/zero | tr '\\0' y | fold -w 1000 >&2\n"
        "echo done\n");
    start(path, "--timeout 60s");
    char *id = run_with("10000", NULL);
    expect_field(id, "returnvalue", "\"done\"");
    expect_field(id, "progress", "2000");
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:%s:logs", id), 10000);
    ox_free(id);
    id = run_with("1", NULL);
    expect_field(id, "returnvalue", "\"done\"");
    g_autofree char *last = test_redis_text(redis, "LINDEX bull:q:%s:logs -1", id);
    assert_string_equal(last, "more than 4 MB of logs: the rest is left out");
    ox_free(id);
    stop();
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

static bool is_dead(void *path)
{
    g_autoptr(GDir) processes = g_dir_open("/proc", 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(processes)))
        if (runs_script(name, path))
            return false;
    return true;
}

static void assert_dead(char *path)
{
    assert_true(test_wait_for(DEADLINE_MS, is_dead, path));
}

static void a_timeout_kills_the_program(void **state)
{
    (void)state;
    g_autofree char *path =
        script("work", "#!/bin/sh\nread n\necho $$ >&2\n[ $n = 1 ] || sleep 600\n");
    start(path, "--timeout 1s");
    char *id = run_with("2", NULL);
    expect_field(id, "failedReason", "handler killed: timeout after 1s");
    assert_dead(path);
    ox_free(id);
    expect_return("1", "null");
    stop();
}

/* ---- a root ------------------------------------------------------------------------------ */

/* What each number does: 1 is allowed in the root, all else is outside or needs a network. */
static void a_root_confines_the_program(void **state)
{
    (void)state;
    g_autofree char *path =
        script("work", "#!/bin/sh\n"
                       "read n\n"
                       "case $n in\n"
                       "1) echo here >$1/new; mv $1/new $1/file; exec cat $1/file;;\n"
                       "2) exec cat $1/../secret;;\n"
                       "3) exec touch $1/../made;;\n"
                       "4) exec python3 -c 'import socket; socket.socket()';;\n"
                       "esac\n");
    g_autofree char *root = g_build_filename(folder, "root", NULL);
    g_autofree char *secret = g_build_filename(folder, "secret", NULL);
    g_autofree char *command = g_strdup_printf("%s %s", path, root);
    g_autofree char *options = g_strdup_printf("--root %s", root);
    g_autofree char *no_read =
        g_strdup_printf("exec: work: cat: %s/../secret: Permission denied", root);
    g_autofree char *no_write = g_strdup_printf(
        "exec: work: touch: cannot touch '%s/../made': Permission denied", root);
    assert_int_equal(mkdir(root, 0700), 0);
    test_write(secret, "x", 1);
    start(command, options);
    g_autofree char *err = test_process_err(worker);
    if (!strstr(err, "landlock=no")) {
        expect_reason("2", no_read);
        expect_reason("3", no_write);
    }
    expect_reason("4", "exec: work: PermissionError: [Errno 1] Operation not permitted");
    expect_return("1", "\"here\"");
    stop();
    g_autofree char *online = g_strdup_printf("--root %s --network", root);
    start(command, online);
    expect_return("4", "null");
    stop();
}

/* As a new version is put in place: the sandbox allowed the file, and this is another one. */
static void a_replaced_program_is_run(void **state)
{
    (void)state;
    const ox_job_options options = { .attempts = 3 };
    g_autofree char *path = g_build_filename(folder, "work", NULL);
    g_autofree char *next = g_build_filename(folder, "next", NULL);
    g_autofree char *root = g_build_filename(folder, "root", NULL);
    g_autofree char *words = g_strdup_printf("--root %s", root);
    assert_int_equal(mkdir(root, 0700), 0);
    for (int version = 1; version <= 3; version++) {
        g_autofree char *text =
            g_strdup_printf("#!/bin/sh\ncat >/dev/null\necho %d\n", version);
        g_autofree char *wanted = g_strdup_printf("%d", version);
        test_write(next, text, -1);
        assert_int_equal(chmod(next, 0700), 0);
        assert_int_equal(rename(next, path), 0);
        if (version == 1)
            start(path, words);
        char *id = run_with("{}", &options);
        expect_field(id, "returnvalue", wanted);
        expect_field(id, "atm", "1");
        ox_free(id);
    }
    stop();
}

/* ---- stream mode ------------------------------------------------------------------------- */

/* Commands of a job: what a shell does with them. */
static char *stream_script(void)
{
    return script("loop",
        "#!/bin/sh\n"
        "jobs=0\n"
        "while read -r line; do\n"
        "    jobs=$((jobs + 1))\n"
        "    id=${line#*:\\\"}; id=${id%%\\\"*}\n"
        "    answer() { printf '{\"id\":\"%s\",%s}\\n' $id \"$1\"; }\n"
        "    case $line in\n"
        "    *'\"data\":\"rows\"}') echo $$ >&2; echo ox:progress 9 >&2;;\n"
        "    *'\"data\":\"hang\"}') echo $$ >&2; sleep 600;;\n"
        "    *'\"data\":\"die\"}') echo giving up >&2; exit 3;;\n"
        "    *'\"data\":\"bad\"}') echo debug;;\n"
        "    *'\"data\":\"leave\"}') answer '\"result\":\"bye\"'; exit 0;;\n"
        "    *'\"data\":\"never\"}') answer '\"error\":\"never\",\"retry\":false'; continue;;\n"
        "    esac\n"
        "    answer '\"result\":'$jobs\n"
        "done\n"
        "echo left >\"$1\"\n");
}

static void one_program_runs_many_jobs(void **state)
{
    (void)state;
    g_autofree char *path = stream_script();
    g_autofree char *left = g_build_filename(folder, "left", NULL);
    g_autofree char *command = g_strdup_printf("%s %s", path, left);
    start(command, "--mode stream");
    for (int i = 1; i <= 50; i++) {
        g_autofree char *wanted = g_strdup_printf("%d", i);
        expect_return("{}", wanted);
    }
    char *id = run_with("\"rows\"", NULL);
    expect_field(id, "returnvalue", "51");
    expect_field(id, "progress", "9");
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:%s:logs", id), 1);
    stop();
    assert_dead(path); /* it went by itself, when its stdin ended */
    g_autofree char *said = test_read(left, NULL);
    assert_string_equal(said, "left\n");
    ox_free(id);
}

static void failures_in_stream_mode(void **state)
{
    (void)state;
    g_autofree char *path = stream_script();
    const ox_job_options twice = { .attempts = 2 };
    start(path, "--mode stream --timeout 2s");
    char *id = run_with("\"die\"", &twice);
    expect_field(id, "failedReason", "exec: loop: giving up");
    expect_field(id, "atm", "2");
    ox_free(id);
    expect_return("{}", "1");
    expect_reason("\"bad\"", "bad output: not a JSON object: debug");
    expect_return("{}", "1");
    expect_return("\"leave\"", "\"bye\"");
    expect_return("{}", "1");
    id = run_with("\"hang\"", NULL);
    expect_field(id, "failedReason", "handler killed: timeout after 2s");
    assert_dead(path);
    ox_free(id);
    expect_return("{}", "1");
    id = run_with("\"never\"", &twice);
    expect_field(id, "failedReason", "never");
    expect_field(id, "atm", "1");
    ox_free(id);
    expect_return("{}", "3");
    stop();
}

/* ---- the examples ------------------------------------------------------------------------ */

static void the_example_in_sh(void **state)
{
    (void)state;
    g_autofree char *file = g_build_filename(folder, "june.txt", NULL);
    g_autofree char *command = g_strdup_printf(EXAMPLES "checksum.sh %s", folder);
    g_autofree char *missing = g_strdup("exec: checksum.sh: no such file: july.txt");
    g_autofree char *outside =
        g_strdup_printf("exec: checksum.sh: not a path below %s: ../x", folder);
    test_write(file, "hello\n", -1);
    start(command, "");
    char *id = run_with("\"june.txt\"", NULL);
    expect_field(id, "returnvalue",
        "{\"file\": \"june.txt\", \"bytes\": 6, \"sha256\": "
        "\"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\"}");
    expect_field(id, "progress", "10");
    expect_rows(id, "attempt 1 of job 1: 6 bytes;");
    ox_free(id);
    expect_reason("\"july.txt\"", missing);
    expect_reason("\"../x\"", outside);
    stop();
}

static void the_examples_that_add_up(void **state)
{
    (void)state;
    static const struct {
        const char *command, *total, *reason;
    } rows[] = {
        { EXAMPLES "total.py", "{\"total\": 7.3}", "exec: total.py: the order has no items" },
        { EXAMPLES "total.mjs", "{\"total\":7.3}", "exec: total.mjs: the order has no items" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        start(rows[i].command, "");
        expect_return("{\"items\": [{\"price\": 1.1, \"count\": 3}, {\"price\": 2, "
                      "\"count\": 2}]}",
            rows[i].total);
        expect_reason("{\"items\": []}", rows[i].reason);
        stop();
    }
}

static void the_example_in_python(void **state)
{
    (void)state;
    g_autofree char *box = g_build_filename(folder, "box", NULL);
    g_autofree char *command = g_strdup_printf(EXAMPLES "notify.py %s", box);
    const ox_job_options own_id = { .id = "note" };
    start(command, "--mode stream");
    char *id = run_with("{\"to\": \"ann@example.com\", \"text\": \"hello\"}", &own_id);
    expect_field(id, "returnvalue", "\"delivered\"");
    ox_free(id);
    test_redis_do(redis, "ZREM bull:q:completed note");
    test_redis_do(redis, "DEL bull:q:note");
    id = run_with("{\"to\": \"ann@example.com\", \"text\": \"hello\"}", &own_id);
    expect_field(id, "returnvalue", "\"was there\"");
    ox_free(id);
    expect_reason("{\"to\": \"ann\"}", "no such address");
    expect_reason("{\"to\": \"ann@example.com\"}", "KeyError: 'text'");
    expect_return("{\"to\": \"bob@example.com\", \"text\": \"bye\"}", "\"delivered\"");
    stop();
    g_autofree char *mail = test_read(box, NULL);
    assert_non_null(strstr(mail, "Message-ID: <q.note@ox>"));
    assert_non_null(strstr(mail, "bob@example.com"));
}

static void the_example_in_node(void **state)
{
    (void)state;
    g_autofree char *file = g_build_filename(folder, "a.txt", NULL);
    g_autofree char *command = g_strdup_printf(EXAMPLES "count.mjs %s", folder);
    test_write(file, "one two\nthree\n", -1);
    start(command, "--mode stream");
    char *id = run_with("{\"files\": [\"a.txt\", \"../a.txt\"]}", NULL);
    expect_field(id, "returnvalue", "{\"lines\":4,\"words\":6}");
    expect_field(id, "progress", "{\"done\":2,\"of\":2}");
    expect_rows(id, "a.txt: 14 characters;../a.txt: 14 characters;");
    ox_free(id);
    id = run_with("{\"files\": [\"b.txt\"]}", NULL);
    g_autofree char *reason = field(id, "failedReason");
    assert_true(g_str_has_prefix(reason, "ENOENT: no such file or directory"));
    ox_free(id);
    expect_return("{\"files\": []}", "{\"lines\":0,\"words\":0}");
    stop();
}

#define WITH_QUEUE(test) cmocka_unit_test_setup_teardown(test, open_queue, close_queue)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(everything_of_a_job),
        WITH_QUEUE(failures_by_exit_status),
        WITH_QUEUE(the_command_may_be_an_option),
        WITH_QUEUE(a_wrong_command_is_said_at_the_start),
        WITH_QUEUE(large_payloads),
        WITH_QUEUE(large_results_and_floods),
        WITH_QUEUE(a_flood_of_rows),
        WITH_QUEUE(a_timeout_kills_the_program),
        WITH_QUEUE(a_root_confines_the_program),
        WITH_QUEUE(a_replaced_program_is_run),
        WITH_QUEUE(one_program_runs_many_jobs),
        WITH_QUEUE(failures_in_stream_mode),
        WITH_QUEUE(the_example_in_sh),
        WITH_QUEUE(the_examples_that_add_up),
        WITH_QUEUE(the_example_in_python),
        WITH_QUEUE(the_example_in_node),
    };
    return cmocka_run_group_tests_name("exec", tests, start_redis, stop_redis);
}
