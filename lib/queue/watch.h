/* watch.h - what is new about a job that is waited for. */
#ifndef OX_LIB_QUEUE_WATCH_H
#define OX_LIB_QUEUE_WATCH_H

#include "queue/queue.h"

/* What was told so far, so that only news is told. */
struct ox__watch {
    ox_queue *queue;
    const char *id;
    ox_news_fn *tell; /* NULL: nothing is to be told, and every call below does nothing */
    void *arg;
    int64_t clock_ms; /* the server's clock less the steady one */
    int64_t since_ms; /* of the first look: events of before are in what it saw */
    int state;        /* -1: none yet */
    char *progress;   /* NULL: none yet */
    int64_t log_total;
    int64_t logs_ms; /* steady clock: when log rows were last asked for */
    /* Seen at the last look and not told, since an event may: -1 and NULL when there is none */
    int seen_state;
    char *seen_progress;
    int64_t seen_ms;
};

int ox__watch_init(struct ox__watch *watch, ox_queue *queue, const char *id, ox_news_fn *tell,
    void *arg, ox_error *err);
void ox__watch_done(struct ox__watch *watch);

/* Looks at the job, which had not ended a moment ago. */
int ox__watch_look(struct ox__watch *watch, ox_error *err);
/* An event of the job that is not its end. */
int ox__watch_event(struct ox__watch *watch, const ox_event *event, ox_error *err);
/* Asks for new log rows, at most every OX__LOGS_MS; `now` at once. */
void ox__watch_logs(struct ox__watch *watch, bool now);

#define OX__LOGS_MS 100

#endif /* OX_LIB_QUEUE_WATCH_H */
