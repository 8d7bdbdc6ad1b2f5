/*
 * parse.c - numbers, times and the small languages of the options.
 *
 * Lists such as fixed:1s:jitter=0.5 are read by one loop over their parts; each language has a
 * table of the words it knows.
 */
#include "parse.h"
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool parse_count(const char *text, int64_t min, int64_t max, int64_t *out, char **why)
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

static const struct {
    const char *name;
    int64_t ms;
} units[] = {
    { "ms", 1 },
    { "s", 1000 },
    { "m", 60000 },
    { "h", 3600000 },
    { "d", 86400000 },
};

/* Digits and a unit, or a plain 0. */
static bool read_duration(const char *text, int64_t *ms)
{
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 15)
        return false;
    int64_t number = g_ascii_strtoll(text, NULL, 10);
    if (!number && !text[digits]) {
        *ms = 0;
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
        if (!strcmp(text + digits, units[i].name)) {
            if (number > MAX_DURATION_MS / units[i].ms)
                return false;
            *ms = number * units[i].ms;
            return true;
        }
    return false;
}

bool parse_duration(const char *text, int64_t min, int64_t max, int64_t *ms, char **why)
{
    int64_t limit = max ? max : MAX_DURATION_MS;
    int64_t read;
    if (!read_duration(text, &read)) {
        *why =
            g_strdup_printf("\"%s\" is not a duration such as 500ms, 10s, 5m, 2h or 1d", text);
        return false;
    }
    if (read < min || read > limit) {
        *why = g_strdup_printf(
            "\"%s\" is not from %" PRId64 "ms to %" PRId64 "ms", text, min, limit);
        return false;
    }
    *ms = read;
    return true;
}

bool parse_time(char *text, void *out, char **why)
{
    guint64 number;
    if (g_ascii_string_to_unsigned(text, 10, 1, (guint64)1 << 53, &number, NULL)) {
        *(int64_t *)out = (int64_t)number;
        return true;
    }
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, NULL);
    if (time) {
        *(int64_t *)out =
            g_date_time_to_unix(time) * 1000 + g_date_time_get_microsecond(time) / 1000;
        return true;
    }
    *why = g_strdup_printf(
        "\"%s\" is neither Unix milliseconds nor a time such as 2026-01-31T12:00:00Z", text);
    return false;
}

/* ---- lists of words ---------------------------------------------------------------------- */

enum word_kind { WORD_FLAG, WORD_DURATION, WORD_COUNT, WORD_SHARE, WORD_SECONDS };

/* A word of a small language, alone or with "=value", and where its value goes. */
struct word {
    const char *name;
    enum word_kind kind;
    size_t offset;
};

static bool read_share(const char *text, double *out, char **why)
{
    char *end = NULL;
    double number = g_ascii_strtod(text, &end);
    if (*text && *end == '\0' && g_ascii_isdigit(*text) && number >= 0 && number <= 1) {
        *out = number;
        return true;
    }
    *why = g_strdup_printf("\"%s\" is not a number from 0 to 1", text);
    return false;
}

static bool read_word(const struct word *word, const char *value, void *base, char **why)
{
    void *out = (char *)base + word->offset;
    int64_t ms;
    switch (word->kind) {
    case WORD_FLAG:
        *(bool *)out = true;
        return true;
    case WORD_DURATION:
        return parse_duration(value, 1, 0, out, why);
    case WORD_COUNT:
        return parse_count(value, 1, INT64_C(1) << 52, out, why);
    case WORD_SHARE:
        return read_share(value, out, why);
    case WORD_SECONDS:
        if (!parse_duration(value, 1000, 0, &ms, why))
            return false;
        *(int64_t *)out = ms / 1000;
        return true;
    }
    return false;
}

static char *word_names(const struct word *words, size_t count)
{
    GString *names = g_string_new(NULL);
    for (size_t i = 0; i < count; i++)
        g_string_append_printf(names, "%s%s%s", i ? ", " : "", words[i].name,
            words[i].kind == WORD_FLAG ? "" : "=..");
    return g_string_free(names, FALSE);
}

/* Reads one part, "name" or "name=value". */
static bool read_part(
    char *part, const struct word *words, size_t count, void *base, char **why)
{
    char *value = strchr(part, '=');
    size_t length = value ? (size_t)(value - part) : strlen(part);
    for (size_t i = 0; i < count; i++) {
        bool wants_value = words[i].kind != WORD_FLAG;
        if (strlen(words[i].name) == length && !memcmp(words[i].name, part, length) &&
            wants_value == (value != NULL))
            return read_word(&words[i], value ? value + 1 : NULL, base, why);
    }
    g_autofree char *names = word_names(words, count);
    *why = g_strdup_printf("\"%s\" is none of %s", part, names);
    return false;
}

