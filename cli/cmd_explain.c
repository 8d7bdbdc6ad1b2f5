/*
 * cmd_explain.c - ox explain: why a job is where it is.
 *
 * Reasons are collected in the order of importance, the one to act on first. Each is a sentence
 * for the terminal and an object, by kind, for --json.
 */
#include "json.h"
#include "origin.h"
#include "server.h"
#include "show.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_CHILDREN 10 /* named one by one */

struct explanation {
    struct run *run;
    ox_queue *queue;
    const char *id;
    ox_job *job;
    int state;
    GPtrArray *sentences; /* heap strings */
    GString *objects;     /* JSON, with commas between */
    struct obj open;      /* of the reason that is being added */
};

/* ---- reasons ----------------------------------------------------------------------------- */

static void begin_reason(struct explanation *why, const char *kind)
{
    obj_begin(&why->open);
    obj_text(&why->open, "kind", kind);
}

static void end_reason(struct explanation *why, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void end_reason(struct explanation *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_ptr_array_add(why->sentences, g_strdup_vprintf(format, args));
    va_end(args);
    g_autofree char *object = obj_take(&why->open);
    g_string_append_printf(why->objects, "%s%s", why->objects->len ? "," : "", object);
}

static void add_deferred_failure(struct explanation *why)
{
    const char *reason = ox_job_text(why->job, OX_JOB_DEFERRED_FAILURE);
    if (reason == NULL) {
        return;
    }
    begin_reason(why, "deferred-failure");
    obj_text(&why->open, "reason", reason);
    end_reason(why, "it will fail at its next start: %s", reason);
}

/* For a job with failed attempts that will be retried. */
static void add_last_failure(struct explanation *why)
{
    const char *reason = ox_job_text(why->job, OX_JOB_FAILED_REASON);
    int64_t made = ox_job_number(why->job, OX_JOB_ATTEMPTS_MADE, 0);
    if (reason == NULL || !made) {
        return;
    }
    begin_reason(why, "failed-before");
    obj_int(&why->open, "attemptsMade", made);
    obj_text(&why->open, "reason", reason);
    g_autofree char *attempts = show_attempts(why->job, why->state, " attempts");
    end_reason(why, "it has made %s; it failed before: %s", attempts, reason);
}

/* Many servers deny CLIENT LIST to some or all users. */
static bool is_not_allowed(int code)
{
    return code == OX_EAUTH || code == OX_ESERVER;
}

static int add_workers(struct explanation *why, ox_error *err)
{
    ox_worker_info **workers = NULL;
    size_t count = 0;
    int code = ox_queue_workers(why->queue, &workers, &count, err);
    if (is_not_allowed(code)) {
        begin_reason(why, "workers-unknown");
        end_reason(
            why, "whether the queue has workers is unknown: the server refuses CLIENT LIST");
        return 0;
    }
    if (code < 0) {
        return code;
    }
    ox_list_free(workers);
    if (count) {
        return 0;
    }
    begin_reason(why, "no-worker");
    end_reason(why, "the queue has no workers (ox-worker %s=HANDLER starts one)",
        ox_queue_name(why->queue));
    return 0;
}

/* Reasons that concern every job of the queue. */
static int add_queue_limits(struct explanation *why, ox_error *err)
{
    const char *name = ox_queue_name(why->queue);
    ox_queue_info info;
    ox_counts counts;
    if (ox_queue_info_get(why->queue, &info, err) < 0 ||
        ox_queue_counts(why->queue, &counts, err) < 0) {
        return err->code;
    }
    if (info.paused) {
        begin_reason(why, "paused");
        end_reason(why, "the queue is paused (ox resume %s)", name);
    }
    if (info.concurrency && counts.of[OX_ACTIVE] >= info.concurrency) {
        begin_reason(why, "concurrency");
        obj_int(&why->open, "active", counts.of[OX_ACTIVE]);
        obj_int(&why->open, "limit", info.concurrency);
        end_reason(why, "%" PRId64 " jobs run, and the queue's limit is %u (ox limit %s)",
            counts.of[OX_ACTIVE], info.concurrency, name);
    }
    if (info.rate_ttl_ms > 0) {
        g_autofree char *left = span_text(info.rate_ttl_ms);
        begin_reason(why, "rate");
        obj_int(&why->open, "ttl", info.rate_ttl_ms);
        end_reason(why, "the rate limit is used up; it opens in %s (ox limit %s)", left, name);
    }
    return 0;
}

static int add_place(struct explanation *why, ox_error *err)
{
    ox_place place;
    int code = ox_queue_place(why->queue, why->id, &place, err);
    if (code < 0) {
        return code;
    }
    begin_reason(why, "place");
    obj_int(&why->open, "ahead", MAX(place.ahead, 0));
    if (place.ahead <= 0) {
        end_reason(why, "it starts next");
    } else {
        end_reason(why, "%" PRId64 " job%s start%s before it", place.ahead,
            place.ahead == 1 ? "" : "s", place.ahead == 1 ? "s" : "");
    }
    return 0;
}

static int explain_waiting(struct explanation *why, ox_error *err)
{
    int code = add_queue_limits(why, err);
    if (code >= 0) {
        code = add_workers(why, err);
    }
    if (code >= 0) {
        code = add_place(why, err);
    }
    add_deferred_failure(why);
    add_last_failure(why);
    return code;
}

static int explain_delayed(struct explanation *why, ox_error *err)
{
    int64_t due_ms = ox_job_due_ms(why->job);
    int64_t now_ms = time_now_ms();
    g_autofree char *when = time_local(due_ms);
    g_autofree char *relative = time_relative(due_ms, now_ms);
    begin_reason(why, "delayed");
    obj_int(&why->open, "due", due_ms);
    if (due_ms > now_ms) {
        end_reason(why, "it is due %s, at %s (ox promote runs it now)", relative, when);
    } else {
        end_reason(why, "it was due %s, and no worker has looked since", relative);
    }
    add_last_failure(why);
    return due_ms > now_ms ? 0 : add_workers(why, err);
}

static int explain_active(struct explanation *why, ox_error *err)
{
    ox_place place;
    int code = ox_queue_place(why->queue, why->id, &place, err);
    if (code < 0) {
        return code;
    }
    const char *by = ox_job_text(why->job, OX_JOB_PROCESSED_BY);
    int64_t started_ms = ox_job_number(why->job, OX_JOB_PROCESSED_ON, 0);
    if (started_ms == 0 && place.lock_left_ms < 0) {
        begin_reason(why, "not-locked");
        end_reason(why,
            "a worker took it and has written neither lock nor start: it does so only for jobs "
            "that last (lock-after), or it died; then another one moves the job to wait at its "
            "second stalled check from now");
        return add_workers(why, err);
    }
    g_autofree char *since = span_text(time_now_ms() - started_ms);
    begin_reason(why, place.lock_left_ms < 0 ? "lock-lost" : "running");
    obj_int(&why->open, "processedOn", started_ms);
    if (by != NULL) {
        obj_text(&why->open, "processedBy", by);
    }
    if (place.lock_left_ms < 0) {
        end_reason(why,
            "%s%s took it %s ago and its lock is gone: that worker died or lost the server; "
            "another one moves the job to wait at its next stalled check",
            by != NULL ? "worker " : "a worker", by != NULL ? by : "", since);
        return add_workers(why, err);
    }
    g_autofree char *left = span_text(place.lock_left_ms);
    obj_int(&why->open, "lock", place.lock_left_ms);
    end_reason(why, "%s%s has been running it for %s; its lock lasts %s more, unless renewed",
        by != NULL ? "worker " : "a worker", by != NULL ? by : "", since, left);
    return 0;
}

static void add_child(struct explanation *why, const ox_child *child)
{
    bool failed = child->kind == OX_CHILD_FAILED;
    begin_reason(why, failed ? "failed-child" : "child");
    obj_text(&why->open, "key", child->key);
    end_reason(
        why, failed ? "its child %s has failed" : "it waits for its child %s", child->key);
}

static int explain_parent(struct explanation *why, ox_error *err)
{
    OX_AUTOLIST ox_child **children = NULL;
    size_t count = 0;
    int code = ox_queue_children(why->queue, why->id, &children, &count, err);
    if (code < 0) {
        return code;
    }
    size_t holding = 0;
    for (size_t i = 0; i < count; i++) {
        const ox_child *child = children[i];
        bool holds = child->kind == OX_CHILD_PENDING || child->kind == OX_CHILD_FAILED;
        if (holds && holding++ < MAX_CHILDREN) {
            add_child(why, child);
        }
    }
    if (holding > MAX_CHILDREN) {
        begin_reason(why, "children");
        obj_int(&why->open, "count", (int64_t)holding);
        end_reason(why, "and for %zu more", holding - MAX_CHILDREN);
    }
    return 0;
}

static int explain_finished(struct explanation *why, ox_error *err)
{
    (void)err;
    int64_t at_ms = ox_job_number(why->job, OX_JOB_FINISHED_ON, 0);
    g_autofree char *relative = time_relative(at_ms, time_now_ms());
    const char *reason = ox_job_text(why->job, OX_JOB_FAILED_REASON);
    begin_reason(why, ox_state_name(why->state));
    obj_int(&why->open, "finishedOn", at_ms);
    if (why->state == OX_COMPLETED) {
        end_reason(why, "it completed %s", relative);
        return 0;
    }
    obj_text(&why->open, "reason", reason);
    g_autofree char *attempts = show_attempts(why->job, why->state, " attempts");
    end_reason(why, "it failed %s, after %s: %s (ox retry %s %s)", relative, attempts,
        reason != NULL ? reason : "no reason is stored", ox_queue_name(why->queue), why->id);
    return 0;
}

static int explain_unknown(struct explanation *why, ox_error *err)
{
    (void)err;
    begin_reason(why, "orphan");
    end_reason(why, "its data exists, but it is in no state of the queue: it will never run");
    return 0;
}

/* No reason, but what it is about. */
static int add_event(struct explanation *why, ox_error *err)
{
    struct origin origin;
    int code = origin_find(why->run, why->job, &origin, err);
    bool hidden = is_not_allowed(code);
    if (code > 0 || hidden) {
        bool kept = origin.stream != NULL;
        g_autofree char *where =
            kept ? g_strdup_printf("at %s in stream %s", origin.position, origin.stream)
                 : g_strdup(hidden ? "in a stream that the server does not let us read"
                                   : "which no stream has any more");
        begin_reason(why, "event");
        obj_text(&why->open, "type", origin.type);
        obj_text(&why->open, "source", origin.source);
        obj_text(&why->open, "id", origin.id);
        obj_text(&why->open, "stream", origin.stream);
        obj_text(&why->open, "position", kept ? origin.position : NULL);
        end_reason(why, "it was made of event %s, %s of %s, %s", origin.type, origin.id,
            origin.source, where);
    }
    origin_done(&origin);
    return hidden ? 0 : code;
}

static int (*const explainers[OX_STATE_COUNT])(struct explanation *why, ox_error *err) = {
    [OX_COMPLETED] = explain_finished,
    [OX_FAILED] = explain_finished,
    [OX_DELAYED] = explain_delayed,
    [OX_PRIORITIZED] = explain_waiting,
    [OX_ACTIVE] = explain_active,
    [OX_WAITING] = explain_waiting,
    [OX_PAUSED] = explain_waiting,
    [OX_WAITING_CHILDREN] = explain_parent,
    [OX_UNKNOWN] = explain_unknown,
};

/* ---- output ------------------------------------------------------------------------------ */

static void print_explanation(const struct explanation *why)
{
    const struct out *out = &why->run->out;
    if (why->run->json) {
        g_autofree char *list = g_strdup_printf("[%s]", why->objects->str);
        struct obj obj;
        obj_begin(&obj);
        obj_text(&obj, "id", why->id);
        obj_text(&obj, "state", ox_state_name(why->state));
        obj_raw(&obj, "reasons", list);
        obj_print(&obj);
        return;
    }
    enum tint tint = tint_of_state(why->state);
    g_autofree char *id = text_clean(why->id);
    if (out->terminal) {
        printf("Job %s is %s%s%s:\n", id, tint_on(out, tint), ox_state_name(why->state),
            tint_off(out, tint));
    }
    for (guint i = 0; i < why->sentences->len; i++) {
        g_autofree char *cleaned = text_clean(why->sentences->pdata[i]);
        if (out->terminal) {
            printf("  - %s\n", cleaned);
        } else {
            out_pair(ox_state_name(why->state), cleaned);
        }
    }
}

static int explain(struct explanation *why)
{
    ox_error err = { 0 };
    if (ox_queue_job(why->queue, why->id, &why->job, &why->state, &err) < 0 ||
        explainers[why->state](why, &err) < 0 || add_event(why, &err) < 0) {
        return complain_error(why->run, &err);
    }
    print_explanation(why);
    return STATUS_DONE;
}

static int exec(struct run *run)
{
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (status) {
        return status;
    }
    struct explanation why = { .run = run,
        .queue = queue,
        .id = run->args[1],
        .sentences = g_ptr_array_new_with_free_func(g_free),
        .objects = g_string_new(NULL) };
    status = explain(&why);
    ox_job_free(why.job);
    g_ptr_array_free(why.sentences, TRUE);
    g_string_free(why.objects, TRUE);
    return status;
}

const struct cmd cmd_explain = {
    .name = "explain",
    .summary = "say why a job is where it is",
    .usage = "QUEUE ID",
    .help =
        "Says why a job does not run, or which worker runs it: the queue is paused or at its "
        "limit, has no workers, other jobs are ahead, the job is not due yet, a worker holds "
        "its lock, a child has not finished. Of a job that an event made (ox bind) it names "
        "the "
        "event and its position in the stream. If the server refuses CLIENT LIST, workers are "
        "reported as unknown. In a pipe: one line per reason, the state and a tab before it.",
    .min_args = 2,
    .max_args = 2,
    .exec = exec,
};
