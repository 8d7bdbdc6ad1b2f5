/*
 * end.h - ends the run of a job: completed, failed, retried, delayed or released.
 *
 * The outcome of a failed run is decided here, from the job's options: failed for good, retried
 * at once, or after its backoff. Each end is written at once as arguments of a script, straight
 * into the buffer that the next call sends.
 */
#ifndef OX_LIB_END_H
#define OX_LIB_END_H

#include "engine/jobs.h"

/* Fails it for good, without the program. */
void ox__end_unrun(struct ox_task *task, enum ox_unrun why, const char *reason);
/* Ends one whose job is gone, or drops it when its job cannot be read, before it began. */
void ox__end_unread(ox_worker *worker, struct ox_task *task, const ox_error *err);
/* Ends a run whose end was refused in another way, if there is one. */
bool ox__end_refused(struct ox_task *task);

#endif /* OX_LIB_END_H */
