/*
 * image_memory.c - how much memory decoding will take, told from the header.
 *
 * Pixels stream through: a decoder that works row by row needs next to nothing. Most do not.
 * Progressive JPEG keeps all coefficients, interlaced PNG all pixels, WebP, GIF and HEIF whole
 * pictures, TIFF whole strips, of which there may be one, of any number of bands. What is kept
 * afterwards is at most four bands of eight bits.
 *
 * The figures are low rather than high: what is refused here could not have worked.
 */
#include "handlers/image_parts.h"

#include <string.h>

/* libvips and its libraries, and small buffers. */
enum { PROCESS_BYTES = 48 << 20, COMPRESSED_AND_SPARE = 8 << 20 };

static bool is_format(const struct image_input *input, const char *name)
{
    return strcmp(input->format->name, name) == 0;
}

static gint64 pixel_bytes(const VipsImage *header)
{
    return (gint64)header->Bands * (gint64)vips_format_sizeof(header->BandFmt);
}

/* Of one picture or frame, while it is decoded. */
static gint64 decoder_bytes(const struct image_input *input)
{
    VipsImage *header = input->header;
    gint64 pixels = (gint64)input->width * input->height;
    if (is_format(input, "jpeg")) {
        return input->jpeg.progressive || input->jpeg.scans > 1 ? input->jpeg.coefficient_bytes
                                                                : 0;
    }
    if (is_format(input, "png")) {
        return vips_image_get_typeof(header, "interlaced") ? pixels * pixel_bytes(header) : 0;
    }
    if (is_format(input, "tiff")) {
        return image_tiff_part_pixels(input) * pixel_bytes(header);
    }
    if (is_format(input, "webp") || is_format(input, "gif")) {
        return 2 * 4 * pixels; /* the frame, and the canvas that it is laid on */
    }
    /* HEIF: the coded planes, and red, green and blue made of them. */
    gint64 planes = pixels * 3 / 2 * (gint64)vips_format_sizeof(header->BandFmt);
    return planes + pixels * pixel_bytes(header);
}

/* Of all frames, or of a picture that is turned or has several outputs. A JPEG is decoded
 * smaller than it is when that will do. */
static gint64 kept_bytes(const struct image_input *input)
{
    gint64 pixels = (gint64)input->header->Xsize * input->header->Ysize;
    bool kept = input->motion || input->orientation > 1 || input->request->count > 1;
    return kept && !input->format->shrinks ? pixels * MIN(input->header->Bands, 4) : 0;
}

enum handler_result image_memory_check(
    const struct image_input *input, const struct image_options *options, GString *why)
{
    const VipsImage *header = input->header;
    gint64 needed = PROCESS_BYTES + decoder_bytes(input) + kept_bytes(input);
    if (options->memory_bytes == 0 || needed <= options->memory_bytes) {
        return HANDLER_DONE;
    }
    g_autofree char *frames =
        input->motion ? g_strdup_printf(", %d frames", input->pages) : g_strdup("");
    return image_refuse(why, HANDLER_FATAL,
        "input \"%s\" would take %.0f MB to decode (%d x %d pixels, %d bands of %d bits%s%s); "
        "the memory limit is %.0f MB",
        input->file, (double)needed / 1e6, input->width, input->height, header->Bands,
        (int)vips_format_sizeof(header->BandFmt) * 8, frames,
        input->jpeg.progressive                            ? ", progressive"
        : vips_image_get_typeof(header, "interlaced") != 0 ? ", interlaced"
                                                           : "",
        (double)options->memory_bytes / 1e6);
}
