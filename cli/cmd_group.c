/*
 * cmd_group.c - ox group ls, show, seek and rm: groups of a stream, and how far behind they
 * are.
 */
#include "act.h"
#include "confirm.h"
#include "groups.h"
#include "json.h"
#include "records.h"
#include "server.h"
#include "streams.h"
#include <inttypes.h>
#include <stdio.h>

struct opts {
    const char *stream;
};

static const struct opt rows[] = {
    STREAM_ROW(struct opts),
    { 0 },
};

/* ---- ls, show ---------------------------------------------------------------------------- */

static int exec_ls(struct run *run)
{
    const struct opts *opts = run->opts;
    g_autoptr(ox_stream) stream = NULL;
    OX_AUTOLIST ox_group_info **groups = NULL;
    size_t count = 0;
    ox_error err = { 0 };
    int status = stream_open(run, opts->stream, &stream);
    if (!status && ox_group_list(stream, &groups, &count, &err) < 0) {
        status = complain_error(run, &err);
    }
    if (status) {
        return status;
    }
    groups_print(run, groups, count);
    if (count == 0) {
        records_hint(run, "stream %s has no groups", opts->stream);
    }
    return STATUS_DONE;
}

const struct cmd cmd_group_ls = {
    .name = "group ls",
    .summary = "list the groups of a stream",
    .usage = "",
    .help =
        "Lists the groups that read a stream: up to which position each has read, how many "
        "events after it the group has yet to read and how old the oldest of them is, what is "
        "pending (entries that were read and are not acknowledged), its dead letters, the "
        "events that retention removed before it read them, and its members. In a pipe the "
        "columns are group, position, lag, behind, pending, again, dead, lost, members, "
        "owner (of an ordered group) and dropped (dead letters that were removed because "
        "they took more than --keep-bytes of the stream), separated by tabs.",
    .example = "  ox group ls --stream clicks",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .max_args = 0,
    .exec = exec_ls,
};

static int exec_show(struct run *run)
{
    const struct opts *opts = run->opts;
    g_autoptr(ox_stream) stream = NULL;
    OX_AUTOLIST ox_group_info **groups = NULL;
    OX_AUTOLIST ox_group_member **members = NULL;
    const ox_group_info *group = NULL;
    size_t count = 0;
    ox_error err = { 0 };
    int status = server_stream(run, opts->stream, NULL, &stream);
    status = status ? status : stream_group(run, stream, run->args[0], &groups, &group);
    if (!status && ox_group_members(stream, group->name, &members, &count, &err) < 0) {
        status = complain_error(run, &err);
    }
    if (status) {
        return status;
    }
    group_print(run, group, members, count);
    return STATUS_DONE;
}

const struct cmd cmd_group_show = {
    .name = "group show",
    .summary = "show a group: position, lag, members, dead and lost",
    .usage = "GROUP",
    .help =
        "Shows one group of a stream: see ox group ls --help. Again are events that are to "
        "run once more, by ox dead retry or ox replay --group.\n"
        "\n"
        "On a terminal, and with --json in memberList, its members follow: the entries that "
        "each has and did not acknowledge, and how long ago it was heard of. One that has "
        "entries and is idle for longer than its claims (10 s, unless the worker's --lock says "
        "otherwise) is gone or stands still, and others take its entries over. The one that is "
        "called released is nobody: it has what was given back. In a pipe each field is a "
        "line, its name and its value with a tab between.",
    .example = "  ox group show warehouse --stream clicks\n"
               "  ox group show warehouse --stream clicks --json | jq .memberList",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = 1,
    .exec = exec_show,
};

/* ---- seek -------------------------------------------------------------------------------- */

struct seek_opts {
    const char *stream;
    bool create;
};

static const struct opt seek_rows[] = {
    STREAM_ROW(struct seek_opts),
    { .name = "create",
        .kind = OPT_FLAG,
        .offset = offsetof(struct seek_opts, create),
        .help = "make the group if the stream has none of that name" },
    { 0 },
};

/* Says where it was (NULL: it is new) and where it is; so one can go back. */
static void print_moved(
    const struct run *run, const char *before, const char *position, int64_t lag)
{
    const char *name = run->args[0];
    g_autofree char *count = number_grouped(lag);
    const char *events = lag == 1 ? "event" : "events";
    if (run->json) {
        struct obj obj;
        obj_begin(&obj);
        obj_text(&obj, "group", name);
        obj_text(&obj, "before", before);
        obj_text(&obj, "position", position);
        obj_int(&obj, "lag", lag);
        obj_print(&obj);
    } else if (run->out.terminal && before == NULL) {
        out_say(&run->out, "group %s begins at %s, with %s %s to read", name, position, count,
            events);
    } else if (run->out.terminal) {
        out_say(&run->out, "group %s moved from %s to %s, with %s %s to read", name, before,
            position, count, events);
    } else {
        printf("%s\t%" PRId64 "\n", position, lag);
    }
}

