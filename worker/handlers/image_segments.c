/*
 * image_segments.c - the metadata of a coded file: all of its own away, that of a picture in.
 *
 * A file is taken apart into its segments (JPEG) or chunks (PNG, WebP). Those that a decoder
 * needs are copied, all others left out, and what the picture carries is written in their
 * place. What follows the end of the image is left out as well. A file that is not built as its
 * format demands is refused.
 */
#include "handlers/image_parts.h"

#include <string.h>

/* ---- Metadata ---------------------------------------------------------------------------- */

struct blob {
    const guint8 *data;
    size_t bytes;
};

static struct blob blob_of(VipsImage *clean, const char *field)
{
    const void *data;
    struct blob blob = { NULL, 0 };
    if (vips_image_get_typeof(clean, field) == VIPS_TYPE_BLOB &&
        !vips_image_get_blob(clean, field, &data, &blob.bytes)) {
        blob.data = data;
    }
    return blob;
}

#define EXIF_HEAD "Exif\0"

/* Only JPEG has the six bytes before the EXIF block that libvips keeps. */
static struct blob exif_of(VipsImage *clean, bool with_head)
{
    struct blob blob = blob_of(clean, VIPS_META_EXIF_NAME);
    size_t head = sizeof EXIF_HEAD;
    if (!with_head && blob.bytes > head && memcmp(blob.data, EXIF_HEAD, head) == 0) {
        blob.data += head;
        blob.bytes -= head;
    }
    return blob;
}

static void put(GByteArray *to, const void *data, size_t bytes)
{
    g_byte_array_append(to, data, (guint)bytes);
}

static guint32 get_be32(const guint8 *at)
{
    return (guint32)at[0] << 24 | (guint32)at[1] << 16 | (guint32)at[2] << 8 | at[3];
}

static void put_be32(GByteArray *to, guint32 value)
{
    guint32 big = GUINT32_TO_BE(value);
    put(to, &big, sizeof big);
}

/* ---- JPEG -------------------------------------------------------------------------------- */

enum {
    TEM = 0x01,
    RST0 = 0xd0,
    RST7 = 0xd7,
    SOI = 0xd8,
    EOI = 0xd9,
    SOS = 0xda,
    APP0 = 0xe0,
    APP1 = 0xe1,
    APP13 = 0xed,
    APP14 = 0xee,
    APP15 = 0xef,
    COM = 0xfe,
    JFIF_BYTES = 16,
    SEGMENT_MAX = 65533
};

/* Two texts in one segment. What does not fit one is left out. */
static void put_segment(
    GByteArray *to, guint8 marker, const char *head, size_t head_bytes, struct blob blob)
{
    size_t bytes = head_bytes + blob.bytes;
    if (blob.data == NULL || bytes > SEGMENT_MAX) {
        return;
    }
    const guint8 begin[] = { 0xff, marker, (guint8)((bytes + 2) >> 8), (guint8)(bytes + 2) };
    put(to, begin, sizeof begin);
    put(to, head, head_bytes);
    put(to, blob.data, blob.bytes);
}

static void put_jpeg_metadata(GByteArray *to, VipsImage *clean)
{
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/"; /* with its NUL */
    put_segment(to, APP1, "", 0, exif_of(clean, true));
    put_segment(to, APP1, xmp, sizeof xmp, blob_of(clean, VIPS_META_XMP_NAME));
    put_segment(to, APP13, "", 0, blob_of(clean, VIPS_META_IPTC_NAME));
}

/* JFIF says how dense the pixels are, and may hold a preview, which is left out. */
static void put_jfif(GByteArray *to, const guint8 *segment, size_t bytes)
{
    if (bytes < 2 + JFIF_BYTES || memcmp(segment + 4, "JFIF", 5) != 0) {
        return;
    }
    guint8 jfif[2 + JFIF_BYTES];
    memcpy(jfif, segment, sizeof jfif);
    jfif[2] = 0;
    jfif[3] = JFIF_BYTES;
    jfif[JFIF_BYTES] = jfif[JFIF_BYTES + 1] = 0; /* width and height of the preview */
    put(to, jfif, sizeof jfif);
}

static bool is_adobe(const guint8 *segment, size_t bytes)
{
    return segment[1] == APP14 && bytes >= 9 && memcmp(segment + 4, "Adobe", 5) == 0;
}

/* From behind the head of a scan to the next marker that is not part of it. */
static size_t skip_scan(const guint8 *file, size_t bytes, size_t at)
{
    while (at + 1 < bytes) {
        const guint8 *ff = memchr(file + at, 0xff, bytes - 1 - at);
        if (ff == NULL) {
            return bytes;
        }
        at = (size_t)(ff - file);
        if (ff[1] != 0 && ff[1] != 0xff && (ff[1] < RST0 || ff[1] > RST7)) {
            return at;
        }
        at += ff[1] == 0xff ? 1 : 2;
    }
    return bytes;
}

