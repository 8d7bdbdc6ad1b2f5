/*
 * test_engine_fetch.c - a worker's engine without a server: jobs that are not read by the
 * script that takes them, and what happens meanwhile; see engine_rig.h.
 */
#include "engine_rig.h"

#define STARTED " name data opts timestamp parentKey defa atm"
#define LATE STARTED " ats stc"
#define FIRST "bull:q:1" STARTED
#define FIRST_LATE "bull:q:1" LATE
#define ALL FIRST_LATE " stacktrace progress failedReason"

/* What was read of job 1 that is as most are: its data, and nothing behind its time. */
#define READ(fields, data) "*" #fields "\r\n$1\r\nn\r\n" data "\r\n$2\r\n{}\r\n$1\r\n5\r\n"
#define NONE "$-1\r\n"
#define GONE "*7\r\n" NONE NONE NONE NONE NONE NONE NONE
#define FUTURE "*7\r\n$1\r\nn\r\n$1\r\n1\r\n$2\r\n{}\r\n$13\r\n9000000000000\r\n" NONE NONE NONE
#define ONE READ(7, "$1\r\n1") NONE NONE NONE
#define ONE_LATE READ(9, "$1\r\n1") NONE NONE NONE NONE NONE

/* Answers a take with the job 1, which was started so often with this. */
static void take_one(long long starts)
{
    struct ox__request *request = sent(t.scripts, "take_jobs");
    assert_non_null(request);
    g_autofree char *head = taken(request, 0, 0, 0, "0");
    GString *resp = g_string_new("*7\r\n:1\r\n");
    g_string_append(resp, strstr(head, ":0\r\n") + 4); /* behind the number of jobs */
    put_bulk(resp, "1");
    put_number(resp, starts);
    answer(request, resp->str);
    g_string_free(resp, TRUE);
}

/* The request that reads job 1. */
static struct ox__request *fetch(const char *fields)
{
    struct ox__request *request = sent(t.scripts, NULL);
    for (; request != NULL; request = sent(t.scripts, NULL)) {
        g_autoptr(GPtrArray) all = arguments(request);
        if (strcmp(all->pdata[0], "HMGET") == 0) {
            g_ptr_array_add(all, NULL);
            g_autofree char *text = g_strjoinv(" ", (char **)all->pdata + 1);
            assert_string_equal(text, fields);
            assert_non_null(request->fits);
            return request;
        }
        fail_request(request, OX_ELOST);
    }
    return NULL;
}

static void start_apart(void)
{
    t.options.concurrency = 1;
    start();
    take_one(1);
    assert_int_equal(t.tasks->len, 0);
}

static void begins_when_its_data_is_there(void **state)
{
    (void)state;
    start_apart();
    answer(fetch(FIRST), READ(7, "$7\r\n{\"a\":1}") NONE NONE NONE);
    assert_int_equal(t.tasks->len, 1);
    assert_string_equal(ox_job_text(ox_task_job(task()), OX_JOB_DATA), "{\"a\":1}");
    ox_task_complete(task(), NULL);
    turn();
    answer_ends("complete_jobs", 0);
    expect_told("end 1 1 0\n");
}

/* Of a job that ran before, all is read that its end may need; with the count before this
 * start. */
static void reads_more_of_a_job_that_ran_before(void **state)
{
    (void)state;
    t.options.concurrency = 1;
    start();
    take_one(3);
    answer(fetch(ALL),
        "*12\r\n$1\r\nn\r\n$1\r\n7\r\n$14\r\n{\"attempts\":5}\r\n$1\r\n5\r\n" NONE NONE
        "$1\r\n2\r\n$1\r\n3\r\n" NONE "$5\r\n[\"a\"]\r\n" NONE "$1\r\na\r\n");
    assert_int_equal(t.tasks->len, 1);
    const ox_job *job = ox_task_job(task());
    assert_string_equal(ox_job_text(job, OX_JOB_DATA), "7");
    assert_int_equal(ox_job_attempts(job), 5);
    assert_int_equal(ox_job_number(job, OX_JOB_ATTEMPTS_STARTED, -1), 2);
    assert_int_equal(ox_task_attempt(task()), 3);
    assert_int_equal(task()->starts, 3);
    assert_string_equal(ox_job_text(job, OX_JOB_STACK_TRACE), "[\"a\"]");
    const ox_failure failure = { .reason = "why" };
    ox_task_fail(task(), &failure);
    turn();
    answer_ends("end_jobs", 0);
    expect_told("end 1 3 0\n"); /* it is tried again */
}

