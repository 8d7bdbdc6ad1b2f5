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
