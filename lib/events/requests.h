/*
 * requests.h - what a consumer asks of the server: to take entries, end them, renew its claims
 * on them, wait for more, and leave. What follows from the answers is done here as well, but
 * for the beginning of batches; when to ask is decided in serve.c.
 *
 * There is at most one request of each kind in flight. They go over one link in the order in
 * which they were sent, so that a take does not see what an end before it gave back as still
 * held, and a renewal knows all that takes before it brought.
 *
 * The wait for more has a link of its own, and takes nothing: what a dead connection was told
 * is lost, what it took would be held. A reply to a take that was lost is made good by the next
 * renewal, which names entries that this member has and does not know; they are given back.
 */
#ifndef OX_LIB_EVENTS_REQUESTS_H
#define OX_LIB_EVENTS_REQUESTS_H

#include "events/entries.h"

void ox__asks_init(ox_consumer *consumer);
/* Frees all entries, too. */
void ox__asks_done(ox_consumer *consumer);

/* Entries that are lost end without a word to the server. */
void ox__drop_lost(ox_consumer *consumer);

void ox__ask_take(ox_consumer *consumer, int64_t events);
void ox__ask_end(ox_consumer *consumer);
void ox__ask_renew(ox_consumer *consumer);
void ox__ask_sleep(ox_consumer *consumer);
void ox__ask_leave(ox_consumer *consumer);

#endif /* OX_LIB_EVENTS_REQUESTS_H */
