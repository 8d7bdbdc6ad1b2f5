/*
 * rlimits.h - what a handler's process may use, as far as the kernel counts it (setrlimit).
 *
 * Programs that it starts inherit all of it. The memory of the whole tree is not among them:
 * ox-worker watches it, see child.c.
 */
#ifndef OX_WORKER_RLIMITS_H
#define OX_WORKER_RLIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* 0: no limit but the system's. */
struct rlimits {
    int64_t cpu_ms;     /* of one job; a program that it starts has that much again */
    int64_t file_bytes; /* the largest file that is written */
    int64_t open_files; /* descriptors of one process */
};

/* Adds "cpu=TIME,file-size=SIZE,open-files=N", of which any may be missing. The text is cut up.
 */
bool rlimits_parse(char *text, struct rlimits *out, char **why);

/* `space_bytes`: of address space; 0: no limit. No core is dumped. */
void rlimits_enter(const struct rlimits *limits, int64_t space_bytes);
/* Before each job. */
void rlimits_start_job(const struct rlimits *limits);

#endif /* OX_WORKER_RLIMITS_H */
