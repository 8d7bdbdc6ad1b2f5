/*
 * test_worker_image_rights.c - the metadata of outputs: who holds the rights stays, from
 * wherever the input has it; all stays where a job says so; nothing else does.
 *
 * Inputs are made here byte by byte; outputs are read by exiv2, which shares no code with Ox.
 */
#include "photos.h"
#include "png_edit.h"

/* ---- Inputs ------------------------------------------------------------------------------ */

static void put(GByteArray *to, const void *data, size_t bytes)
{
    g_byte_array_append(to, data, (guint)bytes);
}

static void put_number(GByteArray *to, guint32 value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        put(to, &(guint8){ (guint8)(value >> 8 * i) }, 1);
}

static void put_big(GByteArray *to, guint32 value, int bytes)
{
    for (int i = bytes; i-- > 0;)
        put(to, &(guint8){ (guint8)(value >> 8 * i) }, 1);
}

struct text {
    guint16 tag;
    const char *data;
    size_t bytes;
};

#define TEXT(tag, text)                                                                        \
    {                                                                                          \
        tag, text, sizeof(text)                                                                \
    }

/* An EXIF block of texts longer than four bytes. */
static GByteArray *exif_of(const struct text *texts, size_t count)
{
    GByteArray *block = g_byte_array_new();
    guint32 at = 8 + 2 + 12 * (guint32)count + 4;
    put(block, "Exif\0\0II*\0\x08\0\0\0", 14);
    put_number(block, (guint32)count, 2);
    for (size_t i = 0; i < count; i++) {
        put_number(block, texts[i].tag, 2);
        put_number(block, 2, 2);
        put_number(block, (guint32)texts[i].bytes, 4);
        put_number(block, at, 4);
        at += (guint32)texts[i].bytes;
    }
    put_number(block, 0, 4);
    for (size_t i = 0; i < count; i++)
        put(block, texts[i].data, texts[i].bytes);
    return block;
}

/* Puts a segment behind the first two bytes of a JPEG, which it makes. */
static void make_jpeg(const char *file, guint8 marker, const void *data, size_t bytes)
{
    size_t size = 0;
    save(paint_photo(120, 80), file);
    g_autofree char *path = at(file);
    g_autofree char *jpeg = test_read(path, &size);
    g_autoptr(GByteArray) whole = g_byte_array_new();
    put(whole, jpeg, 2);
    put_big(whole, 0xff00 | marker, 2);
    put_big(whole, (guint32)bytes + 2, 2);
    put(whole, data, bytes);
    put(whole, jpeg + 2, size - 2);
    test_write(path, (char *)whole->data, whole->len);
}

static void make_jpeg_exif(const char *file, const struct text *texts, size_t count)
{
    g_autoptr(GByteArray) block = exif_of(texts, count);
    make_jpeg(file, 0xe1, block->data, block->len);
}

/* ---- Outputs ----------------------------------------------------------------------------- */

/* All that exiv2 finds, one "name value" a line (g_free). */
static char *tags_of(const char *file)
{
    g_autofree char *path = at(file);
    const char *argv[] = { "exiv2", "-q", "-Pkv", "-pa", path, NULL };
    char *text = NULL;
    g_autoptr(GError) error = NULL;
    if (!g_spawn_sync(NULL, (char **)argv, NULL,
            G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &text, NULL, NULL,
            &error))
        test_fatal("exiv2: %s (make deps installs it)", error->message);
    return text;
}

/* The value of a tag, up to the end of its line (g_free); NULL when it is not there. */
static char *tag_of(const char *file, const char *name)
{
    g_autofree char *tags = tags_of(file);
    g_auto(GStrv) lines = g_strsplit(tags, "\n", -1);
    for (char **line = lines; *line; line++)
        if (g_str_has_prefix(*line, name) && (*line)[strlen(name)] == ' ')
            return g_strdup(g_strstrip(*line + strlen(name)));
    return NULL;
}

static void expect_tag(const char *file, const char *name, const char *value)
{
    g_autofree char *found = tag_of(file, name);
    if (g_strcmp0(found, value) != 0)
        test_fatal("%s: %s is \"%s\", not \"%s\"", file, name, found ? found : "(none)",
            value ? value : "(none)");
}

static void expect_rights(const char *file, const char *artist, const char *copyright)
{
    expect_tag(file, "Exif.Image.Artist", artist);
    expect_tag(file, "Exif.Image.Copyright", copyright);
}

