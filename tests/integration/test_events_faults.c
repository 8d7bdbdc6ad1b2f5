/*
 * test_events_faults.c - members of a group that are killed, stopped and cut off while events
 * come: none is lost, and what retention took is counted exactly.
 *
 * A member is a process of its own. It writes the number of each event to a file, which stands
 * for what a handler does, and only then says that the batch is done.
 */
#include "../support/check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/files.h"
#include "../support/members.h"

#define LIMIT_MS 40000
#define MOST 8

static char *folder, *path; /* of what members write */
static char *begun;         /* is there once one has begun a batch */
static pid_t crew[MOST];

static const ox_consumer_options quick = { .batch_events = 20,
    .concurrency = 2,
    .backoff = { .type = "fixed", .delay_ms = 1 },
    .claim_ms = 400,
    .renew_ms = 100,
    .sweep_ms = 50,
    .max_deliveries = 100 };

/* ---- a member ---------------------------------------------------------------------------- */

static int output;
static uint64_t work_ms;

static void on_worked(uv_timer_t *timer)
{
    ox_batch *batch = timer->data;
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < ox_batch_count(batch); i++)
        g_string_append_printf(
            text, "%" G_GINT64_FORMAT "\n", ox_batch_event(batch, i)->number);
    if (write(output, text->str, text->len) != (ssize_t)text->len)
        _exit(3);
    g_string_free(text, TRUE);
    ox_batch_done(batch);
    uv_close((uv_handle_t *)timer, (uv_close_cb)free);
}

static void on_batch(ox_batch *batch, void *arg)
{
    (void)arg;
    close(open(begun, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    uv_timer_t *timer = malloc(sizeof(*timer));
    uv_timer_init(&test_loop, timer);
    timer->data = batch;
    uv_timer_start(timer, on_worked, work_ms, 0);
}

static void run_member(const ox_consumer_options *options)
{
    ox_client *client = NULL;
    ox_stream *own = NULL;
    ox_consumer *consumer = NULL;
    const ox_client_options at = { .url = test_redis_url(redis), .connect_later = true };
    output = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    uv_loop_init(&test_loop);
    if (output < 0 || ox_client_new(&client, &at, NULL) < 0 ||
        ox_stream_new(&own, client, NULL, NULL, NULL) < 0 ||
        ox_consumer_new(&consumer, &test_loop, own, "g", options, on_batch, NULL, NULL) < 0)
        _exit(2);
    for (;;)
        uv_run(&test_loop, UV_RUN_DEFAULT);
}

static void start_member(int i, const ox_consumer_options *options)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        if (getppid() != parent)
            _exit(1);
        run_member(options);
    }
    assert_true(pid > 0);
    crew[i] = pid;
}

static void end_member(int i)
{
    if (crew[i] > 0) {
        kill(crew[i], SIGKILL);
        waitpid(crew[i], NULL, 0);
        crew[i] = 0;
    }
}

static int up(void **state)
{
    work_ms = 2;
    folder = g_dir_make_tmp("ox-events-XXXXXX", NULL);
    path = g_build_filename(folder, "out", NULL);
    begun = g_build_filename(folder, "begun", NULL);
    return test_members_up(state);
}

static int down(void **state)
{
    for (int i = 0; i < MOST; i++)
        end_member(i);
    unlink(path);
    unlink(begun);
    rmdir(folder);
    g_free(path);
    g_free(begun);
    g_free(folder);
    return test_members_down(state);
}

#define WITH_CREW(test) cmocka_unit_test_setup_teardown(test, up, down)

/* ---- what is seen from outside ----------------------------------------------------------- */

static ox_group_info group(void)
{
    ox_group_info **groups = NULL, info;
    size_t count = 0;
    test_ok(ox_group_list(stream, &groups, &count, &err), &err);
    assert_int_equal(count, 1);
    info = *groups[0];
    info.name = info.position = info.owner = NULL;
    ox_list_free(groups);
    return info;
}

static bool is_worked_off(void *arg)
{
    (void)arg;
    ox_group_info info = group();
    return info.lag == 0 && info.pending == 0 && info.again == 0;
}

