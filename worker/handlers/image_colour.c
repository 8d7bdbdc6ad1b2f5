/*
 * image_colour.c - whatever the colours were, from here on they are sRGB, or grey.
 */
#include "handlers/image_parts.h"

static int transform(VipsImage *in, VipsImage **out, gboolean embedded)
{
    const char *fallback = in->Type == VIPS_INTERPRETATION_CMYK ? "cmyk" : "srgb";
    return vips_icc_transform(in, out, "srgb", "embedded", embedded, "input_profile", fallback,
        "depth", 8, "intent", VIPS_INTENT_PERCEPTUAL, NULL);
}

/* An embedded profile is used when it can be; a broken one is as good as none. */
int image_to_srgb(VipsImage *in, VipsImage **out)
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
