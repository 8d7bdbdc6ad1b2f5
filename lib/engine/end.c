/*
 * end.c - how the run of a job ends: well, badly, or to be taken up again.
 *
 * What becomes of a failed run is decided here, from the job's options (section 4.5 of the
 * layout): failed for good, tried again at once, or after a wait. Each end is written at once
 * as arguments of end_jobs, straight into the buffer that the next call sends.
 */
#include "engine/worker.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/stored.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All stack traces of a job, which may try for ever: the newest that fit. */
#define TRACES_MAX ((size_t)1 << 20)

/* ---- writing an end ---------------------------------------------------------------------- */

static void put_bulk(struct ox__buf *out, const char *text, size_t len)
{
    ox__buf_char(out, '$');
    ox__buf_int(out, (int64_t)len);
    ox__buf_put(out, "\r\n", 2);
    ox__buf_put(out, text, len);
    ox__buf_put(out, "\r\n", 2);
}

static void put(struct ox_task *task, const char *text, size_t len)
{
    put_bulk(&task->worker->ends.bytes, text, len);
    task->end.argc++;
}

static void put_text(struct ox_task *task, const char *text)
{
    put(task, text, strlen(text));
}

struct end {
    char kind; /* see lua/end_jobs.lua */
    const char *value;
    size_t value_len;
    const char *keep;
    const char *stack; /* for all kinds but 'c' */
    int64_t number;
    const char *telemetry; /* NULL: none */
};

/* Others can give a parent to a job that runs, but only by an id that was chosen: ids that the
 * queue counted up are taken from nobody (section 2 of the layout). */
static bool may_have_parent(const ox_job *job)
{
    bool counted = job->id.len > 0;
    for (size_t i = 0; counted && i < job->id.len; i++) {
        counted = job->id.text[i] >= '0' && job->id.text[i] <= '9';
    }
    return !counted || job->field[OX_JOB_PARENT_KEY].text != NULL;
}

/* The common case has a script of its own. */
static enum ox__plain how_plain(const struct ox_task *task, const struct end *end)
{
    if (end->kind != 'c' || task->ahead || task->run->options.set.dedup.id != NULL ||
        task->job->field[OX_JOB_ATTEMPTS_STARTED].text != NULL ||
        task->job->field[OX_JOB_ATTEMPTS_MADE].text != NULL) {
        return OX__NOT_PLAIN;
    }
    return *end->keep == '\0'            ? OX__PLAIN_KEPT
           : strcmp(end->keep, "0") == 0 ? OX__PLAIN_DROPPED
                                         : OX__NOT_PLAIN;
}

void ox__task_keep_end(struct ox_task *task, const char *sent, size_t skip)
{
    struct ox__buf *out = &task->end.kept;
    ox__buf_done(out);
    if (skip > 0) { /* what complete_jobs has once for many */
        put_bulk(out, "c", 1);
        put_bulk(out, "0", task->end.plain == OX__PLAIN_DROPPED ? 1 : 0);
        put_bulk(out, task->token, strlen(task->token));
    }
    ox__buf_put(out, sent, task->end.len - skip);
    if (out->failed || out->len != task->end.len) {
        ox__buf_done(out);
    }
}

bool ox__task_end_again(struct ox_task *task)
{
    struct ox__buf *out = &task->worker->ends.bytes;
    size_t before = out->len;
    ox__buf_put(out, task->end.kept.data, task->end.kept.len);
    ox__buf_done(&task->end.kept);
    if (out->failed) {
        out->len = before;
        out->failed = false;
        return false;
    }
    ox__task_list_push(&task->worker->ended, task);
    ox__worker_soon(task->worker);
    return true;
}

/* Lets a task go whose end is not sent; the program is told so at the end of this turn. */
static void drop_ended(struct ox_task *task)
{
    ox_worker *worker = task->worker;
    if (worker->aborted) {
        ox__task_free(task);
    } else {
        ox__task_list_push(&worker->gone, task);
    }
    ox__worker_soon(worker);
}

/* Jobs that are released together may go out in different calls; so each says behind which
 * other it waits. */