static void wait_until_worked_off(void)
{
    if (!test_wait_for(LIMIT_MS, is_worked_off, NULL)) {
        ox_group_info info = group();
        test_fatal("lag %lld, pending %lld, again %lld", (long long)info.lag,
            (long long)info.pending, (long long)info.again);
    }
}

static bool has_begun(void *arg)
{
    (void)arg;
    return g_file_test(begun, G_FILE_TEST_EXISTS);
}

static bool has_pending(void *arg)
{
    return group().pending >= *(int64_t *)arg;
}

/* How often each of the events 1 .. `n` was written, from [1] on; the caller's. */
static int *written(int n, int *lines)
{
    g_autofree char *text = NULL;
    int *times = g_new0(int, (gsize)n + 1);
    *lines = 0;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return times;
    g_auto(GStrv) all = g_strsplit(text, "\n", -1);
    for (size_t i = 0; all[i] && *all[i]; i++, ++*lines) {
        int number = (int)g_ascii_strtoll(all[i], NULL, 10);
        assert_in_range(number, 1, n);
        times[number]++;
    }
    return times;
}

static int missing(int n, int *lines)
{
    g_autofree int *times = written(n, lines);
    int none = 0;
    for (int i = 1; i <= n; i++)
        none += times[i] == 0;
    return none;
}

static void publish_some(int calls, int each)
{
    for (int i = 0; i < calls; i++)
        test_publish(each);
}

/* ---- the tests --------------------------------------------------------------------------- */

static void killed_members_lose_nothing(void **state)
{
    (void)state;
    int n = 3000, lines, kills = 0;
    test_ok(ox_group_create(stream, "g", NULL, &err), &err);
    publish_some(150, 7);
    for (int i = 0; i < 3; i++)
        start_member(i, &quick);
    for (int left = n - 1050; left > 0 || kills < 15; kills++) {
        int64_t some = 1;
        if (left > 0) {
            publish_some(13, 10);
            left -= 130;
        }
        test_wait_for(200, has_pending, &some);
        end_member(kills % 3);
        start_member(kills % 3, &quick);
    }
    wait_until_worked_off();
    assert_int_equal(missing(n, &lines), 0);
    print_message("%d events, %d kills: %d ran twice\n", n, kills, lines - n);
    assert_int_equal(group().lost, 0);
    assert_int_equal(group().dead, 0);
}

/* More than one look takes, and the next one would be due in a minute. */
static void all_that_a_dead_member_had_is_taken_at_once(void **state)
{
    (void)state;
    const ox_consumer_options rare = { .claim_ms = 400, .sweep_ms = 60000, .batch_events = 30 };
    test_ok(ox_group_create(stream, "g", NULL, &err), &err);
    publish_types("a", 350);
    run("XREADGROUP GROUP g dead@machine:1:00 STREAMS " E "log >");
    run("EVAL %s 1 " E "log",
        "for _, row in ipairs(redis.call('XPENDING', KEYS[1], 'g', '-', '+', 999)) do "
        "redis.call('XCLAIM', KEYS[1], 'g', row[2], 0, row[1], 'IDLE', 5000, 'JUSTID') end");
    struct test_member *member = test_member_new("g", &rare);
    while (member->done < 350) {
        test_batch_done(member, test_member_batch(member));
        test_member_expect(member, "ended");
    }
    wait_until_worked_off();
}

static bool has_written_the_sixth(struct test_member *member)
{
    int lines;
    (void)member;
    g_autofree int *times = written(6, &lines);
    return times[6] > 0;
}

