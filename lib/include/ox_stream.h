/*
 * ox_stream.h - events: publish once, a job for each bound queue, a log to follow. A part of
 * ox.h, which includes it; its conventions hold here too.
 *
 * An event is a CloudEvents 1.0 event. A stream is a named, numbered log of events with a
 * retention. A binding is a pattern of types and a queue: each matching event becomes a job
 * there. A group is a named position in a stream, shared by its members, the consumers, which
 * get events in batches. A tail is a reader that keeps its own position.
 *
 * Position
 *   Where an event is in its stream: "<ms>-<number>". The number counts the events of the
 *   stream from 1 without gaps, so the difference of two is how many events lie between, and a
 *   jump tells how many retention took.
 *
 * Pattern
 *   Of types: segments joined by '.', where '*' is one segment and '>', at the end, one or
 *   more. A type, and a pattern, has 1..16 segments of A-Z, a-z, 0-9, '_' and '-', and at most
 *   255 bytes.
 */
#ifndef OX_STREAM_H
#define OX_STREAM_H

#include <ox.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Streams ----------------------------------------------------------------------------- */

/** A stream by name. Making one sends nothing; a stream exists once it has events, bindings,
 *  groups or settings. */
typedef struct ox_stream ox_stream;

enum {
    OX_POSITION_SIZE = 44 /**< Bytes of a position with its NUL */
};

typedef struct ox_stream_options {
    const char *prefix; /**< Not empty. NULL: "bull" */
    /** CloudEvents `source` of events without one, a URI reference. NULL: "/ox/<host>" */
    const char *source;
    bool legacy_pause; /**< Of bound queues, as in ox_queue_options */
    uint32_t batch;    /**< Events in one script call at most, 1..1000. 0: 100 */
    uint64_t reserved[4];
} ox_stream_options;

/**
 * @param client  outlives the stream
 * @param name    1..64 of a-z, 0-9, '_' and '-'. NULL: "events"
 */
OX_API int ox_stream_new(ox_stream **out, ox_client *client, const char *name,
    const ox_stream_options *options, ox_error *err);
OX_API void ox_stream_free(ox_stream *stream);
OX_API const char *ox_stream_name(const ox_stream *stream);
OX_API const char *ox_stream_prefix(const ox_stream *stream);

/** Names of the streams under a prefix (NULL: "bull"), a sorted list. */
OX_API int ox_client_streams(
    ox_client *client, const char *prefix, char ***names, size_t *count, ox_error *err);

/** What a stream keeps. Bounds are looked at when events are published, and passed by a few
 *  percent; what is younger or less is never taken. What goes before a group has read it is
 * counted as lost to that group. */
typedef struct ox_stream_settings {
    int64_t keep_ms;     /**< Events older than this go. 0: any age. Default 7 days */
    int64_t keep_events; /**< So many of the newest stay. 0: any number. Default 1,000,000 */
    int64_t keep_bytes;  /**< Of Redis' memory for the log. 0: any. Default 512 MiB */
    /** What a group has not read, or not acknowledged, stays as well, whatever its age and
     *  number, up to keep_bytes, which then must not be 0 (OX_EINVAL). Default off */
    bool keep_unread;
    bool dedup_all; /**< Also ids that the library made. Default: those that publishers gave */
    bool deflate;   /**< Entries are compressed (zlib), where that makes them smaller */
    int64_t dedup_ms;  /**< How long an id is remembered. 0: not at all. Default 120000 */
    int64_t max_event; /**< Bytes of one event as JSON, 65536..16777216. Default 262144 */
    uint64_t reserved[6];
} ox_stream_settings;

/** Names a setting to change; joined by |. */
enum ox_stream_setting {
    OX_SET_KEEP_MS = 1,
    OX_SET_KEEP_EVENTS = 2,
    OX_SET_KEEP_BYTES = 4,
    OX_SET_KEEP_UNREAD = 8,
    OX_SET_DEDUP_MS = 16,
    OX_SET_DEDUP_ALL = 32,
    OX_SET_DEFLATE = 64,
    OX_SET_MAX_EVENT = 128
};

/** Those of a stream that does not exist are the defaults. */
OX_API int ox_stream_settings_get(
    ox_stream *stream, ox_stream_settings *settings, ox_error *err);
