/*
 * wait.c - waiting for the end of a job.
 *
 * The event stream reports the finish at once. A wait records the last id of the stream, then
 * reads the job, then follows the stream: a finish between the two is seen. The job is also
 * read every LOOK_MS, since jobs may finish without an event (events are off, the job was
 * removed in bulk).
 *
 * A job that no longer exists has finished or was removed; the events tell which, so they are
 * read to their end before it counts as removed, and, without a reader from before the call,
 * the newest earlier ones as well. Without any event (its worker may write none) the outcome is
 * reported as unknown. If the server restarts meanwhile, the wait reconnects and the events
 * continue where they were.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/outage.h"
#include "queue/events.h"
#include "queue/operations.h"
#include "queue/watch.h"
#include "scripts.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 500
#define LOOK_BACK 1000 /* newest events that are searched for the finish of a removed job */

struct wait {
    ox_queue *queue;
    const char *id;
    ox_events *events;
    bool look_back; /* the job may have finished before `events` begins */
    struct ox__watch watch;
    bool known; /* the job was there at some time */
    bool gone;  /* the job was not there at the last look */
    char *text; /* at the end: the return value, or the reason */
};

/* Every function here returns 1 when the job has completed, 0 when it has not ended, or a
 * failure: OX_EFAILED for a job that failed. */

static int ended(struct wait *wait, int result, const char *text, ox_error *err)
{
    wait->text = strdup(text);
    if (wait->text == NULL) {
        return ox__fail_memory(err);
    }
    return result < 0 ? ox__fail(err, result, "%s", text) : result;
}

static int read_event(struct wait *wait, const ox_event *event, ox_error *err)
{
    if (event->job_id == NULL || strcmp(event->job_id, wait->id) != 0) {
        return 0;
    }
    if (strcmp(event->name, "completed") == 0) {
        const char *value = ox__event_field(event, "returnvalue");
        return ended(wait, 1, value != NULL ? value : "null", err);
    }
    if (strcmp(event->name, "failed") == 0) {
        const char *reason = ox__event_field(event, "failedReason");
        return ended(wait, OX_EFAILED, reason != NULL ? reason : "", err);
    }
    if (strcmp(event->name, "removed") == 0) {
        return ox__fail(err, OX_ENOTFOUND, "job %s of queue %s was removed", wait->id,
            wait->queue->at.name);
    }
    return ox__watch_event(&wait->watch, event, err);
}

/* A job that does not exist may have finished a moment ago, with options that keep nothing. */
static int search_back(struct wait *wait, ox_error *err)
{
    ox_queue *queue = wait->queue;
    OX__AUTO(ox__free_reply) redisReply *reply = NULL;
    int rc = ox__queue_run(
        queue, ox__newest_events_query(&queue->query, &queue->at, LOOK_BACK, &reply), err);
    struct ox__event_fields fields = { 0 };
    for (size_t i = 0; rc == 0 && i < reply->elements; i++) {
        ox_event event;
        if (ox__is_entry(reply->element[i])) {
            rc = ox__event_read(reply->element[i], &fields, &event, err);
            rc = rc == 1 ? read_event(wait, &event, err) : rc;
        }
    }
    free(fields.list);
    return rc;
}

static int decode_end(const struct ox__query *query, redisReply **reply, ox_error *err)
{
    redisReply **at = (*reply)->element;
    if ((*reply)->type == REDIS_REPLY_INTEGER && (*reply)->integer < 0) {
        return ox__query_refusal(query, (*reply)->integer, err);
    }
    if ((*reply)->type != REDIS_REPLY_ARRAY || (*reply)->elements == 0 ||
        at[0]->type != REDIS_REPLY_INTEGER) {
        return ox__query_misfit(query, err);
    }
    if (at[0]->integer == OX__NOT_ENDED) {
        return OX__NOT_ENDED;
    }
    if ((*reply)->elements != 2 || at[1]->type != REDIS_REPLY_STRING) {
        return ox__query_misfit(query, err);
    }
    char *text = strdup(at[1]->str);
    *(char **)query->out = text;
    return text == NULL ? ox__fail_memory(err) : (int)at[0]->integer;
}

int ox__job_end_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    char **text, ox_error *err)
{
    int rc = ox__query_job(query, at, &ox__script_read_end, id, err);
    ox__query_into(query, decode_end, text);
    return rc;
}

/* Looks at the job itself. */
static int look(struct wait *wait, ox_error *err)
{
    ox_queue *queue = wait->queue;
    ox_error problem = { 0 };
    int rc = ox__queue_run(queue,
        ox__job_end_query(&queue->query, &queue->at, wait->id, &wait->text, &problem),
        &problem);
    wait->gone = rc == OX_ENOTFOUND;
    if (wait->gone) {
        return 0;
    }
    if (rc < 0) {
        return ox__fail(err, rc, "%s", problem.text);
    }
    wait->known = true;
    if (rc == OX__NOT_ENDED) {
        return ox__watch_look(&wait->watch, err);
    }
    return rc == OX__ENDED_WELL ? 1 : ox__fail(err, OX_EFAILED, "%s", wait->text);
}

/* The next event, or 0 when none came for a while. Log rows are no events and wake no reader,
 * and the server ends a short BLOCK up to 100 ms late; so who wants log rows does not block. */
