/*
 * image_fields.h - the fields of a job's data as rows of a table.
 *
 * A row names a field, the kind of its value with bounds and default, and where in a struct the
 * value goes. Reading, refusing and the nearest name for a mistyped one come from the rows;
 * docs/image-handler.md is held against them by a test.
 */
#ifndef OX_WORKER_HANDLERS_IMAGE_FIELDS_H
#define OX_WORKER_HANDLERS_IMAGE_FIELDS_H

#include "handler.h"

#include <jansson.h>

enum image_kind {
    FIELD_TEXT,     /* char *, owned; NULL when not given */
    FIELD_WHOLE,    /* int, min..max */
    FIELD_NUMBER,   /* double, min..max */
    FIELD_FLAG,     /* int: 0 or 1 */
    FIELD_CHOICE,   /* int: which of `words` */
    FIELD_COLOUR,   /* int[4]: red, green, blue, alpha; red is negative when not given */
    FIELD_CROP,     /* struct image_crop */
    FIELD_POSITION, /* struct image_position */
    FIELD_SHARPEN,  /* double: sigma; 0: none; IMAGE_SHARPEN_MILD */
    FIELD_LIST      /* an array, read by image_request.c */
};

struct image_field {
    const char *name;
    enum image_kind kind;
    size_t offset;
    double min, max;
    double fallback; /* of WHOLE, NUMBER, FLAG, CHOICE: what stands when it is not given */
    const char *const *words; /* CHOICE; ended by NULL */
    bool required;
};

/* Of the job, into struct image_request; of an output, into struct image_output. Ended by a row
 * without name. */
extern const struct image_field image_job_fields[], image_output_fields[];

/* Sets what holds when nothing is given. `base` is otherwise zero. */
void image_fields_preset(const struct image_field *fields, void *base);

/* Reads an object. `where` is its place in the data ("outputs[0]"), or NULL for the job's data
 * itself. `base` has been preset, and holds what is to be freed in any case. */
enum handler_result image_fields_read(const struct image_field *fields, void *base,
    const char *where, const json_t *object, GString *why);

/* "outputs[0].width must be a whole number ..., not -5" */
enum handler_result image_refuse_value(
    GString *why, const char *name, const char *what, const json_t *value);

/* The beginning of a text that may be long, as far as a reason should quote it (g_free). */
char *image_shorten(const char *text);

#endif /* OX_WORKER_HANDLERS_IMAGE_FIELDS_H */
