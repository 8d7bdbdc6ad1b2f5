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

/* What the markers of a JPEG file say. */
struct image_jpeg {
    int64_t scans;
    bool progressive;
    int64_t coefficient_bytes; /* that a decode of several scans keeps */
    int64_t end;               /* where the mark of the end lies; 0: there is none */
};

struct image_input {
    const char *file;                    /* borrowed from the request */
    const struct image_request *request; /* borrowed: page, animated, fail_on, keep */
    int fd;
    dev_t device; /* with inode: which file it is, whatever its name */
    ino_t inode;
    int64_t bytes;
    int64_t changed_ns;        /* Unix time of its last change when it was opened */
    char sha256[IMAGE_SHA256]; /* of its content; empty until it has been read whole */
    const struct image_format *format;
    VipsSource *source;
    VipsImage *header;  /* opened, nothing decoded yet */
    int width, height;  /* upright, of one picture or frame */
    int orientation;    /* as stored: 1..8, of EXIF */
    bool sideways;      /* stored with width and height exchanged */
    int pages;          /* pictures or frames in the file; at least 1 */
    int page;           /* which is taken, from 0; -1: not chosen yet, the loader's default */
    bool motion;        /* all frames are taken, one below the other */
    bool weighted;      /* colours are stored multiplied with their opacity */
    enum image_end end; /* of its coded pixels */
    struct image_jpeg jpeg; /* of a JPEG file */
    bool read_whole;        /* it is decoded down to its last row */
    GPtrArray *warnings;    /* sentences for the return value; borrowed */
};

/* Opens the file, tells its format by content and checks the limits. Nothing is decoded.
 * The input, whose `warnings` are set before, is to be closed in any case. */
enum handler_result image_input_open(struct image_input *input, int root,
    const struct image_request *request, const struct image_options *options, GString *why);

/* For an input from which all has been read: refuses what fail_on says of the complaints of
 * decoders, and a file that was changed meanwhile. The other complaints become warnings. */
enum handler_result image_input_finish(const struct image_input *input, GString *why);

/* Whether somebody is still writing the file. May wait for a second to see it, when it was
 * changed just now. */
bool image_input_is_changing(const struct image_input *input);

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

/* ---- image_load.c, image_memory.c: reading through libvips ------------------------------- */

/* Opens the image once more, decoded at 1/shrink; costs nothing yet: libvips decodes when
 * pixels are asked for. NULL on failure. */
VipsImage *image_load(const struct image_input *input, int shrink);

/* Refuses an input whose decode would take more than the process may hold. */
enum handler_result image_memory_check(
    const struct image_input *input, const struct image_options *options, GString *why);

/* ---- image_messages.c: what libvips and its decoders say ----------------------------------
 */

/* Keeps a warning that goes to GLib's log (a GLogFunc), until it is taken or cleared. */
void image_messages_note(
    const char *domain, GLogLevelFlags level, const char *message, void *arg);
/* Forgets all that has been said, the error buffer of libvips included. */
void image_messages_clear(void);
/* Judges what has been said of an input that has been decoded by fail_on. */
enum handler_result image_judge_messages(const struct image_input *input, GString *why);
/* Whether it was the decoder that failed, or anything but the encoder. */
bool image_decoder_failed(void);
/* The reason from what libvips said, for an input that does not decode. */
enum handler_result image_refuse_damaged(const struct image_input *input, GString *why);
/* The same, where it is known. "input "x.jpg"" begins the sentence. Fails for good, unless the
 * file is still being written. */
enum handler_result image_refuse_broken(
    const struct image_input *input, GString *why, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* ---- image_check.c, image_check_*.c: damage that the decoders do not notice ---------------
 */

image_end_fn image_jpeg_end, image_png_end, image_webp_end, image_gif_end, image_tiff_end,
    image_heif_end;

/* Of an input whose end is END_UNSURE; decodes it. */
enum image_end image_webp_true_end(struct image_input *input);

/* The first complaint of each kind; empty: none. */
struct image_complaints {
    char harmless[256], damage[256];
};

/* Whether a JPEG that has been decoded had all its pixels before libvips came to the mark of
 * its end: then something may have been lost on the way, of which libjpeg has not complained.
 */
bool image_jpeg_ended_early(const struct image_input *input);
/* Decodes a JPEG file for what libjpeg complains of. */
void image_jpeg_complaints(int fd, struct image_complaints *complaints);
/* Pixels of a TIFF that libvips decodes at once. */
int64_t image_tiff_part_pixels(const struct image_input *input);

/* ---- image_decode.c ---------------------------------------------------------------------- */

/* With motion: all frames as they are stored, sRGB, in memory, for image_motion.c. Else decodes
 * once, as small as the plans allow: upright, sRGB, eight bits, without metadata but what the
 * job keeps. Unless told to `keep` its pixels the image may be lazy: then damage in the file
 * shows up only when it is saved. */
enum handler_result image_input_decode(const struct image_input *input,
    const struct image_plan *plans, size_t count, bool keep, VipsImage **out, GString *why);

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
/* Drops all metadata, and puts on the image what the job keeps of the input's: the fields EXIF,
 * XMP and IPTC of libvips, each as it is to be written. */
int image_clean(const struct image_input *input, VipsImage *in, VipsImage **out);
/* Whether image_clean() found something to keep. */
bool image_has_rights(VipsImage *image);

#endif /* OX_WORKER_HANDLERS_IMAGE_INPUT_H */
