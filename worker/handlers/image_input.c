/*
 * image_input.c - opening the input and checking what its header says.
 *
 * The file is opened once, and everything is read through that descriptor: what was checked
 * is what is decoded, even if the name means another file by then. All limits are judged on
 * the header, so that a small file which claims to be huge costs nothing.
 */
#include "handlers/image_parts.h"
#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD_BYTES = 16 };

static int64_t changed_ns(const struct stat *st)
{
    return st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec;
}

/* ---- Uploads ----------------------------------------------------------------------------- */

static bool has_changed(const struct image_input *input)
{
    struct stat st;
    return fstat(input->fd, &st) == 0 &&
           (st.st_size != input->bytes || changed_ns(&st) != input->changed_ns);
}

/* Only of a file that was changed in the last two seconds is another change awaited. */
bool image_input_is_changing(const struct image_input *input)
{
    enum { FRESH_MS = 2000, WAIT_MS = 1000, LOOK_MS = 50 };
    int64_t age_ms = g_get_real_time() / 1000 - input->changed_ns / 1000000;
    for (int waited = 0; age_ms >= 0 && age_ms < FRESH_MS && waited < WAIT_MS;
         waited += LOOK_MS) {
        if (has_changed(input)) {
            return true;
        }
        g_usleep(LOOK_MS * 1000);
    }
    return has_changed(input);
}

/* ---- Opening ----------------------------------------------------------------------------- */

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
    input->changed_ns = changed_ns(&st);
    if (st.st_size == 0) {
        return image_refuse(why, HANDLER_RETRY,
            "input \"%s\" is empty; it may be still to be written", input->file);
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
    g_autoptr(GString) names = g_string_new(NULL);
    for (const struct image_format *f = image_formats; f->name != NULL; f++) {
        g_string_append_printf(names, "%s%s", f == image_formats ? "" : ", ", f->name);
    }
    return image_refuse_broken(input, why, "is not an image that can be read (%s)", names->str);
}

/* Files that end too early are refused, unless fail_on is none. */
static enum handler_result judge_end(const struct image_input *input, GString *why)
{
    if (input->end < END_CUT) {
        return HANDLER_DONE;
    }
    const char *what = input->end == END_ZEROS ? "the rest of its picture is zeros"
                                               : "it ends in the middle of its picture";
    if (input->request->fail_on >= VIPS_FAIL_ON_TRUNCATED) {
        return image_refuse_broken(input, why, "is damaged or cut short: %s", what);
    }
    image_warn(input->warnings, "input \"%s\" is damaged or cut short: %s", input->file, what);
    return HANDLER_DONE;
}

static enum handler_result check_end(struct image_input *input, GString *why)
{
    input->end = input->format->end(input);
    return judge_end(input, why);
}

/* Whether a picture without the mark of its end is whole. Decodes a JPEG. */
static enum handler_result check_mark(struct image_input *input, GString *why)
{
    struct image_complaints complaints = { 0 };
    int fail_on = input->request->fail_on;
    if (input->jpeg.scans > 0 && !input->request->info) {
        image_jpeg_complaints(input->fd, &complaints);
    }
    if (*complaints.damage != '\0' && fail_on >= VIPS_FAIL_ON_TRUNCATED) {
        return image_refuse_broken(
            input, why, "is damaged or cut short: %s", complaints.damage);
    }
    if (fail_on >= VIPS_FAIL_ON_WARNING) {
        return image_refuse_broken(
            input, why, "has no mark at its end, which \"fail_on\": \"warning\" refuses");
    }
    image_warn(input->warnings, "input \"%s\" has no mark at its end%s%s", input->file,
        *complaints.damage != '\0' ? ": " : "; what it shows seems whole", complaints.damage);
    return HANDLER_DONE;
}

/* What could not be told of the end without decoding, which the limits allow by now. */
static enum handler_result check_doubts(struct image_input *input, GString *why)
{
    if (input->end == END_UNSURE && !input->request->info) {
        input->end = image_webp_true_end(input);
        return judge_end(input, why);
    }
    return input->end == END_UNMARKED ? check_mark(input, why) : HANDLER_DONE;
}

static enum handler_result check_scans(
    const struct image_input *input, const struct image_options *options, GString *why)
{
    if (input->jpeg.scans <= options->max_scans) {
        return HANDLER_DONE;
    }
    return image_refuse(why, HANDLER_FATAL,
        "input \"%s\" has %" PRId64 " scans; the limit is %" PRId64, input->file,
        input->jpeg.scans, options->max_scans);
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
    if (pixels > options->max_pixels) {
        return image_refuse(why, HANDLER_FATAL,
            "input \"%s\" is %d x %d pixels, %.1f million; the limit is %.1f million",
            input->file, header->Xsize, header->Ysize, (double)pixels / 1e6,
            (double)options->max_pixels / 1e6);
    }
    input->orientation = image_orientation(input);
    input->sideways = input->orientation >= 5;
    int height = input->motion ? vips_image_get_page_height(header) : header->Ysize;
    input->width = input->sideways ? height : header->Xsize;
    input->height = input->sideways ? header->Xsize : height;
    return HANDLER_DONE;
}

/* All that the header says: nothing is decoded before. */
static enum handler_result check_limits(
    struct image_input *input, const struct image_options *options, GString *why)
{
    enum handler_result result = image_pages_choose(input, options, why);
    if (!result) {
        result = image_alpha_check(input, why);
    }
    if (!result) {
        result = check_header(input, options, why);
    }
    if (!result) {
        result = check_scans(input, options, why);
    }
    return result ? result : image_memory_check(input, options, why);
}

static enum handler_result open_header(struct image_input *input, GString *why)
{
    input->source = vips_source_new_from_descriptor(input->fd);
    if (input->source == NULL || (input->header = image_load(input, 1)) == NULL) {
        return image_refuse_damaged(input, why);
    }
    settle_heif(input);
    return HANDLER_DONE;
}

enum handler_result image_input_open(struct image_input *input, int root,
    const struct image_request *request, const struct image_options *options, GString *why)
{
    const char *file = request->input;
    *input = (struct image_input){
        .file = file, .request = request, .pages = 1, .page = -1, .warnings = input->warnings
    };
    input->fd = path_open(root, file, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (input->fd < 0) {
        return image_refuse(why, path_hopeless(-input->fd) ? HANDLER_FATAL : HANDLER_RETRY,
            "input \"%s\" %s", file, path_reason(-input->fd));
    }
    enum handler_result result = check_file(input, options, why);
    if (!result) {
        result = tell_format(input, why);
    }
    if (!result) {
        result = check_end(input, why);
    }
    if (!result) {
        result = open_header(input, why);
    }
    if (!result) {
        result = check_limits(input, options, why);
    }
    if (!result) {
        result = check_doubts(input, why);
    }
    int error = result ? 0 : image_sha256_file(input->fd, input->sha256);
    if (error) {
        return image_refuse(
            why, HANDLER_RETRY, "input \"%s\" cannot be read: %s", file, g_strerror(-error));
    }
    return result;
}

enum handler_result image_input_finish(const struct image_input *input, GString *why)
{
    if (has_changed(input)) {
        return image_refuse(
            why, HANDLER_RETRY, "input \"%s\" was changed while it was read", input->file);
    }
    enum handler_result result = image_judge_messages(input, why);
    image_messages_clear();
    return result;
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
