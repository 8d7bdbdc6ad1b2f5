/*
 * jobs_take.c - taking jobs: what a take asks for, and what it brings; see jobs_take.h.
 *
 * A job comes with its take, or is read apart, by a plain command afterwards: see fetch.h.
 */
#include "engine/jobs_take.h"

#include "base/clock.h"
#include "base/error.h"
#include "codes.h"
#include "queue/end_args.h"
#include "queue/query.h"
#include "scripts.h"
#include "wire/link.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define TAKE_HEAD 5 /* elements before the jobs in the answer of a take */
#define REMEMBER_JOBS 1000
#define STARTS_MAX (1LL << 53) /* of a job; in Lua, numbers are exact up to that */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

int64_t ox__jobs_ms(const char *score)
{
    double at = g_ascii_strtod(score, NULL);
    return at >= (double)OX__MAX_MS ? OX__MAX_MS : at >= 0 ? (int64_t)at : 0;
}

/* What a task has of its job; in the answer of a take in this order, see lua/inc/take.lua. */
static const enum ox_field first_fields[] = { OX_JOB_NAME, OX_JOB_DATA, OX_JOB_OPTS,
    OX_JOB_TIMESTAMP, OX_JOB_PARENT_KEY, OX_JOB_ATTEMPTS_STARTED, OX_JOB_ATTEMPTS_MADE,
    OX_JOB_DEFERRED_FAILURE };
static const enum ox_field rerun_fields[] = { OX_JOB_STALLED, OX_JOB_STACK_TRACE,
    OX_JOB_PROGRESS, OX_JOB_FAILED_REASON };

void ox__jobs_put_take(void *self, struct ox__op *op, const struct ox__take *take)
{
    static const char *const popped[] = {
        [OX__POPPED_NO] = "0", [OX__POPPED_YES] = "1", [OX__POPPED_UNKNOWN] = "?"
    };
    const struct ox__jobs *jobs = self;
    bool apart = (take->busy || jobs->look > 0) && jobs->ahead == 0;
    /* A job that has run before does not begin until its start is written. Where such jobs were
     * met lately the script writes all starts, or each of them would cost a claim. */
    bool late = take->lock_ms == 0 && jobs->late_start && !(apart && jobs->reruns > 0);
    const struct ox__take_args args = { .now_ms = take->now_ms,
        .error_ms = apart ? -1 : take->error_ms, /* nobody compares it with a job's time */
        .want = take->want,
        .lock_ms = late ? -1 : (int64_t)take->lock_ms,
        .token = take->token,
        .name = jobs->name,
        .limit_max = jobs->limiter_max,
        .limit_ms = jobs->limiter_duration_ms,
        .popped = popped[take->popped],
        .look = take->look,
        .apart = apart };
    ox__put_take_args(op, &args);
}

void ox__jobs_take(void *self, struct ox__op *op, const struct ox__take *take)
{
    const struct ox__jobs *jobs = self;
    ox__op_at(op, &ox__script_take_jobs, jobs->at);
    ox__jobs_put_take(self, op, take);
}

static bool is_take(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements >= TAKE_HEAD &&
           reply->element[0]->type == REDIS_REPLY_INTEGER &&
           reply->element[1]->type == REDIS_REPLY_INTEGER &&
           reply->element[2]->type == REDIS_REPLY_STRING &&
           reply->element[3]->type == REDIS_REPLY_STRING &&
           reply->element[4]->type == REDIS_REPLY_STRING;
}

/* Index and refusal in turn: numbers, or as a refusal the error of this job. */
static bool is_refusals(const redisReply *reply)
{
    bool good = reply->type == REDIS_REPLY_ARRAY && reply->elements % 2 == 0;
    for (size_t i = 0; good && i < reply->elements; i++) {
        int type = reply->element[i]->type;
        good = type == REDIS_REPLY_INTEGER || (i % 2 == 1 && type == REDIS_REPLY_ERROR);
    }
    return good;
}

