/*
 * cmd_schedule.c - ox schedule set, ls and rm: repeated jobs.
 */
#include "act.h"
#include "base/units.h"
#include "data.h"
#include "jobopts.h"
#include "json.h"
#include "records.h"
#include "server.h"
#include <inttypes.h>
#include <stdio.h>

struct opts {
    ox_job_options job; /* first: the shared rows count from here */
    int64_t every_ms;
    int64_t offset_ms;
    const char *cron, *tz;
    int64_t from_ms, until_ms, limit;
    bool now;
};

static const struct opt rows[] = {
    { .name = "every",
        .kind = OPT_DURATION,
        .offset = offsetof(struct opts, every_ms),
        .min = 1,
        .arg = "TIME",
        .help = "a job every TIME (30s, 5m, 1h)" },
    { .name = "cron",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, cron),
        .arg = "PATTERN",
        .help =
            "a job at these times: five fields (minute hour day month weekday) or six, with "
            "seconds first" },
    { .name = "tz",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, tz),
        .arg = "ZONE",
        .help = "the time zone of --cron, such as Europe/Berlin; default: this machine's" },
    { .name = "offset",
        .kind = OPT_DURATION,
        .offset = offsetof(struct opts, offset_ms),
        .arg = "TIME",
        .help = "with --every: TIME after each full multiple" },
    { .name = "from",
        .kind = OPT_PARSED,
        .offset = offsetof(struct opts, from_ms),
        .arg = "WHEN",
        .parse = ox__parse_instant,
        .help = "not before: ISO 8601, Unix milliseconds, or 10m for in ten minutes" },
    { .name = "until",
        .kind = OPT_PARSED,
        .offset = offsetof(struct opts, until_ms),
        .arg = "WHEN",
        .parse = ox__parse_instant,
        .help = "not after" },
    { .name = "limit",
        .kind = OPT_COUNT,
        .offset = offsetof(struct opts, limit),
        .max = INT32_MAX,
        .arg = "N",
        .help = "at most N jobs in all" },
    { .name = "now",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, now),
        .help = "with --cron: the first job at once" },
    { 0 },
};

static int count_fields(const char *pattern)
{
    int count = 0;
    bool inside = false;
    for (const char *p = pattern; *p; p = g_utf8_next_char(p)) {
        bool space = g_unichar_isspace(g_utf8_get_char(p));
        count += !space && !inside;
        inside = !space;
    }
    return count;
}

/* BullMQ accepts fewer than five fields: the first ones then have defaults. So a forgotten
 * field silently changes the meaning of the pattern; ox refuses that. */
static int check_fields(struct run *run, const char *pattern)
{
    static const char *const left_out[] = { "0", "*", "*", "*", "*", "*" };
    if (!g_utf8_validate(pattern, -1, NULL) || *pattern == '@') {
        return STATUS_DONE; /* checked by the library */
    }
    int count = count_fields(pattern);
    if (!count || count >= 5) {
        return STATUS_DONE;
    }
    GString *read_as = g_string_new(NULL);
    for (int i = 0; i < 6 - count; i++) {
        g_string_append_printf(read_as, "%s ", left_out[i]);
    }
    g_autofree char *whole = g_strconcat(read_as->str, pattern, NULL);
    g_string_free(read_as, TRUE);
    return complain_usage(run,
        "--cron: \"%s\" has %d field%s; five are needed (minute hour day month weekday), or "
        "six "
        "with seconds first. If \"%s\" is meant, write that",
        pattern, count, count == 1 ? "" : "s", whole);
}

static int check(struct run *run, const struct opts *opts)
{
    if ((opts->every_ms != 0) == (opts->cron != NULL)) {
        return complain_usage(run, "either --every or --cron is required");
    }
    if (opts->cron != NULL ? opts->offset_ms != 0 : opts->tz != NULL || opts->now) {
        return complain_usage(run,
            opts->cron != NULL ? "--offset requires --every" : "--tz and --now require --cron");
    }
    if (opts->job.delay_ms) {
        return complain_usage(
            run, "--delay cannot be used: the schedule says when the jobs run");
    }
    int status = opts->cron != NULL ? check_fields(run, opts->cron) : STATUS_DONE;
    if (status) {
        return status;
    }
    int64_t next_ms;
    ox_error err = { 0 };
    if (opts->cron != NULL &&
        ox_cron_next(opts->cron, opts->tz, time_now_ms(), &next_ms, &err) == OX_EINVAL) {
        return complain_usage(run, "%s", err.text);
    }
    return STATUS_DONE;
}

