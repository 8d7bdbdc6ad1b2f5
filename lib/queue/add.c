/*
 * add.c - adding jobs: one, an array, or a stream of them.
 *
 * All three gather jobs into batches, one script call each. A batch is either plain (jobs that
 * differ in their data only: name and options travel once) or mixed. Adding a plain job costs
 * half of what running one does, so twice as many go in a call. A stream keeps a few batches on
 * the way, so that Redis works while the next one is gathered; the answers come in the order of
 * the calls, also when the server forgot the scripts (see wire/client.c).
 */
#include "queue/job_in.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "queue/queue.h"
#include "scripts.h"

#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT 4            /* batches on the way at most */
#define BATCH_BYTES (1u << 20) /* a batch is sent when it has as much */
#define STAMP_DIGITS 13        /* a time in ms, until the year 2286 */

/* ---- a batch ----------------------------------------------------------------------------- */

struct batch {
    struct ox__op op;
    size_t count;
    bool plain;
    size_t stamp_at;     /* plain: where the time stands in op.bytes; set when it is sent */
    struct ox__buf name; /* plain: what all its jobs share */
    struct ox__buf opts;
};

static bool same(const struct ox__buf *buf, const char *text, size_t len)
{
    return buf->len == len && memcmp(buf->data, text, len) == 0;
}

static bool batch_fits(const struct batch *batch, const struct ox__job_in *in, bool plain)
{
    if (batch->count == 0) {
        return true;
    }
    return batch->plain == plain && in->data_len < BATCH_BYTES &&
           (!plain || (same(&batch->name, in->name, strlen(in->name)) &&
                          same(&batch->opts, in->opts.data, in->opts.len)));
}

static bool batch_is_full(const struct batch *batch, uint32_t jobs)
{
    return batch->count >= (size_t)jobs * (batch->plain ? 2 : 1) ||
           batch->op.bytes.len >= BATCH_BYTES || batch->op.bytes.failed;
}

static void batch_begin(
    struct batch *batch, const struct ox__queue_at *at, const struct ox__job_in *in, bool plain)
{
    struct ox__op *op = &batch->op;
    batch->plain = plain;
    ox__op_at(op, plain ? &ox__script_add_plain : &ox__script_add_jobs, at);
    if (!plain) {
        ox__op_int(op, "now", ox__now_ms());
        return;
    }
    ox__buf_reset(&batch->name, 4096);
    ox__buf_text(&batch->name, in->name);
    ox__buf_reset(&batch->opts, 4096);
    ox__buf_put(&batch->opts, in->opts.data, in->opts.len);
    ox__op_text(op, "name", in->name);
    ox__op_bytes(op, "opts", in->opts.data, in->opts.len);
    ox__op_int(op, "timestamp", ox__now_ms());
    batch->stamp_at = op->bytes.len - STAMP_DIGITS - 2;
}

static void batch_put(
    struct batch *batch, const struct ox__queue_at *at, const struct ox__job_in *in, bool plain)
{
    if (batch->count == 0) {
        batch_begin(batch, at, in, plain);
    }
    if (plain) {
        ox__op_bytes(&batch->op, "data", in->data, in->data_len);
    } else {
        ox__job_in_put(&batch->op, in, "", NULL);
    }
    batch->count++;
}

/* The jobs of a plain batch were made when it was sent. */
static void batch_stamp(struct batch *batch)
{
    char text[21];
    if (batch->plain && !batch->op.bytes.failed &&
        ox__int_text(text, ox__now_ms()) == STAMP_DIGITS) {
        memcpy(batch->op.bytes.data + batch->stamp_at, text, STAMP_DIGITS);
    }
}

static void batch_done(struct batch *batch)
{
    ox__op_done(&batch->op);
    ox__buf_done(&batch->name);
    ox__buf_done(&batch->opts);
}

