/*
 * fuzz_engine.c - the worker's engine, against a server that answers anything.
 *
 * Input: a byte of settings (see `set_up`), then the server's answers in Redis' protocol, one
 * for each request in the order in which they are sent; scripts first, then the blocking wait
 * with what stands behind it. The program stands in for link.c, so there is no socket. Jobs end
 * as the first letter of their names says; those of an 's' pause the worker first. Whatever the
 * answers are, no more jobs run than there are slots, each task ends once, and the worker
 * closes.
 */
#include "fuzz.h"

#include <ox.h>
#include <uv.h>

#include "lib/base/error.h"
#include "lib/engine/jobs.h"
#include "lib/queue/queue.h"
#include "lib/wire/client.h"
#include "lib/wire/reply.h"

/* ---- the link ---------------------------------------------------------------------------- */

struct ox__link {
    struct ox__link_options options;
    struct ox__request *head, **tail; /* waiting for their answers, oldest first */
    bool renewed;
    void (*closed)(void *arg);
    void *closed_arg;
};

static struct ox__replies *incoming;
static struct ox__link *links[2]; /* for scripts, and for the blocking wait */

int ox__link_new(struct ox__link **out, uv_loop_t *loop, const struct ox__link_options *options,
    ox_error *err)
{
    struct ox__link *link = calloc(1, sizeof(*link));
    (void)loop;
    (void)err;
    expect(link != NULL);
    link->options = *options;
    link->tail = &link->head;
    links[links[0] == NULL ? 0 : 1] = link;
    *out = link;
    return 0;
}

void ox__link_start(struct ox__link *link)
{
    (void)link;
}

void ox__link_free(struct ox__link *link)
{
    expect(link == NULL);
}

static void push(struct ox__link *link, struct ox__request *request)
{
    request->next = NULL;
    *link->tail = request;
    link->tail = &request->next;
}

static struct ox__request *pop(struct ox__link *link)
{
    struct ox__request *request = link->head;
    if (request != NULL) {
        link->head = request->next;
        link->tail = link->head == NULL ? &link->head : link->tail;
    }
    return request;
}

void ox__link_send(struct ox__link *link, struct ox__request *request)
{
    request->resent = false;
    request->source = false;
    push(link, request);
}

bool ox__link_is_up(const struct ox__link *link)
{
    return link->closed == NULL && !link->renewed;
}

void ox__link_renew(struct ox__link *link)
{
    link->renewed = true;
}

redisReply *ox__link_keep_reply(struct ox__link *link)
{
    (void)link;
    return ox__replies_keep(incoming);
}

void ox__link_close(struct ox__link *link, void (*closed)(void *arg), void *arg)
{
    link->closed = closed;
    link->closed_arg = arg;
}

static void answer(struct ox__link *link, const redisReply *reply)
{
    struct ox__request *request = pop(link);
    ox_error err;
    if (request->op.script != NULL && !request->source && ox__reply_is_noscript(reply)) {
        request->source = true;
        push(link, request);
    } else if (ox__reply_check(reply, &err) < 0) {
        request->done(request, NULL, &err);
    } else {
        request->done(request, reply, NULL);
    }
}

/* Ends what waits for an answer, and the link when it is being closed. */
static void settle(struct ox__link **link)
{
    ox_error err;
    struct ox__request *request;
    bool closing = (*link)->closed != NULL;
    ox__fail(&err, closing ? OX_ECLOSED : OX_ELOST, "no more");
    while ((request = pop(*link)) != NULL) {
        request->done(request, NULL, &err);
    }
    if (closing) {
        struct ox__link *gone = *link;
        *link = NULL;
        gone->closed(gone->closed_arg);
        free(gone);
    }
}

/* The connection that a link was told to renew ends, and the next one is there. */
static void renew_link(struct ox__link *link)
{
    struct ox__link *same = link;
    settle(&same);
    link->renewed = false;
    link->options.up(link->options.arg);
}

/* ---- jobs -------------------------------------------------------------------------------- */

#define HELD 16

static ox_task *held[HELD];
static size_t held_count, running, concurrency;
static bool closed, paused;
static ox_worker *the_worker;

static void complete(ox_task *task, void *arg)
{
    (void)arg;
    running--;
    expect(ox_task_complete(task, "7") == 0);
}

static void end(ox_task *task, char how)
{
    const ox_failure failure = { .reason = "no", .unrecoverable = how == 'F' };
    const char *data = ox_job_text(ox_task_job(task), OX_JOB_DATA);
    switch (how) {
    case 'f':
    case 'F':
        ox_task_fail(task, &failure);
        break;
    case 'r':
        ox_task_release(task);
        break;
    case 'd':
        ox_task_delay(task, 5);
        break;
    case 'p':
        ox_task_decline(task, 5);
        break;
    case 'q':
        ox_task_decline(task, 0);
        break;
    case 'l':
        ox_task_rate_limited(task, 1);
        break;
    case 'x':
        expect(ox_task_complete(task, "{bad") == OX_EINVAL);
        break;
    default:
        expect(ox_task_complete(task, data) == 0);
    }
}

