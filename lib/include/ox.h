/*
 * ox.h - job queues on Redis, in BullMQ's own layout.
 *
 * This header and those that it includes are the whole public interface of libox: what is not
 * here is not promised.
 * It reads from top to bottom as a program uses it: errors, a client (the connection), a
 * queue, jobs going in, jobs looked at and changed, the queue steered, schedulers and flows,
 * events, and last the worker.
 *
 * Conventions. (A blank line behind each keeps clang-format from joining them.)
 *
 * Result
 *   An `int` function returns 0 or more on success and a negative OX_E... code on failure.
 * `err`, always last, may be NULL; it is written only on failure. Other out-parameters are then
 *   undefined and must not be freed; a `char **` is NULL.
 *
 * Ownership
 *   `const T *` that you get is borrowed from the object you asked. `T **out` is yours: free it
 *   with the matching ox_..._free(), plain strings with ox_free(). Every free function takes
 *   NULL. Arguments are copied unless documented otherwise.
 *
 * Lists
 *   A list, `T ***` with `size_t *count` (which may be NULL), is an array of `count` pointers
 *   with NULL behind the last. It is yours with all its elements: free it with ox_list_free().
 *
 * Text
 *   Strings are UTF-8 and end in NUL. "json" is JSON text; it is checked before anything is
 *   sent, because one invalid value would stop other readers of the queue. The id of another
 *   program's job may contain a NUL; it is returned, and accepted, with the two bytes C0 80 in
 *   its place, which never occur in UTF-8. Elsewhere a NUL ends the text: ids in events,
 * notices and errors, and the job that holds a deduplication id.
 *
 * Time
 *   Milliseconds, as in the name (`_ms`); points in time are Unix milliseconds.
 *
 * NULL
 *   Parameters that may be NULL are documented so; options structs and `err` always may. NULL
 *   for anything else is refused with OX_EINVAL and the parameter's name; a function without
 *   `err` then does nothing, or returns NULL, 0 or what it returns for a missing value.
 *
 * Zero
 *   An options struct of zeros means the defaults, as does NULL.
 *
 * Growth
 *   Structs that you make have a reserve, so that they keep their size when they get new
 *   members: `reserved` must be zero, else OX_EINVAL. In structs that you get it is zero.
 *   Structs that the library makes (events, job updates, elements of lists) may get longer.
 *
 * Threads
 *   A client, and all that was made from it, belongs to one thread at a time. Different clients
 *   may be used in different threads. A worker belongs to the thread of its loop.
 *
 * Processes
 *   After fork() a client may be used on both sides: in the child its next call makes a
 *   connection of its own (calls in flight, an adder's among them, stay the parent's). Readers
 *   of events are like clients. Workers stay the parent's: the child must not touch them or
 *   their loop.
 *
 * Memory
 *   Out of memory, a call fails with OX_ENOMEM and leaves its objects usable; the library does
 *   not abort. The exception is GLib, which reads time zones for cron patterns: it aborts.
 *
 * No side effects
 *   The library never logs, exits, raises signals, installs signal handlers or reads the
 *   environment (but for TZ, where the machine's time zone is asked for).
 *
 * Lost calls
 *   OX_ETIMEOUT and OX_ELOST on a call that changes something mean "unknown": it may have
 *   happened. A job id of your own makes a repeated add harmless. After OX_ECONNECT nothing was
 *   done: nothing was sent, or not all of it, and the server does nothing before it has all.
 */
#ifndef OX_H
#define OX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define OX_API __attribute__((visibility("default")))
#else
#define OX_API
#endif

/* The version of this header; that of the library that is linked: ox_version(). */
#define OX_VERSION_MAJOR 0
#define OX_VERSION_MINOR 1
#define OX_VERSION_PATCH 0
#define OX_VERSION "0.1.0"

/** The library's version, "major.minor.patch". */
OX_API const char *ox_version(void);

/** Frees a string, or another block, that the library handed over. NULL is fine. */
OX_API void ox_free(void *block);

/** Frees a list that the library handed over, with all that is in it. NULL is fine. */
OX_API void ox_list_free(void *list);

/**
 * Whether text is JSON as BullMQ and this library read it: one RFC 8259 value in UTF-8. Half a
 * surrogate pair ("\\ud83d") and numbers that no double holds are JSON.
 */
OX_API bool ox_json_valid(const char *text, size_t length);

/* ---- Errors ------------------------------------------------------------------------------ */

/* name, value, text. The values never change. */
#define OX_ERRORS(XX)                                                                          \
    XX(EINVAL, -100, "invalid argument")                                                       \
    XX(ENOMEM, -101, "out of memory")                                                          \
    XX(ECONNECT, -102, "cannot connect")                                                       \
    XX(EAUTH, -103, "the server refused the credentials")                                      \
    XX(ETIMEOUT, -104, "timed out")                                                            \
    XX(ELOST, -105, "connection lost")                                                         \
    XX(EREPLY, -106, "unexpected reply")                                                       \
    XX(ESERVER, -107, "the server reported an error")                                          \
    XX(EDATA, -108, "stored data does not match BullMQ's layout")                              \
    XX(ENOTFOUND, -109, "not found")                                                           \
    XX(ESTATE, -110, "the job is not in a state that allows this")                             \
    XX(ELOCK, -111, "the job's lock is missing or held by another worker")                     \
    XX(ECHILDREN, -112, "the job has unfinished children")                                     \
    XX(EFAILEDCHILD, -113, "the job has failed children")                                      \
    XX(EPARENT, -114, "the parent job is missing")                                             \
    XX(EPARENTTAKEN, -115, "the job belongs to another parent")                                \
    XX(ESCHEDULED, -116, "the job is its scheduler's current iteration")                       \
    XX(ESLOT, -117, "the scheduler's next time is taken by another job")                       \
    XX(EACTIVE, -118, "jobs are active")                                                       \
    XX(ETLS, -119, "TLS was refused")                                                          \
    XX(EFAILED, -120, "the job failed")                                                        \
    XX(ECLOSED, -121, "closed")                                                                \
    XX(ECANCELLED, -122, "the job was cancelled")

enum ox_code {
    OX_OK = 0,
#define OX_CODE(name, value, text) OX_##name = value,
    OX_ERRORS(OX_CODE)
#undef OX_CODE
};

/** The error code, and a sentence in UTF-8 that names the queue and job concerned. With
 *  OX_EFAILED it is the job's failure reason alone. */
typedef struct ox_error {
    int code;
    char text[252];
} ox_error;

/** The general text of an OX_E... code, never NULL. */
OX_API const char *ox_strerror(int code);

/* ---- Client ------------------------------------------------------------------------------ */

/** One blocking connection to a Redis server, and how to make more of them. */
typedef struct ox_client ox_client;

