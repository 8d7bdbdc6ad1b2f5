/*
 * image_texts.c - who made a photo and who holds the rights: the texts of EXIF, XMP, IPTC, TIFF
 * and PNG that say so.
 *
 * All come from strangers: lengths are bounded, text that is not UTF-8 is taken for Latin-1
 * (Windows-1252, as browsers do), control characters go, and a blank text is as good as none:
 * cameras write one of spaces where nobody has entered a name.
 */
#include "handlers/image_texts.h"
#include "handlers/image_parts.h"

#include <string.h>

enum { MAX_TEXT = 1024, MAX_XMP = 1 << 20, MAX_AUTHORS = 16 };

/* ---- Text -------------------------------------------------------------------------------- */

/* 0x80..0x9f of Windows-1252; 0: no character. */
static const guint16 windows_1252[32] = { 0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020,
    0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017d, 0, 0, 0x2018, 0x2019, 0x201c,
    0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178 };

static void append_latin(GString *to, guint8 byte)
{
    gunichar letter = byte >= 0x80 && byte < 0xa0 ? windows_1252[byte - 0x80] : byte;
    g_string_append_unichar(to, letter != 0 ? letter : '?');
}

/* One text, as far as it is one; NULL when it is blank. */
static char *tidy(const char *data, size_t bytes)
{
    g_autoptr(GString) utf8 = g_string_new(NULL);
    bool valid = g_utf8_validate(data, (gssize)bytes, NULL);
    for (size_t i = 0; !valid && i < bytes; i++) {
        append_latin(utf8, (guint8)data[i]);
    }
    if (valid) {
        g_string_append_len(utf8, data, (gssize)bytes);
    }
    GString *clean = g_string_new(NULL);
    for (const char *at = utf8->str; *at != '\0' && clean->len < MAX_TEXT;
         at = g_utf8_next_char(at)) {
        gunichar letter = g_utf8_get_char(at);
        bool gap = g_unichar_isspace(letter) || g_unichar_iscntrl(letter);
        if (!gap) {
            g_string_append_unichar(clean, letter);
        } else if (clean->len > 0 && clean->str[clean->len - 1] != ' ') {
            g_string_append_c(clean, ' ');
        }
    }
    char *text = g_strchomp(g_string_free(clean, FALSE));
    if (*text == '\0') {
        g_free(text);
        return NULL;
    }
    return text;
}

/* Adds a text to what is there: "Ann; Bob". */
static void add_text(char **to, const char *data, size_t bytes)
{
    g_autofree char *text = tidy(data, bytes);
    if (text == NULL) {
        return;
    }
    if (*to == NULL) {
        *to = g_steal_pointer(&text);
    } else if (strlen(*to) + strlen(text) < MAX_TEXT && strstr(*to, text) == NULL) {
        char *both = g_strconcat(*to, "; ", text, NULL);
        g_free(*to);
        *to = both;
    }
}

/* Takes over what is still missing. */
static void fill_in(struct image_texts *texts, struct image_texts *more)
{
    if (texts->artist == NULL) {
        texts->artist = g_steal_pointer(&more->artist);
    }
    if (texts->copyright == NULL) {
        texts->copyright = g_steal_pointer(&more->copyright);
    }
    image_texts_clear(more);
}

/* ---- EXIF and TIFF ----------------------------------------------------------------------- */

static bool get_blob(VipsImage *image, const char *name, const void **data, size_t *bytes)
{
    return vips_image_get_typeof(image, name) == VIPS_TYPE_BLOB &&
           !vips_image_get_blob(image, name, data, bytes) && *bytes > 0;
}

bool image_tags_open(const struct image_input *input, struct image_ifd *ifd)
{
    const void *data;
    size_t bytes;
    if (input->format->turned_by == TURNED_BY_TAG) {
        return image_ifd_open_file(ifd, input->fd, (guint64)input->bytes);
    }
    return get_blob(input->header, VIPS_META_EXIF_NAME, &data, &bytes) &&
           image_ifd_open_memory(ifd, data, bytes);
}

