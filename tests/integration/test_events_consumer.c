/*
 * test_events_consumer.c - members of a group: batches, attempts, bisection, what they give
 * back and what they take over.
 */
#include "../support/check.h"

#include <string.h>

#include "../support/members.h"

static const ox_group_info *info_of(const char *name)
{
    static ox_group_info **groups;
    size_t count;
    ox_list_free(groups);
    groups = NULL;
    if (!name)
        return NULL;
    test_ok(ox_group_list(stream, &groups, &count, &err), &err);
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(groups[i]->name, name))
            return groups[i];
    }
    test_fatal("no group %s", name);
}

static void expect_group(int64_t lag, int64_t pending, int64_t dead, int64_t again)
{
    const ox_group_info *info = info_of("g");
    if (info->lag != lag || info->pending != pending || info->dead != dead ||
        info->again != again)
        test_fatal("lag %lld, pending %lld, dead %lld, again %lld", (long long)info->lag,
            (long long)info->pending, (long long)info->dead, (long long)info->again);
}

static const ox_consumer_options from_start = { .from = "start" };
static const ox_consumer_options quick = { .from = "start",
    .attempts = 3,
    .backoff = { .type = "fixed", .delay_ms = 1 },
    .claim_ms = 400,
    .renew_ms = 100,
    .sweep_ms = 50 };

/* Publishes and makes the group before a member is there. */
static void with_events(int n)
{
    test_ok(ox_group_create(stream, "g", NULL, &err), &err);
    if (n > 0)
        test_publish(n);
}

/* ---- batches ----------------------------------------------------------------------------- */

static void batches_are_acknowledged_when_done(void **state)
{
    (void)state;
    with_events(5);
    struct test_member *member = test_member_new("g", NULL);
    ox_batch *batch = test_member_batch(member);
    test_expect_batch(batch, "1,2,3,4,5");
    assert_int_equal(ox_batch_count(batch), 5);
    assert_int_equal(ox_batch_attempt(batch), 1);
    assert_ptr_equal(ox_batch_consumer(batch), member->consumer);
    const ox_stream_event *event = ox_batch_event(batch, 4);
    assert_string_equal(event->type, "a");
    assert_int_equal(event->deliveries, 1);
    assert_int_equal(ox_batch_find(batch, event->position), 4);
    size_t length;
    assert_string_equal(ox_batch_json(batch, 4, &length), event->json);
    assert_int_equal(length, strlen(event->json));
    assert_null(ox_batch_event(batch, 5));
    expect_group(0, 1, 0, 0);
    ox_batch_done(batch);
    test_member_expect(member, "ended 5: done 5");
    expect_group(0, 0, 0, 0);
    test_publish(2); /* it sleeps by now, or not */
    test_expect_batch(test_member_batch(member), "6,7");
    assert_int_equal(info_of("g")->members, 1);
}

static void a_batch_has_so_many_events_whatever_the_entries(void **state)
{
    (void)state;
    with_events(250);
    struct test_member *member =
        test_member_new("g", &(ox_consumer_options){ .batch_events = 7, .concurrency = 3 });
    int64_t next = 1;
    for (int i = 0; i < 35; i++) {
        ox_batch *batch = test_member_batch(member);
        assert_int_equal(ox_batch_count(batch), 7);
        assert_int_equal(ox_batch_event(batch, 0)->number, next);
        next += 7;
        test_batch_done(member, batch);
    }
    ox_batch *batch = test_member_batch(member);
    assert_int_equal(ox_batch_count(batch), 5);
    test_batch_done(member, batch);
    test_member_expect(member, "ended 5: done 5");
    expect_group(0, 0, 0, 0);
}

static void large_events_are_not_taken_by_the_thousand(void **state)
{
    (void)state;
    with_events(0);
    g_autofree char *text = g_strnfill(100000, 'x');
    g_autofree char *data = g_strdup_printf("\"%s\"", text);
    for (int i = 0; i < 100; i++)
        publish(&(ox_new_event){ .type = "a", .json = data });
    ox_consumer_options options = quick; /* whose takes are by script, which looks around */
    options.batch_events = 1000;
    struct test_member *member = test_member_new("g", &options);
    for (int i = 0; i < 100;) {
        ox_batch *batch = test_member_batch(member);
        assert_in_range(info_of("g")->pending, 1, 25);
        i += (int)ox_batch_count(batch);
        test_batch_done(member, batch);
    }
    test_member_expect(member, "ended");
}