static void put_released(struct ox_task *task)
{
    ox_worker *worker = task->worker;
    put_text(task, worker->released != NULL ? worker->released : "");
    free(worker->released);
    worker->released = strdup(ox_job_id(task->job)); /* without it, the next has no order */
}

/* Writes the end and lets the task go. A task whose lock is lost only goes. */
static void end_task(struct ox_task *task, const struct end *end)
{
    ox_worker *worker = task->worker;
    struct ox__buf *out = &worker->ends.bytes;
    char kind[2] = { '\0', '\0' }, number[24];
    ox__task_say_rest(task);
    static const struct end released = { .kind = 'r', .value = "", .keep = "", .stack = "" };
    end = task->lock.fenced ? &released : end;
    task->theirs = task->lock.doubt = task->lock.claiming = false;
    ox__task_list_remove(&worker->running, task);
    ox__task_note_end(task, end->kind, end->value, end->value_len);
    kind[0] = end->kind;
    if ((!task->lock.lost || task->lock.fenced) && !worker->aborted) {
        size_t before = out->len;
        put(task, kind, 1);
        put_text(task, end->keep);
        put_text(task, task->token);
        task->end.head_len = out->len - before;
        put(task, task->job->id.text, task->job->id.len);
        if (end->kind == 'r' || end->kind == 'l') {
            put_released(task);
        } else {
            put(task, end->value, end->value_len);
        }
        if (end->kind != 'c') {
            snprintf(number, sizeof(number), "%lld", (long long)end->number);
            put_text(task, end->stack);
            put_text(task, number);
            put_text(task, end->telemetry != NULL ? end->telemetry : "");
        }
        if (!out->failed) {
            task->end.len = out->len - before;
            task->end.plain = how_plain(task, end);
            task->end.parent = may_have_parent(task->job);
            ox__task_list_push(&worker->ended, task);
            ox__worker_soon(worker);
            return;
        }
        ox_error err;
        ox__fail_memory(&err);
        ox__worker_error(worker, ox_job_id(task->job), &err);
        out->len = before;
        out->failed = false;
    }
    drop_ended(task);
}

/* "" all, "0" none, "count:age:limit"; see lua/inc/retain.lua. */
static void keep_spec(const ox_keep *job, const ox_keep *worker, char *out, size_t size)
{
    const ox_keep *keep = job->mode != OX_KEEP_DEFAULT ? job : worker;
    char count[24] = "", age[24] = "", limit[24] = "";
    if (keep->mode == OX_KEEP_NONE ||
        (keep->mode == OX_KEEP_SOME && keep->count == 0 && keep->age_s == 0)) {
        snprintf(out, size, "0");
        return;
    }
    if (keep->mode != OX_KEEP_SOME) {
        *out = '\0';
        return;
    }
    if (keep->count > 0) {
        snprintf(count, sizeof(count), "%lld", (long long)keep->count);
    }
    if (keep->age_s > 0) {
        snprintf(age, sizeof(age), "%lld", (long long)keep->age_s);
    }
    if (keep->limit > 0) {
        snprintf(limit, sizeof(limit), "%lld", (long long)keep->limit);
    }
    snprintf(out, size, "%s:%s:%s", count, age, limit);
}

/* ---- stack traces ------------------------------------------------------------------------ */

/* Where the newest traces begin that the job's options and TRACES_MAX leave room for, beside
 * the new one; `list` is not an array when there are none. */
static const char *first_kept(struct ox__slice list, int32_t limit, size_t new_bytes)
{
    struct ox__slice trace, oldest;
    size_t count = 1, bytes = new_bytes;
    const char *p = NULL, *first = NULL;
    if (list.at == NULL || *list.at != '[') {
        return NULL;
    }
    while (ox__slice_element(list, &p, &trace)) {
        count++;
        bytes += (size_t)(trace.end - trace.at);
    }
    while (ox__slice_element(list, &first, &oldest)) {
        if ((limit <= 0 || count <= (size_t)limit) && bytes <= TRACES_MAX) {
            return oldest.at;
        }
        count--;
        bytes -= (size_t)(oldest.end - oldest.at);
    }
    return NULL;
}

