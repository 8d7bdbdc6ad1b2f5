/*
 * test_cli_stream.c - the verbs of events: publish, bind, unbind, bindings, route, stream,
 * tail.
 */
#include "../support/check.h"

#include <glib.h>
#include <signal.h>
#include <string.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/ran.h"
#include "../support/redis.h"

static bool has_jobs(void *arg)
{
    (void)arg;
    return test_redis_int(redis, "LLEN bull:q:wait") > 0;
}

static void an_event_is_published(void **state)
{
    (void)state;
    ox("publish", "car.posted", "{\"a\":1}", "--subject", "17", "--key", "k", "--id", "x",
        "--source", "/s", "--time", "1700000000123", "--traceparent", "00-1");
    expect_form("^\\d+-1\t0\n$");
    ox("tail", "--until-end");
    expect_form("^\\d+-1\tcar.posted\t17\t\\{\"specversion\":\"1.0\",\"id\":\"x\",\"source\":"
                "\"/s\",\"type\":\"car.posted\",\"time\":\"2023-11-14T22:13:20.123Z\","
                "\"datacontenttype\":\"application/json\",\"subject\":\"17\",\"partitionkey\":"
                "\"k\",\"traceparent\":\"00-1\",\"data\":\\{\"a\":1\\}\\}\n$");
    ox_with("[2]", WORDS("publish", "car.sold", "-", "--json"));
    expect_form("^\\{\"position\":\"\\d+-2\",\"jobs\":0,\"duplicate\":false\\}\n$");
}

static void a_repeat_is_told(void **state)
{
    (void)state;
    ox("publish", "a", "--id", "1");
    g_autofree char *first = g_strdup(ran.out);
    ox("publish", "a", "--id", "1");
    assert_int_equal(ran.status, 0);
    assert_string_equal(ran.out, first);
    assert_true(g_str_has_prefix(ran.err, "ox publish: event ") &&
                g_str_has_suffix(ran.err, "-1 was published before\n"));
    ox("publish", "a", "--id", "1", "--json");
    assert_non_null(strstr(ran.out, "\"duplicate\":true"));
}

static void lines_are_published(void **state)
{
    (void)state;
    g_autoptr(GString) lines = g_string_new("\n");
    for (int i = 0; i < 2500; i++)
        g_string_append_printf(lines, "{\"n\":%d}\n", i);
    ox("bind", "click", "q");
    ox_with(lines->str, WORDS("publish", "click", "--lines", "--json"));
    expect_form("^\\{\"published\":2500,\"duplicates\":0,\"jobs\":2500,\"ms\":\\d+\\}\n$");
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 2500);
    ox_with("1\n{bad\n3\n", WORDS("publish", "click", "--lines", "-"));
    assert_int_equal(ran.status, 2);
    assert_true(g_str_has_prefix(ran.err, "ox publish: line 2 is not JSON: "));
    assert_non_null(strstr(ran.err, "\npublished 1 event in "));
    ox("publish", "click", "--lines", "--id", "x");
    expect_refusal(2, "--id names one event, and --lines publishes many");
    ox("publish", "click", "/nonexistent", "--lines");
    expect_refusal(1, "/nonexistent");
}

static void queues_are_bound(void **state)
{
    (void)state;
    ox("bind", "car.*", "images", "--attempts", "3", "--delay", "1h");
    expect_done("");
    ox("bind", "car.posted", "mail", "--name", "notify", "--json");
    expect_done("{\"pattern\":\"car.posted\",\"queue\":\"mail\",\"new\":true}\n");
    ox("bind", "car.posted", "mail", "--name", "notify", "--json");
    expect_done("{\"pattern\":\"car.posted\",\"queue\":\"mail\",\"new\":false}\n");
    ox("bind", "car.posted", "images");
    ox("bindings");
    expect_done("car.*\timages\t\t{\"attempts\":3,\"delay\":3600000}\n"
                "car.posted\tmail\tnotify\t\n"
                "car.posted\timages\t\t\n");
    ox("route", "car.posted", "--json");
    expect_done("{\"pattern\":\"car.*\",\"queue\":\"images\",\"opts\":{\"attempts\":3,"
                "\"delay\":3600000}}\n"
                "{\"pattern\":\"car.posted\",\"queue\":\"mail\",\"name\":\"notify\"}\n");
    ox("route", "user.left");
    expect_done("");
    ox("publish", "car.posted");
    expect_form("^\\d+-1\t2\n$");
    assert_int_equal(test_redis_int(redis, "ZCARD bull:images:delayed"), 1);
    assert_int_equal(test_redis_int(redis, "LLEN bull:mail:wait"), 1);
    ox("unbind", "car.posted", "mail", "--json");
    expect_done("{\"pattern\":\"car.posted\",\"queue\":\"mail\",\"removed\":true}\n");
    ox("unbind", "car.posted", "mail");
    expect_refusal(3, "stream events has no binding of car.posted to mail");
}

