/*
 * image_check.h - for the files that look for the end of a picture: reading in order.
 */
#ifndef OX_WORKER_HANDLERS_IMAGE_CHECK_H
#define OX_WORKER_HANDLERS_IMAGE_CHECK_H

#include "handlers/image_input.h"

/* As many zeros as coded pixels of most formats never end in. */
enum { ENOUGH_ZEROS = 8 };

/* A window of a file, for many small reads in order. Zero but for `fd`, at first. */
struct image_window {
    int fd;
    gint64 start; /* where the window lies in the file */
    gint64 bytes; /* that are in it */
    guint8 data[4096];
};

/* At most 64 bytes at a place of the file; NULL when they are not all there. */
const guint8 *image_window_at(struct image_window *window, gint64 at, gint64 bytes);

/* Whether the `count` bytes before `end` are zeros, all of them at or after `start`. */
bool image_ends_in_zeros(int fd, gint64 start, gint64 end, gint64 count);

/* What can be said of coded pixels from `start` to `end`: whether the file reaches so far, and
 * whether they end in that many zeros. */
enum image_end image_payload_end(
    const struct image_input *input, gint64 start, gint64 end, gint64 zeros);

#endif /* OX_WORKER_HANDLERS_IMAGE_CHECK_H */
