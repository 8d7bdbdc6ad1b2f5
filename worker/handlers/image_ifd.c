/*
 * image_ifd.c - reads directories of tags, of TIFF files and of EXIF blocks.
 *
 * Some cameras write entries that make no sense: values outside the block, unknown types. Such
 * an entry is passed over and the next one is read, where libexif gives the whole block up and
 * a photo would lie on its side. All that is read is bounded: entries by MAX_ENTRIES, places
 * by the size of the source.
 */
#include "handlers/image_ifd.h"

#include <string.h>
#include <unistd.h>

enum { MAX_ENTRIES = 4096 };

static bool fetch(const struct image_ifd *ifd, guint64 at, void *to, size_t bytes)
{
    if (at > ifd->bytes || bytes > ifd->bytes - at) {
        return false;
    }
    if (ifd->data != NULL) {
        memcpy(to, ifd->data + at, bytes);
        return true;
    }
    return pread(ifd->fd, to, bytes, (off_t)at) == (ssize_t)bytes;
}

static guint64 number(const struct image_ifd *ifd, const guint8 *at, int bytes)
{
    guint64 value = 0;
    for (int i = 0; i < bytes; i++) {
        value = value << 8 | at[ifd->big_endian ? i : bytes - 1 - i];
    }
    return value;
}

static bool open_header(struct image_ifd *ifd)
{
    guint8 head[16] = { 0 };
    if (!fetch(ifd, 0, head, 8) || head[0] != head[1] || (head[0] != 'I' && head[0] != 'M')) {
        return false;
    }
    ifd->big_endian = head[0] == 'M';
    guint64 version = number(ifd, head + 2, 2);
    ifd->wide = version == 43;
    if (ifd->wide && !fetch(ifd, 0, head, sizeof head)) {
        return false;
    }
    ifd->first = ifd->wide ? number(ifd, head + 8, 8) : number(ifd, head + 4, 4);
    return version == 42 || version == 43;
}

bool image_ifd_open_memory(struct image_ifd *ifd, const void *data, size_t bytes)
{
    size_t skip = bytes > 6 && memcmp(data, "Exif\0\0", 6) == 0 ? 6 : 0;
    *ifd = (struct image_ifd){
        .data = (const guint8 *)data + skip, .fd = -1, .bytes = bytes - skip
    };
    return open_header(ifd);
}

bool image_ifd_open_file(struct image_ifd *ifd, int fd, guint64 bytes)
{
    *ifd = (struct image_ifd){ .fd = fd, .bytes = bytes };
    return open_header(ifd);
}

/* Bytes of one value of a type; 0: no such type. 129 is the UTF-8 of EXIF 3.0. */
static guint64 type_bytes(guint16 type)
{
    static const guint8 sizes[] = { 0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8 };
    return type == 129 ? 1 : type < G_N_ELEMENTS(sizes) ? sizes[type] : 0;
}

/* False for an entry that makes no sense. `at` is where its bytes, `raw`, lie. */
static bool read_entry(
    const struct image_ifd *ifd, const guint8 *raw, guint64 at, struct image_entry *entry)
{
    int place_bytes = ifd->wide ? 8 : 4;
    entry->tag = (guint16)number(ifd, raw, 2);
    entry->type = (guint16)number(ifd, raw + 2, 2);
    entry->count = number(ifd, raw + 4, place_bytes);
    guint64 size = type_bytes(entry->type);
    if (size == 0 || entry->count == 0 || entry->count > ifd->bytes / size) {
        return false;
    }
    entry->bytes = entry->count * size;
    entry->at = entry->bytes <= (guint64)place_bytes
                    ? at + 4 + (guint64)place_bytes
                    : number(ifd, raw + 4 + place_bytes, place_bytes);
    return entry->at <= ifd->bytes && entry->bytes <= ifd->bytes - entry->at;
}

guint64 image_ifd_walk(
    const struct image_ifd *ifd, guint64 start, image_entry_fn *each, void *arg)
{
    guint8 raw[8];
    int count_bytes = ifd->wide ? 8 : 2, place_bytes = ifd->wide ? 8 : 4;
    guint64 entry_bytes = ifd->wide ? 20 : 12;
    if (start == 0 || !fetch(ifd, start, raw, (size_t)count_bytes)) {
        return 0;
    }
    guint64 count = number(ifd, raw, count_bytes);
    guint64 at = start + (guint64)count_bytes;
    if (count > MAX_ENTRIES) {
        return 0;
    }
    /* Those that are there, read at once: a file may have many directories. */
    guint64 whole = MIN(count, (ifd->bytes - at) / entry_bytes);
    g_autofree guint8 *entries = g_malloc(whole * entry_bytes + 1);
    if (!fetch(ifd, at, entries, whole * entry_bytes)) {
        return 0;
    }
    for (guint64 i = 0; i < whole; i++) {
        struct image_entry entry;
        guint64 before = i * entry_bytes;
        if (read_entry(ifd, entries + before, at + before, &entry) && !each(ifd, &entry, arg)) {
            return 0;
        }
    }
    at += count * entry_bytes;
    return fetch(ifd, at, raw, (size_t)place_bytes) ? number(ifd, raw, place_bytes) : 0;
}

struct wanted {
    guint16 tag;
    bool found;
    struct image_entry *entry;
};

static bool is_wanted(const struct image_ifd *ifd, const struct image_entry *entry, void *arg)
{
    (void)ifd;
    struct wanted *wanted = arg;
    wanted->found = entry->tag == wanted->tag;
    if (wanted->found) {
        *wanted->entry = *entry;
    }
    return !wanted->found;
}

bool image_ifd_find(
    const struct image_ifd *ifd, guint64 start, guint16 tag, struct image_entry *entry)
{
    struct wanted wanted = { .tag = tag, .entry = entry };
    image_ifd_walk(ifd, start, is_wanted, &wanted);
    return wanted.found;
}

guint64 image_ifd_number(
    const struct image_ifd *ifd, const struct image_entry *entry, guint64 missing)
{
    guint8 raw[8];
    static const int sizes[] = {
        [1] = 1, [IFD_SHORT] = 2, [IFD_LONG] = 4, [13] = 4, [16] = 8, [18] = 8
    };
    int bytes = entry->type < G_N_ELEMENTS(sizes) ? sizes[entry->type] : 0;
    if (bytes == 0 || !fetch(ifd, entry->at, raw, (size_t)bytes)) {
        return missing;
    }
    return number(ifd, raw, bytes);
}

GBytes *image_ifd_values(
    const struct image_ifd *ifd, const struct image_entry *entry, size_t max)
{
    size_t bytes = (size_t)MIN(entry->bytes, max);
    guint8 *data = g_malloc(bytes + 1);
    if (!fetch(ifd, entry->at, data, bytes)) {
        g_free(data);
        return NULL;
    }
    return g_bytes_new_take(data, bytes);
}
