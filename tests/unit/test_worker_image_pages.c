/*
 * test_worker_image_pages.c - files of several pictures: which is taken, and animations whose
 * motion is kept, frame by frame.
 */
#include "png_edit.h"

enum { FRAMES = 4, WIDE = 60, HIGH = 40 };

static const double colours[FRAMES][3] = { { 220, 30, 30 }, { 30, 220, 30 }, { 30, 30, 220 },
    { 220, 220, 30 } };

/* ---- Painting ---------------------------------------------------------------------------- */

static VipsImage *join(VipsImage **frames, int count)
{
    VipsImage *reel = NULL;
    vips_must(vips_arrayjoin(frames, &reel, count, "across", 1, NULL));
    for (int i = 0; i < count; i++)
        g_object_unref(frames[i]);
    PIPE(reel, vips_copy, NULL);
    vips_image_set_int(reel, VIPS_META_PAGE_HEIGHT, reel->Ysize / count);
    return reel;
}

/* Each frame has a colour of its own, and a time of its own. */
static VipsImage *paint_reel(void)
{
    static const int delays[FRAMES] = { 50, 100, 150, 200 };
    VipsImage *frames[FRAMES];
    for (int i = 0; i < FRAMES; i++)
        frames[i] = paint_flat(WIDE, HIGH, colours[i], 3);
    VipsImage *reel = join(frames, FRAMES);
    vips_image_set_array_int(reel, "delay", delays, FRAMES);
    vips_image_set_int(reel, "loop", 3);
    return reel;
}

static void mark(VipsImage **frame, int left, int top)
{
    VipsImage *white = paint_flat(8, 4, (double[]){ 255, 255, 255 }, 3), *marked = NULL;
    vips_must(vips_insert(*frame, white, &marked, left, top, NULL));
    g_object_unref(white);
    g_object_unref(*frame);
    *frame = marked;
}

static void save_pages(VipsImage *reel, const char *file)
{
    g_autofree char *path = at(file);
    g_autofree char *folder = g_path_get_dirname(path);
    g_mkdir_with_parents(folder, 0755);
    vips_must(vips_tiffsave(reel, path, "page_height", HIGH, NULL));
    g_object_unref(reel);
}

/* ---- Looking ----------------------------------------------------------------------------- */

static VipsImage *look_reel(const char *file)
{
    g_autofree char *path = at(file);
    VipsImage *image = NULL;
    vips_must(g_str_has_suffix(file, ".gif") ? vips_gifload(path, &image, "n", -1, NULL)
                                             : vips_webpload(path, &image, "n", -1, NULL));
    VipsImage *pixels = vips_image_copy_memory(image);
    g_object_unref(image);
    if (!pixels)
        test_fatal("%s: %s", file, vips_error_buffer());
    return pixels;
}

static void expect_frame(VipsImage *reel, int index, const double *colour)
{
    double y = (index + 0.5) / FRAMES;
    expect_colour(reel, 0.5, y, (double[]){ colour[0], colour[1], colour[2], 255 }, 12);
}

static void expect_times(VipsImage *reel)
{
    int *delays = NULL, count = 0, loop = -1;
    vips_must(vips_image_get_array_int(reel, "delay", &delays, &count));
    assert_int_equal(count, FRAMES);
    for (int i = 0; i < FRAMES; i++)
        assert_int_equal(delays[i], 50 * (i + 1));
    vips_must(vips_image_get_int(reel, "loop", &loop));
    assert_int_equal(loop, 3);
}

static json_int_t input_says(const char *field)
{
    return json_integer_value(json_object_get(json_object_get(last.value, "input"), field));
}

static void expect_still(const char *file, const double *colour)
{
    VipsImage *image = look(file);
    assert_int_equal(image->Xsize, WIDE);
    assert_int_equal(image->Ysize, HIGH);
    assert_int_equal(vips_image_get_n_pages(image), 1);
    expect_colour(image, 0.5, 0.5, (double[]){ colour[0], colour[1], colour[2], 255 }, 12);
    g_object_unref(image);
}

