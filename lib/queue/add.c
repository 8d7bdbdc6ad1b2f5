/*
 * add.c - adding jobs: one, an array, or a stream of them.
 *
 * All three collect jobs in batches, one script call each. A batch is either plain (jobs that
 * differ in their data only: name and options are sent once) or mixed. Adding a plain job costs
 * half of what running one does, so twice as many go in a call. A plain job with large data is
 * a batch of its own, see add_large.h. A stream keeps a few batches in flight, so that Redis
 * works while the next one is filled; replies come in the order of the calls, also after
 * NOSCRIPT (see wire/client.c).
 */
#include "queue/job_in.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "queue/add_large.h"
#include "queue/operations.h"
#include "queue/queue.h"
#include "scripts.h"

#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT 4            /* batches in flight at most */
#define BATCH_BYTES (1u << 20) /* a batch is sent when it has as much */
#define STAMP_DIGITS 13        /* a time in ms, until the year 2286 */

/* ---- a batch ----------------------------------------------------------------------------- */

/* The outcome of a job: its index in the batch, and its id or the refusal. */
typedef void each_fn(void *arg, size_t i, const char *id, int code, const ox_error *err);

/* `query.count` is the number of jobs. */
struct batch {
    struct ox__query query;
    bool plain;
    bool large;      /* one plain job, see add_large.h */
    size_t stamp_at; /* plain: offset of the timestamp in the command, which is written when it
                        is sent */
    struct ox__buf name; /* plain: what all its jobs share */
    struct ox__buf opts;
    each_fn *each;
    void *arg;
};

static bool same(const struct ox__buf *buf, const char *text, size_t len)
{
    return buf->len == len && memcmp(buf->data, text, len) == 0;
}

static bool batch_fits(const struct batch *batch, const struct ox__job_in *in, bool plain)
{
    if (batch->query.count == 0) {
        return true;
    }
    return batch->plain == plain && in->data_len < BATCH_BYTES && !ox__add_is_large(in) &&
           (!plain || (same(&batch->name, in->name, strlen(in->name)) &&
                          same(&batch->opts, in->opts.data, in->opts.len)));
}

static bool batch_is_full(const struct batch *batch, uint32_t jobs)
{
    const struct ox__buf *bytes = &batch->query.op.bytes;
    return batch->query.count >= (size_t)jobs * (batch->plain ? 2 : 1) || batch->large ||
           bytes->len >= BATCH_BYTES || bytes->failed;
}

static void encode_plain(
    struct ox__query *query, const struct ox__queue_at *at, const struct ox__job_in *in)
{
    ox__query_script(query, at, &ox__script_add_plain);
    ox__op_text(&query->op, "name", in->name);
    ox__op_bytes(&query->op, "opts", in->opts.data, in->opts.len);
    ox__op_int(&query->op, "timestamp", ox__now_ms());
}

static void encode_mixed(struct ox__query *query, const struct ox__queue_at *at)
{
    ox__query_script(query, at, &ox__script_add_jobs);
    ox__op_int(&query->op, "now", ox__now_ms());
}

static void put_job(struct ox__query *query, const struct ox__job_in *in, bool plain)
{
    if (plain) {
        ox__op_bytes(&query->op, "data", in->data, in->data_len);
    } else {
        ox__job_in_put(&query->op, in, "", NULL);
    }
    query->count++;
}

/* The jobs of a plain batch were made when it was sent. */
static void batch_stamp(struct batch *batch)
{
    struct ox__buf *bytes = &batch->query.op.bytes;
    char text[21];
    if (batch->plain && !batch->large && !bytes->failed &&
        ox__int_text(text, ox__now_ms()) == STAMP_DIGITS) {
        memcpy(bytes->data + batch->stamp_at, text, STAMP_DIGITS);
    }
}

static void batch_done(struct batch *batch)
{
    ox__query_done(&batch->query);
    ox__buf_done(&batch->name);
    ox__buf_done(&batch->opts);
}

/* The last of `count` consecutive ids that add_plain answers, or 0. */
static long long last_id(const redisReply *reply, size_t count)
{
    char *end = NULL;
    long long last = reply->type == REDIS_REPLY_STRING ? strtoll(reply->str, &end, 10) : 0;
    return last < (long long)count || *end != '\0' ? 0 : last;
}

