/*
 * image.c - the image handler: the order of it all, and the return value.
 *
 *   read the request -> open and check the input -> open the output folders -> decode once ->
 *   scale and encode each output -> write all temporary files -> rename all -> return value
 *
 * Outputs are made from the largest to the smallest, each from the smallest picture at hand
 * that is at least twice its size (or exactly its size), so that a thumbnail is not scaled
 * down from the whole photo again. Nothing is visible before every output is on disk: a job
 * that fails leaves no file, and a repeat does it all again with the same result.
 *
 * Runs in a child process, one job at a time: libvips keeps its settings and its error text
 * for the whole process.
 */
#include "handlers/image_parts.h"
#include "paths.h"
#include "sandbox.h"

#include <dlfcn.h>
#include <gmodule.h>
#include <jansson.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The folder that init() opened; jobs see nothing outside it. */
static int root_fd = -1;

/* What becomes of one output. */
struct piece {
    struct image_place place;
    struct image_plan plan;
    void *data; /* encoded, until it is written */
    size_t bytes;
    int64_t us;
};

/* One run. */
struct work {
    const struct image_options *options;
    const struct handler_io *io;
    struct image_request request;
    struct image_input input;
    struct piece *pieces; /* one an output, in the request's order */
    size_t *order;        /* of their making: largest first */
    GPtrArray *pictures;  /* what outputs are made from; the decoded image first */
    GString *why;
};

/* ---- Start-up ---------------------------------------------------------------------------- */

/* Where the library lies, and its modules; NULL when it cannot be told (g_free). */
static char *vips_folder(void)
{
    Dl_info info;
    void *symbol = dlsym(RTLD_DEFAULT, "vips_init");
    return symbol != NULL && dladdr(symbol, &info) != 0 ? g_path_get_dirname(info.dli_fname)
                                                        : NULL;
}

/* libvips would load every module it has, among them readers for PDF and for anything that
 * ImageMagick knows: slow, large and made for trusted files. Only HEIF is wanted. */
static bool start_vips(void)
{
    static const char nowhere[] = "/nonexistent";
    const char *before = g_getenv("VIPSHOME");
    if (before == NULL) {
        g_setenv("VIPSHOME", nowhere, FALSE);
    }
    bool started = vips_init("ox-worker") == 0;
    if (before == NULL) {
        g_unsetenv("VIPSHOME");
    }
    g_autofree char *folder = vips_folder();
    if (!started || folder == NULL) {
        return started;
    }
    g_autofree char *module = g_strdup_printf(
        "%s/vips-modules-%d.%d/vips-heif.so", folder, vips_version(0), vips_version(1));
    GModule *heif = g_module_open(module, G_MODULE_BIND_LAZY);
    if (heif != NULL) { /* a build without modules has it inside */
        g_module_make_resident(heif);
    }
    return true;
}

static void drop_message(
    const char *domain, GLogLevelFlags level, const char *message, void *arg)
{
    (void)domain, (void)level, (void)message, (void)arg;
}

/* One job has the process to itself: nothing is worth caching, one core is its share, and so
 * is one heap: threads of libvips that come and go would each leave one behind. */
static void set_up_vips(void)
{
    mallopt(M_ARENA_MAX, 1);
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    vips_operation_block_set("VipsForeignLoad", TRUE);
    for (const struct image_format *f = image_formats; f->name != NULL; f++) {
        vips_operation_block_set(f->loader, FALSE);
    }
    g_log_set_handler("VIPS", G_LOG_LEVEL_WARNING | G_LOG_LEVEL_INFO, drop_message, NULL);
}

static bool init(const struct handler_config *config, bool check_only, char **problem)
{
    const struct image_options *options = config->options;
    if (options->root == NULL) {
        *problem = g_strdup(
            "image needs a root: --root DIR, the only folder whose files jobs may name");
        return false;
    }
    int fd = path_open_root(options->root);
    if (fd < 0) {
        *problem = g_strdup_printf(
            "the image handler's root \"%s\": %s", options->root, g_strerror(-fd));
        return false;
    }
    if (check_only) { /* once for all children, before the first of them */
        image_sweep(fd);
        return true;
    }
    if (root_fd >= 0) {
        close(root_fd);
    }
    root_fd = fd;
    if (!start_vips()) {
        *problem = g_strdup_printf("libvips does not start: %s", vips_error_buffer());
        return false;
    }
    set_up_vips();
    return true;
}

/* Its folder of files, and its library. */
static void needs(const struct handler_config *config, struct sandbox_needs *out)
{
    static const char *reads[2]; /* lives as long as the process */
    const struct image_options *options = config->options;
    reads[0] = vips_folder();
    *out = (struct sandbox_needs){ .confined = true, .root = options->root, .reads = reads };
}

/* ---- Plan -------------------------------------------------------------------------------- */

