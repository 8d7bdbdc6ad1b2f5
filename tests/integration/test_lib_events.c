/*
 * test_lib_events.c - following the event stream, and waiting for a job to end.
 *
 * While one thread waits, another with a client of its own does what is waited for.
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "../support/jobs.h"

#define LIMIT_MS 20000 /* what never takes long */

/* ---- events ------------------------------------------------------------------------------ */

static ox_events *follow(struct test_queue *q, const char *from)
{
    ox_error err = { 0 };
    ox_events *events = NULL;
    test_ok(ox_events_new(&events, q->queue, from, &err), &err);
    return events;
}

static void expect_event(ox_events *events, const char *name, const char *job_id)
{
    ox_event event;
    ox_error err = { 0 };
    test_ok(ox_events_next(events, LIMIT_MS, &event, &err), &err);
    assert_string_equal(event.name, name);
    if (job_id)
        assert_string_equal(event.job_id, job_id);
    else
        assert_null(event.job_id);
}

static void expect_silence(ox_events *events)
{
    ox_event event;
    ox_error err = { 0 };
    int64_t before = test_now_ms();
    assert_int_equal(ox_events_next(events, 30, &event, &err), 0);
    assert_true(test_now_ms() - before >= 30);
}

static void follows_new_events_only(void **state)
{
    struct test_queue *q = *state;
    g_free(test_add(q->queue, "old", NULL));
    ox_events *events = follow(q, NULL);
    expect_silence(events);
    g_free(test_add(q->queue, "new", NULL));
    expect_event(events, "added", "2");
    expect_event(events, "waiting", "2");
    expect_silence(events);
    ox_events_free(events);
}

static void starts_at_given_id(void **state)
{
    struct test_queue *q = *state;
    ox_event event;
    ox_error err = { 0 };
    g_free(test_add(q->queue, "one", NULL));
    ox_events *events = follow(q, "0");
    test_ok(ox_events_next(events, LIMIT_MS, &event, &err), &err);
    g_autofree char *first = g_strdup(event.stream_id);
    assert_string_equal(event.name, "added");
    ox_events_free(events);
    events = follow(q, first);
    expect_event(events, "waiting", "1");
    expect_silence(events);
    ox_events_free(events);
    static const char *const bad[] = { "yesterday", "", "-", "1-", "-1", "1-2-3", "1--1", "+1",
        " 1", "1 ", "$", "18446744073709551616", "1-18446744073709551616",
        "99999999999999999999999999999999999999999999999999" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        assert_int_equal(ox_events_new(&events, q->queue, bad[i], &err), OX_EINVAL);
        assert_non_null(strstr(err.text, "is not a stream id: milliseconds"));
    }
    ox_events_free(follow(q, "18446744073709551615-18446744073709551615"));
}

static void returns_all_fields(void **state)
{
    struct test_queue *q = *state;
    ox_event event;
    ox_error err = { 0 };
    ox_events *events = follow(q, NULL);
    run("XADD bull:q:events * name %s", "no event");
    run("XADD bull:q:events * a 1 event own b 2 jobId 7 event twice jobId 8 c %s", "");
    test_ok(ox_events_next(events, LIMIT_MS, &event, &err), &err);
    assert_string_equal(event.name, "own");
    assert_string_equal(event.job_id, "7");
    g_autoptr(GString) fields = g_string_new(NULL);
    for (size_t i = 0; i < event.field_count; i++)
        g_string_append_printf(fields, "%s,", event.fields[i]);
    assert_string_equal(fields->str, "a,1,b,2,event,twice,jobId,8,c,,");
    ox_events_free(events);
}

static void reads_more_than_one_answer_holds(void **state)
{
    struct test_queue *q = *state;
    ox_events *events = follow(q, NULL);
    run("EVAL %s 0", "for i = 1, 350 do redis.call('XADD', 'bull:q:events', '*', 'event', 'e', "
                     "'jobId', i) end");
    for (int i = 1; i <= 350; i++) {
        g_autofree char *id = g_strdup_printf("%d", i);
        expect_event(events, "e", id);
    }
    expect_silence(events);
    ox_events_free(events);
}