/* A retry may forget the starts and keep the tries: that is seen only when the job is read. */
static void reads_again_what_was_tried_before(void **state)
{
    (void)state;
    start_apart();
    answer(fetch(FIRST), READ(7, "$1\r\n1") NONE NONE "$1\r\n1\r\n");
    assert_int_equal(t.tasks->len, 0);
    answer(fetch(ALL), READ(12, "$1\r\n1") NONE NONE "$1\r\n1\r\n$1\r\n1\r\n" NONE
                                                     "$5\r\n[\"a\"]\r\n" NONE NONE);
    assert_int_equal(t.tasks->len, 1);
    const ox_job *job = ox_task_job(task());
    assert_string_equal(ox_job_text(job, OX_JOB_STACK_TRACE), "[\"a\"]");
    assert_null(ox_job_text(job, OX_JOB_ATTEMPTS_STARTED));
    assert_int_equal(ox_task_attempt(task()), 2);
}

/* One start before this is enough for that. */
static void reads_all_of_a_job_that_started_once_before(void **state)
{
    (void)state;
    t.options.concurrency = 1;
    start();
    take_one(2);
    answer(fetch(ALL), READ(12, "$1\r\n7") NONE NONE NONE "$1\r\n2\r\n" NONE NONE NONE NONE);
    assert_int_equal(t.tasks->len, 1);
    assert_int_equal(ox_job_number(ox_task_job(task()), OX_JOB_ATTEMPTS_STARTED, -1), 1);
}

/* So does a take that brings the fields itself. */
static void a_take_brings_more_of_a_job_that_was_tried_before(void **state)
{
    (void)state;
    t.options.concurrency = 1;
    t.options.lock_after_ms = 20;
    t.options.late_start = true;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    g_autofree char *head = taken(request, 0, 0, 0, "0");
    g_autofree char *resp =
        g_strdup_printf("*18\r\n:1\r\n%s$1\r\n1\r\n"
                        "$1\r\nn\r\n$1\r\n7\r\n$2\r\n{}\r\n$1\r\n5\r\n" NONE NONE
                        "$1\r\n2\r\n" NONE NONE "$5\r\n[\"a\"]\r\n" NONE NONE,
            strstr(head, ":0\r\n") + 4);
    answer(request, resp);
    assert_int_equal(t.tasks->len, 1);
    const ox_job *job = ox_task_job(task());
    assert_string_equal(ox_job_text(job, OX_JOB_STACK_TRACE), "[\"a\"]");
    assert_null(ox_job_text(job, OX_JOB_ATTEMPTS_STARTED));
    assert_int_equal(ox_task_attempt(task()), 3);
    assert_false(task()->late); /* its start was written */
    expect_told("");
}

static void a_take_that_ends_within_a_job_is_refused(void **state)
{
    (void)state;
    t.options.concurrency = 1;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    g_autofree char *head = taken(request, 0, 0, 0, "0");
    g_autofree char *resp = g_strdup_printf(
        "*8\r\n:1\r\n%s$1\r\n1\r\n$1\r\nn\r\n$1\r\n7\r\n", strstr(head, ":0\r\n") + 4);
    answer(request, resp);
    assert_int_equal(t.tasks->len, 0);
    g_autofree char *told = g_strdup_printf("error - %d\n", OX_EREPLY);
    expect_told(told);
}

