/*
 * follow.h - staying with a job until it has ended.
 */
#ifndef OX_CLI_FOLLOW_H
#define OX_CLI_FOLLOW_H

#include "server.h"

/* How a job ended. Strings are heap; free with ending_done(). */
struct ending {
    int state;    /* OX_COMPLETED or OX_FAILED */
    char *value;  /* completed: JSON text */
    char *reason; /* failed */
};

/* Called about twice a second while the job has not ended, with the job as it is then. */
typedef void follow_fn(void *arg, const ox_job *job, int state);

/*
 * Waits until the job has ended.
 * @param events      of the job's queue, opened before the job was added or first looked at:
 *                    then not even a job that is removed at its end is missed
 * @param timeout_ms  0: for ever
 * @param tick        may be NULL
 * @return 0, OX_ETIMEOUT, OX_ENOTFOUND when the job was removed, or another error
 */
int follow_job(ox_queue *queue, ox_events *events, const char *id, int64_t timeout_ms,
    follow_fn *tick, void *arg, struct ending *ending, ox_error *err);
void ending_done(struct ending *ending);

#endif /* OX_CLI_FOLLOW_H */
