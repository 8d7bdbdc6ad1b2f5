/*
 * units.h - numbers with a unit, as people write them on a command line.
 *
 * Each parser takes the whole string or nothing; what does not fit is refused, never cut.
 */
#ifndef OX_WORKER_UNITS_H
#define OX_WORKER_UNITS_H

#include <stdbool.h>
#include <stdint.h>

/* "500ms", "10s", "5m", "2h", "1d"; a bare "0" as well. Up to about 49 days. */
bool parse_duration(const char *text, uint32_t *out_ms);
/* "100/1s": so many in so long; neither is 0. */
bool parse_rate(const char *text, uint32_t *max, uint32_t *duration_ms);
/* "4096", "64K", "128M", "1G", by 1024. */
bool parse_bytes(const char *text, uint64_t *out_bytes);
/* A plain number in [min, max]. */
bool parse_count(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* The shortest form that parse_duration() takes, for messages. */
const char *duration_text(uint32_t ms, char buffer[static 16]);

#endif /* OX_WORKER_UNITS_H */
