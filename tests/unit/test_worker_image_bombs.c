/*
 * test_worker_image_bombs.c - files that are made to cost memory or time, to be taken for what
 * they are not, or to trip a decoder over their metadata: refused or taken, but soon, within
 * bounds, and with nothing left.
 */
#include "hostile.h"

#include <sys/resource.h>

static void put_big(GByteArray *to, guint32 value)
{
    guint32 big = GUINT32_TO_BE(value);
    g_byte_array_append(to, (const guint8 *)&big, 4);
}

/* The highest memory that the process has had, in MB. */
static long peak_mb(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
}

#if defined(__SANITIZE_ADDRESS__) /* which keeps what is freed for a while */
enum { MOST_MB = 1000, MOST_MS = 60000 };
#else
enum { MOST_MB = 200, MOST_MS = 10000 };
#endif

/* The job ends in some clear way within the bounds. */
static void expect_bounded(const char *in)
{
    g_autofree char *data = hostile_job(in, "", true);
    long before_mb = peak_mb();
    gint64 start_us = g_get_monotonic_time();
    run(data);
    gint64 ms = (g_get_monotonic_time() - start_us) / 1000;
    if (peak_mb() - before_mb > MOST_MB || ms > MOST_MS)
        test_fatal("%s took %ld MB and %ld ms", in, peak_mb() - before_mb, (long)ms);
    if (last.result != HANDLER_DONE)
        expect_nothing_left(in);
    g_autofree char *folder = at("hostile");
    if (last.result == HANDLER_DONE)
        test_remove(folder);
}

/* ---- PNG --------------------------------------------------------------------------------- */

/* The check sum of PNG chunks, four bits at a time. */
static guint32 crc_of(const guint8 *bytes, size_t len)
{
    guint32 crc = 0xffffffff;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
    return ~crc;
}

static void put_chunk(GByteArray *to, const char *kind, const GByteArray *data)
{
    put_big(to, data->len);
    guint start = to->len;
    g_byte_array_append(to, (const guint8 *)kind, 4);
    g_byte_array_append(to, data->data, data->len);
    put_big(to, crc_of(to->data + start, data->len + 4));
}

/* Bits in the order of deflate. */
struct bits {
    GByteArray *to;
    guint32 held, count;
};

static void put_code(struct bits *bits, guint32 code, int length)
{
    while (length-- > 0) {
        bits->held |= (code >> length & 1) << bits->count;
        if (++bits->count == 8) {
            g_byte_array_append(bits->to, (const guint8[]){ (guint8)bits->held }, 1);
            bits->held = bits->count = 0;
        }
    }
}

/* `runs` times 258 zeros, as zlib packs them: 13 bits each. */
static void put_zeros(GByteArray *to, guint32 runs)
{
    struct bits bits = { .to = to };
    g_byte_array_append(to, (const guint8[]){ 0x78, 0x9c }, 2);
    put_code(&bits, 6, 3);    /* the last block, with fixed codes */
    put_code(&bits, 0x30, 8); /* a zero */
    for (guint32 i = 0; i < runs; i++)
        put_code(&bits, 0xc5 << 5, 13); /* 258 times what was one byte before */
    put_code(&bits, 0, 7);
    put_code(&bits, 0, 7);
    put_big(to, (guint32)((1 + (guint64)runs * 258) % 65521) << 16 | 1);
}

/* A PNG of that size, black, with a chunk before its pixels whose text or profile unpacks to
 * `runs` times 258 bytes. */
static void write_png(
    const char *file, guint32 width, guint32 height, const char *kind, guint32 runs)
{
    g_autoptr(GByteArray) png = g_byte_array_new(), head = g_byte_array_new();
    g_autoptr(GByteArray) extra = g_byte_array_new(), pixels = g_byte_array_new();
    put_big(head, width);
    put_big(head, height);
    g_byte_array_append(head, (const guint8 *)"\x08\x00\0\0", 5);
    g_byte_array_append(extra, (const guint8 *)"name\0", 6);
    put_zeros(extra, runs);
    put_zeros(pixels, (guint32)((guint64)height * (width + 1) / 258 + 1));
    g_byte_array_append(png, (const guint8 *)"\x89PNG\r\n\x1a\n", 8);
    put_chunk(png, "IHDR", head);
    if (kind != NULL)
        put_chunk(png, kind, extra);
    put_chunk(png, "IDAT", pixels);
    g_byte_array_set_size(extra, 0);
    put_chunk(png, "IEND", extra);
    put(file, png->data, png->len);
}