static void a_stream_is_shown_and_set(void **state)
{
    (void)state;
    ox("stream", "ls");
    expect_done("");
    for (int i = 0; i < 5; i++)
        ox("publish", "a", "--stream", "clicks");
    ox("publish", "b");
    ox("stream", "ls", "--json");
    expect_form("^\\{\"stream\":\"clicks\",\"events\":5,\"bytes\":\\d+,\"published\":5,"
                "\"lastMinute\":5,\"lastAt\":\\d+,\"bindings\":0,\"groups\":0\\}\n\\{"
                "\"stream\":\"events\",");
    ox("stream", "set", "clicks", "--keep", "1d", "--keep-events", "0", "--keep-bytes", "2G",
        "--dedup", "0", "--dedup-all", "on", "--max-event", "1M", "--deflate", "on",
        "--keep-unread", "on", "--json");
    expect_form("\"keepMs\":86400000,\"keepEvents\":0,\"keepBytes\":2147483648,"
                "\"keepUnread\":true,\"dedupMs\":0,\"dedupAll\":true,\"deflate\":true,"
                "\"maxEvent\":1048576\\}\n$");
    ox("stream", "show", "clicks");
    expect_form(
        "^stream\tclicks\nevents\t5\nentries\t5\nbytes\t\\d+\npublished\t5\nduplicates\t0\n"
        "jobs\t0\nfirst\t\\d+-1\nlast\t\\d+-5\nlast minute\t5\nlast "
        "hour\t5\nbindings\t0\ngroups\t0\nkeep\t1d\n"
        "keep events\tany number\nkeep bytes\t2G\nkeep unread\ton\ndedup\toff\n"
        "dedup all\ton\ndeflate\ton\nmax event\t1M\n$");
    ox("stream", "set", "clicks", "--deflate", "off");
    expect_form("\ndeflate\toff\nmax event\t1M\n$");
    ox("stream", "trim", "clicks", "--keep-events", "2", "--yes");
    expect_done("3\n");
    ox("stream", "trim", "clicks", "--older", "1h", "--yes", "--json");
    expect_done("{\"removed\":0}\n");
    ox("stream", "rm", "clicks", "--yes", "--json");
    expect_done("{\"stream\":\"clicks\",\"removed\":true}\n");
    ox("stream", "ls");
    expect_form("^events\t1\t");
}

static void streams_that_do_not_exist(void **state)
{
    (void)state;
    static const char *const verbs[] = { "stream show nosuch", "stream rm nosuch --yes",
        "stream trim nosuch --keep-events 1 --yes", "tail --stream nosuch --until-end",
        "replay q --stream nosuch --from start" };
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
        g_auto(GStrv) words = g_strsplit(verbs[i], " ", -1);
        ox_with(NULL, (const char *const *)words);
        expect_refusal(3, "stream nosuch does not exist under prefix bull");
    }
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
    ox("publish", "a", "--stream", "such");
    ox("stream", "show", "suhc");
    expect_refusal(3, "does not exist under prefix bull; did you mean such? (ox stream ls");
}

