/*
 * error.c - codes, their texts, and the one function that fills an ox_error.
 *
 * Expected refusals of the scripts are small negative numbers; wire/script.c maps those to the
 * codes listed here.
 */
#include "base/error.h"

#include "base/text.h"

#include <glib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Error texts go into JSON and onto terminals, and may quote bytes of other programs. */
static void replace_invalid_utf8(char *text)
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
        char text[sizeof(err->text) + 4]; /* one character more, so that a cut is noticed */
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        size_t len = ox__utf8_truncate(text, sizeof(err->text) - 1);
        err->code = code;
        memcpy(err->text, text, len);
        err->text[len] = '\0';
        replace_invalid_utf8(err->text);
    }
    return code;
}

int ox__fail_memory(ox_error *err)
{
    return ox__fail(err, OX_ENOMEM, "out of memory");
}

int ox__fail_null(ox_error *err, const char *function, const char *argument)
{
    return ox__fail(err, OX_EINVAL, "%s: %s is NULL", function, argument);
}

int ox__reserve_check(const uint64_t *reserved, size_t count, const char *type, ox_error *err)
{
    for (size_t i = 0; reserved != NULL && i < count; i++) {
        if (reserved[i] != 0) {
            return ox__fail(err, OX_EINVAL, "%s: reserved must be zero", type);
        }
    }
    return 0;
}

void ox__free_text(char **text)
{
    free(*text);
}

const char *ox_version(void)
{
    return OX_VERSION;
}

void ox_free(void *block)
{
    free(block);
}
