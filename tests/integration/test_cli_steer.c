/*
 * test_cli_steer.c - the verbs that change jobs and steer queues, judged by what is in Redis.
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

#define DEADLINE_MS 20000
#define HOUR_MS INT64_C(3600000)

static void expect_text(const char *expected, const char *command)
{
    g_autofree char *text = test_redis_text(redis, command);
    if (g_strcmp0(text, expected))
        test_fatal("%s gave %s", command, text ? text : "nil");
}

static long long count(const char *command)
{
    return test_redis_int(redis, command);
}

/* ---- update --------------------------------------------------------------------------------
 */

static void a_job_is_changed(void **state)
{
    (void)state;
    ox("add", "u", "n", "{\"a\":1}", "--delay", "1h");
    int64_t before_ms = test_unix_ms();
    ox("update", "u", "1", "--data", "{\"b\":0.10}", "--priority", "7", "--delay", "3h",
        "--progress", "{\"done\":5}", "--log", "a row");
    expect_done("");
    expect_text("{\"b\":0.10}", "HGET bull:u:1 data");
    expect_text("7", "HGET bull:u:1 priority");
    expect_text("{\"done\":5}", "HGET bull:u:1 progress");
    expect_text("a row", "LINDEX bull:u:1:logs 0");
    int64_t due_ms = count("ZSCORE bull:u:delayed 1") / 4096;
    assert_true(
        due_ms >= before_ms + 3 * HOUR_MS && due_ms <= test_unix_ms() + 3 * HOUR_MS + 1);

    /* What is shown is when it is due, not when it was added plus its delay. */
    assert_int_equal(count("HSET bull:u:1 timestamp 1000"), 0);
    ox("jobs", "u");
    g_auto(GStrv) cells = g_strsplit(ran.out, "\t", -1);
    g_autoptr(GDateTime) when = g_date_time_new_from_iso8601(cells[3], NULL);
    assert_non_null(when);
    assert_in_range(g_date_time_to_unix(when), due_ms / 1000, due_ms / 1000);

    ox("update", "u", "1", "--log", "b", "--json");
    expect_done("{\"id\":\"1\",\"updated\":true}\n");
    ox("update", "u", "1", "--log", "c", "--keep-logs", "2");
    assert_int_equal(count("LLEN bull:u:1:logs"), 2);
    ox("update", "u", "1", "--trim-logs", "1");
    expect_text("c", "LINDEX bull:u:1:logs 0");
    assert_int_equal(count("LLEN bull:u:1:logs"), 1);
}

static void rejects_invalid_changes(void **state)
{
    (void)state;
    ox("add", "ur", "n");
    ox("update", "ur", "1", "--delay", "1h");
    expect_refusal(1, "1");
    ox("update", "ur", "9", "--priority", "1");
    expect_refusal(3, "9");
    ox("update", "ur", "1", "--data", "nothing");
    expect_refusal(2, "data is not JSON");
    ox("update", "ur", "1", "--progress", "50%");
    expect_refusal(2, "progress is not JSON");
    ox("update", "ur", "1", "--detach");
    expect_refusal(1, "no parent");
    ox("update", "ur", "1", "--lifo");
    expect_refusal(2, "");
    expect_text("{}", "HGET bull:ur:1 data");
}

/* ---- queues --------------------------------------------------------------------------------
 */

static void a_queue_is_paused_and_resumed(void **state)
{
    (void)state;
    ox("add", "p", "n");
    ox("pause", "p");
    expect_done("");
    assert_int_equal(count("HEXISTS bull:p:meta paused"), 1);
    ox("queues", "--json");
    assert_non_null(strstr(ran.out, "{\"queue\":\"p\",\"paused\":true,\"waiting\":1,"));
    ox("resume", "p", "--json");
    expect_done("{\"queue\":\"p\",\"paused\":false}\n");
    assert_int_equal(count("HEXISTS bull:p:meta paused"), 0);
    ox("pause", "p", "--legacy-pause");
    assert_int_equal(count("LLEN bull:p:paused"), 1);
    ox("resume", "p");
    assert_int_equal(count("LLEN bull:p:wait"), 1);
}

/* BullMQ 5.x pauses by renaming `wait` to `paused` and resumes by renaming it back: what lies
 * in `wait` by then is lost. Every verb that lets a job wait is told of that with one option,
 * also in front of the verb. */
