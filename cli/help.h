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

#endif /* OX_CLI_HELP_H */
