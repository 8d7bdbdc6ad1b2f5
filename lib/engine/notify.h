/*
 * notify.h - what a worker tells its program of the jobs: how a run ended once the server has
 * said so, and what went wrong.
 */
#ifndef OX_LIB_NOTIFY_H
#define OX_LIB_NOTIFY_H

#include "engine/jobs.h"

void ox__notify_error(ox_worker *worker, const char *job_id, const ox_error *err);
/* Notes how a run ends, for the time when the server has said that it did. */
void ox__notify_note_end(struct ox_task *task, char kind, const char *reason, size_t len);
/* Tells of the end of a run, once: stored, or not because of `err`. */
void ox__notify_end(struct ox_task *task, const ox_error *err);

#endif /* OX_LIB_NOTIFY_H */
