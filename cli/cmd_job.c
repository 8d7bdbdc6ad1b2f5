/*
 * cmd_job.c - ox job: one job with its timeline.
 *
 * On a terminal: a timeline, then data, result, failure, logs and children. In a pipe the
 * stored fields as "name<TAB>value" lines, with --json one object. --follow prints progress and
 * log rows as they come, and the whole job when it has finished.
 */
#include "jobview.h"
#include "json.h"
#include "server.h"
#include <stdio.h>

struct opts {
    bool follow;
    int64_t logs;
};

static const struct opt rows[] = {
    { .name = "follow",
        .letter = 'f',
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, follow),
        .help = "wait until the job has finished; exit 0 if it completed, 1 if it failed" },
    { .name = "logs",
        .kind = OPT_COUNT,
        .offset = offsetof(struct opts, logs),
        .max = 1000000,
        .standard = "50",
        .arg = "N",
        .help = "show the newest N log rows" },
    { 0 },
};

/* ---- following --------------------------------------------------------------------------- */

/* Whether any update was printed. */
struct follow {
    struct run *run;
    bool printed;
};

static void print_update(void *arg, const ox_job_update *update)
{
    static const char *const kinds[] = {
        [OX_UPDATE_STATE] = "state",
        [OX_UPDATE_PROGRESS] = "progress",
        [OX_UPDATE_LOG] = "log",
    };
    struct follow *follow = arg;
    const struct out *out = &follow->run->out;
    follow->printed = true;
    if (out->terminal) {
        g_autofree char *when = time_local(update->at_ms);
        g_autofree char *cleaned = text_clean(update->text);
        printf("%s%s%s  %-8s  %s\n", tint_on(out, TINT_DIM), when, tint_off(out, TINT_DIM),
            kinds[update->kind], cleaned);
    } else {
        out_pair(kinds[update->kind], update->text);
    }
    out_flush();
}

/* The job was removed on finish: only its return value, or the reason, is known. */
static void print_end(const struct run *run, const char *id, bool failed, const char *text)
{
    const char *field = failed ? "failedReason" : "returnvalue";
    if (!run->json) {
        out_pair(field, text);
        return;
    }
    struct obj obj;
    obj_begin(&obj);
    obj_text(&obj, "id", id);
    obj_text(&obj, "state", ox_state_name(failed ? OX_FAILED : OX_COMPLETED));
    if (failed) {
        obj_text(&obj, field, text);
    } else {
        obj_json(&obj, field, text);
    }
    obj_print(&obj);
}

/* Log rows that were printed already are not printed again. */
static int follow_job(struct run *run, ox_queue *queue, const char *id)
{
    const struct opts *opts = run->opts;
    struct follow follow = { .run = run };
    const ox_wait_options options = { .update = run->json ? NULL : print_update,
        .arg = &follow };
    OX_AUTOFREE char *text = NULL;
    ox_error err = { 0 };
    int code = ox_queue_wait_with(queue, id, &options, &text, &err);
    bool failed = code == OX_EFAILED;
    int status = STATUS_DONE;
    if (code < 0 && !failed) {
        return complain_error(run, &err);
    }
    if (ox_queue_job_state(queue, id, NULL) == OX_UNKNOWN) {
        print_end(run, id, failed, text);
    } else {
        status = jobview_print(run, queue, id, follow.printed ? 0 : opts->logs);
    }
    return status == STATUS_DONE && failed ? STATUS_FAILED : status;
}

static int exec(struct run *run)
{
    const struct opts *opts = run->opts;
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (status) {
        return status;
    }
    return opts->follow ? follow_job(run, queue, run->args[1])
                        : jobview_print(run, queue, run->args[1], opts->logs);
}

const struct cmd cmd_job = {
    .name = "job",
    .summary = "show one job; --follow until it finishes",
    .usage = "QUEUE ID",
    .help = "Shows a job: its timeline, data, options, result or failure, log rows and "
            "children. In a pipe the stored fields, a line each: name, tab, value.\n"
            "\n"
            "--follow prints states and progress with the times of their events. Log rows have "
            "no times in Redis; they are printed with the time at which they were seen, within "
            "a tenth of a second.",
    .example = "  ox job images 17\n"
               "  ox job images 17 --follow\n"
               "  ox job images 17 --json | jq .returnvalue",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 2,
    .max_args = 2,
    .exec = exec,
};
