/*
 * test_schedulers_set.c - what setting a job scheduler stores, and when its first job runs; and
 * setting it again.
 *
 * Intervals are an hour, so that the clock moves on without a test noticing.
 */
#include "../support/check.h"

#include <glib.h>
#include <jansson.h>
#include <string.h>

#include "../support/jobs.h"
#include "../support/schedules.h"

/* ---- set --------------------------------------------------------------------------------- */

static void an_interval_starts_now(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule schedule = { .every_ms = HOUR, .limit = 9 };
    const ox_job_options options = { .attempts = 3, .json = "{\"mine\":[1]}" };
    const ox_new_job job = { .name = "tick", .json = "{\"n\":1}", .options = &options };
    int64_t before = test_unix_ms();
    int64_t time = schedule_set(q, "a", &schedule, &job);
    assert_in_range(time, before, test_unix_ms());

    g_autofree char *offset = g_strdup_printf("%" G_GINT64_FORMAT, time % HOUR);
    expect_stored("repeat:a", "name", "tick");
    expect_stored("repeat:a", "every", "3600000");
    expect_stored("repeat:a", "offset", offset);
    expect_stored("repeat:a", "limit", "9");
    expect_stored("repeat:a", "data", "{\"n\":1}");
    expect_stored("repeat:a", "opts", "{\"attempts\":3,\"mine\":[1]}");
    expect_stored("repeat:a", "ic", "1");
    assert_int_equal(test_redis_int(redis, "HLEN bull:q:repeat:a"), 7);

    g_autofree char *id = schedule_job_id("a", time);
    expect_ids("wait", id);
    expect_ids("marker", "0");
    expect_stored(id, "name", "tick");
    expect_stored(id, "data", "{\"n\":1}");
    expect_stored(id, "rjk", "a");
    expect_stored(id, "delay", "0");
    expect_stored(id, "priority", "0");
    assert_int_equal(test_redis_int(redis, "HGET bull:q:%s timestamp", id), time);
    expect_opts(id,
        "{\"attempts\":3,\"mine\":[1],\"jobId\":\"%s\",\"delay\":0,\"repeatJobKey\":\"a\","
        "\"repeat\":{\"every\":3600000,\"limit\":9,\"count\":1}}",
        id);
    g_autofree char *events = test_events(redis, "bull:q:");
    g_autofree char *expected = g_strdup_printf("added %s,waiting %s", id, id);
    assert_string_equal(events, expected);
    assert_int_equal(test_redis_int(redis, "GET bull:q:id"), 1);
}

static void template_omits_defaults(void **state)
{
    struct test_queue *q = *state;
    schedule_every(q, "a", HOUR);
    expect_stored("repeat:a", "name", "a");
    expect_stored("repeat:a", "data", NULL);
    expect_stored("repeat:a", "opts", NULL);
    assert_int_equal(test_redis_int(redis, "HLEN bull:q:repeat:a"), 4);
}

static void an_offset_shifts_the_multiples(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule schedule = { .every_ms = HOUR, .offset_ms = 1234 };
    int64_t before = test_unix_ms();
    int64_t time = schedule_set(q, "a", &schedule, NULL);
    assert_int_equal(time % HOUR, 1234);
    assert_in_range(time, before + 1, test_unix_ms() + HOUR);
    expect_stored("repeat:a", "offset", "1234");
    g_autofree char *id = schedule_job_id("a", time);
    expect_due(id, time);
    expect_ids("marker", "1");
    assert_int_equal(test_redis_int(redis, "ZSCORE bull:q:marker 1"), time);
}

static void an_interval_starts_at_its_start(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule soon = { .every_ms = HOUR, .start_ms = test_unix_ms() + 5000 };
    const ox_schedule past = { .every_ms = HOUR, .start_ms = 5000 };
    assert_int_equal(schedule_set(q, "soon", &soon, NULL), soon.start_ms);
    /* Now is the server's, as estimated by half a round trip. */
    int64_t before = test_unix_ms();
    assert_in_range(schedule_set(q, "past", &past, NULL), before - 1000, test_unix_ms() + 1000);
    expect_stored("repeat:past", "startDate", "5000");
}