/* ---- Stills ------------------------------------------------------------------------------ */

static void takes_the_first_picture(void **state)
{
    (void)state;
    static const char *const files[] = { "first/in.gif", "first/in.webp", "first/in.tiff" };
    save(paint_reel(), files[0]);
    save(paint_reel(), files[1]);
    save_pages(paint_reel(), files[2]);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *data =
            g_strdup_printf("{\"input\":\"%s\",\"outputs\":[{\"file\":\"first/out.png\"},"
                            "{\"file\":\"first/out.webp\"}]}",
                files[i]);
        run_well(data);
        assert_int_equal(input_says("pages"), FRAMES);
        assert_int_equal(input_says("height"), HIGH);
        assert_null(json_object_get(last.value, "warnings"));
        expect_still("first/out.png", colours[0]);
        expect_still("first/out.webp", colours[0]);
    }
}

static void page_picks_another(void **state)
{
    (void)state;
    static const char *const files[] = { "pick/in.gif", "pick/in.webp", "pick/in.tiff" };
    save(paint_reel(), files[0]);
    save(paint_reel(), files[1]);
    save_pages(paint_reel(), files[2]);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *data = g_strdup_printf(
            "{\"input\":\"%s\",\"page\":2,\"outputs\":[{\"file\":\"pick/out.png\"}]}",
            files[i]);
        g_autofree char *beyond = g_strdup_printf(
            "{\"input\":\"%s\",\"page\":4,\"outputs\":[{\"file\":\"pick/no.png\"}]}", files[i]);
        run_well(data);
        assert_int_equal(input_says("page"), 2);
        expect_still("pick/out.png", colours[2]);
        run_badly(HANDLER_FATAL, "it holds 4, counted from 0", beyond);
    }
    assert_false(exists("pick/no.png"));
}

static void page_of_a_single_picture(void **state)
{
    (void)state;
    save(paint_flat(WIDE, HIGH, colours[1], 3), "one/in.jpg");
    run_well("{\"input\":\"one/in.jpg\",\"page\":0,\"outputs\":[{\"file\":\"one/a.png\"}]}");
    run_badly(HANDLER_FATAL, "page 1 is not in the input \"one/in.jpg\": it holds 1",
        "{\"input\":\"one/in.jpg\",\"page\":1,\"outputs\":[{\"file\":\"one/b.png\"}]}");
    run_well(
        "{\"input\":\"one/in.jpg\",\"animated\":true,\"outputs\":[{\"file\":\"one/c.gif\"}]}");
    assert_null(returned(0, "pages"));
}

/* Changes a tag of one entry in all directories of a little-endian TIFF. */
static void mark_as_preview(guint8 *tiff, guint32 page)
{
    guint32 at;
    memcpy(&at, tiff + 4, 4);
    for (guint32 i = 0; at; i++) {
        guint16 count;
        memcpy(&count, tiff + at, 2);
        for (guint16 j = 0; j < count; j++) {
            guint8 *entry = tiff + at + 2 + 12 * j;
            if (entry[0] == 0xfe && entry[1] == 0x00)
                entry[8] = i == page;
        }
        memcpy(&at, tiff + at + 2 + 12 * count, 4);
    }
}

static void passes_over_the_preview_of_a_tiff(void **state)
{
    (void)state;
    size_t bytes = 0;
    save_pages(paint_reel(), "preview/in.tiff");
    g_autofree char *path = at("preview/in.tiff");
    g_autofree char *tiff = test_read(path, &bytes);
    mark_as_preview((guint8 *)tiff, 0);
    test_write(path, tiff, (ssize_t)bytes);
    run_well("{\"input\":\"preview/in.tiff\",\"outputs\":[{\"file\":\"preview/out.png\"}]}");
    assert_int_equal(input_says("page"), 1);
    expect_still("preview/out.png", colours[1]);
}

/* ---- Motion ------------------------------------------------------------------------------ */

