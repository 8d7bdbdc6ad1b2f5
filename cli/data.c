/*
 * data.c - see data.h.
 *
 * A bare word is the most likely mistake (`ox add mail send hello`), so it gets a hint of its
 * own instead of the parser's message. Input ends at MAX_DATA_BYTES, which is also what Redis
 * takes for one value.
 */
#include "data.h"
#include "json.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAX_DATA_BYTES ((size_t)512 << 20)
#define READ_BYTES 65536

const char *data_read_reason(int error)
{
    return error == EBADF ? "it is closed" : g_strerror(error);
}

int data_open(struct run *run, const char *path)
{
    if (path == NULL || !strcmp(path, "-")) {
        return dup(STDIN_FILENO);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        complain(run, "cannot read %s: %s", path, g_strerror(errno));
    }
    return fd;
}

/* Returns 0, or an errno; EFBIG when there is too much. */
static int read_all(int fd, GString *text)
{
    char buffer[READ_BYTES];
    for (;;) {
        ssize_t got = read(fd, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? errno : 0;
        }
        if (text->len + (size_t)got > MAX_DATA_BYTES) {
            return EFBIG;
        }
        g_string_append_len(text, buffer, got);
    }
}

int data_read_file(struct run *run, const char *path, GString **text)
{
    int fd = data_open(run, path);
    if (fd < 0) {
        return STATUS_FAILED;
    }
    *text = g_string_new(NULL);
    int failure = read_all(fd, *text);
    close(fd);
    if (!failure) {
        return STATUS_DONE;
    }
    complain(run, "cannot read %s: %s",
        path != NULL && strcmp(path, "-") ? path : "standard input", data_read_reason(failure));
    g_string_free(*text, TRUE);
    *text = NULL;
    return STATUS_FAILED;
}

static bool is_bare_word(const char *text)
{
    return *text && strchr("{[\"-0123456789", *text) == NULL;
}

static int refuse_text(struct run *run, const char *what, const char *text, const char *problem)
{
    g_autofree char *cleaned = text_clean(text);
    g_autofree char *shown = text_cut(cleaned, 40);
    if (!*text) {
        return complain_usage(run, "%s is empty; expected JSON, @FILE or -", what);
    }
    if (is_bare_word(text)) {
        return complain_usage(run,
            "%s is not JSON: %s; a string keeps its own quotes ('\"%s\"'), a file is @FILE",
            what, shown, shown);
    }
    return complain_usage(run, "%s is not JSON: %s (%s)", what, shown, problem);
}

static int check(struct run *run, const char *what, const char *source, GString *text)
{
    g_autofree char *problem = NULL;
    if (json_valid(text->str, text->len, &problem)) {
        return STATUS_DONE;
    }
    if (source == NULL) {
        return refuse_text(run, what, text->str, problem);
    }
    return complain_usage(run, "%s in %s is not JSON: %s", what,
        strcmp(source, "-") ? source : "standard input", problem);
}

int data_read(struct run *run, const char *what, const char *spec, char **json)
{
    const char *source = NULL;
    GString *text = NULL;
    if (!strcmp(spec, "-") || *spec == '@') {
        source = *spec == '@' ? spec + 1 : spec;
        if (!*source) {
            return complain_usage(run, "%s: file name missing after \"@\"", what);
        }
        int status = data_read_file(run, source, &text);
        if (status) {
            return status;
        }
    } else {
        text = g_string_new(spec);
    }
    int status = check(run, what, source, text);
    *json = g_string_free(text, status != STATUS_DONE);
    if (*json != NULL) {
        g_strstrip(*json);
    }
    return status;
}
