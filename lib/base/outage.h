/* outage.h - for those who follow something: a server that is lost may be back in a moment. */
#ifndef OX_LIB_BASE_OUTAGE_H
#define OX_LIB_BASE_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

/* A restart or a failover takes seconds. */
#define OX__OUTAGE_MAX_MS 30000

/* How long the server has been away. Zero at first, and again after each call that worked. */
struct ox__outage {
    int64_t since_ms; /* steady clock */
};

/* True when `code` is the loss of a server (OX_ELOST, OX_ECONNECT, OX_ETIMEOUT) that has been
 * away for at most `max_ms`: this has then slept for a moment, and the call is worth another
 * try. */
bool ox__outage_retry(struct ox__outage *outage, uint32_t max_ms, int code);

#endif /* OX_LIB_BASE_OUTAGE_H */
