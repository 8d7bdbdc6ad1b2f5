/*
 * test_events_read.c - members that read new entries by a plain command behind a look at their
 * group: what is missing is counted, and nothing is lost or stuck whatever became of the group.
 *
 * The first take of a member is a whole one, and so are those that look for what others left.
 * So each of these tests has a batch run first, and no sweep.
 */
#include "../support/check.h"

#include <string.h>

#include "../support/members.h"
#include "../support/proxy.h"

static const ox_consumer_options reads = { .from = "start",
    .batch_events = 50,
    .claim_ms = 60000,
    .renew_ms = 200,
    .sweep_ms = 60000,
    .backoff = { .type = "fixed", .delay_ms = 1 } };

static long long read_count(void)
{
    g_autofree char *stats = test_redis_text(redis, "INFO commandstats");
    const char *at = strstr(stats, "cmdstat_exec:calls=");
    return at ? g_ascii_strtoll(strchr(at, '=') + 1, NULL, 10) : 0;
}

static long long info_of(const char *field)
{
    ox_group_info **groups = NULL;
    size_t count = 0;
    test_ok(ox_group_list(stream, &groups, &count, &err), &err);
    assert_int_equal(count, 1);
    long long value = strcmp(field, "lost") == 0      ? groups[0]->lost
                      : strcmp(field, "lag") == 0     ? groups[0]->lag
                      : strcmp(field, "pending") == 0 ? groups[0]->pending
                                                      : groups[0]->again;
    ox_list_free(groups);
    return value;
}

static void expect_all_done(long long lost)
{
    assert_int_equal(info_of("lag"), 0);
    assert_int_equal(info_of("pending"), 0);
    assert_int_equal(info_of("again"), 0);
    assert_int_equal(info_of("lost"), lost);
}

/* A member whose batch of event 1 runs; what it takes next is a read. */
static ox_batch *start_with(struct test_member **member, const ox_consumer_options *options)
{
    test_ok(ox_group_create(stream, "g", NULL, &err), &err);
    test_publish(1);
    *member = test_member_new("g", options);
    ox_batch *batch = test_member_batch(*member);
    test_expect_batch(batch, "1");
    run("CONFIG RESETSTAT");
    return batch;
}

static void publish_apart(int n)
{
    for (int i = 0; i < n; i++)
        test_publish(1);
}

/* The id of the entry with that event. */
static char *id_of(int number)
{
    return test_redis_text(redis, "EVAL %s 1 " E "log %d",
        "for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do "
        "if entry[2][1] == 'e' and string.match(entry[1], '%d+$') == ARGV[1] then "
        "return entry[1] end end",
        number);
}

static void delete_event(int number)
{
    g_autofree char *id = id_of(number);
    assert_int_equal(test_redis_int(redis, "XDEL " E "log %s", id), 1);
}

/* ---- reads ------------------------------------------------------------------------------- */

