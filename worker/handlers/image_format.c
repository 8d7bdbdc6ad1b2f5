/*
 * image_format.c - the formats: one row each, how it is recognised and what it can hold.
 *
 * A format is told by the first bytes of a file, never by its name; the name only decides
 * what an output becomes. Loaders and savers are named here one by one (the savers themselves:
 * image_encode.c): libvips is never asked to guess, because its guess may be a loader that was
 * not made for hostile files.
 */
#include "handlers/image_parts.h"

#include <string.h>

/* clang-format off */
const struct image_format image_formats[] = {
    { .name = "jpeg", .endings = { "jpg", "jpeg", "jpe" },
      .loader = "VipsForeignLoadJpeg", .load = vips_jpegload_source,
      .turned_by = TURNED_BY_EXIF, .end = image_jpeg_end, .save = image_save_jpeg,
      .shrinks = true,
      .max_side = 65500, .quality = 80, .chroma = true, .progressive = BY_DEFAULT },
    { .name = "png", .endings = { "png" },
      .loader = "VipsForeignLoadPng", .load = vips_pngload_source, .save = image_save_png,
      .turned_by = TURNED_BY_EXIF, .hides_frames = FRAMES_IN_CHUNK, .end = image_png_end,
      .max_side = 1000000, .quality = 100, .lossless = true, .lossless_first = true,
      .alpha = true, .progressive = ON_DEMAND,
      .effort_min = 0, .effort_max = 9, .effort = 6 },
    { .name = "webp", .endings = { "webp" },
      .loader = "VipsForeignLoadWebp", .load = vips_webpload_source, .save = image_save_webp,
      .turned_by = TURNED_BY_EXIF, .paged = true, .end = image_webp_end,
      .max_side = 16383, .quality = 80, .lossless = true, .alpha = true, .motion = true,
      .effort_min = 0, .effort_max = 6, .effort = 4 },
    { .name = "avif", .endings = { "avif" },
      .loader = "VipsForeignLoadHeif", .load = vips_heifload_source, .save = image_save_avif,
      .hides_frames = FRAMES_IN_TRACK, .paged = true, .end = image_heif_end,
      .max_side = 16384, .quality = 50, .lossless = true, .alpha = true, .chroma = true,
      .effort_min = 0, .effort_max = 9, .effort = 4 },
    { .name = "gif", .endings = { "gif" },
      .loader = "VipsForeignLoadNsgif", .load = vips_gifload_source, .save = image_save_gif,
      .paged = true, .end = image_gif_end, .warns_of_damage = true,
      .max_side = 65535, .alpha = true, .motion = true,
      .effort_min = 1, .effort_max = 10, .effort = 7 },
    { .name = "tiff", .endings = { "tif", "tiff" },
      .loader = "VipsForeignLoadTiff", .load = vips_tiffload_source,
      .turned_by = TURNED_BY_TAG, .paged = true, .end = image_tiff_end },
    { .name = "heic", .endings = { "heic", "heif" },
      .loader = "VipsForeignLoadHeif", .load = vips_heifload_source,
      .hides_frames = FRAMES_IN_TRACK, .paged = true, .end = image_heif_end },
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
