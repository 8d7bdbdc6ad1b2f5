/*
 * cmd_tail.c - ox tail: follows a stream of events.
 *
 * A line an event, printed at once. It ends with Ctrl-C, after --count events, or when the
 * reader of a pipe has gone. With --to or --until-end it has an end. A gap is told on standard
 * error, an entry that is no event is told and passed.
 */
#include "base/outage.h"
#include "base/stored.h"
#include "json.h"
#include "records.h"
#include "server.h"
#include "streams.h"
#include <inttypes.h>
#include <string.h>

struct opts {
    const char *stream;
    struct stream_part part;
    int64_t count;
    bool until_end;
};

static const struct opt rows[] = {
    STREAM_ROW(struct opts),
    PART_ROWS(struct opts, "Default: new ones",
        "exit after that place (5m, a time, a position, end), or where the stream ends"),
    { .name = "until-end",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, until_end),
        .help = "the same as --to end: print the events that are there and exit; without "
                "--from, all of them" },
    { .name = "count",
        .kind = OPT_COUNT,
        .offset = offsetof(struct opts, count),
        .max = INT64_C(1) << 52,
        .arg = "N",
        .help = "exit after N events; 0, the default: never" },
    { 0 },
};

enum { POSITION, TIME, TYPE, SUBJECT, DATA, WHOLE, LOST, EVENT, FIELD_COUNT };
static const struct field fields[FIELD_COUNT] = {
    [POSITION] = { .title = "POSITION",
        .key = "position",
        .kind = FIELD_TEXT,
        .flags = FIELD_NO_TERMINAL },
    [TIME] = { .title = "TIME",
        .kind = FIELD_TEXT,
        .flags = FIELD_NO_PIPE,
        .tint = TINT_DIM,
        .width = 12 },
    [TYPE] = { .title = "TYPE", .kind = FIELD_TEXT, .flags = COLUMN_FLEX, .width = 20 },
    [SUBJECT] = { .title = "SUBJECT", .kind = FIELD_TEXT, .flags = COLUMN_FLEX, .width = 10 },
    [DATA] = { .title = "DATA", .kind = FIELD_TEXT, .flags = COLUMN_FLEX | FIELD_NO_PIPE },
    [WHOLE] = { .title = "EVENT", .kind = FIELD_TEXT, .flags = FIELD_NO_TERMINAL },
    [LOST] = { .key = "lost", .kind = FIELD_NUMBER, .flags = FIELD_OPTIONAL },
    [EVENT] = { .key = "event", .kind = FIELD_JSON },
};
static const struct records_style style = {
    .fields = fields, .count = FIELD_COUNT, .shape = RECORDS_STREAM
};

/* What a person looks for in a line: the data; the whole event where it has none. Heap. */
static char *data_of(const ox_stream_event *event)
{
    struct ox__slice all = { NULL, NULL }, data = { NULL, NULL };
    if (ox__stored_value(&all, event->json, event->length) == 0) {
        data = ox__slice_get(all, "data");
    }
    return data.at != NULL ? g_strndup(data.at, (gsize)(data.end - data.at))
                           : g_strdup(event->json);
}

static void add_event(
    const struct run *run, struct records *records, const ox_stream_event *event)
{
    g_autofree char *data = run->out.terminal ? data_of(event) : NULL;
    g_autofree char *when = time_local(stream_time(event->position));
    const char *time_of_day = strchr(when, ' ');
    records_add(records, (const struct value[FIELD_COUNT]){
                             [POSITION] = { .text = event->position },
                             [TIME] = { .text = time_of_day != NULL ? time_of_day + 1 : when },
                             [TYPE] = { .text = event->type },
                             [SUBJECT] = { .text = event->subject },
                             [DATA] = { .text = data },
                             [WHOLE] = { .text = event->json },
                             [LOST] = { .number = event->lost },
                             [EVENT] = { .text = event->json },
                         });
}

static void tell_gap(const struct run *run, const ox_stream_event *event)
{
    if (event->lost > 0) {
        complain(run, "%" PRId64 " event%s before %s %s no longer there", event->lost,
            event->lost == 1 ? "" : "s", event->position, event->lost == 1 ? "is" : "are");
    } else if (event->lost < 0) {
        complain(run,
            "numbers went back at %s: the server has lost its newest events, it is not known "
            "how many",
            event->position);
    }
}

