/*
 * calls.c - the script calls of a worker: which jobs end in them, how many new ones they take.
 *
 * Calls time themselves. While some are in flight, the jobs that end are gathered; when an
 * answer comes, all that gathered goes out as one call, which also takes new jobs for the
 * slots that are free. So an idle queue is answered at once, and a busy one pays for one
 * script call per batch. A further call is sent beside those in flight only when it is worth
 * it: with a batch's share of ends or free slots.
 *
 * The engine keeps going whatever an answer says: a run that is refused is reported and
 * dropped, a call that was lost is sent again (its runs may have ended already, then the
 * second answer is a refusal that is no news), a take that was lost leaves jobs whose lock
 * runs out and that the stalled check returns.
 */
#include "engine/worker.h"

#include "base/clock.h"
#include "base/error.h"
#include "scripts.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAKE_HEAD 5      /* elements before the jobs in the answer of a take */
#define NOT_STORED (-99) /* a refusal that is the text of an error */
#define HEAD_ARGC 3      /* arguments of an end that complete_jobs has once for many */

/* ---- what a take brings ------------------------------------------------------------------ */

/* Fields of a job in the answer of a take, in its order; see lua/inc/take.lua. */
static const enum ox_field first_fields[] = { OX_JOB_NAME, OX_JOB_DATA, OX_JOB_OPTS,
    OX_JOB_TIMESTAMP, OX_JOB_PARENT_KEY, OX_JOB_ATTEMPTS_STARTED, OX_JOB_ATTEMPTS_MADE,
    OX_JOB_DEFERRED_FAILURE };
static const enum ox_field rerun_fields[] = { OX_JOB_STALLED, OX_JOB_STACK_TRACE,
    OX_JOB_PROGRESS, OX_JOB_FAILED_REASON, OX_JOB_PROCESSED_ON };
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* When the script says that the job was started: not before it was made; see lua/inc/take.lua.
 */
static int64_t started_ms(const struct ox__field *made, int64_t now_ms, bool *ahead)
{
    char now[24];
    size_t len = ox__int_text(now, now_ms);
    *ahead = made->text != NULL && made->len == len && memcmp(made->text, now, len) > 0 &&
             strspn(made->text, "0123456789") == len;
    return *ahead ? g_ascii_strtoll(made->text, NULL, 10) : now_ms;
}

/* What is known of the lock of a job that a take brought. The reply may have been read late, by
 * a process that was stopped or a machine that slept: a lock that may have run out by now is in
 * doubt, and the job starts once it is known to be ours; see claim.c. */
static void set_lock(struct ox__call_slot *call, struct ox_task *task, int64_t now_ms)
{
    ox_worker *worker = call->worker;
    int64_t held_ms = call->sent_us / 1000;
    if (call == &worker->wake_take) { /* renewed soon, if the job lasts so long */
        held_ms = ox__server_clock_boot_ms(&worker->clock, now_ms * 1000) +
                  ox__brief_lock_ms(worker) - worker->options.lock_ms;
        ox__renew_brief(worker);
    }
    int64_t age_ms = ox__boot_ms() - held_ms;
    task->lock.held_ms = held_ms;
    task->lock.renewed_ms = call == &worker->wake_take ? 0 : ox__steady_ms() - age_ms;
    task->lock.doubt = age_ms >= worker->options.lock_ms;
}

static void start_task(struct ox__call_slot *call, const struct ox__field *id,
    const struct ox__field field[OX_FIELD_COUNT], int64_t now_ms)
{
    ox_worker *worker = call->worker;
    struct ox_task *task = ox__task_new(worker);
    ox_job *job = task != NULL ? ox__job_new(id, field) : NULL;
    struct ox__run_options *run =
        job != NULL ? ox__run_options_get(worker, &field[OX_JOB_OPTS]) : NULL;
    if (task != NULL) {
        task->job = job;
        task->run = run;
    }
    if (run == NULL) {
        /* Its lock runs out and the stalled check returns it. */
        ox_error err;
        ox__fail_memory(&err);
        ox__worker_error(worker, id->text, &err);
        if (task != NULL) {
            ox__task_free(task);
        }
        return;
    }
    set_lock(call, task, now_ms);
    task->started_ms = started_ms(&field[OX_JOB_TIMESTAMP], now_ms, &task->ahead);
    task->starts = ox_job_number(job, OX_JOB_ATTEMPTS_STARTED, 0) + 1;
    memcpy(task->token, call->token, sizeof(task->token));
    ox__task_list_push(&worker->running, task);
    if (task->lock.doubt) {
        task->lock.starts = true;
    } else {
        ox__task_begin(task);
    }
}

