/*
 * group.c - groups of a stream: made, moved, listed with their members, removed.
 *
 * A group is one of Redis' own consumer groups on the log. Where it is, Redis keeps; what it is
 * behind follows from the numbers in the ids (see lib/lua/inc/group_at.lua). A group is made by
 * the first member, too, so that nobody has to do it before.
 */
#include "events/place.h"

#include "base/clock.h"
#include "base/error.h"
#include "events/operations.h"
#include "events/stream.h"
#include "queue/list.h"
#include "scripts.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- create, seek, remove ---------------------------------------------------------------- */

int ox__group_create_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *group, const char *from, ox_error *err)
{
    struct ox__place place;
    int rc = ox__stream_name_check("group", group, err);
    rc = rc < 0 ? rc : ox__place_read(&place, from != NULL ? from : "end", err);
    if (rc == 0) {
        ox__stream_script(query, at, &ox__script_create_group);
        ox__op_text(&query->op, "prefix", at->prefix);
        ox__op_text(&query->op, "stream", at->name);
        ox__op_text(&query->op, "group", group);
        ox__place_put(&query->op, &place);
        ox__query_flag(query);
    }
    return rc;
}

/* Whether a reply is an array of texts ('t') and numbers ('n'), one for each of `kinds`. */
static bool is_row(const redisReply *reply, const char *kinds)
{
    size_t count = strlen(kinds);
    bool good = reply->type == REDIS_REPLY_ARRAY && reply->elements == count;
    for (size_t i = 0; good && i < count; i++) {
        good = reply->element[i]->type ==
               (kinds[i] == 't' ? REDIS_REPLY_STRING : REDIS_REPLY_INTEGER);
    }
    return good;
}

static int decode_moved(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    const redisReply *all = *reply;
    ox_group_moved *moved = query->out;
    if (all->type == REDIS_REPLY_INTEGER) {
        return ox__query_refusal(query, all->integer, err);
    }
    if (!is_row(all, "ttn")) {
        return ox__query_misfit(query, err);
    }
    if (moved != NULL) {
        *moved = (ox_group_moved){ .lag = all->element[2]->integer };
        snprintf(moved->before, sizeof(moved->before), "%s", all->element[0]->str);
        snprintf(moved->position, sizeof(moved->position), "%s", all->element[1]->str);
    }
    return 0;
}

int ox__group_seek_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *group, const char *to, ox_group_moved *moved, ox_error *err)
{
    struct ox__place place;
    int rc = ox__stream_name_check("group", group, err);
    rc = rc < 0 ? rc : ox__place_read(&place, to, err);
    if (rc == 0) {
        ox__stream_script(query, at, &ox__script_seek_group);
        ox__op_text(&query->op, "group", group);
        ox__place_put(&query->op, &place);
        ox__query_into(query, decode_moved, moved);
    }
    return rc;
}

int ox__group_remove_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *group, bool force, ox_error *err)
{
    int rc = ox__stream_name_check("group", group, err);
    if (rc == 0) {
        ox__stream_script(query, at, &ox__script_remove_group);
        ox__op_text(&query->op, "group", group);
        ox__op_text(&query->op, "force", force ? "1" : "0");
        ox__query_flag(query);
    }
    return rc;
}

int ox_group_create(ox_stream *stream, const char *group, const char *from, ox_error *err)
{
    OX__NEED(stream, err);
    OX__NEED(group, err);
    return ox__stream_run(
        stream, ox__group_create_query(&stream->query, &stream->at, group, from, err), err);
}

int ox_group_seek(
    ox_stream *stream, const char *group, const char *to, ox_group_moved *moved, ox_error *err)
{
    OX__NEED(stream, err);
    OX__NEED(group, err);
    OX__NEED(to, err);
    return ox__stream_run(
        stream, ox__group_seek_query(&stream->query, &stream->at, group, to, moved, err), err);
}

int ox_group_remove(ox_stream *stream, const char *group, bool force, ox_error *err)
{
    OX__NEED(stream, err);
    OX__NEED(group, err);
    return ox__stream_run(
        stream, ox__group_remove_query(&stream->query, &stream->at, group, force, err), err);
}

/* ---- list, members
 * -------------------------------------------------------------------------------- */

