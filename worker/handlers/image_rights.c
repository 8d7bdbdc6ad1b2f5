/*
 * image_rights.c - the metadata that outputs carry.
 *
 * A photo carries where and when it was taken, the camera's serial number and often a smaller
 * copy of itself from before it was cut. None of that belongs on a public page, so outputs are
 * written bare, except for who holds the rights: the EXIF fields Artist and Copyright, in a
 * block that is built anew here so that nothing else can slip through.
 *
 * Where a job keeps all, the block is built anew as well, tag by tag. What the outputs show no
 * longer is left out: the orientation, the size, previews, and the notes of camera makers,
 * which hold more previews and places that moved.
 */
#include "handlers/image_parts.h"
#include "handlers/image_texts.h"

#include <string.h>

enum { MAX_BLOCK = 60000, MAX_ENTRIES = 512, ENTRY_BYTES = 12, BLOCK_HEAD = 6 };

/* ---- A block of EXIF --------------------------------------------------------------------- */

/* A directory as it is written: entries first, values that do not fit into them behind. */
struct directory {
    GByteArray *entries, *values;
    guint32 count;
    guint32 at;    /* where it begins, behind "Exif\0\0" */
    guint32 total; /* how many entries it is going to have */
    bool big_endian;
};

static void put(GByteArray *to, guint32 value, int bytes, bool big_endian)
{
    for (int i = 0; i < bytes; i++) {
        int shift = 8 * (big_endian ? bytes - 1 - i : i);
        g_byte_array_append(to, &(guint8){ (guint8)(value >> shift) }, 1);
    }
}

static struct directory directory_new(guint32 at, guint32 total, bool big_endian)
{
    return (struct directory){ .entries = g_byte_array_new(),
        .values = g_byte_array_new(),
        .at = at,
        .total = total,
        .big_endian = big_endian };
}

static guint32 values_at(const struct directory *dir)
{
    return dir->at + 2 + dir->total * ENTRY_BYTES + 4 + dir->values->len;
}

static void put_entry(struct directory *dir, guint16 tag, guint16 type, guint32 count,
    const void *data, size_t bytes)
{
    put(dir->entries, tag, 2, dir->big_endian);
    put(dir->entries, type, 2, dir->big_endian);
    put(dir->entries, count, 4, dir->big_endian);
    dir->count++;
    if (bytes <= 4) {
        guint8 inside[4] = { 0 };
        memcpy(inside, data, bytes);
        g_byte_array_append(dir->entries, inside, sizeof inside);
        return;
    }
    put(dir->entries, values_at(dir), 4, dir->big_endian);
    g_byte_array_append(dir->values, data, (guint)bytes);
    if (bytes & 1) {
        put(dir->values, 0, 1, false);
    }
}

static void put_text(struct directory *dir, guint16 tag, const char *text)
{
    if (text != NULL) {
        put_entry(dir, tag, IFD_ASCII, (guint32)strlen(text) + 1, text, strlen(text) + 1);
    }
}

/* Appends the whole directory, unless `to` is NULL, and drops it. */
static void directory_end(struct directory *dir, GByteArray *to)
{
    if (to != NULL) {
        put(to, dir->count, 2, dir->big_endian);
        g_byte_array_append(to, dir->entries->data, dir->entries->len);
        for (guint32 i = dir->count; i < dir->total; i++) { /* room that was not needed */
            g_byte_array_append(to, (const guint8[ENTRY_BYTES]){ 0 }, ENTRY_BYTES);
        }
        put(to, 0, 4, dir->big_endian); /* no further directory */
        g_byte_array_append(to, dir->values->data, dir->values->len);
    }
    g_byte_array_unref(dir->entries);
    g_byte_array_unref(dir->values);
}

static GByteArray *block_new(bool big_endian)
{
    GByteArray *block = g_byte_array_new();
    g_byte_array_append(block, (const guint8 *)"Exif\0\0", 6);
    g_byte_array_append(block, (const guint8 *)(big_endian ? "MM\0*" : "II*\0"), 4);
    put(block, 8, 4, big_endian);
    return block;
}

/* Only who holds the rights; NULL when nobody is named. */
static GByteArray *rights_block(const struct image_texts *texts)
{
    guint32 count = (texts->artist != NULL) + (texts->copyright != NULL);
    if (count == 0) {
        return NULL;
    }
    GByteArray *block = block_new(false);
    struct directory dir = directory_new(8, count, false);
    put_text(&dir, TAG_ARTIST, texts->artist);
    put_text(&dir, TAG_COPYRIGHT, texts->copyright);
    directory_end(&dir, block);
    return block;
}

/* ---- All tags ---------------------------------------------------------------------------- */

/* Of the first directory, what says something of the photo; the rest is how a TIFF is laid out.
 */
