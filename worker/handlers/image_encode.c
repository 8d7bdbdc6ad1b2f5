/*
 * image_encode.c - from pixels to the bytes of a file, one saver a format.
 */
#include "handlers/image_parts.h"

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

/* libvips 8.14 puts an EXIF chunk into every WebP, even when told not to. */
static int drop_exif(
    VipsImage *image, const struct image_format *webp, void **data, size_t *bytes)
{
    GByteArray *bare = image_with_metadata(webp, *data, *bytes, image);
    if (bare == NULL) {
        return -1;
    }
    g_free(*data);
    *bytes = bare->len;
    *data = g_byte_array_free(bare, FALSE);
    return 0;
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
    return strip ? drop_exif(image, output->format, data, bytes) : 0;
}

int image_save_avif(VipsImage *image, const struct image_output *output, gboolean strip,
    void **data, size_t *bytes)
{
    if (vips_heifsave_buffer(image, data, bytes, "compression",
            VIPS_FOREIGN_HEIF_COMPRESSION_AV1, "Q", output->lossless ? 100 : output->quality,
            "lossless", output->lossless, "effort", output->effort, "subsample_mode",
            subsampling(output), "strip", TRUE, NULL)) {
        return -1;
    }
    GByteArray *whole = strip ? NULL : image_avif_with_metadata(*data, *bytes, image);
    if (whole != NULL) {
        g_free(*data);
        *bytes = whole->len;
        *data = g_byte_array_free(whole, FALSE);
    }
    return 0;
}

int image_save_gif(VipsImage *image, const struct image_output *output, gboolean strip,
    void **data, size_t *bytes)
{
    return vips_gifsave_buffer(
        image, data, bytes, "effort", output->effort, "strip", strip, NULL);
}
