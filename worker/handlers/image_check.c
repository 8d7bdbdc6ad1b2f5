/*
 * image_check.c - looks inside the compressed data for damage that the decoders do not notice.
 *
 * An upload that broke off may well have the full size: the rest is zeros. Most decoders take
 * zeros for coded pixels, and half the picture is grey without a complaint. So the places where
 * coded pixels end are looked up by the rules of each format: what a coder writes ends in a
 * mark, a check sum or at least some bits that are set. Nothing is decoded, and all reading is
 * bounded by the size of the file.
 *
 * JPEG, WebP, TIFF and HEIF have files of their own.
 */
#include "handlers/image_check.h"
#include "handlers/image_parts.h"

#include <string.h>
#include <unistd.h>

/* ---- Reading ----------------------------------------------------------------------------- */

const guint8 *image_window_at(struct image_window *window, gint64 at, gint64 bytes)
{
    if (at < 0 || at > G_MAXINT64 / 2) {
        return NULL;
    }
    if (at < window->start || at + bytes > window->start + window->bytes) {
        ssize_t len = pread(window->fd, window->data, sizeof window->data, at);
        window->start = at;
        window->bytes = MAX(len, 0);
    }
    return bytes <= window->bytes ? window->data + (at - window->start) : NULL;
}

bool image_ends_in_zeros(int fd, gint64 start, gint64 end, gint64 count)
{
    guint8 tail[256];
    if (end - start < count || count > (gint64)sizeof tail ||
        pread(fd, tail, (size_t)count, end - count) != count) {
        return false;
    }
    for (gint64 i = 0; i < count; i++) {
        if (tail[i] != 0) {
            return false;
        }
    }
    return true;
}

enum image_end image_payload_end(
    const struct image_input *input, gint64 start, gint64 end, gint64 zeros)
{
    if (end > input->bytes) {
        return END_CUT;
    }
    return image_ends_in_zeros(input->fd, start, end, zeros) ? END_ZEROS : END_WHOLE;
}

static guint32 big(const guint8 *at)
{
    return (guint32)at[0] << 24 | (guint32)at[1] << 16 | (guint32)at[2] << 8 | at[3];
}

/* ---- PNG --------------------------------------------------------------------------------- */

/* Rows of chunks: length, kind, data, check sum. libpng reads the pixels and their check sums,
 * not whether the rest is there: without it the picture may be whole. */
enum image_end image_png_end(struct image_input *input)
{
    enum { SIGNATURE = 8, AROUND = 12 };
    struct image_window window = { .fd = input->fd };
    enum image_end pixels = END_CUT; /* as far as there have been any */
    gint64 at = SIGNATURE;
    for (;;) {
        const guint8 *head = image_window_at(&window, at, 8);
        if (head == NULL || memcmp(head + 4, "\0\0\0\0", 4) == 0) {
            return pixels == END_WHOLE ? END_UNMARKED : pixels;
        }
        if (memcmp(head + 4, "IEND", 4) == 0) {
            return at + AROUND <= input->bytes ? END_WHOLE : END_UNMARKED;
        }
        bool is_pixels = memcmp(head + 4, "IDAT", 4) == 0;
        gint64 end = at + AROUND + big(head);
        if (is_pixels) {
            pixels = image_payload_end(input, at + 8, end, ENOUGH_ZEROS);
        }
        if (end > input->bytes || (is_pixels && pixels != END_WHOLE)) {
            return pixels == END_WHOLE ? END_UNMARKED : END_CUT;
        }
        at = end;
    }
}

/* ---- GIF --------------------------------------------------------------------------------- */

/* Where the row of blocks at a place ends, each with its length before it; -1: it does not. */
static gint64 after_blocks(struct image_window *window, gint64 at)
{
    for (;;) {
        const guint8 *length = image_window_at(window, at, 1);
        if (length == NULL) {
            return -1;
        }
        if (*length == 0) {
            return at + 1;
        }
        at += 1 + *length;
    }
}

static gint64 colours_bytes(guint8 flags)
{
    return flags & 0x80 ? 3 * ((gint64)2 << (flags & 7)) : 0;
}

/* A row of pictures and extensions, ended by a mark. A file that ends between two of them may
 * hold all that is wanted. Some coders write zeros between them; anything else means that the
 * picture before it came to its end too early. */
enum image_end image_gif_end(struct image_input *input)
{
    enum { HEAD = 13, IMAGE_HEAD = 10, EXTENSION = 0x21, IMAGE = 0x2c, END = 0x3b };
    struct image_window window = { .fd = input->fd };
    const guint8 *head = image_window_at(&window, 0, HEAD);
    gint64 at = head != NULL ? HEAD + colours_bytes(head[10]) : -1;
    bool any = false, zero = false;
    while (at >= 0) {
        const guint8 *kind = image_window_at(&window, at, 1);
        if (kind == NULL) {
            return zero ? END_ZEROS : any ? END_UNMARKED : END_CUT;
        }
        zero = *kind == 0;
        if (*kind == END) {
            return END_WHOLE;
        }
        if (zero) {
            at++;
        } else if (*kind == EXTENSION) {
            at = after_blocks(&window, at + 2);
        } else if (*kind == IMAGE) {
            head = image_window_at(&window, at, IMAGE_HEAD);
            at = head == NULL
                     ? -1
                     : after_blocks(&window, at + IMAGE_HEAD + colours_bytes(head[9]) + 1);
            any = any || at >= 0;
        } else {
            return END_CUT;
        }
    }
    return END_CUT;
}
