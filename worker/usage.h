/*
 * usage.h - what the processes of a child use, all together, against what they may.
 *
 * The kernel limits one process at a time, and of memory its address space, of which many
 * programs reserve much more than they use; so the parent looks.
 */
#ifndef OX_WORKER_USAGE_H
#define OX_WORKER_USAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "failure.h"

/* Bytes of memory that they have in RAM; pages that several share are counted for each. */
int64_t usage_resident(pid_t keeper);
/* Whether the process and all below it hold more memory than that. */
bool usage_is_above(pid_t keeper, int64_t bytes);
/* Which limit (0: none) the tree of a keeper (tree.h) exceeds, as the reason of its end
 * (g_free) and its kind; NULL: none. */
char *usage_excess(
    pid_t keeper, int64_t memory_bytes, int64_t max_processes, enum failure *kind);

#endif /* OX_WORKER_USAGE_H */
