/* gather.c - whether ends wait for more of them; see gather.h. */
#include "engine/gather.h"

#include "wire/conn.h"

/* How much of what is usual is the last run. So one that took however long is forgotten after
 * some ten short ones. */
#define SHARE 8
#define LONG_US (SHARE * OX__GATHER_SHORT_US)

/* The patience: how it grows with each wait that was worth it; in vain, it is halved. A call
 * for four costs little more a run than a call for all that half of many slots make. */
#define MORE_US 10
#define LEAST_US 20
#define WORTH_ENDS 4

/* An end comes close upon another within this time. Where more than half of ALL do, they flow;
 * not where the mean gap is short: one pause, such as a busy machine makes, is no news. */
#define NEAR_US 100
#define ALL 1024

void ox__gather_init(struct ox__gather *gather)
{
    *gather = (struct ox__gather){ .patience_us = OX__GATHER_US };
}

void ox__gather_note(struct ox__gather *gather, int64_t begun_us, int64_t now_us)
{
    int64_t took_us = now_us > begun_us ? now_us - begun_us : 0;
    int near = now_us - gather->last_us <= NEAR_US ? ALL : 0;
    gather->near += (near - gather->near) / SHARE;
    gather->last_us = now_us;
    if (begun_us > 0) {
        took_us = took_us < LONG_US ? took_us : LONG_US;
        gather->usual_us += (took_us - gather->usual_us) / SHARE;
    }
}

static int64_t due_us(const struct ox__gather *gather)
{
    return gather->since_us + gather->patience_us;
}

static void learn(struct ox__gather *gather, bool worth, int64_t now_us)
{
    int64_t us = gather->patience_us;
    if (worth) {
        us += MORE_US;
        gather->patience_us = us < OX__GATHER_US ? us : OX__GATHER_US;
    } else if (now_us >= due_us(gather)) {
        us /= 2;
        gather->patience_us = us > LEAST_US ? us : LEAST_US;
    }
}

bool ox__gather_wait(struct ox__gather *gather, uint32_t ends, uint32_t enough,
    const struct ox__run *newest, int64_t now_us)
{
    bool begun = newest != NULL && gather->usual_us <= OX__GATHER_SHORT_US &&
                 now_us - newest->begun_us < OX__GATHER_US;
    bool flow = newest != NULL && gather->near > ALL / 2;
    bool soon = ends > 0 && ends < enough && (begun || flow);
    if (gather->since_us == 0) {
        gather->since_us = soon ? now_us : 0;
        return soon;
    }
    if (soon && now_us < due_us(gather)) {
        return true;
    }
    learn(gather, ends >= enough || ends >= WORTH_ENDS, now_us);
    gather->since_us = 0;
    return false;
}

void ox__gather_stop(struct ox__gather *gather)
{
    gather->since_us = 0;
}

int64_t ox__gather_wake_us(const struct ox__gather *gather)
{
    return gather->since_us > 0 ? due_us(gather) : OX__NEVER;
}
