/*
 * json.h - JSON text in and out; stored JSON is kept byte for byte.
 *
 * What a job holds is passed through as text, its numbers are never parsed: 0.1 stays 0.1, and
 * an integer of twenty digits stays what it is. The library decides whether text is JSON, by
 * the same rules for typed and stored text; the layout (compact, or indented with colours) is
 * done on the text itself.
 */
#ifndef OX_CLI_JSON_H
#define OX_CLI_JSON_H

#include "out.h"
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether text is one JSON value. `problem`, may be NULL, gets an error text (heap). */
bool json_valid(const char *text, size_t length, char **problem);

/* Stored text as JSON, with U+FFFD for bytes that are not UTF-8, as Node reads it; NULL when it
 * is not JSON then. Heap. */
char *json_repaired(const char *text);

/* Behind white space. */
const char *json_skip_space(const char *p);

/* Appends valid JSON text in one line without spaces. */
void json_compact(GString *to, const char *text);
/* Appends valid JSON text for a terminal, with colours and without control characters: in one
 * line when it is short, else indented by two, `indent` columns to the right. */
void json_pretty(GString *to, const char *text, int indent, const struct out *out);

/* ---- objects, one a line, on stdout ------------------------------------------------------ */

/* An object that grows key by key. */
struct obj {
    GString *text;
};

void obj_begin(struct obj *obj);
void obj_text(struct obj *obj, const char *key, const char *value); /* NULL: null */
void obj_int(struct obj *obj, const char *key, int64_t value);
void obj_bool(struct obj *obj, const char *key, bool value);
/* Stored text that should be JSON: copied as it is, or as a string when it is not JSON. */
void obj_json(struct obj *obj, const char *key, const char *value);
/* Puts what was built by hand (complete, valid JSON) under a key. */
void obj_raw(struct obj *obj, const char *key, const char *json);
/* Takes over the members of another object that was built by hand: "{..}". */
void obj_members(struct obj *obj, const char *json);
/* Closes it and returns its text, heap. */
char *obj_take(struct obj *obj);
/* Closes it, prints it as a line of stdout and frees it. */
void obj_print(struct obj *obj);

/* Appends a JSON string. Bytes that are not UTF-8 are replaced, but for C0 80: the library's
 * NUL (see ox.h), which becomes \\u0000. */
void json_append_string(GString *to, const char *text);

#endif /* OX_CLI_JSON_H */
