/*
 * test_worker_stream.c - ox-worker on a stream: batches that reach programs and a database
 * exactly, events that fail alone, what is left of a killed worker, drains, order and reloads.
 *
 * The programs are shell scripts that write the lines of their batch to the file "out".
 */
#include "../support/check.h"

#include <glib.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

#include "../support/files.h"
#include "../support/jobs.h"
#include "../support/worker.h"

#define FAST "--lock 500ms --stalled-interval 200ms"

static char *folder, *out, *settings;
static ox_stream *clicks;
static ox_error err;

static int up(void **state)
{
    if (test_queue_up(state) != 0)
        return -1;
    struct test_queue *q = *state;
    folder = test_dir_new();
    out = g_build_filename(folder, "out", NULL);
    settings = g_build_filename(folder, "conf", NULL);
    return ox_stream_new(&clicks, q->client, "clicks", NULL, &err);
}

static int down(void **state)
{
    ox_stream_free(clicks);
    test_remove(folder);
    g_free(folder);
    g_free(out);
    g_free(settings);
    return test_queue_down(state);
}

/* ---- events ------------------------------------------------------------------------------ */

/* Publishes events whose data are {"n":FIRST} .. {"n":LAST}. */
static void publish(int first, int last)
{
    int count = last - first + 1;
    g_autofree ox_new_event *events = g_new0(ox_new_event, count);
    g_autoptr(GPtrArray) data = g_ptr_array_new_with_free_func(g_free);
    for (int i = 0; i < count; i++) {
        g_ptr_array_add(data, g_strdup_printf("{\"n\":%d}", first + i));
        events[i] = (ox_new_event){ .type = "click", .json = data->pdata[i] };
    }
    test_ok(ox_stream_publish_many(clicks, events, (size_t)count, NULL, &err), &err);
}

/* Numbers in "out", in its order. */
static GArray *read_out(void)
{
    g_autofree char *text = test_read(out, NULL);
    GArray *numbers = g_array_new(FALSE, FALSE, sizeof(int));
    for (const char *at = text; at && (at = strstr(at, "{\"n\":")); at += 5) {
        int n = (int)g_ascii_strtoll(at + 5, NULL, 10);
        g_array_append_val(numbers, n);
    }
    return numbers;
}

static guint count_once(GArray *numbers)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    for (guint i = 0; i < numbers->len; i++)
        g_hash_table_add(seen, GINT_TO_POINTER(g_array_index(numbers, int, i)));
    return g_hash_table_size(seen);
}

static bool out_has(void *arg)
{
    g_autoptr(GArray) numbers = read_out();
    return count_once(numbers) >= GPOINTER_TO_UINT(arg);
}

static void wait_for_out(guint count, const struct test_process *worker)
{
    if (!test_wait_for(TEST_WORKER_DEADLINE_MS, out_has, GUINT_TO_POINTER(count))) {
        g_autofree char *log = test_process_err(worker);
        g_autoptr(GArray) numbers = read_out();
        test_fatal("%u events of %u; the log: %s", count_once(numbers), count, log);
    }
}

/* Each of them once. */
static void expect_exact(guint count)
{
    g_autoptr(GArray) numbers = read_out();
    assert_int_equal(numbers->len, count);
    assert_int_equal(count_once(numbers), count);
}

static ox_group_info look(const char *group)
{
    ox_group_info **groups = NULL, found = { 0 };
    size_t count = 0;
    test_ok(ox_group_list(clicks, &groups, &count, &err), &err);
    for (size_t i = 0; i < count; i++)
        if (strcmp(groups[i]->name, group) == 0)
            found = *groups[i];
    ox_list_free(groups);
    return found;
}

static bool nothing_left(void *arg)
{
    ox_group_info info = look(arg);
    return info.lag == 0 && info.pending == 0 && info.again == 0;
}

static void wait_until_done(const char *group)
{
    if (!test_wait_for(TEST_WORKER_DEADLINE_MS, nothing_left, (void *)(uintptr_t)group)) {
        ox_group_info info = look(group);
        test_fatal("lag %d, pending %d", (int)info.lag, (int)info.pending);
    }
}

