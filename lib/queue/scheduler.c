/*
 * scheduler.c - job schedulers: kept in Redis as a template, a zset score and one job.
 *
 * The zset `repeat` holds for each scheduler when its current job is planned; that job's id is
 * made of the scheduler's id and this time, so whoever takes it can tell whether it is still
 * the current one. The template hash holds what later jobs are made of. There are two ways
 * into a new job: the owner sets the scheduler, or a worker takes the current job.
 *
 * The times of an interval are computed in the scripts, where the last one is known; those of
 * a cron pattern here. A script gets several of them: when a time is taken by an older job
 * (one that was promoted by hand, say) the next one serves, and the schedule never stops.
 *
 * Jobs of a scheduler carry in their options how it runs (`repeat`), so a worker needs no
 * other read. The end of the options depends on the time and is written by the script.
 */
#include "queue/scheduler.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/stored.h"
#include "cron/cron.h"
#include "queue/job.h"
#include "queue/job_in.h"
#include "queue/operations.h"
#include "queue/queue.h"
#include "scripts.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define FIRES 32 /* times of a pattern that a script may choose from */

/* ---- shared by both ways ----------------------------------------------------------------- */

static void put_text_member(struct ox__buf *out, const char *name, const char *text)
{
    ox__buf_text(out, ",\"");
    ox__buf_text(out, name);
    ox__buf_text(out, "\":");
    ox__json_string(out, text, strlen(text));
}

static void put_number_member(struct ox__buf *out, const char *name, int64_t value)
{
    ox__buf_text(out, ",\"");
    ox__buf_text(out, name);
    ox__buf_text(out, "\":");
    ox__buf_int(out, value);
}

/* Ends the options of a job, a JSON object with its last brace still off, as far as they are
 * known here: the script appends the time, which is the last part of the id, and what is behind
 * it. */
static void put_opts_end(struct ox__buf *opts, const char *scheduler, int64_t now_ms)
{
    put_number_member(opts, "timestamp", now_ms);
    put_text_member(opts, "repeatJobKey", scheduler);
    ox__buf_text(opts, ",\"jobId\":");
    struct ox__buf id = { 0 };
    ox__buf_text(&id, "repeat:");
    ox__buf_text(&id, scheduler);
    ox__buf_char(&id, ':');
    ox__json_string(opts, id.data != NULL ? id.data : "", id.len);
    opts->failed = opts->failed || id.failed;
    ox__buf_done(&id);
    opts->len -= opts->failed ? 0 : 1; /* the closing quote */
}

static int put_fires_in(struct ox__op *op, const struct ox__cron *cron,
    const struct ox__zone *zone, int64_t after_ms, int64_t end_ms, ox_error *err)
{
    for (int n = 0; n < FIRES; n++) {
        int rc = ox__cron_next(cron, zone, after_ms, &after_ms, err);
        if (rc == OX_ENOTFOUND || (rc == 0 && end_ms > 0 && after_ms > end_ms)) {
            return n;
        }
        if (rc < 0) {
            return rc;
        }
        ox__op_int(op, "fires", after_ms);
    }
    return FIRES;
}

/* Puts the next times of a pattern after `after_ms`, until `end_ms` (0: none). Returns how
 * many, or an error for a bad pattern. */
static int put_fires(struct ox__op *op, const char *pattern, const char *tz, int64_t after_ms,
    int64_t end_ms, ox_error *err)
{
    struct ox__cron cron;
    struct ox__zone zone;
    int rc = ox__cron_parse(&cron, pattern, err);
    rc = rc < 0 ? rc : ox__zone_init(&zone, tz, err);
    if (rc == 0) {
        rc = put_fires_in(op, &cron, &zone, after_ms, end_ms, err);
        ox__zone_done(&zone);
    }
    return rc;
}

/* An argument that is empty when it is not set. */
static void put_text(struct ox__op *op, const char *name, const char *text)
{
    ox__op_text(op, name, text != NULL ? text : "");
}

static void put_number(struct ox__op *op, const char *name, int64_t value)
{
    if (value > 0) {
        ox__op_int(op, name, value);
    } else {
        ox__op_text(op, name, "");
    }
}

/* ---- the job after this one -------------------------------------------------------------- */

