/*
 * end.h - how the run of a job ends: well, badly, or to be taken up again.
 *
 * What becomes of a failed run is decided here, from the job's options (section 4.5 of the
 * layout): failed for good, tried again at once, or after a wait. Each end is written at once
 * as arguments of a script, straight into the buffer that the next call sends.
 */
#ifndef OX_LIB_END_H
#define OX_LIB_END_H

#include "engine/jobs.h"

/* Ends it badly, for what no further try can mend; the program does not see it. */
void ox__end_unrun(struct ox_task *task, const char *reason);
/* Ends one whose end was refused in another way, if there is one. */
bool ox__end_refused(struct ox_task *task);

#endif /* OX_LIB_END_H */
