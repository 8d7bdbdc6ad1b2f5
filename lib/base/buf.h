/*
 * buf.h - bytes that grow.
 *
 * Invariants: `data` holds `len` bytes of `cap`; len <= limit. A put that cannot be done (no
 * memory, over the limit) sets `failed` and is dropped, as are all later ones: callers build a
 * whole message and check once. A buffer of zeros is empty and ready, with no limit but
 * OX__BUF_MAX.
 */
#ifndef OX_LIB_BUF_H
#define OX_LIB_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Redis takes no argument over 512 MiB, so no message needs to be larger. */
#define OX__BUF_MAX ((size_t)512 << 20)

struct ox__buf {
    char *data;
    size_t len, cap;
    bool failed;
};

void ox__buf_done(struct ox__buf *buf);
/* Empties it and keeps the memory, unless it grew beyond `keep_bytes`. */
void ox__buf_reset(struct ox__buf *buf, size_t keep_bytes);
/* Room for `len` more bytes at the end, or NULL. The caller writes them and adds to `len`. */
char *ox__buf_room(struct ox__buf *buf, size_t len);
void ox__buf_put(struct ox__buf *buf, const void *bytes, size_t len);
void ox__buf_text(struct ox__buf *buf, const char *text);
void ox__buf_char(struct ox__buf *buf, char c);
void ox__buf_int(struct ox__buf *buf, int64_t value);
/* Writes `value` in decimal to `out` (at least 21 bytes, no NUL); returns the length. */
size_t ox__int_text(char *out, int64_t value);
/* The text so far, ended by NUL and handed to the caller; NULL after a failure. Empties. */
char *ox__buf_steal(struct ox__buf *buf);

#endif /* OX_LIB_BUF_H */
