/*
 * test_events_groups.c - groups of a stream: where they begin, how far behind they are, what
 * retention took from them, how they are moved and removed.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/streams.h"

static ox_group_info **groups;
static size_t count;

static int down(void **state)
{
    ox_list_free(groups);
    groups = NULL;
    return test_stream_down(state);
}

#define WITH_GROUPS(test) cmocka_unit_test_setup_teardown(test, test_stream_up, down)

/* Entries of three events each, the first with the id 1000-3. */
static void publish_packs(int n)
{
    for (int i = 1; i <= n; i++)
        run("XADD " E "log %d-%d e {}\n{}\n{} c 3", i * 1000, i * 3);
    run("HSET " E "info layout 1 n %d ms %d", n * 3, n * 1000);
}

static void create(const char *group, const char *from)
{
    int made = ox_group_create(stream, group, from, &err);
    test_ok(made, &err);
    assert_int_equal(made, 1);
}

static void seek(const char *group, const char *to)
{
    test_ok(ox_group_seek(stream, group, to, NULL, &err), &err);
}

static const ox_group_info *info_of(const char *group)
{
    ox_list_free(groups);
    groups = NULL;
    test_ok(ox_group_list(stream, &groups, &count, &err), &err);
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(groups[i]->name, group))
            return groups[i];
    }
    test_fatal("no group %s", group);
}

static void expect(const char *group, int64_t lag, int64_t lost)
{
    const ox_group_info *info = info_of(group);
    if (info->lag != lag || info->lost != lost)
        test_fatal("%s at %s: lag %lld, lost %lld; not %lld, %lld", group, info->position,
            (long long)info->lag, (long long)info->lost, (long long)lag, (long long)lost);
}

static void expect_refused(int rc, int code, const char *why)
{
    if (rc != code || !strstr(err.text, why))
        test_fatal("%d: %s", rc, err.text);
}

/* How many entries a member reads, which stay pending. */
static long long read_as(const char *group, const char *member, int most)
{
    return test_redis_int(redis, "EVAL %s 1 " E "log %s %s %d",
        "local r = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[3], "
        "'STREAMS', KEYS[1], '>') return r and #r[1][2] or 0",
        group, member, most);
}

/* ---- where they begin -------------------------------------------------------------------- */

static void begins_where_it_is_told(void **state)
{
    (void)state;
    publish_packs(4);
    create("end", NULL);
    create("start", "start");
    create("time", "2000");
    create("later", "2001");
    create("future", "9000000000000");
    create("position", "2000-6");
    create("inside", "2000-5");
    expect("end", 0, 0);
    expect("start", 12, 0);
    expect("time", 9, 0);
    expect("later", 6, 0);
    expect("future", 0, 0);
    expect("position", 6, 0);
    expect("inside", 9, 0);
    assert_int_equal(count, 7);
    assert_string_equal(groups[0]->name, "end"); /* by name */
    assert_int_equal(read_as("later", "m", 10), 2);
    assert_int_equal(read_as("inside", "m", 10), 3);
    assert_int_equal(read_as("end", "m", 10), 0);
}

static void a_group_makes_its_stream(void **state)
{
    struct test_queue *q = *state;
    char **names = NULL;
    size_t found = 0;
    test_ok(ox_group_list(stream, &groups, &count, &err), &err);
    assert_int_equal(count, 0);
    create("g", NULL);
    create("h", "start");
    assert_int_equal(ox_group_create(stream, "g", "start", &err), 0);
    test_ok(ox_client_streams(q->client, NULL, &names, &found, &err), &err);
    assert_int_equal(found, 1);
    ox_list_free(names);
    publish_types("a", 2);
    expect("g", 2, 0);
    expect("h", 2, 0);
    assert_int_equal(read_as("g", "m", 10), 2);
    expect("g", 0, 0);
    assert_int_equal(info_of("g")->pending, 2);
    assert_int_equal(info_of("g")->members, 1);
    assert_true(info_of("h")->lag_ms >= 0);
    assert_int_equal(info_of("h")->members, 0);
}

