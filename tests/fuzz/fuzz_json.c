/*
 * fuzz_json.c - the library's JSON checker beside jansson, and its string writer.
 *
 * Input: any bytes. Both must agree on what is JSON, but where they differ on purpose: the
 * checker goes 512 levels deep and jansson 2048; half a surrogate pair is JSON to it, as it is
 * to Node, and so are numbers that no double holds and names with a NUL.
 */
#include "fuzz.h"

#include <jansson.h>

#include "lib/base/json.h"

/* How deep containers lie in each other; the text is JSON. */
static size_t depth_of(const char *text, size_t len)
{
    size_t depth = 0, deepest = 0;
    bool quoted = false;
    for (size_t i = 0; i < len; i++) {
        if (quoted && text[i] == '\\') {
            i++;
            continue;
        }
        if (quoted) {
            quoted = text[i] != '"';
            continue;
        }
        quoted = text[i] == '"';
        depth += text[i] == '{' || text[i] == '[' ? 1 : 0;
        depth -= text[i] == '}' || text[i] == ']' ? 1 : 0;
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

static bool differs_on_purpose(const json_error_t *problem)
{
    enum json_error_code code = json_error_code(problem);
    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
           strstr(problem->text, "invalid Unicode") != NULL;
}

static void check_verdict(const char *text, size_t len)
{
    json_error_t problem;
    json_t *json = json_loadb(
        text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &problem);
    bool valid = ox__json_valid(text, len);
    if (memchr(text, '\0', len) != NULL) {
        expect(!valid); /* to jansson a NUL is the end */
    } else if (json != NULL) {
        expect(valid == (depth_of(text, len) <= OX__JSON_DEPTH));
    } else {
        expect(!valid || differs_on_purpose(&problem));
    }
    json_decref(json);
}

static bool has_no_escapes(const char *text, size_t len)
{
    return memchr(text, '"', len) == NULL && memchr(text, '\\', len) == NULL;
}

/* Any bytes become a string that is JSON; those that are UTF-8 come out of it unchanged. */
static void check_writer(const char *text, size_t len)
{
    struct ox__buf out = { 0 }, again = { 0 };
    ox__json_string(&out, text, len);
    expect(!out.failed && ox__json_valid(out.data, out.len));
    json_t *json = json_loadb(out.data, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    expect(json_is_string(json));
    ox__json_string(&again, json_string_value(json), json_string_length(json));
    expect(again.len == out.len && memcmp(again.data, out.data, out.len) == 0);

    char *quoted = malloc(len + 2);
    expect(quoted != NULL);
    quoted[0] = quoted[len + 1] = '"';
    memcpy(quoted + 1, text, len);
    if (has_no_escapes(text, len) && ox__json_valid(quoted, len + 2)) {
        expect(json_string_length(json) == len);
        expect(memcmp(json_string_value(json), text, len) == 0);
    }
    free(quoted);
    json_decref(json);
    ox__buf_done(&out);
    ox__buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    check_verdict(text, size);
    check_writer(text, size);
    free(text);
    return 0;
}