static bool is_descriptive(guint16 tag)
{
    static const guint16 tags[] = { 0x010e, 0x010f, 0x0110, 0x011a, 0x011b, 0x0128, 0x0131,
        0x0132, TAG_ARTIST, 0x013c, 0x4746, 0x4749, TAG_COPYRIGHT, 0x9c9b, 0x9c9c, 0x9c9d,
        0x9c9e, 0x9c9f };
    for (size_t i = 0; i < G_N_ELEMENTS(tags); i++) {
        if (tags[i] == tag) {
            return true;
        }
    }
    return false;
}

static bool is_outdated(guint16 tag)
{
    return tag == TAG_MAKER_NOTE || tag == TAG_PIXEL_X || tag == TAG_PIXEL_Y ||
           tag == TAG_INTEROP;
}

/* Where entries are copied to. */
struct copying {
    GArray *entries; /* of struct image_entry */
    bool first;      /* the first directory, of which only some tags are taken */
};

static bool note_entry(const struct image_ifd *ifd, const struct image_entry *entry, void *arg)
{
    (void)ifd;
    struct copying *copying = arg;
    bool taken = copying->first ? is_descriptive(entry->tag) : !is_outdated(entry->tag);
    if (taken && entry->bytes <= MAX_BLOCK && copying->entries->len < MAX_ENTRIES &&
        entry->type <= 12) {
        g_array_append_val(copying->entries, *entry);
    }
    return true;
}

static int by_tag(gconstpointer a, gconstpointer b)
{
    const struct image_entry *left = a, *right = b;
    return (left->tag > right->tag) - (left->tag < right->tag);
}

/* Values of several bytes stay in the byte order of their source, which is that of the block.
 */
static void copy_entry(
    struct directory *dir, const struct image_ifd *ifd, const struct image_entry *entry)
{
    g_autoptr(GBytes) values = image_ifd_values(ifd, entry, MAX_BLOCK);
    if (values != NULL) {
        put_entry(dir, entry->tag, entry->type, (guint32)entry->count,
            g_bytes_get_data(values, NULL), g_bytes_get_size(values));
    }
}

/* Where the directories are that the first one points to; 0: there is none. */
struct below {
    guint32 exif, gps;
};

static void put_pointer(struct directory *dir, guint16 tag, guint32 at)
{
    guint8 value[4];
    for (int i = 0; i < 4; i++) {
        value[i] = (guint8)(at >> 8 * (dir->big_endian ? 3 - i : i));
    }
    if (at != 0) {
        put_entry(dir, tag, IFD_LONG, 1, value, sizeof value);
    }
}

static void put_pointers(struct directory *dir, struct below *below)
{
    put_pointer(dir, TAG_EXIF, below->exif);
    put_pointer(dir, TAG_GPS, below->gps);
    *below = (struct below){ 0, 0 };
}

static struct directory copy_directory(const struct image_ifd *ifd, guint64 start, bool first,
    struct below below, const GByteArray *block)
{
    struct copying copying = { g_array_new(FALSE, FALSE, sizeof(struct image_entry)), first };
    image_ifd_walk(ifd, start, note_entry, &copying);
    g_array_sort(copying.entries, by_tag);
    guint32 total = copying.entries->len + (below.exif != 0) + (below.gps != 0);
    struct directory dir = directory_new(block->len - BLOCK_HEAD, total, ifd->big_endian);
    for (guint i = 0; i < copying.entries->len; i++) {
        const struct image_entry *entry =
            &g_array_index(copying.entries, struct image_entry, i);
        if (entry->tag > TAG_GPS) { /* in the order of their tags */
            put_pointers(&dir, &below);
        }
        copy_entry(&dir, ifd, entry);
    }
    put_pointers(&dir, &below);
    g_array_unref(copying.entries);
    return dir;
}

/* Appends a copy of a directory that the first one points to. The result is where it begins; 0:
 * there is none. */
static guint32 copy_below(const struct image_ifd *ifd, guint16 tag, GByteArray *block)
{
    struct image_entry pointer;
    if (!image_ifd_find(ifd, ifd->first, tag, &pointer)) {
        return 0;
    }
    guint64 start = image_ifd_number(ifd, &pointer, 0);
    struct directory dir = copy_directory(ifd, start, false, (struct below){ 0, 0 }, block);
    guint32 at = dir.count > 0 ? dir.at : 0;
    directory_end(&dir, at != 0 ? block : NULL);
    return at;
}

/* The directories that the first one points to come first, for it has to say where they are.
 * NULL when there is nothing, or more than a JPEG could hold. */
