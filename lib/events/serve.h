/*
 * serve.h - a consumer at work: has what it took run as batches, and decides what is asked
 * next.
 *
 *   RUNNING <-> PAUSED    takes more or not
 *      |          |
 *      v          v
 *      DRAINING ------> CLOSED    all handles and links are being closed, no callbacks
 *
 * One place decides: at the end of a turn of the loop, or when the alarm goes off.
 */
#ifndef OX_LIB_EVENTS_SERVE_H
#define OX_LIB_EVENTS_SERVE_H

#include "events/requests.h"

/* Starts one of zeros with its options, member, process and arg. `link` says how to connect. */
int ox__serve_start(
    ox_consumer *consumer, uv_loop_t *loop, const struct ox__link_options *link, ox_error *err);
void ox__serve_pause(ox_consumer *consumer);
void ox__serve_resume(ox_consumer *consumer);
void ox__serve_close(ox_consumer *consumer);
void ox__serve_abort(ox_consumer *consumer);

#endif /* OX_LIB_EVENTS_SERVE_H */
