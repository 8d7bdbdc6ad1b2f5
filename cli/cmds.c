/*
 * cmds.c - the table of all verbs. A new verb is a file of its own and a line here.
 */
#include "cmd.h"

const struct cmd *const cmds[] = {
    &cmd_add,
    &cmd_import,
    &cmd_flow,
    &cmd_queues,
    &cmd_counts,
    &cmd_jobs,
    &cmd_job,
    &cmd_explain,
    &cmd_events,
    &cmd_workers,
    &cmd_metrics,
    &cmd_retry,
    &cmd_promote,
    &cmd_update,
    &cmd_rm,
    &cmd_pause,
    &cmd_resume,
    &cmd_limit,
    &cmd_drain,
    &cmd_clean,
    &cmd_obliterate,
    &cmd_schedule_set,
    &cmd_schedule_ls,
    &cmd_schedule_rm,
    &cmd_dev,
    &cmd_completion,
    NULL,
};
