/*
 * consumer_jobs.c - jobs of a queue: the worker of libox that takes them, and what it tells;
 * see consumer_parts.h.
 */
#include <string.h>

#include "base/text.h"
#include "consumer_parts.h"
#include "log.h"
#include "seat.h"

#define SHOWN_NAME_BYTES 200

/* ---- What the worker tells --------------------------------------------------------------- */

/* It cannot pass by itself, and each attempt would only wait for an operator. */
static void refuse_name(const struct consumer *consumer, ox_task *task, const char *name)
{
    const struct queue_settings *queue = consumer->queue;
    g_autofree char *shown = g_strndup(name, ox__utf8_truncate(name, SHOWN_NAME_BYTES));
    g_autoptr(GString) reason = g_string_new(NULL);
    g_string_append_printf(
        reason, "no handler for jobs named %s; the queue %s has one for ", shown, queue->queue);
    for (size_t i = 0; i < queue->route_count; i++) {
        g_string_append_printf(reason, "%s%s", i > 0 ? ", " : "", queue->routes[i].job);
    }
    const ox_failure failure = { .reason = reason->str, .unrecoverable = true };
    ox_task_log(task, reason->str);
    ox_task_fail(task, &failure);
}

static void process(ox_task *task, void *arg)
{
    struct consumer *consumer = arg;
    const char *name = ox_job_text(ox_task_job(task), OX_JOB_NAME);
    const struct route_settings *route =
        settings_route(consumer->queue, name != NULL ? name : "");
    if (route != NULL) {
        consumer_process(consumer, route, run_job_new(task));
    } else {
        refuse_name(consumer, task, name != NULL ? name : "");
    }
}

static void lock_lost(ox_task *task, void *arg)
{
    struct run *run = ox_task_data(task);
    if (run != NULL) {
        consumer_lock_lost(arg, run);
    }
}

static void updates_done(ox_task *task, void *arg)
{
    const struct run *run = ox_task_data(task);
    (void)arg;
    if (run != NULL) {
        seat_said(run);
    }
}

static void on_run_ended(ox_worker *worker, const ox_run_end *end, void *arg)
{
    const struct consumer *consumer = arg;
    (void)worker;
    run_job_ended(end, consumer_place(consumer));
    consumer->hooks->run_ended(consumer->owner);
}

static const struct {
    enum log_level level;
    const char *event, *reason;
} notices[] = {
    [OX_NOTICE_STALLED] = { LOG_WARN, "stalled",
        "the job's worker lost its lock or died; the job runs again" },
    [OX_NOTICE_STALLED_TOO_OFTEN] = { LOG_WARN, "stalled",
        "the job's worker lost its lock or died, once more than max-stalled allows; the job "
        "fails" },
    [OX_NOTICE_TAKE_LOST] = { LOG_WARN, "take-lost",
        "the reply with the job was lost; the job waits again" },
    [OX_NOTICE_LOCKED_AGAIN] = { LOG_WARN, "locked-again",
        "the job's lock expired and no other worker had it; the run goes on" },
    [OX_NOTICE_RESTORED] = { LOG_WARN, "restored", "the job was in no state; it waits again" },
    [OX_NOTICE_NO_STATE] = { LOG_WARN, "no-state",
        "the job has finished, but is in no state; it was not changed" },
};

static void on_notice(ox_worker *worker, int notice, const char *job_id, void *arg)
{
    const struct consumer *consumer = arg;
    (void)worker;
    log_begin(notices[notice].level, notices[notice].event);
    log_place(consumer_place(consumer));
    log_text("id", job_id);
    log_text("reason", notices[notice].reason);
    log_end();
}

static void on_error(ox_worker *worker, const char *job_id, const ox_error *error, void *arg)
{
    (void)worker;
    if (error->code != OX_ECANCELLED) { /* the end of the run is told */
        consumer_tell_error(arg, job_id, error);
    }
}

static void on_ready(ox_worker *worker, void *arg)
{
    (void)worker;
    consumer_tell_ready(arg);
}

/* ---- The worker -------------------------------------------------------------------------- */

static int open_worker(struct consumer *consumer, ox_client *client, ox_error *err)
{
    const struct settings *settings = consumer->settings;
    const ox_queue_options queue_options = {
        .prefix = settings->prefix,
        .no_events = settings->events != 0,
        .legacy_pause = settings->legacy_pause,
        .batch = (uint32_t)settings->batch,
    };
    const ox_worker_options worker_options = {
        .name = settings->name,
        .concurrency = (uint32_t)consumer->queue->concurrency,
        .lock_ms = (uint32_t)settings->lock_ms,
        .stalled_interval_ms = (uint32_t)settings_stalled_interval_ms(settings),
        .lock_after_ms = (uint32_t)consumer->queue->lock_after_ms,
        .late_start = consumer->queue->late_start,
        .max_stalled = (int32_t)settings->max_stalled,
        .max_started = (uint32_t)MAX(settings->max_started, 0),
        .on_disconnect = (int)settings->on_disconnect,
        .calls = (uint32_t)settings->calls,
        .remove_on_complete = settings->remove_on_complete,
        .remove_on_fail = settings->remove_on_fail,
        .limiter_max = (uint32_t)consumer->queue->limit.max,
        .limiter_duration_ms = consumer->queue->limit.duration_ms,
        .metrics_points = (uint32_t)settings->metrics,
        .lock_lost = lock_lost,
        .error = on_error,
        .run_ended = on_run_ended,
        .notice = on_notice,
        .updates_done = updates_done,
        .ready = on_ready,
    };
    ox_queue *queue = NULL;
    ox_worker *worker = NULL;
    int status = ox_queue_new(&queue, client, consumer->queue->queue, &queue_options, err);
    if (status >= 0) {
        status = ox_worker_new(
            &worker, consumer->loop, queue, &worker_options, process, consumer, err);
    }
    ox_queue_free(queue);
    consumer->feed = worker;
    return status;
}

static void change_limits(struct consumer *consumer, const struct queue_settings *before)
{
    const struct queue_settings *queue = consumer->queue;
    ox_worker_set_concurrency(consumer->feed, (uint32_t)queue->concurrency);
    if (queue->limit.max != before->limit.max ||
        queue->limit.duration_ms != before->limit.duration_ms) {
        ox_worker_set_limiter(
            consumer->feed, (uint32_t)queue->limit.max, queue->limit.duration_ms, NULL);
    }
}

static void set_slots(void *feed, uint32_t slots)
{
    ox_worker_set_concurrency(feed, slots);
}

static void pause_worker(void *feed)
{
    ox_worker_pause(feed);
}

static void resume_worker(void *feed)
{
    ox_worker_resume(feed);
}

static uint32_t open_runs(const void *feed)
{
    return ox_worker_running(feed) + ox_worker_unstored(feed);
}

static void close_worker(void *feed, void (*closed)(void *arg), void *arg)
{
    ox_worker_close(feed, closed, arg);
}

static void abort_worker(void *feed, void (*closed)(void *arg), void *arg)
{
    ox_worker_abort(feed, closed, arg);
}

const struct feed_type feed_of_jobs = {
    .open = open_worker,
    .pause = pause_worker,
    .resume = resume_worker,
    .change = change_limits,
    .set_slots = set_slots,
    .open_runs = open_runs,
    .close = close_worker,
    .abort = abort_worker,
};
