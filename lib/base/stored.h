/*
 * stored.h - reads values in JSON text that other programs stored, without copying it.
 *
 * All functions work on text that ox__json_scan() accepted with OX__JSON_STORED, and that ends
 * in a NUL: they rely on the grammar, and only look for the ends of values. Values mean what
 * they mean to JSON.parse: of two members with one name the last counts, half a surrogate pair
 * and bytes that are not UTF-8 are U+FFFD (so is a NUL, because texts here end in one), and
 * numbers beyond a double are the largest double.
 */
#ifndef OX_LIB_STORED_H
#define OX_LIB_STORED_H

#include "base/buf.h"

#include <jansson.h>
#include <stdbool.h>

/* A value in the text, from its first byte to past its last. `at` is NULL when there is none.
 */
struct ox__slice {
    const char *at, *end;
};

/* Checks the text and finds its one value, {NULL, NULL} when it is not JSON. Returns 0, or
 * OX_ENOMEM. */
int ox__stored_value(struct ox__slice *out, const char *text, size_t len);

/* The value that begins at `p`, behind white space. */
struct ox__slice ox__slice_at(const char *p);
/* From past a value, or past the opening bracket, to the next one. False at the end. */
bool ox__slice_next(const char **p);
/* The next element of a container; `*p` begins as NULL. False at its end. */
bool ox__slice_element(struct ox__slice array, const char **p, struct ox__slice *element);
bool ox__slice_member(
    struct ox__slice object, const char **p, struct ox__slice *name, struct ox__slice *value);

/* Whether the value is a string with this text, however it is escaped. */
bool ox__slice_is(struct ox__slice string, const char *text);
/* A member of an object; none when it is missing, null, or `object` is not an object. */
struct ox__slice ox__slice_get(struct ox__slice object, const char *name);
/* The text of a string, owned by the caller; NULL when it is not a string, or out of memory. */
char *ox__slice_text(struct ox__slice string);
/* A number, NAN when it is not one. Not read as JavaScript would convert it: see options.c. */
double ox__slice_number(struct ox__slice number);
/* A scalar, or an object of scalars, as jansson's; deeper values and arrays become empty
 * arrays. NULL when out of memory. */
json_t *ox__slice_load(struct ox__slice value);

#endif /* OX_LIB_STORED_H */