/* One marker, with the scan when one begins there. Returns where the next begins, or 0. */
static size_t copy_segment(GByteArray *to, const guint8 *file, size_t bytes, size_t at)
{
    const guint8 *segment = file + at;
    guint8 marker = segment[1];
    if (marker == TEM || (marker >= RST0 && marker <= SOI)) {
        return 0;
    }
    size_t length = at + 4 <= bytes ? 2 + (size_t)(segment[2] << 8 | segment[3]) : 0;
    size_t next = at + length;
    if (length < 4 || next >= bytes) {
        return 0;
    }
    if (marker == APP0) {
        if (at > 2) { /* else it has been copied */
            put_jfif(to, segment, length);
        }
        return next;
    }
    if ((marker > APP0 && marker <= APP15 && !is_adobe(segment, length)) || marker == COM) {
        return next;
    }
    if (marker == SOS) {
        next = skip_scan(file, bytes, next);
    }
    put(to, segment, next - at);
    return next;
}

static bool copy_jpeg(GByteArray *to, const guint8 *file, size_t bytes, VipsImage *clean)
{
    static const guint8 begin[] = { 0xff, SOI }, end[] = { 0xff, EOI };
    size_t at = 2;
    if (bytes < 4 || memcmp(file, begin, 2) != 0) {
        return false;
    }
    put(to, begin, sizeof begin);
    if (file[2] == 0xff && file[3] == APP0 && bytes > 2 + 2 + JFIF_BYTES) {
        put_jfif(to, file + 2, bytes - 2);
    }
    put_jpeg_metadata(to, clean);
    while (at != 0 && at + 1 < bytes && file[at] == 0xff && file[at + 1] != EOI) {
        at = file[at + 1] == 0xff ? at + 1 : copy_segment(to, file, bytes, at);
    }
    if (at == 0 || at + 1 >= bytes || file[at] != 0xff) {
        return false;
    }
    put(to, end, sizeof end);
    return true;
}

/* ---- PNG --------------------------------------------------------------------------------- */

enum { PNG_HEAD = 8, PNG_FRAME = 12, PNG_MOST = 0x7fffffff };

static guint32 crc_of(const guint8 *data, size_t bytes)
{
    guint32 crc = 0xffffffff;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
        }
    }
    return ~crc;
}

static void put_png_chunk(
    GByteArray *to, const char *kind, const char *head, size_t head_bytes, struct blob blob)
{
    if (blob.data == NULL || blob.bytes > PNG_MOST - head_bytes) {
        return;
    }
    put_be32(to, (guint32)(head_bytes + blob.bytes));
    guint start = to->len;
    put(to, kind, 4);
    put(to, head, head_bytes);
    put(to, blob.data, blob.bytes);
    put_be32(to, crc_of(to->data + start, to->len - start));
}

static void put_png_metadata(GByteArray *to, VipsImage *clean)
{
    /* Keyword, not compressed, no language. */
    static const char xmp[] = "XML:com.adobe.xmp\0\0\0\0"; /* and the NUL of the literal */
    put_png_chunk(to, "eXIf", "", 0, exif_of(clean, false));
    put_png_chunk(to, "iTXt", xmp, sizeof xmp, blob_of(clean, VIPS_META_XMP_NAME));
}

static bool png_chunk_is_needed(const guint8 *kind)
{
    static const char needed[][5] = { "IHDR", "PLTE", "tRNS", "IDAT", "IEND" };
    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++) {
        if (memcmp(kind, needed[i], 4) == 0) {
            return true;
        }
    }
    return false;
}

static bool copy_png(GByteArray *to, const guint8 *file, size_t bytes, VipsImage *clean)
{
    size_t at = PNG_HEAD;
    put(to, file, MIN(bytes, PNG_HEAD));
    while (at + PNG_FRAME <= bytes) {
        const guint8 *chunk = file + at, *kind = chunk + 4;
        size_t whole = (size_t)get_be32(chunk) + PNG_FRAME;
        if (whole > bytes - at) {
            return false;
        }
        if (png_chunk_is_needed(kind)) {
            put(to, chunk, whole);
        }
        if (memcmp(kind, "IHDR", 4) == 0) {
            put_png_metadata(to, clean);
        }
        if (memcmp(kind, "IEND", 4) == 0) {
            return true;
        }
        at += whole;
    }
    return false;
}

/* ---- WebP -------------------------------------------------------------------------------- */

enum {
    WEBP_HEAD = 12,
    WEBP_CHUNK = 8,
    VP8X_BYTES = 10,
    MOTION_FLAG = 0x02,
    XMP_FLAG = 0x04,
    EXIF_FLAG = 0x08,
    ALPHA_FLAG = 0x10
};

