/*
 * queue.c - the agent's operations on jobs: adding, looking, changing.
 * One function a libox call; what a call hands over is freed here.
 */
#include "agent.h"

#include <stdlib.h>

/* A string of libox as JSON, freed. */
static json_t *take_text(char *text)
{
    json_t *value = text ? json_string(text) : json_null();
    ox_free(text);
    return value;
}

static const char *job_id(const struct call *call)
{
    const char *id = arg_text(call, "job");
    return id ? id : "";
}

/* ---- adding -------------------------------------------------------------------------------
 */

/* One job of a request: what ox_new_job borrows. */
struct job {
    ox_job_options options;
    ox_new_job job;
    char *data, *raw;
};

static int job_from(const json_t *object, struct job *out, ox_error *error)
{
    const json_t *raw = json_object_get(object, "json");
    *out = (struct job){ 0 };
    int rc = job_options(json_object_get(object, "opts"), &out->options, error);
    if (rc < 0)
        return rc;
    out->data = arg_json(object);
    out->raw = json_is_object(raw) ? json_dumps(raw, JSON_COMPACT) : NULL;
    out->options.json = out->raw ? out->raw : json_string_value(raw);
    out->job.name = json_string_value(json_object_get(object, "name"));
    out->job.json = out->data;
    out->job.options = &out->options;
    return 0;
}

static void job_done(struct job *job)
{
    free(job->data);
    free(job->raw);
}

static int op_add(struct call *call, json_t **value)
{
    struct job job;
    char *id = NULL;
    int rc = job_from(call->request, &job, &call->error);
    if (rc >= 0)
        rc = ox_queue_add(call->queue, job.job.name, job.data, &job.options, &id, &call->error);
    job_done(&job);
    *value = take_text(id);
    return rc;
}

static int jobs_from(struct call *call, struct job **jobs, ox_new_job **rows, size_t *count)
{
    const json_t *list = json_object_get(call->request, "jobs");
    *count = json_array_size(list);
    *jobs = calloc(*count + 1, sizeof(**jobs));
    *rows = calloc(*count + 1, sizeof(**rows));
    for (size_t i = 0; i < *count; i++) {
        int rc = job_from(json_array_get(list, i), &(*jobs)[i], &call->error);
        if (rc < 0)
            return rc;
        (*rows)[i] = (*jobs)[i].job;
    }
    return 0;
}

static void jobs_done(struct job *jobs, ox_new_job *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        job_done(&jobs[i]);
    free(jobs);
    free(rows);
}

static int op_add_bulk(struct call *call, json_t **value)
{
    struct job *jobs;
    ox_new_job *rows;
    size_t count;
    int rc = jobs_from(call, &jobs, &rows, &count);
    char **ids = calloc(count + 1, sizeof(*ids));
    if (rc >= 0)
        rc = ox_queue_add_bulk(call->queue, rows, count, ids, &call->error);
    *value = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(*value, take_text(ids[i]));
    free(ids);
    jobs_done(jobs, rows, count);
    return rc;
}

/* Each job's id, or the code of its refusal, in order. */
static void on_added(void *arg, uint64_t index, const char *id, int code, const ox_error *err)
{
    (void)err;
    json_t *list = arg;
    if (index != json_array_size(list))
        json_array_append_new(list, json_string("out of order"));
    else
        json_array_append_new(list, code < 0 ? json_integer(code) : json_string(id));
}

static int op_adder(struct call *call, json_t **value)
{
    struct job *jobs;
    ox_new_job *rows;
    ox_adder *adder = NULL;
    size_t count;
    int rc = jobs_from(call, &jobs, &rows, &count);
    *value = json_array();
    if (rc >= 0)
        rc = ox_adder_new(&adder, call->queue, on_added, *value, &call->error);
    for (size_t i = 0; rc >= 0 && i < count; i++)
        rc = ox_adder_put(adder, &rows[i], &call->error);
    if (rc >= 0)
        rc = ox_adder_flush(adder, &call->error);
    /* A refusal of some is told by their codes, not by the whole. */
    if (json_array_size(*value) == count)
        rc = 0;
    ox_adder_free(adder);
    jobs_done(jobs, rows, count);
    return rc;
}

