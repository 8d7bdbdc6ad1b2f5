/*
 * test_engine.c - the worker's engine without a server: the test stands in for link.c, looks at
 * what is sent and answers it; timers are fired by hand.
 */
#include "../support/check.h"

#include <glib.h>
#include <ox.h>
#include <string.h>
#include <uv.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/engine/jobs.h"
#include "lib/queue/queue.h"
#include "lib/wire/client.h"
#include "lib/wire/reply.h"

/* ---- the link ---------------------------------------------------------------------------- */

struct ox__link {
    struct ox__link_options options;
    GQueue requests;
    bool down;
    void (*closed)(void *arg);
    void *closed_arg;
};

static struct {
    struct ox__link *scripts, *sleep;
    uv_loop_t loop;
    ox_worker *worker;
    ox_worker_options options;
    struct ox__replies *replies;
    GPtrArray *tasks; /* that run */
    GString *told;    /* errors, ends and notices, a line each */
    bool closed;
    int64_t now_us; /* the engine's clock */
} t;

static int64_t now_us(void)
{
    return t.now_us;
}

int ox__link_new(struct ox__link **out, uv_loop_t *loop, const struct ox__link_options *options,
    ox_error *err)
{
    (void)loop;
    (void)err;
    *out = g_new0(struct ox__link, 1);
    (*out)->options = *options;
    *(t.scripts == NULL ? &t.scripts : &t.sleep) = *out;
    return 0;
}

void ox__link_start(struct ox__link *link)
{
    (void)link;
}

void ox__link_free(struct ox__link *link)
{
    g_free(link);
}

void ox__link_send(struct ox__link *link, struct ox__request *request)
{
    request->resent = false;
    g_queue_push_tail(&link->requests, request);
}

bool ox__link_is_up(const struct ox__link *link)
{
    return !link->down && link->closed == NULL;
}

void ox__link_renew(struct ox__link *link)
{
    link->down = true;
}

void ox__link_close(struct ox__link *link, void (*closed)(void *arg), void *arg)
{
    link->closed = closed;
    link->closed_arg = arg;
}

static void turn(void)
{
    for (int i = 0; i < 3; i++) {
        uv_run(&t.loop, UV_RUN_NOWAIT);
    }
}

/* The oldest request of a script (or of the blocking wait: NULL), which is then answered. */
static struct ox__request *sent(struct ox__link *link, const char *name)
{
    for (GList *at = link->requests.head; at != NULL; at = at->next) {
        struct ox__request *request = at->data;
        const char *script = request->op.script != NULL ? request->op.script->name : NULL;
        if (g_strcmp0(script, name) == 0) {
            g_queue_delete_link(&link->requests, at);
            return request;
        }
    }
    return NULL;
}

static void answer(struct ox__request *request, const char *resp)
{
    const redisReply *reply = NULL;
    assert_non_null(request);
    ox__replies_feed(t.replies, resp, strlen(resp));
    assert_int_equal(ox__replies_next(t.replies, &reply, NULL), 0);
    assert_non_null(reply);
    assert_true(request->fits == NULL || request->fits(request, reply));
    request->done(request, reply, NULL);
    turn();
}

static void fail_request(struct ox__request *request, int code)
{
    ox_error err;
    assert_non_null(request);
    ox__fail(&err, code, "no more");
    request->done(request, NULL, &err);
    turn();
}

/* Time passes, and what was to happen meanwhile happens. */
static void pass(int64_t ms)
{
    struct ox__engine *engine = &t.worker->engine;
    int64_t end_us = t.now_us + ms * 1000;
    turn();
    while (engine->turn.alarm_ms * 1000 <= end_us && !t.closed) {
        t.now_us = MAX(t.now_us, engine->turn.alarm_ms * 1000);
        engine->turn.alarm.timer_cb(&engine->turn.alarm);
        turn();
    }
    t.now_us = end_us;
}

/* By default, of the locks that these workers have. */
#define RENEW_MS 18001

/* ---- a worker ---------------------------------------------------------------------------- */

