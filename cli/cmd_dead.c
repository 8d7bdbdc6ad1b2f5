/*
 * cmd_dead.c - ox dead ls, show, retry and rm: events that a group gave up.
 *
 * They are read a page at a time, so a long listing takes little memory. Ids go from one verb
 * to the next by a pipe, as those of jobs do.
 */
#include "act.h"
#include "confirm.h"
#include "json.h"
#include "records.h"
#include "server.h"
#include "streams.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE 100
#define TERMINAL_LIMIT 20

/* ---- ls ---------------------------------------------------------------------------------- */

struct ls_opts {
    const char *stream, *after;
    int64_t limit; /* -1: not given */
};

static const struct opt ls_rows[] = {
    STREAM_ROW(struct ls_opts),
    { .name = "limit",
        .kind = OPT_COUNT,
        .offset = offsetof(struct ls_opts, limit),
        .max = INT64_C(1) << 52,
        .fallback = -1,
        .arg = "N",
        .help = "at most N; 0: all. Default 20 on a terminal, else all" },
    { .name = "after",
        .kind = OPT_TEXT,
        .offset = offsetof(struct ls_opts, after),
        .arg = "ID",
        .help = "only those after the dead letter ID" },
    { 0 },
};

enum { ID, POSITION, TYPE, AT, ATTEMPTS, DELIVERIES, REASON, EVENT, FIELD_COUNT };
static const struct field ls_fields[FIELD_COUNT] = {
    [ID] = { .title = "ID", .key = "id", .kind = FIELD_TEXT, .tint = TINT_BOLD },
    [POSITION] = { .title = "POSITION",
        .key = "position",
        .kind = FIELD_TEXT,
        .flags = COLUMN_SPARE },
    [TYPE] = { .title = "TYPE", .key = "type", .kind = FIELD_TEXT, .flags = COLUMN_FLEX },
    [AT] = { .title = "WHEN", .key = "at", .kind = FIELD_TIME, .flags = COLUMN_RIGHT },
    [ATTEMPTS] = { .title = "ATTEMPTS",
        .key = "attempts",
        .kind = FIELD_NUMBER,
        .flags = COLUMN_RIGHT },
    [DELIVERIES] = { .title = "DELIVERIES",
        .key = "deliveries",
        .kind = FIELD_NUMBER,
        .flags = COLUMN_RIGHT | COLUMN_SPARE },
    [REASON] = { .title = "REASON",
        .key = "reason",
        .kind = FIELD_TEXT,
        .flags = COLUMN_FLEX | COLUMN_MIN(24),
        .tint = TINT_RED },
    [EVENT] = { .key = "event", .kind = FIELD_JSON },
};
static const struct records_style ls_style = { .fields = ls_fields, .count = FIELD_COUNT };

static void add_dead(struct records *records, const ox_dead *dead)
{
    records_add(records, (const struct value[FIELD_COUNT]){
                             [ID] = { .text = dead->id },
                             [POSITION] = { .text = dead->position },
                             [TYPE] = { .text = dead->type },
                             [AT] = { .number = dead->at_ms },
                             [ATTEMPTS] = { .number = dead->attempts },
                             [DELIVERIES] = { .number = dead->deliveries },
                             [REASON] = { .text = dead->reason },
                             [EVENT] = { .text = dead->json },
                         });
}

/* Lists page by page, and looks one beyond the limit. */
static int list(struct run *run, ox_stream *stream, struct records *records, int64_t limit)
{
    const struct ls_opts *opts = run->opts;
    g_autofree char *after = g_strdup(opts->after);
    int64_t shown = 0;
    size_t count = PAGE;
    while (count == PAGE && out_alive()) {
        OX_AUTOLIST ox_dead **page = NULL;
        ox_error err = { 0 };
        if (ox_dead_list(stream, run->args[0], after, PAGE, &page, &count, &err) < 0) {
            return complain_error(run, &err);
        }
        for (size_t i = 0; i < count; i++, shown++) {
            if (limit > 0 && shown == limit) {
                records_hint(run,
                    "the first %" PRId64 "; --limit 0 lists all, --after %s goes on", limit,
                    after);
                return STATUS_DONE;
            }
            add_dead(records, page[i]);
            g_free(after);
            after = g_strdup(page[i]->id);
        }
    }
    if (shown == 0) {
        records_hint(run, "group %s has no dead letters%s", run->args[0],
            opts->after != NULL ? " after that one" : "");
    }
    return STATUS_DONE;
}