static int64_t area(const struct piece *piece)
{
    return (int64_t)piece->plan.scaled_width * piece->plan.scaled_height;
}

static int by_area(gconstpointer a, gconstpointer b, gpointer pieces)
{
    const struct piece *all = pieces;
    int64_t left = area(&all[*(const size_t *)a]), right = area(&all[*(const size_t *)b]);
    return (left < right) - (left > right);
}

/* Sizes that no file could hold, or that nobody meant to ask for. */
static enum handler_result check_plan(struct work *work, size_t index)
{
    const struct image_plan *plan = &work->pieces[index].plan;
    const struct image_output *output = &work->request.outputs[index];
    int64_t limit = work->options->max_pixels;
    int64_t scaled = (int64_t)plan->scaled_width * plan->scaled_height;
    int64_t framed = (int64_t)plan->width * plan->height;
    if (MAX(scaled, framed) > limit) {
        return image_refuse(work->why, HANDLER_FATAL,
            "output \"%s\" would take %.1f million pixels; the limit is %.1f million",
            output->file, (double)MAX(scaled, framed) / 1e6, (double)limit / 1e6);
    }
    if (MAX(plan->width, plan->height) > output->format->max_side) {
        return image_refuse(work->why, HANDLER_FATAL,
            "output \"%s\" would be %d x %d; %s holds at most %d in one direction",
            output->file, plan->width, plan->height, output->format->name,
            output->format->max_side);
    }
    return HANDLER_DONE;
}

static enum handler_result make_plan(struct work *work)
{
    struct image_request *request = &work->request;
    if (request->count == 0) {
        image_request_default(request, work->input.format);
    }
    work->pieces = g_new0(struct piece, request->count);
    work->order = g_new(size_t, request->count);
    for (size_t i = 0; i < request->count; i++) {
        work->pieces[i].place.folder = work->pieces[i].place.fd = -1;
        work->order[i] = i;
    }
    for (size_t i = 0; i < request->count; i++) {
        work->pieces[i].plan =
            image_fit(work->input.width, work->input.height, &request->outputs[i]);
        enum handler_result result = check_plan(work, i);
        if (result) {
            return result;
        }
    }
    g_qsort_with_data(
        work->order, (int)request->count, sizeof *work->order, by_area, work->pieces);
    return HANDLER_DONE;
}

