/*
 * cmd_bind.c - ox bind, unbind, bindings and route: which queues get a job of which events.
 */
#include "jobopts.h"
#include "json.h"
#include "records.h"
#include "server.h"

/* ---- bind, unbind ------------------------------------------------------------------------ */

struct bind_opts {
    ox_job_options job; /* first: the shared rows count from here */
    const char *stream, *name;
};

static const struct opt bind_rows[] = {
    STREAM_ROW(struct bind_opts),
    { .name = "name",
        .kind = OPT_TEXT,
        .offset = offsetof(struct bind_opts, name),
        .arg = "NAME",
        .help = "the name of its jobs; default: the event's type" },
    { 0 },
};

static void print_change(const struct run *run, const char *key, bool value)
{
    if (run->json) {
        struct obj obj;
        obj_begin(&obj);
        obj_text(&obj, "pattern", run->args[0]);
        obj_text(&obj, "queue", run->args[1]);
        obj_bool(&obj, key, value);
        obj_print(&obj);
    }
}

static int exec_bind(struct run *run)
{
    struct bind_opts *opts = run->opts;
    const ox_binding binding = { .pattern = run->args[0],
        .queue = run->args[1],
        .job_name = opts->name,
        .job = &opts->job };
    g_autoptr(ox_stream) stream = NULL;
    ox_error err = { 0 };
    int status = jobopts_check(run, &opts->job);
    if (!status) {
        status = server_stream(run, opts->stream, NULL, &stream);
    }
    if (status) {
        return status;
    }
    int code = ox_stream_bind(stream, &binding, &err);
    if (code < 0) {
        return complain_error(run, &err);
    }
    print_change(run, "new", code > 0);
    if (!run->json && run->out.terminal) {
        out_say(&run->out,
            code > 0 ? "%s is bound to %s" : "the binding of %s to %s is changed", run->args[1],
            run->args[0]);
    }
    return STATUS_DONE;
}

const struct cmd cmd_bind = {
    .name = "bind",
    .summary = "give a queue a job of each event that matches",
    .usage = "PATTERN QUEUE",
    .help =
        "Binds QUEUE to the events of a stream whose types match PATTERN: from now on each "
        "makes a job there, with these options and the event as its data. In a pattern * "
        "stands for one segment of a type and > at the end for one or more. A queue gets one "
        "job of an event, by its oldest binding that matches. Binding the same again changes "
        "the options. In a pipe it prints nothing.",
    .example = "  ox bind 'car.*' images --attempts 3\n"
               "  ox bind 'user.>' mail --name notify --stream accounts",
    .opts = bind_rows,
    .more = jobopts_rows,
    .opts_size = sizeof(struct bind_opts),
    .min_args = 2,
    .max_args = 2,
    .exec = exec_bind,
};

struct list_opts {
    const char *stream;
};

static const struct opt list_rows[] = {
    STREAM_ROW(struct list_opts),
    { 0 },
};

static int exec_unbind(struct run *run)
{
    const struct list_opts *opts = run->opts;
    g_autoptr(ox_stream) stream = NULL;
    ox_error err = { 0 };
    int status = server_stream(run, opts->stream, NULL, &stream);
    if (status) {
        return status;
    }
    int code = ox_stream_unbind(stream, run->args[0], run->args[1], &err);
    if (code < 0) {
        return complain_error(run, &err);
    }
    if (code == 0) {
        complain(run,
            "stream %s has no binding of %s to %s (ox bindings --stream %s lists them)",
            opts->stream, run->args[0], run->args[1], opts->stream);
        return STATUS_NOT_FOUND;
    }
    print_change(run, "removed", true);
    if (!run->json && run->out.terminal) {
        out_say(&run->out, "%s is no longer bound to %s", run->args[1], run->args[0]);
    }
    return STATUS_DONE;
}