static void expect_bare(const char *file)
{
    g_autofree char *tags = tags_of(file);
    if (*tags)
        test_fatal("%s is not bare: %s", file, tags);
}

static void convert(const char *in, const char *out, const char *more)
{
    g_autofree char *data =
        g_strdup_printf("{\"input\":\"%s\"%s,\"outputs\":[{\"file\":\"%s\"}]}", in, more, out);
    run_well(data);
}

/* ---- Rights ------------------------------------------------------------------------------ */

static const char *const outputs[] = { "out.jpg", "out.png", "out.webp", "out.avif" };

static void rights_stay_in_every_format(void **state)
{
    (void)state;
    static const struct text texts[] = { TEXT(0x010f, "Camera Company"),
        TEXT(0x013b, "Ann Example"), TEXT(0x8298, "(c) 2026 Ann Example") };
    make_jpeg_exif("all/in.jpg", texts, G_N_ELEMENTS(texts));
    for (size_t i = 0; i < G_N_ELEMENTS(outputs); i++) {
        g_autofree char *out = g_strdup_printf("all/%s", outputs[i]);
        convert("all/in.jpg", out, "");
        expect_rights(out, "Ann Example", "(c) 2026 Ann Example");
        expect_tag(out, "Exif.Image.Make", NULL);
        /* And from there on: every format is read as well. */
        g_autofree char *again = g_strdup_printf("all/again-%s.jpg", outputs[i]);
        convert(out, again, "");
        expect_rights(again, "Ann Example", "(c) 2026 Ann Example");
    }
}

static void blank_texts_are_none(void **state)
{
    (void)state;
    static const struct text blank[] = { TEXT(0x013b, "        "), TEXT(0x8298, "    \0    ") };
    make_jpeg_exif("blank/in.jpg", blank, G_N_ELEMENTS(blank));
    convert("blank/in.jpg", "blank/out.jpg", "");
    expect_bare("blank/out.jpg");
    /* A space and a zero byte: only the editor's rights. */
    static const struct text editor[] = { TEXT(0x8298, " \0Editor & Sons") };
    make_jpeg_exif("blank/editor.jpg", editor, 1);
    convert("blank/editor.jpg", "blank/out.jpg", "");
    expect_rights("blank/out.jpg", NULL, "Editor & Sons");
    static const struct text both[] = { TEXT(0x8298, "Ann\0Editor & Sons") };
    make_jpeg_exif("blank/both.jpg", both, 1);
    convert("blank/both.jpg", "blank/out.jpg", "");
    expect_rights("blank/out.jpg", NULL, "Ann; Editor & Sons");
}

static void latin_text_becomes_utf8(void **state)
{
    (void)state;
    static const struct text texts[] = { TEXT(0x013b, "J\xf6rg M\xfcller"),
        TEXT(0x8298, "\xa9 J\xf6rg \x93M\xfcller\x94") };
    make_jpeg_exif("latin/in.jpg", texts, G_N_ELEMENTS(texts));
    convert("latin/in.jpg", "latin/out.jpg", "");
    expect_rights("latin/out.jpg", "Jörg Müller", "© Jörg “Müller”");
}

/* Longer than libvips shows, and not ASCII, which it cannot write. */
static void long_text_stays_whole(void **state)
{
    (void)state;
    g_autoptr(GString) text = g_string_new("a");
    while (text->len < 400)
        g_string_append(text, "äöü€ 写真 ");
    g_string_append_c(text, 'z');
    struct text texts[] = { { 0x8298, text->str, text->len + 1 } };
    make_jpeg_exif("long/in.jpg", texts, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(outputs); i++) {
        g_autofree char *out = g_strdup_printf("long/%s", outputs[i]);
        convert("long/in.jpg", out, "");
        expect_rights(out, NULL, text->str);
    }
}

