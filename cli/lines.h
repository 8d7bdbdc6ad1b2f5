/*
 * lines.h - reads a file line by line, with a maximum length of a line.
 */
#ifndef OX_CLI_LINES_H
#define OX_CLI_LINES_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define MAX_LINE_BYTES ((size_t)64 << 20)

struct lines {
    int fd;        /* not owned */
    GString *held; /* read and not yet handed out, from `start` on */
    size_t start;
    uint64_t number; /* of the line handed out last, from 1 */
    uint64_t bytes;  /* handed out so far */
    int at_end;
};

enum lines_result { LINES_END = 0, LINES_LINE = 1, LINES_ERRNO = -1, LINES_TOO_LONG = -2 };

void lines_init(struct lines *lines, int fd);
/*
 * The next line without its line break, NUL behind it, valid and changeable until the next
 * call. LINES_ERRNO leaves errno; LINES_TOO_LONG means the line after `number`.
 */
int lines_next(struct lines *lines, char **line, size_t *length);
/* Whether the next line is buffered, so that reading it does not block. */
bool lines_ready(const struct lines *lines);
void lines_done(struct lines *lines);

#endif /* OX_CLI_LINES_H */
