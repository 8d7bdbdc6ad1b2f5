/*
 * settings.c - what a stream keeps and has: settings, figures, trimming, removal.
 */
#include "base/clock.h"
#include "base/error.h"
#include "events/operations.h"
#include "events/stream.h"
#include "scripts.h"

#include <stddef.h>
#include <string.h>

/* ---- what read_stream answers ------------------------------------------------------------ */

enum {
    PUBLISHED,
    DUPLICATES,
    JOBS,
    KEEP_MS,
    KEEP_EVENTS,
    KEEP_BYTES,
    KEEP_UNREAD,
    DEDUP_MS,
    DEDUP_ALL,
    DEFLATE,
    MAX_EVENT,
    ENTRIES,
    BYTES,
    GROUPS,
    BINDINGS,
    EVENTS,
    LAST_MINUTE,
    LAST_HOUR,
    FIRST,
    LAST,
    FIELDS
};

static bool is_answer(const redisReply *reply)
{
    bool good = reply->type == REDIS_REPLY_ARRAY && reply->elements == FIELDS;
    for (size_t i = 0; good && i < FIELDS; i++) {
        const redisReply *field = reply->element[i];
        good = i < FIRST ? field->type == REDIS_REPLY_INTEGER
                         : field->type == REDIS_REPLY_STRING && field->len < OX_POSITION_SIZE;
    }
    return good;
}

static int64_t at(const redisReply *reply, size_t field)
{
    return reply->element[field]->integer;
}

static int decode_settings(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    ox_stream_settings *out = query->out;
    if ((*reply)->type == REDIS_REPLY_INTEGER && (*reply)->integer == OX__NO_STREAM) {
        *out = (ox_stream_settings){ .keep_ms = OX__DEFAULT_KEEP_MS,
            .keep_events = OX__DEFAULT_KEEP_EVENTS,
            .keep_bytes = OX__DEFAULT_KEEP_BYTES,
            .dedup_ms = OX__DEFAULT_DEDUP_MS,
            .max_event = OX__DEFAULT_MAX_EVENT };
        return 0;
    }
    if ((*reply)->type == REDIS_REPLY_INTEGER) {
        return ox__query_refusal(query, (*reply)->integer, err);
    }
    if (!is_answer(*reply)) {
        return ox__query_misfit(query, err);
    }
    *out = (ox_stream_settings){ .keep_ms = at(*reply, KEEP_MS),
        .keep_events = at(*reply, KEEP_EVENTS),
        .keep_bytes = at(*reply, KEEP_BYTES),
        .keep_unread = at(*reply, KEEP_UNREAD) != 0,
        .dedup_ms = at(*reply, DEDUP_MS),
        .dedup_all = at(*reply, DEDUP_ALL) != 0,
        .deflate = at(*reply, DEFLATE) != 0,
        .max_event = at(*reply, MAX_EVENT) };
    return 0;
}

static int decode_info(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    ox_stream_info *out = query->out;
    if ((*reply)->type == REDIS_REPLY_INTEGER) {
        return ox__query_refusal(query, (*reply)->integer, err);
    }
    if (!is_answer(*reply)) {
        return ox__query_misfit(query, err);
    }
    *out = (ox_stream_info){ .events = at(*reply, EVENTS),
        .entries = at(*reply, ENTRIES),
        .bytes = at(*reply, BYTES),
        .published = at(*reply, PUBLISHED),
        .duplicates = at(*reply, DUPLICATES),
        .jobs = at(*reply, JOBS),
        .last_minute = at(*reply, LAST_MINUTE),
        .last_hour = at(*reply, LAST_HOUR),
        .groups = (uint32_t)at(*reply, GROUPS),
        .bindings = (uint32_t)at(*reply, BINDINGS) };
    memcpy(out->first, (*reply)->element[FIRST]->str, (*reply)->element[FIRST]->len);
    memcpy(out->last, (*reply)->element[LAST]->str, (*reply)->element[LAST]->len);
    return 0;
}

int ox__stream_settings_query(
    struct ox__query *query, const struct ox__queue_at *where, ox_stream_settings *settings)
{
    ox__stream_script(query, where, &ox__script_read_stream);
    ox__query_into(query, decode_settings, settings);
    return 0;
}

int ox__stream_info_query(
    struct ox__query *query, const struct ox__queue_at *where, ox_stream_info *info)
{
    ox__stream_script(query, where, &ox__script_read_stream);
    ox__query_into(query, decode_info, info);
    return 0;
}

int ox_stream_settings_get(ox_stream *stream, ox_stream_settings *settings, ox_error *err)
{
    OX__NEED(stream, err);
    OX__NEED(settings, err);
    return ox__stream_run(
        stream, ox__stream_settings_query(&stream->query, &stream->at, settings), err);
}

int ox_stream_info_get(ox_stream *stream, ox_stream_info *info, ox_error *err)
{
    OX__NEED(stream, err);
    OX__NEED(info, err);
    return ox__stream_run(
        stream, ox__stream_info_query(&stream->query, &stream->at, info), err);
}

