/* job_in.h - jobs that are to be added; shared by plain adds, schedulers and flows. */
#ifndef OX_LIB_JOB_IN_H
#define OX_LIB_JOB_IN_H

#include "queue/options.h"
#include "wire/op.h"

/* A checked job, in the form of the scripts' arguments. */
struct ox__job_in {
    const char *name, *data; /* borrowed from the caller */
    size_t data_len;
    struct ox__options options;
    struct ox__buf opts;       /* the stored form of the options */
    struct ox__buf parent;     /* JSON for the hash, or empty */
    struct ox__buf parent_key; /* or empty */
};

/* Checks name, data and options. */
int ox__job_in_init(struct ox__job_in *in, const ox_new_job *job, ox_error *err);
void ox__job_in_done(struct ox__job_in *in);
/* True when add_plain can take it. */
bool ox__job_in_plain(const struct ox__job_in *in);
/* Appends the job as repeated arguments of add_jobs. `kind`: letters beyond those that the
 * options give, OX__ADD_WAITS and OX__ADD_FLOW. `id`: NULL for the options' own. */
void ox__job_in_put(
    struct ox__op *op, const struct ox__job_in *in, const char *kind, const char *id);

/* The reply of add_jobs for one job: an enum ox_added with the id in *id, borrowed from the
 * reply; or NULL with an error, of which `err` says that it was in `queue` and, unless NULL, of
 * the job `job`. */
int ox__job_in_answer(const redisReply *reply, const char *queue, const char *job,
    const char **id, ox_error *err);

#endif /* OX_LIB_JOB_IN_H */