static void every_verb_parks_its_jobs_for_5x(void **state)
{
    (void)state;
    ox("add", "v5", "waiting", "--id", "a");
    ox("add", "v5", "delayed", "--id", "b", "--delay", "1h");
    ox("add", "v5", "delayed", "--id", "c", "--delay", "1h");
    ox("add", "v5", "urgent", "--id", "d", "--priority", "1");
    ox_with("{\"name\":\"p\",\"opts\":{\"jobId\":\"e\"},\"children\":["
            "{\"name\":\"c\",\"queueName\":\"v5c\",\"opts\":{\"jobId\":\"ec\"}}]}",
        WORDS("flow", "v5"));
    ox_with("{\"name\":\"p\",\"opts\":{\"jobId\":\"f\"},\"children\":["
            "{\"name\":\"c\",\"queueName\":\"v5c\",\"opts\":{\"jobId\":\"fc\"}}]}",
        WORDS("flow", "v5"));
    ox_with("{\"name\":\"p\",\"opts\":{\"jobId\":\"g\"},\"children\":["
            "{\"name\":\"c\",\"queueName\":\"v5c\",\"opts\":{\"jobId\":\"gc\"}}]}",
        WORDS("flow", "v5"));
    test_redis_do(
        redis, "HSET bull:v5:h name n data {} opts {} timestamp 1 finishedOn 1 failedReason x");
    test_redis_do(
        redis, "HSET bull:v5:i name n data {} opts {} timestamp 1 finishedOn 1 failedReason x");
    test_redis_do(redis, "ZADD bull:v5:failed 1 h 2 i");
    test_redis_do(redis, "HSET bull:v5:meta paused 1");
    test_redis_do(redis, "RENAME bull:v5:wait bull:v5:paused");

    ox("add", "v5", "n", "--id", "j", "--legacy-pause");
    ox_with("{\"name\":\"n\",\"opts\":{\"jobId\":\"k\"}}\n",
        WORDS("import", "v5", "--legacy-pause"));
    ox_with(
        "{\"name\":\"n\",\"opts\":{\"jobId\":\"l\"}}", WORDS("flow", "v5", "--legacy-pause"));
    ox("promote", "v5", "b", "--legacy-pause");
    ox("promote", "v5", "--all", "--legacy-pause");
    ox("update", "v5", "d", "--priority", "0", "--legacy-pause");
    ox("update", "v5c", "ec", "--detach", "--legacy-pause");
    ox("rm", "v5c", "fc", "--legacy-pause");
    ox("drain", "v5c", "--yes", "--legacy-pause");
    ox("retry", "v5", "h", "--legacy-pause");
    ox("--legacy-pause", "retry", "v5", "--all");
    ox("schedule", "set", "v5", "s", "--every", "1h", "--legacy-pause");
    if (ran.status)
        told();
    assert_int_equal(count("EXISTS bull:v5:wait"), 0);
    assert_int_equal(count("LLEN bull:v5:paused"), 13);

    test_redis_do(redis, "HDEL bull:v5:meta paused");
    test_redis_do(redis, "RENAME bull:v5:paused bull:v5:wait");
    for (const char *id = "abcdefghijkl"; *id; id++) {
        g_autofree char *place = g_strdup_printf("LPOS bull:v5:wait %c", *id);
        redisReply *reply = test_redis_command(redis, place);
        if (reply->type != REDIS_REPLY_INTEGER)
            test_fatal("job %c is lost", *id);
        freeReplyObject(reply);
    }
}

static void drains_waiting_jobs(void **state)
{
    (void)state;
    ox("add", "d", "n");
    ox("add", "d", "n", "--priority", "1");
    ox("add", "d", "n", "--delay", "1h");
    ox("drain", "d");
    expect_refusal(2, "this would remove about 2 waiting jobs from queue d; --yes");
    assert_int_equal(count("LLEN bull:d:wait"), 1);
    ox("drain", "d", "--yes");
    expect_done("2\n");
    assert_int_equal(count("EXISTS bull:d:wait bull:d:prioritized bull:d:1 bull:d:2"), 0);
    ox("drain", "d", "--delayed", "--yes", "--json");
    expect_done("{\"removed\":1}\n");
    assert_int_equal(count("EXISTS bull:d:delayed"), 0);
}

static void old_jobs_are_cleaned(void **state)
{
    (void)state;
    ox_with("1\n2\n3\n", WORDS("import", "c", "--name", "n"));
    ox("clean", "c", "--state", "waiting", "--older", "1h", "--yes");
    expect_done("0\n");
    ox("clean", "c", "--state", "waiting", "--limit", "2", "--yes");
    expect_done("2\n");
    assert_int_equal(count("LLEN bull:c:wait"), 1);
    ox("clean", "c", "--state", "waiting-children", "--yes");
    expect_refusal(2, "is not one of");
}