static const char xmp[] =
    "<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>\n"
    "<x:xmpmeta xmlns:x='adobe:ns:meta/'>\n"
    "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>\n"
    "<rdf:Description rdf:about='' xmlns:dc='http://purl.org/dc/elements/1.1/'\n"
    " xmlns:tiff='http://ns.adobe.com/tiff/1.0/' xmlns:xmp='http://ns.adobe.com/xap/1.0/'\n"
    " xmlns:xmpGImg='http://ns.adobe.com/xap/1.0/g/img/' tiff:Orientation='6'>\n"
    "<dc:creator><rdf:Seq><rdf:li>Ann</rdf:li><rdf:li>Bob &amp; Co</rdf:li></rdf:Seq>"
    "</dc:creator>\n"
    "<dc:rights><rdf:Alt><rdf:li xml:lang='x-default'>© Ann</rdf:li>"
    "<rdf:li xml:lang='de'>alle Rechte: Ann</rdf:li></rdf:Alt></dc:rights>\n"
    "<dc:subject><rdf:Bag><rdf:li>secret</rdf:li></rdf:Bag></dc:subject>\n"
    "<xmp:Thumbnails><rdf:Alt><rdf:li rdf:parseType='Resource'>"
    "<xmpGImg:image>cGVlcGhvbGU=</xmpGImg:image></rdf:li></rdf:Alt></xmp:Thumbnails>\n"
    "</rdf:Description></rdf:RDF></x:xmpmeta>\n<?xpacket end='w'?>";

static void make_jpeg_xmp(const char *file, const char *text)
{
    static const char head[] = "http://ns.adobe.com/xap/1.0/";
    g_autoptr(GByteArray) segment = g_byte_array_new();
    put(segment, head, sizeof head);
    put(segment, text, strlen(text));
    make_jpeg(file, 0xe1, segment->data, segment->len);
}

static void rights_of_xmp(void **state)
{
    (void)state;
    make_jpeg_xmp("xmp/in.jpg", xmp);
    convert("xmp/in.jpg", "xmp/out.jpg", "");
    expect_rights("xmp/out.jpg", "Ann; Bob & Co", "© Ann");
    assert_false(file_holds("xmp/out.jpg", "secret"));
    make_jpeg_xmp("xmp/broken.jpg", "<x:xmpmeta><dc:rights>no end");
    convert("xmp/broken.jpg", "xmp/out.jpg", "");
}

static GByteArray *iptc_of(const char *author, const char *notice)
{
    GByteArray *records = g_byte_array_new();
    const char *const texts[] = { author, notice, "secret keyword" };
    static const guint8 sets[] = { 80, 116, 25 };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        put(records, (guint8[]){ 0x1c, 2, sets[i] }, 3);
        put_big(records, (guint32)strlen(texts[i]), 2);
        put(records, texts[i], strlen(texts[i]));
    }
    return records;
}

/* As Photoshop writes it, a preview first. */
static void make_jpeg_iptc(const char *file, const char *author, const char *notice)
{
    g_autoptr(GByteArray) records = iptc_of(author, notice);
    g_autoptr(GByteArray) segment = g_byte_array_new();
    put(segment,
        "Photoshop 3.0\0"
        "8BIM\x04\x0c\0\0\0\0\0\x07preview\0",
        14 + 12 + 8);
    put(segment, "8BIM\x04\x04\0\0", 8);
    put_big(segment, records->len, 4);
    put(segment, records->data, records->len + (records->len & 1));
    make_jpeg(file, 0xed, segment->data, segment->len);
}

static void rights_of_iptc(void **state)
{
    (void)state;
    make_jpeg_iptc("iptc/in.jpg", "Ann Example", "\xa9 Ann");
    convert("iptc/in.jpg", "iptc/out.jpg", "");
    expect_rights("iptc/out.jpg", "Ann Example", "© Ann");
    assert_false(file_holds("iptc/out.jpg", "secret"));
    assert_false(file_holds("iptc/out.jpg", "preview"));
}

static void rights_of_png_texts(void **state)
{
    (void)state;
    static const char *const words[] = { "Author", "Artist" };
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        g_autofree char *author = g_strdup_printf("%s?Ann Example", words[i]);
        size_t bytes = strlen(author);
        author[strlen(words[i])] = '\0';
        save(paint_photo(120, 80), "texts/in.png");
        png_insert("texts/in.png", "tEXt", author, (guint32)bytes);
        png_insert("texts/in.png", "tEXt", "Copyright\0(c) Ann", 17);
        convert("texts/in.png", "texts/out.jpg", "");
        expect_rights("texts/out.jpg", "Ann Example", "(c) Ann");
    }
}

/* A TIFF has them in the tags of the picture itself. Two of the tags that libvips writes are
 * made over. */
