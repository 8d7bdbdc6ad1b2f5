/*
 * fuzz_cli_json.c - stored JSON, or what should be JSON, on its way to a terminal or a pipe.
 *
 * Input: any bytes. What is laid out anew means the same as before, an object that is printed
 * is JSON whatever was put into it, and nothing that a terminal obeys comes through.
 */
#include "fuzz.h"

#include <glib.h>
#include <jansson.h>

#include "base/stored.h"
#include "cli/json.h"

static json_t *parse(const char *text)
{
    return json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
}

static void check_layout(const char *text)
{
    static const struct out plain;
    g_autoptr(GString) compact = g_string_new(NULL);
    g_autoptr(GString) twice = g_string_new(NULL);
    g_autoptr(GString) pretty = g_string_new(NULL);
    json_compact(compact, text);
    json_compact(twice, compact->str);
    json_pretty(pretty, text, 4, &plain);
    expect(g_string_equal(compact, twice));
    for (const char *p = pretty->str; *p; p++)
        expect((unsigned char)*p >= 0x20 || *p == '\n');
    json_t *before = parse(text), *after = parse(compact->str);
    expect(json_equal(before, after));
    json_decref(before);
    json_decref(after);

    const char *value = json_skip_space(text), *end = ox__slice_at(value).end;
    expect(end != NULL && *json_skip_space(end) == '\0');
}

static void check_object(const char *text)
{
    struct obj obj;
    obj_begin(&obj);
    obj_text(&obj, text, text);
    obj_json(&obj, "json", text);
    g_autofree char *object = obj_take(&obj);
    json_t *json = parse(object);
    expect(json_is_object(json));
    json_decref(json);
}

static void check_text(const char *text)
{
    g_autofree char *clean = text_clean(text);
    expect(g_utf8_validate(clean, -1, NULL));
    for (const char *p = clean; *p; p = g_utf8_next_char(p))
        expect(!g_unichar_iscntrl(g_utf8_get_char(p)));
    for (int width = 0; width < 8; width++) {
        g_autofree char *cut = text_cut(clean, width);
        expect(g_utf8_validate(cut, -1, NULL) && text_width(cut) <= width);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    size_t len = strlen(text);
    char *problem = NULL;
    if (json_valid(text, len, &problem))
        check_layout(text);
    else
        expect(problem != NULL);
    check_object(text);
    check_text(text);
    g_free(problem);
    free(text);
    return 0;
}
