/*
 * help.h - what --help prints, made from the rows of verbs and options.
 */
#ifndef OX_CLI_HELP_H
#define OX_CLI_HELP_H

#include "cmd.h"
#include <stdio.h>

/* All verbs with their summaries. */
void help_all(FILE *to, const struct out *out);
/* The verbs whose names begin with the word `family` ("schedule"). */
void help_family(FILE *to, const char *family);
/* One verb: usage, arguments, options. Returns STATUS_DONE. */
int help_verb(FILE *to, const struct cmd *cmd, const struct out *out);

/* How an option is written: "-y, --yes", "--delay DURATION", "--wait[=TIMEOUT]". Heap. */
char *help_option(const struct opt *opt);
/* Breaks text into lines of at most `width` columns, each but the first behind `indent`
 * spaces. Line breaks in the text stay. Heap. */
char *help_wrap(const char *text, int indent, int width);

#endif /* OX_CLI_HELP_H */
