/*
 * units.c - see units.h.
 *
 * Units are tables from the largest to the smallest: the first that divides a value is the one
 * it is written in.
 */
#include "base/units.h"

#include "base/clock.h"

#include <glib.h>
#include <inttypes.h>
#include <ox.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit time_units[] = {
    { "d", 86400000 },
    { "h", 3600000 },
    { "m", 60000 },
    { "s", 1000 },
    { "ms", 1 },
};

static const struct unit byte_units[] = {
    { "G", 1 << 30 },
    { "M", 1 << 20 },
    { "K", 1 << 10 },
    { "", 1 },
};

/* ---- numbers -------------------------------------------------------------------------------
 */

bool ox__parse_count(const char *text, int64_t min, int64_t max, int64_t *out, char **why)
{
    gint64 number;
    if (g_ascii_string_to_signed(text, 10, min, max, &number, NULL) && text[0] != '+') {
        *out = number;
        return true;
    }
    *why = g_strdup_printf(
        "\"%s\" is not a whole number from %" PRId64 " to %" PRId64, text, min, max);
    return false;
}

/* Digits and the name of a unit, up to `max`. */
static bool read_unit(
    const char *text, const struct unit *units, size_t count, int64_t max, int64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    gint64 number;
    g_autofree char *digits_text = g_strndup(text, digits);
    if (!g_ascii_string_to_signed(digits_text, 10, 0, max, &number, NULL)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text + digits, units[i].name) == 0) {
            *out = number * (number <= max / units[i].factor ? units[i].factor : 0);
            return number <= max / units[i].factor;
        }
    }
    return false;
}

static const char *write_unit(
    int64_t value, const struct unit *units, size_t count, char buffer[static 24])
{
    size_t i = 0;
    while (i + 1 < count && (value == 0 || value % units[i].factor != 0)) {
        i++;
    }
    g_snprintf(buffer, 24, "%" PRId64 "%s", value / units[i].factor, units[i].name);
    return buffer;
}

const char *ox__duration_text(int64_t ms, char buffer[static 24])
{
    return write_unit(ms, time_units, G_N_ELEMENTS(time_units) - (ms == 0), buffer); /* "0s" */
}

const char *ox__bytes_text(int64_t bytes, char buffer[static 24])
{
    return write_unit(bytes, byte_units, G_N_ELEMENTS(byte_units), buffer);
}

/* Whether the value is in its range; `max` 0: there is none. */
static bool in_range(const char *text, int64_t value, int64_t min, int64_t max,
    const char *(*write)(int64_t value, char buffer[static 24]), char **why)
{
    char bound[24];
    if (value < min) {
        *why = g_strdup_printf("\"%s\" is less than %s", text, write(min, bound));
    } else if (max > 0 && value > max) {
        *why = g_strdup_printf("\"%s\" is more than %s", text, write(max, bound));
    }
    return value >= min && (max == 0 || value <= max);
}

bool ox__parse_duration(const char *text, int64_t min, int64_t max, int64_t *out_ms, char **why)
{
    int64_t ms = 0;
    if (strcmp(text, "0") != 0 &&
        !read_unit(text, time_units, G_N_ELEMENTS(time_units), OX__MAX_DURATION_MS, &ms)) {
        *why =
            g_strdup_printf("\"%s\" is not a duration such as 500ms, 10s, 5m, 2h or 1d", text);
        return false;
    }
    if (!in_range(text, ms, min, max, ox__duration_text, why)) {
        return false;
    }
    *out_ms = ms;
    return true;
}

bool ox__parse_bytes(const char *text, int64_t min, int64_t max, int64_t *out_bytes, char **why)
{
    int64_t bytes = 0;
    if (!read_unit(text, byte_units, G_N_ELEMENTS(byte_units), INT64_MAX, &bytes)) {
        *why = g_strdup_printf("\"%s\" is not a size such as 4096, 500K, 128M or 1G", text);
        return false;
    }
    if (!in_range(text, bytes, min, max, ox__bytes_text, why)) {
        return false;
    }
    *out_bytes = bytes;
    return true;
}

