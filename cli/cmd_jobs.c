/*
 * cmd_jobs.c - ox jobs: a queue's jobs, state by state.
 *
 * Jobs are read a page at a time, so a long listing takes little memory and the first rows are
 * there at once. A queue moves while it is read: a job that changes its place between two
 * pages may be missed or shown twice.
 */
#include "json.h"
#include "server.h"
#include "show.h"
#include "table.h"
#include <inttypes.h>
#include <string.h>

#define PAGE 100
#define TERMINAL_LIMIT 20
/* More of a job's data than any terminal shows in a row. */
#define SUMMARY_BYTES 400

struct opts {
    int64_t state; /* -1: all */
    int64_t limit; /* -1: not given */
    const char *name, *grep;
};

static const struct opt rows[] = {
    { .name = "state",
        .kind = OPT_STATE,
        .offset = offsetof(struct opts, state),
        .max = ANY_STATE,
        .fallback = -1,
        .arg = "STATE",
        .help = "only jobs in that state: active, waiting, prioritized, delayed, "
                "waiting-children, completed, failed" },
    { .name = "limit",
        .kind = OPT_COUNT,
        .offset = offsetof(struct opts, limit),
        .max = INT64_C(1) << 52,
        .fallback = -1,
        .arg = "N",
        .help = "at most N jobs; 0: all. Default 20 on a terminal, else all" },
    { .name = "name",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, name),
        .arg = "NAME",
        .help = "only jobs called NAME" },
    { .name = "grep",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, grep),
        .arg = "TEXT",
        .help = "only jobs with TEXT in their id, name, data, return value or failure" },
    { 0 },
};

/* What runs comes first, then what runs next, then what is over. */
static const int states[] = { OX_ACTIVE, OX_WAITING, OX_PAUSED, OX_PRIORITIZED, OX_DELAYED,
    OX_WAITING_CHILDREN, OX_FAILED, OX_COMPLETED };

/* A long id is cut before the reason says nothing any more; in a pipe both are whole. */
static const struct column columns[] = {
    { "ID", COLUMN_ID | COLUMN_FLEX | COLUMN_MIN(12) },
    { "NAME", COLUMN_FLEX },
    { "STATE", 0 },
    { "WHEN", COLUMN_RIGHT },
    { "TRIES", COLUMN_RIGHT | COLUMN_SPARE },
    { "DATA", COLUMN_FLEX | COLUMN_SPARE },
    { "REASON", COLUMN_FLEX | COLUMN_RARE | COLUMN_MIN(24) },
};

struct listing {
    struct run *run;
    ox_queue *queue;
    struct table *table;
    int64_t limit; /* 0: none */
    int64_t shown;
    bool more; /* there is at least one beyond the limit */
    int64_t now_ms;
};

static bool has_text(const ox_job *job, enum ox_field field, const char *text)
{
    const char *value = ox_job_text(job, field);
    return value && strstr(value, text);
}

static bool is_wanted(const struct opts *opts, const ox_job *job)
{
    const char *name = ox_job_text(job, OX_JOB_NAME);
    if (opts->name && (!name || strcmp(name, opts->name))) {
        return false;
    }
    return !opts->grep || strstr(ox_job_id(job), opts->grep) ||
           has_text(job, OX_JOB_NAME, opts->grep) || has_text(job, OX_JOB_DATA, opts->grep) ||
           has_text(job, OX_JOB_RETURN_VALUE, opts->grep) ||
           has_text(job, OX_JOB_FAILED_REASON, opts->grep);
}

static void print_row(const struct listing *listing, const ox_job *job, int state)
{
    struct table *table = listing->table;
    bool terminal = listing->run->out.terminal;
    g_autofree char *tries = show_tries(job, terminal);
    g_autofree char *data = show_flat(job, OX_JOB_DATA, terminal ? SUMMARY_BYTES : 0);
    g_autofree char *reason = NULL;
    if (state != OX_COMPLETED) {
        reason = show_flat(job, OX_JOB_FAILED_REASON, terminal ? SUMMARY_BYTES : 0);
    }
    table_cell(table, ox_job_id(job), TINT_BOLD);
    table_cell(table, ox_job_text(job, OX_JOB_NAME), TINT_NONE);
    table_cell(table, ox_state_name(state), tint_of_state(state));
    table_time(table, show_time_ms(job, state), listing->now_ms);
    table_cell(table, tries, TINT_NONE);
    table_cell(table, data, TINT_DIM);
    table_cell(table, reason, TINT_RED);
}

