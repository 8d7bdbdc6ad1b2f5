/*
 * jobs_take.c - taking jobs: what a take asks for, and what it brings; see jobs_take.h.
 *
 * Most of a job comes with the take. What is large of it is read by plain commands afterwards,
 * see fetch.h.
 */
#include "engine/jobs_take.h"

#include "base/clock.h"
#include "base/error.h"
#include "codes.h"
#include "queue/end_args.h"
#include "queue/query.h"
#include "scripts.h"

#include <glib.h>
#include <string.h>

#define TAKE_HEAD 5  /* elements before the jobs in the answer of a take */
#define FIRST_DATA 1 /* where a field is among those of a job */
#define FIRST_OPTS 2
#define LOOK_AT_JOBS 1000
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

int64_t ox__jobs_ms(const char *score)
{
    double at = g_ascii_strtod(score, NULL);
    return at >= (double)OX__MAX_MS ? OX__MAX_MS : at >= 0 ? (int64_t)at : 0;
}

/* Fields of a job in the answer of a take, in its order; see lua/inc/take.lua. */
static const enum ox_field first_fields[] = { OX_JOB_NAME, OX_JOB_DATA, OX_JOB_OPTS,
    OX_JOB_TIMESTAMP, OX_JOB_PARENT_KEY, OX_JOB_ATTEMPTS_STARTED, OX_JOB_ATTEMPTS_MADE,
    OX_JOB_DEFERRED_FAILURE };
static const enum ox_field rerun_fields[] = { OX_JOB_STALLED, OX_JOB_STACK_TRACE,
    OX_JOB_PROGRESS, OX_JOB_FAILED_REASON, OX_JOB_PROCESSED_ON };

void ox__jobs_put_take(void *self, struct ox__op *op, const struct ox__take *take)
{
    static const char *const popped[] = {
        [OX__POPPED_NO] = "0", [OX__POPPED_YES] = "1", [OX__POPPED_UNKNOWN] = "?"
    };
    const struct ox__jobs *jobs = self;
    const struct ox__take_args args = { .now_ms = take->now_ms,
        .error_ms = take->error_ms,
        .want = take->want,
        .lock_ms = take->lock_ms == 0 && jobs->late_start ? -1 : (int64_t)take->lock_ms,
        .token = take->token,
        .name = jobs->name,
        .limit_max = jobs->limiter_max,
        .limit_ms = jobs->limiter_duration_ms,
        .popped = popped[take->popped],
        .look = take->look,
        .sizes = jobs->look > 0 };
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

/* Whether the length of a field came in its place. */
static bool is_apart(const redisReply *field)
{
    return field->type == REDIS_REPLY_INTEGER;
}

/* Jobs are looked at for as long as some of them are large. */
static void note_size(struct ox__jobs *jobs, const struct ox_task *task)
{
    bool is_large = task->run.apart || task->job->field[OX_JOB_DATA].len > OX__LARGE_BYTES;
    jobs->look = is_large ? LOOK_AT_JOBS : jobs->look - (jobs->look > 0 ? 1 : 0);
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

/* The task of the job at `i`, which goes behind it. Without memory none: the job's lock runs
 * out and the stalled check returns it. */
static int take_job(struct ox__jobs *jobs, const redisReply *reply, size_t *i, int64_t now_ms,
    struct ox__taken *taken)
{
    struct ox__field field[OX_FIELD_COUNT] = { { NULL, 0 } };
    struct ox__field id = ox__field_of(reply->element[(*i)++]);
    const redisReply *const *fields = (const redisReply *const *)&reply->element[*i];
    for (size_t f = 0; f < COUNT(first_fields); f++) {
        field[first_fields[f]] = ox__field_of(reply->element[(*i)++]);
    }
    if (field[OX_JOB_ATTEMPTS_STARTED].text != NULL ||
        field[OX_JOB_ATTEMPTS_MADE].text != NULL) {
        for (size_t f = 0; f < COUNT(rerun_fields) && *i < reply->elements; f++) {
            field[rerun_fields[f]] = ox__field_of(reply->element[(*i)++]);
        }
    }
    if (id.text == NULL) {
        return OX_EREPLY;
    }
    set_scheduler(&id, &field[OX_JOB_SCHEDULER]);
    struct ox_task *task = ox__task_new(&jobs->pool, jobs->worker, &id, field);
    taken->id = id.text;
    taken->run = NULL;
    if (task == NULL) {
        ox__fail_memory(&taken->err);
        return 1;
    }
    task->data_apart = is_apart(fields[FIRST_DATA]);
    task->opts_apart = is_apart(fields[FIRST_OPTS]);
    task->run.apart = task->data_apart || task->opts_apart;
    note_size(jobs, task);
    task->started_ms = started_ms(&field[OX_JOB_TIMESTAMP], now_ms, &task->ahead);
    task->late = jobs->late_start && field[OX_JOB_ATTEMPTS_STARTED].text == NULL &&
                 field[OX_JOB_ATTEMPTS_MADE].text == NULL;
    task->starts = ox_job_number(task->job, OX_JOB_ATTEMPTS_STARTED, 0) + 1;
    taken->run = &task->run;
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
        *i + 1 + COUNT(first_fields) <= reply->elements) {
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

void ox__jobs_fetch(void *self, struct ox__op *op, const struct ox__run *run)
{
    const struct ox__jobs *jobs = self;
    const struct ox_task *task = ox__task_of_const(run);
    ox__op_command(op, "HMGET");
    ox__op_key_of(op, jobs->at->base, run->id.text, run->id.len);
    if (task->data_apart) {
        ox__op_text(op, "field", "data");
    }
    if (task->opts_apart) {
        ox__op_text(op, "field", "opts");
    }
}

bool ox__jobs_fetch_fits(void *self, const struct ox__run *run, const redisReply *reply)
{
    const struct ox_task *task = ox__task_of_const(run);
    (void)self;
    bool good = reply->type == REDIS_REPLY_ARRAY &&
                reply->elements == (size_t)task->data_apart + task->opts_apart;
    for (size_t i = 0; good && i < reply->elements; i++) {
        int type = reply->element[i]->type;
        good = type == REDIS_REPLY_STRING || type == REDIS_REPLY_NIL;
    }
    return good;
}

int ox__jobs_fetched(void *self, struct ox__run *run, redisReply **kept)
{
    struct ox__jobs *jobs = self;
    for (size_t i = 0; i < (*kept)->elements; i++) {
        if ((*kept)->element[i]->type == REDIS_REPLY_NIL) {
            return 0;
        }
    }
    return ox__task_complete(&jobs->pool, ox__task_of(run), kept) ? 1 : OX_ENOMEM;
}
