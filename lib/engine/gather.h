/*
 * gather.h - whether ends wait for more of them, so that one call carries several.
 *
 * A call for one run costs the server nearly twice of what a run costs in a call for four. Runs
 * that end in the handler's own callback come together anyway. But those that end in other
 * processes trickle in, and each would find no call in flight and be sent by itself. So when
 * runs are usually short, the first end waits a little for those that have just begun; and
 * where ends come close upon each other, for the next of them, since the program may have more
 * runs than it does at once, which began long ago. A single run waits for nobody, nor do long
 * ones, nor the last of a queue.
 *
 * While an end waits, whoever ran it is idle. Where processors are short, others use them
 * meanwhile, and end soon. Where runs merely wait for something it is time lost, and more of it
 * the longer it takes. So waits in vain make the next ones shorter, until they are next to
 * nothing, and those that were worth it longer again.
 */
#ifndef OX_LIB_GATHER_H
#define OX_LIB_GATHER_H

#include "engine/run.h"

/* So long does an end wait at most.. */
#define OX__GATHER_US 400
/* ..for runs that usually take no longer than that. */
#define OX__GATHER_SHORT_US 1000

struct ox__gather {
    int64_t usual_us;    /* how long runs took lately */
    int near;            /* share of the ends of late that came close upon another */
    int64_t last_us;     /* when the last one came; boot clock */
    int64_t patience_us; /* how long an end waits now */
    int64_t since_us;    /* when the oldest end began to wait; boot clock; 0: none does */
};

void ox__gather_init(struct ox__gather *gather);
/* A run has ended that began at `begun_us`; 0: never. */
void ox__gather_note(struct ox__gather *gather, int64_t begun_us, int64_t now_us);
/* Whether `ends`, fewer than `enough`, are to wait; `newest`: the run that began last, or NULL.
 * Else nothing waits from here on. */
bool ox__gather_wait(struct ox__gather *gather, uint32_t ends, uint32_t enough,
    const struct ox__run *newest, int64_t now_us);
/* Nothing waits for more ends: they were sent, or cannot be. */
void ox__gather_stop(struct ox__gather *gather);
/* When to ask again at the latest, by the boot clock in microseconds; OX__NEVER: nothing waits.
 */
int64_t ox__gather_wake_us(const struct ox__gather *gather);

#endif /* OX_LIB_GATHER_H */
