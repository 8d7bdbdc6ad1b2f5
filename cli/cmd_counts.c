/*
 * cmd_counts.c - ox counts: how many jobs a queue has in each state.
 */
#include "base/units.h"
#include "parse.h"
#include "records.h"
#include "server.h"

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
    for (char **word = words; *word != NULL; word++) {
        int64_t priority;
        if (!ox__parse_count(*word, 0, MAX_PRIORITY, &priority, why)) {
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

enum { NAME, JOBS, FIELD_COUNT };
static const struct field by_state[FIELD_COUNT] = {
    [NAME] = { .title = "STATE", .kind = FIELD_TEXT },
    [JOBS] = { .title = "JOBS", .key = "", .kind = FIELD_NUMBER, .flags = COLUMN_RIGHT },
};
static const struct field by_priority[FIELD_COUNT] = {
    [NAME] = { .title = "PRIORITY", .kind = FIELD_TEXT, .flags = COLUMN_RIGHT },
    [JOBS] = { .title = "JOBS", .key = "", .kind = FIELD_NUMBER, .flags = COLUMN_RIGHT },
};
static const struct records_style state_style = {
    .fields = by_state, .count = FIELD_COUNT, .shape = RECORDS_KEYED
};
static const struct records_style priority_style = {
    .fields = by_priority, .count = FIELD_COUNT, .shape = RECORDS_KEYED
};

static void list_states(struct run *run, const ox_counts *counts)
{
    struct records *records = records_new(run, &state_style);
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        int64_t count = counts->of[states[i]];
        enum tint tint = count ? tint_of_state(states[i]) : TINT_DIM;
        /* The legacy list `paused` is shown only when a 5.x client left something there. */
        if (states[i] != OX_PAUSED || count) {
            records_add(
                records, (const struct value[FIELD_COUNT]){
                             [NAME] = { .text = ox_state_name(states[i]), .tint = tint },
                             [JOBS] = { .number = count },
                         });
        }
    }
    records_end(records);
}

static int list_priorities(struct run *run, ox_queue *queue, const struct priorities *list)
{
    int64_t counts[MAX_PRIORITIES];
    ox_error err = { 0 };
    if (ox_queue_counts_by_priority(queue, list->of, list->count, counts, &err) < 0) {
        return complain_error(run, &err);
    }
    struct records *records = records_new(run, &priority_style);
    for (size_t i = 0; i < list->count; i++) {
        g_autofree char *name = g_strdup_printf("%u", list->of[i]);
        records_add(records, (const struct value[FIELD_COUNT]){
                                 [NAME] = { .text = name }, [JOBS] = { .number = counts[i] } });
    }
    records_end(records);
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
        return list_priorities(run, queue, &opts->priorities);
    }
    ox_counts counts;
    ox_error err = { 0 };
    if (ox_queue_counts(queue, &counts, &err) < 0) {
        return complain_error(run, &err);
    }
    if ((status = server_check_queue(run, queue, &counts))) {
        return status;
    }
    list_states(run, &counts);
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
