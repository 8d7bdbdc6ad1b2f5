/*
 * test_cli_group.c - the verbs of groups.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/ran.h"
#include "../support/redis.h"

#define LOG "bull::ox:{clicks}:log"

static int empty(void **state)
{
    (void)state;
    test_redis_do(redis, "FLUSHALL");
    return 0;
}

#define EMPTY(test) cmocka_unit_test_setup(test, empty)

/* The last result is lines of this form. */
static void expect_form(const char *form)
{
    if (ran.status || *ran.err || !g_regex_match_simple(form, ran.out, G_REGEX_DOTALL, 0))
        told();
}

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
    expect_form("^reports\t5000-5\t0\t-\t0\t0\t0\t0\t0\t\n"
                "warehouse\t\\d+-2\t3\t[^\t]*\t0\t0\t0\t0\t0\t\n$");
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
    expect_form(
        "^\\{\"group\":\"warehouse\",\"position\":\"\\d+-1\",\"lag\":4,\"lagMs\":\\d+,"
        "\"pending\":0,\"again\":0,\"dead\":0,\"lost\":0,\"members\":0,\"owner\":null\\}"
        "\n$");
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
    ox("group", "rm", "g", IN, "--yes");
    expect_refusal(1, "members");
    ox("group", "rm", "g", IN, "--yes", "--force");
    expect_done("");
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
        { "group seek g 9999-9 --stream clicks --create", "is behind its newest event" },
        { "group rm g", "--yes does it without asking" },
        { "group ls x", "unexpected argument" },
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
        EMPTY(what_does_not_exist_is_told),
        EMPTY(wrong_usage_is_told),
    };
    return cmocka_run_group_tests_name("cli group", tests, ran_begin, ran_end);
}
