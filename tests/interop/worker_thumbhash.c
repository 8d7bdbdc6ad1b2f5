/*
 * worker_thumbhash.c - ThumbHashes for thumbhash.test.mjs to compare.
 *
 * Reads pictures from stdin, each as two bytes, width and height in pixels, and the pixels as
 * red, green, blue and alpha. Answers each by a line, its hash in base64.
 */
#include "worker/handlers/image_output.h"

#include <stdio.h>

int main(void)
{
    guint8 side[2], rgba[4 * THUMBHASH_SIDE * THUMBHASH_SIDE], hash[THUMBHASH_BYTES];
    while (fread(side, 1, 2, stdin) == 2) {
        size_t pixels = (size_t)side[0] * side[1];
        if (fread(rgba, 4, pixels, stdin) != pixels) {
            return 1;
        }
        size_t len = image_thumbhash(side[0], side[1], rgba, hash);
        g_autofree char *text = g_base64_encode(hash, len);
        puts(text);
    }
    return 0;
}