/** Changes what `change`, of enum ox_stream_setting, names. */
OX_API int ox_stream_settings_set(
    ox_stream *stream, const ox_stream_settings *settings, unsigned change, ox_error *err);

typedef struct ox_stream_info {
    int64_t events;               /**< In the log */
    int64_t entries;              /**< Redis entries that hold them */
    int64_t bytes;                /**< Of Redis' memory, about; -1 where the user may not ask */
    int64_t published;            /**< Ever: the number of the newest event */
    int64_t duplicates;           /**< Ever */
    int64_t jobs;                 /**< Made by bindings, ever */
    char first[OX_POSITION_SIZE]; /**< Of the oldest event in the log, "" when it is empty */
    char last[OX_POSITION_SIZE];  /**< Of the newest */
    uint32_t groups, bindings;
    int64_t last_minute; /**< Of the events in the log: those of the last 60 s by its clock */
    int64_t last_hour;   /**< Those of the last 3600 s */
    uint64_t reserved[2];
} ox_stream_info;

/** OX_ENOTFOUND for a stream that does not exist. */
OX_API int ox_stream_info_get(ox_stream *stream, ox_stream_info *info, ox_error *err);
/**
 * Removes the oldest events now, whatever the settings: all but the newest `keep_events`, and
 * those before `before_ms`. Entries go whole: one stays while any of its events does.
 * @param keep_events  -1: any number
 * @param before_ms    0: of any age
 * @return  how many events went. OX_ENOTFOUND for a stream that does not exist
 */
OX_API int64_t ox_stream_trim(
    ox_stream *stream, int64_t keep_events, int64_t before_ms, ox_error *err);
/** Removes a stream with its bindings and all that belongs to it; jobs that its events made
 *  stay. Without `force` OX_EACTIVE while a group of it has members. Returns 1, 0 when there
 * was none. */
OX_API int ox_stream_remove(ox_stream *stream, bool force, ox_error *err);

/* ---- Publishing -------------------------------------------------------------------------- */

/** An event to publish. */
typedef struct ox_new_event {
    const char *type; /**< Without '*' and '>'. NULL: that of `event` */
    const char *json; /**< `data`. NULL: none */
    const char *id;   /**< Repeats with the same source and id are duplicates. NULL: a UUIDv7 */
    const char *source;        /**< A URI reference. NULL: the stream's */
    const char *subject;       /**< NULL: none */
    const char *partition_key; /**< NULL: none */
    const char *trace_parent;  /**< NULL: none */
    int64_t time_ms;           /**< When it happened. 0: now */
    /** The whole event as structured CloudEvents JSON; the members above override its. NULL:
     *  made of the members above */
    const char *event;
    uint64_t reserved[2];
} ox_new_event;

/** What became of one. */
typedef struct ox_published {
    char position[OX_POSITION_SIZE]; /**< Of the event; of a duplicate, that of the first */
    uint32_t jobs;                   /**< Jobs made */
    bool duplicate;                  /**< Nothing was published: its source and id are known */
    uint64_t reserved[2];
} ox_published;

/**
 * Publishes an event: it is appended to the log, and each queue with a matching binding gets a
 * job, in one step. The job's id is "ev-" and the SHA-1 of source, NUL and id; its name that of
 * the binding or the type; its data the whole event.
 * @param out  may be NULL
 * @return  1 when published, 0 for a duplicate, else nothing was published. OX_EINVAL: nothing
 *          was sent, or the event is larger than the stream takes. OX_ESERVER, with the queue's
 *          name where a key of it is of another type
 */
OX_API int ox_stream_publish(
    ox_stream *stream, const ox_new_event *event, ox_published *out, ox_error *err);
/**
 * Publishes events in order, in calls of at most `batch` (see ox_stream_options), several of
 * them in flight. Each call is atomic, the whole is not.
 * @param out  NULL, or `count` of them, filled as far as is known also after a failure: the
 *             position of an event that is not known to be published is ""
 * @return  0, or the first failure. All events are checked first: with OX_EINVAL for one of
 * them nothing was sent, unless it is the stream's limit that one exceeds
 */
OX_API int ox_stream_publish_many(ox_stream *stream, const ox_new_event *events, size_t count,
    ox_published *out, ox_error *err);

