/*
 * linebuf.h - cuts a stream of bytes into lines.
 *
 * A line that is too long comes in pieces, so that no more than one piece is ever held. No
 * piece ends inside a UTF-8 character.
 */
#ifndef OX_WORKER_LINEBUF_H
#define OX_WORKER_LINEBUF_H

#include <stddef.h>

#define LINEBUF_BYTES 2048

struct linebuf {
    size_t used;
    char bytes[LINEBUF_BYTES + 1];
};

/* The text ends in NUL, without its newline, and lives during the call. */
typedef void line_fn(void *arg, const char *line);

/* Where the next bytes may be put, and how many; never 0. */
size_t linebuf_room(struct linebuf *lines, char **at);
/* So many were put there; calls `take` for each line that is whole. */
void linebuf_filled(struct linebuf *lines, size_t count, line_fn *take, void *arg);
/* There will be no more: what is left is a line as well. */
void linebuf_end(struct linebuf *lines, line_fn *take, void *arg);

#endif /* OX_WORKER_LINEBUF_H */
