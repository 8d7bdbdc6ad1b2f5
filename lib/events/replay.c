/*
 * replay.c - makes jobs of events that are in the log, or has a group run them again.
 *
 * The log is read by a tail, over a connection of its own; the jobs go out by an adder, many in
 * flight, a portion at a time. Between portions all that was sent has its answer, so whoever
 * stops the replay, or loses the connection, knows up to which event it came.
 */
#include "base/clock.h"
#include "base/error.h"
#include "events/event.h"
#include "events/operations.h"
#include "events/stream.h"
#include "events/tail.h"
#include "queue/queue.h"
#include "scripts.h"

#include <stdlib.h>
#include <string.h>

#define PORTION 1000
#define PER_CALL 100          /* events for a group in one call */
#define CALL_BYTES (1u << 20) /* it is sent when it has as much */
#define TELL_MS 100           /* between two calls of `progress` */
#define MAX_LATE_MS 1000      /* a replay that is further behind its rate does not catch up */
#define EARLY_MS 10           /* jobs that the rate allows so soon need not be waited for */
#define ID_SIZE (3 + 41)      /* "ev-", a key, a NUL */

struct replay {
    ox_stream *stream; /* borrowed, and so is what `wanted` points to */
    const ox_replay_options *wanted;
    ox_replayed *out;
    ox_tail *tail;
    ox_queue *queue; /* NULL: jobs are only counted */
    ox_adder *adder; /* NULL in a dry run, and for a group */
    bool to_group;   /* false in a dry run */
    ox_job_options job;
    char id[ID_SIZE]; /* of the job that is made; `job.id` points to it with `holes` */
    /* Jobs of the portion: how many were put, how many have an answer, of which events. */
    size_t put, answered;
    char positions[PORTION][OX_POSITION_SIZE];
    bool failed;                 /* a job was not made */
    char seen[OX_POSITION_SIZE]; /* up to here all is put, or makes no job */
    int64_t rated_ms;            /* the rate is counted from here ... */
    int64_t rated;               /* ... in these jobs */
    int64_t next_tell_ms;
};

/* ---- how far it is ----------------------------------------------------------------------- */

static void tell(struct replay *replay)
{
    ox__tail_span(replay->tail, &replay->out->read, &replay->out->of);
    replay->next_tell_ms = ox__steady_ms() + TELL_MS;
    if (replay->wanted->progress != NULL &&
        !replay->wanted->progress(replay->wanted->arg, replay->out)) {
        replay->out->stopped = true;
    }
}

static bool is_unknown(int code)
{
    return code == OX_ELOST || code == OX_ETIMEOUT;
}

/* Jobs have their answers in order. */
static void answered(void *arg, uint64_t index, const char *id, int code, const ox_error *err)
{
    struct replay *replay = arg;
    ox_replayed *out = replay->out;
    const char *position = replay->positions[replay->answered++];
    (void)index;
    (void)id;
    (void)err;
    out->sent += code == OX_ADDED;
    out->existed += code == OX_DUPLICATED;
    out->unknown += is_unknown(code);
    replay->failed = replay->failed || code < 0;
    if (!replay->failed) {
        memcpy(out->position, position, strlen(position) + 1);
    }
}

/* ---- a portion --------------------------------------------------------------------------- */

int ox__existing_query(struct ox__query *query, const struct ox__queue_at *queue,
    const char *id, int64_t *existing)
{
    ox__query_command(query, NULL, "EXISTS");
    ox__op_key(&query->op, queue->base, id);
    ox__query_number(query, existing);
    return 0;
}

int ox__replay_query(struct ox__query *query, const struct ox__queue_at *at, const char *group)
{
    ox__stream_script(query, at, &ox__script_replay_events);
    ox__op_text(&query->op, "group", group);
    ox__query_number(query, NULL);
    return 0;
}

void ox__replay_put(
    struct ox__query *query, const char *position, const char *json, size_t length)
{
    ox__op_text(&query->op, "position", position);
    ox__op_bytes(&query->op, "event", json, length);
    query->count++;
}

/* Sends the events that were put for the group. */
static int send_to_group(struct replay *replay, ox_error *err)
{
    struct ox__query *query = &replay->stream->query;
    size_t count = replay->put;
    int rc = count > 0 ? ox__stream_run(replay->stream, 0, err) : 0;
    query->count = 0;
    replay->out->sent += rc == 0 ? (int64_t)count : 0;
    replay->out->unknown += is_unknown(rc) ? (int64_t)count : 0;
    return rc;
}

/* Of a dry run with `holes`: those of the portion that exist are no holes. */
static int count_existing(struct replay *replay, ox_error *err)
{
    int64_t existing = 0;
    int rc = 0;
    if (replay->put > 0) {
        replay->stream->query.out = &existing;
        rc = ox__stream_run(replay->stream, 0, err);
    }
    if (rc == 0) {
        replay->out->existed += existing;
        replay->out->sent += (int64_t)replay->put - existing;
    }
    return rc;
}