/* The job of a scheduler is named after it: "repeat:<scheduler>:<ms>". */
static void set_scheduler(const struct ox__field *id, struct ox__field *scheduler)
{
    const char *end = id->len > 7 && memcmp(id->text, "repeat:", 7) == 0
                          ? memrchr(id->text, ':', id->len)
                          : NULL;
    if (end != NULL && end > id->text + 7) {
        scheduler->text = id->text + 7;
        scheduler->len = (size_t)(end - scheduler->text);
    }
}

/* Tells of jobs that a take passed over since they cannot be started: from `i` on, the id and
 * the error of each. False when that is not what stands there. */
static bool tell_not_started(ox_worker *worker, const redisReply *reply, size_t i)
{
    for (; i + 1 < reply->elements && !worker->aborted; i += 2) {
        const redisReply *id = reply->element[i], *why = reply->element[i + 1];
        if (id->type != REDIS_REPLY_STRING || why->type != REDIS_REPLY_ERROR) {
            return false;
        }
        ox_error err;
        ox__script_refused(why, worker->at.name, id->str, &err);
        ox__worker_error(worker, id->str, &err);
    }
    return worker->aborted || i == reply->elements;
}

/* Starts the jobs of an answer: those that there are slots for, whatever it says. Returns how
 * many, or OX_EREPLY. */
static int start_tasks(struct ox__call_slot *call, const redisReply *reply, int64_t now_ms)
{
    ox_worker *worker = call->worker;
    size_t i = TAKE_HEAD, n = 0, count = (size_t)reply->element[0]->integer;
    while (n < call->want && n < count && i + 1 + COUNT(first_fields) <= reply->elements) {
        struct ox__field field[OX_FIELD_COUNT] = { { NULL, 0 } };
        struct ox__field id = ox__field_of(reply->element[i++]);
        for (size_t f = 0; f < COUNT(first_fields); f++) {
            field[first_fields[f]] = ox__field_of(reply->element[i++]);
        }
        if (field[OX_JOB_ATTEMPTS_STARTED].text != NULL ||
            field[OX_JOB_ATTEMPTS_MADE].text != NULL) {
            for (size_t f = 0; f < COUNT(rerun_fields) && i < reply->elements; f++) {
                field[rerun_fields[f]] = ox__field_of(reply->element[i++]);
            }
        }
        if (id.text == NULL) {
            return OX_EREPLY;
        }
        set_scheduler(&id, &field[OX_JOB_SCHEDULER]);
        start_task(call, &id, field, now_ms);
        n++;
        if (worker->aborted) {
            return (int)n; /* by the job that was just started */
        }
    }
    ox__claim(worker); /* those whose locks are in doubt */
    return tell_not_started(worker, reply, i) ? (int)n : OX_EREPLY;
}

static bool is_take(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements >= TAKE_HEAD &&
           reply->element[0]->type == REDIS_REPLY_INTEGER &&
           reply->element[1]->type == REDIS_REPLY_INTEGER &&
           reply->element[2]->type == REDIS_REPLY_STRING &&
           reply->element[3]->type == REDIS_REPLY_STRING &&
           reply->element[4]->type == REDIS_REPLY_STRING;
}

/* Learns the server's clock, unless the server did something else between the sending and the
 * take. Returns the time that it gave to the jobs that it started. */
static int64_t learn_clock(struct ox__call_slot *call, const char *text)
{
    ox_worker *worker = call->worker;
    int64_t server_us = g_ascii_strtoll(text, NULL, 10);
    if (server_us <= 0) {
        return call->server_ms; /* it may not be asked for its time */
    }
    if (call != &worker->wake_take && !call->request.resent) {
        ox__server_clock_sample(&worker->clock, call->sent_us, ox__boot_us(), server_us);
    }
    return server_us / 1000;
}

