/*
 * image_check.c - looks inside the compressed data for damage that the decoders do not notice.
 *
 * An upload that broke off may well have the full size: the rest is zeros. Some decoders take
 * zeros for coded pixels, and half the picture is grey without a complaint.
 */
#include "handlers/image_parts.h"

#include <string.h>
#include <unistd.h>

enum { BLOCK_BYTES = 16384 };

/* How far it is from the 0xff of a JPEG marker to what follows: markers have a length to step
 * over, but for some that stand alone; among coded pixels, 0xff is followed by 0x00. Returns 0
 * for the end of the image, and a negative number when more bytes are needed to tell. */
static int marker_bytes(const guint8 *at, size_t bytes)
{
    enum { TEM = 0x01, RST0 = 0xd0, SOI = 0xd8, EOI = 0xd9, WITH_LENGTH = 4 };
    guint8 kind = at[1];
    if (kind == EOI) {
        return 0;
    }
    if (kind == 0xff) {
        return 1;
    }
    if (kind == 0x00 || kind == TEM || (kind >= RST0 && kind <= SOI)) {
        return 2;
    }
    return bytes < WITH_LENGTH ? -1 : 2 + (at[2] << 8 | at[3]);
}

/* libjpeg takes zeros for coded pixels: an upload that broke off into a file of the full size
 * decodes without complaint, half of it grey. But then no marker says where the image ends. */
bool image_jpeg_is_whole(int fd)
{
    guint8 block[BLOCK_BYTES];
    off_t start = 0;
    for (;;) {
        ssize_t len = pread(fd, block, sizeof block, start);
        ssize_t i = 0;
        while (i + 1 < len) {
            const guint8 *ff = memchr(block + i, 0xff, (size_t)(len - 1 - i));
            i = ff != NULL ? ff - block : len - 1;
            int step = ff != NULL ? marker_bytes(ff, (size_t)(len - i)) : -1;
            if (step == 0) {
                return true;
            }
            if (step < 0) {
                break;
            }
            i += step;
        }
        if (i == 0) { /* nothing more to read, or a marker cut off */
            return false;
        }
        start += i;
    }
}
