/*
 * cmd_tail.c - ox tail: follows a stream of events.
 *
 * A line an event, printed at once. It ends with Ctrl-C, after --count events, or when the
 * reader of a pipe has gone. With --until-end it ends where the stream ended when it began. A
 * gap is told on standard error, an entry that is no event is told and passed.
 */
#include "base/outage.h"
#include "base/units.h"
#include "json.h"
#include "records.h"
#include "server.h"
#include <inttypes.h>
#include <string.h>

struct opts {
    const char *stream, *type, *subject, *from;
    int64_t count;
    bool until_end;
};

static const struct opt rows[] = {
    STREAM_ROW(struct opts),
    { .name = "type",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, type),
        .arg = "PATTERN",
        .help = "only events whose types match, such as 'car.*'" },
    { .name = "subject",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, subject),
        .arg = "TEXT",
        .help = "only events of that subject" },
    { .name = "from",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, from),
        .arg = "PLACE",
        .help = "start: with the oldest event; 10m: those of the last ten minutes; a position: "
                "those behind it. Default: new ones" },
    { .name = "until-end",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, until_end),
        .help = "print the events that are there and exit; without --from, all of them" },
    { .name = "count",
        .kind = OPT_COUNT,
        .offset = offsetof(struct opts, count),
        .max = INT64_C(1) << 52,
        .arg = "N",
        .help = "exit after N events; 0, the default: never" },
    { 0 },
};

enum { POSITION, TIME, TYPE, SUBJECT, DATA, LOST, EVENT, FIELD_COUNT };
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
    [DATA] = { .title = "EVENT", .kind = FIELD_TEXT, .flags = COLUMN_FLEX },
    [LOST] = { .key = "lost", .kind = FIELD_NUMBER, .flags = FIELD_OPTIONAL },
    [EVENT] = { .key = "event", .kind = FIELD_JSON },
};
static const struct records_style style = {
    .fields = fields, .count = FIELD_COUNT, .shape = RECORDS_STREAM
};

static int64_t time_of(const char *position)
{
    return g_ascii_strtoll(position, NULL, 10);
}

static void add_event(struct records *records, const ox_stream_event *event)
{
    g_autofree char *when = time_local(time_of(event->position));
    const char *time_of_day = strchr(when, ' ');
    records_add(records, (const struct value[FIELD_COUNT]){
                             [POSITION] = { .text = event->position },
                             [TIME] = { .text = time_of_day != NULL ? time_of_day + 1 : when },
                             [TYPE] = { .text = event->type },
                             [SUBJECT] = { .text = event->subject },
                             [DATA] = { .text = event->json },
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

/* Prints events up to the position `end`, NULL: without an end. */
static int follow(struct run *run, struct records *records, ox_tail *tail, const char *end)
{
    const struct opts *opts = run->opts;
    int64_t last = end != NULL ? g_ascii_strtoll(strchr(end, '-') + 1, NULL, 10) : 0;
    int64_t shown = 0;
    struct ox__outage outage = { 0 };
    while (opts->count == 0 || shown < opts->count) {
        ox_stream_event event;
        ox_error err = { 0 };
        int got = ox_tail_next(tail, end != NULL ? 1 : 0, &event, &err);
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
        if (got == 0 || (end != NULL && event.number > last)) {
            break;
        }
        tell_gap(run, &event);
        add_event(records, &event);
        shown++;
        if (!out_flush()) {
            break;
        }
    }
    return STATUS_DONE;
}

/* "10m" means ten minutes ago by the server's clock; all else is for the library. Heap. */
static int read_place(struct run *run, const char *from, char **place)
{
    int64_t ago_ms, now_ms = 0;
    g_autofree char *why = NULL;
    ox_error err = { 0 };
    *place = g_strdup(from);
    if (from == NULL || !g_ascii_isdigit(*from) ||
        strspn(from, "0123456789-") == strlen(from)) {
        return STATUS_DONE;
    }
    if (!ox__parse_duration(from, 0, 0, &ago_ms, &why)) {
        return complain_usage(run, "--from: %s", why);
    }
    if (ox_client_time(run->client, &now_ms, &err) < 0) {
        return complain_error(run, &err);
    }
    g_free(*place);
    *place = g_strdup_printf("%" PRId64, MAX(now_ms - ago_ms, 0));
    return STATUS_DONE;
}

static int exec(struct run *run)
{
    const struct opts *opts = run->opts;
    const char *from = opts->from == NULL && opts->until_end ? "start" : opts->from;
    g_autoptr(ox_stream) stream = NULL;
    g_autoptr(ox_tail) tail = NULL;
    g_autofree char *place = NULL;
    ox_stream_info info = { .last = "" };
    ox_error err = { 0 };
    int status = server_stream(run, opts->stream, NULL, &stream);
    if (!status) {
        status = read_place(run, from, &place);
    }
    if (status) {
        return status;
    }
    if (opts->until_end && ox_stream_info_get(stream, &info, &err) < 0) {
        return complain_error(run, &err);
    }
    const ox_tail_options options = {
        .from = place, .pattern = opts->type, .subject = opts->subject
    };
    if (ox_tail_new(&tail, stream, &options, &err) < 0) {
        return complain_error(run, &err);
    }
    if (opts->until_end && info.last[0] == '\0') {
        return STATUS_DONE;
    }
    struct records *records = records_new(run, &style);
    status = follow(run, records, tail, opts->until_end ? info.last : NULL);
    records_end(records);
    return status;
}

const struct cmd cmd_tail = {
    .name = "tail",
    .summary = "follow a stream of events, or list it",
    .usage = "",
    .help = "Prints the events of a stream as they come, until Ctrl-C. It takes nothing from "
            "others. In a pipe: position, type, subject and the whole event as JSON, separated "
            "by tabs. Events that retention removed before they were read are told as a number "
            "on standard error.",
    .example = "  ox tail --type 'car.*'\n"
               "  ox tail --stream clicks --from 10m --until-end --json | jq .event.data",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .max_args = 0,
    .exec = exec,
};
