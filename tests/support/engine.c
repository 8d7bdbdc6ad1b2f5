/* engine.c - a worker of libox under test; see engine.h. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

struct engine *engine;

/* ---- the loop ---------------------------------------------------------------------------- */

static void on_tick(uv_timer_t *timer)
{
    (void)timer; /* only ends uv_run(ONCE) now and then */
}

bool engine_turn_until(bool (*is_so)(void), int64_t deadline_ms)
{
    int64_t end = test_now_ms() + deadline_ms;
    uv_timer_t timer;
    uv_timer_init(&engine->loop, &timer);
    uv_timer_start(&timer, on_tick, 5, 5);
    bool so = is_so();
    while (!so && test_now_ms() < end) {
        uv_run(&engine->loop, UV_RUN_ONCE);
        so = is_so();
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&engine->loop, UV_RUN_NOWAIT);
    return so;
}

void engine_turn_for(int64_t ms)
{
    int64_t end = test_now_ms() + ms;
    while (test_now_ms() < end) {
        uv_run(&engine->loop, UV_RUN_NOWAIT);
    }
}

/* ---- the processor ----------------------------------------------------------------------- */

static void go_on(ox_task *task, void *arg)
{
    (void)arg;
    engine->went_on++;
    ox_task_complete(task, "\"went on\"");
}

static void end_held(uv_timer_t *timer)
{
    ox_task_complete(timer->data, "1");
    uv_close((uv_handle_t *)timer, (uv_close_cb)g_free);
}

static void hold_for(ox_task *task, uint64_t ms)
{
    uv_timer_t *timer = g_new0(uv_timer_t, 1);
    uv_timer_init(&engine->loop, timer);
    timer->data = task;
    uv_timer_start(timer, end_held, ms, 0);
}

static void do_talk(ox_task *task)
{
    assert_int_equal(ox_task_progress(task, "{\"done\":5}"), 0);
    assert_int_equal(ox_task_progress(task, "{nonsense"), OX_EINVAL);
    assert_int_equal(ox_task_log(task, "a row"), 0);
    assert_int_equal(ox_task_update_data(task, "[1]"), 0);
    assert_int_equal(ox_task_complete(task, NULL), 0);
}

static void do_as_named(ox_task *task, const char *name)
{
    static const ox_failure failure = { .reason = "no good" };
    static const ox_failure final = { .reason = "never", .unrecoverable = true };
    bool first = ox_job_number(ox_task_job(task), OX_JOB_ATTEMPTS_STARTED, 0) == 0;
    if (strcmp(name, "fail") == 0) {
        ox_task_fail(task, &failure);
    } else if (strcmp(name, "never") == 0) {
        ox_task_fail(task, &final);
    } else if (strcmp(name, "hold") == 0) {
        g_ptr_array_add(engine->held, task);
    } else if (strcmp(name, "slow") == 0) {
        hold_for(task, 20);
    } else if (strcmp(name, "bad") == 0) {
        assert_int_equal(ox_task_complete(task, "{nonsense"), OX_EINVAL);
    } else if (strcmp(name, "talk") == 0) {
        do_talk(task);
    } else if (strcmp(name, "later") == 0 && first) {
        ox_task_delay(task, test_unix_ms() + 50);
    } else if (strcmp(name, "back") == 0 && first) {
        ox_task_release(task);
    } else if (strcmp(name, "limit") == 0 && first) {
        ox_task_rate_limited(task, 150);
    } else if (strcmp(name, "children") == 0) {
        ox_task_wait_children(task, go_on, NULL);
    } else {
        ox_task_complete(task, "{\"ok\":true}");
    }
}

static void process(ox_task *task, void *arg)
{
    const char *name = ox_job_text(ox_task_job(task), OX_JOB_NAME);
    uint32_t running = ox_worker_running(ox_task_worker(task));
    (void)arg;
    engine->started++;
    engine->attempt = ox_task_attempt(task);
    engine->last_start_ms = test_unix_ms();
    engine->most_running = MAX(running, engine->most_running);
    g_string_append_printf(engine->order, "%s:%s ", name, ox_job_id(ox_task_job(task)));
    if (engine->process) {
        engine->process(task);
    } else {
        do_as_named(task, name);
    }
}

