/*
 * image_input.h - the input: opening, checking, decoding, its orientation and metadata.
 */
#ifndef OX_WORKER_HANDLERS_IMAGE_INPUT_H
#define OX_WORKER_HANDLERS_IMAGE_INPUT_H

#include "handlers/image.h"
#include "handlers/image_pixels.h"

#include <sys/types.h>

/* ---- image_sum.c ------------------------------------------------------------------------- */

#define IMAGE_SHA256 65 /* bytes of a SHA-256 sum as text */

/* Both: 0 or a negative errno. */
int image_sha256(const void *data, size_t bytes, char sum[IMAGE_SHA256]);
/* Of a whole file, from its start. */
int image_sha256_file(int fd, char sum[IMAGE_SHA256]);

/* ---- image_input.c: opening it, what its header says ------------------------------------- */

struct image_input {
    const char *file;                    /* borrowed from the request */
    const struct image_request *request; /* borrowed: page, animated, fail_on, keep */
    int fd;
    dev_t device; /* with inode: which file it is, whatever its name */
    ino_t inode;
    int64_t bytes;
    char sha256[IMAGE_SHA256]; /* of its content; empty until it has been read whole */
    const struct image_format *format;
    VipsSource *source;
    VipsImage *header;   /* opened, nothing decoded yet */
    int width, height;   /* upright, of one picture or frame */
    int orientation;     /* as stored: 1..8, of EXIF */
    bool sideways;       /* stored with width and height exchanged */
    int pages;           /* pictures or frames in the file; at least 1 */
    int page;            /* which is taken, from 0; -1: not chosen yet, the loader's default */
    bool motion;         /* all frames are taken, one below the other */
    bool weighted;       /* colours are stored multiplied with their opacity */
    GPtrArray *warnings; /* sentences for the return value; borrowed */
};

/* Opens the file, tells its format by content and checks the limits. Nothing is decoded.
 * The input, whose `warnings` are set before, is to be closed in any case. */
enum handler_result image_input_open(struct image_input *input, int root,
    const struct image_request *request, const struct image_options *options, GString *why);

void image_input_close(struct image_input *input);

/* ---- image_pages.c, image_boxes.c: which picture of several ------------------------------ */

/* Chooses the page, or all frames, of an input whose header is open, within the limits. The
 * header is then that of what was chosen. */
enum handler_result image_pages_choose(
    struct image_input *input, const struct image_options *options, GString *why);
/* Frames of which the loader says nothing, and which it cannot read; 0: none. */
int image_hidden_frames(const struct image_input *input);
/* Refuses a primary picture whose transparency libheif would drop or misplace unsaid. */
enum handler_result image_alpha_check(struct image_input *input, GString *why);

/* ---- image_load.c: reading through libvips ----------------------------------------------- */

/* Opens the image once more, decoded at 1/shrink; costs nothing yet: libvips decodes when
 * pixels are asked for. NULL on failure. */
VipsImage *image_load(const struct image_input *input, int shrink);
/* The reason from the error buffer of libvips, for an input that does not decode. */
enum handler_result image_refuse_damaged(const struct image_input *input, GString *why);

/* ---- image_check.c: damage that the decoders do not notice --------------------------------
 */

bool image_jpeg_is_whole(int fd);

/* ---- image_decode.c ---------------------------------------------------------------------- */

/* With motion: all frames as they are stored, sRGB, in memory, for image_motion.c. Else decodes
 * once, as small as the plans allow: upright, sRGB, eight bits, without metadata but the
 * copyright. With one plan the image may be lazy: then damage in the file shows up only when it
 * is saved. */
enum handler_result image_input_decode(const struct image_input *input,
    const struct image_plan *plans, size_t count, VipsImage **out, GString *why);

/* ---- image_motion.c: animations ---------------------------------------------------------- */

/* The first frame of what was decoded with its motion, upright; NULL on failure. */
VipsImage *image_first_frame(const struct image_input *input, VipsImage *reel);
/* All frames as the plan has them, one below the other. */
int image_motion_make(const struct image_input *input, VipsImage *reel,
    const struct image_plan *plan, const struct image_output *output, VipsImage **out);

/* ---- image_orient.c, image_rights.c ------------------------------------------------------ */

/* How the opened input is stored: 1..8, with the meaning that EXIF gives them. */
int image_orientation(const struct image_input *input);
/* Turns an image that is stored in that way; needs random access unless it is 1. */
int image_upright(VipsImage *in, VipsImage **out, int orientation);
/* Drops all metadata but the EXIF fields Copyright and Artist. */
int image_clean(VipsImage *in, VipsImage **out);
/* Whether image_clean() found something to keep. */
bool image_has_rights(VipsImage *image);

#endif /* OX_WORKER_HANDLERS_IMAGE_INPUT_H */
