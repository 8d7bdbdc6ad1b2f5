/*
 * image_motion.c - an animation: each frame is made as a still picture would be.
 *
 * libvips has the frames of an animation one below the other in one image. What is done to a
 * picture is done to each of them alone, so that none bleeds into the next; then they are put
 * one below the other again, with their times and the number of rounds. Where the window is to
 * be searched for, it is found in the first frame: it must not jump.
 */
#include "handlers/image_parts.h"

static int frame_of(
    const struct image_input *input, VipsImage *reel, int index, VipsImage **out)
{
    AUTO_IMAGE *stored = NULL, *pixels = NULL;
    int height = reel->Ysize / input->pages;
    if (vips_extract_area(reel, &stored, 0, index * height, reel->Xsize, height, NULL)) {
        return -1;
    }
    if (input->orientation == 1) {
        *out = g_steal_pointer(&stored);
        return 0;
    }
    pixels = vips_image_copy_memory(stored);
    return pixels == NULL ? -1 : image_upright(pixels, out, input->orientation);
}

VipsImage *image_first_frame(const struct image_input *input, VipsImage *reel)
{
    AUTO_IMAGE *frame = NULL;
    return frame_of(input, reel, 0, &frame) ? NULL : image_keep(frame);
}

/* One frame as the plan has it, its pixels in memory; NULL on failure. */
static VipsImage *make_frame(const struct image_input *input, VipsImage *reel, int index,
    struct image_plan *plan, const struct image_output *output)
{
    AUTO_IMAGE *frame = NULL, *view = NULL, *scaled = NULL, *framed = NULL;
    const struct image_crop *crop = &plan->view;
    if (frame_of(input, reel, index, &frame) ||
        vips_extract_area(
            frame, &view, crop->left, crop->top, crop->width, crop->height, NULL) ||
        image_resize(view, &scaled, plan->scaled_width, plan->scaled_height)) {
        return NULL;
    }
    if (plan->search) {
        VipsImage *pixels = vips_image_copy_memory(scaled);
        image_drop(&scaled);
        scaled = pixels;
        if (scaled == NULL || image_find_window(scaled, plan)) {
            return NULL;
        }
    }
    return image_frame(scaled, &framed, plan, output) ? NULL : vips_image_copy_memory(framed);
}

/* How long each frame stays, in ms, and how often it all runs; 0: for ever. */
static void copy_times(VipsImage *from, VipsImage *to, int pages)
{
    int *delays, count, loop;
    if (vips_image_get_typeof(from, "delay") &&
        !vips_image_get_array_int(from, "delay", &delays, &count)) {
        vips_image_set_array_int(to, "delay", delays, MIN(count, pages));
    }
    if (vips_image_get_typeof(from, "loop") && !vips_image_get_int(from, "loop", &loop)) {
        vips_image_set_int(to, "loop", loop);
    }
}

static int join_frames(const struct image_input *input, GPtrArray *frames, VipsImage **out)
{
    AUTO_IMAGE *reel = NULL;
    VipsImage *first = frames->pdata[0];
    if (vips_arrayjoin(
            (VipsImage **)frames->pdata, &reel, (int)frames->len, "across", 1, NULL) ||
        vips_copy(reel, out, NULL)) {
        return -1;
    }
    vips_image_set_int(*out, VIPS_META_PAGE_HEIGHT, first->Ysize);
    vips_image_set_int(*out, VIPS_META_N_PAGES, (int)frames->len);
    copy_times(input->header, *out, (int)frames->len);
    return 0;
}

int image_motion_make(const struct image_input *input, VipsImage *reel,
    const struct image_plan *plan, const struct image_output *output, VipsImage **out)
{
    struct image_plan settled = *plan;
    GPtrArray *frames = g_ptr_array_new_with_free_func(g_object_unref);
    int result = 0;
    for (int i = 0; !result && i < input->pages; i++) {
        VipsImage *frame = make_frame(input, reel, i, &settled, output);
        if (frame != NULL) {
            g_ptr_array_add(frames, frame);
        }
        result = frame == NULL ? -1 : 0;
    }
    if (!result) {
        result = join_frames(input, frames, out);
    }
    g_ptr_array_free(frames, TRUE);
    return result;
}
