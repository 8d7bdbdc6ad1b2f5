/* tail.h - for those who read a tail that has an end, and do something meanwhile. */
#ifndef OX_LIB_EVENTS_TAIL_H
#define OX_LIB_EVENTS_TAIL_H

#include <ox.h>

#define OX__TAIL_MORE 2

/* Of a tail with an end. Returns 1 for an event; 0 at the end; OX__TAIL_MORE when some were
 * read and none is wanted; or a failure, as ox_tail_next(). */
int ox__tail_step(ox_tail *tail, ox_stream_event *event, ox_error *err);
/* How many events it has read, and how many there are up to its end, wanted or not; this is
 * known once one was read. */
void ox__tail_span(const ox_tail *tail, int64_t *read, int64_t *of);

#endif /* OX_LIB_EVENTS_TAIL_H */