static int take_answer(struct ox__call_slot *call, const redisReply *reply)
{
    ox_worker *worker = call->worker;
    if (reply->type == REDIS_REPLY_ERROR) { /* behind ends that were stored */
        ox_error err;
        ox__reply_check(reply, &err);
        ox__worker_error(worker, NULL, &err);
        ox__idle_learn(worker, true, 0, 0);
        return 0;
    }
    if (!is_take(reply)) {
        return OX_EREPLY;
    }
    int64_t now_ms = learn_clock(call, reply->element[3]->str);
    int64_t limit_ms = reply->element[1]->integer;
    int64_t due_ms = ox__due_of(reply->element[2]->str);
    if (call->want > 0) {
        /* Work that was announced while the call was on its way may have come too late for
         * it: then "nothing there" is no reason to sleep. */
        bool drained =
            strcmp(reply->element[2]->str, "?") != 0 && call->wakes == worker->idle.wakes;
        ox__idle_learn(worker, drained, limit_ms, due_ms);
    }
    return start_tasks(call, reply, now_ms);
}

/* ---- calls ------------------------------------------------------------------------------- */

/* Index and refusal in turn: numbers, or for a refusal the error that this job met. */
static bool is_refusals(const redisReply *reply)
{
    bool good = reply->type == REDIS_REPLY_ARRAY && reply->elements % 2 == 0;
    for (size_t i = 0; good && i < reply->elements; i++) {
        int type = reply->element[i]->type;
        good = type == REDIS_REPLY_INTEGER || (i % 2 == 1 && type == REDIS_REPLY_ERROR);
    }
    return good;
}

/* Notes the refusals of ends. */
static void note_refusals(struct ox__call_slot *call, const redisReply *refused)
{
    for (size_t i = 0; i < refused->elements; i += 2) {
        long long index = refused->element[i]->integer;
        const redisReply *refusal = refused->element[i + 1];
        int number = refusal->type == REDIS_REPLY_INTEGER ? (int)refusal->integer : NOT_STORED;
        struct ox_task *task = call->tasks.head;
        for (long long j = 1; j < index && task != NULL; j++) {
            task = task->next;
        }
        if (task != NULL) {
            task->end.refusal = number;
            task->end.refused = refusal;
        }
    }
}

/* A job that has children left cannot complete: it fails, as in BullMQ; by its attempts when
 * they are unfinished, for good when one has failed. */
static void fail_for_children(struct ox_task *task)
{
    char reason[160];
    bool pending = task->end.refusal == -4;
    snprintf(reason, sizeof(reason),
        pending ? "Job %.80s has pending dependencies"
                : "Cannot complete job %.80s because it has at least one failed child",
        ox_job_id(task->job));
    const ox_failure failure = { .reason = reason, .unrecoverable = !pending };
    task->end.refusal = 0;
    task->end.argc = 0;
    ox__task_list_push(&task->worker->running, task);
    ox_task_fail(task, &failure);
}

/* A lock that is gone may only have run out; and what was sent twice may have been done once.
 */
static bool is_in_doubt(const struct ox__call_slot *call, int refusal)
{
    return refusal == -2 ||
           (call->request.resent && (refusal == -1 || refusal == -3 || refusal == -6));
}

static void judge_end(struct ox__call_slot *call, struct ox_task *task)
{
    ox_worker *worker = call->worker;
    ox_error err;
    ox__task_list_remove(&call->tasks, task);
    if ((task->end.refusal == -4 || task->end.refusal == -9) && !worker->aborted) {
        fail_for_children(task);
        return;
    }
    if (task->end.refusal != 0) {
        ox__script_refused(task->end.refused, worker->at.name, ox_job_id(task->job), &err);
    }
    if (is_in_doubt(call, task->end.refusal)) {
        bool plain = call->request.op.script == &ox__script_complete_jobs;
        ox__task_keep_end(task, call->request.op.bytes.data + task->end.sent_at,
            plain ? task->end.head_len : 0);
        if (ox__claim_end(task, call->request.resent)) {
            return;
        }
    }
    ox__notify_end(task, task->end.refusal != 0 ? &err : NULL);
    ox__task_free(task);
}

/* Tells of each run that the call carried whether it was stored, as far as that is known. */
static void judge_ends(struct ox__call_slot *call)
{
    while (call->tasks.head != NULL && !call->worker->aborted) {
        judge_end(call, call->tasks.head);
    }
    if (call->worker->doubted.count > 0) {
        ox__claim(call->worker);
    }
}

/* The part of an answer that says what was taken; NULL if there is none. */
static const redisReply *taken_of(const struct ox__call_slot *call, const redisReply *reply)
{
    if (call->tasks.count == 0) {
        return reply;
    }
    bool good = reply->type == REDIS_REPLY_ARRAY && reply->elements >= 2 &&
                is_refusals(reply->element[0]);
    return good ? reply->element[1] : NULL;
}

/* The answer names the call that it belongs to: else the jobs of one would be run under the
 * lock of another. A take that failed behind ends that were stored does so behind its error. */
