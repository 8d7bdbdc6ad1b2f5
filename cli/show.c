/*
 * show.c - see show.h.
 *
 * One table lists the stored fields that are shown, with BullMQ's names and types. Fields that
 * a job does not have are left out, but for the counters of attempts.
 */
#include "show.h"
#include "base/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum shape { SHAPE_TEXT, SHAPE_NUMBER, SHAPE_JSON };

static const struct {
    const char *name;
    enum ox_field field;
    enum shape shape;
} fields[] = {
    { "data", OX_JOB_DATA, SHAPE_JSON },
    { "opts", OX_JOB_OPTS, SHAPE_JSON },
    { "timestamp", OX_JOB_TIMESTAMP, SHAPE_NUMBER },
    { "delay", OX_JOB_DELAY, SHAPE_NUMBER },
    { "priority", OX_JOB_PRIORITY, SHAPE_NUMBER },
    { "attemptsStarted", OX_JOB_ATTEMPTS_STARTED, SHAPE_NUMBER },
    { "attemptsMade", OX_JOB_ATTEMPTS_MADE, SHAPE_NUMBER },
    { "stalledCounter", OX_JOB_STALLED, SHAPE_NUMBER },
    { "processedOn", OX_JOB_PROCESSED_ON, SHAPE_NUMBER },
    { "processedBy", OX_JOB_PROCESSED_BY, SHAPE_TEXT },
    { "finishedOn", OX_JOB_FINISHED_ON, SHAPE_NUMBER },
    { "progress", OX_JOB_PROGRESS, SHAPE_JSON },
    { "returnvalue", OX_JOB_RETURN_VALUE, SHAPE_JSON },
    { "failedReason", OX_JOB_FAILED_REASON, SHAPE_TEXT },
    { "stacktrace", OX_JOB_STACK_TRACE, SHAPE_JSON },
    { "deferredFailure", OX_JOB_DEFERRED_FAILURE, SHAPE_TEXT },
    { "parentKey", OX_JOB_PARENT_KEY, SHAPE_TEXT },
    { "parent", OX_JOB_PARENT, SHAPE_JSON },
    { "repeatJobKey", OX_JOB_SCHEDULER, SHAPE_TEXT },
    { "deduplicationId", OX_JOB_DEDUP_ID, SHAPE_TEXT },
    { "telemetry", OX_JOB_TELEMETRY, SHAPE_TEXT },
};

/* A field, with the library's C0 80 for each NUL in it; NULL when there is none. Heap. */
static char *field_text(const ox_job *job, enum ox_field field)
{
    const char *text = ox_job_text(job, field);
    size_t length = ox_job_length(job, field);
    if (text == NULL || strlen(text) == length) {
        return g_strdup(text);
    }
    GString *whole = g_string_new(NULL);
    for (size_t i = 0; i < length; i++) {
        g_string_append(whole, text[i] ? (char[]){ text[i], '\0' } : "\xc0\x80");
    }
    return g_string_free(whole, FALSE);
}

/* Fields that are not stored before the first start, when they mean 0. */
static bool is_counter(enum ox_field field)
{
    return field == OX_JOB_ATTEMPTS_STARTED || field == OX_JOB_ATTEMPTS_MADE;
}

char *show_name(const ox_job *job)
{
    char *name = field_text(job, OX_JOB_NAME);
    return name != NULL ? name : g_strdup("");
}

char *show_stored(const ox_job *job)
{
    struct obj obj;
    obj_begin(&obj);
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_autofree char *text = field_text(job, fields[i].field);
        if (text == NULL && !is_counter(fields[i].field)) {
            continue;
        }
        if (fields[i].shape == SHAPE_NUMBER) {
            obj_int(&obj, fields[i].name, ox_job_number(job, fields[i].field, 0));
        } else if (fields[i].shape == SHAPE_JSON) {
            obj_json(&obj, fields[i].name, text);
        } else {
            obj_text(&obj, fields[i].name, text);
        }
    }
    return obj_take(&obj);
}

void show_lines(const ox_job *job, int state)
{
    g_autofree char *id = id_escape(ox_job_id(job));
    g_autofree char *name = show_name(job);
    out_pair("id", id);
    out_pair("name", name);
    out_pair("state", ox_state_name(state));
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        bool stored = ox_job_text(job, fields[i].field) != NULL;
        if (!stored && !is_counter(fields[i].field)) {
            continue;
        }
        g_autofree char *flat = stored ? show_flat(job, fields[i].field, 0) : g_strdup("0");
        out_pair(fields[i].name, flat);
    }
}

int64_t show_time_ms(const ox_job *job, int state)
{
    switch (state) {
    case OX_COMPLETED:
    case OX_FAILED:
        return ox_job_number(job, OX_JOB_FINISHED_ON, 0);
    case OX_ACTIVE:
        return ox_job_number(job, OX_JOB_PROCESSED_ON, 0);
    case OX_DELAYED:
        return ox_job_due_ms(job);
    default:
        return ox_job_number(job, OX_JOB_TIMESTAMP, 0);
    }
}

/* A job retried by ox retry keeps its count of attempts, so it can make more than its options
 * allow. */
static int64_t tries_beyond(const ox_job *job)
{
    return MAX(ox_job_number(job, OX_JOB_ATTEMPTS_MADE, 0) - ox_job_attempts(job), 0);
}

char *show_tries(const ox_job *job, bool for_people)
{
    int64_t made = ox_job_number(job, OX_JOB_ATTEMPTS_MADE, 0);
    int64_t beyond = for_people ? tries_beyond(job) : 0;
    g_autofree char *more = beyond ? g_strdup_printf("+%" PRId64, beyond) : g_strdup("");
    return g_strdup_printf("%" PRId64 "/%u%s", made - beyond, ox_job_attempts(job), more);
}

char *show_attempts(const ox_job *job, int state, const char *noun)
{
    int64_t made = ox_job_number(job, OX_JOB_ATTEMPTS_MADE, 0), beyond = tries_beyond(job);
    uint32_t allowed = ox_job_attempts(job);
    GString *text = g_string_new(NULL);
    g_string_append_printf(text, "%" PRId64 " of %u%s", made - beyond, allowed, noun);
    if (beyond) {
        g_string_append_printf(text, " and %" PRId64 " by a retry", beyond);
    }
    if (made >= allowed && state != OX_COMPLETED && state != OX_FAILED) {
        g_string_append_printf(
            text, ", another by a retry %s", state == OX_ACTIVE ? "runs" : "to come");
    }
    return g_string_free(text, FALSE);
}

char *show_flat(const ox_job *job, enum ox_field field, size_t limit_bytes)
{
    g_autofree char *text = field_text(job, field);
    if (text == NULL) {
        return g_strdup("");
    }
    GString *flat = g_string_new(NULL);
    g_autofree char *json = NULL;
    if (limit_bytes && strlen(text) > limit_bytes) {
        text[ox__utf8_truncate(text, limit_bytes)] = '\0';
        json_compact(flat, text);
        g_string_append(flat, "…");
    } else if ((json = json_repaired(text)) != NULL) {
        json_compact(flat, json);
    } else {
        g_string_append(flat, text);
    }
    return g_string_free(flat, FALSE);
}