static void print_job(struct listing *listing, const ox_job *job, int state)
{
    if (!listing->run->json) {
        print_row(listing, job, state);
        return;
    }
    struct obj obj;
    obj_begin(&obj);
    show_object(&obj, job, state);
    obj_print(&obj);
}

/* Shows those of a page that are wanted, and stops one beyond the limit. */
static void show_page(struct listing *listing, ox_job **jobs, size_t count, int state)
{
    const struct opts *opts = listing->run->opts;
    for (size_t i = 0; i < count && !listing->more && out_alive(); i++) {
        if (!is_wanted(opts, jobs[i])) {
            continue;
        }
        listing->more = listing->limit && listing->shown == listing->limit;
        if (listing->more) {
            return;
        }
        print_job(listing, jobs[i], state);
        listing->shown++;
    }
}

static int list_state(struct listing *listing, int state, int64_t total)
{
    bool ascending = state != OX_COMPLETED && state != OX_FAILED;
    for (int64_t at = 0; at < total && !listing->more && out_alive(); at += PAGE) {
        ox_job **jobs = NULL;
        size_t count = 0;
        ox_error err = { 0 };
        if (ox_queue_jobs(
                listing->queue, state, at, at + PAGE - 1, ascending, &jobs, &count, &err) < 0) {
            return complain_error(listing->run, &err);
        }
        show_page(listing, jobs, count, state);
        ox_jobs_free(jobs, count);
    }
    return STATUS_DONE;
}

static int list_all(struct listing *listing, const ox_counts *counts)
{
    const struct opts *opts = listing->run->opts;
    int status = STATUS_DONE;
    for (size_t i = 0; i < G_N_ELEMENTS(states) && !status; i++) {
        if (opts->state < 0 || opts->state == states[i]) {
            status = list_state(listing, states[i], counts->of[states[i]]);
        }
    }
    return status;
}

static void tell_rest(const struct listing *listing)
{
    if (!listing->run->out.terminal || listing->run->json) {
        return;
    }
    if (listing->more) {
        complain(listing->run, "the first %" PRId64 "; --limit 0 lists all", listing->shown);
    } else if (!listing->shown) {
        complain(listing->run, "no such job");
    }
}

static int exec(struct run *run)
{
    const struct opts *opts = run->opts;
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (status) {
        return status;
    }
    ox_counts counts;
    ox_error err = { 0 };
    if (ox_queue_counts(queue, &counts, &err) < 0) {
        return complain_error(run, &err);
    }
    if ((status = server_check_queue(run, queue, &counts))) {
        return status;
    }
    struct listing listing = { .run = run, .queue = queue, .now_ms = time_now_ms() };
    listing.limit = opts->limit >= 0 ? opts->limit : run->out.terminal ? TERMINAL_LIMIT : 0;
    listing.table = table_new(columns, G_N_ELEMENTS(columns), &run->out);
    status = list_all(&listing, &counts);
    table_end(listing.table);
    tell_rest(&listing);
    return status;
}

const struct cmd cmd_jobs = {
    .name = "jobs",
    .summary = "list a queue's jobs",
    .usage = "QUEUE",
    .help =
        "Lists jobs: those that run, then those that wait in the order in which they will run, "
        "then failed and completed ones, newest first. The time is that of being added, due, "
        "started or finished, as the state has it. TRIES are the attempts made and allowed; "
        "3/3+1 is one beyond, by ox retry.\n"
        "\n"
        "In a pipe the columns are id, name, state, time, attempts made/allowed, data, failure "
        "reason, separated by tabs. A queue in motion may show a job twice or not at all.",
    .example = "  ox jobs images --state failed --grep truncated\n"
               "  ox jobs images --state failed | ox retry images -",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = 1,
    .exec = exec,
};
