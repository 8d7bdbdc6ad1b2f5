/*
 * image_request.c - job data to struct image_request.
 *
 * Every field is one row: name, kind, place in the struct, bounds, default. A name that no row
 * has is an error, because a mistyped "widht" would otherwise quietly make a picture of the
 * wrong size. null means the default. The reason names the field and what it may be.
 *
 * What a field allows by itself is checked here; what depends on the file system or the input
 * image is checked where that is known.
 */
#include "handlers/image_parts.h"
#include "paths.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OUTPUTS = 32, MAX_SHOWN = 60 };

static const char *const fit_names[] = { "cover", "contain", "fill", "inside", "outside" };

enum kind { TEXT, WHOLE, FLAG, FIT, COLOUR };

struct field {
    const char *name;
    enum kind kind;
    size_t offset;
    int min, max; /* WHOLE */
    bool required;
};

#define AT(member) offsetof(struct image_output, member)

/* clang-format off */
static const struct field output_fields[] = {
    { "file",       TEXT,   AT(file), .required = true },
    { "width",      WHOLE,  AT(width), .min = 1, .max = 16383 },
    { "height",     WHOLE,  AT(height), .min = 1, .max = 16383 },
    { "fit",        FIT,    .offset = AT(fit) },
    { "enlarge",    FLAG,   .offset = AT(enlarge) },
    { "format",     TEXT,   .offset = AT(format_name) },
    { "quality",    WHOLE,  AT(quality), .min = 1, .max = 100 },
    { "lossless",   FLAG,   .offset = AT(lossless) },
    { "effort",     WHOLE,  AT(effort), .min = 0, .max = 10 },
    { "background", COLOUR, .offset = AT(background) },
};

/* What fields that are not given amount to. */
static const struct image_output unset = {
    .fit = FIT_COVER, .effort = -1, .background = { 0, 0, 0, 255 },
};
/* clang-format on */

enum handler_result image_refuse(
    GString *why, enum handler_result result, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_string_vprintf(why, format, args);
    va_end(args);
    return result;
}

/* The beginning of a text that may be long, as far as a reason should quote it. */
static char *shorten(const char *text)
{
    if (g_utf8_strlen(text, -1) <= MAX_SHOWN) {
        return g_strdup(text);
    }
    g_autofree char *head = g_utf8_substring(text, 0, MAX_SHOWN);
    return g_strconcat(head, "...", NULL);
}

static int *slot(struct image_output *output, const struct field *field)
{
    return (int *)(void *)((char *)output + field->offset);
}

static bool read_text(const struct field *field, const json_t *value, struct image_output *to)
{
    if (!json_is_string(value)) {
        return false;
    }
    *(char **)(void *)((char *)to + field->offset) = g_strdup(json_string_value(value));
    return true;
}

/* 800.0 is as whole as 800: some languages know no other numbers. */
static bool read_whole(const struct field *field, const json_t *value, struct image_output *to)
{
    double number = json_is_number(value) ? json_number_value(value) : NAN;
    if (!(number >= field->min && number <= field->max) || floor(number) < number) {
        return false;
    }
    *slot(to, field) = (int)number;
    return true;
}

static bool read_flag(const struct field *field, const json_t *value, struct image_output *to)
{
    *slot(to, field) = json_is_true(value);
    return json_is_boolean(value);
}

static bool read_fit(const struct field *field, const json_t *value, struct image_output *to)
{
    for (size_t i = 0; json_is_string(value) && i < G_N_ELEMENTS(fit_names); i++) {
        if (strcmp(fit_names[i], json_string_value(value)) == 0) {
            *slot(to, field) = (int)i;
            return true;
        }
    }
    return false;
}

