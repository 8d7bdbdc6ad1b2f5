/* event.h - an event that is to be published: checked, with its defaults, as one line of JSON.
 */
#ifndef OX_LIB_EVENTS_EVENT_H
#define OX_LIB_EVENTS_EVENT_H

#include "base/buf.h"

#include <ox.h>

struct ox__event_in {
    char *type; /* owned */
    struct ox__buf json;
    char key[41]; /* see docs/events-layout.md */
    bool known;   /* the publisher chose the id */
};

/* Checks an event. `source`: of events without one. The text of the error names the attribute.
 */
int ox__event_in_init(
    struct ox__event_in *in, const ox_new_event *event, const char *source, ox_error *err);
void ox__event_in_done(struct ox__event_in *in);

/* Writes the key of an event, see docs/events-layout.md. Returns 0 or OX_ENOMEM. */
int ox__event_key(const char *source, const char *id, char out[41], ox_error *err);
/* 0, or OX_EINVAL when that is no URI reference. */
int ox__source_check(const char *source, ox_error *err);
/* Writes a UUIDv7 of that time. */
void ox__uuid7(char out[37], int64_t now_ms);

#endif /* OX_LIB_EVENTS_EVENT_H */