static void new_entries_are_read_by_a_plain_command(void **state)
{
    (void)state;
    struct test_member *member;
    ox_batch *batch = start_with(&member, &reads);
    publish_apart(3);
    test_publish(120); /* several entries, the batches end amid them */
    ox_batch_done(batch);
    for (int next = 2; next <= 124;) {
        batch = test_member_batch(member);
        assert_true(ox_batch_count(batch) <= 50);
        for (size_t i = 0; i < ox_batch_count(batch); i++, next++) {
            assert_int_equal(ox_batch_event(batch, i)->number, next);
            assert_int_equal(ox_batch_event(batch, i)->deliveries, 1);
            assert_int_equal(ox_batch_event(batch, i)->lost, 0);
        }
        ox_batch_done(batch);
        test_member_expect(member, "ended");
    }
    assert_true(read_count() > 0);
    expect_all_done(0);
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void pass_ms(int ms)
{
    int64_t end_ms = test_now_ms() + ms;
    uv_timer_t timer;
    uv_timer_init(&test_loop, &timer);
    uv_timer_start(&timer, on_tick, 20, 20);
    while (test_now_ms() < end_ms)
        uv_run(&test_loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&test_loop, UV_RUN_NOWAIT);
}

/* Each of two members is woken by an event that only one of them gets. */
static void a_read_in_vain_is_not_repeated(void **state)
{
    (void)state;
    struct test_member *member, *other;
    ox_batch_done(start_with(&member, &reads));
    test_member_expect(member, "ended 1: done 1");
    other = test_member_new("g", &reads);
    pass_ms(200);
    for (int i = 0; i < 5; i++) {
        test_publish(1);
        while (member->batches->len + other->batches->len == 0)
            uv_run(&test_loop, UV_RUN_ONCE);
        ox_batch_done(test_member_batch(member->batches->len > 0 ? member : other));
    }
    pass_ms(200);
    long long before = read_count();
    pass_ms(500);
    assert_in_range(read_count() - before, 0, 1);
    assert_in_range(before, 5, 30);
    expect_all_done(0);
}

static void what_runs_again_is_taken_behind_one_read(void **state)
{
    (void)state;
    struct test_member *member;
    ox_consumer_options options = reads;
    options.batch_events = 1;
    ox_batch *batch = start_with(&member, &options);
    publish_apart(3);
    ox_batch_fail(batch, &(ox_failure){ .unrecoverable = true });
    batch = test_member_batch(member); /* is read */
    test_expect_batch(batch, "2");
    test_member_expect(member, "dead");
    assert_int_equal(ox_dead_retry(stream, "g", NULL, 0, &err), 1);
    ox_batch_done(batch);
    bool again = false;
    for (int i = 0; i < 3; i++) {
        batch = test_member_batch(member);
        again = again || ox_batch_event(batch, 0)->number == 1;
        assert_true(again || i == 0);
        test_batch_done(member, batch);
        test_member_expect(member, "ended 1: done 1");
    }
    assert_int_equal(member->done, 3);
}

/* ---- what is missing --------------------------------------------------------------------- */

static void what_is_missing_is_counted_once(void **state)
{
    (void)state;
    struct test_member *member;
    ox_batch *batch = start_with(&member, &reads);
    publish_apart(9); /* 2..10 */
    run("XADD " E "log * odd 1");
    publish_apart(2); /* 11, 12 */
    static const int gone[] = { 2, 3, 5, 8, 9, 11 };
    for (size_t i = 0; i < G_N_ELEMENTS(gone); i++)
        delete_event(gone[i]);
    ox_batch_done(batch);
    test_member_expect(member, "missing");
    batch = test_member_batch(member);
    assert_true(read_count() > 0);
    test_expect_batch(batch, "4,6,7,10,12");
    static const int64_t lost[] = { 2, 1, 0, 2, 1 };
    for (size_t i = 0; i < G_N_ELEMENTS(lost); i++)
        assert_int_equal(ox_batch_event(batch, i)->lost, lost[i]);
    assert_int_equal(info_of("lost"), 2); /* the others with their ends */
    ox_batch_done(batch);
    test_member_expect(member, "ended 5: done 5");
    expect_all_done(6);
}

static void what_is_missing_is_counted_when_it_is_given_back(void **state)
{
    (void)state;
    struct test_member *member, *other;
    ox_batch *batch = start_with(&member, &reads);
    publish_apart(3); /* 2..4 */
    delete_event(3);
    ox_batch_done(batch);
    batch = test_member_batch(member);
    test_expect_batch(batch, "2,4");
    ox_consumer_pause(member->consumer);
    ox_batch_release(batch);
    test_member_expect(member, "released 2");
    assert_int_equal(info_of("lost"), 1);
    other = test_member_new("g", &reads);
    batch = test_member_batch(other);
    test_expect_batch(batch, "2,4");
    ox_batch_done(batch);
    test_member_expect(other, "ended 2: done 2");
    expect_all_done(1);
}

/* Entries of others have numbers that mean nothing, however many are in a row, and whatever
 * fields they have. */
static void others_entries_do_not_count_as_missing(void **state)
{
    (void)state;
    static const int rows[] = { 99, 100, 1500 };
    struct test_member *member;
    ox_consumer_options options = reads;
    options.batch_events = 1000;
    ox_batch *batch = start_with(&member, &options);
    int number = 1;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        ox_batch_done(batch);
        test_member_expect(member, "ended");
        test_redis_int(redis, "EVAL %s 1 " E "log %d",
            "for _ = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'odd', '1') end", rows[i]);
        run("XADD " E "log * e x c 0");
        for (int told = 0; told <= rows[i]; told++)
            test_member_expect(member, "skipped");
        assert_int_equal(info_of("lag"), 0);
        publish_apart(1);
        batch = test_member_batch(member);
        assert_int_equal(ox_batch_event(batch, 0)->number, ++number);
        assert_int_equal(ox_batch_event(batch, 0)->lost, 0);
    }
    assert_true(read_count() > 0);
    ox_batch_done(batch);
    test_member_expect(member, "ended");
    expect_all_done(0);
}