static void wrong_usage_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *line, *why;
    } cases[] = {
        { "publish", "TYPE is missing" },
        { "publish a.", "event type \"a.\" must be segments" },
        { "publish a {bad", "data is not JSON" },
        { "publish a --source a|b", "event source \"a|b\" is not a URI reference" },
        { "publish a --stream A", "stream name \"A\" must be 1..64" },
        { "publsh a", "did you mean publish?" },
        { "bind a", "QUEUE is missing" },
        { "bind a* q", "pattern \"a*\" must be segments" },
        { "bind a q --parent x:1", "unknown option --parent" },
        { "bind a q --opts {\"parent\":{\"id\":\"1\",\"queue\":\"bull:x\"}}",
            "must not have the job option parent" },
        { "bind a q --lifo --delay 1s", "lifo excludes priority and delay" },
        { "route a.*", "event type \"a.*\" must be segments" },
        { "stream lss", "did you mean ls?" },
        { "stream set s", "which setting? None is given" },
        { "stream set s --max-event 1K", "max-event" },
        { "stream trim s --yes", "either --keep-events or --older is required" },
        { "stream rm s", "--yes does it without asking" },
        { "tail --from 12-x",
            "--from: \"12-x\" is not a place in a stream: start, end, a position" },
        { "tail --from yesterday", "is not a place in a stream" },
        { "tail --type a..b", "pattern \"a..b\" must be segments" },
        { "tail x", "unexpected argument" },
        { "tail --to 5x", "--to: \"5x\" is not a place in a stream: start, end, a position" },
        { "bindings x", "\"x\"; usage: ox bindings (ox bindings --help)" },
        { "tail --to end --until-end", "--until-end and --to exclude each other" },
        { "replay q", "--from is missing: start, 1h, or a position" },
        { "replay --from start", "QUEUE is missing" },
        { "replay --from start --dry-run --holes", "QUEUE is missing" },
        { "replay q --from start --rate 0", "--rate" },
        { "rplay q --from start", "did you mean replay?" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) words = g_strsplit(cases[i].line, " ", -1);
        ox_with(NULL, (const char *const *)words);
        expect_refusal(2, cases[i].why);
    }
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
}

static void a_tail_tells_gaps_and_odd_entries(void **state)
{
    (void)state;
    test_redis_do(redis, "XADD bull::ox:{events}:log 1000-3 e {\"type\":\"a\"}");
    test_redis_do(redis, "XADD bull::ox:{events}:log 1000-4 x y");
    test_redis_do(redis, "XADD bull::ox:{events}:log 1000-5 e {\"type\":\"b\"}");
    ox("tail", "--from", "1000-1", "--until-end");
    assert_int_equal(ran.status, 0);
    assert_string_equal(
        ran.out, "1000-3\ta\t\t{\"type\":\"a\"}\n1000-5\tb\t\t{\"type\":\"b\"}\n");
    assert_string_equal(ran.err,
        "ox tail: 1 event before 1000-3 is no longer there\n"
        "ox tail: stream events: entry 1000-4 is no event: it has neither field e nor z\n");
    ox("tail", "--from", "1000-1", "--count", "1", "--json");
    assert_string_equal(
        ran.out, "{\"position\":\"1000-3\",\"lost\":1,\"event\":{\"type\":\"a\"}}\n");
    ox("tail", "--from", "1000-3", "--type", "c", "--until-end");
    assert_string_equal(ran.out, "");
    assert_int_equal(ran.status, 0);
    ox("tail", "--from", "10m", "--until-end");
    expect_done("");
}

/* Rare events at the end of many others, read in several steps. */
static void a_tail_ends_where_it_is_told(void **state)
{
    (void)state;
    g_autoptr(GString) lines = g_string_new(NULL);
    for (int i = 0; i < 5000; i++)
        g_string_append_printf(lines, "%d\n", i);
    ox_with(lines->str, WORDS("publish", "click", "--lines"));
    ox("publish", "buy");
    expect_form("^\\d+-5001\t0\n$");
    ox("tail", "--type", "buy", "--until-end");
    expect_form("^\\d+-5001\tbuy\t[^\n]*\n$");
    ox("tail", "--from", "start", "--count", "2");
    g_auto(GStrv) cells = g_strsplit(strchr(ran.out, '\n') + 1, "\t", 2);
    ox("tail", "--from", "start", "--to", cells[0]);
    expect_form("^\\d+-1\tclick\t[^\n]*\n\\d+-2\tclick\t[^\n]*\n$");
    ox("tail", "--from", "2h", "--to", "1h");
    expect_done("");
    ox("tail", "--from", "2001-02-03T04:05:06Z", "--count", "1");
    expect_form("^\\d+-1\tclick\t[^\n]*\n$");
    ox("tail", "--to", "2001-02-03T04:05:06Z", "--from", "start");
    expect_done("");
}

