/* buf.c - bytes that grow; see buf.h for the invariants. */
#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

void ox__buf_done(struct ox__buf *buf)
{
    free(buf->data);
    memset(buf, 0, sizeof(*buf));
}

void ox__buf_reset(struct ox__buf *buf, size_t keep_bytes)
{
    if (buf->cap > keep_bytes) {
        ox__buf_done(buf);
    }
    buf->len = 0;
    buf->failed = false;
}

char *ox__buf_room(struct ox__buf *buf, size_t len)
{
    if (buf->failed || len > OX__BUF_MAX - buf->len) {
        buf->failed = true;
        return NULL;
    }
    size_t need = buf->len + len;
    if (need > buf->cap) {
        size_t cap = buf->cap < 128 ? 256 : buf->cap * 2;
        cap = cap < need ? need : cap;
        char *data = realloc(buf->data, cap);
        if (data == NULL) {
            buf->failed = true;
            return NULL;
        }
        buf->data = data;
        buf->cap = cap;
    }
    return buf->data + buf->len;
}

void ox__buf_put(struct ox__buf *buf, const void *bytes, size_t len)
{
    if (len == 0) {
        return; /* an empty buffer has no address to add to */
    }
    char *at = ox__buf_room(buf, len);
    if (at != NULL) {
        memcpy(at, bytes, len);
        buf->len += len;
    }
}

void ox__buf_text(struct ox__buf *buf, const char *text)
{
    ox__buf_put(buf, text, strlen(text));
}

void ox__buf_char(struct ox__buf *buf, char c)
{
    ox__buf_put(buf, &c, 1);
}

size_t ox__int_text(char *out, int64_t value)
{
    char digits[20];
    size_t n = 0, len = 0;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[n++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        out[len++] = '-';
    }
    while (n > 0) {
        out[len++] = digits[--n];
    }
    return len;
}

void ox__buf_int(struct ox__buf *buf, int64_t value)
{
    char text[21];
    ox__buf_put(buf, text, ox__int_text(text, value));
}

char *ox__buf_steal(struct ox__buf *buf)
{
    ox__buf_char(buf, '\0');
    char *text = buf->failed ? NULL : buf->data;
    if (text == NULL) {
        free(buf->data);
    }
    memset(buf, 0, sizeof(*buf));
    return text;
}
