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

/* Who wants to know more than the end. All are called while the job has not ended. */
struct watcher {
    /* About twice a second, with the job as it is then. Events of before may still come. */
    void (*looked)(void *arg, const ox_job *job, int state);
    /* For each event of the job but its end, in order. */
    void (*event)(void *arg, const ox_event *event);
    /* About ten times a second: for what has no events. */
    void (*pulse)(void *arg);
    void *arg;
};

/*
 * Waits until the job has ended.
 * @param events      of the job's queue, opened before the job was added or first looked at:
 *                    then not even a job that is removed at its end is missed
 * @param known       the job is known to have been there, so one that is not there has ended or
 *                    was removed
 * @param timeout_ms  0: for ever
 * @param watcher     may be NULL
 * @return 0, OX_ETIMEOUT, OX_ENOTFOUND when the job was removed or never was there, OX_ESTATE
 *         when it is gone and no event tells how, or another error
 */
int follow_job(ox_queue *queue, ox_events *events, const char *id, bool known,
    int64_t timeout_ms, const struct watcher *watcher, struct ending *ending, ox_error *err);
void ending_done(struct ending *ending);

#endif /* OX_CLI_FOLLOW_H */
