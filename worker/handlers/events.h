/*
 * events.h - what the handlers enqueue and publish share: both write the events of a batch to
 * the server of the worker.
 *
 * What they write has ids that follow from the events, so that a repeat changes nothing. While
 * the server is away they wait for it, as long as the run may take.
 */
#ifndef OX_WORKER_HANDLERS_EVENTS_H
#define OX_WORKER_HANDLERS_EVENTS_H

#include <glib.h>
#include <ox.h>
#include <stdbool.h>

#include "handler.h"

extern const struct handler enqueue_handler, publish_handler;

/* An event of a batch; owns its texts. */
struct event {
    char *position;
    char *json;               /* as it was published */
    char *type, *source, *id; /* NULL where it has none */
    int64_t time_ms;          /* of its position */
};

/* A client of the worker's server, which connects with its first call. NULL, and a message in
 * *problem (g_free), for settings that are wrong. */
ox_client *events_connect(const struct handler_config *config, char **problem);

/* The system that both need: the connection, and the files of its TLS. */
void events_needs(const struct handler_config *config, struct sandbox_needs *out);

/* Writes all events, each a struct event, at once. Returns 0, or a negative code. */
typedef int events_write_fn(GPtrArray *events, ox_error *err);
/* Runs a batch. When the server or the library refuses one of its events with OX_EINVAL, each
 * is tried alone, and those that are refused are named as failed. */
enum handler_result events_run(const struct handler_job *job, events_write_fn *write,
    const struct handler_io *io, GString *out);

#endif /* OX_WORKER_HANDLERS_EVENTS_H */