const struct cmd cmd_unbind = {
    .name = "unbind",
    .summary = "remove a binding of a queue",
    .usage = "PATTERN QUEUE",
    .help = "Removes the binding of QUEUE to PATTERN. Jobs that it made stay. In a pipe it "
            "prints nothing.",
    .example = "  ox unbind 'car.*' images",
    .opts = list_rows,
    .opts_size = sizeof(struct list_opts),
    .min_args = 2,
    .max_args = 2,
    .exec = exec_unbind,
};

/* ---- bindings, route --------------------------------------------------------------------- */

enum { PATTERN, QUEUE, NAME, OPTIONS, FIELD_COUNT };
static const struct field fields[FIELD_COUNT] = {
    [PATTERN] = { .title = "PATTERN", .key = "pattern", .kind = FIELD_TEXT },
    [QUEUE] = { .title = "QUEUE", .key = "queue", .kind = FIELD_TEXT },
    [NAME] = { .title = "NAME",
        .key = "name",
        .kind = FIELD_TEXT,
        .flags = COLUMN_RARE | FIELD_OPTIONAL },
    [OPTIONS] = { .title = "OPTIONS",
        .key = "opts",
        .kind = FIELD_JSON,
        .flags = COLUMN_RARE | COLUMN_FLEX | FIELD_OPTIONAL },
};
static const struct records_style style = { .fields = fields, .count = FIELD_COUNT };

/* Those of one type, or all. */
static int list(struct run *run, const char *type)
{
    const struct list_opts *opts = run->opts;
    g_autoptr(ox_stream) stream = NULL;
    OX_AUTOLIST ox_binding **bindings = NULL;
    size_t count = 0;
    ox_error err = { 0 };
    int status = server_stream(run, opts->stream, NULL, &stream);
    if (status) {
        return status;
    }
    int code = type != NULL ? ox_stream_route(stream, type, &bindings, &count, &err)
                            : ox_stream_bindings(stream, &bindings, &count, &err);
    if (code < 0) {
        return complain_error(run, &err);
    }
    struct records *records = records_new(run, &style);
    for (size_t i = 0; i < count; i++) {
        const ox_binding *binding = bindings[i];
        records_add(records, (const struct value[FIELD_COUNT]){
                                 [PATTERN] = { .text = binding->pattern },
                                 [QUEUE] = { .text = binding->queue },
                                 [NAME] = { .text = binding->job_name },
                                 [OPTIONS] = { .text = binding->options },
                             });
    }
    records_end(records);
    if (count == 0 && type != NULL) {
        records_hint(run, "no queue gets a job of %s in stream %s", type, opts->stream);
    } else if (count == 0) {
        records_hint(run, "stream %s has no bindings", opts->stream);
    }
    return STATUS_DONE;
}

static int exec_bindings(struct run *run)
{
    return list(run, NULL);
}

static int exec_route(struct run *run)
{
    return list(run, run->args[0]);
}

const struct cmd cmd_bindings = {
    .name = "bindings",
    .summary = "list which queues get jobs of which events",
    .usage = "",
    .help = "Lists the bindings of a stream, the oldest first: pattern, queue, the name of the "
            "jobs where it is not the event's type, and their options; in a pipe with tabs "
            "between.",
    .opts = list_rows,
    .opts_size = sizeof(struct list_opts),
    .max_args = 0,
    .exec = exec_bindings,
};

const struct cmd cmd_route = {
    .name = "route",
    .summary = "show which queues an event would reach",
    .usage = "TYPE",
    .help = "Shows by which bindings an event of TYPE would make jobs, one for each queue: the "
            "oldest that matches. Publishes nothing. In a pipe the columns are pattern, queue, "
            "name of the jobs and options, separated by tabs.",
    .example = "  ox route car.posted",
    .opts = list_rows,
    .opts_size = sizeof(struct list_opts),
    .min_args = 1,
    .max_args = 1,
    .exec = exec_route,
};
