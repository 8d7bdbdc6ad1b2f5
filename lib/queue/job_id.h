/*
 * job_id.h - which ids a job may have: those that would name other keys of the queue are
 * refused before anything is sent, because BullMQ's scripts do not check that.
 */
#ifndef OX_LIB_JOB_ID_H
#define OX_LIB_JOB_ID_H

#include <ox.h>

/* 0, or OX_EINVAL when the layout or BullMQ's clients forbid the id (section 2.2). */
int ox__job_id_check(const char *id, ox_error *err);
/* False when no job of any client can have that id, because it names another key of the queue:
 * "meta", "1:logs", "de:x". */
bool ox__job_id_possible(const char *id);

#endif /* OX_LIB_JOB_ID_H */
