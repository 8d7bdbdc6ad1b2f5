/* cron.h - cron patterns, parsed into bit sets, and their next times. */
#ifndef OX_LIB_CRON_H
#define OX_LIB_CRON_H

#include <ox.h>

#include "cron/zone.h"

enum ox__cron_field {
    OX__CRON_SECOND,
    OX__CRON_MINUTE,
    OX__CRON_HOUR,
    OX__CRON_DAY,
    OX__CRON_MONTH,
    OX__CRON_WEEKDAY,
    OX__CRON_FIELDS
};

/* A pattern. Holds no memory of its own. */
struct ox__cron {
    uint64_t set[OX__CRON_FIELDS]; /* bit n: the value n is in; Sunday is 0 */
    uint8_t last_weekdays;         /* bit n: in the last seven days of a month, weekday n */
    uint8_t nth;                   /* 1..5: only that one of the month's weekdays; 0: any */
    bool last_day;                 /* also the last day of a month */
    bool any_day, any_weekday;     /* the field was "*" or "?" and restricts nothing */
};

/* Reads a pattern. Returns 0 or OX_EINVAL. */
int ox__cron_parse(struct ox__cron *cron, const char *pattern, ox_error *err);

/* The first time after `after_ms`. Returns 0, or OX_ENOTFOUND when there is none. */
int ox__cron_next(const struct ox__cron *cron, const struct ox__zone *zone, int64_t after_ms,
    int64_t *next_ms, ox_error *err);

#endif /* OX_LIB_CRON_H */