/**
 * Loads the library of functions "ox_v1" into the server, or replaces it, so that programs
 * without Ox can publish by FCALL ox_publish_v1; see docs/events-layout.md. The server keeps
 * and replicates it as it does data; in a cluster it goes to each node.
 * @return 0, OX_ESERVER (before Redis 7 there are no functions; the user may not load them)
 */
OX_API int ox_client_install(ox_client *client, ox_error *err);

/** Publishes from a libuv loop: gathers events into calls, has several of them in flight, and
 *  reports each event after Redis has answered. */
typedef struct ox_publisher ox_publisher;

/**
 * The outcome of one event. Called once for each event that was taken, in their order, from the
 * loop, never inside a call.
 * @param arg        of ox_publisher_new()
 * @param data       of ox_publisher_put()
 * @param published  NULL when it is not known to be published, then `err` says why: OX_EINVAL
 *                   (larger than the stream takes), OX_ESERVER, OX_ECLOSED
 */
typedef void ox_published_fn(
    void *arg, void *data, const ox_published *published, const ox_error *err);

typedef struct ox_publisher_options {
    uint32_t pack_events; /**< Events in one call at most. 0: 500; up to 1000 */
    uint32_t pack_bytes;  /**< Of JSON, passed by one event at most. 0: 65536; up to 1 MiB */
    /** Longest wait of an event for others. An event does not wait while nothing is in flight.
     *  0: 5 */
    uint32_t pack_ms;
    uint32_t calls; /**< In flight. 0: 4; up to 16 */
    uint32_t most;  /**< Events that are not answered yet at most. 0: 100000 */
    /** The connection was lost or cannot be made; it is tried again. Once for each reason.
     *  May be NULL */
    void (*error)(ox_publisher *publisher, const ox_error *error, void *arg);
    /** After a put that met OX_ESTATE: half of `most` is free again. May be NULL */
    void (*drained)(ox_publisher *publisher, void *arg);
    uint64_t reserved[4];
} ox_publisher_options;

/**
 * Starts a publisher. It connects by itself, and again whenever the connection is lost; what
 * was not answered is then sent again, and is not published twice as long as the stream's dedup
 * window lasts. Events are published in the order of put; only when one was too large for the
 * stream, others of its call come after later ones.
 * @param loop    outlives the publisher
 * @param stream  read during the call only (name, prefix, source, its client's URL)
 */
OX_API int ox_publisher_new(ox_publisher **out, struct uv_loop_s *loop, const ox_stream *stream,
    const ox_publisher_options *options, ox_published_fn *published, void *arg, ox_error *err);
/**
 * Takes an event, which is read during the call only.
 * @param data  for the callback; may be NULL
 * @return 0, or why it was not taken: OX_EINVAL for a bad one, OX_ESTATE when `most` are held,
 *         OX_ECLOSED
 */
OX_API int ox_publisher_put(
    ox_publisher *publisher, const ox_new_event *event, void *data, ox_error *err);
/** How many events were taken and have no outcome yet. */
OX_API uint32_t ox_publisher_held(const ox_publisher *publisher);
/** Takes no more, waits until every event has its outcome, then closes the connection, calls
 *  `closed` (may be NULL) from the loop and frees the publisher. Call it once. */
OX_API void ox_publisher_close(ox_publisher *publisher, void (*closed)(void *arg), void *arg);
/** Closes at once: events without an answer get OX_ECLOSED, and may or may not be published.
 *  Also ends a close that takes too long; then this `closed` is called, not the other. */
OX_API void ox_publisher_abort(ox_publisher *publisher, void (*closed)(void *arg), void *arg);

/* ---- Bindings ---------------------------------------------------------------------------- */

typedef struct ox_binding {
    const char *pattern;
    const char *queue;    /**< Of the stream's prefix */
    const char *job_name; /**< Of its jobs. NULL: the event's type */
    /** Of its jobs: a JSON object as ox_job_options.json, without an id, a parent, a timestamp
     *  or deduplication. NULL: none. Of a list: as stored, with BullMQ's short names */
    const char *options;
    /** The same as a struct, whose `json` must be NULL when there are `options`: it overrides
     *  these. NULL: none. Of a list: NULL */
    const ox_job_options *job;
    uint64_t reserved[2];
} ox_binding;

