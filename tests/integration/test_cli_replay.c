/*
 * test_cli_replay.c - ox replay to a command: what the command gets, and what becomes of what
 * it says; and to a group.
 */
#include "../support/check.h"

#include <glib.h>
#include <signal.h>
#include <string.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/ran.h"
#include "../support/redis.h"

#define LOG "bull::ox:{events}:log"

static int fill(void **state)
{
    ran_empty(state);
    for (int i = 1; i <= 5; i++)
        test_redis_do(redis, "XADD " LOG " %d-%d e {\"type\":\"%s\",\"data\":%d}", i * 1000, i,
            i % 2 ? "a" : "b", i);
    test_redis_do(redis, "HSET bull::ox:{events}:info layout 1 n 5 ms 5000");
    test_redis_do(redis, "SADD bull::ox:streams events");
    return 0;
}

#define FILLED(test) cmocka_unit_test_setup(test, fill)
#define REPLAY "replay", "--from", "start"

static void expect_last_line(int status, const char *start)
{
    if (ran.status != status || !strstr(ran.err, start))
        told();
}

static void a_command_gets_batches(void **state)
{
    (void)state;
    ox(REPLAY, "--batch", "2", "--", "sh", "-c", "echo $OX_STREAM $OX_EVENTS $OX_ATTEMPT; cat");
    assert_string_equal(ran.out,
        "events 2 "
        "1\n{\"type\":\"a\",\"data\":1,\"position\":\"1000-1\"}\n{\"type\":\"b\",\"data\":2,"
        "\"position\":\"2000-2\"}\n"
        "events 2 "
        "1\n{\"type\":\"a\",\"data\":3,\"position\":\"3000-3\"}\n{\"type\":\"b\",\"data\":4,"
        "\"position\":\"4000-4\"}\n"
        "events 1 1\n{\"type\":\"a\",\"data\":5,\"position\":\"5000-5\"}\n");
    expect_last_line(0, "gave 5 events to sh in 3 runs, 0 failed, in ");
    ox(REPLAY, "--type", "b", "--to", "4000-4", "--json", "--", "cat");
    expect_last_line(0, "{\"type\":\"b\",\"data\":2,\"position\":\"2000-2\"}\n{\"type\":\"b\","
                        "\"data\":4,\"position\":\"4000-4\"}\n");
    if (!g_regex_match_simple("^\\{\"events\":2,\"batches\":1,\"failed\":0,\"skipped\":0,"
                              "\"lost\":0,\"position\":\"4000-4\",\"stopped\":false,"
                              "\"ms\":\\d+\\}\n$",
            ran.out, 0, 0))
        told();
    ox(REPLAY, "--dry-run", "--", "false");
    expect_last_line(0, "would give 5 of 5 events to false in ");
}

static void a_command_that_fails_stops_it(void **state)
{
    (void)state;
    ox(REPLAY, "--batch", "2", "--", "sh", "-c", "! grep -q 3");
    expect_last_line(1,
        "ox replay: the command ended with exit status 1 at events 3000-3 to 4000-4; gave 2 "
        "events to sh in 1 run, 0 failed; --from 2000-2 goes on\n");
    ox("replay", "--from", "2000-2", "--", "grep", "-c", "type");
    assert_string_equal(ran.out, "3\n");
    ox(REPLAY, "--", "/nonexistent/store");
    expect_last_line(1, "ox replay: cannot start /nonexistent/store: No such file");
    expect_last_line(1, "--from start goes on\n");
}

static void single_events_may_fail(void **state)
{
    (void)state;
    ox(REPLAY, "--", "sh", "-c",
        "cat >/dev/null; echo '{\"batchItemFailures\":[{\"itemIdentifier\":\"2000-2\"},"
        "{\"itemIdentifier\":\"3000-3\"}]}'");
    assert_string_equal(ran.out, "");
    expect_last_line(1, "ox replay: event 2000-2 failed\nox replay: event 3000-3 failed\n");
    expect_last_line(1, "gave 5 events to sh in 1 run, 2 failed, in ");
    ox(REPLAY, "--", "echo", "{\"batchItemFailures\":[{\"itemIdentifier\":\"9-9\"}]}");
    expect_last_line(1, "the command names a failed event that it was not given; ");
}