static bool is_answer(const struct ox__request *request, const redisReply *reply)
{
    const struct ox__call_slot *call = request->arg;
    const redisReply *taken = taken_of(call, reply), *token = NULL;
    if (taken != NULL && is_take(taken)) {
        token = taken->element[4];
    } else if (taken != NULL && taken != reply && taken->type == REDIS_REPLY_ERROR &&
               reply->elements == 3 && reply->element[2]->type == REDIS_REPLY_STRING) {
        token = reply->element[2];
    }
    return token != NULL && strcmp(token->str, call->token) == 0;
}

static int call_answer(struct ox__call_slot *call, const redisReply *reply)
{
    const redisReply *taken = taken_of(call, reply);
    if (taken == NULL) {
        return OX_EREPLY;
    }
    if (call->tasks.count > 0) {
        note_refusals(call, reply->element[0]);
        judge_ends(call);
    }
    return call->worker->aborted ? 0 : take_answer(call, taken);
}

static void on_call_done(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct ox__call_slot *call = request->arg;
    ox_worker *worker = call->worker;
    worker->wanted -= call->want;
    worker->calls_busy -= call == &worker->wake_take ? 0 : 1;
    ox_error odd;
    if (reply != NULL && call_answer(call, reply) < 0) {
        ox__fail(&odd, OX_EREPLY, "queue %s: %s: unexpected reply type", worker->at.name,
            request->op.script->name);
        ox__worker_error(worker, NULL, &odd);
        ox__idle_learn(worker, true, 0, 0);
        ox__notify_ends(&call->tasks, &odd);
    } else if (err != NULL && err->code != OX_ECLOSED && err->code != OX_ELOST) {
        ox__worker_error(worker, NULL, err);
        /* The server cannot do it now; it is asked again, but not in a tight loop. */
        ox__idle_learn(worker, true, 0, 0);
    } else if (err != NULL && call == &worker->wake_take) {
        ox__idle_lost(worker);
    }
    if (call->want > 0 && (err != NULL ? ox__worker_lost(err) : request->resent)) {
        ox__take_lost(worker, call->token);
        ox__recover(worker);
    }
    if (err != NULL) {
        ox__notify_ends(&call->tasks, err);
    }
    ox__tasks_forget(&call->tasks);
    call->busy = false;
    ox__worker_pump(worker);
    ox__worker_finish_close(worker);
}

static struct ox__call_slot *free_call(ox_worker *worker)
{
    for (uint32_t i = 0; i < worker->options.calls; i++) {
        if (!worker->calls[i].busy) {
            return &worker->calls[i];
        }
    }
    return NULL;
}

/* The arguments that take_jobs and end_jobs share. */
static void put_take(ox_worker *worker, struct ox__call_slot *call)
{
    struct ox__op *op = &call->request.op;
    const ox_worker_options *o = &worker->options;
    bool now = call != &worker->wake_take;
    snprintf(call->token, sizeof(call->token), "%s:%llu", worker->uuid,
        (unsigned long long)++worker->takes);
    call->sent_us = ox__boot_us();
    call->server_ms = ox__server_now_ms(&worker->clock);
    ox__op_int(op, "now", call->server_ms);
    ox__op_int(op, "want", call->want);
    ox__op_text(op, "token", call->token);
    ox__op_int(op, "lock_ms", now ? o->lock_ms : ox__brief_lock_ms(worker));
    ox__op_text(op, "name", worker->name != NULL ? worker->name : "");
    ox__op_int(op, "limit_max", o->limiter_max);
    ox__op_int(op, "limit_ms", o->limiter_duration_ms);
    if (!now) {
        ox__op_text(op, "popped", "?");
        ox__op_text(op, "look", "1");
        return;
    }
    int64_t now_ms = call->sent_us / 1000;
    ox__op_text(op, "popped", worker->idle.holds_marker && call->want > 0 ? "1" : "0");
    /* A call that takes nothing looks only if it was sent for that. */
    ox__op_text(op, "look", call->want == 0 || now_ms != worker->idle.looked_ms ? "1" : "0");
    if (call->want > 0) {
        worker->idle.holds_marker = false;
        worker->idle.looked_ms = now_ms;
    }
}

