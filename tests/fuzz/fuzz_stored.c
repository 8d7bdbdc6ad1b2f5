/*
 * fuzz_stored.c - JSON that other programs stored, read where it stands.
 *
 * Input: any bytes. What the strict check takes the tolerant one takes; every value that is
 * found lies inside the text, and what jansson reads as well has the same meaning; texts come
 * out as UTF-8; a copy is JSON again.
 */
#include "fuzz.h"

#include <jansson.h>
#include <math.h>

#include "lib/base/json.h"
#include "lib/base/stored.h"

static void check_value(struct ox__slice value, struct ox__slice inside, const json_t *same);

static void check_string(struct ox__slice value, const json_t *same)
{
    char *text = ox__slice_text(value);
    expect(text != NULL && g_utf8_validate(text, -1, NULL));
    if (strstr(text, "\xef\xbf\xbd") == NULL) {
        expect(ox__slice_is(value, text));
    }
    if (same != NULL && strlen(json_string_value(same)) == json_string_length(same)) {
        expect(strcmp(text, json_string_value(same)) == 0);
    }
    free(text);
}

/* A name that is there twice has the last value. */
static void check_object(struct ox__slice object, const json_t *same)
{
    struct ox__slice name, value;
    const char *p = NULL;
    while (ox__slice_member(object, &p, &name, &value)) {
        char *key = ox__slice_text(name);
        expect(key != NULL);
        const json_t *member = same != NULL ? json_object_get(same, key) : NULL;
        struct ox__slice last = ox__slice_get(object, key);
        check_string(name, NULL);
        check_value(value, object, last.at == value.at ? member : NULL);
        free(key);
    }
}

static void check_array(struct ox__slice array, const json_t *same)
{
    struct ox__slice element;
    const char *p = NULL;
    size_t i = 0;
    while (ox__slice_element(array, &p, &element)) {
        check_value(element, array, json_array_get(same, i));
        i++;
    }
    expect(same == NULL || json_array_size(same) == i);
}

static void check_value(struct ox__slice value, struct ox__slice inside, const json_t *same)
{
    expect(value.at >= inside.at && value.at < value.end && value.end <= inside.end);
    expect(ox__json_scan(value.at, (size_t)(value.end - value.at), OX__JSON_STORED) == 1);
    json_t *loaded = ox__slice_load(value);
    expect(loaded != NULL);
    if (*value.at == '{') {
        check_object(value, same);
    } else if (*value.at == '[') {
        check_array(value, same);
    } else if (*value.at == '"') {
        check_string(value, same);
    } else if (same != NULL) {
        expect(json_equal(loaded, same));
    }
    json_decref(loaded);
}

static void check_copy(struct ox__slice value)
{
    struct ox__buf copy = { 0 };
    ox__json_copy(&copy, value.at, (size_t)(value.end - value.at));
    expect(!copy.failed && ox__json_scan(copy.data, copy.len, OX__JSON_DEEP) == 1);
    ox__buf_done(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    struct ox__slice value;
    expect(ox__stored_value(&value, text, size) == 0);
    expect(value.at != NULL || !ox_json_valid(text, size));
    if (value.at != NULL) {
        json_t *same = json_loadb(
            text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
        check_value(value, (struct ox__slice){ text, text + size }, same);
        check_copy(value);
        json_decref(same);
    }
    free(text);
    return 0;
}
