/*
 * error.c - codes, their texts, and the one function that fills an ox_error.
 *
 * Expected refusals of the scripts come back as small negative numbers (section 3.9 of the
 * layout); script.c maps those to the codes listed here.
 */
#include "error.h"

#include <glib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    int code;
    const char *text;
} texts[] = {
#define ROW(name, value, text) { value, text },
    OX_ERRORS(ROW)
#undef ROW
};

const char *ox_strerror(int code)
{
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].code == code) {
            return texts[i].text;
        }
    }
    return code >= 0 ? "success" : "unknown error";
}

/* A text that was cut must not end in half a letter. */
static void cut_between_letters(char *text, size_t len)
{
    size_t start = len;
    while (start > 0 && len - start < 4 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) {
        start--;
    }
    unsigned char lead = start > 0 ? (unsigned char)text[start - 1] : 0;
    size_t needed = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 0;
    if (needed > len - start + 1) {
        text[start - 1] = '\0';
    }
}

/* A text goes into JSON and onto terminals, and may quote bytes of anybody. */
static void replace_no_letters(char *text)
{
    const char *wrong;
    while (!g_utf8_validate(text, -1, &wrong)) {
        text += wrong - text;
        *text++ = '?';
    }
}

int ox__fail(ox_error *err, int code, const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        err->code = code;
        int len = vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
        if (len >= (int)sizeof(err->text)) {
            cut_between_letters(err->text, sizeof(err->text) - 1);
        }
        replace_no_letters(err->text);
    }
    return code;
}

int ox__fail_memory(ox_error *err)
{
    return ox__fail(err, OX_ENOMEM, "out of memory");
}

void ox__free_text(char **text)
{
    free(*text);
}

const char *ox_version(void)
{
    return OX_VERSION_TEXT;
}

void ox_free(void *text)
{
    free(text);
}

void ox_free_list(char **list, size_t count)
{
    for (size_t i = 0; list != NULL && i < count; i++) {
        free(list[i]);
    }
    free(list);
}
