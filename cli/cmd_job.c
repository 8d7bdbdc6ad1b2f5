/*
 * cmd_job.c - ox job: one job, told as a story.
 *
 * On a terminal: a timeline, then data, result, failure, logs and children. In a pipe the
 * stored fields as "name<TAB>value" lines, with --json one object. --follow tells progress and
 * log rows as they come and shows the whole job when it has ended.
 *
 * States and progress come from the event stream, each with the time at which it was written.
 * What is seen by looking at the job counts only where no event tells it: at the first look,
 * and when it is still so at the next one (whoever runs the job may write no events). Log rows
 * have neither events nor times, so they bear the time at which they were seen. All times are
 * of the server's clock.
 */
#include "follow.h"
#include "jobview.h"
#include "json.h"
#include <stdio.h>
#include <string.h>

struct opts {
    bool follow;
    int64_t logs;
};

static const struct opt rows[] = {
    { .name = "follow",
        .letter = 'f',
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, follow),
        .help = "stay until the job has ended; exit 0 when it completed, 1 when it failed" },
    { .name = "logs",
        .kind = OPT_COUNT,
        .offset = offsetof(struct opts, logs),
        .max = 1000000,
        .fallback = 50,
        .arg = "N",
        .help = "show the newest N log rows; default 50" },
    { 0 },
};

/* ---- following --------------------------------------------------------------------------- */

/* What was told so far, so that only news is told. */
struct news {
    struct run *run;
    ox_queue *queue;
    const char *id;
    int64_t clock_ms; /* the server's clock less ours */
    int64_t since_ms; /* of the first look: events of before are in what it saw */
    int state;        /* -1: none yet */
    char *progress;   /* NULL: none yet */
    int64_t log_total;
    /* Seen at the last look and not told, since an event may: -1 and NULL when there is none */
    int seen_state;
    char *seen_progress;
    int64_t seen_ms;
};

static int64_t server_now_ms(const struct news *news)
{
    return time_now_ms() + news->clock_ms;
}

static void tell(const struct news *news, int64_t at_ms, const char *what, const char *text)
{
    if (news->run->out.terminal) {
        g_autofree char *when = time_local(at_ms);
        g_autofree char *cleaned = text_clean(text);
        printf("%s%s%s  %-8s  %s\n", tint_on(&news->run->out, TINT_DIM), when,
            tint_off(&news->run->out, TINT_DIM), what, cleaned);
    } else {
        out_pair(what, text);
    }
    out_flush();
}

static void tell_state(struct news *news, int64_t at_ms, int state)
{
    if (state != news->state) {
        tell(news, at_ms, "state", ox_state_name(state));
    }
    news->state = state;
    news->seen_state = -1;
}

static void tell_progress(struct news *news, int64_t at_ms, const char *progress)
{
    if (g_strcmp0(progress, news->progress)) {
        tell(news, at_ms, "progress", progress);
    }
    char *copy = g_strdup(progress);
    g_free(news->progress);
    news->progress = copy;
    g_clear_pointer(&news->seen_progress, g_free);
}

/* A failure to read the rows is not worth ending for: the next look tries again. */
static void tell_logs(struct news *news)
{
    int64_t at_ms = server_now_ms(news);
    char **logs = NULL;
    size_t count = 0;
    int64_t total = 0;
    ox_error err;
    if (ox_queue_logs(news->queue, news->id, news->log_total, -1, &logs, &count, &total, &err) <
        0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        tell(news, at_ms, "log", logs[i]);
    }
    news->log_total = total;
    ox_free_list(logs, count);
}

static void tell_pulse(void *arg)
{
    struct news *news = arg;
    if (!news->run->json) {
        tell_logs(news);
    }
}

/* Tells what was already so at the last look and what no event has told since. */
static void tell_look(void *arg, const ox_job *job, int state)
{
    struct news *news = arg;
    const char *progress = ox_job_text(job, OX_JOB_PROGRESS);
    bool first = news->state < 0;
    int64_t now_ms = server_now_ms(news);
    if (!progress || !strcmp(progress, "0")) { /* as it is before the first */
        progress = news->progress;
    }
    if (news->run->json) {
        return;
    }
    if (first || news->seen_state == state) {
        tell_state(news, first ? now_ms : news->seen_ms, state);
    }
    if (progress && (first || !g_strcmp0(news->seen_progress, progress))) {
        tell_progress(news, first ? now_ms : news->seen_ms, progress);
    }
    news->seen_state = state == news->state ? -1 : state;
    g_clear_pointer(&news->seen_progress, g_free);
    if (g_strcmp0(progress, news->progress)) {
        news->seen_progress = g_strdup(progress);
    }
    news->seen_ms = now_ms;
    if (first) {
        tell_logs(news);
    }
}

