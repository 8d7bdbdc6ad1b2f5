/*
 * run.h - one run of something that was taken from the server, and lists of runs.
 *
 * A run is in the program's hands (`theirs`) from its beginning until it is ended; the engine
 * keeps it until the server has replied whether its end is stored. It is made by a backend,
 * which puts this struct first in one of its own. While it lives it is on one list.
 */
#ifndef OX_LIB_RUN_H
#define OX_LIB_RUN_H

#include "base/buf.h"
#include "queue/job.h"

#define OX__TOKEN_MAX 64

/* To be renewed at the next renewal, regardless of the time. */
#define OX__NOT_RENEWED INT64_MIN

/* The lock of a run, by what is known of it: see locks.h and claim.h. */
struct ox__run_lock {
    int64_t renewed_ms; /* the last time that it was known to be held; boot clock */
    int64_t held_ms;  /* the sending of the last request that was seen to hold it; boot clock */
    bool lost;        /* gone for good: the end is not sent */
    bool doubt;       /* gone, but maybe it only ran out */
    bool claiming;    /* that is being asked about */
    int64_t verdict;  /* why it is lost, see enum ox__verdict; 0: not known */
    bool starts;      /* the run starts when the lock is no longer in doubt */
    bool open;        /* none was written yet, as far as is known: see locks.h */
    int64_t until_ms; /* of one that is open: till when it may end so; server's clock */
    bool fenced;      /* ended since it was cut off, so that it can only be released */
    uint8_t claims;
};

/* The end of a run, as arguments of a call: see ends.h. */
struct ox__run_end {
    size_t len; /* of the arguments, in the batch of ends */
    size_t argc;
    size_t head_len;     /* bytes of the first of them, which a call may have once for many */
    size_t head_argc;    /* how many these are */
    size_t sent_at;      /* where it begins in the bytes of the call */
    size_t skipped;      /* bytes of its head that the call has elsewhere */
    struct ox__buf kept; /* the arguments, while it is in doubt */
    bool resent;         /* what was refused had been sent twice */
    int refusal;         /* a number of the backend's, or 0 */
    const redisReply *refused; /* the same, while the answer is read */
};

struct ox__run {
    struct ox__field id;       /* borrowed from whatever the run is about */
    const char *id_text;       /* the same for people, where a NUL is written as C0 80 */
    char token[OX__TOKEN_MAX]; /* that it was taken with */
    int64_t begun_us;          /* boot clock */
    bool theirs;               /* the program's to end; else an answer about it is awaited */
    bool apart;                /* some of it is read by itself, see fetch.h */
    struct ox__run_lock lock;
    struct ox__run_end end;
    struct ox__run *next, *prev;
};

/* A doubly linked list, oldest first. */
struct ox__run_list {
    struct ox__run *head, *tail;
    uint32_t count;
};

void ox__run_list_push(struct ox__run_list *list, struct ox__run *run);
void ox__run_list_remove(struct ox__run_list *list, struct ox__run *run);

/* Reference to a run that may be gone when a reply about it comes. */
struct ox__run_ref {
    struct ox__run *run;
    char token[OX__TOKEN_MAX];
};

struct ox__run_ref ox__run_refer(struct ox__run *run);
/* The run, if it is on the list, under the same token; else NULL. */
struct ox__run *ox__run_find(const struct ox__run_list *list, const struct ox__run_ref *ref);

#endif /* OX_LIB_RUN_H */
