/*
 * test_worker_image.c - the image handler on good input: what comes out is the right picture,
 * the right way up, in the right format, size and colours, and nothing else is left.
 */
#include "photos.h"

static const double WHITE[] = { 255, 255, 255 };

/* ---- Formats and sizes ------------------------------------------------------------------- */

static void one_photo_becomes_many_variants(void **state)
{
    (void)state;
    static const struct {
        const char *file, *format;
        int width, height;
    } wanted[] = {
        { "many/out/1600.jpg", "jpeg", 1600, 1200 },
        { "many/out/800.webp", "webp", 800, 600 },
        { "many/out/card.avif", "avif", 320, 240 },
        { "many/out/square.png", "png", 200, 200 },
        { "many/out/tiny.gif", "gif", 64, 48 },
        { "many/out/named-by-format", "webp", 300, 225 },
    };
    save(paint_photo(2400, 1800), "many/in/car.jpg");
    run_well("{\"input\":\"many/in/car.jpg\",\"outputs\":["
             "{\"file\":\"many/out/1600.jpg\",\"width\":1600,\"quality\":80},"
             "{\"file\":\"many/out/800.webp\",\"width\":800},"
             "{\"file\":\"many/out/card.avif\",\"width\":320,\"height\":240,\"effort\":0},"
             "{\"file\":\"many/out/square.png\",\"width\":200,\"height\":200},"
             "{\"file\":\"many/out/tiny.gif\",\"width\":64},"
             "{\"file\":\"many/out/named-by-format\",\"width\":300,\"format\":\"webp\"}]}");
    assert_int_equal(count_files("many/out"), G_N_ELEMENTS(wanted));
    assert_int_equal(count_files("many/in"), 1);
    int64_t saved = size_of("many/in/car.jpg");
    for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
        const char *file = wanted[i].file;
        assert_string_equal(format_of(file), wanted[i].format);
        expect_size(file, wanted[i].width, wanted[i].height);
        assert_string_equal(json_string_value(returned(i, "file")), file);
        assert_string_equal(json_string_value(returned(i, "format")), wanted[i].format);
        assert_int_equal(json_integer_value(returned(i, "width")), wanted[i].width);
        assert_int_equal(json_integer_value(returned(i, "height")), wanted[i].height);
        assert_int_equal(json_integer_value(returned(i, "bytes")), size_of(file));
        assert_true(json_is_integer(returned(i, "ms")));
        saved -= size_of(file);
    }
    assert_int_equal(json_integer_value(returned(0, "quality")), 80);
    assert_int_equal(json_integer_value(returned(2, "quality")), 50);
    assert_null(returned(3, "quality"));
    assert_int_equal(json_integer_value(json_object_get(last.value, "saved_bytes")), saved);
    assert_true(json_is_integer(json_object_get(last.value, "ms")));
    json_t *input = json_object_get(last.value, "input");
    assert_string_equal(json_string_value(json_object_get(input, "file")), "many/in/car.jpg");
    assert_string_equal(json_string_value(json_object_get(input, "format")), "jpeg");
    assert_int_equal(json_integer_value(json_object_get(input, "width")), 2400);
    assert_int_equal(json_integer_value(json_object_get(input, "height")), 1800);
    assert_int_equal(
        json_integer_value(json_object_get(input, "bytes")), size_of("many/in/car.jpg"));
    assert_string_equal(last.progress, "16 33 50 66 83 100 ");
}

static void outputs_left_out_compress_the_photo(void **state)
{
    (void)state;
    save(paint_photo(900, 700), "alone/car.jpg");
    run_well("{\"input\":\"alone/car.jpg\"}");
    assert_int_equal(count_files("alone"), 2);
    assert_string_equal(format_of("alone/car.min.jpg"), "jpeg");
    expect_size("alone/car.min.jpg", 900, 700);
    assert_true(size_of("alone/car.min.jpg") < size_of("alone/car.jpg") * 7 / 10);
    assert_string_equal(last.progress, "100 ");
}

