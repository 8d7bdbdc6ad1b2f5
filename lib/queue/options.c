/*
 * options.c - job options; see options.h.
 *
 * Each option is a row: its long and its stored name, its kind, and where its value lies. A new
 * option is a field in ox.h and a row here; a new type of value is a kind (options_kind.c).
 *
 * The reader walks the JSON object once; strict reading (a producer's own input) reports the
 * first bad value. Lenient reading (a stored job) first converts each value as JavaScript would
 * where BullMQ uses it (options_fit.c), and skips values that still do not fit.
 */
#include "queue/options.h"

#include "base/error.h"
#include "base/json.h"
#include "base/stored.h"
#include "queue/options_kind.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table --------------------------------------------------------------------------- */

#define KEEP "true, false, a number or {age, count, limit}"
#define ONE_OF_FOUR                                                                            \
    "true or false; only one of failParentOnFailure, continueParentOnFailure, "                \
    "ignoreDependencyOnFailure and removeDependencyOnFailure may be true"
#define AT(field) .offset = offsetof(ox_job_options, field)

/* In the order in which they are written. */
static const struct ox__option rows[] = {
    { "attempts", "attempts", "a whole number", &ox__option_attempts, AT(attempts),
        .fit = ox__fit_u32, .always = true },
    { "backoff", "backoff", "a number or {type, delay, jitter 0..1}", &ox__option_backoff,
        AT(backoff), .fit = ox__fit_backoff },
    { "delay", "delay", "0..9007199254740991 ms", &ox__option_ms, AT(delay_ms),
        .fit = ox__fit_ms },
    { "jobId", "jobId", "a string", &ox__option_id, AT(id) },
    { "lifo", "lifo", "true or false", &ox__option_flag, AT(lifo), .fit = ox__fit_flag },
    { "parent", "parent", "{id, queue}", &ox__option_parent, AT(parent) },
    { "priority", "priority", "a whole number from 0 to 2097151", &ox__option_priority,
        AT(priority), .max = OX__PRIORITY_MAX },
    { "removeOnComplete", "removeOnComplete", KEEP, &ox__option_keep, AT(remove_on_complete),
        .fit = ox__fit_keep },
    { "removeOnFail", "removeOnFail", KEEP, &ox__option_keep, AT(remove_on_fail),
        .fit = ox__fit_keep },
    { "sizeLimit", "sizeLimit", "a number of bytes", &ox__option_size, AT(size_limit) },
    { "stackTraceLimit", "stackTraceLimit", "a whole number", &ox__option_stack_limit,
        AT(stack_trace_limit), .fit = ox__fit_i32 },
    { "timestamp", "timestamp", "milliseconds", &ox__option_ms, AT(timestamp_ms) },
    { "keepLogs", "kl", "a whole number", &ox__option_u32, AT(keep_logs), .fit = ox__fit_u32 },
    { "deduplication", "de", "{id, ttl, ..}", &ox__option_dedup, AT(dedup) },
    { "timeout", "timeout", "0..9007199254740991 ms", &ox__option_ms, AT(timeout_ms),
        .fit = ox__fit_ms },
    { "expire", "expire", "0..9007199254740991 ms", &ox__option_ms, AT(expire_ms),
        .fit = ox__fit_ms },
    { "failParentOnFailure", "fpof", ONE_OF_FOUR, &ox__option_on_failure, AT(on_failure),
        .choice = OX_CHILD_FAIL_PARENT },
    { "continueParentOnFailure", "cpof", ONE_OF_FOUR, &ox__option_on_failure, AT(on_failure),
        .choice = OX_CHILD_CONTINUE },
    { "ignoreDependencyOnFailure", "idof", ONE_OF_FOUR, &ox__option_on_failure, AT(on_failure),
        .choice = OX_CHILD_IGNORE },
    { "removeDependencyOnFailure", "rdof", ONE_OF_FOUR, &ox__option_on_failure, AT(on_failure),
        .choice = OX_CHILD_REMOVE },
    { "tm", "tm", "a string", &ox__option_text, AT(telemetry) },
    { "omc", "omc", "true or false", &ox__option_flag, AT(omit_context) },
    { "telemetry", "telemetry", "{metadata, omitContext}", &ox__option_telemetry, .offset = 0 },
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const void *field_of(const struct ox__option *row, const ox_job_options *options)
{
    return (const char *)options + row->offset;
}

static bool is_set(const struct ox__option *row, const ox_job_options *options)
{
    return row->kind->is_set != NULL && row->kind->is_set(field_of(row, options));
}

/* Whether the row is written: of the rows that share a field, one is. */
static bool is_written(const struct ox__option *row, const ox_job_options *options)
{
    return row->always ||
           (is_set(row, options) &&
               (row->choice == 0 || *(const int *)field_of(row, options) == row->choice));
}

static const struct ox__option *find(const char *name)
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
        const struct ox__option *row = find(name);
        if (row == NULL || json_is_null(value)) {
            continue;
        }
        if (!row->kind->read(row, value, (char *)out + row->offset) && strict) {
            return ox__fail(err, OX_EINVAL, "job option %s: expected %s", name, row->expected);
        }
    }
    return 0;
}