/** Binds a queue, or changes the binding of that pattern and queue, which keeps its age.
 * Returns 1 for a new one, else 0; OX_EINVAL in a Redis Cluster when the queue is in another
 * slot than the stream. */
OX_API int ox_stream_bind(ox_stream *stream, const ox_binding *binding, ox_error *err);
/** Returns 1, 0 when there was none. */
OX_API int ox_stream_unbind(
    ox_stream *stream, const char *pattern, const char *queue, ox_error *err);
/** Lists the bindings, oldest first. OX_EDATA when a stored one cannot be read; the text names
 *  it. ox_stream_publish() and ox_stream_route() skip such a binding. */
OX_API int ox_stream_bindings(
    ox_stream *stream, ox_binding ***bindings, size_t *count, ox_error *err);
/** Lists the bindings that an event of that type makes jobs by: for each queue the oldest that
 *  matches. */
OX_API int ox_stream_route(
    ox_stream *stream, const char *type, ox_binding ***bindings, size_t *count, ox_error *err);

/* ---- Tail -------------------------------------------------------------------------------- */

/** An event as it is stored. All text is borrowed until the next call. */
typedef struct ox_stream_event {
    const char *position;
    const char *json; /**< The whole event, structured CloudEvents JSON, on one line */
    size_t length;    /**< Of json */
    const char *type; /**< NULL where it has none, as in the next three */
    const char *id;
    const char *source;
    const char *subject;
    int64_t number; /**< Of the position */
    /** Events between the one before it and this that are gone. -1 when the numbers went back:
     *  Redis has lost its newest events, it is not known how many. For the first event after
     *  "start" or a time, 0 */
    int64_t lost;
    uint32_t deliveries; /**< To members of the group, this one counted. Of a tail: 0 */
    uint64_t reserved[3];
} ox_stream_event;

/** Follows a stream from a position of its own, over a connection of its own. It takes nothing
 *  from others. */
typedef struct ox_tail ox_tail;

typedef struct ox_tail_options {
    /** "start", "end", a position (events after it), or Unix ms (events since). NULL: "end" */
    const char *from;
    const char *pattern; /**< Of types. NULL: all */
    const char *subject; /**< NULL: all */
    /** The last event to be read, if the log still has some up to it: "end", which is the
     * newest as it is now, a position, or Unix ms. NULL: it goes on for ever */
    const char *to;
    uint64_t reserved[3];
} ox_tail_options;

OX_API int ox_tail_new(
    ox_tail **out, ox_stream *stream, const ox_tail_options *options, ox_error *err);
/**
 * Waits for the next event that is wanted.
 * @param timeout_ms  0: for ever. A tail with an end never waits
 * @return  1, 0 when the time is over, or at the end. OX_EDATA for an entry that is no event:
 * it is skipped. After this, or a connection error, the next call goes on where this one ended
 */
OX_API int ox_tail_next(
    ox_tail *tail, uint32_t timeout_ms, ox_stream_event *event, ox_error *err);
/** The position up to which the log was read; a tail from there misses nothing. Borrowed until
 *  the next call. */
OX_API const char *ox_tail_position(const ox_tail *tail);
OX_API void ox_tail_free(ox_tail *tail);

/* ---- Groups ------------------------------------------------------------------------------ */

typedef struct ox_group_info {
    const char *name;
    const char *position; /**< Up to which it has read */
    int64_t lag;          /**< Events after it: those that the group has yet to read */
    int64_t lag_ms;       /**< Age of the oldest of them. 0: there is none */
    int64_t pending;  /**< Entries of the log (see docs/events-layout.md) that were read and are
                           not acknowledged yet */
    int64_t dead;     /**< Dead letters */
    int64_t again;    /**< Events that are to run again: retried dead letters, replayed ones */
    int64_t lost;     /**< Events that retention took before the group read them, ever */
    uint32_t members; /**< Consumers that were heard of within a minute */
    const char *owner; /**< Of an ordered group the member that works; else NULL */
    int64_t dropped;   /**< Dead letters that were removed to keep their bound, ever */
    uint64_t reserved[3];
} ox_group_info;