static void packed_metadata_is_bounded(void **state)
{
    (void)state;
    static const char *const kinds[] = { "iCCP", "zTXt" };
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        write_png("bomb.png", 64, 64, kinds[i], 1 << 20); /* 270 MB */
        expect_bounded("bomb.png");
        assert_int_equal(last.result, HANDLER_DONE); /* with some pixels too many */
    }
}

static void huge_pictures_are_refused_by_header(void **state)
{
    (void)state;
    write_png("huge.png", 50000, 50000, NULL, 0);
    expect_end(HANDLER_FATAL, "is 50000 x 50000 pixels", "huge.png", "");
    expect_bounded("huge.png");
}

/* ---- TIFF -------------------------------------------------------------------------------- */

/* One strip of `bands` bands, as large as it says or not there at all. */
static void write_tiff(const char *file, guint32 width, guint32 height, guint32 bands)
{
    const guint32 tags[][3] = { { 256, 4, width }, { 257, 4, height }, { 258, 3, 8 },
        { 259, 3, 8 }, { 262, 3, 1 }, { 273, 4, 8 }, { 277, 3, bands }, { 278, 4, height },
        { 284, 3, 1 } };
    g_autoptr(GByteArray) tiff = g_byte_array_new();
    g_byte_array_append(tiff, (const guint8 *)"II*\0\0\0\0", 8);
    put_zeros(tiff, 1 + (guint32)((guint64)width * height * bands / 258));
    guint32 strip = tiff->len - 8, start = tiff->len;
    memcpy(tiff->data + 4, &start, 4);
    guint16 count = G_N_ELEMENTS(tags) + 1;
    g_byte_array_append(tiff, (const guint8 *)&count, 2);
    for (guint i = 0; i < count; i++) {
        guint at_length = 8; /* its place is by its number, 279 */
        guint from = i > at_length ? i - 1 : i;
        guint32 values[3] = { 279, 4, strip };
        if (i != at_length)
            memcpy(values, tags[from], sizeof values);
        guint16 short_values[2] = { (guint16)values[0], (guint16)values[1] };
        guint32 long_values[2] = { 1, values[2] };
        g_byte_array_append(tiff, (const guint8 *)short_values, 4);
        g_byte_array_append(tiff, (const guint8 *)long_values, 8);
    }
    g_byte_array_append(tiff, (const guint8 *)"\0\0\0", 4);
    put(file, tiff->data, tiff->len);
}

static void decoded_size_is_bounded_before_decoding(void **state)
{
    (void)state;
    config.memory_bytes = INT64_C(256) << 20;
    write_tiff("bands.tif", 4000, 4000, 60);
    expect_end(HANDLER_FATAL,
        "MB to decode (4000 x 4000 pixels, 60 bands of 8 bits); the memory limit is 268 MB",
        "bands.tif", "");
    expect_bounded("bands.tif");
    /* Interlaced, all pixels are in memory at once. */
    VipsImage *image = paint_quarters(6000, 4000);
    g_autofree char *path = at("woven.png");
    PIPE(image, vips_cast, VIPS_FORMAT_USHORT, NULL);
    vips_must(vips_pngsave(image, path, "interlace", TRUE, "compression", 1, NULL));
    g_object_unref(image);
    config.memory_bytes = INT64_C(96) << 20;
    expect_end(HANDLER_FATAL, "interlaced); the memory limit is 101 MB", "woven.png", "");
    config.memory_bytes = 0;
    write_tiff("bands.tif", 1000, 500, 60);
    expect_bounded("bands.tif");
    assert_int_equal(last.result, HANDLER_DONE);
}

