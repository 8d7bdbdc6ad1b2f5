/*
 * notify.h - calls the program's callbacks: how a run ended, once that is stored, and errors.
 */
#ifndef OX_LIB_NOTIFY_H
#define OX_LIB_NOTIFY_H

#include "engine/jobs.h"

void ox__notify_error(ox_worker *worker, const char *job_id, const ox_error *err);
/* Records how a run ends, to be reported when that is stored. */
void ox__notify_note_end(struct ox_task *task, char kind, const char *reason, size_t len);
/* Reports the end of a run, once: stored, or not because of `err`. */
void ox__notify_end(struct ox_task *task, const ox_error *err);

#endif /* OX_LIB_NOTIFY_H */
