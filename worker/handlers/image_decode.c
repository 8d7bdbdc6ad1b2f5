/*
 * image_decode.c - from the opened input to upright sRGB pixels, once for all outputs.
 *
 * The decode is planned from the outputs. It stops at the size that the largest of them needs
 * (JPEG can be decoded at a half, a quarter or an eighth for much less work), and its result
 * is kept in memory only when there is more than one use for it.
 */
#include "handlers/image_parts.h"

struct size {
    int width, height;
};

static bool shows_all(const struct image_input *input, const struct image_plan *plan)
{
    return image_plan_shows_all(plan, input->width, input->height);
}

/* A crop begins at a pixel of what was decoded, not of the input: that is at most a quarter of
 * one of its own pixels beside it when what was decoded is at least twice as large as needed.
 * (best_shrink() adds a fifth.) */
static const double CROP_SPARE = 2 / 1.2;

/* As large as the whole input would be at the scale of the plan; no larger than it is. */
static struct size size_of_all(const struct image_input *input, const struct image_plan *plan)
{
    if (shows_all(input, plan)) {
        return (struct size){ plan->scaled_width, plan->scaled_height };
    }
    double h = CROP_SPARE * plan->scaled_width / plan->view.width;
    double v = CROP_SPARE * plan->scaled_height / plan->view.height;
    return (struct size){ (int)(input->width * MIN(h, 1)), (int)(input->height * MIN(v, 1)) };
}

static struct size largest(
    const struct image_input *input, const struct image_plan *plans, size_t count)
{
    struct size size = { 1, 1 };
    for (size_t i = 0; i < count; i++) {
        struct size all = size_of_all(input, &plans[i]);
        size.width = MAX(size.width, all.width);
        size.height = MAX(size.height, all.height);
    }
    return size;
}

static struct size turned(struct size size, bool sideways)
{
    return sideways ? (struct size){ size.height, size.width } : size;
}

/* The decoder's own way of shrinking leaves traces of its 8 x 8 blocks. A good filter that
 * takes away at least the last sixth evens them out: what is decoded is a fifth larger than
 * what is needed. */
static int best_shrink(const struct image_input *input, struct size need)
{
    struct size stored = turned(need, input->sideways);
    int shrink = input->format->shrinks ? 8 : 1;
    while (shrink > 1 && (input->header->Xsize / shrink < stored.width * 1.2 ||
                             input->header->Ysize / shrink < stored.height * 1.2)) {
        shrink /= 2;
    }
    return shrink;
}

/* How large to keep what was decoded, upright; as it is where a part is cut out. Pictures are
 * made from one at least twice as large, where a second resize leaves no trace; if all others
 * can be made from the largest output in that way, nothing larger is kept. Else a decode of
 * more than four times the largest is brought below that. */
static struct size size_to_keep(const struct image_input *input, struct size decoded,
    const struct image_plan *plans, size_t count)
{
    struct size need = largest(input, plans, count);
    bool from_largest = true;
    for (size_t i = 0; i < count; i++) {
        if (!shows_all(input, &plans[i])) {
            return decoded;
        }
        int w = plans[i].scaled_width, h = plans[i].scaled_height;
        bool same = w == need.width && h == need.height;
        bool half = w <= need.width / 2 && h <= need.height / 2;
        from_largest = from_largest && (same || half);
    }
    if (from_largest) {
        return need;
    }
    int spare = MIN(decoded.width / need.width, decoded.height / need.height) / 2;
    return spare > 1 ? (struct size){ decoded.width / spare, decoded.height / spare } : decoded;
}

/* Stored orientation in, upright out. Turning needs all the pixels at hand, so it comes after
 * the image has become small. */
static int finish_decode(
    const struct image_input *input, VipsImage *in, VipsImage **out, bool keep)
{
    AUTO_IMAGE *pixels = NULL, *upright = NULL, *clean = NULL;
    bool turn = input->orientation > 1;
    pixels = turn ? vips_image_copy_memory(in) : g_object_ref(in);
    if (pixels == NULL || image_upright(pixels, &upright, input->orientation) ||
        image_clean(input, upright, &clean)) {
        return -1;
    }
    *out = keep || turn ? image_keep(clean) : g_steal_pointer(&clean);
    return *out != NULL ? 0 : -1;
}

/* Colours that are stored multiplied with their opacity, as they were. */
static int unweight(const struct image_input *input, VipsImage *in, VipsImage **out)
{
    AUTO_IMAGE *colours = NULL;
    if (!input->weighted || !vips_image_hasalpha(in)) {
        *out = g_object_ref(in);
        return 0;
    }
    return vips_unpremultiply(in, &colours, NULL) || vips_cast(colours, out, in->BandFmt, NULL);
}

/* Frames are turned and scaled one by one, from what is kept of all. */
static int decode_motion(const struct image_input *input, VipsImage **out)
{
    AUTO_IMAGE *colours = NULL, *clean = NULL;
    if (image_to_srgb(input->header, &colours) || image_clean(input, colours, &clean)) {
        return -1;
    }
    *out = image_keep(clean);
    return *out != NULL ? 0 : -1;
}

enum handler_result image_input_decode(const struct image_input *input,
    const struct image_plan *plans, size_t count, bool keep, VipsImage **out, GString *why)
{
    AUTO_IMAGE *coded = NULL, *plain = NULL, *colours = NULL, *small = NULL;
    if (input->motion) {
        return decode_motion(input, out) ? image_refuse_damaged(input, why) : HANDLER_DONE;
    }
    int shrink = best_shrink(input, largest(input, plans, count));
    coded = shrink > 1 ? image_load(input, shrink) : g_object_ref(input->header);
    if (coded == NULL || unweight(input, coded, &plain) || image_to_srgb(plain, &colours)) {
        return image_refuse_damaged(input, why);
    }
    struct size decoded = { colours->Xsize, colours->Ysize };
    struct size size = size_to_keep(input, turned(decoded, input->sideways), plans, count);
    size = turned(size, input->sideways);
    if (image_resize(colours, &small, size.width, size.height) ||
        finish_decode(input, small, out, keep)) {
        return image_refuse_damaged(input, why);
    }
    return HANDLER_DONE;
}
