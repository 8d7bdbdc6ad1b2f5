/*
 * test_events_clock.c - the clock of the server is set back, and forward: what a member had
 * that died runs elsewhere as soon as ever, what a living one has stays its own, and what is
 * counted in time goes on.
 *
 * Redis tells the age of a claim, and the end of a key, by the time of day. So whatever was
 * written before the clock was set back by an hour would last an hour longer. Each test here
 * waits ten seconds at most.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/members.h"

#define HOUR_MS (3600 * 1000)
#define DEAD "dead@machine:1:00"

static const ox_consumer_options quick = { .claim_ms = 400, .renew_ms = 100, .sweep_ms = 50 };
static const ox_consumer_options in_order = {
    .claim_ms = 400, .renew_ms = 100, .sweep_ms = 50, .ordered = true
};

static int clock_up(void **state)
{
    (void)state;
    redis = test_redis_start_clocked(NULL);
    return 0;
}

static int up(void **state)
{
    int rc = test_members_up(state);
    test_redis_set_clock(redis, 0);
    test_ok(ox_group_create(stream, "g", NULL, &err), &err);
    return rc;
}

#define WITH_CLOCK(test) cmocka_unit_test_setup_teardown(test, up, test_members_down)

static void set_clock(int64_t offset_ms)
{
    test_redis_set_clock(redis, offset_ms);
}

/* A member that is gone reads one entry of `key`, and is never heard of again. */
static void read_by_dead(const char *key)
{
    long long entries = test_redis_int(redis, "EVAL %s 1 " E "%s " DEAD,
        "local got = redis.call('XREADGROUP', 'GROUP', 'g', ARGV[1], 'COUNT', 1, 'STREAMS', "
        "KEYS[1], '>') return got and #got[1][2] or 0",
        key);
    assert_int_equal(entries, 1);
}

/* How many entries of the log `name` has. */
static long long pending_of(const char *name)
{
    return test_redis_int(redis, "EVAL %s 1 " E "log %s",
        "return #redis.call('XPENDING', KEYS[1], 'g', '-', '+', 100, ARGV[1])", name);
}

/* A member's next batch, ended as done. */
static void work(struct test_member *member, const char *numbers)
{
    ox_batch *batch = test_member_batch(member);
    test_expect_batch(batch, numbers);
    test_batch_done(member, batch);
    test_member_expect(member, "ended");
}

/* ---- claims ------------------------------------------------------------------------------ */

/* The newest event is older than the new time, so positions tell nothing of what happened. */
static void a_dead_members_entries_run_elsewhere(void **state)
{
    (void)state;
    set_clock(-3 * HOUR_MS);
    test_publish(3);
    set_clock(0);
    read_by_dead("log");
    set_clock(-HOUR_MS);
    struct test_member *member = test_member_new("g", &quick);
    work(member, "1,2,3");
    assert_int_equal(pending_of(DEAD), 0);
    test_publish(1);
    work(member, "4");
}

/* It was heard of behind the jump, so that alone does not tell that a claim is older. */
static void what_it_had_not_renewed_runs_elsewhere(void **state)
{
    (void)state;
    test_publish(1);
    read_by_dead("log");
    set_clock(-HOUR_MS);
    test_publish(1);
    read_by_dead("log");
    struct test_member *member = test_member_new("g", &quick);
    work(member, "1,2");
    assert_int_equal(pending_of(DEAD), 0);
}

/* More than a sweep looks at. */
static void many_entries_run_elsewhere(void **state)
{
    (void)state;
    for (int i = 0; i < 350; i++) {
        test_publish(1);
        read_by_dead("log");
    }
    set_clock(-HOUR_MS);
    struct test_member *member = test_member_new("g", &quick);
    while (member->done < 350) {
        test_batch_done(member, test_member_batch(member));
        test_member_expect(member, "ended");
    }
    assert_int_equal(pending_of(DEAD), 0);
    assert_int_equal(g_hash_table_size(member->seen), 350);
}

static void what_was_to_run_again_runs_elsewhere(void **state)
{
    (void)state;
    test_publish(1);
    run("EVAL %s 2 " E "log " E "g:again",
        "local entry = redis.call('XRANGE', KEYS[1], '-', '+')[1] redis.call('XADD', KEYS[2], "
        "'*', 'e', entry[2][2], 'p', entry[1]) redis.call('XGROUP', 'CREATE', KEYS[2], 'g', "
        "'0') redis.call('XGROUP', 'SETID', KEYS[1], 'g', '$')");
    read_by_dead("g:again");
    set_clock(-HOUR_MS);
    work(test_member_new("g", &quick), "1");
    assert_int_equal(test_redis_int(redis, "XLEN " E "g:again"), 0);
}

/* These are marked as given back a day ago, which is no use once the clock is behind that. */
static void what_was_given_back_runs_elsewhere(void **state)
{
    (void)state;
    test_publish(2);
    struct test_member *member = test_member_new("g", &quick);
    ox_batch *batch = test_member_batch(member);
    ox_consumer_pause(member->consumer);
    ox_batch_release(batch);
    test_member_expect(member, "ended 2: done 0 again 0 dead 0 released 2");
    set_clock(-72LL * HOUR_MS);
    work(test_member_new("g", &quick), "1,2");
}

/* Each of the dead one's is taken by the other, so it has looked, and longer than a claim
 * lasts. */