/* Members that the caller set in the struct override those of its JSON. */
static void overlay(ox_job_options *out, const ox_job_options *given)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (is_set(&rows[i], given)) {
            memcpy((char *)out + rows[i].offset, field_of(&rows[i], given), rows[i].kind->size);
        }
    }
    out->json = given->json;
}

/* Whether text that jansson did not read (`problem` began as zeros) is an object or array all
 * the same: then jansson ran out of memory, which it does not always report. */
static bool lacked_memory(const json_error_t *problem, const char *text, size_t len)
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
        /* The scanner accepts half a surrogate pair, jansson does not. */
        return space < len && (text[space] == '{' || text[space] == '[') &&
               strstr(problem->text, "invalid Unicode") == NULL && ox__json_valid(text, len);
    }
}

/* 0, or OX_EINVAL for options that no job may have. */
static int check_all(const ox_job_options *options, ox_error *err)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct ox__option *row = &rows[i];
        int rc =
            row->kind->check != NULL ? row->kind->check(row, field_of(row, options), err) : 0;
        if (rc < 0) {
            return rc;
        }
    }
    if (options->dedup.id != NULL && options->parent.id != NULL) {
        return ox__fail(err, OX_EINVAL, "a job with a parent cannot be deduplicated");
    }
    return 0;
}

/* A struct is checked more strictly than JSON, which may hold what BullMQ lets pass. */
static int check_given(
    const ox_job_options *given, const struct ox__options *out, ox_error *err)
{
    if (given->lifo && (given->priority != 0 || given->delay_ms != 0)) {
        return ox__fail(err, OX_EINVAL, "job option lifo excludes priority and delay");
    }
    if (given->on_failure != OX_CHILD_WAIT && out->set.parent.id == NULL) {
        return ox__fail(err, OX_EINVAL, "job option on_failure needs a parent");
    }
    return check_all(&out->set, err);
}

static int check_reserves(const ox_job_options *given, ox_error *err)
{
    int rc = OX__RESERVED(ox_job_options, given, err);
    rc = rc < 0 ? rc : OX__RESERVED_IN(ox_backoff, given->backoff, err);
    rc = rc < 0 ? rc : OX__RESERVED_IN(ox_keep, given->remove_on_complete, err);
    rc = rc < 0 ? rc : OX__RESERVED_IN(ox_keep, given->remove_on_fail, err);
    rc = rc < 0 ? rc : OX__RESERVED_IN(ox_dedup, given->dedup, err);
    return rc < 0 ? rc : OX__RESERVED_IN(ox_parent, given->parent, err);
}

int ox__options_merge(struct ox__options *out, const ox_job_options *given, ox_error *err)
{
    memset(out, 0, sizeof(*out));
    if (given == NULL) {
        return 0;
    }
    int rc = check_reserves(given, err);
    if (rc < 0) {
        return rc;
    }
    if (given->json == NULL) {
        out->set = *given;
        return check_given(given, out, err);
    }
    json_error_t problem = { .line = 0 };
    out->json = json_loads(given->json, 0, &problem);
    if (out->json == NULL && lacked_memory(&problem, given->json, strlen(given->json))) {
        return ox__fail_memory(err);
    }
    if (!json_is_object(out->json)) {
        ox__options_done(out);
        return ox__fail(err, OX_EINVAL, "the job options are not a JSON object: %.80s",
            *problem.text != '\0' ? problem.text : given->json);
    }
    rc = read_object(out->json, &out->set, true, err);
    if (rc == 0) {
        overlay(&out->set, given);
        rc = check_given(given, out, err);
    }
    if (rc < 0) {
        ox__options_done(out);
    }
    return rc;
}

static const struct ox__option *find_stored(struct ox__slice name)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (ox__slice_is(name, rows[i].stored) || ox__slice_is(name, rows[i].name)) {
            return &rows[i];
        }
    }
    return NULL;
}

/* Keeps the known members, under their stored names. NULL: out of memory. */
static json_t *load_known(struct ox__slice object)
{
    json_t *known = json_object();
    struct ox__slice name, slice;
    const char *p = NULL;
    while (known != NULL && ox__slice_member(object, &p, &name, &slice)) {
        const struct ox__option *row = find_stored(name);
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
        ox__json_string(out, name, strlen(name));
        ox__buf_char(out, ':');
        ox__buf_text(out, text);
        free(text);
    }
}

void ox__options_write(struct ox__buf *out, const struct ox__options *options)
{
    char separator = '{';
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (is_written(&rows[i], &options->set)) {
            ox__buf_char(out, separator);
            ox__buf_char(out, '"');
            ox__buf_text(out, rows[i].stored);
            ox__buf_text(out, "\":");
            rows[i].kind->write(out, field_of(&rows[i], &options->set));
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
