/* pattern.h - types of events, and patterns of types; see ox_stream.h for their rules. */
#ifndef OX_LIB_EVENTS_PATTERN_H
#define OX_LIB_EVENTS_PATTERN_H

#include <ox.h>

/* 0, or OX_EINVAL with what is wrong. */
int ox__type_check(const char *type, ox_error *err);
int ox__pattern_check(const char *pattern, ox_error *err);
/* Whether a type matches; both may be anything. */
bool ox__pattern_matches(const char *pattern, const char *type);

#endif /* OX_LIB_EVENTS_PATTERN_H */
