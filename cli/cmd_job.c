/*
 * cmd_job.c - ox job: one job, told as a story.
 *
 * On a terminal: a timeline, then data, result, failure, logs and children. In a pipe the
 * stored fields as "name<TAB>value" lines, with --json one object. --follow tells progress and
 * log rows as they come and shows the whole job when it has ended.
 */
#include "follow.h"
#include "jobview.h"
#include "json.h"
#include <stdio.h>

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
    int state; /* -1: none yet */
    char *progress;
    int64_t log_total;
};

static void tell(const struct news *news, const char *what, const char *text)
{
    if (news->run->out.terminal) {
        g_autofree char *now = time_local(time_now_ms());
        g_autofree char *cleaned = text_clean(text);
        printf("%s%s%s  %-8s  %s\n", tint_on(&news->run->out, TINT_DIM), now,
            tint_off(&news->run->out, TINT_DIM), what, cleaned);
    } else {
        out_pair(what, text);
    }
    out_flush();
}

/* A failure to read the rows is not worth ending for: the next look tries again. */
static void tell_logs(struct news *news)
{
    char **logs = NULL;
    size_t count = 0;
    int64_t total = 0;
    ox_error err;
    if (ox_queue_logs(news->queue, news->id, news->log_total, -1, &logs, &count, &total, &err) <
        0)
        return;
    for (size_t i = 0; i < count; i++)
        tell(news, "log", logs[i]);
    news->log_total = total;
    ox_free_list(logs, count);
}

static void tell_news(void *arg, const ox_job *job, int state)
{
    struct news *news = arg;
    if (news->run->json)
        return;
    if (state != news->state)
        tell(news, "state", ox_state_name(state));
    news->state = state;
    const char *progress = ox_job_text(job, OX_JOB_PROGRESS);
    if (progress && g_strcmp0(progress, "0") && g_strcmp0(progress, news->progress)) {
        tell(news, "progress", progress);
        g_free(news->progress);
        news->progress = g_strdup(progress);
    }
    tell_logs(news);
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
        if (told)
            tell_logs(news);
        int status = jobview_print(run, news->queue, id, told ? 0 : opts->logs);
        return status || !failed ? status : STATUS_FAILED;
    }
    struct obj obj;
    obj_begin(&obj);
    obj_text(&obj, "id", id);
    obj_text(&obj, "state", ox_state_name(ending->state));
    if (failed)
        obj_text(&obj, "failedReason", ending->reason);
    else
        obj_json(&obj, "returnvalue", ending->value);
    g_autofree char *text = obj_take(&obj);
    if (run->json)
        puts(text);
    else
        out_pair(
            failed ? "failedReason" : "returnvalue", failed ? ending->reason : ending->value);
    return failed ? STATUS_FAILED : STATUS_DONE;
}

static int follow(struct run *run, ox_queue *queue, const char *id)
{
    g_autoptr(ox_events) events = NULL;
    struct news news = { .run = run, .queue = queue, .id = id, .state = -1 };
    struct ending ending = { 0 };
    ox_error err = { 0 };
    int status;
    if (ox_events_new(&events, queue, NULL, &err) < 0 ||
        follow_job(queue, events, id, 0, tell_news, &news, &ending, &err) < 0)
        status = complain_error(run, &err);
    else
        status = show_ending(&news, &ending);
    g_free(news.progress);
    ending_done(&ending);
    return status;
}

static int exec(struct run *run)
{
    const struct opts *opts = run->opts;
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (status)
        return status;
    return opts->follow ? follow(run, queue, run->args[1])
                        : jobview_print(run, queue, run->args[1], opts->logs);
}

const struct cmd cmd_job = {
    .name = "job",
    .summary = "show one job; --follow until it ends",
    .usage = "QUEUE ID",
    .help = "Shows a job: its timeline, data, options, result or failure, log rows and "
            "children. In a pipe the stored fields, a line each: name, tab, value.",
    .example = "  ox job images 17\n"
               "  ox job images 17 --follow\n"
               "  ox job images 17 --json | jq .returnvalue",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 2,
    .max_args = 2,
    .exec = exec,
};
