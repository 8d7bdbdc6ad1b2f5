/*
 * png_edit.h - for tests: puts chunks into PNG files.
 */
#ifndef OX_TESTS_PNG_EDIT_H
#define OX_TESTS_PNG_EDIT_H

#include "photos.h"

static inline void png_put_chunk(
    GByteArray *to, const char *kind, const guint8 *data, guint32 bytes)
{
    guint32 crc = 0xffffffff, length = GUINT32_TO_BE(bytes);
    guint start = to->len + 4;
    g_byte_array_append(to, (const guint8 *)&length, 4);
    g_byte_array_append(to, (const guint8 *)kind, 4);
    g_byte_array_append(to, data, bytes);
    for (guint i = start; i < to->len; i++) {
        crc ^= to->data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    crc = GUINT32_TO_BE(~crc);
    g_byte_array_append(to, (const guint8 *)&crc, 4);
}

/* Puts a chunk behind the header of a PNG. */
static inline void png_insert(
    const char *file, const char *kind, const void *data, guint32 bytes)
{
    enum { BEHIND_HEADER = 8 + 25 };
    size_t size = 0;
    g_autofree char *path = at(file);
    g_autofree char *png = test_read(path, &size);
    g_autoptr(GByteArray) whole = g_byte_array_new();
    g_byte_array_append(whole, (const guint8 *)png, BEHIND_HEADER);
    png_put_chunk(whole, kind, data, bytes);
    g_byte_array_append(
        whole, (const guint8 *)png + BEHIND_HEADER, (guint)size - BEHIND_HEADER);
    test_write(path, (char *)whole->data, whole->len);
}

#endif /* OX_TESTS_PNG_EDIT_H */
