/*
 * test_worker_image_quality.c - the searched quality (max_bytes, target), the input's own data
 * where that is better, the placeholder and the records of repeats, each by what it promises.
 */
#include "photos.h"

#include <math.h>

#include "worker/handlers/image_output.h"

/* ---- Helpers ----------------------------------------------------------------------------- */

static void run_output(const char *in, const char *fields)
{
    g_autofree char *data =
        g_strdup_printf("{\"input\":\"%s\",\"outputs\":[{%s}]}", in, fields);
    run_well(data);
}

static void run_output_badly(const char *part, const char *in, const char *fields)
{
    g_autofree char *data =
        g_strdup_printf("{\"input\":\"%s\",\"outputs\":[{%s}]}", in, fields);
    run_badly(HANDLER_FATAL, part, data);
}

static double real(const char *field)
{
    return json_number_value(returned(0, field));
}

/* Bytes of the same output at a fixed quality. */
static int64_t bytes_at(const char *in, const char *file, int quality)
{
    g_autofree char *fields = g_strdup_printf("\"file\":\"%s\",\"width\":320,\"quality\":%d%s",
        file, quality, g_str_has_suffix(file, ".png") ? ",\"lossless\":false" : "");
    run_output(in, fields);
    return size_of(file);
}

/* Luma as doubles, by the formula. */
static double *luma_of(VipsImage *image)
{
    double *luma = g_new(double, (size_t)image->Xsize *(size_t)image->Ysize);
    for (int y = 0; y < image->Ysize; y++)
        for (int x = 0; x < image->Xsize; x++) {
            const VipsPel *p = VIPS_IMAGE_ADDR(image, x, y);
            luma[y * image->Xsize + x] = 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
        }
    return luma;
}

/* SSIM straight from its definition: every window that lies within the picture. */
static double plain_ssim(VipsImage *a, VipsImage *b)
{
    double window[11][11], sum = 0, total = 0;
    g_autofree double *la = luma_of(a), *lb = luma_of(b);
    int width = a->Xsize, height = a->Ysize, count = 0;
    for (int i = 0; i < 11; i++)
        for (int j = 0; j < 11; j++)
            sum += window[i][j] =
                exp(-((i - 5) * (i - 5) + (j - 5) * (j - 5)) / (2 * 1.5 * 1.5));
    for (int y = 5; y < height - 5; y++)
        for (int x = 5; x < width - 5; x++, count++) {
            double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
            for (int i = 0; i < 11; i++)
                for (int j = 0; j < 11; j++) {
                    double w = window[i][j] / sum;
                    double va = la[(y + i - 5) * width + x + j - 5];
                    double vb = lb[(y + i - 5) * width + x + j - 5];
                    ma += w * va;
                    mb += w * vb;
                    aa += w * va * va;
                    bb += w * vb * vb;
                    ab += w * va * vb;
                }
            total += (2 * ma * mb + 6.5025) * (2 * (ab - ma * mb) + 58.5225) /
                     ((ma * ma + mb * mb + 6.5025) * (aa - ma * ma + bb - mb * mb + 58.5225));
        }
    return total / count;
}

/* ---- max_bytes --------------------------------------------------------------------------- */

static const struct {
    const char *file, *more;
    int budget;
} budgets[] = {
    { "fit/a.jpg", "", 9000 },
    { "fit/b.webp", "", 9000 },
    { "fit/c.avif", ",\"effort\":0", 9000 },
    { "fit/d.jpg", ",\"quality\":60", 30000 },
    { "fit/e.jpg", "", 2000000 },
};