static void refuses_what_is_no_place(void **state)
{
    (void)state;
    publish_types("a", 2);
    expect_refused(ox_group_create(stream, "g", "yesterday", &err), OX_EINVAL, "not a place");
    expect_refused(ox_group_create(stream, "g", "1-3", &err), OX_EINVAL, "after its newest");
    expect_refused(
        ox_group_create(stream, "g", "9000000000000-1", &err), OX_EINVAL, "after its newest");
    expect_refused(ox_group_create(stream, "G", NULL, &err), OX_EINVAL, "group name \"G\"");
    expect_refused(ox_group_create(stream, "", NULL, &err), OX_EINVAL, "group name");
    expect_refused(
        ox_group_seek(stream, "g", "end", NULL, &err), OX_ENOTFOUND, "no such group");
    create("g", NULL);
    expect_refused(ox_group_seek(stream, "g", "-5", NULL, &err), OX_EINVAL, "not a place");
    run("HSET " E "info layout 2");
    expect_refused(ox_group_create(stream, "h", NULL, &err), OX_EDATA, "another version");
    expect_refused(ox_group_seek(stream, "g", "end", NULL, &err), OX_EDATA, "another version");
    expect_refused(ox_group_list(stream, &groups, &count, &err), OX_EDATA, "another version");
    run("DEL " E "info " E "log");
    run("SET " E "log x");
    expect_refused(
        ox_group_create(stream, "h", NULL, &err), OX_ESERVER, "WRONGTYPE " E "log is a string");
    assert_int_equal(test_redis_int(redis, "EXISTS " E "info"), 0);
}

/* ---- moved ------------------------------------------------------------------------------- */

static void seeks_while_members_run(void **state)
{
    (void)state;
    publish_packs(4);
    create("g", "start");
    assert_int_equal(read_as("g", "m", 3), 3);
    expect("g", 3, 0);
    seek("g", "1000-3");
    expect("g", 9, 0);
    assert_int_equal(info_of("g")->pending, 3); /* these still end */
    assert_int_equal(test_redis_int(redis, "XLEN " E "g:wake"), 1);
    assert_int_equal(read_as("g", "n", 10), 3);
    seek("g", "start");
    expect("g", 12, 0);
    seek("g", "end");
    expect("g", 0, 0);
    assert_int_equal(test_redis_int(redis, "XLEN " E "g:wake"), 1);
}

/* What a move answers is of that moment, not of what members have read by then. */
static void a_move_tells_from_where_to_where(void **state)
{
    (void)state;
    ox_group_moved moved;
    publish_packs(4);
    create("g", "start");
    read_as("g", "m", 3);
    test_ok(ox_group_seek(stream, "g", "1000-3", &moved, &err), &err);
    assert_string_equal(moved.before, "3000-9");
    assert_string_equal(moved.position, "2000-3"); /* an id before the next entry */
    assert_int_equal(moved.lag, 9);
    read_as("g", "m", 1);
    test_ok(ox_group_seek(stream, "g", moved.before, &moved, &err), &err);
    assert_string_equal(moved.before, "2000-6");
    assert_int_equal(moved.lag, 3);
    test_ok(ox_stream_trim(stream, 0, 0, &err), &err);
    test_ok(ox_group_seek(stream, "g", "start", &moved, &err), &err);
    assert_int_equal(moved.lag, 0);
}

/* ---- behind retention -------------------------------------------------------------------- */

static void counts_what_retention_took(void **state)
{
    (void)state;
    publish_packs(4);
    create("g", "start");
    create("late", "3000-9");
    read_as("g", "m", 1);
    test_ok(ox_stream_trim(stream, 4, 0, &err), &err); /* an entry stays whole: 6 events do */
    expect("g", 6, 3);
    expect("late", 3, 0);
    test_ok(ox_stream_trim(stream, 0, 0, &err), &err);
    expect("g", 0, 9);
    expect("late", 0, 3);
    seek("g", "start"); /* from here on nothing is lost to it */
    expect("g", 0, 0);
    publish_types("a", 2);
    expect("g", 2, 0);
    expect("late", 2, 3);
}

/* Entries of others have numbers that mean nothing. */
static void others_entries_do_not_spoil_the_lag(void **state)
{
    (void)state;
    publish_packs(1);
    run("XADD " E "log 1000-900 odd 1");
    run("XADD " E "log 1500-0 odd 1");
    create("end", "end");
    create("start", "start");
    create("odd", "1400");
    run("XADD " E "log 2000-6 e {}\n{}\n{} c 3");
    run("XADD " E "log 3000-0 odd 1");
    run("HSET " E "info n 6 ms 2000");
    expect("end", 3, 0);
    expect("odd", 3, 0);
    expect("start", 6, 0);
    assert_int_equal(read_as("odd", "m", 10), 3);
    expect("odd", 0, 0);
    create("last", "end");
    expect("last", 0, 0);
}

/* ---- listed, removed --------------------------------------------------------------------- */

