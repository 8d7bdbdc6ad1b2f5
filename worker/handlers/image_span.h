/*
 * image_span.h - bytes that are read in order, and the boxes of HEIF containers among them.
 *
 * All is bounded: boxes by MAX_BOXES, what is read of the file by MAX_BYTES, and each box by
 * the one around it.
 */
#ifndef OX_WORKER_HANDLERS_IMAGE_SPAN_H
#define OX_WORKER_HANDLERS_IMAGE_SPAN_H

#include <glib.h>
#include <unistd.h>

enum { MAX_BOXES = 4096, MAX_BYTES = 4 << 20, HEAD_BYTES = 16 };

#define KIND(a, b, c, d)                                                                       \
    ((guint32)(a) << 24 | (guint32)(b) << 16 | (guint32)(c) << 8 | (guint32)(d))

/* Bytes in memory that are read in order. Beyond the end all is zero. */
struct span {
    const guint8 *at;
    size_t left;
};

static inline guint64 take(struct span *span, size_t bytes)
{
    guint64 value = 0;
    if (bytes == 0 || bytes > span->left) {
        span->left = bytes == 0 ? span->left : 0;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | span->at[i];
    }
    span->at += bytes;
    span->left -= bytes;
    return value;
}

static inline void skip(struct span *span, size_t bytes)
{
    bytes = MIN(bytes, span->left);
    if (bytes > 0) {
        span->at += bytes;
        span->left -= bytes;
    }
}

/* The next box in a span, whose kind is returned and whose content is `inside`; 0 at the end.
 */
static inline guint32 next_box(struct span *span, struct span *inside)
{
    if (span->left < 8) {
        return 0;
    }
    struct span whole = *span;
    guint64 bytes = take(&whole, 4), head = 8;
    guint32 kind = (guint32)take(&whole, 4);
    if (bytes == 1) {
        bytes = take(&whole, 8);
        head = 16;
    } else if (bytes == 0) {
        bytes = span->left;
    }
    if (bytes < head || bytes > span->left) {
        return 0;
    }
    *inside = (struct span){ span->at + head, (size_t)(bytes - head) };
    skip(span, (size_t)bytes);
    return kind;
}

/* The first box of a kind in a span; empty when there is none. */
static inline struct span find_box(struct span span, guint32 kind)
{
    struct span inside;
    guint32 found;
    for (int i = 0; i < MAX_BOXES && (found = next_box(&span, &inside)) != 0; i++) {
        if (found == kind) {
            return inside;
        }
    }
    return (struct span){ NULL, 0 };
}

/* The content of a box at the top of the file (g_free); NULL when there is none. */
static inline guint8 *read_top(int fd, gint64 file_bytes, guint32 wanted, struct span *inside)
{
    gint64 at = 0;
    for (int i = 0; i < MAX_BOXES && at + 8 <= file_bytes; i++) {
        guint8 head[HEAD_BYTES] = { 0 };
        if (pread(fd, head, sizeof head, at) < 8) {
            return NULL;
        }
        struct span span = { head, sizeof head };
        guint64 bytes = take(&span, 4), head_bytes = 8;
        guint32 kind = (guint32)take(&span, 4);
        if (bytes == 1) {
            bytes = take(&span, 8);
            head_bytes = 16;
        } else if (bytes == 0) {
            bytes = (guint64)(file_bytes - at);
        }
        if (bytes < head_bytes || bytes > (guint64)(file_bytes - at)) {
            return NULL;
        }
        if (kind == wanted) {
            size_t len = (size_t)MIN(bytes - head_bytes, MAX_BYTES);
            guint8 *data = g_malloc(len + 1);
            if (pread(fd, data, len, at + (gint64)head_bytes) != (ssize_t)len) {
                g_free(data);
                return NULL;
            }
            *inside = (struct span){ data, len };
            return data;
        }
        at += (gint64)bytes;
    }
    return NULL;
}

#endif /* OX_WORKER_HANDLERS_IMAGE_SPAN_H */
