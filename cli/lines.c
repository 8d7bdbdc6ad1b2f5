/*
 * lines.c - see lines.h.
 *
 * The buffer holds bytes that were read and not yet returned. They are moved to its front only
 * when more has to be read, so each byte is moved about once.
 */
#include "lines.h"
#include <string.h>
#include <unistd.h>

#define READ_BYTES ((size_t)128 << 10)

void lines_init(struct lines *lines, int fd)
{
    *lines = (struct lines){ .fd = fd, .held = g_string_sized_new(READ_BYTES) };
}

/* Reads more behind what is held. Returns false with errno, also EINTR, so that callers can
 * handle signals. */
static bool read_more(struct lines *lines)
{
    g_string_erase(lines->held, 0, (gssize)lines->start);
    lines->start = 0;
    size_t had = lines->held->len;
    g_string_set_size(lines->held, had + READ_BYTES);
    ssize_t got = read(lines->fd, lines->held->str + had, READ_BYTES);
    g_string_set_size(lines->held, had + (got > 0 ? (size_t)got : 0));
    lines->at_end = got == 0;
    return got >= 0;
}

/* Hands out the line that ends before `end`; `skip` bytes of line break follow it. */
static int hand_out(struct lines *lines, size_t end, size_t skip, char **line, size_t *length)
{
    *line = lines->held->str + lines->start;
    *length = end - lines->start;
    if (*length && (*line)[*length - 1] == '\r') {
        --*length;
    }
    (*line)[*length] = '\0';
    lines->bytes += end + skip - lines->start;
    lines->start = end + skip;
    lines->number++;
    return LINES_LINE;
}

int lines_next(struct lines *lines, char **line, size_t *length)
{
    size_t searched = lines->start;
    for (;;) {
        const char *from = lines->held->str + searched;
        const char *found = memchr(from, '\n', lines->held->len - searched);
        if (found != NULL) {
            return hand_out(lines, (size_t)(found - lines->held->str), 1, line, length);
        }
        if (lines->at_end) {
            break;
        }
        size_t held = lines->held->len - lines->start;
        if (held > MAX_LINE_BYTES) {
            return LINES_TOO_LONG;
        }
        if (!read_more(lines)) {
            return LINES_ERRNO;
        }
        searched = held;
    }
    if (lines->start == lines->held->len) {
        return LINES_END;
    }
    return hand_out(lines, lines->held->len, 0, line, length);
}

bool lines_ready(const struct lines *lines)
{
    return memchr(lines->held->str + lines->start, '\n', lines->held->len - lines->start) !=
           NULL;
}

void lines_done(struct lines *lines)
{
    g_string_free(lines->held, TRUE);
}
