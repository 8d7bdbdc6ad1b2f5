/*
 * heif_edit.h - for tests: edits HEIC and AVIF files as libheif writes them. Places in its
 * "iloc" have a base of four bytes, and all that they point to lies behind "meta".
 */
#ifndef OX_TESTS_HEIF_EDIT_H
#define OX_TESTS_HEIF_EDIT_H

#include "photos.h"

static inline guint32 heif_number(const guint8 *at, int bytes)
{
    guint32 value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

static inline void heif_set(guint8 *at, guint32 value, int bytes)
{
    for (int i = bytes; i-- > 0; value >>= 8)
        at[i] = (guint8)value;
}

/* Where a box of that kind begins, within the first `depth` of the path; fatal without one. */
static inline size_t heif_find(const GByteArray *file, const char *const *path, int depth)
{
    size_t start = 0, end = file->len;
    for (int i = 0;; i++) {
        while (start + 8 <= end && memcmp(file->data + start + 4, path[i], 4) != 0)
            start += MAX(heif_number(file->data + start, 4), 8);
        if (start + 8 > end)
            test_fatal("no box %s", path[i]);
        if (i + 1 == depth)
            return start;
        end = start + heif_number(file->data + start, 4);
        bool full = !strcmp(path[i], "meta") || !strcmp(path[i], "iref");
        start += full ? 12 : 8;
    }
}

static inline void heif_shift_places(GByteArray *file, guint32 by)
{
    static const char *const path[] = { "meta", "iloc" };
    guint8 *box = file->data + heif_find(file, path, 2);
    guint8 *item = box + 16;
    for (guint32 count = heif_number(box + 14, 2); count > 0; count--) {
        heif_set(item + 4, heif_number(item + 4, 4) + by, 4);
        item += 10 + 8 * heif_number(item + 8, 2);
    }
}

/* Inserts bytes at a place within the box that the path names. */
static inline void heif_insert(GByteArray *file, const char *const *path, int depth,
    size_t place, const void *data, size_t bytes)
{
    g_autofree guint8 *behind = g_memdup2(file->data + place, file->len - place);
    size_t left = file->len - place;
    for (int i = 1; i <= depth; i++) {
        guint8 *box = file->data + heif_find(file, path, i);
        heif_set(box, heif_number(box, 4) + (guint32)bytes, 4);
        if (i == depth)
            break;
    }
    g_byte_array_set_size(file, (guint)place);
    g_byte_array_append(file, data, (guint)bytes);
    /* What was copied before has the old sizes of boxes that begin behind; none of the path's.
     */
    g_byte_array_append(file, behind, (guint)left);
    heif_shift_places(file, (guint32)bytes);
}

/* Gives the item, counted from 1, one property more. */
static inline void heif_add_property(
    GByteArray *file, guint32 item, const char *kind, guint8 value)
{
    static const char *const list[] = { "meta", "iprp", "ipco" };
    static const char *const table[] = { "meta", "iprp", "ipma" };
    guint8 box[9] = { 0, 0, 0, 9, [8] = value };
    memcpy(box + 4, kind, 4);
    size_t start = heif_find(file, list, 3);
    size_t end = start + heif_number(file->data + start, 4);
    guint8 index = 1;
    for (size_t at = start + 8; at < end; at += heif_number(file->data + at, 4))
        index++;
    heif_insert(file, list, 3, end, box, sizeof box);
    size_t at = heif_find(file, table, 3) + 16;
    while (heif_number(file->data + at, 2) != item)
        at += 3 + file->data[at + 2];
    file->data[at + 2]++;
    at += 2 + file->data[at + 2];
    heif_insert(file, table, 3, at, &(guint8){ 0x80 | index }, 1);
}

static inline GByteArray *heif_read(const char *file)
{
    g_autofree char *path = at(file);
    size_t bytes = 0;
    char *data = test_read(path, &bytes);
    return g_byte_array_new_take((guint8 *)data, bytes);
}

static inline void heif_write(const char *file, const GByteArray *content)
{
    g_autofree char *path = at(file);
    test_write(path, (const char *)content->data, content->len);
}

#endif /* OX_TESTS_HEIF_EDIT_H */
