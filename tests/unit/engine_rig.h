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
#include <stdlib.h>
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
    int64_t now_us;       /* the engine's clock */
    int64_t server_us;    /* what a take tells of the server's; 0: nothing */
    uint32_t batch;       /* of the queue; 0: the default */
    const char *abort_in; /* the callback that aborts the worker; NULL: none */
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
    assert_null(link->closed);
    request->resent = false;
    g_queue_push_tail(&link->requests, request);
}

redisReply *ox__link_keep_reply(struct ox__link *link)
{
    (void)link;
    return ox__replies_keep(t.replies);
}

/* From its closing on, nobody may look at a link: it goes when it likes. */
bool ox__link_is_up(const struct ox__link *link)
{
    assert_null(link->closed);
    return !link->down;
}

void ox__link_renew(struct ox__link *link)
{
    assert_null(link->closed);
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

/* One of several answers of the same turn. */
static inline void answer_first(struct ox__request *request, const char *resp)
{
    const redisReply *reply = NULL;
    assert_non_null(request);
    ox__replies_feed(t.replies, resp, strlen(resp));
    assert_int_equal(ox__replies_next(t.replies, &reply, NULL), 0);
    assert_non_null(reply);
    assert_true(request->fits == NULL || request->fits(request, reply));
    assert_true(reply->type != REDIS_REPLY_ERROR || request->takes_errors);
    request->done(request, reply, NULL);
}

static inline void answer(struct ox__request *request, const char *resp)
{
    answer_first(request, resp);
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

static inline int64_t next_alarm_us(const struct ox__turn *at)
{
    return MIN(at->alarm_ms < OX__NEVER ? at->alarm_ms * 1000 : OX__NEVER, at->fine_us);
}

/* Time passes, and what was to happen meanwhile happens. */
static inline void pass_us(int64_t us)
{
    struct ox__turn *at = &t.worker->engine.turn;
    int64_t end_us = t.now_us + us;
    turn();
    while (next_alarm_us(at) <= end_us && !t.closed) {
        t.now_us = MAX(t.now_us, next_alarm_us(at));
        if (at->fine_us <= t.now_us) {
            at->fine_us = OX__NEVER;
            at->due(at->arg);
        } else {
            at->alarm.timer_cb(&at->alarm);
        }
        turn();
    }
    t.now_us = end_us;
}

static inline void pass(int64_t ms)
{
    pass_us(ms * 1000);
}

/* By default, of the locks that these workers have. */
#define RENEW_MS 18001

/* ---- a worker ---------------------------------------------------------------------------- */

static inline void on_closed(void *arg)
{
    (void)arg;
    t.closed = true;
}

/* Aborts the worker if the test wants it from here. */
static inline void called(const char *callback)
{
    if (g_strcmp0(t.abort_in, callback) == 0) {
        ox_worker_abort(t.worker, on_closed, NULL);
    }
}

static inline void process(ox_task *task, void *arg)
{
    (void)arg;
    g_ptr_array_add(t.tasks, task);
    called("process");
}

static inline void on_ready(ox_worker *worker, void *arg)
{
    (void)worker;
    (void)arg;
    called("ready");
}

static inline void on_error(
    ox_worker *worker, const char *job_id, const ox_error *err, void *arg)
{
    (void)worker;
    (void)arg;
    g_string_append_printf(t.told, "error %s %d\n", job_id != NULL ? job_id : "-", err->code);
    called("error");
}

static inline void on_run_ended(ox_worker *worker, const ox_run_end *end, void *arg)
{
    (void)worker;
    (void)arg;
    g_string_append_printf(t.told, "end %s %d %d\n", ox_job_id(end->job), end->outcome,
        end->err != NULL ? end->err->code : 0);
    called("run_ended");
}

static inline void on_notice(ox_worker *worker, int notice, const char *job_id, void *arg)
{
    (void)worker;
    (void)arg;
    g_string_append_printf(t.told, "notice %s %d\n", job_id, notice);
    called("notice");
}

static inline void on_lost(ox_task *task, void *arg)
{
    (void)arg;
    g_string_append_printf(t.told, "lost %s\n", ox_job_id(ox_task_job(task)));
    called("lock_lost");
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
        const struct ox__turn *turn = &t.worker->engine.turn;
        struct ox__link *gone = *link;
        assert_false(uv_is_active((const uv_handle_t *)&turn->idle));
        assert_false(uv_is_active((const uv_handle_t *)&turn->alarm));
        *link = NULL;
        gone->closed(gone->closed_arg);
        g_free(gone);
    }
}

/* What may be sent again waits for the next connection; all else ends. */
static inline void lose(struct ox__link *link)
{
    ox_error err;
    GQueue old = link->requests;
    struct ox__request *request;
    ox__fail(&err, OX_ELOST, "gone");
    g_queue_init(&link->requests);
    link->down = true;
    while ((request = g_queue_pop_head(&old)) != NULL) {
        if (request->keep) {
            request->resent = true;
            g_queue_push_tail(&link->requests, request);
        } else {
            fail_request(request, OX_ELOST);
        }
    }
    link->options.down(link->options.arg, &err);
    turn();
}

static inline void come_back(struct ox__link *link)
{
    link->down = false;
    link->options.up(link->options.arg);
    turn();
}

static inline void lose_and_return(struct ox__link *link)
{
    lose(link);
    come_back(link);
}

static inline void make(void)
{
    struct ox_client client = { .command_timeout_ms = 1000 };
    const ox_queue_options queue_options = { .batch = t.batch };
    ox_queue *queue = NULL;
    t.options.ready = on_ready;
    t.options.error = on_error;
    t.options.run_ended = on_run_ended;
    t.options.notice = on_notice;
    t.options.lock_lost = on_lost;
    assert_int_equal(ox_queue_new(&queue, &client, "q", &queue_options, NULL), 0);
    assert_int_equal(
        ox_worker_new(&t.worker, &t.loop, queue, &t.options, process, NULL, NULL), 0);
    ox_queue_free(queue);
    /* It was made by the real clock, which may have been a millisecond ahead of ours. */
    int64_t *fence_at_ms = &t.worker->engine.locks.fence_at_ms;
    if (*fence_at_ms != OX__NEVER) {
        *fence_at_ms = t.now_us / 1000 + t.options.lock_ms / 20 + 1;
    }
    t.worker->engine.clock.boot_us = now_us;
}

static inline void start(void)
{
    make();
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
    t.options.stalled_interval_ms = 60000;
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

static inline void put_bulk(GString *out, const char *text)
{
    g_string_append_printf(out, "$%zu\r\n%s\r\n", strlen(text), text);
}

static inline void put_number(GString *out, int64_t number)
{
    g_string_append_printf(out, ":%lld\r\n", (long long)number);
}

/* What a take brings: `jobs` of them from the number `first` on. */
static inline char *taken(
    const struct ox__request *request, int first, int jobs, int limit_ms, const char *due)
{
    const struct ox__call *call = request->arg;
    GString *out = g_string_new(NULL);
    g_autofree char *server = g_strdup_printf("%lld", (long long)t.server_us);
    g_string_append_printf(out, "*%d\r\n", 5 + 9 * jobs);
    put_number(out, jobs);
    put_number(out, limit_ms);
    put_bulk(out, due);
    put_bulk(out, server);
    put_bulk(out, call->token);
    for (int i = first; i < first + jobs; i++) {
        g_autofree char *id = g_strdup_printf("%d", i);
        put_bulk(out, id);
        put_bulk(out, "n");
        put_bulk(out, "{}");
        put_bulk(out, "{}");
        put_bulk(out, "1");
        g_string_append(out, "$-1\r\n$-1\r\n$-1\r\n$-1\r\n");
    }
    return g_string_free(out, FALSE);
}

/* ---- what was sent ----------------------------------------------------------------------- */

/* All arguments of a sealed request. */
static inline GPtrArray *arguments(const struct ox__request *request)
{
    GPtrArray *out = g_ptr_array_new_with_free_func(g_free);
    const struct ox__op *op = &request->op;
    g_autofree char *text = g_strndup(op->bytes.data + op->start, op->bytes.len - op->start);
    const char *at = text;
    long count = strtol(at + 1, NULL, 10);
    at = strstr(at, "\r\n") + 2;
    for (long i = 0; i < count; i++) {
        size_t len = strtoul(at + 1, NULL, 10);
        at = strstr(at, "\r\n") + 2;
        g_ptr_array_add(out, g_strndup(at, len));
        at += len + 2;
    }
    return out;
}

static inline size_t place(const struct ox__request *request, const char *name)
{
    const struct ox__script *script = request->op.script;
    size_t i = 0;
    while (i < script->arg_count && strcmp(script->args[i], name) != 0) {
        i++;
    }
    return 3 + script->key_count + i;
}

/* What a script call says for one of the script's arguments. */
static inline void expect_arg(
    const struct ox__request *request, const char *name, const char *expected)
{
    g_autoptr(GPtrArray) all = arguments(request);
    size_t i = place(request, name);
    assert_in_range(i, 0, all->len - 1);
    assert_string_equal(all->pdata[i], expected);
}

/* The arguments behind those that have names, joined by spaces. */
static inline char *rest(const struct ox__request *request)
{
    g_autoptr(GPtrArray) all = arguments(request);
    GString *out = g_string_new(NULL);
    for (size_t i = place(request, ""); i < all->len; i++) {
        g_string_append_printf(out, "%s%s", out->len > 0 ? " " : "", (char *)all->pdata[i]);
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

/* How far the server's clock is ahead of the engine's. */
#define AHEAD_US INT64_C(1700000000000000)

/* A take that tells the time, so that the next sleep has a take behind it. */
static inline void learn_clock(void)
{
    t.server_us = t.now_us + AHEAD_US;
    answer_take("take_jobs", 0, 0);
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