/* Opens all folders before any work is done. No output may replace the input or another. */
static enum handler_result open_places(struct work *work)
{
    for (size_t i = 0; i < work->request.count; i++) {
        struct image_place *place = &work->pieces[i].place;
        const char *file = work->request.outputs[i].file;
        enum handler_result result = image_place_open(place, root_fd, file, work->why);
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

/* ---- Make -------------------------------------------------------------------------------- */

static enum handler_result decode(struct work *work)
{
    VipsImage *decoded = NULL;
    g_autofree struct image_plan *plans = g_new(struct image_plan, work->request.count);
    for (size_t i = 0; i < work->request.count; i++) {
        plans[i] = work->pieces[i].plan;
    }
    enum handler_result result =
        image_input_decode(&work->input, plans, work->request.count, &decoded, work->why);
    if (!result) {
        g_ptr_array_add(work->pictures, decoded);
    }
    return result;
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

/* Scales one output's picture, and keeps it in memory when more are to be made after it. */
static int scale(struct work *work, const struct image_plan *plan, bool last, VipsImage **out)
{
    AUTO_IMAGE *lazy = NULL;
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

static enum handler_result make_piece(struct work *work, size_t index, bool last)
{
    AUTO_IMAGE *scaled = NULL, *framed = NULL;
    struct piece *piece = &work->pieces[index];
    const struct image_output *output = &work->request.outputs[index];
    int64_t start_us = g_get_monotonic_time();
    if (scale(work, &piece->plan, last, &scaled) ||
        image_frame(scaled, &framed, &piece->plan, output) ||
        output->format->save(
            framed, output, !image_has_rights(framed), &piece->data, &piece->bytes)) {
        /* A single output pulls its pixels through from the file as it is encoded. */
        bool lazy = work->request.count == 1;
        g_autofree char *what =
            lazy ? g_strdup_printf("input \"%s\" is damaged or cut short", work->request.input)
                 : g_strdup_printf("output \"%s\" cannot be made", output->file);
        return image_refuse_vips(work->why, what);
    }
    piece->us = g_get_monotonic_time() - start_us;
    return HANDLER_DONE;
}

static enum handler_result make_pieces(struct work *work)
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

static enum handler_result store_pieces(struct work *work)
{
    enum handler_result result = HANDLER_DONE;
    for (size_t i = 0; !result && i < work->request.count; i++) {
        struct piece *piece = &work->pieces[i];
        result = image_place_write(&piece->place, piece->data, piece->bytes, work->why);
    }
    for (size_t i = 0; !result && i < work->request.count; i++) {
        result = image_place_commit(&work->pieces[i].place, work->why);
    }
    return result;
}

/* ---- Report ------------------------------------------------------------------------------ */

static json_t *describe_output(const struct work *work, size_t index)
{
    const struct piece *piece = &work->pieces[index];
    const struct image_output *output = &work->request.outputs[index];
    json_t *object = json_pack("{s:s, s:i, s:i, s:s, s:I}", "file", output->file, "width",
        piece->plan.width, "height", piece->plan.height, "format", output->format->name,
        "bytes", (json_int_t)piece->bytes);
    if (output->quality) {
        json_object_set_new(object, "quality", json_integer(output->quality));
    }
    json_object_set_new(object, "ms", json_integer((piece->us + 500) / 1000));
    return object;
}

static void report(const struct work *work, int64_t start_us, GString *out)
{
    const struct image_input *input = &work->input;
    json_int_t saved = input->bytes;
    json_t *outputs = json_array();
    for (size_t i = 0; i < work->request.count; i++) {
        json_array_append_new(outputs, describe_output(work, i));
        saved -= (json_int_t)work->pieces[i].bytes;
    }
    json_t *root = json_pack("{s:{s:s, s:i, s:i, s:s, s:I}, s:o, s:I, s:I}", "input", "file",
        work->request.input, "width", input->width, "height", input->height, "format",
        input->format->name, "bytes", (json_int_t)input->bytes, "outputs", outputs,
        "saved_bytes", saved, "ms",
        (json_int_t)((g_get_monotonic_time() - start_us + 500) / 1000));
    char *text = json_dumps(root, JSON_COMPACT);
    g_string_assign(out, text);
    free(text);
    json_decref(root);
}

/* ---- Run --------------------------------------------------------------------------------- */

static void clear_leftovers(const struct work *work)
{
    for (size_t i = 0; i < work->request.count; i++) {
        image_place_clear(root_fd, work->request.outputs[i].file);
    }
}

static enum handler_result do_work(struct work *work, const struct handler_job *job)
{
    enum handler_result result =
        image_request_read(&work->request, job->data, job->data_len, work->why);
    if (!result) {
        clear_leftovers(work);
        result = image_input_open(
            &work->input, root_fd, work->request.input, work->options, work->why);
    }
    if (!result) {
        result = make_plan(work);
    }
    if (!result) {
        result = open_places(work);
    }
    if (!result) {
        result = decode(work);
    }
    if (!result) {
        result = make_pieces(work);
    }
    return result ? result : store_pieces(work);
}

static void clean_up(struct work *work)
{
    for (size_t i = 0; work->pieces != NULL && i < work->request.count; i++) {
        image_place_close(&work->pieces[i].place);
        g_free(work->pieces[i].data);
    }
    g_free(work->pieces);
    g_free(work->order);
    g_ptr_array_free(work->pictures, TRUE);
    image_input_close(&work->input);
    image_request_clear(&work->request);
    vips_error_clear();
}

static enum handler_result run(const struct handler_job *job,
    const struct handler_config *config, const struct handler_io *io, GString *out)
{
    int64_t start_us = g_get_monotonic_time();
    vips_error_clear();
    struct work work = {
        .options = config->options,
        .io = io,
        .input = { .fd = -1 },
        .pictures = g_ptr_array_new_with_free_func(g_object_unref),
        .why = out,
    };
    enum handler_result result = do_work(&work, job);
    if (!result) {
        report(&work, start_us, out);
    }
    clean_up(&work);
    return result;
}

static const struct opt rows[] = {
    { .name = "root",
        .kind = OPT_TEXT,
        .offset = offsetof(struct image_options, root),
        .arg = "DIR",
        .help = "the only folder whose files jobs may read and write" },
    { .name = "max-pixels",
        .kind = OPT_COUNT,
        .offset = offsetof(struct image_options, max_pixels),
        .min = 1,
        .max = INT64_MAX,
        .arg = "N",
        .standard = "50000000",
        .help = "refuse images with more pixels, read or made, before decoding" },
    { .name = "max-bytes",
        .kind = OPT_BYTES,
        .offset = offsetof(struct image_options, max_bytes),
        .min = 1,
        .arg = "SIZE",
        .standard = "128M",
        .help = "refuse larger input files" },
    { 0 },
};

const struct handler image_handler = {
    .name = "image",
    .summary = "compress and resize photos: job data {\"input\", \"outputs\"}, below --root",
    .opts = rows,
    .options_size = sizeof(struct image_options),
    .bounded_space = true,
    .memory_bytes = (int64_t)2 << 30, /* an AVIF of 50 MP takes 1.1 GB, a WebP 0.8 */
    .rlimit = "open-files=256",
    .needs = needs,
    .init = init,
    .run = run,
};
