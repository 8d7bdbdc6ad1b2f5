/* gather.c - whether ends wait for more of them; see gather.h. */
#include "engine/gather.h"

#include "wire/conn.h"

void ox__gather_note(struct ox__gather *gather, int64_t begun_us, int64_t now_us)
{
    int64_t took_us = now_us > begun_us ? now_us - begun_us : 0;
    gather->usual_us += (took_us - gather->usual_us) / 8;
}

bool ox__gather_wait(struct ox__gather *gather, uint32_t ends, uint32_t enough,
    const struct ox__run *newest, int64_t now_us)
{
    bool soon = ends > 0 && ends < enough && gather->usual_us <= OX__GATHER_SHORT_US &&
                newest != NULL && now_us - newest->begun_us < OX__GATHER_US;
    if (soon && gather->since_us == 0) {
        gather->since_us = now_us;
    }
    if (!soon || now_us - gather->since_us >= OX__GATHER_US) {
        gather->since_us = 0;
        return false;
    }
    return true;
}

void ox__gather_stop(struct ox__gather *gather)
{
    gather->since_us = 0;
}

int64_t ox__gather_wake_ms(const struct ox__gather *gather)
{
    return gather->since_us > 0 ? (gather->since_us + OX__GATHER_US) / 1000 + 1 : OX__NEVER;
}
