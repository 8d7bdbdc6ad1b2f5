/*
 * cmd_metrics.c - ox metrics: finished jobs per minute.
 *
 * BullMQ stores one number for each closed minute, newest first, when a worker was told to
 * keep metrics. They are drawn oldest first, the last hour by default.
 */
#include "json.h"
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
        .fallback = 60,
        .arg = "N",
        .help = "the last N minutes; default 60" },
    { 0 },
};

static const int states[] = { OX_COMPLETED, OX_FAILED };

static size_t shown_points(const struct opts *opts, const ox_metrics *metrics)
{
    return MIN(metrics->point_count, (size_t)opts->minutes);
}

static char *metrics_json(const struct opts *opts, const ox_metrics *metrics)
{
    GString *points = g_string_new("[");
    for (size_t i = 0; i < shown_points(opts, metrics); i++) {
        g_string_append_printf(points, "%s%" PRId64, i ? "," : "", metrics->points[i]);
    }
    g_string_append_c(points, ']');
    g_autofree char *data = g_string_free(points, FALSE);
    struct obj obj;
    obj_begin(&obj);
    obj_int(&obj, "count", metrics->count);
    obj_int(&obj, "prevTS", metrics->previous_ms);
    obj_raw(&obj, "data", data);
    return obj_take(&obj);
}

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

static void print_metrics(const struct run *run, int state, const ox_metrics *metrics)
{
    size_t count = shown_points(run->opts, metrics);
    int64_t sum = 0, top = 0;
    for (size_t i = 0; i < count; i++) {
        sum += metrics->points[i];
        top = MAX(top, metrics->points[i]);
    }
    if (!run->out.terminal) {
        for (size_t i = count; i-- > 0;) {
            printf("%s\t%zu\t%" PRId64 "\n", ox_state_name(state), i, metrics->points[i]);
        }
        return;
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

static void print_object(const struct run *run, const ox_metrics *metrics)
{
    struct obj obj;
    obj_begin(&obj);
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        g_autofree char *json = metrics_json(run->opts, &metrics[i]);
        obj_raw(&obj, ox_state_name(states[i]), json);
    }
    obj_print(&obj);
}

static int print_all(struct run *run, ox_queue *queue, const ox_metrics *metrics)
{
    bool none = true;
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        none = none && !metrics[i].count;
    }
    int status = none ? server_check_queue(run, queue, NULL) : STATUS_DONE;
    if (status) {
        return status;
    }
    if (run->json) {
        print_object(run, metrics);
    } else if (none && run->out.terminal) {
        complain(run, "no worker has kept metrics of queue %s", run->args[0]);
    } else {
        for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
            print_metrics(run, states[i], &metrics[i]);
        }
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
    ox_metrics metrics[G_N_ELEMENTS(states)] = { 0 };
    ox_error err = { 0 };
    int code = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(states) && code >= 0; i++) {
        code = ox_queue_metrics(queue, states[i], &metrics[i], &err);
    }
    status = code < 0 ? complain_error(run, &err) : print_all(run, queue, metrics);
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        ox_metrics_done(&metrics[i]);
    }
    return status;
}

const struct cmd cmd_metrics = {
    .name = "metrics",
    .summary = "show completed and failed jobs per minute",
    .usage = "QUEUE",
    .help = "Draws how many jobs completed and failed in each minute, the newest on the right. "
            "Workers store this only when told to keep metrics. In a pipe: state, minutes ago, "
            "jobs.",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = 1,
    .exec = exec,
};