/* EXIF parts the photographer's rights from the editor's with a zero byte. */
static void read_tag(const struct image_ifd *ifd, guint16 tag, char **to)
{
    struct image_entry entry;
    if (!image_ifd_find(ifd, ifd->first, tag, &entry)) {
        return;
    }
    bool text =
        entry.type == 1 || entry.type == IFD_ASCII || entry.type == 7 || entry.type == 129;
    g_autoptr(GBytes) values = text ? image_ifd_values(ifd, &entry, MAX_TEXT) : NULL;
    gsize left = 0;
    const char *at = values != NULL ? g_bytes_get_data(values, &left) : NULL;
    while (left > 0) {
        const char *zero = memchr(at, '\0', left);
        size_t bytes = zero != NULL ? (size_t)(zero - at) : left;
        add_text(to, at, bytes);
        bytes = MIN(bytes + 1, left);
        at += bytes;
        left -= bytes;
    }
}

static void read_exif(const struct image_input *input, struct image_texts *texts)
{
    struct image_ifd ifd;
    if (image_tags_open(input, &ifd)) {
        read_tag(&ifd, TAG_ARTIST, &texts->artist);
        read_tag(&ifd, TAG_COPYRIGHT, &texts->copyright);
    }
}

/* ---- XMP --------------------------------------------------------------------------------- */

/* The field that an element or attribute fills, or NULL. */
static char **xmp_field(struct image_texts *texts, const char *name)
{
    return strcmp(name, "dc:creator") == 0  ? &texts->artist
           : strcmp(name, "dc:rights") == 0 ? &texts->copyright
                                            : NULL;
}

static void xmp_start(GMarkupParseContext *context, const char *name, const char **names,
    const char **values, gpointer arg, GError **error)
{
    (void)context, (void)name, (void)error;
    for (int i = 0; names[i] != NULL; i++) {
        char **field = xmp_field(arg, names[i]);
        if (field != NULL) {
            add_text(field, values[i], strlen(values[i]));
        }
    }
}

/* Text lies in the field itself, or in a list of it: authors, or one text in many languages,
 * of which the first is the default. */
static void xmp_text(
    GMarkupParseContext *context, const char *text, gsize bytes, gpointer arg, GError **error)
{
    (void)error;
    int depth = 0;
    for (const GSList *at = g_markup_parse_context_get_element_stack(context);
         at != NULL && depth < 3; at = at->next, depth++) {
        char **field = xmp_field(arg, at->data);
        struct image_texts *texts = arg;
        if (field != NULL && (*field == NULL || field == &texts->artist)) {
            add_text(field, text, bytes);
        }
    }
}

static void read_xmp(VipsImage *header, struct image_texts *texts)
{
    static const GMarkupParser parser = { .start_element = xmp_start, .text = xmp_text };
    const void *data;
    size_t bytes;
    if (!get_blob(header, VIPS_META_XMP_NAME, &data, &bytes) || bytes > MAX_XMP) {
        return;
    }
    GMarkupParseContext *context =
        g_markup_parse_context_new(&parser, G_MARKUP_TREAT_CDATA_AS_TEXT, texts, NULL);
    g_markup_parse_context_parse(context, data, (gssize)bytes, NULL);
    g_markup_parse_context_free(context);
}

/* ---- IPTC -------------------------------------------------------------------------------- */

