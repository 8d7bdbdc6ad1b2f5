/*
 * options.c - job options; see options.h.
 *
 * Each option is a row: its long and its stored name, how it is read, how it is written. The
 * reader walks the JSON object once; strict reading (a producer's own input) reports the first
 * bad value. Lenient reading (a stored job) first makes of each value what JavaScript would
 * make of it where BullMQ uses it ("3" attempts are 3, any text is a true `lifo`), and passes
 * over what then still does not fit.
 */
#include "queue/options.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/stored.h"

#include <glib.h>
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

/* Beyond 2^53 neither Lua nor JavaScript counts in ones. */
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

static bool read_keep(const json_t *value, ox_keep *out)
{
    ox_keep keep = { .mode = OX_KEEP_SOME };
    const json_t *part;
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

static void write_keep(struct ox__buf *out, const ox_keep *keep)
{
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

/* ---- values as JavaScript converts them -------------------------------------------------- */

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

static json_t *fit_u32(json_t *value)
{
    return fit_number(value, UINT32_MAX);
}

static json_t *fit_i32(json_t *value)
{
    return fit_number(value, INT32_MAX);
}

static json_t *fit_ms(json_t *value)
{
    return fit_number(value, (double)OX__MAX_MS);
}

static json_t *fit_flag(json_t *value)
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

static json_t *fit_keep(json_t *value)
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
    return json_is_number(value) ? value : fit_flag(value);
}

static json_t *fit_backoff(json_t *value)
{
    static const char *const names[] = { "delay", "jitter" };
    static const double max[] = { (double)OX__MAX_MS, 1 };
    if (json_is_object(value)) {
        return fit_members(value, names, max, 2);
    }
    return json_is_number(value) ? fit_ms(value) : value;
}

/* ---- rows -------------------------------------------------------------------------------- */

static bool read_id(const json_t *v, ox_job_options *o)
{
    return read_text(v, &o->id);
}

static void write_id(struct ox__buf *out, const ox_job_options *o)
{
    put_text(out, o->id);
}

static bool has_id(const ox_job_options *o)
{
    return o->id != NULL;
}

static bool read_timestamp(const json_t *v, ox_job_options *o)
{
    return read_i64(v, &o->timestamp_ms);
}

static void write_timestamp(struct ox__buf *out, const ox_job_options *o)
{
    ox__buf_int(out, o->timestamp_ms);
}

static bool has_timestamp(const ox_job_options *o)
{
    return o->timestamp_ms > 0;
}

static bool read_delay(const json_t *v, ox_job_options *o)
{
    return read_i64(v, &o->delay_ms);
}

static void write_delay(struct ox__buf *out, const ox_job_options *o)
{
    ox__buf_int(out, o->delay_ms);
}

static bool has_delay(const ox_job_options *o)
{
    return o->delay_ms > 0;
}

static bool read_priority(const json_t *v, ox_job_options *o)
{
    return json_number_value(v) == floor(json_number_value(v)) && read_u32(v, &o->priority);
}

static void write_priority(struct ox__buf *out, const ox_job_options *o)
{
    ox__buf_int(out, o->priority);
}

static bool has_priority(const ox_job_options *o)
{
    return o->priority > 0;
}

static bool read_lifo(const json_t *v, ox_job_options *o)
{
    return read_bool(v, &o->lifo);
}

static void write_true(struct ox__buf *out, const ox_job_options *o)
{
    (void)o;
    ox__buf_text(out, "true");
}

static bool has_lifo(const ox_job_options *o)
{
    return o->lifo;
}

/* BullMQ tries again while the number of tries is below it, so 2.5 is as good as 3. */
static bool read_attempts(const json_t *v, ox_job_options *o)
{
    double number = ceil(json_number_value(v));
    bool ok = json_is_number(v) && number >= 0 && number <= UINT32_MAX;
    o->attempts = ok ? (uint32_t)number : o->attempts;
    return ok;
}

static void write_attempts(struct ox__buf *out, const ox_job_options *o)
{
    ox__buf_int(out, o->attempts);
}

static bool always(const ox_job_options *o)
{
    (void)o;
    return true;
}

static bool read_backoff(const json_t *v, ox_job_options *o)
{
    ox_backoff backoff = { .type = "fixed" };
    const json_t *part;
    bool ok = true;
    if (json_is_number(v)) {
        ok = read_i64(v, &backoff.delay_ms);
    } else {
        ok = json_is_object(v) && read_text(json_object_get(v, "type"), &backoff.type);
        if (ok && (part = json_object_get(v, "delay")) != NULL && !json_is_null(part)) {
            ok = read_i64(part, &backoff.delay_ms);
        }
        if (ok && (part = json_object_get(v, "jitter")) != NULL && !json_is_null(part)) {
            backoff.jitter = json_number_value(part);
            ok = json_is_number(part) && backoff.jitter >= 0 && backoff.jitter <= 1;
        }
    }
    o->backoff = ok ? backoff : o->backoff;
    return ok;
}

static void write_backoff(struct ox__buf *out, const ox_job_options *o)
{
    ox__buf_text(out, "{\"type\":");
    put_text(out, o->backoff.type);
    ox__buf_text(out, ",\"delay\":");
    ox__buf_int(out, o->backoff.delay_ms);
    if (o->backoff.jitter > 0) {
        ox__buf_text(out, ",\"jitter\":");
        put_double(out, o->backoff.jitter);
    }
    ox__buf_char(out, '}');
}

static bool has_backoff(const ox_job_options *o)
{
    return o->backoff.type != NULL;
}

static bool read_on_complete(const json_t *v, ox_job_options *o)
{
    return read_keep(v, &o->remove_on_complete);
}

static void write_on_complete(struct ox__buf *out, const ox_job_options *o)
{
    write_keep(out, &o->remove_on_complete);
}

static bool has_on_complete(const ox_job_options *o)
{
    return o->remove_on_complete.mode != OX_KEEP_DEFAULT;
}

static bool read_on_fail(const json_t *v, ox_job_options *o)
{
    return read_keep(v, &o->remove_on_fail);
}

static void write_on_fail(struct ox__buf *out, const ox_job_options *o)
{
    write_keep(out, &o->remove_on_fail);
}

static bool has_on_fail(const ox_job_options *o)
{
    return o->remove_on_fail.mode != OX_KEEP_DEFAULT;
}

static bool read_keep_logs(const json_t *v, ox_job_options *o)
{
    return read_u32(v, &o->keep_logs);
}

static void write_keep_logs(struct ox__buf *out, const ox_job_options *o)
{
    ox__buf_int(out, o->keep_logs);
}

static bool has_keep_logs(const ox_job_options *o)
{
    return o->keep_logs > 0;
}

static bool read_stack_limit(const json_t *v, ox_job_options *o)
{
    uint32_t limit = 0;
    bool ok = read_u32(v, &limit) && limit <= INT32_MAX;
    o->stack_trace_limit = !ok ? o->stack_trace_limit : limit == 0 ? -1 : (int32_t)limit;
    return ok;
}

static void write_stack_limit(struct ox__buf *out, const ox_job_options *o)
{
    ox__buf_int(out, o->stack_trace_limit < 0 ? 0 : o->stack_trace_limit);
}

static bool has_stack_limit(const ox_job_options *o)
{
    return o->stack_trace_limit != 0;
}

static bool read_size_limit(const json_t *v, ox_job_options *o)
{
    int64_t limit = 0;
    bool ok = read_i64(v, &limit);
    o->size_limit = ok ? (size_t)limit : o->size_limit;
    return ok;
}

static void write_size_limit(struct ox__buf *out, const ox_job_options *o)
{
    ox__buf_int(out, (int64_t)o->size_limit);
}

static bool has_size_limit(const ox_job_options *o)
{
    return o->size_limit > 0;
}

static bool read_dedup(const json_t *v, ox_job_options *o)
{
    ox_dedup dedup = { .id = NULL };
    const json_t *ttl = json_object_get(v, "ttl");
    bool ok = json_is_object(v) && read_text(json_object_get(v, "id"), &dedup.id);
    if (ok && ttl != NULL && !json_is_null(ttl)) {
        ok = read_i64(ttl, &dedup.ttl_ms);
    }
    dedup.extend = json_is_true(json_object_get(v, "extend"));
    dedup.replace = json_is_true(json_object_get(v, "replace"));
    dedup.reschedule = json_is_true(json_object_get(v, "reschedule"));
    dedup.keep_last_if_active = json_is_true(json_object_get(v, "keepLastIfActive"));
    o->dedup = ok ? dedup : o->dedup;
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

static void write_dedup(struct ox__buf *out, const ox_job_options *o)
{
    ox__buf_text(out, "{\"id\":");
    put_text(out, o->dedup.id);
    if (o->dedup.ttl_ms > 0) {
        ox__buf_text(out, ",\"ttl\":");
        ox__buf_int(out, o->dedup.ttl_ms);
    }
    write_flag(out, "extend", o->dedup.extend);
    write_flag(out, "replace", o->dedup.replace);
    write_flag(out, "reschedule", o->dedup.reschedule);
    write_flag(out, "keepLastIfActive", o->dedup.keep_last_if_active);
    ox__buf_char(out, '}');
}

static bool has_dedup(const ox_job_options *o)
{
    return o->dedup.id != NULL;
}

static bool read_parent(const json_t *v, ox_job_options *o)
{
    ox_parent parent = { .id = NULL };
    bool ok = json_is_object(v) && read_text(json_object_get(v, "id"), &parent.id) &&
              read_text(json_object_get(v, "queue"), &parent.queue);
    o->parent = ok ? parent : o->parent;
    return ok;
}

static void write_parent(struct ox__buf *out, const ox_job_options *o)
{
    ox__buf_text(out, "{\"id\":");
    put_text(out, o->parent.id);
    ox__buf_text(out, ",\"queue\":");
    put_text(out, o->parent.queue);
    ox__buf_char(out, '}');
}

static bool has_parent(const ox_job_options *o)
{
    return o->parent.id != NULL;
}

/* The four failure flags exclude each other; a second one is refused. */
static bool read_on_failure(const json_t *v, ox_job_options *o, int which)
{
    bool set = false;
    if (!read_bool(v, &set) ||
        (set && o->on_failure != OX_CHILD_WAIT && o->on_failure != which)) {
        return false;
    }
    o->on_failure = set ? which : o->on_failure;
    return true;
}

#define ON_FAILURE(name, which)                                                                \
    static bool read_##name(const json_t *v, ox_job_options *o)                                \
    {                                                                                          \
        return read_on_failure(v, o, which);                                                   \
    }                                                                                          \
    static bool has_##name(const ox_job_options *o)                                            \
    {                                                                                          \
        return o->on_failure == which;                                                         \
    }
ON_FAILURE(fpof, OX_CHILD_FAIL_PARENT)
ON_FAILURE(cpof, OX_CHILD_CONTINUE)
ON_FAILURE(idof, OX_CHILD_IGNORE)
ON_FAILURE(rdof, OX_CHILD_REMOVE)

static bool read_telemetry(const json_t *v, ox_job_options *o)
{
    return read_text(v, &o->telemetry);
}

static void write_telemetry(struct ox__buf *out, const ox_job_options *o)
{
    put_text(out, o->telemetry);
}

static bool has_telemetry(const ox_job_options *o)
{
    return o->telemetry != NULL;
}

/* In Queue.add the two telemetry options come as one object. */
static bool read_telemetry_object(const json_t *v, ox_job_options *o)
{
    const json_t *metadata = json_object_get(v, "metadata");
    const json_t *omit = json_object_get(v, "omitContext");
    return json_is_object(v) && (metadata == NULL || read_text(metadata, &o->telemetry)) &&
           (omit == NULL || read_bool(omit, &o->omit_context));
}

static bool read_omit(const json_t *v, ox_job_options *o)
{
    return read_bool(v, &o->omit_context);
}

static bool has_omit(const ox_job_options *o)
{
    return o->omit_context;
}

struct row {
    const char *name;   /* in BullMQ's interface */
    const char *stored; /* in Redis */
    const char *expected;
    bool (*read)(const json_t *value, ox_job_options *out);
    json_t *(*fit)(json_t *stored); /* before it is read leniently; NULL: as it is */
    bool (*has)(const ox_job_options *options); /* NULL: read only */
    void (*write)(struct ox__buf *out, const ox_job_options *options);
};

static const struct row rows[] = {
    { "attempts", "attempts", "a whole number", read_attempts, fit_u32, always,
        write_attempts },
    { "backoff", "backoff", "a number or {type, delay, jitter 0..1}", read_backoff, fit_backoff,
        has_backoff, write_backoff },
    { "delay", "delay", "milliseconds, not negative", read_delay, fit_ms, has_delay,
        write_delay },
    { "jobId", "jobId", "a string", read_id, NULL, has_id, write_id },
    { "lifo", "lifo", "true or false", read_lifo, fit_flag, has_lifo, write_true },
    { "parent", "parent", "{id, queue}", read_parent, NULL, has_parent, write_parent },
    { "priority", "priority", "a whole number from 0 to 2097151", read_priority, NULL,
        has_priority, write_priority },
    { "removeOnComplete", "removeOnComplete", "true, false, a number or {age, count, limit}",
        read_on_complete, fit_keep, has_on_complete, write_on_complete },
    { "removeOnFail", "removeOnFail", "true, false, a number or {age, count, limit}",
        read_on_fail, fit_keep, has_on_fail, write_on_fail },
    { "sizeLimit", "sizeLimit", "a number of bytes", read_size_limit, NULL, has_size_limit,
        write_size_limit },
    { "stackTraceLimit", "stackTraceLimit", "a whole number", read_stack_limit, fit_i32,
        has_stack_limit, write_stack_limit },
    { "timestamp", "timestamp", "milliseconds", read_timestamp, NULL, has_timestamp,
        write_timestamp },
    { "keepLogs", "kl", "a whole number", read_keep_logs, fit_u32, has_keep_logs,
        write_keep_logs },
    { "deduplication", "de", "{id, ttl, ..}", read_dedup, NULL, has_dedup, write_dedup },
    { "failParentOnFailure", "fpof", "true or false, and only one of the four", read_fpof, NULL,
        has_fpof, write_true },
    { "continueParentOnFailure", "cpof", "true or false, and only one of the four", read_cpof,
        NULL, has_cpof, write_true },
    { "ignoreDependencyOnFailure", "idof", "true or false, and only one of the four", read_idof,
        NULL, has_idof, write_true },
    { "removeDependencyOnFailure", "rdof", "true or false, and only one of the four", read_rdof,
        NULL, has_rdof, write_true },
    { "tm", "tm", "a string", read_telemetry, NULL, has_telemetry, write_telemetry },
    { "omc", "omc", "true or false", read_omit, NULL, has_omit, write_true },
    { "telemetry", "telemetry", "{metadata, omitContext}", read_telemetry_object, NULL, NULL,
        NULL },
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const struct row *find(const char *name)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strcmp(rows[i].name, name) == 0 || strcmp(rows[i].stored, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

/* ---- whole objects ----------------------------------------------------------------------- */

static int read_object(json_t *object, ox_job_options *out, bool strict, ox_error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach (object, name, value) {
        const struct row *row = find(name);
        if (row == NULL || json_is_null(value)) {
            continue;
        }
        if (!row->read(value, out) && strict) {
            return ox__fail(err, OX_EINVAL, "job option %s: expected %s", name, row->expected);
        }
    }
    return 0;
}

/* What the caller set in the struct wins over what its JSON says. */
static void overlay(ox_job_options *out, const ox_job_options *given)
{
#define TAKE(field, is_set)                                                                    \
    if (is_set) {                                                                              \
        out->field = given->field;                                                             \
    }
    TAKE(id, has_id(given))
    TAKE(timestamp_ms, has_timestamp(given))
    TAKE(delay_ms, given->delay_ms != 0)
    TAKE(priority, has_priority(given))
    TAKE(lifo, has_lifo(given))
    TAKE(attempts, given->attempts != 0)
    TAKE(backoff, has_backoff(given))
    TAKE(remove_on_complete, has_on_complete(given))
    TAKE(remove_on_fail, has_on_fail(given))
    TAKE(keep_logs, has_keep_logs(given))
    TAKE(stack_trace_limit, has_stack_limit(given))
    TAKE(size_limit, has_size_limit(given))
    TAKE(dedup, has_dedup(given))
    TAKE(parent, has_parent(given))
    TAKE(on_failure, given->on_failure != OX_CHILD_WAIT)
    TAKE(telemetry, has_telemetry(given))
    TAKE(omit_context, has_omit(given))
#undef TAKE
    out->json = given->json;
}

bool ox__json_lacked_memory(const json_error_t *problem, const char *text, size_t len)
{
    size_t space = 0;
    switch (json_error_code(problem)) {
    case json_error_out_of_memory:
        return true;
    case json_error_numeric_overflow:
    case json_error_null_character:
    case json_error_duplicate_key:
    case json_error_stack_overflow:
        return false;
    default:
        while (space < len && strchr(" \t\r\n", text[space]) != NULL) {
            space++;
        }
        /* Half a surrogate pair is valid to the scanner, and not to jansson. */
        return space < len && (text[space] == '{' || text[space] == '[') &&
               strstr(problem->text, "invalid Unicode") == NULL && ox__json_valid(text, len);
    }
}

/* A struct is held to more than JSON, which says what BullMQ lets pass. */
static int check_given(
    const ox_job_options *given, const struct ox__options *out, ox_error *err)
{
    if (given->lifo && (given->priority != 0 || given->delay_ms != 0)) {
        return ox__fail(err, OX_EINVAL, "job option lifo excludes priority and delay");
    }
    if (given->on_failure != OX_CHILD_WAIT && out->set.parent.id == NULL) {
        return ox__fail(err, OX_EINVAL, "job option on_failure needs a parent");
    }
    return ox__options_check(&out->set, err);
}

int ox__options_merge(struct ox__options *out, const ox_job_options *given, ox_error *err)
{
    memset(out, 0, sizeof(*out));
    if (given == NULL) {
        return 0;
    }
    if (given->json == NULL) {
        out->set = *given;
        return check_given(given, out, err);
    }
    json_error_t problem = { .line = 0 };
    out->json = json_loads(given->json, 0, &problem);
    if (out->json == NULL &&
        ox__json_lacked_memory(&problem, given->json, strlen(given->json))) {
        return ox__fail_memory(err);
    }
    if (!json_is_object(out->json)) {
        ox__options_done(out);
        return ox__fail(
            err, OX_EINVAL, "the job options are not a JSON object: %s", problem.text);
    }
    int rc = read_object(out->json, &out->set, true, err);
    if (rc == 0) {
        overlay(&out->set, given);
        rc = check_given(given, out, err);
    }
    if (rc < 0) {
        ox__options_done(out);
    }
    return rc;
}

static const struct row *find_stored(struct ox__slice name)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (ox__slice_is(name, rows[i].stored) || ox__slice_is(name, rows[i].name)) {
            return &rows[i];
        }
    }
    return NULL;
}

/* Keeps the members that are known, under their stored names. NULL: out of memory. */
static json_t *load_known(struct ox__slice object)
{
    json_t *known = json_object();
    struct ox__slice name, slice;
    const char *p = NULL;
    while (known != NULL && ox__slice_member(object, &p, &name, &slice)) {
        const struct row *row = find_stored(name);
        if (row == NULL) {
            continue;
        }
        json_t *value = ox__slice_load(slice);
        if (value != NULL && row->fit != NULL && !json_is_null(value)) {
            value = row->fit(value);
        }
        if (json_object_set_new(known, row->stored, value) < 0) {
            json_decref(known);
            known = NULL;
        }
    }
    return known;
}

int ox__options_stored(struct ox__options *out, const char *text, size_t len, ox_error *err)
{
    struct ox__slice value;
    memset(out, 0, sizeof(*out));
    if (len == 0) {
        return 0;
    }
    if (ox__stored_value(&value, text, len) < 0) {
        return ox__fail_memory(err);
    }
    if (value.at == NULL || *value.at == 'n') {
        return ox__fail(err, OX_EDATA, "the stored options are not a JSON object");
    }
    if (*value.at != '{') {
        return 0;
    }
    out->json = load_known(value);
    return out->json == NULL ? ox__fail_memory(err)
                             : read_object(out->json, &out->set, false, err);
}

static void write_unknown(struct ox__buf *out, json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach (object, name, value) {
        if (find(name) != NULL || json_is_null(value)) {
            continue;
        }
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        if (text == NULL) {
            out->failed = true;
            return;
        }
        ox__buf_char(out, ',');
        put_text(out, name);
        ox__buf_char(out, ':');
        ox__buf_text(out, text);
        free(text);
    }
}

void ox__options_write(struct ox__buf *out, const struct ox__options *options)
{
    char separator = '{';
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].has != NULL && rows[i].has(&options->set)) {
            ox__buf_char(out, separator);
            ox__buf_char(out, '"');
            ox__buf_text(out, rows[i].stored);
            ox__buf_text(out, "\":");
            rows[i].write(out, &options->set);
            separator = ',';
        }
    }
    if (options->json != NULL) {
        write_unknown(out, options->json);
    }
    ox__buf_char(out, '}');
}

void ox__options_done(struct ox__options *options)
{
    json_decref(options->json);
    options->json = NULL;
}