/* Waits until all jobs that were put are made. */
static int end_portion(struct replay *replay, ox_error *err)
{
    int rc = 0;
    if (replay->adder != NULL) {
        rc = ox_adder_flush(replay->adder, err);
    } else if (replay->to_group) {
        rc = send_to_group(replay, err);
    } else if (replay->wanted->holes) {
        rc = count_existing(replay, err);
    } else {
        replay->out->sent += (int64_t)replay->put;
    }
    replay->put = replay->answered = 0;
    replay->failed = replay->failed || rc < 0;
    if (!replay->failed) {
        memcpy(replay->out->position, replay->seen, sizeof(replay->seen));
    }
    return rc;
}

/* Waits until the rate allows another job. */
static int wait_for_rate(struct replay *replay, ox_error *err)
{
    int64_t now_ms = ox__steady_ms();
    int64_t due_ms = replay->rated_ms + replay->rated * 1000 / replay->wanted->rate;
    if (replay->rated == 0 || now_ms - due_ms > MAX_LATE_MS) {
        replay->rated_ms = due_ms = now_ms;
        replay->rated = 0;
    }
    replay->rated++;
    if (now_ms >= due_ms - EARLY_MS) {
        return 0;
    }
    int rc = end_portion(replay, err);
    while (rc == 0 && !replay->out->stopped && (now_ms = ox__steady_ms()) < due_ms) {
        int64_t left_ms = due_ms - now_ms < TELL_MS ? due_ms - now_ms : TELL_MS;
        const struct timespec nap = { .tv_nsec = left_ms * 1000000 };
        nanosleep(&nap, NULL);
        if (ox__steady_ms() >= replay->next_tell_ms) {
            tell(replay);
        }
    }
    return rc;
}

/* Puts the job of an event. One that cannot be a job is skipped. */
static int put_job(struct replay *replay, const ox_stream_event *event, ox_error *err)
{
    const char *name =
        replay->wanted->job_name != NULL ? replay->wanted->job_name : event->type;
    ox_error why = { 0 };
    int rc = 0;
    if (replay->wanted->holes) {
        rc = ox__event_key(event->source, event->id, replay->id + 3, err);
    }
    if (rc == 0 && replay->adder != NULL) {
        rc = ox_adder_put(replay->adder,
            &(ox_new_job){ .name = name, .json = event->json, .options = &replay->job }, &why);
        if (rc == OX_EINVAL) {
            replay->out->skipped++;
            return 0;
        }
        rc = rc < 0 ? ox__fail(err, rc, "%s", why.text) : 0;
    } else if (rc == 0 && replay->wanted->holes) {
        struct ox__query *query = &replay->stream->query;
        if (replay->put == 0) {
            ox__existing_query(query, &replay->queue->at, replay->id, NULL);
        } else {
            ox__op_key(&query->op, replay->queue->at.base, replay->id);
        }
    }
    replay->put += rc == 0;
    return rc;
}

static void put_for_group(struct replay *replay, const ox_stream_event *event)
{
    struct ox__query *query = &replay->stream->query;
    if (replay->put == 0) {
        ox__replay_query(query, &replay->stream->at, replay->wanted->group);
    }
    ox__replay_put(query, event->position, event->json, event->length);
    replay->put++;
}

/* Whether no more should be put before an answer. */
static bool is_full(const struct replay *replay)
{
    return replay->put == (replay->to_group ? PER_CALL : PORTION) ||
           (replay->to_group && replay->stream->query.op.bytes.len >= CALL_BYTES);
}

/* Notes that all up to where the tail is has been put, or makes no job. */
static void pass(struct replay *replay)
{
    const char *position = ox_tail_position(replay->tail);
    memcpy(replay->seen, position, strlen(position) + 1);
}

static int take(struct replay *replay, const ox_stream_event *event, ox_error *err)
{
    const ox_replay_options *wanted = replay->wanted;
    int rc = 0;
    replay->out->lost += event->lost > 0 ? event->lost : 0;
    if ((event->type == NULL && wanted->job_name == NULL && wanted->group == NULL) ||
        (wanted->holes && (event->source == NULL || event->id == NULL))) {
        replay->out->skipped++;
        pass(replay);
        return 0;
    }
    if (wanted->rate > 0 && !wanted->dry_run) {
        rc = wait_for_rate(replay, err);
    }
    if (rc < 0 || replay->out->stopped) {
        return rc;
    }
    memcpy(replay->positions[replay->put], event->position, strlen(event->position) + 1);
    if (replay->to_group) {
        put_for_group(replay, event);
    } else {
        rc = put_job(replay, event, err);
    }
    if (rc == 0) {
        pass(replay);
    }
    return rc == 0 && is_full(replay) ? end_portion(replay, err) : rc;
}