/* Directories that come round again, of more strips than a picture can have rows, all of them
 * the first bytes of the file: what checks them must not read each of them each time. */
static void lists_of_strips_are_bounded(void **state)
{
    (void)state;
    enum { STRIPS = 1 << 18, DIRECTORY = 8 };
    const guint32 tags[][4] = { { 256, 4, 1, 16 }, { 257, 4, 1, STRIPS }, { 258, 3, 1, 8 },
        { 259, 3, 1, 8 }, { 262, 3, 1, 1 }, { 273, 4, STRIPS, 2000 }, { 277, 3, 1, 1 },
        { 278, 4, 1, 1 }, { 279, 4, STRIPS, 2000 }, { 284, 3, 1, 1 } };
    const guint16 count = G_N_ELEMENTS(tags);
    const guint32 first = DIRECTORY, strip = DIRECTORY;
    g_autoptr(GByteArray) tiff = g_byte_array_new();
    g_byte_array_append(tiff, (const guint8 *)"II*\0", 4);
    g_byte_array_append(tiff, (const guint8 *)&first, 4);
    g_byte_array_append(tiff, (const guint8 *)&count, 2);
    for (guint i = 0; i < count; i++) {
        guint16 head[2] = { (guint16)tags[i][0], (guint16)tags[i][1] };
        g_byte_array_append(tiff, (const guint8 *)head, sizeof head);
        g_byte_array_append(tiff, (const guint8 *)&tags[i][2], 8);
    }
    g_byte_array_append(tiff, (const guint8 *)&first, 4);
    g_byte_array_set_size(tiff, 2000);
    for (guint i = 0; i < STRIPS; i++)
        g_byte_array_append(tiff, (const guint8 *)&strip, 4);
    put("strips.tif", tiff->data, tiff->len);
    expect_bounded("strips.tif");
    assert_int_equal(last.result, HANDLER_FATAL);
}

/* ---- JPEG -------------------------------------------------------------------------------- */

/* A progressive file, whose last scan comes again and again. */
static void scans_are_bounded(void **state)
{
    (void)state;
    VipsImage *photo = paint_photo(400, 300);
    g_autofree char *path = at("scans.jpg");
    vips_must(vips_jpegsave(photo, path, "interlace", TRUE, NULL));
    g_object_unref(photo);
    g_autoptr(GByteArray) file = bytes_of("scans.jpg");
    guint last_scan = file->len;
    while (memcmp(file->data + --last_scan, "\xff\xda", 2) != 0) {
    }
    guint bytes = file->len - 2 - last_scan;
    g_autofree guint8 *scan = g_memdup2(file->data + last_scan, bytes);
    expect_taken("scans.jpg", "", NULL);
    for (int i = 0; i < 2000; i++)
        insert(file, last_scan, scan, bytes);
    put("scans.jpg", file->data, file->len);
    expect_end(HANDLER_FATAL, "scans; the limit is 100", "scans.jpg", "");
    expect_bounded("scans.jpg");
}

static void bad_metadata_does_no_harm(void **state)
{
    (void)state;
    static const char *const heads[] = { "Exif\0\0II*\0\xff\xff\xff\x7f",
        "Exif\0\0MM\0*\0\0\0\x08\xff\xff", "ICC_PROFILE\0\1\1garbage", "ICC_PROFILE\0\7\1x",
        "http://ns.adobe.com/xap/1.0/\0<x:xmpmeta" };
    static const guint lengths[] = { 14, 16, 21, 15, 39 };
    for (size_t i = 0; i < G_N_ELEMENTS(heads); i++) {
        for (guint filler = 0; filler < 600; filler += 299) {
            save(paint_photo(120, 90), "meta.jpg");
            g_autoptr(GByteArray) file = bytes_of("meta.jpg");
            guint8 segment[1024] = { 0xff, heads[i][0] == 'I' ? 0xe2 : 0xe1 };
            guint bytes = 2 + lengths[i] + filler;
            segment[2] = (guint8)(bytes >> 8);
            segment[3] = (guint8)bytes;
            memcpy(segment + 4, heads[i], lengths[i]);
            memset(segment + 4 + lengths[i], 0xa5, filler);
            insert(file, 2, segment, bytes + 2);
            put("meta.jpg", file->data, file->len);
            expect_bounded("meta.jpg");
            assert_int_equal(last.result, HANDLER_DONE);
        }
    }
}

