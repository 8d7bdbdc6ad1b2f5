/*
 * cmd_stream.c - ox stream ls, show, set, trim, rm and install: streams of events as a whole.
 */
#include "act.h"
#include "confirm.h"
#include "json.h"
#include "records.h"
#include "server.h"
#include "streams.h"
#include "streamview.h"
#include <string.h>

/* ---- ls ---------------------------------------------------------------------------------- */

enum { NAME, EVENTS, BYTES, PUBLISHED, MINUTE, LAST, BINDINGS, GROUPS, FIELD_COUNT };
#define NUMBER(title_, key_)                                                                   \
    {                                                                                          \
        .title = (title_), .key = (key_), .kind = FIELD_NUMBER, .flags = COLUMN_RIGHT          \
    }
static const struct field fields[FIELD_COUNT] = {
    [NAME] = { .title = "STREAM", .key = "stream", .kind = FIELD_TEXT },
    [EVENTS] = NUMBER("EVENTS", "events"),
    [BYTES] = NUMBER("BYTES", "bytes"),
    [PUBLISHED] = NUMBER("PUBLISHED", "published"),
    [MINUTE] = NUMBER("LAST MIN", "lastMinute"),
    [LAST] = { .title = "LAST", .key = "lastAt", .kind = FIELD_TIME, .flags = COLUMN_RIGHT },
    [BINDINGS] = NUMBER("BINDINGS", "bindings"),
    [GROUPS] = NUMBER("GROUPS", "groups"),
};
static const struct records_style style = { .fields = fields, .count = FIELD_COUNT };

/* `told` is the last failure that was reported: what stops one stream, such as missing rights,
 * mostly stops all of them, and is said once. */
static int list_stream(
    struct run *run, struct records *records, const char *name, ox_error *told)
{
    g_autoptr(ox_stream) stream = NULL;
    ox_stream_info info;
    ox_error err = { 0 };
    int status = server_stream(run, name, NULL, &stream);
    if (status) {
        return status;
    }
    int code = ox_stream_info_get(stream, &info, &err);
    if (code == OX_ENOTFOUND) { /* it was removed meanwhile */
        return STATUS_DONE;
    }
    if (code < 0) {
        bool again = strcmp(err.text, told->text) == 0;
        *told = err;
        return again ? status_of(code) : complain_error(run, &err);
    }
    records_add(records, (const struct value[FIELD_COUNT]){
                             [NAME] = { .text = name },
                             [EVENTS] = { .number = info.events },
                             [BYTES] = { .number = info.bytes },
                             [PUBLISHED] = { .number = info.published },
                             [MINUTE] = { .number = info.last_minute },
                             [LAST] = { .number = stream_time(info.last) },
                             [BINDINGS] = { .number = info.bindings },
                             [GROUPS] = { .number = info.groups },
                         });
    return STATUS_DONE;
}

static int exec_ls(struct run *run)
{
    OX_AUTOLIST char **names = NULL;
    size_t count = 0;
    ox_error err = { 0 }, told = { 0 };
    int status = server_client(run);
    if (status) {
        return status;
    }
    if (ox_client_streams(run->client, run->prefix, &names, &count, &err) < 0) {
        return complain_error(run, &err);
    }
    struct records *records = records_new(run, &style);
    for (size_t i = 0; i < count && out_alive(); i++) {
        int failed = list_stream(run, records, names[i], &told);
        status = status ? status : failed;
    }
    records_end(records);
    if (count == 0) {
        records_hint(run, "prefix %s has no streams yet", run->prefix);
    }
    return status;
}

const struct cmd cmd_stream_ls = {
    .name = "stream ls",
    .summary = "list the streams of events",
    .usage = "",
    .help = "Lists the streams under the prefix: the events that are in each, the memory that "
            "Redis needs for them, how many were published ever, how many "
            "in the last minute, when the newest was, and how "
            "many bindings and groups it has. In a pipe the columns are these, with the name "
            "of the stream before them, separated by tabs.",
    .max_args = 0,
    .exec = exec_ls,
};

/* ---- show, set --------------------------------------------------------------------------- */

struct set_opts {
    int64_t keep_ms, keep_events, keep_bytes, keep_unread, dedup_ms, dedup_all, deflate,
        max_event; /* -1: not given */
};

#define SET(field) .offset = offsetof(struct set_opts, field), .fallback = -1
#define MAX_NUMBER (INT64_C(1) << 53)