/* The scheduler part (`repeat`) of a job's options. */
struct plan {
    struct ox__slice opts, repeat; /* in the job's text */
    char *pattern, *tz;            /* owned; NULL: none */
    int64_t every_ms, offset_ms, start_ms, end_ms, limit, count, last_ms;
};

static void plan_done(struct plan *plan)
{
    free(plan->pattern);
    free(plan->tz);
}

/* BullMQ accepts a number in a string as well. */
static int64_t number_of(struct ox__slice object, const char *name)
{
    struct ox__slice slice = ox__slice_get(object, name);
    double value = ox__slice_number(slice);
    if (slice.at != NULL && *slice.at == '"') {
        value = g_ascii_strtod(slice.at + 1, NULL);
    }
    return value >= 1 && value <= OX__MAX_MS ? (int64_t)value : 0;
}

/* Returns false when memory is out. */
static bool text_of(struct ox__slice object, const char *name, char **out)
{
    struct ox__slice slice = ox__slice_get(object, name);
    *out = ox__slice_text(slice);
    return *out != NULL || slice.at == NULL || *slice.at != '"';
}

static int read_plan(struct plan *plan, const ox_job *job, ox_error *err)
{
    const struct ox__field *text = &job->field[OX_JOB_OPTS];
    memset(plan, 0, sizeof(*plan));
    if (text->text != NULL && ox__stored_value(&plan->opts, text->text, text->len) < 0) {
        return ox__fail_memory(err);
    }
    plan->repeat = ox__slice_get(plan->opts, "repeat");
    if (!text_of(plan->repeat, "pattern", &plan->pattern) ||
        !text_of(plan->repeat, "tz", &plan->tz)) {
        return ox__fail_memory(err);
    }
    plan->every_ms = number_of(plan->repeat, "every");
    plan->offset_ms = number_of(plan->repeat, "offset");
    plan->start_ms = number_of(plan->repeat, "startDate");
    plan->end_ms = number_of(plan->repeat, "endDate");
    plan->limit = number_of(plan->repeat, "limit");
    plan->count = number_of(plan->repeat, "count");
    plan->last_ms = number_of(plan->opts, "prevMillis");
    if (plan->pattern == NULL && plan->every_ms == 0) {
        return ox__fail(err, OX_EDATA, "its options lack the schedule of the next job");
    }
    return 0;
}

/* Writes the members of an object byte for byte, except those in `without`, each after a comma.
 */
static void copy_members(
    struct ox__buf *out, struct ox__slice object, const char *const *without)
{
    struct ox__slice name, value;
    const char *p = NULL;
    while (ox__slice_member(object, &p, &name, &value)) {
        size_t i = 0;
        while (without[i] != NULL && !ox__slice_is(name, without[i])) {
            i++;
        }
        if (without[i] == NULL) {
            ox__buf_char(out, ',');
            ox__json_copy(out, name.at, (size_t)(value.end - name.at));
        }
    }
}

/* The options of the next job except for their end: those of this one, byte for byte, without
 * the options that belong to one job. */