/* The part of a reply with the taken jobs; NULL if there is none. */
static const redisReply *taken_of(const redisReply *reply, bool ends)
{
    if (!ends) {
        return reply;
    }
    bool good = reply->type == REDIS_REPLY_ARRAY && reply->elements >= 2 &&
                is_refusals(reply->element[0]);
    return good ? reply->element[1] : NULL;
}

/* A take that failed behind ends that were stored names its call behind its error. */
bool ox__jobs_call_fits(void *self, const redisReply *reply, bool ends, const char *token)
{
    (void)self;
    const redisReply *taken = taken_of(reply, ends), *named = NULL;
    if (taken != NULL && is_take(taken)) {
        named = taken->element[4];
    } else if (taken != NULL && ends && taken->type == REDIS_REPLY_ERROR &&
               reply->elements == 3 && reply->element[2]->type == REDIS_REPLY_STRING) {
        named = reply->element[2];
    }
    return named != NULL && strcmp(named->str, token) == 0;
}

int ox__jobs_takings(
    void *self, const redisReply *reply, bool ends, struct ox__takings *takings, ox_error *err)
{
    (void)self;
    const redisReply *taken = taken_of(reply, ends);
    if (taken->type == REDIS_REPLY_ERROR) {
        return ox__reply_check(taken, err);
    }
    const char *due = taken->element[2]->str;
    *takings = (struct ox__takings){ .limit_ms = taken->element[1]->integer,
        .due_ms = ox__jobs_ms(due),
        .unsure = strcmp(due, "?") == 0,
        .server_us = g_ascii_strtoll(taken->element[3]->str, NULL, 10) };
    return 0;
}

/* When the script says that the job was started: not before it was made; see lua/inc/take.lua.
 */
static int64_t started_ms(const struct ox__field *made, int64_t now_ms, bool *ahead)
{
    char now[24];
    size_t len = ox__int_text(now, now_ms);
    *ahead = made->text != NULL && made->len == len && memcmp(made->text, now, len) > 0 &&
             strspn(made->text, "0123456789") == len;
    return *ahead ? g_ascii_strtoll(made->text, NULL, 10) : now_ms;
}

static uint32_t remember(uint32_t left, bool met)
{
    return met ? REMEMBER_JOBS : left - (left > 0 ? 1 : 0);
}

/* What is known of the job by now, and what its run is named by. */
static void note_job(struct ox__jobs *jobs, struct ox_task *task)
{
    jobs->look = remember(jobs->look, task->job->field[OX_JOB_DATA].len > OX__LARGE_BYTES);
    jobs->ahead = remember(jobs->ahead, task->ahead);
    jobs->reruns = remember(jobs->reruns, task->again);
}

/* The job of a scheduler is named after it: "repeat:<scheduler>:<ms>". */
static void set_scheduler(const struct ox__field *id, struct ox__field *scheduler)
{
    const char *end = id->len > 7 && memcmp(id->text, "repeat:", 7) == 0
                          ? memrchr(id->text, ':', id->len)
                          : NULL;
    if (end != NULL && end > id->text + 7) {
        scheduler->text = id->text + 7;
        scheduler->len = (size_t)(end - scheduler->text);
    }
}

/* The fields of a job that came with its take. */
static void read_fields(
    const redisReply *reply, size_t *i, struct ox__field field[OX_FIELD_COUNT])
{
    for (size_t f = 0; f < COUNT(first_fields); f++) {
        field[first_fields[f]] = ox__field_of(reply->element[(*i)++]);
    }
    if (field[OX_JOB_ATTEMPTS_STARTED].text != NULL ||
        field[OX_JOB_ATTEMPTS_MADE].text != NULL) {
        for (size_t f = 0; f < COUNT(rerun_fields) && *i < reply->elements; f++) {
            field[rerun_fields[f]] = ox__field_of(reply->element[(*i)++]);
        }
    }
}

/* The task of the job at `i`, which goes behind it. Without memory none: the job's lock runs
 * out and the stalled check returns it. */