/**
 * Makes a group.
 * @param group  1..64 of a-z, 0-9, '_' and '-'
 * @param from   where it begins: "start", "end", a position (after it) or Unix ms (events
 *               since). NULL: "end"
 * @return  1, or 0 when it was there: then it stays where it is. OX_EINVAL also for a position
 *          after the newest event
 */
OX_API int ox_group_create(
    ox_stream *stream, const char *group, const char *from, ox_error *err);
/** A move of a group. */
typedef struct ox_group_moved {
    char before[OX_POSITION_SIZE];   /**< Where it was; a move to there goes back */
    char position[OX_POSITION_SIZE]; /**< Where it was moved to */
    int64_t lag;                     /**< Events after that, to be read by the group */
    uint64_t reserved[2];
} ox_group_moved;

/**
 * Moves a group, also while its members run: what they have now they still end. What lies
 * inside an entry of several events moves to the entry's beginning, so some events before it
 * may come again.
 * @param to     as `from` of ox_group_create(); not NULL
 * @param moved  what holds at the moment of the move, before any member reads on. May be NULL
 * @return  0. OX_ENOTFOUND when there is no such group
 */
OX_API int ox_group_seek(
    ox_stream *stream, const char *group, const char *to, ox_group_moved *moved, ox_error *err);
/** Lists the groups of a stream by name; none for a stream that does not exist. */
OX_API int ox_group_list(
    ox_stream *stream, ox_group_info ***groups, size_t *count, ox_error *err);

/** A member of a group. The one named "released" is nobody: it has what was given back, which
 *  any other claims at once. */
typedef struct ox_group_member {
    const char *name;
    int64_t pending; /**< Entries of the log that it has and did not acknowledge */
    int64_t again;   /**< Events that are to run again and that it has */
    int64_t idle_ms; /**< Since it was heard of, by a read or a renewal of its claims */
    uint64_t reserved[2];
} ox_group_member;

/** Lists the members of a group that were heard of within a minute, and those that were not but
 *  still have entries, by name. OX_ENOTFOUND when there is no such group. */
OX_API int ox_group_members(ox_stream *stream, const char *group, ox_group_member ***members,
    size_t *count, ox_error *err);
/** Removes a group, with its dead letters. Without `force` OX_EACTIVE while it has members.
 *  Returns 1, 0 when there was none. */
OX_API int ox_group_remove(ox_stream *stream, const char *group, bool force, ox_error *err);

/* ---- Dead letters ------------------------------------------------------------------------ */

/** An event that a group gave up. A group's dead letters have the bound of the log in bytes,
 *  `keep_bytes`: beyond it the oldest go, and are counted as `dropped`. */
typedef struct ox_dead {
    const char *id;       /**< Of the dead letter, for the calls below. They sort by time */
    const char *position; /**< Of the event in the stream */
    const char *reason;   /**< Of its last failure */
    const char *json;     /**< The event */
    const char *type;     /**< Its type. NULL when it has none */
    int64_t at_ms;        /**< When it was given up */
    uint32_t attempts;    /**< Runs that failed. 0: members died of it, or seemed to */
    uint32_t deliveries;  /**< To members of the group */
    uint64_t reserved[3];
} ox_dead;

/**
 * Lists dead letters of a group, the oldest first.
 * @param after  the id of one: those after it. NULL: from the first
 * @param limit  at most so many. 0: 100
 */
OX_API int ox_dead_list(ox_stream *stream, const char *group, const char *after, uint32_t limit,
    ox_dead ***dead, size_t *count, ox_error *err);
/** Reads one, to be freed with ox_free(). OX_ENOTFOUND when there is none of that id. */
OX_API int ox_dead_get(
    ox_stream *stream, const char *group, const char *id, ox_dead **dead, ox_error *err);
/**
 * Has dead letters run again, by that group only, before what it has yet to read. They are no
 * dead letters then, with attempts and deliveries counted from 0.
 * @param ids  `count` of them; NULL: all that there are now
 * @return  how many; ids that there are not are passed over. OX_ENOTFOUND when there is no such
 *          group
 */
OX_API int64_t ox_dead_retry(
    ox_stream *stream, const char *group, const char *const *ids, size_t count, ox_error *err);