/* How the next batch of ended tasks can be sent: by complete_jobs when all are alike. */
static enum ox__plain batch_plain(const ox_worker *worker, bool *parents)
{
    const struct ox_task *task = worker->ended.head;
    enum ox__plain plain = task->end.plain;
    *parents = false;
    for (uint32_t n = 0; task != NULL && n < worker->batch; task = task->next, n++) {
        *parents = *parents || task->end.parent;
        if (task->end.plain != plain) {
            return OX__NOT_PLAIN;
        }
    }
    return plain;
}

/* How many of the next `most` ended tasks were taken together with the first. */
static uint32_t taken_together(const struct ox_task *first, uint32_t most)
{
    uint32_t count = 0;
    for (const struct ox_task *task = first; task != NULL && count < most; task = task->next) {
        if (strcmp(task->token, first->token) != 0) {
            break;
        }
        count++;
    }
    return count;
}

/* Takes what was sent off the front of the ends, when that is worth it: they may be written as
 * fast as they are sent for as long as the worker lives. */
static void drop_sent(ox_worker *worker)
{
    struct ox__buf *bytes = &worker->ends.bytes;
    size_t at = worker->ends.at;
    if (worker->ended.count == 0) {
        ox__buf_reset(bytes, 256 * 1024);
        worker->ends.at = 0;
    } else if (at > bytes->len / 2) {
        memmove(bytes->data, bytes->data + at, bytes->len - at);
        bytes->len -= at;
        worker->ends.at = 0;
    }
}

/* Moves the first ended task into the call, its end without the first `skip` bytes. */
static void put_end(ox_worker *worker, struct ox__call_slot *call, size_t skip)
{
    struct ox_task *task = worker->ended.head;
    task->end.sent_at = call->request.op.bytes.len;
    ox__buf_put(&call->request.op.bytes, worker->ends.bytes.data + worker->ends.at + skip,
        task->end.len - skip);
    worker->ends.at += task->end.len;
    ox__task_list_remove(&worker->ended, task);
    ox__task_list_push(&call->tasks, task);
}

/* Moves up to a batch of ended tasks into the call, as end_jobs or complete_jobs wants them. */
static void put_ends(ox_worker *worker, struct ox__call_slot *call, enum ox__plain plain)
{
    struct ox__op *op = &call->request.op;
    uint32_t together = 0;
    for (uint32_t n = 0; worker->ended.head != NULL && n < worker->batch; n++) {
        const struct ox_task *task = worker->ended.head;
        if (plain == OX__NOT_PLAIN) {
            op->argc += task->end.argc;
            put_end(worker, call, 0);
            continue;
        }
        if (together == 0) {
            together = taken_together(task, worker->batch - n);
            ox__op_int(op, "count", together);
            ox__op_text(op, "token", task->token);
        }
        together--;
        op->argc += task->end.argc - HEAD_ARGC;
        put_end(worker, call, task->end.head_len);
    }
    drop_sent(worker);
}

static void build_take(ox_worker *worker, struct ox__call_slot *call)
{
    struct ox__op *op = &call->request.op;
    ox__op_at(op, &ox__script_take_jobs, &worker->at);
    put_take(worker, call);
}

static void build_end(ox_worker *worker, struct ox__call_slot *call)
{
    struct ox__op *op = &call->request.op;
    bool parents;
    enum ox__plain plain = batch_plain(worker, &parents);
    ox__op_at(op, plain == OX__NOT_PLAIN ? &ox__script_end_jobs : &ox__script_complete_jobs,
        &worker->at);
    put_take(worker, call);
    ox__op_int(op, "metrics_points", worker->options.metrics_points);
    if (plain != OX__NOT_PLAIN) {
        ox__op_text(op, "keep", plain == OX__PLAIN_DROPPED ? "0" : "");
        ox__op_text(op, "parents", parents ? "1" : "0");
    }
    put_ends(worker, call, plain);
}

static void send_call(ox_worker *worker, uint32_t want)
{
    struct ox__call_slot *call = free_call(worker);
    bool ends = worker->ended.count > 0;
    call->busy = true;
    call->want = want;
    call->wakes = worker->idle.wakes;
    if (ends) {
        build_end(worker, call);
    } else {
        build_take(worker, call);
    }
    call->request.keep = ends;
    worker->wanted += want;
    worker->calls_busy++;
    ox_error err;
    if (ox__worker_send(worker, &call->request, &err) < 0) {
        on_call_done(&call->request, NULL, &err);
    }
}