static void process(ox_task *task, void *arg)
{
    (void)arg;
    g_ptr_array_add(t.tasks, task);
}

static void on_error(ox_worker *worker, const char *job_id, const ox_error *err, void *arg)
{
    (void)worker;
    (void)arg;
    g_string_append_printf(t.told, "error %s %d\n", job_id != NULL ? job_id : "-", err->code);
}

static void on_run_ended(ox_worker *worker, const ox_run_end *end, void *arg)
{
    (void)worker;
    (void)arg;
    g_string_append_printf(t.told, "end %s %d %d\n", ox_job_id(end->job), end->outcome,
        end->err != NULL ? end->err->code : 0);
}

static void on_notice(ox_worker *worker, int notice, const char *job_id, void *arg)
{
    (void)worker;
    (void)arg;
    g_string_append_printf(t.told, "notice %s %d\n", job_id, notice);
}

static void on_lost(ox_task *task, void *arg)
{
    (void)arg;
    g_string_append_printf(t.told, "lost %s\n", ox_job_id(ox_task_job(task)));
}

static void on_closed(void *arg)
{
    (void)arg;
    t.closed = true;
}

static void expect_told(const char *expected)
{
    assert_string_equal(t.told->str, expected);
    g_string_truncate(t.told, 0);
}

/* Ends what waits on a link, and the link itself if it is being closed. */
static void settle(struct ox__link **link)
{
    struct ox__request *request;
    while ((request = g_queue_pop_head(&(*link)->requests)) != NULL) {
        fail_request(request, (*link)->closed != NULL ? OX_ECLOSED : OX_ELOST);
    }
    if ((*link)->closed != NULL) {
        struct ox__link *gone = *link;
        *link = NULL;
        gone->closed(gone->closed_arg);
        g_free(gone);
    }
}

static void lose_and_return(struct ox__link *link)
{
    struct ox__link *same = link;
    ox_error err;
    ox__fail(&err, OX_ELOST, "gone");
    link->down = true;
    settle(&same);
    link->options.down(link->options.arg, &err);
    link->down = false;
    link->options.up(link->options.arg);
    turn();
}

static void start(void)
{
    struct ox_client client = { .command_timeout_ms = 1000 };
    ox_queue *queue = NULL;
    t.options.error = on_error;
    t.options.run_ended = on_run_ended;
    t.options.notice = on_notice;
    t.options.lock_lost = on_lost;
    assert_int_equal(ox_queue_new(&queue, &client, "q", NULL, NULL), 0);
    assert_int_equal(
        ox_worker_new(&t.worker, &t.loop, queue, &t.options, process, NULL, NULL), 0);
    ox_queue_free(queue);
    t.worker->engine.clock.boot_us = now_us;
    t.scripts->options.up(t.scripts->options.arg);
    t.sleep->options.up(t.sleep->options.arg);
}

static int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof(t));
    assert_int_equal(uv_loop_init(&t.loop), 0);
    t.replies = ox__replies_new();
    t.tasks = g_ptr_array_new();
    t.told = g_string_new(NULL);
    t.now_us = ox__boot_us();
    t.options.concurrency = 2;
    t.options.lock_ms = 60000;
    t.options.sweep_ms = 60000;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (!t.closed) {
        ox_worker_abort(t.worker, on_closed, NULL);
    }
    for (int i = 0; i < 10 && t.scripts != NULL; i++) {
        settle(&t.scripts);
        settle(&t.sleep);
    }
    turn();
    assert_true(t.closed);
    assert_int_equal(uv_loop_close(&t.loop), 0);
    ox__replies_free(t.replies);
    g_ptr_array_free(t.tasks, TRUE);
    g_string_free(t.told, TRUE);
    return 0;
}

