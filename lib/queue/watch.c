/*
 * watch.c - states, progress and log rows of a job that is waited for, each reported once.
 *
 * States and progress come from the event stream, each with the time at which it was written.
 * What is seen by looking at the job counts only where no event reports it: at the first look,
 * and when it is still so at the next one (whoever runs the job may write no events). Log rows
 * have neither events nor times, so they bear the time at which they were seen. All times are
 * of the server's clock.
 */
#include "queue/watch.h"
#include "base/clock.h"
#include "base/error.h"
#include "queue/events.h"

#include <stdlib.h>
#include <string.h>

static int64_t server_now_ms(const struct ox__watch *watch)
{
    return ox__steady_ms() + watch->clock_ms;
}

static bool same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Replaces the copy in `*to`; `text` may be NULL. */
static int set_text(char **to, const char *text, ox_error *err)
{
    char *copy = text != NULL ? strdup(text) : NULL;
    if (text != NULL && copy == NULL) {
        return ox__fail_memory(err);
    }
    free(*to);
    *to = copy;
    return 0;
}

static void report(const struct ox__watch *watch, int kind, int64_t at_ms, const char *text)
{
    const ox_job_update update = { .kind = kind, .at_ms = at_ms, .text = text };
    watch->update(watch->arg, &update);
}

static void report_state(struct ox__watch *watch, int64_t at_ms, int state)
{
    if (state != watch->state) {
        report(watch, OX_UPDATE_STATE, at_ms, ox_state_name(state));
    }
    watch->state = state;
    watch->seen_state = -1;
}

static int report_progress(
    struct ox__watch *watch, int64_t at_ms, const char *progress, ox_error *err)
{
    if (!same(progress, watch->progress)) {
        report(watch, OX_UPDATE_PROGRESS, at_ms, progress);
    }
    free(watch->seen_progress);
    watch->seen_progress = NULL;
    return set_text(&watch->progress, progress, err);
}

int ox__watch_init(struct ox__watch *watch, ox_queue *queue, const char *id,
    ox_job_update_fn *fn, void *arg, ox_error *err)
{
    *watch = (struct ox__watch){
        .queue = queue, .id = id, .update = fn, .arg = arg, .state = -1, .seen_state = -1
    };
    int rc = fn != NULL ? ox_client_time(queue->client, &watch->since_ms, err) : 0;
    watch->clock_ms = watch->since_ms - ox__steady_ms();
    return rc;
}

void ox__watch_done(struct ox__watch *watch)
{
    free(watch->progress);
    free(watch->seen_progress);
}

int ox__watch_look(struct ox__watch *watch, ox_error *err)
{
    ox_job *job = NULL;
    int state;
    int rc = watch->update != NULL ? ox_queue_job(watch->queue, watch->id, &job, &state, err)
                                   : OX_ENOTFOUND;
    if (rc == OX_ENOTFOUND || (rc == 0 && (state == OX_COMPLETED || state == OX_FAILED))) {
        ox_job_free(job);
        return 0; /* it has just finished: the next look finds that out */
    }
    if (rc < 0) {
        return rc;
    }
    const char *progress = ox_job_text(job, OX_JOB_PROGRESS);
    bool first = watch->state < 0;
    int64_t now_ms = server_now_ms(watch);
    int64_t at_ms = first ? now_ms : watch->seen_ms;
    if (progress == NULL ||
        strcmp(progress, "0") == 0) { /* the value before the first progress */
        progress = watch->progress;
    }
    if (first || watch->seen_state == state) {
        report_state(watch, at_ms, state);
    }
    watch->seen_state = state == watch->state ? -1 : state;
    if (progress != NULL && (first || same(watch->seen_progress, progress))) {
        rc = report_progress(watch, at_ms, progress, err);
    }
    if (rc == 0) {
        bool changed = !same(progress, watch->progress);
        rc = set_text(&watch->seen_progress, changed ? progress : NULL, err);
    }
    watch->seen_ms = now_ms;
    if (first) {
        ox__watch_logs(watch, true);
    }
    ox_job_free(job);
    return rc;
}

int ox__watch_event(struct ox__watch *watch, const ox_event *event, ox_error *err)
{
    int64_t at_ms = strtoll(event->stream_id, NULL, 10);
    if (watch->update == NULL || at_ms < watch->since_ms) {
        return 0;
    }
    int state = ox_state_parse(event->name);
    if (strcmp(event->name, "progress") == 0) {
        const char *progress = ox__event_field(event, "data");
        return progress != NULL ? report_progress(watch, at_ms, progress, err) : 0;
    }
    /* Events report prioritized jobs as waiting as well. */
    if (state >= 0 && !(state == OX_WAITING && watch->state == OX_PRIORITIZED)) {
        report_state(watch, at_ms, state);
    }
    return 0;
}

/* A failure to read the rows is not worth ending for: the next time tries again. */
void ox__watch_logs(struct ox__watch *watch, bool now)
{
    int64_t now_ms = ox__steady_ms();
    if (watch->state < 0 || (!now && now_ms < watch->logs_ms + OX__LOGS_MS)) {
        return;
    }
    char **rows = NULL;
    size_t count = 0;
    int64_t total = 0, at_ms = server_now_ms(watch);
    watch->logs_ms = now_ms;
    if (ox_queue_logs(
            watch->queue, watch->id, watch->log_total, -1, &rows, &count, &total, NULL) < 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        report(watch, OX_UPDATE_LOG, at_ms, rows[i]);
    }
    watch->log_total = total;
    ox_list_free(rows);
}