static const struct opt set_rows[] = {
    { .name = "keep",
        .kind = OPT_DURATION,
        SET(keep_ms),
        .arg = "TIME",
        .help = "remove events that are older; 0: keep them whatever their age. Default 7d" },
    { .name = "keep-events",
        .kind = OPT_COUNT,
        SET(keep_events),
        .max = MAX_NUMBER - 1,
        .arg = "N",
        .help = "keep that many of the newest; 0: any number. Default 1000000" },
    { .name = "keep-bytes",
        .kind = OPT_BYTES,
        SET(keep_bytes),
        .max = MAX_NUMBER - 1,
        .arg = "SIZE",
        .help = "keep what fits into that much of Redis' memory; 0: any size. Default 512M" },
    { .name = "keep-unread",
        .kind = OPT_CHOICE,
        SET(keep_unread),
        .arg = "off|on",
        .help = "keep also what a group has not read yet, up to --keep-bytes" },
    { .name = "dedup",
        .kind = OPT_DURATION,
        SET(dedup_ms),
        .max = INT64_C(30) * 86400000,
        .arg = "TIME",
        .help = "how long the ids of events are remembered; 0: not at all. Default 2m" },
    { .name = "dedup-all",
        .kind = OPT_CHOICE,
        SET(dedup_all),
        .arg = "off|on",
        .help = "remember ids also of events whose publishers chose none" },
    { .name = "deflate",
        .kind = OPT_CHOICE,
        SET(deflate),
        .arg = "off|on",
        .help = "compress events that are published together, to about a fifth" },
    { .name = "max-event",
        .kind = OPT_BYTES,
        SET(max_event),
        .min = 65536,
        .max = 16777216,
        .arg = "SIZE",
        .help = "the largest event, as JSON; default 256K" },
    { 0 },
};

static int exec_show(struct run *run)
{
    g_autoptr(ox_stream) stream = NULL;
    int status = server_stream(run, run->args[0], NULL, &stream);
    return status ? status : streamview_print(run, stream);
}

static int exec_set(struct run *run)
{
    const struct set_opts *opts = run->opts;
    const ox_stream_settings settings = { .keep_ms = opts->keep_ms,
        .keep_events = opts->keep_events,
        .keep_bytes = opts->keep_bytes,
        .keep_unread = opts->keep_unread > 0,
        .dedup_ms = opts->dedup_ms,
        .dedup_all = opts->dedup_all > 0,
        .deflate = opts->deflate > 0,
        .max_event = opts->max_event };
    unsigned change = (opts->keep_ms >= 0 ? OX_SET_KEEP_MS : 0) |
                      (opts->keep_events >= 0 ? OX_SET_KEEP_EVENTS : 0) |
                      (opts->keep_bytes >= 0 ? OX_SET_KEEP_BYTES : 0) |
                      (opts->keep_unread >= 0 ? OX_SET_KEEP_UNREAD : 0) |
                      (opts->dedup_ms >= 0 ? OX_SET_DEDUP_MS : 0) |
                      (opts->dedup_all >= 0 ? OX_SET_DEDUP_ALL : 0) |
                      (opts->deflate >= 0 ? OX_SET_DEFLATE : 0) |
                      (opts->max_event >= 0 ? OX_SET_MAX_EVENT : 0);
    g_autoptr(ox_stream) stream = NULL;
    ox_error err = { 0 };
    if (change == 0) {
        return complain_usage(run, "which setting? None is given");
    }
    int status = server_stream(run, run->args[0], NULL, &stream);
    if (!status && ox_stream_settings_set(stream, &settings, change, &err) < 0) {
        status = complain_error(run, &err);
    }
    return status ? status : streamview_print(run, stream);
}

const struct cmd cmd_stream_show = {
    .name = "stream show",
    .summary = "show a stream: what is in it, and its settings",
    .usage = "STREAM",
    .help =
        "Shows what is in STREAM, where its first and last events are, what was published "
        "ever and in the last minute and hour (of what it still has), what it keeps, and on "
        "a terminal its groups and how far behind they are; with --json these are "
        "groupList. In a pipe each field is a line, its name and its value with a tab between, "
        "and ox group ls lists the groups.",
    .min_args = 1,
    .max_args = 1,
    .exec = exec_show,
};

const struct cmd cmd_stream_set = {
    .name = "stream set",
    .summary = "change what a stream keeps",
    .usage = "STREAM",
    .help = "Changes settings of STREAM, which need not exist yet, and shows them all. The "
            "oldest events go when a bound is passed by a few percent; whichever of the three "
            "is reached first counts. What goes before a group has read it is lost to that "
            "group, and counted; with --keep-unread on that happens only where --keep-bytes is "
            "passed. In a pipe it prints what ox stream show does.",
    .example = "  ox stream set clicks --keep 1d --keep-events 5000000 --keep-bytes 2G\n"
               "  ox stream set clicks --deflate on --keep-unread on",
    .opts = set_rows,
    .opts_size = sizeof(struct set_opts),
    .min_args = 1,
    .max_args = 1,
    .exec = exec_set,
};

/* ---- trim, rm ---------------------------------------------------------------------------- */

struct trim_opts {
    int64_t keep_events, older_ms; /* -1: not given */
    bool yes;
};

static const struct opt trim_rows[] = {
    { .name = "keep-events",
        .kind = OPT_COUNT,
        .offset = offsetof(struct trim_opts, keep_events),
        .max = MAX_NUMBER - 1,
        .fallback = -1,
        .arg = "N",
        .help = "remove all but the newest N" },
    { .name = "older",
        .kind = OPT_DURATION,
        .offset = offsetof(struct trim_opts, older_ms),
        .fallback = -1,
        .arg = "TIME",
        .help = "remove those that are older" },
    CONFIRM_ROW(struct trim_opts),
    { 0 },
};

