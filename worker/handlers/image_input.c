/*
 * image_input.c - opening, checking and decoding the input.
 *
 * The file is opened once, and everything is read through that descriptor: what was checked
 * is what is decoded, even if the name means another file by then. All limits are judged on
 * the header, so that a small file which claims to be huge costs nothing.
 *
 * The decode is planned from the outputs. It stops at the size that the largest of them needs
 * (JPEG can be decoded at a half, a quarter or an eighth for much less work), and its result
 * is kept in memory only when there is more than one use for it.
 */
#include "handlers/image_parts.h"
#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD_BYTES = 16, MAX_VIPS_TEXT = 300 };

struct size {
    int width, height;
};

enum handler_result image_refuse_vips(GString *why, const char *what)
{
    g_autofree char *text = g_utf8_make_valid(vips_error_buffer(), -1);
    vips_error_clear();
    g_strdelimit(g_strstrip(text), "\n\r\t", ' ');
    if (g_utf8_strlen(text, -1) > MAX_VIPS_TEXT) {
        *g_utf8_offset_to_pointer(text, MAX_VIPS_TEXT) = '\0';
    }
    bool memory = strstr(text, "out of memory") != NULL ||
                  strstr(text, "unable to allocate") != NULL ||
                  strstr(text, "Insufficient memory") != NULL;
    return image_refuse(why, memory ? HANDLER_RETRY : HANDLER_FATAL, "%s: %s", what,
        *text ? text : "no reason");
}

