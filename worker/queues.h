/*
 * queues.h - all queues that this process works on: a consumer for each, until it is closed.
 *
 * Other settings may replace those that hold: a queue that they lack is drained while the
 * others work, a new one is begun.
 */
#ifndef OX_WORKER_QUEUES_H
#define OX_WORKER_QUEUES_H

#include <glib.h>

#include "consumer.h"

struct queues {
    uv_loop_t *loop;
    const struct consumer_hooks *hooks; /* of all consumers; `closed` calls queues_forget() */
    void *owner;
    struct settings *settings; /* held */
    GPtrArray *consumers;      /* that are not closed */
    bool held;
};

void queues_init(
    struct queues *queues, uv_loop_t *loop, const struct consumer_hooks *hooks, void *owner);
void queues_done(struct queues *queues);

/* Works with these settings from now on. Returns 0, or a negative code when a queue cannot be
 * begun; the others are. */
int queues_use(struct queues *queues, struct settings *settings, ox_error *err);
/* The consumer is closed. Returns how many are left. */
uint32_t queues_forget(struct queues *queues, struct consumer *consumer);
void queues_hold(struct queues *queues, bool hold);
/* Each as of a consumer. */
void queues_drain(struct queues *queues);
void queues_give_back(struct queues *queues);
void queues_abort(struct queues *queues);

bool queues_have_workers(const struct queues *queues);
/* Whether any was connected once, and all of them. */
bool queues_any_connected(const struct queues *queues);
bool queues_all_connected(const struct queues *queues);
uint32_t queues_running(const struct queues *queues);
uint32_t queues_open_runs(const struct queues *queues);

#endif /* OX_WORKER_QUEUES_H */
