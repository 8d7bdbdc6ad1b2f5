/*
 * end_args.h - the arguments of the scripts that end runs, for whoever does: the worker that
 * runs the job, or a program that cancels it.
 */
#ifndef OX_LIB_QUEUE_END_ARGS_H
#define OX_LIB_QUEUE_END_ARGS_H

#include "queue/job.h"
#include "wire/op.h"

/* What take_jobs, end_jobs and complete_jobs share: the take, or, with zeros but for the time
 * and the lock, none. */
struct ox__take_args {
    int64_t now_ms; /* server's clock */
    int error_ms;   /* how far that may be off; -1: the server has to look */
    uint32_t want;
    int64_t lock_ms;   /* 0: no lock yet; -1: nor the fields of the start */
    const char *token; /* of the runs that are taken */
    const char *name;  /* the worker's, or NULL */
    uint32_t limit_max;
    int64_t limit_ms;
    const char *popped; /* whether a marker was, before: "0", "1" or "?" */
    bool look;          /* for what is due by now */
    bool apart;         /* the worker reads the jobs itself */
};

/* The zeros of text are NULL: "" and "0". */
void ox__put_take_args(struct ox__op *op, const struct ox__take_args *take);

/* The outcome of a job; see lua/end_jobs.lua. */
struct ox__job_end {
    char kind;
    const char *value;
    size_t value_len;
    const char *keep;
    const char *stack; /* for all kinds but OX__END_COMPLETED */
    int64_t number;
    const char *telemetry; /* NULL: none */
};

/* Where in the arguments of a run the job's id is: behind those that runs may share. */
#define OX__END_ID 3
#define OX__END_ARGS 8

/* The arguments of one run in end_jobs, in their order; they point into what they are made of,
 * and into this struct. */
struct ox__end_args {
    struct ox__field arg[OX__END_ARGS];
    size_t count;
    char number[24];
};

/* `token`: the one that the run was taken with. */
void ox__end_args(struct ox__end_args *out, const struct ox__job_end *end, const char *token,
    const struct ox__field *id);

#endif /* OX_LIB_QUEUE_END_ARGS_H */