static int follow(struct run *run, struct records *records, ox_tail *tail)
{
    const struct opts *opts = run->opts;
    int64_t shown = 0;
    struct ox__outage outage = { 0 };
    while (opts->count == 0 || shown < opts->count) {
        ox_stream_event event;
        ox_error err = { 0 };
        int got = ox_tail_next(tail, 0, &event, &err);
        if (ox__outage_retry(&outage, OX__OUTAGE_MAX_MS, got)) {
            continue;
        }
        if (got < 0 && got != OX_EDATA) {
            return complain_error(run, &err);
        }
        outage.since_ms = 0;
        if (got == OX_EDATA) {
            complain(run, "%s", err.text);
            continue;
        }
        if (got == 0) {
            break;
        }
        tell_gap(run, &event);
        add_event(run, records, &event);
        shown++;
        if (!out_flush()) {
            break;
        }
    }
    return STATUS_DONE;
}

/* Whether `place` is a position after `newest`. */
static bool is_ahead(const char *place, const char *newest)
{
    const char *number = place != NULL ? strchr(place, '-') : NULL;
    const char *last = strchr(newest, '-');
    if (number == NULL || last == NULL) {
        return false;
    }
    int64_t ms = stream_time(place), newest_ms = stream_time(newest);
    return ms > newest_ms || (ms == newest_ms && g_ascii_strtoll(number + 1, NULL, 10) >
                                                     g_ascii_strtoll(last + 1, NULL, 10));
}

/* Says why nothing may come for long: there is no such stream, or it has not got that far. The
 * figures need a right that following does not; without them nothing is said. */
static void tell_wait(struct run *run, ox_stream *stream, const char *from)
{
    ox_stream_info info;
    ox_error err = { 0 };
    int code = ox_stream_info_get(stream, &info, &err);
    if (code == OX_ENOTFOUND) {
        complain(run, "stream %s does not exist yet; waiting for its first event",
            ox_stream_name(stream));
    } else if (code >= 0 && is_ahead(from, info.last)) {
        complain(run, "%s is ahead of the newest event, %s; events up to it will not be shown",
            from, info.last);
    }
}

/* Opens the tail. Where it ends the stream must exist, since nothing is waited for. */
static int open_tail(struct run *run, ox_stream *stream, ox_tail **tail)
{
    const struct opts *opts = run->opts;
    struct stream_part part = opts->part;
    ox_tail_options options;
    ox_stream_info info;
    ox_error err = { 0 };
    if (opts->until_end) {
        part.from = part.from != NULL ? part.from : "start";
        part.to = "end";
    }
    int status = stream_part_read(run, &part, &options);
    if (!status && options.to != NULL) {
        status = stream_info(run, stream, &info);
    }
    if (!status && ox_tail_new(tail, stream, &options, &err) < 0) {
        status = complain_error(run, &err);
    }
    if (!status && options.to == NULL) {
        tell_wait(run, stream, options.from);
    }
    return status;
}

static int exec(struct run *run)
{
    const struct opts *opts = run->opts;
    g_autoptr(ox_stream) stream = NULL;
    g_autoptr(ox_tail) tail = NULL;
    if (opts->until_end && opts->part.to != NULL) {
        return complain_usage(run, "--until-end and --to exclude each other");
    }
    int status = server_stream(run, opts->stream, NULL, &stream);
    if (!status) {
        status = open_tail(run, stream, &tail);
    }
    if (status) {
        return status;
    }
    struct records *records = records_new(run, &style);
    status = follow(run, records, tail);
    records_end(records);
    return status;
}

const struct cmd cmd_tail = {
    .name = "tail",
    .summary = "follow a stream of events, or list it",
    .usage = "",
    .help = "Prints the events of a stream as they come, until Ctrl-C: time, type, subject and "
            "data. It takes nothing from "
            "others. In a pipe: position, type, subject and the whole event as JSON, separated "
            "by tabs. Standard error tells how many events "
            "retention removed before they were read.",
    .example = "  ox tail --type 'car.*'\n"
               "  ox tail --stream clicks --from 10m --until-end --json | jq .event.data\n"
               "  ox tail --from 2h --to 1h --type 'car.*' --subject 17",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .max_args = 0,
    .exec = exec,
};
