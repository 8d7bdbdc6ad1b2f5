/*
 * image_make.c - from the decoded picture to all outputs.
 *
 * Outputs are made from the largest to the smallest. A picture that was scaled for one feeds
 * later ones that are at most half as wide and high (a second resize leaves no trace then), so
 * that a thumbnail is not scaled down from the whole photo again. Of these pictures each is at
 * most half as wide and high as the one before it, so all of them together take a third of what
 * the decoded image takes, however many outputs there are; and each is dropped as soon as no
 * later output needs it. An output's encoded bytes go to its temporary file at once.
 */
#include "handlers/image_parts.h"

#include <stdio.h>

static const struct image_plan *plan_at(const struct image_work *work, size_t at)
{
    return &work->pieces[work->order[at]].plan;
}

static bool shows_all(const struct image_work *work, const struct image_plan *plan)
{
    return image_plan_shows_all(plan, work->input.width, work->input.height);
}

static bool same_size(const struct image_plan *a, const struct image_plan *b)
{
    return a->scaled_width == b->scaled_width && a->scaled_height == b->scaled_height;
}

static bool is_half(int width, int height, int of_width, int of_height)
{
    return width <= of_width / 2 && height <= of_height / 2;
}

/* A single output that is looked at once pulls its pixels through from the file. */
static bool is_lazy(const struct image_work *work)
{
    const struct image_output *only = &work->request.outputs[work->order[0]];
    return work->to_make == 1 && !image_searches(only) && !only->placeholder;
}

/* Whether all rows of the input are decoded: a lazy picture is not read beyond what is shown.
 */
static bool reads_all(const struct image_work *work)
{
    const struct image_plan *plan = plan_at(work, 0);
    return !is_lazy(work) || (shows_all(work, plan) && plan->width >= plan->scaled_width &&
                                 plan->height >= plan->scaled_height);
}

