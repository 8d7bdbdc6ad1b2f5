/*
 * jobopts.h - the options of a job as the verbs that make jobs take them.
 *
 * A verb puts an ox_job_options at the beginning of its own struct and the rows into `more`.
 */
#ifndef OX_CLI_JOBOPTS_H
#define OX_CLI_JOBOPTS_H

#include "cmd.h"

extern const struct opt jobopts_rows[];

/* Checks options that the rows filled, and completes the parent's queue with the prefix of the
 * run, which owns the strings. Returns an enum status; reports failures. */
int jobopts_check(struct run *run, ox_job_options *options);

#endif /* OX_CLI_JOBOPTS_H */
