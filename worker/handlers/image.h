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
    const char *root;     /* the only folder whose files jobs may name; NULL: not given */
    int64_t max_pixels;   /* of the input and of each output, refused before decoding */
    int64_t max_bytes;    /* of the input file */
    int64_t max_frames;   /* of an animation whose motion is kept */
    int64_t max_scans;    /* of a progressive JPEG */
    int background[4];    /* unless a job says otherwise: red, green, blue, alpha; 0..255 */
    int64_t memory_bytes; /* that the process may hold, by --memory; no row; 0: any */
    bool no_records;      /* write no records of what was made beside the outputs */
};

extern const struct handler image_handler;

#endif /* OX_WORKER_HANDLERS_IMAGE_H */
