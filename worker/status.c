/*
 * status.c - see status.h. Of jobs it tells id and name, nothing of their data.
 */
#include "status.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "consumer.h"
#include "log.h"

struct totals {
    unsigned queues;
    uint32_t slots, running;
};

/* Resident memory of a process; 0 when it is gone. */
static int64_t resident_bytes(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/statm", (int)pid);
    g_autofree char *text = NULL;
    long long all, resident;
    if (!g_file_get_contents(path, &text, NULL, NULL) ||
        sscanf(text, "%lld %lld", &all, &resident) != 2) {
        return 0;
    }
    return resident * sysconf(_SC_PAGESIZE);
}

static void log_slot(const struct route_settings *route, const struct pool_slot *slot)
{
    log_begin_asked("slot");
    log_text("queue", route->queue);
    log_text("handler", route->handler);
    log_number("pid", slot->pid);
    log_text("state", slot->job != NULL ? "busy" : slot->ready ? "idle" : "starting");
    if (slot->job != NULL) {
        log_text("id", ox_job_id(slot->job));
        log_text("name", ox_job_text(slot->job, OX_JOB_NAME));
        log_number("attempt", slot->attempt);
        log_elapsed("ms", slot->running_ns);
    }
    if (slot->job != NULL && slot->left_ms >= 0) {
        log_number("left_ms", slot->left_ms);
    }
    log_number("rss", resident_bytes(slot->pid));
    log_end();
}

static struct totals count(const GPtrArray *consumers)
{
    struct totals totals = { 0 };
    for (guint i = 0; i < consumers->len; i++) {
        const struct consumer *consumer = g_ptr_array_index(consumers, i);
        totals.running += consumer_running(consumer);
        totals.slots += consumer_slots(consumer);
        totals.queues++;
    }
    return totals;
}

void status_log(const GPtrArray *consumers, const char *state)
{
    struct totals totals = count(consumers);
    for (guint i = 0; i < consumers->len; i++) {
        consumer_visit(g_ptr_array_index(consumers, i), log_slot);
    }
    log_begin_asked("status");
    log_text("state", state);
    log_number("queues", totals.queues);
    log_number("slots", totals.slots);
    log_number("busy", totals.running);
    log_number("pid", getpid());
    log_number("rss", resident_bytes(getpid()));
    log_end();
}

void status_write(const GPtrArray *consumers, char *text, size_t size)
{
    struct totals totals = count(consumers);
    g_snprintf(text, size, "%u queue%s, %" PRIu32 " of %" PRIu32 " slots busy", totals.queues,
        totals.queues == 1 ? "" : "s", totals.running, totals.slots);
}