/* What a take brings: `jobs` of them from the number `first` on. */
static char *taken(
    const struct ox__request *request, int first, int jobs, int limit_ms, const char *due)
{
    const struct ox__call *call = request->arg;
    GString *out = g_string_new(NULL);
    g_string_append_printf(out, "*%d\r\n:%d\r\n:%d\r\n$%zu\r\n%s\r\n$1\r\n0\r\n$%zu\r\n%s\r\n",
        5 + 9 * jobs, jobs, limit_ms, strlen(due), due, strlen(call->token), call->token);
    for (int i = first; i < first + jobs; i++) {
        g_string_append_printf(
            out, "$1\r\n%d\r\n$1\r\nn\r\n$2\r\n{}\r\n$2\r\n{}\r\n$1\r\n1\r\n", i);
        g_string_append(out, "$-1\r\n$-1\r\n$-1\r\n$-1\r\n");
    }
    return g_string_free(out, FALSE);
}

static void answer_take(const char *script, int first, int jobs)
{
    struct ox__request *request = sent(t.scripts, script);
    assert_non_null(request);
    g_autofree char *resp = taken(request, first, jobs, 0, "0");
    answer(request, resp);
}

/* Answers a call that ends runs, one of which is refused. */
static void answer_ends(const char *script, int refusal)
{
    struct ox__request *request = sent(t.scripts, script);
    assert_non_null(request);
    g_autofree char *rest = taken(request, 0, 0, 0, "0");
    g_autofree char *resp = refusal != 0
                                ? g_strdup_printf("*2\r\n*2\r\n:1\r\n:%d\r\n%s", refusal, rest)
                                : g_strdup_printf("*2\r\n*0\r\n%s", rest);
    answer(request, resp);
}

static void run_one(void)
{
    t.options.concurrency = 1;
    start();
    answer_take("take_jobs", 1, 1);
    assert_int_equal(t.tasks->len, 1);
}

static ox_task *task(void)
{
    return g_ptr_array_index(t.tasks, 0);
}

/* ---- taking and sleeping ----------------------------------------------------------------- */

static void a_take_fills_the_slots(void **state)
{
    (void)state;
    start();
    answer_take("take_jobs", 1, 2);
    assert_int_equal(t.tasks->len, 2);
    assert_int_equal(ox_worker_running(t.worker), 2);
    assert_null(sent(t.scripts, "take_jobs"));
    assert_null(sent(t.sleep, NULL));
}

static void an_empty_take_sleeps_until_a_marker(void **state)
{
    (void)state;
    start();
    answer_take("take_jobs", 0, 0);
    assert_null(sent(t.scripts, "take_jobs"));
    answer(sent(t.sleep, NULL), "*3\r\n$1\r\nk\r\n$1\r\n0\r\n$1\r\n0\r\n");
    answer_take("take_jobs", 1, 1);
    assert_int_equal(t.tasks->len, 1);
}

/* How long the server may hold the sleep, as it was asked. */
static void expect_sleep(const char *seconds)
{
    answer_take("take_jobs", 0, 0);
    struct ox__request *request = sent(t.sleep, NULL);
    assert_non_null(request);
    g_autofree char *end = g_strdup_printf("\r\n$5\r\n%s\r\n", seconds);
    assert_non_null(memmem(request->op.bytes.data, request->op.bytes.len, end, strlen(end)));
    answer(request, "*-1\r\n");
}

static void a_sleep_is_shorter_than_a_lock(void **state)
{
    (void)state;
    t.options.lock_ms = 3000;
    start();
    expect_sleep("1.500");
}

static void a_sleep_lasts_for_the_drain_delay(void **state)
{
    (void)state;
    start();
    expect_sleep("5.000");
}

static void a_marker_is_put_back_by_who_takes_nothing(void **state)
{
    (void)state;
    start();
    answer_take("take_jobs", 0, 0);
    ox_worker_pause(t.worker);
    answer(sent(t.sleep, NULL), "*3\r\n$1\r\nk\r\n$1\r\n0\r\n$1\r\n0\r\n");
    answer(sent(t.scripts, "give_marker"), ":1\r\n");
    assert_null(sent(t.scripts, "take_jobs"));
}