/* Both end the same events; what the late one says of them counts for nothing. */
static void a_member_that_stood_still_spoils_nothing(void **state)
{
    (void)state;
    int lines;
    work_ms = 1500; /* so that it is stopped before it ends them */
    test_ok(ox_group_create(stream, "g", NULL, &err), &err);
    start_member(0, &quick);
    publish_some(1, 5);
    assert_true(test_wait_for(LIMIT_MS, has_begun, NULL));
    kill(crew[0], SIGSTOP);
    struct test_member *other = test_member_new("g", &quick);
    ox_batch *batch = test_member_batch(other);
    test_expect_batch(batch, "1,2,3,4,5");
    kill(crew[0], SIGCONT);
    /* It acknowledges what is this one's now, and goes on: it has said so once it has written
     * the next event, which this one does not take. */
    ox_consumer_pause(other->consumer);
    test_publish(1);
    test_loop_until(has_written_the_sixth, other);
    assert_int_equal(test_redis_int(redis, "EVAL %s 1 " E "log %s",
                         "return #redis.call('XPENDING', KEYS[1], 'g', '-', '+', 9, ARGV[1])",
                         ox_consumer_name(other->consumer)),
        1);
    ox_batch_done(batch);
    test_member_expect(other, "ended 5: done 5");
    test_member_close(other);
    publish_some(1, 2);
    wait_until_worked_off();
    assert_int_equal(missing(8, &lines), 0);
}

struct progress {
    int n, lines; /* events there are; lines that were written before */
};

static bool has_gone_on(void *arg)
{
    const struct progress *progress = arg;
    int lines;
    g_free(written(progress->n, &lines));
    return lines > progress->lines || is_worked_off(NULL);
}

/* How many of the events 1 .. `n` were written of entries that are pending. An entry ends as a
 * whole: when its member is dead and retention takes it, these count as lost with the others.
 */
static int written_of_pending(int n)
{
    static const char list[] =
        "local out = '' for _, row in ipairs(redis.call('XPENDING', KEYS[1], 'g', '-', '+', "
        "1000)) do local count = redis.call('HGET', KEYS[2], row[1]) local entry = "
        "redis.call('XRANGE', KEYS[1], row[1], row[1])[1] local fields = entry and entry[2] or "
        "{} for i = 1, #fields, 2 do if fields[i] == 'c' then count = fields[i + 1] end end "
        "out = out .. row[1]:match('%d+$') .. ' ' .. (count or 1) .. ' ' end return out";
    int lines, sum = 0;
    g_autofree int *times = written(n, &lines);
    g_autofree char *text = test_redis_text(redis, "EVAL %s 2 " E "log " E "g:gone", list);
    for (char *at = text; *at;) {
        long last = strtol(at, &at, 10), count = strtol(at, &at, 10);
        assert_in_range(last, 1, n);
        assert_in_range(count, 1, last);
        for (long k = last - count + 1; k <= last; k++)
            sum += times[k] > 0;
        at += strspn(at, " ");
    }
    return sum;
}

static bool has_written_of_pending(void *n)
{
    return written_of_pending(*(int *)n) > 0;
}

/* One member works while 50 events at a time are published; each so many times the log is cut
 * to `keep` events, and the member, amid an entry, killed and started again (0: never).
 * Returns how many events there were.
 * @param again  of those that were pending at the kills, so many were written */
static int publish_and_trim(int times, int trim_each, int keep, int kill_each, int *again)
{
    struct progress progress = { 0, 0 };
    *again = 0;
    test_ok(ox_group_create(stream, "g", NULL, &err), &err);
    start_member(0, &quick);
    for (int i = 1; i <= times; i++) {
        g_free(written(progress.n, &progress.lines));
        test_publish(50);
        progress.n += 50;
        assert_true(test_wait_for(LIMIT_MS, has_gone_on, &progress));
        if (kill_each > 0 && i % kill_each == 0) {
            assert_true(test_wait_for(LIMIT_MS, has_written_of_pending, &progress.n));
            end_member(0);
            *again += written_of_pending(progress.n);
            start_member(0, &quick);
        }
        if (i % trim_each == 0)
            test_ok(ox_stream_trim(stream, keep, 0, &err), &err);
    }
    wait_until_worked_off();
    return progress.n;
}

static void retention_and_kills_are_counted_exactly(void **state)
{
    (void)state;
    int lines, again;
    work_ms = 20;
    int n = publish_and_trim(40, 2, 50, 8, &again);
    int none = missing(n, &lines);
    print_message("%d events, %d not run, %lld counted as lost, %d written and pending\n", n,
        none, (long long)group().lost, again);
    assert_true(none > 0 && none < n);
    assert_true(group().lost >= none);
    assert_true(group().lost <= none + again);
}

