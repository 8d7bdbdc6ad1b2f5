/*
 * worker.c - the engine of a worker: slots, script calls, life and death.
 *
 * Calls time themselves. While some are in flight, the jobs that end are gathered; when an
 * answer comes, all that gathered goes out as one call, which also takes new jobs for the
 * slots that are free. So an idle queue is answered at once, and a busy one pays for one
 * script call per batch. A further call is sent beside those in flight only when it is worth
 * it: with a batch's share of ends or free slots.
 *
 * The engine keeps going whatever an answer says: a run that is refused is reported and
 * dropped, a call that was lost is sent again (its runs may have ended already, then the
 * second answer is a refusal that is no news), a take that was lost leaves jobs whose lease
 * runs out and that the sweep gives back.
 */
#include "worker.h"

#include "clock.h"
#include "error.h"
#include "scripts.h"

#include <assert.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define DEFAULT_CALLS 4

/* ---- lists and memory -------------------------------------------------------------------- */

void ox__task_list_push(struct ox__task_list *list, struct ox_task *task)
{
    task->next = NULL;
    task->prev = list->tail;
    if (list->tail != NULL) {
        list->tail->next = task;
    } else {
        list->head = task;
    }
    list->tail = task;
    list->count++;
}

void ox__task_list_remove(struct ox__task_list *list, struct ox_task *task)
{
    if (task->prev != NULL) {
        task->prev->next = task->next;
    } else {
        list->head = task->next;
    }
    if (task->next != NULL) {
        task->next->prev = task->prev;
    } else {
        list->tail = task->prev;
    }
    task->next = task->prev = NULL;
    list->count--;
}

static void run_options_drop(struct ox__run_options *run)
{
    if (run != NULL && --run->refs == 0) {
        ox__options_done(&run->options);
        free(run->parent_key);
        free(run);
    }
}

static char *parent_key(const ox_parent *parent)
{
    struct ox__buf key = { 0 };
    if (parent->id == NULL || parent->queue == NULL) {
        return NULL;
    }
    ox__buf_text(&key, parent->queue);
    ox__buf_char(&key, ':');
    ox__buf_text(&key, parent->id);
    return ox__buf_steal(&key);
}

/* The options of a job; read anew only when the text differs from the last job's. */
static struct ox__run_options *run_options(ox_worker *worker, const struct ox__field *opts)
{
    struct ox__run_options *last = worker->last_run;
    const char *text = opts->text != NULL ? opts->text : "{}";
    size_t len = opts->text != NULL ? opts->len : 2;
    if (last == NULL || last->len != len || memcmp(last->text, text, len) != 0) {
        struct ox__run_options *run = calloc(1, sizeof(*run) + len + 1);
        if (run == NULL) {
            return NULL;
        }
        run->refs = 1;
        run->len = len;
        memcpy(run->text, text, len);
        run->readable = ox__options_stored(&run->options, text, len, NULL) == 0;
        run->parent_key = parent_key(&run->options.set.parent);
        run_options_drop(last);
        worker->last_run = run;
    }
    worker->last_run->refs++;
    return worker->last_run;
}

static struct ox_task *task_new(ox_worker *worker)
{
    struct ox_task *task = worker->spare;
    if (task != NULL) {
        worker->spare = task->next;
        memset(task, 0, sizeof(*task));
    } else {
        task = calloc(1, sizeof(*task));
    }
    if (task != NULL) {
        task->worker = worker;
    }
    return task;
}

void ox__task_free(struct ox_task *task)
{
    run_options_drop(task->run);
    ox_job_free(task->job);
    task->job = NULL;
    task->run = NULL;
    task->next = task->worker->spare;
    task->worker->spare = task;
}

void ox__worker_error(ox_worker *worker, const char *job_id, const ox_error *err)
{
    if (worker->options.error != NULL) {
        worker->options.error(worker, job_id, err, worker->arg);
    }
}

/* ---- side requests ----------------------------------------------------------------------- */

static void finish_close(ox_worker *worker);

void ox__side_free(struct ox__side *side)
{
    if (side != NULL) {
        ox__op_done(&side->request.op);
        free(side->job_id);
        free(side);
    }
}