static int take_job(struct ox__jobs *jobs, const redisReply *reply, size_t *i, int64_t now_ms,
    struct ox__taken *taken)
{
    struct ox__field field[OX_FIELD_COUNT] = { { NULL, 0 } };
    struct ox__field id = ox__field_of(reply->element[(*i)++]);
    const redisReply *starts = reply->element[*i];
    bool apart = starts->type == REDIS_REPLY_INTEGER;
    if (id.text == NULL || (!apart && *i + COUNT(first_fields) > reply->elements)) {
        return OX_EREPLY;
    }
    if (apart) {
        ++*i;
    } else {
        read_fields(reply, i, field);
        set_scheduler(&id, &field[OX_JOB_SCHEDULER]);
    }
    struct ox_task *task = ox__task_new(&jobs->pool, jobs->worker, &id, apart ? NULL : field);
    taken->id = id.text;
    taken->run = NULL;
    if (task == NULL) {
        ox__fail_memory(&taken->err);
        return 1;
    }
    taken->run = &task->run;
    task->run.apart = apart;
    if (apart) {
        task->started_ms = now_ms;
        task->starts = llabs(CLAMP(starts->integer, -STARTS_MAX, STARTS_MAX));
        task->at_now = starts->integer > 0;
        task->late = task->starts == 0;
        task->again = task->starts > 1;
        return 1;
    }
    task->late = jobs->late_start && field[OX_JOB_ATTEMPTS_STARTED].text == NULL &&
                 field[OX_JOB_ATTEMPTS_MADE].text == NULL;
    task->started_ms = started_ms(&field[OX_JOB_TIMESTAMP], now_ms, &task->ahead);
    task->starts = ox_job_number(task->job, OX_JOB_ATTEMPTS_STARTED, 0) + 1;
    note_job(jobs, task);
    return 1;
}

/* First the jobs, then those that the take passed over since they cannot be started: the id and
 * the error of each. */
int ox__jobs_taken(void *self, const redisReply *whole, bool ends, struct ox__taking *at,
    int64_t now_ms, struct ox__taken *taken)
{
    const struct ox__jobs *jobs = self;
    const redisReply *reply = taken_of(whole, ends);
    size_t *i = &at->i;
    *i = *i > 0 ? *i : TAKE_HEAD;
    if (at->left > 0 && at->n < (size_t)reply->element[0]->integer &&
        *i + 1 < reply->elements) {
        at->left--;
        at->n++;
        return take_job(self, reply, i, now_ms, taken);
    }
    at->left = 0;
    if (*i + 1 >= reply->elements) {
        return *i == reply->elements ? 0 : OX_EREPLY;
    }
    const redisReply *id = reply->element[*i], *why = reply->element[*i + 1];
    if (id->type != REDIS_REPLY_STRING || why->type != REDIS_REPLY_ERROR) {
        return OX_EREPLY;
    }
    *i += 2;
    *taken = (struct ox__taken){ .id = id->str };
    ox__script_refused(why, jobs->at->name, id->str, &taken->err);
    return 1;
}

/* ---- reading a job apart ----------------------------------------------------------------- */

/* What is read: all of a job that has run before; else the first of these, as many as tell
 * whether it has, as far as the take has not seen that. */
static const enum ox_field apart_fields[] = { OX_JOB_NAME, OX_JOB_DATA, OX_JOB_OPTS,
    OX_JOB_TIMESTAMP, OX_JOB_PARENT_KEY, OX_JOB_DEFERRED_FAILURE, OX_JOB_ATTEMPTS_MADE,
    OX_JOB_ATTEMPTS_STARTED, OX_JOB_STALLED, OX_JOB_STACK_TRACE, OX_JOB_PROGRESS,
    OX_JOB_FAILED_REASON };
#define APART_STARTED 7 /* its start is written */
#define APART_LATE 9

static size_t fields_of(const struct ox_task *task)
{
    return task->again ? COUNT(apart_fields) : task->late ? APART_LATE : APART_STARTED;
}

void ox__jobs_fetch(void *self, struct ox__op *op, const struct ox__run *run)
{
    const struct ox__jobs *jobs = self;
    ox__op_command(op, "HMGET");
    ox__op_key_of(op, jobs->at->base, run->id.text, run->id.len);
    for (size_t i = 0; i < fields_of(ox__task_of_const(run)); i++) {
        ox__op_text(op, "field", ox__field_name(apart_fields[i]));
    }
}

