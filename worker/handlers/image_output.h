/*
 * image_output.h - an output: made, encoded, put in place, reported.
 */
#ifndef OX_WORKER_HANDLERS_IMAGE_OUTPUT_H
#define OX_WORKER_HANDLERS_IMAGE_OUTPUT_H

#include "handlers/image_input.h"

#include <jansson.h>

/* ---- image_encode.c: from pixels to the bytes of a file ---------------------------------- */

image_save_fn image_save_jpeg, image_save_png, image_save_webp, image_save_avif, image_save_gif;

/* Encodes an output, with the metadata that image_clean() left on the image. 0, or -1 with the
 * reason in the error buffer of libvips. */
int image_save(VipsImage *image, const struct image_output *output, void **data, size_t *bytes);

/* image_avif.c: an AVIF in memory with the EXIF and XMP of `clean`, in which it has none yet;
 * NULL when it is not built as expected. */
GByteArray *image_avif_with_metadata(const guint8 *file, size_t bytes, VipsImage *clean);

/* ---- image_place.c: the file ------------------------------------------------------------- */

/* Where an output goes. All outputs are written before the first is put in place, so that a
 * job that fails has changed nothing. */
struct image_place {
    const char *file; /* borrowed from the request */
    int folder;       /* descriptor */
    int fd;           /* the temporary file, or -1 */
    char *temp;       /* the temporary name while anything has it, else NULL */
    enum {
        PLACE_WRITTEN,   /* nothing has been put in place */
        PLACE_NEW,       /* it is in place, where nothing was */
        PLACE_EXCHANGED, /* it is in place, and the old file has the temporary name */
        PLACE_LINKED,    /* it is in place, and the old file has the name `old` */
        PLACE_REPLACED   /* it is in place, and the old file is gone */
    } state;
    char *old;    /* see PLACE_LINKED; else NULL */
    int old_fd;   /* holds the lock on the old file, or -1 */
    dev_t device; /* of the folder, with inode */
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
/* Closes all, and removes what has the temporary name: the file that was not put in place, or
 * the old one that was there before it. */
void image_place_close(struct image_place *place);

/* image_commit.c: gives all the files their names, in place of older ones; when one cannot have
 * it, the older ones are put back. */
enum handler_result image_places_commit(
    struct image_place *const *places, size_t count, GString *why);

/* image_sweep.c: removes old temporary files of killed runs below `root`, and closes it. */
void image_sweep(int root);

/* ---- image_make.c: from the decoded picture to all outputs ------------------------------- */

/* One encode of a search for the quality. */
struct image_try {
    int quality;
    size_t bytes;
    double similarity; /* 0: not measured */
};

/* What becomes of one output. */
struct image_piece {
    struct image_place place;
    struct image_plan plan;
    void *data; /* encoded, until it is written */
    size_t bytes;
    char sha256[IMAGE_SHA256];
    int quality;        /* that was taken; 0: none */
    double similarity;  /* to the picture before encoding; 0: not measured */
    GArray *tries;      /* of struct image_try, in their order; NULL: no search */
    char *placeholder;  /* base64; NULL: not asked for */
    int pages;          /* frames; 1: a still picture */
    bool may_keep;      /* the input's own data would do */
    const char *larger; /* why it could not, when the output is like the input; else NULL */
    bool kept;          /* the data is the input's own */
    bool unchanged;     /* an earlier job made it: nothing is written */
    int64_t us;         /* to make and encode it */

    char recipe[IMAGE_SHA256]; /* of all that its making depends on but the input's content */
    json_t *recorded;          /* of an unchanged one: what the return value said; owned */
};

/* One run of a job. */
struct image_work {
    const struct image_options *options;
    const struct handler_io *io;
    int root; /* folder that jobs name their files below */
    int64_t start_us;
    struct image_request request;
    struct image_input input;
    struct image_piece *pieces; /* one an output, in the request's order */
    VipsImage *reel;            /* all frames, where the motion is kept; else NULL; owned */
    size_t *order;              /* of those that are made: largest first */
    size_t to_make;             /* how many these are: all but the unchanged */
    GPtrArray *pictures;        /* what outputs are made from: the decoded image, then some of
                                   theirs, each at most half as wide and high as that before */
    GPtrArray *warnings;        /* sentences for the return value; owned */
    GString *why;
};

/* Decodes the input, encodes every output that is not unchanged and writes it to its temporary
 * file. */
enum handler_result image_make(struct image_work *work);

/* ---- image_search.c: the quality --------------------------------------------------------- */

/* Whether an output of that kind is encoded several times. */
bool image_searches(const struct image_output *output);
/* Encodes the picture into the piece's data, at the output's quality or at the best one by
 * max_bytes and target. A picture that is searched for is in memory. When no quality will do,
 * the data stays NULL and `why` says so; -1: an operation of libvips failed. */
int image_encode(VipsImage *picture, const struct image_output *output,
    struct image_piece *piece, GString *why);

/* ---- image_similar.c --------------------------------------------------------------------- */

/* The luma of a picture, one byte a pixel, in memory; where it is transparent, on that
 * background. NULL on failure. */
VipsImage *image_luma(VipsImage *image, const int background[4]);
/* The structural similarity of two lumas of the same size: 1 for the same, 0 for nothing in
 * common. */
double image_similarity(VipsImage *a, VipsImage *b);

/* ---- image_thumbhash.c ------------------------------------------------------------------- */

enum { THUMBHASH_SIDE = 100, THUMBHASH_BYTES = 32 };

/* Of a picture of at most THUMBHASH_SIDE pixels a side, four bytes each. Returns the bytes. */
size_t image_thumbhash(int width, int height, const guint8 *rgba, guint8 hash[THUMBHASH_BYTES]);
/* In base64 (g_free); NULL when an operation of libvips failed. */
char *image_placeholder(VipsImage *image);

/* ---- image_kept.c: the input's own data as an output ------------------------------------- */

/* Whether the output shows all of the input at its size and in its format. */
bool image_is_as_input(const struct image_input *input, const struct image_output *output,
    const struct image_plan *plan);
/* Why the input's data could not stand for such an output, in a word of the return value; NULL:
 * it could. */
const char *image_why_not_keep(
    const struct image_input *input, const struct image_output *output);
/* The input's compressed data with the metadata of `clean` and none of its own; NULL with no
 * reason when it cannot be taken apart, or changed since it was opened. */
GByteArray *image_kept_data(const struct image_input *input, VipsImage *clean);
/* image_segments.c: the same of a file in memory of that format: jpeg, png or webp. NULL when
 * it cannot be taken apart. */
GByteArray *image_with_metadata(
    const struct image_format *format, const guint8 *file, size_t bytes, VipsImage *clean);

/* ---- image_record.c: what was made, and by which recipe ---------------------------------- */

/* Settles which outputs are there already, and takes them out of the order. */
void image_records_read(struct image_work *work);
/* Writes those of the outputs that were made; says so in the warnings when it cannot. */
void image_records_write(struct image_work *work);

/* ---- image_result.c ---------------------------------------------------------------------- */

/* Writes the return value of a job that is done, as JSON; of one with `info`, without outputs.
 */
void image_result_write(const struct image_work *work, GString *out);
/* What it says of an output that was made; the caller's. */
json_t *image_result_output(const struct image_work *work, size_t index);

/* ---- image_job.c ------------------------------------------------------------------------- */

/* Runs a job. `out` is the return value, or the reason of the failure. */
enum handler_result image_job_run(const struct image_options *options, int root,
    const struct handler_job *job, const struct handler_io *io, GString *out);

#endif /* OX_WORKER_HANDLERS_IMAGE_OUTPUT_H */