static void goes_on_after_a_lost_connection(void **state)
{
    struct test_queue *q = *state;
    ox_event event;
    ox_error err = { 0 };
    ox_events *events = follow(q, NULL);
    g_free(test_add(q->queue, "one", NULL));
    expect_event(events, "added", "1");
    run("CLIENT KILL TYPE normal SKIPME yes");
    expect_event(events, "waiting", "1"); /* it had been read */
    g_free(test_add(q->queue, "two", NULL));
    expect_event(events, "added", "2");
    run("DEL bull:q:events");
    run("SET bull:q:events text");
    expect_event(events, "waiting", "2");
    assert_int_equal(ox_events_next(events, LIMIT_MS, &event, &err), OX_ESERVER);
    assert_non_null(strstr(err.text, "queue q"));
    ox_events_free(events);
}

/* ---- waiting ----------------------------------------------------------------------------- */

/* A job's end, brought about by another client once somebody waits for events. */
struct actor {
    const char *id;
    void (*act)(struct test_queue *q, const char *id);
    GThread *thread;
};

static bool somebody_reads_events(void *arg)
{
    g_autofree char *clients = test_redis_text(arg, "CLIENT LIST");
    return strstr(clients, "cmd=xread") != NULL;
}

/* Errors here cannot leave the thread by longjmp: they end the program. */
static void *run_actor(void *arg)
{
    struct actor *actor = arg;
    struct test_redis view = { .socket = redis->socket };
    const ox_client_options to = { .url = test_redis_url(redis) };
    struct test_queue q = { .redis = &view };
    if (ox_client_new(&q.client, &to, NULL) < 0 ||
        ox_queue_new(&q.queue, q.client, "q", NULL, NULL) < 0 ||
        !test_wait_for(LIMIT_MS, somebody_reads_events, &view))
        abort();
    actor->act(&q, actor->id);
    ox_queue_free(q.queue);
    ox_client_free(q.client);
    redisFree(view.context);
    return NULL;
}

static void act_later(struct actor *actor)
{
    actor->thread = g_thread_new("actor", run_actor, actor);
}

static void complete(struct test_queue *q, const char *id)
{
    g_free(test_take(q->queue));
    test_complete(q->queue, id, "{\"n\":1}");
}

static void fail_it(struct test_queue *q, const char *id)
{
    g_free(test_take(q->queue));
    test_fail(q->queue, id, "out of luck");
}

static void remove_it(struct test_queue *q, const char *id)
{
    if (ox_queue_remove(q->queue, id, false, NULL) != 1)
        abort();
}

/* What pruning does: no event tells of it. */
static void delete_it(struct test_queue *q, const char *id)
{
    test_redis_do(q->redis, "DEL bull:q:%s", id);
}

static int wait_while(struct test_queue *q, void (*act)(struct test_queue *, const char *),
    char **json, ox_error *err)
{
    g_autofree char *id = test_add(q->queue, "job", NULL);
    struct actor actor = { .id = id, .act = act };
    act_later(&actor);
    int rc = ox_queue_wait(q->queue, id, LIMIT_MS, json, err);
    g_thread_join(actor.thread);
    return rc;
}

static void waits_for_a_value(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    char *json = NULL;
    test_ok(wait_while(q, complete, &json, &err), &err);
    assert_string_equal(json, "{\"n\":1}");
    ox_free(json);
    assert_int_equal(wait_while(q, complete, NULL, &err), 0);
}

static void waits_for_a_failure(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    char *json = NULL;
    assert_int_equal(wait_while(q, fail_it, &json, &err), OX_EFAILED);
    assert_string_equal(err.text, "out of luck");
    assert_null(json);
}