static void a_pattern_starts_at_its_next_time(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule schedule = { .pattern = "0 15 3 * * *", .tz = "Europe/Berlin" };
    ox_error err = { 0 };
    int64_t expected = 0;
    test_ok(
        ox_cron_next("0 15 3 * * *", "Europe/Berlin", test_unix_ms(), &expected, &err), &err);
    int64_t time = schedule_set(q, "a", &schedule, NULL);
    assert_int_equal(time, expected);
    expect_stored("repeat:a", "pattern", "0 15 3 * * *");
    expect_stored("repeat:a", "tz", "Europe/Berlin");
    expect_stored("repeat:a", "offset", NULL);
    g_autofree char *id = schedule_job_id("a", time);
    expect_due(id, time);
    json_t *opts = opts_of(id);
    assert_int_equal(json_integer_value(json_object_get(opts, "prevMillis")), time);
    assert_in_range(json_integer_value(json_object_get(opts, "delay")) +
                        json_integer_value(json_object_get(opts, "timestamp")),
        time, time);
    json_decref(opts);
}

static void a_pattern_waits_for_its_start(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule schedule = {
        .pattern = "0 0 * * *", .tz = "UTC", .start_ms = test_unix_ms() + 240 * HOUR
    };
    int64_t time = schedule_set(q, "a", &schedule, NULL);
    assert_in_range(time, schedule.start_ms + 1, schedule.start_ms + 24 * HOUR);
}

static void a_pattern_may_start_immediately(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule schedule = { .pattern = "0 0 1 1 *", .immediately = true };
    int64_t before = test_unix_ms();
    int64_t time = schedule_set(q, "a", &schedule, NULL);
    assert_in_range(time, before, test_unix_ms());
    g_autofree char *id = schedule_job_id("a", time);
    expect_ids("wait", id);
}

static void jobs_follow_the_options_of_the_template(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule schedule = { .every_ms = HOUR };
    const ox_job_options urgent = { .priority = 7 }, next = { .lifo = true };
    const ox_new_job first = { .name = "a", .options = &urgent };
    const ox_new_job second = { .name = "b", .options = &next };
    g_autofree char *plain = test_add(q->queue, "plain", NULL);
    g_autofree char *a = schedule_job_id("a", schedule_set(q, "a", &schedule, &first));
    expect_ids("prioritized", a);
    expect_stored(a, "priority", "7");
    g_autofree char *b = schedule_job_id("b", schedule_set(q, "b", &schedule, &second));
    g_autofree char *wait = g_strdup_printf("%s,%s", plain, b);
    expect_ids("wait", wait);
}

/* ---- set again --------------------------------------------------------------------------- */

static void update_keeps_time_and_replaces_job(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule schedule = { .every_ms = HOUR, .offset_ms = 1 };
    const ox_new_job old = { .name = "old", .json = "1" }, new = { .name = "new", .json = "2" };
    int64_t time = schedule_set(q, "a", &schedule, &old);
    run("HSET bull:q:repeat:a ic 5");
    assert_int_equal(schedule_set(q, "a", &schedule, &new), time);
    g_autofree char *id = schedule_job_id("a", time);
    expect_ids("delayed", id);
    expect_stored(id, "name", "new");
    expect_stored(id, "data", "2");
    expect_stored("repeat:a", "name", "new");
    expect_stored("repeat:a", "ic", "5");
    assert_int_equal(schedule_jobs_of("a"), 1);
}

