/*
 * cmd_cancel.c - ox cancel: running jobs fail for good, now.
 */
#include "act.h"
#include "server.h"

struct opts {
    const char *reason;
};

static const struct opt rows[] = {
    { .name = "reason",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, reason),
        .arg = "TEXT",
        .help = "why; the job then failed with \"cancelled: TEXT\"" },
    { 0 },
};

static int cancel(ox_queue *queue, const char *id, void *arg, ox_error *err)
{
    const struct run *run = arg;
    const struct opts *opts = run->opts;
    int stops = ox_queue_cancel(queue, id, opts->reason, err);
    if (stops == OX_ESTATE) {
        g_strlcat(err->text, " (ox rm removes it)", sizeof err->text);
    } else if (stops == 0) {
        complain(run,
            "job %s has failed, but no worker of Ox had its lock: unless one was about to take "
            "it (lock-after), its handler may run on",
            id);
    }
    return stops;
}

static void put_stops(struct obj *obj, int stops)
{
    obj_bool(obj, "handler_stops", stops > 0);
}

static const struct act cancellation = {
    .id_name = "id", .done = "cancelled", .act = cancel, .more = put_stops
};

static int exec(struct run *run)
{
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    return status ? status : act_on_ids(run, queue, &cancellation, run);
}

const struct cmd cmd_cancel = {
    .name = "cancel",
    .summary = "fail jobs that run, for good",
    .usage = "QUEUE ID...",
    .help =
        "Fails running jobs for good, on whatever machine they run: their workers' locks are "
        "taken away, and what these make of the jobs is refused. ox-worker kills the run when "
        "it next renews the lock, within 5 s by default; of another worker the handler may run "
        "to its end, which is said. A job that is not active is refused: ox rm removes it. "
        "ox retry runs a cancelled one again. - reads ids from standard input, one a line; "
        "what follows a tab is ignored.",
    .example = "  ox cancel images 17 --reason 'wrong photo'\n"
               "  ox jobs images --state active | ox cancel images -",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 2,
    .max_args = -1,
    .exec = exec,
};
