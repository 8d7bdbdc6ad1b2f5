/*
 * image_orient.c - which way is up.
 */
#include "handlers/image_parts.h"

int image_upright(VipsImage *in, VipsImage **out)
{
    return vips_autorot(in, out, NULL);
}
