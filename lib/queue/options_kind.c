/*
 * options_kind.c - how the values of job options are read from JSON, written and checked; see
 * options_kind.h.
 */
#include "queue/options_kind.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "queue/job_id.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ------------------------------------------------------------------------------ */

/* Readers return false when the value does not fit. */
static bool read_count(const json_t *value, double max, double *out)
{
    if (!json_is_number(value)) {
        return false;
    }
    double number = json_number_value(value);
    *out = floor(number);
    return number >= 0 && number <= max;
}

static bool read_u32(const json_t *value, uint32_t *out)
{
    double number;
    bool ok = read_count(value, UINT32_MAX, &number);
    *out = ok ? (uint32_t)number : *out;
    return ok;
}

/* Beyond 2^53 integers are not exact in Lua and JavaScript. */
static bool read_i64(const json_t *value, int64_t *out)
{
    double number;
    bool ok = read_count(value, (double)OX__MAX_MS, &number);
    *out = ok ? (int64_t)number : *out;
    return ok;
}

static bool read_bool(const json_t *value, bool *out)
{
    *out = json_is_true(value);
    return json_is_boolean(value);
}

static bool read_text(const json_t *value, const char **out)
{
    *out = json_string_value(value);
    return *out != NULL;
}

/* Appends a double in its shortest exact form. */
static void put_double(struct ox__buf *out, double value)
{
    json_t *number = json_real(value);
    char *text =
        number != NULL ? json_dumps(number, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) : NULL;
    if (text == NULL) {
        out->failed = true;
    } else {
        ox__buf_text(out, text);
    }
    free(text);
    json_decref(number);
}

static void put_text(struct ox__buf *out, const char *text)
{
    ox__json_string(out, text, strlen(text));
}

/* Neither negative nor beyond 2^53. */
static bool in_bounds(int64_t value)
{
    return value >= 0 && value <= OX__MAX_MS;
}

#define RANGE "0..9007199254740991"

/* ---- numbers ----------------------------------------------------------------------------- */

static bool u32_read(const struct ox__option *option, const json_t *value, void *field)
{
    (void)option;
    return read_u32(value, field);
}

static bool u32_is_set(const void *field)
{
    return *(const uint32_t *)field != 0;
}

static void u32_write(struct ox__buf *out, const void *field)
{
    ox__buf_int(out, *(const uint32_t *)field);
}

static int u32_check(const struct ox__option *option, const void *field, ox_error *err)
{
    uint32_t value = *(const uint32_t *)field;
    return option->max == 0 || value <= option->max
               ? 0
               : ox__fail(err, OX_EINVAL,
                     "job option %s: %" PRIu32 " exceeds the maximum of %" PRId64, option->name,
                     value, option->max);
}

const struct ox__option_kind ox__option_u32 = { sizeof(uint32_t), u32_read, u32_is_set,
    u32_write, u32_check };

/* BullMQ tries again while the number of tries is below it, so 2.5 is as good as 3. */
static bool attempts_read(const struct ox__option *option, const json_t *value, void *field)
{
    double number = ceil(json_number_value(value));
    bool ok = json_is_number(value) && number >= 0 && number <= UINT32_MAX;
    (void)option;
    if (ok) {
        *(uint32_t *)field = (uint32_t)number;
    }
    return ok;
}

const struct ox__option_kind ox__option_attempts = { sizeof(uint32_t), attempts_read,
    u32_is_set, u32_write, u32_check };

static bool priority_read(const struct ox__option *option, const json_t *value, void *field)
{
    double number = json_number_value(value);
    (void)option;
    return number == floor(number) && read_u32(value, field);
}

const struct ox__option_kind ox__option_priority = { sizeof(uint32_t), priority_read,
    u32_is_set, u32_write, u32_check };

static bool ms_read(const struct ox__option *option, const json_t *value, void *field)
{
    (void)option;
    return read_i64(value, field);
}

static bool ms_is_set(const void *field)
{
    return *(const int64_t *)field != 0;
}

static void ms_write(struct ox__buf *out, const void *field)
{
    ox__buf_int(out, *(const int64_t *)field);
}

static int ms_check(const struct ox__option *option, const void *field, ox_error *err)
{
    return in_bounds(*(const int64_t *)field)
               ? 0
               : ox__fail(err, OX_EINVAL, "job option %s: must be " RANGE " ms", option->name);
}

const struct ox__option_kind ox__option_ms = { sizeof(int64_t), ms_read, ms_is_set, ms_write,
    ms_check };