static void side_done(struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct ox__side *side = request->arg;
    ox_worker *worker = side->worker;
    if (side->answered != NULL) {
        side->answered(side, reply, err);
    } else if (err != NULL && err->code != OX_ECLOSED) {
        ox__worker_error(worker, side->job_id, err);
    } else if (reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer < 0) {
        ox_error refusal;
        ox__script_refusal(reply->integer, worker->at.name, side->job_id, &refusal);
        ox__worker_error(worker, side->job_id, &refusal);
    }
    ox__side_free(side);
    worker->sides--;
    finish_close(worker);
}

struct ox__side *ox__side_new(ox_worker *worker, const char *job_id)
{
    struct ox__side *side = calloc(1, sizeof(*side));
    char *id = job_id != NULL ? strdup(job_id) : NULL;
    if (side == NULL || (job_id != NULL && id == NULL)) {
        ox_error err;
        free(side);
        free(id);
        ox__fail_memory(&err);
        ox__worker_error(worker, job_id, &err);
        return NULL;
    }
    side->worker = worker;
    side->job_id = id;
    side->request.done = side_done;
    side->request.arg = side;
    side->request.keep = true;
    return side;
}

int ox__worker_send(ox_worker *worker, struct ox__request *request, ox_error *err)
{
    int rc = ox__op_seal(&request->op, err);
    if (rc == 0) {
        ox__link_send(worker->link, request);
    }
    return rc;
}

void ox__side_send(struct ox__side *side)
{
    ox_worker *worker = side->worker;
    ox_error err;
    worker->sides++;
    if (ox__worker_send(worker, &side->request, &err) < 0) {
        side_done(&side->request, NULL, &err);
    }
}

/* ---- what a take brings ------------------------------------------------------------------ */

/* Fields of a job in the answer of a take, in its order; see lua/inc/take.lua. */
static const enum ox_field first_fields[] = { OX_JOB_NAME, OX_JOB_DATA, OX_JOB_OPTS,
    OX_JOB_TIMESTAMP, OX_JOB_ATTEMPTS_STARTED, OX_JOB_ATTEMPTS_MADE, OX_JOB_DEFERRED_FAILURE };
static const enum ox_field rerun_fields[] = { OX_JOB_STALLED, OX_JOB_STACK_TRACE,
    OX_JOB_PROGRESS, OX_JOB_FAILED_REASON, OX_JOB_PROCESSED_ON };
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void start_task(ox_worker *worker, const struct ox__field *id,
    const struct ox__field field[OX_FIELD_COUNT], const char *token)
{
    struct ox_task *task = task_new(worker);
    ox_job *job = task != NULL ? ox__job_new(id, field) : NULL;
    struct ox__run_options *run = job != NULL ? run_options(worker, &field[OX_JOB_OPTS]) : NULL;
    if (job == NULL) {
        /* Its lease runs out and the sweep gives it back. */
        ox_error err;
        ox__fail_memory(&err);
        ox__worker_error(worker, id->text, &err);
        if (task != NULL) {
            task->run = run;
            ox__task_free(task);
        }
        return;
    }
    task->job = job;
    task->run = run;
    task->leased_at_ms = ox__steady_ms();
    memcpy(task->token, token, sizeof(task->token));
    ox__task_list_push(&worker->running, task);
    ox__task_begin(task);
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

/* Starts the jobs of an answer. Returns how many, or OX_EREPLY. */
static int start_tasks(ox_worker *worker, const redisReply *reply, const char *token)
{
    size_t i = 3, n = 0;
    while (i + 1 + COUNT(first_fields) <= reply->elements) {
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
        start_task(worker, &id, field, token);
        n++;
    }
    return i == reply->elements ? (int)n : OX_EREPLY;
}

static int take_answer(struct ox__call_slot *call, const redisReply *reply)
{
    ox_worker *worker = call->worker;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 3 ||
        reply->element[0]->type != REDIS_REPLY_INTEGER ||
        reply->element[1]->type != REDIS_REPLY_INTEGER ||
        reply->element[2]->type != REDIS_REPLY_STRING) {
        return OX_EREPLY;
    }
    int64_t got = reply->element[0]->integer, limit_ms = reply->element[1]->integer;
    double due_ms = strtod(reply->element[2]->str, NULL);
    if (call->want > 0) {
        /* Work that was announced while the call was on its way may have come too late for
         * it: then "nothing there" is no reason to sleep. */
        bool drained = got < call->want && call->wakes == worker->wakes;
        ox__idle_learn(worker, drained, limit_ms, (int64_t)due_ms);
    }
    return start_tasks(worker, reply, call->token);
}

