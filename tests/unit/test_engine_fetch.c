/*
 * test_engine_fetch.c - a worker's engine without a server: jobs whose data or options are
 * large and read by themselves, and what happens meanwhile; see engine_rig.h.
 */
#include "engine_rig.h"

#define GONE "*1\r\n$-1\r\n"

/* Answers a take with the job 1, of which `data` and `opts` are given as RESP. */
static void take_with(const char *data, const char *opts)
{
    struct ox__request *request = sent(t.scripts, "take_jobs");
    g_autofree char *head = taken(request, 0, 0, 0, "0");
    GString *resp = g_string_new("*14\r\n:1\r\n");
    assert_non_null(request);
    g_string_append(resp, strstr(head, ":0\r\n") + 4); /* behind the number of jobs */
    put_bulk(resp, "1");
    put_bulk(resp, "n");
    g_string_append_printf(resp, "%s\r\n%s\r\n", data, opts);
    put_bulk(resp, "1");
    g_string_append(resp, "$-1\r\n$-1\r\n$-1\r\n$-1\r\n");
    answer(request, resp->str);
    g_string_free(resp, TRUE);
}

/* The request for what is large of job 1. */
static struct ox__request *fetch(const char *fields)
{
    struct ox__request *request = sent(t.scripts, NULL);
    for (; request != NULL; request = sent(t.scripts, NULL)) {
        g_autoptr(GPtrArray) all = arguments(request);
        if (strcmp(all->pdata[0], "HMGET") == 0) {
            g_ptr_array_add(all, NULL);
            g_autofree char *text = g_strjoinv(" ", (char **)all->pdata + 1);
            assert_string_equal(text, fields);
            return request;
        }
        fail_request(request, OX_ELOST);
    }
    return NULL;
}

static void start_large(void)
{
    t.options.concurrency = 1;
    start();
    take_with(":5000", "$2\r\n{}");
    assert_int_equal(t.tasks->len, 0);
}

static void begins_when_its_data_is_there(void **state)
{
    (void)state;
    start_large();
    answer(fetch("bull:q:1 data"), "*1\r\n$7\r\n{\"a\":1}\r\n");
    assert_int_equal(t.tasks->len, 1);
    assert_string_equal(ox_job_text(ox_task_job(task()), OX_JOB_DATA), "{\"a\":1}");
    ox_task_complete(task(), NULL);
    turn();
    answer_ends("complete_jobs", 0);
    expect_told("end 1 1 0\n");
}

static void reads_options_and_data(void **state)
{
    (void)state;
    t.options.concurrency = 1;
    start();
    take_with(":5000", ":6000");
    answer(fetch("bull:q:1 data opts"), "*2\r\n$1\r\n7\r\n$14\r\n{\"attempts\":3}\r\n");
    assert_int_equal(t.tasks->len, 1);
    assert_string_equal(ox_job_text(ox_task_job(task()), OX_JOB_DATA), "7");
    assert_int_equal(ox_job_attempts(ox_task_job(task())), 3);
    const ox_failure failure = { .reason = "why" };
    ox_task_fail(task(), &failure);
    turn();
    answer_ends("end_jobs", 0);
    expect_told("end 1 3 0\n"); /* it is tried again */
}

static void looks_at_sizes_after_a_large_job(void **state)
{
    (void)state;
    t.options.concurrency = 1;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    expect_arg(request, "sizes", "0");
    g_queue_push_tail(&t.scripts->requests, request);
    take_with(":5000", "$2\r\n{}");
    answer(fetch("bull:q:1 data"), "*1\r\n$1\r\n1\r\n");
    ox_task_complete(task(), NULL);
    turn();
    request = sent(t.scripts, "complete_jobs");
    expect_arg(request, "sizes", "1");
    g_queue_push_tail(&t.scripts->requests, request);
}

/* Its end takes it out of `active`, and is refused because the job is gone. */
static void passes_over_a_job_that_is_gone(void **state)
{
    (void)state;
    start_large();
    answer(fetch("bull:q:1 data"), GONE);
    assert_int_equal(t.tasks->len, 0);
    answer_ends("end_jobs", -1);
    expect_told("");
    assert_int_equal(ox_worker_running(t.worker), 0);
}