static bool size_read(const struct ox__option *option, const json_t *value, void *field)
{
    int64_t limit = 0;
    bool ok = read_i64(value, &limit);
    (void)option;
    if (ok) {
        *(size_t *)field = (size_t)limit;
    }
    return ok;
}

static bool size_is_set(const void *field)
{
    return *(const size_t *)field > 0;
}

static void size_write(struct ox__buf *out, const void *field)
{
    ox__buf_int(out, (int64_t) * (const size_t *)field);
}

const struct ox__option_kind ox__option_size = { sizeof(size_t), size_read, size_is_set,
    size_write, NULL };

/* In the struct 0 is no limit and -1 is none kept; stored, 0 is none kept. */
static bool stack_limit_read(const struct ox__option *option, const json_t *value, void *field)
{
    uint32_t limit = 0;
    bool ok = read_u32(value, &limit) && limit <= INT32_MAX;
    (void)option;
    if (ok) {
        *(int32_t *)field = limit == 0 ? -1 : (int32_t)limit;
    }
    return ok;
}

static bool stack_limit_is_set(const void *field)
{
    return *(const int32_t *)field != 0;
}

static void stack_limit_write(struct ox__buf *out, const void *field)
{
    int32_t limit = *(const int32_t *)field;
    ox__buf_int(out, limit < 0 ? 0 : limit);
}

const struct ox__option_kind ox__option_stack_limit = { sizeof(int32_t), stack_limit_read,
    stack_limit_is_set, stack_limit_write, NULL };

/* ---- flags and text ---------------------------------------------------------------------- */

static bool flag_read(const struct ox__option *option, const json_t *value, void *field)
{
    (void)option;
    return read_bool(value, field);
}

static bool flag_is_set(const void *field)
{
    return *(const bool *)field;
}

static void true_write(struct ox__buf *out, const void *field)
{
    (void)field;
    ox__buf_text(out, "true");
}

const struct ox__option_kind ox__option_flag = { sizeof(bool), flag_read, flag_is_set,
    true_write, NULL };

static bool text_read(const struct ox__option *option, const json_t *value, void *field)
{
    (void)option;
    return read_text(value, field);
}

/* Also for structs that begin with a text and are unset without it. */
static bool text_is_set(const void *field)
{
    return *(const char *const *)field != NULL;
}

static void text_write(struct ox__buf *out, const void *field)
{
    put_text(out, *(const char *const *)field);
}

const struct ox__option_kind ox__option_text = { sizeof(char *), text_read, text_is_set,
    text_write, NULL };

static int id_check(const struct ox__option *option, const void *field, ox_error *err)
{
    const char *id = *(const char *const *)field;
    (void)option;
    return id != NULL ? ox__job_id_check(id, err) : 0;
}

const struct ox__option_kind ox__option_id = { sizeof(char *), text_read, text_is_set,
    text_write, id_check };

/* The four failure flags exclude each other; a second one is refused. */
static bool on_failure_read(const struct ox__option *option, const json_t *value, void *field)
{
    int *which = field;
    bool set = false;
    if (!read_bool(value, &set) ||
        (set && *which != OX_CHILD_WAIT && *which != option->choice)) {
        return false;
    }
    *which = set ? option->choice : *which;
    return true;
}

static bool on_failure_is_set(const void *field)
{
    return *(const int *)field != OX_CHILD_WAIT;
}

static int on_failure_check(const struct ox__option *option, const void *field, ox_error *err)
{
    int which = *(const int *)field;
    (void)option;
    return which >= OX_CHILD_WAIT && which <= OX_CHILD_REMOVE
               ? 0
               : ox__fail(err, OX_EINVAL, "job option on_failure: unknown value %d", which);
}

const struct ox__option_kind ox__option_on_failure = { sizeof(int), on_failure_read,
    on_failure_is_set, true_write, on_failure_check };

/* ---- objects ----------------------------------------------------------------------------- */

