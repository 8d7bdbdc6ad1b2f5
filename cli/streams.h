/*
 * streams.h - what the verbs on streams share: places in a stream, and names that do not exist.
 */
#ifndef OX_CLI_STREAMS_H
#define OX_CLI_STREAMS_H

#include "cmd.h"

/* When the event of a position was published, Unix ms; 0: there is none. */
int64_t stream_time(const char *position);

/* Reads a place as people write it: "10m" is ten minutes ago by the server's clock, and a time
 * is one in ISO 8601; the rest is for the library. `place` (heap) is NULL when `text` is. `what` names it in messages. Returns
 * an enum status; reports failures. */
int stream_place(struct run *run, const char *what, const char *text, char **place);

/* The figures of a stream. One that does not exist is reported, with a name that is near. */
int stream_info(struct run *run, ox_stream *stream, ox_stream_info *info);

/* A group of a stream, borrowed from `groups`, all of them. One that does not exist is
 * reported, with a name that is near. */
int stream_group(struct run *run, ox_stream *stream, const char *name, ox_group_info ***groups,
    const ox_group_info **group);

/* Connect and make a stream, freed by the caller. One that does not exist, or has no group
 * `group`, is reported. */
int stream_open(struct run *run, const char *name, ox_stream **stream);
int stream_open_group(struct run *run, const char *name, const char *group, ox_stream **stream);

#endif /* OX_CLI_STREAMS_H */
