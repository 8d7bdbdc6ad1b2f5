/*
 * cmd_add.c - ox add: one job.
 *
 * With --wait the event stream is opened before the job is added, so that the return value of a
 * job that is removed on finish is not missed.
 */
#include "act.h"
#include "base/units.h"
#include "data.h"
#include "durable.h"
#include "jobopts.h"
#include "json.h"
#include "parse.h"
#include "server.h"
#include <stdio.h>

struct opts {
    ox_job_options job; /* first: the shared rows count from here */
    struct patience wait;
    struct durability durable;
};

static const struct opt rows[] = {
    { .name = "id",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, job.id),
        .arg = "ID",
        .help = "the job id, not a plain number and without colons; if a job with that id "
                "exists, none is added" },
    { .name = "wait",
        .kind = OPT_PARSED,
        .optional = true,
        .offset = offsetof(struct opts, wait),
        .arg = "TIME",
        .parse = parse_patience,
        .help = "wait until the job has finished and print its return value; exit 1 if it "
                "fails or after TIME" },
    DURABLE_ROW(struct opts, "the job"),
    { .name = "dedup",
        .kind = OPT_PARSED,
        .offset = offsetof(struct opts, job.dedup),
        .arg = "ID[:..]",
        .parse = parse_dedup,
        .help = "add nothing while another job holds the deduplication ID; options follow it: "
                ":ttl=TIME, :extend, :replace, :reschedule, :keep-last" },
    { .name = "timestamp",
        .kind = OPT_PARSED,
        .offset = offsetof(struct opts, job.timestamp_ms),
        .arg = "WHEN",
        .parse = ox__parse_instant,
        .help = "creation time: Unix milliseconds or ISO 8601; a delay counts from it" },
    PARENT_ROWS,
    { 0 },
};

/* The outcome of an add. */
struct added {
    const char *id;
    int how; /* enum ox_added */
    struct durable_copies copies;
};

static const char *verb_of(const struct added *added)
{
    return added->how == OX_ADDED ? "was added" : "was there";
}

static void begin_result(const struct run *run, struct obj *obj, const struct added *added)
{
    const struct opts *opts = run->opts;
    obj_begin(obj);
    obj_text(obj, "id", added->id);
    act_put_added(obj, added->how);
    durable_put(obj, &opts->durable, &added->copies);
}

static void print_added(const struct run *run, const struct added *added)
{
    if (!run->json) {
        act_print_id(run, added->id);
        return;
    }
    struct obj obj;
    begin_result(run, &obj, added);
    obj_print(&obj);
}

/* ---- waiting until it has finished ------------------------------------------------------- */

/* `text` is its return value, or the reason. */
static int report_end(struct run *run, const struct added *added, bool failed, const char *text)
{
    if (run->json) {
        struct obj obj;
        begin_result(run, &obj, added);
        obj_text(&obj, "state", ox_state_name(failed ? OX_FAILED : OX_COMPLETED));
        if (failed) {
            obj_text(&obj, "failedReason", text);
        } else {
            obj_json(&obj, "returnvalue", text);
        }
        obj_print(&obj);
    } else if (!failed) {
        g_autofree char *cleaned = run->out.terminal ? text_clean_lines(text) : g_strdup(text);
        puts(cleaned);
    }
    if (failed) {
        complain(run, "job %s failed: %s", added->id, text);
    }
    return failed ? STATUS_FAILED : STATUS_DONE;
}

/* The wait timed out, the job goes on: prints its id and state for programs. */
static int report_no_end(
    struct run *run, ox_queue *queue, const struct added *added, const ox_error *err)
{
    int state = ox_queue_job_state(queue, added->id, NULL);
    if (run->json) {
        struct obj obj;
        begin_result(run, &obj, added);
        obj_text(&obj, "state", state < 0 ? NULL : ox_state_name(state));
        obj_print(&obj);
    }
    if (err->code == OX_ETIMEOUT || err->code == OX_ENOTFOUND || err->code == OX_ESTATE) {
        return complain_error(run, err);
    }
    complain(run, "job %s %s; its result is unknown: %s", added->id, verb_of(added), err->text);
    return STATUS_FAILED;
}