static int set(struct run *run, const char *json)
{
    const struct opts *opts = run->opts;
    const ox_schedule schedule = { .every_ms = opts->every_ms,
        .pattern = opts->cron,
        .tz = opts->tz,
        .offset_ms = opts->offset_ms,
        .start_ms = opts->from_ms,
        .end_ms = opts->until_ms,
        .limit = opts->limit,
        .immediately = opts->now };
    const char *name = run->args[2] != NULL ? run->args[2] : run->args[1];
    const ox_new_job template = { .name = name, .json = json, .options = &opts->job };
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (status) {
        return status;
    }
    OX_AUTOFREE char *id = NULL;
    ox_error err = { 0 };
    if (ox_scheduler_set(queue, run->args[1], &schedule, &template, &id, &err) < 0) {
        return complain_error(run, &err);
    }
    if (!run->json) {
        act_print_id(run, id != NULL ? id : "");
        return STATUS_DONE;
    }
    struct obj obj;
    obj_begin(&obj);
    obj_text(&obj, "key", run->args[1]);
    obj_text(&obj, "id", id);
    obj_print(&obj);
    return STATUS_DONE;
}

static int exec_set(struct run *run)
{
    struct opts *opts = run->opts;
    int status = check(run, opts);
    if (!status) {
        status = jobopts_check(run, &opts->job);
    }
    g_autofree char *json = NULL;
    if (!status && run->arg_count > 3) {
        status = data_read(run, "data", run->args[3], &json);
    }
    return status ? status : set(run, json);
}

/* ---- ls ---------------------------------------------------------------------------------- */

enum {
    KEY,
    NAME,
    WHEN,
    PATTERN,
    ZONE,
    EVERY,
    OFFSET,
    FROM,
    UNTIL,
    LIMIT,
    RUNS,
    NEXT,
    DATA,
    OPTS,
    FIELD_COUNT
};
static const struct field fields[FIELD_COUNT] = {
    [KEY] = { .title = "ID",
        .key = "key",
        .kind = FIELD_TEXT,
        .flags = COLUMN_ID | COLUMN_FLEX,
        .tint = TINT_BOLD },
    [NAME] = { .title = "NAME", .key = "name", .kind = FIELD_TEXT, .flags = COLUMN_FLEX },
    [WHEN] = { .title = "WHEN", .kind = FIELD_TEXT },
    [PATTERN] = { .key = "pattern", .kind = FIELD_TEXT, .flags = FIELD_OPTIONAL },
    [ZONE] = { .title = "ZONE",
        .key = "tz",
        .kind = FIELD_TEXT,
        .flags = COLUMN_RARE | FIELD_OPTIONAL },
    [EVERY] = { .key = "every", .kind = FIELD_NUMBER, .flags = FIELD_OPTIONAL },
    [OFFSET] = { .key = "offset", .kind = FIELD_NUMBER, .flags = FIELD_OPTIONAL },
    [FROM] = { .key = "startDate", .kind = FIELD_TIME, .flags = FIELD_OPTIONAL },
    [UNTIL] = { .title = "UNTIL",
        .key = "endDate",
        .kind = FIELD_TIME,
        .flags = COLUMN_RIGHT | COLUMN_RARE | FIELD_OPTIONAL,
        .rank = 4 },
    [LIMIT] = { .title = "LIMIT",
        .key = "limit",
        .kind = FIELD_NUMBER,
        .flags = COLUMN_RIGHT | COLUMN_RARE | FIELD_OPTIONAL,
        .rank = 3 },
    [RUNS] = { .title = "RUNS",
        .key = "iterationCount",
        .kind = FIELD_NUMBER,
        .flags = COLUMN_RIGHT,
        .rank = 2 },
    [NEXT] = { .title = "NEXT",
        .key = "next",
        .kind = FIELD_TIME,
        .flags = COLUMN_RIGHT,
        .rank = 1 },
    [DATA] = { .title = "DATA",
        .key = "data",
        .kind = FIELD_JSON,
        .flags = COLUMN_FLEX | COLUMN_RARE | COLUMN_SPARE | FIELD_OPTIONAL,
        .tint = TINT_DIM,
        .rank = 5 },
    [OPTS] = { .key = "opts", .kind = FIELD_JSON, .flags = FIELD_OPTIONAL },
};
static const struct records_style style = { .fields = fields, .count = FIELD_COUNT };