/* A hash is a job when it has one of the fields that each job has. */
static void begins_a_job_that_has_one_field(void **state)
{
    static const char *const replies[] = {
        "*7\r\n$1\r\nn\r\n" NONE NONE NONE NONE NONE NONE,
        "*7\r\n" NONE "$1\r\n7\r\n" NONE NONE NONE NONE NONE,
        "*7\r\n" NONE NONE "$2\r\n{}\r\n" NONE NONE NONE NONE,
        "*7\r\n" NONE NONE NONE "$1\r\n5\r\n" NONE NONE NONE,
    };
    (void)state;
    start_apart();
    for (guint i = 0; i < G_N_ELEMENTS(replies); i++) {
        answer(fetch(FIRST), replies[i]);
        assert_int_equal(t.tasks->len, i + 1);
        ox_task_fail(t.tasks->pdata[i], &(ox_failure){ .reason = "why" });
        turn();
        answer_ends("end_jobs", 0);
        if (i + 1 < G_N_ELEMENTS(replies)) {
            t.worker->engine.idle.drained = false;
            ox_worker_set_concurrency(t.worker, 1); /* looks again */
            turn();
            take_one(1);
        }
    }
}

static void knows_the_scheduler_of_a_job_by_its_id(void **state)
{
    (void)state;
    t.options.concurrency = 1;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    g_autofree char *head = taken(request, 0, 0, 0, "0");
    g_autofree char *resp = g_strdup_printf(
        "*7\r\n:1\r\n%s$14\r\nrepeat:a:b:100\r\n:1\r\n", strstr(head, ":0\r\n") + 4);
    answer(request, resp);
    answer(fetch("bull:q:repeat:a:b:100 name data opts timestamp parentKey defa atm"), ONE);
    assert_int_equal(t.tasks->len, 1);
    assert_string_equal(ox_job_text(ox_task_job(task()), OX_JOB_SCHEDULER), "a:b");
}

static void asks_for_it_after_a_large_job(void **state)
{
    (void)state;
    g_autofree char *large = g_strnfill(5000, '1');
    g_autofree char *read = g_strdup_printf(
        "*7\r\n$1\r\nn\r\n$5000\r\n%s\r\n$2\r\n{}\r\n$1\r\n5\r\n" NONE NONE NONE, large);
    t.options.concurrency = 1;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    expect_arg(request, "apart", "0");
    g_queue_push_tail(&t.scripts->requests, request);
    take_one(-1); /* it was not asked for */
    answer(fetch(FIRST), read);
    assert_string_equal(ox_job_text(ox_task_job(task()), OX_JOB_DATA), large);
    ox_task_complete(task(), NULL);
    turn();
    request = sent(t.scripts, "complete_jobs");
    expect_arg(request, "apart", "1");
    expect_arg(request, "error_ms", "-1");
    g_queue_push_tail(&t.scripts->requests, request);
}

/* A take that brought all that it asked for. */
static void take_many(int jobs, const char *due)
{
    t.options.calls = 1;
    t.options.concurrency = (uint32_t)jobs;
    start();
    struct ox__request *take = sent(t.scripts, "take_jobs");
    expect_arg(take, "apart", "0");
    g_autofree char *resp = taken(take, 1, jobs, 0, due);
    answer(take, resp);
    for (guint i = 0; i < (guint)jobs; i++) {
        ox_task_complete(t.tasks->pdata[i], NULL);
    }
    turn();
}

static void expect_apart(const char *expected)
{
    struct ox__request *request = sent(t.scripts, "complete_jobs");
    expect_arg(request, "apart", expected);
    g_queue_push_tail(&t.scripts->requests, request);
}

static void asks_for_it_when_much_waits(void **state)
{
    (void)state;
    take_many(8, "?");
    expect_apart("1");
}

/* No job's time is read by the script then, so the time that the worker gives needs no bound.
 */
static void says_nothing_of_its_clock_then(void **state)
{
    (void)state;
    t.server_us = t.now_us + AHEAD_US;
    take_many(8, "?");
    struct ox__request *request = sent(t.scripts, "complete_jobs");
    expect_arg(request, "apart", "1");
    expect_arg(request, "error_ms", "-1");
    g_queue_push_tail(&t.scripts->requests, request);
}

static void but_not_when_nothing_more_waits(void **state)
{
    (void)state;
    take_many(8, "0");
    expect_apart("0");
}

static void nor_for_a_few(void **state)
{
    (void)state;
    take_many(7, "?");
    expect_apart("0");
}

/* A job of the future: its start is put behind its time, which only a script can that reads it.
 */