static void content_and_not_the_name_decides(void **state)
{
    (void)state;
    save(paint_photo(300, 200), "liar/real.png");
    g_autofree char *from = at("liar/real.png"), *to = at("liar/photo.jpg");
    assert_int_equal(rename(from, to), 0);
    run_well("{\"input\":\"liar/photo.jpg\"}");
    assert_string_equal(format_of("liar/photo.min.png"), "png");
}

static void every_format_can_be_read(void **state)
{
    (void)state;
    static const char *const endings[] = { "jpg", "png", "webp", "avif", "heic", "gif", "tif" };
    VipsImage *photo = paint_photo(400, 300);
    for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
        if (!can_save(endings[i]))
            continue;
        g_autofree char *in = g_strdup_printf("read/in.%s", endings[i]);
        g_autofree char *out = g_strdup_printf("read/%s-out.png", endings[i]);
        g_autofree char *data =
            g_strdup_printf("{\"input\":\"%s\",\"outputs\":[{\"file\":\"%s\"}]}", in, out);
        save(g_object_ref(photo), in);
        run_well(data);
        json_t *input = json_object_get(last.value, "input");
        const char *format = json_string_value(json_object_get(input, "format"));
        assert_memory_equal(format, endings[i], 2);
        VipsImage *copy = look(out);
        double mean = difference(photo, copy);
        if (mean > (g_str_equal(endings[i], "gif") ? 14 : 6))
            test_fatal("%s differs by %.1f", endings[i], mean);
        g_object_unref(copy);
    }
    g_object_unref(photo);
}

static void lossless_means_every_pixel(void **state)
{
    (void)state;
    VipsImage *photo = paint_photo(300, 200);
    save(g_object_ref(photo), "exact/in.png");
    run_well("{\"input\":\"exact/in.png\",\"outputs\":[{\"file\":\"exact/a.png\"},"
             "{\"file\":\"exact/b.webp\",\"lossless\":true},"
             "{\"file\":\"exact/c.webp\"}]}");
    VipsImage *a = look("exact/a.png"), *b = look("exact/b.webp"), *c = look("exact/c.webp");
    assert_true(difference(photo, a) == 0);
    assert_true(difference(photo, b) == 0);
    assert_true(difference(photo, c) > 0.5);
    assert_null(returned(1, "quality"));
    g_object_unref(a);
    g_object_unref(b);
    g_object_unref(c);
    g_object_unref(photo);
}

static void quality_and_effort_buy_bytes(void **state)
{
    (void)state;
    save(paint_photo(600, 400), "price/in.png");
    run_well("{\"input\":\"price/in.png\",\"outputs\":["
             "{\"file\":\"price/q30.jpg\",\"quality\":30},"
             "{\"file\":\"price/q90.jpg\",\"quality\":90},"
             "{\"file\":\"price/e0.webp\",\"effort\":0},"
             "{\"file\":\"price/e6.webp\",\"effort\":6}]}");
    assert_true(size_of("price/q30.jpg") * 2 < size_of("price/q90.jpg"));
    assert_true(size_of("price/e6.webp") < size_of("price/e0.webp"));
}

/* However the picture was come by (decoded small, made from a larger output), it is close to
 * the one that a full decode gives. */
static void shrink_on_load_matches_full_decode(void **state)
{
    (void)state;
    static const int widths[] = { 1300, 1000, 600, 320, 160 };
    save(paint_photo(3200, 2400), "true/in.jpg");
    VipsImage *full = look("true/in.jpg");
    g_autoptr(GString) data = g_string_new("{\"input\":\"true/in.jpg\",\"outputs\":[");
    for (size_t i = 0; i < G_N_ELEMENTS(widths); i++)
        g_string_append_printf(data, "%s{\"file\":\"true/%d.png\",\"width\":%d}", i ? "," : "",
            widths[i], widths[i]);
    g_string_append(data, "]}");
    run_well(data->str);
    for (size_t i = 0; i < G_N_ELEMENTS(widths); i++) {
        g_autofree char *file = g_strdup_printf("true/%d.png", widths[i]);
        VipsImage *made = look(file), *reference = NULL;
        vips_must(vips_resize(full, &reference, widths[i] / 3200.0, NULL));
        double mean = difference(reference, made);
        if (mean > 1.5)
            test_fatal("%d pixels: differs by %.2f", widths[i], mean);
        g_object_unref(made);
        g_object_unref(reference);
    }
    g_object_unref(full);
}

