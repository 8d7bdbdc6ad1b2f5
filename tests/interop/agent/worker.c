/*
 * worker.c - the agent's workers, and the processor that obeys the job's data.
 *
 * A job says what is done with it, so that one test drives a libox worker and a BullMQ worker
 * with the same jobs (support/obey.mjs is the twin):
 *
 *   {"do": "return", "value": 1}             one step
 *   {"steps": [step, step, ...]}             one after the other
 *   {"starts": [[step, ...], [step, ...]]}   by how often the job was started; the last one
 *                                            stands for all further starts
 *   anything else                            is returned as it is
 *
 * Steps: return {value | text}, fail {reason, stack, unrecoverable, min_delay_ms}, sleep {ms},
 * hold {key} until {"op":"go","key":..}, progress {value}, log {row}, update_data {value},
 * delay {ms}, release, rate_limit {ms}, wait_children, child {queue, name, data, opts},
 * crash. A job without a step left returns null.
 *
 * A run owns its steps and its timer; it is freed when the timer is closed, after the task
 * was ended.
 */
#include "agent.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct worker {
    struct worker *next;
    int64_t number;
    int64_t closing_id; /* the request that waits for the close */
    ox_worker *worker;  /* NULL once closed */
    struct agent *agent;
    char *queue;
    char *prefix; /* or NULL */
};

struct run {
    struct run *next; /* in `held` */
    uv_timer_t timer;
    ox_task *task; /* NULL once it was ended */
    struct worker *worker;
    json_t *steps;
    size_t at;      /* the step to do next */
    char *hold_key; /* or NULL */
};

static struct worker *workers;
static struct run *held;
static int64_t last_number;

static void go_on(struct run *run);

static struct worker *find_worker(const struct call *call)
{
    int64_t number = arg_number(call, "worker", 0);
    for (struct worker *one = workers; one; one = one->next)
        if (one->number == number && one->worker)
            return one;
    return NULL;
}

/* ---- a run --------------------------------------------------------------------------------
 */

static json_t *plan_of(const json_t *data, int64_t starts)
{
    json_t *list = json_object_get(data, "starts");
    if (json_is_array(list) && json_array_size(list) > 0) {
        size_t last = json_array_size(list) - 1;
        size_t wanted = starts > 0 ? (size_t)starts - 1 : 0;
        return json_incref(json_array_get(list, wanted < last ? wanted : last));
    }
    if (json_is_array(json_object_get(data, "steps")))
        return json_incref(json_object_get(data, "steps"));
    if (json_is_string(json_object_get(data, "do")))
        return json_pack("[O]", data);
    return json_pack("[{s:s, s:O?}]", "do", "return", "value", data);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct run *run = handle->data;
    json_decref(run->steps);
    free(run->hold_key);
    free(run);
}

/* The task is ended: nothing of the run is needed any more. */
static void end_run(struct run *run)
{
    run->task = NULL;
    uv_close((uv_handle_t *)&run->timer, on_timer_closed);
}

static void on_timer(uv_timer_t *timer)
{
    go_on(timer->data);
}

static int64_t step_ms(const json_t *step)
{
    return json_integer_value(json_object_get(step, "ms"));
}

static const char *step_text(const json_t *step, const char *key)
{
    return json_string_value(json_object_get(step, key));
}

/* JSON text of "value", or "text" as it is. Freed by the caller. */
static char *step_json(const json_t *step)
{
    const json_t *value = json_object_get(step, "value");
    if (step_text(step, "text"))
        return strdup(step_text(step, "text"));
    return value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
}

/* ---- steps: each returns true when the run goes on at once ---------------------------------
 */

static bool do_return(struct run *run, const json_t *step)
{
    char *json = step_json(step);
    ox_task_complete(run->task, json);
    free(json);
    end_run(run);
    return false;
}

static bool do_fail(struct run *run, const json_t *step)
{
    ox_failure failure = {
        .reason = step_text(step, "reason"),
        .stack = step_text(step, "stack"),
        .unrecoverable = json_is_true(json_object_get(step, "unrecoverable")),
        .min_delay_ms = json_integer_value(json_object_get(step, "min_delay_ms")),
    };
    ox_task_fail(run->task, &failure);
    end_run(run);
    return false;
}

