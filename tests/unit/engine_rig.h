/*
 * engine_rig.h - a worker without a server: the test stands in for link.c, looks at what is
 * sent and answers it, and is the clock.
 *
 * For one program each: it defines the functions of link.h.
 */
#ifndef TEST_ENGINE_RIG_H
#define TEST_ENGINE_RIG_H

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

static inline int64_t now_us(void)
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

static inline void turn(void)
{
    for (int i = 0; i < 3; i++) {
        uv_run(&t.loop, UV_RUN_NOWAIT);
    }
}

/* The oldest request of a script (or of the blocking wait: NULL), which is then answered. */
static inline struct ox__request *sent(struct ox__link *link, const char *name)
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

static inline void answer(struct ox__request *request, const char *resp)
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

static inline void fail_request(struct ox__request *request, int code)
{
    ox_error err;
    assert_non_null(request);
    ox__fail(&err, code, "no more");
    request->done(request, NULL, &err);
    turn();
}

/* Time passes, and what was to happen meanwhile happens. */
static inline void pass(int64_t ms)
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

static inline void process(ox_task *task, void *arg)
{
    (void)arg;
    g_ptr_array_add(t.tasks, task);
}

static inline void on_error(
    ox_worker *worker, const char *job_id, const ox_error *err, void *arg)
{
    (void)worker;
    (void)arg;
    g_string_append_printf(t.told, "error %s %d\n", job_id != NULL ? job_id : "-", err->code);
}

static inline void on_run_ended(ox_worker *worker, const ox_run_end *end, void *arg)
{
    (void)worker;
    (void)arg;
    g_string_append_printf(t.told, "end %s %d %d\n", ox_job_id(end->job), end->outcome,
        end->err != NULL ? end->err->code : 0);
}

static inline void on_notice(ox_worker *worker, int notice, const char *job_id, void *arg)
{
    (void)worker;
    (void)arg;
    g_string_append_printf(t.told, "notice %s %d\n", job_id, notice);
}

static inline void on_lost(ox_task *task, void *arg)
{
    (void)arg;
    g_string_append_printf(t.told, "lost %s\n", ox_job_id(ox_task_job(task)));
}

static inline void on_closed(void *arg)
{
    (void)arg;
    t.closed = true;
}

static inline void expect_told(const char *expected)
{
    assert_string_equal(t.told->str, expected);
    g_string_truncate(t.told, 0);
}

/* Ends what waits on a link, and the link itself if it is being closed. */
static inline void settle(struct ox__link **link)
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

static inline void lose_and_return(struct ox__link *link)
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

static inline void start(void)
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

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
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
static inline char *taken(
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

static inline void answer_take(const char *script, int first, int jobs)
{
    struct ox__request *request = sent(t.scripts, script);
    assert_non_null(request);
    g_autofree char *resp = taken(request, first, jobs, 0, "0");
    answer(request, resp);
}

/* Answers a call that ends runs, one of which is refused. */
static inline void answer_ends(const char *script, int refusal)
{
    struct ox__request *request = sent(t.scripts, script);
    assert_non_null(request);
    g_autofree char *rest = taken(request, 0, 0, 0, "0");
    g_autofree char *resp = refusal != 0
                                ? g_strdup_printf("*2\r\n*2\r\n:1\r\n:%d\r\n%s", refusal, rest)
                                : g_strdup_printf("*2\r\n*0\r\n%s", rest);
    answer(request, resp);
}

static inline void run_one(void)
{
    t.options.concurrency = 1;
    start();
    answer_take("take_jobs", 1, 1);
    assert_int_equal(t.tasks->len, 1);
}

static inline ox_task *task(void)
{
    return g_ptr_array_index(t.tasks, 0);
}

#endif /* TEST_ENGINE_RIG_H */