static void put_le(GByteArray *to, guint32 value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        put(to, &(guint8){ (guint8)(value >> (8 * i)) }, 1);
    }
}

static guint32 get_le32(const guint8 *at)
{
    return at[0] | (guint32)at[1] << 8 | (guint32)at[2] << 16 | (guint32)at[3] << 24;
}

static void put_webp_chunk(GByteArray *to, const char *kind, struct blob blob)
{
    if (blob.data == NULL) {
        return;
    }
    put(to, kind, 4);
    put_le(to, (guint32)blob.bytes, 4);
    put(to, blob.data, blob.bytes);
    if (blob.bytes % 2 != 0) {
        put(to, "", 1);
    }
}

static bool webp_chunk_is_needed(const guint8 *kind)
{
    static const char needed[][5] = { "VP8 ", "VP8L", "ALPH", "ANIM", "ANMF" };
    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++) {
        if (memcmp(kind, needed[i], 4) == 0) {
            return true;
        }
    }
    return false;
}

/* VP8X says what else is in the file, and how large the picture is; a file with nothing but the
 * picture does without. */
static void put_vp8x(GByteArray *to, guint32 flags, VipsImage *clean)
{
    int height = vips_image_get_page_height(clean);
    put(to, "VP8X", 4);
    put_le(to, VP8X_BYTES, 4);
    put_le(to, flags, 4);
    put_le(to, (guint32)clean->Xsize - 1, 3);
    put_le(to, (guint32)height - 1, 3);
}

/* The flags of what is in the chunks from `at` on; false when they are not well formed. */
static bool webp_flags(const guint8 *file, size_t bytes, guint32 *flags)
{
    size_t at = WEBP_HEAD;
    while (at + WEBP_CHUNK <= bytes) {
        const guint8 *chunk = file + at;
        size_t length = get_le32(chunk + 4), whole = WEBP_CHUNK + length + length % 2;
        if (length > bytes - at - WEBP_CHUNK) {
            return false;
        }
        if (memcmp(chunk, "VP8X", 4) == 0 && length >= VP8X_BYTES) {
            *flags |= chunk[WEBP_CHUNK] & (ALPHA_FLAG | MOTION_FLAG);
        }
        if (memcmp(chunk, "VP8L", 4) == 0 && length >= 5 && chunk[WEBP_CHUNK + 4] & 0x10) {
            *flags |= ALPHA_FLAG;
        }
        at += whole;
    }
    return true;
}

static bool copy_webp(GByteArray *to, const guint8 *file, size_t bytes, VipsImage *clean)
{
    struct blob exif = exif_of(clean, false), xmp = blob_of(clean, VIPS_META_XMP_NAME);
    guint32 flags = (exif.data != NULL ? EXIF_FLAG : 0) | (xmp.data != NULL ? XMP_FLAG : 0);
    bytes = bytes >= WEBP_HEAD ? MIN(bytes, (size_t)get_le32(file + 4) + 8) : 0;
    if (bytes < WEBP_HEAD || !webp_flags(file, bytes, &flags)) {
        return false;
    }
    put(to, file, WEBP_HEAD);
    bool lossless = memcmp(file + WEBP_HEAD, "VP8L", MIN(4, bytes - WEBP_HEAD)) == 0;
    if (flags != 0 && !(flags == ALPHA_FLAG && lossless)) {
        put_vp8x(to, flags, clean);
    }
    for (size_t at = WEBP_HEAD; at + WEBP_CHUNK <= bytes;) {
        const guint8 *chunk = file + at;
        size_t length = get_le32(chunk + 4);
        if (webp_chunk_is_needed(chunk)) {
            put_webp_chunk(
                to, (const char *)chunk, (struct blob){ chunk + WEBP_CHUNK, length });
        }
        at += WEBP_CHUNK + length + length % 2;
    }
    put_webp_chunk(to, "EXIF", exif);
    put_webp_chunk(to, "XMP ", xmp);
    guint32 size = GUINT32_TO_LE(to->len - 8);
    memcpy(to->data + 4, &size, sizeof size);
    return true;
}

/* ---- Any --------------------------------------------------------------------------------- */

GByteArray *image_with_metadata(
    const struct image_format *format, const guint8 *file, size_t bytes, VipsImage *clean)
{
    g_autoptr(GByteArray) to = g_byte_array_sized_new((guint)MIN(bytes, G_MAXUINT / 2));
    bool (*copy)(GByteArray *, const guint8 *, size_t, VipsImage *) =
        strcmp(format->name, "jpeg") == 0  ? copy_jpeg
        : strcmp(format->name, "png") == 0 ? copy_png
                                           : copy_webp;
    return copy(to, file, bytes, clean) ? g_steal_pointer(&to) : NULL;
}