/* ---- GIF --------------------------------------------------------------------------------- */

static void write_gif(int frames)
{
    static const guint8 frame[] = { 0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0 };
    g_autoptr(GByteArray) gif = g_byte_array_new();
    g_byte_array_append(gif, (const guint8 *)"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff", 19);
    for (int i = 0; i < frames; i++)
        g_byte_array_append(gif, frame, sizeof frame);
    g_byte_array_append(gif, (const guint8 *)";", 1);
    put("frames.gif", gif->data, gif->len);
}

static void frames_are_bounded(void **state)
{
    (void)state;
    write_gif(10000);
    expect_bounded("frames.gif");
    expect_end(HANDLER_FATAL,
        vips_version(0) > 8 || vips_version(1) > 14 ? "has 10000 frames" : "number of frames",
        "frames.gif", "\"animated\":true,");
    write_gif(3000);
    expect_taken("frames.gif", "", NULL);
    expect_end(
        HANDLER_FATAL, "has 3000 frames; the limit is 500", "frames.gif", "\"animated\":true,");
}

/* ---- Not what they seem ------------------------------------------------------------------ */

/* Two kinds of file in one: what it is as an image is all that counts. */
static void polyglots_are_images_or_nothing(void **state)
{
    (void)state;
    static const char *const tails[] = { "PK\3\4 a zip", "<script>alert(1)</script>",
        "%PDF-1.4", "\xff\xd8\xff and another" };
    for (size_t i = 0; i < G_N_ELEMENTS(tails); i++) {
        save(paint_photo(120, 90), "poly.jpg");
        g_autoptr(GByteArray) file = bytes_of("poly.jpg");
        g_byte_array_append(file, (const guint8 *)tails[i], (guint)strlen(tails[i]));
        put("poly.jpg", file->data, file->len);
        expect_taken("poly.jpg", "", NULL);
    }
    static const char *const heads[] = { "GIF89a=1;alert(document.domain)//",
        "\xff\xd8\xff<svg/>", "RIFF\x24\0\0\0WEBPVP8 <script>", "\x89PNG\r\n\x1a\n<html>",
        "II*\0%PDF-1.4 and more", "RIFF\x24\0\0\0WAVEfmt ", "ID3\4\0\0\0\0\0\0",
        "<?xml version='1.0'?><svg/>" };
    static const guint lengths[] = { 33, 9, 24, 14, 21, 16, 10, 27 };
    for (size_t i = 0; i < G_N_ELEMENTS(heads); i++) {
        put("poly.jpg", heads[i], lengths[i]);
        expect_end(HANDLER_FATAL, i < 5 ? "is damaged" : "is not an image", "poly.jpg", "");
    }
}

/* A device is reached by a link, which leaves the root. */
static void devices_are_not_opened(void **state)
{
    (void)state;
    g_autofree char *path = at("zero.jpg");
    assert_int_equal(symlink("/dev/zero", path), 0);
    expect_end(HANDLER_FATAL, "leaves the root folder", "zero.jpg", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_metadata_is_bounded),
        cmocka_unit_test(huge_pictures_are_refused_by_header),
        cmocka_unit_test(decoded_size_is_bounded_before_decoding),
        cmocka_unit_test(lists_of_strips_are_bounded),
        cmocka_unit_test(scans_are_bounded),
        cmocka_unit_test(bad_metadata_does_no_harm),
        cmocka_unit_test(frames_are_bounded),
        cmocka_unit_test(polyglots_are_images_or_nothing),
        cmocka_unit_test(devices_are_not_opened),
    };
    return cmocka_run_group_tests(tests, start_handler, stop_handler);
}
