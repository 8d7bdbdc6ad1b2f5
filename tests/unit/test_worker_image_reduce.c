/*
 * test_worker_image_reduce.c - the filter that makes pictures narrower, held to that of libvips
 * in floating point.
 */
#include "handlers/image_parts.h"
#include "photos.h"

static VipsImage *bands_of(VipsImage *image, int bands)
{
    VipsImage *out = NULL;
    if (bands <= 3) {
        vips_must(vips_extract_band(image, &out, 0, "n", bands, NULL));
        return out;
    }
    VipsImage *more[] = { image, image };
    VipsImage *both = NULL;
    vips_must(vips_bandjoin(more, &both, 2, NULL));
    vips_must(vips_extract_band(both, &out, 0, "n", bands, NULL));
    g_object_unref(both);
    return out;
}

/* Mostly the same at each place, and the same over all. */
static void expect_exact(VipsImage *image, int width, double most)
{
    VipsImage *exact = NULL, *own = NULL;
    double apart, mean_exact, mean_own;
    vips_must(vips_cast(image, &exact, VIPS_FORMAT_FLOAT, NULL));
    PIPE(exact, vips_reduceh, (double)image->Xsize / width, NULL);
    PIPE(exact, vips_rint, NULL);
    PIPE(exact, vips_cast, VIPS_FORMAT_UCHAR, NULL);
    vips_must(image_narrow(image, &own, width));
    assert_int_equal(own->Xsize, width);
    assert_int_equal(own->Ysize, image->Ysize);
    assert_int_equal(own->Bands, image->Bands);
    apart = difference(exact, own);
    vips_must(vips_avg(exact, &mean_exact, NULL));
    vips_must(vips_avg(own, &mean_own, NULL));
    if (apart > most || fabs(mean_exact - mean_own) > 0.06)
        test_fatal("%d to %d, %d bands: %.3f apart, means %.3f and %.3f", image->Xsize, width,
            image->Bands, apart, mean_exact, mean_own);
    g_object_unref(exact);
    g_object_unref(own);
}

static void it_is_exact(void **state)
{
    (void)state;
    static const int widths[] = { 399, 320, 201, 200, 133, 64, 51 };
    VipsImage *photo = paint_photo(400, 131);
    for (int bands = 1; bands <= 4; bands++) {
        VipsImage *image = bands_of(photo, bands);
        for (size_t i = 0; i < G_N_ELEMENTS(widths); i++)
            expect_exact(image, widths[i], 0.1);
        g_object_unref(image);
    }
    g_object_unref(photo);
}

/* Neither rounding nor the edges change what is the same all over. */
static void even_pictures_stay_even(void **state)
{
    (void)state;
    for (int value = 0; value <= 255; value += 17) {
        VipsImage *flat = paint_flat(203, 9, (double[]){ value, value, value }, 3);
        for (int width = 26; width < 203; width += 11) {
            VipsImage *own = NULL;
            double least, most;
            vips_must(image_narrow(flat, &own, width));
            vips_must(vips_min(own, &least, NULL));
            vips_must(vips_max(own, &most, NULL));
            if ((int)least != value || (int)most != value)
                test_fatal("%d becomes %.0f to %.0f at width %d", value, least, most, width);
            g_object_unref(own);
        }
        g_object_unref(flat);
    }
}

/* The steepest edges there are go beyond black and white before they are cut to them. */
static void edges_do_not_wrap(void **state)
{
    (void)state;
    static const double black[] = { 0, 0, 0 }, white[] = { 255, 255, 255 };
    VipsImage *stripes[32], *image = NULL;
    for (int i = 0; i < 32; i++)
        stripes[i] = paint_flat(7, 20, i % 2 ? white : black, 3);
    vips_must(vips_arrayjoin(stripes, &image, 32, "across", 32, NULL));
    for (int width = 40; width < 224; width += 9)
        expect_exact(image, width, 0.4);
    g_object_unref(image);
    for (int i = 0; i < 32; i++)
        g_object_unref(stripes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_exact),
        cmocka_unit_test(even_pictures_stay_even),
        cmocka_unit_test(edges_do_not_wrap),
    };
    return cmocka_run_group_tests(tests, start_handler, stop_handler);
}