static int watch_event(struct wait *wait, int64_t left_ms, ox_event *event, ox_error *err)
{
    int rc = ox__events_now(wait->events, event, err);
    if (rc >= 0) {
        ox__watch_logs(&wait->watch, false);
    }
    if (rc == 0) {
        poll(NULL, 0, (int)(left_ms < OX__LOGS_MS ? left_ms : OX__LOGS_MS));
    }
    return rc;
}

/* Reads events until `until_ms`, or to their end when the job is gone. */
static int read_events(struct wait *wait, int64_t until_ms, bool *drained, ox_error *err)
{
    for (;;) {
        int64_t left = wait->gone ? 1 : until_ms - ox__steady_ms();
        bool watching = wait->watch.update != NULL && !wait->gone;
        ox_event event;
        int64_t slice = left < 1 ? 1 : left;
        int rc = watching ? watch_event(wait, slice, &event, err)
                          : ox_events_next(wait->events, (uint32_t)slice, &event, err);
        *drained = rc == 0;
        rc = rc == 1 ? read_event(wait, &event, err) : rc;
        if (rc != 0 || left <= 0 || (*drained && !watching)) {
            return rc;
        }
    }
}

/* The events were read to their end, and the job is not there. */
static int refuse_gone(struct wait *wait, ox_error *err)
{
    const char *queue = wait->queue->at.name;
    int rc = wait->look_back && !wait->known ? search_back(wait, err) : 0;
    if (rc != 0) {
        return rc;
    }
    if (!wait->known) {
        return ox__script_refusal(OX__NO_JOB, queue, wait->id, err);
    }
    return ox__fail(err, OX_ESTATE,
        "job %s of queue %s no longer exists, and no event tells how it finished (its worker "
        "may write "
        "none)",
        wait->id, queue);
}

static int time_out(const struct wait *wait, uint32_t timeout_ms, ox_error *err)
{
    int state = ox_queue_job_state(wait->queue, wait->id, NULL);
    bool whole = timeout_ms % 1000 == 0;
    return ox__fail(err, OX_ETIMEOUT, "timed out after %" PRIu32 " %s; job %s of queue %s %s%s",
        whole ? timeout_ms / 1000 : timeout_ms, whole ? "s" : "ms", wait->id,
        wait->queue->at.name, state < 0 ? "has not ended" : "is still ",
        state < 0 ? "" : ox_state_name(state));
}

static int wait_for_end(struct wait *wait, const ox_wait_options *options, ox_error *err)
{
    uint32_t outage_ms = options->outage_ms > 0 ? options->outage_ms : OX__OUTAGE_MAX_MS;
    bool limited = options->timeout_ms > 0;
    int64_t end_ms = limited ? ox__steady_ms() + options->timeout_ms : INT64_MAX;
    struct ox__outage outage = { 0 };
    for (;;) {
        bool drained = false;
        int rc = look(wait, err);
        int64_t now_ms = ox__steady_ms();
        bool late = now_ms >= end_ms;
        if (rc == 0 && !wait->gone && late) {
            return time_out(wait, options->timeout_ms, err);
        }
        if (rc == 0) {
            int64_t next_ms = now_ms + LOOK_MS;
            rc = read_events(wait, next_ms < end_ms ? next_ms : end_ms, &drained, err);
        }
        if (rc == 0 && wait->gone && drained) {
            rc = refuse_gone(wait, err);
        }
        if (!late && ox__outage_retry(&outage, outage_ms, rc)) {
            continue;
        }
        outage.since_ms = 0;
        if (rc != 0) {
            return rc;
        }
    }
}

int ox_queue_wait_with(
    ox_queue *queue, const char *id, const ox_wait_options *options, char **text, ox_error *err)
{
    static const ox_wait_options defaults = { 0 };
    ox_events *own = NULL;
    ox_error problem = { 0 };
    if (text != NULL) {
        *text = NULL;
    }
    OX__NEED(queue, err);
    OX__NEED(id, err);
    options = options != NULL ? options : &defaults;
    struct wait wait = {
        .queue = queue, .id = id, .known = options->known, .look_back = options->events == NULL
    };
    int rc = OX__RESERVED(ox_wait_options, options, &problem);
    rc = rc < 0 ? rc : ox__queue_id_check(&queue->at, id, &problem);
    if (rc == 0 && options->events == NULL) {
        rc = ox_events_new(&own, queue, NULL, &problem);
    }
    if (rc == 0) {
        rc = ox__watch_init(&wait.watch, queue, id, options->update, options->arg, &problem);
    }
    if (rc == 0) {
        wait.events = own != NULL ? own : options->events;
        rc = wait_for_end(&wait, options, &problem);
        if (wait.text != NULL) {
            ox__watch_logs(&wait.watch, true);
        }
        ox__watch_done(&wait.watch);
    }
    ox_events_free(own);
    if (text != NULL) {
        *text = OX__STEAL(wait.text);
    }
    free(wait.text);
    return rc < 0 ? ox__fail(err, rc, "%s", problem.text) : 0;
}

int ox_queue_wait(
    ox_queue *queue, const char *id, uint32_t timeout_ms, char **json, ox_error *err)
{
    const ox_wait_options options = { .timeout_ms = timeout_ms };
    char *text = NULL;
    int rc = ox_queue_wait_with(queue, id, &options, &text, err);
    if (json != NULL) {
        *json = rc == 0 ? OX__STEAL(text) : NULL;
    }
    free(text);
    return rc;
}
