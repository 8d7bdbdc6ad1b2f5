/*
 * test_null.c - public functions that get NULL where ox.h allows none, or options that do not
 * go together: a refusal that names the argument, and never a crash.
 *
 * Nothing is sent, so there is no server: the client connects later, and never does. The header
 * says which functions there are; one that is in no row of the tables below fails the test.
 */
#include "../support/check.h"

#include <glib.h>
#include <ox.h>
#include <string.h>
#include <uv.h>

#include "../support/files.h"

static ox_client *client;
static ox_queue *queue;
static const char *no_ids[1];
static int no_results[1];
static uv_loop_t loop;
static ox_error err;

static char *text;
static char **texts;
static size_t number;
static int64_t big;
static int small;
static ox_job *job;
static ox_job **jobs;
static ox_child **children;
static ox_queue *other_queue;
static ox_client *other_client;
static ox_adder *adder, *other_adder;
static ox_events *events;
static ox_worker *worker;
static ox_worker_info **infos;
static ox_scheduler **schedulers;
static ox_counts counts;
static ox_place place;
static ox_queue_info info;
static ox_metrics *metrics;
static ox_event event;
static ox_stream *stream, *other_stream;
static ox_stream_settings settings;
static ox_stream_info stream_info;
static ox_binding **bindings;
static ox_group_info **groups;
static ox_group_member **members;
static ox_dead **dead, *letter;
static ox_consumer *consumer;
static ox_tail *tail;
static ox_publisher *publisher;
static ox_stream_event stream_event;
static const ox_new_event new_event = { .type = "t" };
static const ox_replay_options replay_options = { .queue = "q" };
static const ox_binding binding = { .pattern = "a", .queue = "q" };
static const ox_new_job new_job = { .name = "n" };
static const ox_schedule hourly = { .every_ms = 3600000 };
static const uint32_t priorities[1] = { 1 };

static void process(ox_task *task, void *arg)
{
    (void)task;
    (void)arg;
}

static void run_batch(ox_batch *batch, void *arg)
{
    (void)batch;
    (void)arg;
}

static void told(void *arg, void *data, const ox_published *published, const ox_error *why)
{
    (void)arg;
    (void)data;
    (void)published;
    (void)why;
}

static void on_closed(void *arg)
{
    (void)arg;
}

/* ---- refused with a text ----------------------------------------------------------------- */