static int next_opts(struct ox__buf *out, const struct plan *plan, const char *scheduler,
    int64_t now_ms, ox_error *err)
{
    static const char *const own[] = { "jobId", "delay", "timestamp", "prevMillis",
        "repeatJobKey", "repeat", NULL };
    static const char *const counted[] = { "count", NULL };
    ox__buf_text(out, "{\"repeat\":{\"count\":");
    ox__buf_int(out, plan->count + 1);
    copy_members(out, plan->repeat, counted);
    ox__buf_char(out, '}');
    copy_members(out, plan->opts, own);
    put_opts_end(out, scheduler, now_ms);
    return out->failed ? ox__fail_memory(err) : 0;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int build(struct ox__op *op, const struct ox__queue_at *at, const ox_job *job,
    const struct plan *plan, int64_t now_ms, ox_error *err)
{
    const char *scheduler = job->field[OX_JOB_SCHEDULER].text;
    struct ox__buf opts = { 0 };
    int64_t priority = number_of(plan->opts, "priority");
    struct ox__slice lifo_at = ox__slice_get(plan->opts, "lifo");
    bool lifo = lifo_at.at != NULL && *lifo_at.at == 't';
    int rc = next_opts(&opts, plan, scheduler, now_ms, err);
    if (rc == 0) {
        ox__op_at(op, &ox__script_next_iteration, at);
        ox__op_int(op, "now", now_ms);
        ox__op_text(op, "scheduler", scheduler);
        ox__op_bytes(op, "producer", job->id.text, job->id.len);
        put_number(op, "every", plan->pattern == NULL ? plan->every_ms : 0);
        put_number(op, "offset", plan->offset_ms);
        put_number(op, "end_ms", plan->end_ms);
        ox__op_bytes(op, "opts", opts.data, opts.len);
        ox__op_int(op, "priority", priority <= OX__PRIORITY_MAX ? priority : 0);
        ox__op_text(op, "lifo", lifo ? "1" : "");
        rc = 1;
    }
    ox__buf_done(&opts);
    if (rc == 1 && plan->pattern != NULL) {
        int64_t after_ms = later(later(now_ms, plan->last_ms), plan->start_ms);
        rc = put_fires(op, plan->pattern, plan->tz, after_ms, plan->end_ms, err);
    }
    return rc > 0 ? 1 : rc;
}

bool ox__iteration_due(const ox_job *job)
{
    return job->field[OX_JOB_SCHEDULER].text != NULL;
}

static int named(const struct ox__queue_at *at, const ox_job *job, int code,
    const ox_error *problem, ox_error *err)
{
    return ox__fail(err, code, "queue %s, job %s: the next job of scheduler %s: %s", at->name,
        job->id.text, job->field[OX_JOB_SCHEDULER].text, problem->text);
}

int ox__iteration_build(struct ox__op *op, const struct ox__queue_at *at, const ox_job *job,
    int64_t now_ms, ox_error *err)
{
    struct plan plan;
    ox_error problem = { 0 };
    int rc = read_plan(&plan, job, &problem);
    bool over = (plan.limit > 0 && plan.count >= plan.limit) ||
                (plan.end_ms > 0 && now_ms > plan.end_ms);
    if (rc == 0 && !over) {
        rc = build(op, at, job, &plan, now_ms, &problem);
    }
    plan_done(&plan);
    return rc < 0 ? named(at, job, rc, &problem, err) : rc;
}

int ox__iteration_reply(
    const redisReply *reply, const struct ox__queue_at *at, const ox_job *job, ox_error *err)
{
    ox_error problem = { 0 };
    int rc = ox__reply_check(reply, &problem);
    if (rc == 0 && reply->type == REDIS_REPLY_INTEGER && reply->integer < 0) {
        rc = ox__script_refusal(reply->integer, NULL, NULL, &problem);
    } else if (rc == 0 && reply->type != REDIS_REPLY_INTEGER &&
               reply->type != REDIS_REPLY_STRING) {
        rc = ox__fail(&problem, OX_EREPLY, "unexpected reply type");
    }
    return rc < 0 ? named(at, job, rc, &problem, err) : reply->type == REDIS_REPLY_STRING;
}

/* ---- set --------------------------------------------------------------------------------- */

/* The longest run of digits that a scheduler id may end in behind a ':': a longer one could
 * make its template look like a job of another scheduler. */
#define ID_DIGITS 11

static int check_id(const char *id, ox_error *err)
{
    if (id == NULL || *id == '\0') {
        return ox__fail(err, OX_EINVAL, "scheduler id is empty");
    }
    const char *last = strrchr(id, ':');
    size_t digits = last != NULL ? strspn(last + 1, "0123456789") : 0;
    if (digits > ID_DIGITS && last[1 + digits] == '\0') {
        return ox__fail(err, OX_EINVAL,
            "scheduler id %.80s must not end in ':' and a time, as the ids of its jobs do", id);
    }
    return 0;
}

static int check_interval(const ox_schedule *s, ox_error *err)
{
    if (s->every_ms < 0 || s->every_ms > OX__MAX_MS) {
        return ox__fail(err, OX_EINVAL, "every must be 1..9007199254740991 ms");
    }
    if (s->offset_ms < 0 || s->offset_ms >= s->every_ms) {
        return ox__fail(err, OX_EINVAL, "offset must be 0 or more and less than every");
    }
    if (s->tz != NULL || s->immediately) {
        return ox__fail(err, OX_EINVAL, "tz and immediately require a pattern");
    }
    return 0;
}

static int check_schedule(const ox_schedule *s, ox_error *err)
{
    if (s == NULL || (s->every_ms != 0) == (s->pattern != NULL)) {
        return ox__fail(err, OX_EINVAL, "either every or a pattern is required, not both");
    }
    if (s->pattern != NULL && s->offset_ms != 0) {
        return ox__fail(err, OX_EINVAL, "offset requires every");
    }
    if (s->immediately && s->start_ms != 0) {
        return ox__fail(err, OX_EINVAL, "immediately and a start exclude each other");
    }
    if (s->start_ms < 0 || s->start_ms > OX__MAX_MS || s->end_ms < 0 ||
        s->end_ms > OX__MAX_MS || s->limit < 0 || s->limit > OX__MAX_MS) {
        return ox__fail(err, OX_EINVAL, "start, end and limit must be 0..9007199254740991");
    }
    if (s->end_ms != 0 && (s->end_ms <= ox__now_ms() || s->end_ms < s->start_ms)) {
        return ox__fail(err, OX_EINVAL, "the end is in the past, or before the start");
    }
    return s->pattern != NULL ? 0 : check_interval(s, err);
}

/* A template is for many jobs, so options of a single job are refused in it. */
static int check_template(const ox_job_options *o, ox_error *err)
{
    const char *wrong = o->id != NULL          ? "jobId"
                        : o->delay_ms != 0     ? "delay"
                        : o->timestamp_ms != 0 ? "timestamp"
                        : o->parent.id != NULL ? "parent"
                        : o->dedup.id != NULL  ? "deduplication"
                                               : NULL;
    return wrong == NULL ? 0
                         : ox__fail(err, OX_EINVAL,
                               "job option %s is not allowed for a scheduler's jobs", wrong);
}

/* The options of the first job but for their end. */
static void first_opts(struct ox__buf *out, const char *scheduler, const ox_schedule *s,
    const struct ox__job_in *in, int64_t now_ms)
{
    ox__buf_put(out, in->opts.data, in->opts.len - 1);
    ox__buf_text(out, ",\"repeat\":{\"count\":1");
    if (s->pattern != NULL) {
        put_text_member(out, "pattern", s->pattern);
    }
    if (s->tz != NULL) {
        put_text_member(out, "tz", s->tz);
    }
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = { { "every", s->every_ms }, { "offset", s->offset_ms },
        { "startDate", s->start_ms }, { "endDate", s->end_ms }, { "limit", s->limit } };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (numbers[i].value > 0) {
            put_number_member(out, numbers[i].name, numbers[i].value);
        }
    }
    ox__buf_char(out, '}');
    put_opts_end(out, scheduler, now_ms);
}

