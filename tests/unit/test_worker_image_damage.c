/*
 * test_worker_image_damage.c - files that were cut off, whose rest is zeros, or that are
 * damaged, against those that are merely odd.
 */
#include "hostile.h"

#include <pthread.h>

static const char *const endings[] = { "jpg", "png", "webp", "avif", "heic", "gif", "tif" };

/* ---- Broken off -------------------------------------------------------------------------- */

enum { STEPS = 24, LAST_BYTES = 24 };

/* Cut or zeroed from a place on: refused, but for the very last bytes, where the picture may be
 * whole; then there is a warning. */
static void expect_broken(const char *in, guint bytes, guint left)
{
    g_autofree char *data = hostile_job(in, "", left % 2);
    enum handler_result result = run(data);
    bool refused = result == HANDLER_FATAL && (strstr(last.reason, "is damaged") ||
                                                  strstr(last.reason, "is not an image"));
    bool warned = result == HANDLER_DONE && json_object_get(last.value, "warnings") != NULL;
    if (!refused && !(warned && left + LAST_BYTES >= bytes))
        test_fatal("%s with %u of %u bytes: %s", in, left, bytes, last.reason);
    if (refused)
        expect_nothing_left(in);
    g_autofree char *folder = at("hostile");
    if (warned)
        test_remove(folder);
}

static void break_off(VipsImage *picture, bool zeros)
{
    for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
        if (!can_save(endings[i]))
            continue;
        g_autofree char *in = g_strdup_printf("broken/in.%s", endings[i]);
        save(g_object_ref(picture), in);
        g_autoptr(GByteArray) file = bytes_of(in);
        guint bytes = file->len, last_cut = zeros ? 200 : 1;
        for (int step = STEPS; step-- > 0;) {
            guint left = step == STEPS - 1 ? bytes - last_cut : bytes / STEPS * (guint)step;
            memset(file->data + left, 0, bytes - left);
            put(in, file->data, zeros ? bytes : left);
            if (left > 0)
                expect_broken(in, bytes, left);
        }
    }
    g_object_unref(picture);
}

static void truncated_files_are_refused(void **state)
{
    (void)state;
    break_off(paint_photo(240, 180), false);
}

static void files_that_end_in_zeros_are_refused(void **state)
{
    (void)state;
    break_off(paint_photo(240, 180), true);
}

/* The directory of a TIFF may lie before the pixels, out of reach of the zeros. */
static void zeros_in_coded_strips_are_found(void **state)
{
    (void)state;
    static const VipsForeignTiffCompression kinds[] = { VIPS_FOREIGN_TIFF_COMPRESSION_DEFLATE,
        VIPS_FOREIGN_TIFF_COMPRESSION_LZW, VIPS_FOREIGN_TIFF_COMPRESSION_JPEG,
        VIPS_FOREIGN_TIFF_COMPRESSION_NONE };
    VipsImage *photo = paint_photo(120, 64);
    g_autofree char *path = at("strip.tif");
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        vips_must(vips_tiffsave(photo, path, "compression", kinds[i], NULL));
        g_autoptr(GByteArray) file = bytes_of("strip.tif");
        const guint8 *p = file->data + 4;
        guint directory = (guint)p[0] | (guint)p[1] << 8 | (guint)p[2] << 16;
        if (directory < 1000)
            test_fatal("the directory comes first");
        memset(file->data + directory - 200, 0, 200);
        put("strip.tif", file->data, file->len);
        if (kinds[i] == VIPS_FOREIGN_TIFF_COMPRESSION_NONE)
            expect_taken("strip.tif", "", NULL);
        else
            expect_end(HANDLER_FATAL, "the rest of its picture is zeros", "strip.tif", "");
    }
    g_object_unref(photo);
}

