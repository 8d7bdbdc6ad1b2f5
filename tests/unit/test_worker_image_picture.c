/*
 * test_worker_image_picture.c - the picture of the outputs is that of the input: upright, with
 * its colours, with its transparency.
 */
#include "heif_edit.h"
#include "png_edit.h"

enum { WIDE = 96, HIGH = 64 };

/* ---- Orientation ------------------------------------------------------------------------- */

/* The upright picture as a camera stores it that says that orientation. */
static VipsImage *store(int orientation)
{
    static const struct {
        VipsAngle angle;
        bool mirrored;
    } ways[] = { { VIPS_ANGLE_D0, false }, { VIPS_ANGLE_D0, true }, { VIPS_ANGLE_D180, false },
        { VIPS_ANGLE_D180, true }, { VIPS_ANGLE_D90, true }, { VIPS_ANGLE_D270, false },
        { VIPS_ANGLE_D270, true }, { VIPS_ANGLE_D90, false } };
    VipsImage *image = paint_quarters(WIDE, HIGH);
    PIPE(image, vips_rot, ways[orientation - 1].angle, NULL);
    if (ways[orientation - 1].mirrored)
        PIPE(image, vips_flip, VIPS_DIRECTION_HORIZONTAL, NULL);
    return image;
}

static void expect_upright(const char *file)
{
    VipsImage *upright = paint_quarters(WIDE, HIGH), *image = look(file);
    assert_int_equal(image->Xsize, WIDE);
    assert_int_equal(image->Ysize, HIGH);
    if (vips_image_get_orientation(image) != 1)
        test_fatal("%s still says how to turn it", file);
    double mean = difference(upright, image);
    if (mean > 8)
        test_fatal("%s is not upright: differs by %.1f: %s", file, mean, last.reason);
    g_object_unref(upright);
    g_object_unref(image);
}

static void upright(const char *file)
{
    g_autofree char *one =
        g_strdup_printf("{\"input\":\"%s\",\"outputs\":[{\"file\":\"turn/one.png\"}]}", file);
    g_autofree char *more = g_strdup_printf(
        "{\"input\":\"%s\",\"outputs\":[{\"file\":\"turn/a.jpg\",\"quality\":95},"
        "{\"file\":\"turn/b.webp\",\"quality\":95},{\"file\":\"turn/c.avif\",\"quality\":80}]}",
        file);
    run_well(one);
    expect_upright("turn/one.png");
    run_well(more);
    expect_upright("turn/a.jpg");
    expect_upright("turn/b.webp");
    expect_upright("turn/c.avif");
}

static void eight_orientations_by_exif_or_tag(void **state)
{
    (void)state;
    static const char *const endings[] = { "jpg", "png", "webp", "tiff" };
    for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
        for (int orientation = 1; orientation <= 8; orientation++) {
            g_autofree char *file = g_strdup_printf("turn/in%d.%s", orientation, endings[i]);
            VipsImage *image = store(orientation);
            PIPE(image, vips_copy, NULL);
            vips_image_set_int(image, VIPS_META_ORIENTATION, orientation);
            save(image, file);
            if (!strcmp(endings[i], "png")) {
                guint8 exif[] = { 'I', 'I', '*', 0, 8, 0, 0, 0, 1, 0, 0x12, 0x01, 3, 0, 1, 0, 0,
                    0, (guint8)orientation, 0, 0, 0, 0, 0, 0, 0 };
                png_insert(file, "eXIf", exif, sizeof exif);
            }
            upright(file);
        }
    }
}

/* HEIF says it in the container: rotation, in quarters against the clock, and mirroring. What
 * EXIF says as well means nothing. Which way the mirror of one axis goes, libheif decides; that
 * it mirrors can be told. */