typedef struct ox_client_options {
    /** redis://[user:password@]host[:port][/db], the same with rediss:// for TLS, or
     *  unix:///path[?db=n]; with a password in a unix URL as unix://user:password@/path.
     *  Behind a rediss:// URL may stand the options of TLS below, joined by '&':
     *  ?ca=PATH&cert=FILE&key=FILE&name=NAME&insecure=yes. NULL: redis://127.0.0.1:6379 */
    const char *url;
    uint32_t connect_timeout_ms; /**< For each try to connect and log in. 0: 5000 */
    uint32_t command_timeout_ms; /**< For each reply. 0: 30000 */
    uint32_t connect_tries;      /**< Tries, with backoff, before OX_ECONNECT. 0: 3 */
    /** Do not connect now: the first call does, and then fails as ox_client_new() would. For a
     *  program that only makes workers with the client, which wait for a server by themselves.
     */
    bool connect_later;
    /* For rediss:// URLs, else OX_EINVAL; they override those of the URL. The server's
     * certificate is verified: its chain, and that it is for the URL's host. TLS 1.2 is the
     * least. */
    const char *tls_ca; /**< CA certificates to trust: a PEM file, or a folder made by `openssl
                           rehash`. NULL: the system's */
    const char *tls_cert; /**< This client's own certificate, a PEM file with its chain. NULL:
                               none */
    const char *tls_key;  /**< Its key, a PEM file without a password. NULL: in tls_cert */
    const char *tls_name; /**< The name or address that the server's certificate must be for.
                               NULL: the URL's host */
    bool tls_insecure;    /**< Accept any certificate: a man in the middle can read and change
                             everything. */
    /** How long a call looks for its answer, in microseconds (at most 1000), before it sleeps
     *  until it comes. For programs that wait for one short call after the other (an add, a
     *  read) of a server on the same machine, where waking up is a third of the time: 50 makes
     *  them a quarter faster on an idle machine, and keeps a core busy meanwhile, three to five
     *  times the processor time of such a call. Where answers take longer, only every 64th call
     *  looks. Commands that block, and threads that may use one core only when the client is
     *  made, never do. 0: sleep at once */
    uint32_t spin_us;
    uint64_t reserved[4];
} ox_client_options;

/**
 * Connects, authenticates and selects the database. A client whose connection was lost while
 * idle reconnects at the next call.
 * @return 0, OX_EINVAL for a bad URL or option, OX_ECONNECT (also while the server loads its
 * data), OX_EAUTH, OX_ETIMEOUT, OX_ESERVER (too many clients, no such database), OX_EREPLY for
 *         a server that is not Redis, OX_ETLS for a certificate that is refused, ours or the
 *         server's, and for a server that does not speak TLS
 */
OX_API int ox_client_new(ox_client **out, const ox_client_options *options, ox_error *err);

/** Closes the connection. Free the queues made from the client first. */
OX_API void ox_client_free(ox_client *client);

/** The server's clock, Unix milliseconds. */
OX_API int ox_client_time(ox_client *client, int64_t *now_ms, ox_error *err);

/**
 * Waits until earlier writes of this client are on disk (server with AOF) and on replicas.
 * @param timeout_ms  0: no limit
 * @param local       out: 1 when the server's own disk has them, else 0
 * @param replicas    out: how many replicas have them
 * @return 0, or OX_ESERVER where the server has neither AOF nor the WAITAOF command (< 7.2);
 *         then WAIT alone still fills `replicas`. OX_ELOST when the connection was lost since
 *         the last call. Running out of time is not a failure: see `local` and `replicas`.
 */
OX_API int ox_client_wait_durable(ox_client *client, uint32_t want_replicas,
    uint32_t timeout_ms, int *local, int *replicas, ox_error *err);

/** Names of the queues under a prefix (NULL: "bull"), a sorted list. Scans the key space. */
OX_API int ox_client_queues(
    ox_client *client, const char *prefix, char ***names, size_t *count, ox_error *err);

/* ---- Queue ------------------------------------------------------------------------------- */

/** A queue by name. Making one sends nothing; a queue exists once it has jobs or settings. */
typedef struct ox_queue ox_queue;

typedef struct ox_queue_options {
    const char *prefix; /**< Not empty. NULL: "bull" */
    /** Write no events. Saves about a third of Redis' work for a job; Node's QueueEvents,
     *  waitUntilFinished, ox_queue_wait and `ox events` then see nothing of this side. */
    bool no_events;
    /** For queues shared with BullMQ 5.x: pausing parks waiting jobs in the list `paused`. */
    bool legacy_pause;
    uint32_t max_events; /**< Cap of the event stream where none is set yet. 0: 10000 */
    uint32_t batch;      /**< Jobs in one script call at most, 1..500; twice as many when they
                              are added and differ in their data only. 0: 50 */
    uint64_t reserved[4];
} ox_queue_options;

/**
 * @param client  outlives the queue
 * @param name    not empty, without ':'
 */
OX_API int ox_queue_new(ox_queue **out, ox_client *client, const char *name,
    const ox_queue_options *options, ox_error *err);
OX_API void ox_queue_free(ox_queue *queue);
OX_API const char *ox_queue_name(const ox_queue *queue);
OX_API const char *ox_queue_prefix(const ox_queue *queue);

/* ---- Adding jobs ------------------------------------------------------------------------- */

/** How many finished jobs to keep, and for how long. */
enum ox_keep_mode {
    OX_KEEP_DEFAULT = 0, /**< As the worker's options say; without one there, all */
    OX_KEEP_ALL,
    OX_KEEP_NONE,
    OX_KEEP_SOME /**< By count, age_s and limit */
};
typedef struct ox_keep {
    int mode;      /**< enum ox_keep_mode */
    int64_t count; /**< Newest jobs kept; 0 with age_s: any number, else none */
    int64_t age_s; /**< Seconds; 0: any age */
    int64_t limit; /**< Jobs removed by age at one finish; 0: 1000 */
    uint64_t reserved[2];
} ox_keep;

/** Wait between attempts. Retry n waits: fixed, delay; exponential, 2^(n-1) * delay. */
typedef struct ox_backoff {
    const char *type; /**< "fixed", "exponential" or a name the worker knows. NULL: none */
    int64_t delay_ms;
    double jitter; /**< 0..1: share of the wait that is random */
    uint64_t reserved[2];
} ox_backoff;

/** Deduplication: while `id` is held by a job, adds with the same id are dropped. */
typedef struct ox_dedup {
    const char *id;           /**< NULL: off */
    int64_t ttl_ms;           /**< Held this long; 0: until the job finishes */
    bool extend;              /**< Each dropped add starts the ttl anew */
    bool replace;             /**< A newer add takes the place of a delayed job */
    bool reschedule;          /**< A newer add moves a delayed job to its own time */
    bool keep_last_if_active; /**< The last add while the job runs is run after it */
    uint64_t reserved[2];
} ox_dedup;

/** The job that waits for this one. */
typedef struct ox_parent {
    const char *id;    /**< NULL: none */
    const char *queue; /**< "prefix:name" */
    uint64_t reserved[2];
} ox_parent;

