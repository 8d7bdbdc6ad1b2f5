/*
 * cmd_clean.c - ox clean: removes old jobs of one state.
 */
#include "act.h"
#include "confirm.h"
#include "server.h"
#include <inttypes.h>

struct opts {
    int64_t state, older_ms, limit;
    bool yes;
};

#define CLEANABLE                                                                              \
    (STATE_BIT(OX_COMPLETED) | STATE_BIT(OX_FAILED) | STATE_BIT(OX_DELAYED) |                  \
        STATE_BIT(OX_PRIORITIZED) | STATE_BIT(OX_WAITING) | STATE_BIT(OX_ACTIVE) |             \
        STATE_BIT(OX_PAUSED))

static const struct opt rows[] = {
    { .name = "state",
        .kind = OPT_CHOICE,
        STATE_CHOICE,
        .offset = offsetof(struct opts, state),
        .max = CLEANABLE,
        .standard = "completed",
        .arg = "STATE",
        .help = "completed, failed, delayed, prioritized, waiting, paused or active" },
    { .name = "older",
        .kind = OPT_DURATION,
        .offset = offsetof(struct opts, older_ms),
        .arg = "TIME",
        .help = "only jobs older than TIME (10m, 2h, 1d); default: any age" },
    { .name = "limit",
        .kind = OPT_COUNT,
        .offset = offsetof(struct opts, limit),
        .max = UINT32_MAX,
        .arg = "N",
        .help = "at most N jobs, the oldest; 0, the default: all" },
    CONFIRM_ROW(struct opts),
    { 0 },
};

static int ask(struct run *run)
{
    const struct opts *opts = run->opts;
    g_autofree char *limit =
        opts->limit ? g_strdup_printf("at most %" PRId64, opts->limit) : g_strdup("all");
    g_autofree char *age = opts->older_ms ? span_text(opts->older_ms) : NULL;
    g_autofree char *action = g_strdup_printf("remove %s %s jobs%s%s from queue %s", limit,
        ox_state_name((int)opts->state), age != NULL ? " older than " : "",
        age != NULL ? age : "", run->args[0]);
    return confirm(run, opts->yes, action, NULL);
}

static int exec(struct run *run)
{
    const struct opts *opts = run->opts;
    int status = ask(run);
    g_autoptr(ox_queue) queue = NULL;
    if (!status) {
        status = server_queue(run, run->args[0], &queue);
    }
    if (!status) { /* a clean of an empty queue writes an event as well */
        status = server_check_queue(run, queue, NULL);
    }
    if (status) {
        return status;
    }
    ox_error err = { 0 };
    int64_t count = ox_queue_clean(
        queue, (int)opts->state, opts->older_ms, (uint32_t)opts->limit, NULL, NULL, &err);
    return act_report(run, queue, "removed", count, &err);
}

const struct cmd cmd_clean = {
    .name = "clean",
    .summary = "remove old jobs of one state",
    .usage = "QUEUE",
    .help = "Removes jobs of one state by their age. Active jobs are removed only if they have "
            "no lock; schedulers' next jobs are kept. Asks first.",
    .example = "  ox clean images --state completed --older 1d --limit 10000 --yes",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = 1,
    .exec = exec,
};
