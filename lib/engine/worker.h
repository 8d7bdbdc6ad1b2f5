/*
 * worker.h - what the files of the worker share.
 *
 * worker.c  the worker as a whole: options, connections, closing
 * calls.c   script calls: what ends in them, what they take
 * tasks.c   the memory of tasks
 * task.c    one job: how its run begins
 * say.c     what it says while it runs
 * end.c     how its run ends
 * idle.c    sleeping on an empty queue and waking
 * locks.c   locks of running jobs
 * stalled.c stalled jobs, and jobs that are in no state
 * claim.c   locks that ran out, ends of which it is not known whether they are stored
 * recover.c takes whose reply was lost (lost_takes.c: their tokens)
 * backend.h how the server is asked about runs: jobs_backend.c
 * notify.c  what the program is told of them
 *
 * A task is the user's from the moment its callback is called until one of the ox_task_ calls
 * ends it. Its end is then written, as script arguments, into `ends.bytes`, and goes out with
 * the next call; the call holds the task until Redis has answered. A slot is taken by a running
 * task and by every job that a call in flight has asked for, so there never run more jobs here
 * than `concurrency`.
 */
#ifndef OX_LIB_WORKER_H
#define OX_LIB_WORKER_H

#include "engine/backend.h"
#include "engine/lost_takes.h"
#include "engine/server_clock.h"
#include "queue/job.h"
#include "queue/options.h"
#include "queue/queue.h"
#include "wire/link.h"

#include <uv.h>

#define OX__CALLS_MAX 16
/* A stack trace, reason or log row longer than this is cut: dashboards load it whole. */
#define OX__TEXT_MAX (64 * 1024)

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

/* The lock of a job that runs here, by what is known of it: see locks.c and claim.c. */
struct ox__task_lock {
    int64_t renewed_ms; /* steady clock: the last time that it was known to be held */
    int64_t held_ms; /* boot clock: the sending of the last request that was seen to hold it */
    bool lost;       /* gone for good: the end is not sent */
    bool doubt;      /* gone, but maybe it only ran out */
    bool starts;     /* the job starts when the lock is no longer in doubt */
    bool claiming;   /* that is being asked about */
    bool fenced;     /* ended by on_disconnect, so that the job can only be released */
    uint8_t claims;
};

/* How a run ended, until the server has answered: see end.c and calls.c. */
struct ox__task_end {
    size_t len; /* of its arguments, in `ends.bytes` */
    size_t argc;
    size_t head_len; /* bytes of the first three, which complete_jobs has once for many */
    enum ox__plain plain;
    bool parent;               /* the job may have one */
    size_t sent_at;            /* where it begins in the call's bytes */
    struct ox__buf kept;       /* its arguments, while it is in doubt */
    bool resent;               /* what was refused had been sent twice */
    bool unrun;                /* not the program's doing */
    char kind;                 /* see lua/end_jobs.lua */
    int refusal;               /* a number of the script's, or 0 */
    const redisReply *refused; /* the same, while the answer is read */
    char *reason;              /* of a failure, for run_ended; may be NULL */
};

struct ox_task {
    ox_worker *worker;
    ox_job *job;
    struct ox__run_options *run;
    bool theirs;                /* the user's to end; else an answer about it is awaited */
    bool ahead;                 /* it was made in the future, by the server's clock */
    int64_t started_ms, starts; /* its processedOn and ats: they name this run */
    struct ox__task_lock lock;
    struct ox__task_end end;
    void (*go_on)(ox_task *task, void *arg); /* it was about to wait for its children */
    void *go_on_arg;
    void *data;            /* the user's */
    struct ox__talk *talk; /* NULL until it says something */
    struct ox_task *next, *prev;
    char token[OX__TOKEN_MAX];
};

/* A doubly linked list of tasks, oldest first. */
struct ox__task_list {
    struct ox_task *head, *tail;
    uint32_t count;
};

/* One take or end-and-take on its way. */
struct ox__call_slot {
    struct ox__request request;
    ox_worker *worker;
    bool busy;
    uint32_t want;
    int64_t sent_us;            /* boot clock */
    int64_t server_ms;          /* what was told to the server as its time, see `clock` */
    uint64_t wakes;             /* the worker's, when it was sent */
    char token[OX__TOKEN_MAX];  /* of the jobs that it takes */
    struct ox__task_list tasks; /* whose ends it carries */
};

/* What a task says while it runs, see say.c. */
struct ox__talk {
    struct ox_task *task;  /* NULL once that is gone */
    uint32_t out;          /* requests on their way */
    uint32_t progress_out; /* those of them that are progress */
    char *progress;        /* the newest value, which waits for those; or NULL */
    bool sending;
};

/* Something sent beside the calls: progress, log rows, a marker returned. Frees itself. */
struct ox__side {
    struct ox__request request;
    ox_worker *worker;
    char *job_id; /* or NULL */
    struct ox_task *task;
    void (*answered)(struct ox__side *side, const redisReply *reply, const ox_error *err);
    void (*go_on)(ox_task *task, void *arg);
    void *go_on_arg;
    struct ox__talk *talk; /* that it is part of, or NULL */
    bool progress;         /* of it */
};