static void waits_for_a_full_batch(void **state)
{
    (void)state;
    with_events(3);
    struct test_member *member =
        test_member_new("g", &(ox_consumer_options){ .batch_events = 5, .wait_ms = 60000 });
    test_member_expect(member, "");
    while (info_of("g")->lag > 0)
        test_loop_once();
    assert_int_equal(member->batches->len, 0);
    test_publish(4);
    ox_batch *batch = test_member_batch(member);
    test_expect_batch(batch, "1,2,3,4,5");
    ox_batch_done(batch);
    test_member_close(member); /* which gives back the other two */
    member = test_member_new("g", &(ox_consumer_options){ .batch_events = 5, .wait_ms = 10 });
    test_expect_batch(test_member_batch(member), "6,7");
}

/* ---- failures ---------------------------------------------------------------------------- */

static void a_failed_batch_runs_again_and_is_bisected(void **state)
{
    (void)state;
    with_events(5);
    struct test_member *member = test_member_new("g", &quick);
    const ox_failure failure = { .reason = "no table" };
    for (uint32_t i = 1; i <= 3; i++) {
        ox_batch *batch = test_member_batch(member);
        test_expect_batch(batch, "1,2,3,4,5");
        assert_int_equal(ox_batch_attempt(batch), i);
        ox_batch_fail(batch, &failure);
    }
    static const char *const parts[] = { "1,2", "3,4,5", "3", "4,5" };
    static const bool fails[] = { false, true, true, false };
    for (size_t i = 0; i < 4; i++) {
        ox_batch *batch = test_member_batch(member);
        test_expect_batch(batch, parts[i]);
        assert_int_equal(ox_batch_attempt(batch), 3);
        if (fails[i])
            ox_batch_fail(batch, &failure);
        else
            ox_batch_done(batch);
    }
    test_member_expect(member, "ended 5: done 0 again 5 dead 0 released 0 lost 0, no table");
    test_member_expect(member, "ended 2: done 2");
    test_member_expect(member, "dead");
    expect_group(0, 0, 1, 0);
    ox_dead **dead;
    test_ok(ox_dead_list(stream, "g", NULL, 0, &dead, NULL, &err), &err);
    assert_string_equal(dead[0]->reason, "no table");
    assert_string_equal(dead[0]->type, "a");
    assert_int_equal(dead[0]->attempts, 3);
    assert_int_equal(dead[0]->deliveries, 1);
    assert_true(g_str_has_suffix(dead[0]->position, "-3"));
    ox_list_free(dead);
}

/* One event is wrong, and then the database is away: that is no reason to give up the others.
 */
static void halves_have_the_attempts_that_were_left(void **state)
{
    (void)state;
    with_events(4);
    struct test_member *member = test_member_new("g", &quick);
    const ox_failure wrong = { .reason = "wrong", .unrecoverable = true };
    static const struct {
        const char *events;
        uint32_t attempt;
        char end; /* done, wrong, or fails for a while */
    } runs[] = { { "1,2,3,4", 1, 'w' }, { "1,2", 1, 'f' }, { "1,2", 2, 'f' }, { "1,2", 3, 'd' },
        { "3,4", 1, 'f' }, { "3,4", 2, 'w' }, { "3", 2, 'w' }, { "4", 2, 'f' },
        { "4", 3, 'd' } };
    for (size_t i = 0; i < G_N_ELEMENTS(runs); i++) {
        ox_batch *batch = test_member_batch(member);
        test_expect_batch(batch, runs[i].events);
        assert_int_equal(ox_batch_attempt(batch), runs[i].attempt);
        if (runs[i].end == 'd')
            ox_batch_done(batch);
        else
            ox_batch_fail(batch, runs[i].end == 'w' ? &wrong : NULL);
    }
    test_member_expect(member, "dead");
    expect_group(0, 0, 1, 0);
    ox_dead **dead;
    test_ok(ox_dead_list(stream, "g", NULL, 0, &dead, NULL, &err), &err);
    assert_true(g_str_has_suffix(dead[0]->position, "-3"));
    ox_list_free(dead);
}

