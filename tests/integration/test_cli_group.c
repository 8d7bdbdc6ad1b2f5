/*
 * test_cli_group.c - the verbs of groups, and of their dead letters.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/ran.h"
#include "../support/redis.h"

#define LOG "bull::ox:{clicks}:log"

/* Events 1 to `count` of the stream clicks, each a second after the other. */
static void fill(int count)
{
    for (int i = 1; i <= count; i++)
        test_redis_do(redis, "XADD " LOG " %d-%d e {\"type\":\"click\"}", i * 1000, i);
    test_redis_do(
        redis, "HSET bull::ox:{clicks}:info layout 1 n %d ms %d", count, count * 1000);
    test_redis_do(redis, "SADD bull::ox:streams clicks");
}

#define IN "--stream", "clicks"

static void a_group_is_made_moved_and_removed(void **state)
{
    (void)state;
    fill(5);
    ox("group", "ls", IN);
    expect_done("");
    ox("group", "seek", "warehouse", "2000-2", IN, "--create");
    expect_form("^\\d+-2\t3\n$");
    ox("group", "seek", "reports", "end", IN, "--create", "--json");
    expect_done("{\"group\":\"reports\",\"before\":null,\"position\":\"5000-5\",\"lag\":0}\n");
    ox("group", "ls", IN);
    expect_form("^reports\t5000-5\t0\t-\t0\t0\t0\t0\t0\t\t0\n"
                "warehouse\t\\d+-2\t3\t[^\t]*\t0\t0\t0\t0\t0\t\t0\n$");
    ox("group", "seek", "warehouse", "start", IN, "--json");
    expect_form("^\\{\"group\":\"warehouse\",\"before\":\"\\d+-2\",\"position\":\"[^\"]*\","
                "\"lag\":5\\}\n$");
    ox("group", "seek", "warehouse", "4000", IN);
    expect_form("^\\d+-3\t2\n$");
    ox("group", "seek", "warehouse", "10m", IN);
    expect_done("5000-5\t0\n");
    /* It is there: --create moves it as well. */
    ox("group", "seek", "warehouse", "1000-1", IN, "--create");
    expect_form("^\\d+-1\t4\n$");
    ox("group", "show", "warehouse", IN);
    expect_form("^group\twarehouse\nposition\t\\d+-1\nlag\t4\nbehind\t[^\n]*\npending\t0\n"
                "again\t0\ndead\t0\nlost\t0\nmembers\t0\n$");
    ox("group", "show", "warehouse", IN, "--json");
    expect_form("^\\{\"group\":\"warehouse\",\"position\":\"\\d+-1\",\"lag\":4,\"lagMs\":\\d+,"
                "\"pending\":0,\"again\":0,\"dead\":0,\"lost\":0,\"members\":0,\"owner\":null,"
                "\"dropped\":0,\"memberList\":\\[\\]\\}\n$");
    ox("stream", "show", "clicks", "--json");
    expect_form("\"lastMinute\":0,\"lastHour\":0,.*\"groups\":2,\"groupList\":\\[\\{\"group\":"
                "\"reports\",.*\\{\"group\":\"warehouse\",\"position\":\"\\d+-1\",\"lag\":4,");
    ox("group", "rm", "warehouse", IN, "--yes", "--json");
    expect_done("{\"group\":\"warehouse\",\"removed\":true}\n");
    ox("group", "ls", IN);
    expect_form("^reports\t[^\n]*\n$");
}

static void a_group_with_members_stays(void **state)
{
    (void)state;
    fill(3);
    ox("group", "seek", "g", "start", IN, "--create");
    test_redis_do(redis, "XREADGROUP GROUP g someone COUNT 2 STREAMS " LOG " >");
    ox("group", "show", "g", IN);
    expect_form("\npending\t2\n.*\nmembers\t1\n");
    ox("group", "show", "g", IN, "--json");
    expect_form(",\"memberList\":\\[\\{\"member\":\"someone\",\"pending\":2,\"again\":0,"
                "\"idleMs\":\\d+\\}\\]\\}\n$");
    ox("group", "rm", "g", IN, "--yes");
    expect_refusal(
        1, "has members, or had some within the last minute: stop these, or use force");
    ox("group", "rm", "g", IN, "--yes", "--force");
    expect_done("");
}

/* The dead letters 1-0, 2-0 .. of the group g. */
static void bury(int count)
{
    fill(count);
    ox("group", "seek", "g", "end", IN, "--create");
    for (int i = 1; i <= count; i++)
        test_redis_do(redis,
            "XADD bull::ox:{clicks}:g:dead %d-0 e {\"type\":\"click\",\"data\":%d} p %d-%d r "
            "%s a "
            "5 d 6",
            i, i, i * 1000, i, "broken");
}

