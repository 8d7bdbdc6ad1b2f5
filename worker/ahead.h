/*
 * ahead.h - when a consumer takes jobs ahead of its children.
 *
 * A job that is there when a child has done another one starts at once, and several share a
 * call to the server. But it is this worker's from then on, and waits behind whatever its
 * children do. So when one has waited in vain, none is taken ahead for a second, twice as long
 * each time, up to a minute; after ten times as long without that it is a second again. It
 * begins with such a second, in which the children start.
 */
#ifndef OX_WORKER_AHEAD_H
#define OX_WORKER_AHEAD_H

#include <stdbool.h>
#include <uv.h>

struct ahead;

/* `change` says from the loop whether jobs are taken ahead from now on; at first they are not.
 */
struct ahead *ahead_new(uv_loop_t *loop, void (*change)(void *owner, bool on), void *owner);
/* A job has waited in vain: no more of them for a while. */
void ahead_rest(struct ahead *ahead);
/* May be NULL. `change` is not called any more. */
void ahead_free(struct ahead *ahead);

#endif /* OX_WORKER_AHEAD_H */
