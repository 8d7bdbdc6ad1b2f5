/*
 * image_fields.c - the fields of a job's data: the rows, and how each kind of value is read.
 *
 * A name that no row has is an error, because a mistyped "widht" would otherwise quietly make a
 * picture of the wrong size. null means the default. The reason names the field and what it may
 * be. What a field allows by itself is checked here.
 */
#include "handlers/image_fields.h"
#include "base/suggest.h"
#include "handlers/image_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SHOWN = 60, MAX_SIDE = 16383 };

/* Their places are the values of enum image_fit, VipsFailOn, image_chroma, image_keep. */
static const char *const fits[] = { "cover", "contain", "fill", "inside", "outside", NULL };
static const char *const fail_ons[] = { "none", "truncated", "error", "warning", NULL };
static const char *const chromas[] = { "auto", "4:2:0", "4:4:4", NULL };
static const char *const keeps[] = { "none", "rights", "all", NULL };

/* clang-format off */
#define AT(member) offsetof(struct image_request, member)
const struct image_field image_job_fields[] = {
    { "input",    FIELD_TEXT,   .offset = AT(input), .required = true },
    { "outputs",  FIELD_LIST,   .offset = AT(outputs) },
    { "page",     FIELD_WHOLE,  .offset = AT(page), .min = 0, .max = 100000, .fallback = -1 },
    { "animated", FIELD_FLAG,   .offset = AT(animated) },
    { "fail_on",  FIELD_CHOICE, .offset = AT(fail_on), .words = fail_ons, .fallback = VIPS_FAIL_ON_ERROR },
    { "keep",     FIELD_CHOICE, .offset = AT(keep), .words = keeps, .fallback = KEEP_RIGHTS },
    { "info",     FIELD_FLAG,   .offset = AT(info) },
    { 0 },
};
#undef AT

/* -1 is "not given", until image_request.c has settled it. */
#define AT(member) offsetof(struct image_output, member)
const struct image_field image_output_fields[] = {
    { "file",         FIELD_TEXT,     .offset = AT(file), .required = true },
    { "format",       FIELD_TEXT,     .offset = AT(format_name) },
    { "crop",         FIELD_CROP,     .offset = AT(crop) },
    { "width",        FIELD_WHOLE,    .offset = AT(width), .min = 1, .max = MAX_SIDE },
    { "height",       FIELD_WHOLE,    .offset = AT(height), .min = 1, .max = MAX_SIDE },
    { "fit",          FIELD_CHOICE,   .offset = AT(fit), .words = fits, .fallback = FIT_COVER },
    { "position",     FIELD_POSITION, .offset = AT(position) },
    { "enlarge",      FIELD_FLAG,     .offset = AT(enlarge) },
    { "sharpen",      FIELD_SHARPEN,  .offset = AT(sharpen), .min = 0.01, .max = 10 },
    { "background",   FIELD_COLOUR,   .offset = AT(background) },
    { "quality",      FIELD_WHOLE,    .offset = AT(quality), .min = 1, .max = 100 },
    { "lossless",     FIELD_FLAG,     .offset = AT(lossless), .fallback = -1 },
    { "effort",       FIELD_WHOLE,    .offset = AT(effort), .min = 0, .max = 10, .fallback = -1 },
    { "chroma",       FIELD_CHOICE,   .offset = AT(chroma), .words = chromas, .fallback = CHROMA_AUTO },
    { "progressive",  FIELD_FLAG,     .offset = AT(progressive), .fallback = -1 },
    { "max_bytes",    FIELD_WHOLE,    .offset = AT(max_bytes), .min = 1, .max = INT_MAX },
    { "target",       FIELD_NUMBER,   .offset = AT(target), .min = 0.5, .max = 0.9999 },
    { "placeholder",  FIELD_FLAG,     .offset = AT(placeholder) },
    { "never_larger", FIELD_FLAG,     .offset = AT(never_larger), .fallback = 1 },
    { 0 },
};
#undef AT

