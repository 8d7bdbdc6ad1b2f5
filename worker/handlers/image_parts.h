/*
 * image_parts.h - what all files of the image handler share, and where things stand.
 *
 *   image.c          the handler's row, its options, libvips
 *   image_job.c      a job: the order of it all
 *   image_request.c  job data -> struct image_request: which fields go together
 *   image_format.c   the formats: how each is recognised, what it can hold
 *   image_fields.c   the fields of job data, as rows
 *   image_input.c    the input: opening it, its format, the limits judged on its header
 *   image_pages.c    which picture of several, or the motion
 *   image_boxes.c    what HEIF and PNG hide from their loaders
 *   image_load.c     reading it through libvips
 *   image_memory.c   how much memory that takes, told from the header
 *   image_messages.c what libvips and its decoders say: reasons and warnings
 *   image_check.c    damage that the decoders do not notice; image_check_*.c: by format
 *   image_span.h     bytes in order, boxes of HEIF
 *   image_decode.c   from the input to upright sRGB pixels, once for all outputs
 *   image_orient.c   which way is up
 *   image_ifd.c      directories of tags, of EXIF and TIFF
 *   image_texts.c    who made the photo and holds the rights
 *   image_rights.c   what of the metadata is kept
 *   image_fit.c      the size of an output, by sharp's rules; no image is touched there
 *   image_pixels.c   keeping and resizing pixels
 *   image_reduce.c   the filter that makes pictures narrower
 *   image_colour.c   to sRGB
 *   image_frame.c    window, canvas, background, sharpening
 *   image_motion.c   all frames of an animation
 *   image_make.c     from the decoded picture to all outputs, largest first
 *   image_encode.c   from pixels to the bytes of a file
 *   image_avif.c     metadata into an AVIF
 *   image_search.c   the quality by max_bytes and target
 *   image_similar.c  structural similarity
 *   image_kept.c     the input's own data as an output
 *   image_segments.c the metadata of a coded file
 *   image_thumbhash.c  the placeholder
 *   image_record.c   what an earlier job made already
 *   image_place.c    the output file: its folder, the temporary file
 *   image_commit.c   all outputs in place, or none
 *   image_sum.c      SHA-256
 *   image_sweep.c    clearing what killed runs left behind
 *   image_result.c   the return value
 *
 * Steps that can fail return an enum handler_result: HANDLER_DONE (0) to go on, else how the
 * job ends, with the reason, a whole sentence, in `why`. Images are GObject references;
 * AUTO_IMAGE drops one at the end of its scope.
 */
#ifndef OX_WORKER_HANDLERS_IMAGE_PARTS_H
#define OX_WORKER_HANDLERS_IMAGE_PARTS_H

#include "handlers/image_output.h"

#define AUTO_IMAGE __attribute__((cleanup(image_drop))) VipsImage

static inline void image_drop(VipsImage **image)
{
    g_clear_object(image);
}

/* Writes the reason and hands `result` back, for `return image_refuse(...)`. */
enum handler_result image_refuse(
    GString *why, enum handler_result result, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Adds a sentence to the warnings of the return value. */
void image_warn(GPtrArray *warnings, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The reason for a failure of libvips, from its error buffer, which is cleared. Fails for good
 * unless memory ran out. `what` begins the sentence. */
enum handler_result image_refuse_vips(GString *why, const char *what);

#endif /* OX_WORKER_HANDLERS_IMAGE_PARTS_H */
