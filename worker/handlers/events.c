/*
 * events.c - see events.h.
 */
#include "events.h"

#include <stdlib.h>
#include <string.h>

#include "base/outage.h"
#include "base/stored.h"
#include "batch.h"
#include "sandbox.h"

#define MARGIN_MS 500 /* before the run is killed, to tell what happened */

/* ---- Events ------------------------------------------------------------------------------ */

static void event_free(gpointer memory)
{
    struct event *event = memory;
    g_free(event->position);
    g_free(event->json);
    free(event->type);
    free(event->source);
    free(event->id);
    g_free(event);
}

/* Those of the batch; the array owns them. */
static GPtrArray *read_events(const struct handler_job *job)
{
    GPtrArray *events = g_ptr_array_new_with_free_func(event_free);
    const char *at = job->data;
    struct batch_event found;
    while (batch_next(&at, &found)) {
        struct event *event = g_new0(struct event, 1);
        event->position = g_strndup(found.position, found.position_length);
        event->json = g_strdup_printf("%.*s}", (int)found.bare_length, found.json);
        const struct ox__slice whole = ox__slice_at(event->json);
        event->type = ox__slice_text(ox__slice_get(whole, "type"));
        event->source = ox__slice_text(ox__slice_get(whole, "source"));
        event->id = ox__slice_text(ox__slice_get(whole, "id"));
        event->time_ms = g_ascii_strtoll(event->position, NULL, 10);
        g_ptr_array_add(events, event);
    }
    return events;
}

/* ---- The server -------------------------------------------------------------------------- */

ox_client *events_connect(const struct handler_config *config, char **problem)
{
    ox_client_options options = { .url = config->server->redis, .connect_later = true };
    ox_client *client = NULL;
    ox_error err = { 0 };
    ox__tls_use(&config->server->tls, &options);
    if (ox_client_new(&client, &options, &err) < 0) {
        *problem = g_strdup(err.text);
    }
    return client;
}

void events_needs(const struct handler_config *config, struct sandbox_needs *out)
{
    static const char *reads[4]; /* lives as long as the process */
    const struct ox__tls_given *tls = &config->server->tls;
    const char *const files[] = { tls->ca, tls->cert, tls->key };
    size_t count = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        if (files[i] != NULL) {
            reads[count++] = files[i];
        }
    }
    reads[count] = NULL;
    *out = (struct sandbox_needs){ .confined = true, .connects = true, .reads = reads };
}

/* How long the server is waited for. */
static uint32_t patience_ms(const struct handler_job *job)
{
    int64_t left_ms = job->deadline_ms - g_get_real_time() / 1000 - MARGIN_MS;
    return job->deadline_ms == 0 ? UINT32_MAX : (uint32_t)CLAMP(left_ms, 1, UINT32_MAX);
}

static int write_events(
    events_write_fn *write, GPtrArray *events, const struct handler_job *job, ox_error *err)
{
    struct ox__outage outage = { 0 };
    int status;
    do {
        status = write(events, err);
    } while (ox__outage_retry(&outage, patience_ms(job), status));
    return status;
}

/* ---- A run ------------------------------------------------------------------------------- */

/* Names the event as failed. */
static void name_failure(
    GString *out, const struct event *event, const struct handler_io *io, const ox_error *err)
{
    g_autofree char *row = g_strdup_printf("%s: %s", event->position, err->text);
    io->log(io->arg, row);
    g_string_append_printf(out, "%s{\"itemIdentifier\":\"%s\"}",
        out->len > 0 ? "," : "{\"batchItemFailures\":[", event->position);
}

static int write_each(events_write_fn *write, GPtrArray *events, const struct handler_job *job,
    const struct handler_io *io, GString *out, ox_error *err)
{
    int status = 0;
    for (guint i = 0; status >= 0 && i < events->len; i++) {
        g_autoptr(GPtrArray) one = g_ptr_array_new();
        g_ptr_array_add(one, events->pdata[i]);
        status = write_events(write, one, job, err);
        if (status == OX_EINVAL) {
            name_failure(out, events->pdata[i], io, err);
            status = 0;
        }
    }
    if (status >= 0 && out->len > 0) {
        g_string_append(out, "]}");
    }
    return status;
}

enum handler_result events_run(const struct handler_job *job, events_write_fn *write,
    const struct handler_io *io, GString *out)
{
    g_autoptr(GPtrArray) events = read_events(job);
    ox_error err = { 0 };
    int status = write_events(write, events, job, &err);
    if (status == OX_EINVAL) {
        status = write_each(write, events, job, io, out, &err);
    }
    if (status < 0) {
        g_string_assign(out, err.text);
        return HANDLER_RETRY;
    }
    return HANDLER_DONE;
}
