/* place.h - a place in a stream as people write it, and as scripts read it. */
#ifndef OX_LIB_EVENTS_PLACE_H
#define OX_LIB_EVENTS_PLACE_H

#include "wire/op.h"

#include <ox.h>

struct ox__place {
    const char *kind; /* "start", "end", "time" or "position" */
    int64_t ms, number;
};

/* Reads "start", "end", Unix ms or a position. OX_EINVAL for anything else. */
int ox__place_read(struct ox__place *place, const char *text, ox_error *err);
/* Puts the arguments `place`, `ms` and `number` of a script; see inc/group_at.lua. */
void ox__place_put(struct ox__op *op, const struct ox__place *place);

#endif /* OX_LIB_EVENTS_PLACE_H */
