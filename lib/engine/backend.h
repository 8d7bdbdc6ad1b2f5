/*
 * backend.h - the interface through which an engine takes runs from the server, finishes them,
 * and asks about those that it has: encoders of commands and decoders of replies. The engine
 * knows neither scripts nor the form of replies; jobs_backend.c does, for the jobs of a queue.
 *
 * `self` is the backend's own. An encoder begins an operation; some are followed by one call
 * for each run or token that it is about. A decoder is called only with a reply that `fits`.
 */
#ifndef OX_LIB_BACKEND_H
#define OX_LIB_BACKEND_H

#include "engine/ends.h"

struct ox__link;

/* Whether a marker was popped before a take. */
enum ox__popped { OX__POPPED_NO, OX__POPPED_YES, OX__POPPED_UNKNOWN };

/* Arguments of every call, also of one that takes nothing. */
struct ox__take {
    int64_t now_ms;         /* server's clock */
    int error_ms;           /* how far that may be off; -1: the server has to look */
    uint32_t want, lock_ms; /* 0: the runs get no lock yet */
    const char *token;
    enum ox__popped popped;
    bool look; /* for what is due by now */
    bool busy; /* many runs are asked for, and more wait: what takes one more way to the server
                  and back, and costs it less, is better */
};

/* A run whose end was refused. */
struct ox__refusal {
    long long index;         /* from 1, as they were sent */
    int number;              /* of the backend's */
    const redisReply *reply; /* the same, for `explain` */
};

/* What a take reports besides its runs. */
struct ox__takings {
    int64_t limit_ms;  /* rate limit: nothing more is to be taken for so long; 0: none */
    int64_t due_ms;    /* when the next run is due, by the server's clock; 0: not known */
    bool unsure;       /* more may be there, though less came than was asked for */
    int64_t server_us; /* the server's clock; 0: not told */
};

/* Position in the reply of a take. */
struct ox__taking {
    uint32_t left; /* runs that there are slots for */
    size_t i, n;   /* the backend's */
};

/* One thing that a take has brought: a run, or what went wrong with `id`. */
struct ox__taken {
    struct ox__run *run; /* or NULL; when it is `apart`, the rest of it is to be fetched */
    const char *id;
    ox_error err;
};

/* More of a run is to be fetched. */
#define OX__FETCH_MORE 2

/* The server's verdict on a run whose lock was gone; all else is a refusal. */
enum ox__verdict { OX__RUN_LOCKED = 1 /* again */, OX__RUN_STORED = 2 /* its end is */ };

/* A step of the check for stalled runs. */
struct ox__check {
    int64_t now_ms, every_ms, late_ms;
    bool begin;   /* a check, if it is time; it has looked at nothing */
    int64_t skip; /* else: where the step before said that it goes on */
};

/* How a check goes on. */
enum ox__next {
    OX__NEXT_STEP, /* behind so many runs */
    OX__NEXT_OVER, /* that was all of it */
    OX__NEXT_NONE  /* there was none: it was not time, or it took too long */
};

/* A result of a check or a search. */
struct ox__found {
    const char *id;
    int notice;      /* an enum ox_notice, or 0 */
    const char *why; /* what is wrong with it, when there is no notice; else NULL */
};

/* The marker that woke an engine. */
struct ox__marker {
    const char *member, *score;
    bool now;       /* there is something to take; else something will be due */
    int64_t due_ms; /* server's clock */
};

/* What errors call things: "queue", "job" and "lock", or "stream", "batch" and "claim". */
struct ox__words {
    const char *source, *item, *lock;
};