static void animated_keeps_every_frame(void **state)
{
    (void)state;
    static const char *const files[] = { "move/in.gif", "move/in.webp" };
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        save(paint_reel(), files[i]);
        g_autofree char *data = g_strdup_printf(
            "{\"input\":\"%s\",\"animated\":true,\"outputs\":[{\"file\":\"move/a.gif\","
            "\"width\":30},{\"file\":\"move/b.webp\"},{\"file\":\"move/c.jpg\"},"
            "{\"file\":\"move/d.avif\"}]}",
            files[i]);
        run_well(data);
        assert_int_equal(json_integer_value(returned(0, "pages")), FRAMES);
        assert_int_equal(json_integer_value(returned(0, "height")), 20);
        assert_int_equal(json_integer_value(returned(1, "pages")), FRAMES);
        assert_null(returned(2, "pages"));
        VipsImage *gif = look_reel("move/a.gif"), *webp = look_reel("move/b.webp");
        assert_int_equal(gif->Xsize, 30);
        assert_int_equal(gif->Ysize, 20 * FRAMES);
        for (int frame = 0; frame < FRAMES; frame++) {
            expect_frame(gif, frame, colours[frame]);
            expect_frame(webp, frame, colours[frame]);
        }
        expect_times(gif);
        expect_times(webp);
        expect_still("move/c.jpg", colours[0]);
        expect_still("move/d.avif", colours[0]);
        g_object_unref(gif);
        g_object_unref(webp);
    }
}

/* With outputs left out it is the same format, so it moves. */
static void animated_without_outputs(void **state)
{
    (void)state;
    save(paint_reel(), "auto/in.webp");
    run_well("{\"input\":\"auto/in.webp\",\"animated\":true}");
    VipsImage *reel = look_reel("auto/in.min.webp");
    for (int frame = 0; frame < FRAMES; frame++)
        expect_frame(reel, frame, colours[frame]);
    g_object_unref(reel);
}

/* Frames of one colour above and another below: cut or scaled alone, none shows in the next. */
static void frames_do_not_bleed(void **state)
{
    (void)state;
    static const double top[] = { 250, 10, 10, 255 }, bottom[] = { 10, 10, 250, 255 };
    VipsImage *frames[FRAMES];
    for (int i = 0; i < FRAMES; i++) {
        VipsImage *a = paint_flat(90, 30, top, 3), *b = paint_flat(90, 30, bottom, 3);
        vips_must(vips_join(a, b, &frames[i], VIPS_DIRECTION_VERTICAL, NULL));
        mark(&frames[i], 20 * i, 28); /* encoders drop frames that are all the same */
        g_object_unref(a);
        g_object_unref(b);
    }
    save(join(frames, FRAMES), "bleed/in.webp");
    run_well("{\"input\":\"bleed/in.webp\",\"animated\":true,\"outputs\":["
             "{\"file\":\"bleed/a.webp\",\"width\":45,\"lossless\":true},"
             "{\"file\":\"bleed/b.webp\",\"width\":20,\"height\":30,\"lossless\":true,"
             "\"position\":\"attention\"},"
             "{\"file\":\"bleed/c.webp\",\"crop\":{\"left\":10,\"top\":20,\"width\":40,"
             "\"height\":20},\"lossless\":true}]}");
    VipsImage *a = look_reel("bleed/a.webp"), *b = look_reel("bleed/b.webp");
    VipsImage *c = look_reel("bleed/c.webp");
    assert_int_equal(a->Ysize, 30 * FRAMES);
    assert_int_equal(b->Xsize, 20);
    assert_int_equal(c->Ysize, 20 * FRAMES);
    for (int i = 0; i < FRAMES; i++) {
        expect_colour(a, 0.5, (i * 30 + 0.5) / a->Ysize, top, 14);
        expect_colour(a, 0.5, (i * 30 + 29.5) / a->Ysize, bottom, 14);
        expect_colour(b, 0.5, (i * 30 + 29.5) / b->Ysize, bottom, 14);
        expect_colour(c, 0.5, (i * 20 + 0.5) / c->Ysize, top, 14);
        expect_colour(c, 0.5, (i * 20 + 19.5) / c->Ysize, bottom, 14);
    }
    g_object_unref(a);
    g_object_unref(b);
    g_object_unref(c);
}