static void a_limit_is_waited_for(void **state)
{
    (void)state;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    g_autofree char *resp = taken(request, 0, 0, 50000, "0");
    answer(request, resp);
    assert_null(sent(t.sleep, NULL));
    pass(30000 - 100);
    assert_null(sent(t.scripts, "take_jobs"));
    pass(100); /* only lets delayed jobs be promoted */
    request = sent(t.scripts, "take_jobs");
    assert_non_null(request);
    assert_int_equal(((struct ox__call *)request->arg)->want, 0);
    g_autofree char *none = taken(request, 0, 0, 0, "0");
    answer(request, none);
    pass(20000 - 100);
    assert_null(sent(t.scripts, "take_jobs"));
    pass(100);
    answer_take("take_jobs", 1, 1);
}

static void a_lost_take_is_looked_for(void **state)
{
    (void)state;
    start();
    lose_and_return(t.scripts);
    answer(sent(t.scripts, "return_lost"), "*2\r\n:-1\r\n$1\r\n7\r\n");
    assert_true(g_str_has_suffix(t.told->str, "notice 7 3\n"));
}

/* ---- locks ------------------------------------------------------------------------------- */

static void lose_lock(const char *verdict)
{
    pass(RENEW_MS);
    answer(sent(t.scripts, "renew_locks"), "*1\r\n:1\r\n");
    answer(sent(t.scripts, "claim_runs"), verdict);
}

static void a_lock_that_ran_out_is_taken_again(void **state)
{
    (void)state;
    run_one();
    lose_lock("*1\r\n:1\r\n");
    expect_told("notice 1 4\n");
    assert_false(task()->run.lock.lost);
}

static void a_lock_that_another_has_is_lost(void **state)
{
    (void)state;
    run_one();
    lose_lock("*1\r\n:-6\r\n");
    assert_non_null(strstr(t.told->str, "lost 1\n"));
    assert_int_equal(ox_task_complete(task(), NULL), 0);
    turn();
    assert_null(sent(t.scripts, "complete_jobs"));
    assert_non_null(strstr(t.told->str, "end 1 "));
}

static void a_run_that_is_cut_off_is_fenced(void **state)
{
    (void)state;
    t.options.on_disconnect = OX_DISCONNECT_KILL;
    run_one();
    pass(t.options.lock_ms - 2 * (t.options.lock_ms / 20 + 1));
    assert_false(task()->run.lock.fenced);
    pass(2 * (t.options.lock_ms / 20 + 1));
    assert_true(task()->run.lock.fenced);
    assert_non_null(strstr(t.told->str, "lost 1\n"));
    ox_task_complete(task(), NULL); /* can only be released now */
    turn();
    g_string_truncate(t.told, 0);
    answer_ends("end_jobs", 0);
    expect_told("end 1 5 0\n");
}

/* A take whose reply is read when the locks that it gave may have run out: by a process that
 * was stopped, on a machine that slept. */
static void take_late(int64_t late_ms)
{
    t.options.concurrency = 1;
    start();
    struct ox__request *request = sent(t.scripts, "take_jobs");
    assert_non_null(request);
    ((struct ox__call *)request->arg)->sent_us -= late_ms * 1000;
    g_autofree char *resp = taken(request, 1, 1, 0, "0");
    answer(request, resp);
}

static void a_job_read_too_late_starts_when_its_lock_is_ours(void **state)
{
    (void)state;
    take_late(t.options.lock_ms);
    assert_int_equal(t.tasks->len, 0);
    assert_int_equal(ox_worker_running(t.worker), 1);
    fail_request(sent(t.scripts, "claim_runs"), OX_ELOST);
    assert_int_equal(t.tasks->len, 0);
    pass(RENEW_MS); /* asks again */
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    assert_int_equal(t.tasks->len, 1);
    expect_told(""); /* the lock need not have run out */
    ox_task_complete(task(), NULL);
    turn();
    answer_ends("complete_jobs", 0);
    expect_told("end 1 1 0\n");
}