bool ox__parse_rate(char *text, void *out, char **why)
{
    struct ox__rate *rate = out;
    char *rest = text;
    const char *max = ox__next_part(&rest, '/');
    if (rest == NULL) {
        *why = g_strdup_printf("\"%s\" is not MAX/DURATION, such as 100/1s", text);
        return false;
    }
    return ox__parse_count(max, 1, UINT32_MAX, &rate->max, why) &&
           ox__parse_duration(rest, 1, 0, &rate->duration_ms, why);
}

bool ox__parse_instant(char *text, void *out, char **why)
{
    int64_t *ms = out, from_now;
    gint64 number;
    if (g_ascii_string_to_signed(text, 10, 1, OX__MAX_MS, &number, NULL) && *text != '+') {
        *ms = number;
        return true;
    }
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, NULL);
    if (time != NULL) {
        *ms = g_date_time_to_unix(time) * 1000 + g_date_time_get_microsecond(time) / 1000;
        return true;
    }
    if (read_unit(text, time_units, G_N_ELEMENTS(time_units), OX__MAX_DURATION_MS, &from_now)) {
        *ms = ox__now_ms() + from_now;
        return true;
    }
    *why = g_strdup_printf("\"%s\" is not a time such as 2026-01-31T12:00:00Z, Unix "
                           "milliseconds, or 10m for in ten minutes",
        text);
    return false;
}

/* ---- small languages -----------------------------------------------------------------------
 */

static bool read_share(const char *text, double *out, char **why)
{
    char *end = NULL;
    double number = g_ascii_strtod(text, &end);
    if (*text != '\0' && *end == '\0' && g_ascii_isdigit(*text) && number >= 0 && number <= 1) {
        *out = number;
        return true;
    }
    *why = g_strdup_printf("\"%s\" is not a number from 0 to 1", text);
    return false;
}

static bool read_word(const struct ox__word *word, const char *value, void *base, char **why)
{
    void *out = (char *)base + word->offset;
    int64_t ms;
    switch (word->kind) {
    case OX__WORD_FLAG:
        *(bool *)out = true;
        return true;
    case OX__WORD_DURATION:
        return ox__parse_duration(value, 1, 0, out, why);
    case OX__WORD_SECONDS:
        if (!ox__parse_duration(value, 1000, 0, &ms, why)) {
            return false;
        }
        *(int64_t *)out = ms / 1000;
        return true;
    case OX__WORD_COUNT:
        return ox__parse_count(value, 1, INT64_C(1) << 52, out, why);
    case OX__WORD_BYTES:
        return ox__parse_bytes(value, 1, 0, out, why);
    case OX__WORD_SHARE:
        return read_share(value, out, why);
    }
    return false;
}

/* "count=N, age=TIME, extend": what may be written. Heap. */
static char *list_words(const struct ox__word *words, size_t count)
{
    static const char *const values[] = { [OX__WORD_FLAG] = "",
        [OX__WORD_DURATION] = "=TIME",
        [OX__WORD_SECONDS] = "=TIME",
        [OX__WORD_COUNT] = "=N",
        [OX__WORD_BYTES] = "=SIZE",
        [OX__WORD_SHARE] = "=0..1" };
    GString *list = g_string_new(NULL);
    for (size_t i = 0; i < count; i++) {
        g_string_append_printf(
            list, "%s%s%s", i > 0 ? ", " : "", words[i].name, values[words[i].kind]);
    }
    return g_string_free(list, FALSE);
}

/* The word that `part`, "name" or "name=value", gives; NULL: none. */
static const struct ox__word *find_word(
    const char *part, const struct ox__word *words, size_t count)
{
    const char *value = strchr(part, '=');
    size_t length = value != NULL ? (size_t)(value - part) : strlen(part);
    for (size_t i = 0; i < count; i++) {
        if (strlen(words[i].name) == length && memcmp(words[i].name, part, length) == 0 &&
            (words[i].kind != OX__WORD_FLAG) == (value != NULL)) {
            return &words[i];
        }
    }
    return NULL;
}