static void the_highest_quality_that_fits_is_taken(void **state)
{
    (void)state;
    save(paint_photo(640, 480), "fit/in.png");
    for (size_t i = 0; i < G_N_ELEMENTS(budgets); i++) {
        g_autofree char *fields =
            g_strdup_printf("\"file\":\"%s\",\"width\":320,\"max_bytes\":%d%s", budgets[i].file,
                budgets[i].budget, budgets[i].more);
        run_output("fit/in.png", fields);
        int quality = (int)json_integer_value(returned(0, "quality"));
        size_t tries = json_array_size(returned(0, "tries"));
        assert_true(size_of(budgets[i].file) <= budgets[i].budget);
        assert_int_equal(size_of(budgets[i].file), json_integer_value(returned(0, "bytes")));
        assert_in_range(tries, 1, 9);
        int most = strstr(budgets[i].more, "quality") ? 60 : 100;
        assert_in_range(quality, 1, most);
        if (quality < most && !strstr(budgets[i].more, "effort"))
            assert_true(
                bytes_at("fit/in.png", budgets[i].file, quality + 1) > budgets[i].budget);
    }
}

static void what_cannot_fit_fails_for_good(void **state)
{
    (void)state;
    save(paint_photo(640, 480), "tight/in.png");
    int64_t least = bytes_at("tight/in.png", "tight/out.jpg", 1);
    g_autofree char *part = g_strdup_printf(
        "output \"tight/a.jpg\" cannot fit in 300 bytes: at quality 1 it has %d", (int)least);
    run_output_badly(
        part, "tight/in.png", "\"file\":\"tight/a.jpg\",\"width\":320,\"max_bytes\":300");
    assert_false(exists("tight/a.jpg"));
}

/* ---- target ------------------------------------------------------------------------------ */

static void similarity_is_that_of_the_paper(void **state)
{
    (void)state;
    save(paint_photo(300, 200), "ssim/in.png");
    VipsImage *photo = look("ssim/in.png");
    for (int quality = 10; quality <= 90; quality += 40) {
        static const int background[4] = { 0 };
        g_autofree char *fields =
            g_strdup_printf("\"file\":\"ssim/out.jpg\",\"quality\":%d", quality);
        run_output("ssim/in.png", fields);
        VipsImage *coded = look("ssim/out.jpg");
        VipsImage *a = image_luma(photo, background), *b = image_luma(coded, background);
        double quick = image_similarity(a, b), plain = plain_ssim(photo, coded);
        if (fabs(quick - plain) > 0.005)
            test_fatal("quality %d: %.4f, by definition %.4f", quality, quick, plain);
        assert_true(image_similarity(a, a) > 0.99999);
        g_object_unref(a);
        g_object_unref(b);
        g_object_unref(coded);
    }
    g_object_unref(photo);
}

static double similarity_at(const char *file, int quality)
{
    static const int background[4] = { 255, 255, 255, 255 };
    bytes_at("alike/in.png", file, quality);
    VipsImage *coded = look(file), *truth = look("alike/truth.png");
    VipsImage *a = image_luma(truth, background), *b = image_luma(coded, background);
    double similarity = image_similarity(a, b);
    g_object_unref(a);
    g_object_unref(b);
    g_object_unref(coded);
    g_object_unref(truth);
    return similarity;
}

static void the_lowest_quality_that_is_similar_is_taken(void **state)
{
    (void)state;
    static const char *const files[] = { "alike/a.jpg", "alike/b.webp" };
    static const double targets[] = { 0.9, 0.97 };
    save(paint_photo(640, 480), "alike/in.png");
    run_output("alike/in.png", "\"file\":\"alike/truth.png\",\"width\":320");
    for (size_t i = 0; i < 4; i++) {
        const char *file = files[i / 2];
        double target = targets[i % 2];
        g_autofree char *fields =
            g_strdup_printf("\"file\":\"%s\",\"width\":320,\"target\":%g", file, target);
        run_output("alike/in.png", fields);
        int quality = (int)json_integer_value(returned(0, "quality"));
        double similarity = real("similarity");
        assert_in_range(json_array_size(returned(0, "tries")), 2, 9);
        assert_true(similarity >= target - 5e-5); /* four digits are shown */
        assert_true(fabs(similarity_at(file, quality) - similarity) < 1e-4);
        assert_true(quality > 1 && similarity_at(file, quality - 1) < target);
    }
}