bool ox__jobs_fetch_fits(void *self, const struct ox__run *run, const redisReply *reply)
{
    (void)self;
    bool good = reply->type == REDIS_REPLY_ARRAY &&
                reply->elements == fields_of(ox__task_of_const(run));
    for (size_t i = 0; good && i < reply->elements; i++) {
        int type = reply->element[i]->type;
        good = type == REDIS_REPLY_STRING || type == REDIS_REPLY_NIL;
    }
    return good || reply->type == REDIS_REPLY_ERROR;
}

/* How often the job was started before this. */
static struct ox__field starts_before(const struct ox_task *task, char text[24])
{
    if (task->starts <= 1) {
        return (struct ox__field){ NULL, 0 };
    }
    size_t len = ox__int_text(text, task->starts - 1);
    text[len] = '\0';
    return (struct ox__field){ text, len };
}

/* Gives the task its fields. What is large stays in the reply. */
static int fill(struct ox__jobs *jobs, struct ox_task *task,
    const struct ox__field field[OX_FIELD_COUNT], struct ox__link *link, ox_error *err)
{
    OX__AUTO(ox__free_reply) redisReply *kept = NULL;
    bool large = false;
    for (size_t i = 0; i < OX_FIELD_COUNT; i++) {
        large = large || field[i].len > OX__LARGE_BYTES;
    }
    if (large) {
        kept = ox__link_keep_reply(link);
    }
    bool filled = (!large || kept != NULL) &&
                  ox__task_fill(&jobs->pool, task, field, large ? &kept : NULL);
    return filled ? 0 : ox__fail_memory(err);
}

static bool has_run(const struct ox__field field[OX_FIELD_COUNT])
{
    return field[OX_JOB_ATTEMPTS_MADE].text != NULL ||
           field[OX_JOB_ATTEMPTS_STARTED].text != NULL || field[OX_JOB_STALLED].text != NULL;
}

int ox__jobs_fetched(void *self, struct ox__run *run, const redisReply *reply,
    struct ox__link *link, ox_error *err)
{
    struct ox__jobs *jobs = self;
    struct ox_task *task = ox__task_of(run);
    struct ox__field field[OX_FIELD_COUNT] = { { NULL, 0 } };
    char text[24];
    if (reply->type == REDIS_REPLY_ERROR && !g_str_has_prefix(reply->str, "WRONGTYPE")) {
        return ox__reply_check(reply, err);
    }
    for (size_t i = 0; i < reply->elements; i++) {
        field[apart_fields[i]] = ox__field_of(reply->element[i]);
    }
    if (has_run(field) && !task->again) {
        task->again = true;
        return OX__FETCH_MORE;
    }
    bool is_there = field[OX_JOB_NAME].text != NULL || field[OX_JOB_DATA].text != NULL ||
                    field[OX_JOB_OPTS].text != NULL || field[OX_JOB_TIMESTAMP].text != NULL;
    if (!task->late) {
        field[OX_JOB_ATTEMPTS_STARTED] = starts_before(task, text);
    }
    set_scheduler(&run->id, &field[OX_JOB_SCHEDULER]);
    int rc = fill(jobs, task, field, link, err);
    if (rc < 0) {
        return rc;
    }
    int64_t made_ms =
        started_ms(&task->job->field[OX_JOB_TIMESTAMP], task->started_ms, &task->ahead);
    task->started_ms = task->at_now ? task->started_ms : made_ms;
    if (task->late) {
        task->starts = ox_job_number(task->job, OX_JOB_ATTEMPTS_STARTED, 0) + 1;
    }
    note_job(jobs, task);
    /* Made after it was taken, by its own time: it may be another job that got the id of one
     * that was removed meanwhile. And each start counts of a job that has run before, also when
     * this worker dies: it is written with the lock, before the run begins. */
    run->lock.doubt = run->lock.doubt || task->ahead || (task->late && task->again);
    return is_there ? 1 : 0;
}
