/* jobs_backend.c - the runs of a queue's jobs, by the scripts of lib/lua; see jobs_backend.h.
 */
#include "engine/jobs_backend.h"

#include "base/clock.h"
#include "base/error.h"
#include "codes.h"
#include "queue/end_args.h"
#include "queue/query.h"
#include "scripts.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>

#define TAKE_HEAD 5  /* elements before the jobs in the answer of a take */
#define FIRST_DATA 1 /* where a field is among those of a job */
#define FIRST_OPTS 2
#define LOOK_AT_JOBS 1000
#define NOT_STORED (-99) /* a refusal that is the text of an error */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void begin(void *self, struct ox__op *op, const struct ox__script *script)
{
    const struct ox__jobs *jobs = self;
    ox__op_at(op, script, jobs->at);
}

/* Clamped to 0..2^53; 0 if it is not a time. */
static int64_t ms_of(const char *text)
{
    double at = g_ascii_strtod(text, NULL);
    return at >= (double)OX__MAX_MS ? OX__MAX_MS : at >= 0 ? (int64_t)at : 0;
}

/* ---- taking ------------------------------------------------------------------------------ */

/* Fields of a job in the answer of a take, in its order; see lua/inc/take.lua. */
static const enum ox_field first_fields[] = { OX_JOB_NAME, OX_JOB_DATA, OX_JOB_OPTS,
    OX_JOB_TIMESTAMP, OX_JOB_PARENT_KEY, OX_JOB_ATTEMPTS_STARTED, OX_JOB_ATTEMPTS_MADE,
    OX_JOB_DEFERRED_FAILURE };
static const enum ox_field rerun_fields[] = { OX_JOB_STALLED, OX_JOB_STACK_TRACE,
    OX_JOB_PROGRESS, OX_JOB_FAILED_REASON, OX_JOB_PROCESSED_ON };

static void put_take(void *self, struct ox__op *op, const struct ox__take *take)
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

