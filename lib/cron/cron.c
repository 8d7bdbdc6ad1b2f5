/*
 * cron.c - reading cron patterns.
 *
 * A scheduler's pattern may have been written by any client of the queue, and the next time is
 * computed by the worker that takes its job, of Ox or of BullMQ. So a pattern means what it
 * means to the cron-parser package of Node's BullMQ, in corner cases too: a field is text in
 * which names and "*" are first replaced by their numbers, and a number ends where its digits
 * end. docs/cron.md lists the syntax and the few patterns that are refused on purpose.
 *
 * Nothing here allocates: fields are slices of the pattern, and the text of one field after
 * replacement fits a buffer whose size follows from the longest pattern.
 */
#include "cron/cron.h"

#include "base/error.h"

#include <glib.h>
#include <string.h>

enum {
    max_chars = 1024,             /* of a pattern */
    max_text = 4 * max_chars + 1, /* "*" grows to at most "0-59" */
    too_big = 1000                /* numbers stop growing here, beyond every field */
};

/* A part of a text that is owned elsewhere. */
struct slice {
    const char *at;
    size_t length;
};

static const struct field {
    const char *name;
    const char *any;   /* what "*" and "?" stand for */
    const char *signs; /* allowed beside digits, names and *?,-/ */
    uint8_t min, max;
    uint8_t wrap; /* values are taken modulo this: Sunday is 0 and 7 */
    bool names;
    const char *missing; /* what a field left out of the pattern means */
} fields[OX__CRON_FIELDS] = {
    [OX__CRON_SECOND] = { "second", "0-59", "", 0, 59, 60, false, "0" },
    [OX__CRON_MINUTE] = { "minute", "0-59", "", 0, 59, 60, false, "*" },
    [OX__CRON_HOUR] = { "hour", "0-23", "", 0, 23, 24, false, "*" },
    [OX__CRON_DAY] = { "day of month", "1-31", "L", 1, 31, 32, false, "*" },
    [OX__CRON_MONTH] = { "month", "1-12", "", 1, 12, 13, true, "*" },
    [OX__CRON_WEEKDAY] = { "day of week", "0-7", "L", 0, 7, 7, true, "*" },
};

/* One list for both fields that take names: "jan" is 1 as a weekday, too. */
static const struct {
    char name[4];
    char digits[3];
} names[] = {
    { "jan", "1" },
    { "feb", "2" },
    { "mar", "3" },
    { "apr", "4" },
    { "may", "5" },
    { "jun", "6" },
    { "jul", "7" },
    { "aug", "8" },
    { "sep", "9" },
    { "oct", "10" },
    { "nov", "11" },
    { "dec", "12" },
    { "sun", "0" },
    { "mon", "1" },
    { "tue", "2" },
    { "wed", "3" },
    { "thu", "4" },
    { "fri", "5" },
    { "sat", "6" },
};

static const struct {
    const char *name;
    const char *pattern;
} aliases[] = {
    { "@yearly", "0 0 0 1 1 *" },
    { "@annually", "0 0 0 1 1 *" },
    { "@monthly", "0 0 0 1 * *" },
    { "@weekly", "0 0 0 * * 0" },
    { "@daily", "0 0 0 * * *" },
    { "@hourly", "0 0 * * * *" },
    { "@minutely", "0 * * * * *" },
    { "@secondly", "* * * * * *" },
    { "@weekdays", "0 0 0 * * 1-5" },
    { "@weekends", "0 0 0 * * 0,6" },
};

