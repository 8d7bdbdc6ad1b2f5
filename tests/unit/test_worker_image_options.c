/*
 * test_worker_image_options.c - what single options of an image job do to the picture and to
 * the file: crop, position, sharpen, chroma, progressive, palettes, info, the sums.
 */
#include "photos.h"

/* ---- Helpers ----------------------------------------------------------------------------- */

/* Nine fields, three by three; the colour of each tells its row and column. */
static void field_colour(int row, int column, double colour[3])
{
    colour[0] = 40 + 80 * column;
    colour[1] = 40 + 80 * row;
    colour[2] = 128;
}

static VipsImage *paint_fields(int side)
{
    VipsImage *fields[9], *image = NULL;
    for (int i = 0; i < 9; i++) {
        double colour[3];
        field_colour(i / 3, i % 3, colour);
        fields[i] = paint_flat(side, side, colour, 3);
    }
    vips_must(vips_arrayjoin(fields, &image, 9, "across", 3, NULL));
    for (int i = 0; i < 9; i++)
        g_object_unref(fields[i]);
    return image;
}

/* The output shows that field in its middle. */
static void expect_field(const char *file, int row, int column)
{
    double colour[3];
    VipsImage *image = look(file);
    field_colour(row, column, colour);
    expect_colour(image, 0.5, 0.5, colour, 12);
    g_object_unref(image);
}

static void run_output(const char *in, const char *fields)
{
    g_autofree char *data =
        g_strdup_printf("{\"input\":\"%s\",\"outputs\":[{%s}]}", in, fields);
    run_well(data);
}

/* The bytes behind the first marker of that kind, of which JPEG has one for the frame. */
static const guint8 *jpeg_frame(const guint8 *bytes, size_t len, guint8 kind)
{
    for (size_t i = 2; i + 4 < len && bytes[i] == 0xff && bytes[i + 1] != 0xda;
         i += 2 + (size_t)(bytes[i + 2] << 8 | bytes[i + 3]))
        if (bytes[i + 1] == kind)
            return bytes + i + 4;
    return NULL;
}

enum { BASELINE = 0xc0, PROGRESSIVE = 0xc2 };

static void expect_jpeg(const char *file, guint8 kind, int sampling)
{
    size_t len = 0;
    g_autofree char *path = at(file);
    g_autofree char *bytes = test_read(path, &len);
    const guint8 *frame = jpeg_frame((const guint8 *)bytes, len, kind);
    if (!frame)
        test_fatal("%s has no frame of kind %x", file, kind);
    if (frame[7] != sampling)
        test_fatal("%s has sampling %x, not %x", file, frame[7], sampling);
}

/* Mean difference of neighbours: how much detail there is. */
static double detail(VipsImage *image)
{
    VipsImage *left = NULL, *right = NULL;
    vips_must(vips_extract_area(image, &left, 0, 0, image->Xsize - 1, image->Ysize, NULL));
    vips_must(vips_extract_area(image, &right, 1, 0, image->Xsize - 1, image->Ysize, NULL));
    double mean = difference(left, right);
    g_object_unref(left);
    g_object_unref(right);
    return mean;
}

/* ---- Crop -------------------------------------------------------------------------------- */

static void crop_takes_exactly_that_part(void **state)
{
    (void)state;
    VipsImage *photo = paint_photo(601, 403), *part = NULL;
    save(g_object_ref(photo), "crop/in.png");
    run_output("crop/in.png", "\"file\":\"crop/out.png\",\"crop\":{\"left\":101,\"top\":53,"
                              "\"width\":207,\"height\":99}");
    VipsImage *out = look("crop/out.png");
    vips_must(vips_extract_area(photo, &part, 101, 53, 207, 99, NULL));
    assert_true(difference(part, out) == 0);
    assert_int_equal(json_integer_value(returned(0, "width")), 207);
    g_object_unref(part);
    g_object_unref(out);
    g_object_unref(photo);
}