/* "#rrggbb" or "#rrggbbaa" */
static bool read_colour(const struct field *field, const json_t *value, struct image_output *to)
{
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    size_t digits = *text == '#' ? strlen(text + 1) : 0;
    if ((digits != 6 && digits != 8) || strspn(text + 1, "0123456789abcdefABCDEF") != digits) {
        return false;
    }
    for (size_t i = 0; i < digits; i += 2) {
        slot(to, field)[i / 2] =
            g_ascii_xdigit_value(text[1 + i]) * 16 + g_ascii_xdigit_value(text[2 + i]);
    }
    return true;
}

static const struct {
    bool (*read)(const struct field *field, const json_t *value, struct image_output *to);
    const char *what;
} kinds[] = {
    [TEXT] = { read_text, "a text" },
    [WHOLE] = { read_whole, "a whole number" },
    [FLAG] = { read_flag, "true or false" },
    [FIT] = { read_fit, "cover, contain, fill, inside or outside" },
    [COLOUR] = { read_colour, "a colour such as \"#ffffff\" or \"#ffffff80\"" },
};

static enum handler_result refuse_value(
    GString *why, const char *where, const char *what, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    g_autofree char *shown = shorten(text != NULL ? text : "that");
    free(text);
    return image_refuse(why, HANDLER_FATAL, "%s must be %s, not %s", where, what, shown);
}

static enum handler_result read_field(const struct field *field, const char *where,
    const json_t *value, struct image_output *to, GString *why)
{
    g_autofree char *name = g_strdup_printf("%s.%s", where, field->name);
    if (value == NULL || json_is_null(value)) {
        if (!field->required) {
            return HANDLER_DONE;
        }
        return image_refuse(why, HANDLER_FATAL, "%s is missing", name);
    }
    if (kinds[field->kind].read(field, value, to)) {
        return HANDLER_DONE;
    }
    g_autofree char *what =
        field->kind == WHOLE
            ? g_strdup_printf("a whole number from %d to %d", field->min, field->max)
            : g_strdup(kinds[field->kind].what);
    return refuse_value(why, name, what, value);
}

/* A name that no row has: says so, and which there are. */
static enum handler_result check_names(const char *where, const json_t *object, GString *why)
{
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)object, name, value) {
        size_t i = 0;
        while (i < G_N_ELEMENTS(output_fields) && strcmp(output_fields[i].name, name) != 0) {
            i++;
        }
        if (i < G_N_ELEMENTS(output_fields)) {
            continue;
        }
        g_autofree char *shown = shorten(name);
        image_refuse(
            why, HANDLER_FATAL, "unknown field \"%s\" in %s; known are ", shown, where);
        for (i = 0; i < G_N_ELEMENTS(output_fields); i++) {
            g_string_append_printf(why, "%s%s", i ? ", " : "", output_fields[i].name);
        }
        return HANDLER_FATAL;
    }
    return HANDLER_DONE;
}

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
    g_autofree char *shown = output->format_name != NULL ? shorten(output->format_name) : NULL;
    if (shown != NULL) {
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

/* quality, lossless and effort mean something only to some formats. */
static enum handler_result settle_quality(
    struct image_output *output, const char *where, GString *why)
{
    const struct image_format *format = output->format;
    if (output->lossless && format->quality && !format->lossless) {
        return image_refuse(
            why, HANDLER_FATAL, "%s.lossless: %s is never lossless", where, format->name);
    }
    if (output->quality && (output->lossless || !format->quality)) {
        return image_refuse(why, HANDLER_FATAL,
            "%s.quality does not apply: this %s output is lossless", where, format->name);
    }
    if (output->effort >= 0 && !format->effort_max) {
        return image_refuse(
            why, HANDLER_FATAL, "%s.effort does not apply to %s", where, format->name);
    }
    if (output->effort >= 0 &&
        (output->effort < format->effort_min || output->effort > format->effort_max)) {
        return image_refuse(why, HANDLER_FATAL, "%s.effort must be %d to %d for %s, not %d",
            where, format->effort_min, format->effort_max, format->name, output->effort);
    }
    if (!output->quality && !output->lossless) {
        output->quality = format->quality;
    }
    if (output->effort < 0) {
        output->effort = format->effort;
    }
    return HANDLER_DONE;
}

static enum handler_result check_path(const char *where, const char *path, GString *why)
{
    const char *problem = path_problem(path);
    if (problem == NULL) {
        return HANDLER_DONE;
    }
    g_autofree char *shown = g_strescape(path, NULL);
    return image_refuse(why, HANDLER_FATAL, "%s \"%s\" %s", where, shown, problem);
}

static enum handler_result read_output(
    struct image_output *output, const char *where, const json_t *object, GString *why)
{
    if (!json_is_object(object)) {
        return refuse_value(why, where, "an object", object);
    }
    enum handler_result result = check_names(where, object, why);
    *output = unset;
    for (size_t i = 0; !result && i < G_N_ELEMENTS(output_fields); i++) {
        const struct field *field = &output_fields[i];
        result = read_field(field, where, json_object_get(object, field->name), output, why);
    }
    if (result) {
        return result;
    }
    g_autofree char *file = g_strdup_printf("%s.file", where);
    result = check_path(file, output->file, why);
    if (!result && path_is_temp(output->file)) {
        result = image_refuse(why, HANDLER_FATAL,
            "%s \"%s\" is named like a temporary file of Ox (.ox-*.tmp)", file, output->file);
    }
    if (!result) {
        result = choose_format(output, where, why);
    }
    return result ? result : settle_quality(output, where, why);
}

static enum handler_result read_outputs(
    struct image_request *request, const json_t *list, GString *why)
{
    if (list == NULL || json_is_null(list)) {
        return HANDLER_DONE;
    }
    if (!json_is_array(list)) {
        return refuse_value(why, "outputs", "a list of objects", list);
    }
    size_t count = json_array_size(list);
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
            read_output(&request->outputs[i], where, json_array_get(list, i), why);
        if (result) {
            return result;
        }
    }
    return HANDLER_DONE;
}