char *ox__next_part(char **rest, char separator)
{
    char *part = *rest;
    if (part == NULL) {
        return NULL;
    }
    char *end = strchr(part, separator);
    *rest = end != NULL ? end + 1 : NULL;
    if (end != NULL) {
        *end = '\0';
    }
    return part;
}

bool ox__parse_words(char *rest, char separator, const struct ox__word *words, size_t count,
    void *base, char **why)
{
    uint64_t given = 0; /* a bit for each word */
    for (char *part; (part = ox__next_part(&rest, separator)) != NULL;) {
        const struct ox__word *word = find_word(part, words, count);
        if (word == NULL) {
            g_autofree char *list = list_words(words, count);
            *why = *part != '\0'
                       ? g_strdup_printf("\"%s\" is not one of %s", part, list)
                       : g_strdup_printf("a part is empty; it must be one of %s", list);
            return false;
        }
        uint64_t bit = UINT64_C(1) << (word - words);
        if ((given & bit) != 0) {
            *why = g_strdup_printf("%s is given twice", word->name);
            return false;
        }
        given |= bit;
        const char *value = strchr(part, '=');
        if (!read_word(word, value != NULL ? value + 1 : "", base, why)) {
            return false;
        }
    }
    return true;
}

static bool read_keep_parts(char *text, ox_keep *keep, char **why)
{
    static const struct ox__word words[] = {
        { "count", OX__WORD_COUNT, offsetof(ox_keep, count) },
        { "age", OX__WORD_SECONDS, offsetof(ox_keep, age_s) },
        { "limit", OX__WORD_COUNT, offsetof(ox_keep, limit) },
    };
    if (!ox__parse_words(text, ',', words, G_N_ELEMENTS(words), keep, why)) {
        return false;
    }
    if (keep->limit != 0 && keep->age_s == 0) {
        *why = g_strdup("limit requires age");
        return false;
    }
    return true;
}

bool ox__parse_keep(char *text, void *out, char **why)
{
    ox_keep *keep = out;
    int64_t ms = 0;
    *keep = (ox_keep){ .mode = OX_KEEP_SOME };
    if (text == NULL || strcmp(text, "true") == 0 || strcmp(text, "0") == 0) {
        keep->mode = OX_KEEP_NONE;
        return true;
    }
    if (strcmp(text, "false") == 0) {
        keep->mode = OX_KEEP_ALL;
        return true;
    }
    if (strchr(text, '=') != NULL) {
        return read_keep_parts(text, keep, why);
    }
    if (*text != '\0' && text[strspn(text, "0123456789")] == '\0') {
        bool good = ox__parse_count(text, 0, INT64_C(1) << 52, &keep->count, why);
        keep->mode = keep->count > 0 ? OX_KEEP_SOME : OX_KEEP_NONE;
        return good;
    }
    if (!read_unit(text, time_units, G_N_ELEMENTS(time_units), OX__MAX_DURATION_MS, &ms) ||
        ms < 1000) {
        *why = g_strdup_printf("\"%s\" is not true, false, a number of jobs, an age such as 1d "
                               "(at least 1s), or count=N,age=TIME,limit=N",
            text);
        return false;
    }
    keep->age_s = ms / 1000;
    return true;
}

bool ox__parse_backoff(char *text, void *out, char **why)
{
    static const struct ox__word words[] = {
        { "jitter", OX__WORD_SHARE, offsetof(ox_backoff, jitter) },
    };
    ox_backoff *backoff = out;
    *backoff = (ox_backoff){ 0 };
    char *rest = text;
    backoff->type = ox__next_part(&rest, ':');
    const char *delay = ox__next_part(&rest, ':');
    if (*backoff->type == '\0' || delay == NULL) {
        *why = g_strdup_printf(
            "\"%s\" has no delay; write fixed:1s or exponential:1s[:jitter=0.5]", text);
        return false;
    }
    return ox__parse_duration(delay, 0, 0, &backoff->delay_ms, why) &&
           ox__parse_words(rest, ':', words, G_N_ELEMENTS(words), backoff, why);
}
