/*
 * image_result.c - the return value of a job. docs/image-handler.md says what each field means;
 * one that has nothing to say is left out.
 */
#include "handlers/image_parts.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

static void set(json_t *object, const char *name, json_t *value)
{
    json_object_set_new(object, name, value);
}

static json_t *milliseconds(int64_t us)
{
    return json_integer((us + 500) / 1000);
}

/* Four digits say all there is to say. */
static json_t *similarity_of(double similarity)
{
    return json_real(round(similarity * 1e4) / 1e4);
}

/* What a job with `info` wants to know besides. */
static void describe_header(const struct image_input *input, json_t *object)
{
    VipsImage *header = input->header;
    set(object, "space",
        json_string(vips_enum_nick(VIPS_TYPE_INTERPRETATION, (int)header->Type)));
    set(object, "channels", json_integer(header->Bands));
    set(object, "depth",
        json_string(vips_enum_nick(VIPS_TYPE_BAND_FORMAT, (int)header->BandFmt)));
    set(object, "orientation", json_integer(input->orientation));
    set(object, "has_alpha", json_boolean(vips_image_hasalpha(header)));
    set(object, "has_profile",
        json_boolean(vips_image_get_typeof(header, VIPS_META_ICC_NAME) != 0));
    set(object, "animated", json_boolean(input->format->motion && input->pages > 1));
}

static json_t *describe_input(const struct image_work *work)
{
    const struct image_input *input = &work->input;
    json_t *object = json_pack("{s:s, s:i, s:i, s:s, s:I, s:i}", "file", work->request.input,
        "width", input->width, "height", input->height, "format", input->format->name, "bytes",
        (json_int_t)input->bytes, "pages", input->pages);
    if (input->page > 0) {
        set(object, "page", json_integer(input->page));
    }
    set(object, "sha256", json_string(input->sha256));
    if (work->request.info) {
        describe_header(input, object);
    }
    return object;
}

static json_t *describe_tries(const GArray *tries)
{
    json_t *list = json_array();
    for (guint i = 0; i < tries->len; i++) {
        const struct image_try *one = &g_array_index(tries, struct image_try, i);
        json_t *object =
            json_pack("{s:i, s:I}", "quality", one->quality, "bytes", (json_int_t)one->bytes);
        if (one->similarity > 0) {
            set(object, "similarity", similarity_of(one->similarity));
        }
        json_array_append_new(list, object);
    }
    return list;
}

/* One that an earlier job made is what was said of it then. */
static json_t *describe_unchanged(const struct image_work *work, size_t index)
{
    const struct image_piece *piece = &work->pieces[index];
    json_t *object = json_pack("{s:s}", "file", work->request.outputs[index].file);
    json_object_update(object, piece->recorded);
    set(object, "unchanged", json_true());
    set(object, "ms", milliseconds(piece->us));
    return object;
}

json_t *image_result_output(const struct image_work *work, size_t index)
{
    const struct image_piece *piece = &work->pieces[index];
    const struct image_output *output = &work->request.outputs[index];
    json_t *object = json_pack("{s:s, s:i, s:i, s:s, s:I}", "file", output->file, "width",
        piece->plan.width, "height", piece->plan.height, "format", output->format->name,
        "bytes", (json_int_t)piece->bytes);
    if (piece->quality) {
        set(object, "quality", json_integer(piece->quality));
    }
    if (piece->similarity > 0) {
        set(object, "similarity", similarity_of(piece->similarity));
    }
    if (piece->tries != NULL) {
        set(object, "tries", describe_tries(piece->tries));
    }
    if (piece->placeholder != NULL) {
        set(object, "placeholder", json_string(piece->placeholder));
    }
    if (piece->pages > 1) {
        set(object, "pages", json_integer(piece->pages));
    }
    if (piece->kept) {
        set(object, "kept", json_true());
    }
    if (piece->larger != NULL && (int64_t)piece->bytes > work->input.bytes) {
        set(object, "larger", json_string(piece->larger));
    }
    set(object, "sha256", json_string(piece->sha256));
    set(object, "ms", milliseconds(piece->us));
    return object;
}

static void describe_outputs(const struct image_work *work, json_t *root)
{
    json_int_t saved = work->input.bytes;
    json_t *outputs = json_array();
    for (size_t i = 0; i < work->request.count; i++) {
        json_array_append_new(outputs, work->pieces[i].unchanged
                                           ? describe_unchanged(work, i)
                                           : image_result_output(work, i));
        saved -= (json_int_t)work->pieces[i].bytes;
    }
    set(root, "outputs", outputs);
    set(root, "saved_bytes", json_integer(saved));
}

static json_t *list_warnings(const GPtrArray *warnings)
{
    json_t *list = json_array();
    for (guint i = 0; i < warnings->len; i++) {
        json_array_append_new(list, json_string(warnings->pdata[i]));
    }
    return list;
}

void image_result_write(const struct image_work *work, GString *out)
{
    json_t *root = json_object();
    set(root, "input", describe_input(work));
    if (!work->request.info) {
        describe_outputs(work, root);
    }
    if (work->warnings->len > 0) {
        set(root, "warnings", list_warnings(work->warnings));
    }
    set(root, "ms", milliseconds(g_get_monotonic_time() - work->start_us));
    char *text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(6));
    g_string_assign(out, text);
    free(text);
    json_decref(root);
}
