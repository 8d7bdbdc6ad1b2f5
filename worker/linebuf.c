/*
 * linebuf.c - cuts a stream of bytes into lines; see linebuf.h.
 */
#include "linebuf.h"

#include "base/text.h"

#include <string.h>

size_t linebuf_room(struct linebuf *lines, char **at)
{
    *at = lines->bytes + lines->used;
    return LINEBUF_BYTES - lines->used;
}

/* A NUL would end its line too early; a space looks the same to a reader. */
static void replace_nuls(char *at, size_t count)
{
    for (char *end = at + count, *nul; (nul = memchr(at, '\0', (size_t)(end - at))) != NULL;
         at = nul) {
        *nul = ' ';
    }
}

/* The buffer is full: hands out all but its last character, of which more may come. */
static void take_piece(struct linebuf *lines, line_fn *take, void *arg)
{
    size_t count = ox__utf8_truncate(lines->bytes, LINEBUF_BYTES - 1);
    char first = lines->bytes[count];
    lines->bytes[count] = '\0';
    take(arg, lines->bytes);
    lines->bytes[count] = first;
    lines->used -= count;
    memmove(lines->bytes, lines->bytes + count, lines->used);
}

void linebuf_filled(struct linebuf *lines, size_t count, line_fn *take, void *arg)
{
    char *line = lines->bytes, *end;
    replace_nuls(lines->bytes + lines->used, count);
    lines->used += count;
    lines->bytes[lines->used] = '\0';
    while ((end = strchr(line, '\n')) != NULL) {
        *end = '\0';
        take(arg, line);
        line = end + 1;
    }
    lines->used = strlen(line);
    memmove(lines->bytes, line, lines->used);
    if (lines->used == LINEBUF_BYTES) {
        take_piece(lines, take, arg);
    }
}

void linebuf_end(struct linebuf *lines, line_fn *take, void *arg)
{
    lines->bytes[lines->used] = '\0';
    if (lines->used > 0) {
        take(arg, lines->bytes);
    }
    lines->used = 0;
}