/* ---- Cutting and filling up -------------------------------------------------------------- */

static void cover_cuts_the_middle_out(void **state)
{
    (void)state;
    /* Red, green, blue side by side: a third each. */
    static const double colours[3][3] = { { 220, 10, 10 }, { 10, 220, 10 }, { 10, 10, 220 } };
    VipsImage *thirds[3], *image = NULL;
    for (int i = 0; i < 3; i++)
        thirds[i] = paint_flat(400, 400, colours[i], 3);
    vips_must(vips_arrayjoin(thirds, &image, 3, "across", 3, NULL));
    for (int i = 0; i < 3; i++)
        g_object_unref(thirds[i]);
    save(image, "cut/in.png");
    run_well("{\"input\":\"cut/in.png\",\"outputs\":["
             "{\"file\":\"cut/out.png\",\"width\":100,\"height\":120}]}");
    VipsImage *out = look("cut/out.png");
    assert_int_equal(out->Xsize, 100);
    assert_int_equal(out->Ysize, 120);
    expect_colour(out, 0.05, 0.5, colours[1], 3);
    expect_colour(out, 0.95, 0.5, colours[1], 3);
    g_object_unref(out);
}

static void contain_lays_the_background_around(void **state)
{
    (void)state;
    static const double red[] = { 230, 20, 20, 255 }, white[] = { 255, 255, 255, 255 },
                        orange[] = { 255, 128, 0, 255 }, clear[] = { 9, 9, 9, 0 };
    save(paint_flat(400, 200, red, 3), "box/in.png");
    run_well("{\"input\":\"box/in.png\",\"outputs\":["
             "{\"file\":\"box/a.png\",\"width\":100,\"height\":100,\"fit\":\"contain\"},"
             "{\"file\":\"box/b.png\",\"width\":100,\"height\":100,\"fit\":\"contain\","
             "\"background\":\"#ff8000\"},"
             "{\"file\":\"box/c.png\",\"width\":100,\"height\":100,\"fit\":\"contain\","
             "\"background\":\"#09090900\"},"
             "{\"file\":\"box/d.jpg\",\"width\":100,\"height\":100,\"fit\":\"contain\","
             "\"background\":\"#ff800000\"}]}");
    static const char *const files[] = { "box/a.png", "box/b.png", "box/c.png", "box/d.jpg" };
    const double *around[] = { white, orange, clear, orange };
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        VipsImage *out = look(files[i]);
        assert_int_equal(out->Xsize, 100);
        assert_int_equal(out->Ysize, 100);
        assert_int_equal(out->Bands, i == 2 ? 4 : 3);
        expect_colour(out, 0.5, 0.5, red, 4);
        expect_colour(out, 0.5, 0.05, around[i], 4);
        expect_colour(out, 0.5, 0.95, around[i], 4);
        g_object_unref(out);
    }
}

static void enlarges_only_on_request(void **state)
{
    (void)state;
    save(paint_photo(200, 150), "grow/in.jpg");
    run_well("{\"input\":\"grow/in.jpg\",\"outputs\":["
             "{\"file\":\"grow/no.jpg\",\"width\":800},"
             "{\"file\":\"grow/yes.jpg\",\"width\":800,\"enlarge\":true}]}");
    expect_size("grow/no.jpg", 200, 150);
    expect_size("grow/yes.jpg", 800, 600);
}

/* ---- Orientation ------------------------------------------------------------------------- */