static void on_lost(ox_task *task, void *arg)
{
    (void)arg;
    engine->n_lost++;
    if (engine->lost) {
        engine->lost(task);
    }
}

static void on_error(ox_worker *worker, const char *job_id, const ox_error *error, void *arg)
{
    (void)worker;
    (void)job_id;
    (void)arg;
    engine->errors++;
    snprintf(engine->last_error, sizeof(engine->last_error), "%s", error->text);
}

static void on_run_ended(ox_worker *worker, const ox_run_end *end, void *arg)
{
    static const char *const names[] = { "", "completed", "failed", "retried", "delayed",
        "released", "waits" };
    if (end->err) {
        on_error(worker, ox_job_id(end->job), end->err, arg);
    }
    g_string_append_printf(engine->told, "%s %s%s%s%s%s%s\n", ox_job_id(end->job),
        names[end->outcome], end->unrun ? " unrun" : "", end->reason ? " " : "",
        end->reason ? end->reason : "", end->err ? ": " : "", end->err ? end->err->text : "");
}

static void on_notice(ox_worker *worker, int notice, const char *job_id, void *arg)
{
    (void)worker;
    (void)arg;
    g_string_append_printf(engine->noticed, "%s %d\n", job_id, notice);
}

static void on_ready(ox_worker *worker, void *arg)
{
    (void)worker;
    (void)arg;
    engine->ready++;
}

static void on_updates_done(ox_task *task, void *arg)
{
    (void)arg;
    assert_int_equal(ox_task_pending_updates(task), 0);
    engine->updates_done++;
}

/* ---- the worker -------------------------------------------------------------------------- */

int engine_try_start(ox_error *err)
{
    engine->options.lock_lost = on_lost;
    engine->options.error = on_error;
    engine->options.ready = on_ready;
    engine->options.run_ended = on_run_ended;
    engine->options.notice = on_notice;
    engine->options.updates_done = on_updates_done;
    return ox_worker_new(
        &engine->worker, &engine->loop, engine->queue, &engine->options, process, NULL, err);
}

void engine_start(void)
{
    ox_error err = { 0 };
    if (engine_try_start(&err) < 0) {
        test_fatal("%s", err.text);
    }
}

void engine_on_closed(void *arg)
{
    (void)arg;
    engine->closed = true;
    engine->worker = NULL;
}

void engine_close(void)
{
    engine->closed = false;
    ox_worker_close(engine->worker, engine_on_closed, NULL);
    assert_true(engine_turn_until(engine_is_closed, ENGINE_DEADLINE_MS));
}

void engine_abort(void)
{
    engine->closed = false;
    ox_worker_abort(engine->worker, engine_on_closed, NULL);
    assert_true(engine_turn_until(engine_is_closed, ENGINE_DEADLINE_MS));
}

/* ---- states that tests wait for ---------------------------------------------------------- */

static long long wanted;

static bool completed(void)
{
    return engine_size("ZCARD", "completed") >= wanted;
}

static bool failed(void)
{
    return engine_size("ZCARD", "failed") >= wanted;
}

static bool started(void)
{
    return engine->started >= wanted;
}

bool engine_is_closed(void)
{
    return engine->closed;
}

bool engine_is_ready(void)
{
    return engine->ready > 0;
}

bool engine_has_lost(void)
{
    return engine->n_lost > 0;
}

bool engine_has_errors(void)
{
    return engine->errors > 0;
}

static void wait_for(bool (*is_so)(void), const char *what, long long count)
{
    wanted = count;
    if (!engine_turn_until(is_so, ENGINE_DEADLINE_MS)) {
        test_fatal("not %s in time: %lld; the last error: %s", what, count, engine->last_error);
    }
}