/* On a terminal: reports that it waits, and whether the queue has workers. */
static void announce(const struct run *run, ox_queue *queue, const struct added *added)
{
    ox_worker_info **workers = NULL;
    size_t count = 0;
    if (!run->out.terminal) {
        return;
    }
    bool nobody = ox_queue_workers(queue, &workers, &count, NULL) >= 0 && !count;
    ox_list_free(workers);
    g_autofree char *cleaned = text_clean(added->id);
    fprintf(stderr, "job %s %s; waiting for it to finish%s\n", cleaned, verb_of(added),
        nobody ? " (the queue has no workers yet)" : "");
}

static int wait_for_end(
    struct run *run, ox_queue *queue, ox_events *events, const struct added *added)
{
    const struct opts *opts = run->opts;
    const ox_wait_options options = { .timeout_ms =
                                          (uint32_t)MIN(opts->wait.timeout_ms, UINT32_MAX),
        .events = events,
        .known = true };
    OX_AUTOFREE char *text = NULL;
    ox_error err = { 0 };
    announce(run, queue, added);
    int code = ox_queue_wait_with(queue, added->id, &options, &text, &err);
    if (code < 0 && code != OX_EFAILED) {
        return report_no_end(run, queue, added, &err);
    }
    return report_end(run, added, code == OX_EFAILED, text);
}

/* ---- all of it --------------------------------------------------------------------------- */

static int refuse(struct run *run, const ox_job_options *job, const ox_error *err)
{
    if (err->code == OX_EPARENT && job->parent.id != NULL) {
        complain(run, "parent job %s:%s does not exist", job->parent.queue, job->parent.id);
        return STATUS_NOT_FOUND;
    }
    if (err->code != OX_ELOST && err->code != OX_ETIMEOUT) {
        return complain_error(run, err);
    }
    complain(run, "%s; the job may have been added", err->text);
    return STATUS_FAILED;
}

static int add(struct run *run, ox_queue *queue, const char *json, const ox_job_options *job)
{
    const struct opts *opts = run->opts;
    g_autoptr(ox_events) events = NULL;
    OX_AUTOFREE char *id = NULL;
    ox_error err = { 0 };
    if (opts->wait.given && ox_events_new(&events, queue, NULL, &err) < 0) {
        return complain_error(run, &err);
    }
    int how = ox_queue_add(queue, run->args[1], json, job, &id, &err);
    if (how < 0) {
        return refuse(run, job, &err);
    }
    struct added added = { .id = id, .how = how };
    act_report_duplicate(run, id, how, opts->job.dedup.id);
    g_autofree char *what = g_strdup_printf("job %s %s", id, verb_of(&added));
    int status = durable_wait(run, &opts->durable, what, &added.copies);
    if (!status && opts->wait.given) {
        return wait_for_end(run, queue, events, &added);
    }
    print_added(run, &added);
    return status;
}

static int exec(struct run *run)
{
    struct opts *opts = run->opts;
    int status = jobopts_check(run, &opts->job);
    g_autofree char *json = NULL;
    if (!status && run->args[2] != NULL) {
        status = data_read(run, "data", run->args[2], &json);
    }
    g_autoptr(ox_queue) queue = NULL;
    if (!status) {
        status = server_queue(run, run->args[0], &queue);
    }
    return status ? status : add(run, queue, json, &opts->job);
}

const struct cmd cmd_add = {
    .name = "add",
    .summary = "add a job; prints its id",
    .usage = "QUEUE NAME [JSON|@FILE|-]",
    .help =
        "Adds a job called NAME to QUEUE and prints its id. Its data is JSON as it stands on "
        "the command line, from FILE, or from standard input (-); without it {}.\n"
        "\n"
        "When a job with that --id exists, or another job holds the --dedup id, no job is "
        "added: the id printed is that of the job that is there, and standard error says "
        "so; the exit status stays 0, so that an add can be repeated. With --wait it is that "
        "job which is waited for.",
    .example = "  ox add images compress '{\"input\":\"uploads/car-42.jpg\"}'\n"
               "  ox add mail send @letter.json --delay 10m --attempts 5 "
               "--backoff exponential:1s\n"
               "  ox add echo hello '\"world\"' --wait=5s",
    .opts = rows,
    .more = jobopts_rows,
    .opts_size = sizeof(struct opts),
    .min_args = 2,
    .max_args = 3,
    .exec = exec,
};