void ox__worker_take_on_wake(ox_worker *worker, uint32_t wait_ms)
{
    struct ox__call_slot *call = &worker->wake_take;
    uint32_t free = ox__worker_free_slots(worker);
    call->want = free > 0 ? 1 : 0;
    call->wakes = worker->idle.wakes;
    build_take(worker, call);
    if (ox__op_seal(&call->request.op, NULL) < 0) {
        return; /* without it, the worker takes when it is awake */
    }
    call->busy = true;
    call->request.keep = false;
    uint64_t patience_ms = (uint64_t)wait_ms + worker->command_timeout_ms;
    call->request.timeout_ms = patience_ms < UINT32_MAX ? (uint32_t)patience_ms : UINT32_MAX;
    worker->wanted += call->want;
    ox__link_send(worker->sleep, &call->request);
}

/* Takes nothing, but lets the server promote the delayed jobs that are due. */
void ox__worker_promote(ox_worker *worker)
{
    if (!worker->aborted && free_call(worker) != NULL && ox__link_is_up(worker->link)) {
        send_call(worker, 0);
    }
}

uint32_t ox__worker_free_slots(const ox_worker *worker)
{
    uint32_t used = worker->running.count + worker->wanted;
    return used < worker->options.concurrency ? worker->options.concurrency - used : 0;
}

/* True while jobs may be taken at all. */
bool ox__worker_takes(const ox_worker *worker)
{
    return !worker->paused && !worker->closing &&
           (worker->idle.limited_until_ms == 0 ||
               ox__steady_ms() >= worker->idle.limited_until_ms);
}

/* How much makes a call beside others worth it: calls share the slots. */
static uint32_t share(const ox_worker *worker)
{
    uint32_t part = worker->options.concurrency / 2;
    part = part > worker->batch ? worker->batch : part;
    return part > 0 ? part : 1;
}

void ox__worker_pump(ox_worker *worker)
{
    while (!worker->aborted && worker->calls_busy < worker->options.calls &&
           ox__link_is_up(worker->link)) {
        uint32_t want = ox__worker_takes(worker) ? ox__worker_free_slots(worker) : 0;
        want = want > worker->batch ? worker->batch : want;
        uint32_t ends = worker->ended.count;
        if (ends == 0 && (want == 0 || worker->idle.drained)) {
            break;
        }
        if (worker->calls_busy > 0) {
            if ((ends > 0 ? ends : want) < share(worker)) {
                break;
            }
            want = want > share(worker) ? share(worker) : want;
        }
        send_call(worker, want);
    }
    ox__idle_sleep(worker);
}

/* ---- the end of this turn ---------------------------------------------------------------- */

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* is there so that the loop does not sleep before the check */
}

/* Tells of the runs that ended without an end to send. */
static void tell_gone(ox_worker *worker)
{
    struct ox__task_list gone = worker->gone;
    worker->gone = (struct ox__task_list){ 0 };
    for (struct ox_task *task = gone.head; task != NULL; task = task->next) {
        if (task->end.kind == OX__KIND_WAITS && !task->lock.lost) {
            ox__notify_end(task, NULL);
        } else if (worker->options.run_ended != NULL) { /* else it was reported already */
            ox_error err;
            ox__fail_memory(&err);
            if (task->lock.lost) {
                ox__script_refusal(-6, worker->at.name, ox_job_id(task->job), &err);
            }
            ox__notify_end(task, &err);
        }
    }
    ox__tasks_forget(&gone);
}

static void on_check(uv_check_t *check)
{
    ox_worker *worker = check->data;
    uv_idle_stop(&worker->soon_idle);
    uv_check_stop(&worker->soon_check);
    worker->soon = false;
    tell_gone(worker);
    ox__worker_pump(worker);
    ox__worker_finish_close(worker);
}

void ox__worker_soon(ox_worker *worker)
{
    if (!worker->soon && !worker->aborted) {
        worker->soon = true;
        uv_idle_start(&worker->soon_idle, on_idle);
        uv_check_start(&worker->soon_check, on_check);
    }
}

static void init_slot(ox_worker *worker, struct ox__call_slot *call)
{
    call->worker = worker;
    call->request.done = on_call_done;
    call->request.fits = is_answer;
    call->request.arg = call;
}

void ox__calls_init(ox_worker *worker)
{
    uv_idle_init(worker->loop, &worker->soon_idle);
    uv_check_init(worker->loop, &worker->soon_check);
    worker->soon_idle.data = worker;
    worker->soon_check.data = worker;
    worker->handles_open += 2;
    for (size_t i = 0; i < OX__CALLS_MAX; i++) {
        init_slot(worker, &worker->calls[i]);
    }
    init_slot(worker, &worker->wake_take);
}
