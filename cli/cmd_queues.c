/*
 * cmd_queues.c - ox queues: every queue under the prefix, with its counts.
 */
#include "json.h"
#include "server.h"
#include "table.h"

/* The states that have a column, in the order in which a job passes them. */
static const int states[] = { OX_WAITING, OX_PRIORITIZED, OX_DELAYED, OX_WAITING_CHILDREN,
    OX_ACTIVE, OX_COMPLETED, OX_FAILED };

static const struct column columns[] = {
    { "QUEUE", COLUMN_FLEX },
    { "WAITING", COLUMN_RIGHT },
    { "PRIORITIZED", COLUMN_RIGHT | COLUMN_RARE },
    { "DELAYED", COLUMN_RIGHT },
    { "CHILDREN", COLUMN_RIGHT | COLUMN_RARE },
    { "ACTIVE", COLUMN_RIGHT },
    { "COMPLETED", COLUMN_RIGHT },
    { "FAILED", COLUMN_RIGHT },
    { "", COLUMN_RARE },
};

/* Jobs that a 5.x client parked in its own list wait like all others. */
static int64_t count_of(const ox_counts *counts, int state)
{
    return counts->of[state] + (state == OX_WAITING ? counts->of[OX_PAUSED] : 0);
}

static void print_object(const char *name, const ox_counts *counts, bool paused)
{
    struct obj obj;
    obj_begin(&obj);
    obj_text(&obj, "queue", name);
    obj_bool(&obj, "paused", paused);
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        obj_int(&obj, ox_state_name(states[i]), count_of(counts, states[i]));
    }
    obj_print(&obj);
}

static void print_row(
    struct table *table, const char *name, const ox_counts *counts, bool paused)
{
    table_cell(table, name, TINT_BOLD);
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        table_number(table, count_of(counts, states[i]));
    }
    table_cell(table, paused ? "paused" : NULL, TINT_YELLOW);
}

static int show_queue(struct run *run, struct table *table, const char *name)
{
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, name, &queue);
    if (status) {
        return status;
    }
    ox_error err = { 0 };
    ox_counts counts;
    int paused = ox_queue_is_paused(queue, &err);
    if (paused < 0 || ox_queue_counts(queue, &counts, &err) < 0) {
        return complain_error(run, &err);
    }
    if (run->json) {
        print_object(name, &counts, paused);
    } else {
        print_row(table, name, &counts, paused);
    }
    return STATUS_DONE;
}

static int exec(struct run *run)
{
    int status = server_client(run);
    if (status) {
        return status;
    }
    char **names = NULL;
    size_t count = 0;
    ox_error err = { 0 };
    if (ox_client_queues(run->client, run->prefix, &names, &count, &err) < 0) {
        return complain_error(run, &err);
    }
    struct table *table = table_new(columns, G_N_ELEMENTS(columns), &run->out);
    for (size_t i = 0; i < count && out_alive(); i++) {
        int failed = show_queue(run, table, names[i]);
        status = status ? status : failed;
    }
    table_end(table);
    if (!count && run->out.terminal && !run->json) {
        complain(run, "there is no queue under the prefix %s yet", run->prefix);
    }
    ox_free_list(names, count);
    return status;
}

const struct cmd cmd_queues = {
    .name = "queues",
    .summary = "list the queues with their counts",
    .usage = "",
    .help = "Lists every queue under the prefix with how many jobs it has in each state. The "
            "key space of the server is scanned for them.",
    .max_args = 0,
    .exec = exec,
};
