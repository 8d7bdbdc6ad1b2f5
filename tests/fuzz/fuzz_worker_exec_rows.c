/*
 * fuzz_worker_exec_rows.c - what a program of the exec handler writes to its stderr: rows of
 * the job's log, and "ox:progress JSON".
 *
 * Input: a byte for the size of the pieces in which it is written, then the text. Nothing of it
 * is lost or comes twice, and no row ends inside a character.
 */
#include "fuzz_handler.h"

#include <fcntl.h>
#include <unistd.h>

#include "worker/handlers/exec.h"

static GString *seen; /* without line breaks */
static bool is_text;  /* the input is UTF-8 */

static void take_progress(void *arg, const char *json)
{
    fuzz_progress(arg, json);
    g_string_append_printf(seen, "ox:progress %s", json);
}

static void take_row(void *arg, const char *row)
{
    (void)arg;
    expect(strlen(row) <= LINEBUF_BYTES);
    expect(!is_text || g_utf8_validate(row, -1, NULL));
    g_string_append(seen, row);
}

static char *without_nuls(const char *text, size_t size)
{
    char *copy = fuzz_text((const uint8_t *)text, size);
    for (char *at = copy; at < copy + size; at++) {
        *at = *at != '\0' ? *at : ' ';
    }
    return copy;
}

/* What must have come so far: all but some last part, of which more may follow. */
static void check_seen(const char *text, size_t size)
{
    size_t at = 0, i = 0;
    for (; i < size && at < seen->len; i++) {
        if (text[i] != '\n') {
            expect(seen->str[at++] == (text[i] != '\0' ? text[i] : ' '));
        }
    }
    expect(at == seen->len);
    while (i < size && text[i] == '\n') {
        i++;
    }
    expect(size - i < LINEBUF_BYTES && memchr(text + i, '\n', size - i) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct handler_io io = { take_progress, take_row, fuzz_retry_after, fuzz_kind,
        NULL };
    static char name[] = "program";
    static const struct exec_command command = { .name = name };
    int ends[2];
    if (size < 1) {
        return 0;
    }
    expect(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    struct exec_program program = { .command = &command,
        .io = &io,
        .in = -1,
        .out = -1,
        .err = ends[0],
        .said = g_string_new(NULL),
        .last_line = g_string_new(NULL) };
    size_t step = (size_t)data[0] * 16 + 1, count;
    const char *text = (const char *)data + 1;
    size--;
    seen = g_string_new(NULL);
    g_autofree char *plain = without_nuls(text, size);
    is_text = g_utf8_validate(plain, (gssize)size, NULL);
    for (size_t at = 0; at < size; at += count) {
        count = MIN(step, size - at);
        expect(write(ends[1], text + at, count) == (ssize_t)count);
        exec_program_read_rows(&program);
        check_seen(text, at + count);
    }
    close(ends[1]);
    exec_program_read_rows(&program);
    expect(program.err == -1);
    exec_program_end(&program);
    g_string_free(seen, TRUE);
    return 0;
}