/* Sleeping and waking, see idle.c. */
struct ox__idle {
    struct ox__request wait;
    bool waiting;      /* `wait` is on its way */
    bool drained;      /* the last take found too little */
    uint64_t wakes;    /* counts news; an answer to what was asked before them is old */
    bool holds_marker; /* we popped the delay marker: nobody else knows the time */
    int64_t looked_ms; /* boot clock: when a take last looked for delayed jobs */
    int64_t due_ms;    /* server's clock: when the next delayed job is due; 0: not known */
    int64_t limited_until_ms; /* steady; 0: not limited */
    uv_timer_t timer;
};

/* When locks are seen to, see locks.c. */
struct ox__lock_timers {
    uv_timer_t renew_timer;
    uv_timer_t brief_timer; /* for the first, short locks of jobs that a sleep brought */
    uv_timer_t fence_timer; /* for on_disconnect */
};

/* The check for stalled jobs and the search for jobs without a state, see stalled.c. */
struct ox__stalled {
    uv_timer_t timer;
    struct ox__request check;
    bool checking;    /* `check` is on its way */
    int64_t sent_ms;  /* when it was sent; boot clock */
    bool was_cut_off; /* since a check was put off for that */
    struct ox__request restore;
    bool restoring;  /* `restore` is on its way */
    char cursor[24]; /* of its next page */
    char **told;     /* ids of those that were told of and left as they are */
    size_t told_count;
};

struct ox_worker {
    uv_loop_t *loop;
    struct ox__queue_at at;
    const struct ox__backend *backend;
    struct ox__url url;
    ox_worker_options options;
    char *name;
    ox_process_fn *process;
    void *arg;
    uint32_t batch; /* jobs in one call at most */
    uint32_t command_timeout_ms;

    struct ox__link *link;  /* for scripts */
    struct ox__link *sleep; /* for the blocking wait alone */
    struct ox__server_clock clock;
    char uuid[40];
    uint64_t takes; /* makes tokens differ */

    struct ox__task_list running;
    struct ox__task_list ended;   /* in `ends`, not sent yet */
    struct ox__task_list doubted; /* ended, but maybe refused for a lock that ran out */
    struct ox__task_list gone;    /* ended, but nothing of it is sent: the lock is lost */
    struct ox_task *spare;        /* a list of tasks to use again */
    struct ox__run_options *last_run;
    struct {
        struct ox__buf bytes;
        size_t at; /* bytes before it were sent */
    } ends;
    char *released; /* id of the job that was released last, or NULL */

    struct ox__call_slot calls[OX__CALLS_MAX];
    struct ox__call_slot wake_take; /* waits behind `wait`, for the server to run it */
    uint32_t calls_busy, wanted;    /* calls in flight; jobs that they asked for */
    uint32_t sides;                 /* side requests in flight */

    uv_idle_t soon_idle; /* together these run the pump at the end of this turn */
    uv_check_t soon_check;
    bool soon;

    struct ox__idle idle;
    struct ox__lock_timers locks;
    struct {
        struct ox__request request;
        bool looking; /* `request` is on its way */
        struct ox__lost_takes takes;
    } lost;
    struct ox__stalled stalled;

    bool paused, closing, aborted;
    uint32_t handles_open; /* handles and links that are not closed yet */
    void (*closed)(void *arg);
    void *closed_arg;
};

/* worker.c */
void ox__worker_error(ox_worker *worker, const char *job_id, const ox_error *err);
/* True when the connection is to blame: that is reported once, and healed by connecting anew.
 * Everything else is the server's answer, and asking again at once would only repeat it. */
bool ox__worker_lost(const ox_error *err);
/* Goes on with a close that waits, when nothing is left to wait for. */
void ox__worker_finish_close(ox_worker *worker);
/* Seals and sends. OX_ENOMEM when it could not be built; then it was not sent. */
int ox__worker_send(ox_worker *worker, struct ox__request *request, ox_error *err);
/* A side request that is answered with a number, ready to be built, or NULL (then the failure
 * was reported). */
struct ox__side *ox__side_new(ox_worker *worker, const char *job_id);
void ox__side_send(struct ox__side *side);
/* For one that was not sent. */
void ox__side_free(struct ox__side *side);

/* calls.c */
void ox__calls_init(ox_worker *worker);
/* Sends what is worth a call now, and sees to it that the worker wakes for the rest. */
void ox__worker_pump(ox_worker *worker);
/* The same at the end of this turn of the loop, when more may have gathered. */
void ox__worker_soon(ox_worker *worker);
/* Takes nothing, but lets the server promote the delayed jobs that are due. */
void ox__worker_promote(ox_worker *worker);
/* Sends a take for all free slots behind the wait of at most `wait_ms` that was just sent: the
 * server runs it when that ends. */
