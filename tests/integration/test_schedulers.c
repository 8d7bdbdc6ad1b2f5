/*
 * test_schedulers.c - job schedulers as time goes on: when their jobs run, and that nothing
 * ends a schedule but its owner; what is refused.
 *
 * Intervals are an hour, so that the clock moves on without a test noticing.
 */
#include "../support/check.h"

#include <glib.h>
#include <jansson.h>
#include <string.h>
#include <uv.h>

#include "../support/jobs.h"
#include "../support/schedules.h"

/* Makes a job due, takes it and lets it make the next one; the time of that, or 0. */
static int64_t run_once(struct test_queue *q, const char *scheduler, int64_t time)
{
    ox_error err = { 0 };
    g_autofree char *id = schedule_job_id(scheduler, time);
    if (test_redis_int(redis, "ZSCORE bull:q:delayed %s", id) > 0)
        test_ok(ox_queue_promote(q->queue, id, &err), &err);
    g_autofree char *taken = test_take(q->queue);
    assert_string_equal(taken, id);
    int rc = schedule_iterate(q, id, &err);
    test_ok(rc, &err);
    test_complete(q->queue, id, "1");
    return rc > 0 ? test_redis_int(redis, "ZSCORE bull:q:repeat %s", scheduler) : 0;
}

/* ---- the next iteration ------------------------------------------------------------------ */

static void a_taken_job_makes_the_next(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule schedule = { .every_ms = HOUR, .limit = 3 };
    const ox_job_options options = { .priority = 7, .json = "{\"mine\":{\"a\":1.5}}" };
    const ox_new_job job = { .name = "tick", .json = "{\"n\":1}", .options = &options };
    int64_t time = schedule_set(q, "a", &schedule, &job);
    run("HSET bull:q:repeat:a data [2]");
    assert_int_equal(run_once(q, "a", time), time + HOUR);

    g_autofree char *id = schedule_job_id("a", time + HOUR);
    expect_due(id, time + HOUR);
    expect_stored("repeat:a", "ic", "2");
    expect_stored(id, "name", "tick");
    expect_stored(id, "data", "[2]"); /* the template's, not the taken job's */
    expect_stored(id, "rjk", "a");
    expect_stored(id, "priority", "7");
    json_t *opts = opts_of(id);
    int64_t delay = json_integer_value(json_object_get(opts, "delay"));
    assert_int_equal(
        json_integer_value(json_object_get(opts, "timestamp")) + delay, time + HOUR);
    json_decref(opts);
    expect_opts(id,
        "{\"attempts\":0,\"priority\":7,\"mine\":{\"a\":1.5},\"jobId\":\"%s\",\"delay\":%lld,"
        "\"repeatJobKey\":\"a\",\"repeat\":{\"every\":3600000,\"limit\":3,\"count\":2}}",
        id, (long long)delay);
    assert_int_equal(test_redis_int(redis, "GET bull:q:id"), 2);
}

static void job_adds_next_only_once(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    int64_t time = schedule_every(q, "a", HOUR);
    g_autofree char *id = schedule_job_id("a", time);
    run_once(q, "a", time);
    g_autofree char *before = redis_snapshot();
    assert_int_equal(schedule_iterate(q, id, &err), 0); /* it runs again, after a failure say */
    g_autofree char *after = redis_snapshot();
    assert_string_equal(before, after);
}

static void a_removed_scheduler_makes_no_more_jobs(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    int64_t time = schedule_every(q, "a", HOUR);
    g_autofree char *id = schedule_job_id("a", time);
    assert_int_equal(ox_scheduler_remove(q->queue, "a", &err), 1);
    assert_int_equal(schedule_iterate(q, id, &err), 0);
    assert_int_equal(schedule_jobs_of("a"), 1);
}

