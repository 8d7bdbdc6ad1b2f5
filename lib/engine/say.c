/* say.c - updates of a running job; see say.h. */
#include "engine/say.h"

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/job_ops.h"
#include "engine/notify.h"
#include "queue/retry.h"

#include <stdlib.h>
#include <string.h>

enum { PROGRESS_MAX = 16 }; /* values of a task's progress in flight at once */

struct ox__talk {
    struct ox_task *task;  /* NULL once that is gone */
    uint32_t out;          /* requests on their way */
    uint32_t progress_out; /* those of them that are progress */
    char *progress;        /* the newest value, which waits for those; or NULL */
    bool sending;
};

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
    ox__notify_error(task->worker, ox_job_id(task->job), &err);
    return 0;
}

static void said(struct ox__side *side);
static void said_progress(struct ox__side *side);

/* A request about the task's job beside the others. NULL when out of memory. */
static struct ox__side *speak(ox_task *task)
{
    struct ox__talk *talk = talk_of(task);
    struct ox__side *side =
        talk == NULL ? NULL : ox__side_new(&task->worker->engine.sides, ox_job_id(task->job));
    if (talk == NULL) {
        out_of_memory(task);
    }
    if (side != NULL) {
        side->arg = talk;
        side->over = said;
    }
    return side;
}

/* One that cannot be sent is over before this returns; that calls nobody. */
static void send_talk(struct ox__side *side)
{
    struct ox__talk *talk = side->arg;
    talk->out++;
    talk->sending = true;
    ox__side_send(side);
    talk->sending = false;
}

static void send_progress(ox_task *task, const char *json)
{
    struct ox__side *side = task->run.lock.lost ? NULL : speak(task);
    if (side != NULL) {
        side->over = said_progress;
        task->talk->progress_out++;
        ox__jobs_progress(&task->worker->jobs, &side->request.op, &task->run, json);
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

void ox__say_rest(struct ox_task *task)
{
    if (task->talk != NULL && task->talk->progress != NULL &&
        task->worker->engine.state != OX__ENGINE_CLOSED) {
        send_rest(task);
    }
}

void ox__say_hush(struct ox_task *task)
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

/* One request of a talk is over. */
static void said(struct ox__side *side)
{
    struct ox__talk *talk = side->arg;
    struct ox_task *task = talk->task;
    talk->out--;
    if (task == NULL) {
        if (talk->out == 0) {
            talk_free(talk);
        }
        return;
    }
    const ox_worker *worker = task->worker;
    if (worker->engine.state == OX__ENGINE_CLOSED || talk->sending) {
        return;
    }
    if (talk->progress != NULL && talk->progress_out < PROGRESS_MAX) {
        send_rest(task);
    }
    if (talk->out == 0 && task->run.theirs && worker->options.updates_done != NULL) {
        worker->options.updates_done(task, worker->arg);
    }
}

static void said_progress(struct ox__side *side)
{
    struct ox__talk *talk = side->arg;
    talk->progress_out--;
    said(side);
}

static bool is_digest(const struct ox__request *request, const redisReply *reply)
{
    (void)request;
    return reply->type == REDIS_REPLY_STRING && reply->len == 40;
}

static void ignore_reply(struct ox__side *side, const redisReply *reply, const ox_error *err)
{
    (void)side;
    (void)reply;
    (void)err;
}

void ox__say_load_scripts(ox_worker *worker)
{
    struct ox__side *side;
    for (size_t i = 0; (side = ox__side_new(&worker->engine.sides, NULL)) != NULL &&
                       ox__jobs_load(i, &side->request.op);
         i++) {
        side->answered = ignore_reply;
        side->request.fits = is_digest;
        side->request.keep = false;
        ox__side_send(side);
    }
    ox__side_free(side); /* the one too many */
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
    struct ox__side *side = task->run.lock.lost ? NULL : speak(task);
    if (side != NULL) {
        ox__jobs_data(&task->worker->jobs, &side->request.op, &task->run, json);
        send_talk(side);
    }
    return 0;
}

int ox_task_log(ox_task *task, const char *row)
{
    if (task == NULL || row == NULL) {
        return OX_EINVAL;
    }
    struct ox__side *side = speak(task);
    if (side != NULL) {
        ox__jobs_log(&task->worker->jobs, &side->request.op, &task->run, row,
            ox__utf8_truncate(row, OX__TEXT_MAX), task->stored->options.set.keep_logs);
        side->request.keep = false;
        if (task->run.lock.lost) {
            side->answered = ignore_reply; /* perhaps since the job was removed */
        }
        send_talk(side);
    }
    return 0;
}

uint32_t ox_task_pending_updates(const ox_task *task)
{
    if (task == NULL) {
        return 0;
    }
    return task->talk != NULL ? task->talk->out : 0;
}
