/*
 * jobopts.h - the options of a job as the verbs that make jobs take them.
 *
 * A verb puts a struct jobopts at the beginning of its own struct and the rows into `more`.
 */
#ifndef OX_CLI_JOBOPTS_H
#define OX_CLI_JOBOPTS_H

#include "cmd.h"

struct jobopts {
    int64_t delay_ms, priority, attempts, keep_logs;
    int64_t stack_traces; /* -1: not given */
    bool lifo;
    ox_backoff backoff;
    ox_keep on_complete, on_fail;
    const char *parent;
    int child_failure; /* enum ox_child_failure */
    const char *json;
};

extern const struct opt jobopts_rows[];

/* Fills `out`, whose strings are borrowed from the run. Returns an enum status; reports
 * failures. */
int jobopts_fill(struct run *run, const struct jobopts *from, ox_job_options *out);

#endif /* OX_CLI_JOBOPTS_H */