static void nor_when_clocks_differ(void **state)
{
    (void)state;
    t.options.concurrency = 1;
    start();
    take_one(-1);
    answer(fetch(FIRST), FUTURE);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n"); /* is it the job that was taken? */
    assert_true(task()->started_ms == 9000000000000);
    t.worker->jobs.look = 5;
    ox_task_complete(task(), NULL);
    turn();
    struct ox__request *request = sent(t.scripts, "end_jobs");
    expect_arg(request, "apart", "0");
    g_queue_push_tail(&t.scripts->requests, request);
}

/* Its end takes it out of `active`, and is refused because the job is gone. */
static void passes_over_a_job_that_is_gone(void **state)
{
    (void)state;
    start_apart();
    answer(fetch(FIRST), GONE);
    assert_int_equal(t.tasks->len, 0);
    answer_ends("end_jobs", -1);
    expect_told("");
    assert_int_equal(ox_worker_running(t.worker), 0);
}

/* Without a lock its end could be taken for that of a job that got its id meanwhile. */
static void ends_no_job_that_is_gone_without_a_lock(void **state)
{
    (void)state;
    t.options.lock_after_ms = 20;
    start_apart();
    answer(fetch(FIRST), GONE);
    turn();
    assert_int_equal(t.tasks->len, 0);
    assert_null(sent(t.scripts, "end_jobs"));
    expect_told("");
    assert_int_equal(ox_worker_running(t.worker), 0);
}

/* The same of one that is read, and was made after the take. */
static void asks_whether_a_younger_job_is_its_own(void **state)
{
    (void)state;
    start_apart();
    answer(fetch(FIRST), FUTURE);
    assert_int_equal(t.tasks->len, 0);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:-2\r\n");
    assert_int_equal(t.tasks->len, 0);
    assert_int_equal(ox_worker_running(t.worker), 0);
    g_autofree char *told =
        g_strdup_printf("error 1 %d\nend 1 %d %d\n", OX_ELOCK, OX_RUN_RETRIED, OX_ELOCK);
    expect_told(told);
}

/* What was asked for is started at the time that the worker gave, whatever the job says. */
static void knows_when_a_younger_job_was_started(void **state)
{
    (void)state;
    start_apart();
    answer(fetch(FIRST), FUTURE);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    assert_int_equal(t.tasks->len, 1);
    assert_in_range(task()->started_ms, 1, 9000000000000 - 1);
}

static void begins_a_job_with_any_number_of_starts(void **state)
{
    (void)state;
    t.options.concurrency = 1;
    start();
    take_one(LLONG_MIN);
    answer(fetch(ALL), READ(12, "$1\r\n1") NONE NONE NONE NONE NONE NONE NONE NONE);
    assert_true(ox_job_number(ox_task_job(task()), OX_JOB_ATTEMPTS_STARTED, -1) > 1);
}