/** Removes dead letters: the same. */
OX_API int64_t ox_dead_remove(
    ox_stream *stream, const char *group, const char *const *ids, size_t count, ox_error *err);

/* ---- Replay ------------------------------------------------------------------------------ */

/** How far a replay is, or was. */
typedef struct ox_replayed {
    int64_t read;    /**< Events up to where it is, wanted or not */
    int64_t of;      /**< Events up to its end, as far as is known */
    int64_t sent;    /**< Jobs made, or events for a group; in a dry run: that would be */
    int64_t existed; /**< With `holes`: events whose job exists */
    int64_t skipped; /**< Entries and events that make no job: no event, no type, no id */
    int64_t lost;    /**< Events of that part that are gone */
    int64_t unknown; /**< Sent, without an answer: these may have been made, too */
    /** All events up to this one are done: a replay from there goes on. "": none is */
    char position[OX_POSITION_SIZE];
    bool stopped; /**< By `progress` */
    uint64_t reserved[4];
} ox_replayed;

typedef struct ox_replay_options {
    const char *from;    /**< As in ox_tail_options. NULL: "start" */
    const char *to;      /**< As in ox_tail_options. NULL: "end" */
    const char *pattern; /**< Of types. NULL: all */
    const char *subject; /**< NULL: all */
    /** Of the stream's prefix: each event becomes a job there. Either this or `group`; with
     *  `dry_run` and without `holes` neither is needed */
    const char *queue;
    /** Of the stream: it alone runs the events again, before what it has yet to read. They are
     *  copied, so they stay when the stream forgets them */
    const char *group;
    const char *job_name; /**< As in ox_binding, and so the next two */
    const char *options;
    const ox_job_options *job;
    /** Jobs get the ids that bindings give them, so that only those are made that do not exist.
     *  Else each gets an id of its queue's own. */
    bool holes;
    bool dry_run;  /**< Reads and counts, does nothing else */
    uint32_t rate; /**< Events a second at most. 0: any number */
    /** Called about ten times a second; returns false to stop. It makes no calls of the
     * stream's client. NULL: none */
    bool (*progress)(void *arg, const ox_replayed *so_far);
    void *arg;
    uint64_t reserved[4];
} ox_replay_options;

/**
 * Makes jobs of events that are in the log, or has a group run them again, in their order.
 * Bindings play no part.
 * @param out  may be NULL; filled also after a failure, unless that is OX_EINVAL: then nothing
 *             was sent
 * @return  0, also when it was stopped, or the first failure; OX_ENOTFOUND when there is no
 * such group
 */
OX_API int ox_stream_replay(
    ox_stream *stream, const ox_replay_options *options, ox_replayed *out, ox_error *err);

/* ---- Consumers --------------------------------------------------------------------------- */

/** A member of a group on a libuv loop: takes events in batches and hands each batch to a
 *  callback. */
typedef struct ox_consumer ox_consumer;
/** Events that this consumer has, from the callback until they are ended by one of the calls
 *  below, or the consumer is aborted; then it is gone. */
typedef struct ox_batch ox_batch;

/** Called on the loop for each batch. End it now or later, on the loop's thread. */
typedef void ox_batch_fn(ox_batch *batch, void *arg);

/** The end of one run of a batch. Everything is borrowed for the call. The counts of events add
 *  up to `events`. */
typedef struct ox_batch_end {
    size_t events;
    size_t done;
    size_t again;      /**< Run again here after `retry_ms`: another attempt, a half, a delay */
    size_t dead;       /**< Dead letters now */
    size_t released;   /**< Given back to the group */
    size_t lost;       /**< Another member has them: nothing of them is stored */
    uint32_t attempt;  /**< As ox_batch_attempt() said */
    int64_t retry_ms;  /**< 0: at once, or nothing runs again */
    const char *first; /**< Position of the first event */
    const char *reason; /**< Why events failed; NULL when none did */
    void *data;         /**< That of ox_batch_set_data(); last use of it by the library */
    /** NULL: stored. Else some of what the run came to is not: those events run again when
     * their claim is over. */
    const ox_error *err;
    uint64_t reserved[2];
} ox_batch_end;

