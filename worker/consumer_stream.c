/*
 * consumer_stream.c - batches of a stream's events: the member of the group in libox that takes
 * them, and what it tells; see consumer_parts.h.
 */
#include "consumer_parts.h"
#include "log.h"

/* ---- What the member tells --------------------------------------------------------------- */

static void process(ox_batch *batch, void *arg)
{
    struct consumer *consumer = arg;
    consumer_process(consumer, &consumer->queue->routes[0], run_batch_new(batch));
}

/* As long as some of its events are still this member's, it is worth to go on. */
static void claim_lost(ox_batch *batch, void *arg)
{
    struct run *run = ox_batch_data(batch);
    if (run != NULL && ox_batch_lost(batch) == ox_batch_count(batch)) {
        consumer_lock_lost(arg, run);
    }
}

static void on_batch_ended(ox_consumer *member, const ox_batch_end *end, void *arg)
{
    const struct consumer *consumer = arg;
    (void)member;
    run_batch_ended(end, consumer_place(consumer));
    consumer->hooks->run_ended(consumer->owner);
}

static const struct {
    enum log_level level;
    const char *event, *reason, *count;
} notices[] = {
    [OX_STREAM_SKIPPED] = { LOG_WARN, "skipped", NULL, NULL },
    [OX_STREAM_DEAD] = { LOG_WARN, "dead-letter", NULL, NULL },
    [OX_STREAM_LOST] = { LOG_ERROR, "events-lost",
        "retention removed events before the group read them", "events" },
    [OX_STREAM_TAKEN_OVER] = { LOG_WARN, "taken-over",
        "the worker that had these entries is gone, late, or gave them back", "entries" },
    [OX_STREAM_ALONE] = { LOG_WARN, "alone",
        "delivered so often without an end: these events run one by one", "deliveries" },
    [OX_STREAM_OWNER] = { LOG_INFO, "owner", NULL, NULL },
};

static void on_notice(ox_consumer *member, int notice, const char *position, const char *reason,
    int64_t count, void *arg)
{
    const struct consumer *consumer = arg;
    bool unknown = notice == OX_STREAM_LOST && count < 0;
    bool standby = notice == OX_STREAM_OWNER && count == 0;
    (void)member;
    log_begin(notices[notice].level, standby ? "standby" : notices[notice].event);
    log_place(consumer_place(consumer));
    log_text("position", position);
    if (notices[notice].count != NULL && !unknown) {
        log_number(notices[notice].count, count);
    }
    log_text("reason", unknown ? "the numbers of events went back: the server has lost "
                                 "its newest events, it is not known how many"
                       : reason != NULL ? reason
                                        : notices[notice].reason);
    log_end();
}

static void on_error(ox_consumer *member, const ox_error *error, void *arg)
{
    (void)member;
    consumer_tell_error(arg, NULL, error);
}

static void on_ready(ox_consumer *member, void *arg)
{
    (void)member;
    consumer_tell_ready(arg);
}

/* ---- The member -------------------------------------------------------------------------- */

static int open_member(struct consumer *consumer, ox_client *client, ox_error *err)
{
    const struct settings *settings = consumer->settings;
    const struct queue_settings *queue = consumer->queue;
    const struct stream_settings *own = &queue->stream;
    const ox_stream_options stream_options = { .prefix = settings->prefix };
    const ox_consumer_options options = {
        .name = settings->name,
        .from = own->from,
        .concurrency = (uint32_t)queue->concurrency,
        .batch_events = (uint32_t)own->batch,
        .batch_bytes = (uint32_t)own->batch_bytes,
        .wait_ms = (uint32_t)own->wait_ms,
        .claim_ms = (uint32_t)settings->lock_ms,
        .sweep_ms = (uint32_t)settings->stalled_interval_ms,
        .attempts = (uint32_t)own->attempts,
        .backoff = own->backoff,
        .max_deliveries = (uint32_t)own->max_started,
        .ordered = own->ordered,
        .claim_lost = claim_lost,
        .error = on_error,
        .ready = on_ready,
        .batch_ended = on_batch_ended,
        .notice = on_notice,
    };
    ox_stream *stream = NULL;
    ox_consumer *member = NULL;
    int status = ox_stream_new(&stream, client, queue->queue, &stream_options, err);
    if (status >= 0) {
        status = ox_consumer_new(
            &member, consumer->loop, stream, queue->group, &options, process, consumer, err);
    }
    ox_stream_free(stream);
    consumer->feed = member;
    return status;
}

/* All else needs a new member, see consumer_fits(). */
static void change_concurrency(struct consumer *consumer, const struct queue_settings *before)
{
    const struct queue_settings *queue = consumer->queue;
    if (queue->concurrency != before->concurrency) {
        ox_consumer_set_concurrency(consumer->feed, (uint32_t)queue->concurrency);
    }
}

static void pause_member(void *feed)
{
    ox_consumer_pause(feed);
}

static void resume_member(void *feed)
{
    ox_consumer_resume(feed);
}

static uint32_t open_runs(const void *feed)
{
    return ox_consumer_running(feed) + ox_consumer_unstored(feed);
}

static void close_member(void *feed, void (*closed)(void *arg), void *arg)
{
    ox_consumer_close(feed, closed, arg);
}

static void abort_member(void *feed, void (*closed)(void *arg), void *arg)
{
    ox_consumer_abort(feed, closed, arg);
}

const struct feed_type feed_of_events = {
    .open = open_member,
    .pause = pause_member,
    .resume = resume_member,
    .change = change_concurrency,
    .open_runs = open_runs,
    .close = close_member,
    .abort = abort_member,
};