/* Follows a stream until it has said why nothing comes, then until an event has come. */
static void expect_wait(const char *from, const char *why)
{
    const char *const argv[] = { "ox", "tail", "--count", "1", "--from", from, NULL };
    struct test_process *tail = test_start(argv, NULL);
    if (!test_process_says(tail, why, 10000)) {
        test_fatal("ox tail --from %s does not say: %s", from, why);
    }
    ox("publish", "a");
    assert_int_equal(test_process_wait(tail, 10000), 0);
    test_process_free(tail);
}

static void a_tail_says_why_it_waits(void **state)
{
    (void)state;
    expect_wait(
        "end", "ox tail: stream events does not exist yet; waiting for its first event\n");
    test_redis_do(redis, "DEL bull::ox:{events}:log bull::ox:{events}:info");
    test_redis_do(redis, "XADD bull::ox:{events}:log 1000-3 e {\"type\":\"a\"}");
    test_redis_do(redis, "HSET bull::ox:{events}:info n 3 ms 1000");
    expect_wait("1000-9",
        "ox tail: 1000-9 is ahead of the newest event, 1000-3; events up to it "
        "will not be shown\n");
}

static void missing_rights_are_told_once(void **state)
{
    (void)state;
    ox("publish", "a", "--stream", "one");
    ox("publish", "a", "--stream", "two");
    test_redis_do(redis, "ACL SETUSER reader on >pw ~* +@read +@connection");
    g_autofree char *url = g_strdup_printf("unix://reader:pw@%s", redis->socket);
    ox("stream", "ls", "--redis", url);
    expect_refusal(1, "NOPERM");
}

static void events_are_replayed(void **state)
{
    (void)state;
    for (int i = 1; i <= 3; i++)
        ox("publish", "car.posted", "--id", i == 1 ? "x" : i == 2 ? "y" : "z");
    ox("publish", "user.left");
    ox("replay", "--from", "start", "--dry-run");
    assert_true(g_str_has_prefix(ran.err, "would make 4 jobs of 4 events in "));
    ox("replay", "--from", "start", "--dry-run", "--type", "car.*", "--", "cat");
    assert_true(g_str_has_prefix(ran.err, "would give 3 of 4 events to cat in "));
    ox("replay", "q", "--from", "1h", "--type", "car.*", "--attempts", "3", "--json");
    if (ran.status || !g_regex_match_simple("^\\{\"sent\":3,\"existed\":0,\"skipped\":0,"
                                            "\"lost\":0,\"unknown\":0,\"read\":4,"
                                            "\"position\":\"\\d+-4\",\"stopped\":false,"
                                            "\"ms\":\\d+\\}\n$",
                          ran.out, 0, 0))
        told();
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 3);
    ox("replay", "q", "--from", "start", "--to", "99999999999999-1", "--holes");
    assert_true(g_str_has_prefix(ran.err, "made 4 jobs of 4 events in "));
    ox("replay", "q", "--from", "start", "--holes");
    assert_true(g_str_has_prefix(ran.err, "made 0 jobs of 4 events, 4 existed in "));
    test_redis_do(redis, "SET bull:bad:id x");
    ox("replay", "bad", "--from", "start");
    assert_int_equal(ran.status, 1);
    assert_non_null(strstr(ran.err, "queue bad"));
    assert_non_null(strstr(ran.err, "; made 0 jobs of 4 events; --from start goes on\n"));
}

/* Ctrl-C: the position is told, and with it all is made once. */
static void a_replay_is_interrupted(void **state)
{
    (void)state;
    g_autoptr(GString) lines = g_string_new(NULL);
    for (int i = 0; i < 100; i++)
        g_string_append_printf(lines, "%d\n", i);
    ox_with(lines->str, WORDS("publish", "click", "--lines"));
    const char *const argv[] = { "ox", "replay", "q", "--from", "start", "--rate", "20", NULL };
    struct test_process *replay = test_start(argv, NULL);
    assert_true(test_wait_for(10000, has_jobs, NULL));
    test_process_signal(replay, SIGINT);
    assert_int_equal(test_process_wait(replay, 10000), 1);
    g_autofree char *told_last = test_process_err(replay);
    test_process_free(replay);
    g_autoptr(GRegex) form = g_regex_new(
        "^ox replay: interrupted; made (\\d+) jobs? of \\d+ events?; --from (\\d+-\\d+) goes "
        "on\n$",
        0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    if (!g_regex_match(form, told_last, 0, &match))
        test_fatal("%s", told_last);
    g_autofree char *position = g_match_info_fetch(match, 2);
    ox("replay", "q", "--from", position);
    assert_int_equal(ran.status, 0);
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 100);
}