static void take(void *self, struct ox__op *op, const struct ox__take *take)
{
    begin(self, op, &ox__script_take_jobs);
    put_take(self, op, take);
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
static bool call_fits(void *self, const redisReply *reply, bool ends, const char *token)
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

static int takings(
    void *self, const redisReply *reply, bool ends, struct ox__takings *takings, ox_error *err)
{
    (void)self;
    const redisReply *taken = taken_of(reply, ends);
    if (taken->type == REDIS_REPLY_ERROR) {
        return ox__reply_check(taken, err);
    }
    const char *due = taken->element[2]->str;
    *takings = (struct ox__takings){ .limit_ms = taken->element[1]->integer,
        .due_ms = ms_of(due),
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
    task->late = jobs->late_start;
    task->starts = ox_job_number(task->job, OX_JOB_ATTEMPTS_STARTED, 0) + 1;
    taken->run = &task->run;
    return 1;
}

/* First the jobs, then those that the take passed over since they cannot be started: the id and
 * the error of each. */
static int taken(void *self, const redisReply *whole, bool ends, struct ox__taking *at,
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

static void fetch(void *self, struct ox__op *op, const struct ox__run *run)
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

static bool fetch_fits(void *self, const struct ox__run *run, const redisReply *reply)
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

static int fetched(void *self, struct ox__run *run, redisReply **kept)
{
    struct ox__jobs *jobs = self;
    for (size_t i = 0; i < (*kept)->elements; i++) {
        if ((*kept)->element[i]->type == REDIS_REPLY_NIL) {
            return 0;
        }
    }
    return ox__task_complete(&jobs->pool, ox__task_of(run), kept) ? 1 : OX_ENOMEM;
}

/* ---- ending ------------------------------------------------------------------------------ */

static void end_head(void *self, struct ox__buf *out, const struct ox__run *run)
{
    (void)self;
    ox__ends_put(out, "c", 1);
    ox__ends_put(out, "0", ox__task_of_const(run)->end.plain == OX__PLAIN_DROPPED ? 1 : 0);
    char token[OX__TASK_TOKEN_MAX];
    ox__task_token(token, ox__task_of_const(run));
    ox__ends_put(out, token, strlen(token));
}

/* The script for the next batch: complete_jobs when all are alike. */
static enum ox__plain batch_plain(const struct ox__ends *ends, uint32_t most, bool *parents)
{
    const struct ox__run *run = ends->runs.head;
    enum ox__plain plain = ox__task_of_const(run)->end.plain;
    *parents = false;
    for (uint32_t n = 0; run != NULL && n < most; run = run->next, n++) {
        const struct ox_task *task = ox__task_of_const(run);
        *parents = *parents || task->end.parent;
        if (task->end.plain != plain) {
            return OX__NOT_PLAIN;
        }
    }
    return plain;
}

/* How many of the next `most` were taken together with the first. */
static uint32_t taken_together(const struct ox__run *first, uint32_t most)
{
    uint32_t count = 0;
    for (const struct ox__run *run = first; run != NULL && count < most; run = run->next) {
        if (strcmp(run->token, first->token) != 0 || run->lock.open != first->lock.open) {
            break;
        }
        count++;
    }
    return count;
}

static void put_ends(struct ox__op *op, struct ox__ends *ends, uint32_t most, bool plain,
    struct ox__run_list *sent)
{
    uint32_t together = 0;
    for (uint32_t n = 0; ends->runs.head != NULL && n < most; n++) {
        const struct ox__run *run = ends->runs.head;
        if (plain && together == 0) {
            together = taken_together(run, most - n);
            ox__op_int(op, "count", together);
            char token[OX__TASK_TOKEN_MAX];
            ox__task_token(token, ox__task_of_const(run));
            ox__op_text(op, "token", token);
        }
        together -= plain ? 1 : 0;
        ox__ends_move(ends, op, plain, sent);
    }
    ox__ends_drop_sent(ends);
}

static void end(void *self, struct ox__op *op, const struct ox__take *take,
    struct ox__ends *ends, uint32_t most, struct ox__run_list *sent)
{
    const struct ox__jobs *jobs = self;
    bool parents;
    enum ox__plain how = batch_plain(ends, most, &parents);
    bool plain = how != OX__NOT_PLAIN;
    begin(self, op, plain ? &ox__script_complete_jobs : &ox__script_end_jobs);
    put_take(self, op, take);
    ox__op_int(op, "metrics_points", jobs->metrics_points);
    if (plain) {
        ox__op_text(op, "keep", how == OX__PLAIN_DROPPED ? "0" : "");
        ox__op_text(op, "parents", parents ? "1" : "0");
    }
    put_ends(op, ends, most, plain, sent);
}

static bool refused(void *self, const redisReply *reply, size_t *i, struct ox__refusal *refusal)
{
    (void)self;
    const redisReply *refusals = reply->element[0];
    size_t at = *i * 2;
    if (at >= refusals->elements) {
        return false;
    }
    ++*i;
    const redisReply *why = refusals->element[at + 1];
    *refusal = (struct ox__refusal){ .index = refusals->element[at]->integer,
        .number = why->type == REDIS_REPLY_INTEGER ? (int)why->integer : NOT_STORED,
        .reply = why };
    return true;
}

/* A missing lock may only have run out; and an end that was sent twice may have been stored
 * once.
 */
static bool in_doubt(void *self, int refusal, bool resent)
{
    (void)self;
    return refusal == OX__NO_LOCK ||
           (resent && (refusal == OX__NO_JOB || refusal == OX__WRONG_STATE ||
                          refusal == OX__OTHER_LOCK));
}

static void explain(
    void *self, const char *id, int64_t number, const redisReply *reply, ox_error *err)
{
    const struct ox__jobs *jobs = self;
    if (reply != NULL) {
        ox__script_refused(reply, jobs->at->name, id, err);
    } else {
        ox__script_refusal(number, jobs->at->name, id, err);
    }
}

/* ---- locks ------------------------------------------------------------------------------- */

static void renew(void *self, struct ox__op *op, uint32_t lock_ms)
{
    begin(self, op, &ox__script_renew_locks);
    ox__op_int(op, "lock_ms", lock_ms);
}

static void renew_run(void *self, struct ox__op *op, const struct ox__run *run)
{
    (void)self;
    ox__op_bytes(op, "job_id", run->id.text, run->id.len);
    ox__op_text(op, "token", run->token);
}

static bool are_numbers(void *self, const redisReply *reply)
{
    (void)self;
    bool good = reply->type == REDIS_REPLY_ARRAY;
    for (size_t i = 0; good && i < reply->elements; i++) {
        good = reply->element[i]->type == REDIS_REPLY_INTEGER;
    }
    return good;
}

/* The script counts from 1; other numbers are ignored. */
static bool renew_lost(void *self, const redisReply *reply, size_t i, size_t *run)
{
    (void)self;
    if (i >= reply->elements) {
        return false;
    }
    long long number = reply->element[i]->integer;
    *run = number >= 1 ? (size_t)number - 1 : SIZE_MAX;
    return true;
}

static void claim(void *self, struct ox__op *op, uint32_t lock_ms)
{
    const struct ox__jobs *jobs = self;
    begin(self, op, &ox__script_claim_runs);
    ox__op_int(op, "lock_ms", lock_ms);
    ox__op_text(op, "name", jobs->name != NULL ? jobs->name : "");
}

/* With the kind of the end that may have been stored already. */
static void claim_run(void *self, struct ox__op *op, const struct ox__run *run, bool ended)
{
    (void)self;
    const struct ox_task *task = ox__task_of_const(run);
    char kind[2] = { '\0', '\0' }, token[OX__TASK_TOKEN_MAX];
    if (run->end.resent) {
        kind[0] = ended ? task->end.kind : OX__KIND_WAITS;
    }
    ox__task_token(token, task);
    ox__op_bytes(op, "job_id", run->id.text, run->id.len);
    ox__op_text(op, "token", token);
    ox__op_int(op, "ats", task->starts);
    ox__op_int(op, "processed_on", task->started_ms);
    ox__op_text(op, "kind", kind);
    ox__op_int(op, "made", ox_task_attempt(task));
}

static bool claim_fits(void *self, const redisReply *reply, size_t runs)
{
    (void)self;
    return are_numbers(self, reply) && reply->elements == runs;
}

static int64_t claim_verdict(void *self, const redisReply *reply, size_t run)
{
    (void)self;
    long long number = reply->element[run]->integer;
    return number == OX__CLAIM_LOCKED   ? OX__RUN_LOCKED
           : number == OX__CLAIM_STORED ? OX__RUN_STORED
                                        : number;
}

/* ---- stalled jobs, and jobs without a state ---------------------------------------------- */

static void check(void *self, struct ox__op *op, const struct ox__check *step)
{
    const struct ox__jobs *jobs = self;
    begin(self, op, &ox__script_check_stalled);
    ox__op_int(op, "now", step->now_ms);
    ox__op_int(op, "every_ms", step->every_ms);
    ox__op_int(op, "late_ms", step->late_ms);
    ox__op_int(op, "max_stalled", jobs->max_stalled);
    ox__op_int(op, "skip", step->begin ? OX__CHECK_BEGIN : step->skip);
}

/* A number in front, and then what was found. */
static bool is_number_first(void *self, const redisReply *reply)
{
    (void)self;
    return reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
           reply->element[0]->type == REDIS_REPLY_INTEGER;
}

static enum ox__next check_next(void *self, const redisReply *reply, int64_t *skip)
{
    (void)self;
    *skip = reply->element[0]->integer;
    return *skip >= 0 ? OX__NEXT_STEP : *skip == OX__LAST_STEP ? OX__NEXT_OVER : OX__NEXT_NONE;
}

/* Steps to the next id of a list whose ids are each followed by `more` elements. */
static const redisReply *next_id(const redisReply *reply, size_t *i, size_t more)
{
    for (size_t at = *i * (1 + more) + 1; at + more < reply->elements;
         at = *i * (1 + more) + 1) {
        ++*i;
        if (reply->element[at]->type == REDIS_REPLY_STRING) {
            return reply->element[at];
        }
    }
    return NULL;
}

static bool found(void *self, const redisReply *reply, size_t *i, struct ox__found *found)
{
    (void)self;
    static const int notices[] = { [OX__FOUND_STALLED] = OX_NOTICE_STALLED,
        [OX__FOUND_TOO_OFTEN] = OX_NOTICE_STALLED_TOO_OFTEN,
        [OX__FOUND_RESTORED] = OX_NOTICE_RESTORED,
        [OX__FOUND_ENDED] = OX_NOTICE_NO_STATE };
    const redisReply *id = next_id(reply, i, 1);
    if (id == NULL) {
        return false;
    }
    const redisReply *what = reply->element[*i * 2];
    *found = (struct ox__found){ .id = id->str };
    if (what->type == REDIS_REPLY_STRING) {
        found->why = what->str;
    } else if (what->type == REDIS_REPLY_INTEGER && what->integer >= 0 &&
               what->integer < (long long)COUNT(notices)) {
        found->notice = notices[what->integer];
    }
    return true;
}

static void restore(void *self, struct ox__op *op, int64_t now_ms, const char *cursor)
{
    const struct ox__jobs *jobs = self;
    begin(self, op, &ox__script_restore_jobs);
    ox__op_int(op, "now", now_ms);
    ox__op_int(op, "max_stalled", jobs->max_stalled);
    ox__op_text(op, "cursor", cursor);
}

static bool restore_fits(void *self, const redisReply *reply)
{
    (void)self;
    return reply->type == REDIS_REPLY_ARRAY && reply->elements % 2 == 1 &&
           reply->element[0]->type == REDIS_REPLY_STRING && reply->element[0]->len < 24;
}

static const char *restore_next(void *self, const redisReply *reply)
{
    (void)self;
    return reply->element[0]->str;
}

/* ---- takes whose reply was lost ---------------------------------------------------------- */

static void return_lost(void *self, struct ox__op *op, int64_t skip, size_t count)
{
    begin(self, op, &ox__script_return_lost);
    ox__op_int(op, "skip", skip);
    ox__op_int(op, "count", (int64_t)count);
}

static void return_token(void *self, struct ox__op *op, const char *token)
{
    (void)self;
    ox__op_text(op, "token_or_id", token);
}

static void return_not(void *self, struct ox__op *op, const struct ox__run *run)
{
    (void)self;
    ox__op_bytes(op, "token_or_id", run->id.text, run->id.len);
}

static bool return_next(void *self, const redisReply *reply, int64_t *skip)
{
    (void)self;
    *skip = reply->element[0]->integer;
    return *skip >= 0;
}

static bool returned(void *self, const redisReply *reply, size_t *i, struct ox__found *found)
{
    (void)self;
    const redisReply *id = next_id(reply, i, 0);
    if (id == NULL) {
        return false;
    }
    *found = (struct ox__found){ id->str, OX_NOTICE_TAKE_LOST, NULL };
    return true;
}

/* ---- sleeping ---------------------------------------------------------------------------- */

static void sleep_on_marker(void *self, struct ox__op *op, uint32_t ms)
{
    const struct ox__jobs *jobs = self;
    char seconds[24];
    snprintf(seconds, sizeof(seconds), "%u.%03u", ms / 1000, ms % 1000);
    ox__op_command(op, "BZPOPMIN");
    ox__op_key(op, jobs->at->base, "marker");
    ox__op_text(op, "timeout", seconds);
}

/* The key, a member and its score; or nothing. */
static bool sleep_fits(void *self, const redisReply *reply)
{
    (void)self;
    return reply->type == REDIS_REPLY_NIL ||
           (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
               reply->element[1]->type == REDIS_REPLY_STRING &&
               reply->element[2]->type == REDIS_REPLY_STRING);
}

static bool woken(void *self, const redisReply *reply, struct ox__marker *marker)
{
    (void)self;
    if (reply->type == REDIS_REPLY_NIL) {
        return false;
    }
    const char *member = reply->element[1]->str, *score = reply->element[2]->str;
    *marker = (struct ox__marker){ .member = member,
        .score = score,
        .now = strcmp(member, "0") == 0,
        .due_ms = ms_of(score) };
    return true;
}

static void return_marker(void *self, struct ox__op *op, const struct ox__marker *marker)
{
    begin(self, op, &ox__script_give_marker);
    ox__op_text(op, "score", marker != NULL ? marker->score : "0");
    ox__op_text(op, "member", marker != NULL ? marker->member : "0");
}

const struct ox__backend ox__jobs_backend = {
    .words = { "queue", "job", "lock" },
    .take = take,
    .end = end,
    .call_fits = call_fits,
    .refused = refused,
    .takings = takings,
    .taken = taken,
    .fetch = fetch,
    .fetch_fits = fetch_fits,
    .fetched = fetched,
    .end_head = end_head,
    .in_doubt = in_doubt,
    .explain = explain,
    .renew = renew,
    .renew_run = renew_run,
    .renew_fits = are_numbers,
    .renew_lost = renew_lost,
    .claim = claim,
    .claim_run = claim_run,
    .claim_fits = claim_fits,
    .claim_verdict = claim_verdict,
    .check = check,
    .check_fits = is_number_first,
    .check_next = check_next,
    .restore = restore,
    .restore_fits = restore_fits,
    .restore_next = restore_next,
    .return_lost = return_lost,
    .return_token = return_token,
    .return_not = return_not,
    .return_fits = is_number_first,
    .return_next = return_next,
    .found = found,
    .returned = returned,
    .sleep = sleep_on_marker,
    .sleep_fits = sleep_fits,
    .woken = woken,
    .return_marker = return_marker,
};
