/* gather.c - whether ends wait for more of them; see gather.h. */
#include "engine/gather.h"

#include "wire/conn.h"

/* How much of what is usual is the last run. So one that took however long is forgotten after
 * some ten short ones. */
#define SHARE 8
#define LONG_US (SHARE * OX__GATHER_SHORT_US)

/* The patience: how it grows with each wait that was worth it; in vain, it is halved. */
#define MORE_US 10
#define LEAST_US 20

void ox__gather_init(struct ox__gather *gather)
{
    *gather = (struct ox__gather){ .patience_us = OX__GATHER_US };
}

void ox__gather_note(struct ox__gather *gather, int64_t begun_us, int64_t now_us)
{
    int64_t took_us = now_us > begun_us ? now_us - begun_us : 0;
    if (begun_us > 0) {
        took_us = took_us < LONG_US ? took_us : LONG_US;
        gather->usual_us += (took_us - gather->usual_us) / SHARE;
    }
}

static int64_t due_us(const struct ox__gather *gather)
{
    return gather->since_us + gather->patience_us;
}

static void learn(struct ox__gather *gather, bool enough, int64_t now_us)
{
    int64_t us = gather->patience_us;
    if (enough) {
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
    bool soon = ends > 0 && ends < enough && gather->usual_us <= OX__GATHER_SHORT_US &&
                newest != NULL && now_us - newest->begun_us < OX__GATHER_US;
    if (gather->since_us == 0) {
        gather->since_us = soon ? now_us : 0;
        return soon;
    }
    if (soon && now_us < due_us(gather)) {
        return true;
    }
    learn(gather, ends >= enough, now_us);
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
