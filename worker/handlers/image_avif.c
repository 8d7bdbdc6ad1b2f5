/*
 * image_avif.c - puts metadata into a finished AVIF.
 *
 * libvips can have libheif do it, but only after it has taken EXIF apart and put it together
 * again, which damages texts that are long or not ASCII. So outputs are encoded bare and their
 * "meta" box is built anew here, with an item more for EXIF and one for XMP: named in "iinf",
 * said to describe the picture in "iref", found by "iloc" in a box behind all others. As "meta"
 * grows, what lies behind it moves, and so do the places in "iloc".
 */
#include "handlers/image_parts.h"
#include "handlers/image_span.h"

/* What is added. */
struct item {
    const char *type;   /* four letters */
    const char *mime;   /* with its NUL; of items of type "mime" */
    const guint8 *head; /* that comes before the content */
    size_t head_bytes;
    const guint8 *data;
    size_t bytes;
    guint32 id;
    guint32 at; /* in the file */
};

/* The box as it is read, and what it is to become. */
struct remake {
    struct span meta; /* its content, without version and flags */
    struct item items[2];
    int count;
    guint32 primary;
    gint64 shift; /* by which what lies behind "meta" moves */
};

static void put(GByteArray *to, guint64 value, size_t bytes)
{
    for (size_t i = bytes; i-- > 0;) {
        g_byte_array_append(to, &(guint8){ (guint8)(value >> (8 * i)) }, 1);
    }
}

static void put_all(GByteArray *to, const void *data, size_t bytes)
{
    if (bytes > 0) {
        g_byte_array_append(to, data, (guint)bytes);
    }
}

/* Begins a box; the result is for box_end(), which fills in its length. */
static guint box_begin(GByteArray *to, const char *kind)
{
    guint start = to->len;
    put(to, 0, 4);
    put_all(to, kind, 4);
    return start;
}

static void box_end(GByteArray *to, guint start)
{
    guint32 bytes = GUINT32_TO_BE(to->len - start);
    memcpy(to->data + start, &bytes, sizeof bytes);
}

/* ---- Its parts --------------------------------------------------------------------------- */

/* The list of items: their number, then a box each, whose third number is its id. */
static void put_names(GByteArray *to, struct remake *all)
{
    struct span list = find_box(all->meta, KIND('i', 'i', 'n', 'f'));
    guint start = box_begin(to, "iinf");
    guint32 head = (guint32)take(&list, 4);
    size_t wide = head >> 24 ? 4 : 2;
    guint64 count = take(&list, wide);
    put(to, head, 4);
    put(to, count + (guint64)all->count, wide);
    put_all(to, list.at, list.left);
    for (int i = 0; i < all->count; i++) {
        guint item = box_begin(to, "infe");
        put(to, 2 << 24, 4); /* version 2 */
        put(to, all->items[i].id, 2);
        put(to, 0, 2); /* not protected */
        put_all(to, all->items[i].type, 4);
        put(to, 0, 1); /* no name */
        if (all->items[i].mime != NULL) {
            put_all(to, all->items[i].mime, strlen(all->items[i].mime) + 1);
        }
        box_end(to, item);
    }
    box_end(to, start);
}

static void put_references(GByteArray *to, const struct remake *all)
{
    struct span list = find_box(all->meta, KIND('i', 'r', 'e', 'f'));
    guint start = box_begin(to, "iref");
    guint32 head = (guint32)take(&list, 4);
    size_t wide = head >> 24 ? 4 : 2;
    put(to, head, 4);
    put_all(to, list.at, list.left);
    for (int i = 0; i < all->count; i++) {
        guint reference = box_begin(to, "cdsc");
        put(to, all->items[i].id, wide);
        put(to, 1, 2);
        put(to, all->primary, wide);
        box_end(to, reference);
    }
    box_end(to, start);
}

/* Sizes in bytes of the numbers of "iloc", and its version. */
struct widths {
    guint32 version;
    size_t offset, length, base, index;
};

/* One item's place. Where items have a common base, that is what moves. */
static void put_place(
    GByteArray *to, struct span *list, const struct widths *widths, gint64 shift)
{
    size_t id_bytes = widths->version < 2 ? 2 : 4;
    guint64 method = 0;
    put(to, take(list, id_bytes), id_bytes);
    if (widths->version > 0) {
        method = take(list, 2);
        put(to, method, 2);
    }
    bool in_file = (method & 15) == 0;
    bool by_base = widths->base > 0;
    put(to, take(list, 2), 2);
    guint64 base = take(list, widths->base);
    put(to, base + (guint64)(in_file && by_base ? shift : 0), widths->base);
    guint64 extents = take(list, 2);
    put(to, extents, 2);
    for (guint64 i = 0; i < extents && list->left > 0; i++) {
        put(to, take(list, widths->index), widths->index);
        guint64 offset = take(list, widths->offset);
        put(to, offset + (guint64)(in_file && !by_base ? shift : 0), widths->offset);
        put(to, take(list, widths->length), widths->length);
    }
}

