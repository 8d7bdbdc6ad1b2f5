/*
 * image_pixels.h - sizes, and what happens to the pixels between decoding and encoding.
 */
#ifndef OX_WORKER_HANDLERS_IMAGE_PIXELS_H
#define OX_WORKER_HANDLERS_IMAGE_PIXELS_H

#include "handlers/image_request.h"

/* ---- image_fit.c: the size of an output ------------------------------------------------- */

/* How an output comes from the upright input: its view scaled as a whole, then a window cut out
 * of that (cover) or a canvas laid around it (contain). */
struct image_plan {
    struct image_crop view;          /* what of the input is shown, in its upright pixels */
    int scaled_width, scaled_height; /* of all of the view */
    int width, height;               /* of the output */
    int left, top; /* of the window in the picture, or of the picture on the canvas */
    int search;    /* POSITION_ATTENTION or POSITION_ENTROPY: left and top are found in the
                      pixels; else 0 */
};

/* For an upright input of that size, which the output's crop lies within. */
struct image_plan image_fit(int width, int height, const struct image_output *output);

/* ---- image_pixels.c, image_colour.c ---------------------------------------------------- */

/* Those that return int: 0, or -1 with the reason in the error buffer of libvips. */

/* Computes the pixels and keeps them in memory, to be read from any number of times; NULL on
 * failure. Marked to be read in order, row by row: libvips is several times slower when it
 * scales down an image in tiles. */
VipsImage *image_keep(VipsImage *lazy);
/* To exactly that size, transparency respected. */
int image_resize(VipsImage *in, VipsImage **out, int width, int height);
/* image_reduce.c: narrower, at the same height; eight bits, transparency like any other band.
 */
int image_narrow(VipsImage *in, VipsImage **out, int width);
/* To sRGB, or grey where there is no colour, eight bits. */
int image_to_srgb(VipsImage *in, VipsImage **out);

/* ---- image_frame.c --------------------------------------------------------------------- */

/* Whether the plan shows all of an upright input of that size. */
static inline bool image_plan_shows_all(const struct image_plan *plan, int width, int height)
{
    return plan->view.width == width && plan->view.height == height;
}

/* Settles where the window of a plan lies that searches for it. The pixels, of the scaled view,
 * are in memory. */
int image_find_window(VipsImage *pixels, struct image_plan *plan);

/* From the scaled view: its window cut out, sharpened, laid on the canvas, and on the
 * background where it is transparent and the format is not. */
int image_frame(VipsImage *in, VipsImage **out, const struct image_plan *plan,
    const struct image_output *output);

#endif /* OX_WORKER_HANDLERS_IMAGE_PIXELS_H */