/* Only what differs from the defaults is stored in a template. */
static void put_unless(
    struct ox__op *op, const char *name, const char *standard, const char *text, size_t len)
{
    bool same = len == strlen(standard) && memcmp(text, standard, len) == 0;
    ox__op_bytes(op, name, text, same ? 0 : len);
}

static int put_first_fires(
    struct ox__op *op, const ox_schedule *s, int64_t now_ms, ox_error *err)
{
    int count = 0;
    if (s->immediately) {
        ox__op_int(op, "fires", now_ms);
        count++;
    }
    int rc = put_fires(op, s->pattern, s->tz, later(now_ms, s->start_ms), s->end_ms, err);
    count += rc > 0 ? rc : 0;
    if (rc >= 0 && count == 0) {
        rc = ox__fail(err, OX_EINVAL, "the pattern never fires%s",
            s->end_ms > 0 ? " before the end" : "");
    }
    return rc < 0 ? rc : 0;
}

static int scheduler_fail(ox_error *err, int code, const char *id, const ox_error *problem)
{
    return ox__fail(err, code, "scheduler %.80s: %s", id, problem->text);
}

static int read_set(redisReply *reply, char **id, ox_error *err)
{
    if (reply->type == REDIS_REPLY_INTEGER && reply->integer < 0) {
        return ox__script_refusal(reply->integer, NULL, NULL, err);
    }
    if (reply->type == REDIS_REPLY_INTEGER) {
        return ox__fail(err, OX_EINVAL, "the end is before the next time");
    }
    if (id != NULL) {
        *id = strdup(reply->str);
        return *id == NULL ? ox__fail_memory(err) : 0;
    }
    return 0;
}