static void what_retention_takes_meanwhile_is_counted(void **state)
{
    (void)state;
    struct test_member *member;
    ox_batch *batch = start_with(&member, &reads);
    publish_apart(9);
    test_ok(ox_stream_trim(stream, 3, 0, &err), &err);
    ox_batch_done(batch);
    batch = test_member_batch(member);
    test_expect_batch(batch, "8,9,10");
    assert_int_equal(ox_batch_event(batch, 0)->lost, 6);
    assert_int_equal(info_of("lost"), 6);
    publish_apart(4);
    test_ok(ox_stream_trim(stream, 0, 0, &err), &err); /* to nothing */
    ox_batch_done(batch);
    test_member_expect(member, "ended 3: done 3");
    publish_apart(1);
    batch = test_member_batch(member);
    test_expect_batch(batch, "15");
    assert_int_equal(ox_batch_event(batch, 0)->lost, 4);
    ox_batch_done(batch);
    test_member_expect(member, "ended 1: done 1");
    assert_true(read_count() > 1);
    expect_all_done(6 + 4);
}

/* ---- what the server does not do --------------------------------------------------------- */

/* Out of memory it does no transaction, but what takes nothing more. */
static void without_memory_takes_go_on(void **state)
{
    (void)state;
    struct test_member *member;
    ox_batch *batch = start_with(&member, &reads);
    publish_apart(6);
    run("CONFIG SET maxmemory 1");
    ox_batch_done(batch);
    batch = test_member_batch(member);
    test_expect_batch(batch, "2,3,4,5,6,7");
    assert_null(strstr(member->log->str, "error"));
    ox_batch_done(batch);
    test_member_expect(member, "ended 6: done 6");
    run("CONFIG SET maxmemory 0");
    run("CONFIG RESETSTAT");
    for (int64_t end_ms = test_now_ms() + 10000; read_count() == 0;) {
        assert_true(test_now_ms() < end_ms);
        publish_apart(1);
        ox_batch_done(test_member_batch(member));
        test_member_expect(member, "ended 1: done 1");
    }
    expect_all_done(0);
}

/* What was read without a transaction is given back, and no read follows. */
static void a_user_without_transactions_takes_all_by_the_script(void **state)
{
    (void)state;
    run("ACL SETUSER lim on >pw ~* &* +@all -multi");
    g_autofree char *url = g_strconcat("unix://lim:pw@", redis->socket, NULL);
    const ox_client_options to = { .url = url };
    ox_client *client;
    ox_stream *limited, *full = stream;
    struct test_member *member;
    test_ok(ox_client_new(&client, &to, &err), &err);
    test_ok(ox_stream_new(&limited, client, NULL, NULL, &err), &err);
    stream = limited;
    ox_batch *batch = start_with(&member, &reads);
    stream = full;
    publish_apart(2);
    ox_batch_done(batch);
    test_member_expect(member, "without MULTI, which the user needs");
    for (int done = 0; done < 2;) {
        batch = test_member_batch(member);
        done += (int)ox_batch_count(batch);
        ox_batch_done(batch);
    }
    for (int i = 0; i < 3; i++) {
        publish_apart(1);
        ox_batch_done(test_member_batch(member));
    }
    test_member_close(member);
    assert_null(strstr(member->log->str, "MULTI"));
    expect_all_done(0);
    ox_stream_free(limited);
    ox_client_free(client);
    run("ACL DELUSER lim");
}

/* ---- what became of the group, and the connection ---------------------------------------- */

static void a_group_that_vanished_is_made_again(void **state)
{
    (void)state;
    struct test_member *member;
    ox_batch *batch = start_with(&member, &reads);
    publish_apart(2);
    run("XGROUP DESTROY " E "log g");
    ox_batch_done(batch);
    batch = test_member_batch(member);
    test_expect_batch(batch, "2,3");
    assert_true(read_count() > 0);
    ox_batch_done(batch);
    test_member_expect(member, "done 2");
    assert_null(strstr(member->log->str, "error"));
    expect_all_done(0);
}

static void a_log_of_another_type_is_named(void **state)
{
    (void)state;
    struct test_member *member;
    ox_batch *batch = start_with(&member, &reads);
    publish_apart(1);
    ox_consumer_set_concurrency(member->consumer, 2);
    ox_batch *second = test_member_batch(member);
    publish_apart(1);
    run("RENAME " E "log other");
    run("SET " E "log x");
    ox_consumer_set_concurrency(member->consumer, 3);
    test_member_expect(member, "WRONGTYPE " E "log is a string");
    assert_true(read_count() > 0);
    run("RENAME other " E "log");
    test_expect_batch(second, "2");
    ox_batch *third = test_member_batch(member);
    test_expect_batch(third, "3");
    ox_batch_done(batch);
    ox_batch_done(second);
    ox_batch_done(third);
    for (int i = 0; i < 3; i++)
        test_member_expect(member, "ended 1: done 1");
    expect_all_done(0);
}