static void what_cannot_be_similar_fails_for_good(void **state)
{
    (void)state;
    save(paint_photo(640, 480), "far/in.png");
    run_output_badly(
        "output \"far/a.jpg\" cannot reach a similarity of 0.99: at quality 20 it has "
        "0.",
        "far/in.png", "\"file\":\"far/a.jpg\",\"width\":320,\"target\":0.99,\"quality\":20");
    run_output_badly(" bytes: a similarity of 0.98 takes ", "far/in.png",
        "\"file\":\"far/a.jpg\",\"width\":320,\"target\":0.98,\"max_bytes\":2000");
    assert_false(exists("far/a.jpg"));
}

/* ---- Never larger ------------------------------------------------------------------------ */

static void save_jpeg(VipsImage *image, const char *file, int quality)
{
    g_autofree char *path = at(file);
    g_autofree char *folder = g_path_get_dirname(path);
    g_mkdir_with_parents(folder, 0755);
    vips_must(vips_jpegsave(
        image, path, "Q", quality, "optimize_coding", TRUE, "interlace", TRUE, NULL));
    g_object_unref(image);
}

/* A file whose pixels are those of the input, and which is not larger. */
static void expect_kept(const char *in, const char *out)
{
    VipsImage *a = look(in), *b = look(out);
    if (!json_is_true(returned(0, "kept")))
        test_fatal("%s was not kept: %s", in, last.reason);
    assert_null(returned(0, "quality"));
    assert_true(difference(a, b) == 0);
    assert_true(size_of(out) <= size_of(in));
    assert_string_equal(format_of(in), format_of(out));
    g_object_unref(a);
    g_object_unref(b);
}

static VipsImage *with_metadata(VipsImage *image)
{
    VipsImage *copy = NULL;
    vips_must(vips_copy(image, &copy, NULL));
    g_object_unref(image);
    vips_image_set_string(copy, "exif-ifd0-Copyright", "Jane Doe");
    vips_image_set_string(copy, "exif-ifd0-Model", "SecretCamera");
    vips_image_set_blob_copy(copy, VIPS_META_XMP_NAME, "<x>SecretPlace</x>", 18);
    return copy;
}

static void what_is_small_already_is_kept(void **state)
{
    (void)state;
    static const char *const endings[] = { "jpg", "png", "webp" };
    for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
        g_autofree char *in = g_strdup_printf("own/in.%s", endings[i]);
        g_autofree char *out = g_strdup_printf("own/out.%s", endings[i]);
        g_autofree char *fields = g_strdup_printf("\"file\":\"%s\"", out);
        g_autofree char *path = at(in);
        VipsImage *photo = with_metadata(paint_photo(300, 200));
        make_folder("own");
        if (i == 0)
            vips_must(vips_jpegsave(photo, path, "Q", 40, "optimize_coding", TRUE, NULL));
        else if (i == 1)
            vips_must(vips_pngsave(photo, path, "palette", TRUE, "compression", 9, NULL));
        else
            vips_must(vips_webpsave(photo, path, "Q", 30, NULL));
        g_object_unref(photo);
        assert_true(i != 0 || file_holds(in, "SecretPlace"));
        run_output(in, fields);
        expect_kept(in, out);
        assert_false(file_holds(out, "SecretPlace"));
        assert_false(file_holds(out, "SecretCamera"));
        assert_true(file_holds(out, "Jane Doe") || i == 1);
        VipsImage *kept = look(out);
        const char *holder = "";
        vips_image_get_string(kept, "exif-ifd0-Copyright", &holder);
        if (i != 1 &&
            !g_str_has_prefix(holder, "Jane Doe")) /* no EXIF in PNG by libvips 8.14 */
            test_fatal("%s says the holder is \"%s\"", out, holder);
        g_object_unref(kept);
    }
}

/* Why the output is larger than the input. */
static void expect_larger(const char *why)
{
    const char *word = json_string_value(returned(0, "larger"));
    if (word == NULL || strcmp(word, why) != 0)
        test_fatal("larger is %s, not %s", word ? word : "missing", why);
    assert_true(json_integer_value(json_object_get(last.value, "saved_bytes")) < 0);
}

