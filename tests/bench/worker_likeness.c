/*
 * worker_likeness.c - how alike a photo and what was made of it look.
 *
 *   worker_likeness                         prints the version of libvips
 *   worker_likeness PHOTO OUTPUT [PHOTO OUTPUT]...
 *                                           prints a line for each output: width, height, SSIM
 *
 * The reference is the whole photo, decoded at its full size and brought to the size of the
 * output by one good filter (Lanczos, three lobes, no shrinking beforehand): slow, and as good
 * as it gets. Neither side of the benchmark works that way. The measure is that of `target`.
 */
#include "handlers/image_parts.h"

#include <stdio.h>

static const int white[4] = { 255, 255, 255, 255 };

/* As a browser would show it. */
static VipsImage *look(const char *path)
{
    AUTO_IMAGE *stored = vips_image_new_from_file(path, NULL), *upright = NULL;
    VipsImage *colours = NULL;
    if (stored == NULL || vips_autorot(stored, &upright, NULL) ||
        image_to_srgb(upright, &colours)) {
        return NULL;
    }
    return colours;
}

static bool compare(const char *photo, const char *output)
{
    AUTO_IMAGE *whole = look(photo), *made = look(output), *small = NULL;
    if (whole == NULL || made == NULL) {
        return false;
    }
    double h = (double)made->Xsize / whole->Xsize, v = (double)made->Ysize / whole->Ysize;
    if (vips_resize(whole, &small, h, "vscale", v, "gap", 0.0, NULL)) {
        return false;
    }
    AUTO_IMAGE *a = image_luma(small, white), *b = image_luma(made, white);
    if (a == NULL || b == NULL) {
        return false;
    }
    printf("%d %d %.6f\n", made->Xsize, made->Ysize, image_similarity(a, b));
    return true;
}

int main(int argc, char **argv)
{
    g_setenv("VIPS_WARNING", "off", TRUE); /* it warns of every AVIF; any value does */
    if (VIPS_INIT(argv[0])) {
        fprintf(stderr, "worker_likeness: %s\n", vips_error_buffer());
        return 1;
    }
    if (argc == 1) {
        printf("%d.%d.%d\n", vips_version(0), vips_version(1), vips_version(2));
    }
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!compare(argv[i], argv[i + 1])) {
            fprintf(stderr, "worker_likeness: %s, %s: %s\n", argv[i], argv[i + 1],
                vips_error_buffer());
            return 1;
        }
    }
    vips_shutdown();
    return 0;
}