static int print_made(struct run *run, ox_stream *stream)
{
    OX_AUTOLIST ox_group_info **groups = NULL;
    const ox_group_info *group = NULL;
    int status = stream_group(run, stream, run->args[0], &groups, &group);
    if (!status) {
        print_moved(run, NULL, group->position, group->lag);
    }
    return status;
}

static int seek(struct run *run, ox_stream *stream, const char *place)
{
    const struct seek_opts *opts = run->opts;
    const char *name = run->args[0];
    OX_AUTOLIST ox_group_info **groups = NULL;
    const ox_group_info *group = NULL;
    ox_group_moved moved;
    ox_error err = { 0 };
    int made = opts->create ? ox_group_create(stream, name, place, &err) : 0;
    if (made < 0) {
        return complain_error(run, &err);
    }
    if (made > 0) {
        return print_made(run, stream);
    }
    int status = stream_group(run, stream, name, &groups, &group);
    if (!status && ox_group_seek(stream, name, place, &moved, &err) < 0) {
        status = complain_error(run, &err);
    }
    if (!status) {
        print_moved(run, moved.before, moved.position, moved.lag);
    }
    return status;
}

static int exec_seek(struct run *run)
{
    const struct seek_opts *opts = run->opts;
    g_autoptr(ox_stream) stream = NULL;
    const char *place = NULL;
    int status = server_stream(run, opts->stream, NULL, &stream);
    status = status ? status : stream_place(run, "PLACE", run->args[1], &place);
    return status ? status : seek(run, stream, place);
}

const struct cmd cmd_group_seek = {
    .name = "group seek",
    .summary = "move a group to another place in its stream",
    .usage = "GROUP PLACE",
    .help =
        "Moves GROUP, also while its members run: start is before the oldest event, end "
        "after the newest, 10m to those of the last ten minutes, 2026-01-31T12:00:00Z to "
        "those since, a position after that event. What its members have at that moment "
        "they still end. Inside an entry of "
        "several events it moves to the entry's beginning, so some before PLACE may come "
        "again.\n"
        "\n"
        "Prints the position that it was moved to and how many events are to be read from "
        "there, with a tab between; on a terminal and with --json also the position before, "
        "which moves it back.",
    .example = "  ox group seek warehouse start --stream clicks\n"
               "  ox group seek reports 1h --stream clicks --create",
    .opts = seek_rows,
    .opts_size = sizeof(struct seek_opts),
    .min_args = 2,
    .max_args = 2,
    .exec = exec_seek,
};

/* ---- rm ---------------------------------------------------------------------------------- */

struct rm_opts {
    const char *stream;
    bool force, yes;
};

static const struct opt rm_rows[] = {
    STREAM_ROW(struct rm_opts),
    FORCE_ROW(struct rm_opts, "it has members; these lose what they read"),
    CONFIRM_ROW(struct rm_opts),
    { 0 },
};

static int exec_rm(struct run *run)
{
    const struct rm_opts *opts = run->opts;
    const char *name = run->args[0];
    g_autoptr(ox_stream) stream = NULL;
    ox_error err = { 0 };
    g_autofree char *action = g_strdup_printf(
        "remove group %s of stream %s with its position and dead letters", name, opts->stream);
    int status = confirm(run, opts->yes, action, name);
    status = status ? status : stream_open_group(run, opts->stream, name, &stream);
    if (status) {
        return status;
    }
    int code = ox_group_remove(stream, name, opts->force, &err);
    return act_report_gone(run, "group", "removed", code, &err);
}

const struct cmd cmd_group_rm = {
    .name = "group rm",
    .summary = "remove a group with its position and dead letters",
    .usage = "GROUP",
    .help = "Removes GROUP: its position, what is pending, and its dead letters. The stream's "
            "events stay. Refuses while the group has members, unless --force. Asks for the "
            "group's name first. In a pipe it prints nothing.",
    .opts = rm_rows,
    .opts_size = sizeof(struct rm_opts),
    .min_args = 1,
    .max_args = 1,
    .exec = exec_rm,
};