/** What a parent does when this child fails for good. At most one applies. */
enum ox_child_failure {
    OX_CHILD_WAIT = 0,    /**< Goes on waiting until the child is retried or removed */
    OX_CHILD_FAIL_PARENT, /**< failParentOnFailure */
    OX_CHILD_CONTINUE,    /**< continueParentOnFailure */
    OX_CHILD_IGNORE,      /**< ignoreDependencyOnFailure */
    OX_CHILD_REMOVE       /**< removeDependencyOnFailure */
};

typedef struct ox_job_options {
    /** Own id: not a plain number, no ':', and none of the queue's own keys such as "wait".
     *  NULL: the next number */
    const char *id;
    int64_t timestamp_ms; /**< When it was made. 0: now */
    int64_t delay_ms;     /**< It becomes due so long after timestamp_ms */
    uint32_t priority;    /**< 1 (first) .. 2097151 (last); 0: before all of them */
    bool lifo;            /**< Run next, before those that wait; not with priority or delay */
    uint32_t attempts;    /**< Tries in all. 0 or 1: one */
    ox_backoff backoff;
    ox_keep remove_on_complete;
    ox_keep remove_on_fail;
    uint32_t keep_logs;        /**< Newest log rows kept. 0: all */
    int32_t stack_trace_limit; /**< Newest stack traces kept. 0: all, -1: none */
    size_t size_limit;         /**< Refuse data of more bytes. 0: any */
    ox_dedup dedup;
    ox_parent parent;
    int on_failure;        /**< enum ox_child_failure */
    const char *telemetry; /**< Metadata that travels with the job (opts.tm) */
    bool omit_context;     /**< opts.omc */
    /** A JSON object of BullMQ job options by their long names, as in Queue.add. Fields set
     *  above override it; unknown names are kept in the job. */
    const char *json;
    int64_t timeout_ms; /**< Longest run: ox-worker kills it then, if its own timeout is not
                             shorter; see ox_task_timeout_ms(). 0: what the worker says */
    int64_t expire_ms;  /**< A run that would begin later than this after timestamp_ms, a retry
                             too, fails the job for good unrun. A delay counts. 0: never */
    uint64_t reserved[2];
} ox_job_options;

/** Whether an add made a job. */
enum ox_added {
    OX_ADDED = 0,       /**< It did */
    OX_DUPLICATED = 1,  /**< No: a job with that id exists; it keeps its data and options */
    OX_DEDUPLICATED = 2 /**< No: another job holds the deduplication id. With `reschedule` or
                             `keep_last_if_active` the add may have changed that job, or what
                             runs after it */
};

/**
 * Adds one job.
 * @param name  shown to people and handlers; any text
 * @param json  the job's data; NULL: {}
 * @param id    out, may be NULL: the job's id, yours; when no job was made, the id of the job
 *              that was there; NULL on failure
 * @return an enum ox_added (0 or more), OX_EINVAL (nothing was sent), OX_EPARENT,
 *         OX_EPARENTTAKEN, connection errors
 */
OX_API int ox_queue_add(ox_queue *queue, const char *name, const char *json,
    const ox_job_options *options, char **id, ox_error *err);

/** One job of many; read before the call returns. */
typedef struct ox_new_job {
    const char *name;
    const char *json; /**< NULL: {} */
    const ox_job_options *options;
    uint64_t reserved[2];
} ox_new_job;

/**
 * Adds jobs in order, in script calls of at most `batch` jobs (twice that many if they differ
 * in their data only), pipelined. Each call is atomic, the whole is not: after a call that the
 * server refuses, or that is lost, the rest is not sent.
 * @param ids  NULL, or room for `count` ids, filled as far as known, each yours; a job that was
 *             refused, lost or not sent leaves NULL. An ox_adder reports for each job whether
 *             one was made
 * @return 0, or the first failure; with OX_EINVAL nothing was sent at all
 */
OX_API int ox_queue_add_bulk(
    ox_queue *queue, const ox_new_job *jobs, size_t count, char **ids, ox_error *err);

/** Adds any number of jobs in constant memory: put them one by one, then flush. */
typedef struct ox_adder ox_adder;

/** The outcome of one job. Called once for each job that was taken, in their order, from put or
 *  flush; it makes no calls of this client.
 *  @param index  from 0, of the jobs that were taken
 *  @param id     borrowed; NULL when `code` is negative, then `err` says why
 *  @param code   an enum ox_added, or why the job was not added */
typedef void ox_added_fn(
    void *arg, uint64_t index, const char *id, int code, const ox_error *err);

/** @param queue  outlives the adder; no other call is made of its client before a flush
 *  @param added  may be NULL */
OX_API int ox_adder_new(
    ox_adder **out, ox_queue *queue, ox_added_fn *added, void *arg, ox_error *err);
/** Takes one job; sends when a batch is full; waits when too many are on the way.
 *  @return 0, or why the job was not taken: OX_EINVAL, which does not harm the others, or the
 *          failure that stopped the stream: no more are taken then before a flush */
OX_API int ox_adder_put(ox_adder *adder, const ox_new_job *job, ox_error *err);
/** Sends the open batch and waits until every job has its reply.
 *  @return 0, or the first failure of a job since the last flush */
OX_API int ox_adder_flush(ox_adder *adder, ox_error *err);
/** Jobs that were not flushed may or may not be added. */
OX_API void ox_adder_free(ox_adder *adder);

/* ---- Jobs as they are stored ------------------------------------------------------------- */

/* name, BullMQ's name. In the order in which a state is looked up. OX_PAUSED is the list of
 * jobs that were parked by a 5.x client or with legacy_pause; the state of such a job is
 * reported as waiting. */
#define OX_STATES(XX)                                                                          \
    XX(COMPLETED, "completed")                                                                 \
    XX(FAILED, "failed")                                                                       \
    XX(DELAYED, "delayed")                                                                     \
    XX(PRIORITIZED, "prioritized")                                                             \
    XX(ACTIVE, "active")                                                                       \
    XX(WAITING, "waiting")                                                                     \
    XX(PAUSED, "paused")                                                                       \
    XX(WAITING_CHILDREN, "waiting-children")                                                   \
    XX(UNKNOWN, "unknown")

enum ox_state {
#define OX_STATE(name, text) OX_##name,
    OX_STATES(OX_STATE) OX_STATE_COUNT
#undef OX_STATE
};

/** BullMQ's name of a state, never NULL. */
OX_API const char *ox_state_name(int state);
/** The state with that name ("wait" is taken for "waiting"), or OX_EINVAL. */
OX_API int ox_state_parse(const char *name);