static void a_limit_ends_a_schedule_and_keeps_its_template(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule schedule = { .every_ms = HOUR, .limit = 2 };
    int64_t time = run_once(q, "a", schedule_set(q, "a", &schedule, NULL));
    assert_int_not_equal(time, 0);
    assert_int_equal(run_once(q, "a", time), 0);
    assert_int_equal(schedule_jobs_of("a"), 2);
    expect_stored("repeat:a", "ic", "2");
}

static void schedule_ends_at_end_time(void **state)
{
    struct test_queue *q = *state;
    int64_t now = test_unix_ms();
    const ox_schedule interval = { .every_ms = HOUR, .end_ms = now + 3 * HOUR / 2 };
    const ox_schedule daily = {
        .pattern = "0 0 * * *", .tz = "UTC", .immediately = true, .end_ms = now + 12 * HOUR
    };
    int64_t time = schedule_set(q, "a", &interval, NULL);
    assert_int_equal(run_once(q, "a", time), time + HOUR);
    assert_int_equal(run_once(q, "a", time + HOUR), 0);
    expect_stored("repeat:a", "ic", "2");

    time = schedule_set(q, "b", &daily, NULL);
    int64_t midnight = (now / (24 * HOUR) + 1) * 24 * HOUR;
    int64_t expected = midnight <= daily.end_ms ? midnight : 0;
    assert_int_equal(run_once(q, "b", time), expected);
}

static void skips_missed_times(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule schedule = { .every_ms = HOUR, .offset_ms = 99 };
    ox_error err = { 0 };
    int64_t time = schedule_set(q, "a", &schedule, NULL), now = test_unix_ms();
    g_autofree char *id =
        schedule_job_id("a", schedule_in_the_past("a", time, time - 50 * HOUR));
    run("HSET bull:q:%s name a rjk a opts %s", id,
        "{\"repeat\":{\"every\":3600000,\"count\":4}}");
    assert_int_equal(schedule_iterate(q, id, &err), 1);
    time = test_redis_int(redis, "ZSCORE bull:q:repeat a");
    assert_int_equal(time % HOUR, 99);
    assert_in_range(time, now + 1, test_unix_ms() + HOUR);
}

/* The clock of the worker that takes the job may be behind the one that planned it. */
static void a_pattern_goes_on_after_its_last_time(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule daily = { .pattern = "30 4 * * *", .tz = "America/New_York" };
    ox_error err = { 0 };
    int64_t time = schedule_set(q, "a", &daily, NULL), expected = 0;
    test_ok(ox_cron_next(daily.pattern, daily.tz, time, &expected, &err), &err);
    assert_int_equal(run_once(q, "a", time), expected);
    g_autofree char *id = schedule_job_id("a", expected);
    expect_due(id, expected);
    json_t *opts = opts_of(id);
    json_t *repeat = json_object_get(opts, "repeat");
    assert_int_equal(json_integer_value(json_object_get(opts, "prevMillis")), expected);
    assert_int_equal(json_integer_value(json_object_get(repeat, "count")), 2);
    assert_string_equal(json_string_value(json_object_get(repeat, "tz")), "America/New_York");
    json_decref(opts);
}

/* In BullMQ a schedule stops there for good. */
static void a_taken_time_does_not_stop_a_schedule(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule daily = { .pattern = "30 4 * * *", .tz = "UTC" };
    int64_t time = schedule_every(q, "a", HOUR);
    schedule_occupy("a", time + HOUR);
    schedule_occupy("a", time + 2 * HOUR);
    assert_int_equal(run_once(q, "a", time), time + 3 * HOUR);
    time = schedule_set(q, "b", &daily, NULL);
    schedule_occupy("b", time + 24 * HOUR);
    assert_int_equal(run_once(q, "b", time), time + 48 * HOUR);
}

