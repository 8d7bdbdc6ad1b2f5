/*
 * durable.h - --durable: waits until what was written is on disk and on replicas.
 */
#ifndef OX_CLI_DURABLE_H
#define OX_CLI_DURABLE_H

#include "cmd.h"

struct durability {
    bool given;
    int64_t replicas;
};

/* struct durability: the number of replicas, or nothing */
bool parse_durable(char *text, void *out, char **why);

/* Waits until what the run wrote is as durable as requested. `what` was done: "job 5 was
 * added". `disk` and `replicas`: on how many it is. Returns an enum status; reports what is
 * missing. */
int durable_wait(struct run *run, const struct durability *wanted, const char *what, int *disk,
    int *replicas);

#endif /* OX_CLI_DURABLE_H */