static void a_queue_is_obliterated(void **state)
{
    (void)state;
    ox("add", "o", "n");
    ox("add", "o", "n", "--delay", "1h");
    ox("schedule", "set", "o", "s", "--every", "1h");
    ox("obliterate", "o");
    expect_refusal(2, "this would remove queue o and every job in it");
    ox("obliterate", "o", "--yes", "--json");
    expect_done("{\"queue\":\"o\",\"obliterated\":true}\n");
    redisReply *keys = test_redis_command(redis, "KEYS bull:o:*");
    assert_int_equal(keys->elements, 0);
    freeReplyObject(keys);
}

static void limits_are_set_and_shown(void **state)
{
    (void)state;
    ox("add", "l", "n");
    ox("limit", "l", "--concurrency", "3", "--rate", "100/1m", "--json");
    expect_done("{\"concurrency\":3,\"max\":100,\"duration\":60000,\"ttl\":0}\n");
    expect_text("3", "HGET bull:l:meta concurrency");
    expect_text("100", "HGET bull:l:meta max");
    expect_text("60000", "HGET bull:l:meta duration");
    ox("limit", "l");
    expect_done("concurrency\t3\nrate\t100 in 1m\n");
    ox("limit", "l", "--hold", "1h");
    if (ran.status || !strstr(ran.out, "opens in\t"))
        told();
    assert_true(count("PTTL bull:l:limiter") > HOUR_MS - 60000);
    ox("limit", "l", "--hold", "0");
    assert_int_equal(count("EXISTS bull:l:limiter"), 0);
    ox("limit", "l", "--clear");
    expect_done("concurrency\tnone\nrate\tnone\n");
    assert_int_equal(count("HEXISTS bull:l:meta concurrency"), 0);
    assert_int_equal(count("HEXISTS bull:l:meta max"), 0);
}

/* A mistyped name: nothing comes into being by it, and an operator is told. */
static void queues_that_do_not_exist(void **state)
{
    (void)state;
    static const char *const verbs[] = { "retry nosuch --all", "promote nosuch --all",
        "drain nosuch --yes", "clean nosuch --yes", "obliterate nosuch --yes", "resume nosuch",
        "workers nosuch", "metrics nosuch", "limit nosuch", "limit nosuch --clear",
        "schedule ls nosuch", "counts nosuch", "jobs nosuch" };
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
        g_auto(GStrv) words = g_strsplit(verbs[i], " ", -1);
        ox_with(NULL, (const char *const *)words);
        expect_refusal(3, "queue nosuch does not exist under prefix bull");
    }
    redisReply *keys = test_redis_command(redis, "KEYS bull:nosuch:*");
    assert_int_equal(keys->elements, 0);
    freeReplyObject(keys);
    ox("pause", "early");
    assert_int_equal(ran.status, 0);
    assert_string_equal(ran.err, "ox pause: note: queue early did not exist before\n");
    ox("pause", "early");
    expect_done("");
    ox("resume", "early");
    expect_done("");
    ox("limit", "other", "--concurrency", "1");
    assert_int_equal(ran.status, 0);
    assert_string_equal(ran.err, "ox limit: note: queue other did not exist before\n");
    ox("limit", "other", "--concurrency", "2");
    expect_done("concurrency\t2\nrate\tnone\n");
}

/* Ids that a cell or a line cannot hold, and jobs beside them that a careless reader would hit.
 */
static void add_odd_ids(void)
{
    static const struct {
        const char *id;
        size_t length;
    } ids[] = { { "a\tb", 3 }, { "a", 1 }, { "c\nd", 3 }, { "c", 1 }, { "e\0f", 3 }, { "e", 1 },
        { "g\\th", 4 }, { "i\\", 2 }, { "\\\\", 2 }, { "j\r", 2 } };
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        test_redis_do(redis, "HSET bull:odd:%b name n data {} opts {} timestamp 1", ids[i].id,
            ids[i].length);
        test_redis_do(redis, "LPUSH bull:odd:wait %b", ids[i].id, ids[i].length);
    }
}

