/* events.h - decodes entries of an event stream, for files that read it on their own. */
#ifndef OX_LIB_QUEUE_EVENTS_H
#define OX_LIB_QUEUE_EVENTS_H

#include "queue/queue.h"

/* Room for the fields of one event at a time. Zero at first. */
struct ox__event_fields {
    const char **list;
    size_t room;
};

/* Whether a reply is an entry of a stream: an id and an even list of texts. */
bool ox__is_entry(const redisReply *entry);
/* Reads such an entry; `out` borrows from both. Returns 1, or 0 when the entry is no event. */
int ox__event_read(
    const redisReply *entry, struct ox__event_fields *fields, ox_event *out, ox_error *err);

/* The next event that is there already: 1, or 0 when there is none. */
int ox__events_now(ox_events *events, ox_event *event, ox_error *err);

/* The value of a field that an event has besides its name and job, or NULL. */
const char *ox__event_field(const ox_event *event, const char *name);

#endif /* OX_LIB_QUEUE_EVENTS_H */
