/*
 * parse.h - option values that only ox has; see base/units.h for the rest.
 */
#ifndef OX_CLI_PARSE_H
#define OX_CLI_PARSE_H

#include <ox.h>
#include <stdbool.h>
#include <stdint.h>

/* BullMQ's lowest priority. */
#define MAX_PRIORITY ((INT64_C(1) << 21) - 1)

/* All have the shape of an option row's `parse`; `out` is the type named. */
/* ox_dedup: ID[:ttl=TIME][:extend][:replace][:reschedule][:keep-last] */
bool parse_dedup(char *text, void *out, char **why);
/* int, an enum ox_child_failure: wait, fail, continue, ignore, remove */
bool parse_child_failure(char *text, void *out, char **why);

/* int32_t: a number; 0 is stored as -1, as ox_job_options has it */
bool parse_stack_trace_limit(char *text, void *out, char **why);
/* ox_parent: QUEUE:ID, or PREFIX:QUEUE:ID; only then its queue has a prefix */
bool parse_parent(char *text, void *out, char **why);

struct patience {
    bool given;
    int64_t timeout_ms; /* 0: no limit */
};
/* struct patience: DURATION, or nothing */
bool parse_patience(char *text, void *out, char **why);

#endif /* OX_CLI_PARSE_H */