static void retention_alone_is_counted_to_the_event(void **state)
{
    (void)state;
    int lines, again;
    work_ms = 5;
    int n = publish_and_trim(60, 3, 60, 0, &again);
    int none = missing(n, &lines);
    print_message("%d events, %d lost\n", n, none);
    assert_int_equal(group().lost, none);
    assert_true(none > 0 && none < n);
    assert_int_equal(lines, n - none); /* and none ran twice */
}

static void an_ordered_group_keeps_its_order_through_kills(void **state)
{
    (void)state;
    int n = 600, kills = 0, before = 0;
    ox_consumer_options ordered = quick;
    ordered.ordered = true;
    test_ok(ox_group_create(stream, "g", NULL, &err), &err);
    for (int i = 0; i < 3; i++)
        start_member(i, &ordered);
    publish_some(200, 3);
    while (!is_worked_off(NULL) && kills < 60) {
        int64_t some = 1;
        test_wait_for(600, has_pending, &some);
        end_member(kills % 3);
        start_member(kills % 3, &ordered);
        kills++;
    }
    wait_until_worked_off();
    g_autofree char *text = NULL;
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_auto(GStrv) all = g_strsplit(text, "\n", -1);
    for (size_t i = 0; all[i] && *all[i]; i++) { /* no event before the one ahead of it ran */
        int number = (int)g_ascii_strtoll(all[i], NULL, 10);
        if (number > before + 1)
            test_fatal("%d ran behind %d", number, before);
        before = MAX(before, number);
    }
    assert_int_equal(before, n);
}

static void a_seek_under_load_skips_nothing(void **state)
{
    (void)state;
    int n = 2000, lines;
    test_ok(ox_group_create(stream, "g", NULL, &err), &err);
    for (int i = 0; i < 3; i++)
        start_member(i, &quick);
    for (int i = 0; i < 100; i++) {
        test_publish(20);
        if (i == 90)
            wait_until_worked_off(); /* so that some run twice in any case */
        if (i % 20 == 10)
            test_ok(ox_group_seek(stream, "g", "start", NULL, &err), &err);
    }
    wait_until_worked_off();
    assert_int_equal(missing(n, &lines), 0);
    assert_true(lines > n);
}

static void members_come_back_when_their_connections_break(void **state)
{
    (void)state;
    int n = 2000, lines;
    test_ok(ox_group_create(stream, "g", NULL, &err), &err);
    for (int i = 0; i < 3; i++)
        start_member(i, &quick);
    for (int i = 0; i < 100; i++) {
        test_publish(20);
        if (i % 10 == 5)
            run("CLIENT KILL TYPE normal SKIPME yes");
        if (i % 10 == 7)
            run("SCRIPT FLUSH");
    }
    wait_until_worked_off();
    assert_int_equal(missing(n, &lines), 0);
    assert_int_equal(group().lost, 0);
}

static void members_come_back_when_redis_does(void **state)
{
    (void)state;
    int lines;
    test_ok(ox_group_create(stream, "g", NULL, &err), &err);
    for (int i = 0; i < 3; i++)
        start_member(i, &quick);
    publish_some(10, 20);
    run("SAVE"); /* with some of them pending */
    test_redis_kill(redis);
    test_redis_revive(redis);
    publish_some(10, 20);
    wait_until_worked_off();
    assert_int_equal(missing(400, &lines), 0);
    assert_int_equal(group().lost, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CREW(killed_members_lose_nothing),
        WITH_CREW(all_that_a_dead_member_had_is_taken_at_once),
        WITH_CREW(a_member_that_stood_still_spoils_nothing),
        WITH_CREW(retention_and_kills_are_counted_exactly),
        WITH_CREW(retention_alone_is_counted_to_the_event),
        WITH_CREW(an_ordered_group_keeps_its_order_through_kills),
        WITH_CREW(a_seek_under_load_skips_nothing),
        WITH_CREW(members_come_back_when_their_connections_break),
        WITH_CREW(members_come_back_when_redis_does),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