static void rights_of_tiff(void **state)
{
    (void)state;
    size_t bytes = 0;
    save(paint_photo(120, 80), "tiff/in.tiff");
    g_autofree char *path = at("tiff/in.tiff");
    g_autofree char *tiff = test_read(path, &bytes);
    g_autoptr(GByteArray) whole = g_byte_array_new();
    static const char text[] = "(c) 2026 Ann Example";
    guint32 start;
    guint16 count;
    put(whole, tiff, bytes);
    memcpy(&start, tiff + 4, 4);
    memcpy(&count, tiff + start, 2);
    put_number(whole, 0, (int)(whole->len & 1));
    guint32 directory = whole->len;
    put_number(whole, count + 1u, 2);
    put(whole, tiff + start + 2, 12u * count);
    put_number(whole, 0x8298, 2);
    put_number(whole, 2, 2);
    put_number(whole, sizeof text, 4);
    put_number(whole, whole->len + 8, 4);
    put_number(whole, 0, 4);
    put(whole, text, sizeof text);
    memcpy(whole->data + 4, &directory, 4);
    test_write(path, (char *)whole->data, whole->len);
    for (size_t i = 0; i < G_N_ELEMENTS(outputs); i++) {
        g_autofree char *out = g_strdup_printf("tiff/%s", outputs[i]);
        convert("tiff/in.tiff", out, "");
        expect_rights(out, NULL, text);
    }
}

/* ---- keep -------------------------------------------------------------------------------- */

static void keep_none_drops_rights(void **state)
{
    (void)state;
    static const struct text texts[] = { TEXT(0x013b, "Ann Example"), TEXT(0x8298, "(c) Ann") };
    make_jpeg_exif("none/in.jpg", texts, G_N_ELEMENTS(texts));
    for (size_t i = 0; i < G_N_ELEMENTS(outputs); i++) {
        g_autofree char *out = g_strdup_printf("none/%s", outputs[i]);
        convert("none/in.jpg", out, ",\"keep\":\"none\"");
        expect_bare(out);
        assert_false(file_holds(out, "Ann"));
    }
}

/* Big-endian, turned, with place, camera, preview and the maker's notes. */
static GByteArray *rich_exif(void)
{
    GByteArray *block = g_byte_array_new();
    put(block, "Exif\0\0MM\0*\0\0\0\x08", 14);
    enum {
        FIRST = 8,
        EXIF = FIRST + 2 + 5 * 12 + 4,
        GPS = EXIF + 2 + 3 * 12 + 4,
        SECOND = GPS + 2 + 2 * 12 + 4,
        VALUES = SECOND + 2 + 2 * 12 + 4
    };
    static const guint32 entries[][4] = { { 0x010f, 2, 8, VALUES }, { 0x0112, 3, 1, 6u << 16 },
        { 0x8298, 2, 8, VALUES + 8 }, { 0x8769, 4, 1, EXIF }, { 0x8825, 4, 1, GPS },
        { 0x829a, 5, 1, VALUES + 16 }, { 0x9003, 2, 20, VALUES + 24 },
        { 0x927c, 7, 10, VALUES + 44 }, { 0x0001, 2, 2, 'N' << 24 },
        { 0x0002, 5, 3, VALUES + 54 }, { 0x0201, 4, 1, VALUES + 78 }, { 0x0202, 4, 1, 8 } };
    static const int counts[] = { 5, 3, 2, 2 };
    size_t entry = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        put_big(block, (guint32)counts[i], 2);
        for (int j = 0; j < counts[i]; j++, entry++) {
            put_big(block, entries[entry][0], 2);
            put_big(block, entries[entry][1], 2);
            put_big(block, entries[entry][2], 4);
            put_big(block, entries[entry][3], 4);
        }
        put_big(block, i == 0 ? SECOND : 0, 4);
    }
    put(block, "CamCo X\0(c) Ann\0", 16);
    put(block, "\0\0\0\x01\0\0\0\x7d", 8);
    put(block, "2026:11:29 08:00:00\0", 20);
    put(block, "notes-hide", 10);
    put(block, "\0\0\0\x34\0\0\0\x01\0\0\0\x1e\0\0\0\x01\0\0\0\x0f\0\0\0\x01", 24);
    put(block, "peephole", 8);
    return block;
}