/* ---- workers ----------------------------------------------------------------------------- */

/* A script in the folder, which has the file "out" as $out. */
static void script(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *whole = g_strdup_printf("#!/bin/sh\nout=%s\n%s", out, text);
    test_write(path, whole, -1);
    assert_int_equal(chmod(path, 0755), 0);
}

static const char *backoff = "10ms";

static void write_settings(const char *keys, const char *rest)
{
    g_autofree char *text = g_strdup_printf("[stream clicks]\ngroup = g\nfrom = start\n"
                                            "backoff = fixed:%s\n%s\n%s",
        backoff, keys, rest);
    test_write(settings, text, -1);
}

/* A worker on the stream with such keys of its section; `run` is the name of a script. */
static struct test_process *begin(const char *run, const char *keys, const char *options)
{
    g_autofree char *all = g_strdup_printf("run = exec:%s/%s\n%s", folder, run, keys);
    write_settings(all, "");
    struct test_process *worker =
        test_worker_start(test_redis_url(redis), options, TEST_WORDS("--config", settings));
    test_worker_connects(worker);
    return worker;
}

static void end(struct test_process *worker)
{
    test_worker_stop(worker);
    test_process_free(worker);
}

/* ---- exact delivery ---------------------------------------------------------------------- */

static void every_event_comes_once(void **state)
{
    (void)state;
    script("store", "cat >>$out");
    publish(1, 3000);
    struct test_process *worker = begin("store", "batch = 250", "");
    publish(3001, 4000);
    wait_for_out(4000, worker);
    wait_until_done("g");
    end(worker);
    expect_exact(4000);
    ox_group_info info = look("g");
    assert_int_equal(info.dead + info.lost + info.members, 0);
}

static void a_word_of_the_command_line_is_enough(void **state)
{
    (void)state;
    script("store", "cat >>$out");
    g_autofree char *word = g_strdup_printf("clicks@g=exec:%s/store", folder);
    struct test_process *worker =
        test_worker_start(test_redis_url(redis), "", TEST_WORDS(word, "q=echo"));
    test_worker_says(worker, "event=connected stream=clicks group=g");
    publish(1, 100);
    wait_for_out(100, worker);
    end(worker);
    expect_exact(100);
}

static void jobs_and_streams_share_a_worker(void **state)
{
    struct test_queue *q = *state;
    script("store", "cat >>$out");
    publish(1, 500);
    g_autofree char *all = g_strdup_printf("run = exec:%s/store", folder);
    write_settings(all, "[handler q/*]\nrun = echo\n");
    struct test_process *worker =
        test_worker_start(test_redis_url(redis), "", TEST_WORDS("--config", settings));
    g_autofree char *id = test_add(q->queue, "job", NULL);
    test_job_ends(q->queue, id, worker);
    wait_for_out(500, worker);
    test_process_signal(worker, SIGUSR1);
    test_worker_says(worker, "event=slot stream=clicks group=g handler=exec");
    test_worker_says(worker, "queues=1 streams=1 slots=");
    end(worker);
    expect_exact(500);
}

static void a_batch_is_a_statement(void **state)
{
    (void)state;
    sqlite3 *db = NULL;
    g_autofree char *file = g_build_filename(folder, "clicks.db", NULL);
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                         "CREATE TABLE clicks (id TEXT PRIMARY KEY, n INT CHECK "
                         "(n <> 666))",
                         NULL, NULL, NULL),
        SQLITE_OK);
    g_autofree char *keys = g_strdup_printf("run = sql\ndb = sqlite:%s\n"
                                            "statement = INSERT INTO clicks SELECT "
                                            "value->>'id', value->>'$.data.n' FROM "
                                            "json_each($1)\nbatch = 200",
        file);
    write_settings(keys, "");
    publish(1, 1000);
    struct test_process *worker =
        test_worker_start(test_redis_url(redis), "", TEST_WORDS("--config", settings));
    test_worker_connects(worker);
    wait_until_done("g");
    end(worker);
    sqlite3_stmt *statement = NULL;
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT count(*), sum(n) FROM clicks", -1, &statement, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(statement, 0), 999);
    assert_int_equal(sqlite3_column_int(statement, 1), 500500 - 666);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    assert_int_equal(look("g").dead, 1);
}

