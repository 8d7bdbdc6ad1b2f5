/*
 * origin.c - see origin.h.
 *
 * A job that a binding made has an id that begins with "ev-", its event as data, and the time
 * of the event's position as timestamp. So only the events of that millisecond are looked at.
 */
#include "origin.h"
#include "json.h"
#include "server.h"
#include <inttypes.h>
#include <string.h>

#define PREFIX "ev-"

void origin_done(struct origin *origin)
{
    g_free(origin->type);
    g_free(origin->source);
    g_free(origin->id);
    g_free(origin->stream);
    *origin = (struct origin){ .position = "" };
}

static char *text_of(const json_t *event, const char *name)
{
    return g_strdup(json_string_value(json_object_get(event, name)));
}

static bool is_same(const struct origin *origin, const ox_stream_event *event)
{
    return event->id != NULL && event->source != NULL && !strcmp(event->id, origin->id) &&
           !strcmp(event->source, origin->source);
}

/* Looks among the events of a stream of that millisecond. Returns 1 when it is there. */
static int look_in(
    const struct run *run, const char *name, int64_t ms, struct origin *origin, ox_error *err)
{
    const ox_stream_options options = { .prefix = run->prefix };
    g_autofree char *when = g_strdup_printf("%" PRId64, ms);
    const ox_tail_options part = { .from = when, .to = when, .pattern = origin->type };
    g_autoptr(ox_stream) stream = NULL;
    g_autoptr(ox_tail) tail = NULL;
    ox_stream_event event;
    int rc = ox_stream_new(&stream, run->client, name, &options, err);
    rc = rc < 0 ? rc : ox_tail_new(&tail, stream, &part, err);
    while (rc >= 0) {
        rc = ox_tail_next(tail, 0, &event, err);
        if (rc == OX_EDATA) {
            rc = 0;
        } else if (rc > 0 && is_same(origin, &event)) {
            origin->stream = g_strdup(name);
            g_strlcpy(origin->position, event.position, sizeof(origin->position));
            return 1;
        } else if (rc == 0) {
            return 0;
        }
    }
    return rc;
}

static int look_everywhere(
    const struct run *run, int64_t ms, struct origin *origin, ox_error *err)
{
    OX_AUTOLIST char **names = NULL;
    size_t count = 0;
    int rc = ox_client_streams(run->client, run->prefix, &names, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = look_in(run, names[i], ms, origin, err);
    }
    return rc < 0 ? rc : 1;
}

int origin_find(const struct run *run, const ox_job *job, struct origin *origin, ox_error *err)
{
    const char *data = ox_job_text(job, OX_JOB_DATA);
    int64_t ms = ox_job_number(job, OX_JOB_TIMESTAMP, 0);
    *origin = (struct origin){ .position = "" };
    if (!g_str_has_prefix(ox_job_id(job), PREFIX) || data == NULL) {
        return 0;
    }
    json_t *event = json_loads(data, JSON_DECODE_ANY, NULL);
    origin->type = text_of(event, "type");
    origin->source = text_of(event, "source");
    origin->id = text_of(event, "id");
    json_decref(event);
    if (origin->type == NULL || origin->source == NULL || origin->id == NULL) {
        return 0;
    }
    return ms > 0 ? look_everywhere(run, ms, origin, err) : 1;
}
