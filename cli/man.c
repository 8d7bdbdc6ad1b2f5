/*
 * man.c - see man.h.
 *
 * Texts of verbs and options come from their rows; only those about ox as a whole are here.
 */
#include "man.h"
#include "cmd.h"
#include <string.h>

static const char before[] =
    ".\\\" Made by `ox completion man` from the rows of the verbs; change those.\n"
    ".TH OX 1 \"\" \"ox\" \"User Commands\"\n"
    ".SH NAME\n"
    "ox \\- add, show and manage jobs in queues on Redis\n"
    ".SH SYNOPSIS\n"
    ".B ox\n"
    ".RI [ OPTIONS ]\n"
    ".I VERB\n"
    ".RI [ ARGUMENTS ]\n"
    ".SH DESCRIPTION\n"
    ".B ox\n"
    "works with job queues on Redis in the layout of BullMQ. The queues may be shared with\n"
    "BullMQ producers and workers of any language; jobs are run by\n"
    ".BR ox-worker (1),\n"
    "or by any of those.\n"
    ".PP\n"
    "Results go to standard output, everything else to standard error. On a terminal there "
    "are\n"
    "aligned tables, colours and relative times. In a pipe a line is a row, cells are "
    "separated\n"
    "by tabs, there is no header, and times are ISO 8601. With\n"
    ".B \\-\\-json\n"
    "a result is one JSON object, and a list is one object a line.\n"
    ".PP\n"
    "In a pipe an id is one word of one line: a backslash, tab, line feed, carriage return or "
    "NUL\n"
    "in it is written \\\\\\\\, \\\\t, \\\\n, \\\\r or \\\\0, and verbs that "
    "read ids from standard input\n"
    "(\\-) decode that. On the command line, and with\n"
    ".BR \\-\\-json ,\n"
    "ids are as they are. In other cells tabs and line breaks become spaces. What a terminal "
    "would\n"
    "obey or hide (control characters, changes of direction, invisible characters) is shown as "
    "a\n"
    "replacement there, in JSON as an escape.\n"
    ".PP\n"
    "Durations are 500ms, 10s, 5m, 2h or 1d. What follows\n"
    ".B \\-\\-\n"
    "is never an option. Verbs that destroy ask first on a terminal and refuse elsewhere,\n"
    "unless\n"
    ".B \\-\\-yes\n"
    "is given.\n";

static const char after[] =
    ".SH EXIT STATUS\n"
    ".TP\n.B 0\ndone\n"
    ".TP\n.B 1\nfailed\n"
    ".TP\n.B 2\nwrong usage or invalid input\n"
    ".TP\n.B 3\nthe job, queue or stream was not found\n"
    ".TP\n.B 4\nno job was added, because one with that id exists or holds the deduplication "
    "id\n"
    ".SH ENVIRONMENT\n"
    ".TP\n.BR OX_REDIS_URL \", \" REDIS_URL\nthe server, when\n.B \\-\\-redis\nis not given\n"
    ".TP\n.BR OX_TLS_CA \", \" OX_TLS_CERT \", \" OX_TLS_KEY \", \" OX_TLS_NAME\n"
    "stand in for the options of the same names\n"
    ".TP\n.B NO_COLOR\nno colours, when it is set and not empty\n"
    ".SH FILES\n"
    ".TP\n.I .ox\nwhere\n.B ox dev\nkeeps the data and the log of its server\n"
    ".SH SEE ALSO\n"
    ".BR ox-worker (1),\n"
    ".BR redis-server (1)\n";

/* Plain text as roff: backslashes and dashes as such, no line that looks like a request. */
static void append_text(GString *to, const char *text)
{
    bool at_start = true;
    for (const char *p = text; *p; p++) {
        if (at_start && (*p == '.' || *p == '\'')) {
            g_string_append(to, "\\&");
        }
        at_start = *p == '\n';
        if (*p == '\\') {
            g_string_append(to, "\\e");
        } else if (*p == '-') {
            g_string_append(to, "\\-");
        } else {
            g_string_append_c(to, *p);
        }
    }
}

/* Paragraphs stand between empty lines. */
static void append_paragraphs(GString *to, const char *text)
{
    g_auto(GStrv) paragraphs = g_strsplit(text, "\n\n", -1);
    for (char **paragraph = paragraphs; *paragraph != NULL; paragraph++) {
        g_autofree char *wrapped = ox__wrap(*paragraph, 0, 90);
        g_string_append(to, ".PP\n");
        append_text(to, wrapped);
        g_string_append_c(to, '\n');
    }
}

static void append_options(GString *to, const struct opt *opts)
{
    for (const struct opt *opt = opts; opt != NULL && opt->name != NULL; opt++) {
        g_autofree char *name = ox__option_usage(opt);
        g_autofree char *help = ox__option_help(opt);
        g_autofree char *wrapped = ox__wrap(help, 0, 90);
        g_string_append(to, ".TP\n.B ");
        append_text(to, name);
        g_string_append_c(to, '\n');
        append_text(to, wrapped);
        g_string_append_c(to, '\n');
    }
}

static void append_example(GString *to, const char *example)
{
    g_string_append(to, ".PP\n.nf\n");
    append_text(to, example);
    g_string_append(to, "\n.fi\n");
}

static void append_verb(GString *to, const struct cmd *cmd)
{
    g_autofree char *usage = g_strdup_printf("ox %s%s%s%s", cmd->name, *cmd->usage ? " " : "",
        cmd->usage, cmd->opts != NULL || cmd->more != NULL ? " [OPTIONS]" : "");
    g_string_append(to, ".SS ");
    append_text(to, usage);
    g_string_append_c(to, '\n');
    append_paragraphs(to, cmd->help);
    append_options(to, cmd->opts);
    append_options(to, cmd->more);
    if (cmd->example != NULL) {
        append_example(to, cmd->example);
    }
}

char *man_page(void)
{
    GString *page = g_string_new(before);
    g_string_append(page, ".SH OPTIONS OF EVERY VERB\n");
    append_options(page, global_opts);
    g_string_append(page, ".SH VERBS\n");
    for (const struct cmd *const *cmd = cmds; *cmd != NULL; cmd++) {
        append_verb(page, *cmd);
    }
    g_string_append(page, after);
    return g_string_free(page, FALSE);
}