static void odd_ids_pass_through_pipes(void **state)
{
    (void)state;
    add_odd_ids();
    ox("jobs", "odd", "--grep", "\t");
    g_autofree char *tab = g_strdup(ran.out);
    assert_true(g_str_has_prefix(tab, "a\\tb\tn\twaiting\t"));
    ox_with(tab, WORDS("rm", "odd", "-", "--yes"));
    expect_done("a\\tb\n");
    assert_int_equal(test_redis_int(redis, "EXISTS bull:odd:a"), 1);
    ox("jobs", "odd");
    g_autofree char *all = g_strdup(ran.out);
    assert_non_null(strstr(all, "\ne\\0f\tn\t"));
    ox_with("e\\0f\n", WORDS("rm", "odd", "-", "--yes"));
    expect_done("e\\0f\n");
    assert_int_equal(test_redis_int(redis, "EXISTS bull:odd:e"), 1);
    ox_with(all, WORDS("rm", "odd", "-", "--yes"));
    assert_int_equal(ran.status, 3); /* the one with a NUL is gone already */
    assert_int_equal(test_redis_int(redis, "LLEN bull:odd:wait"), 0);
    test_redis_do(redis, "DEL bull:odd:wait");
}

static void json_has_odd_ids_as_they_are(void **state)
{
    (void)state;
    add_odd_ids();
    static const char *const ids[] = { "\"a\\tb\"", "\"c\\nd\"", "\"e\\u0000f\"", "\"g\\\\th\"",
        "\"i\\\\\"" };
    ox("jobs", "odd", "--json");
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
        if (!strstr(ran.out, ids[i]))
            told();
    ox("obliterate", "odd", "--yes");
}

/* A raw NUL in a line would end the id too early. */
static void rejects_nul_byte_in_line(void **state)
{
    (void)state;
    add_odd_ids();
    g_autofree char *path = g_build_filename(dir, "ids", NULL);
    test_write(path, "e\0f\n", 4);
    g_autofree char *command =
        g_strdup_printf("exec '%s/ox' rm odd - --yes <'%s'", test_build_dir(), path);
    run_with(NULL, WORDS("sh", "-c", command));
    expect_refusal(1, "NUL");
    assert_int_equal(test_redis_int(redis, "EXISTS bull:odd:e"), 1);
    ox("obliterate", "odd", "--yes");
}

static void deduplication_ids_are_freed(void **state)
{
    (void)state;
    ox("add", "de", "n", "--dedup", "user-5");
    ox("add", "de", "n", "--dedup", "user-5");
    assert_string_equal(ran.out, "1\n");
    ox("rm", "de", "--dedup", "user-5");
    expect_done("");
    ox("rm", "de", "--dedup", "user-5");
    expect_refusal(3, "no job holds the deduplication id user-5");
    ox("add", "de", "n", "--dedup", "user-5");
    if (ran.status || !strcmp(ran.out, "1\n"))
        told();
    ox("rm", "de", "1", "--dedup", "user-5");
    expect_refusal(2, "exclude each other");
}

/* ---- schedulers ----------------------------------------------------------------------------
 */

static void sets_lists_and_removes_schedulers(void **state)
{
    (void)state;
    ox("schedule", "set", "s", "night", "build", "{\"k\":0.10}", "--cron", "0 3 * * *", "--tz",
        "Europe/Berlin", "--attempts", "3", "--limit", "9", "--until", "2100-01-01T00:00:00Z");
    if (ran.status || !g_str_has_prefix(ran.out, "repeat:night:"))
        told();
    expect_text("0 3 * * *", "HGET bull:s:repeat:night pattern");
    expect_text("{\"k\":0.10}", "HGET bull:s:repeat:night data");
    expect_text("4102444800000", "HGET bull:s:repeat:night endDate");
    expect_text("build", "HGET bull:s:repeat:night name");
    ox("schedule", "set", "s", "tick", "--every", "90s", "--json");
    assert_true(g_str_has_prefix(ran.out, "{\"key\":\"tick\",\"id\":\"repeat:tick:"));
    expect_text("90000", "HGET bull:s:repeat:tick every");

    ox("schedule", "ls", "s");
    g_auto(GStrv) rows = g_strsplit(ran.out, "\n", -1);
    assert_int_equal(g_strv_length(rows), 3);
    assert_true(g_str_has_prefix(rows[0], "tick\ttick\tevery 1m 30s\t\t"));
    assert_true(g_str_has_prefix(rows[1], "night\tbuild\t0 3 * * *\tEurope/Berlin\t"));
    ox("schedule", "ls", "s", "--json");
    g_auto(GStrv) lines = g_strsplit(ran.out, "\n", -1);
    json_t *night = json_loads(lines[1], 0, NULL);
    assert_string_equal(json_string_value(json_object_get(night, "key")), "night");
    assert_int_equal(json_integer_value(json_object_get(night, "limit")), 9);
    assert_int_equal(json_integer_value(json_object_get(night, "endDate")), 4102444800000);
    json_decref(night);

    ox("schedule", "rm", "s", "tick", "none");
    assert_int_equal(ran.status, 3);
    assert_string_equal(ran.out, "tick\n");
    assert_int_equal(count("ZCARD bull:s:repeat"), 1);
    ox("schedule", "rm", "s", "night", "--json");
    expect_done("{\"key\":\"night\",\"removed\":true}\n");
}

