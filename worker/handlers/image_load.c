/*
 * image_load.c - the one place that asks libvips to read a file, and the reasons when it
 * cannot.
 */
#include "handlers/image_parts.h"

#include <string.h>

enum { MAX_VIPS_TEXT = 300 };

enum handler_result image_refuse_vips(GString *why, const char *what)
{
    g_autofree char *text = g_utf8_make_valid(vips_error_buffer(), -1);
    vips_error_clear();
    g_strdelimit(g_strstrip(text), "\n\r\t", ' ');
    if (g_utf8_strlen(text, -1) > MAX_VIPS_TEXT) {
        *g_utf8_offset_to_pointer(text, MAX_VIPS_TEXT) = '\0';
    }
    bool memory = strstr(text, "out of memory") != NULL ||
                  strstr(text, "unable to allocate") != NULL ||
                  strstr(text, "Insufficient memory") != NULL;
    return image_refuse(why, memory ? HANDLER_RETRY : HANDLER_FATAL, "%s: %s", what,
        *text ? text : "no reason");
}

/* A load costs nothing yet: libvips reads the header and decodes when pixels are asked for.
 * Damage of any kind is an error: half a photo must not pass for one. */
VipsImage *image_load(const struct image_input *input, int shrink)
{
    VipsImage *image = NULL;
    image_load_fn *load = input->format->load;
    int failed;
    if (shrink > 1) {
        failed = load(input->source, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
            VIPS_FAIL_ON_WARNING, "shrink", shrink, NULL);
    } else if (input->format->paged && input->page >= 0) {
        failed = load(input->source, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
            VIPS_FAIL_ON_WARNING, "page", input->page, "n", input->motion ? -1 : 1, NULL);
    } else {
        failed = load(input->source, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
            VIPS_FAIL_ON_WARNING, NULL);
    }
    if (failed) {
        image_drop(&image);
    }
    return image;
}

enum handler_result image_refuse_damaged(const struct image_input *input, GString *why)
{
    g_autofree char *what =
        g_strdup_printf("input \"%s\" is damaged or cut short", input->file);
    return image_refuse_vips(why, what);
}
