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

int confirm_ids(struct run *run, bool yes, const char *what, const char *from)
{
    bool from_stdin = false;
    for (char **id = run->args + 1; *id != NULL; id++) {
        from_stdin = from_stdin || !strcmp(*id, "-");
    }
    if (run->arg_count <= 2 && !from_stdin) {
        return STATUS_DONE;
    }
    g_autofree char *which = from_stdin
                                 ? g_strdup_printf("the %s read from standard input", what)
                                 : g_strdup_printf("%d %s", run->arg_count - 1, what);
    g_autofree char *action = g_strdup_printf("remove %s %s %s", which, from, run->args[0]);
    return confirm(run, yes, action, NULL);
}
