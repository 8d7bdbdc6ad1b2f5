/*
 * image_output.h - an output: made, encoded, put in place, reported.
 */
#ifndef OX_WORKER_HANDLERS_IMAGE_OUTPUT_H
#define OX_WORKER_HANDLERS_IMAGE_OUTPUT_H

#include "handlers/image_input.h"

/* ---- image_encode.c: from pixels to the bytes of a file ---------------------------------- */

image_save_fn image_save_jpeg, image_save_png, image_save_webp, image_save_avif, image_save_gif;

/* ---- image_place.c: the file ------------------------------------------------------------- */

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
    int quality;       /* that was taken; 0: none */
    double similarity; /* to the picture before encoding; 0: not measured */
    GArray *tries;     /* of struct image_try, in their order; NULL: no search */
    char *placeholder; /* base64; NULL: not asked for */
    int pages;         /* frames; 1: a still picture */
    bool kept;         /* the data is the input's own */
    bool unchanged;    /* an earlier job made it: nothing is written */
    int64_t us;        /* to make and encode it */
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
    size_t *order;              /* of their making: largest first */
    VipsImage *reel;            /* all frames, where the motion is kept; else NULL; owned */
    GPtrArray *pictures;        /* what outputs are made from; the decoded image first */
    GPtrArray *warnings;        /* sentences for the return value; owned */
    GString *why;
};

/* Decodes the input and encodes every output. */
enum handler_result image_make(struct image_work *work);

/* ---- image_result.c ---------------------------------------------------------------------- */

/* Writes the return value of a job that is done, as JSON; of one with `info`, without outputs.
 */
void image_result_write(const struct image_work *work, GString *out);

/* ---- image_job.c ------------------------------------------------------------------------- */

/* Runs a job. `out` is the return value, or the reason of the failure. */
enum handler_result image_job_run(const struct image_options *options, int root,
    const struct handler_job *job, const struct handler_io *io, GString *out);

#endif /* OX_WORKER_HANDLERS_IMAGE_OUTPUT_H */
