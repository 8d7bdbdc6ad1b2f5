/*
 * photos.h - for the tests of the image handler: paints photos, runs jobs, looks at results.
 *
 * One folder is the root of all jobs; each test has its own files in it. Reading back goes
 * through loaders that are named here, because the handler blocks all others in its process.
 */
#ifndef OX_TESTS_PHOTOS_H
#define OX_TESTS_PHOTOS_H

#include "../support/check.h"

#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>
#include <vips/vips.h>

#include "../support/files.h"
#include "worker/handlers/image.h"

/* ---- The root ---------------------------------------------------------------------------- */

static char *root;
static struct image_options options;
static struct handler_config config;

static inline char *at(const char *file)
{
    return g_build_filename(root, file, NULL);
}

/* As by default, but for the records, which are files as well. */
static inline void set_options(void)
{
    options = (struct image_options){ .root = root,
        .max_pixels = 50000000,
        .max_bytes = INT64_C(128) << 20,
        .max_frames = 500,
        .max_scans = 100,
        .no_records = true,
        .background = { 255, 255, 255, 255 } };
    config = (struct handler_config){ .options = &options };
}

static inline int start_handler(void **state)
{
    (void)state;
    char *problem = NULL;
    root = test_dir_new();
    set_options();
    if (!image_handler.init(&config, false, &problem))
        test_fatal("init: %s", problem);
    return 0;
}

static inline int stop_handler(void **state)
{
    (void)state;
    test_remove(root);
    g_free(root);
    vips_shutdown();
    return 0;
}

static inline bool exists(const char *file)
{
    g_autofree char *path = at(file);
    return access(path, F_OK) == 0;
}