static enum handler_result decode(struct image_work *work)
{
    VipsImage *decoded = NULL;
    g_autofree struct image_plan *plans = g_new(struct image_plan, work->to_make);
    for (size_t i = 0; i < work->to_make; i++) {
        plans[i] = *plan_at(work, i);
    }
    work->input.read_whole = reads_all(work);
    enum handler_result result = image_input_decode(
        &work->input, plans, work->to_make, !is_lazy(work), &decoded, work->why);
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

/* The smallest picture that the plan can be made from; parts of the input come from what was
 * decoded, which is the first. One that is more than half of that before it is there for the
 * same size alone. */
static VipsImage *picture_for(const struct image_work *work, const struct image_plan *plan)
{
    GPtrArray *pictures = work->pictures;
    for (guint i = pictures->len; shows_all(work, plan) && i-- > 1;) {
        const VipsImage *before = pictures->pdata[i - 1];
        VipsImage *picture = pictures->pdata[i];
        int width = plan->scaled_width, height = plan->scaled_height;
        bool same = picture->Xsize == width && picture->Ysize == height;
        if (same ||
            (is_half(width, height, picture->Xsize, picture->Ysize) &&
                is_half(picture->Xsize, picture->Ysize, before->Xsize, before->Ysize))) {
            return picture;
        }
    }
    return pictures->pdata[0];
}

/* Whether the picture of the output at that place feeds a later one: of the same size, which
 * comes next, or of half of it. */
static bool feeds(const struct image_work *work, size_t at)
{
    const struct image_plan *plan = plan_at(work, at);
    const VipsImage *smallest = work->pictures->pdata[work->pictures->len - 1];
    bool next = at + 1 < work->to_make;
    if (next && shows_all(work, plan_at(work, at + 1)) &&
        same_size(plan, plan_at(work, at + 1))) {
        return true;
    }
    if (!is_half(plan->scaled_width, plan->scaled_height, smallest->Xsize, smallest->Ysize)) {
        return false;
    }
    for (size_t i = at + 1; i < work->to_make; i++) {
        const struct image_plan *later = plan_at(work, i);
        if (shows_all(work, later) && is_half(later->scaled_width, later->scaled_height,
                                          plan->scaled_width, plan->scaled_height)) {
            return true;
        }
    }
    return false;
}

static bool is_needed(const struct image_work *work, const VipsImage *picture, size_t from)
{
    for (size_t i = from; i < work->to_make; i++) {
        if (picture_for(work, plan_at(work, i)) == picture) {
            return true;
        }
    }
    return false;
}

/* What the outputs from that place on do without. The first stands for the input as long as
 * there is any. */
static void drop_pictures(struct image_work *work, size_t from)
{
    for (guint i = work->pictures->len; i-- > 0;) {
        if (!is_needed(work, work->pictures->pdata[i], from)) {
            g_ptr_array_remove_index(work->pictures, i);
        }
    }
}

/* Scales the picture of an output, and keeps it in memory when others are to be made from it.
 */
static int scale(struct image_work *work, size_t at, VipsImage **out)
{
    AUTO_IMAGE *lazy = NULL, *view = NULL;
    const struct image_plan *plan = plan_at(work, at);
    int width = plan->scaled_width, height = plan->scaled_height;
    if (!shows_all(work, plan)) {
        return cut_view(work, plan, &view) || image_resize(view, out, width, height);
    }
    VipsImage *from = picture_for(work, plan);
    if (image_resize(from, &lazy, width, height)) {
        return -1;
    }
    if (lazy == from || !feeds(work, at)) {
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

/* As the output shows it; in memory where it is looked at more than once. */
static int prepare(struct image_work *work, size_t at, VipsImage **out)
{
    AUTO_IMAGE *scaled = NULL, *framed = NULL;
    const struct image_output *output = &work->request.outputs[work->order[at]];
    const struct image_plan *plan = plan_at(work, at);
    if (keeps_motion(work, output)
            ? image_motion_make(&work->input, work->reel, plan, output, &framed)
            : scale(work, at, &scaled) || image_frame(scaled, &framed, plan, output)) {
        return -1;
    }
    drop_pictures(work, at + 1);
    bool again = image_searches(output) || output->placeholder;
    *out = again ? image_keep(framed) : g_steal_pointer(&framed);
    return *out != NULL ? 0 : -1;
}

/* The input's own data in place of what was encoded, or of nothing. */
static void keep_input(struct image_piece *piece, GByteArray *own)
{
    g_free(piece->data);
    piece->bytes = own->len;
    piece->data = g_byte_array_free(own, FALSE);
    piece->quality = 0;
    piece->similarity = 0;
    piece->kept = true;
}

/* Encodes the picture, or keeps the input's data where that is allowed and not larger. A budget
 * that it fits is best met by it; a similarity, by what is smaller. */
static int encode(struct image_work *work, size_t index, VipsImage *picture)
{
    struct image_piece *piece = &work->pieces[index];
    const struct image_output *output = &work->request.outputs[index];
    g_autoptr(GByteArray) own = piece->may_keep ? image_kept_data(&work->input, picture) : NULL;
    if (piece->may_keep && own == NULL) {
        piece->larger = "coding";
    }
    bool fits = own != NULL && (output->max_bytes == 0 || own->len <= (guint)output->max_bytes);
    if (fits && output->max_bytes > 0 && output->target == 0) {
        keep_input(piece, g_steal_pointer(&own));
        return 0;
    }
    int failed = image_encode(picture, output, piece, work->why);
    if (fits && !failed && (piece->data == NULL || own->len <= piece->bytes)) {
        keep_input(piece, g_steal_pointer(&own));
    }
    return failed;
}

static enum handler_result refuse(const struct image_work *work, size_t index)
{
    if (is_lazy(work) && image_decoder_failed()) {
        return image_refuse_damaged(&work->input, work->why);
    }
    g_autofree char *what =
        g_strdup_printf("output \"%s\" cannot be made", work->request.outputs[index].file);
    return image_refuse_vips(work->why, what);
}

static enum handler_result make_piece(struct image_work *work, size_t at)
{
    AUTO_IMAGE *picture = NULL;
    size_t index = work->order[at];
    struct image_piece *piece = &work->pieces[index];
    int64_t start_us = g_get_monotonic_time();
    piece->pages = keeps_motion(work, &work->request.outputs[index]) ? work->input.pages : 1;
    if (prepare(work, at, &picture) || encode(work, index, picture)) {
        return refuse(work, index);
    }
    if (piece->data == NULL) { /* `why` says which bound cannot be met */
        return HANDLER_FATAL;
    }
    if (work->request.outputs[index].placeholder &&
        (piece->placeholder = image_placeholder(picture)) == NULL) {
        return refuse(work, index);
    }
    if (image_sha256(piece->data, piece->bytes, piece->sha256)) {
        return image_refuse(work->why, HANDLER_RETRY, "out of memory");
    }
    piece->us = g_get_monotonic_time() - start_us;
    enum handler_result result =
        image_place_write(&piece->place, piece->data, piece->bytes, work->why);
    g_clear_pointer(&piece->data, g_free);
    return result;
}

static void report(const struct image_work *work, size_t made)
{
    char percent[16];
    size_t done = work->request.count - work->to_make + made;
    snprintf(percent, sizeof percent, "%zu", done * 100 / work->request.count);
    work->io->progress(work->io->arg, percent);
}

/* Whether the input's own data may stand for an output. */
static void settle_keeping(struct image_work *work, size_t index)
{
    struct image_piece *piece = &work->pieces[index];
    const struct image_output *output = &work->request.outputs[index];
    if (image_is_as_input(&work->input, output, &piece->plan)) {
        piece->larger = image_why_not_keep(&work->input, output);
        piece->may_keep = piece->larger == NULL;
    }
}

enum handler_result image_make(struct image_work *work)
{
    if (work->to_make == 0) {
        report(work, 0);
        return HANDLER_DONE;
    }
    for (size_t i = 0; i < work->to_make; i++) {
        size_t index = work->order[i];
        settle_keeping(work, index);
    }
    enum handler_result result = decode(work);
    for (size_t i = 0; !result && i < work->to_make; i++) {
        result = make_piece(work, i);
        if (!result) {
            report(work, i + 1);
        }
    }
    return result;
}
