/*
 * run_batch.c - a batch of a stream's events as a run, and how its end is told; see run.h.
 */
#include <glib.h>
#include <string.h>

#include "batch.h"
#include "run.h"

/* ---- while it runs ----------------------------------------------------------------------- */

static void write_batch(struct run *run, struct frame_job *out)
{
    const char *group = ox_consumer_group(ox_batch_consumer(run->of));
    size_t count = ox_batch_count(run->of), length;
    char position[OX_POSITION_SIZE];
    if (run->text == NULL) { /* else a child has left it */
        run->text = g_string_new(NULL);
        for (size_t i = 0; i < count; i++) {
            const char *json = ox_batch_json(run->of, i, &length);
            ox_batch_position(run->of, i, position);
            batch_put(run->text, json, length, position);
        }
        batch_end(run->text);
    }
    ox_batch_position(run->of, 0, run->id);
    *out = (struct frame_job){
        .id = run->id,
        .id_len = strlen(run->id),
        .name = group,
        .name_len = strlen(group),
        .data = run->text->str,
        .data_len = run->text->len,
        .attempt = ox_batch_attempt(run->of),
        .events = (uint32_t)count,
    };
}

static int64_t timeout_ms(const struct run *run)
{
    (void)run;
    return 0;
}

static uint32_t attempt(const struct run *run)
{
    return ox_batch_attempt(run->of);
}

/* Nobody asks for the progress of a batch, and it has no log: its child says neither. */
static bool progress(struct run *run, const char *json)
{
    (void)run, (void)json;
    return true;
}

static bool log_row(struct run *run, const char *row)
{
    (void)run, (void)row;
    return false;
}

static bool cancelled(const struct run *run)
{
    (void)run;
    return false;
}

static void describe(const struct run *run)
{
    char first[OX_POSITION_SIZE];
    ox_batch_position(run->of, 0, first);
    log_text("first", first);
    log_number("events", (int64_t)ox_batch_count(run->of));
    log_number("attempt", ox_batch_attempt(run->of));
}

/* ---- its end ----------------------------------------------------------------------------- */

static void fail(struct run *run, const ox_failure *failure)
{
    ox_batch_fail(run->of, failure);
}

static void fail_some(struct run *run, const GArray *places)
{
    const ox_failure failure = { .reason = "the handler named it in batchItemFailures",
        .min_delay_ms = run->retry_after_ms };
    g_autofree size_t *indices = g_new(size_t, places->len);
    for (guint i = 0; i < places->len; i++) {
        indices[i] = g_array_index(places, guint32, i);
    }
    run->kind = FAILURE_FAILED;
    ox_batch_fail_some(run->of, indices, places->len, &failure, NULL);
}

/* `text` are the places of the events that failed. */
static bool complete(struct run *run, const char *text)
{
    g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(guint32));
    if (!batch_read_places(text, ox_batch_count(run->of), places)) {
        const ox_failure failure = { .reason = "bad output: not places of events" };
        ox_batch_fail(run->of, &failure);
        return false;
    }
    if (places->len > 0) {
        fail_some(run, places);
    } else {
        ox_batch_done(run->of);
    }
    return true;
}

static void release(struct run *run)
{
    ox_batch_release(run->of);
}

static void decline(struct run *run, int64_t at_ms)
{
    int64_t now_ms = g_get_real_time() / 1000;
    if (at_ms > now_ms) {
        ox_batch_delay(run->of, at_ms - now_ms);
    } else {
        ox_batch_release(run->of);
    }
}

static const struct run_type type = {
    .write = write_batch,
    .timeout_ms = timeout_ms,
    .attempt = attempt,
    .progress = progress,
    .log = log_row,
    .cancelled = cancelled,
    .complete = complete,
    .fail = fail,
    .release = release,
    .decline = decline,
    .describe = describe,
    .lock_lost = "the claims of the batch were lost",
};

struct run *run_batch_new(ox_batch *batch)
{
    struct run *run = run_new(&type, batch);
    ox_batch_set_data(batch, run);
    return run;
}

/* ---- how its end is told ----------------------------------------------------------------- */

static void log_count(const char *key, size_t count)
{
    if (count > 0) {
        log_number(key, (int64_t)count);
    }
}

/* One word for what a run came to, the worst of it; the counts tell the rest. */
static void begin_line(const ox_batch_end *end)
{
    if (end->err != NULL || end->lost > 0) {
        log_begin(LOG_ERROR, "dropped");
    } else if (end->dead > 0) {
        log_begin(LOG_WARN, "failed");
    } else if (end->again > 0) {
        log_begin(end->reason != NULL ? LOG_WARN : LOG_DEBUG,
            end->reason != NULL ? "retried" : "delayed");
    } else if (end->released > 0) {
        log_begin(LOG_WARN, "released");
    } else {
        log_begin(LOG_INFO, "completed");
    }
}

static const char *type_word(const ox_batch_end *end, const struct run *run)
{
    bool failed = end->dead > 0 || (end->again > 0 && end->reason != NULL);
    if (end->err != NULL) {
        return failure_word(FAILURE_NOT_STORED);
    }
    if (end->lost > 0) {
        return failure_word(FAILURE_LOCK_LOST);
    }
    if (run != NULL && run->kind != FAILURE_NONE && (failed || end->released > 0)) {
        return failure_word(run->kind);
    }
    return failed ? failure_word(FAILURE_FAILED) : NULL;
}

void run_batch_ended(const ox_batch_end *end, const struct log_place *place)
{
    struct run *run = end->data;
    begin_line(end);
    log_place(place);
    log_text("first", end->first);
    log_number("events", (int64_t)end->events);
    log_number("attempt", end->attempt);
    if (run != NULL && run->started_ns > 0) { /* else it was not begun */
        log_elapsed("ms", run->ended_ns - run->started_ns);
    }
    if (end->done < end->events) {
        log_count("done", end->done);
    }
    log_count("again", end->again);
    log_count("dead", end->dead);
    log_count("released", end->released);
    log_count("lost", end->lost);
    log_text("type", type_word(end, run));
    log_text("reason", run != NULL && run->reason != NULL ? run->reason
                       : end->err != NULL                 ? end->err->text
                                                          : end->reason);
    if (end->retry_ms > 0) {
        log_number("retry_ms", end->retry_ms);
    }
    log_text("next", end->err != NULL ? "these events run again when their claims are over"
                     : end->lost > 0  ? "another worker has these events"
                                      : NULL);
    log_end();
    run_free(run);
}
