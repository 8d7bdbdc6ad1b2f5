/*
 * lost.h - takes whose reply was lost.
 *
 * The server may have run such a take, now or when it comes to it: behind a connection that is
 * dead on our side only, or behind a blocking call. What it took is active then, for nobody,
 * under locks that bear the take's token. So the tokens are kept for as long as the server may
 * still run the take or hold its locks (only the newest few), and searched for; jobs found are
 * moved to wait, and no stall is counted. A lock that ran out before leaves the run to the
 * stalled check.
 */
#ifndef OX_LIB_LOST_H
#define OX_LIB_LOST_H

#include "engine/setup.h"

#define OX__LOST_TAKES_MAX 16

struct ox__lost {
    const struct ox__setup *setup;
    /* Calls ox__lost_pass_over() for each list of runs that live: the second reply to a take
     * that was sent twice has brought some under the same token. */
    void (*pass_over)(void *arg, struct ox__lost *lost);
    void *arg;
    struct ox__request request;
    bool looking; /* `request` is on its way */
    uint32_t count;
    struct {
        char token[OX__TOKEN_MAX];
        int64_t until_ms; /* boot clock */
    } takes[OX__LOST_TAKES_MAX];
};

void ox__lost_init(struct ox__lost *lost, const struct ox__setup *setup,
    void (*pass_over)(void *arg, struct ox__lost *lost), void *arg);
void ox__lost_done(struct ox__lost *lost);
/* The reply to a take was lost, or may have been. */
void ox__lost_add(struct ox__lost *lost, const char *token);
/* Looks for what such takes have taken, if the connection is up. */
void ox__lost_look(struct ox__lost *lost);
void ox__lost_pass_over(struct ox__lost *lost, const struct ox__run_list *list);

#endif /* OX_LIB_LOST_H */