static int decode_plain(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    const struct batch *batch = query->out;
    const redisReply *answer = *reply;
    int rc = batch->large ? ox__add_large_reply(query, &answer, err) : 0;
    long long last = rc == 0 ? last_id(answer, query->count) : rc;
    if (rc < 0) {
        return rc;
    }
    if (last == 0) {
        return ox__query_misfit(query, err);
    }
    for (size_t i = 0; i < query->count; i++) {
        char id[22];
        id[ox__int_text(id, last - (long long)query->count + 1 + (long long)i)] = '\0';
        batch->each(batch->arg, i, id, OX_ADDED, NULL);
    }
    return 0;
}

static int decode_mixed(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    const struct batch *batch = query->out;
    if ((*reply)->type != REDIS_REPLY_ARRAY || (*reply)->elements != query->count) {
        return ox__query_misfit(query, err);
    }
    for (size_t i = 0; i < query->count; i++) {
        const char *id;
        ox_error problem;
        int code =
            ox__job_in_answer((*reply)->element[i], query->at->name, NULL, &id, &problem);
        batch->each(batch->arg, i, id, code, id != NULL ? NULL : &problem);
    }
    return 0;
}

static void batch_put(
    struct batch *batch, const struct ox__queue_at *at, const struct ox__job_in *in, bool plain)
{
    struct ox__query *query = &batch->query;
    batch->large = query->count == 0 && ox__add_is_large(in);
    if (batch->large) {
        ox__add_large(query, at, in);
    } else if (query->count == 0 && plain) {
        encode_plain(query, at, in);
        batch->stamp_at = query->op.bytes.len - STAMP_DIGITS - 2;
        ox__buf_reset(&batch->name, 4096);
        ox__buf_text(&batch->name, in->name);
        ox__buf_reset(&batch->opts, 4096);
        ox__buf_put(&batch->opts, in->opts.data, in->opts.len);
    } else if (query->count == 0) {
        encode_mixed(query, at);
    }
    batch->plain = plain;
    ox__query_into(query, plain ? decode_plain : decode_mixed, batch);
    if (batch->large) {
        query->count++;
    } else {
        put_job(query, in, plain);
    }
}

static void batch_failed(const struct batch *batch, const ox_error *err)
{
    for (size_t i = 0; i < batch->query.count; i++) {
        batch->each(batch->arg, i, NULL, err->code, err);
    }
}

/* ---- a stream of jobs -------------------------------------------------------------------- */

struct ox_adder {
    ox_queue *queue;
    ox_added_fn *added;
    void *arg;
    struct batch ring[IN_FLIGHT + 1]; /* ring[head..] are in flight, then the open one */
    size_t head, posted;
    uint64_t next_index; /* of the oldest job without a reply */
    size_t mixed_left;   /* jobs to send as mixed, after plain batches were cut short */
    ox_error first;      /* failure of a job since the last flush */
    ox_error stopped;    /* why no more jobs are taken until the next flush */
};

static void tell(void *arg, size_t i, const char *id, int code, const ox_error *err)
{
    ox_adder *adder = arg;
    if (code < 0 && adder->first.code == 0) {
        adder->first = *err;
    }
    if (adder->added != NULL) {
        adder->added(adder->arg, adder->next_index + i, id, code, err);
    }
}

int ox_adder_new(ox_adder **out, ox_queue *queue, ox_added_fn *added, void *arg, ox_error *err)
{
    OX__NEED(out, err);
    OX__NEED(queue, err);
    ox_adder *adder = calloc(1, sizeof(*adder));
    if (adder == NULL) {
        return ox__fail_memory(err);
    }
    adder->queue = queue;
    adder->added = added;
    adder->arg = arg;
    for (size_t i = 0; i <= IN_FLIGHT; i++) {
        adder->ring[i].each = tell;
        adder->ring[i].arg = adder;
    }
    *out = adder;
    return 0;
}

void ox_adder_free(ox_adder *adder)
{
    if (adder == NULL) {
        return;
    }
    if (adder->posted > 0) {
        /* Replies that nobody will read must not be taken for those of the next call. */
        ox__client_drop(adder->queue->client);
    }
    for (size_t i = 0; i <= IN_FLIGHT; i++) {
        batch_done(&adder->ring[i]);
    }
    free(adder);
}

static struct batch *batch_at(ox_adder *adder, size_t i)
{
    return &adder->ring[(adder->head + i) % (IN_FLIGHT + 1)];
}