static bool keep_read(const struct ox__option *option, const json_t *value, void *field)
{
    ox_keep *out = field;
    ox_keep keep = { .mode = OX_KEEP_SOME };
    const json_t *part;
    (void)option;
    bool ok = true;
    if (json_is_boolean(value)) {
        keep.mode = json_is_true(value) ? OX_KEEP_NONE : OX_KEEP_ALL;
    } else if (json_is_number(value)) {
        double count = json_number_value(value);
        keep.mode = count < 0 ? OX_KEEP_ALL : count < 1 ? OX_KEEP_NONE : OX_KEEP_SOME;
        keep.count = count < 0 ? 0 : (int64_t)fmin(count, 9e15);
    } else if (json_is_object(value)) {
        if ((part = json_object_get(value, "age")) != NULL) {
            ok = ok && read_i64(part, &keep.age_s);
        }
        if ((part = json_object_get(value, "limit")) != NULL) {
            ok = ok && read_i64(part, &keep.limit);
        }
        if ((part = json_object_get(value, "count")) != NULL && json_is_number(part)) {
            double count = json_number_value(part);
            keep.mode = count < 0 && keep.age_s == 0 ? OX_KEEP_ALL
                        : count == 0                 ? OX_KEEP_NONE
                                                     : OX_KEEP_SOME;
            keep.count = count > 0 ? (int64_t)fmin(count, 9e15) : 0;
        } else if (keep.age_s == 0) {
            keep.mode = OX_KEEP_ALL;
        }
    } else {
        ok = false;
    }
    *out = ok ? keep : *out;
    return ok;
}

static bool keep_is_set(const void *field)
{
    return ((const ox_keep *)field)->mode != OX_KEEP_DEFAULT;
}

static void keep_write(struct ox__buf *out, const void *field)
{
    const ox_keep *keep = field;
    if (keep->mode != OX_KEEP_SOME) {
        ox__buf_text(out, keep->mode == OX_KEEP_NONE ? "true" : "false");
        return;
    }
    if (keep->age_s == 0) {
        ox__buf_int(out, keep->count);
        return;
    }
    ox__buf_text(out, "{\"age\":");
    ox__buf_int(out, keep->age_s);
    if (keep->count > 0) {
        ox__buf_text(out, ",\"count\":");
        ox__buf_int(out, keep->count);
    }
    if (keep->limit > 0) {
        ox__buf_text(out, ",\"limit\":");
        ox__buf_int(out, keep->limit);
    }
    ox__buf_char(out, '}');
}

static int keep_check(const struct ox__option *option, const void *field, ox_error *err)
{
    const ox_keep *keep = field;
    if (keep->mode < OX_KEEP_DEFAULT || keep->mode > OX_KEEP_SOME || !in_bounds(keep->count) ||
        !in_bounds(keep->age_s) || !in_bounds(keep->limit)) {
        return ox__fail(
            err, OX_EINVAL, "job option %s: age, count and limit must be " RANGE, option->name);
    }
    return 0;
}

const struct ox__option_kind ox__option_keep = { sizeof(ox_keep), keep_read, keep_is_set,
    keep_write, keep_check };

static bool backoff_read(const struct ox__option *option, const json_t *value, void *field)
{
    ox_backoff backoff = { .type = "fixed" };
    const json_t *part;
    bool ok = true;
    if (json_is_number(value)) {
        ok = read_i64(value, &backoff.delay_ms);
    } else {
        ok = json_is_object(value) && read_text(json_object_get(value, "type"), &backoff.type);
        if (ok && (part = json_object_get(value, "delay")) != NULL && !json_is_null(part)) {
            ok = read_i64(part, &backoff.delay_ms);
        }
        if (ok && (part = json_object_get(value, "jitter")) != NULL && !json_is_null(part)) {
            backoff.jitter = json_number_value(part);
            ok = json_is_number(part) && backoff.jitter >= 0 && backoff.jitter <= 1;
        }
    }
    (void)option;
    if (ok) {
        *(ox_backoff *)field = backoff;
    }
    return ok;
}

static void backoff_write(struct ox__buf *out, const void *field)
{
    const ox_backoff *backoff = field;
    ox__buf_text(out, "{\"type\":");
    put_text(out, backoff->type);
    ox__buf_text(out, ",\"delay\":");
    ox__buf_int(out, backoff->delay_ms);
    if (backoff->jitter > 0) {
        ox__buf_text(out, ",\"jitter\":");
        put_double(out, backoff->jitter);
    }
    ox__buf_char(out, '}');
}

static int backoff_check(const struct ox__option *option, const void *field, ox_error *err)
{
    const ox_backoff *backoff = field;
    (void)option;
    if (backoff->type != NULL && *backoff->type == '\0') {
        return ox__fail(err, OX_EINVAL, "job option backoff: the type is empty");
    }
    if (!in_bounds(backoff->delay_ms) || !(backoff->jitter >= 0 && backoff->jitter <= 1)) {
        return ox__fail(
            err, OX_EINVAL, "job option backoff: delay must be " RANGE " ms, jitter 0..1");
    }
    return 0;
}

const struct ox__option_kind ox__option_backoff = { sizeof(ox_backoff), backoff_read,
    text_is_set, backoff_write, backoff_check };