static void what_is_not_the_same_is_encoded(void **state)
{
    (void)state;
    static const char *const fields[] = {
        "\"file\":\"anew/out.jpg\",\"width\":250",
        "\"crop\":{\"left\":0,\"top\":0,\"width\":299,\"height\":200},\"file\":\"anew/a.jpg\"",
        "\"file\":\"anew/out.jpg\",\"sharpen\":true",
        "\"file\":\"anew/out.jpg\",\"progressive\":false",
        "\"file\":\"anew/out.jpg\",\"never_larger\":false",
        "\"file\":\"anew/out.jpg\",\"quality\":20",
        "\"file\":\"anew/out.webp\"",
    };
    save_jpeg(paint_photo(300, 200), "anew/in.jpg", 40);
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        run_output("anew/in.jpg", fields[i]);
        assert_null(returned(0, "kept"));
        assert_true(json_is_integer(returned(0, "quality")));
    }
    /* One that must be turned. */
    VipsImage *turned = paint_photo(300, 200), *copy = NULL;
    vips_must(vips_copy(turned, &copy, NULL));
    vips_image_set_int(copy, VIPS_META_ORIENTATION, 6);
    save_jpeg(copy, "anew/turned.jpg", 40);
    g_object_unref(turned);
    run_output("anew/turned.jpg", "\"file\":\"anew/out.jpg\"");
    assert_null(returned(0, "kept"));
    expect_size("anew/out.jpg", 200, 300);
    expect_larger("turned");
    run_output("anew/turned.jpg", "\"file\":\"anew/out.jpg\",\"quality\":10");
    assert_null(returned(0, "larger")); /* it is not */
    run_output("anew/in.jpg", "\"file\":\"anew/out.jpg\",\"never_larger\":false");
    expect_larger("fields");
    run_output("anew/in.jpg", "\"file\":\"anew/out.png\"");
    assert_null(returned(0, "larger")); /* another format is another matter */
}

static void other_colours_are_encoded_and_srgb_is_kept(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        bool kept;
    } rows[] = { { "srgb", true }, { "p3", false } };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = at("tint/in.jpg");
        VipsImage *photo = paint_photo(300, 200);
        make_folder("tint");
        vips_must(vips_jpegsave(photo, path, "Q", 40, "optimize_coding", TRUE, "interlace",
            TRUE, "profile", rows[i].profile, NULL));
        g_object_unref(photo);
        run_output("tint/in.jpg", "\"file\":\"tint/out.jpg\"");
        assert_int_equal(json_is_true(returned(0, "kept")), rows[i].kept);
        if (!rows[i].kept)
            expect_larger("colours");
        assert_false(file_holds("tint/out.jpg", "ICC_PROFILE"));
    }
}

static void budgets_and_targets_take_the_input_where_it_is_better(void **state)
{
    (void)state;
    save_jpeg(paint_photo(300, 200), "both/in.jpg", 50);
    int bytes = (int)size_of("both/in.jpg");
    g_autofree char *roomy =
        g_strdup_printf("\"file\":\"both/out.jpg\",\"max_bytes\":%d", bytes);
    run_output("both/in.jpg", roomy);
    expect_kept("both/in.jpg", "both/out.jpg");
    assert_null(returned(0, "tries"));
    run_output("both/in.jpg", "\"file\":\"both/out.jpg\",\"target\":0.999");
    expect_kept("both/in.jpg", "both/out.jpg");
    g_autofree char *tight =
        g_strdup_printf("\"file\":\"both/out.jpg\",\"max_bytes\":%d", bytes / 2);
    run_output("both/in.jpg", tight);
    assert_null(returned(0, "kept"));
    assert_true(size_of("both/out.jpg") <= bytes / 2);
}

/* What stands for an image must be one. */
static void damage_is_never_kept(void **state)
{
    (void)state;
    save_jpeg(paint_photo(300, 200), "hurt/in.jpg", 50);
    g_autofree char *path = at("hurt/in.jpg");
    assert_int_equal(truncate(path, (off_t)(size_of("hurt/in.jpg") / 2)), 0);
    run_output_badly("is damaged or cut short", "hurt/in.jpg",
        "\"file\":\"hurt/out.jpg\",\"max_bytes\":1000000");
    assert_false(exists("hurt/out.jpg"));
}