static int exec_ls(struct run *run)
{
    const struct ls_opts *opts = run->opts;
    g_autoptr(ox_stream) stream = NULL;
    int status = stream_open_group(run, opts->stream, run->args[0], &stream);
    if (status) {
        return status;
    }
    int64_t limit = opts->limit >= 0 ? opts->limit : run->out.terminal ? TERMINAL_LIMIT : 0;
    struct records *records = records_new(run, &ls_style);
    status = list(run, stream, records, limit);
    records_end(records);
    return status;
}

const struct cmd cmd_dead_ls = {
    .name = "dead ls",
    .summary = "list the dead letters of a group",
    .usage = "GROUP",
    .help = "Lists the events that GROUP gave up, the oldest first: those whose handler failed "
            "at every attempt, or that members died of. In a pipe the columns are id, position "
            "of the event, its type, when it was given up, attempts that failed, deliveries, "
            "reason, separated by tabs.",
    .example = "  ox dead ls warehouse --stream clicks\n"
               "  ox dead ls warehouse --stream clicks --json | jq .event.data",
    .opts = ls_rows,
    .opts_size = sizeof(struct ls_opts),
    .min_args = 1,
    .max_args = 1,
    .exec = exec_ls,
};

/* ---- show -------------------------------------------------------------------------------- */

struct show_opts {
    const char *stream;
};

static const struct opt show_rows[] = {
    STREAM_ROW(struct show_opts),
    { 0 },
};

static const struct field show_fields[FIELD_COUNT] = {
    [ID] = { .title = "id", .key = "id", .kind = FIELD_TEXT },
    [POSITION] = { .title = "position", .key = "position", .kind = FIELD_TEXT },
    [TYPE] = { .title = "type", .key = "type", .kind = FIELD_TEXT },
    [AT] = { .title = "given up", .key = "at", .kind = FIELD_TIME },
    [ATTEMPTS] = { .title = "attempts", .key = "attempts", .kind = FIELD_NUMBER },
    [DELIVERIES] = { .title = "deliveries", .key = "deliveries", .kind = FIELD_NUMBER },
    [REASON] = { .title = "reason", .key = "reason", .kind = FIELD_TEXT, .tint = TINT_RED },
    [EVENT] = { .title = "event",
        .key = "event",
        .kind = FIELD_JSON,
        .flags = FIELD_NO_TERMINAL }, /* it stands below, indented */
};
static const struct records_style show_style = { .fields = show_fields,
    .count = FIELD_COUNT,
    .shape = RECORDS_CARD,
    .titles = { "FIELD", "VALUE" } };

static void print_dead(const struct run *run, const ox_dead *dead)
{
    struct records *records = records_new(run, &show_style);
    add_dead(records, dead);
    records_end(records);
    if (run->out.terminal) {
        g_autoptr(GString) pretty = g_string_new(NULL);
        if (json_valid(dead->json, strlen(dead->json), NULL)) {
            json_pretty(pretty, dead->json, 0, &run->out);
            printf("%s\n", pretty->str);
        }
    }
}

static int exec_show(struct run *run)
{
    const struct show_opts *opts = run->opts;
    g_autoptr(ox_stream) stream = NULL;
    ox_dead *dead = NULL;
    ox_error err = { 0 };
    int status = stream_open_group(run, opts->stream, run->args[0], &stream);
    if (status) {
        return status;
    }
    if (ox_dead_get(stream, run->args[0], run->args[1], &dead, &err) < 0) {
        return complain_error(run, &err);
    }
    print_dead(run, dead);
    ox_free(dead);
    return STATUS_DONE;
}

const struct cmd cmd_dead_show = {
    .name = "dead show",
    .summary = "show a dead letter: the reason and the event",
    .usage = "GROUP ID",
    .help = "Shows one event that GROUP gave up, why, and when. In a pipe each field is a "
            "line, its name and its value with a tab between.",
    .opts = show_rows,
    .opts_size = sizeof(struct show_opts),
    .min_args = 2,
    .max_args = 2,
    .exec = exec_show,
};

/* ---- retry, rm --------------------------------------------------------------------------- */

struct act_opts {
    const char *stream;
    bool all, yes;
};

#define ALL_ROW                                                                                \
    {                                                                                          \
        .name = "all", .kind = OPT_FLAG, .offset = offsetof(struct act_opts, all),             \
        .help = "all dead letters of the group"                                                \
    }

