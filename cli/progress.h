/*
 * progress.h - a progress bar on stderr, on a terminal only.
 */
#ifndef OX_CLI_PROGRESS_H
#define OX_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *unit; /* what is counted: "jobs" */
    bool shown;       /* stderr is a terminal */
    bool drawn;       /* there is something to erase */
    int64_t next_us;  /* not drawn again before */
    int64_t begun_us;
};

void progress_begin(struct progress *progress, const char *unit);
/* `share` of the work, 0..1, or negative when unknown; `count` things done. Cheap. */
void progress_update(struct progress *progress, double share, uint64_t count);
/* Erases the bar. */
void progress_end(struct progress *progress);
double progress_seconds(const struct progress *progress);

#endif /* OX_CLI_PROGRESS_H */