static void wait_ends_when_job_is_removed(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    char *json = NULL;
    assert_int_equal(wait_while(q, remove_it, &json, &err), OX_ENOTFOUND);
    assert_non_null(strstr(err.text, "job 1 of queue q was removed"));
    /* Without an event it may have ended as well. */
    assert_int_equal(wait_while(q, delete_it, &json, &err), OX_ESTATE);
    assert_non_null(strstr(err.text, "no event tells how it finished"));
    assert_null(json);
}

static void finished_job_needs_no_wait(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    char *json = NULL;
    g_autofree char *good = test_add_completed(q->queue, "[1,2]");
    g_autofree char *bad = test_add_failed(q->queue, "no");
    test_ok(ox_queue_wait(q->queue, good, 0, &json, &err), &err);
    assert_string_equal(json, "[1,2]");
    ox_free(json);
    assert_int_equal(ox_queue_wait(q->queue, bad, 0, &json, &err), OX_EFAILED);
    assert_string_equal(err.text, "no");
    assert_int_equal(ox_queue_wait(q->queue, "99", 0, &json, &err), OX_ENOTFOUND);
    assert_int_equal(ox_queue_wait(q->queue, "meta", 0, &json, &err), OX_ENOTFOUND);
}

/* removeOnComplete and a fast worker: nothing is left but the event. */
static void finds_finish_of_removed_job(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    char *json = NULL;
    g_autofree char *good = test_add_completed(q->queue, "\"v\"");
    g_autofree char *bad = test_add_failed(q->queue, "no");
    run("DEL bull:q:%s", good);
    run("DEL bull:q:%s", bad);
    test_ok(ox_queue_wait(q->queue, good, LIMIT_MS, &json, &err), &err);
    assert_string_equal(json, "\"v\"");
    ox_free(json);
    assert_int_equal(ox_queue_wait(q->queue, bad, LIMIT_MS, &json, &err), OX_EFAILED);
}

static void wait_times_out(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    char *json = NULL;
    g_autofree char *id = test_add(q->queue, "job", NULL);
    int64_t before = test_now_ms();
    assert_int_equal(ox_queue_wait(q->queue, id, 60, &json, &err), OX_ETIMEOUT);
    assert_in_range(test_now_ms() - before, 60, 5000);
    assert_non_null(strstr(err.text, "job 1 of queue q is still waiting"));
}

/* ---- waiting with updates
 * --------------------------------------------------------------------
 */

static void note_update(void *arg, const ox_job_update *update)
{
    static const char *const kinds[] = {
        [OX_UPDATE_STATE] = "state", [OX_UPDATE_PROGRESS] = "progress", [OX_UPDATE_LOG] = "log"
    };
    assert_in_range(update->at_ms, 1, test_unix_ms() + 1000);
    g_string_append_printf(arg, "%s %s\n", kinds[update->kind], update->text);
}

static void fail_with_updates(struct test_queue *q, const char *id)
{
    g_free(test_take(q->queue));
    ox_error err = { 0 };
    test_ok(ox_queue_update_progress(q->queue, id, "{\"at\":5}", &err), &err);
    test_ok(ox_queue_add_log(q->queue, id, "one row", 0, &err), &err);
    test_fail(q->queue, id, "out of luck");
}

static void reports_updates_until_finish(void **state)
{
    struct test_queue *q = *state;
    g_autoptr(GString) updates = g_string_new(NULL);
    const ox_wait_options options = {
        .update = note_update, .arg = updates, .timeout_ms = LIMIT_MS
    };
    ox_error err = { 0 };
    char *text = NULL;
    g_autofree char *id = test_add(q->queue, "job", NULL);
    struct actor actor = { .id = id, .act = fail_with_updates };
    act_later(&actor);
    int rc = ox_queue_wait_with(q->queue, id, &options, &text, &err);
    g_thread_join(actor.thread);
    assert_int_equal(rc, OX_EFAILED);
    assert_string_equal(text, "out of luck");
    assert_string_equal(err.text, "out of luck");
    ox_free(text);
    g_auto(GStrv) lines = g_strsplit(updates->str, "\n", -1);
    assert_string_equal(lines[0], "state waiting");
    assert_non_null(strstr(updates->str, "\nstate active\n"));
    assert_non_null(strstr(updates->str, "\nprogress {\"at\":5}\n"));
    assert_non_null(strstr(updates->str, "\nlog one row\n"));
    assert_int_equal(g_strv_length(lines), 4 + 1);
}