static void single_events_of_a_batch_fail(void **state)
{
    (void)state;
    with_events(6);
    struct test_member *member = test_member_new("g", &quick);
    ox_batch *batch = test_member_batch(member);
    const size_t wrong = 6, some[] = { 4, 1, 4 };
    assert_int_equal(ox_batch_fail_some(batch, &wrong, 1, NULL, &err), OX_EINVAL);
    test_ok(ox_batch_fail_some(batch, some, 3, &(ox_failure){ .reason = "bad" }, &err), &err);
    test_member_expect(member, "ended 6: done 4 again 2 dead 0 released 0 lost 0, bad");
    batch = test_member_batch(member);
    test_expect_batch(batch, "2,5");
    assert_int_equal(ox_batch_attempt(batch), 2);
    const size_t first[] = { 0 };
    test_ok(ox_batch_fail_some(batch, first, 1,
                &(ox_failure){ .reason = "never", .unrecoverable = true }, &err),
        &err);
    test_member_expect(member, "dead");
    expect_group(0, 0, 1, 0);
}

static void a_delayed_batch_spends_no_attempt(void **state)
{
    (void)state;
    with_events(1);
    struct test_member *member = test_member_new("g", &quick);
    ox_batch_delay(test_member_batch(member), 1);
    ox_batch *batch = test_member_batch(member);
    assert_int_equal(ox_batch_attempt(batch), 1);
    ox_batch_fail(batch, &(ox_failure){ .unrecoverable = true });
    test_member_expect(member, "dead");
}

/* ---- dead letters run again -------------------------------------------------------------- */

static void retried_dead_letters_come_first(void **state)
{
    (void)state;
    with_events(3);
    struct test_member *member =
        test_member_new("g", &(ox_consumer_options){ .attempts = 1, .batch_events = 1 });
    for (int i = 0; i < 3; i++)
        ox_batch_fail(test_member_batch(member), NULL);
    for (int i = 0; i < 3; i++)
        test_member_expect(member, "dead");
    expect_group(0, 0, 3, 0);
    ox_dead **dead;
    test_ok(ox_dead_list(stream, "g", NULL, 2, &dead, NULL, &err), &err);
    const char *const ids[] = { dead[1]->id, "5-5" };
    assert_int_equal(ox_dead_retry(stream, "g", ids, 2, &err), 1);
    ox_list_free(dead);
    ox_batch *batch = test_member_batch(member);
    test_expect_batch(batch, "2");
    assert_int_equal(ox_batch_attempt(batch), 1);
    assert_int_equal(ox_batch_event(batch, 0)->deliveries, 1);
    assert_int_equal(ox_dead_retry(stream, "g", NULL, 0, &err), 2);
    test_publish(1);
    ox_batch_done(batch);
    static const char *const then[] = { "1", "3", "4" };
    for (size_t i = 0; i < 3; i++) {
        batch = test_member_batch(member);
        test_expect_batch(batch, then[i]);
        ox_batch_done(batch);
        test_member_expect(member, "ended 1: done 1");
    }
    test_member_expect(member, "ended 1: done 1");
    expect_group(0, 0, 0, 0);
}

/* ---- given back, taken over -------------------------------------------------------------- */

static void a_close_gives_back_at_once(void **state)
{
    (void)state;
    with_events(30);
    struct test_member *first =
        test_member_new("g", &(ox_consumer_options){ .batch_events = 10, .attempts = 9 });
    ox_batch *batch = test_member_batch(first);
    ox_batch_fail(batch, NULL); /* waits a second */
    struct test_member *second =
        test_member_new("g", &(ox_consumer_options){ .batch_events = 50 });
    test_member_close(first);
    batch = test_member_batch(second);
    while (ox_batch_event(batch, 0)->number != 1) {
        test_batch_done(second, batch);
        batch = test_member_batch(second);
    }
    assert_int_equal(ox_batch_event(batch, 0)->deliveries, 1);
    test_batch_done(second, batch);
    while (second->done < 30)
        test_batch_done(second, test_member_batch(second));
    test_member_close(second);
    expect_group(0, 0, 0, 0);
    assert_int_equal(info_of("g")->members, 0);
    assert_int_equal(test_redis_int(redis, "EVAL %s 1 " E "log",
                         "return #redis.call('XINFO', 'CONSUMERS', "
                         "KEYS[1], 'g')"),
        0);
}

