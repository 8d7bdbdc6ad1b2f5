/*
 * image_request.c - job data to struct image_request.
 *
 * The fields are rows in image_fields.c, which read and check each by itself. Here is decided
 * which go together, what the format of an output allows, and what stands where nothing was
 * given. What depends on the file system or the input image is checked where that is known.
 */
#include "handlers/image_fields.h"
#include "handlers/image_parts.h"
#include "paths.h"

#include <string.h>

enum { MAX_OUTPUTS = 32, SEARCH_FROM = 100 };

enum handler_result image_refuse(
    GString *why, enum handler_result result, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_string_vprintf(why, format, args);
    va_end(args);
    return result;
}

void image_warn(GPtrArray *warnings, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_ptr_array_add(warnings, g_strdup_vprintf(format, args));
    va_end(args);
}

/* ---- What goes together ------------------------------------------------------------------ */

static void list_formats(GString *why)
{
    const char *comma = "";
    for (const struct image_format *f = image_formats; f->name != NULL; f++) {
        if (f->save == NULL) {
            continue;
        }
        g_string_append_printf(why, "%s%s", comma, f->name);
        comma = ", ";
    }
}

static enum handler_result choose_format(
    struct image_output *output, const char *where, GString *why)
{
    const struct image_format *format = output->format_name != NULL
                                            ? image_format_by_name(output->format_name)
                                            : image_format_by_ending(output->file);
    if (format != NULL && format->save != NULL) {
        output->format = format;
        return HANDLER_DONE;
    }
    if (output->format_name != NULL) {
        g_autofree char *shown = image_shorten(output->format_name);
        image_refuse(why, HANDLER_FATAL, "%s.format \"%s\" cannot be written; choose from ",
            where, shown);
    } else {
        image_refuse(why, HANDLER_FATAL,
            "the ending of %s.file \"%s\" tells no format that can be written; set format to "
            "one of ",
            where, output->file);
    }
    list_formats(why);
    return HANDLER_FATAL;
}

/* Only where something is cut off or filled up can it be said where. */
static enum handler_result check_position(
    const struct image_output *output, const char *where, GString *why)
{
    if (!output->position.given) {
        return HANDLER_DONE;
    }
    bool boxed = output->width && output->height;
    if (!boxed || (output->fit != FIT_COVER && output->fit != FIT_CONTAIN)) {
        return image_refuse(why, HANDLER_FATAL,
            "%s.position needs width and height, and fit cover or contain: nothing else is cut "
            "or filled up",
            where);
    }
    if (output->fit == FIT_CONTAIN && output->position.kind != POSITION_COMPASS) {
        return image_refuse(why, HANDLER_FATAL,
            "%s.position must be centre or a compass point with fit contain, which cuts "
            "nothing "
            "off",
            where);
    }
    return HANDLER_DONE;
}

/* A field that asks for a quality, of an output that has none. */
static const char *asks_quality(const struct image_output *output)
{
    return output->quality      ? "quality"
           : output->max_bytes  ? "max_bytes"
           : output->target > 0 ? "target"
                                : NULL;
}

static enum handler_result settle_quality(
    struct image_output *output, const char *where, GString *why)
{
    const struct image_format *format = output->format;
    const char *asks = asks_quality(output);
    if (output->lossless == 1 && !format->lossless) {
        return image_refuse(
            why, HANDLER_FATAL, "%s.lossless: %s is never lossless", where, format->name);
    }
    if (asks != NULL && !format->quality) {
        return image_refuse(why, HANDLER_FATAL,
            "%s.%s does not apply to %s, which has no quality", where, asks, format->name);
    }
    if (output->lossless < 0) {
        output->lossless = format->lossless_first;
        if (asks != NULL && output->lossless) {
            return image_refuse(why, HANDLER_FATAL,
                "%s.%s needs \"lossless\": false: %s is lossless unless told otherwise", where,
                asks, format->name);
        }
    }
    if (asks != NULL && output->lossless) {
        return image_refuse(why, HANDLER_FATAL,
            "%s.%s and lossless exclude each other: a lossless output has no quality", where,
            asks);
    }
    if (!output->quality && !output->lossless) {
        bool search = output->max_bytes || output->target > 0;
        output->quality = search ? SEARCH_FROM : format->quality;
    }
    return HANDLER_DONE;
}