/** What a consumer found or did on its own. */
enum ox_stream_notice {
    /** Entry `position` is no event, for `reason`: it was skipped. */
    OX_STREAM_SKIPPED = 1,
    /** The event at `position` is a dead letter now, for `reason`. */
    OX_STREAM_DEAD,
    /** Retention took `count` events before the group ran them; what there is up to
     * `position` is read. -1: the numbers went back, so it is not known how many. */
    OX_STREAM_LOST,
    /** `count` entries were claimed whose members are gone or late; `position` is the first.
     */
    OX_STREAM_TAKEN_OVER,
    /** The entry at `position` was delivered `count` times without an end: its events run one
     * by one. */
    OX_STREAM_ALONE,
    /** This member is the owner of its ordered group now, `count` 1, or not any more, 0. */
    OX_STREAM_OWNER
};

typedef struct ox_consumer_options {
    /** What the member's name begins with; host, process and a random part follow. Visible
     * ASCII without '@', up to 64 bytes. NULL: "ox" */
    const char *name;
    /** Where the group begins when it is not there: as in ox_group_create(). NULL: "end" */
    const char *from;
    uint32_t concurrency;  /**< Batches at once. 0: 1. An ordered group has 1 in any case */
    uint32_t batch_events; /**< In a batch at most. 0: 100; up to 100000 */
    /** Of JSON in a batch, passed by one event at most. 0: 1 MiB. How much is read at once
     * follows from the size of the entries before: see "Limits" in docs/events.md */
    uint32_t batch_bytes;
    uint32_t wait_ms;   /**< Longest wait until a batch is full. 0: takes what is there */
    uint32_t claim_ms;  /**< Claim of events that are not ended. 0: 10000 */
    uint32_t renew_ms;  /**< Claims are renewed this often. 0: 3 / 10 of claim_ms */
    uint32_t sweep_ms;  /**< Between looks for claims of others that ran out. 0: a quarter of
                             claim_ms, up to 10000 */
    uint32_t attempts;  /**< Runs of a batch that fails. 0: 5. See ox_batch_fail() */
    ox_backoff backoff; /**< Between them. Type NULL: exponential, 1000 ms */
    uint32_t max_deliveries; /**< Deliveries of an event without an end (members that died)
                                before it runs alone; after as many more it is dead. 0: 5 */
    /** One member of the group works at a time, in order; others stand by. All members must say
     *  the same. */
    bool ordered;
    /* The callbacks below are called on the loop, with `arg` of ox_consumer_new(). */
    /** Claims of events of this batch were lost: another member may have them, see
     *  ox_batch_lost(). However the batch is ended, nothing of these is stored. */
    void (*claim_lost)(ox_batch *batch, void *arg);
    /** An error that the consumer survives: connection lost, the log's key of another type. */
    void (*error)(ox_consumer *consumer, const ox_error *error, void *arg);
    /** The connection is up, at the start and after each loss. */
    void (*ready)(ox_consumer *consumer, void *arg);
    /** A run has ended, and what it came to is stored or refused. Called once for each run that
     *  was ended, in any way (not for one that still ran when the consumer was aborted). */
    void (*batch_ended)(ox_consumer *consumer, const ox_batch_end *end, void *arg);
    /** Worth a line in a log: an enum ox_stream_notice. `position` and `reason` may be NULL. */
    void (*notice)(ox_consumer *consumer, int notice, const char *position, const char *reason,
        int64_t count, void *arg);
    uint64_t reserved[4];
} ox_consumer_options;

/**
 * Starts a member of a group, which it makes where there is none. It connects by itself, and
 * again whenever the connection is lost.
 * @param loop    outlives the consumer
 * @param stream  read during the call only (name, prefix, its client's URL)
 * @return 0, OX_EINVAL for options that do not go together. The state of the connection is
 * reported by `ready` and `error`.
 */
OX_API int ox_consumer_new(ox_consumer **out, struct uv_loop_s *loop, const ox_stream *stream,
    const char *group, const ox_consumer_options *options, ox_batch_fn *process, void *arg,
    ox_error *err);

/** Takes no more until resumed; running batches go on. What was taken and does not run yet is
 *  given back. */
