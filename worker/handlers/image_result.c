/*
 * image_result.c - the return value of a job.
 */
#include "handlers/image_parts.h"

#include <jansson.h>
#include <stdlib.h>

static json_t *describe_output(const struct image_work *work, size_t index)
{
    const struct image_piece *piece = &work->pieces[index];
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

void image_result_write(const struct image_work *work, GString *out)
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
        (json_int_t)((g_get_monotonic_time() - work->start_us + 500) / 1000));
    char *text = json_dumps(root, JSON_COMPACT);
    g_string_assign(out, text);
    free(text);
    json_decref(root);
}