/* X(function, argument that is NULL, call) */
#define REFUSED(X)                                                                             \
    X(ox_stream_new, out, ox_stream_new(NULL, client, "s", NULL, &err))                        \
    X(ox_stream_new, client, ox_stream_new(&other_stream, NULL, "s", NULL, &err))              \
    X(ox_client_streams, client, ox_client_streams(NULL, NULL, &texts, &number, &err))         \
    X(ox_client_streams, names, ox_client_streams(client, NULL, NULL, &number, &err))          \
    X(ox_stream_settings_get, stream, ox_stream_settings_get(NULL, &settings, &err))           \
    X(ox_stream_settings_get, settings, ox_stream_settings_get(stream, NULL, &err))            \
    X(ox_stream_settings_set, stream, ox_stream_settings_set(NULL, &settings, 1, &err))        \
    X(ox_stream_settings_set, settings, ox_stream_settings_set(stream, NULL, 1, &err))         \
    X(ox_stream_info_get, stream, ox_stream_info_get(NULL, &stream_info, &err))                \
    X(ox_stream_info_get, info, ox_stream_info_get(stream, NULL, &err))                        \
    X(ox_stream_trim, stream, ox_stream_trim(NULL, 1, 0, &err))                                \
    X(ox_stream_remove, stream, ox_stream_remove(NULL, false, &err))                           \
    X(ox_stream_publish, stream, ox_stream_publish(NULL, &new_event, NULL, &err))              \
    X(ox_stream_publish, event, ox_stream_publish(stream, NULL, NULL, &err))                   \
    X(ox_stream_publish_many, stream, ox_stream_publish_many(NULL, &new_event, 1, NULL, &err)) \
    X(ox_stream_publish_many, events, ox_stream_publish_many(stream, NULL, 1, NULL, &err))     \
    X(ox_stream_bind, stream, ox_stream_bind(NULL, &binding, &err))                            \
    X(ox_stream_bind, binding, ox_stream_bind(stream, NULL, &err))                             \
    X(ox_stream_unbind, stream, ox_stream_unbind(NULL, "a", "q", &err))                        \
    X(ox_stream_unbind, pattern, ox_stream_unbind(stream, NULL, "q", &err))                    \
    X(ox_stream_unbind, queue, ox_stream_unbind(stream, "a", NULL, &err))                      \
    X(ox_stream_bindings, stream, ox_stream_bindings(NULL, &bindings, &number, &err))          \
    X(ox_stream_bindings, bindings, ox_stream_bindings(stream, NULL, &number, &err))           \
    X(ox_stream_route, stream, ox_stream_route(NULL, "a", &bindings, &number, &err))           \
    X(ox_stream_route, type, ox_stream_route(stream, NULL, &bindings, &number, &err))          \
    X(ox_stream_route, bindings, ox_stream_route(stream, "a", NULL, &number, &err))            \
    X(ox_group_create, stream, ox_group_create(NULL, "g", NULL, &err))                         \
    X(ox_group_create, group, ox_group_create(stream, NULL, NULL, &err))                       \
    X(ox_group_seek, stream, ox_group_seek(NULL, "g", "end", NULL, &err))                      \
    X(ox_group_seek, group, ox_group_seek(stream, NULL, "end", NULL, &err))                    \
    X(ox_group_seek, to, ox_group_seek(stream, "g", NULL, NULL, &err))                         \
    X(ox_group_list, stream, ox_group_list(NULL, &groups, &number, &err))                      \
    X(ox_group_list, groups, ox_group_list(stream, NULL, &number, &err))                       \
    X(ox_group_remove, stream, ox_group_remove(NULL, "g", false, &err))                        \
    X(ox_group_remove, group, ox_group_remove(stream, NULL, false, &err))                      \
    X(ox_group_members, stream, ox_group_members(NULL, "g", &members, &number, &err))          \
    X(ox_group_members, group, ox_group_members(stream, NULL, &members, &number, &err))        \
    X(ox_group_members, members, ox_group_members(stream, "g", NULL, &number, &err))           \
    X(ox_dead_list, stream, ox_dead_list(NULL, "g", NULL, 0, &dead, &number, &err))            \
    X(ox_dead_list, group, ox_dead_list(stream, NULL, NULL, 0, &dead, &number, &err))          \
    X(ox_dead_list, dead, ox_dead_list(stream, "g", NULL, 0, NULL, &number, &err))             \
    X(ox_dead_get, stream, ox_dead_get(NULL, "g", "1-0", &letter, &err))                       \
    X(ox_dead_get, group, ox_dead_get(stream, NULL, "1-0", &letter, &err))                     \
    X(ox_dead_get, id, ox_dead_get(stream, "g", NULL, &letter, &err))                          \
    X(ox_dead_get, dead, ox_dead_get(stream, "g", "1-0", NULL, &err))                          \
    X(ox_dead_retry, stream, ox_dead_retry(NULL, "g", NULL, 0, &err))                          \
    X(ox_dead_retry, group, ox_dead_retry(stream, NULL, NULL, 0, &err))                        \
    X(ox_dead_remove, stream, ox_dead_remove(NULL, "g", NULL, 0, &err))                        \
    X(ox_dead_remove, group, ox_dead_remove(stream, NULL, NULL, 0, &err))                      \
    X(ox_batch_fail_some, batch, ox_batch_fail_some(NULL, &number, 1, NULL, &err))             \
    X(ox_consumer_new, out,                                                                    \
        ox_consumer_new(NULL, &loop, stream, "g", NULL, run_batch, NULL, &err))                \
    X(ox_consumer_new, loop,                                                                   \
        ox_consumer_new(&consumer, NULL, stream, "g", NULL, run_batch, NULL, &err))            \
    X(ox_consumer_new, stream,                                                                 \
        ox_consumer_new(&consumer, &loop, NULL, "g", NULL, run_batch, NULL, &err))             \
    X(ox_consumer_new, group,                                                                  \
        ox_consumer_new(&consumer, &loop, stream, NULL, NULL, run_batch, NULL, &err))          \
    X(ox_consumer_new, process,                                                                \
        ox_consumer_new(&consumer, &loop, stream, "g", NULL, NULL, NULL, &err))                \
    X(ox_tail_new, out, ox_tail_new(NULL, stream, NULL, &err))                                 \
    X(ox_tail_new, stream, ox_tail_new(&tail, NULL, NULL, &err))                               \
    X(ox_stream_replay, stream, ox_stream_replay(NULL, &replay_options, NULL, &err))           \
    X(ox_stream_replay, options, ox_stream_replay(stream, NULL, NULL, &err))                   \
    X(ox_tail_next, tail, ox_tail_next(NULL, 1, &stream_event, &err))                          \
    X(ox_client_new, out, ox_client_new(NULL, NULL, &err))                                     \
    X(ox_client_time, client, ox_client_time(NULL, &big, &err))                                \
    X(ox_client_time, now_ms, ox_client_time(client, NULL, &err))                              \
    X(ox_client_wait_durable, client,                                                          \
        ox_client_wait_durable(NULL, 0, 1, &small, &small, &err))                              \
    X(ox_client_wait_durable, local, ox_client_wait_durable(client, 0, 1, NULL, &small, &err)) \
    X(ox_client_wait_durable, replicas,                                                        \
        ox_client_wait_durable(client, 0, 1, &small, NULL, &err))                              \
    X(ox_client_queues, client, ox_client_queues(NULL, NULL, &texts, &number, &err))           \
    X(ox_client_queues, names, ox_client_queues(client, NULL, NULL, &number, &err))            \
    X(ox_queue_new, out, ox_queue_new(NULL, client, "q", NULL, &err))                          \
    X(ox_queue_new, client, ox_queue_new(&other_queue, NULL, "q", NULL, &err))                 \
    X(ox_queue_new, name, ox_queue_new(&other_queue, client, NULL, NULL, &err))                \
    X(ox_queue_add, queue, ox_queue_add(NULL, "n", NULL, NULL, &text, &err))                   \
    X(ox_queue_add, name, ox_queue_add(queue, NULL, NULL, NULL, &text, &err))                  \
    X(ox_queue_add_bulk, queue, ox_queue_add_bulk(NULL, &new_job, 1, NULL, &err))              \
    X(ox_queue_add_bulk, jobs, ox_queue_add_bulk(queue, NULL, 1, NULL, &err))                  \
    X(ox_adder_new, out, ox_adder_new(NULL, queue, NULL, NULL, &err))                          \
    X(ox_adder_new, queue, ox_adder_new(&other_adder, NULL, NULL, NULL, &err))                 \
    X(ox_adder_put, adder, ox_adder_put(NULL, &new_job, &err))                                 \
    X(ox_adder_put, job, ox_adder_put(adder, NULL, &err))                                      \
    X(ox_adder_flush, adder, ox_adder_flush(NULL, &err))                                       \
    X(ox_queue_job, queue, ox_queue_job(NULL, "1", &job, NULL, &err))                          \
    X(ox_queue_job, id, ox_queue_job(queue, NULL, &job, NULL, &err))                           \
    X(ox_queue_job, out, ox_queue_job(queue, "1", NULL, NULL, &err))                           \
    X(ox_queue_job_state, queue, ox_queue_job_state(NULL, "1", &err))                          \
    X(ox_queue_job_state, id, ox_queue_job_state(queue, NULL, &err))                           \
    X(ox_queue_place, queue, ox_queue_place(NULL, "1", &place, &err))                          \
    X(ox_queue_place, id, ox_queue_place(queue, NULL, &place, &err))                           \
    X(ox_queue_place, place, ox_queue_place(queue, "1", NULL, &err))                           \
    X(ox_queue_jobs, queue, ox_queue_jobs(NULL, OX_FAILED, 0, 1, true, &jobs, &number, &err))  \
    X(ox_queue_jobs, jobs, ox_queue_jobs(queue, OX_FAILED, 0, 1, true, NULL, &number, &err))   \
    X(ox_queue_counts, queue, ox_queue_counts(NULL, &counts, &err))                            \
    X(ox_queue_counts, counts, ox_queue_counts(queue, NULL, &err))                             \
    X(ox_queue_counts_by_priority, queue,                                                      \
        ox_queue_counts_by_priority(NULL, priorities, 1, &big, &err))                          \
    X(ox_queue_counts_by_priority, priorities,                                                 \
        ox_queue_counts_by_priority(queue, NULL, 1, &big, &err))                               \
    X(ox_queue_counts_by_priority, out,                                                        \
        ox_queue_counts_by_priority(queue, priorities, 1, NULL, &err))                         \
    X(ox_queue_logs, queue, ox_queue_logs(NULL, "1", 0, 1, &texts, &number, NULL, &err))       \
    X(ox_queue_logs, id, ox_queue_logs(queue, NULL, 0, 1, &texts, &number, NULL, &err))        \
    X(ox_queue_logs, rows, ox_queue_logs(queue, "1", 0, 1, NULL, &number, NULL, &err))         \
    X(ox_queue_children, queue, ox_queue_children(NULL, "1", &children, &number, &err))        \
    X(ox_queue_children, id, ox_queue_children(queue, NULL, &children, &number, &err))         \
    X(ox_queue_children, children, ox_queue_children(queue, "1", NULL, &number, &err))         \
    X(ox_queue_wait, queue, ox_queue_wait(NULL, "1", 1, &text, &err))                          \
    X(ox_queue_wait, id, ox_queue_wait(queue, NULL, 1, &text, &err))                           \
    X(ox_queue_wait_with, queue, ox_queue_wait_with(NULL, "1", NULL, &text, &err))             \
    X(ox_queue_wait_with, id, ox_queue_wait_with(queue, NULL, NULL, &text, &err))              \
    X(ox_queue_retry, queue, ox_queue_retry(NULL, "1", OX_FAILED, 0, &err))                    \
    X(ox_queue_retry, id, ox_queue_retry(queue, NULL, OX_FAILED, 0, &err))                     \
    X(ox_queue_retry_all, queue, ox_queue_retry_all(NULL, OX_FAILED, 0, &err))                 \
    X(ox_queue_promote, queue, ox_queue_promote(NULL, "1", &err))                              \
    X(ox_queue_promote, id, ox_queue_promote(queue, NULL, &err))                               \
    X(ox_queue_promote_all, queue, ox_queue_promote_all(NULL, &err))                           \
    X(ox_queue_remove, queue, ox_queue_remove(NULL, "1", false, &err))                         \
    X(ox_queue_remove, id, ox_queue_remove(queue, NULL, false, &err))                          \
    X(ox_queue_remove_many, queue, ox_queue_remove_many(NULL, no_ids, 0, no_results, &err))    \
    X(ox_queue_remove_many, ids, ox_queue_remove_many(queue, NULL, 0, no_results, &err))       \
    X(ox_queue_remove_many, results, ox_queue_remove_many(queue, no_ids, 0, NULL, &err))       \
    X(ox_queue_cancel, queue, ox_queue_cancel(NULL, "1", NULL, &err))                          \
    X(ox_queue_cancel, id, ox_queue_cancel(queue, NULL, NULL, &err))                           \
    X(ox_queue_update_data, queue, ox_queue_update_data(NULL, "1", "1", &err))                 \
    X(ox_queue_update_data, id, ox_queue_update_data(queue, NULL, "1", &err))                  \
    X(ox_queue_update_data, json, ox_queue_update_data(queue, "1", NULL, &err))                \
    X(ox_queue_update_progress, queue, ox_queue_update_progress(NULL, "1", "1", &err))         \
    X(ox_queue_update_progress, id, ox_queue_update_progress(queue, NULL, "1", &err))          \
    X(ox_queue_update_progress, json, ox_queue_update_progress(queue, "1", NULL, &err))        \
    X(ox_queue_add_log, queue, ox_queue_add_log(NULL, "1", "row", 0, &err))                    \
    X(ox_queue_add_log, id, ox_queue_add_log(queue, NULL, "row", 0, &err))                     \
    X(ox_queue_add_log, row, ox_queue_add_log(queue, "1", NULL, 0, &err))                      \
    X(ox_queue_clear_logs, queue, ox_queue_clear_logs(NULL, "1", 0, &err))                     \
    X(ox_queue_clear_logs, id, ox_queue_clear_logs(queue, NULL, 0, &err))                      \
    X(ox_queue_change_priority, queue, ox_queue_change_priority(NULL, "1", 1, false, &err))    \
    X(ox_queue_change_priority, id, ox_queue_change_priority(queue, NULL, 1, false, &err))     \
    X(ox_queue_change_delay, queue, ox_queue_change_delay(NULL, "1", 1, &err))                 \
    X(ox_queue_change_delay, id, ox_queue_change_delay(queue, NULL, 1, &err))                  \
    X(ox_queue_remove_child_dependency, queue,                                                 \
        ox_queue_remove_child_dependency(NULL, "1", &err))                                     \
    X(ox_queue_remove_child_dependency, id,                                                    \
        ox_queue_remove_child_dependency(queue, NULL, &err))                                   \
    X(ox_queue_remove_dedup, queue, ox_queue_remove_dedup(NULL, "d", &err))                    \
    X(ox_queue_remove_dedup, dedup_id, ox_queue_remove_dedup(queue, NULL, &err))               \
    X(ox_queue_pause, queue, ox_queue_pause(NULL, &err))                                       \
    X(ox_queue_resume, queue, ox_queue_resume(NULL, &err))                                     \
    X(ox_queue_is_paused, queue, ox_queue_is_paused(NULL, &err))                               \
    X(ox_queue_drain, queue, ox_queue_drain(NULL, false, &err))                                \
    X(ox_queue_clean, queue, ox_queue_clean(NULL, OX_FAILED, 0, 0, NULL, NULL, &err))          \
    X(ox_queue_obliterate, queue, ox_queue_obliterate(NULL, false, &err))                      \
    X(ox_queue_info_get, queue, ox_queue_info_get(NULL, &info, &err))                          \
    X(ox_queue_info_get, info, ox_queue_info_get(queue, NULL, &err))                           \
    X(ox_queue_set_concurrency, queue, ox_queue_set_concurrency(NULL, 1, &err))                \
    X(ox_queue_set_rate, queue, ox_queue_set_rate(NULL, 1, 1, &err))                           \
    X(ox_queue_rate_limit, queue, ox_queue_rate_limit(NULL, 1, &err))                          \
    X(ox_queue_metrics, queue, ox_queue_metrics(NULL, OX_FAILED, &metrics, &err))              \
    X(ox_queue_metrics, out, ox_queue_metrics(queue, OX_FAILED, NULL, &err))                   \
    X(ox_queue_workers, queue, ox_queue_workers(NULL, &infos, &number, &err))                  \
    X(ox_queue_workers, workers, ox_queue_workers(queue, NULL, &number, &err))                 \
    X(ox_scheduler_set, queue, ox_scheduler_set(NULL, "s", &hourly, NULL, NULL, &err))         \
    X(ox_scheduler_set, scheduler_id,                                                          \
        ox_scheduler_set(queue, NULL, &hourly, NULL, &text, &err))                             \
    X(ox_scheduler_set, schedule, ox_scheduler_set(queue, "s", NULL, NULL, NULL, &err))        \
    X(ox_scheduler_remove, queue, ox_scheduler_remove(NULL, "s", &err))                        \
    X(ox_scheduler_remove, scheduler_id, ox_scheduler_remove(queue, NULL, &err))               \
    X(ox_queue_schedulers, queue,                                                              \
        ox_queue_schedulers(NULL, 0, -1, &schedulers, &number, &err))                          \
    X(ox_queue_schedulers, schedulers, ox_queue_schedulers(queue, 0, -1, NULL, &number, &err)) \
    X(ox_cron_next, pattern, ox_cron_next(NULL, NULL, 0, &big, &err))                          \
    X(ox_cron_next, next_ms, ox_cron_next("* * * * *", NULL, 0, NULL, &err))                   \
    X(ox_flow_add, client, ox_flow_add(NULL, NULL, "q", "{\"name\":\"n\"}", &text, &err))      \
    X(ox_flow_add, json, ox_flow_add(client, NULL, "q", NULL, &text, &err))                    \
    X(ox_flow_add_with, client,                                                                \
        ox_flow_add_with(NULL, NULL, "q", "{\"name\":\"n\"}", &text, &err))                    \
    X(ox_flow_add_with, json, ox_flow_add_with(client, NULL, "q", NULL, &text, &err))          \
    X(ox_events_new, out, ox_events_new(NULL, queue, NULL, &err))                              \
    X(ox_events_new, queue, ox_events_new(&events, NULL, NULL, &err))                          \
    X(ox_events_next, events, ox_events_next(NULL, 1, &event, &err))                           \
    X(ox_worker_new, out, ox_worker_new(NULL, &loop, queue, NULL, process, NULL, &err))        \
    X(ox_worker_new, loop, ox_worker_new(&worker, NULL, queue, NULL, process, NULL, &err))     \
    X(ox_worker_new, queue, ox_worker_new(&worker, &loop, NULL, NULL, process, NULL, &err))    \
    X(ox_worker_new, process, ox_worker_new(&worker, &loop, queue, NULL, NULL, NULL, &err))    \
    X(ox_publisher_new, out, ox_publisher_new(NULL, &loop, stream, NULL, told, NULL, &err))    \
    X(ox_publisher_new, loop,                                                                  \
        ox_publisher_new(&publisher, NULL, stream, NULL, told, NULL, &err))                    \
    X(ox_publisher_new, stream,                                                                \
        ox_publisher_new(&publisher, &loop, NULL, NULL, told, NULL, &err))                     \
    X(ox_publisher_new, published,                                                             \
        ox_publisher_new(&publisher, &loop, stream, NULL, NULL, NULL, &err))                   \
    X(ox_client_install, client, ox_client_install(NULL, &err))                                \
    X(ox_publisher_put, publisher, ox_publisher_put(NULL, &new_event, NULL, &err))             \
    X(ox_publisher_put, event, ox_publisher_put(publisher, NULL, NULL, &err))

