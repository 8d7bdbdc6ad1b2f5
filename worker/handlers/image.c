/*
 * image.c - the image handler: its row, its options, and how libvips is set up for it.
 *
 * Runs in a child process, one job at a time: libvips keeps its settings and its error text
 * for the whole process.
 */
#include "handlers/image_parts.h"
#include "paths.h"
#include "sandbox.h"

#include <dlfcn.h>
#include <gmodule.h>
#include <malloc.h>
#include <unistd.h>

/* The folder that init() opened; jobs see nothing outside it. */
static int root_fd = -1;

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
    g_log_set_handler(
        "VIPS", G_LOG_LEVEL_WARNING | G_LOG_LEVEL_INFO, image_messages_note, NULL);
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

static enum handler_result run(const struct handler_job *job,
    const struct handler_config *config, const struct handler_io *io, GString *out)
{
    struct image_options options = *(const struct image_options *)config->options;
    options.memory_bytes = config->memory_bytes;
    return image_job_run(&options, root_fd, job, io, out);
}

static bool parse_background(char *text, void *out, char **why)
{
    if (!image_colour_parse(text, out)) {
        *why = g_strdup_printf("\"%s\" is not a colour such as #ffffff or #ffffff80", text);
        return false;
    }
    return true;
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
    { .name = "max-frames",
        .kind = OPT_COUNT,
        .offset = offsetof(struct image_options, max_frames),
        .min = 1,
        .max = INT64_MAX,
        .arg = "N",
        .standard = "500",
        .help = "refuse animations of more frames, where a job keeps the motion" },
    { .name = "max-scans",
        .kind = OPT_COUNT,
        .offset = offsetof(struct image_options, max_scans),
        .min = 1,
        .max = INT64_MAX,
        .arg = "N",
        .standard = "100",
        .help = "refuse progressive JPEG files of more scans" },
    { .name = "background",
        .kind = OPT_PARSED,
        .offset = offsetof(struct image_options, background),
        .arg = "COLOUR",
        .standard = "#ffffff",
        .help = "what lies around a picture and under what is transparent, unless a job says "
                "otherwise",
        .parse = parse_background },
    { .name = "no-records",
        .kind = OPT_FLAG,
        .offset = offsetof(struct image_options, no_records),
        .help = "write no records beside the outputs: a repeated job makes them all again" },
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
