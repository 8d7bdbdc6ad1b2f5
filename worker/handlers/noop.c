/*
 * noop.c - does nothing and returns null. What is left is the cost of the queue and of the
 * way through a child, which is what the benchmarks want to know.
 */
#include "handler.h"
#include "sandbox.h"

static enum handler_result run(const struct handler_job *job,
    const struct handler_config *config, const struct handler_io *io, GString *out)
{
    (void)job, (void)config, (void)io, (void)out;
    return HANDLER_DONE;
}

const struct handler noop_handler = {
    .name = "noop",
    .runs = HANDLER_RUNS_BOTH,
    .summary = "does nothing",
    .needs = sandbox_confine,
    .run = run,
};
