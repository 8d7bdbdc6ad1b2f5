/* zone.h - time zones by name: the offset from UTC at an instant. */
#ifndef OX_LIB_ZONE_H
#define OX_LIB_ZONE_H

#include <ox.h>

struct _GTimeZone;

/* Made by ox__zone_init(), released by ox__zone_done(). */
struct ox__zone {
    struct _GTimeZone *rules; /* owned; NULL: a fixed offset */
    int32_t fixed_s;          /* seconds east of UTC */
};

/**
 * @param name  "Europe/Berlin" in any case, "UTC+5:30", "local"; NULL: the machine's zone
 * @return 0, or OX_EINVAL for an unknown name
 */
int ox__zone_init(struct ox__zone *zone, const char *name, ox_error *err);
void ox__zone_done(struct ox__zone *zone);

/* Seconds to add to UTC at that instant (Unix seconds) to get local time. */
int32_t ox__zone_offset_s(const struct ox__zone *zone, int64_t at_s);

#endif /* OX_LIB_ZONE_H */
