/*
 * options.c - BullMQ's options, as a test writes them, into libox's structs.
 *
 * The point of the detour is that the structs are what a C program fills in: the tests prove
 * that they mean what BullMQ's names mean. ("json" of a request goes to libox untouched.)
 */
#include "agent.h"

#include <stdlib.h>
#include <string.h>

enum kind { TEXT, NUMBER, SMALL, BOOLEAN, KEEP, BACKOFF, DEDUP, PARENT, TRACES, SIZE, CHILD };

struct row {
    const char *name;
    enum kind kind;
    size_t offset;
    int child; /* enum ox_child_failure, for CHILD */
};

#define AT(field) offsetof(ox_job_options, field)

static const struct row rows[] = {
    { "jobId", TEXT, AT(id), 0 },
    { "timestamp", NUMBER, AT(timestamp_ms), 0 },
    { "delay", NUMBER, AT(delay_ms), 0 },
    { "priority", SMALL, AT(priority), 0 },
    { "lifo", BOOLEAN, AT(lifo), 0 },
    { "attempts", SMALL, AT(attempts), 0 },
    { "backoff", BACKOFF, AT(backoff), 0 },
    { "removeOnComplete", KEEP, AT(remove_on_complete), 0 },
    { "removeOnFail", KEEP, AT(remove_on_fail), 0 },
    { "keepLogs", SMALL, AT(keep_logs), 0 },
    { "stackTraceLimit", TRACES, AT(stack_trace_limit), 0 },
    { "sizeLimit", SIZE, AT(size_limit), 0 },
    { "timeout", NUMBER, AT(timeout_ms), 0 },
    { "expire", NUMBER, AT(expire_ms), 0 },
    { "deduplication", DEDUP, AT(dedup), 0 },
    { "parent", PARENT, AT(parent), 0 },
    { "failParentOnFailure", CHILD, AT(on_failure), OX_CHILD_FAIL_PARENT },
    { "continueParentOnFailure", CHILD, AT(on_failure), OX_CHILD_CONTINUE },
    { "ignoreDependencyOnFailure", CHILD, AT(on_failure), OX_CHILD_IGNORE },
    { "removeDependencyOnFailure", CHILD, AT(on_failure), OX_CHILD_REMOVE },
    { "tm", TEXT, AT(telemetry), 0 },
    { "omc", BOOLEAN, AT(omit_context), 0 },
};

ox_keep keep_option(const json_t *value)
{
    ox_keep keep = { .mode = OX_KEEP_DEFAULT };
    if (json_is_boolean(value)) {
        keep.mode = json_is_true(value) ? OX_KEEP_NONE : OX_KEEP_ALL;
    } else if (json_is_integer(value)) {
        keep.mode = json_integer_value(value) > 0 ? OX_KEEP_SOME : OX_KEEP_NONE;
        keep.count = json_integer_value(value);
    } else if (json_is_object(value)) {
        keep.mode = OX_KEEP_SOME;
        keep.count = json_integer_value(json_object_get(value, "count"));
        keep.age_s = json_integer_value(json_object_get(value, "age"));
        keep.limit = json_integer_value(json_object_get(value, "limit"));
    }
    return keep;
}

static ox_backoff backoff_option(const json_t *value)
{
    ox_backoff backoff = { .type = "fixed", .delay_ms = json_integer_value(value) };
    if (json_is_object(value)) {
        backoff.type = json_string_value(json_object_get(value, "type"));
        backoff.delay_ms = json_integer_value(json_object_get(value, "delay"));
        backoff.jitter = json_number_value(json_object_get(value, "jitter"));
    }
    return backoff;
}

