/*
 * jobopts.h - the options of a job as the verbs that make jobs take them.
 *
 * A verb puts an ox_job_options at the beginning of its own struct and the rows into `more`.
 */
#ifndef OX_CLI_JOBOPTS_H
#define OX_CLI_JOBOPTS_H

#include "cmd.h"
#include "parse.h"

extern const struct opt jobopts_rows[];

/* For the own rows of a verb whose jobs may be children of a job. */
#define PARENT_ROWS                                                                            \
    { .name = "parent",                                                                        \
        .kind = OPT_PARSED,                                                                    \
        .offset = offsetof(ox_job_options, parent),                                            \
        .arg = "QUEUE:ID",                                                                     \
        .parse = parse_parent,                                                                 \
        .help =                                                                                \
            "the job that waits for this one; PREFIX:QUEUE:ID under another prefix. Only a "   \
            "scheduler's job (repeat:SCHEDULER:TIME) may have colons in its id" },             \
    {                                                                                          \
        .name = "on-failure", .kind = OPT_PARSED,                                              \
        .offset = offsetof(ox_job_options, on_failure), .arg = "WHAT",                         \
        .parse = parse_child_failure,                                                          \
        .help = "what the parent does when this job fails for good: wait (default), fail, "    \
                "continue, ignore, remove"                                                     \
    }

/* Checks options that the rows filled, and completes the parent's queue with the prefix of the
 * run, which owns the strings. Returns an enum status; reports failures. */
int jobopts_check(struct run *run, ox_job_options *options);

#endif /* OX_CLI_JOBOPTS_H */
