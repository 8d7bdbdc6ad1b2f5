/*
 * options_fit.c - stored values of job options, converted as JavaScript converts them where
 * BullMQ uses them: "3" attempts are 3, any text is a true `lifo`.
 */
#include "base/clock.h"
#include "queue/options_kind.h"

#include <glib.h>
#include <math.h>
#include <string.h>

/* Each takes the value over and returns another, NULL when memory is out. */

static double js_number(const json_t *value)
{
    if (json_is_number(value)) {
        return json_number_value(value);
    }
    if (!json_is_string(value)) {
        return json_is_object(value) || json_is_array(value) ? NAN : json_is_true(value);
    }
    const char *text = json_string_value(value);
    char *end;
    double number = g_ascii_strtod(text, &end);
    return end[strspn(end, " \t\r\n")] == '\0' && isfinite(number) ? number : NAN;
}

static bool js_true(const json_t *value)
{
    if (json_is_number(value)) {
        return json_number_value(value) != 0;
    }
    return json_is_string(value) ? json_string_length(value) > 0
                                 : !json_is_false(value) && !json_is_null(value);
}

static json_t *fit_number(json_t *value, double max)
{
    double number = js_number(value);
    json_decref(value);
    return isnan(number) ? json_null() : json_real(fmin(fmax(number, 0), max));
}

json_t *ox__fit_u32(json_t *value)
{
    return fit_number(value, UINT32_MAX);
}

json_t *ox__fit_i32(json_t *value)
{
    return fit_number(value, INT32_MAX);
}

json_t *ox__fit_ms(json_t *value)
{
    return fit_number(value, (double)OX__MAX_MS);
}

json_t *ox__fit_flag(json_t *value)
{
    bool set = js_true(value);
    json_decref(value);
    return json_boolean(set);
}

/* Fits a member, if it is there. */
static bool fit_member(json_t *object, const char *name, double max)
{
    json_t *value = json_object_get(object, name);
    return value == NULL ||
           json_object_set_new(object, name, fit_number(json_incref(value), max)) == 0;
}

static json_t *fit_members(
    json_t *object, const char *const names[], const double *max, size_t count)
{
    bool fits = true;
    for (size_t i = 0; i < count; i++) {
        fits = fits && fit_member(object, names[i], max[i]);
    }
    if (!fits) {
        json_decref(object);
        return NULL;
    }
    return object;
}

json_t *ox__fit_keep(json_t *value)
{
    static const char *const names[] = { "age", "limit" };
    static const double max[] = { 9e15, 9e15 };
    if (json_is_object(value)) {
        return fit_members(value, names, max, 2);
    }
    if (json_is_array(value)) {
        json_decref(value);
        return json_object();
    }
    return json_is_number(value) ? value : ox__fit_flag(value);
}

json_t *ox__fit_backoff(json_t *value)
{
    static const char *const names[] = { "delay", "jitter" };
    static const double max[] = { (double)OX__MAX_MS, 1 };
    if (json_is_object(value)) {
        return fit_members(value, names, max, 2);
    }
    return json_is_number(value) ? ox__fit_ms(value) : value;
}
