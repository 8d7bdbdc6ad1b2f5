/*
 * image_orient.c - which way is up.
 *
 * HEIF files (HEIC, AVIF) say so in the container, and libheif turns them; what their EXIF says
 * of it means nothing. TIFF has a tag of its own, which libvips reads. In the others it is in
 * the first directory of the EXIF block, which is read here: libexif gives up at the first tag
 * that makes no sense, and there are phones that write such tags.
 */
#include "handlers/image_ifd.h"
#include "handlers/image_parts.h"

#include <string.h>

enum { UPRIGHT = 1, LAST = 8 };

static int exif_orientation(VipsImage *header)
{
    const void *data;
    size_t bytes;
    struct image_ifd ifd;
    struct image_entry entry;
    if (!vips_image_get_typeof(header, VIPS_META_EXIF_NAME) ||
        vips_image_get_blob(header, VIPS_META_EXIF_NAME, &data, &bytes) ||
        !image_ifd_open_memory(&ifd, data, bytes) ||
        !image_ifd_find(&ifd, ifd.first, TAG_ORIENTATION, &entry)) {
        return UPRIGHT;
    }
    guint64 value = image_ifd_number(&ifd, &entry, UPRIGHT);
    return value >= UPRIGHT && value <= LAST ? (int)value : UPRIGHT;
}

int image_orientation(const struct image_input *input)
{
    switch (input->format->turned_by) {
    case TURNED_BY_EXIF:
        return exif_orientation(input->header);
    case TURNED_BY_TAG:
        return vips_image_get_orientation(input->header);
    default:
        return UPRIGHT;
    }
}

int image_upright(VipsImage *in, VipsImage **out, int orientation)
{
    AUTO_IMAGE *copy = NULL;
    if (vips_copy(in, &copy, NULL)) {
        return -1;
    }
    vips_image_set_int(copy, VIPS_META_ORIENTATION, orientation);
    return vips_autorot(copy, out, NULL);
}
