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

/* An event of a batch; owns its texts. */
struct event {
    char *position;
    char *json;               /* as it was published */
    char *type, *source, *id; /* NULL where it has none */
    int64_t time_ms;          /* of its position */
};

/* Those of a batch, each a struct event that the array owns. */
GPtrArray *events_read(const struct handler_job *job);

/* A client of the worker's server, which connects with its first call. NULL, and a message in
 * *problem (g_free), for settings that are wrong. */
ox_client *events_connect(const struct handler_config *config, char **problem);

/* The system that both need: the connection, and the files of its TLS. */
void events_needs(const struct handler_config *config, struct sandbox_needs *out);

/* What is done with all events at once. When the server or the library refuses one of them with
 * OX_EINVAL, each is tried alone, and those that are refused are named as failed. */
struct events_work {
    /* Returns 0, or a negative code. */
    int (*write)(void *arg, GPtrArray *events, ox_error *err);
    void *arg;
};
enum handler_result events_run(const struct handler_job *job, const struct events_work *work,
    const struct handler_io *io, GString *out);

#endif /* OX_WORKER_HANDLERS_EVENTS_H */