static guint32 big_endian(const guint8 *at, int bytes)
{
    guint32 value = 0;
    for (int i = 0; i < bytes; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

/* Photoshop keeps resources: "8BIM", a number, a name of even length, a length, content. */
GBytes *image_iptc_records(const void *data, size_t bytes)
{
    static const char head[] = "Photoshop 3.0";
    enum { RESOURCE_HEAD = 12, IPTC = 0x0404 };
    const guint8 *at = data, *end = at + bytes;
    if (bytes > sizeof head && memcmp(at, head, sizeof head) == 0) {
        at += sizeof head;
    }
    if (bytes > 0 && *at == 0x1c) {
        return g_bytes_new(at, (gsize)(end - at));
    }
    while (end - at >= RESOURCE_HEAD && memcmp(at, "8BIM", 4) == 0) {
        ptrdiff_t name = (at[6] + 2) & ~1;
        if (end - at < 10 + name) {
            break;
        }
        guint32 length = big_endian(at + 6 + name, 4);
        const guint8 *content = at + 10 + name;
        if (length > (size_t)(end - content)) {
            break;
        }
        if (big_endian(at + 4, 2) == IPTC) {
            return g_bytes_new(content, length);
        }
        at = content + MIN((ptrdiff_t)length + (length & 1), end - content);
    }
    return g_bytes_new(NULL, 0);
}

/* A record is 0x1c, its number, the data set's number, two bytes of length, the text. */
static void read_iptc(VipsImage *header, const char *field, struct image_texts *texts)
{
    enum { HEAD = 5, APPLICATION = 2, BYLINE = 80, NOTICE = 116 };
    const void *data;
    size_t bytes;
    if (!get_blob(header, field, &data, &bytes)) {
        return;
    }
    g_autoptr(GBytes) records = image_iptc_records(data, bytes);
    gsize left = 0;
    const guint8 *at = g_bytes_get_data(records, &left);
    for (int authors = 0; left >= HEAD && at[0] == 0x1c && authors < MAX_AUTHORS;) {
        size_t length = big_endian(at + 3, 2);
        if (length > left - HEAD) {
            break;
        }
        if (at[1] == APPLICATION && at[2] == BYLINE) {
            add_text(&texts->artist, (const char *)at + HEAD, length);
            authors++;
        } else if (at[1] == APPLICATION && at[2] == NOTICE && texts->copyright == NULL) {
            add_text(&texts->copyright, (const char *)at + HEAD, length);
        }
        at += HEAD + length;
        left -= HEAD + length;
    }
}

/* ---- PNG --------------------------------------------------------------------------------- */

/* libvips has its texts as "png-comment-3-Author". The specification knows Author; there are
 * programs that write Artist. */
static void read_png(VipsImage *header, struct image_texts *texts)
{
    g_auto(GStrv) fields = vips_image_get_fields(header);
    for (char **field = fields; *field != NULL; field++) {
        const char *value;
        if (!g_str_has_prefix(*field, "png-comment-") ||
            vips_image_get_string(header, *field, &value) ||
            g_str_has_prefix(value, "<invalid")) {
            continue;
        }
        if (g_str_has_suffix(*field, "-Author") || g_str_has_suffix(*field, "-Artist")) {
            add_text(&texts->artist, value, strlen(value));
        } else if (g_str_has_suffix(*field, "-Copyright")) {
            add_text(&texts->copyright, value, strlen(value));
        }
    }
}

/* ------------------------------------------------------------------------------------------ */

void image_texts_read(const struct image_input *input, struct image_texts *texts)
{
    struct image_texts more = { NULL, NULL };
    VipsImage *header = input->header;
    *texts = (struct image_texts){ NULL, NULL };
    read_exif(input, texts);
    read_xmp(header, &more);
    fill_in(texts, &more);
    read_iptc(header, VIPS_META_IPTC_NAME, &more);
    fill_in(texts, &more);
    read_iptc(header, VIPS_META_PHOTOSHOP_NAME, &more);
    fill_in(texts, &more);
    read_png(header, &more);
    fill_in(texts, &more);
}

void image_texts_clear(struct image_texts *texts)
{
    g_clear_pointer(&texts->artist, g_free);
    g_clear_pointer(&texts->copyright, g_free);
}
