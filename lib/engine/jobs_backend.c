/* jobs_backend.c - the runs of a queue's jobs, by the scripts of lib/lua; see jobs_backend.h.
 */
#include "engine/jobs_backend.h"

#include "base/clock.h"
#include "base/error.h"
#include "codes.h"
#include "engine/jobs_take.h"
#include "queue/end_args.h"
#include "queue/query.h"
#include "scripts.h"

#include <stdio.h>
#include <string.h>

#define NOT_STORED (-99) /* a refusal that is the text of an error */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void begin(void *self, struct ox__op *op, const struct ox__script *script)
{
    const struct ox__jobs *jobs = self;
    ox__op_at(op, script, jobs->at);
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

/* How many of the next `most` were taken together with the first, and have the same token. */
static uint32_t taken_together(const struct ox__run *first, uint32_t most)
{
    uint32_t count = 0;
    bool late = ox__task_of_const(first)->late;
    for (const struct ox__run *run = first; run != NULL && count < most; run = run->next) {
        if (strcmp(run->token, first->token) != 0 || run->lock.open != first->lock.open ||
            ox__task_of_const(run)->late != late) {
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
    ox__jobs_put_take(self, op, take);
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
        .due_ms = ox__jobs_ms(score) };
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
    .take = ox__jobs_take,
    .end = end,
    .call_fits = ox__jobs_call_fits,
    .refused = refused,
    .takings = ox__jobs_takings,
    .taken = ox__jobs_taken,
    .fetch = ox__jobs_fetch,
    .fetch_fits = ox__jobs_fetch_fits,
    .fetched = ox__jobs_fetched,
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