static bool do_sleep(struct run *run, const json_t *step)
{
    uv_timer_start(&run->timer, on_timer, (uint64_t)step_ms(step), 0);
    return false;
}

static bool do_hold(struct run *run, const json_t *step)
{
    run->hold_key = strdup(step_text(step, "key") ? step_text(step, "key") : "");
    run->next = held;
    held = run;
    return false;
}

static bool do_progress(struct run *run, const json_t *step)
{
    char *json = step_json(step);
    ox_task_progress(run->task, json);
    free(json);
    return true;
}

static bool do_log(struct run *run, const json_t *step)
{
    ox_task_log(run->task, step_text(step, "row"));
    return true;
}

static bool do_update_data(struct run *run, const json_t *step)
{
    char *json = step_json(step);
    ox_task_update_data(run->task, json);
    free(json);
    return true;
}

static bool do_delay(struct run *run, const json_t *step)
{
    ox_task_delay(run->task, (int64_t)agent_now_ms() + step_ms(step));
    end_run(run);
    return false;
}

static bool do_release(struct run *run, const json_t *step)
{
    (void)step;
    ox_task_release(run->task);
    end_run(run);
    return false;
}

static bool do_rate_limit(struct run *run, const json_t *step)
{
    ox_task_rate_limited(run->task, step_ms(step));
    end_run(run);
    return false;
}

static void no_children(ox_task *task, void *arg)
{
    (void)task;
    go_on(arg);
}

/* The run stays until the worker says that there is nothing to wait for, or is done with the
 * task: its memory is then the test's small loss. */
static bool do_wait_children(struct run *run, const json_t *step)
{
    (void)step;
    ox_task_wait_children(run->task, no_children, run);
    return false;
}

/* A job whose parent this one is, by the blocking client. */
static bool do_child(struct run *run, const json_t *step)
{
    struct agent *agent = run->worker->agent;
    char parent[256];
    ox_queue *queue = NULL;
    ox_error error = { 0 };
    ox_job_options options;

    snprintf(parent, sizeof(parent), "%s:%s",
        run->worker->prefix ? run->worker->prefix : "bull", run->worker->queue);
    int rc = job_options(json_object_get(step, "opts"), &options, &error);
    options.parent = (ox_parent){ .id = ox_job_id(ox_task_job(run->task)), .queue = parent };
    char *data = arg_json(step);
    if (rc >= 0)
        rc = queue_of(agent, step, &queue, &error);
    if (rc >= 0)
        rc = ox_queue_add(queue, step_text(step, "name"), data, &options, NULL, &error);
    ox_queue_free(queue);
    free(data);
    if (rc >= 0)
        return true;
    ox_task_fail(run->task, &(ox_failure){ .reason = error.text });
    end_run(run);
    return false;
}

static bool do_crash(struct run *run, const json_t *step)
{
    (void)run;
    (void)step;
    raise(SIGKILL);
    return false;
}

static const struct {
    const char *name;
    bool (*run)(struct run *run, const json_t *step);
} steps[] = {
    { "return", do_return },
    { "fail", do_fail },
    { "sleep", do_sleep },
    { "hold", do_hold },
    { "progress", do_progress },
    { "log", do_log },
    { "update_data", do_update_data },
    { "delay", do_delay },
    { "release", do_release },
    { "rate_limit", do_rate_limit },
    { "wait_children", do_wait_children },
    { "child", do_child },
    { "crash", do_crash },
};

static bool do_step(struct run *run, const json_t *step)
{
    const char *name = step_text(step, "do");
    for (size_t i = 0; name && i < sizeof(steps) / sizeof(steps[0]); i++)
        if (strcmp(steps[i].name, name) == 0)
            return steps[i].run(run, step);
    ox_task_fail(run->task, &(ox_failure){ .reason = "no such step", .unrecoverable = true });
    end_run(run);
    return false;
}