/* Drops the oldest batch: its jobs have their replies. */
static void settle(ox_adder *adder)
{
    struct batch *batch = batch_at(adder, 0);
    adder->next_index += batch->query.count;
    batch->query.count = 0;
    adder->head = (adder->head + 1) % (IN_FLIGHT + 1);
    adder->posted--;
}

/* The stream failed: every job without a reply gets this error. */
static void break_up(ox_adder *adder, const ox_error *err)
{
    while (adder->posted > 0) {
        batch_failed(batch_at(adder, 0), err);
        settle(adder);
    }
    ox__client_drop(adder->queue->client);
}

/* The stream takes no more until it is flushed. */
static void stop(ox_adder *adder, const ox_error *why)
{
    if (adder->stopped.code == 0) {
        adder->stopped = *why;
    }
}

/* Reads the reply of the oldest batch. An error reply concerns that batch alone; only when a
 * reply is lost are those behind it lost as well. */
static void reap_one(ox_adder *adder)
{
    struct batch *batch = batch_at(adder, 0);
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    ox_error problem = { 0 }, told = { 0 };
    int rc = ox__reap(adder->queue->client, &reply, &problem);
    if (rc < 0) {
        stop(adder, &problem);
        break_up(adder, &problem);
        return;
    }
    rc = ox__reply_check(reply, &problem);
    rc = rc < 0 ? ox__query_failure(&batch->query, &problem, &told)
                : ox__query_decode(&batch->query, &reply, &told);
    if (rc < 0) {
        stop(adder, &told);
        batch_failed(batch, &told);
    }
    settle(adder);
    if (rc == OX_EREPLY) {
        break_up(adder, &told); /* which reply comes next is not known */
    }
}

static void reap_all(ox_adder *adder)
{
    while (adder->posted > 0) {
        reap_one(adder);
    }
}

/* A batch that ran out of memory is not sent. */
static void refuse_open(ox_adder *adder)
{
    ox_error problem;
    ox__fail_memory(&problem);
    reap_all(adder); /* replies come in order */
    stop(adder, &problem);
    batch_failed(batch_at(adder, 0), &problem);
    adder->posted = 1;
    settle(adder);
}

/* Sends the open batch; there is room for the next one afterwards. */
static void send_open(ox_adder *adder)
{
    struct batch *open = batch_at(adder, adder->posted);
    ox_error problem = { 0 };
    if (open->query.count == 0) {
        return;
    }
    if (open->query.op.bytes.failed) {
        refuse_open(adder);
        return;
    }
    batch_stamp(open);
    int rc = ox__post(adder->queue->client, &open->query.op, &problem);
    adder->posted++; /* counted even if it failed: break_up reports to its jobs */
    if (rc < 0) {
        stop(adder, &problem);
        break_up(adder, &problem);
    } else if (adder->posted == IN_FLIGHT) {
        reap_one(adder);
    }
}

static int put(ox_adder *adder, const struct ox__job_in *in, ox_error *err)
{
    struct batch *open = batch_at(adder, adder->posted);
    bool large = ox__add_is_large(in);
    bool plain = large || (adder->mixed_left == 0 && ox__job_in_plain(in));
    adder->mixed_left -= adder->mixed_left > 0 ? 1 : 0;
    if (!batch_fits(open, in, plain)) {
        if (open->plain && plain && !large && open->query.count < 4) {
            plain = false;
            adder->mixed_left = 1000;
        }
        send_open(adder);
        open = batch_at(adder, adder->posted);
    }
    if (adder->stopped.code != 0) {
        return ox__fail(err, adder->stopped.code, "%s", adder->stopped.text);
    }
    batch_put(open, &adder->queue->at, in, plain);
    if (batch_is_full(open, adder->queue->options.batch)) {
        send_open(adder);
    }
    return 0;
}

int ox_adder_put(ox_adder *adder, const ox_new_job *job, ox_error *err)
{
    OX__NEED(adder, err);
    OX__NEED(job, err);
    struct ox__job_in in;
    int rc = ox__job_in_init(&in, job, err);
    if (rc == 0) {
        rc = put(adder, &in, err);
        ox__job_in_done(&in);
    }
    return rc;
}