static inline int64_t size_of(const char *file)
{
    g_autofree char *path = at(file);
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

/* How many files of a folder there are, hidden ones included; -1 without a folder. */
static inline int count_files(const char *folder)
{
    g_autofree char *path = at(folder);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    int count = 0;
    while (dir && g_dir_read_name(dir))
        count++;
    return dir ? count : -1;
}

/* As if it had been written an hour ago: nobody waits to see whether it is still changing. */
static inline void age(const char *file)
{
    g_autofree char *path = at(file);
    time_t then = time(NULL) - 3600;
    const struct utimbuf times = { .actime = then, .modtime = then };
    utime(path, &times);
}

static inline void make_folder(const char *folder)
{
    g_autofree char *path = at(folder);
    if (g_mkdir_with_parents(path, 0755) < 0)
        test_fatal("cannot make %s", path);
}

/* ---- Painting ---------------------------------------------------------------------------- */

/* Ends the test when an operation of libvips failed. */
static inline void vips_must(int result)
{
    if (result)
        test_fatal("libvips: %s", vips_error_buffer());
}

/* `image` through one step: PIPE(image, vips_invert, NULL) */
#define PIPE(image, operation, ...)                                                            \
    do {                                                                                       \
        VipsImage *next = NULL;                                                                \
        vips_must(operation(image, &next, __VA_ARGS__));                                       \
        g_object_unref(image);                                                                 \
        (image) = next;                                                                        \
    } while (0)

/* Landscape in the large, texture and noise in the small: about what a camera makes. */
static inline VipsImage *paint_photo(int width, int height)
{
    VipsImage *bands[3], *photo = NULL;
    for (int i = 0; i < 3; i++) {
        VipsImage *hills = NULL, *noise = NULL, *sum = NULL;
        vips_must(vips_perlin(&hills, width, height, "cell_size", MAX(width / 6, 2), "uchar",
            TRUE, "seed", i, NULL));
        vips_must(vips_gaussnoise(
            &noise, width, height, "sigma", 9.0, "mean", 20.0, "seed", i + 10, NULL));
        vips_must(vips_add(hills, noise, &sum, NULL));
        PIPE(sum, vips_linear1, 0.8, 0.0, NULL);
        PIPE(sum, vips_cast_uchar, NULL);
        g_object_unref(hills);
        g_object_unref(noise);
        bands[i] = sum;
    }
    vips_must(vips_bandjoin(bands, &photo, 3, NULL));
    for (int i = 0; i < 3; i++)
        g_object_unref(bands[i]);
    PIPE(photo, vips_copy, "interpretation", VIPS_INTERPRETATION_sRGB, NULL);
    return photo;
}

/* One colour all over. */
static inline VipsImage *paint_flat(int width, int height, const double *colour, int bands)
{
    VipsImage *image = NULL;
    vips_must(vips_black(&image, width, height, "bands", bands, NULL));
    double ones[4] = { 1, 1, 1, 1 };
    PIPE(image, vips_linear, ones, colour, bands, NULL);
    PIPE(image, vips_cast_uchar, NULL);
    PIPE(image, vips_copy, "interpretation",
        bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB, NULL);
    return image;
}

/* Red, green / blue, white: shows which way is up. */
static inline VipsImage *paint_quarters(int width, int height)
{
    static const double colours[4][3] = { { 230, 20, 20 }, { 20, 230, 20 }, { 20, 20, 230 },
        { 240, 240, 240 } };
    VipsImage *quarters[4], *image = NULL;
    for (int i = 0; i < 4; i++)
        quarters[i] = paint_flat(width / 2, height / 2, colours[i], 3);
    vips_must(vips_arrayjoin(quarters, &image, 4, "across", 2, NULL));
    for (int i = 0; i < 4; i++)
        g_object_unref(quarters[i]);
    return image;
}

/* Not every libvips comes with an encoder of HEVC. */
static inline bool can_save(const char *ending)
{
    static int heic = -1;
    if (heic < 0) {
        VipsImage *image = paint_flat(64, 64, (double[]){ 0, 0, 0 }, 3);
        void *data = NULL;
        size_t bytes;
        heic = !vips_heifsave_buffer(
            image, &data, &bytes, "compression", VIPS_FOREIGN_HEIF_COMPRESSION_HEVC, NULL);
        vips_error_clear();
        g_free(data);
        g_object_unref(image);
    }
    return heic > 0 || strcmp(ending, "heic") != 0;
}

/* Saves below the root in the format of the ending, and drops the image. */
static inline void save(VipsImage *image, const char *file)
{
    g_autofree char *path = at(file);
    g_autofree char *folder = g_path_get_dirname(path);
    g_mkdir_with_parents(folder, 0755);
    if (g_str_has_suffix(file, ".jpg"))
        vips_must(vips_jpegsave(image, path, "Q", 92, NULL));
    else if (g_str_has_suffix(file, ".png"))
        vips_must(vips_pngsave(image, path, NULL));
    else if (g_str_has_suffix(file, ".webp"))
        vips_must(vips_webpsave(image, path, "Q", 90, NULL));
    else if (g_str_has_suffix(file, ".avif"))
        vips_must(vips_heifsave(
            image, path, "compression", VIPS_FOREIGN_HEIF_COMPRESSION_AV1, "effort", 0, NULL));
    else if (g_str_has_suffix(file, ".heic"))
        vips_must(vips_heifsave(
            image, path, "compression", VIPS_FOREIGN_HEIF_COMPRESSION_HEVC, NULL));
    else if (g_str_has_suffix(file, ".gif"))
        vips_must(vips_gifsave(image, path, NULL));
    else
        vips_must(vips_tiffsave(image, path, NULL));
    g_object_unref(image);
}

/* ---- Running ----------------------------------------------------------------------------- */

static struct {
    enum handler_result result;
    char reason[1024]; /* or the return value as text */
    json_t *value;     /* the return value, parsed; NULL on failure */
    char progress[256];
} last;

static inline void note_progress(void *arg, const char *json)
{
    (void)arg;
    g_strlcat(last.progress, json, sizeof last.progress);
    g_strlcat(last.progress, " ", sizeof last.progress);
}

static inline void note_log(void *arg, const char *row)
{
    (void)arg;
    test_fatal("unexpected log row: %s", row);
}

/* Runs a job with that data; what became of it is in `last`. */
static inline enum handler_result run(const char *data)
{
    const struct handler_io io = { .progress = note_progress, .log = note_log };
    const struct handler_job job = { .queue = "images",
        .id = "1",
        .name = "compress",
        .data = data,
        .data_len = strlen(data),
        .attempt = 1 };
    g_autoptr(GString) out = g_string_new(NULL);
    json_decref(last.value);
    last.value = NULL;
    last.progress[0] = '\0';
    last.result = image_handler.run(&job, &config, &io, out);
    g_strlcpy(last.reason, out->str, sizeof last.reason);
    if (last.result == HANDLER_DONE) {
        last.value = json_loads(out->str, 0, NULL);
        if (!last.value)
            test_fatal("the return value is no JSON: %s", out->str);
    }
    return last.result;
}

static inline void run_well(const char *data)
{
    if (run(data) != HANDLER_DONE)
        test_fatal("%s failed: %s", data, last.reason);
}

/* Runs a job that must fail in that way with a reason that holds that text. */
static inline void run_badly(enum handler_result result, const char *part, const char *data)
{
    run(data);
    if (last.result != result)
        test_fatal("%s: result %d, not %d: %s", data, last.result, result, last.reason);
    if (!strstr(last.reason, part))
        test_fatal("%s: \"%s\" does not say \"%s\"", data, last.reason, part);
    if (!g_utf8_validate(last.reason, -1, NULL) || strchr(last.reason, '\n'))
        test_fatal("%s: the reason is no line of text: %s", data, last.reason);
}

/* A field of an output in the return value. */
static inline json_t *returned(size_t output, const char *field)
{
    json_t *list = json_object_get(last.value, "outputs");
    return json_object_get(json_array_get(list, output), field);
}

/* ---- Looking ----------------------------------------------------------------------------- */

/* The format by content, told here without the handler's own table. */
static inline const char *format_of(const char *file)
{
    g_autofree char *path = at(file);
    size_t bytes = 0;
    g_autofree char *text = test_read(path, &bytes);
    if (!text || bytes < 12)
        return "none";
    if (!memcmp(text, "\xff\xd8\xff", 3))
        return "jpeg";
    if (!memcmp(text + 1, "PNG", 3))
        return "png";
    if (!memcmp(text + 8, "WEBP", 4))
        return "webp";
    if (!memcmp(text + 4, "ftypavif", 8))
        return "avif";
    return memcmp(text, "GIF8", 4) ? "none" : "gif";
}

/* Decodes all of a file; the caller drops it. */
static inline VipsImage *look(const char *file)
{
    g_autofree char *path = at(file);
    const char *format = format_of(file);
    VipsImage *image = NULL;
    if (!strcmp(format, "jpeg"))
        vips_must(vips_jpegload(path, &image, "fail_on", VIPS_FAIL_ON_WARNING, NULL));
    else if (!strcmp(format, "png"))
        vips_must(vips_pngload(path, &image, NULL));
    else if (!strcmp(format, "webp"))
        vips_must(vips_webpload(path, &image, NULL));
    else if (!strcmp(format, "avif"))
        vips_must(vips_heifload(path, &image, NULL));
    else if (!strcmp(format, "gif"))
        vips_must(vips_gifload(path, &image, NULL));
    else
        test_fatal("%s is not an image", file);
    VipsImage *pixels = vips_image_copy_memory(image);
    g_object_unref(image);
    if (!pixels)
        test_fatal("%s does not decode: %s", file, vips_error_buffer());
    return pixels;
}

static inline void expect_size(const char *file, int width, int height)
{
    VipsImage *image = look(file);
    if (image->Xsize != width || image->Ysize != height)
        test_fatal(
            "%s is %d x %d, not %d x %d", file, image->Xsize, image->Ysize, width, height);
    g_object_unref(image);
}

/* The colour at a point, a share of width and height, is that one within `tolerance`. */
static inline void expect_colour(
    VipsImage *image, double x, double y, const double *colour, double tolerance)
{
    double *point = NULL;
    int bands = 0;
    int px = (int)(x * image->Xsize), py = (int)(y * image->Ysize);
    vips_must(vips_getpoint(image, &point, &bands, px, py, NULL));
    for (int i = 0; i < bands; i++)
        if (point[i] < colour[i] - tolerance || point[i] > colour[i] + tolerance)
            test_fatal("band %d at %d,%d is %.0f, not %.0f", i, px, py, point[i], colour[i]);
    g_free(point);
}

/* Mean difference of two images of the same size and bands, in steps of 1/255. */
static inline double difference(VipsImage *a, VipsImage *b)
{
    VipsImage *sum = NULL;
    double mean = 0;
    assert_int_equal(a->Xsize, b->Xsize);
    assert_int_equal(a->Ysize, b->Ysize);
    assert_int_equal(a->Bands, b->Bands);
    vips_must(vips_subtract(a, b, &sum, NULL));
    PIPE(sum, vips_abs, NULL);
    vips_must(vips_avg(sum, &mean, NULL));
    g_object_unref(sum);
    return mean;
}

static inline bool file_holds(const char *file, const char *text)
{
    g_autofree char *path = at(file);
    size_t bytes = 0;
    g_autofree char *content = test_read(path, &bytes);
    return content && memmem(content, bytes, text, strlen(text)) != NULL;
}

#endif /* OX_TESTS_PHOTOS_H */
