/*
 * say.c - what a job says while it runs: progress, log rows, new data.
 *
 * Each is a request of its own, sent at once. Of progress a few values may be on their way at
 * once, so that a handler's ordinary steps each have their event. Past PROGRESS_MAX only the
 * newest value matters: one waits, and what comes meanwhile takes its place. A job that tells
 * of its progress a million times while the server is slow costs so many values and one. Rows
 * are all kept, so whoever writes many looks at ox_task_unanswered() and waits for `said`.
 *
 * A task may end before its requests are answered, so they share a talk, which knows the task
 * for as long as it is there. The last of them to go frees it.
 */
#include "engine/worker.h"

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "scripts.h"

#include <stdlib.h>
#include <string.h>

enum { PROGRESS_MAX = 16 }; /* values of a task's progress on their way at once */

static void talk_free(struct ox__talk *talk)
{
    free(talk->progress);
    free(talk);
}

static struct ox__talk *talk_of(ox_task *task)
{
    if (task->talk == NULL) {
        task->talk = calloc(1, sizeof(*task->talk));
        if (task->talk != NULL) {
            task->talk->task = task;
        }
    }
    return task->talk;
}

static int out_of_memory(ox_task *task)
{
    ox_error err;
    ox__fail_memory(&err);
    ox__worker_error(task->worker, ox_job_id(task->job), &err);
    return 0;
}

/* A script call about the task's job beside the others, up to the job's id. NULL when there is
 * nobody to be told of it (the lock is lost) or memory is out. */
static struct ox__side *speak(ox_task *task, const struct ox__script *script)
{
    const char *id = ox_job_id(task->job);
    struct ox__talk *talk = talk_of(task);
    struct ox__side *side =
        task->lock.lost || talk == NULL ? NULL : ox__side_new(task->worker, id);
    if (talk == NULL) {
        out_of_memory(task);
    }
    if (side != NULL) {
        side->talk = talk;
        ox__op_at(&side->request.op, script, &task->worker->at);
        const struct ox__field *bytes = &task->job->id;
        ox__op_bytes(&side->request.op, "id", bytes->text, bytes->len);
    }
    return side;
}

/* One that cannot be sent is done before this returns; that calls nobody. */
static void send_talk(struct ox__side *side)
{
    struct ox__talk *talk = side->talk;
    talk->out++;
    talk->sending = true;
    ox__side_send(side);
    talk->sending = false;
}

static void send_progress(ox_task *task, const char *json)
{
    struct ox__side *side = speak(task, &ox__script_update_progress);
    if (side != NULL) {
        side->progress = true;
        task->talk->progress_out++;
        ox__op_text(&side->request.op, "progress", json);
        send_talk(side);
    }
}

/* Sends the value that waits. */
static void send_rest(ox_task *task)
{
    char *json = task->talk->progress;
    task->talk->progress = NULL;
    send_progress(task, json);
    free(json);
}

void ox__task_say_rest(struct ox_task *task)
{
    if (task->talk != NULL && task->talk->progress != NULL && !task->worker->aborted) {
        send_rest(task);
    }
}

void ox__task_hush(struct ox_task *task)
{
    struct ox__talk *talk = task->talk;
    task->talk = NULL;
    if (talk != NULL) {
        talk->task = NULL;
        if (talk->out == 0) {
            talk_free(talk);
        }
    }
}

void ox__talk_answered(struct ox__side *side)
{
    struct ox__talk *talk = side->talk;
    struct ox_task *task = talk->task;
    ox_worker *worker = side->worker;
    talk->out--;
    talk->progress_out -= side->progress ? 1 : 0;
    if (task == NULL) {
        if (talk->out == 0) {
            talk_free(talk);
        }
        return;
    }
    if (worker->aborted || talk->sending) {
        return;
    }
    if (talk->progress != NULL && talk->progress_out < PROGRESS_MAX) {
        send_rest(task);
    }
    if (talk->out == 0 && task->theirs && worker->options.said != NULL) {
        worker->options.said(task, worker->arg);
    }
}

int ox_task_progress(ox_task *task, const char *json)
{
    if (task == NULL || json == NULL) {
        return OX_EINVAL;
    }
    if (ox__json_scan(json, strlen(json), OX__JSON_DEEP) != 1) {
        return OX_EINVAL;
    }
    if (task->talk == NULL || task->talk->progress_out < PROGRESS_MAX) {
        send_progress(task, json);
        return 0;
    }
    char *copy = strdup(json);
    if (copy == NULL) {
        return out_of_memory(task);
    }
    free(task->talk->progress);
    task->talk->progress = copy;
    return 0;
}

int ox_task_update_data(ox_task *task, const char *json)
{
    if (task == NULL || json == NULL) {
        return OX_EINVAL;
    }
    if (ox__json_scan(json, strlen(json), OX__JSON_DEEP) != 1) {
        return OX_EINVAL;
    }
    struct ox__side *side = speak(task, &ox__script_update_data);
    if (side != NULL) {
        ox__op_text(&side->request.op, "data", json);
        send_talk(side);
    }
    return 0;
}

int ox_task_log(ox_task *task, const char *row)
{
    if (task == NULL || row == NULL) {
        return OX_EINVAL;
    }
    struct ox__side *side = speak(task, &ox__script_add_log);
    if (side != NULL) {
        ox__op_bytes(&side->request.op, "row", row, ox__utf8_truncate(row, OX__TEXT_MAX));
        ox__op_int(&side->request.op, "keep", task->run->options.set.keep_logs);
        side->request.keep = false;
        send_talk(side);
    }
    return 0;
}

uint32_t ox_task_unanswered(const ox_task *task)
{
    if (task == NULL) {
        return 0;
    }
    return task->talk != NULL ? task->talk->out : 0;
}
