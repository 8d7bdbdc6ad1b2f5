/*
 * image_texts.h - who made a photo and who holds the rights, wherever a file says so.
 */
#ifndef OX_WORKER_HANDLERS_IMAGE_TEXTS_H
#define OX_WORKER_HANDLERS_IMAGE_TEXTS_H

#include "handlers/image_ifd.h"
#include "handlers/image_input.h"

/* In UTF-8, without control characters, never blank; NULL: nothing is said. Both owned. */
struct image_texts {
    char *artist, *copyright;
};

/* Looks in EXIF (or the tags of a TIFF), then in XMP, in IPTC, in the texts of a PNG. */
void image_texts_read(const struct image_input *input, struct image_texts *texts);
void image_texts_clear(struct image_texts *texts);

/* Opens the EXIF block of the input, or the tags of a TIFF. False when there are none. */
bool image_tags_open(const struct image_input *input, struct image_ifd *ifd);

/* The IPTC records in a block of Photoshop resources, or the block itself when it is bare
 * records. An empty result has no data. */
GBytes *image_iptc_records(const void *data, size_t bytes);

#endif /* OX_WORKER_HANDLERS_IMAGE_TEXTS_H */