/* name, the field of the job hash. */
#define OX_FIELDS(XX)                                                                          \
    XX(NAME, "name")                                                                           \
    XX(DATA, "data")                                                                           \
    XX(OPTS, "opts")                                                                           \
    XX(TIMESTAMP, "timestamp")                                                                 \
    XX(DELAY, "delay")                                                                         \
    XX(PRIORITY, "priority")                                                                   \
    XX(ATTEMPTS_STARTED, "ats")                                                                \
    XX(ATTEMPTS_MADE, "atm")                                                                   \
    XX(STALLED, "stc")                                                                         \
    XX(PROCESSED_ON, "processedOn")                                                            \
    XX(PROCESSED_BY, "pb")                                                                     \
    XX(FINISHED_ON, "finishedOn")                                                              \
    XX(PROGRESS, "progress")                                                                   \
    XX(RETURN_VALUE, "returnvalue")                                                            \
    XX(FAILED_REASON, "failedReason")                                                          \
    XX(STACK_TRACE, "stacktrace")                                                              \
    XX(DEFERRED_FAILURE, "defa")                                                               \
    XX(PARENT_KEY, "parentKey")                                                                \
    XX(PARENT, "parent")                                                                       \
    XX(SCHEDULER, "rjk")                                                                       \
    XX(DEDUP_ID, "deid")                                                                       \
    XX(TELEMETRY, "tm")

enum ox_field {
#define OX_FIELD(name, text) OX_JOB_##name,
    OX_FIELDS(OX_FIELD) OX_FIELD_COUNT
#undef OX_FIELD
};

/** A job as it was when it was read. */
typedef struct ox_job ox_job;

OX_API const char *ox_job_id(const ox_job *job);
/** A field as it is stored, NULL when the job has none. */
OX_API const char *ox_job_text(const ox_job *job, enum ox_field field);
/** A field's length in bytes, 0 when the job has none. */
OX_API size_t ox_job_length(const ox_job *job, enum ox_field field);
/** A numeric field; `missing` when the job has none or it is not a number. Fractions are cut.
 */
OX_API int64_t ox_job_number(const ox_job *job, enum ox_field field, int64_t missing);
/** Tries in all that the job's options allow, at least 1. */
OX_API uint32_t ox_job_attempts(const ox_job *job);
/** When a delayed job was due, Unix ms, as it was read; 0 for a job that was not delayed. */
OX_API int64_t ox_job_due_ms(const ox_job *job);
OX_API void ox_job_free(ox_job *job);

/** Reads one job. `state`, may be NULL, gets its enum ox_state. OX_ENOTFOUND when it does not
 *  exist. */
OX_API int ox_queue_job(
    ox_queue *queue, const char *id, ox_job **out, int *state, ox_error *err);
/** The enum ox_state of a job; OX_UNKNOWN when it is in no state. */
OX_API int ox_queue_job_state(ox_queue *queue, const char *id, ox_error *err);

/** Where a job stands, as it was read. */
typedef struct ox_place {
    int64_t ahead;        /**< Jobs that start before it; -1: it is not waiting */
    int64_t lock_left_ms; /**< Of the lock of the worker that runs it; -1: there is none */
    uint64_t reserved[2];
} ox_place;
OX_API int ox_queue_place(ox_queue *queue, const char *id, ox_place *place, ox_error *err);

/**
 * Lists jobs of one state, from rank `start` to `end` (inclusive, -1 is the last). Ids without
 * a job are left out.
 * @param ascending  true: the one that runs next, or finished first, comes first
 */
OX_API int ox_queue_jobs(ox_queue *queue, int state, int64_t start, int64_t end, bool ascending,
    ox_job ***jobs, size_t *count, ox_error *err);

/** Jobs in each state, indexed by enum ox_state; OX_UNKNOWN and what is behind it stay 0. */
typedef struct ox_counts {
    int64_t of[16];
} ox_counts;
OX_API int ox_queue_counts(ox_queue *queue, ox_counts *counts, ox_error *err);

/** Waiting jobs of each given priority (0: those in the waiting list). */
OX_API int ox_queue_counts_by_priority(
    ox_queue *queue, const uint32_t *priorities, size_t count, int64_t *out, ox_error *err);

/** Lists log rows from `start` to `end` (inclusive), oldest first; `total`, may be NULL, gets
 * the number of all there are. */
OX_API int ox_queue_logs(ox_queue *queue, const char *id, int64_t start, int64_t end,
    char ***rows, size_t *count, int64_t *total, ox_error *err);

/** A child of a job, or the value or reason it left. */
typedef struct ox_child {
    const char *key;  /**< Full job key, "prefix:queue:id" */
    const char *text; /**< processed: its return value (JSON); ignored: its failure; or NULL */
    int kind;         /**< enum ox_child_kind */
} ox_child;
enum ox_child_kind { OX_CHILD_PROCESSED, OX_CHILD_PENDING, OX_CHILD_IGNORED, OX_CHILD_FAILED };
/** Lists all children of a job. */
OX_API int ox_queue_children(
    ox_queue *queue, const char *id, ox_child ***children, size_t *count, ox_error *err);

/**
 * Waits until a job has finished. If the server goes away meanwhile, reconnects for up to 30
 * seconds. A job that no longer exists is looked for in the newest events: it may have finished
 * a moment ago with options that keep nothing.
 * @param timeout_ms  0: for ever
 * @param json        out, may be NULL: the return value, yours. On OX_EFAILED, the error text
 * is the reason, as far as it fits.
 * @return 0, OX_EFAILED, OX_ETIMEOUT (the text names the job's state), OX_ENOTFOUND when the
 * job was removed or never existed, OX_ESTATE when it no longer exists and no event tells how
 * it finished, or a connection error
 */
OX_API int ox_queue_wait(
    ox_queue *queue, const char *id, uint32_t timeout_ms, char **json, ox_error *err);

enum ox_update_kind { OX_UPDATE_STATE = 1, OX_UPDATE_PROGRESS, OX_UPDATE_LOG };
/** A new state, progress or log row of a job that is waited for. Borrowed for the call. */
typedef struct ox_job_update {
    int kind;         /**< enum ox_update_kind */
    int64_t at_ms;    /**< The server's clock: when its event was written; of log rows, and of
                         changes without an event, when it was seen */
    const char *text; /**< The name of the state, the progress (JSON), or the log row */
} ox_job_update;
typedef void ox_job_update_fn(void *arg, const ox_job_update *update);

typedef struct ox_wait_options {
    uint32_t timeout_ms; /**< 0: for ever */
    uint32_t outage_ms;  /**< How long the server may be away. 0: 30000 */
    /** A reader of the queue's events that was made before the job was added: then its finish
     *  is not missed, however few events are kept. NULL: the call makes one. */
    struct ox_events *events;
    bool known; /**< The job is known to have existed: OX_ESTATE, not OX_ENOTFOUND, when it is
                   gone */
    /** Called first with the present state, progress and log rows, then with each change until
     *  the job has finished, log rows within a tenth of a second; never for a job that has
     *  already finished. NULL: none. It must not use the queue. */
    ox_job_update_fn *update;
    void *arg; /**< For `update` */
    uint64_t reserved[4];
} ox_wait_options;

/**
 * The same with options; NULL: the defaults.
 * @param text  out, may be NULL: the return value, or on OX_EFAILED the whole reason, yours
 */
OX_API int ox_queue_wait_with(ox_queue *queue, const char *id, const ox_wait_options *options,
    char **text, ox_error *err);

/* ---- Changing jobs ----------------------------------------------------------------------- */