static void a_job_read_too_late_that_others_have_is_not_started(void **state)
{
    (void)state;
    take_late(t.options.lock_ms);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:-6\r\n");
    assert_int_equal(t.tasks->len, 0);
    assert_int_equal(ox_worker_running(t.worker), 0);
    g_autofree char *expected =
        g_strdup_printf("error 1 %d\nend 1 %d %d\n", OX_ELOCK, OX_RUN_RETRIED, OX_ELOCK);
    expect_told(expected);
    answer(sent(t.sleep, NULL), "*3\r\n$1\r\nk\r\n$1\r\n0\r\n$1\r\n0\r\n");
    answer_take("take_jobs", 2, 1); /* its slot is free */
    assert_int_equal(t.tasks->len, 1);
}

static void a_job_read_in_time_starts_at_once(void **state)
{
    (void)state;
    take_late(t.options.lock_ms / 2);
    assert_int_equal(t.tasks->len, 1);
    pass(RENEW_MS); /* its lock is not as young as the reply */
    answer(sent(t.scripts, "renew_locks"), "*0\r\n");
}

/* ---- ends -------------------------------------------------------------------------------- */

static void an_end_is_told_when_it_is_stored(void **state)
{
    (void)state;
    run_one();
    ox_task_complete(task(), NULL);
    turn();
    expect_told("");
    answer_ends("complete_jobs", 0);
    expect_told("end 1 1 0\n");
}

static void a_refused_end_is_told(void **state)
{
    static const int refusals[] = { -1, -3, -6 };
    (void)state;
    run_one();
    for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
        ox_task_complete(task(), NULL);
        g_ptr_array_set_size(t.tasks, 0);
        turn();
        answer_ends("complete_jobs", refusals[i]);
        assert_true(g_str_has_prefix(t.told->str, "end 1 1 -"));
        g_string_truncate(t.told, 0);
        answer(sent(t.sleep, NULL), "*3\r\n$1\r\nk\r\n$1\r\n0\r\n$1\r\n0\r\n");
        answer_take("take_jobs", 1, 1);
    }
}

static void an_end_without_a_lock_is_sent_again(void **state)
{
    (void)state;
    run_one();
    ox_task_complete(task(), NULL);
    turn();
    answer_ends("complete_jobs", -2);
    expect_told("");
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:1\r\n");
    answer_ends("complete_jobs", 0);
    expect_told("end 1 1 0\n");
}

static void an_end_that_was_stored_before_is_no_news(void **state)
{
    (void)state;
    run_one();
    ox_task_complete(task(), NULL);
    turn();
    answer_ends("complete_jobs", -2);
    answer(sent(t.scripts, "claim_runs"), "*1\r\n:2\r\n");
    expect_told("end 1 1 0\n");
}

static void a_parent_with_pending_children_fails(void **state)
{
    (void)state;
    run_one();
    ox_task_complete(task(), NULL);
    turn();
    answer_ends("complete_jobs", -4);
    answer_ends("end_jobs", 0);
    assert_true(g_str_has_prefix(t.told->str, "end 1 2 0"));
}

/* ---- the stalled check ------------------------------------------------------------------- */

static void a_check_goes_on_step_by_step(void **state)
{
    (void)state;
    start();
    turn();
    answer(sent(t.scripts, "check_stalled"), "*1\r\n:0\r\n");
    answer(sent(t.scripts, "check_stalled"), "*3\r\n:5\r\n$1\r\n8\r\n:0\r\n");
    answer(sent(t.scripts, "check_stalled"), "*3\r\n:-1\r\n$1\r\n9\r\n:1\r\n");
    assert_null(sent(t.scripts, "check_stalled"));
    g_autofree char *expected = g_strdup_printf(
        "notice 8 %d\nnotice 9 %d\n", OX_NOTICE_STALLED, OX_NOTICE_STALLED_TOO_OFTEN);
    expect_told(expected);
    answer(sent(t.scripts, "restore_jobs"), "*3\r\n$2\r\n17\r\n$1\r\n5\r\n:0\r\n");
    assert_string_equal(t.worker->engine.stalled.cursor, "17");
    assert_true(g_str_has_prefix(t.told->str, "notice 5 "));
}