static enum handler_result check_file(
    struct image_input *input, const struct image_options *options, GString *why)
{
    struct stat st;
    if (fstat(input->fd, &st) < 0) {
        return image_refuse(
            why, HANDLER_RETRY, "input \"%s\": %s", input->file, g_strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return image_refuse(why, HANDLER_FATAL, "input \"%s\" is %s", input->file,
            S_ISDIR(st.st_mode) ? "a folder" : "not a regular file");
    }
    input->device = st.st_dev;
    input->inode = st.st_ino;
    input->bytes = st.st_size;
    if (st.st_size == 0) {
        return image_refuse(why, HANDLER_FATAL, "input \"%s\" is empty", input->file);
    }
    if (st.st_size > options->max_bytes) {
        return image_refuse(why, HANDLER_FATAL,
            "input \"%s\" has %" PRIu64 " bytes; the limit is %" PRId64, input->file,
            (int64_t)st.st_size, options->max_bytes);
    }
    return HANDLER_DONE;
}

static enum handler_result tell_format(struct image_input *input, GString *why)
{
    unsigned char head[HEAD_BYTES];
    ssize_t len = pread(input->fd, head, sizeof head, 0);
    if (len < 0) {
        return image_refuse(why, HANDLER_RETRY, "input \"%s\" cannot be read: %s", input->file,
            g_strerror(errno));
    }
    input->format = image_format_by_content(head, (size_t)len);
    if (input->format != NULL) {
        return HANDLER_DONE;
    }
    image_refuse(
        why, HANDLER_FATAL, "input \"%s\" is no image that can be read (", input->file);
    for (const struct image_format *f = image_formats; f->name != NULL; f++) {
        g_string_append_printf(why, "%s%s", f == image_formats ? "" : ", ", f->name);
    }
    g_string_append_c(why, ')');
    return HANDLER_FATAL;
}

/* A load costs nothing yet: libvips reads the header and decodes when pixels are asked for.
 * Damage of any kind is an error: half a photo must not pass for one. */
static VipsImage *load(const struct image_input *input, int shrink)
{
    VipsImage *image = NULL;
    int failed =
        shrink > 1
            ? input->format->load(input->source, &image, "access", VIPS_ACCESS_SEQUENTIAL,
                  "fail_on", VIPS_FAIL_ON_WARNING, "shrink", shrink, NULL)
            : input->format->load(input->source, &image, "access", VIPS_ACCESS_SEQUENTIAL,
                  "fail_on", VIPS_FAIL_ON_WARNING, NULL);
    if (failed) {
        image_drop(&image);
    }
    return image;
}

static enum handler_result refuse_damaged(const struct image_input *input, GString *why)
{
    g_autofree char *what =
        g_strdup_printf("input \"%s\" is damaged or cut short", input->file);
    return image_refuse_vips(why, what);
}

/* HEIF files of the brand "mif1" tell only in their header what is inside. */
static void settle_heif(struct image_input *input)
{
    const char *codec;
    if (vips_image_get_typeof(input->header, "heif-compression") &&
        !vips_image_get_string(input->header, "heif-compression", &codec)) {
        input->format = image_format_by_name(strcmp(codec, "av1") == 0 ? "avif" : "heic");
    }
}

static enum handler_result check_header(
    struct image_input *input, const struct image_options *options, GString *why)
{
    VipsImage *header = input->header;
    int64_t pixels = (int64_t)header->Xsize * header->Ysize;
    int frames = vips_image_get_n_pages(header);
    if (pixels > options->max_pixels) {
        return image_refuse(why, HANDLER_FATAL,
            "input \"%s\" is %d x %d pixels, %.1f million; the limit is %.1f million",
            input->file, header->Xsize, header->Ysize, (double)pixels / 1e6,
            (double)options->max_pixels / 1e6);
    }
    if (frames > 1) {
        return image_refuse(why, HANDLER_FATAL,
            "input \"%s\" has %d frames; only single pictures are taken", input->file, frames);
    }
    int orientation = vips_image_get_orientation(header);
    input->sideways = orientation >= 5 && orientation <= 8;
    input->width = input->sideways ? header->Ysize : header->Xsize;
    input->height = input->sideways ? header->Xsize : header->Ysize;
    return HANDLER_DONE;
}

enum handler_result image_input_open(struct image_input *input, int root, const char *file,
    const struct image_options *options, GString *why)
{
    *input = (struct image_input){ .file = file };
    input->fd = path_open(root, file, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (input->fd < 0) {
        return image_refuse(why, path_hopeless(-input->fd) ? HANDLER_FATAL : HANDLER_RETRY,
            "input \"%s\" %s", file, path_reason(-input->fd));
    }
    enum handler_result result = check_file(input, options, why);
    if (!result) {
        result = tell_format(input, why);
    }
    if (result) {
        return result;
    }
    input->source = vips_source_new_from_descriptor(input->fd);
    if (input->source == NULL || (input->header = load(input, 1)) == NULL) {
        return refuse_damaged(input, why);
    }
    settle_heif(input);
    result = check_header(input, options, why);
    if (!result && input->format->whole != NULL && !input->format->whole(input->fd)) {
        return image_refuse(why, HANDLER_FATAL,
            "input \"%s\" is damaged or cut short: the end of the image is missing", file);
    }
    return result;
}

static struct size largest(const struct image_plan *plans, size_t count)
{
    struct size size = { 1, 1 };
    for (size_t i = 0; i < count; i++) {
        size.width = MAX(size.width, plans[i].scaled_width);
        size.height = MAX(size.height, plans[i].scaled_height);
    }
    return size;
}

static struct size turned(struct size size, bool sideways)
{
    return sideways ? (struct size){ size.height, size.width } : size;
}

/* The decoder's own way of shrinking leaves traces of its 8 x 8 blocks. A good filter that
 * takes away at least the last sixth evens them out: what is decoded is a fifth larger than
 * what is needed. */
static int best_shrink(const struct image_input *input, struct size need)
{
    struct size stored = turned(need, input->sideways);
    int shrink = input->format->shrinks ? 8 : 1;
    while (shrink > 1 && (input->header->Xsize / shrink < stored.width * 1.2 ||
                             input->header->Ysize / shrink < stored.height * 1.2)) {
        shrink /= 2;
    }
    return shrink;
}

/* How large to keep what was decoded, upright. Pictures are made from one at least twice as
 * large, where a second resize leaves no trace; if all others can be made from the largest
 * output in that way, nothing larger is kept. Else a decode of more than four times the
 * largest is brought below that. */
static struct size size_to_keep(
    struct size decoded, const struct image_plan *plans, size_t count)
{
    struct size need = largest(plans, count);
    bool from_largest = true;
    for (size_t i = 0; i < count; i++) {
        int w = plans[i].scaled_width, h = plans[i].scaled_height;
        bool same = w == need.width && h == need.height;
        bool half = w <= need.width / 2 && h <= need.height / 2;
        from_largest = from_largest && (same || half);
    }
    if (from_largest) {
        return need;
    }
    int spare = MIN(decoded.width / need.width, decoded.height / need.height) / 2;
    return spare > 1 ? (struct size){ decoded.width / spare, decoded.height / spare } : decoded;
}

/* Stored orientation in, upright out. Turning needs all the pixels at hand, so it comes after
 * the image has become small. */
static int finish_decode(VipsImage *in, VipsImage **out, bool keep)
{
    AUTO_IMAGE *pixels = NULL, *upright = NULL, *clean = NULL;
    bool turn = vips_image_get_orientation(in) > 1;
    pixels = turn ? vips_image_copy_memory(in) : g_object_ref(in);
    if (pixels == NULL || image_upright(pixels, &upright) || image_clean(upright, &clean)) {
        return -1;
    }
    *out = keep || turn ? image_keep(clean) : g_steal_pointer(&clean);
    return *out != NULL ? 0 : -1;
}

enum handler_result image_input_decode(const struct image_input *input,
    const struct image_plan *plans, size_t count, VipsImage **out, GString *why)
{
    AUTO_IMAGE *coded = NULL, *colours = NULL, *small = NULL;
    int shrink = best_shrink(input, largest(plans, count));
    coded = shrink > 1 ? load(input, shrink) : g_object_ref(input->header);
    if (coded == NULL || image_to_srgb(coded, &colours)) {
        return refuse_damaged(input, why);
    }
    struct size decoded = { colours->Xsize, colours->Ysize };
    struct size keep = size_to_keep(turned(decoded, input->sideways), plans, count);
    keep = turned(keep, input->sideways);
    if (image_resize(colours, &small, keep.width, keep.height) ||
        finish_decode(small, out, count > 1)) {
        return refuse_damaged(input, why);
    }
    return HANDLER_DONE;
}

void image_input_close(struct image_input *input)
{
    image_drop(&input->header);
    if (input->source != NULL) {
        g_object_unref(input->source);
    }
    input->source = NULL;
    if (input->fd >= 0) {
        close(input->fd);
    }
    input->fd = -1;
}
