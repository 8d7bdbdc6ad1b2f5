/*
 * test_cli_look.c - the verbs that look at queues and jobs, and those that retry, promote and
 * remove jobs.
 */
#include "../support/check.h"

#include <glib.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/ran.h"
#include "../support/redis.h"
#include "../support/simple_worker.h"

#define DEADLINE_MS 20000

static long long length(const char *queue, const char *list)
{
    bool is_list = !strcmp(list, "wait") || !strcmp(list, "active");
    return test_redis_int(redis, is_list ? "LLEN bull:%s:%s" : "ZCARD bull:%s:%s", queue, list);
}

static struct test_process *start_worker(const char *queue)
{
    return simple_worker_start(test_redis_url(redis), queue);
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
    assert_true(g_str_has_prefix(ran.out, "{\"queue\":\"a\",\"paused\":false,\"waiting\":0,"
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
    expect_refusal(3, "queue aa does not exist under prefix look");
    ox("--prefix", "look", "jobs", "aa");
    expect_refusal(3, "queue aa does not exist");
    ox("--prefix", "empty", "queues");
    expect_done("");
}

static void lists_and_filters_jobs(void **state)
{
    (void)state;
    ox("add", "list", "one", "{\"k\":\"needle\"}");
    ox("add", "list", "two", "{\"a\\tb\": \"x\\\\y\"}");
    ox("add", "list", "one", "--delay", "1h");
    ox("add", "list", "one", "--priority", "1");
    ox("jobs", "list");
    g_auto(GStrv) rows = g_strsplit(ran.out, "\n", -1);
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
    assert_true(g_str_has_prefix(ran.out, "1\t") && !strchr(ran.out, '\n')[1]);
    ox("jobs", "list", "--name", "two", "--json");
    json_t *job = json_loads(ran.out, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(job, "id")), "2");
    assert_string_equal(json_string_value(json_object_get(job, "state")), "waiting");
    assert_int_equal(json_integer_value(json_object_get(job, "attemptsMade")), 0);
    assert_true(json_is_object(json_object_get(job, "data")));
    json_decref(job);
    ox("jobs", "list", "--limit", "1");
    assert_true(g_str_has_prefix(ran.out, "1\t") && !strchr(ran.out, '\n')[1]);
    ox("jobs", "list", "--state", "delayed");
    assert_true(g_str_has_prefix(ran.out, "3\t") && !strchr(ran.out, '\n')[1]);
    ox("jobs", "list", "--state", "failed");
    expect_done("");
}

/* More than a page, in the order in which they will run. */
static void lists_all_pages(void **state)
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
    g_autofree char *ids = g_regex_replace_literal(rest, ran.out, -1, 0, "", 0, NULL);
    assert_string_equal(ids, expected->str);
    g_string_free(lines, TRUE);
    g_string_free(expected, TRUE);
}

static const char *value_of(json_t *job, const char *key)
{
    return json_string_value(json_object_get(job, key));
}

static void shows_job_with_logs_and_children(void **state)
{
    (void)state;
    struct test_process *worker = start_worker("one");
    ox("add", "one", "bad", "{\"a\":1}", "--attempts", "2");
    await_level("one", "failed", 1);
    ox("job", "one", "1", "--json");
    assert_int_equal(ran.status, 0);
    json_t *job = json_loads(ran.out, 0, NULL);
    assert_string_equal(value_of(job, "state"), "failed");
    assert_string_equal(value_of(job, "failedReason"), "it went wrong");
    assert_string_equal(value_of(job, "processedBy"), "tester");
    assert_int_equal(json_integer_value(json_object_get(job, "attemptsMade")), 2);
    assert_int_equal(json_array_size(json_object_get(job, "stacktrace")), 2);
    assert_int_equal(json_array_size(json_object_get(job, "logs")), 2);
    json_decref(job);
    ox("job", "one", "1");
    if (ran.status || !strstr(ran.out, "state\tfailed\n") ||
        !strstr(ran.out, "log\tjust before\n") || !strstr(ran.out, "data\t{\"a\":1}\n"))
        told();
    ox("job", "one", "1", "--logs", "0");
    if (ran.status || strstr(ran.out, "log\t"))
        told();
    ox("jobs", "one", "--state", "failed");
    assert_non_null(strstr(ran.out, "\t2/2\t{\"a\":1}\tit went wrong\n"));
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
    if (ran.status != 1 || !strstr(ran.out, "\"failedReason\":\"it went wrong\""))
        told();
    ox("job", "follow", "99", "--follow");
    expect_refusal(3, "99");
    test_process_free(followers[0]);
    test_process_free(followers[1]);
    test_process_free(worker);
}

