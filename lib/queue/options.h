/*
 * options.h - job options: from the caller or from BullMQ's JSON, to the form that is stored.
 *
 * BullMQ stores the options of a job as one JSON object in which some names are short
 * (section 2.1 of the layout). There is one reader for both spellings and one writer; names
 * that neither knows are kept as they are.
 */
#ifndef OX_LIB_OPTIONS_H
#define OX_LIB_OPTIONS_H

#include "base/buf.h"

#include <jansson.h>
#include <ox.h>

struct ox__options {
    ox_job_options set; /* its texts are borrowed: from the caller or from `json` */
    json_t *json; /* the object that was read (of a stored one the known members), or NULL */
};

/* Checks a caller's options (NULL: defaults), with its `json` merged in. `given` must outlive
 * `out`. The error text names the option. */
int ox__options_merge(struct ox__options *out, const ox_job_options *given, ox_error *err);
/* Reads what is stored in a job, as BullMQ reads it: text that is empty, and JSON that is not
 * an object, mean no options; values of another type are converted as JavaScript converts them,
 * or skipped. `text` ends in a NUL. OX_EDATA when it is not JSON, or null; OX_ENOMEM. */
int ox__options_stored(struct ox__options *out, const char *text, size_t len, ox_error *err);
/* Writes the stored form. */
void ox__options_write(struct ox__buf *out, const struct ox__options *options);
void ox__options_done(struct ox__options *options);

#define OX__PRIORITY_MAX 2097151u

#endif /* OX_LIB_OPTIONS_H */