/* The job's stack traces with a new one, as many as its options allow. NULL: out of memory. */
static char *stack_traces(const struct ox_task *task, const char *stack)
{
    const struct ox__field *old = &task->job->field[OX_JOB_STACK_TRACE];
    const int32_t limit = task->run->options.set.stack_trace_limit;
    struct ox__slice list = { NULL, NULL };
    struct ox__buf out = { 0 };
    if (old->text != NULL && ox__stored_value(&list, old->text, old->len) < 0) {
        return NULL;
    }
    ox__buf_char(&out, '[');
    if (limit >= 0) {
        size_t len = ox__utf8_truncate(stack, OX__TEXT_MAX);
        const char *first = first_kept(list, limit, len);
        if (first != NULL) {
            ox__json_copy(&out, first, (size_t)(list.end - 1 - first));
            ox__buf_char(&out, ',');
        }
        ox__json_string(&out, stack, len);
    }
    ox__buf_char(&out, ']');
    return ox__buf_steal(&out);
}

/* ---- failing ----------------------------------------------------------------------------- */

static int64_t chance(const ox_backoff *backoff, int64_t wait)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double random = (double)(((uint64_t)now.tv_nsec * 2654435761u) % 1000000) / 1e6;
    double d = (double)wait, j = backoff->jitter;
    return (int64_t)floor(random * d * j + d * (1 - j));
}

/* The wait before the next try, after `made` tries; -1 not to try, -2 when nobody knows the
 * type of backoff. Fixed: delay. Exponential: 2^(made-1) * delay. */
static int64_t backoff_ms(struct ox_task *task, uint32_t made)
{
    const ox_backoff *backoff = &task->run->options.set.backoff;
    const ox_worker_options *o = &task->worker->options;
    int64_t wait = backoff->delay_ms;
    if (backoff->type == NULL) {
        return 0;
    }
    if (strcmp(backoff->type, "fixed") != 0 && strcmp(backoff->type, "exponential") != 0) {
        return o->backoff != NULL ? o->backoff(task, backoff->type, made, task->worker->arg)
                                  : -2;
    }
    if (backoff->type[0] == 'e') {
        double grown = floor(ldexp((double)wait, (int)(made > 60 ? 60 : made) - 1) + 0.5);
        wait = grown < 9e15 ? (int64_t)grown : (int64_t)9e15;
    }
    return backoff->jitter > 0 ? chance(backoff, wait) : wait;
}

/* What others stored may be no sensible number. */
uint32_t ox_task_attempt(const ox_task *task)
{
    if (task == NULL) {
        return 0;
    }
    int64_t made = ox_job_number(task->job, OX_JOB_ATTEMPTS_MADE, 0);
    return made < 0 ? 1 : made >= UINT32_MAX ? UINT32_MAX : (uint32_t)made + 1;
}

static uint32_t tries_allowed(const struct ox_task *task)
{
    uint32_t attempts = task->run->options.set.attempts;
    return attempts > 0 ? attempts : 1;
}

static void fail_for_good(
    struct ox_task *task, const char *reason, const char *traces, const char *telemetry)
{
    char keep[80];
    keep_spec(&task->run->options.set.remove_on_fail, &task->worker->options.remove_on_fail,
        keep, sizeof(keep));
    const struct end end = { .kind = 'f',
        .value = reason,
        .value_len = ox__utf8_truncate(reason, OX__TEXT_MAX),
        .keep = keep,
        .stack = traces,
        .number = tries_allowed(task),
        .telemetry = telemetry };
    end_task(task, &end);
}

/* Tries again if the job's options allow it. Returns false when it must fail instead; `why`
 * then may have more to say. */