static void rejects_invalid_schedules(void **state)
{
    (void)state;
    ox("schedule", "set", "sb", "x", "--cron", "61 * * * *");
    expect_refusal(2, "cron pattern");
    /* BullMQ takes them, for another time than was meant. */
    ox("schedule", "set", "sb", "x", "--cron", "0 3 * *");
    expect_refusal(2, "\"0 3 * *\" has 4 fields; five are needed");
    assert_non_null(strstr(ran.err, "If \"0 * 0 3 * *\" is meant"));
    ox("schedule", "set", "sb", "x", "--cron", " 5 ");
    expect_refusal(2, "has 1 field; five");
    ox("schedule", "set", "sa", "x", "--cron", "@daily");
    assert_int_equal(ran.status, 0);
    ox("schedule", "set", "sb", "x", "--cron", "0 3 * * *", "--tz", "Nowhere/City");
    expect_refusal(2, "Nowhere/City");
    ox("schedule", "set", "sb", "x", "--every", "1h", "--tz", "Europe/Berlin");
    expect_refusal(2, "--tz");
    ox("schedule", "set", "sb", "x", "--every", "1h", "--cron", "0 3 * * *");
    expect_refusal(2, "either --every or --cron");
    ox("schedule", "set", "sb", "x", "--every", "1h", "--delay", "1s");
    expect_refusal(2, "--delay");
    ox("schedule", "set", "sb", "a:b", "--every", "1h", "--until", "2001-01-01T00:00:00Z");
    expect_refusal(2, "");
    assert_int_equal(count("EXISTS bull:sb:repeat"), 0);
}

/* ---- flows ---------------------------------------------------------------------------------
 */

static void adds_flow(void **state)
{
    (void)state;
    ox_with(" {\"name\":\"album\", \"data\":{\"n\":0.10}, \"opts\":{\"jobId\":\"top\"},\n"
            "  \"children\":[ {\"name\":\"photo\",\"queueName\":\"f-img\"} , {\"children\":[\n"
            "    {\"name\":\"leaf\", \"data\":{\"children\":[{}]}} ], \"name\":\"sub\"}, "
            "{\"name\":\"x\"}]}",
        WORDS("flow", "f"));
    expect_done("top\n");
    expect_text("{\"n\":0.10}", "HGET bull:f:top data");
    assert_int_equal(count("SCARD bull:f:top:dependencies"), 3);
    assert_int_equal(count("LLEN bull:f-img:wait"), 1);
    assert_int_equal(count("LLEN bull:f:wait"), 2);
    assert_int_equal(count("ZCARD bull:f:waiting-children"), 2);
    g_autofree char *leaf = test_redis_text(redis, "LINDEX bull:f:wait %d", -1);
    g_autofree char *data = test_redis_text(redis, "HGET bull:f:%s data", leaf);
    assert_string_equal(data, "{\"children\":[{}]}");

    ox("job", "f", "top", "--json");
    json_t *job = json_loads(ran.out, 0, NULL);
    json_t *children = json_object_get(job, "children");
    assert_int_equal(json_array_size(children), 3);
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(children, 0), "kind")), "pending");
    json_decref(job);
    ox("rm", "f", "top", "--children");
    expect_done("top\n");
    assert_int_equal(count("EXISTS bull:f:wait bull:f:waiting-children bull:f-img:wait"), 0);
}

static void rejects_invalid_flows(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "{", "[]", "5", "{}", "{\"name\":1}", "[5]",
        "{\"name\":\"a\",\"children\":5}", "{\"name\":\"a\",\"queueName\":\"a:b\"}",
        "{\"name\":\"a\",\"opts\":{\"jobId\":\"12\"}}" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        ox_with(bad[i], WORDS("flow", "fb"));
        const char *end = strchr(ran.err, '\n');
        if (ran.status != 2 || *ran.out || !end || end[1])
            test_fatal("%s: exit status %d, %s%s", bad[i], ran.status, ran.out, ran.err);
    }
    ox("flow", "fb", "/no/such/file");
    expect_refusal(1, "No such file");
    assert_int_equal(count("EXISTS bull:fb:wait bull:fb:id"), 0);
}