static void add_scheduler(struct records *records, const ox_scheduler *scheduler)
{
    g_autofree char *span = span_text(scheduler->every_ms);
    g_autofree char *every = g_strconcat("every ", scheduler->every_ms ? span : "", NULL);
    records_add(records,
        (const struct value[FIELD_COUNT]){
            [KEY] = { .text = scheduler->id },
            [NAME] = { .text = scheduler->name },
            [WHEN] = { .text = scheduler->pattern != NULL ? scheduler->pattern : every },
            [PATTERN] = { .text = scheduler->pattern },
            [ZONE] = { .text = scheduler->tz },
            [EVERY] = { .number = scheduler->every_ms },
            [OFFSET] = { .number = scheduler->offset_ms },
            [FROM] = { .number = scheduler->start_ms },
            [UNTIL] = { .number = scheduler->end_ms },
            [LIMIT] = { .number = scheduler->limit, .shown = scheduler->limit ? NULL : "" },
            [RUNS] = { .number = scheduler->iterations },
            [NEXT] = { .number = scheduler->next_ms },
            [DATA] = { .text = scheduler->data },
            [OPTS] = { .text = scheduler->opts },
        });
}

static int exec_ls(struct run *run)
{
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (status) {
        return status;
    }
    ox_scheduler **schedulers = NULL;
    size_t found = 0;
    ox_error err = { 0 };
    if (ox_queue_schedulers(queue, 0, -1, &schedulers, &found, &err) < 0) {
        return complain_error(run, &err);
    }
    struct records *records = records_new(run, &style);
    for (size_t i = 0; i < found; i++) {
        add_scheduler(records, schedulers[i]);
    }
    size_t count = records_end(records);
    ox_list_free(schedulers);
    status = count ? STATUS_DONE : server_check_queue(run, queue, NULL);
    if (!status && !count) {
        records_hint(run, "queue %s has no schedulers", run->args[0]);
    }
    return status;
}

/* ---- rm ---------------------------------------------------------------------------------- */

static int rm(ox_queue *queue, const char *id, void *arg, ox_error *err)
{
    (void)arg;
    int removed = ox_scheduler_remove(queue, id, err);
    if (removed) {
        return removed;
    }
    err->code = OX_ENOTFOUND;
    snprintf(err->text, sizeof err->text, "scheduler %.100s does not exist", id);
    return err->code;
}

static const struct act removal = { .id_name = "key", .done = "removed", .act = rm };

static int exec_rm(struct run *run)
{
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    return status ? status : act_on_ids(run, queue, &removal, NULL);
}

const struct cmd cmd_schedule_set = {
    .name = "schedule set",
    .summary = "create or change a job scheduler",
    .usage = "QUEUE ID [NAME] [JSON|@FILE|-]",
    .help = "Creates scheduler ID of QUEUE, or changes it: jobs called NAME (default: ID) with "
            "that "
            "data come every so often or at the times of a pattern. Prints the id of the next "
            "job.",
    .example = "  ox schedule set reports nightly build --cron '0 3 * * *' --tz Europe/Berlin\n"
               "  ox schedule set mail digest send '{\"kind\":\"digest\"}' --every 1h",
    .opts = rows,
    .more = jobopts_rows,
    .opts_size = sizeof(struct opts),
    .min_args = 2,
    .max_args = 4,
    .exec = exec_set,
};

const struct cmd cmd_schedule_ls = {
    .name = "schedule ls",
    .summary = "list job schedulers",
    .usage = "QUEUE",
    .help = "Lists the job schedulers of QUEUE, the next to fire first.",
    .min_args = 1,
    .max_args = 1,
    .exec = exec_ls,
};

const struct cmd cmd_schedule_rm = {
    .name = "schedule rm",
    .summary = "remove job schedulers",
    .usage = "QUEUE ID...",
    .help = "Removes job schedulers with their next jobs.",
    .min_args = 2,
    .max_args = -1,
    .exec = exec_rm,
};