static void turn_heif(const char *file, int orientation)
{
    static const guint8 turns[] = { 0, 0, 2, 2, 3, 3, 1, 1 };
    static const bool mirrors[] = { false, true, false, true, true, false, true, false };
    GByteArray *content = heif_read(file);
    if (turns[orientation - 1])
        heif_add_property(content, 1, "irot", turns[orientation - 1]);
    if (mirrors[orientation - 1])
        heif_add_property(content, 1, "imir", 0);
    heif_write(file, content);
    g_byte_array_unref(content);
}

/* The picture itself, or mirrored across either axis. */
static void expect_some_upright(const char *file, bool mirrored)
{
    if (!mirrored) {
        expect_upright(file);
        return;
    }
    VipsImage *wanted = paint_quarters(WIDE, HIGH), *image = look(file);
    assert_int_equal(image->Xsize, WIDE);
    double same = difference(wanted, image);
    PIPE(wanted, vips_rot, VIPS_ANGLE_D180, NULL);
    double over = difference(wanted, image);
    if (MIN(same, over) > 8)
        test_fatal("%s is not mirrored: differs by %.1f", file, MIN(same, over));
    g_object_unref(wanted);
    g_object_unref(image);
}

static void eight_orientations_by_container(void **state)
{
    (void)state;
    static const char *const endings[] = { "heic", "avif" };
    for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
        for (int orientation = 1; can_save(endings[i]) && orientation <= 8; orientation++) {
            g_autofree char *file = g_strdup_printf("heif/in%d.%s", orientation, endings[i]);
            g_autofree char *data = g_strdup_printf(
                "{\"input\":\"%s\",\"outputs\":[{\"file\":\"heif/out.png\"}]}", file);
            VipsImage *image = store(orientation);
            PIPE(image, vips_copy, NULL);
            /* EXIF, to be ignored; later versions of libvips turn by the container themselves.
             */
            if (vips_version(0) == 8 && vips_version(1) <= 14)
                vips_image_set_int(image, VIPS_META_ORIENTATION, 3);
            save(image, file);
            turn_heif(file, orientation);
            run_well(data);
            bool mirrored =
                orientation == 2 || orientation == 4 || orientation == 5 || orientation == 7;
            expect_some_upright("heif/out.png", mirrored);
        }
    }
}

/* Tags of a preview in the first directory, with values that point nowhere, before that of the
 * orientation: libexif reads no further. */
static void impossible_tags_do_not_hide_it(void **state)
{
    (void)state;
    static const guint8 exif[] = { 0xff, 0xe1, 0, 58, 'E', 'x', 'i', 'f', 0, 0, 'I', 'I', '*',
        0, 8, 0, 0, 0, 3, 0, 0x01, 0x02, 4, 0, 1, 0, 0, 0, 0xf0, 0xff, 0xff, 0xff, 0x02, 0x02,
        4, 0, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f, 0x12, 0x01, 3, 0, 1, 0, 0, 0, 6,
        0, 0, 0, 0, 0, 0, 0 };
    size_t bytes = 0;
    save(store(6), "odd/in.jpg");
    g_autofree char *path = at("odd/in.jpg");
    g_autofree char *jpeg = test_read(path, &bytes);
    g_autoptr(GByteArray) whole = g_byte_array_new();
    g_byte_array_append(whole, (guint8 *)jpeg, 2);
    g_byte_array_append(whole, exif, sizeof exif);
    g_byte_array_append(whole, (guint8 *)jpeg + 2, (guint)bytes - 2);
    test_write(path, (char *)whole->data, whole->len);
    upright("odd/in.jpg");
    run_well("{\"input\":\"odd/in.jpg\",\"info\":true}");
    json_t *input = json_object_get(last.value, "input");
    assert_int_equal(json_integer_value(json_object_get(input, "orientation")), 6);
    assert_int_equal(json_integer_value(json_object_get(input, "width")), WIDE);
}

/* ---- Colour ------------------------------------------------------------------------------ */

