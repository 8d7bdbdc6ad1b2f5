/*
 * task.h - a job that runs here: its memory and its getters.
 *
 * A task is the program's from the moment its callback is called until one of the ox_task_
 * calls ends it.
 *
 * Jobs of a queue mostly have the same options, letter by letter, so the text that was parsed
 * last is kept with the result, and shared by the tasks that have it.
 */
#ifndef OX_LIB_TASK_H
#define OX_LIB_TASK_H

#include "engine/run.h"
#include "queue/options.h"

#define OX__KIND_WAITS 'p' /* not one of end_jobs: it waits for its children */

#define OX__TASK_TOKEN_MAX (OX__TOKEN_MAX + 80)

/* The options of jobs, read once for all jobs that have the same text. */
struct ox__run_options {
    size_t refs;
    struct ox__options options;
    bool readable;
    size_t len;
    char text[];
};

/* Whether complete_jobs can end a run, and what it then keeps. */
enum ox__plain { OX__NOT_PLAIN, OX__PLAIN_KEPT, OX__PLAIN_DROPPED };

/* How a run ended, until the server has answered. */
struct ox__task_end {
    enum ox__plain plain;
    bool parent;  /* the job may have one */
    int unrun;    /* enum ox_unrun; 0: the program was called */
    char kind;    /* see lua/end_jobs.lua */
    char *reason; /* of a failure, for run_ended; may be NULL */
};

struct ox_task {
    struct ox__run run; /* first */
    ox_worker *worker;
    ox_job *job;
    struct ox__run_options *stored; /* its options; NULL until it has its fields */
    bool unread;                /* its job was to be read apart, and was not: it never began */
    bool at_now;                /* it starts then even if it was made in the future */
    bool again;                 /* it was started or tried before */
    bool ahead;                 /* it was made in the future, by the server's clock */
    bool late;                  /* what names this run is written with its lock */
    int64_t started_ms, starts; /* its processedOn and ats: they name this run */
    uint64_t taken;             /* as which one of its worker; 0: it was not begun */
    struct ox__task_end end;
    struct {          /* for its children */
        bool doubted; /* whether it waits is not known, see claim.h */
        void (*go_on)(ox_task *task, void *arg);
        void *arg;
    } wait;
    void *data;            /* the user's */
    struct ox__talk *talk; /* NULL until its first update; see say.h */
};

/* Tasks to use again. */
struct ox__task_pool {
    struct ox__run *spare; /* a list by `next` */
    struct ox__run_options *last;
};

static inline struct ox_task *ox__task_of(struct ox__run *run)
{
    return (struct ox_task *)run;
}

static inline const struct ox_task *ox__task_of_const(const struct ox__run *run)
{
    return (const struct ox_task *)run;
}

void ox__task_pool_done(struct ox__task_pool *pool);
/* A task for a job, which is copied; `field` is NULL while nothing of it is known but its id.
 * NULL when memory is out. */
struct ox_task *ox__task_new(struct ox__task_pool *pool, ox_worker *worker,
    const struct ox__field *id, const struct ox__field field[OX_FIELD_COUNT]);
/* Gives it the fields of its job, copied. Those that are large stay where they are, in a reply
 * that was kept, which it takes over (NULL: all are copied). False when out of memory. */
bool ox__task_fill(struct ox__task_pool *pool, struct ox_task *task,
    const struct ox__field field[OX_FIELD_COUNT], redisReply **kept);
/* The token of its run as scripts are told it: with more, as long as it has no lock, see
 * lua/inc/open_run.lua. */
void ox__task_token(char token[OX__TASK_TOKEN_MAX], const struct ox_task *task);
/* Puts another job in the place of the one that it has. */
void ox__task_set_job(struct ox_task *task, ox_job *job);
void ox__task_free(struct ox__task_pool *pool, struct ox_task *task);

#endif /* OX_LIB_TASK_H */