/* What codes even pictures may write zeros. */
static void even_pictures_are_whole(void **state)
{
    (void)state;
    static const double white[] = { 255, 255, 255 }, black[] = { 0, 0, 0 };
    for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
        if (!can_save(endings[i]))
            continue;
        g_autofree char *in = g_strdup_printf("even/in.%s", endings[i]);
        save(paint_flat(1200, 900, white, 3), in);
        expect_taken(in, "", NULL);
        save(paint_flat(1200, 900, black, 3), in);
        expect_taken(in, "", NULL);
        save(paint_quarters(800, 480), in);
        expect_taken(in, "", NULL);
    }
    g_autofree char *path = at("even/in.webp");
    for (int quality = 10; quality <= 100; quality += 45) {
        VipsImage *image = paint_quarters(1600, 1200);
        vips_must(vips_webpsave(image, path, "Q", quality, "lossless", quality == 100, NULL));
        g_object_unref(image);
        expect_taken("even/in.webp", "", NULL);
    }
}

/* As in an upload that ends in zeros, where the picture is even as well. */
static void even_pictures_can_be_broken_off(void **state)
{
    (void)state;
    VipsImage *image = paint_quarters(1600, 1200);
    g_autofree char *path = at("even/in.webp");
    vips_must(vips_webpsave(image, path, NULL));
    g_object_unref(image);
    g_autoptr(GByteArray) file = bytes_of("even/in.webp");
    guint from = file->len / 3, to = find(file, "EXIF", 4); /* what is behind is in order */
    memset(file->data + from, 0, to - from);
    put("even/in.webp", file->data, file->len);
    expect_end(HANDLER_FATAL, "is damaged or cut short", "even/in.webp", "");
}

/* ---- Damage and oddity ------------------------------------------------------------------- */

#define FAIL_ON(word) "\"fail_on\":\"" word "\","

static GByteArray *plain_jpeg(void)
{
    save(paint_photo(300, 200), "odd.jpg");
    return bytes_of("odd.jpg");
}

/* As phones of one maker write it. */
static void odd_scan_parameters_do_no_harm(void **state)
{
    (void)state;
    g_autoptr(GByteArray) file = plain_jpeg();
    guint sos = find(file, "\xff\xda", 2);
    guint length = (guint)file->data[sos + 2] << 8 | file->data[sos + 3];
    memset(file->data + sos + 2 + length - 3, 0, 3);
    put("odd.jpg", file->data, file->len);
    expect_taken("odd.jpg", "", "Invalid SOS parameters");
    expect_taken("odd.jpg", FAIL_ON("none"), "Invalid SOS parameters");
    expect_end(HANDLER_FATAL, "Invalid SOS parameters", "odd.jpg", FAIL_ON("warning"));
    /* Another complaint behind the first, which libjpeg keeps to itself. */
    memset(file->data + file->len / 2, 0x55, 200);
    put("odd.jpg", file->data, file->len);
    expect_end(HANDLER_FATAL, "is damaged: Corrupt JPEG data", "odd.jpg", "");
}

static void extra_bytes_before_a_marker_do_no_harm(void **state)
{
    (void)state;
    static const guint8 zeros[18] = { 0 };
    g_autoptr(GByteArray) file = plain_jpeg();
    insert(file, find(file, "\xff\xdb", 2), zeros, sizeof zeros);
    put("odd.jpg", file->data, file->len);
    expect_taken("odd.jpg", "", "18 extraneous bytes before marker 0xdb");
    expect_end(HANDLER_FATAL, "18 extraneous bytes", "odd.jpg", FAIL_ON("warning"));
}

static void damaged_jpeg_data_is_refused_as_asked(void **state)
{
    (void)state;
    g_autoptr(GByteArray) file = plain_jpeg();
    memset(file->data + file->len / 2, 0x55, 400);
    put("odd.jpg", file->data, file->len);
    expect_end(HANDLER_FATAL, "is damaged", "odd.jpg", "");
    expect_end(HANDLER_FATAL, "is damaged", "odd.jpg", FAIL_ON("error"));
    expect_end(HANDLER_FATAL, "is damaged", "odd.jpg", FAIL_ON("warning"));
    expect_taken("odd.jpg", FAIL_ON("truncated"), "is damaged: Corrupt JPEG data");
    expect_taken("odd.jpg", FAIL_ON("none"), "is damaged: Corrupt JPEG data");
}

