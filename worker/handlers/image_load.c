/*
 * image_load.c - the one place that asks libvips to read a file.
 */
#include "handlers/image_parts.h"

/* What libvips is to refuse by itself. It fails on the first warning of libjpeg, harmless or
 * not, so with JPEG that is for fail_on "warning" only, and else judged when all is decoded
 * (image_messages.c); with GIF it has no other word for damage. A picture that lacks nothing
 * but the mark of its end would be cut short to libvips. */
static VipsFailOn tolerance(const struct image_input *input)
{
    int fail_on = input->request->fail_on;
    if (input->end == END_UNMARKED) {
        return VIPS_FAIL_ON_NONE;
    }
    bool all = input->format->warns_of_damage && fail_on >= VIPS_FAIL_ON_ERROR;
    return all ? VIPS_FAIL_ON_WARNING : (VipsFailOn)fail_on;
}

/* A load costs nothing yet: libvips reads the header and decodes when pixels are asked for. */
VipsImage *image_load(const struct image_input *input, int shrink)
{
    VipsImage *image = NULL;
    image_load_fn *load = input->format->load;
    VipsFailOn fail_on = tolerance(input);
    int failed;
    if (shrink > 1) {
        failed = load(input->source, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
            fail_on, "shrink", shrink, NULL);
    } else if (input->format->paged && input->page >= 0) {
        failed = load(input->source, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
            fail_on, "page", input->page, "n", input->motion ? -1 : 1, NULL);
    } else {
        failed = load(
            input->source, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", fail_on, NULL);
    }
    if (failed) {
        image_drop(&image);
    }
    return image;
}