/* Also when a JPEG is decoded small, and beside an output that shows all. */
static void crop_comes_before_resize(void **state)
{
    (void)state;
    VipsImage *photo = paint_photo(2400, 1800), *wanted = NULL;
    save(g_object_ref(photo), "croprs/in.jpg");
    static const char *const others[] = { "", ",{\"file\":\"croprs/all.jpg\",\"width\":500}" };
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        g_autofree char *data =
            g_strdup_printf("{\"input\":\"croprs/in.jpg\",\"outputs\":[{\"file\":\"croprs/out."
                            "png\",\"width\":300,\"crop\":{\"left\":800,\"top\":400,\"width\":"
                            "1200,\"height\":900}}%s]}",
                others[i]);
        run_well(data);
        expect_size("croprs/out.png", 300, 225);
        VipsImage *out = look("croprs/out.png");
        vips_must(vips_extract_area(photo, &wanted, 800, 400, 1200, 900, NULL));
        PIPE(wanted, vips_resize, 0.25, NULL);
        double mean = difference(wanted, out);
        if (mean > 2.5)
            test_fatal("differs by %.2f", mean);
        g_clear_object(&wanted);
        g_object_unref(out);
    }
    expect_size("croprs/all.jpg", 500, 375);
    g_object_unref(photo);
}

/* Left and top are those of the photo as one sees it. */
static void crop_is_of_the_upright_photo(void **state)
{
    (void)state;
    VipsImage *fields = paint_fields(200), *stored = NULL;
    vips_must(vips_rot(fields, &stored, VIPS_ANGLE_D270, NULL));
    PIPE(stored, vips_copy, NULL);
    vips_image_set_int(stored, VIPS_META_ORIENTATION, 6);
    save(stored, "cropup/in.jpg");
    run_output("cropup/in.jpg", "\"file\":\"cropup/out.png\",\"width\":50,\"crop\":"
                                "{\"left\":400,\"top\":200,\"width\":200,\"height\":200}");
    expect_field("cropup/out.png", 1, 2);
    g_object_unref(fields);
}

static void crop_outside_is_refused(void **state)
{
    (void)state;
    save(paint_photo(400, 300), "cropout/in.jpg");
    run_badly(HANDLER_FATAL,
        "outputs[0].crop ends at 401 x 300, outside the input of 400 x 300 pixels",
        "{\"input\":\"cropout/in.jpg\",\"outputs\":[{\"file\":\"cropout/out.jpg\",\"crop\":"
        "{\"left\":201,\"top\":0,\"width\":200,\"height\":300}}]}");
    assert_false(exists("cropout/out.jpg"));
}

/* ---- Position ---------------------------------------------------------------------------- */

static void cover_keeps_what_position_says(void **state)
{
    (void)state;
    static const struct {
        const char *position;
        int wide, tall; /* the column that a wide window shows, the row that a tall one does */
    } rows[] = {
        { "\"centre\"", 1, 1 },
        { "\"northwest\"", 0, 0 },
        { "\"north\"", 1, 0 },
        { "\"east\"", 2, 1 },
        { "\"right bottom\"", 2, 2 },
        { "\"left\"", 0, 1 },
        { "{\"x\":0.1,\"y\":0.9}", 0, 2 },
        { "{\"x\":0.5,\"y\":0}", 1, 0 },
        { "{\"x\":1,\"y\":0.5}", 2, 1 },
    };
    save(paint_fields(100), "cover/in.png");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *data = g_strdup_printf(
            "{\"input\":\"cover/in.png\",\"outputs\":["
            "{\"file\":\"cover/a.png\",\"width\":50,\"height\":150,\"position\":%s},"
            "{\"file\":\"cover/b.png\",\"width\":150,\"height\":50,\"position\":%s}]}",
            rows[i].position, rows[i].position);
        run_well(data);
        expect_size("cover/a.png", 50, 150);
        expect_size("cover/b.png", 150, 50);
        expect_field("cover/a.png", 1, rows[i].wide);
        expect_field("cover/b.png", rows[i].tall, 1);
    }
}

static void contain_puts_the_picture_there(void **state)
{
    (void)state;
    static const double red[] = { 230, 20, 20 }, white[] = { 255, 255, 255 };
    save(paint_flat(300, 100, red, 3), "there/in.png");
    run_output("there/in.png", "\"file\":\"there/out.png\",\"width\":90,\"height\":90,"
                               "\"fit\":\"contain\",\"position\":\"south\"");
    VipsImage *out = look("there/out.png");
    expect_colour(out, 0.5, 0.97, red, 3);
    expect_colour(out, 0.5, 0.5, white, 0);
    g_object_unref(out);
}