static void a_released_batch_is_for_any_member(void **state)
{
    (void)state;
    with_events(4);
    struct test_member *member = test_member_new("g", NULL);
    ox_batch *batch = test_member_batch(member);
    ox_consumer_pause(member->consumer);
    ox_batch_release(batch);
    test_member_expect(member, "ended 4: done 0 again 0 dead 0 released 4");
    struct test_member *other = test_member_new("g", NULL);
    batch = test_member_batch(other);
    test_expect_batch(batch, "1,2,3,4");
    assert_int_equal(ox_batch_event(batch, 0)->deliveries, 1);
    ox_consumer_resume(member->consumer);
    test_publish(1);
    test_expect_batch(test_member_batch(member), "5");
}

static void a_part_of_an_entry_is_given_back_alone(void **state)
{
    (void)state;
    with_events(4); /* one entry */
    struct test_member *member =
        test_member_new("g", &(ox_consumer_options){ .batch_events = 2, .concurrency = 2 });
    ox_batch *first = test_member_batch(member), *second = test_member_batch(member);
    ox_consumer_pause(member->consumer);
    ox_batch_release(second);
    ox_batch_done(first);
    test_member_expect(member, "ended 2: done 2");
    expect_group(0, 0, 0, 2);
    ox_consumer_resume(member->consumer);
    test_expect_batch(test_member_batch(member), "3,4");
}

static void what_a_dead_member_had_is_taken_over(void **state)
{
    (void)state;
    with_events(3);
    struct test_member *member = test_member_new("g", &quick);
    test_member_batch(member);
    test_member_abort(member);
    struct test_member *other = test_member_new("g", &quick);
    ox_batch *batch = test_member_batch(other);
    test_expect_batch(batch, "1,2,3");
    assert_int_equal(ox_batch_event(batch, 0)->deliveries, 2);
    test_member_expect(other, "taken over");
    ox_batch_done(batch);
    test_member_expect(other, "ended 3: done 3");
    expect_group(0, 0, 0, 0);
}

static void claims_are_renewed(void **state)
{
    (void)state;
    with_events(3);
    struct test_member *member = test_member_new("g", &quick);
    ox_batch *batch = test_member_batch(member);
    struct test_member *other = test_member_new("g", &quick);
    int64_t end_ms = test_now_ms() + 1500;
    while (test_now_ms() < end_ms)
        uv_run(&test_loop, UV_RUN_ONCE);
    assert_int_equal(other->batches->len, 0);
    ox_batch_done(batch);
    test_member_expect(member, "ended 3: done 3");
    expect_group(0, 0, 0, 0);
}

static void a_lost_claim_is_told_and_nothing_of_it_stored(void **state)
{
    (void)state;
    with_events(3);
    struct test_member *member = test_member_new("g", &quick);
    ox_batch *batch = test_member_batch(member);
    run("EVAL %s 1 " E "log",
        "for _, p in ipairs(redis.call('XPENDING', KEYS[1], 'g', '-', '+', "
        "9)) do redis.call('XCLAIM', KEYS[1], 'g', 'thief', 0, p[1]) end");
    test_member_expect(member, "claim lost 3");
    assert_int_equal(ox_batch_lost(batch), 3);
    ox_batch_fail(batch, &(ox_failure){ .unrecoverable = true });
    test_member_expect(member, "ended 3: done 0 again 0 dead 0 released 0 lost 3");
    expect_group(0, 1, 0, 0);
}

static void a_claim_that_was_lost_unseen_is_not_acknowledged(void **state)
{
    (void)state;
    with_events(3);
    struct test_member *member = test_member_new("g", NULL);
    ox_batch *batch = test_member_batch(member);
    run("EVAL %s 1 " E "log",
        "for _, p in ipairs(redis.call('XPENDING', KEYS[1], 'g', '-', '+', "
        "9)) do redis.call('XCLAIM', KEYS[1], 'g', 'thief', 0, p[1]) end");
    ox_batch_done(batch);
    test_member_expect(member, "the claim was lost");
    expect_group(0, 1, 0, 0);
}

