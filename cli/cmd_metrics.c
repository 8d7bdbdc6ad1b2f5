/*
 * cmd_metrics.c - ox metrics: finished jobs per minute.
 *
 * BullMQ stores one number for each closed minute, newest first, when a worker is configured to
 * keep metrics. They are drawn oldest first, the last hour by default.
 */
#include "records.h"
#include "server.h"
#include <inttypes.h>
#include <stdio.h>

struct opts {
    int64_t minutes;
};

static const struct opt rows[] = {
    { .name = "minutes",
        .kind = OPT_COUNT,
        .offset = offsetof(struct opts, minutes),
        .min = 1,
        .max = 100000,
        .standard = "60",
        .arg = "N",
        .help = "the last N minutes" },
    { 0 },
};

static const int states[] = { OX_COMPLETED, OX_FAILED };

static size_t shown_points(const struct opts *opts, const ox_metrics *metrics)
{
    return MIN(metrics->point_count, (size_t)opts->minutes);
}

/* ---- as data ----------------------------------------------------------------------------- */

/* In a pipe a row for each minute, the oldest first; with --json an object for each state. */
enum { STATE, AGO, JOBS, MINUTE_FIELD_COUNT };
static const struct field minute_fields[MINUTE_FIELD_COUNT] = {
    [STATE] = { .title = "STATE", .kind = FIELD_TEXT },
    [AGO] = { .title = "MINUTES AGO", .kind = FIELD_NUMBER, .flags = COLUMN_RIGHT },
    [JOBS] = { .title = "JOBS", .kind = FIELD_NUMBER, .flags = COLUMN_RIGHT },
};
static const struct records_style minute_style = { .fields = minute_fields,
    .count = MINUTE_FIELD_COUNT };

enum { NAME, COUNT, PREVIOUS, POINTS, STATE_FIELD_COUNT };
static const struct field state_fields[STATE_FIELD_COUNT] = {
    [NAME] = { .kind = FIELD_TEXT },
    [COUNT] = { .key = "count", .kind = FIELD_NUMBER },
    [PREVIOUS] = { .key = "prevTS", .kind = FIELD_TIME },
    [POINTS] = { .key = "data", .kind = FIELD_JSON },
};
static const struct records_style state_style = {
    .fields = state_fields, .count = STATE_FIELD_COUNT, .shape = RECORDS_KEYED
};

static void add_minutes(
    struct records *records, const char *state, const int64_t *points, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        records_add(records, (const struct value[MINUTE_FIELD_COUNT]){
                                 [STATE] = { .text = state },
                                 [AGO] = { .number = (int64_t)i },
                                 [JOBS] = { .number = points[i] },
                             });
    }
}

static void add_state(
    struct records *records, const char *state, const ox_metrics *metrics, size_t count)
{
    g_autoptr(GString) points = g_string_new("[");
    for (size_t i = 0; i < count; i++) {
        g_string_append_printf(points, "%s%" PRId64, i ? "," : "", metrics->points[i]);
    }
    g_string_append_c(points, ']');
    records_add(records, (const struct value[STATE_FIELD_COUNT]){
                             [NAME] = { .text = state },
                             [COUNT] = { .number = metrics->count },
                             [PREVIOUS] = { .number = metrics->previous_ms },
                             [POINTS] = { .text = points->str },
                         });
}

static void list_metrics(const struct run *run, ox_metrics *const *metrics)
{
    struct records *records = records_new(run, run->json ? &state_style : &minute_style);
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        const char *state = ox_state_name(states[i]);
        size_t count = shown_points(run->opts, metrics[i]);
        if (run->json) {
            add_state(records, state, metrics[i], count);
        } else {
            add_minutes(records, state, metrics[i]->points, count);
        }
    }
    records_end(records);
}

/* ---- on a terminal ----------------------------------------------------------------------- */

/* One of eight heights for each minute, the oldest on the left; a space for none. */
static char *sparkline(const int64_t *points, size_t count, int64_t top)
{
    static const char *const bars[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
    GString *line = g_string_new(NULL);
    for (size_t i = count; i-- > 0;) {
        int64_t height = top ? (points[i] * 7 + top - 1) / top : 0;
        g_string_append(line, points[i] > 0 ? bars[CLAMP(height, 0, 7)] : " ");
    }
    return g_string_free(line, FALSE);
}

static void draw_metrics(const struct run *run, int state, const ox_metrics *metrics)
{
    size_t count = shown_points(run->opts, metrics);
    int64_t sum = 0, top = 0;
    for (size_t i = 0; i < count; i++) {
        sum += metrics->points[i];
        top = MAX(top, metrics->points[i]);
    }
    size_t fits = MIN(count, (size_t)MAX(run->out.width - 4, 10));
    g_autofree char *line = sparkline(metrics->points, fits, top);
    g_autofree char *all = number_grouped(metrics->count);
    enum tint tint = tint_of_state(state);
    printf("%s%s%s  %s in all, %" PRId64 " in the last %zu minutes, at most %" PRId64
           " a minute\n",
        tint_on(&run->out, tint), ox_state_name(state), tint_off(&run->out, tint), all, sum,
        count, top);
    if (count) {
        printf("  %s%s%s\n", tint_on(&run->out, tint), line, tint_off(&run->out, tint));
    }
}

static int print_all(struct run *run, ox_queue *queue, ox_metrics *const *metrics)
{
    bool none = true;
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        none = none && !metrics[i]->count;
    }
    int status = none ? server_check_queue(run, queue, NULL) : STATUS_DONE;
    if (status) {
        return status;
    }
    if (run->json || !run->out.terminal) {
        list_metrics(run, metrics);
        return STATUS_DONE;
    }
    if (none) {
        records_hint(run, "no worker has kept metrics of queue %s", run->args[0]);
        return STATUS_DONE;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        draw_metrics(run, states[i], metrics[i]);
    }
    return STATUS_DONE;
}

static int exec(struct run *run)
{
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (status) {
        return status;
    }
    ox_metrics *metrics[G_N_ELEMENTS(states)] = { NULL };
    ox_error err = { 0 };
    int code = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(states) && code >= 0; i++) {
        code = ox_queue_metrics(queue, states[i], &metrics[i], &err);
    }
    status = code < 0 ? complain_error(run, &err) : print_all(run, queue, metrics);
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        ox_free(metrics[i]);
    }
    return status;
}

const struct cmd cmd_metrics = {
    .name = "metrics",
    .summary = "show completed and failed jobs per minute",
    .usage = "QUEUE",
    .help = "Draws how many jobs completed and failed in each minute, the newest on the right. "
            "Workers store this only if they are configured to keep metrics. In a pipe: state, "
            "minutes ago, "
            "jobs.",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = 1,
    .exec = exec,
};
