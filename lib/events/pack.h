/* pack.h - an entry of a stream's log, and the events in it; see docs/events-layout.md. */
#ifndef OX_LIB_EVENTS_PACK_H
#define OX_LIB_EVENTS_PACK_H

#include <hiredis/hiredis.h>
#include <ox.h>
#include <zlib.h>

/* An entry that is read. Zeros: one without events. */
struct ox__pack {
    int64_t ms;     /* of the id */
    int64_t number; /* of its last event */
    int64_t next;   /* of the event that ox__pack_next() gives, beyond `number` at the end */
    char *line;     /* of that event; in the reply, or in `inflated` */
    char *inflated; /* owned */
};

/* Reads two numbers of an id, "ms-number"; of "ms" alone the second is 0. False when it is
 * none, or one is beyond 2^53. */
bool ox__position_read(const char *text, int64_t *ms, int64_t *number);

/* Reads an entry, whose text stays in the reply and is cut into lines. Returns 0; OX_EDATA for
 * one that is no event, then `ms` and `number` are those of its id, where it has some;
 * OX_ENOMEM. */
int ox__pack_read(struct ox__pack *pack, redisReply *entry, ox_error *err);
/* The next event: its JSON, which ends in a NUL. False at the end. */
bool ox__pack_next(struct ox__pack *pack, int64_t *number, char **json);
void ox__pack_done(struct ox__pack *pack);

/* The numbers of an entry's events as scripts count them (inc/log_event.lua), whether or not
 * they can be read: that of the last one, and the one before the first. False when it has none.
 */
bool ox__pack_span(const redisReply *entry, int64_t *before, int64_t *number);

/* What deflates entries, one after the other. Zeros are ready. */
struct ox__deflater {
    z_stream z;
    bool ready; /* `z` holds memory */
    Bytef *out; /* owned */
    size_t room;
};

/* Deflates a text. Returns how many bytes `out` has; 0 when they would not be fewer than the
 * text's; OX_ENOMEM. */
int64_t ox__deflate(struct ox__deflater *deflater, const char *text, size_t len, ox_error *err);
void ox__deflater_done(struct ox__deflater *deflater);

#endif /* OX_LIB_EVENTS_PACK_H */