static void reports_job_without_schedule_options(void **state)
{
    struct test_queue *q = *state;
    static const char *const broken[] = { "{", "[]", "{}", "{\"repeat\":1}",
        "{\"repeat\":{\"every\":-5}}", "{\"repeat\":{\"pattern\":\"no\"}}",
        "{\"repeat\":{\"pattern\":\"* * * * *\",\"tz\":\"Mars/Base\"}}" };
    g_autofree char *id = schedule_job_id("a", schedule_every(q, "a", HOUR));
    for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
        ox_error err = { 0 };
        run("HSET bull:q:%s opts %s", id, broken[i]);
        int rc = schedule_iterate(q, id, &err);
        if (rc != OX_EDATA && rc != OX_EINVAL)
            test_fatal("%s: %d", broken[i], rc);
        assert_non_null(strstr(err.text, id));
    }
    assert_int_equal(schedule_jobs_of("a"), 1);
}

static void accepts_odd_numbers_in_options(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    g_autofree char *id = schedule_job_id("a", schedule_every(q, "a", HOUR));
    run("HSET bull:q:%s opts %s", id,
        "{\"n\":123456789012345678901234567890,\"s\":\"\\u0000\",\"priority\":-1,"
        "\"repeat\":{\"every\":3600000.0,\"count\":\"x\",\"limit\":null}}");
    assert_int_equal(schedule_iterate(q, id, &err), 1);
    assert_int_equal(schedule_jobs_of("a"), 2);
}

/* ---- remove, list ------------------------------------------------------------------------ */

static void removing_takes_the_next_job_along(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule schedule = { .every_ms = HOUR, .offset_ms = 1 };
    ox_error err = { 0 };
    g_autofree char *id = schedule_job_id("a", schedule_set(q, "a", &schedule, NULL));
    g_autofree char *waiting = schedule_job_id("b", schedule_every(q, "b", HOUR));
    run("DEL bull:q:events");
    assert_int_equal(ox_scheduler_remove(q->queue, "a", &err), 1);
    assert_int_equal(ox_scheduler_remove(q->queue, "a", &err), 0);
    assert_int_equal(
        test_redis_int(redis, "EXISTS bull:q:delayed bull:q:repeat:a bull:q:%s", id), 0);
    g_autofree char *events = test_events(redis, "bull:q:");
    g_autofree char *expected = g_strdup_printf("removed %s prev=delayed", id);
    assert_string_equal(events, expected);

    /* What is due already runs. */
    assert_int_equal(ox_scheduler_remove(q->queue, "b", &err), 1);
    expect_ids("wait", waiting);
    assert_int_equal(test_redis_int(redis, "EXISTS bull:q:repeat bull:q:repeat:b"), 0);
}

static void the_current_job_of_a_scheduler_is_kept_by_remove(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    g_autofree char *id = schedule_job_id("a:b", schedule_every(q, "a:b", HOUR));
    assert_int_equal(ox_queue_remove(q->queue, id, false, &err), OX_ESCHEDULED);
}

