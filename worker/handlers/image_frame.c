/*
 * image_frame.c - the window that is cut out of a picture, or the canvas that is laid around
 * it, and the background under what is transparent.
 */
#include "handlers/image_parts.h"

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

static int search_window(VipsImage *pixels, VipsImage **out, const struct image_plan *plan)
{
    VipsInteresting what = plan->search == POSITION_ATTENTION ? VIPS_INTERESTING_ATTENTION
                                                              : VIPS_INTERESTING_ENTROPY;
    return vips_smartcrop(pixels, out, plan->width, plan->height, "interesting", what, NULL);
}

/* libvips does not say where it found the window, but a window that is cut out of memory shows
 * that very memory: where its first pixel lies tells. */
int image_find_window(VipsImage *pixels, struct image_plan *plan)
{
    AUTO_IMAGE *window = NULL;
    VipsRect corner = { 0, 0, 1, 1 };
    if (search_window(pixels, &window, plan)) {
        return -1;
    }
    VipsRegion *region = vips_region_new(window);
    ptrdiff_t line = (ptrdiff_t)VIPS_IMAGE_SIZEOF_LINE(pixels);
    ptrdiff_t at = -1;
    if (region != NULL && vips_region_prepare(region, &corner) == 0) {
        at = VIPS_REGION_ADDR(region, 0, 0) - VIPS_IMAGE_ADDR(pixels, 0, 0);
    }
    g_clear_object(&region);
    if (at < 0 || at >= line * pixels->Ysize) {
        vips_error("smartcrop", "the place of the window is not known");
        return -1;
    }
    plan->left = (int)(at % line / (ptrdiff_t)VIPS_IMAGE_SIZEOF_PEL(pixels));
    plan->top = (int)(at / line);
    plan->search = 0;
    return 0;
}

/* Pixels are looked at twice, so they have to be at hand. */
static int find_window(VipsImage *in, VipsImage **out, const struct image_plan *plan)
{
    AUTO_IMAGE *pixels = vips_image_copy_memory(in);
    return pixels == NULL ? -1 : search_window(pixels, out, plan);
}

static int cut_window(VipsImage *in, VipsImage **out, const struct image_plan *plan)
{
    if (plan->width >= in->Xsize && plan->height >= in->Ysize) {
        *out = g_object_ref(in);
        return 0;
    }
    if (plan->search) {
        return find_window(in, out, plan);
    }
    int width = MIN(plan->width, in->Xsize), height = MIN(plan->height, in->Ysize);
    return vips_extract_area(in, out, plan->left, plan->top, width, height, NULL);
}

/* Evens out the softness that scaling down leaves, by the next pixels alone. Transparency is
 * not to be sharpened. */
static int sharpen_mildly(VipsImage *in, VipsImage **out)
{
    static const double next[] = { -1, -1, -1, -1, 32, -1, -1, -1, -1 };
    AUTO_IMAGE *mask = vips_image_new_matrix_from_array(3, 3, next, 9);
    AUTO_IMAGE *colours = NULL, *alpha = NULL, *sharp = NULL;
    vips_image_set_double(mask, "scale", 24);
    if (!vips_image_hasalpha(in)) {
        return vips_conv(in, out, mask, "precision", VIPS_PRECISION_INTEGER, NULL);
    }
    int last = in->Bands - 1;
    if (vips_extract_band(in, &colours, 0, "n", last, NULL) ||
        vips_extract_band(in, &alpha, last, NULL) ||
        vips_conv(colours, &sharp, mask, "precision", VIPS_PRECISION_INTEGER, NULL)) {
        return -1;
    }
    return vips_bandjoin2(sharp, alpha, out, NULL);
}

/* The strengths for flat and for jagged parts are those of sharp. */
static int sharpen(VipsImage *in, VipsImage **out, double sigma)
{
    if (sigma == 0) {
        *out = g_object_ref(in);
        return 0;
    }
    return sigma < 0 ? sharpen_mildly(in, out)
                     : vips_sharpen(in, out, "sigma", sigma, "m1", 1.0, "m2", 2.0, NULL);
}

int image_frame(VipsImage *in, VipsImage **out, const struct image_plan *plan,
    const struct image_output *output)
{
    AUTO_IMAGE *window = NULL, *sharp = NULL, *framed = NULL;
    if (cut_window(in, &window, plan) || sharpen(window, &sharp, output->sharpen)) {
        return -1;
    }
    if (plan->width > in->Xsize || plan->height > in->Ysize) {
        if (lay_on_canvas(sharp, &framed, plan, output)) {
            return -1;
        }
    } else {
        framed = g_object_ref(sharp);
    }
    if (vips_image_hasalpha(framed) && !output->format->alpha) {
        return flatten(framed, out, output);
    }
    *out = g_steal_pointer(&framed);
    return 0;
}