void engine_wait_completed(long long count)
{
    wait_for(completed, "completed", count);
}

void engine_wait_failed(long long count)
{
    wait_for(failed, "failed", count);
}

void engine_wait_started(long long count)
{
    wait_for(started, "started", count);
}

static const char *wanted_line;

static bool has_line(const GString *lines)
{
    g_auto(GStrv) all = g_strsplit(lines->str, "\n", -1);
    return g_strv_contains((const char *const *)all, wanted_line);
}

static bool has_told(void)
{
    return has_line(engine->told);
}

static bool has_noticed(void)
{
    return has_line(engine->noticed);
}

void engine_wait_told(const char *line)
{
    wanted_line = line;
    if (!engine_turn_until(has_told, ENGINE_DEADLINE_MS)) {
        test_fatal("not told in time: %s; but: %s", line, engine->told->str);
    }
}

void engine_wait_noticed(const char *line)
{
    wanted_line = line;
    if (!engine_turn_until(has_noticed, ENGINE_DEADLINE_MS)) {
        test_fatal("not noticed in time: %s; but: %s", line, engine->noticed->str);
    }
}

/* ---- jobs -------------------------------------------------------------------------------- */

char *engine_add(const char *name, const ox_job_options *options)
{
    char *id = NULL;
    ox_error err = { 0 };
    if (ox_queue_add(engine->queue, name, NULL, options, &id, &err) < 0) {
        test_fatal("%s", err.text);
    }
    return id;
}

void engine_add_many(const char *name, size_t count, const ox_job_options *options)
{
    for (size_t i = 0; i < count; i++) {
        ox_free(engine_add(name, options));
    }
}

long long engine_size(const char *command, const char *suffix)
{
    return test_redis_int(engine->redis, "%s bull:q:%s", command, suffix);
}

void engine_expect_field(const char *id, const char *field, const char *value)
{
    g_autofree char *text = test_redis_text(engine->redis, "HGET bull:q:%s %s", id, field);
    if (g_strcmp0(text, value) != 0) {
        test_fatal("job %s: %s is %s, not %s", id, field, text ? text : "missing",
            value ? value : "missing");
    }
}

void engine_expect_clean(void)
{
    assert_int_equal(engine_size("LLEN", "active"), 0);
    redisReply *locks = test_redis_command(engine->redis, "KEYS bull:q:*:lock");
    assert_int_equal(locks->elements, 0);
    freeReplyObject(locks);
}

/* ---- set up ------------------------------------------------------------------------------ */

int engine_up_with(const char *const *args)
{
    ox_error err = { 0 };
    engine = g_new0(struct engine, 1);
    engine->redis = test_redis_start(args);
    engine->order = g_string_new(NULL);
    engine->held = g_ptr_array_new();
    engine->told = g_string_new(NULL);
    engine->noticed = g_string_new(NULL);
    const ox_client_options options = { .url = test_redis_url(engine->redis) };
    uv_loop_init(&engine->loop);
    if (ox_client_new(&engine->client, &options, &err) < 0 ||
        ox_queue_new(&engine->queue, engine->client, "q", NULL, &err) < 0) {
        test_fatal("%s", err.text);
    }
    return 0;
}

int engine_up(void **state)
{
    (void)state;
    return engine_up_with(NULL);
}

int engine_down(void **state)
{
    (void)state;
    if (engine->worker) {
        engine_abort();
    }
    uv_run(&engine->loop, UV_RUN_NOWAIT);
    assert_int_equal(uv_loop_close(&engine->loop), 0);
    ox_queue_free(engine->queue);
    ox_client_free(engine->client);
    test_redis_stop(engine->redis);
    g_string_free(engine->order, TRUE);
    g_string_free(engine->told, TRUE);
    g_string_free(engine->noticed, TRUE);
    g_ptr_array_free(engine->held, TRUE);
    g_free(engine);
    return 0;
}
