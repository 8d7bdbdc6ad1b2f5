/*
 * image_check_heif.c - where the coded pictures of a HEIF file (HEIC, AVIF) end.
 *
 * "meta" lists the pictures (items): "iinf" their kinds, "iloc" where in the file they lie.
 * What HEVC writes never holds three zeros in a row, and the coder of AV1 ends in a bit that is
 * set.
 */
#include "handlers/image_check.h"
#include "handlers/image_parts.h"
#include "handlers/image_span.h"

/* The kind of an item by its number; 0: it is not listed. */
static guint32 kind_of(struct span meta, guint32 item)
{
    struct span list = find_box(meta, KIND('i', 'i', 'n', 'f')), entry;
    skip(&list, take(&list, 4) >> 24 ? 4 : 2);
    for (int i = 0; i < MAX_BOXES && next_box(&list, &entry) != 0; i++) {
        guint64 version = take(&entry, 4) >> 24;
        if (take(&entry, version > 2 ? 4 : 2) == item) {
            skip(&entry, 2);
            return (guint32)take(&entry, 4);
        }
    }
    return 0;
}

static gint64 zeros_of(guint32 kind)
{
    switch (kind) {
    case KIND('h', 'v', 'c', '1'):
        return 3;
    case KIND('a', 'v', '0', '1'):
        return ENOUGH_ZEROS;
    default:
        return 0;
    }
}

/* How wide the numbers of "iloc" are, in bytes. */
struct widths {
    guint64 version;
    size_t id, offset, length, base, index;
};

/* The next item, whose data may lie in several pieces. */
static enum image_end check_item(const struct image_input *input, struct span meta,
    struct span *table, const struct widths *w)
{
    guint32 item = (guint32)take(table, w->id);
    guint64 method = w->version > 0 ? take(table, 2) & 15 : 0;
    skip(table, 2);
    guint64 base = take(table, w->base), pieces = take(table, 2);
    gint64 zeros = method == 0 ? zeros_of(kind_of(meta, item)) : 0;
    enum image_end end = END_WHOLE;
    for (guint64 i = 0; i < pieces && table->left > 0; i++) {
        skip(table, w->version > 0 ? w->index : 0);
        guint64 start = base + take(table, w->offset), bytes = take(table, w->length);
        if (zeros == 0 || bytes == 0) {
            continue;
        }
        if (start > (guint64)input->bytes || bytes > (guint64)input->bytes - start) {
            return END_CUT;
        }
        end = image_payload_end(input, (gint64)start, (gint64)(start + bytes), zeros);
    }
    return end; /* of the last piece */
}

enum image_end image_heif_end(struct image_input *input)
{
    struct span meta;
    g_autofree guint8 *data =
        read_top(input->fd, input->bytes, KIND('m', 'e', 't', 'a'), &meta);
    if (data == NULL) {
        return END_WHOLE; /* for libheif to judge */
    }
    skip(&meta, 4);
    struct span table = find_box(meta, KIND('i', 'l', 'o', 'c'));
    struct widths w = { .version = take(&table, 4) >> 24 };
    guint64 sizes = take(&table, 2);
    w.offset = sizes >> 12;
    w.length = sizes >> 8 & 15;
    w.base = sizes >> 4 & 15;
    w.index = sizes & 15;
    w.id = w.version > 1 ? 4 : 2;
    guint64 items = take(&table, w.id);
    enum image_end end = END_WHOLE;
    for (guint64 i = 0; end == END_WHOLE && i < MIN(items, MAX_BOXES) && table.left > 0; i++) {
        end = check_item(input, meta, &table, &w);
    }
    return end;
}
