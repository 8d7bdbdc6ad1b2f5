/*
 * obliterate.c - removing a queue with all it has.
 *
 * Its jobs are removed first, in bounded script calls that also pause it, then its other keys,
 * and last its settings. If jobs are added meanwhile, it starts over.
 */
#include "base/clock.h"
#include "base/error.h"
#include "queue/operations.h"
#include "queue/queue.h"
#include "queue/scan.h"
#include "scripts.h"

#include <string.h>

#define PER_CALL 500 /* jobs that one script call removes */
#define ROUNDS 100   /* rounds at most while others add jobs */

struct removal {
    bool force;
    int round;
    enum { JOBS, KEYS, SETTINGS } stage;
    int64_t more; /* in stage JOBS: 0 when there are none left */
    bool again;   /* there are jobs again */
    struct ox__scan scan;
};

static void encode_jobs(struct removal *removal, struct ox__query *query)
{
    ox__query_script(query, query->at, &ox__script_obliterate_jobs);
    ox__op_int(&query->op, "now", ox__now_ms());
    ox__op_int(&query->op, "limit", PER_CALL);
    ox__op_int(&query->op, "force", removal->force ? 1 : 0);
    ox__query_number(query, &removal->more);
}

/* 1 when there are jobs again. */
static int decode_rest(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    struct removal *removal = query->out;
    if ((*reply)->type != REDIS_REPLY_INTEGER) {
        return ox__query_misfit(query, err);
    }
    if ((*reply)->integer < 0) {
        return ox__query_refusal(query, (*reply)->integer, err);
    }
    removal->again = removal->again || (*reply)->integer == 1;
    return 0;
}

static struct ox__op *begin_rest(struct removal *removal, struct ox__query *query, bool last)
{
    ox__query_script(query, query->at, &ox__script_obliterate_rest);
    ox__op_int(&query->op, "last", last ? 1 : 0);
    ox__query_into(query, decode_rest, removal);
    return &query->op;
}

static void encode_page(struct removal *removal, struct ox__query *query)
{
    const redisReply *keys = removal->scan.page->element[1];
    size_t base_len = strlen(query->at->base);
    struct ox__op *op = begin_rest(removal, query, false);
    for (size_t i = 0; i < keys->elements; i++) {
        const redisReply *key = keys->element[i];
        ox__op_bytes(op, "suffix", key->str + base_len, key->len - base_len);
    }
    ox__free_reply(&removal->scan.page);
}

static void encode_settings(struct removal *removal, struct ox__query *query)
{
    struct ox__op *op = begin_rest(removal, query, true);
    ox__op_text(op, "suffix", "events");
    ox__op_text(op, "suffix", "marker");
    ox__op_text(op, "suffix", "id");
    ox__op_text(op, "suffix", "meta");
}

/* Begins a round, unless there were too many. */
static int begin_round(struct removal *removal, const struct ox__queue_at *at, ox_error *err)
{
    if (removal->round++ == ROUNDS) {
        return ox__fail(err, OX_EACTIVE,
            "queue %s: jobs are added faster than they can be removed", at->name);
    }
    removal->stage = JOBS;
    removal->more = 1;
    removal->again = false;
    ox__scan_done(&removal->scan);
    return ox__scan_init(&removal->scan, at->base, "*", err);
}

static int next_removal(void *steps, struct ox__query *query, ox_error *err)
{
    struct removal *removal = steps;
    for (;;) {
        if (removal->stage == JOBS && removal->more != 0) {
            encode_jobs(removal, query);
            return 1;
        }
        if (removal->stage == JOBS) {
            removal->stage = KEYS;
        }
        if (removal->stage == KEYS && removal->scan.page != NULL) {
            encode_page(removal, query);
            return 1;
        }
        if (removal->stage == KEYS && ox__scan_next(&removal->scan, query) > 0) {
            return 1;
        }
        if (removal->stage == KEYS && !removal->again) {
            removal->stage = SETTINGS;
            encode_settings(removal, query);
            return 1;
        }
        if (!removal->again) {
            return 0;
        }
        int rc = begin_round(removal, query->at, err);
        if (rc < 0) {
            return rc;
        }
    }
}

static void removal_done(void *steps)
{
    struct removal *removal = steps;
    ox__scan_done(&removal->scan);
}

int ox__obliterate_query(
    struct ox__query *query, const struct ox__queue_at *at, bool force, ox_error *err)
{
    struct removal *removal =
        ox__query_steps(query, at, sizeof(*removal), next_removal, removal_done, err);
    if (removal == NULL) {
        return OX_ENOMEM;
    }
    removal->force = force;
    return begin_round(removal, at, err);
}

int ox_queue_obliterate(ox_queue *queue, bool force, ox_error *err)
{
    OX__NEED(queue, err);
    return ox__queue_run(
        queue, ox__obliterate_query(&queue->query, &queue->at, force, err), err);
}
