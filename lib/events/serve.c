/* serve.c - a consumer at work: see serve.h. */
#include "events/serve.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

static int64_t now_of(const ox_consumer *consumer)
{
    return ox__clock_boot_ms(&consumer->clock);
}

static bool is_closed(const ox_consumer *consumer)
{
    return consumer->state == OX__SERVE_CLOSED;
}

/* ---- batches ----------------------------------------------------------------------------- */

/* How many events may be taken beyond those that are ready. */
static int64_t wanted(const ox_consumer *consumer)
{
    const ox_consumer_options *o = &consumer->options;
    size_t slots = consumer->batches.slots;
    if (consumer->state != OX__SERVE_RUNNING || slots >= o->concurrency) {
        return 0;
    }
    int64_t free_slots = (int64_t)(o->concurrency - slots);
    return (int64_t)consumer->ready_bytes >= free_slots * o->batch_bytes
               ? 0
               : free_slots * o->batch_events - (int64_t)consumer->ready_events;
}

/* The first `most` events that are ready, or one that runs alone, into `out`. Returns how many.
 */
static size_t gather(ox_consumer *consumer, struct ox__event_held **out, size_t most)
{
    size_t count = 0, bytes = 0;
    while (count < most && bytes < consumer->options.batch_bytes) {
        struct ox__held *held = consumer->ready.head;
        if (held == NULL || (held->alone && count > 0)) {
            break;
        }
        bool alone = held->alone;
        while (held->begun < held->count && count < most &&
               bytes < consumer->options.batch_bytes) {
            struct ox__event_held *event = &held->events[held->begun++];
            bytes += event->length;
            consumer->ready_bytes -= event->length;
            consumer->ready_events--;
            if (held->begun == held->count) { /* first: an entry is in one queue at a time */
                ox__held_queue_pop(&consumer->ready);
            }
            if (held->lost) {
                ox__event_ends(&consumer->batches, NULL, event, OX__EVENT_BACK);
            } else {
                out[count++] = event;
            }
        }
        if (alone) {
            break;
        }
    }
    return count;
}

/* Whether what is ready is to begin now, though the batch may not be full. */
static bool is_full(const ox_consumer *consumer)
{
    const ox_consumer_options *o = &consumer->options;
    bool waits = o->wait_ms > 0
                     ? now_of(consumer) < consumer->full_ms
                     : consumer->more && !consumer->in_vain && ox__link_is_up(consumer->link) &&
                           now_of(consumer) >= consumer->retry_ms && !consumer->recover;
    return consumer->ready_events >= o->batch_events ||
           consumer->ready_bytes >= o->batch_bytes || consumer->ready.head->alone || !waits;
}

static void form_batches(ox_consumer *consumer)
{
    while (consumer->ready_events > 0 && consumer->state == OX__SERVE_RUNNING &&
           consumer->batches.slots < consumer->options.concurrency && is_full(consumer)) {
        size_t most = consumer->ready_events < consumer->options.batch_events
                          ? consumer->ready_events
                          : consumer->options.batch_events;
        struct ox__event_held **events = malloc(most * sizeof(struct ox__event_held *));
        size_t count = events != NULL ? gather(consumer, events, most) : 0;
        if (events == NULL ||
            (count > 0 && ox__batch_begin(&consumer->batches, events, count) == NULL)) {
            ox_error err;
            ox__fail_memory(&err);
            for (size_t i = 0; i < count; i++) {
                ox__event_ends(&consumer->batches, NULL, events[i], OX__EVENT_BACK);
            }
            free(events);
            ox__consumer_report(consumer, &err);
            return;
        }
        free(events);
        consumer->full_ms = now_of(consumer) + consumer->options.wait_ms;
    }
}

static void start_batches(ox_consumer *consumer)
{
    struct ox_batch *batch;
    while (!is_closed(consumer) &&
           (batch = ox__batch_start(&consumer->batches, now_of(consumer))) != NULL) {
        consumer->process(batch, consumer->arg);
    }
}

/* Tells of runs whose end is stored. */
static void report_ends(ox_consumer *consumer)
{
    struct ox__batch_list *over = &consumer->batches.list[OX__BATCH_OVER];
    while (!is_closed(consumer) && over->head != NULL) {
        struct ox_batch *batch = over->head;
        batch->end.first = batch->first;
        batch->end.reason = batch->reason;
        batch->end.data = batch->data;
        batch->end.err = batch->err.code != 0 ? &batch->err : NULL;
        if (consumer->options.batch_ended != NULL) {
            consumer->options.batch_ended(consumer, &batch->end, consumer->arg);
        }
        if (!is_closed(consumer)) {
            ox__batch_free(batch);
        }
    }
}