static void a_check_that_came_late_ends(void **state)
{
    (void)state;
    start();
    turn();
    answer(sent(t.scripts, "check_stalled"), "*1\r\n:0\r\n");
    answer(sent(t.scripts, "check_stalled"), "*1\r\n:-2\r\n");
    assert_null(sent(t.scripts, "check_stalled"));
    assert_null(sent(t.scripts, "restore_jobs"));
}

/* Its process was stopped, or the machine slept: nothing happened while time passed. */
static void a_check_of_one_who_was_away_rests(void **state)
{
    (void)state;
    start();
    turn();
    answer(sent(t.scripts, "check_stalled"), "*1\r\n:-2\r\n");
    t.now_us += 1000 * ((int64_t)t.options.sweep_ms + t.options.lock_ms);
    pass(t.options.lock_ms - 1);
    assert_null(sent(t.scripts, "check_stalled"));
    pass(1);
    assert_non_null(sent(t.scripts, "check_stalled"));
}

/* ---- closing ----------------------------------------------------------------------------- */

static void a_close_waits_for_runs_and_their_ends(void **state)
{
    (void)state;
    run_one();
    while (!g_queue_is_empty(&t.scripts->requests)) {
        fail_request(g_queue_pop_head(&t.scripts->requests), OX_ELOST);
    }
    ox_worker_close(t.worker, on_closed, NULL);
    turn();
    assert_null(t.scripts->closed);
    ox_task_complete(task(), NULL);
    turn();
    assert_null(t.scripts->closed);
    answer_ends("complete_jobs", 0);
    assert_non_null(t.scripts->closed);
    settle(&t.scripts);
    settle(&t.sleep);
    turn();
    assert_true(t.closed);
}

static void an_abort_waits_for_nothing(void **state)
{
    (void)state;
    run_one();
    ox_task_complete(task(), NULL);
    turn();
    ox_worker_abort(t.worker, on_closed, NULL);
    assert_non_null(t.scripts->closed);
}

static void tokens_of_lost_takes_are_kept_for_a_while(void **state)
{
    (void)state;
    start();
    struct ox__lost *lost = &t.worker->engine.lost;
    for (int i = 0; i < OX__LOST_TAKES_MAX + 1; i++) {
        char token[8];
        g_snprintf(token, sizeof(token), "t%d", i);
        ox__lost_add(lost, token);
        pass(i == 0 ? 20000 : 0);
    }
    assert_int_equal(lost->count, OX__LOST_TAKES_MAX);
    assert_string_equal(lost->takes[0].token, "t1");
    answer(sent(t.scripts, "return_lost"), "*1\r\n:-1\r\n");
    pass(20000 + t.options.lock_ms);
    answer(sent(t.scripts, "return_lost"), "*1\r\n:-1\r\n");
    pass(RENEW_MS);
    assert_int_equal(lost->count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_take_fills_the_slots),
        TEST(an_empty_take_sleeps_until_a_marker),
        TEST(a_sleep_is_shorter_than_a_lock),
        TEST(a_sleep_lasts_for_the_drain_delay),
        TEST(a_marker_is_put_back_by_who_takes_nothing),
        TEST(a_limit_is_waited_for),
        TEST(a_lost_take_is_looked_for),
        TEST(a_lock_that_ran_out_is_taken_again),
        TEST(a_lock_that_another_has_is_lost),
        TEST(a_run_that_is_cut_off_is_fenced),
        TEST(a_job_read_too_late_starts_when_its_lock_is_ours),
        TEST(a_job_read_too_late_that_others_have_is_not_started),
        TEST(a_job_read_in_time_starts_at_once),
        TEST(an_end_is_told_when_it_is_stored),
        TEST(a_refused_end_is_told),
        TEST(an_end_without_a_lock_is_sent_again),
        TEST(an_end_that_was_stored_before_is_no_news),
        TEST(a_parent_with_pending_children_fails),
        TEST(a_check_goes_on_step_by_step),
        TEST(a_check_that_came_late_ends),
        TEST(a_check_of_one_who_was_away_rests),
        TEST(a_close_waits_for_runs_and_their_ends),
        TEST(an_abort_waits_for_nothing),
        TEST(tokens_of_lost_takes_are_kept_for_a_while),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