/* ---- failures ---------------------------------------------------------------------------- */

/* The dead letters of the group are these events, for this reason. */
static void expect_dead(const char *numbers, const char *reason)
{
    ox_dead **dead = NULL;
    size_t count = 0;
    g_autoptr(GString) found = g_string_new(NULL);
    test_ok(ox_dead_list(clicks, "g", NULL, 0, &dead, &count, &err), &err);
    for (size_t i = 0; i < count; i++) {
        const char *at = strstr(dead[i]->json, "{\"n\":");
        assert_non_null(at);
        g_string_append_printf(
            found, "%s%d", i > 0 ? "," : "", (int)g_ascii_strtoll(at + 5, NULL, 10));
        assert_string_equal(dead[i]->reason, reason);
        assert_null(strstr(dead[i]->json, "position"));
    }
    ox_list_free(dead);
    assert_string_equal(found->str, numbers);
}

static void poison_is_found_by_halves(void **state)
{
    (void)state;
    script("store", "lines=$(cat)\n"
                    "case $lines in *'{\"n\":13}'* | *'{\"n\":77}'*) echo unlucky >&2; exit 1;;"
                    " esac\n"
                    "echo \"$lines\" >>$out\n");
    publish(1, 100);
    struct test_process *worker = begin("store", "batch = 50\nattempts = 2", "");
    wait_until_done("g");
    test_worker_says(worker, "event=dead-letter stream=clicks group=g position=");
    test_worker_says(worker, "event=retried stream=clicks group=g first=");
    end(worker);
    expect_exact(98);
    expect_dead("13,77", "exec: store: unlucky");
}

static void status_65_does_not_wait(void **state)
{
    (void)state;
    script("store", "lines=$(cat)\n"
                    "case $lines in *'{\"n\":13}'*) exit 65;; esac\n"
                    "echo \"$lines\" >>$out\n");
    publish(1, 20);
    backoff = "1h";
    struct test_process *worker = begin("store", "", "");
    backoff = "10ms";
    wait_until_done("g");
    end(worker);
    expect_exact(19);
    expect_dead("13", "exec: store: exited with status 65");
}

/* Names each event whose number ends in 3, and stores the others. */
static const char namer[] =
    "awk -v out=\"$out\" '/\"n\":[0-9]*3}/ { match($0, /\"position\":\"[^\"]*\"/)\n"
    "bad = bad (bad == \"\" ? \"\" : \",\") \"{\\\"itemIdentifier\\\":\\\"\" "
    "substr($0, RSTART + 12, RLENGTH - 13) \"\\\"}\"; next } { print >>out } "
    "END { print \"{\\\"batchItemFailures\\\":[\" bad \"]}\" }'\n";

static void named_events_fail_alone(void **state)
{
    (void)state;
    script("store", namer);
    publish(1, 40);
    struct test_process *worker = begin("store", "attempts = 3", "");
    wait_until_done("g");
    end(worker);
    expect_exact(36);
    expect_dead("3,13,23,33", "the handler named it in batchItemFailures");
}

static void names_of_no_event_fail_the_batch(void **state)
{
    (void)state;
    script("store", "echo '{\"batchItemFailures\":[{\"itemIdentifier\":\"1-1\"}]}'");
    publish(1, 1);
    struct test_process *worker = begin("store", "attempts = 1", "");
    wait_until_done("g");
    test_worker_says(worker, "type=bad-output");
    end(worker);
    expect_dead("1",
        "bad output: batchItemFailures names \"1-1\", which is not the position of an "
        "event of the batch");
}

static void a_batch_has_a_time(void **state)
{
    (void)state;
    script("store", "lines=$(cat)\n"
                    "case $lines in *'{\"n\":3}'*) sleep 1000;; esac\n"
                    "echo \"$lines\" >>$out\n");
    publish(1, 4);
    struct test_process *worker = begin("store", "attempts = 1\ntimeout = 300ms", "");
    wait_until_done("g");
    test_worker_says(worker, "type=timeout");
    end(worker);
    expect_exact(3);
    expect_dead("3", "handler killed: timeout after 300ms");
}

