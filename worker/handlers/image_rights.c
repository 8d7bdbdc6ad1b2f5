/*
 * image_rights.c - the metadata: who holds the rights is kept, nothing else.
 *
 * A photo carries where and when it was taken, the camera's serial number and often a smaller
 * copy of itself from before it was cut. None of that belongs on a public page, so outputs are
 * written bare, except for who holds the rights: the EXIF fields Artist and Copyright. Those
 * two travel in an EXIF block that is built anew here, so that nothing else can slip through.
 */
#include "handlers/image_parts.h"

#include <string.h>

enum { MAX_TEXT = 1024, FORMAT_ASCII = 2, HEAD_BYTES = 14, ENTRY_BYTES = 12 };

/* In the order of their tags, as EXIF demands. */
static const struct right {
    const char *field;
    guint16 tag;
} rights[] = {
    { "exif-ifd0-Artist", 0x013b },
    { "exif-ifd0-Copyright", 0x8298 },
};

/* libvips shows a text field as "text (text in words, ASCII, n components, m bytes)", where
 * the words begin with the text again. */
static char *right_text(VipsImage *image, const struct right *right)
{
    const char *value;
    if (!vips_image_get_typeof(image, right->field) ||
        vips_image_get_string(image, right->field, &value)) {
        return NULL;
    }
    const char *end = g_strrstr(value, ", ASCII, ");
    size_t len = end != NULL && end - value > 2 ? (size_t)(end - value - 2) / 2 : 0;
    while (len > 0 &&
           (strncmp(value + len, " (", 2) != 0 || strncmp(value + len + 2, value, len) != 0)) {
        len--;
    }
    return len > 0 ? g_strndup(value, MIN(len, MAX_TEXT)) : NULL;
}

bool image_has_rights(VipsImage *image)
{
    return vips_image_get_typeof(image, VIPS_META_EXIF_NAME) != 0;
}

static void put(GByteArray *to, guint32 value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        g_byte_array_append(to, &(guint8){ (guint8)(value >> (8 * i)) }, 1);
    }
}

/* One little-endian directory of the texts that are there. */
static GByteArray *exif_block(char *const texts[])
{
    guint32 count = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(rights); i++) {
        count += texts[i] != NULL;
    }
    GByteArray *block = g_byte_array_new();
    g_autoptr(GByteArray) values = g_byte_array_new();
    g_byte_array_append(block, (const guint8 *)"Exif\0\0II*\0\x08\0\0\0", HEAD_BYTES);
    guint32 values_at = 8 + 2 + count * ENTRY_BYTES + 4;
    put(block, count, 2);
    for (size_t i = 0; i < G_N_ELEMENTS(rights); i++) {
        if (texts[i] == NULL) {
            continue;
        }
        guint32 len = (guint32)strlen(texts[i]) + 1;
        guint8 inline_text[4] = { 0 };
        put(block, rights[i].tag, 2);
        put(block, FORMAT_ASCII, 2);
        put(block, len, 4);
        if (len <= sizeof inline_text) {
            memcpy(inline_text, texts[i], len);
            g_byte_array_append(block, inline_text, sizeof inline_text);
            continue;
        }
        put(block, values_at + values->len, 4);
        g_byte_array_append(values, (const guint8 *)texts[i], len);
    }
    put(block, 0, 4); /* no further directory */
    g_byte_array_append(block, values->data, values->len);
    return block;
}

static bool is_right(const char *field)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rights); i++) {
        if (strcmp(rights[i].field, field) == 0) {
            return true;
        }
    }
    return false;
}

int image_clean(VipsImage *in, VipsImage **out)
{
    char *texts[G_N_ELEMENTS(rights)];
    if (vips_copy(in, out, NULL)) {
        return -1;
    }
    bool any = false;
    for (size_t i = 0; i < G_N_ELEMENTS(rights); i++) {
        texts[i] = right_text(in, &rights[i]);
        any = any || texts[i] != NULL;
    }
    g_auto(GStrv) fields = vips_image_get_fields(*out);
    for (char **field = fields; *field != NULL; field++) {
        if (!is_right(*field)) {
            vips_image_remove(*out, *field);
        }
    }
    if (any) {
        GByteArray *block = exif_block(texts);
        vips_image_set_blob_copy(*out, VIPS_META_EXIF_NAME, block->data, block->len);
        g_byte_array_free(block, TRUE);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(rights); i++) {
        g_free(texts[i]);
    }
    return 0;
}