/* What is told of each step of `count`, with the time that stands before it on a terminal. */
static char **told_steps(const char *what, size_t count)
{
    g_autofree char *pattern =
        g_strdup_printf("(\\d+:\\d+:[0-9.]+)\\S*  %s +\\S*([0-9]+)\\r", what);
    g_autoptr(GRegex) regex = g_regex_new(pattern, 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_autoptr(GPtrArray) times = g_ptr_array_new();
    g_regex_match(regex, ran.out, 0, &match);
    for (; g_match_info_matches(match); g_match_info_next(match, NULL)) {
        g_autofree char *step = g_match_info_fetch(match, 2);
        if (g_ascii_strtoull(step, NULL, 10) != times->len + 1)
            told();
        g_ptr_array_add(times, g_match_info_fetch(match, 1));
    }
    if (times->len != count)
        told();
    g_ptr_array_add(times, NULL);
    return (char **)g_ptr_array_steal(times, NULL);
}

/* Several between two looks at the job: each is told, with the time of its event. */
static void followers_miss_no_progress(void **state)
{
    (void)state;
    ox("add", "steps", "n");
    /* All in one go, and then nothing for a while: that is what a look would see of it. */
    g_autofree char *steps = g_strdup_printf(
        "for i in 1 2 3 4 5 6; do '%s/ox' update steps 1 --progress $i --log r$i; done; "
        "sleep 0.7; '%s/ox' rm steps 1",
        test_build_dir(), test_build_dir());
    g_autofree char *line = g_strdup_printf(
        "script -qec \"'%s/ox' job steps 1 -f\" /dev/null >'%s/shown' & "
        "until grep -q waiting '%s/shown'; do sleep 0.02; done; { %s; } >/dev/null; wait; "
        "cat '%s/shown'",
        test_build_dir(), dir, dir, steps, dir);
    run_with(NULL, WORDS("sh", "-c", line));
    g_auto(GStrv) progress = told_steps("progress", 6);
    g_auto(GStrv) rows = told_steps("log", 6);
    ox("events", "steps", "--no-follow", "--event", "progress", "--json");
    g_auto(GStrv) events = g_strsplit(ran.out, "\n", -1);
    for (size_t i = 0; i < 6; i++) {
        int64_t at_ms = g_ascii_strtoll(events[i] + strlen("{\"id\":\""), NULL, 10);
        g_autoptr(GDateTime) at = g_date_time_new_from_unix_local(at_ms / 1000);
        g_autofree char *seconds = g_date_time_format(at, "%H:%M:%S");
        g_autofree char *time = g_strdup_printf("%s.%03d", seconds, (int)(at_ms % 1000));
        assert_string_equal(progress[i], time);
    }
    assert_non_null(rows);
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

    ox("explain", "again", "1");
    assert_non_null(strstr(ran.out, "after 1 of 1 attempts: it went wrong"));
    ox("retry", "again", "1", "4");
    expect_done("1\n4\n");
    assert_int_equal(length("again", "wait"), 2);
    ox("retry", "again", "1");
    expect_refusal(1, "job 1 is waiting; only failed and completed jobs can be retried");
    ox("retry", "again", "2", "--state", "completed");
    expect_refusal(1, "2");
    ox("retry", "again", "77");
    expect_refusal(3, "job 77 does not exist");
    ox("retry", "again", "77", "2", "--json");
    assert_int_equal(ran.status, 3);
    assert_string_equal(ran.out, "{\"id\":\"2\",\"retried\":true}\n");
    ox("retry", "again", "--all", "--older", "1h");
    expect_done("0\n");
    ox("retry", "again", "--all");
    expect_done("1\n");
    assert_int_equal(length("again", "wait"), 4);
    assert_int_equal(length("again", "failed"), 0);

    worker = start_worker("again");
    await_level("again", "failed", 3);
    ox("explain", "again", "1");
    assert_non_null(strstr(ran.out, "after 1 of 1 attempts and 1 by a retry: it went wrong"));
    test_process_free(worker);
}

/* On a terminal; what it shows is in ran.out. */
static void ox_on_a_terminal(const char *words)
{
    g_autofree char *command = g_strdup_printf("'%s/ox' %s", test_build_dir(), words);
    run_with(NULL, WORDS("script", "-qec", command, "/dev/null"));
    if (ran.status)
        told();
}

/* Names that would set the title of the terminal, in every verb that shows them. */
static void names_do_not_steer_the_terminal(void **state)
{
    (void)state;
    static const char *const calls[] = { "add $Q $Q --id $Q", "add $Q $Q --id $Q", "jobs $Q",
        "jobs $Q --json", "job $Q $Q", "explain $Q $Q", "counts $Q", "queues", "pause $Q",
        "limit $Q --rate 3/1s", "resume $Q", "update $Q $Q --priority 3",
        "events $Q --from 0 --no-follow", "promote $Q $Q", "cancel $Q $Q", "retry $Q $Q",
        "rm $Q $Q", "rm $Q $Q", "rm $Q --dedup $Q", "schedule set $Q $Q $Q --every 1h",
        "schedule ls $Q", "schedule rm $Q $Q", "drain $Q --yes", "workers $Q", "metrics $Q",
        "import $Q $Q", "--prefix $Q queues", "$Q", "jobs q --$Q", "obliterate $Q --yes" };
    int shown = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autofree char *command = g_strdup_printf(
            "Q=$(printf '\\033]0;x\\007q'); '%s/ox' %s", test_build_dir(), calls[i]);
        run_with(NULL, WORDS("script", "-qec", command, "/dev/null"));
        if (strstr(ran.out, "\033]") || strchr(ran.out, '\a'))
            told();
        shown += strstr(ran.out, "\u241b]0;x") != NULL;
    }
    assert_true(shown > 20);
}

