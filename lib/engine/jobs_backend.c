/* jobs_backend.c - the runs of a queue's jobs, by the scripts of lib/lua; see backend.h. */
#include "engine/backend.h"

#include "scripts.h"

/* ---- locks ------------------------------------------------------------------------------- */

static void renew(struct ox__op *op, const struct ox__queue_at *at, uint32_t lock_ms)
{
    ox__op_at(op, &ox__script_renew_locks, at);
    ox__op_int(op, "lock_ms", lock_ms);
}

static void renew_run(struct ox__op *op, const struct ox__run *run)
{
    ox__op_bytes(op, "job_id", run->id->text, run->id->len);
    ox__op_text(op, "token", run->token);
}

static bool are_numbers(const redisReply *reply)
{
    bool good = reply->type == REDIS_REPLY_ARRAY;
    for (size_t i = 0; good && i < reply->elements; i++) {
        good = reply->element[i]->type == REDIS_REPLY_INTEGER;
    }
    return good;
}

/* The script counts from 1; a number that no run can have says nothing. */
static bool renew_lost(const redisReply *reply, size_t i, size_t *run)
{
    if (i >= reply->elements) {
        return false;
    }
    long long number = reply->element[i]->integer;
    *run = number >= 1 ? (size_t)number - 1 : SIZE_MAX;
    return true;
}

static void claim(struct ox__op *op, const struct ox__queue_at *at, uint32_t lock_ms)
{
    ox__op_at(op, &ox__script_claim_runs, at);
    ox__op_int(op, "lock_ms", lock_ms);
}

static void claim_run(struct ox__op *op, const struct ox__run *run)
{
    const char kind[2] = { run->kind, '\0' };
    renew_run(op, run);
    ox__op_int(op, "ats", run->starts);
    ox__op_int(op, "processed_on", run->started_ms);
    ox__op_text(op, "kind", kind);
    ox__op_int(op, "made", run->made);
}

static bool claim_fits(const redisReply *reply, size_t runs)
{
    return are_numbers(reply) && reply->elements == runs;
}

static int64_t claim_verdict(const redisReply *reply, size_t run)
{
    return reply->element[run]->integer;
}

/* ---- stalled jobs, and jobs without a state ---------------------------------------------- */

static void check(
    struct ox__op *op, const struct ox__queue_at *at, const struct ox__check *step)
{
    ox__op_at(op, &ox__script_check_stalled, at);
    ox__op_int(op, "now", step->now_ms);
    ox__op_int(op, "every_ms", step->every_ms);
    ox__op_int(op, "late_ms", step->late_ms);
    ox__op_int(op, "max_stalled", step->max_stalled);
    ox__op_int(op, "skip", step->skip);
}

/* A number in front, and then what was found. */
static bool is_number_first(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
           reply->element[0]->type == REDIS_REPLY_INTEGER;
}

static int64_t number_first(const redisReply *reply)
{
    return reply->element[0]->integer;
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

static bool checked(const redisReply *reply, size_t *i, struct ox__found *found)
{
    static const int notices[] = { OX_NOTICE_STALLED, OX_NOTICE_STALLED_TOO_OFTEN,
        OX_NOTICE_RESTORED };
    const redisReply *id = next_id(reply, i, 1);
    if (id == NULL) {
        return false;
    }
    long long what = reply->element[*i * 2]->integer;
    *found = (struct ox__found){ id->str, notices[what >= 0 && what <= 2 ? what : 0], NULL };
    return true;
}

static void restore(struct ox__op *op, const struct ox__queue_at *at, int64_t now_ms,
    int32_t max_stalled, const char *cursor)
{
    ox__op_at(op, &ox__script_restore_jobs, at);
    ox__op_int(op, "now", now_ms);
    ox__op_int(op, "max_stalled", max_stalled);
    ox__op_text(op, "cursor", cursor);
}

static bool restore_fits(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements % 2 == 1 &&
           reply->element[0]->type == REDIS_REPLY_STRING && reply->element[0]->len < 24;
}

static const char *restore_next(const redisReply *reply)
{
    return reply->element[0]->str;
}

static bool restored(const redisReply *reply, size_t *i, struct ox__found *found)
{
    static const int notices[] = { OX_NOTICE_RESTORED, OX_NOTICE_STALLED_TOO_OFTEN,
        OX_NOTICE_NO_STATE };
    const redisReply *id = next_id(reply, i, 1);
    if (id == NULL) {
        return false;
    }
    const redisReply *what = reply->element[*i * 2];
    *found = (struct ox__found){ .id = id->str };
    if (what->type == REDIS_REPLY_STRING) {
        found->why = what->str;
    } else if (what->type == REDIS_REPLY_INTEGER && what->integer >= 0 && what->integer <= 2) {
        found->notice = notices[what->integer];
    }
    return true;
}

/* ---- takes whose reply was lost ---------------------------------------------------------- */

static void return_lost(
    struct ox__op *op, const struct ox__queue_at *at, int64_t skip, size_t count)
{
    ox__op_at(op, &ox__script_return_lost, at);
    ox__op_int(op, "skip", skip);
    ox__op_int(op, "count", (int64_t)count);
}

static void return_token(struct ox__op *op, const char *token)
{
    ox__op_text(op, "token_or_id", token);
}

static void return_not(struct ox__op *op, const struct ox__field *id)
{
    ox__op_bytes(op, "token_or_id", id->text, id->len);
}

static bool returned(const redisReply *reply, size_t *i, struct ox__found *found)
{
    const redisReply *id = next_id(reply, i, 0);
    if (id == NULL) {
        return false;
    }
    *found = (struct ox__found){ id->str, OX_NOTICE_TAKE_LOST, NULL };
    return true;
}

const struct ox__backend ox__jobs_backend = {
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
    .check_next = number_first,
    .restore = restore,
    .restore_fits = restore_fits,
    .restore_next = restore_next,
    .return_lost = return_lost,
    .return_token = return_token,
    .return_not = return_not,
    .return_fits = is_number_first,
    .return_next = number_first,
    .checked = checked,
    .restored = restored,
    .returned = returned,
};
