/*
 * cmd_drain.c - ox drain: removes waiting jobs.
 */
#include "act.h"
#include "confirm.h"
#include "server.h"
#include <inttypes.h>

struct opts {
    bool delayed, yes;
};

static const struct opt rows[] = {
    { .name = "delayed",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, delayed),
        .help = "remove delayed jobs as well" },
    CONFIRM_ROW(struct opts),
    { 0 },
};

static int ask(struct run *run, ox_queue *queue)
{
    const struct opts *opts = run->opts;
    if (opts->yes) {
        return STATUS_DONE;
    }
    ox_counts counts;
    ox_error err = { 0 };
    if (ox_queue_counts(queue, &counts, &err) < 0) {
        return complain_error(run, &err);
    }
    int64_t jobs = counts.of[OX_WAITING] + counts.of[OX_PAUSED] + counts.of[OX_PRIORITIZED];
    jobs += opts->delayed ? counts.of[OX_DELAYED] : 0;
    g_autofree char *action = g_strdup_printf(
        "remove about %" PRId64 " waiting jobs from queue %s", jobs, run->args[0]);
    return confirm(run, false, action, NULL);
}

static int exec(struct run *run)
{
    const struct opts *opts = run->opts;
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (!status) {
        status = ask(run, queue);
    }
    if (status) {
        return status;
    }
    ox_error err = { 0 };
    int64_t count = ox_queue_drain(queue, opts->delayed, &err);
    return act_report(run, queue, "removed", count, &err);
}

const struct cmd cmd_drain = {
    .name = "drain",
    .summary = "remove all waiting jobs",
    .usage = "QUEUE",
    .help = "Removes all waiting and prioritized jobs. Active and finished jobs and those that "
            "wait for children are kept, and so are schedulers' next jobs. Asks first.",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = 1,
    .exec = exec,
};