#define AT(member) offsetof(struct image_crop, member)
static const struct image_field crop_fields[] = {
    { "left",   FIELD_WHOLE, .offset = AT(left), .min = 0, .max = IMAGE_MAX_SIDE, .required = true },
    { "top",    FIELD_WHOLE, .offset = AT(top), .min = 0, .max = IMAGE_MAX_SIDE, .required = true },
    { "width",  FIELD_WHOLE, .offset = AT(width), .min = 1, .max = IMAGE_MAX_SIDE, .required = true },
    { "height", FIELD_WHOLE, .offset = AT(height), .min = 1, .max = IMAGE_MAX_SIDE, .required = true },
    { 0 },
};
#undef AT

#define AT(member) offsetof(struct image_position, member)
static const struct image_field focal_fields[] = {
    { "x", FIELD_NUMBER, .offset = AT(x), .min = 0, .max = 1, .required = true },
    { "y", FIELD_NUMBER, .offset = AT(y), .min = 0, .max = 1, .required = true },
    { 0 },
};
#undef AT

/* sharp's gravities, positions and strategies. */
static const struct {
    const char *name;
    struct image_position position;
} positions[] = {
    { "centre",       { POSITION_COMPASS, 0.5, 0.5, true } },
    { "center",       { POSITION_COMPASS, 0.5, 0.5, true } },
    { "north",        { POSITION_COMPASS, 0.5, 0, true } },
    { "northeast",    { POSITION_COMPASS, 1, 0, true } },
    { "east",         { POSITION_COMPASS, 1, 0.5, true } },
    { "southeast",    { POSITION_COMPASS, 1, 1, true } },
    { "south",        { POSITION_COMPASS, 0.5, 1, true } },
    { "southwest",    { POSITION_COMPASS, 0, 1, true } },
    { "west",         { POSITION_COMPASS, 0, 0.5, true } },
    { "northwest",    { POSITION_COMPASS, 0, 0, true } },
    { "top",          { POSITION_COMPASS, 0.5, 0, true } },
    { "right top",    { POSITION_COMPASS, 1, 0, true } },
    { "right",        { POSITION_COMPASS, 1, 0.5, true } },
    { "right bottom", { POSITION_COMPASS, 1, 1, true } },
    { "bottom",       { POSITION_COMPASS, 0.5, 1, true } },
    { "left bottom",  { POSITION_COMPASS, 0, 1, true } },
    { "left",         { POSITION_COMPASS, 0, 0.5, true } },
    { "left top",     { POSITION_COMPASS, 0, 0, true } },
    { "attention",    { POSITION_ATTENTION, 0.5, 0.5, true } },
    { "entropy",      { POSITION_ENTROPY, 0.5, 0.5, true } },
};
/* clang-format on */

char *image_shorten(const char *text)
{
    if (g_utf8_strlen(text, -1) <= MAX_SHOWN) {
        return g_strdup(text);
    }
    g_autofree char *head = g_utf8_substring(text, 0, MAX_SHOWN);
    return g_strconcat(head, "...", NULL);
}

enum handler_result image_refuse_value(
    GString *why, const char *name, const char *what, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
    g_autofree char *shown = image_shorten(text != NULL ? text : "that");
    free(text);
    return image_refuse(why, HANDLER_FATAL, "%s must be %s, not %s", name, what, shown);
}

/* ---- Kinds of values --------------------------------------------------------------------- */

/* What one value is read with. */
struct reading {
    const struct image_field *field;
    const char *name; /* in full: "outputs[0].width" */
    const json_t *value;
    void *to;
    GString *why;
};

/* Comma-separated, with "or" before the last. */
static char *list_words(const char *const *words)
{
    GString *list = g_string_new(NULL);
    for (size_t i = 0; words[i] != NULL; i++) {
        const char *comma = i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ";
        g_string_append_printf(list, "%s%s", comma, words[i]);
    }
    return g_string_free(list, FALSE);
}

static enum handler_result refuse(const struct reading *r, const char *what)
{
    return image_refuse_value(r->why, r->name, what, r->value);
}

static enum handler_result read_text(const struct reading *r)
{
    if (!json_is_string(r->value)) {
        return refuse(r, "a text");
    }
    *(char **)r->to = g_strdup(json_string_value(r->value));
    return HANDLER_DONE;
}

