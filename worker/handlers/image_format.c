/*
 * image_format.c - the formats: one row each, how it is recognised, read and written.
 *
 * A format is told by the first bytes of a file, never by its name; the name only decides
 * what an output becomes. Loaders and savers are named here one by one: libvips is never
 * asked to guess, because its guess may be a loader that was not made for hostile files.
 */
#include "handlers/image_parts.h"

#include <string.h>
#include <unistd.h>

enum { BLOCK_BYTES = 16384 };

/* How far it is from the 0xff of a JPEG marker to what follows: markers have a length to step
 * over, but for some that stand alone; among coded pixels, 0xff is followed by 0x00. Returns 0
 * for the end of the image, and a negative number when more bytes are needed to tell. */
static int marker_bytes(const guint8 *at, size_t bytes)
{
    enum { TEM = 0x01, RST0 = 0xd0, SOI = 0xd8, EOI = 0xd9, WITH_LENGTH = 4 };
    guint8 kind = at[1];
    if (kind == EOI) {
        return 0;
    }
    if (kind == 0xff) {
        return 1;
    }
    if (kind == 0x00 || kind == TEM || (kind >= RST0 && kind <= SOI)) {
        return 2;
    }
    return bytes < WITH_LENGTH ? -1 : 2 + (at[2] << 8 | at[3]);
}

/* libjpeg takes zeros for coded pixels: an upload that broke off into a file of the full size
 * decodes without complaint, half of it grey. But then no marker says where the image ends. */
static bool jpeg_is_whole(int fd)
{
    guint8 block[BLOCK_BYTES];
    off_t start = 0;
    for (;;) {
        ssize_t len = pread(fd, block, sizeof block, start);
        ssize_t i = 0;
        while (i + 1 < len) {
            const guint8 *ff = memchr(block + i, 0xff, (size_t)(len - 1 - i));
            i = ff != NULL ? ff - block : len - 1;
            int step = ff != NULL ? marker_bytes(ff, (size_t)(len - i)) : -1;
            if (step == 0) {
                return true;
            }
            if (step < 0) {
                break;
            }
            i += step;
        }
        if (i == 0) { /* nothing more to read, or a marker cut off */
            return false;
        }
        start += i;
    }
}

static int save_jpeg(VipsImage *image, const struct image_output *output, gboolean strip,
    void **data, size_t *bytes)
{
    return vips_jpegsave_buffer(image, data, bytes, "Q", output->quality, "optimize_coding",
        TRUE, "strip", strip, NULL);
}

/* All filters are tried on each row: photos and most graphics become much smaller by it. */
static int save_png(VipsImage *image, const struct image_output *output, gboolean strip,
    void **data, size_t *bytes)
{
    return vips_pngsave_buffer(image, data, bytes, "compression", output->effort, "filter",
        VIPS_FOREIGN_PNG_FILTER_ALL, "strip", strip, NULL);
}

/* libvips 8.14 puts an EXIF chunk into every WebP, even when told not to. A WebP file is a row
 * of chunks, each with its kind, its length and an even number of bytes; the first, VP8X, has
 * a flag for EXIF and is not needed when no flag is left. */
static size_t without_exif(guint8 *file, size_t bytes)
{
    enum { FILE_HEAD = 12, CHUNK_HEAD = 8, EXIF_FLAG = 0x08 };
    size_t to = FILE_HEAD, from = FILE_HEAD;
    while (from + CHUNK_HEAD < bytes) {
        guint8 *chunk = file + from;
        guint32 length = chunk[4] | (guint32)chunk[5] << 8 | (guint32)chunk[6] << 16 |
                         (guint32)chunk[7] << 24;
        size_t whole = MIN(CHUNK_HEAD + (size_t)length + (length & 1), bytes - from);
        bool drop = memcmp(chunk, "EXIF", 4) == 0;
        if (memcmp(chunk, "VP8X", 4) == 0) {
            chunk[CHUNK_HEAD] &= (guint8)~EXIF_FLAG;
            drop = chunk[CHUNK_HEAD] == 0;
        }
        from += whole;
        if (drop) {
            continue;
        }
        memmove(file + to, chunk, whole);
        to += whole;
    }
    for (int i = 0; i < 4; i++) {
        file[4 + i] = (guint8)((to - 8) >> (8 * i));
    }
    return to;
}

/* In lossless mode libwebp takes Q as one more measure of effort; its default is 75. */
static int save_webp(VipsImage *image, const struct image_output *output, gboolean strip,
    void **data, size_t *bytes)
{
    int quality = output->lossless ? 75 : output->quality;
    if (vips_webpsave_buffer(image, data, bytes, "Q", quality, "lossless", output->lossless,
            "effort", output->effort, "strip", strip, NULL)) {
        return -1;
    }
    if (strip) {
        *bytes = without_exif(*data, *bytes);
    }
    return 0;
}

