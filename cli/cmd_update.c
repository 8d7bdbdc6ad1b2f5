/*
 * cmd_update.c - ox update: changes one job.
 *
 * The changes are made one after the other in the order of the table below; it stops at the
 * first that is refused, which the message names.
 */
#include "data.h"
#include "json.h"
#include "parse.h"
#include "server.h"
#include <stdio.h>

struct opts {
    const char *data, *progress, *log;
    int64_t priority; /* -1: not given */
    int64_t delay_ms; /* -1: not given */
    int64_t keep_logs;
    int64_t trim_logs; /* -1: not given */
    bool lifo, detach;
    char *data_json, *progress_json; /* data and progress as read, heap */
};

static const struct opt rows[] = {
    { .name = "data",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, data),
        .arg = "JSON|@FILE|-",
        .help = "new data" },
    { .name = "priority",
        .kind = OPT_COUNT,
        .offset = offsetof(struct opts, priority),
        .max = MAX_PRIORITY,
        .fallback = -1,
        .arg = "N",
        .help = "new priority" },
    { .name = "lifo",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, lifo),
        .help = "with --priority: before the others of that priority" },
    { .name = "delay",
        .kind = OPT_DURATION,
        .offset = offsetof(struct opts, delay_ms),
        .fallback = -1,
        .arg = "TIME",
        .help = "a delayed job is due TIME from now" },
    { .name = "progress",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, progress),
        .arg = "JSON",
        .help = "new progress: a number or any JSON" },
    { .name = "log",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, log),
        .arg = "LINE",
        .help = "add a log row" },
    { .name = "keep-logs",
        .kind = OPT_COUNT,
        .offset = offsetof(struct opts, keep_logs),
        .min = 1,
        .max = INT32_MAX,
        .arg = "N",
        .help = "with --log: keep the newest N rows" },
    { .name = "trim-logs",
        .kind = OPT_COUNT,
        .offset = offsetof(struct opts, trim_logs),
        .max = INT32_MAX,
        .fallback = -1,
        .arg = "N",
        .help = "remove all log rows but the newest N" },
    { .name = "detach",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, detach),
        .help = "the job's parent no longer waits for it" },
    { 0 },
};

static int check(struct run *run, struct opts *opts)
{
    if (opts->data == NULL && opts->progress == NULL && opts->log == NULL &&
        opts->priority < 0 && opts->delay_ms < 0 && opts->trim_logs < 0 && !opts->detach) {
        return complain_usage(run, "nothing to change");
    }
    if (opts->lifo && opts->priority < 0) {
        return complain_usage(run, "--lifo needs --priority");
    }
    if (opts->keep_logs && opts->log == NULL) {
        return complain_usage(run, "--keep-logs needs --log");
    }
    int status = STATUS_DONE;
    if (opts->data != NULL) {
        status = data_read(run, "data", opts->data, &opts->data_json);
    }
    if (!status && opts->progress != NULL) {
        status = data_read(run, "progress", opts->progress, &opts->progress_json);
    }
    return status;
}

static int change(ox_queue *queue, const char *id, const struct opts *opts, ox_error *err)
{
    int code = 0;
    if (opts->data_json != NULL) {
        code = ox_queue_update_data(queue, id, opts->data_json, err);
    }
    if (code >= 0 && opts->priority >= 0) {
        code = ox_queue_change_priority(queue, id, (uint32_t)opts->priority, opts->lifo, err);
    }
    if (code >= 0 && opts->delay_ms >= 0) {
        code = ox_queue_change_delay(queue, id, opts->delay_ms, err);
    }
    if (code >= 0 && opts->progress_json != NULL) {
        code = ox_queue_update_progress(queue, id, opts->progress_json, err);
    }
    if (code >= 0 && opts->log != NULL &&
        ox_queue_add_log(queue, id, opts->log, (uint32_t)opts->keep_logs, err) < 0) {
        code = err->code;
    }
    if (code >= 0 && opts->trim_logs >= 0) {
        code = ox_queue_clear_logs(queue, id, (uint32_t)opts->trim_logs, err);
    }
    if (code >= 0 && opts->detach) {
        code = ox_queue_remove_child_dependency(queue, id, err);
    }
    return code;
}

static int update(struct run *run, const struct opts *opts)
{
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (status) {
        return status;
    }
    ox_error err = { 0 };
    int code = change(queue, run->args[1], opts, &err);
    if (code < 0) {
        return complain_error(run, &err);
    }
    if (opts->detach && code == 0) {
        complain(run, "job %s has no parent", run->args[1]);
        return STATUS_FAILED;
    }
    if (run->json) {
        struct obj obj;
        obj_begin(&obj);
        obj_text(&obj, "id", run->args[1]);
        obj_bool(&obj, "updated", true);
        obj_print(&obj);
    }
    return STATUS_DONE;
}

static int exec(struct run *run)
{
    struct opts *opts = run->opts;
    int status = check(run, opts);
    if (!status) {
        status = update(run, opts);
    }
    g_free(opts->data_json);
    g_free(opts->progress_json);
    return status;
}

const struct cmd cmd_update = {
    .name = "update",
    .summary = "change a job's data, priority, delay, progress or logs",
    .usage = "QUEUE ID",
    .help = "Changes a job, in the order of the options below. It stops at the first change "
            "that is refused; those before it are made.",
    .example = "  ox update images 17 --priority 1\n"
               "  ox update mail 4 --delay 1h --log 'put off by hand'",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 2,
    .max_args = 2,
    .exec = exec,
};