OX_API void ox_consumer_pause(ox_consumer *consumer);
OX_API void ox_consumer_resume(ox_consumer *consumer);
/** Batches at once from now on (0: 1). Those that run beyond it run on. */
OX_API void ox_consumer_set_concurrency(ox_consumer *consumer, uint32_t concurrency);
/** Batches that run now, or wait for another attempt. */
OX_API uint32_t ox_consumer_running(const ox_consumer *consumer);
/** Entries that were ended and whose end the server has not confirmed yet. */
OX_API uint32_t ox_consumer_unstored(const ox_consumer *consumer);
/** The member's name, unique to this consumer. */
OX_API const char *ox_consumer_name(const ox_consumer *consumer);
OX_API const char *ox_consumer_stream_name(const ox_consumer *consumer);
OX_API const char *ox_consumer_group(const ox_consumer *consumer);

/**
 * Takes no more, waits until every batch is ended and that is stored, gives back at once what
 * waits for another attempt or was not begun, leaves the group, closes the connections, calls
 * `closed` (may be NULL) from the loop and frees the consumer. Call it once.
 */
OX_API void ox_consumer_close(ox_consumer *consumer, void (*closed)(void *arg), void *arg);
/**
 * Closes at once: ends not yet stored are lost, and what this member has runs elsewhere when
 * its claims are over. All batches are gone when this returns. Also ends a close that takes too
 * long; then this `closed` is called, not the other.
 */
OX_API void ox_consumer_abort(ox_consumer *consumer, void (*closed)(void *arg), void *arg);

/* ---- A batch ----------------------------------------------------------------------------- */

/** Events in it, at least 1. */
OX_API size_t ox_batch_count(const ox_batch *batch);
/** The event `i`, counted from 0; NULL beyond the end. Borrowed until the next such call. */
OX_API const ox_stream_event *ox_batch_event(ox_batch *batch, size_t i);
/** Its JSON alone, which ends in NUL, and without reading it. Borrowed until the batch is
 * ended.
 *  @param length  may be NULL */
OX_API const char *ox_batch_json(const ox_batch *batch, size_t i, size_t *length);
/** Writes the position of the event `i` to `position`, of OX_POSITION_SIZE bytes, without
 * reading the event; "" beyond the end. */
OX_API void ox_batch_position(const ox_batch *batch, size_t i, char *position);
/** Finds an event by its position. Returns its index, or -1. */
OX_API int64_t ox_batch_find(const ox_batch *batch, const char *position);
/** Which run of these events this is, from 1. A half of a batch that is bisected has the number
 *  of that batch. */
OX_API uint32_t ox_batch_attempt(const ox_batch *batch);
/** How many of its events another member may have by now, see claim_lost. */
OX_API size_t ox_batch_lost(const ox_batch *batch);
OX_API ox_consumer *ox_batch_consumer(const ox_batch *batch);
/** A place for one pointer of yours. */
OX_API void ox_batch_set_data(ox_batch *batch, void *data);
OX_API void *ox_batch_data(const ox_batch *batch);

/** Ends the batch: all events are done. */
OX_API void ox_batch_done(ox_batch *batch);
/**
 * Ends the batch: it failed. It runs again after the backoff. When its attempts are spent, or
 * the failure is unrecoverable, it is bisected: its halves run, and theirs, until single events
 * fail, which are dead then, and all others are done. After an unrecoverable failure the halves
 * have the attempts that were left. Of the failure `reason`, `unrecoverable`
 * and `min_delay_ms` count. NULL: no reason.
 */
OX_API void ox_batch_fail(ox_batch *batch, const ox_failure *failure);
/**
 * Ends the batch: these events failed, the others are done. The failed ones run again as a
 * batch after the backoff; when their attempts are spent, or the failure is unrecoverable, they
 * are dead.
 * @param indices  `count` of them, in any order, counted from 0
 * @return  0, or OX_EINVAL for an index beyond the end: then the batch is not ended
 */
OX_API int ox_batch_fail_some(ox_batch *batch, const size_t *indices, size_t count,
    const ox_failure *failure, ox_error *err);
/** Ends the batch: its events are given back, for any member to take at once. No delivery is
 *  counted. */
OX_API void ox_batch_release(ox_batch *batch);
/** Ends the batch: it runs again here after so long, no attempt spent. */
OX_API void ox_batch_delay(ox_batch *batch, int64_t delay_ms);

#ifdef __cplusplus
}
#endif

#endif /* OX_STREAM_H */
