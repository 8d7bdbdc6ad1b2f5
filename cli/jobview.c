/*
 * jobview.c - see jobview.h.
 */
#include "jobview.h"
#include "base/stored.h"
#include "json.h"
#include "server.h"
#include "show.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A job with its logs and children. */
struct view {
    struct run *run;
    ox_queue *queue;
    ox_job *job;
    int state;
    char **logs;
    size_t log_count;
    int64_t log_total;
    ox_child **children;
    size_t child_count;
};

static const char *const kind_names[] = {
    [OX_CHILD_PROCESSED] = "processed",
    [OX_CHILD_PENDING] = "pending",
    [OX_CHILD_IGNORED] = "ignored",
    [OX_CHILD_FAILED] = "failed",
};

static int load_view(struct view *view, const char *id, int64_t logs, ox_error *err)
{
    int code = ox_queue_job(view->queue, id, &view->job, &view->state, err);
    if (code >= 0) {
        code = ox_queue_children(view->queue, id, &view->children, &view->child_count, err);
    }
    /* The newest rows; when none is wanted, an empty range for their number alone. */
    int64_t start = logs ? -logs : 1;
    if (code >= 0) {
        code = ox_queue_logs(view->queue, id, start, logs ? -1 : 0, &view->logs,
            &view->log_count, &view->log_total, err);
    }
    return code;
}

static void drop_view(struct view *view)
{
    ox_job_free(view->job);
    ox_list_free(view->logs);
    ox_list_free(view->children);
    view->job = NULL;
    view->logs = NULL;
    view->log_count = 0;
    view->children = NULL;
    view->child_count = 0;
}

/* ---- as JSON ----------------------------------------------------------------------------- */

static char *logs_json(const struct view *view)
{
    GString *text = g_string_new("[");
    for (size_t i = 0; i < view->log_count; i++) {
        if (i) {
            g_string_append_c(text, ',');
        }
        json_append_string(text, view->logs[i]);
    }
    g_string_append_c(text, ']');
    return g_string_free(text, FALSE);
}

static char *child_json(const ox_child *child)
{
    struct obj obj;
    obj_begin(&obj);
    obj_text(&obj, "key", child->key);
    obj_text(&obj, "kind", kind_names[child->kind]);
    if (child->kind == OX_CHILD_PROCESSED) {
        obj_json(&obj, "returnvalue", child->text);
    } else if (child->kind == OX_CHILD_IGNORED) {
        obj_text(&obj, "failedReason", child->text);
    }
    return obj_take(&obj);
}

static char *children_json(const struct view *view)
{
    GString *text = g_string_new("[");
    for (size_t i = 0; i < view->child_count; i++) {
        g_autofree char *child = child_json(view->children[i]);
        g_string_append_printf(text, "%s%s", i ? "," : "", child);
    }
    g_string_append_c(text, ']');
    return g_string_free(text, FALSE);
}

static void print_object(const struct view *view)
{
    g_autofree char *name = show_name(view->job);
    g_autofree char *stored = show_stored(view->job);
    g_autofree char *logs = logs_json(view);
    g_autofree char *children = children_json(view);
    struct obj obj;
    obj_begin(&obj);
    obj_text(&obj, "id", ox_job_id(view->job));
    obj_text(&obj, "name", name);
    obj_text(&obj, "state", ox_state_name(view->state));
    obj_members(&obj, stored);
    obj_raw(&obj, "logs", logs);
    obj_int(&obj, "logCount", view->log_total);
    if (view->child_count) {
        obj_raw(&obj, "children", children);
    }
    obj_print(&obj);
}

/* ---- in a pipe --------------------------------------------------------------------------- */

static void print_lines(const struct view *view)
{
    show_lines(view->job, view->state);
    for (size_t i = 0; i < view->log_count; i++) {
        out_pair("log", view->logs[i]);
    }
    for (size_t i = 0; i < view->child_count; i++) {
        const ox_child *child = view->children[i];
        g_autofree char *line = g_strdup_printf("%s %s", kind_names[child->kind], child->key);
        out_pair("child", line);
    }
}

/* ---- on a terminal ----------------------------------------------------------------------- */

static const char *on(const struct view *view, enum tint tint)
{
    return tint_on(&view->run->out, tint);
}

static const char *off(const struct view *view, enum tint tint)
{
    return tint_off(&view->run->out, tint);
}

static void print_head(const struct view *view)
{
    const char *stored = ox_job_text(view->job, OX_JOB_NAME);
    g_autofree char *name = text_clean(stored != NULL ? stored : "");
    g_autofree char *id = text_clean(ox_job_id(view->job));
    enum tint tint = tint_of_state(view->state);
    printf("%sJob %s%s  %s  %s%s%s\n", on(view, TINT_BOLD), id, off(view, TINT_BOLD), name,
        on(view, tint), ox_state_name(view->state), off(view, tint));
}