static int decode_set(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    ox_error problem = { 0 };
    if ((*reply)->type != REDIS_REPLY_INTEGER && (*reply)->type != REDIS_REPLY_STRING) {
        return ox__query_misfit(query, err);
    }
    int rc = read_set(*reply, query->out, &problem);
    return rc < 0 ? scheduler_fail(err, rc, query->what, &problem) : 0;
}

/* The first half of the call: the scheduler, as it is stored. */
static void put_template(struct ox__op *op, const char *id, const ox_schedule *s,
    const struct ox__job_in *in, int64_t now_ms)
{
    ox__op_int(op, "now", now_ms);
    ox__op_text(op, "scheduler", id);
    ox__op_text(op, "name", in->name);
    put_unless(op, "data", "{}", in->data, strlen(in->data));
    put_unless(op, "template_opts", "{\"attempts\":0}", in->opts.data, in->opts.len);
    put_text(op, "tz", s->tz);
    put_number(op, "limit", s->limit);
    put_text(op, "pattern", s->pattern);
    put_number(op, "start_ms", s->start_ms);
    put_number(op, "end_ms", s->end_ms);
    put_number(op, "every", s->every_ms);
    put_number(op, "offset", s->offset_ms);
}

static int encode_set(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    const ox_schedule *s, const struct ox__job_in *in, ox_error *err)
{
    const int64_t now_ms = ox__now_ms();
    struct ox__buf opts = { 0 };
    first_opts(&opts, id, s, in, now_ms);
    if (opts.failed) {
        ox__buf_done(&opts);
        return ox__fail_memory(err);
    }
    struct ox__op *op = &query->op;
    ox__query_script(query, at, &ox__script_set_scheduler);
    put_template(op, id, s, in, now_ms);
    ox__op_bytes(op, "opts", opts.data, opts.len);
    ox__op_int(op, "priority", in->options.set.priority);
    ox__op_text(op, "lifo", in->options.set.lifo ? "1" : "");
    ox__buf_done(&opts);
    return s->pattern != NULL ? put_first_fires(op, s, now_ms, err) : 0;
}

int ox__scheduler_set_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *id, const ox_schedule *schedule, const ox_new_job *job, char **job_id,
    ox_error *err)
{
    const ox_new_job template = { .name = job != NULL && job->name != NULL ? job->name : id,
        .json = job != NULL ? job->json : NULL,
        .options = job != NULL ? job->options : NULL };
    struct ox__job_in in;
    ox_error problem = { 0 };
    int rc = OX__RESERVED(ox_schedule, schedule, err);
    rc = rc < 0 ? rc : check_id(id, err);
    if (rc < 0) {
        return rc;
    }
    rc = check_schedule(schedule, &problem);
    rc = rc < 0 ? rc : ox__job_in_init(&in, &template, &problem);
    if (rc == 0) {
        rc = check_template(&in.options.set, &problem);
        rc = rc < 0 ? rc : encode_set(query, at, id, schedule, &in, &problem);
        ox__job_in_done(&in);
    }
    if (rc < 0) {
        return scheduler_fail(err, rc, id, &problem);
    }
    query->what = id;
    ox__query_into(query, decode_set, job_id);
    return 0;
}

int ox_scheduler_set(ox_queue *queue, const char *scheduler_id, const ox_schedule *schedule,
    const ox_new_job *job, char **id, ox_error *err)
{
    if (id != NULL) {
        *id = NULL;
    }
    OX__NEED(queue, err);
    OX__NEED(scheduler_id, err);
    OX__NEED(schedule, err);
    return ox__queue_run(queue,
        ox__scheduler_set_query(
            &queue->query, &queue->at, scheduler_id, schedule, job, id, err),
        err);
}

int ox__scheduler_remove_query(
    struct ox__query *query, const struct ox__queue_at *at, const char *id, ox_error *err)
{
    int rc = check_id(id, err);
    if (rc == 0) {
        ox__query_script(query, at, &ox__script_remove_scheduler);
        ox__op_text(&query->op, "scheduler", id);
        ox__query_flag(query);
    }
    return rc;
}

int ox_scheduler_remove(ox_queue *queue, const char *scheduler_id, ox_error *err)
{
    OX__NEED(queue, err);
    OX__NEED(scheduler_id, err);
    return ox__queue_run(
        queue, ox__scheduler_remove_query(&queue->query, &queue->at, scheduler_id, err), err);
}