/* Hands out the answers: `each` gets the place in the batch, and the id or the refusal. */
typedef void each_fn(void *arg, size_t i, const char *id, int code, const ox_error *err);

static int plain_answers(
    const struct batch *batch, const redisReply *reply, each_fn *each, void *arg)
{
    char *end = NULL;
    long long last = reply->type == REDIS_REPLY_STRING ? strtoll(reply->str, &end, 10) : 0;
    if (last < (long long)batch->count || *end != '\0') {
        return OX_EREPLY;
    }
    for (size_t i = 0; i < batch->count; i++) {
        char id[22];
        id[ox__int_text(id, last - (long long)batch->count + 1 + (long long)i)] = '\0';
        each(arg, i, id, OX_ADDED, NULL);
    }
    return 0;
}

static int mixed_answers(const struct batch *batch, const char *queue, const redisReply *reply,
    each_fn *each, void *arg)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != batch->count) {
        return OX_EREPLY;
    }
    for (size_t i = 0; i < batch->count; i++) {
        const char *id;
        ox_error err;
        int code = ox__job_in_answer(reply->element[i], queue, NULL, &id, &err);
        each(arg, i, id, code, id != NULL ? NULL : &err);
    }
    return 0;
}

static void batch_failed(
    const struct batch *batch, const ox_error *err, each_fn *each, void *arg)
{
    for (size_t i = 0; i < batch->count; i++) {
        each(arg, i, NULL, err->code, err);
    }
}

static int batch_answers(const struct batch *batch, const ox_queue *queue,
    const redisReply *reply, each_fn *each, void *arg, ox_error *err)
{
    int rc = batch->plain ? plain_answers(batch, reply, each, arg)
                          : mixed_answers(batch, queue->at.name, reply, each, arg);
    if (rc < 0) {
        ox__client_drop(queue->client); /* whose replies come next is not known */
        return ox__fail(err, OX_EREPLY, "queue %s: add: unexpected reply type", queue->at.name);
    }
    return 0;
}

/* An error of the server, with the queue that it concerns. */
static int check_reply(const redisReply *reply, const char *queue, ox_error *err)
{
    ox_error problem;
    int rc = ox__reply_check(reply, &problem);
    return rc < 0 ? ox__fail(err, rc, "queue %s: add: %s", queue, problem.text) : 0;
}

/* ---- a stream of jobs -------------------------------------------------------------------- */

struct ox_adder {
    ox_queue *queue;
    ox_added_fn *added;
    void *arg;
    struct batch ring[IN_FLIGHT + 1]; /* ring[head..] are on the way, then the open one */
    size_t head, posted;
    uint64_t next_index; /* of the oldest job without an answer */
    size_t mixed_left;   /* jobs to send as mixed, after plain batches broke up too soon */
    ox_error first;      /* failure of a job since the last flush */
    ox_error stopped;    /* why no more jobs are taken until the next one */
};

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
    *out = adder;
    return 0;
}