/* ---- events, workers, metrics --------------------------------------------------------------
 */

static void lists_events(void **state)
{
    (void)state;
    ox("add", "e", "first");
    ox("add", "e", "second");
    ox("pause", "e");
    ox("events", "e", "--from", "0", "--limit", "5");
    g_auto(GStrv) rows = g_strsplit(ran.out, "\n", -1);
    assert_int_equal(g_strv_length(rows), 6);
    assert_true(g_str_has_suffix(rows[0], "\tadded\t1\tname=first"));
    assert_true(g_str_has_suffix(rows[1], "\twaiting\t1\t"));
    assert_true(g_str_has_suffix(rows[4], "\tpaused\t\t"));
    ox("events", "e", "--from", "0", "--event", "added", "--job", "2", "--limit", "1",
        "--json");
    if (ran.status ||
        !strstr(ran.out, "\"event\":\"added\",\"jobId\":\"2\",\"name\":\"second\"}\n"))
        told();
    ox("events", "e", "--from", "yesterday");
    expect_refusal(2, "yesterday");
    ox("events", "e", "--no-follow", "--from", "18446744073709551616-0");
    expect_refusal(2, "is not a stream id: milliseconds, or milliseconds-number");

    /* What is there and no more, so that a pipe ends. */
    ox("events", "e", "--no-follow");
    g_auto(GStrv) all = g_strsplit(ran.out, "\n", -1);
    if (ran.status || g_strv_length(all) != 6)
        told();
    g_autofree char *last = g_strndup(all[3], strcspn(all[3], "\t"));
    ox("events", "e", "--no-follow", "--from", last);
    if (ran.status || !g_str_has_suffix(ran.out, "\tpaused\t\t\n") || strchr(ran.out, '\n')[1])
        told();
    ox("events", "nothing-here", "--no-follow");
    expect_done("");

    /* New ones only, each at once. */
    const char *const argv[] = { "ox", "events", "e", NULL };
    struct test_process *follower = test_start(argv, NULL);
    const int64_t deadline = test_now_ms() + DEADLINE_MS;
    bool seen = false;
    for (int i = 0; !seen && test_now_ms() < deadline; i++) {
        ox("resume", "e");
        g_autofree char *said = test_process_out(follower);
        seen = strstr(said, "\tresumed\t") != NULL;
        assert_null(strstr(said, "\tadded\t"));
    }
    assert_true(seen);
    test_process_free(follower);
}

static bool worker_is_listed(void *arg)
{
    (void)arg;
    ox("workers", "w");
    return ran.status == 0 && g_str_has_prefix(ran.out, "tester\t");
}

static bool one_is_completed(void *arg)
{
    (void)arg;
    return count("ZCARD bull:w:completed") == 1;
}

static void workers_are_listed(void **state)
{
    (void)state;
    ox("workers", "w");
    expect_refusal(3, "queue w does not exist");
    ox("limit", "w", "--concurrency", "9");
    ox("workers", "w");
    expect_done("");
    const char *const argv[] = { "ox-worker", "--redis", test_redis_url(redis), "--name",
        "tester", "w=echo", NULL };
    struct test_process *worker = test_start(argv, NULL);
    assert_true(test_wait_for(DEADLINE_MS, worker_is_listed, NULL));
    ox("workers", "w", "--json");
    assert_true(g_str_has_prefix(ran.out, "{\"name\":\"tester\",\"address\":"));
    ox("add", "w", "n");
    assert_true(test_wait_for(DEADLINE_MS, one_is_completed, NULL));
    test_process_signal(worker, SIGTERM);
    assert_int_equal(test_process_wait(worker, DEADLINE_MS), 0);
    test_process_free(worker);
}

static void metrics_are_shown(void **state)
{
    (void)state;
    ox("metrics", "m", "--json");
    expect_refusal(3, "queue m does not exist");
    ox("add", "m", "n");
    ox("metrics", "m", "--json");
    expect_done("{\"completed\":{\"count\":0,\"prevTS\":0,\"data\":[]},"
                "\"failed\":{\"count\":0,\"prevTS\":0,\"data\":[]}}\n");
    freeReplyObject(test_redis_command(
        redis, "HSET bull:m:metrics:completed count 10 prevTS 1700000000000 prevCount 9"));
    freeReplyObject(test_redis_command(redis, "RPUSH bull:m:metrics:completed:data 4 0 5"));
    ox("metrics", "m", "--json", "--minutes", "2");
    assert_true(g_str_has_prefix(
        ran.out, "{\"completed\":{\"count\":10,\"prevTS\":1700000000000,\"data\":[4,0]}"));
    ox("metrics", "m");
    expect_done("completed\t2\t5\ncompleted\t1\t0\ncompleted\t0\t4\n");
}

