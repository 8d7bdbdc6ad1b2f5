/*
 * cmd_promote.c - ox promote: delayed jobs run now.
 */
#include "act.h"
#include "server.h"

struct opts {
    bool all;
};

static const struct opt rows[] = {
    { .name = "all",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, all),
        .help = "promote all delayed jobs" },
    { 0 },
};

static int promote(ox_queue *queue, const char *id, void *arg, ox_error *err)
{
    (void)arg;
    return ox_queue_promote(queue, id, err);
}

static const struct act promotion = { .id_name = "id", .done = "promoted", .act = promote };

static int exec(struct run *run)
{
    const struct opts *opts = run->opts;
    bool ids = run->arg_count > 1;
    if (ids == opts->all) {
        return complain_usage(run, ids ? "--all and ids exclude each other"
                                       : "job ids are missing: give ids, - or --all");
    }
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (status) {
        return status;
    }
    if (!opts->all) {
        return act_on_ids(run, queue, &promotion, NULL);
    }
    ox_error err = { 0 };
    int64_t count = ox_queue_promote_all(queue, &err);
    return act_report(run, queue, "promoted", count, &err);
}

const struct cmd cmd_promote = {
    .name = "promote",
    .summary = "run delayed jobs now",
    .usage = "QUEUE [ID...]",
    .help =
        "Makes delayed jobs ready to run. - reads ids from standard input, one a line; what "
        "follows a tab is ignored.",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = -1,
    .exec = exec,
};
