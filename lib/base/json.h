/*
 * json.h - a JSON checker for the fast paths, and the rules for stored JSON.
 *
 * Job data travels as text and is never parsed by the library. But it must be valid: other
 * readers parse it without catching errors, and one bad value stops them. So every add, result
 * and progress is checked by a scanner that builds no tree.
 *
 * The same scanner reads what other programs stored, by their rules: what JSON.parse takes,
 * which is what BullMQ runs, is taken here with the same values. jansson would refuse some of
 * it (half a surrogate pair, numbers like 1e400, deep nesting); it composes JSON, and parses
 * options that callers give.
 */
#ifndef OX_LIB_JSON_H
#define OX_LIB_JSON_H

#include "base/buf.h"

#include <ox.h>
#include <stdbool.h>
#include <stddef.h>

/* Deeper nesting is refused in added data: readers recurse. */
#define OX__JSON_DEPTH 512

/* What ox__json_scan() accepts in addition. */
#define OX__JSON_DEEP 1u /* nesting to any depth */
#define OX__JSON_BYTES                                                                         \
    2u /* in strings, bytes that are not UTF-8: Node reads them as U+FFFD                      \
        */
#define OX__JSON_STORED (OX__JSON_DEEP | OX__JSON_BYTES)

/* 1 when the bytes are exactly one JSON value (RFC 8259), 0 when not, OX_ENOMEM (with DEEP,
 * beyond OX__JSON_DEPTH). */
int ox__json_scan(const char *text, size_t len, unsigned rules);
/* True when the bytes are one JSON value in valid UTF-8, nested to OX__JSON_DEPTH at most. */
bool ox__json_valid(const char *text, size_t len);
/* 0, or OX_EINVAL when `json` is not valid JSON; `what` names it in the text. */
int ox__json_check(const char *json, const char *what, ox_error *err);

/* True when all of `text` is valid UTF-8. */
bool ox__utf8_valid(const char *text);

/* Appends `text` as a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD. */
void ox__json_string(struct ox__buf *out, const char *text, size_t len);

/* Appends bytes; those that are not UTF-8 become U+FFFD. */
void ox__json_copy(struct ox__buf *out, const char *text, size_t len);

#endif /* OX_LIB_JSON_H */
