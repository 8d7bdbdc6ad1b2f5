/*
 * help.c - see help.h.
 *
 * Lines are broken at the terminal's width, at most 96 columns; in a pipe at 80.
 */
#include "help.h"
#include <string.h>

#define PIPE_WIDTH 80
#define MAX_WIDTH 96

static int line_width(const struct out *out)
{
    return out->terminal ? CLAMP(out->width, 40, MAX_WIDTH) : PIPE_WIDTH;
}

static void print_verbs(FILE *to, const char *beginning)
{
    for (const struct cmd *const *cmd = cmds; *cmd != NULL; cmd++) {
        if (g_str_has_prefix((*cmd)->name, beginning)) {
            fprintf(to, "  %-15s %s\n", (*cmd)->name, (*cmd)->summary);
        }
    }
}

void help_all(FILE *to, const struct out *out)
{
    fprintf(to, "Usage: ox [OPTIONS] VERB [ARGUMENTS]\n\n"
                "Adds, shows and manages jobs in queues on Redis, in BullMQ's own layout.\n\n"
                "Verbs:\n");
    print_verbs(to, "");
    fprintf(to, "\nOptions of every verb:\n");
    ox__options_print(to, global_opts, line_width(out));
    fprintf(to, "\nExit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not added.\n"
                "ox VERB --help describes a verb.\n");
}

void help_family(FILE *to, const char *family)
{
    g_autofree char *beginning = g_strconcat(family, " ", NULL);
    fprintf(to, "Usage: ox %s VERB [ARGUMENTS]\n\n", family);
    print_verbs(to, beginning);
    fprintf(to, "\nox %s VERB --help describes a verb.\n", family);
}

int help_verb(FILE *to, const struct cmd *cmd, const struct out *out)
{
    g_autofree char *text = ox__wrap(cmd->help, 0, line_width(out));
    fprintf(to, "Usage: ox %s%s%s%s\n\n%s\n", cmd->name, *cmd->usage ? " " : "", cmd->usage,
        cmd->opts != NULL || cmd->more != NULL ? " [OPTIONS]" : "", text);
    if (cmd->opts != NULL || cmd->more != NULL) {
        fprintf(to, "\nOptions:\n");
    }
    ox__options_print(to, cmd->opts, line_width(out));
    ox__options_print(to, cmd->more, line_width(out));
    fprintf(to, "\nOptions of every verb:\n");
    ox__options_print(to, global_opts, line_width(out));
    if (cmd->example != NULL) {
        fprintf(to, "\nExamples:\n%s\n", cmd->example);
    }
    return STATUS_DONE;
}