/* Cuts `*rest` at the next `separator` and moves on; NULL when there is nothing left. */
static char *next_part(char **rest, char separator)
{
    char *part = *rest;
    if (!part)
        return NULL;
    char *end = strchr(part, separator);
    *rest = end ? end + 1 : NULL;
    if (end)
        *end = '\0';
    return part;
}

static bool read_parts(
    char *rest, char separator, const struct word *words, size_t count, void *base, char **why)
{
    for (char *part; (part = next_part(&rest, separator));)
        if (!read_part(part, words, count, base, why))
            return false;
    return true;
}

bool parse_backoff(char *text, void *out, char **why)
{
    static const struct word words[] = {
        { "jitter", WORD_SHARE, offsetof(ox_backoff, jitter) },
    };
    ox_backoff *backoff = out;
    *backoff = (ox_backoff){ 0 };
    char *rest = text;
    backoff->type = next_part(&rest, ':');
    const char *delay = next_part(&rest, ':');
    if (!*backoff->type || !delay) {
        *why = g_strdup_printf(
            "\"%s\" has no delay; write fixed:1s or exponential:1s[:jitter=0.5]", text);
        return false;
    }
    return parse_duration(delay, 0, 0, &backoff->delay_ms, why) &&
           read_parts(rest, ':', words, G_N_ELEMENTS(words), backoff, why);
}

bool parse_dedup(char *text, void *out, char **why)
{
    static const struct word words[] = {
        { "ttl", WORD_DURATION, offsetof(ox_dedup, ttl_ms) },
        { "extend", WORD_FLAG, offsetof(ox_dedup, extend) },
        { "replace", WORD_FLAG, offsetof(ox_dedup, replace) },
        { "reschedule", WORD_FLAG, offsetof(ox_dedup, reschedule) },
        { "keep-last", WORD_FLAG, offsetof(ox_dedup, keep_last_if_active) },
    };
    ox_dedup *dedup = out;
    *dedup = (ox_dedup){ 0 };
    char *rest = text;
    dedup->id = next_part(&rest, ':');
    if (!*dedup->id) {
        *why = g_strdup("the deduplication id is empty");
        return false;
    }
    return read_parts(rest, ':', words, G_N_ELEMENTS(words), dedup, why);
}

bool parse_keep(char *text, void *out, char **why)
{
    static const struct word words[] = {
        { "count", WORD_COUNT, offsetof(ox_keep, count) },
        { "age", WORD_SECONDS, offsetof(ox_keep, age_s) },
        { "limit", WORD_COUNT, offsetof(ox_keep, limit) },
    };
    ox_keep *keep = out;
    *keep = (ox_keep){ 0 };
    if (!text || !strcmp(text, "true")) {
        keep->mode = OX_KEEP_NONE;
        return true;
    }
    if (!strcmp(text, "false")) {
        keep->mode = OX_KEEP_ALL;
        return true;
    }
    keep->mode = OX_KEEP_SOME;
    if (text[strspn(text, "0123456789")] == '\0' && *text) {
        if (!parse_count(text, 0, INT64_C(1) << 52, &keep->count, why))
            return false;
        keep->mode = keep->count ? OX_KEEP_SOME : OX_KEEP_NONE;
        return true;
    }
    if (!read_parts(text, ',', words, G_N_ELEMENTS(words), keep, why))
        return false;
    if (keep->limit && !keep->age_s) {
        *why = g_strdup("limit means nothing without age");
        return false;
    }
    return true;
}

bool parse_child_failure(char *text, void *out, char **why)
{
    static const char *const names[] = {
        [OX_CHILD_WAIT] = "wait",
        [OX_CHILD_FAIL_PARENT] = "fail",
        [OX_CHILD_CONTINUE] = "continue",
        [OX_CHILD_IGNORE] = "ignore",
        [OX_CHILD_REMOVE] = "remove",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (!strcmp(text, names[i])) {
            *(int *)out = (int)i;
            return true;
        }
    *why = g_strdup_printf("\"%s\" is none of wait, fail, continue, ignore, remove", text);
    return false;
}

bool parse_rate(char *text, void *out, char **why)
{
    struct rate *rate = out;
    char *rest = text;
    const char *max = next_part(&rest, '/');
    if (!rest) {
        *why = g_strdup_printf("\"%s\" is not MAX/DURATION, such as 100/1s", text);
        return false;
    }
    return parse_count(max, 1, UINT32_MAX, &rate->max, why) &&
           parse_duration(rest, 1, 0, &rate->duration_ms, why);
}

bool parse_patience(char *text, void *out, char **why)
{
    struct patience *patience = out;
    *patience = (struct patience){ .given = true };
    return !text || parse_duration(text, 1, UINT32_MAX, &patience->timeout_ms, why);
}
