/*
 * handler.h - what a handler is: one row that knows how to run one kind of job.
 *
 * Handlers run in child processes only, one job at a time, so they may block, use global
 * state of their libraries and even crash; the parent never runs one, and is not linked with
 * what they need. A handler returns what became of the job; the text it leaves in `out` is
 * the return value (JSON) on success and the reason on failure.
 *
 * Adding a handler is one file under handlers/ and one row in handlers.c. One that needs a
 * heavy library is a program of its own, ox-handler-NAME, with its table in NAME_main.c (see
 * serve.h). Its options are rows: ox-worker takes them, shows them in --help and hands them on
 * without knowing what they mean.
 */
#ifndef OX_WORKER_HANDLER_H
#define OX_WORKER_HANDLER_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/options.h"
#include "base/tls_options.h"
#include "failure.h"

enum handler_result {
    HANDLER_DONE,  /* `out` is JSON, or empty for null */
    HANDLER_RETRY, /* failed, may work later: the job's attempts decide. `out` is the reason */
    HANDLER_FATAL  /* failed for good: no further attempt. `out` is the reason */
};

/* The server of the worker, for handlers that write to it themselves. */
struct handler_server {
    const char *redis, *prefix;
    struct ox__tls_given tls;
};

/* Settings of one handler as the operator gave them. Borrowed. */
struct handler_config {
    const char *arg; /* what follows the ':' in QUEUE=HANDLER:ARG, or NULL; see `argument` */
    const void *options;                 /* the struct that the handler's rows fill */
    int64_t memory_bytes;                /* that its processes may hold; 0: any */
    const char *stream;                  /* whose batches it runs; NULL: it runs jobs */
    const struct handler_server *server; /* of a handler that uses it */
};

/* The job, borrowed for the time of the run. Texts end in NUL; a name may hold NULs as well.
 *
 * A batch of events is run like a job: the queue is its stream, the id the position of its
 * first event, the name its group, the data the text of batch.h. What is returned for it has no
 * use but to name events that failed, as batch.h says; rows go to the log of ox-worker. */
struct handler_job {
    const char *queue, *id, *name;
    const char *data; /* JSON text */
    size_t name_len, data_len;
    size_t events;        /* in the batch; 0: it is a job */
    uint32_t attempt;     /* from 1 */
    int64_t deadline_ms;  /* Unix time when the run is killed if it has not ended; 0: never */
    int64_t timestamp_ms; /* Unix time when the job was added; 0: unknown */
};

/* What a handler may say while it runs. Texts are copied. */
struct handler_io {
    void (*progress)(void *arg, const char *json);
    void (*log)(void *arg, const char *row);
    /* If the run fails, the next attempt is not before so many ms from its end, nor before the
     * job's backoff is over. The last call counts. */
    void (*retry_after)(void *arg, int64_t ms);
    /* If the run fails, that is not a failure of the job's own but of this kind; one of those
     * that failure.h lets handlers say. */
    void (*failure)(void *arg, enum failure kind);
    void *arg;
};

/* A variable of the environment that holds a secret for a handler. Its children get it in a way
 * that no other process sees; children of other handlers, and their programs, do not get it. */
struct handler_secret {
    const char *variable;
    const char *option; /* with this option the variable is not read; NULL: it always is */
};

struct sandbox_needs;

/* What a handler can run. */
enum handler_runs { HANDLER_RUNS_JOBS, HANDLER_RUNS_BATCHES, HANDLER_RUNS_BOTH };

struct handler {
    const char *name;
    enum handler_runs runs; /* jobs, unless it says otherwise */
    const char *summary;    /* one line for --help */
    const char *argument;   /* what may follow the ':' in QUEUE=HANDLER:ARG; NULL: nothing */
    const struct opt *opts; /* ended by a row without name; NULL: none */
    size_t options_size;    /* bytes of the struct that they fill */
    const struct handler_secret *secrets; /* ended by a row without variable; NULL: none */
    bool uses_server;                     /* it is told the server of the worker */
    bool starts_programs;  /* what these leave running when a job ends is killed */
    int64_t memory_bytes;  /* what its processes may hold, unless told otherwise; 0: any */
    bool bounded_space;    /* nor more address space than twice that and 512 MB */
    int64_t max_processes; /* how many there may be, unless told otherwise; 0: any */
    const char *rlimit;    /* rlimits.h, unless told otherwise; NULL: none */
    /* Checks the settings and prepares the process; called once in each child, and once with
     * `check_only`, in a process of its own, before anything starts. False leaves a message
     * in *problem, which the caller frees (g_free). May be NULL. */
    bool (*init)(const struct handler_config *config, bool check_only, char **problem);
    enum handler_result (*run)(const struct handler_job *job,
        const struct handler_config *config, const struct handler_io *io, GString *out);
    /* What of the system it needs, by its settings alone (see sandbox.h); called before init(),
     * and the rest is taken away before init() as well. NULL: everything. */
    void (*needs)(const struct handler_config *config, struct sandbox_needs *out);
    /* A process that it keeps for the next job, with what that one started; 0: none. May be
     * NULL. */
    pid_t (*keeps)(void);
    /* No job will follow. May be NULL. */
    void (*done)(void);
};

/* Those of one program, ended by NULL. */
extern const struct handler *const handlers[];

#endif /* OX_WORKER_HANDLER_H */
