/*
 * claim.h - takes the locks of runs again that may have run out while the connection was lost.
 *
 * A lock that merely ran out while the server could not be reached is taken again: as long as
 * the job is active, has no lock, and its `ats` and `processedOn` are those of our take, nobody
 * else was given it. So an outage by itself runs nothing twice, and a result that comes late is
 * stored. A finish that was sent twice may have been stored the first time; then the refusal of
 * the second is ignored, and the claim tells which.
 *
 * `lock.doubt` marks a run whose lock is gone: one that still runs stays in `running`, one that
 * has ended waits in `ended` here, with the arguments of its end, until the server has
 * answered. One that was taken so long ago that its lock may have run out waits in `running`
 * and starts then. A claim that is lost is repeated at the next renewal.
 */
#ifndef OX_LIB_CLAIM_H
#define OX_LIB_CLAIM_H

#include "engine/setup.h"

struct ox__claims_events {
    /* The server's verdict, an enum ox__verdict or a refusal, on a run in `running`; its doubt
     * is gone. `sent_ms`: when it was asked, by the boot clock. False: the owner has stopped.
     */
    bool (*running)(void *arg, struct ox__run *run, int64_t verdict, int64_t sent_ms);
    /* The same for one that had ended, and is on no list now. */
    bool (*ended)(void *arg, struct ox__run *run, int64_t verdict);
};

struct ox__claims {
    const struct ox__setup *setup;
    const struct ox__claims_events *on;
    void *arg;
    const struct ox__run_list *running; /* the owner's */
    struct ox__run_list ended;          /* in doubt */
    uint32_t out;                       /* questions on their way */
    bool ask_soon;                      /* a run came into doubt, and was not asked about yet */
};

void ox__claims_init(struct ox__claims *claims, const struct ox__setup *setup,
    const struct ox__run_list *running, const struct ox__claims_events *on, void *arg);
/* Puts a run that is on no list, and whose end was refused, in doubt. False when it is not
 * worth it. */
bool ox__claims_add_ended(struct ox__claims *claims, struct ox__run *run, bool resent);
/* Claims all runs in doubt, if the connection is up. */
void ox__claims_ask(struct ox__claims *claims);

#endif /* OX_LIB_CLAIM_H */
