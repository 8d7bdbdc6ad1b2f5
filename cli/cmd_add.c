/*
 * cmd_add.c - ox add: one job.
 *
 * With --wait the event stream is opened before the job is added, so that even a job that is
 * removed the moment it completes hands over its value.
 */
#include "data.h"
#include "follow.h"
#include "jobopts.h"
#include "json.h"
#include "parse.h"
#include <stdio.h>

struct durability {
    bool given;
    int64_t replicas;
};

struct opts {
    struct jobopts job; /* first: the shared rows count from here */
    const char *id;
    int64_t timestamp_ms;
    ox_dedup dedup;
    struct patience wait;
    struct durability durable;
};

static bool parse_durable(char *text, void *out, char **why)
{
    struct durability *durable = out;
    durable->given = true;
    return !text || parse_count(text, 0, 1000, &durable->replicas, why);
}

static const struct opt rows[] = {
    { .name = "id",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, id),
        .arg = "ID",
        .help = "an id of your own, no plain number and without colons; an id that exists is "
                "not added again" },
    { .name = "wait",
        .kind = OPT_PARSED,
        .optional = true,
        .offset = offsetof(struct opts, wait),
        .arg = "TIME",
        .parse = parse_patience,
        .help = "wait until the job has ended and print its return value; exit 1 when it fails "
                "or TIME is over" },
    { .name = "durable",
        .kind = OPT_PARSED,
        .optional = true,
        .offset = offsetof(struct opts, durable),
        .arg = "N",
        .parse = parse_durable,
        .help =
            "wait until the job is on the server's disk and on N replicas; exit 1 when that "
            "cannot be had" },
    { .name = "dedup",
        .kind = OPT_PARSED,
        .offset = offsetof(struct opts, dedup),
        .arg = "ID[:..]",
        .parse = parse_dedup,
        .help = "drop it while another job holds the deduplication ID; behind it :ttl=TIME, "
                ":extend, :replace, :reschedule, :keep-last" },
    { .name = "timestamp",
        .kind = OPT_PARSED,
        .offset = offsetof(struct opts, timestamp_ms),
        .arg = "WHEN",
        .parse = parse_time,
        .help = "when it was made: Unix milliseconds or ISO 8601; a delay counts from there" },
    { 0 },
};

static void begin_result(struct obj *obj, const char *id)
{
    obj_begin(obj);
    obj_text(obj, "id", id);
}

static void print_id(const struct run *run, const char *id)
{
    if (run->json) {
        struct obj obj;
        begin_result(&obj, id);
        obj_print(&obj);
    } else {
        puts(id);
    }
}

#define DURABLE_TIMEOUT_MS 10000

/* Prints the id with what is known to be safe. */
static int report_durable(struct run *run, const char *id, int64_t replicas)
{
    int local = 0, reached = 0;
    ox_error err = { 0 };
    int code = ox_client_wait_durable(
        run->client, (uint32_t)replicas, DURABLE_TIMEOUT_MS, &local, &reached, &err);
    if (run->json) {
        struct obj obj;
        begin_result(&obj, id);
        obj_bool(&obj, "disk", local > 0);
        obj_int(&obj, "replicas", reached);
        obj_print(&obj);
    } else {
        print_id(run, id);
    }
    if (code == OX_ESERVER && replicas > 0 && reached >= replicas)
        return STATUS_DONE;
    if (code == OX_ESERVER) {
        complain(run,
            "job %s was added; replicas: %d; this server cannot tell when it is on disk "
            "(Redis 7.2 or newer with an append-only file can)",
            id, reached);
        return STATUS_FAILED;
    }
    if (code < 0) {
        complain(run, "job %s was added, but is not known to be on disk: %s", id, err.text);
        return STATUS_FAILED;
    }
    if (local > 0 && reached >= replicas)
        return STATUS_DONE;
    complain(run, "job %s was added; disk: %s, replicas: %d", id, local > 0 ? "yes" : "not yet",
        reached);
    return STATUS_FAILED;
}

static int report_ending(struct run *run, const char *id, const struct ending *ending)
{
    bool failed = ending->state == OX_FAILED;
    if (run->json) {
        struct obj obj;
        begin_result(&obj, id);
        obj_text(&obj, "state", ox_state_name(ending->state));
        if (failed)
            obj_text(&obj, "failedReason", ending->reason);
        else
            obj_json(&obj, "returnvalue", ending->value);
        obj_print(&obj);
    } else if (!failed) {
        g_autofree char *cleaned =
            run->out.terminal ? text_clean_lines(ending->value) : g_strdup(ending->value);
        puts(cleaned);
    }
    if (failed)
        complain(run, "job %s failed: %s", id, ending->reason);
    return failed ? STATUS_FAILED : STATUS_DONE;
}

static int wait_for_end(struct run *run, ox_queue *queue, ox_events *events, const char *id)
{
    const struct opts *opts = run->opts;
    if (run->out.terminal)
        fprintf(stderr, "job %s is added; waiting for its end\n", id);
    struct ending ending = { 0 };
    ox_error err = { 0 };
    int status;
    if (follow_job(queue, events, id, opts->wait.timeout_ms, NULL, NULL, &ending, &err) < 0)
        status = complain_error(run, &err);
    else
        status = report_ending(run, id, &ending);
    ending_done(&ending);
    return status;
}

static int add(struct run *run, ox_queue *queue, const char *json, const ox_job_options *job)
{
    const struct opts *opts = run->opts;
    g_autoptr(ox_events) events = NULL;
    OX_AUTOFREE char *id = NULL;
    ox_error err = { 0 };
    if (opts->wait.given && ox_events_new(&events, queue, NULL, &err) < 0)
        return complain_error(run, &err);
    int code = ox_queue_add(queue, run->args[1], json, job, &id, &err);
    if (code == OX_ELOST || code == OX_ETIMEOUT) {
        complain(run, "%s; the job may have been added all the same", err.text);
        return STATUS_FAILED;
    }
    if (code < 0)
        return complain_error(run, &err);
    if (opts->durable.given) {
        int status = report_durable(run, id, opts->durable.replicas);
        if (status || !opts->wait.given)
            return status;
    }
    if (opts->wait.given)
        return wait_for_end(run, queue, events, id);
    print_id(run, id);
    return STATUS_DONE;
}

static int exec(struct run *run)
{
    const struct opts *opts = run->opts;
    ox_job_options job = {
        .id = opts->id, .timestamp_ms = opts->timestamp_ms, .dedup = opts->dedup
    };
    int status = jobopts_fill(run, &opts->job, &job);
    g_autofree char *json = NULL;
    if (!status && run->args[2])
        status = data_read(run, "data", run->args[2], &json);
    g_autoptr(ox_queue) queue = NULL;
    if (!status)
        status = server_queue(run, run->args[0], &queue);
    return status ? status : add(run, queue, json, &job);
}

const struct cmd cmd_add = {
    .name = "add",
    .summary = "add a job; prints its id",
    .usage = "QUEUE NAME [JSON|@FILE|-]",
    .help =
        "Adds a job called NAME to QUEUE and prints its id. Its data is JSON as it stands on "
        "the command line, from FILE, or from standard input (-); without it {}.",
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