/* Many colours, none at the edge of what print can show. */
static VipsImage *paint_patches(void)
{
    VipsImage *patches[64], *image = NULL;
    for (int i = 0; i < 64; i++) {
        double colour[] = { 70 + 35 * (i % 4), 70 + 35 * (i / 4 % 4), 70 + 35 * (i / 16) };
        patches[i] = paint_flat(16, 16, colour, 3);
    }
    vips_must(vips_arrayjoin(patches, &image, 64, "across", 8, NULL));
    for (int i = 0; i < 64; i++)
        g_object_unref(patches[i]);
    return image;
}

/* Mean and largest distance as eyes see it (deltaE2000), of the middles of the patches. */
static void expect_colours(VipsImage *wanted, const char *file, double mean, double most)
{
    VipsImage *image = look(file), *a = NULL, *b = NULL, *distance = NULL;
    double average = 0, largest = 0;
    vips_must(vips_colourspace(wanted, &a, VIPS_INTERPRETATION_LAB, NULL));
    vips_must(vips_colourspace(image, &b, VIPS_INTERPRETATION_LAB, NULL));
    vips_must(vips_dE00(a, b, &distance, NULL));
    vips_must(vips_avg(distance, &average, NULL));
    vips_must(vips_max(distance, &largest, NULL));
    if (average > mean || largest > most)
        test_fatal("%s: colours differ by %.2f, at most %.2f", file, average, largest);
    g_object_unref(distance);
    g_object_unref(a);
    g_object_unref(b);
    g_object_unref(image);
}

static void profiles_are_converted(void **state)
{
    (void)state;
    VipsImage *patches = paint_patches(), *wide = NULL, *deep = NULL;
    vips_must(vips_icc_transform(patches, &wide, "p3", "input_profile", "srgb", NULL));
    vips_must(
        vips_icc_transform(patches, &deep, "p3", "input_profile", "srgb", "depth", 16, NULL));
    save(wide, "icc/in.png");
    save(g_object_ref(deep), "icc/deep.png");
    save(deep, "icc/deep.tiff");
    run_well("{\"input\":\"icc/in.png\",\"outputs\":[{\"file\":\"icc/out.png\"}]}");
    expect_colours(patches, "icc/out.png", 0.6, 2);
    run_well("{\"input\":\"icc/deep.png\",\"outputs\":[{\"file\":\"icc/out.png\"}]}");
    expect_colours(patches, "icc/out.png", 0.5, 1);
    run_well("{\"input\":\"icc/deep.tiff\",\"outputs\":[{\"file\":\"icc/out.png\"}]}");
    expect_colours(patches, "icc/out.png", 0.5, 1);
    g_object_unref(patches);
}

/* With its profile, and without one. */
static void print_is_converted(void **state)
{
    (void)state;
    static const char *const files[] = { "cmyk/in.jpg", "cmyk/in.tiff", "cmyk/bare.tiff" };
    VipsImage *patches = paint_patches(), *inks = NULL;
    vips_must(vips_icc_transform(patches, &inks, "cmyk", "input_profile", "srgb",
        "black_point_compensation", TRUE, NULL));
    save(g_object_ref(inks), files[0]);
    save(g_object_ref(inks), files[1]);
    PIPE(inks, vips_copy, NULL);
    vips_image_remove(inks, VIPS_META_ICC_NAME);
    save(inks, files[2]);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *data = g_strdup_printf(
            "{\"input\":\"%s\",\"outputs\":[{\"file\":\"cmyk/out.png\"}]}", files[i]);
        run_well(data);
        expect_colours(patches, "cmyk/out.png", 2.5, 8);
    }
    g_object_unref(patches);
}

/* All the ink there is comes out as black as the profile of libvips has it (some are bluish),
 * and none of it white; without black point compensation it would be no darker than 33. */