static GByteArray *full_block(const struct image_input *input)
{
    struct image_ifd ifd;
    if (!image_tags_open(input, &ifd)) {
        return NULL;
    }
    GByteArray *block = block_new(ifd.big_endian);
    struct below below = { 0, 0 };
    below.exif = copy_below(&ifd, TAG_EXIF, block);
    below.gps = copy_below(&ifd, TAG_GPS, block);
    struct directory dir = copy_directory(&ifd, ifd.first, true, below, block);
    bool any = dir.count > 0;
    guint32 first = dir.at;
    directory_end(&dir, block);
    for (int i = 0; i < 4; i++) {
        block->data[BLOCK_HEAD + 4 + i] = (guint8)(first >> 8 * (ifd.big_endian ? 3 - i : i));
    }
    if (!any || block->len > MAX_BLOCK) {
        g_byte_array_unref(block);
        return NULL;
    }
    return block;
}

/* ---- XMP and IPTC ------------------------------------------------------------------------ */

/* Cuts out all from each `begin` to its `end`. False when one has no end. */
static bool cut_out(GString *text, const char *begin, const char *end)
{
    char *from;
    while ((from = strstr(text->str, begin)) != NULL) {
        char *to = strstr(from, end);
        if (to == NULL) {
            return false;
        }
        g_string_erase(text, from - text->str, to + strlen(end) - from);
    }
    return true;
}

/* What XMP says of the orientation holds no longer: 1 is upright. */
static void set_upright(GString *text)
{
    static const char name[] = "tiff:Orientation";
    for (char *at = strstr(text->str, name); at != NULL; at = strstr(at, name)) {
        at += strlen(name);
        at += strspn(at, "=\"'>");
        if (*at >= '2' && *at <= '8') {
            *at = '1';
        }
    }
}

static void keep_xmp(VipsImage *header, VipsImage *clean)
{
    const void *data;
    size_t bytes;
    if (!vips_image_get_typeof(header, VIPS_META_XMP_NAME) ||
        vips_image_get_blob(header, VIPS_META_XMP_NAME, &data, &bytes) || bytes > MAX_BLOCK ||
        memchr(data, '\0', bytes) != NULL) {
        return;
    }
    g_autoptr(GString) text = g_string_new_len(data, (gssize)bytes);
    set_upright(text);
    if (cut_out(text, "<xmp:Thumbnails", "</xmp:Thumbnails>") &&
        cut_out(text, "<xap:Thumbnails", "</xap:Thumbnails>") &&
        strstr(text->str, "GImg:image") == NULL) {
        vips_image_set_blob_copy(clean, VIPS_META_XMP_NAME, text->str, text->len);
    }
}

/* Only the records: Photoshop keeps a preview beside them. */
static void keep_iptc(VipsImage *header, VipsImage *clean)
{
    static const char head[] = "Photoshop 3.0\08BIM\x04\x04\0\0";
    const void *data;
    size_t bytes;
    if (!vips_image_get_typeof(header, VIPS_META_IPTC_NAME) ||
        vips_image_get_blob(header, VIPS_META_IPTC_NAME, &data, &bytes)) {
        return;
    }
    g_autoptr(GBytes) records = image_iptc_records(data, bytes);
    gsize length = 0;
    const guint8 *content = g_bytes_get_data(records, &length);
    if (length == 0 || length > MAX_BLOCK) {
        return;
    }
    g_autoptr(GByteArray) block = g_byte_array_new();
    g_byte_array_append(block, (const guint8 *)head, sizeof head - 1);
    put(block, (guint32)length, 4, true);
    g_byte_array_append(block, content, (guint)length);
    if (length & 1) {
        put(block, 0, 1, false);
    }
    vips_image_set_blob_copy(clean, VIPS_META_IPTC_NAME, block->data, block->len);
}

/* ------------------------------------------------------------------------------------------ */

bool image_has_rights(VipsImage *image)
{
    return vips_image_get_typeof(image, VIPS_META_EXIF_NAME) != 0 ||
           vips_image_get_typeof(image, VIPS_META_XMP_NAME) != 0 ||
           vips_image_get_typeof(image, VIPS_META_IPTC_NAME) != 0;
}

static void keep_exif(const struct image_input *input, VipsImage *clean)
{
    GByteArray *block = input->request->keep == KEEP_ALL ? full_block(input) : NULL;
    if (block == NULL) {
        struct image_texts texts;
        image_texts_read(input, &texts);
        block = rights_block(&texts);
        image_texts_clear(&texts);
    }
    if (block != NULL) {
        vips_image_set_blob_copy(clean, VIPS_META_EXIF_NAME, block->data, block->len);
        g_byte_array_unref(block);
    }
}

int image_clean(const struct image_input *input, VipsImage *in, VipsImage **out)
{
    if (vips_copy(in, out, NULL)) {
        return -1;
    }
    g_auto(GStrv) fields = vips_image_get_fields(*out);
    for (char **field = fields; *field != NULL; field++) {
        vips_image_remove(*out, *field);
    }
    if (input->request->keep != KEEP_NONE) {
        keep_exif(input, *out);
    }
    if (input->request->keep == KEEP_ALL) {
        keep_xmp(input->header, *out);
        keep_iptc(input->header, *out);
    }
    return 0;
}