/* Of an event a line has room for little, so it shows what there is to see. */
static void a_tail_shows_the_data(void **state)
{
    (void)state;
    ox("publish", "car.posted", "{\"id\": 17}", "--subject", "s17");
    ox_on_a_terminal("tail --until-end");
    assert_non_null(strstr(ran.out, "  car.posted            s17         {\"id\":17}\r\n"));
}

/* A retry is a try beyond those that the options allow; that must not look like a mistake. */
static void shows_attempts_beyond_the_limit(void **state)
{
    (void)state;
    struct test_process *worker = start_worker("more");
    ox("add", "more", "bad", "--attempts", "2");
    await_level("more", "failed", 1);
    ox_on_a_terminal("job more 1");
    assert_non_null(strstr(ran.out, "attempts    2 of 2\r\n"));
    assert_non_null(strstr(ran.out, ", start 2\r\n"));
    ox("explain", "more", "1");
    assert_non_null(strstr(ran.out, ", after 2 of 2 attempts: it went wrong"));

    ox("pause", "more");
    ox("retry", "more", "1");
    ox_on_a_terminal("job more 1");
    assert_non_null(strstr(ran.out, "attempts    2 of 2, another by a retry to come\r\n"));
    ox("resume", "more");
    await_level("more", "failed", 1);
    ox_on_a_terminal("job more 1");
    assert_non_null(strstr(ran.out, "attempts    2 of 2 and 1 by a retry\r\n"));
    assert_non_null(strstr(ran.out, ", start 3\r\n"));
    ox_on_a_terminal("jobs more --state failed");
    assert_non_null(strstr(ran.out, " 2/2+1 "));
    ox("explain", "more", "1");
    assert_non_null(strstr(ran.out, ", after 2 of 2 attempts and 1 by a retry: it went wrong"));
    ox("explain", "more", "1", "--json");
    assert_null(strstr(ran.out, "3 of 2"));
    /* Programs get the numbers as they are. */
    ox("jobs", "more", "--state", "failed");
    assert_non_null(strstr(ran.out, "\t3/2\t"));
    ox("job", "more", "1", "--json");
    assert_non_null(strstr(ran.out, "\"attemptsMade\":3"));
    test_process_free(worker);
}

static void reads_ids_from_stdin(void **state)
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
    expect_refusal(3, "job 1 does not exist");
    ox("rm", "gone", "2", "3");
    expect_refusal(2, "--yes");
    assert_int_equal(length("gone", "wait"), 2);
    ox("rm", "gone", "2", "3", "--yes");
    expect_done("2\n3\n");
    assert_int_equal(length("gone", "wait"), 0);
}

static void keeps_active_job(void **state)
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

/* ---- setup ---------------------------------------------------------------------------------
 */

int main(int argc, char **argv)
{
    int worked = simple_worker_main(argc, argv);
    if (worked >= 0)
        return worked;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queues_and_counts),
        cmocka_unit_test(lists_and_filters_jobs),
        cmocka_unit_test(lists_all_pages),
        cmocka_unit_test(shows_job_with_logs_and_children),
        cmocka_unit_test(a_job_is_followed_to_its_end),
        cmocka_unit_test(followers_miss_no_progress),
        cmocka_unit_test(finished_jobs_run_again),
        cmocka_unit_test(names_do_not_steer_the_terminal),
        cmocka_unit_test(a_tail_shows_the_data),
        cmocka_unit_test(shows_attempts_beyond_the_limit),
        cmocka_unit_test(reads_ids_from_stdin),
        cmocka_unit_test(delayed_jobs_run_now),
        cmocka_unit_test(jobs_are_removed),
        cmocka_unit_test(keeps_active_job),
    };
    return cmocka_run_group_tests(tests, ran_begin, ran_end);
}
