/*
 * batch.h - a batch of events as text, the data of a run, and what a handler says of single
 * events.
 *
 * The text is a JSON array with an event on each line, "[EVENT,\nEVENT]". The last member of an
 * event is its position, which is not stored with it: {...,"position":"1764374400123-7"}.
 *
 * A handler that could not do some of the events names them in what it returns:
 * {"batchItemFailures":[{"itemIdentifier":"1764374400123-7"}]}. To the parent they go as their
 * places in the batch, counted from 0, with a blank between.
 */
#ifndef OX_WORKER_BATCH_H
#define OX_WORKER_BATCH_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- making one -------------------------------------------------------------------------- */

/* Puts an event, a JSON object, behind those that are there. */
void batch_put(GString *out, const char *json, size_t length, const char *position);
void batch_end(GString *out);

/* ---- reading one ------------------------------------------------------------------------- */

/* An event of a batch; it lies in its text. */
struct batch_event {
    const char *json; /* with the position */
    size_t length;
    size_t bare_length; /* so much of it, and a '}', is the event as it was published */
    const char *position;
    size_t position_length;
};

/* The next event; *at begins as the text. False at its end. */
bool batch_next(const char **at, struct batch_event *event);
/* The events as lines, each with a line break at its end. */
char *batch_lines(const char *text, size_t *length);

/* ---- which of its events failed ---------------------------------------------------------- */

/* Reads what a handler has returned (empty, or JSON): the places of the events that failed, in
 * order, each once, are added to *failed (of guint32). False, and the reason in *problem
 * (g_free), when it names some in a wrong way. */
bool batch_read_failures(
    const char *text, const char *returned, GArray *failed, char **problem);
/* "0 5 7", and back: false when the text is not that, with places below `count`. */
void batch_write_places(const GArray *places, GString *out);
bool batch_read_places(const char *text, size_t count, GArray *places);

#endif /* OX_WORKER_BATCH_H */