/* What is worth looking at is elsewhere in each frame; the window stays where it was first. */
static void the_window_does_not_jump(void **state)
{
    (void)state;
    VipsImage *frames[2];
    for (int i = 0; i < 2; i++) {
        VipsImage *photo = paint_photo(60, 60);
        frames[i] = paint_flat(240, 60, (double[]){ 128, 128, 128 }, 3);
        VipsImage *both = NULL;
        vips_must(vips_insert(frames[i], photo, &both, i ? 10 : 170, 0, NULL));
        g_object_unref(frames[i]);
        g_object_unref(photo);
        frames[i] = both;
    }
    save(join(frames, 2), "jump/in.webp");
    run_well("{\"input\":\"jump/in.webp\",\"animated\":true,\"outputs\":[{\"file\":\"jump/"
             "out.webp\",\"width\":60,\"height\":60,\"position\":\"entropy\"}]}");
    VipsImage *reel = look_reel("jump/out.webp");
    VipsImage *second = NULL;
    double deviation = 0;
    vips_must(vips_extract_area(reel, &second, 0, 60, 60, 60, NULL));
    PIPE(second, vips_extract_band, 0, "n", 3, NULL);
    vips_must(vips_deviate(second, &deviation, NULL));
    assert_true(deviation < 3);
    g_object_unref(second);
    g_object_unref(reel);
}

static void limits_count_all_frames(void **state)
{
    (void)state;
    static const char data[] = "{\"input\":\"many/in.gif\",\"animated\":true,\"outputs\":[{"
                               "\"file\":\"many/out.gif\"}]}";
    struct image_options before = options;
    save(paint_reel(), "many/in.gif");
    options.max_frames = 3;
    run_badly(HANDLER_FATAL, "has 4 frames; the limit is 3", data);
    options = before;
    options.max_pixels = WIDE * HIGH * 3;
    run_badly(HANDLER_FATAL, "has 4 frames of 60 x 40 pixels", data);
    run_well("{\"input\":\"many/in.gif\",\"outputs\":[{\"file\":\"many/still.gif\"}]}");
    run_well("{\"input\":\"many/in.gif\",\"animated\":true,\"outputs\":[{\"file\":"
             "\"many/still.jpg\"}]}");
    options.max_pixels = WIDE * HIGH * 5;
    run_badly(HANDLER_FATAL, "would take",
        "{\"input\":\"many/in.gif\",\"animated\":true,\"outputs\":[{\"file\":\"many/big.gif\","
        "\"width\":120,\"enlarge\":true}]}");
    options = before;
    run_well(data);
}

/* ---- Motion that cannot be read ---------------------------------------------------------- */

/* A PNG that says that it is the first of two frames. */
static void an_animated_png_is_a_still(void **state)
{
    (void)state;
    static const guint8 control[] = { 0, 0, 0, 2, 0, 0, 0, 0 };
    save(paint_flat(WIDE, HIGH, colours[0], 3), "apng/in.png");
    png_insert("apng/in.png", "acTL", control, sizeof control);
    run_well("{\"input\":\"apng/in.png\",\"outputs\":[{\"file\":\"apng/out.png\"}]}");
    assert_int_equal(input_says("pages"), 2);
    const char *warning =
        json_string_value(json_array_get(json_object_get(last.value, "warnings"), 0));
    assert_non_null(warning);
    assert_non_null(strstr(warning, "is an animation of 2 frames; only a still picture"));
    expect_still("apng/out.png", colours[0]);
    run_badly(HANDLER_FATAL, "leave out animated",
        "{\"input\":\"apng/in.png\",\"animated\":true,\"outputs\":[{\"file\":\"apng/"
        "a.webp\"}]}");
    run_badly(HANDLER_FATAL,
        "of which only a still picture can be read from png; leave out page",
        "{\"input\":\"apng/in.png\",\"page\":1,\"outputs\":[{\"file\":\"apng/a.webp\"}]}");
    run_badly(HANDLER_FATAL, "page 2 is not in the input \"apng/in.png\": it holds 2",
        "{\"input\":\"apng/in.png\",\"page\":2,\"outputs\":[{\"file\":\"apng/a.webp\"}]}");
}