/* ---- settings ---------------------------------------------------------------------------- */

static const struct row {
    unsigned bit;
    const char *name;
    int64_t min, max; /* 0 and 1: a boolean */
    size_t offset;
} rows[] = {
    { OX_SET_KEEP_MS, "keep_ms", 0, OX__MAX_MS, offsetof(ox_stream_settings, keep_ms) },
    { OX_SET_KEEP_EVENTS, "keep_events", 0, OX__MAX_MS,
        offsetof(ox_stream_settings, keep_events) },
    { OX_SET_KEEP_BYTES, "keep_bytes", 0, OX__MAX_MS,
        offsetof(ox_stream_settings, keep_bytes) },
    { OX_SET_KEEP_UNREAD, "keep_unread", 0, 1, offsetof(ox_stream_settings, keep_unread) },
    { OX_SET_DEDUP_MS, "dedup_ms", 0, INT64_C(30) * 86400000,
        offsetof(ox_stream_settings, dedup_ms) },
    { OX_SET_DEDUP_ALL, "dedup_all", 0, 1, offsetof(ox_stream_settings, dedup_all) },
    { OX_SET_DEFLATE, "deflate", 0, 1, offsetof(ox_stream_settings, deflate) },
    { OX_SET_MAX_EVENT, "max_event", 65536, 16777216, offsetof(ox_stream_settings, max_event) },
};

static int64_t value_of(const struct row *row, const ox_stream_settings *settings)
{
    const char *member = (const char *)settings + row->offset;
    int64_t value;
    if (row->max == 1) {
        return *(const bool *)member;
    }
    memcpy(&value, member, sizeof(value));
    return value;
}

int ox__stream_set_query(struct ox__query *query, const struct ox__queue_at *where,
    const ox_stream_settings *settings, unsigned change, ox_error *err)
{
    unsigned known = 0;
    int rc = OX__RESERVED(ox_stream_settings, settings, err);
    if (rc < 0) {
        return rc;
    }
    ox__stream_script(query, where, &ox__script_set_stream);
    ox__op_text(&query->op, "prefix", where->prefix);
    ox__op_text(&query->op, "stream", where->name);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        int64_t value = value_of(row, settings);
        known |= row->bit;
        if ((change & row->bit) == 0) {
            continue;
        }
        if (value < row->min || value > row->max) {
            return ox__fail(err, OX_EINVAL, "%s must be %lld..%lld", row->name,
                (long long)row->min, (long long)row->max);
        }
        ox__op_text(&query->op, "field", row->name);
        ox__op_int(&query->op, "value", value);
    }
    if (change == 0 || (change & ~known) != 0) {
        return ox__fail(err, OX_EINVAL, "change must name settings of enum ox_stream_setting");
    }
    ox__query_number(query, NULL);
    return 0;
}

int ox_stream_settings_set(
    ox_stream *stream, const ox_stream_settings *settings, unsigned change, ox_error *err)
{
    OX__NEED(stream, err);
    OX__NEED(settings, err);
    return ox__stream_run(
        stream, ox__stream_set_query(&stream->query, &stream->at, settings, change, err), err);
}

/* ---- trim, remove ------------------------------------------------------------------------ */

int ox__stream_trim_query(struct ox__query *query, const struct ox__queue_at *where,
    int64_t keep, int64_t before_ms, int64_t *removed, ox_error *err)
{
    if (keep < -1 || keep > OX__MAX_MS || before_ms < 0 || before_ms > OX__MAX_MS) {
        return ox__fail(err, OX_EINVAL, "keep_events must be -1..%lld, before_ms 0..%lld",
            (long long)OX__MAX_MS, (long long)OX__MAX_MS);
    }
    ox__stream_script(query, where, &ox__script_trim_stream);
    ox__op_int(&query->op, "keep", keep);
    ox__op_int(&query->op, "before", before_ms);
    ox__query_number(query, removed);
    return 0;
}

int64_t ox_stream_trim(ox_stream *stream, int64_t keep_events, int64_t before_ms, ox_error *err)
{
    int64_t removed = 0;
    OX__NEED(stream, err);
    int rc = ox__stream_run(stream,
        ox__stream_trim_query(
            &stream->query, &stream->at, keep_events, before_ms, &removed, err),
        err);
    return rc < 0 ? rc : removed;
}

int ox__stream_remove_query(
    struct ox__query *query, const struct ox__queue_at *where, bool force, ox_error *err)
{
    (void)err;
    ox__stream_script(query, where, &ox__script_remove_stream);
    ox__op_text(&query->op, "force", force ? "1" : "0");
    ox__op_text(&query->op, "prefix", where->prefix);
    ox__op_text(&query->op, "stream", where->name);
    ox__query_flag(query);
    return 0;
}

int ox_stream_remove(ox_stream *stream, bool force, ox_error *err)
{
    OX__NEED(stream, err);
    return ox__stream_run(
        stream, ox__stream_remove_query(&stream->query, &stream->at, force, err), err);
}