/* Stores the upright picture as a camera held in that way would. */
static void store_turned(VipsImage *upright, int orientation, const char *file)
{
    static const struct {
        VipsAngle angle;
        bool mirror;
    } ways[] = {
        [1] = { VIPS_ANGLE_D0, false },
        [2] = { VIPS_ANGLE_D0, true },
        [3] = { VIPS_ANGLE_D180, false },
        [4] = { VIPS_ANGLE_D180, true },
        [5] = { VIPS_ANGLE_D90, true },
        [6] = { VIPS_ANGLE_D270, false },
        [7] = { VIPS_ANGLE_D270, true },
        [8] = { VIPS_ANGLE_D90, false },
    };
    VipsImage *stored = NULL;
    vips_must(vips_rot(upright, &stored, ways[orientation].angle, NULL));
    if (ways[orientation].mirror)
        PIPE(stored, vips_flip, VIPS_DIRECTION_HORIZONTAL, NULL);
    PIPE(stored, vips_copy, NULL);
    vips_image_set_int(stored, VIPS_META_ORIENTATION, orientation);
    save(stored, file);
}

static void expect_quarters(const char *file, int width, int height)
{
    static const double colours[4][3] = { { 230, 20, 20 }, { 20, 230, 20 }, { 20, 20, 230 },
        { 240, 240, 240 } };
    VipsImage *out = look(file);
    if (out->Xsize != width || out->Ysize != height)
        test_fatal("%s is %d x %d", file, out->Xsize, out->Ysize);
    assert_int_equal(vips_image_get_orientation(out), 1);
    for (int i = 0; i < 4; i++)
        expect_colour(out, i % 2 ? 0.75 : 0.25, i / 2 ? 0.75 : 0.25, colours[i], 12);
    g_object_unref(out);
}

static void photos_stand_upright(void **state)
{
    (void)state;
    VipsImage *upright = paint_quarters(800, 480);
    static const char *const endings[] = { "jpg", "webp" };
    for (size_t e = 0; e < G_N_ELEMENTS(endings); e++) {
        for (int orientation = 1; orientation <= 8; orientation++) {
            g_autofree char *in = g_strdup_printf("up/%d.%s", orientation, endings[e]);
            g_autofree char *one =
                g_strdup_printf("{\"input\":\"%s\",\"outputs\":[{\"file\":\"up/one.png\","
                                "\"width\":200}]}",
                    in);
            g_autofree char *two =
                g_strdup_printf("{\"input\":\"%s\",\"outputs\":[{\"file\":\"up/a.jpg\"},"
                                "{\"file\":\"up/b.png\",\"width\":300,\"height\":60},"
                                "{\"file\":\"up/c.png\",\"height\":120}]}",
                    in);
            store_turned(upright, orientation, in);
            run_well(one);
            expect_quarters("up/one.png", 200, 120);
            run_well(two);
            json_t *input = json_object_get(last.value, "input");
            assert_int_equal(json_integer_value(json_object_get(input, "width")), 800);
            assert_int_equal(json_integer_value(json_object_get(input, "height")), 480);
            expect_quarters("up/a.jpg", 800, 480);
            expect_quarters("up/b.png", 300, 60);
            expect_quarters("up/c.png", 200, 120);
        }
    }
    g_object_unref(upright);
}

/* ---- Metadata ---------------------------------------------------------------------------- */

static void add_text(VipsImage *image, const char *field, const char *text)
{
    g_autofree char *value = g_strdup_printf("%s (%s, ASCII, %zu components, %zu bytes)", text,
        text, strlen(text) + 1, strlen(text) + 1);
    vips_image_set_string(image, field, value);
}

static VipsImage *paint_private(void)
{
    VipsImage *photo = paint_photo(320, 240);
    PIPE(photo, vips_copy, NULL);
    add_text(photo, "exif-ifd0-Make", "PrivateCamera");
    add_text(photo, "exif-ifd0-ImageDescription", "PrivateWords");
    add_text(photo, "exif-ifd2-DateTimeOriginal", "2019:08:07 06:05:04");
    add_text(photo, "exif-ifd3-GPSLatitudeRef", "N");
    vips_image_set_string(photo, "exif-ifd3-GPSLatitude",
        "52/1 31/1 12/1 (52, 31, 12, Rational, 3 components, 24 bytes)");
    vips_image_set_blob_copy(photo, VIPS_META_XMP_NAME, "<PrivateXmp/>", 13);
    vips_image_set_blob_copy(photo, VIPS_META_IPTC_NAME, "PrivateIptc", 11);
    return photo;
}