static int op_flow(struct call *call, json_t **value)
{
    char *id = NULL;
    char *flow = json_dumps(json_object_get(call->request, "flow"), JSON_COMPACT);
    int rc = ox_flow_add(
        call->agent->client, arg_text(call, "prefix"), NULL, flow, &id, &call->error);
    free(flow);
    *value = take_text(id);
    return rc;
}

/* ---- looking ------------------------------------------------------------------------------
 */

static const char *const field_names[] = {
#define FIELD_NAME(name, text) text,
    OX_FIELDS(FIELD_NAME)
#undef FIELD_NAME
};

static json_t *fields_of(const ox_job *job)
{
    json_t *fields = json_object();
    for (int i = 0; i < OX_FIELD_COUNT; i++) {
        const char *text = ox_job_text(job, (enum ox_field)i);
        if (text)
            json_object_set_new(fields, field_names[i], json_string(text));
    }
    return fields;
}

static int op_job(struct call *call, json_t **value)
{
    ox_job *job = NULL;
    int state = OX_UNKNOWN;
    int rc = ox_queue_job(call->queue, job_id(call), &job, &state, &call->error);
    if (rc >= 0)
        *value = json_pack("{s:s, s:s, s:i, s:o}", "id", ox_job_id(job), "state",
            ox_state_name(state), "attempts", (int)ox_job_attempts(job), "fields",
            fields_of(job));
    ox_job_free(job);
    return rc;
}

static int op_state(struct call *call, json_t **value)
{
    int rc = ox_queue_job_state(call->queue, job_id(call), &call->error);
    if (rc >= 0)
        *value = json_string(ox_state_name(rc));
    return rc;
}

/* Ids of one state. */
static int op_jobs(struct call *call, json_t **value)
{
    ox_job **jobs = NULL;
    size_t count = 0;
    int rc = ox_queue_jobs(call->queue, arg_state(call), arg_number(call, "start", 0),
        arg_number(call, "end", -1), arg_bool(call, "ascending"), &jobs, &count, &call->error);
    if (rc < 0)
        return rc;
    *value = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(*value, json_string(ox_job_id(jobs[i])));
    ox_list_free(jobs);
    return rc;
}

static int op_counts(struct call *call, json_t **value)
{
    ox_counts counts;
    int rc = ox_queue_counts(call->queue, &counts, &call->error);
    if (rc < 0)
        return rc;
    *value = json_object();
    for (int i = 0; i < OX_UNKNOWN; i++)
        json_object_set_new(*value, ox_state_name(i), json_integer(counts.of[i]));
    return rc;
}

static int op_counts_by_priority(struct call *call, json_t **value)
{
    const json_t *list = json_object_get(call->request, "priorities");
    uint32_t priorities[32];
    int64_t out[32];
    size_t count = json_array_size(list) < 32 ? json_array_size(list) : 32;
    for (size_t i = 0; i < count; i++)
        priorities[i] = (uint32_t)json_integer_value(json_array_get(list, i));
    int rc = ox_queue_counts_by_priority(call->queue, priorities, count, out, &call->error);
    *value = json_array();
    for (size_t i = 0; rc >= 0 && i < count; i++)
        json_array_append_new(*value, json_integer(out[i]));
    return rc;
}

static int op_logs(struct call *call, json_t **value)
{
    char **rows = NULL;
    size_t count = 0;
    int64_t total = 0;
    int rc = ox_queue_logs(call->queue, job_id(call), arg_number(call, "start", 0),
        arg_number(call, "end", -1), &rows, &count, &total, &call->error);
    if (rc < 0)
        return rc;
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(rows[i]));
    ox_list_free(rows);
    *value = json_pack("{s:o, s:I}", "rows", list, "total", (json_int_t)total);
    return rc;
}

static int op_children(struct call *call, json_t **value)
{
    static const char *const kinds[] = { [OX_CHILD_PROCESSED] = "processed",
        [OX_CHILD_PENDING] = "pending",
        [OX_CHILD_IGNORED] = "ignored",
        [OX_CHILD_FAILED] = "failed" };
    ox_child **children = NULL;
    size_t count = 0;
    int rc = ox_queue_children(call->queue, job_id(call), &children, &count, &call->error);
    if (rc < 0)
        return rc;
    *value = json_array();
    for (size_t i = 0; i < count; i++) {
        const ox_child *child = children[i];
        json_array_append_new(*value, json_pack("{s:s, s:s?, s:s}", "key", child->key, "text",
                                          child->text, "kind", kinds[child->kind]));
    }
    ox_list_free(children);
    return rc;
}

