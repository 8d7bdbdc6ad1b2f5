/*
 * streamview.c - see streamview.h.
 */
#include "streamview.h"
#include "base/units.h"
#include "groups.h"
#include "records.h"
#include "server.h"
#include "streams.h"
#include <stdio.h>

enum {
    NAME,
    EVENTS,
    ENTRIES,
    BYTES,
    PUBLISHED,
    DUPLICATES,
    JOBS,
    FIRST,
    LAST,
    LAST_MINUTE,
    LAST_HOUR,
    BINDINGS,
    GROUPS,
    GROUP_LIST,
    KEEP,
    KEEP_EVENTS,
    KEEP_BYTES,
    KEEP_UNREAD,
    DEDUP,
    DEDUP_ALL,
    DEFLATE,
    MAX_EVENT,
    FIELD_COUNT
};
#define NUMBER(title_, key_)                                                                   \
    {                                                                                          \
        .title = (title_), .key = (key_), .kind = FIELD_NUMBER                                 \
    }
#define POSITION(title_, key_)                                                                 \
    {                                                                                          \
        .title = (title_), .key = (key_), .kind = FIELD_TEXT                                   \
    }
static const struct field fields[FIELD_COUNT] = {
    [NAME] = { .title = "stream", .key = "stream", .kind = FIELD_TEXT },
    [EVENTS] = NUMBER("events", "events"),
    [ENTRIES] = NUMBER("entries", "entries"),
    [BYTES] = NUMBER("bytes", "bytes"),
    [PUBLISHED] = NUMBER("published", "published"),
    [DUPLICATES] = NUMBER("duplicates", "duplicates"),
    [JOBS] = NUMBER("jobs", "jobs"),
    [FIRST] = POSITION("first", "first"),
    [LAST] = POSITION("last", "last"),
    [LAST_MINUTE] = NUMBER("last minute", "lastMinute"),
    [LAST_HOUR] = NUMBER("last hour", "lastHour"),
    [BINDINGS] = NUMBER("bindings", "bindings"),
    [GROUPS] = NUMBER("groups", "groups"),
    [GROUP_LIST] = { .key = "groupList", .kind = FIELD_JSON },
    [KEEP] = NUMBER("keep", "keepMs"),
    [KEEP_EVENTS] = NUMBER("keep events", "keepEvents"),
    [KEEP_BYTES] = NUMBER("keep bytes", "keepBytes"),
    [KEEP_UNREAD] = { .title = "keep unread", .key = "keepUnread", .kind = FIELD_BOOL },
    [DEDUP] = NUMBER("dedup", "dedupMs"),
    [DEDUP_ALL] = { .title = "dedup all", .key = "dedupAll", .kind = FIELD_BOOL },
    [DEFLATE] = { .title = "deflate", .key = "deflate", .kind = FIELD_BOOL },
    [MAX_EVENT] = NUMBER("max event", "maxEvent"),
};
static const struct records_style style = { .fields = fields,
    .count = FIELD_COUNT,
    .shape = RECORDS_CARD,
    .titles = { "FIELD", "VALUE" } };

/* "12,345 (206/s)" on a terminal, else NULL: the number. Heap. */
static char *rate_text(const struct run *run, int64_t count, int seconds)
{
    if (!run->out.terminal) {
        return NULL;
    }
    double rate = (double)count / seconds;
    g_autofree char *number = number_grouped(count);
    g_autofree char *whole = number_grouped((int64_t)(rate + 0.5));
    return rate < 10 ? g_strdup_printf("%s (%.1f/s)", number, rate)
                     : g_strdup_printf("%s (%s/s)", number, whole);
}

static const char *on_off(bool on)
{
    return on ? "on" : "off";
}

/* `groups`: JSON of them. */
static void print_stream(const struct run *run, const char *name, const ox_stream_info *info,
    const ox_stream_settings *settings, const char *groups)
{
    g_autofree char *minute = rate_text(run, info->last_minute, 60);
    g_autofree char *hour = rate_text(run, info->last_hour, 3600);
    char keep[24], dedup[24], keep_bytes[24], max_event[24];
    struct records *records = records_new(run, &style);
    records_add(records,
        (const struct value[FIELD_COUNT]){
            [NAME] = { .text = name },
            [EVENTS] = { .number = info->events },
            [ENTRIES] = { .number = info->entries },
            [BYTES] = { .number = info->bytes },
            [PUBLISHED] = { .number = info->published },
            [DUPLICATES] = { .number = info->duplicates },
            [JOBS] = { .number = info->jobs },
            [FIRST] = { .text = info->first },
            [LAST] = { .text = info->last },
            [LAST_MINUTE] = { .number = info->last_minute, .shown = minute },
            [LAST_HOUR] = { .number = info->last_hour, .shown = hour },
            [BINDINGS] = { .number = info->bindings },
            [GROUPS] = { .number = info->groups },
            [GROUP_LIST] = { .text = groups },
            [KEEP] = { .number = settings->keep_ms,
                .shown = settings->keep_ms ? ox__duration_text(settings->keep_ms, keep)
                                           : "any age" },
            [KEEP_EVENTS] = { .number = settings->keep_events,
                .shown = settings->keep_events ? NULL : "any number" },
            [KEEP_BYTES] = { .number = settings->keep_bytes,
                .shown = settings->keep_bytes ? ox__bytes_text(settings->keep_bytes, keep_bytes)
                                              : "any size" },
            [KEEP_UNREAD] = { .number = settings->keep_unread,
                .shown = on_off(settings->keep_unread) },
            [DEDUP] = { .number = settings->dedup_ms,
                .shown =
                    settings->dedup_ms ? ox__duration_text(settings->dedup_ms, dedup) : "off" },
            [DEDUP_ALL] = { .number = settings->dedup_all,
                .shown = on_off(settings->dedup_all) },
            [DEFLATE] = { .number = settings->deflate, .shown = on_off(settings->deflate) },
            [MAX_EVENT] = { .number = settings->max_event,
                .shown = ox__bytes_text(settings->max_event, max_event) },
        });
    records_end(records);
}

int streamview_print(struct run *run, ox_stream *stream)
{
    ox_stream_info info;
    ox_stream_settings settings;
    OX_AUTOLIST ox_group_info **groups = NULL;
    size_t count = 0;
    ox_error err = { 0 };
    int status = stream_info(run, stream, &info);
    if (!status && (ox_stream_settings_get(stream, &settings, &err) < 0 ||
                       ox_group_list(stream, &groups, &count, &err) < 0)) {
        status = complain_error(run, &err);
    }
    if (status) {
        return status;
    }
    g_autofree char *list = groups_json(groups, count);
    print_stream(run, ox_stream_name(stream), &info, &settings, list);
    if (run->out.terminal && !run->json && count > 0) {
        printf("\n");
        groups_print(run, groups, count);
    }
    return STATUS_DONE;
}
