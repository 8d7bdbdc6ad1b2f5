/*
 * streams.h - what the verbs on streams share: places in a stream, and names that do not exist.
 */
#ifndef OX_CLI_STREAMS_H
#define OX_CLI_STREAMS_H

#include "cmd.h"

/* When the event of a position was published, Unix ms; 0: there is none. */
int64_t stream_time(const char *position);

/* Reads a place as people write it: "10m" is ten minutes ago by the server's clock, and a time
 * is one in ISO 8601; the rest is for the library. `place`, which the run owns, is NULL when
 * `text` is. `what` names it in messages. Returns an enum status; reports failures. */
int stream_place(struct run *run, const char *what, const char *text, const char **place);

/* Which events of a stream a verb reads, as its options say it. */
struct stream_part {
    const char *from, *to, *type, *subject;
};

/* The option rows of these verbs; `type_` has a struct stream_part `part`. `from_default` ends
 * the help of --from, `to_help` is that of --to. */
#define PART_TEXT(type_, name_, field, arg_, help_)                                            \
    {                                                                                          \
        .name = (name_), .kind = OPT_TEXT, .offset = offsetof(type_, part.field),              \
        .arg = (arg_), .help = help_                                                           \
    }
#define PART_ROWS(type_, from_default, to_help)                                                \
    PART_TEXT(type_, "from", from, "PLACE",                                                    \
        "start: with the oldest event; 10m: those of the last ten minutes; "                   \
        "2026-01-31T12:00:00Z: those since; a position: those after it. " from_default),       \
        PART_TEXT(type_, "to", to, "PLACE", to_help),                                          \
        PART_TEXT(                                                                             \
            type_, "type", type, "PATTERN", "only events whose types match, such as 'car.*'"), \
        PART_TEXT(type_, "subject", subject, "TEXT", "only events of that subject")

/* Reads its places, as stream_place(). The texts of `options` are borrowed from `part` and the
 * run. */
int stream_part_read(struct run *run, const struct stream_part *part, ox_tail_options *options);

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