/* Zeros are short codes: the picture has all its pixels before its data ends. */
static void holes_in_a_jpeg_are_found(void **state)
{
    (void)state;
    static const gboolean layouts[] = { FALSE, TRUE };
    g_autofree char *path = at("odd.jpg");
    for (size_t i = 0; i < G_N_ELEMENTS(layouts); i++) {
        VipsImage *photo = paint_photo(900, 700);
        vips_must(vips_jpegsave(photo, path, "Q", 90, "interlace", layouts[i], NULL));
        g_object_unref(photo);
        g_autoptr(GByteArray) file = bytes_of("odd.jpg");
        memset(file->data + file->len / 2, 0, file->len / 4);
        put("odd.jpg", file->data, file->len);
        expect_end(HANDLER_FATAL, "extraneous bytes before marker", "odd.jpg", "");
        expect_taken("odd.jpg", FAIL_ON("truncated"), "is damaged: Corrupt JPEG data");
    }
}

/* Some cameras fill up their files before the mark of the end. */
static void padding_of_a_jpeg_does_no_harm(void **state)
{
    (void)state;
    g_autoptr(GByteArray) file = plain_jpeg();
    g_autofree guint8 *zeros = g_malloc0(20000);
    insert(file, file->len - 2, zeros, 20000);
    put("odd.jpg", file->data, file->len);
    expect_taken("odd.jpg", "", "is not quite by the rules: Corrupt JPEG data");
    /* What is cut off was not looked at. */
    run_well("{\"input\":\"odd.jpg\",\"outputs\":[{\"file\":\"hostile/out.webp\","
             "\"width\":40,\"height\":10,\"position\":\"top\"}]}");
    assert_null(json_object_get(last.value, "warnings"));
    g_autofree char *folder = at("hostile");
    test_remove(folder);
}

static void cut_files_are_taken_when_asked(void **state)
{
    (void)state;
    g_autoptr(GByteArray) file = plain_jpeg();
    put("odd.jpg", file->data, file->len / 2);
    expect_end(HANDLER_FATAL, "is damaged or cut short", "odd.jpg", FAIL_ON("truncated"));
    expect_taken("odd.jpg", FAIL_ON("none"), "Premature end of JPEG file");
    /* All pixels, but no mark after them. */
    put("odd.jpg", file->data, file->len - 2);
    expect_taken("odd.jpg", "", "has no mark at its end; what it shows seems whole");
    expect_end(HANDLER_FATAL, "has no mark at its end", "odd.jpg", FAIL_ON("warning"));
}

/* Such a picture has neither its mark nor all of its pixels. */
static void damage_without_a_mark_is_refused(void **state)
{
    (void)state;
    static const char *const files[] = { "odd.png", "odd.gif" };
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        save(paint_photo(300, 200), files[i]);
        g_autoptr(GByteArray) file = bytes_of(files[i]);
        guint half = file->len / 2;
        memset(file->data + half, 0x55, file->len - half);
        put(files[i], file->data, file->len);
        expect_end(HANDLER_FATAL, "is damaged", files[i], "");
        g_byte_array_remove_range(file, half / 2, 100); /* chunks and blocks shift */
        put(files[i], file->data, file->len);
        expect_end(HANDLER_FATAL, "is damaged", files[i], "");
    }
    save(paint_photo(300, 200), "odd.png");
    g_autoptr(GByteArray) file = bytes_of("odd.png");
    g_byte_array_remove_range(file, file->len / 2, 100);
    put("odd.png", file->data, file->len);
    expect_end(HANDLER_FATAL, "is damaged", "odd.png", "");
    expect_taken("odd.png", FAIL_ON("none"), "is damaged: ");
}