/* "  started     2026-01-31 14:05:09.123  3m ago  note" */
static void print_time(const struct view *view, const char *label, int64_t at_ms, char *note)
{
    g_autofree char *owned = note;
    if (!at_ms) {
        return;
    }
    g_autofree char *when = time_local(at_ms);
    g_autofree char *relative = time_relative(at_ms, time_now_ms());
    g_autofree char *cleaned = text_clean(owned != NULL ? owned : "");
    printf("  %-10s  %s  %s%-8s%s%s%s\n", label, when, on(view, TINT_DIM), relative,
        off(view, TINT_DIM), *cleaned ? "  " : "", cleaned);
}

static void print_fact(const char *label, const char *text)
{
    if (text == NULL || !*text) {
        return;
    }
    g_autofree char *cleaned = text_clean(text);
    printf("  %-10s  %s\n", label, cleaned);
}

static char *start_note(const struct view *view)
{
    const char *by = ox_job_text(view->job, OX_JOB_PROCESSED_BY);
    int64_t started = ox_job_number(view->job, OX_JOB_ATTEMPTS_STARTED, 0);
    g_autofree char *tries = g_strdup_printf("start %" PRId64, started);
    return g_strdup_printf("%s%s%s%s", by != NULL ? "by " : "", by != NULL ? by : "",
        by != NULL ? ", " : "",
        started > 1 || ox_job_attempts(view->job) > 1 ? tries : "first start");
}

static char *end_note(const struct view *view)
{
    int64_t started_ms = ox_job_number(view->job, OX_JOB_PROCESSED_ON, 0);
    int64_t ended_ms = ox_job_number(view->job, OX_JOB_FINISHED_ON, 0);
    if (!started_ms || ended_ms < started_ms) {
        return NULL;
    }
    g_autofree char *span = span_text(ended_ms - started_ms);
    return g_strdup_printf("took %s", span);
}

static void print_timeline(const struct view *view)
{
    const ox_job *job = view->job;
    int64_t added_ms = ox_job_number(job, OX_JOB_TIMESTAMP, 0);
    g_autofree char *tries = show_attempts(job, view->state, "");
    print_time(view, "added", added_ms, NULL);
    print_time(view, "due", ox_job_due_ms(job), NULL);
    print_time(view, "started", ox_job_number(job, OX_JOB_PROCESSED_ON, 0), start_note(view));
    print_time(view, "finished", ox_job_number(job, OX_JOB_FINISHED_ON, 0), end_note(view));
    print_fact("attempts", tries);
    if (ox_job_number(job, OX_JOB_PRIORITY, 0)) {
        print_fact("priority", ox_job_text(job, OX_JOB_PRIORITY));
    }
    if (ox_job_number(job, OX_JOB_STALLED, 0)) {
        print_fact("stalled", ox_job_text(job, OX_JOB_STALLED));
    }
    print_fact("parent", ox_job_text(job, OX_JOB_PARENT_KEY));
    print_fact("scheduler", ox_job_text(job, OX_JOB_SCHEDULER));
    print_fact("dedup id", ox_job_text(job, OX_JOB_DEDUP_ID));
}

static void print_title(const struct view *view, const char *title)
{
    printf("%s%s%s\n", on(view, TINT_BOLD), title, off(view, TINT_BOLD));
}

static void print_json(const struct view *view, const char *title, enum ox_field field)
{
    const char *text = ox_job_text(view->job, field);
    /* What every job has that was given nothing. */
    if (text == NULL || !strcmp(text, "{}") || !strcmp(text, "{\"attempts\":0}")) {
        return;
    }
    g_autoptr(GString) pretty = g_string_new(NULL);
    g_autofree char *json = json_repaired(text);
    if (json != NULL && strlen(text) == ox_job_length(view->job, field)) {
        json_pretty(pretty, json, 2, &view->run->out);
    } else {
        g_autofree char *cleaned = text_clean_lines(text);
        g_string_append_printf(pretty, "%s (this is not JSON)", cleaned);
    }
    print_title(view, title);
    printf("  %s\n", pretty->str);
}

/* Text of several lines, indented by two columns. */
static void print_indented(const char *text)
{
    g_autofree char *cleaned = text_clean_lines(text);
    g_auto(GStrv) lines = g_strsplit(g_strchomp(cleaned), "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        printf("  %s\n", *line);
    }
}