static enum handler_result settle_effort(
    struct image_output *output, const char *where, GString *why)
{
    const struct image_format *format = output->format;
    if (output->effort < 0) {
        output->effort = format->effort;
        return HANDLER_DONE;
    }
    if (!format->effort_max) {
        return image_refuse(
            why, HANDLER_FATAL, "%s.effort does not apply to %s", where, format->name);
    }
    if (output->effort < format->effort_min || output->effort > format->effort_max) {
        return image_refuse(why, HANDLER_FATAL, "%s.effort must be %d to %d for %s, not %d",
            where, format->effort_min, format->effort_max, format->name, output->effort);
    }
    return HANDLER_DONE;
}

/* chroma and progressive mean something only to some formats. */
static enum handler_result settle_layout(
    struct image_output *output, const char *where, GString *why)
{
    const struct image_format *format = output->format;
    if (output->chroma != CHROMA_AUTO && !format->chroma) {
        return image_refuse(why, HANDLER_FATAL,
            "%s.chroma does not apply to %s, only to jpeg and avif", where, format->name);
    }
    if (output->chroma == CHROMA_420 && output->lossless) {
        return image_refuse(why, HANDLER_FATAL,
            "%s.chroma 4:2:0 and lossless exclude each other: 4:2:0 drops colours", where);
    }
    if (output->progressive >= 0 && format->progressive == NEVER) {
        return image_refuse(why, HANDLER_FATAL,
            "%s.progressive does not apply to %s, only to jpeg and png", where, format->name);
    }
    if (output->progressive < 0) {
        output->progressive = format->progressive == BY_DEFAULT;
    }
    return HANDLER_DONE;
}

static enum handler_result settle(struct image_output *output,
    const struct image_options *options, const char *where, GString *why)
{
    output->particular =
        output->chroma != CHROMA_AUTO || output->progressive >= 0 || output->lossless >= 0;
    if (output->background[0] < 0) {
        memcpy(output->background, options->background, sizeof output->background);
    }
    enum handler_result result = check_position(output, where, why);
    if (!result) {
        result = settle_quality(output, where, why);
    }
    if (!result) {
        result = settle_effort(output, where, why);
    }
    return result ? result : settle_layout(output, where, why);
}

/* ---- Reading ----------------------------------------------------------------------------- */

static enum handler_result check_path(const char *where, const char *path, GString *why)
{
    const char *problem = path_problem(path);
    if (problem == NULL) {
        return HANDLER_DONE;
    }
    g_autofree char *shown = g_strescape(path, NULL);
    return image_refuse(why, HANDLER_FATAL, "%s \"%s\" %s", where, shown, problem);
}

static enum handler_result read_output(struct image_output *output,
    const struct image_options *options, const char *where, const json_t *object, GString *why)
{
    if (!json_is_object(object)) {
        return image_refuse_value(why, where, "an object", object);
    }
    image_fields_preset(image_output_fields, output);
    enum handler_result result =
        image_fields_read(image_output_fields, output, where, object, why);
    if (result) {
        return result;
    }
    g_autofree char *file = g_strdup_printf("%s.file", where);
    result = check_path(file, output->file, why);
    if (!result && path_is_ours(output->file)) {
        result = image_refuse(why, HANDLER_FATAL,
            "%s \"%s\" is named like a file of Ox itself (.ox-*.tmp, .ox-*.made)", file,
            output->file);
    }
    if (!result) {
        result = choose_format(output, where, why);
    }
    return result ? result : settle(output, options, where, why);
}

static enum handler_result read_outputs(struct image_request *request,
    const struct image_options *options, const json_t *list, GString *why)
{
    if (list == NULL || json_is_null(list)) {
        return HANDLER_DONE;
    }
    size_t count = json_array_size(list);
    if (request->info) {
        return image_refuse(why, HANDLER_FATAL,
            "info and outputs exclude each other: a job with info only reports");
    }
    if (count == 0) {
        return image_refuse(why, HANDLER_FATAL,
            "outputs is an empty list; leave it out for one file beside the input");
    }
    if (count > MAX_OUTPUTS) {
        return image_refuse(
            why, HANDLER_FATAL, "outputs has %zu entries; %d is the most", count, MAX_OUTPUTS);
    }
    request->outputs = g_new0(struct image_output, count);
    request->count = count;
    for (size_t i = 0; i < count; i++) {
        g_autofree char *where = g_strdup_printf("outputs[%zu]", i);
        enum handler_result result =
            read_output(&request->outputs[i], options, where, json_array_get(list, i), why);
        if (result) {
            return result;
        }
    }
    return HANDLER_DONE;
}