enum ox_retry_flags { OX_RESET_ATTEMPTS_MADE = 1, OX_RESET_ATTEMPTS_STARTED = 2 };
/** Runs a finished job again. `state`, OX_FAILED or OX_COMPLETED, is where it must be: else
 *  OX_ESTATE, or OX_ENOTFOUND. `flags`: enum ox_retry_flags. */
OX_API int ox_queue_retry(
    ox_queue *queue, const char *id, int state, unsigned flags, ox_error *err);
/** Retries all in that state that finished at or before `before_ms` (0: all). Returns how
 *  many. */
OX_API int64_t ox_queue_retry_all(ox_queue *queue, int state, int64_t before_ms, ox_error *err);
/** Runs a delayed job now. OX_ESTATE when it is not delayed. */
OX_API int ox_queue_promote(ox_queue *queue, const char *id, ox_error *err);
/** Promotes all delayed jobs. Returns how many. */
OX_API int64_t ox_queue_promote_all(ox_queue *queue, ox_error *err);
/** Removes a job, and with `with_children` its children, theirs and so on. Returns 1, or 0 for
 *  a job that is not there; OX_ELOCK while a worker runs one of them, OX_ESCHEDULED for a
 *  scheduler's next job: then nothing is removed. Children go in many steps, so one that is
 *  started meanwhile ends the removal half way; it can be made again, as after any failure. */
OX_API int ox_queue_remove(ox_queue *queue, const char *id, bool with_children, ox_error *err);
/**
 * Removes many jobs, without their children, in few calls.
 * @param ids      `count` of them
 * @param results  out, one for each: 1, 0 for a job that is not there, or a failure that is
 * this job's own, such as OX_ELOCK; see ox_queue_remove()
 * @return how many were removed. A failure, such as a lost connection, is also the result of
 *         each job that was not come to, or of which it is not known; removing those again
 *         goes on.
 */
OX_API int64_t ox_queue_remove_many(
    ox_queue *queue, const char *const *ids, size_t count, int *results, ox_error *err);

/**
 * Fails a running job for good, whichever worker runs it: the lock goes, so what the worker
 * makes of it is refused. A worker of this library is told when it renews its locks, after
 * renew_ms at most (see lock_lost and ox_task_cancelled()); of another one the handler may run
 * to its end. The reason is also a row in the job's log.
 * @param reason  makes "cancelled: REASON"; NULL: "cancelled" alone
 * @return 1 when a worker of this library ran it, 0 when another one did, or none that holds
 * its lock (one that had not locked it yet, see lock_after_ms, is told when it would);
 * OX_ENOTFOUND, OX_ESTATE for a job that is not active: the text names its state
 */
OX_API int ox_queue_cancel(ox_queue *queue, const char *id, const char *reason, ox_error *err);

/** All of these give OX_ENOTFOUND for a job that is not there. */
OX_API int ox_queue_update_data(
    ox_queue *queue, const char *id, const char *json, ox_error *err);
OX_API int ox_queue_update_progress(
    ox_queue *queue, const char *id, const char *json, ox_error *err);
/** Adds a log row. Returns how many there are now; `keep` newest stay (0: all). */
OX_API int64_t ox_queue_add_log(
    ox_queue *queue, const char *id, const char *row, uint32_t keep, ox_error *err);
/** Drops log rows but the `keep` newest. */
OX_API int ox_queue_clear_logs(ox_queue *queue, const char *id, uint32_t keep, ox_error *err);
/** A waiting job moves at once; a delayed job gets its place when it is due. `lifo`: before the
 *  others of that priority. */
OX_API int ox_queue_change_priority(
    ox_queue *queue, const char *id, uint32_t priority, bool lifo, ox_error *err);
/** A delayed job becomes due `delay_ms` from now. OX_ESTATE when it is not delayed. */
OX_API int ox_queue_change_delay(
    ox_queue *queue, const char *id, int64_t delay_ms, ox_error *err);
/** Removes a child from its parent's dependencies. Returns 1, or 0 when it has no parent. */
OX_API int ox_queue_remove_child_dependency(ox_queue *queue, const char *id, ox_error *err);
/** Frees a deduplication id. Returns 1 when it was held. */
OX_API int ox_queue_remove_dedup(ox_queue *queue, const char *dedup_id, ox_error *err);

/* ---- Steering a queue -------------------------------------------------------------------- */

/** Pauses the queue: no job starts on any worker; active jobs go on. */
OX_API int ox_queue_pause(ox_queue *queue, ox_error *err);
OX_API int ox_queue_resume(ox_queue *queue, ox_error *err);
/** 1 when paused, else 0. */
OX_API int ox_queue_is_paused(ox_queue *queue, ox_error *err);

/** Removes all waiting and prioritized jobs, and with `delayed` the delayed ones, but for a
 *  scheduler's next job. Returns how many. */
OX_API int64_t ox_queue_drain(ox_queue *queue, bool delayed, ox_error *err);
/**
 * Removes jobs of one state that are older than `grace_ms`, at most `limit` (0: all). Running
 * jobs and a scheduler's next one stay. OX_WAITING takes the list `paused` along.
 * @param removed  NULL, or called with each id
 * @return how many
 */
OX_API int64_t ox_queue_clean(ox_queue *queue, int state, int64_t grace_ms, uint32_t limit,
    void (*removed)(void *arg, const char *id), void *arg, ox_error *err);
/** Pauses the queue, then removes it with all it has. Without `force`, OX_EACTIVE while jobs
 *  run; OX_EACTIVE as well when jobs are added faster than they go. */
OX_API int ox_queue_obliterate(ox_queue *queue, bool force, ox_error *err);

/** Settings and numbers of a queue as a whole. 0 where a limit is not set. */
typedef struct ox_queue_info {
    char version[64]; /**< Who opened it last, as BullMQ writes it */
    bool paused;
    uint32_t concurrency; /**< Jobs active at once, over all workers */
    uint32_t rate_max;    /**< Starts in a window of */
    int64_t rate_duration_ms;
    int64_t rate_ttl_ms; /**< Time left until the limiter opens; 0: open */
    int64_t max_events;
    int64_t next_id;         /**< Jobs added so far, about */
    bool stray_paused_list;  /**< A 5.x client left jobs in `paused`; resume to free them */
    bool obsolete_markers;   /**< `wait` has ids of BullMQ before 5.0 */
    bool legacy_repeatables; /**< `repeat` has members that are not job schedulers */
    uint64_t reserved[4];
} ox_queue_info;
OX_API int ox_queue_info_get(ox_queue *queue, ox_queue_info *info, ox_error *err);

/** Jobs active at once over all workers. 0 takes the limit away. */
OX_API int ox_queue_set_concurrency(ox_queue *queue, uint32_t max, ox_error *err);
/** Starts in a window over all workers. 0 takes the limit away. Workers of Ox that have a
 * limiter of their own keep to both; with BullMQ, the most starts are the queue's and the
 * window is the worker's. */
