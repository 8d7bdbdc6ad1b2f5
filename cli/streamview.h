/*
 * streamview.h - prints one stream with its settings and groups.
 */
#ifndef OX_CLI_STREAMVIEW_H
#define OX_CLI_STREAMVIEW_H

#include "cmd.h"

/* Prints what is in the stream and what it keeps, and on a terminal its groups. Returns an enum
 * status; reports failures, also that it does not exist. */
int streamview_print(struct run *run, ox_stream *stream);

#endif /* OX_CLI_STREAMVIEW_H */
