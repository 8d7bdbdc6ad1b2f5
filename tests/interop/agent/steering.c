/*
 * steering.c - the agent's operations on a queue as a whole: pausing, cleaning, limits,
 * numbers, schedulers, events; and those of the connection.
 */
#include "agent.h"

#include <stdlib.h>
#include <string.h>

/* ---- the connection -----------------------------------------------------------------------
 */

static int op_time(struct call *call, json_t **value)
{
    int64_t now_ms = 0;
    int rc = ox_client_time(call->agent->client, &now_ms, &call->error);
    return rc < 0 ? rc : counted(now_ms, value);
}

static int op_queues(struct call *call, json_t **value)
{
    char **names = NULL;
    size_t count = 0;
    int rc = ox_client_queues(
        call->agent->client, arg_text(call, "prefix"), &names, &count, &call->error);
    if (rc < 0)
        return rc;
    *value = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(*value, json_string(names[i]));
    ox_list_free(names);
    return rc;
}

/* ---- steering -----------------------------------------------------------------------------
 */

static int op_pause(struct call *call, json_t **value)
{
    return counted(ox_queue_pause(call->queue, &call->error), value);
}

static int op_resume(struct call *call, json_t **value)
{
    return counted(ox_queue_resume(call->queue, &call->error), value);
}

static int op_is_paused(struct call *call, json_t **value)
{
    return counted(ox_queue_is_paused(call->queue, &call->error), value);
}

static int op_drain(struct call *call, json_t **value)
{
    return counted(ox_queue_drain(call->queue, arg_bool(call, "delayed"), &call->error), value);
}

static void on_cleaned(void *arg, const char *id)
{
    json_array_append_new(arg, json_string(id));
}

/* The ids that went. */
static int op_clean(struct call *call, json_t **value)
{
    *value = json_array();
    int64_t count =
        ox_queue_clean(call->queue, arg_state(call), arg_number(call, "grace_ms", 0),
            (uint32_t)arg_number(call, "limit", 0), on_cleaned, *value, &call->error);
    if (count >= 0 && (size_t)count != json_array_size(*value))
        json_array_append_new(*value, json_string("count differs"));
    return count < 0 ? (int)count : 0;
}

static int op_obliterate(struct call *call, json_t **value)
{
    return counted(
        ox_queue_obliterate(call->queue, arg_bool(call, "force"), &call->error), value);
}

static int op_set_concurrency(struct call *call, json_t **value)
{
    return counted(ox_queue_set_concurrency(
                       call->queue, (uint32_t)arg_number(call, "max", 0), &call->error),
        value);
}

static int op_set_rate(struct call *call, json_t **value)
{
    return counted(ox_queue_set_rate(call->queue, (uint32_t)arg_number(call, "max", 0),
                       arg_number(call, "duration_ms", 0), &call->error),
        value);
}

static int op_rate_limit(struct call *call, json_t **value)
{
    return counted(
        ox_queue_rate_limit(call->queue, arg_number(call, "duration_ms", 0), &call->error),
        value);
}

/* ---- numbers ------------------------------------------------------------------------------
 */

static int op_info(struct call *call, json_t **value)
{
    ox_queue_info info = { 0 };
    int rc = ox_queue_info_get(call->queue, &info, &call->error);
    if (rc < 0)
        return rc;
    *value = json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:b}", "version",
        info.version, "paused", info.paused, "concurrency", (json_int_t)info.concurrency,
        "rate_max", (json_int_t)info.rate_max, "rate_duration_ms",
        (json_int_t)info.rate_duration_ms, "rate_ttl_ms", (json_int_t)info.rate_ttl_ms,
        "max_events", (json_int_t)info.max_events, "next_id", (json_int_t)info.next_id,
        "stray_paused_list", info.stray_paused_list, "obsolete_markers", info.obsolete_markers,
        "legacy_repeatables", info.legacy_repeatables);
    return rc;
}

static int op_metrics(struct call *call, json_t **value)
{
    ox_metrics *metrics = NULL;
    int rc = ox_queue_metrics(call->queue, arg_state(call), &metrics, &call->error);
    if (rc < 0)
        return rc;
    json_t *points = json_array();
    for (size_t i = 0; i < metrics->point_count; i++)
        json_array_append_new(points, json_integer(metrics->points[i]));
    *value = json_pack("{s:I, s:I, s:o}", "count", (json_int_t)metrics->count, "previous_ms",
        (json_int_t)metrics->previous_ms, "points", points);
    ox_free(metrics);
    return rc;
}

static int op_workers(struct call *call, json_t **value)
{
    ox_worker_info **workers = NULL;
    size_t count = 0;
    int rc = ox_queue_workers(call->queue, &workers, &count, &call->error);
    if (rc < 0)
        return rc;
    *value = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(*value, json_string(workers[i]->name));
    ox_list_free(workers);
    return rc;
}

