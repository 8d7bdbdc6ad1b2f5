/*
 * image_ifd.h - the directories of tags of which TIFF files and EXIF blocks consist.
 */
#ifndef OX_WORKER_HANDLERS_IMAGE_IFD_H
#define OX_WORKER_HANDLERS_IMAGE_IFD_H

#include <glib.h>
#include <stdbool.h>

/* Tags in use here. */
enum {
    TAG_SUBFILE_TYPE = 0x00fe,
    TAG_ORIENTATION = 0x0112,
    TAG_ARTIST = 0x013b,
    TAG_COPYRIGHT = 0x8298,
    TAG_EXIF = 0x8769, /* where the directory of exposure and so on begins */
    TAG_GPS = 0x8825,  /* where that of the place begins */
    TAG_MAKER_NOTE = 0x927c,
    TAG_PIXEL_X = 0xa002,
    TAG_PIXEL_Y = 0xa003,
    TAG_INTEROP = 0xa005
};

enum { IFD_ASCII = 2, IFD_SHORT = 3, IFD_LONG = 4 };

/* Where the tags are read from: bytes in memory, or a file. Nothing beyond `bytes` is read. */
struct image_ifd {
    const guint8 *data; /* borrowed; NULL: `fd` */
    int fd;
    guint64 bytes;
    bool big_endian;
    bool wide;     /* BigTIFF: counts and offsets have eight bytes */
    guint64 first; /* where the first directory begins */
};

struct image_entry {
    guint16 tag, type;
    guint64 count; /* of values, whose size follows from the type */
    guint64 bytes; /* of all values */
    guint64 at;    /* where they lie; within the source */
};

/* Reads the header. `data` may begin with "Exif\0\0". False when there is none. */
bool image_ifd_open_memory(struct image_ifd *ifd, const void *data, size_t bytes);
bool image_ifd_open_file(struct image_ifd *ifd, int fd, guint64 bytes);

/* Called with each entry whose values lie within the source; returns true to go on. */
typedef bool image_entry_fn(
    const struct image_ifd *ifd, const struct image_entry *entry, void *arg);
/* Goes through the directory at `start`. The result is where the next one begins; 0: there is
 * none, or it cannot be read. */
guint64 image_ifd_walk(
    const struct image_ifd *ifd, guint64 start, image_entry_fn *each, void *arg);

bool image_ifd_find(
    const struct image_ifd *ifd, guint64 start, guint16 tag, struct image_entry *entry);
/* The first value of an entry of whole numbers; `missing` when it is none. */
guint64 image_ifd_number(
    const struct image_ifd *ifd, const struct image_entry *entry, guint64 missing);
/* The values as they are; at most `max` bytes of them. NULL when they cannot be read. */
GBytes *image_ifd_values(
    const struct image_ifd *ifd, const struct image_entry *entry, size_t max);

#endif /* OX_WORKER_HANDLERS_IMAGE_IFD_H */