/* retry or remove */
typedef int64_t act_dead_fn(
    ox_stream *stream, const char *group, const char *const *ids, size_t count, ox_error *err);

struct acting {
    ox_stream *stream;
    const char *group;
    act_dead_fn *act;
};

static int act_on_one(ox_queue *queue, const char *id, void *arg, ox_error *err)
{
    const struct acting *acting = arg;
    (void)queue;
    int64_t done = acting->act(acting->stream, acting->group, &id, 1, err);
    if (done == 0) {
        err->code = OX_ENOTFOUND;
        snprintf(err->text, sizeof(err->text), "group %.64s has no dead letter %.60s",
            acting->group, id);
        return err->code;
    }
    return done < 0 ? (int)done : 1;
}

static int act_on_all(struct run *run, const struct acting *acting, const char *done)
{
    ox_error err = { 0 };
    int64_t count = acting->act(acting->stream, acting->group, NULL, 0, &err);
    if (count < 0) {
        return complain_error(run, &err);
    }
    act_print_count(run, done, count, "dead letter");
    return STATUS_DONE;
}

static int check_ids(struct run *run)
{
    const struct act_opts *opts = run->opts;
    if ((run->arg_count > 1) == opts->all) {
        return complain_usage(run, opts->all ? "--all and ids exclude each other"
                                             : "ids are missing: give ids, - or --all");
    }
    return STATUS_DONE;
}

static int act(struct run *run, act_dead_fn *fn, const char *done)
{
    const struct act_opts *opts = run->opts;
    g_autoptr(ox_stream) stream = NULL;
    int status = stream_open_group(run, opts->stream, run->args[0], &stream);
    if (status) {
        return status;
    }
    struct acting acting = { .stream = stream, .group = run->args[0], .act = fn };
    const struct act each = { .id_name = "id", .done = done, .act = act_on_one };
    return opts->all ? act_on_all(run, &acting, done) : act_on_ids(run, NULL, &each, &acting);
}

static const struct opt retry_rows[] = {
    STREAM_ROW(struct act_opts),
    ALL_ROW,
    { 0 },
};

static int exec_retry(struct run *run)
{
    int status = check_ids(run);
    return status ? status : act(run, ox_dead_retry, "retried");
}

const struct cmd cmd_dead_retry = {
    .name = "dead retry",
    .summary = "have dead letters run again",
    .usage = "GROUP [ID...]",
    .help = "Gives events that GROUP gave up to that group again, before those that it has yet "
            "to read; they are no dead letters then. - reads ids from standard input, one a "
            "line; what follows a tab is ignored, so it takes what ox dead ls prints. Prints "
            "the ids, or with --all their number.",
    .example = "  ox dead retry warehouse --all --stream clicks\n"
               "  ox dead ls warehouse | grep timeout | ox dead retry warehouse -",
    .opts = retry_rows,
    .opts_size = sizeof(struct act_opts),
    .min_args = 1,
    .max_args = -1,
    .exec = exec_retry,
};

static const struct opt rm_rows[] = {
    STREAM_ROW(struct act_opts),
    ALL_ROW,
    CONFIRM_ROW(struct act_opts),
    { 0 },
};

static int ask(struct run *run)
{
    const struct act_opts *opts = run->opts;
    if (!opts->all) {
        return confirm_ids(run, opts->yes, "dead letters", "of group");
    }
    g_autofree char *action =
        g_strdup_printf("remove all dead letters of group %s", run->args[0]);
    return confirm(run, opts->yes, action, NULL);
}

static int exec_rm(struct run *run)
{
    int status = check_ids(run);
    status = status ? status : ask(run);
    return status ? status : act(run, ox_dead_remove, "removed");
}

const struct cmd cmd_dead_rm = {
    .name = "dead rm",
    .summary = "remove dead letters",
    .usage = "GROUP [ID...]",
    .help = "Removes dead letters of GROUP for good; the events stay in the stream for as long "
            "as it keeps them. Asks first if there is more than one id; - reads ids from "
            "standard input, one a line; what follows a tab is ignored, so it takes what ox "
            "dead ls prints, and --yes is needed. Prints the ids, or with --all their number.",
    .example = "  ox dead rm warehouse 1700000000000-0 --stream clicks\n"
               "  ox dead rm warehouse --all --stream clicks --yes",
    .opts = rm_rows,
    .opts_size = sizeof(struct act_opts),
    .min_args = 1,
    .max_args = -1,
    .exec = exec_rm,
};
