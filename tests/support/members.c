/* members.c - consumers on a loop of the test's own; see members.h. */
#include "check.h"

#include "members.h"

#include <string.h>

#undef err /* it is a field of ox_batch_end, too */

#define LIMIT_MS 10000

uv_loop_t test_loop;

static GPtrArray *members;

int test_members_up(void **state)
{
    members = g_ptr_array_new();
    uv_loop_init(&test_loop);
    return test_stream_up(state);
}

static void free_member(struct test_member *member)
{
    test_member_abort(member);
    g_ptr_array_free(member->batches, TRUE);
    g_string_free(member->log, TRUE);
    g_hash_table_destroy(member->seen);
    g_free(member);
}

int test_members_down(void **state)
{
    for (guint i = 0; i < members->len; i++)
        free_member(members->pdata[i]);
    g_ptr_array_free(members, TRUE);
    uv_run(&test_loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&test_loop) != 0)
        return -1;
    return test_stream_down(state);
}

/* ---- what a member is told --------------------------------------------------------------- */

static void G_GNUC_PRINTF(2, 3) say(struct test_member *member, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!member->quiet)
        g_string_append_vprintf(member->log, format, args);
    va_end(args);
}

static void on_batch(ox_batch *batch, void *arg)
{
    struct test_member *member = arg;
    if (!member->quiet) {
        g_autofree char *numbers = test_batch_numbers(batch);
        say(member, "batch %s attempt %u\n", numbers, ox_batch_attempt(batch));
    }
    if (member->on_batch)
        member->on_batch(member, batch);
    else
        g_ptr_array_add(member->batches, batch);
}

static void on_error(ox_consumer *consumer, const ox_error *error, void *arg)
{
    (void)consumer;
    say(arg, "error %s\n", error->text);
}

static void on_ready(ox_consumer *consumer, void *arg)
{
    struct test_member *member = arg;
    (void)consumer;
    member->ready = true;
}

static void on_lost(ox_batch *batch, void *arg)
{
    say(arg, "claim lost %zu\n", ox_batch_lost(batch));
}

static void on_ended(ox_consumer *consumer, const ox_batch_end *end, void *arg)
{
    (void)consumer;
    say(arg, "ended %zu: done %zu again %zu dead %zu released %zu lost %zu%s%s%s%s\n",
        end->events, end->done, end->again, end->dead, end->released, end->lost,
        end->reason ? ", " : "", end->reason ? end->reason : "", end->err ? "; " : "",
        end->err ? end->err->text : "");
}

static void on_notice(ox_consumer *consumer, int notice, const char *position,
    const char *reason, int64_t count, void *arg)
{
    static const char *const names[] = { "?", "skipped", "dead", "missing", "taken over",
        "alone", "owner" };
    (void)consumer;
    say(arg, "%s %s %" G_GINT64_FORMAT " %s\n", names[notice], position ? position : "-", count,
        reason ? reason : "");
}

struct test_member *test_member_new(const char *group, const ox_consumer_options *options)
{
    struct test_member *member = g_new0(struct test_member, 1);
    ox_consumer_options o = options ? *options : (ox_consumer_options){ 0 };
    member->batches = g_ptr_array_new();
    member->log = g_string_new(NULL);
    member->seen = g_hash_table_new(NULL, NULL);
    o.error = on_error;
    o.ready = on_ready;
    o.claim_lost = on_lost;
    o.batch_ended = on_ended;
    o.notice = on_notice;
    test_ok(ox_consumer_new(&member->consumer, &test_loop, stream, group, &o, on_batch, member,
                &test_stream_error),
        &test_stream_error);
    g_ptr_array_add(members, member);
    return member;
}

/* ---- waiting ----------------------------------------------------------------------------- */

static void on_limit(uv_timer_t *timer)
{
    (void)timer;
}

void test_loop_until(bool (*is_so)(struct test_member *member), struct test_member *member)
{
    int64_t end_ms = test_now_ms() + LIMIT_MS;
    uv_timer_t timer;
    uv_timer_init(&test_loop, &timer);
    uv_timer_start(&timer, on_limit, 20, 20); /* so that the limit is looked at */
    while (!is_so(member) && test_now_ms() < end_ms)
        uv_run(&test_loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&test_loop, UV_RUN_NOWAIT);
    if (!is_so(member))
        test_fatal("it is not so after %d ms; told:\n%s", LIMIT_MS, member->log->str);
}

void test_loop_once(void)
{
    uv_run(&test_loop, UV_RUN_NOWAIT);
}

static const char *wanted;

static bool has_line(struct test_member *member)
{
    return strstr(member->log->str, wanted) != NULL;
}

void test_member_expect(struct test_member *member, const char *line)
{
    wanted = line;
    test_loop_until(has_line, member);
    const char *end = strchr(strstr(member->log->str, line), '\n');
    g_string_erase(member->log, 0, end + 1 - member->log->str);
}

static bool has_batch(struct test_member *member)
{
    return member->batches->len > 0;
}

ox_batch *test_member_batch(struct test_member *member)
{
    test_loop_until(has_batch, member);
    return g_ptr_array_remove_index(member->batches, 0);
}

char *test_batch_numbers(ox_batch *batch)
{
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < ox_batch_count(batch); i++)
        g_string_append_printf(
            text, "%s%" G_GINT64_FORMAT, i > 0 ? "," : "", ox_batch_event(batch, i)->number);
    return g_string_free(text, FALSE);
}

void test_expect_batch(ox_batch *batch, const char *numbers)
{
    g_autofree char *found = test_batch_numbers(batch);
    if (strcmp(found, numbers) != 0)
        test_fatal("batch %s, not %s", found, numbers);
}

void test_batch_done(struct test_member *member, ox_batch *batch)
{
    for (size_t i = 0; i < ox_batch_count(batch); i++) {
        gpointer number = GINT_TO_POINTER((int)ox_batch_event(batch, i)->number);
        int times = GPOINTER_TO_INT(g_hash_table_lookup(member->seen, number));
        g_hash_table_insert(member->seen, number, GINT_TO_POINTER(times + 1));
    }
    member->done += ox_batch_count(batch);
    ox_batch_done(batch);
}

/* ---- ends -------------------------------------------------------------------------------- */

static void on_closed(void *arg)
{
    struct test_member *member = arg;
    member->closed = true;
    member->consumer = NULL;
}

static bool is_closed(struct test_member *member)
{
    return member->closed;
}

void test_member_close(struct test_member *member)
{
    ox_consumer_close(member->consumer, on_closed, member);
    test_loop_until(is_closed, member);
}

void test_member_abort(struct test_member *member)
{
    if (member->consumer) {
        ox_consumer_abort(member->consumer, on_closed, member);
        g_ptr_array_set_size(member->batches, 0);
        test_loop_until(is_closed, member);
    }
}

void test_publish(int n)
{
    g_autofree ox_new_event *events = g_new0(ox_new_event, n);
    for (int i = 0; i < n; i++)
        events[i].type = "a";
    test_ok(ox_stream_publish_many(stream, events, (size_t)n, NULL, &test_stream_error),
        &test_stream_error);
}