/* A red patch with texture on flat grey, at the right end. */
static void strategies_find_what_is_there_to_see(void **state)
{
    (void)state;
    static const double grey[] = { 120, 120, 120 };
    VipsImage *image = paint_flat(900, 300, grey, 3), *patch = paint_photo(200, 200);
    static const double red[] = { 1.2, 0.2, 0.2 }, none[] = { 60, 0, 0 };
    PIPE(patch, vips_linear, red, none, 3, NULL);
    PIPE(patch, vips_cast_uchar, NULL);
    VipsImage *whole = NULL;
    vips_must(vips_insert(image, patch, &whole, 680, 50, NULL));
    g_object_unref(image);
    g_object_unref(patch);
    save(whole, "seek/in.png");
    static const char *const names[] = { "attention", "entropy" };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *data = g_strdup_printf(
            "{\"input\":\"seek/in.png\",\"outputs\":["
            "{\"file\":\"seek/out.png\",\"width\":150,\"height\":150,\"position\":\"%s\"},"
            "{\"file\":\"seek/middle.png\",\"width\":150,\"height\":150},"
            "{\"file\":\"seek/all.png\"}]}",
            names[i]);
        run_well(data);
        VipsImage *out = look("seek/out.png"), *middle = look("seek/middle.png");
        assert_int_equal(out->Xsize, 150);
        assert_int_equal(out->Ysize, 150);
        if (detail(out) < 3 * detail(middle) + 1)
            test_fatal("%s did not find the patch", names[i]);
        g_object_unref(out);
        g_object_unref(middle);
        run_output("seek/in.png", "\"file\":\"seek/alone.png\",\"width\":150,\"height\":150,"
                                  "\"position\":\"attention\"");
        expect_size("seek/alone.png", 150, 150);
    }
}

/* ---- Sharpening -------------------------------------------------------------------------- */

static void sharpening_adds_detail_and_no_more(void **state)
{
    (void)state;
    static const double colour[] = { 200, 100, 50, 128 };
    save(paint_photo(800, 600), "sharp/in.jpg");
    run_well("{\"input\":\"sharp/in.jpg\",\"outputs\":["
             "{\"file\":\"sharp/plain.png\",\"width\":400},"
             "{\"file\":\"sharp/mild.png\",\"width\":400,\"sharpen\":true},"
             "{\"file\":\"sharp/sigma.png\",\"width\":400,\"sharpen\":1.5},"
             "{\"file\":\"sharp/off.png\",\"width\":400,\"sharpen\":false}]}");
    VipsImage *plain = look("sharp/plain.png"), *mild = look("sharp/mild.png"),
              *sigma = look("sharp/sigma.png"), *off = look("sharp/off.png");
    assert_true(detail(mild) > 1.1 * detail(plain));
    assert_true(detail(sigma) > 1.1 * detail(plain));
    assert_true(difference(plain, off) == 0);
    assert_int_equal(sigma->Bands, 3);
    VipsImage *all[] = { plain, mild, sigma, off };
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        g_object_unref(all[i]);
    /* What has no detail stays as it is, transparency and grey as well. */
    save(paint_flat(80, 60, colour, 4), "sharp/flat.png");
    save(paint_flat(80, 60, colour, 1), "sharp/grey.png");
    static const char *const files[] = { "sharp/flat.png", "sharp/grey.png" };
    static const char *const how[] = { "true", "2" };
    for (size_t i = 0; i < 4; i++) {
        g_autofree char *fields =
            g_strdup_printf("\"file\":\"sharp/out.png\",\"sharpen\":%s", how[i / 2]);
        run_output(files[i % 2], fields);
        VipsImage *in = look(files[i % 2]), *out = look("sharp/out.png");
        assert_int_equal(out->BandFmt, VIPS_FORMAT_UCHAR);
        if (difference(in, out) > 1)
            test_fatal("%s sharpened %s: %.1f", files[i % 2], how[i / 2], difference(in, out));
        g_object_unref(in);
        g_object_unref(out);
    }
}

/* ---- The file ---------------------------------------------------------------------------- */

