/*
 * begin.h - how the run of a job begins: a job of a scheduler makes the one after it, data that
 * is not JSON is repaired or refused; and how it waits for its children.
 */
#ifndef OX_LIB_BEGIN_H
#define OX_LIB_BEGIN_H

#include "engine/jobs.h"

/* A task that was just taken. */
void ox__begin(struct ox_task *task);
/* What the server said, an enum ox__verdict or a refusal, of a run whose lock was in doubt. */
void ox__begin_claimed(struct ox_task *task, int64_t verdict);

#endif /* OX_LIB_BEGIN_H */
