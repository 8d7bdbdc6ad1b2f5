/* outage.h - retries while the server is away for a short time, for code that follows a job or
 * a stream. */
#ifndef OX_LIB_BASE_OUTAGE_H
#define OX_LIB_BASE_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

/* A restart or a failover takes seconds. */
#define OX__OUTAGE_MAX_MS 30000

/* Since when the server has been away. Zero at first, and again after each successful call. */
struct ox__outage {
    int64_t since_ms; /* steady clock */
};

/* True when `code` is the loss of a server (OX_ELOST, OX_ECONNECT, OX_ETIMEOUT) that has been
 * away for at most `max_ms`: after a short sleep, so that the caller can retry. */
bool ox__outage_retry(struct ox__outage *outage, uint32_t max_ms, int code);

#endif /* OX_LIB_BASE_OUTAGE_H */