static void schedulers_are_listed_by_time(void **state)
{
    struct test_queue *q = *state;
    int64_t now = test_unix_ms();
    const ox_schedule late = { .every_ms = HOUR, .start_ms = now + 3 * HOUR, .offset_ms = 5 };
    const ox_schedule yearly = { .pattern = "0 0 1 1 *",
        .tz = "UTC",
        .limit = 4,
        .start_ms = now + 9 * HOUR,
        .end_ms = now + 20000 * HOUR };
    const ox_new_job job = { .name = "n", .json = "{\"x\":1}" };
    ox_scheduler **list = NULL;
    size_t count = 9;
    ox_error err = { 0 };
    schedule_set(q, "y", &yearly, &job);
    schedule_set(q, "late", &late, NULL);
    schedule_every(q, "now", HOUR);
    run("ZADD bull:q:repeat 5 gone");
    test_ok(ox_queue_schedulers(q->queue, 0, -1, &list, &count, &err), &err);
    assert_int_equal(count, 3);
    assert_null(list[3]);

    const ox_scheduler *row = list[0];
    assert_string_equal(row->id, "now");
    assert_int_equal(row->every_ms, HOUR);
    assert_null(row->pattern);
    row = list[1];
    assert_string_equal(row->id, "late");
    assert_int_equal(row->next_ms, late.start_ms);
    assert_int_equal(row->start_ms, late.start_ms);
    assert_int_equal(row->offset_ms, 5);
    row = list[2];
    assert_string_equal(row->id, "y");
    assert_string_equal(row->name, "n");
    assert_string_equal(row->pattern, "0 0 1 1 *");
    assert_string_equal(row->tz, "UTC");
    assert_string_equal(row->data, "{\"x\":1}");
    assert_null(row->opts);
    assert_int_equal(row->limit, 4);
    assert_int_equal(row->iterations, 1);
    assert_int_equal(row->end_ms, yearly.end_ms);
    ox_list_free(list);

    test_ok(ox_queue_schedulers(q->queue, 2, 2, &list, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_string_equal(list[0]->id, "late");
    ox_list_free(list);
}

static void lists_many_schedulers(void **state)
{
    struct test_queue *q = *state;
    ox_scheduler **list = NULL;
    size_t count = 9;
    ox_error err = { 0 };
    test_ok(ox_queue_schedulers(q->queue, 0, -1, &list, &count, &err), &err);
    assert_int_equal(count, 0);
    ox_list_free(list);
    for (int i = 0; i < 450; i++) {
        run("ZADD bull:q:repeat %d s%d", i, i);
        run("HSET bull:q:repeat:s%d name n%d ic 1", i, i);
    }
    test_ok(ox_queue_schedulers(q->queue, 0, -1, &list, &count, &err), &err);
    assert_int_equal(count, 450);
    for (int i = 0; i < 450; i++) {
        g_autofree char *name = g_strdup_printf("n%d", i);
        assert_string_equal(list[i]->name, name);
        assert_int_equal(list[i]->next_ms, i);
    }
    ox_list_free(list);
}

/* ---- refusals ---------------------------------------------------------------------------- */

static void bad_schedules_are_refused(void **state)
{
    struct test_queue *q = *state;
    int64_t now = test_unix_ms();
    const ox_schedule bad[] = { { .every_ms = 0 }, { .every_ms = -1 },
        { .every_ms = HOUR, .pattern = "* * * * *" }, { .pattern = "" },
        { .pattern = "* * * * * * *" }, { .pattern = "* * * * *", .tz = "Mars/Base" },
        { .pattern = "0 0 31 2 *" }, { .pattern = "* * * * *", .offset_ms = 5 },
        { .pattern = "* * * * *", .immediately = true, .start_ms = now + HOUR },
        { .every_ms = HOUR, .offset_ms = -1 }, { .every_ms = HOUR, .offset_ms = HOUR },
        { .every_ms = HOUR, .tz = "UTC" }, { .every_ms = HOUR, .immediately = true },
        { .every_ms = HOUR, .end_ms = now - 1 }, { .every_ms = HOUR, .end_ms = -1 },
        { .every_ms = HOUR, .limit = -1 }, { .every_ms = HOUR, .start_ms = -1 },
        { .every_ms = HOUR, .start_ms = now + 3 * HOUR, .end_ms = now + HOUR },
        { .pattern = "0 0 1 1 *", .end_ms = now + 1000 }, { .every_ms = INT64_MAX } };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        ox_error err = { 0 };
        int rc = ox_scheduler_set(q->queue, "a", &bad[i], NULL, NULL, &err);
        if (rc != OX_EINVAL)
            test_fatal("schedule %zu: %d %s", i, rc, err.text);
        assert_true(g_str_has_prefix(err.text, "scheduler a: "));
    }
    assert_int_equal(ox_scheduler_set(q->queue, "a", NULL, NULL, NULL, NULL), OX_EINVAL);
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
}

static void rejects_end_before_next_time(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    const ox_schedule schedule = { .every_ms = HOUR, .offset_ms = 1 };
    int64_t time = schedule_set(q, "a", &schedule, NULL);
    const ox_schedule shorter = { .every_ms = HOUR, .offset_ms = 1, .end_ms = time - 1 };
    g_autofree char *before = redis_snapshot();
    if (shorter.end_ms > test_unix_ms())
        assert_int_equal(
            ox_scheduler_set(q->queue, "a", &shorter, NULL, NULL, &err), OX_EINVAL);
    g_autofree char *after = redis_snapshot();
    assert_string_equal(before, after);
}

static void bad_ids_are_refused(void **state)
{
    struct test_queue *q = *state;
    static const char *const bad[] = { NULL, "", "a:1700000000000" };
    static const char *const good[] = { "a:b", "report:2024", "a:b:c:d:5", "x y", "1" };
    const ox_schedule schedule = { .every_ms = HOUR };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        ox_error err = { 0 };
        assert_int_equal(
            ox_scheduler_set(q->queue, bad[i], &schedule, NULL, NULL, &err), OX_EINVAL);
        assert_int_equal(ox_scheduler_remove(q->queue, bad[i], &err), OX_EINVAL);
    }
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
        schedule_every(q, good[i], HOUR);
}