/* ---- the owner --------------------------------------------------------------------------- */

static void on_link_closed(void *arg)
{
    ox_consumer *consumer = arg;
    if (--consumer->open == 0) {
        ox__batches_done(&consumer->batches);
        ox__asks_done(consumer);
        void (*closed)(void *arg) = consumer->closed;
        void *closed_arg = consumer->closed_arg;
        ox__member_done(&consumer->member);
        free(consumer);
        if (closed != NULL) {
            closed(closed_arg);
        }
    }
}

static void close_all(ox_consumer *consumer)
{
    consumer->state = OX__SERVE_CLOSED;
    ox__batches_done(&consumer->batches);
    ox__link_close(consumer->link, on_link_closed, consumer);
    ox__link_close(consumer->sleeper, on_link_closed, consumer);
    ox__turn_close(&consumer->turn);
}

/* Whether nothing is left to be done before the links close. */
static bool is_drained(const ox_consumer *consumer)
{
    const struct ox__batches *batches = &consumer->batches;
    return consumer->state == OX__SERVE_DRAINING && batches->slots == 0 &&
           batches->ends.head == NULL && batches->list[OX__BATCH_ENDING].head == NULL &&
           batches->list[OX__BATCH_OVER].head == NULL && !consumer->take.busy &&
           !consumer->end.busy && !consumer->renew.busy;
}

static void finish_close(ox_consumer *consumer)
{
    if (!is_drained(consumer) || consumer->leave.busy) {
        return;
    }
    if (!consumer->left && ox__link_is_up(consumer->link)) {
        ox__ask_leave(consumer);
        return;
    }
    close_all(consumer);
}