static const char all_formats[] =
    "{\"input\":\"meta/in.jpg\",\"outputs\":[{\"file\":\"meta/a.jpg\",\"width\":200},"
    "{\"file\":\"meta/b.png\",\"width\":100},{\"file\":\"meta/c.webp\",\"width\":100},"
    "{\"file\":\"meta/d.avif\",\"width\":100,\"effort\":0}]}";
static const char *const meta_files[] = { "meta/a.jpg", "meta/b.png", "meta/c.webp",
    "meta/d.avif" };

static void nothing_private_is_kept(void **state)
{
    (void)state;
    save(paint_private(), "meta/in.jpg");
    assert_true(file_holds("meta/in.jpg", "PrivateCamera"));
    assert_true(file_holds("meta/in.jpg", "PrivateXmp"));
    run_well(all_formats);
    for (size_t i = 0; i < G_N_ELEMENTS(meta_files); i++) {
        assert_false(file_holds(meta_files[i], "Private"));
        VipsImage *out = look(meta_files[i]);
        if (vips_image_get_typeof(out, VIPS_META_EXIF_NAME))
            test_fatal("%s", meta_files[i]);
        assert_int_equal(vips_image_get_typeof(out, VIPS_META_XMP_NAME), 0);
        assert_int_equal(vips_image_get_typeof(out, VIPS_META_ICC_NAME), 0);
        g_object_unref(out);
    }
}

static void keeps_copyright_metadata(void **state)
{
    (void)state;
    VipsImage *photo = paint_private();
    add_text(photo, "exif-ifd0-Artist", "Jo");
    add_text(photo, "exif-ifd0-Copyright", "(c) 2024 Jane Doe (Berlin), all rights reserved");
    save(photo, "meta/in.jpg");
    run_well(all_formats);
    for (size_t i = 0; i < G_N_ELEMENTS(meta_files); i++) {
        const char *text;
        assert_false(file_holds(meta_files[i], "Private"));
        assert_false(file_holds(meta_files[i], "2019:08"));
        VipsImage *out = look(meta_files[i]);
        assert_int_equal(vips_image_get_orientation(out), 1);
        assert_int_equal(vips_image_get_typeof(out, "exif-ifd3-GPSLatitude"), 0);
        vips_must(vips_image_get_string(out, "exif-ifd0-Copyright", &text));
        if (!g_str_has_prefix(text, "(c) 2024 Jane Doe (Berlin), all rights reserved ("))
            test_fatal("%s: %s", meta_files[i], text);
        vips_must(vips_image_get_string(out, "exif-ifd0-Artist", &text));
        if (!g_str_has_prefix(text, "Jo ("))
            test_fatal("%s: %s", meta_files[i], text);
        g_object_unref(out);
    }
}

/* ---- Colour and transparency ------------------------------------------------------------- */

static void transparency_stays_or_becomes_background(void **state)
{
    (void)state;
    /* Left: red. Right: green that nobody sees. */
    static const double red[] = { 200, 0, 0, 255 }, hidden[] = { 0, 255, 0, 0 };
    VipsImage *halves[] = { paint_flat(203, 200, red, 4), paint_flat(197, 200, hidden, 4) };
    VipsImage *image = NULL;
    vips_must(vips_join(halves[0], halves[1], &image, VIPS_DIRECTION_HORIZONTAL, NULL));
    g_object_unref(halves[0]);
    g_object_unref(halves[1]);
    save(image, "clear/in.png");
    run_well("{\"input\":\"clear/in.png\",\"outputs\":["
             "{\"file\":\"clear/a.png\",\"width\":100},"
             "{\"file\":\"clear/b.webp\",\"width\":100,\"lossless\":true},"
             "{\"file\":\"clear/c.jpg\",\"width\":100},"
             "{\"file\":\"clear/d.jpg\",\"width\":100,\"background\":\"#000000\"}]}");
    VipsImage *a = look("clear/a.png"), *b = look("clear/b.webp"), *c = look("clear/c.jpg"),
              *d = look("clear/d.jpg");
    assert_int_equal(a->Bands, 4);
    assert_int_equal(b->Bands, 4);
    assert_int_equal(c->Bands, 3);
    expect_colour(a, 0.25, 0.5, red, 1);
    expect_colour(c, 0.25, 0.5, red, 4);
    static const double black[] = { 0, 0, 0 };
    expect_colour(c, 0.75, 0.5, WHITE, 4);
    expect_colour(d, 0.75, 0.5, black, 4);
    /* On the edge red fades out, and no green comes in. */
    double *edge = NULL;
    int bands = 0;
    vips_must(vips_getpoint(a, &edge, &bands, 50, 25, NULL));
    assert_true(edge[3] > 20 && edge[3] < 250);
    assert_true(edge[0] > 190 && edge[1] < 10);
    g_free(edge);
    VipsImage *all[] = { a, b, c, d };
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        g_object_unref(all[i]);
}

