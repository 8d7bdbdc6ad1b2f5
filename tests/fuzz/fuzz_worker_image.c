/*
 * fuzz_worker_image.c - the data of image jobs, and the files that they name.
 *
 * Input: a job's data, or, where it begins as one of the formats does, the file that a job
 * reads through the handler's own entry: the job ends in a way that can be stored and shown.
 *
 * Job data that is taken keeps to its bounds and names files below the root only; what is not
 * is refused with a sentence that can be stored and shown.
 */
#include "fuzz_handler.h"

#include "worker/handlers/image_parts.h"
#include "worker/paths.h"

#include <unistd.h>
#include <utime.h>

static void check_size(const struct image_output *output)
{
    static const int sides[] = { 1, 7, 3000, 65535 };
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 4; j++) {
            struct image_output whole = *output;
            whole.crop.width = 0; /* that it lies within the input is checked later */
            struct image_plan plan = image_fit(sides[i], sides[j], &whole);
            expect(plan.width >= 1 && plan.height >= 1);
            expect(plan.scaled_width >= 1 && plan.scaled_height >= 1);
            expect(plan.left >= 0 && plan.top >= 0);
            expect(plan.left + MIN(plan.width, plan.scaled_width) <=
                   MAX(plan.width, plan.scaled_width));
            expect(plan.top + MIN(plan.height, plan.scaled_height) <=
                   MAX(plan.height, plan.scaled_height));
        }
    }
}

static void check_output(const struct image_output *output)
{
    expect(output->file != NULL && path_problem(output->file) == NULL);
    expect(output->width >= 0 && output->width <= 16383);
    expect(output->height >= 0 && output->height <= 16383);
    expect(output->quality >= 0 && output->quality <= 100);
    expect(output->format != NULL && output->format->save != NULL);
    expect(output->lossless == 0 || output->lossless == 1);
    expect(!output->lossless || (!output->quality && !output->max_bytes && !output->target));
    expect(output->effort >= 0 && output->effort <= output->format->effort_max);
    expect(output->position.x >= 0 && output->position.x <= 1);
    expect(output->position.y >= 0 && output->position.y <= 1);
    expect(output->crop.width >= 0 && output->crop.left >= 0 && output->crop.top >= 0);
    expect(output->sharpen == IMAGE_SHARPEN_MILD || output->sharpen >= 0);
    for (size_t i = 0; i < 4; i++) {
        expect(output->background[i] >= 0 && output->background[i] <= 255);
    }
    check_size(output);
}

static char *root; /* of the jobs that read files */

static void remove_root(void)
{
    static const char *const files[] = { "in", "out.jpg" };
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(root, files[i], NULL);
        unlink(path);
    }
    rmdir(root);
}

static const struct handler_config *start(void)
{
    static struct image_options options = { .max_pixels = 1 << 20,
        .max_bytes = 1 << 20,
        .max_frames = 100,
        .max_scans = 20,
        .no_records = true,
        .background = { 255, 255, 255, 255 } };
    static struct handler_config config = { .options = &options, .memory_bytes = 512 << 20 };
    char *problem = NULL;
    if (root == NULL) {
        options.root = root = g_dir_make_tmp("ox-fuzz-XXXXXX", NULL);
        expect(root != NULL && image_handler.init(&config, false, &problem));
        atexit(remove_root);
    }
    return &config;
}

/* The file is an hour old: no job waits to see whether it is still changing. */
static void run_file(const uint8_t *data, size_t size)
{
    static const char text[] = "{\"input\":\"in\",\"fail_on\":\"none\","
                               "\"outputs\":[{\"file\":\"out.jpg\",\"width\":16}]}";
    const struct handler_config *config = start();
    const struct handler_job job = { .queue = "q",
        .id = "1",
        .name = "n",
        .data = text,
        .data_len = strlen(text),
        .attempt = 1 };
    g_autofree char *path = g_build_filename(root, "in", NULL);
    struct utimbuf then = { .actime = 1, .modtime = 1 };
    expect(g_file_set_contents(path, (const char *)data, (gssize)size, NULL));
    expect(utime(path, &then) == 0);
    fuzz_run(&image_handler, config, &job);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (image_format_by_content(data, size) != NULL) {
        run_file(data, size);
        return 0;
    }
    static const struct image_options options = { .background = { 255, 255, 255, 255 } };
    struct image_request request = { 0 };
    g_autoptr(GString) why = g_string_new(NULL);
    char *text = fuzz_text(data, size);
    enum handler_result result = image_request_read(&request, &options, text, size, why);
    if (result == HANDLER_DONE) {
        expect(request.input != NULL && path_problem(request.input) == NULL);
        if (request.count == 0) {
            image_request_default(&request, &options, &image_formats[0]);
        }
        for (size_t i = 0; i < request.count; i++) {
            check_output(&request.outputs[i]);
        }
    } else {
        expect(result == HANDLER_FATAL && why->len > 0);
        expect(g_utf8_validate(why->str, (gssize)why->len, NULL));
    }
    image_request_clear(&request);
    free(text);
    return 0;
}
