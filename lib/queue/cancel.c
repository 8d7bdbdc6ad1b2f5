/*
 * cancel.c - failing a running job from outside its worker.
 *
 * The run is ended under the token of the lock that its worker holds, by the script and with
 * the arguments with which that worker would fail it for good; so parents, deduplication,
 * events and what is kept are as after any failure. The lock goes with that: the worker's next
 * renewal finds it missing, and what it sends later is refused.
 *
 * Between reading the token and ending the run the job may end, or be another's: then it is
 * looked at again. Until the end is stored nothing has changed, so a caller that dies half way
 * leaves the run as it was.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "codes.h"
#include "queue/end_args.h"
#include "queue/operations.h"
#include "queue/options.h"
#include "queue/queue.h"
#include "queue/retry.h"
#include "scripts.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_MS 10000 /* of a run that has none */
#define TRIES 20      /* at a job whose runs end as fast as they are looked at */
/* Minutes of metrics, when any are kept: no fewer than workers keep, who cut what is too old.
 */
#define METRICS_POINTS 1000000

struct cancel {
    const char *id;
    enum { READ, END, LOG, OVER } stage;
    int tries;
    int stops; /* the result */
    char *reason;
    /* Of the run: */
    char *token, *traces;
    char keep[80];
    uint32_t attempts, keep_logs;
    bool metrics;
};

static void forget_run(struct cancel *cancel)
{
    free(cancel->token);
    free(cancel->traces);
    cancel->token = cancel->traces = NULL;
}

static void cancel_done(void *steps)
{
    struct cancel *cancel = steps;
    forget_run(cancel);
    free(cancel->reason);
}

/* ---- reading the run --------------------------------------------------------------------- */

static bool is_run(const redisReply *reply)
{
    enum { TEXTS = 4 };
    bool good = reply->type == REDIS_REPLY_ARRAY && reply->elements == TEXTS + 1 &&
                reply->element[TEXTS]->type == REDIS_REPLY_INTEGER;
    for (size_t i = 0; good && i < TEXTS; i++) {
        good = reply->element[i]->type == REDIS_REPLY_STRING;
    }
    return good;
}

static int note_run(struct cancel *cancel, const redisReply *run, ox_error *err)
{
    const redisReply *token = run->element[0], *opts = run->element[1];
    static const ox_keep all;
    const struct ox__field traces = ox__field_of(run->element[2]);
    struct ox__options options;
    if (ox__options_stored(&options, opts->str, opts->len, NULL) == OX_ENOMEM) {
        return ox__fail_memory(err);
    }
    ox__keep_spec(&options.set.remove_on_fail, &all, cancel->keep, sizeof(cancel->keep));
    cancel->attempts = options.set.attempts > 0 ? options.set.attempts : 1;
    cancel->keep_logs = options.set.keep_logs;
    cancel->traces = ox__stack_traces(traces.len > 0 ? &traces : &(struct ox__field){ NULL, 0 },
        options.set.stack_trace_limit, cancel->reason);
    ox__options_done(&options);
    cancel->token = strdup(token->str);
    cancel->metrics = run->element[4]->integer > 0;
    cancel->stops = g_str_has_prefix(token->str, OX__TOKEN_PREFIX);
    if (cancel->token == NULL || cancel->traces == NULL) {
        return ox__fail_memory(err);
    }
    cancel->stage = END;
    return 0;
}

static int decode_run(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    const redisReply *run = *reply;
    if (run->type == REDIS_REPLY_INTEGER && run->integer < 0) {
        return ox__query_refusal(query, run->integer, err);
    }
    if (run->type == REDIS_REPLY_STRING) {
        int state = run->len > 0 ? ox_state_parse(run->str) : OX_UNKNOWN;
        return ox__fail(err, OX_ESTATE,
            "queue %.80s, job %.80s: only active jobs can be cancelled, this one is %s",
            query->at->name, query->id, ox_state_name(state < 0 ? OX_UNKNOWN : state));
    }
    return is_run(run) ? note_run(query->out, run, err) : ox__query_misfit(query, err);
}

static int read_run(struct cancel *cancel, struct ox__query *query, ox_error *err)
{
    forget_run(cancel);
    int rc = ox__query_job(query, query->at, &ox__script_read_run, cancel->id, err);
    if (rc < 0) {
        return rc;
    }
    g_autofree char *uuid = g_uuid_string_random();
    ox__op_text(&query->op, "token", uuid);
    ox__op_int(&query->op, "lock_ms", LOCK_MS);
    ox__query_into(query, decode_run, cancel);
    cancel->tries++;
    return 1;
}

/* ---- ending it --------------------------------------------------------------------------- */