static void lists_what_belongs_to_a_group(void **state)
{
    (void)state;
    publish_types("a", 1);
    create("g", "start");
    run("XADD " E "g:dead * e {}");
    run("XADD " E "g:again * e {}");
    run("XADD " E "g:again * e {}");
    run("SET " E "g:owner me");
    const ox_group_info *info = info_of("g");
    assert_int_equal(info->dead, 1);
    assert_int_equal(info->again, 2);
    assert_string_equal(info->owner, "me");
    run("DEL " E "g:owner " E "g:dead");
    run("SET " E "g:dead x");
    run("RPUSH " E "g:owner x");
    info = info_of("g");
    assert_int_equal(info->dead, 0);
    assert_null(info->owner);
}

static void expect_member(
    const ox_group_member *member, const char *name, int64_t pending, int64_t again)
{
    if (strcmp(member->name, name) != 0 || member->pending != pending ||
        member->again != again || member->idle_ms < 0)
        test_fatal("%s: pending %lld, again %lld, idle %lld", member->name,
            (long long)member->pending, (long long)member->again, (long long)member->idle_ms);
}

static void lists_the_members_of_a_group(void **state)
{
    (void)state;
    ox_group_member **members = NULL;
    publish_packs(4);
    create("g", "start");
    create("h", "start");
    test_ok(ox_group_members(stream, "g", &members, &count, &err), &err);
    assert_int_equal(count, 0);
    ox_list_free(members);
    read_as("g", "b", 1);
    read_as("g", "a", 2);
    run("XGROUP CREATECONSUMER " E "log g c");
    run("XGROUP CREATECONSUMER " E "log g released"); /* has nothing */
    run("XGROUP CREATE " E "g:again g 0 MKSTREAM");
    run("XADD " E "g:again * e {}");
    run("XREADGROUP GROUP g b STREAMS " E "g:again >");
    test_ok(ox_group_members(stream, "g", &members, &count, &err), &err);
    assert_int_equal(count, 3);
    expect_member(members[0], "a", 2, 0);
    expect_member(members[1], "b", 1, 1);
    expect_member(members[2], "c", 0, 0);
    ox_list_free(members);
    run("XCLAIM " E "log g released 0 1000-3");
    test_ok(ox_group_members(stream, "g", &members, &count, &err), &err);
    assert_int_equal(count, 4);
    expect_member(members[3], "released", 1, 0);
    ox_list_free(members);
    expect_refused(ox_group_members(stream, "none", &members, &count, &err), OX_ENOTFOUND,
        "no such group");
    expect_refused(
        ox_group_members(stream, "G", &members, &count, &err), OX_EINVAL, "group name");
    run("DEL " E "g:again");
    run("SET " E "g:again x");
    test_ok(ox_group_members(stream, "g", &members, &count, &err), &err);
    expect_member(members[1], "b", 0, 0);
    ox_list_free(members);
}

static void removes_a_group_that_has_no_members(void **state)
{
    (void)state;
    publish_types("a", 1);
    create("g", "start");
    run("XADD " E "g:dead * e {}");
    run("XADD " E "g:again * e {}");
    run("HSET " E "info lost:g 5");
    read_as("g", "m", 1);
    expect_refused(ox_group_remove(stream, "g", false, &err), OX_EACTIVE, "members");
    expect_refused(ox_stream_remove(stream, false, &err), OX_EACTIVE, "members");
    run("XGROUP DELCONSUMER " E "log g m");
    /* What was given back belongs to no member. */
    run("XGROUP CREATECONSUMER " E "log g released");
    assert_int_equal(ox_group_remove(stream, "g", false, &err), 1);
    assert_int_equal(ox_group_remove(stream, "g", false, &err), 0);
    assert_int_equal(
        test_redis_int(redis, "EXISTS " E "g:dead " E "g:again " E "g:dead-gone"), 0);
    create("g", "start");
    expect("g", 1, 0);
    read_as("g", "m", 1);
    assert_int_equal(ox_group_remove(stream, "g", true, &err), 1);
    ox_list_free(groups);
    test_ok(ox_group_list(stream, &groups, &count, &err), &err);
    assert_int_equal(count, 0);
    create("g", "start");
    run("XADD " E "g:wake * w 1");
    assert_int_equal(ox_stream_remove(stream, false, &err), 1);
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_GROUPS(begins_where_it_is_told),
        WITH_GROUPS(a_group_makes_its_stream),
        WITH_GROUPS(refuses_what_is_no_place),
        WITH_GROUPS(seeks_while_members_run),
        WITH_GROUPS(a_move_tells_from_where_to_where),
        WITH_GROUPS(counts_what_retention_took),
        WITH_GROUPS(others_entries_do_not_spoil_the_lag),
        WITH_GROUPS(lists_what_belongs_to_a_group),
        WITH_GROUPS(lists_the_members_of_a_group),
        WITH_GROUPS(removes_a_group_that_has_no_members),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
