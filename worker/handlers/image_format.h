/*
 * image_format.h - the formats: one row each.
 */
#ifndef OX_WORKER_HANDLERS_IMAGE_FORMAT_H
#define OX_WORKER_HANDLERS_IMAGE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <vips/vips.h>

struct image_input;
struct image_output;

typedef int image_load_fn(VipsSource *source, VipsImage **out, ...);
/* Writes no metadata. `*data` is freed with g_free(). */
typedef int image_save_fn(
    VipsImage *image, const struct image_output *output, void **data, size_t *bytes);

/* What says which way is up. TURNED_ALREADY: the loader turns it, or nothing can say. */
enum image_turned_by { TURNED_ALREADY, TURNED_BY_EXIF, TURNED_BY_TAG };

/* Where there may be motion that the loader says nothing of: in a chunk of PNG, in a track of
 * HEIF. */
enum image_hides { HIDES_NO_FRAMES, FRAMES_IN_CHUNK, FRAMES_IN_TRACK };

/* How the coded pixels of a file end. */
enum image_end {
    END_WHOLE,
    END_UNMARKED, /* the mark of the end is missing, not necessarily anything else */
    END_UNSURE,   /* in zeros, which only a decode can judge */
    END_CUT,      /* in the middle */
    END_ZEROS     /* in the middle, and the rest is zeros */
};
typedef enum image_end image_end_fn(struct image_input *input);

struct image_format {
    const char *name;
    const char *endings[4]; /* lower case; the first is given to new files */
    const char *loader;     /* the class in libvips, the only ones that may run */
    image_load_fn *load;
    image_end_fn *end;    /* looks for damage that the loader does not notice */
    bool warns_of_damage; /* the loader: damage, and what is harmless is no warning */
    image_save_fn *save;  /* NULL: is read, but not written */
    bool shrinks;         /* can be decoded at 1/2, 1/4 and 1/8 of its size for less work */
    int max_side;         /* pixels that the file format can hold in one direction */
    int quality;          /* the default of lossy outputs; 0: takes none */
    bool lossless;        /* can be lossless.. */
    bool lossless_first;  /* ..and is unless told otherwise */
    bool alpha;           /* can be transparent */
    bool motion;          /* can be an animation */
    enum image_turned_by turned_by;
    enum image_hides hides_frames;
    bool paged;  /* the loader takes a page, and tells how many there are */
    bool chroma; /* the sampling of colours can be chosen */
    enum { NEVER, ON_DEMAND, BY_DEFAULT } progressive;
    int effort_min, effort_max, effort; /* the scale and the default; max 0: takes none */
};

/* Ended by a row without name. */
extern const struct image_format image_formats[];

const struct image_format *image_format_by_name(const char *name);
/* By the ending of a file's name. */
const struct image_format *image_format_by_ending(const char *file);
/* By the first bytes of a file. */
const struct image_format *image_format_by_content(const unsigned char *head, size_t len);

#endif /* OX_WORKER_HANDLERS_IMAGE_FORMAT_H */