static void grey_stays_grey(void **state)
{
    (void)state;
    static const double grey[] = { 120 }, orange[] = { 255, 128, 0 };
    save(paint_flat(200, 100, grey, 1), "grey/in.png");
    run_well("{\"input\":\"grey/in.png\",\"outputs\":[{\"file\":\"grey/a.jpg\",\"width\":50},"
             "{\"file\":\"grey/b.png\",\"width\":60,\"height\":60,\"fit\":\"contain\"},"
             "{\"file\":\"grey/c.png\",\"width\":60,\"height\":60,\"fit\":\"contain\","
             "\"background\":\"#ff8000\"},{\"file\":\"grey/d.webp\"}]}");
    VipsImage *a = look("grey/a.jpg"), *b = look("grey/b.png"), *c = look("grey/c.png");
    assert_int_equal(a->Bands, 1);
    assert_int_equal(b->Bands, 1);
    assert_int_equal(c->Bands, 3);
    expect_colour(a, 0.5, 0.5, grey, 2);
    expect_colour(c, 0.5, 0.05, orange, 2);
    g_object_unref(a);
    g_object_unref(b);
    g_object_unref(c);
}

static void deep_images_become_eight_bits(void **state)
{
    (void)state;
    VipsImage *photo = paint_photo(300, 200), *deep = NULL;
    vips_must(vips_linear1(photo, &deep, 257.0, 0.0, NULL));
    PIPE(deep, vips_cast_ushort, NULL);
    PIPE(deep, vips_copy, "interpretation", VIPS_INTERPRETATION_RGB16, NULL);
    save(deep, "deep/in.png");
    run_well("{\"input\":\"deep/in.png\",\"outputs\":[{\"file\":\"deep/out.png\"}]}");
    VipsImage *out = look("deep/out.png");
    assert_int_equal(out->BandFmt, VIPS_FORMAT_UCHAR);
    assert_int_equal(out->Bands, 3);
    assert_true(difference(photo, out) < 1);
    g_object_unref(out);
    g_object_unref(photo);
}

/* The same colours, stored in another space with its profile, come out the same. */
static void colours_become_srgb(void **state)
{
    (void)state;
    static const char *const profiles[] = { "p3", "cmyk" };
    VipsImage *quarters = paint_quarters(200, 200);
    PIPE(quarters, vips_linear1, 0.4, 75.0, NULL); /* within what print can show */
    PIPE(quarters, vips_cast_uchar, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(profiles); i++) {
        VipsImage *foreign = NULL;
        vips_must(vips_icc_transform(quarters, &foreign, profiles[i], "input_profile", "srgb",
            "black_point_compensation", TRUE, NULL));
        save(foreign, "space/in.jpg");
        run_well("{\"input\":\"space/in.jpg\",\"outputs\":[{\"file\":\"space/out.png\"},"
                 "{\"file\":\"space/small.png\",\"width\":100}]}");
        VipsImage *out = look("space/out.png");
        assert_int_equal(out->Bands, 3);
        assert_int_equal(vips_image_get_typeof(out, VIPS_META_ICC_NAME), 0);
        double mean = difference(quarters, out);
        if (mean > 6)
            test_fatal("%s: differs by %.1f", profiles[i], mean);
        g_object_unref(out);
    }
    g_object_unref(quarters);
}