int ox_adder_flush(ox_adder *adder, ox_error *err)
{
    OX__NEED(adder, err);
    send_open(adder);
    reap_all(adder);
    const ox_error first = adder->first;
    memset(&adder->first, 0, sizeof(adder->first));
    memset(&adder->stopped, 0, sizeof(adder->stopped));
    return first.code < 0 ? ox__fail(err, first.code, "%s", first.text) : 0;
}

/* ---- one job, or an array ---------------------------------------------------------------- */

static int no_id(ox_error *err)
{
    return ox__fail(err, OX_ENOMEM, "the job was added, but its id is unknown: out of memory");
}

/* `query->out`: the id, or NULL; `query->out2`: not NULL for add_plain; `query->out3`: for
 * large data. */
static int decode_one(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    char **out = query->out;
    const redisReply *answer = *reply;
    int code = query->out3 != NULL ? ox__add_large_reply(query, &answer, err) : 0;
    if (code < 0) {
        return code;
    }
    if (query->out2 != NULL ? last_id(answer, 1) == 0
                            : answer->type != REDIS_REPLY_ARRAY || answer->elements != 1) {
        return ox__query_misfit(query, err);
    }
    const char *id = answer->str;
    code = OX_ADDED;
    if (query->out2 == NULL) {
        code = ox__job_in_answer(answer->element[0], query->at->name, NULL, &id, err);
    }
    if (code >= 0 && out != NULL) {
        *out = strdup(id);
        code = *out == NULL ? no_id(err) : code;
    }
    return code;
}

int ox__add_query(struct ox__query *query, const struct ox__queue_at *at, const ox_new_job *job,
    char **id, ox_error *err)
{
    struct ox__job_in in;
    int rc = ox__job_in_init(&in, job, err);
    if (rc < 0) {
        return rc;
    }
    bool plain = ox__job_in_plain(&in), large = ox__add_is_large(&in);
    if (large) {
        ox__add_large(query, at, &in);
    } else if (plain) {
        encode_plain(query, at, &in);
        put_job(query, &in, plain);
    } else {
        encode_mixed(query, at);
        put_job(query, &in, plain);
    }
    ox__query_into(query, decode_one, id);
    query->out2 = plain ? query : NULL;
    query->out3 = large ? query : NULL;
    ox__job_in_done(&in);
    return 0;
}

int ox_queue_add(ox_queue *queue, const char *name, const char *json,
    const ox_job_options *options, char **id, ox_error *err)
{
    const ox_new_job job = { .name = name, .json = json, .options = options };
    if (id != NULL) {
        *id = NULL;
    }
    OX__NEED(queue, err);
    OX__NEED(name, err);
    return ox__queue_run(queue, ox__add_query(&queue->query, &queue->at, &job, id, err), err);
}

struct ids {
    char **list; /* or NULL */
    bool lost;
};

static void take_id(void *arg, uint64_t index, const char *id, int code, const ox_error *err)
{
    struct ids *ids = arg;
    (void)code;
    (void)err;
    if (ids->list != NULL && id != NULL) {
        ids->list[index] = strdup(id);
        ids->lost = ids->lost || ids->list[index] == NULL;
    }
}

static int check_all(const ox_new_job *jobs, size_t count, ox_error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct ox__job_in in;
        ox_error problem = { 0 };
        int rc = ox__job_in_init(&in, &jobs[i], &problem);
        if (rc < 0) {
            return ox__fail(err, rc, "job %zu of %zu: %s", i + 1, count, problem.text);
        }
        ox__job_in_done(&in);
    }
    return 0;
}

int ox_queue_add_bulk(
    ox_queue *queue, const ox_new_job *jobs, size_t count, char **ids, ox_error *err)
{
    ox_adder *adder = NULL;
    struct ids known = { .list = ids };
    for (size_t i = 0; ids != NULL && i < count; i++) {
        ids[i] = NULL;
    }
    OX__NEED(queue, err);
    if (count > 0) {
        OX__NEED(jobs, err);
    }
    int rc = check_all(jobs, count, err);
    if (rc == 0) {
        rc = ox_adder_new(&adder, queue, take_id, &known, err);
    }
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = ox_adder_put(adder, &jobs[i], err);
    }
    if (adder != NULL) {
        int answered = ox_adder_flush(adder, err);
        rc = answered < 0 ? answered : rc;
    }
    ox_adder_free(adder);
    return rc == 0 && known.lost ? no_id(err) : rc;
}