/* ---- nothing done ------------------------------------------------------------------------ */

/* Without an `err`: X(function, call, what is true of it) */
#define HARMLESS(X)                                                                            \
    X(ox_version, ox_version() != NULL)                                                        \
    X(ox_strerror, ox_strerror(0) != NULL)                                                     \
    X(ox_state_name, ox_state_name(-1) != NULL)                                                \
    X(ox_state_parse, ox_state_parse(NULL) == OX_EINVAL)                                       \
    X(ox_json_valid, !ox_json_valid(NULL, 0))                                                  \
    X(ox_stream_name, ox_stream_name(NULL) == NULL)                                            \
    X(ox_stream_prefix, ox_stream_prefix(NULL) == NULL)                                        \
    X(ox_stream_free, (ox_stream_free(NULL), true))                                            \
    X(ox_tail_position, ox_tail_position(NULL) == NULL)                                        \
    X(ox_consumer_pause, (ox_consumer_pause(NULL), true))                                      \
    X(ox_consumer_resume, (ox_consumer_resume(NULL), true))                                    \
    X(ox_consumer_set_concurrency, (ox_consumer_set_concurrency(NULL, 1), true))               \
    X(ox_consumer_running, ox_consumer_running(NULL) == 0)                                     \
    X(ox_consumer_unstored, ox_consumer_unstored(NULL) == 0)                                   \
    X(ox_consumer_name, ox_consumer_name(NULL) == NULL)                                        \
    X(ox_consumer_stream_name, ox_consumer_stream_name(NULL) == NULL)                          \
    X(ox_consumer_group, ox_consumer_group(NULL) == NULL)                                      \
    X(ox_consumer_close, (ox_consumer_close(NULL, on_closed, NULL), true))                     \
    X(ox_consumer_abort, (ox_consumer_abort(NULL, on_closed, NULL), true))                     \
    X(ox_batch_count, ox_batch_count(NULL) == 0)                                               \
    X(ox_batch_event, ox_batch_event(NULL, 0) == NULL)                                         \
    X(ox_batch_json, ox_batch_json(NULL, 0, NULL) == NULL)                                     \
    X(ox_batch_position, (ox_batch_position(NULL, 0, NULL), true))                             \
    X(ox_batch_find, ox_batch_find(NULL, "1-1") == -1)                                         \
    X(ox_batch_attempt, ox_batch_attempt(NULL) == 0)                                           \
    X(ox_batch_lost, ox_batch_lost(NULL) == 0)                                                 \
    X(ox_batch_consumer, ox_batch_consumer(NULL) == NULL)                                      \
    X(ox_batch_set_data, (ox_batch_set_data(NULL, NULL), true))                                \
    X(ox_batch_data, ox_batch_data(NULL) == NULL)                                              \
    X(ox_batch_done, (ox_batch_done(NULL), true))                                              \
    X(ox_batch_fail, (ox_batch_fail(NULL, NULL), true))                                        \
    X(ox_batch_release, (ox_batch_release(NULL), true))                                        \
    X(ox_batch_delay, (ox_batch_delay(NULL, 1), true))                                         \
    X(ox_tail_free, (ox_tail_free(NULL), true))                                                \
    X(ox_queue_name, ox_queue_name(NULL) == NULL)                                              \
    X(ox_queue_prefix, ox_queue_prefix(NULL) == NULL)                                          \
    X(ox_job_id, ox_job_id(NULL) == NULL)                                                      \
    X(ox_job_text, ox_job_text(NULL, OX_JOB_NAME) == NULL)                                     \
    X(ox_job_length, ox_job_length(NULL, OX_JOB_NAME) == 0)                                    \
    X(ox_job_number, ox_job_number(NULL, OX_JOB_DELAY, 7) == 7)                                \
    X(ox_job_attempts, ox_job_attempts(NULL) == 1)                                             \
    X(ox_job_due_ms, ox_job_due_ms(NULL) == 0)                                                 \
    X(ox_worker_running, ox_worker_running(NULL) == 0)                                         \
    X(ox_worker_unstored, ox_worker_unstored(NULL) == 0)                                       \
    X(ox_worker_queue_name, ox_worker_queue_name(NULL) == NULL)                                \
    X(ox_task_job, ox_task_job(NULL) == NULL)                                                  \
    X(ox_task_attempt, ox_task_attempt(NULL) == 0)                                             \
    X(ox_task_worker, ox_task_worker(NULL) == NULL)                                            \
    X(ox_task_timeout_ms, ox_task_timeout_ms(NULL) == 0)                                       \
    X(ox_task_cancelled, !ox_task_cancelled(NULL))                                             \
    X(ox_task_data, ox_task_data(NULL) == NULL)                                                \
    X(ox_task_pending_updates, ox_task_pending_updates(NULL) == 0)                             \
    X(ox_task_complete, ox_task_complete(NULL, NULL) == OX_EINVAL)                             \
    X(ox_task_progress, ox_task_progress(NULL, "1") == OX_EINVAL)                              \
    X(ox_task_log, ox_task_log(NULL, "row") == OX_EINVAL)                                      \
    X(ox_task_update_data, ox_task_update_data(NULL, "1") == OX_EINVAL)                        \
    X(ox_task_fail, (ox_task_fail(NULL, NULL), true))                                          \
    X(ox_task_release, (ox_task_release(NULL), true))                                          \
    X(ox_task_decline, (ox_task_decline(NULL, 1), true))                                       \
    X(ox_task_delay, (ox_task_delay(NULL, 1), true))                                           \
    X(ox_task_rate_limited, (ox_task_rate_limited(NULL, 1), true))                             \
    X(ox_task_wait_children, (ox_task_wait_children(NULL, NULL, NULL), true))                  \
    X(ox_task_set_data, (ox_task_set_data(NULL, NULL), true))                                  \
    X(ox_worker_pause, (ox_worker_pause(NULL), true))                                          \
    X(ox_worker_resume, (ox_worker_resume(NULL), true))                                        \
    X(ox_worker_set_concurrency, (ox_worker_set_concurrency(NULL, 1), true))                   \
    X(ox_worker_set_limiter, ox_worker_set_limiter(NULL, 0, 0, NULL) == OX_EINVAL)             \
    X(ox_worker_close, (ox_worker_close(NULL, on_closed, NULL), true))                         \
    X(ox_publisher_held, ox_publisher_held(NULL) == 0)                                         \
    X(ox_publisher_close, (ox_publisher_close(NULL, on_closed, NULL), true))                   \
    X(ox_publisher_abort, (ox_publisher_abort(NULL, on_closed, NULL), true))                   \
    X(ox_worker_abort, (ox_worker_abort(NULL, on_closed, NULL), true))                         \
    X(ox_free, (ox_free(NULL), true))                                                          \
    X(ox_list_free, (ox_list_free(NULL), true))                                                \
    X(ox_client_free, (ox_client_free(NULL), true))                                            \
    X(ox_queue_free, (ox_queue_free(NULL), true))                                              \
    X(ox_adder_free, (ox_adder_free(NULL), true))                                              \
    X(ox_job_free, (ox_job_free(NULL), true))                                                  \
    X(ox_events_free, (ox_events_free(NULL), true))

