/*
 * cmd_queues.c - ox queues: every queue under the prefix, with its counts.
 */
#include "records.h"
#include "server.h"

enum {
    NAME,
    PAUSED,
    WAITING,
    PRIORITIZED,
    DELAYED,
    CHILDREN,
    ACTIVE,
    COMPLETED,
    FAILED,
    FIELD_COUNT
};
static const struct field fields[FIELD_COUNT] = {
    [NAME] = { .title = "QUEUE",
        .key = "queue",
        .kind = FIELD_TEXT,
        .flags = COLUMN_FLEX,
        .tint = TINT_BOLD },
    [PAUSED] = { .title = "",
        .key = "paused",
        .kind = FIELD_BOOL,
        .flags = COLUMN_RARE,
        .tint = TINT_YELLOW,
        .rank = 1 },
    [WAITING] = { .title = "WAITING",
        .key = "waiting",
        .kind = FIELD_NUMBER,
        .flags = COLUMN_RIGHT },
    [PRIORITIZED] = { .title = "PRIORITIZED",
        .key = "prioritized",
        .kind = FIELD_NUMBER,
        .flags = COLUMN_RIGHT | COLUMN_RARE },
    [DELAYED] = { .title = "DELAYED",
        .key = "delayed",
        .kind = FIELD_NUMBER,
        .flags = COLUMN_RIGHT },
    [CHILDREN] = { .title = "CHILDREN",
        .key = "waiting-children",
        .kind = FIELD_NUMBER,
        .flags = COLUMN_RIGHT | COLUMN_RARE },
    [ACTIVE] = { .title = "ACTIVE",
        .key = "active",
        .kind = FIELD_NUMBER,
        .flags = COLUMN_RIGHT },
    [COMPLETED] = { .title = "COMPLETED",
        .key = "completed",
        .kind = FIELD_NUMBER,
        .flags = COLUMN_RIGHT },
    [FAILED] = { .title = "FAILED",
        .key = "failed",
        .kind = FIELD_NUMBER,
        .flags = COLUMN_RIGHT },
};
static const struct records_style style = { .fields = fields, .count = FIELD_COUNT };

static int list_queue(struct run *run, struct records *records, const char *name)
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
    const int64_t *of = counts.of;
    records_add(records, (const struct value[FIELD_COUNT]){
                             [NAME] = { .text = name },
                             [PAUSED] = { .number = paused },
                             /* Jobs that a 5.x client parked in its own list wait like all
                              * others. */
                             [WAITING] = { .number = of[OX_WAITING] + of[OX_PAUSED] },
                             [PRIORITIZED] = { .number = of[OX_PRIORITIZED] },
                             [DELAYED] = { .number = of[OX_DELAYED] },
                             [CHILDREN] = { .number = of[OX_WAITING_CHILDREN] },
                             [ACTIVE] = { .number = of[OX_ACTIVE] },
                             [COMPLETED] = { .number = of[OX_COMPLETED] },
                             [FAILED] = { .number = of[OX_FAILED] },
                         });
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
    struct records *records = records_new(run, &style);
    for (size_t i = 0; i < count && out_alive(); i++) {
        int failed = list_queue(run, records, names[i]);
        status = status ? status : failed;
    }
    records_end(records);
    if (!count) {
        records_hint(run, "prefix %s has no queues yet", run->prefix);
    }
    ox_list_free(names);
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
