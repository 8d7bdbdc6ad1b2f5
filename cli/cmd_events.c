/*
 * cmd_events.c - ox events: follows a queue's event stream.
 *
 * A line an event, printed at once. It ends with Ctrl-C, after --limit events, or when the
 * reader of a pipe has gone, which is noticed at the next line. With --no-follow it ends where
 * the stream ended when it began, by the server's clock: a busy queue always has new events.
 */
#include "base/outage.h"
#include "json.h"
#include "records.h"
#include "server.h"
#include <stdlib.h>
#include <string.h>

struct opts {
    const char *from, *event, *job;
    int64_t limit;
    bool no_follow;
};

static const struct opt rows[] = {
    { .name = "from",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, from),
        .arg = "ID",
        .help =
            "start after that stream id; 0: all events that are stored. Default: new ones" },
    { .name = "no-follow",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, no_follow),
        .help = "print the stored events and exit; without --from, all of them" },
    { .name = "event",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, event),
        .arg = "NAME",
        .help = "only events of that name, such as completed" },
    { .name = "job",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, job),
        .arg = "ID",
        .help = "only events of that job" },
    { .name = "limit",
        .kind = OPT_COUNT,
        .offset = offsetof(struct opts, limit),
        .max = INT64_C(1) << 52,
        .arg = "N",
        .help = "exit after N events; 0, the default: never" },
    { 0 },
};

static bool is_wanted(const struct opts *opts, const ox_event *event)
{
    if (opts->event != NULL && strcmp(event->name, opts->event)) {
        return false;
    }
    return opts->job == NULL || (event->job_id != NULL && !strcmp(event->job_id, opts->job));
}

/* Fields whose values are JSON by contract; all others are text. */
static bool is_json(const char *name)
{
    return !strcmp(name, "returnvalue") || !strcmp(name, "data");
}

/* With --json: the fields that are the event's own. Heap. */
static char *fields_json(const ox_event *event)
{
    struct obj obj;
    obj_begin(&obj);
    for (size_t i = 0; i + 1 < event->field_count; i += 2) {
        const char *name = event->fields[i], *value = event->fields[i + 1];
        if (is_json(name)) {
            obj_json(&obj, name, value);
        } else {
            obj_text(&obj, name, value);
        }
    }
    return obj_take(&obj);
}

static char *join_fields(const ox_event *event)
{
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i + 1 < event->field_count; i += 2) {
        g_string_append_printf(
            text, "%s%s=%s", i ? " " : "", event->fields[i], event->fields[i + 1]);
    }
    return g_string_free(text, FALSE);
}

static enum tint tint_of_event(const char *name)
{
    int state = ox_state_parse(name);
    if (state >= 0) {
        return tint_of_state(state);
    }
    return !strcmp(name, "stalled") || !strcmp(name, "retries-exhausted") ? TINT_RED
                                                                          : TINT_NONE;
}

static int64_t time_of(const ox_event *event)
{
    return g_ascii_strtoll(event->stream_id, NULL, 10);
}

/* Time, name and id stand in columns, unless one is longer than is common. A long id, such as a
 * scheduler's, leaves half of the rest for the fields. */
enum { ID, TIME, NAME, JOB, FIELDS, OWN, FIELD_COUNT };
static const struct field fields[FIELD_COUNT] = {
    [ID] = { .title = "ID", .key = "id", .kind = FIELD_TEXT, .flags = FIELD_NO_TERMINAL },
    [TIME] = { .title = "TIME",
        .kind = FIELD_TEXT,
        .flags = FIELD_NO_PIPE,
        .tint = TINT_DIM,
        .width = 12 },
    [NAME] = { .title = "EVENT", .key = "event", .kind = FIELD_TEXT, .width = 16 },
    [JOB] = { .title = "JOB",
        .key = "jobId",
        .kind = FIELD_TEXT,
        .flags = COLUMN_FLEX | FIELD_OPTIONAL,
        .width = 10 },
    [FIELDS] = { .title = "FIELDS", .kind = FIELD_TEXT, .flags = COLUMN_FLEX },
    [OWN] = { .key = "", .kind = FIELD_MEMBERS },
};
static const struct records_style style = {
    .fields = fields, .count = FIELD_COUNT, .shape = RECORDS_STREAM
};

static void add_event(const struct run *run, struct records *records, const ox_event *event)
{
    g_autofree char *when = time_local(time_of(event));
    g_autofree char *joined = run->json ? NULL : join_fields(event);
    g_autofree char *own = run->json ? fields_json(event) : NULL;
    const char *time_of_day = strchr(when, ' ');
    records_add(
        records, (const struct value[FIELD_COUNT]){
                     [ID] = { .text = event->stream_id },
                     [TIME] = { .text = time_of_day != NULL ? time_of_day + 1 : when },
                     [NAME] = { .text = event->name, .tint = tint_of_event(event->name) },
                     [JOB] = { .text = event->job_id },
                     [FIELDS] = { .text = joined },
                     [OWN] = { .text = own },
                 });
}

/* Lists events up to the time `until_ms` of the server, INT64_MAX: no limit. */
static int list_events(
    struct run *run, struct records *records, ox_events *events, int64_t until_ms)
{
    const struct opts *opts = run->opts;
    uint32_t wait_ms = opts->no_follow ? 1 : 0;
    int64_t shown = 0;
    struct ox__outage outage = { 0 };
    while (!opts->limit || shown < opts->limit) {
        ox_event event;
        ox_error err = { 0 };
        int got = ox_events_next(events, wait_ms, &event, &err);
        if (ox__outage_retry(&outage, OX__OUTAGE_MAX_MS, got)) {
            continue;
        }
        if (got < 0) {
            return complain_error(run, &err);
        }
        outage.since_ms = 0;
        if (opts->no_follow && (!got || time_of(&event) > until_ms)) {
            break;
        }
        if (!got || !is_wanted(opts, &event)) {
            continue;
        }
        add_event(run, records, &event);
        shown++;
        if (!out_flush()) {
            break;
        }
    }
    return STATUS_DONE;
}

static int exec(struct run *run)
{
    const struct opts *opts = run->opts;
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (status) {
        return status;
    }
    g_autoptr(ox_events) events = NULL;
    ox_error err = { 0 };
    const char *from = opts->from == NULL && opts->no_follow ? "0" : opts->from;
    int64_t until_ms = INT64_MAX;
    if ((opts->no_follow && ox_client_time(run->client, &until_ms, &err) < 0) ||
        ox_events_new(&events, queue, from, &err) < 0) {
        return complain_error(run, &err);
    }
    struct records *records = records_new(run, &style);
    status = list_events(run, records, events, until_ms);
    records_end(records);
    return status;
}

const struct cmd cmd_events = {
    .name = "events",
    .summary = "follow a queue's events, or list them",
    .usage = "QUEUE",
    .help = "Prints the events of QUEUE as they come: added, waiting, active, progress, "
            "completed, failed and so on, until Ctrl-C. In a pipe: stream id, event, job and "
            "fields, separated by tabs.",
    .example = "  ox events images --event failed\n"
               "  ox events images --no-follow --json | jq -r .event | sort | uniq -c",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = 1,
    .exec = exec,
};