static const char *const called[] = {
#define NAME_REFUSED(function, argument, call) #function,
    REFUSED(NAME_REFUSED)
#define NAME_HARMLESS(function, holds) #function,
        HARMLESS(NAME_HARMLESS)
};

/* ---- tests ------------------------------------------------------------------------------- */

static void expect_refusal(int64_t rc, const char *function, const char *argument)
{
    if (rc != OX_EINVAL || err.code != OX_EINVAL || !strstr(err.text, " is NULL"))
        test_fatal("%s with %s NULL: %lld, %s", function, argument, (long long)rc, err.text);
    memset(&err, 0, sizeof(err));
}

static void rejects_null_by_name(void **state)
{
    (void)state;
#define CALL(function, argument, call) expect_refusal(call, #function, #argument);
    REFUSED(CALL)
}

static void string_output_is_null_on_failure(void **state)
{
    (void)state;
    text = (char *)(uintptr_t)8;
    assert_int_equal(ox_queue_add(queue, NULL, NULL, NULL, &text, &err), OX_EINVAL);
    assert_null(text);
    text = (char *)(uintptr_t)8;
    assert_int_equal(ox_flow_add(client, NULL, "q", NULL, &text, &err), OX_EINVAL);
    assert_null(text);
    text = (char *)(uintptr_t)8;
    assert_int_equal(ox_scheduler_set(queue, NULL, &hourly, NULL, &text, &err), OX_EINVAL);
    assert_null(text);
    text = (char *)(uintptr_t)8;
    assert_int_equal(ox_queue_wait(queue, NULL, 1, &text, &err), OX_EINVAL);
    assert_null(text);
}