static bool put_places(GByteArray *to, const struct remake *all)
{
    struct span list = find_box(all->meta, KIND('i', 'l', 'o', 'c'));
    guint start = box_begin(to, "iloc");
    guint32 head = (guint32)take(&list, 4), sizes = (guint32)take(&list, 2);
    struct widths widths = { head >> 24, sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15,
        head >> 24 ? sizes & 15 : 0 };
    size_t count_bytes = widths.version < 2 ? 2 : 4;
    guint64 count = take(&list, count_bytes);
    if (widths.version > 2 || widths.offset < 4 || widths.length < 4 || count > MAX_BOXES) {
        return false;
    }
    put(to, head, 4);
    put(to, sizes, 2);
    put(to, count + (guint64)all->count, count_bytes);
    for (guint64 i = 0; i < count; i++) {
        put_place(to, &list, &widths, all->shift);
    }
    for (int i = 0; i < all->count; i++) {
        const struct item *item = &all->items[i];
        put(to, item->id, widths.version < 2 ? 2 : 4);
        put(to, 0, widths.version > 0 ? 2 : 0); /* its place is one in the file */
        put(to, 0, 2);
        bool by_base = widths.base >= 4; /* as libheif has it: some readers know no other way */
        put(to, by_base ? item->at : 0, widths.base);
        put(to, 1, 2);
        put(to, 0, widths.index);
        put(to, by_base ? 0 : item->at, widths.offset);
        put(to, item->head_bytes + item->bytes, widths.length);
    }
    box_end(to, start);
    return true;
}

/* ---- The whole --------------------------------------------------------------------------- */

static guint32 largest_id(const struct remake *all)
{
    struct span list = find_box(all->meta, KIND('i', 'i', 'n', 'f')), item;
    guint32 largest = 0;
    take(&list, take(&list, 4) >> 24 ? 4 : 2);
    while (next_box(&list, &item) != 0) {
        guint32 version = (guint32)take(&item, 4) >> 24;
        guint32 id = (guint32)take(&item, version < 3 ? 2 : 4);
        largest = MAX(largest, id);
    }
    return largest;
}

/* The new "meta": its parts in their order, three of them made anew. */
static GByteArray *make_meta(struct remake *all)
{
    GByteArray *to = g_byte_array_new();
    struct span parts = all->meta, inside;
    bool referred = false, well = true;
    guint32 kind;
    guint start = box_begin(to, "meta");
    put(to, 0, 4);
    for (const guint8 *at = parts.at; (kind = next_box(&parts, &inside)) != 0; at = parts.at) {
        if (kind == KIND('i', 'i', 'n', 'f')) {
            put_names(to, all);
        } else if (kind == KIND('i', 'l', 'o', 'c')) {
            well = put_places(to, all);
        } else if (kind == KIND('i', 'r', 'e', 'f')) {
            put_references(to, all);
            referred = true;
        } else {
            put_all(to, at, (size_t)(parts.at - at));
        }
    }
    if (!referred) {
        put_references(to, all);
    }
    box_end(to, start);
    if (!well) {
        g_byte_array_unref(to);
        return NULL;
    }
    return to;
}

static void add_item(struct remake *all, VipsImage *clean, const char *field, struct item item)
{
    static const char head[] = "Exif\0";
    const void *data;
    if (!vips_image_get_typeof(clean, field) ||
        vips_image_get_blob(clean, field, &data, &item.bytes)) {
        return;
    }
    item.data = data;
    if (item.bytes > sizeof head && memcmp(item.data, head, sizeof head) == 0) {
        item.data += sizeof head;
        item.bytes -= sizeof head;
    }
    item.id = largest_id(all) + 1 + (guint32)all->count;
    all->items[all->count++] = item;
}

static void add_items(struct remake *all, VipsImage *clean)
{
    static const guint8 no_offset[4] = { 0 }; /* of the block in its item */
    add_item(all, clean, VIPS_META_EXIF_NAME,
        (struct item){ .type = "Exif", .head = no_offset, .head_bytes = sizeof no_offset });
    add_item(all, clean, VIPS_META_XMP_NAME,
        (struct item){ .type = "mime", .mime = "application/rdf+xml" });
}

/* Where the items come to lie: in a box of their own at the end. */
static void place_items(struct remake *all, guint64 end)
{
    guint64 at = end + 8;
    for (int i = 0; i < all->count; i++) {
        all->items[i].at = (guint32)at;
        at += all->items[i].head_bytes + all->items[i].bytes;
    }
}

GByteArray *image_avif_with_metadata(const guint8 *file, size_t bytes, VipsImage *clean)
{
    struct span boxes = { file, bytes }, inside;
    struct remake all = { 0 };
    const guint8 *begin = file;
    guint32 kind;
    while ((kind = next_box(&boxes, &inside)) != 0 && kind != KIND('m', 'e', 't', 'a')) {
        begin = boxes.at;
    }
    if (kind == 0 || bytes > G_MAXINT32) {
        return NULL;
    }
    all.meta = inside;
    skip(&all.meta, 4);
    struct span primary = find_box(all.meta, KIND('p', 'i', 't', 'm'));
    all.primary = (guint32)(take(&primary, 4) >> 24 ? take(&primary, 4) : take(&primary, 2));
    add_items(&all, clean);
    GByteArray *meta = make_meta(&all); /* once for its size, then with the places */
    if (meta == NULL) {
        return NULL;
    }
    all.shift = (gint64)meta->len - (boxes.at - begin);
    place_items(&all, bytes + (guint64)all.shift);
    g_byte_array_unref(meta);
    meta = make_meta(&all);
    GByteArray *to = g_byte_array_new();
    put_all(to, file, (size_t)(begin - file));
    put_all(to, meta->data, meta->len);
    put_all(to, boxes.at, boxes.left);
    guint data = box_begin(to, "mdat");
    for (int i = 0; i < all.count; i++) {
        put_all(to, all.items[i].head, all.items[i].head_bytes);
        put_all(to, all.items[i].data, all.items[i].bytes);
    }
    box_end(to, data);
    g_byte_array_unref(meta);
    return to;
}
