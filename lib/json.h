/*
 * json.h - the little JSON that the fast paths need; everything else is jansson's.
 *
 * Job data travels as text and is never parsed by the library. But it must be valid: other
 * readers parse it unguarded, and one bad value stops them. So every add, result and progress
 * is checked by a scanner that builds nothing.
 */
#ifndef OX_LIB_JSON_H
#define OX_LIB_JSON_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Deeper nesting is refused: readers recurse. */
#define OX__JSON_DEPTH 512

/* True when the bytes are exactly one JSON value (RFC 8259) in valid UTF-8. */
bool ox__json_valid(const char *text, size_t len);

/* True when all of `text` is valid UTF-8. */
bool ox__utf8_valid(const char *text);

/* Appends `text` as a JSON string, quotes included. Bytes that are no UTF-8 become U+FFFD. */
void ox__json_string(struct ox__buf *out, const char *text, size_t len);

#endif /* OX_LIB_JSON_H */
