/*
 * image_pixels.c - keeping and resizing pixels.
 *
 * From image_to_srgb() on, an image has eight bits a band and is sRGB with three bands, or
 * grey with one, and one more where it has transparency; colours are not premultiplied.
 */
#include "handlers/image_parts.h"

/* libvips can shrink by averaging whole boxes of pixels first and leave only the last factor to
 * the good filter. It does so from a factor of 2 * GAP on: with 4 instead of its own 2 the
 * result is closer to the true one and, up to there, in less time. */
static const double GAP = 4;

VipsImage *image_keep(VipsImage *lazy)
{
    VipsImage *kept = vips_image_copy_memory(lazy);
    if (kept != NULL) {
        vips_image_set_int(kept, VIPS_META_SEQUENTIAL, 1);
    }
    return kept;
}

/* Down by factors that need no boxes: libvips does the one direction fast, this handler the
 * other (image_reduce.c). */
static int reduce(VipsImage *in, VipsImage **out, int width, int height)
{
    AUTO_IMAGE *low = NULL;
    if (height == in->Ysize) {
        low = g_object_ref(in);
    } else if (vips_reducev(in, &low, (double)in->Ysize / height, NULL)) {
        return -1;
    }
    return image_narrow(low, out, width);
}

static int resize(VipsImage *in, VipsImage **out, int width, int height)
{
    double hscale = (double)width / in->Xsize;
    double vscale = (double)height / in->Ysize;
    double least = 1 / (2 * GAP);
    if (in->BandFmt == VIPS_FORMAT_UCHAR && hscale < 1 && hscale > least && vscale <= 1 &&
        vscale > least) {
        return reduce(in, out, width, height);
    }
    return vips_resize(in, out, hscale, "vscale", vscale, "gap", GAP, NULL);
}

/* Colours must be weighted with their opacity while pixels are mixed, or else what is hidden
 * behind transparent pixels bleeds into the edges. */
static int resize_alpha(VipsImage *in, VipsImage **out, int width, int height)
{
    AUTO_IMAGE *weighted = NULL, *bytes = NULL, *small = NULL, *colours = NULL;
    if (vips_premultiply(in, &weighted, NULL) || vips_cast_uchar(weighted, &bytes, NULL) ||
        resize(bytes, &small, width, height) || vips_unpremultiply(small, &colours, NULL)) {
        return -1;
    }
    return vips_cast_uchar(colours, out, NULL);
}

int image_resize(VipsImage *in, VipsImage **out, int width, int height)
{
    if (width == in->Xsize && height == in->Ysize) {
        *out = g_object_ref(in);
        return 0;
    }
    if (vips_image_hasalpha(in)) {
        return resize_alpha(in, out, width, height);
    }
    return resize(in, out, width, height);
}
