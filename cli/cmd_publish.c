/*
 * cmd_publish.c - ox publish: one event, or one a line.
 *
 * Lines are published in calls of many. Each call is all or nothing, and what was published
 * when a later line is bad stays: the message says how many that are.
 */
#include "base/units.h"
#include "data.h"
#include "durable.h"
#include "json.h"
#include "lines.h"
#include "progress.h"
#include "records.h"
#include "server.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CALL_EVENTS 1000
#define CALL_BYTES (1u << 20)

struct opts {
    const char *stream, *subject, *key, *id, *source, *traceparent;
    int64_t time_ms;
    bool lines;
    struct durability durable;
};

static const struct opt rows[] = {
    STREAM_ROW(struct opts),
    { .name = "subject",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, subject),
        .arg = "TEXT",
        .help = "what the event is about, such as the id of a car" },
    { .name = "key",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, key),
        .arg = "TEXT",
        .help = "its partition key (the extension partitionkey)" },
    { .name = "id",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, id),
        .arg = "ID",
        .help =
            "the event\'s id; one that was published a short while ago is not published again. "
            "Default: a new UUID" },
    { .name = "source",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, source),
        .arg = "URI",
        .help = "where it comes from, a URI reference; default: /ox/ and this machine's name" },
    { .name = "time",
        .kind = OPT_PARSED,
        .offset = offsetof(struct opts, time_ms),
        .arg = "WHEN",
        .parse = ox__parse_instant,
        .help = "when it happened: Unix milliseconds or ISO 8601; default: now" },
    { .name = "traceparent",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, traceparent),
        .arg = "TEXT",
        .help = "the trace that it belongs to, as W3C Trace Context writes it" },
    { .name = "lines",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, lines),
        .help = "an event a line of the file or standard input, whose JSON is its data" },
    DURABLE_ROW(struct opts, "it"),
    { 0 },
};

static ox_new_event new_event(const struct run *run, const char *json)
{
    const struct opts *opts = run->opts;
    return (ox_new_event){ .type = run->args[0],
        .json = json,
        .id = opts->id,
        .source = opts->source,
        .subject = opts->subject,
        .partition_key = opts->key,
        .trace_parent = opts->traceparent,
        .time_ms = opts->time_ms };
}

static int refuse(const struct run *run, const ox_error *err)
{
    if (err->code != OX_ELOST && err->code != OX_ETIMEOUT) {
        return complain_error(run, err);
    }
    complain(run, "%s; the event may have been published", err->text);
    return STATUS_FAILED;
}

/* ---- one --------------------------------------------------------------------------------- */

static void print_one(
    const struct run *run, const ox_published *event, const struct durable_copies *copies)
{
    const struct opts *opts = run->opts;
    if (!run->json) {
        printf("%s\t%u\n", event->position, event->jobs);
        return;
    }
    struct obj obj;
    obj_begin(&obj);
    obj_text(&obj, "position", event->position);
    obj_int(&obj, "jobs", event->jobs);
    obj_bool(&obj, "duplicate", event->duplicate);
    durable_put(&obj, &opts->durable, copies);
    obj_print(&obj);
}

static int publish_one(struct run *run, ox_stream *stream, const char *json)
{
    const struct opts *opts = run->opts;
    const ox_new_event event = new_event(run, json);
    ox_published published;
    ox_error err = { 0 };
    struct durable_copies copies;
    if (ox_stream_publish(stream, &event, &published, &err) < 0) {
        return refuse(run, &err);
    }
    const char *how = published.duplicate ? "was there" : "was published";
    if (published.duplicate) {
        complain(run, "event %s was published before", published.position);
    }
    g_autofree char *what = g_strdup_printf("event %s %s", published.position, how);
    int status = durable_wait(run, &opts->durable, what, &copies);
    print_one(run, &published, &copies);
    return status;
}

/* ---- lines ------------------------------------------------------------------------------- */

struct many {
    struct run *run;
    ox_stream *stream;
    GPtrArray *texts; /* of one call */
    size_t bytes;     /* of them */
    int64_t published, duplicates, jobs;
    struct progress progress;
};

static int send_texts(struct many *many)
{
    guint count = many->texts->len;
    g_autofree ox_new_event *events = g_new0(ox_new_event, count + 1);
    g_autofree ox_published *published = g_new0(ox_published, count + 1);
    ox_error err = { 0 };
    for (guint i = 0; i < count; i++) {
        events[i] = new_event(many->run, many->texts->pdata[i]);
    }
    int code = ox_stream_publish_many(many->stream, events, count, published, &err);
    for (guint i = 0; i < count; i++) {
        many->published += published[i].position[0] != '\0' && !published[i].duplicate;
        many->duplicates += published[i].duplicate;
        many->jobs += published[i].jobs;
    }
    g_ptr_array_set_size(many->texts, 0);
    many->bytes = 0;
    progress_update(&many->progress, -1, (uint64_t)many->published);
    return code < 0 ? refuse(many->run, &err) : STATUS_DONE;
}

