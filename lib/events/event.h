/*
 * event.h - events that are to be published: checked, with their defaults, as lines of JSON.
 */
#ifndef OX_LIB_EVENTS_EVENT_H
#define OX_LIB_EVENTS_EVENT_H

#include "base/buf.h"

#include <ox.h>

/* An event among lines. */
struct ox__event_row {
    size_t at;        /* of its line */
    uint32_t len;     /* without the line feed */
    uint32_t type_at; /* of its type, from the beginning of the line */
    uint8_t type_len; /* a type has 255 bytes at most */
    bool known;       /* the publisher chose the id */
    bool left_out;    /* it is not to be sent */
    char key[41];     /* see docs/events-layout.md; "": not made */
};

/* Events in order. Zeros are ready. */
struct ox__lines {
    struct ox__buf text; /* their lines, each with a line feed behind it */
    struct ox__event_row *rows;
    size_t count, room;
};

/* What events that are made one after the other have in common. Zeros, and the source. */
struct ox__event_maker {
    const char *source; /* of events without one; borrowed, checked */
    int64_t second;     /* of which `date` is */
    char date[20];
    size_t random_left; /* at the end of `random`, for UUIDs */
    unsigned char random[1600];
};

/* Adds an event, or nothing when it is bad: then the error names the attribute. */
int ox__lines_add(struct ox__lines *lines, struct ox__event_maker *maker,
    const ox_new_event *event, ox_error *err);
/* Makes the key of a row that has none. */
int ox__lines_key(struct ox__lines *lines, size_t i, ox_error *err);
/* Empties them, keeping memory. */
void ox__lines_reset(struct ox__lines *lines);
void ox__lines_done(struct ox__lines *lines);

/* Writes the key of an event, see docs/events-layout.md. Returns 0 or OX_ENOMEM. */
int ox__event_key(const char *source, const char *id, char out[41], ox_error *err);
/* 0, or OX_EINVAL when that is no URI reference. */
int ox__source_check(const char *source, ox_error *err);
/* Writes a UUIDv7 of that time. */
void ox__uuid7(struct ox__event_maker *maker, char out[37], int64_t now_ms);

#endif /* OX_LIB_EVENTS_EVENT_H */
