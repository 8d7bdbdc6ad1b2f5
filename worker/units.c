/*
 * units.c - numbers with a unit; see units.h.
 */
#include "units.h"

#include <glib.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: the first that divides a duration is the one it is written in. */
static const struct unit time_units[] = {
    { "d", 86400000 },
    { "h", 3600000 },
    { "m", 60000 },
    { "s", 1000 },
    { "ms", 1 },
};

static const struct unit byte_units[] = {
    { "", 1 },
    { "K", 1 << 10 },
    { "M", 1 << 20 },
    { "G", 1 << 30 },
};

/* Reads digits up to `end`. A sign, a space or an overflow is no number. */
static bool leading_number(const char *text, char **end, uint64_t *out)
{
    if (!g_ascii_isdigit(*text))
        return false;
    *out = g_ascii_strtoull(text, end, 10);
    return *out < G_MAXUINT64;
}

static bool with_unit(
    const char *text, const struct unit *units, size_t count, uint64_t max, uint64_t *out)
{
    char *end;
    uint64_t number;
    if (!leading_number(text, &end, &number))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(end, units[i].name) == 0) {
            *out = number * units[i].factor;
            return number <= max / units[i].factor;
        }
    }
    return false;
}

bool parse_duration(const char *text, uint32_t *out_ms)
{
    uint64_t ms = 0;
    if (strcmp(text, "0") != 0 &&
        !with_unit(text, time_units, G_N_ELEMENTS(time_units), G_MAXUINT32, &ms))
        return false;
    *out_ms = (uint32_t)ms;
    return true;
}

bool parse_rate(const char *text, uint32_t *max, uint32_t *duration_ms)
{
    char *end;
    uint64_t count;
    if (!leading_number(text, &end, &count) || *end != '/' || count == 0 ||
        count > G_MAXUINT32 || !parse_duration(end + 1, duration_ms) || *duration_ms == 0)
        return false;
    *max = (uint32_t)count;
    return true;
}

bool parse_bytes(const char *text, uint64_t *out_bytes)
{
    return with_unit(text, byte_units, G_N_ELEMENTS(byte_units), G_MAXINT64, out_bytes);
}

bool parse_count(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    char *end;
    return leading_number(text, &end, out) && *end == '\0' && *out >= min && *out <= max;
}

const char *duration_text(uint32_t ms, char buffer[static 16])
{
    size_t i = 0;
    while (ms == 0 ? i < 3 : ms % time_units[i].factor != 0)
        i++;
    g_snprintf(
        buffer, 16, "%" G_GUINT64_FORMAT "%s", ms / time_units[i].factor, time_units[i].name);
    return buffer;
}