static void ask(ox_consumer *consumer)
{
    int64_t now_ms = now_of(consumer), events = wanted(consumer);
    bool up = ox__link_is_up(consumer->link), waits = now_ms < consumer->retry_ms;
    consumer->sweep = consumer->sweep || now_ms >= consumer->sweep_ms;
    if (now_ms >= consumer->strays_ms) {
        consumer->strays_ms = INT64_MAX;
        consumer->recover = true;
        consumer->renew_ms = 0;
    }
    if (consumer->batches.ends.head != NULL && !consumer->end.busy) {
        ox__ask_end(consumer);
    }
    if (up && !consumer->renew.busy && now_ms >= consumer->renew_ms &&
        (consumer->held_count > 0 || consumer->recover || consumer->owner)) {
        ox__ask_renew(consumer);
    }
    if (up && !consumer->take.busy && events > 0 && !waits && !consumer->recover &&
        (consumer->more || consumer->sweep)) {
        ox__ask_take(consumer, events);
    }
    if (events > 0 && !consumer->sleep.busy && !consumer->take.busy &&
        now_ms >= consumer->sleep_ms && consumer->member.seen[0] != '\0' &&
        ox__link_is_up(consumer->sleeper) &&
        (!consumer->more || (consumer->options.ordered && !consumer->owner))) {
        ox__ask_sleep(consumer);
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void set_alarm(ox_consumer *consumer)
{
    int64_t now_ms = now_of(consumer), at_ms = ox__batches_due_ms(&consumer->batches);
    bool wants = wanted(consumer) > 0;
    if (consumer->held_count > 0 || consumer->recover || consumer->owner) {
        at_ms = earlier(at_ms, consumer->renew_ms);
    }
    at_ms = earlier(at_ms, consumer->strays_ms);
    if (wants && ox__link_is_up(consumer->link)) {
        at_ms = earlier(at_ms, consumer->sweep_ms);
        at_ms = consumer->retry_ms > now_ms ? earlier(at_ms, consumer->retry_ms) : at_ms;
        at_ms = consumer->sleep_ms > now_ms ? earlier(at_ms, consumer->sleep_ms) : at_ms;
    }
    if (consumer->ready_events > 0 && consumer->options.wait_ms > 0 &&
        consumer->batches.slots < consumer->options.concurrency) {
        at_ms = earlier(at_ms, consumer->full_ms);
    }
    /* What is due and was not done waits for an answer, or the connection. */
    at_ms = at_ms <= now_ms ? now_ms + 100 : at_ms;
    ox__turn_alarm(&consumer->turn, at_ms == INT64_MAX ? OX__NEVER : at_ms);
}

static void step(void *arg)
{
    ox_consumer *consumer = arg;
    if (is_closed(consumer)) {
        return;
    }
    ox__drop_lost(consumer);
    report_ends(consumer);
    if (!is_closed(consumer)) {
        form_batches(consumer);
        start_batches(consumer);
    }
    if (!is_closed(consumer)) {
        ask(consumer);
        set_alarm(consumer);
        finish_close(consumer);
    }
}

/* ---- life -------------------------------------------------------------------------------- */

static void on_up(void *arg)
{
    ox_consumer *consumer = arg;
    consumer->told.code = 0;
    consumer->more = consumer->sweep = true;
    consumer->reads_ms = 0;
    consumer->renew_ms = 0; /* claims may have run out meanwhile */
    if (consumer->options.ready != NULL) {
        consumer->options.ready(consumer, consumer->arg);
    }
    ox__consumer_soon(consumer);
}

static void on_down(void *arg, const ox_error *err)
{
    ox_consumer *consumer = arg;
    ox__consumer_report(consumer, err);
    ox__consumer_soon(consumer);
}

static void on_sleeper_up(void *arg)
{
    ox_consumer *consumer = arg;
    consumer->more = true;
    ox__consumer_soon(consumer);
}

static int64_t batches_now_ms(void *arg)
{
    return now_of(arg);
}

static void batches_soon(void *arg)
{
    ox__consumer_soon(arg);
}

static void set_up(ox_consumer *consumer)
{
    struct ox__batches *batches = &consumer->batches;
    batches->consumer = consumer;
    batches->attempts = consumer->options.attempts;
    batches->backoff = consumer->options.backoff;
    batches->now_ms = batches_now_ms;
    batches->soon = batches_soon;
    batches->arg = consumer;
    ox__batches_init(batches);
    ox__server_clock_init(&consumer->clock);
    consumer->strays_ms = INT64_MAX;
    ox__asks_init(consumer);
    consumer->turn = (struct ox__turn){ .clock = &consumer->clock,
        .ended = step,
        .due = step,
        .closed = on_link_closed,
        .arg = consumer };
}

int ox__serve_start(
    ox_consumer *consumer, uv_loop_t *loop, const struct ox__link_options *link, ox_error *err)
{
    struct ox__link_options options = *link;
    consumer->command_timeout_ms = link->command_timeout_ms;
    set_up(consumer);
    options.arg = consumer;
    options.up = on_up;
    options.down = on_down;
    int rc = ox__link_new(&consumer->link, loop, &options, err);
    options.up = on_sleeper_up;
    options.down = NULL;
    options.client_name = NULL;
    options.base = NULL;
    rc = rc < 0 ? rc : ox__link_new(&consumer->sleeper, loop, &options, err);
    if (rc < 0) {
        ox__link_free(consumer->link);
        return rc;
    }
    consumer->open = OX__TURN_HANDLES + 2;
    consumer->turn.loop = loop;
    ox__turn_start(&consumer->turn);
    ox__link_start(consumer->link);
    ox__link_start(consumer->sleeper);
    return 0;
}

void ox__serve_pause(ox_consumer *consumer)
{
    if (consumer->state == OX__SERVE_RUNNING) {
        consumer->state = OX__SERVE_PAUSED;
        ox__consumer_give_back(consumer);
        ox__consumer_soon(consumer);
    }
}

void ox__serve_resume(ox_consumer *consumer)
{
    if (consumer->state == OX__SERVE_PAUSED) {
        consumer->state = OX__SERVE_RUNNING;
        consumer->more = consumer->sweep = true;
        ox__consumer_soon(consumer);
    }
}

void ox__serve_close(ox_consumer *consumer)
{
    if (consumer->state < OX__SERVE_DRAINING) {
        consumer->state = OX__SERVE_DRAINING;
        consumer->batches.draining = true;
        ox__consumer_give_back(consumer);
        ox__consumer_soon(consumer);
    }
}

void ox__serve_abort(ox_consumer *consumer)
{
    if (!is_closed(consumer)) {
        close_all(consumer);
    }
}
