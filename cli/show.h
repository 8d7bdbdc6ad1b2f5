/*
 * show.h - formats of a stored job.
 */
#ifndef OX_CLI_SHOW_H
#define OX_CLI_SHOW_H

#include "cmd.h"
#include "json.h"

/* A job's name, "" for none. Heap. */
char *show_name(const ox_job *job);
/* The other stored fields as an object, named as BullMQ names them. Heap. */
char *show_stored(const ox_job *job);
/* Prints id, name, state and these fields as "name<TAB>value" lines. */
void show_lines(const ox_job *job, int state);

/* The point in time that matters most in that state; 0: unknown. */
int64_t show_time_ms(const ox_job *job, int state);
/* "1/3": attempts made and allowed. On a terminal, attempts beyond these by ox retry: "3/3+1".
 * Heap. */
char *show_tries(const ox_job *job, bool for_people);
/* The same in words: "1 of 3", `noun` (" attempts", or ""), and those added by ox retry. Heap.
 */
char *show_attempts(const ox_job *job, int state, const char *noun);
/* A field that holds JSON, in one line, unchanged when it is not JSON; at most `limit_bytes`
 * are read (0: all). Heap. */
char *show_flat(const ox_job *job, enum ox_field field, size_t limit_bytes);

#endif /* OX_CLI_SHOW_H */