/* What follows the end of the image may be a second picture, or anything. */
static void what_follows_the_image_is_not_kept(void **state)
{
    (void)state;
    save_jpeg(paint_photo(300, 200), "tail/in.jpg", 40);
    g_autofree char *path = at("tail/in.jpg");
    size_t len = 0;
    g_autofree char *bytes = test_read(path, &len);
    g_autoptr(GString) longer = g_string_new_len(bytes, (gssize)len);
    g_string_append(longer, "SecretTrailer");
    test_write(path, longer->str, (long)longer->len);
    run_output("tail/in.jpg", "\"file\":\"tail/out.jpg\"");
    expect_kept("tail/in.jpg", "tail/out.jpg");
    assert_false(file_holds("tail/out.jpg", "SecretTrailer"));
}

/* ---- Placeholder ------------------------------------------------------------------------- */

/* As the npm package thumbhash 0.1.1 makes them of the same pixels. */
static void placeholders_are_thumbhashes(void **state)
{
    (void)state;
    static const struct {
        int width, height;
        bool alpha;
        const char *hash;
    } rows[] = {
        { 40, 30, false, "YRYKNYgEZ5dZiIZ3eIh3dwRT14CD" },
        { 30, 40, false, "oTYKLQgQd0l5aHl3d3d4hxBAhnhQ" },
        { 25, 25, true, "ITaGHQQXYJeYiJh4eGCkWV+Yc3dCd2BImQ==" },
        { 100, 20, false, "IxYGGYJlU2B4d3Z3U3CXP4k=" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        int width = rows[i].width, height = rows[i].height, bands = rows[i].alpha ? 4 : 3;
        g_autoptr(GByteArray) pixels = g_byte_array_new();
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) {
                const guint8 pixel[] = { (guint8)(x * 7 + y * 3), (guint8)(x * x + y),
                    (guint8)(200 - y * 2), (guint8)(x * 5 + y * y) };
                g_byte_array_append(pixels, pixel, (guint)bands);
            }
        VipsImage *image = vips_image_new_from_memory_copy(
            pixels->data, pixels->len, width, height, bands, VIPS_FORMAT_UCHAR);
        image->Type = VIPS_INTERPRETATION_sRGB;
        save(image, "hash/in.png");
        run_output("hash/in.png", "\"file\":\"hash/out.png\",\"placeholder\":true");
        assert_string_equal(json_string_value(returned(0, "placeholder")), rows[i].hash);
    }
    save(paint_photo(900, 600), "hash/big.jpg");
    run_output("hash/big.jpg", "\"file\":\"hash/big.webp\",\"placeholder\":true");
    assert_in_range(strlen(json_string_value(returned(0, "placeholder"))), 20, 40);
}

/* ---- Repeats ----------------------------------------------------------------------------- */

static const char two[] = "{\"input\":\"again/in.png\",\"outputs\":["
                          "{\"file\":\"again/a.webp\",\"width\":100,\"max_bytes\":4000},"
                          "{\"file\":\"again/b.jpg\",\"width\":80,\"placeholder\":true}]}";

static bool is_unchanged(size_t output)
{
    return json_is_true(returned(output, "unchanged"));
}

static int64_t inode_of(const char *file)
{
    g_autofree char *path = at(file);
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_ino : -1;
}

static void set_up_records(void)
{
    g_autofree char *folder = at("again");
    if (g_file_test(folder, G_FILE_TEST_EXISTS))
        test_remove(folder);
    options.no_records = false;
    save(paint_photo(200, 150), "again/in.png");
    run_well(two);
    assert_false(is_unchanged(0) || is_unchanged(1));
    assert_int_equal(count_files("again"), 5);
}

