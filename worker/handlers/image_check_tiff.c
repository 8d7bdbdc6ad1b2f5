/*
 * image_check_tiff.c - the coded pixels of a TIFF file: where its strips or tiles end, and how
 * large they are.
 *
 * Pixels that are not compressed may end in zeros; what a coder wrote does not, or not in many.
 */
#include "handlers/image_check.h"
#include "handlers/image_ifd.h"
#include "handlers/image_parts.h"

enum {
    COMPRESSION = 0x103,
    STRIP_OFFSETS = 0x111,
    ROWS = 0x116,
    STRIP_BYTES = 0x117,
    TILE_WIDTH = 0x142,
    TILE_HEIGHT = 0x143,
    TILE_OFFSETS = 0x144,
    TILE_BYTES = 0x145
};

/* Of a file. What lies beyond is not looked at: checking takes a fraction of a second. */
enum { MAX_PARTS = 1 << 17, MAX_PAGES = 256 };

static bool go_on(const struct image_ifd *ifd, const struct image_entry *entry, void *arg)
{
    (void)ifd, (void)entry, (void)arg;
    return true;
}

/* Where the directory of a page begins; 0: it cannot be read. */
static guint64 directory_of(const struct image_ifd *ifd, int page)
{
    guint64 start = ifd->first;
    for (int i = 0; i < page && i < MAX_PAGES && start != 0; i++) {
        start = image_ifd_walk(ifd, start, go_on, NULL);
    }
    return start;
}

static guint64 number_of(
    const struct image_ifd *ifd, guint64 directory, guint16 tag, guint64 missing)
{
    struct image_entry entry;
    return image_ifd_find(ifd, directory, tag, &entry) ? image_ifd_number(ifd, &entry, missing)
                                                       : missing;
}

/* How many zeros its data never ends in; 0: it may end in any. PackBits may copy a hundred of
 * them, and fax codes are filled up with them. */
static gint64 zeros_of(guint64 compression)
{
    enum {
        NONE = 1,
        FAX_RUNS = 2,
        FAX_3 = 3,
        OLD_JPEG = 6,
        PACKBITS = 32773,
        FAX_WORDS = 32771
    };
    switch (compression) {
    case NONE:
    case OLD_JPEG:
        return 0;
    case PACKBITS:
        return 160;
    case FAX_RUNS:
    case FAX_3:
    case FAX_WORDS:
        return 64;
    default:
        return ENOUGH_ZEROS;
    }
}

/* A list of offsets or lengths. */
struct list {
    struct image_entry entry;
    struct image_window window;
};

static bool find_list(
    const struct image_ifd *ifd, guint64 directory, guint16 tag, struct list *list)
{
    list->window = (struct image_window){ .fd = ifd->fd };
    return image_ifd_find(ifd, directory, tag, &list->entry);
}

/* Its value at a place; 0: there is none. */
static guint64 value_at(const struct image_ifd *ifd, struct list *list, guint64 i)
{
    guint64 size = list->entry.bytes / list->entry.count, value = 0;
    const guint8 *raw =
        image_window_at(&list->window, (gint64)(list->entry.at + i * size), (gint64)size);
    for (guint64 byte = 0; raw != NULL && byte < size; byte++) {
        value = value << 8 | raw[ifd->big_endian ? byte : size - 1 - byte];
    }
    return value;
}

/* The strips or tiles of a page, as many as are `left` of all to look at. */
static enum image_end check_parts(const struct image_input *input, const struct image_ifd *ifd,
    guint64 directory, gint64 zeros, guint64 *left)
{
    struct list offsets, lengths;
    bool tiled = find_list(ifd, directory, TILE_OFFSETS, &offsets);
    if ((!tiled && !find_list(ifd, directory, STRIP_OFFSETS, &offsets)) ||
        !find_list(ifd, directory, tiled ? TILE_BYTES : STRIP_BYTES, &lengths)) {
        return END_WHOLE; /* for libtiff to judge */
    }
    guint64 count = MIN(MIN(offsets.entry.count, lengths.entry.count), *left);
    *left -= count;
    for (guint64 i = 0; i < count; i++) {
        guint64 start = value_at(ifd, &offsets, i), bytes = value_at(ifd, &lengths, i);
        if (start > (guint64)input->bytes || bytes > (guint64)input->bytes - start) {
            return END_CUT;
        }
        if (image_ends_in_zeros(input->fd, (gint64)start, (gint64)(start + bytes), zeros)) {
            return END_ZEROS;
        }
    }
    return END_WHOLE;
}

/* Of the pictures of one file, all are looked at: what broke off is the file. */
enum image_end image_tiff_end(struct image_input *input)
{
    struct image_ifd ifd;
    if (!image_ifd_open_file(&ifd, input->fd, (guint64)input->bytes)) {
        return END_WHOLE; /* for libtiff to judge */
    }
    guint64 directory = ifd.first, left = MAX_PARTS;
    enum image_end end = END_WHOLE;
    for (int i = 0; end == END_WHOLE && i < MAX_PAGES && directory != 0 && left > 0; i++) {
        gint64 zeros = zeros_of(number_of(&ifd, directory, COMPRESSION, 1));
        end = zeros > 0 ? check_parts(input, &ifd, directory, zeros, &left) : END_WHOLE;
        directory = image_ifd_walk(&ifd, directory, go_on, NULL);
    }
    return end;
}

/* libvips holds a strip, or two rows of tiles. */
gint64 image_tiff_part_pixels(const struct image_input *input)
{
    struct image_ifd ifd;
    gint64 width = input->header->Xsize, height = vips_image_get_page_height(input->header);
    if (!image_ifd_open_file(&ifd, input->fd, (guint64)input->bytes)) {
        return 0;
    }
    guint64 directory = directory_of(&ifd, MAX(input->page, 0));
    guint64 tile = number_of(&ifd, directory, TILE_HEIGHT, 0);
    if (tile > 0) {
        guint64 across = number_of(&ifd, directory, TILE_WIDTH, 0);
        guint64 rows = MIN(tile, G_MAXINT) * 2;
        return (gint64)rows * MAX(width, (gint64)MIN(across, G_MAXINT));
    }
    guint64 rows = number_of(&ifd, directory, ROWS, (guint64)height);
    return (gint64)MIN(rows, (guint64)height) * width;
}
