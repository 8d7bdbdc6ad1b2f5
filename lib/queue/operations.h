/*
 * operations.h - the encoders of all operations, for callers that send them from a loop; the
 * function of that name in ox.h sends the same query and waits.
 *
 * Arguments are those of that call, none of them NULL where it allows none. What it returns
 * beyond 0 is the query's result, or, of 64 bits, the last argument but `err`. Lists and texts
 * are the caller's to free. An encoder returns 0, or what is wrong with the arguments.
 */
#ifndef OX_LIB_QUEUE_OPERATIONS_H
#define OX_LIB_QUEUE_OPERATIONS_H

#include "queue/query.h"

/* ---- the server as a whole: server.c ----------------------------------------------------- */

int ox__queues_query(
    struct ox__query *query, const char *prefix, char ***names, size_t *count, ox_error *err);
int ox__time_query(struct ox__query *query, int64_t *now_ms);
/* WAITAOF, or without `disk` WAIT, for at most `ms`; fills [0], the disk, and [1], replicas.
 * Concerns what this connection wrote, and blocks it. */
int ox__wait_durable_query(
    struct ox__query *query, bool disk, uint32_t want, int64_t ms, int reached[2]);

/* ---- adding: add.c, flow.c, scheduler.c -------------------------------------------------- */

int ox__add_query(struct ox__query *query, const struct ox__queue_at *at, const ox_new_job *job,
    char **id, ox_error *err);
int ox__flow_query(struct ox__query *query, const ox_queue_options *options, const char *queue,
    const char *json, char **id, ox_error *err);
int ox__scheduler_set_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *id, const ox_schedule *schedule, const ox_new_job *job, char **job_id,
    ox_error *err);

/* ---- reading: read.c, place.c, children.c, info.c, scheduler_list.c ---------------------- */

int ox__job_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    ox_job **job, int *state, ox_error *err);
/* OX_ENOTFOUND for an id that no job can have: its state is OX_UNKNOWN. */
int ox__job_state_query(
    struct ox__query *query, const struct ox__queue_at *at, const char *id, ox_error *err);
int ox__place_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    ox_place *place, ox_error *err);
int ox__jobs_query(struct ox__query *query, const struct ox__queue_at *at, int state,
    int64_t start, int64_t end, bool ascending, ox_job ***jobs, size_t *count, ox_error *err);
int ox__counts_query(struct ox__query *query, const struct ox__queue_at *at, ox_counts *counts);
int ox__counts_by_priority_query(struct ox__query *query, const struct ox__queue_at *at,
    const uint32_t *priorities, size_t count, int64_t *out, ox_error *err);
int ox__logs_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    int64_t start, int64_t end, char ***rows, size_t *count, int64_t *total, ox_error *err);
int ox__children_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    ox_child ***children, size_t *count, ox_error *err);
int ox__info_query(struct ox__query *query, const struct ox__queue_at *at, ox_queue_info *info);
int ox__metrics_query(struct ox__query *query, const struct ox__queue_at *at, int state,
    ox_metrics **metrics, ox_error *err);
int ox__workers_query(struct ox__query *query, const struct ox__queue_at *at,
    ox_worker_info ***workers, size_t *count);
int ox__schedulers_query(struct ox__query *query, const struct ox__queue_at *at, int64_t start,
    int64_t end, ox_scheduler ***schedulers, size_t *count, ox_error *err);

/* ---- changing jobs: change.c, remove.c, cancel.c
 * ---------------------------------------------- */

int ox__retry_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    int state, unsigned flags, ox_error *err);
int ox__retry_all_query(struct ox__query *query, const struct ox__queue_at *at, int state,
    int64_t before_ms, int64_t *moved, ox_error *err);
int ox__promote_query(
    struct ox__query *query, const struct ox__queue_at *at, const char *id, ox_error *err);
int ox__promote_all_query(
    struct ox__query *query, const struct ox__queue_at *at, int64_t *moved, ox_error *err);
/* OX_ENOTFOUND for an id that no job can have: there is nothing to remove. */
int ox__remove_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    bool with_children, ox_error *err);
int ox__remove_many_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *const *ids, size_t count, int *results, int64_t *removed, ox_error *err);
int ox__update_data_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *id, const char *json, ox_error *err);
int ox__update_progress_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *id, const char *json, ox_error *err);
int ox__add_log_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    const char *row, uint32_t keep, int64_t *count, ox_error *err);
int ox__clear_logs_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    uint32_t keep, ox_error *err);
int ox__change_priority_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *id, uint32_t priority, bool lifo, ox_error *err);
int ox__change_delay_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *id, int64_t delay_ms, ox_error *err);
int ox__cancel_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    const char *reason, ox_error *err);
int ox__remove_child_dependency_query(
    struct ox__query *query, const struct ox__queue_at *at, const char *id, ox_error *err);
int ox__remove_dedup_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *dedup_id, ox_error *err);

/* ---- steering a queue: steer.c, obliterate.c, scheduler.c -------------------------------- */

int ox__pause_query(struct ox__query *query, const struct ox__queue_at *at, ox_error *err);
int ox__resume_query(struct ox__query *query, const struct ox__queue_at *at, ox_error *err);
int ox__is_paused_query(struct ox__query *query, const struct ox__queue_at *at);
int ox__set_concurrency_query(
    struct ox__query *query, const struct ox__queue_at *at, uint32_t max);
int ox__set_rate_query(struct ox__query *query, const struct ox__queue_at *at, uint32_t max,
    int64_t duration_ms, ox_error *err);
int ox__rate_limit_query(
    struct ox__query *query, const struct ox__queue_at *at, int64_t duration_ms, ox_error *err);
int ox__drain_query(struct ox__query *query, const struct ox__queue_at *at, bool delayed,
    int64_t *removed, ox_error *err);
int ox__clean_query(struct ox__query *query, const struct ox__queue_at *at, int state,
    int64_t grace_ms, uint32_t limit, void (*removed)(void *arg, const char *id), void *arg,
    int64_t *count, ox_error *err);
int ox__obliterate_query(
    struct ox__query *query, const struct ox__queue_at *at, bool force, ox_error *err);
int ox__scheduler_remove_query(
    struct ox__query *query, const struct ox__queue_at *at, const char *id, ox_error *err);

/* ---- what waits and readers of events are made of: wait.c, events.c ---------------------- */

/* How a job finished: the result is OX__NOT_ENDED, or OX__ENDED_WELL or _BADLY, and then `text`
 * is its return value or the reason. OX_ENOTFOUND when it does not exist. */
int ox__job_end_query(struct ox__query *query, const struct ox__queue_at *at, const char *id,
    char **text, ox_error *err);
/* The id of the newest event, a text. */
int ox__last_event_query(
    struct ox__query *query, const struct ox__queue_at *at, redisReply **id);
/* Events behind `last`: nil, or an array of one stream. Blocks the connection for `block_ms`.
 */
int ox__events_query(struct ox__query *query, const struct ox__queue_at *at, const char *last,
    int64_t block_ms, redisReply **reply);
/* An array of entries, the newest first. */
int ox__newest_events_query(struct ox__query *query, const struct ox__queue_at *at,
    int64_t count, redisReply **entries);

#endif /* OX_LIB_QUEUE_OPERATIONS_H */
