/*
 * data.h - JSON as it is given on the command line: the text itself, @FILE, or - for stdin.
 */
#ifndef OX_CLI_DATA_H
#define OX_CLI_DATA_H

#include "cmd.h"

/* Reads `spec` into *json (heap, trimmed, one valid JSON value). `what` names it in messages:
 * "data". Returns an enum status; reports failures. */
int data_read(struct run *run, const char *what, const char *spec, char **json);

/* Why a read failed; "it is closed" where ox was started without a stdin. */
const char *data_read_reason(int error);
/* Opens a file for reading, "-" or NULL for stdin. Returns an fd, or -1 after reporting why. */
int data_open(struct run *run, const char *path);
/* Reads a file (as data_open) to its end. *text is heap. Returns an enum status. */
int data_read_file(struct run *run, const char *path, GString **text);

#endif /* OX_CLI_DATA_H */
