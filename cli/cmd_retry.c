/*
 * cmd_retry.c - ox retry: finished jobs run again.
 */
#include "act.h"
#include "server.h"
#include <stdio.h>

struct opts {
    bool all, reset;
    int64_t state; /* -1: either of the two */
    int64_t older_ms;
};

#define FINISHED (STATE_BIT(OX_FAILED) | STATE_BIT(OX_COMPLETED))

static const struct opt rows[] = {
    { .name = "all",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, all),
        .help = "retry all failed jobs, or all completed ones with --state completed" },
    { .name = "state",
        .kind = OPT_CHOICE,
        STATE_CHOICE,
        .offset = offsetof(struct opts, state),
        .max = FINISHED,
        .fallback = -1,
        .arg = "STATE",
        .help = "failed or completed; with ids, refuse jobs that are in the other state" },
    { .name = "older",
        .kind = OPT_DURATION,
        .offset = offsetof(struct opts, older_ms),
        .arg = "TIME",
        .help = "with --all: only jobs that finished at least TIME ago" },
    { .name = "reset-attempts",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, reset),
        .help =
            "reset the count of attempts, so that a job with backoff gets all of them again" },
    { 0 },
};

static int refuse(const char *id, int state, ox_error *err)
{
    bool unknown = state == OX_UNKNOWN;
    err->code = unknown ? OX_ENOTFOUND : OX_ESTATE;
    if (unknown) {
        snprintf(err->text, sizeof err->text, "job %.100s does not exist", id);
    } else {
        snprintf(err->text, sizeof err->text,
            "job %.100s is %s; only failed and completed jobs can be retried", id,
            ox_state_name(state));
    }
    return err->code;
}

static int retry(ox_queue *queue, const char *id, void *arg, ox_error *err)
{
    const struct opts *opts = arg;
    int state = (int)opts->state;
    if (state < 0) {
        state = ox_queue_job_state(queue, id, err);
        if (state < 0) {
            return state;
        }
        if (state != OX_FAILED && state != OX_COMPLETED) {
            return refuse(id, state, err);
        }
    }
    unsigned flags = opts->reset ? OX_RESET_ATTEMPTS_MADE | OX_RESET_ATTEMPTS_STARTED : 0;
    return ox_queue_retry(queue, id, state, flags, err);
}

static int retry_all(struct run *run, ox_queue *queue)
{
    const struct opts *opts = run->opts;
    int state = opts->state < 0 ? OX_FAILED : (int)opts->state;
    int64_t before_ms = opts->older_ms ? time_now_ms() - opts->older_ms : 0;
    ox_error err = { 0 };
    int64_t count = ox_queue_retry_all(queue, state, before_ms, &err);
    return act_report(run, queue, "retried", count, &err);
}

static const struct act retrial = { .id_name = "id", .done = "retried", .act = retry };

static int exec(struct run *run)
{
    struct opts *opts = run->opts;
    bool ids = run->arg_count > 1;
    if (ids == opts->all) {
        return complain_usage(run, ids ? "--all and ids exclude each other"
                                       : "job ids are missing: give ids, - or --all");
    }
    if (opts->all && opts->reset) {
        return complain_usage(run, "--reset-attempts needs ids, not --all");
    }
    if (opts->older_ms && !opts->all) {
        return complain_usage(run, "--older needs --all");
    }
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (status) {
        return status;
    }
    return opts->all ? retry_all(run, queue) : act_on_ids(run, queue, &retrial, opts);
}

const struct cmd cmd_retry = {
    .name = "retry",
    .summary = "run failed or completed jobs again",
    .usage = "QUEUE [ID...]",
    .help = "Moves finished jobs to wait. - reads ids from standard input, one a "
            "line; what follows a tab is ignored, so it takes what ox jobs prints. Prints the "
            "ids, or with --all their number.",
    .example = "  ox retry images 17 18\n"
               "  ox retry images --all\n"
               "  ox jobs images --state failed --grep timeout | ox retry images -",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = -1,
    .exec = exec,
};