OX_API int ox_queue_set_rate(ox_queue *queue, uint32_t max, int64_t duration_ms, ox_error *err);
/** No job starts for that long, on workers that have a limiter, or on all when the queue has a
 *  rate. 0 ends the limit. */
OX_API int ox_queue_rate_limit(ox_queue *queue, int64_t duration_ms, ox_error *err);

/** Finished jobs a minute. */
typedef struct ox_metrics {
    int64_t count;         /**< In all */
    int64_t previous_ms;   /**< When the newest point was written; 0: nothing was counted */
    const int64_t *points; /**< One a minute, newest first */
    size_t point_count;
} ox_metrics;
/** `state` is OX_COMPLETED or OX_FAILED. What you get is one block: ox_free(). */
OX_API int ox_queue_metrics(ox_queue *queue, int state, ox_metrics **out, ox_error *err);

/** A worker that the server lists. */
typedef struct ox_worker_info {
    char name[128]; /**< Empty when it has none */
    char address[80];
    int64_t age_s;
    int64_t idle_s;
} ox_worker_info;
/** Lists the workers of the queue that name their connections as BullMQ does. */
OX_API int ox_queue_workers(
    ox_queue *queue, ox_worker_info ***workers, size_t *count, ox_error *err);

/* ---- Job schedulers ---------------------------------------------------------------------- */

typedef struct ox_schedule {
    int64_t every_ms;         /**< Either this.. */
    const char *pattern;      /**< ..or a cron pattern of five or six fields (seconds first) */
    const char *tz;           /**< For the pattern: "Europe/Berlin". NULL: the machine's */
    int64_t offset_ms;        /**< With every: shift from the multiple. 0: from now on */
    int64_t start_ms, end_ms; /**< 0: none */
    int64_t limit;            /**< Iterations. 0: any */
    bool immediately;         /**< With a pattern: the first run is now */
    uint64_t reserved[4];
} ox_schedule;

/**
 * Makes or changes a scheduler and its next job. A next job that still waits is replaced; with
 * the same interval it keeps its time. Workers make each job after it when they take one.
 * @param scheduler_id  any text, also with ':', but none that ends in ":" and a time
 * @param job  the template of the jobs, may be NULL; without a name they have the scheduler's
 *             id. Id, delay, timestamp, parent and deduplication have no place in its options.
 * @param id   out, may be NULL: the next job's id, yours
 * @return 0, OX_EINVAL (also when the end is before the next time), OX_ESLOT when all next
 *         times are taken by jobs of old; then nothing has changed
 */
OX_API int ox_scheduler_set(ox_queue *queue, const char *scheduler_id,
    const ox_schedule *schedule, const ox_new_job *job, char **id, ox_error *err);
/** Its next job goes with it, unless that is due. Returns 1, or 0 when there is none. */
OX_API int ox_scheduler_remove(ox_queue *queue, const char *scheduler_id, ox_error *err);

/** A scheduler as it is stored. Text is NULL where missing. */
typedef struct ox_scheduler {
    const char *id, *name, *pattern, *tz, *data, *opts;
    int64_t every_ms, offset_ms, start_ms, end_ms, limit, iterations, next_ms;
} ox_scheduler;
/** Lists the schedulers from rank `start` to `end` (inclusive, -1 is the last), by next time,
 *  ascending. */
OX_API int ox_queue_schedulers(ox_queue *queue, int64_t start, int64_t end,
    ox_scheduler ***schedulers, size_t *count, ox_error *err);

/**
 * When a cron pattern fires next, strictly after `after_ms`.
 * @return 0, OX_EINVAL for a bad pattern or time zone, OX_ENOTFOUND when it never does again
 */
OX_API int ox_cron_next(
    const char *pattern, const char *tz, int64_t after_ms, int64_t *next_ms, ox_error *err);

/* ---- Flows ------------------------------------------------------------------------------- */

/**
 * Adds a tree of jobs in one transaction; a parent runs when its children are done. All is
 * checked before anything is sent; the error names the job by its path, "children[2]". A flow
 * has at most 10,000 jobs in 200 levels.
 * @param client  all queues of the flow live there
 * @param prefix  NULL: "bull"
 * @param queue   the queue of jobs that name none. NULL: each job must name one
 * @param json    BullMQ's flow: {"name","queueName","data"?,"opts"?,"prefix"?,"children"?:[..]}
 *                or an array of such trees. Only a root may name a parent in its options; jobs
 *                without a jobId get a UUID; data is stored byte for byte.
 * @param id      out, may be NULL: the (first) root's id, yours; NULL on failure
 * @return the root's enum ox_added (OX_DUPLICATED: it was there; its children were added to
 *         it), OX_EINVAL (nothing was sent), OX_EPARENT, OX_EPARENTTAKEN when a job that was
 *         there already has another parent (the text says whether the rest was added)
 */
OX_API int ox_flow_add(ox_client *client, const char *prefix, const char *queue,
    const char *json, char **id, ox_error *err);

/** The same with options for all queues of the flow, `prefix` among them; `batch` means nothing
 *  here. NULL: the defaults. */
OX_API int ox_flow_add_with(ox_client *client, const ox_queue_options *options,
    const char *queue, const char *json, char **id, ox_error *err);

/* ---- Events ------------------------------------------------------------------------------ */

/** Reads the event stream of a queue, over a connection of its own. */
typedef struct ox_events ox_events;

/** One event. All text is borrowed until the next call. */
typedef struct ox_event {
    const char *stream_id;     /**< "ms-seq", the server's clock */
    const char *name;          /**< "added", "waiting", "completed", ... */
    const char *job_id;        /**< NULL for events of the whole queue */
    size_t field_count;        /**< Strings in `fields`: two for each field that is left */
    const char *const *fields; /**< name, value, name, value, ... */
    uint64_t reserved[2];
} ox_event;

/** @param from  stream id after which to start, "0" for all there is, NULL for new ones */
OX_API int ox_events_new(ox_events **out, ox_queue *queue, const char *from, ox_error *err);
/** Waits for the next event. Returns 1, 0 when `timeout_ms` is over (0: for ever). */
OX_API int ox_events_next(
    ox_events *events, uint32_t timeout_ms, ox_event *event, ox_error *err);
OX_API void ox_events_free(ox_events *events);

/* ---- Worker ------------------------------------------------------------------------------ */

struct uv_loop_s;

/** Takes jobs of one queue on a libuv loop and hands each to a callback. */
typedef struct ox_worker ox_worker;
/** One job that this worker runs, from the callback until it is ended by one of the calls
 *  below, or the worker is aborted; then it is gone. */
typedef struct ox_task ox_task;

/** Called on the loop for each job. End the task now or later, on the loop's thread. */
typedef void ox_process_fn(ox_task *task, void *arg);

