/*
 * image_pixels.c - size, colour and canvas: what happens to the pixels between decoding and
 * encoding.
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

/* Colours must be weighted with their opacity while pixels are mixed, or else what is hidden
 * behind transparent pixels bleeds into the edges. */
static int resize_alpha(VipsImage *in, VipsImage **out, double hscale, double vscale)
{
    AUTO_IMAGE *weighted = NULL, *bytes = NULL, *small = NULL, *colours = NULL;
    if (vips_premultiply(in, &weighted, NULL) || vips_cast_uchar(weighted, &bytes, NULL) ||
        vips_resize(bytes, &small, hscale, "vscale", vscale, "gap", GAP, NULL) ||
        vips_unpremultiply(small, &colours, NULL)) {
        return -1;
    }
    return vips_cast_uchar(colours, out, NULL);
}

int image_resize(VipsImage *in, VipsImage **out, int width, int height)
{
    double hscale = (double)width / in->Xsize;
    double vscale = (double)height / in->Ysize;
    if (width == in->Xsize && height == in->Ysize) {
        *out = g_object_ref(in);
        return 0;
    }
    if (vips_image_hasalpha(in)) {
        return resize_alpha(in, out, hscale, vscale);
    }
    return vips_resize(in, out, hscale, "vscale", vscale, "gap", GAP, NULL);
}

static int transform(VipsImage *in, VipsImage **out, gboolean embedded)
{
    const char *fallback = in->Type == VIPS_INTERPRETATION_CMYK ? "cmyk" : "srgb";
    return vips_icc_transform(in, out, "srgb", "embedded", embedded, "input_profile", fallback,
        "depth", 8, "intent", VIPS_INTENT_PERCEPTUAL, NULL);
}

/* An embedded profile is used when it can be; a broken one is as good as none. */
int image_to_srgb(VipsImage *in, VipsImage **out)
{
    bool profile = vips_image_get_typeof(in, VIPS_META_ICC_NAME) != 0;
    if (profile && transform(in, out, TRUE) == 0) {
        return 0;
    }
    vips_error_clear();
    if (in->Type == VIPS_INTERPRETATION_CMYK) {
        return transform(in, out, FALSE);
    }
    bool grey = in->Bands < 3;
    return vips_colourspace(
        in, out, grey ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB, NULL);
}

/* The background as libvips takes it, with as many values as the image has bands. */
static VipsArrayDouble *background_of(VipsImage *image, const struct image_output *output)
{
    const int *c = output->background;
    bool alpha = vips_image_hasalpha(image);
    double grey[] = { c[0], c[3] }, colour[] = { c[0], c[1], c[2], c[3] };
    int colours = image->Bands - alpha;
    return vips_array_double_new(colours == 1 ? grey : colour, image->Bands);
}

/* Grey stays grey unless it meets a coloured background. */
static int match_background(VipsImage *in, VipsImage **out, const struct image_output *output)
{
    const int *c = output->background;
    if (in->Bands < 3 && (c[0] != c[1] || c[1] != c[2])) {
        return vips_colourspace(in, out, VIPS_INTERPRETATION_sRGB, NULL);
    }
    *out = g_object_ref(in);
    return 0;
}

static int lay_on_canvas(VipsImage *in, VipsImage **out, const struct image_plan *plan,
    const struct image_output *output)
{
    AUTO_IMAGE *matched = NULL, *ready = NULL;
    if (match_background(in, &matched, output)) {
        return -1;
    }
    bool see_through = output->background[3] < 255 && output->format->alpha;
    if (!see_through || vips_image_hasalpha(matched)) {
        ready = g_object_ref(matched);
    } else if (vips_addalpha(matched, &ready, NULL)) {
        return -1;
    }
    VipsArrayDouble *background = background_of(ready, output);
    int result = vips_embed(ready, out, plan->left, plan->top, plan->width, plan->height,
        "extend", VIPS_EXTEND_BACKGROUND, "background", background, NULL);
    vips_area_unref(VIPS_AREA(background));
    return result;
}

static int flatten(VipsImage *in, VipsImage **out, const struct image_output *output)
{
    AUTO_IMAGE *matched = NULL;
    if (match_background(in, &matched, output)) {
        return -1;
    }
    const int *c = output->background;
    double colour[] = { c[0], c[1], c[2] };
    VipsArrayDouble *background = vips_array_double_new(colour, matched->Bands < 3 ? 1 : 3);
    int result = vips_flatten(matched, out, "background", background, NULL);
    vips_area_unref(VIPS_AREA(background));
    return result;
}

int image_frame(VipsImage *in, VipsImage **out, const struct image_plan *plan,
    const struct image_output *output)
{
    AUTO_IMAGE *framed = NULL;
    if (plan->width > in->Xsize || plan->height > in->Ysize) {
        if (lay_on_canvas(in, &framed, plan, output)) {
            return -1;
        }
    } else if (plan->width < in->Xsize || plan->height < in->Ysize) {
        if (vips_extract_area(
                in, &framed, plan->left, plan->top, plan->width, plan->height, NULL)) {
            return -1;
        }
    } else {
        framed = g_object_ref(in);
    }
    if (vips_image_hasalpha(framed) && !output->format->alpha) {
        return flatten(framed, out, output);
    }
    *out = g_steal_pointer(&framed);
    return 0;
}