static void process(ox_task *task, void *arg)
{
    const ox_job *job = ox_task_job(task);
    const char *name = ox_job_text(job, OX_JOB_NAME);
    char how = '\0';
    (void)arg;
    if (name != NULL) {
        how = *name;
    }
    expect(++running <= concurrency);
    expect(ox_task_attempt(task) >= 1 && ox_job_attempts(job) >= 1);
    for (int field = 0; field < OX_FIELD_COUNT; field++) {
        const char *text = ox_job_text(job, field);
        expect(text == NULL || text[ox_job_length(job, field)] == '\0');
    }
    if (how == 'h' && held_count < HELD) {
        held[held_count++] = task;
    } else if (how == 'w') {
        ox_task_wait_children(task, complete, NULL);
    } else {
        if (how == 's') {
            ox_worker_pause(the_worker);
            paused = true;
        }
        if (how == 'p') {
            expect(ox_task_progress(task, "1") == 0 && ox_task_log(task, "row") == 0 &&
                   ox_task_update_data(task, "2") == 0);
        }
        running--;
        end(task, how);
    }
}

static int64_t custom_backoff(ox_task *task, const char *type, uint32_t made, void *arg)
{
    (void)task;
    (void)made;
    (void)arg;
    return *type == 'z' ? -1 : 3;
}

static void on_error(ox_worker *worker, const char *job_id, const ox_error *err, void *arg)
{
    (void)worker;
    (void)job_id;
    (void)arg;
    fuzz_failure(err, err->code);
}

static void on_lost(ox_task *task, void *arg)
{
    (void)arg;
    expect(ox_job_id(ox_task_job(task)) != NULL);
}

static void on_closed(void *arg)
{
    (void)arg;
    closed = true;
}

/* ---- a worker's life --------------------------------------------------------------------- */

static uv_loop_t *the_loop(void)
{
    static uv_loop_t loop;
    static bool made;
    if (!made) {
        expect(uv_loop_init(&loop) == 0);
        made = true;
    }
    return &loop;
}

static ox_worker *set_up(uint8_t settings)
{
    struct ox_client client = { .command_timeout_ms = 1000 };
    const ox_worker_options options = { .concurrency = (settings & 7u) + 1u,
        .lock_ms = 60000,
        .limiter_max = (settings & 8) != 0 ? 3 : 0,
        .limiter_duration_ms = 1000,
        .max_started = (settings & 16) != 0 ? 2 : 0,
        .error = on_error,
        .lock_lost = on_lost,
        .backoff = (settings & 32) != 0 ? custom_backoff : NULL };
    ox_queue *queue = NULL;
    ox_worker *worker = NULL;
    concurrency = options.concurrency;
    running = held_count = 0;
    closed = paused = false;
    expect(ox_queue_new(&queue, &client, "q", NULL, NULL) == 0);
    expect(ox_worker_new(&worker, the_loop(), queue, &options, process, NULL, NULL) == 0);
    ox_queue_free(queue);
    the_worker = worker;
    for (size_t i = 0; i < 2; i++) {
        links[i]->options.up(links[i]->options.arg);
    }
    return worker;
}

/* Asks for the locks of all running tasks, as if it had long been done last. */
static void renew(ox_worker *worker)
{
    struct ox__engine *engine = &worker->engine;
    for (struct ox__run *run = engine->running.head; run != NULL; run = run->next) {
        run->lock.renewed_ms = OX__NOT_RENEWED;
    }
    engine->locks.renew_at_ms = 0;
    engine->turn.alarm.timer_cb(&engine->turn.alarm);
}

static void talk(ox_worker *worker, bool with_renewals)
{
    const redisReply *reply;
    for (;;) {
        uv_run(the_loop(), UV_RUN_NOWAIT);
        if (links[1]->renewed) {
            renew_link(links[1]);
        }
        if (paused && links[0]->head == NULL) {
            ox_worker_resume(worker);
            paused = false;
        }
        if (with_renewals && worker->engine.running.count > 0 && links[0]->head == NULL) {
            renew(worker);
        }
        struct ox__link *link = links[0]->head != NULL ? links[0] : links[1];
        if (link->head == NULL || ox__replies_next(incoming, &reply, NULL) < 0 ||
            reply == NULL) {
            return;
        }
        answer(link, reply);
    }
}

static void tear_down(ox_worker *worker, bool at_once)
{
    if (at_once) {
        ox_worker_abort(worker, on_closed, NULL);
    } else {
        ox_worker_close(worker, on_closed, NULL);
    }
    for (size_t i = 0; i < held_count; i++) {
        end(held[i], (char)('d' + i));
    }
    for (int turn = 0; turn < 100 && !closed; turn++) {
        uv_run(the_loop(), UV_RUN_NOWAIT);
        for (size_t i = 0; i < 2; i++) {
            if (links[i] != NULL) {
                settle(&links[i]);
            }
        }
    }
    expect(closed && links[0] == NULL && links[1] == NULL);
    expect(!uv_loop_alive(the_loop()));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    incoming = ox__replies_new();
    expect(incoming != NULL);
    ox__replies_feed(incoming, (const char *)data + 1, size - 1);
    ox_worker *worker = set_up(data[0]);
    talk(worker, (data[0] & 64) != 0);
    tear_down(worker, (data[0] & 128) != 0);
    ox__replies_free(incoming);
    return 0;
}