/* ---- schedulers ---------------------------------------------------------------------------
 */

static ox_schedule schedule_from(const json_t *object)
{
    return (ox_schedule){
        .every_ms = json_integer_value(json_object_get(object, "every")),
        .pattern = json_string_value(json_object_get(object, "pattern")),
        .tz = json_string_value(json_object_get(object, "tz")),
        .offset_ms = json_integer_value(json_object_get(object, "offset")),
        .start_ms = json_integer_value(json_object_get(object, "startDate")),
        .end_ms = json_integer_value(json_object_get(object, "endDate")),
        .limit = json_integer_value(json_object_get(object, "limit")),
        .immediately = json_is_true(json_object_get(object, "immediately")),
    };
}

static int op_scheduler_set(struct call *call, json_t **value)
{
    ox_schedule schedule = schedule_from(json_object_get(call->request, "schedule"));
    ox_job_options options;
    char *id = NULL;
    int rc = job_options(json_object_get(call->request, "opts"), &options, &call->error);
    if (rc < 0)
        return rc;
    char *data = arg_json(call->request);
    ox_new_job job = { .name = arg_text(call, "name"), .json = data, .options = &options };
    rc = ox_scheduler_set(
        call->queue, arg_text(call, "scheduler"), &schedule, &job, &id, &call->error);
    free(data);
    *value = id ? json_string(id) : json_null();
    ox_free(id);
    return rc;
}

static int op_scheduler_remove(struct call *call, json_t **value)
{
    return counted(
        ox_scheduler_remove(call->queue, arg_text(call, "scheduler"), &call->error), value);
}

static json_t *scheduler_json(const ox_scheduler *one)
{
    return json_pack("{s:s, s:s?, s:s?, s:s?, s:s?, s:s?, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
        "id", one->id, "name", one->name, "pattern", one->pattern, "tz", one->tz, "data",
        one->data, "opts", one->opts, "every", (json_int_t)one->every_ms, "offset",
        (json_int_t)one->offset_ms, "startDate", (json_int_t)one->start_ms, "endDate",
        (json_int_t)one->end_ms, "limit", (json_int_t)one->limit, "iterations",
        (json_int_t)one->iterations, "next", (json_int_t)one->next_ms);
}

static int op_schedulers(struct call *call, json_t **value)
{
    ox_scheduler **list = NULL;
    size_t count = 0;
    int rc = ox_queue_schedulers(call->queue, arg_number(call, "start", 0),
        arg_number(call, "end", -1), &list, &count, &call->error);
    if (rc < 0)
        return rc;
    *value = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(*value, scheduler_json(list[i]));
    ox_list_free(list);
    return rc;
}

/* ---- events -------------------------------------------------------------------------------
 */

static int op_events_close(struct call *call, json_t **value)
{
    (void)value;
    ox_events_free(call->agent->events);
    ox_queue_free(call->agent->events_queue);
    call->agent->events = NULL;
    call->agent->events_queue = NULL;
    return 0;
}

static int op_events_open(struct call *call, json_t **value)
{
    struct agent *agent = call->agent;
    op_events_close(call, value);
    int rc = queue_of(agent, call->request, &agent->events_queue, &call->error);
    return rc < 0 ? rc
                  : ox_events_new(&agent->events, agent->events_queue, arg_text(call, "from"),
                        &call->error);
}

/* [name, job id or null, field, value, ...]; null when the time is over. */
static int op_events_next(struct call *call, json_t **value)
{
    ox_event event;
    int rc = ox_events_next(call->agent->events, (uint32_t)arg_number(call, "timeout_ms", 1000),
        &event, &call->error);
    if (rc <= 0)
        return rc;
    *value = json_pack("[s, s?]", event.name, event.job_id);
    for (size_t i = 0; i < event.field_count; i++)
        json_array_append_new(*value, json_string(event.fields[i]));
    return 0;
}

const struct operation steering_operations[] = {
    { "time", false, op_time },
    { "queues", false, op_queues },
    { "pause", true, op_pause },
    { "resume", true, op_resume },
    { "is_paused", true, op_is_paused },
    { "drain", true, op_drain },
    { "clean", true, op_clean },
    { "obliterate", true, op_obliterate },
    { "set_concurrency", true, op_set_concurrency },
    { "set_rate", true, op_set_rate },
    { "rate_limit", true, op_rate_limit },
    { "info", true, op_info },
    { "metrics", true, op_metrics },
    { "workers", true, op_workers },
    { "scheduler_set", true, op_scheduler_set },
    { "scheduler_remove", true, op_scheduler_remove },
    { "schedulers", true, op_schedulers },
    { "events_open", false, op_events_open },
    { "events_next", false, op_events_next },
    { "events_close", false, op_events_close },
    { NULL, false, NULL },
};
