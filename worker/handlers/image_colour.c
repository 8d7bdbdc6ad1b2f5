/*
 * image_colour.c - whatever the colours were, from here on they are sRGB, or grey.
 *
 * Colours and transparency go separate ways: a profile says nothing of transparency, and
 * libvips before 8.17 cuts 16 bits of it down to eight without scaling. Black point
 * compensation maps the darkest ink to black, as sharp and ImageMagick do; without it print
 * comes out washed out.
 */
#include "handlers/image_parts.h"

static int transform(VipsImage *in, VipsImage **out, gboolean embedded)
{
    const char *fallback = in->Type == VIPS_INTERPRETATION_CMYK ? "cmyk" : "srgb";
    return vips_icc_transform(in, out, "srgb", "embedded", embedded, "input_profile", fallback,
        "depth", 8, "intent", VIPS_INTENT_PERCEPTUAL, "black_point_compensation", TRUE, NULL);
}

/* To eight bits, of what may have sixteen, or be a fraction of one of those. */
static int alpha_to_bytes(VipsImage *in, VipsImage **out)
{
    AUTO_IMAGE *scaled = NULL;
    if (in->BandFmt == VIPS_FORMAT_UCHAR) {
        *out = g_object_ref(in);
        return 0;
    }
    if (in->BandFmt == VIPS_FORMAT_USHORT) {
        return vips_cast(in, out, VIPS_FORMAT_UCHAR, "shift", TRUE, NULL);
    }
    double most = in->Type == VIPS_INTERPRETATION_scRGB ? 1 : 255;
    return vips_linear1(in, &scaled, 255 / most, 0, NULL) || vips_cast_uchar(scaled, out, NULL);
}

/* By the embedded profile when it can be used, else by what libvips has for such colours. A
 * broken profile is as good as none. */
static int colours_to_srgb(VipsImage *in, VipsImage **out)
{
    bool profile = vips_image_get_typeof(in, VIPS_META_ICC_NAME) != 0;
    if (profile && transform(in, out, TRUE) == 0) {
        return 0;
    }
    vips_error_clear();
    if (in->Type == VIPS_INTERPRETATION_CMYK) {
        return transform(in, out, FALSE);
    }
    bool grey = in->Bands < 3;
    return vips_colourspace(
        in, out, grey ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB, NULL);
}

/* Bands beyond colours and transparency mean nothing to anyone. */
static int drop_extra_bands(VipsImage *in, VipsImage **out)
{
    bool grey = in->Type == VIPS_INTERPRETATION_B_W || in->Type == VIPS_INTERPRETATION_GREY16;
    int most = in->Type == VIPS_INTERPRETATION_CMYK ? 5 : grey ? 2 : 4;
    if (in->Bands <= most) {
        *out = g_object_ref(in);
        return 0;
    }
    return vips_extract_band(in, out, 0, "n", most, NULL);
}

int image_to_srgb(VipsImage *in, VipsImage **out)
{
    AUTO_IMAGE *bands = NULL, *colours = NULL, *alpha = NULL, *srgb = NULL, *bytes = NULL;
    if (drop_extra_bands(in, &bands)) {
        return -1;
    }
    if (!vips_image_hasalpha(bands)) {
        return colours_to_srgb(bands, out);
    }
    int last = bands->Bands - 1;
    if (vips_extract_band(bands, &colours, 0, "n", last, NULL) ||
        vips_extract_band(bands, &alpha, last, NULL) || colours_to_srgb(colours, &srgb) ||
        alpha_to_bytes(alpha, &bytes)) {
        return -1;
    }
    return vips_bandjoin2(srgb, bytes, out, NULL);
}
