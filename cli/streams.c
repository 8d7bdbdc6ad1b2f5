/*
 * streams.c - see streams.h.
 */
#include "streams.h"
#include "base/suggest.h"
#include "base/units.h"
#include "server.h"
#include <inttypes.h>
#include <string.h>

int64_t stream_time(const char *position)
{
    return g_ascii_strtoll(position, NULL, 10);
}

static bool is_for_library(const char *text)
{
    return strcmp(text, "start") == 0 || strcmp(text, "end") == 0 ||
           g_regex_match_simple("^[0-9]+(-[0-9]+)?$", text, G_REGEX_DOLLAR_ENDONLY, 0);
}

static bool read_iso8601(const char *text, int64_t *ms)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, NULL);
    if (time != NULL) {
        *ms = g_date_time_to_unix(time) * 1000 + g_date_time_get_microsecond(time) / 1000;
    }
    return time != NULL;
}

int stream_place(struct run *run, const char *what, const char *text, const char **place)
{
    int64_t ago_ms, ms = 0;
    g_autofree char *why = NULL;
    ox_error err = { 0 };
    *place = text;
    if (text == NULL || is_for_library(text)) {
        return STATUS_DONE;
    }
    if (ox__parse_duration(text, 0, 0, &ago_ms, &why)) {
        if (ox_client_time(run->client, &ms, &err) < 0) {
            return complain_error(run, &err);
        }
        ms -= ago_ms;
    } else if (!read_iso8601(text, &ms)) {
        return complain_usage(run,
            "%s: \"%s\" is not a place in a stream: start, end, a position such as "
            "1700000000000-42, 10m for ten minutes ago, a time such as 2026-01-31T12:00:00Z, "
            "or Unix ms",
            what, text);
    }
    g_autofree char *time = g_strdup_printf("%" PRId64, MAX(ms, 0));
    *place = g_string_chunk_insert(run->strings, time);
    return STATUS_DONE;
}

int stream_part_read(struct run *run, const struct stream_part *part, ox_tail_options *options)
{
    *options = (ox_tail_options){ .pattern = part->type, .subject = part->subject };
    int status = stream_place(run, "--from", part->from, &options->from);
    return status ? status : stream_place(run, "--to", part->to, &options->to);
}

/* "; did you mean NAME?", or "". Heap. */
static char *question(const struct ox__suggestion *best)
{
    return best->nearest != NULL ? g_strdup_printf("; did you mean %s?", best->nearest)
                                 : g_strdup("");
}

static int refuse_stream(struct run *run, ox_stream *stream)
{
    OX_AUTOLIST char **names = NULL;
    size_t count = 0;
    ox_error err = { 0 };
    struct ox__suggestion best = { .word = ox_stream_name(stream) };
    if (ox_client_streams(run->client, run->prefix, &names, &count, &err) < 0) {
        return complain_error(run, &err);
    }
    for (size_t i = 0; i < count; i++) {
        ox__suggest(&best, names[i]);
    }
    g_autofree char *near = question(&best);
    complain(run, "stream %s does not exist under prefix %s%s (ox stream ls lists them)",
        best.word, run->prefix, near);
    return STATUS_NOT_FOUND;
}

int stream_info(struct run *run, ox_stream *stream, ox_stream_info *info)
{
    ox_error err = { 0 };
    int code = ox_stream_info_get(stream, info, &err);
    if (code == OX_ENOTFOUND) {
        return refuse_stream(run, stream);
    }
    return code < 0 ? complain_error(run, &err) : STATUS_DONE;
}

int stream_group(struct run *run, ox_stream *stream, const char *name, ox_group_info ***groups,
    const ox_group_info **group)
{
    size_t count = 0;
    ox_stream_info info;
    ox_error err = { 0 };
    struct ox__suggestion best = { .word = name };
    int status = stream_info(run, stream, &info);
    if (status) {
        return status;
    }
    if (ox_group_list(stream, groups, &count, &err) < 0) {
        return complain_error(run, &err);
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp((*groups)[i]->name, name) == 0) {
            *group = (*groups)[i];
            return STATUS_DONE;
        }
        ox__suggest(&best, (*groups)[i]->name);
    }
    g_autofree char *near = question(&best);
    complain(run, "stream %s has no group %s%s (ox group ls --stream %s lists them)",
        ox_stream_name(stream), name, near, ox_stream_name(stream));
    return STATUS_NOT_FOUND;
}

int stream_open(struct run *run, const char *name, ox_stream **stream)
{
    ox_stream_info info;
    int status = server_stream(run, name, NULL, stream);
    return status ? status : stream_info(run, *stream, &info);
}

int stream_open_group(struct run *run, const char *name, const char *group, ox_stream **stream)
{
    OX_AUTOLIST ox_group_info **groups = NULL;
    const ox_group_info *found = NULL;
    int status = server_stream(run, name, NULL, stream);
    return status ? status : stream_group(run, *stream, group, &groups, &found);
}
