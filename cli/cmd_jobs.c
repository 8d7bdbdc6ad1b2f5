/*
 * cmd_jobs.c - ox jobs: a queue's jobs, state by state.
 *
 * Jobs are read a page at a time, so a long listing takes little memory and the first rows are
 * there at once. The queue changes while it is read: a job that moves between two pages may be
 * missed or shown twice.
 */
#include "records.h"
#include "server.h"
#include "show.h"
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
        .kind = OPT_CHOICE,
        STATE_CHOICE,
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

/* Active jobs first, then waiting ones, then finished ones. */
static const int states[] = { OX_ACTIVE, OX_WAITING, OX_PAUSED, OX_PRIORITIZED, OX_DELAYED,
    OX_WAITING_CHILDREN, OX_FAILED, OX_COMPLETED };

/* A long id is cut before the reason becomes unreadable; in a pipe both are whole. */
enum { ID, NAME, STATE, WHEN, TRIES, DATA, REASON, STORED, FIELD_COUNT };
static const struct field fields[FIELD_COUNT] = {
    [ID] = { .title = "ID",
        .key = "id",
        .kind = FIELD_TEXT,
        .flags = COLUMN_ID | COLUMN_FLEX | COLUMN_MIN(12),
        .tint = TINT_BOLD },
    [NAME] = { .title = "NAME", .key = "name", .kind = FIELD_TEXT, .flags = COLUMN_FLEX },
    [STATE] = { .title = "STATE", .key = "state", .kind = FIELD_TEXT },
    [WHEN] = { .title = "WHEN", .kind = FIELD_TIME, .flags = COLUMN_RIGHT },
    [TRIES] = { .title = "TRIES", .kind = FIELD_TEXT, .flags = COLUMN_RIGHT | COLUMN_SPARE },
    [DATA] = { .title = "DATA",
        .kind = FIELD_TEXT,
        .flags = COLUMN_FLEX | COLUMN_SPARE,
        .tint = TINT_DIM },
    [REASON] = { .title = "REASON",
        .kind = FIELD_TEXT,
        .flags = COLUMN_FLEX | COLUMN_RARE | COLUMN_MIN(24),
        .tint = TINT_RED },
    [STORED] = { .key = "",
        .kind = FIELD_MEMBERS }, /* all stored fields, as show.h names them */
};
static const struct records_style style = { .fields = fields, .count = FIELD_COUNT };

struct listing {
    struct run *run;
    ox_queue *queue;
    struct records *records;
    int64_t limit; /* 0: none */
    int64_t shown;
    bool more; /* there is at least one beyond the limit */
};

static bool has_text(const ox_job *job, enum ox_field field, const char *text)
{
    const char *value = ox_job_text(job, field);
    return value != NULL && strstr(value, text) != NULL;
}

static bool is_wanted(const struct opts *opts, const ox_job *job)
{
    const char *name = ox_job_text(job, OX_JOB_NAME);
    if (opts->name != NULL && (name == NULL || strcmp(name, opts->name))) {
        return false;
    }
    return opts->grep == NULL || strstr(ox_job_id(job), opts->grep) != NULL ||
           has_text(job, OX_JOB_NAME, opts->grep) || has_text(job, OX_JOB_DATA, opts->grep) ||
           has_text(job, OX_JOB_RETURN_VALUE, opts->grep) ||
           has_text(job, OX_JOB_FAILED_REASON, opts->grep);
}

/* A field in one line; of what a terminal shows in a row only a part. Heap. */
static char *in_a_row(const struct run *run, const ox_job *job, enum ox_field field)
{
    return run->json ? NULL : show_flat(job, field, run->out.terminal ? SUMMARY_BYTES : 0);
}

static void add_job(struct listing *listing, const ox_job *job, int state)
{
    const struct run *run = listing->run;
    g_autofree char *name = show_name(job);
    g_autofree char *tries = show_tries(job, run->out.terminal);
    g_autofree char *data = in_a_row(run, job, OX_JOB_DATA);
    g_autofree char *reason =
        state == OX_COMPLETED ? NULL : in_a_row(run, job, OX_JOB_FAILED_REASON);
    g_autofree char *stored = run->json ? show_stored(job) : NULL;
    records_add(listing->records,
        (const struct value[FIELD_COUNT]){
            [ID] = { .text = ox_job_id(job) },
            [NAME] = { .text = name },
            [STATE] = { .text = ox_state_name(state), .tint = tint_of_state(state) },
            [WHEN] = { .number = show_time_ms(job, state) },
            [TRIES] = { .text = tries },
            [DATA] = { .text = data },
            [REASON] = { .text = reason },
            [STORED] = { .text = stored },
        });
}

/* Shows the matching jobs of a page, and stops one beyond the limit. */
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
        add_job(listing, jobs[i], state);
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
        ox_list_free(jobs);
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

static void hint_rest(const struct listing *listing)
{
    if (listing->more) {
        records_hint(
            listing->run, "the first %" PRId64 "; --limit 0 lists all", listing->shown);
    } else if (!listing->shown) {
        records_hint(listing->run, "no matching jobs");
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
    struct listing listing = { .run = run, .queue = queue };
    listing.limit = opts->limit >= 0 ? opts->limit : run->out.terminal ? TERMINAL_LIMIT : 0;
    listing.records = records_new(run, &style);
    status = list_all(&listing, &counts);
    records_end(listing.records);
    hint_rest(&listing);
    return status;
}

const struct cmd cmd_jobs = {
    .name = "jobs",
    .summary = "list a queue's jobs",
    .usage = "QUEUE",
    .help =
        "Lists jobs: active ones, then waiting ones in the order in which they will run, then "
        "failed and completed ones, newest first. WHEN is the time at which the job was added, "
        "is due, started or finished, depending on its state. TRIES are the attempts made and "
        "allowed; "
        "3/3+1 has one more, given by ox retry.\n"
        "\n"
        "In a pipe the columns are id, name, state, time, attempts made/allowed, data, failure "
        "reason, separated by tabs. A job that changes its state meanwhile may be listed twice "
        "or not at all.",
    .example = "  ox jobs images --state failed --grep truncated\n"
               "  ox jobs images --state failed | ox retry images -",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = 1,
    .exec = exec,
};