/* Functions that may be NULL say so. */
struct ox__backend {
    struct ox__words words;
    /* A take; the same behind the ends of up to `most` runs, which go from `ends` to `sent`. */
    void (*take)(void *self, struct ox__op *op, const struct ox__take *take);
    void (*end)(void *self, struct ox__op *op, const struct ox__take *take,
        struct ox__ends *ends, uint32_t most, struct ox__run_list *sent);
    /* Whether that is the reply to the call with this token. */
    bool (*call_fits)(void *self, const redisReply *reply, bool ends, const char *token);
    /* The refusal behind the `i`th. False: no more. */
    bool (*refused)(
        void *self, const redisReply *reply, size_t *i, struct ox__refusal *refusal);
    /* The failure of a take behind ends that were stored, or 0. */
    int (*takings)(void *self, const redisReply *reply, bool ends, struct ox__takings *takings,
        ox_error *err);
    /* The results of a take, one after another: first runs, at most `at->left`, then errors.
     * `at` begins as zeros but for that. Returns 1, 0 when no more comes, or OX_EREPLY. */
    int (*taken)(void *self, const redisReply *reply, bool ends, struct ox__taking *at,
        int64_t now_ms, struct ox__taken *taken);
    /* Reads what a take has left out of a run; error replies come as replies. NULL: takes bring
     * all of a run. */
    void (*fetch)(void *self, struct ox__op *op, const struct ox__run *run);
    bool (*fetch_fits)(void *self, const struct ox__run *run, const redisReply *reply);
    /* Completes the run by the reply, which it may keep by ox__link_keep_reply(). Returns 1, 0
     * when what the run is about is gone, OX__FETCH_MORE, or an error. */
    int (*fetched)(void *self, struct ox__run *run, const redisReply *reply,
        struct ox__link *link, ox_error *err);
    /* Writes the head (NULL: no end has one) that ends.h leaves out when calls have it once for
     * many. */
    void (*end_head)(void *self, struct ox__buf *out, const struct ox__run *run);
    /* Whether a refusal may be due to a lock that only ran out, or, of an end that was sent
     * twice, to its having been stored the first time. */
    bool (*in_doubt)(void *self, int refusal, bool resent);
    /* What a refusal stands for, of the item `id` (or NULL); `reply` is NULL for a mere number.
     */
    void (*explain)(
        void *self, const char *id, int64_t number, const redisReply *reply, ox_error *err);

    void (*renew)(void *self, struct ox__op *op, uint32_t lock_ms);
    void (*renew_run)(void *self, struct ox__op *op, const struct ox__run *run);
    bool (*renew_fits)(void *self, const redisReply *reply);
    /* The `i`th run whose lock is gone, counted from 0 as they were sent. False: no more. */
    bool (*renew_lost)(void *self, const redisReply *reply, size_t i, size_t *run);

    void (*claim)(void *self, struct ox__op *op, uint32_t lock_ms);
    void (*claim_run)(void *self, struct ox__op *op, const struct ox__run *run, bool ended);
    bool (*claim_fits)(void *self, const redisReply *reply, size_t runs);
    int64_t (*claim_verdict)(void *self, const redisReply *reply, size_t run);

    /* A step of the check for runs without a lock. NULL, with all that is said of checks below:
     * the server gives such runs to others by itself, or a take does. */
    void (*check)(void *self, struct ox__op *op, const struct ox__check *check);
    bool (*check_fits)(void *self, const redisReply *reply);
    enum ox__next (*check_next)(void *self, const redisReply *reply, int64_t *skip);

    /* A page of the search for what is in no state, behind a check; these may be NULL where
     * no check is over. A cursor has up to 23 bytes. */
    void (*restore)(void *self, struct ox__op *op, int64_t now_ms, const char *cursor);
    bool (*restore_fits)(void *self, const redisReply *reply);
    const char *(*restore_next)(void *self, const redisReply *reply);

    /* Looks for what `count` takes have taken; then come their tokens, and ids to pass over.
     * NULL, with all of the search: what such a take has taken waits until its lock is over. */
    void (*return_lost)(void *self, struct ox__op *op, int64_t skip, size_t count);
    void (*return_token)(void *self, struct ox__op *op, const char *token);
    void (*return_not)(void *self, struct ox__op *op, const struct ox__run *run);
    bool (*return_fits)(void *self, const redisReply *reply);
    /* `skip` of the next page. False: that was the last. */
    bool (*return_next)(void *self, const redisReply *reply, int64_t *skip);

    /* The results one after another, of checks and of the search for what is in no state, and
     * of that for lost takes; `i` begins at 0. False: no more. */
    bool (*found)(void *self, const redisReply *reply, size_t *i, struct ox__found *found);
    bool (*returned)(void *self, const redisReply *reply, size_t *i, struct ox__found *found);

    /* Waits for a marker, for up to `ms`. */
    void (*sleep)(void *self, struct ox__op *op, uint32_t ms);
    bool (*sleep_fits)(void *self, const redisReply *reply);
    /* False: none came. */
    bool (*woken)(void *self, const redisReply *reply, struct ox__marker *marker);
    /* Puts a marker back for other engines; NULL: one that says that there is work. This is
     * NULL when to wait takes nothing away from others. */
    void (*return_marker)(void *self, struct ox__op *op, const struct ox__marker *marker);

    /* The last request before a close, answered by a number, when all runs are over and nothing
     * else is on its way; they are not sent while the connection is lost. NULL: none. */
    void (*leave)(void *self, struct ox__op *op);
};

#endif /* OX_LIB_BACKEND_H */