static void a_repeat_changes_nothing_and_says_the_same(void **state)
{
    (void)state;
    set_up_records();
    int64_t a = inode_of("again/a.webp"), b = inode_of("again/b.jpg");
    json_t *before = json_deep_copy(last.value);
    run_well(two);
    assert_true(is_unchanged(0) && is_unchanged(1));
    assert_int_equal(inode_of("again/a.webp"), a);
    assert_int_equal(inode_of("again/b.jpg"), b);
    for (size_t i = 0; i < 2; i++) {
        json_t *was = json_array_get(json_object_get(before, "outputs"), i), *value;
        const char *name;
        json_object_foreach (was, name, value)
            if (strcmp(name, "ms") != 0 && !json_equal(value, returned(i, name)))
                test_fatal("%s of output %zu differs", name, i);
    }
    assert_true(json_equal(
        json_object_get(before, "saved_bytes"), json_object_get(last.value, "saved_bytes")));
    assert_string_equal(last.progress, "100 ");
    json_decref(before);
    options.no_records = true;
}

static void what_changed_is_made_again(void **state)
{
    (void)state;
    set_up_records();
    /* The output is another one, or gone. */
    g_autofree char *a = at("again/a.webp"), *b = at("again/b.jpg");
    test_write(a, "not what was made", -1);
    run_well(two);
    assert_true(!is_unchanged(0) && is_unchanged(1));
    assert_string_equal(format_of("again/a.webp"), "webp");
    assert_int_equal(unlink(b), 0);
    run_well(two);
    assert_true(is_unchanged(0) && !is_unchanged(1));
    /* Another field, of one output. */
    g_autofree char *other = g_strdup(two);
    *strstr(other, "80") = '9';
    run_well(other);
    assert_true(is_unchanged(0) && !is_unchanged(1));
    expect_size("again/b.jpg", 90, 68);
    /* Another input. */
    VipsImage *photo = paint_photo(200, 150);
    PIPE(photo, vips_invert, NULL);
    save(photo, "again/in.png");
    run_well(other);
    assert_false(is_unchanged(0) || is_unchanged(1));
    run_well(other);
    assert_true(is_unchanged(0) && is_unchanged(1));
    /* Records are off: none is read. */
    options.no_records = true;
    run_well(other);
    assert_false(is_unchanged(0) || is_unchanged(1));
}

static void records_that_cannot_be_believed_are_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "{", "[]", "{\"input\":1}", "\xff\xfe",
        "{\"input\":\"x\",\"recipe\":\"y\",\"output\":{}}" };
    set_up_records();
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, "b.jpg", -1);
    g_autofree char *name = g_strdup_printf("again/.ox-%.16s.made", sum), *path = at(name);
    g_autofree char *good = test_read(path, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        test_write(path, texts[i], -1);
        run_well(two);
        assert_true(is_unchanged(0) && !is_unchanged(1));
    }
    /* A field of another kind. */
    g_autoptr(GString) forged = g_string_new(good);
    g_string_replace(forged, "\"width\":80", "\"width\":{}", 0);
    test_write(path, forged->str, -1);
    run_well(two);
    assert_false(is_unchanged(1));
    /* A link is not followed, neither to read nor to write. */
    g_autofree char *victim = at("again/victim");
    test_write(victim, good, -1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(victim, path), 0);
    run_well(two);
    assert_false(is_unchanged(1));
    g_autofree char *still = test_read(victim, NULL);
    assert_string_equal(still, good);
    options.no_records = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_highest_quality_that_fits_is_taken),
        cmocka_unit_test(what_cannot_fit_fails_for_good),
        cmocka_unit_test(similarity_is_that_of_the_paper),
        cmocka_unit_test(the_lowest_quality_that_is_similar_is_taken),
        cmocka_unit_test(what_cannot_be_similar_fails_for_good),
        cmocka_unit_test(what_is_small_already_is_kept),
        cmocka_unit_test(what_is_not_the_same_is_encoded),
        cmocka_unit_test(other_colours_are_encoded_and_srgb_is_kept),
        cmocka_unit_test(budgets_and_targets_take_the_input_where_it_is_better),
        cmocka_unit_test(damage_is_never_kept),
        cmocka_unit_test(what_follows_the_image_is_not_kept),
        cmocka_unit_test(placeholders_are_thumbhashes),
        cmocka_unit_test(a_repeat_changes_nothing_and_says_the_same),
        cmocka_unit_test(what_changed_is_made_again),
        cmocka_unit_test(records_that_cannot_be_believed_are_nothing),
    };
    return cmocka_run_group_tests(tests, start_handler, stop_handler);
}