static void passes_over_what_is_no_job(void **state)
{
    (void)state;
    start_apart();
    answer(
        fetch(FIRST), "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    assert_int_equal(t.tasks->len, 0);
    answer_ends("end_jobs", -1);
    expect_told("");
}

static void drops_what_cannot_be_read(void **state)
{
    (void)state;
    start_apart();
    fail_request(fetch(FIRST), OX_ESERVER);
    assert_int_equal(t.tasks->len, 0);
    assert_int_equal(ox_worker_running(t.worker), 0);
    assert_null(sent(t.scripts, "end_jobs"));
    g_autofree char *told = g_strdup_printf("error 1 %d\n", OX_ESERVER);
    expect_told(told);
}

/* Nor is it gone because the server refused the command. */
static void drops_what_the_server_does_not_let_it_read(void **state)
{
    (void)state;
    start_apart();
    answer(fetch(FIRST), "-ERR no such thing here\r\n");
    assert_int_equal(t.tasks->len, 0);
    assert_int_equal(ox_worker_running(t.worker), 0);
    assert_null(sent(t.scripts, "end_jobs"));
    g_autofree char *told = g_strdup_printf("error 1 %d\n", OX_ESERVER);
    expect_told(told);
}

static void renews_the_lock_meanwhile(void **state)
{
    (void)state;
    start_apart();
    pass(RENEW_MS);
    answer(sent(t.scripts, "renew_locks"), "*0\r\n");
    answer(fetch(FIRST), ONE);
    assert_int_equal(t.tasks->len, 1);
}

/* The answer comes when the lock may have run out: the run begins once it has it again. */
static void asks_for_its_lock_when_the_data_comes_late(void **state)
{
    (void)state;
    start_apart();
    struct ox__request *request = fetch(FIRST);
    t.now_us += 60000 * 1000;
    answer(request, ONE);
    assert_int_equal(t.tasks->len, 0);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    assert_int_equal(t.tasks->len, 1);
}

/* And not when another has it by then. */
static void does_not_begin_without_its_lock(void **state)
{
    (void)state;
    start_apart();
    pass(RENEW_MS);
    answer(sent(t.scripts, "renew_locks"), "*1\r\n:1\r\n");
    assert_null(sent(t.scripts, "claim_runs")); /* what names the run is not known yet */
    answer(fetch(FIRST), ONE);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:-6\r\n");
    assert_int_equal(t.tasks->len, 0);
    assert_int_equal(ox_worker_running(t.worker), 0);
    assert_null(sent(t.scripts, "end_jobs"));
}

static void begins_once_its_lock_is_known(void **state)
{
    (void)state;
    start_apart();
    pass(RENEW_MS);
    answer(sent(t.scripts, "renew_locks"), "*1\r\n:1\r\n");
    answer(fetch(FIRST), ONE);
    assert_int_equal(t.tasks->len, 0);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    assert_int_equal(t.tasks->len, 1);
}

#define AFTER_MS 20

static void start_late(void)
{
    t.options.concurrency = 1;
    t.options.lock_after_ms = AFTER_MS;
    t.options.late_start = true;
    start();
    t.server_us = t.now_us + AHEAD_US;
    take_one(0);
}

static void expect_claimed(void)
{
    struct ox__request *claim = sent(t.scripts, "claim_runs");
    long long started_ms = t.server_us / 1000;
    g_autofree char *asked = rest(claim);
    g_autofree char *begin = g_strdup_printf("1 @1:%lld:", started_ms);
    g_autofree char *end = g_strdup_printf(" 1 %lld  1", started_ms);
    assert_true(g_str_has_prefix(asked, begin) && g_str_has_suffix(asked, end));
    answer(claim, "*1\r\n:1\r\n");
}

/* It gets its lock when that is due, but only once all that names the run is known. */
static void a_late_job_is_not_claimed_before_it_is_read(void **state)
{
    (void)state;
    start_late();
    struct ox__request *request = fetch(FIRST_LATE);
    pass(AFTER_MS);
    assert_null(sent(t.scripts, "claim_runs"));
    answer(request, ONE_LATE);
    assert_int_equal(t.tasks->len, 0);
    expect_claimed();
    assert_int_equal(t.tasks->len, 1);
}

static void what_is_read_after_its_time_is_claimed(void **state)
{
    (void)state;
    start_late();
    struct ox__request *request = fetch(FIRST_LATE);
    t.now_us += INT64_C(3000) * AFTER_MS;
    answer(request, ONE_LATE);
    assert_int_equal(t.tasks->len, 0);
    expect_claimed();
    assert_int_equal(t.tasks->len, 1);
}

/* Each start counts of a job that has run before: it begins when that is written, with its
 * lock. By then, the script starts the next ones. */
static void a_late_job_that_ran_before_is_claimed(void **state)
{
    (void)state;
    start_late();
    answer(fetch(FIRST_LATE), READ(9, "$1\r\n1") NONE NONE "$1\r\n1\r\n$1\r\n4\r\n" NONE);
    assert_null(sent(t.scripts, "claim_runs"));
    answer(fetch(ALL), READ(12, "$1\r\n1") NONE NONE "$1\r\n1\r\n$1\r\n4\r\n" NONE
                                                     "$5\r\n[\"a\"]\r\n" NONE NONE);
    assert_int_equal(t.tasks->len, 0);
    struct ox__request *claim = sent(t.scripts, "claim_runs");
    long long started_ms = t.server_us / 1000;
    g_autofree char *asked = rest(claim);
    g_autofree char *begin = g_strdup_printf("1 @2:%lld:", started_ms);
    g_autofree char *end = g_strdup_printf(" 5 %lld  2", started_ms);
    assert_true(g_str_has_prefix(asked, begin) && g_str_has_suffix(asked, end));
    answer(claim, "*1\r\n:1\r\n");
    assert_int_equal(t.tasks->len, 1);
    assert_int_equal(ox_job_number(ox_task_job(task()), OX_JOB_ATTEMPTS_STARTED, -1), 4);
    assert_int_equal(ox_task_attempt(task()), 2);
    t.worker->jobs.look = 5;
    ox_task_complete(task(), NULL);
    turn();
    struct ox__request *request = sent(t.scripts, "end_jobs");
    expect_arg(request, "apart", "1");
    expect_arg(request, "lock_ms", "0");
    g_queue_push_tail(&t.scripts->requests, request);
}

static void so_is_one_that_stalled(void **state)
{
    (void)state;
    start_late();
    answer(fetch(FIRST_LATE), READ(9, "$1\r\n1") NONE NONE NONE NONE "$1\r\n1\r\n");
    answer(fetch(ALL), READ(12, "$1\r\n1") NONE NONE NONE NONE "$1\r\n1\r\n" NONE NONE NONE);
    assert_int_equal(t.tasks->len, 0);
    struct ox__request *claim = sent(t.scripts, "claim_runs");
    g_autofree char *asked = rest(claim);
    assert_true(g_str_has_prefix(asked, "1 @2:"));
    answer(claim, "*1\r\n:-2\r\n"); /* another has it by now */
    assert_int_equal(t.tasks->len, 0);
}

static void a_busy_worker_is_late(void **state)
{
    (void)state;
    t.options.lock_after_ms = AFTER_MS;
    t.options.late_start = true;
    take_many(8, "?");
    struct ox__request *request = sent(t.scripts, "complete_jobs");
    expect_arg(request, "apart", "1");
    expect_arg(request, "lock_ms", "-1");
    g_queue_push_tail(&t.scripts->requests, request);
}

/* The memory of a read that is over serves one of the next, not all. */
static void reads_two_after_one(void **state)
{
    (void)state;
    t.options.concurrency = 2;
    start();
    take_one(1);
    answer(fetch(FIRST), ONE);
    ox_task_complete(task(), NULL);
    turn();
    struct ox__request *request = sent(t.scripts, "complete_jobs");
    g_autofree char *head = taken(request, 0, 0, 0, "0");
    g_autofree char *resp =
        g_strdup_printf("*2\r\n*0\r\n*9\r\n:2\r\n%s$1\r\n1\r\n:1\r\n$1\r\n2\r\n:1\r\n",
            strstr(head, ":0\r\n") + 4);
    answer(request, resp);
    request = fetch(FIRST);
    struct ox__request *two = fetch("bull:q:2" STARTED);
    assert_ptr_not_equal(request, two);
    answer(two, READ(7, "$1\r\n2") NONE NONE NONE);
    answer(request, READ(7, "$1\r\n1") NONE NONE NONE);
    assert_int_equal(t.tasks->len, 3);
    for (guint i = 1; i < 3; i++) {
        const ox_job *job = ox_task_job(t.tasks->pdata[i]);
        assert_string_equal(ox_job_id(job), ox_job_text(job, OX_JOB_DATA));
    }
}

/* Each in a call of its own would be slow for the server, and more so with the script's source.
 */
static void late_reads_are_claimed_together(void **state)
{
    (void)state;
    t.options.concurrency = 2;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    g_autofree char *head = taken(request, 0, 0, 0, "0");
    g_autofree char *resp = g_strdup_printf(
        "*9\r\n:2\r\n%s$1\r\n1\r\n:1\r\n$1\r\n2\r\n:1\r\n", strstr(head, ":0\r\n") + 4);
    answer(request, resp);
    struct ox__request *one = fetch(FIRST);
    struct ox__request *two = fetch("bull:q:2" STARTED);
    t.now_us += 60000 * 1000;
    answer_first(one, ONE);
    answer(two, ONE);
    answer(sent(t.scripts, "claim_runs"), "*2\r\n:1\r\n:1\r\n");
    assert_int_equal(t.tasks->len, 2);
}

/* Runs of one take of which only some wrote their start have different tokens. */
static void late_runs_and_others_end_in_groups(void **state)
{
    (void)state;
    t.options.concurrency = 2;
    t.options.lock_after_ms = AFTER_MS;
    t.options.late_start = true;
    start();
    t.server_us = t.now_us + AHEAD_US;
    struct ox__request *request = sent(t.scripts, "take_jobs");
    g_autofree char *head = taken(request, 0, 0, 0, "0");
    g_autofree char *resp = g_strdup_printf(
        "*9\r\n:2\r\n%s$1\r\n1\r\n:0\r\n$1\r\n2\r\n:-1\r\n", strstr(head, ":0\r\n") + 4);
    answer(request, resp);
    answer(fetch(FIRST_LATE), ONE_LATE);
    answer(fetch("bull:q:2" STARTED), ONE);
    assert_int_equal(t.tasks->len, 2);
    for (guint i = 0; i < 2; i++) {
        ox_task_complete(t.tasks->pdata[i], NULL);
    }
    turn();
    request = sent(t.scripts, "complete_jobs");
    g_autofree char *carried = rest(request);
    assert_true(g_str_has_prefix(carried, "1 @1:"));
    assert_non_null(strstr(carried, " 1 null 1 @0:"));
    g_queue_push_tail(&t.scripts->requests, request);
}

static void asks_again_after_a_loss(void **state)
{
    (void)state;
    start_apart();
    lose_and_return(t.scripts);
    answer(fetch(FIRST), ONE);
    assert_int_equal(t.tasks->len, 1);
}

static void close_waits_for_its_run(void **state)
{
    (void)state;
    start_apart();
    ox_worker_close(t.worker, on_closed, NULL);
    turn();
    answer(fetch(FIRST), ONE);
    assert_int_equal(t.tasks->len, 1);
    ox_task_complete(task(), NULL);
    turn();
    answer_ends("complete_jobs", 0);
    expect_told("end 1 1 0\n");
}

static void abort_frees_it(void **state)
{
    (void)state;
    start_apart();
    ox_worker_abort(t.worker, on_closed, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(begins_when_its_data_is_there),
        TEST(reads_more_of_a_job_that_ran_before),
        TEST(reads_again_what_was_tried_before),
        TEST(reads_all_of_a_job_that_started_once_before),
        TEST(a_take_brings_more_of_a_job_that_was_tried_before),
        TEST(a_take_that_ends_within_a_job_is_refused),
        TEST(begins_a_job_that_has_one_field),
        TEST(knows_the_scheduler_of_a_job_by_its_id),
        TEST(asks_for_it_after_a_large_job),
        TEST(asks_for_it_when_much_waits),
        TEST(says_nothing_of_its_clock_then),
        TEST(but_not_when_nothing_more_waits),
        TEST(nor_for_a_few),
        TEST(nor_when_clocks_differ),
        TEST(passes_over_a_job_that_is_gone),
        TEST(ends_no_job_that_is_gone_without_a_lock),
        TEST(asks_whether_a_younger_job_is_its_own),
        TEST(knows_when_a_younger_job_was_started),
        TEST(begins_a_job_with_any_number_of_starts),
        TEST(passes_over_what_is_no_job),
        TEST(drops_what_cannot_be_read),
        TEST(drops_what_the_server_does_not_let_it_read),
        TEST(renews_the_lock_meanwhile),
        TEST(asks_for_its_lock_when_the_data_comes_late),
        TEST(does_not_begin_without_its_lock),
        TEST(begins_once_its_lock_is_known),
        TEST(a_late_job_is_not_claimed_before_it_is_read),
        TEST(what_is_read_after_its_time_is_claimed),
        TEST(reads_two_after_one),
        TEST(a_late_job_that_ran_before_is_claimed),
        TEST(so_is_one_that_stalled),
        TEST(a_busy_worker_is_late),
        TEST(late_reads_are_claimed_together),
        TEST(late_runs_and_others_end_in_groups),
        TEST(asks_again_after_a_loss),
        TEST(close_waits_for_its_run),
        TEST(abort_frees_it),
    };
    return cmocka_run_group_tests_name("engine fetch", tests, NULL, NULL);
}
