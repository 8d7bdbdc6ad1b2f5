/* watch.h - reports states, progress and log rows of a job that is waited for. */
#ifndef OX_LIB_QUEUE_WATCH_H
#define OX_LIB_QUEUE_WATCH_H

#include "queue/queue.h"

/* What was reported so far, so that only changes are reported. */
struct ox__watch {
    ox_queue *queue;
    const char *id;
    ox_job_update_fn *update; /* NULL: every call below does nothing */
    void *arg;
    int64_t clock_ms; /* the server's clock less the steady one */
    int64_t since_ms; /* of the first look, which covers earlier events */
    int state;        /* -1: none yet */
    char *progress;   /* NULL: none yet */
    int64_t log_total;
    int64_t logs_ms; /* steady clock: when log rows were last asked for */
    /* Seen at the last look and not reported yet, since an event may follow: else -1 and NULL
     */
    int seen_state;
    char *seen_progress;
    int64_t seen_ms;
};

int ox__watch_init(struct ox__watch *watch, ox_queue *queue, const char *id,
    ox_job_update_fn *update, void *arg, ox_error *err);
void ox__watch_done(struct ox__watch *watch);

/* Reads the job, which had not finished a moment ago. */
int ox__watch_look(struct ox__watch *watch, ox_error *err);
/* An event of the job other than its finish. */
int ox__watch_event(struct ox__watch *watch, const ox_event *event, ox_error *err);
/* Asks for new log rows, at most every OX__LOGS_MS; `now` at once. */
void ox__watch_logs(struct ox__watch *watch, bool now);

#define OX__LOGS_MS 50

#endif /* OX_LIB_QUEUE_WATCH_H */