/* Wherever the old job waits; the old ones leave logs behind, which go as well. */
static void update_finds_job_in_any_waiting_state(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule schedule = { .every_ms = HOUR };
    const ox_job_options urgent = { .priority = 7 };
    const ox_new_job job = { .name = "job", .options = &urgent };
    int64_t time = schedule_set(q, "a", &schedule, &job);
    run("RPUSH bull:q:repeat:a:%lld:logs x", time);
    g_autofree char *id = schedule_job_id("a", time);
    expect_ids("prioritized", id);
    assert_int_equal(schedule_set(q, "a", &schedule, NULL), time);
    expect_ids("prioritized", "");
    expect_ids("wait", id);
    assert_int_equal(schedule_set(q, "a", &schedule, &job), time);
    expect_ids("wait", "");
    expect_ids("prioritized", id);
    assert_int_equal(schedule_jobs_of("a"), 1);
}

/* BullMQ looks into the wrong list while the queue is paused, and adds a second job. */
static void update_while_paused_adds_no_second_job(void **state)
{
    struct test_queue *q = *state;
    int64_t time = schedule_every(q, "a", HOUR);
    g_autofree char *id = schedule_job_id("a", time);
    run("HSET bull:q:meta paused 1");
    run("DEL bull:q:marker");
    assert_int_equal(schedule_every(q, "a", HOUR), time);
    expect_ids("wait", id);
    assert_int_equal(schedule_jobs_of("a"), 1);

    /* As a client of 5.x leaves it. */
    run("RENAME bull:q:wait bull:q:paused");
    assert_int_equal(schedule_every(q, "a", HOUR), time);
    expect_ids("paused", "");
    expect_ids("wait", id);
    assert_int_equal(schedule_jobs_of("a"), 1);
    expect_ids("marker", "");
}

static void a_new_interval_starts_anew(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule hourly = { .every_ms = HOUR, .offset_ms = 1 };
    const ox_schedule shifted = { .every_ms = 2 * HOUR, .offset_ms = 77 };
    schedule_set(q, "a", &hourly, NULL);
    int64_t before = test_unix_ms();
    int64_t time = schedule_every(q, "a", 2 * HOUR);
    assert_in_range(time, before, test_unix_ms());
    assert_int_equal(schedule_jobs_of("a"), 1);
    assert_int_equal(test_redis_int(redis, "HGET bull:q:repeat:a offset"), time % (2 * HOUR));
    assert_int_equal(schedule_set(q, "a", &shifted, NULL) % (2 * HOUR), 77);
    assert_int_equal(schedule_jobs_of("a"), 1);
}

static void a_scheduler_may_change_its_kind(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule yearly = { .pattern = "0 0 1 1 *" };
    schedule_every(q, "a", HOUR);
    schedule_set(q, "a", &yearly, NULL);
    expect_stored("repeat:a", "every", NULL);
    expect_stored("repeat:a", "offset", NULL);
    assert_int_equal(schedule_jobs_of("a"), 1);
    int64_t before = test_unix_ms();
    assert_in_range(schedule_every(q, "a", HOUR), before, test_unix_ms());
    expect_stored("repeat:a", "pattern", NULL);
    assert_int_equal(schedule_jobs_of("a"), 1);
}

static void update_keeps_active_job(void **state)
{
    struct test_queue *q = *state;
    int64_t time = schedule_every(q, "a", HOUR);
    g_autofree char *taken = test_take(q->queue);
    int64_t next = schedule_every(q, "a", HOUR);
    assert_int_equal(next, time + HOUR);
    expect_ids("active", taken);
    g_autofree char *id = schedule_job_id("a", next);
    expect_ids("delayed", id);

    /* The running one is not the current one any more: it makes no third. */
    ox_error err = { 0 };
    assert_int_equal(schedule_iterate(q, taken, &err), 0);
    assert_int_equal(schedule_jobs_of("a"), 2);
}

