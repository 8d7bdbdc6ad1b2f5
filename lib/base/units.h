/*
 * units.h - parses what users type: counts, durations, sizes, rates, instants, and lists of
 * words.
 *
 * One grammar for ox, ox-worker and the handlers. Each reader takes the whole text or nothing:
 * trailing characters, signs, spaces, overflow and values out of range are refused with a
 * message in *why (heap, g_free) that quotes the text; `out` is then untouched or undefined.
 * Readers that take `char *` may cut the text up and keep pointers into it; they have the
 * shape of an option row's `parse` (options.h), where the text is NULL when a value that may
 * be left out was left out.
 */
#ifndef OX_LIB_BASE_UNITS_H
#define OX_LIB_BASE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest duration: a hundred years. */
#define OX__MAX_DURATION_MS (INT64_C(36500) * 86400000)

/* A whole number from min to max. */
bool ox__parse_count(const char *text, int64_t min, int64_t max, int64_t *out, char **why);
/* 500ms 10s 5m 2h 1d, or 0; from min to max ms. `max` 0: OX__MAX_DURATION_MS. */
bool ox__parse_duration(
    const char *text, int64_t min, int64_t max, int64_t *out_ms, char **why);
/* 4096 64K 128M 1G, by 1024; from min to max bytes. `max` 0: INT64_MAX. */
bool ox__parse_bytes(
    const char *text, int64_t min, int64_t max, int64_t *out_bytes, char **why);

/* int64_t, Unix ms: Unix milliseconds, ISO 8601 with a time zone ("2026-01-31T12:00:00Z"), or
 * a duration from now ("10m"). */
bool ox__parse_instant(char *text, void *out, char **why);
/* ox_keep: true, false, a count, a duration, or count=N,age=TIME,limit=N; left out: true. */
bool ox__parse_keep(char *text, void *out, char **why);
/* ox_backoff: TYPE:DELAY[:jitter=SHARE] */
bool ox__parse_backoff(char *text, void *out, char **why);

struct ox__rate {
    int64_t max; /* 0: no rate */
    int64_t duration_ms;
};
/* struct ox__rate: MAX/DURATION, neither 0. */
bool ox__parse_rate(char *text, void *out, char **why);

/* The shortest form that ox__parse_duration() takes, for messages. Returns `buffer`. */
const char *ox__duration_text(int64_t ms, char buffer[static 24]);
/* The same for ox__parse_bytes(). */
const char *ox__bytes_text(int64_t bytes, char buffer[static 24]);

/* ---- small languages, such as fixed:1s:jitter=0.5 ------------------------------------------
 */

enum ox__word_kind {
    OX__WORD_FLAG,     /* bool; stands alone, all others are "name=value" */
    OX__WORD_DURATION, /* int64_t ms, not 0 */
    OX__WORD_SECONDS,  /* int64_t: a duration in whole seconds, not 0 */
    OX__WORD_COUNT,    /* int64_t, not 0 */
    OX__WORD_BYTES,    /* int64_t, not 0 */
    OX__WORD_SHARE     /* double from 0 to 1 */
};

/* A word of a language, and where its value goes. */
struct ox__word {
    const char *name;
    enum ox__word_kind kind;
    size_t offset;
};

/* Cuts `*rest` at the next `separator` and moves on; NULL when there is nothing left. */
char *ox__next_part(char **rest, char separator);
/* Reads all parts of `rest` (may be NULL) into the struct at `base`. */
bool ox__parse_words(char *rest, char separator, const struct ox__word *words, size_t count,
    void *base, char **why);

#endif /* OX_LIB_BASE_UNITS_H */
