/*
 * durable.h - --durable: waits until what was written is on disk and on replicas.
 */
#ifndef OX_CLI_DURABLE_H
#define OX_CLI_DURABLE_H

#include "cmd.h"
#include "json.h"

struct durability {
    bool given;
    int64_t replicas;
};

/* struct durability: the number of replicas, or nothing */
bool parse_durable(char *text, void *out, char **why);

/* The option row of verbs that write; `type` has a struct durability `durable`. */
#define DURABLE_ROW(type, what)                                                                \
    {                                                                                          \
        .name = "durable", .kind = OPT_PARSED, .optional = true,                               \
        .offset = offsetof(type, durable), .arg = "N", .parse = parse_durable,                 \
        .help = "wait until " what " is on the server's disk and on N replicas; exit 1 if "    \
                "that cannot be confirmed"                                                     \
    }

/* Where it is: 1 when the disk of the server has it, and how many replicas do. */
struct durable_copies {
    int disk, replicas;
};

/* With --durable waits until what the run wrote is as durable as requested. `what` was done:
 * "job 5 was added". Returns an enum status; reports what is missing. */
int durable_wait(struct run *run, const struct durability *wanted, const char *what,
    struct durable_copies *copies);
/* With --durable puts the copies into an object: "disk" and "replicas". */
void durable_put(
    struct obj *obj, const struct durability *wanted, const struct durable_copies *copies);

#endif /* OX_CLI_DURABLE_H */
