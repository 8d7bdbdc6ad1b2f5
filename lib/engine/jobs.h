/*
 * jobs.h - a worker of a queue's jobs: an engine, and the program's options. Shared by the
 * files for the run of a job: begin.h, say.h, end.h, notify.h. worker.c makes it.
 */
#ifndef OX_LIB_JOBS_H
#define OX_LIB_JOBS_H

#include "engine/engine.h"
#include "engine/jobs_backend.h"

struct ox_worker {
    struct ox__engine engine;
    struct ox__jobs jobs; /* of its backend */
    struct ox__queue_at at;
    ox_worker_options options;
    char *name;
    ox_process_fn *process;
    void *arg;      /* the program's */
    char *released; /* id of the job that was released last, of those taken latest; or NULL */
    uint64_t released_taken; /* its task's `taken` */
    uint64_t taken;          /* tasks begun so far */
    void (*closed)(void *arg);
    void *closed_arg;
};

#endif /* OX_LIB_JOBS_H */