static bool dedup_read(const struct ox__option *option, const json_t *value, void *field)
{
    ox_dedup dedup = { .id = NULL };
    const json_t *ttl = json_object_get(value, "ttl");
    bool ok = json_is_object(value) && read_text(json_object_get(value, "id"), &dedup.id);
    if (ok && ttl != NULL && !json_is_null(ttl)) {
        ok = read_i64(ttl, &dedup.ttl_ms);
    }
    dedup.extend = json_is_true(json_object_get(value, "extend"));
    dedup.replace = json_is_true(json_object_get(value, "replace"));
    dedup.reschedule = json_is_true(json_object_get(value, "reschedule"));
    dedup.keep_last_if_active = json_is_true(json_object_get(value, "keepLastIfActive"));
    (void)option;
    if (ok) {
        *(ox_dedup *)field = dedup;
    }
    return ok;
}

static void write_flag(struct ox__buf *out, const char *name, bool set)
{
    if (set) {
        ox__buf_text(out, ",\"");
        ox__buf_text(out, name);
        ox__buf_text(out, "\":true");
    }
}

static void dedup_write(struct ox__buf *out, const void *field)
{
    const ox_dedup *dedup = field;
    ox__buf_text(out, "{\"id\":");
    put_text(out, dedup->id);
    if (dedup->ttl_ms > 0) {
        ox__buf_text(out, ",\"ttl\":");
        ox__buf_int(out, dedup->ttl_ms);
    }
    write_flag(out, "extend", dedup->extend);
    write_flag(out, "replace", dedup->replace);
    write_flag(out, "reschedule", dedup->reschedule);
    write_flag(out, "keepLastIfActive", dedup->keep_last_if_active);
    ox__buf_char(out, '}');
}

static int dedup_check(const struct ox__option *option, const void *field, ox_error *err)
{
    const ox_dedup *dedup = field;
    (void)option;
    if (dedup->id == NULL) {
        return 0;
    }
    if (*dedup->id == '\0' || !ox__utf8_valid(dedup->id)) {
        return ox__fail(err, OX_EINVAL, "job option deduplication: id is %s",
            *dedup->id == '\0' ? "empty" : "not valid UTF-8");
    }
    return in_bounds(dedup->ttl_ms)
               ? 0
               : ox__fail(err, OX_EINVAL, "job option deduplication: ttl must be " RANGE " ms");
}

const struct ox__option_kind ox__option_dedup = { sizeof(ox_dedup), dedup_read, text_is_set,
    dedup_write, dedup_check };

static bool parent_read(const struct ox__option *option, const json_t *value, void *field)
{
    ox_parent parent = { .id = NULL };
    bool ok = json_is_object(value) && read_text(json_object_get(value, "id"), &parent.id) &&
              read_text(json_object_get(value, "queue"), &parent.queue);
    (void)option;
    if (ok) {
        *(ox_parent *)field = parent;
    }
    return ok;
}

static void parent_write(struct ox__buf *out, const void *field)
{
    const ox_parent *parent = field;
    ox__buf_text(out, "{\"id\":");
    put_text(out, parent->id);
    ox__buf_text(out, ",\"queue\":");
    put_text(out, parent->queue);
    ox__buf_char(out, '}');
}

static int parent_check(const struct ox__option *option, const void *field, ox_error *err)
{
    const ox_parent *parent = field;
    (void)option;
    if (parent->id == NULL) {
        return 0;
    }
    if (parent->queue == NULL || strchr(parent->queue, ':') == NULL) {
        return ox__fail(err, OX_EINVAL, "job option parent: queue must be \"prefix:name\"");
    }
    return ox__utf8_valid(parent->id) && ox__utf8_valid(parent->queue)
               ? 0
               : ox__fail(err, OX_EINVAL, "job option parent: id or queue is not valid UTF-8");
}

const struct ox__option_kind ox__option_parent = { sizeof(ox_parent), parent_read, text_is_set,
    parent_write, parent_check };

/* In Queue.add the two telemetry options come as one object; the field is the whole struct. */
static bool telemetry_read(const struct ox__option *option, const json_t *value, void *field)
{
    ox_job_options *options = field;
    const json_t *metadata = json_object_get(value, "metadata");
    const json_t *omit = json_object_get(value, "omitContext");
    (void)option;
    return json_is_object(value) &&
           (metadata == NULL || read_text(metadata, &options->telemetry)) &&
           (omit == NULL || read_bool(omit, &options->omit_context));
}

const struct ox__option_kind ox__option_telemetry = { 0, telemetry_read, NULL, NULL, NULL };
