/*
 * entries.h - the entries that a consumer has, from the take that brought them until their
 * events are in batches.
 */
#ifndef OX_LIB_EVENTS_ENTRIES_H
#define OX_LIB_EVENTS_ENTRIES_H

#include "events/consumer_state.h"

/* All that this member has: an entry more, one less (freed), whether it has one. */
void ox__entry_hold(ox_consumer *consumer, struct ox__held *held);
void ox__entry_let_go(ox_consumer *consumer, struct ox__held *held);
const struct ox__held *ox__entry_find(const ox_consumer *consumer, bool again, const char *id);
/* Takes over what a take has brought, and its reply. */
void ox__entries_admit(ox_consumer *consumer, const struct ox__take_answer *answer);

/* Gives back all that does not run. */
void ox__consumer_give_back(ox_consumer *consumer);

#endif /* OX_LIB_EVENTS_ENTRIES_H */