static int trim(struct run *run, ox_stream *stream)
{
    const struct trim_opts *opts = run->opts;
    int64_t now_ms = 0;
    ox_error err = { 0 };
    if (opts->older_ms >= 0 && ox_client_time(run->client, &now_ms, &err) < 0) {
        return complain_error(run, &err);
    }
    int64_t before_ms = opts->older_ms >= 0 ? MAX(now_ms - opts->older_ms, 0) : 0;
    int64_t removed = ox_stream_trim(stream, opts->keep_events, before_ms, &err);
    if (removed < 0) {
        return complain_error(run, &err);
    }
    act_print_count(run, "removed", removed, "event");
    return STATUS_DONE;
}

static int exec_trim(struct run *run)
{
    const struct trim_opts *opts = run->opts;
    const char *name = run->args[0];
    g_autoptr(ox_stream) stream = NULL;
    if (opts->keep_events < 0 && opts->older_ms < 0) {
        return complain_usage(run, "either --keep-events or --older is required");
    }
    g_autofree char *action = g_strdup_printf("remove events of stream %s", name);
    int status = confirm(run, opts->yes, action, NULL);
    status = status ? status : stream_open(run, name, &stream);
    return status ? status : trim(run, stream);
}

const struct cmd cmd_stream_trim = {
    .name = "stream trim",
    .summary = "remove a stream's oldest events now",
    .usage = "STREAM",
    .help = "Removes the oldest events of STREAM and prints how many; in a pipe, the number "
            "alone. Events that were "
            "published together go together, so a few more may stay.",
    .example = "  ox stream trim clicks --older 1d --yes",
    .opts = trim_rows,
    .opts_size = sizeof(struct trim_opts),
    .min_args = 1,
    .max_args = 1,
    .exec = exec_trim,
};

struct rm_opts {
    bool force, yes;
};

static const struct opt rm_rows[] = {
    FORCE_ROW(struct rm_opts, "groups of it have members; these lose what they read"),
    CONFIRM_ROW(struct rm_opts),
    { 0 },
};

static int exec_rm(struct run *run)
{
    const struct rm_opts *opts = run->opts;
    const char *name = run->args[0];
    g_autoptr(ox_stream) stream = NULL;
    ox_error err = { 0 };
    g_autofree char *action = g_strdup_printf("remove stream %s and every event in it", name);
    int status = confirm(run, opts->yes, action, name);
    status = status ? status : stream_open(run, name, &stream);
    if (status) {
        return status;
    }
    int code = ox_stream_remove(stream, opts->force, &err);
    return act_report_gone(run, "stream", "removed", code, &err);
}

const struct cmd cmd_stream_rm = {
    .name = "stream rm",
    .summary = "remove a stream with all its events",
    .usage = "STREAM",
    .help = "Removes STREAM: its events, bindings, groups and settings. Jobs that its events "
            "made stay. Refuses while a group has members, unless --force. Asks for the "
            "stream's name first. In a pipe it prints nothing.",
    .opts = rm_rows,
    .opts_size = sizeof(struct rm_opts),
    .min_args = 1,
    .max_args = 1,
    .exec = exec_rm,
};

/* ---- install ----------------------------------------------------------------------------- */

static int exec_install(struct run *run)
{
    ox_error err = { 0 };
    int status = server_client(run);
    if (status) {
        return status;
    }
    if (ox_client_install(run->client, &err) < 0) {
        return complain_error(run, &err);
    }
    if (run->json) {
        struct obj obj;
        obj_begin(&obj);
        obj_text(&obj, "library", "ox_v1");
        obj_text(&obj, "function", "ox_publish_v1");
        obj_print(&obj);
    } else if (run->out.terminal) {
        out_say(&run->out, "library ox_v1 is loaded; publish with FCALL ox_publish_v1");
    }
    return STATUS_DONE;
}

const struct cmd cmd_stream_install = {
    .name = "stream install",
    .summary = "let programs without Ox publish events",
    .usage = "",
    .help = "Loads the library ox_v1 of Redis functions into the server, or replaces it. Any "
            "client of Redis then publishes with one command: FCALL ox_publish_v1 1 "
            "PREFIX::ox:{STREAM}: EVENT..., where each EVENT is a whole CloudEvent as JSON. "
            "Bound queues get their jobs as they do from ox publish. The server keeps the "
            "library as it keeps data; in a cluster it is loaded into each node. Needs Redis "
            "7. In a pipe it prints nothing.",
    .example = "  ox stream install\n"
               "  redis-cli FCALL ox_publish_v1 1 'bull::ox:{events}:' "
               "'{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/shop\",\"type\":"
               "\"car.posted\",\"time\":\"2026-11-29T08:50:00Z\"}'",
    .max_args = 0,
    .exec = exec_install,
};
