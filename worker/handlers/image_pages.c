/*
 * image_pages.c - which of the pictures or frames of a file are taken.
 *
 * A job names a page, or asks for the motion, or says nothing: then it is the picture that the
 * format calls the primary one (HEIC, AVIF), the first that is not marked as a preview (TIFF),
 * or the first.
 */
#include "handlers/image_ifd.h"
#include "handlers/image_parts.h"

enum { MAX_DIRECTORIES = 256, REDUCED = 1 };

static bool is_preview(const struct image_ifd *ifd, const struct image_entry *entry, void *arg)
{
    if (entry->tag == TAG_SUBFILE_TYPE) {
        *(bool *)arg = (image_ifd_number(ifd, entry, 0) & REDUCED) != 0;
    }
    return true;
}

/* Some programs put a preview first. */
static int first_full_page(const struct image_input *input)
{
    struct image_ifd ifd;
    if (!image_ifd_open_file(&ifd, input->fd, (guint64)input->bytes)) {
        return 0;
    }
    guint64 start = ifd.first;
    for (int page = 0; page < MIN(input->pages, MAX_DIRECTORIES) && start != 0; page++) {
        bool preview = false;
        start = image_ifd_walk(&ifd, start, is_preview, &preview);
        if (!preview) {
            return page;
        }
    }
    return 0;
}

/* The page that is taken when none is named. */
static int default_page(const struct image_input *input)
{
    int primary;
    if (vips_image_get_typeof(input->header, "heif-primary") &&
        !vips_image_get_int(input->header, "heif-primary", &primary)) {
        return primary;
    }
    return input->format->turned_by == TURNED_BY_TAG && input->pages > 1
               ? first_full_page(input)
               : 0;
}

/* Frames that no loader here can read: what it shows is a still picture. */
static enum handler_result check_hidden_frames(struct image_input *input, GString *why)
{
    const struct image_request *request = input->request;
    int frames = image_hidden_frames(input);
    if (frames <= 1) {
        return HANDLER_DONE;
    }
    if (request->animated || (request->page > 0 && request->page < frames)) {
        return image_refuse(why, HANDLER_FATAL,
            "input \"%s\" is an animation of %d frames, of which only a still picture can be "
            "read from %s; leave out %s to take it, or convert it to WebP first",
            input->file, frames, input->format->name, request->animated ? "animated" : "page");
    }
    input->pages = MAX(input->pages, frames);
    image_warn(input->warnings,
        "input \"%s\" is an animation of %d frames; only a still picture can be read from %s",
        input->file, frames, input->format->name);
    return HANDLER_DONE;
}

/* Motion is worth its memory only where an output can show it. */
static bool wants_motion(const struct image_request *request, const struct image_format *format)
{
    if (!request->animated || !format->motion) {
        return false;
    }
    bool any = request->count == 0;
    for (size_t i = 0; i < request->count; i++) {
        any = any || request->outputs[i].format->motion;
    }
    return any;
}

static enum handler_result check_motion(
    const struct image_input *input, const struct image_options *options, GString *why)
{
    int64_t pixels = (int64_t)input->header->Xsize * input->header->Ysize * input->pages;
    if (input->pages > options->max_frames) {
        return image_refuse(why, HANDLER_FATAL,
            "input \"%s\" has %d frames; the limit is %" G_GINT64_FORMAT, input->file,
            input->pages, options->max_frames);
    }
    if (pixels > options->max_pixels) {
        return image_refuse(why, HANDLER_FATAL,
            "input \"%s\" has %d frames of %d x %d pixels, %.1f million in all; the limit is "
            "%.1f million",
            input->file, input->pages, input->header->Xsize, input->header->Ysize,
            (double)pixels / 1e6, (double)options->max_pixels / 1e6);
    }
    return HANDLER_DONE;
}

/* Opens the header anew for another page, or for all frames. */
static enum handler_result reopen(struct image_input *input, GString *why)
{
    image_drop(&input->header);
    input->header = image_load(input, 1);
    return input->header != NULL ? HANDLER_DONE : image_refuse_damaged(input, why);
}

/* (vips_image_get_n_pages() takes large numbers for nonsense, and then says 1.) */
static int count_pages(VipsImage *header)
{
    int pages = 1;
    if (vips_image_get_typeof(header, VIPS_META_N_PAGES) != 0 &&
        vips_image_get_int(header, VIPS_META_N_PAGES, &pages)) {
        vips_error_clear();
    }
    return MAX(pages, 1);
}

enum handler_result image_pages_choose(
    struct image_input *input, const struct image_options *options, GString *why)
{
    int asked = input->request->page;
    input->pages = count_pages(input->header);
    enum handler_result result = check_hidden_frames(input, why);
    if (result) {
        return result;
    }
    if (asked >= input->pages) {
        return image_refuse(why, HANDLER_FATAL,
            "page %d is not in the input \"%s\": it holds %d, counted from 0", asked,
            input->file, input->pages);
    }
    int opened = vips_image_get_typeof(input->header, "heif-primary") ? default_page(input) : 0;
    input->page = asked >= 0 ? asked : default_page(input);
    input->motion = input->pages > 1 && wants_motion(input->request, input->format);
    if (input->motion) {
        result = check_motion(input, options, why);
    }
    bool other = input->motion || input->page != opened;
    return !result && other ? reopen(input, why) : result;
}