static void update_skips_missed_times(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule schedule = { .every_ms = HOUR, .offset_ms = 99 };
    int64_t time = schedule_set(q, "a", &schedule, NULL);
    schedule_in_the_past("a", time, time - 50 * HOUR);
    int64_t before = test_unix_ms();
    time = schedule_set(q, "a", &schedule, NULL);
    assert_int_equal(time % HOUR, 99);
    assert_in_range(time, before + 1, test_unix_ms() + HOUR);
}

/* ---- times that are taken ---------------------------------------------------------------- */

/* BullMQ gives up after 32. */
static void interval_skips_taken_times(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule schedule = { .every_ms = HOUR, .start_ms = test_unix_ms() + HOUR };
    for (int i = 0; i < 40; i++)
        schedule_occupy("a", schedule.start_ms + i * HOUR);
    assert_int_equal(schedule_set(q, "a", &schedule, NULL), schedule.start_ms + 40 * HOUR);
}

static void pattern_skips_taken_times(void **state)
{
    struct test_queue *q = *state;
    const ox_schedule schedule = { .pattern = "0 0 1 1 *", .tz = "UTC" };
    ox_error err = { 0 };
    int64_t first = 0, second = 0;
    test_ok(ox_cron_next(schedule.pattern, "UTC", test_unix_ms(), &first, &err), &err);
    test_ok(ox_cron_next(schedule.pattern, "UTC", first, &second, &err), &err);
    schedule_occupy("a", first);
    assert_int_equal(schedule_set(q, "a", &schedule, NULL), second);
}

static void all_times_taken_changes_nothing(void **state)
{
    struct test_queue *q = *state;
    ox_error err = { 0 };
    const ox_schedule old = { .every_ms = 2 * HOUR, .offset_ms = 5 };
    const ox_schedule busy = { .every_ms = HOUR, .start_ms = test_unix_ms() + HOUR };
    const ox_schedule yearly = { .pattern = "0 0 1 1 *", .tz = "UTC" };
    int64_t time = test_unix_ms();
    schedule_set(q, "a", &old, NULL);
    for (int i = 0; i < 1000; i++)
        schedule_occupy("a", busy.start_ms + i * HOUR);
    for (int i = 0; i < 32; i++) {
        test_ok(ox_cron_next(yearly.pattern, "UTC", time, &time, &err), &err);
        schedule_occupy("a", time);
    }
    g_autofree char *before = redis_snapshot();
    assert_int_equal(ox_scheduler_set(q->queue, "a", &busy, NULL, NULL, &err), OX_ESLOT);
    assert_non_null(strstr(err.text, "scheduler a: "));
    assert_int_equal(ox_scheduler_set(q->queue, "a", &yearly, NULL, NULL, &err), OX_ESLOT);
    g_autofree char *after = redis_snapshot();
    assert_string_equal(before, after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(an_interval_starts_now),
        WITH_QUEUE(template_omits_defaults),
        WITH_QUEUE(an_offset_shifts_the_multiples),
        WITH_QUEUE(an_interval_starts_at_its_start),
        WITH_QUEUE(a_pattern_starts_at_its_next_time),
        WITH_QUEUE(a_pattern_waits_for_its_start),
        WITH_QUEUE(a_pattern_may_start_immediately),
        WITH_QUEUE(jobs_follow_the_options_of_the_template),
        WITH_QUEUE(update_keeps_time_and_replaces_job),
        WITH_QUEUE(update_finds_job_in_any_waiting_state),
        WITH_QUEUE(update_while_paused_adds_no_second_job),
        WITH_QUEUE(a_new_interval_starts_anew),
        WITH_QUEUE(a_scheduler_may_change_its_kind),
        WITH_QUEUE(update_keeps_active_job),
        WITH_QUEUE(update_skips_missed_times),
        WITH_QUEUE(interval_skips_taken_times),
        WITH_QUEUE(pattern_skips_taken_times),
        WITH_QUEUE(all_times_taken_changes_nothing),
    };
    return cmocka_run_group_tests(tests, test_server_up, test_server_down);
}
