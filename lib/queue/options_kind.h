/*
 * options_kind.h - kinds of job options: how a value of each is read, kept, written and
 * checked.
 *
 * An option is a row of the table in options.c: its names, its kind and where its value lies in
 * ox_job_options. A kind handles one type of field and knows no option names.
 */
#ifndef OX_LIB_QUEUE_OPTIONS_KIND_H
#define OX_LIB_QUEUE_OPTIONS_KIND_H

#include "base/buf.h"

#include <jansson.h>
#include <ox.h>

struct ox__option;

struct ox__option_kind {
    size_t size; /* of the field */
    /* Reads a value, false when it does not fit: then the field stays as it is. */
    bool (*read)(const struct ox__option *option, const json_t *value, void *field);
    /* Whether it is set; NULL: it is only read, into the fields of others. */
    bool (*is_set)(const void *field);
    void (*write)(struct ox__buf *out, const void *field);
    /* 0, or OX_EINVAL for values that no job may have. NULL: every value is valid. */
    int (*check)(const struct ox__option *option, const void *field, ox_error *err);
};

struct ox__option {
    const char *name;     /* in BullMQ's interface */
    const char *stored;   /* in Redis */
    const char *expected; /* for the error */
    const struct ox__option_kind *kind;
    size_t offset; /* of the field in ox_job_options */
    int64_t max;   /* maximum; 0: that of the type */
    int choice;    /* of a field that several rows share: the value that this row stands for */
    bool always;   /* written also when it is not set */
    /* Converts a stored value as JavaScript would, before it is read; takes it over and returns
     * another, NULL when out of memory. NULL: as it is. */
    json_t *(*fit)(json_t *stored);
};

extern const struct ox__option_kind ox__option_u32, ox__option_attempts, ox__option_priority,
    ox__option_ms, ox__option_size, ox__option_stack_limit, ox__option_flag, ox__option_text,
    ox__option_id, ox__option_keep, ox__option_backoff, ox__option_dedup, ox__option_parent,
    ox__option_on_failure, ox__option_telemetry;

json_t *ox__fit_u32(json_t *value);
json_t *ox__fit_i32(json_t *value);
json_t *ox__fit_ms(json_t *value);
json_t *ox__fit_flag(json_t *value);
json_t *ox__fit_keep(json_t *value);
json_t *ox__fit_backoff(json_t *value);

#endif /* OX_LIB_QUEUE_OPTIONS_KIND_H */