/* Shorter than before once its member has renewed its claims. */
static long long idle_of_the_last(void)
{
    return test_redis_int(redis, "EVAL %s 1 " E "log",
        "local rows = redis.call('XPENDING', KEYS[1], 'g', '-', '+', 9) return rows[#rows][3]");
}

static void a_claim_lost_before_its_batch_holds_up_nothing(void **state)
{
    (void)state;
    with_events(0);
    for (int i = 0; i < 4; i++)
        test_publish(1);
    const ox_consumer_options options = {
        .batch_events = 5, .wait_ms = 60000, .claim_ms = 60000, .renew_ms = 100
    };
    struct test_member *member = test_member_new("g", &options);
    while (info_of("g")->lag > 0)
        test_loop_once();
    run("EVAL %s 1 " E "log",
        "for _, p in ipairs(redis.call('XPENDING', KEYS[1], 'g', '-', '+', "
        "3)) do redis.call('XCLAIM', KEYS[1], 'g', 'thief', 0, p[1]) end");
    for (long long idle_ms = 0, last_ms = 0; idle_ms >= last_ms; test_loop_once()) {
        last_ms = idle_ms;
        idle_ms = idle_of_the_last();
    }
    test_publish(4);
    ox_batch *batch = test_member_batch(member);
    test_expect_batch(batch, "4,5,6,7,8");
    test_batch_done(member, batch);
    test_member_expect(member, "ended 5: done 5");
    expect_group(0, 3, 0, 0);
}

/* ---- delivered too often ----------------------------------------------------------------- */

static void what_members_die_of_runs_alone_and_then_is_dead(void **state)
{
    (void)state;
    ox_consumer_options options = quick;
    options.max_deliveries = 2;
    options.claim_ms = 60;
    options.renew_ms = 20;
    options.sweep_ms = 10;
    with_events(3);
    bool dead = false;
    for (int i = 0; i < 40 && !dead; i++) { /* whoever has event 2 dies */
        struct test_member *member = test_member_new("g", &options);
        for (;;) {
            while (member->batches->len == 0 &&
                   !(dead = strstr(member->log->str, "without an end"))) {
                uv_run(&test_loop, UV_RUN_ONCE);
            }
            if (dead)
                break;
            ox_batch *batch = test_member_batch(member);
            g_autofree char *numbers = test_batch_numbers(batch);
            if (strchr(numbers, '2'))
                break;
            test_batch_done(member, batch);
        }
        if (dead)
            test_member_expect(member, "delivered 3 times without an end");
        else
            test_member_abort(member);
    }
    assert_true(dead);
    expect_group(0, 0, 1, 0);
}

/* ---- what others put there --------------------------------------------------------------- */

static void odd_entries_are_named_and_skipped(void **state)
{
    (void)state;
    with_events(0);
    run("XADD " E "log 1000-1 odd 1");
    run("XADD " E "log 1000-2 z notdeflated");
    run("XADD " E "log 1000-3 e notjson");
    run("XADD " E "log 1000-5 e {}\n{} c 2");
    run("XADD " E "log 1000-6 e {}x");
    run("XADD " E "log 2000-0 e {}");
    run("HSET " E "info n 6 ms 1000");
    struct test_member *member = test_member_new("g", &from_start);
    test_member_expect(member, "skipped 1000-1 1 entry 1000-1 is no event");
    test_member_expect(member, "skipped 1000-2 1");
    test_member_expect(member, "skipped 1000-3 1");
    test_member_expect(member, "skipped 1000-6 1");
    test_member_expect(member, "skipped 2000-0 1");
    test_member_expect(member, "batch 4,5");
    ox_batch_done(test_member_batch(member));
    test_member_expect(member, "ended 2: done 2");
    expect_group(0, 0, 0, 0);
}

