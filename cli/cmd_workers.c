/*
 * cmd_workers.c - ox workers: who works on a queue.
 */
#include "json.h"
#include "server.h"
#include "table.h"

static const struct column columns[] = {
    { "NAME", COLUMN_FLEX },
    { "ADDRESS", 0 },
    { "CONNECTED", COLUMN_RIGHT },
    { "IDLE", COLUMN_RIGHT },
};

static void print_object(const ox_worker_info *worker)
{
    struct obj obj;
    obj_begin(&obj);
    obj_text(&obj, "name", worker->name);
    obj_text(&obj, "address", worker->address);
    obj_int(&obj, "age", worker->age_s);
    obj_int(&obj, "idle", worker->idle_s);
    obj_print(&obj);
}

static void print_row(struct table *table, const ox_worker_info *worker, bool terminal)
{
    g_autofree char *age = span_text(worker->age_s * 1000);
    g_autofree char *idle = span_text(worker->idle_s * 1000);
    bool nameless = !worker->name[0] && terminal;
    table_cell(table, nameless ? "(no name)" : worker->name, nameless ? TINT_DIM : TINT_BOLD);
    table_cell(table, worker->address, TINT_NONE);
    table_cell(table, age, TINT_NONE);
    table_cell(table, idle, TINT_NONE);
}

static int exec(struct run *run)
{
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (status) {
        return status;
    }
    ox_worker_info *workers = NULL;
    size_t count = 0;
    ox_error err = { 0 };
    if (ox_queue_workers(queue, &workers, &count, &err) < 0) {
        return complain_error(run, &err);
    }
    struct table *table = table_new(columns, G_N_ELEMENTS(columns), &run->out);
    for (size_t i = 0; i < count; i++) {
        if (run->json) {
            print_object(&workers[i]);
        } else {
            print_row(table, &workers[i], run->out.terminal);
        }
    }
    table_end(table);
    ox_free(workers);
    status = count ? STATUS_DONE : server_check_queue(run, queue, NULL);
    if (!status && !count && run->out.terminal && !run->json) {
        complain(run, "nobody works on queue %s", run->args[0]);
    }
    return status;
}

const struct cmd cmd_workers = {
    .name = "workers",
    .summary = "list who works on a queue",
    .usage = "QUEUE",
    .help = "Lists the workers that the server knows for QUEUE, of any kind that names its "
            "connection as BullMQ does: name, address, how long connected and idle.",
    .min_args = 1,
    .max_args = 1,
    .exec = exec,
};
