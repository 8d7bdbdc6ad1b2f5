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

#include "log.h"

struct queue_settings {
    char *queue;
    char *handler;
    char *arg;            /* of the handler, or NULL */
    uint32_t concurrency; /* jobs at once */
    uint32_t timeout_ms;  /* for one job; 0: none */
    uint32_t recycle;     /* jobs after which a child is replaced; 0: never */
    uint32_t limiter_max; /* starts in a window of; 0: no limit */
    uint32_t limiter_duration_ms;
    char *root; /* absolute, or NULL */
    uint64_t max_pixels, max_bytes;
};

struct settings {
    char *redis;        /* the URL, with its password */
    bool redis_exposed; /* it was read from a file that every user may read */
    char *prefix, *name;
    char *handler_program; /* path of ox-handler */
    uint32_t grace_ms, lock_ms;
    uint32_t sweep_ms;     /* how often stalled jobs are looked for; 0: twice in a lease */
    int32_t max_stalled;   /* stalls before a job fails; -1: any number */
    int on_disconnect;     /* enum ox_on_disconnect */
    uint32_t metrics;      /* minutes of finished jobs per minute to keep; 0: none */
    uint32_t batch, calls; /* jobs in one script call; calls in flight */
    bool no_events, legacy_pause;
    ox_keep remove_on_complete, remove_on_fail; /* for jobs that say nothing themselves */
    enum log_format log_format;
    enum log_level log_level;
    struct queue_settings *queues;
    size_t queue_count;
};

enum settings_outcome {
    SETTINGS_RUN,
    SETTINGS_DONE, /* --help or --version: all is said */
    SETTINGS_WRONG /* *problem says what */
};

/* Reads the command line and the environment. Free `out` in any case. */
enum settings_outcome settings_parse(
    struct settings *out, int argc, char **argv, char **problem);
void settings_done(struct settings *settings);

/* The words that start a child for a queue (g_strfreev), whose parent is `parent_pid`. */
char **settings_child_argv(const struct queue_settings *queue, int parent_pid);
/* The environment of children (g_strfreev): ours without what is about Redis. */
char **settings_child_env(void);

/* The URL as it may be shown (g_free): its password is "***". */
char *settings_redact(const char *url);

#endif /* OX_WORKER_SETTINGS_H */
