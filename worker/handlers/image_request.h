/*
 * image_request.h - what a job asks for.
 */
#ifndef OX_WORKER_HANDLERS_IMAGE_REQUEST_H
#define OX_WORKER_HANDLERS_IMAGE_REQUEST_H

#include "handler.h"
#include "handlers/image_format.h"

/* Terms and meaning are sharp's. */
enum image_fit {
    FIT_COVER,   /* fills width x height, what is over is cut off on both sides */
    FIT_CONTAIN, /* all of it within width x height, the rest is background */
    FIT_FILL,    /* exactly width x height, distorted */
    FIT_INSIDE,  /* as large as fits in width x height */
    FIT_OUTSIDE  /* as small as covers width x height */
};

/* One output as the job asks for it. Which values are "not given": see image_request.c. */
struct image_output {
    char *file;        /* below the root; owned */
    int width;         /* pixels; 0: follows from the height, or as the input */
    int height;        /* pixels; 0: follows from the width, or as the input */
    int fit;           /* enum image_fit */
    int enlarge;       /* 0 or 1: may become larger than the input */
    int quality;       /* 1..100; 0: lossless, or not given */
    int lossless;      /* 0 or 1 */
    int effort;        /* the format's own scale; -1: not given */
    int background[4]; /* red, green, blue, alpha; 0..255 */
    char *format_name; /* owned, or NULL: the file's ending says */
    const struct image_format *format;
};

struct image_request {
    char *input; /* below the root; owned */
    struct image_output *outputs;
    size_t count; /* 0: outputs were left out */
};

/* Reads and checks job data. The request is to be cleared in any case. */
enum handler_result image_request_read(
    struct image_request *request, const char *data, size_t data_len, GString *why);

/* Fills in the one output that "outputs left out" means: beside the input, `format`. */
void image_request_default(struct image_request *request, const struct image_format *format);

void image_request_clear(struct image_request *request);

#endif /* OX_WORKER_HANDLERS_IMAGE_REQUEST_H */