/** What happens to a running job while its worker has no connection to the server. */
enum ox_on_disconnect {
    /** It runs on, and its result is stored when the server is back, unless another worker was
     *  given the job meanwhile: then both runs overlap, and the result is refused. */
    OX_DISCONNECT_CONTINUE = 0,
    /** `lock_lost` is called once the lock must have run out, by a clock that counts sleep,
     * from the sending of the last renewal that was answered: nothing runs twice at a time.
     * However the task is then ended, the job moves to wait, with no attempt spent, when the
     * server is back. */
    OX_DISCONNECT_KILL
};

/** The outcome of a run. */
enum ox_outcome {
    OX_RUN_COMPLETED = 1,
    OX_RUN_FAILED,   /**< For good */
    OX_RUN_RETRIED,  /**< An attempt was spent; it waits, or is delayed by its backoff */
    OX_RUN_DELAYED,  /**< No attempt spent; see ox_task_delay() */
    OX_RUN_RELEASED, /**< No attempt spent; see ox_task_release() and ox_task_rate_limited() */
    OX_RUN_WAITS     /**< For its children; see ox_task_wait_children() */
};

/** Why the library failed a job without calling the process function. The reason is also a row
 *  in the job's log. */
enum ox_unrun {
    OX_UNRUN_INVALID = 1,       /**< Its stored data or options are not valid */
    OX_UNRUN_EXPIRED,           /**< Its option `expire` */
    OX_UNRUN_STARTED_TOO_OFTEN, /**< max_started of ox_worker_options */
    OX_UNRUN_STALLED_TOO_OFTEN, /**< max_stalled */
    OX_UNRUN_CHILD_FAILED,      /**< A child job failed for good, with failParentOnFailure */
    OX_UNRUN_LOCK_LOST          /**< Nothing is stored, and `err` set: it had to wait for its
                                     lock, and another worker has it */
};

/** The end of one run, as the server has it. Everything is borrowed for the call. */
typedef struct ox_run_end {
    const ox_job *job;
    uint32_t attempt;   /**< As ox_task_attempt() said */
    int outcome;        /**< enum ox_outcome */
    int unrun;          /**< enum ox_unrun; 0: the process function was called */
    const char *reason; /**< Why it failed or is tried again; NULL with other outcomes */
    void *data;         /**< That of ox_task_set_data(); last use of it by the library */
    /** NULL: the result is stored. Else nothing is stored: OX_ELOCK when the lock was lost, so
     * that another worker may have the job, OX_ECANCELLED when it was cancelled, OX_ENOTFOUND
     * or OX_ESTATE when it was removed or moved, OX_ECLOSED after an abort. */
    const ox_error *err;
} ox_run_end;

/** What a worker found or did about a job on its own. */
enum ox_notice {
    /** It stalled (its worker is gone): this worker's stalled check moved it to wait. */
    OX_NOTICE_STALLED = 1,
    /** The same, and for the last time: it will fail instead of running again. */
    OX_NOTICE_STALLED_TOO_OFTEN,
    /** A call of this worker took it, but the reply was lost: it was moved to wait, no stall
     * counted.
     */
    OX_NOTICE_TAKE_LOST,
    /** Its lock ran out, since the server could not be reached or this process stood still;
     * nobody else had the job, so this worker has locked it again and its run goes on. */
    OX_NOTICE_LOCKED_AGAIN,
    /** It was in no state, so no worker would ever have run it (an older version or another
     *  program lost it): it was moved to wait, or back to the state in which it waited. A stall
     *  is counted if it had been started. */
    OX_NOTICE_RESTORED,
    /** It is in no state, but has finished: it was left as it is. Reported once by a worker. */
    OX_NOTICE_NO_STATE
};

typedef struct ox_worker_options {
    const char *name;     /**< Shown in dashboards, and as `pb` of jobs; visible ASCII */
    uint32_t concurrency; /**< Tasks at once. 0: 1 */
    uint32_t lock_ms;     /**< Lock of a running job (lockDuration). 0: 10000 */
    uint32_t renew_ms;    /**< Locks are renewed this often. 0: 3 / 10 of lock_ms */
    uint32_t stalled_interval_ms; /**< Between stalled checks (stalledInterval). 0: 5000 */
    /** Times that a job may stall (its worker goes away while it runs) before it fails unrun;
     *  as often, in any case, as it has attempts left. 0: 1, as in BullMQ; -1: any number */
    int32_t max_stalled;
    uint32_t max_started;        /**< Starts a job may have. 0: any; see ox_task_decline() */
    uint32_t drain_delay_ms;     /**< Longest sleep on an empty queue, up to 10000. 0: 5000 */
    uint32_t limiter_max;        /**< Starts in a window over all workers; besides the queue's
                                      own rate, see ox_queue_set_rate(). 0: no limit */
    int64_t limiter_duration_ms; /**< That window; not 0 with limiter_max */
    ox_keep remove_on_complete;  /**< For jobs without the option */
    ox_keep remove_on_fail;
    uint32_t metrics_points; /**< Minutes of metrics to keep. 0: none */
    uint32_t calls;          /**< Script calls in flight, up to 16. 0: 4 */
    /* The callbacks below are called on the loop, with `arg` of ox_worker_new(). */
    /** The lock was lost: another worker may run the job. Stop the work and end the task, now
     *  or later, in any way: nothing of it is sent but rows of the job's log. */
    void (*lock_lost)(ox_task *task, void *arg);
    /** An error that the worker survives: connection lost, a result refused. `job_id` is NULL
     *  when it concerns the worker as a whole. */
    void (*error)(ox_worker *worker, const char *job_id, const ox_error *error, void *arg);
    /** The connection is up, at the start and after each loss. */
    void (*ready)(ox_worker *worker, void *arg);
    /** A custom backoff type: the wait in ms after `made` attempts, 0: at once, -1: fail,
     *  -2: fail with the reason that the type is unknown, as without this callback. It is
     *  called from within ox_task_fail(). */
    int64_t (*backoff)(ox_task *task, const char *type, uint32_t made, void *arg);
    /** The server has stored the outcome of a run, or has refused it: only now is the job
     *  completed. Called once for each task that was ended, in any way (not for one that still
     *  ran when the worker was aborted), and for each job that was failed unrun. Refusals then
     *  do not go to `error`. */
    void (*run_ended)(ox_worker *worker, const ox_run_end *end, void *arg);
    /** Worth a line in a log: an enum ox_notice. */
    void (*notice)(ox_worker *worker, int notice, const char *job_id, void *arg);
    int on_disconnect; /**< enum ox_on_disconnect */
    /** All progress, log rows and data of a running task so far are stored or refused:
     *  ox_task_pending_updates() is 0. */
    void (*updates_done)(ox_task *task, void *arg);
    /** The lock is written only for runs that still go on so many ms after their take; shorter
     *  ones end without one, for up to twice as long. At most half of stalled_interval_ms, of
     *  which BullMQ workers on the queue must have at least as much; not with
     *  OX_DISCONNECT_KILL. In that time others can remove or clean the running job, and a job
     *  whose worker dies or whose take is lost on the way counts as stalled. 20 to 50 ms are
     *  sensible, for jobs that mostly take less. 0: when the job is taken */
    uint32_t lock_after_ms;
    /** With lock_after_ms: `processedOn`, `ats` (attempts started) and `pb` are written
     *  together with the lock, or with the end of the run, if it comes first. Those of a job
     *  that has been started before, or has stalled, are written when it is taken, as are those
     *  of all while so much waits that this costs the server less. */
    bool late_start;
    uint64_t reserved[3];
} ox_worker_options;