static void a_crash_costs_an_attempt(void **state)
{
    (void)state;
    script("store", "mkdir $out.d 2>/dev/null && kill -9 $$\ncat >>$out\n");
    publish(1, 10);
    struct test_process *worker = begin("store", "", "");
    wait_until_done("g");
    test_worker_says(worker, "type=crashed");
    end(worker);
    expect_exact(10);
}

/* ---- ends of workers --------------------------------------------------------------------- */

static void a_killed_worker_loses_nothing(void **state)
{
    (void)state;
    script("store", "cat >>$out\nsleep 0.05");
    publish(1, 400);
    struct test_process *first = begin("store", "batch = 20\nconcurrency = 2", FAST);
    wait_for_out(60, first);
    test_process_signal(first, SIGKILL);
    assert_int_equal(test_process_wait(first, TEST_WORKER_DEADLINE_MS), 128 + SIGKILL);
    test_process_free(first);
    struct test_process *second = begin("store", "batch = 20\nconcurrency = 2", FAST);
    wait_for_out(400, second);
    wait_until_done("g");
    test_worker_says(second, "event=taken-over");
    end(second);
    g_autoptr(GArray) numbers = read_out();
    assert_int_equal(count_once(numbers), 400);
    /* Twice came what ran at the kill, two batches, and what had run of their entries, of some
     * twenty events each: an entry ends as a whole. */
    assert_in_range(numbers->len, 400, 400 + 2 * 20 + 2 * 20);
    assert_int_equal(look("g").dead, 0);
}