/* The return value, as the text that was stored. */
static int op_wait(struct call *call, json_t **value)
{
    char *json = NULL;
    int rc = ox_queue_wait(call->queue, job_id(call),
        (uint32_t)arg_number(call, "timeout_ms", 0), &json, &call->error);
    *value = take_text(json);
    return rc;
}

/* ---- changing -----------------------------------------------------------------------------
 */

static int op_retry(struct call *call, json_t **value)
{
    unsigned flags = (arg_bool(call, "reset_made") ? OX_RESET_ATTEMPTS_MADE : 0) |
                     (arg_bool(call, "reset_started") ? OX_RESET_ATTEMPTS_STARTED : 0);
    return counted(
        ox_queue_retry(call->queue, job_id(call), arg_state(call), flags, &call->error), value);
}

static int op_retry_all(struct call *call, json_t **value)
{
    return counted(ox_queue_retry_all(call->queue, arg_state(call),
                       arg_number(call, "before_ms", 0), &call->error),
        value);
}

static int op_promote(struct call *call, json_t **value)
{
    return counted(ox_queue_promote(call->queue, job_id(call), &call->error), value);
}

static int op_promote_all(struct call *call, json_t **value)
{
    return counted(ox_queue_promote_all(call->queue, &call->error), value);
}

static int op_remove(struct call *call, json_t **value)
{
    return counted(ox_queue_remove(call->queue, job_id(call), arg_bool(call, "with_children"),
                       &call->error),
        value);
}

static int op_update_data(struct call *call, json_t **value)
{
    char *json = arg_json(call->request);
    int rc = ox_queue_update_data(call->queue, job_id(call), json, &call->error);
    free(json);
    return counted(rc, value);
}

static int op_update_progress(struct call *call, json_t **value)
{
    char *json = arg_json(call->request);
    int rc = ox_queue_update_progress(call->queue, job_id(call), json, &call->error);
    free(json);
    return counted(rc, value);
}

static int op_add_log(struct call *call, json_t **value)
{
    return counted(ox_queue_add_log(call->queue, job_id(call), arg_text(call, "row"),
                       (uint32_t)arg_number(call, "keep", 0), &call->error),
        value);
}

static int op_clear_logs(struct call *call, json_t **value)
{
    return counted(ox_queue_clear_logs(call->queue, job_id(call),
                       (uint32_t)arg_number(call, "keep", 0), &call->error),
        value);
}

static int op_change_priority(struct call *call, json_t **value)
{
    return counted(
        ox_queue_change_priority(call->queue, job_id(call),
            (uint32_t)arg_number(call, "priority", 0), arg_bool(call, "lifo"), &call->error),
        value);
}

static int op_change_delay(struct call *call, json_t **value)
{
    return counted(ox_queue_change_delay(call->queue, job_id(call),
                       arg_number(call, "delay_ms", 0), &call->error),
        value);
}

static int op_remove_child_dependency(struct call *call, json_t **value)
{
    return counted(
        ox_queue_remove_child_dependency(call->queue, job_id(call), &call->error), value);
}

static int op_remove_dedup(struct call *call, json_t **value)
{
    return counted(
        ox_queue_remove_dedup(call->queue, arg_text(call, "dedup"), &call->error), value);
}

const struct operation queue_operations[] = {
    { "add", true, op_add },
    { "add_bulk", true, op_add_bulk },
    { "adder", true, op_adder },
    { "flow", false, op_flow },
    { "job", true, op_job },
    { "state", true, op_state },
    { "jobs", true, op_jobs },
    { "counts", true, op_counts },
    { "counts_by_priority", true, op_counts_by_priority },
    { "logs", true, op_logs },
    { "children", true, op_children },
    { "wait", true, op_wait },
    { "retry", true, op_retry },
    { "retry_all", true, op_retry_all },
    { "promote", true, op_promote },
    { "promote_all", true, op_promote_all },
    { "remove", true, op_remove },
    { "update_data", true, op_update_data },
    { "update_progress", true, op_update_progress },
    { "add_log", true, op_add_log },
    { "clear_logs", true, op_clear_logs },
    { "change_priority", true, op_change_priority },
    { "change_delay", true, op_change_delay },
    { "remove_child_dependency", true, op_remove_child_dependency },
    { "remove_dedup", true, op_remove_dedup },
    { NULL, false, NULL },
};