/* Over the connection of the test itself, which waits: so that one is kept. */
static void drop_connections_and_complete(struct test_queue *q, const char *id)
{
    test_redis_do(redis, "CLIENT KILL TYPE normal SKIPME yes");
    complete(q, id);
}

static void survives_a_lost_connection(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    char *json = NULL;
    test_ok(wait_while(q, drop_connections_and_complete, &json, &err), &err);
    assert_string_equal(json, "{\"n\":1}");
    ox_free(json);
}

static gpointer kill_server(gpointer server)
{
    if (!test_wait_for(LIMIT_MS, somebody_reads_events, server))
        abort();
    test_redis_kill(server);
    return NULL;
}

static void gives_up_after_the_outage(void **state)
{
    (void)state;
    struct test_redis *own = test_redis_start(NULL);
    const ox_client_options to = { .url = test_redis_url(own) };
    const ox_wait_options options = { .outage_ms = 300 };
    struct test_queue q = { .redis = own };
    ox_error err = { 0 };
    test_ok(ox_client_new(&q.client, &to, &err), &err);
    test_ok(ox_queue_new(&q.queue, q.client, "q", NULL, &err), &err);
    g_autofree char *id = test_add(q.queue, "job", NULL);
    GThread *killer = g_thread_new("killer", kill_server, own);
    int rc = ox_queue_wait_with(q.queue, id, &options, NULL, &err);
    g_thread_join(killer);
    if (rc != OX_ECONNECT && rc != OX_ELOST)
        test_fatal("%d: %s", rc, err.text);
    ox_queue_free(q.queue);
    ox_client_free(q.client);
    test_redis_stop(own);
}

/* A command time-out of less than a block must not end it. */
static void short_command_timeout_does_not_end_wait(void **state)
{
    (void)state;
    const ox_client_options to = { .url = test_redis_url(redis), .command_timeout_ms = 60 };
    struct test_queue q = { .redis = redis };
    ox_error err = { 0 };
    ox_event event;
    test_ok(ox_client_new(&q.client, &to, &err), &err);
    test_ok(ox_queue_new(&q.queue, q.client, "q", NULL, &err), &err);
    ox_events *events = follow(&q, NULL);
    test_ok(ox_events_next(events, 200, &event, &err), &err);
    g_autofree char *id = test_add(q.queue, "job", NULL);
    assert_int_equal(ox_queue_wait(q.queue, id, 200, NULL, &err), OX_ETIMEOUT);
    assert_non_null(strstr(err.text, "timed out after 200 ms"));
    ox_events_free(events);
    ox_queue_free(q.queue);
    ox_client_free(q.client);
    run("FLUSHALL", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(follows_new_events_only),
        WITH_QUEUE(starts_at_given_id),
        WITH_QUEUE(returns_all_fields),
        WITH_QUEUE(reads_more_than_one_answer_holds),
        WITH_QUEUE(goes_on_after_a_lost_connection),
        WITH_QUEUE(waits_for_a_value),
        WITH_QUEUE(waits_for_a_failure),
        WITH_QUEUE(wait_ends_when_job_is_removed),
        WITH_QUEUE(finished_job_needs_no_wait),
        WITH_QUEUE(finds_finish_of_removed_job),
        WITH_QUEUE(wait_times_out),
        WITH_QUEUE(reports_updates_until_finish),
        WITH_QUEUE(survives_a_lost_connection),
        cmocka_unit_test(gives_up_after_the_outage),
        cmocka_unit_test(short_command_timeout_does_not_end_wait),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
