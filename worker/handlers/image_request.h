/*
 * image_request.h - what a job asks for.
 *
 * image_fields.c has the fields as rows; which of them go together, and what the format of an
 * output makes of them, is settled in image_request.c.
 */
#ifndef OX_WORKER_HANDLERS_IMAGE_REQUEST_H
#define OX_WORKER_HANDLERS_IMAGE_REQUEST_H

#include "handlers/image.h"
#include "handlers/image_format.h"

/* Terms and meaning are sharp's. */
enum image_fit {
    FIT_COVER,   /* fills width x height, what is over is cut off */
    FIT_CONTAIN, /* all of it within width x height, the rest is background */
    FIT_FILL,    /* exactly width x height, distorted */
    FIT_INSIDE,  /* as large as fits in width x height */
    FIT_OUTSIDE  /* as small as covers width x height */
};

/* No picture is longer or wider, read or made: what libvips takes (later versions take more,
 * and have no constant for it). */
enum { IMAGE_MAX_SIDE = 10000000 };

/* What to cut out of the upright input before anything else, in its pixels. */
struct image_crop {
    int left, top, width, height; /* width 0: no crop */
};

enum image_position_kind {
    POSITION_COMPASS, /* x and y are 0, 0.5 or 1: left, middle, right; top, middle, bottom */
    POSITION_FOCAL,   /* x and y: the point, as a share of the picture, to keep in the middle */
    POSITION_ATTENTION, /* where colours and edges draw the eye */
    POSITION_ENTROPY    /* where most is going on */
};

/* Where the window of `cover` lies in the picture, or the picture on the canvas of `contain`.
 */
struct image_position {
    int kind; /* enum image_position_kind */
    double x, y;
    bool given;
};

enum image_chroma { CHROMA_AUTO, CHROMA_420, CHROMA_444 };

/* What of the metadata is kept. */
enum image_keep { KEEP_NONE, KEEP_RIGHTS, KEEP_ALL };

/* Of struct image_output.sharpen: sharp's mild sharpening, when only `true` is asked. */
#define IMAGE_SHARPEN_MILD (-1.0)

/* One output. Once read, it is settled: every value is the one that holds, by the job, the
 * format or the worker's settings. */
struct image_output {
    char *file;        /* below the root; owned */
    char *format_name; /* owned, or NULL: the file's ending says */
    const struct image_format *format;

    /* The picture, in the order in which things are done to it. */
    struct image_crop crop;
    int width;  /* pixels; 0: follows from the height, or as the input */
    int height; /* pixels; 0: follows from the width, or as the input */
    int fit;    /* enum image_fit */
    struct image_position position;
    int enlarge;       /* 0 or 1: may become larger than the input */
    double sharpen;    /* sigma in pixels of the output; 0: none; IMAGE_SHARPEN_MILD */
    int background[4]; /* red, green, blue, alpha; 0..255 */

    /* The file. */
    int quality;     /* 1..100; 0: none, it is lossless or a GIF. With max_bytes or target the
                        highest that is tried */
    int lossless;    /* 0 or 1. A PNG that is not has a palette */
    int effort;      /* the format's own scale */
    int chroma;      /* enum image_chroma */
    int progressive; /* 0 or 1 */
    int max_bytes;   /* 0: any size. Else the highest quality that fits */
    double target;   /* 0: none. Else the lowest quality that is at least so similar */

    int placeholder;  /* 0 or 1: return a ThumbHash */
    int never_larger; /* 0 or 1: where the input's own data would do and is smaller, it stays */
    bool particular;  /* chroma, progressive or lossless was given: the input's own data, which
                         may be otherwise, would not do */
};

struct image_request {
    char *input;  /* below the root; owned */
    int page;     /* from 0; -1: the primary one, or the first */
    int animated; /* 0 or 1: keep the motion of GIF and WebP */
    int fail_on;  /* a VipsFailOn */
    int keep;     /* enum image_keep */
    int info;     /* 0 or 1: only report on the input */
    struct image_output *outputs;
    size_t count; /* 0: outputs were left out */
};

/* Reads "#rrggbb" or "#rrggbbaa" into red, green, blue, alpha. */
bool image_colour_parse(const char *text, int colour[4]);

/* Reads and checks job data. The request is to be cleared in any case. */
enum handler_result image_request_read(struct image_request *request,
    const struct image_options *options, const char *data, size_t data_len, GString *why);

/* Fills in the one output that "outputs left out" means: beside the input, `format`. */
void image_request_default(struct image_request *request, const struct image_options *options,
    const struct image_format *format);

void image_request_clear(struct image_request *request);

#endif /* OX_WORKER_HANDLERS_IMAGE_REQUEST_H */
