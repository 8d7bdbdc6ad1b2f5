/*
 * setup.h - constant parameters of an engine's parts: limits, connections, and callbacks.
 *
 * The parts know nothing of the engine that owns them. They return what happened, or, where
 * that follows from an answer of the server, call what they were given.
 */
#ifndef OX_LIB_SETUP_H
#define OX_LIB_SETUP_H

#include "base/error.h"
#include "engine/backend.h"
#include "engine/server_clock.h"
#include "wire/link.h"

/* Callbacks of any part. `arg` is the owner. */
struct ox__reports {
    /* Something went wrong; `id` is NULL when it concerns no single run. False: the owner has
     * stopped meanwhile, and nothing more is to be done. */
    bool (*error)(void *arg, const char *id, const ox_error *err);
    /* An enum ox_notice; the same. */
    bool (*notice)(void *arg, int notice, const char *id);
    /* There is something to take that no take has seen. */
    void (*work_waits)(void *arg);
    /* Something has changed; the owner looks at all at the end of this turn of the loop. */
    void (*soon)(void *arg);
    void *arg;
};

struct ox__setup {
    const char *name;                  /* of the source, for errors */
    const struct ox__backend *backend; /* how the server is asked */
    void *self;                        /* of the backend */
    struct ox__link *link;             /* for calls */
    struct ox__link *sleep;            /* for the blocking wait alone */
    struct ox__server_clock *clock;    /* and ours */
    struct ox__reports report;

    uint32_t concurrency;   /* runs at once */
    uint32_t batch;         /* of them in one call at most */
    uint32_t calls;         /* in flight, at most */
    uint32_t lock_after_ms; /* runs that last so long are locked then; 0: all, when taken */
    uint32_t lock_ms, renew_ms, stalled_interval_ms, drain_delay_ms, command_timeout_ms;
    bool fence; /* runs that are cut off are ended when their lock must have run out */
};

/* True for errors of the connection, which are reported once and repaired by reconnecting. All
 * others are replies of the server, and repeating the request at once would only repeat them.
 */
static inline bool ox__is_loss(const ox_error *err)
{
    return err != NULL &&
           (err->code == OX_ELOST || err->code == OX_ECLOSED || err->code == OX_ETIMEOUT);
}

static inline bool ox__report(
    const struct ox__setup *setup, const char *id, const ox_error *err)
{
    return setup->report.error(setup->report.arg, id, err);
}

/* The error for an unexpected reply type. */
static inline void ox__misfit(
    const struct ox__setup *setup, const struct ox__op *op, ox_error *err)
{
    char name[40];
    ox__op_name(op, name, sizeof(name));
    ox__fail(err, OX_EREPLY, "%s %s: %s: unexpected reply type", setup->backend->words.source,
        setup->name, name);
}

#endif /* OX_LIB_SETUP_H */