static void go_on(struct run *run)
{
    while (run->at < json_array_size(run->steps))
        if (!do_step(run, json_array_get(run->steps, run->at++)))
            return;
    ox_task_complete(run->task, NULL);
    end_run(run);
}

/* ---- what the worker tells -----------------------------------------------------------------
 */

static void on_job(ox_task *task, void *arg)
{
    struct worker *worker = arg;
    const ox_job *job = ox_task_job(task);
    const char *text = ox_job_text(job, OX_JOB_DATA);
    const char *name = ox_job_text(job, OX_JOB_NAME);
    int64_t starts = ox_job_number(ox_task_job(task), OX_JOB_ATTEMPTS_STARTED, 0) + 1;
    json_t *data = json_loads(text ? text : "null", JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    struct run *run = calloc(1, sizeof(*run));

    agent_event(json_pack("{s:s, s:I, s:s, s:s, s:s?, s:i, s:I, s:f}", "event", "start",
        "worker", (json_int_t)worker->number, "queue", worker->queue, "job", ox_job_id(job),
        "name", name, "attempt", (int)ox_task_attempt(task), "starts", (json_int_t)starts, "at",
        agent_now_ms()));
    run->task = task;
    run->worker = worker;
    run->steps = plan_of(data, starts);
    json_decref(data);
    uv_timer_init(&worker->agent->loop, &run->timer);
    run->timer.data = run;
    ox_task_set_data(task, run);
    go_on(run);
}

static void on_ready(ox_worker *worker, void *arg)
{
    (void)worker;
    struct worker *one = arg;
    agent_event(json_pack("{s:s, s:I}", "event", "ready", "worker", (json_int_t)one->number));
}

static void on_error(ox_worker *worker, const char *job_id, const ox_error *error, void *arg)
{
    (void)worker;
    struct worker *one = arg;
    agent_event(json_pack("{s:s, s:I, s:s?, s:i, s:s}", "event", "error", "worker",
        (json_int_t)one->number, "job", job_id, "code", error->code, "error", error->text));
}

static void on_lock_lost(ox_task *task, void *arg)
{
    struct worker *one = arg;
    agent_event(json_pack("{s:s, s:I, s:s}", "event", "lock_lost", "worker",
        (json_int_t)one->number, "job", ox_job_id(ox_task_job(task))));
}

/* {"settings":{"backoff":ms}}: what a custom backoff type waits. */
static int64_t custom_backoff_ms;

static int64_t on_backoff(ox_task *task, const char *type, uint32_t made, void *arg)
{
    (void)task;
    (void)made;
    (void)arg;
    return strcmp(type, "custom") == 0 ? custom_backoff_ms : -1;
}

static void on_closed(void *arg)
{
    struct worker *one = arg;
    one->worker = NULL;
    if (one->closing_id)
        agent_reply(one->closing_id, json_true());
    free(one->queue);
    free(one->prefix);
    one->queue = one->prefix = NULL;
}

/* ---- operations ----------------------------------------------------------------------------
 */

static ox_worker_options worker_options(const struct call *call)
{
    const json_t *limiter = json_object_get(call->request, "limiter");
    custom_backoff_ms = arg_number(call, "custom_backoff_ms", -1);
    return (ox_worker_options){
        .name = arg_text(call, "name"),
        .concurrency = (uint32_t)arg_number(call, "concurrency", 0),
        .lock_ms = (uint32_t)arg_number(call, "lock_ms", 0),
        .renew_ms = (uint32_t)arg_number(call, "renew_ms", 0),
        .stalled_interval_ms = (uint32_t)arg_number(call, "stalled_interval_ms", 0),
        .max_stalled = (int32_t)arg_number(call, "max_stalled", 0),
        .max_started = (uint32_t)arg_number(call, "max_started", 0),
        .drain_delay_ms = (uint32_t)arg_number(call, "drain_delay_ms", 0),
        .limiter_max = (uint32_t)json_integer_value(json_object_get(limiter, "max")),
        .limiter_duration_ms = json_integer_value(json_object_get(limiter, "duration")),
        .remove_on_complete = keep_option(json_object_get(call->request, "removeOnComplete")),
        .remove_on_fail = keep_option(json_object_get(call->request, "removeOnFail")),
        .metrics_points = (uint32_t)arg_number(call, "metrics_points", 0),
        .calls = (uint32_t)arg_number(call, "calls", 0),
        .lock_after_ms = (uint32_t)arg_number(call, "lock_after_ms", 0),
        .late_start = json_is_true(json_object_get(call->request, "late_start")),
        .lock_lost = on_lock_lost,
        .error = on_error,
        .ready = on_ready,
        .backoff = custom_backoff_ms < 0 ? NULL : on_backoff,
    };
}

static int op_worker_start(struct call *call, json_t **value)
{
    ox_worker_options options = worker_options(call);
    struct worker *one = calloc(1, sizeof(*one));

    one->agent = call->agent;
    one->queue = strdup(ox_queue_name(call->queue));
    one->prefix = strdup(ox_queue_prefix(call->queue));
    one->number = ++last_number;
    int rc = ox_worker_new(
        &one->worker, &call->agent->loop, call->queue, &options, on_job, one, &call->error);
    one->next = workers;
    workers = one;
    return rc < 0 ? rc : counted(one->number, value);
}

static int no_worker(struct call *call)
{
    snprintf(call->error.text, sizeof(call->error.text), "no such worker");
    return OX_ENOTFOUND;
}

static int op_worker_pause(struct call *call, json_t **value)
{
    (void)value;
    struct worker *one = find_worker(call);
    if (!one)
        return no_worker(call);
    ox_worker_pause(one->worker);
    return 0;
}

static int op_worker_resume(struct call *call, json_t **value)
{
    (void)value;
    struct worker *one = find_worker(call);
    if (!one)
        return no_worker(call);
    ox_worker_resume(one->worker);
    return 0;
}

static int op_worker_running(struct call *call, json_t **value)
{
    struct worker *one = find_worker(call);
    return one ? counted(ox_worker_running(one->worker), value) : no_worker(call);
}

static int op_worker_close(struct call *call, json_t **value)
{
    (void)value;
    struct worker *one = find_worker(call);
    if (!one)
        return no_worker(call);
    one->closing_id = arg_number(call, "id", 0);
    ox_worker_close(one->worker, on_closed, one);
    return AGENT_LATER;
}

static int op_worker_abort(struct call *call, json_t **value)
{
    (void)value;
    struct worker *one = find_worker(call);
    if (!one)
        return no_worker(call);
    one->closing_id = arg_number(call, "id", 0);
    ox_worker_abort(one->worker, on_closed, one);
    return AGENT_LATER;
}

/* Lets the runs that hold at this key go on. Answers how many there were. */
static int op_go(struct call *call, json_t **value)
{
    const char *key = arg_text(call, "key");
    struct run **place = &held, *ready = NULL;
    int64_t count = 0;

    while (*place) {
        struct run *run = *place;
        if (strcmp(run->hold_key, key) != 0) {
            place = &run->next;
            continue;
        }
        *place = run->next;
        free(run->hold_key);
        run->hold_key = NULL;
        run->next = ready;
        ready = run;
    }
    for (struct run *run = ready, *next; run; run = next, count++) {
        next = run->next;
        go_on(run);
    }
    return counted(count, value);
}

const struct operation worker_operations[] = {
    { "worker_start", true, op_worker_start },
    { "worker_pause", false, op_worker_pause },
    { "worker_resume", false, op_worker_resume },
    { "worker_running", false, op_worker_running },
    { "worker_close", false, op_worker_close },
    { "worker_abort", false, op_worker_abort },
    { "go", false, op_go },
    { NULL, false, NULL },
};

static void free_workers(void)
{
    while (workers) {
        struct worker *one = workers;
        workers = one->next;
        free(one->queue);
        free(one->prefix);
        free(one);
    }
}

void abort_workers(void)
{
    for (struct worker *one = workers; one; one = one->next)
        if (one->worker && !one->closing_id)
            ox_worker_abort(one->worker, on_closed, one);
    atexit(free_workers);
}