static bool try_again(struct ox_task *task, const char *reason, const char *traces,
    const char *telemetry, const char **why)
{
    uint32_t made = ox_task_attempt(task); /* with this one */
    int64_t wait = made < tries_allowed(task) ? backoff_ms(task, made) : -1;
    if (wait < 0) {
        *why = wait == -2 ? "the job's backoff type is unknown to this worker" : NULL;
        return false;
    }
    struct end end = { .kind = 'd',
        .value = reason,
        .value_len = ox__utf8_truncate(reason, OX__TEXT_MAX),
        .keep = "",
        .stack = traces,
        .number = wait,
        .telemetry = telemetry };
    if (wait == 0) {
        end.kind = task->run->options.set.lifo ? 'W' : 'w';
    }
    end_task(task, &end);
    return true;
}

void ox_task_fail(ox_task *task, const ox_failure *failure)
{
    if (task == NULL) {
        return;
    }
    static const ox_failure nothing_said;
    failure = failure != NULL ? failure : &nothing_said;
    const char *reason = failure->reason != NULL ? failure->reason : "failed";
    const char *stack = failure->stack != NULL ? failure->stack : reason;
    const char *why = NULL;
    OX__AUTO(ox__free_text) char *traces = stack_traces(task, stack);
    if (!failure->unrecoverable && traces != NULL &&
        try_again(task, reason, traces, failure->telemetry, &why)) {
        return;
    }
    if (why == NULL) {
        fail_for_good(task, reason, traces != NULL ? traces : "[]", failure->telemetry);
        return;
    }
    struct ox__buf text = { 0 };
    ox__buf_text(&text, reason);
    ox__buf_text(&text, " (");
    ox__buf_text(&text, why);
    ox__buf_text(&text, ": ");
    ox__buf_text(&text, task->run->options.set.backoff.type);
    ox__buf_text(&text, ")");
    OX__AUTO(ox__free_text) char *both = ox__buf_steal(&text);
    fail_for_good(task, both != NULL ? both : reason, traces, failure->telemetry);
}

void ox__task_fail_unrun(struct ox_task *task, const char *reason)
{
    task->end.unrun = true;
    const ox_failure failure = { .reason = reason, .unrecoverable = true };
    ox_task_fail(task, &failure);
}

/* ---- other ends -------------------------------------------------------------------------- */

int ox_task_complete(ox_task *task, const char *json)
{
    if (task == NULL) {
        return OX_EINVAL;
    }
    json = json != NULL ? json : "null";
    size_t len = strlen(json);
    char keep[80];
    if (ox__json_scan(json, len, OX__JSON_DEEP) != 1) {
        const ox_failure failure = { .reason = "the handler's return value is not JSON",
            .unrecoverable = true };
        ox_task_fail(task, &failure);
        return OX_EINVAL;
    }
    keep_spec(&task->run->options.set.remove_on_complete,
        &task->worker->options.remove_on_complete, keep, sizeof(keep));
    const struct end end = { .kind = 'c', .value = json, .value_len = len, .keep = keep };
    end_task(task, &end);
    return 0;
}

static void end_plainly(ox_task *task, char kind, int64_t number)
{
    const struct end end = {
        .kind = kind, .value = "", .keep = "", .stack = "", .number = number
    };
    end_task(task, &end);
}

void ox_task_release(ox_task *task)
{
    if (task == NULL) {
        return;
    }
    end_plainly(task, 'r', 0);
}

static int64_t within(int64_t ms, int64_t least)
{
    return ms < least ? least : ms > OX__MAX_MS ? OX__MAX_MS : ms;
}

void ox_task_delay(ox_task *task, int64_t at_ms)
{
    if (task == NULL) {
        return;
    }
    int64_t now = ox__now_ms();
    end_plainly(task, 'm', within(at_ms, now) - now);
}

void ox_task_rate_limited(ox_task *task, int64_t duration_ms)
{
    if (task == NULL) {
        return;
    }
    ox_worker *worker = task->worker;
    duration_ms = within(duration_ms, 1);
    end_plainly(task, 'l', duration_ms);
    ox__idle_learn(worker, true, duration_ms, 0);
}

void ox__task_drop(struct ox_task *task)
{
    ox__task_list_remove(&task->worker->running, task);
    drop_ended(task);
}