/* ---- all --------------------------------------------------------------------------------- */

/* Reads on, until the end of its part, a failure, or until it is stopped. */
static int read_all(struct replay *replay, ox_error *err)
{
    int rc = OX__TAIL_MORE;
    while (rc > 0 && !replay->out->stopped) {
        ox_stream_event event;
        rc = ox__tail_step(replay->tail, &event, err);
        if (rc == 1) {
            rc = take(replay, &event, err);
            rc = rc < 0 ? rc : 1;
        } else if (rc == OX_EDATA) {
            replay->out->skipped++;
            pass(replay);
            rc = OX__TAIL_MORE;
        } else if (rc >= 0) {
            pass(replay);
        }
        if (rc > 0 && !replay->out->stopped && ox__steady_ms() >= replay->next_tell_ms) {
            tell(replay);
        }
    }
    return rc;
}

static int run(struct replay *replay, ox_error *err)
{
    ox_error why = { 0 };
    tell(replay);
    int rc = read_all(replay, &why);
    if (rc < 0) {
        ox__fail(err, rc, "%s", why.text);
    }
    /* A job that failed is a better reason than that no more were taken after it. */
    int ended = end_portion(replay, &why);
    rc = ended < 0 ? ox__fail(err, ended, "%s", why.text) : rc;
    tell(replay);
    return rc;
}

static int open_queue(struct replay *replay, ox_error *err)
{
    const struct ox__queue_at *at = &replay->stream->at;
    const ox_queue_options options = { .prefix = at->prefix,
        .legacy_pause = strchr(at->flags, OX__FLAG_LEGACY_PAUSE) != NULL };
    int rc = ox_queue_new(
        &replay->queue, replay->stream->client, replay->wanted->queue, &options, err);
    if (rc == 0 && !replay->wanted->dry_run) {
        rc = ox_adder_new(&replay->adder, replay->queue, answered, replay, err);
    }
    return rc;
}

static int check(struct replay *replay, ox_error *err)
{
    const ox_replay_options *wanted = replay->wanted;
    struct ox__job_in in;
    int rc = OX__RESERVED(ox_replay_options, wanted, err);
    bool queue = wanted->queue != NULL, group = wanted->group != NULL;
    if (rc == 0 && (queue && group)) {
        rc = ox__fail(err, OX_EINVAL, "a replay goes to a queue or to a group, not to both");
    }
    if (rc == 0 && !queue && !group && (!wanted->dry_run || wanted->holes)) {
        rc = ox__fail(err, OX_EINVAL, "a replay needs a queue or a group");
    }
    if (rc == 0 && group && (wanted->holes || wanted->job_name != NULL)) {
        rc = ox__fail(
            err, OX_EINVAL, "holes and job_name are for jobs, and a group gets events");
    }
    replay->to_group = group && !wanted->dry_run;
    if (rc == 0) {
        rc = ox__event_job_init(
            &in, &replay->job, wanted->options, wanted->job, wanted->job_name, "replay", err);
    }
    if (rc == 0) {
        ox__job_in_done(&in);
    }
    if (rc == 0 && wanted->holes) {
        memcpy(replay->id, "ev-", 3);
        replay->job.id = replay->id;
    }
    return rc;
}

static int init(struct replay *replay, ox_error *err)
{
    const ox_replay_options *wanted = replay->wanted;
    const ox_tail_options part = { .from = wanted->from != NULL ? wanted->from : "start",
        .to = wanted->to != NULL ? wanted->to : "end",
        .pattern = wanted->pattern,
        .subject = wanted->subject };
    int rc = check(replay, err);
    if (rc == 0 && wanted->queue != NULL) {
        rc = open_queue(replay, err);
    }
    return rc < 0 ? rc : ox_tail_new(&replay->tail, replay->stream, &part, err);
}

int ox_stream_replay(
    ox_stream *stream, const ox_replay_options *options, ox_replayed *out, ox_error *err)
{
    ox_replayed none;
    OX__NEED(stream, err);
    OX__NEED(options, err);
    out = out != NULL ? out : &none;
    *out = (ox_replayed){ .position = "" };
    struct replay *replay = calloc(1, sizeof(*replay));
    if (replay == NULL) {
        return ox__fail_memory(err);
    }
    replay->stream = stream;
    replay->wanted = options;
    replay->out = out;
    int rc = init(replay, err);
    rc = rc < 0 ? rc : run(replay, err);
    ox_adder_free(replay->adder);
    ox_queue_free(replay->queue);
    ox_tail_free(replay->tail);
    free(replay);
    return rc;
}