static void jpeg_is_laid_out_as_asked(void **state)
{
    (void)state;
    save(paint_photo(320, 240), "layout/in.png");
    run_well("{\"input\":\"layout/in.png\",\"outputs\":["
             "{\"file\":\"layout/a.jpg\"},"
             "{\"file\":\"layout/b.jpg\",\"progressive\":false},"
             "{\"file\":\"layout/c.jpg\",\"chroma\":\"4:4:4\"},"
             "{\"file\":\"layout/d.jpg\",\"quality\":92},"
             "{\"file\":\"layout/e.jpg\",\"quality\":92,\"chroma\":\"4:2:0\"}]}");
    expect_jpeg("layout/a.jpg", PROGRESSIVE, 0x22);
    expect_jpeg("layout/b.jpg", BASELINE, 0x22);
    expect_jpeg("layout/c.jpg", PROGRESSIVE, 0x11);
    expect_jpeg("layout/d.jpg", PROGRESSIVE, 0x11);
    expect_jpeg("layout/e.jpg", PROGRESSIVE, 0x22);
    assert_true(size_of("layout/a.jpg") < size_of("layout/c.jpg"));
}

static void avif_keeps_colours_as_asked(void **state)
{
    (void)state;
    save(paint_quarters(160, 120), "sampling/in.png");
    run_well(
        "{\"input\":\"sampling/in.png\",\"outputs\":["
        "{\"file\":\"sampling/a.avif\",\"effort\":0,\"quality\":40},"
        "{\"file\":\"sampling/b.avif\",\"effort\":0,\"quality\":40,\"chroma\":\"4:4:4\"}]}");
    /* av1C: marker and version, profile and level, then the sampling in bits 3 and 2. */
    static const struct {
        const char *file;
        int sampling;
    } rows[] = { { "sampling/a.avif", 3 }, { "sampling/b.avif", 0 } };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        size_t len = 0;
        g_autofree char *path = at(rows[i].file);
        g_autofree char *bytes = test_read(path, &len);
        const char *box = memmem(bytes, len, "av1C", 4);
        assert_non_null(box);
        assert_int_equal(box[6] >> 2 & 3, rows[i].sampling);
    }
}

/* The header of a PNG: colour type and interlace method. */
static void expect_png(const char *file, int colour_type, int interlace)
{
    g_autofree char *path = at(file);
    g_autofree char *bytes = test_read(path, NULL);
    assert_int_equal(bytes[25], colour_type);
    assert_int_equal(bytes[28], interlace);
}

static void png_is_laid_out_as_asked(void **state)
{
    (void)state;
    VipsImage *photo = paint_photo(320, 240);
    save(g_object_ref(photo), "png/in.png");
    run_well("{\"input\":\"png/in.png\",\"outputs\":["
             "{\"file\":\"png/a.png\"},"
             "{\"file\":\"png/b.png\",\"progressive\":true},"
             "{\"file\":\"png/c.png\",\"lossless\":false},"
             "{\"file\":\"png/d.png\",\"lossless\":false,\"quality\":30}]}");
    expect_png("png/a.png", 2, 0);
    expect_png("png/b.png", 2, 1);
    expect_png("png/c.png", 3, 0);
    expect_png("png/d.png", 3, 0);
    assert_true(size_of("png/c.png") < size_of("png/a.png") / 2);
    assert_true(size_of("png/d.png") < size_of("png/c.png"));
    assert_null(returned(0, "quality"));
    assert_int_equal(json_integer_value(returned(2, "quality")), 100);
    VipsImage *b = look("png/b.png"), *c = look("png/c.png");
    assert_true(difference(photo, b) == 0);
    assert_true(difference(photo, c) < 8);
    g_object_unref(b);
    g_object_unref(c);
    g_object_unref(photo);
}

static void the_worker_has_a_background(void **state)
{
    (void)state;
    static const double clear[] = { 0, 0, 0, 0 }, blue[] = { 0, 0, 255 }, red[] = { 255, 0, 0 };
    const struct image_options before = options;
    save(paint_flat(60, 40, clear, 4), "ground/in.png");
    options.background[0] = options.background[1] = 0;
    run_well("{\"input\":\"ground/in.png\",\"outputs\":[{\"file\":\"ground/a.jpg\"},"
             "{\"file\":\"ground/b.jpg\",\"background\":\"#ff0000\"}]}");
    options = before;
    VipsImage *a = look("ground/a.jpg"), *b = look("ground/b.jpg");
    expect_colour(a, 0.5, 0.5, blue, 3);
    expect_colour(b, 0.5, 0.5, red, 3);
    g_object_unref(a);
    g_object_unref(b);
}