/* Days of the months, February as in a leap year. */
static const uint8_t longest_month[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

/* ---- The pattern's fields ---------------------------------------------------------------- */

static bool slice_has(struct slice slice, char wanted)
{
    return memchr(slice.at, wanted, slice.length) != NULL;
}

/* Cuts `rest` at the first `separator`: returns what is before it, leaves what is after it.
 * Without one the whole is returned and `rest->at` becomes NULL. */
static struct slice cut(struct slice *rest, char separator)
{
    struct slice head = *rest;
    const char *end = memchr(rest->at, separator, rest->length);
    if (end == NULL) {
        *rest = (struct slice){ NULL, 0 };
        return head;
    }
    head.length = (size_t)(end - head.at);
    *rest = (struct slice){ end + 1, rest->length - head.length - 1 };
    return head;
}

/* White space as JavaScript has it. */
static bool is_space(gunichar c)
{
    GUnicodeType type = g_unichar_type(c);
    return (c >= '\t' && c <= '\r') || c == 0xfeff || type == G_UNICODE_SPACE_SEPARATOR ||
           type == G_UNICODE_LINE_SEPARATOR || type == G_UNICODE_PARAGRAPH_SEPARATOR;
}

/* Splits a pattern into its fields; those left out, from the front, get their defaults. */
static int split(const char *pattern, struct slice raw[OX__CRON_FIELDS], ox_error *err)
{
    size_t count = 0;
    bool inside = false;

    for (const char *at = pattern; *at != '\0'; at = g_utf8_next_char(at)) {
        if (is_space(g_utf8_get_char(at))) {
            inside = false;
            continue;
        }
        if (!inside && count == OX__CRON_FIELDS) {
            return ox__fail(err, OX_EINVAL, "the cron pattern has more than six fields");
        }
        if (!inside) {
            raw[count++] = (struct slice){ at, 0 };
            inside = true;
        }
        raw[count - 1].length = (size_t)(g_utf8_next_char(at) - raw[count - 1].at);
    }
    if (count == 0) {
        return ox__fail(err, OX_EINVAL, "the cron pattern is empty");
    }
    size_t absent = OX__CRON_FIELDS - count;
    memmove(raw + absent, raw, count * sizeof(*raw));
    for (size_t i = 0; i < absent; i++) {
        raw[i] = (struct slice){ fields[i].missing, strlen(fields[i].missing) };
    }
    return 0;
}

/* ---- One field --------------------------------------------------------------------------- */

static bool is_name(struct slice text)
{
    return text.length >= 3 && g_ascii_isalpha(text.at[0]) && g_ascii_isalpha(text.at[1]) &&
           g_ascii_isalpha(text.at[2]);
}

static const char *find_name(const char *at)
{
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (g_ascii_strncasecmp(at, names[i].name, 3) == 0) {
            return names[i].digits;
        }
    }
    return NULL;
}

static int refuse_character(const struct field *field, char c, ox_error *err)
{
    if (c == 'H') {
        return ox__fail(err, OX_EINVAL,
            "the cron pattern's %s has H (a hashed value), which is not supported",
            field->name);
    }
    if (!g_ascii_isgraph(c)) {
        return ox__fail(
            err, OX_EINVAL, "the cron pattern's %s has an invalid character", field->name);
    }
    return ox__fail(
        err, OX_EINVAL, "the cron pattern's %s must not contain '%c'", field->name, c);
}

/* Writes the field with its names and wildcards replaced by numbers. */
static int expand(
    const struct field *field, struct slice raw, char text[max_text], ox_error *err)
{
    char *end = text;
    while (raw.length > 0) {
        char plain[2] = { raw.at[0], '\0' };
        const char *piece = plain;
        size_t used = 1;
        if (field->names && is_name(raw)) {
            piece = find_name(raw.at);
            used = 3;
        } else if (strchr("*?", plain[0]) != NULL) {
            piece = field->any;
        } else if (!g_ascii_isdigit(plain[0]) && strchr(",-/", plain[0]) == NULL &&
                   strchr(field->signs, plain[0]) == NULL) {
            return refuse_character(field, plain[0], err);
        }
        if (piece == NULL) {
            return ox__fail(err, OX_EINVAL,
                "the cron pattern's %s has an unknown name \"%.3s\"", field->name, raw.at);
        }
        end = g_stpcpy(end, piece);
        raw = (struct slice){ raw.at + used, raw.length - used };
    }
    *end = '\0';
    return 0;
}

