/*
 * test_events_dead.c - dead letters: listed page by page, read, run again, removed.
 */
#include "../support/check.h"

#include <string.h>

#include "../support/members.h"

static ox_dead **dead;
static size_t count;

static int down(void **state)
{
    ox_list_free(dead);
    dead = NULL;
    return test_stream_down(state);
}

#define WITH_LETTERS(test) cmocka_unit_test_setup_teardown(test, test_stream_up, down)

/* `n` letters with the ids 1000-1 and on. */
static void with_letters(int n)
{
    test_ok(ox_group_create(stream, "g", NULL, &err), &err);
    for (int i = 1; i <= n; i++)
        run("XADD " E "g:dead 1000-%d e {\"type\":\"a.b\"} p 900-%d r no-table a 5 d 2", i, i);
}

static void list(const char *after, uint32_t limit)
{
    ox_list_free(dead);
    dead = NULL;
    test_ok(ox_dead_list(stream, "g", after, limit, &dead, &count, &err), &err);
}

static void expect_refused(int64_t rc, int code, const char *why)
{
    if (rc != code || !strstr(err.text, why))
        test_fatal("%d: %s", (int)rc, err.text);
}

static long long size_of(const char *name)
{
    return test_redis_int(redis, "XLEN " E "g:%s", name);
}

static void lists_page_by_page(void **state)
{
    (void)state;
    with_letters(5);
    list(NULL, 2);
    assert_int_equal(count, 2);
    assert_string_equal(dead[0]->id, "1000-1");
    assert_string_equal(dead[0]->position, "900-1");
    assert_string_equal(dead[0]->reason, "no-table");
    assert_string_equal(dead[0]->type, "a.b");
    assert_string_equal(dead[0]->json, "{\"type\":\"a.b\"}");
    assert_int_equal(dead[0]->at_ms, 1000);
    assert_int_equal(dead[0]->attempts, 5);
    assert_int_equal(dead[0]->deliveries, 2);
    list("1000-2", 0);
    assert_int_equal(count, 3);
    assert_string_equal(dead[0]->id, "1000-3");
    list("1000-5", 0);
    assert_int_equal(count, 0);
    ox_dead *one = NULL;
    test_ok(ox_dead_get(stream, "g", "1000-4", &one, &err), &err);
    assert_string_equal(one->position, "900-4");
    ox_free(one);
    expect_refused(ox_dead_get(stream, "g", "1000-9", &one, &err), OX_ENOTFOUND, "of that id");
    expect_refused(ox_dead_get(stream, "g", "x", &one, &err), OX_EINVAL, "\"x\" is not the id");
    expect_refused(
        ox_dead_list(stream, "g", "1-", 0, &dead, &count, &err), OX_EINVAL, "is not the id");
    expect_refused(
        ox_dead_list(stream, "g:", NULL, 0, &dead, &count, &err), OX_EINVAL, "group name");
}

static void odd_letters_are_listed_as_far_as_they_go(void **state)
{
    (void)state;
    with_letters(0);
    run("XADD " E "g:dead 1-1 odd 1");
    run("XADD " E "g:dead 1-2 e [] a x d 99999999999");
    list(NULL, 0);
    assert_int_equal(count, 2);
    assert_string_equal(dead[0]->json, "");
    assert_null(dead[1]->type);
    assert_int_equal(dead[1]->attempts, 0);
    assert_int_equal(dead[1]->deliveries, 0);
}

static void retries_some(void **state)
{
    (void)state;
    with_letters(3);
    const char *const ids[] = { "1000-3", "1000-9", "1000-1" };
    assert_int_equal(ox_dead_retry(stream, "g", ids, 3, &err), 2);
    assert_int_equal(size_of("dead"), 1);
    assert_int_equal(size_of("again"), 2);
    assert_int_equal(size_of("wake"), 1);
    assert_int_equal(ox_dead_retry(stream, "g", ids, 3, &err), 0);
    assert_int_equal(ox_dead_retry(stream, "g", ids, 0, &err), 0);
    const char *const bad[] = { "1000-2", "dead" };
    expect_refused(ox_dead_retry(stream, "g", bad, 2, &err), OX_EINVAL, "\"dead\" is not");
    expect_refused(ox_dead_remove(stream, "g", bad, 2, &err), OX_EINVAL, "\"dead\" is not");
    assert_int_equal(size_of("dead"), 1);
    expect_refused(ox_dead_retry(stream, "h", ids, 3, &err), OX_ENOTFOUND, "no such group");
    run("SET " E "h:again x");
    run("XADD " E "h:dead 1-1 e {}");
    test_ok(ox_group_create(stream, "h", NULL, &err), &err);
    expect_refused(ox_dead_retry(stream, "h", NULL, 0, &err), OX_ESERVER,
        "WRONGTYPE " E "h:again is a string");
    assert_int_equal(test_redis_int(redis, "XLEN " E "h:dead"), 1);
}

static void retries_and_removes_all(void **state)
{
    (void)state;
    with_letters(250);
    assert_int_equal(ox_dead_retry(stream, "g", NULL, 0, &err), 250);
    assert_int_equal(size_of("dead"), 0);
    assert_int_equal(size_of("again"), 250);
    assert_int_equal(ox_dead_retry(stream, "g", NULL, 0, &err), 0);
    for (int i = 1; i <= 250; i++)
        run("XADD " E "g:dead 2000-%d e {}", i);
    const char *const ids[] = { "2000-1", "2000-250", "1000-1" };
    assert_int_equal(ox_dead_remove(stream, "g", ids, 3, &err), 2);
    assert_int_equal(ox_dead_remove(stream, "g", NULL, 0, &err), 248);
    assert_int_equal(ox_dead_remove(stream, "g", NULL, 0, &err), 0);
    assert_int_equal(size_of("dead"), 0);
}

/* A handler that fails at everything does not fill the server: the oldest letters go. */
static void letters_have_a_bound(void **state)
{
    (void)state;
    const ox_stream_settings small = { .keep_bytes = 20000 };
    const ox_consumer_options options = { .from = "start" };
    test_ok(ox_stream_settings_set(stream, &small, OX_SET_KEEP_BYTES, &err), &err);
    with_letters(1000);
    struct test_member *member = test_member_new("g", &options);
    test_publish(1);
    ox_batch_fail(test_member_batch(member), &(ox_failure){ .unrecoverable = true });
    test_member_expect(member, "dead");
    long long left = size_of("dead");
    assert_in_range(left, 100, 999);
    assert_true(test_redis_int(redis, "MEMORY USAGE " E "g:dead") <= 25000); /* whole nodes */
    ox_group_info **groups;
    test_ok(ox_group_list(stream, &groups, NULL, &err), &err);
    assert_int_equal(groups[0]->dropped, 1001 - left);
    ox_list_free(groups);
    list("1000-999", 0);
    assert_int_equal(count, 2); /* the newest are there */
}

static int members_down(void **state)
{
    ox_list_free(dead);
    dead = NULL;
    return test_members_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LETTERS(lists_page_by_page),
        WITH_LETTERS(odd_letters_are_listed_as_far_as_they_go),
        WITH_LETTERS(retries_some),
        WITH_LETTERS(retries_and_removes_all),
        cmocka_unit_test_setup_teardown(letters_have_a_bound, test_members_up, members_down),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