static int take_line(struct many *many, const struct lines *lines, const char *line, size_t len)
{
    g_autofree char *why = NULL;
    if (line[strspn(line, " \t")] == '\0' && strlen(line) == len) {
        return STATUS_DONE;
    }
    if (!json_valid(line, len, &why)) {
        complain(many->run, "line %" PRIu64 " is not JSON: %s", lines->number,
            why != NULL ? why : "");
        return STATUS_USAGE;
    }
    g_ptr_array_add(many->texts, g_strndup(line, len));
    many->bytes += len;
    return many->texts->len >= CALL_EVENTS || many->bytes >= CALL_BYTES ? send_texts(many)
                                                                        : STATUS_DONE;
}

static int publish_fd(struct many *many, int fd)
{
    struct lines lines;
    char *line;
    size_t length;
    int status = STATUS_DONE, got = LINES_END;
    lines_init(&lines, fd);
    while (!status && (got = lines_next(&lines, &line, &length)) == LINES_LINE) {
        status = take_line(many, &lines, line, length);
        /* What comes slowly is not held back. */
        if (!status && many->texts->len > 0 && !lines_ready(&lines)) {
            status = send_texts(many);
        }
    }
    if (!status && got == LINES_TOO_LONG) {
        complain(many->run, "line %" PRIu64 " is longer than %zu bytes", lines.number + 1,
            MAX_LINE_BYTES);
        status = STATUS_FAILED;
    } else if (!status && got == LINES_ERRNO) {
        complain(many->run, "cannot read the input: %s", data_read_reason(errno));
        status = STATUS_FAILED;
    }
    if (many->texts->len > 0) { /* also those before a bad line */
        int sent = send_texts(many);
        status = status ? status : sent;
    }
    lines_done(&lines);
    return status;
}

static void print_many(const struct many *many, double seconds)
{
    const struct run *run = many->run;
    if (run->json) {
        struct obj obj;
        obj_begin(&obj);
        obj_int(&obj, "published", many->published);
        obj_int(&obj, "duplicates", many->duplicates);
        obj_int(&obj, "jobs", many->jobs);
        obj_int(&obj, "ms", (int64_t)(seconds * 1000));
        obj_print(&obj);
        return;
    }
    g_autofree char *published = number_grouped(many->published);
    g_autofree char *jobs = number_grouped(many->jobs);
    g_autofree char *rate = number_grouped((int64_t)((double)many->published / seconds));
    fprintf(stderr, "published %s event%s in %.1fs (%s events/s), %s job%s", published,
        many->published == 1 ? "" : "s", seconds, rate, jobs, many->jobs == 1 ? "" : "s");
    if (many->duplicates > 0) {
        g_autofree char *duplicates = number_grouped(many->duplicates);
        fprintf(stderr, ", %s published before", duplicates);
    }
    fputc('\n', stderr);
}

static int publish_lines(struct run *run, ox_stream *stream)
{
    struct many many = { .run = run, .stream = stream };
    int fd = data_open(run, run->args[1]);
    if (fd < 0) {
        return STATUS_FAILED;
    }
    many.texts = g_ptr_array_new_with_free_func(g_free);
    progress_begin(&many.progress, "events");
    int status = publish_fd(&many, fd);
    double seconds = progress_seconds(&many.progress);
    progress_end(&many.progress);
    g_ptr_array_free(many.texts, TRUE);
    close(fd);
    print_many(&many, MAX(seconds, 1e-6));
    const struct opts *opts = run->opts;
    struct durable_copies copies;
    return status ? status
                  : durable_wait(run, &opts->durable, "the events were published", &copies);
}

static int exec(struct run *run)
{
    const struct opts *opts = run->opts;
    g_autofree char *json = NULL;
    int status = STATUS_DONE;
    if (opts->lines && opts->id != NULL) {
        return complain_usage(run, "--id names one event, and --lines publishes many");
    }
    if (!opts->lines && run->args[1] != NULL) {
        status = data_read(run, "data", run->args[1], &json);
    }
    g_autoptr(ox_stream) stream = NULL;
    if (!status) {
        status = server_stream(run, opts->stream, NULL, &stream);
    }
    if (status) {
        return status;
    }
    return opts->lines ? publish_lines(run, stream) : publish_one(run, stream, json);
}

const struct cmd cmd_publish = {
    .name = "publish",
    .summary = "publish an event; prints its position",
    .usage = "TYPE [JSON|@FILE|-]",
    .help =
        "Publishes an event of TYPE, segments joined by dots such as car.posted: it is "
        "appended "
        "to the stream, and each queue that is bound to its type (ox bind) gets a job, all in "
        "one step. Its data is JSON as it stands on the command line, from FILE, or from "
        "standard input (-). Prints its position in the stream and how many jobs were made, "
        "with a tab between.\n"
        "\n"
        "When an event with that --id and source was published within the stream's window "
        "(ox stream set --dedup), nothing is published: the position is that of the first, and "
        "standard error says so; the exit status stays 0, so that it can be repeated.\n"
        "\n"
        "With --lines the second argument is a file, or - or nothing for standard input; the "
        "totals are printed at the end.",
    .example = "  ox publish car.posted '{\"id\":17}' --subject 17\n"
               "  ox publish car.posted @car.json --id car-17\n"
               "  ox publish click --stream clicks --lines clicks.jsonl",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = 2,
    .exec = exec,
};
