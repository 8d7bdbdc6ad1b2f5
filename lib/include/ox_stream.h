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
 *  percent; what is younger or less is never taken. What goes before a group has read it is counted
 *  as lost to that group. */
typedef struct ox_stream_settings {
    int64_t keep_ms;     /**< Events older than this go. 0: any age. Default 7 days */
    int64_t keep_events; /**< So many of the newest stay. 0: any number. Default 1,000,000 */
    int64_t keep_bytes;  /**< Of Redis' memory for the log. 0: any. Default 512 MiB */
    /** What a group has not read, or not acknowledged, stays as well, whatever its age and
     *  number, up to keep_bytes, which then must not be 0 (OX_EINVAL). Default off */
    bool keep_unread;
    bool dedup_all;   /**< Also ids that the library made. Default: those that publishers gave */
    bool deflate;     /**< Entries are compressed (zlib), where that makes them smaller */
    int64_t dedup_ms; /**< How long an id is remembered. 0: not at all. Default 120000 */
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
    uint64_t reserved[4];
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
 * Returns 1 for a new one, else 0. */
OX_API int ox_stream_bind(ox_stream *stream, const ox_binding *binding, ox_error *err);
/** Returns 1, 0 when there was none. */
OX_API int ox_stream_unbind(
    ox_stream *stream, const char *pattern, const char *queue, ox_error *err);
/** Lists the bindings, oldest first. */
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
     *  Redis has lost its newest events, it is not known how many. For the first event behind
     *  "start" or a time, 0 */
    int64_t lost;
    uint32_t deliveries; /**< To members of the group, this one counted. Of a tail: 0 */
    uint64_t reserved[3];
} ox_stream_event;

/** Follows a stream from a position of its own, over a connection of its own. It takes nothing
 *  from others. */
typedef struct ox_tail ox_tail;

typedef struct ox_tail_options {
    /** "start", "end", a position (events behind it), or Unix ms (events since). NULL: "end" */
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
    int64_t lag;          /**< Events behind it: those that the group has yet to read */
    int64_t lag_ms;       /**< Age of the oldest of them. 0: there is none */
    int64_t pending;  /**< Entries of the log (see docs/events-layout.md) that were read and are
                           not acknowledged yet */
    int64_t dead;     /**< Dead letters */
    int64_t again;    /**< Events that are to run again: retried dead letters, replayed ones */
    int64_t lost;     /**< Events that retention took before the group read them, ever */
    uint32_t members; /**< Consumers that were heard of within a minute */
    const char *owner; /**< Of an ordered group the member that works; else NULL */
    uint64_t reserved[4];
} ox_group_info;

/**
 * Makes a group.
 * @param group  1..64 of a-z, 0-9, '_' and '-'
 * @param from   where it begins: "start", "end", a position (behind it) or Unix ms (events
 *               since). NULL: "end"
 * @return  1, or 0 when it was there: then it stays where it is. OX_EINVAL also for a position
 *          behind the newest event
 */
OX_API int ox_group_create(
    ox_stream *stream, const char *group, const char *from, ox_error *err);
/**
 * Moves a group, also while its members run: what they have now they still end. What lies
 * inside an entry of several events moves to the entry's beginning, so some events before it
 * may come again.
 * @param to  as `from` of ox_group_create(); not NULL
 * @return  0. OX_ENOTFOUND when there is no such group
 */
OX_API int ox_group_seek(ox_stream *stream, const char *group, const char *to, ox_error *err);
/** Lists the groups of a stream by name; none for a stream that does not exist. */
OX_API int ox_group_list(
    ox_stream *stream, ox_group_info ***groups, size_t *count, ox_error *err);
/** Removes a group, with its dead letters. Without `force` OX_EACTIVE while it has members.
 *  Returns 1, 0 when there was none. */
OX_API int ox_group_remove(ox_stream *stream, const char *group, bool force, ox_error *err);

/* ---- Replay ------------------------------------------------------------------------------ */

/** How far a replay is, or was. */
typedef struct ox_replayed {
    int64_t read;    /**< Events up to where it is, wanted or not */
    int64_t of;      /**< Events up to its end, as far as is known */
    int64_t sent;    /**< Jobs made; in a dry run: that would be made */
    int64_t existed; /**< With `holes`: events whose job exists */
    int64_t skipped; /**< Entries and events that make no job: no event, no type, no id */
    int64_t lost;    /**< Events of that part that are gone */
    int64_t unknown; /**< Jobs that were sent and have no answer: they may have been made */
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
    const char
        *queue; /**< Of the stream's prefix. NULL: only with `dry_run`, without `holes` */
    const char *job_name; /**< As in ox_binding, and so the next two */
    const char *options;
    const ox_job_options *job;
    /** Jobs get the ids that bindings give them, so that only those are made that do not exist.
     *  Else each gets an id of its queue's own. */
    bool holes;
    bool dry_run;  /**< Reads and counts, makes no job */
    uint32_t rate; /**< Jobs a second at most. 0: any number */
    /** Called about ten times a second; returns false to stop. It makes no calls of the
     * stream's client. NULL: none */
    bool (*progress)(void *arg, const ox_replayed *so_far);
    void *arg;
    uint64_t reserved[4];
} ox_replay_options;

/**
 * Makes jobs of events that are in the log, in their order. Bindings play no part.
 * @param out  may be NULL; filled also after a failure, unless that is OX_EINVAL: then nothing
 *             was sent
 * @return  0, also when it was stopped, or the first failure
 */
OX_API int ox_stream_replay(
    ox_stream *stream, const ox_replay_options *options, ox_replayed *out, ox_error *err);

#ifdef __cplusplus
}
#endif

#endif /* OX_STREAM_H */
