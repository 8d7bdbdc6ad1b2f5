/*
 * fuzz.h - what the fuzz targets share.
 *
 * A target is one function, called with bytes that anybody may have sent or stored. Whatever
 * they are, the code under test answers soon, keeps to its own memory and its promises, which
 * the target checks with expect(). `make fuzz` links each target with libFuzzer, which invents
 * bytes; `make test` with replay.c, which reads those of corpus/.
 */
#ifndef OX_TESTS_FUZZ_H
#define OX_TESTS_FUZZ_H

#include <glib.h>
#include <ox.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define expect(holds) fuzz_expect(holds, #holds, __FILE__, __LINE__)

static inline void fuzz_expect(bool holds, const char *what, const char *file, int line)
{
    if (!holds) {
        fprintf(stderr, "%s:%d: expected %s\n", file, line, what);
        abort();
    }
}

/* A failure that was reported as it should be: `code`, and a sentence. */
static inline void fuzz_failure(const ox_error *err, int code)
{
    expect(code < 0 && err->code == code);
    expect(memchr(err->text, '\0', sizeof(err->text)) != NULL);
    expect(g_utf8_validate(err->text, -1, NULL));
}

/* The bytes as a string, the caller's. It ends at its last byte, so that a sanitizer sees who
 * reads on behind it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    expect(text != NULL);
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    return text;
}

#endif /* OX_TESTS_FUZZ_H */
