/*
 * ends.h - the ends of runs that no call has carried yet.
 *
 * The outcome of a run is encoded at once as arguments of a call, into one buffer for all; each
 * call takes a batch off the front. So an end is encoded once, and copied once.
 */
#ifndef OX_LIB_ENDS_H
#define OX_LIB_ENDS_H

#include "engine/run.h"
#include "wire/op.h"

struct ox__ends {
    struct ox__run_list runs; /* whose ends are in `bytes` */
    struct ox__buf bytes;
    size_t at; /* bytes before it were sent */
};

void ox__ends_done(struct ox__ends *ends);

/* Begins the end of a run that is on no list. Its arguments are then written by
 * ox__ends_arg(), and counted there. */
void ox__ends_begin(struct ox__ends *ends, struct ox__run *run);
void ox__ends_arg(struct ox__ends *ends, struct ox__run *run, const char *text, size_t len);
/* What was written so far of the end is its head. */
void ox__ends_head(struct ox__ends *ends, struct ox__run *run);
/* Puts the run on the list. False when memory is out: then nothing of it stays. */
bool ox__ends_commit(struct ox__ends *ends, struct ox__run *run);

/* Writes an argument as the server wants it. */
void ox__ends_put(struct ox__buf *out, const char *text, size_t len);

/* Moves the first end into an operation, without its head if that stands there already, and its
 * run to `sent`. */
void ox__ends_move(
    struct ox__ends *ends, struct ox__op *op, bool without_head, struct ox__run_list *sent);
/* Drops what was moved, when that is worth it. */
void ox__ends_drop_sent(struct ox__ends *ends);

/* Sends the end again that is kept in the run, which is on no list. False when memory is out.
 */
bool ox__ends_again(struct ox__ends *ends, struct ox__run *run);

#endif /* OX_LIB_ENDS_H */