/**
 * Starts a worker. It connects by itself, and again whenever the connection is lost.
 * @param loop   outlives the worker
 * @param queue  read during the call only (name, prefix, options, its client's URL)
 * @return 0, OX_EINVAL for options that do not go together. The state of the connection is
 * reported by `ready` and `error`.
 */
OX_API int ox_worker_new(ox_worker **out, struct uv_loop_s *loop, const ox_queue *queue,
    const ox_worker_options *options, ox_process_fn *process, void *arg, ox_error *err);

/** Takes no more jobs until resumed; running ones go on. A call in flight may still bring some.
 *  */
OX_API void ox_worker_pause(ox_worker *worker);
OX_API void ox_worker_resume(ox_worker *worker);
/** Tasks at once from now on (0: 1). Those that run beyond it run on. */
OX_API void ox_worker_set_concurrency(ox_worker *worker, uint32_t concurrency);
/** Starts in a window over all workers from now on, as in ox_worker_options; 0: no limit.
 *  @return 0, OX_EINVAL for a limit without a duration */
OX_API int ox_worker_set_limiter(
    ox_worker *worker, uint32_t max, int64_t duration_ms, ox_error *err);
/** Tasks that run now. */
OX_API uint32_t ox_worker_running(const ox_worker *worker);
/** Tasks that were ended and whose results the server has not confirmed yet. With neither
 * running nor unstored tasks, a close waits only for the reply to a take, which may bring jobs.
 */
OX_API uint32_t ox_worker_unstored(const ox_worker *worker);
OX_API const char *ox_worker_queue_name(const ox_worker *worker);

/**
 * Takes no more jobs, waits until every task is ended and its result stored, then closes the
 * connections, calls `closed` (may be NULL) from the loop and frees the worker. Call it once.
 */
OX_API void ox_worker_close(ox_worker *worker, void (*closed)(void *arg), void *arg);

/**
 * Closes at once: results not yet stored are lost, running jobs stall and are run elsewhere.
 * All tasks are gone when this returns. Also ends a close that takes too long (the server is
 * away, for example); then this `closed` is called, not the other.
 */
OX_API void ox_worker_abort(ox_worker *worker, void (*closed)(void *arg), void *arg);

/**
 * The job; borrowed until the task is ended. It has what a run needs: name, data, options,
 * timestamp, attempts made, starts before this one, and its scheduler; if it was started or
 * tried before, also progress, times stalled, the last reason and stack traces. For the rest
 * see ox_queue_job().
 */
OX_API const ox_job *ox_task_job(const ox_task *task);
/** Which attempt this is, from 1: one more than the attempts that are spent. A run that was
 *  released or delayed, or that stalled, has spent none, so the next one has its number. (A job
 *  that stalls too often fails when stalls and spent attempts together have used its attempts
 *  up; see max_stalled.) */
OX_API uint32_t ox_task_attempt(const ox_task *task);
OX_API ox_worker *ox_task_worker(const ox_task *task);
/** How long the job's options let it run, in ms; 0: for ever. That is for the program to keep.
 */
OX_API int64_t ox_task_timeout_ms(const ox_task *task);
/** In `lock_lost` and behind it: whether the lock was lost since the job was cancelled, see
 *  ox_queue_cancel(). */
OX_API bool ox_task_cancelled(const ox_task *task);
/** A place for one pointer of yours. */
OX_API void ox_task_set_data(ox_task *task, void *data);
OX_API void *ox_task_data(const ox_task *task);

/**
 * Completes the task.
 * @param json  the return value; NULL: null
 * @return 0, or OX_EINVAL for text that is not JSON: then the task is ended as well, and the
 * job fails for good with that reason, which is also a row in its log
 */
OX_API int ox_task_complete(ox_task *task, const char *json);

typedef struct ox_failure {
    const char *reason;    /**< The message, up to 64 KiB. NULL: "failed" */
    const char *stack;     /**< Where, in lines, up to 64 KiB. NULL: the reason alone */
    bool unrecoverable;    /**< Do not try again */
    const char *telemetry; /**< Metadata of the failed run (field tm). NULL: none */
    /** The next attempt not before so many ms from now, as when a service answers with
     *  Retry-After. The longer of this and the job's backoff counts; an attempt is spent.
     *  0 or less: the backoff alone */
    int64_t min_delay_ms;
    uint64_t reserved[1];
} ox_failure;
/** Fails the task: the job is retried, or fails for good, by its options. NULL: no reason. With
 *  a reserve that is not zero it fails for good with that reason. */
OX_API void ox_task_fail(ox_task *task, const ox_failure *failure);
/** Ends the task: the job moves to the front of wait, no attempt spent. */
OX_API void ox_task_release(ox_task *task);
/** Ends the task: it runs again at `at_ms`, no attempt spent. */
OX_API void ox_task_delay(ox_task *task, int64_t at_ms);
/** Ends a task that was not begun, as when what is to run it cannot be started: as if it had
 * not been taken, neither an attempt nor a start (max_started) spent. It runs again at `at_ms`;
 * if that is not in the future, such as 0, the job moves to the front of wait. `run_ended` gets
 *  OX_RUN_DELAYED or OX_RUN_RELEASED. */
OX_API void ox_task_decline(ox_task *task, int64_t at_ms);
/** Ends the task: released, and nothing more is taken for `duration_ms`. */
OX_API void ox_task_rate_limited(ox_task *task, int64_t duration_ms);
/** Ends the task until its children have finished, when the job runs again. If none is pending
 *  the task goes on: `go_on` is called from the loop and the task is yours again. In between it
 *  is not to be ended. When a child has failed for good with failParentOnFailure, so does the
 *  job.
 */
OX_API void ox_task_wait_children(
    ox_task *task, void (*go_on)(ox_task *task, void *arg), void *arg);

/** For a running task. Sent at once, but for progress while 16 updates of the task are in
 *  flight: then only the newest one waits, and those between are never sent. Failures are
 *  reported to `error`. Once the lock is lost only rows are sent, as far as the job is still
 *  there. A row has up to 64 KiB. Return 0, or OX_EINVAL for bad JSON. */
OX_API int ox_task_progress(ox_task *task, const char *json);
OX_API int ox_task_log(ox_task *task, const char *row);
OX_API int ox_task_update_data(ox_task *task, const char *json);
/** How many of these are in flight. While the server is slow or away they are held in memory: a
 *  program that logs many rows stops at some number, and goes on at `updates_done`. */
OX_API uint32_t ox_task_pending_updates(const ox_task *task);

#ifdef __cplusplus
}
#endif

#include <ox_stream.h> /* events: streams, bindings, tails */

#endif /* OX_H */