/* ---- calls ------------------------------------------------------------------------------- */

static void forget_tasks(struct ox__task_list *list)
{
    while (list->head != NULL) {
        struct ox_task *task = list->head;
        ox__task_list_remove(list, task);
        ox__task_free(task);
    }
}

/* Refusals of ends, reported one by one. After a resend "gone" only means: it was applied. */
static void report_refusals(struct ox__call_slot *call, const redisReply *refused)
{
    for (size_t i = 0; i + 1 < refused->elements; i += 2) {
        long long index = refused->element[i]->integer;
        long long number = refused->element[i + 1]->integer;
        struct ox_task *task = call->tasks.head;
        for (long long j = 1; j < index && task != NULL; j++) {
            task = task->next;
        }
        if (task != NULL && !(call->request.resent && (number == -1 || number == -2))) {
            ox_error err;
            ox__script_refusal(number, call->worker->at.name, ox_job_id(task->job), &err);
            ox__worker_error(call->worker, ox_job_id(task->job), &err);
        }
    }
}

static int call_answer(struct ox__call_slot *call, const redisReply *reply)
{
    const redisReply *taken = reply;
    if (call->tasks.count > 0) {
        if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
            reply->element[0]->type != REDIS_REPLY_ARRAY) {
            return OX_EREPLY;
        }
        report_refusals(call, reply->element[0]);
        taken = reply->element[1];
    }
    return take_answer(call, taken);
}

static void pump(ox_worker *worker);

static void on_call_done(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct ox__call_slot *call = request->arg;
    ox_worker *worker = call->worker;
    worker->wanted -= call->want;
    worker->calls_busy--;
    if (reply != NULL && call_answer(call, reply) < 0) {
        ox_error odd;
        ox__fail(&odd, OX_EREPLY, "queue %s: %s: an answer of an unexpected kind",
            worker->at.name, request->op.script->name);
        ox__worker_error(worker, NULL, &odd);
    } else if (err != NULL && err->code != OX_ECLOSED && err->code != OX_ELOST) {
        ox__worker_error(worker, NULL, err);
        /* The server cannot do it now; it is asked again, but not in a tight loop. */
        ox__idle_learn(worker, true, 0, 0);
    }
    forget_tasks(&call->tasks);
    call->busy = false;
    pump(worker);
    finish_close(worker);
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
    snprintf(call->token, sizeof(call->token), "%s:%llu", worker->uuid,
        (unsigned long long)++worker->takes);
    ox__op_int(op, "now", ox__now_ms());
    ox__op_int(op, "want", call->want);
    ox__op_text(op, "token", call->token);
    ox__op_int(op, "lock_ms", o->lock_ms);
    ox__op_text(op, "name", worker->name != NULL ? worker->name : "");
    ox__op_int(op, "limit_max", o->limiter_max);
    ox__op_int(op, "limit_ms", o->limiter_duration_ms);
    ox__op_text(op, "popped", worker->holds_marker && call->want > 0 ? "1" : "0");
    if (call->want > 0) {
        worker->holds_marker = false;
    }
}

/* How the next batch of ended tasks can be sent: by complete_jobs when all are alike. */
static enum ox__plain batch_plain(const ox_worker *worker)
{
    const struct ox_task *task = worker->ended.head;
    enum ox__plain plain = task->plain;
    for (uint32_t n = 0; task != NULL && n < worker->batch; task = task->next, n++) {
        if (task->plain != plain) {
            return OX__NOT_PLAIN;
        }
    }
    return plain;
}