/* The id of the one job that waits in the queue q. */
static char *only_job(void)
{
    return test_redis_text(redis, "LINDEX bull:q:wait 0");
}

static void jobs_are_explained_by_their_events(void **state)
{
    (void)state;
    ox("bind", "car.*", "q");
    ox("publish", "car.sold", "--stream", "other");
    ox("publish", "car.posted", "--id", "x", "--source", "/s");
    g_autofree char *position = g_strndup(ran.out, strcspn(ran.out, "\t"));
    g_autofree char *id = only_job();
    ox("explain", "q", id);
    g_autofree char *line =
        g_strdup_printf("waiting\tit was made of event car.posted, x of /s, at %s in stream "
                        "events\n",
            position);
    if (ran.status || !g_str_has_suffix(ran.out, line))
        told();
    ox("explain", "q", id, "--json");
    g_autofree char *object = g_strdup_printf(
        "{\"kind\":\"event\",\"type\":\"car.posted\",\"source\":\"/s\",\"id\":\"x\","
        "\"stream\":\"events\",\"position\":\"%s\"}]}\n",
        position);
    if (ran.status || !g_str_has_suffix(ran.out, object))
        told();
    test_redis_do(redis, "ACL SETUSER lim on >pw ~bull:q* &* +@all");
    g_autofree char *url = g_strdup_printf("unix://lim:pw@%s", redis->socket);
    ox("explain", "q", id, "--redis", url);
    if (ran.status || !strstr(ran.out, "in a stream that the server does not let us read\n"))
        told();
    ox("stream", "trim", "events", "--keep-events", "0", "--yes");
    ox("explain", "q", id);
    if (ran.status || !strstr(ran.out, "x of /s, which no stream has any more\n"))
        told();
}

/* Functions came with Redis 7: a server that does not know the command says what is missing. */
static void functions_are_installed(void **state)
{
    static const char *const words[] = { "--rename-command", "FUNCTION", "", NULL };
    static const char event[] = "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\","
                                "\"type\":\"a\",\"time\":\"2026-11-29T08:50:00Z\"}";
    (void)state;
    ox("stream", "install", "--json");
    expect_done("{\"library\":\"ox_v1\",\"function\":\"ox_publish_v1\"}\n");
    ox("stream", "install");
    expect_done("");
    test_redis_do(redis, "FCALL ox_publish_v1 1 bull::ox:{events}: %s", event);
    ox("publish", "a", "--id", "1", "--source", "/s", "--json");
    g_assert_nonnull(strstr(ran.out, "\"duplicate\":true"));
    struct test_redis *old = test_redis_start(words);
    ox("stream", "install", "--redis", test_redis_url(old));
    assert_int_equal(ran.status, 1);
    assert_non_null(strstr(ran.err, "the server has no functions, which publishing by FCALL "
                                    "needs: they came with Redis 7"));
    test_redis_stop(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EMPTY(an_event_is_published),
        EMPTY(a_repeat_is_told),
        EMPTY(lines_are_published),
        EMPTY(queues_are_bound),
        EMPTY(a_stream_is_shown_and_set),
        EMPTY(streams_that_do_not_exist),
        EMPTY(wrong_usage_is_told),
        EMPTY(a_tail_tells_gaps_and_odd_entries),
        EMPTY(a_tail_ends_where_it_is_told),
        EMPTY(a_tail_says_why_it_waits),
        EMPTY(missing_rights_are_told_once),
        EMPTY(events_are_replayed),
        EMPTY(jobs_are_explained_by_their_events),
        EMPTY(a_replay_is_interrupted),
        EMPTY(functions_are_installed),
    };
    return cmocka_run_group_tests_name("cli stream", tests, ran_begin, ran_end);
}