static enum handler_result read_root(struct image_request *request,
    const struct image_options *options, const json_t *root, GString *why)
{
    if (!json_is_object(root)) {
        return image_refuse_value(
            why, "the job's data", "an object with the field input", root);
    }
    image_fields_preset(image_job_fields, request);
    enum handler_result result = image_fields_read(image_job_fields, request, NULL, root, why);
    if (!result) {
        result = check_path("input", request->input, why);
    }
    if (!result && request->animated && request->page >= 0) {
        result = image_refuse(why, HANDLER_FATAL,
            "page and animated exclude each other: one picture, or the motion");
    }
    return result ? result
                  : read_outputs(request, options, json_object_get(root, "outputs"), why);
}

/* What a job asks for: its data. That of a job which an event made (ox bind) is the event,
 * whose `data` has the request as its member `image`, or is the request. */
static const json_t *request_in(const json_t *root)
{
    const json_t *data = json_object_get(root, "data"), *image = json_object_get(data, "image");
    if (!json_is_string(json_object_get(root, "specversion")) || data == NULL) {
        return root;
    }
    return image != NULL ? image : data;
}

/* The code unit of an escape that begins at `at`, 0 when there is none. */
static unsigned escaped_unit(const char *at, const char *end)
{
    unsigned unit = 0;
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u') {
        return 0;
    }
    for (int i = 2; i < 6; i++) {
        int digit = g_ascii_xdigit_value(at[i]);
        if (digit < 0) {
            return 0;
        }
        unit = unit << 4 | (unsigned)digit;
    }
    return unit;
}

/* The data as jansson takes it: half a surrogate pair, which is what is left of an emoji that
 * was cut, becomes U+FFFD, as it is to whoever writes it out as UTF-8. */
static char *whole_pairs(const char *data, size_t len, size_t *out_len)
{
    GString *out = g_string_sized_new(len);
    const char *end = data + len;
    for (const char *at = data; at < end;) {
        unsigned unit = escaped_unit(at, end);
        gsize take = unit ? 6 : *at == '\\' && end - at > 1 ? 2 : 1;
        if ((unit & 0xfc00) == 0xd800 && (escaped_unit(at + 6, end) & 0xfc00) == 0xdc00) {
            take = 12;
        }
        if (take == 6 && (unit & 0xf800) == 0xd800) {
            g_string_append(out, "\\ufffd");
        } else {
            g_string_append_len(out, at, (gssize)take);
        }
        at += take;
    }
    *out_len = out->len;
    return g_string_free(out, FALSE);
}

enum handler_result image_request_read(struct image_request *request,
    const struct image_options *options, const char *data, size_t data_len, GString *why)
{
    json_error_t error;
    size_t len;
    g_autofree char *text = whole_pairs(data, data_len, &len);
    json_t *root = json_loadb(text, len, JSON_DECODE_ANY, &error);
    if (root == NULL) {
        g_autofree char *problem = g_utf8_make_valid(error.text, -1); /* it cuts letters */
        bool beyond = json_error_code(&error) == json_error_numeric_overflow ||
                      json_error_code(&error) == json_error_null_character;
        return image_refuse(why, HANDLER_FATAL, "the job's data %s: %s",
            beyond ? "holds a value that no field takes" : "is not JSON", problem);
    }
    enum handler_result result = read_root(request, options, request_in(root), why);
    json_decref(root);
    return result;
}

/* "uploads/car-42.JPG" becomes "uploads/car-42.min.JPG"; an ending that does not go with the
 * content is replaced. */
static char *name_beside(const char *input, const struct image_format *format)
{
    const char *dot = strrchr(path_leaf(input), '.');
    if (dot == path_leaf(input)) { /* ".hidden" has no ending */
        dot = NULL;
    }
    int stem = (int)(dot != NULL ? (size_t)(dot - input) : strlen(input));
    bool fits = dot != NULL && image_format_by_ending(input) == format;
    return g_strdup_printf("%.*s.min.%s", stem, input, fits ? dot + 1 : format->endings[0]);
}

void image_request_default(struct image_request *request, const struct image_options *options,
    const struct image_format *format)
{
    g_autoptr(GString) unused = g_string_new(NULL);
    if (format->save == NULL) {
        format = image_format_by_name("jpeg");
    }
    request->outputs = g_new0(struct image_output, 1);
    request->count = 1;
    struct image_output *output = request->outputs;
    image_fields_preset(image_output_fields, output);
    output->file = name_beside(request->input, format);
    output->format = format;
    settle(output, options, "outputs[0]", unused); /* with nothing given nothing is refused */
}

void image_request_clear(struct image_request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        g_free(request->outputs[i].file);
        g_free(request->outputs[i].format_name);
    }
    g_free(request->outputs);
    g_free(request->input);
    *request = (struct image_request){ 0 };
}