void ox__worker_take_on_wake(ox_worker *worker, uint32_t wait_ms);
/* True while jobs may be taken at all. */
bool ox__worker_takes(const ox_worker *worker);
uint32_t ox__worker_free_slots(const ox_worker *worker);

/* tasks.c */
/* What the server knows the task's run by. */
struct ox__run ox__task_run(const struct ox_task *task);
void ox__task_list_push(struct ox__task_list *list, struct ox_task *task);
void ox__task_list_remove(struct ox__task_list *list, struct ox_task *task);
struct ox_task *ox__task_new(ox_worker *worker);
void ox__task_free(struct ox_task *task);
/* Frees all of a list. */
void ox__tasks_forget(struct ox__task_list *list);
/* The options of a job, shared; to be dropped. NULL when memory is out. */
struct ox__run_options *ox__run_options_get(ox_worker *worker, const struct ox__field *opts);
void ox__run_options_drop(struct ox__run_options *run);

/* task.c */
void ox__task_begin(struct ox_task *task);

/* say.c */
/* Sends what still waits to be said, before the task's end or its wait for children. */
void ox__task_say_rest(struct ox_task *task);
/* The task goes; what it said may still be on its way. */
void ox__task_hush(struct ox_task *task);
/* One request of a talk is done. */
void ox__talk_answered(struct ox__side *side);

/* end.c */
/* Ends it badly, for what no further try can mend; the program does not see it. */
void ox__task_fail_unrun(struct ox_task *task, const char *reason);
/* Lets a task go about which the server has nothing more to be told. */
void ox__task_drop(struct ox_task *task);

/* Keeps the arguments of its end, which a call carried at `sent` without the first `skip`
 * bytes. When memory is out, none. */
void ox__task_keep_end(struct ox_task *task, const char *sent, size_t skip);
/* Sends the end that was kept. False when memory is out. */
bool ox__task_end_again(struct ox_task *task);

/* claim.c */
/* Puts an end that was refused, and is on no list, in doubt. False when it is not worth it. */
bool ox__claim_end(struct ox_task *task, bool resent);
/* Asks about all that is in doubt. */
void ox__claim(ox_worker *worker);

/* notify.c */
#define OX__KIND_WAITS 'p' /* not one of end_jobs: it waits for its children */
/* Notes how a run ends, for the time when the server has said that it did. */
void ox__task_note_end(struct ox_task *task, char kind, const char *reason, size_t len);
/* Tells of the end of a run: stored, or not because of `err`. */
void ox__notify_end(struct ox_task *task, const ox_error *err);
/* The same for all of a list, when it is not one task's own fault. */
void ox__notify_ends(struct ox__task_list *list, const ox_error *err);
/* An enum ox_notice. */
void ox__notify(ox_worker *worker, int notice, const char *job_id);

/* idle.c */
void ox__idle_init(ox_worker *worker);
/* Sees to it that the worker will wake: sleeps on the marker when there is nothing to do. */
void ox__idle_sleep(ox_worker *worker);
/* Jobs wait that no take has seen. */
void ox__idle_work_waits(ox_worker *worker);
/* Ends a sleep with a take behind it: unless the server has run that, it will not. */
void ox__idle_break(ox_worker *worker);
/* The take behind a sleep was lost, and with it maybe a marker. */
void ox__idle_lost(ox_worker *worker);
/* Nobody here can act on a marker: let another worker have it, so that none sleeps beside a
 * job. */
void ox__idle_return_marker(ox_worker *worker, const char *member, const char *score);
/* A time in ms as a script or a sorted set tells it; 0 if it is not a time. */
int64_t ox__due_of(const char *score);
/* What a take learned about the time to come. */
void ox__idle_learn(ox_worker *worker, bool drained, int64_t limit_ms, int64_t due_ms);

/* recover.c */
void ox__recover_init(ox_worker *worker);
/* The reply to a take was lost, or may have been. */
void ox__take_lost(ox_worker *worker, const char *token);
/* Looks for the jobs of such takes. */
void ox__recover(ox_worker *worker);

/* stalled.c */
void ox__stalled_init(ox_worker *worker);
void ox__stalled_start(ox_worker *worker);
void ox__stalled_done(ox_worker *worker);

/* locks.c */
/* A lock this young lasts until the next renewal, and for a while. */
int64_t ox__lock_young_ms(const ox_worker *worker);
/* How long the first lock of a job lasts that was taken behind a sleep. */
uint32_t ox__brief_lock_ms(const ox_worker *worker);
/* Sees to it that such locks are renewed. */
void ox__renew_brief(ox_worker *worker);
/* The lock is lost for good: the run is to be stopped, and nothing of it is sent. */
void ox__task_lose(struct ox_task *task);
void ox__locks_init(ox_worker *worker);
void ox__locks_start(ox_worker *worker);

#endif /* OX_LIB_WORKER_H */