/* ---- Reasons ----------------------------------------------------------------------------- */

static void reasons_are_the_decoders_words(void **state)
{
    (void)state;
    save(paint_photo(300, 200), "why.png");
    g_autoptr(GByteArray) file = bytes_of("why.png");
    file->data[24] = 77; /* bits a pixel */
    put("why.png", file->data, file->len);
    expect_end(HANDLER_FATAL, "IHDR", "why.png", "");
    save(paint_photo(300, 200), "why.png");
    g_autoptr(GByteArray) pixels = bytes_of("why.png");
    memset(pixels->data + pixels->len / 2, 0x55, 100);
    put("why.png", pixels->data, pixels->len);
    expect_end(
        HANDLER_FATAL, "is damaged or cut short: bad adaptive filter value", "why.png", "");
    assert_null(strstr(last.reason, "webp"));
}

/* Nothing is wrong with them; but nothing here can read them. */
static void sound_files_of_other_kinds_are_called_that(void **state)
{
    (void)state;
    g_autoptr(GByteArray) file = plain_jpeg();
    file->data[find(file, "\xff\xc0", 2) + 1] = 0xc5; /* hierarchical */
    put("odd.jpg", file->data, file->len);
    expect_end(HANDLER_FATAL,
        "is a jpeg of a kind that cannot be read: Unsupported JPEG process", "odd.jpg", "");
}

/* ---- Uploads ----------------------------------------------------------------------------- */

/* Writes the other half of the file after a while. */
static void *write_rest(void *arg)
{
    GByteArray *file = arg;
    g_autofree char *path = at("upload.jpg");
    g_usleep(300000);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    guint half = file->len / 2;
    if (write(fd, file->data + half, file->len - half) < 0)
        test_fatal("cannot write %s", path);
    close(fd);
    return NULL;
}

static void an_upload_that_goes_on_is_tried_again(void **state)
{
    (void)state;
    save(paint_photo(300, 200), "upload.jpg");
    g_autoptr(GByteArray) file = bytes_of("upload.jpg");
    g_autofree char *path = at("upload.jpg"), *data = hostile_job("upload.jpg", "", false);
    test_write(path, (const char *)file->data, file->len / 2);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_rest, file), 0);
    run_badly(HANDLER_RETRY, "is still being written", data);
    pthread_join(thread, NULL);
    expect_nothing_left("upload.jpg");
    expect_taken("upload.jpg", "", NULL);
    /* One that stays as it is fails for good, after a moment. */
    test_write(path, (const char *)file->data, file->len / 2);
    run_badly(HANDLER_FATAL, "is damaged or cut short", data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncated_files_are_refused),
        cmocka_unit_test(files_that_end_in_zeros_are_refused),
        cmocka_unit_test(zeros_in_coded_strips_are_found),
        cmocka_unit_test(even_pictures_are_whole),
        cmocka_unit_test(even_pictures_can_be_broken_off),
        cmocka_unit_test(odd_scan_parameters_do_no_harm),
        cmocka_unit_test(extra_bytes_before_a_marker_do_no_harm),
        cmocka_unit_test(damaged_jpeg_data_is_refused_as_asked),
        cmocka_unit_test(holes_in_a_jpeg_are_found),
        cmocka_unit_test(padding_of_a_jpeg_does_no_harm),
        cmocka_unit_test(cut_files_are_taken_when_asked),
        cmocka_unit_test(damage_without_a_mark_is_refused),
        cmocka_unit_test(reasons_are_the_decoders_words),
        cmocka_unit_test(sound_files_of_other_kinds_are_called_that),
        cmocka_unit_test(an_upload_that_goes_on_is_tried_again),
    };
    return cmocka_run_group_tests(tests, start_handler, stop_handler);
}