/* 800.0 is as whole as 800: some languages know no other numbers. */
static enum handler_result read_whole(const struct reading *r)
{
    const struct image_field *field = r->field;
    double number = json_is_number(r->value) ? json_number_value(r->value) : NAN;
    if (!(number >= field->min && number <= field->max) || floor(number) < number) {
        g_autofree char *what =
            g_strdup_printf("a whole number from %.0f to %.0f", field->min, field->max);
        return refuse(r, what);
    }
    *(int *)r->to = (int)number;
    return HANDLER_DONE;
}

static enum handler_result read_number(const struct reading *r)
{
    const struct image_field *field = r->field;
    double number = json_is_number(r->value) ? json_number_value(r->value) : NAN;
    if (!(number >= field->min && number <= field->max)) {
        g_autofree char *what =
            g_strdup_printf("a number from %g to %g", field->min, field->max);
        return refuse(r, what);
    }
    *(double *)r->to = number;
    return HANDLER_DONE;
}

static enum handler_result read_flag(const struct reading *r)
{
    if (!json_is_boolean(r->value)) {
        return refuse(r, "true or false");
    }
    *(int *)r->to = json_is_true(r->value);
    return HANDLER_DONE;
}

static enum handler_result read_choice(const struct reading *r)
{
    const char *const *words = r->field->words;
    for (int i = 0; json_is_string(r->value) && words[i] != NULL; i++) {
        if (strcmp(words[i], json_string_value(r->value)) == 0) {
            *(int *)r->to = i;
            return HANDLER_DONE;
        }
    }
    g_autofree char *what = list_words(words);
    return refuse(r, what);
}

bool image_colour_parse(const char *text, int colour[4])
{
    size_t digits = *text == '#' ? strlen(text + 1) : 0;
    if ((digits != 6 && digits != 8) || strspn(text + 1, "0123456789abcdefABCDEF") != digits) {
        return false;
    }
    colour[3] = 255;
    for (size_t i = 0; i < digits; i += 2) {
        colour[i / 2] =
            g_ascii_xdigit_value(text[1 + i]) * 16 + g_ascii_xdigit_value(text[2 + i]);
    }
    return true;
}

static enum handler_result read_colour(const struct reading *r)
{
    if (!json_is_string(r->value) ||
        !image_colour_parse(json_string_value(r->value), (int *)r->to)) {
        return refuse(r, "a colour such as \"#ffffff\" or \"#ffffff80\"");
    }
    return HANDLER_DONE;
}

static enum handler_result read_crop(const struct reading *r)
{
    if (!json_is_object(r->value)) {
        return refuse(r, "an object with left, top, width and height");
    }
    return image_fields_read(crop_fields, r->to, r->name, r->value, r->why);
}

static enum handler_result read_position(const struct reading *r)
{
    struct image_position *position = r->to;
    if (json_is_object(r->value)) {
        *position = (struct image_position){ .kind = POSITION_FOCAL, .given = true };
        return image_fields_read(focal_fields, position, r->name, r->value, r->why);
    }
    const char *word = json_is_string(r->value) ? json_string_value(r->value) : "";
    for (size_t i = 0; i < G_N_ELEMENTS(positions); i++) {
        if (strcmp(positions[i].name, word) == 0) {
            *position = positions[i].position;
            return HANDLER_DONE;
        }
    }
    return refuse(r,
        "centre, a compass point such as northeast, attention, entropy, or a point "
        "such as {\"x\": 0.5, \"y\": 0.3}");
}

static enum handler_result read_sharpen(const struct reading *r)
{
    if (json_is_boolean(r->value)) {
        *(double *)r->to = json_is_true(r->value) ? IMAGE_SHARPEN_MILD : 0;
        return HANDLER_DONE;
    }
    double sigma = json_is_number(r->value) ? json_number_value(r->value) : NAN;
    if (sigma >= r->field->min && sigma <= r->field->max) {
        *(double *)r->to = sigma;
        return HANDLER_DONE;
    }
    return refuse(r, "true, false, or a number from 0.01 to 10");
}