/* ---- explain -------------------------------------------------------------------------------
 */

static void expect_reasons(const char *id, const char *first, ...) __attribute__((sentinel));
static void expect_reasons(const char *id, const char *first, ...)
{
    ox("explain", "x", id);
    va_list parts;
    va_start(parts, first);
    for (const char *part = first; part; part = va_arg(parts, const char *))
        if (ran.status || !strstr(ran.out, part))
            told();
    va_end(parts);
}

static void explains_jobs(void **state)
{
    (void)state;
    ox("add", "x", "n");
    ox("add", "x", "n");
    ox("add", "x", "n", "--priority", "2");
    ox("add", "x", "n", "--priority", "1");
    ox("add", "x", "n", "--delay", "61m");
    ox_with("{\"name\":\"top\",\"opts\":{\"jobId\":\"top\"},\"children\":[{\"name\":\"n\","
            "\"queueName\":\"xx\",\"opts\":{\"jobId\":\"leaf\"}}]}",
        WORDS("flow", "x"));
    expect_reasons("1", "waiting\tit starts next\n", "the queue has no workers", NULL);
    expect_reasons("2", "waiting\t1 job starts before it\n", NULL);
    expect_reasons("3", "prioritized\t3 jobs start before it\n", NULL);
    expect_reasons("4", "prioritized\t2 jobs start before it\n", NULL);
    expect_reasons("5", "delayed\tit is due in 1h", NULL);
    expect_reasons("top", "waiting-children\tit waits for its child bull:xx:leaf\n", NULL);

    ox("pause", "x");
    ox("limit", "x", "--rate", "1/1h", "--hold", "1h");
    expect_reasons("1", "the queue is paused (ox resume x)", "it opens in 59m", NULL);
    ox("explain", "x", "1", "--json");
    json_t *why = json_loads(ran.out, 0, NULL);
    json_t *reasons = json_object_get(why, "reasons");
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(reasons, 0), "kind")), "paused");
    json_decref(why);

    /* As a worker leaves it that died in the middle. */
    assert_int_equal(count("LREM bull:x:wait 0 1"), 1);
    expect_reasons("1", "unknown\tits data exists, but it is in no state", NULL);
    assert_int_equal(count("LPUSH bull:x:active 1"), 1);
    expect_reasons("1", "active\ta worker took it", "neither lock nor start", NULL);
    test_redis_int(redis, "HSET bull:x:1 processedOn 1700000000000");
    expect_reasons("1", "active\ta worker took it", "its lock is gone", NULL);
    freeReplyObject(test_redis_command(redis, "SET bull:x:1:lock token PX 3600000"));
    expect_reasons("1", "its lock lasts 59m", NULL);
    ox("explain", "x", "99");
    expect_refusal(3, "99");
}

/* Some servers let nobody list the connections; all else can be told there. */
static void explains_jobs_without_client_list(void **state)
{
    (void)state;
    ox("add", "lim", "n");
    ox("pause", "lim");
    test_redis_do(redis, "ACL SETUSER lim on >pw ~* &* +@all -@dangerous -@admin");
    g_autofree char *url = g_strdup_printf("unix://lim:pw@%s", redis->socket);
    ox("explain", "lim", "1", "--redis", url);
    if (ran.status || *ran.err || !strstr(ran.out, "waiting\tthe queue is paused") ||
        !strstr(ran.out, "whether the queue has workers is unknown") ||
        !strstr(ran.out, "it starts next") || strstr(ran.out, "the queue has no workers"))
        told();
    ox("workers", "lim", "--redis", url);
    expect_refusal(1, "NOPERM");
}

/* ---- completion ----------------------------------------------------------------------------
 */

/* Lets bash complete a command line and gives back the words it offers. */
static void complete_with_bash(const char *words, int at)
{
    g_autofree char *program = test_program("ox");
    g_autofree char *script = g_strdup_printf("eval \"$('%s' completion bash)\"; "
                                              "COMP_WORDS=(%s); COMP_CWORD=%d; _ox; "
                                              "echo \"${COMPREPLY[@]}\"",
        program, words, at);
    run_with(NULL, WORDS("bash", "-c", script));
}

