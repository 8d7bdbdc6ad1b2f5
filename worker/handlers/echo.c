/*
 * echo.c - returns the job's data. For trying things out: what goes in comes back by
 * `ox add --wait`, through every part on the way.
 */
#include "handler.h"
#include "sandbox.h"

static enum handler_result run(const struct handler_job *job,
    const struct handler_config *config, const struct handler_io *io, GString *out)
{
    (void)config, (void)io;
    g_string_append_len(out, job->data, (gssize)job->data_len);
    return HANDLER_DONE;
}

const struct handler echo_handler = {
    .name = "echo",
    .runs = HANDLER_RUNS_BOTH,
    .summary = "returns the job's data",
    .needs = sandbox_confine,
    .run = run,
};
