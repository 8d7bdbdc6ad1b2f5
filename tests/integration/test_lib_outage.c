/*
 * test_lib_outage.c - the worker engine of libox when the server is away, starts again, hangs
 * or loads, and when locks are lost by it or otherwise.
 */
#include "../support/check.h"

#include "../support/engine.h"
#include "../support/jobs.h"
#include "lib/engine/jobs.h"

#include <signal.h>
#include <string.h>

static void test_reports_lost_lock(void **state)
{
    (void)state;
    engine->options.lock_ms = 300;
    engine->options.renew_ms = 50;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    test_redis_do(engine->redis, "SET bull:q:%s:lock another", id);
    assert_true(engine_turn_until(engine_has_lost, ENGINE_DEADLINE_MS));
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    engine_close();
    engine_expect_field(id, "returnvalue", NULL);
    engine_expect_field(id, "finishedOn", NULL);
}

static void add_held(void)
{
    g_ptr_array_set_size(engine->held, 0);
    engine->options.concurrency = 4;
    engine_add_many("hold", 2, NULL);
    engine_start();
    engine_wait_started(2);
}

/* The locks ran out while the server could not be reached, and others saw it meanwhile. */
static void lose_locks(void)
{
    test_redis_kill(engine->redis);
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    test_redis_revive(engine->redis);
    test_redis_do(engine->redis, "DEL bull:q:1:lock bull:q:2:lock");
    test_redis_do(engine->redis, "SADD bull:q:stalled 1 2");
}

/* An outage runs nothing twice: the locks are taken again, and the runs go on. */
static void test_locks_are_taken_again_after_an_outage(void **state)
{
    (void)state;
    engine->options.stalled_interval_ms = 50;
    add_held();
    lose_locks();
    engine_wait_noticed("1 4");
    engine_wait_noticed("2 4");
    assert_int_equal(engine->n_lost, 0);
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    ox_task_complete(g_ptr_array_index(engine->held, 1), "1");
    engine_wait_told("1 completed");
    engine_wait_told("2 completed");
    engine_wait_completed(2);
    assert_int_equal(engine->started, 2);
    engine_expect_field("1", "stc", NULL);
    engine_expect_clean();
    engine_close();
}

/* So are results that come late: here the ends are sent before the locks are asked for. */
static void test_results_after_an_outage_are_stored(void **state)
{
    (void)state;
    engine->options.stalled_interval_ms = 50;
    add_held();
    test_redis_kill(engine->redis);
    ox_task_complete(g_ptr_array_index(engine->held, 0), "\"late\"");
    ox_task_fail(g_ptr_array_index(engine->held, 1), NULL);
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    test_redis_revive(engine->redis);
    test_redis_do(engine->redis, "DEL bull:q:1:lock bull:q:2:lock");
    engine_wait_told("1 completed");
    engine_wait_told("2 failed failed");
    engine_expect_field("1", "returnvalue", "\"late\"");
    assert_int_equal(engine->started, 2);
    engine_expect_clean();
    engine_close();
}

/* A worker that had to wait for the server gives others the time to take their locks again. */
static void test_a_start_that_waits_checks_later(void **state)
{
    (void)state;
    engine->options.lock_ms = 2000;
    engine->options.stalled_interval_ms = 50;
    g_free(engine_add("ok", NULL));
    test_redis_do(engine->redis, "RPOPLPUSH bull:q:wait bull:q:active");
    test_redis_do(engine->redis, "SADD bull:q:stalled 1");
    test_redis_kill(engine->redis);
    engine_start();
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    int64_t before_ms = test_now_ms();
    test_redis_revive(engine->redis);
    engine_wait_noticed("1 1");
    assert_true(test_now_ms() - before_ms >= 2000);
    engine_wait_completed(1);
    engine_close();
}

/* Cut off for as long as the lock lasts, the run ends, and no attempt is spent. */
static void test_a_run_that_is_cut_off_may_be_ended(void **state)
{
    (void)state;
    engine->options.lock_ms = 600;
    engine->options.on_disconnect = OX_DISCONNECT_KILL;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    test_redis_kill(engine->redis);
    assert_true(engine_turn_until(engine_has_lost, ENGINE_DEADLINE_MS));
    assert_non_null(
        strstr(engine->last_error, "no connection to Redis until the lock expired"));
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    test_redis_revive(engine->redis);
    engine_wait_told("1 released");
    engine_wait_started(2);
    engine_expect_field(id, "stc", NULL);
    engine_expect_field(id, "atm", NULL);
    engine_expect_field(id, "returnvalue", NULL);
    engine_abort();
}