/* Whether the run is another one, or none, since it was read. */
static bool has_changed(long long refusal)
{
    return refusal == OX__NO_LOCK || refusal == OX__OTHER_LOCK || refusal == OX__WRONG_STATE;
}

static int decode_end(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct cancel *cancel = query->out;
    const redisReply *answer = *reply;
    if (answer->type != REDIS_REPLY_ARRAY || answer->elements < 2 ||
        answer->element[0]->type != REDIS_REPLY_ARRAY) {
        return ox__query_misfit(query, err);
    }
    const redisReply *refused = answer->element[0];
    if (refused->elements == 0) {
        cancel->stage = LOG;
        return cancel->stops;
    }
    if (refused->elements != 2) {
        return ox__query_misfit(query, err);
    }
    const redisReply *why = refused->element[1];
    if (why->type == REDIS_REPLY_INTEGER && has_changed(why->integer) &&
        cancel->tries < TRIES) {
        cancel->stage = READ;
        return 0;
    }
    return ox__script_refused(why, query->at->name, query->id, err);
}

static void end_run(struct cancel *cancel, struct ox__query *query)
{
    const struct ox__take_args none = { .now_ms = ox__now_ms(), .lock_ms = LOCK_MS };
    const struct ox__job_end end = { .kind = OX__END_FAILED,
        .value = cancel->reason,
        .value_len = strlen(cancel->reason),
        .keep = cancel->keep,
        .stack = cancel->traces,
        .number = cancel->attempts };
    struct ox__op *op = &query->op;
    struct ox__end_args args;
    ox__query_script(query, query->at, &ox__script_end_jobs);
    query->id = cancel->id;
    ox__put_take_args(op, &none);
    ox__op_int(op, "metrics_points", cancel->metrics ? METRICS_POINTS : 0);
    ox__end_args(
        &args, &end, cancel->token, &(struct ox__field){ cancel->id, strlen(cancel->id) });
    for (size_t i = 0; i < args.count; i++) {
        if (i == OX__END_ID) {
            ox__op_id(op, "job_id", cancel->id);
        } else {
            ox__op_bytes(op, "run", args.arg[i].text, args.arg[i].len);
        }
    }
    ox__query_into(query, decode_end, cancel);
}

/* ---- the whole --------------------------------------------------------------------------- */

/* A job that keeps nothing has no log either. */
static int decode_logged(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    const struct cancel *cancel = query->out;
    (void)reply, (void)err;
    return cancel->stops;
}

static int log_it(struct cancel *cancel, struct ox__query *query, ox_error *err)
{
    int rc = ox__query_job(query, query->at, &ox__script_add_log, cancel->id, err);
    if (rc < 0) {
        return rc;
    }
    ox__op_text(&query->op, "row", cancel->reason);
    ox__op_int(&query->op, "keep", cancel->keep_logs);
    ox__query_into(query, decode_logged, cancel);
    cancel->stage = OVER;
    return 1;
}

static int next_step(void *steps, struct ox__query *query, ox_error *err)
{
    struct cancel *cancel = steps;
    switch (cancel->stage) {
    case READ:
        return read_run(cancel, query, err);
    case END:
        end_run(cancel, query);
        return 1;
    case LOG:
        return log_it(cancel, query, err);
    default:
        return 0;
    }
}

/* The job has failed; only the row about it is missing. */
static bool goes_on(void *steps, int code)
{
    const struct cancel *cancel = steps;
    (void)code;
    return cancel->stage == OVER;
}

static char *make_reason(const char *given)
{
    struct ox__buf text = { 0 };
    ox__buf_text(&text, OX__CANCEL_TEXT);
    if (given != NULL && *given != '\0') {
        ox__buf_text(&text, ": ");
        ox__buf_put(&text, given, ox__utf8_truncate(given, OX__TEXT_MAX));
    }
    return ox__buf_steal(&text);
}

int ox__cancel_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    const char *reason, ox_error *err)
{
    if (reason != NULL && !g_utf8_validate(reason, -1, NULL)) {
        return ox__fail(err, OX_EINVAL, "queue %.80s, job %.80s: the reason is not valid UTF-8",
            at->name, id);
    }
    struct cancel *cancel =
        ox__query_steps(query, at, sizeof(*cancel), next_step, cancel_done, err);
    if (cancel == NULL) {
        return OX_ENOMEM;
    }
    query->goes_on = goes_on;
    cancel->id = id;
    cancel->reason = make_reason(reason);
    if (cancel->reason == NULL) {
        ox__query_end(query);
        return ox__fail_memory(err);
    }
    return 0;
}

int ox_queue_cancel(ox_queue *queue, const char *id, const char *reason, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(id, err);
    return ox__queue_run(
        queue, ox__cancel_query(&queue->query, &queue->at, id, reason, err), err);
}