static void bash_completes(void **state)
{
    (void)state;
    complete_with_bash("ox co", 1);
    expect_done("counts completion\n");
    complete_with_bash("ox schedule ''", 2);
    expect_done("set ls rm\n");
    complete_with_bash("ox schedule set q s --ev", 5);
    expect_done("--every\n");
    complete_with_bash("ox retry q --st", 3);
    expect_done("--state\n");
    complete_with_bash("ox jobs q --state wa", 4);
    expect_done("waiting waiting-children\n");
    complete_with_bash("ox retry q --state ''", 4);
    expect_done("completed failed\n");
    complete_with_bash("ox completion z", 2);
    expect_done("zsh\n");
    complete_with_bash("ox help jo", 2);
    expect_done("jobs job\n");
}

/* bash takes ':' and '=' for words. */
static void bash_completes_behind_options(void **state)
{
    (void)state;
    complete_with_bash("ox --js", 1);
    expect_done("--json\n");
    complete_with_bash("ox --json jo", 2);
    expect_done("jobs job\n");
    complete_with_bash("ox --redis redis : //127.0.0.1 : 6379 --prefix = x jo", 10);
    expect_done("jobs job\n");
    complete_with_bash("ox --json --prefix x schedule ''", 5);
    expect_done("set ls rm\n");
    complete_with_bash("ox --json schedule set q s --ev", 6);
    expect_done("--every\n");
    complete_with_bash("ox --prefix no-such-file", 2);
    expect_done("\n");
}

static void fish_is_told_values(void **state)
{
    (void)state;
    ox("completion", "fish");
    if (ran.status || !strstr(ran.out, "-l state -x -a 'completed failed' -d ") ||
        !strstr(
            ran.out, "-n '__fish_seen_subcommand_from completion' -a 'bash zsh fish man'\n"))
        told();
}

/* Many at once: each is told of by itself, in the order in which it was given. */
static void many_are_removed_together(void **state)
{
    (void)state;
    g_autoptr(GString) jobs = g_string_new(NULL);
    g_autoptr(GString) ids = g_string_new(NULL);
    g_autoptr(GString) removed = g_string_new(NULL);
    for (int i = 1; i <= 700; i++) {
        g_string_append(jobs, "{\"name\":\"n\"}\n");
        g_string_append_printf(ids, "%d\tn\n", i);
        if (i != 3)
            g_string_append_printf(removed, "%d\n", i);
    }
    g_string_append(ids, "none\n");
    ox_with(jobs->str, WORDS("import", "many"));
    test_redis_do(redis, "SET bull:many:3:lock token");
    ox_with(ids->str, WORDS("rm", "many", "-", "--yes"));
    if (ran.status != 1 || strcmp(ran.out, removed->str) ||
        !strstr(ran.err, "job 3: the job's lock is held by another worker") ||
        !strstr(ran.err, "job none does not exist"))
        told();
    assert_int_equal(test_redis_int(redis, "LLEN bull:many:wait"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_changed),
        cmocka_unit_test(rejects_invalid_changes),
        cmocka_unit_test(a_queue_is_paused_and_resumed),
        cmocka_unit_test(every_verb_parks_its_jobs_for_5x),
        cmocka_unit_test(drains_waiting_jobs),
        cmocka_unit_test(old_jobs_are_cleaned),
        cmocka_unit_test(a_queue_is_obliterated),
        cmocka_unit_test(limits_are_set_and_shown),
        cmocka_unit_test(queues_that_do_not_exist),
        cmocka_unit_test(odd_ids_pass_through_pipes),
        cmocka_unit_test(json_has_odd_ids_as_they_are),
        cmocka_unit_test(rejects_nul_byte_in_line),
        cmocka_unit_test(deduplication_ids_are_freed),
        cmocka_unit_test(sets_lists_and_removes_schedulers),
        cmocka_unit_test(rejects_invalid_schedules),
        cmocka_unit_test(adds_flow),
        cmocka_unit_test(rejects_invalid_flows),
        cmocka_unit_test(lists_events),
        cmocka_unit_test(workers_are_listed),
        cmocka_unit_test(metrics_are_shown),
        cmocka_unit_test(explains_jobs),
        cmocka_unit_test(explains_jobs_without_client_list),
        cmocka_unit_test(bash_completes),
        cmocka_unit_test(bash_completes_behind_options),
        cmocka_unit_test(fish_is_told_values),
        cmocka_unit_test(many_are_removed_together),
    };
    return cmocka_run_group_tests(tests, ran_begin, ran_end);
}
