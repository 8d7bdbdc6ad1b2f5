/*
 * image.h - the image handler: one photo in, any number of smaller ones out.
 *
 * What a job may say, what it returns and how it fails is written in docs/image-handler.md.
 */
#ifndef OX_WORKER_HANDLERS_IMAGE_H
#define OX_WORKER_HANDLERS_IMAGE_H

#include "handler.h"

/* What handler_config means by 0. */
#define IMAGE_MAX_PIXELS UINT64_C(50000000)
#define IMAGE_MAX_BYTES (UINT64_C(128) << 20)

extern const struct handler image_handler;

#endif /* OX_WORKER_HANDLERS_IMAGE_H */