static void ink_is_black_and_paper_white(void **state)
{
    (void)state;
    static const double black[] = { 0, 0, 10 }, white[] = { 253, 253, 253 };
    VipsImage *full = paint_flat(40, 40, (double[]){ 255, 255, 255, 255 }, 4);
    VipsImage *none = paint_flat(40, 40, (double[]){ 0, 0, 0, 0 }, 4), *both = NULL;
    vips_must(vips_join(full, none, &both, VIPS_DIRECTION_HORIZONTAL, NULL));
    PIPE(both, vips_copy, "interpretation", VIPS_INTERPRETATION_CMYK, NULL);
    save(both, "ink/in.tiff");
    run_well("{\"input\":\"ink/in.tiff\",\"outputs\":[{\"file\":\"ink/out.png\"}]}");
    VipsImage *out = look("ink/out.png");
    expect_colour(out, 0.25, 0.5, black, 14);
    expect_colour(out, 0.75, 0.5, white, 3);
    g_object_unref(out);
    g_object_unref(full);
    g_object_unref(none);
}

/* ---- Transparency ------------------------------------------------------------------------ */

/* Opacity grows from left to right, in as many bits as the image has. */
static VipsImage *add_ramp(VipsImage *image)
{
    VipsImage *ramp = NULL, *both = NULL;
    double most = image->BandFmt == VIPS_FORMAT_USHORT ? 65535 : 255;
    vips_must(vips_xyz(&ramp, image->Xsize, image->Ysize, NULL));
    PIPE(ramp, vips_extract_band, 0, NULL);
    PIPE(ramp, vips_linear1, most / (image->Xsize - 1), 0.0, NULL);
    PIPE(ramp, vips_cast, image->BandFmt, NULL);
    vips_must(vips_bandjoin2(image, ramp, &both, NULL));
    g_object_unref(ramp);
    g_object_unref(image);
    return both;
}

static void expect_ramp(const char *file, double tolerance)
{
    VipsImage *image = look(file);
    assert_true(vips_image_hasalpha(image));
    PIPE(image, vips_extract_band, image->Bands - 1, NULL);
    for (int i = 1; i < 8; i++) {
        int column = i * image->Xsize / 8;
        double alpha = 255.0 * column / (image->Xsize - 1);
        expect_colour(image, i / 8.0, 0.5, &alpha, tolerance);
    }
    g_object_unref(image);
}

/* Colour and grey, eight and sixteen bits, with a profile and without. */
static void transparency_stays(void **state)
{
    (void)state;
    static const double colour[] = { 200, 100, 50 };
    for (int kind = 0; kind < 8; kind++) {
        bool deep = kind & 1, grey = kind & 2, profile = kind & 4;
        VipsImage *image = paint_flat(128, 32, colour, grey ? 1 : 3);
        if (profile && !grey)
            PIPE(image, vips_icc_transform, "p3", "input_profile", "srgb", "depth",
                deep ? 16 : 8, NULL);
        else if (deep) {
            PIPE(image, vips_linear1, 257.0, 0.0, NULL);
            PIPE(image, vips_cast_ushort, NULL);
            PIPE(image, vips_copy, "interpretation",
                grey ? VIPS_INTERPRETATION_GREY16 : VIPS_INTERPRETATION_RGB16, NULL);
        }
        image = add_ramp(image);
        save(g_object_ref(image), "ramp/in.png");
        save(image, "ramp/in.tiff");
        run_well("{\"input\":\"ramp/in.png\",\"outputs\":[{\"file\":\"ramp/out.png\"},"
                 "{\"file\":\"ramp/small.webp\",\"width\":64,\"lossless\":true}]}");
        expect_ramp("ramp/out.png", 1);
        expect_ramp("ramp/small.webp", 4);
        run_well("{\"input\":\"ramp/in.tiff\",\"outputs\":[{\"file\":\"ramp/out.png\"}]}");
        expect_ramp("ramp/out.png", 1);
    }
}

/* ---- The transparency of AVIF ------------------------------------------------------------ */

static void make_avif(const char *file)
{
    static const double colour[] = { 200, 100, 50 };
    save(add_ramp(paint_flat(128, 32, colour, 3)), file);
}

