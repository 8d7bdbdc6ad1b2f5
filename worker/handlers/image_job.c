/*
 * image_job.c - one job: the order of it all.
 *
 *   read the request -> open and check the input (`info` ends here) -> plan the outputs ->
 *   open their folders, check their places -> see what an earlier job made (image_record.c) ->
 *   decode once, make each output and write its temporary file (image_make.c) ->
 *   rename all (image_commit.c) -> records -> return value
 *
 * Nothing is visible before every output is on disk: a job that fails leaves all as it was, and
 * a repeat makes what is missing, with the same result.
 */
#include "handlers/image_parts.h"

/* ---- Plan -------------------------------------------------------------------------------- */

static int64_t area(const struct image_piece *piece)
{
    return (int64_t)piece->plan.scaled_width * piece->plan.scaled_height;
}

static int by_area(gconstpointer a, gconstpointer b, gpointer pieces)
{
    const struct image_piece *all = pieces;
    int64_t left = area(&all[*(const size_t *)a]), right = area(&all[*(const size_t *)b]);
    return (left < right) - (left > right);
}

/* Sizes that no file could hold, or that nobody meant to ask for. */
static enum handler_result check_plan(struct image_work *work, size_t index)
{
    const struct image_plan *plan = &work->pieces[index].plan;
    const struct image_output *output = &work->request.outputs[index];
    int64_t limit = work->options->max_pixels;
    int frames = work->input.motion && output->format->motion ? work->input.pages : 1;
    int64_t scaled = (int64_t)plan->scaled_width * plan->scaled_height * frames;
    int64_t framed = (int64_t)plan->width * plan->height * frames;
    if (MAX(scaled, framed) > limit) {
        return image_refuse(work->why, HANDLER_FATAL,
            "output \"%s\" would take %.1f million pixels; the limit is %.1f million",
            output->file, (double)MAX(scaled, framed) / 1e6, (double)limit / 1e6);
    }
    if (MAX(plan->width, plan->height) > output->format->max_side) {
        return image_refuse(work->why, HANDLER_FATAL,
            "output \"%s\" would be %d x %d; %s holds at most %d in one direction: give it a "
            "smaller %s, or another format",
            output->file, plan->width, plan->height, output->format->name,
            output->format->max_side, plan->width > plan->height ? "width" : "height");
    }
    return HANDLER_DONE;
}

static enum handler_result check_crop(struct image_work *work, size_t index)
{
    const struct image_input *input = &work->input;
    const struct image_crop *crop = &work->request.outputs[index].crop;
    int right = crop->left + crop->width, bottom = crop->top + crop->height;
    if (right <= input->width && bottom <= input->height) {
        return HANDLER_DONE;
    }
    return image_refuse(work->why, HANDLER_FATAL,
        "outputs[%zu].crop ends at %d x %d, outside the input of %d x %d pixels", index, right,
        bottom, input->width, input->height);
}

static enum handler_result make_plan(struct image_work *work)
{
    struct image_request *request = &work->request;
    if (request->count == 0) {
        image_request_default(request, work->options, work->input.format);
    }
    work->pieces = g_new0(struct image_piece, request->count);
    work->order = g_new(size_t, request->count);
    work->to_make = request->count;
    for (size_t i = 0; i < request->count; i++) {
        work->pieces[i].place = (struct image_place){ .folder = -1, .fd = -1, .old_fd = -1 };
        work->order[i] = i;
    }
    for (size_t i = 0; i < request->count; i++) {
        enum handler_result result = check_crop(work, i);
        if (result) {
            return result;
        }
        work->pieces[i].plan =
            image_fit(work->input.width, work->input.height, &request->outputs[i]);
        result = check_plan(work, i);
        if (result) {
            return result;
        }
    }
    g_qsort_with_data(
        work->order, (int)request->count, sizeof *work->order, by_area, work->pieces);
    return HANDLER_DONE;
}

/* Opens all folders before any work is done. No output may replace the input or another. */
static enum handler_result open_places(struct image_work *work)
{
    for (size_t i = 0; i < work->request.count; i++) {
        struct image_place *place = &work->pieces[i].place;
        const char *file = work->request.outputs[i].file;
        enum handler_result result = image_place_open(place, work->root, file, work->why);
        if (result) {
            return result;
        }
        if (image_place_holds(place, &work->input)) {
            return image_refuse(work->why, HANDLER_FATAL,
                "output \"%s\" is the input itself, which is never overwritten", file);
        }
        for (size_t j = 0; j < i; j++) {
            if (image_place_same(place, &work->pieces[j].place)) {
                return image_refuse(
                    work->why, HANDLER_FATAL, "two outputs are the same file \"%s\"", file);
            }
        }
    }
    return HANDLER_DONE;
}

/* ---- Store ---------------------------------------------------------------------------- */

static enum handler_result store_pieces(struct image_work *work)
{
    g_autofree struct image_place **places = g_new(struct image_place *, work->to_make);
    for (size_t i = 0; i < work->to_make; i++) {
        places[i] = &work->pieces[work->order[i]].place;
    }
    enum handler_result result = image_places_commit(places, work->to_make, work->why);
    if (!result) {
        image_records_write(work);
    }
    return result;
}

/* ---- Run --------------------------------------------------------------------------------- */

static void clear_leftovers(const struct image_work *work)
{
    for (size_t i = 0; i < work->request.count; i++) {
        image_place_clear(work->root, work->request.outputs[i].file);
    }
}

static enum handler_result do_work(struct image_work *work, const struct handler_job *job)
{
    enum handler_result result =
        image_request_read(&work->request, work->options, job->data, job->data_len, work->why);
    if (!result) {
        clear_leftovers(work);
        result = image_input_open(
            &work->input, work->root, &work->request, work->options, work->why);
    }
    if (result || work->request.info) {
        return result ? result : image_input_finish(&work->input, work->why);
    }
    result = make_plan(work);
    if (!result) {
        result = open_places(work);
    }
    if (!result) {
        image_records_read(work);
        result = image_make(work);
    }
    if (!result) {
        result = image_input_finish(&work->input, work->why);
    }
    return result ? result : store_pieces(work);
}

static void clean_up(struct image_work *work)
{
    for (size_t i = 0; work->pieces != NULL && i < work->request.count; i++) {
        image_place_close(&work->pieces[i].place);
        g_free(work->pieces[i].data);
        g_free(work->pieces[i].placeholder);
        json_decref(work->pieces[i].recorded);
        if (work->pieces[i].tries != NULL) {
            g_array_unref(work->pieces[i].tries);
        }
    }
    g_free(work->pieces);
    g_free(work->order);
    g_ptr_array_free(work->pictures, TRUE);
    image_drop(&work->reel);
    g_ptr_array_free(work->warnings, TRUE);
    image_input_close(&work->input);
    image_request_clear(&work->request);
    image_messages_clear();
}

enum handler_result image_job_run(const struct image_options *options, int root,
    const struct handler_job *job, const struct handler_io *io, GString *out)
{
    image_messages_clear();
    struct image_work work = {
        .options = options,
        .io = io,
        .root = root,
        .start_us = g_get_monotonic_time(),
        .input = { .fd = -1 },
        .warnings = g_ptr_array_new_with_free_func(g_free),
        .pictures = g_ptr_array_new_with_free_func(g_object_unref),
        .why = out,
    };
    work.input.warnings = work.warnings;
    enum handler_result result = do_work(&work, job);
    if (!result) {
        image_result_write(&work, out);
    }
    clean_up(&work);
    return result;
}
