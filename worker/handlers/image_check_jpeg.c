/*
 * image_check_jpeg.c - what a JPEG file says of its end and its scans, and what libjpeg has to
 * say when it decodes it.
 *
 * libjpeg takes zeros for coded pixels: an upload that broke off into a file of the full size
 * decodes without complaint, half of it grey. But then no marker says where the image ends.
 */
#include "handlers/image_check.h"
#include "handlers/image_parts.h"

#include <jerror.h>
#include <jpeglib.h>
#include <setjmp.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_BYTES = 16384 };

/* ---- Markers ----------------------------------------------------------------------------- */

enum {
    TEM = 0x01,
    SOF0 = 0xc0,
    DHT = 0xc4,
    JPG = 0xc8,
    DAC = 0xcc,
    RST0 = 0xd0,
    SOI = 0xd8,
    EOI = 0xd9,
    SOS = 0xda
};

static bool is_frame(guint8 kind)
{
    return kind >= SOF0 && kind < RST0 && kind != DHT && kind != JPG && kind != DAC;
}

/* How far it is from the 0xff of a marker to what follows: markers have a length to step
 * over, but for some that stand alone; among coded pixels, 0xff is followed by 0x00. Returns 0
 * for the end of the image, and a negative number when more bytes are needed to tell. */
static int marker_bytes(const guint8 *at, size_t bytes)
{
    enum { WITH_LENGTH = 4 };
    guint8 kind = at[1];
    if (kind == EOI) {
        return 0;
    }
    if (kind == 0xff) {
        return 1;
    }
    if (kind == 0x00 || kind == TEM || (kind >= RST0 && kind <= SOI)) {
        return 2;
    }
    return bytes < WITH_LENGTH ? -1 : 2 + (at[2] << 8 | at[3]);
}

/* A file of several scans is decoded into its coefficients first, two bytes each, all of which
 * are in memory until the last scan has been read. */
static gint64 coefficient_bytes(int fd, off_t at)
{
    enum { HEAD = 10, COMPONENTS = 4 };
    guint8 frame[HEAD + 3 * COMPONENTS] = { 0 };
    ssize_t len = pread(fd, frame, sizeof frame, at);
    gint64 height = frame[5] << 8 | frame[6], width = frame[7] << 8 | frame[8];
    int count = MIN(frame[9], COMPONENTS), across = 1, down = 1;
    if (len < HEAD) {
        return 0;
    }
    for (int i = 0; i < count; i++) {
        across = MAX(across, frame[HEAD + 3 * i + 1] >> 4);
        down = MAX(down, frame[HEAD + 3 * i + 1] & 15);
    }
    gint64 bytes = 0;
    for (int i = 0; i < count; i++) {
        guint8 sampling = frame[HEAD + 3 * i + 1];
        bytes +=
            2 * (width * (sampling >> 4) / across + 8) * (height * (sampling & 15) / down + 8);
    }
    return bytes;
}

static void note_marker(struct image_jpeg *jpeg, int fd, off_t at, guint8 kind)
{
    enum { PROGRESSIVE = 0xc2, PROGRESSIVE_ARITHMETIC = 0xca };
    jpeg->scans += kind == SOS;
    if (is_frame(kind)) {
        jpeg->progressive = kind == PROGRESSIVE || kind == PROGRESSIVE_ARITHMETIC;
        jpeg->coefficient_bytes = coefficient_bytes(fd, at);
    }
}

/* Goes through all markers up to the end of the image; false: there is no end. */
static bool walk(int fd, struct image_jpeg *jpeg)
{
    guint8 block[BLOCK_BYTES];
    off_t start = 0;
    for (;;) {
        ssize_t len = pread(fd, block, sizeof block, start);
        ssize_t i = 0;
        while (i + 1 < len) {
            const guint8 *ff = memchr(block + i, 0xff, (size_t)(len - 1 - i));
            i = ff != NULL ? ff - block : len - 1;
            int step = ff != NULL ? marker_bytes(ff, (size_t)(len - i)) : -1;
            if (step == 0) {
                jpeg->end = start + i;
                return true;
            }
            if (step < 0) {
                break;
            }
            note_marker(jpeg, fd, start + i, ff[1]);
            i += step;
        }
        if (i == 0) { /* nothing more to read, or a marker cut off */
            return false;
        }
        start += i;
    }
}

/* Without the mark a file of one scan may have all its pixels, which a decode shows. */
enum image_end image_jpeg_end(struct image_input *input)
{
    if (walk(input->fd, &input->jpeg)) {
        return END_WHOLE;
    }
    if (image_ends_in_zeros(input->fd, 0, input->bytes, 1)) {
        return END_ZEROS;
    }
    return input->jpeg.scans == 1 && !input->jpeg.progressive ? END_UNMARKED : END_CUT;
}

/* ---- What libjpeg says ------------------------------------------------------------------- */

/* One decode by libjpeg itself, at an eighth of the size, whose pixels nobody looks at. */
struct decode {
    struct jpeg_decompress_struct jpeg; /* first: what libjpeg hands out is this */
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct image_complaints *complaints;
    jmp_buf failed;
    int fd;
    off_t at;
    JOCTET block[BLOCK_BYTES];
};

static gint64 place_of(const struct decode *decode)
{
    return decode->at - (gint64)decode->source.bytes_in_buffer;
}

