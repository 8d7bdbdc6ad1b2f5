/*
 * status.h - what the worker does right now, for people: in the log when they ask (SIGUSR1),
 * and as the status of the service.
 */
#ifndef OX_WORKER_STATUS_H
#define OX_WORKER_STATUS_H

#include <glib.h>
#include <stddef.h>

/* A line for each child of these consumers (struct consumer), one for each route that rests,
 * and one about all. */
void status_log(const GPtrArray *consumers, const char *state);
/* "3 queues, 12 of 16 slots busy", and how many routes cannot start, if any. */
void status_write(const GPtrArray *consumers, char *text, size_t size);

#endif /* OX_WORKER_STATUS_H */
