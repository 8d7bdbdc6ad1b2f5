/*
 * image_make.c - from the decoded picture to all outputs.
 *
 * Outputs are made from the largest to the smallest, each from the smallest picture at hand
 * that is at least twice its size (or exactly its size), so that a thumbnail is not scaled
 * down from the whole photo again.
 */
#include "handlers/image_parts.h"

#include <stdio.h>

static enum handler_result decode(struct image_work *work)
{
    VipsImage *decoded = NULL;
    g_autofree struct image_plan *plans = g_new(struct image_plan, work->request.count);
    for (size_t i = 0; i < work->request.count; i++) {
        plans[i] = work->pieces[i].plan;
    }
    enum handler_result result =
        image_input_decode(&work->input, plans, work->request.count, &decoded, work->why);
    if (!result && work->input.motion) {
        work->reel = decoded;
        decoded = image_first_frame(&work->input, work->reel);
        if (decoded == NULL) {
            return image_refuse_damaged(&work->input, work->why);
        }
    }
    if (!result) {
        g_ptr_array_add(work->pictures, decoded);
    }
    return result;
}

/* The part of the decoded picture that the plan shows. */
static int cut_view(
    const struct image_work *work, const struct image_plan *plan, VipsImage **out)
{
    VipsImage *all = work->pictures->pdata[0];
    const struct image_crop *view = &plan->view;
    double h = (double)all->Xsize / work->input.width;
    double v = (double)all->Ysize / work->input.height;
    int left = MIN((int)(view->left * h + 0.5), all->Xsize - 1);
    int top = MIN((int)(view->top * v + 0.5), all->Ysize - 1);
    int right = (int)((view->left + view->width) * h + 0.5);
    int bottom = (int)((view->top + view->height) * v + 0.5);
    return vips_extract_area(
        all, out, left, top, MAX(right - left, 1), MAX(bottom - top, 1), NULL);
}

/* The smallest picture that the size can be made from. They were added largest first. */
static VipsImage *picture_for(const GPtrArray *pictures, int width, int height)
{
    for (guint i = pictures->len; i-- > 1;) {
        VipsImage *picture = pictures->pdata[i];
        bool same = picture->Xsize == width && picture->Ysize == height;
        bool twice = picture->Xsize / 2 >= width && picture->Ysize / 2 >= height;
        if (same || twice) {
            return picture;
        }
    }
    return pictures->pdata[0];
}

/* Scales one output's picture, and keeps it in memory when more are to be made after it. Parts
 * of the input come from what was decoded, and nothing from them. */
static int scale(
    struct image_work *work, const struct image_plan *plan, bool last, VipsImage **out)
{
    AUTO_IMAGE *lazy = NULL, *view = NULL;
    if (!image_plan_shows_all(plan, work->input.width, work->input.height)) {
        return cut_view(work, plan, &view) ||
               image_resize(view, out, plan->scaled_width, plan->scaled_height);
    }
    VipsImage *from = picture_for(work->pictures, plan->scaled_width, plan->scaled_height);
    if (image_resize(from, &lazy, plan->scaled_width, plan->scaled_height)) {
        return -1;
    }
    if (last || lazy == from) {
        *out = g_steal_pointer(&lazy);
        return 0;
    }
    if ((*out = image_keep(lazy)) == NULL) {
        return -1;
    }
    g_ptr_array_add(work->pictures, g_object_ref(*out));
    return 0;
}

static bool keeps_motion(const struct image_work *work, const struct image_output *output)
{
    return work->reel != NULL && output->format->motion;
}

/* From what was decoded to the pixels that are encoded. */
static int draw(struct image_work *work, size_t index, bool last, VipsImage **out)
{
    AUTO_IMAGE *scaled = NULL;
    const struct image_plan *plan = &work->pieces[index].plan;
    const struct image_output *output = &work->request.outputs[index];
    if (keeps_motion(work, output)) {
        return image_motion_make(&work->input, work->reel, plan, output, out);
    }
    return scale(work, plan, last, &scaled) || image_frame(scaled, out, plan, output);
}

static enum handler_result make_piece(struct image_work *work, size_t index, bool last)
{
    AUTO_IMAGE *framed = NULL;
    struct image_piece *piece = &work->pieces[index];
    const struct image_output *output = &work->request.outputs[index];
    int64_t start_us = g_get_monotonic_time();
    if (draw(work, index, last, &framed) ||
        output->format->save(
            framed, output, !image_has_rights(framed), &piece->data, &piece->bytes)) {
        /* A single output pulls its pixels through from the file as it is encoded. */
        if (work->request.count == 1 && image_decoder_failed()) {
            return image_refuse_damaged(&work->input, work->why);
        }
        g_autofree char *what = g_strdup_printf("output \"%s\" cannot be made", output->file);
        return image_refuse_vips(work->why, what);
    }
    piece->quality = output->quality;
    piece->pages = keeps_motion(work, output) ? work->input.pages : 1;
    if (image_sha256(piece->data, piece->bytes, piece->sha256)) {
        return image_refuse(work->why, HANDLER_RETRY, "out of memory");
    }
    piece->us = g_get_monotonic_time() - start_us;
    return HANDLER_DONE;
}

static enum handler_result make_pieces(struct image_work *work)
{
    size_t count = work->request.count;
    for (size_t i = 0; i < count; i++) {
        enum handler_result result = make_piece(work, work->order[i], i + 1 == count);
        if (result) {
            return result;
        }
        char percent[16];
        snprintf(percent, sizeof percent, "%zu", (i + 1) * 100 / count);
        work->io->progress(work->io->arg, percent);
    }
    return HANDLER_DONE;
}

enum handler_result image_make(struct image_work *work)
{
    enum handler_result result = decode(work);
    return result ? result : make_pieces(work);
}