/* By default it goes on, for however long. */
static void test_a_run_that_is_cut_off_goes_on(void **state)
{
    (void)state;
    engine->options.lock_ms = 300;
    engine_add_many("hold", 1, NULL);
    engine_start();
    engine_wait_started(1);
    test_redis_kill(engine->redis);
    int64_t end = test_now_ms() + 900;
    while (test_now_ms() < end) {
        uv_run(&engine->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(engine->n_lost, 0);
    test_redis_revive(engine->redis);
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    engine_wait_told("1 completed");
    engine_close();
}

/* A take whose reply was lost left a job under its token: it waits again, without a stall. */
static void test_a_lost_take_is_returned(void **state)
{
    (void)state;
    engine_start();
    assert_true(engine_turn_until(engine_is_ready, ENGINE_DEADLINE_MS));
    test_redis_int(engine->redis, "HSET bull:q:1 name ok data {} opts {} ats 1 processedOn 5");
    test_redis_int(engine->redis, "HSET bull:q:2 name ok data {} opts {} ats 1 processedOn 5");
    test_redis_do(engine->redis, "SET bull:q:1:lock ours:7 PX 60000");
    test_redis_do(engine->redis, "SET bull:q:2:lock theirs:7 PX 60000");
    test_redis_int(engine->redis, "LPUSH bull:q:active 1 2");
    char token[OX__TOKEN_MAX] = "ours:7";
    ox__lost_add(&engine->worker->engine.lost, token);
    ox__lost_look(&engine->worker->engine.lost);
    engine_wait_noticed("1 3");
    engine_wait_told("1 completed");
    engine_expect_field("1", "stc", NULL);
    engine_expect_field("1", "ats", "1");
    assert_int_equal(engine->started, 1);
    assert_int_equal(test_redis_int(engine->redis, "EXISTS bull:q:2:lock"), 1);
    engine_close();
}

/* Another worker was given the job meanwhile: ours has lost it, whether it has a lock or not.
 */
static void test_a_job_that_others_had_meanwhile_is_lost(void **state)
{
    (void)state;
    engine->options.renew_ms = 50;
    add_held();
    test_redis_do(engine->redis, "DEL bull:q:1:lock bull:q:2:lock");
    test_redis_int(engine->redis, "HSET bull:q:1 ats 2");
    test_redis_int(engine->redis, "LREM bull:q:active 1 2");
    test_redis_int(engine->redis, "ZADD bull:q:delayed 9000000000000000 2");
    assert_true(engine_turn_until(engine_has_lost, ENGINE_DEADLINE_MS));
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    ox_task_complete(g_ptr_array_index(engine->held, 1), "1");
    engine_close();
    engine_expect_field("1", "returnvalue", NULL);
    engine_expect_field("2", "returnvalue", NULL);
    assert_null(strstr(engine->noticed->str, "4"));
}

static void test_scripts_flushed_under_load(void **state)
{
    (void)state;
    engine->options.concurrency = 20;
    engine_start();
    for (int i = 0; i < 50; i++) {
        engine_add_many("ok", 20, NULL);
        test_redis_do(engine->redis, "SCRIPT FLUSH");
        uv_run(&engine->loop, UV_RUN_NOWAIT);
    }
    engine_wait_completed(1000);
    assert_int_equal(engine->started, 1000);
    assert_int_equal(engine->errors, 0);
    engine_close();
    engine_expect_clean();
}

static void test_survives_a_restart_of_the_server(void **state)
{
    (void)state;
    engine->options.lock_ms = 10000;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    test_redis_kill(engine->redis);
    ox_task_complete(g_ptr_array_index(engine->held, 0), "\"kept\"");
    uv_run(&engine->loop, UV_RUN_ONCE);
    test_redis_revive(engine->redis);
    engine_wait_completed(1);
    engine_expect_field(id, "returnvalue", "\"kept\"");
    assert_true(engine->errors > 0); /* the loss was told */
    engine_add_many("ok", 3, NULL);
    engine_wait_completed(4);
    engine_close();
    engine_expect_clean();
}

static int loading_up(void **state)
{
    static const char *const args[] = { "--enable-debug-command", "yes",
        "--loading-process-events-interval-bytes", "1024", NULL };
    (void)state;
    return engine_up_with(args);
}

static bool is_loading(void *arg)
{
    (void)arg;
    redisReply *reply = test_redis_command(engine->redis, "PING");
    bool loading = reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "LOADING");
    freeReplyObject(reply);
    return loading;
}

static void test_results_wait_for_a_server_that_loads(void **state)
{
    (void)state;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    test_redis_do(engine->redis, "DEBUG POPULATE 200 filler 200");
    test_redis_do(engine->redis, "CONFIG SET key-load-delay 5000");
    redisContext *other = redisConnectUnix(engine->redis->socket);
    int sent = 0;
    redisAppendCommand(other, "DEBUG RELOAD");
    while (!sent) {
        assert_int_equal(redisBufferWrite(other, &sent), REDIS_OK);
    }
    assert_true(test_wait_for(ENGINE_DEADLINE_MS, is_loading, NULL));
    ox_task_complete(g_ptr_array_index(engine->held, 0), "\"kept\"");
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    assert_non_null(strstr(engine->last_error, "LOADING"));
    redisReply *reply = NULL;
    assert_int_equal(redisGetReply(other, (void **)&reply), REDIS_OK);
    assert_string_equal(reply->str, "OK");
    freeReplyObject(reply);
    redisFree(other);
    engine_wait_completed(1);
    engine_expect_field(id, "returnvalue", "\"kept\"");
    assert_int_equal(engine->started, 1);
    engine_close();
    engine_expect_clean();
}

static void end_it(ox_task *task)
{
    ox_task_complete(task, NULL);
}

static bool nothing_runs(void)
{
    return ox_worker_running(engine->worker) == 0;
}

static void must_not_go_on(ox_task *task, void *arg)
{
    (void)task;
    (void)arg;
    test_fatal("a task went on that was lost");
}

/* The lease is lost while the task waits for its children: it is not the user's then. */
static void test_lock_lost_while_waiting_for_children(void **state)
{
    (void)state;
    engine->options.renew_ms = 20;
    engine->lost = end_it;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    test_redis_do(engine->redis, "SET bull:q:%s:lock another", id);
    test_redis_do(engine->redis, "CLIENT PAUSE 300 ALL");
    engine_turn_for(100); /* a renewal is on its way */
    ox_task_wait_children(g_ptr_array_index(engine->held, 0), must_not_go_on, NULL);
    assert_true(engine_turn_until(nothing_runs, ENGINE_DEADLINE_MS));
    assert_int_equal(engine->n_lost, 0);
    assert_int_equal(engine->errors, 2);
    engine_close();
}

/* A result that the server does not take: it hangs up while the rest of it is being sent. (What
 * is written after a hangup, which would raise SIGPIPE, is the matter of test_lib_hangup.c.) */
static void test_a_server_that_hangs_up_on_a_large_result(void **state)
{
    (void)state;
    g_autofree char *id = engine_add("hold", NULL);
    g_autofree char *large = g_strnfill(8000002, 'x');
    large[0] = large[8000001] = '"';
    engine_start();
    engine_wait_started(1);
    test_redis_do(engine->redis, "CONFIG SET proto-max-bulk-len 1mb");
    ox_task_complete(g_ptr_array_index(engine->held, 0), large);
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    test_redis_do(engine->redis, "CONFIG SET proto-max-bulk-len 512mb");
    engine_add_many("ok", 1, NULL);
    engine_wait_completed(1);
    engine_close();
}

/* However near to the lease the renewals are, and whenever a job starts between them. */
static void test_locks_outlive_late_renewals(void **state)
{
    (void)state;
    engine->options.concurrency = 10;
    engine->options.lock_ms = 600;
    engine->options.renew_ms = 500;
    engine_start();
    assert_true(engine_turn_until(engine_is_ready, ENGINE_DEADLINE_MS));
    for (int i = 0; i < 5; i++) {
        engine_add_many("hold", 1, NULL);
        engine_turn_for(100);
    }
    engine_wait_started(5);
    engine_turn_for(1500);
    assert_int_equal(engine->n_lost, 0);
    for (guint i = 0; i < engine->held->len; i++) {
        ox_task_complete(g_ptr_array_index(engine->held, i), "1");
    }
    engine_wait_completed(5);
    engine_close();
}

/* A server that hangs is one that is away: calls end in time, and come again. */
static void test_survives_a_server_that_hangs(void **state)
{
    const ox_client_options hasty = { .url = test_redis_url(engine->redis),
        .connect_timeout_ms = 100,
        .command_timeout_ms = 100 };
    ox_error err = { 0 };
    (void)state;
    ox_queue_free(engine->queue);
    ox_client_free(engine->client);
    test_ok(ox_client_new(&engine->client, &hasty, &err), &err);
    test_ok(ox_queue_new(&engine->queue, engine->client, "q", NULL, &err), &err);
    engine->options.drain_delay_ms = 100;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    kill(engine->redis->pid, SIGSTOP);
    ox_task_complete(g_ptr_array_index(engine->held, 0), "\"kept\"");
    assert_true(engine_turn_until(engine_has_errors, ENGINE_DEADLINE_MS));
    engine_turn_for(500);
    kill(engine->redis->pid, SIGCONT);
    engine_wait_completed(1);
    engine_expect_field(id, "returnvalue", "\"kept\"");
    assert_int_equal(engine->started, 1);
    engine_add_many("ok", 3, NULL);
    engine_wait_completed(4);
    engine_close();
    engine_expect_clean();
}

/* No connection breaks when a server is stopped, but locks run out. Checks for stalled jobs
 * that were sent meanwhile give back nothing that runs. */
static bool is_noted(void)
{
    return engine_size("SCARD", "stalled") == 1;
}

static void test_a_stopped_server_makes_nothing_stall(void **state)
{
    (void)state;
    engine->options.lock_ms = 2500;
    engine->options.stalled_interval_ms = 100;
    g_autofree char *id = engine_add("hold", NULL);
    engine_start();
    engine_wait_started(1);
    assert_true(engine_turn_until(is_noted, ENGINE_DEADLINE_MS));
    kill(engine->redis->pid, SIGSTOP);
    engine_turn_for(2700);
    kill(engine->redis->pid, SIGCONT);
    engine_turn_for(500); /* renewals, and what would be checks */
    assert_int_equal(engine->started, 1);
    ox_task_complete(g_ptr_array_index(engine->held, 0), "1");
    engine_wait_completed(1);
    engine_close();
    engine_expect_clean();
}

/* With nothing to store there is nothing to wait for. */
static void test_an_idle_worker_closes_without_a_server(void **state)
{
    (void)state;
    test_redis_kill(engine->redis);
    engine_start();
    engine_turn_for(200);
    assert_true(engine->errors > 0);
    assert_int_equal(engine->ready, 0);
    engine_close();
    test_redis_revive(engine->redis);
    engine_start();
    assert_true(engine_turn_until(engine_is_ready, ENGINE_DEADLINE_MS));
    test_redis_kill(engine->redis);
    engine_turn_for(50);
    engine_close();
    test_redis_revive(engine->redis);
}

/* A server that has what it answered for after a crash. */
static int durable_up(void **state)
{
    static const char *const args[] = { "--appendonly", "yes", "--appendfsync", "always",
        NULL };
    (void)state;
    return engine_up_with(args);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, engine_up, engine_down)
    const struct CMUnitTest tests[] = {
        TEST(test_reports_lost_lock),
        cmocka_unit_test_setup_teardown(
            test_locks_are_taken_again_after_an_outage, durable_up, engine_down),
        cmocka_unit_test_setup_teardown(
            test_results_after_an_outage_are_stored, durable_up, engine_down),
        cmocka_unit_test_setup_teardown(
            test_a_start_that_waits_checks_later, durable_up, engine_down),
        TEST(test_a_job_that_others_had_meanwhile_is_lost),
        cmocka_unit_test_setup_teardown(
            test_a_run_that_is_cut_off_may_be_ended, durable_up, engine_down),
        cmocka_unit_test_setup_teardown(
            test_a_run_that_is_cut_off_goes_on, durable_up, engine_down),
        TEST(test_a_lost_take_is_returned),
        TEST(test_scripts_flushed_under_load),
        cmocka_unit_test_setup_teardown(
            test_survives_a_restart_of_the_server, durable_up, engine_down),
        cmocka_unit_test_setup_teardown(
            test_results_wait_for_a_server_that_loads, loading_up, engine_down),
        TEST(test_lock_lost_while_waiting_for_children),
        TEST(test_a_server_that_hangs_up_on_a_large_result),
        TEST(test_locks_outlive_late_renewals),
        TEST(test_survives_a_server_that_hangs),
        TEST(test_a_stopped_server_makes_nothing_stall),
        TEST(test_an_idle_worker_closes_without_a_server),
    };
    return cmocka_run_group_tests_name("lib outage", tests, NULL, NULL);
}
