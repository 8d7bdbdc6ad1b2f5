/*
 * image.h - the image handler: one photo in, any number of smaller ones out.
 *
 * What a job may say, what it returns and how it fails is written in docs/image-handler.md.
 */
#ifndef OX_WORKER_HANDLERS_IMAGE_H
#define OX_WORKER_HANDLERS_IMAGE_H

#include "handler.h"

/* Its options. */
struct image_options {
    const char *root;   /* the only folder whose files jobs may name; NULL: not given */
    int64_t max_pixels; /* of the input and of each output, refused before decoding */
    int64_t max_bytes;  /* of the input file */
};

extern const struct handler image_handler;

#endif /* OX_WORKER_HANDLERS_IMAGE_H */
