/*
 * cmd_obliterate.c - ox obliterate: removes a queue with all it has.
 *
 * The most destructive verb: the question wants the queue's name, not just a "y".
 */
#include "act.h"
#include "confirm.h"
#include "server.h"

struct opts {
    bool force, yes;
};

static const struct opt rows[] = {
    FORCE_ROW(struct opts, "jobs are active; their workers lose them"),
    CONFIRM_ROW(struct opts),
    { 0 },
};

static int exec(struct run *run)
{
    const struct opts *opts = run->opts;
    const char *name = run->args[0];
    g_autofree char *action = g_strdup_printf("remove queue %s and every job in it", name);
    int status = confirm(run, opts->yes, action, name);
    g_autoptr(ox_queue) queue = NULL;
    if (!status) {
        status = server_queue(run, name, &queue);
    }
    if (!status) {
        status = server_check_queue(run, queue, NULL);
    }
    if (status) {
        return status;
    }
    ox_error err = { 0 };
    int code = ox_queue_obliterate(queue, opts->force, &err);
    return act_report_gone(run, "queue", "obliterated", code, &err);
}

const struct cmd cmd_obliterate = {
    .name = "obliterate",
    .summary = "remove a queue with all its data",
    .usage = "QUEUE",
    .help = "Removes QUEUE: its jobs in every state, schedulers, settings, events and metrics. "
            "Refuses while jobs are active, unless --force. Asks for the queue's name first.",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = 1,
    .exec = exec,
};
