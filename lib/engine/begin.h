/*
 * begin.h - starts the run of a job: a scheduler's job adds the next one, data that is not JSON
 * is repaired or refused; and its wait for children.
 */
#ifndef OX_LIB_BEGIN_H
#define OX_LIB_BEGIN_H

#include "engine/jobs.h"

/* A task that was just taken. */
void ox__begin(struct ox_task *task);
/* The server's verdict, an enum ox__verdict or a refusal, on a run whose lock was in doubt. */
void ox__begin_claimed(struct ox_task *task, int64_t verdict);

#endif /* OX_LIB_BEGIN_H */