static const char *event_text(const ox_event *event, const char *name)
{
    for (size_t i = 0; i + 1 < event->field_count; i += 2) {
        if (!strcmp(event->fields[i], name)) {
            return event->fields[i + 1];
        }
    }
    return NULL;
}

static void tell_event(void *arg, const ox_event *event)
{
    struct news *news = arg;
    int64_t at_ms = g_ascii_strtoll(event->stream_id, NULL, 10);
    if (news->run->json || at_ms < news->since_ms) {
        return;
    }
    const char *progress = strcmp(event->name, "progress") ? NULL : event_text(event, "data");
    int state = ox_state_parse(event->name);
    if (progress) {
        tell_progress(news, at_ms, progress);
        /* A job with a priority is told to be waiting as well. */
    } else if (state >= 0 && !(state == OX_WAITING && news->state == OX_PRIORITIZED)) {
        tell_state(news, at_ms, state);
    }
}

/* The job may have been removed at its end: then its ending is all there is. Log rows that
 * were told already are not shown again. */
static int show_ending(struct news *news, const struct ending *ending)
{
    struct run *run = news->run;
    const char *id = news->id;
    const struct opts *opts = run->opts;
    bool failed = ending->state == OX_FAILED;
    bool told = news->state >= 0;
    ox_error err = { 0 };
    if (ox_queue_job_state(news->queue, id, &err) != OX_UNKNOWN) {
        if (told) {
            tell_logs(news);
        }
        int status = jobview_print(run, news->queue, id, told ? 0 : opts->logs);
        return status || !failed ? status : STATUS_FAILED;
    }
    struct obj obj;
    obj_begin(&obj);
    obj_text(&obj, "id", id);
    obj_text(&obj, "state", ox_state_name(ending->state));
    if (failed) {
        obj_text(&obj, "failedReason", ending->reason);
    } else {
        obj_json(&obj, "returnvalue", ending->value);
    }
    g_autofree char *text = obj_take(&obj);
    if (run->json) {
        json_print(text);
    } else {
        out_pair(
            failed ? "failedReason" : "returnvalue", failed ? ending->reason : ending->value);
    }
    return failed ? STATUS_FAILED : STATUS_DONE;
}

static int follow(struct run *run, ox_queue *queue, const char *id)
{
    g_autoptr(ox_events) events = NULL;
    struct news news = { .run = run, .queue = queue, .id = id, .state = -1, .seen_state = -1 };
    const struct watcher watcher = { tell_look, tell_event, tell_pulse, &news };
    struct ending ending = { 0 };
    ox_error err = { 0 };
    int status;
    int code = ox_events_new(&events, queue, NULL, &err);
    if (code >= 0) {
        code = ox_client_time(run->client, &news.since_ms, &err);
    }
    news.clock_ms = news.since_ms - time_now_ms();
    if (code >= 0) {
        code = follow_job(queue, events, id, false, 0, &watcher, &ending, &err);
    }
    if (code < 0) {
        status = complain_error(run, &err);
    } else {
        status = show_ending(&news, &ending);
    }
    g_free(news.progress);
    g_free(news.seen_progress);
    ending_done(&ending);
    return status;
}

static int exec(struct run *run)
{
    const struct opts *opts = run->opts;
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (status) {
        return status;
    }
    return opts->follow ? follow(run, queue, run->args[1])
                        : jobview_print(run, queue, run->args[1], opts->logs);
}

const struct cmd cmd_job = {
    .name = "job",
    .summary = "show one job; --follow until it ends",
    .usage = "QUEUE ID",
    .help = "Shows a job: its timeline, data, options, result or failure, log rows and "
            "children. In a pipe the stored fields, a line each: name, tab, value.\n"
            "\n"
            "--follow tells states and progress with the times of their events. Log rows have "
            "no times in Redis; theirs is when they were seen, within a tenth of a second.",
    .example = "  ox job images 17\n"
               "  ox job images 17 --follow\n"
               "  ox job images 17 --json | jq .returnvalue",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 2,
    .max_args = 2,
    .exec = exec,
};