static void keep_all_keeps_what_still_holds(void **state)
{
    (void)state;
    g_autoptr(GByteArray) block = rich_exif();
    make_jpeg("rich/in.jpg", 0xe1, block->data, block->len);
    expect_tag("rich/in.jpg", "Exif.Photo.ExposureTime", "1/125"); /* the test's own block */
    for (size_t i = 0; i < G_N_ELEMENTS(outputs); i++) {
        g_autofree char *out = g_strdup_printf("rich/%s", outputs[i]);
        convert("rich/in.jpg", out, ",\"keep\":\"all\"");
        expect_tag(out, "Exif.Image.Make", "CamCo X");
        expect_tag(out, "Exif.Image.Copyright", "(c) Ann");
        expect_tag(out, "Exif.Photo.ExposureTime", "1/125");
        expect_tag(out, "Exif.Photo.DateTimeOriginal", "2026:11:29 08:00:00");
        expect_tag(out, "Exif.GPSInfo.GPSLatitude", "52/1 30/1 15/1");
        g_autofree char *turned = tag_of(out, "Exif.Image.Orientation");
        assert_true(!turned || !strcmp(turned, "1"));
        assert_false(file_holds(out, "peephole"));
        assert_false(file_holds(out, "notes-hide"));
        VipsImage *image = look(out);
        assert_int_equal(image->Ysize, 120);
        g_object_unref(image);
    }
    convert("rich/in.jpg", "rich/rights.jpg", "");
    expect_rights("rich/rights.jpg", NULL, "(c) Ann");
    expect_tag("rich/rights.jpg", "Exif.Photo.DateTimeOriginal", NULL);
    expect_tag("rich/rights.jpg", "Exif.GPSInfo.GPSLatitude", NULL);
}

static void keep_all_keeps_xmp_and_iptc(void **state)
{
    (void)state;
    make_jpeg_xmp("also/in.jpg", xmp);
    for (size_t i = 0; i < G_N_ELEMENTS(outputs); i++) {
        g_autofree char *out = g_strdup_printf("also/%s", outputs[i]);
        convert("also/in.jpg", out, ",\"keep\":\"all\"");
        expect_tag(out, "Xmp.dc.subject", "secret");
        expect_tag(out, "Xmp.tiff.Orientation", "1");
        assert_false(file_holds(out, "cGVlcGhvbGU="));
    }
    make_jpeg_iptc("also/iptc.jpg", "Ann Example", "(c) Ann");
    convert("also/iptc.jpg", "also/out.jpg", ",\"keep\":\"all\"");
    expect_tag("also/out.jpg", "Iptc.Application2.Keywords", "secret keyword");
    expect_tag("also/out.jpg", "Iptc.Application2.Copyright", "(c) Ann");
    assert_false(file_holds("also/out.jpg", "preview"));
}

/* Blocks of any length and content: nothing may be read beyond them, and the job goes well. */
static void broken_blocks_do_no_harm(void **state)
{
    (void)state;
    g_autoptr(GByteArray) block = rich_exif();
    for (guint cut = 1; cut < block->len; cut += 17) {
        make_jpeg("cut/in.jpg", 0xe1, block->data, cut);
        convert("cut/in.jpg", "cut/out.jpg", ",\"keep\":\"all\"");
        convert("cut/in.jpg", "cut/out.jpg", "");
    }
    for (guint at = 6; at < block->len; at += 9) {
        guint8 before = block->data[at];
        block->data[at] ^= 0xff;
        make_jpeg("cut/in.jpg", 0xe1, block->data, block->len);
        convert("cut/in.jpg", "cut/out.jpg", ",\"keep\":\"all\"");
        block->data[at] = before;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rights_stay_in_every_format),
        cmocka_unit_test(blank_texts_are_none),
        cmocka_unit_test(latin_text_becomes_utf8),
        cmocka_unit_test(long_text_stays_whole),
        cmocka_unit_test(rights_of_xmp),
        cmocka_unit_test(rights_of_iptc),
        cmocka_unit_test(rights_of_png_texts),
        cmocka_unit_test(rights_of_tiff),
        cmocka_unit_test(keep_none_drops_rights),
        cmocka_unit_test(keep_all_keeps_what_still_holds),
        cmocka_unit_test(keep_all_keeps_xmp_and_iptc),
        cmocka_unit_test(broken_blocks_do_no_harm),
    };
    return cmocka_run_group_tests(tests, start_handler, stop_handler);
}