static void functions_without_err_ignore_null(void **state)
{
    (void)state;
#define HOLDS(function, holds)                                                                 \
    if (!(holds))                                                                              \
        test_fatal("%s does not hold", #holds);
    HARMLESS(HOLDS)
}

static void covers_every_public_function(void **state)
{
    (void)state;
    g_autofree char *header = test_headers();
    g_autoptr(GRegex) regex =
        g_regex_new("^OX_API [^;(]*\\b(\\w+)\\(", G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    size_t functions = 0;
    for (g_regex_match(regex, header, 0, &match); g_match_info_matches(match);
         g_match_info_next(match, NULL), functions++) {
        g_autofree char *name = g_match_info_fetch(match, 1);
        bool found = false;
        for (size_t i = 0; i < G_N_ELEMENTS(called) && !found; i++)
            found = strcmp(called[i], name) == 0;
        if (!found)
            test_fatal("%s is public, and not called with NULL here", name);
    }
    assert_true(functions > 80);
}

static void rejects_exclusive_options(void **state)
{
    static const struct {
        ox_job_options options;
        const char *why;
    } rows[] = {
        { { .lifo = true, .priority = 1 }, "lifo excludes priority and delay" },
        { { .lifo = true, .delay_ms = 1 }, "lifo excludes priority and delay" },
        { { .on_failure = OX_CHILD_FAIL_PARENT }, "on_failure needs a parent" },
        { { .on_failure = OX_CHILD_REMOVE, .json = "{}" }, "on_failure needs a parent" },
        { { .on_failure = 99, .parent = { .id = "1", .queue = "bull:q" } },
            "unknown value 99" },
        { { .parent = { .id = "1" } }, "queue must be" },
    };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        int rc = ox_queue_add(queue, "n", NULL, &rows[i].options, NULL, &err);
        if (rc != OX_EINVAL || !strstr(err.text, rows[i].why))
            test_fatal("row %zu: %d, %s", i, rc, err.text);
    }
}

static void refused(int rc, const char *type)
{
    g_autofree char *why = g_strdup_printf("%s: reserved must be zero", type);
    assert_int_equal(rc, OX_EINVAL);
    assert_non_null(strstr(err.text, why));
}

static void rejects_nonzero_reserve(void **state)
{
    const ox_client_options client_options = { .connect_later = true, .reserved = { 1 } };
    const ox_queue_options queue_options = { .reserved = { 0, 0, 0, 1 } };
    const ox_job_options job_options = { .reserved = { 0, 1 } };
    const ox_wait_options wait_options = { .reserved = { 1 } };
    const ox_schedule schedule = { .every_ms = 1000, .reserved = { 1 } };
    const ox_worker_options worker_options = { .reserved = { 0, 0, 1 } };
    const ox_worker_options keep_options = { .remove_on_fail = { .reserved = { 0, 1 } } };
    const ox_new_job bad_job = { .name = "n", .reserved = { 1 } };
    const struct {
        ox_job_options options;
        const char *type;
    } parts[] = {
        { { .backoff = { .reserved = { 1 } } }, "ox_backoff" },
        { { .remove_on_complete = { .reserved = { 1 } } }, "ox_keep" },
        { { .remove_on_fail = { .reserved = { 0, 1 } } }, "ox_keep" },
        { { .dedup = { .reserved = { 1 } }, .json = "{}" }, "ox_dedup" },
        { { .parent = { .reserved = { 1 } } }, "ox_parent" },
    };
    const char *flow = "{\"name\":\"n\",\"queueName\":\"q\"}";
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
        refused(ox_queue_add(queue, "n", NULL, &parts[i].options, NULL, &err), parts[i].type);
    refused(ox_queue_add_bulk(queue, &bad_job, 1, NULL, &err), "ox_new_job");
    refused(
        ox_worker_new(&worker, &loop, queue, &keep_options, process, NULL, &err), "ox_keep");
    refused(ox_client_new(&other_client, &client_options, &err), "ox_client_options");
    refused(ox_queue_new(&other_queue, client, "q", &queue_options, &err), "ox_queue_options");
    refused(
        ox_flow_add_with(client, &queue_options, NULL, flow, NULL, &err), "ox_queue_options");
    refused(ox_queue_add(queue, "n", NULL, &job_options, NULL, &err), "ox_job_options");
    refused(ox_queue_wait_with(queue, "1", &wait_options, NULL, &err), "ox_wait_options");
    refused(ox_scheduler_set(queue, "s", &schedule, NULL, NULL, &err), "ox_schedule");
    refused(ox_worker_new(&worker, &loop, queue, &worker_options, process, NULL, &err),
        "ox_worker_options");
}

static void closes_without_a_callback(void **state)
{
    (void)state;
    assert_int_equal(ox_worker_new(&worker, &loop, queue, NULL, process, NULL, &err), 0);
    assert_int_equal(ox_publisher_new(&publisher, &loop, stream, NULL, told, NULL, &err), 0);
    assert_int_equal(
        ox_consumer_new(&consumer, &loop, stream, "g", NULL, run_batch, NULL, &err), 0);
    ox_worker_abort(worker, NULL, NULL);
    ox_publisher_abort(publisher, NULL, NULL);
    ox_consumer_abort(consumer, NULL, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
}

static int open_all(void **state)
{
    const ox_client_options options = { .url = "unix:///no/such/socket",
        .connect_later = true };
    (void)state;
    uv_loop_init(&loop);
    return ox_client_new(&client, &options, &err) < 0 ||
           ox_queue_new(&queue, client, "q", NULL, &err) < 0 ||
           ox_stream_new(&stream, client, NULL, NULL, &err) < 0 ||
           ox_adder_new(&adder, queue, NULL, NULL, &err) < 0;
}

static int close_all(void **state)
{
    (void)state;
    ox_adder_free(adder);
    ox_stream_free(stream);
    ox_queue_free(queue);
    ox_client_free(client);
    ox_client_free(other_client);
    return uv_loop_close(&loop); /* no worker left anything behind in it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rejects_null_by_name),
        cmocka_unit_test(string_output_is_null_on_failure),
        cmocka_unit_test(functions_without_err_ignore_null),
        cmocka_unit_test(covers_every_public_function),
        cmocka_unit_test(rejects_exclusive_options),
        cmocka_unit_test(rejects_nonzero_reserve),
        cmocka_unit_test(closes_without_a_callback),
    };
    return cmocka_run_group_tests_name("null", tests, open_all, close_all);
}