static void put_box(GByteArray *to, const char *kind, const guint8 *data, guint32 bytes)
{
    guint32 length = GUINT32_TO_BE(bytes + 8);
    g_byte_array_append(to, (const guint8 *)&length, 4);
    g_byte_array_append(to, (const guint8 *)kind, 4);
    g_byte_array_append(to, data, bytes);
}

/* Puts what is in the array into a box. */
static GByteArray *wrap(GByteArray *inside, const char *kind)
{
    GByteArray *box = g_byte_array_new();
    put_box(box, kind, inside->data, inside->len);
    g_byte_array_free(inside, TRUE);
    return box;
}

/* As encoders write them: a picture, and behind it a track with all frames. */
static void an_avif_sequence_is_a_still(void **state)
{
    (void)state;
    static const guint8 handler[24] = { [8] = 'p', 'i', 'c', 't' };
    static const guint8 sizes[12] = { [7] = 100, [11] = 5 };
    size_t bytes = 0;
    save(paint_flat(WIDE, HIGH, colours[0], 3), "avis/in.avif");
    g_autofree char *path = at("avis/in.avif");
    g_autofree char *avif = test_read(path, &bytes);
    GByteArray *table = g_byte_array_new(), *media = g_byte_array_new();
    put_box(table, "stsz", sizes, sizeof sizes);
    table = wrap(wrap(table, "stbl"), "minf");
    put_box(media, "hdlr", handler, sizeof handler);
    g_byte_array_append(media, table->data, table->len);
    g_byte_array_free(table, TRUE);
    GByteArray *movie = wrap(wrap(wrap(media, "mdia"), "trak"), "moov");
    GByteArray *whole = g_byte_array_new();
    g_byte_array_append(whole, (const guint8 *)avif, (guint)bytes);
    g_byte_array_append(whole, movie->data, movie->len);
    test_write(path, (char *)whole->data, whole->len);
    g_byte_array_free(movie, TRUE);
    g_byte_array_free(whole, TRUE);
    static const char still[] =
        "{\"input\":\"avis/in.avif\",\"outputs\":[{\"file\":\"avis/out.png\"}]}";
    /* A libheif that reads tracks asks for more of one than there is in this. */
    if (run(still) != HANDLER_DONE && strstr(last.reason, "in image sequence"))
        skip();
    run_well(still);
    assert_int_equal(input_says("pages"), 5);
    assert_non_null(json_object_get(last.value, "warnings"));
    run_badly(HANDLER_FATAL, "is an animation of 5 frames",
        "{\"input\":\"avis/in.avif\",\"animated\":true,\"outputs\":[{\"file\":\"avis/"
        "a.webp\"}]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_first_picture),
        cmocka_unit_test(page_picks_another),
        cmocka_unit_test(page_of_a_single_picture),
        cmocka_unit_test(passes_over_the_preview_of_a_tiff),
        cmocka_unit_test(animated_keeps_every_frame),
        cmocka_unit_test(animated_without_outputs),
        cmocka_unit_test(frames_do_not_bleed),
        cmocka_unit_test(the_window_does_not_jump),
        cmocka_unit_test(limits_count_all_frames),
        cmocka_unit_test(an_animated_png_is_a_still),
        cmocka_unit_test(an_avif_sequence_is_a_still),
    };
    return cmocka_run_group_tests(tests, start_handler, stop_handler);
}