static bool is_there(void *path)
{
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* What runs is waited for; what is not done within the grace period, others have at once. */
static void a_drain_gives_back_at_once(void **state)
{
    (void)state;
    script("store", "cat >>$out\n[ -e $out.slow ] && sleep 1000\nexit 0");
    g_autofree char *slow = g_strconcat(out, ".slow", NULL);
    test_write(slow, "", -1);
    publish(1, 10);
    struct test_process *first = begin("store", "batch = 10", "--lock 1h --grace 100ms");
    wait_for_out(10, first);
    test_process_signal(first, SIGTERM);
    test_worker_ends(first, 0);
    test_remove(slow);
    g_autofree char *log = test_process_err(first);
    assert_non_null(strstr(log, "event=released stream=clicks group=g"));
    test_process_free(first);
    assert_int_equal(look("g").members, 0);
    struct test_process *second = begin("store", "batch = 10", "--lock 1h");
    wait_until_done("g");
    end(second);
    g_autoptr(GArray) numbers = read_out();
    assert_int_equal(numbers->len, 20);
}

static void a_drain_lets_batches_end(void **state)
{
    (void)state;
    script("store", "mkdir $out.begun 2>/dev/null\nsleep 0.5\ncat >>$out");
    g_autofree char *begun = g_strconcat(out, ".begun", NULL);
    publish(1, 10);
    struct test_process *worker = begin("store", "batch = 5", "");
    assert_true(test_wait_for(TEST_WORKER_DEADLINE_MS, is_there, begun));
    end(worker);
    g_autoptr(GArray) numbers = read_out();
    assert_true(numbers->len >= 5);
    assert_int_equal(count_once(numbers), numbers->len);
    assert_int_equal(look("g").pending, 0);
    worker = begin("store", "batch = 5", "");
    wait_until_done("g");
    end(worker);
    expect_exact(10);
}

/* ---- order ------------------------------------------------------------------------------- */

static void an_ordered_group_keeps_its_order(void **state)
{
    (void)state;
    script("store", "cat >>$out\nsleep 0.02");
    publish(1, 300);
    struct test_process *first =
        begin("store", "batch = 10\nordered = yes\nconcurrency = 4", FAST);
    struct test_process *second =
        test_worker_start(test_redis_url(redis), FAST, TEST_WORDS("--config", settings));
    wait_for_out(100, first);
    end(first);
    wait_for_out(300, second);
    wait_until_done("g");
    test_worker_says(second, "event=owner");
    end(second);
    g_autoptr(GArray) numbers = read_out();
    assert_int_equal(numbers->len, 300);
    for (guint i = 0; i < numbers->len; i++)
        assert_int_equal(g_array_index(numbers, int, i), i + 1);
}

/* ---- reload ------------------------------------------------------------------------------ */

static void settings_are_read_again(void **state)
{
    (void)state;
    script("store", "cat >>$out");
    publish(1, 100);
    struct test_process *worker = begin("store", "batch = 10", "");
    wait_for_out(100, worker);
    g_autofree char *all =
        g_strdup_printf("run = exec:%s/store\nbatch = 50\nwait = 10ms", folder);
    write_settings(all, "[stream other@g]\nrun = noop\n");
    test_process_signal(worker, SIGHUP);
    test_worker_says(worker, "event=stream-changed stream=clicks group=g");
    test_worker_says(worker, "event=connected stream=other group=g");
    publish(101, 300);
    wait_for_out(300, worker);
    write_settings(all, "");
    test_process_signal(worker, SIGHUP);
    test_worker_says(worker, "event=stream-removed stream=other group=g");
    write_settings(all, "[stream other@g]\nrun = image\n");
    test_process_signal(worker, SIGHUP);
    test_worker_says(worker, "event=not-reloaded");
    publish(301, 400);
    wait_for_out(400, worker);
    wait_until_done("g");
    end(worker);
    expect_exact(400);
}

/* ---- to the server itself ---------------------------------------------------------------- */

static void events_become_jobs_and_other_events(void **state)
{
    struct test_queue *q = *state;
    ox_stream *copy = NULL;
    ox_stream_info info = { 0 };
    publish(1, 200);
    write_settings("run = enqueue:made\nbatch = 30",
        "[stream clicks@copy]\nrun = publish:copy\nfrom = start\n"
        "[handler made/*]\nrun = noop\n");
    struct test_process *worker =
        test_worker_start(test_redis_url(redis), "", TEST_WORDS("--config", settings));
    test_worker_says(worker, "group=copy");
    wait_until_done("g");
    wait_until_done("copy");
    test_ok(ox_stream_new(&copy, q->client, "copy", NULL, &err), &err);
    test_ok(ox_stream_info_get(copy, &info, &err), &err);
    assert_int_equal(info.published, 200);
    /* Again from the start: nothing is made twice. */
    test_ok(ox_group_seek(clicks, "g", "start", NULL, &err), &err);
    test_ok(ox_group_seek(clicks, "copy", "start", NULL, &err), &err);
    wait_until_done("g");
    wait_until_done("copy");
    test_ok(ox_stream_info_get(copy, &info, &err), &err);
    assert_int_equal(info.published, 200);
    ox_stream_free(copy);
    end(worker);
    assert_int_equal(test_redis_int(redis, "ZCARD bull:made:completed") +
                         test_redis_int(redis, "LLEN bull:made:wait"),
        200);
}

#define WITH_CLICKS(test) cmocka_unit_test_setup_teardown(test, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CLICKS(every_event_comes_once),
        WITH_CLICKS(a_word_of_the_command_line_is_enough),
        WITH_CLICKS(jobs_and_streams_share_a_worker),
        WITH_CLICKS(a_batch_is_a_statement),
        WITH_CLICKS(poison_is_found_by_halves),
        WITH_CLICKS(status_65_does_not_wait),
        WITH_CLICKS(named_events_fail_alone),
        WITH_CLICKS(names_of_no_event_fail_the_batch),
        WITH_CLICKS(a_batch_has_a_time),
        WITH_CLICKS(a_crash_costs_an_attempt),
        WITH_CLICKS(a_killed_worker_loses_nothing),
        WITH_CLICKS(a_drain_gives_back_at_once),
        WITH_CLICKS(a_drain_lets_batches_end),
        WITH_CLICKS(an_ordered_group_keeps_its_order),
        WITH_CLICKS(settings_are_read_again),
        WITH_CLICKS(events_become_jobs_and_other_events),
    };
    return cmocka_run_group_tests_name("stream", tests, test_server_up, test_server_down);
}
