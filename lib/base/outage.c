/*
 * outage.c - see outage.h.
 */
#include "base/outage.h"
#include "base/clock.h"

#include <ox.h>

#define RETRY_MS 250

bool ox__outage_retry(struct ox__outage *outage, uint32_t max_ms, int code)
{
    if (code != OX_ELOST && code != OX_ECONNECT && code != OX_ETIMEOUT) {
        return false;
    }
    int64_t now_ms = ox__steady_ms();
    if (outage->since_ms == 0) {
        outage->since_ms = now_ms;
    }
    if (now_ms - outage->since_ms > max_ms) {
        return false;
    }
    /* A signal may cut it short: then the next try comes early. */
    nanosleep(&(struct timespec){ .tv_nsec = RETRY_MS * 1000000L }, NULL);
    return true;
}
