/*
 * image_encode.c - from pixels to the bytes of a file, one saver a format.
 *
 * Savers write bare files. What an image carries of metadata is put into them afterwards, as it
 * is: libvips would take EXIF apart first, and damages texts that are long or not ASCII.
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

int image_save_jpeg(
    VipsImage *image, const struct image_output *output, void **data, size_t *bytes)
{
    return vips_jpegsave_buffer(image, data, bytes, "Q", output->quality, "optimize_coding",
        TRUE, "interlace", output->progressive, "subsample_mode", subsampling(output), "strip",
        TRUE, NULL);
}

/* All filters are tried on each row: photos and most graphics become much smaller by it.
 * Colours of a palette are numbers without order, which no filter predicts. */
int image_save_png(
    VipsImage *image, const struct image_output *output, void **data, size_t *bytes)
{
    if (!output->lossless) {
        return vips_pngsave_buffer(image, data, bytes, "compression", output->effort, "palette",
            TRUE, "Q", output->quality, "interlace", output->progressive, "strip", TRUE, NULL);
    }
    return vips_pngsave_buffer(image, data, bytes, "compression", output->effort, "filter",
        VIPS_FOREIGN_PNG_FILTER_ALL, "interlace", output->progressive, "strip", TRUE, NULL);
}

/* In lossless mode libwebp takes Q as one more measure of effort; its default is 75. */
int image_save_webp(
    VipsImage *image, const struct image_output *output, void **data, size_t *bytes)
{
    int quality = output->lossless ? 75 : output->quality;
    return vips_webpsave_buffer(image, data, bytes, "Q", quality, "lossless", output->lossless,
        "effort", output->effort, "strip", TRUE, NULL);
}

int image_save_avif(
    VipsImage *image, const struct image_output *output, void **data, size_t *bytes)
{
    return vips_heifsave_buffer(image, data, bytes, "compression",
        VIPS_FOREIGN_HEIF_COMPRESSION_AV1, "Q", output->lossless ? 100 : output->quality,
        "lossless", output->lossless, "effort", output->effort, "subsample_mode",
        subsampling(output), "strip", TRUE, NULL);
}

int image_save_gif(
    VipsImage *image, const struct image_output *output, void **data, size_t *bytes)
{
    return vips_gifsave_buffer(
        image, data, bytes, "effort", output->effort, "strip", TRUE, NULL);
}

/* GIF has no place for metadata. libvips 8.14 puts EXIF into every WebP, even when told not to,
 * so there is always something to do. */
static bool is_finished(VipsImage *image, const struct image_format *format)
{
    bool webp = strcmp(format->name, "webp") == 0, gif = strcmp(format->name, "gif") == 0;
    return gif || (!webp && !image_has_rights(image));
}

int image_save(VipsImage *image, const struct image_output *output, void **data, size_t *bytes)
{
    const struct image_format *format = output->format;
    if (format->save(image, output, data, bytes)) {
        return -1;
    }
    if (is_finished(image, format)) {
        return 0;
    }
    GByteArray *whole = strcmp(format->name, "avif") == 0
                            ? image_avif_with_metadata(*data, *bytes, image)
                            : image_with_metadata(format, *data, *bytes, image);
    if (whole == NULL) {
        vips_error(format->name, "the encoded file is not built as expected");
        return -1;
    }
    g_free(*data);
    *bytes = whole->len;
    *data = g_byte_array_free(whole, FALSE);
    return 0;
}