/* The number at the beginning of a text; -1 without one. */
static int leading_number(struct slice text)
{
    int value = -1;
    for (size_t i = 0; i < text.length && g_ascii_isdigit(text.at[i]); i++) {
        value = MIN((value < 0 ? 0 : value) * 10 + (text.at[i] - '0'), too_big);
    }
    return value;
}

static int refuse_item(
    const struct field *field, struct slice item, const char *why, ox_error *err)
{
    return ox__fail(err, OX_EINVAL, "the cron pattern's %s \"%.*s\" %s", field->name,
        (int)MIN(item.length, 40), item.at, why);
}

static int refuse_range(const struct field *field, struct slice item, ox_error *err)
{
    return ox__fail(err, OX_EINVAL, "the cron pattern's %s \"%.*s\" is not within %d-%d",
        field->name, (int)MIN(item.length, 40), item.at, field->min, field->max);
}

/* The values that one item of a field's list adds. */
struct item {
    uint64_t set;
    bool is_last; /* "L" or "5L" */
    int weekday;  /* which it then names, if any */
};

static uint64_t bit(const struct field *field, int value)
{
    return UINT64_C(1) << (value % field->wrap);
}

/* "a-b" or "a", which then goes on to the field's end, in steps. Text after a second "-" or
 * after the digits of a number is ignored. */
static int read_range(const struct field *field, struct slice item, struct slice range,
    int step, uint64_t *set, ox_error *err)
{
    int first = leading_number(cut(&range, '-'));
    int last = range.at == NULL ? field->max : leading_number(cut(&range, '-'));

    if (first < field->min || last < 0 || last > field->max) {
        return refuse_range(field, item, err);
    }
    if (first > last) {
        return refuse_item(field, item, "begins after its end", err);
    }
    if (step <= 0) {
        return refuse_item(field, item, "has no step above 0", err);
    }
    for (int value = first; value <= last; value += step) {
        *set |= bit(field, value);
    }
    return 0;
}

/* "L" or "5L": at most two digits before it, of which the first names the weekday. */
static int read_last(
    const struct field *field, struct slice text, struct item *item, ox_error *err)
{
    size_t digits = strspn(text.at, "0123456789");
    if (digits > 2 || text.length != digits + 1) {
        return refuse_item(field, text, "has more than a number before its L", err);
    }
    if (digits == 0 && field == &fields[OX__CRON_WEEKDAY]) {
        return refuse_item(field, text, "lacks a weekday before its L", err);
    }
    item->is_last = true;
    item->weekday = digits == 0 ? 0 : (text.at[0] - '0') % 7;
    return 0;
}

/* One item of a list: a number, a range, either with a step, or something with L. */
static int read_item(
    const struct field *field, struct slice text, struct item *item, ox_error *err)
{
    struct slice step = text;
    struct slice base = cut(&step, '/');
    bool has_step = step.at != NULL;
    *item = (struct item){ 0 };

    if (has_step && slice_has(step, '/')) {
        return refuse_item(field, text, "has two steps", err);
    }
    if (has_step || slice_has(base, '-')) {
        int by = has_step ? leading_number(step) : 1;
        return read_range(field, text, base, by, &item->set, err);
    }
    if (slice_has(base, 'L')) {
        return read_last(field, base, item, err);
    }
    int value = leading_number(base);
    if (value < field->min || value > field->max) {
        return refuse_range(field, text, err);
    }
    item->set = bit(field, value);
    return 0;
}

/* Whether the same item occurs earlier in the list. */
static bool stood_before(struct slice list, struct slice item)
{
    while (list.at < item.at) {
        struct slice earlier = cut(&list, ',');
        if (earlier.at < item.at && earlier.length == item.length &&
            memcmp(earlier.at, item.at, item.length) == 0) {
            return true;
        }
    }
    return false;
}

