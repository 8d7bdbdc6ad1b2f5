/*
 * output.h - what a child prints, as lines of the log.
 *
 * Lines go to the log as long as they fit into a budget, which fills again with time. Once it
 * is spent they are counted until half of it is there, so that a child that prints without end
 * makes some lines a second, and one line about the rest every few.
 */
#ifndef OX_WORKER_OUTPUT_H
#define OX_WORKER_OUTPUT_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "linebuf.h"
#include "log.h"

struct output {
    const struct log_place *place; /* borrowed */
    pid_t pid;
    struct linebuf lines;
    size_t budget;
    uint64_t filled_ms, now_ms; /* by the caller's clock */
    bool spent;
    uint64_t left_lines, left_bytes; /* left out since the last line that said so */
    GString *last;                   /* of those lines, which may tell of a crash */
};

/* All zero before. Times are monotonic. */
void output_init(struct output *output, const struct log_place *place, uint64_t now_ms);
void output_done(struct output *output);

/* Where the next bytes may be put, and how many; never 0. */
size_t output_room(struct output *output, char **at);
/* So many were put there. */
void output_filled(struct output *output, size_t count, uint64_t now_ms);
/* There are no more. */
void output_end(struct output *output, uint64_t now_ms);
/* Says how much was left out so far, if anything was. */
void output_tell_left_out(struct output *output);

#endif /* OX_WORKER_OUTPUT_H */