static void rejects_job_specific_options_in_template(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule schedule = { .every_ms = HOUR };
    static const char *const bad[] = { "{\"jobId\":\"x\"}", "{\"delay\":5}",
        "{\"timestamp\":5}", "{\"parent\":{\"id\":\"1\",\"queue\":\"bull:p\"}}",
        "{\"deduplication\":{\"id\":\"x\"}}", "{\"priority\":-1}", "[]" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        const ox_job_options options = { .json = bad[i] };
        const ox_new_job job = { .name = "n", .options = &options };
        ox_error err = { 0 };
        int rc = ox_scheduler_set(q->queue, "a", &schedule, &job, NULL, &err);
        if (rc != OX_EINVAL)
            test_fatal("%s: %d", bad[i], rc);
    }
    const ox_new_job no_json = { .name = "n", .json = "{" };
    assert_int_equal(
        ox_scheduler_set(q->queue, "a", &schedule, &no_json, NULL, NULL), OX_EINVAL);
    assert_int_equal(test_redis_int(redis, "DBSIZE"), 0);
}

/* ---- with a worker ----------------------------------------------------------------------- */

struct run {
    uv_loop_t loop;
    GPtrArray *ids;
    bool fail_first, closed;
    char problem[256];
};

static void process(ox_task *task, void *arg)
{
    struct run *run = arg;
    const ox_failure failure = { .reason = "no" };
    g_ptr_array_add(run->ids, g_strdup(ox_job_id(ox_task_job(task))));
    if (run->fail_first && run->ids->len == 1)
        ox_task_fail(task, &failure);
    else
        ox_task_complete(task, NULL);
}

static void on_error(ox_worker *worker, const char *id, const ox_error *err, void *arg)
{
    (void)worker;
    (void)id;
    struct run *run = arg;
    g_strlcpy(run->problem, err->text, sizeof(run->problem));
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer; /* only ends a turn of the loop now and then */
}

static void on_closed(void *arg)
{
    struct run *run = arg;
    run->closed = true;
}

/* Runs a worker until it has run `count` jobs and all is written. */
static void work(struct test_queue *q, struct run *run, guint count)
{
    const ox_worker_options options = { .error = on_error, .concurrency = 2 };
    int64_t end = test_now_ms() + 20000;
    ox_worker *worker = NULL;
    ox_error err = { 0 };
    uv_timer_t tick;
    uv_loop_init(&run->loop);
    uv_timer_init(&run->loop, &tick);
    uv_timer_start(&tick, on_tick, 5, 5);
    run->ids = g_ptr_array_new_with_free_func(g_free);
    test_ok(ox_worker_new(&worker, &run->loop, q->queue, &options, process, run, &err), &err);
    while (run->ids->len < count && test_now_ms() < end)
        uv_run(&run->loop, UV_RUN_ONCE);
    ox_worker_close(worker, on_closed, run);
    while (!run->closed && test_now_ms() < end)
        uv_run(&run->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&run->loop, UV_RUN_DEFAULT);
    assert_true(run->closed);
    assert_int_equal(uv_loop_close(&run->loop), 0);
    assert_string_equal(run->problem, "");
}