/* Whether the bytes before a place are all the same. */
static bool is_padding(int fd, gint64 end, gint64 bytes)
{
    guint8 block[BLOCK_BYTES];
    int first = -1;
    for (gint64 at = MAX(end - bytes, 0); at < end; at += (gint64)sizeof block) {
        size_t count = (size_t)MIN(end - at, (gint64)sizeof block);
        if (pread(fd, block, count, at) != (ssize_t)count) {
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            first = first < 0 ? block[i] : first;
            if (block[i] != first) {
                return false;
            }
        }
    }
    return true;
}

/* Bytes that were left over where the next marker was due are harmless but for those before a
 * restart marker, where something was lost, and for many behind a scan: had nothing been lost
 * in it, they would be its pixels. */
static bool is_harmless_rest(const struct decode *decode, int bytes, int marker)
{
    enum { RST7 = RST0 + 7, MANY = 4096 };
    bool in_header = decode->jpeg.input_scan_number == 0;
    bool few = in_header || bytes < MANY || is_padding(decode->fd, place_of(decode), bytes);
    return few && (marker < RST0 || marker > RST7);
}

static bool is_harmless(const struct decode *decode)
{
    const struct jpeg_error_mgr *errors = decode->jpeg.err;
    switch (errors->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
        return is_harmless_rest(decode, errors->msg_parm.i[0], errors->msg_parm.i[1]);
    case JWRN_ADOBE_XFORM:
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_JFIF_MAJOR:
    case JWRN_JPEG_EOF: /* there was no end; pixels that are missing are another warning */
    case JWRN_NOT_SEQUENTIAL:
        return true;
    default:
        return false;
    }
}

/* The first of each kind. */
static void note(j_common_ptr jpeg, int level)
{
    struct decode *decode = (struct decode *)jpeg;
    struct image_complaints *complaints = decode->complaints;
    char text[JMSG_LENGTH_MAX];
    if (level >= 0) {
        return;
    }
    char *to = is_harmless(decode) ? complaints->harmless : complaints->damage;
    if (*to == '\0') {
        jpeg->err->format_message(jpeg, text);
        g_strlcpy(to, text, sizeof complaints->damage);
    }
}

static void note_error(j_common_ptr jpeg)
{
    struct decode *decode = (struct decode *)jpeg;
    jpeg->err->format_message(jpeg, decode->complaints->damage);
    longjmp(decode->failed, 1);
}

static void do_nothing(j_decompress_ptr jpeg)
{
    (void)jpeg;
}

static boolean fill(j_decompress_ptr jpeg)
{
    static const JOCTET end[] = { 0xff, EOI };
    struct decode *decode = (struct decode *)jpeg;
    ssize_t len = pread(decode->fd, decode->block, sizeof decode->block, decode->at);
    if (len <= 0) {
        WARNMS(jpeg, JWRN_JPEG_EOF);
        decode->source.next_input_byte = end;
        decode->source.bytes_in_buffer = sizeof end;
        return TRUE;
    }
    decode->at += len;
    decode->source.next_input_byte = decode->block;
    decode->source.bytes_in_buffer = (size_t)len;
    return TRUE;
}

static void skip(j_decompress_ptr jpeg, long bytes)
{
    struct decode *decode = (struct decode *)jpeg;
    size_t at_hand = decode->source.bytes_in_buffer, all = (size_t)MAX(bytes, 0);
    if (all <= at_hand) {
        decode->source.next_input_byte += all;
        decode->source.bytes_in_buffer -= all;
        return;
    }
    decode->at += (off_t)(all - at_hand);
    decode->source.bytes_in_buffer = 0;
}

static void set_up(struct decode *decode)
{
    decode->jpeg.err = jpeg_std_error(&decode->errors);
    decode->errors.emit_message = note;
    decode->errors.error_exit = note_error;
    decode->source = (struct jpeg_source_mgr){ .init_source = do_nothing,
        .fill_input_buffer = fill,
        .skip_input_data = skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = do_nothing };
}

/* Rows go to a buffer that libjpeg owns. */
static void decode_all(struct decode *decode)
{
    j_decompress_ptr jpeg = &decode->jpeg;
    jpeg_create_decompress(jpeg);
    jpeg->src = &decode->source;
    jpeg_read_header(jpeg, TRUE);
    jpeg->out_color_space = jpeg->jpeg_color_space;
    jpeg->scale_num = 1;
    jpeg->scale_denom = 8;
    jpeg_start_decompress(jpeg);
    JSAMPARRAY row = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE,
        jpeg->output_width * (JDIMENSION)jpeg->output_components, 1);
    while (jpeg->output_scanline < jpeg->output_height) {
        jpeg_read_scanlines(jpeg, row, 1);
    }
    jpeg_finish_decompress(jpeg); /* up to the mark of the end */
}

/* What was read lies behind what libvips decoded last. */
bool image_jpeg_ended_early(const struct image_input *input)
{
    return input->read_whole && input->jpeg.end > 0 &&
           lseek(input->fd, 0, SEEK_CUR) <= input->jpeg.end;
}

void image_jpeg_complaints(int fd, struct image_complaints *complaints)
{
    g_autofree struct decode *decode = g_new0(struct decode, 1);
    decode->fd = fd;
    decode->complaints = complaints;
    set_up(decode);
    if (setjmp(decode->failed) == 0) {
        decode_all(decode);
    }
    jpeg_destroy_decompress(&decode->jpeg);
}