/* Moves up to a batch of ended tasks, with their ends, into the call. */
static void put_ends(ox_worker *worker, struct ox__call_slot *call, enum ox__plain plain)
{
    struct ox__op *op = &call->request.op;
    for (uint32_t n = 0; worker->ended.head != NULL && n < worker->batch; n++) {
        struct ox_task *task = worker->ended.head;
        size_t skip = plain == OX__NOT_PLAIN ? 0 : task->head_len;
        op->argc += task->ends_argc - (skip > 0 ? 2 : 0);
        ox__buf_put(&op->bytes, worker->ends.bytes.data + worker->ends.at + skip,
            task->ends_len - skip);
        worker->ends.at += task->ends_len;
        ox__task_list_remove(&worker->ended, task);
        ox__task_list_push(&call->tasks, task);
    }
    if (worker->ended.count == 0) {
        worker->ends.at = 0;
        ox__buf_reset(&worker->ends.bytes, 256 * 1024);
    }
}

static void build_take(ox_worker *worker, struct ox__call_slot *call)
{
    struct ox__op *op = &call->request.op;
    ox__op_script(op, &ox__script_take_jobs, worker->at.base);
    ox__op_text(op, "base", worker->at.base);
    ox__op_text(op, "flags", worker->at.flags);
    put_take(worker, call);
}

static void build_end(ox_worker *worker, struct ox__call_slot *call)
{
    struct ox__op *op = &call->request.op;
    enum ox__plain plain = batch_plain(worker);
    ox__op_script(op, plain == OX__NOT_PLAIN ? &ox__script_end_jobs : &ox__script_complete_jobs,
        worker->at.base);
    ox__op_text(op, "base", worker->at.base);
    ox__op_text(op, "flags", worker->at.flags);
    ox__op_int(op, "max_events", worker->at.max_events);
    put_take(worker, call);
    ox__op_int(op, "metrics_points", worker->options.metrics_points);
    if (plain != OX__NOT_PLAIN) {
        ox__op_text(op, "keep", plain == OX__PLAIN_DROPPED ? "0" : "");
    }
    put_ends(worker, call, plain);
}

static void send_call(ox_worker *worker, uint32_t want)
{
    struct ox__call_slot *call = free_call(worker);
    bool ends = worker->ended.count > 0;
    call->busy = true;
    call->want = want;
    call->wakes = worker->wakes;
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
           (worker->limited_until_ms == 0 || ox__now_ms() >= worker->limited_until_ms);
}

/* How much makes a call beside others worth it: calls share the slots. */
static uint32_t share(const ox_worker *worker)
{
    uint32_t part = worker->options.concurrency / 2;
    part = part > worker->batch ? worker->batch : part;
    return part > 0 ? part : 1;
}

