/*
 * image_parts.h - what the files of the image handler share.
 *
 *   image_request.c  job data -> struct image_request
 *   image_format.c   the formats: how each is recognised, read and written
 *   image_fit.c      the size of an output, by sharp's rules
 *   image_input.c    opening, checking and decoding the input
 *   image_pixels.c   size, colour, canvas
 *   image_meta.c     orientation and metadata
 *   image_place.c    the output file: temporary file, rename
 *   image.c          the handler: the order of it all, and the return value
 *
 * Steps that can fail return an enum handler_result: HANDLER_DONE (0) to go on, else how the
 * job ends, with the reason, a whole sentence, in `why`. Images are GObject references;
 * AUTO_IMAGE drops one at the end of its scope.
 */
#ifndef OX_WORKER_HANDLERS_IMAGE_PARTS_H
#define OX_WORKER_HANDLERS_IMAGE_PARTS_H

#include "handlers/image.h"

#include <sys/types.h>
#include <vips/vips.h>

#define AUTO_IMAGE __attribute__((cleanup(image_drop))) VipsImage

static inline void image_drop(VipsImage **image)
{
    g_clear_object(image);
}

/* Writes the reason and hands `result` back, for `return image_refuse(...)`. */
enum handler_result image_refuse(
    GString *why, enum handler_result result, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The reason for a failure of libvips, from its error buffer, which is cleared. Fails for good
 * unless memory ran out. `what` begins the sentence. */
enum handler_result image_refuse_vips(GString *why, const char *what);

/* ---- The request ------------------------------------------------------------------------- */

/* Terms and meaning are sharp's. */
enum image_fit {
    FIT_COVER,   /* fills width x height, what is over is cut off on both sides */
    FIT_CONTAIN, /* all of it within width x height, the rest is background */
    FIT_FILL,    /* exactly width x height, distorted */
    FIT_INSIDE,  /* as large as fits in width x height */
    FIT_OUTSIDE  /* as small as covers width x height */
};

struct image_format;

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

/* ---- Formats ----------------------------------------------------------------------------- */

typedef int image_load_fn(VipsSource *source, VipsImage **out, ...);
/* `strip`: write no metadata at all. `*data` is freed with g_free(). */
typedef int image_save_fn(VipsImage *image, const struct image_output *output, gboolean strip,
    void **data, size_t *bytes);

struct image_format {
    const char *name;
    const char *endings[4]; /* lower case; the first is given to new files */
    const char *loader;     /* the class in libvips, the only ones that may run */
    image_load_fn *load;
    bool (*whole)(int fd); /* looks for damage that the loader does not notice, or NULL */
    image_save_fn *save;   /* NULL: is read, but not written */
    bool shrinks;          /* can be decoded at 1/2, 1/4 and 1/8 of its size for less work */
    int max_side;          /* pixels that the file format can hold in one direction */
    int quality;           /* the default; 0: takes none, is always lossless */
    bool lossless;         /* can be lossless on demand */
    bool alpha;            /* can be transparent */
    int effort_min, effort_max, effort; /* the scale and the default; max 0: takes none */
};

/* Ended by a row without name. */
extern const struct image_format image_formats[];

const struct image_format *image_format_by_name(const char *name);
/* By the ending of a file's name. */
const struct image_format *image_format_by_ending(const char *file);
/* By the first bytes of a file. */
const struct image_format *image_format_by_content(const unsigned char *head, size_t len);

/* ---- Sizes ------------------------------------------------------------------------------- */

/* How an output comes from the upright input: scaled as a whole, then a window cut out of that
 * (cover) or a canvas laid around it (contain). */
struct image_plan {
    int scaled_width, scaled_height;
    int width, height; /* of the output */
    int left, top;     /* of the window in the picture, or of the picture on the canvas */
};

struct image_plan image_fit(int width, int height, const struct image_output *output);

/* ---- The input --------------------------------------------------------------------------- */

struct image_input {
    const char *file; /* borrowed from the request */
    int fd;
    dev_t device; /* with inode: which file it is, whatever its name */
    ino_t inode;
    int64_t bytes;
    const struct image_format *format;
    VipsSource *source;
    VipsImage *header; /* opened, nothing decoded yet */
    int width, height; /* upright */
    bool sideways;     /* stored with width and height exchanged */
};

/* Opens the file, tells its format by content and checks the limits. Nothing is decoded.
 * The input is to be closed in any case. */
enum handler_result image_input_open(struct image_input *input, int root, const char *file,
    const struct image_options *options, GString *why);

/* Decodes once, as small as the plans allow: upright, sRGB, eight bits, without metadata but
 * the copyright. With one plan the image may be lazy: then damage in the file shows up only
 * when it is saved. */
enum handler_result image_input_decode(const struct image_input *input,
    const struct image_plan *plans, size_t count, VipsImage **out, GString *why);

void image_input_close(struct image_input *input);

/* ---- Pixels ------------------------------------------------------------------------------ */

/* Those that return int: 0, or -1 with the reason in the error buffer of libvips. */

/* Computes the pixels and keeps them in memory, to be read from any number of times; NULL on
 * failure. Marked to be read in order, row by row: libvips is several times slower when it
 * scales down an image in tiles. */
VipsImage *image_keep(VipsImage *lazy);
/* To exactly that size, transparency respected. */
int image_resize(VipsImage *in, VipsImage **out, int width, int height);
/* To sRGB, or grey where there is no colour, eight bits. */
int image_to_srgb(VipsImage *in, VipsImage **out);
/* Turns the image as its EXIF orientation says; needs random access when that is not 1. */
int image_upright(VipsImage *in, VipsImage **out);
/* Drops all metadata but the EXIF fields Copyright and Artist. */
int image_clean(VipsImage *in, VipsImage **out);
/* Whether image_clean() found something to keep. */
bool image_has_rights(VipsImage *image);
/* Window or canvas of the plan, background under transparency where the format has none. */
int image_frame(VipsImage *in, VipsImage **out, const struct image_plan *plan,
    const struct image_output *output);

/* ---- The output file --------------------------------------------------------------------- */

/* Where an output goes. All outputs are written before the first is put in place, so that a
 * job that fails has changed nothing. */
struct image_place {
    const char *file; /* borrowed from the request */
    int folder;       /* descriptor */
    int fd;           /* the temporary file, or -1 */
    char *temp;       /* its name while it exists, else NULL */
    dev_t device;     /* of the folder, with inode */
    ino_t inode;
};

/* Removes what a killed run of the same output left behind, if there is anything. */
void image_place_clear(int root, const char *file);
/* Removes a temporary file from a folder, if it is ours and no run is writing it. */
void image_place_clear_temp(int folder, const char *name);

/* Opens the folder, making it where it is missing. The place is to be closed in any case. */
enum handler_result image_place_open(
    struct image_place *place, int root, const char *file, GString *why);
/* True when both would write the same file. */
bool image_place_same(const struct image_place *a, const struct image_place *b);
/* True when the file there is the input itself. */
bool image_place_holds(const struct image_place *place, const struct image_input *input);
/* Writes and syncs the temporary file. */
enum handler_result image_place_write(
    struct image_place *place, const void *data, size_t bytes, GString *why);
/* Gives it its name, in place of an older file of that name. */
enum handler_result image_place_commit(struct image_place *place, GString *why);
/* Closes all, and removes the temporary file if it is still there. */
void image_place_close(struct image_place *place);

/* image_sweep.c: removes old temporary files of killed runs below `root`, and closes it. */
void image_sweep(int root);

#endif /* OX_WORKER_HANDLERS_IMAGE_PARTS_H */