static void dead_letters_are_listed_and_shown(void **state)
{
    (void)state;
    bury(3);
    ox("dead", "ls", "g", IN);
    expect_done("1-0\t1000-1\tclick\t1970-01-01T00:00:00.001Z\t5\t6\tbroken\n"
                "2-0\t2000-2\tclick\t1970-01-01T00:00:00.002Z\t5\t6\tbroken\n"
                "3-0\t3000-3\tclick\t1970-01-01T00:00:00.003Z\t5\t6\tbroken\n");
    ox("dead", "ls", "g", IN, "--after", "1-0", "--limit", "1", "--json");
    expect_done("{\"id\":\"2-0\",\"position\":\"2000-2\",\"type\":\"click\",\"at\":2,"
                "\"attempts\":5,\"deliveries\":6,\"reason\":\"broken\",\"event\":{\"type\":"
                "\"click\",\"data\":2}}\n");
    ox("dead", "show", "g", "2-0", IN);
    expect_form("^id\t2-0\nposition\t2000-2\ntype\tclick\ngiven up\t[^\n]*\nattempts\t5\n"
                "deliveries\t6\nreason\tbroken\nevent\t\\{\"type\":\"click\",\"data\":2\\}\n$");
    ox("group", "show", "g", IN);
    expect_form("\ndead\t3\n");
    ox("dead", "show", "g", "9-0", IN);
    expect_refusal(3, "there is no dead letter of that id");
    ox("dead", "ls", "h", IN);
    expect_refusal(3, "stream clicks has no group h (ox group ls");
    ox("dead", "show", "g", "x", IN);
    expect_refusal(2, "\"x\" is not the id of a dead letter");
}

static void many_dead_letters_come_in_pages(void **state)
{
    (void)state;
    bury(250);
    ox("dead", "ls", "g", IN);
    assert_int_equal(ran.status, 0);
    g_auto(GStrv) lines = g_strsplit(ran.out, "\n", -1);
    assert_int_equal(g_strv_length(lines), 251);
    assert_true(g_str_has_prefix(lines[249], "250-0\t"));
    ox_with(ran.out, WORDS("dead", "rm", "g", "-", IN, "--yes", "--json"));
    assert_int_equal(ran.status, 0);
    assert_int_equal(test_redis_int(redis, "XLEN bull::ox:{clicks}:g:dead"), 0);
}

static void dead_letters_run_again_or_go(void **state)
{
    (void)state;
    bury(5);
    ox("dead", "retry", "g", "1-0", IN);
    expect_done("1-0\n");
    ox("dead", "retry", "g", "1-0", "2-0", IN, "--json");
    assert_int_equal(ran.status, 3);
    assert_string_equal(ran.out, "{\"id\":\"2-0\",\"retried\":true}\n");
    assert_non_null(strstr(ran.err, "group g has no dead letter 1-0"));
    ox("dead", "rm", "g", "3-0", IN);
    expect_done("3-0\n");
    ox("dead", "rm", "g", "--all", IN);
    expect_refusal(2, "this would remove all dead letters of group g; --yes does it");
    ox("dead", "rm", "g", "4-0", "5-0", IN);
    expect_refusal(2, "this would remove 2 dead letters of group g; --yes does it");
    ox("dead", "retry", "g", "--all", IN, "--json");
    expect_done("{\"retried\":2}\n");
    ox("dead", "ls", "g", IN);
    expect_done("");
    ox("group", "show", "g", IN);
    expect_form("\nagain\t4\ndead\t0\n");
    ox("dead", "rm", "g", "--all", "--yes", IN);
    expect_done("0\n");
}

static void what_does_not_exist_is_told(void **state)
{
    (void)state;
    ox("group", "ls", IN);
    expect_refusal(3, "stream clicks does not exist");
    ox("group", "seek", "g", "start", IN, "--create");
    if (ran.status)
        told();
    fill(1);
    ox("group", "seek", "warehouse", "start", IN, "--create");
    ox("group", "show", "wharehouse", IN);
    expect_refusal(3,
        "stream clicks has no group wharehouse; did you mean warehouse? (ox group "
        "ls --stream clicks lists them)");
    ox("group", "seek", "x", "start", IN);
    expect_refusal(3, "stream clicks has no group x (ox group ls");
    ox("group", "rm", "x", IN, "--yes");
    expect_refusal(3, "stream clicks has no group x");
    ox("group", "show", "warehouse", "--stream", "clikcs");
    expect_refusal(3, "did you mean clicks?");
}

static void wrong_usage_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *line, *why;
    } cases[] = {
        { "group lss", "did you mean ls?" },
        { "grup ls", "did you mean group" },
        { "group show", "GROUP is missing" },
        { "group seek g", "PLACE is missing" },
        { "group seek g 5x --stream clicks", "PLACE: " },
        { "group seek g yesterday --stream clicks --create", "is not a place in a stream" },
        { "group seek G start --stream clicks --create", "1..64" },
        { "group seek g 9999-9 --stream clicks --create", "is after its newest event" },
        { "group rm g", "--yes does it without asking" },
        { "group ls x", "unexpected argument" },
        { "dead lss g", "did you mean ls?" },
        { "dead ls", "GROUP is missing" },
        { "dead show g", "ID is missing" },
        { "dead retry g", "ids are missing: give ids, - or --all" },
        { "dead rm g --all 1-0", "--all and ids exclude each other" },
    };
    fill(3);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) words = g_strsplit(cases[i].line, " ", -1);
        ox_with(NULL, (const char *const *)words);
        expect_refusal(2, cases[i].why);
    }
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EMPTY(a_group_is_made_moved_and_removed),
        EMPTY(a_group_with_members_stays),
        EMPTY(dead_letters_are_listed_and_shown),
        EMPTY(many_dead_letters_come_in_pages),
        EMPTY(dead_letters_run_again_or_go),
        EMPTY(what_does_not_exist_is_told),
        EMPTY(wrong_usage_is_told),
    };
    return cmocka_run_group_tests_name("cli group", tests, ran_begin, ran_end);
}