/* The times of the jobs that ran: multiples of `every_ms` from `time` on, each once, in order.
 * A slow machine may miss some. The last one. */
static int64_t expect_times(
    const struct run *run, const char *scheduler, int64_t time, int64_t every_ms)
{
    g_autofree char *head = schedule_job_id(scheduler, 0);
    size_t skip = strlen(head) - 1;
    int64_t last = time - every_ms;
    for (guint i = 0; i < run->ids->len; i++) {
        const char *id = run->ids->pdata[i];
        assert_memory_equal(id, head, skip);
        int64_t at = g_ascii_strtoll(id + skip, NULL, 10);
        assert_true(at > last && (at - time) % every_ms == 0);
        last = at;
    }
    return last;
}

static void a_worker_keeps_a_schedule_going(void **state)
{
    struct test_queue *q = *state;
    struct run run = { .closed = false };
    const char *const id = "a:b:c:d:5 6"; /* as legacy keys look, but for `ic` */
    int64_t last = schedule_every(q, id, 100);
    work(q, &run, 5);
    last = expect_times(&run, id, last, 100);
    assert_int_equal(test_redis_int(redis, "HGET bull:q:repeat:%s ic", id), run.ids->len + 1);
    int64_t next = test_redis_int(redis, "ZSCORE bull:q:repeat %s", id);
    assert_true(next > last && (next - last) % 100 == 0);
    g_autofree char *pending = schedule_job_id(id, next);
    expect_ids("delayed", pending);
    expect_ids("wait", "");
    g_ptr_array_unref(run.ids);
}

static void a_worker_stops_at_the_limit(void **state)
{
    struct test_queue *q = *state;
    struct run run = { .fail_first = true };
    const ox_schedule schedule = { .every_ms = 50, .limit = 2 };
    const ox_job_options options = { .attempts = 2 };
    const ox_new_job job = { .name = "n", .options = &options };
    int64_t time = schedule_set(q, "a", &schedule, &job);
    work(q, &run, 3); /* the first one twice */
    g_autofree char *first = schedule_job_id("a", time);
    assert_string_equal(run.ids->pdata[0], first);
    assert_int_equal(schedule_jobs_of("a"), 2);
    expect_ids("delayed", "");
    expect_ids("wait", "");
    assert_true(test_redis_int(redis, "ZSCORE bull:q:repeat a") > time);
    expect_stored("repeat:a", "ic", "2");
    g_ptr_array_unref(run.ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(a_taken_job_makes_the_next),
        WITH_QUEUE(job_adds_next_only_once),
        WITH_QUEUE(a_removed_scheduler_makes_no_more_jobs),
        WITH_QUEUE(a_limit_ends_a_schedule_and_keeps_its_template),
        WITH_QUEUE(schedule_ends_at_end_time),
        WITH_QUEUE(skips_missed_times),
        WITH_QUEUE(a_pattern_goes_on_after_its_last_time),
        WITH_QUEUE(a_taken_time_does_not_stop_a_schedule),
        WITH_QUEUE(reports_job_without_schedule_options),
        WITH_QUEUE(accepts_odd_numbers_in_options),
        WITH_QUEUE(removing_takes_the_next_job_along),
        WITH_QUEUE(the_current_job_of_a_scheduler_is_kept_by_remove),
        WITH_QUEUE(schedulers_are_listed_by_time),
        WITH_QUEUE(lists_many_schedulers),
        WITH_QUEUE(bad_schedules_are_refused),
        WITH_QUEUE(rejects_end_before_next_time),
        WITH_QUEUE(bad_ids_are_refused),
        WITH_QUEUE(rejects_job_specific_options_in_template),
        WITH_QUEUE(a_worker_keeps_a_schedule_going),
        WITH_QUEUE(a_worker_stops_at_the_limit),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