static void drops_what_cannot_be_read(void **state)
{
    (void)state;
    start_large();
    fail_request(fetch("bull:q:1 data"), OX_ESERVER);
    assert_int_equal(t.tasks->len, 0);
    assert_int_equal(ox_worker_running(t.worker), 0);
    assert_null(sent(t.scripts, "end_jobs"));
    g_autofree char *told = g_strdup_printf("error 1 %d\n", OX_ESERVER);
    expect_told(told);
}

static void renews_the_lock_meanwhile(void **state)
{
    (void)state;
    start_large();
    pass(RENEW_MS);
    answer(sent(t.scripts, "renew_locks"), "*0\r\n");
    answer(fetch("bull:q:1 data"), "*1\r\n$1\r\n1\r\n");
    assert_int_equal(t.tasks->len, 1);
}

/* The answer comes when the lock may have run out: the run begins once it has it again. */
static void asks_for_its_lock_when_the_data_comes_late(void **state)
{
    (void)state;
    start_large();
    struct ox__request *request = fetch("bull:q:1 data");
    t.now_us += 60000 * 1000;
    answer(request, "*1\r\n$1\r\n1\r\n");
    assert_int_equal(t.tasks->len, 0);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    assert_int_equal(t.tasks->len, 1);
}

/* And not when another has it by then; in whichever order the answers come. */
static void does_not_begin_without_its_lock(void **state)
{
    (void)state;
    start_large();
    pass(RENEW_MS);
    answer(sent(t.scripts, "renew_locks"), "*1\r\n:1\r\n");
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:-6\r\n");
    assert_int_equal(ox_worker_running(t.worker), 1);
    answer(fetch("bull:q:1 data"), "*1\r\n$1\r\n1\r\n");
    assert_int_equal(t.tasks->len, 0);
    assert_int_equal(ox_worker_running(t.worker), 0);
    assert_null(sent(t.scripts, "end_jobs"));
}

static void begins_once_its_lock_is_known(void **state)
{
    (void)state;
    start_large();
    pass(RENEW_MS);
    answer(sent(t.scripts, "renew_locks"), "*1\r\n:1\r\n");
    answer(fetch("bull:q:1 data"), "*1\r\n$1\r\n1\r\n");
    assert_int_equal(t.tasks->len, 0);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    assert_int_equal(t.tasks->len, 1);
}

static void asks_again_after_a_loss(void **state)
{
    (void)state;
    start_large();
    lose_and_return(t.scripts);
    answer(fetch("bull:q:1 data"), "*1\r\n$1\r\n1\r\n");
    assert_int_equal(t.tasks->len, 1);
}

static void close_waits_for_its_run(void **state)
{
    (void)state;
    start_large();
    ox_worker_close(t.worker, on_closed, NULL);
    turn();
    answer(fetch("bull:q:1 data"), "*1\r\n$1\r\n1\r\n");
    assert_int_equal(t.tasks->len, 1);
    ox_task_complete(task(), NULL);
    turn();
    answer_ends("complete_jobs", 0);
    expect_told("end 1 1 0\n");
}

static void abort_frees_it(void **state)
{
    (void)state;
    start_large();
    ox_worker_abort(t.worker, on_closed, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(begins_when_its_data_is_there),
        TEST(reads_options_and_data),
        TEST(looks_at_sizes_after_a_large_job),
        TEST(passes_over_a_job_that_is_gone),
        TEST(drops_what_cannot_be_read),
        TEST(renews_the_lock_meanwhile),
        TEST(asks_for_its_lock_when_the_data_comes_late),
        TEST(does_not_begin_without_its_lock),
        TEST(begins_once_its_lock_is_known),
        TEST(asks_again_after_a_loss),
        TEST(close_waits_for_its_run),
        TEST(abort_frees_it),
    };
    return cmocka_run_group_tests_name("engine fetch", tests, NULL, NULL);
}
