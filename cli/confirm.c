/*
 * confirm.c - see confirm.h. The question goes to stderr, so stdout stays clean.
 */
#include "confirm.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool read_answer(char *line, size_t size)
{
    if (fgets(line, (int)size, stdin) == NULL) {
        return false;
    }
    g_strstrip(line);
    return true;
}

int confirm(struct run *run, bool yes, const char *action, const char *answer)
{
    if (yes) {
        return STATUS_DONE;
    }
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        return complain_usage(run, "this would %s; --yes does it without asking", action);
    }
    g_autofree char *cleaned = text_clean(action);
    if (answer != NULL) {
        g_autofree char *shown = text_clean(answer);
        fprintf(stderr, "This will %s. Type \"%s\" to do it: ", cleaned, shown);
    } else {
        fprintf(stderr, "This will %s. Go on? [y/N] ", cleaned);
    }
    char line[300];
    bool given = read_answer(line, sizeof line);
    if (!given) {
        fputc('\n', stderr);
    }
    if (given &&
        (answer != NULL ? !strcmp(line, answer)
                        : !g_ascii_strcasecmp(line, "y") || !g_ascii_strcasecmp(line, "yes"))) {
        return STATUS_DONE;
    }
    complain(run, "nothing was done");
    return STATUS_FAILED;
}
