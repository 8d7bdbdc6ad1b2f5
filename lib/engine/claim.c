/*
 * claim.c - runs about which a connection that was lost has left doubt.
 *
 * A lock that merely ran out while the server could not be reached is taken again: as long as
 * the job is active, has no lock, and its `ats` and `processedOn` are those of our take, nobody
 * else was given it. So an outage by itself runs nothing twice, and a result that comes late is
 * stored. An end that was sent twice may have been stored the first time; then its second
 * refusal is no news, and the same script can tell.
 *
 * `doubt` marks a task whose lock is gone: one that still runs stays in `running`, one that has
 * ended waits in `doubted`, with the arguments of its end, until the script has answered. One
 * that was taken so long ago that its lock may have run out waits in `running` and starts then.
 * What is lost on the way is asked again at the next renewal.
 */
#include "engine/worker.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define CLAIM_BATCH 200
/* A lock that is gone each time is too short for the way to the server. */
#define CLAIMS_MAX 3

struct claim {
    struct ox__request request;
    ox_worker *worker;
    int64_t sent_ms; /* boot clock */
    size_t count;
    struct {
        struct ox_task *task;
        char token[OX__TOKEN_MAX];
        bool ended;
    } runs[CLAIM_BATCH];
};

static struct ox_task *find(
    const struct ox__task_list *list, const struct ox_task *task, const char *token)
{
    for (struct ox_task *t = list->head; t != NULL; t = t->next) {
        if (t == task && strcmp(t->token, token) == 0 && t->lock.claiming) {
            return t;
        }
    }
    return NULL;
}

/* ---- answers ----------------------------------------------------------------------------- */

/* The run goes on, or what it was about to do is tried again. */
static void claimed_running(struct claim *claim, struct ox_task *task)
{
    task->lock.renewed_ms = ox__steady_ms();
    task->lock.held_ms = claim->sent_ms;
    if (task->lock.starts) {
        task->lock.starts = false;
        ox__task_begin(task);
        return;
    }
    ox__notify(claim->worker, OX_NOTICE_LOCKED_AGAIN, ox_job_id(task->job));
    if (task->go_on != NULL) {
        void (*go_on)(ox_task *, void *) = task->go_on;
        task->go_on = NULL;
        ox_task_wait_children(task, go_on, task->go_on_arg);
    }
}

static void lost_running(struct ox_task *task, int64_t verdict)
{
    bool waits = task->go_on != NULL;
    task->go_on = NULL;
    if (verdict ==
        OX__RUN_STORED) { /* it waits for its children since the first time that it asked to */
        ox__task_note_end(task, OX__KIND_WAITS, "", 0);
        ox__task_drop(task);
        return;
    }
    ox__task_lose(task);
    if (task->lock.starts) { /* nothing of it was run */
        task->end.unrun = true;
        ox__task_drop(task);
    } else if (waits) {
        ox__task_note_end(task, OX__KIND_WAITS, "", 0);
        ox__task_drop(task);
    }
}

static void judge_ended(ox_worker *worker, struct ox_task *task, int64_t verdict)
{
    ox_error err;
    ox__task_list_remove(&worker->doubted, task);
    if (verdict == OX__RUN_LOCKED && ox__task_end_again(task)) {
        return;
    }
    if (verdict == OX__RUN_LOCKED) {
        ox__fail_memory(&err);
    } else if (verdict != OX__RUN_STORED) {
        ox__script_refusal(verdict, worker->at.name, ox_job_id(task->job), &err);
    }
    ox__notify_end(task, verdict == OX__RUN_STORED ? NULL : &err);
    ox__task_free(task);
}

static void judge(struct claim *claim, size_t i, const redisReply *reply)
{
    ox_worker *worker = claim->worker;
    bool ended = claim->runs[i].ended;
    struct ox_task *task = find(
        ended ? &worker->doubted : &worker->running, claim->runs[i].task, claim->runs[i].token);
    if (task == NULL) {
        return; /* ended meanwhile; that end will be refused, and be in doubt itself */
    }
    task->lock.claiming = false;
    if (reply == NULL) {
        return;
    }
    task->lock.doubt = false;
    int64_t verdict = worker->backend->claim_verdict(reply, i);
    if (ended) {
        judge_ended(worker, task, verdict);
    } else if (verdict == OX__RUN_LOCKED) {
        claimed_running(claim, task);
    } else {
        lost_running(task, verdict);
    }
}

static bool fits(const struct ox__request *request, const redisReply *reply)
{
    const struct claim *claim = request->arg;
    return claim->worker->backend->claim_fits(reply, claim->count);
}

static void on_claimed(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct claim *claim = request->arg;
    ox_worker *worker = claim->worker;
    if (err != NULL && !ox__worker_lost(err)) {
        ox__worker_error(worker, NULL, err);
    }
    for (size_t i = 0; i < claim->count && !worker->aborted; i++) {
        judge(claim, i, reply);
    }
    ox__op_done(&request->op);
    free(claim);
    worker->sides--;
    ox__worker_soon(worker);
    ox__worker_finish_close(worker);
}

/* ---- asking ------------------------------------------------------------------------------ */

static void put_run(struct claim *claim, struct ox_task *task, bool ended)
{
    struct ox__run run = ox__task_run(task);
    if (task->end.resent) {
        run.kind = ended ? task->end.kind : OX__KIND_WAITS;
    }
    claim->worker->backend->claim_run(&claim->request.op, &run);
    claim->runs[claim->count].task = task;
    claim->runs[claim->count].ended = ended;
    memcpy(claim->runs[claim->count].token, task->token, OX__TOKEN_MAX);
    claim->count++;
    task->lock.claiming = true;
}

/* Puts what is in doubt into a claim, as much as it takes. */
static void gather(struct claim *claim, struct ox__task_list *list, bool ended)
{
    for (struct ox_task *task = list->head; task != NULL && claim->count < CLAIM_BATCH;
         task = task->next) {
        if (task->lock.doubt && !task->lock.claiming) {
            put_run(claim, task, ended);
        }
    }
}

/* Returns whether there may be more to ask. */
static bool ask(ox_worker *worker)
{
    struct claim *claim = calloc(1, sizeof(*claim));
    if (claim == NULL) {
        return false; /* at the next renewal */
    }
    claim->worker = worker;
    claim->request.done = on_claimed;
    claim->request.arg = claim;
    claim->request.fits = fits;
    claim->sent_ms = ox__boot_ms();
    worker->backend->claim(&claim->request.op, &worker->at, worker->options.lock_ms);
    gather(claim, &worker->running, false);
    gather(claim, &worker->doubted, true);
    if (claim->count == 0) {
        ox__op_done(&claim->request.op);
        free(claim);
        return false;
    }
    bool full = claim->count == CLAIM_BATCH;
    ox_error err;
    worker->sides++;
    if (ox__worker_send(worker, &claim->request, &err) < 0) {
        on_claimed(&claim->request, NULL, &err);
        return false;
    }
    return full;
}

void ox__claim(ox_worker *worker)
{
    while (!worker->aborted && ox__link_is_up(worker->link) && ask(worker)) {
    }
}

bool ox__claim_end(struct ox_task *task, bool resent)
{
    if (task->lock.claims == CLAIMS_MAX || task->end.kept.data == NULL) {
        return false;
    }
    task->lock.claims++;
    task->lock.doubt = true;
    task->end.resent = resent;
    task->end.refusal = 0;
    ox__task_list_push(&task->worker->doubted, task);
    return true;
}