static bool has_begun(void *arg)
{
    g_autofree char *text = test_read(arg, NULL);
    return text && strchr(text, '\n');
}

/* The batch that runs is finished; what is told goes on without a gap or a repeat. */
static void ctrl_c_lets_the_batch_finish(void **state)
{
    (void)state;
    g_autofree char *seen = g_build_filename(dir, "seen", NULL);
    g_autofree char *gate = g_build_filename(dir, "gate", NULL);
    g_autofree char *script =
        g_strdup_printf("cat >>'%s'; until [ -e '%s' ]; do sleep 0.1; done", seen, gate);
    const char *const argv[] = { "ox", REPLAY, "--batch", "2", "--", "sh", "-c", script, NULL };
    struct test_process *replay = test_start(argv, NULL);
    assert_true(test_wait_for(10000, has_begun, seen));
    test_process_signal(replay, SIGINT);
    test_write(gate, "", 0);
    assert_int_equal(test_process_wait(replay, 10000), 1);
    g_autofree char *said = test_process_err(replay);
    test_process_free(replay);
    if (!strstr(said, "ox replay: interrupted; gave 2 events to sh in 1 run, 0 failed; --from "
                      "2000-2 goes on\n"))
        test_fatal("%s", said);
    g_autofree char *rest = g_strdup_printf("cat >>'%s'", seen);
    ox("replay", "--from", "2000-2", "--", "sh", "-c", rest);
    g_autofree char *all = test_read(seen, NULL);
    g_auto(GStrv) lines = g_strsplit(all, "\n", -1);
    assert_int_equal(g_strv_length(lines), 6);
}

static void a_group_runs_events_again(void **state)
{
    (void)state;
    ox(REPLAY, "--group", "g");
    expect_last_line(3, "stream events has no group g");
    ox("group", "seek", "g", "end", "--create");
    ox(REPLAY, "--group", "g", "--type", "b", "--dry-run");
    expect_last_line(0, "would have 2 of 5 events run again in group g in ");
    ox(REPLAY, "--group", "g", "--type", "b");
    expect_last_line(0, "had 2 of 5 events run again in group g in ");
    ox("group", "show", "g", "--json");
    assert_non_null(strstr(ran.out, "\"again\":2,"));
}

static void a_rate_is_kept(void **state)
{
    (void)state;
    gint64 begun = g_get_monotonic_time();
    ox(REPLAY, "--batch", "1", "--rate", "10", "--", "cat");
    assert_int_equal(ran.status, 0);
    assert_true(g_get_monotonic_time() - begun >= 350000);
}

static void wrong_usage_is_told(void **state)
{
    (void)state;
    ox(REPLAY, "q", "--", "cat");
    expect_refusal(2, "it goes to a queue, to a group or to a command, not to several");
    ox(REPLAY, "q", "--group", "g");
    expect_refusal(2, "it goes to a queue, to a group or to a command, not to several");
    ox(REPLAY, "--holes", "--", "cat");
    expect_refusal(2, "--holes and --name are for jobs, which only a queue gets");
    ox(REPLAY);
    expect_refusal(2, "QUEUE is missing, or --group, or -- and a command");
    ox(REPLAY, "--batch", "0", "--", "cat");
    expect_refusal(2, "--batch");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILLED(a_command_gets_batches),
        FILLED(a_command_that_fails_stops_it),
        FILLED(single_events_may_fail),
        FILLED(ctrl_c_lets_the_batch_finish),
        FILLED(a_group_runs_events_again),
        FILLED(a_rate_is_kept),
        FILLED(wrong_usage_is_told),
    };
    return cmocka_run_group_tests_name("cli replay", tests, ran_begin, ran_end);
}
