/*
 * settings.h - what the operator asked for.
 *
 * Parsed once, checked as a whole, never changed: all other parts borrow it.
 */
#ifndef OX_WORKER_SETTINGS_H
#define OX_WORKER_SETTINGS_H

#include <ox.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/tls_options.h"
#include "base/units.h"

typedef struct _GStringChunk GStringChunk;

struct queue_settings {
    const char *queue;
    const char *handler;
    const char *arg;       /* of the handler, or NULL */
    char **options;        /* of the handler, "--name=value", ended by NULL; NULL: none */
    int64_t concurrency;   /* jobs at once */
    int64_t timeout_ms;    /* for one job; 0: none */
    int64_t recycle;       /* jobs after which a child is replaced; 0: never */
    struct ox__rate limit; /* starts over all workers */
};

struct settings {
    const char *redis;  /* the URL, with its password */
    bool redis_exposed; /* it was read from a file that every user may read */
    struct ox__tls_given tls;
    const char *prefix, *name;
    char *handler_program; /* path of ox-handler */
    int64_t grace_ms, lock_ms;
    int64_t sweep_ms;      /* how often stalled jobs are looked for; 0: twice in a lock time */
    int64_t max_stalled;   /* stalls before a job fails; -1: any number */
    int64_t on_disconnect; /* enum ox_on_disconnect */
    int64_t metrics;       /* minutes of finished jobs per minute to keep; 0: none */
    int64_t batch, calls;  /* jobs in one script call; calls in flight */
    int64_t events;        /* 0: on, 1: off */
    bool legacy_pause;
    ox_keep remove_on_complete, remove_on_fail; /* for jobs that say nothing themselves */
    int64_t log_format, log_level;              /* enums of log.h */
    struct queue_settings each;                 /* what all queues of a command line share */
    struct queue_settings *queues;
    size_t queue_count;
    GStringChunk *strings; /* owns the texts above */
};

enum settings_outcome {
    SETTINGS_RUN,
    SETTINGS_DONE, /* --help or --version: all is said */
    SETTINGS_WRONG /* *problem says what */
};

/* Reads the command line (ended by NULL) and the environment. Free `out` in any case. */
enum settings_outcome settings_parse(struct settings *out, char **argv, char **problem);
void settings_done(struct settings *settings);

/* The words that start a child for a queue (g_strfreev), whose parent is `parent_pid`. */
char **settings_child_argv(const struct queue_settings *queue, int parent_pid);
/* The environment of children (g_strfreev): ours without what is about Redis. */
char **settings_child_env(void);

/* The URL as it may be shown (g_free): its password is "***". */
char *settings_redact(const char *url);

/* Logs them; see settings_log.c. */
void settings_log(const struct settings *settings);

#endif /* OX_WORKER_SETTINGS_H */