static void keys_of_another_type_are_named(void **state)
{
    (void)state;
    with_events(1);
    run("SET " E "g:again x");
    struct test_member *member = test_member_new("g", &quick);
    test_member_expect(member, "WRONGTYPE " E "g:again is a string, not a stream");
    ox_batch *batch = test_member_batch(member);
    run("SET " E "g:dead x");
    ox_batch_fail(batch, &(ox_failure){ .unrecoverable = true });
    test_member_expect(member, "; " E "g:dead is a string, not a stream");
    run("DEL " E "g:dead " E "g:again");
    ox_batch_done(test_member_batch(member)); /* once its claim would be over */
    test_member_expect(member, "ended 1: done 1");
    run("RENAME " E "log other");
    run("SET " E "log x");
    test_member_expect(member, "WRONGTYPE " E "log is a string, not a stream");
    run("RENAME other " E "log");
    test_publish(1);
    batch = test_member_batch(member);
    test_expect_batch(batch, "2");
    run("DEL " E "g:wake");
    run("SET " E "g:wake x");
    ox_batch_done(batch);
    test_member_expect(member, "WRONGTYPE " E "g:wake or " E "log: ");
    test_publish(1);
    test_expect_batch(test_member_batch(member), "3");
}

static long long claims(void)
{
    g_autofree char *stats = test_redis_text(redis, "INFO commandstats");
    const char *at = strstr(stats, "cmdstat_xclaim:calls=");
    return at ? g_ascii_strtoll(strchr(at, '=') + 1, NULL, 10) : 0;
}

static long long claims_before;

static bool is_renewed(struct test_member *member)
{
    (void)member;
    return claims() > claims_before + 2;
}

/* What is for counts alone stops neither members nor publishers. */
static void counts_of_another_type_stop_nobody(void **state)
{
    (void)state;
    with_events(2);
    run("SET " E "g:gone x");
    const ox_consumer_options one = { .from = "start",
        .batch_events = 1,
        .concurrency = 3,
        .claim_ms = 400,
        .renew_ms = 50,
        .sweep_ms = 100 };
    struct test_member *member = test_member_new("g", &one);
    test_member_expect(member, "WRONGTYPE " E "g:gone is a string, not a hash");
    ox_batch *first = test_member_batch(member);
    test_batch_done(member, first);
    test_member_expect(member, "ended 1: done 1");
    ox_batch *second = test_member_batch(member);
    ox_batch_fail(second, &(ox_failure){ .unrecoverable = true });
    test_member_expect(member, "dead 1");
    /* Retention takes what a member has. */
    test_publish(1);
    ox_batch *third = test_member_batch(member);
    test_ok(ox_stream_trim(stream, 0, 0, &err), &err);
    test_publish(1); /* which is held as well, so that there is something to renew */
    test_member_expect(member, "batch 4");
    claims_before = claims();
    test_loop_until(is_renewed, member);
    assert_int_equal(ox_batch_lost(third), 0);
    test_batch_done(member, third);
    test_member_expect(member, "ended 1: done 1");
    expect_group(0, 1, 1, 0);
    test_ok(ox_stream_trim(stream, 0, 0, &err), &err);
    test_member_abort(member);
    member = test_member_new("g", &one); /* what the first one had is gone */
    test_member_expect(member, "missing ");
    expect_group(0, 0, 1, 0);
}

static void tells_what_retention_took(void **state)
{
    (void)state;
    with_events(1);
    for (int i = 0; i < 9; i++)
        test_publish(1);
    test_ok(ox_stream_trim(stream, 4, 0, &err), &err);
    struct test_member *member = test_member_new("g", NULL);
    test_member_expect(member, "missing");
    ox_batch *batch = test_member_batch(member);
    test_expect_batch(batch, "7,8,9,10");
    assert_int_equal(ox_batch_event(batch, 0)->lost, 6);
    assert_int_equal(ox_batch_event(batch, 1)->lost, 0);
    ox_batch_done(batch);
    test_member_expect(member, "ended 4");
    assert_int_equal(info_of("g")->lost, 6);
}

static void what_a_member_has_when_retention_takes_it_is_counted(void **state)
{
    (void)state;
    with_events(3); /* one entry */
    struct test_member *member = test_member_new("g", &quick);
    ox_batch *batch = test_member_batch(member);
    test_publish(1);
    test_ok(ox_stream_trim(stream, 1, 0, &err), &err);
    int64_t end_ms = test_now_ms() + 1000; /* it is renewed meanwhile */
    while (test_now_ms() < end_ms)
        uv_run(&test_loop, UV_RUN_ONCE);
    ox_batch_done(batch);
    test_member_expect(member, "ended 3: done 3");
    assert_int_equal(info_of("g")->lost, 0);
    test_expect_batch(test_member_batch(member), "4");
    test_publish(1);
    test_ok(ox_stream_trim(stream, 1, 0, &err), &err);
    test_member_abort(member);
    member = test_member_new("g", &quick);
    batch = test_member_batch(member);
    test_expect_batch(batch, "5");
    ox_batch_done(batch); /* one that is busy looks for nothing */
    test_member_expect(member, "missing");
    assert_int_equal(info_of("g")->lost, 1);
    assert_int_equal(test_redis_int(redis, "EXISTS " E "g:gone"), 0);
}

