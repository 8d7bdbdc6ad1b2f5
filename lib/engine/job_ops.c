/* job_ops.c - the scripts of a running job; see job_ops.h. */
#include "engine/job_ops.h"

#include "queue/query.h"
#include "scripts.h"

#include <string.h>

/* ---- its end ----------------------------------------------------------------------------- */

/* Others can give a parent to a running job, but only one with a custom id: ids from the
 * queue's counter cannot be chosen. */
static bool may_have_parent(const ox_job *job)
{
    bool counted = job->id.len > 0;
    for (size_t i = 0; counted && i < job->id.len; i++) {
        counted = job->id.text[i] >= '0' && job->id.text[i] <= '9';
    }
    return !counted || job->field[OX_JOB_PARENT_KEY].text != NULL;
}

/* The common case has a script of its own. */
static enum ox__plain how_plain(const struct ox_task *task, const struct ox__job_end *end)
{
    if (end->kind != OX__END_COMPLETED || task->ahead ||
        task->stored->options.set.dedup.id != NULL ||
        task->job->field[OX_JOB_ATTEMPTS_STARTED].text != NULL ||
        task->job->field[OX_JOB_ATTEMPTS_MADE].text != NULL) {
        return OX__NOT_PLAIN;
    }
    return *end->keep == '\0'            ? OX__PLAIN_KEPT
           : strcmp(end->keep, "0") == 0 ? OX__PLAIN_DROPPED
                                         : OX__NOT_PLAIN;
}

void ox__jobs_put_end(
    struct ox__ends *ends, struct ox_task *task, const struct ox__job_end *end)
{
    struct ox__run *run = &task->run;
    struct ox__end_args args;
    char token[OX__TASK_TOKEN_MAX];
    ox__task_token(token, task);
    ox__end_args(&args, end, token, &run->id);
    for (size_t i = 0; i < args.count; i++) {
        if (i == OX__END_ID) {
            ox__ends_head(ends, run);
        }
        ox__ends_arg(ends, run, args.arg[i].text, args.arg[i].len);
    }
    task->end.plain = how_plain(task, end);
    task->end.parent = may_have_parent(task->job);
}

/* ---- updates ---------------------------------------------------------------------------- */

static void about(const struct ox__jobs *jobs, struct ox__op *op,
    const struct ox__script *script, const struct ox__run *run)
{
    ox__op_at(op, script, jobs->at);
    ox__op_bytes(op, "id", run->id.text, run->id.len);
}

void ox__jobs_progress(
    const struct ox__jobs *jobs, struct ox__op *op, const struct ox__run *run, const char *json)
{
    about(jobs, op, &ox__script_update_progress, run);
    ox__op_text(op, "progress", json);
}

void ox__jobs_data(
    const struct ox__jobs *jobs, struct ox__op *op, const struct ox__run *run, const char *json)
{
    about(jobs, op, &ox__script_update_data, run);
    ox__op_text(op, "data", json);
}

void ox__jobs_log(const struct ox__jobs *jobs, struct ox__op *op, const struct ox__run *run,
    const char *row, size_t len, int64_t keep)
{
    about(jobs, op, &ox__script_add_log, run);
    ox__op_bytes(op, "row", row, len);
    ox__op_int(op, "keep", keep);
}

void ox__jobs_wait_children(
    const struct ox__jobs *jobs, struct ox__op *op, const struct ox__run *run, int64_t now_ms)
{
    ox__op_at(op, &ox__script_wait_children, jobs->at);
    ox__op_int(op, "now", now_ms);
    ox__op_bytes(op, "job_id", run->id.text, run->id.len);
    ox__op_text(op, "token", run->token);
}

bool ox__jobs_load(size_t i, struct ox__op *op)
{
    static const struct ox__script *const scripts[] = { &ox__script_update_progress,
        &ox__script_add_log, &ox__script_update_data };
    if (i >= sizeof(scripts) / sizeof(scripts[0])) {
        return false;
    }
    ox__op_command(op, "SCRIPT");
    ox__op_text(op, "subcommand", "LOAD");
    ox__op_bytes(op, "script", scripts[i]->source, scripts[i]->len);
    return true;
}
