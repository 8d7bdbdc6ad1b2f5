/*
 * cmd_rm.c - ox rm: removes jobs, or frees a deduplication id.
 */
#include "act.h"
#include "confirm.h"
#include "server.h"
#include <stdio.h>

struct opts {
    bool children, yes;
    const char *dedup;
};

static const struct opt rows[] = {
    { .name = "children",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, children),
        .help = "remove the job's children as well, and their children" },
    { .name = "dedup",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, dedup),
        .arg = "ID",
        .help = "free the deduplication ID, so that the next add with it adds a job" },
    CONFIRM_ROW(struct opts),
    { 0 },
};

static int rm(ox_queue *queue, const char *id, void *arg, ox_error *err)
{
    const struct opts *opts = arg;
    int removed = ox_queue_remove(queue, id, opts->children, err);
    if (removed) {
        return removed;
    }
    err->code = OX_ENOTFOUND;
    snprintf(err->text, sizeof err->text, "job %.100s does not exist", id);
    return err->code;
}

static int free_dedup(struct run *run, ox_queue *queue, const char *id)
{
    ox_error err = { 0 };
    int held = ox_queue_remove_dedup(queue, id, &err);
    if (held < 0) {
        return complain_error(run, &err);
    }
    if (held) {
        return STATUS_DONE;
    }
    complain(run, "no job holds the deduplication id %s", id);
    return STATUS_NOT_FOUND;
}

static const struct act removal = {
    .id_name = "id", .done = "removed", .act = rm, .many = ox_queue_remove_many
};
static const struct act removal_with_children = {
    .id_name = "id", .done = "removed", .act = rm
};

static int exec(struct run *run)
{
    struct opts *opts = run->opts;
    bool ids = run->arg_count > 1;
    if (ids == (opts->dedup != NULL)) {
        return complain_usage(run,
            ids ? "--dedup and ids exclude each other" : "job ids are missing: give ids or -");
    }
    int status = ids ? confirm_ids(run, opts->yes, "jobs", "from queue") : STATUS_DONE;
    g_autoptr(ox_queue) queue = NULL;
    if (!status) {
        status = server_queue(run, run->args[0], &queue);
    }
    if (status) {
        return status;
    }
    return ids ? act_on_ids(
                     run, queue, opts->children ? &removal_with_children : &removal, opts)
               : free_dedup(run, queue, opts->dedup);
}

const struct cmd cmd_rm = {
    .name = "rm",
    .summary = "remove jobs",
    .usage = "QUEUE [ID...]",
    .help = "Removes jobs with their logs and results. An active job is refused, and so is the "
            "next job of a scheduler. Asks first if there is more than one id; - reads ids "
            "from standard input, one a line (what follows a tab is ignored), and needs --yes.",
    .example = "  ox rm images 17\n"
               "  ox jobs images --name test | ox rm images - --yes",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = -1,
    .exec = exec,
};