static int save_avif(VipsImage *image, const struct image_output *output, gboolean strip,
    void **data, size_t *bytes)
{
    return vips_heifsave_buffer(image, data, bytes, "compression",
        VIPS_FOREIGN_HEIF_COMPRESSION_AV1, "Q", output->lossless ? 100 : output->quality,
        "lossless", output->lossless, "effort", output->effort, "strip", strip, NULL);
}

static int save_gif(VipsImage *image, const struct image_output *output, gboolean strip,
    void **data, size_t *bytes)
{
    return vips_gifsave_buffer(
        image, data, bytes, "effort", output->effort, "strip", strip, NULL);
}

/* clang-format off */
const struct image_format image_formats[] = {
    { .name = "jpeg", .endings = { "jpg", "jpeg", "jpe" },
      .loader = "VipsForeignLoadJpeg", .load = vips_jpegload_source,
      .whole = jpeg_is_whole, .save = save_jpeg, .shrinks = true,
      .max_side = 65500, .quality = 80 },
    { .name = "png", .endings = { "png" },
      .loader = "VipsForeignLoadPng", .load = vips_pngload_source, .save = save_png,
      .max_side = 1000000, .alpha = true,
      .effort_min = 0, .effort_max = 9, .effort = 6 },
    { .name = "webp", .endings = { "webp" },
      .loader = "VipsForeignLoadWebp", .load = vips_webpload_source, .save = save_webp,
      .max_side = 16383, .quality = 80, .lossless = true, .alpha = true,
      .effort_min = 0, .effort_max = 6, .effort = 4 },
    { .name = "avif", .endings = { "avif" },
      .loader = "VipsForeignLoadHeif", .load = vips_heifload_source, .save = save_avif,
      .max_side = 16384, .quality = 50, .lossless = true, .alpha = true,
      .effort_min = 0, .effort_max = 9, .effort = 4 },
    { .name = "gif", .endings = { "gif" },
      .loader = "VipsForeignLoadNsgif", .load = vips_gifload_source, .save = save_gif,
      .max_side = 65535, .alpha = true,
      .effort_min = 1, .effort_max = 10, .effort = 7 },
    { .name = "tiff", .endings = { "tif", "tiff" },
      .loader = "VipsForeignLoadTiff", .load = vips_tiffload_source },
    { .name = "heic", .endings = { "heic", "heif" },
      .loader = "VipsForeignLoadHeif", .load = vips_heifload_source },
    { .name = NULL },
};

/* '?' stands for any byte. Containers of the HEIF family are told apart by their first brand;
 * "mif1" may hold either kind, which shows once the header is read. */
static const struct {
    const char *bytes;
    size_t len;
    const char *format;
} magics[] = {
    { "\xff\xd8\xff", 3, "jpeg" },
    { "\x89PNG\r\n\x1a\n", 8, "png" },
    { "RIFF????WEBP", 12, "webp" },
    { "GIF87a", 6, "gif" },
    { "GIF89a", 6, "gif" },
    { "II*\0", 4, "tiff" },
    { "MM\0*", 4, "tiff" },
    { "II+\0", 4, "tiff" },
    { "MM\0+", 4, "tiff" },
    { "????ftypavif", 12, "avif" },
    { "????ftypavis", 12, "avif" },
    { "????ftypheic", 12, "heic" },
    { "????ftypheix", 12, "heic" },
    { "????ftyphevc", 12, "heic" },
    { "????ftyphevx", 12, "heic" },
    { "????ftypmif1", 12, "heic" },
    { "????ftypmsf1", 12, "heic" },
};
/* clang-format on */

static bool has_ending(const struct image_format *format, const char *ending)
{
    for (size_t i = 0; i < G_N_ELEMENTS(format->endings) && format->endings[i] != NULL; i++) {
        if (g_ascii_strcasecmp(format->endings[i], ending) == 0) {
            return true;
        }
    }
    return false;
}

const struct image_format *image_format_by_name(const char *name)
{
    for (const struct image_format *f = image_formats; f->name != NULL; f++) {
        if (strcmp(f->name, name) == 0 || has_ending(f, name)) {
            return f;
        }
    }
    return NULL;
}

const struct image_format *image_format_by_ending(const char *file)
{
    const char *dot = strrchr(file, '.');
    for (const struct image_format *f = image_formats; dot != NULL && f->name != NULL; f++) {
        if (has_ending(f, dot + 1)) {
            return f;
        }
    }
    return NULL;
}

const struct image_format *image_format_by_content(const unsigned char *head, size_t len)
{
    for (size_t i = 0; i < G_N_ELEMENTS(magics); i++) {
        const char *bytes = magics[i].bytes;
        size_t same = 0;
        while (same < magics[i].len && same < len &&
               (bytes[same] == '?' || (unsigned char)bytes[same] == head[same])) {
            same++;
        }
        if (same == magics[i].len) {
            return image_format_by_name(magics[i].format);
        }
    }
    return NULL;
}
