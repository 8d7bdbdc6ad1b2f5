/*
 * follow.c - see follow.h.
 *
 * The event stream tells the end at once. The job itself is looked at every POLL_MS as well:
 * workers may write no events, the job may have ended before we looked, and progress and log
 * rows are to be shown. A job that is gone from Redis has ended or was removed; which of both
 * is in the events, so they are read to their end before it counts as gone. Where they say
 * nothing, since whoever ran it writes none, nothing is made up. A server that restarts
 * meanwhile is waited for: the events go on where they were.
 */
#include "follow.h"
#include <stdarg.h>
#include <string.h>

#define POLL_MS 500
#define PULSE_MS 100

struct follow {
    ox_queue *queue;
    const char *id;
    const struct watcher *watcher; /* may be NULL */
    int64_t pulse_ms;              /* when it was last called without an event */
    struct ending *ending;
    int state;  /* when last looked at */
    bool known; /* the job was there at some time */
    bool gone;  /* the job was not there then */
    struct outage outage;
};

static int fail(ox_error *err, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
static int fail(ox_error *err, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err->code = code;
    g_vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return code;
}

static const char *event_field(const ox_event *event, const char *name)
{
    for (size_t i = 0; i + 1 < event->field_count; i += 2) {
        if (!strcmp(event->fields[i], name)) {
            return event->fields[i + 1];
        }
    }
    return "";
}

/* Returns 1 when the event is the job's end, 0 when it is not, OX_ENOTFOUND for a removal. */
static int read_event(const struct follow *follow, const ox_event *event, ox_error *err)
{
    if (!event->job_id || strcmp(event->job_id, follow->id)) {
        return 0;
    }
    if (!strcmp(event->name, "completed")) {
        follow->ending->state = OX_COMPLETED;
        follow->ending->value = g_strdup(event_field(event, "returnvalue"));
        return 1;
    }
    if (!strcmp(event->name, "failed")) {
        follow->ending->state = OX_FAILED;
        follow->ending->reason = g_strdup(event_field(event, "failedReason"));
        return 1;
    }
    if (!strcmp(event->name, "removed")) {
        return fail(err, OX_ENOTFOUND, "job %s of queue %s was removed", follow->id,
            ox_queue_name(follow->queue));
    }
    if (follow->watcher) {
        follow->watcher->event(follow->watcher->arg, event);
    }
    return 0;
}

/* Looks at the job itself. Returns 1 when it has ended, 0 when not, or an error. */
static int look(struct follow *follow, ox_error *err)
{
    g_autoptr(ox_job) job = NULL;
    int state;
    int code = ox_queue_job(follow->queue, follow->id, &job, &state, err);
    follow->gone = code == OX_ENOTFOUND;
    follow->state = code < 0 ? OX_UNKNOWN : state;
    if (code < 0) {
        return follow->gone ? 0 : code;
    }
    follow->known = true;
    if (state == OX_COMPLETED || state == OX_FAILED) {
        const char *value = ox_job_text(job, OX_JOB_RETURN_VALUE);
        const char *reason = ox_job_text(job, OX_JOB_FAILED_REASON);
        follow->ending->state = state;
        if (state == OX_COMPLETED) {
            follow->ending->value = g_strdup(value ? value : "null");
        } else {
            follow->ending->reason = g_strdup(reason ? reason : "");
        }
        return 1;
    }
    if (follow->watcher) {
        follow->watcher->looked(follow->watcher->arg, job, state);
    }
    return 0;
}

static int64_t steady_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

static void pulse(struct follow *follow)
{
    if (!follow->watcher || follow->gone || steady_ms() < follow->pulse_ms + PULSE_MS / 2) {
        return;
    }
    follow->watcher->pulse(follow->watcher->arg);
    follow->pulse_ms = steady_ms();
}

/* Reads events until the next look is due. Returns 1 at the end of the job, 0, or an error;
 * `drained` says whether the stream was read to its end. */
static int read_events(
    struct follow *follow, ox_events *events, int64_t until_ms, bool *drained, ox_error *err)
{
    *drained = false;
    for (;;) {
        int64_t left = until_ms - steady_ms();
        int64_t slice = follow->watcher ? MIN(left, PULSE_MS) : left;
        ox_event event;
        int got = ox_events_next(events, (uint32_t)MAX(slice, 1), &event, err);
        if (got < 0) {
            return got;
        }
        *drained = got == 0;
        int code = got ? read_event(follow, &event, err) : 0;
        if (code || (*drained && slice == left) || left <= 0) {
            return code;
        }
        pulse(follow);
    }
}

/* The events were read to their end, and the job is not there. */
static int refuse_gone(const struct follow *follow, ox_error *err)
{
    const char *queue = ox_queue_name(follow->queue);
    if (!follow->known) {
        return fail(err, OX_ENOTFOUND, "queue %s has no job %s", queue, follow->id);
    }
    return fail(err, OX_ESTATE,
        "job %s of queue %s is gone, and no event tells how it ended (a worker may write none)",
        follow->id, queue);
}

int follow_job(ox_queue *queue, ox_events *events, const char *id, bool known,
    int64_t timeout_ms, const struct watcher *watcher, struct ending *ending, ox_error *err)
{
    struct follow follow = { .queue = queue,
        .id = id,
        .watcher = watcher,
        .known = known,
        .ending = ending,
        .state = OX_UNKNOWN };
    int64_t end_ms = steady_ms() + timeout_ms;
    for (;;) {
        int code = look(&follow, err);
        int64_t now_ms = steady_ms();
        int64_t until_ms = timeout_ms ? MIN(now_ms + POLL_MS, end_ms) : now_ms + POLL_MS;
        if (!code && !follow.gone && timeout_ms && now_ms >= end_ms) {
            return fail(err, OX_ETIMEOUT, "time is over; job %s of queue %s is %s", id,
                ox_queue_name(queue), ox_state_name(follow.state));
        }
        bool drained = false;
        if (!code) {
            code = read_events(&follow, events, until_ms, &drained, err);
        }
        bool on_time = !timeout_ms || now_ms < end_ms;
        if (on_time && server_may_return(&follow.outage, code)) {
            continue;
        }
        follow.outage.since_ms = 0;
        if (code) {
            return code < 0 ? code : 0;
        }
        if (follow.gone && drained) {
            return refuse_gone(&follow, err);
        }
    }
}

void ending_done(struct ending *ending)
{
    g_free(ending->value);
    g_free(ending->reason);
    *ending = (struct ending){ 0 };
}
