/*
 * side.h - requests besides the calls: a job's updates, putting a marker back, loading a
 * script. Each is of its own memory and frees itself when it is answered.
 */
#ifndef OX_LIB_SIDE_H
#define OX_LIB_SIDE_H

#include "engine/setup.h"

struct ox__sides {
    const struct ox__setup *setup;
    uint32_t out; /* on their way */
};

struct ox__side {
    struct ox__request request;
    struct ox__sides *sides;
    char *id; /* of the job that it is about, or NULL */
    /* Either reply or error. NULL: failures and refusals (numbers below 0) are reported. */
    void (*answered)(struct ox__side *side, const redisReply *reply, const ox_error *err);
    /* Called after that, or NULL. */
    void (*over)(struct ox__side *side);
    void *arg; /* the sender's */
};

void ox__sides_init(struct ox__sides *sides, const struct ox__setup *setup);
/* A request that is answered with a number, ready to be built, or NULL (then the failure was
 * reported). */
struct ox__side *ox__side_new(struct ox__sides *sides, const char *id);
/* It may be done, and freed, before this returns: with OX_ENOMEM. */
void ox__side_send(struct ox__side *side);
/* For one that was not sent. */
void ox__side_free(struct ox__side *side);

#endif /* OX_LIB_SIDE_H */
