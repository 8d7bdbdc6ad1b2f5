/*
 * settings.h - what the operator asked for: by the command line, the environment and a settings
 * file.
 *
 * Read as a whole, checked as a whole, never changed: all other parts borrow it or hold it.
 * When the file is read again, that makes new settings.
 *
 * A queue has one or more routes: which handler runs the jobs of which name. Each has children
 * of its own; how many jobs run at once is the queue's. A group of a stream is set up as a
 * queue with one route, whose jobs are batches of events.
 */
#ifndef OX_WORKER_SETTINGS_H
#define OX_WORKER_SETTINGS_H

#include <glib.h>
#include <ox.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/tls_options.h"
#include "base/units.h"
#include "log.h"

/* The name of a route that takes what no other one does. */
#define ANY_JOB "*"

struct route_settings {
    const char *queue; /* or the stream */
    const char *group; /* of the stream; NULL: its jobs are of a queue */
    struct log_place place;
    const char *job;               /* its name, or ANY_JOB */
    const struct settings *server; /* of a handler that uses it; else NULL */
    const char *origin; /* where it was given, for messages: "mail=exec", "ox.conf:12" */
    const char *handler;
    const char *arg;                     /* of the handler, or NULL */
    char **options;                      /* of the handler, "--name=value", ended by NULL */
    int64_t timeout_ms;                  /* for one job; 0: none */
    int64_t recycle;                     /* jobs after which a child is replaced; 0: never */
    int64_t memory_bytes, max_processes; /* of a child's processes; 0: any */
    int64_t recycle_bytes; /* memory above which a child is replaced after a job; 0: any */
    const char *rlimit;    /* rlimits.h, or NULL */
    int64_t sandbox;       /* the worker's */
    char **layers;         /* what holds and confines a child, "--name=value"; NULL-ended */
    bool in_namespace;     /* so does a PID namespace */
    const char *pass_env;  /* secrets of other handlers that its children get, "NAME,NAME" */
    char **secrets;        /* variables that its handler reads and others do not get.. */
    char **hidden;         /* ..and those of other handlers; NULL-ended */
};

/* How a group of a stream gets its batches. */
struct stream_settings {
    const char *group;             /* as the key of its section has it, or NULL */
    const char *from;              /* where the group begins if it is new */
    int64_t batch, batch_bytes;    /* events, and bytes of them, in a batch at most */
    int64_t wait_ms;               /* longest wait until a batch is full */
    int64_t attempts, max_started; /* runs of a batch; deliveries that nobody ended */
    ox_backoff backoff;
    bool ordered;
};

struct queue_settings {
    const char *queue;             /* or the stream */
    const char *group;             /* of the stream; NULL: it is a queue */
    struct stream_settings stream; /* with a group */
    int64_t concurrency;           /* jobs, or batches, at once */
    int64_t ahead;                 /* jobs that are taken before a child is free */
    struct ox__rate limit;         /* starts over all workers; of a queue */
    int64_t lock_after_ms; /* runs that last so long are locked then; 0: all, at their start */
    bool late_start;       /* the fields of the start are written with the lock */
    struct route_settings *routes;
    size_t route_count; /* at least 1 */
};

struct settings {
    const char *redis;  /* the URL, with its password */
    bool redis_exposed; /* it was read from a file that every user may read */
    bool file_exposed;  /* the settings file has a password and every user may read it */
    struct ox__tls_given tls;
    const char *prefix, *name;
    const char *file;            /* path of the settings file, or NULL */
    const char *handler_program; /* path of ox-handler */
    int64_t grace_ms, lock_ms;
    int64_t stalled_interval_ms; /* how often stalled jobs are looked for; 0: twice in a lock
                                    time */
    int64_t max_stalled;         /* stalls before a job fails; -1: any number */
    int64_t max_started;         /* starts that a job may have; -1: any number */
    int64_t on_disconnect;       /* enum ox_on_disconnect */
    int64_t metrics;             /* minutes of finished jobs per minute to keep; 0: none */
    int64_t batch, calls;        /* jobs in one script call; calls in flight */
    int64_t events;              /* 0: on, 1: off */
    int64_t sandbox;             /* enum sandbox_mode */
    bool legacy_pause;
    ox_keep remove_on_complete, remove_on_fail; /* for jobs that say nothing themselves */
    int64_t log_format, log_level;              /* enums of log.h */
    struct queue_settings *queues;
    size_t queue_count;
    GStringChunk *strings; /* owns the texts above */
};

enum settings_outcome {
    SETTINGS_RUN,
    SETTINGS_DONE,     /* --help, --version, --handlers or a good --check-config: all is said */
    SETTINGS_WRONG,    /* `faults` say what */
    SETTINGS_UNCHECKED /* `faults` say what kept them from being checked, which may pass */
};

/* Reads the command line (ended by NULL), the environment and the settings file. Blocks: the
 * handlers check their settings, in processes of their own. From any thread.
 * @param out     settings_unref() in any case
 * @param faults  g_free each: all that is wrong, a sentence each */
enum settings_outcome settings_parse(struct settings **out, char **argv, GPtrArray *faults);
struct settings *settings_ref(struct settings *settings);
void settings_unref(struct settings *settings);

/* The time between stalled checks. */
int64_t settings_stalled_interval_ms(const struct settings *settings);
/* The queue of that name, or that group of the stream (NULL: a queue); or NULL. */
const struct queue_settings *settings_queue(
    const struct settings *settings, const char *queue, const char *group);
/* The queue's route for jobs of that name, or NULL. */
const struct route_settings *settings_route(
    const struct queue_settings *queue, const char *job);
/* Whether a child of the one is started as one of the other is, but for the queue's name. */
bool settings_same_child(const struct route_settings *a, const struct route_settings *b);
/* Whether a group of a stream is served alike. */
bool settings_same_stream(const struct stream_settings *a, const struct stream_settings *b);
/* Puts back what cannot change while the worker runs. Names of the options that were to change:
 * "redis, prefix"; NULL (else g_free) when there are none. */
char *settings_keep_fixed(struct settings *settings, const struct settings *before);

/* The words that start a child for a route (g_strfreev), whose parent is `parent_pid`; 0: those
 * that check its settings. */
char **settings_child_argv(const struct route_settings *route, int parent_pid);
/* What only the child is to see (g_strfreev; private_words.h): the argument and options of its
 * handler, and its secret variables. */
char **settings_private_words(const struct route_settings *route);
/* The environment of the child (g_strfreev): ours without what is meant for ox-worker, and
 * without secrets of handlers. */
char **settings_child_env(const struct route_settings *route);

/* The URL as it may be shown (g_free): its password is "***". */
char *settings_redact(const char *url);
/* The value of an option of a handler as it may be shown (g_free). */
char *settings_shown(const char *name, const char *value);

/* Logs them; see settings_log.c. */
void settings_log(const struct settings *settings);

#endif /* OX_WORKER_SETTINGS_H */
