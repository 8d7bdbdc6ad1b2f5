/*
 * image_encode.c - from pixels to the bytes of a file, one saver a format.
 */
#include "handlers/image_parts.h"

#include <string.h>

static VipsForeignSubsample subsampling(const struct image_output *output)
{
    static const VipsForeignSubsample modes[] = {
        [CHROMA_AUTO] = VIPS_FOREIGN_SUBSAMPLE_AUTO, /* 4:4:4 from quality 90 on */
        [CHROMA_420] = VIPS_FOREIGN_SUBSAMPLE_ON,
        [CHROMA_444] = VIPS_FOREIGN_SUBSAMPLE_OFF,
    };
    return modes[output->chroma];
}

int image_save_jpeg(VipsImage *image, const struct image_output *output, gboolean strip,
    void **data, size_t *bytes)
{
    return vips_jpegsave_buffer(image, data, bytes, "Q", output->quality, "optimize_coding",
        TRUE, "interlace", output->progressive, "subsample_mode", subsampling(output), "strip",
        strip, NULL);
}

/* All filters are tried on each row: photos and most graphics become much smaller by it.
 * Colours of a palette are numbers without order, which no filter predicts. */
int image_save_png(VipsImage *image, const struct image_output *output, gboolean strip,
    void **data, size_t *bytes)
{
    if (!output->lossless) {
        return vips_pngsave_buffer(image, data, bytes, "compression", output->effort, "palette",
            TRUE, "Q", output->quality, "interlace", output->progressive, "strip", strip, NULL);
    }
    return vips_pngsave_buffer(image, data, bytes, "compression", output->effort, "filter",
        VIPS_FOREIGN_PNG_FILTER_ALL, "interlace", output->progressive, "strip", strip, NULL);
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
int image_save_webp(VipsImage *image, const struct image_output *output, gboolean strip,
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

int image_save_avif(VipsImage *image, const struct image_output *output, gboolean strip,
    void **data, size_t *bytes)
{
    return vips_heifsave_buffer(image, data, bytes, "compression",
        VIPS_FOREIGN_HEIF_COMPRESSION_AV1, "Q", output->lossless ? 100 : output->quality,
        "lossless", output->lossless, "effort", output->effort, "subsample_mode",
        subsampling(output), "strip", strip, NULL);
}

int image_save_gif(VipsImage *image, const struct image_output *output, gboolean strip,
    void **data, size_t *bytes)
{
    return vips_gifsave_buffer(
        image, data, bytes, "effort", output->effort, "strip", strip, NULL);
}