/* What read_groups answers for each. */
enum { NAME, PLACE, LAG, AGE, PENDING, DEAD, AGAIN, LOST, MEMBERS, OWNER, DROPPED };
static const char group_kinds[] = "ttnnnnnnntn";
/* What read_members answers for each. */
enum { MEMBER_NAME, MEMBER_PENDING, MEMBER_AGAIN, MEMBER_IDLE };
static const char member_kinds[] = "tnnn";

typedef int add_fn(struct ox__list *list, redisReply *const *field, ox_error *err);

static int add_group(struct ox__list *list, redisReply *const *field, ox_error *err)
{
    static const size_t texts[] = { offsetof(ox_group_info, name),
        offsetof(ox_group_info, position), offsetof(ox_group_info, owner) };
    const ox_group_info group = { .name = field[NAME]->str,
        .position = field[PLACE]->str,
        .lag = field[LAG]->integer,
        .lag_ms = field[AGE]->integer,
        .pending = field[PENDING]->integer,
        .dead = field[DEAD]->integer,
        .again = field[AGAIN]->integer,
        .lost = field[LOST]->integer,
        .members = (uint32_t)field[MEMBERS]->integer,
        .owner = field[OWNER]->len > 0 ? field[OWNER]->str : NULL,
        .dropped = field[DROPPED]->integer };
    return ox__list_add(list,
        ox__list_item(&group, sizeof(group), texts, sizeof(texts) / sizeof(texts[0])), err);
}

static int add_member(struct ox__list *list, redisReply *const *field, ox_error *err)
{
    static const size_t texts[] = { offsetof(ox_group_member, name) };
    const ox_group_member member = { .name = field[MEMBER_NAME]->str,
        .pending = field[MEMBER_PENDING]->integer,
        .again = field[MEMBER_AGAIN]->integer,
        .idle_ms = field[MEMBER_IDLE]->integer };
    return ox__list_add(list, ox__list_item(&member, sizeof(member), texts, 1), err);
}

static int decode_rows(const struct ox__query *query, redisReply **reply, const char *kinds,
    add_fn *add, ox_error *err)
{
    const redisReply *all = *reply;
    struct ox__list list = { 0 };
    int rc = 0;
    if (all->type == REDIS_REPLY_INTEGER) {
        return ox__query_refusal(query, all->integer, err);
    }
    if (all->type != REDIS_REPLY_ARRAY) {
        return ox__query_misfit(query, err);
    }
    for (size_t i = 0; rc == 0 && i < all->elements; i++) {
        rc = is_row(all->element[i], kinds) ? add(&list, all->element[i]->element, err)
                                            : ox__query_misfit(query, err);
    }
    rc = rc < 0 ? rc : ox__list_take(&list, query->out, query->out2, err);
    ox__list_done(&list);
    return rc;
}

static int decode_groups(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    return decode_rows(query, reply, group_kinds, add_group, err);
}

static int decode_members(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    return decode_rows(query, reply, member_kinds, add_member, err);
}

int ox__group_list_query(struct ox__query *query, const struct ox__queue_at *at,
    ox_group_info ***groups, size_t *count)
{
    ox__stream_script(query, at, &ox__script_read_groups);
    ox__op_int(&query->op, "now", ox__now_ms());
    ox__query_into(query, decode_groups, groups);
    query->out2 = count;
    return 0;
}

int ox_group_list(ox_stream *stream, ox_group_info ***groups, size_t *count, ox_error *err)
{
    OX__NEED(stream, err);
    OX__NEED(groups, err);
    return ox__stream_run(
        stream, ox__group_list_query(&stream->query, &stream->at, groups, count), err);
}

int ox__group_members_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *group, ox_group_member ***members, size_t *count, ox_error *err)
{
    int rc = ox__stream_name_check("group", group, err);
    if (rc == 0) {
        ox__stream_script(query, at, &ox__script_read_members);
        ox__op_text(&query->op, "group", group);
        ox__query_into(query, decode_members, members);
        query->out2 = count;
    }
    return rc;
}

int ox_group_members(ox_stream *stream, const char *group, ox_group_member ***members,
    size_t *count, ox_error *err)
{
    OX__NEED(stream, err);
    OX__NEED(group, err);
    OX__NEED(members, err);
    return ox__stream_run(stream,
        ox__group_members_query(&stream->query, &stream->at, group, members, count, err), err);
}