static int read_field(
    struct ox__cron *cron, enum ox__cron_field which, struct slice raw, ox_error *err)
{
    const struct field *field = &fields[which];
    char text[max_text];
    int rc = expand(field, raw, text, err);
    if (rc < 0) {
        return rc;
    }
    const struct slice list = { text, strlen(text) };
    for (struct slice rest = list; rest.at != NULL;) {
        struct slice one = cut(&rest, ',');
        struct item item;
        if (one.length == 0) {
            return refuse_item(field, list, "has an empty item", err);
        }
        rc = read_item(field, one, &item, err);
        if (rc < 0) {
            return rc;
        }
        if ((cron->set[which] & item.set) != 0 || (item.is_last && stood_before(list, one))) {
            return refuse_item(field, list, "has a value twice", err);
        }
        cron->set[which] |= item.set;
        if (item.is_last && which == OX__CRON_WEEKDAY) {
            cron->last_weekdays |= (uint8_t)(1u << item.weekday);
        }
    }
    return 0;
}

/* "5#3", the third Friday: removes the "#3" from the weekday, which then must be a single one.
 */
static int read_nth(struct ox__cron *cron, struct slice *weekday, ox_error *err)
{
    const struct field *field = &fields[OX__CRON_WEEKDAY];
    const struct slice whole = *weekday;
    struct slice nth = whole;
    struct slice day = cut(&nth, '#');

    if (nth.at == NULL) {
        return 0;
    }
    if (slice_has(whole, ',') || slice_has(whole, '-') || slice_has(whole, '/')) {
        return ox__fail(err, OX_EINVAL, "the cron pattern's %s has # in a list, range or step",
            field->name);
    }
    int value = leading_number(nth);
    if (strspn(nth.at, "0123456789") != nth.length || value < 1 || value > 5) {
        return ox__fail(err, OX_EINVAL,
            "the cron pattern's %s has no number from 1 to 5 after #", field->name);
    }
    cron->nth = (uint8_t)value;
    *weekday = day;
    return 0;
}

static bool is_any(struct slice raw)
{
    return raw.length == 1 && (raw.at[0] == '*' || raw.at[0] == '?');
}

/* True for a single month that has none of the days, without a weekday as the alternative. */
static bool is_impossible(const struct ox__cron *cron)
{
    if (cron->last_day || !cron->any_weekday) {
        return false;
    }
    for (int month = 1; month <= 12; month++) {
        uint64_t days = (UINT64_C(2) << longest_month[month - 1]) - 1;
        if (cron->set[OX__CRON_MONTH] == UINT64_C(1) << month) {
            return (cron->set[OX__CRON_DAY] & days) == 0;
        }
    }
    return false;
}

int ox__cron_parse(struct ox__cron *cron, const char *pattern, ox_error *err)
{
    struct slice raw[OX__CRON_FIELDS];
    *cron = (struct ox__cron){ 0 };

    if (pattern == NULL || !g_utf8_validate(pattern, -1, NULL)) {
        return ox__fail(err, OX_EINVAL, "the cron pattern is not valid UTF-8");
    }
    if (g_utf8_strlen(pattern, -1) > max_chars) {
        return ox__fail(
            err, OX_EINVAL, "the cron pattern has more than %d characters", max_chars);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(aliases); i++) {
        pattern = strcmp(pattern, aliases[i].name) == 0 ? aliases[i].pattern : pattern;
    }
    int rc = split(pattern, raw, err);
    if (rc < 0) {
        return rc;
    }
    cron->any_day = is_any(raw[OX__CRON_DAY]);
    cron->any_weekday = is_any(raw[OX__CRON_WEEKDAY]);
    cron->last_day = slice_has(raw[OX__CRON_DAY], 'L');
    rc = read_nth(cron, &raw[OX__CRON_WEEKDAY], err);
    for (int i = 0; rc >= 0 && i < OX__CRON_FIELDS; i++) {
        rc = read_field(cron, (enum ox__cron_field)i, raw[i], err);
    }
    if (rc >= 0 && is_impossible(cron)) {
        return ox__fail(
            err, OX_EINVAL, "the cron pattern names only days that its month never has");
    }
    return rc;
}