/* The same when others take it: a renewal finds that it is gone (from Redis 7). */
static void what_a_member_has_when_others_delete_it_is_counted(void **state)
{
    (void)state;
    if (test_redis_int(redis, "EVAL %s 0", "return redis.REDIS_VERSION_NUM and 1 or 0") == 0)
        skip();
    for (int round = 0; round < 2; round++) {
        with_events(3); /* one entry */
        struct test_member *member = test_member_new("g", &quick);
        ox_batch *batch = test_member_batch(member);
        run("XTRIM " E "log MAXLEN 0");
        int64_t end_ms = test_now_ms() + 1000; /* it is renewed meanwhile */
        while (test_now_ms() < end_ms)
            uv_run(&test_loop, UV_RUN_ONCE);
        assert_int_equal(info_of("g")->lost, 3);
        if (round == 0) {
            ox_batch_done(batch);
            test_member_expect(member, "ended 3: done 3");
            assert_int_equal(info_of("g")->lost, 0);
            test_member_close(member);
        } else {
            test_member_abort(member);
        }
    }
    assert_int_equal(info_of("g")->lost, 3);
    assert_int_equal(info_of("g")->lag, 0);
    assert_int_equal(info_of("g")->pending, 0);
}

/* Others deleted the newest: there is nothing to read, though the numbers go on. */
static void deleted_at_the_end_is_no_lag(void **state)
{
    (void)state;
    with_events(3);
    struct test_member *member = test_member_new("g", &quick);
    ox_batch_done(test_member_batch(member));
    test_member_expect(member, "ended 3");
    test_member_close(member);
    test_publish(2);
    test_redis_int(redis, "EVAL %s 1 " E "log",
        "local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][1] "
        "return redis.call('XDEL', KEYS[1], last)");
    assert_int_equal(info_of("g")->lag, 0);
    assert_int_equal(info_of("g")->lost, 2);
    test_publish(1);
    assert_int_equal(info_of("g")->lag, 1);
    assert_int_equal(info_of("g")->lost, 2);
    member = test_member_new("g", &quick);
    test_member_expect(member, "missing");
    ox_batch_done(test_member_batch(member));
    test_member_expect(member, "ended 1");
    assert_int_equal(info_of("g")->lost, 2);
}

static void a_place_behind_the_end_is_a_gap(void **state)
{
    (void)state;
    with_events(2);
    run("XGROUP SETID " E "log g 9999999999999-99");
    struct test_member *member = test_member_new("g", NULL);
    test_member_expect(member, "missing");
    test_publish(1);
    ox_batch *batch = test_member_batch(member);
    test_expect_batch(batch, "3");
    ox_batch_done(batch);
    test_member_expect(member, "ended 1");
    run("XGROUP SETID " E "log g 9999999999999-0"); /* whatever its number */
    test_publish(1);
    test_member_expect(member, "missing");
    test_publish(1);
    test_expect_batch(test_member_batch(member), "5");
}

static void a_group_that_vanished_goes_on_where_it_was(void **state)
{
    (void)state;
    with_events(2);
    struct test_member *member = test_member_new("g", &quick);
    ox_batch_done(test_member_batch(member));
    test_member_expect(member, "ended 2");
    run("XGROUP DESTROY " E "log g");
    test_publish(1);
    test_expect_batch(test_member_batch(member), "3");
}

static void a_seek_moves_running_members(void **state)
{
    (void)state;
    with_events(2);
    struct test_member *member = test_member_new("g", NULL);
    ox_batch_done(test_member_batch(member));
    test_member_expect(member, "ended 2");
    test_ok(ox_group_seek(stream, "g", "start", NULL, &err), &err);
    test_expect_batch(test_member_batch(member), "1,2");
}

/* ---- ordered ----------------------------------------------------------------------------- */

