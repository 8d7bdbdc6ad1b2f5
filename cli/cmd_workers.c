/*
 * cmd_workers.c - ox workers: a queue's workers.
 */
#include "records.h"
#include "server.h"

enum { NAME, ADDRESS, AGE, IDLE, FIELD_COUNT };
static const struct field fields[FIELD_COUNT] = {
    [NAME] = { .title = "NAME",
        .key = "name",
        .kind = FIELD_TEXT,
        .flags = COLUMN_FLEX,
        .tint = TINT_BOLD,
        .none = "(no name)" },
    [ADDRESS] = { .title = "ADDRESS", .key = "address", .kind = FIELD_TEXT },
    [AGE] = { .title = "CONNECTED",
        .key = "age",
        .kind = FIELD_SECONDS,
        .flags = COLUMN_RIGHT },
    [IDLE] = { .title = "IDLE", .key = "idle", .kind = FIELD_SECONDS, .flags = COLUMN_RIGHT },
};
static const struct records_style style = { .fields = fields, .count = FIELD_COUNT };

static int exec(struct run *run)
{
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (status) {
        return status;
    }
    ox_worker_info **workers = NULL;
    size_t count = 0;
    ox_error err = { 0 };
    if (ox_queue_workers(queue, &workers, &count, &err) < 0) {
        return complain_error(run, &err);
    }
    struct records *records = records_new(run, &style);
    for (size_t i = 0; i < count; i++) {
        const ox_worker_info *worker = workers[i];
        records_add(records, (const struct value[FIELD_COUNT]){
                                 [NAME] = { .text = worker->name },
                                 [ADDRESS] = { .text = worker->address },
                                 [AGE] = { .number = worker->age_s },
                                 [IDLE] = { .number = worker->idle_s },
                             });
    }
    records_end(records);
    ox_list_free(workers);
    status = count ? STATUS_DONE : server_check_queue(run, queue, NULL);
    if (!status && !count) {
        records_hint(run, "queue %s has no workers", run->args[0]);
    }
    return status;
}

const struct cmd cmd_workers = {
    .name = "workers",
    .summary = "list a queue's workers",
    .usage = "QUEUE",
    .help = "Lists the workers that are connected for QUEUE, Ox's, BullMQ's and all that name "
            "their connections as BullMQ does: name, address, time connected and time idle.",
    .min_args = 1,
    .max_args = 1,
    .exec = exec,
};
