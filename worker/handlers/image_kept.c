/*
 * image_kept.c - the input's own compressed data as an output, where encoding anew would only
 * make it worse and larger.
 *
 * The pixels stay as they were coded; the metadata around them goes by the same rules as in any
 * other output (image_segments.c).
 */
#include "handlers/image_parts.h"

#include <string.h>
#include <unistd.h>

enum { SHADES = 9, COLOURS = SHADES * SHADES * SHADES, SAME_COLOUR = 2 };

/* Colours from all over, in the profile of `header`; one row of grey shades where it is grey.
 */
static VipsImage *paint_shades(VipsImage *header)
{
    guint8 shades[COLOURS * 3];
    bool grey = header->Bands < 3;
    for (int i = 0; i < COLOURS; i++) {
        int of[] = { i % SHADES, i / SHADES % SHADES, i / SHADES / SHADES };
        for (int band = 0; band < 3; band++) {
            shades[3 * i + band] = (guint8)(of[band] * 255 / (SHADES - 1));
        }
    }
    if (grey) {
        for (int i = 0; i < 256; i++) {
            shades[i] = (guint8)i;
        }
    }
    AUTO_IMAGE *image = vips_image_new_from_memory_copy(shades, grey ? 256 : sizeof shades,
        grey ? 256 : COLOURS, 1, grey ? 1 : 3, VIPS_FORMAT_UCHAR);
    const void *profile;
    size_t bytes;
    if (image == NULL || vips_image_get_blob(header, VIPS_META_ICC_NAME, &profile, &bytes)) {
        return NULL;
    }
    image->Type = grey ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
    vips_image_set_blob_copy(image, VIPS_META_ICC_NAME, profile, bytes);
    return g_steal_pointer(&image);
}

/* A profile is sRGB's, by whatever name, when it leaves colours as they are. */
static bool profile_is_srgb(VipsImage *header)
{
    AUTO_IMAGE *shades = paint_shades(header), *after = NULL, *difference = NULL, *size = NULL;
    double largest = 255;
    if (shades == NULL || image_to_srgb(shades, &after) || after->Bands != shades->Bands ||
        vips_subtract(shades, after, &difference, NULL) || vips_abs(difference, &size, NULL) ||
        vips_max(size, &largest, NULL)) {
        vips_error_clear();
        return false;
    }
    return largest <= SAME_COLOUR;
}

static bool is_eight_bit_srgb(VipsImage *header)
{
    bool plain =
        header->Type == VIPS_INTERPRETATION_sRGB || header->Type == VIPS_INTERPRETATION_B_W;
    return header->BandFmt == VIPS_FORMAT_UCHAR && plain && header->Bands <= 4 &&
           (!vips_image_get_typeof(header, VIPS_META_ICC_NAME) || profile_is_srgb(header));
}

static bool can_be_kept(const struct image_format *format)
{
    return strcmp(format->name, "jpeg") == 0 || strcmp(format->name, "png") == 0 ||
           strcmp(format->name, "webp") == 0;
}

bool image_is_as_input(const struct image_input *input, const struct image_output *output,
    const struct image_plan *plan)
{
    return output->format == input->format &&
           image_plan_shows_all(plan, input->width, input->height) &&
           plan->scaled_width == input->width && plan->scaled_height == input->height &&
           plan->width == input->width && plan->height == input->height && output->sharpen == 0;
}

const char *image_why_not_keep(
    const struct image_input *input, const struct image_output *output)
{
    bool all_of_it = input->pages == 1 || input->motion;
    return !can_be_kept(output->format)                  ? "format"
           : !output->never_larger || output->particular ? "fields"
           : input->orientation != 1                     ? "turned"
           : !all_of_it                                  ? "page"
           : !is_eight_bit_srgb(input->header)           ? "colours"
                                                         : NULL;
}

static guint8 *read_file(const struct image_input *input)
{
    size_t bytes = (size_t)input->bytes, at = 0;
    g_autofree guint8 *data = g_try_malloc(bytes);
    while (data != NULL && at < bytes) {
        ssize_t len = pread(input->fd, data + at, bytes - at, (off_t)at);
        if (len <= 0) {
            return NULL;
        }
        at += (size_t)len;
    }
    return g_steal_pointer(&data);
}

GByteArray *image_kept_data(const struct image_input *input, VipsImage *clean)
{
    char sum[IMAGE_SHA256];
    g_autofree guint8 *file = read_file(input);
    if (file == NULL || image_sha256(file, (size_t)input->bytes, sum) ||
        strcmp(sum, input->sha256) != 0) {
        return NULL;
    }
    return image_with_metadata(input->format, file, (size_t)input->bytes, clean);
}