static void transparency_of_avif(void **state)
{
    (void)state;
    make_avif("avif/in.avif");
    run_well("{\"input\":\"avif/in.avif\",\"outputs\":[{\"file\":\"avif/out.png\"}]}");
    expect_ramp("avif/out.png", 4);
}

/* Made otherwise than libheif can read it, the picture would come out opaque. */
static void lost_transparency_is_refused(void **state)
{
    (void)state;
    static const char data[] =
        "{\"input\":\"lost/in.avif\",\"outputs\":[{\"file\":\"lost/out.png\"}]}";
    make_avif("lost/in.avif");
    GByteArray *content = heif_read("lost/in.avif");
    heif_add_property(content, 1, "irot", 1); /* the picture alone is turned */
    heif_write("lost/in.avif", content);
    run_badly(HANDLER_FATAL, "would lose its transparency", data);
    heif_add_property(content, 2, "irot", 1); /* its transparency as well: all is well */
    heif_write("lost/in.avif", content);
    run_well(data);
    expect_size("lost/out.png", 32, 128);
    g_byte_array_unref(content);
}

/* Of another size, where the file has one for each of the two pictures. */
static void small_transparency_is_refused(void **state)
{
    (void)state;
    static const guint8 size[] = { 'i', 's', 'p', 'e', 0, 0, 0, 0, 0, 0, 0, 128 };
    make_avif("size/in.avif");
    GByteArray *content = heif_read("size/in.avif");
    guint8 *first = memmem(content->data, content->len, size, sizeof size);
    assert_non_null(first);
    guint8 *second = memmem(first + sizeof size,
        (size_t)(content->data + content->len - first) - sizeof size, size, sizeof size);
    if (second != NULL)
        second[sizeof size - 1] = 64;
    heif_write("size/in.avif", content);
    g_byte_array_unref(content);
    if (second == NULL)
        skip();
    run_badly(HANDLER_FATAL, "would lose its transparency",
        "{\"input\":\"size/in.avif\",\"outputs\":[{\"file\":\"size/out.png\"}]}");
    assert_false(exists("size/out.png"));
}

/* Colours that are stored multiplied with their opacity come out as they were. */
static void weighted_colours_are_restored(void **state)
{
    (void)state;
    static const char *const path[] = { "meta", "iref" };
    static const double colour[] = { 200, 100, 50, 127 };
    guint8 weighted[] = { 0, 0, 0, 14, 'p', 'r', 'e', 'm', 0, 1, 0, 1, 0, 2 };
    static const double stored[] = { 100, 50, 25, 127 };
    save(paint_flat(64, 64, stored, 4), "prem/in.avif");
    GByteArray *content = heif_read("prem/in.avif");
    size_t end = heif_find(content, path, 2);
    end += heif_number(content->data + end, 4);
    heif_insert(content, path, 2, end, weighted, sizeof weighted);
    heif_write("prem/in.avif", content);
    g_byte_array_unref(content);
    run_well("{\"input\":\"prem/in.avif\",\"outputs\":[{\"file\":\"prem/out.png\"}]}");
    VipsImage *out = look("prem/out.png");
    expect_colour(out, 0.5, 0.5, colour, 8);
    g_object_unref(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eight_orientations_by_exif_or_tag),
        cmocka_unit_test(eight_orientations_by_container),
        cmocka_unit_test(impossible_tags_do_not_hide_it),
        cmocka_unit_test(profiles_are_converted),
        cmocka_unit_test(print_is_converted),
        cmocka_unit_test(ink_is_black_and_paper_white),
        cmocka_unit_test(transparency_stays),
        cmocka_unit_test(transparency_of_avif),
        cmocka_unit_test(lost_transparency_is_refused),
        cmocka_unit_test(small_transparency_is_refused),
        cmocka_unit_test(weighted_colours_are_restored),
    };
    return cmocka_run_group_tests(tests, start_handler, stop_handler);
}