void ox_adder_free(ox_adder *adder)
{
    if (adder == NULL) {
        return;
    }
    if (adder->posted > 0) {
        /* Answers that nobody will read must not meet the next call. */
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

/* Lets the oldest batch go: its jobs have their answers. */
static void settle(ox_adder *adder)
{
    struct batch *batch = batch_at(adder, 0);
    adder->next_index += batch->count;
    batch->count = 0;
    adder->head = (adder->head + 1) % (IN_FLIGHT + 1);
    adder->posted--;
}

/* The stream breaks: every job without an answer gets this one. */
static void break_up(ox_adder *adder, const ox_error *err)
{
    while (adder->posted > 0) {
        batch_failed(batch_at(adder, 0), err, tell, adder);
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

/* Takes the answer of the oldest batch. What the server refuses is the answer of that batch;
 * only when an answer is lost are those behind it lost as well. */
static void reap_one(ox_adder *adder)
{
    struct batch *batch = batch_at(adder, 0);
    const char *queue = adder->queue->at.name;
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    ox_error problem = { 0 };
    int rc = ox__reap(adder->queue->client, &reply, &problem);
    if (rc < 0) {
        stop(adder, &problem);
        break_up(adder, &problem);
        return;
    }
    rc = check_reply(reply, queue, &problem);
    if (rc == 0) {
        rc = batch_answers(batch, adder->queue, reply, tell, adder, &problem);
    }
    if (rc < 0) {
        stop(adder, &problem);
        batch_failed(batch, &problem, tell, adder);
    }
    settle(adder);
}

static void reap_all(ox_adder *adder)
{
    while (adder->posted > 0) {
        reap_one(adder);
    }
}

/* A batch that memory was out for is not sent. */
static void refuse_open(ox_adder *adder)
{
    ox_error problem;
    ox__fail_memory(&problem);
    reap_all(adder); /* answers come in order */
    stop(adder, &problem);
    batch_failed(batch_at(adder, 0), &problem, tell, adder);
    adder->posted = 1;
    settle(adder);
}

/* Sends the open batch; there is room for the next one afterwards. */
static void send_open(ox_adder *adder)
{
    struct batch *open = batch_at(adder, adder->posted);
    ox_error problem = { 0 };
    if (open->count == 0) {
        return;
    }
    if (open->op.bytes.failed) {
        refuse_open(adder);
        return;
    }
    batch_stamp(open);
    int rc = ox__post(adder->queue->client, &open->op, &problem);
    adder->posted++; /* counted even if it failed: its jobs get the answer from break_up */
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
    bool plain = adder->mixed_left == 0 && ox__job_in_plain(in);
    adder->mixed_left -= adder->mixed_left > 0 ? 1 : 0;
    if (!batch_fits(open, in, plain)) {
        if (open->plain && plain && open->count < 4) {
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

struct single {
    char *id;
    int code;
    ox_error err;
};

static int no_id(ox_error *err)
{
    return ox__fail(err, OX_ENOMEM, "added, but its id is lost: out of memory");
}

static void take_single(void *arg, size_t i, const char *id, int code, const ox_error *err)
{
    struct single *single = arg;
    (void)i;
    single->code = code;
    if (id != NULL) {
        single->id = strdup(id);
        single->code = single->id == NULL ? no_id(&single->err) : code;
    } else {
        single->err = *err;
    }
}

static int add_one(ox_queue *queue, struct batch *batch, struct single *single, ox_error *err)
{
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    ox_error problem;
    int rc = ox__call(queue->client, &batch->op, &reply, &problem);
    if (rc < 0) {
        return ox__fail(err, rc, "queue %s: add: %s", queue->at.name, problem.text);
    }
    rc = batch_answers(batch, queue, reply, take_single, single, err);
    if (rc == 0 && single->code < 0) {
        rc = ox__fail(err, single->code, "%s", single->err.text);
    }
    return rc < 0 ? rc : single->code;
}

int ox_queue_add(ox_queue *queue, const char *name, const char *json,
    const ox_job_options *options, char **id, ox_error *err)
{
    const ox_new_job job = { .name = name, .json = json, .options = options };
    struct ox__job_in in;
    struct single single = { 0 };
    if (id != NULL) {
        *id = NULL;
    }
    OX__NEED(queue, err);
    OX__NEED(name, err);
    int rc = ox__job_in_init(&in, &job, err);
    if (rc < 0) {
        return rc;
    }
    struct batch batch = { .op = queue->query.op };
    batch_put(&batch, &queue->at, &in, ox__job_in_plain(&in));
    rc = add_one(queue, &batch, &single, err);
    queue->query.op = batch.op;
    memset(&batch.op, 0, sizeof(batch.op));
    batch_done(&batch);
    ox__job_in_done(&in);
    if (rc >= 0 && id != NULL) {
        *id = OX__STEAL(single.id);
    }
    free(single.id);
    return rc;
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
