/*
 * status.c - see status.h. Of jobs it tells id and name, nothing of their data.
 */
#include "status.h"

#include <inttypes.h>
#include <unistd.h>

#include "consumer.h"
#include "log.h"
#include "proc.h"
#include "seat.h"
#include "usage.h"

struct totals {
    unsigned queues, streams;
    uint32_t slots, busy, ahead, resting; /* the last one: routes */
};

static void log_slot(const struct route_settings *route, const struct seat_state *state)
{
    log_begin_asked("slot");
    log_place(&route->place);
    log_text("handler", route->handler);
    log_number("pid", state->pid);
    log_text("state", state->run != NULL ? "busy" : state->ready ? "idle" : "starting");
    if (state->run != NULL) {
        state->run->type->describe(state->run);
        log_elapsed("ms", state->running_ns);
    }
    if (state->run != NULL && state->left_ms >= 0) {
        log_number("left_ms", state->left_ms);
    }
    log_number("rss", usage_resident(state->pid));
    log_end();
}

static void log_resting(
    const struct route_settings *route, const char *reason, uint32_t retry_ms)
{
    log_begin_asked("resting");
    log_place(&route->place);
    log_text("route", route->job);
    log_text("handler", route->handler);
    log_text("reason", reason);
    log_number("retry_ms", retry_ms);
    log_end();
}

static struct totals count(const GPtrArray *consumers)
{
    struct totals totals = { 0 };
    for (guint i = 0; i < consumers->len; i++) {
        const struct consumer *consumer = g_ptr_array_index(consumers, i);
        uint32_t ahead = consumer_ahead(consumer);
        totals.busy += consumer_running(consumer) - ahead;
        totals.ahead += ahead;
        totals.slots += consumer_slots(consumer);
        totals.resting += consumer_visit_resting(consumer, NULL);
        totals.streams += consumer_queue(consumer)->group != NULL;
        totals.queues += consumer_queue(consumer)->group == NULL;
    }
    return totals;
}

void status_log(const GPtrArray *consumers, const char *state)
{
    struct totals totals = count(consumers);
    for (guint i = 0; i < consumers->len; i++) {
        consumer_visit(g_ptr_array_index(consumers, i), log_slot);
        consumer_visit_resting(g_ptr_array_index(consumers, i), log_resting);
    }
    log_begin_asked("status");
    log_text("state", state);
    log_number("queues", totals.queues);
    if (totals.streams > 0) {
        log_number("streams", totals.streams);
    }
    log_number("slots", totals.slots);
    log_number("busy", totals.busy);
    if (totals.ahead > 0) {
        log_number("ahead", totals.ahead);
    }
    log_number("resting", totals.resting);
    log_number("pid", getpid());
    log_number("rss", proc_resident(getpid()));
    log_end();
}

/* "3 queues". Heap. */
static char *count_text(unsigned count, const char *what)
{
    return g_strdup_printf("%u %s%s", count, what, count == 1 ? "" : "s");
}

void status_write(const GPtrArray *consumers, char *text, size_t size)
{
    struct totals totals = count(consumers);
    bool both = totals.queues > 0 && totals.streams > 0;
    g_autofree char *queues =
        both || totals.streams == 0 ? count_text(totals.queues, "queue") : g_strdup("");
    g_autofree char *streams =
        totals.streams > 0 ? count_text(totals.streams, "stream") : g_strdup("");
    const char *between = both ? ", " : "";
    int length = g_snprintf(text, size, "%s%s%s, %" PRIu32 " of %" PRIu32 " slots busy", queues,
        between, streams, totals.busy, totals.slots);
    if (totals.resting > 0 && (size_t)length < size) {
        g_snprintf(text + length, size - (size_t)length, ", %" PRIu32 " route%s cannot start",
            totals.resting, totals.resting == 1 ? "" : "s");
    }
}