static void ignores_broken_profile(void **state)
{
    (void)state;
    VipsImage *photo = paint_photo(120, 80);
    PIPE(photo, vips_copy, NULL);
    vips_image_set_blob_copy(photo, VIPS_META_ICC_NAME, "no profile at all", 17);
    save(g_object_ref(photo), "icc/in.jpg");
    run_well("{\"input\":\"icc/in.jpg\",\"outputs\":[{\"file\":\"icc/out.png\"}]}");
    VipsImage *out = look("icc/out.png");
    assert_true(difference(photo, out) < 5);
    g_object_unref(out);
    g_object_unref(photo);
}

/* ---- Files ------------------------------------------------------------------------------- */

static void a_repeat_does_no_harm(void **state)
{
    (void)state;
    static const char data[] =
        "{\"input\":\"again/in.jpg\",\"outputs\":[{\"file\":\"again/out.jpg\",\"width\":100}]}";
    save(paint_photo(300, 200), "again/in.jpg");
    run_well(data);
    g_autofree char *path = at("again/out.jpg");
    size_t first_bytes = 0, second_bytes = 0;
    g_autofree char *first = test_read(path, &first_bytes);
    run_well(data);
    g_autofree char *second = test_read(path, &second_bytes);
    assert_int_equal(first_bytes, second_bytes);
    assert_memory_equal(first, second, first_bytes);
    assert_int_equal(count_files("again"), 2);
}

static void an_old_file_is_replaced_whole(void **state)
{
    (void)state;
    save(paint_photo(300, 200), "old/in.jpg");
    g_autofree char *path = at("old/out.jpg"), *other = at("old/other-name");
    test_write(path, "older and longer than nothing", -1);
    assert_int_equal(link(path, other), 0);
    run_well("{\"input\":\"old/in.jpg\",\"outputs\":[{\"file\":\"old/out.jpg\"}]}");
    expect_size("old/out.jpg", 300, 200);
    /* The file that was open under that name is still what it was. */
    g_autofree char *kept = test_read(other, NULL);
    assert_string_equal(kept, "older and longer than nothing");
}

static void missing_folders_are_made(void **state)
{
    (void)state;
    save(paint_photo(200, 100), "made/in.jpg");
    run_well("{\"input\":\"made/in.jpg\",\"outputs\":[{\"file\":\"made/by/day/1/out.jpg\"}]}");
    expect_size("made/by/day/1/out.jpg", 200, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_photo_becomes_many_variants),
        cmocka_unit_test(outputs_left_out_compress_the_photo),
        cmocka_unit_test(content_and_not_the_name_decides),
        cmocka_unit_test(every_format_can_be_read),
        cmocka_unit_test(lossless_means_every_pixel),
        cmocka_unit_test(quality_and_effort_buy_bytes),
        cmocka_unit_test(shrink_on_load_matches_full_decode),
        cmocka_unit_test(cover_cuts_the_middle_out),
        cmocka_unit_test(contain_lays_the_background_around),
        cmocka_unit_test(enlarges_only_on_request),
        cmocka_unit_test(photos_stand_upright),
        cmocka_unit_test(nothing_private_is_kept),
        cmocka_unit_test(keeps_copyright_metadata),
        cmocka_unit_test(transparency_stays_or_becomes_background),
        cmocka_unit_test(grey_stays_grey),
        cmocka_unit_test(deep_images_become_eight_bits),
        cmocka_unit_test(colours_become_srgb),
        cmocka_unit_test(ignores_broken_profile),
        cmocka_unit_test(a_repeat_does_no_harm),
        cmocka_unit_test(an_old_file_is_replaced_whole),
        cmocka_unit_test(missing_folders_are_made),
    };
    return cmocka_run_group_tests(tests, start_handler, stop_handler);
}
