/*
 * replay_command.h - events of a stream, given to a command in batches.
 */
#ifndef OX_CLI_REPLAY_COMMAND_H
#define OX_CLI_REPLAY_COMMAND_H

#include "cmd.h"
#include <signal.h>

struct replay_command {
    char **argv;      /* ended by NULL */
    int64_t batch;    /* events a run */
    int64_t rate;     /* events a second; 0: any number */
    const char *from; /* as it was typed, for messages */
    const volatile sig_atomic_t *interrupted;
};

/* Runs the command once for each batch of the events of `part`, which has an end: an event a
 * line on its stdin. Returns an enum status; reports what came of it. */
int replay_to_command(struct run *run, ox_stream *stream, const ox_tail_options *part,
    const struct replay_command *command);

#endif /* OX_CLI_REPLAY_COMMAND_H */