static enum handler_result read_root(struct image_request *request, json_t *root, GString *why)
{
    if (!json_is_object(root)) {
        return refuse_value(why, "the job's data", "an object with the field input", root);
    }
    const char *name;
    json_t *value;
    json_object_foreach (root, name, value) {
        if (strcmp(name, "input") == 0 || strcmp(name, "outputs") == 0) {
            continue;
        }
        g_autofree char *shown = shorten(name);
        return image_refuse(why, HANDLER_FATAL,
            "unknown field \"%s\" in the job's data; known are input, outputs", shown);
    }
    const json_t *input = json_object_get(root, "input");
    if (input == NULL) {
        return image_refuse(why, HANDLER_FATAL, "input is missing from the job's data");
    }
    if (!json_is_string(input)) {
        return refuse_value(why, "input", "a text", input);
    }
    request->input = g_strdup(json_string_value(input));
    enum handler_result result = check_path("input", request->input, why);
    return result ? result : read_outputs(request, json_object_get(root, "outputs"), why);
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

enum handler_result image_request_read(
    struct image_request *request, const char *data, size_t data_len, GString *why)
{
    json_error_t error;
    size_t len;
    g_autofree char *text = whole_pairs(data, data_len, &len);
    json_t *root = json_loadb(text, len, JSON_DECODE_ANY, &error);
    if (root == NULL) {
        g_autofree char *problem = g_utf8_make_valid(error.text, -1); /* it cuts letters */
        return image_refuse(why, HANDLER_FATAL, "the job's data is not JSON: %s", problem);
    }
    enum handler_result result = read_root(request, root, why);
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

void image_request_default(struct image_request *request, const struct image_format *format)
{
    if (format->save == NULL) {
        format = image_format_by_name("jpeg");
    }
    request->outputs = g_new0(struct image_output, 1);
    request->count = 1;
    struct image_output *output = request->outputs;
    *output = unset;
    output->file = name_beside(request->input, format);
    output->format = format;
    output->quality = format->quality;
    output->effort = format->effort;
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