static void the_setting_of_the_background_is_checked(void **state)
{
    (void)state;
    struct image_options given = { 0 };
    g_autofree char *why = NULL;
    const struct opt *row = ox__option_find(image_handler.opts, "background");
    assert_non_null(row);
    assert_true(row->parse((char[]){ "#0a80FF40" }, &given.background, &why));
    assert_int_equal(given.background[0], 0x0a);
    assert_int_equal(given.background[1], 0x80);
    assert_int_equal(given.background[2], 0xff);
    assert_int_equal(given.background[3], 0x40);
    assert_false(row->parse((char[]){ "white" }, &given.background, &why));
    assert_string_equal(why, "\"white\" is not a colour such as #ffffff or #ffffff80");
}

static void sums_are_those_of_the_files(void **state)
{
    (void)state;
    save(paint_photo(200, 150), "sum/in.jpg");
    run_output("sum/in.jpg", "\"file\":\"sum/out.webp\"");
    const char *const files[] = { "sum/in.jpg", "sum/out.webp" };
    json_t *const sums[] = { json_object_get(json_object_get(last.value, "input"), "sha256"),
        returned(0, "sha256") };
    for (size_t i = 0; i < 2; i++) {
        size_t len = 0;
        g_autofree char *path = at(files[i]);
        g_autofree char *bytes = test_read(path, &len);
        g_autofree char *sum =
            g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)bytes, len);
        assert_string_equal(json_string_value(sums[i]), sum);
    }
}

/* ---- Info -------------------------------------------------------------------------------- */

static void info_only_reports(void **state)
{
    (void)state;
    VipsImage *photo = paint_photo(300, 200);
    PIPE(photo, vips_copy, NULL);
    vips_image_set_int(photo, VIPS_META_ORIENTATION, 6);
    save(photo, "info/in.jpg");
    run_well("{\"input\":\"info/in.jpg\",\"info\":true}");
    assert_int_equal(count_files("info"), 1);
    assert_null(json_object_get(last.value, "outputs"));
    assert_null(json_object_get(last.value, "saved_bytes"));
    assert_null(json_object_get(last.value, "warnings"));
    const char *format, *space, *depth, *sum;
    int width, height, pages, channels, orientation, alpha, profile, animated;
    json_int_t bytes;
    json_t *input = json_object_get(last.value, "input");
    assert_int_equal(
        json_unpack(input, "{s:s, s:i, s:i, s:I, s:i, s:s, s:s, s:i, s:s, s:i, s:b, s:b, s:b}",
            "format", &format, "width", &width, "height", &height, "bytes", &bytes, "pages",
            &pages, "sha256", &sum, "space", &space, "channels", &channels, "depth", &depth,
            "orientation", &orientation, "has_alpha", &alpha, "has_profile", &profile,
            "animated", &animated),
        0);
    assert_string_equal(format, "jpeg");
    assert_int_equal(width, 200);
    assert_int_equal(height, 300);
    assert_int_equal(bytes, size_of("info/in.jpg"));
    assert_int_equal(pages, 1);
    assert_int_equal(strlen(sum), 64);
    assert_string_equal(space, "srgb");
    assert_int_equal(channels, 3);
    assert_string_equal(depth, "uchar");
    assert_int_equal(orientation, 6);
    assert_false(alpha || profile || animated);
    run_badly(HANDLER_FATAL, "info and outputs exclude each other",
        "{\"input\":\"info/in.jpg\",\"info\":true,\"outputs\":[{\"file\":\"info/a.jpg\"}]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crop_takes_exactly_that_part),
        cmocka_unit_test(crop_comes_before_resize),
        cmocka_unit_test(crop_is_of_the_upright_photo),
        cmocka_unit_test(crop_outside_is_refused),
        cmocka_unit_test(cover_keeps_what_position_says),
        cmocka_unit_test(contain_puts_the_picture_there),
        cmocka_unit_test(strategies_find_what_is_there_to_see),
        cmocka_unit_test(sharpening_adds_detail_and_no_more),
        cmocka_unit_test(jpeg_is_laid_out_as_asked),
        cmocka_unit_test(avif_keeps_colours_as_asked),
        cmocka_unit_test(png_is_laid_out_as_asked),
        cmocka_unit_test(the_worker_has_a_background),
        cmocka_unit_test(the_setting_of_the_background_is_checked),
        cmocka_unit_test(sums_are_those_of_the_files),
        cmocka_unit_test(info_only_reports),
    };
    return cmocka_run_group_tests(tests, start_handler, stop_handler);
}
