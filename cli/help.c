/*
 * help.c - see help.h.
 *
 * Lines are broken at the terminal's width, at most 96 columns; in a pipe at 80.
 */
#include "help.h"
#include <string.h>

#define PIPE_WIDTH 80
#define MAX_WIDTH 96
#define OPTION_INDENT 26

static int line_width(const struct out *out)
{
    return out->terminal ? CLAMP(out->width, 40, MAX_WIDTH) : PIPE_WIDTH;
}

char *help_option(const struct opt *opt)
{
    GString *text = g_string_new(NULL);
    if (opt->letter)
        g_string_append_printf(text, "-%c, ", opt->letter);
    g_string_append_printf(text, "--%s", opt->name);
    if (opt->arg && opt->optional)
        g_string_append_printf(text, "[=%s]", opt->arg);
    else if (opt->arg)
        g_string_append_printf(text, " %s", opt->arg);
    return g_string_free(text, FALSE);
}

static void wrap_line(GString *to, const char *line, int indent, int width)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    int column = indent;
    for (char **word = words; *word; word++) {
        int length = (int)g_utf8_strlen(*word, -1);
        if (column > indent && column + 1 + length > width) {
            g_string_append_printf(to, "\n%*s", indent, "");
            column = indent;
        } else if (word != words) {
            g_string_append_c(to, ' ');
            column++;
        }
        g_string_append(to, *word);
        column += length;
    }
}

char *help_wrap(const char *text, int indent, int width)
{
    GString *wrapped = g_string_new(NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        if (line != lines)
            g_string_append_printf(wrapped, "\n%*s", **line ? indent : 0, "");
        wrap_line(wrapped, *line, indent, width);
    }
    return g_string_free(wrapped, FALSE);
}

static void print_options(FILE *to, const struct opt *opts, const struct out *out)
{
    for (const struct opt *opt = opts; opt && opt->name; opt++) {
        g_autofree char *name = help_option(opt);
        g_autofree char *text = help_wrap(opt->help, OPTION_INDENT, line_width(out));
        if ((int)strlen(name) + 4 > OPTION_INDENT)
            fprintf(to, "  %s\n%*s%s\n", name, OPTION_INDENT, "", text);
        else
            fprintf(to, "  %-*s%s\n", OPTION_INDENT - 2, name, text);
    }
}

static void print_verbs(FILE *to, const char *beginning)
{
    for (const struct cmd *const *cmd = cmds; *cmd; cmd++)
        if (g_str_has_prefix((*cmd)->name, beginning))
            fprintf(to, "  %-15s %s\n", (*cmd)->name, (*cmd)->summary);
}

void help_all(FILE *to, const struct out *out)
{
    fprintf(to, "Usage: ox [OPTIONS] VERB [ARGUMENTS]\n\n"
                "Adds, shows and steers jobs in queues on Redis, in BullMQ's own layout.\n\n"
                "Verbs:\n");
    print_verbs(to, "");
    fprintf(to, "\nOptions of every verb:\n");
    print_options(to, global_opts, out);
    fprintf(to, "\nExit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not added.\n"
                "ox VERB --help tells more about a verb.\n");
}

void help_family(FILE *to, const char *family)
{
    g_autofree char *beginning = g_strconcat(family, " ", NULL);
    fprintf(to, "Usage: ox %s VERB [ARGUMENTS]\n\n", family);
    print_verbs(to, beginning);
    fprintf(to, "\nox %s VERB --help tells more about a verb.\n", family);
}

int help_verb(FILE *to, const struct cmd *cmd, const struct out *out)
{
    g_autofree char *text = help_wrap(cmd->help, 0, line_width(out));
    fprintf(to, "Usage: ox %s%s%s%s\n\n%s\n", cmd->name, *cmd->usage ? " " : "", cmd->usage,
        cmd->opts || cmd->more ? " [OPTIONS]" : "", text);
    if (cmd->opts || cmd->more)
        fprintf(to, "\nOptions:\n");
    print_options(to, cmd->opts, out);
    print_options(to, cmd->more, out);
    fprintf(to, "\nOptions of every verb:\n");
    print_options(to, global_opts, out);
    if (cmd->example)
        fprintf(to, "\nExamples:\n%s\n", cmd->example);
    return STATUS_DONE;
}