static enum handler_result read_list(const struct reading *r)
{
    return json_is_array(r->value) ? HANDLER_DONE : refuse(r, "a list of objects");
}

static enum handler_result (*const readers[])(const struct reading *r) = {
    [FIELD_TEXT] = read_text,
    [FIELD_WHOLE] = read_whole,
    [FIELD_NUMBER] = read_number,
    [FIELD_FLAG] = read_flag,
    [FIELD_CHOICE] = read_choice,
    [FIELD_COLOUR] = read_colour,
    [FIELD_CROP] = read_crop,
    [FIELD_POSITION] = read_position,
    [FIELD_SHARPEN] = read_sharpen,
    [FIELD_LIST] = read_list,
};

/* ---- Objects ----------------------------------------------------------------------------- */

static void *slot(const struct image_field *field, void *base)
{
    return (char *)base + field->offset;
}

void image_fields_preset(const struct image_field *fields, void *base)
{
    for (const struct image_field *f = fields; f->name != NULL; f++) {
        void *to = slot(f, base);
        switch (f->kind) {
        case FIELD_WHOLE:
        case FIELD_FLAG:
        case FIELD_CHOICE:
            *(int *)to = (int)f->fallback;
            break;
        case FIELD_NUMBER:
            *(double *)to = f->fallback;
            break;
        case FIELD_COLOUR:
            *(int *)to = -1;
            break;
        case FIELD_POSITION:
            *(struct image_position *)to = (struct image_position){ .x = 0.5, .y = 0.5 };
            break;
        default:
            break;
        }
    }
}

static const struct image_field *find(const struct image_field *fields, const char *name)
{
    while (fields->name != NULL && strcmp(fields->name, name) != 0) {
        fields++;
    }
    return fields->name != NULL ? fields : NULL;
}

/* A name that no row has: says which one is near it, or else which there are. */
static enum handler_result refuse_name(
    const struct image_field *fields, const char *where, const char *name, GString *why)
{
    g_autofree char *shown = image_shorten(name);
    struct ox__suggestion best = { .word = name };
    image_refuse(why, HANDLER_FATAL, "unknown field \"%s\" in %s; ", shown,
        where != NULL ? where : "the job's data");
    if (where == NULL && find(image_output_fields, name) != NULL) {
        g_string_append(why, "it belongs in an entry of outputs");
        return HANDLER_FATAL;
    }
    for (const struct image_field *f = fields; f->name != NULL; f++) {
        ox__suggest(&best, f->name);
    }
    if (best.nearest != NULL) {
        g_string_append_printf(why, "did you mean %s?", best.nearest);
        return HANDLER_FATAL;
    }
    g_string_append(why, "known are ");
    for (const struct image_field *f = fields; f->name != NULL; f++) {
        g_string_append_printf(why, "%s%s", f != fields ? ", " : "", f->name);
    }
    return HANDLER_FATAL;
}

static enum handler_result read_field(const struct image_field *field, void *base,
    const char *where, const json_t *value, GString *why)
{
    g_autofree char *name =
        where != NULL ? g_strdup_printf("%s.%s", where, field->name) : g_strdup(field->name);
    if (value == NULL || json_is_null(value)) {
        return field->required ? image_refuse(why, HANDLER_FATAL, "%s is missing%s", name,
                                     where != NULL ? "" : " from the job's data")
                               : HANDLER_DONE;
    }
    struct reading reading = {
        .field = field, .name = name, .value = value, .to = slot(field, base), .why = why
    };
    return readers[field->kind](&reading);
}

enum handler_result image_fields_read(const struct image_field *fields, void *base,
    const char *where, const json_t *object, GString *why)
{
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)object, name, value) {
        if (find(fields, name) == NULL) {
            return refuse_name(fields, where, name, why);
        }
    }
    for (const struct image_field *f = fields; f->name != NULL; f++) {
        enum handler_result result =
            read_field(f, base, where, json_object_get(object, f->name), why);
        if (result) {
            return result;
        }
    }
    return HANDLER_DONE;
}
