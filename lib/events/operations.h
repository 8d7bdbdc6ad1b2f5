/*
 * operations.h - the encoder of every operation on a stream; see queue/operations.h. `at` is
 * that of ox_stream. That of publishing is in call.h.
 */
#ifndef OX_LIB_EVENTS_OPERATIONS_H
#define OX_LIB_EVENTS_OPERATIONS_H

#include "queue/job_in.h"
#include "queue/query.h"

int ox__streams_query(
    struct ox__query *query, const char *prefix, char ***names, size_t *count, ox_error *err);

/* ---- binding.c --------------------------------------------------------------------------- */

/* Options of the jobs that events make, as in ox_binding: checks them and puts them together in
 * `options`, which `in` borrows from. `whose` ("binding") they are, for errors. */
int ox__event_job_init(struct ox__job_in *in, ox_job_options *options, const char *json,
    const ox_job_options *job, const char *name, const char *whose, ox_error *err);
int ox__bind_query(struct ox__query *query, const struct ox__queue_at *at,
    const ox_binding *binding, ox_error *err);
int ox__unbind_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *pattern, const char *queue, ox_error *err);
/* `type`: those that an event of the type makes jobs by; NULL: all. */
int ox__bindings_query(struct ox__query *query, const struct ox__queue_at *at, const char *type,
    ox_binding ***bindings, size_t *count, ox_error *err);

/* ---- install.c --------------------------------------------------------------------------- */

int ox__install_query(struct ox__query *query);

/* ---- settings.c -------------------------------------------------------------------------- */

int ox__stream_settings_query(
    struct ox__query *query, const struct ox__queue_at *at, ox_stream_settings *settings);
int ox__stream_set_query(struct ox__query *query, const struct ox__queue_at *at,
    const ox_stream_settings *settings, unsigned change, ox_error *err);
int ox__stream_info_query(
    struct ox__query *query, const struct ox__queue_at *at, ox_stream_info *info);
int ox__stream_trim_query(struct ox__query *query, const struct ox__queue_at *at, int64_t keep,
    int64_t before_ms, int64_t *removed, ox_error *err);
int ox__stream_remove_query(
    struct ox__query *query, const struct ox__queue_at *at, bool force, ox_error *err);

/* ---- group.c ----------------------------------------------------------------------------- */

int ox__group_create_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *group, const char *from, ox_error *err);
int ox__group_seek_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *group, const char *to, ox_group_moved *moved, ox_error *err);
int ox__group_members_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *group, ox_group_member ***members, size_t *count, ox_error *err);
int ox__group_list_query(struct ox__query *query, const struct ox__queue_at *at,
    ox_group_info ***groups, size_t *count);
int ox__group_remove_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *group, bool force, ox_error *err);

/* ---- dead.c ------------------------------------------------------------------------------ */

int ox__dead_list_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *group, const char *after, uint32_t limit, ox_dead ***dead, size_t *count,
    ox_error *err);
int ox__dead_get_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *group, const char *id, ox_dead **dead, ox_error *err);
/* `ids` must outlive the query; `done`: how many, also of a query that fails half way. */
int ox__dead_retry_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *group, const char *const *ids, size_t count, int64_t *done, ox_error *err);
int ox__dead_remove_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *group, const char *const *ids, size_t count, int64_t *done, ox_error *err);

/* ---- what a tail is made of: tail.c ------------------------------------------------------ */

/* Entries after `last`: nil, or an array of one stream. Blocks the connection for `block_ms`.
 */
int ox__log_query(struct ox__query *query, const struct ox__queue_at *at, const char *last,
    int64_t block_ms, redisReply **reply);
/* The newest entry up to the id `until`, or "+": an array of none or one. */
int ox__newest_entry_query(struct ox__query *query, const struct ox__queue_at *at,
    const char *until, redisReply **reply);

/* ---- replay.c ---------------------------------------------------------------------------- */

/* Begins a call that has a group run events again; each is put with ox__replay_put(). */
int ox__replay_query(struct ox__query *query, const struct ox__queue_at *at, const char *group);
void ox__replay_put(
    struct ox__query *query, const char *position, const char *json, size_t length);
/* How many of some jobs of a queue exist: the id and those that are put behind it, with
 * ox__op_key() and the base of the queue. One that is put twice counts twice. */
int ox__existing_query(struct ox__query *query, const struct ox__queue_at *queue,
    const char *id, int64_t *existing);

#endif /* OX_LIB_EVENTS_OPERATIONS_H */