static void a_living_member_keeps_what_it_has(void **state)
{
    (void)state;
    test_publish(1);
    struct test_member *living = test_member_new("g", &quick);
    ox_batch *batch = test_member_batch(living);
    ox_consumer_pause(living->consumer);
    test_publish(1);
    read_by_dead("log");
    set_clock(-HOUR_MS);
    struct test_member *other = test_member_new("g", &quick);
    work(other, "2");
    ox_consumer_pause(other->consumer);
    test_publish(1);
    read_by_dead("log");
    ox_consumer_resume(other->consumer);
    work(other, "3");
    test_batch_done(living, batch);
    test_member_expect(living, "ended 1: done 1 again 0 dead 0 released 0 lost 0");
    assert_null(strstr(living->log->str, "claim lost"));
    assert_int_equal(other->done, 2);
}

/* As if it had stood still for an hour: what it has looks left alone. Nothing is lost by that.
 */
static void behind_a_jump_forward_entries_run_twice(void **state)
{
    (void)state;
    test_publish(3);
    struct test_member *first = test_member_new("g", &quick);
    ox_batch *batch = test_member_batch(first);
    ox_consumer_pause(first->consumer);
    struct test_member *second = test_member_new("g", &quick);
    set_clock(HOUR_MS);
    work(second, "1,2,3");
    test_batch_done(first, batch);
    test_member_expect(first, "the claim was lost; it may run elsewhere");
    set_clock(0); /* and back */
    test_publish(1);
    read_by_dead("log");
    work(second, "4");
}

/* ---- the owner of an ordered group ------------------------------------------------------- */

static void a_dead_owner_is_followed(void **state)
{
    (void)state;
    test_publish(2);
    struct test_member *first = test_member_new("g", &in_order);
    test_expect_batch(test_member_batch(first), "1,2");
    struct test_member *second = test_member_new("g", &in_order);
    test_member_abort(first);
    set_clock(-HOUR_MS);
    test_publish(1);
    work(second, "1,2,3");
}

/* The other looks, since it follows once the owner has left. */
static void a_living_owner_stays(void **state)
{
    (void)state;
    test_publish(1);
    struct test_member *first = test_member_new("g", &in_order);
    ox_batch *batch = test_member_batch(first);
    set_clock(-HOUR_MS);
    struct test_member *second = test_member_new("g", &in_order);
    for (int i = 2; i <= 4; i++) {
        g_autofree char *number = g_strdup_printf("%d", i);
        test_publish(1);
        test_batch_done(first, batch);
        test_member_expect(first, "done 1 again 0 dead 0 released 0 lost 0");
        batch = test_member_batch(first);
        test_expect_batch(batch, number);
    }
    test_batch_done(first, batch);
    test_member_close(first);
    test_publish(1);
    work(second, "5");
    assert_int_equal(second->done, 1);
    test_member_close(second);
    assert_int_equal(test_redis_int(redis, "HEXISTS " E "info lease:g"), 1);
    test_ok(ox_group_remove(stream, "g", true, &err), &err);
    assert_int_equal(test_redis_int(redis, "HEXISTS " E "info lease:g"), 0);
}

/* ---- what is counted in time ------------------------------------------------------------- */

static bool is_known(const char *id)
{
    const ox_new_event event = { .type = "a", .id = id, .source = "/s" };
    return publish(&event).duplicate;
}

/* Positions stand still for an hour. Ids are remembered for two minutes all the same, and not
 * for much longer. */
static void ids_are_remembered_by_the_clock(void **state)
{
    (void)state;
    assert_false(is_known("before"));
    for (int i = 0; i < 10; i++) {
        set_clock(-HOUR_MS + i * 59000);
        for (int other = MAX(i - 2, 0); other <= i; other++) {
            g_autofree char *id = g_strdup_printf("id-%d", other);
            assert_int_equal(is_known(id), other < i);
        }
    }
    assert_false(is_known("id-0"));
}

static void a_delay_begins_now(void **state)
{
    (void)state;
    const ox_binding binding = { .pattern = "a", .queue = "q", .options = "{\"delay\":5000}" };
    test_ok(ox_stream_bind(stream, &binding, &err), &err);
    test_publish(1);
    set_clock(-HOUR_MS);
    run("DEL bull:q:delayed");
    test_publish(1);
    long long due_in_ms = test_redis_int(redis, "EVAL %s 1 bull:q:delayed",
        "local score = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] local now = "
        "redis.call('TIME') return math.floor(score / 4096 - now[1] * 1000)");
    assert_in_range(due_in_ms, 1, 6000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CLOCK(a_dead_members_entries_run_elsewhere),
        WITH_CLOCK(what_it_had_not_renewed_runs_elsewhere),
        WITH_CLOCK(many_entries_run_elsewhere),
        WITH_CLOCK(what_was_to_run_again_runs_elsewhere),
        WITH_CLOCK(what_was_given_back_runs_elsewhere),
        WITH_CLOCK(a_living_member_keeps_what_it_has),
        WITH_CLOCK(behind_a_jump_forward_entries_run_twice),
        WITH_CLOCK(a_dead_owner_is_followed),
        WITH_CLOCK(a_living_owner_stays),
        WITH_CLOCK(ids_are_remembered_by_the_clock),
        WITH_CLOCK(a_delay_begins_now),
    };
    return cmocka_run_group_tests(tests, clock_up, test_server_down);
}
