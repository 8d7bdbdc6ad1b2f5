/*
 * origin.h - the event that a job was made of.
 */
#ifndef OX_CLI_ORIGIN_H
#define OX_CLI_ORIGIN_H

#include "cmd.h"

struct origin {
    char *type, *source, *id;        /* heap; NULL: unknown */
    char *stream;                    /* heap; NULL: no log has it any more */
    char position[OX_POSITION_SIZE]; /* in that stream, or "" */
};

/* Reads the event of a job, and looks for it in the logs of all streams under the prefix.
 * Returns 1, 0 for a job that no event made, or an OX_E... code. Free it in any case. */
int origin_find(const struct run *run, const ox_job *job, struct origin *origin, ox_error *err);
void origin_done(struct origin *origin);

#endif /* OX_CLI_ORIGIN_H */