static void a_layout_that_is_not_known_is_named(void **state)
{
    (void)state;
    struct test_member *member;
    ox_batch *batch = start_with(&member, &reads);
    publish_apart(2);
    run("HSET " E "info layout 2");
    ox_batch_done(batch);
    test_member_expect(member, "layout");
    assert_int_equal(member->batches->len, 0);
    run("HSET " E "info layout 1");
    batch = test_member_batch(member); /* what was read is given back, and claimed */
    test_expect_batch(batch, "2,3");
    ox_batch_done(batch);
    test_member_expect(member, "ended 2: done 2");
    expect_all_done(0);
}

static bool has_all(struct test_member *member)
{
    return member->done >= 2001;
}

static void end_at_once(struct test_member *member, ox_batch *batch)
{
    test_batch_done(member, batch);
}

static void expect_each(struct test_member *member, int n)
{
    for (int i = 1; i <= n; i++)
        assert_true(g_hash_table_contains(member->seen, GINT_TO_POINTER(i)));
}

static void what_a_lost_answer_had_runs(void **state)
{
    (void)state;
    struct test_proxy *proxy = test_proxy_start(redis);
    const ox_client_options to = { .url = test_proxy_url(proxy) };
    ox_client *client;
    ox_stream *far, *near = stream;
    struct test_member *member;
    ox_consumer_options options = reads;
    options.renew_ms = 100;
    options.claim_ms = 400;
    test_ok(ox_client_new(&client, &to, &err), &err);
    test_ok(ox_stream_new(&far, client, NULL, NULL, &err), &err);
    stream = far;
    ox_batch *batch = start_with(&member, &options);
    stream = near;
    for (int i = 0; i < 400; i++)
        test_publish(5);
    member->on_batch = end_at_once;
    test_proxy_lose(proxy, 7, 5);
    end_at_once(member, batch);
    test_loop_until(has_all, member);
    pass_ms(200);
    expect_each(member, 2001);
    assert_true(read_count() > 10);
    assert_int_equal(test_proxy_lost(proxy), 5);
    test_member_close(member);
    expect_all_done(0);
    ox_stream_free(far);
    ox_client_free(client);
    test_proxy_stop(proxy);
}

static void a_close_gives_back_what_is_being_read(void **state)
{
    (void)state;
    struct test_member *member, *other;
    ox_batch *batch = start_with(&member, &reads);
    publish_apart(5);
    ox_batch_done(batch);
    int64_t end_ms = test_now_ms() + 10000;
    /* Its answer is not looked at; that to the second question is behind it. */
    while (read_count() + read_count() == 0 && test_now_ms() < end_ms)
        uv_run(&test_loop, UV_RUN_NOWAIT);
    test_member_close(member);
    assert_null(strstr(member->log->str, "batch 2"));
    other = test_member_new("g", &reads);
    batch = test_member_batch(other);
    test_expect_batch(batch, "2,3,4,5,6");
    assert_int_equal(ox_batch_event(batch, 0)->deliveries, 1);
    ox_batch_done(batch);
    test_member_expect(other, "ended 5: done 5");
    expect_all_done(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MEMBERS(new_entries_are_read_by_a_plain_command),
        WITH_MEMBERS(a_read_in_vain_is_not_repeated),
        WITH_MEMBERS(what_runs_again_is_taken_behind_one_read),
        WITH_MEMBERS(what_is_missing_is_counted_once),
        WITH_MEMBERS(what_is_missing_is_counted_when_it_is_given_back),
        WITH_MEMBERS(others_entries_do_not_count_as_missing),
        WITH_MEMBERS(what_retention_takes_meanwhile_is_counted),
        WITH_MEMBERS(without_memory_takes_go_on),
        WITH_MEMBERS(a_user_without_transactions_takes_all_by_the_script),
        WITH_MEMBERS(a_group_that_vanished_is_made_again),
        WITH_MEMBERS(a_log_of_another_type_is_named),
        WITH_MEMBERS(a_layout_that_is_not_known_is_named),
        WITH_MEMBERS(what_a_lost_answer_had_runs),
        WITH_MEMBERS(a_close_gives_back_what_is_being_read),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