/* "Stack", or "Stack 1 to 3 of 3" for attempts with the same one. Heap. */
static char *stack_title(size_t first, size_t last, size_t count)
{
    if (count == 1) {
        return g_strdup("Stack");
    }
    if (first == last) {
        return g_strdup_printf("Stack %zu of %zu", first + 1, count);
    }
    return g_strdup_printf("Stack %zu to %zu of %zu", first + 1, last + 1, count);
}

static bool is_same(struct ox__slice a, struct ox__slice b)
{
    size_t length = (size_t)(a.end - a.at);
    return (size_t)(b.end - b.at) == length && memcmp(a.at, b.at, length) == 0;
}

static void print_stack(const struct view *view, const char *title, struct ox__slice stack)
{
    OX_AUTOFREE char *lines = ox__slice_text(stack);
    if (lines != NULL && *lines != '\0') {
        print_title(view, title);
        print_indented(lines);
    }
}

/* Equal stacks of consecutive attempts are shown once. */
static void print_stacks(const struct view *view)
{
    const char *text = ox_job_text(view->job, OX_JOB_STACK_TRACE);
    struct ox__slice list = { NULL, NULL }, stack;
    if (text != NULL && ox__stored_value(&list, text, strlen(text)) < 0) {
        g_error("out of memory");
    }
    if (list.at == NULL || *list.at != '[') {
        return;
    }
    g_autoptr(GArray) stacks = g_array_new(FALSE, FALSE, sizeof stack);
    for (const char *p = NULL; ox__slice_element(list, &p, &stack);) {
        g_array_append_val(stacks, stack);
    }
    const struct ox__slice *all = (const struct ox__slice *)(const void *)stacks->data;
    for (size_t first = 0, last; first < stacks->len; first = last + 1) {
        last = first;
        while (last + 1 < stacks->len && is_same(all[first], all[last + 1])) {
            last++;
        }
        g_autofree char *title = stack_title(first, last, stacks->len);
        print_stack(view, title, all[first]);
    }
}

static void print_failure(const struct view *view)
{
    const char *reason = ox_job_text(view->job, OX_JOB_FAILED_REASON);
    const char *deferred = ox_job_text(view->job, OX_JOB_DEFERRED_FAILURE);
    if (deferred != NULL) {
        print_title(view, "Will fail at its next start");
        print_indented(deferred);
    }
    if (reason == NULL || view->state == OX_COMPLETED) {
        return;
    }
    print_title(view, view->state == OX_FAILED ? "Failed" : "Last failure");
    fputs(on(view, TINT_RED), stdout);
    print_indented(reason);
    fputs(off(view, TINT_RED), stdout);
    print_stacks(view);
}

static void print_logs(const struct view *view)
{
    if (!view->log_count) {
        return;
    }
    g_autofree char *title = (int64_t)view->log_count < view->log_total
                                 ? g_strdup_printf("Logs (the newest %zu of %" PRId64 ")",
                                       view->log_count, view->log_total)
                                 : g_strdup("Logs");
    print_title(view, title);
    for (size_t i = 0; i < view->log_count; i++) {
        print_indented(view->logs[i]);
    }
}

static void print_children(const struct view *view)
{
    if (!view->child_count) {
        return;
    }
    print_title(view, "Children");
    for (size_t i = 0; i < view->child_count; i++) {
        const ox_child *child = view->children[i];
        g_autofree char *key = text_clean(child->key);
        g_autofree char *full = text_clean(child->text != NULL ? child->text : "");
        g_autofree char *text = text_cut(full, 60);
        printf("  %-9s  %s  %s\n", kind_names[child->kind], key, text);
    }
}

static void print_story(const struct view *view)
{
    print_head(view);
    print_timeline(view);
    print_json(view, "Progress", OX_JOB_PROGRESS);
    print_json(view, "Data", OX_JOB_DATA);
    print_json(view, "Options", OX_JOB_OPTS);
    if (view->state == OX_COMPLETED) {
        print_json(view, "Result", OX_JOB_RETURN_VALUE);
    }
    print_failure(view);
    print_logs(view);
    print_children(view);
}

static void print_view(const struct view *view)
{
    if (view->run->json) {
        print_object(view);
    } else if (view->run->out.terminal) {
        print_story(view);
    } else {
        print_lines(view);
    }
}

int jobview_print(struct run *run, ox_queue *queue, const char *id, int64_t logs)
{
    struct view view = { .run = run, .queue = queue };
    ox_error err = { 0 };
    int status = STATUS_DONE;
    if (load_view(&view, id, logs, &err) < 0) {
        status = complain_error(run, &err);
    } else {
        print_view(&view);
    }
    drop_view(&view);
    return status;
}