static void an_ordered_group_has_one_owner(void **state)
{
    (void)state;
    ox_consumer_options options = quick;
    options.ordered = true;
    options.batch_events = 2;
    options.claim_ms = 2000; /* more than a busy machine lets this process stand still */
    with_events(0);
    for (int i = 0; i < 6; i++)
        test_publish(1);
    struct test_member *first = test_member_new("g", &options);
    ox_batch *batch = test_member_batch(first);
    test_expect_batch(batch, "1,2");
    struct test_member *second = test_member_new("g", &options);
    test_member_expect(first, "owner - 1");
    ox_batch_done(batch);
    batch = test_member_batch(first);
    test_expect_batch(batch, "3,4");
    assert_string_equal(info_of("g")->owner, ox_consumer_name(first->consumer));
    assert_int_equal(second->batches->len, 0);
    test_member_abort(first); /* killed: the next owner begins with what it had */
    batch = test_member_batch(second);
    test_expect_batch(batch, "3,4");
    ox_batch_done(batch);
    struct test_member *third = test_member_new("g", &options);
    batch = test_member_batch(second);
    test_expect_batch(batch, "5,6");
    ox_batch_release(batch); /* in order, so it comes again here or there */
    test_member_close(second);
    batch = test_member_batch(third);
    test_expect_batch(batch, "5,6");
}

/* ---- Redis goes away --------------------------------------------------------------------- */

static void comes_back_by_itself(void **state)
{
    (void)state;
    with_events(2);
    struct test_member *member = test_member_new("g", NULL);
    ox_batch *batch = test_member_batch(member);
    run("CLIENT KILL TYPE normal SKIPME yes");
    run("SCRIPT FLUSH");
    ox_batch_done(batch);
    test_member_expect(member, "ended 2: done 2");
    test_publish(1);
    batch = test_member_batch(member);
    test_expect_batch(batch, "3");
    ox_batch_done(batch);
    test_member_expect(member, "ended 1: done 1");
    expect_group(0, 0, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MEMBERS(batches_are_acknowledged_when_done),
        WITH_MEMBERS(a_batch_has_so_many_events_whatever_the_entries),
        WITH_MEMBERS(large_events_are_not_taken_by_the_thousand),
        WITH_MEMBERS(waits_for_a_full_batch),
        WITH_MEMBERS(a_failed_batch_runs_again_and_is_bisected),
        WITH_MEMBERS(halves_have_the_attempts_that_were_left),
        WITH_MEMBERS(single_events_of_a_batch_fail),
        WITH_MEMBERS(a_delayed_batch_spends_no_attempt),
        WITH_MEMBERS(retried_dead_letters_come_first),
        WITH_MEMBERS(a_close_gives_back_at_once),
        WITH_MEMBERS(a_released_batch_is_for_any_member),
        WITH_MEMBERS(a_part_of_an_entry_is_given_back_alone),
        WITH_MEMBERS(what_a_dead_member_had_is_taken_over),
        WITH_MEMBERS(claims_are_renewed),
        WITH_MEMBERS(a_lost_claim_is_told_and_nothing_of_it_stored),
        WITH_MEMBERS(a_claim_that_was_lost_unseen_is_not_acknowledged),
        WITH_MEMBERS(a_claim_lost_before_its_batch_holds_up_nothing),
        WITH_MEMBERS(what_members_die_of_runs_alone_and_then_is_dead),
        WITH_MEMBERS(odd_entries_are_named_and_skipped),
        WITH_MEMBERS(keys_of_another_type_are_named),
        WITH_MEMBERS(counts_of_another_type_stop_nobody),
        WITH_MEMBERS(tells_what_retention_took),
        WITH_MEMBERS(what_a_member_has_when_retention_takes_it_is_counted),
        WITH_MEMBERS(what_a_member_has_when_others_delete_it_is_counted),
        WITH_MEMBERS(deleted_at_the_end_is_no_lag),
        WITH_MEMBERS(a_place_behind_the_end_is_a_gap),
        WITH_MEMBERS(a_group_that_vanished_goes_on_where_it_was),
        WITH_MEMBERS(a_seek_moves_running_members),
        WITH_MEMBERS(an_ordered_group_has_one_owner),
        WITH_MEMBERS(comes_back_by_itself),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
