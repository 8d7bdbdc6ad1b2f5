/*
 * parse.h - strict readers for what people type.
 *
 * Each takes the whole string or nothing: trailing characters, overflow and values out of
 * range are refused with a message in *why (heap, the caller frees it) that quotes the text.
 * Readers that take `char *` may cut it up and keep pointers into it.
 */
#ifndef OX_CLI_PARSE_H
#define OX_CLI_PARSE_H

#include <ox.h>
#include <stdbool.h>
#include <stdint.h>

/* The longest time that is understood: a hundred years. */
#define MAX_DURATION_MS (INT64_C(36500) * 86400000)
/* BullMQ's lowest priority. */
#define MAX_PRIORITY ((INT64_C(1) << 21) - 1)

bool parse_count(const char *text, int64_t min, int64_t max, int64_t *out, char **why);
/* 500ms 10s 5m 2h 1d, or 0. `max` 0: MAX_DURATION_MS. */
bool parse_duration(const char *text, int64_t min, int64_t max, int64_t *ms, char **why);

/* The following have the shape of an option row's `parse`; `out` is the type named. */
/* int64_t: Unix ms, or ISO 8601 with a time zone ("2026-01-31T12:00:00Z") */
bool parse_time(char *text, void *out, char **why);
/* ox_backoff: TYPE:DELAY[:jitter=SHARE] */
bool parse_backoff(char *text, void *out, char **why);
/* ox_dedup: ID[:ttl=TIME][:extend][:replace][:reschedule][:keep-last] */
bool parse_dedup(char *text, void *out, char **why);
/* ox_keep: true | false | COUNT | count=N,age=TIME,limit=N; left out: true */
bool parse_keep(char *text, void *out, char **why);
/* int, an enum ox_child_failure: wait, fail, continue, ignore, remove */
bool parse_child_failure(char *text, void *out, char **why);

struct rate {
    int64_t max; /* 0: not given */
    int64_t duration_ms;
};
/* struct rate: MAX/DURATION */
bool parse_rate(char *text, void *out, char **why);

struct patience {
    bool given;
    int64_t timeout_ms; /* 0: for ever */
};
/* struct patience: DURATION, or nothing */
bool parse_patience(char *text, void *out, char **why);

#endif /* OX_CLI_PARSE_H */