static void pump(ox_worker *worker)
{
    while (!worker->aborted && worker->calls_busy < worker->options.calls &&
           ox__link_is_up(worker->link)) {
        uint32_t want = ox__worker_takes(worker) ? ox__worker_free_slots(worker) : 0;
        want = want > worker->batch ? worker->batch : want;
        uint32_t ends = worker->ended.count;
        if (ends == 0 && (want == 0 || worker->drained)) {
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

static void on_check(uv_check_t *check)
{
    ox_worker *worker = check->data;
    uv_idle_stop(&worker->soon_idle);
    uv_check_stop(&worker->soon_check);
    worker->soon = false;
    pump(worker);
    finish_close(worker);
}

void ox__worker_soon(ox_worker *worker)
{
    if (!worker->soon && !worker->aborted) {
        worker->soon = true;
        uv_idle_start(&worker->soon_idle, on_idle);
        uv_check_start(&worker->soon_check, on_check);
    }
}

/* ---- life -------------------------------------------------------------------------------- */

static void on_up(void *arg)
{
    ox_worker *worker = arg;
    worker->drained = false;
    ox__upkeep_start(worker);
    if (worker->options.ready != NULL) {
        worker->options.ready(worker, worker->arg);
    }
    pump(worker);
}

static void on_down(void *arg, const ox_error *err)
{
    ox__worker_error(arg, NULL, err);
}

/* The blocking connection comes and goes with the other one; it is not news. */
static void on_sleep_up(void *arg)
{
    ox__idle_sleep(arg);
}

static void on_sleep_down(void *arg, const ox_error *err)
{
    (void)arg;
    (void)err;
}

/* "prefix:base64(name)[:w:worker]", by which BullMQ's getWorkers finds us. */
static char *client_name(const ox_worker *worker)
{
    g_autofree char *code =
        g_base64_encode((const unsigned char *)worker->at.name, strlen(worker->at.name));
    struct ox__buf text = { 0 };
    ox__buf_text(&text, worker->at.prefix);
    ox__buf_char(&text, ':');
    ox__buf_text(&text, code);
    if (worker->name != NULL) {
        ox__buf_text(&text, ":w:");
        ox__buf_text(&text, worker->name);
    }
    return ox__buf_steal(&text);
}

static int open_links(ox_worker *worker, const ox_client *client, ox_error *err)
{
    OX__AUTO(ox__free_text) char *name = client_name(worker);
    struct ox__link_options options = { .url = &client->url,
        .connect_timeout_ms = client->connect_timeout_ms,
        .command_timeout_ms = client->command_timeout_ms,
        .up = on_up,
        .down = on_down,
        .arg = worker };
    int rc = name == NULL ? ox__fail_memory(err)
                          : ox__link_new(&worker->link, worker->loop, &options, err);
    if (rc < 0) {
        return rc;
    }
    worker->handles_open++;
    options.client_name = name;
    options.up = on_sleep_up;
    options.down = on_sleep_down;
    rc = ox__link_new(&worker->sleep, worker->loop, &options, err);
    worker->handles_open += rc == 0 ? 1 : 0;
    return rc;
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static int set_options(ox_worker *worker, const ox_worker_options *given, ox_error *err)
{
    ox_worker_options *o = &worker->options;
    if (given != NULL) {
        *o = *given;
    }
    o->concurrency = or_default(o->concurrency, 1);
    o->lock_ms = or_default(o->lock_ms, 10000);
    o->renew_ms = or_default(o->renew_ms, o->lock_ms * 3 / 10 + 1);
    o->sweep_ms = or_default(o->sweep_ms, 5000);
    o->max_stalled = o->max_stalled == 0 ? 1 : o->max_stalled;
    o->drain_delay_ms = or_default(o->drain_delay_ms, 5000);
    o->calls = or_default(o->calls, DEFAULT_CALLS);
    o->calls = o->calls > OX__CALLS_MAX ? OX__CALLS_MAX : o->calls;
    if (o->renew_ms >= o->lock_ms) {
        return ox__fail(err, OX_EINVAL, "leases of %u ms renewed every %u ms would run out",
            o->lock_ms, o->renew_ms);
    }
    if (o->limiter_max > 0 && o->limiter_duration_ms <= 0) {
        return ox__fail(err, OX_EINVAL, "a limiter needs a duration");
    }
    if (o->name != NULL && (*o->name == '\0' || strpbrk(o->name, " \r\n\t") != NULL)) {
        return ox__fail(err, OX_EINVAL, "a worker's name cannot be empty or have spaces");
    }
    worker->name = o->name != NULL ? strdup(o->name) : NULL;
    o->name = NULL;
    return given != NULL && given->name != NULL && worker->name == NULL ? ox__fail_memory(err)
                                                                        : 0;
}

static void make_uuid(ox_worker *worker)
{
    unsigned char bytes[16];
    size_t n = 0;
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        int64_t seed[2] = { ox__clock_ms(CLOCK_REALTIME), (int64_t)(uintptr_t)worker };
        memcpy(bytes, seed, sizeof(bytes));
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        n += (size_t)snprintf(worker->uuid + n, sizeof(worker->uuid) - n, "%02x", bytes[i]);
    }
}

static void init_handles(ox_worker *worker)
{
    uv_idle_init(worker->loop, &worker->soon_idle);
    uv_check_init(worker->loop, &worker->soon_check);
    worker->soon_idle.data = worker;
    worker->soon_check.data = worker;
    worker->handles_open += 2;
    ox__idle_init(worker);
    ox__upkeep_init(worker);
    for (size_t i = 0; i < OX__CALLS_MAX; i++) {
        worker->calls[i].worker = worker;
        worker->calls[i].request.done = on_call_done;
        worker->calls[i].request.arg = &worker->calls[i];
    }
}

static void nothing(void *arg)
{
    (void)arg;
}

int ox_worker_new(ox_worker **out, struct uv_loop_s *loop, const ox_queue *queue,
    const ox_worker_options *options, ox_process_fn *process, void *arg, ox_error *err)
{
    ox_worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        return ox__fail_memory(err);
    }
    worker->loop = loop;
    worker->process = process;
    worker->arg = arg;
    worker->batch = queue->options.batch;
    int rc = ox__queue_at_copy(&worker->at, &queue->at, err);
    if (rc == 0) {
        rc = set_options(worker, options, err);
    }
    if (rc < 0) {
        ox__queue_at_done(&worker->at);
        free(worker->name);
        free(worker);
        return rc;
    }
    make_uuid(worker);
    init_handles(worker);
    rc = open_links(worker, queue->client, err);
    if (rc < 0) {
        ox_worker_abort(worker, nothing, NULL);
        return rc;
    }
    *out = worker;
    return 0;
}

void ox_worker_pause(ox_worker *worker)
{
    worker->paused = true;
}

void ox_worker_resume(ox_worker *worker)
{
    worker->paused = false;
    worker->drained = false;
    ox__worker_soon(worker);
}

uint32_t ox_worker_running(const ox_worker *worker)
{
    return worker->running.count;
}

const char *ox_worker_queue_name(const ox_worker *worker)
{
    return worker->at.name;
}

static void free_worker(ox_worker *worker)
{
    void (*closed)(void *arg) = worker->closed;
    void *arg = worker->closed_arg;
    forget_tasks(&worker->running);
    forget_tasks(&worker->ended);
    for (size_t i = 0; i < OX__CALLS_MAX; i++) {
        forget_tasks(&worker->calls[i].tasks);
        ox__op_done(&worker->calls[i].request.op);
    }
    while (worker->spare != NULL) {
        struct ox_task *next = worker->spare->next;
        free(worker->spare);
        worker->spare = next;
    }
    run_options_drop(worker->last_run);
    ox__buf_done(&worker->ends.bytes);
    ox__op_done(&worker->wait.op);
    ox__op_done(&worker->sweep.op);
    ox__queue_at_done(&worker->at);
    free(worker->name);
    free(worker);
    closed(arg);
}

static void on_part_closed(void *arg)
{
    ox_worker *worker = arg;
    if (--worker->handles_open == 0) {
        free_worker(worker);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    on_part_closed(handle->data);
}

static void close_everything(ox_worker *worker)
{
    worker->aborted = true;
    uv_close((uv_handle_t *)&worker->soon_idle, on_handle_closed);
    uv_close((uv_handle_t *)&worker->soon_check, on_handle_closed);
    uv_close((uv_handle_t *)&worker->wake_timer, on_handle_closed);
    uv_close((uv_handle_t *)&worker->renew_timer, on_handle_closed);
    uv_close((uv_handle_t *)&worker->sweep_timer, on_handle_closed);
    if (worker->sleep != NULL) {
        ox__link_close(worker->sleep, on_part_closed, worker);
    }
    if (worker->link != NULL) {
        ox__link_close(worker->link, on_part_closed, worker);
    }
}

/* Goes on with a close that waits, when nothing is left to wait for. */
static void finish_close(ox_worker *worker)
{
    if (worker->closing && !worker->aborted && worker->running.count == 0 &&
        worker->ended.count == 0 && worker->calls_busy == 0 && worker->sides == 0) {
        close_everything(worker);
    }
}

/* We may have popped a marker that nobody has acted on: give it back, so that no other worker
 * sleeps beside a job. */
static void give_marker_back(ox_worker *worker)
{
    struct ox__side *side = ox__side_new(worker, NULL);
    if (side != NULL) {
        ox__op_command(&side->request.op, "ZADD");
        ox__op_key(&side->request.op, worker->at.base, "marker");
        ox__op_text(&side->request.op, "score", "0");
        ox__op_text(&side->request.op, "member", "0");
        side->request.keep = false;
        ox__side_send(side);
    }
}

void ox_worker_close(ox_worker *worker, void (*closed)(void *arg), void *arg)
{
    worker->closing = true;
    worker->closed = closed;
    worker->closed_arg = arg;
    if (worker->waiting && ox__link_is_up(worker->link)) {
        give_marker_back(worker);
    }
    ox__worker_soon(worker);
}

void ox_worker_abort(ox_worker *worker, void (*closed)(void *arg), void *arg)
{
    if (!worker->aborted) {
        worker->closing = true;
        worker->closed = closed;
        worker->closed_arg = arg;
        close_everything(worker);
    }
}
