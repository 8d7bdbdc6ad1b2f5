/*
 * cmd_counts.c - ox counts: how many jobs a queue has in each state.
 */
#include "json.h"
#include "parse.h"
#include "server.h"
#include "table.h"
#include <stdio.h>

#define MAX_PRIORITIES 64

struct priorities {
    uint32_t of[MAX_PRIORITIES];
    size_t count;
};

struct opts {
    struct priorities priorities;
};

static bool parse_priorities(char *text, void *out, char **why)
{
    struct priorities *list = out;
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    for (char **word = words; *word; word++) {
        int64_t priority;
        if (!parse_count(*word, 0, MAX_PRIORITY, &priority, why)) {
            return false;
        }
        if (list->count == MAX_PRIORITIES) {
            *why = g_strdup_printf("more than %d priorities", MAX_PRIORITIES);
            return false;
        }
        list->of[list->count++] = (uint32_t)priority;
    }
    return true;
}

static const struct opt rows[] = {
    { .name = "by-priority",
        .kind = OPT_PARSED,
        .offset = offsetof(struct opts, priorities),
        .arg = "N,N,..",
        .parse = parse_priorities,
        .help = "count the waiting jobs of these priorities instead (0: those without)" },
    { 0 },
};

static const int states[] = { OX_ACTIVE, OX_WAITING, OX_PRIORITIZED, OX_DELAYED,
    OX_WAITING_CHILDREN, OX_COMPLETED, OX_FAILED, OX_PAUSED };

static const struct column columns[] = { { "STATE", 0 }, { "JOBS", COLUMN_RIGHT } };
static const struct column priority_columns[] = { { "PRIORITY", COLUMN_RIGHT },
    { "JOBS", COLUMN_RIGHT } };

/* The legacy list `paused` is shown only when a 5.x client left something there. */
static bool is_shown(const ox_counts *counts, int state)
{
    return state != OX_PAUSED || counts->of[OX_PAUSED];
}

static void print_counts(struct run *run, const ox_counts *counts)
{
    if (run->json) {
        struct obj obj;
        obj_begin(&obj);
        for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
            if (is_shown(counts, states[i])) {
                obj_int(&obj, ox_state_name(states[i]), counts->of[states[i]]);
            }
        }
        obj_print(&obj);
        return;
    }
    struct table *table = table_new(columns, G_N_ELEMENTS(columns), &run->out);
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        if (is_shown(counts, states[i])) {
            int64_t count = counts->of[states[i]];
            table_cell(
                table, ox_state_name(states[i]), count ? tint_of_state(states[i]) : TINT_DIM);
            table_number(table, count);
        }
    }
    table_end(table);
}

static int count_by_priority(struct run *run, ox_queue *queue, const struct priorities *list)
{
    int64_t counts[MAX_PRIORITIES];
    ox_error err = { 0 };
    if (ox_queue_counts_by_priority(queue, list->of, list->count, counts, &err) < 0) {
        return complain_error(run, &err);
    }
    struct obj obj;
    obj_begin(&obj);
    struct table *table = table_new(priority_columns, 2, &run->out);
    for (size_t i = 0; i < list->count; i++) {
        g_autofree char *name = g_strdup_printf("%u", list->of[i]);
        if (run->json) {
            obj_int(&obj, name, counts[i]);
        } else {
            table_cell(table, name, TINT_NONE);
            table_number(table, counts[i]);
        }
    }
    table_end(table);
    g_autofree char *text = obj_take(&obj);
    if (run->json) {
        json_print(text);
    }
    return STATUS_DONE;
}

static int exec(struct run *run)
{
    const struct opts *opts = run->opts;
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (status) {
        return status;
    }
    if (opts->priorities.count) {
        return count_by_priority(run, queue, &opts->priorities);
    }
    ox_counts counts;
    ox_error err = { 0 };
    if (ox_queue_counts(queue, &counts, &err) < 0) {
        return complain_error(run, &err);
    }
    if ((status = server_check_queue(run, queue, &counts))) {
        return status;
    }
    print_counts(run, &counts);
    return STATUS_DONE;
}

const struct cmd cmd_counts = {
    .name = "counts",
    .summary = "count a queue's jobs by state",
    .usage = "QUEUE",
    .help = "Prints how many jobs QUEUE has in each state, under BullMQ's names.",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = 1,
    .exec = exec,
};