static ox_dedup dedup_option(const json_t *value)
{
    return (ox_dedup){
        .id = json_string_value(json_object_get(value, "id")),
        .ttl_ms = json_integer_value(json_object_get(value, "ttl")),
        .extend = json_is_true(json_object_get(value, "extend")),
        .replace = json_is_true(json_object_get(value, "replace")),
        .reschedule = json_is_true(json_object_get(value, "reschedule")),
        .keep_last_if_active = json_is_true(json_object_get(value, "keepLastIfActive")),
    };
}

static ox_parent parent_option(const json_t *value)
{
    return (ox_parent){
        .id = json_string_value(json_object_get(value, "id")),
        .queue = json_string_value(json_object_get(value, "queue")),
    };
}

static void set_option(const struct row *row, const json_t *value, ox_job_options *out)
{
    void *place = (char *)out + row->offset;
    switch (row->kind) {
    case TEXT:
        *(const char **)place = json_string_value(value);
        break;
    case NUMBER:
        *(int64_t *)place = json_integer_value(value);
        break;
    case SMALL:
        *(uint32_t *)place = (uint32_t)json_integer_value(value);
        break;
    case SIZE:
        *(size_t *)place = (size_t)json_integer_value(value);
        break;
    case BOOLEAN:
        *(bool *)place = json_is_true(value);
        break;
    case TRACES: /* libox: 0 is all and -1 none */
        *(int32_t *)place =
            json_integer_value(value) > 0 ? (int32_t)json_integer_value(value) : -1;
        break;
    case KEEP:
        *(ox_keep *)place = keep_option(value);
        break;
    case BACKOFF:
        *(ox_backoff *)place = backoff_option(value);
        break;
    case DEDUP:
        *(ox_dedup *)place = dedup_option(value);
        break;
    case PARENT:
        *(ox_parent *)place = parent_option(value);
        break;
    case CHILD:
        if (json_is_true(value))
            *(int *)place = row->child;
        break;
    }
}

static const struct row *find_row(const char *name)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

int job_options(const json_t *opts, ox_job_options *out, ox_error *error)
{
    const char *name;
    json_t *value;

    *out = (ox_job_options){ 0 };
    json_object_foreach ((json_t *)opts, name, value) {
        const struct row *row = find_row(name);
        if (!row) {
            error->code = OX_EINVAL;
            snprintf(error->text, sizeof(error->text), "the agent has no option %s", name);
            return OX_EINVAL;
        }
        set_option(row, value, out);
    }
    return 0;
}

const char *arg_text(const struct call *call, const char *key)
{
    return json_string_value(json_object_get(call->request, key));
}

int64_t arg_number(const struct call *call, const char *key, int64_t none)
{
    const json_t *value = json_object_get(call->request, key);
    return json_is_integer(value) ? json_integer_value(value) : none;
}

bool arg_bool(const struct call *call, const char *key)
{
    return json_is_true(json_object_get(call->request, key));
}

int arg_state(const struct call *call)
{
    const char *name = arg_text(call, "state");
    return ox_state_parse(name ? name : "");
}

int counted(int64_t result, json_t **value)
{
    if (result < 0)
        return (int)result;
    *value = json_integer(result);
    return 0;
}

char *arg_json(const json_t *object)
{
    const char *text = json_string_value(json_object_get(object, "text"));
    const json_t *data = json_object_get(object, "data");
    if (text)
        return strdup(text);
    return data ? json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
}

int queue_of(struct agent *agent, const json_t *request, ox_queue **out, ox_error *error)
{
    const json_t *get = request;
    ox_queue_options options = {
        .prefix = json_string_value(json_object_get(get, "prefix")),
        .no_events = json_is_true(json_object_get(get, "no_events")),
        .legacy_pause = json_is_true(json_object_get(get, "legacy_pause")),
        .max_events = (uint32_t)json_integer_value(json_object_get(get, "max_events")),
        .batch = (uint32_t)json_integer_value(json_object_get(get, "batch")),
    };
    const char *name = json_string_value(json_object_get(get, "queue"));
    return ox_queue_new(out, agent->client, name ? name : "", &options, error);
}
