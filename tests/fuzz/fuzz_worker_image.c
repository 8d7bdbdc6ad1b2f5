/*
 * fuzz_worker_image.c - the data of image jobs, and the first bytes by which files are known.
 *
 * Input: a job's data. What is taken keeps to its bounds and names files below the root only;
 * what is not is refused with a sentence that can be stored and shown.
 */
#include "fuzz.h"

#include "worker/handlers/image_parts.h"
#include "worker/paths.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
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
    image_format_by_content(data, size);
    free(text);
    return 0;
}
